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


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Of the headings, as Sphinx and GitHub make them."""
    headings = re.findall(r"^#{1,3} (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)[^)]*\)", prose(page)):
        file, _, anchor = target.partition("#")
        if "://" not in target:
            found = page.parent / file if file else page
            assert found.exists(), target
            assert not anchor or anchor in anchors(found), target


def test_the_readme_runs_on_the_simulated_devices_that_it_names(tmp_path):
    text = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (simulated,) = [block for block in blocks if "daqring.sim.install" in block]
    (commands,) = [block for kind, block in examples(ROOT / "README.md") if "--simulate\n" in block]
    page = tmp_path / "page.md"
    first = blocks[0].replace("seconds=10", "seconds=0.5").replace("run.tdms", "first.tdms")
    page.write_text(f"```python\n{simulated}```\n```python\n{first}```\n```sh\n{commands}```\n", "utf-8")
    test_the_examples_run(page, tmp_path)
    assert len(daqring.open(tmp_path / "first.tdms")["Dev1/ai7"]) == 500_000
    assert (tmp_path / "run.png").exists()


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
