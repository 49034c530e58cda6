//! The C interface under nonsense: random handles, enumerations, sizes, strings and null pointers,
//! with every pointer that is not null as valid as C demands. Nothing may crash, hang or panic, and
//! every status has to be one that a program can look up.
//!
//! `NIDAQMX_SIM_NONSENSE_SECONDS=600 cargo test -p nidaqmx-sim --release --test nonsense` runs for
//! ten minutes instead of a fixed number of calls.

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};

use nidaqmx_sim::abi::*;
use nidaqmx_sim::abi_channels::*;
use nidaqmx_sim::abi_counter::*;
use nidaqmx_sim::abi_digital::*;
use nidaqmx_sim::control::{self, ClockMode, Fault, FaultKind, Signal};

mod random;
use random::{Calls, Random, assert_explained};

/// Values of enumerations, and small numbers.
const KNOWN: &[i32] = &[
    10348, 10065, 10083, 10106, 10178, 10123, 10388, 10390, 10280, 10171, 10200, 10167, 10230,
    10143, 10072, 10073, 10071, 10183, 10271, 10182, 15896, 15897, 15875, 10186, 12509, 10424,
    10425, 10426, 10427, 10428, 10252, 10159, 10150, 10099, 10103, 10163, 10128, 12487, 15898,
    10449, 10450, 0, 1, 2, 3, 5, 8, 16, 20, 33, 64, 100, 199,
];

/// An attribute: one that exists more often than not.
fn attribute(random: &mut Random) -> i32 {
    let known = [
        0x1344, 0x1347, 0x1300, 0x1310, 0x1852, 0x1301, 0x3139, 0x22C8, 0x186C, 0x230A, 0x1211,
        0x1215, 0x1221, 0x1223, 0x1823, 0x1826, 0x190A, 0x190B, 0x192A, 0x217A, 0x217B, 0x217C,
        0x31E8, 0x17DD, 0x17DE, 0x17E0, 0x1097, 0x1815, 0x1816, 0x1930, 0x695, 0x187F, 0x1033,
        0x1050, 0x17F5, 0x994, 0x692, 0x793, 0x1273, 0x1276, 0x230E, 0x193B, 0x1272, 0x231E, 0x631,
        0x2990, 0x2A40, 0x2FD2, 0x2342, 0x1393, 0x1419, 0x190F, 0x1856, 0x1445, 0x1227, 0x1234,
        0x1237, 0x1414, 0x1415, 0x1417,
    ];
    if random.below(5) == 0 {
        random.next() as i32 & 0x3FFF
    } else {
        random.pick(&known)
    }
}

const TEXTS: &[&[u8]] = &[
    b"\0",
    b"Dev1/ai0\0",
    b"Dev1/ai0:3\0",
    b"Dev2/ai0:7\0",
    b"Dev3/ai1\0",
    b"Dev1/ai3:0, Dev1/ai7\0",
    b"Dev1/port0\0",
    b"Dev1/port0/line0:7\0",
    b"Dev1/ctr0\0",
    b"Dev1\0",
    b"Dev9/ai0\0",
    b"/Dev1/PFI0\0",
    b"a name\0",
    b"line\0",
    b"Dev1/ai0:999999999999999999999\0",
    b"::::,,,,////\0",
    b"\xff\xfe\xfd\0",
    b"Dev1/ai\xc3\xa9:4\0",
    b"OnboardClock\0",
];

extern "C" fn nothing(_: *mut c_void, _: i32, _: *mut c_void) -> i32 {
    0
}

extern "C" fn nothing_every(_: *mut c_void, _: i32, _: u32, _: *mut c_void) -> i32 {
    0
}

/// Memory that calls may write to: large enough for what they are told it holds.
struct Memory {
    doubles: Vec<f64>,
}

impl Memory {
    /// 4096 elements of 8 bytes, and 8 more so that a misaligned pointer stays inside.
    fn new() -> Self {
        Self {
            doubles: vec![0.0; 4096 + 1],
        }
    }

    fn pointer<T>(&mut self, random: &mut Random) -> *mut T {
        match random.below(12) {
            0 => null_mut(),
            // Misaligned, yet inside.
            1 => self.doubles.as_mut_ptr().wrapping_byte_add(1).cast(),
            _ => self.doubles.as_mut_ptr().cast(),
        }
    }
}

extern "C" fn no_property(
    _: u32,
    name: *const c_char,
    _: i32,
    value: *const c_void,
    _: u32,
    _: *mut c_void,
) -> i32 {
    i32::from(name.is_null() || value.is_null())
}

/// One of the calls of counters, digital timing and digital waveforms.
///
/// # Safety
/// `out` and each of `more` hold 4096 elements of 8 bytes; the texts are null or end with a zero.
#[allow(clippy::too_many_arguments)]
unsafe fn counters_and_lines(
    random: &mut Random,
    more: &mut [Memory; 3],
    out: *mut c_void,
    task: *mut c_void,
    a: *const c_char,
    b: *const c_char,
    size: u32,
    timeout: f64,
) -> i32 {
    let [one, two, three] = more;
    // A counter that exists more often than not, with settings that exist.
    let c = match random.below(3) {
        0 => a,
        _ => random
            .pick(&[c"Dev1/ctr0", c"Dev1/ctr1", c"Dev1/ctr0:3", c"Dev3/ctr0"])
            .as_ptr(),
    };
    let lines = match random.below(3) {
        0 => b,
        _ => random
            .pick(&[
                c"Dev1/port0",
                c"Dev1/port0/line0:7",
                c"Dev1/port0/line3",
                c"",
            ])
            .as_ptr(),
    };
    let pattern = random
        .pick(&[
            c"01X",
            c"XXXXXXXX",
            c"1",
            c"",
            c"2",
            c"00000000000000000000000000000001",
        ])
        .as_ptr();
    let chosen = |random: &mut Random| match random.below(3) {
        0 => random.int(),
        _ => random.pick(&[
            10373, 10364, 10304, 10065, 10280, 10171, 10105, 10157, 10205, 10090, 10091, 10092,
            10313, 10040, 10041, 10042, 10043, 10146, 10304, 10219, 10304, 10070, 10080, 10128,
            16080, 16081, 16082, 16083, 10096, 12491, 16130, 10253, 10254,
        ]),
    };
    let (i, j, k, l) = (
        chosen(random),
        chosen(random),
        chosen(random),
        chosen(random),
    );
    let mode = random.pick(&[10178, 10123, i]);
    let any = random.next();
    let samples = random.pick(&[u64::from(size), 2, any]);
    let number = |random: &mut Random| match random.below(3) {
        0 => random.float(),
        _ => random.pick(&[1e-6, 1e-3, 0.1, 1.0, 100.0, 1000.0, 1e6]),
    };
    let (x, y, z) = (number(random), number(random), number(random));
    let n = random.below(17) as u32 * (1 + random.below(3) as u32 * 100);
    let asked = random.pick(&[1, -1, (size / 8) as i32, i]);
    let fill = random.pick(&[0, 1, 1, i as u32]);
    let (first, other): (*mut f64, *mut f64) = (one.pointer(random), two.pointer(random));
    let scale = if random.below(4) == 0 { b } else { null() };
    let mut read = 0;
    let count = if random.below(4) == 0 {
        null_mut()
    } else {
        &raw mut read
    };
    // SAFETY: every pointer is null or valid for the sizes that go with it; arrays do not overlap.
    let status = unsafe {
        match random.below(34) {
            0 => DAQmxCreateCICountEdgesChan(task, c, b, i, n, j),
            1 => DAQmxCreateCIFreqChan(task, c, b, x, y, i, j, k, z, n, scale),
            2 => DAQmxCreateCIPeriodChan(task, c, b, x, y, i, j, k, z, n, scale),
            3 => DAQmxCreateCIPulseWidthChan(task, c, b, x, y, i, j, scale),
            4 => DAQmxCreateCISemiPeriodChan(task, c, b, x, y, i, scale),
            5 => DAQmxCreateCITwoEdgeSepChan(task, c, b, x, y, i, j, k, scale),
            6 => DAQmxCreateCIPulseChanFreq(task, c, b, x, y, 10373),
            7 => DAQmxCreateCIPulseChanTime(task, c, b, x, y, 10364),
            8 => DAQmxCreateCIPulseChanTicks(task, c, b, a, x, y),
            9 => DAQmxCreateCIDutyCycleChan(task, c, b, x, y, i, scale),
            10 => DAQmxCreateCIAngEncoderChan(task, c, b, i, n & 1, x, j, k, n, y, scale),
            11 => DAQmxCreateCILinEncoderChan(task, c, b, i, n & 1, x, j, k, y, z, scale),
            12 => DAQmxCreateCIAngVelocityChan(task, c, b, x, y, i, j, n, scale),
            13 => DAQmxCreateCILinVelocityChan(task, c, b, x, y, i, j, z, scale),
            14 => DAQmxCreateCIGPSTimestampChan(task, c, b, i, j, scale),
            15 | 16 => DAQmxCfgImplicitTiming(task, mode, samples),
            17 => DAQmxReadCtrFreq(
                task,
                asked,
                timeout,
                fill,
                first,
                other,
                size,
                count,
                null_mut(),
            ),
            18 => DAQmxReadCtrFreqScalar(task, timeout, first, other, null_mut()),
            19 => DAQmxReadCtrTime(
                task,
                asked,
                timeout,
                fill,
                first,
                other,
                size,
                count,
                null_mut(),
            ),
            20 => DAQmxReadCtrTimeScalar(task, timeout, first, other, null_mut()),
            21 => DAQmxReadCtrTicks(
                task,
                asked,
                timeout,
                fill,
                first.cast(),
                other.cast(),
                size,
                count,
                null_mut(),
            ),
            22 => DAQmxReadCtrTicksScalar(task, timeout, first.cast(), other.cast(), null_mut()),
            23 | 24 => DAQmxCfgChangeDetectionTiming(task, lines, lines, mode, samples),
            25 => DAQmxCfgHandshakingTiming(task, mode, samples),
            26 => DAQmxCfgBurstHandshakingTimingImportClock(task, mode, samples, x, a, i, j, k),
            27 => DAQmxCfgBurstHandshakingTimingExportClock(task, mode, samples, x, a, i, j, k),
            28 => DAQmxCfgPipelinedSampClkTiming(task, a, x, i, mode, samples),
            29 => DAQmxCfgDigPatternStartTrig(task, lines, pattern, l),
            30 => DAQmxCfgDigPatternRefTrig(task, lines, pattern, l, n),
            31 => DAQmxWaitForValidTimestamp(task, l, timeout, out.cast()),
            _ => DAQmxInternalReadDigitalWaveform(
                task,
                asked,
                timeout,
                fill,
                first.cast(),
                other.cast(),
                n,
                if random.below(3) == 0 {
                    None
                } else {
                    Some(no_property)
                },
                null_mut(),
                three.pointer(random),
                size * 8,
                count,
                random.pick(&[null_mut(), &raw mut read]),
                out.cast(),
                n,
                null_mut(),
            ),
        }
    };
    assert!(read >= 0, "{read} samples read");
    status
}

#[test]
fn every_function_of_counters_and_lines_is_called() {
    let here = include_str!("nonsense.rs");
    for source in [
        include_str!("../src/abi_counter.rs"),
        include_str!("../src/abi_digital.rs"),
    ] {
        for line in source.lines() {
            let Some((name, _)) = line
                .trim()
                .strip_prefix("fn DAQmx")
                .and_then(|rest| rest.split_once('('))
            else {
                continue;
            };
            let call = format!("DAQmx{name}(");
            assert!(here.contains(&call), "{call}...) is not called");
        }
    }
}

#[test]
fn nothing_crashes_hangs_or_panics() {
    control::reset();
    control::set_clock(ClockMode::Unthrottled).unwrap();
    let mut random = Random::new(0x00DA_0517_5EED, KNOWN);
    let mut calls = Calls::new(80_000);
    let mut memory = Memory::new();
    let mut second = [Memory::new(), Memory::new(), Memory::new()];
    let mut handles: Vec<*mut c_void> = Vec::new();
    let mut succeeded = 0u64;
    while calls.another() {
        let task = random.task(&handles);
        let (a, b) = (random.text(TEXTS), random.text(TEXTS));
        let (i, j, k) = (random.int(), random.int(), random.int());
        let (x, y, z) = (random.float(), random.float(), random.float());
        let size = random.below(4096) as u32;
        let count = random.below(17) as u32;
        let timeout = random.pick(&[0.0, 0.0005, f64::NAN]);
        let id = attribute(&mut random);
        let any = random.next();
        let out: *mut c_void = memory.pointer(&mut random);
        // What a variadic setter finds: a number, or a pointer to text or numbers that end in zero.
        let integer = match random.below(3) {
            0 => random.next() as u32 as usize,
            1 => random.int() as usize,
            _ => 0,
        };
        let pointer = random.pick(TEXTS).as_ptr() as usize;
        // SAFETY: every pointer is null or valid for the sizes that go with it: `out` holds 4096
        // elements of 8 bytes, and texts end with a zero.
        let status = unsafe {
            match random.below(86) {
                0..=2 => {
                    let mut handle = null_mut();
                    let status = DAQmxCreateTask(c"".as_ptr(), &raw mut handle);
                    if status == 0 {
                        handles.push(handle);
                    }
                    if handles.len() > 8 {
                        let index = random.below(handles.len());
                        DAQmxClearTask(handles.swap_remove(index));
                    }
                    status
                }
                3 => DAQmxCreateTask(a, null_mut()),
                4 => DAQmxStartTask(task),
                5 => DAQmxStopTask(task),
                6 => DAQmxTaskControl(task, i & 7),
                7 => DAQmxIsTaskDone(task, out.cast()),
                8 => DAQmxWaitUntilTaskDone(task, timeout),
                9 => DAQmxGetTaskAttribute(task, id, out, size),
                10..=13 => DAQmxCreateAIVoltageChan(
                    task,
                    a,
                    b,
                    i,
                    x,
                    y,
                    j,
                    if k & 1 == 0 { null() } else { a },
                ),
                14 => DAQmxCreateAIVoltageChan(task, a, null(), -1, -1.0, 1.0, 10348, null()),
                15 => DAQmxCreateAICurrentChan(task, a, b, i, x, y, j, k, z, null()),
                16 => DAQmxCreateAIThrmcplChan(task, a, b, x, y, i, j, k, z, a),
                17 => DAQmxCreateAIRTDChan(task, a, b, x, y, i, j, k, id, z, x),
                18 => DAQmxCreateAIThrmstrChanVex(task, a, b, x, y, i, j, k, z, x, y, z, x),
                19 => {
                    DAQmxCreateAIStrainGageChan(task, a, b, x, y, i, j, k, z, x, y, z, x, y, null())
                }
                20 => DAQmxCreateAIBridgeChan(task, a, b, x, y, i, j, k, z, x, null()),
                21 => DAQmxCreateAIForceBridgeTableChan(
                    task,
                    a,
                    b,
                    x,
                    y,
                    i,
                    j,
                    k,
                    z,
                    x,
                    out.cast(),
                    count,
                    i,
                    out.cast(),
                    count,
                    j,
                    null(),
                ),
                22 => DAQmxCreateAIAccelChan(task, a, b, i, x, y, j, z, k, i, x, null()),
                23 => DAQmxCreateAIMicrophoneChan(task, a, b, i, j, x, y, k, z, null()),
                24 => DAQmxCreateDIChan(task, a, b, i & 1),
                25 => DAQmxCreateCICountEdgesChan(task, a, b, i, count, j),
                26..=28 => DAQmxCfgSampClkTiming(
                    task,
                    if k & 1 == 0 { null() } else { a },
                    random.pick(&[x, 1000.0, 1e6, 1e5]),
                    random.pick(&[i, 10280]),
                    random.pick(&[j, 10178, 10123]),
                    random.pick(&[u64::from(size), any]),
                ),
                29 => DAQmxGetChanAttribute(task, a, id, out, size),
                30 => DAQmxSetChanAttribute(task, a, id, pointer, 0, x),
                31 => DAQmxResetChanAttribute(task, a, id),
                32 => DAQmxGetTimingAttribute(task, id, out, size),
                33 => DAQmxSetTimingAttribute(task, id, pointer, 0, x),
                34 => DAQmxResetTimingAttribute(task, id),
                35 => DAQmxGetBufferAttribute(task, id, out, size),
                36 => DAQmxSetBufferAttribute(task, 0x186C, integer, 0, x),
                37 => DAQmxResetBufferAttribute(task, id),
                38 => DAQmxGetReadAttribute(task, id, out, size),
                39 => DAQmxSetReadAttribute(
                    task,
                    random.pick(&[0x1211, 0x1215, 0x1826, 0x190A, 0x190B, 0x2232]),
                    integer,
                    0,
                    x,
                ),
                40 => DAQmxResetReadAttribute(task, id),
                41 | 42 => {
                    let (fill, array) = (i as u32 & 1, memory.pointer(&mut random));
                    DAQmxReadAnalogF64(task, i, timeout, fill, array, size, null_mut(), null_mut())
                }
                43 | 44 => {
                    let (fill, array) = (i as u32 & 1, memory.pointer(&mut random));
                    let mut read = 0;
                    DAQmxReadBinaryI16(
                        task,
                        (size / 8) as i32,
                        timeout,
                        fill,
                        array,
                        size,
                        &raw mut read,
                        null_mut(),
                    )
                }
                45 => DAQmxReadBinaryI32(
                    task,
                    i,
                    timeout,
                    i as u32,
                    out.cast(),
                    size,
                    null_mut(),
                    null_mut(),
                ),
                46 => DAQmxReadRaw(
                    task,
                    i,
                    timeout,
                    out,
                    size,
                    null_mut(),
                    out.cast(),
                    null_mut(),
                ),
                47 => DAQmxReadDigitalU32(
                    task,
                    i,
                    timeout,
                    0,
                    out.cast(),
                    size,
                    null_mut(),
                    null_mut(),
                ),
                48 => DAQmxReadDigitalLines(
                    task,
                    i,
                    timeout,
                    0,
                    out.cast(),
                    size,
                    null_mut(),
                    null_mut(),
                    null_mut(),
                ),
                49 => DAQmxReadCounterU32Ex(
                    task,
                    i,
                    timeout,
                    1,
                    out.cast(),
                    size,
                    null_mut(),
                    null_mut(),
                ),
                50 => DAQmxReadAnalogScalarF64(task, timeout, out.cast(), null_mut()),
                51 => DAQmxCfgDigEdgeStartTrig(task, a, i),
                52 => DAQmxCfgAnlgEdgeRefTrig(task, a, i, x, count),
                53 => DAQmxSetTrigAttribute(
                    task,
                    random.pick(&[0x190F, 0x1856, 0x1393]),
                    integer,
                    0,
                    x,
                ),
                54 => {
                    let function = if i & 1 == 0 {
                        null()
                    } else {
                        nothing_every as *const c_void
                    };
                    DAQmxRegisterEveryNSamplesEvent(task, j & 3, size, 0, function, null_mut())
                }
                55 => {
                    let function = if i & 1 == 0 {
                        null()
                    } else {
                        nothing as *const c_void
                    };
                    DAQmxRegisterDoneEvent(task, 0, function, null_mut())
                }
                56 => DAQmxGetSystemInfoAttribute(id, out, size),
                57 => DAQmxGetDeviceAttribute(a, id, out, size),
                58 => DAQmxGetPhysicalChanAttribute(a, id, out, size),
                59 => match i & 3 {
                    0 => DAQmxCreateLinScale(a, x, y, 10348, b),
                    1 => DAQmxCreateTableScale(a, out.cast(), count, out.cast(), count, i, b),
                    2 => DAQmxCreatePolynomialScale(a, out.cast(), count, out.cast(), count, j, b),
                    _ => DAQmxCalculateReversePolyCoeff(
                        out.cast(),
                        count,
                        x,
                        y,
                        i & 1023,
                        j & 7,
                        out.cast(),
                    ),
                },
                60 => DAQmxGetErrorString(i, out.cast(), size),
                61..=84 => {
                    counters_and_lines(&mut random, &mut second, out, task, a, b, size, timeout)
                }
                _ => {
                    match i & 7 {
                        0 => drop(control::set_signal(None, Signal::Pattern)),
                        1 => drop(control::set_signal(None, Signal::Sine)),
                        2 => drop(control::set_signal(None, Signal::Constant(x))),
                        3 => drop(control::fault(
                            "Dev1",
                            &Fault {
                                kind: FaultKind::SlowBus,
                                after: random.next() & 0xFFFF,
                                seconds: 0.0,
                            },
                        )),
                        4 => drop(control::plug("Dev2", j & 1 == 0)),
                        5 => control::hold_triggers(j & 1 == 0),
                        6 => drop(control::trigger(None)),
                        _ => drop(control::ledgers()),
                    }
                    DAQmxResetDevice(a)
                }
            }
        };
        succeeded += u64::from(status == 0);
        assert_explained(status);
    }
    for handle in handles {
        // SAFETY: the handle came from DAQmxCreateTask.
        assert_eq!(unsafe { DAQmxClearTask(handle) }, 0);
    }
    for ledger in control::ledgers() {
        assert_eq!(
            ledger.produced,
            ledger.delivered + ledger.overwritten + ledger.in_buffer,
            "{ledger:?}"
        );
    }
    // The nonsense has to reach what lies behind the first checks.
    assert!(
        succeeded > calls.made / 10,
        "{succeeded} of {} calls succeeded",
        calls.made
    );
    control::reset();
}
