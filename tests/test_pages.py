"""The pages: examples run as they stand, links lead somewhere, each page is in the table of contents."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import daqring
import pytest
from run_page import examples

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "python" / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
WITH_EXAMPLES = [page for page in PAGES if examples(page)]


def name(page: Path) -> str:
    return str(page.relative_to(DOCS).with_suffix(""))


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=name)
def test_the_examples_run(page, tmp_path):
    scripts = Path(sys.executable).parent
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "run_page.py"), str(page)],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}", "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_in_the_contents():
    listed = {"index"}
    for folder in (DOCS, DOCS / "api"):
        text = (folder / "index.md").read_text("utf-8")
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            entries = [line.strip() for line in tree.splitlines() if line and not line.startswith(":")]
            listed |= {name((folder / f"{entry}.md").resolve()) for entry in entries}
    assert {name(page) for page in PAGES} == listed


def test_the_reference_has_every_public_name():
    text = "".join(page.read_text("utf-8") for page in (DOCS / "api").glob("*.md"))
    said = set(re.findall(r"auto\w+:: daqring\.(\w+)", text))
    modules = {"errors"} if "automodule:: daqring.errors" in text else set()
    covered = said | {name for module in modules for name in vars(getattr(daqring, module))}
    assert set(daqring.__all__) - {"__version__"} <= covered
