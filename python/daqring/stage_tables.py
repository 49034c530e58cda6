"""Stages from tables of plain values, such as a run file has."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daqring import stages
from daqring.errors import TaskError
from daqring.task_tables import TableError, suggestion
from daqring.toml_lines import KeyPath

if TYPE_CHECKING:
    from daqring.stages import Stage

__all__ = ["KINDS", "keys_of", "make_stages", "place_of"]

#: Kind in a table to the class.
KINDS: dict[str, Any] = {
    "statistics": stages.Statistics,
    "envelope": stages.Envelope,
    "scale": stages.Scale,
    "decimate": stages.Decimate,
    "trigger": stages.Trigger,
    "digital_lines": stages.DigitalLines,
    "native": stages.Native,
}
#: Of a compiled function a table names the library and the symbol; an address has no meaning there.
IN_PLACE_OF_FUNCTION = ("library", "symbol")
#: Of a span of samples.
MOST_SECONDS = 1e9
NOT_OF_NATIVE = ("function", "user_data")


def keys_of(kind: str) -> list[str]:
    """The keys that a table of this kind may have besides ``kind`` and ``task``."""
    fields = [field.name for field in dataclasses.fields(KINDS[kind])]
    if kind != "native":
        return fields
    return [*IN_PLACE_OF_FUNCTION, *(name for name in fields if name not in NOT_OF_NATIVE)]


def make_stages(
    tables: object, path: KeyPath, beside: Callable[[KeyPath, str], Path]
) -> list[Stage] | dict[str, list[Stage]]:
    """The stages: a list for every task alike, or lists by the names of the tasks.

    `beside` gives the file that a key names.

    Raises:
        TableError: They do not exist, or an argument makes no sense.
    """
    of_all: list[tuple[int, Stage]] = []
    of_tasks: dict[str, list[tuple[int, Stage]]] = {}
    for number, table in enumerate(tables if isinstance(tables, list) else []):
        here: KeyPath = (*path, number)
        if not isinstance(table, dict):
            raise TableError("must be a table", here)
        values = dict(table)
        task = values.pop("task", None)
        if task is not None and (not isinstance(task, str) or not task):
            raise TableError(f"{task!r} must be the name of a task", (*here, "task"))
        stage = _stage(values, here, beside)
        if task is None:
            of_all.append((number, stage))
        else:
            of_tasks.setdefault(task, []).append((number, stage))
    if of_all and of_tasks:
        raise TableError("either every stage names its task, or none does", path)
    _check_chains([of_all, *of_tasks.values()], path)
    if of_tasks:
        return {task: [stage for _, stage in mine] for task, mine in of_tasks.items()}
    return [stage for _, stage in of_all]


def place_of(
    stage: Stage, made: list[Stage] | dict[str, list[Stage]], tables: Sequence[Mapping[str, Any]]
) -> int | None:
    """Number of the table of which :func:`make_stages` has made a stage; ``None``: it is none of these."""
    if isinstance(made, list):
        order = iter(made)
        turns = [order for _ in tables]
    else:
        orders = {task: iter(mine) for task, mine in made.items()}
        turns = [orders[table["task"]] for table in tables]
    # Two stages may be equal.
    return next((number for number, turn in enumerate(turns) if next(turn) is stage), None)


def _check_chains(lists: list[list[tuple[int, Stage]]], path: KeyPath) -> None:
    for stages_of_one in lists:
        names = [stage.name for _, stage in stages_of_one]
        for number, stage in stages_of_one:
            if stage.of is not None and stage.of not in names:
                raise TableError(
                    f"there is no stage {stage.of!r}{suggestion(stage.of, names)}", (*path, number, "of")
                )


def _stage(values: dict[str, Any], path: KeyPath, beside: Callable[[KeyPath, str], Path]) -> Stage:
    kind = values.pop("kind", None)
    if not isinstance(kind, str) or kind not in KINDS:
        raise TableError(
            f"kind is missing{suggestion('', KINDS)}"
            if kind is None
            else f"{kind!r} is no stage{suggestion(str(kind), KINDS)}",
            path if kind is None else (*path, "kind"),
        )
    known = keys_of(kind)
    for key, value in values.items():
        if key not in known:
            raise TableError(f"no such key of the stage {kind}{suggestion(key, known)}", (*path, key))
        _check(kind, key, value, (*path, key))
    if kind == "native":
        values["function"] = _function(values, path, beside)
    try:
        stage: Stage = KINDS[kind](**values)
    except (TaskError, TypeError, ValueError) as error:
        named = next((key for key in values if str(error).startswith(key)), None)
        raise TableError(
            str(error).replace("__init__() ", ""), path if named is None else (*path, named)
        ) from None
    return stage


def _check(kind: str, key: str, value: object, path: KeyPath) -> None:
    """What the classes leave to whoever writes Python."""
    default = next((each.default for each in dataclasses.fields(KINDS[kind]) if each.name == key), None)
    if isinstance(default, bool) and not isinstance(value, bool):
        raise TableError(f"{value!r} must be true or false", path)
    if isinstance(default, float) and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise TableError(f"{value!r} must be a number", path)
    if (isinstance(default, str) or key in (*IN_PLACE_OF_FUNCTION, "of")) and (
        not isinstance(value, str) or not value
    ):
        raise TableError(f"{value!r} must be a text", path)
    if key in ("every", "pre", "post") and isinstance(value, int | float) and value > MOST_SECONDS:
        raise TableError(f"{value:g} s are more than 30 years", path)
    if key == "channel" and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise TableError(f"{value!r} must be the name or the number of a channel", path)
    if key == "lines" and not (isinstance(value, list) and value and all(map(_is_line, value))):
        raise TableError('must be a list such as [["Dev1/port0", 0, "valve"]]: channel, bit and name', path)
    if key == "outputs":
        names, units = (list(value), list(value.values())) if isinstance(value, Mapping) else (value, [])
        if not isinstance(names, list) or not all(isinstance(text, str) for text in [*names, *units]):
            raise TableError('must be names, such as ["peak"], or names and units: { peak = "V" }', path)


def _is_line(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 3 or any(isinstance(part, bool) for part in value):
        return False
    channel, bit, name = value
    return isinstance(channel, str | int) and isinstance(bit, int) and isinstance(name, str)


def _function(values: dict[str, Any], path: KeyPath, beside: Callable[[KeyPath, str], Path]) -> Any:
    for key in IN_PLACE_OF_FUNCTION:
        if key not in values:
            raise TableError(f"{key} is missing: a native stage is a symbol of a library", path)
    library, symbol = values.pop("library"), values.pop("symbol")
    file = beside((*path, "library"), library)
    if not file.is_file():
        raise TableError(f"there is no file {str(file)!r}", (*path, "library"))
    try:
        # A name without a folder would be looked for among the system's libraries.
        loaded = ctypes.CDLL(str(file.absolute()))
    except OSError as error:
        raise TableError(f"{file} is no library that can be loaded: {error}", (*path, "library")) from None
    try:
        return getattr(loaded, symbol)
    except AttributeError:
        raise TableError(f"{file} has no function {symbol!r}", (*path, "symbol")) from None
