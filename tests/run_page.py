"""Runs the examples of a page in order, as a reader would: `python tests/run_page.py PAGE`, somewhere empty.

Blocks marked ``python`` share one namespace; blocks marked ``sh`` are commands. ``py`` marks a fragment
that stands for code of the reader's own and does not run; it must be Python all the same.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"^```(python|sh|py)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def examples(page: Path) -> list[tuple[str, str]]:
    """Kind and text of each example of a page."""
    return [(match[1], match[2]) for match in BLOCK.finditer(page.read_text("utf-8"))]


def main(page: Path) -> None:
    # What Windows calls bash leads into another system.
    shell = shutil.which("sh" if os.name == "nt" else "bash") or shutil.which("sh")
    names: dict[str, object] = {"__name__": "__main__"}
    for number, (kind, text) in enumerate(examples(page), 1):
        where = f"{page.name}, example {number}"
        print(f"--- {where}", flush=True)
        if kind == "python":
            exec(compile(text, where, "exec"), names)
        elif kind == "sh" and shell:
            subprocess.run([shell, "-ec", text], check=True)
        elif kind == "py":
            ast.parse(text, where)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
