//! Routes: which output an input or a terminal shows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use crate::channel::Channel;
use crate::device::{Device, LOOPBACK, Physical};
use crate::driver::{driver, lock};
use crate::output::attr;
use crate::product::category;
use crate::wave::Wave;
use crate::wire::{self, Wire};

/// Wires between physical channels, by the input in lower case.
fn connections() -> &'static Mutex<HashMap<String, String>> {
    static CONNECTIONS: OnceLock<Mutex<HashMap<String, String>>> = OnceLock::new();
    CONNECTIONS.get_or_init(Mutex::default)
}

fn key(name: &str) -> String {
    name.trim().trim_start_matches('/').to_ascii_lowercase()
}

/// Connects an input to an output, or (with none) to nothing.
pub(crate) fn connect(input: &str, output: Option<&str>) {
    let mut all = lock(connections());
    match output {
        Some(output) => all.insert(key(input), key(output)),
        None => all.remove(&key(input)),
    };
}

/// Takes every wire away.
pub(crate) fn forget() {
    lock(connections()).clear();
}

/// The wire that an analog input is at: inside of the device, or by a connection.
pub(crate) fn wire_of(device: &Device, physical: Physical) -> Option<Arc<Wire>> {
    let Physical::AnalogInput(index) = physical else {
        return None;
    };
    if let Some(output) = index.checked_sub(LOOPBACK) {
        return Some(wire::of(&device.full_name(Physical::AnalogOutput(output))));
    }
    let output = lock(connections())
        .get(&key(&device.full_name(physical)))
        .cloned()?;
    Some(wire::of(&output))
}

/// The wire of a line that is put out: at the line itself, and at the terminal that it also is.
pub(crate) fn line(device: &Device, (port, line): (u32, u32)) -> Arc<Wire> {
    let name = device.full_name(Physical::Line(port, line));
    let wire = wire::of(&name);
    if let Some(terminal) = terminal_of(device, port, line) {
        drive(&terminal, &wire);
    }
    drive(&name, &wire);
    wire
}

/// The PFI terminal that a line of the ports behind the first one is, on X Series devices.
pub(crate) fn terminal_of(device: &Device, port: u32, line: u32) -> Option<String> {
    if device.product.category != category::X_SERIES || port == 0 {
        return None;
    }
    let before: u32 = device
        .product
        .ports
        .get(1..port as usize)?
        .iter()
        .map(|port| port.width)
        .sum();
    Some(format!("/{}/PFI{}", device.name, before + line))
}

/// The wire of a counter's pulses: inside of the device, and at the terminal chosen for it.
pub(crate) fn counter(channel: &Channel) -> Option<Arc<Wire>> {
    let Physical::Counter(number) = channel.physical else {
        return None;
    };
    let inside = format!("/{}/Ctr{number}InternalOutput", channel.device.name);
    let wire = wire::of(&inside);
    drive(&inside, &wire);
    let terminal = channel.text(attr::CO_PULSE_TERM);
    if !terminal.is_empty() {
        drive(&terminal, &wire);
    }
    Some(wire)
}

/// Puts a wire on a terminal or a line, unless it is there.
fn drive(name: &str, wire: &Arc<Wire>) {
    let wave: Arc<dyn Wave> = Arc::clone(wire) as Arc<dyn Wave>;
    if !driver()
        .driven(name)
        .is_some_and(|known| Arc::ptr_eq(&known, &wave))
    {
        driver().drive(name, Some(wave));
        driver().changed_signals();
    }
}
