//! Read functions: samples straight into the caller's array.

use crate::channel::channel_type;
use crate::counter::{Counter, Moment};
use crate::error::{Error, Result, code};
use crate::plan::{Kind, Source};
use crate::task::{Claim, Request, Task};

/// How an array of several channels is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// All samples of the first channel, then all of the second; as many per channel as were read.
    ByChannel,
    /// The first sample of every channel, then the second of every channel.
    ByScan,
}

impl Fill {
    pub(crate) fn new(mode: u32) -> Result<Self> {
        match mode {
            0 => Ok(Self::ByChannel),
            1 => Ok(Self::ByScan),
            other => Err(Error::new(code::INVALID_ATTRIBUTE_VALUE)
                .with("Parameter", "fillMode")
                .with("Requested Value", other)),
        }
    }
}

/// Samples handled at a time where they cannot go straight to their place.
const CHUNK: usize = 4096;

/// A type that samples are read as.
pub(crate) trait Sample: Copy + Default {
    /// Bits of the widest raw sample that can be read as this type.
    const WIDEST: u32;
    /// Writes the samples from `first` on.
    fn fill_analog(source: &Source, first: u64, out: &mut [Self]);
    /// A sample of a digital input or a counter.
    fn from_number(number: u32) -> Self;
    /// A sample of a counter.
    fn from_counter(counter: &Counter, moment: Moment) -> Self {
        Self::from_number(counter.raw(moment))
    }

    /// Writes the samples of any source from `first` on.
    fn fill(claim: &Claim, source: &Source, first: u64, out: &mut [Self]) {
        let indices = first..;
        match &source.kind {
            Kind::Analog => claim.fill_ticks(first, out, |first, out| {
                Self::fill_analog(source, first, out);
            }),
            Kind::Counter(counter) => {
                for (index, sample) in indices.zip(out) {
                    *sample = Self::from_counter(counter, claim.moment(source, index));
                }
            }
            Kind::Digital(_) => {
                for (index, sample) in indices.zip(out) {
                    *sample = Self::from_number(source.number(claim.moment(source, index)));
                }
            }
        }
    }
}

impl Sample for f64 {
    const WIDEST: u32 = crate::combined::SCALED_ONLY;

    fn from_number(number: u32) -> Self {
        f64::from(number)
    }

    fn from_counter(counter: &Counter, moment: Moment) -> Self {
        counter.value(moment)
    }

    fn fill_analog(source: &Source, first: u64, out: &mut [Self]) {
        source.fill_f64(first, out);
    }
}

impl Sample for i16 {
    const WIDEST: u32 = 16;

    fn from_number(number: u32) -> Self {
        number as i16
    }

    fn fill_analog(source: &Source, first: u64, out: &mut [Self]) {
        source.generator.fill_i16(first, out);
    }
}

impl Sample for i32 {
    const WIDEST: u32 = 64;

    fn from_number(number: u32) -> Self {
        number as i32
    }

    fn fill_analog(source: &Source, first: u64, out: &mut [Self]) {
        source.generator.fill_i32(first, out);
    }
}

impl Sample for u16 {
    const WIDEST: u32 = 16;

    fn from_number(number: u32) -> Self {
        number as u16
    }

    fn fill_analog(source: &Source, first: u64, out: &mut [Self]) {
        let mut codes = [0i16; CHUNK];
        let mut index = first;
        for part in out.chunks_mut(CHUNK) {
            source.generator.fill_i16(index, &mut codes[..part.len()]);
            part.iter_mut()
                .zip(&codes)
                .for_each(|(out, code)| *out = *code as u16);
            index += part.len() as u64;
        }
    }
}

impl Sample for u32 {
    const WIDEST: u32 = 64;

    fn from_number(number: u32) -> Self {
        number
    }

    fn fill_analog(source: &Source, first: u64, out: &mut [Self]) {
        let mut codes = [0i32; CHUNK];
        let mut index = first;
        for part in out.chunks_mut(CHUNK) {
            source.generator.fill_i32(index, &mut codes[..part.len()]);
            part.iter_mut()
                .zip(&codes)
                .for_each(|(out, code)| *out = *code as u32);
            index += part.len() as u64;
        }
    }
}

impl Sample for u8 {
    const WIDEST: u32 = 8;

    fn from_number(number: u32) -> Self {
        number as u8
    }

    /// Never reached: only digital inputs are read as bytes.
    fn fill_analog(_: &Source, _: u64, out: &mut [Self]) {
        out.fill(0);
    }
}

/// Writes claimed samples. `out` has room for at least `count * channels` of them.
pub(crate) fn fill<T: Sample>(claim: &Claim, mode: Fill, out: &mut [T]) -> Result<()> {
    let channels = claim.sources.len();
    let sources = claim
        .sources
        .iter()
        .map(|&index| &claim.plan.sources[index]);
    let out = out
        .get_mut(..claim.count * channels)
        .ok_or_else(|| Error::new(code::READ_BUFFER_TOO_SMALL))?;
    if claim.count == 0 {
        return Ok(());
    }
    match mode {
        Fill::ByChannel => {
            for (source, run) in sources.zip(out.chunks_exact_mut(claim.count)) {
                T::fill(claim, source, claim.first, run);
            }
        }
        Fill::ByScan if channels == 1 => {
            sources.for_each(|source| T::fill(claim, source, claim.first, out));
        }
        Fill::ByScan => {
            let mut chunk = vec![T::default(); CHUNK.min(claim.count)];
            let mut first = claim.first;
            for scans in out.chunks_mut(CHUNK * channels) {
                let chunk = &mut chunk[..scans.len() / channels];
                for (channel, source) in sources.clone().enumerate() {
                    T::fill(claim, source, first, chunk);
                    for (scan, sample) in scans.chunks_exact_mut(channels).zip(chunk.iter()) {
                        scan[channel] = *sample;
                    }
                }
                first += chunk.len() as u64;
            }
        }
    }
    Ok(())
}

/// What came of a read: samples per channel, and an error that may come with them.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) samples: usize,
    pub(crate) error: Option<Error>,
}

/// Reads into an array.
pub(crate) fn read<T: Sample>(
    task: &Task,
    samples: i32,
    timeout: f64,
    mode: Result<Fill>,
    out: &mut [T],
    family: i32,
    scalar: bool,
) -> Outcome {
    let mode = match mode {
        Ok(mode) => mode,
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
        width: 1,
        family,
        scalar,
        widest: T::WIDEST,
    };
    finish(task.claim(request), |claim| fill(claim, mode, out))
}

/// Reads voltages and currents of power supplies, each into an array of its own.
pub(crate) fn read_power<T: Sample>(
    task: &Task,
    samples: i32,
    timeout: f64,
    mode: Result<Fill>,
    voltages: &mut [T],
    currents: &mut [T],
) -> Outcome {
    let refuse = |error| Outcome {
        samples: 0,
        error: Some(error),
    };
    let mode = match mode {
        Ok(mode) => mode,
        Err(error) => return refuse(error),
    };
    if !task.is_power() {
        return refuse(Error::new(code::WRONG_READ_FUNCTION));
    }
    let request = Request {
        samples,
        timeout,
        capacity: voltages.len().min(currents.len()),
        width: 1,
        family: channel_type::ANALOG_INPUT,
        scalar: false,
        widest: crate::combined::PAIR,
    };
    finish(task.claim(request), |claim| {
        fill(claim, mode, voltages)?;
        let channels = claim.sources.len();
        let mut one = vec![T::default(); claim.count];
        for (channel, &index) in claim.sources.iter().enumerate() {
            let source = &claim.plan.sources[index];
            let Some(current) = source.combined.as_ref().and_then(|all| all.others.first()) else {
                return Err(Error::new(code::WRONG_READ_FUNCTION));
            };
            T::fill(claim, current, claim.first, &mut one);
            for (sample, value) in one.iter().enumerate() {
                let place = match mode {
                    Fill::ByChannel => channel * claim.count + sample,
                    Fill::ByScan => sample * channels + channel,
                };
                currents[place] = *value;
            }
        }
        Ok(())
    })
}

/// Reads the samples as the device sends them, scan by scan. Gives the bytes of one sample, too.
pub(crate) fn read_raw(
    task: &Task,
    samples: i32,
    timeout: f64,
    out: &mut [u8],
) -> (Outcome, usize) {
    let mut width = match task.raw_width() {
        Ok(width) => width,
        Err(error) => {
            return (
                Outcome {
                    samples: 0,
                    error: Some(error),
                },
                0,
            );
        }
    };
    let request = Request {
        samples,
        timeout,
        capacity: out.len(),
        width,
        family: 0,
        scalar: false,
        widest: 64,
    };
    let outcome = finish(task.claim(request), |claim| {
        width = claim.raw_width();
        let elements = claim.count * claim.sources.len();
        if width == 1 {
            let mut codes = vec![0u8; elements];
            fill(claim, Fill::ByScan, &mut codes)?;
            copy_bytes(out, &codes, u8::to_ne_bytes);
        } else if width == 2 {
            let mut codes = vec![0i16; elements];
            fill(claim, Fill::ByScan, &mut codes)?;
            copy_bytes(out, &codes, i16::to_ne_bytes);
        } else {
            let mut codes = vec![0i32; elements];
            fill(claim, Fill::ByScan, &mut codes)?;
            copy_bytes(out, &codes, i32::to_ne_bytes);
        }
        Ok(())
    });
    (outcome, width)
}

fn copy_bytes<T: Copy, const N: usize>(out: &mut [u8], codes: &[T], bytes: impl Fn(T) -> [u8; N]) {
    for (place, code) in out.chunks_exact_mut(N).zip(codes) {
        place.copy_from_slice(&bytes(*code));
    }
}

pub(crate) fn finish(
    (claim, error): (Option<Claim>, Option<Error>),
    write: impl FnOnce(&Claim) -> Result<()>,
) -> Outcome {
    match claim {
        None => Outcome { samples: 0, error },
        Some(claim) => match write(&claim) {
            Ok(()) => Outcome {
                samples: claim.count,
                error,
            },
            Err(error) => Outcome {
                samples: 0,
                error: Some(error),
            },
        },
    }
}

/// Reads pulses: `place` is given where each sample belongs, its counter and its moment.
pub(crate) fn read_pulses(
    task: &Task,
    samples: i32,
    timeout: f64,
    fill: Fill,
    size: u32,
    scalar: bool,
    mut place: impl FnMut(usize, &Counter, Moment),
) -> Outcome {
    let request = Request {
        samples,
        timeout,
        capacity: size as usize,
        width: 1,
        family: channel_type::COUNTER_INPUT,
        scalar,
        widest: 64,
    };
    finish(task.claim(request), |claim| {
        let channels = claim.sources.len();
        for (channel, &source) in claim.sources.iter().enumerate() {
            let source = &claim.plan.sources[source];
            let Kind::Counter(counter) = &source.kind else {
                continue;
            };
            for sample in 0..claim.count {
                let at = match fill {
                    Fill::ByChannel => channel * claim.count + sample,
                    Fill::ByScan => sample * channels + channel,
                };
                let moment = claim.moment(source, claim.first + sample as u64);
                place(at, counter, moment);
            }
        }
        Ok(())
    })
}

/// Reads digital lines, a byte for each. Gives the bytes of a sample of a channel, too: as many as
/// the channel with the most lines has; the others are filled up with zeros.
pub(crate) fn read_lines(
    task: &Task,
    samples: i32,
    timeout: f64,
    mode: Result<Fill>,
    out: &mut [u8],
) -> (Outcome, usize) {
    let outcome = mode.and_then(|mode| Ok((mode, task.lines_per_channel()?)));
    let (mode, width) = match outcome {
        Ok(found) => found,
        Err(error) => {
            return (
                Outcome {
                    samples: 0,
                    error: Some(error),
                },
                0,
            );
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
    let outcome = finish(task.claim(request), |claim| {
        let channels = claim.sources.len();
        out[..claim.count * channels * width].fill(0);
        for (channel, &source) in claim.sources.iter().enumerate() {
            let Kind::Digital(lines) = &claim.plan.sources[source].kind else {
                continue;
            };
            for sample in 0..claim.count {
                let place = match mode {
                    Fill::ByChannel => channel * claim.count + sample,
                    Fill::ByScan => sample * channels + channel,
                };
                let moment = claim.moment(&claim.plan.sources[source], claim.first + sample as u64);
                let bytes = &mut out[place * width..(place + 1) * width];
                for (line, byte) in bytes.iter_mut().enumerate().take(lines.lines.len()) {
                    *byte = u8::from(lines.line(line, moment));
                }
            }
        }
        Ok(())
    });
    (outcome, width)
}
