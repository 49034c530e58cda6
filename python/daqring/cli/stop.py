"""``daqring stop``."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from daqring.cli.arguments import Refusal, complain, positive
from daqring.status import recorders, request_stop

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add"]

#: Seconds between two looks at whether it has ended.
STEP = 0.1


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    stop = commands.add_parser(
        "stop",
        help="end a running recording in order",
        description="End a recording of this machine in order, whatever program runs it: what was read is "
        "written and the file is finished. Returns once it has ended.",
    )
    stop.add_argument("name", metavar="NAME", help="as 'daqring top' shows it")
    stop.add_argument(
        "--timeout", type=positive, default=60.0, metavar="S", help="how long to wait for it (default: 60)"
    )
    stop.set_defaults(run=_stop)


def _stop(arguments: argparse.Namespace) -> int:
    try:
        request_stop(arguments.name)
    except LookupError as error:
        raise Refusal(str(error.args[0])) from None
    deadline = time.monotonic() + arguments.timeout
    while time.monotonic() < deadline:
        found = [status for status in recorders() if status.name == arguments.name]
        if not found:
            return 0
        if found[0].state == "gone":
            return complain(f"{arguments.name}: its process ended without finishing the file")
        time.sleep(STEP)
    return complain(f"{arguments.name} was asked to stop and has not ended within {arguments.timeout:g} s")
