"""``daqring verify``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import daqring
from daqring.cli.arguments import EXIT_LOST, Refusal

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    verify = commands.add_parser(
        "verify",
        help="check a recording",
        description="Check a recording: structure, checksums, sequence, gaps. Changes nothing. "
        "Exit status 3 where the recording is incomplete or damaged. Of the files of a rotation give all: "
        "then it is told, too, whether one between them is missing, and whether the last one is there.",
    )
    verify.add_argument("files", metavar="FILE", nargs="+")
    verify.add_argument("--json", action="store_true", help="print it as JSON; of several files as a list")
    verify.set_defaults(run=_verify)


def _verify(arguments: argparse.Namespace) -> int:
    results = []
    for file in arguments.files:
        try:
            results.append(daqring.verify(file))
        except daqring.LogFormatError as error:
            raise Refusal(f"{file}: {error}") from None
    between, complete = _together(arguments.files) if len(results) > 1 else ([], True)
    if arguments.json:
        told: Any = [result.to_dict() for result in results]
        print(json.dumps(told if len(told) > 1 else told[0], indent=2))
    else:
        for result in results:
            print(result)
        for line in between:
            print(line)
        if len(results) == 1 and results[0].complete and _goes_on(arguments.files[0]):
            print("The recording goes on in another file; give all its files to have it checked as a whole.")
    return 0 if complete and all(result.complete for result in results) else EXIT_LOST


def _goes_on(file: str) -> bool:
    """Whether the file was left for the next one of its recording: only the last one says how it ended."""
    properties = daqring.open(file, follow=False).properties
    return "daqring.version" in properties and "daqring.stop_reason" not in properties


def _together(files: list[str]) -> tuple[list[str], bool]:
    """What there is to say of the files as one recording, and whether nothing is missing between them."""
    try:
        log = daqring.open(files)
    except ValueError as error:
        raise Refusal(str(error)) from None
    told = {one for path in log.paths for one in daqring.open(path, follow=False).gaps}
    missing = [f"{stream}: {gap}" for stream, gap in log.gaps if (stream, gap) not in told]
    if _goes_on(log.paths[-1]):
        missing.append(f"{log.paths[-1]} is not the last file of its recording")
    lines = missing or [f"Nothing is missing between these {len(files)} files, nor behind them."]
    number = log.properties.get("daqring.file")
    if number:
        # As a ring of files (keep) leaves it.
        lines.append(f"{log.paths[0]} is not the first file of its recording, but number {number} (from 0)")
    return lines, not missing
