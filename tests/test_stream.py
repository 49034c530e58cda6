"""Blocks in Python while they are recorded: losslessly, lossily, and the ways to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time

import daqring
import daqring.sim
import nidaqmx
import numpy as np
import pytest
from daqring.sim import pattern
from daqring.stages import Decimate, Scale, Statistics, Trigger


def test_every_sample_comes_once_and_in_order(make_task, tmp_path, reader):
    task = make_task(rate=100_000, name="rig")
    position, parts = 0, []
    for block in daqring.stream(task, tmp_path / "a.tdms", samples=50_000, block_ms=10, workers=3):
        assert block.name == "rig"
        assert block.first_sample == position
        assert block.gap_before is None
        assert block.data.shape == (4, block.samples) == (len(block.channels), len(block))
        assert not block.data.flags.writeable
        position += block.samples
        parts.append(block)
    assert position == 50_000
    log = daqring.open(tmp_path / "a.tdms")
    for number, name in enumerate(parts[0].channels):
        channel = log[name]
        np.testing.assert_array_equal(np.concatenate([part.data[number] for part in parts]), channel.raw[:])
        np.testing.assert_array_equal(np.concatenate([part.scaled()[number] for part in parts]), channel[:])
        np.testing.assert_array_equal(channel.raw[:], pattern(number, 0, 50_000))
    assert parts[0].t0 == channel.t0
    assert parts[3].t0 - parts[0].t0 == np.timedelta64(round(parts[3].first_sample * 1e4), "ns")
    assert parts[0].dt == channel.dt


def test_without_a_path_there_is_no_file_but_a_report(make_task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stream = daqring.stream(make_task(), samples=10_000)
    assert sum(block.samples for block in stream) == 10_000
    assert stream.ended
    assert stream.report.complete
    assert stream.report.stop_reason == "finished"
    assert list(tmp_path.iterdir()) == []
    assert stream.poll() is None
    assert list(stream) == []


def test_a_slow_consumer_is_waited_for(make_task, reader):
    # The driver's buffer and the ring hold less than what is read while the consumer sleeps.
    task = make_task(rate=1_000_000, product="PXIe-6396", clock="stepped")
    stop = threading.Event()

    def run():
        while not stop.is_set():
            daqring.sim.step(0.005)
            time.sleep(0.002)

    stepping = threading.Thread(target=run)
    stepping.start()
    try:
        position = 0
        for block in daqring.stream(task, samples=200_000, block_ms=5):
            if block.gap_before is not None:
                assert block.gap_before.count == block.first_sample - position
            else:
                assert block.first_sample == position
            np.testing.assert_array_equal(block.data[2], pattern(2, block.first_sample, block.samples))
            position = block.first_sample + block.samples
            time.sleep(0.01)
    finally:
        stop.set()
        stepping.join()
    assert position == 200_000


def test_blocks_may_be_kept(make_task):
    # More than the ring has: they are copied, and the stream goes on.
    stream = daqring.stream(make_task(rate=1_000_000, product="PXIe-6396"), samples=9_000_000, block_ms=20)
    kept = list(stream)
    assert len(kept) > 2 * stream.report.ring_slots
    for block in kept:
        np.testing.assert_array_equal(block.data[1], pattern(1, block.first_sample, block.samples))


def test_a_break_stops_the_task_and_finishes_the_file(make_task, tmp_path, reader):
    task = make_task()
    stream = daqring.stream(task, tmp_path / "a.tdms", block_ms=10)
    for block in stream:
        if block.first_sample == 3000:
            break
    assert stream.ended
    assert stream.report.stop_reason == "stopped"
    assert stream.report.samples_per_channel > block.first_sample
    assert task.is_task_done()
    assert daqring.verify(tmp_path / "a.tdms").complete


def test_an_exception_in_the_loop_ends_the_run(make_task, tmp_path):
    task = make_task()
    with pytest.raises(ZeroDivisionError):
        for block in daqring.stream(task, tmp_path / "a.tdms", block_ms=10):
            block.samples // 0
    gc.collect()
    assert task.is_task_done()
    assert daqring.open(tmp_path / "a.tdms").finished
    task.start()  # nobody guards it any more


def test_with_and_poll(make_task):
    task, position = make_task(), 0
    with daqring.stream(task, samples=20_000, block_ms=10) as stream:
        while not stream.ended:
            block = stream.poll()
            if block is None:
                time.sleep(0.001)
            else:
                assert block.first_sample == position
                position += block.samples
    assert position == 20_000
    assert stream.report.complete


def test_an_early_end_of_with(make_task):
    with daqring.stream(make_task(), block_ms=10) as stream:
        assert stream.next(20.0) is not None
    assert stream.report.stop_reason == "stopped"


def test_async_for(make_task):
    async def consume():
        positions = []
        stream = daqring.stream(make_task(), samples=20_000, block_ms=10)
        async for block in stream:
            positions.append(block.first_sample)
            await asyncio.sleep(0)
        assert positions == [1000 * number for number in range(20)]
        assert stream.report.complete
        async with daqring.stream(make_task("Dev1/ai4"), block_ms=10) as other:
            async for block in other:
                if block.first_sample > 3000:
                    break
        assert other.report.stop_reason == "stopped"

    asyncio.run(consume())


def test_an_async_consumer_that_is_cancelled_ends_the_run(make_task):
    task = make_task(clock="stepped")
    stream = daqring.stream(task)

    async def forever():
        async for _ in stream:
            pass

    async def main():
        waiting = asyncio.create_task(forever())
        await asyncio.sleep(0.2)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert stream.report.stop_reason == "stopped"
    assert task.is_task_done()


def test_an_interrupt_while_waiting_ends_in_order(make_task):
    stream = daqring.stream(make_task(clock="stepped"))
    threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()
    assert list(stream) == []
    assert stream.report.stop_reason == "interrupted"


def test_an_error_of_the_driver_comes_after_the_last_block(make_task):
    task = make_task(rate=10_000)
    daqring.sim.fault("Dev1", "unplugged", after=5000)
    seen = 0
    with pytest.raises(daqring.DriverError) as caught:
        for block in daqring.stream(task, block_ms=100):
            seen += block.samples
    assert seen == caught.value.report.samples_per_channel > 0


def test_stages_run_in_a_stream(make_task, tmp_path):
    stream = daqring.stream(make_task(), tmp_path / "a.tdms", samples=50_000, stages=[Decimate(10)])
    assert sum(block.samples for block in stream) == 50_000
    assert len(daqring.open(tmp_path / "a.tdms")["decimated/Dev1/ai0"]) > 4000


def test_taps_show_the_newest_and_hold_nobody(make_task):
    with daqring.Recorder(
        make_task(rate=1_000_000, clock="stepped", product="PXIe-6396"), None, samples=2_000_000, block_ms=1
    ) as recorder:
        tap = recorder.tap(depth=4)
        envelope = recorder.tap("envelope", rate=10_000)
        daqring.sim.step(2.1)
        # Nobody reads them; the recording goes on at its pace.
        assert recorder.wait(60)
    assert recorder.report.complete
    assert tap.dropped > 0
    blocks = list(tap)
    assert len(blocks) <= 4
    assert blocks[0].missed == tap.dropped
    for block in blocks:
        np.testing.assert_array_equal(block.data[3], pattern(3, block.first_sample, block.samples))
    span = next(iter(envelope))
    assert span.low.shape == span.high.shape == (4, 10)
    assert span.dt == pytest.approx(1e-4)
    assert np.all(span.low <= span.high)
    tap.close()
    tap.close()


def test_the_latest_samples(make_task):
    with daqring.Recorder(make_task(), None, samples=100_000, block_ms=10, keep_seconds=0.5) as recorder:
        assert recorder.wait(60)
        deadline = time.monotonic() + 20
        while recorder.stats()["samples"] < 100_000 and time.monotonic() < deadline:
            time.sleep(0.01)
        codes = recorder.latest(0.2, scaled=False)
        assert codes.shape == (4, 20_000)
        np.testing.assert_array_equal(codes[2], pattern(2, 80_000, 20_000))
        volts = recorder.latest(0.2)
        assert volts.dtype == np.float64
        assert volts.shape == (4, 20_000)
        assert recorder.latest(0.5).shape == (4, 50_000)
        # More than was kept: from now on.
        assert recorder.latest(2.0).shape[1] <= 100_000
        with pytest.raises(ValueError, match="there is no stream 'rug'"):
            recorder.latest(1, stream="rug")
    with pytest.raises(RuntimeError, match="not running"):
        recorder.latest(1)


def test_taps_of_what_stages_put_out(make_task):
    stages = [Statistics(0.1), Scale("float32", log=False)]
    with daqring.Recorder(make_task(clock="stepped"), None, samples=100_000, stages=stages) as recorder:
        with recorder.tap(stream="statistics", depth=1000) as tap, recorder.tap(stream="scaled") as scaled:
            daqring.sim.step(1.1)
            assert recorder.wait(60)
            block = tap.next(20)
            assert block.channels[:2] == ("Dev1/ai0 min", "Dev1/ai0 max")
            assert block.dt == pytest.approx(0.1)
            assert scaled.next(20).data.dtype == np.float32
        stats = recorder.stats()
        assert [stage["name"] for stage in stats["stages"]] == ["statistics", "scaled"]
        assert [derived["name"] for derived in stats["derived"]] == ["statistics", "scaled"]
        assert len(stats["workers"]) == 1


def test_captures_on_demand(make_task, tmp_path):
    task = make_task(name="rig")
    stages = [Trigger(pre=0.05, post=0.01)]
    with daqring.Recorder(task, tmp_path / "a.tdms", block_ms=10, stages=stages) as recorder:
        deadline = time.monotonic() + 20
        for _ in range(2):
            before = recorder.stats()["derived"][0]["samples"]
            time.sleep(0.2)
            recorder.capture()
            while recorder.stats()["derived"][0]["samples"] < before + 1000 and time.monotonic() < deadline:
                time.sleep(0.01)
        with pytest.raises(ValueError, match="no trigger stage named 'other'"):
            recorder.capture("other")
    report = recorder.report
    assert report.complete
    assert report.samples_per_channel == 0
    assert 0 < report.gated <= report.acquired
    assert "deliberately not recorded" in str(report)
    values = daqring.open(tmp_path / "a.tdms")["records/Dev1/ai0"].raw[:]
    assert len(values) == 2 * 6000


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"overflow": "explode"}, "overflow must be"),
        ({"stages": [Trigger("Dev1/ai9")]}, "has no channel 'Dev1/ai9'"),
        ({"keep_seconds": -1}, "keep_seconds must be"),
    ],
)
def test_what_makes_no_sense_is_said_before_the_start(make_task, options, words):
    with pytest.raises(daqring.TaskError, match=words):
        daqring.Recorder(make_task(), None, **options)


def test_a_tap_says_what_went_by_before_it_was_made(make_task):
    with daqring.Recorder(make_task(clock="stepped", name="rig"), None, block_ms=10) as recorder:
        daqring.sim.step(0.05)
        while recorder.stats()["gated"] + recorder.stats()["samples"] < 5000:
            recorder.wait(0.01)
        with recorder.tap(depth=100) as tap, recorder.tap("envelope", depth=100) as envelope:
            daqring.sim.step(0.01)
            block = tap.next(20)
            assert (block.first_sample, block.missed) == (5000, 0)
            assert (tap.before, tap.dropped, envelope.before) == (5, 0, 5)


def test_taps_say_what_they_cannot(make_task):
    with daqring.Recorder(make_task(), None) as recorder:
        for arguments, words in [
            ({"kind": "all"}, "kind must be"),
            ({"depth": 0}, "depth must be"),
            ({"stream": "x"}, "there is no stream 'x'"),
        ]:
            with pytest.raises(ValueError, match=words):
                recorder.tap(**arguments)
        with pytest.raises(ValueError, match="no trigger stage"):
            recorder.capture()


def fill(seconds):
    """Lets the simulated device acquire, and the reader read what there is."""
    for _ in range(round(seconds / 0.25)):
        daqring.sim.step(0.25)
        time.sleep(0.02)


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
def test_what_a_full_ring_drops_is_told(make_task, tmp_path, reader, overflow):
    task = make_task(clock="stepped", name="rig")
    stream = daqring.stream(task, tmp_path / "a.tdms", samples=600_000, block_ms=10, overflow=overflow)
    stream.start()
    # Nobody takes blocks, and the ring holds 256,000 samples: the reading ends all the same.
    fill(7)
    assert stream.recorder.wait(20)
    position = seen = lost = 0
    with pytest.warns(daqring.SamplesLostWarning):  # noqa: PT031
        for block in stream:
            if block.gap_before is not None:
                assert block.gap_before.cause == "overrun"
                assert block.gap_before.first_sample == position
                lost += block.gap_before.count
                position += block.gap_before.count
            assert block.first_sample == position
            np.testing.assert_array_equal(block.data[1], pattern(1, position, block.samples))
            position += block.samples
            seen += block.samples
    report = stream.report
    assert seen == report.samples_per_channel < 600_000
    assert seen + report.lost == 600_000
    assert lost > 0 if overflow == "drop_oldest" else position < 600_000
    log = daqring.open(tmp_path / "a.tdms")
    told = [gap for _, gap in log.gaps]
    assert list(report.gaps) == told
    assert log.properties["daqring.lost"] == report.lost
    assert {gap.cause for gap in told} == {"overrun"}
    assert sum(gap.count for gap in told) == report.lost


def test_a_full_ring_may_end_the_run(make_task, reader):
    stream = daqring.stream(make_task(clock="stepped"), block_ms=10, overflow="fail")
    stream.start()
    fill(4)
    assert stream.recorder.wait(20)
    with pytest.raises(daqring.RecordingError, match="the ring is full, and overflow='fail' was asked for"):
        list(stream)
    assert stream.report.stop_reason == "error"
    assert stream.report.samples_per_channel > 100_000


def test_blocks_of_records_have_the_times_of_their_triggers(make_task, request, reader):
    task = make_task(
        "Dev1/ai0",
        10_000,
        name="shots",
        clock="stepped",
        mode=nidaqmx.constants.AcquisitionType.FINITE,
        samples=150,
    )
    task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
    task.triggers.start_trigger.retriggerable = True
    request.addfinalizer(lambda: daqring.sim.hold_triggers(False))
    daqring.sim.hold_triggers()
    blocks = []
    stream = daqring.stream(
        task, samples=600, block_ms=10, stages=[Scale(name="volts")], output=["shots", "volts"]
    )
    with stream:
        for shot in range(4):
            daqring.sim.trigger()
            daqring.sim.step(0.02)
            while len(blocks) < 4 * (shot + 1):
                block = stream.next(20)
                assert block is not None
                blocks.append(block)
            time.sleep(0.1)
    for name in ("shots", "volts"):
        own = [block for block in blocks if block.name == name]
        assert [(block.record.number, block.samples) for block in own] == [
            (shot, samples) for shot in range(4) for samples in (100, 50)
        ]
        begins = [block.record.t0 for block in own[::2]]
        assert all(np.diff(begins) >= np.timedelta64(100, "ms"))
        assert [block.t0 for block in own[::2]] == begins
        assert [block.t0 for block in own[1::2]] == [t0 + np.timedelta64(10, "ms") for t0 in begins]
        assert own[-1].times[-1] == own[-1].t0 + np.timedelta64(4_900_000, "ns")
