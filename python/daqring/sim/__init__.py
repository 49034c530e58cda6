"""Run nidaqmx without hardware and without NI's driver.

    import daqring.sim
    daqring.sim.install()               # before or after nidaqmx is first used
    import nidaqmx                      # unmodified

The simulated DAQmx library is part of daqring's native module: nothing else has to be built or
found. ``python -m daqring.sim script.py`` runs a program on it without changing the program.
"""

from daqring.sim._control import (
    Ledger,
    clock,
    configure,
    devices,
    fault,
    hold_triggers,
    ledger,
    ledgers,
    pattern,
    plug,
    products,
    reset,
    save_devices,
    signal,
    step,
    transfer,
    trigger,
    unplug,
    wire,
)
from daqring.sim._install import install, installed, is_installed, library_path, uninstall
from daqring.sim._trace import trace
from daqring.sim._waves import Edges, Encoder, Pulses, edges, encoder, pulses

__all__ = [
    "Edges",
    "Encoder",
    "Ledger",
    "Pulses",
    "clock",
    "configure",
    "devices",
    "edges",
    "encoder",
    "fault",
    "hold_triggers",
    "install",
    "installed",
    "is_installed",
    "ledger",
    "ledgers",
    "library_path",
    "pattern",
    "plug",
    "products",
    "pulses",
    "reset",
    "save_devices",
    "signal",
    "step",
    "trace",
    "transfer",
    "trigger",
    "uninstall",
    "unplug",
    "wire",
]
