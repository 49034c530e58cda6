"""Every stage against numpy and scipy, on blocks of uneven sizes and several workers."""

from __future__ import annotations

import time
import warnings

import nptdms
import numpy as np
import pytest
import scipy.signal
from daqring.errors import TaskError
from daqring.stages import (
    Decimate,
    DigitalLines,
    Envelope,
    Scale,
    Statistics,
    StreamInfo,
    Trigger,
    plan,
)
from numpy.polynomial.polynomial import polyval
from stage_run import START_NS, run_stages

CUBIC = (0.01, 3.1e-4, 1e-12, -2e-17)
LINEAR = (0.5, -3.0517578125e-4)
START = np.datetime64(START_NS, "ns")
BLOCKS = (1000, 7, 613, 100, 1, 2000)


def random(dtype, shape=(3, 25_000), seed=1):
    source = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return source.normal(2.0, 3.0, shape).astype(dtype)
    info = np.iinfo(dtype)
    # Uneven, so that mean and rms tell something, and with both ends.
    data = (info.min + (info.max - info.min) * source.beta(2, 5, shape)).astype(dtype)
    data[0, :2] = info.min, info.max
    return data


def physical(data, scale):
    return data.astype(np.float64) if scale is None else polyval(data.astype(np.float64), scale)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        ("int16", CUBIC), ("int16", LINEAR), ("int16", None), ("uint16", LINEAR), ("uint16", CUBIC),
        ("int8", None), ("uint8", LINEAR), ("int32", CUBIC), ("uint32", LINEAR), ("int32", None),
        ("float32", None), ("float64", None), ("int16", (1.0, 2e-4, 3e-9, 1e-14, 1e-20)),
    ],
)  # fmt: skip
def test_statistics(tmp_path, dtype, scale):
    data = random(dtype)
    log, counts = run_stages(tmp_path / "a.tdms", data, [Statistics(0.25)], blocks=BLOCKS, scale=scale)
    values = physical(data, scale).reshape(3, -1, 250)
    expected = {
        "min": values.min(axis=2),
        "max": values.max(axis=2),
        "mean": values.mean(axis=2),
        "rms": np.sqrt((values**2).mean(axis=2)),
    }
    for name, rows in expected.items():
        for channel in range(3):
            found = log[f"statistics/ch{channel} {name}"]
            assert found.unit == "V"
            assert found.dt == 0.25
            if name in ("min", "max"):
                np.testing.assert_array_equal(found[:], rows[channel])
            else:
                np.testing.assert_allclose(
                    found[:], rows[channel], rtol=1e-12, atol=1e-12 * np.abs(rows).max()
                )
    assert counts["derived"][0]["samples"] == 100
    assert counts["derived"][0]["records"] is None
    # The task's samples are untouched.
    np.testing.assert_array_equal(log["task/ch1"].raw[:], data[1])


def test_statistics_near_zero_do_not_cancel(tmp_path):
    # Codes far from 0 whose values are next to it.
    data = (40_000 + np.random.default_rng(2).integers(-3, 4, (1, 10_000))).astype(np.uint16)
    scale = (-40_000.2 * 1e-3, 1e-3)
    log, _ = run_stages(tmp_path / "a.tdms", data, [Statistics(10.0)], blocks=BLOCKS, scale=scale)
    exact = (data.astype(np.longdouble) - 40_000) * 1e-3 - 0.2e-3
    assert log["statistics/ch0 mean"][0] == pytest.approx(float(exact.mean()), rel=1e-9)
    assert log["statistics/ch0 rms"][0] == pytest.approx(float(np.sqrt((exact**2).mean())), rel=1e-9)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        ("int16", CUBIC),
        ("int16", LINEAR),
        ("uint8", None),
        ("int32", LINEAR),
        ("float64", None),
        ("float32", None),
    ],
)
def test_envelope(tmp_path, dtype, scale):
    data = random(dtype)
    log, _ = run_stages(tmp_path / "a.tdms", data, [Envelope(0.1)], blocks=BLOCKS, scale=scale)
    values = physical(data, scale).reshape(3, -1, 100)
    for channel in range(3):
        low, high = log[f"envelope/ch{channel} min"], log[f"envelope/ch{channel} max"]
        assert low.raw.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(low[:], values[channel].min(axis=1))
        np.testing.assert_array_equal(high[:], values[channel].max(axis=1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("workers", [1, 3])
def test_what_is_not_a_number_or_infinite(tmp_path, dtype, workers):
    data = np.random.default_rng(7).normal(size=(3, 8000)).astype(dtype)
    data[0, [5, 1234, 4000]] = np.nan
    data[0, 6000:6100] = np.nan
    data[1, [7, 2000, 3000]] = np.inf, np.inf, -np.inf
    data[2] = np.nan
    stages = [Statistics(0.1), Envelope(0.1)]
    log, _ = run_stages(tmp_path / "a.tdms", data, stages, blocks=BLOCKS, workers=workers)
    values = data.astype(np.float64).reshape(3, -1, 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of numpy: there is nothing but NaN
        expected = {
            "min": np.nanmin(values, axis=2),
            "max": np.nanmax(values, axis=2),
            "mean": values.mean(axis=2),
            "rms": np.sqrt((values**2).mean(axis=2)),
        }
    for channel in range(3):
        for name, rows in expected.items():
            np.testing.assert_allclose(
                log[f"statistics/ch{channel} {name}"][:], rows[channel], rtol=1e-12, atol=1e-12
            )
        for name in ("min", "max"):
            np.testing.assert_array_equal(log[f"envelope/ch{channel} {name}"][:], expected[name][channel])


def test_a_scale_that_turns_has_no_envelope(tmp_path):
    with pytest.raises(ValueError, match="not monotonic"):
        run_stages(tmp_path / "a.tdms", random("int16"), [Envelope(0.1)], blocks=BLOCKS, scale=(0, 1, 1e-3))


def test_bins_that_a_gap_cuts_are_missing_and_told(tmp_path):
    data = np.arange(1000, dtype=np.int32)[np.newaxis]
    # 100 samples each: block 3 begins at 300 + 130 missing = 430.
    log, counts = run_stages(
        tmp_path / "a.tdms", data, [Envelope(0.05)], blocks=(100,), gaps={3: 130, 7: None}
    )
    assert counts["derived"][0]["lost"] == 3  # 300..449
    assert counts["derived"][0]["lost_unknown"] == 1
    first, second, third = (
        log[name] for name in ("envelope/ch0 min", "envelope #2/ch0 min", "envelope #3/ch0 min")
    )
    np.testing.assert_array_equal(first[:], [0, 50, 100, 150, 200, 250])
    # Sample 450 is the value 320: the bins of 450, 500 ... 800 (the last one is cut at 830).
    np.testing.assert_array_equal(second[:], 320 + 50 * np.arange(7))
    assert second.t0 - first.t0 == np.timedelta64(450, "ms")
    assert len(third) > 0
    gaps = [gap for stream, gap in log.gaps if stream == "envelope"]
    assert [(gap.first_sample, gap.count, gap.cause) for gap in gaps] == [
        (6, 3, "foreign read"),
        (16, None, "foreign read"),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("codes", "scale"), [("int16", CUBIC), ("uint16", LINEAR), ("int32", None)])
def test_scale(tmp_path, codes, scale, dtype):
    data = random(codes)
    log, _ = run_stages(tmp_path / "a.tdms", data, [Scale(dtype)], blocks=BLOCKS, scale=scale)
    for channel in range(3):
        found = log[f"scaled/ch{channel}"]
        assert found.raw.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(found.raw[:], physical(data[channel], scale).astype(dtype))


def kaiser(factor, attenuation):
    width = 0.2 / factor
    attenuation += 1
    half = int(np.ceil((attenuation - 7.95) / (2.285 * np.pi * width) / 2))
    beta = scipy.signal.kaiser_beta(attenuation)
    return half, scipy.signal.firwin(2 * half + 1, 0.9 / factor, window=("kaiser", beta))


@pytest.mark.parametrize("factor", [2, 10, 37])
@pytest.mark.parametrize("attenuation", [40, 80, 120])
def test_decimate(tmp_path, factor, attenuation):
    data = random("int16")
    stage = Decimate(factor, attenuation=attenuation)
    log, counts = run_stages(tmp_path / "a.tdms", data, [stage], blocks=BLOCKS, scale=CUBIC)
    half, taps = kaiser(factor, attenuation)
    values = physical(data, CUBIC)
    centres = np.arange(-(-half // factor) * factor, data.shape[1] - half, factor)
    for channel in range(3):
        whole = np.convolve(values[channel], taps, "same") if len(taps) <= data.shape[1] else None
        found = log[f"decimated/ch{channel}"]
        np.testing.assert_allclose(found[:], whole[centres], rtol=0, atol=1e-11 * np.abs(values).max())
        assert found.dt == pytest.approx(factor / 1000)
        assert (found.t0 - START) == np.timedelta64(int(centres[0]), "ms")
    assert counts["derived"][0]["samples"] == len(centres)


@pytest.mark.parametrize("factor", [2, 10, 37])
@pytest.mark.parametrize("attenuation", [40, 80, 140])
def test_the_filter_keeps_what_its_description_says(factor, attenuation):
    _, taps = kaiser(factor, attenuation)
    frequency, response = scipy.signal.freqz(taps, worN=1 << 16)
    frequency *= factor / np.pi  # 1 is the new Nyquist frequency
    passed, stopped = np.abs(response[frequency <= 0.8]), np.abs(response[frequency >= 1.0])
    assert np.abs(passed - 1).max() <= 1.15 * 10 ** (-attenuation / 20)
    assert stopped.max() <= 10 ** (-attenuation / 20)


def test_a_tone_that_would_fold_back_is_gone(tmp_path):
    time = np.arange(50_000) / 1000
    data = np.array([np.sin(2 * np.pi * 30 * time), np.sin(2 * np.pi * 70 * time)])
    log, _ = run_stages(tmp_path / "a.tdms", data, [Decimate(10)], blocks=BLOCKS)
    found = log["decimated/ch0"]
    seconds = found.time(0, len(found)) + (found.t0 - START) / np.timedelta64(1, "s")
    expected = np.sin(2 * np.pi * 30 * seconds)
    np.testing.assert_allclose(found[:], expected, atol=1.2e-4)
    assert np.abs(log["decimated/ch1"][:]).max() < 1.1e-4


def test_decimation_begins_anew_behind_a_gap(tmp_path):
    data = np.random.default_rng(3).normal(size=(1, 6000))
    log, counts = run_stages(
        tmp_path / "a.tdms", data, [Decimate(4, attenuation=40)], blocks=(1000,), gaps={3: 501}
    )
    half, taps = kaiser(4, 40)
    parts = [(0, data[0, :3000]), (3501, data[0, 3000:])]
    expected = []
    for first, part in parts:
        centres = np.arange(-(-(first + half) // 4) * 4, first + len(part) - half, 4)
        expected.append((centres, np.convolve(part, taps, "same")[centres - first]))
    found = log["decimated/ch0"], log["decimated #2/ch0"]
    for (centres, values), channel in zip(expected, found, strict=True):
        np.testing.assert_allclose(channel[:], values, atol=1e-12)
        assert (channel.t0 - START) == np.timedelta64(int(centres[0]), "ms")
    assert counts["derived"][0]["lost"] == (expected[1][0][0] - expected[0][0][-1]) // 4 - 1


def test_lines(tmp_path):
    data = np.random.default_rng(4).integers(0, 256, (2, 5000)).astype(np.uint8)
    lines = DigitalLines([("ch1", 3, "valve"), (0, 7, "pump")])
    log, _ = run_stages(tmp_path / "a.tdms", data, [lines], blocks=BLOCKS)
    np.testing.assert_array_equal(log["lines/valve"].raw[:], (data[1] >> 3) & 1)
    np.testing.assert_array_equal(log["lines/pump"].raw[:], data[0] >> 7)
    log, _ = run_stages(tmp_path / "b.tdms", data, [DigitalLines()], blocks=BLOCKS)
    found = [log[f"lines/ch{channel}/line{bit}"].raw[:] for channel in range(2) for bit in range(8)]
    np.testing.assert_array_equal(
        np.array(found), np.unpackbits(data[:, None], axis=1, bitorder="little").reshape(16, -1)
    )


def edges(values, level, hysteresis):
    """Rising edges, sample by sample."""
    found, armed = [], False
    for sample, value in enumerate(values):
        if armed and value >= level:
            found.append(sample)
            armed = False
        if value < level - hysteresis:
            armed = True
    return found


def records_of(path):
    """Pretrigger, samples and start time of each record that the file tells of, pieces put together."""
    table = nptdms.TdmsFile.read(path)["daqring"]
    columns = [table[f"record.{name}"][:] for name in ("number", "pretrigger", "samples", "start_time_ns")]
    records = {}
    for number, pretrigger, samples, start in zip(*(column.tolist() for column in columns), strict=True):
        had = records.get(number, (pretrigger, 0, start))
        records[number] = (pretrigger, had[1] + samples, start)
    return list(records.values())


def expected_records(triggers, pre, post, total):
    records, end = [], 0
    for trigger in triggers:
        if records and trigger < records[-1][1] + post:
            continue
        start = max(trigger - pre, end, 0)
        end = min(trigger + post, total)
        records.append((start, trigger, end))
    return records


@pytest.mark.parametrize(("pre", "post"), [(0, 1), (3, 20), (50, 10), (700, 300), (0, 1500)])
@pytest.mark.parametrize("workers", [1, 3])
def test_trigger(tmp_path, pre, post, workers):
    source = np.random.default_rng(5)
    time = np.arange(20_000)
    signal = 8000 * np.sin(2 * np.pi * time / 731) + source.normal(0, 300, time.size)
    data = np.array([time % 30_000, signal]).astype(np.int16)
    scale = (0.0, 1e-3)
    trigger = Trigger("ch1", level=4.0, hysteresis=1.0, pre=pre / 1000, post=post / 1000)
    log, counts = run_stages(
        tmp_path / "a.tdms", data, [trigger], blocks=BLOCKS, scale=scale, workers=workers
    )
    stream = counts["streams"][0]
    assert stream["written"] == 0
    assert stream["gated"] == stream["committed"]
    assert stream["gated_samples"] == 20_000
    found = edges(physical(data[1], scale), 4.0, 1.0)
    records = expected_records(found, pre, post, 20_000)
    assert len(records) >= 10
    assert counts["derived"][0]["records"] == len(records)
    expected = np.concatenate([data[0, start:end] for start, _, end in records])
    np.testing.assert_array_equal(log["records/ch0"].raw[:], expected)
    assert records_of(tmp_path / "a.tdms") == [
        (trigger - start, end - start, START_NS + start * 1_000_000) for start, trigger, end in records
    ]


class Captures:
    """Asks for captures, each while the block with the sample `at` comes: then that is complete later by
    as much as the rest of it takes. All other blocks are long past."""

    def __init__(self, block, *ats, name=None):
        self.before, self.block, self.name = {}, block, name
        for at in ats:
            self.before.setdefault(at // block, lambda native, at=at: self.ask(native, at))
        self.complete = {}

    def ask(self, native, at):
        # Blocks before are not to answer it, and some of them tell of a time to come.
        deadline = time.monotonic() + 20
        while (stream := native.stats()["streams"][0])["written"] + stream["gated"] < stream["committed"]:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        native.capture(self.name)
        end = (at // self.block + 1) * self.block
        self.complete[end] = time.time_ns() + (end - at) * 1_000_000

    def seen(self, end):
        return self.complete.get(end, 0)


@pytest.mark.parametrize(
    ("ats", "post", "expected"),
    [
        ([1250, 6000], 0, [(0, 1250, 1251), (4500, 6000, 6001)]),
        # Within a record: behind it. Samples that it has are not repeated.
        ([1250, 1650], 1.0, [(0, 1250, 2250), (2250, 2250, 3250)]),
        ([9999], 0.5, [(8499, 9999, 10_000)]),
    ],
)
@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("channel", [None, 0])
def test_a_capture_on_demand_is_around_the_moment_of_the_call(
    tmp_path, ats, post, expected, workers, channel
):
    data = np.arange(10_000, dtype=np.int32)[np.newaxis]
    captures = Captures(400, *ats, name="records")
    log, counts = run_stages(
        tmp_path / "a.tdms",
        data,
        [Trigger(channel, level=1e6, pre=1.5, post=post, gate=False)],
        blocks=(400,),
        workers=workers,
        before=captures.before,
        seen=captures.seen,
    )
    assert counts["streams"][0]["gated"] == 0
    table = [
        (start, start + before, start + samples)
        for before, samples, start_ns in records_of(tmp_path / "a.tdms")
        for start in [(start_ns - START_NS) // 1_000_000]
    ]
    assert table == expected
    values = np.concatenate([np.arange(start, end) for start, _, end in expected])
    np.testing.assert_array_equal(log["records/ch0"].raw[:], values)


def test_a_capture_before_an_edge_takes_the_edge_into_its_record(tmp_path):
    data = np.zeros((1, 4000))
    data[0, [1100, 1700]] = 5.0
    captures = Captures(500, 1050)
    run_stages(
        tmp_path / "a.tdms",
        data,
        [Trigger(0, level=1.0, pre=0.02, post=0.1)],
        blocks=(500,),
        before=captures.before,
        seen=captures.seen,
    )
    starts = [(start - START_NS) // 1_000_000 for _, _, start in records_of(tmp_path / "a.tdms")]
    assert starts == [1030, 1680]


def test_a_capture_after_the_last_block_is_what_came_before_it(tmp_path):
    data = np.arange(1000, dtype=np.int32)[np.newaxis]
    trigger = Trigger(pre=0.3)
    log, _ = run_stages(
        tmp_path / "a.tdms", data, [trigger], blocks=(400,), before={2: lambda native: native.capture()}
    )
    assert records_of(tmp_path / "a.tdms") == [(300, 300, START_NS + 700_000_000)]
    np.testing.assert_array_equal(log["records/ch0"].raw[:], np.arange(700, 1000))


def test_a_gap_cuts_a_record(tmp_path):
    data = np.zeros((1, 1000))
    data[0, [150, 390, 700]] = 5.0
    trigger = Trigger(0, level=1.0, pre=0.05, post=0.1)
    log, _ = run_stages(tmp_path / "a.tdms", data, [trigger], blocks=(100,), gaps={4: 1000, 7: 20})
    told = [record[:2] for record in records_of(tmp_path / "a.tdms")]
    # The second record ends at the gap; the third trigger is the first sample behind a gap, so nobody
    # saw the signal rise.
    assert told == [(50, 150), (50, 60)]
    gaps = {(stream, gap.first_sample, gap.count) for stream, gap in log.gaps}
    assert gaps == {(name, *gap) for name in ("task", "records") for gap in ((400, 1000), (1700, 20))}


def test_several_stages_side_by_side(tmp_path):
    data = random("int16")
    stages = [Statistics(0.25), Envelope(0.1), Decimate(10), Scale(only=True)]
    log, counts = run_stages(tmp_path / "a.tdms", data, stages, blocks=BLOCKS, scale=CUBIC)
    assert [stage["name"] for stage in counts["stages"]] == ["statistics", "envelope", "decimated", "scaled"]
    blocks = counts["streams"][0]["committed"]
    assert all(stage["blocks"] == blocks and stage["busy"] > 0 for stage in counts["stages"])
    assert sum(worker["blocks"] for worker in counts["workers"]) == blocks
    groups = {group.name for group in log.groups.values() if not group.housekeeping}
    assert groups == {"task", "scaled", "envelope", "decimated", "statistics"}
    assert len(log["task/ch0"]) == 0


INFO = StreamInfo("rig", ("a", "b"), 1000.0, np.dtype(np.int16))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Statistics(0), "every must be finite and above 0"),
        (lambda: Statistics("often"), "every must be a number"),
        (lambda: Envelope(float("inf")), "every must be finite"),
        (lambda: Statistics(name=""), "name must be text"),
        (lambda: Scale("int16"), "dtype must be float32 or float64"),
        (lambda: Decimate(1), "factor must be a whole number from 2"),
        (lambda: Decimate(2.5), "factor must be a whole number from 2"),
        (lambda: Decimate(2, attenuation=200), "attenuation must be 40 to 140"),
        (lambda: Trigger("a", level=float("nan")), "level must be a finite number"),
        (lambda: Trigger("a", condition="sometimes"), "condition must be"),
        (lambda: Trigger("a", pre=-1), "pre must be finite and at least 0"),
        (lambda: plan([Trigger("c")], [INFO]), "'rig' has no channel 'c', only a, b"),
        (lambda: plan([Trigger(2)], [INFO]), "channel must be a name or a number below 2"),
        (lambda: plan([DigitalLines([("a", 16, "x")])], [INFO]), "bits from 0 to 15"),
        (lambda: plan([Scale(), Scale()], [INFO]), "two groups would be named 'scaled'"),
        (lambda: plan([Scale(name="rig")], [INFO]), "two groups would be named 'rig'"),
        (lambda: plan(["crc"], [INFO]), "'crc' is no stage"),
        (lambda: plan({"rug": [Scale()]}, [INFO]), "stages were given for 'rug', but the tasks are 'rig'"),
        (lambda: plan({"rug": Scale()}, [INFO]), "stages must be a list of stages"),
        (lambda: plan({"rig": Scale()}, [INFO]), "stages must be a list of stages"),
        (lambda: plan(Scale(), [INFO]), "stages must be a list of stages"),
        (lambda: plan("crc", [INFO]), "stages must be a list of stages"),
        (lambda: plan([Scale], [INFO]), "is no stage; those are made by the classes"),
        (lambda: Scale("much"), "dtype must be float32 or float64, not 'much'"),
        (lambda: Scale(only=1), "only must be True or False, not 1"),
        (lambda: Statistics(log="no"), "log must be True or False, not 'no'"),
        (lambda: Envelope(log=None), "log must be True or False"),
        (lambda: Trigger(gate=0), "gate must be True or False"),
        (lambda: Decimate(2, log=1), "log must be True or False"),
        (lambda: plan([Trigger(np.float64(1))], [INFO]), "channel must be a name or a number below 2"),
        (lambda: DigitalLines("a"), "lines must be a sequence such as"),
        (lambda: DigitalLines(3), "lines must be a sequence such as"),
        (lambda: DigitalLines([("a", 1)]), "lines must be a sequence such as"),
        (lambda: DigitalLines([("a", 1, "")]), "lines must be a sequence such as"),
        (lambda: DigitalLines([("a", 1, "x"), ("a", 2, "x")]), "'x' is there twice"),
        (lambda: DigitalLines(log=1), "log must be True or False"),
    ],
)
def test_what_makes_no_sense_is_said(make, words):
    with pytest.raises(TaskError, match=words):
        make()


def test_whole_numbers_may_be_those_of_numpy(tmp_path):
    data = np.arange(2000, dtype=np.int16).reshape(2, -1)
    one = np.int64(1)
    stages = [
        Decimate(np.int32(4), attenuation=40),
        Trigger(one, level=1500.0, post=0.01),
        DigitalLines([(one, np.uint8(3), "valve")]),
    ]
    log, _ = run_stages(tmp_path / "a.tdms", data, iter(stages), blocks=(100,))
    np.testing.assert_array_equal(log["records/ch0"].raw[:], np.arange(500, 510))
    np.testing.assert_array_equal(log["lines/valve"].raw[:], (data[1] >> 3) & 1)
