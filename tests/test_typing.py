"""What a type checker makes of programs that use the package: it ships `py.typed`."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any, assert_type

import daqring
import nidaqmx
import numpy as np
import numpy.typing as npt
from daqring import queue
from daqring.stages import Statistics, Trigger


def measure(first: int) -> Iterator[float]:
    yield from range(first, 2000, 20)


def evaluate(item: float) -> str:
    return f"{item:.3f}"


def store(item: float) -> None:
    print(item)


def count(item: float, seen: list[float]) -> int:
    seen.append(item)
    return len(seen)


def main(task: nidaqmx.Task) -> None:
    inbox: queue.Queue[npt.NDArray[np.int16]] = queue.Queue(maxsize=100)
    for block in inbox:
        assert_type(block, npt.NDArray[np.int16])
    with contextlib.suppress(queue.Empty, queue.ShutDown):
        inbox.get_many(10, timeout=0.1)

    pool = daqring.Workers(evaluate, 5, producers=[measure(first) for first in range(20)])
    for text in pool:
        assert_type(text, str)
    for text in daqring.Workers(evaluate, producers=[partial(measure, 3)]):
        assert_type(text, str)
    with daqring.Workers(store, 5) as storing:
        storing.put(1.5)
    assert_type(storing, daqring.Workers[float, None])
    counting = daqring.Workers(count, 2, setup=lambda: [0.0], teardown=lambda seen: seen.clear())
    assert_type(counting, daqring.Workers[float, int])
    for text in daqring.Workers(lambda item: f"{item:.1f}", 2, producers=[measure(0)]):
        assert_type(text, str)

    for item in daqring.Pipeline(range(10)).map(evaluate, workers=3, ordered=True).batch(10):
        assert_type(item, list[str])

    ring = daqring.BlockRing((8, 10_000), "int16", slots=16)
    with ring.reserve() as block_to_fill:
        block_to_fill[:] = 0

    stages = [Statistics(every=0.1), Trigger("Dev1/ai0", level=0.5)]
    report = daqring.record(task, "run.tdms", seconds=10, stages=stages, log=daqring.LogOptions(sync="1 s"))
    assert_type(report, daqring.Report)
    for each in daqring.stream(task, "run.tdms", seconds=10):
        assert_type(each.scaled(), npt.NDArray[np.float64])
    with daqring.Recorder([task, task], None) as recorder:
        tap, envelope = recorder.tap(), recorder.tap("envelope", rate=100.0)
        whole, span = tap.poll(), envelope.poll()
        if whole is not None and span is not None:
            print(whole.data.shape, span.low.shape)
        assert_type(recorder.latest(0.1), npt.NDArray[Any])
    log = daqring.open("run.tdms")
    print(log["Dev1/ai0"][:1000], log["Dev1/ai0"].raw[0])
"""
#: What is wrong, and what the checker says of it.
WRONG = """
import daqring


def count(item: float, seen: list[float]) -> int:
    return 0


daqring.Workers(count, 5)  # without setup it takes one argument
daqring.record(None, "run.tdms", second=5)
daqring.LogOptions(sink="1 s")
"""


def checked(tmp_path, text):
    pytest.importorskip("mypy", reason="the extra daqring[dev] is not installed")
    program = tmp_path / "program.py"
    program.write_text(text)
    (tmp_path / "mypy.ini").write_text("[mypy]\n[mypy-nidaqmx.*]\nignore_missing_imports = true\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", "mypy.ini", program.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode < 2, done.stderr
    return done.stdout


def test_programs_of_users_are_understood(tmp_path):
    assert checked(tmp_path, PROGRAM).startswith("Success")


def test_what_is_wrong_is_seen(tmp_path):
    told = checked(tmp_path, WRONG)
    lines = [number for number, line in enumerate(WRONG.splitlines(), 1) if line.startswith("daqring.")]
    for line in lines:
        assert f"program.py:{line}: error" in told, told
