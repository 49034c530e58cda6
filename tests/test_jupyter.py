"""A Jupyter kernel that records: cells, `await` at their top level, and the interrupt button."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import daqring
import pytest
from daqring.status import recorders

manager = pytest.importorskip("jupyter_client.manager")
pytest.importorskip("ipykernel")

SETUP = """
import asyncio
import daqring, daqring.sim, nidaqmx
from nidaqmx.constants import AcquisitionType

daqring.sim.install(devices={"Dev1": "PCIe-6363"}, signal="pattern")

def make_task():
    task = nidaqmx.Task()
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
    task.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS, samps_per_chan=10_000)
    return task
"""


class Notebook:
    """A kernel and what a notebook does with it."""

    def __init__(self, folder: Path) -> None:
        self.kernel = manager.KernelManager()
        self.kernel.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        self.kernel.start_kernel(cwd=str(folder))
        self.client = self.kernel.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.folder = folder

    def start(self, code: str) -> str:
        """Begins a cell."""
        return str(self.client.execute(textwrap.dedent(code), store_history=False))

    def end(self, cell: str, seconds: float = 60) -> dict[str, Any]:
        """The answer to a cell: its `status`, and `ename` where that is "error"."""
        while True:
            answer = self.client.get_shell_msg(timeout=seconds)
            if answer["parent_header"]["msg_id"] == cell:
                return dict(answer["content"])

    def run(self, code: str) -> None:
        """Runs a cell that has no error."""
        answer = self.end(self.start(code))
        assert answer["status"] == "ok", "\n".join(answer.get("traceback", []))

    def values(self, *expressions: str) -> list[Any]:
        """What expressions give in the kernel; plain values only."""
        asked = {str(nth): f"({text})" for nth, text in enumerate(expressions)}
        cell = self.client.execute("", silent=True, user_expressions=asked)
        answers = self.end(cell)["user_expressions"]
        assert all(answer["status"] == "ok" for answer in answers.values()), answers
        return [eval(answers[nth]["data"]["text/plain"]) for nth in asked]

    def stop(self) -> None:
        self.client.stop_channels()
        self.kernel.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    notebook = Notebook(tmp_path_factory.mktemp("notebook"))
    try:
        notebook.run(SETUP)
        yield notebook
    finally:
        notebook.stop()


@pytest.fixture
def notebook(kernel: Notebook) -> Iterator[Notebook]:
    kernel.run("task = make_task()")
    yield kernel
    kernel.run("task.close()")


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def recorded(path: Path) -> tuple[int, str]:
    """Samples per channel of a log that is whole, and why it ended."""
    log = daqring.open(path)
    assert log.finished
    counts = {len(channel) for channel in log.channels}
    assert len(counts) == 1
    return counts.pop(), str(log.properties["daqring.stop_reason"])


def test_a_cell_records(notebook):
    notebook.run("report = daqring.record(task, 'cell.tdms', seconds=0.2)")
    assert notebook.values("report.samples_per_channel", "report.lost") == [2000, 0]
    assert recorded(notebook.folder / "cell.tdms")[0] == 2000


def test_a_cell_loops_over_blocks_with_async_for(notebook):
    notebook.run(
        """
        seen, ticks = 0, 0

        async def tick():
            global ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.ensure_future(tick())
        stream = daqring.stream(task, "async.tdms", seconds=0.5, block_ms=20)
        async for block in stream:
            seen += block.samples
        ticking.cancel()
        """
    )
    seen, ticks = notebook.values("seen", "ticks")
    assert (seen, recorded(notebook.folder / "async.tdms")[0]) == (5000, 5000)
    assert ticks > 5  # the kernel's loop went on meanwhile


#: Cells that record until they are interrupted: the code, the error that the cell ends with, and what
#: their report says.
CELLS = {
    "record": ("report = daqring.record(task, path)", None, "interrupted"),
    "recorder": (
        """
        with daqring.Recorder(task, path) as run:
            run.wait()
        """,
        "KeyboardInterrupt",
        "interrupted",
    ),
    "for": (
        """
        run = daqring.stream(task, path, block_ms=20)
        for block in run:
            pass
        """,
        None,
        "interrupted",
    ),
    # asyncio and ipykernel turn an interrupt into the cancellation of what runs.
    "async for": (
        """
        run = daqring.stream(task, path, block_ms=20)
        async for block in run:
            pass
        """,
        "CancelledError",
        "stopped",
    ),
    "async with": (
        """
        async with daqring.stream(task, path, block_ms=20) as run:
            async for block in run:
                await asyncio.sleep(0.001)
        """,
        "CancelledError",
        "stopped",
    ),
}


@pytest.mark.parametrize("kind", CELLS)
def test_an_interrupt_of_the_kernel_ends_the_recording_in_order(notebook, kind):
    code, error, reason = CELLS[kind]
    path = notebook.folder / f"interrupted {kind}.tdms"
    notebook.run(f"path, report, run = {str(path)!r}, None, None")
    cell = notebook.start(code)
    until(lambda: any(found.path == str(path) and found.health for found in recorders()))
    notebook.kernel.interrupt_kernel()
    answer = notebook.end(cell)
    assert answer.get("ename") == error
    told = notebook.values(
        "(report or run.report).samples_per_channel",
        "(report or run.report).lost",
        "(report or run.report).stop_reason",
        "task.is_task_done()",
    )
    assert told[0] > 0
    assert told[1:] == [0, reason, True]
    assert recorded(path) == (told[0], reason)
