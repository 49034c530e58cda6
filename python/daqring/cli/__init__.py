"""The command ``daqring``: a module for each of its commands, with ``add(commands)``."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

import daqring
from daqring.cli import (
    annotate,
    check,
    defragment,
    devices,
    export,
    info,
    plot,
    record,
    recover,
    scope,
    stop,
    top,
    verify,
)
from daqring.cli.arguments import EXIT_ERROR, Parser, Refusal, complain, sentence, spell_out

__all__ = ["main"]

#: In the order of the help.
COMMANDS = (
    record,
    check,
    top,
    stop,
    annotate,
    scope,
    info,
    verify,
    recover,
    export,
    plot,
    defragment,
    devices,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status.

    1: error; else 3: samples were lost, or a file is incomplete; else 130: interrupted before the
    duration that was asked for; else 0.
    """
    spell_out()
    parser = _parser()
    given = sys.argv[1:] if argv is None else list(argv)
    if not given:
        parser.print_help(sys.stderr)
        return EXIT_ERROR
    arguments, unknown = parser.parse_known_args(given)
    if hasattr(arguments, "paths"):
        # Paths may stand before and behind flags.
        arguments.paths += [each for each in unknown if not each.startswith("-")]
        unknown = [each for each in unknown if each.startswith("-")]
    if unknown:
        arguments.parser.refuse(unknown)
    # What this warns of, the report and the exit status say.
    warnings.simplefilter("ignore", daqring.SamplesLostWarning)
    warnings.showwarning = _show
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_ERROR
    except daqring.LogFormatError as error:
        message, files = sentence(error), getattr(arguments, "file", None)
        # Of several files the message says itself which one it is.
        if isinstance(files, str) or (isinstance(files, list) and len(files) == 1):
            name = files if isinstance(files, str) else files[0]
            message = message if name in message else f"{name}: {message}"
        return complain(message)
    except (Refusal, daqring.DaqringError, OSError) as error:
        return complain(sentence(error))


_show_others = warnings.showwarning


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning for whoever records, without the place in the program."""
    if issubclass(category, daqring.DiskLowWarning):
        print(f"daqring: {message}", file=sys.stderr)
    else:
        _show_others(message, category, filename, lineno, file, line)


def _parser() -> Parser:
    parser = Parser(
        prog="daqring",
        description="Record from NI-DAQmx at high rates without losing samples.",
        epilog="The first three:\n"
        "  daqring record run.tdms --ai Dev1/ai0:7 --rate 1e5 --seconds 5    (without a device: --simulate)\n"
        "  daqring verify run.tdms\n"
        "  daqring plot run.tdms -o run.png\n\n"
        "'daqring COMMAND --help' tells more of each.\n"
        "Exit status: 1 error; 3 finished, but samples were lost, a file is incomplete, or a check is BAD;\n"
        "130 interrupted before the duration that was asked for; 0 otherwise.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"daqring {daqring.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        command.add(commands)
    return parser
