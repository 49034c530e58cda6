"""`BlockRing`: numpy blocks between threads, written and read in place."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from queue import Empty
from types import TracebackType
from typing import Any, Literal, NamedTuple, NoReturn, Self

import numpy as np
import numpy.typing as npt

from daqring._native import ShutDown, SlotMemory, SlotRing

__all__ = ["Acquired", "BlockRing", "Reserved", "RingStatistics"]


def _references(whole: npt.NDArray[Any], block: npt.NDArray[Any]) -> tuple[int, int]:
    return sys.getrefcount(whole), sys.getrefcount(block)


def _references_of_nobody_else() -> tuple[int, int]:
    whole = np.empty(1)
    block = whole.view()
    name_after_as = [block]
    references = _references(whole, block)
    del name_after_as
    return references


# Measured, because interpreters differ in whether a call's arguments are counted.
_KNOWN_WHOLE, _KNOWN_BLOCK = _references_of_nobody_else()


def _has_other_views(references: tuple[int, int]) -> bool:
    """Whether anyone else sees the memory than `block`, a view of `whole`, under one name of the caller's.

    Slices of a view refer to what it is a view of, so all of them are references to `whole`.
    """
    return references[0] > _KNOWN_WHOLE or references[1] > _KNOWN_BLOCK


class RingStatistics(NamedTuple):
    """Counts of blocks since the ring was made; ``waiting`` is the number at this moment.

    At rest ``reserved == committed + aborted``, ``committed == acquired + dropped + waiting`` and
    ``acquired == released``.
    """

    reserved: int
    committed: int
    aborted: int
    acquired: int
    released: int
    #: Dropped by the policy ``drop_oldest``, and the rows in them.
    dropped: int
    dropped_samples: int
    #: Reservations refused by the policies ``drop_newest`` and ``fail``.
    refused: int
    #: Rows dropped by the policy ``drop_newest``.
    lost_samples: int
    #: The most blocks that were ever committed and not released.
    high_water: int
    waiting: int
    #: Blocks copied at their commit, because a writable view of them was still in use.
    copied: int
    #: Acquired blocks whose slot stayed taken, because a view of them was still in use.
    outlived: int


class Reserved:
    """A slot to fill: ``with ring.reserve() as block`` commits at the end, and aborts on an exception."""

    def __init__(self, ring: BlockRing, memory: SlotMemory | None) -> None:
        self._ring = ring
        self._memory = memory
        #: Whether the ring was full and its policy is to drop the newest block: this one.
        self.dropped = memory is None
        #: The array to fill: shape and dtype of the ring, whatever was there before inside.
        self.block: npt.NDArray[Any]
        if memory is None:
            self._whole = np.empty(ring.shape, ring.dtype)
        else:
            self._whole = np.ndarray(ring.shape, ring.dtype, buffer=memory)  # type: ignore[arg-type]
        self.block = self._whole.view()
        self._open = True

    def commit(self, rows: int | None = None) -> int | None:
        """Hand the block on, or only its first ``rows`` along the first axis; gives its number.

        The array is read-only afterwards. Where other views of it are still in use the block is copied to
        another slot and counted, or with ``strict`` aborted with a `BufferError`. None if the block was
        dropped.
        """
        self._claim()
        ring, memory, whole, block = self._ring, self._memory, self._whole, self.block
        length = ring.shape[0] if ring.shape else 1
        rows = length if rows is None else rows
        if not 0 < rows <= length:
            raise ValueError(f"'rows' must be between 1 and {length}, not {rows}")
        if memory is None:
            ring._native.add_lost(rows)
            return None
        del self.block, self._whole
        self._memory = None
        used = block.nbytes // length * rows
        if _has_other_views(_references(whole, block)):
            if ring.strict:
                raise BufferError(
                    "a view of the block outlives its 'with' block, so it was not committed: copy what you "
                    "keep, as in block.copy()"
                )
            number = ring._native.commit_copy(memory, used, rows)
            ring._copied += 1
            return number
        block.setflags(write=False)
        return memory.commit(used, rows)

    def abort(self) -> None:
        """Give the slot back without a block."""
        if self._open:
            self._claim()
            self._memory = None
            del self.block, self._whole

    def _claim(self) -> None:
        if not self._open:
            raise RuntimeError("this block has been committed or aborted already")
        self._open = False

    def __enter__(self) -> npt.NDArray[Any]:
        return self.block

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.abort()
        elif self._open:
            self.commit()


class Acquired:
    """The oldest block: ``with ring.acquire() as block`` releases its slot at the end."""

    def __init__(self, ring: BlockRing, memory: SlotMemory) -> None:
        self._ring = ring
        self._memory: SlotMemory | None = memory
        number, lost, rows = memory.header()
        #: Number of the block, 0, 1, 2 ... in the order of the commits.
        self.seq = number
        #: Rows lost between the block acquired before this one and this one.
        self.lost_before = lost
        #: The block, read-only; as many rows as were committed.
        self.block: npt.NDArray[Any]
        shape = (rows, *ring.shape[1:]) if ring.shape else ()
        self._whole = np.ndarray(shape, ring.dtype, buffer=memory)  # type: ignore[arg-type]
        self.block = self._whole.view()

    def release(self) -> None:
        """Give the slot back.

        A view that is still in use keeps its slot until it is gone; that is counted, or with ``strict`` a
        `BufferError`.
        """
        memory, self._memory = self._memory, None
        if memory is None:
            return
        whole, block = self._whole, self.block
        del self.block, self._whole
        if _has_other_views(_references(whole, block)):
            memory.keep()
            self._ring._outlived += 1
            if self._ring.strict:
                raise BufferError(
                    "a view of the block outlives its 'with' block, and keeps the slot from the ring: copy "
                    "what you keep, as in block.copy()"
                )

    def __enter__(self) -> npt.NDArray[Any]:
        return self.block

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except BufferError:
            if error is None:
                raise


class _Several:
    """Some leases as one: ``with ring.acquire_many(8) as blocks``."""

    def __init__(self, leases: list[Any]) -> None:
        self.leases = leases

    def __enter__(self) -> list[npt.NDArray[Any]]:
        self._blocks = [lease.block for lease in self.leases]
        return self._blocks

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The list is known to the caller too: its arrays leave it one by one.
        for lease in self.leases:
            self._blocks[0:1] = []
            lease.__exit__(kind, error, trace)


class BlockRing:
    """A ring of numpy blocks that threads fill and read in place, without copies.

        ring = daqring.BlockRing((8, 10_000), np.int16, slots=16)

        with ring.reserve() as block:           # a producer: waits for a free slot
            reader.read_int16(block, 10_000)

        with ring.acquire() as block:           # a consumer: waits for the oldest block
            print(block.mean())

    Any number of threads may reserve and acquire; a block goes to one of the consumers. ``shape`` and
    ``dtype`` are those of every block (the first axis may be committed in part), ``slots`` how many blocks
    the ring holds at least.

    ``policy`` is what `reserve` does when every slot is taken: ``"wait"``; ``"drop_newest"`` (the block is
    filled and thrown away); ``"drop_oldest"``; ``"fail"`` (raises `queue.Full`). What was dropped is told by
    ``lost_before`` of the next block, in rows, and by `statistics`.

    A view that outlives its ``with`` block is safe: a slot stays taken until no view of it is left, and
    a block that is committed while other views could still write to it is copied first. Both are counted in
    `statistics`, or refused with ``strict=True``. The name after ``as`` is such a view, too, until it is
    used again: ``spares`` slots beyond ``slots`` make up for it.

    After `close` nothing can be reserved; what was committed can still be acquired, then `acquire` raises
    ``ShutDown`` and iteration ends.
    """

    def __init__(
        self,
        shape: int | tuple[int, ...],
        dtype: npt.DTypeLike = np.float64,
        slots: int = 8,
        *,
        policy: Literal["wait", "drop_newest", "drop_oldest", "fail"] = "wait",
        strict: bool = False,
        spares: int = 2,
    ) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype = np.dtype(dtype)
        self.strict = strict
        self.slots = slots
        if self.dtype.hasobject:
            raise TypeError(f"blocks are plain memory: the dtype {self.dtype} holds Python objects")
        size = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        if size < 1 or min(self.shape, default=1) < 0:
            raise ValueError(f"a block needs at least one byte, not shape {self.shape} of {self.dtype}")
        if slots < 1 or spares < 0:
            raise ValueError(f"a ring needs at least 1 slot and 0 spares, not {slots} and {spares}")
        self._native = SlotRing(size, slots + spares, policy)
        self._copied = 0
        self._outlived = 0

    def reserve(self, timeout: float | None = None) -> Reserved:
        """A slot to fill.

        Raises ``Full`` when none is free (within ``timeout`` seconds, or by the policy ``"fail"``),
        ``ShutDown`` after `close`, `BufferError` when views that outlived their ``with`` block have
        taken every slot.
        """
        return Reserved(self, self._native.reserve(timeout))

    def acquire(self, timeout: float | None = None) -> Acquired:
        """The oldest block.

        Raises ``Empty`` when none came within ``timeout`` seconds, ``ShutDown`` when the ring is closed and
        drained.
        """
        return Acquired(self, self._native.acquire(timeout))

    def reserve_many(self, count: int, timeout: float | None = None) -> _Several:
        """``count`` slots, committed together at the end of the ``with`` block; a list of arrays."""
        leases: list[Reserved] = []
        try:
            for _ in range(count):
                leases.append(self.reserve(timeout))
        except BaseException:
            for lease in leases:
                lease.abort()
            raise
        return _Several(leases)

    def acquire_many(self, max: int, timeout: float | None = None) -> _Several:
        """The 1 to ``max`` oldest blocks that are there; waits for the first only."""
        leases = [self.acquire(timeout)]
        while len(leases) < max:
            try:
                leases.append(self.acquire(0))
            except (Empty, ShutDown):
                break
        return _Several(leases)

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        """The blocks until the ring is closed and drained; each slot is free when its array is gone."""
        while True:
            try:
                memory = self._native.acquire(None)
            except ShutDown:
                return
            block = Acquired(self, memory).block
            del memory
            yield block
            del block

    def close(self) -> None:
        """Lets nothing more in; both sides wake up."""
        self._native.close()

    @property
    def closed(self) -> bool:
        """Whether the ring was closed."""
        return self._native.closed

    def qsize(self) -> int:
        """Blocks committed and not yet acquired."""
        return self._native.qsize()

    def statistics(self) -> RingStatistics:
        """What has happened so far."""
        return RingStatistics(
            **self._native.counters(),
            waiting=self.qsize(),
            copied=self._copied,
            outlived=self._outlived,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "a daqring.BlockRing cannot be pickled or copied: it belongs to the threads of one process"
        )

    def __repr__(self) -> str:
        return f"<BlockRing of {self.slots} blocks {self.shape} {self.dtype}, {self.qsize()} waiting>"
