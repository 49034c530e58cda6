#!/usr/bin/env python3
"""Sets up everything and runs all tests: `python3 tests/run.py [pytest arguments]`.

Needs Python 3.11 or later and a Rust toolchain. Makes `.venv`, builds and installs the package
there as a user would, then runs the Rust tests and the Python tests. `--python` or `--rust` runs
one half only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(*command: str | Path) -> None:
    """Runs a command in the project's root; ends with its status where it fails."""
    print("+", *command, flush=True)
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status:
        sys.exit(status)


def install(extra: str = "test") -> None:
    """Makes the environment and installs the package in it, with what `extra` needs."""
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f".[{extra}]")


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - said before the package could say it
        sys.exit("daqring needs Python 3.11 or later")
    arguments = sys.argv[1:]
    halves = {"--python", "--rust"} & set(arguments)
    rest = [argument for argument in arguments if argument not in ("--python", "--rust")]
    if "--rust" in halves or not halves:
        run("cargo", "test", "--workspace", "--locked")
    if "--python" in halves or not halves:
        install()
        run(PYTHON, "-m", "pytest", *rest)


if __name__ == "__main__":
    main()
