use daqring_log::{ChannelSpec, DataType, GroupSpec};

use crate::EngineError;

/// What a stage needs to know of the stream that it works on: its channels, all of one data type,
/// and its rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    group: GroupSpec,
    data_type: DataType,
    dt: f64,
}

impl Layout {
    /// Takes the group of a stream.
    ///
    /// # Errors
    /// When its channels are of several types, are no real numbers, or the stream has no rate.
    pub fn new(group: GroupSpec) -> Result<Self, EngineError> {
        let refuse = |what: &str| {
            Err(EngineError::Options(format!(
                "stages cannot work on stream '{}': {what}",
                group.name
            )))
        };
        let Some(first) = group.channels.first() else {
            return refuse("it has no channels");
        };
        let data_type = first.data_type;
        if group
            .channels
            .iter()
            .any(|channel| channel.data_type != data_type)
        {
            return refuse("its channels have several data types");
        }
        if !crate::samples::is_real(data_type) {
            return refuse(&format!("its samples are of type {data_type}"));
        }
        match group.dt {
            Some(dt) if dt.is_finite() && dt > 0.0 => Ok(Self {
                data_type,
                dt,
                group,
            }),
            _ => refuse("it has no constant sample rate"),
        }
    }

    /// The stream's group.
    pub fn group(&self) -> &GroupSpec {
        &self.group
    }

    /// The channels, in the order of their runs.
    pub fn channels(&self) -> &[ChannelSpec] {
        &self.group.channels
    }

    /// The type of all samples.
    pub fn data_type(&self) -> DataType {
        self.data_type
    }

    /// Bytes of a sample.
    pub fn sample_bytes(&self) -> usize {
        self.data_type.size().unwrap_or(1)
    }

    /// Seconds from one sample to the next.
    pub fn dt(&self) -> f64 {
        self.dt
    }

    /// The run of a channel in a block's data.
    pub fn run<'a>(&self, data: &'a [u8], samples: usize, channel: usize) -> &'a [u8] {
        let bytes = samples * self.sample_bytes();
        &data[channel * bytes..][..bytes]
    }

    /// A group for what a stage puts out.
    pub fn derive(&self, name: &str, channels: Vec<ChannelSpec>, every: u64) -> GroupSpec {
        GroupSpec {
            name: name.to_owned(),
            channels,
            dt: Some(self.dt * every as f64),
            properties: vec![("daqring.source".to_owned(), self.group.name.as_str().into())],
        }
    }
}
