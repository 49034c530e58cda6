"""Threads: any call from any of them, ending a task under a read, and from inside its callbacks.

Every test does its work on threads that it waits for with a time-out: a hang is a failure.
"""

import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Task
from nidaqmx.constants import AcquisitionType, LineGrouping, Signal, TaskMode
from nidaqmx.stream_readers import AnalogUnscaledReader
from nidaqmx.system import Device, System

SECONDS = 30.0
CONTINUOUS = AcquisitionType.CONTINUOUS
INFINITE = -1.0


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """The last resort, where not even the end of a test comes to its end."""
    faulthandler.dump_traceback_later(6 * SECONDS, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


class Started:
    """A function on a thread of its own; what it raises is raised where it is waited for."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._function = function
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.result = self._function()
        except BaseException as error:
            self.error = error

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()

    def join(self) -> Any:
        self._thread.join(SECONDS)
        if not self.over:
            frame = sys._current_frames().get(self._thread.ident or 0)
            pytest.fail(f"still there after {SECONDS} s, in {frame}")
        if self.error is not None:
            raise self.error
        return self.result


def analog(task: Task) -> None:
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0:3")
    task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)


def counter(task: Task) -> None:
    task.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")
    task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)


def pulses(task: Task) -> None:
    task.ci_channels.add_ci_pulse_chan_time("Dev1/ctr0")
    task.timing.cfg_implicit_timing(CONTINUOUS, 100)


def digital(task: Task) -> None:
    task.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LineGrouping.CHAN_FOR_ALL_LINES)
    task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)


def changes(task: Task) -> None:
    task.di_channels.add_di_chan("Dev1/port0/line0")
    task.timing.cfg_change_detection_timing("Dev1/port0/line0", "", CONTINUOUS)


KINDS = [analog, counter, pulses, digital, changes]
ENDS: dict[str, Callable[[Task], None]] = {
    "stop": Task.stop,
    "close": Task.close,
    "abort": lambda task: task.control(TaskMode.TASK_ABORT),
    "reset": lambda task: Device("Dev1").reset_device(),
    "unplug": lambda task: sim.unplug("Dev1"),
}
CODES = {
    "stop": -200278,
    "close": -88709,
    "abort": -88709,
    "reset": -88709,
    "unplug": -201003,
}


def expect(error: DaqError, *codes: int) -> None:
    assert error.error_code in codes, error


def close(task: Task) -> None:
    if task._handle is not None:
        task.close()


# ---- ending a task while another thread waits in a read ----


@pytest.mark.usefixtures("stepped")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_a_task_wakes_a_read(kind: Callable[[Task], None], end: str) -> None:
    task = Task()
    kind(task)
    task.start()
    # Time stands still: without the end the read would wait for ever.
    reader = Started(lambda: task.read(100, INFINITE))
    time.sleep(0.02)
    assert not reader.over
    Started(lambda: ENDS[end](task)).join()
    with pytest.raises(DaqError) as error:
        reader.join()
    assert error.value.error_code == CODES[end]
    Started(lambda: close(task)).join()


@pytest.mark.usefixtures("stepped")
@pytest.mark.parametrize("end", ["stop", "close", "abort"])
def test_the_end_of_a_task_wakes_who_waits_for_it(end: str) -> None:
    task = Task()
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
    task.timing.cfg_samp_clk_timing(1000, samps_per_chan=1000)
    task.start()
    waiters = [Started(lambda: task.wait_until_done(INFINITE)) for _ in range(3)]
    time.sleep(0.02)
    assert not any(waiter.over for waiter in waiters)
    Started(lambda: ENDS[end](task)).join()
    for waiter in waiters:
        # A stopped task is done; a task that was aborted or is gone is told as an error.
        if end == "stop":
            waiter.join()
        else:
            with pytest.raises(DaqError) as error:
                waiter.join()
            assert error.value.error_code == -88709
    Started(lambda: close(task)).join()


@pytest.mark.parametrize("kind", KINDS)
def test_start_and_stop_under_a_reader_that_never_rests(kind: Callable[[Task], None]) -> None:
    sim.clock("unthrottled")
    task = Task()
    kind(task)
    over = threading.Event()

    def read() -> int:
        blocks = 0
        while not over.is_set():
            try:
                task.read(10, 1.0)
                blocks += 1
            except DaqError as error:
                # Stopped under the read (-200278, -200284), or between reads where nothing can be
                # read (-200983), or taken by the other thread's start.
                expect(error, -200278, -200284, -200983, -200479)
        return blocks

    def work() -> None:
        for _ in range(50):
            task.start()
            time.sleep(0.0005)
            task.stop()

    reader = Started(read)
    try:
        Started(work).join()
    finally:
        over.set()
    assert reader.join() > 0
    Started(task.close).join()


# ---- from inside a callback ----


def register(task: Task, event: str, callback: Callable[..., int]) -> None:
    if event == "every":
        task.register_every_n_samples_acquired_into_buffer_event(10, callback)
    elif event == "done":
        task.register_done_event(callback)
    elif event == "sample":
        task.register_signal_event(Signal.SAMPLE_CLOCK, callback)
    else:
        task.register_signal_event(Signal.CHANGE_DETECTION_EVENT, callback)


def with_event(event: str, callback: Callable[..., int]) -> Task:
    task = Task()
    if event == "change":
        sim.signal("Dev1/port0/line0", sim.pulses(1000))
        changes(task)
    else:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        mode = AcquisitionType.FINITE if event == "done" else CONTINUOUS
        task.timing.cfg_samp_clk_timing(10_000, sample_mode=mode, samps_per_chan=100)
    register(task, event, callback)
    return task


@pytest.mark.parametrize("how", ["stop", "close", "abort"])
@pytest.mark.parametrize("event", ["every", "done", "sample", "change"])
def test_a_callback_ends_its_task(event: str, how: str) -> None:
    ended = threading.Event()
    calls: list[int] = []

    def callback(*arguments: object) -> int:
        calls.append(threading.get_ident())
        ENDS[how](task)
        ended.set()
        return 0

    task = with_event(event, callback)
    task.start()
    assert ended.wait(SECONDS)
    time.sleep(0.01)
    assert len(calls) == 1, "called again after the end"
    if how == "stop":
        assert Started(task.is_task_done).join()
    Started(lambda: close(task)).join()


@pytest.mark.parametrize("end", ["stop", "close", "abort"])
@pytest.mark.parametrize("event", ["every", "sample", "change"])
def test_a_task_ends_while_python_is_in_its_callback(event: str, end: str) -> None:
    """The end waits for the callback, which needs the interpreter: it must not be held meanwhile."""
    inside, finished = threading.Event(), threading.Event()

    def callback(*arguments: object) -> int:
        inside.set()
        deadline = time.monotonic() + 0.05
        while time.monotonic() < deadline:
            sum(range(100))
        finished.set()
        return 0

    task = with_event(event, callback)
    task.start()
    assert inside.wait(SECONDS)
    Started(lambda: ENDS[end](task)).join()
    assert finished.is_set(), "ended while the callback was under way"
    Started(lambda: close(task)).join()


@pytest.mark.parametrize("how", ["stop", "close"])
def test_a_callback_and_another_thread_end_a_task_at_once(how: str) -> None:
    inside, ended = threading.Event(), threading.Event()

    def callback(*arguments: object) -> int:
        inside.set()
        time.sleep(0.02)  # By now the other thread waits for this callback.
        try:
            task.control(TaskMode.TASK_STOP if how == "close" else TaskMode.TASK_ABORT)
        except DaqError as error:
            expect(error, -88709, -88710, -200088)
        ended.set()
        return 0

    task = with_event("every", callback)
    task.start()
    assert inside.wait(SECONDS)
    Started(lambda: ENDS[how](task)).join()
    assert ended.wait(SECONDS)
    Started(lambda: close(task)).join()


@pytest.mark.parametrize("how", ["stop", "close", "abort"])
def test_a_callback_ends_another_task_that_is_in_its_own_callback(how: str) -> None:
    inside, ended = threading.Event(), threading.Event()

    def slow(*arguments: object) -> int:
        inside.set()
        time.sleep(0.002)
        return 0

    def end(*arguments: object) -> int:
        assert inside.wait(SECONDS)
        ENDS[how](other)
        ended.set()
        return 0

    other, task = with_event("every", slow), Task()
    task.ai_channels.add_ai_voltage_chan("Dev2/ai0", min_val=-5, max_val=5)
    task.timing.cfg_samp_clk_timing(10_000, samps_per_chan=100)
    task.register_done_event(end)
    other.start()
    task.start()
    assert ended.wait(SECONDS)
    for one in (task, other):
        Started(lambda one=one: close(one)).join()  # type: ignore[misc]


def test_a_callback_reads_and_asks() -> None:
    """Whatever a callback may call: reads, properties of its task and other tasks, devices."""
    blocks: list[np.ndarray] = []
    enough = threading.Event()
    failed: list[BaseException] = []

    def callback(handle: object, kind: int, samples: int, data: object) -> int:
        try:
            block = np.zeros((1, samples), np.int16)
            AnalogUnscaledReader(task.in_stream).read_int16(block, samples)
            blocks.append(block[0])
            assert task.timing.samp_clk_rate == 10_000
            assert Device("Dev1").product_type == "PCIe-6363"
            with Task() as other:
                other.di_channels.add_di_chan("Dev1/port1/line0")
                other.read()
        except BaseException as error:
            failed.append(error)
            enough.set()
        if len(blocks) == 10:
            enough.set()
        return 0

    task = with_event("every", callback)
    task.start()
    assert enough.wait(SECONDS)
    Started(task.close).join()
    assert not failed
    whole = np.concatenate(blocks)
    assert np.array_equal(whole, sim.pattern(0, 0, whole.size))


# ---- any call from any thread ----


def test_a_task_goes_from_thread_to_thread() -> None:
    sim.clock("unthrottled")
    task = Started(Task).join()
    for step in (
        lambda: analog(task),
        task.start,
        lambda: task.read(10),
        lambda: task.in_stream.avail_samp_per_chan,
        task.stop,
        task.close,
    ):
        Started(step).join()
    with pytest.raises(DaqError) as error:
        Started(lambda: Task("closed").control(TaskMode.TASK_START)).join()
    assert error.value.error_code == -200478


def test_reads_of_several_threads_share_the_stream() -> None:
    sim.clock("unthrottled")
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(100_000, sample_mode=CONTINUOUS)
        task.start()

        def read() -> list[np.ndarray]:
            got = []
            for _ in range(50):
                block = np.zeros((1, 20), np.int16)
                AnalogUnscaledReader(task.in_stream).read_int16(block, 20, 10.0)
                got.append(block[0])
            return got

        readers = [Started(read) for _ in range(4)]
        got = {block.tobytes() for reader in readers for block in reader.join()}
        whole = sim.pattern(0, 0, 4 * 50 * 20).astype(np.int16).reshape(-1, 20)
        assert got == {block.tobytes() for block in whole}, "a sample was lost or given twice"


def test_every_thread_has_its_own_last_error() -> None:
    def wrong(name: str) -> str:
        with Task(name) as task:
            for _ in range(50):
                with pytest.raises(DaqError) as error:
                    task.start()
                assert f"Task Name: {name}" in str(error.value)
        return name

    threads = [Started(lambda name=f"t{number}": wrong(name)) for number in range(4)]  # type: ignore[misc]
    assert [thread.join() for thread in threads] == ["t0", "t1", "t2", "t3"]


def test_everything_at_once() -> None:
    """Tasks are made, run, read, reset and cleared on several threads while devices are listed."""
    sim.clock("unthrottled")
    allowed = {-50103, -88709, -88710, -200278, -200088, -200284, -201003}
    over = time.monotonic() + 1.0

    def use(number: int) -> int:
        runs = 0
        while time.monotonic() < over:
            task = Task()
            try:
                KINDS[(number + runs) % len(KINDS)](task)
                task.start()
                task.read(5, 1.0)
                task.stop()
            except DaqError as error:
                expect(error, *allowed)
            finally:
                task.close()
            runs += 1
        return runs

    def disturb() -> int:
        rounds = 0
        while time.monotonic() < over:
            Device("Dev1").reset_device()
            assert [device.name for device in System.local().devices] == ["Dev1", "Dev2", "Dev3"]
            sim.ledgers()
            time.sleep(0.005)
            rounds += 1
        return rounds

    threads = [Started(lambda number=number: use(number)) for number in range(4)]  # type: ignore[misc]
    threads.append(Started(disturb))
    assert all(thread.join() > 1 for thread in threads)
