use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a named thread that no signal interrupts and whose timers are as sharp as the system has
/// them.
pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(move || {
        prepare();
        run();
    })
}

#[cfg(all(target_os = "linux", not(daqring_portable)))]
fn prepare() {
    // SAFETY: the set is initialised by `sigfillset` before it is used, and both calls concern the
    // calling thread alone.
    unsafe {
        let mut signals = std::mem::zeroed();
        libc::sigfillset(&mut signals);
        libc::pthread_sigmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut());
        // The default lets a timer be 50 us late, as much as a read of the buffer takes.
        libc::prctl(libc::PR_SET_TIMERSLACK, 1usize, 0usize, 0usize, 0usize);
    }
}

#[cfg(any(not(target_os = "linux"), daqring_portable))]
fn prepare() {}
