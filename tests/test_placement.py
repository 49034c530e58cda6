"""Threads on chosen cores, and before others."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import daqring
import nidaqmx
import pytest
from daqring import _native
from nidaqmx.constants import AcquisitionType

pytestmark = pytest.mark.usefixtures("reader")
linux = pytest.mark.skipif(sys.platform != "linux", reason="the threads are looked at in /proc")
CORES = _native.cores()


@pytest.fixture
def tasks(simulator):
    simulator(devices={"Dev1": "PXIe-6396", "Dev2": "PXIe-6396"}, clock="real")
    made = []
    for number in (1, 2):
        task = nidaqmx.Task(f"rig {number}")
        task.ai_channels.add_ai_voltage_chan(f"Dev{number}/ai0")
        task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        made.append(task)
    yield made
    for task in made:
        task.close()


def threads() -> dict[str, int]:
    """Ids of our threads by their names, of which Linux keeps 15 bytes."""
    found = {}
    for folder in Path("/proc/self/task").iterdir():
        name = (folder / "comm").read_text().strip()
        if name.startswith("daqring-"):
            found[name] = int(folder.name)
    return found


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def reader_ids(recorder) -> list[int]:
    """Readers in Python have names of Python alone until 3.14."""
    named = {thread.name: thread.native_id for thread in threading.enumerate()}
    ids = []
    for number in (0, 1):
        name = f"daqring-acquire-{number}"
        ids.append(named.get(name))
    if None in ids:
        # Both have the same 15 bytes of name; ids rise in the order of the start.
        ids = sorted(
            int(folder.name)
            for folder in Path("/proc/self/task").iterdir()
            if (folder / "comm").read_text().strip() == "daqring-acquire"
        )
    return ids


@linux
@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_threads_run_where_they_are_pinned(tasks, tmp_path):
    first, second = CORES[:2]
    everywhere = os.sched_getaffinity(0)
    pin = {"acquire": [second, first], "workers": second, "writer": (first,)}
    with daqring.Recorder(tasks, tmp_path / "run.tdms", workers=2, pin=pin) as recorder:
        until(lambda: all(stream["samples"] for stream in recorder.stats()["streams"]))
        assert [os.sched_getaffinity(number) for number in reader_ids(recorder)] == [{second}, {first}]
        found = threads()
        for number in (0, 1):
            assert os.sched_getaffinity(found[f"daqring-worker-{number}"[:15]]) == {second}
        assert os.sched_getaffinity(found["daqring-writer"]) == {first}
        assert os.sched_getaffinity(0) == everywhere
    assert recorder.report.threads == ()
    assert recorder.report.lost == 0


@linux
def test_high_priority_is_given_or_told(tasks, tmp_path, caplog):
    with daqring.Recorder(tasks, tmp_path / "run.tdms", priority="high") as recorder:
        until(lambda: all(stream["samples"] for stream in recorder.stats()["streams"]))
        ids = {f"daqring-acquire-{number}": tid for number, tid in enumerate(reader_ids(recorder))}
        ids["daqring-writer"] = threads()["daqring-writer"]
        raised = {
            name
            for name, tid in ids.items()
            if os.sched_getscheduler(tid) == os.SCHED_RR or os.getpriority(os.PRIO_PROCESS, tid) < 0
        }
        worker = threads()["daqring-worker-"]
        assert os.sched_getscheduler(worker) == os.SCHED_OTHER
        assert os.getpriority(os.PRIO_PROCESS, worker) == os.getpriority(os.PRIO_PROCESS, 0)
    report = recorder.report
    refused = set(ids) - raised
    assert len(report.threads) == len(refused)
    for name in refused:
        (sentence,) = (text for text in report.threads if f"thread {name};" in text)
        assert "did not raise the priority" in sentence
        assert sentence in str(report)
        assert sentence in caplog.text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pin": {"acquire": 4096}}, "core 4096, but this process may use only"),
        ({"pin": {"acquire": [CORES[0], -1]}}, "core -1, but"),
        ({"pin": {"readers": 0}}, "'acquire', 'workers', 'writer', not 'readers'"),
        ({"pin": {"workers": []}}, "a core's number or a list"),
        ({"pin": {"workers": "0"}}, "a core's number or a list"),
        ({"pin": {"workers": True}}, "a core's number or a list"),
        ({"pin": 0}, "pin must be a dict"),
        ({"priority": "highest"}, "'normal' or 'high'"),
    ],
)
def test_wrong_cores_and_priorities_are_told(tasks, tmp_path, wrong, words):
    with pytest.raises(daqring.TaskError, match=words):
        daqring.record(tasks, tmp_path / "run.tdms", samples=10, **wrong)
    assert not (tmp_path / "run.tdms").exists()
