#!/usr/bin/env python3
"""Weakens every ordering and fence of the rings, one after another, and looks whether a check notices.

    python rust/daqring-ring/tests/weaken.py [--only TEXT] [--no-tsan] [--json FILE]

By hand, not in CI: it runs the loom models some sixty times (half an hour or more). A copy of the crate
under `target/weaken` is changed, never the crate itself: every ordering there asks a variable of the
environment whether it is the one to be weaker, so each check is built once. Of the models those run that
use the file, those without fences first, until one fails.
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
import signal
import subprocess
import sys
import threading
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


#: What the copy asks for each ordering. A site has one number for each weaker ordering, one after another.
MUTANT = """
pub(crate) mod mutant {
    use std::sync::atomic::Ordering;

    pub(crate) fn chosen() -> usize {
        static CHOSEN: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        *CHOSEN.get_or_init(|| match std::env::var("DAQRING_WEAKEN") {
            Ok(number) => number.parse().unwrap(),
            Err(_) => usize::MAX,
        })
    }

    pub(crate) fn weaker(first: usize, ordering: Ordering) -> Ordering {
        match (ordering, chosen().wrapping_sub(first)) {
            (Ordering::Acquire | Ordering::Release, 0) => Ordering::Relaxed,
            (Ordering::AcqRel, 0) => Ordering::Acquire,
            (Ordering::AcqRel, 1) => Ordering::Release,
            _ => ordering,
        }
    }
}
"""


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
    number: int = 0
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
    for number, change in enumerate(found):
        change.number = number
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


def ask_for_each(all_changes: list[Change]) -> None:
    """Makes every ordering of the copy ask whether it is to be weaker."""
    sites: dict[tuple[str, int, int], Change] = {}
    for change in all_changes:
        sites.setdefault((change.file, change.line, change.column), change)
    for (file, line, column), change in sorted(sites.items(), reverse=True):
        path = COPY / CRATE / "src" / file
        lines = path.read_text().splitlines(keepends=True)
        was = lines[line - 1][column : column + change.length]
        if change.was == "fence":
            asks = f"(if crate::mutant::chosen() != {change.number} {{ {was} }})"
        else:
            asks = f"crate::mutant::weaker({change.number}, {was})"
        lines[line - 1] = lines[line - 1][:column] + asks + lines[line - 1][column + change.length :]
        path.write_text("".join(lines))
    with (COPY / CRATE / "src" / "lib.rs").open("a") as lib:
        lib.write(MUTANT)


def run(
    arguments: list[str], environment: dict[str, str], limit: float, change: Change | None, models: list[str]
) -> str:
    """``passed``, ``failed`` or ``hung``; what does not compile ends the program."""
    environment = {**os.environ, **environment}
    command = ["cargo", "test", "--offline", "-p", "daqring-ring", *arguments]
    built = subprocess.run(
        [*command, "--no-run"], cwd=COPY, env=environment, capture_output=True, text=True, check=False
    )
    if built.returncode:
        sys.exit(f"it does not compile:\n{built.stderr[-3000:]}")
    if change is not None:
        environment["DAQRING_WEAKEN"] = str(change.number)
    process = subprocess.Popen(
        [*command, "--", *models],
        cwd=COPY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    killer = threading.Timer(limit, os.killpg, [process.pid, signal.SIGKILL])
    killer.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.rstrip().endswith("... FAILED"):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return "failed"
        status = process.wait()
        if status and not killer.is_alive():
            return "hung"
    finally:
        killer.cancel()
    return "failed" if status else "passed"


def models_of(change: Change) -> str:
    return "slots" if change.file.startswith("slots") else MODELS.get(change.file, "")


def loom(limit: float, prefix: str, change: Change | None = None) -> str:
    environment = {
        "RUSTFLAGS": "--cfg loom",
        "CARGO_TARGET_DIR": str(ROOT / "target" / "weaken" / "loom"),
        "RUST_BACKTRACE": "0",
    }
    test = ["--release", "--test", "loom"]
    names = re.findall(r"#\[test\]\s+fn (\w+)", (COPY / CRATE / "tests" / "loom.rs").read_text())
    names = [name for name in names if name.startswith(prefix)]
    for fenced in (False, True):
        chosen = [name for name in names if name.endswith("_without_fences") != fenced]
        if chosen:
            outcome = run(test, environment, limit, change, ["--exact", *chosen])
            if outcome != "passed":
                return outcome
    return "passed"


def tsan(limit: float, prefix: str, change: Change | None = None) -> str:
    environment = {
        "RUSTC_BOOTSTRAP": "1",
        "RUSTFLAGS": "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg daqring_tsan",
        "CARGO_TARGET_DIR": str(ROOT / "target" / "weaken" / "tsan"),
    }
    test = ["--target", "x86_64-unknown-linux-gnu", "--test", "stress"]
    return run(test, environment, limit, change, [])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", help="only changes whose line or file has this text")
    parser.add_argument("--no-tsan", action="store_true", help="loom alone")
    parser.add_argument("--json", type=Path, help="write the outcome to this file")
    options = parser.parse_args()
    everything = changes()
    chosen = [change for change in everything if any(text in str(change) for text in options.only or [""])]
    make_copy()
    ask_for_each(everything)
    prefixes = {models_of(change) for change in chosen}
    prefix = prefixes.pop() if len(prefixes) == 1 else ""
    begin = time.monotonic()
    for name, check in (("loom", loom), ("ThreadSanitizer", tsan)):
        if check is tsan and options.no_tsan:
            continue
        outcome = check(3600, prefix)
        print(f"{name}, nothing changed: {outcome} in {time.monotonic() - begin:.0f} s", flush=True)
        if outcome != "passed":
            sys.exit("a check that fails by itself tells nothing")
    for change in chosen:
        if loom(900, models_of(change), change) != "passed":
            change.caught_by = "loom"
        elif not options.no_tsan and tsan(900, "", change) != "passed":
            change.caught_by = "ThreadSanitizer"
        print(f"{change.caught_by or 'SURVIVED':16} {change}", flush=True)
    survivors = [change for change in chosen if change.caught_by is None]
    by = {name: sum(change.caught_by == name for change in chosen) for name in ("loom", "ThreadSanitizer")}
    print(f"\n{len(chosen)} changes: {by}, {len(survivors)} survived")
    if options.json:
        options.json.write_text(json.dumps([dataclasses.asdict(change) for change in chosen], indent=1))


if __name__ == "__main__":
    main()
