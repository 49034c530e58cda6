"""``daqring scope``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from daqring.cli.arguments import Refusal, positive
from daqring.status import recorders

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add"]

#: Seconds that are shown of a running recording.
NEWEST = 10.0


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    scope = commands.add_parser(
        "scope",
        help="look at a recording in a window, also while it is recorded",
        description="Show a recording in a window: a file, or the recording that 'daqring top' shows under a "
        "name, of which it follows the newest samples. It reads the file and cannot disturb the recording. "
        "Needs: pip install 'daqring[scope]'",
    )
    scope.add_argument("what", metavar="FILE|NAME", help="a TDMS file, or the name of a running recording")
    scope.add_argument(
        "--seconds", type=positive, metavar="S", help="only the newest seconds (running: default 10)"
    )
    scope.add_argument("--picture", metavar="FILE.png", help="write a picture instead of opening a window")
    scope.add_argument(
        "--wait", action="store_true", help="open the window also where nothing has been written yet"
    )
    scope.set_defaults(run=_scope)


def _scope(arguments: argparse.Namespace) -> int:
    path, seconds = Path(arguments.what), arguments.seconds
    if arguments.wait and arguments.picture is not None:
        raise Refusal("--wait is for a window; of what is not written yet there is no picture")
    if not path.exists():
        found = [status for status in recorders() if status.name == arguments.what and status.path]
        if not found and not arguments.wait:
            raise Refusal(f"there is no file {arguments.what!r}, and no recording of this name runs")
        if found:
            path = Path(found[0].path)
        seconds = seconds or NEWEST
    elif arguments.wait:
        seconds = seconds or NEWEST
    try:
        from daqring.scope import files_of, show

        if not arguments.wait and not path.exists() and not files_of(path):
            raise Refusal(f"{arguments.what} has written nothing yet")
        show(path, seconds=seconds, picture=arguments.picture, wait=arguments.wait)
    except ImportError as error:
        raise Refusal(f"the scope needs PyQtGraph and Qt: pip install 'daqring[scope]' ({error})") from None
    except ValueError as error:
        raise Refusal(str(error)) from None
    return 0
