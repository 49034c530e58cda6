//! Triggers: start and reference triggers of a task.
//!
//! The simulated trigger comes at once (a reference trigger as soon as the samples before it are
//! there), unless a test holds triggers back and sends them itself.

use crate::attribute::{self, Object, Value};
use crate::error::{Error, Result, code};

/// Trigger types.
pub(crate) mod kind {
    pub(crate) const NONE: i32 = 10230;
    pub(crate) const DIGITAL_EDGE: i32 = 10150;
    pub(crate) const ANALOG_EDGE: i32 = 10099;
    pub(crate) const ANALOG_WINDOW: i32 = 10103;
}

const RISING: i32 = 10280;
const FALLING: i32 = 10171;
const ENTERING: i32 = 10163;
const LEAVING: i32 = 10208;

/// The start trigger, as set.
#[derive(Debug, Clone)]
pub(crate) struct Triggers {
    pub(crate) start: i32,
    pub(crate) start_source: String,
    start_edge: i32,
    start_level: f64,
    start_window: [f64; 2],
    start_when: i32,
    pub(crate) retriggerable: bool,
    /// Seconds between trigger and first sample.
    pub(crate) delay: f64,
    pub(crate) reference: i32,
    pub(crate) reference_source: String,
    reference_edge: i32,
    reference_level: f64,
    reference_window: [f64; 2],
    reference_when: i32,
    /// Samples per channel before the reference trigger.
    pub(crate) before: u32,
}

impl Default for Triggers {
    fn default() -> Self {
        Self {
            start: kind::NONE,
            start_source: String::new(),
            start_edge: RISING,
            start_level: 0.0,
            start_window: [0.0, 0.0],
            start_when: ENTERING,
            retriggerable: false,
            delay: 0.0,
            reference: kind::NONE,
            reference_source: String::new(),
            reference_edge: RISING,
            reference_level: 0.0,
            reference_window: [0.0, 0.0],
            reference_when: ENTERING,
            before: 2,
        }
    }
}

fn check_edge(edge: i32, property: &str) -> Result<()> {
    if matches!(edge, RISING | FALLING) {
        Ok(())
    } else {
        Err(Error::value(property, edge))
    }
}

fn check_window(bottom: f64, top: f64, when: i32, property: &str) -> Result<()> {
    if !matches!(when, ENTERING | LEAVING) {
        return Err(Error::value(property, when));
    }
    if bottom.is_nan() || top.is_nan() || bottom >= top {
        return Err(Error::value(property, format!("{bottom:?} to {top:?}")));
    }
    Ok(())
}

impl Triggers {
    pub(crate) fn start_digital(&mut self, source: &str, edge: i32) -> Result<()> {
        check_edge(edge, "DAQmx_DigEdge_StartTrig_Edge")?;
        self.start = kind::DIGITAL_EDGE;
        source.clone_into(&mut self.start_source);
        self.start_edge = edge;
        Ok(())
    }

    pub(crate) fn start_analog(&mut self, source: &str, slope: i32, level: f64) -> Result<()> {
        check_edge(slope, "DAQmx_AnlgEdge_StartTrig_Slope")?;
        self.start = kind::ANALOG_EDGE;
        source.clone_into(&mut self.start_source);
        (self.start_edge, self.start_level) = (slope, level);
        Ok(())
    }

    pub(crate) fn start_window(
        &mut self,
        source: &str,
        when: i32,
        top: f64,
        bottom: f64,
    ) -> Result<()> {
        check_window(bottom, top, when, "DAQmx_AnlgWin_StartTrig_When")?;
        self.start = kind::ANALOG_WINDOW;
        source.clone_into(&mut self.start_source);
        (self.start_when, self.start_window) = (when, [bottom, top]);
        Ok(())
    }

    pub(crate) fn reference_digital(&mut self, source: &str, edge: i32, before: u32) -> Result<()> {
        check_edge(edge, "DAQmx_DigEdge_RefTrig_Edge")?;
        check_before(before)?;
        self.reference = kind::DIGITAL_EDGE;
        source.clone_into(&mut self.reference_source);
        (self.reference_edge, self.before) = (edge, before);
        Ok(())
    }

    pub(crate) fn reference_analog(
        &mut self,
        source: &str,
        slope: i32,
        level: f64,
        before: u32,
    ) -> Result<()> {
        check_edge(slope, "DAQmx_AnlgEdge_RefTrig_Slope")?;
        check_before(before)?;
        self.reference = kind::ANALOG_EDGE;
        source.clone_into(&mut self.reference_source);
        (self.reference_edge, self.reference_level, self.before) = (slope, level, before);
        Ok(())
    }

    pub(crate) fn reference_window(
        &mut self,
        source: &str,
        when: i32,
        top: f64,
        bottom: f64,
        before: u32,
    ) -> Result<()> {
        check_window(bottom, top, when, "DAQmx_AnlgWin_RefTrig_When")?;
        check_before(before)?;
        self.reference = kind::ANALOG_WINDOW;
        source.clone_into(&mut self.reference_source);
        (self.reference_when, self.reference_window, self.before) = (when, [bottom, top], before);
        Ok(())
    }

    pub(crate) fn disable_start(&mut self) {
        self.start = kind::NONE;
    }

    pub(crate) fn disable_reference(&mut self) {
        self.reference = kind::NONE;
    }

    /// The value of a trigger attribute.
    pub(crate) fn get(&self, id: i32) -> Result<Value> {
        let row = attribute::readable(Object::Trigger, id)?;
        Ok(match row.id {
            0x1393 => Value::I32(self.start),
            0x1419 => Value::I32(self.reference),
            // No pause, advance, arm start or handshake trigger is simulated.
            0x1366 | 0x1365 | 0x1414 | 0x22B7 => Value::I32(kind::NONE),
            0x1407 | 0x1398 | 0x1400 => Value::text(self.start_source.clone()),
            0x1404 | 0x1397 => Value::I32(self.start_edge),
            0x1396 => Value::F64(self.start_level),
            0x1401 => Value::I32(self.start_when),
            0x1402 => Value::F64(self.start_window[0]),
            0x1403 => Value::F64(self.start_window[1]),
            0x190F => Value::Bool(self.retriggerable),
            0x1856 => Value::F64(self.delay),
            0x18C8 => Value::I32(10364),
            0x1434 | 0x1424 | 0x1426 => Value::text(self.reference_source.clone()),
            0x1430 | 0x1423 => Value::I32(self.reference_edge),
            0x1422 => Value::F64(self.reference_level),
            0x1427 => Value::I32(self.reference_when),
            0x1428 => Value::F64(self.reference_window[0]),
            0x1429 => Value::F64(self.reference_window[1]),
            0x1445 => Value::U32(self.before),
            _ => return Err(unsupported(row.display())),
        })
    }

    /// Sets a trigger attribute.
    pub(crate) fn set(&mut self, id: i32, value: Value) -> Result<()> {
        let row = attribute::writable(Object::Trigger, id)?;
        let number = value.as_i32();
        let known = |number: i32| {
            matches!(
                number,
                kind::NONE | kind::DIGITAL_EDGE | kind::ANALOG_EDGE | kind::ANALOG_WINDOW
            )
        };
        match row.id {
            0x1393 if known(number) => self.start = number,
            0x1419 if known(number) => self.reference = number,
            0x1366 | 0x1365 | 0x1414 | 0x22B7 if number == kind::NONE => {}
            0x1407 | 0x1398 | 0x1400 => value.as_str().clone_into(&mut self.start_source),
            0x1404 | 0x1397 => {
                check_edge(number, &row.display())?;
                self.start_edge = number;
            }
            0x1396 => self.start_level = value.as_f64(),
            0x190F => self.retriggerable = value.as_bool(),
            0x1856 => {
                let delay = value.as_f64();
                if delay.is_nan() || !(0.0..=1e6).contains(&delay) {
                    return Err(Error::value("DAQmx_StartTrig_Delay", value.display()));
                }
                self.delay = delay;
            }
            0x18C8 if number == 10364 => {}
            0x1434 | 0x1424 | 0x1426 => value.as_str().clone_into(&mut self.reference_source),
            0x1430 | 0x1423 => {
                check_edge(number, &row.display())?;
                self.reference_edge = number;
            }
            0x1422 => self.reference_level = value.as_f64(),
            0x1445 => {
                let before = u32::try_from(value.as_u64()).unwrap_or(u32::MAX);
                check_before(before)?;
                self.before = before;
            }
            0x1393 | 0x1419 | 0x18C8 => return Err(Error::value(&row.display(), number)),
            _ => return Err(unsupported(row.display())),
        }
        Ok(())
    }

    /// Resets a trigger attribute to its default.
    pub(crate) fn reset(&mut self, id: i32) -> Result<()> {
        attribute::resettable(Object::Trigger, id)?;
        let default = Self::default().get(id)?;
        self.set(id, default)
    }
}

fn check_before(samples: u32) -> Result<()> {
    if samples >= 2 {
        Ok(())
    } else {
        Err(Error::value("DAQmx_RefTrig_PretrigSamples", samples).with("Minimum Value", 2))
    }
}

fn unsupported(property: String) -> Error {
    Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK).with("Property", property)
}
