//! The rarer inputs, network devices, saved tasks and logging under nonsense, as `nonsense.rs` does
//! it with the rest: nothing may crash, hang or panic, and every status can be looked up.
//!
//! `NIDAQMX_SIM_NONSENSE_SECONDS=600` makes it run for ten minutes.

use std::ffi::{CString, c_void};
use std::ptr::{null, null_mut};

use nidaqmx_sim::abi::*;
use nidaqmx_sim::abi_calibration::*;
use nidaqmx_sim::abi_devices::*;
use nidaqmx_sim::abi_logging::*;
use nidaqmx_sim::abi_more_inputs::*;
use nidaqmx_sim::abi_saved::*;
use nidaqmx_sim::control::{self, ClockMode, DeviceSpec, Fault, FaultKind, Signal};

mod random;
use random::{Calls, Random, assert_explained};

/// Values of enumerations.
const KNOWN: &[i32] = &[
    10348, 10342, 10373, 16102, 16103, 10186, 10143, 16099, 16203, 10200, 10167, 15968, 15969,
    15970, 15971, 15978, 10271, 10178, 10123, 10280, 15844, 15842, 10231, 10437, 15846, 15847,
    15848, 10065,
];

const TEXTS: &[&[u8]] = &[
    b"\0",
    b"Dev1/ai0\0",
    b"Dev1/ai0:3\0",
    b"Dev2/ai0:2\0",
    b"Dev2/ai0:5\0",
    b"Dev3/ai0\0",
    b"Dev3/ai1\0",
    b"Dev3/_boardTempSensor_vs_aignd\0",
    b"TSMod1/power\0",
    b"cMod1/ai0\0",
    b"c\0",
    b"Dev9/ai0\0",
    b"TS\0",
    b"a name\0",
    b"10.0.0.1\0",
    b"::::,,,,////\0",
];

fn rig() -> Vec<DeviceSpec> {
    [
        ("Dev1", "PXIe-4480"),
        ("Dev2", "PXIe-4331"),
        ("Dev3", "PCIe-6363"),
        ("c", "cDAQ-9185"),
        ("cMod1", "NI 9234"),
        ("TS", "TS-15000"),
        ("TSMod1", "TS-15200"),
    ]
    .into_iter()
    .map(|(name, product)| DeviceSpec {
        name: name.to_owned(),
        product: product.to_owned(),
        address: (name == "c").then(|| "10.0.0.1".to_owned()),
        ..DeviceSpec::default()
    })
    .collect()
}

#[test]
fn nothing_crashes_hangs_or_panics() {
    control::reset();
    control::configure_devices(&rig()).unwrap();
    control::set_clock(ClockMode::Unthrottled).unwrap();
    let directory =
        std::env::temp_dir().join(format!("nidaqmx-sim-nonsense-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file =
        |name: &str| CString::new(directory.join(name).to_string_lossy().as_bytes()).unwrap();
    let files = [
        file("a.tdms"),
        file("b.tdms"),
        file("no/c.tdms"),
        CString::default(),
    ];
    let mut random = Random::new(0x0DE7_1CE5_5EED, KNOWN);
    let mut calls = Calls::new(30_000);
    let mut memory = vec![0.0f64; 8192 + 1];
    let mut handles: Vec<*mut c_void> = Vec::new();
    let mut succeeded = 0u64;
    while calls.another() {
        let task = random.task(&handles);
        let (a, b) = (random.text(TEXTS), random.text(TEXTS));
        let (i, j, k) = (random.int(), random.int(), random.int());
        let (x, y, z, w) = (
            random.float(),
            random.float(),
            random.float(),
            random.float(),
        );
        let size = random.below(4096) as u32;
        let count = random.below(9) as u32;
        let path = files[random.below(files.len())].as_ptr();
        let scale = c"".as_ptr();
        for (place, value) in memory.iter_mut().zip([0x3E63_0000_3E65u64; 4]) {
            // Read as integers, these are numbers of rosette measurements.
            *place = f64::from_bits(value);
        }
        let first: *mut f64 = match random.below(12) {
            0 => null_mut(),
            1 => memory.as_mut_ptr().wrapping_byte_add(1),
            _ => memory.as_mut_ptr(),
        };
        let second = match random.below(12) {
            0 => null_mut(),
            _ => memory.as_mut_ptr().wrapping_add(4096),
        };
        // SAFETY: handles may be anything; every other pointer is null, a text that ends in zero, or
        // memory of 4096 elements of 8 bytes, and no size says more.
        let status = unsafe {
            match random.below(36) {
                0 | 1 => {
                    let mut handle = null_mut();
                    let status = if handles.len() < 12 {
                        DAQmxCreateTask(scale, &raw mut handle)
                    } else {
                        0
                    };
                    if !handle.is_null() {
                        handles.push(handle);
                    }
                    status
                }
                2 if handles.len() > 3 => {
                    let index = random.below(handles.len());
                    DAQmxClearTask(handles.swap_remove(index))
                }
                3 => DAQmxCreateAIVoltageRMSChan(task, a, b, -1, x, y, i, scale),
                4 => DAQmxCreateAICurrentRMSChan(task, a, b, -1, x, y, i, j, z, scale),
                5 => DAQmxCreateAIFreqVoltageChan(task, a, b, x, y, i, z, w, scale),
                6 => DAQmxCreateAIChargeChan(task, a, scale, -1, -1e-9, 1e-9, i, scale),
                7 => DAQmxCreateAIAccelChargeChan(task, a, b, i, x, y, j, z, k, scale),
                8 => DAQmxCreateAITempBuiltInSensorChan(task, a, scale, i),
                9 => DAQmxCreateAIRosetteStrainGageChan(
                    task,
                    a,
                    b,
                    -1e-3,
                    1e-3,
                    random.pick(&[15968, 15969, 15970, i]),
                    z,
                    first.cast(),
                    count,
                    10271,
                    10200,
                    2.5,
                    2.0,
                    350.0,
                    0.3,
                    w,
                ),
                10 => DAQmxCreateAICalculatedPowerChan(
                    task, a, b, scale, i, x, y, z, w, 16203, j, 250.0, scale,
                ),
                11 => DAQmxCreateAICalculatedPowerChan(
                    task, a, a, scale, -1, -5.0, 5.0, -0.01, 0.01, 16203, 10167, 250.0, scale,
                ),
                12 => DAQmxCreateAIPowerChan(task, a, b, x, y, i as u32),
                13 => DAQmxCreateAIPowerChan(task, a, scale, 5.0, 1.0, 1),
                14 => DAQmxReadPowerF64(
                    task,
                    i,
                    0.0,
                    j as u32,
                    first,
                    second,
                    size,
                    null_mut(),
                    null_mut(),
                ),
                15 => DAQmxReadPowerBinaryI16(
                    task,
                    count as i32,
                    0.0,
                    0,
                    first.cast(),
                    second.cast(),
                    size,
                    null_mut(),
                    null_mut(),
                ),
                16 => DAQmxReadPowerScalarF64(task, 0.0, first, second, null_mut()),
                17 | 18 => DAQmxReadAnalogF64(
                    task,
                    count as i32,
                    0.0,
                    0,
                    first,
                    size,
                    null_mut(),
                    null_mut(),
                ),
                19 => DAQmxReserveNetworkDevice(a, i as u32),
                20 => DAQmxUnreserveNetworkDevice(a),
                21 => DAQmxDeleteNetworkDevice(a),
                22 => DAQmxAddNetworkDevice(a, scale, i as u32, x, first.cast(), size).min(0),
                23 => DAQmxDeviceSupportsCal(a, first.cast()),
                24 => DAQmxSelfCal(a),
                25 => DAQmxConfigureLogging(task, path, i, b, j),
                26 => DAQmxConfigureLogging(task, path, 15842, scale, 15847),
                27 => DAQmxStartNewFile(task, path),
                28 => match i & 3 {
                    0 => DAQmxSaveTask(task, c"T".as_ptr(), b, j as u32 & 15),
                    1 => DAQmxSaveGlobalChan(task, a, c"G".as_ptr(), b, 1),
                    2 => DAQmxSaveScale(a, b, a, j as u32),
                    _ => DAQmxAddGlobalChansToTask(task, c"G".as_ptr()),
                },
                29 => {
                    let mut handle = null_mut();
                    let status = DAQmxLoadTask(c"T".as_ptr(), &raw mut handle);
                    if status == 0 {
                        handles.push(handle);
                    }
                    status
                }
                30 => match i & 7 {
                    0 => DAQmxDeleteSavedTask(c"T".as_ptr()),
                    1 => DAQmxDeleteSavedGlobalChan(a),
                    2 => DAQmxDeleteSavedScale(a),
                    3 => DAQmxGetPersistedChanAttribute(a, 0x22D0, first.cast(), size).min(0),
                    4 => DAQmxGetPersistedScaleAttribute(a, j, first.cast(), size).min(0),
                    5 => DAQmxGetPersistedTaskAttribute(a, j, first.cast(), size).min(0),
                    _ => DAQmxGetPersistedTaskAttribute(c"T".as_ptr(), 0x22CC, first.cast(), size)
                        .min(0),
                },
                31 => DAQmxCfgSampClkTiming(task, null(), 5000.0, 10280, 10178, 64),
                32 => {
                    let all = [
                        0x2EC4, 0x2EC5, 0x2EC6, 0x2EC7, 0x2FC3, 0x2FC6, 0x2FE3, 0x2FE4,
                    ];
                    let id = random.pick(&all);
                    DAQmxGetReadAttribute(task, id, first.cast(), size).min(0)
                }
                33 => match i & 3 {
                    0 => DAQmxPerformBridgeOffsetNullingCalEx(task, a, j as u32 & 1),
                    1 => DAQmxPerformBridgeShuntCalEx(task, b, x, i, j, k, y, i as u32 & 1),
                    2 => DAQmxPerformStrainShuntCalEx(task, a, x, i, j, k, j as u32 & 1),
                    _ => DAQmxPerformThrmcplLeadOffsetNullingCal(task, scale, j as u32 & 1),
                },
                _ => {
                    let fault = Fault {
                        kind: random.pick(&[
                            FaultKind::BusStall,
                            FaultKind::SlowDriver,
                            FaultKind::Jitter,
                        ]),
                        after: random.next() & 0xFF,
                        seconds: 1e-4,
                    };
                    match j & 3 {
                        0 => drop(control::fault("Dev3", &fault)),
                        1 => drop(control::set_transfer(random.next() & 0xFF)),
                        2 => drop(control::set_signal(
                            None,
                            Signal::Noise { volts: x, seed: 1 },
                        )),
                        _ => {
                            drop(control::configure_devices(&rig()));
                        }
                    }
                    DAQmxStopTask(task)
                }
            }
        };
        succeeded += u64::from(status == 0);
        assert_explained(status);
    }
    for handle in handles {
        // SAFETY: the handle came from DAQmxCreateTask or DAQmxLoadTask.
        assert_eq!(unsafe { DAQmxClearTask(handle) }, 0);
    }
    for ledger in control::ledgers() {
        assert_eq!(
            ledger.produced,
            ledger.delivered + ledger.overwritten + ledger.in_buffer
        );
    }
    assert!(
        succeeded > calls.made / 10,
        "{succeeded} of {} calls succeeded",
        calls.made
    );
    control::reset();
    std::fs::remove_dir_all(&directory).unwrap();
}
