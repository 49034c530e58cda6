"""Installing and uninstalling, the library itself, and python -m daqring.sim."""

import ctypes
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import daqring.sim as sim
import nidaqmx
import nidaqmx.system
import pytest
from nidaqmx._lib import lib_importer


def test_devices_are_listed_and_configurable() -> None:
    names = {device.name: device.product_type for device in nidaqmx.system.System.local().devices}
    assert names == {"Dev1": "PCIe-6363", "Dev2": "PXIe-6396", "Dev3": "USB-6003"} == sim.devices()
    sim.configure({"Rig": "PXIe-6396"})
    assert [device.name for device in nidaqmx.system.System.local().devices] == ["Rig"]
    sim.configure(["usb-6003", "X=PCIe-6363"])
    assert sim.devices() == {"Dev1": "USB-6003", "X": "PCIe-6363"}


@pytest.mark.parametrize(
    "devices", [{"Dev1": "PCIe-9999"}, {"a/b": "PCIe-6363"}, {"": "PCIe-6363"}, ["D=USB-6003", "d=USB-6003"]]
)
def test_configurations_that_cannot_be_are_refused_in_words(devices: object) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        sim.configure(devices)  # type: ignore[arg-type]
    assert list(sim.devices()) == ["Dev1", "Dev2", "Dev3"]


def test_uninstall_takes_the_library_away_and_clears_tasks() -> None:
    task = nidaqmx.Task("left over")
    ours = lib_importer._windll
    sim.uninstall()
    assert not sim.is_installed()
    assert lib_importer._windll is not ours
    sim.uninstall()
    sim.install()
    with pytest.raises(nidaqmx.DaqError) as error:
        task.start()
    assert error.value.error_code == -200088
    task._handle = None


def test_a_real_driver_is_not_replaced_unasked() -> None:
    sim.uninstall()
    stand_in = object()
    lib_importer._windll = stand_in
    try:
        with pytest.raises(RuntimeError, match="replace=True"):
            sim.install()
        sim.install(replace=True)
        assert sim.is_installed()
        sim.uninstall()
        assert lib_importer._windll is stand_in
    finally:
        lib_importer._windll = None


def test_importing_daqring_imports_neither_nidaqmx_nor_the_simulator() -> None:
    program = (
        "import daqring, sys;"
        "assert not any(name.partition('.')[0] == 'nidaqmx' or name.startswith('daqring.sim')"
        " for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_ctypes_loads_the_same_library() -> None:
    library = ctypes.CDLL(sim.library_path())
    major = ctypes.c_uint32()
    assert library.DAQmxGetSystemInfoAttribute(0x1272, ctypes.byref(major)) == 0
    assert major.value >= 24
    with nidaqmx.Task("shared") as task:
        again = ctypes.c_void_p()
        assert library.DAQmxCreateTask(b"shared", ctypes.byref(again)) == -200089
        assert task.name == "shared"


@pytest.mark.parametrize("how", ["script", "module"])
def test_a_program_runs_unchanged(tmp_path: Path, how: str) -> None:
    (tmp_path / "program.py").write_text(
        textwrap.dedent(
            """
            import sys
            import nidaqmx
            with nidaqmx.Task() as task:
                task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
                print(task.devices[0].product_type, task.read() != 0, sys.argv[1:], __name__)
            """
        )
    )
    program = ["program.py"] if how == "script" else ["-m", "program"]
    done = subprocess.run(
        [sys.executable, "-m", "daqring.sim", "--product", "PXIe-6396", *program, "--flag", "x"],
        cwd=tmp_path,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "PXIe-6396 True ['--flag', 'x'] __main__"


def test_the_command_line_refuses_nonsense() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "daqring.sim", "--product", "PCIe-0000", "x.py"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "'PCIe-0000'" in done.stderr
    assert "did you mean" in done.stderr


def run_simulated(directory: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "daqring.sim", "--clock", "unthrottled", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_a_programs_arguments_exit_status_and_traceback(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import sys\n"
        "print(__name__, sys.argv[1:], sys.argv[0].endswith('program.py'))\n"
        "if sys.argv[1] == 'exit':\n"
        "    sys.exit(int(sys.argv[2]))\n"
        "if sys.argv[1] == 'raise':\n"
        "    raise KeyError('in the program')\n"
    )
    for how in (["program.py"], ["-m", "program"]):
        done = run_simulated(tmp_path, *how, "exit", "7", "--clock", "-m")
        assert done.returncode == 7
        assert done.stdout == "__main__ ['exit', '7', '--clock', '-m'] True\n"
        done = run_simulated(tmp_path, *how, "raise")
        assert done.returncode == 1
        assert "KeyError: 'in the program'" in done.stderr
        assert "program.py" in done.stderr
    done = run_simulated(tmp_path, "nothing.py")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "no file 'nothing.py'" in done.stderr
    (tmp_path / "rig.toml").write_text('[devices]\nA = "XYZ"\n')
    done = run_simulated(tmp_path, "--devices", "rig.toml", "program.py", "x")
    assert (done.returncode, "line 2" in done.stderr) == (2, True)
