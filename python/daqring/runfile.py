"""What a recording is to be, as plain values: from a TOML file, from flags, from both.

:meth:`Run.load` reads a file, :meth:`Run.over` lays other values over it (flags win),
:meth:`Run.check` finds what is wrong without a driver, and :meth:`Run.recorder` makes the
:class:`~daqring.Recorder`. The keys are described in ``python/docs/run-files.md``.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
import importlib
import importlib.util
import inspect
import math
import os
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daqring.errors import TaskError
from daqring.log_options import LogOptions
from daqring.log_options import _seconds as seconds_in
from daqring.task_tables import TableError, check_task, make_task, suggestion
from daqring.toml_lines import KeyPath, lines_of

if TYPE_CHECKING:
    import nidaqmx

    from daqring.recorder import Recorder
    from daqring.restart import Restart
    from daqring.stages import Stage

__all__ = ["Run", "RunFileError"]

NOTHING = "nothing to record: give --ai and --rate, --task or --from, or a run file with [[tasks]] or 'from'"
BACKSLASHES = r"between double quotes a backslash begins an escape; write 'C:\data\run.tdms' in single quotes"
#: How often the health is noted in the log, unless the description says otherwise.
HISTORY = "10 s"
SIMULATION_KEYS = ("devices", "product", "clock", "speed", "signal", "signals", "faults")
#: Stages that plain values describe.
STAGES = ("Statistics", "Envelope", "Scale", "Decimate", "Trigger")
FAULT_KEYS = ("device", "kind", "after", "seconds")


class RunFileError(TaskError):
    """The description of a run is wrong: the message names the file, the line and the key."""


# -- checks of single values: they raise ValueError with the rest of a sentence -----------------


def _text(value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} must be a text")


def _path(value: object) -> None:
    _text(value)
    # What "C:\temp" means in TOML is a tabulator.
    if any(character < " " for character in str(value)):
        raise ValueError(f"{value!r} cannot be a path: {BACKSLASHES}")


def _positive(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{value!r} must be a finite number above 0")


def _count(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{value!r} must be a whole number of 1 or more")


def _flag(value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{value!r} must be true or false")


def _time(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} must be a time, such as '5 s'")
    seconds_in("it", value)


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


def _list_of_tasks(value: object) -> None:
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of one or more tables: [[tasks]]")


def _list_of_stages(value: object) -> None:
    if not isinstance(value, list):
        raise ValueError("must be a list of tables: [[stages]]")


def _table(value: object) -> None:
    if not isinstance(value, dict):
        raise ValueError("must be a table")


#: Every key at the top of a description, and its check.
KEYS: dict[str, Callable[[object], None]] = {
    "out": _path,
    "name": _text,
    "from": _path,
    "seconds": _positive,
    "samples": _count,
    "block_ms": _positive,
    "overwrite": _flag,
    "dtype": _one_of("auto", "raw", "float64"),
    "buffer_seconds": _positive,
    "workers": _count,
    "reader": _one_of("auto", "native", "python"),
    "every": _positive,
    "times": _one_of("auto", "regular", "host"),
    "overflow": _one_of("wait", "drop_newest", "drop_oldest", "fail"),
    "stages": _list_of_stages,
    "on_loss": _one_of("stop", "continue"),
    "no_samples": _positive,
    "restart": _table,
    "history": _time_or_off,
    "metrics": _address,
    "keep_awake": _flag,
    "tasks": _list_of_tasks,
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
        except UnicodeDecodeError:
            raise RunFileError(f"{path} is not TOML: it is not UTF-8 text") from None

    def over(self, values: Mapping[str, Any]) -> Run:
        """This with `values` laid over it: tables are merged, everything else is replaced."""
        return dataclasses.replace(self, description=_merged(self.description, values))

    def to_toml(self) -> str:
        """The description as a file that :meth:`load` reads."""
        import tomli_w

        return tomli_w.dumps(self.description)

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

    def check(self) -> None:
        """Checks everything that can be checked without a driver.

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
        if "seconds" in self.description and "samples" in self.description:
            raise self.error(("samples",), "give seconds or samples, not both")
        if "tasks" in self.description and "from" in self.description:
            raise self.error(("from",), "give tasks or from, not both")
        if "tasks" not in self.description and "from" not in self.description:
            raise self.error((), NOTHING)
        for number, table in enumerate(self.description.get("tasks", [])):
            try:
                check_task(table, ("tasks", number))
            except TableError as error:
                raise self.error(error.path, str(error)) from None
        for key, value in self.description.get("properties", {}).items():
            if not isinstance(value, bool | int | float | str | datetime.datetime):
                raise self.error(("properties", key), "must be a text, a number, true or false, or a date")
        self.log_options()
        self.stages()
        self.restart()
        self._check_simulation()

    def _check_simulation(self) -> None:
        table = self.description.get("simulation", {})
        checks: dict[str, Callable[[object], None]] = {
            "product": _text,
            "clock": _one_of("real", "stepped", "unthrottled"),
            "speed": _positive,
            "signals": _table,
        }
        for key, value in table.items():
            if key not in SIMULATION_KEYS:
                raise self.error(("simulation", key), f"no such key{suggestion(key, SIMULATION_KEYS)}")
            try:
                if key in checks:
                    checks[key](value)
            except ValueError as error:
                raise self.error(("simulation", key), str(error)) from None
        faults = table.get("faults", [])
        if not isinstance(faults, list):
            raise self.error(("simulation", "faults"), "must be a list of tables")
        for number, fault in enumerate(faults):
            path: KeyPath = ("simulation", "faults", number)
            if not isinstance(fault, dict) or not {"device", "kind"} <= set(fault):
                raise self.error(path, "must be a table with a device and a kind")
            for key in fault:
                if key not in FAULT_KEYS:
                    raise self.error((*path, key), f"no such key{suggestion(key, FAULT_KEYS)}")

    def log_options(self) -> LogOptions:
        """The storage options.

        Raises:
            RunFileError: They do not exist or do not fit together.
        """
        table = self.description.get("log", {})
        known = [field.name for field in dataclasses.fields(LogOptions)]
        for key in table:
            if key not in known:
                raise self.error(("log", key), f"no such key{suggestion(key, known)}")
        try:
            return LogOptions(**table)
        except (ValueError, TypeError) as error:
            named = str(error).replace(":", " ").split(" ", 1)[0]
            path: KeyPath = ("log", named) if named in table else ("log",)
            raise self.error(path, str(error).removeprefix(f"{named}: ")) from None

    def stages(self) -> list[Stage] | dict[str, list[Stage]]:
        """The stages: a list for every task alike, or lists by the names of the tasks.

        Raises:
            RunFileError: They do not exist, or an argument makes no sense.
        """
        from daqring import stages

        kinds = {name.lower(): getattr(stages, name) for name in STAGES} | {
            "digital_lines": stages.DigitalLines
        }
        of_all: list[Stage] = []
        of_tasks: dict[str, list[Stage]] = {}
        for number, table in enumerate(self.description.get("stages", [])):
            path: KeyPath = ("stages", number)
            if not isinstance(table, dict):
                raise self.error(path, "must be a table")
            values = dict(table)
            kind, task = values.pop("kind", None), values.pop("task", None)
            if kind not in kinds:
                raise self.error((*path, "kind"), f"{kind!r} is no stage{suggestion(str(kind), kinds)}")
            known = [field.name for field in dataclasses.fields(kinds[kind])]
            for key in values:
                if key not in known:
                    meant = suggestion(key, known)
                    raise self.error((*path, key), f"no such key of the stage {kind}{meant}")
            try:
                stage = kinds[kind](**values)
            except (TaskError, TypeError, ValueError) as error:
                named = next((key for key in values if str(error).startswith(key)), None)
                raise self.error(path if named is None else (*path, named), str(error)) from None
            if task is None:
                of_all.append(stage)
            else:
                of_tasks.setdefault(str(task), []).append(stage)
        if of_all and of_tasks:
            raise self.error(("stages",), "either every stage names its task, or none does")
        return of_tasks or of_all

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
        for key in table:
            if key not in known:
                raise self.error(("restart", key), f"no such key{suggestion(key, known)}")
        try:
            return Restart(**table)
        except (TaskError, TypeError, ValueError) as error:
            raise self.error(("restart",), str(error)) from None

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
        devices = table.get("devices")
        if isinstance(devices, str) and self.file is not None:
            table["devices"] = str(self.file.parent / devices)
        path: KeyPath = ("simulation",)
        try:
            daqring.sim.install(**table)
            for name, signal in signals.items():
                path = ("simulation", "signals", name)
                daqring.sim.signal(name, signal)
            for number, fault in enumerate(faults):
                path = ("simulation", "faults", number)
                daqring.sim.fault(**fault)
        except OSError as error:
            path = ("simulation", "devices")
            raise self.error(path, f"{table['devices']} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError) as error:
            raise self.error(path, str(error)) from error

    def around(self) -> dict[str, Any]:
        """What is to be done beside the recorder: keeping the computer awake, answering for metrics."""
        return {
            "keep_awake": bool(self.description.get("keep_awake")),
            "metrics": self.description.get("metrics"),
        }

    def make_tasks(self) -> list[nidaqmx.Task]:
        """Makes (or loads) the tasks that the description has, or calls the function it names.

        Raises:
            RunFileError: The function cannot be had.
            nidaqmx.errors.Error: The driver refuses a task.
        """
        if "from" in self.description:
            made = self._function()()
            return list(made) if isinstance(made, list | tuple) else [made]
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

    def _function(self) -> Callable[[], Any]:
        named: str = self.description["from"]
        place, colon, name = named.rpartition(":")
        if not colon or not name.isidentifier():
            raise self.error(("from",), f"{named!r} must be like rig.py:make_tasks or package.rig:make_tasks")
        try:
            if place.endswith(".py"):
                path = Path(place)
                if self.file is not None and ("from",) in self.lines:
                    path = self.file.parent / path
                spec = importlib.util.spec_from_file_location(path.stem, path)
                if spec is None or spec.loader is None or not path.is_file():
                    raise self.error(("from",), f"there is no file {path}")
                module = importlib.util.module_from_spec(spec)
                sys.modules.setdefault(path.stem, module)
                spec.loader.exec_module(module)
            else:
                module = importlib.import_module(place)
        except ImportError as error:
            raise self.error(("from",), f"{place} cannot be imported: {error}") from error
        function = getattr(module, name, None)
        if not callable(function):
            raise self.error(("from",), f"{place} has no function {name}")
        made: Callable[[], Any] = function
        return made

    def recorder(self, **more: Any) -> Recorder:
        """The recorder of this run, not started; `more` are further arguments of it.

        Raises:
            RunFileError, TaskError: The run cannot be recorded so.
            nidaqmx.errors.Error: The driver refuses a task.
        """
        from daqring.recorder import Recorder

        self.check()
        known = inspect.signature(Recorder.__init__).parameters
        arguments = {key: value for key, value in self.description.items() if key not in OUR_KEYS}
        for key in arguments:
            if key not in known:
                raise self.error((key,), "this version of daqring cannot do that")
        history = self.description.get("history", HISTORY)
        arguments["history"] = None if history == "off" else history
        properties = {**self.description.get("properties", {}), "daqring.run": self.to_toml()}
        return Recorder(
            self.make_tasks,
            self.out,
            log=self.log_options(),
            stages=self.stages(),
            restart=self.restart(),
            properties=properties,
            **arguments,
            **more,
        )


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(dict(below))
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged
