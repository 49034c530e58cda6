"""Signals: the checkable pattern against its definition, the sine, and scaled against raw reads."""

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import Task
from nidaqmx.constants import AcquisitionType
from nidaqmx.stream_readers import AnalogMultiChannelReader, AnalogUnscaledReader
from numpy.polynomial.polynomial import polyval


def salt(channel: int, block: int) -> int:
    """The definition, once more and in Python alone."""
    mask = (1 << 64) - 1
    x = (block * 0x9E3779B97F4A7C15 & mask) ^ ((channel + 1) * 0xD1B54A32D192ED03 & mask)
    x ^= x >> 32
    x = x * 0xD6E8FEB86659FD93 & mask
    x ^= x >> 32
    return x & 0xFFFF


def reference(channel: int, first: int, count: int) -> np.ndarray:
    index = np.arange(first, first + count, dtype=np.uint64)
    blocks, where = np.unique(index >> np.uint64(12), return_inverse=True)
    salts = np.array([salt(channel, int(block)) for block in blocks], dtype=np.uint64)
    return ((index + salts[where]) & np.uint64(0xFFFF)).astype(np.uint16).view(np.int16)


@pytest.mark.parametrize("channel", [0, 1, 7, 31])
@pytest.mark.parametrize("first", [0, 1, 4095, 4096, 65_530, (1 << 40) + 17])
def test_pattern_is_what_its_definition_says(channel: int, first: int) -> None:
    assert np.array_equal(sim.pattern(channel, first, 10_000), reference(channel, first, 10_000))


def test_a_shift_by_one_block_or_a_swap_of_channels_shows() -> None:
    whole = sim.pattern(0, 0, 20_000)
    for shift in (1, 4096, 8192, 12_288):
        assert not np.array_equal(whole[shift:], whole[:-shift])
    assert not np.array_equal(whole, sim.pattern(1, 0, 20_000))


@pytest.mark.usefixtures("unthrottled")
@pytest.mark.parametrize("signal", ["pattern", "sine"])
@pytest.mark.parametrize(
    ("channels", "low", "high"),
    [("Dev1/ai0:3", -10.0, 10.0), ("Dev1/ai5", -0.2, 0.2), ("Dev2/ai0:7", -1.0, 1.0)],
)
def test_scaled_reads_are_the_device_polynomial_of_the_codes(
    signal: str, channels: str, low: float, high: float
) -> None:
    sim.signal(None, signal)
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan(channels, min_val=low, max_val=high)
        task.timing.cfg_samp_clk_timing(100_000, sample_mode=AcquisitionType.CONTINUOUS)
        count = len(task.channels)
        codes = np.zeros((count, 10_000), np.int16)
        volts = np.zeros((count, 10_000))
        task.start()
        AnalogUnscaledReader(task.in_stream).read_int16(codes, 10_000)
        task.stop()
        task.start()
        AnalogMultiChannelReader(task.in_stream).read_many_sample(volts, 10_000)
        for row, channel in enumerate(task.ai_channels):
            expected = polyval(codes[row].astype(np.float64), channel.ai_dev_scaling_coeff)
            assert np.array_equal(volts[row], expected)


@pytest.mark.usefixtures("unthrottled")
def test_the_sine_spans_the_channels_limits() -> None:
    sim.signal(None, "sine")
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev2/ai0:1", min_val=-2.0, max_val=4.0)
        task.timing.cfg_samp_clk_timing(1e6, sample_mode=AcquisitionType.CONTINUOUS)
        volts = np.zeros((2, 14_400))
        AnalogMultiChannelReader(task.in_stream).read_many_sample(volts, 14_400)
    mean = volts.reshape(2, 10, 1440).mean(axis=1)
    assert mean[0].max() == pytest.approx(4.0, abs=0.1)
    assert mean[0].min() == pytest.approx(-2.0, abs=0.1)
    # Five degrees are 20 of the period's 1440 samples.
    assert np.abs(mean[0][20:] - mean[1][:-20]).max() < 0.2
    assert np.abs(volts[0].reshape(10, 1440) - mean[0]).max() < 0.2


@pytest.mark.usefixtures("unthrottled")
def test_constants_playback_and_precedence() -> None:
    sim.signal("Dev2", 2.5)
    sim.signal("Dev2/ai1", np.array([5, -6, 7]))
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev2/ai0:1")
        task.timing.cfg_samp_clk_timing(1e6, sample_mode=AcquisitionType.CONTINUOUS)
        first, _ = task.read(100)
        assert first == pytest.approx([2.5] * 100, abs=1e-3)
        task.stop()
        codes = np.zeros((2, 7), np.int16)
        AnalogUnscaledReader(task.in_stream).read_int16(codes, 7)
        assert codes[1].tolist() == [5, -6, 7, 5, -6, 7, 5]


def test_signals_that_do_not_exist_are_refused() -> None:
    for channel, kind in [("Dev1/ai99", "sine"), ("Dev9", "sine"), (None, "triangle"), (None, [])]:
        with pytest.raises(ValueError, match=r"."):
            sim.signal(channel, kind)
