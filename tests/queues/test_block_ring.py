"""`daqring.BlockRing`: blocks in place, and views that are safe however long they live."""

import gc
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from daqring.block_ring import BlockRing
from daqring.queue import Empty, Full, ShutDown


def test_blocks_arrive_in_order_and_in_place():
    ring = BlockRing((2, 3), np.int16, slots=4)
    for number in range(4):
        with ring.reserve() as block:
            assert (block.shape, block.dtype, block.flags.writeable) == ((2, 3), np.int16, True)
            assert block.ctypes.data % 4096 == 0
            block[:] = number
    assert ring.qsize() == 4
    for number in range(4):
        lease = ring.acquire()
        with lease as block:
            assert (block == number).all()
            assert not block.flags.writeable
            assert (lease.seq, lease.lost_before) == (number, 0)
    counts = ring.statistics()
    assert (counts.committed, counts.acquired, counts.waiting, counts.copied, counts.outlived) == (
        4,
        4,
        0,
        0,
        0,
    )


def test_a_part_of_a_block():
    ring = BlockRing((10, 2), np.float32)
    lease = ring.reserve()
    with lease as block:
        block[:3] = 7
        assert lease.commit(3) == 0
    with ring.acquire() as block:
        assert block.shape == (3, 2)
        assert (block == 7).all()
    for rows in (0, 11, -1):
        with pytest.raises(ValueError, match="rows"):
            ring.reserve().commit(rows)
    assert ring.statistics().aborted == 3


def test_an_exception_aborts():
    ring = BlockRing(4, np.int8)
    with pytest.raises(ZeroDivisionError), ring.reserve():
        1 / 0  # noqa: B018
    assert ring.qsize() == 0
    assert ring.statistics().aborted == 1
    lease = ring.reserve()
    lease.abort()
    lease.abort()
    with pytest.raises(RuntimeError, match="already"):
        lease.commit()


def test_closing_lets_the_rest_out():
    with BlockRing(1, np.int64) as ring:
        for number in range(3):
            with ring.reserve() as block:
                block[0] = number
    assert ring.closed
    with pytest.raises(ShutDown):
        ring.reserve()
    assert [int(block[0]) for block in ring] == [0, 1, 2]
    with pytest.raises(ShutDown):
        ring.acquire()


def test_timeouts():
    ring = BlockRing(1, slots=1, spares=0)
    with pytest.raises(Empty):
        ring.acquire(timeout=0)
    with pytest.raises(Empty):
        ring.acquire(timeout=0.01)
    ring.reserve().commit()
    with pytest.raises(Full):
        ring.reserve(timeout=0)
    with pytest.raises(Full):
        ring.reserve(timeout=0.01)
    with pytest.raises(ValueError, match="non-negative"):
        ring.acquire(timeout=-1)


def test_wrong_arguments():
    with pytest.raises(TypeError, match="Python objects"):
        BlockRing(3, object)
    with pytest.raises(ValueError, match="at least one byte"):
        BlockRing((3, 0))
    with pytest.raises(ValueError, match="at least 1 slot"):
        BlockRing(3, slots=0)
    with pytest.raises(ValueError, match="policy"):
        BlockRing(3, policy="guess")
    with pytest.raises(MemoryError):
        BlockRing((1 << 50,), slots=1 << 20)


# Policies.


def fill(ring, values):
    for value in values:
        with ring.reserve() as block:
            block[:] = value


def drain(ring):
    taken = []
    while ring.qsize():
        lease = ring.acquire()
        with lease as block:
            taken.append((int(block[0]), lease.lost_before))
    return taken


def test_drop_oldest():
    ring = BlockRing(10, np.int32, slots=3, spares=0, policy="drop_oldest")
    fill(ring, range(8))
    assert drain(ring) == [(5, 50), (6, 0), (7, 0)]
    counts = ring.statistics()
    assert (counts.dropped, counts.dropped_samples) == (5, 50)


def test_drop_newest():
    ring = BlockRing(10, np.int32, slots=3, spares=0, policy="drop_newest")
    fill(ring, range(8))
    assert ring.reserve().dropped
    assert drain(ring) == [(0, 0), (1, 0), (2, 0)]
    fill(ring, [9])
    assert drain(ring) == [(9, 50)]
    counts = ring.statistics()
    assert (counts.lost_samples, counts.committed) == (50, 4)


def test_fail():
    ring = BlockRing(10, np.int32, slots=2, spares=0, policy="fail")
    fill(ring, range(2))
    with pytest.raises(Full):
        ring.reserve()
    assert ring.statistics().refused == 1


# Views.


def test_a_view_that_outlives_its_acquired_block_stays_what_it_was():
    ring = BlockRing(1000, np.int64, slots=2)
    fill(ring, [1])
    with ring.acquire() as block:
        kept = block[10:20]
        del block
    for value in range(2, 30):
        fill(ring, [value])
        drain(ring)
    assert (kept == 1).all()
    counts = ring.statistics()
    assert counts.outlived == 1
    assert counts.acquired == counts.released + 1
    del kept
    assert ring.statistics().released == counts.acquired


def test_the_name_of_the_with_block_is_safe_afterwards():
    ring = BlockRing(10, np.int64, slots=1)
    fill(ring, [5])
    with ring.acquire() as block:
        pass
    for value in range(10):
        fill(ring, [value])
        with ring.acquire() as other:
            assert (other == value).all()
    assert (block == 5).all()
    assert ring.statistics().outlived == 0


def test_a_block_that_can_still_be_written_to_is_copied_at_its_commit():
    ring = BlockRing(10, np.int64, slots=2)
    for delete_the_name in (False, True):
        with ring.reserve() as block:
            block[:] = 3
            part = block[2:4]
            if delete_the_name:
                del block
        part[:] = 99
        with ring.acquire() as got:
            assert (got == 3).all()
    assert ring.statistics().copied == 2
    with pytest.raises(ValueError, match="read-only"):
        fill_after_commit(ring)


def fill_after_commit(ring):
    with ring.reserve() as block:
        block[:] = 1
    block[:] = 2


def test_strict_refuses_views_that_outlive():
    ring = BlockRing(10, np.int64, slots=2, strict=True)
    views = []

    def keep_reserved():
        with ring.reserve() as block:
            views.append(block[:2])

    def keep_acquired():
        with ring.acquire() as block:
            views.append(block[:2])

    with pytest.raises(BufferError, match="copy"):
        keep_reserved()
    assert ring.qsize() == 0
    fill(ring, [1])
    with pytest.raises(BufferError, match="copy"):
        keep_acquired()
    fill(ring, [2])
    assert drain(ring) == [(2, 0)]


def test_views_that_keep_every_slot_are_named_instead_of_waiting_for_ever():
    ring = BlockRing(10, np.int64, slots=2, spares=0)
    fill(ring, [1, 2])
    kept = []
    for _ in range(2):
        with ring.acquire() as block:
            kept.append(block)
        del block
    with pytest.raises(BufferError, match="all 2 slots"):
        ring.reserve()
    kept.clear()
    fill(ring, [3])


def test_views_outlive_the_ring():
    ring = BlockRing(1 << 16, np.int64, slots=2)
    with ring.reserve() as written:
        written[:] = 4
    with ring.acquire() as block:
        kept = block
    del ring, block
    gc.collect()
    assert (kept == 4).all()
    assert (written == 4).all()


def test_several_at_once():
    ring = BlockRing(4, np.int64, slots=8)
    with ring.reserve_many(5) as blocks:
        for number, block in enumerate(blocks):
            block[:] = number
        del block
    with ring.acquire_many(3) as blocks:
        assert [int(block[0]) for block in blocks] == [0, 1, 2]
    with ring.acquire_many(10) as blocks:
        assert [int(block[0]) for block in blocks] == [3, 4]
    with pytest.raises(Full):
        ring.reserve_many(100, timeout=0)
    assert ring.statistics().copied == 0
    assert ring.statistics().reserved == ring.statistics().committed + ring.statistics().aborted


# Threads, signals, forks.


@pytest.mark.parametrize(("producers", "consumers"), [(1, 1), (3, 1), (1, 3), (3, 3)])
@pytest.mark.parametrize("slots", [1, 4])
def test_every_block_arrives_once_and_whole(producers, consumers, slots):
    ring = BlockRing(500, np.int64, slots=slots, spares=consumers)
    each, seen, torn = 100, [], []

    def produce(start):
        for number in range(each):
            with ring.reserve() as block:
                block[:] = start + number

    def consume():
        for block in ring:
            if (block != block[0]).any():
                torn.append(block[0])
            seen.append(int(block[0]))

    makers = [threading.Thread(target=produce, args=(1000 * n,)) for n in range(producers)]
    takers = [threading.Thread(target=consume) for _ in range(consumers)]
    for thread in makers + takers:
        thread.start()
    for thread in makers:
        thread.join()
    ring.close()
    for thread in takers:
        thread.join()
    assert not torn
    assert sorted(seen) == [1000 * n + number for n in range(producers) for number in range(each)]


def run_script(source):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, timeout=60
    )


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
@pytest.mark.parametrize("blocked", ["ring.acquire()", "full.reserve()", "list(ring)"])
def test_ctrl_c_while_waiting(blocked):
    done = run_script(
        f"""
        import os, signal, threading
        from daqring.block_ring import BlockRing
        ring, full = BlockRing(1), BlockRing(1, slots=1, spares=0)
        full.reserve().commit()
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            {blocked}
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    assert done.stdout == "interrupted\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork() on this system")
def test_a_forked_child_is_told_that_the_ring_is_not_its_own():
    done = run_script(
        """
        import os, warnings
        from daqring.block_ring import BlockRing
        ring = BlockRing(1)
        if os.fork() == 0:
            try:
                ring.reserve()
            except RuntimeError as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
        """
    )
    assert "forked" in done.stdout, done.stderr
