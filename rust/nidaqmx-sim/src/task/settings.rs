//! Everything of a task that can be saved and loaded.

use super::attributes::ReadSettings;
use super::{State, Task};
use crate::channel::Channel;
use crate::error::{Error, Result, code};
use crate::logging::LogSettings;
use crate::timing::Timing;
use crate::trigger::Triggers;

/// What a program set of a task.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) channels: Vec<Channel>,
    timing: Timing,
    buffer: Option<u32>,
    read: ReadSettings,
    logging: LogSettings,
    triggers: Triggers,
}

impl Task {
    /// What the program set.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let state = self.state()?;
        if state.channels.is_empty() {
            return Err(Error::new(code::NO_CHANS_IN_TASK));
        }
        Ok(Settings {
            channels: state.channels.clone(),
            timing: state.timing.clone(),
            buffer: state.buffer,
            read: state.read.clone(),
            logging: state.logging.clone(),
            triggers: state.triggers.clone(),
        })
    }

    /// Makes a new task like another one.
    pub(crate) fn apply(&self, settings: Settings) -> Result<()> {
        let mut guard = self.resting()?;
        let state: &mut State = &mut guard;
        state.channels = settings.channels;
        state.timing = settings.timing;
        state.buffer = settings.buffer;
        state.read = settings.read;
        state.logging = settings.logging;
        state.triggers = settings.triggers;
        state.unverify();
        Ok(())
    }

    /// Changes channels of a list (or all of them) of a task that does not run; all of it or nothing.
    pub(crate) fn change_channels(
        &self,
        list: &str,
        change: impl FnMut(&mut Channel) -> Result<()>,
    ) -> Result<()> {
        let mut guard = self.resting()?;
        let state: &mut State = &mut guard;
        let before = state.channels.clone();
        if let Err(error) = Self::for_channels(state, list, change) {
            state.channels = before;
            return Err(error);
        }
        state.unverify();
        Ok(())
    }

    /// A channel of the task by its name.
    pub(crate) fn channel(&self, name: &str) -> Result<Channel> {
        let state = self.state()?;
        let found = state
            .channels
            .iter()
            .find(|one| one.name.eq_ignore_ascii_case(name.trim()));
        found
            .cloned()
            .ok_or_else(|| Error::new(code::INVALID_CHANNEL).with("Channel Name", name))
    }
}
