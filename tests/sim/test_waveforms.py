"""Waveform reads: samples with their times, names and units."""

import datetime

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Task
from nidaqmx.constants import READ_ALL_AVAILABLE, AcquisitionType
from nidaqmx.stream_readers import AnalogMultiChannelReader
from nitypes.waveform import AnalogWaveform


def volts(channel: object, number: int, first: int, count: int) -> np.ndarray:
    codes = sim.pattern(number, first, count).astype(float)
    return np.polynomial.polynomial.polyval(codes, channel.ai_dev_scaling_coeff)  # type: ignore[attr-defined]


@pytest.mark.usefixtures("unthrottled")
def test_one_channel() -> None:
    with Task() as task:
        channel = task.ai_channels.add_ai_voltage_chan("Dev1/ai2", "pressure")
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=200)
        before = datetime.datetime.now(datetime.UTC)
        waveform = task.read_waveform(READ_ALL_AVAILABLE)
        assert np.array_equal(waveform.raw_data, volts(channel, 2, 0, 200))
        assert waveform.channel_name == "pressure"
        assert waveform.units == "Volts"
        assert waveform.timing.sample_interval.total_seconds() == pytest.approx(1e-3)
        start = waveform.timing.timestamp
        assert abs(start.timestamp() - before.timestamp()) < 60


@pytest.mark.usefixtures("unthrottled")
def test_several_channels_and_the_time_of_later_samples() -> None:
    with Task() as task:
        channels = task.ai_channels.add_ai_voltage_chan("Dev1/ai0:2")
        task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        first = task.read_waveform(100)
        second = task.read_waveform(50)
        assert len(first) == len(second) == 3
        for number, channel in enumerate(channels):
            assert np.array_equal(first[number].raw_data, volts(channel, number, 0, 100))
            assert np.array_equal(second[number].raw_data, volts(channel, number, 100, 50))
            assert second[number].channel_name == f"Dev1/ai{number}"
        later = second[0].timing.timestamp - first[0].timing.timestamp
        assert later.total_seconds() == pytest.approx(0.1, abs=1e-3)


@pytest.mark.usefixtures("stepped")
def test_a_timeout_shortens_the_waveforms() -> None:
    with Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
        task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        task.start()
        sim.step(0.03)
        waveforms = [AnalogWaveform(50), AnalogWaveform(50)]
        with pytest.raises(DaqError) as error:
            AnalogMultiChannelReader(task.in_stream).read_waveforms(waveforms, 50, timeout=0)
        assert error.value.error_code == -200284
        assert task.in_stream.curr_read_pos == 30
