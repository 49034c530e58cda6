"""What is compiled into the extension module is named beside it, with a licence that may be."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STATEMENT = ROOT / "rust" / "daqring-py" / "THIRD-PARTY.md"

pytestmark = pytest.mark.skipif(shutil.which("cargo") is None, reason="there is no cargo to ask")


def compiled_in() -> dict[str, str]:
    """Name and licence of every crate of others that is linked, on whatever system."""
    told = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    metadata = json.loads(told.stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    edges = {node["id"]: node["deps"] for node in metadata["resolve"]["nodes"]}
    (start,) = [key for key, package in packages.items() if package["name"] == "daqring-py"]
    found, waiting = set(), [start]
    while waiting:
        key = waiting.pop()
        # What runs inside of the compiler, or only under the model checker, is not linked.
        macro = any("proc-macro" in target["kind"] for target in packages[key]["targets"])
        if key in found or macro or packages[key]["name"] == "loom":
            continue
        found.add(key)
        for dependency in edges[key]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return {packages[key]["name"]: packages[key]["license"] for key in found if packages[key]["source"]}


def test_every_crate_is_named_and_may_be_used_under_mit():
    crates = compiled_in()
    rows = re.findall(r"^\| ([\w, -]+) \|", STATEMENT.read_text("utf-8"), re.MULTILINE)
    named = {name for row in rows for name in row.split(", ")}
    assert len(crates) > 10
    assert crates.keys() - named == set()
    for name, licence in crates.items():
        assert "MIT" in re.split(r" OR |/", licence), (name, licence)
