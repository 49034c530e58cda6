"""Work on the samples while they are recorded, in compiled code on the workers' threads.

A recorder takes a list of stages::

    daqring.Recorder(task, "run.tdms", stages=[Statistics(every=0.1), Decimate(100, name="slow")])

What a stage puts out is a stream of its own, named after the stage: a group of the log (unless
``log=False``) that taps can look at, that ``daqring.stream(..., output=name)`` hands out, and that
other stages work on: those that name it by ``of``. No stage changes what is recorded of the task
itself. Times in `every`, `pre` and `post` are seconds and become whole samples by the rate that the
driver coerced.

`of` names another stage of the list: then a stage works on what that one puts out, not on the task's
samples. The order of the list does not matter::

    [Decimate(100, name="slow"), Statistics(every=10, of="slow", name="slow statistics")]
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from daqring import _native
from daqring.errors import TaskError

__all__ = [
    "BLOCK",
    "Decimate",
    "DigitalLines",
    "Envelope",
    "Native",
    "Scale",
    "Stage",
    "Statistics",
    "StreamInfo",
    "Trigger",
    "block_function",
]

Float = Literal["float32", "float64"]

#: What a function of :class:`Native` is told about a block, as a numpy dtype: the C structure of
#: the page on processing of one's own.
BLOCK = np.dtype(
    [
        ("size", np.uint32),
        ("version", np.uint32),
        ("channels", np.uint64),
        ("samples", np.uint64),
        ("stride", np.uint64),
        ("first_sample", np.uint64),
        ("rate", np.float64),
        ("host_time_ns", np.int64),
        ("lost_before", np.uint64),
        ("seq", np.uint64),
        ("data_type", np.uint32),
        ("outputs", np.uint32),
        ("times", np.uint64),
        ("record", np.uint64),
        ("pretrigger", np.uint64),
    ],
    align=True,
)


@dataclasses.dataclass(frozen=True)
class StreamInfo:
    """What a stage needs to know of the stream that it works on."""

    name: str
    channels: tuple[str, ...]
    #: Samples per second and channel; a guess where it is not `steady`.
    rate: float
    dtype: np.dtype[Any]
    #: Whether the samples come at that rate. If not, each has a time of its own, or the times are made
    #: of the values.
    steady: bool = True
    #: Whether they are records of triggers, with holes between them.
    records: bool = False
    #: Whether their times are sums of the values themselves (counters that measure periods).
    sums_of_values: bool = False

    def put_out(
        self, name: str, channels: Sequence[str], dtype: object, *, every: float = 1.0, steady: bool = True
    ) -> StreamInfo:
        """What a stage puts out that makes one sample of `every` ones."""
        kind = np.dtype(dtype)  # type: ignore[call-overload]
        return StreamInfo(
            name, tuple(channels), self.rate / every, kind, self.steady and steady, self.records and steady
        )


class Stage(Protocol):
    """A stage, as a recorder uses it."""

    @property
    def name(self) -> str:
        """Name of its group and its stream."""

    @property
    def of(self) -> str | None:
        """Name of the stage whose output it works on; ``None``: the task's samples."""

    @property
    def records_source(self) -> bool:
        """Whether the samples that it works on are logged beside what it puts out."""

    def to_native(self, stream: StreamInfo) -> dict[str, Any]:
        """The stage as the native module makes it."""

    def puts_out(self, stream: StreamInfo) -> StreamInfo:
        """What it puts out, for the stages that work on that.

        Raises:
            TaskError: Nothing that a stage can work on; in words.
        """


def _number(what: str, value: float, *, least: float = 0.0, above: bool = True) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TaskError(f"{what} must be a number, not {value!r}") from None
    if not math.isfinite(number) or number < least or (above and number == least):
        raise TaskError(
            f"{what} must be finite and {'above' if above else 'at least'} {least:g}, not {value!r}"
        )
    return number


def whole(value: object) -> int | None:
    """A whole number of any kind, numpy's too; ``None``: it is none."""
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def _flags(stage: Stage, *names: str) -> None:
    for name in names:
        if not isinstance(value := getattr(stage, name), bool):
            raise TaskError(f"{name} must be True or False, not {value!r}")


def _name(name: str) -> None:
    if not isinstance(name, str) or not name or name == "daqring":
        raise TaskError(f"a stage's name must be text and neither empty nor 'daqring', not {name!r}")


def _of(of: str | None) -> None:
    if of is not None and (not isinstance(of, str) or not of):
        raise TaskError(f"of must be the name of a stage, not {of!r}")


def _steady(what: str, stream: StreamInfo) -> None:
    if stream.records:
        raise TaskError(
            f"{what} cannot work on {stream.name!r}, whose samples are records with holes between them; "
            "Scale, DigitalLines and Native can"
        )
    if not stream.steady:
        raise TaskError(
            f"{what} cannot work on {stream.name!r}, whose samples do not come at a constant rate; Scale, "
            "DigitalLines and Native can (or record by times='regular' if the rate is good enough)"
        )


def _float(dtype: object) -> str:
    try:
        name = np.dtype(dtype).name  # type: ignore[call-overload]
    except TypeError:
        name = None
    if name not in ("float32", "float64"):
        raise TaskError(f"dtype must be float32 or float64, not {dtype!r}")
    return str(name)


def _samples(seconds: float, rate: float) -> int:
    return max(1, round(seconds * rate))


@dataclasses.dataclass(frozen=True)
class Statistics(Stage):
    """Least, greatest, mean and root mean square of each channel, every so many seconds.

    A stream of four float64 channels per channel, in its unit: ``<channel> min``, ``max``, ``mean``,
    ``rms``. Each value stands for the samples from its time on, for `every` seconds. Only whole
    spans are given out: one that a gap or the end has cut is missing. Samples that are not a number are
    passed over by ``min`` and ``max``; ``mean`` and ``rms`` are NaN then, and all four where there is no
    other sample.

    Raises:
        TaskError: An argument makes no sense.
    """

    every: float = 0.1
    name: str = "statistics"
    log: bool = True
    of: str | None = None

    def __post_init__(self) -> None:
        _number("every", self.every)
        _name(self.name)
        _of(self.of)
        _flags(self, "log")

    @property
    def records_source(self) -> bool:
        return True

    def to_native(self, stream: StreamInfo) -> dict[str, Any]:
        _steady("statistics", stream)
        every = _samples(self.every, stream.rate)
        return {"kind": "statistics", "name": self.name, "log": self.log, "every": every}

    def puts_out(self, stream: StreamInfo) -> StreamInfo:
        names = [f"{channel} {what}" for channel in stream.channels for what in ("min", "max", "mean", "rms")]
        return stream.put_out(self.name, names, np.float64, every=_samples(self.every, stream.rate))


@dataclasses.dataclass(frozen=True)
class Envelope(Stage):
    """Least and greatest sample of each channel, every so many seconds: what a screen can show.

    A stream of two channels per channel, of its data type and scale: ``<channel> min``, ``max``.
    Samples that are not a number are passed over, unless there is no other.

    Raises:
        TaskError: An argument makes no sense.
    """

    every: float = 0.01
    name: str = "envelope"
    log: bool = True
    of: str | None = None

    def __post_init__(self) -> None:
        _number("every", self.every)
        _name(self.name)
        _of(self.of)
        _flags(self, "log")

    @property
    def records_source(self) -> bool:
        return True

    def to_native(self, stream: StreamInfo) -> dict[str, Any]:
        _steady("an envelope", stream)
        every = _samples(self.every, stream.rate)
        return {"kind": "envelope", "name": self.name, "log": self.log, "every": every}

    def puts_out(self, stream: StreamInfo) -> StreamInfo:
        names = [f"{channel} {what}" for channel in stream.channels for what in ("min", "max")]
        return stream.put_out(self.name, names, stream.dtype, every=_samples(self.every, stream.rate))


@dataclasses.dataclass(frozen=True)
class Scale(Stage):
    """Every sample in the channel's unit, as float64 or float32.

    With ``only=True`` the samples that it works on are not logged.

    Raises:
        TaskError: An argument makes no sense.
    """

    dtype: Float = "float64"
    name: str = "scaled"
    log: bool = True
    only: bool = False
    of: str | None = None

    def __post_init__(self) -> None:
        _float(self.dtype)
        _name(self.name)
        _of(self.of)
        _flags(self, "log", "only")

    @property
    def records_source(self) -> bool:
        return not self.only

    def to_native(self, stream: StreamInfo) -> dict[str, Any]:
        if stream.sums_of_values:
            raise TaskError(
                f"scaling cannot work on {stream.name!r}, whose times are sums of its values; they are "
                "in its unit already"
            )
        return {"kind": "scale", "name": self.name, "log": self.log, "dtype": _float(self.dtype)}

    def puts_out(self, stream: StreamInfo) -> StreamInfo:
        return stream.put_out(self.name, stream.channels, self.dtype)


@dataclasses.dataclass(frozen=True)
class Decimate(Stage):
    """Every `factor`-th sample behind an anti-alias filter, in the channel's unit.

    The filter is a linear-phase FIR of Kaiser's design. With f half the new rate, it is flat from 0
    to 0.8 f within 1.15 * 10**(-attenuation / 20) (0.001 dB for 80 dB), and from f on everything is
    attenuated by `attenuation` dB or more, so that nothing but that folds back. It has about
    ``0.63 * attenuation * factor`` taps and no delay: sample i is the filtered signal at the task's
    sample ``i * factor``. Samples whose neighbourhood was not wholly recorded (half a filter at both
    ends and around gaps) are not given out.

    With ``only=True`` the samples that it works on are not logged.

    Raises:
        TaskError: An argument makes no sense.
    """

    factor: int
    name: str = "decimated"
    dtype: Float = "float64"
    attenuation: float = 80.0
    log: bool = True
    only: bool = False
    of: str | None = None

    def __post_init__(self) -> None:
        factor = whole(self.factor)
        if factor is None or not 2 <= factor <= 10_000:
            raise TaskError(f"factor must be a whole number from 2 to 10,000, not {self.factor!r}")
        if not 40 <= _number("attenuation", self.attenuation) <= 140:
            raise TaskError(f"attenuation must be 40 to 140 dB, not {self.attenuation!r}")
        _float(self.dtype)
        _name(self.name)
        _of(self.of)
        _flags(self, "log", "only")

    @property
    def records_source(self) -> bool:
        return not self.only

    def to_native(self, stream: StreamInfo) -> dict[str, Any]:
        _steady("decimation", stream)
        return {
            "kind": "decimate",
            "name": self.name,
            "log": self.log,
            "factor": int(self.factor),
            "attenuation": float(self.attenuation),
            "dtype": _float(self.dtype),
        }

    def puts_out(self, stream: StreamInfo) -> StreamInfo:
        return stream.put_out(self.name, stream.channels, self.dtype, every=self.factor)


@dataclasses.dataclass(frozen=True)
class Trigger(Stage):
    """Records what is around an event, instead of everything.

    Each trigger makes a record: `pre` seconds before it and `post` seconds from it on, in a group
    of records. The rest is gated: acquired and deliberately not recorded, which is no loss;
    ``gate=False`` records the samples that it watches as well.

    `condition`, in the unit of `channel`: ``"rising"`` (from below ``level - hysteresis`` to `level`
    or above), ``"falling"``, ``"either"``, ``"above"`` and ``"below"`` (at the level or beyond it).
    Without a channel, records are only taken when asked for: :meth:`Recorder.capture`, which works
    with a channel, too. With ``pre=10, post=0`` that is "the last ten seconds".

    A trigger within a record begins no other; records do not overlap (samples that the record before
    has are not repeated); a gap and the end of the run cut a record.

    Raises:
        TaskError: An argument makes no sense.
    """

    channel: str | int | None = None
    level: float = 0.0
    condition: Literal["rising", "falling", "either", "above", "below"] = "rising"
    hysteresis: float = 0.0
    pre: float = 0.0
    post: float = 0.0
    gate: bool = True
    name: str = "records"
    log: bool = True
    of: str | None = None

    def __post_init__(self) -> None:
        if self.condition not in ("rising", "falling", "either", "above", "below"):
            raise TaskError(
                f"condition must be rising, falling, either, above or below, not {self.condition!r}"
            )
        try:
            finite = math.isfinite(float(self.level))
        except (TypeError, ValueError):
            finite = False
        if not finite:
            raise TaskError(f"level must be a finite number, not {self.level!r}")
        for what in ("hysteresis", "pre", "post"):
            _number(what, getattr(self, what), above=False)
        _name(self.name)
        _of(self.of)
        _flags(self, "log", "gate")

    @property
    def records_source(self) -> bool:
        return not self.gate

    def to_native(self, stream: StreamInfo) -> dict[str, Any]:
        _steady("a trigger", stream)
        return {
            "kind": "trigger",
            "name": self.name,
            "log": self.log,
            "channel": None if self.channel is None else _channel(self.channel, stream),
            "level": float(self.level),
            "condition": self.condition,
            "hysteresis": float(self.hysteresis),
            "pre": round(self.pre * stream.rate),
            "post": _samples(self.post, stream.rate),
        }

    def puts_out(self, stream: StreamInfo) -> StreamInfo:
        return dataclasses.replace(stream, name=self.name, records=True)


def _items(values: object) -> list[Any]:
    """What there is to iterate over; of what cannot be iterated over, something that is never right."""
    return list(values) if isinstance(values, Iterable) else [None]


def _is_line(line: object) -> bool:
    if not isinstance(line, Sequence) or isinstance(line, str) or len(line) != 3:
        return False
    channel, bit, name = line
    is_place = isinstance(channel, str) or whole(channel) is not None
    return is_place and whole(bit) is not None and isinstance(name, str) and bool(name)


def _no_two_alike(what: str, names: Sequence[str]) -> None:
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise TaskError(f"{what} must have names of their own; {twice!r} is there twice")


def _channel(channel: str | int, stream: StreamInfo, key: str = "channel") -> int:
    if isinstance(channel, str):
        if channel not in stream.channels:
            raise Misfit(
                f"{stream.name!r} has no channel {channel!r}, only {', '.join(stream.channels)}", key=key
            )
        return stream.channels.index(channel)
    number = whole(channel)
    if number is None or not 0 <= number < len(stream.channels):
        raise Misfit(
            f"channel must be a name or a number below {len(stream.channels)}, not {channel!r}", key=key
        )
    return number


@dataclasses.dataclass(frozen=True)
class DigitalLines(Stage):
    """The lines of digital ports that were read as integers, a boolean channel for each.

    `lines` names them: the channel, its bit (0 is the least significant) and a name. ``None``: all
    bits of all channels, as ``<channel>/line<bit>``.

    Raises:
        TaskError: An argument makes no sense.
    """

    lines: Sequence[tuple[str | int, int, str]] | None = None
    name: str = "lines"
    log: bool = True
    of: str | None = None

    def __post_init__(self) -> None:
        _name(self.name)
        _of(self.of)
        _flags(self, "log")
        if self.lines is not None and (
            isinstance(self.lines, str) or not all(map(_is_line, _items(self.lines)))
        ):
            raise TaskError(
                "lines must be a sequence such as [('Dev1/port0', 0, 'valve')]: channel, bit and name, "
                f"not {self.lines!r}"
            )
        _no_two_alike("lines", [name for _, _, name in self.lines or ()])

    @property
    def records_source(self) -> bool:
        return True

    def to_native(self, stream: StreamInfo) -> dict[str, Any]:
        if stream.dtype.kind not in "iu":
            raise TaskError(f"samples of type {stream.dtype} have no lines; record the port as integers")
        bits = 8 * stream.dtype.itemsize
        lines = self.lines
        if lines is None:
            lines = [
                (channel, bit, f"{name}/line{bit}")
                for channel, name in enumerate(stream.channels)
                for bit in range(bits)
            ]
        chosen = [(_channel(channel, stream, "lines"), int(bit), name) for channel, bit, name in lines]
        if any(not 0 <= bit < bits for _, bit, _ in chosen) or not chosen:
            raise Misfit(f"lines must name at least one bit, and bits from 0 to {bits - 1}", key="lines")
        return {"kind": "lines", "name": self.name, "log": self.log, "lines": chosen}

    def puts_out(self, stream: StreamInfo) -> StreamInfo:
        lines = self.to_native(stream)["lines"]
        return stream.put_out(self.name, [name for _, _, name in lines], np.bool_)


#: The C signature of a block function, for ctypes: status = f(block, data, output, user_data).
block_function: Callable[..., Any] = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
)


@dataclasses.dataclass(frozen=True)
class Native(Stage):
    """Calls a compiled function of your own for every block, on a worker, without the interpreter.

    `function` is one of: a ``numba.cfunc``, a ctypes function pointer, a cffi function pointer, a
    capsule named ``"daqring.stage"``, or an address. Its C signature is on the page "Processing of
    one's own"::

        int32_t function(const daqring_block *block, const void *data, double *output, void *user_data);

    It returns 0, or anything else to stop the recording with an error. What it writes to `output`,
    one value for each name in `outputs`, becomes a row in a group of its own with the time of the
    block's first sample. `outputs` may give units: ``{"peak": "V"}``.

    Workers call it for several blocks at once, unless ``ordered=True``: then for one block of a
    stream at a time, in order, so that it may keep state at `user_data` (an address). It must only
    read the samples; ``check=True`` notices if it does not, at the price of two checksums per block.

    Raises:
        TaskError: The function is none of these, or has another signature as far as that can be told.
    """

    function: Any
    outputs: Sequence[str] | Mapping[str, str] = ()
    name: str = "native"
    user_data: int = 0
    ordered: bool = False
    check: bool = False
    log: bool = True
    of: str | None = None

    def __post_init__(self) -> None:
        _name(self.name)
        _of(self.of)
        _address(self.function)
        _flags(self, "ordered", "check", "log")
        units = list(self.outputs.values()) if isinstance(self.outputs, Mapping) else []
        names = [] if isinstance(self.outputs, str) else _items(self.outputs)
        if isinstance(self.outputs, str) or not all(isinstance(text, str) for text in [*names, *units]):
            raise TaskError(f"outputs must be a list of names, or names with units, not {self.outputs!r}")
        if "" in names or "time" in names:
            raise TaskError("outputs must not be named '' or 'time', which is the name of their times")
        _no_two_alike("outputs", names)
        user_data = whole(self.user_data)
        if user_data is None or not 0 <= user_data < 1 << (8 * ctypes.sizeof(ctypes.c_void_p)):
            raise TaskError(f"user_data must be an address, not {self.user_data!r}")

    @property
    def records_source(self) -> bool:
        return True

    def to_native(self, stream: StreamInfo) -> dict[str, Any]:
        outputs = self.outputs
        named = list(outputs.items()) if isinstance(outputs, Mapping) else [(name, "") for name in outputs]
        return {
            "kind": "native",
            "name": self.name,
            "log": self.log,
            "address": _address(self.function),
            "user_data": int(self.user_data),
            "outputs": named,
            "ordered": self.ordered,
            "check": self.check,
            "keep": self.function,
        }

    def puts_out(self, stream: StreamInfo) -> StreamInfo:
        if not self.outputs:
            raise TaskError(f"{self.name!r} has no outputs, so there is nothing to work on")
        return stream.put_out(self.name, list(self.outputs), np.float64, steady=False)


#: The class that every function pointer of ctypes is one of.
_FUNCTION_POINTER: Any = block_function.__mro__[1]  # type: ignore[attr-defined]


def _address(function: Any) -> int:
    """The address of a compiled function, with its signature checked where it has one to check."""
    if isinstance(function, bool):
        raise TaskError(f"{function!r} is no compiled function")
    if isinstance(function, int):
        if function <= 0:
            raise TaskError(f"{function!r} is not the address of a function")
        return function
    if isinstance(function, _FUNCTION_POINTER):
        arguments = getattr(function, "argtypes", None)
        if arguments is not None:
            _check_signature(map(_kind_of_ctypes, arguments), _kind_of_ctypes(function.restype))
        address = int(ctypes.cast(function, ctypes.c_void_p).value or 0)
        if not address:
            raise TaskError(f"{function!r} points nowhere")
        return address
    if type(function).__name__ == "PyCapsule":
        try:
            return int(_native.stage_capsule_address(function))
        except ValueError as error:
            raise TaskError(str(error)) from None
    if type(function).__module__.startswith("numba") and hasattr(function, "address"):
        signature = getattr(function, "_sig", None)
        if signature is not None:
            _check_signature(map(_kind_of_numba, signature.args), _kind_of_numba(signature.return_type))
        return int(function.address)
    if type(function).__module__.startswith("_cffi_backend"):
        return _cffi_address(function)
    if callable(function):
        raise TaskError(
            f"{function!r} is Python code, which needs the interpreter; compile it (numba.cfunc), or process "
            "blocks in daqring.stream(...)"
        )
    raise TaskError(f"{function!r} is no compiled function")


def _check_signature(arguments: Iterable[str], result: str) -> None:
    """Of kinds such as ``pointer``, ``int32`` and ``float64``."""
    kinds = list(arguments)
    if len(kinds) != 4:
        raise TaskError(f"the function takes {len(kinds)} arguments; a block function takes 4")
    address = f"int{8 * ctypes.sizeof(ctypes.c_void_p)}"
    wrong = [kind for kind in kinds if kind not in ("pointer", address)]
    if wrong:
        raise TaskError(f"the function takes a {wrong[0]}; a block function takes 4 pointers")
    if result != "int32":
        raise TaskError(f"the function must return a 32-bit integer, not {result}")


def _kind(letter: str, size: int) -> str:
    what = "int" if letter in "bBhHiIlLqQ" else "float" if letter in "fdg" else "value"
    return f"{what}{8 * size}"


def _kind_of_ctypes(kind: Any) -> str:
    if kind is None:
        return "nothing"
    letter = getattr(kind, "_type_", None)
    if isinstance(letter, str) and letter not in "PzZO":
        return _kind(letter, ctypes.sizeof(kind))
    # Pointers, arrays and functions are addresses; so is what converts itself (numpy's ndpointer).
    return "pointer"


def _kind_of_numba(kind: Any) -> str:
    bits = getattr(kind, "bitwidth", None)
    if bits is None:
        return "nothing" if str(kind) == "none" else "pointer"
    return f"int{bits}" if type(kind).__name__ == "Integer" else f"float{bits}"


def _cffi_address(function: Any) -> int:
    import _cffi_backend  # type: ignore[import-untyped]

    kind = _cffi_backend.typeof(function)
    if kind.kind != "function":
        raise TaskError(f"{kind.cname!r} is not a function pointer")

    def told(part: Any) -> str:
        if part.kind != "primitive":
            return "nothing" if part.kind == "void" else "pointer"
        return _kind("d" if part.cname in ("float", "double") else "i", _cffi_backend.sizeof(part))

    _check_signature(map(told, kind.args), told(kind.result))
    return int(_cffi_backend.cast(_cffi_backend.new_primitive_type("uintptr_t"), function))


#: For one task, or the same for each of several; or by the names of the tasks.
Stages = Sequence[Stage] | Mapping[str, Sequence[Stage]]


class Misfit(TaskError):
    """A stage that makes sense by itself does not fit the task that it works on: which one, and by what."""

    def __init__(self, message: str, stage: Stage | None = None, key: str | None = None) -> None:
        super().__init__(message)
        self.stage = stage
        self.key = key


def plan(stages: Stages, streams: Sequence[StreamInfo]) -> list[dict[str, Any]]:
    """What each stream's description for the native module says of its stages.

    Raises:
        TaskError: They do not fit the streams, or two groups would have one name.
    """
    if isinstance(stages, Mapping):
        unknown = set(stages) - {stream.name for stream in streams}
        if unknown:
            raise Misfit(
                f"stages were given for {', '.join(map(repr, sorted(unknown)))}, but the tasks are "
                f"{', '.join(repr(stream.name) for stream in streams)}",
                stage=next(iter(_listed(stages[sorted(unknown)[0]])), None),
                key="task",
            )
    else:
        stages = _listed(stages)
    taken = {stream.name for stream in streams}
    planned = []
    for stream in streams:
        mine = _listed(stages.get(stream.name, ())) if isinstance(stages, Mapping) else stages
        prefix = f"{stream.name} " if len(streams) > 1 and not isinstance(stages, Mapping) else ""
        for stage in mine:
            if prefix + stage.name in taken:
                raise Misfit(
                    f"two groups would be named {prefix + stage.name!r}; give the stage another name",
                    stage=stage,
                    key="name",
                )
            taken.add(prefix + stage.name)
        behind = _behind(mine, stream.name)
        natives = [_branch(stage, stream, behind, prefix) for stage in behind[None]]
        planned.append(
            {"stages": natives, "record": all(stage.records_source for stage in behind[None])},
        )
    return planned


def _listed(stages: object) -> list[Stage]:
    """Stages, checked to be some."""
    if not isinstance(stages, Iterable) or isinstance(stages, str):
        raise TaskError(f"stages must be a list of stages, or lists by the names of tasks, not {stages!r}")
    listed = list(stages)
    for stage in listed:
        if isinstance(stage, type) or not hasattr(stage, "to_native"):
            raise TaskError(f"{stage!r} is no stage; those are made by the classes in daqring.stages")
    return listed


def _behind(stages: Sequence[Stage], task: str) -> dict[str | None, list[Stage]]:
    """The stages by the name of that whose output they work on; ``None``: the task's samples.

    Raises:
        TaskError: That does not exist, or they go round in a circle.
    """
    # The task's name says the same as none; no stage can have it.
    of = {stage.name: None if stage.of == task else stage.of for stage in stages}
    for name, source in of.items():
        if source is not None and source not in of:
            raise TaskError(
                f"stage {name!r} is to work on {source!r}, and there is no such stage; the stages are "
                f"{', '.join(map(repr, of))}"
            )
    named = {stage.name: stage for stage in stages}
    for name in of:
        way = [name]
        while (source := of[way[-1]]) is not None:
            way.append(source)
            if source == name:
                raise Misfit(
                    f"stages work on each other in a circle: {' of '.join(map(repr, way))}",
                    stage=named[name],
                    key="of",
                )
            if len(way) > len(of):
                break  # a circle further on, told when it is the turn of one that lies on it
    behind: dict[str | None, list[Stage]] = {None: []}
    for stage in stages:
        behind.setdefault(of[stage.name], []).append(stage)
    return behind


def _branch(
    stage: Stage, stream: StreamInfo, behind: dict[str | None, list[Stage]], prefix: str
) -> dict[str, Any]:
    """A stage as the native module makes it, with those that work on what it puts out."""
    try:
        native = stage.to_native(stream)
    except TaskError as error:
        raise Misfit(str(error), stage, getattr(error, "key", None)) from None
    native["name"] = prefix + native["name"]
    others = behind.get(stage.name)
    if not others:
        return native
    try:
        made = stage.puts_out(stream)
    except TaskError as error:
        raise Misfit(
            f"stage {others[0].name!r} cannot work on {stage.name!r}: {error}", others[0], "of"
        ) from None
    native["then"] = [_branch(other, made, behind, prefix) for other in others]
    native["log"] = native["log"] and all(other.records_source for other in others)
    return native


def each(planned: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The stages of a planned stream as the native module makes them, each followed by those behind it."""

    def walk(natives: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for native in natives:
            yield native
            yield from walk(native.get("then", ()))

    return walk(planned["stages"])


def names(planned: Mapping[str, Any]) -> list[str]:
    """Of all streams that the stages of a planned stream put out, in the order of their numbers."""
    return [
        str(native["name"]) for native in each(planned) if native["kind"] != "native" or native["outputs"]
    ]
