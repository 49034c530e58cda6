//! The exported functions that calibrate a task's channels.

use std::ffi::c_char;

use crate::abi::{Handle, done, export, guarded, with_task};
use crate::attribute::load_text;
use crate::nulling::{Calibration, perform};

export! {
    /// Takes what bridges give now as what they give without strain.
    fn DAQmxPerformBridgeOffsetNullingCalEx(task: Handle, channel: *const c_char, skip: u32) {
        let channel = load_text(channel);
        done(with_task(task, |task| {
            perform(task, &channel, skip != 0, Calibration::BridgeOffset)
        }))
    }

    /// Checks bridges with a shunt; the simulated ones need no correction.
    fn DAQmxPerformBridgeShuntCalEx(
        task: Handle,
        channel: *const c_char,
        resistance: f64,
        location: i32,
        select: i32,
        source: i32,
        bridge_resistance: f64,
        skip: u32,
    ) {
        let _ = (resistance, location, select, source, bridge_resistance);
        let channel = load_text(channel);
        done(with_task(task, |task| {
            perform(task, &channel, skip != 0, Calibration::BridgeShunt)
        }))
    }

    /// Checks strain gages with a shunt; the simulated ones need no correction.
    fn DAQmxPerformStrainShuntCalEx(
        task: Handle,
        channel: *const c_char,
        resistance: f64,
        location: i32,
        select: i32,
        source: i32,
        skip: u32,
    ) {
        let _ = (resistance, location, select, source);
        let channel = load_text(channel);
        done(with_task(task, |task| {
            perform(task, &channel, skip != 0, Calibration::StrainShunt)
        }))
    }

    /// Measures the offset of thermocouples' leads; the simulated ones have none.
    fn DAQmxPerformThrmcplLeadOffsetNullingCal(
        task: Handle,
        channel: *const c_char,
        skip: u32,
    ) {
        let channel = load_text(channel);
        done(with_task(task, |task| {
            perform(task, &channel, skip != 0, Calibration::ThermocoupleLeads)
        }))
    }
}
