"""Devices from files, and the fixtures for other people's tests."""

import textwrap
from pathlib import Path

import daqring.sim as sim
import pytest

pytest_plugins = ["pytester"]


def test_devices_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    path.write_text('[devices.Rig1]\nproduct = "PXIe-6396"\nserial = 7\n[devices]\nB = "usb-6003"\n')
    sim.configure(path)
    assert sim.devices() == {"Rig1": "PXIe-6396", "B": "USB-6003"}
    sim.configure({"Dev1": "PCIe-6363"})
    sim.configure(str(path))
    assert list(sim.devices()) == ["Rig1", "B"]


def test_devices_from_nis_format(tmp_path: Path) -> None:
    path = tmp_path / "simulated.ini"
    path.write_text(
        "[DAQmx]\nMajorVersion = 20\n\n[DAQmxDevice DevA]\nProductType = PCIe-6363\n"
        "DevSerialNum = 0x0\nDevIsSimulated = 1\n\n[DAQmxDevice DevB]\nProductType = PXIe-4499\n"
    )
    sim.configure(path)
    assert sim.devices() == {"DevA": "PCIe-6363", "DevB": "PXIe-4499"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", "devices = 3"),
        ("a.toml", "[devices.Dev1]\nserial = 3"),
        ("a.toml", "this is not toml"),
        ("a.toml", ""),
        ("a.ini", "no section = 1"),
        ("a.ini", "[DAQmxDevice Dev1]\nDevSerialNum = 1"),
        ("a.ini", "[DAQmxDevice Dev1]\nProductType = XYZ-1"),
        ("a.ini", ""),
    ],
)
def test_files_that_describe_no_devices_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"\."):
        sim.configure(tmp_path / name)
    assert list(sim.devices()) == ["Dev1", "Dev2", "Dev3"]


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(OSError, match=r"nowhere\.toml"):
        sim.configure("nowhere.toml")


def test_the_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["daqring.sim.pytest_plugin"]')
    pytester.makepyfile(
        textwrap.dedent(
            """
            import nidaqmx

            def test_real(daqmx_sim):
                with nidaqmx.Task() as task:
                    task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
                    assert -11 < task.read() < 11

            def test_stepped(daqmx_sim_stepped):
                with nidaqmx.Task() as task:
                    task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
                    task.timing.cfg_samp_clk_timing(1000, samps_per_chan=10)
                    task.start()
                    assert not task.is_task_done()
                    daqmx_sim_stepped.step(0.01)
                    assert task.is_task_done()

            def test_unthrottled(daqmx_sim_unthrottled):
                with nidaqmx.Task() as task:
                    task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
                    task.timing.cfg_samp_clk_timing(1, samps_per_chan=1000)
                    assert len(task.read(1000)) == 1000
            """
        )
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=3)
