//! Write functions: from the caller's arrays to the numbers that outputs take.

use crate::channel::Channel;
use crate::digital;
use crate::error::{Error, Result, code};
use crate::output::{Converter, attr};
use crate::pulse::Ticks;
use crate::read::Fill;

/// Puts an array into the order of samples: all channels of the first, then of the second.
/// `numbers` takes one channel's elements of one sample, `width` of them.
fn by_sample<T>(
    channels: usize,
    samples: usize,
    width: usize,
    fill: Fill,
    data: &[T],
    mut each: impl FnMut(usize, &[T]) -> Result<()>,
) -> Result<()> {
    for sample in 0..samples {
        for channel in 0..channels {
            let place = match fill {
                Fill::ByChannel => channel * samples + sample,
                Fill::ByScan => sample * channels + channel,
            };
            let place = place * width;
            let elements = data
                .get(place..place + width)
                .ok_or_else(|| Error::new(code::NULL_POINTER).with("Parameter", "writeArray"))?;
            each(channel, elements)?;
        }
    }
    Ok(())
}

fn converters(channels: &[Channel]) -> Result<Vec<Converter>> {
    channels.iter().map(Converter::new).collect()
}

/// Values in the channels' units.
pub(crate) fn scaled(
    channels: &[Channel],
    samples: usize,
    fill: Fill,
    data: &[f64],
) -> Result<Vec<f64>> {
    let converters = converters(channels)?;
    let mut numbers = Vec::with_capacity(data.len());
    by_sample(channels.len(), samples, 1, fill, data, |channel, value| {
        let volts = converters[channel].scaled(value[0]).ok_or_else(|| {
            Error::new(code::INVALID_AO_DATA)
                .with("Attempted to Write", format!("{:?}", value[0]))
                .with("Channel Name", &channels[channel].name)
        })?;
        numbers.push(volts);
        Ok(())
    })?;
    Ok(numbers)
}

/// Codes of the converters. Unsigned ones carry the bits of the signed ones.
pub(crate) fn codes<T: Copy>(
    channels: &[Channel],
    samples: usize,
    fill: Fill,
    data: &[T],
    signed: impl Fn(T) -> i32,
) -> Result<Vec<f64>> {
    let converters = converters(channels)?;
    let mut numbers = Vec::with_capacity(data.len());
    by_sample(channels.len(), samples, 1, fill, data, |channel, value| {
        let code = signed(value[0]);
        let volts = converters[channel].code(code).ok_or_else(|| {
            Error::new(code::INVALID_AO_DATA)
                .with("Attempted to Write", code)
                .with("Channel Name", &channels[channel].name)
        })?;
        numbers.push(volts);
        Ok(())
    })?;
    Ok(numbers)
}

/// Numbers with a bit for each line, where it stands in its port. `bits` is the width of the type.
pub(crate) fn ports<T: Copy>(
    channels: &[Channel],
    samples: usize,
    fill: Fill,
    data: &[T],
    bits: u32,
    number: impl Fn(T) -> u32,
) -> Result<Vec<f64>> {
    if let Some(channel) = channels
        .iter()
        .find(|channel| digital::width(&channel.lines) > bits)
    {
        return Err(Error::new(code::CHANNEL_TOO_BIG_FOR_WRITE)
            .with("Lines in Channel", channel.lines.len())
            .with("Channel Name", &channel.name));
    }
    let mut numbers = Vec::with_capacity(data.len());
    by_sample(channels.len(), samples, 1, fill, data, |_, value| {
        numbers.push(f64::from(number(value[0])));
        Ok(())
    })?;
    Ok(numbers)
}

/// Bytes that a sample of a channel takes in a write of lines: as many as the widest channel has.
pub(crate) fn lines_width(channels: &[Channel]) -> usize {
    channels
        .iter()
        .map(|channel| channel.lines.len())
        .max()
        .unwrap_or(0)
}

/// A byte for each line; zero is low.
pub(crate) fn lines(
    channels: &[Channel],
    samples: usize,
    fill: Fill,
    data: &[u8],
    width: usize,
) -> Result<Vec<f64>> {
    let places: Vec<_> = channels
        .iter()
        .map(|channel| digital::places(&channel.lines))
        .collect();
    let mut numbers = Vec::with_capacity(samples * channels.len());
    by_sample(
        channels.len(),
        samples,
        width,
        fill,
        data,
        |channel, bytes| {
            let number = places[channel]
                .iter()
                .zip(bytes)
                .filter(|(_, byte)| **byte != 0)
                .fold(0u32, |number, (place, _)| number | 1 << (place & 31));
            numbers.push(f64::from(number));
            Ok(())
        },
    )?;
    Ok(numbers)
}

/// Pulses: two arrays of numbers, of the kind that `output` names.
pub(crate) fn pulses<T: Copy + Into<f64>>(
    channels: &[Channel],
    samples: usize,
    fill: Fill,
    output: i32,
    first: &[T],
    second: &[T],
) -> Result<Vec<f64>> {
    let mut numbers = Vec::with_capacity(first.len() * 2);
    let mut others = Vec::with_capacity(first.len());
    by_sample(channels.len(), samples, 1, fill, second, |_, value| {
        others.push(value[0].into());
        Ok(())
    })?;
    let mut others = others.into_iter();
    by_sample(channels.len(), samples, 1, fill, first, |channel, value| {
        let channel = &channels[channel];
        if channel.integer(attr::CO_OUTPUT_TYPE) != output {
            return Err(Error::new(code::WRITE_CHAN_TYPE_MISMATCH)
                .with("Property", "DAQmx_CO_OutputType")
                .with("Channel Name", &channel.name));
        }
        let one: f64 = value[0].into();
        let other = others.next().unwrap_or(0.0);
        Ticks::written(output, channel.number(attr::CO_TIMEBASE_RATE), one, other)?;
        numbers.extend([one, other]);
        Ok(())
    })?;
    Ok(numbers)
}
