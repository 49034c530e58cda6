"""Which driver the commands talk to, and its errors as sentences."""

from __future__ import annotations

import argparse
from typing import Any

from daqring.cli.arguments import Refusal, complain

__all__ = ["simulation_flags", "with_driver"]


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
        "--pattern", action="store_true", help="let it produce the checkable pattern (needs --simulate)"
    )
    simulation.add_argument(
        "--unthrottled",
        action="store_true",
        help="as fast as it is read, not in real time (needs --simulate)",
    )


def _prepare_driver(arguments: argparse.Namespace) -> None:
    if arguments.simulate:
        import daqring.sim

        try:
            daqring.sim.install(
                product=arguments.product,
                signal="pattern" if arguments.pattern else "sine",
                clock="unthrottled" if arguments.unthrottled else "real",
            )
        except ValueError as error:
            raise Refusal(str(error)) from error
    else:
        for flag in ("product", "pattern", "unthrottled"):
            if getattr(arguments, flag):
                raise Refusal(f"--{flag} is for the simulated driver: add --simulate")


def with_driver(arguments: argparse.Namespace, run: Any) -> int:
    """Runs what needs the driver; turns the package's errors into sentences."""
    _prepare_driver(arguments)
    from nidaqmx.errors import DaqError, DaqNotFoundError, DaqNotSupportedError, Error

    from daqring.source import describe

    try:
        return int(run(arguments))
    except (DaqNotFoundError, DaqNotSupportedError):
        return complain(
            "the NI-DAQmx driver is not installed on this machine; install it from NI, "
            "or add --simulate to use the simulated driver"
        )
    except DaqError as error:
        return complain(describe(error))
    except Error as error:
        return complain(str(error))
