//! The bytes of a segment: encoding and decoding, without I/O.

use crate::error::LogError;
use crate::layout::{DataType, PropertyValue, Record, Scale, Timestamp};

/// Length of a lead-in.
pub(crate) const LEAD_IN: usize = 28;
/// First bytes of every segment.
pub(crate) const TAG: [u8; 4] = *b"TDSm";
/// TDMS 2.0.
pub(crate) const VERSION: u32 = 4713;
/// The older version, which differs in nothing that is read here.
pub(crate) const VERSION_1: u32 = 4712;
/// Segments that this crate writes begin at multiples of this.
pub(crate) const ALIGN: usize = 4096;
/// "The writer died": the length is not known.
pub(crate) const UNFINISHED: u64 = u64::MAX;

/// Bits of the table of contents.
pub(crate) mod toc {
    pub(crate) const META_DATA: u32 = 1 << 1;
    pub(crate) const NEW_OBJECT_LIST: u32 = 1 << 2;
    pub(crate) const RAW_DATA: u32 = 1 << 3;
    pub(crate) const INTERLEAVED: u32 = 1 << 5;
    pub(crate) const BIG_ENDIAN: u32 = 1 << 6;
    pub(crate) const DAQMX_RAW: u32 = 1 << 7;
}

const NO_RAW_DATA: u32 = 0xFFFF_FFFF;
const INDEX_AS_BEFORE: u32 = 0;
const DAQMX_FORMAT_CHANGING: u32 = 0x1269;
const DAQMX_DIGITAL_LINE: u32 = 0x126A;
/// What NI's description of the format says; files have the number above.
const DAQMX_DIGITAL_LINE_AS_DOCUMENTED: u32 = 0x1369;
/// Data type of a channel whose values are those of DAQmx scalers.
const DAQMX_RAW_TYPE: u32 = 0xFFFF_FFFF;
/// Data type of a channel without values.
const VOID: u32 = 0;

/// The group that holds what the log keeps about itself.
pub(crate) const HOUSEKEEPING: &str = "daqring";

/// Names of the properties that stamp a segment; see FORMAT.md.
pub(crate) mod key {
    pub(crate) const RUN: &str = "daqring.run";
    pub(crate) const SEGMENT: &str = "daqring.segment";
    pub(crate) const SEQ: &str = "daqring.seq";
    pub(crate) const BLOCKS: &str = "daqring.blocks";
    pub(crate) const FIRST_SAMPLE: &str = "daqring.first_sample";
    pub(crate) const SAMPLES: &str = "daqring.samples";
    pub(crate) const LOST_BEFORE: &str = "daqring.lost_before";
    pub(crate) const GAP: &str = "daqring.gap";
    pub(crate) const HOST_TIME: &str = "daqring.host_time";
    pub(crate) const RECORD: &str = "daqring.record";
    pub(crate) const RECORD_START: &str = "daqring.record_start";
    pub(crate) const PRETRIGGER: &str = "daqring.pretrigger";
    pub(crate) const DATA_CRC: &str = "daqring.crc32c";
    pub(crate) const HEADER_CRC: &str = "daqring.header_crc32c";
    pub(crate) const PAD: &str = "daqring.pad";
    pub(crate) const FORMAT: &str = "daqring.format";
    pub(crate) const STREAM: &str = "daqring.stream";
    /// In the file's last segment, where an error ended the recording.
    pub(crate) const UNSTORED: &str = "daqring.unstored";
    pub(crate) const PART: &str = "daqring.part";
    pub(crate) const FILE: &str = "daqring.file";
    pub(crate) const PREVIOUS: &str = "daqring.previous";
    pub(crate) const RECOVERED: &str = "daqring.recovered";
    pub(crate) const COMPLETE: &str = "daqring.complete";
    pub(crate) const CHECKSUM: &str = "daqring.checksum";
}

/// CRC32C (Castagnoli) of `data`, by the instructions that the processor turns out to have.
pub fn crc32c(data: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(data)
}

/// CRC32C of what comes in parts.
pub(crate) struct Crc32c(crc_fast::Digest);

impl Crc32c {
    pub(crate) fn new() -> Crc32c {
        Crc32c(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }

    pub(crate) fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    pub(crate) fn finish(&self) -> u32 {
        // The upper half of a checksum of 32 bits is zero.
        self.0.finalize() as u32
    }
}

/// Identity of a run, repeated in each of its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(pub u128);

impl RunId {
    /// A new one, from the randomness the operating system gives the standard hasher.
    pub fn random() -> RunId {
        use std::hash::{BuildHasher, Hasher, RandomState};
        let word = || u128::from(RandomState::new().build_hasher().finish());
        RunId(word() << 64 | word())
    }

    pub(crate) fn parse(text: &str) -> Option<RunId> {
        (text.len() == 32)
            .then(|| u128::from_str_radix(text, 16).ok())
            .flatten()
            .map(RunId)
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What a segment says of the block or blocks it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BlockStamp {
    pub(crate) seq: u64,
    pub(crate) blocks: u64,
    pub(crate) first_sample: u64,
    pub(crate) samples: u64,
    pub(crate) lost_before: u64,
    pub(crate) gap: u32,
    pub(crate) host_time_ns: i64,
    /// The trigger whose samples these are.
    pub(crate) record: Option<Record>,
}

/// Path of a group, or of a channel in it, as TDMS writes it.
pub(crate) fn path(group: &str, channel: Option<&str>) -> String {
    let mut text = String::with_capacity(group.len() + 16);
    let mut part = |name: &str| {
        text.push_str("/'");
        text.push_str(&name.replace('\'', "''"));
        text.push('\'');
    };
    part(group);
    if let Some(channel) = channel {
        part(channel);
    }
    text
}

/// The names in a path: none for the root, one for a group, two for a channel.
pub(crate) fn split_path(path: &str) -> Option<Vec<String>> {
    if path == "/" {
        return Some(Vec::new());
    }
    let mut names = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        rest = rest.strip_prefix("/'")?;
        let mut name = String::new();
        loop {
            let quote = rest.find('\'')?;
            name.push_str(&rest[..quote]);
            rest = &rest[quote + 1..];
            match rest.strip_prefix('\'') {
                Some(after) => {
                    name.push('\'');
                    rest = after;
                }
                None => break,
            }
        }
        names.push(name);
    }
    (1..=2).contains(&names.len()).then_some(names)
}

/// Builds the header of one segment: lead-in and metadata.
///
/// The order of calls is: [`object`](Self::object), then as many `property` calls as announced, and so on;
/// at last [`finish`](Self::finish).
pub(crate) struct HeaderBuilder {
    bytes: Vec<u8>,
    objects: u32,
    raw: bool,
    /// The raw data are NI-DAQmx's.
    daqmx: bool,
}

/// What [`HeaderBuilder::finish`] stamps a segment with.
pub(crate) struct Seal<'a> {
    pub(crate) run: RunId,
    /// Number of the segment in its file.
    pub(crate) segment: u64,
    pub(crate) block: Option<&'a BlockStamp>,
    /// `None` for samples that are written without a checksum.
    pub(crate) data_crc: Option<u32>,
}

/// What [`HeaderBuilder::object`] says about the object's raw data.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RawIndex {
    None,
    /// Fixed-size values.
    Values {
        data_type: DataType,
        count: u64,
    },
    /// Text: offsets and characters, this many bytes in all.
    Text {
        count: u64,
        bytes: u64,
    },
    /// A place in the rows of NI-DAQmx raw data.
    Daqmx {
        data_type: DataType,
        count: u64,
        offset: u32,
        /// Bytes of a row.
        width: u32,
    },
}

impl HeaderBuilder {
    /// Reuses the memory of an earlier header.
    pub(crate) fn new(mut memory: Vec<u8>) -> HeaderBuilder {
        memory.clear();
        memory.resize(LEAD_IN + 4, 0);
        HeaderBuilder {
            bytes: memory,
            objects: 0,
            raw: false,
            daqmx: false,
        }
    }

    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn object(&mut self, path: &str, index: RawIndex, properties: usize) {
        self.objects += 1;
        self.text(path);
        match index {
            RawIndex::None => self.u32(NO_RAW_DATA),
            RawIndex::Values { data_type, count } => {
                self.raw = true;
                self.u32(20);
                self.u32(data_type.tdms_id());
                self.u32(1);
                self.bytes.extend_from_slice(&count.to_le_bytes());
            }
            RawIndex::Text { count, bytes } => {
                self.raw = true;
                self.u32(28);
                self.u32(DataType::String.tdms_id());
                self.u32(1);
                self.bytes.extend_from_slice(&count.to_le_bytes());
                self.bytes.extend_from_slice(&bytes.to_le_bytes());
            }
            RawIndex::Daqmx {
                data_type,
                count,
                offset,
                width,
            } => {
                (self.raw, self.daqmx) = (true, true);
                self.u32(DAQMX_FORMAT_CHANGING);
                self.u32(DAQMX_RAW_TYPE);
                self.u32(1);
                self.bytes.extend_from_slice(&count.to_le_bytes());
                // One scaler, of number 0 and in buffer 0; and the width of this one buffer.
                self.u32(1);
                self.u32(daqmx_number(data_type));
                self.u32(0);
                self.u32(offset);
                self.u32(0);
                self.u32(0);
                self.u32(1);
                self.u32(width);
            }
        }
        self.u32(properties as u32);
    }

    pub(crate) fn property(&mut self, name: &str, value: &PropertyValue) {
        self.text(name);
        self.u32(value.data_type().tdms_id());
        match value {
            PropertyValue::I8(v) => self.bytes.extend_from_slice(&v.to_le_bytes()),
            PropertyValue::I16(v) => self.bytes.extend_from_slice(&v.to_le_bytes()),
            PropertyValue::I32(v) => self.bytes.extend_from_slice(&v.to_le_bytes()),
            PropertyValue::I64(v) => self.bytes.extend_from_slice(&v.to_le_bytes()),
            PropertyValue::U8(v) => self.bytes.extend_from_slice(&v.to_le_bytes()),
            PropertyValue::U16(v) => self.bytes.extend_from_slice(&v.to_le_bytes()),
            PropertyValue::U32(v) => self.bytes.extend_from_slice(&v.to_le_bytes()),
            PropertyValue::U64(v) => self.bytes.extend_from_slice(&v.to_le_bytes()),
            PropertyValue::F32(v) => self.bytes.extend_from_slice(&v.to_le_bytes()),
            PropertyValue::F64(v) => self.bytes.extend_from_slice(&v.to_le_bytes()),
            PropertyValue::String(v) => self.text(v),
            PropertyValue::Bool(v) => self.bytes.push(u8::from(*v)),
            PropertyValue::Timestamp(v) => {
                self.bytes.extend_from_slice(&v.fraction.to_le_bytes());
                self.bytes.extend_from_slice(&v.seconds.to_le_bytes());
            }
            PropertyValue::Complex64(v) => {
                for part in v {
                    self.bytes.extend_from_slice(&part.to_le_bytes());
                }
            }
            PropertyValue::Complex128(v) => {
                for part in v {
                    self.bytes.extend_from_slice(&part.to_le_bytes());
                }
            }
        }
    }

    /// The lead-in of a segment without housekeeping and padding. Gives the header's bytes.
    pub(crate) fn bare(mut self, raw_len: u64) -> Vec<u8> {
        let metadata = (self.bytes.len() - LEAD_IN) as u64;
        let mut mask = toc::META_DATA | toc::NEW_OBJECT_LIST;
        if self.raw {
            mask |= toc::RAW_DATA;
        }
        if self.daqmx {
            mask |= toc::DAQMX_RAW;
        }
        let lead_in = LeadIn {
            toc: mask,
            version: VERSION,
            next: metadata + raw_len,
            raw: metadata,
        };
        self.bytes[..LEAD_IN].copy_from_slice(&lead_in.encode());
        self.bytes[LEAD_IN..LEAD_IN + 4].copy_from_slice(&self.objects.to_le_bytes());
        self.bytes
    }

    /// The housekeeping object, padding included, then the lead-in. Gives the header's bytes.
    ///
    /// The header and `raw_len` bytes of raw data are together a multiple of `align`.
    pub(crate) fn finish(mut self, seal: &Seal<'_>, raw_len: u64, align: usize) -> Vec<u8> {
        let block = seal.block;
        let record = block.and_then(|block| block.record);
        let stamped = 4
            + usize::from(seal.data_crc.is_some())
            + if block.is_some() { 7 } else { 0 }
            + if record.is_some() { 3 } else { 0 };
        self.object(&path(HOUSEKEEPING, None), RawIndex::None, stamped);
        self.property(key::RUN, &PropertyValue::String(seal.run.to_string()));
        self.property(key::SEGMENT, &PropertyValue::U64(seal.segment));
        if let Some(block) = block {
            self.property(key::SEQ, &PropertyValue::U64(block.seq));
            self.property(key::BLOCKS, &PropertyValue::U64(block.blocks));
            self.property(key::FIRST_SAMPLE, &PropertyValue::U64(block.first_sample));
            self.property(key::SAMPLES, &PropertyValue::U64(block.samples));
            self.property(key::LOST_BEFORE, &PropertyValue::U64(block.lost_before));
            self.property(key::GAP, &PropertyValue::U32(block.gap));
            self.property(
                key::HOST_TIME,
                &PropertyValue::timestamp_ns(block.host_time_ns),
            );
        }
        if let Some(record) = record {
            self.property(key::RECORD, &PropertyValue::U64(record.number));
            self.property(
                key::RECORD_START,
                &PropertyValue::timestamp_ns(record.start_time_ns),
            );
            self.property(key::PRETRIGGER, &PropertyValue::U64(record.pretrigger));
        }
        if let Some(crc) = seal.data_crc {
            self.property(key::DATA_CRC, &PropertyValue::U32(crc));
        }
        self.property(key::HEADER_CRC, &PropertyValue::U32(0));
        let crc_at = self.bytes.len() - 4;
        self.text(key::PAD);
        self.u32(DataType::String.tdms_id());
        let bare = (self.bytes.len() + 4) as u64 + raw_len;
        let pad = (bare.next_multiple_of(align as u64) - bare) as usize;
        self.u32(pad as u32);
        self.bytes.resize(self.bytes.len() + pad, b' ');

        let metadata = (self.bytes.len() - LEAD_IN) as u64;
        let mut mask = toc::META_DATA | toc::NEW_OBJECT_LIST;
        if self.raw {
            mask |= toc::RAW_DATA;
        }
        let lead_in = LeadIn {
            toc: mask,
            version: VERSION,
            next: metadata + raw_len,
            raw: metadata,
        };
        self.bytes[..LEAD_IN].copy_from_slice(&lead_in.encode());
        self.bytes[LEAD_IN..LEAD_IN + 4].copy_from_slice(&self.objects.to_le_bytes());
        let crc = crc32c(&self.bytes);
        self.bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
        self.bytes
    }
}

/// The NI scaling properties of a channel.
pub(crate) fn scale_properties(scale: &Scale) -> Vec<(String, PropertyValue)> {
    let mut list: Vec<(String, PropertyValue)> = Vec::new();
    let mut add = |name: &str, value: PropertyValue| list.push((name.to_owned(), value));
    if *scale != Scale::None {
        add("NI_Scaling_Status", "unscaled".into());
        add("NI_Number_Of_Scales", PropertyValue::U32(1));
    }
    match scale {
        Scale::None => {}
        Scale::Linear { slope, intercept } => {
            add("NI_Scale[0]_Scale_Type", "Linear".into());
            add("NI_Scale[0]_Linear_Slope", PropertyValue::F64(*slope));
            add(
                "NI_Scale[0]_Linear_Y_Intercept",
                PropertyValue::F64(*intercept),
            );
            add(
                "NI_Scale[0]_Linear_Input_Source",
                PropertyValue::U32(u32::MAX),
            );
        }
        Scale::Polynomial(coefficients) => {
            add("NI_Scale[0]_Scale_Type", "Polynomial".into());
            add(
                "NI_Scale[0]_Polynomial_Coefficients_Size",
                PropertyValue::U32(coefficients.len() as u32),
            );
            for (k, coefficient) in coefficients.iter().enumerate() {
                add(
                    &format!("NI_Scale[0]_Polynomial_Coefficients[{k}]"),
                    PropertyValue::F64(*coefficient),
                );
            }
            add(
                "NI_Scale[0]_Polynomial_Input_Source",
                PropertyValue::U32(u32::MAX),
            );
        }
    }
    list
}

/// The first 28 bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeadIn {
    pub(crate) toc: u32,
    pub(crate) version: u32,
    /// Metadata and raw data, in bytes, or [`UNFINISHED`].
    pub(crate) next: u64,
    /// Metadata, in bytes.
    pub(crate) raw: u64,
}

impl LeadIn {
    pub(crate) fn encode(&self) -> [u8; LEAD_IN] {
        let mut bytes = [0; LEAD_IN];
        bytes[..4].copy_from_slice(&TAG);
        bytes[4..8].copy_from_slice(&self.toc.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.next.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.raw.to_le_bytes());
        bytes
    }

    /// Reads a lead-in that begins at `offset` of its file.
    pub(crate) fn parse(bytes: &[u8; LEAD_IN], offset: u64) -> Result<LeadIn, LogError> {
        if bytes[..4] != TAG {
            return Err(LogError::format(
                offset,
                format!(
                    "a segment should begin with TDSm, there is {:02x?}",
                    &bytes[..4]
                ),
            ));
        }
        let toc = u32::from_le_bytes(array(bytes, 4));
        let big = toc & toc::BIG_ENDIAN != 0;
        let u32_at = |at: usize| match big {
            true => u32::from_be_bytes(array(bytes, at)),
            false => u32::from_le_bytes(array(bytes, at)),
        };
        let u64_at = |at: usize| match big {
            true => u64::from_be_bytes(array(bytes, at)),
            false => u64::from_le_bytes(array(bytes, at)),
        };
        let lead_in = LeadIn {
            toc,
            version: u32_at(8),
            next: u64_at(12),
            raw: u64_at(20),
        };
        if lead_in.version != VERSION && lead_in.version != VERSION_1 {
            return Err(LogError::format(
                offset,
                format!(
                    "the version is {}, known are 4712 and 4713",
                    lead_in.version
                ),
            ));
        }
        if lead_in.next != UNFINISHED && lead_in.raw > lead_in.next {
            return Err(LogError::format(
                offset,
                format!(
                    "the metadata ({} bytes) are longer than the segment ({} bytes)",
                    lead_in.raw, lead_in.next
                ),
            ));
        }
        Ok(lead_in)
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// One of the numbers that NI-DAQmx raw data hold for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scaler {
    /// Number of the scaler, which scales name.
    pub(crate) id: u32,
    pub(crate) data_type: DataType,
    /// Index of the buffer among those of a chunk, each with rows of its own width.
    pub(crate) buffer: u32,
    /// Place in the row, in bytes.
    pub(crate) offset: u32,
    /// For a digital line: which bit of the value.
    pub(crate) bit: Option<u8>,
}

/// The raw-data index of a channel in NI-DAQmx raw data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DaqmxIndex {
    /// The channel's own type; `None` where its values are those of scalers.
    pub(crate) data_type: Option<DataType>,
    pub(crate) count: u64,
    pub(crate) scalers: Vec<Scaler>,
    /// Bytes of a row of each buffer.
    pub(crate) widths: Vec<u32>,
}

/// Raw-data index of an object as a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IndexEntry {
    /// The object has no raw data in this segment.
    None,
    /// As in the last segment that had it.
    AsBefore,
    /// `count` values; `bytes` is given for text.
    Values {
        data_type: DataType,
        count: u64,
        bytes: Option<u64>,
    },
    /// NI-DAQmx's own raw data.
    Daqmx(DaqmxIndex),
}

/// Walks through the metadata of a segment without copying.
pub(crate) struct MetadataReader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Offset of `bytes` in the file, for messages.
    base: u64,
    big: bool,
}

/// A property as the file has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RawProperty<'a> {
    pub(crate) name: &'a str,
    pub(crate) data_type: DataType,
    /// Bytes of the value; for text without the length.
    pub(crate) value: &'a [u8],
    /// Where the value's bytes begin in the metadata.
    pub(crate) at: usize,
}

impl<'a> MetadataReader<'a> {
    /// `bytes` are the metadata alone; `base` is where they begin in the file.
    pub(crate) fn new(bytes: &'a [u8], base: u64, big: bool) -> MetadataReader<'a> {
        MetadataReader {
            bytes,
            at: 0,
            base,
            big,
        }
    }

    fn error(&self, what: impl Into<String>) -> LogError {
        LogError::format(self.base + self.at as u64, what)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], LogError> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..count)) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => Err(self.error(format!(
                "the metadata end {} bytes too early",
                count - (self.bytes.len() - self.at)
            ))),
        }
    }

    pub(crate) fn u32(&mut self) -> Result<u32, LogError> {
        let big = self.big;
        let bytes = array(self.take(4)?, 0);
        Ok(if big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        })
    }

    fn u64(&mut self) -> Result<u64, LogError> {
        let big = self.big;
        let bytes = array(self.take(8)?, 0);
        Ok(if big {
            u64::from_be_bytes(bytes)
        } else {
            u64::from_le_bytes(bytes)
        })
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, LogError> {
        let length = self.u32()? as usize;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.error("a name or text is not UTF-8"))
    }

    pub(crate) fn index(&mut self) -> Result<IndexEntry, LogError> {
        let length = self.u32()?;
        match length {
            NO_RAW_DATA => return Ok(IndexEntry::None),
            INDEX_AS_BEFORE => return Ok(IndexEntry::AsBefore),
            DAQMX_FORMAT_CHANGING => return self.daqmx_index(false),
            DAQMX_DIGITAL_LINE | DAQMX_DIGITAL_LINE_AS_DOCUMENTED => return self.daqmx_index(true),
            20 | 28 => {}
            _ => {
                return Err(self.error(format!(
                    "a raw-data index has the impossible length {length}"
                )));
            }
        }
        let id = self.u32()?;
        if id == VOID {
            self.u32()?;
            return match self.u64()? {
                0 => Ok(IndexEntry::None),
                _ => Err(self.error("a channel without a type has values")),
            };
        }
        let data_type = DataType::from_tdms_id(id).ok_or_else(|| {
            LogError::Unsupported(format!("values of the TDMS data type {id:#x}"))
        })?;
        let dimension = self.u32()?;
        if dimension != 1 {
            return Err(self.error(format!("the array dimension is {dimension}, it must be 1")));
        }
        let count = self.u64()?;
        let bytes = match (data_type, length) {
            (DataType::String, 28) => Some(self.u64()?),
            (DataType::String, _) => return Err(self.error("text without its size")),
            (_, 28) => {
                self.u64()?;
                None
            }
            _ => None,
        };
        Ok(IndexEntry::Values {
            data_type,
            count,
            bytes,
        })
    }

    fn daqmx_index(&mut self, digital: bool) -> Result<IndexEntry, LogError> {
        let id = self.u32()?;
        let dimension = self.u32()?;
        if dimension != 1 {
            return Err(self.error(format!("the array dimension is {dimension}, it must be 1")));
        }
        let count = self.u64()?;
        let mut scalers = Vec::new();
        // Each scaler must be there, so a hostile number of them ends at the metadata's end.
        for _ in 0..self.u32()? {
            let number = self.u32()?;
            let data_type = daqmx_type(number).ok_or_else(|| {
                LogError::Unsupported(format!("NI-DAQmx raw data of type {number:#x}"))
            })?;
            let buffer = self.u32()?;
            let place = self.u32()?;
            match digital {
                true => drop(self.take(1)?),
                false => drop(self.u32()?),
            }
            scalers.push(Scaler {
                id: self.u32()?,
                data_type,
                buffer,
                offset: if digital { place / 8 } else { place },
                bit: digital.then_some((place % 8) as u8),
            });
        }
        let mut widths = Vec::new();
        for _ in 0..self.u32()? {
            widths.push(self.u32()?);
        }
        let data_type = match id {
            DAQMX_RAW_TYPE => None,
            _ => {
                let data_type = DataType::from_tdms_id(id);
                if scalers.len() != 1 || data_type != Some(scalers[0].data_type) {
                    return Err(self
                        .error("a channel of NI-DAQmx raw data has another type than its scaler"));
                }
                data_type
            }
        };
        if scalers.is_empty() {
            return Err(self.error("a channel of NI-DAQmx raw data has no scaler"));
        }
        Ok(IndexEntry::Daqmx(DaqmxIndex {
            data_type,
            count,
            scalers,
            widths,
        }))
    }

    pub(crate) fn property(&mut self) -> Result<RawProperty<'a>, LogError> {
        let name = self.text()?;
        let id = self.u32()?;
        let data_type = DataType::from_tdms_id(id).ok_or_else(|| {
            self.error(format!("the property {name} has the unknown type {id:#x}"))
        })?;
        let length = match data_type.size() {
            Some(size) => size,
            None => self.u32()? as usize,
        };
        let at = self.at;
        let value = self.take(length)?;
        Ok(RawProperty {
            name,
            data_type,
            value,
            at,
        })
    }

    /// True once every byte was read.
    pub(crate) fn at_end(&self) -> bool {
        self.at == self.bytes.len()
    }
}

impl RawProperty<'_> {
    /// The value as the program sees it.
    pub(crate) fn decode(&self, big: bool) -> Option<PropertyValue> {
        macro_rules! number {
            ($type:ty, $at:expr) => {
                match big {
                    true => <$type>::from_be_bytes(array(self.value, $at)),
                    false => <$type>::from_le_bytes(array(self.value, $at)),
                }
            };
        }
        Some(match self.data_type {
            DataType::I8 => PropertyValue::I8(number!(i8, 0)),
            DataType::I16 => PropertyValue::I16(number!(i16, 0)),
            DataType::I32 => PropertyValue::I32(number!(i32, 0)),
            DataType::I64 => PropertyValue::I64(number!(i64, 0)),
            DataType::U8 => PropertyValue::U8(number!(u8, 0)),
            DataType::U16 => PropertyValue::U16(number!(u16, 0)),
            DataType::U32 => PropertyValue::U32(number!(u32, 0)),
            DataType::U64 => PropertyValue::U64(number!(u64, 0)),
            DataType::F32 => PropertyValue::F32(number!(f32, 0)),
            DataType::F64 => PropertyValue::F64(number!(f64, 0)),
            DataType::Bool => PropertyValue::Bool(self.value[0] != 0),
            DataType::String => {
                PropertyValue::String(std::str::from_utf8(self.value).ok()?.to_owned())
            }
            DataType::Timestamp if big => PropertyValue::Timestamp(Timestamp {
                seconds: number!(i64, 0),
                fraction: number!(u64, 8),
            }),
            DataType::Timestamp => PropertyValue::Timestamp(Timestamp {
                fraction: number!(u64, 0),
                seconds: number!(i64, 8),
            }),
            DataType::Complex64 => PropertyValue::Complex64([number!(f32, 0), number!(f32, 4)]),
            DataType::Complex128 => PropertyValue::Complex128([number!(f64, 0), number!(f64, 8)]),
        })
    }

    pub(crate) fn u64_le(&self) -> Option<u64> {
        self.decode(false)?.as_u64()
    }
}

/// NI-DAQmx's number of a type.
fn daqmx_number(data_type: DataType) -> u32 {
    (0..=9)
        .find(|number| daqmx_type(*number) == Some(data_type))
        .unwrap_or(u32::MAX)
}

/// The type with NI-DAQmx's number, which is not that of TDMS.
fn daqmx_type(number: u32) -> Option<DataType> {
    Some(match number {
        0 => DataType::U8,
        1 => DataType::I8,
        2 => DataType::U16,
        3 => DataType::I16,
        4 => DataType::U32,
        5 => DataType::I32,
        6 => DataType::U64,
        7 => DataType::I64,
        8 => DataType::F32,
        9 => DataType::F64,
        0xFFFF_FFFF => DataType::Timestamp,
        _ => return None,
    })
}

/// What the housekeeping properties of one segment say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) run: Option<RunId>,
    pub(crate) segment: Option<u64>,
    pub(crate) seq: Option<u64>,
    pub(crate) blocks: Option<u64>,
    pub(crate) first_sample: Option<u64>,
    pub(crate) samples: Option<u64>,
    pub(crate) lost_before: Option<u64>,
    pub(crate) gap: Option<u32>,
    pub(crate) host_time_ns: Option<i64>,
    pub(crate) record: Option<u64>,
    pub(crate) record_start_ns: Option<i64>,
    pub(crate) pretrigger: Option<u64>,
    pub(crate) data_crc: Option<u32>,
    /// The header's CRC and where its bytes lie in the metadata.
    pub(crate) header_crc: Option<(u32, usize)>,
    pub(crate) complete: Option<bool>,
}

impl Stamp {
    /// Takes the property if it is one of the stamp's own; says whether it was.
    pub(crate) fn accept(&mut self, property: &RawProperty<'_>) -> bool {
        let number = || property.u64_le();
        let time = || match property.decode(false) {
            Some(PropertyValue::Timestamp(time)) => Some(time.unix_ns()),
            _ => None,
        };
        let small = || number().and_then(|v| u32::try_from(v).ok());
        match property.name {
            key::RUN => {
                self.run = std::str::from_utf8(property.value)
                    .ok()
                    .and_then(RunId::parse);
            }
            key::SEGMENT => self.segment = number(),
            key::SEQ => self.seq = number(),
            key::BLOCKS => self.blocks = number(),
            key::FIRST_SAMPLE => self.first_sample = number(),
            key::SAMPLES => self.samples = number(),
            key::LOST_BEFORE => self.lost_before = number(),
            key::GAP => self.gap = small(),
            key::HOST_TIME => self.host_time_ns = time(),
            key::RECORD => self.record = number(),
            key::RECORD_START => self.record_start_ns = time(),
            key::PRETRIGGER => self.pretrigger = number(),
            key::DATA_CRC => self.data_crc = small(),
            key::HEADER_CRC => self.header_crc = small().map(|crc| (crc, property.at)),
            key::COMPLETE => {
                self.complete = match property.decode(false) {
                    Some(PropertyValue::Bool(value)) => Some(value),
                    _ => None,
                };
                return false;
            }
            key::PAD => {}
            _ => return false,
        }
        true
    }

    fn record(&self) -> Option<Record> {
        Some(Record {
            number: self.record?,
            start_time_ns: self.record_start_ns?,
            pretrigger: self.pretrigger?,
        })
    }

    /// The block's stamp, where all of it is there.
    pub(crate) fn block(&self) -> Option<BlockStamp> {
        Some(BlockStamp {
            seq: self.seq?,
            blocks: self.blocks?,
            first_sample: self.first_sample?,
            samples: self.samples?,
            lost_before: self.lost_before?,
            gap: self.gap?,
            host_time_ns: self.host_time_ns?,
            record: self.record(),
        })
    }
}

/// CRC of a header whose own CRC field begins `at` bytes into the metadata, that field taken as zero.
pub(crate) fn header_crc(lead_in: &[u8; LEAD_IN], metadata: &[u8], at: usize) -> u32 {
    let mut crc = Crc32c::new();
    for part in [lead_in, &metadata[..at], &[0; 4], &metadata[at + 4..]] {
        crc.update(part);
    }
    crc.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_quotes_and_unicode() {
        for (group, channel) in [
            ("a", Some("b")),
            ("it's", Some("'quoted'")),
            ("/", Some("/'x'/'y'")),
            ("µ", Some("")),
            ("'", None),
        ] {
            let text = path(group, channel);
            let names = split_path(&text).expect("own paths are valid");
            let expected: Vec<&str> = std::iter::once(group).chain(channel).collect();
            assert_eq!(names, expected, "{text}");
        }
        assert_eq!(split_path("/"), Some(vec![]));
        for wrong in ["", "x", "/'a", "/'a'b", "/'a'/'b'/'c'", "/'a''"] {
            assert_eq!(split_path(wrong), None, "{wrong}");
        }
    }

    /// The definition, a bit at a time.
    fn crc32c_by_definition(data: &[u8]) -> u32 {
        let step = |crc: u32, byte: &u8| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0x82F6_3B78 * (crc & 1))
            })
        };
        !data.iter().fold(u32::MAX, step)
    }

    /// Implementations change their way with the length and with where the data lie.
    #[test]
    fn checksums_are_those_of_the_definition_at_every_length_and_in_parts() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        let mut word = 1u32;
        let data: Vec<u8> = (0..70_000)
            .map(|_| {
                word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (word >> 24) as u8
            })
            .collect();
        let lengths = (0..1100).chain([4095, 4096, 4097, 65_536, 69_990]);
        for length in lengths {
            let part = &data[length % 9..][..length];
            let expected = crc32c_by_definition(part);
            assert_eq!(crc32c(part), expected, "{length} bytes");
            let mut crc = Crc32c::new();
            for piece in part.chunks(1 + length / 3) {
                crc.update(piece);
            }
            assert_eq!(crc.finish(), expected, "{length} bytes in parts");
        }
    }

    #[test]
    fn a_header_is_padded_together_with_its_data() {
        for raw in [0u64, 1, 17, 4095, 4096, 4097, 1 << 20] {
            let mut builder = HeaderBuilder::new(Vec::new());
            builder.object("/", RawIndex::None, 0);
            let index = RawIndex::Values {
                data_type: DataType::I8,
                count: raw,
            };
            builder.object("/'g'/'c'", index, 0);
            let bytes = builder.finish(
                &Seal {
                    run: RunId(7),
                    segment: 3,
                    block: None,
                    data_crc: Some(9),
                },
                raw,
                ALIGN,
            );
            assert_eq!((bytes.len() as u64 + raw) % ALIGN as u64, 0);
            let lead_in = LeadIn::parse(&array(&bytes, 0), 0).expect("own lead-in");
            assert_eq!(lead_in.next, bytes.len() as u64 - 28 + raw);

            let metadata = &bytes[LEAD_IN..];
            let mut reader = MetadataReader::new(metadata, 28, false);
            let objects = reader.u32().expect("count");
            let mut stamp = Stamp::default();
            for _ in 0..objects {
                reader.text().expect("path");
                reader.index().expect("index");
                for _ in 0..reader.u32().expect("count") {
                    let property = reader.property().expect("property");
                    assert!(stamp.accept(&property));
                }
            }
            assert!(reader.at_end());
            assert_eq!(stamp.run, Some(RunId(7)));
            let (crc, at) = stamp.header_crc.expect("CRC");
            assert_eq!(header_crc(&array(&bytes, 0), metadata, at), crc);
        }
    }

    #[test]
    fn timestamps_come_back_to_the_nanosecond() {
        for ns in [
            0,
            1,
            -1,
            999_999_999,
            1_763_683_457_123_456_789,
            i64::MIN / 2,
        ] {
            assert_eq!(Timestamp::from_unix_ns(ns).unix_ns(), ns);
        }
        assert_eq!(Timestamp::from_unix_ns(0).seconds, 2_082_844_800);
    }
}
