"""The task as a source of samples: the only module that touches ``nidaqmx``."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import math
import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from daqring.errors import TaskError

if TYPE_CHECKING:
    import nidaqmx

__all__ = ["ChannelInfo", "DriverBuffer", "NativeUnavailable", "ReadFailure", "TaskSource", "describe"]

DtypeChoice = Literal["auto", "raw", "float64"]

RAISED = "raised for the recording"
#: The driver's buffer is never raised beyond this much memory.
BUFFER_LIMIT_BYTES = 1 << 30

# Codes of the driver that mean a loss of samples, see the DAQmx error documentation.
OVERWRITE_CODES = frozenset({-200279, -200222})
OVERFLOW_CODES = frozenset({-200361, -200010, -209829, -200714})
TIMEOUT_CODE = -200284
#: The buffer is no multiple of the interval of the task's every-N-samples event.
UNEVEN_BUFFER_CODES = frozenset({-200877, -200920})
#: What a task tells only while it runs was asked of one that does not.
NOT_RUNNING_CODE = -200983


@dataclasses.dataclass(frozen=True)
class ChannelInfo:
    """One channel of the task, as the log needs to know it.

    ``scale`` holds the polynomial from codes to ``unit`` (ascending coefficients), or ``None``
    where the samples are recorded in ``unit`` already. ``bit`` is the place in its port of a digital
    channel that is a single line, and so is recorded as true and false.
    """

    name: str
    physical: str
    unit: str
    minimum: float | None
    maximum: float | None
    scale: tuple[float, ...] | None
    description: str = ""
    bit: int | None = None


@dataclasses.dataclass
class DriverBuffer:
    """The driver's buffer while it is recorded: samples per channel, and how it came to have that size."""

    used: int
    note: str


class ReadFailure(Exception):
    """A read that the driver refused: its code, its words, and the samples it had got (per channel)."""

    def __init__(self, code: int, message: str, got: int) -> None:
        super().__init__(message)
        self.code = code
        self.got = got


class NativeUnavailable(Exception):
    """Why the driver's functions cannot be called without the interpreter, for this task."""


#: The driver's function for each kind of channel and data type of the samples.
READ_FUNCTIONS = {
    ("analog", "int16"): "DAQmxReadBinaryI16",
    ("analog", "uint16"): "DAQmxReadBinaryU16",
    ("analog", "int32"): "DAQmxReadBinaryI32",
    ("analog", "uint32"): "DAQmxReadBinaryU32",
    ("analog", "float64"): "DAQmxReadAnalogF64",
    ("digital", "uint8"): "DAQmxReadDigitalU8",
    ("digital", "uint16"): "DAQmxReadDigitalU16",
    ("digital", "uint32"): "DAQmxReadDigitalU32",
    ("power", "float64"): "DAQmxReadPowerF64",
    ("counter", "uint32"): "DAQmxReadCounterU32Ex",
    ("counter", "float64"): "DAQmxReadCounterF64Ex",
    ("pulse frequency", "float64"): "DAQmxReadCtrFreq",
    ("pulse time", "float64"): "DAQmxReadCtrTime",
    ("pulse ticks", "uint32"): "DAQmxReadCtrTicks",
}

#: What counters that measure pulses, and power supplies, give two values of.
PAIRS = {
    "power": (("voltage", "V"), ("current", "A")),
    "pulse frequency": (("frequency", "Hz"), ("duty cycle", "")),
    "pulse time": (("high time", "s"), ("low time", "s")),
    "pulse ticks": (("high ticks", "ticks"), ("low ticks", "ticks")),
}

#: For tasks without a rate of their own, room is planned as if they had this one, in Hz.
NOMINAL_RATE = 1000.0

TimesChoice = Literal["auto", "regular", "host"]

_EXTERNAL = re.compile(r"pfi|rtsi|pxi|.*changedetectionevent|ap?fi", re.IGNORECASE)
_LINE = re.compile(r".*/line(\d+)$", re.IGNORECASE)
#: The name that the driver gives a task that got none.
UNNAMED = re.compile(r"_unnamedTask<\w+>")


def describe(error: Exception) -> str:
    """The driver's error on one line: its first line, the properties and values it names, its code."""
    code = getattr(error, "error_code", None)
    first, *rest = str(error).strip().splitlines() or [type(error).__name__]
    details = [line.strip() for line in rest if ": " in line]
    details = [line for line in details if not line.startswith(("Task Name:", "Status Code:"))]
    if code is not None and str(code) not in first:
        details.append(f"error {code}")
    return first.strip() + (f" ({'; '.join(details)})" if details else "")


def default_buffer(rate: float, samples: int) -> int:
    """The continuous buffer, in samples per channel, that the driver makes unless told otherwise.

    Source: the table of buffer sizes in NI's documentation of ``DAQmxCfgSampClkTiming``.
    """
    for limit, size in ((100.0, 1_000), (10_000.0, 10_000), (1_000_000.0, 100_000)):
        if rate <= limit:
            return max(size, samples)
    return max(1_000_000, samples)


class TaskSource:
    """A configured task: what it measures, how it is read, how it is left as it was.

    Args:
        task: Its channels are all analog inputs, all digital inputs, or counter inputs.
        dtype: Codes, or values in the channels' units.
        every: Seconds between two reads, for a task without a clock.
        times: Where the samples' times come from: ``"regular"`` by the rate, ``"host"`` from the
            host's clock, ``"auto"`` whichever is right.
        linked: Whether another task of the recording gives the clock: then its rate is known.

    Raises:
        TaskError: It cannot be recorded.
    """

    def __init__(
        self,
        task: nidaqmx.Task,
        dtype: DtypeChoice = "auto",
        *,
        every: float | None = None,
        times: TimesChoice = "auto",
        linked: bool = False,
    ) -> None:
        from nidaqmx.constants import LoggingMode
        from nidaqmx.errors import DaqError, DaqFunctionNotSupportedError

        if times not in ("auto", "regular", "host"):
            raise TaskError(f"times must be 'auto', 'regular' or 'host', not {times!r}")
        self._error: type[Exception] = DaqError
        self._missing: type[Exception] = DaqFunctionNotSupportedError
        self._task = task
        # The task may be guarded against others that want to stop it, but not against us.
        self._stop_task = task.stop
        self._stream = task.in_stream
        #: Seconds between two reads of a task without a clock.
        self.every = every
        try:
            #: Of the task and its group; of one that nobody named "ai", "di" or "ci", which is not unique.
            self.name: str = task.name
            names = list(task.channel_names)
            if not names:
                raise TaskError("the task has no channels; add some before recording it")
            self.kind = self._kind()
            self.unnamed = UNNAMED.fullmatch(self.name) is not None
            if self.unnamed:
                self.name = {"analog": "ai", "digital": "di"}.get(self.kind, "ci")
            if self._stream.num_chans != len(names):
                raise TaskError(
                    "in_stream.channels_to_read selects some of the channels; "
                    "a recording needs all of them: delete that setting"
                )
            if self._ask_error(lambda: self._stream.logging_mode) == LoggingMode.LOG:
                raise TaskError(
                    "the task is set to driver logging in LOG mode, in which nothing can be read; use "
                    "LoggingMode.OFF (or LOG_AND_READ), or leave the recording to the driver altogether"
                )
            self._choose(names, dtype)
            self._look_at_timing(times, linked)
            self.already_running = self._is_running()
            self._seen = self._look()
        except DaqError as error:
            raise TaskError(f"the driver refuses the task as it is configured: {describe(error)}") from error
        self._buffer_to_restore: int | None = None
        self._overwrites = False
        self._reader, self._read = self._make_reader()

    # -- what the task is ---------------------------------------------------------------------

    def _kind(self) -> str:
        """Analog, digital or counter; or one of those that give pairs."""
        channels = list(self._task.channels)
        kinds = {channel.chan_type.name for channel in channels}
        known = {"ANALOG_INPUT": "analog", "DIGITAL_INPUT": "digital", "COUNTER_INPUT": "counter"}
        if len(kinds) != 1 or not kinds <= known.keys():
            told = ", ".join(sorted(kind.lower().replace("_", " ") for kind in kinds))
            raise TaskError(
                "only tasks whose channels are all analog inputs, all digital inputs or all counter inputs "
                f"can be recorded, not {told}; make a task for each kind and give them together"
            )
        kind = known[kinds.pop()]
        if kind == "analog":
            supplies = [channel.ai_meas_type.name == "POWER" for channel in self._task.ai_channels]
            if any(supplies) and not all(supplies):
                raise TaskError(
                    "power supplies and other inputs cannot be read together; make a task for each and give "
                    "them together"
                )
            return "power" if any(supplies) else kind
        if kind != "counter":
            return kind
        measures = {channel.ci_meas_type.name for channel in self._task.ci_channels}
        pairs = {"PULSE_FREQ": "pulse frequency", "PULSE_TIME": "pulse time", "PULSE_TICKS": "pulse ticks"}
        self._measures = measures
        if measures <= pairs.keys() and len(channels) == 1:
            return pairs[measures.pop()]
        if measures & pairs.keys() or ("COUNT_EDGES" in measures and len(measures) > 1):
            raise TaskError(
                "counters that give different kinds of values cannot be read together; "
                "make a task for each and give them together"
            )
        return kind

    @property
    def width(self) -> int:
        """Values of one sample of all channels."""
        return len(self.channels)

    @property
    def frame(self) -> int:
        """Bytes of one sample of all channels in a slot, with its time where it has one."""
        return len(self.channels) * self.dtype.itemsize + (8 if self.timed else 0)

    @property
    def timed(self) -> bool:
        """Whether the reader puts a time with each sample."""
        return self.times == "slot"

    @property
    def steady(self) -> bool:
        """Whether samples come at the rate."""
        return self.dt is not None or self.timing == "sample clock"

    @property
    def dt(self) -> float | None:
        """Seconds between two samples, where that is constant."""
        return 1.0 / self.rate if self.times is None else None

    def _look_at_timing(self, times: TimesChoice, linked: bool) -> None:
        from nidaqmx.constants import AcquisitionType, ReadRelativeTo

        timing = self._task.timing
        kind = timing.samp_timing_type.name
        #: How the samples are timed, in words.
        self.timing = kind.lower().replace("_", " ")
        #: Where the times of the samples come from: ``None`` from the rate, else as the log says it.
        self.times: str | None = None
        #: Samples per channel that a finite task acquires; of each record, where it is triggered again.
        self.finite: int | None = None
        self.record: int | None = None
        self.pretrigger = 0
        if kind == "ON_DEMAND":
            if self.every is None:
                raise TaskError(
                    "the task has no sample clock; call task.timing.cfg_samp_clk_timing(...), "
                    "or read it on demand by every=0.5 (seconds)"
                )
            self.rate: float = 1.0 / self.every
            self.times = None if times == "regular" else "slot"
            self._quantity = 0
            return
        if self.every is not None:
            raise TaskError(
                f"every={self.every:g} is for tasks without a clock, and this one has {self.timing} timing; "
                "leave every out"
            )
        if kind in ("SAMPLE_CLOCK", "PIPELINED_SAMPLE_CLOCK"):
            self.rate = float(timing.samp_clk_rate)
            source = str(self._ask_error(lambda: timing.samp_clk_src) or "").rpartition("/")[2]
            if not linked and _EXTERNAL.match(source):
                self.timing = f"external clock at {source}"
                self.times = "slot"
        elif kind in ("IMPLICIT", "CHANGE_DETECTION"):
            self.rate = NOMINAL_RATE
            self.times = self._times_of_values() if kind == "IMPLICIT" else "slot"
        else:
            raise TaskError(f"a task with {self.timing} timing cannot be recorded")
        if times == "regular":
            self.times = None
        elif times == "host":
            self.times = "slot"
        mode = timing.samp_quant_samp_mode
        self._quantity = int(timing.samp_quant_samp_per_chan)
        triggers = self._task.triggers
        again = mode == AcquisitionType.FINITE and bool(
            self._ask_error(lambda: triggers.start_trigger.retriggerable)
        )
        if mode == AcquisitionType.FINITE:
            if again:
                self.record = self._quantity
            else:
                self.finite = self._quantity
        elif mode != AcquisitionType.CONTINUOUS:
            raise TaskError(f"the sample mode {mode.name} cannot be recorded")
        reference = self._ask_error(lambda: triggers.reference_trigger.trig_type)
        if reference is not None and reference.name != "NONE":
            self.record = self._quantity
            self.pretrigger = int(triggers.reference_trigger.pretrig_samples)
        if self.finite is None and (
            self._stream.relative_to != ReadRelativeTo.CURRENT_READ_POSITION or self._stream.offset != 0
        ):
            raise TaskError(
                "in_stream.relative_to or in_stream.offset is set; a recording reads every sample "
                "once, in order: delete these settings"
            )

    def _times_of_values(self) -> str:
        """Of a counter that measures one period after the other, the values tell the times."""
        if self.kind != "counter":
            return "slot"
        (channel, *others) = self._task.ci_channels
        if others or channel.ci_custom_scale.name:
            return "slot"
        for measure, attribute, unit, times in (
            ("PERIOD", "ci_period_units", "SECONDS", "periods"),
            ("FREQUENCY", "ci_freq_units", "HZ", "frequencies"),
        ):
            if channel.ci_meas_type.name == measure and getattr(channel, attribute).name == unit:
                return times
        return "slot"

    def _ask_error(self, ask: Callable[[], Any]) -> Any:
        """What the driver says, or None where it has no such property for this task."""
        try:
            return ask()
        except (self._error, self._missing):
            return None

    def _is_running(self) -> bool:
        return not self._task.is_task_done()

    def _choose(self, names: list[str], dtype: DtypeChoice) -> None:
        """Decides between codes and scaled values, for all channels alike."""
        if dtype not in ("auto", "raw", "float64"):
            raise TaskError(f"dtype must be 'auto', 'raw' or 'float64', not {dtype!r}")
        if self.kind == "analog":
            self._choose_analog(names, dtype)
        elif self.kind == "power":
            self._choose_power(names, dtype)
        elif self.kind == "digital":
            self._choose_digital(names, dtype)
        else:
            self._choose_counter(names, dtype)

    def _choose_analog(self, names: list[str], dtype: DtypeChoice) -> None:
        channels = [self._task.ai_channels[name] for name in names]
        scales: list[tuple[float, ...] | None] = [None] * len(channels)
        why_not = "dtype='float64' was asked for" if dtype == "float64" else ""
        for number, channel in enumerate(channels):
            if not why_not:
                scales[number], why_not = self._scale(channel)
        if why_not and dtype == "raw":
            raise TaskError(f"dtype='raw' would lose the scaling: {why_not}; use dtype='auto'")
        if why_not:
            scales = [None] * len(channels)
            self.dtype: np.dtype[Any] = np.dtype(np.float64)
            self.dtype_reason = f"float64 in the channels' units, because {why_not}"
        else:
            size = max(int(channel.ai_raw_samp_size) for channel in channels)
            self.dtype = np.dtype(np.int16 if size <= 16 else np.int32)
            self.dtype_reason = (
                f"{self.dtype.name} codes with the device's own scaling: every channel is a plain "
                "voltage or current"
            )
        self.channels = tuple(
            ChannelInfo(
                name=name,
                physical=channel.physical_channel.name,
                unit=self._unit(channel),
                minimum=float(channel.ai_min),
                maximum=float(channel.ai_max),
                scale=scale,
                description=str(channel.description),
            )
            for name, channel, scale in zip(names, channels, scales, strict=True)
        )

    def _choose_power(self, names: list[str], dtype: DtypeChoice) -> None:
        if dtype == "raw":
            raise TaskError("power supplies are recorded in volts and amps; use dtype='auto' or 'float64'")
        self.dtype = np.dtype(np.float64)
        self.dtype_reason = "float64 in volts and amps: what power supplies deliver"
        channels = [self._task.ai_channels[name] for name in names]
        # All voltages, then all currents: so the driver gives them.
        self.channels = tuple(
            ChannelInfo(
                name=f"{name} {what}",
                physical=str(channel.physical_channel.name),
                unit=unit,
                minimum=None,
                maximum=None,
                scale=None,
                description=str(channel.description),
            )
            for what, unit in PAIRS["power"]
            for name, channel in zip(names, channels, strict=True)
        )

    def _choose_digital(self, names: list[str], dtype: DtypeChoice) -> None:
        if dtype == "float64":
            raise TaskError("digital channels have no values in float64; use dtype='auto'")
        infos = []
        width = 1
        for name in names:
            channel = self._task.di_channels[name]
            physical = str(channel.physical_channel.name)
            lines = int(channel.di_num_lines)
            match = _LINE.match(physical.partition(",")[0].partition(":")[0])
            first = int(match[1]) if match else 0
            width = max(width, first + lines)
            if match:
                port = physical.partition(",")[0].rpartition("/")[0]
                width = max(width, self._port_width(port))
            infos.append(
                ChannelInfo(
                    name=name,
                    physical=physical,
                    unit="",
                    minimum=None,
                    maximum=None,
                    scale=None,
                    description=str(channel.description),
                    bit=first if lines == 1 else None,
                )
            )
        if any(info.bit is None for info in infos):
            # As nidaqmx reads them: numbers for all, as soon as one is more than a line.
            infos = [dataclasses.replace(info, bit=None) for info in infos]
        if width > 32:
            raise TaskError(
                f"a channel of {width} lines does not fit into a number of 32 bits; make a channel for each "
                "port, or for each line (LineGrouping.CHAN_PER_LINE)"
            )
        self.dtype = np.dtype(np.uint8 if width <= 8 else np.uint16 if width <= 16 else np.uint32)
        lines_alone = infos[0].bit is not None
        self.dtype_reason = (
            "true and false: every channel is a line"
            if lines_alone
            else f"{self.dtype.name} numbers: channels are ports of up to {width} lines"
        )
        self.channels = tuple(infos)

    def _port_width(self, port: str) -> int:
        from nidaqmx.system import PhysicalChannel

        return self._ask_error(lambda: PhysicalChannel(port).di_port_width) or 1

    def _limit(self, channel: Any, attribute: str) -> float | None:
        value = self._ask_error(lambda: getattr(channel, attribute))
        return None if value is None else float(value)

    def _choose_counter(self, names: list[str], dtype: DtypeChoice) -> None:
        channels = [self._task.ci_channels[name] for name in names]
        counts = self.kind == "pulse ticks" or (self.kind == "counter" and self._measures == {"COUNT_EDGES"})
        if counts and dtype == "float64":
            raise TaskError("counts are whole numbers, not float64; use dtype='auto'")
        if not counts and dtype == "raw":
            raise TaskError("this counter gives values in units, not codes; use dtype='auto' or 'float64'")
        self.dtype = np.dtype(np.uint32 if counts else np.float64)
        self.dtype_reason = (
            "uint32 counts" if counts else "float64 in the channels' units: a counter measures"
        )
        infos = []
        for name, channel in zip(names, channels, strict=True):
            unit = "" if counts else self._unit_of_counter(channel)
            info = ChannelInfo(
                name=name,
                physical=str(channel.physical_channel.name),
                unit=unit,
                minimum=self._limit(channel, "ci_min"),
                maximum=self._limit(channel, "ci_max"),
                scale=None,
                description=str(channel.description),
            )
            infos.append(info)
        if self.kind in PAIRS:
            (info,) = infos
            infos = [
                dataclasses.replace(info, name=f"{info.name} {what}", unit=unit)
                for what, unit in PAIRS[self.kind]
            ]
        self.channels = tuple(infos)

    def _unit_of_counter(self, channel: Any) -> str:
        scale = self._ask_error(lambda: channel.ci_custom_scale)
        if scale is not None and scale.name:
            return str(self._ask_error(lambda: scale.scaled_units) or "")
        attributes = {
            "FREQUENCY": "ci_freq_units",
            "PERIOD": "ci_period_units",
            "PULSE_WIDTH_DIGITAL": "ci_pulse_width_units",
            "PULSE_WIDTH_DIGITAL_SEMI_PERIOD": "ci_semi_period_units",
            "PULSE_WIDTH_DIGITAL_TWO_EDGE_SEPARATION": "ci_two_edge_sep_units",
            "POSITION_ANGULAR_ENCODER": "ci_ang_encoder_units",
            "POSITION_LINEAR_ENCODER": "ci_lin_encoder_units",
            "VELOCITY_ANGULAR_ENCODER": "ci_velocity_ang_encoder_units",
            "VELOCITY_LINEAR_ENCODER": "ci_velocity_lin_encoder_units",
            "TIME_GPS": "ci_timestamp_units",
        }
        attribute = attributes.get(channel.ci_meas_type.name)
        units = None if attribute is None else self._ask_error(lambda: getattr(channel, attribute))
        if units is None:
            return ""
        known = {"HZ": "Hz", "SECONDS": "s", "DEGREES": "°", "RADIANS": "rad", "METERS": "m", "INCHES": "in"}
        return known.get(units.name, str(units.name).lower().replace("_", " "))

    def _scale(self, channel: Any) -> tuple[tuple[float, ...] | None, str]:
        """The polynomial from codes to the channel's unit, or why there is none that says everything."""
        from nidaqmx.constants import CurrentUnits, UsageTypeAI, VoltageUnits

        name, kind = channel.name, channel.ai_meas_type
        if kind not in (UsageTypeAI.VOLTAGE, UsageTypeAI.CURRENT):
            what = kind.name.lower()
            return None, f"channel {name} measures {what}, which is more than the device scales"
        if channel.ai_custom_scale.name:
            return None, f"channel {name} has the custom scale {channel.ai_custom_scale.name!r}"
        plain = (
            channel.ai_voltage_units == VoltageUnits.VOLTS
            if kind == UsageTypeAI.VOLTAGE
            else channel.ai_current_units == CurrentUnits.AMPS
        )
        if not plain:
            return None, f"channel {name} has units of its own"
        if int(channel.ai_raw_samp_size) not in (8, 16, 32):
            return None, f"channel {name} has codes of {channel.ai_raw_samp_size} bits"
        scale = tuple(float(value) for value in channel.ai_dev_scaling_coeff)
        if not scale:
            return None, f"channel {name} does not tell its scaling coefficients"
        if kind == UsageTypeAI.CURRENT:
            return self._scale_to_amps(channel, scale)
        return scale, ""

    def _scale_to_amps(self, channel: Any, scale: tuple[float, ...]) -> tuple[tuple[float, ...] | None, str]:
        """The coefficients give the device's own unit: volts over a shunt outside, else amps, if it fits."""
        from nidaqmx.constants import CurrentShuntResistorLocation

        full = 2.0 ** (int(channel.ai_resolution) - 1)
        value = sum(coefficient * full**power for power, coefficient in enumerate(scale))
        shunt = 1.0
        if channel.ai_current_shunt_loc == CurrentShuntResistorLocation.EXTERNAL:
            shunt = float(channel.ai_current_shunt_resistance)
        limit = max(abs(float(channel.ai_min)), abs(float(channel.ai_max)))
        if shunt > 0 and limit > 0:
            # Amps where volts are meant would be off by the resistance of the shunt inside.
            ratio = value / shunt / limit
            if ratio > 0.9 and (shunt != 1.0 or ratio < 4.0):
                return tuple(coefficient / shunt for coefficient in scale), ""
        return None, f"channel {channel.name} does not tell how its codes become amps"

    @staticmethod
    def _unit(channel: Any) -> str:
        scale = channel.ai_custom_scale
        if scale.name:
            with contextlib.suppress(Exception):
                return str(scale.scaled_units)
            return ""
        for attribute in ("ai_voltage_units", "ai_current_units", "ai_temp_units"):
            with contextlib.suppress(Exception):
                units = getattr(channel, attribute)
                known = {"VOLTS": "V", "AMPS": "A", "DEG_C": "°C", "DEG_F": "°F", "K": "K", "DEG_R": "°R"}
                return known.get(units.name, str(units.name).lower())
        return ""

    # -- the driver's buffer ------------------------------------------------------------------

    def prepare_buffer(self, seconds: float) -> DriverBuffer:
        """Raises the driver's buffer to `seconds`, unless the user set it or the task runs already."""
        planned = self._planned_buffer(seconds)
        if planned.note != RAISED:
            return planned
        self._buffer_to_restore = int(self._stream.input_buf_size)
        self._stream.input_buf_size = planned.used
        return DriverBuffer(int(self._stream.input_buf_size), planned.note)

    def buffer_as_found(self) -> DriverBuffer | None:
        """Takes the raising back, if there was one, for an event that suits no other size."""
        if self._buffer_to_restore is None:
            return None
        found, self._buffer_to_restore = self._buffer_to_restore, None
        del self._stream.input_buf_size
        return DriverBuffer(
            found, "left alone, because the task's every-N-samples event needs a multiple of N"
        )

    def buffer_seconds(self, seconds: float) -> float:
        """For how long the driver's buffer holds samples, once :meth:`prepare_buffer` was called."""
        return self._planned_buffer(seconds).used / self.rate if self.rate else 0.0

    def _planned_buffer(self, seconds: float) -> DriverBuffer:
        if self.every is not None:
            return DriverBuffer(0, "none: read on demand")
        found = int(self._stream.input_buf_size)
        if self.finite is not None:
            return DriverBuffer(found, "finite acquisition: the buffer holds all of it")
        if self.timing in ("implicit", "change detection"):
            return DriverBuffer(found, "left alone, because nobody knows how fast samples come")
        per_sample = len(self.channels) * max(self.dtype.itemsize, 2)
        wanted = min(math.ceil(seconds * self.rate), BUFFER_LIMIT_BYTES // per_sample)
        if found >= wanted:
            return DriverBuffer(found, "large enough as it was")
        if self.already_running:
            return DriverBuffer(found, "left alone, because the task was running already")
        if found not in (default_buffer(self.rate, self._quantity), self.record):
            return DriverBuffer(found, "left alone, because it had been set by hand")
        return DriverBuffer(wanted, RAISED)

    # -- running ------------------------------------------------------------------------------

    def _look(self) -> tuple[float, tuple[Any, ...]]:
        """What others may change of the task: its rate, and all that has to stay as it is."""
        timing = self._task.timing
        rate = self._ask_error(lambda: float(timing.samp_clk_rate)) if self.steady else None
        settings = (
            tuple(self._task.channel_names),
            timing.samp_timing_type,
            None if self.every is not None else timing.samp_quant_samp_mode,
            None if self.every is not None else int(timing.samp_quant_samp_per_chan),
        )
        return rate or 0.0, settings

    def verify(self) -> None:
        """Lets the driver check the task without starting it.

        Raises:
            TaskError: It was changed since it was looked at.
        """
        from nidaqmx.constants import TaskMode

        (rate, settings), before = self._look(), self._seen
        if settings != before[1] or not math.isclose(rate, before[0], rel_tol=1e-3):
            raise TaskError(
                "channels or timing of the task were changed after the recorder was made; make the recorder "
                "when the task is configured"
            )
        self.already_running = self._is_running()
        if not self.already_running:
            self._task.control(TaskMode.TASK_VERIFY)

    def start(self) -> tuple[int, int]:
        """Starts the task, unless it runs.

        Returns the position of the first sample that will be read and the time of sample 0, in
        nanoseconds since 1970 (UTC), by the host's clock.
        """
        if not self.already_running:
            before = time.time_ns()
            self._task.start()
            return 0, (before + time.time_ns()) // 2
        if self.every is not None:
            return 0, time.time_ns()
        position = int(self._stream.curr_read_pos)
        acquired = int(self._stream.total_samp_per_chan_acquired)
        return position, time.time_ns() - round(acquired / self.rate * 1e9)

    def _make_reader(self) -> tuple[Any, Callable[..., int]]:
        """A reader of nidaqmx, and the method of it that reads many samples of our type."""
        from nidaqmx import stream_readers

        by_kind: dict[tuple[str, str], tuple[Any, str]] = {
            ("analog", "float64"): (stream_readers.AnalogMultiChannelReader, "read_many_sample"),
            ("analog", "int16"): (stream_readers.AnalogUnscaledReader, "read_int16"),
            ("analog", "int32"): (stream_readers.AnalogUnscaledReader, "read_int32"),
            **{
                ("digital", f"u{dtype}"): (
                    stream_readers.DigitalMultiChannelReader,
                    f"read_many_sample_{name}",
                )
                for dtype, name in (
                    *(("int8", "port_byte"), ("int16", "port_uint16"), ("int32", "port_uint32")),
                )
            },
            ("counter", "uint32"): (stream_readers.CounterReader, "read_many_sample_uint32"),
            ("counter", "float64"): (stream_readers.CounterReader, "read_many_sample_double"),
            **{
                (kind, "uint32" if kind == "pulse ticks" else "float64"): (
                    stream_readers.CounterReader,
                    f"read_many_sample_{kind.replace(' ', '_')}",
                )
                for kind in PAIRS
                if kind != "power"
            },
        }
        if self.kind == "power":
            by_kind["power", "float64"] = (stream_readers.PowerMultiChannelReader, "read_many_sample")
        make, method = by_kind[self.kind, self.dtype.name]
        reader = make(self._stream)
        reader.verify_array_shape = False
        return reader, getattr(reader, method)

    @property
    def task(self) -> nidaqmx.Task:
        """The task itself."""
        return self._task

    @property
    def handle(self) -> int:
        """The driver's handle of the task."""
        handle: Any = self._task._handle
        return int(getattr(handle, "value", handle))

    def native_functions(self) -> dict[str, int]:
        """Addresses of the functions that a native reader calls, in the library that nidaqmx loaded.

        Raises :class:`NativeUnavailable` where there are none to be had.
        """
        try:
            interpreter = type(self._task._interpreter).__name__
            if interpreter != "LibraryInterpreter":
                raise NativeUnavailable(f"the task is run by nidaqmx's {interpreter}, not by a library here")
            from nidaqmx._lib import lib_importer

            _ = self.handle
            library = lib_importer.windll
        except (AttributeError, ImportError, TypeError) as error:
            raise NativeUnavailable(
                f"this version of nidaqmx keeps its library elsewhere ({error})"
            ) from error
        names = {
            "read": READ_FUNCTIONS[self.kind, self.dtype.name],
            "get_read_attribute": "DAQmxGetReadAttribute",
            "set_read_attribute": "DAQmxSetReadAttribute",
            "stop_task": "DAQmxStopTask",
            "get_extended_error_info": "DAQmxGetExtendedErrorInfo",
        }
        addresses = {}
        for role, name in names.items():
            try:
                address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
            except (self._missing, AttributeError) as error:
                raise NativeUnavailable(f"the driver's library has no function {name}") from error
            if not address:
                raise NativeUnavailable(f"the driver's library has no function {name}")
            addresses[role] = address
        return addresses

    def read(self, into: npt.NDArray[Any], count: int, timeout: float) -> int:
        """Reads `count` samples per channel into `into` (channels x count, C order).

        Raises :class:`ReadFailure` with the samples that the driver had put there all the same;
        these are packed channel after channel with the shorter length.
        """
        try:
            if self.kind in PAIRS:
                half = len(into) // 2
                first, second = (into[:half], into[half:]) if self.kind == "power" else (into[0], into[1])
                got = int(self._read(first, second, count, timeout))
                self._pack(into, got)
                return got
            return int(self._read(into if self.kind != "counter" else into.reshape(-1), count, timeout))
        except self._error as error:
            got = int(getattr(error, "samps_per_chan_read", 0) or 0)
            if self.kind in PAIRS:
                self._pack(into, got)
            code, message = int(error.error_code), describe(error)  # type: ignore[attr-defined]
        # Raised outside the handler: the driver error's traceback holds on to `into`.
        raise ReadFailure(code, message, got)

    @staticmethod
    def _pack(into: npt.NDArray[Any], got: int) -> None:
        """Moves the second values of pairs behind the first ones, as the driver packs other short reads."""
        half, count = len(into) // 2, into.shape[1]
        flat = into.reshape(-1)
        flat[half * got : 2 * half * got] = flat[half * count : half * (count + got)].copy()

    def overwrite_unread(self) -> None:
        """Lets the driver overwrite what was not read in time rather than stop; until `restore`."""
        from nidaqmx.constants import OverwriteMode

        if not self.already_running and self.finite is None and self.every is None:
            with contextlib.suppress(self._error):
                self._stream.overwrite = OverwriteMode.OVERWRITE_UNREAD_SAMPLES
                self._overwrites = True

    def read_newest(self, samples: int) -> bool:
        """Lets the next read begin so many samples before the newest; whether the driver agrees."""
        from nidaqmx.constants import ReadRelativeTo

        return self._place_reads(ReadRelativeTo.MOST_RECENT_SAMPLE, -samples)

    def read_on(self) -> bool:
        """Lets reads follow one on the other again; whether the driver agrees."""
        from nidaqmx.constants import ReadRelativeTo

        return self._place_reads(ReadRelativeTo.CURRENT_READ_POSITION, 0)

    def _place_reads(self, relative_to: Any, offset: int) -> bool:
        try:
            self._stream.relative_to = relative_to
            self._stream.offset = offset
        except self._error:
            return False
        return True

    @property
    def triggered(self) -> bool:
        """Whether samples come only after a trigger."""
        kind = self._ask_error(lambda: self._task.triggers.start_trigger.trig_type)
        return self.record is not None or (kind is not None and kind.name != "NONE")

    def position(self) -> int | None:
        """Samples per channel read so far, by the driver's account."""
        return self._ask("curr_read_pos")

    def acquired(self) -> int | None:
        """Samples per channel acquired so far, by the driver's account."""
        return self._ask("total_samp_per_chan_acquired")

    def backlog(self) -> int | None:
        """Samples per channel that wait in the driver's buffer."""
        return self._ask("avail_samp_per_chan")

    def ask_backlog(self) -> int:
        """The same; raises :class:`ReadFailure` where the driver does not say."""
        try:
            return int(self._stream.avail_samp_per_chan)
        except self._error as error:
            code, message = int(error.error_code), describe(error)  # type: ignore[attr-defined]
        raise ReadFailure(code, message, 0)

    def _ask(self, attribute: str) -> int | None:
        try:
            return int(getattr(self._stream, attribute))
        except self._error:
            return None

    def stop(self) -> None:
        """Stops the task, unless it ran before the recording."""
        if not self.already_running:
            with contextlib.suppress(self._error):
                self._stop_task()

    def interrupt(self) -> None:
        """Stops the task in any case, to end a read that does not come back."""
        with contextlib.suppress(self._error):
            self._stop_task()

    def restore(self) -> None:
        """Puts the driver's buffer back to what it was."""
        if self._overwrites:
            self._overwrites = False
            with contextlib.suppress(self._error):
                del self._stream.overwrite
        if self._buffer_to_restore is not None:
            self._buffer_to_restore = None
            with contextlib.suppress(self._error):
                del self._stream.input_buf_size


@contextlib.contextmanager
def driver_words() -> Iterator[None]:
    """Turns the package's errors at start-up into ours, in the driver's words."""
    from nidaqmx.errors import DaqError

    from daqring.errors import DriverError

    try:
        yield
    except DaqError as error:
        raise DriverError(describe(error), int(error.error_code)) from error
