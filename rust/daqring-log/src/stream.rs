//! A stream on its way into the file: its groups, its counts, its objects in the headers.

use crate::gather::Gather;
use crate::layout::{ChannelSpec, DataType, GroupSpec, LOST_UNKNOWN, Properties, PropertyValue};
use crate::segment::{BlockStamp, HeaderBuilder, RawIndex, key, path, scale_properties};
use crate::tail::TailFile;

/// A part of a stream that a gap has ended; its final count is still to be told.
struct ClosedPart {
    channel_paths: Vec<String>,
    samples: u64,
}

/// A stream and the group that its samples go to at the moment.
pub(crate) struct Stream {
    pub(crate) spec: GroupSpec,
    pub(crate) part: Part,
    pub(crate) start_ns: Option<i64>,
    pub(crate) next_sample: Option<u64>,
    pub(crate) next_seq: Option<u64>,
    pub(crate) blocks: u64,
    pub(crate) samples: u64,
    /// Index after the last sample in a segment.
    pub(crate) end: u64,
    pub(crate) lost: u64,
    pub(crate) lost_unknown: bool,
    /// Groups that gaps and files have divided the stream into.
    pub(crate) groups: u32,
    /// Samples in the current file.
    pub(crate) file_samples: u64,
    /// Samples that wait for a segment of their own.
    pub(crate) gather: Option<Gather>,
    pub(crate) tail: Option<TailFile>,
    /// Host time of the last block, and of the last one that was handed to the system whole.
    pub(crate) last_ns: Option<i64>,
    pub(crate) flushed_ns: Option<i64>,
}

/// The group of a stream's samples between two gaps.
pub(crate) struct Part {
    /// 1 for the first group of the file, 2 for `name #2`, and so on.
    pub(crate) number: u32,
    pub(crate) group_path: String,
    pub(crate) channel_paths: Vec<String>,
    /// Whether the objects were written with their properties.
    pub(crate) introduced: bool,
    /// Time of the first sample, once known.
    start_ns: Option<i64>,
    samples: u64,
    closed: Option<ClosedPart>,
}

impl Part {
    fn new(spec: &GroupSpec, number: u32) -> Part {
        let name = match number {
            1 => spec.name.clone(),
            number => format!("{} #{number}", spec.name),
        };
        Part {
            number,
            group_path: path(&name, None),
            channel_paths: spec
                .channels
                .iter()
                .map(|channel| path(&name, Some(&channel.name)))
                .collect(),
            introduced: false,
            start_ns: None,
            samples: 0,
            closed: None,
        }
    }
}

impl Stream {
    pub(crate) fn new(spec: GroupSpec) -> Stream {
        Stream {
            part: Part::new(&spec, 1),
            spec,
            start_ns: None,
            next_sample: None,
            next_seq: None,
            blocks: 0,
            samples: 0,
            end: 0,
            lost: 0,
            lost_unknown: false,
            groups: 1,
            file_samples: 0,
            gather: None,
            tail: None,
            last_ns: None,
            flushed_ns: None,
        }
    }

    /// Takes in that a block came, and says whether what waits would be older than `most` (ns) when the next one comes: a
    /// block is expected after as long as this one took.
    pub(crate) fn ages_beyond(&mut self, most: i64, host_time_ns: i64) -> bool {
        let before = self.last_ns.replace(host_time_ns);
        if self.gather.as_ref().is_none_or(Gather::is_empty) {
            self.flushed_ns = Some(host_time_ns);
            return false;
        }
        // Of the first block nobody knows how long it took.
        let Some(before) = before else {
            return true;
        };
        let from = *self.flushed_ns.get_or_insert(before);
        // The host's clock was set back, and of what waits nobody knows the age.
        if host_time_ns < from {
            return true;
        }
        let took = host_time_ns.saturating_sub(before).max(0);
        host_time_ns.saturating_sub(from).saturating_add(took) > most
    }

    /// The samples that follow go to a group of their own.
    pub(crate) fn next_part(&mut self) {
        let next = Part::new(&self.spec, self.part.number + 1);
        let last = std::mem::replace(&mut self.part, next);
        if last.introduced {
            self.part.closed = Some(ClosedPart {
                channel_paths: last.channel_paths,
                samples: last.samples,
            });
        }
        self.groups += 1;
    }

    /// The samples that follow go to another file.
    pub(crate) fn next_file(&mut self) {
        if self.part.introduced {
            self.groups += 1;
        }
        self.part = Part::new(&self.spec, 1);
        self.file_samples = 0;
    }

    /// Counts what a segment has brought into the file.
    pub(crate) fn count(&mut self, stamp: &BlockStamp) {
        self.part.introduced = true;
        self.part.samples += stamp.samples;
        self.samples += stamp.samples;
        self.file_samples += stamp.samples;
        self.blocks += stamp.blocks;
        self.end = stamp.first_sample.saturating_add(stamp.samples);
    }

    /// Undoes [`count`](Self::count) for the last segment.
    pub(crate) fn take_back(&mut self, stamp: &BlockStamp, introduces: bool) {
        self.part.introduced = !introduces;
        self.part.samples -= stamp.samples;
        self.samples -= stamp.samples;
        self.file_samples -= stamp.samples;
        self.blocks -= stamp.blocks;
        self.end = stamp.first_sample.saturating_sub(match stamp.lost_before {
            LOST_UNKNOWN => 0,
            lost => lost,
        });
    }

    /// Time of the block's first sample, Unix nanoseconds.
    fn time_of(&self, block: &BlockStamp) -> i64 {
        match (self.start_ns, self.spec.dt) {
            (Some(start), Some(dt)) if !self.lost_unknown => {
                start.saturating_add((block.first_sample as f64 * dt * 1e9).round() as i64)
            }
            // After a hole of unknown size only the host's clock says where we are: the block was complete then.
            (_, Some(dt)) => block
                .host_time_ns
                .saturating_sub((block.samples as f64 * dt * 1e9).round() as i64),
            (_, None) => block.host_time_ns,
        }
    }

    /// The stream's objects in the header of a block.
    pub(crate) fn describe_block(&mut self, header: &mut HeaderBuilder, stamp: &BlockStamp) {
        if let Some(last) = self.part.closed.take() {
            for path in &last.channel_paths {
                describe(header, path, RawIndex::None, &[wf_samples(last.samples)]);
            }
        }
        if self.part.start_ns.is_none() {
            self.part.start_ns = Some(self.time_of(stamp));
        }
        let intro = !self.part.introduced;
        self.describe_values(header, intro, stamp.samples);
    }

    /// The stream's objects with `count` values each, with or without their properties.
    pub(crate) fn describe_values(&self, header: &mut HeaderBuilder, intro: bool, count: u64) {
        let properties = match intro {
            true => self.group_properties(),
            false => Vec::new(),
        };
        describe(header, &self.part.group_path, RawIndex::None, &properties);
        for (channel, path) in self.spec.channels.iter().zip(&self.part.channel_paths) {
            let properties = match intro {
                true => self.channel_properties(channel, count),
                false => Vec::new(),
            };
            let index = RawIndex::Values {
                data_type: channel.data_type,
                count,
            };
            describe(header, path, index, &properties);
        }
    }

    /// Gives the current group its start time, where a segment outside of the file needs it first.
    pub(crate) fn settle_start(&mut self, stamp: &BlockStamp) {
        if self.part.start_ns.is_none() {
            self.part.start_ns = Some(self.time_of(stamp));
        }
    }

    /// The stream's objects once more, with the final counts: a log whose first segment is damaged keeps its scales.
    pub(crate) fn describe_end(&self, header: &mut HeaderBuilder) {
        describe(
            header,
            &self.part.group_path,
            RawIndex::None,
            &self.group_properties(),
        );
        for (channel, path) in self.spec.channels.iter().zip(&self.part.channel_paths) {
            let properties = self.channel_properties(channel, self.part.samples);
            describe(header, path, RawIndex::None, &properties);
        }
    }

    fn group_properties(&self) -> Properties {
        let mut list = self.spec.properties.clone();
        list.push((key::STREAM.to_owned(), self.spec.name.as_str().into()));
        list.push((key::PART.to_owned(), PropertyValue::U32(self.part.number)));
        list
    }

    fn channel_properties(&self, channel: &ChannelSpec, samples: u64) -> Properties {
        let mut list = Vec::new();
        let mut add = |name: &str, value| list.push((name.to_owned(), value));
        if let Some(dt) = self.spec.dt {
            if let Some(start) = self.part.start_ns.or(self.start_ns) {
                add("wf_start_time", PropertyValue::timestamp_ns(start));
            }
            add("wf_start_offset", PropertyValue::F64(0.0));
            add("wf_increment", PropertyValue::F64(dt));
        }
        if !channel.unit.is_empty() {
            add("unit_string", channel.unit.as_str().into());
            add("NI_UnitDescription", channel.unit.as_str().into());
        }
        add("NI_ChannelName", channel.name.as_str().into());
        if self.spec.dt.is_some() {
            list.push(wf_samples(samples));
        }
        list.extend(scale_properties(&channel.scale));
        list.extend_from_slice(&channel.properties);
        list
    }

    /// Sizes of the channels' values.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = usize> + '_ {
        self.spec
            .channels
            .iter()
            .map(|channel| DataType::size(channel.data_type).unwrap_or(0))
    }
}

pub(crate) fn describe(
    header: &mut HeaderBuilder,
    path: &str,
    index: RawIndex,
    properties: &[(String, PropertyValue)],
) {
    header.object(path, index, properties.len());
    for (name, value) in properties {
        header.property(name, value);
    }
}

fn wf_samples(samples: u64) -> (String, PropertyValue) {
    let samples = i32::try_from(samples).unwrap_or(i32::MAX);
    ("wf_samples".to_owned(), PropertyValue::I32(samples))
}
