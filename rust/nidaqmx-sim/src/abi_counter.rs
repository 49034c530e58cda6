//! The exported functions of counter inputs: creating them, their timing, reading pulses.

use std::ffi::c_char;

use crate::abi::{Handle, done, export, guarded, offer, with_task};
use crate::attribute::{Value, load_text};
use crate::channel::id;
use crate::counter::{Counter, Moment, measurement};
use crate::counter_channel::{Wanted, attr, create};
use crate::driver::driver;
use crate::error::{Error, Result, code};
use crate::read::{self, Fill};
use crate::task::Task;

/// Creates one kind of counter input.
///
/// # Safety
/// The texts are null or end with a zero.
unsafe fn add(
    task: Handle,
    (counter, names, scale): (*const c_char, *const c_char, *const c_char),
    measurement: i32,
    limits: Option<(f64, f64)>,
    frequency: bool,
    attributes: Vec<(u32, Value)>,
) -> Result<i32> {
    // SAFETY: the caller's promise is passed on.
    let (counter, names, scale) =
        unsafe { (load_text(counter), load_text(names), load_text(scale)) };
    let wanted = Wanted {
        list: &counter,
        names: &names,
        measurement,
        limits,
        frequency,
        scale: &scale,
        attributes,
    };
    done(with_task(task, |task| create(task, &wanted)))
}

/// Reads pulses: two numbers for each sample.
///
/// # Safety
/// The arrays are null or valid for writes of `size` elements, `count` for one.
#[allow(clippy::too_many_arguments)]
unsafe fn read_pulses<T: Copy>(
    task: Handle,
    samples: i32,
    timeout: f64,
    fill: Result<Fill>,
    arrays: [*mut T; 2],
    size: u32,
    count: *mut i32,
    scalar: bool,
    measurement: i32,
    pulse: impl Fn(&Counter, Moment) -> (T, T),
) -> Result<i32> {
    // SAFETY: the caller's promise is passed on.
    unsafe { offer(count, 0) };
    let task: std::sync::Arc<Task> = driver().task(task as usize)?;
    if size > 0 && arrays.iter().any(|array| array.is_null()) {
        return Err(Error::new(code::NULL_POINTER).in_task(&task.name));
    }
    let outcome = fill
        .and_then(|fill| {
            task.check_measurement(measurement)?;
            Ok(fill)
        })
        .map(|fill| {
            read::read_pulses(
                &task,
                samples,
                timeout,
                fill,
                size,
                scalar,
                |place, counter, moment| {
                    let (first, second) = pulse(counter, moment);
                    // SAFETY: the read keeps places below `size`, for which the caller promises room;
                    // the arrays need not be aligned.
                    unsafe {
                        arrays[0].add(place).write_unaligned(first);
                        arrays[1].add(place).write_unaligned(second);
                    }
                },
            )
        });
    let outcome = outcome.map_err(|error| error.in_task(&task.name))?;
    // SAFETY: the caller's promise is passed on.
    unsafe { offer(count, i32::try_from(outcome.samples).unwrap_or(i32::MAX)) };
    match outcome.error {
        None => Ok(0),
        Some(error) => Err(error.in_task(&task.name)),
    }
}

export! {
    // ---- channels ----

    /// Adds a counter that counts edges.
    fn DAQmxCreateCICountEdgesChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        edge: i32,
        initial: u32,
        direction: i32,
    ) {
        let texts = (counter, names, std::ptr::null());
        let attributes = vec![
            (id::CI_COUNT_EDGES_ACTIVE_EDGE, Value::I32(edge)),
            (id::CI_COUNT_EDGES_INITIAL_CNT, Value::U32(initial)),
            (id::CI_COUNT_EDGES_DIR, Value::I32(direction)),
        ];
        add(task, texts, measurement::COUNT_EDGES, None, false, attributes)
    }

    /// Adds a counter that measures frequency.
    fn DAQmxCreateCIFreqChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        edge: i32,
        method: i32,
        time: f64,
        divisor: u32,
        scale: *const c_char,
    ) {
        let attributes = vec![
            (attr::FREQ_UNITS, Value::I32(units)),
            (attr::FREQ_EDGE, Value::I32(edge)),
            (attr::FREQ_METHOD, Value::I32(method)),
            (attr::FREQ_TIME, Value::F64(time)),
            (attr::FREQ_DIV, Value::U32(divisor)),
        ];
        let limits = Some((min, max));
        add(task, (counter, names, scale), measurement::FREQUENCY, limits, true, attributes)
    }

    /// Adds a counter that measures periods.
    fn DAQmxCreateCIPeriodChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        edge: i32,
        method: i32,
        time: f64,
        divisor: u32,
        scale: *const c_char,
    ) {
        let attributes = vec![
            (attr::PERIOD_UNITS, Value::I32(units)),
            (attr::PERIOD_EDGE, Value::I32(edge)),
            (attr::PERIOD_METHOD, Value::I32(method)),
            (attr::PERIOD_TIME, Value::F64(time)),
            (attr::PERIOD_DIV, Value::U32(divisor)),
        ];
        let limits = Some((min, max));
        add(task, (counter, names, scale), measurement::PERIOD, limits, false, attributes)
    }

    /// Adds a counter that measures how long pulses last.
    fn DAQmxCreateCIPulseWidthChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        edge: i32,
        scale: *const c_char,
    ) {
        let attributes =
            vec![(attr::WIDTH_UNITS, Value::I32(units)), (attr::WIDTH_EDGE, Value::I32(edge))];
        let limits = Some((min, max));
        add(task, (counter, names, scale), measurement::PULSE_WIDTH, limits, false, attributes)
    }

    /// Adds a counter that measures the time between edges.
    fn DAQmxCreateCISemiPeriodChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        scale: *const c_char,
    ) {
        let attributes = vec![(attr::SEMI_UNITS, Value::I32(units))];
        let limits = Some((min, max));
        add(task, (counter, names, scale), measurement::SEMI_PERIOD, limits, false, attributes)
    }

    /// Adds a counter that measures the time between edges of two signals.
    fn DAQmxCreateCITwoEdgeSepChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
        first: i32,
        second: i32,
        scale: *const c_char,
    ) {
        let attributes = vec![
            (attr::SEP_UNITS, Value::I32(units)),
            (attr::SEP_FIRST_EDGE, Value::I32(first)),
            (attr::SEP_SECOND_EDGE, Value::I32(second)),
        ];
        let kind = measurement::TWO_EDGE_SEPARATION;
        add(task, (counter, names, scale), kind, Some((min, max)), false, attributes)
    }

    /// Adds a counter that measures pulses as frequency and duty cycle.
    fn DAQmxCreateCIPulseChanFreq(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
    ) {
        let texts = (counter, names, std::ptr::null());
        let attributes = vec![(attr::PULSE_FREQ_UNITS, Value::I32(units))];
        add(task, texts, measurement::PULSE_FREQUENCY, Some((min, max)), true, attributes)
    }

    /// Adds a counter that measures pulses as high and low time.
    fn DAQmxCreateCIPulseChanTime(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        units: i32,
    ) {
        let texts = (counter, names, std::ptr::null());
        let attributes = vec![(attr::PULSE_TIME_UNITS, Value::I32(units))];
        add(task, texts, measurement::PULSE_TIME, Some((min, max)), false, attributes)
    }

    /// Adds a counter that measures pulses as ticks of a timebase.
    fn DAQmxCreateCIPulseChanTicks(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        source: *const c_char,
        min: f64,
        max: f64,
    ) {
        let texts = (counter, names, std::ptr::null());
        let source = load_text(source);
        let onboard = source.is_empty() || source.eq_ignore_ascii_case("OnboardClock");
        let attributes = if onboard {
            Vec::new()
        } else {
            vec![(attr::TIMEBASE_SRC, Value::Str(source))]
        };
        add(task, texts, measurement::PULSE_TICKS, Some((min, max)), false, attributes)
    }

    /// Adds a counter that measures duty cycles.
    fn DAQmxCreateCIDutyCycleChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        edge: i32,
        scale: *const c_char,
    ) {
        let attributes = vec![(attr::DUTY_EDGE, Value::I32(edge))];
        let limits = Some((min, max));
        add(task, (counter, names, scale), measurement::DUTY_CYCLE, limits, true, attributes)
    }

    /// Adds a counter that measures the position of an angular encoder.
    fn DAQmxCreateCIAngEncoderChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        decoding: i32,
        index: u32,
        index_value: f64,
        index_phase: i32,
        units: i32,
        pulses: u32,
        initial: f64,
        scale: *const c_char,
    ) {
        let attributes = vec![
            (attr::ENCODER_DECODING, Value::I32(decoding)),
            (attr::Z_ENABLE, Value::Bool(index != 0)),
            (attr::Z_VALUE, Value::F64(index_value)),
            (attr::Z_PHASE, Value::I32(index_phase)),
            (attr::ANGLE_UNITS, Value::I32(units)),
            (attr::PULSES_PER_REV, Value::U32(pulses)),
            (attr::INITIAL_ANGLE, Value::F64(initial)),
        ];
        let kind = measurement::ANGULAR_POSITION;
        add(task, (counter, names, scale), kind, None, false, attributes)
    }

    /// Adds a counter that measures the position of a linear encoder.
    fn DAQmxCreateCILinEncoderChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        decoding: i32,
        index: u32,
        index_value: f64,
        index_phase: i32,
        units: i32,
        distance: f64,
        initial: f64,
        scale: *const c_char,
    ) {
        let attributes = vec![
            (attr::ENCODER_DECODING, Value::I32(decoding)),
            (attr::Z_ENABLE, Value::Bool(index != 0)),
            (attr::Z_VALUE, Value::F64(index_value)),
            (attr::Z_PHASE, Value::I32(index_phase)),
            (attr::LENGTH_UNITS, Value::I32(units)),
            (attr::DIST_PER_PULSE, Value::F64(distance)),
            (attr::INITIAL_POS, Value::F64(initial)),
        ];
        let kind = measurement::LINEAR_POSITION;
        add(task, (counter, names, scale), kind, None, false, attributes)
    }

    /// Adds a counter that measures the velocity of an angular encoder.
    fn DAQmxCreateCIAngVelocityChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        decoding: i32,
        units: i32,
        pulses: u32,
        scale: *const c_char,
    ) {
        let attributes = vec![
            (attr::VELOCITY_DECODING, Value::I32(decoding)),
            (attr::ANGULAR_VELOCITY_UNITS, Value::I32(units)),
            (attr::VELOCITY_PULSES_PER_REV, Value::U32(pulses)),
        ];
        let kind = measurement::ANGULAR_VELOCITY;
        add(task, (counter, names, scale), kind, Some((min, max)), false, attributes)
    }

    /// Adds a counter that measures the velocity of a linear encoder.
    fn DAQmxCreateCILinVelocityChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        min: f64,
        max: f64,
        decoding: i32,
        units: i32,
        distance: f64,
        scale: *const c_char,
    ) {
        let attributes = vec![
            (attr::VELOCITY_DECODING, Value::I32(decoding)),
            (attr::LINEAR_VELOCITY_UNITS, Value::I32(units)),
            (attr::VELOCITY_DIST_PER_PULSE, Value::F64(distance)),
        ];
        let kind = measurement::LINEAR_VELOCITY;
        add(task, (counter, names, scale), kind, Some((min, max)), false, attributes)
    }

    /// Adds a counter that takes timestamps.
    fn DAQmxCreateCIGPSTimestampChan(
        task: Handle,
        counter: *const c_char,
        names: *const c_char,
        units: i32,
        method: i32,
        scale: *const c_char,
    ) {
        let attributes =
            vec![(attr::TIMESTAMP_UNITS, Value::I32(units)), (attr::GPS_METHOD, Value::I32(method))];
        add(task, (counter, names, scale), measurement::GPS_TIMESTAMP, None, false, attributes)
    }

    // ---- timing ----

    /// Takes a sample for each measurement.
    fn DAQmxCfgImplicitTiming(task: Handle, mode: i32, samples: u64) {
        done(with_task(task, |task| task.set_timing(|timing| timing.implicit(mode, samples))))
    }

    // ---- reading ----

    /// Reads pulses as frequency and duty cycle.
    fn DAQmxReadCtrFreq(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        frequencies: *mut f64,
        duty_cycles: *mut f64,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_pulses(
            task, samples, timeout, Fill::new(fill), [frequencies, duty_cycles], size, count, false,
            measurement::PULSE_FREQUENCY, Counter::pulse_frequency,
        )
    }

    /// Reads one pulse as frequency and duty cycle.
    fn DAQmxReadCtrFreqScalar(
        task: Handle,
        timeout: f64,
        frequency: *mut f64,
        duty_cycle: *mut f64,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_pulses(
            task, 1, timeout, Ok(Fill::ByChannel), [frequency, duty_cycle], 1,
            std::ptr::null_mut(), true, measurement::PULSE_FREQUENCY, Counter::pulse_frequency,
        )
    }

    /// Reads pulses as high and low time.
    fn DAQmxReadCtrTime(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        high: *mut f64,
        low: *mut f64,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_pulses(
            task, samples, timeout, Fill::new(fill), [high, low], size, count, false,
            measurement::PULSE_TIME, Counter::pulse_time,
        )
    }

    /// Reads one pulse as high and low time.
    fn DAQmxReadCtrTimeScalar(
        task: Handle,
        timeout: f64,
        high: *mut f64,
        low: *mut f64,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_pulses(
            task, 1, timeout, Ok(Fill::ByChannel), [high, low], 1, std::ptr::null_mut(), true,
            measurement::PULSE_TIME, Counter::pulse_time,
        )
    }

    /// Reads pulses as ticks of high and low.
    fn DAQmxReadCtrTicks(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        high: *mut u32,
        low: *mut u32,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_pulses(
            task, samples, timeout, Fill::new(fill), [high, low], size, count, false,
            measurement::PULSE_TICKS, Counter::pulse,
        )
    }

    /// Reads one pulse as ticks of high and low.
    fn DAQmxReadCtrTicksScalar(
        task: Handle,
        timeout: f64,
        high: *mut u32,
        low: *mut u32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_pulses(
            task, 1, timeout, Ok(Fill::ByChannel), [high, low], 1, std::ptr::null_mut(), true,
            measurement::PULSE_TICKS, Counter::pulse,
        )
    }
}
