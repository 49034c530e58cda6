"""Arm start triggers of counters."""

import daqring.sim as sim
import pytest
from nidaqmx import DaqError, Task
from nidaqmx.constants import AcquisitionType, Edge, TriggerType

CONTINUOUS = AcquisitionType.CONTINUOUS
pytestmark = pytest.mark.usefixtures("stepped")


def arm(task: Task, source: str, edge: Edge = Edge.RISING) -> None:
    trigger = task.triggers.arm_start_trigger
    trigger.trig_type = TriggerType.DIGITAL_EDGE
    trigger.dig_edge_src = source
    trigger.dig_edge_edge = edge


def test_a_counter_counts_from_its_arm_start_on() -> None:
    sim.signal("/Dev1/PFI8", sim.pulses(1000))  # edges at 0.5, 1.5 ... ms
    sim.signal("/Dev1/PFI0", sim.edges([0.0102]))
    with Task() as task:
        task.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")
        arm(task, "/Dev1/PFI0")
        assert task.triggers.arm_start_trigger.trig_type == TriggerType.DIGITAL_EDGE
        assert task.triggers.arm_start_trigger.dig_edge_src == "/Dev1/PFI0"
        task.start()
        sim.step(0.010)
        assert task.read() == 0
        sim.step(0.010)
        # Of twenty edges, those at 10.5, 11.5 ... 19.5 ms.
        assert task.read() == 10


def test_a_falling_edge_arms_a_buffered_counter() -> None:
    sim.signal("/Dev1/PFI8", sim.pulses(1000))
    sim.signal("/Dev1/PFI0", sim.edges([0.001, 0.0052]))
    sim.signal("/Dev1/PFI1", sim.pulses(100))  # rising at 5, 15, 25 ms
    with Task() as task:
        task.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")
        task.timing.cfg_samp_clk_timing(100, "/Dev1/PFI1", sample_mode=CONTINUOUS)
        arm(task, "/Dev1/PFI0", Edge.FALLING)
        task.start()
        sim.step(0.030)
        # Armed at 5.2 ms: the clock at 5 ms has not counted.
        assert task.read(2, timeout=0) == [10, 20]


def test_a_counter_waits_for_the_start_of_an_analog_task() -> None:
    sim.signal("/Dev1/PFI8", sim.pulses(1000))
    with Task() as counter, Task() as analog:
        counter.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")
        arm(counter, "/Dev1/ai/StartTrigger")
        analog.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        analog.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)
        counter.start()
        sim.step(0.1)
        assert counter.read() == 0
        analog.start()
        sim.step(0.005)
        assert counter.read() == 5


def test_pulses_wait_for_their_arm_start() -> None:
    sim.signal("/Dev1/PFI0", sim.edges([0.010]))
    with Task() as pulses, Task() as counter:
        pulses.co_channels.add_co_pulse_chan_freq("Dev1/ctr0", freq=1000)
        pulses.timing.cfg_implicit_timing(sample_mode=CONTINUOUS)
        arm(pulses, "/Dev1/PFI0")
        channel = counter.ci_channels.add_ci_count_edges_chan("Dev1/ctr1")
        channel.ci_count_edges_term = "/Dev1/Ctr0InternalOutput"
        counter.start()
        pulses.start()
        sim.step(0.009)
        assert counter.read() == 0
        sim.step(0.011)
        assert counter.read() == pytest.approx(10, abs=1)


def test_a_held_arm_start_is_sent_by_the_test() -> None:
    sim.hold_triggers()
    with Task() as task:
        task.ci_channels.add_ci_period_chan("Dev1/ctr0", min_val=1e-4, max_val=1e-2)
        sim.signal("/Dev1/PFI9", sim.pulses(1000))
        arm(task, "/Dev1/PFI3")
        task.start()
        sim.step(1)
        with pytest.raises(DaqError) as caught:
            task.read(timeout=0)
        assert caught.value.error_code == -200284
        sim.trigger("/Dev1/PFI3")
        sim.step(1)
        assert task.read() == pytest.approx(1e-3)


def test_only_counters_are_armed_and_only_by_terminals() -> None:
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(1000)
        arm(task, "/Dev1/PFI0")
        with pytest.raises(DaqError) as caught:
            task.start()
        assert caught.value.error_code == -200452
    with Task() as task:
        task.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")
        arm(task, "/Dev1/PFI99")
        with pytest.raises(DaqError) as caught:
            task.start()
        assert caught.value.error_code == -89120
        trigger = task.triggers.arm_start_trigger
        with pytest.raises(DaqError) as caught:
            trigger.trig_type = TriggerType.ANALOG_EDGE
        assert caught.value.error_code == -200077
        with pytest.raises(DaqError) as caught:
            trigger._interpreter.set_trig_attribute_int32(task._handle, 0x1415, 12345)
        assert caught.value.error_code == -200077
        del trigger.trig_type
        assert trigger.trig_type == TriggerType.NONE
        task.start()
