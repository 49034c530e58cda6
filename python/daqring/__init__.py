"""Record from NI-DAQmx at high rates from Python, without losing samples."""

from daqring._crew import cancelled
from daqring._native import __version__
from daqring.pipeline import Pipeline
from daqring.queue import Queue
from daqring.workers import Workers

__all__ = ["Pipeline", "Queue", "Workers", "__version__", "cancelled"]
