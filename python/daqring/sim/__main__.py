"""``python -m daqring.sim [options] script.py [args]``: a program on the simulated driver."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Sequence

from daqring import sim


def main(argv: Sequence[str] | None = None) -> None:
    """Installs the simulated library and runs a script, or a module with ``-m``."""
    parser = argparse.ArgumentParser(
        prog="python -m daqring.sim",
        description="Run a Python program that uses nidaqmx on simulated devices.",
    )
    parser.add_argument(
        "--device",
        action="append",
        metavar="NAME=PRODUCT",
        help="a device, like Dev1=PCIe-6363; may be given several times",
    )
    parser.add_argument(
        "--devices", metavar="FILE", help="the devices of this .toml or .ini file, instead of --device"
    )
    parser.add_argument("--product", help="make Dev1, the only device, one of this type")
    parser.add_argument("--clock", choices=["real", "unthrottled"], help="how time moves")
    parser.add_argument("--speed", type=float, help="simulated seconds per second")
    parser.add_argument("--signal", help='"sine", "pattern", "noise" or a number of volts')
    parser.add_argument("--list-products", action="store_true", help="list what can be simulated")
    parser.add_argument("-m", dest="module", action="store_true", help="run a module by its name")
    parser.add_argument("program", nargs="?", help="the script, or the module's name after -m")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the program")
    options = parser.parse_args(argv)
    if options.list_products:
        print("\n".join(sim.products()))
        return
    if options.device is not None and options.devices is not None:
        parser.error("give either --device or --devices, not both")
    if options.program is None:
        parser.error("which script shall run?")
    signal: str | float | None = options.signal
    if signal not in (None, "sine", "pattern", "noise"):
        try:
            signal = float(signal)
        except ValueError:
            parser.error(f"there is no signal {signal!r}: choose sine, pattern, noise or a number of volts")
    try:
        sim.install(
            options.device if options.devices is None else options.devices,
            product=options.product,
            clock=options.clock,
            speed=options.speed,
            signal=signal,
        )
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if not options.module and not os.path.exists(options.program):
        parser.error(f"there is no file {options.program!r}")
    sys.argv = [options.program, *options.arguments]
    if options.module:
        sys.path.insert(0, "")
        runpy.run_module(options.program, run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, os.path.dirname(os.path.abspath(options.program)))
        runpy.run_path(options.program, run_name="__main__")


if __name__ == "__main__":
    main()
