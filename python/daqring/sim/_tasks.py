"""Saved tasks that a file describes: made with nidaqmx itself once it runs on the simulator."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Mapping
from typing import Any

__all__ = ["keep", "save"]

_waiting: list[tuple[str, dict[str, Any]]] = []


def keep(path: str, tables: dict[str, Any]) -> None:
    """Notes the tasks of a file; they are saved at once where nidaqmx runs on the simulator."""
    _waiting[:] = [(path, tables)] if tables else []
    from daqring.sim import _install

    if _waiting and _install.is_installed():
        save()


def save() -> None:
    """Saves the tasks that were noted, in place of saved ones of the same names.

    Raises:
        ValueError: where a description does not fit nidaqmx's functions, or the driver refuses it.
    """
    waiting, _waiting[:] = list(_waiting), []
    for path, tables in waiting:
        for name, table in tables.items():
            _save(f"{path}, tasks.{name}", name, table)


def _save(place: str, name: str, table: Any) -> None:
    import nidaqmx
    from nidaqmx.errors import Error

    if not isinstance(table, Mapping) or not table.keys() <= {"channels", "timing", "author"}:
        raise ValueError(f"{place}: it needs the tables channels and timing, and may have an author.")
    try:
        # The name is free for whoever loads the task.
        with nidaqmx.Task() as task:
            for channel in table.get("channels", []):
                more = dict(channel)
                kind = str(more.pop("kind", "ai_voltage"))
                collection = {"ai": task.ai_channels, "di": task.di_channels, "ci": task.ci_channels}
                channels: Any = collection.get(kind.split("_")[0])
                add = getattr(channels, f"add_{kind}_chan", None)
                if add is None:
                    raise ValueError(f"there is no kind of channel {kind!r}; take the part of add_..._chan")
                add(**_converted(add, more))
            if "timing" in table:
                timing = task.timing.cfg_samp_clk_timing
                timing(**_converted(timing, dict(table["timing"])))
            task.save(save_as=name, author=str(table.get("author", "")), overwrite_existing_task=True)
    except (Error, TypeError, ValueError) as error:
        raise ValueError(f"{place}: {error}") from None


def _converted(function: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """Texts as members of the enumerations that a function's defaults belong to."""
    defaults = {name: one.default for name, one in inspect.signature(function).parameters.items()}
    for name, value in arguments.items():
        default = defaults.get(name)
        if isinstance(value, str) and isinstance(default, enum.Enum):
            members = type(default).__members__
            if value.upper() not in members:
                raise ValueError(f"{name} has to be one of {', '.join(members)}, not {value!r}")
            arguments[name] = members[value.upper()]
    return arguments
