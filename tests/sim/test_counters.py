"""Counter inputs: every measurement, of signals that are known exactly."""

import threading
import time

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Scale, Task
from nidaqmx.constants import (
    READ_ALL_AVAILABLE,
    AcquisitionType,
    AngleUnits,
    AngularVelocityUnits,
    CountDirection,
    CounterFrequencyMethod,
    Edge,
    EncoderType,
    EncoderZIndexPhase,
    FrequencyUnits,
    GpsSignalType,
    LengthUnits,
    Level,
    OverflowBehavior,
    SampleTimingType,
    TaskMode,
    TimeUnits,
    UsageTypeCI,
)
from nidaqmx.stream_readers import CounterReader
from nidaqmx.types import CtrFreq, CtrTick, CtrTime

CTR = "Dev1/ctr0"
CONTINUOUS = AcquisitionType.CONTINUOUS


def clocked(task: Task, rate: float = 1000.0) -> None:
    task.timing.cfg_samp_clk_timing(rate, sample_mode=CONTINUOUS)


def implicit(task: Task, samples: int = 1000) -> None:
    task.timing.cfg_implicit_timing(CONTINUOUS, samples)


# ---- counting edges ----


def test_edges_are_counted_at_each_sample() -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.pulses(10_000))
    with Task() as task:
        task.ci_channels.add_ci_count_edges_chan(CTR, initial_count=7)
        clocked(task)
        # Sample i is taken (i + 1) ms after the start, when ten more edges have come each time.
        assert task.read(100) == [7 + 10 * (i + 1) for i in range(100)]
        counts = np.zeros(50, np.uint32)
        CounterReader(task.in_stream).read_many_sample_uint32(counts, 50)
        assert np.array_equal(counts, 7 + 10 * np.arange(101, 151))


@pytest.mark.usefixtures("stepped")
def test_a_count_on_demand_is_that_of_now() -> None:
    sim.signal("/Dev1/PFI8", sim.pulses(1000))
    with Task() as task:
        channel = task.ci_channels.add_ci_count_edges_chan(CTR, count_direction=CountDirection.COUNT_DOWN)
        assert channel.ci_count_edges_term == "/Dev1/PFI8"
        channel.ci_count_edges_initial_cnt = 50
        task.start()
        assert task.read() == 50
        sim.step(0.0205)
        assert task.read() == 50 - 21
        assert channel.ci_count == 29
        assert not channel.ci_tc_reached
        sim.step(0.05)
        assert CounterReader(task.in_stream).read_one_sample_uint32() == 2**32 - 21
        assert channel.ci_tc_reached


@pytest.mark.usefixtures("stepped")
def test_each_read_of_a_task_that_is_not_started_counts_anew() -> None:
    sim.signal(CTR, sim.pulses(1000))
    with Task() as task:
        task.ci_channels.add_ci_count_edges_chan(CTR)
        for _ in range(3):
            sim.step(0.1)
            assert task.read() == 0


def test_falling_edges_and_a_line_that_says_the_direction() -> None:
    sim.clock("unthrottled")
    sim.signal("/Dev1/PFI8", sim.pulses(1000, 0.25))
    sim.signal("/Dev1/PFI10", sim.edges([0.05, 0.1]))
    with Task() as task:
        channel = task.ci_channels.add_ci_count_edges_chan(
            CTR, edge=Edge.FALLING, initial_count=1000, count_direction=CountDirection.EXTERNAL_SOURCE
        )
        assert channel.ci_count_edges_dir_term == "/Dev1/PFI10"
        clocked(task, 100)
        # Down while the line is low, up while it is high.
        counts = task.read(20)
        assert counts[4] in (950, 951)
        assert counts[9] == pytest.approx(1000, abs=1)
        assert counts[19] == counts[9] - 100


def test_a_gate_and_a_reset() -> None:
    sim.clock("unthrottled")
    sim.signal("/Dev1/PFI8", sim.pulses(10_000))
    sim.signal("/Dev1/PFI9", sim.pulses(100, 0.3))
    with Task() as task:
        channel = task.ci_channels.add_ci_count_edges_chan(CTR)
        channel.ci_count_edges_gate_enable = True
        assert channel.ci_count_edges_gate_when == Level.HIGH
        clocked(task, 100)
        assert task.read(10) == [30 * (i + 1) for i in range(10)]
        task.stop()
        channel.ci_count_edges_gate_when = Level.LOW
        assert task.read(10) == [70 * (i + 1) for i in range(10)]
        task.stop()
        channel.ci_count_edges_gate_enable = False
        channel.ci_count_edges_count_reset_enable = True
        channel.ci_count_edges_count_reset_reset_cnt = 1000
        assert task.read(10) == [1030] * 10


# ---- frequency and period ----


@pytest.mark.parametrize("duty", [0.1, 0.5])
def test_frequency_with_one_counter(duty: float) -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.pulses(12_500, duty))
    with Task() as task:
        channel = task.ci_channels.add_ci_freq_chan(CTR, min_val=1000, max_val=100_000)
        assert channel.ci_meas_type == UsageTypeCI.FREQUENCY
        assert channel.ci_freq_term == "/Dev1/PFI9"
        assert channel.ci_ctr_timebase_rate == 100e6
        implicit(task)
        assert task.timing.samp_timing_type == SampleTimingType.IMPLICIT
        assert task.read(100) == [12_500.0] * 100
        ticks = np.zeros(10, np.uint32)
        CounterReader(task.in_stream).read_many_sample_uint32(ticks, 10)
        assert ticks.tolist() == [8000] * 10


def test_a_measurement_is_rounded_to_ticks_as_on_hardware() -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.pulses(3e6))
    with Task() as task:
        task.ci_channels.add_ci_freq_chan(CTR, min_val=1e6, max_val=10e6)
        implicit(task)
        values = set(task.read(1000))
        assert values == {100e6 / 33, 100e6 / 34}


def test_the_timebase_follows_the_range() -> None:
    with Task() as task:
        slow = task.ci_channels.add_ci_freq_chan("Dev1/ctr0", min_val=0.01, max_val=1)
        assert slow.ci_ctr_timebase_rate == 20e6
        assert slow.ci_ctr_timebase_src == "/Dev1/20MHzTimebase"
        slowest = task.ci_channels.add_ci_period_chan("Dev1/ctr1", min_val=1, max_val=1000)
        assert slowest.ci_ctr_timebase_rate == 100e3


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (CounterFrequencyMethod.HIGH_FREQUENCY_2_COUNTERS, 3e6),
        (CounterFrequencyMethod.LARGE_RANGE_2_COUNTERS, 3e6),
    ],
)
def test_frequency_with_two_counters(method: CounterFrequencyMethod, expected: float) -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.pulses(3e6))
    with Task() as task:
        task.ci_channels.add_ci_freq_chan(
            CTR, min_val=1e5, max_val=10e6, meas_method=method, meas_time=0.001, divisor=3000
        )
        implicit(task)
        assert task.read(10) == [expected] * 10


def test_two_counters_need_two_counters() -> None:
    with Task() as task, Task() as other:
        task.ci_channels.add_ci_freq_chan(
            CTR, min_val=1e5, max_val=10e6, meas_method=CounterFrequencyMethod.HIGH_FREQUENCY_2_COUNTERS
        )
        task.start()
        other.ci_channels.add_ci_count_edges_chan("Dev1/ctr1")
        with pytest.raises(DaqError) as error:
            other.start()
        assert error.value.error_code == -50103


def test_periods_in_seconds_ticks_and_a_custom_scale() -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.pulses(8000))
    for units, expected in [(TimeUnits.SECONDS, 125e-6), (TimeUnits.TICKS, 12_500)]:
        limits = (1e-6, 0.1) if units == TimeUnits.SECONDS else (2, 1e6)
        with Task() as task:
            task.ci_channels.add_ci_period_chan(CTR, min_val=limits[0], max_val=limits[1], units=units)
            implicit(task)
            assert task.read(5) == [expected] * 5
    Scale.create_lin_scale("in_microseconds", 1e6)
    with Task() as task:
        task.ci_channels.add_ci_period_chan(
            CTR, units=TimeUnits.FROM_CUSTOM_SCALE, custom_scale_name="in_microseconds"
        )
        implicit(task)
        assert task.read(2) == pytest.approx([125.0, 125.0])


# ---- pulses ----


def test_pulse_width_and_semi_periods() -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.pulses(1000, 0.2))
    for edge, expected in [(Edge.RISING, 200e-6), (Edge.FALLING, 800e-6)]:
        with Task() as task:
            task.ci_channels.add_ci_pulse_width_chan(CTR, starting_edge=edge)
            implicit(task)
            assert task.read(20) == pytest.approx([expected] * 20)
    with Task() as task:
        channel = task.ci_channels.add_ci_semi_period_chan(CTR)
        implicit(task)
        assert task.read(6) == pytest.approx([200e-6, 800e-6] * 3)
        task.stop()
        channel.ci_semi_period_starting_edge = Edge.FALLING
        assert task.read(6) == pytest.approx([800e-6, 200e-6] * 3)


def test_pulses_as_frequency_time_and_ticks() -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.pulses(4000, 0.25))
    with Task() as task:
        task.ci_channels.add_ci_pulse_chan_freq(CTR)
        implicit(task)
        assert task.read(3) == [CtrFreq(4000.0, 0.25)] * 3
        reader = CounterReader(task.in_stream)
        frequencies, duty_cycles = np.zeros(10), np.zeros(10)
        assert reader.read_many_sample_pulse_frequency(frequencies, duty_cycles, 10) == 10
        assert set(frequencies) == {4000.0}
        assert set(duty_cycles) == {0.25}
        assert reader.read_one_sample_pulse_frequency() == CtrFreq(4000.0, 0.25)
    with Task() as task:
        task.ci_channels.add_ci_pulse_chan_time(CTR)
        implicit(task)
        assert task.read() == CtrTime(pytest.approx(62.5e-6), pytest.approx(187.5e-6))
        assert task.read(2)[1].high_time == pytest.approx(62.5e-6)
    with Task() as task:
        channel = task.ci_channels.add_ci_pulse_chan_ticks(CTR)
        implicit(task)
        assert task.read(2) == [CtrTick(6250, 18750)] * 2
        assert CounterReader(task.in_stream).read_one_sample_pulse_ticks() == CtrTick(6250, 18750)
        task.stop()
        channel.ci_pulse_ticks_starting_edge = Edge.FALLING
        assert task.read(2) == [CtrTick(6250, 18750)] * 2


def test_ticks_of_a_source_of_ones_own() -> None:
    sim.clock("unthrottled")
    sim.signal("/Dev1/PFI9", sim.pulses(1000, 0.5))
    sim.signal("/Dev1/PFI3", sim.pulses(50_000))
    with Task() as task:
        task.ci_channels.add_ci_pulse_chan_ticks(CTR, source_terminal="/Dev1/PFI3")
        implicit(task)
        assert task.read(3) == [CtrTick(25, 25)] * 3


def test_functions_read_the_pulses_they_are_for() -> None:
    with Task() as task:
        task.ci_channels.add_ci_freq_chan(CTR)
        with pytest.raises(DaqError) as error:
            CounterReader(task.in_stream).read_one_sample_pulse_time()
        assert error.value.error_code == -200466
        assert "Dev1/ctr0" in str(error.value)


def test_two_edge_separation() -> None:
    sim.clock("unthrottled")
    sim.signal("/Dev1/PFI10", sim.pulses(100, 0.5))
    sim.signal("/Dev1/PFI9", sim.pulses(100, 0.5, delay=0.003))
    with Task() as task:
        channel = task.ci_channels.add_ci_two_edge_sep_chan(CTR, second_edge=Edge.RISING)
        assert channel.ci_two_edge_sep_first_term == "/Dev1/PFI10"
        implicit(task)
        assert task.read(10) == pytest.approx([0.003] * 10)
        task.stop()
        channel.ci_two_edge_sep_second_edge = Edge.FALLING
        assert task.read(10) == pytest.approx([0.008] * 10)


def test_duty_cycle() -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.pulses(1000, 0.75))
    with Task() as task:
        task.ci_channels.add_ci_duty_cycle_chan(CTR, min_freq=100, max_freq=10_000)
        implicit(task)
        assert task.read(5) == [0.75] * 5


# ---- encoders ----


@pytest.mark.parametrize(
    ("decoding", "counts"), [(EncoderType.X_1, 1), (EncoderType.X_2, 2), (EncoderType.X_4, 4)]
)
@pytest.mark.parametrize("speed", [1000, -1000])
def test_an_angular_encoder(decoding: EncoderType, counts: int, speed: int) -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.encoder(speed))
    with Task() as task:
        channel = task.ci_channels.add_ci_ang_encoder_chan(
            CTR, decoding_type=decoding, pulses_per_rev=100, initial_angle=90.0
        )
        assert channel.ci_encoder_a_input_term == "/Dev1/PFI8"
        assert channel.ci_encoder_b_input_term == "/Dev1/PFI10"
        clocked(task, 10)
        angles = np.array(task.read(10))
        # Ten revolutions a second: one between two samples.
        assert np.diff(angles) == pytest.approx(np.full(9, np.sign(speed) * 360.0))
        assert angles[0] == pytest.approx(90 + np.sign(speed) * 360, abs=360 / 100)
        task.stop()
        channel.ci_ang_encoder_units = AngleUnits.TICKS
        assert np.diff(task.read(3)) == pytest.approx(np.full(2, np.sign(speed) * 100 * counts))


@pytest.mark.usefixtures("stepped")
def test_calls_are_answered_while_a_fast_encoder_is_counted() -> None:
    sim.signal("/Dev1/PFI8", sim.pulses(10e6))
    sim.signal("/Dev1/PFI10", sim.pulses(10e6, delay=25e-9))
    counts = []
    with Task() as task:
        channel = task.ci_channels.add_ci_ang_encoder_chan(CTR, decoding_type=EncoderType.X_4)
        task.start()
        # Four million changes to look at.
        sim.step(0.1)
        thread = threading.Thread(target=lambda: counts.append(channel.ci_count))
        thread.start()
        # Where one call waits for the count, the thread has it long before the last call.
        for _ in range(20):
            task.is_task_done()
            time.sleep(0.01)
        assert thread.is_alive()
        thread.join()
    assert counts == [pytest.approx(4_000_000, abs=2)]


def test_a_fast_signal_with_a_slow_gate_and_a_slow_direction() -> None:
    sim.clock("unthrottled")
    sim.signal("/Dev1/PFI8", sim.pulses(10e6))
    sim.signal("/Dev1/PFI9", sim.pulses(1, 0.5))
    with Task() as task:
        channel = task.ci_channels.add_ci_count_edges_chan(CTR)
        channel.ci_count_edges_gate_enable = True
        clocked(task, 0.1)
        # A billion edges, half of them let through.
        assert task.read(10, 2000) == [50_000_000 * (i + 1) for i in range(10)]


def test_an_encoder_that_turns_back() -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.encoder([(1.0, 500.0), (0.5, -2000.0)]))
    with Task() as task:
        task.ci_channels.add_ci_lin_encoder_chan(CTR, dist_per_pulse=0.001, initial_pos=1.0)
        clocked(task, 10)
        positions = task.read(20)
        assert positions[9] == pytest.approx(1.0 + 0.5, abs=0.0005)
        assert positions[14] == pytest.approx(1.0 - 0.5, abs=0.0005)
        assert positions[19] == positions[14]


@pytest.mark.parametrize("phase", list(EncoderZIndexPhase))
def test_the_index_sets_the_position(phase: EncoderZIndexPhase) -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.encoder(1000, index_every=250))
    with Task() as task:
        task.ci_channels.add_ci_ang_encoder_chan(
            CTR, zidx_enable=True, zidx_val=0.0, zidx_phase=phase, pulses_per_rev=250, initial_angle=180.0
        )
        clocked(task, 10)
        angles = task.read(12)
        assert angles[1] == pytest.approx(180 + 0.2 * 4 * 360, abs=3)
        assert angles[2] == pytest.approx((0.3 - 0.25) * 4 * 360, abs=3)
        assert angles[11] == pytest.approx((1.2 - 1.0) * 4 * 360, abs=3)


def test_two_pulse_counting() -> None:
    sim.clock("unthrottled")
    sim.signal("/Dev1/PFI8", sim.pulses(300))
    sim.signal("/Dev1/PFI10", sim.pulses(100))
    with Task() as task:
        task.ci_channels.add_ci_lin_encoder_chan(
            CTR, decoding_type=EncoderType.TWO_PULSE_COUNTING, units=LengthUnits.TICKS, dist_per_pulse=1.0
        )
        clocked(task, 10)
        assert task.read(5) == [20.0, 40.0, 60.0, 80.0, 100.0]


def test_velocities() -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.encoder(-1000))
    with Task() as task:
        channel = task.ci_channels.add_ci_ang_velocity_chan(CTR, min_val=0, max_val=1e4, pulses_per_rev=500)
        clocked(task, 10)
        assert task.read(5) == pytest.approx([-120.0] * 5)
        task.stop()
        channel.ci_velocity_ang_encoder_units = AngularVelocityUnits.DEGREES_PER_SECOND
        assert task.read(5) == pytest.approx([-720.0] * 5)
    with Task() as task:
        task.ci_channels.add_ci_lin_velocity_chan(CTR, dist_per_pulse=0.002)
        clocked(task, 10)
        assert task.read(5) == pytest.approx([-2.0] * 5)


@pytest.mark.usefixtures("stepped")
def test_timestamps() -> None:
    with Task() as task:
        channel = task.ci_channels.add_ci_gps_timestamp_chan(CTR, sync_method=GpsSignalType.PPS)
        channel.ci_timestamp_initial_seconds = 1000
        task.start()
        sim.step(2.5)
        assert task.read() == pytest.approx(1002.5)
        assert CounterReader(task.in_stream).read_one_sample_uint32() == 1002
    with Task() as task:
        task.ci_channels.add_ci_gps_timestamp_chan(CTR, sync_method=GpsSignalType.IRIGB)
        assert 0 <= task.read() < 366 * 86_400


# ---- time ----


@pytest.mark.usefixtures("stepped")
def test_a_measurement_comes_with_its_last_edge() -> None:
    sim.signal(CTR, sim.pulses(100, 0.5))
    with Task() as task:
        task.ci_channels.add_ci_freq_chan(CTR, min_val=10, max_val=1000)
        implicit(task)
        task.start()
        sim.step(0.0149)
        assert task.in_stream.avail_samp_per_chan == 0
        sim.step(0.0002)
        assert task.in_stream.avail_samp_per_chan == 1
        sim.step(1.0)
        assert task.in_stream.total_samp_per_chan_acquired == 101
        with pytest.raises(DaqError) as error:
            task.read(200, timeout=0)
        assert error.value.error_code == -200284
        assert error.value.samps_per_chan_read == 101


@pytest.mark.usefixtures("stepped")
def test_on_demand_a_read_waits_for_the_first_measurement() -> None:
    sim.signal(CTR, sim.pulses(100))
    with Task() as task:
        task.ci_channels.add_ci_freq_chan(CTR, min_val=10, max_val=1000)
        task.start()
        with pytest.raises(DaqError) as error:
            task.read(timeout=0)
        assert error.value.error_code == -200284
        sim.step(0.02)
        assert task.read(timeout=0) == 100.0


def test_a_finite_number_of_measurements() -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.pulses(1000, count=50))
    with Task() as task:
        task.ci_channels.add_ci_period_chan(CTR)
        task.timing.cfg_implicit_timing(AcquisitionType.FINITE, 49)
        task.start()
        task.wait_until_done()
        assert task.read(READ_ALL_AVAILABLE) == [0.001] * 49
    with Task() as task:
        task.ci_channels.add_ci_period_chan(CTR)
        task.timing.cfg_implicit_timing(AcquisitionType.FINITE, 50)
        task.start()
        assert not task.is_task_done()
        with pytest.raises(DaqError) as error:
            task.read(50, timeout=0.01)
        assert error.value.error_code == -200284
        assert error.value.samps_per_chan_read == 49


def test_a_clock_takes_the_last_measurement() -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.pulses(1000))
    with Task() as task:
        task.ci_channels.add_ci_freq_chan(CTR, min_val=100, max_val=10_000)
        clocked(task, 100)
        assert task.read(20) == [1000.0] * 20


def test_a_clock_that_is_too_fast_for_the_measurements() -> None:
    sim.clock("unthrottled")
    sim.signal(CTR, sim.pulses(100))
    with Task() as task:
        task.ci_channels.add_ci_period_chan(CTR)
        clocked(task, 1000)
        with pytest.raises(DaqError) as error:
            task.read(100)
        assert error.value.error_code == -201314
    with Task() as task:
        task.ci_channels.add_ci_period_chan(CTR)
        clocked(task, 1000)
        task.timing.samp_clk_overrun_behavior = OverflowBehavior.IGNORE_OVERRUNS
        values = task.read(100)
        assert set(values) == {0.0, 0.01}
        assert values[-1] == 0.01


def test_events_of_measurements() -> None:
    sim.clock("real", 10.0)
    sim.signal(CTR, sim.pulses(1000))
    seen: list[int] = []
    with Task() as task:
        task.ci_channels.add_ci_period_chan(CTR)
        task.timing.cfg_implicit_timing(AcquisitionType.FINITE, 200)

        def called(handle: object, kind: int, samples: int, data: object) -> int:
            seen.append(samples)
            task.read(samples)
            return 0

        task.register_every_n_samples_acquired_into_buffer_event(50, called)
        task.start()
        task.wait_until_done()
        task.stop()
    assert seen[:3] == [50, 50, 50]


# ---- without a digital signal ----


def test_counters_without_a_signal_take_numbers() -> None:
    sim.clock("unthrottled")
    sim.signal(None, "sine")
    with Task() as task:
        task.ci_channels.add_ci_freq_chan(CTR)
        implicit(task)
        assert task.read(5) == [0.0] * 5
    sim.signal(CTR, 42.5)
    with Task() as task:
        task.ci_channels.add_ci_freq_chan(CTR)
        assert task.read() == 42.5
    sim.signal(CTR, "pattern")
    with Task() as task:
        task.ci_channels.add_ci_pulse_chan_ticks(CTR)
        implicit(task)
        assert task.read(3) == [CtrTick(0, 0), CtrTick(1, 1), CtrTick(2, 2)]


# ---- what is refused ----


@pytest.mark.parametrize(
    ("add", "code"),
    [
        (lambda c: c.add_ci_freq_chan(CTR, min_val=100, max_val=1), -200527),
        (lambda c: c.add_ci_freq_chan(CTR, min_val=1, max_val=1e9), -200139),
        (lambda c: c.add_ci_period_chan(CTR, min_val=1e-6, max_val=1e6), -200138),
        (lambda c: c.add_ci_period_chan(CTR, min_val=1e-12, max_val=1), -200138),
        (lambda c: c.add_ci_freq_chan("Dev1/ctr9"), -200170),
        (lambda c: c.add_ci_freq_chan("Dev1/ai0"), -200430),
        (lambda c: c.add_ci_freq_chan("Dev3/ctr0"), -200431),
        (lambda c: c.add_ci_freq_chan("Dev2/none"), -200170),
        (lambda c: c.add_ci_freq_chan(""), -200170),
        (lambda c: c.add_ci_freq_chan(CTR, divisor=3), -200077),
        (lambda c: c.add_ci_freq_chan(CTR, meas_time=0.0), -200077),
        (lambda c: c.add_ci_ang_encoder_chan(CTR, pulses_per_rev=0), -200077),
        (lambda c: c.add_ci_lin_encoder_chan(CTR, dist_per_pulse=0.0), -200077),
        (lambda c: c.add_ci_freq_chan(CTR, units=FrequencyUnits.FROM_CUSTOM_SCALE), -200378),
        (
            lambda c: c.add_ci_freq_chan(
                CTR, units=FrequencyUnits.FROM_CUSTOM_SCALE, custom_scale_name="none"
            ),
            -200378,
        ),
    ],
)
def test_channels_that_cannot_be_are_refused(add: object, code: int) -> None:
    with Task() as task:
        with pytest.raises(DaqError) as error:
            add(task.ci_channels)  # type: ignore[operator]
        assert error.value.error_code == code
        assert not task.channel_names


def test_attributes_are_checked() -> None:
    with Task() as task:
        channel = task.ci_channels.add_ci_freq_chan(CTR)
        with pytest.raises(DaqError) as error:
            channel.ci_freq_div = 1
        assert error.value.error_code == -200077
        assert "FreqDiv" in str(error.value)
        with pytest.raises(DaqError) as error:
            _ = channel.ci_encoder_decoding_type
        assert error.value.error_code == -200452
        channel.ci_freq_dig_fltr_enable = True
        channel.ci_freq_dig_fltr_min_pulse_width = 5.12e-6
        assert channel.ci_freq_dig_fltr_enable
        channel.ci_freq_term = "/Dev1/PFI99"
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code == -89120
        del channel.ci_freq_term
        assert channel.ci_freq_term == "/Dev1/PFI9"
        channel.ci_freq_term = "/Dev1/PFI2"
        task.control(TaskMode.TASK_VERIFY)


@pytest.mark.parametrize(
    ("add", "timing", "code"),
    [
        (lambda t: t.ci_channels.add_ci_count_edges_chan(CTR), implicit, -200077),
        (lambda t: t.ci_channels.add_ci_lin_encoder_chan(CTR), implicit, -200077),
        (lambda t: t.ai_channels.add_ai_voltage_chan("Dev1/ai0"), implicit, -200077),
        (lambda t: t.ci_channels.add_ci_period_chan("Dev1/ctr0:1"), implicit, -201317),
        (lambda t: t.ci_channels.add_ci_count_edges_chan("Dev1/ctr0:1"), clocked, -201317),
    ],
)
def test_timing_that_cannot_be_is_refused(add: object, timing: object, code: int) -> None:
    with Task() as task:
        add(task)  # type: ignore[operator]
        timing(task)  # type: ignore[operator]
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code == code


@pytest.mark.parametrize(
    "signal",
    [
        lambda: sim.pulses(0),
        lambda: sim.pulses(2e9),
        lambda: sim.pulses(float("nan")),
        lambda: sim.pulses(100, 0.0),
        lambda: sim.pulses(100, 1.0),
        lambda: sim.pulses(100, delay=-1.0),
        lambda: sim.edges([0.0]),
        lambda: sim.edges([0.2, 0.1]),
        lambda: sim.edges([0.1], repeat=1.0),
        lambda: sim.edges([0.1, 0.2], repeat=0.15),
        lambda: sim.encoder(0),
        lambda: sim.encoder([(0.0, 1.0)]),
        lambda: sim.encoder(100, index_every=1),
    ],
)
def test_signals_that_cannot_be_are_refused(signal: object) -> None:
    with pytest.raises(ValueError, match=r"\."):
        sim.signal(CTR, signal())  # type: ignore[operator]
    with pytest.raises(ValueError, match="neither a device"):
        sim.signal("/Dev1/PFI77", sim.pulses(1))
