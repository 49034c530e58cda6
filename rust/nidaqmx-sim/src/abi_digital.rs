//! The exported functions of digital inputs: change detection, waveforms, and the kinds of timing
//! that no simulated device has.

use std::ffi::{c_char, c_void};

use crate::abi::{Handle, done, export, guarded, offer, waveform_times, with_array, with_task};
use crate::attribute::load_text;
use crate::driver::driver;
use crate::error::{Error, code};
use crate::read::Fill;
use crate::waveform::{self, SetProperty};

/// Timing by handshake, burst handshake, and a pipelined sample clock.
const HANDSHAKE: i32 = 10389;
const BURST: i32 = 12548;
const PIPELINED: i32 = 14668;

export! {
    /// Takes a sample at each change of the lines.
    fn DAQmxCfgChangeDetectionTiming(
        task: Handle,
        rising: *const c_char,
        falling: *const c_char,
        mode: i32,
        samples: u64,
    ) {
        let (rising, falling) = (load_text(rising), load_text(falling));
        done(with_task(task, |task| {
            task.set_timing(|timing| timing.change_detection(&rising, &falling, mode, samples))
        }))
    }

    /// Refused when the task is verified: no simulated device has it.
    fn DAQmxCfgHandshakingTiming(task: Handle, mode: i32, samples: u64) {
        done(with_task(task, |task| {
            task.set_timing(|timing| timing.unsupported(HANDSHAKE, mode, samples))
        }))
    }

    /// Refused when the task is verified: no simulated device has it.
    fn DAQmxCfgBurstHandshakingTimingImportClock(
        task: Handle,
        mode: i32,
        samples: u64,
        rate: f64,
        source: *const c_char,
        edge: i32,
        pause: i32,
        ready: i32,
    ) {
        let _ = (rate, source, edge, pause, ready);
        done(with_task(task, |task| {
            task.set_timing(|timing| timing.unsupported(BURST, mode, samples))
        }))
    }

    /// Refused when the task is verified: no simulated device has it.
    fn DAQmxCfgBurstHandshakingTimingExportClock(
        task: Handle,
        mode: i32,
        samples: u64,
        rate: f64,
        terminal: *const c_char,
        polarity: i32,
        pause: i32,
        ready: i32,
    ) {
        let _ = (rate, terminal, polarity, pause, ready);
        done(with_task(task, |task| {
            task.set_timing(|timing| timing.unsupported(BURST, mode, samples))
        }))
    }

    /// Refused when the task is verified: no simulated device has it.
    fn DAQmxCfgPipelinedSampClkTiming(
        task: Handle,
        source: *const c_char,
        rate: f64,
        edge: i32,
        mode: i32,
        samples: u64,
    ) {
        let _ = (source, rate, edge);
        done(with_task(task, |task| {
            task.set_timing(|timing| timing.unsupported(PIPELINED, mode, samples))
        }))
    }

    /// Starts when lines match a pattern.
    fn DAQmxCfgDigPatternStartTrig(
        task: Handle,
        source: *const c_char,
        pattern: *const c_char,
        when: i32,
    ) {
        let (source, pattern) = (load_text(source), load_text(pattern));
        done(with_task(task, |task| {
            task.set_trigger(|all| all.start_on_pattern(&source, &pattern, when))
        }))
    }

    /// Ends so many samples after lines match a pattern.
    fn DAQmxCfgDigPatternRefTrig(
        task: Handle,
        source: *const c_char,
        pattern: *const c_char,
        when: i32,
        before: u32,
    ) {
        let (source, pattern) = (load_text(source), load_text(pattern));
        done(with_task(task, |task| {
            task.set_trigger(|all| all.reference_on_pattern(&source, &pattern, when, before))
        }))
    }

    /// Waits for a timestamp: that of the start trigger or of the first sample.
    fn DAQmxWaitForValidTimestamp(
        task: Handle,
        event: i32,
        timeout: f64,
        timestamp: *mut [u64; 2],
    ) {
        let (fraction, seconds) = with_task(task, |task| {
            if timestamp.is_null() {
                return Err(Error::new(code::NULL_POINTER));
            }
            task.wait_for_timestamp(event, timeout)
        })?;
        timestamp.write_unaligned([fraction, seconds as u64]);
        Ok(0)
    }

    /// Reads digital lines with times and properties, a byte for each line, the highest line first.
    fn DAQmxInternalReadDigitalWaveform(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        first_times: *mut i64,
        intervals: *mut i64,
        times: u32,
        property: Option<SetProperty>,
        data: *mut c_void,
        array: *mut u8,
        size: u32,
        count: *mut i32,
        bytes: *mut i32,
        lines: *mut u32,
        channels: u32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        offer(count, 0);
        let task = driver().task(task as usize)?;
        let fill = Fill::new(fill)?;
        let times = waveform_times(first_times, intervals, times);
        let property = property.map(|function| (function, data));
        let mut widths = Vec::new();
        let outcome = with_array(array, size, |out| {
            waveform::read_digital(&task, (samples, timeout, fill), times, property, out, &mut widths)
        });
        offer(bytes, widths.iter().copied().max().unwrap_or(0) as i32);
        if !lines.is_null() {
            for (index, width) in widths.iter().enumerate().take(channels as usize) {
                lines.add(index).write_unaligned(*width as u32);
            }
        }
        done(crate::abi::conclude(&task, outcome, count))
    }
}
