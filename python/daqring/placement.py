"""On which cores the threads of a recording run, and with what priority."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from daqring import _native
from daqring.errors import TaskError

__all__ = ["Pin", "Priority", "placement"]

#: Cores by kind of thread: ``"acquire"``, ``"workers"``, ``"writer"``.
Pin = Mapping[str, int | Sequence[int]]
Priority = Literal["normal", "high"]

KINDS = ("acquire", "workers", "writer")


def placement(pin: Pin | None, priority: Priority) -> dict[str, Any]:
    """The placement as the native module takes it.

    Raises:
        TaskError: There is no such kind of thread, core or priority.
    """
    if priority not in ("normal", "high"):
        raise TaskError(f"priority must be 'normal' or 'high', not {priority!r}")
    if pin is None:
        pin = {}
    if not isinstance(pin, Mapping):
        raise TaskError(f"pin must be a dict such as {{'acquire': 0, 'workers': [1, 2]}}, not {pin!r}")
    there = _native.cores()
    wanted: dict[str, Any] = {kind: [] for kind in KINDS} | {"high": priority == "high"}
    for kind, cores in pin.items():
        if kind not in KINDS:
            raise TaskError(f"pin knows {', '.join(map(repr, KINDS))}, not {kind!r}")
        listed = [cores] if isinstance(cores, int) else cores
        if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
            raise TaskError(f"pin[{kind!r}] must be a core's number or a list of them, not {cores!r}")
        for core in listed:
            if isinstance(core, bool) or not isinstance(core, int):
                raise TaskError(f"pin[{kind!r}] must be a core's number or a list of them, not {cores!r}")
            if core not in there:
                raise TaskError(
                    f"pin[{kind!r}] asks for core {core}, but this process may use only "
                    f"{', '.join(map(str, there)) or 'cores that the system does not tell'}"
                )
        wanted[kind] = list(listed)
    return wanted
