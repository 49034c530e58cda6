//! Waveform reads: scaled samples with the time of the first one, the interval and the properties of
//! each channel.

use std::ffi::{c_char, c_void};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::channel::channel_type;
use crate::error::{Error, Result, code};
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
