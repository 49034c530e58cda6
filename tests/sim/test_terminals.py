"""Routes between terminals and exported signals."""

import daqring.sim as sim
import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import AcquisitionType, Edge, Polarity, Signal, SignalModifiers
from nidaqmx.errors import DaqError
from nidaqmx.system import System

pytestmark = pytest.mark.usefixtures("stepped")

SAME, INVERTED = SignalModifiers.DO_NOT_INVERT_POLARITY, SignalModifiers.INVERT_POLARITY


def system() -> System:
    return System.local()


def counter(terminal: str, edge: Edge = Edge.RISING) -> nidaqmx.Task:
    task = nidaqmx.Task()
    channel = task.ci_channels.add_ci_count_edges_chan("Dev1/ctr0", edge=edge)
    channel.ci_count_edges_term = terminal
    task.start()
    return task


def clocked(device: str, rate: float, source: str = "", samples: int = 1000) -> nidaqmx.Task:
    task = nidaqmx.Task()
    task.ai_channels.add_ai_voltage_chan(f"{device}/ai0")
    task.timing.cfg_samp_clk_timing(rate, source=source, sample_mode=AcquisitionType.CONTINUOUS)
    task.in_stream.input_buf_size = max(samples, 100_000)
    return task


@pytest.mark.parametrize(
    ("source", "destination", "modifier", "code"),
    [
        ("/Dev1/PFI99", "/Dev1/PFI0", SAME, -89120),
        ("/Nobody/PFI0", "/Dev1/PFI0", SAME, -89120),
        ("PFI1", "/Dev1/PFI0", SAME, -89120),
        ("/Dev1/PFI1", "/Dev1/PFI99", SAME, -89121),
        ("/Dev1/PFI1", "/Nobody/PFI0", SAME, -89121),
        ("/Dev1/PFI1", "", SAME, -89121),
        ("/Dev1/PFI1", "/Dev1/PFI1", SAME, -89131),
        ("/Dev1/PFI1", "/dev1/pfi1", INVERTED, -89131),
        ("/Dev1/PFI1", "/Dev2/PFI1", SAME, -89125),
        ("/Dev1/PFI1", "/Dev1/ai/SampleClock", SAME, -89136),
        ("/Dev1/PFI1", "/Dev1/100kHzTimebase", SAME, -89136),
        ("/Dev1/PFI1", "/Dev1/Ctr0InternalOutput", SAME, -89136),
    ],
)
def test_routes_that_cannot_be(source: str, destination: str, modifier: SignalModifiers, code: int) -> None:
    with pytest.raises(DaqError) as caught:
        system().connect_terms(source, destination, modifier)
    assert caught.value.error_code == code
    assert "Source Terminal" in str(caught.value)


def test_the_destination_of_a_route_is_taken() -> None:
    system().connect_terms("/Dev1/PFI1", "/Dev1/PFI5")
    system().connect_terms("/Dev1/PFI1", "/Dev1/PFI5")  # as it is
    for source, modifier, code in [("/Dev1/PFI2", SAME, -89137), ("/Dev1/PFI1", INVERTED, -89134)]:
        with pytest.raises(DaqError) as caught:
            system().connect_terms(source, "/Dev1/PFI5", modifier)
        assert caught.value.error_code == code
    system().disconnect_terms("/Dev1/PFI1", "/Dev1/PFI5")
    system().connect_terms("/Dev1/PFI2", "/Dev1/PFI5")


@pytest.mark.parametrize(
    ("source", "destination", "code"),
    [("/Dev1/PFI99", "/Dev1/PFI0", -89120), ("/Dev1/PFI1", "/Dev1/PFI99", -89121)],
)
def test_only_terminals_are_disconnected(source: str, destination: str, code: int) -> None:
    with pytest.raises(DaqError) as caught:
        system().disconnect_terms(source, destination)
    assert caught.value.error_code == code


@pytest.mark.parametrize("terminal", ["PFI0", "PFI15", "RTSI0", "RTSI7"])
@pytest.mark.parametrize(("modifier", "rising"), [(SAME, 10), (INVERTED, 10)])
def test_a_route_brings_the_signal(terminal: str, modifier: SignalModifiers, rising: int) -> None:
    sim.signal("/Dev1/PFI3", sim.pulses(1000, 0.25))
    system().connect_terms("/Dev1/PFI3", f"/Dev1/{terminal}", modifier)
    with counter(f"/Dev1/{terminal}") as task:
        sim.step(0.0100001)
        assert task.read() == rising


def test_a_route_brings_the_edges_turned_over() -> None:
    sim.signal("/Dev1/PFI3", sim.edges([0.001, 0.002, 0.003]))
    system().connect_terms("/Dev1/PFI3", "/Dev1/PFI4", INVERTED)
    with counter("/Dev1/PFI4") as task:
        sim.step(0.0015)
        assert task.read() == 0
        sim.step(0.01)
        assert task.read() == 1
    with counter("/Dev1/PFI4", Edge.FALLING) as task:
        sim.step(0.01)
        assert task.read() == 2


def test_routes_follow_each_other_and_circles_end() -> None:
    sim.signal("/Dev1/PFI0", sim.pulses(1000))
    system().connect_terms("/Dev1/PFI0", "/Dev1/RTSI0")
    system().connect_terms("/Dev1/RTSI0", "/Dev1/PFI5")
    with counter("/Dev1/PFI5") as task:
        sim.step(0.0201)
        assert task.read() == 20
    system().connect_terms("/Dev1/PFI5", "/Dev1/PFI0")
    with counter("/Dev1/PFI5") as task:
        sim.step(0.02)
        task.read()


@pytest.mark.parametrize("how", ["disconnect", "tristate", "reset_device", "reset"])
def test_routes_end(how: str) -> None:
    sim.signal("/Dev1/PFI3", sim.pulses(1000))
    system().connect_terms("/Dev1/PFI3", "/Dev1/PFI4")
    if how == "disconnect":
        system().disconnect_terms("/Dev1/PFI3", "/Dev1/PFI4")
    elif how == "tristate":
        system().tristate_output_term("/Dev1/PFI4")
    elif how == "reset_device":
        system().devices["Dev1"].reset_device()
    else:
        sim.reset()
        sim.clock("stepped")
    sim.signal("/Dev1/PFI4", sim.pulses(100))
    with counter("/Dev1/PFI4") as task:
        sim.step(0.1)
        assert task.read() == 10


@pytest.mark.parametrize(
    ("terminal", "code"),
    [
        ("/Dev1/PFI99", -89129),
        ("", -89129),
        ("/Dev1/ai/SampleClock", -89128),
        ("/Dev1/20MHzTimebase", -89128),
    ],
)
def test_what_cannot_be_let_go(terminal: str, code: int) -> None:
    with pytest.raises(DaqError) as caught:
        system().tristate_output_term(terminal)
    assert caught.value.error_code == code


def test_a_held_terminal_is_not_let_go() -> None:
    with clocked("Dev1", 1000) as task:
        task.export_signals.export_signal(Signal.SAMPLE_CLOCK, "/Dev1/PFI4")
        system().tristate_output_term("/Dev1/PFI4")
        task.start()
        with pytest.raises(DaqError) as caught:
            system().tristate_output_term("/Dev1/PFI4")
        assert caught.value.error_code == -89127
        with pytest.raises(DaqError) as caught:
            system().connect_terms("/Dev1/PFI0", "/Dev1/PFI4")
        assert caught.value.error_code == -89137
        task.stop()
        system().connect_terms("/Dev1/PFI0", "/Dev1/PFI4")
        with pytest.raises(DaqError) as caught:
            task.start()
        assert caught.value.error_code == -89138
        assert task.name in str(caught.value)


@pytest.mark.parametrize("terminal", ["/Dev1/PFI2", "/Dev1/RTSI3", "/Dev1/PFI2, /Dev1/RTSI1"])
@pytest.mark.parametrize("rate", [1000.0, 12_500.0, 250_000.0])
def test_an_exported_sample_clock_clocks_another_task(terminal: str, rate: float) -> None:
    """The other task states a wrong rate: the clock is what comes."""
    last = terminal.split(",")[-1].strip()
    with clocked("Dev1", rate) as master, nidaqmx.Task() as slave:
        master.export_signals.export_signal(Signal.SAMPLE_CLOCK, terminal)
        assert master.export_signals.samp_clk_output_term == terminal
        slave.di_channels.add_di_chan("Dev1/port0/line0:3")
        slave.timing.cfg_samp_clk_timing(10 * rate, source=last, sample_mode=AcquisitionType.CONTINUOUS)
        slave.start()
        sim.step(0.01)
        assert slave.in_stream.total_samp_per_chan_acquired == 0
        master.start()
        sim.step(0.1)
        acquired = master.in_stream.total_samp_per_chan_acquired
        assert acquired == pytest.approx(rate / 10, abs=1)
        assert slave.in_stream.total_samp_per_chan_acquired == acquired
        master.stop()
        sim.step(0.1)
        assert slave.in_stream.total_samp_per_chan_acquired == acquired


@pytest.mark.parametrize("terminal", ["/Dev1/PFI2", "/Dev1/RTSI3"])
def test_an_exported_start_trigger_starts_another_task(terminal: str) -> None:
    with clocked("Dev1", 1000) as master, nidaqmx.Task() as slave:
        master.export_signals.start_trig_output_term = terminal
        slave.di_channels.add_di_chan("Dev1/port0/line0:3")
        slave.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        slave.triggers.start_trigger.cfg_dig_edge_start_trig(terminal)
        slave.start()
        sim.step(0.5)
        assert slave.in_stream.total_samp_per_chan_acquired == 0
        master.start()
        sim.step(0.25)
        assert slave.in_stream.total_samp_per_chan_acquired == 250
        assert master.in_stream.total_samp_per_chan_acquired == 250


@pytest.mark.parametrize("polarity", list(Polarity))
def test_a_counter_counts_an_exported_clock(polarity: Polarity) -> None:
    with clocked("Dev1", 10_000) as master:
        master.export_signals.samp_clk_pulse_polarity = polarity
        master.export_signals.export_signal(Signal.SAMPLE_CLOCK, "/Dev1/PFI7")
        assert master.export_signals.samp_clk_pulse_polarity == polarity
        with counter("/Dev1/PFI7") as task:
            master.start()
            sim.step(0.1)
            sim.step(0.00003)  # the last pulse is over
            assert task.read() == 1000


def test_a_counter_counts_starts() -> None:
    with clocked("Dev1", 10_000) as master, counter("/Dev1/ai/StartTrigger") as task:
        for starts in range(1, 4):
            sim.step(0.001)
            master.start()
            sim.step(0.01)
            master.stop()
            assert task.read() == starts


def test_a_counter_output_is_exported() -> None:
    with nidaqmx.Task() as pulses:
        pulses.co_channels.add_co_pulse_chan_freq("Dev1/ctr1", freq=1000)
        pulses.timing.cfg_implicit_timing(sample_mode=AcquisitionType.FINITE, samps_per_chan=7)
        pulses.export_signals.export_signal(Signal.COUNTER_OUTPUT_EVENT, "/Dev1/PFI0")
        with counter("/Dev1/PFI0") as task:
            pulses.start()
            sim.step(0.1)
            assert task.read() == 7


def test_a_timebase_is_exported() -> None:
    with clocked("Dev1", 1000) as master:
        master.export_signals.export_signal(Signal.TWENTY_MHZ_TIMEBASE_CLOCK, "/Dev1/PFI0")
        with counter("/Dev1/PFI0") as task:
            sim.step(0.01)
            assert task.read() == pytest.approx(200_000, abs=1)


def test_exports_end_with_their_task() -> None:
    master = clocked("Dev1", 1000)
    master.export_signals.export_signal(Signal.SAMPLE_CLOCK, "/Dev1/PFI2")
    master.close()
    sim.signal("/Dev1/PFI2", sim.pulses(100))
    with counter("/Dev1/PFI2") as task:
        sim.step(0.1)
        assert task.read() == 10


TERMINALS = [
    "adv_cmplt_event_output_term",
    "adv_trig_output_term",
    "ai_conv_clk_output_term",
    "ai_hold_cmplt_event_output_term",
    "change_detect_event_output_term",
    "ctr_out_event_output_term",
    "exported_10_mhz_ref_clk_output_term",
    "exported_20_mhz_timebase_output_term",
    "ref_trig_output_term",
    "samp_clk_output_term",
    "start_trig_output_term",
    "watchdog_expired_event_output_term",
]


@pytest.mark.parametrize("name", TERMINALS)
def test_terminals_of_exports_are_kept(name: str) -> None:
    with clocked("Dev1", 1000) as task:
        exports = task.export_signals
        assert getattr(exports, name) == ""
        setattr(exports, name, "/Dev1/PFI6")
        assert getattr(exports, name) == "/Dev1/PFI6"
        for terminal, code in [("/Dev1/PFI77", -89121), ("/Dev1/ai/SampleClock", -89136)]:
            with pytest.raises(DaqError) as caught:
                setattr(exports, name, terminal)
            assert caught.value.error_code == code
        assert getattr(exports, name) == "/Dev1/PFI6"
        task.start()
        with pytest.raises(DaqError) as caught:
            setattr(exports, name, "/Dev1/PFI7")
        assert caught.value.error_code == -200557
        task.stop()
        delattr(exports, name)
        assert getattr(exports, name) == ""


@pytest.mark.parametrize("signal", [one for one in Signal if one is not Signal.SAMPLE_COMPLETE])
def test_every_signal_has_a_terminal(signal: Signal) -> None:
    with clocked("Dev1", 1000) as task:
        task.export_signals.export_signal(signal, "/Dev1/PFI6")
        assert [name for name in TERMINALS if getattr(task.export_signals, name)] != []
        with pytest.raises(DaqError) as caught:
            task.export_signals.export_signal(signal, "/Dev3/PFI6")
        assert caught.value.error_code == -89121


def test_exports_that_are_not_there() -> None:
    with clocked("Dev1", 1000) as task:
        with pytest.raises(DaqError) as caught:
            task.export_signals.export_signal(Signal.SAMPLE_COMPLETE, "/Dev1/PFI6")
        assert caught.value.error_code == -200077
        with pytest.raises(DaqError) as caught:
            task.export_signals.hshk_event_delay = 1.0
        assert caught.value.error_code == -200452
    with nidaqmx.Task() as task, pytest.raises(DaqError) as caught:
        task.export_signals.export_signal(Signal.SAMPLE_CLOCK, "/Dev1/PFI6")
    assert caught.value.error_code == -200478


def test_two_tasks_cannot_export_to_one_terminal() -> None:
    with clocked("Dev1", 1000) as one, nidaqmx.Task() as two:
        two.di_channels.add_di_chan("Dev1/port0")
        two.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
        for task in (one, two):
            task.export_signals.export_signal(Signal.SAMPLE_CLOCK, "/Dev1/PFI2")
        one.start()
        with pytest.raises(DaqError) as caught:
            two.start()
        assert caught.value.error_code == -89138
        one.stop()
        two.start()
        sim.step(0.01)
        assert np.size(two.read(10)) == 10
