//! Ordinary TDMS segments, without anything that makes a file a log of this crate: what a program
//! that imitates another writer of TDMS needs.

use crate::Scale;
use crate::layout::{ChannelSpec, GroupSpec, Properties, PropertyValue};
use crate::segment::{HeaderBuilder, RawIndex, path, scale_properties};

/// The bytes of a TDMS segment up to its raw data: `samples` values of every channel of a group
/// follow, channel by channel, little-endian.
///
/// With `root` the segment describes the file, the group and the channels (units, scales and
/// properties); without, it only repeats which channels there are, as a later segment of the same
/// file may.
#[must_use]
pub fn plain_segment(group: &GroupSpec, root: Option<&Properties>, samples: u64) -> Vec<u8> {
    segment(group, root, samples, false)
}

/// The bytes of a TDMS segment up to NI-DAQmx raw data, as NI's driver logs codes: `samples` rows
/// follow, each with one code of every channel, little-endian. The channels' scales become the
/// second in their lists; the first is the raw value.
#[must_use]
pub fn daqmx_segment(group: &GroupSpec, root: Option<&Properties>, samples: u64) -> Vec<u8> {
    segment(group, root, samples, true)
}

/// A scale's properties, for the raw value of NI-DAQmx raw data: scale 0 is the scaler itself.
fn behind_scaler(scale: &Scale) -> impl Iterator<Item = (String, PropertyValue)> {
    scale_properties(scale).into_iter().map(|(name, value)| {
        if name == "NI_Number_Of_Scales" {
            return (name, PropertyValue::U32(2));
        }
        let value = match value {
            PropertyValue::U32(_) if name.ends_with("_Input_Source") => PropertyValue::U32(0),
            other => other,
        };
        (name.replace("NI_Scale[0]", "NI_Scale[1]"), value)
    })
}

fn segment(group: &GroupSpec, root: Option<&Properties>, samples: u64, daqmx: bool) -> Vec<u8> {
    let size = |channel: &ChannelSpec| channel.data_type.size().unwrap_or(0) as u64;
    let width = group.channels.iter().map(size).sum::<u64>();
    let mut header = HeaderBuilder::new(Vec::new());
    if let Some(root) = root {
        header.object("/", RawIndex::None, root.len());
        for (name, value) in root {
            header.property(name, value);
        }
        header.object(
            &path(&group.name, None),
            RawIndex::None,
            group.properties.len(),
        );
        for (name, value) in &group.properties {
            header.property(name, value);
        }
    }
    let mut offset = 0;
    for channel in &group.channels {
        let (data_type, count) = (channel.data_type, samples);
        let index = match daqmx {
            true => RawIndex::Daqmx {
                data_type,
                count,
                offset: offset as u32,
                width: width as u32,
            },
            false => RawIndex::Values { data_type, count },
        };
        offset += size(channel);
        let mut properties = Vec::new();
        if root.is_some() {
            if !channel.unit.is_empty() {
                properties.push(("unit_string".to_owned(), channel.unit.as_str().into()));
            }
            properties.extend(channel.properties.iter().cloned());
            match daqmx {
                true => properties.extend(behind_scaler(&channel.scale)),
                false => properties.extend(scale_properties(&channel.scale)),
            }
        }
        header.object(
            &path(&group.name, Some(&channel.name)),
            index,
            properties.len(),
        );
        for (name, value) in &properties {
            header.property(name, value);
        }
    }
    header.bare(samples * width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ChannelSpec, DataType, LogFile, Scale};

    #[test]
    fn plain_segments_make_a_file_that_opens() {
        let mut channel = ChannelSpec::new("Dev1/ai0", DataType::I16);
        channel.unit = "Volts".to_owned();
        channel.scale = Scale::Polynomial(vec![0.5, 0.25]);
        let group = GroupSpec {
            name: "it's a task".to_owned(),
            channels: vec![channel],
            dt: None,
            properties: vec![("kind".to_owned(), "test".into())],
        };
        let mut bytes = plain_segment(&group, Some(&vec![("author".to_owned(), "me".into())]), 3);
        bytes.extend([1i16, 2, 3].into_iter().flat_map(i16::to_le_bytes));
        bytes.extend(plain_segment(&group, None, 2));
        bytes.extend([4i16, -5].into_iter().flat_map(i16::to_le_bytes));
        let name = std::env::temp_dir().join(format!("plain-{}.tdms", std::process::id()));
        std::fs::write(&name, &bytes).unwrap();
        let file = LogFile::open(&name).unwrap();
        std::fs::remove_file(&name).unwrap();
        assert_eq!(file.groups().len(), 1);
        assert_eq!(file.groups()[0].channels.len(), 1);
        let mut values = [0.0; 5];
        file.read_scaled(0, 0, 0..5, &mut values).unwrap();
        assert_eq!(values, [0.75, 1.0, 1.25, 1.5, -0.75]);
        assert_eq!(file.groups()[0].channels[0].unit(), "Volts");
    }

    #[test]
    fn raw_data_of_daqmx_are_rows_of_codes() {
        let mut narrow = ChannelSpec::new("Dev1/ai0", DataType::I16);
        narrow.scale = Scale::Polynomial(vec![0.5, 0.25]);
        let mut wide = ChannelSpec::new("Dev2/ai0", DataType::I32);
        wide.scale = Scale::Linear {
            slope: 2.0,
            intercept: 1.0,
        };
        let group = GroupSpec {
            name: "task".to_owned(),
            channels: vec![narrow, wide],
            dt: None,
            properties: vec![],
        };
        let mut bytes = daqmx_segment(&group, Some(&Vec::new()), 3);
        // The mask of a segment of NI-DAQmx raw data: metadata, a new list, raw data, DAQmx.
        assert_eq!(bytes[4..8], 0x8Eu32.to_le_bytes());
        for (one, other) in [(1i16, 100_000i32), (2, -5), (-3, 7)] {
            bytes.extend(one.to_le_bytes());
            bytes.extend(other.to_le_bytes());
        }
        let name = std::env::temp_dir().join(format!("daqmx-{}.tdms", std::process::id()));
        std::fs::write(&name, &bytes).unwrap();
        let file = LogFile::open(&name).unwrap();
        std::fs::remove_file(&name).unwrap();
        let mut values = [0.0; 3];
        file.read_scaled(0, 0, 0..3, &mut values).unwrap();
        assert_eq!(values, [0.75, 1.0, -0.25]);
        file.read_scaled(0, 1, 0..3, &mut values).unwrap();
        assert_eq!(values, [200_001.0, -9.0, 15.0]);
    }
}
