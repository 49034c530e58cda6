//! Every atomic, lock and thread operation of the crate comes from here, so
//! that loom can stand in for the standard library.

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    #[cfg(not(daqring_tsan))]
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread::yield_now;
    use std::time::Duration;

    #[cfg(daqring_tsan)]
    pub(crate) use super::seen_lock::{Mutex, MutexGuard};

    /// Where one thread, its maker, parks. It may wake for no reason.
    #[derive(Debug)]
    pub(crate) struct Parker(std::thread::Thread);

    impl Parker {
        pub(crate) fn of_this_thread() -> Self {
            Self(std::thread::current())
        }

        pub(crate) fn park(&self) {
            std::thread::park();
        }

        pub(crate) fn park_timeout(&self, limit: Duration) {
            std::thread::park_timeout(limit);
        }

        pub(crate) fn unpark(&self) {
            self.0.unpark();
        }
    }

    /// `std::cell::UnsafeCell` with loom's interface.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::hint::spin_loop;
    use loom::sync::Condvar;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
    pub(crate) use loom::thread::yield_now;

    /// loom's own `unpark` also wakes a thread that waits for a lock, which then
    /// believes to have it; so this is made of a lock and a condition.
    #[derive(Debug)]
    pub(crate) struct Parker {
        token: Mutex<bool>,
        given: Condvar,
    }

    impl Parker {
        pub(crate) fn of_this_thread() -> Self {
            Self {
                token: Mutex::new(false),
                given: Condvar::new(),
            }
        }

        pub(crate) fn park(&self) {
            let mut token = super::lock(&self.token);
            while !*token {
                token = self
                    .given
                    .wait(token)
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            *token = false;
        }

        pub(crate) fn unpark(&self) {
            *super::lock(&self.token) = true;
            self.given.notify_one();
        }
    }
}

/// A lock that ThreadSanitizer sees: the standard one passes from thread to
/// thread inside of the precompiled library, which is not instrumented.
#[cfg(daqring_tsan)]
mod seen_lock {
    use std::cell::UnsafeCell;
    use std::ops::{Deref, DerefMut};
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T> {
        locked: AtomicBool,
        value: UnsafeCell<T>,
    }

    // SAFETY: the value is only reached while `locked` is held.
    unsafe impl<T: Send> Sync for Mutex<T> {}

    pub(crate) struct MutexGuard<'a, T>(&'a Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self {
                locked: AtomicBool::new(false),
                value: UnsafeCell::new(value),
            }
        }

        pub(crate) fn lock(&self) -> std::sync::LockResult<MutexGuard<'_, T>> {
            while self.locked.swap(true, Ordering::Acquire) {
                std::thread::yield_now();
            }
            Ok(MutexGuard(self))
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            // SAFETY: the guard holds the lock.
            unsafe { &*self.0.value.get() }
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: the guard holds the lock.
            unsafe { &mut *self.0.value.get() }
        }
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            self.0.locked.store(false, Ordering::Release);
        }
    }
}

pub(crate) use imp::*;

/// Locks without minding a panic elsewhere: no critical section of this crate
/// leaves its data half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Keeps its content on cache lines of its own. 128 bytes, because today's
/// prefetchers fetch lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> std::ops::Deref for Padded<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}
