"""``daqring annotate`` and ``daqring capture``."""

from __future__ import annotations

import argparse
import contextlib
import time
from typing import TYPE_CHECKING, Any

from daqring.cli.arguments import Refusal, complain, positive
from daqring.status import Status, ask, running

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add"]

#: Seconds between two looks at whether it was heard.
STEP = 0.05


def add(commands: Commands) -> None:
    """Adds the commands to the parser."""
    annotate = commands.add_parser(
        "annotate",
        help="note an event in a running recording",
        description='Note an event, such as "valve opened", in a running recording, with the time of now. '
        "'daqring info' and log.events tell it.",
        epilog='Example: daqring annotate rig "valve opened"\nExit status: 1 error; 0 otherwise.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _name_and_timeout(annotate)
    annotate.add_argument("text", metavar="TEXT", help="the note")
    annotate.set_defaults(run=_annotate)
    capture = commands.add_parser(
        "capture",
        help="let a running recording take what is around now",
        description="Let the triggers of a running recording take a record now: what is before it and behind "
        "it, as their pre and post say. It is heard within half a second; pre has to bridge that.",
        epilog="Example: daqring capture rig\nExit status: 1 error; 0 otherwise.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _name_and_timeout(capture)
    capture.add_argument("trigger", nargs="?", metavar="TRIGGER", help="only the trigger stage of this name")
    capture.set_defaults(run=_capture)


def _name_and_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="as 'daqring top' shows it")
    parser.add_argument(
        "--timeout", type=positive, default=10.0, metavar="S", help="how long to wait for it (default: 10)"
    )


def _running(name: str) -> Status:
    try:
        return running(name)
    except LookupError as error:
        raise Refusal(str(error.args[0])) from None


def _annotate(arguments: argparse.Namespace) -> int:
    if not _running(arguments.name).path:
        raise Refusal(f"{arguments.name} has no log to note something in")
    return _ask(arguments, annotate=arguments.text, time_ns=time.time_ns())


def _capture(arguments: argparse.Namespace) -> int:
    name, trigger = arguments.name, arguments.trigger
    there = _running(name).triggers
    if not there:
        raise Refusal(f"{name} has no trigger; give it [[stages]] with kind = 'trigger'")
    if trigger is not None and trigger not in there:
        raise Refusal(f"{name} has no trigger {trigger!r}, only {', '.join(map(repr, there))}")
    return _ask(arguments, capture=trigger)


def _ask(arguments: argparse.Namespace, **request: Any) -> int:
    file = ask(arguments.name, **request)
    deadline = time.monotonic() + arguments.timeout
    while file.exists():
        if time.monotonic() > deadline:
            with contextlib.suppress(OSError):
                file.unlink()
            return complain(f"{arguments.name} has not heard it within {arguments.timeout:g} s")
        time.sleep(STEP)
    return 0
