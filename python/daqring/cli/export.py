"""``daqring export``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import daqring
from daqring.cli.arguments import Refusal

if TYPE_CHECKING:
    from daqring.cli.arguments import Commands

__all__ = ["add", "place", "selection"]


def add(commands: Commands) -> None:
    """Adds the command to the parser."""
    export = commands.add_parser(
        "export",
        help="write a recording as HDF5, Parquet, CSV, npy or Zarr; or a Zarr archive back as TDMS",
        description="Write a recording, or a part of it, in the format that the ending of OUT names: .h5, "
        ".parquet, .csv, .npy or .zarr. A Zarr archive of a whole recording becomes TDMS again, bit for bit, "
        "with --to OUT.tdms.",
        epilog="Example: daqring export run.tdms --to run.parquet --channel Dev1/ai0 --start 0 --stop 100000",
    )
    export.add_argument("file", metavar="FILE", nargs="+", help="a recording: its first file, or all of them")
    export.add_argument("--to", metavar="OUT", required=True, help="what to make")
    selection(export)
    export.add_argument("--raw", action="store_true", help="codes instead of scaled samples")
    export.add_argument(
        "--fill", action="store_true", help="NaN where samples are missing (.npy; otherwise an error)"
    )
    export.add_argument(
        "--compression",
        metavar="CODEC",
        default="auto",
        help="none; gzip for .h5; zstd or snappy for .parquet; pcodec or blosc for .zarr (default: auto)",
    )
    export.add_argument("--overwrite", action="store_true", help="replace an existing OUT")
    export.add_argument("--quiet", action="store_true", help="no progress bar")
    export.set_defaults(run=_export)


def selection(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose channels and a range."""
    parser.add_argument(
        "--channel",
        action="append",
        metavar="NAME",
        help="a channel; may be given several times (default: all)",
    )
    parser.add_argument("--stream", metavar="NAME", help="the stream, where the recording has several")
    parser.add_argument(
        "--start", metavar="N|TIME", help="first sample: its number, or UTC such as 2026-05-01T12:00:00"
    )
    parser.add_argument("--stop", metavar="N|TIME", help="behind the last sample")
    parser.add_argument(
        "--clock",
        choices=("device", "host"),
        default="device",
        help="whose clock times are by (default: device)",
    )


def place(text: str | None) -> Any:
    """A sample's number or a time."""
    if text is None:
        return None
    number = text.replace("_", "")
    return int(number) if number.isdecimal() else text


def _export(arguments: argparse.Namespace) -> int:
    progress = False if arguments.quiet else None
    try:
        if Path(arguments.file[0]).suffix.lower() == ".zarr":
            if len(arguments.file) > 1:
                raise Refusal("one archive at a time")
            made = daqring.import_archive(
                arguments.file[0], arguments.to, overwrite=arguments.overwrite, progress=progress
            )
            for path in made:
                print(path)
            return 0
        source = arguments.file[0] if len(arguments.file) == 1 else arguments.file
        path = daqring.export(
            source,
            arguments.to,
            channels=arguments.channel,
            stream=arguments.stream,
            start=place(arguments.start),
            stop=place(arguments.stop),
            clock=arguments.clock,
            raw=arguments.raw,
            gaps="fill" if arguments.fill else "raise",
            compression=arguments.compression,
            overwrite=arguments.overwrite,
            progress=progress,
        )
    except FileExistsError as error:
        raise Refusal(f"{error.filename} exists already; choose another name, or add --overwrite") from None
    except (KeyError, ValueError, ModuleNotFoundError) as error:
        raise Refusal(str(error.args[0] if error.args else error)) from error
    print(path)
    return 0
