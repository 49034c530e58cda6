"""``daqring verify``."""

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
    verify = commands.add_parser(
        "verify",
        help="check a recording",
        description="Check a recording: structure, checksums, sequence, gaps. Changes nothing. "
        "Exit status 3 where the recording is incomplete or damaged.",
    )
    verify.add_argument("file", metavar="FILE")
    verify.add_argument("--json", action="store_true", help="print it as JSON")
    verify.set_defaults(run=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    result = daqring.verify(arguments.file)
    if arguments.json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        print(result)
    return 0 if result.complete else EXIT_LOST
