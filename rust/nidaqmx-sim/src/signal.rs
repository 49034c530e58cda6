//! What the channels measure. Every signal is a pure function of the channel and of the sample's
//! index since the start of the task, so that no sample has to be kept anywhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use crate::wave::{Pulses, Toggles, Wave};
use crate::wire::Sampled;

/// What a channel measures.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// A sine over the channel's minimum and maximum, five degrees further per channel, with noise
    /// of three per cent of full scale.
    Sine,
    /// The checkable pattern: `code = (index + salt(channel, index >> 12)) & 0xFFFF`.
    Pattern,
    /// The same value all the time, in volts.
    Constant(f64),
    /// These codes, again and again.
    Playback(Arc<Vec<i32>>),
    /// These values in the channel's units, again and again, as the nearest codes.
    Values(Arc<Vec<f64>>),
    /// Noise, evenly spread up to so many volts on both sides of zero; the same for the same seed.
    Noise {
        /// The largest deviation from zero, in volts.
        volts: f64,
        /// Chooses one of the noises that there are.
        seed: u32,
    },
    /// A train of pulses, for counters, digital lines and terminals.
    Pulses(Pulses),
    /// Changes at given times, for counters, digital lines and terminals.
    Toggles(Toggles),
    /// What an encoder gives to a counter: its signals A, B and Z.
    Encoder(Box<[Signal; 3]>),
}

impl Signal {
    /// The signal over time, where it is a digital one.
    pub(crate) fn wave(&self) -> Option<Arc<dyn Wave>> {
        match self {
            Self::Pulses(pulses) => Some(Arc::new(*pulses)),
            Self::Toggles(toggles) => Some(Arc::new(toggles.clone())),
            Self::Encoder(signals) => signals[0].wave(),
            _ => None,
        }
    }
}

/// Samples of one salt of the pattern.
pub const PATTERN_BLOCK: u64 = 4096;

/// Samples of one period of the sine; five degrees are 20 samples.
pub const SINE_PERIOD: u64 = 1440;

const NOISE: usize = 1 << 15;
const BLOCK: usize = PATTERN_BLOCK as usize;

/// The salt of the pattern for one channel and one block of 4096 samples.
///
/// With 64-bit wrapping arithmetic: `x = block * 0x9E3779B97F4A7C15 ^ (channel + 1) *
/// 0xD1B54A32D192ED03; x ^= x >> 32; x *= 0xD6E8FEB86659FD93; x ^= x >> 32`, of which the lowest 16
/// bits count. Any lost, doubled, swapped or shifted stretch of samples breaks the run.
#[must_use]
pub const fn salt(channel: u32, block: u64) -> u16 {
    let mut x = block.wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ (channel as u64 + 1).wrapping_mul(0xD1B5_4A32_D192_ED03);
    x ^= x >> 32;
    x = x.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x ^= x >> 32;
    x as u16
}

/// Writes the checkable pattern of a channel from sample `first` on.
pub fn fill_pattern(channel: u32, first: u64, out: &mut [i16]) {
    for_blocks(first, out, |index, run| {
        let start = (index as u16).wrapping_add(salt(channel, index / PATTERN_BLOCK));
        for (offset, code) in run.iter_mut().enumerate() {
            *code = start.wrapping_add(offset as u16) as i16;
        }
    });
}

/// Cuts `out` where blocks of 4096 samples end; hands each run over with its first index.
fn for_blocks<T>(first: u64, mut out: &mut [T], mut run: impl FnMut(u64, &mut [T])) {
    let mut index = first;
    while !out.is_empty() {
        let left = BLOCK - (index as usize & (BLOCK - 1));
        let (now, later) = out.split_at_mut(left.min(out.len()));
        let samples = now.len() as u64;
        run(index, now);
        index = index.wrapping_add(samples);
        out = later;
    }
}

/// Makes the codes of one channel.
#[derive(Debug, Clone)]
pub(crate) enum Generator {
    /// The pattern, moved up by so many bits where the converter has more than 16.
    Pattern {
        channel: u32,
        shift: u32,
    },
    /// A sine from a table of one period (and 4096 samples more), plus noise from a shared table.
    Sine {
        channel: u32,
        period: Arc<[i32]>,
        narrow: Arc<[i16]>,
        noise: Arc<Noise>,
        phase: u64,
    },
    Constant(i32),
    /// Codes that are there already, in both widths.
    Playback {
        wide: Arc<[i32]>,
        narrow: Arc<[i16]>,
    },
    /// What an output puts out.
    Wire(Sampled),
}

impl Generator {
    /// A sine between two codes, with noise of so many codes, clipped to the converter's limits.
    pub(crate) fn sine(channel: u32, low: f64, high: f64, noise: f64, bits: u32) -> Self {
        let full = f64::from(1i32 << (bits - 1));
        let middle = (low + high) / 2.0;
        let swing = (high - low) / 2.0;
        // The noise is added with saturation of the integer type only: keep its room free.
        let room = (full - 1.0 - noise.ceil()).max(0.0);
        let period: Arc<[i32]> = (0..SINE_PERIOD as usize + BLOCK)
            .map(|index| {
                // Reduced first: rounding must not tell one period from the next.
                let turn = (index % SINE_PERIOD as usize) as f64 / SINE_PERIOD as f64
                    * std::f64::consts::TAU;
                (middle + swing * turn.sin()).round().clamp(-room, room) as i32
            })
            .collect();
        let narrow = if bits <= 16 {
            period.iter().map(|&code| code as i16).collect()
        } else {
            Arc::from([])
        };
        Self::Sine {
            channel,
            period,
            narrow,
            noise: Noise::shared(noise.round().max(0.0) as i32),
            phase: u64::from(channel) * (SINE_PERIOD / 72) % SINE_PERIOD,
        }
    }

    /// These codes again and again, for a converter of so many bits.
    pub(crate) fn playback(codes: &[i32], bits: u32) -> Self {
        if codes.is_empty() {
            return Self::Constant(0);
        }
        // Short ones are repeated, so that every read copies long runs.
        let times = BLOCK.div_ceil(codes.len());
        let wide: Arc<[i32]> = codes.repeat(times).into();
        let narrow = if bits <= 16 {
            wide.iter().map(|&code| code as i16).collect()
        } else {
            Arc::from([])
        };
        Self::Playback { wide, narrow }
    }

    /// Noise up to so many codes on both sides of a code.
    pub(crate) fn noise(channel: u32, seed: u32, middle: f64, codes: f64, bits: u32) -> Self {
        // Where a channel enters the table of noise follows from its number.
        let mixed = channel.wrapping_add(seed.wrapping_mul(0x9E37_79B1) & 0x7FFF_FF00);
        match Self::sine(0, middle, middle, codes, bits) {
            Self::Sine {
                period,
                narrow,
                noise,
                ..
            } => Self::Sine {
                channel: mixed,
                period,
                narrow,
                noise,
                phase: 0,
            },
            other => other,
        }
    }

    /// The codes from sample `first` on, for converters of up to 16 bits.
    pub(crate) fn fill_i16(&self, first: u64, out: &mut [i16]) {
        match self {
            Self::Pattern { channel, .. } => fill_pattern(*channel, first, out),
            Self::Sine {
                channel,
                narrow,
                noise,
                phase,
                ..
            } => {
                for_blocks(first, out, |index, run| {
                    let start = ((index + phase) % SINE_PERIOD) as usize;
                    let sine = &narrow[start..start + run.len()];
                    let noise = &noise.narrow[noise.start(*channel, index)..][..run.len()];
                    for ((code, sine), noise) in run.iter_mut().zip(sine).zip(noise) {
                        *code = sine.saturating_add(*noise);
                    }
                });
            }
            Self::Wire(sampled) => sampled.fill(first, out, |code| code as i16),
            Self::Constant(code) => out.fill(*code as i16),
            Self::Playback { narrow, wide } if narrow.is_empty() => {
                for (index, code) in out.iter_mut().enumerate() {
                    *code = wide[((first + index as u64) % wide.len() as u64) as usize] as i16;
                }
            }
            Self::Playback { narrow, .. } => copy_round(narrow, first, out),
        }
    }

    /// The codes from sample `first` on.
    pub(crate) fn fill_i32(&self, first: u64, out: &mut [i32]) {
        match self {
            Self::Pattern { channel, shift } => for_blocks(first, out, |index, run| {
                let start = (index as u16).wrapping_add(salt(*channel, index / PATTERN_BLOCK));
                for (offset, code) in run.iter_mut().enumerate() {
                    *code = i32::from(start.wrapping_add(offset as u16) as i16) << shift;
                }
            }),
            Self::Sine {
                channel,
                period,
                noise,
                phase,
                ..
            } => {
                for_blocks(first, out, |index, run| {
                    let start = ((index + phase) % SINE_PERIOD) as usize;
                    let sine = &period[start..start + run.len()];
                    let noise = &noise.wide[noise.start(*channel, index)..][..run.len()];
                    for ((code, sine), noise) in run.iter_mut().zip(sine).zip(noise) {
                        *code = sine + noise;
                    }
                });
            }
            Self::Wire(sampled) => sampled.fill(first, out, |code| code),
            Self::Constant(code) => out.fill(*code),
            Self::Playback { wide, .. } => copy_round(wide, first, out),
        }
    }
}

/// Copies from a list that begins again at its end.
fn copy_round<T: Copy>(codes: &[T], first: u64, mut out: &mut [T]) {
    let mut start = (first % codes.len() as u64) as usize;
    while !out.is_empty() {
        let count = out.len().min(codes.len() - start);
        let (now, later) = out.split_at_mut(count);
        now.copy_from_slice(&codes[start..start + count]);
        out = later;
        start = 0;
    }
}

/// Noise of a fixed seed: a table that every block of every channel enters at another place.
#[derive(Debug)]
pub(crate) struct Noise {
    narrow: Box<[i16]>,
    wide: Box<[i32]>,
}

impl Noise {
    /// The table of evenly spread codes from `-amplitude` to `amplitude`; one for all that use it.
    fn shared(amplitude: i32) -> Arc<Self> {
        static TABLES: OnceLock<Mutex<HashMap<i32, Weak<Noise>>>> = OnceLock::new();
        let tables = TABLES.get_or_init(Mutex::default);
        let mut tables = tables.lock().unwrap_or_else(|poison| poison.into_inner());
        if let Some(table) = tables.get(&amplitude).and_then(Weak::upgrade) {
            return table;
        }
        tables.retain(|_, table| table.strong_count() > 0);
        let mut state = 0x005E_ED0F_DA09_u64;
        let span = i64::from(amplitude) * 2 + 1;
        let mut wide: Vec<i32> = (0..NOISE)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let spread = (i64::from((state >> 33) as u32) * span) >> 31;
                (spread - i64::from(amplitude)) as i32
            })
            .collect();
        wide.extend_from_within(..BLOCK);
        let narrow = wide
            .iter()
            .map(|&code| code.clamp(-32768, 32767) as i16)
            .collect();
        let table = Arc::new(Self {
            narrow,
            wide: wide.into(),
        });
        tables.insert(amplitude, Arc::downgrade(&table));
        table
    }

    /// Where a run of samples enters the table.
    fn start(&self, channel: u32, index: u64) -> usize {
        let block = usize::from(salt(channel ^ 0x8000, index / PATTERN_BLOCK)) & (NOISE - 1);
        (block + (index as usize & (BLOCK - 1))) & (NOISE - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(generator: &Generator, first: u64, count: usize) -> Vec<i16> {
        let mut out = vec![0; count];
        generator.fill_i16(first, &mut out);
        out
    }

    #[test]
    fn the_pattern_is_its_definition() {
        for (channel, first) in [(0, 0), (3, 4090), (31, 1 << 40), (7, 65_530)] {
            let mut out = vec![0i16; 10_000];
            fill_pattern(channel, first, &mut out);
            for (offset, code) in out.iter().enumerate() {
                let index = first + offset as u64;
                let expected = (index + u64::from(salt(channel, index >> 12))) & 0xFFFF;
                assert_eq!(*code as u16, expected as u16);
            }
        }
        assert_ne!(salt(0, 0), salt(1, 0));
        assert_ne!(salt(0, 0), salt(0, 1));
    }

    #[test]
    fn signals_depend_on_the_index_alone() {
        let signals = [
            Generator::Pattern {
                channel: 2,
                shift: 0,
            },
            Generator::sine(3, -32000.0, 32000.0, 1000.0, 16),
            // Halves of codes at 30 degrees, which a bit of rounding tips over.
            Generator::sine(0, -16385.0, 16385.0, 0.0, 16),
            Generator::Constant(5),
            Generator::playback(&[1, 2, 3], 16),
            Generator::playback(&(0..5000).collect::<Vec<_>>(), 16),
            Generator::noise(3, 7, 0.0, 1000.0, 16),
        ];
        for generator in &signals {
            let whole = codes(generator, 1000, 20_000);
            let mut parts = codes(generator, 1000, 7);
            parts.extend(codes(generator, 1007, 9_993));
            for part in 0..100 {
                parts.extend(codes(generator, 11_000 + part * 100, 100));
            }
            assert!(whole == parts, "{generator:?} depends on how it is read");
            let mut wide = vec![0i32; 20_000];
            generator.fill_i32(1000, &mut wide);
            assert!(
                wide.iter()
                    .zip(&whole)
                    .all(|(wide, narrow)| *wide == i32::from(*narrow))
            );
        }
    }

    #[test]
    fn the_sine_fills_its_range_and_moves_five_degrees_per_channel() {
        let quiet = |channel| {
            codes(
                &Generator::sine(channel, -20000.0, 20000.0, 0.0, 16),
                0,
                5760,
            )
        };
        let first = quiet(0);
        assert_eq!(
            (first.iter().min(), first.iter().max()),
            (Some(&-20000), Some(&20000))
        );
        assert_eq!(first[20..1460], quiet(1)[..1440]);
        let noisy = codes(&Generator::sine(0, -20000.0, 20000.0, 600.0, 16), 0, 5760);
        let largest = first.iter().zip(&noisy).map(|(a, b)| (a - b).abs()).max();
        assert!(largest.is_some_and(|largest| (500..=600).contains(&largest)));
    }

    #[test]
    fn wide_patterns_keep_the_pattern_in_the_top_bits() {
        let mut wide = vec![0i32; 100];
        Generator::Pattern {
            channel: 1,
            shift: 8,
        }
        .fill_i32(50, &mut wide);
        let mut narrow = vec![0i16; 100];
        fill_pattern(1, 50, &mut narrow);
        assert!(
            wide.iter()
                .zip(&narrow)
                .all(|(wide, narrow)| wide >> 8 == i32::from(*narrow))
        );
    }
}
