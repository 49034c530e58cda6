//! The two halves of a store-load barrier, one of which can be free.

use crate::sync::{Ordering, fence};

/// How a notifier and a sleeper agree on who saw whom.
///
/// The notifier stores to the ring and then reads "does anyone sleep?"; the
/// sleeper writes "I sleep" and then reads the ring. Each needs a store-load
/// barrier in between, or both could read the old value and the wake-up is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barrier {
    /// The sleeper makes *every* thread of the process pass a barrier
    /// (`membarrier` on Linux, `FlushProcessWriteBuffers` on Windows), and the
    /// notifier pays nothing.
    Asymmetric,
    /// Both sides run a sequentially consistent fence. Works everywhere.
    Fence,
}

impl Barrier {
    /// What rings made from now on use: [`Barrier::Asymmetric`] where the system
    /// offers it, unless [`Barrier::set_default`] said otherwise.
    pub fn current_default() -> Self {
        #[cfg(not(loom))]
        if !FENCE_WANTED.load(std::sync::atomic::Ordering::Relaxed) && system::available() {
            return Self::Asymmetric;
        }
        #[cfg(loom)]
        if NO_FENCES.get() {
            return Self::Asymmetric;
        }
        Self::Fence
    }

    /// Chooses for the rings and event counts that are made from now on in this
    /// process. Asking for [`Barrier::Asymmetric`] where the system has none
    /// leaves [`Barrier::Fence`].
    pub fn set_default(self) {
        #[cfg(not(loom))]
        FENCE_WANTED.store(self == Self::Fence, std::sync::atomic::Ordering::Relaxed);
        #[cfg(loom)]
        NO_FENCES.set(self == Self::Asymmetric);
    }

    /// `self`, or [`Barrier::Fence`] where the system cannot do better.
    pub(crate) fn or_fence(self) -> Self {
        #[cfg(not(loom))]
        if self == Self::Asymmetric && system::available() {
            return Self::Asymmetric;
        }
        #[cfg(loom)]
        if self == Self::Asymmetric && NO_FENCES.get() {
            return Self::Asymmetric;
        }
        Self::Fence
    }

    /// The notifier's half. (Keeping the compiler from reordering is left to the
    /// caller, who does it once for both.)
    pub(crate) fn light(self) {
        match self {
            Self::Asymmetric => {}
            Self::Fence => fence(Ordering::SeqCst),
        }
    }

    /// The sleeper's half. False if the system refused, in which case nothing
    /// is ordered and the sleeper must not sleep without a limit.
    #[must_use]
    pub(crate) fn heavy(self) -> bool {
        match self {
            #[cfg(not(loom))]
            Self::Asymmetric => system::barrier(),
            #[cfg(loom)]
            Self::Asymmetric => unreachable!("a model without fences cannot wait"),
            Self::Fence => {
                fence(Ordering::SeqCst);
                true
            }
        }
    }
}

#[cfg(not(loom))]
static FENCE_WANTED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

// A model whose threads never sleep may run in the asymmetric form, whose notifiers have no fence that would
// hide a missing ordering. loom runs all threads of a model in the one that called it.
#[cfg(loom)]
std::thread_local! {
    static NO_FENCES: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[cfg(all(not(loom), target_os = "linux", not(daqring_portable)))]
mod system {
    use std::sync::OnceLock;

    const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;
    const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;

    fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: membarrier takes three integers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    pub(super) fn available() -> bool {
        static AVAILABLE: OnceLock<bool> = OnceLock::new();
        *AVAILABLE
            .get_or_init(|| membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED))
    }

    pub(super) fn barrier() -> bool {
        // A process that lost its registration registers again.
        membarrier(PRIVATE_EXPEDITED)
            || (membarrier(REGISTER_PRIVATE_EXPEDITED) && membarrier(PRIVATE_EXPEDITED))
    }
}

#[cfg(all(not(loom), windows, not(daqring_portable)))]
mod system {
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn FlushProcessWriteBuffers();
    }

    pub(super) fn available() -> bool {
        true
    }

    pub(super) fn barrier() -> bool {
        // SAFETY: the function takes nothing, returns nothing and cannot fail.
        unsafe { FlushProcessWriteBuffers() };
        true
    }
}

#[cfg(all(
    not(loom),
    any(daqring_portable, not(any(target_os = "linux", windows)))
))]
mod system {
    pub(super) fn available() -> bool {
        false
    }

    pub(super) fn barrier() -> bool {
        false
    }
}
