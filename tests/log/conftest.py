"""The example programs of the log crate, built once: they write files whose every value is known."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def example() -> Callable[[str], Path]:
    """Gives the path of an example program of daqring-log."""
    command = ["cargo", "build", "-p", "daqring-log", "--examples", "--message-format=json", "--quiet"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    programs: dict[str, Path] = {}
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            programs[message["target"]["name"]] = Path(message["executable"])
    return programs.__getitem__
