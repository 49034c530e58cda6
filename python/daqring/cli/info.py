"""``daqring info``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

import daqring
from daqring.cli.arguments import EXIT_LOST

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    info = commands.add_parser(
        "info",
        help="say what is in a file",
        description="Say what is in a TDMS file. Only the headers are read. Exit status 3 where the file is "
        "damaged or its end is cut off: what can be read is told all the same. Whether samples are sound is "
        "what 'daqring verify' finds out.",
    )
    info.add_argument("file", metavar="FILE")
    info.add_argument("--json", action="store_true", help="print it as JSON")
    info.set_defaults(run=_info)


def _info(arguments: argparse.Namespace) -> int:
    log = daqring.open(arguments.file)
    if arguments.json:
        print(json.dumps(log.to_dict(), indent=2, default=str))
    else:
        print(log.describe())
    return EXIT_LOST if log.problem else 0
