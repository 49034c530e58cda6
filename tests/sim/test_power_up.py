"""Power-up states, resets, calibration info, and devices that say they are real."""

import datetime
from collections.abc import Callable
from pathlib import Path

import daqring.sim as sim
import nidaqmx
import pytest
from nidaqmx.constants import LogicFamily, PowerUpChannelType, PowerUpStates
from nidaqmx.errors import DaqError
from nidaqmx.system import Device, System
from nidaqmx.types import AOPowerUpState, DOPowerUpState


def device(name: str = "Dev1") -> Device:
    return System.local().devices[name]


def line(name: str) -> bool:
    with nidaqmx.Task() as task:
        task.di_channels.add_di_chan(name)
        return bool(task.read())


def volts(number: int) -> float:
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan(f"Dev1/_ao{number}_vs_aognd", min_val=-10.0, max_val=10.0)
        return float(task.read())


@pytest.mark.parametrize("state", list(PowerUpStates))
@pytest.mark.parametrize("name", ["Dev1/port0/line0", "Dev1/port0/line31", "Dev1/port1/line3", "Dev1/port2"])
def test_digital_power_up_states(name: str, state: PowerUpStates) -> None:
    system = System.local()
    system.set_digital_power_up_states("Dev1", [DOPowerUpState(physical_channel=name, power_up_state=state)])
    states = {one.physical_channel: one.power_up_state for one in system.get_digital_power_up_states("Dev1")}
    assert len(states) == 48
    changed = {key for key in states if key == name or key.startswith(f"{name}/")}
    assert {states[key] for key in changed} == {state}
    assert {states[key] for key in states.keys() - changed} == {PowerUpStates.TRISTATE}


def test_many_digital_power_up_states_at_once() -> None:
    system = System.local()
    order = [PowerUpStates.HIGH, PowerUpStates.LOW, PowerUpStates.TRISTATE]
    wanted = [
        DOPowerUpState(physical_channel=f"Dev1/port0/line{n}", power_up_state=order[n % 3]) for n in range(32)
    ]
    system.set_digital_power_up_states("Dev1", wanted)
    assert system.get_digital_power_up_states("Dev1")[:32] == wanted


@pytest.mark.parametrize(
    ("name", "state", "code"),
    [
        ("Dev1/port9", PowerUpStates.HIGH, -200170),
        ("Dev1/port0/line99", PowerUpStates.HIGH, -200170),
        ("Dev1/ao0", PowerUpStates.HIGH, -200430),
        ("Dev2/port0/line0", PowerUpStates.HIGH, -200430),
        ("Nobody/port0/line0", PowerUpStates.HIGH, -200220),
        ("", PowerUpStates.HIGH, -200626),
    ],
)
def test_digital_power_up_states_that_cannot_be(name: str, state: PowerUpStates, code: int) -> None:
    good = DOPowerUpState(physical_channel="Dev1/port0/line0", power_up_state=state)
    bad = DOPowerUpState(physical_channel=name, power_up_state=state)
    with pytest.raises(DaqError) as caught:
        System.local().set_digital_power_up_states("Dev1", [good, bad])
    assert caught.value.error_code == code
    states = System.local().get_digital_power_up_states("Dev1")
    assert {one.power_up_state for one in states} == {PowerUpStates.TRISTATE}


@pytest.mark.parametrize("value", [-10.0, 0.0, 3.25, 10.0])
@pytest.mark.parametrize("number", [0, 3])
def test_analog_power_up_states(number: int, value: float) -> None:
    system = System.local()
    wanted = AOPowerUpState(
        physical_channel=f"Dev1/ao{number}",
        power_up_state=value,
        channel_type=PowerUpChannelType.CHANNEL_VOLTAGE,
    )
    system.set_analog_power_up_states_with_output_type([wanted])
    names = [f"Dev1/ao{n}" for n in range(4)]
    states = system.get_analog_power_up_states_with_output_type(names)
    assert [one.power_up_state for one in states] == [value if n == number else 0.0 for n in range(4)]
    device().reset_device()
    assert volts(number) == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize(
    ("name", "value", "kind", "code"),
    [
        ("Dev1/ao0", 10.5, PowerUpChannelType.CHANNEL_VOLTAGE, -200077),
        ("Dev1/ao0", float("nan"), PowerUpChannelType.CHANNEL_VOLTAGE, -200077),
        ("Dev1/ao0", 0.01, PowerUpChannelType.CHANNEL_CURRENT, -200077),
        ("Dev1/ao0", 0.0, PowerUpChannelType.CHANNEL_HIGH_IMPEDANCE, -200077),
        ("Dev1/ai0", 1.0, PowerUpChannelType.CHANNEL_VOLTAGE, -200430),
        ("Dev1/ao9", 1.0, PowerUpChannelType.CHANNEL_VOLTAGE, -200170),
        ("Nobody/ao0", 1.0, PowerUpChannelType.CHANNEL_VOLTAGE, -200220),
    ],
)
def test_analog_power_up_states_that_cannot_be(
    name: str, value: float, kind: PowerUpChannelType, code: int
) -> None:
    state = AOPowerUpState(physical_channel=name, power_up_state=value, channel_type=kind)
    with pytest.raises(DaqError) as caught:
        System.local().set_analog_power_up_states_with_output_type([state])
    assert caught.value.error_code == code


@pytest.mark.parametrize("family", list(LogicFamily))
def test_logic_families(family: LogicFamily) -> None:
    system = System.local()
    assert system.get_digital_logic_family_power_up_state("Dev1") == LogicFamily.FIVE_V
    system.set_digital_logic_family_power_up_state("Dev1", family)
    assert system.get_digital_logic_family_power_up_state("Dev1") == family
    assert system.get_digital_logic_family_power_up_state("Dev2") == LogicFamily.FIVE_V
    with pytest.raises(DaqError) as caught:
        system.set_digital_logic_family_power_up_state("Nobody", family)
    assert caught.value.error_code == -200220


def test_a_reset_puts_outputs_back() -> None:
    with nidaqmx.Task() as out:
        out.ao_channels.add_ao_voltage_chan("Dev1/ao0:1")
        out.write([2.0, -3.0])
    with nidaqmx.Task() as out:
        out.do_channels.add_do_chan("Dev1/port0/line0:7")
        out.write(0b1010_1010)
    assert volts(1) == pytest.approx(-3.0, abs=0.01)
    assert line("Dev1/port0/line1")
    states = [
        DOPowerUpState(physical_channel="Dev1/port0/line0", power_up_state=PowerUpStates.HIGH),
        DOPowerUpState(physical_channel="Dev1/port0/line1", power_up_state=PowerUpStates.LOW),
    ]
    System.local().set_digital_power_up_states("Dev1", states)
    assert line("Dev1/port0/line1")  # not before the next power-up
    device().reset_device()
    assert line("Dev1/port0/line0")
    assert not line("Dev1/port0/line1")
    assert volts(0) == pytest.approx(0.0, abs=0.01)
    assert volts(1) == pytest.approx(0.0, abs=0.01)


def test_a_reset_leaves_other_devices_alone() -> None:
    with nidaqmx.Task() as out, nidaqmx.Task() as back:
        out.ao_channels.add_ao_voltage_chan("Dev1/ao0")
        out.write(2.0)
        device("Dev2").reset_device()
        back.ai_channels.add_ai_voltage_chan("Dev1/_ao0_vs_aognd")
        assert back.read() == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    "call", ["reset_device", "self_test_device", "self_cal", "restore_last_ext_cal_const"]
)
def test_a_device_that_is_gone_answers_nothing(call: str) -> None:
    getattr(device(), call)()
    sim.unplug("Dev1")
    with pytest.raises(DaqError) as caught:
        getattr(device(), call)()
    assert caught.value.error_code == -201003
    sim.plug("Dev1")
    getattr(device(), call)()


@pytest.mark.parametrize("name", ["Dev1", "Dev2", "Dev3"])
def test_calibration_info(name: str) -> None:
    one = device(name)
    assert one.self_cal_supported
    assert 10 < one.ext_cal_last_temp < 40
    assert 10 < one.self_cal_last_temp < 40
    assert 10 < one.cal_dev_temp < 60
    assert one.ext_cal_recommended_interval == 24
    assert one.ext_cal_last_date_and_time == one.self_cal_last_date_and_time
    one.self_cal()
    passed = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - one.self_cal_last_date_and_time
    assert datetime.timedelta(0) <= passed < datetime.timedelta(minutes=5)
    one.restore_last_ext_cal_const()
    assert one.self_cal_last_date_and_time == one.ext_cal_last_date_and_time
    with pytest.raises(DaqError) as caught:
        _ = one.cal_acc_connection_count
    assert caught.value.error_code == -200197


@pytest.mark.parametrize("text", ["", "A", "ab12"])
def test_a_note_in_the_device(text: str) -> None:
    device().cal_user_defined_info = text
    assert device().cal_user_defined_info == text
    assert device("Dev2").cal_user_defined_info == ""
    with pytest.raises(DaqError) as caught:
        device().cal_user_defined_info = text + "12345"
    assert caught.value.error_code == -200077
    assert len(text) <= device().cal_user_defined_info_max_size


@pytest.mark.parametrize(
    "ask",
    [
        lambda one: one.ext_cal_last_date_and_time,
        lambda one: one.self_cal_last_date_and_time,
        lambda one: one.ext_cal_last_temp,
        lambda one: one.self_cal(),
        lambda one: one.restore_last_ext_cal_const(),
    ],
)
def test_a_chassis_is_not_calibrated(ask: Callable[[Device], object]) -> None:
    sim.configure(["cDAQ-9178", "NI 9234"])
    assert not device("cDAQ1").self_cal_supported
    with pytest.raises(DaqError) as caught:
        ask(device("cDAQ1"))
    assert caught.value.error_code == -200445


def test_a_device_that_says_it_is_real() -> None:
    sim.configure({"Dev1": {"product": "PCIe-6363", "simulated": False}, "Dev2": "PCIe-6363"})
    assert [one.is_simulated for one in System.local().devices] == [False, True]
    # A self-check of wiring, as programs do it on hardware: what goes out comes in.
    with nidaqmx.Task() as out, nidaqmx.Task() as back:
        out.ao_channels.add_ao_voltage_chan("Dev1/ao0")
        back.ai_channels.add_ai_voltage_chan("Dev1/_ao0_vs_aognd")
        for value in (-5.0, 0.0, 5.0):
            out.write(value)
            assert back.read() == pytest.approx(value, abs=0.01)


@pytest.mark.parametrize("suffix", [".toml", ".ini"])
def test_it_says_so_after_a_file_too(tmp_path: Path, suffix: str) -> None:
    sim.configure({"Dev1": {"product": "PCIe-6363", "simulated": False}, "Dev2": "PCIe-6363"})
    path = str(tmp_path / f"rig{suffix}")
    sim.save_devices(path)
    sim.configure(path)
    simulated = [one.is_simulated for one in System.local().devices]
    assert simulated == ([False, True] if suffix == ".toml" else [True, True])


def test_simulated_is_yes_or_no() -> None:
    with pytest.raises(ValueError, match="simulated"):
        sim.configure({"Dev1": {"product": "PCIe-6363", "simulated": "no"}})
