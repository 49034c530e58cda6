"""``daqring defragment``."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

import daqring
from daqring.cli.arguments import Refusal

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    defragment = commands.add_parser(
        "defragment",
        help="rewrite a fragmented TDMS file of another program",
        description="Rewrite a TDMS file that another program wrote in many small segments into few large "
        "ones, with checksums. The file itself is not changed.",
    )
    defragment.add_argument("file", metavar="FILE")
    defragment.add_argument("out", metavar="OUT", help="the file to make")
    defragment.add_argument("--overwrite", action="store_true", help="replace an existing OUT")
    defragment.set_defaults(run=_defragment)


def _defragment(arguments: argparse.Namespace) -> int:
    if os.path.isfile(arguments.file) and not os.path.getsize(arguments.file):
        raise Refusal(f"{arguments.file} is empty; there is nothing to rewrite")
    try:
        done = daqring.defragment(arguments.file, arguments.out, overwrite=arguments.overwrite)
    except FileExistsError:
        raise Refusal(f"{arguments.out} exists already; choose another name, or add --overwrite") from None
    print(
        f"{arguments.out}: {done['segments_after']:,} segments, {done['bytes_after']:,} bytes; "
        f"before {done['segments_before']:,} segments, {done['bytes_before']:,} bytes"
    )
    return 0
