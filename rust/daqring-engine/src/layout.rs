use daqring_log::{ChannelSpec, DataType, GroupSpec, PropertyValue};

use crate::EngineError;

/// What a stage needs to know of the stream that it works on: its channels, all of one data type,
/// and its rate, where that is constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    group: GroupSpec,
    data_type: DataType,
    timed: bool,
}

/// The property that says that a group's samples are records.
#[must_use]
pub fn of_records() -> (String, PropertyValue) {
    ("daqring.kind".to_owned(), "records".into())
}

impl Layout {
    /// Takes the group of a stream whose blocks are the runs of its channels, behind a run of times
    /// (i64 nanoseconds since 1970) where it is `timed`.
    ///
    /// # Errors
    /// When its channels are of several types, or are no real numbers.
    pub fn new(group: GroupSpec, timed: bool) -> Result<Self, EngineError> {
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
            Some(dt) if !dt.is_finite() || dt <= 0.0 => refuse("its sample rate makes no sense"),
            _ => Ok(Self {
                data_type,
                timed,
                group,
            }),
        }
    }

    /// Seconds from one sample to the next, for what cannot do without; `what` is it in words.
    ///
    /// # Errors
    /// When they are not constant, or the blocks are records with holes between them.
    pub fn steady(&self, what: &str) -> Result<f64, EngineError> {
        let refuse = |why: &str| {
            Err(EngineError::Options(format!(
                "{what} cannot work on stream '{}': {why}",
                self.group.name
            )))
        };
        match self.dt() {
            _ if self.is_records() => refuse("its samples are records with holes between them"),
            None => refuse("it has no constant sample rate"),
            Some(dt) => Ok(dt),
        }
    }

    /// Whether its blocks are the records of triggers.
    pub fn is_records(&self) -> bool {
        self.group.properties.contains(&of_records())
    }

    /// Whether a run of times is in front of a block's other runs.
    pub fn is_timed(&self) -> bool {
        self.timed
    }

    /// The run of times: empty where there is none.
    pub fn times<'a>(&self, data: &'a [u8], samples: usize) -> &'a [u8] {
        &data[..self.times_bytes(samples)]
    }

    fn times_bytes(&self, samples: usize) -> usize {
        match self.timed {
            true => 8 * samples,
            false => 0,
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

    /// Seconds from one sample to the next, where that is constant.
    pub fn dt(&self) -> Option<f64> {
        self.group.dt
    }

    /// The run of a channel in a block's data.
    pub fn run<'a>(&self, data: &'a [u8], samples: usize, channel: usize) -> &'a [u8] {
        let bytes = samples * self.sample_bytes();
        &data[self.times_bytes(samples) + channel * bytes..][..bytes]
    }

    /// A group for what a stage puts out.
    pub fn derive(&self, name: &str, channels: Vec<ChannelSpec>, every: u64) -> GroupSpec {
        let mut properties = vec![("daqring.source".to_owned(), self.group.name.as_str().into())];
        if self.is_records() {
            properties.push(of_records());
        }
        GroupSpec {
            name: name.to_owned(),
            channels,
            dt: self.dt().map(|dt| dt * every as f64),
            properties,
        }
    }
}
