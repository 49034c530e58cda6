"""What the commands share: exit statuses, the parser, types of arguments, errors as sentences."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING, NoReturn

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
]

EXIT_ERROR, EXIT_LOST, EXIT_INTERRUPTED = 1, 3, 130


class Refusal(Exception):
    """An error of the user's, as one sentence."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence and end with status 1."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_ERROR, f"daqring: {message} (see '{self.prog} --help')\n")


def sentence(error: BaseException) -> str:
    """What an error says to a person, on one line."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def complain(message: str) -> int:
    """Says what is wrong; gives the status to end with."""
    print(f"daqring: {message}", file=sys.stderr)
    return EXIT_ERROR


def log_to(file: str | None) -> None:
    """Lets the package's log (Python's `logging`) be appended to a file.

    Raises:
        OSError: The file cannot be opened.
    """
    if file is not None:
        handler = logging.FileHandler(file, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("daqring")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def positive(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def count(text: str) -> int:
    """A whole number of 1 or more; 1e6 is one."""
    value = float(text)
    if value < 1 or value != int(value):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return int(value)
