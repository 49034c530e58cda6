//! The driver's own state: devices, tasks, who holds which engine, the clock and the signals.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use crate::arrivals::Engine;
use crate::attribute::{self, Object, Value};
use crate::clock::{Clock, ClockMode};
use crate::device::{Device, Physical};
use crate::error::{Error, Result, code};
use crate::fault::Fault;
use crate::names;
use crate::product;
use crate::run::Ledger;
use crate::scale::Scale;
use crate::signal::Signal;
use crate::task::Task;
use crate::wave::Wave;

/// The version that the library reports.
pub(crate) const VERSION: (u32, u32, u32) = (25, 5, 0);

/// Ledgers of cleared tasks that are kept.
const ARCHIVE: usize = 10_000;

/// Which signal each channel has.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    default: Signal,
    by_name: HashMap<String, Signal>,
    /// Another number after every change.
    pub(crate) version: u64,
}

impl Signals {
    /// The signal of a channel: its own, or its device's, or the default.
    pub(crate) fn of(&self, device: &str, channel: &str) -> &Signal {
        self.by_name
            .get(&channel.to_ascii_lowercase())
            .or_else(|| self.by_name.get(&device.to_ascii_lowercase()))
            .unwrap_or(&self.default)
    }

    /// The digital signal that was chosen for exactly this terminal, line or counter.
    pub(crate) fn chosen(&self, name: &str) -> Option<Arc<dyn Wave>> {
        let name = name.trim_start_matches('/').to_ascii_lowercase();
        self.by_name.get(&name)?.wave()
    }
}

/// Everything that outlives a task.
#[derive(Debug)]
pub(crate) struct Driver {
    devices: RwLock<Vec<Arc<Device>>>,
    tasks: RwLock<BTreeMap<usize, Arc<Task>>>,
    reservations: Mutex<HashMap<String, usize>>,
    clock: RwLock<Arc<Clock>>,
    signals: RwLock<Arc<Signals>>,
    /// What the clocks of engines have done, for tasks that share them.
    engines: Mutex<HashMap<String, Engine>>,
    /// What tasks put on terminals and lines, in the clock's time.
    driven: RwLock<HashMap<String, Arc<dyn Wave>>>,
    scales: RwLock<BTreeMap<String, Scale>>,
    faults: Mutex<Vec<(String, Fault)>>,
    unplugged: Mutex<Vec<String>>,
    hold_triggers: AtomicBool,
    transfer: AtomicU64,
    archive: Mutex<Vec<Ledger>>,
    counters: Mutex<Counters>,
    last_channel: Mutex<String>,
    pub(crate) network: crate::network::NetworkState,
    pub(crate) saved: crate::saved::SavedState,
}

#[derive(Debug, Default)]
struct Counters {
    handles: usize,
    unnamed: u64,
}

/// Locks, whether or not a thread panicked while it held the lock: every private function leaves
/// the state usable between its statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// The one driver of the process.
pub(crate) fn driver() -> &'static Driver {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(|| Driver {
        devices: RwLock::new(default_devices()),
        tasks: RwLock::default(),
        reservations: Mutex::default(),
        clock: RwLock::new(Arc::new(Clock::new(ClockMode::Real { speed: 1.0 }))),
        signals: RwLock::new(Arc::new(Signals {
            default: Signal::Sine,
            by_name: HashMap::new(),
            version: 0,
        })),
        engines: Mutex::default(),
        driven: RwLock::default(),
        scales: RwLock::default(),
        faults: Mutex::default(),
        unplugged: Mutex::default(),
        hold_triggers: AtomicBool::new(false),
        transfer: AtomicU64::new(1),
        archive: Mutex::default(),
        counters: Mutex::default(),
        last_channel: Mutex::default(),
        network: crate::network::NetworkState::default(),
        saved: crate::saved::SavedState::default(),
    })
}

/// The devices that there are where nobody configured any.
pub(crate) fn default_devices() -> Vec<Arc<Device>> {
    [
        ("Dev1", "PCIe-6363"),
        ("Dev2", "PXIe-6396"),
        ("Dev3", "USB-6003"),
    ]
    .into_iter()
    .filter_map(|(name, product)| device(name, product))
    .map(Arc::new)
    .collect()
}

/// A device of a product type; `None` where the type is not known.
pub(crate) fn device(name: &str, product: &str) -> Option<Device> {
    let product = product::find(product)?;
    // A serial number that looks like one and stays the same for the same name.
    let serial = name.bytes().fold(0x0123_4567u32, |sum, byte| {
        sum.rotate_left(5) ^ u32::from(byte).wrapping_mul(0x9E37_79B1)
    });
    Some(Device {
        name: name.to_owned(),
        product,
        serial: serial & 0x01FF_FFFF,
        chassis: None,
        modules: Vec::new(),
        network: (product.bus == product::bus::TCPIP).then(|| crate::network::Network {
            hostname: format!(
                "{}-{:08X}",
                product.name.replace("-", ""),
                serial & 0x01FF_FFFF
            ),
            address: "0.0.0.0".to_owned(),
        }),
        pxi: (u32::MAX, u32::MAX),
        simulated: true,
    })
}

impl Driver {
    // ---- devices ----

    pub(crate) fn devices(&self) -> Vec<Arc<Device>> {
        read(&self.devices).clone()
    }

    pub(crate) fn set_devices(&self, devices: Vec<Arc<Device>>) {
        *write(&self.devices) = devices;
    }

    pub(crate) fn device(&self, name: &str) -> Result<Arc<Device>> {
        let bare = name.trim().trim_start_matches('/');
        read(&self.devices)
            .iter()
            .find(|device| device.name.eq_ignore_ascii_case(bare))
            .cloned()
            .ok_or_else(|| Error::new(code::INVALID_DEVICE_ID).with("Device Specified", name))
    }

    /// The device and channel of a physical name like `Dev1/ai0`.
    pub(crate) fn physical(&self, name: &str) -> Result<(Arc<Device>, Physical)> {
        let name = name.trim().trim_start_matches('/');
        let (device, channel) = name.split_once('/').unwrap_or((name, ""));
        let device = self.device(device)?;
        let physical = device.physical(channel).ok_or_else(|| {
            Error::new(code::PHYSICAL_CHAN_DOES_NOT_EXIST)
                .with("Device Specified", &device.name)
                .with("Physical Channel", name)
        })?;
        Ok((device, physical))
    }

    /// Whether a device has a terminal of this name, like `/Dev1/PFI0`.
    pub(crate) fn has_terminal(&self, name: &str) -> bool {
        let bare = name.trim().trim_start_matches('/');
        bare.split_once('/')
            .and_then(|(device, _)| self.device(device).ok())
            .is_some_and(|device| device.has_terminal(bare))
    }

    /// The value of a system attribute.
    pub(crate) fn get_system(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::System, id)?;
        Ok(match row.id {
            0x1272 => Value::U32(VERSION.0),
            0x1923 => Value::U32(VERSION.1),
            0x2F22 => Value::U32(VERSION.2),
            0x193B => {
                let devices = read(&self.devices);
                let names: Vec<_> = devices.iter().map(|device| device.name.as_str()).collect();
                Value::Str(names::join(&names))
            }
            0x1265 => Value::Str(self.saved.names(crate::saved::Sort::Channel)),
            0x1266 => Value::Str(self.saved.names(crate::saved::Sort::Scale)),
            0x1267 => Value::Str(self.saved.names(crate::saved::Sort::Task)),
            _ => {
                return Err(
                    Error::new(code::ATTRIBUTE_NOT_SUPPORTED).with("Property", row.display())
                );
            }
        })
    }

    // ---- tasks ----

    pub(crate) fn create_task(&self, name: &str) -> Result<usize> {
        let mut tasks = write(&self.tasks);
        let mut counters = lock(&self.counters);
        let name = if name.is_empty() {
            let name = format!("_unnamedTask<{}>", counters.unnamed);
            counters.unnamed += 1;
            name
        } else {
            name.to_owned()
        };
        if tasks.values().any(|task| task.name == name) {
            return Err(Error::new(code::DUPLICATE_TASK).in_task(&name));
        }
        counters.handles += 1;
        // Never reused, never null, and nothing that could be taken for an address of memory.
        let handle = 0x4E49_0000 + counters.handles * 16;
        tasks.insert(handle, Arc::new(Task::new(handle, name)));
        Ok(handle)
    }

    pub(crate) fn task(&self, handle: usize) -> Result<Arc<Task>> {
        crate::watchdog::poll();
        read(&self.tasks)
            .get(&handle)
            .cloned()
            .ok_or_else(|| Error::new(code::INVALID_TASK))
    }

    pub(crate) fn tasks(&self) -> Vec<Arc<Task>> {
        read(&self.tasks).values().cloned().collect()
    }

    pub(crate) fn clear_task(&self, handle: usize) -> Result<()> {
        let task = write(&self.tasks)
            .remove(&handle)
            .ok_or_else(|| Error::new(code::INVALID_TASK))?;
        task.clear();
        crate::terminal::withdraw(handle);
        crate::watchdog::forget(handle);
        Ok(())
    }

    // ---- engines ----

    /// Takes all the engines for a task, or none.
    pub(crate) fn reserve(&self, resources: &[String], handle: usize) -> Result<()> {
        let mut reservations = lock(&self.reservations);
        // `name?n` is any one of n engines that are alike: the first one that is free.
        let resources: Vec<String> = resources
            .iter()
            .map(|resource| {
                let Some((name, count)) = resource.split_once('?') else {
                    return resource.clone();
                };
                let count: u32 = count.parse().unwrap_or(1);
                let mine = |engine: &String| {
                    reservations
                        .get(engine)
                        .is_none_or(|&holder| holder == handle)
                };
                let engines = || (0..count).map(|number| format!("{name}{number}"));
                let held = engines().find(|engine| reservations.get(engine) == Some(&handle));
                held.or_else(|| engines().find(mine))
                    .unwrap_or_else(|| format!("{name}0"))
            })
            .collect();
        for resource in &resources {
            if reservations
                .get(resource)
                .is_some_and(|&holder| holder != handle)
            {
                let device = resource.split('/').next().unwrap_or(resource);
                return Err(Error::new(code::PAL_RESOURCE_RESERVED).with("Device", device));
            }
        }
        for resource in resources {
            reservations.insert(resource, handle);
        }
        Ok(())
    }

    pub(crate) fn release(&self, handle: usize) {
        lock(&self.reservations).retain(|_, holder| *holder != handle);
        crate::terminal::release(handle);
    }

    // ---- clock and signals ----

    pub(crate) fn clock(&self) -> Arc<Clock> {
        Arc::clone(&read(&self.clock))
    }

    pub(crate) fn set_clock(&self, mode: ClockMode) {
        let mut clock = write(&self.clock);
        let old = clock.now();
        for engine in lock(&self.engines).values_mut() {
            engine.keep(old);
        }
        *clock = Arc::new(Clock::new(mode));
    }

    pub(crate) fn signals(&self) -> Arc<Signals> {
        Arc::clone(&read(&self.signals))
    }

    pub(crate) fn set_signal(&self, name: Option<&str>, signal: Signal) {
        let mut shared = write(&self.signals);
        let mut signals = Signals::clone(&shared);
        signals.version += 1;
        match name {
            Some(name) => {
                signals.by_name.insert(
                    name.trim().trim_start_matches('/').to_ascii_lowercase(),
                    signal,
                );
            }
            None => signals.default = signal,
        }
        *shared = Arc::new(signals);
    }

    /// A task puts a signal on a terminal (`/Dev1/PFI12`) or a line (`Dev1/port0/line3`), until
    /// another one does, or `None` takes it away. Its times are those of the clock.
    pub(crate) fn drive(&self, terminal: &str, wave: Option<Arc<dyn Wave>>) {
        let terminal = terminal.trim_start_matches('/').to_ascii_lowercase();
        let mut driven = write(&self.driven);
        match wave {
            Some(wave) => driven.insert(terminal, wave),
            None => driven.remove(&terminal),
        };
    }

    /// Does something with what an engine's clock (`dev1/ai`) has done.
    pub(crate) fn engine<T>(&self, name: &str, act: impl FnOnce(&mut Engine) -> T) -> T {
        act(lock(&self.engines).entry(name.to_owned()).or_default())
    }

    /// Takes away what tasks put on the terminals and lines of a device.
    pub(crate) fn undrive(&self, device: &str) {
        let prefix = format!("{}/", device.to_ascii_lowercase());
        write(&self.driven).retain(|name, _| !name.starts_with(&prefix));
    }

    /// What a task puts on a terminal or a line.
    pub(crate) fn driven(&self, terminal: &str) -> Option<Arc<dyn Wave>> {
        let terminal = terminal.trim_start_matches('/').to_ascii_lowercase();
        read(&self.driven).get(&terminal).cloned()
    }

    /// What inputs see was changed elsewhere: tasks that were verified are verified again.
    pub(crate) fn changed_signals(&self) {
        let mut shared = write(&self.signals);
        let mut signals = Signals::clone(&shared);
        signals.version += 1;
        *shared = Arc::new(signals);
    }

    pub(crate) fn reset_signals(&self) {
        write(&self.driven).clear();
        lock(&self.engines).clear();
        let mut shared = write(&self.signals);
        let version = shared.version + 1;
        *shared = Arc::new(Signals {
            default: Signal::Sine,
            by_name: HashMap::new(),
            version,
        });
    }

    // ---- faults and triggers ----

    pub(crate) fn add_fault(&self, device: &str, fault: Fault) {
        lock(&self.faults).push((device.to_ascii_lowercase(), fault));
    }

    /// The faults that wait for these devices; each happens once.
    pub(crate) fn take_faults(&self, devices: &[Arc<Device>]) -> Vec<Fault> {
        let mut taken = Vec::new();
        lock(&self.faults).retain(|(device, fault)| {
            let mine = devices
                .iter()
                .any(|one| one.name.eq_ignore_ascii_case(device));
            if mine {
                taken.push(fault.clone());
            }
            !mine
        });
        taken
    }

    pub(crate) fn set_plugged(&self, device: &str, plugged: bool) {
        let mut unplugged = lock(&self.unplugged);
        unplugged.retain(|known| !known.eq_ignore_ascii_case(device));
        if !plugged {
            unplugged.push(device.to_owned());
        }
    }

    pub(crate) fn is_unplugged(&self, device: &str) -> bool {
        lock(&self.unplugged)
            .iter()
            .any(|known| known.eq_ignore_ascii_case(device))
    }

    /// Whether the device can be used: it is plugged in, and its network chassis is reserved.
    pub(crate) fn check_present(&self, device: &Device) -> Result<()> {
        if self.is_unplugged(&device.name) || self.is_unplugged(device.clock_owner()) {
            return Err(Error::new(code::DEV_CANNOT_BE_ACCESSED).with("Device", &device.name));
        }
        self.network.check(device)
    }

    pub(crate) fn forget_faults(&self) {
        lock(&self.faults).clear();
        lock(&self.unplugged).clear();
        self.hold_triggers(false);
    }

    pub(crate) fn hold_triggers(&self, hold: bool) {
        // Relaxed: a flag of its own, set before the tasks that it concerns start.
        self.hold_triggers.store(hold, Ordering::Relaxed);
    }

    pub(crate) fn set_transfer(&self, samples: u64) {
        // Relaxed: a number of its own, set before the tasks that it concerns start.
        self.transfer.store(samples, Ordering::Relaxed);
    }

    pub(crate) fn transfer(&self) -> u64 {
        self.transfer.load(Ordering::Relaxed)
    }

    pub(crate) fn triggers_held(&self) -> bool {
        self.hold_triggers.load(Ordering::Relaxed)
    }

    // ---- custom scales ----

    pub(crate) fn scale(&self, name: &str) -> Result<Scale> {
        let known = read(&self.scales).get(name).cloned();
        known.or_else(|| self.saved.scale(name)).ok_or_else(|| {
            Error::new(code::CUSTOM_SCALE_DOES_NOT_EXIST).with("Custom Scale Name", name)
        })
    }

    /// Creates a scale, or replaces the one of the same name.
    pub(crate) fn add_scale(&self, scale: Scale) {
        write(&self.scales).insert(scale.name.clone(), scale);
    }

    pub(crate) fn set_scale(&self, name: &str, id: i32, value: Value) -> Result<()> {
        let mut scale = self.scale(name)?;
        scale.set(id, value)?;
        self.add_scale(scale);
        Ok(())
    }

    pub(crate) fn forget_scales(&self) {
        write(&self.scales).clear();
    }

    // ---- accounts ----

    pub(crate) fn archive(&self, ledger: Ledger) {
        let mut archive = lock(&self.archive);
        if archive.len() >= ARCHIVE {
            archive.drain(..ARCHIVE / 2);
        }
        archive.push(ledger);
    }

    pub(crate) fn archived(&self) -> Vec<Ledger> {
        lock(&self.archive).clone()
    }

    pub(crate) fn forget_archive(&self) {
        lock(&self.archive).clear();
    }

    pub(crate) fn set_last_channel(&self, name: &str) {
        name.clone_into(&mut lock(&self.last_channel));
    }

    pub(crate) fn last_channel(&self) -> String {
        lock(&self.last_channel).clone()
    }
}
