"""``daqring recover``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

import daqring
from daqring.cli.arguments import EXIT_LOST, Refusal

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    recover = commands.add_parser(
        "recover",
        help="bring back what is whole of a damaged recording",
        description="Make a sound file of a damaged or unfinished recording and its tail file. Makes a copy, "
        "unless told otherwise. Exit status 3 where recorded data could not be brought back.",
    )
    recover.add_argument("file", metavar="FILE")
    place = recover.add_mutually_exclusive_group()
    place.add_argument("-o", "--output", metavar="OUT", help="the copy (default: FILE.recovered.tdms)")
    place.add_argument(
        "--in-place", action="store_true", help="cut and complete the file itself (its end only)"
    )
    recover.add_argument("--overwrite", action="store_true", help="replace an existing OUT")
    recover.add_argument("--json", action="store_true", help="print it as JSON")
    recover.set_defaults(run=_recover)


def _recover(arguments: argparse.Namespace) -> int:
    try:
        result = daqring.recover(
            arguments.file,
            arguments.output,
            in_place=arguments.in_place,
            overwrite=arguments.overwrite,
        )
    except FileExistsError as error:
        raise Refusal(
            f"{error.filename} exists already; choose another --output, or add --overwrite"
        ) from None
    if arguments.json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        print(result)
    return EXIT_LOST if result.lost else 0
