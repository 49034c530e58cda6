"""Watchdog tasks: outputs go to chosen states where nobody resets the timer."""

import daqring.sim as sim
import nidaqmx
import pytest
from nidaqmx.constants import Level, WatchdogAOExpirState, WDTTaskAction
from nidaqmx.errors import DaqError
from nidaqmx.system.watchdog import WatchdogTask
from nidaqmx.types import AOExpirationState, DOExpirationState

pytestmark = pytest.mark.usefixtures("stepped")


def volts(number: int) -> float:
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan(f"Dev1/_ao{number}_vs_aognd", min_val=-10.0, max_val=10.0)
        return float(task.read())


def line(name: str) -> bool:
    with nidaqmx.Task() as task:
        task.di_channels.add_di_chan(name)
        return bool(task.read())


def put(value: float, state: bool) -> None:
    with nidaqmx.Task() as out:
        out.ao_channels.add_ao_voltage_chan("Dev1/ao0")
        out.write(value)
    with nidaqmx.Task() as out:
        out.do_channels.add_do_chan("Dev1/port0/line0")
        out.write(state)


@pytest.mark.parametrize("level", list(Level))
@pytest.mark.parametrize("value", [-2.0, 0.0, 7.5])
def test_outputs_go_to_their_states(level: Level, value: float) -> None:
    put(1.0, level is Level.LOW)
    with WatchdogTask("Dev1", timeout=0.5) as dog:
        dog.cfg_watchdog_do_expir_states(
            [DOExpirationState(physical_channel="Dev1/port0/line0", expiration_state=level)]
        )
        dog.cfg_watchdog_ao_expir_states(
            [
                AOExpirationState(
                    physical_channel="Dev1/ao0",
                    expiration_state=value,
                    output_type=WatchdogAOExpirState.VOLTAGE,
                )
            ]
        )
        assert dog.expiration_states["Dev1/port0/line0"].do_state == level
        assert dog.expiration_states["Dev1/ao0"].ao_state == value
        dog.start()
        sim.step(0.49)
        assert not dog.expired
        assert volts(0) == pytest.approx(1.0, abs=0.01)
        sim.step(0.02)
        assert dog.expired
        assert volts(0) == pytest.approx(value, abs=0.01)
        assert line("Dev1/port0/line0") == (level is Level.HIGH)


def test_a_timer_that_is_reset_does_not_expire() -> None:
    put(3.0, True)
    with WatchdogTask("Dev1", timeout=0.1) as dog:
        dog.start()
        for _ in range(10):
            sim.step(0.09)
            dog.reset_timer()
        assert not dog.expired
        sim.step(0.11)
        assert dog.expired
        assert volts(0) == pytest.approx(3.0, abs=0.01)  # nothing was chosen for it


def test_after_an_expiration_nothing_is_written_until_it_is_cleared() -> None:
    with WatchdogTask("Dev1", timeout=0.1) as dog:
        dog.start()
        sim.step(0.2)
        with pytest.raises(DaqError) as caught:
            put(1.0, True)
        assert caught.value.error_code == -200678
        with pytest.raises(DaqError) as caught:
            dog.reset_timer()
        assert caught.value.error_code == -200644
        with nidaqmx.Task() as other:
            other.do_channels.add_do_chan("Dev2/port0/line0")
            other.write(True)
        dog.clear_expiration()
        assert not dog.expired
        put(1.0, True)
        assert volts(0) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("end", ["stop", "close"])
def test_a_watchdog_ends_with_its_task(end: str) -> None:
    dog = WatchdogTask("Dev1", timeout=0.1)
    dog.start()
    sim.step(0.2)
    getattr(dog, end)()
    put(1.0, True)
    sim.step(1.0)
    put(2.0, False)
    assert volts(0) == pytest.approx(2.0, abs=0.01)
    if end == "stop":
        dog.close()


def test_never() -> None:
    with WatchdogTask("Dev1", timeout=-1) as dog:
        assert dog.timeout == -1.0
        dog.start()
        sim.step(1e5)
        assert not dog.expired


@pytest.mark.parametrize("timeout", [0.0, -2.0, 1e5, float("nan")])
def test_timeouts_that_cannot_be(timeout: float) -> None:
    with pytest.raises(DaqError) as caught:
        WatchdogTask("Dev1", timeout=timeout)
    assert caught.value.error_code == -200668
    with WatchdogTask("Dev1", timeout=1.0) as dog:
        with pytest.raises(DaqError) as caught:
            dog.timeout = timeout
        assert caught.value.error_code == -200668
        dog.timeout = 2.5
        assert dog.timeout == 2.5


@pytest.mark.parametrize(("device", "code"), [("Dev3", -200662), ("Nobody", -200220)])
def test_devices_without_a_watchdog(device: str, code: int) -> None:
    with pytest.raises(DaqError) as caught:
        WatchdogTask(device, timeout=1.0)
    assert caught.value.error_code == code


@pytest.mark.parametrize(
    ("channel", "code"),
    [("Dev2/port0/line0", -200430), ("Dev1/ai0", -200430), ("Dev1/ao0", -200430), ("Dev1/port9", -200170)],
)
def test_channels_without_an_expiration_state(channel: str, code: int) -> None:
    state = DOExpirationState(physical_channel=channel, expiration_state=Level.HIGH)
    with WatchdogTask("Dev1", timeout=1.0) as dog, pytest.raises(DaqError) as caught:
        dog.cfg_watchdog_do_expir_states([state])
    assert caught.value.error_code == code


@pytest.mark.parametrize(
    ("value", "kind"),
    [(10.5, WatchdogAOExpirState.VOLTAGE), (0.01, WatchdogAOExpirState.CURRENT)],
)
def test_analog_states_that_cannot_be(value: float, kind: WatchdogAOExpirState) -> None:
    state = AOExpirationState(physical_channel="Dev1/ao0", expiration_state=value, output_type=kind)
    with WatchdogTask("Dev1", timeout=1.0) as dog, pytest.raises(DaqError) as caught:
        dog.cfg_watchdog_ao_expir_states([state])
    assert caught.value.error_code == -200077


@pytest.mark.parametrize("action", list(WDTTaskAction))
def test_only_watchdogs_that_run_are_controlled(action: WDTTaskAction) -> None:
    with WatchdogTask("Dev1", timeout=1.0) as dog:
        for ask in (lambda: dog._control_watchdog_task(action), lambda: dog.expired):
            with pytest.raises(DaqError) as caught:
                ask()
            assert caught.value.error_code == -200475
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        with pytest.raises(DaqError) as caught:
            task._interpreter.control_watchdog_task(task._handle, action.value)
        assert caught.value.error_code == -200635


def test_states_are_chosen_before_the_start() -> None:
    with WatchdogTask("Dev1", timeout=1.0) as dog:
        dog.start()
        with pytest.raises(DaqError) as caught:
            dog.expiration_states["Dev1/port0/line0"].do_state = Level.HIGH
        assert caught.value.error_code == -200557
        dog.stop()
        dog.expiration_states["Dev1/port0/line0"].do_state = Level.HIGH
        assert dog.expiration_states["Dev1/port0/line0"].do_state == Level.HIGH
