//! Devices from a description: which product sits under which name, in which chassis and slot.

use std::sync::Arc;

use crate::control::ConfigError;
use crate::device::Device;
use crate::driver::{self, driver};
use crate::network::Network;
use crate::product::{self, category};

/// What is wanted of one device. What is not given is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceSpec {
    /// The name; empty for `Dev1`, `cDAQ1`, `cDAQ1Mod1` and so on.
    pub name: String,
    /// The product type.
    pub product: String,
    /// The serial number.
    pub serial: Option<u32>,
    /// The chassis of a module; otherwise the chassis that the name begins with, or the last one.
    pub chassis: Option<String>,
    /// The slot of a module or of a PXI board, from 1 on.
    pub slot: Option<u32>,
    /// The number of a PXI board's chassis.
    pub pxi_chassis: Option<u32>,
    /// The host name of a network chassis.
    pub hostname: Option<String>,
    /// The address of a network chassis.
    pub address: Option<String>,
    /// Whether this host has the network chassis reserved; it has, where nothing is said.
    pub reserved: Option<bool>,
    /// Whether the device says that it is simulated; it does, where nothing is said.
    pub simulated: Option<bool>,
}

fn refuse<T>(text: String) -> Result<T, ConfigError> {
    Err(ConfigError::new(text))
}

fn is_module(device: &Device) -> bool {
    matches!(
        device.product.category,
        category::C_SERIES_MODULE | category::TEST_SCALE_MODULE
    )
}

/// Replaces all devices. Tasks that exist are aborted.
///
/// # Errors
/// Where a product type is not known, a name cannot be used or comes twice, or a module has no
/// chassis and slot that it fits.
pub fn configure_devices(specs: &[DeviceSpec]) -> Result<(), ConfigError> {
    let mut made: Vec<Device> = Vec::new();
    let mut free = Vec::new();
    for (number, spec) in specs.iter().enumerate() {
        let Some(product) = product::find(&spec.product) else {
            return refuse(format!(
                "There is no product type {:?} to simulate; there are: {}.",
                spec.product,
                product::all()
                    .map(|one| one.name)
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
        };
        let given = spec.name.trim();
        let mut device = match driver::device(given, product.name) {
            Some(device) => device,
            None => continue,
        };
        if is_module(&device) {
            insert(&mut device, spec, &mut made)?;
        } else if spec.chassis.is_some() {
            return refuse(format!(
                "{} ({}) is no module, so that it cannot sit in chassis {:?}.",
                device.name,
                product.name,
                spec.chassis.as_deref().unwrap_or_default()
            ));
        }
        if given.is_empty() && !is_module(&device) {
            let chassis = made.iter().filter(|one| one.product.slots > 0).count() + 1;
            device.name = match product.category {
                category::COMPACT_DAQ_CHASSIS => format!("cDAQ{chassis}"),
                category::TEST_SCALE_CHASSIS => format!("TS{chassis}"),
                _ => format!("Dev{}", number + 1),
            };
        }
        if device.name.is_empty() || device.name.contains(['/', ',', ':']) {
            return refuse(format!(
                "{:?} cannot be the name of a device: use letters, digits and underscores.",
                spec.name
            ));
        }
        if let Some(known) = made
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(&device.name))
        {
            return refuse(format!(
                "Two devices are named {:?}: give each a name of its own.",
                known.name
            ));
        }
        if let Some(serial) = spec.serial {
            device.serial = serial;
        }
        device.pxi = (
            spec.pxi_chassis.unwrap_or(u32::MAX),
            match device.chassis {
                None => spec.slot.unwrap_or(u32::MAX),
                Some(_) => u32::MAX,
            },
        );
        device.simulated = spec.simulated.unwrap_or(true);
        network(&mut device, spec, &mut free)?;
        made.push(device);
    }
    crate::control::abort_all();
    let driver = driver();
    driver.network.forget();
    for name in free {
        driver.network.set_free(&name);
    }
    driver.set_devices(made.into_iter().map(Arc::new).collect());
    Ok(())
}

/// Puts a module into its chassis.
fn insert(device: &mut Device, spec: &DeviceSpec, made: &mut [Device]) -> Result<(), ConfigError> {
    let fits = match device.product.category {
        category::TEST_SCALE_MODULE => category::TEST_SCALE_CHASSIS,
        _ => category::COMPACT_DAQ_CHASSIS,
    };
    let product = device.product.name;
    let what = if device.name.is_empty() {
        product.to_owned()
    } else {
        format!("{} ({product})", device.name)
    };
    let folded = device.name.to_ascii_lowercase();
    // `cDAQ1Mod3` sits in slot 3 of cDAQ1.
    let slot_by_name = |chassis: &Device| {
        folded
            .strip_prefix(&chassis.name.to_ascii_lowercase())?
            .strip_prefix("mod")?
            .parse::<u32>()
            .ok()
    };
    let found = match &spec.chassis {
        Some(name) => made
            .iter()
            .position(|one| one.name.eq_ignore_ascii_case(name.trim())),
        None => made
            .iter()
            .position(|one| one.product.slots > 0 && slot_by_name(one).is_some())
            .or_else(|| made.iter().rposition(|one| one.product.category == fits)),
    };
    let Some(index) = found else {
        return refuse(match &spec.chassis {
            Some(name) => format!(
                "{what} sits in chassis {name:?}, which is not described: describe it before its \
                 modules."
            ),
            None => format!(
                "{what} is a module and needs a chassis: describe one before it, like \
                 cDAQ1 = cDAQ-9178."
            ),
        });
    };
    let chassis = &made[index];
    let full = format!("{} ({})", chassis.name, chassis.product.name);
    if chassis.product.category != fits {
        return refuse(format!("{what} does not fit into {full}."));
    }
    let holder = |slot: u32| {
        made.iter().find(|one| {
            one.chassis
                .as_ref()
                .is_some_and(|(name, known)| *name == chassis.name && *known == slot)
        })
    };
    let slots = chassis.product.slots;
    let slot = match spec.slot.or_else(|| slot_by_name(chassis)) {
        Some(slot) if !(1..=slots).contains(&slot) => {
            return refuse(format!(
                "{full} has slots 1 to {slots}: {what} cannot sit in slot {slot}."
            ));
        }
        Some(slot) => slot,
        None => match (1..=slots).find(|&slot| holder(slot).is_none()) {
            Some(slot) => slot,
            None => return refuse(format!("{what} finds no free slot in {full}.")),
        },
    };
    if let Some(other) = holder(slot) {
        return refuse(format!(
            "Slot {slot} of {full} holds {} already: {what} needs another slot.",
            other.name
        ));
    }
    if device.name.is_empty() {
        device.name = format!("{}Mod{slot}", chassis.name);
    }
    device.chassis = Some((chassis.name.clone(), slot));
    let name = device.name.clone();
    made[index].modules.push(name);
    Ok(())
}

/// What is said of a network chassis.
fn network(
    device: &mut Device,
    spec: &DeviceSpec,
    free: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let Some(network) = &mut device.network else {
        if spec.hostname.is_some() || spec.address.is_some() || spec.reserved.is_some() {
            return refuse(format!(
                "{} ({}) is no network device: it has no host name, address or reservation.",
                device.name, device.product.name
            ));
        }
        return Ok(());
    };
    *network = Network {
        hostname: spec
            .hostname
            .clone()
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| network.hostname.clone()),
        address: spec
            .address
            .clone()
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| network.address.clone()),
    };
    if spec.reserved == Some(false) {
        free.push(device.name.clone());
    }
    Ok(())
}

/// The devices as descriptions from which the same ones can be made.
#[must_use]
pub fn device_specs() -> Vec<DeviceSpec> {
    driver()
        .devices()
        .iter()
        .map(|device| DeviceSpec {
            name: device.name.clone(),
            product: device.product.name.to_owned(),
            serial: Some(device.serial),
            chassis: device.chassis.as_ref().map(|(name, _)| name.clone()),
            slot: match &device.chassis {
                Some((_, slot)) => Some(*slot),
                None => Some(device.pxi.1).filter(|&slot| slot != u32::MAX),
            },
            pxi_chassis: Some(device.pxi.0).filter(|&number| number != u32::MAX),
            hostname: device.network.as_ref().map(|one| one.hostname.clone()),
            address: device.network.as_ref().map(|one| one.address.clone()),
            reserved: device
                .network
                .as_ref()
                .map(|_| driver().network.check(device).is_ok()),
            simulated: (!device.simulated).then_some(false),
        })
        .collect()
}
