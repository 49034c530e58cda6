"""What stages put out, handed out losslessly; records; and streams whose samples have times of their own."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time

import daqring
import nidaqmx
import nptdms
import numpy as np
import pytest
from daqring.sim import pattern
from daqring.stages import (
    BLOCK,
    Decimate,
    DigitalLines,
    Envelope,
    Native,
    Scale,
    Statistics,
    Trigger,
    block_function,
)
from nidaqmx.constants import AcquisitionType, LineGrouping


def joined(blocks):
    return np.concatenate([block.data for block in blocks], axis=1)


def test_the_output_of_a_chain_is_handed_out_as_it_is_logged(make_task, tmp_path, reader):
    stages = [Scale(name="volts", log=False), Decimate(10, of="volts", name="slow")]
    stream = daqring.stream(
        make_task(name="rig"), tmp_path / "a.tdms", samples=50_000, block_ms=10, stages=stages, output="slow"
    )
    blocks, position = [], None
    for block in stream:
        assert block.name == "slow"
        assert position in (None, block.first_sample)
        position = block.first_sample + block.samples
        blocks.append(block)
    assert stream.report.complete
    log = daqring.open(tmp_path / "a.tdms")
    for number, name in enumerate(blocks[0].channels):
        np.testing.assert_array_equal(joined(blocks)[number], log[f"slow/{name}"][:])
    assert blocks[0].t0 == log["slow/Dev1/ai0"].t0
    assert blocks[0].dt == pytest.approx(1e-4)
    assert blocks[0].times[1] - blocks[0].t0 == np.timedelta64(100, "us")


def test_several_streams_at_once(make_task):
    stages = [Statistics(0.1), Envelope(0.01)]
    got = {}
    for block in daqring.stream(make_task(name="rig"), samples=50_000, stages=stages,
                                output=["statistics", "rig"]):  # fmt: skip
        got.setdefault(block.name, []).append(block)
    assert set(got) == {"rig", "statistics"}
    codes = joined(got["rig"])
    np.testing.assert_array_equal(codes[3], pattern(3, 0, 50_000))
    volts = np.concatenate([block.scaled() for block in got["rig"]], axis=1)
    np.testing.assert_array_equal(joined(got["statistics"])[0], volts[0].reshape(5, -1).min(axis=1))


def test_a_slow_consumer_of_an_output_holds_the_reader(make_task):
    # 64 MB of float64, of which 32 MiB wait for the consumer: the writer has to wait for it.
    task = make_task(rate=1_000_000, product="PXIe-6396", samples=2_000_000, mode=AcquisitionType.FINITE)
    stream = daqring.stream(task, stages=[Scale()], output="scaled", block_ms=100)
    stream.start()
    deadline = time.monotonic() + 20
    before = -1
    while (now := stream.recorder.stats()["derived"][0]["samples"]) != before and time.monotonic() < deadline:
        before = now
        time.sleep(0.5)
    assert 1_000_000 <= now < 2_000_000
    position = 0
    for block in stream:
        assert block.first_sample == position
        assert block.gap_before is None
        position += block.samples
    assert position == 2_000_000
    assert stream.report.complete


@pytest.mark.parametrize("close", ["break", "close", "recorder", "drop"])
def test_a_consumer_that_goes_away_frees_the_writer(make_task, tmp_path, close):
    task = make_task(name="rig", rate=1_000_000, product="PXIe-6396", samples=2_000_000,
                     mode=AcquisitionType.FINITE)  # fmt: skip
    stream = daqring.stream(task, tmp_path / "a.tdms", stages=[Scale(log=False)], output="scaled")
    stream.start()
    time.sleep(1.0)  # the writer waits by now
    if close == "break":
        for block in stream:
            assert block.first_sample == 0
            break
    elif close == "close":
        stream.close()
    elif close == "recorder":
        stream.recorder.close()
    else:
        with stream:
            pass
    report = stream.report
    assert report.lost == 0
    assert len(daqring.open(tmp_path / "a.tdms")["Dev1/ai0"]) == report.samples_per_channel
    assert daqring.verify(tmp_path / "a.tdms").complete


def test_outputs_in_asyncio(make_task):
    async def main():
        stages = [Decimate(10, name="slow")]
        total, last = 0, None
        async with daqring.stream(make_task(), samples=50_000, stages=stages, output="slow") as stream:
            async for block in stream:
                total += block.samples
                last = block
        assert last.name == "slow"
        assert last.first_sample + last.samples > 4900
        return total

    # Half a filter is missing at both ends.
    assert 4900 < asyncio.run(main()) < 5000


def test_records_are_handed_out_one_by_one(make_task, tmp_path):
    seen = []

    @block_function
    def peak(block, data, output, user_data):
        about = np.frombuffer(ctypes.string_at(block, BLOCK.itemsize), BLOCK)[0]
        values = np.frombuffer(ctypes.string_at(data, 8 * int(about["samples"])))
        seen.append((int(about["record"]), int(about["pretrigger"]), float(values.max())))
        ctypes.cast(output, ctypes.POINTER(ctypes.c_double))[0] = values.max()
        return 0

    task = make_task("Dev1/ai0", 100_000, name="rig")
    stages = [
        Trigger(0, level=0.0, pre=0.001, post=0.002),
        Scale(of="records"),
        Native(peak, outputs={"peak": "V"}, of="scaled", name="peaks"),
    ]
    stream = daqring.stream(
        task, tmp_path / "a.tdms", samples=300_000, stages=stages, output=["records", "scaled"], workers=2
    )
    records, scaled = [], []
    for block in stream:
        (records if block.name == "records" else scaled).append(block)
    assert len(records) == len(scaled) == len(seen) > 2
    log = daqring.open(tmp_path / "a.tdms")
    np.testing.assert_array_equal(joined(records)[0], log["records/Dev1/ai0"].raw[:])
    np.testing.assert_array_equal(joined(scaled), np.concatenate([b.scaled() for b in records], axis=1))
    assert [block.record.number for block in records] == list(range(len(records)))
    assert records[1].record.pretrigger == 100
    assert records[1].record.t0 == records[1].t0
    seen.sort()
    assert seen[1] == (1, 100, scaled[1].data.max())
    rows = nptdms.TdmsFile.read(tmp_path / "a.tdms")["peaks"]
    np.testing.assert_array_equal(rows["peak"][:], [block.data.max() for block in scaled])
    np.testing.assert_array_equal(rows["time"][:].astype("M8[us]"), [b.t0.astype("M8[us]") for b in records])
    table = nptdms.TdmsFile.read(tmp_path / "a.tdms")["daqring"]
    assert len(table["record.number"][:]) >= len(records)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("slow", "there is no stream 'slow' to hand out, only 'rig', 'scaled'"),
        ([], "output must be the name of a stage or a task"),
        ([3], "output must be the name of a stage or a task"),
    ],
)
def test_outputs_that_do_not_exist_are_refused(make_task, output, words):
    with pytest.raises(daqring.TaskError, match=words):
        daqring.stream(make_task(name="rig"), stages=[Scale()], output=output)


# -- samples with times of their own --------------------------------------------------------------


def about_of(block):
    return np.frombuffer(ctypes.string_at(block, BLOCK.itemsize), BLOCK)[0]


def test_stages_on_demand(simulator, tmp_path, reader):
    simulator(product="PCIe-6363")
    rows = []

    @block_function
    def first(block, data, output, user_data):
        about = about_of(block)
        times = np.frombuffer(ctypes.string_at(int(about["times"]), 8 * int(about["samples"])), "<i8")
        rows.append((float(about["rate"]), *times.tolist()))
        return 0

    with nidaqmx.Task("slow") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
        stages = [Scale("float32"), Native(first, name="mine", ordered=True)]
        stream = daqring.stream(
            task, tmp_path / "a.tdms", samples=12, every=0.01, stages=stages, output=["slow", "scaled"]
        )
        blocks = list(stream)
    own = [block for block in blocks if block.name == "slow"]
    scaled = [block for block in blocks if block.name == "scaled"]
    assert joined(own).shape == (2, 12)
    values = np.concatenate([block.scaled() for block in own], axis=1)
    np.testing.assert_array_equal(joined(scaled), values.astype(np.float32))
    times = np.concatenate([block.times for block in own])
    assert (np.diff(times) > np.timedelta64(0, "ns")).all()
    assert own[0].t0 == times[0]
    assert np.isnan(own[0].dt)
    np.testing.assert_array_equal(np.concatenate([block.times for block in scaled]), times)
    tdms = nptdms.TdmsFile.read(tmp_path / "a.tdms")
    for group in ("slow", "scaled"):
        np.testing.assert_array_equal(tdms[group]["time"][:].astype("M8[us]"), times.astype("M8[us]"))
    np.testing.assert_array_equal(tdms["scaled"]["Dev1/ai1"][:], joined(scaled)[1])
    assert all(rate == 0 for rate, *_ in rows)
    assert [time for _, *of_block in rows for time in of_block] == times.astype(np.int64).tolist()


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (Statistics(1), "statistics cannot work on 'slow', whose samples do not come at a constant rate"),
        (Envelope(1), "an envelope cannot work on 'slow'"),
        (Decimate(10), "decimation cannot work on 'slow'"),
        (Trigger(0), "a trigger cannot work on 'slow'"),
        (DigitalLines(), "have no lines"),
    ],
)
def test_what_needs_a_rate_is_refused_without_one(simulator, stage, words):
    simulator()
    with nidaqmx.Task("slow") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        with pytest.raises(daqring.TaskError, match=words):
            daqring.Recorder(task, None, every=0.01, dtype="float64", stages=[stage])
        if isinstance(stage, Statistics):
            # As the message says.
            report = daqring.record(
                task, None, every=0.01, samples=10, times="regular", stages=[Statistics(0.05)], progress=False
            )
            assert report.complete


def test_lines_at_each_change(simulator, tmp_path, reader):
    simulator(clock="stepped", product="PCIe-6363")
    daqring.sim.signal("Dev1/port0/line0", daqring.sim.pulses(1000, 0.5))
    daqring.sim.signal("Dev1/port0/line1", daqring.sim.pulses(250, 0.5))
    with nidaqmx.Task("changes") as task:
        grouping = LineGrouping.CHAN_FOR_ALL_LINES
        task.di_channels.add_di_chan("Dev1/port0/line0:1", line_grouping=grouping)
        task.timing.cfg_change_detection_timing(
            "Dev1/port0/line0", "Dev1/port0/line1", AcquisitionType.CONTINUOUS, 1000
        )
        lines = DigitalLines([(0, 0, "fast"), (0, 1, "slow")])
        recorder = daqring.Recorder(task, tmp_path / "a.tdms", stages=[lines], samples=200)
        with recorder, recorder.tap(stream="lines", depth=1000) as tap:
            for _ in range(20):
                daqring.sim.step(0.01)
                recorder.wait(0.01)
            assert recorder.wait(20)
            seen = []
            while sum(block.samples for block in seen) < 200:
                seen.append(tap.next(20))
            with pytest.raises(ValueError, match="constant rate; take blocks by tap"):
                recorder.latest(1, stream="lines")
            with pytest.raises(ValueError, match="constant rate; take blocks by tap"):
                recorder.tap("envelope", stream="lines")
    tdms = nptdms.TdmsFile.read(tmp_path / "a.tdms")
    (port,) = [channel for channel in tdms["changes"].channels() if channel.name != "time"]
    for bit, name in enumerate(("fast", "slow")):
        np.testing.assert_array_equal(tdms["lines"][name][:], (port[:] >> bit) & 1)
        np.testing.assert_array_equal(joined(seen)[bit], tdms["lines"][name][:])
    assert tdms["lines"]["fast"][:].dtype == bool
    np.testing.assert_array_equal(tdms["lines"]["time"][:], tdms["changes"]["time"][:])
    times = np.concatenate([block.times for block in seen])
    np.testing.assert_array_equal(times.astype("M8[us]"), tdms["lines"]["time"][:].astype("M8[us]"))


def test_lines_of_a_task_are_zero_or_one_for_stages(simulator, tmp_path):
    simulator(product="PCIe-6363")
    daqring.sim.signal("Dev1/port0/line3", daqring.sim.pulses(100, 0.25))
    with nidaqmx.Task("rig") as task:
        task.di_channels.add_di_chan("Dev1/port0/line2:3", line_grouping=LineGrouping.CHAN_PER_LINE)
        task.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS)
        names = task.channel_names
        stages = [
            Statistics(0.1),
            Trigger(names[1], level=0.5, pre=0.001, post=0.002, gate=False),
        ]
        stream = daqring.stream(
            task, tmp_path / "a.tdms", samples=20_000, stages=stages, output=["rig", "statistics"]
        )
        blocks = list(stream)
    own = joined([block for block in blocks if block.name == "rig"])
    assert own.dtype == bool
    log = daqring.open(tmp_path / "a.tdms")
    for number, name in enumerate(names):
        np.testing.assert_array_equal(own[number], log[f"rig/{name}"].raw[:])
        np.testing.assert_allclose(
            log[f"statistics/{name} mean"][:], own[number].reshape(20, -1).mean(axis=1), rtol=1e-12
        )
    assert log[f"statistics/{names[1]} mean"][:].mean() == pytest.approx(0.25, abs=0.01)
    records = log[f"records/{names[1]}"][:]
    assert set(np.unique(records)) == {0.0, 1.0}
    assert len(records) > 100


def test_periods_have_their_times_in_the_log_only(simulator, tmp_path):
    simulator(product="PCIe-6363")
    daqring.sim.signal("Dev1/ctr0", daqring.sim.pulses(250.0, 0.25))
    rates = []

    @block_function
    def mine(block, data, output, user_data):
        about = about_of(block)
        rates.append((float(about["rate"]), int(about["times"])))
        ctypes.cast(output, ctypes.POINTER(ctypes.c_double))[0] = 1.0
        return 0

    with nidaqmx.Task("counter") as task:
        task.ci_channels.add_ci_period_chan("Dev1/ctr0")
        task.timing.cfg_implicit_timing(sample_mode=AcquisitionType.FINITE, samps_per_chan=50)
        with pytest.raises(daqring.TaskError, match="statistics cannot work on 'counter'"):
            daqring.Recorder(task, None, stages=[Statistics(0.1)])
        with pytest.raises(daqring.TaskError, match="scaling cannot work on 'counter'"):
            daqring.Recorder(task, None, stages=[Scale()])
        before = np.datetime64(time.time_ns(), "ns")
        stream = daqring.stream(task, tmp_path / "a.tdms", stages=[Native(mine, outputs=["one"])])
        blocks = list(stream)
    np.testing.assert_allclose(joined(blocks), 1 / 250, atol=1e-6)
    assert blocks[0].t0 >= before
    with pytest.raises(ValueError, match="sums of its values"):
        _ = blocks[0].times
    assert set(rates) == {(0.0, 0)}
    assert nptdms.TdmsFile.read(tmp_path / "a.tdms")["native"]["time"][0] >= before


def test_stages_on_the_records_of_a_task_that_is_triggered_again(simulator, tmp_path, request):
    simulator(clock="stepped", product="PCIe-6363")
    request.addfinalizer(lambda: daqring.sim.hold_triggers(False))
    daqring.sim.hold_triggers()
    with nidaqmx.Task("shots") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
        task.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.FINITE, samps_per_chan=150)
        task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
        task.triggers.start_trigger.retriggerable = True
        with pytest.raises(daqring.TaskError, match=r"decimation .*'shots', whose samples are records"):
            daqring.Recorder(task, None, samples=450, stages=[Decimate(2)])
        with daqring.Recorder(
            task, tmp_path / "a.tdms", samples=450, block_ms=10, stages=[Scale()]
        ) as recorder:
            for shot in range(3):
                daqring.sim.trigger()
                daqring.sim.step(0.02)
                deadline = time.monotonic() + 10
                while recorder.stats()["samples"] < 150 * (shot + 1) and time.monotonic() < deadline:
                    time.sleep(0.002)
            assert recorder.wait(20)
    log = daqring.open(tmp_path / "a.tdms")
    np.testing.assert_array_equal(log["scaled/Dev1/ai1"][:], log["shots/Dev1/ai1"][:])
    tdms = nptdms.TdmsFile.read(tmp_path / "a.tdms")
    assert tdms["scaled"].properties["daqring.kind"] == "records"


def test_a_thread_may_stop_a_stream_that_another_one_waits_for(make_task):
    stream = daqring.stream(make_task(clock="stepped"), stages=[Scale()], output="scaled")
    stream.start()
    got = []
    waiting = threading.Thread(target=lambda: got.extend(stream))
    waiting.start()
    time.sleep(0.3)
    stream.recorder.stop()
    waiting.join(20)
    assert not waiting.is_alive()
    assert got == []
