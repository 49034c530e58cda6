"""Change detection, digital waveforms, patterns, pause triggers, and triggers that look at signals."""

import datetime
import threading
import time

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Task
from nidaqmx.constants import (
    READ_ALL_AVAILABLE,
    AcquisitionType,
    ActiveLevel,
    DigitalPatternCondition,
    Edge,
    Level,
    LineGrouping,
    SampleTimingType,
    Signal,
    Slope,
    TimestampEvent,
    TriggerType,
    WindowTriggerCondition1,
    WindowTriggerCondition2,
)
from nidaqmx.stream_readers import (
    AnalogUnscaledReader,
    DigitalMultiChannelReader,
    DigitalSingleChannelReader,
)
from nidaqmx.system import PhysicalChannel

CONTINUOUS = AcquisitionType.CONTINUOUS
LINES = LineGrouping.CHAN_FOR_ALL_LINES


def codes(task: Task, count: int, timeout: float = 0.0) -> np.ndarray:
    out = np.zeros((1, count), np.int16)
    AnalogUnscaledReader(task.in_stream).read_int16(out, count, timeout)
    return out[0]


def analog(task: Task, samples: int = 100, rate: float = 1000, mode: AcquisitionType = CONTINUOUS) -> None:
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0", min_val=-10, max_val=10)
    task.timing.cfg_samp_clk_timing(rate, sample_mode=mode, samps_per_chan=samples)


def first_crossing(level: float, rising: bool = True, earliest: int = 0) -> int:
    """Where the pattern of channel 0 crosses a voltage, found independently of the simulator."""
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0", min_val=-10, max_val=10)
        task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)
        volts = np.array(task.read(150_000, 1000))
    before, after = (
        (volts[:-1] < level, volts[1:] >= level) if rising else (volts[:-1] > level, volts[1:] <= level)
    )
    found = np.nonzero(before & after)[0] + 1
    return int(found[found >= earliest][0])


# ---- change detection ----


@pytest.mark.usefixtures("unthrottled")
def test_a_sample_at_each_change() -> None:
    sim.signal("Dev1/port0/line0", sim.pulses(1000, 0.5))
    sim.signal("Dev1/port0/line1", sim.pulses(250, 0.5))
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0:1", line_grouping=LINES)
        task.timing.cfg_change_detection_timing("Dev1/port0/line0", "Dev1/port0/line1", CONTINUOUS)
        assert task.timing.samp_timing_type == SampleTimingType.CHANGE_DETECTION
        assert task.timing.change_detect_di_rising_edge_physical_chans.name == "Dev1/port0/line0"
        # Rising edges of line 0 at 0.5, 1.5 ... ms; falling edges of line 1 at 4, 8 ... ms.
        assert task.read(10) == [1, 1, 3, 3, 0, 1, 1, 3, 3, 0]
        assert not task.in_stream.change_detect_overflowed


@pytest.mark.usefixtures("unthrottled")
def test_a_buffer_larger_than_what_is_looked_at_at_once() -> None:
    sim.signal("Dev1/port0/line0", sim.pulses(1000, 0.5))
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0")
        task.timing.cfg_change_detection_timing("Dev1/port0/line0", "Dev1/port0/line0", CONTINUOUS)
        task.in_stream.input_buf_size = 1_000_000_000
        assert task.read(4) == [True, False, True, False]
        # Not all that the buffer could hold was worked out for them.
        assert 0 < task.in_stream.avail_samp_per_chan < 1_000_000


@pytest.mark.usefixtures("unthrottled")
def test_calls_are_answered_while_the_event_thread_is_behind() -> None:
    for line in range(8):
        sim.signal(f"Dev1/port0/line{line}", sim.pulses(10e6, delay=line * 7e-9))
    called = threading.Event()
    calls = []

    def on_change(task: Task, signal: Signal, data: object) -> int:
        calls.append(signal)
        called.set()
        return 0

    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0", line_grouping=LINES)
        lines = "Dev1/port0/line0:7"
        task.timing.cfg_change_detection_timing(lines, lines, CONTINUOUS)
        task.in_stream.input_buf_size = 10_000_000
        task.register_signal_event(Signal.CHANGE_DETECTION_EVENT, on_change)
        task.start()
        assert called.wait(60)
        # Ten million changes are to be worked out and told; nobody waits for that.
        assert not task.is_task_done()
        first = task.in_stream.total_samp_per_chan_acquired
        task.stop()
        assert 0 < first < 10_000_000
        assert len(calls) < 10_000_000


@pytest.mark.usefixtures("stepped")
def test_a_step_with_very_many_changes_is_exact() -> None:
    sim.signal("Dev1/port0/line0", sim.pulses(1e6))
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0", line_grouping=LINES)
        task.timing.cfg_change_detection_timing("Dev1/port0/line0", "Dev1/port0/line0", CONTINUOUS)
        task.in_stream.input_buf_size = 1_000_000
        task.start()
        sim.step(0.25)
        assert task.in_stream.total_samp_per_chan_acquired == 500_000
        assert task.read(READ_ALL_AVAILABLE) == [True, False] * 250_000


@pytest.mark.usefixtures("stepped")
def test_changes_come_in_their_time_and_by_themselves() -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0", line_grouping=LINES)
        task.timing.cfg_change_detection_timing("Dev1/port0/line0", "Dev1/port0/line0", CONTINUOUS)
        task.start()
        sim.step(0.0505)
        # Without a signal the port counts a thousand times a second.
        assert task.in_stream.avail_samp_per_chan == 50
        expected = [index * 0x01010101 for index in range(1, 51)]
        assert task.read(READ_ALL_AVAILABLE) == expected


def test_changes_call_the_program() -> None:
    sim.signal("Dev1/port0/line3", sim.pulses(200, count=10))
    calls = []
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line3", line_grouping=LINES)
        task.timing.cfg_change_detection_timing("Dev1/port0/line3", "", AcquisitionType.FINITE, 10)
        task.register_signal_event(
            Signal.CHANGE_DETECTION_EVENT, lambda task, signal, data: calls.append(signal) or 0
        )
        done = []
        task.register_done_event(lambda task, status, data: done.append(status) or 0)
        task.start()
        task.wait_until_done(10)
        values = task.read(10)
        for _ in range(100):
            if done:
                break
            time.sleep(0.01)
    assert values == [True] * 10 or values == [8] * 10
    assert calls == [Signal.CHANGE_DETECTION_EVENT.value] * 10
    assert done == [0]


@pytest.mark.usefixtures("unthrottled")
def test_changes_that_come_too_fast_are_told() -> None:
    sim.signal("Dev1/port0/line0", sim.pulses(20e6))
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0", line_grouping=LINES)
        task.timing.cfg_change_detection_timing("Dev1/port0/line0", "Dev1/port0/line0", CONTINUOUS)
        task.read(100)
        assert task.in_stream.change_detect_overflowed


@pytest.mark.parametrize(
    ("lines", "rising", "code"),
    [
        ("Dev1/port0/line0", "", -200751),
        ("Dev1/port0/line0", "Dev1/port0/line1", -200926),
        ("Dev1/port1/line0", "Dev1/port1/line0", -200077),
        ("Dev1/port0/line0", "Dev1/ai0", -200430),
        ("Dev1/port0/line0", "Dev1/port9", -200170),
    ],
)
def test_changes_that_cannot_be_detected_are_refused(lines: str, rising: str, code: int) -> None:
    with Task() as task:
        task.di_channels.add_di_chan(lines, line_grouping=LINES)
        task.timing.cfg_change_detection_timing(rising, "", CONTINUOUS)
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code in (code, -201020)


def test_the_event_of_changes_needs_their_timing() -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0", line_grouping=LINES)
        task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)
        task.register_signal_event(Signal.CHANGE_DETECTION_EVENT, lambda *args: 0)
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code == -200982


@pytest.mark.parametrize(
    "configure",
    [
        lambda t: t.cfg_handshaking_timing(CONTINUOUS),
        lambda t: t.cfg_burst_handshaking_timing_import_clock(1e6, "/Dev1/PFI0"),
        lambda t: t.cfg_burst_handshaking_timing_export_clock(1e6, "/Dev1/PFI0"),
        lambda t: t.cfg_pipelined_samp_clk_timing(1e6, sample_mode=CONTINUOUS),
    ],
)
def test_timing_that_the_device_does_not_have_is_refused(configure: object) -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0", line_grouping=LINES)
        configure(task.timing)  # type: ignore[operator]
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code == -200077
        assert "DAQmx_Val_ChangeDetection" in str(error.value)


# ---- digital signals and waveforms ----


@pytest.mark.usefixtures("unthrottled")
def test_lines_show_their_signals() -> None:
    sim.signal("Dev1/port0/line2", sim.pulses(100, 0.25))
    with Task() as task:
        channel = task.di_channels.add_di_chan("Dev1/port0/line2:3", line_grouping=LINES)
        task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)
        values = np.array(task.read(40))
        # Sample i is taken at (i + 1) ms; each period of 10 ms is low for 7.5 ms first.
        high = (np.arange(1, 41) % 10 >= 7.5).astype(int)
        assert np.array_equal(values & 4, high * 4)
        task.stop()
        channel.di_invert_lines = True
        assert np.array_equal(np.array(task.read(40)) & 4, (1 - high) * 4)


@pytest.mark.usefixtures("unthrottled")
def test_a_waveform_of_one_channel() -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0:2", line_grouping=LINES)
        task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)
        waveform = task.read_waveform(16)
        assert waveform.sample_count == 16
        assert waveform.signal_count == 3
        for line in range(3):
            expected = np.arange(16) >> line & 1
            assert np.array_equal(waveform.signals[line].data, expected)
            assert waveform.signals[line].name == f"Dev1/port0/line{line}"
        assert waveform.timing.sample_interval.total_seconds() == pytest.approx(0.001)


@pytest.mark.usefixtures("unthrottled")
def test_waveforms_of_several_channels() -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0:3", line_grouping=LINES)
        task.di_channels.add_di_chan("Dev1/port0/line4", line_grouping=LINES)
        task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)
        first, second = task.read_waveform(64)
        assert (first.signal_count, second.signal_count) == (4, 1)
        assert np.array_equal(first.signals[3].data, np.arange(64) >> 3 & 1)
        assert np.array_equal(second.signals[0].data, np.arange(64) >> 4 & 1)
        again = task.read_waveform(10)
        assert again[0].timing.timestamp > first.timing.timestamp


@pytest.mark.parametrize(
    ("method", "dtype", "lines"),
    [
        ("read_many_sample_port_byte", np.uint8, 8),
        ("read_many_sample_port_uint16", np.uint16, 16),
        ("read_many_sample_port_uint32", np.uint32, 32),
    ],
)
@pytest.mark.usefixtures("unthrottled")
def test_every_width_of_several_channels(method: str, dtype: type, lines: int) -> None:
    with Task() as task:
        task.di_channels.add_di_chan(f"Dev1/port0/line0:{lines - 1}", line_grouping=LINES)
        task.di_channels.add_di_chan("Dev1/port0/line0:2", "three", line_grouping=LINES)
        task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)
        values = np.zeros((2, 300), dtype)
        getattr(DigitalMultiChannelReader(task.in_stream), method)(values, 300)
        count = np.arange(300, dtype=np.uint64) & np.uint64(0xFF)
        whole = sum(count << np.uint64(shift) for shift in range(0, lines, 8))
        assert np.array_equal(values[0], np.asarray(whole, dtype))
        assert np.array_equal(values[1], (np.arange(300) & 7).astype(dtype))


@pytest.mark.usefixtures("unthrottled")
def test_single_samples_of_every_kind() -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LINES)
        task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)
        reader = DigitalSingleChannelReader(task.in_stream)
        assert reader.read_one_sample_port_byte() == 0
        assert reader.read_one_sample_port_uint16() == 1
        assert reader.read_one_sample_port_uint32() == 2
        bits = np.zeros(8, bool)
        reader.read_one_sample_multi_line(bits)
        assert bits.tolist() == [True, True] + [False] * 6
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0", line_grouping=LineGrouping.CHAN_PER_LINE)
        reader = DigitalSingleChannelReader(task.in_stream)
        assert [reader.read_one_sample_one_line() for _ in range(4)] == [False, True, False, True]


# ---- triggers that look at signals ----


@pytest.mark.parametrize("slope", [Slope.RISING, Slope.FALLING])
@pytest.mark.usefixtures("unthrottled")
def test_an_analog_start_trigger_is_where_the_signal_crosses(slope: Slope) -> None:
    shift = first_crossing(3.0, slope == Slope.RISING)
    with Task() as task:
        analog(task)
        task.triggers.start_trigger.cfg_anlg_edge_start_trig("Dev1/ai0", slope, 3.0)
        assert np.array_equal(codes(task, 100), sim.pattern(0, shift, 100))


@pytest.mark.usefixtures("unthrottled")
def test_an_analog_window_start_trigger() -> None:
    with Task() as task:
        analog(task)
        volts = np.array(task.read(90_000, 1000))
    inside = (volts >= 1) & (volts <= 2)
    entered = int(np.nonzero(~inside[:-1] & inside[1:])[0][0] + 1)
    with Task() as task:
        analog(task)
        task.triggers.start_trigger.cfg_anlg_window_start_trig(
            2.0, 1.0, "Dev1/ai0", WindowTriggerCondition1.ENTERING_WINDOW
        )
        assert np.array_equal(codes(task, 100), sim.pattern(0, entered, 100))


@pytest.mark.usefixtures("unthrottled")
def test_an_analog_reference_trigger_is_where_the_signal_crosses() -> None:
    reference = first_crossing(-2.0, earliest=50)
    with Task() as task:
        analog(task, 200, mode=AcquisitionType.FINITE)
        task.triggers.reference_trigger.cfg_anlg_edge_ref_trig("Dev1/ai0", 50, Slope.RISING, -2.0)
        task.start()
        task.wait_until_done(10)
        assert np.array_equal(codes(task, 200), sim.pattern(0, reference - 50, 200))


@pytest.mark.usefixtures("stepped")
def test_a_trigger_that_never_comes() -> None:
    sim.signal("Dev1/ai0", 1.0)
    with Task() as task:
        analog(task)
        task.triggers.start_trigger.cfg_anlg_edge_start_trig("Dev1/ai0", trigger_level=5.0)
        task.start()
        sim.step(100.0)
        assert task.in_stream.avail_samp_per_chan == 0
        with pytest.raises(DaqError) as error:
            task.read(1, timeout=0)
        assert error.value.error_code == -200284


@pytest.mark.usefixtures("stepped")
def test_a_digital_start_trigger_is_the_edge_of_its_signal() -> None:
    sim.signal("/Dev1/PFI0", sim.edges([0.25, 0.5]))
    for edge, seconds in [(Edge.RISING, 0.25), (Edge.FALLING, 0.5)]:
        with Task() as task:
            analog(task)
            task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0", edge)
            task.start()
            sim.step(seconds)
            assert task.in_stream.avail_samp_per_chan == 0
            sim.step(0.02)
            assert task.in_stream.avail_samp_per_chan == 20
            assert np.array_equal(codes(task, 20), sim.pattern(0, 0, 20))


@pytest.mark.usefixtures("stepped")
def test_a_digital_reference_trigger_is_the_edge_of_its_signal() -> None:
    sim.signal("/Dev1/PFI1", sim.edges([0.01, 0.02, 0.3]))
    with Task() as task:
        analog(task, 100, mode=AcquisitionType.FINITE)
        task.triggers.reference_trigger.cfg_dig_edge_ref_trig("/Dev1/PFI1", 40)
        task.start()
        sim.step(0.35)
        assert not task.is_task_done()
        sim.step(0.02)
        assert task.is_task_done()
        assert np.array_equal(codes(task, 100), sim.pattern(0, 260, 100))


@pytest.mark.usefixtures("unthrottled")
def test_a_pattern_starts_and_ends() -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LINES)
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=20)
        start = task.triggers.start_trigger
        # Line 0 first: 1, 0, any, 1.
        start.cfg_dig_pattern_start_trig(
            "Dev1/port0/line0:3", "10X1", DigitalPatternCondition.PATTERN_MATCHES
        )
        assert start.trig_type == TriggerType.DIGITAL_PATTERN
        assert start.dig_pattern_pattern == "10X1"
        assert task.read(20) == list(range(9, 29))
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LINES)
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=20)
        task.triggers.reference_trigger.cfg_dig_pattern_ref_trig(
            "Dev1/port0/line0:7", "00000100", 5, DigitalPatternCondition.PATTERN_MATCHES
        )
        assert task.read(20) == list(range(27, 47))


@pytest.mark.parametrize(
    ("pattern", "code"), [("10", -200894), ("1012", -200901), ("", -200894), ("10X1X", -200894)]
)
def test_patterns_that_cannot_be_are_refused(pattern: str, code: int) -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LINES)
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=20)

        def start() -> None:
            task.triggers.start_trigger.cfg_dig_pattern_start_trig("Dev1/port0/line0:3", pattern)
            task.start()

        with pytest.raises(DaqError) as error:
            start()
        assert error.value.error_code == code


# ---- pause triggers ----


@pytest.mark.usefixtures("stepped")
def test_a_digital_level_pauses_the_clock() -> None:
    sim.signal("/Dev1/PFI0", sim.pulses(10, 0.6))
    with Task() as task:
        analog(task)
        pause = task.triggers.pause_trigger
        pause.trig_type = TriggerType.DIGITAL_LEVEL
        pause.dig_lvl_src = "/Dev1/PFI0"
        pause.dig_lvl_when = Level.HIGH
        assert pause.trig_type == TriggerType.DIGITAL_LEVEL
        task.start()
        # In each tenth of a second the line is low for 40 ms and high for 60.
        sim.step(0.0395)
        assert task.in_stream.avail_samp_per_chan == 39
        sim.step(0.06)
        assert task.in_stream.avail_samp_per_chan == 39
        sim.step(0.9)
        total = task.in_stream.total_samp_per_chan_acquired
        assert abs(total - 400) <= 10
        # A pause loses nothing.
        assert np.array_equal(codes(task, 300), sim.pattern(0, 0, 300))


@pytest.mark.parametrize("when", [ActiveLevel.ABOVE, ActiveLevel.BELOW])
@pytest.mark.usefixtures("unthrottled")
def test_an_analog_level_pauses_the_clock(when: ActiveLevel) -> None:
    with Task() as task:
        analog(task)
        volts = np.array(task.read(3000))
    with Task() as task:
        analog(task)
        pause = task.triggers.pause_trigger
        pause.trig_type = TriggerType.ANALOG_LEVEL
        pause.anlg_lvl_src = "Dev1/ai0"
        pause.anlg_lvl_when = when
        pause.anlg_lvl_lvl = 1.0
        expected = volts[volts <= 1.0] if when == ActiveLevel.ABOVE else volts[volts >= 1.0]
        count = min(len(expected), 1000)
        assert np.array_equal(task.read(count), expected[:count])


@pytest.mark.usefixtures("unthrottled")
def test_an_analog_window_and_a_pattern_pause_the_clock() -> None:
    with Task() as task:
        analog(task)
        volts = np.array(task.read(3000))
    with Task() as task:
        analog(task)
        pause = task.triggers.pause_trigger
        pause.trig_type = TriggerType.ANALOG_WINDOW
        pause.anlg_win_src = "Dev1/ai0"
        pause.anlg_win_when = WindowTriggerCondition2.OUTSIDE_WINDOW
        pause.anlg_win_btm, pause.anlg_win_top = -3.0, 3.0
        expected = volts[(volts >= -3) & (volts <= 3)][:500]
        assert np.array_equal(task.read(len(expected)), expected)
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LINES)
        task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)
        pause = task.triggers.pause_trigger
        pause.trig_type = TriggerType.DIGITAL_PATTERN
        pause.dig_pattern_src = PhysicalChannel("Dev1/port0/line0:1")
        pause.dig_pattern_pattern = "11"
        pause.dig_pattern_when = DigitalPatternCondition.PATTERN_MATCHES
        assert task.read(9) == [0, 1, 2, 4, 5, 6, 8, 9, 10]


def test_pauses_that_cannot_be_are_refused() -> None:
    with Task() as task:
        analog(task, 100, mode=AcquisitionType.FINITE)
        pause = task.triggers.pause_trigger
        pause.trig_type = TriggerType.DIGITAL_LEVEL
        pause.dig_lvl_src = "/Dev1/PFI99"
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code == -89120
        pause.dig_lvl_src = "/Dev1/PFI0"
        task.triggers.reference_trigger.cfg_dig_edge_ref_trig("/Dev1/PFI1", 10)
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code == -200628
    with Task() as task:
        task.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")
        task.timing.cfg_samp_clk_timing(1000, sample_mode=CONTINUOUS)
        task.triggers.pause_trigger.trig_type = TriggerType.DIGITAL_LEVEL
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code == -200145


# ---- tasks that share a clock or a start ----


@pytest.mark.usefixtures("stepped")
def test_tasks_share_a_sample_clock() -> None:
    with Task() as master, Task() as slave, Task() as counter:
        analog(master)
        slave.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LINES)
        counter.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")
        for task in (slave, counter):
            task.timing.cfg_samp_clk_timing(1000, "/Dev1/ai/SampleClock", sample_mode=CONTINUOUS)
            task.start()
        sim.step(1.0)
        assert slave.in_stream.avail_samp_per_chan == 0
        master.start()
        sim.step(0.0505)
        for task in (master, slave, counter):
            assert task.in_stream.total_samp_per_chan_acquired == 50
        assert slave.read(50) == list(range(50))
        assert np.array_equal(codes(master, 50), sim.pattern(0, 0, 50))
        master.stop()
        sim.step(1.0)
        assert slave.in_stream.total_samp_per_chan_acquired == 50
        master.start()
        sim.step(0.01)
        assert slave.in_stream.total_samp_per_chan_acquired == 60
        assert sim.ledger(slave).produced == sim.ledger(counter).produced == 60


def test_samples_of_an_earlier_clock_do_not_come_again() -> None:
    sim.hold_triggers()
    for _ in range(2):
        # Time begins again, as in a second test with the same devices.
        sim.clock("stepped")
        with Task() as owner, Task() as follower:
            analog(owner)
            owner.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
            follower.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LINES)
            follower.timing.cfg_samp_clk_timing(1000, "/Dev1/ai/SampleClock", sample_mode=CONTINUOUS)
            follower.start()
            owner.start()
            sim.step(1.0)
            assert follower.in_stream.total_samp_per_chan_acquired == 0
            sim.trigger()
            sim.step(0.05)
            for task in (owner, follower):
                assert task.in_stream.total_samp_per_chan_acquired == 50


@pytest.mark.usefixtures("stepped")
def test_a_run_whose_trigger_never_comes_takes_nothing_from_the_one_before() -> None:
    sim.hold_triggers()
    with Task() as owner, Task() as follower:
        analog(owner)
        owner.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
        follower.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LINES)
        follower.timing.cfg_samp_clk_timing(1000, "/Dev1/ai/SampleClock", sample_mode=CONTINUOUS)
        follower.start()
        owner.start()
        sim.trigger()
        sim.step(0.05)
        owner.stop()
        owner.start()
        sim.step(1.0)
        owner.stop()
        assert follower.in_stream.total_samp_per_chan_acquired == 50


def test_a_follower_passes_the_clock_on() -> None:
    sim.install(devices={f"Dev{number}": "PXIe-6396" for number in (1, 2, 3)}, clock="stepped")
    with Task() as first, Task() as second, Task() as third:
        for number, task in enumerate((first, second, third), 1):
            task.ai_channels.add_ai_voltage_chan(f"Dev{number}/ai0")
            source = f"/Dev{number - 1}/ai/SampleClock" if number > 1 else ""
            task.timing.cfg_samp_clk_timing(1000, source, sample_mode=CONTINUOUS)
        third.start()
        second.start()
        sim.step(1.0)
        first.start()
        sim.step(0.1)
        taken = [task.in_stream.total_samp_per_chan_acquired for task in (first, second, third)]
        assert taken == [100, 100, 100]
        # What it passed on stays, and nothing comes while it stands still.
        second.stop()
        sim.step(0.1)
        assert third.in_stream.total_samp_per_chan_acquired == 100
        second.start()
        sim.step(0.05)
        assert second.in_stream.total_samp_per_chan_acquired == 50
        assert third.in_stream.total_samp_per_chan_acquired == 150
        assert len(third.read(150)) == 150


@pytest.mark.usefixtures("stepped")
def test_tasks_share_a_start_trigger() -> None:
    with Task() as master, Task() as slave:
        analog(master)
        slave.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LINES)
        slave.timing.cfg_samp_clk_timing(2000, sample_mode=CONTINUOUS)
        slave.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/ai/StartTrigger")
        slave.start()
        sim.step(0.5)
        assert slave.in_stream.avail_samp_per_chan == 0
        master.start()
        sim.step(0.25)
        assert master.in_stream.avail_samp_per_chan == 250
        assert slave.in_stream.avail_samp_per_chan == 500
        assert slave.read(3) == [0, 1, 2]


def test_a_slave_wakes_when_its_master_starts() -> None:
    with Task() as master, Task() as slave:
        analog(master)
        slave.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LINES)
        slave.timing.cfg_samp_clk_timing(1000, "/Dev1/ai/SampleClock", samps_per_chan=20)
        slave.start()
        timer = threading.Timer(0.05, master.start)
        timer.start()
        assert slave.read(20, timeout=10) == list(range(20))
        timer.join()


@pytest.mark.usefixtures("unthrottled")
def test_a_clock_at_a_terminal() -> None:
    sim.signal("/Dev1/PFI0", sim.pulses(500, count=30))
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LINES)
        task.timing.cfg_samp_clk_timing(1000, "/Dev1/PFI0", sample_mode=CONTINUOUS)
        assert task.read(30) == list(range(30))
        with pytest.raises(DaqError) as error:
            task.read(1, timeout=0.01)
        assert error.value.error_code == -200284


# ---- timestamps ----


@pytest.mark.usefixtures("stepped")
def test_the_time_of_the_first_sample() -> None:
    sim.signal("/Dev1/PFI0", sim.edges([2.0]))
    with Task() as task:
        analog(task)
        with pytest.raises(DaqError) as error:
            task.wait_for_valid_timestamp(TimestampEvent.FIRST_SAMPLE, 0)
        assert error.value.error_code == -209842
        task.timing.first_samp_timestamp_enable = True
        task.triggers.start_trigger.timestamp_enable = True
        task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
        task.start()
        sim.step(3.0)
        first = task.timing.first_samp_timestamp_val
        assert first == task.triggers.start_trigger.timestamp_val
        assert task.wait_for_valid_timestamp(TimestampEvent.START_TRIGGER, 0) == first
        with pytest.raises(DaqError) as error:
            task.wait_for_valid_timestamp(TimestampEvent.REFERENCE_TRIGGER, 0)
        assert error.value.error_code == -209833
        now = datetime.datetime.now(datetime.UTC)
        assert abs((first - now).total_seconds()) < 60
