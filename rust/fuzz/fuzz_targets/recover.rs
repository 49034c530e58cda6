//! Recovery against arbitrary bytes whose checksums are made right, so that it believes them.
#![no_main]

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use daqring_log::{DirectIo, Medium, Source, Storage, SyncTarget, crc32c, recover_sources, verify_source};
use libfuzzer_sys::fuzz_target;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Medium for Memory {
    fn create(&self, _: &Path, _: bool, _: DirectIo) -> io::Result<Box<dyn Storage>> {
        Ok(Box::new(self.clone()))
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn free_space(&self, _: &Path) -> io::Result<Option<u64>> {
        Ok(None)
    }
}

impl Storage for Memory {
    fn write(&mut self, offset: u64, header: &[u8], data: &[u8]) -> io::Result<()> {
        let mut bytes = self.0.lock().expect("one thread");
        assert_eq!(offset, bytes.len() as u64, "recovery only appends");
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(data);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.lock().expect("one thread").truncate(length as usize);
        Ok(())
    }

    fn sync_target(&self) -> io::Result<Arc<dyn SyncTarget>> {
        Ok(Arc::new(self.clone()))
    }

    fn is_direct(&self) -> bool {
        false
    }
}

impl SyncTarget for Memory {
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn restamp(bytes: &mut [u8]) {
    let find = |header: &[u8], name: &str| {
        let at = header.windows(name.len()).position(|window| window == name.as_bytes())?;
        let value = at + name.len() + 4;
        (value + 4 <= header.len()).then_some(value)
    };
    for begin in (0..bytes.len().saturating_sub(28)).step_by(4096) {
        let word = |at: usize| -> usize {
            let bytes: [u8; 8] = bytes[begin + at..begin + at + 8].try_into().expect("8 bytes");
            usize::try_from(u64::from_le_bytes(bytes)).unwrap_or(usize::MAX)
        };
        let (next, raw) = (word(12), word(20));
        let body = bytes.len() - begin - 28;
        if &bytes[begin..begin + 4] != b"TDSm" || raw > body {
            continue;
        }
        let data_end = begin + 28 + next.clamp(raw, body);
        let data_crc = crc32c(&bytes[begin + 28 + raw..data_end]);
        let header = &mut bytes[begin..begin + 28 + raw];
        if let Some(at) = find(header, "daqring.crc32c") {
            header[at..at + 4].copy_from_slice(&data_crc.to_le_bytes());
        }
        if let Some(at) = find(header, "daqring.header_crc32c") {
            header[at..at + 4].fill(0);
            let crc = crc32c(header);
            header[at..at + 4].copy_from_slice(&crc.to_le_bytes());
        }
    }
}

fuzz_target!(|data: &[u8]| {
    // The input is a log and its tail, one behind the other at a page.
    let mut bytes = data.to_vec();
    restamp(&mut bytes);
    let middle = bytes.len() / 2 / 4096 * 4096;
    let tail: Arc<dyn Source> = Arc::new(bytes.split_off(middle));
    let log: Arc<dyn Source> = Arc::new(bytes);
    let _ = verify_source(Arc::clone(&log));
    let medium = Memory::default();
    let recovered = recover_sources(log, vec![tail], Arc::new(medium.clone()), Path::new("out"), false);
    if recovered.is_ok() {
        let bytes = medium.0.lock().expect("one thread").clone();
        // What recovery writes can be followed from end to end.
        let _ = verify_source(Arc::new(bytes)).expect("a recovered log is a log");
    }
});
