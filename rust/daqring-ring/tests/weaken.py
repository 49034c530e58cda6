#!/usr/bin/env python3
"""Weakens every ordering and fence of the rings, one after another, and looks whether a check notices.

    python rust/daqring-ring/tests/weaken.py [--only TEXT] [--no-tsan] [--json FILE]

By hand, not in CI: it builds the loom models some sixty times (an hour or more). A copy of the crate
under `target/weaken` is changed, never the crate itself; of the models those run that use the file.
`Acquire` and `Release` become `Relaxed`, `AcqRel` becomes each of its halves, a fence goes away. What
the models of `loom.rs` do not notice is given to the stress test under ThreadSanitizer. What both pass
is listed as a survivor; DESIGN.md says of each why.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COPY = ROOT / "target" / "weaken" / "tree"
CRATE = Path("rust/daqring-ring")
WEAKER = {"Acquire": ["Relaxed"], "Release": ["Relaxed"], "AcqRel": ["Acquire", "Release"]}
ORDERING = re.compile(r"Ordering::(Acquire|Release|AcqRel)\b")
#: Which models use a file: the beginning of their names.
MODELS = {"spsc.rs": "spsc", "mpmc.rs": "mpmc", "free_list.rs": "slots"}
FENCE = re.compile(r"(?<!compiler_)\bfence\(Ordering::SeqCst\)")


@dataclasses.dataclass
class Change:
    """One ordering made weaker."""

    file: str
    line: int
    column: int
    length: int
    was: str
    now: str
    text: str
    caught_by: str | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.was} -> {self.now}: {self.text}"


def changes() -> list[Change]:
    found = []
    for path in sorted((ROOT / CRATE / "src").rglob("*.rs")):
        if path.name == "sync.rs":  # the lock there exists under ThreadSanitizer only
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if line.lstrip().startswith("//"):
                continue
            place = str(path.relative_to(ROOT / CRATE / "src"))
            for match in ORDERING.finditer(line):
                for weaker in WEAKER[match[1]]:
                    now = f"Ordering::{weaker}"
                    where = match.start(), len(match[0])
                    found.append(Change(place, number, *where, match[1], now, line.strip()))
            for match in FENCE.finditer(line):
                where = match.start(), len(match[0])
                found.append(Change(place, number, *where, "fence", "()", line.strip()))
    return found


def make_copy() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    # With times of now, or cargo takes what an earlier run built of a change for up to date.
    shutil.copytree(ROOT / CRATE, COPY / CRATE, copy_function=shutil.copyfile)
    manifest = (ROOT / "Cargo.toml").read_text()
    changed = re.sub(r"members = \[[^\]]*\]", 'members = ["rust/daqring-ring"]', manifest)
    assert changed != manifest, "the workspace's members were not found"
    (COPY / "Cargo.toml").write_text(changed)
    shutil.copy(ROOT / "Cargo.lock", COPY)


def apply(change: Change | None) -> None:
    for path in (COPY / CRATE / "src").rglob("*.rs"):
        text = (ROOT / CRATE / "src" / path.relative_to(COPY / CRATE / "src")).read_text()
        if change is not None and str(path.relative_to(COPY / CRATE / "src")) == change.file:
            lines = text.splitlines(keepends=True)
            line = lines[change.line - 1]
            lines[change.line - 1] = (
                line[: change.column] + change.now + line[change.column + change.length :]
            )
            text = "".join(lines)
        if path.read_text() != text:
            path.write_text(text)


def run(arguments: list[str], environment: dict[str, str], limit: float) -> str:
    """``passed``, ``failed`` or ``hung``; what does not compile ends the program."""
    command = ["cargo", "test", "--offline", "-p", "daqring-ring", *arguments]
    environment = {**os.environ, **environment}
    build = [*(command[: command.index("--")] if "--" in command else command), "--no-run"]
    built = subprocess.run(build, cwd=COPY, env=environment, capture_output=True, text=True)
    if built.returncode:
        sys.exit(f"it does not compile:\n{built.stderr[-3000:]}")
    try:
        done = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return "hung"
    return "failed" if done.returncode else "passed"


def models_of(change: Change) -> str:
    return "slots" if change.file.startswith("slots") else MODELS.get(change.file, "")


def loom(limit: float, change: Change | None = None) -> str:
    target = str(ROOT / "target" / "weaken" / "loom")
    environment = {"RUSTFLAGS": "--cfg loom", "CARGO_TARGET_DIR": target}
    models = "" if change is None else models_of(change)
    return run(["--release", "--test", "loom", *(["--", models] if models else [])], environment, limit)


def tsan(limit: float, change: Change | None = None) -> str:
    flags = "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg daqring_tsan"
    target = str(ROOT / "target" / "weaken" / "tsan")
    environment = {"RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": flags, "CARGO_TARGET_DIR": target}
    return run(["--target", "x86_64-unknown-linux-gnu", "--test", "stress"], environment, limit)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="only changes whose line or file has this text")
    parser.add_argument("--no-tsan", action="store_true", help="loom alone")
    parser.add_argument("--json", type=Path, help="write the outcome to this file")
    options = parser.parse_args()
    chosen = [change for change in changes() if options.only in str(change)]
    make_copy()
    begin = time.monotonic()
    for name, check in (("loom", loom), ("ThreadSanitizer", tsan)):
        if check is tsan and options.no_tsan:
            continue
        apply(None)
        outcome = check(3600, chosen[0] if len(set(map(models_of, chosen))) == 1 else None)
        print(f"{name}, nothing changed: {outcome} in {time.monotonic() - begin:.0f} s", flush=True)
        if outcome != "passed":
            sys.exit("a check that fails by itself tells nothing")
    for change in chosen:
        apply(change)
        if loom(900, change) != "passed":
            change.caught_by = "loom"
        elif not options.no_tsan and tsan(900, change) != "passed":
            change.caught_by = "ThreadSanitizer"
        print(f"{change.caught_by or 'SURVIVED':16} {change}", flush=True)
    survivors = [change for change in chosen if change.caught_by is None]
    by = {name: sum(change.caught_by == name for change in chosen) for name in ("loom", "ThreadSanitizer")}
    print(f"\n{len(chosen)} changes: {by}, {len(survivors)} survived")
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(change) for change in chosen], indent=1))


if __name__ == "__main__":
    main()
