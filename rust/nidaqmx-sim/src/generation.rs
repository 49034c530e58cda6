//! What one run of an output task puts out: its samples, its pace, its pulses.

use std::sync::Arc;

use crate::content::Content;
use crate::error::{Error, code};
use crate::pulse::Train;
use crate::run::Ended;
use crate::wire::Timeline;

/// The generation of one run.
#[derive(Debug, Clone)]
pub(crate) struct Generation {
    pub(crate) channels: usize,
    pub(crate) pace: Arc<Timeline>,
    /// The samples, where there is a buffer.
    pub(crate) content: Option<Arc<Content>>,
    /// The pulses, one train per channel.
    pub(crate) trains: Vec<Arc<Train>>,
    /// Nanoseconds from the start (or its trigger) to the first sample.
    pub(crate) delay: u64,
    /// What was written ends the generation: running dry is no error.
    pub(crate) complete: bool,
}

impl Generation {
    /// What is put out changes a nanosecond after the clock that puts it out, so that an input with
    /// the same clock sees what was there before.
    pub(crate) fn begin(&self, at: u64) {
        self.pace.begin(at.saturating_add(1));
    }

    pub(crate) fn stop(&self, at: u64) {
        self.pace.stop(at);
    }

    /// Samples per channel that the program wrote.
    pub(crate) fn written(&self) -> u64 {
        self.content.as_ref().map_or(0, |content| content.written())
    }

    /// Samples after which nothing is left to put out; `None` where the buffer goes round.
    pub(crate) fn runs_dry(&self) -> Option<u64> {
        let content = self.content.as_ref()?;
        (!content.regenerates()).then(|| content.written())
    }

    /// The samples generated, of those that the clock asked for: without a throttle everything that
    /// is there is put out at once.
    pub(crate) fn generated(&self, clocked: u64, unthrottled: bool) -> u64 {
        if !unthrottled {
            return clocked;
        }
        match (self.pace.total, self.runs_dry()) {
            (Some(total), None) => total,
            (Some(total), Some(written)) => total.min(written),
            (None, Some(written)) => written,
            (None, None) => clocked,
        }
    }

    /// How the run ended, where it ran dry before its end.
    pub(crate) fn ended(&self, generated: u64) -> Option<Ended> {
        let written = self.runs_dry()?;
        if self.complete && generated >= written {
            return Some(Ended {
                acquired: written,
                error: None,
            });
        }
        (generated > written).then(|| Ended {
            acquired: written,
            error: Some(Error::new(code::GENERATION_STOPPED)),
        })
    }
}
