"""Every kind of channel that the simulator has: the file gives what nidaqmx's own scaled read gives."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import daqring
import daqring.sim
import nidaqmx
import nptdms
import numpy as np
import pytest
from daqring import _native
from daqring.source import TaskSource
from nidaqmx.constants import (
    AcquisitionType,
    CurrentShuntResistorLocation,
    Edge,
    LineGrouping,
    StrainGageBridgeType,
    StrainGageRosetteMeasurementType,
    StrainGageRosetteType,
)
from nidaqmx.stream_readers import AnalogUnscaledReader

pytestmark = pytest.mark.usefixtures("reader")


def _analog_kinds() -> list[tuple[str, Callable[..., Any], float, float]]:
    """The list of analog kinds that the simulator's own tests go through."""
    path = Path(__file__).parent / "sim" / "test_sensors.py"
    spec = importlib.util.spec_from_file_location("kinds_of_sensors", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.KINDS


ANALOG = _analog_kinds()
SAMPLES = 300


def clocked(task: nidaqmx.Task, rate: float = 1000, samples: int = SAMPLES, **options: Any) -> None:
    task.timing.cfg_samp_clk_timing(
        rate, sample_mode=AcquisitionType.FINITE, samps_per_chan=samples, **options
    )


def lines(task: nidaqmx.Task) -> None:
    task.di_channels.add_di_chan("Dev1/port0/line0:3", line_grouping=LineGrouping.CHAN_PER_LINE)
    clocked(task)


def one_line(task: nidaqmx.Task) -> None:
    task.di_channels.add_di_chan("Dev1/port0/line7", line_grouping=LineGrouping.CHAN_PER_LINE)
    clocked(task)


def ports(task: nidaqmx.Task) -> None:
    for part in ("0:7", "8:9"):
        task.di_channels.add_di_chan(f"Dev1/port0/line{part}", line_grouping=LineGrouping.CHAN_FOR_ALL_LINES)
    clocked(task)


def lines_and_ports(task: nidaqmx.Task) -> None:
    task.di_channels.add_di_chan("Dev1/port0/line0:7", line_grouping=LineGrouping.CHAN_FOR_ALL_LINES)
    task.di_channels.add_di_chan("Dev1/port0/line9", line_grouping=LineGrouping.CHAN_PER_LINE)
    clocked(task)


def edges(task: nidaqmx.Task) -> None:
    task.ci_channels.add_ci_count_edges_chan("Dev1/ctr0", edge=Edge.RISING, initial_count=7)
    clocked(task, source="/Dev1/PFI0")


def several_voltages(task: nidaqmx.Task) -> None:
    for number, limit in enumerate((10, 5, 0.2)):
        task.ai_channels.add_ai_voltage_chan(f"Dev1/ai{number}", min_val=-limit, max_val=limit)
    clocked(task)


OTHERS = [lines, one_line, ports, lines_and_ports, edges, several_voltages]


def own_read(task: nidaqmx.Task) -> np.ndarray:
    """Channels x samples, as nidaqmx's own read gives them."""
    values = np.array(task.read(SAMPLES))
    task.stop()
    return np.atleast_2d(values)


def check_file(path: Path, report: daqring.Report, expected: np.ndarray, *, names: list[str]) -> None:
    assert report.complete
    log = daqring.open(path)
    tdms = nptdms.TdmsFile.read(path)[report.group]
    found = [channel.name for channel in tdms.channels() if channel.name != "time"]
    assert found == names
    # Bits of a polynomial's last place aside.
    close = {"rtol": 1e-12, "atol": 1e-15} if report.dtype.startswith("int") else {"rtol": 0, "atol": 0}
    for number, name in enumerate(names):
        for values in (log[f"{report.group}/{name}"][:], tdms[name][:]):
            assert len(values) == expected.shape[1]
            np.testing.assert_allclose(
                np.asarray(values, np.float64), np.asarray(expected[number], np.float64), **close
            )
    assert daqring.verify(path).complete


@pytest.mark.parametrize(("kind", "add", "low", "high"), ANALOG, ids=[kind[0] for kind in ANALOG])
def test_analog_kinds(simulator, tmp_path, kind, add, low, high):
    simulator(product="PCIe-6363")
    with nidaqmx.Task(kind) as task:
        add(task.ai_channels, "Dev1/ai3")
        clocked(task)
        expected = own_read(task)
        report = daqring.record(task, tmp_path / "run.tdms", progress=False)
        check_file(tmp_path / "run.tdms", report, expected, names=task.channel_names)
        raw = kind in ("voltage", "current")
        assert report.dtype == ("int16" if raw else "float64")
        if raw:
            forced = daqring.record(task, tmp_path / "f.tdms", dtype="float64", progress=False)
            check_file(tmp_path / "f.tdms", forced, expected, names=task.channel_names)


# -- rarer kinds -----------------------------------------------------------------------------------

EXTERNAL = CurrentShuntResistorLocation.EXTERNAL

TABLE = {"electrical_vals": [-2.0, 0.0, 2.0], "physical_vals": [-100.0, 0.0, 100.0]}
POLYNOMIAL = {"forward_coeffs": [0.0, 50.0], "reverse_coeffs": [0.0, 0.02]}

#: Method, product, how such a channel is added.
RARE: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("add_ai_voltage_rms_chan", "PCIe-6363", lambda add: add("Dev1/ai0", min_val=0.0, max_val=5.0)),
    (
        "add_ai_current_rms_chan",
        "PCIe-6363",
        lambda add: add("Dev1/ai0", shunt_resistor_loc=EXTERNAL, ext_shunt_resistor_val=250.0),
    ),
    (
        "add_ai_freq_voltage_chan",
        "PCIe-6363",
        lambda add: add("Dev1/ai0", min_val=1.0, max_val=900.0, threshold_level=0.5, hysteresis=0.1),
    ),
    ("add_ai_charge_chan", "PXIe-4480", lambda add: add("Dev1/ai0", min_val=-2e-9, max_val=2e-9)),
    ("add_ai_accel_charge_chan", "PXIe-4480", lambda add: add("Dev1/ai0", sensitivity=100.0)),
    ("add_ai_temp_built_in_sensor_chan", "PCIe-6363", lambda add: add("Dev1/_boardTempSensor_vs_aignd")),
    (
        "add_ai_calculated_power_chan",
        "PCIe-6363",
        lambda add: add("Dev1/ai0", "Dev1/ai1", shunt_resistor_loc=EXTERNAL, ext_shunt_resistor_val=250.0),
    ),
    (
        "add_ai_rosette_strain_gage_chan",
        "PXIe-4331",
        lambda add: add(
            "Dev1/ai0:2",
            StrainGageRosetteType.RECTANGULAR,
            0.0,
            [
                StrainGageRosetteMeasurementType.PRINCIPAL_STRAIN_1,
                StrainGageRosetteMeasurementType.MAX_SHEAR_STRAIN,
            ],
            strain_config=StrainGageBridgeType.QUARTER_BRIDGE_I,
        ),
    ),
    *(
        (
            f"add_ai_{what}_bridge_{how}_chan",
            "PXIe-4331",
            lambda add, points=points: add("Dev1/ai0", **points),
        )
        for what, how, points in (
            *((what, "two_point_lin", {}) for what in ("pressure", "torque")),
            *((what, "table", TABLE) for what in ("force", "torque")),
            *((what, "polynomial", POLYNOMIAL) for what in ("force", "pressure")),
        )
    ),
]


@pytest.mark.parametrize(("method", "product", "add"), RARE, ids=[kind[0] for kind in RARE])
def test_rare_analog_kinds(simulator, tmp_path, method, product, add):
    simulator(product=product)
    with nidaqmx.Task("rare") as task:
        add(getattr(task.ai_channels, method))
        clocked(task)
        expected = own_read(task)
        report = daqring.record(task, tmp_path / "run.tdms", progress=False)
        assert report.dtype == "float64"
        check_file(tmp_path / "run.tdms", report, expected, names=task.channel_names)


@pytest.mark.parametrize("read_ms", [None, 7])
def test_power_supplies_are_volts_and_amps(simulator, tmp_path, reader, read_ms):
    simulator(devices=["TS-15000", "TS-15200", "TS-15200"])
    with nidaqmx.Task("supplies") as task:
        task.ai_channels.add_ai_power_chan("TS1Mod1/power", 6.0, 2.0, True)
        task.ai_channels.add_ai_power_chan("TS1Mod2/power", 3.0, 1.0, True)
        clocked(task)
        own = task.read(SAMPLES)
        task.stop()
        report = daqring.record(task, tmp_path / "run.tdms", block_ms=113, read_ms=read_ms, progress=False)
    assert report.reader == reader
    expected = [[one.voltage for one in supply] for supply in own]
    expected += [[one.current for one in supply] for supply in own]
    names = [f"TS1Mod{number}/power {what}" for what in ("voltage", "current") for number in (1, 2)]
    check_file(tmp_path / "run.tdms", report, np.array(expected), names=names)
    log = daqring.open(tmp_path / "run.tdms")
    assert [log[f"supplies/{name}"].unit for name in names] == ["V", "V", "A", "A"]


def test_power_supplies_are_read_on_demand(simulator, tmp_path, reader):
    simulator(devices=["TS-15000", "TS-15200"])
    with nidaqmx.Task("supply") as task:
        task.ai_channels.add_ai_power_chan("TS1Mod1/power", 6.0, 2.0, True)
        report = daqring.record(task, tmp_path / "run.tdms", samples=5, every=0.01, progress=False)
        with pytest.raises(daqring.TaskError, match="in volts and amps"):
            daqring.record(task, tmp_path / "b.tdms", samples=5, every=0.01, dtype="raw")
    assert (report.complete, report.reader) == (True, reader)
    log = daqring.open(tmp_path / "run.tdms")
    np.testing.assert_allclose(log["supply/TS1Mod1/power voltage"][:], 6.0, atol=0.01)
    np.testing.assert_allclose(log["supply/TS1Mod1/power current"][:], 1.0, atol=0.01)


#: Methods that the kinds of `ANALOG` use.
COMMON = (
    *(
        "voltage",
        "voltage_chan_with_excit",
        "current",
        "thrmcpl",
        "rtd",
        "thrmstr_chan_iex",
        "thrmstr_chan_vex",
    ),
    *("resistance", "strain_gage", "accel", "accel_4_wire_dc_voltage", "microphone", "velocity_iepe"),
    *("force_iepe", "bridge", "pos_lvdt", "pos_rvdt", "pos_eddy_curr_prox_probe"),
    *("force_bridge_two_point_lin", "pressure_bridge_table", "torque_bridge_polynomial"),
)


def test_no_kind_of_analog_channel_is_forgotten(simulator):
    """Each is recorded above, or is one that the simulator does not have."""
    simulator(product="PXIe-4331")
    recorded = {method for method, _, _ in RARE} | {"add_ai_power_chan"}
    recorded |= {f"add_ai_{name}" if "_chan" in name else f"add_ai_{name}_chan" for name in COMMON}
    methods = {name for name in dir(nidaqmx.task.collections.AIChannelCollection) if name.startswith("add_")}
    assert recorded <= methods
    with nidaqmx.Task() as task:
        for name in methods - recorded:
            assert name.startswith("add_teds_ai_")
            with pytest.raises(nidaqmx.errors.DaqFunctionNotSupportedError):
                getattr(task.ai_channels, name)("Dev1/ai0")


@pytest.mark.parametrize("configure", OTHERS, ids=lambda configure: configure.__name__)
def test_other_kinds(simulator, tmp_path, configure):
    simulator(product="PCIe-6363")
    with nidaqmx.Task(configure.__name__) as task:
        configure(task)
        expected = own_read(task)
        report = daqring.record(task, tmp_path / "run.tdms", progress=False)
        check_file(tmp_path / "run.tdms", report, expected, names=task.channel_names)


def test_a_port_of_eight_lines_is_bytes(simulator, tmp_path):
    simulator(product="USB-6351")
    with nidaqmx.Task("port") as task:
        task.di_channels.add_di_chan("Dev1/port0", line_grouping=LineGrouping.CHAN_FOR_ALL_LINES)
        clocked(task)
        expected = own_read(task)
        report = daqring.record(task, tmp_path / "run.tdms", progress=False)
        assert report.dtype == "uint8"
        check_file(tmp_path / "run.tdms", report, expected, names=["Dev1/port0"])


def test_a_port_of_sixteen_lines_is_read_by_the_function_of_its_width(simulator, tmp_path, reader):
    simulator(product="USB-6212")
    with nidaqmx.Task("port") as task:
        task.di_channels.add_di_chan("Dev1/port0", line_grouping=LineGrouping.CHAN_FOR_ALL_LINES)
        expected = np.atleast_2d([task.read() for _ in range(300)])
        report = daqring.record(task, tmp_path / "run.tdms", samples=300, every=1e-4, progress=False)
        assert (report.dtype, report.reader) == ("uint16", reader)
        assert expected.max() > 255
        check_file(tmp_path / "run.tdms", report, expected, names=["Dev1/port0"])


@pytest.mark.parametrize("product", ["PXIe-4499", "PXIe-4480"])
def test_codes_of_32_bits(simulator, tmp_path, product):
    simulator(product=product)
    with nidaqmx.Task("fine") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1", min_val=-10, max_val=10)
        clocked(task, 50_000)
        expected = own_read(task)
        codes = np.zeros((2, SAMPLES), np.int32)
        AnalogUnscaledReader(task.in_stream).read_int32(codes, SAMPLES)
        task.stop()
        report = daqring.record(task, tmp_path / "run.tdms", progress=False)
        assert report.dtype == "int32"
        check_file(tmp_path / "run.tdms", report, expected, names=task.channel_names)
        raw = [daqring.open(tmp_path / "run.tdms")[f"fine/{name}"].raw[:] for name in task.channel_names]
        np.testing.assert_array_equal(raw, codes)
        assert np.abs(codes).max() > 1 << 16


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int32"])
def test_every_width_of_codes_through_the_native_reader(make_task, tmp_path, dtype):
    """Types that no task asks for by itself are read by the function of their own, too."""
    task = make_task(
        "Dev1/ai0:1", 1000, name="rig", mode=AcquisitionType.FINITE, samples=500, product="PCIe-6363"
    )
    codes = np.zeros((2, 500), dtype)
    getattr(AnalogUnscaledReader(task.in_stream), f"read_{dtype}")(codes, 500)
    task.stop()
    source = TaskSource(task)
    source.dtype = np.dtype(dtype)
    group = {
        "name": "rig",
        "dt": 0.001,
        "properties": {},
        "channels": [
            {"name": name, "dtype": dtype, "unit": "", "scale": None, "properties": {}} for name in "ab"
        ],
    }
    size = 100 * 2 * source.dtype.itemsize
    native = _native.Recording(
        tmp_path / "run.tdms", [{"group": group, "slot_bytes": size, "slots": 8, "workers": 1}]
    )
    task.start()
    plan = {
        **{"handle": source.handle, "dtype": dtype, "channels": 2, "block": 100, "most": 70},
        **{"rate": 1000.0, "position": 0, "end": 500, "stop_task": True, "monotonic_ns": None},
    }
    reader = _native.Reader(native, 0, source.native_functions(), plan)
    assert reader.wait(20)
    assert native.finish([], {})["law_holds"]
    log = daqring.open(tmp_path / "run.tdms")
    for number, name in enumerate("ab"):
        np.testing.assert_array_equal(log[f"rig/{name}"].raw[:], codes[number])
    assert codes.any()


def test_lines_are_true_and_false_with_their_names(simulator, tmp_path):
    simulator(product="PCIe-6363")
    with nidaqmx.Task("lines") as task:
        task.di_channels.add_di_chan(
            "Dev1/port0/line0:2", "left, middle, right", line_grouping=LineGrouping.CHAN_PER_LINE
        )
        clocked(task)
        report = daqring.record(task, tmp_path / "run.tdms", progress=False)
    assert report.channels == ("left", "middle", "right")
    assert "every channel is a line" in report.dtype_reason
    for bit, name in enumerate(report.channels):
        values = daqring.open(tmp_path / "run.tdms")[f"lines/{name}"].raw[:]
        assert values.dtype == bool
        np.testing.assert_array_equal(values, np.arange(SAMPLES) >> bit & 1)


# -- without a clock of their own ---------------------------------------------------------------


def times_of(path: Path, group: str) -> np.ndarray:
    """The seconds of the channel `time`, since 1970."""
    times = nptdms.TdmsFile.read(path)[group]["time"][:]
    return times.astype("datetime64[us]").astype(np.int64) / 1e6


def test_on_demand_at_an_interval(simulator, tmp_path, reader):
    simulator(clock="real", product="PCIe-6363")
    with nidaqmx.Task("slow") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
        before = time.time()
        report = daqring.record(task, tmp_path / "run.tdms", samples=21, every=0.02, progress=False)
        after = time.time()
    assert (report.samples_per_channel, report.complete, report.reader) == (21, True, reader)
    assert report.streams[0].timing == "on demand"
    assert report.rate == pytest.approx(50)
    times = times_of(tmp_path / "run.tdms", "slow")
    assert before - 1e-5 <= times[0] <= times[-1] <= after + 1e-5
    assert times[-1] - times[0] >= 0.35
    assert (np.diff(times) > 0).all()
    channel = nptdms.TdmsFile.read(tmp_path / "run.tdms")["slow"]["Dev1/ai1"]
    assert len(channel) == 21
    assert "wf_increment" not in channel.properties


def test_on_demand_until_a_stop(simulator, tmp_path):
    simulator(product="PCIe-6363")
    with nidaqmx.Task("slow") as task:
        task.di_channels.add_di_chan("Dev1/port1", line_grouping=LineGrouping.CHAN_FOR_ALL_LINES)
        with daqring.Recorder(task, tmp_path / "run.tdms", every=0.01) as recorder:
            assert not recorder.wait(0.2)
            stats = recorder.stats()
            assert stats["driver_margin_s"] > 0
        report = recorder.report
    assert report.stop_reason == "stopped"
    values = daqring.open(tmp_path / "run.tdms")["slow/Dev1/port1"].raw[:]
    np.testing.assert_array_equal(values, np.arange(report.samples_per_channel) & 0xFF)
    assert report.samples_per_channel >= 5


def test_a_task_without_a_clock_needs_an_interval(simulator, tmp_path):
    simulator(product="PCIe-6363")
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        with pytest.raises(daqring.TaskError, match=r"cfg_samp_clk_timing.*or read it on demand by every"):
            daqring.record(task, tmp_path / "run.tdms", progress=False)
        for wrong in (0, -1, float("inf"), "often"):
            with pytest.raises(daqring.TaskError, match="every must be"):
                daqring.record(task, tmp_path / "run.tdms", every=wrong, progress=False)
        clocked(task)
        with pytest.raises(daqring.TaskError, match=r"every=0.5 is for tasks without a clock"):
            daqring.record(task, tmp_path / "run.tdms", every=0.5, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_clock_from_outside_gets_times(simulator, tmp_path):
    simulator(clock="stepped", product="PCIe-6363")
    with nidaqmx.Task("outside") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
        task.timing.cfg_samp_clk_timing(
            1000, source="/Dev1/PFI3", sample_mode=AcquisitionType.CONTINUOUS, samps_per_chan=1000
        )
        before = time.time()
        with daqring.Recorder(task, tmp_path / "run.tdms", samples=300) as recorder:
            for _ in range(30):
                daqring.sim.step(0.01)
                time.sleep(0.002)
            assert recorder.wait(20)
        report = recorder.report
        assert report.streams[0].timing == "external clock at PFI3"
        times = times_of(tmp_path / "run.tdms", "outside")
        assert len(times) == 300
        assert before <= times[0] <= times[-1] <= time.time()
        assert times[-1] - times[0] >= 0.03
        assert (np.diff(times) >= 0).all()
        for channel in range(2):
            np.testing.assert_array_equal(
                daqring.open(tmp_path / "run.tdms")[f"outside/Dev1/ai{channel}"].raw[:],
                daqring.sim.pattern(channel, 0, 300),
            )
        with pytest.raises(daqring.TaskError, match="no rate to turn seconds into samples"):
            daqring.record(task, tmp_path / "b.tdms", seconds=1, progress=False)
    daqring.sim.clock("unthrottled")
    with nidaqmx.Task("outside") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        clocked(task, source="/Dev1/PFI3")
        regular = daqring.record(task, tmp_path / "b.tdms", times="regular", progress=False)
        assert regular.complete
        assert daqring.open(tmp_path / "b.tdms")["outside/Dev1/ai0"].dt == 0.001
        with pytest.raises(daqring.TaskError, match="times must be"):
            daqring.record(task, tmp_path / "c.tdms", times="never", progress=False)


@pytest.mark.parametrize("grouping", [LineGrouping.CHAN_PER_LINE, LineGrouping.CHAN_FOR_ALL_LINES])
def test_a_sample_at_each_change_with_its_time(simulator, tmp_path, reader, grouping):
    """As many samples, of the same values, as nidaqmx reads; each with the host's time."""
    simulator(clock="stepped", product="PCIe-6363")
    daqring.sim.signal("Dev1/port0/line0", daqring.sim.pulses(1000, 0.5))
    daqring.sim.signal("Dev1/port0/line1", daqring.sim.pulses(250, 0.5))

    def make() -> nidaqmx.Task:
        task = nidaqmx.Task("changes")
        task.di_channels.add_di_chan("Dev1/port0/line0:1", line_grouping=grouping)
        task.timing.cfg_change_detection_timing(
            "Dev1/port0/line0", "Dev1/port0/line1", AcquisitionType.CONTINUOUS, 1000
        )
        return task

    with make() as task:
        task.start()
        daqring.sim.step(0.2)
        expected = np.atleast_2d(task.read(nidaqmx.constants.READ_ALL_AVAILABLE))
    # 200 rising edges of line 0, and a falling one of line 1 every 4 ms.
    assert expected.shape[1] in range(248, 252)
    with make() as task:
        before = time.time()
        with daqring.Recorder(task, tmp_path / "run.tdms") as recorder:
            for _ in range(20):
                daqring.sim.step(0.01)
                # The steps are that far apart by the host's clock, too.
                time.sleep(0.01)
            deadline = time.monotonic() + 20
            while recorder.stats()["samples"] < expected.shape[1]:
                assert time.monotonic() < deadline
                recorder.wait(0.02)
        report = recorder.report
    assert report.streams[0].timing == "change detection"
    assert (report.reader, report.lost, report.stop_reason) == (reader, 0, "stopped")
    assert report.samples_per_channel == expected.shape[1]
    file = nptdms.TdmsFile.read(tmp_path / "run.tdms")["changes"]
    lines = [channel for channel in file.channels() if channel.name != "time"]
    log = daqring.open(tmp_path / "run.tdms")
    assert len(lines) == len(expected) == (2 if grouping is LineGrouping.CHAN_PER_LINE else 1)
    for line, values in zip(lines, expected, strict=True):
        assert "wf_increment" not in line.properties
        np.testing.assert_array_equal(line[:], values)
        np.testing.assert_array_equal(log[f"changes/{line.name}"].raw[:], values)
    times = times_of(tmp_path / "run.tdms", "changes")
    assert len(times) == expected.shape[1]
    assert (np.diff(times) >= 0).all()
    assert before - 1e-5 <= times[0] <= times[-1] <= time.time()
    # They tell when the changes came: spread over the 0.2 s, not all of one moment.
    assert times[-1] - times[0] >= 0.1
    with (
        make() as task,
        pytest.raises(daqring.TaskError, match="change detection timing has no rate to turn seconds"),
    ):
        daqring.record(task, tmp_path / "b.tdms", seconds=1, progress=False)


def test_times_of_the_host_beside_a_clock(make_task, tmp_path):
    task = make_task(
        "Dev1/ai0", 1000, name="rig", mode=AcquisitionType.FINITE, samples=500, product="PCIe-6363"
    )
    report = daqring.record(task, tmp_path / "run.tdms", times="host", progress=False)
    assert report.complete
    assert len(times_of(tmp_path / "run.tdms", "rig")) == 500


# -- records of triggers --------------------------------------------------------------------------


def test_every_trigger_brings_a_record(simulator, tmp_path, request):
    simulator(clock="stepped", product="PCIe-6363")
    request.addfinalizer(lambda: daqring.sim.hold_triggers(False))
    daqring.sim.hold_triggers()
    with nidaqmx.Task("shots") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0:1")
        clocked(task, 10_000, 150)
        task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
        task.triggers.start_trigger.retriggerable = True
        before = time.time_ns()
        with daqring.Recorder(task, tmp_path / "run.tdms", samples=600, block_ms=10) as recorder:
            for shot in range(4):
                daqring.sim.trigger()
                daqring.sim.step(0.02)
                deadline = time.monotonic() + 10
                while recorder.stats()["samples"] < 150 * (shot + 1) and time.monotonic() < deadline:
                    time.sleep(0.002)
                time.sleep(0.02)
            assert recorder.wait(20)
        after = time.time_ns()
    report = recorder.report
    assert (report.samples_per_channel, report.complete) == (600, True)
    assert report.blocks == 8  # 100 and 50 samples of each record
    log = daqring.open(tmp_path / "run.tdms")
    for channel in range(2):
        np.testing.assert_array_equal(
            log[f"shots/Dev1/ai{channel}"].raw[:], daqring.sim.pattern(channel, 0, 600)
        )
    table = nptdms.TdmsFile.read(tmp_path / "run.tdms")["daqring"]
    np.testing.assert_array_equal(table["record.first_value"][:], [0, 150, 300, 450])
    np.testing.assert_array_equal(table["record.pretrigger"][:], [0] * 4)
    starts = table["record.start_time_ns"][:]
    assert before - 20_000_000 <= starts[0]
    assert starts[-1] <= after
    assert (np.diff(starts) >= 15_000_000).all()


def test_a_task_that_is_triggered_again_has_no_length_in_seconds(make_task, tmp_path):
    task = make_task("Dev1/ai0", 1000, mode=AcquisitionType.FINITE, samples=100)
    task.triggers.start_trigger.cfg_dig_edge_start_trig("/Dev1/PFI0")
    task.triggers.start_trigger.retriggerable = True
    with pytest.raises(daqring.TaskError, match=r"no length in seconds; give samples \(a record has 100\)"):
        daqring.record(task, tmp_path / "run.tdms", seconds=1, progress=False)


def test_samples_before_the_trigger_are_told(simulator, tmp_path):
    simulator(product="PCIe-6363")
    with nidaqmx.Task("around") as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        clocked(task, 1000, 400)
        task.triggers.reference_trigger.cfg_dig_edge_ref_trig("/Dev1/PFI0", pretrigger_samples=100)
        expected = task.read(400)
        task.stop()
        report = daqring.record(task, tmp_path / "run.tdms", progress=False)
    assert (report.samples_per_channel, report.complete) == (400, True)
    np.testing.assert_allclose(daqring.open(tmp_path / "run.tdms")["around/Dev1/ai0"][:], expected)
    table = nptdms.TdmsFile.read(tmp_path / "run.tdms")["daqring"]
    np.testing.assert_array_equal(table["record.pretrigger"][:], [100])


# -- refusals -------------------------------------------------------------------------------------


def test_kinds_are_not_mixed_in_a_task_nor_forced(simulator, tmp_path):
    simulator(product="PCIe-6363")
    with nidaqmx.Task() as task:
        lines(task)
        with pytest.raises(daqring.TaskError, match="no values in float64"):
            daqring.record(task, tmp_path / "run.tdms", dtype="float64", progress=False)
    with nidaqmx.Task() as task:
        edges(task)
        with pytest.raises(daqring.TaskError, match="counts are whole numbers"):
            daqring.record(task, tmp_path / "run.tdms", dtype="float64", progress=False)
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_thrmcpl_chan("Dev1/ai0")
        clocked(task)
        with pytest.raises(daqring.TaskError, match="would lose the scaling"):
            daqring.record(task, tmp_path / "run.tdms", dtype="raw", progress=False)
    assert list(tmp_path.iterdir()) == []


# -- counters ---------------------------------------------------------------------------------------

COUNTERS = [name for name in dir(nidaqmx.task.collections.CIChannelCollection) if name.startswith("add_ci_")]
CLOCKED_ONLY = ("count_edges", "encoder", "velocity", "gps")


@pytest.fixture
def signal_at_the_counter(simulator):
    simulator(product="PCIe-6363")
    daqring.sim.signal("Dev1/ctr0", daqring.sim.pulses(250.0, 0.25))
    yield
    daqring.sim.signal("Dev1/ctr0", "sine")


@pytest.mark.usefixtures("signal_at_the_counter")
@pytest.mark.parametrize("add", COUNTERS)
def test_counters_of_every_kind(tmp_path, add, reader):
    with nidaqmx.Task("counter") as task:
        getattr(task.ci_channels, add)("Dev1/ctr0")
        if any(kind in add for kind in CLOCKED_ONLY):
            clocked(task, source="/Dev1/PFI2", samples=50)
        else:
            task.timing.cfg_implicit_timing(sample_mode=AcquisitionType.FINITE, samps_per_chan=50)
        own = task.read(50, timeout=5)
        task.stop()
        report = daqring.record(task, tmp_path / "run.tdms", progress=False)
    assert (report.samples_per_channel, report.reader, report.complete) == (50, reader, True)
    expected = np.array(own, float).reshape(50, -1).T
    group = nptdms.TdmsFile.read(tmp_path / "run.tdms")["counter"]
    names = [channel.name for channel in group.channels() if channel.name != "time"]
    assert tuple(names) == report.channels
    assert len(names) == len(expected)
    log = daqring.open(tmp_path / "run.tdms")
    for name, values in zip(names, expected, strict=True):
        if "gps" in add:  # of another run, the time of day is another
            values = values - values[0] + group[name][0]
            np.testing.assert_allclose(group[name][:], values, rtol=0, atol=1e-6)
            continue
        np.testing.assert_array_equal(group[name][:], values)
        np.testing.assert_array_equal(log[f"counter/{name}"][:], values)
    assert "time" in group
    if add in ("add_ci_freq_chan", "add_ci_period_chan"):
        # One period after the other.
        assert "implicit" in report.streams[0].timing
        times = times_of(tmp_path / "run.tdms", "counter")
        np.testing.assert_allclose(np.diff(times), 1 / 250, atol=2e-6)
