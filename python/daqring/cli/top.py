"""``daqring top``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

from daqring.cli.arguments import Refusal, positive
from daqring.cli.display import Display, duration, health_lines
from daqring.status import Status, recorders

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    top = commands.add_parser(
        "top",
        help="show the health of every running recording",
        description="Show the recordings of this user that run on this machine, from any program: whether "
        "they keep up, with how much room, and what is wrong where something is. It cannot disturb them. "
        "Ends with Ctrl-C; in a pipe it shows them once.",
    )
    top.add_argument("name", nargs="?", metavar="NAME", help="only this one")
    top.add_argument("--once", action="store_true", help="show them once and end")
    top.add_argument("--json", action="store_true", help="as JSON: a list, on one line for each look")
    top.add_argument(
        "--interval", type=positive, default=1.0, metavar="S", help="seconds between two looks (default: 1)"
    )
    top.set_defaults(run=_top)


def _top(arguments: argparse.Namespace) -> int:
    display = Display(sys.stdout)
    once = arguments.once or not (display.enabled or arguments.json)
    try:
        while True:
            found = [each for each in recorders() if arguments.name in (None, each.name)]
            if arguments.name is not None and not found:
                raise Refusal(f"no recorder called {arguments.name!r} runs; 'daqring top' shows which do")
            if arguments.json:
                print(json.dumps([each.to_dict() for each in found]), flush=True)
            elif display.enabled and not once:
                display.draw(_lines(found, display.width))
            else:
                print("\n".join(_lines(found, 500)))
            if once:
                return 0
            time.sleep(arguments.interval)
    except KeyboardInterrupt:
        return 0


def _lines(found: list[Status], width: int) -> list[str]:
    if not found:
        return ["no recordings run"]
    lines = []
    for status in found:
        head = f"{status.name} "
        where = f"      {status.path or 'no log'}, process {status.pid}"
        if status.state == "gone":
            lines.append(f"BAD   {head.strip()}: its process ended without finishing the file")
            lines.append(where)
            if status.path:
                lines.append("      ! 'daqring recover' completes the file")
        elif status.health is None:
            lines += [f"WATCH {head}has just begun", where]
        else:
            shown = health_lines(status.health | {"verdict": status.verdict}, head, width)
            shown.insert(1, where)
            if status.state == "stalled":
                shown.insert(1, f"      ! no sign of life for {duration(status.age)}")
            elif status.state == "finishing":
                shown.insert(1, "      the file is being finished")
            lines.extend(shown)
    return lines
