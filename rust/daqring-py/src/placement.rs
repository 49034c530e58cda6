//! On which cores the threads of a recording run, and with what priority.

use std::sync::{Mutex, PoisonError};

use core_affinity::CoreId;
use daqring_engine::ThreadRole;
use pyo3::prelude::*;

/// Where the threads are to run; nothing said: where the system likes.
#[derive(FromPyObject, Default)]
#[pyo3(from_item_all)]
pub(crate) struct PlacementArgument {
    acquire: Vec<usize>,
    workers: Vec<usize>,
    writer: Vec<usize>,
    /// Whether readers and writer come before others.
    high: bool,
}

/// Places threads, each from inside of itself, and keeps what the system refused.
pub(crate) struct Placement {
    wanted: PlacementArgument,
    refusals: Mutex<Vec<String>>,
}

impl Placement {
    pub(crate) fn new(wanted: PlacementArgument) -> Self {
        Self {
            wanted,
            refusals: Mutex::default(),
        }
    }

    /// Places the calling thread, the reader of a stream.
    pub(crate) fn reader(&self, stream: usize) {
        let name = format!("daqring-acquire-{stream}");
        self.place(&name, &self.wanted.acquire, stream, self.wanted.high);
    }

    /// Places the calling thread of the engine.
    pub(crate) fn thread(&self, role: ThreadRole) {
        match role {
            // Stages may compute without end: above everybody else they could stop the machine.
            ThreadRole::Worker(number) => {
                let name = format!("daqring-worker-{number}");
                self.place(&name, &self.wanted.workers, number, false);
            }
            ThreadRole::Writer => {
                self.place("daqring-writer", &self.wanted.writer, 0, self.wanted.high);
            }
        }
    }

    pub(crate) fn refusals(&self) -> Vec<String> {
        let refusals = self.refusals.lock();
        refusals.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refused(&self, sentence: String) {
        let refusals = self.refusals.lock();
        refusals
            .unwrap_or_else(PoisonError::into_inner)
            .push(sentence);
    }

    /// Threads of a kind take its cores in turn.
    fn place(&self, name: &str, cores: &[usize], number: usize, high: bool) {
        if let Some(&core) = number
            .checked_rem(cores.len())
            .and_then(|turn| cores.get(turn))
            && !core_affinity::set_for_current(CoreId { id: core })
        {
            self.refused(format!(
                "the system did not pin the thread {name} to core {core}; it runs on any"
            ));
        }
        if high && let Err(error) = raise() {
            self.refused(format!(
                "the system did not raise the priority of the thread {name}; it runs with the normal one ({error})"
            ));
        }
    }
}

/// Lets the calling thread come before all that compute: real time of the lowest level, or else, where
/// that is refused, as nice as can be had.
#[cfg(unix)]
fn raise() -> Result<(), thread_priority::Error> {
    use thread_priority::{
        NormalThreadSchedulePolicy, RealtimeThreadSchedulePolicy, ThreadPriority,
        ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    };
    let real_time = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, real_time).or_else(
        |error| {
            let normal = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
            set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Max, normal)
                .map_err(|_| error)
        },
    )
}

#[cfg(not(unix))]
fn raise() -> Result<(), thread_priority::Error> {
    thread_priority::ThreadPriority::Max.set_for_current()
}

/// The cores that this process may use, by the system's numbers; empty where it does not tell.
#[pyfunction]
fn cores() -> Vec<usize> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    cores.into_iter().map(|core| core.id).collect()
}

/// Adds this part's function to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(cores, module)?)
}
