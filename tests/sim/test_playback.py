"""Signals of one's own: arrays, TDMS files, seeded noise."""

from pathlib import Path

import daqring
import daqring.sim as sim
import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import AcquisitionType


@pytest.fixture(autouse=True)
def _fast(unthrottled: None) -> None:
    """Time moves as fast as reads need."""


def read(channel: str, count: int, **limits: float) -> tuple[object, object, float]:
    """Values and codes of a channel, and the value of one code."""
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan(channel, **limits)  # type: ignore[arg-type]
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=count)
        values = np.array(task.read(count))
        task.stop()
        return values, task.in_stream.read(count), task.ai_channels[0].ai_dev_scaling_coeff[1]


@pytest.mark.parametrize("device", ["PCIe-6363", "PXIe-4499"])
@pytest.mark.parametrize("length", [1, 3, 1000, 5000])
def test_values_of_ones_own_in_volts(device: str, length: int) -> None:
    sim.configure({"Dev1": device})
    wanted = np.sin(np.arange(length) / 7.0)
    sim.signal("Dev1/ai1", wanted)
    values, _, step = read("Dev1/ai1", 12_000, min_val=-1, max_val=1)
    np.testing.assert_allclose(values, np.resize(wanted, 12_000), atol=abs(step))


def test_values_of_ones_own_in_the_units_of_a_sensor() -> None:
    sim.signal("Dev1/ai0", [20.0, 50.0, 80.0])
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_thrmcpl_chan("Dev1/ai0", min_val=0, max_val=100)
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=6)
        np.testing.assert_allclose(task.read(6), [20, 50, 80, 20, 50, 80], atol=0.1)


def test_codes_of_ones_own_are_delivered_as_they_are() -> None:
    wanted = np.arange(-30_000, 30_000, 7, dtype=np.int16)
    sim.signal("Dev1", wanted)
    _, codes, _ = read("Dev1/ai2", 20_000)
    assert np.array_equal(codes, np.resize(wanted, 20_000))


def test_a_signal_from_a_tdms_file(tmp_path: Path) -> None:
    path = tmp_path / "old.tdms"
    sim.signal(None, "sine")
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
        task.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS)
        daqring.record(task, path, samples=3000, progress=False)
    old = daqring.open(path)["Dev1/ai1"][:]
    sim.signal("Dev2/ai3", path, source="Dev1/ai1")
    values, _, step = read("Dev2/ai3", 6000)
    np.testing.assert_allclose(values, np.tile(old, 2), atol=abs(step))
    sim.signal("Dev1/ai0", str(path))
    with pytest.raises(ValueError, match="which channel"):
        sim.signal("Dev2/ai0", path)
    with pytest.raises(ValueError, match=r"channel 'x'.*Dev1/ai0"):
        sim.signal("Dev2/ai0", path, source="x")
    with pytest.raises(OSError, match="none"):
        sim.signal("Dev2/ai0", tmp_path / "none.tdms")


def test_noise_is_the_same_for_the_same_seed() -> None:
    def noise(seed: int, channel: str = "Dev1/ai0") -> object:
        sim.signal(None, "noise", volts=0.5, seed=seed)
        return read(channel, 20_000, min_val=-1, max_val=1)[0]

    first = noise(1)
    assert np.array_equal(first, noise(1))
    assert not np.array_equal(first, noise(2))
    assert not np.array_equal(first, noise(1, "Dev1/ai1"))
    assert 0.45 < np.max(np.abs(first)) < 0.51  # type: ignore[arg-type]
    assert abs(np.mean(first)) < 0.02  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [[], [[1, 2]], ["a"], [2**31], [1.0, float("nan")], [True, False], "square"])
def test_signals_that_cannot_be(kind: object) -> None:
    with pytest.raises(ValueError, match=r"\."):
        sim.signal("Dev1/ai0", kind)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="volts"):
        sim.signal("Dev1/ai0", "noise", volts=-1.0)
