"""Another library with NI's names in the same process: neither captures the other's calls."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or not sys.platform.startswith("linux"),
    reason="needs a C compiler, and the loader of Linux, where names are global",
)

DRIVER = """
int DAQmxStopTask(void *task) { (void)task; return -4242; }
int DAQmxClearTask(void *task) { (void)task; return -4243; }
int DAQmxCreateTask(const char *name, void **task) { (void)name; *task = (void *)7; return 0; }
/* Goes through the table that another library could capture. */
int StandInCallsItself(void) { return DAQmxStopTask((void *)7); }
"""

CLIENT = """
extern int DAQmxStopTask(void *task);
int ClientCalls(void) { return DAQmxStopTask((void *)7); }
"""

PROGRAM = """
import ctypes, os, sys
directory, order = sys.argv[1:]

def stand_in():
    ctypes.CDLL(os.path.join(directory, "libnidaqmx.so"), mode=ctypes.RTLD_GLOBAL)

if order == "first":
    stand_in()
import daqring.sim as sim
sim.install(["Dev1=PCIe-6363"], clock="unthrottled", signal="pattern")
if order == "second":
    stand_in()
import nidaqmx
driver = ctypes.CDLL(os.path.join(directory, "libnidaqmx.so"))
client = ctypes.CDLL(os.path.join(directory, "libclient.so"))
with nidaqmx.Task() as task:
    task.ai_channels.add_ai_voltage_chan("Dev1/ai0")
    task.timing.cfg_samp_clk_timing(1000, samps_per_chan=100)
    task.start()
    assert len(task.read(100)) == 100
    task.stop()
ours = ctypes.CDLL(sim.library_path())
assert ours.DAQmxStopTask(None) == -200088, ours.DAQmxStopTask(None)
assert driver.DAQmxStopTask(None) == -4242
assert driver.StandInCallsItself() == -4242, driver.StandInCallsItself()
assert client.ClientCalls() == -4242, client.ClientCalls()
handle = ctypes.c_void_p()
assert driver.DAQmxCreateTask(b"x", ctypes.byref(handle)) == 0 and handle.value == 7
assert ours.DAQmxClearTask(handle) == -200088
assert sim.ledgers()[-1].delivered == 100
print("apart")
"""


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("libraries")
    (directory / "driver.c").write_text(DRIVER)
    (directory / "client.c").write_text(CLIENT)
    compile_it = ["cc", "-shared", "-fPIC", "-O1", "-o"]
    subprocess.run([*compile_it, "libnidaqmx.so", "driver.c"], cwd=directory, check=True)
    subprocess.run(
        [*compile_it, "libclient.so", "client.c", "-L.", "-lnidaqmx", "-Wl,-rpath,$ORIGIN"],
        cwd=directory,
        check=True,
    )
    return directory


@pytest.mark.parametrize("order", ["first", "second"])
def test_neither_library_captures_the_others_calls(libraries: Path, order: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(libraries), order],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
    )
    assert (done.returncode, done.stdout) == (0, "apart\n"), done.stderr
