"""Putting the simulated library under nidaqmx, and taking it away again."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator
from typing import Any

from daqring import _native
from daqring.sim import _control, _environment, _tasks

__all__ = ["install", "installed", "is_installed", "library_path", "uninstall"]

_lock = threading.Lock()
_before: tuple[Any, Any, Any] | None = None
_ours: Any = None


def library_path() -> str:
    """Path of the shared library that has the simulated DAQmx functions, for ctypes.

    It is daqring's own extension module: load it with the default flags, never with RTLD_GLOBAL.
    """
    path = _native.__file__
    assert path is not None
    return path


def is_installed() -> bool:
    """Whether nidaqmx runs on the simulated library now."""
    if _ours is None:
        return False
    from nidaqmx._lib import lib_importer

    return getattr(lib_importer, "_windll", None) is _ours


def install(
    devices: _control.Devices | None = None,
    *,
    product: str | None = None,
    clock: str | None = None,
    speed: float | None = None,
    signal: str | float | None = None,
    replace: bool = False,
) -> None:
    """Makes nidaqmx use the simulated library, from now on and for the whole process.

    Args:
        devices: names and product types as for :func:`configure`; None keeps what is configured:
            at first Dev1 = PCIe-6363, Dev2 = PXIe-6396, Dev3 = USB-6003, or those of the
            environment's ``DAQRING_SIM_DEVICES``.
        product: makes Dev1, the only device, one of this type.
        clock: ``"real"``, ``"stepped"`` or ``"unthrottled"``; see :func:`clock`. None for the
            environment's ``DAQRING_SIM_CLOCK``, else ``"real"``.
        speed: simulated seconds per second of a real clock; None for the environment's
            ``DAQRING_SIM_SPEED``, else 1.
        signal: what every channel measures; see :func:`signal`. None for the environment's
            ``DAQRING_SIM_SIGNAL``, else what is set.
        replace: allow this although nidaqmx has loaded a real driver in this process already.

    Raises:
        ValueError: for devices, products, clocks or signals that do not exist.
        RuntimeError: where nidaqmx has loaded another library and ``replace`` is not set.

    Calling it again changes the settings. The environment's ``DAQRING_SIM_FAULTS`` lists faults like
    ``Dev1 slow_bus after=100000; Dev2 jitter seconds=0.01``; ``DAQRING_SIM_TRANSFER`` is a number of
    samples, see :func:`transfer`.
    """
    global _before, _ours
    if devices is not None and product is not None:
        raise ValueError("Give either devices or a product, not both.")
    from nidaqmx._lib import DaqFunctionImporter, lib_importer

    with _lock:
        if not is_installed() and lib_importer._windll is not None and not replace:
            raise RuntimeError(
                "nidaqmx has loaded a real driver in this process already. Call "
                "daqring.sim.install() before nidaqmx is first used, or with replace=True."
            )
        if product is not None:
            _control.configure({"Dev1": product})
        elif devices is not None:
            _control.configure(devices)
        elif not is_installed():
            _environment.configure()
        _control.clock(clock or _environment.clock(), _environment.speed() if speed is None else speed)
        signal = _environment.signal() if signal is None else signal
        if signal is not None:
            _control.signal(None, signal)
        if not is_installed():
            _environment.faults()
        if not is_installed():
            before = (lib_importer._windll, lib_importer._cdll, lib_importer._encoding)
            ours = DaqFunctionImporter(ctypes.CDLL(library_path()))
            lib_importer._windll = ours
            lib_importer._cdll = ours
            lib_importer._encoding = "utf-8"
            _before, _ours = before, ours
    _tasks.save()


def uninstall() -> None:
    """Takes the simulated library away from nidaqmx and clears the tasks on it.

    nidaqmx then uses what it used before, or looks for a real driver at its next use. Does nothing
    where the simulated library is not installed.
    """
    global _before, _ours
    with _lock:
        if _before is None:
            return
        from nidaqmx._lib import lib_importer

        if lib_importer._windll is _ours:
            lib_importer._windll, lib_importer._cdll, lib_importer._encoding = _before
        _before, _ours = None, None
    _native.sim_clear_all()


@contextlib.contextmanager
def installed(
    devices: _control.Devices | None = None,
    *,
    product: str | None = None,
    clock: str | None = None,
    speed: float | None = None,
    signal: str | float | None = None,
    replace: bool = False,
) -> Iterator[None]:
    """A context in which nidaqmx uses the simulated library; takes the arguments of :func:`install`.

    At its end every setting is taken back and every simulated task is cleared. Where the library
    was installed before, it stays.
    """
    already = is_installed()
    install(devices, product=product, clock=clock, speed=speed, signal=signal, replace=replace)
    try:
        yield
    finally:
        if not already:
            uninstall()
        _control.reset()
