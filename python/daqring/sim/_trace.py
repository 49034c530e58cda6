"""What a program called on the simulated library, call by call, and calling it again."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from daqring import _native
from daqring.sim import _control, _install

__all__ = ["replay", "trace"]

_FORMAT = "daqring-sim-calls-1"

_TYPES: dict[str, Any] = {
    kind._type_: kind
    for kind in (
        *(ctypes.c_int8, ctypes.c_uint8, ctypes.c_int16, ctypes.c_uint16, ctypes.c_int, ctypes.c_uint),
        *(ctypes.c_long, ctypes.c_ulong, ctypes.c_longlong, ctypes.c_ulonglong, ctypes.c_size_t),
        *(ctypes.c_float, ctypes.c_double, ctypes.c_void_p, ctypes.c_char_p),
    )
}

# What a test or a program changes beside DAQmx calls: functions of the native module.
_CONTROLS = (
    *("sim_configure", "sim_set_clock", "sim_step", "sim_set_signal", "sim_wire", "sim_fault", "sim_plug"),
    *("sim_set_transfer", "sim_hold_triggers", "sim_trigger"),
)

_TASK_NAME = 0x1276

_lock = threading.Lock()


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _is_input(function: str) -> bool:
    """Whether the arrays of a function are given to it, and not filled by it."""
    return function.startswith(("DAQmxWrite", "DAQmxSet", "DAQmxCfg", "DAQmxCreate"))


def _note(function: str, argument: Any, kind: Any) -> list[Any]:
    """An argument before its call, as a list that begins with what it is."""
    if argument is None:
        return ["null"]
    if isinstance(argument, str):
        return ["z", argument]
    if isinstance(argument, bytes):
        return ["z", _text(argument)]
    if isinstance(argument, np.ndarray):
        values = argument.ravel().tolist() if _is_input(function) else None
        return ["array", argument.dtype.str, argument.size, values, values is None and not argument.any()]
    if isinstance(argument, ctypes.Array):
        return ["buffer", ctypes.sizeof(argument)]
    referred = getattr(argument, "_obj", None)
    if referred is not None and hasattr(referred, "_type_"):
        return ["&", referred._type_, referred.value]
    if isinstance(argument, ctypes._SimpleCData):
        value = argument.value
        return [argument._type_, _text(value) if isinstance(value, bytes) else value]  # type: ignore[attr-defined]
    if isinstance(argument, (bool, int, float)):
        code = getattr(kind, "_type_", None)
        default = "d" if isinstance(argument, float) else "i"
        return [code if code in _TYPES else default, argument]
    # A callback, or a structure: noted, not kept.
    return ["callback" if isinstance(argument, ctypes._CFuncPtr) else "other", type(argument).__name__]  # type: ignore[attr-defined]


def _result(argument: Any, note: list[Any]) -> Any:
    """What a call left in an argument."""
    if note[0] == "&":
        return argument._obj.value
    if note[0] == "buffer":
        return _text(bytes(argument).split(b"\0")[0])
    if note[0] == "array" and note[4]:
        return zlib.crc32(np.ascontiguousarray(argument).tobytes())
    return None


class _Function:
    """A function of the library that notes its calls; all else is the function's own."""

    def __init__(self, name: str, function: Any, record: Callable[[dict[str, Any]], None]) -> None:
        self.__dict__.update(_name=name, _function=function, _record=record)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._function, name, value)

    def __call__(self, *arguments: Any) -> Any:
        kinds = self._function.argtypes or ()
        notes = [
            _note(self._name, argument, kinds[place] if place < len(kinds) else None)
            for place, argument in enumerate(arguments)
        ]
        code = self._function(*arguments)
        results = [_result(argument, note) for argument, note in zip(arguments, notes, strict=True)]
        self._record({"call": self._name, "arguments": notes, "code": code, "results": results})
        return code


class _Library:
    """The library with functions that note their calls."""

    def __init__(self, library: Any, record: Callable[[dict[str, Any]], None]) -> None:
        self._library, self._record = library, record

    def __getattr__(self, name: str) -> _Function:
        function = _Function(name, getattr(self._library, name), self._record)
        self.__dict__[name] = function
        return function


def _header() -> dict[str, Any]:
    return {"format": _FORMAT, "devices": _native.sim_device_specs(), "clock": list(_native.sim_clock())}


@contextlib.contextmanager
def trace(path: str | os.PathLike[str]) -> Iterator[None]:
    """A context that writes down every call that nidaqmx makes on the simulated library.

    Args:
        path: a file for the calls, one JSON object a line: the function, its arguments (numbers and
            strings; arrays that are written with their values, others with size and checksum), its
            status code, what it gave back, and the number of the thread. What the simulator is told
            meanwhile (clock steps, faults, devices, signals that are no arrays) is between them.

    Raises:
        RuntimeError: where the simulated library is not installed, or a trace is being written.
        OSError: where the file cannot be written.

    ``python -m daqring.sim.replay FILE`` makes the calls again and compares. daqring's own readers
    call the library past nidaqmx: of those, only what goes through nidaqmx is there.
    """
    if not _install.is_installed():
        raise RuntimeError("Call daqring.sim.install() first: only calls on the simulator can be traced.")
    ours = _install._ours
    with open(path, "w", encoding="utf-8") as file:
        record = _recorder(file)
        with _lock:
            library = ours._library
            if isinstance(library, _Library):
                raise RuntimeError("A trace is being written already; end it first.")
            record(_header())
            ours._library = _Library(library, record)
            controls = {name: getattr(_native, name) for name in _CONTROLS}
            for name, function in controls.items():
                setattr(_native, name, _control_noted(name, function, record))
        try:
            yield
        finally:
            with _lock:
                ours._library = library
                for name, function in controls.items():
                    setattr(_native, name, function)
            record(None)


def _recorder(file: TextIO) -> Callable[[dict[str, Any] | None], None]:
    lock, threads, open_ = threading.Lock(), dict[int, int](), [True]

    def record(entry: dict[str, Any] | None) -> None:
        with lock:
            if entry is None:
                open_[0] = False
            elif open_[0]:
                entry["thread"] = threads.setdefault(threading.get_ident(), len(threads))
                file.write(json.dumps(entry) + "\n")
                file.flush()

    return record


def _control_noted(name: str, function: Any, record: Callable[[dict[str, Any]], None]) -> Any:
    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        result = function(*arguments)
        try:
            json.dumps(arguments)
        except TypeError:
            record({"control": name, "arguments": None})
        else:
            record({"control": name, "arguments": list(arguments)})
        return result

    return call


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_uint32, ctypes.c_void_p
)
_nothing = _CALLBACK(lambda *_: 0)


def _argument(note: list[Any], handles: dict[int, int]) -> Any:
    what = note[0]
    if what in ("null", "other"):
        return None
    if what == "callback":
        return _nothing
    if what == "array":
        return np.zeros(note[2], note[1]) if note[3] is None else np.array(note[3], note[1])
    if what == "buffer":
        return (ctypes.c_char * note[1])()
    if what == "&":
        return _TYPES.get(note[1], ctypes.c_uint)(note[2])
    value = note[1]
    if what == "P" and value is not None:
        value = handles.get(value, value)
    return _TYPES.get(what, ctypes.c_int)(value.encode() if isinstance(value, str) else value)


def _named(result: Any) -> Any:
    """A result without the numbers that the library gives to tasks without names."""
    return re.sub(r"_unnamedTask<\d+>", "_unnamedTask", result) if isinstance(result, str) else result


def _passed(argument: Any, what: str) -> Any:
    if what == "&":
        return ctypes.byref(argument)
    return ctypes.c_void_p(argument.ctypes.data) if isinstance(argument, np.ndarray) else argument


def replay(path: str | os.PathLike[str]) -> list[str]:
    """Makes the calls of a trace again, one after the other, and compares what comes back.

    Args:
        path: a file that :func:`trace` wrote.

    Returns:
        A sentence for each difference: of status codes, and, where no real clock ran, of what the
        calls gave back. Empty where all is the same.

    Raises:
        ValueError: where the file is not a trace.
        OSError: where it cannot be read.

    The simulator is reset before and after. Callbacks do nothing.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    try:
        header, *entries = [json.loads(line) for line in lines]
        if header["format"] != _FORMAT:
            raise KeyError("format")
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not a trace of daqring.sim.trace().") from None
    library = ctypes.CDLL(_install.library_path())
    handles: dict[int, int] = {}
    different: list[str] = []
    real = header["clock"][0] == "real"
    _control.reset()
    try:
        _native.sim_configure(header["devices"])
        _native.sim_set_clock(*header["clock"])
        for number, entry in enumerate(entries, 2):
            if "control" in entry:
                if entry["arguments"] is None:
                    different.append(f"Line {number}: {entry['control']} cannot be repeated.")
                    continue
                getattr(_native, entry["control"])(*entry["arguments"])
                real = real if entry["control"] != "sim_set_clock" else entry["arguments"][0] == "real"
                continue
            notes, name = entry["arguments"], entry["call"]
            arguments = [_argument(note, handles) for note in notes]
            passed = [_passed(argument, note[0]) for argument, note in zip(arguments, notes, strict=True)]
            code = getattr(library, name)(*passed)
            if name == "DAQmxGetTaskAttribute" and notes[1][1:] == [_TASK_NAME]:
                # The library numbers tasks without names: the name may be longer now.
                continue
            if code != entry["code"]:
                different.append(f"Line {number}: {name} gave {code}, not {entry['code']}.")
            for place, (argument, note) in enumerate(zip(arguments, notes, strict=True)):
                was = entry["results"][place]
                if note[:2] == ["&", "P"]:
                    handles[was] = argument.value
                    continue
                view = ctypes.byref(argument) if note[0] == "&" else argument
                now = _result(view, note)
                if _named(now) != _named(was) and not real:
                    different.append(f"Line {number}: {name} gave back {now!r}, not {was!r}.")
    finally:
        _control.reset()
    return different
