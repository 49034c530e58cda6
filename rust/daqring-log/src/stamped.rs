//! One segment of a log of this project, as its header tells it.

use crate::error::LogError;
use crate::layout::{DataType, PropertyValue};
use crate::segment::{
    ALIGN, Crc32c, HOUSEKEEPING, IndexEntry, MetadataReader, RunId, Stamp, header_crc, key,
    split_path,
};
use crate::source::Source;
use crate::walk::{Step, Walked, Walker};

/// A channel with raw data in the segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) channel: String,
    pub(crate) data_type: DataType,
    pub(crate) count: u64,
}

/// What the header of one segment says.
#[derive(Debug, Clone)]
pub(crate) struct Stamped {
    pub(crate) offset: u64,
    pub(crate) data_at: u64,
    pub(crate) end: u64,
    pub(crate) unfinished: bool,
    pub(crate) stamp: Stamp,
    /// The CRC in the header is the header's.
    pub(crate) header_sound: bool,
    /// Group of the raw data.
    pub(crate) group: Option<String>,
    pub(crate) contents: Vec<Content>,
    /// Streams that groups are parts of, where the segment says so.
    pub(crate) streams: Vec<(String, String)>,
    /// The root's mark of a finished recording, where the segment has it.
    pub(crate) complete: Option<bool>,
    /// Bytes that the raw-data indexes announce.
    pub(crate) announced: Option<u64>,
}

impl Stamped {
    /// Reads the header. An error means that the metadata cannot be followed to their end.
    pub(crate) fn parse(walked: &Walked<'_>) -> Result<Stamped, LogError> {
        let mut reader =
            MetadataReader::new(walked.metadata, walked.offset + 28, walked.big_endian());
        let mut stamp = Stamp::default();
        let mut group = None;
        let mut contents = Vec::new();
        let mut streams = Vec::new();
        let mut complete = None;
        let mut announced = Some(0u64);
        for _ in 0..reader.u32()? {
            let path = reader.text()?;
            let index = reader.index()?;
            let names = split_path(path).ok_or_else(|| {
                LogError::format(walked.offset, format!("{path:?} is no object path"))
            })?;
            if let IndexEntry::Values {
                data_type,
                count,
                bytes,
            } = index
            {
                let size = match data_type.size() {
                    Some(size) => count.checked_mul(size as u64),
                    None => bytes,
                };
                announced = announced
                    .zip(size)
                    .and_then(|(sum, size)| sum.checked_add(size));
                contents.push(Content {
                    channel: names.get(1).cloned().unwrap_or_default(),
                    data_type,
                    count,
                });
                if group.is_none() {
                    group = names.first().cloned();
                }
            }
            for _ in 0..reader.u32()? {
                let property = reader.property()?;
                let name = names.first().map(String::as_str);
                match (names.len(), property.name) {
                    (1, _) if name == Some(HOUSEKEEPING) => {
                        stamp.accept(&property);
                    }
                    (1, key::STREAM) => {
                        if let Some(PropertyValue::String(stream)) = property.decode(false) {
                            streams.push((names[0].clone(), stream));
                        }
                    }
                    (0, key::COMPLETE) => {
                        complete = Some(property.value == [1]);
                    }
                    _ => {}
                }
            }
        }
        let header_sound = reader.at_end()
            && stamp.header_crc.is_some_and(|(crc, at)| {
                header_crc(&walked.lead_in_bytes, walked.metadata, at) == crc
            });
        Ok(Stamped {
            offset: walked.offset,
            data_at: walked.data_at,
            end: walked.end,
            unfinished: walked.unfinished,
            stamp,
            header_sound,
            group,
            contents,
            streams,
            complete,
            announced,
        })
    }

    /// Whether its header is sound and of the run; `None`: of any.
    pub(crate) fn is_of(&self, run: Option<RunId>) -> bool {
        self.header_sound && (run.is_none() || self.stamp.run == run)
    }

    /// True if the group of the raw data is the housekeeping.
    pub(crate) fn is_housekeeping(&self) -> bool {
        self.group
            .as_deref()
            .is_none_or(|group| group == HOUSEKEEPING)
    }

    /// True for samples that were written without a checksum; what the header says of that is checked with the header.
    pub(crate) fn is_unchecked(&self) -> bool {
        self.header_sound && self.stamp.data_crc.is_none() && self.stamp.block().is_some()
    }

    /// Whether the raw data can be read and are, as far as a checksum tells, what was written.
    pub(crate) fn data_sound(
        &self,
        source: &dyn Source,
        scratch: &mut Vec<u8>,
    ) -> Result<bool, LogError> {
        let crc = self.data_crc(source, scratch)?;
        Ok(self.is_unchecked() || self.stamp.data_crc == Some(crc))
    }

    /// CRC of the raw data as they are; bounded memory.
    pub(crate) fn data_crc(
        &self,
        source: &dyn Source,
        scratch: &mut Vec<u8>,
    ) -> Result<u32, LogError> {
        let most = (self.end - self.data_at).min(1 << 20) as usize;
        if scratch.len() < most {
            scratch.resize(most, 0);
        }
        let mut crc = Crc32c::new();
        let mut at = self.data_at;
        while at < self.end {
            let length = (self.end - at).min(scratch.len() as u64) as usize;
            let part = &mut scratch[..length];
            source
                .read_exact_at(part, at)
                .map_err(|error| LogError::format(at, format!("reading failed: {error}")))?;
            crc.update(part);
            at += length as u64;
        }
        Ok(crc.finish())
    }
}

/// The first sound header of the run at or after `from`, at a multiple of [`ALIGN`].
///
/// A header counts only with its CRC and the run's identity, so recorded data that happen to look like a lead-in (or a
/// log that was recorded as data) are not taken for one.
pub(crate) fn find_header(
    source: &dyn Source,
    length: u64,
    from: u64,
    run: Option<RunId>,
) -> Result<Option<u64>, LogError> {
    const STEP: usize = 1 << 20;
    let mut at = from.next_multiple_of(ALIGN as u64);
    let mut window = vec![0; length.saturating_sub(at).min(STEP as u64) as usize];
    while at + 28 <= length {
        let size = (length - at).min(STEP as u64) as usize;
        source
            .read_exact_at(&mut window[..size], at)
            .map_err(|error| LogError::format(at, format!("reading failed: {error}")))?;
        for (page, bytes) in window[..size].chunks(ALIGN).enumerate() {
            if !bytes.starts_with(b"TDSm") {
                continue;
            }
            let candidate = at + (page * ALIGN) as u64;
            let mut walker = Walker::new(source, length);
            walker.seek(candidate);
            if let Ok(Step::Segment(walked)) = walker.next()
                && let Ok(stamped) = Stamped::parse(&walked)
                && stamped.is_of(run)
            {
                return Ok(Some(candidate));
            }
        }
        at += STEP as u64;
    }
    Ok(None)
}
