//! The event count: sleep until something may have changed, and never miss it.

use std::collections::VecDeque;
use std::sync::atomic::compiler_fence;
use std::time::Instant;

use crate::barrier::Barrier;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, Padded, Parker, lock};

/// Where threads sleep until a ring may have changed.
///
/// The side that changes a ring calls [`notify_one`](Self::notify_one) after the
/// change; while nobody sleeps this is one load of an unshared cache line. The
/// side that waits does so through a [`Waiter`](crate::Waiter), which looks at
/// the ring once more after announcing itself, so no wake-up falls between.
///
/// One event count can serve several rings. Then every thread that waits on it
/// must look at all of these rings, because a notification wakes any one of them.
#[derive(Debug)]
pub struct EventCount {
    watched: Padded<Watched>,
    sleepers: Mutex<VecDeque<Arc<Sleeper>>>,
}

/// What every notifier reads. Seldom written, so that each core keeps its copy.
#[derive(Debug)]
struct Watched {
    /// Length of `sleepers`, plus `FENCED`. Written under the lock only.
    attention: AtomicUsize,
    barrier: Barrier,
}

/// In `attention`: look behind a fence, whether somebody sleeps or not. So the
/// notifier's fast path is one load and one branch for both kinds of barrier.
const FENCED: usize = 1 << (usize::BITS - 1);

#[derive(Debug)]
struct Sleeper {
    notified: AtomicBool,
    parker: Parker,
}

impl Default for EventCount {
    fn default() -> Self {
        Self::new()
    }
}

impl EventCount {
    /// With the barrier of [`Barrier::current_default`].
    pub fn new() -> Self {
        Self::with_barrier(Barrier::current_default())
    }

    /// With this barrier, or with [`Barrier::Fence`] where the system has no other.
    pub fn with_barrier(barrier: Barrier) -> Self {
        let event = Self {
            watched: Padded(Watched {
                attention: AtomicUsize::new(0),
                barrier: barrier.or_fence(),
            }),
            sleepers: Mutex::new(VecDeque::new()),
        };
        event.announce(0);
        event
    }

    /// The barrier in use.
    pub fn barrier(&self) -> Barrier {
        self.watched.barrier
    }

    /// Wakes one sleeper, if any. Call it after the change that it waits for.
    #[inline(always)]
    pub fn notify_one(&self) {
        self.notify(1);
    }

    /// Wakes up to `count` sleepers.
    #[inline(always)]
    pub fn notify(&self, count: usize) {
        // The processor may still load this before the caller's store to the
        // ring is visible: the sleeper's barrier, or the fence, forbids it.
        compiler_fence(Ordering::SeqCst);
        if self.watched.attention.load(Ordering::Relaxed) != 0 {
            self.look(count);
        }
    }

    /// Wakes every sleeper.
    #[inline(always)]
    pub fn notify_all(&self) {
        self.notify(usize::MAX);
    }

    #[cold]
    #[inline(never)]
    fn look(&self, count: usize) {
        self.watched.barrier.light();
        if self.watched.attention.load(Ordering::Relaxed) & !FENCED != 0 {
            self.wake(count);
        }
    }

    /// Under the lock: tells notifiers how many sleep now.
    fn announce(&self, sleeping: usize) {
        let fenced = match self.watched.barrier {
            Barrier::Asymmetric => 0,
            Barrier::Fence => FENCED,
        };
        self.watched
            .attention
            .store(sleeping | fenced, Ordering::Relaxed);
    }

    fn wake(&self, count: usize) {
        for _ in 0..count {
            let mut sleepers = lock(&self.sleepers);
            // A woken thread leaves the list here: it is woken once, however
            // many notifications arrive before it runs.
            let Some(sleeper) = sleepers.pop_front() else {
                return;
            };
            self.announce(sleepers.len());
            // Under the lock, so that a sleeper that leaves of its own accord
            // knows whether it has been chosen.
            sleeper.notified.store(true, Ordering::Release);
            drop(sleepers);
            sleeper.parker.unpark();
        }
    }

    /// Sleeps until `check` gives a value or the deadline has passed.
    pub(crate) fn sleep<R>(
        &self,
        deadline: Option<Instant>,
        mut check: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let sleeper = Sleeper::of_this_thread();
        loop {
            sleeper.notified.store(false, Ordering::Relaxed);
            {
                let mut sleepers = lock(&self.sleepers);
                sleepers.push_back(Arc::clone(&sleeper));
                self.announce(sleepers.len());
            }
            let ordered = self.watched.barrier.heavy();
            // From here on every change either was made before the barrier, and
            // this check sees it, or its author sees that we sleep.
            let registered = Registered {
                event: self,
                sleeper: &sleeper,
            };
            if let Some(value) = check() {
                drop(registered);
                return Some(value);
            }
            let notified = sleeper.park(deadline, ordered);
            if notified {
                // The notifier has taken us off the list already.
                std::mem::forget(registered);
            } else {
                // Late or unordered: leave, handing on a notification that
                // arrived in between, and look a last time.
                drop(registered);
            }
            if let Some(value) = check() {
                return Some(value);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return None;
            }
        }
    }
}

/// A thread's place in the list of sleepers. Leaving it passes a notification
/// that has already arrived on to the next, since nobody else would.
struct Registered<'a> {
    event: &'a EventCount,
    sleeper: &'a Arc<Sleeper>,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let mut sleepers = lock(&self.event.sleepers);
        let before = sleepers.len();
        sleepers.retain(|other| !Arc::ptr_eq(other, self.sleeper));
        let chosen = sleepers.len() == before;
        self.event.announce(sleepers.len());
        drop(sleepers);
        if chosen {
            self.event.wake(1);
        }
    }
}

/// The longest sleep when the system refused the barrier that it had promised.
#[cfg(not(loom))]
const UNORDERED_SLEEP: std::time::Duration = std::time::Duration::from_millis(1);

impl Sleeper {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            notified: AtomicBool::new(false),
            parker: Parker::of_this_thread(),
        })
    }

    /// One per thread is enough, since a thread sleeps in one place at a time.
    #[cfg(not(loom))]
    fn of_this_thread() -> Arc<Self> {
        thread_local! {
            static SLEEPER: Arc<Sleeper> = Sleeper::new();
        }
        // A thread that waits while it shuts down makes a new one.
        SLEEPER.try_with(Arc::clone).unwrap_or_else(|_| Self::new())
    }

    #[cfg(loom)]
    fn of_this_thread() -> Arc<Self> {
        Self::new()
    }

    /// Parks until notified (true) or until the deadline or a limit (false).
    #[cfg(not(loom))]
    fn park(&self, deadline: Option<Instant>, ordered: bool) -> bool {
        let limit = (!ordered).then(|| Instant::now() + UNORDERED_SLEEP);
        let until = match (deadline, limit) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        // park() may return for no reason, or for a reason of its caller's.
        while !self.notified.load(Ordering::Acquire) {
            match until {
                None => self.parker.park(),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return self.notified.load(Ordering::Acquire);
                    }
                    self.parker.park_timeout(left);
                }
            }
        }
        true
    }

    /// loom knows no time: a deadline never comes.
    #[cfg(loom)]
    fn park(&self, _deadline: Option<Instant>, _ordered: bool) -> bool {
        while !self.notified.load(Ordering::Acquire) {
            self.parker.park();
        }
        true
    }
}
