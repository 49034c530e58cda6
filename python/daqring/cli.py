"""The command ``daqring``."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import daqring

__all__ = ["main"]

EXIT_ERROR, EXIT_LOST, EXIT_INTERRUPTED = 1, 3, 130


class _Refusal(Exception):
    """An error of the user's, as one sentence."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_ERROR, f"daqring: {message} (see '{self.prog} --help')\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status.

    1: error; else 3: samples were lost, or a file is incomplete; else 130: interrupted before the
    duration that was asked for; else 0.
    """
    arguments = _parser().parse_args(argv)
    # What this warns of, the report and the exit status say.
    warnings.simplefilter("ignore", daqring.SamplesLostWarning)
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:
        sys.stderr.close()
        return EXIT_ERROR
    except (_Refusal, daqring.DaqringError, OSError) as error:
        return _complain(_sentence(error))


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _complain(message: str) -> int:
    print(f"daqring: {message}", file=sys.stderr)
    return EXIT_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="daqring",
        description="Record from NI-DAQmx at high rates without losing samples.",
        epilog="Exit status: 1 error; 3 finished, but samples were lost or a file is incomplete; "
        "130 interrupted before the duration that was asked for; 0 otherwise.",
    )
    parser.add_argument("--version", action="version", version=f"daqring {daqring.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)

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
        type=_positive,
        required=True,
        metavar="HZ",
        help="samples per second and channel, such as 1e6",
    )
    length = record.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=_positive, metavar="S", help="how long to record")
    length.add_argument("--samples", type=_count, metavar="N", help="samples per channel to record")
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
    record.add_argument("--block-ms", type=_positive, metavar="MS", help="length of a block in milliseconds")
    record.add_argument(
        "--dtype",
        choices=("auto", "raw", "float64"),
        default="auto",
        help="what to store: codes with scaling, or volts (default: auto)",
    )
    record.add_argument(
        "--buffer-seconds",
        type=_positive,
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
        "--rotate-samples", type=_count, metavar="N", help="go on in the next file after so many samples"
    )
    storage.add_argument("--buffered", action="store_true", help="write through the page cache")
    storage.add_argument("--keep", metavar="SIZE", help="remove the oldest files beyond this (with --rotate)")
    storage.add_argument(
        "--reserve", metavar="SIZE", help="stop in order when the disk has less free space (default: 64 MiB)"
    )
    record.add_argument("--json", action="store_true", help="print the report as JSON")
    record.add_argument("--quiet", action="store_true", help="no progress bar")
    _simulation_flags(record)
    record.set_defaults(run=_record)

    info = commands.add_parser(
        "info", help="say what is in a file", description="Say what is in a TDMS file."
    )
    info.add_argument("file", metavar="FILE")
    info.add_argument("--json", action="store_true", help="print it as JSON")
    info.set_defaults(run=_info)

    verify = commands.add_parser(
        "verify",
        help="check a recording",
        description="Check a recording: structure, checksums, sequence, gaps. Changes nothing. "
        "Exit status 3 where the recording is incomplete or damaged.",
    )
    verify.add_argument("file", metavar="FILE")
    verify.add_argument("--json", action="store_true", help="print it as JSON")
    verify.set_defaults(run=_verify)

    recover = commands.add_parser(
        "recover",
        help="bring back what is whole of a damaged recording",
        description="Make a sound file of a damaged or unfinished recording and its tail file. Makes a copy, "
        "unless told otherwise. Exit status 3 where recorded data could not be brought back.",
    )
    recover.add_argument("file", metavar="FILE")
    place = recover.add_mutually_exclusive_group()
    place.add_argument("-o", "--output", metavar="OUT", help="the copy (default: FILE.recovered.tdms)")
    place.add_argument(
        "--in-place", action="store_true", help="cut and complete the file itself (its end only)"
    )
    recover.add_argument("--overwrite", action="store_true", help="replace an existing OUT")
    recover.add_argument("--json", action="store_true", help="print it as JSON")
    recover.set_defaults(run=_recover)

    defragment = commands.add_parser(
        "defragment",
        help="rewrite a fragmented TDMS file of another program",
        description="Rewrite a TDMS file that another program wrote in many small segments into few large "
        "ones, with checksums. The file itself is not changed.",
    )
    defragment.add_argument("file", metavar="FILE")
    defragment.add_argument("out", metavar="OUT", help="the file to make")
    defragment.add_argument("--overwrite", action="store_true", help="replace an existing OUT")
    defragment.set_defaults(run=_defragment)

    devices = commands.add_parser("devices", help="list the devices that the driver knows")
    devices.add_argument("--json", action="store_true", help="print them as JSON")
    _simulation_flags(devices)
    devices.set_defaults(run=_devices)
    return parser


def _simulation_flags(parser: argparse.ArgumentParser) -> None:
    simulation = parser.add_argument_group("without hardware")
    simulation.add_argument(
        "--simulate", action="store_true", help="use the simulated driver that comes with daqring"
    )
    simulation.add_argument(
        "--product", metavar="NAME", help="make Dev1 this product, such as PXIe-6396 (needs --simulate)"
    )
    simulation.add_argument(
        "--pattern", action="store_true", help="let it produce the checkable pattern (needs --simulate)"
    )
    simulation.add_argument(
        "--unthrottled",
        action="store_true",
        help="as fast as it is read, not in real time (needs --simulate)",
    )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above 0")
    return value


def _count(text: str) -> int:
    value = float(text)
    if value < 1 or value != int(value):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of 1 or more")
    return int(value)


def _prepare_driver(arguments: argparse.Namespace) -> None:
    if arguments.simulate:
        import daqring.sim

        try:
            daqring.sim.install(
                product=arguments.product,
                signal="pattern" if arguments.pattern else "sine",
                clock="unthrottled" if arguments.unthrottled else "real",
            )
        except ValueError as error:
            raise _Refusal(str(error)) from error
    else:
        for flag in ("product", "pattern", "unthrottled"):
            if getattr(arguments, flag):
                raise _Refusal(f"--{flag} is for the simulated driver: add --simulate")


def _with_driver(arguments: argparse.Namespace, run: Any) -> int:
    """Runs what needs the driver; turns the package's errors into sentences."""
    _prepare_driver(arguments)
    from nidaqmx.errors import DaqError, DaqNotFoundError, DaqNotSupportedError, Error

    from daqring.source import describe

    try:
        return int(run(arguments))
    except (DaqNotFoundError, DaqNotSupportedError):
        return _complain(
            "the NI-DAQmx driver is not installed on this machine; install it from NI, "
            "or add --simulate to use the simulated driver"
        )
    except DaqError as error:
        return _complain(describe(error))
    except Error as error:
        return _complain(str(error))


def _record(arguments: argparse.Namespace) -> int:
    return _with_driver(arguments, _record_task)


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
            raise _Refusal(f"--property {pair!r} is not of the form KEY=TEXT")
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
        raise _Refusal(str(error)) from None
    low, high = arguments.range
    if not low < high:
        raise _Refusal(f"--range {low:g} {high:g}: the minimum must be below the maximum")
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
            raise _Refusal(
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
        return _complain(str(failure))
    if report.samples_lost:
        print("daqring: samples were lost", file=sys.stderr)
        return EXIT_LOST
    if report.stop_reason == "interrupted" and report.requested is not None:
        return EXIT_INTERRUPTED
    return 0


def _info(arguments: argparse.Namespace) -> int:
    log = daqring.open(arguments.file)
    if arguments.json:
        print(json.dumps(log.to_dict(), indent=2, default=str))
    else:
        print(log.describe())
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    result = daqring.verify(arguments.file)
    if arguments.json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        print(result)
    return 0 if result.complete else EXIT_LOST


def _recover(arguments: argparse.Namespace) -> int:
    try:
        result = daqring.recover(
            arguments.file,
            arguments.output,
            in_place=arguments.in_place,
            overwrite=arguments.overwrite,
        )
    except FileExistsError as error:
        raise _Refusal(
            f"{error.filename} exists already; choose another --output, or add --overwrite"
        ) from None
    if arguments.json:
        print(json.dumps(result.to_dict(), indent=2))
    else:
        print(result)
    return EXIT_LOST if result.lost else 0


def _defragment(arguments: argparse.Namespace) -> int:
    try:
        done = daqring.defragment(arguments.file, arguments.out, overwrite=arguments.overwrite)
    except FileExistsError:
        raise _Refusal(f"{arguments.out} exists already; choose another name, or add --overwrite") from None
    print(
        f"{arguments.out}: {done['segments_after']:,} segments, {done['bytes_after']:,} bytes; "
        f"before {done['segments_before']:,} segments, {done['bytes_before']:,} bytes"
    )
    return 0


def _devices(arguments: argparse.Namespace) -> int:
    return _with_driver(arguments, _list_devices)


def _list_devices(arguments: argparse.Namespace) -> int:
    from nidaqmx.system import System

    rows = []
    for device in System.local().devices:
        rows.append(
            {
                "name": device.name,
                "product": device.product_type,
                "simulated": bool(device.is_simulated),
                "analog_inputs": len(device.ai_physical_chans),
                "max_rate_one_channel": _or_none(lambda device=device: float(device.ai_max_single_chan_rate)),
                "max_rate_all_channels": _or_none(lambda device=device: float(device.ai_max_multi_chan_rate)),
            }
        )
    if arguments.json:
        print(json.dumps(rows, indent=2))
    elif not rows:
        print("no devices")
    for row in [] if arguments.json else rows:
        rate = row["max_rate_one_channel"]
        print(
            f"{row['name']:12} {row['product']:16} {row['analog_inputs']:3} analog inputs"
            + (f", up to {rate:,.0f} S/s on one" if rate else "")
            + (", simulated" if row["simulated"] else "")
        )
    return 0


def _or_none(ask: Any) -> Any:
    from nidaqmx.errors import Error

    try:
        return ask()
    except Error:
        return None


if __name__ == "__main__":
    sys.exit(main())
