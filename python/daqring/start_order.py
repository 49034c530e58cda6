"""In which order the tasks of a recording are started: who is clocked or triggered by another goes first.

A task that takes its sample clock, its start trigger or the like from another one must be armed
before the other starts, or it misses the first edges. Who depends on whom is read off the terminals:

- A terminal of a device's own subsystem (``/Dev1/ai/SampleClock``, ``/Dev1/di/StartTrigger``,
  ``/Dev1/Ctr0InternalOutput``) belongs to the task that uses this subsystem of this device (or, with
  a chassis, of one of its modules).
- A terminal to which a task exports a signal (``task.export_signals``) belongs to that task. Lines
  that all devices share (``PXI_Trig0``, ``RTSI3``) are the same under every device's name.

A cable between two devices is in no terminal's name: tasks that terminals do not relate are started
in the order in which they were given.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from daqring.errors import TaskError

if TYPE_CHECKING:
    import nidaqmx

__all__ = ["Links", "links"]

_SHARED = re.compile(r"(pxi_trig|pxie_dstar|pxi_star|rtsi)", re.IGNORECASE)
_SUBSYSTEMS = {
    "ANALOG_INPUT": "ai",
    "ANALOG_OUTPUT": "ao",
    "DIGITAL_INPUT": "di",
    "DIGITAL_OUTPUT": "do",
}


class Links:
    """Who waits for whom, by the numbers of the tasks."""

    def __init__(self, order: tuple[int, ...], owner_of: dict[int, int], via: dict[int, str]) -> None:
        #: The numbers of the tasks in the order in which they are to be started.
        self.order = order
        #: The task that owns the clock or trigger of a task.
        self.owner_of = owner_of
        #: The terminal over which a task gets it.
        self.via = via

    def root(self, number: int) -> int:
        """The task whose start lets this one begin; itself where it depends on no other."""
        while number in self.owner_of:
            number = self.owner_of[number]
        return number


def links(tasks: Sequence[nidaqmx.Task]) -> Links:
    """Finds the order of start.

    Raises:
        TaskError: Tasks wait for each other in a circle.
    """
    if len(tasks) < 2:
        return Links(tuple(range(len(tasks))), {}, {})
    offers = [_Offer(task) for task in tasks]
    waits: dict[int, dict[int, str]] = {number: {} for number in range(len(tasks))}
    for number, task in enumerate(tasks):
        for terminal in _sources(task):
            for other, offer in enumerate(offers):
                if other != number and not offers[number].has(terminal) and offer.has(terminal):
                    waits[number].setdefault(other, terminal)
    order: list[int] = []
    left = list(range(len(tasks)))
    while left:
        # A task may start once nobody who is still to be started waits for it.
        ready = next((n for n in left if not any(n in waits[m] for m in left if m != n)), None)
        if ready is None:
            circle = [n for n in left if waits[n]]
            told = "; ".join(
                f"{tasks[n].name!r} waits for {tasks[m].name!r} at {terminal}"
                for n in circle
                for m, terminal in waits[n].items()
            )
            raise TaskError(
                f"the tasks wait for each other in a circle, so that none can be started first: {told}; "
                "let one of them have its own clock and start trigger"
            )
        left.remove(ready)
        order.append(ready)
    owner_of = {number: next(iter(others)) for number, others in waits.items() if others}
    via = {number: waits[number][owner] for number, owner in owner_of.items()}
    return Links(tuple(order), owner_of, via)


class _Offer:
    """The terminals at which a task gives signals to others."""

    def __init__(self, task: nidaqmx.Task) -> None:
        self._devices: set[str] = set()
        self._subsystems: set[str] = set()
        self._exported: set[str] = set()
        for channel in task.channels:
            kind = channel.chan_type.name
            if kind.startswith("COUNTER"):  # "Dev1/ctr0"
                self._subsystems.add(channel.physical_channel.name.rpartition("/")[2].lower())
            elif kind in _SUBSYSTEMS:
                self._subsystems.add(_SUBSYSTEMS[kind])
        for device in task.devices:
            self._devices.add(device.name.lower())
            with contextlib.suppress(Exception):
                self._devices.add(device.compact_daq_chassis_device.name.lower())
        engine = _ask(task.timing, "samp_timing_engine")
        if engine is not None:
            self._subsystems.add(f"te{engine}")
        for name in sorted(name for name in dir(type(task.export_signals)) if name.endswith("_output_term")):
            for terminal in str(_ask(task.export_signals, name) or "").split(","):
                if terminal.strip():
                    self._exported.add(_normal(terminal))

    def has(self, terminal: str) -> bool:
        """Whether this task gives the signal at a terminal."""
        normal = _normal(terminal)
        if normal in self._exported:
            return True
        device, _, rest = normal.strip("/").partition("/")
        # "/Dev1/ai/SampleClock", "/Dev1/Ctr0InternalOutput"
        return device in self._devices and any(
            rest.startswith(f"{name}/") or (name.startswith("ctr") and re.match(rf"{name}(?!\d)", rest))
            for name in self._subsystems
        )


def _normal(terminal: str) -> str:
    """A terminal's name as it can be compared: in lower case, lines that devices share without the device."""
    name = terminal.strip().lower()
    last = name.rpartition("/")[2]
    return last if _SHARED.match(last) else "/" + name.lstrip("/")


def _sources(task: nidaqmx.Task) -> Iterator[str]:
    """The terminals that a task takes clocks and triggers from."""
    triggers = task.triggers
    places: list[tuple[Any, str]] = [
        (task.timing, name) for name in ("samp_clk_src", "samp_clk_timebase_src", "sync_pulse_src")
    ]
    for trigger, name in (
        (triggers.start_trigger, "dig_edge_src"),
        (triggers.arm_start_trigger, "dig_edge_src"),
        (triggers.reference_trigger, "dig_edge_src"),
        (triggers.pause_trigger, "dig_lvl_src"),
    ):
        kind = _ask(trigger, "trig_type")
        if kind is not None and kind.name.startswith("DIGITAL"):
            places.append((trigger, name))
    for place, name in places:
        terminal = str(_ask(place, name) or "")
        if terminal.strip("/").lower() not in ("", "onboardclock", "none"):
            yield terminal


def _ask(place: Any, name: str) -> Any:
    """What the driver says, or None where the property does not exist for the task."""
    from nidaqmx.errors import Error

    try:
        return getattr(place, name)
    except (Error, AttributeError):
        return None
