//! The exported functions of logging by the driver.

use std::ffi::c_char;

use crate::abi::{Handle, done, export, guarded, with_task};
use crate::attribute::load_text;

export! {
    /// Chooses whether and where the driver logs a task's samples.
    fn DAQmxConfigureLogging(
        task: Handle,
        path: *const c_char,
        mode: i32,
        group: *const c_char,
        operation: i32,
    ) {
        let (path, group) = (load_text(path), load_text(group));
        done(with_task(task, |task| task.configure_logging(&path, mode, &group, operation)))
    }

    /// Goes on with another file.
    fn DAQmxStartNewFile(task: Handle, path: *const c_char) {
        let path = load_text(path);
        done(with_task(task, |task| task.start_new_file(&path)))
    }
}
