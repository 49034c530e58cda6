"""Analog inputs of the rarer kinds: RMS, frequency, charge, power, rosettes, built-in sensors."""

from typing import Any

import daqring.sim as sim
import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import (
    AccelChargeSensitivityUnits,
    AccelUnits,
    AcquisitionType,
    BridgeConfiguration,
    ChargeUnits,
    CurrentShuntResistorLocation,
    PowerUnits,
    StrainGageBridgeType,
    StrainGageRosetteMeasurementType,
    StrainGageRosetteType,
    TemperatureUnits,
    UsageTypeAI,
)
from nidaqmx.errors import DaqError
from nidaqmx.stream_readers import PowerBinaryReader, PowerMultiChannelReader, PowerSingleChannelReader

COUNT = 3000


def both(task: nidaqmx.Task) -> tuple[Any, Any]:
    """Scaled values and codes of the same samples of a task's only channel."""
    task.timing.cfg_samp_clk_timing(1000, samps_per_chan=COUNT)
    scaled = np.array(task.read(COUNT))
    task.stop()
    raw = task.in_stream.read(COUNT)
    return scaled, raw


def volts(task: nidaqmx.Task, raw: Any) -> Any:
    coefficients = task.ai_channels[0].ai_dev_scaling_coeff
    return np.polynomial.polynomial.polyval(raw.astype(np.float64), coefficients)


@pytest.fixture(autouse=True)
def _stepless() -> None:
    sim.clock("unthrottled")
    sim.signal(None, "sine")


def test_rms_voltage_is_what_the_converter_gives() -> None:
    with nidaqmx.Task() as task:
        channel = task.ai_channels.add_ai_voltage_rms_chan("Dev1/ai0", min_val=0.0, max_val=5.0)
        assert channel.ai_meas_type == UsageTypeAI.VOLTAGE_ACRMS
        scaled, raw = both(task)
        assert np.array_equal(scaled, volts(task, raw))
        assert -0.2 < scaled.min() < 0.2
        assert 4.8 < scaled.max() < 5.2


def test_rms_current_goes_over_the_shunt() -> None:
    with nidaqmx.Task() as task:
        channel = task.ai_channels.add_ai_current_rms_chan(
            "Dev1/ai0",
            min_val=0.0,
            max_val=0.02,
            shunt_resistor_loc=CurrentShuntResistorLocation.EXTERNAL,
            ext_shunt_resistor_val=250.0,
        )
        assert channel.ai_meas_type == UsageTypeAI.CURRENT_ACRMS
        scaled, raw = both(task)
        np.testing.assert_allclose(scaled, volts(task, raw) / 250.0, rtol=1e-12)


def test_frequency_comes_as_a_voltage() -> None:
    with nidaqmx.Task() as task:
        channel = task.ai_channels.add_ai_freq_voltage_chan(
            "Dev1/ai0", min_val=1.0, max_val=900.0, threshold_level=0.5, hysteresis=0.1
        )
        assert channel.ai_meas_type == UsageTypeAI.FREQUENCY_VOLTAGE
        assert (channel.ai_freq_thresh_voltage, channel.ai_freq_hyst) == (0.5, 0.1)
        scaled, raw = both(task)
        np.testing.assert_allclose(scaled, volts(task, raw) * 200.0, rtol=1e-9)
        assert 850 < scaled.max() < 950


@pytest.mark.parametrize("units", [ChargeUnits.COULOMBS, ChargeUnits.PICO_COULOMBS])
def test_charge(units: ChargeUnits) -> None:
    sim.configure({"Dev1": "PXIe-4480"})
    factor = 1.0 if units == ChargeUnits.COULOMBS else 1e12
    with nidaqmx.Task() as task:
        channel = task.ai_channels.add_ai_charge_chan(
            "Dev1/ai0", min_val=-2e-9 * factor, max_val=2e-9 * factor, units=units
        )
        assert channel.ai_charge_units == units
        assert channel.ai_meas_type == UsageTypeAI.CHARGE
        scaled, raw = both(task)
        assert raw.dtype == np.int32
        np.testing.assert_allclose(scaled, volts(task, raw) * 2e-9 * factor, rtol=1e-9)


def test_accelerometer_with_charge() -> None:
    sim.configure({"Dev1": "PXIe-4480"})
    with nidaqmx.Task() as task:
        channel = task.ai_channels.add_ai_accel_charge_chan(
            "Dev1/ai0",
            min_val=-5.0,
            max_val=5.0,
            units=AccelUnits.G,
            sensitivity=100.0,
            sensitivity_units=AccelChargeSensitivityUnits.PICO_COULOMBS_PER_G,
        )
        assert channel.ai_accel_charge_sensitivity == 100.0
        scaled, raw = both(task)
        np.testing.assert_allclose(scaled, volts(task, raw) * 2e-9 / 100e-12, rtol=1e-9)
        assert 4.5 < scaled.max() < 5.5


def test_charge_needs_a_device_that_can() -> None:
    with nidaqmx.Task() as task, pytest.raises(DaqError) as caught:
        task.ai_channels.add_ai_charge_chan("Dev1/ai0")
    assert caught.value.error_code == -200431


@pytest.mark.parametrize(
    ("units", "low", "high"),
    [
        (TemperatureUnits.DEG_C, 0, 50),
        (TemperatureUnits.DEG_F, 32, 122),
        (TemperatureUnits.K, 273.15, 323.15),
    ],
)
def test_the_sensor_on_the_board(units: TemperatureUnits, low: float, high: float) -> None:
    with nidaqmx.Task() as task:
        channel = task.ai_channels.add_ai_temp_built_in_sensor_chan(
            "Dev1/_boardTempSensor_vs_aignd", units=units
        )
        assert channel.ai_meas_type == UsageTypeAI.TEMPERATURE_BUILT_IN_SENSOR
        assert channel.physical_channel.name == "Dev1/_boardTempSensor_vs_aignd"
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=COUNT)
        values = np.array(task.read(COUNT))
        span = high - low
        assert low - 0.1 * span < values.min() < low + 0.1 * span
        assert high - 0.1 * span < values.max() < high + 0.1 * span


def test_calculated_power_is_the_product() -> None:
    with nidaqmx.Task() as task, nidaqmx.Task() as parts:
        channel = task.ai_channels.add_ai_calculated_power_chan(
            "Dev1/ai0",
            "Dev1/ai1",
            voltage_min_val=-10,
            voltage_max_val=10,
            current_min_val=-0.01,
            current_max_val=0.01,
            units=PowerUnits.WATTS,
            shunt_resistor_loc=CurrentShuntResistorLocation.EXTERNAL,
            ext_shunt_resistor_val=250.0,
        )
        assert channel.ai_meas_type == UsageTypeAI.CALCULATED_POWER
        assert channel.ai_power_units == PowerUnits.WATTS
        assert channel.ai_calculated_power_current_max == 0.01
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=COUNT)
        power = np.array(task.read(COUNT))
        task.stop()
        with pytest.raises(DaqError) as caught:
            task.in_stream.read(10)
        assert caught.value.error_code == -200466
        task.control(nidaqmx.constants.TaskMode.TASK_ABORT)
        parts.ai_channels.add_ai_voltage_chan("Dev1/ai0", min_val=-10, max_val=10)
        parts.ai_channels.add_ai_current_chan(
            "Dev1/ai1",
            min_val=-0.01,
            max_val=0.01,
            shunt_resistor_loc=CurrentShuntResistorLocation.EXTERNAL,
            ext_shunt_resistor_val=250.0,
        )
        parts.timing.cfg_samp_clk_timing(1000, samps_per_chan=COUNT)
        voltage, current = np.array(parts.read(COUNT))
        np.testing.assert_allclose(power, voltage * current, rtol=1e-12)


def test_calculated_power_counts_both_inputs_in_the_rate() -> None:
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_calculated_power_chan(
            "Dev1/ai0", "Dev1/ai1", shunt_resistor_loc=CurrentShuntResistorLocation.EXTERNAL
        )
        assert task.timing.samp_clk_max_rate == 500_000


def test_a_rosette_finds_what_its_gages_see() -> None:
    kinds = [
        StrainGageRosetteMeasurementType.PRINCIPAL_STRAIN_1,
        StrainGageRosetteMeasurementType.PRINCIPAL_STRAIN_2,
        StrainGageRosetteMeasurementType.CARTESIAN_STRAIN_X,
        StrainGageRosetteMeasurementType.CARTESIAN_STRAIN_Y,
        StrainGageRosetteMeasurementType.MAX_SHEAR_STRAIN,
    ]
    sim.configure({"Dev1": "PXIe-4331"})
    with nidaqmx.Task() as task, nidaqmx.Task() as gages:
        channels = task.ai_channels.add_ai_rosette_strain_gage_chan(
            "Dev1/ai0:2",
            StrainGageRosetteType.RECTANGULAR,
            0.0,
            kinds,
            strain_config=StrainGageBridgeType.QUARTER_BRIDGE_I,
        )
        assert len(task.ai_channels) == len(kinds)
        assert task.ai_channels[0].ai_rosette_strain_gage_rosette_type == StrainGageRosetteType.RECTANGULAR
        assert task.ai_channels[1].ai_rosette_strain_gage_rosette_meas_type == kinds[1]
        assert list(task.ai_channels[0].ai_rosette_strain_gage_strain_chans) == [
            "Dev1/ai0",
            "Dev1/ai1",
            "Dev1/ai2",
        ]
        assert channels.ai_meas_type == UsageTypeAI.ROSETTE_STRAIN_GAGE
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=COUNT)
        one, two, along, across, shear = np.array(task.read(COUNT))
        task.control(nidaqmx.constants.TaskMode.TASK_ABORT)
        gages.ai_channels.add_ai_strain_gage_chan(
            "Dev1/ai0:2", strain_config=StrainGageBridgeType.QUARTER_BRIDGE_I
        )
        gages.timing.cfg_samp_clk_timing(1000, samps_per_chan=COUNT)
        a, b, c = np.array(gages.read(COUNT))
        np.testing.assert_allclose(along, a, rtol=1e-9)
        np.testing.assert_allclose(across, c, rtol=1e-9)
        radius = np.hypot((a - c) / 2, (2 * b - a - c) / 2)
        np.testing.assert_allclose(one, (a + c) / 2 + radius, atol=1e-12)
        np.testing.assert_allclose(two, (a + c) / 2 - radius, atol=1e-12)
        np.testing.assert_allclose(shear, 2 * radius, atol=1e-12)


@pytest.mark.parametrize(
    ("channels", "kind", "code"),
    [
        ("Dev1/ai0:1", StrainGageRosetteType.RECTANGULAR, -201447),
        ("Dev1/ai0:3", StrainGageRosetteType.DELTA, -201447),
        ("Dev1/ai0:2", StrainGageRosetteType.TEE, -201446),
    ],
)
def test_rosettes_need_their_gages(channels: str, kind: StrainGageRosetteType, code: int) -> None:
    sim.configure({"Dev1": "PXIe-4331"})
    with nidaqmx.Task() as task, pytest.raises(DaqError) as caught:
        task.ai_channels.add_ai_rosette_strain_gage_chan(
            channels, kind, 0.0, [StrainGageRosetteMeasurementType.PRINCIPAL_STRAIN_1]
        )
    assert caught.value.error_code == code


def test_the_range_of_a_bridge_moves_with_the_excitation() -> None:
    sim.configure({"Dev1": "PXIe-4331"})
    with nidaqmx.Task() as task:
        channel = task.ai_channels.add_ai_bridge_chan(
            "Dev1/ai0",
            min_val=-0.02,
            max_val=0.02,
            bridge_config=BridgeConfiguration.FULL_BRIDGE,
            voltage_excit_val=10.0,
        )
        assert channel.ai_rng_high == pytest.approx(0.25)
        with pytest.raises(DaqError) as caught:
            task.ai_channels.add_ai_bridge_chan("Dev1/ai1", min_val=-0.2, max_val=0.2)
        assert caught.value.error_code == -200077


@pytest.fixture
def supply() -> str:
    sim.configure(["TS-15000", "TS-15200", "TS-15200"])
    return "TS1Mod1/power"


def test_a_power_supply_measures_what_it_delivers(supply: str) -> None:
    with nidaqmx.Task() as task:
        channel = task.ai_channels.add_ai_power_chan(supply, 6.0, 2.0, True)
        assert channel.pwr_voltage_setpoint == 6.0
        assert channel.ai_meas_type == UsageTypeAI.POWER
        task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.FINITE, samps_per_chan=100)
        voltage, current = np.empty(100), np.empty(100)
        reader = PowerSingleChannelReader(task.in_stream)
        assert reader.read_many_sample(voltage, current, 100) == 100
        np.testing.assert_allclose(voltage, 6.0, atol=0.01)
        np.testing.assert_allclose(current, 1.0, atol=0.01)
        task.stop()
        one = task.read()
        assert one.voltage == pytest.approx(6.0, abs=0.01)
        many = task.read(5)
        assert len(many) == 5


def test_power_supplies_that_are_off_and_codes(supply: str) -> None:
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_power_chan(supply, 6.0, 2.0, False)
        task.ai_channels.add_ai_power_chan("TS1Mod2/power", 3.0, 1.0, True)
        voltage, current = np.empty((2, 4)), np.empty((2, 4))
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=4)
        PowerMultiChannelReader(task.in_stream).read_many_sample(voltage, current, 4)
        np.testing.assert_allclose(voltage[0], 0.0, atol=0.01)
        np.testing.assert_allclose(voltage[1], 3.0, atol=0.01)
        np.testing.assert_allclose(current[1], 0.5, atol=0.01)
        task.stop()
        codes, codes2 = np.empty((2, 4), np.int16), np.empty((2, 4), np.int16)
        PowerBinaryReader(task.in_stream).read_many_sample(codes, codes2, 4)
        coefficients = task.ai_channels[1].pwr_voltage_dev_scaling_coeff
        np.testing.assert_allclose(np.polynomial.polynomial.polyval(codes[1], coefficients), voltage[1])


def test_power_supplies_refuse_what_they_cannot_do(supply: str) -> None:
    with nidaqmx.Task() as task:
        with pytest.raises(DaqError, match=r"Requested Value: 60\.0"):
            task.ai_channels.add_ai_power_chan(supply, 60.0, 2.0, True)
        with pytest.raises(DaqError) as caught:
            task.ai_channels.add_ai_power_chan("TS1Mod1/ai0", 6.0, 2.0, True)
        assert caught.value.error_code == -200170
