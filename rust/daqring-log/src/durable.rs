//! How far the log is safe on the medium, and who makes it so.
//!
//! The writer counts what it has handed to the operating system; a sync, on whatever thread, moves the durable position
//! up to what was written before the sync began. A failed sync is final: after it nobody knows what the medium holds,
//! so the writer refuses to go on.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::storage::{DirectIo, Medium, Storage, SyncTarget};

/// Each file that waits for its end holds two of the descriptors that a process may have, of which there are 1024 or
/// fewer on many systems.
const MOST_CLOSINGS: usize = 64;

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

/// A file to be made ahead of its time.
pub(crate) struct Request {
    pub(crate) medium: Arc<dyn Medium>,
    pub(crate) path: PathBuf,
    pub(crate) direct: DirectIo,
}

/// A file that was made ahead: empty, locked, under a name that no log has.
pub(crate) struct Prepared {
    medium: Arc<dyn Medium>,
    pub(crate) path: PathBuf,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) target: Arc<dyn SyncTarget>,
}

/// What completes a file that gets no more samples: its last segment, with the mark. It is written once everything
/// before it is durable.
pub(crate) struct Closing {
    pub(crate) path: PathBuf,
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) target: Arc<dyn SyncTarget>,
    pub(crate) offset: u64,
    pub(crate) header: Vec<u8>,
    pub(crate) data: Vec<u8>,
}

impl Closing {
    fn complete(mut self) -> io::Result<()> {
        let end = self.offset + (self.header.len() + self.data.len()) as u64;
        let written = self
            .storage
            .write(self.offset, &self.header, &self.data)
            .and_then(|()| self.storage.truncate(end));
        if written.is_err() {
            // A reader sees whole segments only; the first error is the one to tell.
            let _ = self.storage.truncate(self.offset);
        }
        written.and_then(|()| self.target.sync())
    }
}

impl Prepared {
    /// It is not needed any more.
    pub(crate) fn remove(self) {
        drop(self.storage);
        // An empty file that stays is in nobody's way.
        let _ = self.medium.remove(&self.path);
    }
}

#[derive(Default)]
struct State {
    targets: Vec<Target>,
    closings: Vec<Closing>,
    request: Option<Request>,
    prepared: Option<Prepared>,
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
    /// One sync at a time: what a call has taken over is done when the next one returns.
    syncing: Mutex<()>,
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
        let (prepared, closings) = {
            let mut state = self.state();
            state.closed = true;
            state.request = None;
            (state.prepared.take(), std::mem::take(&mut state.closings))
        };
        self.changed.notify_all();
        if let Some(prepared) = prepared {
            prepared.remove();
        }
        for closing in closings {
            // After a failure elsewhere: files before the present one are completed as far as that goes.
            if closing.target.sync().is_ok() {
                let _ = closing.complete();
            }
        }
    }

    /// Completes a file with the next sync. True where so many wait for that now that no more should.
    pub(crate) fn add_closing(&self, closing: Closing) -> bool {
        let mut state = self.state();
        state.closings.push(closing);
        state.closings.len() >= MOST_CLOSINGS
    }

    /// Asks whoever does the syncs to make a file ahead.
    pub(crate) fn ask_for(&self, request: Request) {
        self.state().request = Some(request);
        self.changed.notify_all();
    }

    /// The file that was made ahead, if it is ready.
    pub(crate) fn take_prepared(&self) -> Option<Prepared> {
        let mut state = self.state();
        state.request = None;
        state.prepared.take()
    }

    /// Makes the file that was asked for, if any.
    fn prepare(&self) {
        let request = {
            let mut state = self.state();
            // One is enough: it may have come too late for the seam that it was asked for.
            match (state.request.take(), &state.prepared) {
                (Some(request), None) => request,
                _ => return,
            }
        };
        let made = request
            .medium
            .create(&request.path, true, request.direct)
            .and_then(|storage| Ok((storage.sync_target()?, storage)));
        // Where it cannot be made now, the writer makes the file when it needs it, and tells what is wrong then.
        let Ok((target, storage)) = made else {
            return;
        };
        let prepared = Prepared {
            medium: request.medium,
            path: request.path,
            storage,
            target,
        };
        let mut state = self.state();
        if state.closed {
            drop(state);
            prepared.remove();
        } else {
            state.prepared = Some(prepared);
        }
    }

    pub(crate) fn position(&self) -> Position {
        self.state().durable
    }

    pub(crate) fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    pub(crate) fn sync(&self) -> io::Result<Position> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let (targets, goal, removals, closings) = {
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
            (
                targets,
                state.written,
                std::mem::take(&mut state.removals),
                std::mem::take(&mut state.closings),
            )
        };
        for (target, _) in &targets {
            if let Err(error) = target.sync() {
                self.state().failure = Some(format!("syncing the log failed: {error}"));
                return Err(error);
            }
        }
        for closing in closings {
            let path = closing.path.clone();
            if let Err(error) = closing.complete() {
                let what = format!("completing {} failed: {error}", path.display());
                self.state().failure = Some(what);
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

/// How far a log has come, for any thread to look at.
#[derive(Clone)]
pub struct Progress(pub(crate) Arc<Durable>);

impl Progress {
    /// What was handed to the operating system.
    pub fn written(&self) -> Position {
        self.0.state().written
    }

    /// What a crash of the machine cannot take away any more.
    pub fn durable(&self) -> Position {
        self.0.position()
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
            .wait_timeout_while(state, timeout, |state| {
                !state.due && state.request.is_none() && !state.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        match (state.due || state.request.is_some(), state.closed) {
            (_, true) => SyncNeed::Closed,
            (true, false) => SyncNeed::Due,
            (false, false) => SyncNeed::Idle,
        }
    }

    /// Makes durable what was written before this call and says how far that is. With rotation it also makes the next
    /// file, under the name `FILE.next`, so that the writer finds it ready.
    ///
    /// # Errors
    /// The medium's own error. The writer then fails at its next call.
    pub fn sync(&self) -> io::Result<Position> {
        let position = self.0.sync()?;
        self.0.prepare();
        Ok(position)
    }

    /// How far the log is durable.
    pub fn durable(&self) -> Position {
        self.0.position()
    }
}
