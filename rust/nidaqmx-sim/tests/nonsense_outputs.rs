//! The functions of outputs under nonsense, beside inputs that look at them: as in `nonsense.rs`,
//! nothing may crash, hang or panic, and every status has to be one that a program can look up.

use std::ffi::c_void;
use std::ptr::{null, null_mut};

use nidaqmx_sim::abi::*;
use nidaqmx_sim::abi_channels::*;
use nidaqmx_sim::abi_counter::*;
use nidaqmx_sim::abi_outputs::*;
use nidaqmx_sim::control::{self, ClockMode};

mod random;
use random::{Calls, Random, assert_explained};

/// Values of enumerations.
const KNOWN: &[i32] = &[
    10348, 10342, 10178, 10123, 10388, 10390, 10451, 10280, 10097, 10158, 10424, 10430, 14751,
    14752, 14753, 14754, 10373, 10364, 10192, 10214, 12523,
];

const TEXTS: &[&[u8]] = &[
    b"\0",
    b"Dev1/ao0\0",
    b"Dev1/ao0:3\0",
    b"Dev2/ao1\0",
    b"Dev3/ao0\0",
    b"Dev1/port0\0",
    b"Dev1/port0/line0:7\0",
    b"Dev1/port1\0",
    b"Dev1/ctr0\0",
    b"Dev1/ctr0:1\0",
    b"Dev1/_ao0_vs_aognd\0",
    b"/Dev1/Ctr0InternalOutput\0",
    b"a name\0",
    b"::::,,,,////\0",
];

const ATTRIBUTES: &[i32] = &[
    0x1453, 0x1458, 0x1460, 0x190C, 0x190D, 0x192B, 0x217D, 0x217E, 0x217F, 0x22B1, 0x22B2, 0x296C,
    0x29E9, 0x186D, 0x230B, 0x1186, 0x1187, 0x182D, 0x1931, 0x1178, 0x1176, 0x1169, 0x1171, 0x18BA,
    0x18BB, 0x18E1, 0x190E, 0x293, 0x294, 0x1133, 0x2A19, 0x1344, 0x1347, 0x7777,
];

#[test]
fn every_write_is_called() {
    let here = include_str!("nonsense_outputs.rs");
    for line in include_str!("../src/abi_outputs.rs").lines() {
        if let Some(rest) = line.trim().strip_prefix("fn DAQmxWrite") {
            let name = rest.split('(').next().unwrap_or_default();
            let call = format!("DAQmxWrite{name}(");
            assert!(here.contains(&call), "{call} is not called here");
        }
    }
}

#[test]
fn nothing_crashes_hangs_or_panics() {
    control::reset();
    control::set_clock(ClockMode::Unthrottled).unwrap();
    let mut random = Random::new(0x00DA_0517_0407, KNOWN);
    let mut calls = Calls::new(40_000);
    let mut memory = vec![0.0f64; 8192];
    let mut handles: Vec<*mut c_void> = Vec::new();
    let mut succeeded = 0u64;
    while calls.another() {
        let task = random.task(&handles);
        let (a, b) = (random.text(TEXTS), random.text(TEXTS));
        let (i, j) = (random.int(), random.int());
        let (x, y, z) = (random.float(), random.float(), random.float());
        // Few enough that the samples of every channel of a task lie within the memory.
        let samples: i32 = random.pick(&[-1, 0, 1, 1, 2, 7, 8]);
        let auto = random.below(2) as u32;
        let fill = random.pick(&[0, 1, 1, 0, 9]);
        let timeout = random.pick(&[0.0, 0.0005, f64::NAN]);
        let id = random.pick(ATTRIBUTES);
        if random.below(4) == 0 {
            let place = random.below(memory.len());
            memory[place] = x;
        }
        let out = memory.as_mut_ptr();
        let data: *const c_void = match random.below(12) {
            0 => null(),
            1 => out.wrapping_byte_add(1).cast(),
            _ => out.cast(),
        };
        let mut count = 0;
        let pointer = random.pick(TEXTS).as_ptr() as usize;
        let none = null_mut();
        // SAFETY: every pointer is null or valid: texts end with a zero, and the memory holds more
        // than 8 samples of as many channels and lines as a task comes to have here.
        let status = unsafe {
            match random.below(55) {
                0..=3 => {
                    let mut handle = null_mut();
                    let status = DAQmxCreateTask(c"".as_ptr(), &raw mut handle);
                    if status == 0 {
                        handles.push(handle);
                    }
                    if handles.len() > 6 {
                        let index = random.below(handles.len());
                        DAQmxClearTask(handles.swap_remove(index));
                    }
                    status
                }
                4 | 5 => DAQmxCreateAOVoltageChan(task, a, null(), -10.0, 10.0, 10348, null()),
                6 => DAQmxCreateAOVoltageChan(task, a, b, x, y, i, b),
                7 => DAQmxCreateAOCurrentChan(task, a, b, x, y, i, b),
                8 => DAQmxCreateAOFuncGenChan(task, a, null(), i, x, y, z),
                9 | 10 => DAQmxCreateDOChan(task, a, null(), i & 1),
                11 => DAQmxCreateCOPulseChanFreq(task, a, null(), 10373, 10214, 0.0, 1e3, 0.5),
                12 => DAQmxCreateCOPulseChanFreq(task, a, b, i, j, x, y, z),
                13 => DAQmxCreateCOPulseChanTime(task, a, b, 10364, 10214, x, 1e-3, y),
                14 => DAQmxCreateCOPulseChanTicks(task, a, null(), b, 10192, 0, i, j),
                15 => DAQmxCfgImplicitTiming(task, i, samples.unsigned_abs().into()),
                16 | 17 => {
                    DAQmxCfgSampClkTiming(task, null(), 1e4, 10280, random.pick(&[10178, 10123]), 8)
                }
                18 => DAQmxCfgOutputBuffer(task, random.pick(&[0, 1, 8, 100, u32::MAX])),
                19 => DAQmxGetWriteAttribute(task, id, out.cast(), 4096),
                20 => DAQmxSetWriteAttribute(task, id, i as u32 as usize, 0, x),
                21 => DAQmxResetWriteAttribute(task, id),
                22 => DAQmxGetChanAttribute(task, null(), id, out.cast(), 512),
                23 => DAQmxSetChanAttribute(task, null(), id, pointer, 0, x),
                24 => DAQmxGetBufferAttribute(task, id, out.cast(), 4),
                25 => DAQmxStartTask(task),
                26 => DAQmxStopTask(task),
                27 => DAQmxIsTaskDone(task, out.cast()),
                28 => DAQmxWaitUntilTaskDone(task, timeout),
                29 => DAQmxTaskControl(task, i & 7),
                30..=32 => DAQmxWriteAnalogF64(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    &raw mut count,
                    none,
                ),
                33 => DAQmxWriteAnalogScalarF64(task, auto, timeout, x, none),
                34 => DAQmxWriteBinaryI16(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    none.cast(),
                    none,
                ),
                35 => DAQmxWriteBinaryU32(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    &raw mut count,
                    none,
                ),
                36 => DAQmxWriteDigitalU8(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    &raw mut count,
                    none,
                ),
                37 => DAQmxWriteDigitalU32(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    &raw mut count,
                    none,
                ),
                38 => DAQmxWriteDigitalLines(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    &raw mut count,
                    none,
                ),
                39 => DAQmxWriteDigitalScalarU32(task, auto, timeout, i as u32, none),
                40 => DAQmxWriteCtrFreq(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    data.cast(),
                    &raw mut count,
                    none,
                ),
                41 => DAQmxWriteCtrTicksScalar(task, auto, timeout, i as u32, j as u32, none),
                42 => DAQmxWriteCtrTimeScalar(task, auto, timeout, x, y, none),
                43 => DAQmxWriteCtrFreqScalar(task, auto, timeout, 2e3, 0.5, none),
                44 => DAQmxWriteRaw(task, samples, auto, timeout, data, &raw mut count, none),
                45 => {
                    let lines = [1u32, 8, 32, 0];
                    DAQmxInternalWriteDigitalWaveform(
                        task,
                        samples,
                        auto,
                        timeout,
                        fill,
                        data.cast(),
                        lines.as_ptr(),
                        random.below(5) as u32,
                        &raw mut count,
                        none,
                    )
                }
                46 => {
                    let arrays = [out.cast_const(); 4];
                    DAQmxInternalWriteAnalogWaveformPerChan(
                        task,
                        samples,
                        auto,
                        timeout,
                        arrays.as_ptr(),
                        random.below(5) as u32,
                        &raw mut count,
                        none,
                    )
                }
                47 => DAQmxCreateAIVoltageChan(task, a, null(), -1, -10.0, 10.0, 10348, null()),
                48 => DAQmxReadAnalogF64(task, samples, timeout, 0, out, 512, &raw mut count, none),
                49 => DAQmxWriteBinaryU16(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    &raw mut count,
                    none,
                ),
                50 => DAQmxWriteBinaryI32(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    &raw mut count,
                    none,
                ),
                51 => DAQmxWriteDigitalU16(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    &raw mut count,
                    none,
                ),
                52 => DAQmxWriteCtrTime(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    data.cast(),
                    &raw mut count,
                    none,
                ),
                53 => DAQmxWriteCtrTicks(
                    task,
                    samples,
                    auto,
                    timeout,
                    fill,
                    data.cast(),
                    data.cast(),
                    &raw mut count,
                    none,
                ),
                _ => DAQmxCreateDIChan(task, a, null(), i & 1),
            }
        };
        succeeded += u64::from(status == 0);
        assert_explained(status);
    }
    assert!(
        succeeded > calls.made / 10,
        "{succeeded} of {} calls succeeded",
        calls.made
    );
    control::reset();
}
