//! Events: callbacks of a program, called on a thread of their own while the task runs.
//!
//! The thread is never joined. Whoever stops or clears a task waits until a callback that is under
//! way has returned (unless it is that callback), so that its code and data may be freed afterwards.

use std::ffi::c_void;

/// Events of signals that are simulated: each sample clock, and each change that is detected.
pub(crate) const SIGNALS: [i32; 3] = [12487, 12530, CHANGE_DETECTED];

/// The event of a change that is detected.
pub(crate) const CHANGE_DETECTED: i32 = 12511;

/// A function of the program, with the pointer it wants to have back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Callback {
    pub(crate) function: usize,
    pub(crate) data: usize,
}

/// The callbacks of a task.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Events {
    /// After every so many samples.
    pub(crate) every: Option<(u32, Callback)>,
    pub(crate) done: Option<Callback>,
    pub(crate) signal: Option<(i32, Callback)>,
}

impl Events {
    pub(crate) fn any(&self) -> bool {
        self.every.is_some() || self.done.is_some() || self.signal.is_some()
    }
}

/// A call that is due.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Call {
    /// `kind` is 1 for samples acquired into the buffer, 2 for samples transferred from it.
    Every {
        callback: Callback,
        kind: i32,
        samples: u32,
    },
    Done {
        callback: Callback,
        status: i32,
    },
    Signal {
        callback: Callback,
        signal: i32,
    },
}

impl Call {
    /// Calls the program.
    pub(crate) fn make(self, handle: usize) {
        let handle = handle as *mut c_void;
        match self {
            Self::Every {
                callback,
                kind,
                samples,
            } => {
                // SAFETY: the program registered a function of this type and keeps it alive until it
                // has cleared the task, which waits for this call.
                unsafe {
                    let function: extern "C" fn(*mut c_void, i32, u32, *mut c_void) -> i32 =
                        std::mem::transmute(callback.function);
                    function(handle, kind, samples, callback.data as *mut c_void);
                }
            }
            Self::Done { callback, status } => {
                // SAFETY: as above.
                unsafe {
                    let function: extern "C" fn(*mut c_void, i32, *mut c_void) -> i32 =
                        std::mem::transmute(callback.function);
                    function(handle, status, callback.data as *mut c_void);
                }
            }
            Self::Signal { callback, signal } => {
                // SAFETY: as above.
                unsafe {
                    let function: extern "C" fn(*mut c_void, i32, *mut c_void) -> i32 =
                        std::mem::transmute(callback.function);
                    function(handle, signal, callback.data as *mut c_void);
                }
            }
        }
    }
}
