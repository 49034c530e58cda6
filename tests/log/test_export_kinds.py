"""What is not a plain run of numbers, in every format: gaps, records, times, lines, the host's clock."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import daqring
import numpy as np
import pytest
from daqring import _native
from daqring.cli import main
from tdms_writer import Object, contiguous, interleaved, path, scales, segment

START = 1_700_000_000_000_000_000
T0 = np.datetime64(START, "ns")
FORMATS = ("h5", "parquet", "csv", "npy", "zarr")


def channel(name: str, dtype: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "unit": "", "scale": None, "properties": {}, **more}


def record(
    file: Path, channels: list[dict[str, Any]], blocks: list[tuple[list[Any], dict[str, Any]]], **more: Any
) -> Path:
    """Writes a recording of one stream, block by block."""
    group = {"name": "task", "dt": 0.001, "properties": {"who": "me"}, "channels": channels, **more}
    native = _native.Recording(file, [{"group": group, "slot_bytes": 1 << 16, "slots": 4}])
    native.set_start_time(0, START)
    for runs, header in blocks:
        data = b"".join(run.tobytes() for run in runs)
        slot = native.reserve(0, 5.0)
        assert slot is not None, native.failure()
        with memoryview(slot) as view:
            view[: len(data)] = data
        slot.commit(len(data), samples=len(runs[0]), host_time_ns=START, **header)
    counts = native.finish([], {})
    assert counts["error"] is None
    return file


@pytest.fixture
def gaps(tmp_path: Path) -> Path:
    """Samples 0 to 99, 150 to 249, 250 to 349 and, behind a hole of unknown size, 100 more; two channels."""
    volts = [channel(f"ai{number}", "int16", unit="V", scale=(1.0, 0.5)) for number in range(2)]
    values = np.arange(400, dtype=np.int16)
    blocks = []
    for number, (first, more) in enumerate(
        [(0, {}), (150, {"lost_before": 50}), (250, {}), (350, {"lost_before": _native.LOST_UNKNOWN})]
    ):
        part = values[number * 100 : number * 100 + 100]
        blocks.append(([part, -part], {"first_sample": first, **more}))
    return record(tmp_path / "gaps.tdms", volts, blocks)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Records 0 to 4 of 100 samples each, one every second; sample k of record n is 100 n + k."""
    values = np.arange(500, dtype=np.int16).reshape(5, 100)
    blocks = [
        ([row], {"first_sample": 1000 * number, "record": (number, START + number * 10**9, 25)})
        for number, row in enumerate(values)
    ]
    volts = channel("ai0", "int16", unit="V", scale=(0.0, 2.0))
    return record(tmp_path / "records.tdms", [volts], blocks, records=True)


@pytest.fixture
def times(tmp_path: Path) -> Path:
    """Values without an even spacing, with the time of each."""
    stamps = T0 + np.cumsum(np.arange(200)).astype("timedelta64[us]")
    blocks = [([stamps, np.sqrt(np.arange(200))], {"first_sample": 0})]
    values = [channel("value", "float64", unit="Hz")]
    return record(tmp_path / "times.tdms", values, blocks, dt=None, times={"name": "time", "from": "slot"})


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """A port whose bits 0 and 3 are lines."""
    port = channel(
        "port", "uint8", lines=[{"name": f"line{bit}", "bit": bit, "properties": {}} for bit in (0, 3)]
    )
    return record(tmp_path / "lines.tdms", [port], [([np.arange(64, dtype=np.uint8)], {"first_sample": 0})])


def rows(file: Path) -> tuple[list[str], list[list[str]]]:
    with file.open(newline="", encoding="utf-8") as opened:
        head, *rest = csv.reader(line for line in opened if not line.startswith("#"))
    return head, rest


@pytest.mark.parametrize("kind", ["gaps", "records", "times", "lines"])
@pytest.mark.parametrize("compression", ["pcodec", "blosc", "none"])
def test_archives_of_every_kind_go_back_bit_for_bit(request, tmp_path, kind, compression):
    pytest.importorskip("zarr")
    file = request.getfixturevalue(kind)
    daqring.export(file, tmp_path / "a.zarr", compression=compression)
    (made,) = daqring.import_archive(tmp_path / "a.zarr", tmp_path / "back.tdms")
    assert made.read_bytes() == file.read_bytes()
    assert daqring.verify(made).to_dict() | {"path": ""} == daqring.verify(file).to_dict() | {"path": ""}


# --- gaps


def test_gaps_in_every_format(gaps, tmp_path):
    h5py, parquet = pytest.importorskip("h5py"), pytest.importorskip("pyarrow.parquet")
    numbers = np.r_[0:100, 150:350, 350:450]
    volts = 1.0 + 0.5 * np.arange(400)
    for ending in ("h5", "parquet", "csv"):
        daqring.export(gaps, tmp_path / f"a.{ending}")
    with h5py.File(tmp_path / "a.h5") as file:
        assert [file[name].attrs["first_sample"] for name in ("task", "task #2", "task #3")] == [0, 150, 350]
        np.testing.assert_array_equal(
            np.concatenate([file[name]["ai0"][:] for name in ("task", "task #2", "task #3")]), volts
        )
        told = json.loads(file.attrs["daqring"])["gaps"]
        assert [(gap["first_sample"], gap["count"]) for gap in told] == [(100, 50), (350, None)]
    table = parquet.read_table(tmp_path / "a.parquet")
    np.testing.assert_array_equal(table["sample"].to_numpy(), numbers)
    np.testing.assert_array_equal(table["ai0"].to_numpy(), volts)
    head, cells = rows(tmp_path / "a.csv")
    assert head == ["sample", "time (UTC)", "ai0 (V)", "ai1 (V)"]
    assert [int(row[0]) for row in cells] == numbers.tolist()
    assert [float(row[2]) for row in cells] == volts.tolist()
    assert (tmp_path / "a.csv").read_text("utf-8").count("# gap: ") == 2
    # An array has a place for each sample: holes of known size become NaN if asked for, others cannot.
    with pytest.raises(daqring.GapError, match="50 samples from sample 100 on"):
        daqring.export(gaps, tmp_path / "a.npy", stop=350)
    with pytest.raises(daqring.GapError, match="nobody knows how many"):
        daqring.export(gaps, tmp_path / "a.npy", gaps="fill")
    with pytest.raises(ValueError, match="cannot be NaN among int16"):
        daqring.export(gaps, tmp_path / "a.npy", gaps="fill", raw=True, stop=350)
    with pytest.raises(ValueError, match="'raise' or 'fill'"):
        daqring.export(gaps, tmp_path / "a.npy", gaps="segment")
    assert not list(tmp_path.glob("*.npy"))
    daqring.export(gaps, tmp_path / "a.npy", gaps="fill", stop=350)
    filled = np.load(tmp_path / "a.npy")
    np.testing.assert_array_equal(np.isnan(filled[0]), np.isin(np.arange(350), np.r_[100:150]))
    np.testing.assert_array_equal(filled[0][~np.isnan(filled[0])], volts[:300])
    np.testing.assert_array_equal(filled, daqring.open(gaps).streams["task"].read(stop=350, gaps="fill"))


def test_gaps_in_every_face(gaps):
    pytest.importorskip("pandas")
    pytest.importorskip("xarray")
    stream = daqring.open(gaps).streams["task"]
    frame = stream.to_pandas()
    assert len(frame) == 400
    steps = np.diff(frame.index.to_numpy()) / np.timedelta64(1, "ms")
    assert np.flatnonzero(steps != 1).tolist()[0] == 99
    assert steps[99] == 51
    with pytest.raises(daqring.GapError, match="nobody knows"):
        stream.to_xarray()
    data = stream.to_xarray("ai1", stop=350)
    assert int(np.isnan(data["ai1"]).sum()) == 50
    with pytest.raises(daqring.GapError):
        stream.to_xarray(stop=350, gaps="raise")
    assert [piece.first_sample for piece in stream.read(gaps="segment")] == [0, 150, 350]


# --- ranges without a sample


@pytest.mark.parametrize("ending", FORMATS)
def test_a_range_without_samples_is_an_error(gaps, tmp_path, capsys, ending):
    before = sorted(tmp_path.iterdir())
    for start, stop in (("1000000", None), ("110", "140"), ("2030-01-01T00:00:00", None), ("20", "20")):
        asked = ["--start", start] + ([] if stop is None else ["--stop", stop])
        assert main(["export", str(gaps), "--to", str(tmp_path / f"a.{ending}"), *asked]) == 1
        assert (
            "there is no sample in that range: stream 'task' has samples 0 to 449" in capsys.readouterr().err
        )
    assert main(["export", str(gaps), "--to", str(tmp_path / f"a.{ending}"), "--start", "soon"]) == 1
    assert "no sample number, time or timedelta" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


# --- records


def test_records_by_number(records):
    log = daqring.open(records)
    stream = log.streams["task"]
    assert [record.number for record in stream.records] == [0, 1, 2, 3, 4]
    third = log.record(3)
    assert (third.samples, third.pretrigger, third.first_sample, third.stream) == (100, 25, 3000, "task")
    assert third.t0 == T0 + np.timedelta64(3, "s")
    np.testing.assert_array_equal(third.read()[0], 2.0 * (300 + np.arange(100)))
    np.testing.assert_array_equal(third.read(["ai0"], raw=True)[0], 300 + np.arange(100))
    with pytest.raises(KeyError, match="no record 5 among the 5"):
        log.record(5)
    with pytest.raises(KeyError):
        third.read(["nothing"])
    # Between records nothing was recorded, and nothing is made up.
    with pytest.raises(daqring.GapError):
        stream.read()
    np.testing.assert_array_equal(stream.read(start=2000, stop=2100)[0], 2.0 * (200 + np.arange(100)))
    pieces = stream.read(gaps="segment")
    assert [piece.t0 for piece in pieces] == [T0 + np.timedelta64(n, "s") for n in range(5)]
    filled = stream.read(gaps="fill")[0]
    assert filled.shape == (4100,)
    assert int(np.isnan(filled).sum()) == 4100 - 500
    assert filled[4099] == 2.0 * 499


def test_records_in_every_format(records, tmp_path):
    h5py, parquet = pytest.importorskip("h5py"), pytest.importorskip("pyarrow.parquet")
    zarr = pytest.importorskip("zarr")
    volts = 2.0 * np.arange(500)
    for ending in FORMATS:
        daqring.export(records, tmp_path / f"a.{ending}")
    with h5py.File(tmp_path / "a.h5") as file:
        for number in range(5):
            node = file[f"task/record {number}"]
            np.testing.assert_array_equal(node["ai0"][:], volts[100 * number : 100 * number + 100])
            assert node.attrs["first_sample"] == 1000 * number
            assert node["ai0"].attrs["t0"] == f"{T0 + np.timedelta64(number, 's')}Z"
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["sample", "time", "record", "ai0"]
    np.testing.assert_array_equal(table["record"].to_numpy(), np.repeat(np.arange(5), 100))
    np.testing.assert_array_equal(table["ai0"].to_numpy(), volts)
    moments = table["time"].to_numpy().astype("datetime64[ns]")
    np.testing.assert_array_equal(
        moments.reshape(5, 100)[:, 25], T0 + (1000 * np.arange(5) + 25).astype("timedelta64[ms]")
    )
    head, cells = rows(tmp_path / "a.csv")
    assert head == ["sample", "time (UTC)", "record", "ai0 (V)"]
    assert [(int(row[2]), float(row[3])) for row in cells] == list(
        zip(np.repeat(np.arange(5), 100).tolist(), volts.tolist(), strict=True)
    )
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), volts.reshape(5, 1, 100))
    np.testing.assert_array_equal(
        zarr.open_group(str(tmp_path / "a.zarr"), mode="r")["task/ai0"][:], volts / 2
    )
    daqring.export(records, tmp_path / "b.npy", gaps="fill")
    filled = np.load(tmp_path / "b.npy")
    assert filled.shape == (1, 4100)
    np.testing.assert_array_equal(filled, daqring.open(records).streams["task"].read(gaps="fill"))


def test_thousands_of_records(tmp_path):
    """More than an attribute of HDF5 holds, and no work that grows with their square."""
    h5py, parquet = pytest.importorskip("h5py"), pytest.importorskip("pyarrow.parquet")
    blocks = [
        (
            [np.array([number, -number], np.int16)],
            {"first_sample": 10 * number, "record": (number, START + number * 10**7, 1)},
        )
        for number in range(3000)
    ]
    file = record(tmp_path / "many.tdms", [channel("ai0", "int16")], blocks, records=True)
    daqring.export(file, tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as opened:
        assert len(json.loads(opened["daqring"][()])["records"]) == 3000
        assert opened["task/record 2999/ai0"][:].tolist() == [2999, -2999]
    daqring.export(file, tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table["record"].to_pylist() == np.repeat(np.arange(3000), 2).tolist()
    times = table["time"].to_numpy().astype("datetime64[ns]")
    np.testing.assert_array_equal(times[1::2] - T0, (np.arange(3000) * 10 + 1).astype("timedelta64[ms]"))


def test_records_of_several_streams_need_a_name(tmp_path):
    from daqring.stages import Trigger
    from stage_run import run_stages

    wave = (8000 * np.sin(2 * np.pi * np.arange(4000) / 500)).astype(np.int16)[None]
    stages = [
        Trigger("ch0", level=4000, hysteresis=100, pre=0.01, post=0.05, name=name, gate=False)
        for name in ("early", "late")
    ]
    log, _ = run_stages(tmp_path / "a.tdms", wave, stages, blocks=(100,))
    with pytest.raises(KeyError, match="several streams have a record 2; say which: early, late"):
        log.record(2)
    assert log.record(2, "late").stream == "late"
    np.testing.assert_array_equal(log.record(2, "late").read(), log.record(2, "early").read())
    with pytest.raises(KeyError, match="among the 0 of stream 'task'"):
        log.record(0, "task")


def test_records_of_different_lengths_are_no_array(records, tmp_path):
    with pytest.raises(ValueError, match="different lengths"):
        daqring.export(records, tmp_path / "a.npy", start=1000, stop=2050)
    daqring.export(records, tmp_path / "a.npy", start=1000, stop=3100)
    np.testing.assert_array_equal(
        np.load(tmp_path / "a.npy")[:, 0], 2.0 * np.arange(100, 400).reshape(3, 100)
    )


# --- times and lines


def test_times_in_every_format(times, tmp_path):
    h5py, parquet = pytest.importorskip("h5py"), pytest.importorskip("pyarrow.parquet")
    log = daqring.open(times)
    stamps = log["time"][:]
    expected = T0 + np.cumsum(np.arange(200)).astype("timedelta64[us]")
    assert abs(stamps - expected).max() <= np.timedelta64(1, "ns")
    for ending in ("h5", "parquet", "csv"):
        daqring.export(times, tmp_path / f"a.{ending}")
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["task/time"][:].view("datetime64[ns]"), stamps)
        assert file["task/time"].attrs["units"] == "nanoseconds since 1970-01-01 UTC"
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["sample", "time", "value"]
    np.testing.assert_array_equal(table["time"].to_numpy().astype("datetime64[ns]"), stamps)
    head, cells = rows(tmp_path / "a.csv")
    assert head == ["sample", "time", "value (Hz)"]
    np.testing.assert_array_equal(np.array([row[1] for row in cells], "datetime64[ns]"), stamps)
    assert [float(row[2]) for row in cells] == np.sqrt(np.arange(200)).tolist()
    with pytest.raises(ValueError, match="numbers of one type"):
        daqring.export(times, tmp_path / "a.npy")
    daqring.export(times, tmp_path / "a.npy", channels=["value"])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy")[0], np.sqrt(np.arange(200)))
    with pytest.raises(ValueError, match="only an archive of the whole log keeps it"):
        daqring.export(times, tmp_path / "a.zarr", stop=100)
    assert not (tmp_path / "a.zarr").exists()
    with pytest.raises(ValueError, match="tells no times by which samples could be found"):
        daqring.export(times, tmp_path / "b.csv", start="2024-01-01")


def test_lines_in_every_format(lines, tmp_path):
    h5py, parquet = pytest.importorskip("h5py"), pytest.importorskip("pyarrow.parquet")
    zarr = pytest.importorskip("zarr")
    on = (np.arange(64) >> 3 & 1).astype(bool)
    for ending in FORMATS:
        daqring.export(lines, tmp_path / f"a.{ending}")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["task/line3"].dtype == bool
        np.testing.assert_array_equal(file["task/line3"][:], on)
    table = parquet.read_table(tmp_path / "a.parquet")
    assert str(table.schema.field("line3").type) == "bool"
    assert table["line3"].to_pylist() == on.tolist()
    _, cells = rows(tmp_path / "a.csv")
    assert [row[3] for row in cells] == [str(value) for value in on]
    array = np.load(tmp_path / "a.npy")
    assert (array.dtype, array.shape) == (bool, (2, 64))
    np.testing.assert_array_equal(array[1], on)
    np.testing.assert_array_equal(zarr.open_group(str(tmp_path / "a.zarr"), mode="r")["task/line3"][:], on)


# --- the host's clock


def test_the_hosts_clock_in_exports(tmp_path):
    """A device whose clock runs 1 in 1000 slow: 1000 samples at "1 ms", in truth 1.001 ms."""
    parquet = pytest.importorskip("pyarrow.parquet")
    values = np.arange(1000, dtype="float64")
    taken = [(0, START), (1000, START + 1000 * 1_001_000)]
    columns = {
        "clock.stream": np.zeros(2, "uint32"),
        "clock.sample": np.array([sample for sample, _ in taken], "uint64"),
        "clock.monotonic_ns": np.arange(2, dtype="int64"),
        "clock.utc_ns": np.array([moment for _, moment in taken], "int64"),
    }
    seconds = START // 10**9 + 2_082_844_800
    properties = {"wf_increment": 1e-3, "wf_start_time": (seconds, 0)}
    file = tmp_path / "c.tdms"
    clocks = [Object(path("daqring", name), "new", column) for name, column in columns.items()]
    file.write_bytes(
        segment([Object(path("g", "c"), "new", values, properties)], contiguous([[values]]))
        + segment(clocks, contiguous([list(columns.values())]))
    )
    start, stop = (str(np.datetime64(START + number * 1_001_000, "ns")) for number in (600, 700))
    options = ["--start", start, "--stop", stop, "--clock", "host", "--quiet"]
    for ending in ("parquet", "csv", "npy", "h5"):
        assert main(["export", str(file), "--to", str(tmp_path / f"h.{ending}"), *options]) == 0
    table = parquet.read_table(tmp_path / "h.parquet")
    np.testing.assert_array_equal(table["sample"].to_numpy(), np.arange(600, 700))
    np.testing.assert_array_equal(
        table["time"].to_numpy().astype("datetime64[ns]").astype(np.int64),
        START + np.arange(600, 700) * 1_001_000,
    )
    _, cells = rows(tmp_path / "h.csv")
    assert [float(row[2]) for row in cells] == list(range(600, 700))
    assert np.datetime64(cells[0][1], "ns") == np.datetime64(start)
    np.testing.assert_array_equal(np.load(tmp_path / "h.npy"), [np.arange(600, 700)])
    assert json.loads((tmp_path / "h.json").read_text())["t0"] == start
    # By the device's clock the same times mean other samples.
    daqring.export(file, tmp_path / "d.npy", start=start, stop=stop)
    assert np.load(tmp_path / "d.npy")[0, 0] == 601
    frame = daqring.open(file).streams["g"].to_pandas(start=start, stop=stop, clock="host")
    assert frame["c"].tolist() == list(range(600, 700))
    assert frame.index[0].value == START + 600 * 1_001_000


# --- whole or not at all


def test_a_killed_export_leaves_no_half_file(tmp_path):
    values = np.arange(3_000_000, dtype="float64")
    file = tmp_path / "long.tdms"
    file.write_bytes(segment([Object(path("g", "c"), "new", values)], contiguous([[values]])))
    for ending in ("csv", "npy", "h5"):
        target = tmp_path / f"out.{ending}"
        program = (
            "import sys, time, daqring, daqring.exporting as exporting\n"
            "add = exporting.Progress.add\n"
            "def slow(self, count): add(self, count); print('part', flush=True); time.sleep(60)\n"
            "exporting.Progress.add = slow\n"
            "daqring.export(sys.argv[1], sys.argv[2], progress=False)"
        )
        command = [sys.executable, "-c", program, file, target]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "part\n"
            process.kill()
        assert not target.exists()
        # What it had made lies in a hidden folder beside; the next export is not in its way.
        (left,) = tmp_path.glob(f".out.{ending}.*")
        daqring.export(file, target, progress=False)
        assert target.exists()
        assert [left] == list(tmp_path.glob(f".out.{ending}.*"))


# --- info of what is damaged


def test_info_tells_damage_by_its_exit_status(gaps, tmp_path, capsys):
    assert main(["info", str(gaps)]) == 0
    whole = gaps.read_bytes()
    second = whole.index(b"TDSm", whole.index(b"TDSm", 4096) + 4)
    damaged, cut, foreign = tmp_path / "damaged.tdms", tmp_path / "cut.tdms", tmp_path / "foreign.tdms"
    damaged.write_bytes(whole[:second] + b"XXXX" + whole[second + 4 :])
    cut.write_bytes(whole[: second + 5000])
    foreign.write_bytes(b"no TDMS file at all, but long enough for a lead-in")
    capsys.readouterr()
    assert main(["info", str(damaged)]) == 3
    assert "damaged" in capsys.readouterr().out
    assert main(["info", str(damaged), "--json"]) == 3
    assert "damaged from byte" in json.loads(capsys.readouterr().out)["problem"]
    assert main(["info", str(cut)]) == 3
    capsys.readouterr()
    assert main(["info", str(foreign)]) == 1
    assert "TDSm" in capsys.readouterr().err


# --- large reads, by several threads


@pytest.mark.parametrize("weave", [False, True])
def test_large_reads_are_what_small_ones_are(tmp_path, weave):
    random = np.random.default_rng(3)
    columns = [random.integers(-30_000, 30_000, 1_000_000).astype("int16") for _ in range(4)]
    objects = [
        Object(
            path("g", f"c{at}"), "new", column, scales(("Polynomial", {"Coefficients": [0.5, 1e-3, 1e-9]}))
        )
        for at, column in enumerate(columns)
    ]
    make: Callable[[list[Any]], bytes] = interleaved if weave else lambda parts: contiguous([parts])
    one = segment(objects, make(columns), toc=0x0E | (0x20 if weave else 0))
    file = tmp_path / "large.tdms"
    file.write_bytes(one * 5)
    log = daqring.open(file)
    expected = [np.tile(column, 5) for column in columns]
    np.testing.assert_array_equal(log.groups["g"].read(raw=True), expected)
    np.testing.assert_array_equal(log["c2"].raw[:], expected[2])
    np.testing.assert_array_equal(log["c2"].raw[123_457:4_900_001], expected[2][123_457:4_900_001])
    volts = np.polynomial.polynomial.polyval(expected[1].astype(np.float64), [0.5, 1e-3, 1e-9])
    np.testing.assert_array_equal(log["c1"][:], volts)
    np.testing.assert_array_equal(log.groups["g"].read(channels=["c3", "c1"])[1], volts)
    with file.open("r+b") as opened:
        opened.truncate(len(one) * 2)
    with pytest.raises(daqring.LogFormatError, match="reading failed"):
        log["c1"][:]
