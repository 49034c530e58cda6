"""Faults on demand."""

import math

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Task
from nidaqmx.constants import AcquisitionType
from nidaqmx.errors import DaqReadError
from nidaqmx.stream_readers import AnalogUnscaledReader

pytestmark = pytest.mark.usefixtures("stepped")


def running(task: Task, buffer: int = 10_000) -> AnalogUnscaledReader:
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
    task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
    task.in_stream.input_buf_size = buffer
    task.start()
    return AnalogUnscaledReader(task.in_stream)


@pytest.mark.parametrize(("kind", "code"), [("slow_bus", -200361), ("unplugged", -201003), ("reset", -88709)])
def test_a_run_that_ends_keeps_what_came_before(kind: str, code: int) -> None:
    sim.fault("Dev1", kind, after=250)
    with Task() as task:
        reader = running(task)
        sim.step(1.0)
        codes = np.zeros((1, 250), np.int16)
        reader.read_int16(codes, 250, 0)
        assert np.array_equal(codes[0], sim.pattern(0, 0, 250))
        with pytest.raises(DaqError) as error:
            reader.read_int16(codes[:, :1], 1, 0)
        assert error.value.error_code == code
        assert sim.ledger(task).produced == 250
        task.stop()
        # The fault happened once.
        task.start()
        sim.step(1.0)
        assert task.in_stream.avail_samp_per_chan == 1000


def test_a_fault_can_come_while_the_task_runs() -> None:
    with Task() as task:
        reader = running(task)
        sim.step(0.1)
        sim.fault("Dev1", "slow_bus", after=0)
        sim.step(0.1)
        with pytest.raises(DaqError) as error:
            reader.read_int16(np.zeros((1, 200), np.int16), 200, 0)
        assert error.value.error_code == -200361
        assert sim.ledger(task).produced == 100


def test_an_unplugged_device_cannot_start_until_it_is_plugged_in() -> None:
    with Task() as task:
        reader = running(task)
        sim.step(0.1)
        sim.unplug("Dev1")
        with pytest.raises(DaqError) as error:
            reader.read_int16(np.zeros((1, 200), np.int16), 200, 0)
        assert error.value.error_code == -201003
        task.stop()
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code == -201003
        sim.plug("Dev1")
        task.start()


def test_the_sample_clock_can_pause() -> None:
    sim.fault("Dev1", "clock_lost", after=100, seconds=2.0)
    with Task() as task:
        running(task)
        sim.step(1.0)
        assert task.in_stream.avail_samp_per_chan == 100
        sim.step(1.5)
        assert task.in_stream.avail_samp_per_chan == 500
    sim.fault("Dev1", "clock_lost", after=100, seconds=math.inf)
    with Task() as task:
        running(task)
        sim.step(1e6)
        assert task.in_stream.avail_samp_per_chan == 100


def test_a_late_start() -> None:
    sim.fault("Dev1", "late_start", seconds=0.5)
    with Task() as task:
        running(task)
        sim.step(0.6)
        assert task.in_stream.total_samp_per_chan_acquired == 100


def test_a_short_read_hands_over_half_and_loses_nothing() -> None:
    with Task() as task:
        reader = running(task)
        sim.step(1.0)
        sim.fault("Dev1", "short_read")
        codes = np.zeros((1, 600), np.int16)
        with pytest.raises(DaqReadError) as error:
            reader.read_int16(codes, 600, 0)
        assert (error.value.error_code, error.value.samps_per_chan_read) == (-200284, 300)
        reader.read_int16(codes, 600, 0)
        assert np.array_equal(codes[0], sim.pattern(0, 300, 600))


def test_a_stalled_reader_overflows_a_small_buffer() -> None:
    sim.clock("real", speed=10.0)
    sim.fault("Dev1", "reader_stall", seconds=1.0)
    with Task() as task:
        reader = running(task, buffer=500)
        with pytest.raises(DaqError) as error:
            reader.read_int16(np.zeros((1, 10), np.int16), 10, 10)
        assert error.value.error_code == -200279


@pytest.mark.parametrize(
    ("device", "kind", "seconds"),
    [("Dev9", "reset", 0), ("Dev1", "earthquake", 0), ("Dev1", "late_start", -1)],
)
def test_faults_that_cannot_be_are_refused(device: str, kind: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        sim.fault(device, kind, seconds=seconds)
