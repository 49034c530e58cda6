"""Stages that work on what other stages put out, against numpy and scipy doing one after the other."""

from __future__ import annotations

import daqring
import numpy as np
import pytest
import scipy.signal
from daqring.errors import RecordingError, TaskError
from daqring.stages import (
    Decimate,
    DigitalLines,
    Envelope,
    Native,
    Scale,
    Statistics,
    StreamInfo,
    Trigger,
    block_function,
    names,
    plan,
)
from numpy.polynomial.polynomial import polyval
from stage_run import START_NS, run_stages

CUBIC = (0.01, 3.1e-4, 1e-12, -2e-17)
BLOCKS = (1000, 7, 613, 100, 1, 2000)
INFO = StreamInfo("rig", ("a", "b"), 1000.0, np.dtype(np.int16))


def codes(shape=(3, 25_000), seed=1):
    source = np.random.default_rng(seed)
    time = np.arange(shape[1])
    tone = 9000 * np.sin(2 * np.pi * time / 997)
    return (tone + source.normal(0, 2000, shape)).astype(np.int16)


def decimated(values, factor, attenuation=80.0):
    """What Decimate gives, by scipy: samples and the indices of their centres."""
    attenuation += 1
    half = int(np.ceil((attenuation - 7.95) / (2.285 * np.pi * 0.2 / factor) / 2))
    window = ("kaiser", scipy.signal.kaiser_beta(attenuation))
    taps = scipy.signal.firwin(2 * half + 1, 0.9 / factor, window=window)
    centres = np.arange(-(-half // factor) * factor, values.shape[1] - half, factor)
    return np.array([np.convolve(row, taps, "same")[centres] for row in values]), centres


@pytest.mark.parametrize("workers", [1, 3])
def test_scale_decimate_and_three_behind_it(tmp_path, workers):
    data = codes()
    stages = [
        # In any order: each names the one whose output it works on.
        Trigger("ch1", level=1.0, hysteresis=0.5, pre=0.3, post=0.5, of="slow", gate=False, name="events"),
        Envelope(0.1, of="slow", name="outline"),
        Statistics(0.2, of="slow"),
        Decimate(10, of="volts", name="slow"),
        Scale(name="volts", log=False),
    ]
    log, counts = run_stages(tmp_path / "a.tdms", data, stages, blocks=BLOCKS, scale=CUBIC, workers=workers)
    volts = polyval(data.astype(float), CUBIC)
    slow, centres = decimated(volts, 10)
    first = int(centres[0]) // 10
    names_of = {group.name for group in log.groups.values() if not group.housekeeping}
    assert names_of == {"task", "slow", "outline", "statistics", "events"}  # and no volts
    for channel in range(3):
        found = log[f"slow/ch{channel}"]
        np.testing.assert_allclose(found[:], slow[channel], rtol=0, atol=1e-11)
        assert (found.t0 - np.datetime64(START_NS, "ns")) == np.timedelta64(int(centres[0]), "ms")
        # Bins lie on the grid of the slow stream's numbers: the first is the first whole one.
        for every, low, high in ((10, "outline", "outline"), (20, "statistics", "statistics")):
            skip = -first % every
            whole = (slow.shape[1] - skip) // every
            bins = found[:][skip : skip + whole * every].reshape(whole, every)
            np.testing.assert_array_equal(log[f"{low}/ch{channel} min"][:], bins.min(axis=1))
            np.testing.assert_array_equal(log[f"{high}/ch{channel} max"][:], bins.max(axis=1))
        rms = log[f"statistics/ch{channel} rms"]
        np.testing.assert_allclose(rms[:], np.sqrt((bins**2).mean(axis=1)), rtol=1e-12)
        assert rms.dt == pytest.approx(0.2)
    # The trigger's records are cut out of the slow stream.
    watched, armed, expected, end = log["slow/ch1"][:], False, [], -1
    for sample, value in enumerate(watched):
        if armed and value >= 1.0:
            armed = False
            if sample >= end:
                start = max(sample - 30, 0, end)
                end = min(sample + 50, len(watched))
                expected.append((start, end))
        if value < 0.5:
            armed = True
    assert len(expected) > 10
    parts = np.concatenate([watched[start:end] for start, end in expected])
    np.testing.assert_array_equal(log["events/ch1"][:], parts)
    by_name = {stage["name"]: stage for stage in counts["stages"]}
    assert set(by_name) == {"crc32c", "volts", "slow", "statistics", "outline", "events"}
    assert by_name["slow"]["blocks"] == counts["streams"][0]["committed"]
    derived = {stream["name"]: stream for stream in counts["derived"]}
    assert derived["volts"]["samples"] == 25_000
    assert derived["volts"]["written_samples"] == 0
    assert derived["slow"]["written_samples"] == slow.shape[1]


def test_gaps_travel_through_a_chain(tmp_path):
    data = np.random.default_rng(3).normal(size=(1, 8000))
    stages = [Scale(name="same"), Decimate(4, attenuation=40, of="same"), Envelope(0.02, of="decimated")]
    log, counts = run_stages(tmp_path / "a.tdms", data, stages, blocks=(1000,), gaps={3: 501, 6: None})
    alone, _ = run_stages(
        tmp_path / "b.tdms", data, [Decimate(4, attenuation=40)], blocks=(1000,), gaps={3: 501, 6: None}
    )
    for name in ("decimated/ch0", "decimated #2/ch0", "decimated #3/ch0"):
        np.testing.assert_array_equal(log[name][:], alone[name][:])
        assert log[name].t0 == alone[name].t0
    told = {}
    for stream, gap in log.gaps:
        told.setdefault(stream, []).append((gap.first_sample, gap.count, gap.cause))
    assert told["same"] == told["task"]
    assert [count for _, count, _ in told["envelope"]][1] is None
    assert {cause for gaps in told.values() for *_, cause in gaps} == {"foreign read"}
    assert counts["derived"][2]["lost"] > 0


def test_lines_can_be_watched_and_counted(tmp_path):
    ports = np.random.default_rng(4).integers(0, 256, (1, 5000)).astype(np.uint8)
    ports[0, :100] &= 0xF7
    stages = [
        DigitalLines([(0, 3, "valve"), (0, 7, "pump")]),
        Statistics(0.5, of="lines"),
        Trigger("valve", level=0.5, of="lines", pre=0.002, post=0.001, gate=False),
    ]
    log, _ = run_stages(tmp_path / "a.tdms", ports, stages, blocks=BLOCKS)
    valve = (ports[0] >> 3) & 1
    np.testing.assert_allclose(log["statistics/valve mean"][:], valve.reshape(-1, 500).mean(axis=1))
    edges = np.flatnonzero(np.diff(valve.astype(int)) == 1) + 1
    assert len(edges) > 500
    assert log["records/valve"].raw.dtype == bool
    # Each record is low ... low high, cut where the one before it ends.
    assert log["records/valve"].raw[:].sum() >= len(edges)
    assert len(log["records/valve"]) <= 3 * len(edges)


@pytest.mark.parametrize("ordered", [False, True])
def test_a_function_behind_a_stage_and_a_stage_behind_a_function(tmp_path, ordered):
    seen = []

    @block_function
    def widest(block, data, output, user_data):
        import ctypes

        from daqring.stages import BLOCK

        about = np.frombuffer(ctypes.string_at(block, BLOCK.itemsize), BLOCK)[0]
        count = int(about["channels"] * about["samples"])
        values = np.frombuffer(ctypes.string_at(data, 8 * count)).reshape(int(about["channels"]), -1)
        seen.append((int(about["first_sample"]), int(about["samples"]), float(about["rate"])))
        ctypes.cast(output, ctypes.POINTER(ctypes.c_double))[0] = values.max() - values.min()
        return 0

    data = codes((2, 6000))
    stages = [
        Scale(name="volts"),
        Native(widest, outputs={"span": "V"}, name="span", of="volts", ordered=ordered),
        Scale("float32", of="span", name="narrow"),
    ]
    log, _ = run_stages(tmp_path / "a.tdms", data, stages, blocks=(1000, 500), scale=(0.5, 2e-4))
    assert sorted(seen) == [
        (first, samples, 1000.0) for first, samples in zip(
            (0, 1000, 1500, 2500, 3000, 4000, 4500, 5500), (1000, 500) * 4, strict=True
        )
    ]  # fmt: skip
    if ordered:
        assert seen == sorted(seen)
    volts = 0.5 + 2e-4 * data
    spans = [np.ptp(volts[:, first : first + samples]) for first, samples, _ in sorted(seen)]
    np.testing.assert_allclose(log["span/span"][:], spans, rtol=1e-15)
    assert log["span/span"].unit == "V"
    np.testing.assert_array_equal(log["narrow/span"][:], np.float32(log["span/span"][:]))
    # The rows keep their times on the way through a stage.
    expected = np.datetime64(START_NS, "ns") + 10**6 * np.array([first for first, *_ in sorted(seen)])
    for group in ("span", "narrow"):
        np.testing.assert_array_equal(log[f"{group}/time"][:].astype("M8[us]"), expected.astype("M8[us]"))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_far_behind_stops_the_run_and_is_told(tmp_path, workers):
    calls = []

    @block_function
    def fails(block, data, output, user_data):
        calls.append(None)
        return 7 if len(calls) == 5 else 0

    stages = [Scale(name="volts"), Decimate(10, of="volts"), Native(fails, of="decimated", name="mine")]
    with pytest.raises(RecordingError, match=r"mine.* failed on block .*returned 7"):
        run_stages(tmp_path / "a.tdms", codes((1, 60_000)), stages, blocks=(1000,), workers=workers)
    log = daqring.open(tmp_path / "a.tdms")
    assert daqring.verify(tmp_path / "a.tdms").complete
    # What was recorded by then is all there.
    assert len(log["task/ch0"]) >= 5000
    assert len(log["volts/ch0"]) == len(log["task/ch0"])


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([Statistics(of="slow")], "'statistics' is to work on 'slow', and there is no such stage"),
        ([Scale(of="scaled")], "in a circle: 'scaled' of 'scaled'"),
        (
            [Scale(name="a", of="c"), Scale(name="b", of="a"), Scale(name="c", of="b"), Envelope(of="a")],
            "in a circle: 'a' of 'c' of 'b' of 'a'",
        ),
        ([Scale(), DigitalLines(of="scaled")], "samples of type float64 have no lines"),
        ([DigitalLines([(0, 1, "x")]), DigitalLines(of="lines", name="l2")], "samples of type bool have no"),
        (
            [Trigger(name="events"), Statistics(of="events")],
            "'events', whose samples are records",
        ),
        ([Native(1), Scale(of="native")], "cannot work on 'native': .*no outputs"),
        ([Native(1, ["x"]), Decimate(2, of="native")], "decimation cannot work on 'native'.*constant rate"),
        ([Decimate(10), Trigger("c", of="decimated")], "'decimated' has no channel 'c', only a, b"),
        ([Statistics(), Trigger("a", of="statistics")], "has no channel 'a', only a min, a max"),
        ([Scale(), Scale()], "two groups would be named 'scaled'"),
    ],
)
def test_chains_that_make_no_sense_are_refused(stages, words):
    with pytest.raises(TaskError, match=words):
        plan(stages, [INFO])


def test_of_must_be_a_name():
    with pytest.raises(TaskError, match="of must be the name of a stage, not 3"):
        Scale(of=3)


def test_the_task_can_be_named_and_each_task_has_chains_of_its_own():
    stages = [Scale(of="rig"), Decimate(10, of="scaled")]
    with pytest.raises(TaskError, match="work on 'rig'"):
        plan(stages, [StreamInfo("other", ("a",), 1.0, np.dtype(np.int16))])
    (planned,) = plan(stages, [INFO])
    assert names(planned) == ["scaled", "decimated"]
    assert planned["record"]
    stages = [Scale(), Decimate(10, of="scaled", only=True)]
    two = plan(stages, [INFO, StreamInfo("other", ("a",), 1.0, np.dtype(np.int16))])
    assert [names(planned) for planned in two] == [
        ["rig scaled", "rig decimated"],
        ["other scaled", "other decimated"],
    ]
    assert not two[0]["stages"][0]["log"]
