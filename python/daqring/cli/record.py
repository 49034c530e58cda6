"""``daqring record``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

import daqring
from daqring.cli.arguments import EXIT_INTERRUPTED, EXIT_LOST, Refusal, complain, count, positive
from daqring.cli.driver import simulation_flags, with_driver

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    record = commands.add_parser(
        "record",
        help="record analog inputs into a TDMS file",
        description="Record analog input voltages into a TDMS file that LabVIEW, DIAdem, Excel, MATLAB and "
        "npTDMS open. Without --seconds or --samples it runs until Ctrl-C.",
        epilog="Example: daqring record run.tdms --ai Dev1/ai0:7 --rate 1e5 --seconds 5 --simulate",
    )
    record.add_argument("out", metavar="OUT", help="the file to make")
    record.add_argument(
        "--ai", metavar="CHANNELS", required=True, help="physical channels, such as Dev1/ai0:7"
    )
    record.add_argument(
        "--rate",
        type=positive,
        required=True,
        metavar="HZ",
        help="samples per second and channel, such as 1e6",
    )
    length = record.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=positive, metavar="S", help="how long to record")
    length.add_argument("--samples", type=count, metavar="N", help="samples per channel to record")
    record.add_argument(
        "--range",
        nargs=2,
        type=float,
        default=(-10.0, 10.0),
        metavar=("MIN", "MAX"),
        help="input range in volts (default: -10 10)",
    )
    record.add_argument(
        "--terminal",
        default="default",
        choices=("default", "rse", "nrse", "diff", "pseudo-diff"),
        help="how the inputs are wired (default: as the device prefers)",
    )
    record.add_argument("--block-ms", type=positive, metavar="MS", help="length of a block in milliseconds")
    record.add_argument(
        "--dtype",
        choices=("auto", "raw", "float64"),
        default="auto",
        help="what to store: codes with scaling, or volts (default: auto)",
    )
    record.add_argument(
        "--buffer-seconds",
        type=positive,
        default=4.0,
        metavar="S",
        help="raise the driver's buffer to this much (default: 4)",
    )
    record.add_argument(
        "--reader",
        choices=("auto", "native", "python"),
        default="auto",
        help="who reads the driver: a native thread, which needs no interpreter, or Python (default: auto)",
    )
    record.add_argument("--name", default="", help="name of the task, and of the group in the file")
    record.add_argument(
        "--property",
        action="append",
        default=[],
        metavar="KEY=TEXT",
        help="a property of the file; may be given several times",
    )
    record.add_argument("--overwrite", action="store_true", help="replace an existing file")
    storage = record.add_argument_group("storage", "Sizes are such as '4 GB', times such as '10 min'.")
    storage.add_argument(
        "--sync",
        metavar="WHEN",
        help="when data is brought to the medium: finish (default), block, a size or a time",
    )
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
    storage.add_argument("--buffered", action="store_true", help="write through the page cache")
    storage.add_argument("--keep", metavar="SIZE", help="remove the oldest files beyond this (with --rotate)")
    storage.add_argument(
        "--reserve", metavar="SIZE", help="stop in order when the disk has less free space (default: 64 MiB)"
    )
    record.add_argument("--json", action="store_true", help="print the report as JSON")
    record.add_argument("--quiet", action="store_true", help="no progress bar")
    simulation_flags(record)
    record.set_defaults(run=_record)


def _record(arguments: argparse.Namespace) -> int:
    return with_driver(arguments, _record_task)


def _record_task(arguments: argparse.Namespace) -> int:
    import nidaqmx
    from nidaqmx.constants import AcquisitionType, TerminalConfiguration

    terminals = {
        "default": TerminalConfiguration.DEFAULT,
        "rse": TerminalConfiguration.RSE,
        "nrse": TerminalConfiguration.NRSE,
        "diff": TerminalConfiguration.DIFF,
        "pseudo-diff": TerminalConfiguration.PSEUDO_DIFF,
    }
    properties = {}
    for pair in arguments.property:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise Refusal(f"--property {pair!r} is not of the form KEY=TEXT")
        properties[key] = text
    storage = {
        name: value
        for name in ("sync", "segment_time", "flush_every", "rotate", "rotate_samples", "keep", "reserve")
        if (value := getattr(arguments, name)) is not None
    }
    if arguments.buffered:
        storage["direct_io"] = False
    try:
        log = daqring.LogOptions(**storage)
    except ValueError as error:
        raise Refusal(str(error)) from None
    low, high = arguments.range
    if not low < high:
        raise Refusal(f"--range {low:g} {high:g}: the minimum must be below the maximum")
    failure: Exception | None = None
    with nidaqmx.Task(arguments.name) as task:
        task.ai_channels.add_ai_voltage_chan(
            arguments.ai, terminal_config=terminals[arguments.terminal], min_val=low, max_val=high
        )
        task.timing.cfg_samp_clk_timing(arguments.rate, sample_mode=AcquisitionType.CONTINUOUS)
        try:
            report = daqring.record(
                task,
                arguments.out,
                seconds=arguments.seconds,
                samples=arguments.samples,
                block_ms=arguments.block_ms,
                overwrite=arguments.overwrite,
                dtype=arguments.dtype,
                buffer_seconds=arguments.buffer_seconds,
                reader=arguments.reader,
                properties=properties,
                log=log,
                progress=False if arguments.quiet else None,
            )
        except FileExistsError:
            raise Refusal(
                f"{arguments.out} exists already; choose another name, or add --overwrite"
            ) from None
        except (daqring.RecordingError, daqring.DriverError) as error:
            if error.report is None:
                raise
            report, failure = error.report, error
    if arguments.json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        print(report)
    if failure is not None:
        return complain(str(failure))
    if report.samples_lost:
        print("daqring: samples were lost", file=sys.stderr)
        return EXIT_LOST
    if report.stop_reason == "interrupted" and report.requested is not None:
        return EXIT_INTERRUPTED
    return 0
