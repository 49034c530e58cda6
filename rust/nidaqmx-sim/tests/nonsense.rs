//! The C interface under nonsense: random handles, enumerations, sizes, strings and null pointers,
//! with every pointer that is not null as valid as C demands. Nothing may crash, hang or panic, and
//! every status has to be one that a program can look up.
//!
//! `NIDAQMX_SIM_NONSENSE_SECONDS=600 cargo test -p nidaqmx-sim --release --test nonsense` runs for
//! ten minutes instead of a fixed number of calls.

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use nidaqmx_sim::abi::*;
use nidaqmx_sim::abi_channels::*;
use nidaqmx_sim::abi_counter::*;
use nidaqmx_sim::control::{self, ClockMode, Fault, FaultKind, Signal};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn int(&mut self) -> i32 {
        match self.below(4) {
            0 => self.pick(&[-1, 0, 1, 2, 3, 4, 10, 100, i32::MAX, i32::MIN]),
            1 => self.pick(&[
                10348, 10065, 10083, 10106, 10178, 10123, 10388, 10390, 10280, 10171, 10200, 10167,
                10230, 10143, 10072, 10073, 10071, 10183, 10271, 10182, 15896, 15897, 15875, 10186,
                12509, 10424, 10425, 10426, 10427, 10428, 10252, 10159, 10150, 10099, 10103, 10163,
                10128, 12487, 15898, 10449, 10450,
            ]),
            2 => self.below(200) as i32,
            _ => self.next() as i32,
        }
    }

    fn float(&mut self) -> f64 {
        match self.below(3) {
            0 => self.pick(&[
                0.0,
                -1.0,
                1.0,
                1e-3,
                2.5,
                -10.0,
                10.0,
                1000.0,
                1e6,
                1e300,
                -1e300,
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::MIN_POSITIVE,
            ]),
            1 => self.below(2000) as f64 / 100.0 - 10.0,
            _ => f64::from_bits(self.next()),
        }
    }

    /// An attribute: one that exists more often than not.
    fn attribute(&mut self) -> i32 {
        let known = [
            0x1344, 0x1347, 0x1300, 0x1310, 0x1852, 0x1301, 0x3139, 0x22C8, 0x186C, 0x230A, 0x1211,
            0x1215, 0x1221, 0x1223, 0x1823, 0x1826, 0x190A, 0x190B, 0x192A, 0x217A, 0x217B, 0x217C,
            0x31E8, 0x17DD, 0x17DE, 0x17E0, 0x1097, 0x1815, 0x1816, 0x1930, 0x695, 0x187F, 0x1033,
            0x1050, 0x17F5, 0x994, 0x692, 0x793, 0x1273, 0x1276, 0x230E, 0x193B, 0x1272, 0x231E,
            0x631, 0x2990, 0x2A40, 0x2FD2, 0x2342, 0x1393, 0x1419, 0x190F, 0x1856, 0x1445, 0x1227,
            0x1234, 0x1237,
        ];
        if self.below(5) == 0 {
            self.next() as i32 & 0x3FFF
        } else {
            self.pick(&known)
        }
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
    fn pointer<T>(&mut self, random: &mut Random) -> *mut T {
        match random.below(12) {
            0 => null_mut(),
            // Misaligned, yet inside.
            1 => self.doubles.as_mut_ptr().wrapping_byte_add(1).cast(),
            _ => self.doubles.as_mut_ptr().cast(),
        }
    }
}

#[test]
fn nothing_crashes_hangs_or_panics() {
    control::reset();
    control::set_clock(ClockMode::Unthrottled).unwrap();
    let seconds = std::env::var("NIDAQMX_SIM_NONSENSE_SECONDS");
    let seconds: Option<u64> = seconds.ok().and_then(|seconds| seconds.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut random = Random(0x00DA_0517_5EED);
    // 4096 elements of 8 bytes, and 8 more so that a misaligned pointer stays inside.
    let mut memory = Memory {
        doubles: vec![0.0; 4096 + 1],
    };
    let mut handles: Vec<*mut c_void> = Vec::new();
    let mut succeeded = 0u64;
    let mut calls = 0u64;
    loop {
        match end {
            Some(end) if calls.is_multiple_of(1000) && Instant::now() >= end => break,
            None if calls >= 60_000 => break,
            _ => {}
        }
        calls += 1;
        let task = if handles.is_empty() || random.below(20) == 0 {
            random.pick(&[
                null_mut(),
                0x10usize as *mut c_void,
                usize::MAX as *mut c_void,
            ])
        } else {
            random.pick(&handles)
        };
        let text = |random: &mut Random| -> *const c_char {
            if random.below(15) == 0 {
                null()
            } else {
                random.pick(TEXTS).as_ptr().cast()
            }
        };
        let (a, b) = (text(&mut random), text(&mut random));
        let (i, j, k) = (random.int(), random.int(), random.int());
        let (x, y, z) = (random.float(), random.float(), random.float());
        let size = random.below(4096) as u32;
        let count = random.below(17) as u32;
        let timeout = random.pick(&[0.0, 0.0005, f64::NAN]);
        let id = random.attribute();
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
            match random.below(62) {
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
                    random.pick(&[u64::from(size), random.0]),
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
                _ => {
                    match i & 7 {
                        0 => drop(control::set_signal(None, Signal::Pattern)),
                        1 => drop(control::set_signal(None, Signal::Sine)),
                        2 => drop(control::set_signal(None, Signal::Constant(x))),
                        3 => drop(control::fault(
                            "Dev1",
                            &Fault {
                                kind: FaultKind::SlowBus,
                                after: random.0 & 0xFFFF,
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
        if status < 0 {
            let mut text = [0u8; 2048];
            // SAFETY: the buffer has the size given.
            let rest = unsafe { DAQmxGetExtendedErrorInfo(text.as_mut_ptr().cast(), 2048) };
            assert_eq!(rest, 0);
            let text = String::from_utf8_lossy(&text);
            assert!(
                text.contains(&format!("Status Code: {status}")),
                "{status}: {text}"
            );
            assert_ne!(status, -50150, "a panic was caught: {text}");
        }
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
        succeeded > calls / 10,
        "{succeeded} of {calls} calls succeeded"
    );
    control::reset();
}
