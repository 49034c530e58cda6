//! What the nonsense is made of, and what has to hold of every status that it gives.

#![allow(dead_code, reason = "no test uses all of it")]

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};

use nidaqmx_sim::abi::{DAQmxGetErrorString, DAQmxGetExtendedErrorInfo};

/// Numbers in an order that looks random and is the same every time.
pub struct Random {
    state: u64,
    /// Numbers that mean something to the functions called.
    known: &'static [i32],
}

impl Random {
    pub fn new(seed: u64, known: &'static [i32]) -> Self {
        Self { state: seed, known }
    }

    pub fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn int(&mut self) -> i32 {
        match self.below(4) {
            0 => self.next() as i32,
            1 => self.pick(&[-1, 0, 1, 2, 3, 4, 10, 100, i32::MAX, i32::MIN]),
            _ => self.pick(self.known),
        }
    }

    pub fn float(&mut self) -> f64 {
        match self.below(3) {
            0 => self.pick(&[
                0.0,
                -1.0,
                1.0,
                1e-9,
                1e-3,
                0.5,
                2.5,
                -10.0,
                10.0,
                1000.0,
                1e6,
                1e300,
                -1e300,
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::MIN_POSITIVE,
            ]),
            1 => self.below(2000) as f64 / 100.0 - 10.0,
            _ => f64::from_bits(self.next()),
        }
    }

    /// One of some texts that end with a zero, or null.
    pub fn text<T: AsRef<[u8]>>(&mut self, texts: &[T]) -> *const c_char {
        match self.below(15) {
            0 => null(),
            _ => texts[self.below(texts.len())].as_ref().as_ptr().cast(),
        }
    }

    /// One of the handles given out, or one that never was.
    pub fn task(&mut self, handles: &[*mut c_void]) -> *mut c_void {
        if handles.is_empty() || self.below(20) == 0 {
            self.pick(&[
                null_mut(),
                0x10usize as *mut c_void,
                usize::MAX as *mut c_void,
            ])
        } else {
            self.pick(handles)
        }
    }
}

/// How many calls are made: so many, or as many as `NIDAQMX_SIM_NONSENSE_SECONDS` leaves time for.
pub struct Calls {
    usual: u64,
    end: Option<Instant>,
    pub made: u64,
}

impl Calls {
    pub fn new(usual: u64) -> Self {
        let seconds = std::env::var("NIDAQMX_SIM_NONSENSE_SECONDS").ok();
        let seconds: Option<u64> = seconds.and_then(|seconds| seconds.parse().ok());
        Self {
            usual,
            end: seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
            made: 0,
        }
    }

    /// Whether there is one more.
    pub fn another(&mut self) -> bool {
        let more = match self.end {
            None => self.made < self.usual,
            Some(end) => !self.made.is_multiple_of(1000) || Instant::now() < end,
        };
        self.made += u64::from(more);
        more
    }
}

/// Every error has words of its own, and none is a panic.
pub fn assert_explained(status: i32) {
    if status >= 0 {
        return;
    }
    let mut text = [0u8; 2048];
    // SAFETY: the buffer has the size given.
    let rest = unsafe { DAQmxGetExtendedErrorInfo(text.as_mut_ptr().cast(), 2048) };
    assert_eq!(rest, 0);
    let text = String::from_utf8_lossy(&text);
    assert!(
        text.contains(&format!("Status Code: {status}")),
        "{status}: {text}"
    );
    assert_ne!(status, -50150, "a panic was caught: {text}");
    let mut text = [0u8; 256];
    // SAFETY: the buffer has the size given.
    unsafe { DAQmxGetErrorString(status, text.as_mut_ptr().cast(), 256) };
    let text = String::from_utf8_lossy(&text);
    assert!(
        !text.starts_with("No description"),
        "status {status} has no sentence"
    );
}
