"""Record from NI-DAQmx at high rates from Python, without losing samples."""

from daqring._native import __version__
from daqring.queue import Queue

__all__ = ["Queue", "__version__"]
