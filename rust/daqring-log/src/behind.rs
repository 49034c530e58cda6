//! Writing one segment while the next one is gathered.
//!
//! The storage is lent to a thread together with the segment and comes back when the segment is written: nothing else
//! can touch the file meanwhile, and there is never more than one segment on its way.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;

use crate::storage::{AlignedBuffer, Storage};

/// A whole segment and where it goes.
pub(crate) struct Job {
    pub(crate) storage: Box<dyn Storage>,
    pub(crate) offset: u64,
    pub(crate) header: Vec<u8>,
    pub(crate) data: AlignedBuffer,
    /// Bytes of `data` that belong to the segment.
    pub(crate) length: usize,
}

/// What comes back: everything that was lent.
pub(crate) struct Done {
    pub(crate) job: Job,
    pub(crate) result: io::Result<()>,
}

/// The thread, and whether it has something to do.
pub(crate) struct Behind {
    /// `None` only while it is being dropped.
    jobs: Option<SyncSender<Job>>,
    done: Receiver<Done>,
    thread: Option<JoinHandle<()>>,
}

impl Behind {
    pub(crate) fn start() -> io::Result<Behind> {
        let (jobs, lent) = sync_channel::<Job>(1);
        let (back, done) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("daqring-store".to_owned())
            .spawn(move || {
                for mut job in lent {
                    let data = &job.data.bytes()[..job.length];
                    let result = job.storage.write(job.offset, &job.header, data);
                    if back.send(Done { job, result }).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Behind {
            jobs: Some(jobs),
            done,
            thread: Some(thread),
        })
    }

    /// Lends a segment. The one before must have come back.
    pub(crate) fn lend(&self, job: Job) -> Result<(), Job> {
        match &self.jobs {
            Some(jobs) => jobs.send(job).map_err(|error| error.0),
            None => Err(job),
        }
    }

    /// What was lent, once it is written; `None` if `wait` is false and it is not yet. An error: the thread is gone, and
    /// with it what was lent.
    pub(crate) fn take(&self, wait: bool) -> io::Result<Option<Done>> {
        let gone = || io::Error::other("the thread that writes has panicked");
        match wait {
            true => self.done.recv().map(Some).map_err(|_| gone()),
            false => match self.done.try_recv() {
                Ok(done) => Ok(Some(done)),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(gone()),
            },
        }
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the storage was told when its segment did not come back.
            let _ = thread.join();
        }
    }
}
