"""Reading logs back: against what was written, and against npTDMS, also for files that others wrote."""

from __future__ import annotations

import datetime
import json

import daqring
import nptdms
import numpy as np
import pytest
from daqring import _native

RNG = np.random.default_rng(1)


def write_log(path, data, *, scale=None, block=1000, dt=0.001, properties=None, dtype="int16"):
    """Writes channels x samples through the ring, as a recorder does."""
    channels, samples = data.shape
    group = {
        "name": "it's a group",
        "dt": dt,
        "properties": {"rate": 1 / dt},
        "channels": [
            {"name": f"Dev1/ai{n} 'µ'", "dtype": dtype, "unit": "V", "scale": scale, "properties": {"n": n}}
            for n in range(channels)
        ],
    }
    native = _native.Recording(
        path,
        [{"group": group, "slot_bytes": block * channels * data.itemsize, "slots": 4}],
        workers=2,
        properties=properties,
    )
    native.set_start_time(0, 1_700_000_000_123_456_789)
    for first in range(0, samples, block):
        part = np.ascontiguousarray(data[:, first : first + block])
        slot = native.reserve(0, 10)
        np.frombuffer(slot, data.dtype, part.size)[:] = part.ravel()
        slot.commit(part.nbytes, samples=part.shape[1], first_sample=first)
    assert native.finish([], {"end": True})["error"] is None


@pytest.fixture
def codes():
    return RNG.integers(-32768, 32768, (3, 12_345)).astype(np.int16)


def test_raw_and_scaled_equal_nptdms_to_the_bit(tmp_path, codes):
    path = tmp_path / "log.tdms"
    write_log(path, codes, scale=[0.01, 3.05e-4, 1e-13, -2e-19])
    log, file = daqring.open(path), nptdms.TdmsFile.read(path)
    assert list(log) == [f"it's a group/Dev1/ai{n} 'µ'" for n in range(3)]
    for n, name in enumerate(log):
        channel, theirs = log[name], file["it's a group"][f"Dev1/ai{n} 'µ'"]
        assert (len(channel), channel.shape) == (12_345, (12_345,))
        assert (channel.dtype, channel.raw.dtype) == (np.float64, np.int16)
        np.testing.assert_array_equal(channel.raw[:], codes[n])
        np.testing.assert_array_equal(channel.raw[:], theirs.raw_data)
        np.testing.assert_array_equal(channel[:], theirs[:])
        np.testing.assert_array_equal(np.asarray(channel), theirs[:])
        assert channel.unit == "V"
        assert channel.properties["n"] == n
        np.testing.assert_allclose(channel.time(), theirs.time_track())


@pytest.mark.parametrize(
    "index",
    [
        0, -1, 999, 1000, 12_344, slice(None), slice(5, 5), slice(7, 3), slice(990, 2010), slice(-10, None),
        slice(None, None, 7), slice(100, 5000, 1234), slice(None, None, -1), slice(5000, 100, -3),
        slice(3, 9, -1), slice(0, 10**12), np.int64(17),
    ],
)  # fmt: skip
def test_indexing_is_that_of_numpy(tmp_path, codes, index):
    path = tmp_path / "log.tdms"
    write_log(path, codes)
    channel = daqring.open(path).channels[1]
    np.testing.assert_array_equal(channel[index], codes[1][index])
    np.testing.assert_array_equal(channel.raw[index], codes[1][index])


@pytest.mark.parametrize("index", [12_345, -12_346, 10**20])
def test_indices_beyond_the_end_raise(tmp_path, codes, index):
    path = tmp_path / "log.tdms"
    write_log(path, codes)
    with pytest.raises(IndexError, match="beyond"):
        daqring.open(path).channels[0][index]


@pytest.mark.parametrize(
    "dtype",
    ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"],
)
def test_every_type_of_sample(tmp_path, dtype):
    data = RNG.integers(0, 100, (2, 5000)).astype(dtype)
    path = tmp_path / "log.tdms"
    write_log(path, data, dtype=dtype)
    for n, channel in enumerate(daqring.open(path).channels):
        assert channel.raw.dtype == dtype
        np.testing.assert_array_equal(channel[:], data[n])
        np.testing.assert_array_equal(nptdms.TdmsFile.read(path).groups()[0].channels()[n][:], data[n])


def test_properties_keep_their_types(tmp_path, codes):
    when = datetime.datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=datetime.UTC)
    given = {"text": "µ'\"", "int": -5, "big": 1 << 40, "float": 0.1, "yes": True, "when": when}
    path = tmp_path / "log.tdms"
    write_log(path, codes, properties=given)
    ours, theirs = daqring.open(path).properties, nptdms.TdmsFile.read(path).properties
    for name in ("text", "int", "big", "float", "yes"):
        assert ours[name] == theirs[name] == given[name]
        assert type(ours[name]) is type(given[name])
    assert ours["when"] == np.datetime64("2026-03-04T05:06:07.890", "ns")
    assert theirs["when"] == np.datetime64("2026-03-04T05:06:07.890")
    assert ours["end"] is True


def test_times(tmp_path, codes):
    path = tmp_path / "log.tdms"
    write_log(path, codes, dt=0.25)
    channel = daqring.open(path).channels[0]
    assert channel.t0 == np.datetime64(1_700_000_000_123_456_789, "ns")
    np.testing.assert_array_equal(channel.time(2, 5), [0.5, 0.75, 1.0])
    assert channel.time(4, 5, absolute=True)[0] == channel.t0 + np.timedelta64(1, "s")
    theirs = nptdms.TdmsFile.read(path, raw_timestamps=True).groups()[0].channels()[0]
    assert abs(theirs.properties["wf_start_time"].as_datetime64("ns") - channel.t0) <= np.timedelta64(1, "ns")


def test_names_that_do_not_lead_to_one_channel(tmp_path, codes):
    path = tmp_path / "log.tdms"
    with nptdms.TdmsWriter(path) as writer:
        writer.write_segment(
            [nptdms.ChannelObject(group, "same", np.arange(3)) for group in ("first", "second")]
        )
    log = daqring.open(path)
    assert list(log["second/same"][:]) == [0, 1, 2]
    with pytest.raises(KeyError, match="several groups have a channel 'same'"):
        log["same"]
    with pytest.raises(KeyError, match="no channel 'other'"):
        log["other"]
    assert "same" not in log
    assert "first/same" in log
    assert list(log.groups["first"]["same"][:]) == [0, 1, 2]


def test_files_that_nptdms_wrote(tmp_path):
    path = tmp_path / "theirs.tdms"
    moments = np.array(["1999-12-31T23:59:59.999999999", "2026-01-01"], "datetime64[ns]")
    with nptdms.TdmsWriter(path) as writer:
        writer.write_segment([nptdms.ChannelObject("g", "float", np.arange(5.0), {"unit_string": "A"})])
        writer.write_segment([nptdms.ChannelObject("g", "float", np.arange(7.0))])
        writer.write_segment([nptdms.ChannelObject("g", "text", ["one", "zwei", ""])])
        writer.write_segment([nptdms.ChannelObject("g", "when", moments)])
        writer.write_segment([nptdms.ChannelObject("g", "complex", np.array([1 + 2j, 3]))])
    log = daqring.open(path)
    np.testing.assert_array_equal(log["float"][:], [*range(5), *range(7)])
    assert log["float"].unit == "A"
    assert list(log["text"][:]) == ["one", "zwei", ""]
    assert log["text"][1] == "zwei"
    # npTDMS writes microseconds.
    theirs = nptdms.TdmsFile.read(path, raw_timestamps=True)["g"]["when"]
    np.testing.assert_array_equal(log["when"][:].astype("M8[us]"), moments.astype("M8[us]"))
    assert np.all(np.abs(log["when"][:] - theirs[:].as_datetime64("ns")) <= np.timedelta64(1, "ns"))
    np.testing.assert_array_equal(log["complex"][:], [1 + 2j, 3])
    with pytest.raises(ValueError, match="no constant time"):
        log["text"].time()
    json.dumps(log.to_dict(), default=str)
    assert "7 samples" not in log.describe()
    assert "float: 12 samples" in log.describe()


def test_what_is_no_log_is_said(tmp_path):
    with pytest.raises(FileNotFoundError):
        daqring.open(tmp_path / "missing.tdms")
    empty = tmp_path / "empty.tdms"
    empty.touch()
    # A recording that was killed before its first segment can be looked at; there is nothing to check.
    assert list(daqring.open(empty)) == []
    with pytest.raises(daqring.LogFormatError, match="empty"):
        daqring.verify(empty)
    text = tmp_path / "text.tdms"
    text.write_text("this is text\n" * 50)
    with pytest.raises(daqring.LogFormatError, match="TDMS"):
        daqring.open(text)
    with pytest.raises(daqring.LogFormatError, match="TDMS"):
        daqring.verify(text)
    with pytest.raises(OSError, match="directory"):
        daqring.open(tmp_path)


def test_verify_tells_damage_and_its_place(tmp_path, codes):
    path = tmp_path / "log.tdms"
    write_log(path, codes)
    sound = daqring.verify(path)
    assert sound.complete
    assert sound.problems == ()
    assert [(stream["name"], stream["samples"]) for stream in sound.streams] == [("it's a group", 12_345)]
    data = bytearray(path.read_bytes())
    place = data.find(codes[1, 2000:2040].tobytes())
    data[place + 10] ^= 4
    path.write_bytes(data)
    damaged = daqring.verify(path)
    assert not damaged.complete
    assert len(damaged.problems) == 1
    assert "at byte" in damaged.problems[0]
    assert damaged.streams[0]["damaged"] == 1000
    json.dumps(damaged.to_dict())
