//! Triggers: start, reference and pause triggers of a task, as set.
//!
//! An analog trigger on a channel of the task, a digital pattern, and an edge of a signal that a
//! test chose (or another task makes) are looked for where they are. Any other trigger comes at once
//! (a reference trigger as soon as the samples before it are there). Where a test holds triggers
//! back, all of them come when the test sends them.

use crate::attribute::{self, Object, Value};
use crate::error::{Error, Result, code};

/// Trigger types.
pub(crate) mod kind {
    pub(crate) const NONE: i32 = 10230;
    pub(crate) const DIGITAL_EDGE: i32 = 10150;
    pub(crate) const ANALOG_EDGE: i32 = 10099;
    pub(crate) const ANALOG_WINDOW: i32 = 10103;
    pub(crate) const DIGITAL_PATTERN: i32 = 10398;
    pub(crate) const ANALOG_LEVEL: i32 = 10101;
    pub(crate) const DIGITAL_LEVEL: i32 = 10152;
}

const RISING: i32 = 10280;
const FALLING: i32 = 10171;
const ENTERING: i32 = 10163;
const LEAVING: i32 = 10208;

const HIGH: i32 = 10192;
const LOW: i32 = 10214;
const ABOVE: i32 = 10093;
const BELOW: i32 = 10107;
const INSIDE: i32 = 10199;
const OUTSIDE: i32 = 10251;
const MATCHES: i32 = 10254;
const DOES_NOT_MATCH: i32 = 10253;

/// What an analog trigger waits for in a signal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Crossing {
    /// Through a level, having been beyond it by the hysteresis before.
    Edge {
        rising: bool,
        level: f64,
        hysteresis: f64,
    },
    /// Into a window (or out of it).
    Window {
        entering: bool,
        bottom: f64,
        top: f64,
    },
}

impl Crossing {
    /// Whether the next value makes the crossing; `armed` is kept from value to value.
    pub(crate) fn at(&self, value: f64, armed: &mut bool) -> bool {
        let (ready, there) = match *self {
            Self::Edge {
                rising: true,
                level,
                hysteresis,
            } => (value < level - hysteresis, value >= level),
            Self::Edge {
                level, hysteresis, ..
            } => (value > level + hysteresis, value <= level),
            Self::Window {
                entering,
                bottom,
                top,
            } => {
                let inside = (bottom..=top).contains(&value);
                (inside != entering, inside == entering)
            }
        };
        let crossed = *armed && there;
        *armed = ready || *armed && !there;
        crossed
    }
}

/// A pause trigger.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pause {
    pub(crate) kind: i32,
    pub(crate) source: String,
    /// What pauses, for each kind: the level of digital and of analog signals, the window, the pattern.
    when: [i32; 4],
    level: f64,
    bottom: f64,
    top: f64,
    pub(crate) pattern: String,
}

impl Pause {
    /// Whether a value of an analog signal pauses.
    pub(crate) fn stops(&self, value: f64) -> bool {
        match self.when_of(self.kind) {
            ABOVE => value > self.level,
            BELOW => value < self.level,
            INSIDE => (self.bottom..=self.top).contains(&value),
            _ => !(self.bottom..=self.top).contains(&value),
        }
    }

    /// The digital level that pauses: high, or that of lines that match.
    pub(crate) fn stops_when(&self) -> bool {
        matches!(self.when_of(self.kind), HIGH | MATCHES)
    }

    /// The condition for triggers of a kind.
    fn when_of(&self, kind: i32) -> i32 {
        self.when[Self::place(kind)]
    }

    fn place(kind: i32) -> usize {
        match kind {
            kind::ANALOG_LEVEL => 1,
            kind::ANALOG_WINDOW => 2,
            kind::DIGITAL_PATTERN => 3,
            _ => 0,
        }
    }

    /// Sets the condition for triggers of a kind.
    fn set_when(&mut self, kind: i32, when: i32, property: &str) -> Result<()> {
        let possible = match kind {
            kind::ANALOG_LEVEL => [ABOVE, BELOW],
            kind::ANALOG_WINDOW => [INSIDE, OUTSIDE],
            kind::DIGITAL_PATTERN => [MATCHES, DOES_NOT_MATCH],
            _ => [HIGH, LOW],
        };
        if !possible.contains(&when) {
            return Err(
                Error::value(property, when).with("You Can Select", format!("{possible:?}"))
            );
        }
        self.when[Self::place(kind)] = when;
        Ok(())
    }
}

/// Refuses a pattern with characters that none has.
pub(crate) fn check_pattern(pattern: &str) -> Result<()> {
    if pattern
        .chars()
        .all(|one| matches!(one, '0' | '1' | 'X' | 'x'))
    {
        Ok(())
    } else {
        Err(Error::new(code::INVALID_CHAR_IN_DIG_PATTERN).with("Pattern", pattern))
    }
}

fn check_match(when: i32, property: &str) -> Result<()> {
    if matches!(when, MATCHES | DOES_NOT_MATCH) {
        Ok(())
    } else {
        Err(Error::value(property, when))
    }
}

/// The triggers, as set.
#[derive(Debug, Clone)]
pub(crate) struct Triggers {
    /// Counters wait for it before anything else.
    pub(crate) arm: i32,
    pub(crate) arm_source: String,
    arm_edge: i32,
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
    start_hysteresis: f64,
    reference_hysteresis: f64,
    pub(crate) start_pattern: String,
    start_pattern_when: i32,
    pub(crate) reference_pattern: String,
    reference_pattern_when: i32,
    pub(crate) pause: Pause,
    pub(crate) timestamp_enabled: bool,
    /// The part that the program gives the task among synchronised ones; all keep the same time.
    synchronisation: i32,
}

const MASTER: i32 = 15888;
const SLAVE: i32 = 15889;

impl Default for Triggers {
    fn default() -> Self {
        Self {
            arm: kind::NONE,
            arm_source: String::new(),
            arm_edge: RISING,
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
            start_hysteresis: 0.0,
            reference_hysteresis: 0.0,
            start_pattern: String::new(),
            start_pattern_when: MATCHES,
            reference_pattern: String::new(),
            reference_pattern_when: MATCHES,
            pause: Pause {
                kind: kind::NONE,
                source: String::new(),
                when: [HIGH, ABOVE, INSIDE, MATCHES],
                level: 0.0,
                bottom: 0.0,
                top: 0.0,
                pattern: String::new(),
            },
            timestamp_enabled: false,
            synchronisation: kind::NONE,
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

fn check_level(level: f64, property: &str) -> Result<()> {
    if level.is_finite() {
        Ok(())
    } else {
        Err(Error::value(property, format!("{level:?}")))
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
        check_level(level, "DAQmx_AnlgEdge_StartTrig_Lvl")?;
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
        check_level(level, "DAQmx_AnlgEdge_RefTrig_Lvl")?;
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

    pub(crate) fn start_on_pattern(
        &mut self,
        source: &str,
        pattern: &str,
        when: i32,
    ) -> Result<()> {
        check_match(when, "DAQmx_DigPattern_StartTrig_When")?;
        check_pattern(pattern)?;
        self.start = kind::DIGITAL_PATTERN;
        source.clone_into(&mut self.start_source);
        pattern.clone_into(&mut self.start_pattern);
        self.start_pattern_when = when;
        Ok(())
    }

    pub(crate) fn reference_on_pattern(
        &mut self,
        source: &str,
        pattern: &str,
        when: i32,
        before: u32,
    ) -> Result<()> {
        check_match(when, "DAQmx_DigPattern_RefTrig_When")?;
        check_pattern(pattern)?;
        check_before(before)?;
        self.reference = kind::DIGITAL_PATTERN;
        source.clone_into(&mut self.reference_source);
        pattern.clone_into(&mut self.reference_pattern);
        (self.reference_pattern_when, self.before) = (when, before);
        Ok(())
    }

    /// What an analog start or reference trigger waits for.
    pub(crate) fn crossing(&self, start: bool) -> Option<Crossing> {
        let (kind, edge, level, hysteresis, when, window) = if start {
            (
                self.start,
                self.start_edge,
                self.start_level,
                self.start_hysteresis,
                self.start_when,
                self.start_window,
            )
        } else {
            (
                self.reference,
                self.reference_edge,
                self.reference_level,
                self.reference_hysteresis,
                self.reference_when,
                self.reference_window,
            )
        };
        match kind {
            kind::ANALOG_EDGE => Some(Crossing::Edge {
                rising: edge == RISING,
                level,
                hysteresis,
            }),
            kind::ANALOG_WINDOW => Some(Crossing::Window {
                entering: when == ENTERING,
                bottom: window[0],
                top: window[1],
            }),
            _ => None,
        }
    }

    /// The edge of a digital arm start trigger.
    pub(crate) fn arms_rising(&self) -> bool {
        self.arm_edge == RISING
    }

    /// The edge of a digital start or reference trigger.
    pub(crate) fn is_rising(&self, start: bool) -> bool {
        (if start {
            self.start_edge
        } else {
            self.reference_edge
        }) == RISING
    }

    /// The pattern of a start or reference trigger, and whether it has to match.
    pub(crate) fn pattern(&self, start: bool) -> (&str, bool) {
        if start {
            (&self.start_pattern, self.start_pattern_when == MATCHES)
        } else {
            (
                &self.reference_pattern,
                self.reference_pattern_when == MATCHES,
            )
        }
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
            0x1395 => Value::F64(self.start_hysteresis),
            0x1421 => Value::F64(self.reference_hysteresis),
            0x1410 => Value::text(self.start_source.clone()),
            0x2186 => Value::text(self.start_pattern.clone()),
            0x1411 => Value::I32(self.start_pattern_when),
            0x1437 => Value::text(self.reference_source.clone()),
            0x2187 => Value::text(self.reference_pattern.clone()),
            0x1438 => Value::I32(self.reference_pattern_when),
            0x1366 => Value::I32(self.pause.kind),
            0x1370 | 0x1373 | 0x1379 | 0x216F => Value::text(self.pause.source.clone()),
            0x1371 => Value::I32(self.pause.when_of(kind::ANALOG_LEVEL)),
            0x1374 => Value::I32(self.pause.when_of(kind::ANALOG_WINDOW)),
            0x1380 => Value::I32(self.pause.when_of(kind::DIGITAL_LEVEL)),
            0x2170 => Value::I32(self.pause.when_of(kind::DIGITAL_PATTERN)),
            0x1369 => Value::F64(self.pause.level),
            0x1368 => Value::F64(0.0),
            0x1375 => Value::F64(self.pause.bottom),
            0x1376 => Value::F64(self.pause.top),
            0x2188 => Value::text(self.pause.pattern.clone()),
            0x314A => Value::Bool(self.timestamp_enabled),
            // No advance or handshake trigger is simulated.
            0x1365 | 0x22B7 => Value::I32(kind::NONE),
            0x2F80 => Value::I32(self.synchronisation),
            0x1414 => Value::I32(self.arm),
            0x1415 => Value::I32(self.arm_edge),
            0x1417 => Value::text(self.arm_source.clone()),
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
                kind::NONE
                    | kind::DIGITAL_EDGE
                    | kind::ANALOG_EDGE
                    | kind::ANALOG_WINDOW
                    | kind::DIGITAL_PATTERN
            )
        };
        if let Value::F64(level) = value
            && !level.is_finite()
        {
            return Err(Error::value(&row.display(), value.display()));
        }
        match row.id {
            0x1395 | 0x1421 => {
                let hysteresis = value.as_f64();
                if hysteresis.is_nan() || hysteresis < 0.0 {
                    return Err(Error::value(&row.display(), value.display()));
                }
                if row.id == 0x1395 {
                    self.start_hysteresis = hysteresis;
                } else {
                    self.reference_hysteresis = hysteresis;
                }
            }
            0x1410 => value.as_str().clone_into(&mut self.start_source),
            0x1437 => value.as_str().clone_into(&mut self.reference_source),
            0x2186..=0x2188 => {
                check_pattern(value.as_str())?;
                let place = match row.id {
                    0x2186 => &mut self.start_pattern,
                    0x2187 => &mut self.reference_pattern,
                    _ => &mut self.pause.pattern,
                };
                value.as_str().clone_into(place);
            }
            0x1411 => {
                check_match(number, &row.display())?;
                self.start_pattern_when = number;
            }
            0x1438 => {
                check_match(number, &row.display())?;
                self.reference_pattern_when = number;
            }
            0x1366
                if matches!(
                    number,
                    kind::NONE
                        | kind::DIGITAL_LEVEL
                        | kind::DIGITAL_PATTERN
                        | kind::ANALOG_LEVEL
                        | kind::ANALOG_WINDOW
                ) =>
            {
                self.pause.kind = number;
            }
            0x1370 | 0x1373 | 0x1379 | 0x216F => value.as_str().clone_into(&mut self.pause.source),
            0x1371 | 0x1374 | 0x1380 | 0x2170 => {
                let kind = match row.id {
                    0x1371 => kind::ANALOG_LEVEL,
                    0x1374 => kind::ANALOG_WINDOW,
                    0x1380 => kind::DIGITAL_LEVEL,
                    _ => kind::DIGITAL_PATTERN,
                };
                self.pause.set_when(kind, number, &row.display())?;
            }
            0x1369 => self.pause.level = value.as_f64(),
            0x1375 => self.pause.bottom = value.as_f64(),
            0x1376 => self.pause.top = value.as_f64(),
            0x314A => self.timestamp_enabled = value.as_bool(),
            0x1401 | 0x1427 => {
                if !matches!(number, ENTERING | LEAVING) {
                    return Err(Error::value(&row.display(), number));
                }
                if row.id == 0x1401 {
                    self.start_when = number;
                } else {
                    self.reference_when = number;
                }
            }
            0x1402 => self.start_window[0] = value.as_f64(),
            0x1403 => self.start_window[1] = value.as_f64(),
            0x1428 => self.reference_window[0] = value.as_f64(),
            0x1429 => self.reference_window[1] = value.as_f64(),
            0x1393 if known(number) => self.start = number,
            0x1419 if known(number) => self.reference = number,
            0x1365 | 0x22B7 if number == kind::NONE => {}
            0x1414 if matches!(number, kind::NONE | kind::DIGITAL_EDGE) => self.arm = number,
            0x2F80 if matches!(number, kind::NONE | MASTER | SLAVE) => {
                self.synchronisation = number;
            }
            0x1415 => {
                check_edge(number, &row.display())?;
                self.arm_edge = number;
            }
            0x1417 => value.as_str().clone_into(&mut self.arm_source),
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
            0x1393 | 0x1414 | 0x1419 | 0x1366 | 0x18C8 | 0x2F80 => {
                return Err(Error::value(&row.display(), number));
            }
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

pub(crate) fn unsupported(property: String) -> Error {
    Error::new(code::ATTRIBUTE_NOT_SUPPORTED_IN_TASK).with("Property", property)
}
