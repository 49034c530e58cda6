//! How far the log is safe on the medium, and who makes it so.
//!
//! The writer counts what it has handed to the operating system; a sync, on whatever thread, moves the durable position
//! up to what was written before the sync began. A failed sync is final: after it nobody knows what the medium holds,
//! so the writer refuses to go on.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::storage::{Medium, SyncTarget};

/// How far a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Blocks, over all streams and files.
    pub blocks: u64,
    /// Bytes, over all files.
    pub bytes: u64,
}

/// What [`SyncHandle::wait`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncNeed {
    /// A sync is due: call [`SyncHandle::sync`].
    Due,
    /// Nothing to do yet.
    Idle,
    /// The log is finished or gone.
    Closed,
}

struct Target {
    target: Arc<dyn SyncTarget>,
    /// No more writes will come: after one more sync it can go.
    closing: bool,
}

#[derive(Default)]
struct State {
    targets: Vec<Target>,
    written: Position,
    durable: Position,
    due: bool,
    closed: bool,
    failure: Option<String>,
    /// Files that nobody needs after the next sync.
    removals: Vec<(Arc<dyn Medium>, PathBuf)>,
}

/// Shared between the writer and its sync handles.
#[derive(Default)]
pub(crate) struct Durable {
    state: Mutex<State>,
    changed: Condvar,
}

impl Durable {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a plain assignment: a panic elsewhere leaves nothing half-done here.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_target(&self, target: Arc<dyn SyncTarget>) {
        self.state().targets.push(Target {
            target,
            closing: false,
        });
    }

    /// A target that the next sync is to cover, and no later one.
    pub(crate) fn add_once(&self, target: Arc<dyn SyncTarget>) {
        self.state().targets.push(Target {
            target,
            closing: true,
        });
    }

    /// The targets there are get no more writes.
    pub(crate) fn close_targets(&self) {
        for target in &mut self.state().targets {
            target.closing = true;
        }
    }

    /// Removes a file after the next sync, which makes durable what stands in its place.
    pub(crate) fn remove_after_sync(&self, medium: Arc<dyn Medium>, path: PathBuf) {
        self.state().removals.push((medium, path));
    }

    pub(crate) fn advance(&self, written: Position) {
        self.state().written = written;
    }

    pub(crate) fn ask(&self) {
        self.state().due = true;
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    pub(crate) fn position(&self) -> Position {
        self.state().durable
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    pub(crate) fn sync(&self) -> io::Result<Position> {
        let (targets, goal, removals) = {
            let mut state = self.state();
            if let Some(failure) = &state.failure {
                return Err(io::Error::other(failure.clone()));
            }
            state.due = false;
            let targets: Vec<_> = state
                .targets
                .iter()
                .map(|entry| (Arc::clone(&entry.target), entry.closing))
                .collect();
            (targets, state.written, std::mem::take(&mut state.removals))
        };
        for (target, _) in &targets {
            if let Err(error) = target.sync() {
                self.state().failure = Some(format!("syncing the log failed: {error}"));
                return Err(error);
            }
        }
        for (medium, path) in removals {
            // A file that stays is a file too many, not a loss; recovery and readers know stale tails.
            let _ = medium.remove(&path);
        }
        let mut state = self.state();
        state.targets.retain(|entry| {
            !targets
                .iter()
                .any(|(target, closing)| *closing && Arc::ptr_eq(target, &entry.target))
        });
        if goal.bytes >= state.durable.bytes {
            state.durable = goal;
        }
        Ok(state.durable)
    }
}

/// Syncs the log from a thread that is not the writer's.
///
/// Once it was taken, the writer only says when a sync is due and leaves doing it to the handle's owner.
#[derive(Clone)]
pub struct SyncHandle(pub(crate) Arc<Durable>);

impl SyncHandle {
    /// Waits until a sync is due, at most `timeout`.
    pub fn wait(&self, timeout: Duration) -> SyncNeed {
        let state = self.0.state();
        let (state, _) = self
            .0
            .changed
            .wait_timeout_while(state, timeout, |state| !state.due && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        match (state.due, state.closed) {
            (_, true) => SyncNeed::Closed,
            (true, false) => SyncNeed::Due,
            (false, false) => SyncNeed::Idle,
        }
    }

    /// Makes durable what was written before this call and says how far that is.
    ///
    /// # Errors
    /// The medium's own error. The writer then fails at its next call.
    pub fn sync(&self) -> io::Result<Position> {
        self.0.sync()
    }

    /// How far the log is durable.
    pub fn durable(&self) -> Position {
        self.0.position()
    }
}
