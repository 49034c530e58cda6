"""Callbacks: every N samples, done, signals; and ending a task from inside of one."""

import sys
import threading
import time

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Task
from nidaqmx.constants import AcquisitionType, Signal
from nidaqmx.stream_readers import AnalogUnscaledReader


def acquire(task: Task, rate: float = 10_000, samples: int | None = None) -> None:
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
    if samples is None:
        task.timing.cfg_samp_clk_timing(rate, sample_mode=AcquisitionType.CONTINUOUS)
    else:
        task.timing.cfg_samp_clk_timing(rate, samps_per_chan=samples)


def until(condition: object, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.001)


def test_every_n_samples_reads_the_stream_without_a_gap() -> None:
    codes: list[np.ndarray] = []
    with Task() as task:
        acquire(task)
        reader = AnalogUnscaledReader(task.in_stream)

        def callback(handle: object, kind: int, samples: int, data: object) -> int:
            block = np.zeros((1, samples), np.int16)
            reader.read_int16(block, samples)
            codes.append(block[0])
            return 0

        task.register_every_n_samples_acquired_into_buffer_event(200, callback)
        task.start()
        until(lambda: len(codes) >= 10)
        task.stop()
        count = len(codes)
        time.sleep(0.05)
        assert len(codes) == count, "a callback came after the stop"
    whole = np.concatenate(codes)
    assert np.array_equal(whole, sim.pattern(0, 0, whole.size))


def test_done_comes_once_with_status_zero() -> None:
    calls: list[int] = []
    with Task() as task:
        acquire(task, samples=100)

        def callback(handle: object, status: int, data: object) -> int:
            calls.append(status)
            return 0

        task.register_done_event(callback)
        task.start()
        task.wait_until_done(10)
        until(lambda: calls)
        time.sleep(0.02)
        assert calls == [0]
        task.stop()
        task.start()
        until(lambda: len(calls) == 2)


def test_done_tells_why_an_acquisition_ended() -> None:
    calls: list[int] = []
    with Task() as task:
        acquire(task)
        task.register_done_event(lambda handle, status, data: calls.append(status) or 0)
        task.start()
        sim.fault("Dev1", "slow_bus", after=500)
        until(lambda: calls)
        assert calls == [-200361]


def test_a_stop_is_no_done_event() -> None:
    calls: list[int] = []
    with Task() as task:
        acquire(task)
        task.register_done_event(lambda handle, status, data: calls.append(status) or 0)
        task.start()
        task.stop()
        time.sleep(0.02)
        assert not calls


@pytest.mark.parametrize("how", ["stop", "close"])
def test_a_callback_may_end_its_own_task(how: str) -> None:
    task = Task()
    acquire(task)
    called = threading.Event()

    def callback(handle: object, kind: int, samples: int, data: object) -> int:
        getattr(task, how)()
        called.set()
        return 0

    task.register_every_n_samples_acquired_into_buffer_event(100, callback)
    task.start()
    assert called.wait(20)
    if how == "stop":
        assert task.is_task_done()
        task.close()


def test_closing_waits_for_a_callback_that_is_under_way() -> None:
    inside, finished = threading.Event(), threading.Event()
    task = Task()
    acquire(task)

    def callback(handle: object, kind: int, samples: int, data: object) -> int:
        inside.set()
        time.sleep(0.2)
        finished.set()
        return 0

    task.register_every_n_samples_acquired_into_buffer_event(100, callback)
    task.start()
    assert inside.wait(20)
    task.close()
    assert finished.is_set()


def test_a_callback_that_raises_does_not_hurt_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    raised: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: raised.append(unraisable.exc_value))
    with Task() as task:
        acquire(task)

        def callback(handle: object, kind: int, samples: int, data: object) -> int:
            calls.append(samples)
            raise RuntimeError("from the callback")

        task.register_every_n_samples_acquired_into_buffer_event(100, callback)
        task.start()
        until(lambda: len(calls) >= 3)
        task.stop()
    assert str(raised[0]) == "from the callback"


def test_each_sample_is_a_signal() -> None:
    calls: list[int] = []
    with Task() as task:
        acquire(task, rate=1000, samples=20)
        task.register_signal_event(
            Signal.SAMPLE_CLOCK, lambda handle, signal, data: calls.append(signal) or 0
        )
        task.start()
        until(lambda: len(calls) == 20)
    assert set(calls) == {Signal.SAMPLE_CLOCK.value}


def test_what_cannot_be_registered() -> None:
    def callback(*arguments: object) -> int:
        return 0

    with Task() as task:
        acquire(task)
        register = task.register_every_n_samples_acquired_into_buffer_event
        with pytest.raises(DaqError) as error:
            register(0, callback)
        assert error.value.error_code == -200880
        register(100, callback)
        with pytest.raises(DaqError) as error:
            register(100, callback)
        assert error.value.error_code == -200881
        register(100, None)
        register(100, callback)
        task.start()
        with pytest.raises(DaqError) as error:
            task.register_done_event(callback)
        assert error.value.error_code == -200960
        with pytest.raises(DaqError) as error:
            register(100, None)
        assert error.value.error_code == -200986
        task.stop()
        with pytest.raises(DaqError) as error:
            task.register_signal_event(Signal.COUNTER_OUTPUT_EVENT, callback)
        assert error.value.error_code == -200982
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.register_every_n_samples_acquired_into_buffer_event(100, callback)
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code == -200848
