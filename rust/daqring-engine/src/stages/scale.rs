use daqring_log::{DataType, GroupSpec, Scale};

use crate::samples::{coefficients, for_type, scale_run};
use crate::{
    BlockView, DerivedBlock, EngineError, Layout, Outlet, Parcel, SettleError, Settlement, Stage,
    StageError, StageOutput, own,
};

/// Every sample as float64 or float32 in the channel's units, as numpy's `polyval` gives it (for
/// float32 rounded once, at the end).
pub struct Scaled {
    layout: Layout,
    name: String,
    output: GroupSpec,
    coefficients: Vec<Vec<f64>>,
    data_type: DataType,
    checksum: bool,
}

#[derive(Default)]
struct Values {
    /// Behind the run of times, if there is one.
    data: Vec<u8>,
    crc32c: Option<u32>,
}

impl Scaled {
    /// Into float64 or float32.
    ///
    /// # Errors
    /// When `data_type` is another one.
    pub fn new(layout: Layout, name: &str, data_type: DataType) -> Result<Self, EngineError> {
        if !matches!(data_type, DataType::F32 | DataType::F64) {
            return Err(EngineError::Options(format!(
                "samples are scaled to float64 or float32, not {data_type}"
            )));
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
            output: layout.derive(name, channels, 1),
            coefficients: layout
                .channels()
                .iter()
                .map(|channel| coefficients(&channel.scale))
                .collect(),
            layout,
            name: name.to_owned(),
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
}

impl Stage for Scaled {
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
        Box::new(Values::default())
    }

    fn parcel_bytes(&self) -> usize {
        // Not known before the first block; as for blocks of 4 MiB of codes of 16 bits.
        16 << 20
    }

    fn run(
        &self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        _: &mut StageOutput,
    ) -> Result<(), StageError> {
        let samples = block.samples();
        let size = self.data_type.size().unwrap_or(8);
        let values = own::<Values>(parcel);
        let times = self.layout.times(block.data, samples);
        values
            .data
            .resize(times.len() + samples * size * self.coefficients.len(), 0);
        let (head, rest) = values.data.split_at_mut(times.len());
        head.copy_from_slice(times);
        for (channel, out) in rest.chunks_exact_mut(samples * size).enumerate() {
            let run = self.layout.run(block.data, samples, channel);
            let coefficients = &self.coefficients[channel];
            for_type!(self.layout.data_type(), S => match self.data_type {
                DataType::F32 => scale_run::<S, f32>(run, coefficients, out),
                _ => scale_run::<S, f64>(run, coefficients, out),
            });
        }
        values.crc32c = self.checksum.then(|| daqring_log::crc32c(&values.data));
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
        let values = own::<Values>(parcel);
        Ok(outlet.block(&DerivedBlock {
            first_sample: block.header.first_sample,
            samples: block.header.samples,
            lost_before: block.header.lost_before,
            gap: block.header.gap,
            host_time_ns: block.header.host_time_ns,
            record: block.header.record,
            crc32c: values.crc32c,
            data: &values.data,
        })?)
    }
}
