//! The exported functions of saved tasks, global channels and saved scales.

use std::ffi::{c_char, c_void};

use crate::abi::{Handle, done, export, guarded, with_task};
use crate::attribute::{load_text, store};
use crate::driver::driver;
use crate::error::{Error, code};
use crate::saved::{self, Sort};

export! {
    /// Saves a task.
    fn DAQmxSaveTask(task: Handle, save_as: *const c_char, author: *const c_char, options: u32) {
        let (save_as, author) = (load_text(save_as), load_text(author));
        done(with_task(task, |task| saved::save_task(task, &save_as, &author, options)))
    }

    /// Saves a channel of a task as a global channel.
    fn DAQmxSaveGlobalChan(
        task: Handle,
        channel: *const c_char,
        save_as: *const c_char,
        author: *const c_char,
        options: u32,
    ) {
        let (channel, save_as) = (load_text(channel), load_text(save_as));
        let author = load_text(author);
        done(with_task(task, |task| {
            saved::save_channel(task, &channel, &save_as, &author, options)
        }))
    }

    /// Saves a custom scale.
    fn DAQmxSaveScale(
        scale: *const c_char,
        save_as: *const c_char,
        author: *const c_char,
        options: u32,
    ) {
        let (scale, save_as) = (load_text(scale), load_text(save_as));
        done(saved::save_scale(&scale, &save_as, &load_text(author), options))
    }

    /// Makes a task like the saved one.
    fn DAQmxLoadTask(name: *const c_char, handle: *mut Handle) {
        if handle.is_null() {
            return Err(Error::new(code::NULL_POINTER));
        }
        let loaded = saved::load_task(&load_text(name))?;
        handle.write_unaligned(loaded as Handle);
        Ok(0)
    }

    /// Adds copies of global channels to a task.
    fn DAQmxAddGlobalChansToTask(task: Handle, channels: *const c_char) {
        let channels = load_text(channels);
        done(with_task(task, |task| saved::add_to_task(task, &channels)))
    }

    /// Deletes a saved task.
    fn DAQmxDeleteSavedTask(name: *const c_char) {
        done(driver().saved.delete(Sort::Task, &load_text(name)))
    }

    /// Deletes a global channel.
    fn DAQmxDeleteSavedGlobalChan(name: *const c_char) {
        done(driver().saved.delete(Sort::Channel, &load_text(name)))
    }

    /// Deletes a saved scale.
    fn DAQmxDeleteSavedScale(name: *const c_char) {
        done(driver().saved.delete(Sort::Scale, &load_text(name)))
    }

    /// An attribute of a saved task.
    fn DAQmxGetPersistedTaskAttribute(
        name: *const c_char,
        id: i32,
        value: *mut c_void,
        size: u32,
    ) {
        store(&driver().saved.get(Sort::Task, &load_text(name), id)?, value, size)
    }

    /// An attribute of a global channel.
    fn DAQmxGetPersistedChanAttribute(
        name: *const c_char,
        id: i32,
        value: *mut c_void,
        size: u32,
    ) {
        store(&driver().saved.get(Sort::Channel, &load_text(name), id)?, value, size)
    }

    /// An attribute of a saved scale.
    fn DAQmxGetPersistedScaleAttribute(
        name: *const c_char,
        id: i32,
        value: *mut c_void,
        size: u32,
    ) {
        store(&driver().saved.get(Sort::Scale, &load_text(name), id)?, value, size)
    }
}
