//! A plain thread that reads a task block by block: what the native reader is measured against.
//!
//! `benches/reader.py` builds it and calls it through ctypes, which lets go of the interpreter for as
//! long as the call lasts.

use std::ffi::c_void;
use std::time::{SystemTime, UNIX_EPOCH};

type Read = unsafe extern "system" fn(
    *mut c_void,
    i32,
    f64,
    u32,
    *mut c_void,
    u32,
    *mut i32,
    *mut u32,
) -> i32;

/// Reads `reads` blocks of `samples` int16 samples of one channel and writes down when each came, in
/// nanoseconds since 1970. Returns the status of the first read that failed, else 0.
///
/// # Safety
/// `read` reads int16 samples of the task `handle`, and `times` has room for `reads` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn read_in_a_plain_thread(
    read: Read,
    handle: usize,
    samples: i32,
    reads: usize,
    times: *mut i64,
) -> i32 {
    let times = times as usize;
    let run = move || {
        let mut block = vec![0i16; samples as usize];
        for index in 0..reads {
            let mut got = 0;
            // SAFETY: the caller vouches for function and handle; the block has room for the read.
            let status = unsafe {
                read(
                    handle as *mut c_void,
                    samples,
                    10.0,
                    0,
                    block.as_mut_ptr().cast(),
                    samples as u32,
                    &mut got,
                    std::ptr::null_mut(),
                )
            };
            if status < 0 {
                return status;
            }
            // SAFETY: the caller vouches for the room.
            unsafe { *(times as *mut i64).add(index) = unix_ns() };
        }
        0
    };
    std::thread::spawn(run).join().unwrap_or(i32::MIN)
}

fn unix_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_nanos() as i64)
}
