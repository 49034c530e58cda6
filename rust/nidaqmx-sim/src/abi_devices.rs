//! The exported functions of network devices and of calibration.

use std::ffi::c_char;

use crate::abi::{done, export, guarded};
use crate::attribute::{load_text, store_text};
use crate::driver::driver;
use crate::error::{Error, code};
use crate::network;

export! {
    /// Reserves a network device for this host.
    fn DAQmxReserveNetworkDevice(device: *const c_char, override_reservation: u32) {
        // There is no other host: there is never a reservation to override.
        let _ = override_reservation;
        done(network::reserve(&load_text(device)))
    }

    /// Gives a network device free.
    fn DAQmxUnreserveNetworkDevice(device: *const c_char) {
        done(network::unreserve(&load_text(device)))
    }

    /// Takes a network device off the list of devices.
    fn DAQmxDeleteNetworkDevice(device: *const c_char) {
        done(network::delete(&load_text(device)))
    }

    /// Puts a network device on the list of devices.
    fn DAQmxAddNetworkDevice(
        address: *const c_char,
        name: *const c_char,
        reserve: u32,
        timeout: f64,
        added: *mut c_char,
        size: u32,
    ) {
        let _ = timeout;
        let name = network::add(&load_text(address), &load_text(name), reserve != 0)?;
        store_text(&name, added, size)
    }

    /// Whether a device can be calibrated: the simulated ones can calibrate themselves.
    fn DAQmxDeviceSupportsCal(device: *const c_char, supported: *mut u32) {
        let device = driver().device(&load_text(device))?;
        if supported.is_null() {
            return Err(Error::new(code::NULL_POINTER));
        }
        supported.write_unaligned(u32::from(device.product.ai.is_some()));
        Ok(0)
    }

    /// Calibrates a device against its own reference; only the date of it changes.
    fn DAQmxSelfCal(device: *const c_char) {
        done(crate::rest::self_calibrate(&load_text(device)))
    }
}
