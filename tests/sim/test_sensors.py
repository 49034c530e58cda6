"""Every kind of analog input: its units, its way from volts, custom scales, and what is refused."""

import math
from collections.abc import Callable
from typing import Any

import daqring.sim as sim
import numpy as np
import pytest
from nidaqmx import DaqError, Scale, Task
from nidaqmx.constants import (
    AccelUnits,
    AcquisitionType,
    AngleUnits,
    BridgeElectricalUnits,
    BridgePhysicalUnits,
    BridgeUnits,
    CJCSource,
    CurrentShuntResistorLocation,
    CurrentUnits,
    ExcitationSource,
    ForceUnits,
    LengthUnits,
    PressureUnits,
    ResistanceConfiguration,
    RTDType,
    StrainGageBridgeType,
    TemperatureUnits,
    ThermocoupleType,
    TorqueUnits,
    UnitsPreScaled,
    VoltageUnits,
)
from nidaqmx.stream_readers import AnalogUnscaledReader
from nidaqmx.task.collections import AIChannelCollection
from numpy.polynomial.polynomial import polyval

Add = Callable[[AIChannelCollection, str], Any]

# Name, how to add it, the channel's minimum and maximum.
KINDS: list[tuple[str, Add, float, float]] = [
    ("voltage", lambda c, p: c.add_ai_voltage_chan(p, min_val=-5, max_val=5), -5, 5),
    (
        "voltage_excited",
        lambda c, p: c.add_ai_voltage_chan_with_excit(
            p, min_val=-1, max_val=1, voltage_excit_source=ExcitationSource.EXTERNAL,
            voltage_excit_val=2.5, use_excit_for_scaling=True,
        ),
        -1,
        1,
    ),
    (
        "current",
        lambda c, p: c.add_ai_current_chan(
            p, min_val=-0.02, max_val=0.02, ext_shunt_resistor_val=100.0,
            shunt_resistor_loc=CurrentShuntResistorLocation.EXTERNAL,
        ),
        -0.02,
        0.02,
    ),
    *[
        (
            f"thermocouple_{kind.name}",
            lambda c, p, kind=kind: c.add_ai_thrmcpl_chan(
                p, min_val=300, max_val=900, thermocouple_type=kind
            ),
            300.0,
            900.0,
        )
        for kind in ThermocoupleType
        if kind.name not in "AC" and kind.name != "T"
    ],
    (
        "thermocouple_T_in_F",
        lambda c, p: c.add_ai_thrmcpl_chan(
            p, min_val=-100, max_val=400, units=TemperatureUnits.DEG_F,
            thermocouple_type=ThermocoupleType.T, cjc_val=77.0,
        ),
        -100,
        400,
    ),
    *[
        (
            f"rtd_{kind.name}",
            lambda c, p, kind=kind: c.add_ai_rtd_chan(
                p, min_val=-150, max_val=300, rtd_type=kind, current_excit_val=0.001,
                resistance_config=ResistanceConfiguration.FOUR_WIRE,
            ),
            -150.0,
            300.0,
        )
        for kind in RTDType
    ],
    (
        "thermistor_current",
        lambda c, p: c.add_ai_thrmstr_chan_iex(p, min_val=0, max_val=80, current_excit_val=1e-4),
        0,
        80,
    ),
    (
        "thermistor_voltage",
        lambda c, p: c.add_ai_thrmstr_chan_vex(p, min_val=0, max_val=80, units=TemperatureUnits.DEG_C),
        0,
        80,
    ),
    (
        "resistance",
        lambda c, p: c.add_ai_resistance_chan(p, min_val=100, max_val=1000, current_excit_val=0.001),
        100,
        1000,
    ),
    *[
        (
            f"strain_{kind.name}",
            lambda c, p, kind=kind: c.add_ai_strain_gage_chan(p, strain_config=kind),
            -0.001,
            0.001,
        )
        for kind in StrainGageBridgeType
    ],
    (
        "bridge",
        lambda c, p: c.add_ai_bridge_chan(p, units=BridgeUnits.MILLIVOLTS_PER_VOLT, min_val=-2, max_val=2),
        -2,
        2,
    ),
    (
        "force_two_points",
        lambda c, p: c.add_ai_force_bridge_two_point_lin_chan(
            p, min_val=-100, max_val=100, units=ForceUnits.NEWTONS,
            electrical_units=BridgeElectricalUnits.MILLIVOLTS_PER_VOLT,
            physical_units=BridgePhysicalUnits.POUNDS,
        ),
        -100,
        100,
    ),
    (
        "pressure_table",
        lambda c, p: c.add_ai_pressure_bridge_table_chan(
            p, min_val=-100, max_val=100, units=PressureUnits.BAR,
            electrical_vals=[-2, 0, 2], electrical_units=BridgeElectricalUnits.MILLIVOLTS_PER_VOLT,
            physical_vals=[-100, 10, 100], physical_units=BridgePhysicalUnits.BAR,
        ),
        -100,
        100,
    ),
    (
        "torque_polynomial",
        lambda c, p: c.add_ai_torque_bridge_polynomial_chan(
            p, min_val=-100, max_val=100, units=TorqueUnits.INCH_POUNDS,
            forward_coeffs=[0.0, 50.0], reverse_coeffs=[0.0, 0.02],
            electrical_units=BridgeElectricalUnits.MILLIVOLTS_PER_VOLT,
            physical_units=BridgePhysicalUnits.INCH_POUNDS,
        ),
        -100,
        100,
    ),
    (
        "accelerometer",
        lambda c, p: c.add_ai_accel_chan(
            p, min_val=-5, max_val=5, units=AccelUnits.G, sensitivity=100.0
        ),
        -5,
        5,
    ),
    (
        "accelerometer_4_wire",
        lambda c, p: c.add_ai_accel_4_wire_dc_voltage_chan(p, min_val=-5, max_val=5, sensitivity=500.0),
        -5,
        5,
    ),
    ("force_iepe", lambda c, p: c.add_ai_force_iepe_chan(p, min_val=-2000, max_val=2000), -2000, 2000),
    ("velocity", lambda c, p: c.add_ai_velocity_iepe_chan(p, min_val=-0.05, max_val=0.05), -0.05, 0.05),
    (
        "microphone",
        lambda c, p: c.add_ai_microphone_chan(p, mic_sensitivity=10.0, max_snd_press_level=120.0),
        -20.0,
        20.0,
    ),
    (
        "lvdt",
        lambda c, p: c.add_ai_pos_lvdt_chan(p, min_val=-0.1, max_val=0.1, units=LengthUnits.METERS),
        -0.1,
        0.1,
    ),
    (
        "rvdt",
        lambda c, p: c.add_ai_pos_rvdt_chan(p, min_val=-70, max_val=70, units=AngleUnits.DEGREES),
        -70,
        70,
    ),
    (
        "eddy_current",
        lambda c, p: c.add_ai_pos_eddy_curr_prox_probe_chan(p, min_val=0.0, max_val=0.001),
        0.0,
        0.001,
    ),
]  # fmt: skip


@pytest.mark.usefixtures("unthrottled")
@pytest.mark.parametrize(("name", "add", "low", "high"), KINDS, ids=[kind[0] for kind in KINDS])
def test_the_scaled_signal_spans_the_channels_limits(name: str, add: Add, low: float, high: float) -> None:
    sim.signal(None, "sine")
    with Task() as task:
        channel = add(task.ai_channels, "Dev1/ai0")
        task.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS)
        assert channel.ai_min == pytest.approx(low)
        assert channel.ai_max == pytest.approx(high)
        values = np.array(task.read(14_400)).reshape(10, 1440).mean(axis=0)
        span = high - low
        assert values.max() == pytest.approx(high, abs=0.05 * span)
        assert values.min() == pytest.approx(low, abs=0.05 * span)


@pytest.mark.usefixtures("unthrottled")
@pytest.mark.parametrize(("name", "add", "low", "high"), KINDS, ids=[kind[0] for kind in KINDS])
def test_raw_reads_give_the_codes_behind_the_sensor(name: str, add: Add, low: float, high: float) -> None:
    with Task() as task:
        channel = add(task.ai_channels, "Dev1/ai3")
        task.timing.cfg_samp_clk_timing(10_000, sample_mode=AcquisitionType.CONTINUOUS)
        codes = np.zeros((1, 5000), np.int16)
        AnalogUnscaledReader(task.in_stream).read_int16(codes, 5000)
        assert np.array_equal(codes[0], sim.pattern(3, 0, 5000))
        volts = polyval(codes[0].astype(float), channel.ai_dev_scaling_coeff)
        task.stop()
        values = np.array(task.read(5000))
        if name == "voltage":
            assert np.array_equal(values, volts)
        else:
            # Whoever scales with the device's polynomial alone is wrong, and sees it.
            assert not np.allclose(values, volts, rtol=1e-3)


def value_at(add: Add, volts: float) -> float:
    sim.signal("Dev1/ai0", volts)
    with Task() as task:
        add(task.ai_channels, "Dev1/ai0")
        return float(task.read())


@pytest.mark.parametrize(
    ("kind", "millivolts", "celsius"),
    [
        (ThermocoupleType.K, 4.096, 100),
        (ThermocoupleType.K, -3.554, -100),
        (ThermocoupleType.J, 5.269, 100),
        (ThermocoupleType.T, 4.279, 100),
        (ThermocoupleType.E, 6.319, 100),
        (ThermocoupleType.N, 2.774, 100),
    ],
)
def test_thermocouples_follow_the_published_tables(
    kind: ThermocoupleType, millivolts: float, celsius: float
) -> None:
    value = value_at(
        lambda c, p: c.add_ai_thrmcpl_chan(p, min_val=-150, max_val=200, thermocouple_type=kind, cjc_val=0.0),
        millivolts / 1e3,
    )
    assert value == pytest.approx(celsius, abs=0.15)


def test_units_of_one_measurement_agree() -> None:
    def accel(units: AccelUnits) -> float:
        return value_at(
            lambda c, p: c.add_ai_accel_chan(p, min_val=-9, max_val=9, units=units, sensitivity=100.0),
            0.05,
        )

    assert accel(AccelUnits.G) == pytest.approx(0.5, rel=1e-3)
    assert accel(AccelUnits.METERS_PER_SECOND_SQUARED) == pytest.approx(0.5 * 9.80665, rel=2e-2)

    def rtd(units: TemperatureUnits, high: float) -> float:
        return value_at(
            lambda c, p: c.add_ai_rtd_chan(
                p,
                min_val=0.0,
                max_val=high,
                units=units,
                current_excit_val=0.001,
                rtd_type=RTDType.PT_3851,
            ),
            0.1385055,
        )

    assert rtd(TemperatureUnits.DEG_C, 200) == pytest.approx(100, abs=0.1)
    assert rtd(TemperatureUnits.DEG_F, 400) == pytest.approx(212, abs=0.2)
    assert rtd(TemperatureUnits.K, 400) == pytest.approx(373.15, abs=0.1)
    assert rtd(TemperatureUnits.DEG_R, 700) == pytest.approx(671.67, abs=0.2)


@pytest.mark.parametrize(
    ("make", "volts", "value"),
    [
        (lambda: Scale.create_lin_scale("s", 2.0, 1.0, scaled_units="mm"), 2.0, 5.0),
        (lambda: Scale.create_map_scale("s", 0.0, 10.0, 0.0, 50.0), 2.0, 10.0),
        (lambda: Scale.create_polynomial_scale("s", [1.0, 2.0], [-0.5, 0.5]), 2.0, 5.0),
        (lambda: Scale.create_table_scale("s", [0.0, 1.0, 4.0], [0.0, 5.0, 20.0]), 2.5, 12.5),
    ],
    ids=["linear", "map", "polynomial", "table"],
)
def test_custom_scales(make: Callable[[], Scale], volts: float, value: float) -> None:
    make()
    low, high = 0.0, 18.0
    got = value_at(
        lambda c, p: c.add_ai_voltage_chan(
            p, min_val=low, max_val=high, units=VoltageUnits.FROM_CUSTOM_SCALE, custom_scale_name="s"
        ),
        volts,
    )
    assert got == pytest.approx(value, rel=1e-2)
    with Task() as task:
        channel = task.ai_channels.add_ai_voltage_chan(
            "Dev1/ai1", min_val=0, max_val=2,
            units=VoltageUnits.FROM_CUSTOM_SCALE, custom_scale_name="s",
        )  # fmt: skip
        assert channel.ai_custom_scale.name == "s"
        assert channel.ai_voltage_units == VoltageUnits.FROM_CUSTOM_SCALE


def test_scales_of_other_units_than_volts() -> None:
    Scale.create_lin_scale("fahrenheit", 1.8, 32.0, UnitsPreScaled.DEG_C)
    got = value_at(
        lambda c, p: c.add_ai_current_chan(
            p, min_val=0, max_val=0.01, units=CurrentUnits.AMPS, ext_shunt_resistor_val=100.0,
            shunt_resistor_loc=CurrentShuntResistorLocation.EXTERNAL,
        ),
        0.5,
    )  # fmt: skip
    assert got == pytest.approx(0.005, rel=1e-3)


def test_scale_properties() -> None:
    scale = Scale.create_lin_scale("line", 2.0, 1.0, scaled_units="bar")
    assert (scale.lin_slope, scale.lin_y_intercept, scale.scaled_units) == (2.0, 1.0, "bar")
    scale.lin_slope = 4.0
    scale.description = "a description"
    assert (Scale("line").lin_slope, Scale("line").description) == (4.0, "a description")
    with pytest.raises(DaqError) as error:
        scale.lin_slope = 0.0
    assert error.value.error_code == -200409
    with pytest.raises(DaqError) as error:
        _ = scale.map_scaled_max
    assert error.value.error_code == -200601
    table = Scale.create_table_scale("t", [0, 1], [2, 3])
    assert (table.table_pre_scaled_vals, table.table_scaled_vals) == ([0, 1], [2, 3])
    curve = Scale.create_polynomial_scale("p", [1, 2, 3], [4, 5])
    assert (curve.poly_forward_coeff, curve.poly_reverse_coeff) == ([1, 2, 3], [4, 5])


def test_reverse_coefficients_are_calculated() -> None:
    reverse = Scale.calculate_reverse_poly_coeff([3.0, 2.0], -5.0, 5.0, 100, 1)
    assert reverse == pytest.approx([-1.5, 0.5])


@pytest.mark.parametrize(
    ("add", "code"),
    [
        (lambda c: c.add_ai_voltage_chan("Dev1/ai0", min_val=1, max_val=1), -200082),
        (lambda c: c.add_ai_voltage_chan("Dev1/ai0", min_val=math.nan, max_val=1), -200082),
        (lambda c: c.add_ai_voltage_chan("Dev1/ai0", max_val=11), -200077),
        (lambda c: c.add_ai_voltage_chan("Dev1/port0"), -200430),
        (lambda c: c.add_ai_voltage_chan("Dev1/ai0:"), -200086),
        (lambda c: c.add_ai_voltage_chan(""), -200170),
        (lambda c: c.add_ai_voltage_chan("Dev9/ai0"), -200220),
        (lambda c: c.add_ai_voltage_chan("Dev1/ai32"), -200170),
        (lambda c: c.add_ai_voltage_chan("Dev1/ai0, Dev1/ai0"), -200489),
        (
            lambda c: c.add_ai_voltage_chan(
                "Dev1/ai0", units=VoltageUnits.FROM_CUSTOM_SCALE, custom_scale_name="none"
            ),
            -200378,
        ),
        (lambda c: c.add_ai_voltage_chan("Dev1/ai0", custom_scale_name="none"), -200447),
        (lambda c: c.add_ai_thrmcpl_chan("Dev1/ai0", thermocouple_type=ThermocoupleType.A), -200077),
        (lambda c: c.add_ai_thrmcpl_chan("Dev3/ai0"), -200431),
        (
            lambda c: c.add_ai_thrmcpl_chan(
                "Dev1/ai0", cjc_source=CJCSource.SCANNABLE_CHANNEL, cjc_channel="Dev1/ai99"
            ),
            -200170,
        ),
        (lambda c: c.add_ai_resistance_chan("Dev1/ai0", current_excit_val=0.0), -200077),
        (lambda c: c.add_ai_strain_gage_chan("Dev1/ai0", gage_factor=0.0), -200077),
        (lambda c: c.add_ai_accel_chan("Dev1/ai0", sensitivity=0.0), -200077),
    ],
)  # fmt: skip
def test_channels_that_cannot_be_are_refused(add: Callable[[Any], Any], code: int) -> None:
    with Task() as task:
        with pytest.raises(DaqError) as error:
            add(task.ai_channels)
        assert error.value.error_code == code
        assert f"Status Code: {code}" in str(error.value)
        assert task.channel_names in ([], ["Dev1/ai0"][:0])
