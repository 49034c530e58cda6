"""What beginners do wrong, and what they are told."""

from __future__ import annotations

import copy
import pickle

import daqring
import daqring.stages
import numpy as np
import pytest


def test_a_recorder_that_was_not_started_says_what_to_do(make_task, tmp_path):
    recorder = daqring.Recorder(make_task(), tmp_path / "run.tdms")
    for use in (
        recorder.wait,
        recorder.close,
        recorder.stats,
        recorder.health,
        recorder.capture,
        lambda: recorder.report,
        lambda: recorder.latest(0.1),
        lambda: recorder.annotate("valve opened"),
    ):
        with pytest.raises(RuntimeError, match=r"was not started: call start\(\), or use it in a with block"):
            use()
    recorder.start()
    with pytest.raises(RuntimeError, match=r"before the recorder is closed: call close\(\)"):
        recorder.report  # noqa: B018
    assert recorder.close() is recorder.close()
    with pytest.raises(RuntimeError, match="is not running"):
        recorder.stats()


@pytest.mark.parametrize("samples", [2000, 2e3, np.int64(2000), np.float64(2000)])
def test_a_number_of_samples_may_be_written_as_2e3(make_task, tmp_path, samples):
    assert daqring.record(make_task(), tmp_path / "run.tdms", samples=samples).samples_per_channel == 2000


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": 5}, "name must be a text, not 5"),
        ({"log": {"sync": "1 s"}}, r"log must be daqring.LogOptions\(...\), such as .*, not {'sync': '1 s'}"),
        ({"properties": ["a"]}, r"properties must be a dict such as {'operator': 'Ada'}, not \['a'\]"),
    ],
)
def test_arguments_of_another_type_are_refused_before_the_start(make_task, tmp_path, wrong, told):
    task = make_task()
    with pytest.raises(daqring.TaskError, match=told):
        daqring.record(task, tmp_path / "run.tdms", samples=10, **wrong)
    assert task.is_task_done()
    assert list(tmp_path.iterdir()) == []


def test_a_stream_tells_what_it_is(make_task):
    stream = daqring.stream(make_task(), samples=100)
    assert repr(stream) == "<Stream of <Recorder of ai into 'nothing'>, begins with its first block>"
    blocks = iter(stream)
    next(blocks)
    assert repr(stream).endswith(", running>")
    assert list(blocks) == []
    assert repr(stream).endswith(", over>")


def test_channels_go_by_names(make_task, tmp_path):
    daqring.record(make_task(name="rig"), tmp_path / "run.tdms", samples=100)
    log = daqring.open(tmp_path / "run.tdms")
    for wrong in (0, None, slice(10)):
        with pytest.raises(KeyError, match="channels go by their names, not by"):
            log[wrong]  # type: ignore[index]
    with pytest.raises(KeyError, match="'rig' is a group, not a channel"):
        log["rig"]
    with pytest.raises(KeyError, match="there are: 'Dev1/ai0', 'Dev1/ai1'"):
        log["ai0"]


def test_nothing_that_lives_in_one_process_is_pickled_or_copied(make_task, tmp_path):
    path = tmp_path / "run.tdms"
    report = daqring.record(make_task(), path, samples=100)
    assert pickle.loads(pickle.dumps(report)) == report
    log = daqring.open(path)
    recorder = daqring.Recorder(make_task("Dev2/ai0"), None)
    for what, told in (
        (recorder, "a Recorder cannot be pickled"),
        (daqring.BlockRing((2, 10), "int16"), "a daqring.BlockRing cannot be pickled"),
        (daqring.Workers(print, 2), "a daqring.Workers cannot be pickled"),
        (daqring.Pipeline([1]).map(print), "a daqring.Pipeline cannot be pickled"),
    ):
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=told):
                attempt(what)
    # A stream is its recorder, a channel its log.
    with pytest.raises(TypeError, match="a Recorder cannot be pickled"):
        pickle.dumps(daqring.stream(make_task("Dev3/ai0", rate=1000)))
    for part in (log, log["Dev1/ai0"], log.groups["ai"]):
        with pytest.raises(TypeError, match=r"an open log cannot be pickled .* daqring\.open\(.*run\.tdms"):
            pickle.dumps(part)


@pytest.mark.parametrize("wrong", ["5", 2.0, None, True, print])
def test_a_number_of_workers_is_a_whole_one(wrong):
    with pytest.raises(TypeError, match="'workers' must be a whole number, not"):
        daqring.Workers(print, wrong)
    pipeline = daqring.Pipeline([1])
    for make in (pipeline.map, pipeline.flat_map, pipeline.sink):
        with pytest.raises(TypeError, match="'workers' must be a whole number, not"):
            make(print, workers=wrong)
    with pytest.raises(TypeError, match="'size' must be a whole number, not"):
        pipeline.batch(wrong)
    assert list(pipeline) == [1]


def endless():
    while True:
        yield 1.5


@pytest.mark.parametrize(
    ("producers", "told"),
    [
        (range(100), "and 0 is neither; a single source goes into a list"),
        (endless(), r"and 1\.5 is neither; a single source goes into a list"),
        (endless, r"with a thread for each of it: producers=\[<function end"),
        (5, r"with a thread for each of it: producers=\[5\]"),
    ],
)
def test_a_single_producer_is_told_to_be_put_into_a_list(producers, told):
    with pytest.raises(TypeError, match=told):
        daqring.Workers(print, 2, producers=producers)


def test_results_that_nobody_asked_for():
    with daqring.Workers(abs, 2) as pool:
        pool.put(-1)
        with pytest.raises(RuntimeError, match="keeps no results: make it with results=True"):
            iter(pool)
    with daqring.Workers(abs, 2, results=True) as pool:
        pool.put(-1)
        assert list(pool) == [1]
