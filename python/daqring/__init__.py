"""Record from NI-DAQmx at high rates from Python, without losing samples.

:func:`record` and :class:`Recorder` drive a configured :class:`nidaqmx.Task` and write a TDMS log;
:func:`open` reads one back; :func:`verify` checks one; :func:`recover` brings back what is whole of a
damaged one. :class:`Queue`, :class:`Workers` and
:class:`Pipeline` do with threads what is otherwise written by hand with ``queue.Queue``.
:mod:`daqring.sim` is a simulated DAQmx driver for work without hardware.
"""

from daqring._crew import cancelled
from daqring._native import __version__
from daqring.block_ring import BlockRing
from daqring.errors import (
    DaqringError,
    DiskLowWarning,
    DriverError,
    GapError,
    LogFormatError,
    RecordingError,
    SamplesLostWarning,
    TaskError,
)
from daqring.exporting import export, import_archive
from daqring.log import Log, LogChannel, LogGroup, LogRecord, LogStream, open
from daqring.log_options import LogOptions
from daqring.pipeline import Pipeline
from daqring.plotting import plot
from daqring.queue import Queue, SpscQueue
from daqring.recorder import Recorder, record
from daqring.report import Gap, Report, StreamReport
from daqring.restart import Restart
from daqring.stream import Stream, stream
from daqring.taps import Block, Tap
from daqring.tdms import Recovery, Verification, defragment, recover, verify
from daqring.workers import Workers

__all__ = [
    "Block",
    "BlockRing",
    "DaqringError",
    "DiskLowWarning",
    "DriverError",
    "Gap",
    "GapError",
    "Log",
    "LogChannel",
    "LogFormatError",
    "LogGroup",
    "LogOptions",
    "LogRecord",
    "LogStream",
    "Pipeline",
    "Queue",
    "Recorder",
    "RecordingError",
    "Recovery",
    "Report",
    "Restart",
    "SamplesLostWarning",
    "SpscQueue",
    "Stream",
    "StreamReport",
    "Tap",
    "TaskError",
    "Verification",
    "Workers",
    "__version__",
    "cancelled",
    "defragment",
    "export",
    "import_archive",
    "open",
    "plot",
    "record",
    "recover",
    "stream",
    "verify",
]
