"""What a recording is to be, as plain values: from a TOML file, from flags, from both.

:meth:`Run.load` reads a file, :meth:`Run.over` lays other values over it (flags win),
:meth:`Run.check` finds what is wrong without a driver, and :meth:`Run.recorder` makes the
:class:`~daqring.Recorder`. The keys are described in ``python/docs/run-files.md``.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import importlib
import importlib.util
import math
import os
import sys
import tomllib
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from daqring import placement
from daqring.errors import DaqringError, TaskError
from daqring.log_options import LogOptions
from daqring.log_options import _seconds as seconds_in
from daqring.tap_tables import TapCall, check_taps
from daqring.task_tables import TableError, check_task, make_task, suggestion
from daqring.toml_lines import KeyPath, lines_of

if TYPE_CHECKING:
    import nidaqmx

    from daqring.recorder import Recorder
    from daqring.restart import Restart
    from daqring.stages import Misfit, Stage

__all__ = ["Run", "RunFileError"]

NOTHING = "nothing to record: give --ai and --rate, --task or --from, or a run file with [[tasks]] or 'from'"
BACKSLASHES = r"between double quotes a backslash begins an escape; write 'C:\data\run.tdms' in single quotes"
#: How often the health is noted in the log, unless the description says otherwise.
HISTORY = "10 s"
SIMULATION_KEYS = ("devices", "product", "clock", "speed", "signal", "signals", "faults")
#: Keys of ``[log]`` and ``[restart]`` that a word can put to what Python calls ``None``.
NEVER = {"reserve": "off", "warn_left": "off", "attempts": "unlimited"}


#: What a signed 64-bit number can hold.
LARGEST = 2**63
MOST_WORKERS = 1024


class RunFileError(TaskError):
    """The description of a run is wrong: the message names the file, the line and the key."""


# -- checks of single values: they raise ValueError with the rest of a sentence -----------------


def _text(value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{_short(value)} must be a text")
    if not value.isprintable():
        raise ValueError(f"{_short(value)} must be a text on one line")


def _path(value: object) -> None:
    # What "C:\temp" means in TOML is a tabulator.
    if isinstance(value, str) and any(character < " " for character in value):
        raise ValueError(f"{_short(value)} cannot be a path: {BACKSLASHES}")
    _text(value)


def _positive(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < LARGEST:
        raise ValueError(f"{_short(value)} must be a finite number above 0")


def _count(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{_short(value)} must be a whole number of 1 or more")
    if value >= LARGEST:
        raise ValueError(f"{_short(value)} is more than can be counted")


def _threads(value: object) -> None:
    _count(value)
    if isinstance(value, int) and value > MOST_WORKERS:
        raise ValueError(f"{value} threads are more than the {MOST_WORKERS} that can make sense")


def _short(value: object) -> str:
    """A value in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _flag(value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} must be true or false")


def _time(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{_short(value)} must be a time, such as '5 s'")
    try:
        seconds_in("it", value)
    except ValueError as error:
        raise ValueError(str(error).removeprefix("it: ")) from None


def _time_or_off(value: object) -> None:
    if value != "off":
        _time(value)


def _one_of(*words: str) -> Callable[[object], None]:
    def check(value: object) -> None:
        if value not in words:
            raise ValueError(f"{value!r} must be one of {', '.join(words)}")

    return check


def _address(value: object) -> None:
    host, colon, port = str(value).rpartition(":")
    plain = isinstance(value, int | str) and not isinstance(value, bool)
    if not plain or not port.isdecimal() or not 0 <= int(port) <= 65535 or (colon and not host):
        raise ValueError(f"{value!r} must be a port such as 9108, or an address such as '0.0.0.0:9108'")


def _list_of(what: str, *, empty: bool = True) -> Callable[[object], None]:
    def check(value: object) -> None:
        if not isinstance(value, list) or not (value or empty):
            raise ValueError(f"must be a list of{' ' if empty else ' one or more '}tables: [[{what}]]")

    return check


def _cores(value: object) -> None:
    if not isinstance(value, dict):
        raise ValueError("must be a table such as { acquire = 0, workers = [1, 2] }")


def _product(value: object) -> None:
    from daqring.sim._devices import check_product

    _text(value)
    check_product(str(value))


def _devices(value: object) -> None:
    if not isinstance(value, str | list | dict) or not value:
        raise ValueError(f"{_short(value)} must be a file, or a table such as {{ Dev1 = 'PCIe-6363' }}")


def _table(value: object) -> None:
    if not isinstance(value, dict):
        raise ValueError("must be a table")


def _quantity(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{_short(value)} must be a number, or a text such as '4 GB' or '10 min'")
    if not isinstance(value, str):
        _positive(value)


def _seconds_from_0(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < LARGEST:
        raise ValueError(f"{_short(value)} must be a number of seconds, 0 or more")


def _seconds_or_for_ever(value: object) -> None:
    if value != math.inf:
        _seconds_from_0(value)


def _from_0(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LARGEST:
        raise ValueError(f"{_short(value)} must be a whole number, 0 or more")


def _attempts(value: object) -> None:
    if value != "unlimited":
        _count(value)


def _texts(value: object) -> None:
    for each in value if isinstance(value, list) else [value]:
        _text(each)


def _never(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table with ``None`` where a word says so."""
    return {key: None if key in NEVER and value == NEVER[key] else value for key, value in table.items()}


#: Checks of the keys of ``[log]`` that are no sizes and times, and of ``[restart]``.
LOG_CHECKS: dict[str, Callable[[object], None]] = {
    "sync": _text,
    "rotate_samples": _count,
    "direct_io": _flag,
    "checksum": _flag,
}
RESTART_CHECKS: dict[str, Callable[[object], None]] = {
    "on": _texts,
    "attempts": _attempts,
    "wait": _seconds_from_0,
}
FAULT_CHECKS: dict[str, Callable[[object], None]] = {
    "device": _text,
    "kind": _text,
    "after": _from_0,
    # A clock may be lost for ever.
    "seconds": _seconds_or_for_ever,
}
#: Every key at the top of a description, and its check.
KEYS: dict[str, Callable[[object], None]] = {
    "out": _path,
    "name": _text,
    "from": _path,
    "seconds": _positive,
    "samples": _count,
    "block_ms": _positive,
    "read_ms": _positive,
    "overwrite": _flag,
    "dtype": _one_of("auto", "raw", "float64"),
    "buffer_seconds": _positive,
    "workers": _threads,
    "reader": _one_of("auto", "native", "python"),
    "every": _positive,
    "times": _one_of("auto", "regular", "host"),
    "overflow": _one_of("wait", "drop_newest", "drop_oldest", "fail"),
    "stages": _list_of("stages"),
    "on_loss": _one_of("stop", "continue"),
    "no_samples": _positive,
    "restart": _table,
    "history": _time_or_off,
    "metrics": _address,
    "keep_awake": _flag,
    "gui": _flag,
    "pin": _cores,
    "priority": _one_of("normal", "high"),
    "keep_seconds": _positive,
    "taps": _list_of("taps"),
    "tasks": _list_of("tasks", empty=False),
    "log": _table,
    "properties": _table,
    "simulation": _table,
}
#: Those that are not arguments of the recorder.
OUR_KEYS = frozenset(
    {
        "out",
        "from",
        "history",
        "metrics",
        "keep_awake",
        "gui",
        "taps",
        "tasks",
        "stages",
        "restart",
        "log",
        "properties",
        "simulation",
    }
)


@dataclasses.dataclass(frozen=True)
class Run:
    """The description of a run: nested tables of plain values, and where they came from."""

    #: The values; what is not there takes its default.
    description: dict[str, Any]
    #: The file, for messages and for what is named relative to it.
    file: Path | None = None
    #: Lines of the file's keys.
    lines: Mapping[KeyPath, int] = dataclasses.field(default_factory=dict)
    #: Modules of the files that functions were taken from.
    modules: dict[Path, ModuleType] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Run:
        """Reads a TOML file.

        Raises:
            RunFileError: It is not TOML.
            OSError: It cannot be read.
        """
        path = Path(path)
        try:
            text = path.read_text(encoding="utf-8-sig")
            return cls(tomllib.loads(text), path, lines_of(text))
        except tomllib.TOMLDecodeError as error:
            advice = f"; {BACKSLASHES}" if "\\" in str(error) or "hex" in str(error) else ""
            raise RunFileError(f"{path} is not TOML: {error}{advice}") from None
        except RecursionError:
            raise RunFileError(f"{path} is no run file: its tables are nested too deeply") from None
        except UnicodeDecodeError:
            raise RunFileError(f"{path} is not TOML: it is not UTF-8 text") from None

    @classmethod
    def of_log(cls, path: str | os.PathLike[str]) -> Run:
        """The description that a log has of itself, to record the same again (into another file).

        Raises:
            RunFileError: It has none.
            LogFormatError, OSError: It cannot be read.
        """
        from daqring import tdms

        text = tdms.open(path).properties.get("daqring.run")
        if not isinstance(text, str):
            raise RunFileError(f"{path} does not tell how it was recorded: 'daqring record' made no such log")
        run = cls(tomllib.loads(text), Path(path), lines_of(text))
        # To overwrite that one, and to look at it, was wanted then.
        kept = {key: value for key, value in run.description.items() if key not in ("overwrite", "gui")}
        return dataclasses.replace(run, description=kept)

    def over(self, values: Mapping[str, Any]) -> Run:
        """This with `values` laid over it: tables are merged, everything else is replaced."""
        return dataclasses.replace(self, description=_merged(self.description, values))

    def to_toml(self) -> str:
        """The description as a file that :meth:`load` reads, wherever that lies: paths are whole."""
        import tomli_w

        whole = copy.deepcopy(self.description)
        if isinstance(named := whole.get("from"), str):
            whole["from"] = self._whole_call(("from",), named)
        for number, table in enumerate(whole.get("taps", [])):
            table["call"] = self._whole_call(("taps", number, "call"), table["call"])
        for number, table in enumerate(whole.get("stages", [])):
            if "library" in table:
                path: KeyPath = ("stages", number, "library")
                table["library"] = str(self.beside(path, table["library"]).absolute())
        simulation = whole.get("simulation", {})
        if isinstance(devices := simulation.get("devices"), str):
            simulation["devices"] = str(self.beside(("simulation", "devices"), devices).absolute())
        return tomli_w.dumps(whole)

    def _whole_call(self, path: KeyPath, named: str) -> str:
        place, colon, name = named.rpartition(":")
        return f"{self.beside(path, place).absolute()}{colon}{name}" if place.endswith(".py") else named

    def beside(self, path: KeyPath, name: str) -> Path:
        """The file that a key names: beside the run file that has the key, else from here."""
        return Path(name) if self.file is None or path not in self.lines else self.file.parent / name

    # -- checking -----------------------------------------------------------------------------

    def error(self, path: KeyPath, message: str) -> RunFileError:
        """An error at a key, with the line on which it (or the table around it) stands."""
        key = ""
        for part in path:
            key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else part
        where = ""
        if self.file is not None:
            where = f"{self.file}: "
            for length in range(len(path), 0, -1):
                if path[:length] in self.lines:
                    where = f"{self.file}, line {self.lines[path[:length]]}: "
                    break
        return RunFileError(f"{where}{key}: {message}" if key else f"{where}{message}")

    def check_keys(self) -> None:
        """Checks the names and the plain values at the top: of a file, before flags are laid over it.

        Raises:
            RunFileError: With the file, the line and the key of the first thing that is wrong.
        """
        for key, value in self.description.items():
            if key not in KEYS:
                raise self.error((key,), f"no such key{suggestion(key, KEYS)}")
            try:
                KEYS[key](value)
            except ValueError as error:
                raise self.error((key,), str(error)) from None

    def check(self) -> None:
        """Checks everything that can be checked without a driver.

        Raises:
            RunFileError: With the file, the line and the key of the first thing that is wrong.
        """
        self.check_keys()
        if "seconds" in self.description and "samples" in self.description:
            raise self.error(("samples",), "give seconds or samples, not both")
        if "tasks" in self.description and "from" in self.description:
            raise self.error(("from",), "give tasks or from, not both")
        if "tasks" not in self.description and "from" not in self.description:
            raise self.error((), NOTHING)
        try:
            for number, table in enumerate(self.description.get("tasks", [])):
                check_task(table, ("tasks", number))
            check_taps(self.description.get("taps"), ("taps",))
        except TableError as error:
            raise self.error(error.path, str(error)) from None
        self._check_properties()
        self._check_pin()
        self.log_options()
        self.stages()
        self.restart()
        self._check_simulation()

    def _check_properties(self) -> None:
        given: list[tuple[KeyPath, Any]] = []
        for key, value in self.description.get("properties", {}).items():
            own = isinstance(value, dict)
            given += [((key, name), one) for name, one in value.items()] if own else [((key,), value)]
        for place, value in given:
            path: KeyPath = ("properties", *place)
            if not isinstance(value, bool | int | float | str | datetime.datetime):
                raise self.error(path, "must be a text, a number, true or false, or a date with a time")
            if isinstance(value, int) and not -LARGEST <= value < LARGEST:
                raise self.error(path, f"{_short(value)} is more than 64 bits can hold")
            if str(place[-1]).startswith("daqring."):
                raise self.error(path, "names that begin with 'daqring.' are those of the log itself")

    def _check_pin(self) -> None:
        for kind, cores in self.description.get("pin", {}).items():
            path: KeyPath = ("pin", kind)
            if kind not in placement.KINDS:
                raise self.error(path, f"no such kind of thread{suggestion(kind, placement.KINDS)}")
            listed = cores if isinstance(cores, list) else [cores]
            if not listed or not all(type(core) is int and 0 <= core < LARGEST for core in listed):
                raise self.error(path, f"{_short(cores)} must be the number of a core, or a list of them")

    def _check_simulation(self) -> None:
        table = self.description.get("simulation", {})
        checks: dict[str, Callable[[object], None]] = {
            "devices": _devices,
            "product": _product,
            "clock": _one_of("real", "stepped", "unthrottled"),
            "speed": _positive,
            "signals": _table,
            "faults": _list_of("simulation.faults"),
        }
        for key, value in table.items():
            if key not in SIMULATION_KEYS:
                raise self.error(("simulation", key), f"no such key{suggestion(key, SIMULATION_KEYS)}")
            try:
                if key in checks:
                    checks[key](value)
            except ValueError as error:
                raise self.error(("simulation", key), str(error)) from None
        if "product" in table and "devices" in table:
            raise self.error(("simulation", "devices"), "give devices or product, not both")
        for number, fault in enumerate(table.get("faults", [])):
            path: KeyPath = ("simulation", "faults", number)
            if not isinstance(fault, dict) or not {"device", "kind"} <= set(fault):
                raise self.error(path, "must be a table with a device and a kind")
            for key, value in fault.items():
                if key not in FAULT_CHECKS:
                    raise self.error((*path, key), f"no such key{suggestion(key, FAULT_CHECKS)}")
                try:
                    FAULT_CHECKS[key](value)
                except ValueError as error:
                    raise self.error((*path, key), str(error)) from None

    def log_options(self) -> LogOptions:
        """The storage options.

        Raises:
            RunFileError: They do not exist or do not fit together.
        """
        table = self.description.get("log", {})
        known = [field.name for field in dataclasses.fields(LogOptions)]
        for key, value in table.items():
            if key not in known:
                raise self.error(("log", key), f"no such key{suggestion(key, known)}")
            try:
                LOG_CHECKS.get(key, _quantity)(value)
            except ValueError as error:
                raise self.error(("log", key), str(error)) from None
        try:
            return LogOptions(**_never(table))
        except (ValueError, TypeError, OverflowError) as error:
            named = str(error).replace(":", " ").split(" ", 1)[0]
            path: KeyPath = ("log", named) if named in table else ("log",)
            raise self.error(path, str(error).removeprefix(f"{named}: ")) from None

    def stages(self) -> list[Stage] | dict[str, list[Stage]]:
        """The stages: a list for every task alike, or lists by the names of the tasks.

        Raises:
            RunFileError: They do not exist, or an argument makes no sense.
        """
        from daqring.stage_tables import make_stages

        try:
            return make_stages(self.description.get("stages"), ("stages",), self.beside)
        except TableError as error:
            raise self.error(error.path, str(error)) from None

    def restart(self) -> Restart | None:
        """What is to be done after a failure of the device.

        Raises:
            RunFileError: An argument does not exist or makes no sense.
        """
        from daqring.restart import Restart

        table = self.description.get("restart")
        if table is None:
            return None
        known = [field.name for field in dataclasses.fields(Restart)]
        for key, value in table.items():
            if key not in known:
                raise self.error(("restart", key), f"no such key{suggestion(key, known)}")
            try:
                if key in RESTART_CHECKS:
                    RESTART_CHECKS[key](value)
            except ValueError as error:
                raise self.error(("restart", key), str(error)) from None
        try:
            return Restart(**_never(table))
        except TaskError as error:
            named = next((key for key in table if str(error).startswith((key, f"restart {key}"))), None)
            path: KeyPath = ("restart",) if named is None else ("restart", named)
            raise self.error(path, str(error)) from None

    # -- doing it -----------------------------------------------------------------------------

    @property
    def out(self) -> str:
        """The file to make."""
        if "out" not in self.description:
            raise self.error((), 'no file to make: give OUT, or out = "run.tdms" in the run file')
        return str(self.description["out"])

    @property
    def simulated(self) -> bool:
        """Whether the simulated driver is to be used."""
        return "simulation" in self.description

    def prepare_driver(self) -> None:
        """Installs the simulated driver where the description asks for it.

        Raises:
            RunFileError: A device, clock, signal or fault does not exist.
        """
        if not self.simulated:
            return
        import daqring.sim

        table = dict(self.description["simulation"])
        signals, faults = table.pop("signals", {}), table.pop("faults", [])
        everywhere = table.pop("signal", None)
        devices = table.get("devices")
        if isinstance(devices, str):
            table["devices"] = str(self.beside(("simulation", "devices"), devices))
        path: KeyPath = ("simulation",)
        try:
            if "devices" in table:
                path = ("simulation", "devices")
            daqring.sim.install(**table)
            if everywhere is not None:
                path = ("simulation", "signal")
                daqring.sim.signal(None, everywhere)
            for name, signal in signals.items():
                path = ("simulation", "signals", name)
                daqring.sim.signal(name, signal)
            for number, fault in enumerate(faults):
                path = ("simulation", "faults", number)
                daqring.sim.fault(**fault)
        except OSError as error:
            path = ("simulation", "devices")
            raise self.error(path, f"{table['devices']} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError) as error:
            raise self.error(path, str(error.args[0] if error.args else error)) from error

    def around(self) -> dict[str, Any]:
        """What is to be done beside the recorder, as :class:`daqring.cli.ending.Ending` takes it.

        Raises:
            RunFileError: The function of a tap cannot be had, or no window can be opened here.
        """
        from daqring.cli.window import hindrance

        gui = bool(self.description.get("gui"))
        if gui and (why := hindrance()) is not None:
            raise self.error(("gui",), why)
        return {
            "keep_awake": bool(self.description.get("keep_awake")),
            "metrics": self.description.get("metrics"),
            "scope": self.out if gui else None,
            "taps": [
                TapCall(
                    self._function(("taps", number, "call"), table["call"]),
                    {key: value for key, value in table.items() if key != "call"},
                )
                for number, table in enumerate(self.description.get("taps", []))
            ],
        }

    def make_tasks(self) -> list[nidaqmx.Task]:
        """Makes (or loads) the tasks that the description has, or calls the function it names.

        Raises:
            RunFileError: The function cannot be had, or fails.
            nidaqmx.errors.Error: The driver refuses a task.
        """
        return self._maker()()

    def _maker(self) -> Callable[[], list[nidaqmx.Task]]:
        if "from" not in self.description:
            return self._make_tasks
        path: KeyPath = ("from",)
        named = self.description["from"]
        function = self._function(path, named)
        place = named.rpartition(":")[0]

        def make() -> list[nidaqmx.Task]:
            with self._told(path, str(self.beside(path, place)) if place.endswith(".py") else place):
                made = function()
            return list(made) if isinstance(made, list | tuple) else [made]

        return make

    def _make_tasks(self) -> list[nidaqmx.Task]:
        tasks: list[nidaqmx.Task] = []
        try:
            for number, table in enumerate(self.description["tasks"]):
                path: KeyPath = ("tasks", number)
                try:
                    tasks.append(make_task(table, path))
                except TableError as error:
                    raise self.error(error.path, str(error)) from None
        except BaseException:
            for task in tasks:
                task.close()
            raise
        return tasks

    def _function(self, path: KeyPath, named: str) -> Callable[..., Any]:
        """The function of a file or a module that a key names."""
        place, colon, name = named.rpartition(":")
        if not colon or not name.isidentifier() or not place:
            raise self.error(path, f"{named!r} must be like rig.py:function or package.rig:function")
        if place.endswith(".py"):
            file = self.beside(path, place)
            if not file.is_file():
                raise self.error(path, f"there is no file {file}")
            # The same file is the same module, for whatever is taken of it.
            module = self.modules.get(file.resolve())
            if module is None:
                spec = importlib.util.spec_from_file_location(file.stem, file)
                if spec is None or spec.loader is None:
                    raise self.error(path, f"{file} cannot be imported")
                module = importlib.util.module_from_spec(spec)
                sys.modules.setdefault(file.stem, module)
                with self._told(path, str(file)):
                    spec.loader.exec_module(module)
                self.modules[file.resolve()] = module
        else:
            with self._told(path, place):
                module = importlib.import_module(place)
        function = getattr(module, name, None)
        if not callable(function):
            raise self.error(path, f"{place} has no function {name}")
        made: Callable[..., Any] = function
        return made

    @contextlib.contextmanager
    def _told(self, path: KeyPath, file: str) -> Iterator[None]:
        """What goes wrong in code of the user's as an error at the key that named it, with the line there."""
        try:
            yield
        except Exception as error:
            if getattr(error, "error_code", None) is not None or isinstance(error, DaqringError):
                raise
            frames = traceback.extract_tb(error.__traceback__)
            inside = [frame for frame in frames if Path(frame.filename) == Path(file).absolute()]
            where = f"{file}, line {inside[-1].lineno}" if inside else file
            kind = type(error).__name__
            failed = (
                f"{where} cannot be imported: " if isinstance(error, ImportError) else f"{where}: {kind}: "
            )
            raise self.error(path, f"{failed}{error}") from error

    def recorder(self, **more: Any) -> Recorder:
        """The recorder of this run, not started; `more` are further arguments of it.

        Raises:
            RunFileError, TaskError: The run cannot be recorded so.
            nidaqmx.errors.Error: The driver refuses a task.
        """
        from daqring.recorder import Recorder
        from daqring.stages import Misfit

        self.check()
        arguments = {key: value for key, value in self.description.items() if key not in OUR_KEYS}
        history = self.description.get("history", HISTORY)
        arguments["history"] = None if history == "off" else history
        properties = {**self.description.get("properties", {}), "daqring.run": self.to_toml()}
        try:
            placement.placement(arguments.get("pin"), arguments.get("priority", "normal"))
        except TaskError as error:
            raise self.error(("pin",), str(error)) from None
        stages = self.stages()
        try:
            recorder = Recorder(
                self._maker(),
                self.out,
                log=self.log_options(),
                stages=stages,
                restart=self.restart(),
                properties=properties,
                **arguments,
                **more,
            )
        except Misfit as error:
            raise self._misfit(error, stages) from None
        try:
            self._check_streams(recorder)
        except BaseException:
            recorder._tasks.close()
            raise
        return recorder

    def _misfit(self, error: Misfit, stages: list[Stage] | dict[str, list[Stage]]) -> TaskError:
        """What is wrong with a stage as soon as its task is known, at its table or its key."""
        from daqring.stage_tables import place_of

        tables = self.description.get("stages", [])
        number = None if error.stage is None else place_of(error.stage, stages, tables)
        if number is None:
            return error
        path: KeyPath = ("stages", number)
        if error.key is not None and error.key in tables[number]:
            path = (*path, error.key)
        return self.error(path, str(error))

    def _check_streams(self, recorder: Recorder) -> None:
        """Whether there is what taps want to look at."""
        from daqring.stages import names as stage_names

        names = [acquisition.name for acquisition in recorder._acquisitions]
        names += [name for planned in recorder._stages for name in stage_names(planned)]
        for number, table in enumerate(self.description.get("taps", [])):
            if table.get("stream", names[0]) not in names:
                path: KeyPath = ("taps", number, "stream")
                raise self.error(
                    path, f"there is no stream {table['stream']!r}{suggestion(table['stream'], names)}"
                )


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(below))
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged
