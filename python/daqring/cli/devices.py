"""``daqring devices``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from daqring.cli.arguments import Refusal
from daqring.cli.driver import simulation_flags, simulation_of, with_driver
from daqring.runfile import Run

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    devices = commands.add_parser(
        "devices",
        help="list the devices that the driver knows",
        description="List the devices that the driver knows: name, product, analog inputs, highest rate.",
        epilog="Exit status: 1 error; 0 otherwise, also where there are none.",
    )
    devices.add_argument(
        "--products", action="store_true", help="list what can be simulated (for --product), instead"
    )
    devices.add_argument("--json", action="store_true", help="print them as JSON")
    devices.add_argument(
        "--save",
        metavar="FILE",
        help="write them to a .toml file (or .ini, NI's format) that daqring.sim.configure() reads",
    )
    simulation_flags(devices)
    devices.set_defaults(run=_devices)


def _devices(arguments: argparse.Namespace) -> int:
    if arguments.products:
        from daqring.sim import products

        names = products()
        print(json.dumps(names) if arguments.json else "\n".join(names))
        return 0
    simulation = simulation_of(arguments)
    run = Run({} if simulation is None else {"simulation": simulation})
    return with_driver(run, lambda: _list_devices(arguments))


def _list_devices(arguments: argparse.Namespace) -> int:
    from nidaqmx.system import System

    if arguments.save is not None:
        from daqring.sim import _devices

        try:
            _devices.write(arguments.save, _devices.describe_rig())
        except ValueError as error:
            raise Refusal(str(error)) from None
    rows = []
    for device in System.local().devices:
        rows.append(
            {
                "name": device.name,
                "product": device.product_type,
                "simulated": bool(device.is_simulated),
                "analog_inputs": len(device.ai_physical_chans),
                "max_rate_one_channel": _or_none(lambda device=device: float(device.ai_max_single_chan_rate)),
                "max_rate_all_channels": _or_none(lambda device=device: float(device.ai_max_multi_chan_rate)),
            }
        )
    if arguments.json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print("no devices")
    for row in [] if arguments.json else rows:
        rate = row["max_rate_one_channel"]
        print(
            f"{row['name']:12} {row['product']:16} {row['analog_inputs']:3} analog inputs"
            + (f", up to {rate:,.0f} S/s on one" if rate else "")
            + (", simulated" if row["simulated"] else "")
        )
    return 0


def _or_none(ask: Any) -> Any:
    from nidaqmx.errors import Error

    try:
        return ask()
    except Error:
        return None
