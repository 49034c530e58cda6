"""Start and reference triggers, at once or when a test sends them; retriggered records."""

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Task
from nidaqmx.constants import (
    READ_ALL_AVAILABLE,
    AcquisitionType,
    Edge,
    ReadRelativeTo,
    SyncType,
    TaskMode,
    TriggerType,
    WindowTriggerCondition1,
)
from nidaqmx.stream_readers import AnalogUnscaledReader


def finite(task: Task, samples: int = 100, rate: float = 1000) -> None:
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
    task.timing.cfg_samp_clk_timing(rate, samps_per_chan=samples)


def codes(task: Task, count: int, timeout: float = 0.0) -> np.ndarray:
    out = np.zeros((1, count), np.int16)
    AnalogUnscaledReader(task.in_stream).read_int16(out, count, timeout)
    return out[0]


def test_triggers_come_at_once_by_default() -> None:
    with Task() as task:
        finite(task)
        task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
        assert task.triggers.start_trigger.trig_type == TriggerType.DIGITAL_EDGE
        assert task.triggers.start_trigger.dig_edge_src == "/Dev1/PFI0"
        assert len(task.read(READ_ALL_AVAILABLE)) == 100


@pytest.mark.usefixtures("stepped")
def test_a_task_waits_for_its_start_trigger() -> None:
    sim.hold_triggers()
    with Task() as task:
        finite(task)
        task.triggers.start_trigger.cfg_dig_edge_start_trig("PFI0", Edge.FALLING)
        task.start()
        sim.step(1.0)
        assert task.in_stream.avail_samp_per_chan == 0
        assert not task.is_task_done()
        assert sim.trigger("/Dev1/PFI3") == 0
        assert sim.trigger("/Dev1/PFI0") == 0, "the source was given without its device"
        assert sim.trigger("PFI0") == 1
        sim.step(0.05)
        assert task.in_stream.avail_samp_per_chan == 50
        sim.step(1.0)
        assert np.array_equal(codes(task, 100), sim.pattern(0, 0, 100))


@pytest.mark.usefixtures("stepped")
def test_a_delay_moves_the_first_sample() -> None:
    with Task() as task:
        finite(task)
        task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
        task.triggers.start_trigger.delay = 0.5
        task.start()
        sim.step(0.5)
        assert task.in_stream.avail_samp_per_chan == 0
        sim.step(0.01)
        assert task.in_stream.avail_samp_per_chan == 10


@pytest.mark.usefixtures("stepped")
def test_a_reference_trigger_keeps_what_was_before_it() -> None:
    sim.hold_triggers()
    with Task() as task:
        finite(task, samples=100)
        task.triggers.reference_trigger.cfg_dig_edge_ref_trig("/Dev1/PFI1", pretrigger_samples=40)
        assert task.in_stream.relative_to == ReadRelativeTo.FIRST_PRETRIGGER_SAMPLE
        task.start()
        sim.step(0.5)
        with pytest.raises(DaqError) as error:
            codes(task, 100)
        assert error.value.error_code == -200284
        sim.trigger()
        sim.step(0.059)
        assert not task.is_task_done()
        sim.step(0.001)
        assert task.is_task_done()
        assert task.in_stream.total_samp_per_chan_acquired == 560
        assert np.array_equal(codes(task, 100), sim.pattern(0, 460, 100))
        task.in_stream.relative_to = ReadRelativeTo.REFERENCE_TRIGGER
        assert np.array_equal(codes(task, 60), sim.pattern(0, 500, 60))
        task.in_stream.offset = -10
        assert np.array_equal(codes(task, 20), sim.pattern(0, 490, 20))


def test_a_reference_trigger_comes_by_itself_after_the_samples_before_it() -> None:
    with Task() as task:
        finite(task, samples=100)
        task.triggers.reference_trigger.cfg_dig_edge_ref_trig("/Dev1/PFI0", 30)
        task.start()
        task.wait_until_done(10)
        assert np.array_equal(codes(task, 100), sim.pattern(0, 0, 100))


@pytest.mark.usefixtures("stepped")
def test_every_trigger_starts_a_record() -> None:
    sim.hold_triggers()
    with Task() as task:
        finite(task, samples=10)
        task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
        task.triggers.start_trigger.retriggerable = True
        task.start()
        for record in range(3):
            sim.step(0.5)
            sim.trigger("/Dev1/PFI0")
            sim.step(0.005)
            assert task.in_stream.avail_samp_per_chan == 5
            sim.step(1.0)
            assert task.in_stream.avail_samp_per_chan == 10
            assert np.array_equal(codes(task, 10), sim.pattern(0, record * 10, 10))
        assert not task.is_task_done()


def test_retriggered_records_follow_each_other_by_themselves() -> None:
    with Task() as task:
        finite(task, samples=10)
        task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
        task.triggers.start_trigger.retriggerable = True
        task.start()
        for record in range(5):
            assert np.array_equal(codes(task, 10, 10.0), sim.pattern(0, record * 10, 10))


def test_triggers_can_be_taken_away() -> None:
    with Task() as task:
        finite(task)
        start, reference = task.triggers.start_trigger, task.triggers.reference_trigger
        start.cfg_anlg_window_start_trig(1, -1, "Dev1/ai0", WindowTriggerCondition1.ENTERING_WINDOW)
        reference.cfg_anlg_window_ref_trig("Dev1/ai0", 1, -1, 20)
        assert start.trig_type == reference.trig_type == TriggerType.ANALOG_WINDOW
        start.disable_start_trig()
        reference.disable_ref_trig()
        assert start.trig_type == reference.trig_type == TriggerType.NONE
        assert task.triggers.pause_trigger.trig_type == TriggerType.NONE


@pytest.mark.parametrize(
    ("configure", "code"),
    [
        (lambda t: t.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI99"), -89120),
        (lambda t: t.start_trigger.cfg_dig_edge_start_trig(""), -89120),
        (lambda t: t.start_trigger.cfg_anlg_edge_start_trig("Dev1/ai5"), -89120),
        (lambda t: t.reference_trigger.cfg_dig_edge_ref_trig("/Dev1/PFI0", 1), -200077),
        (lambda t: t.reference_trigger.cfg_dig_edge_ref_trig("/Dev1/PFI0", 99), -200077),
    ],
)  # fmt: skip
def test_triggers_that_cannot_be_are_refused(configure: object, code: int) -> None:
    with Task() as task:
        finite(task)

        def start() -> None:
            configure(task.triggers)  # type: ignore[operator]
            task.start()

        with pytest.raises(DaqError) as error:
            start()
        assert error.value.error_code == code


def test_a_reference_trigger_needs_a_finite_acquisition() -> None:
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        task.triggers.reference_trigger.cfg_dig_edge_ref_trig("/Dev1/PFI0", 10)
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code == -200077


@pytest.mark.usefixtures("stepped")
def test_boards_share_a_reference_clock() -> None:
    sim.configure({"A": "PXIe-6363", "B": "PXIe-6363", "U": "USB-6003"})
    with Task() as master, Task() as slave:
        for task, device in ((master, "A"), (slave, "B")):
            task.ai_channels.add_ai_voltage_chan(f"/{device}/ai0")
            assert task.timing.ref_clk_src == "None"
            task.timing.ref_clk_src = "PXIe_Clk100"
            assert task.timing.ref_clk_rate == 100e6
            task.timing.ref_clk_rate = 100_000_000
            task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        master.triggers.sync_type = SyncType.MASTER
        slave.triggers.sync_type = SyncType.SLAVE
        assert (master.triggers.sync_type, slave.triggers.sync_type) == (SyncType.MASTER, SyncType.SLAVE)
        master.control(TaskMode.TASK_COMMIT)
        slave.triggers.start_trigger.cfg_dig_edge_start_trig("/A/ai/StartTrigger")
        slave.start()
        sim.step(0.5)
        assert slave.in_stream.avail_samp_per_chan == 0
        master.start()
        sim.step(0.05)
        assert (len(master.read(50)), len(slave.read(50))) == (50, 50)
        slave.stop()
        del slave.triggers.sync_type
        assert slave.triggers.sync_type == SyncType.NONE


def test_reference_clocks_that_cannot_be_are_refused() -> None:
    sim.configure({"A": "PXIe-6363", "U": "USB-6003"})
    for device, source, code in (("A", "PXI_Clk1000", -89120), ("U", "OnboardClock", -200452)):
        with Task() as task:
            task.ai_channels.add_ai_voltage_chan(f"{device}/ai0")
            task.timing.cfg_samp_clk_timing(1000)
            task.timing.ref_clk_src = source
            with pytest.raises(DaqError) as caught:
                task.control(TaskMode.TASK_VERIFY)
            assert caught.value.error_code == code
            del task.timing.ref_clk_src
            task.control(TaskMode.TASK_VERIFY)
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("A/ai0")
        with pytest.raises(DaqError) as caught:
            task.timing.ref_clk_rate = -1.0
        assert caught.value.error_code == -200077
