"""Devices, time, signals and ledgers of the simulated driver."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from daqring import _native
from daqring.sim import _devices, _tasks
from daqring.sim._waves import Edges, Encoder, Pulses

__all__ = [
    "Ledger",
    "clock",
    "configure",
    "devices",
    "fault",
    "hold_triggers",
    "ledger",
    "ledgers",
    "pattern",
    "plug",
    "products",
    "reset",
    "save_devices",
    "signal",
    "step",
    "transfer",
    "trigger",
    "unplug",
    "wire",
]

Devices = (
    Mapping[str, str | Mapping[str, Any]]
    | Iterable[tuple[str, str]]
    | Iterable[str]
    | Iterable[Mapping[str, Any]]
    | str
    | os.PathLike[str]
)
"""Devices as a mapping or pairs of name and product type, as ``"Dev1=PCIe-6363"``, or a file."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The account of one run of a task, from its start to its stop. In samples per channel.

    At any moment ``produced == delivered + overwritten + in_buffer``. A sample that was read twice
    (by means of the read offset) counts as delivered once.
    """

    task: str
    """The task's name."""
    run: int
    """Which run of the task this is, from 1 on."""
    channels: int
    """Channels of the task."""
    produced: int
    """Samples that the device acquired."""
    delivered: int
    """Samples that reads handed over."""
    overwritten: int
    """Samples that were overwritten in the driver's buffer before any read took them."""
    in_buffer: int
    """Unread samples that the buffer holds, or held when the run ended."""
    buffer_size: int
    """Size of the driver's buffer."""
    reads: int
    """Calls of read functions."""
    errors: int
    """How many of them failed."""
    running: bool
    """Whether the run still goes on."""


def products() -> list[str]:
    """The names of the product types that can be simulated, like ``"PCIe-6363"``."""
    return _native.sim_products()


def configure(devices: Devices) -> None:
    """Replaces all simulated devices.

    Args:
        devices: names and product types: ``{"Dev1": "PXIe-6396"}``, ``[("Dev1", "PXIe-6396")]`` or
            ``["Dev1=PXIe-6396"]``. A product type alone (``["PXIe-6396", "cDAQ-9178", "NI 9234"]``)
            is named as NI does: Dev1, cDAQ1, cDAQ1Mod1. A module sits in the chassis and slot that
            its name begins with (``cDAQ1Mod3``), else in the next free slot of the last chassis. A
            path that ends with ``.toml`` or ``.ini`` is read: TOML with a table ``[devices.Dev1]``
            and ``product = "PXIe-6396"`` for each device (and more, see the page on the simulator),
            or NI's format for simulated devices.
            Mappings with the keys of such a table, and ``name``, are taken, too, and so is a table
            in the product's place: ``{"cDAQ1Mod1": {"product": "NI 9234", "slot": 1}}``.

    Raises:
        ValueError: where a product type is not known, a name cannot be used, a module fits no
            chassis, or a file describes no devices. Errors in files name the line and the key.
        OSError: where a file cannot be read.

    Tasks that exist are aborted.
    """
    specs, source, others = _specs(devices)
    for one in specs:
        _devices.check_product(one["product"])
    try:
        _native.sim_configure(specs)
    except ValueError as error:
        if source is None:
            raise
        raise ValueError(f"{source}: {error}") from None
    if source is not None:
        _apply(source, others)


def _apply(path: str, tables: Mapping[str, Any]) -> None:
    """The tables of a file that describe more than devices."""
    unknown = [name for name in tables if name not in ("signals", "faults", "transfer", "tasks")]
    if unknown:
        raise ValueError(
            f"{path}: the key {unknown[0]!r} is not known; "
            "there are: devices, signals, faults, transfer, tasks."
        )
    try:
        where = "transfer"
        if "transfer" in tables:
            transfer(tables["transfer"])
        for name, kind in dict(tables.get("signals", {})).items():
            where = f"signals.{name}"
            more = dict(kind) if isinstance(kind, Mapping) else {"kind": kind}
            if isinstance(more.get("kind"), str) and more["kind"].lower().endswith(".tdms"):
                # Beside the file that names it.
                more["kind"] = os.path.join(os.path.dirname(path), more["kind"])
            signal(name, **more)
        for number, one in enumerate(list(tables.get("faults", []))):
            where = f"faults[{number}]"
            fault(**one)
        where = "tasks"
        _tasks.keep(path, dict(tables.get("tasks", {})))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}, {where}: {error}") from None


def _specs(devices: Devices) -> tuple[list[dict[str, Any]], str | None, dict[str, Any]]:
    """Descriptions of devices, the file that they come from, and its other tables."""
    if isinstance(devices, os.PathLike):
        specs, others = _devices.load(devices)
        return specs, os.fspath(devices), others
    if isinstance(devices, str):
        if devices.lower().endswith((".toml", ".ini")):
            specs, others = _devices.load(devices)
            return specs, devices, others
        devices = [devices]
    named = isinstance(devices, Mapping)
    listed: Iterable[Any] = devices
    if isinstance(devices, Mapping):
        listed = [
            {"name": str(name), **table} if isinstance(table, Mapping) else (str(name), str(table))
            for name, table in devices.items()
        ]
    specs = []
    for device in listed:
        if isinstance(device, Mapping):
            given = dict(device)
            _devices.check_keys(given)
            specs.append(_devices.spec(str(given.pop("name", "")), str(given.pop("product", "")), **given))
        elif isinstance(device, str):
            name, equals, product = device.partition("=")
            name, product = (name.strip(), product.strip()) if equals else ("", device.strip())
            if equals and not name:
                raise ValueError(f"{device!r} has no name before the =.")
            specs.append(_devices.spec(name, product))
        else:
            name, product = device
            if not str(name).strip():
                raise ValueError(f"A device of type {product!r} has no name.")
            specs.append(_devices.spec(str(name), str(product)))
    # The order of tables means nothing; that of a list says which chassis modules without a name are in.
    return list(_devices.chassis_first(specs)) if named else specs, None, {}


def save_devices(path: str | os.PathLike[str]) -> None:
    """Writes the simulated devices to a file that :func:`configure` reads.

    Args:
        path: a name that ends with ``.toml``, or with ``.ini`` for NI's text format.

    Raises:
        ValueError: for another ending.
        OSError: where the file cannot be written.
    """
    _devices.write(path, _native.sim_device_specs())


def devices() -> dict[str, str]:
    """The simulated devices: name and product type."""
    return dict(_native.sim_devices())


def clock(kind: str | None = None, speed: float = 1.0) -> str:
    """Chooses, or tells, how simulated time moves. It holds for tasks that start from now on.

    Args:
        kind: ``"real"``: with the computer's clock, ``speed`` times as fast. ``"stepped"``: only
            when :func:`step` moves it; reads wait until then, and their timeouts count in simulated
            time. ``"unthrottled"``: just as far as reads need; nothing overflows and no read waits.
            None only tells.
        speed: simulated seconds per second, for ``"real"``.

    Returns:
        The kind of clock that is chosen now.

    Raises:
        ValueError: for another kind, or a speed that is not greater than zero.
    """
    if kind is not None:
        _native.sim_set_clock(kind, float(speed))
    return _native.sim_clock()[0]


def step(seconds: float) -> float:
    """Moves a stepped clock and wakes every read whose samples have come.

    Returns:
        Simulated seconds since the stepped clock was chosen.

    Raises:
        ValueError: where the clock is not stepped, or for a negative step.
    """
    return _native.sim_step(float(seconds))


def signal(
    channel: str | None,
    kind: str | os.PathLike[str] | float | npt.ArrayLike | Pulses | Edges | Encoder,
    *,
    volts: float = 1.0,
    seed: int = 0,
    source: str | None = None,
) -> None:
    """Chooses what a channel measures. It holds for tasks that start from now on.

    Args:
        channel: a physical channel (``"Dev1/ai0"``, ``"Dev1/ctr0"``, ``"Dev1/port0/line3"``), a
            terminal (``"/Dev1/PFI8"``), a device (``"Dev1"``), or None for every channel without a
            signal of its own.
        kind: ``"sine"``: over the channel's minimum and maximum, five degrees further per channel,
            with noise of 3 % of full scale; one period is 1440 samples. ``"pattern"``: see
            :func:`pattern`. ``"noise"``: evenly spread from ``-volts`` to ``volts``, the same for
            the same ``seed``. A number: that many volts all the time. An array of integers: these
            codes of the converter, again and again. An array of floats: these values in the
            channel's units, as the nearest codes, again and again. The path of a TDMS file: the
            scaled values of its channel ``source``, again and again. For counters, digital lines and
            terminals: :func:`pulses`, :func:`edges` and (for counters) :func:`encoder`. What is at the
            terminal that a counter looks at comes before what was chosen for the counter.
        volts: the largest deviation of noise from zero.
        seed: which noise, from 0 on.
        source: the channel of the TDMS file; None for the one that it has, or for the one named
            like ``channel``.

    Raises:
        ValueError: where the channel, device or kind does not exist, values are not finite, codes
            do not fit into 32 bits, the file has no such channel, or pulses cannot be.
        OSError: where the file cannot be read.

    A signal to play back is held in memory: 6 bytes for each of its samples and channel. Serving it
    costs no more than copying it.
    """
    if isinstance(kind, Pulses | Edges | Encoder):
        _native.sim_set_digital(channel, kind._described())
        return
    if isinstance(kind, os.PathLike) or (isinstance(kind, str) and kind.lower().endswith(".tdms")):
        kind = _recorded(os.fspath(kind), source, channel)
    if isinstance(kind, str):
        _native.sim_set_signal(channel, kind, float(volts), None, int(seed))
        return
    if np.ndim(kind) == 0:
        _native.sim_set_signal(channel, "constant", float(kind))  # type: ignore[arg-type]
        return
    values = np.asarray(kind)
    if values.ndim != 1 or values.size == 0:
        raise ValueError("A signal to play back has to be a list of one or more numbers.")
    if np.issubdtype(values.dtype, np.integer):
        if values.min() < -(2**31) or values.max() >= 2**31:
            raise ValueError("Codes to play back have to fit into 32 bits.")
        _native.sim_set_signal(channel, "playback", 0.0, values.astype(np.int32).tobytes())
    elif np.issubdtype(values.dtype, np.floating):
        _native.sim_set_signal(channel, "values", 0.0, values.astype(np.float64).tobytes())
    else:
        raise ValueError("A signal to play back has to be a list of integer codes or of floats.")


def _recorded(path: str, source: str | None, channel: str | None) -> npt.NDArray[np.float64]:
    import daqring

    try:
        log = daqring.open(path)
        names = list(log)
        name = source
        if name is None:
            name = names[0] if len(names) == 1 else channel or ""
        try:
            found = log[name]
        except KeyError:
            what = "which channel" if source is None else f"channel {source!r}"
            raise ValueError(
                f"{path}: {what}? It has {', '.join(map(repr, names))}: name one as source."
            ) from None
        return np.asarray(found[:], dtype=np.float64)
    except daqring.DaqringError as error:
        raise ValueError(str(error)) from None


def pattern(channel: int, first: int, count: int) -> npt.NDArray[np.int16]:
    """The checkable pattern: the codes that a channel with this signal delivers.

    ``code = (i + salt(channel, i >> 12)) & 0xFFFF`` as int16, where i is the sample's index since
    the start of the task and channel the number of the physical channel. The salt is, in 64-bit
    wrapping arithmetic, ``x = block * 0x9E3779B97F4A7C15 ^ (channel + 1) * 0xD1B54A32D192ED03;
    x ^= x >> 32; x *= 0xD6E8FEB86659FD93; x ^= x >> 32; x & 0xFFFF``. A lost, doubled, swapped or
    shifted stretch of samples of any length shows. Where the converter has more than 16 bits, the
    pattern stands in the uppermost 16.

    Args:
        channel: number of the physical channel on its device.
        first: index of the first sample.
        count: how many samples.

    Returns:
        int16 array of shape (count,).
    """
    codes: npt.NDArray[np.int16] = np.frombuffer(
        _native.sim_pattern(channel, first, count), dtype=np.int16
    ).copy()
    return codes


def fault(device: str, kind: str, *, after: int = 0, seconds: float = 0.0) -> None:
    """Makes something go wrong with a device, once: in the run under way on it, or in the next one.

    Args:
        device: the device's name.
        kind: ``"slow_bus"``: its memory overflows and the run ends with -200361. ``"unplugged"``:
            the run ends with -201003. ``"reset"``: it ends with -88709. ``"clock_lost"``: the sample
            clock pauses for ``seconds`` (``math.inf``: for ever). ``"reader_stall"``: the next read
            waits ``seconds`` before it begins, so that a small buffer overflows. ``"short_read"``: a
            read ends with -200284 and half of its samples. ``"late_start"``: the sample clock begins
            ``seconds`` after the start. ``"bus_stall"``: the bus takes no samples for ``seconds``;
            they wait in the device's own memory and come late, and where it overflows the run ends
            with -200361. ``"slow_driver"``: the run ends with -200714. ``"jitter"``: every read from
            then on is held up for up to ``seconds`` before it begins.
        after: from which sample per channel on; for a run under way, not before what it has acquired.
        seconds: how long, in simulated time.

    Raises:
        ValueError: where the device or the kind does not exist, or the duration is negative.
    """
    _native.sim_fault(device, kind, int(after), float(seconds))


def transfer(samples: int = 1) -> None:
    """Chooses how many samples per channel come into the driver's buffer at a time, as a bus brings
    them; 1 for each as it is acquired. It holds for tasks that start from now on.

    The samples that a finite acquisition ends with come as soon as they are there; those that are on
    the way at a stop are lost.

    Raises:
        ValueError: where it is less than 1.
    """
    if samples < 1:
        raise ValueError("A transfer has to have one sample or more.")
    _native.sim_set_transfer(int(samples))


def unplug(device: str) -> None:
    """Unplugs a device: what runs on it ends with -201003, and no task on it can start."""
    _native.sim_plug(device, False)


def plug(device: str) -> None:
    """Plugs a device in again."""
    _native.sim_plug(device, True)


def hold_triggers(hold: bool = True) -> None:
    """Holds triggers back until :func:`trigger` sends them, for tasks that start from now on.

    Otherwise a start trigger comes at the start, a retriggerable one again at the end of each
    record, and a reference trigger as soon as the samples before it are there.
    """
    _native.sim_hold_triggers(hold)


def trigger(source: str | None = None) -> int:
    """Sends a trigger from a terminal or channel (None: wherever each task expects it from).

    Returns:
        The number of running tasks that have a trigger from there.
    """
    return _native.sim_trigger(source)


def wire(input: str, output: str | None) -> None:
    """Connects an analog input to an analog output, as a wire between two screw terminals would.

    An output shows at an input of its own device without a wire, too: ``_ao0_vs_aognd`` measures
    ``ao0``. It holds for tasks that start from now on, until the input is connected elsewhere.

    Args:
        input: a physical channel like ``"Dev1/ai0"``.
        output: a physical channel like ``"Dev1/ao0"``, also of another device; None takes the wire
            away, so that the input has its signal again.

    Raises:
        ValueError: where one of them does not exist, or is no analog input or output.
    """
    _native.sim_wire(input, output)


def ledgers() -> list[Ledger]:
    """The accounts of all runs: those of cleared tasks first, in the order of their end."""
    return [Ledger(**entry) for entry in _native.sim_ledgers()]


def ledger(task: Any) -> Ledger:
    """The account of the latest run of a task.

    Args:
        task: a ``nidaqmx.Task`` or a task's name. The account is kept after the task was closed.

    Raises:
        KeyError: where no task of this name was started.
    """
    name = task if isinstance(task, str) else str(getattr(task, "_saved_name", None) or task.name)
    for entry in reversed(ledgers()):
        if entry.task == name:
            return entry
    raise KeyError(f"no task named {name!r} was started on the simulated driver")


def reset() -> None:
    """Clears every task and takes every setting back: devices, clock, signals, ledgers."""
    _native.sim_reset()
