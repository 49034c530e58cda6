"""Recordings of several files and groups read as one: numbers, times, gaps, records, faces."""

from __future__ import annotations

from pathlib import Path

import daqring
import numpy as np
import pytest
from daqring.log import open as open_log
from tdms_writer import Object, contiguous, path, scales, segment


@pytest.fixture
def rotation(make_task, tmp_path) -> Path:
    """A recording of 50,000 samples of four channels in five files."""
    task = make_task(rate=100_000, name="Run")
    daqring.record(
        task,
        tmp_path / "run.tdms",
        samples=50_000,
        block_ms=10,
        dtype="raw",
        log=daqring.LogOptions(rotate_samples=10_000),
        progress=False,
    )
    return tmp_path


def test_the_files_of_a_rotation_are_one(rotation):
    files = sorted(rotation.glob("*.tdms"))
    assert len(files) == 5
    logs = [daqring.open(rotation / "run_*.tdms"), daqring.open(files[0]), daqring.open(files[::-1])]
    for log in logs:
        assert log.paths == tuple(map(str, files))
        assert list(log.streams) == ["Run"]
        assert len(log["ai2" if "ai2" in log else "Dev1/ai2"]) == 50_000
    log = logs[0]
    alone = [daqring.open(file, follow=False) for file in files]
    name = log.channels[1].name
    np.testing.assert_array_equal(log[name].raw[:], np.concatenate([one[name].raw[:] for one in alone]))
    np.testing.assert_array_equal(log[name][9_990:30_010], log[name][:][9_990:30_010])
    np.testing.assert_array_equal(np.concatenate(list(log[name].chunks(7_777))), log[name][:])
    stream = log.streams["Run"]
    assert (stream.start, stream.stop, stream.gaps) == (0, 50_000, ())
    together = stream.read()
    assert together.shape == (4, 50_000)
    np.testing.assert_array_equal(together[1], log[name][:])
    assert [piece.values.shape[1] for piece in stream.chunks(size=20_000)] == [20_000, 20_000, 10_000]
    least, greatest, edges = log[name].envelope(100)
    values = log[name][:]
    for at in (0, 37, 99):
        part = values[edges[at] : edges[at + 1]]
        assert (least[at], greatest[at]) == (part.min(), part.max())


def test_times_find_samples(rotation):
    stream = daqring.open(rotation / "run_0000.tdms").streams["Run"]
    times = stream.time()
    assert times[0] == stream.t0
    for number in (0, 1, 9_999, 10_000, 31_234, 49_999):
        assert stream.number(times[number]) == number
        assert stream.number(str(times[number])) == number
    assert stream.number(times[5] + np.timedelta64(1, "us")) == 6
    np.testing.assert_array_equal(
        stream.read(
            ["Dev1/ai0" if "Dev1/ai0" in stream.channels else stream.channels[0]], times[15], times[25]
        ),
        stream.read()[:1, 15:25],
    )
    assert stream.read(start=np.timedelta64(100, "ms"), stop=np.timedelta64(200, "ms")).shape == (4, 10_000)


def test_a_missing_file_is_a_gap(rotation):
    files = sorted(rotation.glob("*.tdms"))
    files[2].unlink()
    log = daqring.open(files[0])
    stream = log.streams["Run"]
    assert list(log.groups) == ["Run", "daqring", "Run #2"]
    assert [(gap.first_sample, gap.count) for gap in stream.gaps] == [(20_000, 10_000)]
    assert stream.stretches == ((0, 20_000), (30_000, 50_000))
    with pytest.raises(daqring.GapError, match="a file of the recording is missing"):
        stream.read()
    assert stream.read(stop=20_000).shape == (4, 20_000)
    filled = stream.read(gaps="fill")
    assert np.isnan(filled[:, 20_000:30_000]).all()
    assert not np.isnan(filled[:, :20_000]).any()
    first, second = stream.read(gaps="segment")
    assert second.first_sample == 30_000
    np.testing.assert_array_equal(filled[:, 30_000:], second.values)
    assert second.t0 == stream.time()[30_000] == stream.t0 + np.timedelta64(300, "ms")
    assert stream.number(stream.t0 + np.timedelta64(250, "ms")) == 25_000
    raw = stream.read(raw=True, gaps="fill", fill=-1)
    assert raw.dtype.kind == "i"
    assert (raw[:, 25_000] == -1).all()
    with pytest.raises(ValueError, match="cannot be nan"):
        stream.read(raw=True, gaps="fill")
    assert first.values.shape == (4, 20_000)


def test_files_that_do_not_belong_together_are_refused(rotation, make_task, tmp_path):
    daqring.record(make_task("Dev1/ai0", name="Other"), tmp_path / "other.tdms", samples=1000, progress=False)
    with pytest.raises(ValueError, match="different recordings"):
        daqring.open([rotation / "run_0000.tdms", tmp_path / "other.tdms"])
    with pytest.raises(FileNotFoundError, match="no file fits"):
        daqring.open(tmp_path / "nothing*.tdms")
    with pytest.raises(ValueError, match="at least one"):
        daqring.open([])


def test_the_hosts_clock(tmp_path):
    """Readings of both clocks that drift against each other by 1 in 1000."""
    values = np.arange(1000, dtype="float64")
    pairs = [(0, 10**18), (500, 10**18 + 500 * 1_001_000), (900, 10**18 + 900 * 1_001_000)]
    columns = {
        "clock.stream": np.zeros(3, "uint32"),
        "clock.sample": np.array([sample for sample, _ in pairs], "uint64"),
        "clock.monotonic_ns": np.arange(3, dtype="int64"),
        "clock.utc_ns": np.array([time for _, time in pairs], "int64"),
    }
    objects = [
        Object(
            path("g", "c"), "new", values, {"wf_increment": 1e-3, "wf_start_time": (2082844800 + 10**9, 0)}
        )
    ]
    clocks = [Object(path("daqring", name), "new", column) for name, column in columns.items()]
    file = tmp_path / "c.tdms"
    file.write_bytes(
        segment(objects, contiguous([[values]])) + segment(clocks, contiguous([list(columns.values())]))
    )
    stream = daqring.open(file).streams["g"]
    host = stream.time(clock="host").astype(np.int64)
    np.testing.assert_allclose((host - 10**18)[:901], np.arange(901) * 1_001_000, atol=1)
    # Beyond the last reading the sample clock's own rate goes on.
    assert host[999] - host[900] == 99 * 1_000_000
    assert stream.number(np.datetime64(10**18 + 500 * 1_001_000, "ns"), clock="host") == 500
    assert stream.number(np.datetime64(10**18 + 500 * 10**6, "ns"), clock="device") == 500
    with pytest.raises(ValueError, match="device"):
        stream.number(np.datetime64(0, "ns"), clock="moon")
    file.write_bytes(segment(objects, contiguous([[values]])))
    with pytest.raises(ValueError, match="no readings of the host"):
        daqring.open(file).streams["g"].time(clock="host")


def test_faces(rotation):
    pandas = pytest.importorskip("pandas")
    log = daqring.open(rotation / "run_0000.tdms")
    stream = log.streams["Run"]
    values = stream.read()
    frame = stream.to_pandas()
    np.testing.assert_array_equal(frame.to_numpy().T, values)
    assert isinstance(frame.index, pandas.DatetimeIndex)
    assert str(frame.index.tz) == "UTC"
    data = stream.to_xarray(stream.channels[:2], 100, 300)
    assert list(data) == list(stream.channels[:2])
    np.testing.assert_array_equal(data[stream.channels[1]].to_numpy(), values[1, 100:300])
    channel = log.channels[2]
    lazy = channel.to_dask()
    assert sum(lazy.chunks[0]) == 50_000
    assert len(lazy.chunks[0]) == sum(
        len(daqring.open(f, follow=False).channels[2].segments()) - 1 for f in log.paths
    )
    np.testing.assert_array_equal(lazy.compute(scheduler="threads"), values[2])
    assert float(lazy[20_000:40_000].mean().compute()) == pytest.approx(values[2, 20_000:40_000].mean())


def test_an_absent_package_is_named(rotation, monkeypatch):
    import importlib

    real = importlib.import_module

    def absent(name: str, *rest: object) -> object:
        if name.startswith("dask"):
            raise ModuleNotFoundError("No module named 'dask'", name="dask")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ModuleNotFoundError, match=r"needs dask, .* pip install 'daqring\[analysis\]'"):
        daqring.open(rotation / "run_0000.tdms").channels[0].to_dask()


def test_foreign_files_are_joined_in_the_order_given(tmp_path):
    one = np.arange(10, dtype="int16")
    for number in (1, 2):
        properties = scales(("Linear", {"Slope": 2.0, "Y_Intercept": 0.0}))
        data = segment(
            [Object(path("g", "c"), "new", one + number, properties)], contiguous([[one + number]])
        )
        (tmp_path / f"f{number}.tdms").write_bytes(data)
    log = daqring.open([tmp_path / "f2.tdms", tmp_path / "f1.tdms"])
    assert list(log["c"].raw[:]) == [*(one + 2), *(one + 1)]
    assert list(open_log(tmp_path / "f?.tdms")["c"][8:12]) == [18, 20, 4, 6]
    assert log["c"].scales == ("Linear",)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is Linux's to tell")
def test_a_slice_of_a_huge_sparse_file_needs_little_memory(tmp_path):
    """100 GB of zeros between header and end: a slice is read in a process that may have 64 MiB more."""
    import subprocess
    import sys

    file = tmp_path / "huge.tdms"
    count = 50_000_000_000
    index = (
        b"\x14\0\0\0" + (2).to_bytes(4, "little") + (1).to_bytes(4, "little") + count.to_bytes(8, "little")
    )
    header = segment(
        [Object(path("g", "c"), index, properties=scales(("Linear", {"Slope": 2.0, "Y_Intercept": 1.0})))]
    )
    raw = count * 2
    metadata = len(header) - 28
    lead = b"TDSm" + (0xE).to_bytes(4, "little") + header[8:12] + (metadata + raw).to_bytes(8, "little")
    with file.open("wb") as opened:
        opened.write(lead + header[20:])
        opened.truncate(28 + metadata + raw)
    program = f"""
import daqring, numpy
def most():
    # The most that this process had so far; getrusage would count its parent in.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
daqring.open
before = most()
log = daqring.open({str(file)!r})
values = log["c"][40_000_000_000:40_000_000_000 + 1_000_000]
assert (values == 1.0).all() and len(log["c"]) == {count}
print(most() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    # The samples asked for are 7.6 MiB.
    assert 7 << 10 < int(done.stdout) < 64 << 10
