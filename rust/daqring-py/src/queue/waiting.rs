//! How a Python thread waits for a queue: detached from the interpreter, first spinning, then parked.
//!
//! Every waiting list obeys one rule, kept under the queue's lock: *while somebody waits and the list's
//! condition holds (an item is there, a place is free), at least one woken thread has not yet looked*.
//! A woken thread that looked passes the wake-up on if the condition still holds, so one outstanding
//! wake-up per list is enough, and a burst of puts pays for a single system call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Counts `fork()`s in this line of processes: lists filled before the last one name threads that are gone.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Counts the times a waiting thread has let go of the interpreter: a woken thread that spins takes the
/// next change as "the interpreter is free now" and so avoids the kernel when it attaches again.
static DETACHED: AtomicU64 = AtomicU64::new(0);

/// How many threads spin at this moment, in the whole process.
static SPINNING: AtomicUsize = AtomicUsize::new(0);

/// How long a woken thread waits for `DETACHED` to move before it asks for the interpreter regardless.
static PATIENCE_NS: AtomicU64 = AtomicU64::new(PATIENCE_MIN_NS);
const PATIENCE_MIN_NS: u64 = 500;
const PATIENCE_MAX_NS: u64 = 100_000;

/// A futex round trip costs about 43 us on the machines measured: spinning up to that costs at most twice
/// what parking at once would have cost.
const SPIN_MAX_NS: u64 = 47_000;
const SPIN_MIN_NS: u64 = 1_000;
const SPIN_WITHOUT_YIELD: Duration = Duration::from_micros(4);
const YIELD_THAT_NOBODY_TOOK: Duration = Duration::from_micros(10);
const PROBE_EVERY: u32 = 64;

/// How long the next thread that waits spins, and how many have.
static SPIN_BUDGET_NS: AtomicU64 = AtomicU64::new(SPIN_MAX_NS);
static WAITS: AtomicU32 = AtomicU32::new(0);

/// How often the main thread looks for signals while it is parked (only it runs Python's handlers).
pub(super) const SIGNAL_SLICE: Duration = Duration::from_millis(25);

/// One blocked thread.
pub(super) struct Waiter {
    woken: AtomicBool,
    thread: Thread,
}

thread_local! {
    // A thread blocks in one place at a time: it leaves its list before it runs a signal handler.
    static WAITER: Arc<Waiter> = Arc::new(Waiter { woken: AtomicBool::new(false), thread: std::thread::current() });
    static IS_MAIN: std::cell::Cell<Option<(u32, bool)>> = const { std::cell::Cell::new(None) };
}

/// A wake-up that is owed; paid with [`Wake::pay`] after the lock is released.
#[must_use]
pub(super) struct Wake(Option<Arc<Waiter>>);

impl Wake {
    pub(super) const NONE: Self = Self(None);

    /// Wakes the thread. Call it without holding the queue's lock.
    #[inline]
    pub(super) fn pay(self) {
        if let Some(waiter) = self.0 {
            waiter.wake();
        }
    }
}

impl Waiter {
    #[cold]
    fn wake(&self) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// The threads that wait for one condition of a queue.
#[derive(Default)]
pub(super) struct WaitList {
    waiting: VecDeque<Arc<Waiter>>,
    /// Threads taken off `waiting` that have not looked at the queue since.
    woken: usize,
    forks: u32,
}

impl WaitList {
    /// Called when the condition has come true: takes a thread off, unless one is already on its way.
    #[inline]
    pub(super) fn wake_one(&mut self) -> Wake {
        if self.waiting.is_empty() {
            return Wake::NONE;
        }
        self.take_one()
    }

    #[cold]
    fn take_one(&mut self) -> Wake {
        self.forget_other_processes();
        if self.woken > 0 {
            return Wake::NONE;
        }
        let Some(waiter) = self.waiting.pop_front() else {
            return Wake::NONE;
        };
        self.woken += 1;
        Wake(Some(waiter))
    }

    /// Takes everyone off: shutdown, or the end of `join`.
    pub(super) fn wake_all(&mut self) -> Vec<Wake> {
        self.forget_other_processes();
        let wakes: Vec<Wake> = self
            .waiting
            .drain(..)
            .map(|waiter| Wake(Some(waiter)))
            .collect();
        self.woken += wakes.len();
        wakes
    }

    /// Adds the calling thread.
    pub(super) fn enter(&mut self) -> Arc<Waiter> {
        self.forget_other_processes();
        let waiter = WAITER.with(Arc::clone);
        waiter.woken.store(false, Ordering::Relaxed);
        self.waiting.push_back(Arc::clone(&waiter));
        waiter
    }

    /// Removes the calling thread again, woken or not. The caller looks at the queue next, then calls
    /// [`WaitList::wake_one`] if the condition still holds.
    pub(super) fn leave(&mut self, waiter: &Arc<Waiter>) {
        self.forget_other_processes();
        if let Some(at) = self
            .waiting
            .iter()
            .position(|other| Arc::ptr_eq(other, waiter))
        {
            self.waiting.remove(at);
        } else {
            self.woken = self.woken.saturating_sub(1);
        }
    }

    fn forget_other_processes(&mut self) {
        let forks = FORKS.load(Ordering::Relaxed);
        if self.forks != forks {
            self.forks = forks;
            self.waiting.clear();
            self.woken = 0;
        }
    }
}

/// Waits, detached from the interpreter, until woken or until `deadline`, and at most until the next look
/// at the signals.
pub(super) fn wait(py: Python<'_>, waiter: &Waiter, deadline: Option<Instant>, main: bool) {
    let (asked, end) = py.detach(|| {
        DETACHED.fetch_add(1, Ordering::Release);
        let spun = spin(waiter);
        if !spun {
            park(waiter, deadline, main);
        }
        let patience = match spare_cores() {
            0 => Duration::ZERO,
            _ => Duration::from_nanos(PATIENCE_NS.load(Ordering::Relaxed)),
        };
        let seen = DETACHED.load(Ordering::Acquire);
        let start = Instant::now();
        let mut now = start;
        let mut end = PatienceEnd::Over;
        while now - start < patience {
            if DETACHED.load(Ordering::Acquire) != seen {
                end = PatienceEnd::Hinted;
                break;
            }
            if now - start > SPIN_WITHOUT_YIELD && !core_is_free() {
                end = PatienceEnd::CoreNeeded;
                break;
            }
            std::hint::spin_loop();
            now = Instant::now();
        }
        (now, end)
    });
    learn_patience(asked.elapsed(), end);
}

/// What ended the wait for the interpreter to become free.
enum PatienceEnd {
    Hinted,
    CoreNeeded,
    Over,
}

/// Adapts the patience: shorter where the interpreter had been free all along or somebody else needs the
/// core, perhaps the very thread that holds the interpreter; longer where it was held.
fn learn_patience(attaching: Duration, end: PatienceEnd) {
    let patience = PATIENCE_NS.load(Ordering::Relaxed);
    let next = match end {
        PatienceEnd::Hinted => return,
        PatienceEnd::CoreNeeded => patience / 4,
        PatienceEnd::Over if attaching < Duration::from_micros(2) => patience / 2,
        // Grows again slowly from where no core was free.
        PatienceEnd::Over => patience + patience / 4,
    };
    PATIENCE_NS.store(
        next.clamp(PATIENCE_MIN_NS, PATIENCE_MAX_NS),
        Ordering::Relaxed,
    );
}

/// Spins for a while if a core can be spared; true when woken meanwhile.
///
/// The budget is learned: where spinning was in vain (no core is free for the other side, or items come
/// rarely) it shrinks to next to nothing, and a full one is tried again now and then.
fn spin(waiter: &Waiter) -> bool {
    let waits = WAITS.fetch_add(1, Ordering::Relaxed);
    let learned = SPIN_BUDGET_NS.load(Ordering::Relaxed);
    let budget = if waits.is_multiple_of(PROBE_EVERY) {
        SPIN_MAX_NS
    } else {
        learned
    };
    if SPINNING.fetch_add(1, Ordering::Relaxed) >= spare_cores() {
        SPINNING.fetch_sub(1, Ordering::Relaxed);
        return waiter.woken.load(Ordering::Acquire);
    }
    let start = Instant::now();
    let (woken, spent) = loop {
        for _ in 0..8 {
            std::hint::spin_loop();
        }
        let spent = start.elapsed();
        if waiter.woken.load(Ordering::Acquire) {
            break (true, spent);
        }
        if spent > Duration::from_nanos(budget) {
            break (false, spent);
        }
        if spent > SPIN_WITHOUT_YIELD && !core_is_free() {
            break (waiter.woken.load(Ordering::Acquire), Duration::MAX);
        }
    };
    SPINNING.fetch_sub(1, Ordering::Relaxed);
    let spent = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
    let next = if woken && spent <= SPIN_MAX_NS {
        learned.max(3 * spent)
    } else {
        learned / 2
    };
    SPIN_BUDGET_NS.store(next.clamp(SPIN_MIN_NS, SPIN_MAX_NS), Ordering::Relaxed);
    woken
}

/// Offers the core to others; false if somebody took it, who needs it more than a thread that spins.
fn core_is_free() -> bool {
    let offered = Instant::now();
    std::thread::yield_now();
    offered.elapsed() < YIELD_THAT_NOBODY_TOOK
}

fn spare_cores() -> usize {
    static CORES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1))
}

fn park(waiter: &Waiter, deadline: Option<Instant>, main: bool) {
    let slice = main.then(|| Instant::now() + SIGNAL_SLICE);
    let until = match (deadline, slice) {
        (Some(deadline), Some(slice)) => Some(deadline.min(slice)),
        (one, other) => one.or(other),
    };
    while !waiter.woken.load(Ordering::Acquire) {
        match until {
            None => std::thread::park(),
            Some(until) => {
                let now = Instant::now();
                if now >= until {
                    return;
                }
                std::thread::park_timeout(until - now);
            }
        }
    }
}

/// Whether the calling thread is the one that runs Python's signal handlers.
pub(super) fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let forks = FORKS.load(Ordering::Relaxed);
    if let Some((at, main)) = IS_MAIN.get()
        && at == forks
    {
        return Ok(main);
    }
    static THREADING: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let threading = THREADING
        .get_or_try_init(py, || py.import("threading").map(Bound::unbind))?
        .bind(py);
    let main: u64 = threading
        .call_method0("main_thread")?
        .getattr("ident")?
        .extract()?;
    let own: u64 = threading.call_method0("get_ident")?.extract()?;
    IS_MAIN.set(Some((forks, main == own)));
    Ok(main == own)
}

/// How many `fork()`s lie between the first process and this one.
pub(super) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Told by Python in the child of a `fork()`.
#[pyfunction]
fn _forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    SPINNING.store(0, Ordering::Relaxed);
}

/// Asks Python to tell about forks, where there are any.
pub(super) fn watch_forks(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let os = module.py().import("os")?;
    if let Ok(register) = os.getattr("register_at_fork") {
        let options = pyo3::types::PyDict::new(module.py());
        options.set_item("after_in_child", wrap_pyfunction!(_forked, module)?)?;
        register.call((), Some(&options))?;
    }
    Ok(())
}
