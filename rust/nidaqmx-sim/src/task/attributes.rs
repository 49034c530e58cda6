//! The attributes of a task: timing, buffer, reading, and the task itself.

use std::sync::Arc;

use super::reading::default_count;
use super::{Phase, State, Task};
use crate::attribute::{self, Object, Value};
use crate::channel::{Channel, channel_type};
use crate::clock::Rate;
use crate::error::{Error, Result, code};
use crate::names;
use crate::pace::Pace;
use crate::timing::{Timing, mode, timing_type};
use crate::trigger;

/// What a read is relative to.
pub(super) mod relative {
    pub(in crate::task) const FIRST_SAMPLE: i32 = 10424;
    pub(in crate::task) const CURRENT_READ_POSITION: i32 = 10425;
    pub(in crate::task) const REFERENCE_TRIGGER: i32 = 10426;
    pub(in crate::task) const FIRST_PRETRIGGER_SAMPLE: i32 = 10427;
    pub(in crate::task) const MOST_RECENT_SAMPLE: i32 = 10428;
}

pub(super) const OVERWRITE_UNREAD: i32 = 10252;
pub(super) const DO_NOT_OVERWRITE: i32 = 10159;

/// How reads behave, as set.
#[derive(Debug, Clone)]
pub(super) struct ReadSettings {
    pub(super) overwrite: Option<i32>,
    /// As set; by default the current position, or the first sample of a reference trigger's record.
    pub(super) relative_to: Option<i32>,
    pub(super) offset: i32,
    pub(super) all_available: bool,
    pub(super) auto_start: bool,
    pub(super) wait_mode: i32,
    pub(super) sleep_time: f64,
    pub(super) channels: Option<Vec<String>>,
}

impl ReadSettings {
    /// Whether reads do not simply go on from where the last one ended, over all channels.
    pub(super) fn is_moved(&self) -> bool {
        self.relative_to.is_some() || self.offset != 0 || self.channels.is_some()
    }
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            overwrite: None,
            relative_to: None,
            offset: 0,
            all_available: false,
            auto_start: true,
            wait_mode: 12523,
            sleep_time: 0.001,
            channels: None,
        }
    }
}

impl Task {
    /// Changes the timing, all of it or nothing.
    pub(crate) fn set_timing(&self, change: impl FnOnce(&mut Timing) -> Result<()>) -> Result<()> {
        let mut state = self.state()?;
        if state.phase == Phase::Running {
            return Err(Error::new(code::CANNOT_SET_WHILE_RUNNING));
        }
        if state.channels.is_empty() {
            return Err(Error::new(code::NO_CHANS_IN_TASK));
        }
        let mut timing = state.timing.clone();
        change(&mut timing)?;
        state.timing = timing;
        state.unverify();
        Ok(())
    }

    pub(crate) fn get_timing(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Timing, id)?;
        if row.id == 0x313A {
            let mut state = self.state()?;
            if !state.timing.timestamp_enabled {
                return Err(Error::new(code::TIMESTAMP_NOT_ENABLED).with("Property", row.display()));
            }
            let (fraction, seconds) = Self::timestamp(&mut state)
                .ok_or_else(|| Error::new(code::TIMESTAMP_NOT_YET_RECEIVED))?;
            return Ok(Value::Time(fraction, seconds));
        }
        let state = self.state()?;
        let timing = &state.timing;
        let limits = || {
            state
                .clock_limits()
                .ok_or_else(|| Error::new(code::NO_CHANS_IN_TASK))
        };
        let device = || {
            state
                .channels
                .first()
                .map(|channel| Arc::clone(&channel.device))
                .ok_or_else(|| Error::new(code::NO_CHANS_IN_TASK))
        };
        let unsupported =
            || Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK).with("Property", row.display());
        Ok(match row.id {
            0x1347 => Value::I32(timing.kind),
            0x1344 => Value::F64(state.sample_rate()?.map_or(timing.rate, Rate::hertz)),
            0x1300 => Value::I32(timing.mode),
            0x1310 => Value::U64(timing.samples),
            0x1301 => Value::I32(timing.edge),
            0x1852 => Value::Str(if timing.onboard() {
                "OnboardClock".to_owned()
            } else {
                timing.source.clone()
            }),
            0x22C8 => Value::F64(limits()?.fastest),
            0x1303 => Value::F64(limits()?.timebase as f64),
            0x18EB => match state.sample_rate()? {
                Some(rate) if timing.onboard() => {
                    Value::U32(u32::try_from(rate.denominator).unwrap_or(u32::MAX))
                }
                _ => return Err(unsupported()),
            },
            0x2F1B => {
                let device = device()?;
                let engine = match state.family() {
                    channel_type::ANALOG_OUTPUT => "ao",
                    channel_type::DIGITAL_OUTPUT => "do",
                    channel_type::DIGITAL_INPUT => "di",
                    _ => "ai",
                };
                Value::Str(format!("/{}/{engine}/SampleClock", device.clock_owner()))
            }
            0x1848 | 0x22C9 => {
                let device = device()?;
                let ai = device.product.ai.as_ref().ok_or_else(unsupported)?;
                if ai.simultaneous {
                    return Err(unsupported());
                }
                Value::F64(ai.max_multi_rate)
            }
            0x1315 | 0x1316 => {
                if !device()?.has_reference_clock() {
                    return Err(unsupported());
                }
                match row.id {
                    0x1315 => Value::F64(timing.reference_rate()),
                    _ => Value::text(timing.reference_source()),
                }
            }
            0x3139 => Value::Bool(timing.timestamp_enabled),
            0x2195 => Value::text(timing.changes[0].clone()),
            0x2196 => Value::text(timing.changes[1].clone()),
            0x2EFC => Value::I32(if timing.stops_at_overruns {
                15862
            } else {
                15863
            }),
            _ => return Err(unsupported()),
        })
    }

    pub(crate) fn get_buffer(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Buffer, id)?;
        let state = self.state()?;
        match row.id {
            0x186C => Ok(Value::U32(
                u32::try_from(state.buffer_size()).unwrap_or(u32::MAX),
            )),
            0x186D => Ok(Value::U32(
                u32::try_from(state.output_buffer()).unwrap_or(u32::MAX),
            )),
            0x230B => {
                let channel = state
                    .channels
                    .first()
                    .ok_or_else(|| Error::new(code::NO_CHANS_IN_TASK))?;
                let outputs = crate::output::analog_outputs(channel.device.product);
                Ok(Value::U32(outputs.map_or(0, |outputs| outputs.fifo)))
            }
            0x230A => {
                let channel = state
                    .channels
                    .first()
                    .ok_or_else(|| Error::new(code::NO_CHANS_IN_TASK))?;
                let fifo = channel.device.product.ai.as_ref().map_or(0, |ai| ai.fifo);
                Ok(Value::U32(fifo))
            }
            _ => {
                Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", row.display()))
            }
        }
    }

    pub(crate) fn set_buffer(&self, id: i32, value: Option<&Value>) -> Result<()> {
        let row = match value {
            Some(_) => attribute::writable(Object::Buffer, id)?,
            None => attribute::resettable(Object::Buffer, id)?,
        };
        let mut state = self.state()?;
        if row.id == 0x186D {
            state.not_running(Object::Buffer, id)?;
            let size = value.map(|value| u32::try_from(value.as_u64()).unwrap_or(u32::MAX));
            state.set_output_buffer(size);
            return Ok(());
        }
        if row.id != 0x186C {
            return Err(
                Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK).with("Property", row.display())
            );
        }
        state.not_running(Object::Buffer, id)?;
        state.buffer = value.map(|value| u32::try_from(value.as_u64()).unwrap_or(u32::MAX));
        state.unverify();
        Ok(())
    }

    pub(crate) fn get_read(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Read, id)?;
        let mut state = self.state()?;
        let unsupported =
            || Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK).with("Property", row.display());
        let not_reserved =
            || Error::new(code::PROPERTY_NEEDS_RESERVED_TASK).with("Property", row.display());
        if matches!(row.id, 0x1221 | 0x1223 | 0x192A) {
            if state.phase < Phase::Reserved {
                return Err(not_reserved());
            }
            let Some(run) = state.run.as_mut() else {
                return Ok(if row.id == 0x1223 {
                    Value::U32(0)
                } else {
                    Value::U64(0)
                });
            };
            return Ok(match row.id {
                0x1221 => Value::U64(run.position),
                0x1223 => Value::U32(u32::try_from(run.available()).unwrap_or(u32::MAX)),
                _ => Value::U64(run.acquired()),
            });
        }
        let state = &mut *state;
        let read = &state.read;
        Ok(match row.id {
            0x1211 => Value::I32(read.overwrite.unwrap_or(DO_NOT_OVERWRITE)),
            0x1215 => Value::Bool(read.all_available),
            0x1823 => Value::Str(names::join(&state.read_names()?)),
            0x1826 => Value::Bool(read.auto_start),
            0x190A => Value::I32(state.relative_to()),
            0x190B => Value::I32(read.offset),
            0x217A => {
                let names = state.read_names()?;
                let widths = state
                    .channels
                    .iter()
                    .filter(|one| names.contains(&one.name));
                let bits = widths.map(Channel::raw_bits).max();
                Value::U32(bits.unwrap_or(0) / 8)
            }
            0x217B => Value::U32(state.read_names()?.len() as u32),
            0x217C => {
                if state.family() != channel_type::DIGITAL_INPUT {
                    return Err(unsupported());
                }
                let names = state.read_names()?;
                let read = state
                    .channels
                    .iter()
                    .filter(|one| names.contains(&one.name));
                Value::U32(read.map(|one| one.lines.len()).max().unwrap_or(0) as u32)
            }
            0x2232 => Value::I32(read.wait_mode),
            0x22B0 => Value::F64(read.sleep_time),
            0x31E8 => {
                let count = match state.run.as_mut() {
                    Some(run) if state.phase == Phase::Running => {
                        default_count(run, state.read.all_available)
                    }
                    _ if state.timing.kind == timing_type::ON_DEMAND => 1,
                    _ if state.timing.mode == mode::FINITE && !state.read.all_available => {
                        state.timing.samples
                    }
                    _ => 0,
                };
                Value::U32(u32::try_from(count).unwrap_or(u32::MAX))
            }
            0x2194 => {
                if state.timing.kind != timing_type::CHANGE_DETECTION {
                    return Err(unsupported());
                }
                let run = state.run.as_mut();
                Value::Bool(run.is_some_and(|run| {
                    run.acquired();
                    match &run.plan.pace {
                        Pace::Arrivals(arrivals) => arrivals.overflowed(),
                        _ => false,
                    }
                }))
            }
            // The input never overloads: nothing is connected that could.
            0x2174 => Value::Bool(false),
            0x2175 => Value::text(""),
            id if crate::logging::is_logging(id) => state.logging.get(row)?,
            _ => return Err(unsupported()),
        })
    }

    pub(crate) fn set_read(&self, id: i32, value: &Value) -> Result<()> {
        let row = attribute::writable(Object::Read, id)?;
        let mut state = self.state()?;
        let running = state.phase == Phase::Running;
        let number = value.as_i32();
        match row.id {
            0x1211 => {
                if !matches!(number, OVERWRITE_UNREAD | DO_NOT_OVERWRITE) {
                    return Err(Error::value("DAQmx_Read_OverWrite", number));
                }
                state.not_running(Object::Read, id)?;
                state.read.overwrite = Some(number);
            }
            0x1215 => state.read.all_available = value.as_bool(),
            0x1823 => {
                let names = state.channel_names(value.as_str())?;
                state.read.channels = (!names.is_empty()).then_some(names);
            }
            0x1826 => state.read.auto_start = value.as_bool(),
            0x190A => {
                if !(relative::FIRST_SAMPLE..=relative::MOST_RECENT_SAMPLE).contains(&number) {
                    return Err(Error::value("DAQmx_Read_RelativeTo", number));
                }
                state.read.relative_to = Some(number);
            }
            0x190B => state.read.offset = number,
            0x2232 => {
                if !matches!(number, 12523 | 12524 | 12525 | 12547) {
                    return Err(Error::value("DAQmx_Read_WaitMode", number));
                }
                state.read.wait_mode = number;
            }
            0x22B0 => {
                if value.as_f64().is_nan() || value.as_f64() < 0.0 {
                    return Err(Error::value("DAQmx_Read_SleepTime", value.display()));
                }
                state.read.sleep_time = value.as_f64();
            }
            id if crate::logging::is_logging(id) => {
                state.logging.set(row, value, running)?;
                if let Some(log) = crate::driver::lock(&self.log).as_mut() {
                    match id {
                        0x2EC4 => log.set_path(value.as_str()),
                        _ => log.set_pause(value.as_bool()),
                    }
                }
            }
            _ => {
                return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", row.display()));
            }
        }
        if !running {
            state.unverify();
        }
        Ok(())
    }

    pub(crate) fn reset_read(&self, id: i32) -> Result<()> {
        let row = attribute::resettable(Object::Read, id)?;
        let mut state = self.state()?;
        let default = ReadSettings::default();
        match row.id {
            0x1211 => {
                state.not_running(Object::Read, id)?;
                state.read.overwrite = default.overwrite;
            }
            0x1215 => state.read.all_available = default.all_available,
            0x1823 => state.read.channels = None,
            0x1826 => state.read.auto_start = default.auto_start,
            0x190A => state.read.relative_to = default.relative_to,
            0x190B => state.read.offset = default.offset,
            0x2232 => state.read.wait_mode = default.wait_mode,
            0x22B0 => state.read.sleep_time = default.sleep_time,
            id if crate::logging::is_logging(id) => {
                let running = state.phase == Phase::Running;
                state.logging.reset(row, running)?;
            }
            _ => {
                return Err(Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK)
                    .with("Property", row.display()));
            }
        }
        Ok(())
    }

    pub(crate) fn get_task(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Task, id)?;
        let mut state = self.state()?;
        Ok(match row.id {
            0x1273 => {
                let names: Vec<_> = state.channels.iter().map(|one| one.name.clone()).collect();
                Value::Str(names::join(&names))
            }
            0x1274 => Value::Bool(state.done()),
            0x1276 => Value::Str(self.name.clone()),
            0x2181 => Value::U32(state.channels.len() as u32),
            0x230E => {
                let names: Vec<_> = state
                    .devices()
                    .iter()
                    .map(|device| device.name.clone())
                    .collect();
                Value::Str(names::join(&names))
            }
            0x29BA => Value::U32(state.devices().len() as u32),
            _ => {
                return Err(
                    Error::new(code::ATTRIBUTE_NOT_SUPPORTED).with("Property", row.display())
                );
            }
        })
    }
}

impl State {
    pub(super) fn read_names(&self) -> Result<Vec<String>> {
        if self.channels.is_empty() {
            return Err(Error::new(code::NO_CHANS_IN_TASK));
        }
        Ok(match &self.read.channels {
            Some(names) => names.clone(),
            None => self
                .channels
                .iter()
                .map(|channel| channel.name.clone())
                .collect(),
        })
    }

    pub(super) fn read_indices(&self) -> Result<Vec<usize>> {
        let Some(names) = &self.read.channels else {
            return Ok((0..self.channels.len()).collect());
        };
        names
            .iter()
            .map(|name| {
                self.channels
                    .iter()
                    .position(|channel| channel.name == *name)
                    .ok_or_else(|| Error::new(code::INVALID_CHANNEL).with("Channel Name", name))
            })
            .collect()
    }

    /// What reads are relative to.
    pub(super) fn relative_to(&self) -> i32 {
        self.read
            .relative_to
            .unwrap_or(if self.triggers.reference == trigger::kind::NONE {
                relative::CURRENT_READ_POSITION
            } else {
                relative::FIRST_PRETRIGGER_SAMPLE
            })
    }
}
