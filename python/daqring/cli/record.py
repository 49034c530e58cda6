"""``daqring record``."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import daqring
from daqring.cli.arguments import EXIT_INTERRUPTED, EXIT_LOST, Refusal, complain, count, log_to, positive
from daqring.cli.driver import simulation_flags, simulation_of, with_driver
from daqring.cli.ending import Ending
from daqring.runfile import NOTHING, Run

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands
    from daqring.report import Report

__all__ = ["add", "add_run_flags", "run_of"]

TERMINALS = {
    "default": "DEFAULT",
    "rse": "RSE",
    "nrse": "NRSE",
    "diff": "DIFF",
    "pseudo-diff": "PSEUDO_DIFF",
}
#: Flags that are keys of a run file.
FLAGS = (
    *("seconds", "samples", "block_ms", "read_ms", "dtype", "buffer_seconds", "reader", "workers", "metrics"),
    *("every", "times", "overflow", "on_loss", "no_samples", "history", "priority", "gui"),
)
STORAGE = (
    "sync",
    "segment",
    "segment_time",
    "flush_every",
    "rotate",
    "rotate_samples",
    "keep",
    "reserve",
    "warn_left",
)


EXAMPLES = """\
Examples. Without a device, try the first ones with --simulate.
  look what there is
      daqring devices
  eight channels for five seconds
      daqring record run.tdms --ai Dev1/ai0:7 --rate 1e5 --seconds 5
  will this machine keep up?
      daqring check --ai Dev1/ai0:7 --rate 1e5
  until Ctrl-C, a file of 4 GB after the other, the oldest removed beyond 500 GB
      daqring record 'run_{index}.tdms' --ai Dev1/ai0:7 --rate 1e5 --rotate '4 GB' --keep '500 GB'
  make a run file of flags, edit it (thermocouples, triggers, several tasks ...), record by it
      daqring record run.tdms --ai Dev1/ai0 --rate 1e3 --show-config > run.toml
      daqring record run.toml
  tasks that a function of yours makes by nidaqmx
      daqring record run.tdms --from rig.py:make_tasks
  the same again as an earlier recording
      daqring record again.tdms --like run.tdms
  then
      daqring verify run.tdms
      daqring plot run.tdms -o run.png

While it records, from another terminal: daqring top, daqring scope NAME, daqring stop NAME.
Exit status: 1 error; 3 samples were lost; 130 interrupted early; 0 otherwise.
The keys of a run file are on the page "Run files" of the documentation.
"""


#: What somebody is told who gives nothing at all.
TRY = """\
  daqring record run.tdms --ai Dev1/ai0:7 --rate 1e5 --seconds 5 --simulate   a first one, without a device
  daqring record run.toml                                                    everything from a file
  daqring record --help                                                      more examples, all flags
  daqring devices                                                            what is there"""


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    record = commands.add_parser(
        "record",
        help="record into a TDMS file: from flags, a run file, a saved task or your own function",
        usage="daqring record OUT.tdms --ai CHANNELS --rate HZ [--seconds S] [options]\n"
        "       daqring record RUN.toml [OUT.tdms] [options]\n"
        "       daqring record OUT.tdms --task NAME | --from FILE.py:FUNCTION | --like LOG.tdms [options]",
        description="Record into a TDMS file that LabVIEW, DIAdem, Excel, MATLAB and npTDMS open.\n\n"
        "What to record is said by --ai and --rate, by a run file (RUN.toml), by a task saved in\n"
        "NI MAX (--task), by a function of yours (--from), or by an earlier log (--like). Without\n"
        "--seconds or --samples it runs until Ctrl-C, which ends it in order; a second Ctrl-C leaves\n"
        "at once. Flags win over the run file.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_run_flags(record)
    show = record.add_argument_group("what it shows")
    show.add_argument(
        "--show-config", action="store_true", help="print the whole description as a run file, and end"
    )
    show.add_argument("--json", action="store_true", help="print the report as JSON")
    show.add_argument("--quiet", action="store_true", help="no health on the terminal")
    record.set_defaults(run=_record)


def add_run_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that describe a run; :func:`run_of` reads them."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="RUN.toml | OUT",
        help="a run file, the file to make, or both in this order",
    )
    what = parser.add_argument_group("what to record")
    what.add_argument("--ai", metavar="CHANNELS", help="physical voltage channels, such as Dev1/ai0:7")
    what.add_argument(
        "--rate", type=positive, metavar="HZ", help="samples per second and channel, such as 1e6"
    )
    what.add_argument(
        "--range",
        nargs=2,
        type=float,
        metavar=("MIN", "MAX"),
        help="input range in volts (default: -10 10)",
    )
    what.add_argument(
        "--terminal", choices=TERMINALS, help="how the inputs are wired (default: as the device prefers)"
    )
    what.add_argument("--name", help="name of the task, and of the group in the file")
    what.add_argument(
        "--task", action="append", metavar="NAME", help="a task saved in NI MAX; may be given several times"
    )
    what.add_argument(
        "--from",
        dest="function",
        metavar="FILE.py:FUNCTION",
        help="a function of yours that makes the task, or a list of tasks",
    )
    what.add_argument(
        "--like", metavar="LOG.tdms", help="as this log was recorded, in the place of a run file (needs OUT)"
    )
    length = parser.add_argument_group("how long").add_mutually_exclusive_group()
    length.add_argument("--seconds", type=positive, metavar="S", help="how long to record")
    length.add_argument("--samples", type=count, metavar="N", help="samples per channel to record")
    how = parser.add_argument_group("how")
    how.add_argument("--block-ms", type=positive, metavar="MS", help="length of a block in milliseconds")
    how.add_argument(
        "--read-ms", type=positive, metavar="MS", help="length of a read (default: as long as a block)"
    )
    how.add_argument(
        "--dtype",
        choices=("auto", "raw", "float64"),
        help="what to store: codes with scaling, or scaled values (default: auto)",
    )
    how.add_argument(
        "--buffer-seconds",
        type=positive,
        metavar="S",
        help="raise the driver's buffer to this much (default: 4)",
    )
    how.add_argument(
        "--reader",
        choices=("auto", "native", "python"),
        help="who reads the driver: a native thread, which needs no interpreter, or Python (default: auto)",
    )
    how.add_argument(
        "--overflow",
        choices=("wait", "drop_newest", "drop_oldest", "fail"),
        help="when the ring is full: wait loses nothing while the driver's buffer holds (default)",
    )
    how.add_argument(
        "--every", type=positive, metavar="S", help="seconds between two reads of a task without a clock"
    )
    how.add_argument(
        "--times",
        choices=("auto", "regular", "host"),
        help="where the times of samples come from: the rate, or the host's clock (default: auto)",
    )
    how.add_argument("--workers", type=count, metavar="N", help="threads that work on blocks (default: 1)")
    how.add_argument(
        "--pin",
        action="append",
        metavar="KIND=CORES",
        help="bind threads to cores: acquire=0, workers=1,2 or writer=3; may be given several times",
    )
    how.add_argument(
        "--priority",
        choices=("normal", "high"),
        help="high: readers and writer come before all that compute (default: normal)",
    )
    how.add_argument(
        "--property",
        action="append",
        default=[],
        metavar="[NAME:]KEY=TEXT",
        help="a property of the file, or of the task or task/channel NAME; may be given several times",
    )
    how.add_argument("--overwrite", action="store_true", help="replace an existing file")
    storage = parser.add_argument_group("storage", "Sizes are such as '4 GB', times such as '10 min'.")
    storage.add_argument(
        "--sync",
        metavar="WHEN",
        help="when data is brought to the medium: finish (default), block, a size or a time",
    )
    storage.add_argument("--segment", metavar="SIZE", help="gather blocks into segments of this size")
    storage.add_argument(
        "--segment-time", metavar="TIME", help="gather blocks into segments of at most this time"
    )
    storage.add_argument(
        "--flush-every", metavar="TIME", help="while gathering, what a crash may cost at most"
    )
    storage.add_argument(
        "--rotate",
        metavar="SIZE|TIME",
        help="go on in the next file after this; OUT may have {index} and {time}",
    )
    storage.add_argument(
        "--rotate-samples", type=count, metavar="N", help="go on in the next file after so many samples"
    )
    cache = storage.add_mutually_exclusive_group()
    cache.add_argument("--buffered", action="store_true", help="write through the page cache")
    cache.add_argument(
        "--direct", action="store_true", help="pass the page cache by (default: as measured at the start)"
    )
    storage.add_argument(
        "--no-checksum",
        action="store_true",
        help="leave out the checksums of the samples; verify checks the structure then",
    )
    storage.add_argument("--keep", metavar="SIZE", help="remove the oldest files beyond this (with --rotate)")
    storage.add_argument(
        "--reserve", metavar="SIZE", help="stop in order when the disk has less free space (default: 64 MiB)"
    )
    storage.add_argument(
        "--warn-left",
        metavar="TIME",
        help="warn when the disk lasts for less than this at the rate of the recording (default: 10 min)",
    )
    alone = parser.add_argument_group("left alone")
    alone.add_argument(
        "--on-loss", choices=("stop", "continue"), help="what happens after a loss of samples (default: stop)"
    )
    alone.add_argument(
        "--no-samples", type=positive, metavar="S", help="end with an error where none have come for so long"
    )
    alone.add_argument(
        "--run-name",
        metavar="NAME",
        help="what daqring top and daqring stop call the recording (default: like its file)",
    )
    alone.add_argument(
        "--history",
        metavar="TIME",
        help="how often the health is noted in the log, or off (default: '10 s')",
    )
    alone.add_argument(
        "--metrics",
        metavar="PORT",
        help="answer on this port with figures for Prometheus; this machine only, unless HOST:PORT is given",
    )
    alone.add_argument(
        "--log",
        metavar="FILE",
        help="append what happens to this file, with the time (Python's logging); - for stderr",
    )
    alone.add_argument(
        "--keep-awake", action="store_true", help="keep the computer from sleeping while it records"
    )
    parser.add_argument(
        "--gui",
        action=argparse.BooleanOptionalAction,
        help="show the newest samples in a window, in a process of its own, as 'daqring scope' does",
    )
    simulation_flags(parser)


def run_of(arguments: argparse.Namespace) -> Run:
    """The run that the flags and the run file describe, unchecked.

    Raises:
        Refusal, RunFileError, OSError: They cannot be understood.
    """
    paths = list(arguments.paths)
    run = Run({})
    if paths and paths[0].lower().endswith(".toml"):
        run = Run.load(paths.pop(0))
        if arguments.like is not None:
            raise Refusal("a run file and --like say both what to record; give one of them")
        # What is wrong there is told, also where flags win over it.
        run.check_keys()
    elif arguments.like is not None:
        run = Run.of_log(arguments.like)
    if len(paths) > 1:
        raise Refusal(f"one file can be made, and {', '.join(paths)} are several")
    values: dict[str, Any] = {"out": paths[0]} if paths else {}
    for key in FLAGS:
        if (value := getattr(arguments, key)) is not None:
            values[key] = value
    if arguments.run_name is not None:
        values["name"] = arguments.run_name
    if arguments.pin is not None:
        values["pin"] = _pinned(arguments.pin)
    if arguments.seconds is not None or arguments.samples is not None:
        # Of the two the flag wins over the other one of the file, too.
        below = {key: value for key, value in run.description.items() if key not in ("seconds", "samples")}
        run = Run(below, run.file, run.lines)
    for key in ("overwrite", "keep_awake"):
        if getattr(arguments, key):
            values[key] = True
    for pair in arguments.property:
        key, equals, text = pair.partition("=")
        of, colon, name = key.rpartition(":")
        if not equals or not name or (colon and not of):
            raise Refusal(f"--property {pair!r} is not of the form KEY=TEXT or NAME:KEY=TEXT")
        properties = values.setdefault("properties", {})
        if colon:
            properties = properties.setdefault(of, {})
            if not isinstance(properties, dict):
                raise Refusal(f"--property {pair!r}: {of!r} is a property of the file already")
        properties[name] = text
    log = {name: value for name in STORAGE if (value := getattr(arguments, name)) is not None}
    if arguments.no_checksum:
        log["checksum"] = False
    if arguments.buffered or arguments.direct:
        log["direct_io"] = arguments.direct
    if log:
        values["log"] = log
    simulation = simulation_of(arguments, simulated=run.simulated)
    if simulation is not None:
        if arguments.product is not None or arguments.devices is not None:
            # The devices of the flags take the place of those of the file.
            table = {
                key: value
                for key, value in run.description.get("simulation", {}).items()
                if key not in ("devices", "product")
            }
            run = Run(run.description | {"simulation": table}, run.file, run.lines)
        values["simulation"] = simulation
    return _with_tasks(run, arguments).over(values)


def _pinned(pairs: list[str]) -> dict[str, Any]:
    """The table of ``acquire=0`` and ``workers=1,2``."""
    pin: dict[str, Any] = {}
    for pair in pairs:
        kind, equals, cores = pair.partition("=")
        listed = cores.split(",")
        if not equals or not all(core.strip().isdecimal() for core in listed):
            raise Refusal(f"--pin {pair!r} is not of the form KIND=CORES, such as workers=1,2")
        numbers = [int(core) for core in listed]
        pin[kind] = numbers[0] if len(numbers) == 1 else numbers
    return pin


def _with_tasks(run: Run, arguments: argparse.Namespace) -> Run:
    """The run with the tasks that the flags describe in the place of the file's, or changed by them."""
    ways = {"--ai": arguments.ai, "--task": arguments.task, "--from": arguments.function}
    given = [way for way, value in ways.items() if value is not None]
    if len(given) > 1:
        raise Refusal(f"{' and '.join(given)} say both what to record; give one of them")
    channel: dict[str, Any] = {}
    if arguments.range is not None:
        low, high = arguments.range
        if not low < high:
            raise Refusal(f"--range {low:g} {high:g}: the minimum must be below the maximum")
        channel |= {"min_val": low, "max_val": high}
    if arguments.terminal is not None:
        channel["terminal_config"] = TERMINALS[arguments.terminal]
    if channel and arguments.ai is None:
        raise Refusal("--range and --terminal are for the channels of --ai; a run file has its own")
    below = {key: value for key, value in run.description.items() if not (given and key in ("tasks", "from"))}
    tasks: list[dict[str, Any]] = below.get("tasks", []) if not given else []
    if arguments.function is not None:
        return Run(below | {"from": arguments.function}, run.file, _without_from(run))
    if arguments.task is not None:
        tasks = [{"saved": name} for name in arguments.task]
    elif arguments.ai is not None:
        replaced = run.description.get("tasks", [{}])
        timing = replaced[0].get("timing", {}) if len(replaced) == 1 else {}
        if arguments.rate is None and "rate" not in timing:
            raise Refusal("--ai needs --rate, the samples per second and channel")
        voltage = {"kind": "voltage", "physical_channel": arguments.ai, "min_val": -10.0, "max_val": 10.0}
        tasks = [{"timing": timing, "channels": [voltage | channel]}]
    change: dict[str, Any] = {}
    if arguments.rate is not None:
        change["timing"] = {"rate": arguments.rate}
    if arguments.name is not None:
        change["name"] = arguments.name
    if change:
        if len(tasks) != 1:
            flag = "--rate" if arguments.rate is not None else "--name"
            raise Refusal(
                f"{flag} is for a single task; there are {len(tasks)}"
                + ("" if tasks else ": say what to record by --ai, --task, --from or a run file")
            )
        tasks = [Run(tasks[0]).over(change).description]
    return Run(below | ({"tasks": tasks} if tasks else {}), run.file, run.lines)


def _without_from(run: Run) -> dict[Any, int]:
    """The lines, without that of a function which a flag has replaced: it is relative to here then."""
    return {path: line for path, line in run.lines.items() if path != ("from",)}


def _record(arguments: argparse.Namespace) -> int:
    run = run_of(arguments)
    if not run.description and run.file is None:
        return complain(f"{NOTHING}\n{TRY}")
    run.check()
    log_to(arguments.log)
    if arguments.show_config:
        print(run.to_toml(), end="")
        return 0
    out = run.out
    if not out.lower().endswith(".tdms") and not os.path.isdir(out):
        raise Refusal(f"{out}: what is recorded is TDMS; give the file a name that ends with .tdms")
    return with_driver(run, lambda: _record_run(run, out, arguments))


def _record_run(run: Run, out: str, arguments: argparse.Namespace) -> int:
    failure: Exception | None = None
    try:
        around = run.around()
        recorder = run.recorder()
        with Ending(recorder, **around) as ending:
            # What is rewritten in place and what is appended cannot be on one terminal.
            hidden = arguments.quiet or arguments.log == "-"
            report = ending.run(show=False if hidden else None)
    except FileExistsError as error:
        if re.search(r"\.tail-\d+$", str(error.filename)):
            # Not the file, but what waits beside it for its log: to be overwritten is not for us to propose.
            raise Refusal(f"{error.filename}: {error.strerror}") from None
        raise Refusal(f"{out} exists already; choose another name, or add --overwrite") from None
    except (daqring.RecordingError, daqring.DriverError) as error:
        if error.report is None:
            raise
        report, failure = error.report, error
    return _tell(report, failure, as_json=arguments.json)


def _tell(report: Report, failure: Exception | None, *, as_json: bool) -> int:
    print(json.dumps(report.to_dict(), indent=2) if as_json else report)
    if failure is not None:
        return complain(str(failure))
    if report.samples_lost:
        print("daqring: samples were lost", file=sys.stderr)
        return EXIT_LOST
    if report.stop_reason in ("interrupted", "stopped") and report.requested is not None:
        return EXIT_INTERRUPTED
    return 0
