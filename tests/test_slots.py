"""Slots as Python sees them: filled in place through the buffer protocol, given away only unobserved."""

from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest
from daqring import _native

STREAM = {
    "group": {
        "name": "stream",
        "dt": 0.001,
        "properties": {},
        "channels": [
            {"name": name, "dtype": "int16", "unit": "V", "scale": None, "properties": {}} for name in "ab"
        ],
    },
    "slot_bytes": 400,
    "slots": 3,
}


@pytest.fixture
def recording(tmp_path):
    native = _native.Recording(tmp_path / "run.tdms", [STREAM])
    yield native
    if native.stats() is not None:
        native.finish([], {})


def test_a_slot_is_written_in_place(recording, tmp_path):
    slot = recording.reserve(0, 1.0)
    assert len(slot) == 400
    view = np.frombuffer(slot, np.int16)
    assert view.flags.writeable
    assert view.__array_interface__["data"][0] % 4096 == 0
    view[:] = np.arange(200)
    del view
    assert slot.commit(400, samples=100, first_sample=0) == 0
    assert recording.finish([], {})["law_holds"]
    log = _native.LogFile(tmp_path / "run.tdms")
    out = np.empty(100, np.int16)
    log.read_raw(0, 1, 0, out.view(np.uint8))
    np.testing.assert_array_equal(out, np.arange(100, 200))


def test_no_commit_while_a_view_lives(recording):
    slot = recording.reserve(0, 1.0)
    view = memoryview(slot)
    array = np.frombuffer(slot, np.int16)[5:]
    for give_away in (lambda: slot.commit(400, samples=100, first_sample=0), slot.abort):
        with pytest.raises(BufferError, match="delete it first"):
            give_away()
    view.release()
    with pytest.raises(BufferError):
        slot.abort()
    del array
    assert slot.commit(400, samples=100, first_sample=0) == 0


def test_a_slot_is_given_away_once(recording):
    slot = recording.reserve(0, 1.0)
    slot.abort()
    for use in (
        slot.abort,
        lambda: slot.commit(4, samples=1, first_sample=0),
        lambda: memoryview(slot),
        lambda: len(slot),
    ):
        with pytest.raises((ValueError, BufferError), match="already"):
            use()


def test_more_than_fits_is_refused_and_the_slot_stays_usable(recording):
    slot = recording.reserve(0, 1.0)
    with pytest.raises(ValueError, match="do not fit"):
        slot.commit(401, samples=100, first_sample=0)
    assert slot.commit(400, samples=100, first_sample=0) == 0


def test_dropped_and_aborted_slots_come_back(recording):
    for _ in range(10):
        assert recording.reserve(0, 1.0) is not None
    for _ in range(10):
        recording.reserve(0, 1.0).abort()
    assert recording.stats()["streams"][0]["committed"] == 0


def test_reserve_waits_without_the_interpreter_and_gives_up(recording):
    held = [recording.reserve(0, 1.0) for _ in range(3)]
    ticks = 0
    done = threading.Event()

    def tick():
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    assert recording.reserve(0, 0.3) is None
    done.set()
    thread.join()
    assert ticks > 20, "other Python threads stood still while a slot was waited for"
    held.pop().abort()
    assert recording.reserve(0, 1.0) is not None


def test_a_view_may_outlive_the_recording(recording):
    view = np.frombuffer(recording.reserve(0, 1.0), np.uint8)
    view[:] = 7
    recording.finish([], {})
    gc.collect()
    assert view.sum() == 7 * 400


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_timeouts_are_checked(recording, timeout):
    with pytest.raises(ValueError, match="timeout"):
        recording.reserve(0, timeout)


def test_unknown_streams_are_refused(recording):
    with pytest.raises(IndexError, match="no stream 1"):
        recording.reserve(1, 0.1)


def test_finish_is_for_once(recording):
    recording.finish([], {})
    assert recording.reserve(0, 0.1) is None
    with pytest.raises(RuntimeError, match="finished already"):
        recording.finish([], {})


@pytest.mark.parametrize("value", [[1], None, 1 << 70, object()])
def test_properties_of_other_types_are_refused(tmp_path, value):
    with pytest.raises(ValueError, match="property 'odd' must be"):
        _native.Recording(tmp_path / "run.tdms", [STREAM], properties={"odd": value})
    assert list(tmp_path.iterdir()) == []


def test_samples_of_other_types_are_refused(tmp_path):
    channel = STREAM["group"]["channels"][0] | {"dtype": "float16"}
    stream = STREAM | {"group": STREAM["group"] | {"channels": [channel]}}
    with pytest.raises(ValueError, match="float16"):
        _native.Recording(tmp_path / "run.tdms", [stream])
    assert list(tmp_path.iterdir()) == []
