"""``daqring plot``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import daqring
from daqring.cli.arguments import Refusal
from daqring.cli.export import place, selection

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    plot = commands.add_parser(
        "plot",
        help="draw channels of a recording",
        description="Draw channels of a recording over local time into a PNG or SVG: the least and the "
        "greatest sample of every point of the picture, so that no peak is lost however long the recording "
        "is. Gaps are shaded.",
        epilog="Example: daqring plot run.tdms -o run.png --channel Dev1/ai0 --channel Dev1/ai1",
    )
    plot.add_argument("file", metavar="FILE", nargs="+", help="a recording: its first file, or all of them")
    plot.add_argument("-o", "--output", metavar="OUT", required=True, help="the picture: .png or .svg")
    selection(plot)
    plot.add_argument("--overwrite", action="store_true", help="replace an existing OUT")
    plot.set_defaults(run=_plot)


def _plot(arguments: argparse.Namespace) -> int:
    try:
        path = daqring.plot(
            arguments.file[0] if len(arguments.file) == 1 else arguments.file,
            arguments.output,
            channels=arguments.channel,
            stream=arguments.stream,
            start=place(arguments.start),
            stop=place(arguments.stop),
            clock=arguments.clock,
            overwrite=arguments.overwrite,
        )
    except FileExistsError as error:
        raise Refusal(f"{error.filename} exists already; choose another name, or add --overwrite") from None
    except (KeyError, ValueError, ModuleNotFoundError) as error:
        raise Refusal(str(error.args[0] if error.args else error)) from error
    print(path)
    return 0
