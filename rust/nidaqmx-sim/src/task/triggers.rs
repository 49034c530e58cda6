//! The triggers of a task, and what goes wrong in it on demand.

use super::{Phase, State, Task};
use crate::attribute::Value;
use crate::driver::lock;
use crate::error::{Error, Result, code};
use crate::fault::Fault;
use crate::timing::timing_type;
use crate::trigger::{self, Triggers};

impl Task {
    pub(crate) fn get_trigger(&self, id: i32) -> Result<Value> {
        self.state()?.triggers.get(id)
    }

    /// Changes the triggers, all of it or nothing.
    pub(crate) fn set_trigger(
        &self,
        change: impl FnOnce(&mut Triggers) -> Result<()>,
    ) -> Result<()> {
        let mut state = self.state()?;
        if state.phase == Phase::Running {
            return Err(Error::new(code::CANNOT_SET_WHILE_RUNNING));
        }
        if state.channels.is_empty() {
            return Err(Error::new(code::NO_CHANS_IN_TASK));
        }
        let mut triggers = state.triggers.clone();
        change(&mut triggers)?;
        state.triggers = triggers;
        state.unverify();
        Ok(())
    }

    /// A trigger arrives, where the task waits for one from this source (or from any).
    pub(crate) fn triggered(&self, source: Option<&str>) -> bool {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if state.phase != Phase::Running {
            return false;
        }
        let fits = |known: &str, kind: i32| {
            kind != trigger::kind::NONE
                && source.is_none_or(|source| {
                    known
                        .trim_start_matches('/')
                        .eq_ignore_ascii_case(source.trim_start_matches('/'))
                })
        };
        let fits = fits(&state.triggers.start_source, state.triggers.start)
            || fits(&state.triggers.reference_source, state.triggers.reference);
        if let Some(run) = state.run.as_mut().filter(|_| fits) {
            run.triggered();
        }
        self.changed.notify_all();
        fits
    }

    /// Gives a fault to the run that is under way; false where there is none.
    pub(crate) fn fault(&self, fault: &Fault) -> bool {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let Some(run) = state.run.as_mut().filter(|_| state.phase == Phase::Running) else {
            return false;
        };
        let mut fault = fault.clone();
        fault.after = fault.after.max(run.acquired());
        run.faults.push(fault);
        self.changed.notify_all();
        true
    }
}

impl State {
    /// Whether the triggers fit the device and the timing.
    pub(super) fn check_triggers(&self, clocked: bool, total: Option<u64>) -> Result<()> {
        let sources = [
            (self.triggers.start, &self.triggers.start_source),
            (self.triggers.reference, &self.triggers.reference_source),
        ];
        for (kind, source) in sources {
            if kind == trigger::kind::NONE {
                continue;
            }
            if !clocked {
                return Err(Error::value("DAQmx_SampTimingType", timing_type::ON_DEMAND));
            }
            let bare = source.trim_start_matches('/');
            let devices = self.devices();
            let analog = kind != trigger::kind::DIGITAL_EDGE;
            let known = devices.iter().any(|device| {
                let supported = if analog {
                    device.product.analog_trigger
                } else {
                    device.product.digital_trigger
                };
                supported
                    && device.terminal_names().iter().any(|name| {
                        let name = name.trim_start_matches('/');
                        name.eq_ignore_ascii_case(bare)
                            || name
                                .split_once('/')
                                .is_some_and(|(_, short)| short.eq_ignore_ascii_case(bare))
                    })
            });
            let channel = analog
                && self.channels.iter().any(|channel| {
                    channel.device.product.analog_trigger
                        && (channel.name.eq_ignore_ascii_case(bare)
                            || channel
                                .device
                                .full_name(channel.physical)
                                .eq_ignore_ascii_case(bare))
                });
            if !known && !channel {
                return Err(
                    Error::new(code::TRIGGER_SOURCE_INVALID).with("Source Terminal", source)
                );
            }
        }
        if self.triggers.reference != trigger::kind::NONE {
            let before = u64::from(self.triggers.before);
            if total.is_none_or(|total| before + 2 > total) {
                return Err(Error::value("DAQmx_RefTrig_PretrigSamples", before)
                    .with("Property", "DAQmx_SampQuant_SampPerChan")
                    .with("Corresponding Value", self.timing.samples));
            }
        }
        Ok(())
    }
}
