"""Which driver the commands talk to, and its errors as sentences."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from daqring.cli.arguments import Refusal, complain
from daqring.runfile import Run

__all__ = ["simulation_flags", "simulation_of", "with_driver"]


def simulation_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that choose the simulated driver and its devices."""
    simulation = parser.add_argument_group("without hardware")
    simulation.add_argument(
        "--simulate", action="store_true", help="use the simulated driver that comes with daqring"
    )
    simulation.add_argument(
        "--product", metavar="NAME", help="make Dev1 this product, such as PXIe-6396 (needs --simulate)"
    )
    simulation.add_argument(
        "--devices",
        metavar="FILE",
        help="make the devices of this .toml or .ini file, such as daqring devices --save writes "
        "(needs --simulate)",
    )
    simulation.add_argument(
        "--pattern", action="store_true", help="let it produce the checkable pattern (needs --simulate)"
    )
    simulation.add_argument(
        "--unthrottled",
        action="store_true",
        help="as fast as it is read, not in real time (needs --simulate)",
    )


def simulation_of(arguments: argparse.Namespace, *, simulated: bool = False) -> dict[str, Any] | None:
    """What the flags say of the simulated driver; ``None`` where they do not ask for it.

    `simulated`: a run file asks for it already.
    """
    if not (arguments.simulate or simulated):
        for flag in ("product", "devices", "pattern", "unthrottled"):
            if getattr(arguments, flag):
                raise Refusal(f"--{flag} is for the simulated driver: add --simulate")
        return None
    if arguments.product is not None and arguments.devices is not None:
        raise Refusal("give --product or --devices, not both")
    table: dict[str, Any] = {}
    if not simulated and arguments.devices is None:
        # A file of devices says what they measure.
        table["signal"] = "sine"
    if arguments.product is not None:
        table["product"] = arguments.product
    if arguments.devices is not None:
        if not arguments.devices.lower().endswith((".toml", ".ini")):
            raise Refusal(f"--devices {arguments.devices!r}: give a .toml or .ini file")
        # Against this folder, not that of a run file.
        table["devices"] = os.path.abspath(arguments.devices)
    if arguments.pattern:
        table["signal"] = "pattern"
    if arguments.unthrottled:
        table["clock"] = "unthrottled"
    return table


def with_driver(run: Run, act: Callable[[], int]) -> int:
    """Does what needs the driver that `run` asks for; turns the driver's errors into sentences."""
    run.prepare_driver()
    from nidaqmx.errors import DaqError, DaqNotFoundError, DaqNotSupportedError, Error

    from daqring.source import describe

    try:
        return act()
    except (DaqNotFoundError, DaqNotSupportedError):
        return complain(
            "the NI-DAQmx driver is not installed on this machine; install it from NI, "
            "or add --simulate to use the simulated driver"
        )
    except DaqError as error:
        return complain(describe(error))
    except Error as error:
        return complain(str(error))
