"""What the streams of a native recording can be besides plain channels: lines, times, records of triggers."""

from __future__ import annotations

from typing import Any

import daqring
import nptdms
import numpy as np
import pytest
from daqring import _native

START = 1_700_000_000_000_000_000


def channel(name: str, dtype: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "dtype": dtype, "unit": "", "scale": None, "properties": {}, **more}


def stream(
    *channels: dict[str, Any], dt: float | None = 0.001, slot: int = 4096, **more: Any
) -> dict[str, Any]:
    group = {"name": "task", "dt": dt, "properties": {}, "channels": list(channels), **more}
    return {"group": group, "slot_bytes": slot, "slots": 4}


def commit(native: _native.Recording, number: int, *runs: np.ndarray[Any, Any], **header: Any) -> None:
    data = b"".join(run.tobytes() for run in runs)
    slot = native.reserve(number, 5.0)
    assert slot is not None
    with memoryview(slot) as view:
        view[: len(data)] = data
    slot.commit(len(data), samples=len(runs[0]), **header)


def finish(native: _native.Recording) -> None:
    counts = native.finish([], {})
    assert counts["error"] is None
    assert counts["law_holds"]


def test_a_port_becomes_lines(tmp_path):
    path = tmp_path / "lines.tdms"
    lines = [{"name": f"line{bit}", "bit": bit, "properties": {"wire": bit}} for bit in (0, 9, 31)]
    native = _native.Recording(
        path, [stream(channel("port0", "uint32", lines=lines), channel("count", "uint16"))]
    )
    native.set_start_time(0, START)
    rng = np.random.default_rng(5)
    port = rng.integers(0, 2**32, 1500, np.uint32)
    count = rng.integers(0, 2**16, 1500, np.uint16)
    for first in (0, 500, 1000):
        part = slice(first, first + 500)
        commit(native, 0, port[part], count[part], first_sample=first)
    finish(native)
    assert daqring.verify(path).complete
    group = nptdms.TdmsFile.read(path)["task"]
    assert [found.name for found in group.channels()] == ["line0", "line9", "line31", "count"]
    for bit in (0, 9, 31):
        values = group[f"line{bit}"][:]
        assert values.dtype == bool
        np.testing.assert_array_equal(values, port >> bit & 1)
        assert group[f"line{bit}"].properties["wire"] == bit
    np.testing.assert_array_equal(group["count"][:], count)
    np.testing.assert_array_equal(daqring.open(path)["task/line9"].raw[:], (port >> 9 & 1).astype(bool))


def test_times_of_the_producer_become_timestamps(tmp_path):
    path = tmp_path / "times.tdms"
    native = _native.Recording(
        path,
        [stream(channel("value", "float64"), dt=None, times={"name": "time", "from": "slot"})],
    )
    times = np.datetime64(START, "ns") + np.cumsum(np.arange(200)).astype("timedelta64[us]")
    values = np.sqrt(np.arange(200))
    commit(native, 0, times[:120], values[:120], first_sample=0)
    commit(native, 0, times[120:], values[120:], first_sample=120)
    finish(native)
    group = nptdms.TdmsFile.read(path)["task"]
    assert [found.name for found in group.channels()] == ["time", "value"]
    np.testing.assert_array_equal(group["time"][:].astype("datetime64[us]"), times.astype("datetime64[us]"))
    np.testing.assert_array_equal(group["value"][:], values)
    assert "wf_increment" not in group["value"].properties


def test_times_are_made_from_the_host_clock_and_from_periods(tmp_path):
    path = tmp_path / "made.tdms"
    slow = stream(channel("value", "float32"), dt=None, times={"name": "time", "from": "host"})
    counted = stream(channel("period", "float64"), dt=None, times={"name": "t", "from": "periods"})
    counted["group"]["name"] = "counter"
    native = _native.Recording(path, [slow, counted])
    for number in (0, 1):
        native.set_start_time(number, START)
    commit(native, 0, np.zeros(2, np.float32), first_sample=0, host_time_ns=START + 10**9)
    commit(native, 0, np.ones(1, np.float32), first_sample=2, host_time_ns=START + 3 * 10**9)
    periods = np.array([0.5, 0.25, 1.0])
    commit(native, 1, periods, first_sample=0, host_time_ns=START + 2 * 10**9)
    finish(native)
    tdms = nptdms.TdmsFile.read(path)
    start = np.datetime64(START, "ns").astype("datetime64[us]")
    seconds = [(tdms["task"]["time"][:].astype("datetime64[us]") - start) / np.timedelta64(1, "s")]
    seconds.append((tdms["counter"]["t"][:].astype("datetime64[us]") - start) / np.timedelta64(1, "s"))
    np.testing.assert_allclose(seconds[0], [0.5, 1.0, 3.0], atol=1e-6)
    np.testing.assert_allclose(seconds[1], np.cumsum(periods), atol=1e-6)


def test_records_of_triggers_keep_their_times(tmp_path):
    path = tmp_path / "records.tdms"
    native = _native.Recording(path, [stream(channel("ai0", "int16"), records=True)])
    for number in range(5):
        data = np.full(100, number, np.int16)
        first, start = number * 1000, START + number * 10**9
        commit(native, 0, data, first_sample=first, host_time_ns=start, record=(number, start, 25))
    finish(native)
    assert daqring.verify(path).complete
    tdms = nptdms.TdmsFile.read(path)
    assert tdms["task"].properties["daqring.kind"] == "records"
    np.testing.assert_array_equal(tdms["task"]["ai0"][:], np.repeat(np.arange(5), 100))
    table = tdms["daqring"]
    np.testing.assert_array_equal(table["record.start_time_ns"][:], START + np.arange(5) * 10**9)
    np.testing.assert_array_equal(table["record.first_value"][:], np.arange(5) * 100)
    np.testing.assert_array_equal(table["record.pretrigger"][:], [25] * 5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (stream(channel("p", "uint8", lines=[{"name": "x", "bit": 8, "properties": {}}])), "bits 0 to 7"),
        (stream(channel("v", "int16"), times={"name": "t", "from": "host"}), "constant dt"),
        (stream(channel("v", "int16"), dt=None, times={"name": "t", "from": "moon"}), "moon"),
        (stream(channel("v", "int16"), dt=None, times={"name": "t", "from": "periods"}), "floats"),
    ],
)
def test_what_cannot_be_recorded_is_refused(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        _native.Recording(tmp_path / "wrong.tdms", [wrong])
    assert list(tmp_path.iterdir()) == []
