//! Ordinary TDMS segments, without anything that makes a file a log of this crate: what a program
//! that imitates another writer of TDMS needs.

use crate::layout::{GroupSpec, Properties};
use crate::segment::{HeaderBuilder, RawIndex, path, scale_properties};

/// The bytes of a TDMS segment up to its raw data: `samples` values of every channel of a group
/// follow, channel by channel, little-endian.
///
/// With `root` the segment describes the file, the group and the channels (units, scales and
/// properties); without, it only repeats which channels there are, as a later segment of the same
/// file may.
#[must_use]
pub fn plain_segment(group: &GroupSpec, root: Option<&Properties>, samples: u64) -> Vec<u8> {
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
    let mut bytes = 0;
    for channel in &group.channels {
        bytes += samples * channel.data_type.size().unwrap_or(0) as u64;
        let index = RawIndex::Values {
            data_type: channel.data_type,
            count: samples,
        };
        let mut properties = Vec::new();
        if root.is_some() {
            if !channel.unit.is_empty() {
                properties.push(("unit_string".to_owned(), channel.unit.as_str().into()));
            }
            properties.extend(channel.properties.iter().cloned());
            properties.extend(scale_properties(&channel.scale));
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
    header.bare(bytes)
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
}
