//! The housekeeping tables: what readers that keep only the last value of a property could not see otherwise.

use crate::layout::{DataType, Gap};
use crate::segment::{BlockStamp, HOUSEKEEPING, HeaderBuilder, RawIndex, path};

/// Rows that are collected before they are written: bounded memory in a run of any length.
const ROWS: usize = 4096;

pub(crate) struct BlockRow {
    pub(crate) stream: u32,
    pub(crate) stamp: BlockStamp,
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

#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) blocks: Vec<BlockRow>,
    pub(crate) gaps: Vec<GapRow>,
    pub(crate) events: Vec<EventRow>,
}

impl Tables {
    pub(crate) fn is_full(&self) -> bool {
        self.blocks.len() >= ROWS || self.gaps.len() >= ROWS || self.events.len() >= ROWS
    }

    /// Announces the tables' channels in the header, empties the tables, and gives the channels' bytes.
    pub(crate) fn take(&mut self, header: &mut HeaderBuilder) -> Vec<u8> {
        let mut data = Vec::new();
        let blocks = std::mem::take(&mut self.blocks);
        let gaps = std::mem::take(&mut self.gaps);
        let mut column =
            |name: &str, data_type, rows: usize, fill: &dyn Fn(usize, &mut Vec<u8>)| {
                if rows == 0 {
                    return;
                }
                let index = RawIndex::Values {
                    data_type,
                    count: rows as u64,
                };
                header.object(&path(HOUSEKEEPING, Some(name)), index, 0);
                for row in 0..rows {
                    fill(row, &mut data);
                }
            };

        let rows = blocks.len();
        let mut u32s = |name, get: &dyn Fn(&BlockRow) -> u32| {
            column(name, DataType::U32, rows, &|row, out| {
                out.extend_from_slice(&get(&blocks[row]).to_le_bytes());
            });
        };
        u32s("block.stream", &|row| row.stream);
        u32s("block.gap", &|row| row.stamp.gap);
        u32s("block.crc32c", &|row| row.crc32c);
        let mut u64s = |name, get: &dyn Fn(&BlockRow) -> u64| {
            column(name, DataType::U64, rows, &|row, out| {
                out.extend_from_slice(&get(&blocks[row]).to_le_bytes());
            });
        };
        u64s("block.seq", &|row| row.stamp.seq);
        u64s("block.count", &|row| row.stamp.blocks);
        u64s("block.first_sample", &|row| row.stamp.first_sample);
        u64s("block.samples", &|row| row.stamp.samples);
        u64s("block.lost_before", &|row| row.stamp.lost_before);
        u64s("block.offset", &|row| row.offset);
        column("block.host_time_ns", DataType::I64, rows, &|row, out| {
            out.extend_from_slice(&blocks[row].stamp.host_time_ns.to_le_bytes());
        });

        let rows = gaps.len();
        column("gap.stream", DataType::U32, rows, &|row, out| {
            out.extend_from_slice(&gaps[row].stream.to_le_bytes());
        });
        column("gap.cause", DataType::U32, rows, &|row, out| {
            out.extend_from_slice(&(gaps[row].gap.cause as u32).to_le_bytes());
        });
        column("gap.first_sample", DataType::U64, rows, &|row, out| {
            out.extend_from_slice(&gaps[row].gap.first_sample.to_le_bytes());
        });
        column("gap.count", DataType::U64, rows, &|row, out| {
            let count = gaps[row].gap.count.unwrap_or(u64::MAX);
            out.extend_from_slice(&count.to_le_bytes());
        });
        column("gap.host_time_ns", DataType::I64, rows, &|row, out| {
            out.extend_from_slice(&gaps[row].gap.host_time_ns.to_le_bytes());
        });
        column("gap.at_end", DataType::U8, rows, &|row, out| {
            out.push(u8::from(gaps[row].at_end));
        });

        let events = std::mem::take(&mut self.events);
        column(
            "event.host_time_ns",
            DataType::I64,
            events.len(),
            &|row, out| {
                out.extend_from_slice(&events[row].host_time_ns.to_le_bytes());
            },
        );
        if !events.is_empty() {
            let mut end = 0u32;
            let mut characters = Vec::new();
            for event in &events {
                end += event.text.len() as u32;
                data.extend_from_slice(&end.to_le_bytes());
                characters.extend_from_slice(event.text.as_bytes());
            }
            let index = RawIndex::Text {
                count: events.len() as u64,
                bytes: (events.len() * 4 + characters.len()) as u64,
            };
            header.object(&path(HOUSEKEEPING, Some("event.text")), index, 0);
            data.append(&mut characters);
        }
        data
    }
}
