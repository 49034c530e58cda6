use daqring_log::{ChannelSpec, DataType, GroupSpec};

use crate::samples::{Sample, for_type};
use crate::{
    BlockView, DerivedBlock, EngineError, Kernel, Layout, Outlet, Parcel, SettleError, Settlement,
    Stage, StageError, StageOutput, dispatch, own,
};

/// The lines of digital ports as channels of their own, one byte of 0 or 1 per sample.
pub struct DigitalLines {
    layout: Layout,
    name: String,
    output: GroupSpec,
    /// Channel and bit of every line.
    lines: Vec<(usize, u32)>,
}

impl DigitalLines {
    /// The given lines: channel of the stream, bit (0: least significant), name.
    ///
    /// # Errors
    /// When there are none, samples are no integers, or a channel or bit does not exist.
    pub fn new(
        layout: Layout,
        name: &str,
        lines: &[(usize, u32, String)],
    ) -> Result<Self, EngineError> {
        let refuse = |what: String| Err(EngineError::Options(what));
        let integer = for_type!(layout.data_type(), S => S::INTEGER);
        if !integer || layout.data_type() == DataType::Bool {
            return refuse(format!(
                "samples of type {} have no lines; record ports as integers",
                layout.data_type()
            ));
        }
        if lines.is_empty() {
            return refuse("no lines were chosen".into());
        }
        let bits = 8 * layout.sample_bytes() as u32;
        let mut channels = Vec::new();
        for (channel, bit, name) in lines {
            if *channel >= layout.channels().len() || *bit >= bits {
                return refuse(format!(
                    "there is no line {bit} of channel {channel}: the stream has {} channels of {bits} bits",
                    layout.channels().len()
                ));
            }
            channels.push(ChannelSpec::new(name.as_str(), DataType::Bool));
        }
        Ok(Self {
            output: layout.derive(name, channels, 1),
            layout,
            name: name.to_owned(),
            lines: lines
                .iter()
                .map(|(channel, bit, _)| (*channel, *bit))
                .collect(),
        })
    }
}

struct Unpack<'a, S: Sample> {
    values: &'a [S::Bytes],
    bit: u32,
    out: &'a mut [u8],
}

impl<S: Sample> Kernel for Unpack<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (out, bytes) in self.out.iter_mut().zip(self.values) {
            *out = (S::get(bytes).to_i64() >> self.bit) as u8 & 1;
        }
    }
}

impl Stage for DigitalLines {
    fn name(&self) -> &str {
        &self.name
    }

    fn output(&self) -> Option<&GroupSpec> {
        Some(&self.output)
    }

    fn puts_out_times(&self) -> bool {
        self.layout.is_timed()
    }

    fn parcel(&self) -> Parcel {
        Box::new(Vec::<u8>::new())
    }

    fn parcel_bytes(&self) -> usize {
        8 << 20
    }

    fn run(
        &self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        _: &mut StageOutput,
    ) -> Result<(), StageError> {
        let samples = block.samples();
        let data = own::<Vec<u8>>(parcel);
        let times = self.layout.times(block.data, samples);
        data.resize(times.len() + samples * self.lines.len(), 0);
        let (head, rest) = data.split_at_mut(times.len());
        head.copy_from_slice(times);
        for (&(channel, bit), out) in self.lines.iter().zip(rest.chunks_exact_mut(samples)) {
            let run = self.layout.run(block.data, samples, channel);
            for_type!(self.layout.data_type(), S => dispatch(Unpack::<S> {
                values: S::values(run),
                bit,
                out,
            }));
        }
        Ok(())
    }

    fn settlement(&self) -> Option<Box<dyn Settlement>> {
        Some(Box::new(PassOn))
    }
}

/// Gives out what was computed, sample by sample as in the source.
struct PassOn;

impl Settlement for PassOn {
    fn settle(
        &mut self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), SettleError> {
        Ok(outlet.block(&DerivedBlock {
            first_sample: block.header.first_sample,
            samples: block.header.samples,
            lost_before: block.header.lost_before,
            gap: block.header.gap,
            host_time_ns: block.header.host_time_ns,
            record: block.header.record,
            crc32c: None,
            data: own::<Vec<u8>>(parcel),
        })?)
    }
}
