//! The exported C functions: thin shells over private functions.
//!
//! Each shell turns pointers into values, catches panics, keeps the extended error text of the
//! thread and gives back the status code. What is not simulated is not here, so that a program
//! learns that it is missing instead of getting an answer that was made up.

use std::ffi::{c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::attribute::{
    self, Kind, Object, Registers, Value, load_text, store, store_text, store_text_cut,
};
use crate::channel::channel_type::{ANALOG_INPUT, COUNTER_INPUT, DIGITAL_INPUT};
use crate::device;
use crate::driver::driver;
use crate::error::{self, Error, Result, code};
use crate::event::Callback;
use crate::read::{self, Fill, Outcome, Sample};
use crate::task::Task;
use crate::waveform::{self, SetProperty, Times};

/// A handle as the C interface has it.
pub(crate) type Handle = *mut c_void;

pub(crate) fn guarded(body: impl FnOnce() -> Result<i32>) -> i32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => error::remember(&error),
        Err(_) => error::remember(&Error::new(code::UNEXPECTED)),
    }
}

/// Does something with a task; errors carry its name.
pub(crate) fn with_task<T>(handle: Handle, act: impl FnOnce(&Task) -> Result<T>) -> Result<T> {
    let task = driver().task(handle as usize)?;
    act(&task).map_err(|error| error.in_task(&task.name))
}

pub(crate) fn done(result: Result<()>) -> Result<i32> {
    result.map(|()| 0)
}

/// Writes a result that the caller must want.
///
/// # Safety
/// `place` is null or valid for a write of `T`.
pub(crate) unsafe fn put<T>(place: *mut T, value: T) -> Result<()> {
    if place.is_null() {
        return Err(Error::new(code::NULL_POINTER));
    }
    // SAFETY: not null, and the caller promises room for one T.
    unsafe { place.write_unaligned(value) };
    Ok(())
}

/// Writes a result that the caller may not want.
///
/// # Safety
/// `place` is null or valid for a write of `T`.
pub(crate) unsafe fn offer<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not null, and the caller promises room for one T.
        unsafe { place.write_unaligned(value) };
    }
}

/// The value of a variadic setter.
///
/// # Safety
/// The registers hold what the attribute's kind needs.
pub(crate) unsafe fn given(kind: Kind, integer: usize, count: u32, float: f64) -> Result<Value> {
    // SAFETY: the caller's promise is passed on.
    unsafe {
        Registers {
            integer,
            count,
            float,
        }
        .value(kind)
    }
}

/// Hands the caller's array to a read. A misaligned array is filled by way of an aligned one.
///
/// # Safety
/// `array` is null or valid for writes of `size` elements.
pub(crate) unsafe fn with_array<T: Sample>(
    array: *mut T,
    size: u32,
    act: impl FnOnce(&mut [T]) -> Outcome,
) -> Outcome {
    if array.is_null() && size > 0 {
        return Outcome {
            samples: 0,
            error: Some(Error::new(code::NULL_POINTER)),
        };
    }
    if size == 0 {
        return act(&mut []);
    }
    if array.is_aligned() {
        // SAFETY: not null, aligned, and the caller promises `size` elements.
        return act(unsafe { std::slice::from_raw_parts_mut(array, size as usize) });
    }
    let mut aligned = vec![T::default(); size as usize];
    let outcome = act(&mut aligned);
    // SAFETY: both hold `size` elements; the target is addressed by bytes.
    unsafe {
        std::ptr::copy_nonoverlapping(
            aligned.as_ptr().cast::<u8>(),
            array.cast::<u8>(),
            size_of_val(aligned.as_slice()),
        );
    }
    outcome
}

/// Ends a read: the count for the caller, the error for the status.
///
/// # Safety
/// `count` is null or valid for a write.
pub(crate) unsafe fn conclude(task: &Task, outcome: Outcome, count: *mut i32) -> Result<()> {
    // SAFETY: the caller's promise is passed on.
    unsafe { offer(count, i32::try_from(outcome.samples).unwrap_or(i32::MAX)) };
    match outcome.error {
        None => Ok(()),
        Some(error) => Err(error.in_task(&task.name)),
    }
}

/// One read of an array of several samples and channels.
///
/// # Safety
/// The pointers are null or valid for what their parameters say.
#[allow(clippy::too_many_arguments)]
unsafe fn read_array<T: Sample>(
    handle: Handle,
    samples: i32,
    timeout: f64,
    fill: Result<Fill>,
    array: *mut T,
    size: u32,
    count: *mut i32,
    family: i32,
) -> Result<i32> {
    // SAFETY: the caller's promise is passed on.
    unsafe { offer(count, 0) };
    let task = driver().task(handle as usize)?;
    // SAFETY: as above.
    let outcome = unsafe {
        with_array(array, size, |out| {
            read::read(&task, samples, timeout, fill, out, family, false)
        })
    };
    // SAFETY: as above.
    done(unsafe { conclude(&task, outcome, count) })
}

/// One read of a single sample of a single channel.
///
/// # Safety
/// `value` is null or valid for a write.
unsafe fn read_scalar<T: Sample>(
    handle: Handle,
    timeout: f64,
    value: *mut T,
    family: i32,
) -> Result<i32> {
    let task = driver().task(handle as usize)?;
    if value.is_null() {
        return Err(Error::new(code::NULL_POINTER).in_task(&task.name));
    }
    let mut one = [T::default()];
    let outcome = read::read(
        &task,
        1,
        timeout,
        Ok(Fill::ByChannel),
        &mut one,
        family,
        true,
    );
    if outcome.samples == 1 {
        // SAFETY: not null, and the caller promises room for one T.
        unsafe { value.write_unaligned(one[0]) };
    }
    // SAFETY: a null count is allowed.
    done(unsafe { conclude(&task, outcome, std::ptr::null_mut()) })
}

/// The arrays that a waveform read writes times to; none where they are null.
///
/// # Safety
/// Both pointers are null or valid for writes of `size` elements until the read ends.
pub(crate) unsafe fn waveform_times<'a>(
    first: *mut i64,
    interval: *mut i64,
    size: u32,
) -> Option<Times<'a>> {
    let usable = |pointer: *mut i64| !pointer.is_null() && pointer.is_aligned();
    if size == 0 || !usable(first) || !usable(interval) {
        return None;
    }
    // SAFETY: both are usable, and the caller promises `size` elements.
    unsafe {
        Some(Times {
            first: std::slice::from_raw_parts_mut(first, size as usize),
            interval: std::slice::from_raw_parts_mut(interval, size as usize),
        })
    }
}

/// A callback, or none where the function is null.
fn callback(function: *const c_void, data: *mut c_void) -> Option<Callback> {
    (!function.is_null()).then_some(Callback {
        function: function as usize,
        data: data as usize,
    })
}

/// Callbacks on the thread that registered them are a matter of LabWindows message loops.
fn check_options(options: u32) -> Result<()> {
    if options == 0 {
        Ok(())
    } else {
        Err(Error::new(code::INVALID_ATTRIBUTE_VALUE)
            .with("Parameter", "options")
            .with("Requested Value", options))
    }
}

/// The devices of a list have to exist.
fn check_devices(list: &str) -> Result<()> {
    for name in crate::names::expand(list)? {
        driver().device(&name)?;
    }
    Ok(())
}

macro_rules! export {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $body:block)*) => {$(
        $(#[$meta])*
        ///
        /// # Safety
        /// Pointers are null, or valid as NI's documentation of the function says.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, unused_unsafe, clippy::too_many_arguments)]
        pub unsafe extern "C" fn $name($($arg: $kind),*) -> i32 {
            // SAFETY: the caller keeps what the C interface demands of pointers and sizes.
            guarded(|| unsafe { $body })
        }
    )*};
}

pub(crate) use export;

export! {
    // ---- library ----

    /// Notes the language that calls; nothing depends on it.
    fn DAQmxSetRuntimeEnvironment(
        environment: *const c_char,
        version: *const c_char,
        reserved1: *const c_char,
        reserved2: *const c_char,
    ) {
        let _ = (environment, version, reserved1, reserved2);
        Ok(0)
    }

    /// The text of the last error of this thread.
    fn DAQmxGetExtendedErrorInfo(text: *mut c_char, size: u32) {
        store_text_cut(&error::last_text(), text, size)
    }

    /// The sentence of a status code.
    fn DAQmxGetErrorString(status: i32, text: *mut c_char, size: u32) {
        let sentence = match status {
            0 => "",
            _ => error::sentence(status).unwrap_or("No description is known for this status code."),
        };
        store_text_cut(sentence, text, size)
    }

    /// A system attribute.
    fn DAQmxGetSystemInfoAttribute(id: i32, value: *mut c_void, size: u32) {
        store(&driver().get_system(id)?, value, size)
    }

    // ---- devices ----

    /// A device attribute.
    fn DAQmxGetDeviceAttribute(device: *const c_char, id: i32, value: *mut c_void, size: u32) {
        store(&driver().device(&load_text(device))?.get(id)?, value, size)
    }

    /// An attribute of a physical channel.
    fn DAQmxGetPhysicalChanAttribute(
        channel: *const c_char,
        id: i32,
        value: *mut c_void,
        size: u32,
    ) {
        let (device, physical) = driver().physical(&load_text(channel))?;
        store(&device.get_physical(physical, id)?, value, size)
    }

    /// Aborts what runs on the device.
    fn DAQmxResetDevice(name: *const c_char) {
        done(device::reset(&load_text(name)))
    }

    /// A simulated device that can be reached passes.
    fn DAQmxSelfTestDevice(device: *const c_char) {
        let device = driver().device(&load_text(device))?;
        done(driver().check_present(&device))
    }

    // ---- tasks ----

    /// Creates a task.
    fn DAQmxCreateTask(name: *const c_char, handle: *mut Handle) {
        if handle.is_null() {
            return Err(Error::new(code::NULL_POINTER));
        }
        let created = driver().create_task(&load_text(name))?;
        put(handle, created as Handle)?;
        Ok(0)
    }

    /// Ends and removes a task.
    fn DAQmxClearTask(task: Handle) {
        done(driver().clear_task(task as usize))
    }

    /// Starts a task.
    fn DAQmxStartTask(task: Handle) {
        done(with_task(task, Task::start))
    }

    /// Stops a task.
    fn DAQmxStopTask(task: Handle) {
        done(with_task(task, Task::stop))
    }

    /// Brings a task into another state.
    fn DAQmxTaskControl(task: Handle, action: i32) {
        done(with_task(task, |task| task.control(action)))
    }

    /// Whether a task has taken all its samples.
    fn DAQmxIsTaskDone(task: Handle, is_done: *mut u32) {
        let value = with_task(task, Task::is_done)?;
        put(is_done, u32::from(value))?;
        Ok(0)
    }

    /// Waits for the task's last sample.
    fn DAQmxWaitUntilTaskDone(task: Handle, timeout: f64) {
        done(with_task(task, |task| task.wait_until_done(timeout)))
    }

    /// A task attribute.
    fn DAQmxGetTaskAttribute(task: Handle, id: i32, value: *mut c_void, size: u32) {
        store(&with_task(task, |task| task.get_task(id))?, value, size)
    }

    /// The name of the channel created last.
    fn DAQmxInternalGetLastCreatedChan(name: *mut c_char, size: u32) {
        store_text(&driver().last_channel(), name, size)
    }

    // ---- channels ----

    /// A channel attribute.
    fn DAQmxGetChanAttribute(
        task: Handle,
        channel: *const c_char,
        id: i32,
        value: *mut c_void,
        size: u32,
    ) {
        let channel = load_text(channel);
        store(&with_task(task, |task| task.get_channel(&channel, id))?, value, size)
    }

    /// Sets a channel attribute. The fourth argument is variadic in C.
    fn DAQmxSetChanAttribute(
        task: Handle,
        channel: *const c_char,
        id: i32,
        integer: usize,
        count: u32,
        float: f64,
    ) {
        let channel = load_text(channel);
        done(with_task(task, |task| {
            let row = attribute::writable(Object::Channel, id)?;
            task.set_channel(&channel, id, &given(row.kind, integer, count, float)?)
        }))
    }

    /// Resets a channel attribute.
    fn DAQmxResetChanAttribute(task: Handle, channel: *const c_char, id: i32) {
        let channel = load_text(channel);
        done(with_task(task, |task| task.reset_channel(&channel, id)))
    }

    // ---- timing ----

    /// Takes samples by a clock.
    fn DAQmxCfgSampClkTiming(
        task: Handle,
        source: *const c_char,
        rate: f64,
        edge: i32,
        mode: i32,
        samples: u64,
    ) {
        let source = load_text(source);
        done(with_task(task, |task| {
            task.set_timing(|timing| timing.sample_clock(&source, rate, edge, mode, samples))
        }))
    }

    /// A timing attribute.
    fn DAQmxGetTimingAttribute(task: Handle, id: i32, value: *mut c_void, size: u32) {
        store(&with_task(task, |task| task.get_timing(id))?, value, size)
    }

    /// Sets a timing attribute. The third argument is variadic in C.
    fn DAQmxSetTimingAttribute(task: Handle, id: i32, integer: usize, count: u32, float: f64) {
        done(with_task(task, |task| {
            let row = attribute::writable(Object::Timing, id)?;
            let value = given(row.kind, integer, count, float)?;
            task.set_timing(|timing| timing.set(id, value))
        }))
    }

    /// Resets a timing attribute.
    fn DAQmxResetTimingAttribute(task: Handle, id: i32) {
        done(with_task(task, |task| task.set_timing(|timing| timing.reset(id))))
    }

    /// A timing attribute, for the devices of a list. All devices of a task share their timing.
    fn DAQmxGetTimingAttributeEx(
        task: Handle,
        devices: *const c_char,
        id: i32,
        value: *mut c_void,
        size: u32,
    ) {
        check_devices(&load_text(devices))?;
        store(&with_task(task, |task| task.get_timing(id))?, value, size)
    }

    /// Sets a timing attribute, for the devices of a list. The fourth argument is variadic in C.
    fn DAQmxSetTimingAttributeEx(
        task: Handle,
        devices: *const c_char,
        id: i32,
        integer: usize,
        count: u32,
        float: f64,
    ) {
        check_devices(&load_text(devices))?;
        done(with_task(task, |task| {
            let row = attribute::writable(Object::Timing, id)?;
            let value = given(row.kind, integer, count, float)?;
            task.set_timing(|timing| timing.set(id, value))
        }))
    }

    /// Resets a timing attribute, for the devices of a list.
    fn DAQmxResetTimingAttributeEx(task: Handle, devices: *const c_char, id: i32) {
        check_devices(&load_text(devices))?;
        done(with_task(task, |task| task.set_timing(|timing| timing.reset(id))))
    }

    // ---- triggers ----

    /// Starts with an edge at a terminal.
    fn DAQmxCfgDigEdgeStartTrig(task: Handle, source: *const c_char, edge: i32) {
        let source = load_text(source);
        done(with_task(task, |task| task.set_trigger(|all| all.start_digital(&source, edge))))
    }

    /// Starts when a signal crosses a level.
    fn DAQmxCfgAnlgEdgeStartTrig(task: Handle, source: *const c_char, slope: i32, level: f64) {
        let source = load_text(source);
        done(with_task(task, |task| {
            task.set_trigger(|all| all.start_analog(&source, slope, level))
        }))
    }

    /// Starts when a signal enters or leaves a window.
    fn DAQmxCfgAnlgWindowStartTrig(
        task: Handle,
        source: *const c_char,
        when: i32,
        top: f64,
        bottom: f64,
    ) {
        let source = load_text(source);
        done(with_task(task, |task| {
            task.set_trigger(|all| all.start_window(&source, when, top, bottom))
        }))
    }

    /// Ends so many samples after an edge at a terminal.
    fn DAQmxCfgDigEdgeRefTrig(task: Handle, source: *const c_char, edge: i32, before: u32) {
        let source = load_text(source);
        done(with_task(task, |task| {
            task.set_trigger(|all| all.reference_digital(&source, edge, before))
        }))
    }

    /// Ends so many samples after a signal crosses a level.
    fn DAQmxCfgAnlgEdgeRefTrig(
        task: Handle,
        source: *const c_char,
        slope: i32,
        level: f64,
        before: u32,
    ) {
        let source = load_text(source);
        done(with_task(task, |task| {
            task.set_trigger(|all| all.reference_analog(&source, slope, level, before))
        }))
    }

    /// Ends so many samples after a signal enters or leaves a window.
    fn DAQmxCfgAnlgWindowRefTrig(
        task: Handle,
        source: *const c_char,
        when: i32,
        top: f64,
        bottom: f64,
        before: u32,
    ) {
        let source = load_text(source);
        done(with_task(task, |task| {
            task.set_trigger(|all| all.reference_window(&source, when, top, bottom, before))
        }))
    }

    /// Starts without a trigger.
    fn DAQmxDisableStartTrig(task: Handle) {
        done(with_task(task, |task| {
            task.set_trigger(|all| {
                all.disable_start();
                Ok(())
            })
        }))
    }

    /// Ends without a trigger.
    fn DAQmxDisableRefTrig(task: Handle) {
        done(with_task(task, |task| {
            task.set_trigger(|all| {
                all.disable_reference();
                Ok(())
            })
        }))
    }

    /// A trigger attribute.
    fn DAQmxGetTrigAttribute(task: Handle, id: i32, value: *mut c_void, size: u32) {
        store(&with_task(task, |task| task.get_trigger(id))?, value, size)
    }

    /// Sets a trigger attribute. The third argument is variadic in C.
    fn DAQmxSetTrigAttribute(task: Handle, id: i32, integer: usize, count: u32, float: f64) {
        done(with_task(task, |task| {
            let row = attribute::writable(Object::Trigger, id)?;
            let value = given(row.kind, integer, count, float)?;
            task.set_trigger(|all| all.set(id, value))
        }))
    }

    /// Resets a trigger attribute.
    fn DAQmxResetTrigAttribute(task: Handle, id: i32) {
        done(with_task(task, |task| task.set_trigger(|all| all.reset(id))))
    }

    // ---- events ----

    /// Calls the program after every so many samples; a null function unregisters.
    fn DAQmxRegisterEveryNSamplesEvent(
        task: Handle,
        kind: i32,
        samples: u32,
        options: u32,
        function: *const c_void,
        data: *mut c_void,
    ) {
        check_options(options)?;
        done(with_task(task, |task| task.on_every(kind, samples, callback(function, data))))
    }

    /// Calls the program when the task is done; a null function unregisters.
    fn DAQmxRegisterDoneEvent(
        task: Handle,
        options: u32,
        function: *const c_void,
        data: *mut c_void,
    ) {
        check_options(options)?;
        done(with_task(task, |task| task.on_done(callback(function, data))))
    }

    /// Calls the program at a signal; a null function unregisters.
    fn DAQmxRegisterSignalEvent(
        task: Handle,
        signal: i32,
        options: u32,
        function: *const c_void,
        data: *mut c_void,
    ) {
        check_options(options)?;
        done(with_task(task, |task| task.on_signal(signal, callback(function, data))))
    }

    // ---- buffer ----

    /// Sets the size of the input buffer, in samples per channel.
    fn DAQmxCfgInputBuffer(task: Handle, samples: u32) {
        done(with_task(task, |task| task.set_buffer(0x186C, Some(&Value::U32(samples)))))
    }

    /// A buffer attribute.
    fn DAQmxGetBufferAttribute(task: Handle, id: i32, value: *mut c_void, size: u32) {
        store(&with_task(task, |task| task.get_buffer(id))?, value, size)
    }

    /// Sets a buffer attribute. The third argument is variadic in C.
    fn DAQmxSetBufferAttribute(task: Handle, id: i32, integer: usize, count: u32, float: f64) {
        done(with_task(task, |task| {
            let row = attribute::writable(Object::Buffer, id)?;
            task.set_buffer(id, Some(&given(row.kind, integer, count, float)?))
        }))
    }

    /// Resets a buffer attribute.
    fn DAQmxResetBufferAttribute(task: Handle, id: i32) {
        done(with_task(task, |task| task.set_buffer(id, None)))
    }

    // ---- reading ----

    /// A read attribute.
    fn DAQmxGetReadAttribute(task: Handle, id: i32, value: *mut c_void, size: u32) {
        store(&with_task(task, |task| task.get_read(id))?, value, size)
    }

    /// Sets a read attribute. The third argument is variadic in C.
    fn DAQmxSetReadAttribute(task: Handle, id: i32, integer: usize, count: u32, float: f64) {
        done(with_task(task, |task| {
            let row = attribute::writable(Object::Read, id)?;
            task.set_read(id, &given(row.kind, integer, count, float)?)
        }))
    }

    /// Resets a read attribute.
    fn DAQmxResetReadAttribute(task: Handle, id: i32) {
        done(with_task(task, |task| task.reset_read(id)))
    }

    /// Reads scaled samples.
    fn DAQmxReadAnalogF64(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        array: *mut f64,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Fill::new(fill), array, size, count, ANALOG_INPUT)
    }

    /// Reads one scaled sample of one channel.
    fn DAQmxReadAnalogScalarF64(
        task: Handle,
        timeout: f64,
        value: *mut f64,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_scalar(task, timeout, value, ANALOG_INPUT)
    }

    /// Reads codes of up to 16 bits.
    fn DAQmxReadBinaryI16(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        array: *mut i16,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Fill::new(fill), array, size, count, ANALOG_INPUT)
    }

    /// Reads codes of up to 16 bits, as unsigned numbers of the same bits.
    fn DAQmxReadBinaryU16(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        array: *mut u16,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Fill::new(fill), array, size, count, ANALOG_INPUT)
    }

    /// Reads codes of up to 32 bits.
    fn DAQmxReadBinaryI32(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        array: *mut i32,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Fill::new(fill), array, size, count, ANALOG_INPUT)
    }

    /// Reads codes of up to 32 bits, as unsigned numbers of the same bits.
    fn DAQmxReadBinaryU32(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        array: *mut u32,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Fill::new(fill), array, size, count, ANALOG_INPUT)
    }

    /// Reads digital inputs of up to 8 lines of a port.
    fn DAQmxReadDigitalU8(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        array: *mut u8,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Fill::new(fill), array, size, count, DIGITAL_INPUT)
    }

    /// Reads digital inputs of up to 16 lines of a port.
    fn DAQmxReadDigitalU16(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        array: *mut u16,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Fill::new(fill), array, size, count, DIGITAL_INPUT)
    }

    /// Reads digital inputs of up to 32 lines of a port.
    fn DAQmxReadDigitalU32(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        array: *mut u32,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Fill::new(fill), array, size, count, DIGITAL_INPUT)
    }

    /// Reads counters.
    fn DAQmxReadCounterU32(
        task: Handle,
        samples: i32,
        timeout: f64,
        array: *mut u32,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Ok(Fill::ByChannel), array, size, count, COUNTER_INPUT)
    }

    /// Reads counters.
    fn DAQmxReadCounterU32Ex(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        array: *mut u32,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Fill::new(fill), array, size, count, COUNTER_INPUT)
    }

    /// Reads counters.
    fn DAQmxReadCounterF64(
        task: Handle,
        samples: i32,
        timeout: f64,
        array: *mut f64,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Ok(Fill::ByChannel), array, size, count, COUNTER_INPUT)
    }

    /// Reads counters.
    fn DAQmxReadCounterF64Ex(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        array: *mut f64,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_array(task, samples, timeout, Fill::new(fill), array, size, count, COUNTER_INPUT)
    }

    /// Reads one sample of one counter.
    fn DAQmxReadCounterScalarU32(
        task: Handle,
        timeout: f64,
        value: *mut u32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_scalar(task, timeout, value, COUNTER_INPUT)
    }

    /// Reads one sample of one counter.
    fn DAQmxReadCounterScalarF64(
        task: Handle,
        timeout: f64,
        value: *mut f64,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_scalar(task, timeout, value, COUNTER_INPUT)
    }

    /// Reads one sample of one digital input.
    fn DAQmxReadDigitalScalarU32(
        task: Handle,
        timeout: f64,
        value: *mut u32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        read_scalar(task, timeout, value, DIGITAL_INPUT)
    }

    /// Reads digital lines, a byte for each.
    fn DAQmxReadDigitalLines(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        array: *mut u8,
        size: u32,
        count: *mut i32,
        bytes: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        offer(count, 0);
        let task = driver().task(task as usize)?;
        let mut width = 0;
        let outcome = with_array(array, size, |out| {
            let (outcome, bytes) = read::read_lines(&task, samples, timeout, Fill::new(fill), out);
            width = bytes;
            outcome
        });
        offer(bytes, width as i32);
        done(conclude(&task, outcome, count))
    }

    /// Reads scaled samples of all channels into one array, with times and properties.
    fn DAQmxInternalReadAnalogWaveformEx(
        task: Handle,
        samples: i32,
        timeout: f64,
        fill: u32,
        first_times: *mut i64,
        intervals: *mut i64,
        times: u32,
        property: Option<SetProperty>,
        data: *mut c_void,
        array: *mut f64,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        offer(count, 0);
        let task = driver().task(task as usize)?;
        let fill = Fill::new(fill)?;
        let times = waveform_times(first_times, intervals, times);
        let property = property.map(|function| (function, data));
        let outcome = with_array(array, size, |out| {
            waveform::read(&task, samples, timeout, out.len(), times, property, |claim| {
                waveform::into_array(claim, fill, out)
            })
        });
        done(conclude(&task, outcome, count))
    }

    /// Reads scaled samples, each channel into an array of its own, with times and properties.
    fn DAQmxInternalReadAnalogWaveformPerChan(
        task: Handle,
        samples: i32,
        timeout: f64,
        first_times: *mut i64,
        intervals: *mut i64,
        times: u32,
        property: Option<SetProperty>,
        data: *mut c_void,
        arrays: *const *mut f64,
        channels: u32,
        size: u32,
        count: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        offer(count, 0);
        let task = driver().task(task as usize)?;
        let arrays = attribute::load_list(arrays, channels as usize)?;
        if arrays.iter().any(|array| array.is_null() || !array.is_aligned()) {
            return Err(Error::new(code::NULL_POINTER).in_task(&task.name));
        }
        let times = waveform_times(first_times, intervals, times);
        let property = property.map(|function| (function, data));
        let capacity = arrays.len().saturating_mul(size as usize);
        let outcome =
            waveform::read(&task, samples, timeout, capacity, times, property, |claim| {
                if claim.sources.len() > arrays.len() || claim.count > size as usize {
                    return Err(Error::new(code::READ_BUFFER_TOO_SMALL));
                }
                for (&source, &array) in claim.sources.iter().zip(&arrays) {
                    let out = std::slice::from_raw_parts_mut(array, claim.count);
                    claim.fill_ticks(claim.first, out, |first, out| {
                        claim.plan.sources[source].fill_f64(first, out);
                    });
                }
                Ok(())
            });
        done(conclude(&task, outcome, count))
    }

    /// Reads samples as the device sends them, scan by scan.
    fn DAQmxReadRaw(
        task: Handle,
        samples: i32,
        timeout: f64,
        array: *mut c_void,
        size: u32,
        count: *mut i32,
        bytes: *mut i32,
        reserved: *mut u32,
    ) {
        let _ = reserved;
        offer(count, 0);
        let task = driver().task(task as usize)?;
        if array.is_null() && size > 0 {
            return Err(Error::new(code::NULL_POINTER).in_task(&task.name));
        }
        let out = if size == 0 {
            &mut []
        } else {
            std::slice::from_raw_parts_mut(array.cast::<u8>(), size as usize)
        };
        let (outcome, width) = read::read_raw(&task, samples, timeout, out);
        offer(bytes, width as i32);
        done(conclude(&task, outcome, count))
    }
}

/// Keeps the exported functions in a library that links this crate: naming one of them is enough.
#[doc(hidden)]
pub fn link() -> usize {
    DAQmxCreateTask as *const () as usize
        ^ crate::abi_channels::DAQmxCreateLinScale as *const () as usize
        ^ crate::abi_logging::DAQmxConfigureLogging as *const () as usize
        ^ crate::abi_calibration::DAQmxPerformBridgeShuntCalEx as *const () as usize
        ^ crate::abi_saved::DAQmxSaveTask as *const () as usize
        ^ crate::abi_devices::DAQmxSelfCal as *const () as usize
        ^ crate::abi_more_inputs::DAQmxCreateAIChargeChan as *const () as usize
        ^ crate::abi_counter::DAQmxCfgImplicitTiming as *const () as usize
        ^ crate::abi_digital::DAQmxCfgChangeDetectionTiming as *const () as usize
        ^ crate::abi_outputs::DAQmxWriteRaw as *const () as usize
        ^ crate::abi_terminals::DAQmxConnectTerms as *const () as usize
}
