"""``daqring check``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from daqring.cli.arguments import EXIT_LOST, Refusal, sentence
from daqring.cli.display import duration, size
from daqring.cli.driver import with_driver
from daqring.cli.record import add_run_flags, run_of
from daqring.preflight import Preflight, preflight

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands
    from daqring.runfile import Run

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    check = commands.add_parser(
        "check",
        help="say whether this machine and disk will keep up with a recording",
        description="Check a recording before it: whether the driver takes the tasks, whether the disk is\n"
        "fast enough (measured: at most 1 GiB is written as the recording would, and removed), what\n"
        "the processor has to do, whether stages are fast enough (measured on noise), and how long\n"
        "the disk lasts. Takes the run file and the flags of 'daqring record'.",
        usage="daqring check --ai CHANNELS --rate HZ [--seconds S] [options]\n"
        "       daqring check RUN.toml [options]",
        epilog="Example: daqring check /data/run.tdms --ai Dev1/ai0:7 --rate 1e6 --seconds 3600\n"
        "The file is not made; its folder says which disk is measured (default: this one).\n"
        "Exit status: 0 for GOOD and WATCH, 3 for BAD, 1 for an error.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_run_flags(check)
    check.add_argument("--json", action="store_true", help="print it as JSON")
    check.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    run = run_of(arguments).over({})
    run.description.setdefault("out", "check.tdms")
    run.check()
    return with_driver(run, lambda: _check_run(run, as_json=arguments.json))


def _check_run(run: Run, *, as_json: bool) -> int:
    folder = Path(run.out).absolute().parent
    if not folder.is_dir():
        raise Refusal(f"{folder}: there is no such folder")
    recorder = run.recorder()
    try:
        found = preflight(recorder, folder)
    except OSError as error:
        raise Refusal(f"{folder} cannot be written to: {sentence(error)}") from error
    finally:
        recorder._tasks.close()
    print(json.dumps(found.to_dict(), indent=2) if as_json else _told(found, folder))
    return EXIT_LOST if found.verdict == "BAD" else 0


def _told(found: Preflight, folder: Path) -> str:
    lines = [found.verdict, *(f"  ! {reason}" for reason in found.reasons)]
    rows = [
        (
            "task",
            f"{task['name']}: {task['channels']} channels at {task['rate']:,.12g} S/s, {task['dtype_reason']}"
            f"; reader {task['reader']}" + (f" ({task['reader_reason']})" if task["reader_reason"] else ""),
        )
        for task in found.tasks
    ]
    rows += [
        ("wanted", f"{found.wanted_mb_per_s:,.2f} MB/s"),
        (
            "disk",
            f"{found.disk_mb_per_s:,.0f} MB/s ({found.disk_margin:,.1f} times that), {found.io}; slowest "
            f"write {duration(found.slowest_write)}; {size(found.measured_bytes)} written in {folder}",
        ),
        *(
            []
            if found.stages_mb_per_s is None
            else [("stages", f"{found.stages_mb_per_s:,.0f} MB/s ({found.stages_margin:,.1f} times that)")]
        ),
        (
            "ring",
            f"{size(found.ring_bytes)}, bridges a pause of {duration(found.ring_seconds)}"
            + (
                f", {duration(found.buffered_seconds)} with the driver's buffer"
                if found.buffered_seconds > found.ring_seconds
                else ""
            ),
        ),
        (
            "processor",
            f"{found.cpu_s_per_gb:.2f} s per GB: {found.cpu_load:.1%} of {found.cores} cores "
            "at the wanted rate",
        ),
        ("memory", f"{size(found.memory_available)} available"),
        ("lasts", f"{size(found.disk_free)} free: {duration(found.disk_seconds)}"),
    ]
    return "\n".join([*lines, *(f"  {name + ':':11} {text}" for name, text in rows)])
