"""nidaqmx tasks from tables of plain values, such as a run file has.

The kinds of channels, timings and triggers and the names of their parameters are those of the
installed nidaqmx package: they are looked up in its own signatures, so that whatever it can
configure can be written down, and a misspelt name is told before anything is created.
"""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import enum
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from daqring.toml_lines import KeyPath

if TYPE_CHECKING:
    import nidaqmx

__all__ = ["TableError", "check_task", "make_task", "suggestion"]

TASK_KEYS = (
    *("name", "saved", "channels", "timing", "start_trigger", "reference_trigger", "pause_trigger"),
    *("exports", "stream"),
)
#: Everyday names of kinds that nidaqmx abbreviates.
EVERYDAY = {
    "thermocouple": "ai_thrmcpl",
    "thermistor_iex": "ai_thrmstr_iex",
    "thermistor_vex": "ai_thrmstr_vex",
    "acceleration": "ai_accel",
    "strain": "ai_strain_gage",
    "digital": "di",
    "frequency": "ci_freq",
    "sample_clock": "samp_clk",
    "digital_edge": "dig_edge",
    "digital_pattern": "dig_pattern",
    "analog_edge": "anlg_edge",
    "analog_window": "anlg_window",
    "analog_multi_edge": "anlg_multi_edge",
}
#: A value of each type that nidaqmx documents its properties with.
PROTOTYPES: dict[str, object] = {"bool": False, "float": 0.0, "int": 0, "str": ""}


class TableError(ValueError):
    """What is wrong with a table, and at which of its keys."""

    def __init__(self, message: str, path: KeyPath) -> None:
        super().__init__(message)
        self.path = path


def suggestion(word: str, known: Iterable[str]) -> str:
    """How an error ends: what was probably meant, or what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(word.lower(), names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known are {', '.join(names)}" if len(names) <= 60 else ""


# -- what nidaqmx offers ------------------------------------------------------------------------


def _channel_kinds() -> dict[str, tuple[str, str]]:
    """Kind to the collection of a task and its method: ``ai_voltage``, and ``voltage`` where unique."""
    from nidaqmx.task.collections import AIChannelCollection, CIChannelCollection, DIChannelCollection

    found: dict[str, tuple[str, str]] = {}
    collections = {
        "ai_channels": AIChannelCollection,
        "di_channels": DIChannelCollection,
        "ci_channels": CIChannelCollection,
    }
    for collection, kind in collections.items():
        for method in dir(kind):
            if method.startswith("add_"):
                found[method.removeprefix("add_").replace("_chan", "")] = (collection, method)
    short: dict[str, list[str]] = {}
    for name in found:
        short.setdefault(re.sub(r"^(ai|ci)_", "", name), []).append(name)
    for name, full in short.items():
        if len(full) == 1 and name not in found:
            found[name] = found[full[0]]
    for name, full_name in EVERYDAY.items():
        if full_name in found:
            found[name] = found[full_name]
    return found


def _configuring(of: type, ending: str) -> dict[str, str]:
    """Kind to method, of what has methods such as ``cfg_dig_edge_start_trig``."""
    found = {
        method.removeprefix("cfg_").removesuffix(ending): method
        for method in dir(of)
        if method.startswith("cfg_")
    }
    return found | {name: found[full] for name, full in EVERYDAY.items() if full in found}


def _enum_in_doc(doc: str | None, name: str) -> type[enum.Enum] | None:
    """The enumeration that a docstring gives as the type of a parameter (or of a property)."""
    import nidaqmx.constants

    where = rf"\b{re.escape(name)} \([^)]*?" if name else r"^\s*:class:`"
    match = re.search(where + r"nidaqmx\.constants\.(\w+)", doc or "", re.MULTILINE)
    found = getattr(nidaqmx.constants, match[1], None) if match else None
    return found if isinstance(found, type) and issubclass(found, enum.Enum) else None


def _member(of: type[enum.Enum], value: object, path: KeyPath, *, several: bool = False) -> object:
    if isinstance(value, list) and several:
        return [_member(of, each, (*path, number)) for number, each in enumerate(value)]
    name = re.sub(r"[ -]", "_", str(value)).upper() if isinstance(value, str) else ""
    if name not in of.__members__:
        raise TableError(
            f"{value!r} is no {of.__name__}{suggestion(name, of.__members__)}"
            if isinstance(value, str)
            else f"{value!r} must be the name of a {of.__name__}, such as {next(iter(of.__members__))!r}",
            path,
        )
    return of[name]


def _converted(default: object, value: object, path: KeyPath) -> object:
    """`value` for a parameter with this default; only types that can be meant."""
    if isinstance(default, enum.Enum):
        return _member(type(default), value, path)
    if isinstance(default, bool):
        fits, what = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        # 1e6 is a float in TOML.
        whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
        fits, what = whole and -(2**63) <= value < 2**63, "a whole number"  # type: ignore[operator]
        value = int(value) if fits else value  # type: ignore[call-overload]
    elif isinstance(default, float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits, what = number and not (isinstance(value, int) and abs(value) > 2**1000), "a number"
    elif isinstance(default, str):
        fits, what = isinstance(value, str), "a text"
    else:
        fits, what = True, ""
    if not fits:
        raise TableError(f"{value!r} must be {what}", path)
    return value


def _arguments(method: Callable[..., Any], table: Mapping[str, Any], path: KeyPath) -> dict[str, Any]:
    """The arguments of `method` from a table; its names, types and enumerations are checked."""
    if not isinstance(table, dict):
        raise TableError("must be a table", path)
    parameters = dict(list(inspect.signature(method).parameters.items())[1:])
    arguments = {}
    for key, value in table.items():
        if key not in parameters:
            raise TableError(
                f"no such parameter of {method.__name__}{suggestion(key, parameters)}", (*path, key)
            )
        default = parameters[key].default
        if not isinstance(default, enum.Enum):
            match = re.search(
                rf"\b{re.escape(key)} \((?:Optional\[)?(float|int|str|bool)\]?\)", method.__doc__ or ""
            )
            if match:
                default = PROTOTYPES[match[1]]
            elif default is inspect.Parameter.empty:
                default = None
        kind = None if isinstance(default, enum.Enum) else _enum_in_doc(method.__doc__, key)
        listed = re.search(rf"\b{re.escape(key)} \((?:Optional\[)?List\[([\w.]+)\]", method.__doc__ or "")
        if listed and listed[1] in PROTOTYPES:
            for number, each in enumerate(_list(value, (*path, key), "values")):
                _converted(PROTOTYPES[listed[1]], each, (*path, key, number))
        arguments[key] = (
            _converted(default, value, (*path, key))
            if kind is None
            else _member(kind, value, (*path, key), several=listed is not None)
        )
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in arguments:
            raise TableError(f"{name} is missing; {method.__name__} needs it", path)
    return arguments


def _settings(of: type, table: object, path: KeyPath) -> dict[str, Any]:
    """Properties to be set on an object of nidaqmx, by name; checked."""
    if not isinstance(table, dict):
        raise TableError("must be a table of properties", path)
    values = {}
    for key, value in table.items():
        attribute = inspect.getattr_static(of, key, None)
        if not isinstance(attribute, property) or attribute.fset is None:
            known = [
                name
                for name in dir(of)
                if isinstance(each := inspect.getattr_static(of, name), property) and each.fset
            ]
            raise TableError(
                f"no property of {of.__name__} that can be set{suggestion(key, known)}", (*path, key)
            )
        kind = _enum_in_doc(attribute.__doc__, "")
        example = PROTOTYPES.get((attribute.__doc__ or "").strip().partition(":")[0])
        values[key] = (
            _converted(example, value, (*path, key)) if kind is None else _member(kind, value, (*path, key))
        )
    return values


def _parted(table: object, path: KeyPath) -> tuple[dict[str, Any], dict[str, Any]]:
    """A table without its ``set``, and that."""
    if not isinstance(table, dict):
        raise TableError("must be a table", path)
    rest = dict(table)
    return rest, rest.pop("set", {})


# -- tasks --------------------------------------------------------------------------------------


class _Plan:
    """What is to be called on a task, all names and values checked."""

    def __init__(self, table: Mapping[str, Any], path: KeyPath) -> None:
        from nidaqmx.task import ExportSignals, InStream, Timing
        from nidaqmx.task.triggering import PauseTrigger, ReferenceTrigger, StartTrigger

        if not isinstance(table, dict):
            raise TableError("a task must be a table", path)
        for key in table:
            if key not in TASK_KEYS:
                raise TableError(f"no such key of a task{suggestion(key, TASK_KEYS)}", (*path, key))
        for key in ("name", "saved"):
            if not isinstance(table.get(key, ""), str):
                raise TableError(f"{table[key]!r} must be a text", (*path, key))
        self._path = path
        self.name: str = table.get("name", "")
        self.saved: str | None = table.get("saved")
        self.channels = [
            self._channel(each, (*path, "channels", number))
            for number, each in enumerate(_list(table.get("channels", []), (*path, "channels")))
        ]
        if self.saved is not None and self.channels:
            raise TableError("a saved task has its channels already: leave these out", (*path, "channels"))
        if self.saved is None and not self.channels:
            raise TableError('the task has no channels; add [[tasks.channels]], or saved = "NAME"', path)
        #: Of timing and triggers: attribute path, method, arguments, settings.
        self.calls: list[tuple[str, str | None, dict[str, Any], dict[str, Any]]] = []
        if "timing" in table:
            self.calls.append(
                self._call("timing", Timing, "_timing", table["timing"], (*path, "timing"), "samp_clk")
            )
        elif self.saved is None:
            raise TableError("the task has no timing; add [tasks.timing] with a rate", path)
        for key, attribute, kind, ending in (
            ("start_trigger", "triggers.start_trigger", StartTrigger, "_start_trig"),
            ("reference_trigger", "triggers.reference_trigger", ReferenceTrigger, "_ref_trig"),
            ("pause_trigger", "triggers.pause_trigger", PauseTrigger, "_pause_trig"),
        ):
            if key in table:
                self.calls.append(self._call(attribute, kind, ending, table[key], (*path, key), None))
        self.exports = [
            _arguments(ExportSignals.export_signal, each, (*path, "exports", number))
            for number, each in enumerate(_list(table.get("exports", []), (*path, "exports")))
        ]
        self.stream = _settings(InStream, table.get("stream", {}), (*path, "stream"))

    @staticmethod
    def _channel(table: object, path: KeyPath) -> tuple[str, str, dict[str, Any], dict[str, Any]]:
        from nidaqmx.task import channels, collections

        rest, settings = _parted(table, path)
        kinds = _channel_kinds()
        kind = rest.pop("kind", "voltage")
        if not isinstance(kind, str) or kind not in kinds:
            raise TableError(f"{kind!r} is no kind of channel{suggestion(str(kind), kinds)}", (*path, "kind"))
        collection, method = kinds[kind]
        of = {"ai_channels": "AI", "di_channels": "DI", "ci_channels": "CI"}[collection]
        function = getattr(getattr(collections, f"{of}ChannelCollection"), method)
        arguments = _arguments(function, rest, path)
        return (
            collection,
            method,
            arguments,
            _settings(getattr(channels, f"{of}Channel"), settings, (*path, "set")),
        )

    @staticmethod
    def _call(
        attribute: str, of: type, ending: str, table: object, path: KeyPath, default: str | None
    ) -> tuple[str, str | None, dict[str, Any], dict[str, Any]]:
        rest, settings = _parted(table, path)
        kinds = _configuring(of, ending)
        kind = rest.pop("kind", default)
        if kind is None and not rest:
            # Everything by properties, such as a pause trigger.
            return attribute, None, {}, _settings(of, settings, (*path, "set"))
        if not isinstance(kind, str) or kind not in kinds:
            raise TableError(
                f"{kind!r} is no kind that nidaqmx configures here{suggestion(str(kind), kinds)}",
                (*path, "kind") if "kind" in table else path,  # type: ignore[operator]
            )
        method = kinds[kind]
        if attribute == "timing":
            # A recording goes on; nidaqmx' own default is a finite number of samples.
            rest.setdefault("sample_mode", "CONTINUOUS")
            per_channel = rest.get("samps_per_chan", 1)
            if isinstance(per_channel, int | float) and not per_channel >= 1:
                raise TableError(f"{per_channel!r} must be 1 or more", (*path, "samps_per_chan"))
        return (
            attribute,
            method,
            _arguments(getattr(of, method), rest, path),
            _settings(of, settings, (*path, "set")),
        )

    def make(self) -> nidaqmx.Task:
        import nidaqmx
        from nidaqmx.system.storage import PersistedTask

        task = nidaqmx.Task(self.name) if self.saved is None else PersistedTask(self.saved).load()
        try:
            for number, (collection, method, arguments, settings) in enumerate(self.channels):
                with _refusals((*self._path, "channels", number)):
                    _set(getattr(getattr(task, collection), method)(**arguments), settings)
            for attribute, method_name, arguments, settings in self.calls:
                target: Any = task
                for name in attribute.split("."):
                    target = getattr(target, name)
                with _refusals((*self._path, attribute.rpartition(".")[2])):
                    if method_name is not None:
                        getattr(target, method_name)(**arguments)
                    _set(target, settings)
            for number, arguments in enumerate(self.exports):
                with _refusals((*self._path, "exports", number)):
                    task.export_signals.export_signal(**arguments)
            with _refusals((*self._path, "stream")):
                _set(task.in_stream, self.stream)
        except BaseException:
            task.close()
            raise
        return task


@contextlib.contextmanager
def _refusals(path: KeyPath) -> Iterator[None]:
    """What nidaqmx itself refuses, before the driver, as an error at a key."""
    try:
        yield
    except (TypeError, ValueError, ArithmeticError, AttributeError, ctypes.ArgumentError) as error:
        raise TableError(f"nidaqmx refuses it: {error}", path) from error


def _set(target: object, settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        setattr(target, name, value)


def _list(value: object, path: KeyPath, what: str = "tables") -> list[Any]:
    if not isinstance(value, list):
        raise TableError(f"must be a list of {what}", path)
    return value


def check_task(table: Mapping[str, Any], path: KeyPath = ()) -> None:
    """Checks a table of a task by nidaqmx' signatures alone, without a driver.

    Raises:
        TableError: It cannot be configured so.
    """
    _Plan(table, path)


def make_task(table: Mapping[str, Any], path: KeyPath = ()) -> nidaqmx.Task:
    """Makes the task that a table describes, or loads the saved one that it names.

    Raises:
        TableError: It cannot be configured so.
        nidaqmx.errors.Error: The driver refuses it.
    """
    return _Plan(table, path).make()
