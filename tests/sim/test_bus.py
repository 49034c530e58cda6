"""Transfers in lumps, buses that stall, jitter, and faults from files and from the environment."""

import subprocess
import sys
import time
from pathlib import Path

import daqring.sim as sim
import nidaqmx
import numpy as np
import pytest
from nidaqmx.constants import AcquisitionType
from nidaqmx.errors import DaqError
from nidaqmx.system import System


def continuous(task: nidaqmx.Task, channels: str = "Dev1/ai0", rate: float = 1000) -> None:
    task.ai_channels.add_ai_voltage_chan(channels)
    task.timing.cfg_samp_clk_timing(rate, sample_mode=AcquisitionType.CONTINUOUS)


def code_of(caught: pytest.ExceptionInfo[DaqError]) -> int:
    return caught.value.error_code


def test_samples_come_in_lumps(stepped: None) -> None:
    sim.transfer(256)
    with nidaqmx.Task() as task:
        continuous(task)
        task.start()
        sim.step(0.255)
        assert task.in_stream.avail_samp_per_chan == 0
        sim.step(0.002)
        assert task.in_stream.avail_samp_per_chan == 256
        sim.step(0.3)
        assert task.in_stream.total_samp_per_chan_acquired == 512
        assert np.array(task.read(512)).shape == (512,)
    sim.transfer()
    with pytest.raises(ValueError, match="one sample"):
        sim.transfer(0)


def test_a_finite_acquisition_comes_whole(stepped: None) -> None:
    sim.transfer(256)
    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(1000, samps_per_chan=300)
        task.start()
        sim.step(0.299)
        assert task.in_stream.avail_samp_per_chan == 256
        sim.step(0.001)
        assert len(task.read(300)) == 300


def test_a_read_wakes_when_its_lump_comes() -> None:
    sim.transfer(1000)
    with nidaqmx.Task() as task:
        continuous(task, rate=10_000)
        task.start()
        begin = time.monotonic()
        task.read(1)
        assert time.monotonic() - begin >= 0.09
        assert task.in_stream.avail_samp_per_chan in (999, 1999)


def test_a_stall_that_the_devices_memory_survives(stepped: None) -> None:
    sim.fault("Dev1", "bus_stall", after=100, seconds=1.0)
    with nidaqmx.Task() as task:
        continuous(task)
        task.start()
        sim.step(0.5)
        assert task.in_stream.avail_samp_per_chan == 100
        sim.step(0.599)
        assert task.in_stream.avail_samp_per_chan == 100
        sim.step(0.002)
        assert task.in_stream.avail_samp_per_chan == 1101
        values = task.in_stream.read(1101)
        assert np.array_equal(values, sim.pattern(0, 0, 1101))


def test_a_stall_that_overflows_the_devices_memory(stepped: None) -> None:
    # 4095 samples of memory for eight channels: 511 each.
    sim.fault("Dev1", "bus_stall", after=100, seconds=1.0)
    with nidaqmx.Task() as task:
        continuous(task, "Dev1/ai0:7")
        task.start()
        sim.step(0.6)
        assert len(task.read(100)[0]) == 100
        with pytest.raises(DaqError) as caught:
            task.read(100, timeout=0)
        assert code_of(caught) == -200284
        sim.step(0.1)
        with pytest.raises(DaqError) as caught:
            task.read(100)
        assert code_of(caught) == -200361
        assert sim.ledger(task).produced == 100


def test_a_stall_overflows_in_real_time_while_a_read_waits() -> None:
    sim.fault("Dev1", "bus_stall", after=1000, seconds=60)
    with nidaqmx.Task() as task:
        continuous(task, rate=100_000)
        task.start()
        with pytest.raises(DaqError) as caught:
            task.read(10_000, timeout=10)
        assert code_of(caught) == -200361


def test_a_driver_that_is_too_slow() -> None:
    sim.fault("Dev1", "slow_driver", after=500)
    with nidaqmx.Task() as task:
        continuous(task, rate=100_000)
        task.read(500)
        with pytest.raises(DaqError) as caught:
            task.read(100)
        assert code_of(caught) == -200714


def test_jitter_holds_reads_up() -> None:
    sim.clock("unthrottled")
    sim.fault("Dev1", "jitter", seconds=0.02)
    with nidaqmx.Task() as task:
        continuous(task)
        task.start()
        times = []
        for _ in range(20):
            begin = time.monotonic()
            task.read(1)
            times.append(time.monotonic() - begin)
        assert sum(times) > 0.05
        assert np.std(times) > 0.001


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_callback_that_raises_does_not_stop_the_acquisition() -> None:
    calls = []

    def raising(handle: object, kind: int, count: int, data: object) -> int:
        calls.append(count)
        raise RuntimeError("in the callback")

    with nidaqmx.Task() as task:
        task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
        task.timing.cfg_samp_clk_timing(10_000, samps_per_chan=1000)
        task.register_every_n_samples_acquired_into_buffer_event(250, raising)
        task.start()
        task.wait_until_done()
        deadline = time.monotonic() + 5
        while len(calls) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(task.read(1000)) == 1000
    assert calls == [250] * 4


RIG = """
transfer = 100

[devices.Dev1]
product = "PCIe-6363"

[signals]
"Dev1/ai0" = 2.5
"Dev1/ai1" = {kind = "noise", volts = 0.1, seed = 3}

[[faults]]
device = "Dev1"
kind = "slow_bus"
after = 700

[tasks.Mine]
author = "Ada"
channels = [
    {kind = "ai_voltage", physical_channel = "Dev1/ai0:1", min_val = -5.0, max_val = 5.0},
    {kind = "ai_thrmcpl", physical_channel = "Dev1/ai2", thermocouple_type = "k"},
]
timing = {rate = 1000.0, sample_mode = "continuous", samps_per_chan = 5000}
"""


def test_signals_faults_and_tasks_from_a_file(tmp_path: Path, stepped: None) -> None:
    path = tmp_path / "rig.toml"
    path.write_text(RIG)
    sim.configure(path)
    saved = System.local().tasks["Mine"]
    assert saved.author == "Ada"
    with saved.load() as task:
        assert task.channel_names == ["Dev1/ai0", "Dev1/ai1", "Dev1/ai2"]
        task.start()
        sim.step(0.55)
        data = np.array(task.read(500))
        assert task.in_stream.avail_samp_per_chan == 0
        np.testing.assert_allclose(data[0], 2.5, atol=1e-3)
        assert 0.05 < np.abs(data[1]).max() <= 0.11
        sim.step(1)
        with pytest.raises(DaqError) as caught:
            task.read(300)
        assert code_of(caught) == -200361


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[signal]\nx = 1", "'signal' is not known"),
        ('[signals]\n"Dev9/ai0" = 1.0', r"signals.Dev9/ai0"),
        ('[signals]\n"Dev1/ai0" = {kind = "noise", amplitude = 1}', "amplitude"),
        ('[[faults]]\ndevice = "Dev1"\nkind = "mischief"', r"faults\[0\].*mischief"),
        ("transfer = 0", "transfer"),
        ("[tasks.T]\nchannel = 1", r"tasks.T.*channels and timing"),
        ('[tasks.T]\nchannels = [{kind = "ai_voltages"}]', "no kind of channel 'ai_voltages'"),
        ('[tasks.T]\nchannels = [{physical_channel = "Dev7/ai0"}]', "-200220"),
        (
            '[tasks.T]\nchannels = [{physical_channel = "Dev1/ai0"}]\n'
            'timing = {rate = 1.0, sample_mode = "endless"}',
            "FINITE.*'endless'",
        ),
    ],
)
def test_files_that_say_what_cannot_be(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rig.toml"
    top, bracket, tables = text.partition("[")
    path.write_text(f'{top}\n[devices]\nDev1 = "PCIe-6363"\n{bracket}{tables}')
    with pytest.raises(ValueError, match=f"(?s)rig.toml.*{message}"):
        sim.configure(path)


PROGRAM = """
import nidaqmx
from nidaqmx.constants import AcquisitionType
with nidaqmx.Task() as task:
    task.ai_channels.add_ai_voltage_chan("Box/ai0")
    task.timing.cfg_samp_clk_timing(1000, sample_mode=AcquisitionType.CONTINUOUS)
    print(task.devices[0].product_type, round(task.read(100)[0], 2))
    try:
        task.read(5000)
    except nidaqmx.errors.DaqError as error:
        print(error.error_code)
"""


def run_with(**environment: str) -> "subprocess.CompletedProcess[str]":
    import os

    return subprocess.run(
        [sys.executable, "-m", "daqring.sim", "program.py"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **{f"DAQRING_SIM_{name}": value for name, value in environment.items()}},
    )


def test_everything_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("program.py").write_text(PROGRAM)
    done = run_with(
        DEVICES="Box=USB-6363; cDAQ-9178; NI 9234",
        CLOCK="unthrottled",
        SIGNAL="1.5",
        FAULTS="Box slow_bus after=1000",
    )
    assert (done.returncode, done.stdout) == (0, "USB-6363 1.5\n-200361\n"), done.stderr
    for name, value, message in [
        ("DEVICES", "Box=nothing", "no product type"),
        ("FAULTS", "Box", "has to be like"),
        ("FAULTS", "Dev1 slow_bus after=many", "has to be a number"),
        ("SPEED", "fast", "DAQRING_SIM_SPEED"),
        ("CLOCK", "sundial", "no clock"),
    ]:
        done = run_with(**{name: value})
        assert done.returncode == 2, done
        assert message in done.stderr
        assert "Traceback" not in done.stderr
