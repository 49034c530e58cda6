"""Digital inputs as lines and ports, on demand and clocked; counters that count edges."""

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Task
from nidaqmx.constants import AcquisitionType, ChannelType, Edge, LineGrouping
from nidaqmx.stream_readers import (
    AnalogSingleChannelReader,
    CounterReader,
    DigitalMultiChannelReader,
    DigitalSingleChannelReader,
)

pytestmark = pytest.mark.usefixtures("unthrottled")


def clocked(task: Task, rate: float = 10_000) -> None:
    task.timing.cfg_samp_clk_timing(rate, sample_mode=AcquisitionType.CONTINUOUS)


@pytest.mark.parametrize(("dtype", "width"), [(np.uint8, 8), (np.uint16, 16), (np.uint32, 32)])
def test_ports_count_in_binary(dtype: type, width: int) -> None:
    with Task() as task:
        task.di_channels.add_di_chan(
            f"Dev1/port0/line0:{width - 1}", line_grouping=LineGrouping.CHAN_FOR_ALL_LINES
        )
        clocked(task)
        values = np.zeros(1000, dtype)
        reader = DigitalSingleChannelReader(task.in_stream)
        {8: reader.read_many_sample_port_byte, 16: reader.read_many_sample_port_uint16,
         32: reader.read_many_sample_port_uint32}[width](values, 1000)  # fmt: skip
        count = (np.arange(1000) & 0xFF).astype(np.uint64)
        expected = sum(count << np.uint64(shift) for shift in range(0, width, 8))
        assert np.array_equal(values, np.asarray(expected, dtype))


def test_lines_are_channels_or_one_channel() -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0/line0:3", line_grouping=LineGrouping.CHAN_PER_LINE)
        assert task.channel_names == [f"Dev1/port0/line{line}" for line in range(4)]
        clocked(task)
        data = np.array(task.read(16))
        assert data.dtype == bool
        for line in range(4):
            assert np.array_equal(data[line], (np.arange(16) >> line & 1).astype(bool))
    with Task() as task:
        channel = task.di_channels.add_di_chan(
            "Dev1/port0/line2:3", line_grouping=LineGrouping.CHAN_FOR_ALL_LINES
        )
        assert channel.di_num_lines == 2
        assert channel.chan_type == ChannelType.DIGITAL_INPUT
        clocked(task)
        # A number shows each line where it stands in its port.
        assert task.read(16) == [index & 0b1100 for index in range(16)]


def test_many_lines_of_many_channels() -> None:
    with Task() as task:
        for lines in ("Dev1/port0/line0:7", "Dev1/port0/line8:9"):
            task.di_channels.add_di_chan(lines, line_grouping=LineGrouping.CHAN_FOR_ALL_LINES)
        clocked(task)
        reader = DigitalMultiChannelReader(task.in_stream)
        lines = np.zeros((2, 8), bool)
        reader.read_one_sample_multi_line(lines)
        assert not lines.any()
        reader.read_one_sample_multi_line(lines)
        assert lines.tolist() == [[True] + [False] * 7] * 2
        task.stop()
        values = np.zeros((2, 50), np.uint32)
        reader.read_many_sample_port_uint32(values, 50)
        assert np.array_equal(values[0], np.arange(50))
        assert np.array_equal(values[1], (np.arange(50) & 3) << 8)


def test_inverted_and_chosen_values() -> None:
    sim.signal("Dev1/port0/line0", 0b101)
    with Task() as task:
        channel = task.di_channels.add_di_chan(
            "Dev1/port0/line0:2", line_grouping=LineGrouping.CHAN_FOR_ALL_LINES
        )
        assert task.read() == 0b101
        channel.di_invert_lines = True
        assert task.read() == 0b010


def test_the_number_type_has_to_hold_the_port() -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0")
        clocked(task)
        with pytest.raises(DaqError) as error:
            DigitalSingleChannelReader(task.in_stream).read_many_sample_port_byte(np.zeros(10, np.uint8), 10)
        assert error.value.error_code == -200466


@pytest.mark.parametrize(
    ("lines", "grouping", "code"),
    [
        ("Dev1/port9", LineGrouping.CHAN_FOR_ALL_LINES, -200170),
        ("Dev1/port1/line8", LineGrouping.CHAN_PER_LINE, -200170),
        ("Dev1/ai0", LineGrouping.CHAN_PER_LINE, -200430),
        ("Dev1/port0", LineGrouping.CHAN_PER_LINE, -200528),
        ("Dev1/port0, Dev1/port1", LineGrouping.CHAN_FOR_ALL_LINES, -200528),
        ("", LineGrouping.CHAN_PER_LINE, -200170),
    ],
)
def test_lines_that_cannot_be_are_refused(lines: str, grouping: LineGrouping, code: int) -> None:
    with Task() as task:
        with pytest.raises(DaqError) as error:
            task.di_channels.add_di_chan(lines, line_grouping=grouping)
        assert error.value.error_code == code


def test_ports_without_a_clock_are_read_on_demand() -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port1", line_grouping=LineGrouping.CHAN_FOR_ALL_LINES)
        assert [task.read() for _ in range(3)] == [0, 1, 2]
        clocked(task)
        with pytest.raises(DaqError) as error:
            task.start()
        assert error.value.error_code == -200077


def test_counters_read_nothing_by_themselves_and_a_count_with_the_pattern() -> None:
    sim.signal(None, "sine")
    with Task() as task:
        channel = task.ci_channels.add_ci_count_edges_chan("Dev1/ctr0", initial_count=5)
        assert channel.ci_count_edges_active_edge == Edge.RISING
        assert task.read() == 5
    sim.signal("Dev1/ctr0", "pattern")
    with Task() as task:
        task.ci_channels.add_ci_count_edges_chan("Dev1/ctr0", initial_count=5)
        clocked(task)
        reader = CounterReader(task.in_stream)
        counts = np.zeros(100, np.uint32)
        reader.read_many_sample_uint32(counts, 100)
        assert np.array_equal(counts, np.arange(5, 105))
        values = np.zeros(100)
        reader.read_many_sample_double(values, 100)
        assert np.array_equal(values, np.arange(105, 205))
        assert reader.read_one_sample_uint32() == 205


def test_engines_are_reserved_one_by_one() -> None:
    with Task() as first, Task() as second, Task() as third, Task() as fourth:
        first.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        second.di_channels.add_di_chan("Dev1/port0")
        third.ci_channels.add_ci_count_edges_chan("Dev1/ctr0")
        fourth.ai_channels.add_ai_voltage_chan("Dev1/ai1")
        for task in (first, second, third):
            clocked(task)
            task.start()
        clocked(fourth)
        with pytest.raises(DaqError) as error:
            fourth.start()
        assert error.value.error_code == -50103
        first.stop()
        fourth.start()


def test_functions_read_the_channels_they_are_for() -> None:
    with Task() as task:
        task.di_channels.add_di_chan("Dev1/port0")
        with pytest.raises(DaqError) as error:
            AnalogSingleChannelReader(task.in_stream).read_one_sample()
        assert error.value.error_code == -200525
        with pytest.raises(DaqError) as error:
            task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        assert error.value.error_code == -200559
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
        with pytest.raises(DaqError) as error:
            AnalogSingleChannelReader(task.in_stream).read_one_sample()
        assert error.value.error_code == -200523


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("Dev1/port0/line0:3", "Dev1/port0/line0:3"),
        ("Dev1/port0/line3, Dev1/port0/line5:6", "Dev1/port0/line3, Dev1/port0/line5:6"),
        ("Dev1/port0", "Dev1/port0"),
        ("Dev1/port0/line7", "Dev1/port0/line7"),
        ("Dev1/port1:2", "Dev1/port1:2"),
    ],
)
def test_a_channel_of_lines_names_all_of_them(lines: str, name: str) -> None:
    grouping = LineGrouping.CHAN_FOR_ALL_LINES
    with Task() as inputs, Task() as outputs:
        channel = inputs.di_channels.add_di_chan(lines, line_grouping=grouping)
        assert channel.physical_channel.name == name
        output = outputs.do_channels.add_do_chan(lines, line_grouping=grouping)
        assert output.physical_channel.name == name
