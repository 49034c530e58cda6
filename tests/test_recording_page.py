"""The examples of the pages run as they stand, on the simulated driver."""

from __future__ import annotations

import re
from pathlib import Path

import daqring.sim
import pytest

DOCS = Path(__file__).resolve().parent.parent / "python" / "docs"


@pytest.mark.parametrize("page", ["recording.md"])
def test_examples_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert examples
    names: dict[str, object] = {}
    try:
        for number, example in enumerate(examples, 1):
            exec(compile(example, f"{page}, example {number}", "exec"), names)
    finally:
        daqring.sim.uninstall()
