use std::marker::PhantomData;

use daqring_log::GroupSpec;

use super::bins::{Binning, Part, Parts};
use super::extremes::Extremes;
use crate::samples::{Sample, coefficients, direction, for_type};
use crate::{
    BlockView, EngineError, Layout, Parcel, Settlement, Stage, StageError, StageOutput, dispatch,
    own,
};

/// The least and the greatest of every so many samples of each channel, for display: a line drawn
/// through them looks like the signal however many samples lie in a pixel.
///
/// Puts out two channels per channel, `<name> min` and `<name> max`, of the source's data type and
/// with its scale, at the source's rate divided by `every`.
pub struct Envelope {
    layout: Layout,
    name: String,
    every: u64,
    output: GroupSpec,
    /// Per channel: whether greater codes are greater values.
    rising: Vec<bool>,
}

#[derive(Clone)]
struct Range<S> {
    low: S,
    high: S,
}

impl<S: Sample> Part for Range<S> {
    fn merge(&mut self, later: &Self) {
        if later.low < self.low {
            self.low = later.low;
        }
        if later.high > self.high {
            self.high = later.high;
        }
    }
}

impl Envelope {
    /// Bins of `every` samples.
    ///
    /// # Errors
    /// When `every` is 0, or a channel's scale is neither increasing nor decreasing.
    pub fn new(layout: Layout, name: &str, every: u64) -> Result<Self, EngineError> {
        layout.steady("an envelope")?;
        if every == 0 {
            return Err(EngineError::Options(
                "an envelope needs bins of at least one sample".into(),
            ));
        }
        let mut rising = Vec::new();
        let mut channels = Vec::new();
        for channel in layout.channels() {
            let slope = direction(layout.data_type(), &coefficients(&channel.scale));
            rising.push(slope.ok_or_else(|| {
                EngineError::Options(format!(
                    "no envelope of channel '{}' can be made from its codes, because its scale is \
                     not monotonic; record it as float64",
                    channel.name
                ))
            })?);
            for suffix in ["min", "max"] {
                let mut output = channel.clone();
                output.name = format!("{} {suffix}", channel.name);
                channels.push(output);
            }
        }
        Ok(Self {
            output: layout.derive(name, channels, every),
            layout,
            name: name.to_owned(),
            every,
            rising,
        })
    }

    fn fill<S: Sample>(&self, block: &BlockView<'_>, parcel: &mut Parcel, _: PhantomData<S>) {
        let samples = block.samples();
        own::<Parts<Range<S>>>(parcel).fill(
            block,
            self.every,
            self.layout.channels().len(),
            |channel, at, count| {
                let run = S::values(self.layout.run(block.data, samples, channel));
                let (low, high) = dispatch(Extremes::<S>(&run[at..at + count]));
                Range { low, high }
            },
        );
    }
}

impl Stage for Envelope {
    fn name(&self) -> &str {
        &self.name
    }

    fn output(&self) -> Option<&GroupSpec> {
        Some(&self.output)
    }

    fn parcel(&self) -> Parcel {
        for_type!(self.layout.data_type(), S => Box::new(Parts::<Range<S>>::default()))
    }

    fn run(
        &self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        _: &mut StageOutput,
    ) -> Result<(), StageError> {
        for_type!(self.layout.data_type(), S => self.fill(block, parcel, PhantomData::<S>));
        Ok(())
    }

    fn settlement(&self) -> Option<Box<dyn Settlement>> {
        let channels = self.layout.channels().len();
        let rising = self.rising.clone();
        Some(
            for_type!(self.layout.data_type(), S => Box::new(Binning::new(
                self.every,
                channels,
                2,
                move |channel: usize, range: &Range<S>, _: u64, runs: &mut [Vec<u8>]| {
                    let (low, high) = match rising[channel] {
                        // No sample was a number.
                        _ if range.low > range.high => (S::NOTHING, S::NOTHING),
                        true => (range.low, range.high),
                        false => (range.high, range.low),
                    };
                    low.put(&mut runs[0]);
                    high.put(&mut runs[1]);
                },
            ))),
        )
    }
}
