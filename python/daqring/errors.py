"""What daqring raises and warns of: one tree, with Python's own exceptions where they fit.

Opening, creating and reading files raises the usual :class:`OSError` family
(:class:`FileNotFoundError`, :class:`FileExistsError`, :class:`PermissionError` ...).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daqring.report import Report

__all__ = [
    "DaqringError",
    "DiskLowWarning",
    "DriverError",
    "GapError",
    "LogFormatError",
    "RecordingError",
    "SamplesLostWarning",
    "TaskError",
]


class DaqringError(Exception):
    """Base of everything that daqring itself raises."""


class TaskError(DaqringError, ValueError):
    """The task, as it is configured, cannot be recorded; nothing was started."""


class RecordingError(DaqringError, RuntimeError):
    """A recording stopped because of a failure on our side: a full or failing disk, a failing stage.

    The file was finished as far as that was possible. ``report`` says what is in it.
    """

    report: Report | None = None


class DriverError(DaqringError):
    """A recording stopped because the driver reported an error that is not a loss of samples.

    ``code`` is the driver's error code, the message holds the driver's own words, and ``report``
    says what was recorded until then; that much is in a finished, readable file.
    """

    report: Report | None = None

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class LogFormatError(DaqringError, ValueError):
    """A file is not a TDMS file, or is damaged where it was to be read."""


class DiskLowWarning(UserWarning):
    """The disk will be full before the recording ends; see ``LogOptions.warn_left``."""


class GapError(DaqringError, ValueError):
    """Samples that were asked for are missing from the log; say what to do about it with ``gaps=``."""


class SamplesLostWarning(UserWarning):
    """Samples that should have been recorded are missing. The report says where and why."""
