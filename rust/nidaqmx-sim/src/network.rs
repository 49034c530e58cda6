//! Network chassis: which of them this host has reserved, and which are known but not listed.

use std::sync::{Arc, Mutex};

use crate::device::Device;
use crate::driver::{driver, lock};
use crate::error::{Error, Result, code};

/// How a chassis is reached over the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) hostname: String,
    pub(crate) address: String,
}

/// What the driver remembers of network devices.
#[derive(Debug, Default)]
pub(crate) struct Reservations {
    /// Lower-case names of chassis that the program gave free.
    free: Vec<String>,
    /// Chassis (each followed by its modules) that were removed from the list of devices.
    removed: Vec<Vec<Arc<Device>>>,
}

/// Part of the driver's state; no other lock is taken while it is held.
#[derive(Debug, Default)]
pub(crate) struct NetworkState(Mutex<Reservations>);

impl NetworkState {
    pub(crate) fn forget(&self) {
        *lock(&self.0) = Reservations::default();
    }

    /// Whether tasks can use the device: its chassis is not one that is reached over the network,
    /// or it is reserved.
    pub(crate) fn check(&self, device: &Device) -> Result<()> {
        let chassis = device
            .chassis
            .as_ref()
            .map_or(&device.name, |(name, _)| name);
        if lock(&self.0).free.contains(&chassis.to_ascii_lowercase()) {
            return Err(Error::new(code::NETWORK_DEVICE_NOT_RESERVED).with("Device", chassis));
        }
        Ok(())
    }

    /// Notes that a chassis is not reserved, as a configuration may say.
    pub(crate) fn set_free(&self, chassis: &str) {
        lock(&self.0).free.push(chassis.to_ascii_lowercase());
    }
}

fn network_device(name: &str) -> Result<Arc<Device>> {
    let device = driver().device(name)?;
    if device.network.is_none() {
        return Err(Error::new(code::NOT_A_NETWORK_DEVICE).with("Device Specified", name));
    }
    Ok(device)
}

/// `DAQmxReserveNetworkDevice`.
pub(crate) fn reserve(name: &str) -> Result<()> {
    let name = network_device(name)?.name.to_ascii_lowercase();
    lock(&driver().network.0)
        .free
        .retain(|known| *known != name);
    Ok(())
}

/// `DAQmxUnreserveNetworkDevice`: what runs on the chassis is aborted.
pub(crate) fn unreserve(name: &str) -> Result<()> {
    let device = network_device(name)?;
    let folded = device.name.to_ascii_lowercase();
    let mut state = lock(&driver().network.0);
    if state.free.contains(&folded) {
        return Err(Error::new(code::NETWORK_DEVICE_NOT_RESERVED).with("Device", &device.name));
    }
    state.free.push(folded);
    drop(state);
    abort_on(&device);
    Ok(())
}

fn abort_on(device: &Device) {
    for task in driver().tasks() {
        let uses = std::iter::once(&device.name)
            .chain(&device.modules)
            .any(|name| task.uses(name));
        if uses {
            task.abort(code::RUNTIME_ABORTED_ROUTING);
        }
    }
}

/// `DAQmxDeleteNetworkDevice`: takes a chassis and its modules off the list of devices.
pub(crate) fn delete(name: &str) -> Result<()> {
    let device = network_device(name)?;
    abort_on(&device);
    let (gone, kept): (Vec<_>, Vec<_>) = driver()
        .devices()
        .into_iter()
        .partition(|one| one.name == device.name || device.modules.contains(&one.name));
    driver().set_devices(kept);
    lock(&driver().network.0).removed.push(gone);
    Ok(())
}

/// `DAQmxAddNetworkDevice`: puts a chassis that was removed back, by its address or its host name.
/// Gives the name that it has then.
pub(crate) fn add(address: &str, wanted: &str, reserve: bool) -> Result<String> {
    let address = address.trim();
    let here = |device: &Device| {
        device.network.as_ref().is_some_and(|network| {
            network.address == address || network.hostname.eq_ignore_ascii_case(address)
        })
    };
    let mut devices = driver().devices();
    if let Some(device) = devices.iter().find(|device| here(device)) {
        // It is on the list already: adding it again gives it back under its name.
        return Ok(device.name.clone());
    }
    let mut state = lock(&driver().network.0);
    let found = state
        .removed
        .iter()
        .position(|group| group.first().is_some_and(|chassis| here(chassis)));
    let Some(found) = found else {
        return Err(
            Error::new(code::NETWORK_TARGET_NOT_FOUND).with("IP Address or Hostname", address)
        );
    };
    let mut group = state.removed.remove(found);
    let old = group
        .first()
        .map(|one| one.name.clone())
        .unwrap_or_default();
    let name = if wanted.is_empty() {
        old.clone()
    } else {
        wanted.to_owned()
    };
    for device in &mut group {
        let device = Arc::make_mut(device);
        let renamed = |known: &str| match known.strip_prefix(old.as_str()) {
            Some(rest) => format!("{name}{rest}"),
            None => known.to_owned(),
        };
        device.name = renamed(&device.name);
        device.modules = device.modules.iter().map(|known| renamed(known)).collect();
        if let Some((chassis, _)) = &mut device.chassis {
            chassis.clone_from(&name);
        }
    }
    let folded = name.to_ascii_lowercase();
    state.free.retain(|known| *known != folded);
    if !reserve {
        state.free.push(folded);
    }
    drop(state);
    devices.extend(group);
    driver().set_devices(devices);
    Ok(name)
}
