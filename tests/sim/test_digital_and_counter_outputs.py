"""Lines and counters that put something out, seen by lines and counters that measure."""

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Task
from nidaqmx.constants import (
    AcquisitionType,
    Edge,
    Level,
    LineGrouping,
    RegenerationMode,
    UsageTypeCO,
)
from nidaqmx.stream_readers import DigitalSingleChannelReader
from nidaqmx.stream_writers import (
    CounterWriter,
    DigitalMultiChannelWriter,
    DigitalSingleChannelWriter,
)
from nidaqmx.types import CtrFreq, CtrTick, CtrTime

ALL = LineGrouping.CHAN_FOR_ALL_LINES
EACH = LineGrouping.CHAN_PER_LINE


def code(action: object) -> int:
    with pytest.raises(DaqError) as error:
        action()  # type: ignore[operator]
    return error.value.error_code


def lines(out: Task, back: Task, names: str, grouping: LineGrouping = ALL) -> None:
    out.do_channels.add_do_chan(names, line_grouping=grouping)
    back.di_channels.add_di_chan(names, line_grouping=grouping)


# ---- lines ----


@pytest.mark.parametrize("value", [0, 1, 0x5A, 0xFF])
@pytest.mark.parametrize("port", ["Dev1/port1", "Dev1/port2", "Dev1/port0/line0:7", "Dev3/port0"])
def test_a_port_is_read_back(port: str, value: int) -> None:
    with Task() as out, Task() as back:
        lines(out, back, port)
        assert out.write(value) == 1
        assert back.read() == value
        assert back.read() == value


@pytest.mark.parametrize("line", [0, 7, 31])
@pytest.mark.parametrize("high", [False, True])
def test_a_line_is_read_back(line: int, high: bool) -> None:
    with Task() as out, Task() as back:
        lines(out, back, f"Dev1/port0/line{line}", EACH)
        out.write(high)
        assert back.read() is high


@pytest.mark.parametrize(
    ("writer", "value", "names"),
    [
        ("write_one_sample_port_byte", 0xA5, "Dev1/port0/line0:7"),
        ("write_one_sample_port_uint16", 0xBEEF, "Dev1/port0/line0:15"),
        ("write_one_sample_port_uint32", 0xDEADBEEF, "Dev1/port0"),
    ],
)
def test_single_channel_writers_of_one_number(writer: str, value: int, names: str) -> None:
    with Task() as out, Task() as back:
        lines(out, back, names)
        getattr(DigitalSingleChannelWriter(out.out_stream), writer)(value)
        assert back.read() == value


def test_writers_of_lines() -> None:
    with Task() as out, Task() as back:
        lines(out, back, "Dev1/port0/line2:5")
        DigitalSingleChannelWriter(out.out_stream).write_one_sample_multi_line(
            np.array([True, False, True, True])
        )
        assert back.read() == 0b110100
    with Task() as out, Task() as back:
        lines(out, back, "Dev1/port0/line0:2", EACH)
        DigitalMultiChannelWriter(out.out_stream).write_one_sample_one_line(np.array([True, False, True]))
        assert back.read() == [True, False, True]
        assert out.write([False, True, False]) == 1
        assert back.read() == [False, True, False]


@pytest.mark.parametrize(
    ("dtype", "writer", "width"),
    [
        (np.uint8, "write_many_sample_port_byte", 8),
        (np.uint16, "write_many_sample_port_uint16", 16),
        (np.uint32, "write_many_sample_port_uint32", 32),
    ],
)
@pytest.mark.usefixtures("stepped")
def test_buffered_ports_are_read_back(dtype: type, writer: str, width: int) -> None:
    values = np.random.default_rng(5).integers(0, 2**width, 300, dtype=np.uint64).astype(dtype)
    with Task() as out, Task() as back:
        lines(out, back, f"Dev1/port0/line0:{width - 1}")
        for task in (out, back):
            task.timing.cfg_samp_clk_timing(1000, samps_per_chan=300)
        assert getattr(DigitalSingleChannelWriter(out.out_stream), writer)(values) == 300
        out.start()
        back.start()
        sim.step(1)
        assert out.is_task_done()
        seen = np.zeros(300, np.uint32)
        DigitalSingleChannelReader(back.in_stream).read_many_sample_port_uint32(seen, 300)
        assert np.array_equal(seen, values)


@pytest.mark.usefixtures("stepped")
def test_a_regenerated_pattern_of_lines() -> None:
    with Task() as out, Task() as back:
        lines(out, back, "Dev1/port0/line0:1", EACH)
        for task in (out, back):
            task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS, samps_per_chan=100)
        assert out.write([[True, False, False], [False, True, True]]) == 3
        out.start()
        back.start()
        sim.step(0.05)
        assert back.read(9) == [[True, False, False] * 3, [False, True, True] * 3]
        assert out.out_stream.do_num_booleans_per_chan == 1


@pytest.mark.usefixtures("stepped")
def test_lines_without_regeneration_run_dry() -> None:
    with Task() as out:
        out.do_channels.add_do_chan("Dev1/port0", line_grouping=ALL)
        out.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        out.out_stream.regen_mode = RegenerationMode.DONT_ALLOW_REGENERATION
        out.write([1, 2, 3, 4])
        out.start()
        sim.step(0.01)
        assert code(out.is_task_done) == -200290


def test_inverted_lines() -> None:
    with Task() as out, Task() as back:
        lines(out, back, "Dev1/port0/line0:3")
        for channel in out.do_channels:
            channel.do_invert_lines = True
        out.write(0b0101)
        assert back.read() == 0b1010


def test_raw_writes_to_ports() -> None:
    with Task() as out, Task() as back:
        lines(out, back, "Dev1/port0")
        assert out._interpreter.write_raw(out._handle, 1, True, 1.0, np.array([0x12345678], np.uint32)) == 1
        assert back.read() == 0x12345678


@pytest.mark.usefixtures("stepped")
def test_digital_waveforms_are_written() -> None:
    from nitypes.waveform import DigitalWaveform

    data = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], np.uint8)
    with Task() as out, Task() as back:
        lines(out, back, "Dev1/port0/line0:1")
        for task in (out, back):
            task.timing.cfg_samp_clk_timing(1000, samps_per_chan=4)
        assert out.write_waveform(DigitalWaveform.from_lines(data)) == 4
        out.start()
        back.start()
        sim.step(1)
        assert [value in (1, 2, 3, 0) for value in back.read(4)] == [True] * 4
    with Task() as out:
        out.do_channels.add_do_chan("Dev1/port0/line0:2", line_grouping=ALL)
        assert code(lambda: out.write_waveform(DigitalWaveform.from_lines(data))) == -200463


def test_what_lines_refuse() -> None:
    with Task() as out:
        out.do_channels.add_do_chan("Dev1/port0", line_grouping=ALL)
        writer = DigitalSingleChannelWriter(out.out_stream)
        assert code(lambda: writer.write_one_sample_port_byte(1)) == -200465
        assert code(lambda: writer.write_one_sample_port_uint16(1)) == -200465
        assert code(lambda: out.write(1, auto_start=False)) == -200846
        assert code(lambda: out._interpreter.read_digital_scalar_u32(out._handle, 1.0)) == -200460
        with Task() as other:
            other.do_channels.add_do_chan("Dev1/port0/line3")
            out.start()
            assert code(lambda: other.write(True)) == -50103
    with Task() as out:
        out.do_channels.add_do_chan("Dev1/port1", line_grouping=ALL)
        out.timing.cfg_samp_clk_timing(1000)
        assert code(lambda: out.write([1, 2])) == -200077


@pytest.mark.parametrize(
    ("names", "grouping", "expected"),
    [
        ("Dev1/port9", ALL, -200170),
        ("Dev1/ao0", EACH, -200430),
        ("Dev1/port0", EACH, -200528),
        ("Dev1/port0, Dev1/port1", ALL, -200528),
        ("", EACH, -200170),
    ],
)
def test_lines_that_cannot_be_put_out(names: str, grouping: LineGrouping, expected: int) -> None:
    with Task() as out:
        assert code(lambda: out.do_channels.add_do_chan(names, line_grouping=grouping)) == expected


def test_a_line_is_a_pfi_terminal_too() -> None:
    with Task() as out, Task() as count:
        out.do_channels.add_do_chan("Dev1/port1/line3")
        channel = count.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")
        channel.ci_count_edges_term = "/Dev1/PFI3"
        count.start()
        for _ in range(7):
            out.write(True)
            out.write(False)
        assert count.read() == 7


# ---- pulses ----


def pulses(task: Task, counter: str = "Dev1/ctr0", **options: object) -> Task:
    task.co_channels.add_co_pulse_chan_freq(counter, **options)  # type: ignore[arg-type]
    return task


def endless(task: Task) -> None:
    task.timing.cfg_implicit_timing(sample_mode=AcquisitionType.CONTINUOUS)


def counting(task: Task, terminal: str, edge: Edge = Edge.RISING) -> Task:
    channel = task.ci_channels.add_ci_count_edges_chan("Dev1/ctr1", edge=edge)
    channel.ci_count_edges_term = terminal
    return task


@pytest.mark.parametrize("terminal", ["/Dev1/Ctr0InternalOutput", "/Dev1/PFI12"])
@pytest.mark.parametrize("count", [2, 10, 1000])
@pytest.mark.usefixtures("stepped")
def test_a_finite_train_is_counted(terminal: str, count: int) -> None:
    with Task() as out, Task() as back:
        pulses(out, freq=10_000.0)
        out.timing.cfg_implicit_timing(samps_per_chan=count)
        counting(back, terminal).start()
        out.start()
        sim.step(1.0)
        assert out.is_task_done()
        assert back.read() == count


@pytest.mark.usefixtures("stepped")
def test_a_train_that_goes_on_is_counted_as_far_as_it_is() -> None:
    with Task() as out, Task() as back:
        endless(pulses(out, freq=1e6))
        counting(back, "/Dev1/Ctr0InternalOutput").start()
        assert back.read() == 0
        out.start()
        sim.step(0.0105)
        assert back.read() == 10_500
        assert not out.is_task_done()
        out.stop()
        sim.step(1)
        assert back.read() == 10_500


@pytest.mark.usefixtures("stepped")
def test_without_timing_a_counter_makes_one_pulse() -> None:
    with Task() as out, Task() as back:
        out.co_channels.add_co_pulse_chan_time("Dev1/ctr0", low_time=0.001, high_time=0.002)
        counting(back, "/Dev1/Ctr0InternalOutput").start()
        out.start()
        sim.step(0.0015)
        assert not out.is_task_done()
        sim.step(1)
        assert out.is_task_done()
        assert back.read() == 1


@pytest.mark.parametrize("frequency", [10.0, 1234.5, 1e5, 1e6])
@pytest.mark.usefixtures("stepped")
def test_frequencies_are_measured(frequency: float) -> None:
    with Task() as out, Task() as back:
        endless(pulses(out, freq=frequency))
        channel = back.ci_channels.add_ci_freq_chan("Dev1/ctr1", min_val=2, max_val=2e6)
        channel.ci_freq_term = "/Dev1/Ctr0InternalOutput"
        out.start()
        back.start()
        sim.step(1.0)
        assert back.read() == pytest.approx(frequency, rel=0.01)


@pytest.mark.usefixtures("stepped")
def test_widths_of_pulses_are_measured() -> None:
    with Task() as out, Task() as back:
        out.co_channels.add_co_pulse_chan_ticks("Dev1/ctr0", "", low_ticks=700, high_ticks=300)
        endless(out)
        channel = back.ci_channels.add_ci_pulse_width_chan("Dev1/ctr1", min_val=1e-6, max_val=1e-3)
        channel.ci_pulse_width_term = "/Dev1/Ctr0InternalOutput"
        out.start()
        back.start()
        sim.step(0.1)
        assert back.read() == pytest.approx(3e-6, abs=2e-8)


@pytest.mark.usefixtures("stepped")
def test_a_frequency_is_changed_while_it_runs() -> None:
    with Task() as out, Task() as back:
        endless(pulses(out, freq=1000.0))
        counting(back, "/Dev1/Ctr0InternalOutput").start()
        out.start()
        sim.step(0.1)
        before = back.read()
        CounterWriter(out.out_stream).write_one_sample_pulse_frequency(10_000.0, 0.5)
        sim.step(0.1)
        assert before == 100
        assert back.read() - before == pytest.approx(1000, abs=12)
        assert out.co_channels[0].co_pulse_freq == 10_000.0


@pytest.mark.parametrize(
    ("create", "write", "values"),
    [
        ("add_co_pulse_chan_freq", "write_one_sample_pulse_frequency", (2000.0, 0.25)),
        ("add_co_pulse_chan_time", "write_one_sample_pulse_time", (0.001, 0.002)),
        ("add_co_pulse_chan_ticks", "write_one_sample_pulse_ticks", (500, 700)),
    ],
)
def test_one_pulse_is_written(create: str, write: str, values: tuple[float, float]) -> None:
    with Task() as out:
        arguments = ("Dev1/ctr0", "") if "ticks" in create else ("Dev1/ctr0",)
        getattr(out.co_channels, create)(*arguments)
        endless(out)
        getattr(CounterWriter(out.out_stream), write)(*values)
        channel = out.co_channels[0]
        if "freq" in create:
            assert (channel.co_pulse_freq, channel.co_pulse_duty_cyc) == values
        elif "time" in create:
            assert (channel.co_pulse_high_time, channel.co_pulse_low_time) == values
        else:
            assert (channel.co_pulse_high_ticks, channel.co_pulse_low_ticks) == values
        assert not out.is_task_done()


@pytest.mark.parametrize(
    ("create", "samples"),
    [
        ("add_co_pulse_chan_freq", [CtrFreq(1000.0, 0.5), CtrFreq(500.0, 0.5)]),
        ("add_co_pulse_chan_time", [CtrTime(0.0005, 0.0005), CtrTime(0.001, 0.001)]),
        ("add_co_pulse_chan_ticks", [CtrTick(50_000, 50_000), CtrTick(100_000, 100_000)]),
    ],
)
@pytest.mark.usefixtures("stepped")
def test_pulses_in_a_buffer(create: str, samples: list[object]) -> None:
    with Task() as out, Task() as back:
        arguments = ("Dev1/ctr0", "") if "ticks" in create else ("Dev1/ctr0",)
        getattr(out.co_channels, create)(*arguments)
        out.timing.cfg_implicit_timing(samps_per_chan=4)
        counting(back, "/Dev1/Ctr0InternalOutput").start()
        assert out.write(samples * 2) == 4
        out.start()
        # One of 1 ms, one of 2 ms, one of 1 ms, one of 2 ms.
        counts = []
        for step in (0.0005, 0.001, 0.002, 0.001, 0.1):
            sim.step(step)
            counts.append(back.read())
        assert counts == [1, 2, 3, 4, 4]
        assert out.is_task_done()


def test_attributes_of_pulses() -> None:
    with Task() as out:
        channel = out.co_channels.add_co_pulse_chan_freq(
            "Dev1/ctr2", "beat", idle_state=Level.HIGH, initial_delay=0.5, freq=5.0, duty_cycle=0.2
        )
        assert channel.co_output_type == UsageTypeCO.PULSE_FREQUENCY
        assert channel.co_pulse_idle_state == Level.HIGH
        assert channel.co_pulse_freq_initial_delay == 0.5
        assert channel.co_pulse_term == "/Dev1/PFI14"
        assert channel.co_ctr_timebase_rate == 100e6
        assert channel.co_output_state == Level.HIGH
        channel.co_pulse_term = "/Dev1/PFI0"
        assert channel.co_pulse_term == "/Dev1/PFI0"


@pytest.mark.usefixtures("stepped")
def test_state_and_done_of_a_pulse() -> None:
    with Task() as out:
        channel = out.co_channels.add_co_pulse_chan_time(
            "Dev1/ctr0", initial_delay=0.01, low_time=0.01, high_time=0.02
        )
        out.start()
        states = []
        for _ in range(5):
            states.append((channel.co_output_state, channel.co_pulse_done))
            sim.step(0.01)
        high, low = Level.HIGH, Level.LOW
        assert [state for state, _ in states] == [low, low, high, high, low]
        assert [done for _, done in states] == [False, False, False, False, True]


@pytest.mark.usefixtures("stepped")
def test_an_idle_high_counter_falls_first() -> None:
    with Task() as out, Task() as back:
        pulses(out, freq=1000.0, idle_state=Level.HIGH)
        out.timing.cfg_implicit_timing(samps_per_chan=5)
        counting(back, "/Dev1/Ctr0InternalOutput", Edge.FALLING).start()
        out.start()
        sim.step(0.0001)
        assert back.read() == 1
        sim.step(1)
        assert back.read() == 5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"freq": 0.0}, -200077),
        ({"freq": 60e6}, -200077),
        ({"freq": 0.001}, -200077),
        ({"duty_cycle": 0.0}, -200077),
        ({"duty_cycle": 1.0}, -200077),
        ({"initial_delay": -1.0}, -200077),
    ],
)
def test_pulses_that_cannot_be(options: dict[str, float], expected: int) -> None:
    with Task() as out:
        assert code(lambda: pulses(out, **options)) == expected


def test_counters_that_cannot_put_out() -> None:
    with Task() as out:
        assert code(lambda: pulses(out, "Dev3/ctr0")) == -200432
        assert code(lambda: pulses(out, "Dev1/ai0")) == -200430
        assert code(lambda: pulses(out, "Dev1/ctr9")) == -200170
    with Task() as out, Task() as other:
        endless(pulses(out))
        out.start()
        other.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")
        assert code(other.start) == -50103
    with Task() as out:
        pulses(out)
        writer = CounterWriter(out.out_stream, auto_start=False)
        assert code(lambda: writer.write_one_sample_pulse_frequency(10.0, 0.5)) == -200875
        assert code(lambda: CounterWriter(out.out_stream).write_one_sample_pulse_time(0.1, 0.1)) == -200526
        out.timing.cfg_implicit_timing(samps_per_chan=100)
        out.start()
        assert code(lambda: writer.write_one_sample_pulse_frequency(10.0, 0.5)) == -201291


def test_a_self_check_of_wiring() -> None:
    """What a program does first with a device: every output, seen by an input."""
    for channel in range(4):
        with Task() as out, Task() as back:
            out.ao_channels.add_ao_voltage_chan(f"Dev1/ao{channel}")
            back.ai_channels.add_ai_voltage_chan(f"Dev1/_ao{channel}_vs_aognd", min_val=-10, max_val=10)
            for volts in (-10.0, 0.0, 10.0):
                out.write(volts)
                assert back.read() == pytest.approx(volts, abs=0.01)
    for line in range(32):
        with Task() as out, Task() as back:
            lines(out, back, f"Dev1/port0/line{line}", EACH)
            for high in (True, False, True):
                out.write(high)
                assert back.read() is high
    for counter in range(4):
        with Task() as out, Task() as back:
            pulses(out, f"Dev1/ctr{counter}", freq=100_000.0)
            out.timing.cfg_implicit_timing(samps_per_chan=20)
            channel = back.ci_channels.add_ci_count_edges_chan(f"Dev1/ctr{(counter + 1) % 4}")
            channel.ci_count_edges_term = f"/Dev1/Ctr{counter}InternalOutput"
            back.start()
            out.start()
            out.wait_until_done(5)
            assert back.read() == 20
