//! Waveform reads: scaled samples with the time of the first one, the interval and the properties of
//! each channel.

use std::ffi::{c_char, c_void};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::channel::channel_type;
use crate::error::{Error, Result, code};
use crate::plan::Kind;
use crate::read::{self, Fill, Outcome};
use crate::task::{Claim, Request, Task};

/// Ticks of 100 ns from the beginning of year 1 to 1970.
pub(crate) const YEAR_1970: i64 = 621_355_968_000_000_000;

/// The type of a string property.
const STRING: i32 = 4;

/// Ticks of 100 ns since the beginning of year 1, UTC.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    YEAR_1970 + (since.as_nanos() / 100) as i64
}

/// A time in ticks of 100 ns since the beginning of year 1 as fraction of a second (in 1/2^64) and
/// seconds since 1904, as NI's absolute times are.
pub(crate) fn since_1904(ticks: i64) -> (u64, i64) {
    const SECONDS_1904_TO_1970: i64 = 2_082_844_800;
    let unix = ticks - YEAR_1970;
    let fraction = unix.rem_euclid(10_000_000) as u128;
    let fraction = ((fraction << 64) / 10_000_000) as u64;
    (fraction, unix.div_euclid(10_000_000) + SECONDS_1904_TO_1970)
}

/// Seconds since the beginning of the year, UTC.
pub(crate) fn seconds_of_the_year() -> f64 {
    let mut seconds = (now() - YEAR_1970) as f64 / 1e7;
    for year in 1970u32.. {
        let leap =
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let length = if leap { 366.0 } else { 365.0 } * 86_400.0;
        if seconds < length {
            break;
        }
        seconds -= length;
    }
    seconds
}

/// The function of the program that takes a property of a channel.
pub(crate) type SetProperty =
    extern "C" fn(u32, *const c_char, i32, *const c_void, u32, *mut c_void) -> i32;

/// Where the times go: the first sample's and the interval, for each channel.
#[derive(Debug)]
pub(crate) struct Times<'a> {
    pub(crate) first: &'a mut [i64],
    pub(crate) interval: &'a mut [i64],
}

/// Reads scaled samples; `place` takes each channel's.
pub(crate) fn read(
    task: &Task,
    samples: i32,
    timeout: f64,
    capacity: usize,
    times: Option<Times<'_>>,
    properties: Option<(SetProperty, *mut c_void)>,
    place: impl FnOnce(&Claim) -> Result<()>,
) -> Outcome {
    let request = Request {
        samples,
        timeout,
        capacity,
        width: 1,
        family: channel_type::ANALOG_INPUT,
        scalar: false,
        widest: crate::combined::SCALED_ONLY,
    };
    read::finish(task.claim(request), |claim| {
        place(claim)?;
        describe(task, claim, times, properties)
    })
}

/// Hands over when the samples were taken and what their channels are called.
fn describe(
    task: &Task,
    claim: &Claim,
    times: Option<Times<'_>>,
    properties: Option<(SetProperty, *mut c_void)>,
) -> Result<()> {
    let (first, interval) = claim.times();
    if let Some(times) = times {
        times.first.fill(claim.started.saturating_add(first));
        times.interval.fill(interval);
    }
    if let Some((function, data)) = properties {
        for (index, name) in task.names_of(&claim.sources)?.into_iter().enumerate() {
            give(function, data, index, c"NI_ChannelName", &name.0)?;
            if let Some(unit) = name.1 {
                give(function, data, index, c"NI_UnitDescription", unit)?;
            }
        }
    }
    Ok(())
}

/// Reads lines, a byte for each, the highest line of a channel first; `widths` is given the lines of
/// each channel. In the array every channel has as many bytes as the one with the most lines.
pub(crate) fn read_digital(
    task: &Task,
    (samples, timeout, fill): (i32, f64, Fill),
    times: Option<Times<'_>>,
    properties: Option<(SetProperty, *mut c_void)>,
    out: &mut [u8],
    widths: &mut Vec<usize>,
) -> Outcome {
    let width = match task.lines_per_channel() {
        Ok(width) => width,
        Err(error) => {
            return Outcome {
                samples: 0,
                error: Some(error),
            };
        }
    };
    let request = Request {
        samples,
        timeout,
        capacity: out.len(),
        width,
        family: channel_type::DIGITAL_INPUT,
        scalar: false,
        widest: 64,
    };
    read::finish(task.claim(request), |claim| {
        let channels = claim.sources.len();
        out[..claim.count * channels * width].fill(0);
        for (channel, &source) in claim.sources.iter().enumerate() {
            let source = &claim.plan.sources[source];
            let Kind::Digital(lines) = &source.kind else {
                continue;
            };
            let own = lines.lines.len();
            widths.push(own);
            for sample in 0..claim.count {
                let place = match fill {
                    Fill::ByChannel => channel * claim.count + sample,
                    Fill::ByScan => sample * channels + channel,
                };
                let moment = claim.moment(source, claim.first + sample as u64);
                let bytes = &mut out[place * width..place * width + own];
                for (line, byte) in bytes.iter_mut().rev().enumerate() {
                    *byte = u8::from(lines.line(line, moment));
                }
            }
        }
        if let Some((function, data)) = properties {
            for (index, names) in task.line_names(&claim.sources)?.into_iter().enumerate() {
                give(function, data, index, c"NI_LineNames", &names)?;
            }
        }
        describe(task, claim, times, properties)
    })
}

fn give(
    function: SetProperty,
    data: *mut c_void,
    channel: usize,
    property: &std::ffi::CStr,
    value: &str,
) -> Result<()> {
    let mut text = value.as_bytes().to_vec();
    text.push(0);
    let size = text.len() as u32;
    let channel = channel as u32;
    match function(
        channel,
        property.as_ptr(),
        STRING,
        text.as_ptr().cast(),
        size,
        data,
    ) {
        0 => Ok(()),
        _ => Err(Error::new(code::UNEXPECTED).with("Waveform Property", value)),
    }
}

/// All channels into one array.
pub(crate) fn into_array(claim: &Claim, fill: Fill, out: &mut [f64]) -> Result<()> {
    read::fill(claim, fill, out)
}

/// The words for a unit that a waveform carries; `None` where there are none.
pub(crate) fn unit_name(unit: i32) -> Option<&'static str> {
    Some(match unit {
        10348 => "Volts",
        10342 => "Amps",
        10143 => "Deg C",
        10144 => "Deg F",
        10325 => "Kelvins",
        10145 => "Deg R",
        10384 => "Ohms",
        10299 => "Strain",
        10186 => "g",
        10081 => "Pascals",
        15875 => "Newtons",
        15896 => "Volts/Volt",
        15897 => "mVolts/Volt",
        _ => return None,
    })
}
