"""Record from NI-DAQmx at high rates from Python, without losing samples."""

from daqring._native import __version__

__all__ = ["__version__"]
