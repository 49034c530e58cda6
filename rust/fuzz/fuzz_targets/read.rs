//! The segment parser and the reader against arbitrary bytes.
#![no_main]

use std::sync::Arc;

use daqring_log::{LogFile, Source, verify_source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let source: Arc<dyn Source> = Arc::new(data.to_vec());
    if let Ok(file) = LogFile::from_source(Arc::clone(&source)) {
        for (g, group) in file.groups().iter().enumerate() {
            for (c, channel) in group.channels.iter().enumerate() {
                // No channel has more values than the file has bytes.
                assert!(channel.len <= data.len() as u64);
                let end = channel.len.min(64);
                match channel.data_type.size() {
                    Some(size) => {
                        let _ = file.read_raw(g, c, 0..end, &mut vec![0; end as usize * size]);
                        let mut scaled = vec![0.0; end as usize];
                        let alone = file.read_scaled(g, c, 0..end, &mut scaled);
                        let mut together = vec![0.0; end as usize];
                        let many = file.read_scaled_many(
                            g,
                            &[c, c],
                            0..end,
                            &mut [&mut together, &mut vec![0.0; end as usize]],
                        );
                        assert_eq!(alone.is_ok(), many.is_ok());
                        let (mut low, mut high) = (vec![0.0; 1], vec![0.0; 1]);
                        let _ = file.envelope(g, c, &[0, end], &mut low, &mut high);
                    }
                    None => drop(file.read_text(g, c, 0..end)),
                }
            }
        }
        for run in file.plain_runs(0..file.segment_count()) {
            assert!(run.offset + run.bytes <= data.len() as u64);
        }
        let _ = (file.events(), file.records(), file.clock_pairs());
    }
    let _ = verify_source(source).map(|report| report.to_string());
});
