//! The exported functions of outputs: channels, writing, output buffers.

use std::ffi::{c_char, c_void};

use crate::abi::{Handle, done, export, given, guarded, offer, with_task};
use crate::attribute::{self, Object, Value, load_list, load_text, store};
use crate::channel::{Channel, channel_type};
use crate::driver::driver;
use crate::error::{Error, Result, code};
use crate::output::{self, Pulse, Wanted, kind};
use crate::read::Fill;
use crate::task::{Numbers, WriteRequest};
use crate::write;

/// One write: the numbers made from the caller's array, the count given back.
///
/// # Safety
/// `written` is null or valid for a write.
unsafe fn written(handle: Handle, request: &WriteRequest<'_>, written: *mut i32) -> Result<i32> {
    // SAFETY: the caller's promise is passed on.
    unsafe { offer(written, 0) };
    let task = driver().task(handle as usize)?;
    let (count, error) = task.write(request);
    // SAFETY: as above.
    unsafe { offer(written, i32::try_from(count).unwrap_or(i32::MAX)) };
    match error {
        None => Ok(0),
        Some(error) => Err(error.in_task(&task.name)),
    }
}

/// What the parameters of a write function ask for.
fn request(
    samples: i32,
    auto_start: u32,
    timeout: f64,
    family: i32,
    scalar: bool,
    numbers: Numbers<'_>,
) -> WriteRequest<'_> {
    WriteRequest {
        samples,
        auto_start: auto_start != 0,
        timeout,
        family,
        scalar,
        numbers,
    }
}

/// Writes an array with an element for each sample of each channel.
///
/// # Safety
/// `array` is null or holds a sample of each channel, `samples` times; `count` is null or valid.
#[allow(clippy::too_many_arguments)]
unsafe fn write_array<T: Copy>(
    handle: Handle,
    samples: i32,
    auto_start: u32,
    timeout: f64,
    layout: u32,
    array: *const T,
    count: *mut i32,
    family: i32,
    convert: impl Fn(&[Channel], usize, Fill, &[T]) -> Result<Vec<f64>>,
) -> Result<i32> {
    let fill = Fill::new(layout)?;
    let numbers = |channels: &[Channel], samples: usize| {
        // SAFETY: the caller promises a sample of each channel, so many times.
        let data = unsafe { load_list(array, samples.saturating_mul(channels.len()))? };
        convert(channels, samples, fill, &data)
    };
    let request = request(samples, auto_start, timeout, family, false, &numbers);
    // SAFETY: the caller's promise is passed on.
    unsafe { written(handle, &request, count) }
}

/// Writes one value to one channel.
fn write_scalar(
    handle: Handle,
    auto_start: u32,
    timeout: f64,
    family: i32,
    convert: impl Fn(&[Channel]) -> Result<Vec<f64>>,
) -> Result<i32> {
    let numbers = |channels: &[Channel], _: usize| convert(channels);
    let request = request(1, auto_start, timeout, family, true, &numbers);
    // SAFETY: a null count is allowed.
    unsafe { written(handle, &request, std::ptr::null_mut()) }
}

/// Writes two arrays: the numbers of pulses.
///
/// # Safety
/// The arrays are null or hold a sample of each channel, `samples` times; `count` is null or valid.
#[allow(clippy::too_many_arguments)]
unsafe fn write_pulses<T: Copy + Into<f64>>(
    handle: Handle,
    samples: i32,
    auto_start: u32,
    timeout: f64,
    layout: u32,
    first: *const T,
    second: *const T,
    count: *mut i32,
    output: i32,
) -> Result<i32> {
    let fill = Fill::new(layout)?;
    let numbers = |channels: &[Channel], samples: usize| {
        let size = samples.saturating_mul(channels.len());
        // SAFETY: the caller promises a sample of each channel in both arrays, so many times.
        let (first, second) = unsafe { (load_list(first, size)?, load_list(second, size)?) };
        write::pulses(channels, samples, fill, output, &first, &second)
    };
    let family = channel_type::COUNTER_OUTPUT;
    let request = request(samples, auto_start, timeout, family, false, &numbers);
    // SAFETY: the caller's promise is passed on.
    unsafe { written(handle, &request, count) }
}

fn one_pulse(output: i32, first: f64, second: f64) -> impl Fn(&[Channel]) -> Result<Vec<f64>> {
    move |channels| write::pulses(channels, 1, Fill::ByChannel, output, &[first], &[second])
}

/// Raw bytes of one channel's samples, as numbers.
fn raw(channels: &[Channel], samples: usize, bytes: &[u8]) -> Result<Vec<f64>> {
    let width = channels.iter().map(Channel::raw_bits).max().unwrap_or(16) as usize / 8;
    let analog = channels.first().is_some_and(|channel| {
        matches!(channel.physical, crate::device::Physical::AnalogOutput(_))
    });
    let number = |bytes: &[u8]| match *bytes {
        [one] => u32::from(one),
        [one, two] => u32::from(u16::from_ne_bytes([one, two])),
        [one, two, three, four] => u32::from_ne_bytes([one, two, three, four]),
        _ => 0,
    };
    let data: Vec<u32> = bytes.chunks_exact(width).map(number).collect();
    if analog {
        write::codes(channels, samples, Fill::ByScan, &data, |code| {
            i32::from(code as u16 as i16)
        })
    } else {
        write::ports(channels, samples, Fill::ByScan, &data, 32, |bits| bits)
    }
}

export! {
    // ---- channels ----

    /// Adds channels that put out a voltage.
    fn DAQmxCreateAOVoltageChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        scale: *const c_char,
    ) {
        let (physical, names, scale) = (load_text(physical), load_text(names), load_text(scale));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            kind: kind::VOLTAGE,
            min,
            max,
            units,
            scale: &scale,
        };
        done(with_task(task, |task| output::analog(task, wanted, &[])))
    }

    /// Adds channels that put out a current.
    fn DAQmxCreateAOCurrentChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        scale: *const c_char,
    ) {
        let (physical, names, scale) = (load_text(physical), load_text(names), load_text(scale));
        let wanted = Wanted {
            physical: &physical,
            names: &names,
            kind: kind::CURRENT,
            min,
            max,
            units,
            scale: &scale,
        };
        done(with_task(task, |task| output::analog(task, wanted, &[])))
    }

    /// Adds channels that generate a function.
    fn DAQmxCreateAOFuncGenChan(
        task: Handle,
        physical: *const c_char,
        names: *const c_char,
        shape: i32,
        frequency: f64,
        amplitude: f64,
        offset: f64,
    ) {
        let (physical, names) = (load_text(physical), load_text(names));
        done(with_task(task, |task| {
            output::function(task, &physical, &names, shape, frequency, amplitude, offset)
        }))
    }

    /// Adds channels of lines to put out.
    fn DAQmxCreateDOChan(
        task: Handle,
        lines: *const c_char,
        names: *const c_char,
        grouping: i32,
    ) {
        let (lines, names) = (load_text(lines), load_text(names));
        done(with_task(task, |task| output::digital(task, &lines, &names, grouping)))
    }

    /// Adds counters that put out pulses of a frequency.
    fn DAQmxCreateCOPulseChanFreq(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        units: i32,
        idle: i32,
        delay: f64,
        frequency: f64,
        duty_cycle: f64,
    ) {
        let (counter, names) = (load_text(counter), load_text(names));
        let pulse = Pulse::Frequency { units, delay, frequency, duty_cycle };
        done(with_task(task, |task| output::pulses(task, &counter, &names, idle, pulse)))
    }

    /// Adds counters that put out pulses of given times.
    fn DAQmxCreateCOPulseChanTime(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        units: i32,
        idle: i32,
        delay: f64,
        low: f64,
        high: f64,
    ) {
        let (counter, names) = (load_text(counter), load_text(names));
        let pulse = Pulse::Time { units, delay, low, high };
        done(with_task(task, |task| output::pulses(task, &counter, &names, idle, pulse)))
    }

    /// Adds counters that put out pulses of so many ticks.
    fn DAQmxCreateCOPulseChanTicks(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        source: *const c_char,
        idle: i32,
        delay: i32,
        low: i32,
        high: i32,
    ) {
        let (counter, names) = (load_text(counter), load_text(names));
        let source = load_text(source);
        let pulse = Pulse::Ticks { source: &source, delay, low, high };
        done(with_task(task, |task| output::pulses(task, &counter, &names, idle, pulse)))
    }

    // ---- timing and buffer ----

    /// Sets the size of the output buffer, in samples per channel.
    fn DAQmxCfgOutputBuffer(task: Handle, samples: u32) {
        done(with_task(task, |task| task.set_buffer(0x186D, Some(&Value::U32(samples)))))
    }

    // ---- writing ----

    /// A write attribute.
    fn DAQmxGetWriteAttribute(task: Handle, id: i32, value: *mut c_void, size: u32) {
        store(&with_task(task, |task| task.get_write(id))?, value, size)
    }

    /// Sets a write attribute. The third argument is variadic in C.
    fn DAQmxSetWriteAttribute(task: Handle, id: i32, integer: usize, count: u32, float: f64) {
        done(with_task(task, |task| {
            let row = attribute::writable(Object::Write, id)?;
            task.set_write(id, &given(row.kind, integer, count, float)?)
        }))
    }

    /// Resets a write attribute.
    fn DAQmxResetWriteAttribute(task: Handle, id: i32) {
        done(with_task(task, |task| task.reset_write(id)))
    }

    /// Writes values in the channels' units.
    fn DAQmxWriteAnalogF64(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        array: *const f64,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_array(
            task, samples, auto_start, timeout, layout, array, count,
            channel_type::ANALOG_OUTPUT, write::scaled,
        )
    }

    /// Writes one value to one channel.
    fn DAQmxWriteAnalogScalarF64(
        task: Handle,
        auto_start: u32,
        timeout: f64,
        value: f64,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_scalar(task, auto_start, timeout, channel_type::ANALOG_OUTPUT, |channels| {
            write::scaled(channels, 1, Fill::ByChannel, &[value])
        })
    }

    /// Writes codes of up to 16 bits.
    fn DAQmxWriteBinaryI16(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        array: *const i16,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_array(
            task, samples, auto_start, timeout, layout, array, count,
            channel_type::ANALOG_OUTPUT,
            |channels, samples, fill, data| write::codes(channels, samples, fill, data, i32::from),
        )
    }

    /// Writes codes of up to 16 bits, as unsigned numbers of the same bits.
    fn DAQmxWriteBinaryU16(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        array: *const u16,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_array(
            task, samples, auto_start, timeout, layout, array, count,
            channel_type::ANALOG_OUTPUT,
            |channels, samples, fill, data| {
                write::codes(channels, samples, fill, data, |code| i32::from(code as i16))
            },
        )
    }

    /// Writes codes of up to 32 bits.
    fn DAQmxWriteBinaryI32(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        array: *const i32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_array(
            task, samples, auto_start, timeout, layout, array, count,
            channel_type::ANALOG_OUTPUT,
            |channels, samples, fill, data| write::codes(channels, samples, fill, data, |code| code),
        )
    }

    /// Writes codes of up to 32 bits, as unsigned numbers of the same bits.
    fn DAQmxWriteBinaryU32(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        array: *const u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_array(
            task, samples, auto_start, timeout, layout, array, count,
            channel_type::ANALOG_OUTPUT,
            |channels, samples, fill, data| {
                write::codes(channels, samples, fill, data, |code| code as i32)
            },
        )
    }

    /// Writes up to 8 lines of a port.
    fn DAQmxWriteDigitalU8(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        array: *const u8,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_array(
            task, samples, auto_start, timeout, layout, array, count,
            channel_type::DIGITAL_OUTPUT,
            |channels, samples, fill, data| write::ports(channels, samples, fill, data, 8, u32::from),
        )
    }

    /// Writes up to 16 lines of a port.
    fn DAQmxWriteDigitalU16(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        array: *const u16,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_array(
            task, samples, auto_start, timeout, layout, array, count,
            channel_type::DIGITAL_OUTPUT,
            |channels, samples, fill, data| {
                write::ports(channels, samples, fill, data, 16, u32::from)
            },
        )
    }

    /// Writes up to 32 lines of a port.
    fn DAQmxWriteDigitalU32(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        array: *const u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_array(
            task, samples, auto_start, timeout, layout, array, count,
            channel_type::DIGITAL_OUTPUT,
            |channels, samples, fill, data| {
                write::ports(channels, samples, fill, data, 32, |number| number)
            },
        )
    }

    /// Writes one number to one channel of lines.
    fn DAQmxWriteDigitalScalarU32(
        task: Handle,
        auto_start: u32,
        timeout: f64,
        value: u32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_scalar(task, auto_start, timeout, channel_type::DIGITAL_OUTPUT, |channels| {
            write::ports(channels, 1, Fill::ByChannel, &[value], 32, |number| number)
        })
    }

    /// Writes digital lines, a byte for each.
    fn DAQmxWriteDigitalLines(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        array: *const u8,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        let fill = Fill::new(layout)?;
        let numbers = |channels: &[Channel], samples: usize| {
            let width = write::lines_width(channels);
            let size = samples.saturating_mul(channels.len()).saturating_mul(width);
            write::lines(channels, samples, fill, &load_list(array, size)?, width)
        };
        let family = channel_type::DIGITAL_OUTPUT;
        written(task, &request(samples, auto_start, timeout, family, false, &numbers), count)
    }

    /// Writes digital lines, a byte for each, with the number of lines of each channel.
    fn DAQmxInternalWriteDigitalWaveform(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        array: *const u8,
        lines: *const u32,
        channels: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        let fill = Fill::new(layout)?;
        let given = load_list(lines, channels as usize)?;
        let numbers = |channels: &[Channel], samples: usize| {
            let fits = given.len() == channels.len()
                && channels.iter().zip(&given).all(|(one, lines)| one.lines.len() == *lines as usize);
            if !fits {
                return Err(Error::new(code::NUM_LINES_MISMATCH));
            }
            let width = write::lines_width(channels);
            let size = samples.saturating_mul(channels.len()).saturating_mul(width);
            write::lines(channels, samples, fill, &load_list(array, size)?, width)
        };
        let family = channel_type::DIGITAL_OUTPUT;
        written(task, &request(samples, auto_start, timeout, family, false, &numbers), count)
    }

    /// Writes values in the channels' units, those of each channel from an array of its own.
    fn DAQmxInternalWriteAnalogWaveformPerChan(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        arrays: *const *const f64,
        channels: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        let given = load_list(arrays, channels as usize)?;
        let numbers = |channels: &[Channel], samples: usize| {
            if given.len() != channels.len() {
                return Err(Error::new(code::WRITE_MULTI_CHANS)
                    .with("Number of Channels in Task", channels.len())
                    .with("Number of Channels in Data", given.len()));
            }
            let mut data = Vec::new();
            for &array in &given {
                data.extend(load_list(array, samples)?);
            }
            write::scaled(channels, samples, Fill::ByChannel, &data)
        };
        let family = channel_type::ANALOG_OUTPUT;
        written(task, &request(samples, auto_start, timeout, family, false, &numbers), count)
    }

    /// Writes samples as the device takes them, scan by scan.
    fn DAQmxWriteRaw(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        array: *const c_void,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        let numbers = |channels: &[Channel], samples: usize| {
            if channels.first().is_some_and(|one| matches!(one.physical, crate::device::Physical::Counter(_))) {
                return Err(Error::new(code::WRITE_CHAN_TYPE_MISMATCH));
            }
            let width = channels.iter().map(Channel::raw_bits).max().unwrap_or(16) as usize / 8;
            let size = samples.saturating_mul(channels.len()).saturating_mul(width);
            raw(channels, samples, &load_list(array.cast::<u8>(), size)?)
        };
        written(task, &request(samples, auto_start, timeout, 0, false, &numbers), count)
    }

    /// Writes frequencies and duty cycles of pulses.
    fn DAQmxWriteCtrFreq(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        frequency: *const f64,
        duty_cycle: *const f64,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_pulses(
            task, samples, auto_start, timeout, layout, frequency, duty_cycle, count,
            kind::PULSE_FREQ,
        )
    }

    /// Writes high and low times of pulses.
    fn DAQmxWriteCtrTime(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        high: *const f64,
        low: *const f64,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_pulses(
            task, samples, auto_start, timeout, layout, high, low, count, kind::PULSE_TIME,
        )
    }

    /// Writes high and low ticks of pulses.
    fn DAQmxWriteCtrTicks(
        task: Handle,
        samples: i32,
        auto_start: u32,
        timeout: f64,
        layout: u32,
        high: *const u32,
        low: *const u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        write_pulses(
            task, samples, auto_start, timeout, layout, high, low, count, kind::PULSE_TICKS,
        )
    }

    /// Writes frequency and duty cycle of one counter's pulses.
    fn DAQmxWriteCtrFreqScalar(
        task: Handle,
        auto_start: u32,
        timeout: f64,
        frequency: f64,
        duty_cycle: f64,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        let pulse = one_pulse(kind::PULSE_FREQ, frequency, duty_cycle);
        write_scalar(task, auto_start, timeout, channel_type::COUNTER_OUTPUT, pulse)
    }

    /// Writes high and low time of one counter's pulses.
    fn DAQmxWriteCtrTimeScalar(
        task: Handle,
        auto_start: u32,
        timeout: f64,
        high: f64,
        low: f64,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        let pulse = one_pulse(kind::PULSE_TIME, high, low);
        write_scalar(task, auto_start, timeout, channel_type::COUNTER_OUTPUT, pulse)
    }

    /// Writes high and low ticks of one counter's pulses.
    fn DAQmxWriteCtrTicksScalar(
        task: Handle,
        auto_start: u32,
        timeout: f64,
        high: u32,
        low: u32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        let pulse = one_pulse(kind::PULSE_TICKS, f64::from(high), f64::from(low));
        write_scalar(task, auto_start, timeout, channel_type::COUNTER_OUTPUT, pulse)
    }
}
