"""Programs in C, C++ and Rust on the simulated library as a library of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPILER = shutil.which("gcc") or shutil.which("cc")
CARGO = shutil.which("cargo")

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the library has a SONAME on Linux only"),
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler"),
    pytest.mark.skipif(CARGO is None, reason="there is no cargo to build the library"),
]

CHECK = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "NIDAQmx.h"
#define CHECK(call) do { int32 error = (call); if (DAQmxFailed(error)) { char text[2048]; \
    DAQmxGetExtendedErrorInfo(text, 2048); printf("%d %s\n", (int) error, text); exit(1); } } while (0)
#define EXPECT(what) do { if (!(what)) { printf("line %d: %s\n", __LINE__, #what); exit(2); } } while (0)
"""

PROGRAMS = {
    "finite": r"""
int main(void) {
    TaskHandle task = 0; float64 data[1000]; int32 read = 0; uInt32 available = 0; float64 rate = 0;
    CHECK(DAQmxCreateTask("", &task));
    CHECK(DAQmxCreateAIVoltageChan(task, "Dev1/ai0", "", DAQmx_Val_Cfg_Default, -10.0, 10.0,
                                   DAQmx_Val_Volts, NULL));
    CHECK(DAQmxCfgSampClkTiming(task, "", 100000.0, DAQmx_Val_Rising, DAQmx_Val_FiniteSamps, 1000));
    CHECK(DAQmxGetSampClkRate(task, &rate));
    EXPECT(rate == 100000.0);
    CHECK(DAQmxStartTask(task));
    CHECK(DAQmxWaitUntilTaskDone(task, 10.0));
    CHECK(DAQmxGetReadAvailSampPerChan(task, &available));
    EXPECT(available == 1000);
    CHECK(DAQmxReadAnalogF64(task, 1000, 10.0, DAQmx_Val_GroupByChannel, data, 1000, &read, NULL));
    EXPECT(read == 1000);
    char text[64];
    EXPECT(DAQmxGetTaskName(task, NULL, 0) > 1);
    CHECK(DAQmxGetTaskName(task, text, sizeof text));
    EXPECT(strncmp(text, "_unnamedTask", 12) == 0);
    EXPECT(DAQmxSetAIMax(task, "Dev1/ai0", 5.0) == -200557);
    CHECK(DAQmxStopTask(task));
    CHECK(DAQmxSetAIMax(task, "Dev1/ai0", 5.0));
    float64 max = 0; CHECK(DAQmxGetAIMax(task, "Dev1/ai0", &max)); EXPECT(max == 5.0);
    CHECK(DAQmxResetAIMax(task, "Dev1/ai0"));
    CHECK(DAQmxGetAIMax(task, "Dev1/ai0", &max)); EXPECT(max == 10.0);
    CHECK(DAQmxClearTask(task));
    return 0;
}
""",
    "continuous": r"""
static volatile int calls;
static int32 every(TaskHandle task, int32 type, uInt32 samples, void *data) {
    float64 buffer[1000]; int32 read = 0;
    if (type == DAQmx_Val_Acquired_Into_Buffer && samples == 1000
        && DAQmxReadAnalogF64(task, 1000, 10.0, DAQmx_Val_GroupByScanNumber, buffer, 1000, &read, NULL) == 0)
        calls += read == 1000 && data == (void *) &calls;
    return 0;
}
int main(void) {
    TaskHandle task = 0;
    CHECK(DAQmxCreateTask("", &task));
    CHECK(DAQmxCreateAIVoltageChan(task, "Dev1/ai0", "", DAQmx_Val_Cfg_Default, -10.0, 10.0,
                                   DAQmx_Val_Volts, NULL));
    CHECK(DAQmxCfgSampClkTiming(task, "", 100000.0, DAQmx_Val_Rising, DAQmx_Val_ContSamps, 100000));
    CHECK(DAQmxRegisterEveryNSamplesEvent(task, DAQmx_Val_Acquired_Into_Buffer, 1000, 0, every,
                                          (void *) &calls));
    CHECK(DAQmxStartTask(task));
    for (long wait = 0; calls < 5 && wait < 2000000000L; wait++) ;
    CHECK(DAQmxStopTask(task));
    EXPECT(calls >= 5);
    CHECK(DAQmxClearTask(task));
    return 0;
}
""",
    "outputs": r"""
int main(void) {
    TaskHandle out = 0, back = 0; float64 wave[100], value = 0; int32 written = 0; uInt32 bits = 0;
    for (int i = 0; i < 100; i++) wave[i] = 2.0;
    CHECK(DAQmxCreateTask("", &out));
    CHECK(DAQmxCreateAOVoltageChan(out, "Dev1/ao0", "", -10.0, 10.0, DAQmx_Val_Volts, NULL));
    CHECK(DAQmxCfgSampClkTiming(out, "", 1000.0, DAQmx_Val_Rising, DAQmx_Val_ContSamps, 100));
    CHECK(DAQmxSetWriteRegenMode(out, DAQmx_Val_AllowRegen));
    CHECK(DAQmxWriteAnalogF64(out, 100, 0, 10.0, DAQmx_Val_GroupByChannel, wave, &written, NULL));
    EXPECT(written == 100);
    CHECK(DAQmxStartTask(out));
    CHECK(DAQmxCreateTask("", &back));
    CHECK(DAQmxCreateAIVoltageChan(back, "Dev1/_ao0_vs_aognd", "", DAQmx_Val_Cfg_Default, -10.0, 10.0,
                                   DAQmx_Val_Volts, NULL));
    CHECK(DAQmxReadAnalogScalarF64(back, 10.0, &value, NULL));
    EXPECT(value > 1.99 && value < 2.01);
    CHECK(DAQmxClearTask(out)); CHECK(DAQmxClearTask(back));
    CHECK(DAQmxCreateTask("", &out));
    CHECK(DAQmxCreateDOChan(out, "Dev1/port0/line0:7", "", DAQmx_Val_ChanForAllLines));
    CHECK(DAQmxWriteDigitalScalarU32(out, 1, 10.0, 0x5A, NULL));
    CHECK(DAQmxCreateTask("", &back));
    CHECK(DAQmxCreateDIChan(back, "Dev1/port0/line0:7", "", DAQmx_Val_ChanForAllLines));
    CHECK(DAQmxReadDigitalScalarU32(back, 10.0, &bits, NULL));
    EXPECT(bits == 0x5A);
    CHECK(DAQmxClearTask(out)); CHECK(DAQmxClearTask(back));
    return 0;
}
""",
    "stream": r"""
/* New samples all the time, never the same twice: 20 blocks of a ramp, looked at through a wire. */
int main(void) {
    TaskHandle out = 0, back = 0; float64 block[500], seen[10000]; int32 written = 0, read = 0;
    int32 mode = 0; int next = 0;
    CHECK(DAQmxCreateTask("", &out));
    CHECK(DAQmxCreateAOVoltageChan(out, "Dev1/ao1", "", -10.0, 10.0, DAQmx_Val_Volts, NULL));
    CHECK(DAQmxCfgSampClkTiming(out, "", 20000.0, DAQmx_Val_Rising, DAQmx_Val_ContSamps, 500));
    CHECK(DAQmxSetWriteRegenMode(out, DAQmx_Val_DoNotAllowRegen));
    CHECK(DAQmxGetWriteRegenMode(out, &mode)); EXPECT(mode == DAQmx_Val_DoNotAllowRegen);
    CHECK(DAQmxCfgOutputBuffer(out, 5000));
    CHECK(DAQmxCreateTask("", &back));
    CHECK(DAQmxCreateAIVoltageChan(back, "Dev1/_ao1_vs_aognd", "", DAQmx_Val_Cfg_Default, -10.0, 10.0,
                                   DAQmx_Val_Volts, NULL));
    CHECK(DAQmxCfgSampClkTiming(back, "", 20000.0, DAQmx_Val_Rising, DAQmx_Val_FiniteSamps, 10000));
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 500; k++, next++) block[k] = (next % 5000) / 500.0 - 5.0;
        CHECK(DAQmxWriteAnalogF64(out, 500, 0, 10.0, DAQmx_Val_GroupByChannel, block, &written, NULL));
        EXPECT(written == 500);
        if (i == 3) { CHECK(DAQmxStartTask(out)); CHECK(DAQmxStartTask(back)); }
    }
    for (int empty = 0; empty == 0;) {
        uInt64 generated = 0;
        CHECK(DAQmxGetWriteTotalSampPerChanGenerated(out, &generated));
        empty = generated > 5000;
    }
    CHECK(DAQmxStopTask(out)); CHECK(DAQmxClearTask(out));
    CHECK(DAQmxReadAnalogF64(back, 4000, 10.0, DAQmx_Val_GroupByChannel, seen, 10000, &read, NULL));
    EXPECT(read == 4000);
    int steps = 0;
    for (int k = 1; k < 4000; k++) {
        float64 step = seen[k] - seen[k - 1];
        EXPECT(step > -0.001 && step < 0.005);
        steps += step > 0.001;
    }
    EXPECT(steps > 3900);
    CHECK(DAQmxClearTask(back));
    return 0;
}
""",
    "counter": r"""
int main(void) {
    TaskHandle out = 0, back = 0; uInt32 count = 0;
    CHECK(DAQmxCreateTask("", &out));
    CHECK(DAQmxCreateCOPulseChanFreq(out, "Dev1/ctr0", "", DAQmx_Val_Hz, DAQmx_Val_Low, 0.0, 10000.0, 0.5));
    CHECK(DAQmxCfgImplicitTiming(out, DAQmx_Val_FiniteSamps, 25));
    CHECK(DAQmxCreateTask("", &back));
    CHECK(DAQmxCreateCICountEdgesChan(back, "Dev1/ctr1", "", DAQmx_Val_Rising, 0, DAQmx_Val_CountUp));
    CHECK(DAQmxSetCICountEdgesTerm(back, "Dev1/ctr1", "/Dev1/Ctr0InternalOutput"));
    CHECK(DAQmxStartTask(back)); CHECK(DAQmxStartTask(out));
    CHECK(DAQmxWaitUntilTaskDone(out, 10.0));
    CHECK(DAQmxReadCounterScalarU32(back, 10.0, &count, NULL));
    EXPECT(count == 25);
    EXPECT(DAQmxStartTask((TaskHandle) 16) == -200088);
    CHECK(DAQmxClearTask(out)); CHECK(DAQmxClearTask(back));
    return 0;
}
""",
}

RUST = r"""
use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
type Task = *mut c_void;
#[link(name = "nidaqmx")]
unsafe extern "C" {
    fn DAQmxCreateTask(name: *const c_char, task: *mut Task) -> i32;
    fn DAQmxCreateAIVoltageChan(task: Task, physical: *const c_char, name: *const c_char, terminal: i32,
        min: f64, max: f64, units: i32, scale: *const c_char) -> i32;
    fn DAQmxCfgSampClkTiming(task: Task, source: *const c_char, rate: f64, edge: i32, mode: i32,
        samples: u64) -> i32;
    fn DAQmxGetSampClkRate(task: Task, rate: *mut f64) -> i32;
    fn DAQmxStartTask(task: Task) -> i32;
    fn DAQmxReadBinaryI16(task: Task, samples: i32, timeout: f64, fill: u32, data: *mut i16, size: u32,
        read: *mut i32, reserved: *mut u32) -> i32;
    fn DAQmxGetReadTotalSampPerChanAcquired(task: Task, total: *mut u64) -> i32;
    fn DAQmxGetExtendedErrorInfo(text: *mut c_char, size: u32) -> i32;
    fn DAQmxClearTask(task: Task) -> i32;
}
fn main() {
    let mut task: Task = null_mut();
    let (mut data, mut read, mut rate, mut total) = (vec![0i16; 2000], 0, 0.0, 0u64);
    unsafe {
        assert_eq!(DAQmxCreateTask(c"from Rust".as_ptr(), &mut task), 0);
        assert_eq!(DAQmxCreateAIVoltageChan(task, c"Dev1/ai0:1".as_ptr(), null(), -1, -10.0, 10.0, 10348,
            null()), 0);
        assert_eq!(DAQmxCfgSampClkTiming(task, null(), 50e3, 10280, 10178, 1000), 0);
        assert_eq!(DAQmxGetSampClkRate(task, &mut rate), 0);
        assert_eq!(rate, 50e3);
        assert_eq!(DAQmxStartTask(task), 0);
        let status =
            DAQmxReadBinaryI16(task, 1000, 10.0, 0, data.as_mut_ptr(), 2000, &mut read, null_mut());
        assert_eq!(status, 0);
        assert_eq!(DAQmxGetReadTotalSampPerChanAcquired(task, &mut total), 0);
        assert_eq!((read, total), (1000, 1000));
        assert!(data.iter().any(|code| *code != data[0]));
        let more = DAQmxReadBinaryI16(task, 1, 10.0, 0, data.as_mut_ptr(), 2000, &mut read, null_mut());
        assert_eq!((more, read), (-200278, 0));
        let mut text = [0 as c_char; 2048];
        assert_eq!(DAQmxGetExtendedErrorInfo(text.as_mut_ptr(), 2048), 0);
        let text = std::ffi::CStr::from_ptr(text.as_ptr()).to_str().unwrap();
        assert!(text.contains("Task Name: from Rust"), "{text}");
        assert_eq!(DAQmxClearTask(task), 0);
        assert_eq!(DAQmxClearTask(task), -200088);
    }
}
"""


@pytest.fixture(scope="session")
def library() -> Path:
    """The directory of the built library and its header."""
    assert CARGO is not None
    subprocess.run(
        [CARGO, "build", "-q", "--locked", "-p", "nidaqmx-sim-lib"], cwd=ROOT, check=True, timeout=900
    )
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
    assert (target / "libnidaqmx.so.1").exists()
    return target


@pytest.mark.parametrize("language", ["c", "c++"])
@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_programs_in_the_style_of_ni(name: str, language: str, library: Path, tmp_path: Path) -> None:
    compiler = COMPILER if language == "c" else shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no C++ compiler")
    source = tmp_path / f"{name}.{'c' if language == 'c' else 'cpp'}"
    source.write_text(CHECK + PROGRAMS[name], encoding="utf-8")
    program = tmp_path / name
    subprocess.run(
        [compiler, "-Wall", f"-I{library / 'include'}", str(source), "-o", str(program),
         f"-L{library}", "-lnidaqmx"],
        check=True,
        timeout=120,
    )  # fmt: skip
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library)}
    result = subprocess.run(
        [program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stdout


def test_a_rust_program(library: Path, tmp_path: Path) -> None:
    compiler = shutil.which("rustc")
    if compiler is None:
        pytest.skip("there is no rustc")
    source, program = tmp_path / "program.rs", tmp_path / "program"
    source.write_text(RUST, encoding="utf-8")
    subprocess.run(
        [compiler, "--edition", "2024", str(source), "-o", str(program), "-L", str(library)],
        check=True,
        timeout=120,
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library)}
    result = subprocess.run(
        [program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
