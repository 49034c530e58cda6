"""Exports: every format holds what the log holds, whole or not at all; an archive goes back bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import daqring
import numpy as np
import pytest
from daqring.cli import main
from tdms_writer import BIG_ENDIAN, INTERLEAVED, NEW_LIST, Object, contiguous, interleaved, path, segment

EXAMPLES = Path(__file__).resolve().parents[2] / "python" / "docs" / "examples"


@pytest.fixture
def run(make_task, tmp_path) -> Path:
    """A recording of 30,000 samples of four channels in three files."""
    options = daqring.LogOptions(rotate_samples=10_000)
    task = make_task(rate=10_000, name="Run")
    daqring.record(
        task,
        tmp_path / "run.tdms",
        samples=30_000,
        dtype="raw",
        log=options,
        properties={"who": "µ"},
        progress=False,
    )
    return tmp_path / "run_0000.tdms"


def test_hdf5_keeps_long_texts_whole(make_task, tmp_path):
    h5py = pytest.importorskip("h5py")
    whole = "".join(f"step {number}: µV, °C\n" for number in range(6000))
    assert len(whole) > 100_000
    properties = {"description": whole, "Run": {"of group": whole}, "Run/Dev1/ai1": {"of channel": whole}}
    task = make_task(rate=10_000, name="Run")
    daqring.record(task, tmp_path / "a.tdms", samples=100, properties=properties, progress=False)
    daqring.export(tmp_path / "a.tdms", tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["description"] == whole
        assert file["Run"].attrs["of group"] == whole
        assert file["Run"]["Dev1/ai1"].attrs["of channel"] == whole


def test_hdf5(run, tmp_path):
    h5py = pytest.importorskip("h5py")
    log = daqring.open(run)
    daqring.export(log, tmp_path / "a.h5", compression="gzip")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["who"] == "µ"
        for channel in log.channels:
            dataset = file["Run"][channel.name]
            np.testing.assert_array_equal(dataset[:], channel[:])
            assert (dataset.attrs["unit"], dataset.attrs["dt"], dataset.attrs["name"]) == (
                "V",
                1e-4,
                channel.name,
            )
            assert dataset.attrs["t0"] == f"{channel.t0}Z"
    daqring.export(
        log, tmp_path / "b.h5", raw=True, start=9_000, stop=11_000, channels=[log.channels[2].name]
    )
    with h5py.File(tmp_path / "b.h5") as file:
        dataset = file["Run"][log.channels[2].name]
        np.testing.assert_array_equal(dataset[:], log.channels[2].raw[9_000:11_000])
        assert file["Run"].attrs["first_sample"] == 9_000
        assert dataset.attrs["t0"] == f"{log.channels[0].t0 + np.timedelta64(900, 'ms')}Z"


def test_parquet_and_csv(run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    log = daqring.open(run)
    names = [channel.name for channel in log.channels]
    daqring.export(log, tmp_path / "a.parquet")
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["sample", "time", *names]
    for channel in log.channels:
        np.testing.assert_array_equal(table[channel.name].to_numpy(), channel[:])
    assert table.schema.field(names[0]).metadata == {b"unit": b"V"}
    assert json.loads(table.schema.metadata[b"daqring"])["properties"]["who"] == "µ"
    times = table["time"].to_numpy().astype("datetime64[ns]")
    np.testing.assert_array_equal(times, log.streams["Run"].time())
    daqring.export(log, tmp_path / "a.csv", start=9_990, stop=10_010, channels=names[1:2])
    lines = [line for line in (tmp_path / "a.csv").read_text("utf-8").splitlines() if line[0] != "#"]
    assert lines[0] == f"sample,time (UTC),{names[1]} (V)"
    assert [float(line.split(",")[2]) for line in lines[1:]] == list(log.channels[1][9_990:10_010])
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(9_990, 10_010))


def test_npy_and_gaps(run, tmp_path):
    run.with_name("run_0001.tdms").unlink()
    log = daqring.open(run)
    with pytest.raises(daqring.GapError):
        daqring.export(log, tmp_path / "a.npy")
    assert not (tmp_path / "a.npy").exists()
    daqring.export(log, tmp_path / "a.npy", gaps="fill")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), log.streams["Run"].read(gaps="fill"))
    about = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert (about["units"], about["dt"], about["gaps"][0]["count"]) == (["V"] * 4, 1e-4, 10_000)


@pytest.mark.parametrize("compression", ["pcodec", "blosc", "none"])
def test_an_archive_goes_back_bit_for_bit(run, tmp_path, compression):
    zarr = pytest.importorskip("zarr")
    log = daqring.open(run)
    daqring.export(log, tmp_path / "a.zarr", compression=compression)
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    for channel in log.channels:
        array = root[f"Run/{channel.name}"]
        np.testing.assert_array_equal(array[:], channel.raw[:])
        assert array.attrs["unit"] == "V"
    (tmp_path / "back").mkdir()
    made = daqring.import_archive(tmp_path / "a.zarr", tmp_path / "back")
    assert [file.name for file in made] == [Path(file).name for file in log.paths]
    for file in made:
        assert file.read_bytes() == (tmp_path / file.name).read_bytes()
    with pytest.raises(ValueError, match="a folder"):
        daqring.import_archive(tmp_path / "a.zarr", tmp_path / "one.tdms")


def test_archives_of_other_programs_files(tmp_path):
    pytest.importorskip("zarr")
    columns = [np.arange(500, dtype="int16"), np.linspace(0, 1, 500), np.arange(500, dtype="int8")]
    names = [path("g", f"c{number}") for number in range(3)]
    objects = [Object(name, "new", column) for name, column in zip(names, columns, strict=True)]
    text = [Object(path("g", "text"), "new", ["a", "bc"])]
    file = tmp_path / "f.tdms"
    data = segment(objects, contiguous([columns, columns]))
    data += segment(objects, interleaved(columns), toc=NEW_LIST | INTERLEAVED)
    data += segment(text, contiguous([[["a", "bc"]]]))
    data += segment(objects, contiguous([columns], big=True), big=True)
    data += segment(objects, contiguous([columns]) + b"123", unfinished=True)
    file.write_bytes(data)
    daqring.export(file, tmp_path / "f.zarr")
    daqring.import_archive(tmp_path / "f.zarr", tmp_path / "g.tdms")
    assert (tmp_path / "g.tdms").read_bytes() == data
    assert BIG_ENDIAN


def test_a_damaged_archive_makes_no_file(run, tmp_path):
    zarr = pytest.importorskip("zarr")
    daqring.export(run, tmp_path / "a.zarr", compression="none")
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="r+")
    array = root[f"Run/{daqring.open(run).channels[0].name}"]
    array[7] = array[7] + 1
    (tmp_path / "back").mkdir()
    with pytest.raises(daqring.LogFormatError, match="damaged"):
        daqring.import_archive(tmp_path / "a.zarr", tmp_path / "back")
    assert list((tmp_path / "back").iterdir()) == []
    daqring.export(run, tmp_path / "part.zarr", stop=100)
    with pytest.raises(ValueError, match="a part of a log"):
        daqring.import_archive(tmp_path / "part.zarr", tmp_path / "back")


def test_an_export_that_fails_leaves_nothing(run, tmp_path, monkeypatch):
    before = sorted(tmp_path.iterdir())
    for to, options, words in (
        ("a.xls", {}, "the ending names the format"),
        ("a.csv", {"channels": ["nothing"]}, "there is no channel"),
        ("a.csv", {"stream": "nothing"}, "there is no stream"),
    ):
        with pytest.raises((ValueError, KeyError), match=words):
            daqring.export(run, tmp_path / to, **options)
    monkeypatch.setattr("daqring.exporting._csv", lambda job, path: path.write_text("half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        daqring.export(run, tmp_path / "a.csv")
    assert sorted(tmp_path.iterdir()) == before
    (tmp_path / "there.csv").write_text("mine")
    with pytest.raises(FileExistsError):
        daqring.export(run, tmp_path / "there.csv")


def test_the_command(run, tmp_path, capsys):
    assert main(["export", str(run), "--to", str(tmp_path / "a.csv"), "--stop", "50", "--quiet"]) == 0
    assert main(["export", str(run), "--to", str(tmp_path / "a.csv")]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["export", str(run), "--to", str(tmp_path / "b.csv"), "--channel", "x"]) == 1
    assert "there is no channel 'x'" in capsys.readouterr().err
    assert main(["info", str(run), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (len(told["paths"]), told["finished"], told["groups"][0]["channels"][0]["samples"]) == (
        3,
        True,
        30_000,
    )
    assert main(["info", str(run)]) == 0
    told = capsys.readouterr().out
    assert "└─" in told
    assert "no gaps recorded" in told


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_plot(run, tmp_path, ending):
    pytest.importorskip("matplotlib")
    run.with_name("run_0001.tdms").unlink()
    out = tmp_path / f"a.{ending}"
    assert main(["plot", str(run), "-o", str(out)]) == 0
    data = out.read_bytes()
    assert data.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    if ending == "svg":
        # The axis says what it is, and the hole is there.
        assert b"local time" in data
    assert main(["plot", str(run), "-o", str(out)]) == 1
    assert main(["plot", str(run), "-o", str(tmp_path / "a.doc")]) == 1


def test_the_cluster_script(run):
    """Two workers over a rotation, each opening the files itself."""
    pytest.importorskip("distributed")
    log = daqring.open(run)
    name = log.channels[0].name
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "dask_cluster.py"), str(run), name],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ,
    )
    rms = float(done.stdout.split(":")[1])
    assert rms == pytest.approx(np.sqrt((log[name][:] ** 2).mean()), abs=1e-6)
