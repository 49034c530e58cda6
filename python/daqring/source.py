"""The task as a source of samples: the only module that touches ``nidaqmx``."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import math
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

#: The driver's buffer is never raised beyond this much memory.
BUFFER_LIMIT_BYTES = 1 << 30

# Codes of the driver that mean a loss of samples, see the DAQmx error documentation.
OVERWRITE_CODES = frozenset({-200279, -200222})
OVERFLOW_CODES = frozenset({-200361, -200010, -209829, -200714})
TIMEOUT_CODE = -200284


@dataclasses.dataclass(frozen=True)
class ChannelInfo:
    """One channel of the task, as the log needs to know it.

    ``scale`` holds the polynomial from codes to ``unit`` (ascending coefficients), or ``None``
    where the samples are recorded in ``unit`` already.
    """

    name: str
    physical: str
    unit: str
    minimum: float
    maximum: float
    scale: tuple[float, ...] | None
    description: str = ""


@dataclasses.dataclass
class DriverBuffer:
    """The driver's buffer, in samples per channel: what was found and what the recorder made of it."""

    found: int
    used: int
    note: str

    @property
    def raised(self) -> bool:
        """Whether the recorder made it larger for the time of the recording."""
        return self.used != self.found


class ReadFailure(Exception):
    """A read that the driver refused: its code, its words, and the samples it had got (per channel)."""

    def __init__(self, code: int, message: str, got: int) -> None:
        super().__init__(message)
        self.code = code
        self.got = got


class NativeUnavailable(Exception):
    """Why the driver's functions cannot be called without the interpreter, for this task."""


#: The driver's function for each data type of the samples.
READ_FUNCTIONS = {
    "int16": "DAQmxReadBinaryI16",
    "uint16": "DAQmxReadBinaryU16",
    "int32": "DAQmxReadBinaryI32",
    "uint32": "DAQmxReadBinaryU32",
    "float64": "DAQmxReadAnalogF64",
}


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
    """A configured analog-input task: what it measures, how it is read, how it is left as it was."""

    def __init__(self, task: nidaqmx.Task, dtype: DtypeChoice = "auto") -> None:
        from nidaqmx.constants import AcquisitionType, LoggingMode, ReadRelativeTo, SampleTimingType
        from nidaqmx.errors import DaqError, DaqFunctionNotSupportedError

        self._error: type[Exception] = DaqError
        self._missing: type[Exception] = DaqFunctionNotSupportedError
        self._task = task
        # The task may be guarded against others that want to stop it, but not against us.
        self._stop_task = task.stop
        self._stream = task.in_stream
        try:
            self.name: str = task.name
            names = list(task.channel_names)
            if not names:
                raise TaskError("the task has no channels; add some before recording it")
            analog = set(task.ai_channels.channel_names)
            others = [name for name in names if name not in analog]
            if others or not self._all_analog(names):
                raise TaskError(
                    f"only analog input channels can be recorded, and {others or names} are of another kind"
                )
            if self._stream.num_chans != len(names):
                raise TaskError(
                    "in_stream.channels_to_read selects some of the channels; "
                    "a recording needs all of them: delete that setting"
                )
            if self._stream.logging_mode == LoggingMode.LOG:
                raise TaskError(
                    "the task is set to driver logging in LOG mode, in which nothing can be read; use "
                    "LoggingMode.OFF (or LOG_AND_READ), or leave the recording to the driver altogether"
                )
            if task.timing.samp_timing_type != SampleTimingType.SAMPLE_CLOCK:
                raise TaskError("the task has no sample clock; call task.timing.cfg_samp_clk_timing(...)")
            self.rate: float = float(task.timing.samp_clk_rate)
            mode = task.timing.samp_quant_samp_mode
            quantity = int(task.timing.samp_quant_samp_per_chan)
            if mode == AcquisitionType.FINITE:
                self.finite: int | None = quantity
            elif mode == AcquisitionType.CONTINUOUS:
                self.finite = None
                if (
                    self._stream.relative_to != ReadRelativeTo.CURRENT_READ_POSITION
                    or self._stream.offset != 0
                ):
                    raise TaskError(
                        "in_stream.relative_to or in_stream.offset is set; a recording reads every sample "
                        "once, in order: delete these settings"
                    )
            else:
                raise TaskError(f"the sample mode {mode.name} cannot be recorded")
            self._quantity = quantity
            self.already_running = self._is_running()
            self._choose(names, dtype)
        except DaqError as error:
            raise TaskError(f"the driver refuses the task as it is configured: {describe(error)}") from error
        self._buffer_to_restore: int | None = None
        self._reader, self._read = self._make_reader()

    # -- what the task is ---------------------------------------------------------------------

    def _all_analog(self, names: list[str]) -> bool:
        from nidaqmx.constants import ChannelType

        return all(channel.chan_type == ChannelType.ANALOG_INPUT for channel in self._task.channels) and bool(
            names
        )

    def _is_running(self) -> bool:
        return not self._task.is_task_done()

    def _choose(self, names: list[str], dtype: DtypeChoice) -> None:
        """Decides between codes and scaled values, for all channels alike."""
        if dtype not in ("auto", "raw", "float64"):
            raise TaskError(f"dtype must be 'auto', 'raw' or 'float64', not {dtype!r}")
        channels = [self._task.ai_channels[name] for name in names]
        why_not = "dtype='float64' was asked for" if dtype == "float64" else self._why_not_raw(channels)
        if why_not and dtype == "raw":
            raise TaskError(f"dtype='raw' would lose the scaling: {why_not}; use dtype='auto'")
        if why_not:
            self.dtype: np.dtype[Any] = np.dtype(np.float64)
            self.dtype_reason = f"float64 in the channels' units, because {why_not}"
        else:
            size = max(int(channel.ai_raw_samp_size) for channel in channels)
            self.dtype = np.dtype(np.int16 if size <= 16 else np.int32)
            self.dtype_reason = (
                f"{self.dtype.name} codes with the device's own scaling: every channel is a plain voltage"
            )
        self.channels = tuple(
            ChannelInfo(
                name=name,
                physical=channel.physical_channel.name,
                unit=self._unit(channel),
                minimum=float(channel.ai_min),
                maximum=float(channel.ai_max),
                scale=None if why_not else tuple(float(value) for value in channel.ai_dev_scaling_coeff),
                description=str(channel.description),
            )
            for name, channel in zip(names, channels, strict=True)
        )

    def _why_not_raw(self, channels: list[Any]) -> str:
        """Why codes and the device's polynomial do not say everything; empty where they do."""
        from nidaqmx.constants import UsageTypeAI, VoltageUnits

        for channel in channels:
            kind = channel.ai_meas_type
            if kind != UsageTypeAI.VOLTAGE:
                what = kind.name.lower()
                return f"channel {channel.name} measures {what}, which is more than the device scales"
            if channel.ai_custom_scale.name:
                return f"channel {channel.name} has the custom scale {channel.ai_custom_scale.name!r}"
            if channel.ai_voltage_units != VoltageUnits.VOLTS:
                return f"channel {channel.name} has units of its own"
            if int(channel.ai_raw_samp_size) not in (8, 16, 32):
                return f"channel {channel.name} has codes of {channel.ai_raw_samp_size} bits"
            if len(channel.ai_dev_scaling_coeff) == 0:
                return f"channel {channel.name} does not tell its scaling coefficients"
        return ""

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
        found = int(self._stream.input_buf_size)
        if self.finite is not None:
            return DriverBuffer(found, found, "finite acquisition: the buffer holds all of it")
        per_sample = len(self.channels) * max(self.dtype.itemsize, 2)
        wanted = min(math.ceil(seconds * self.rate), BUFFER_LIMIT_BYTES // per_sample)
        if found >= wanted:
            return DriverBuffer(found, found, "large enough as it was")
        if self.already_running:
            return DriverBuffer(found, found, "left alone, because the task was running already")
        if found != default_buffer(self.rate, self._quantity):
            return DriverBuffer(found, found, "left alone, because it had been set by hand")
        self._stream.input_buf_size = wanted
        self._buffer_to_restore = found
        used = int(self._stream.input_buf_size)
        return DriverBuffer(found, used, "raised for the recording")

    # -- running ------------------------------------------------------------------------------

    def verify(self) -> None:
        """Lets the driver check the task without starting it."""
        from nidaqmx.constants import TaskMode

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
        position = int(self._stream.curr_read_pos)
        acquired = int(self._stream.total_samp_per_chan_acquired)
        return position, time.time_ns() - round(acquired / self.rate * 1e9)

    def _make_reader(self) -> tuple[Any, Callable[[npt.NDArray[Any], int, float], int]]:
        from nidaqmx.stream_readers import AnalogMultiChannelReader, AnalogUnscaledReader

        if self.dtype == np.float64:
            scaled = AnalogMultiChannelReader(self._stream)
            scaled.verify_array_shape = False
            return scaled, scaled.read_many_sample
        unscaled = AnalogUnscaledReader(self._stream)
        unscaled.verify_array_shape = False
        return unscaled, unscaled.read_int16 if self.dtype == np.int16 else unscaled.read_int32

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
            "read": READ_FUNCTIONS[self.dtype.name],
            "get_read_attribute": "DAQmxGetReadAttribute",
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
            return int(self._read(into, count, timeout))
        except self._error as error:
            got = int(getattr(error, "samps_per_chan_read", 0) or 0)
            code, message = int(error.error_code), describe(error)  # type: ignore[attr-defined]
        # Raised outside the handler: the driver error's traceback holds on to `into`.
        raise ReadFailure(code, message, got)

    def position(self) -> int | None:
        """Samples per channel read so far, by the driver's account."""
        return self._ask("curr_read_pos")

    def acquired(self) -> int | None:
        """Samples per channel acquired so far, by the driver's account."""
        return self._ask("total_samp_per_chan_acquired")

    def backlog(self) -> int | None:
        """Samples per channel that wait in the driver's buffer."""
        return self._ask("avail_samp_per_chan")

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
