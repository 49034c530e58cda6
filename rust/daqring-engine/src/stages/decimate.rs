use daqring_log::{DataType, GroupSpec, LOST_UNKNOWN, Scale};

use crate::samples::{Float, coefficients, physical};
use crate::{
    Arrival, BlockView, DerivedBlock, EngineError, Kernel, Layout, Outlet, Parcel, SettleError,
    Settlement, Stage, StageError, StageOutput, dispatch, own,
};

/// A low-pass filter for a reduction of the rate by a whole factor.
///
/// Kaiser's method (J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh window
/// function", 1974): a sinc cut off in the middle of the transition, under a Kaiser window. With
/// `f` the new Nyquist frequency, the pass band is 0 to `0.8 f` and the stop band begins at `f`, so
/// that nothing folds back into the new band but what is attenuated by `attenuation` or more. The
/// ripple of the pass band is about the same in linear terms: 80 dB are 1e-4, which is 0.001 dB.
#[derive(Debug, Clone, PartialEq)]
pub struct FilterDesign {
    /// The taps: odd in number, symmetric, of sum 1.
    pub taps: Vec<f64>,
}

impl FilterDesign {
    /// The edge of the pass band, as part of the new Nyquist frequency.
    pub const PASS: f64 = 0.8;

    /// For a reduction by `factor`, with so many dB of attenuation (40 to 140).
    pub fn new(factor: u64, attenuation: f64) -> Self {
        // Kaiser's estimates fall short of what they promise by up to 0.7 dB.
        let attenuation = attenuation + 1.0;
        let new_nyquist = 1.0 / factor as f64;
        let width = (1.0 - Self::PASS) * new_nyquist;
        let cutoff = f64::midpoint(1.0, Self::PASS) * new_nyquist;
        // Kaiser's estimates of the number of taps and of beta.
        let count = (attenuation - 7.95) / (2.285 * std::f64::consts::PI * width);
        let half = (count / 2.0).ceil() as i64;
        let beta = if attenuation > 50.0 {
            0.1102 * (attenuation - 8.7)
        } else {
            0.5842 * (attenuation - 21.0).powf(0.4) + 0.078_86 * (attenuation - 21.0)
        };
        let mut taps: Vec<f64> = (-half..=half)
            .map(|k| {
                let k = k as f64;
                let x = std::f64::consts::PI * cutoff * k;
                let sinc = if k == 0.0 { 1.0 } else { x.sin() / x };
                let r = k / half as f64;
                cutoff * sinc * bessel_i0(beta * (1.0 - r * r).max(0.0).sqrt()) / bessel_i0(beta)
            })
            .collect();
        let sum: f64 = taps.iter().sum();
        for tap in &mut taps {
            *tap /= sum;
        }
        Self { taps }
    }

    fn half(&self) -> u64 {
        self.taps.len() as u64 / 2
    }
}

/// The modified Bessel function of the first kind and order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

/// Every `factor`-th sample behind an anti-alias filter, see [`FilterDesign`], as float64 or float32
/// in the channel's units.
///
/// The filter has no delay: sample `i` is the filtered signal at the source's sample `i * factor`.
/// Only samples whose whole neighbourhood was recorded are given out, so the stream begins, and goes
/// on after a gap, half a filter later, and ends half a filter earlier than its source.
pub struct Decimate {
    layout: Layout,
    name: String,
    factor: u64,
    output: GroupSpec,
    filter: FilterDesign,
    coefficients: Vec<Vec<f64>>,
    data_type: DataType,
    checksum: bool,
}

#[derive(Default)]
struct Filtered {
    /// Index of the first sample of `before`, or of the block where that is empty.
    first: u64,
    /// What came right before the block, channel by channel.
    before: Vec<u8>,
    values: Vec<f64>,
    filtered: Vec<f64>,
    phase: Vec<f64>,
    data: Vec<u8>,
    first_output: u64,
    outputs: u64,
    crc32c: Option<u32>,
}

impl Decimate {
    /// By `factor` (2 to 10,000), with `attenuation` dB (40 to 140) in the stop band.
    ///
    /// # Errors
    /// When an argument is out of range.
    pub fn new(
        layout: Layout,
        name: &str,
        factor: u64,
        attenuation: f64,
        data_type: DataType,
    ) -> Result<Self, EngineError> {
        let refuse = |what: String| Err(EngineError::Options(what));
        layout.steady("decimation")?;
        if !(2..=10_000).contains(&factor) {
            return refuse(format!(
                "the rate is reduced by a factor of 2 to 10,000, not {factor}"
            ));
        }
        if !(40.0..=140.0).contains(&attenuation) {
            return refuse(format!(
                "the attenuation is 40 to 140 dB, not {attenuation}"
            ));
        }
        if !matches!(data_type, DataType::F32 | DataType::F64) {
            return refuse(format!(
                "decimated samples are float64 or float32, not {data_type}"
            ));
        }
        let channels = layout
            .channels()
            .iter()
            .map(|channel| {
                let mut output = channel.clone();
                output.data_type = data_type;
                output.scale = Scale::None;
                output
            })
            .collect();
        Ok(Self {
            output: layout.derive(name, channels, factor),
            coefficients: layout
                .channels()
                .iter()
                .map(|channel| coefficients(&channel.scale))
                .collect(),
            layout,
            name: name.to_owned(),
            factor,
            filter: FilterDesign::new(factor, attenuation),
            data_type,
            checksum: false,
        })
    }

    /// Whether it computes the checksums of its blocks, so that the writer thread need not.
    #[must_use]
    pub fn with_checksum(mut self, checksum: bool) -> Self {
        self.checksum = checksum;
        self
    }

    /// Its filter.
    pub fn filter(&self) -> &FilterDesign {
        &self.filter
    }
}

impl Stage for Decimate {
    fn name(&self) -> &str {
        &self.name
    }

    fn output(&self) -> Option<&GroupSpec> {
        Some(&self.output)
    }

    fn parcel(&self) -> Parcel {
        Box::new(Filtered::default())
    }

    fn arrival(&self) -> Option<Box<dyn Arrival>> {
        let channels = self.layout.channels().len();
        Some(Box::new(Neighbourhood {
            layout: self.layout.clone(),
            keep: 2 * self.filter.half(),
            before: vec![Vec::new(); channels],
            next: None,
        }))
    }

    fn run(
        &self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        _: &mut StageOutput,
    ) -> Result<(), StageError> {
        let parcel = own::<Filtered>(parcel);
        let (begin, end) = (
            block.header.first_sample,
            block.header.first_sample + block.header.samples,
        );
        let half = self.filter.half();
        // Centres whose neighbourhood ends in this block, and begins no earlier than what we have.
        let from = begin.saturating_sub(half).max(parcel.first + half);
        let first_output = from.div_ceil(self.factor);
        let outputs = match end.checked_sub(1 + half) {
            Some(last) => (last / self.factor + 1).saturating_sub(first_output),
            None => 0,
        };
        parcel.first_output = first_output;
        parcel.outputs = outputs;
        parcel.data.clear();
        if outputs == 0 {
            return Ok(());
        }
        let samples = block.samples();
        let channels = self.coefficients.len();
        let before = (begin - parcel.first) as usize;
        let (count, size) = (outputs as usize, self.data_type.size().unwrap_or(8));
        parcel.data.resize(channels * count * size, 0);
        parcel.values.resize(before + samples, 0.0);
        parcel.filtered.resize(count, 0.0);
        let start = (first_output * self.factor - half - parcel.first) as usize;
        for (channel, out) in parcel.data.chunks_exact_mut(count * size).enumerate() {
            let scale = &self.coefficients[channel];
            let kind = self.layout.data_type();
            let (old, new) = parcel.values.split_at_mut(before);
            physical(
                kind,
                self.layout.run(&parcel.before, before, channel),
                scale,
                old,
            );
            physical(
                kind,
                self.layout.run(block.data, samples, channel),
                scale,
                new,
            );
            dispatch(Convolution {
                values: &parcel.values[start..],
                taps: &self.filter.taps,
                factor: self.factor as usize,
                out: &mut parcel.filtered,
                phase: &mut parcel.phase,
            });
            match self.data_type {
                DataType::F32 => store::<f32>(&parcel.filtered, out),
                _ => store::<f64>(&parcel.filtered, out),
            }
        }
        parcel.crc32c = self.checksum.then(|| daqring_log::crc32c(&parcel.data));
        Ok(())
    }

    fn settlement(&self) -> Option<Box<dyn Settlement>> {
        Some(Box::new(Continuation {
            next: None,
            unknown: false,
            gap: 0,
        }))
    }
}

fn store<F: Float>(values: &[f64], out: &mut [u8]) {
    for (out, &value) in F::places(out).iter_mut().zip(values) {
        F::store(value, out);
    }
}

/// Outputs that are worked on together: they and what they are made of stay in the nearest cache.
const TOGETHER: usize = 1024;

/// In polyphase form: of the samples that a tap meets, one in `factor`, those of one remainder are laid
/// next to each other first, so that the inner loops run over outputs, without gaps, as vectors.
struct Convolution<'a> {
    /// From the first sample of the first output's neighbourhood on.
    values: &'a [f64],
    taps: &'a [f64],
    factor: usize,
    out: &'a mut [f64],
    phase: &'a mut Vec<f64>,
}

impl Kernel for Convolution<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self {
            values,
            taps,
            factor,
            out,
            phase,
        } = self;
        out.fill(0.0);
        if out.is_empty() {
            return;
        }
        let last = (out.len() - 1) * factor + taps.len() - 1;
        for remainder in 0..factor.min(taps.len()) {
            phase.clear();
            phase.extend(values[remainder..=last].iter().step_by(factor));
            let own_taps = taps[remainder..].iter().step_by(factor).count();
            let tap = |number: usize| taps[remainder + number * factor];
            for (number, out) in out.chunks_mut(TOGETHER).enumerate() {
                let phase = &phase[number * TOGETHER..];
                let mut first = 0;
                while first + 4 <= own_taps {
                    let taps = [tap(first), tap(first + 1), tap(first + 2), tap(first + 3)];
                    add_four(out, &phase[first..], taps);
                    first += 4;
                }
                while first < own_taps {
                    add_one(out, &phase[first..], tap(first));
                    first += 1;
                }
            }
        }
    }
}

#[inline(always)]
fn add_four(out: &mut [f64], phase: &[f64], taps: [f64; 4]) {
    let count = out.len();
    let (a, b) = (&phase[..count], &phase[1..][..count]);
    let (c, d) = (&phase[2..][..count], &phase[3..][..count]);
    for i in 0..count {
        out[i] += (taps[0] * a[i] + taps[1] * b[i]) + (taps[2] * c[i] + taps[3] * d[i]);
    }
}

#[inline(always)]
fn add_one(out: &mut [f64], phase: &[f64], tap: f64) {
    for (out, value) in out.iter_mut().zip(phase) {
        *out += tap * value;
    }
}

/// Keeps what the next block's filter needs of the blocks before it.
struct Neighbourhood {
    layout: Layout,
    keep: u64,
    /// Per channel.
    before: Vec<Vec<u8>>,
    /// The sample after the last one kept.
    next: Option<u64>,
}

impl Arrival for Neighbourhood {
    fn arrive(&mut self, block: &BlockView<'_>, parcel: &mut Parcel) -> Result<(), StageError> {
        let header = block.header;
        let goes_on =
            header.gap == 0 && header.lost_before == 0 && self.next == Some(header.first_sample);
        if !goes_on {
            self.before.iter_mut().for_each(Vec::clear);
        }
        let size = self.layout.sample_bytes();
        let parcel = own::<Filtered>(parcel);
        parcel.first = header.first_sample - (self.before[0].len() / size) as u64;
        parcel.before.clear();
        let samples = block.samples();
        let keep = usize::try_from(self.keep).unwrap_or(usize::MAX) * size;
        for (channel, before) in self.before.iter_mut().enumerate() {
            parcel.before.extend_from_slice(before);
            let run = self.layout.run(block.data, samples, channel);
            if run.len() >= keep {
                before.clear();
                before.extend_from_slice(&run[run.len() - keep..]);
            } else {
                let surplus = (before.len() + run.len()).saturating_sub(keep);
                before.drain(..surplus);
                before.extend_from_slice(run);
            }
        }
        self.next = Some(header.first_sample + header.samples);
        Ok(())
    }
}

/// Gives out what was computed, and tells what is missing.
struct Continuation {
    next: Option<u64>,
    unknown: bool,
    gap: u32,
}

impl Settlement for Continuation {
    fn settle(
        &mut self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), SettleError> {
        let header = block.header;
        if header.gap != 0 || header.lost_before != 0 {
            self.gap = header.gap;
            self.unknown |= header.lost_before == LOST_UNKNOWN;
        }
        let parcel = own::<Filtered>(parcel);
        if parcel.outputs == 0 {
            return Ok(());
        }
        let lost = match self.next {
            None => 0,
            Some(_) if self.unknown => LOST_UNKNOWN,
            Some(next) => parcel.first_output.saturating_sub(next),
        };
        self.unknown = false;
        let gap = std::mem::take(&mut self.gap);
        self.next = Some(parcel.first_output + parcel.outputs);
        Ok(outlet.block(&DerivedBlock {
            first_sample: parcel.first_output,
            samples: parcel.outputs,
            lost_before: lost,
            gap: if lost == 0 { 0 } else { gap },
            host_time_ns: header.host_time_ns,
            record: None,
            crc32c: parcel.crc32c,
            data: &parcel.data,
        })?)
    }
}
