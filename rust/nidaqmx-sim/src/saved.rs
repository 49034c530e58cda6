//! Saved tasks, global channels and saved scales. They last as long as the process, or until they
//! are deleted or the simulator is reset.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::attribute::{self, Object, Value};
use crate::channel::{Channel, id};
use crate::driver::{driver, lock};
use crate::error::{Error, Result, code};
use crate::names;
use crate::scale::Scale;
use crate::task::{Settings, Task};

/// Bits of the options of a save.
mod option {
    pub(super) const OVERWRITE: u32 = 1;
    pub(super) const ALLOW_EDITING: u32 = 2;
    pub(super) const ALLOW_DELETION: u32 = 4;
}

/// What is saved, with its author and its options.
#[derive(Debug, Clone)]
struct Saved<T> {
    what: T,
    author: String,
    options: u32,
}

#[derive(Debug, Default)]
struct Store {
    tasks: BTreeMap<String, Saved<Settings>>,
    channels: BTreeMap<String, Saved<Channel>>,
    scales: BTreeMap<String, Saved<Scale>>,
}

/// Part of the driver's state; no other lock is taken while it is held.
#[derive(Debug, Default)]
pub(crate) struct SavedState(Mutex<Store>);

/// What a saved thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Task,
    Channel,
    Scale,
}

impl Sort {
    fn missing(self, name: &str) -> Error {
        match self {
            Self::Task => Error::new(code::TASK_NOT_SAVED).in_task(name),
            Self::Channel => Error::new(code::INVALID_GLOBAL_CHAN).with("Channel Name", name),
            Self::Scale => {
                Error::new(code::CUSTOM_SCALE_DOES_NOT_EXIST).with("Custom Scale Name", name)
            }
        }
    }

    fn object(self) -> Object {
        match self {
            Self::Task => Object::PersistedTask,
            Self::Channel => Object::PersistedChannel,
            Self::Scale => Object::PersistedScale,
        }
    }
}

impl Store {
    fn about(&self, sort: Sort, name: &str) -> Result<(String, u32)> {
        let found = match sort {
            Sort::Task => self.tasks.get(name).map(|one| (&one.author, one.options)),
            Sort::Channel => self
                .channels
                .get(name)
                .map(|one| (&one.author, one.options)),
            Sort::Scale => self.scales.get(name).map(|one| (&one.author, one.options)),
        };
        found
            .map(|(author, options)| (author.clone(), options))
            .ok_or_else(|| sort.missing(name))
    }
}

impl SavedState {
    pub(crate) fn forget(&self) {
        *lock(&self.0) = Store::default();
    }

    /// The names of what is saved, as one list.
    pub(crate) fn names(&self, sort: Sort) -> String {
        let store = lock(&self.0);
        let names: Vec<_> = match sort {
            Sort::Task => store.tasks.keys().collect(),
            Sort::Channel => store.channels.keys().collect(),
            Sort::Scale => store.scales.keys().collect(),
        };
        names::join(&names)
    }

    /// An attribute of a saved thing.
    pub(crate) fn get(&self, sort: Sort, name: &str, id: i32) -> Result<Value> {
        let row = attribute::readable(sort.object(), id)?;
        let (author, options) = lock(&self.0).about(sort, name)?;
        Ok(match row.id {
            0x22CC | 0x22D0 | 0x22D4 => Value::Str(author),
            0x22CD | 0x22D1 | 0x22D5 => Value::Bool(options & option::ALLOW_EDITING != 0),
            0x22CE | 0x22D2 | 0x22D6 => Value::Bool(options & option::ALLOW_DELETION != 0),
            _ => {
                return Err(
                    Error::new(code::ATTRIBUTE_NOT_SUPPORTED).with("Property", row.display())
                );
            }
        })
    }

    /// Deletes a saved thing. What was loaded from it stays.
    pub(crate) fn delete(&self, sort: Sort, name: &str) -> Result<()> {
        let mut store = lock(&self.0);
        let found = match sort {
            Sort::Task => store.tasks.remove(name).is_some(),
            Sort::Channel => store.channels.remove(name).is_some(),
            Sort::Scale => store.scales.remove(name).is_some(),
        };
        if found {
            Ok(())
        } else {
            Err(sort.missing(name))
        }
    }

    pub(crate) fn scale(&self, name: &str) -> Option<Scale> {
        lock(&self.0).scales.get(name).map(|one| one.what.clone())
    }
}

/// Options that are known; others are refused.
fn check_options(options: u32) -> Result<()> {
    let known = option::OVERWRITE | option::ALLOW_EDITING | option::ALLOW_DELETION;
    if options & !known == 0 {
        return Ok(());
    }
    Err(Error::new(code::INVALID_ATTRIBUTE_VALUE)
        .with("Parameter", "options")
        .with("Requested Value", options))
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains([',', ':', '/']) {
        return Err(Error::new(code::INVALID_ATTRIBUTE_VALUE)
            .with("Parameter", "saveAs")
            .with("Requested Value", format!("\"{name}\"")));
    }
    Ok(())
}

/// `DAQmxSaveTask`.
pub(crate) fn save_task(task: &Task, save_as: &str, author: &str, options: u32) -> Result<()> {
    check_options(options)?;
    let name = if save_as.is_empty() {
        &task.name
    } else {
        save_as
    };
    // A task that nobody named has brackets in its name.
    check_name(name)?;
    let what = task.settings()?;
    let mut store = lock(&driver().saved.0);
    if store.channels.contains_key(name) {
        return Err(Error::new(code::TASK_NAME_IS_CHANNEL).in_task(name));
    }
    if store.tasks.contains_key(name) && options & option::OVERWRITE == 0 {
        return Err(Error::new(code::CANT_SAVE_TASK).in_task(name));
    }
    store.tasks.insert(
        name.to_owned(),
        Saved {
            what,
            author: author.to_owned(),
            options,
        },
    );
    Ok(())
}

/// `DAQmxSaveGlobalChan`.
pub(crate) fn save_channel(
    task: &Task,
    channel: &str,
    save_as: &str,
    author: &str,
    options: u32,
) -> Result<()> {
    check_options(options)?;
    let mut what = task.channel(channel)?;
    // A name of a physical channel is none for a global one.
    let name = if save_as.is_empty() {
        what.name.clone()
    } else {
        save_as.to_owned()
    };
    check_name(&name)?;
    let mut store = lock(&driver().saved.0);
    if store.tasks.contains_key(&name) {
        return Err(Error::new(code::CHANNEL_NAME_IS_TASK).with("Channel Name", &name));
    }
    if store.channels.contains_key(&name) && options & option::OVERWRITE == 0 {
        return Err(Error::new(code::CANT_SAVE_CHANNEL).with("Channel Name", &name));
    }
    what.name.clone_from(&name);
    let what = what.with(id::CHAN_IS_GLOBAL, Value::Bool(true));
    store.channels.insert(
        name,
        Saved {
            what,
            author: author.to_owned(),
            options,
        },
    );
    Ok(())
}

/// `DAQmxSaveScale`.
pub(crate) fn save_scale(name: &str, save_as: &str, author: &str, options: u32) -> Result<()> {
    check_options(options)?;
    let mut what = driver().scale(name)?;
    let name = if save_as.is_empty() { name } else { save_as };
    check_name(name)?;
    let mut store = lock(&driver().saved.0);
    if store.scales.contains_key(name) && options & option::OVERWRITE == 0 {
        return Err(Error::new(code::DUPLICATE_SCALE).with("Custom Scale Name", name));
    }
    name.clone_into(&mut what.name);
    store.scales.insert(
        name.to_owned(),
        Saved {
            what,
            author: author.to_owned(),
            options,
        },
    );
    Ok(())
}

/// The same channel on the devices that there are now.
fn refreshed(channel: &Channel) -> Result<Channel> {
    let full = channel.device.full_name(channel.physical);
    let (device, physical) = driver().physical(&full)?;
    let mut fresh = channel.clone();
    fresh.device = device;
    fresh.physical = physical;
    fresh.partners = channel
        .partners
        .iter()
        .map(refreshed)
        .collect::<Result<_>>()?;
    Ok(fresh)
}

/// `DAQmxLoadTask`: a task of the saved one's name; gives its handle.
pub(crate) fn load_task(name: &str) -> Result<usize> {
    let found = lock(&driver().saved.0)
        .tasks
        .get(name)
        .map(|one| one.what.clone());
    let mut settings = found.ok_or_else(|| Sort::Task.missing(name))?;
    settings.channels = settings
        .channels
        .iter()
        .map(refreshed)
        .collect::<Result<_>>()
        .map_err(|error| error.in_task(name))?;
    let handle = driver().create_task(name)?;
    let task: Arc<Task> = driver().task(handle)?;
    task.apply(settings)?;
    Ok(handle)
}

/// `DAQmxAddGlobalChansToTask`.
pub(crate) fn add_to_task(task: &Task, list: &str) -> Result<()> {
    let store = lock(&driver().saved.0);
    let names = match store.channels.contains_key(list.trim()) {
        true => vec![list.trim().to_owned()],
        false => names::expand(list)?,
    };
    if names.is_empty() {
        return Err(Sort::Channel.missing(list));
    }
    let found = names
        .iter()
        .map(|name| {
            let known = store.channels.get(name);
            known
                .map(|one| one.what.clone())
                .ok_or_else(|| Sort::Channel.missing(name))
        })
        .collect::<Result<Vec<_>>>()?;
    drop(store);
    task.add_channels(found.iter().map(refreshed).collect::<Result<_>>()?)
}
