//! The exported functions of terminals, exported signals, power-up states and calibration info.

use std::ffi::{c_char, c_void};

use crate::abi::{Handle, done, export, given, guarded, offer, put, with_task};
use crate::attribute::{self, Object, Value, load_list, load_text, store};
use crate::error::{Error, Result, code};
use crate::{rest, terminal, watchdog};

/// Pairs of a name and a number or a place for one, until the first null.
///
/// The functions that take them are variadic in C, which Rust cannot define: every argument has a
/// register or eight bytes of the stack of its own in the conventions that are served here (not
/// Apple's on ARM), so that a function with many fixed arguments finds them.
///
/// # Safety
/// Names up to the first null are zero-terminated strings.
unsafe fn pairs(arguments: &[usize]) -> Vec<(String, usize)> {
    arguments
        .chunks_exact(2)
        .take_while(|pair| pair[0] != 0)
        // SAFETY: not null, and the caller promises a string.
        .map(|pair| (unsafe { load_text(pair[0] as *const c_char) }, pair[1]))
        .collect()
}

/// Writes a minute of the calendar.
///
/// # Safety
/// Each pointer is null or valid for a write.
unsafe fn put_minute(minute: rest::Minute, places: [*mut u32; 5]) -> Result<i32> {
    for (value, place) in minute.into_iter().zip(places) {
        // SAFETY: the caller's promise is passed on.
        unsafe { put(place, value)? };
    }
    Ok(0)
}

export! {
    /// Routes a terminal's signal to another one.
    fn DAQmxConnectTerms(source: *const c_char, destination: *const c_char, modifier: i32) {
        done(terminal::connect(&load_text(source), &load_text(destination), modifier))
    }

    /// Takes such a route away.
    fn DAQmxDisconnectTerms(source: *const c_char, destination: *const c_char) {
        done(terminal::disconnect(&load_text(source), &load_text(destination)))
    }

    /// Lets a terminal go.
    fn DAQmxTristateOutputTerm(output: *const c_char) {
        done(terminal::tristate(&load_text(output)))
    }

    /// Puts a signal of a task at terminals.
    fn DAQmxExportSignal(task: Handle, signal: i32, output: *const c_char) {
        let output = load_text(output);
        done(with_task(task, |task| task.set_exports(|exports| exports.export(signal, &output))))
    }

    /// An attribute of exported signals.
    fn DAQmxGetExportedSignalAttribute(task: Handle, id: i32, value: *mut c_void, size: u32) {
        store(&with_task(task, |task| task.get_export(id))?, value, size)
    }

    /// Sets an attribute of exported signals. The third argument is variadic in C.
    fn DAQmxSetExportedSignalAttribute(
        task: Handle,
        id: i32,
        integer: usize,
        count: u32,
        float: f64,
    ) {
        done(with_task(task, |task| {
            let row = attribute::writable(Object::ExportSignal, id)?;
            let value = given(row.kind, integer, count, float)?;
            task.set_exports(|exports| exports.set(id, &value))
        }))
    }

    /// Resets an attribute of exported signals.
    fn DAQmxResetExportedSignalAttribute(task: Handle, id: i32) {
        done(with_task(task, |task| task.set_exports(|exports| exports.reset(id))))
    }

    /// What lines are after power-up.
    fn DAQmxGetDigitalPowerUpStates(
        device: *const c_char, integer: usize, a1: usize, a2: usize, a3: usize, a4: usize,
        a5: usize, a6: usize, a7: usize, a8: usize, a9: usize, a10: usize, a11: usize,
        a12: usize, a13: usize, a14: usize, a15: usize, a16: usize, a17: usize, a18: usize,
        a19: usize, a20: usize, a21: usize, a22: usize, a23: usize, a24: usize, a25: usize,
        a26: usize, a27: usize, a28: usize, a29: usize, a30: usize, a31: usize, a32: usize,
        a33: usize, a34: usize, a35: usize, a36: usize, a37: usize, a38: usize, a39: usize,
        a40: usize, a41: usize, a42: usize, a43: usize, a44: usize, a45: usize, a46: usize,
        a47: usize, a48: usize, a49: usize, a50: usize, a51: usize, a52: usize, a53: usize,
        a54: usize, a55: usize, a56: usize, a57: usize, a58: usize, a59: usize, a60: usize,
        a61: usize, a62: usize, a63: usize, a64: usize, a65: usize, a66: usize, a67: usize,
        a68: usize, a69: usize, a70: usize, a71: usize, a72: usize, a73: usize, a74: usize,
        a75: usize, a76: usize, a77: usize, a78: usize, a79: usize, a80: usize, a81: usize,
        a82: usize, a83: usize, a84: usize, a85: usize, a86: usize, a87: usize, a88: usize,
        a89: usize, a90: usize, a91: usize, a92: usize, a93: usize, a94: usize, a95: usize,
        a96: usize, a97: usize, a98: usize, a99: usize, a100: usize, a101: usize, a102: usize,
        a103: usize, a104: usize, a105: usize, a106: usize, a107: usize, a108: usize,
        a109: usize, a110: usize, a111: usize, a112: usize, a113: usize, a114: usize,
        a115: usize, a116: usize, a117: usize, a118: usize, a119: usize, a120: usize,
        a121: usize, a122: usize, a123: usize, a124: usize, a125: usize, a126: usize,
        a127: usize,
    ) {
        let device = load_text(device);
        for (channel, place) in pairs(&[
            integer, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16,
            a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32,
            a33, a34, a35, a36, a37, a38, a39, a40, a41, a42, a43, a44, a45, a46, a47, a48,
            a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, a61, a62, a63, a64,
            a65, a66, a67, a68, a69, a70, a71, a72, a73, a74, a75, a76, a77, a78, a79, a80,
            a81, a82, a83, a84, a85, a86, a87, a88, a89, a90, a91, a92, a93, a94, a95, a96,
            a97, a98, a99, a100, a101, a102, a103, a104, a105, a106, a107, a108, a109, a110,
            a111, a112, a113, a114, a115, a116, a117, a118, a119, a120, a121, a122, a123, a124,
            a125, a126, a127,
        ]) {
            let state = rest::digital(&device, &channel)?;
            put(place as *mut i32, state)?;
        }
        Ok(0)
    }

    /// Chooses what lines are after power-up.
    fn DAQmxSetDigitalPowerUpStates(
        device: *const c_char, integer: usize, a1: usize, a2: usize, a3: usize, a4: usize,
        a5: usize, a6: usize, a7: usize, a8: usize, a9: usize, a10: usize, a11: usize,
        a12: usize, a13: usize, a14: usize, a15: usize, a16: usize, a17: usize, a18: usize,
        a19: usize, a20: usize, a21: usize, a22: usize, a23: usize, a24: usize, a25: usize,
        a26: usize, a27: usize, a28: usize, a29: usize, a30: usize, a31: usize, a32: usize,
        a33: usize, a34: usize, a35: usize, a36: usize, a37: usize, a38: usize, a39: usize,
        a40: usize, a41: usize, a42: usize, a43: usize, a44: usize, a45: usize, a46: usize,
        a47: usize, a48: usize, a49: usize, a50: usize, a51: usize, a52: usize, a53: usize,
        a54: usize, a55: usize, a56: usize, a57: usize, a58: usize, a59: usize, a60: usize,
        a61: usize, a62: usize, a63: usize, a64: usize, a65: usize, a66: usize, a67: usize,
        a68: usize, a69: usize, a70: usize, a71: usize, a72: usize, a73: usize, a74: usize,
        a75: usize, a76: usize, a77: usize, a78: usize, a79: usize, a80: usize, a81: usize,
        a82: usize, a83: usize, a84: usize, a85: usize, a86: usize, a87: usize, a88: usize,
        a89: usize, a90: usize, a91: usize, a92: usize, a93: usize, a94: usize, a95: usize,
        a96: usize, a97: usize, a98: usize, a99: usize, a100: usize, a101: usize, a102: usize,
        a103: usize, a104: usize, a105: usize, a106: usize, a107: usize, a108: usize,
        a109: usize, a110: usize, a111: usize, a112: usize, a113: usize, a114: usize,
        a115: usize, a116: usize, a117: usize, a118: usize, a119: usize, a120: usize,
        a121: usize, a122: usize, a123: usize, a124: usize, a125: usize, a126: usize,
        a127: usize,
    ) {
        let states: Vec<_> = pairs(&[
            integer, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16,
            a17, a18, a19, a20, a21, a22, a23, a24, a25, a26, a27, a28, a29, a30, a31, a32,
            a33, a34, a35, a36, a37, a38, a39, a40, a41, a42, a43, a44, a45, a46, a47, a48,
            a49, a50, a51, a52, a53, a54, a55, a56, a57, a58, a59, a60, a61, a62, a63, a64,
            a65, a66, a67, a68, a69, a70, a71, a72, a73, a74, a75, a76, a77, a78, a79, a80,
            a81, a82, a83, a84, a85, a86, a87, a88, a89, a90, a91, a92, a93, a94, a95, a96,
            a97, a98, a99, a100, a101, a102, a103, a104, a105, a106, a107, a108, a109, a110,
            a111, a112, a113, a114, a115, a116, a117, a118, a119, a120, a121, a122, a123, a124,
            a125, a126, a127,
        ])
        .into_iter()
        .map(|(channel, state)| (channel, state as u32 as i32))
        .collect();
        done(rest::set_digital(&load_text(device), &states))
    }

    /// What analog outputs are after power-up.
    fn DAQmxGetAnalogPowerUpStatesWithOutputType(
        channels: *const c_char,
        states: *mut f64,
        kinds: *mut i32,
        size: *mut u32,
    ) {
        let found = rest::analog(&load_text(channels))?;
        if size.is_null() || states.is_null() || kinds.is_null() {
            return Err(Error::new(code::NULL_POINTER));
        }
        if (size.read_unaligned() as usize) < found.len() {
            return Err(Error::new(code::WRITE_BUFFER_TOO_SMALL));
        }
        for (index, (state, kind)) in found.iter().enumerate() {
            states.add(index).write_unaligned(*state);
            kinds.add(index).write_unaligned(*kind);
        }
        offer(size, found.len() as u32);
        Ok(0)
    }

    /// Chooses what analog outputs are after power-up.
    fn DAQmxSetAnalogPowerUpStatesWithOutputType(
        channels: *const c_char,
        states: *const f64,
        kinds: *const i32,
        size: u32,
    ) {
        let states: Vec<f64> = load_list(states, size as usize)?;
        let kinds: Vec<i32> = load_list(kinds, size as usize)?;
        let states: Vec<_> = states.into_iter().zip(kinds).collect();
        done(rest::set_analog(&load_text(channels), &states))
    }

    /// The logic family of a device's lines.
    fn DAQmxGetDigitalLogicFamilyPowerUpState(device: *const c_char, family: *mut i32) {
        put(family, rest::family(&load_text(device))?)?;
        Ok(0)
    }

    /// Chooses the logic family of a device's lines.
    fn DAQmxSetDigitalLogicFamilyPowerUpState(device: *const c_char, family: i32) {
        done(rest::set_family(&load_text(device), family))
    }

    /// An attribute of calibration.
    fn DAQmxGetCalInfoAttribute(device: *const c_char, id: i32, value: *mut c_void, size: u32) {
        store(&rest::get(&load_text(device), id)?, value, size)
    }

    /// Sets an attribute of calibration. The third argument is variadic in C.
    fn DAQmxSetCalInfoAttribute(
        device: *const c_char,
        id: i32,
        integer: usize,
        count: u32,
        float: f64,
    ) {
        let row = attribute::writable(Object::CalibrationInfo, id)?;
        let value = given(row.kind, integer, count, float)?;
        done(rest::set_info(&load_text(device), id, &value))
    }

    /// When a device was calibrated outside of the computer.
    fn DAQmxGetExtCalLastDateAndTime(
        device: *const c_char,
        year: *mut u32,
        month: *mut u32,
        day: *mut u32,
        hour: *mut u32,
        minute: *mut u32,
    ) {
        let date = rest::external_date(&load_text(device))?;
        put_minute(date, [year, month, day, hour, minute])
    }

    /// When a device calibrated itself.
    fn DAQmxGetSelfCalLastDateAndTime(
        device: *const c_char,
        year: *mut u32,
        month: *mut u32,
        day: *mut u32,
        hour: *mut u32,
        minute: *mut u32,
    ) {
        let date = rest::self_date(&load_text(device))?;
        put_minute(date, [year, month, day, hour, minute])
    }

    /// Goes back to the external calibration.
    fn DAQmxRestoreLastExtCalConst(device: *const c_char) {
        done(rest::restore(&load_text(device)))
    }

    /// Creates a watchdog task.
    fn DAQmxCreateWatchdogTimerTaskEx(
        device: *const c_char,
        name: *const c_char,
        handle: *mut Handle,
        timeout: f64,
    ) {
        if handle.is_null() {
            return Err(Error::new(code::NULL_POINTER));
        }
        let created = watchdog::create(&load_text(device), &load_text(name), timeout)?;
        put(handle, created as Handle)?;
        Ok(0)
    }

    /// Resets the timer of a watchdog task, or clears its expiration.
    fn DAQmxControlWatchdogTask(task: Handle, action: i32) {
        done(with_task(task, |task| watchdog::control(task.handle, action)))
    }

    /// What lines are after the timer has expired.
    fn DAQmxCfgWatchdogDOExpirStates(
        task: Handle,
        channels: *const c_char,
        states: *const i32,
        size: u32,
    ) {
        let values: Vec<i32> = load_list(states, size as usize)?;
        let values: Vec<_> = values.into_iter().map(Value::I32).collect();
        let channels = load_text(channels);
        done(with_task(task, |task| watchdog::configure(task.handle, &channels, 0x21A7, &values)))
    }

    /// What analog outputs are after the timer has expired.
    fn DAQmxCfgWatchdogAOExpirStates(
        task: Handle,
        channels: *const c_char,
        states: *const f64,
        kinds: *const i32,
        size: u32,
    ) {
        let volts: Vec<f64> = load_list(states, size as usize)?;
        let volts: Vec<_> = volts.into_iter().map(Value::F64).collect();
        let kinds: Vec<i32> = load_list(kinds, size as usize)?;
        let kinds: Vec<_> = kinds.into_iter().map(Value::I32).collect();
        let channels = load_text(channels);
        done(with_task(task, |task| {
            watchdog::configure(task.handle, &channels, 0x305F, &volts)?;
            watchdog::configure(task.handle, &channels, 0x305E, &kinds)
        }))
    }

    /// An attribute of a watchdog task.
    fn DAQmxGetWatchdogAttribute(
        task: Handle,
        lines: *const c_char,
        id: i32,
        value: *mut c_void,
        size: u32,
    ) {
        let lines = load_text(lines);
        store(&with_task(task, |task| watchdog::get(task.handle, &lines, id))?, value, size)
    }

    /// Sets an attribute of a watchdog task. The fourth argument is variadic in C.
    fn DAQmxSetWatchdogAttribute(
        task: Handle,
        lines: *const c_char,
        id: i32,
        integer: usize,
        count: u32,
        float: f64,
    ) {
        let lines = load_text(lines);
        done(with_task(task, |task| {
            let row = attribute::writable(Object::Watchdog, id)?;
            let value = given(row.kind, integer, count, float)?;
            watchdog::set(task.handle, &lines, id, &value)
        }))
    }
}
