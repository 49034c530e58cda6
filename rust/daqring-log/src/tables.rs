//! The housekeeping tables: what readers that keep only the last value of a property could not see otherwise.

use crate::layout::{ClockPair, DataType, Gap, Record};
use crate::segment::{BlockStamp, HOUSEKEEPING, HeaderBuilder, RawIndex, path};

/// Rows that are collected before they are written: bounded memory in a run of any length.
const ROWS: usize = 4096;

pub(crate) struct BlockRow {
    pub(crate) stream: u32,
    pub(crate) stamp: BlockStamp,
    /// 0 where the segment has none.
    pub(crate) crc32c: u32,
    pub(crate) offset: u64,
}

pub(crate) struct GapRow {
    pub(crate) stream: u32,
    pub(crate) gap: Gap,
    /// No block follows this gap.
    pub(crate) at_end: bool,
}

pub(crate) struct EventRow {
    pub(crate) host_time_ns: i64,
    pub(crate) text: String,
}

pub(crate) struct RecordRow {
    pub(crate) stream: u32,
    /// Index of the record's first value in the group's channels.
    pub(crate) first_value: u64,
    pub(crate) first_sample: u64,
    pub(crate) samples: u64,
    pub(crate) record: Record,
}

pub(crate) struct ClockRow {
    pub(crate) stream: u32,
    pub(crate) pair: ClockPair,
}

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) blocks: Vec<BlockRow>,
    pub(crate) gaps: Vec<GapRow>,
    pub(crate) events: Vec<EventRow>,
    pub(crate) records: Vec<RecordRow>,
    pub(crate) clocks: Vec<ClockRow>,
}

/// Writes one channel after the other: announced in the header, its values to the data.
struct Columns<'a> {
    header: &'a mut HeaderBuilder,
    data: Vec<u8>,
}

impl Columns<'_> {
    fn column<R, const N: usize>(
        &mut self,
        name: &str,
        data_type: DataType,
        rows: &[R],
        value: impl Fn(&R) -> [u8; N],
    ) {
        if rows.is_empty() {
            return;
        }
        let index = RawIndex::Values {
            data_type,
            count: rows.len() as u64,
        };
        self.header
            .object(&path(HOUSEKEEPING, Some(name)), index, 0);
        for row in rows {
            self.data.extend_from_slice(&value(row));
        }
    }

    fn u32<R>(&mut self, name: &str, rows: &[R], value: impl Fn(&R) -> u32) {
        self.column(name, DataType::U32, rows, |row| value(row).to_le_bytes());
    }

    fn u64<R>(&mut self, name: &str, rows: &[R], value: impl Fn(&R) -> u64) {
        self.column(name, DataType::U64, rows, |row| value(row).to_le_bytes());
    }

    fn i64<R>(&mut self, name: &str, rows: &[R], value: impl Fn(&R) -> i64) {
        self.column(name, DataType::I64, rows, |row| value(row).to_le_bytes());
    }

    fn text<R>(&mut self, name: &str, rows: &[R], value: impl Fn(&R) -> &str) {
        if rows.is_empty() {
            return;
        }
        let begin = self.data.len();
        let mut end = 0u32;
        for row in rows {
            end += value(row).len() as u32;
            self.data.extend_from_slice(&end.to_le_bytes());
        }
        for row in rows {
            self.data.extend_from_slice(value(row).as_bytes());
        }
        let index = RawIndex::Text {
            count: rows.len() as u64,
            bytes: (self.data.len() - begin) as u64,
        };
        self.header
            .object(&path(HOUSEKEEPING, Some(name)), index, 0);
    }
}

impl Tables {
    pub(crate) fn is_full(&self) -> bool {
        let rows = self.blocks.len()
            + self.gaps.len()
            + self.events.len()
            + self.records.len()
            + self.clocks.len();
        rows >= ROWS
    }

    /// Adds what one segment has of a record; the segments of a long record become one row, as far as they follow one
    /// another here.
    pub(crate) fn add_record(&mut self, row: RecordRow) {
        match self.records.last_mut() {
            Some(last)
                if last.stream == row.stream
                    && last.record == row.record
                    && last.first_sample + last.samples == row.first_sample =>
            {
                last.samples += row.samples;
            }
            _ => self.records.push(row),
        }
    }

    /// Announces the tables' channels in the header, empties the tables, and gives the channels' bytes.
    pub(crate) fn take(&mut self, header: &mut HeaderBuilder) -> Vec<u8> {
        let tables = std::mem::take(self);
        let mut out = Columns {
            header,
            data: Vec::new(),
        };
        let rows = &tables.blocks;
        out.u32("block.stream", rows, |row| row.stream);
        out.u64("block.seq", rows, |row| row.stamp.seq);
        out.u64("block.count", rows, |row| row.stamp.blocks);
        out.u64("block.first_sample", rows, |row| row.stamp.first_sample);
        out.u64("block.samples", rows, |row| row.stamp.samples);
        out.u64("block.lost_before", rows, |row| row.stamp.lost_before);
        out.u32("block.gap", rows, |row| row.stamp.gap);
        out.i64("block.host_time_ns", rows, |row| row.stamp.host_time_ns);
        out.u32("block.crc32c", rows, |row| row.crc32c);
        out.u64("block.offset", rows, |row| row.offset);

        let rows = &tables.gaps;
        out.u32("gap.stream", rows, |row| row.stream);
        out.u64("gap.first_sample", rows, |row| row.gap.first_sample);
        out.u64("gap.count", rows, |row| row.gap.count.unwrap_or(u64::MAX));
        out.u32("gap.cause", rows, |row| row.gap.cause as u32);
        out.i64("gap.host_time_ns", rows, |row| row.gap.host_time_ns);
        out.column("gap.at_end", DataType::U8, rows, |row| {
            [u8::from(row.at_end)]
        });

        let rows = &tables.events;
        out.i64("event.host_time_ns", rows, |row| row.host_time_ns);
        out.text("event.text", rows, |row| &row.text);

        let rows = &tables.records;
        out.u32("record.stream", rows, |row| row.stream);
        out.u64("record.number", rows, |row| row.record.number);
        out.u64("record.first_value", rows, |row| row.first_value);
        out.u64("record.first_sample", rows, |row| row.first_sample);
        out.u64("record.samples", rows, |row| row.samples);
        out.u64("record.pretrigger", rows, |row| row.record.pretrigger);
        out.i64("record.start_time_ns", rows, |row| row.record.start_time_ns);

        let rows = &tables.clocks;
        out.u32("clock.stream", rows, |row| row.stream);
        out.u64("clock.sample", rows, |row| row.pair.sample);
        out.i64("clock.monotonic_ns", rows, |row| row.pair.monotonic_ns);
        out.i64("clock.utc_ns", rows, |row| row.pair.utc_ns);
        out.data
    }
}
