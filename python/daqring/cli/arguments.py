"""What the commands share: exit statuses, the parser, types of arguments, errors as sentences."""

from __future__ import annotations

import argparse
import codecs
import difflib
import errno
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from daqring.task_tables import suggestion

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["Parser"]

__all__ = [
    "EXIT_ERROR",
    "EXIT_INTERRUPTED",
    "EXIT_LOST",
    "Parser",
    "Refusal",
    "complain",
    "count",
    "log_to",
    "positive",
    "sentence",
    "spell_out",
]

#: What stands for characters of ours that an output's encoding lacks.
PLAIN = {"├": "+", "└": "+", "─": "-", "…": "~"}

EXIT_ERROR, EXIT_LOST, EXIT_INTERRUPTED = 1, 3, 130


class Refusal(Exception):
    """An error of the user's, as one sentence."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence and end with status 1."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        # Of the command that was given, to complain in its name.
        self.set_defaults(parser=self)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(
                action, f"{value!r} is not known{suggestion(str(value), action.choices)}"
            )

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Complains about arguments that nobody takes."""
        first = unknown[0]
        if not first.startswith("-"):
            self.error(f"nothing is known to do with {first!r}")
        flag = first.partition("=")[0]
        known = [option for option in self._option_string_actions if option.startswith("--")]
        close = difflib.get_close_matches(flag, known, n=1)
        self.error(f"there is no option {flag}" + (f"; did you mean {close[0]}?" if close else ""))

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_ERROR, f"daqring: {message} (see '{self.prog} --help')\n")


def sentence(error: BaseException) -> str:
    """What an error says to a person, on one line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}{_advice(error)}"
    return str(error)


def _advice(error: OSError) -> str:
    """What to do about it."""
    path = Path(os.fsdecode(error.filename))
    if isinstance(error, FileNotFoundError):
        if not path.parent.is_dir():
            return f"; there is no folder {path.parent}: make it first, or correct the path"
        return f"; correct the path (looked for in {path.parent.absolute()})"
    if isinstance(error, PermissionError):
        if path.is_dir():
            return "; it is a folder: give a file"
        return "; choose another place, or ask for the right to it"
    if isinstance(error, IsADirectoryError) and error.strerror == os.strerror(errno.EISDIR):
        return "; give a file in it"
    return ""


def complain(message: str) -> int:
    """Says what is wrong; gives the status to end with."""
    print(f"daqring: {message}", file=sys.stderr)
    return EXIT_ERROR


def spell_out() -> None:
    """Lets what is printed be escaped where the encoding of the output lacks it, as that of a pipe or a
    file of Windows (cp1252) may: names and units come from anywhere."""

    def handler(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        lost = error.object[error.start : error.end]
        escaped = (PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode() for one in lost)
        return "".join(escaped), error.end

    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("daqring", handler)
        sys.stdout.reconfigure(errors="daqring")


def log_to(file: str | None) -> None:
    """Lets the package's log (Python's `logging`) be appended to a file; ``-``: to stderr.

    Raises:
        OSError: The file cannot be opened.
    """
    if file is not None:
        handler = logging.StreamHandler() if file == "-" else logging.FileHandler(file, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("daqring")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def positive(text: str) -> float:
    """A finite number above 0."""
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def count(text: str) -> int:
    """A whole number of 1 or more; 1e6 is one."""
    value = _number(text)
    if not 1 <= value < float("inf") or value != int(value):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return int(value)
