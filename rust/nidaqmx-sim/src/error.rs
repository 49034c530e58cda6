//! Errors: a status code, the details that go with it, and the text that
//! `DAQmxGetExtendedErrorInfo` gives for the last failure of a thread.

use std::cell::RefCell;
use std::fmt;

/// What a private function gives back: a value, or the error its exported shell turns into a code.
pub(crate) type Result<T> = std::result::Result<T, Error>;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Status codes that this library raises, by the names the documentation gives them.
        #[allow(dead_code)]
        pub(crate) mod code {
            $($(#[$doc])* pub(crate) const $name: i32 = $code;)*
        }

        /// The sentence of a status code, or `None` where this library never raises it.
        pub(crate) fn sentence(code: i32) -> Option<&'static str> {
            match code {
                $($code => Some($text),)*
                _ => None,
            }
        }
    };
}

codes! {
    SAMPLES_NO_LONGER_AVAILABLE = -200279, "The application did not keep up with the acquisition: samples that had not been read were overwritten in the input buffer. Read more often or more samples at a time, enlarge the input buffer, or lower the sample rate.";
    ACQ_STOPPED_TO_PREVENT_OVERWRITE = -200222, "The acquisition was stopped because the input buffer is full of unread samples, and overwriting them is not allowed. Read more often, enlarge the input buffer, or allow unread samples to be overwritten.";
    INPUT_FIFO_OVERFLOW = -200361, "The device's onboard memory overflowed: the bus or the computer did not take the samples fast enough. Lower the sample rate or reduce other traffic on the bus.";
    SAMPLES_NOT_YET_AVAILABLE = -200284, "Some or all of the requested samples have not been acquired yet. Wait for them with a longer timeout, and see that the task was started and that its clock and triggers arrive.";
    SAMPLES_WILL_NEVER_BE_AVAILABLE = -200278, "The requested samples lie beyond the last sample of this acquisition, which has ended. Ask for samples up to the last one acquired.";
    NEGATIVE_READ_SAMPLE_NUMBER = -200277, "The read position and offset select a sample before the first one of the acquisition.";
    OPERATION_TIMED_OUT = -200474, "The operation did not finish within the timeout.";
    WAIT_UNTIL_DONE_TIMED_OUT = -200560, "The task was not done when the timeout ran out.";
    INVALID_TASK = -200088, "The task given is invalid or does not exist.";
    DUPLICATE_TASK = -200089, "A task of this name exists already. Choose another name or clear the other task first.";
    INVALID_DEVICE_ID = -200220, "There is no device of this name.";
    PHYSICAL_CHAN_DOES_NOT_EXIST = -200170, "The device has no physical channel of this name.";
    INVALID_CHANNEL = -200087, "The task has no channel of this name.";
    INVALID_PHYSICAL_CHANNEL_SYNTAX = -200086, "The list of physical channels cannot be understood. Write it like Dev1/ai0:3, Dev1/ai7.";
    INVALID_ATTRIBUTE_VALUE = -200077, "The requested value is not supported for this property, by itself or beside the values of other properties.";
    SAMPLE_RATE_NUM_CHANS = -200081, "The sample rate is higher than the device allows for this number of channels.";
    MIN_NOT_LESS_THAN_MAX = -200082, "The minimum value has to be less than the maximum value.";
    BUFFER_TOO_SMALL_FOR_STRING = -200228, "The string does not fit into the buffer given.";
    READ_BUFFER_TOO_SMALL = -200229, "The array given is too small for the samples requested of all channels.";
    WRITE_BUFFER_TOO_SMALL = -200234, "The array given is too small for the values of this property.";
    CANNOT_READ_RELATIVE_TO_REF_TRIG_UNTIL_DONE = -200281, "The acquisition is not done, so that a read cannot be relative to its reference trigger yet.";
    EVERY_N_INTERVAL_ZERO = -200880, "The interval of the Every N Samples event has to be greater than zero.";
    EVERY_N_NOT_FOR_UNBUFFERED = -200848, "The Every N Samples event needs a task with a buffer: give it a sample clock.";
    EVERY_N_TRANSFERRED_NOT_FOR_INPUT = -200965, "An input task has no event for samples transferred from the buffer.";
    PAL_RESOURCE_RESERVED = -50103, "The resource is reserved: another task uses it.";
    RUNTIME_ABORTED_ROUTING = -88709, "The operation was aborted: the task was aborted, or the device was reset or removed.";
    RUNTIME_ABORTING_ROUTING = -88710, "The operation is being aborted: the task was aborted, or the device was reset or removed.";
    DEV_CANNOT_BE_ACCESSED = -201003, "The device cannot be reached. It may have been unplugged or switched off.";
    PROPERTY_NEEDS_RESERVED_TASK = -200983, "This property can be read only while the task is reserved, committed or running.";
    READ_AUTO_START_OFF = -200473, "The task is not running and automatic start is off, so that there is nothing to read. Start the task first.";
    NO_CHANS_IN_TASK = -200478, "The task has no channels.";
    READ_NO_INPUT_CHANS = -200460, "The task has no channels that could be read.";
    DONE_EVENT_ALREADY_REGISTERED = -200950, "A callback for the Done event of this task is registered already.";
    EVERY_N_EVENT_ALREADY_REGISTERED = -200881, "A callback for the Every N Samples event of this task is registered already.";
    SIGNAL_EVENT_ALREADY_REGISTERED = -200949, "A callback for the signal event of this task is registered already.";
    CANNOT_REGISTER_EVENT_WHILE_RUNNING = -200960, "Callbacks of events cannot be registered while the task is running.";
    CANNOT_UNREGISTER_EVENT_WHILE_RUNNING = -200986, "Callbacks of events cannot be unregistered while the task is running.";
    ATTRIBUTE_NOT_SUPPORTED_IN_TASK = -200452, "This property is not supported by the device or does not apply to the task.";
    ATTRIBUTE_NOT_SUPPORTED = -200197, "This property is not supported by the device.";
    INVALID_ATTRIBUTE = -200233, "There is no such property.";
    ATTRIBUTE_READ_ONLY = -200231, "This property cannot be set.";
    ATTRIBUTE_NOT_RESETTABLE = -200236, "This property cannot be reset.";
    CANNOT_SET_WHILE_RUNNING = -200557, "This property cannot be set while the task is running.";
    CANNOT_PERFORM_WHILE_RUNNING = -200479, "This cannot be done while the task is running. Stop the task first.";
    CHAN_ALREADY_IN_TASK = -200489, "The task has a channel of this name already.";
    INVALID_PHYS_CHAN_TYPE = -200430, "A physical channel of this type cannot be used here.";
    PHYS_CHAN_MEAS_TYPE = -200431, "The physical channel does not support this kind of measurement.";
    MULTI_CHAN_TYPES_IN_TASK = -200559, "A task can hold channels of one type only.";
    NULL_POINTER = -200604, "A pointer that has to point to something is null.";
    INVALID_TIMEOUT = -200453, "A timeout is a number of seconds from 0 on, or -1 for waiting without end.";
    INVALID_TASK_ACTION = -200538, "There is no such task action.";
    CANNOT_PERFORM_WHEN_NOT_RUNNING = -200475, "This can be done only while the task is running.";
    WRONG_READ_FUNCTION = -200466, "This read function does not fit the channels of the task.";
    MULTI_CHAN_SCALAR_READ = -200523, "The task has several channels: a function that reads one channel cannot be used.";
    CUSTOM_SCALE_DOES_NOT_EXIST = -200378, "There is no custom scale of this name.";
    MULTI_DEVS_IN_TASK = -200558, "The channels of this task are on devices that cannot share one task.";
    PROPERTY_NOT_FOR_SCALE = -200601, "This property does not belong to scales of this kind.";
    ZERO_SLOPE = -200409, "The slope of a linear scale has to be a number other than zero.";
    PRE_SCALED_MIN_EQUAL_MAX = -200602, "The minimum and the maximum of the unscaled values have to differ.";
    SCALED_MIN_EQUAL_MAX = -200603, "The minimum and the maximum of the scaled values have to differ.";
    NO_FORWARD_COEFFS = -200405, "A polynomial scale needs coefficients for the forward direction.";
    NO_REVERSE_COEFFS = -200406, "A polynomial scale needs coefficients for the reverse direction.";
    ZERO_FORWARD_COEFFS = -200407, "One of the forward coefficients at least has to be other than zero.";
    ZERO_REVERSE_COEFFS = -200408, "One of the reverse coefficients at least has to be other than zero.";
    TABLE_LENGTHS = -200350, "A table needs as many scaled as unscaled values.";
    FEWER_THAN_2_PRE_SCALED = -200434, "A table needs two unscaled values at least.";
    REPEATED_PRE_SCALED = -200598, "The unscaled values of a table have to rise, each being there once.";
    REPEATED_SCALED = -200599, "The scaled values of a table have to rise or to fall, each being there once.";
    UNITS_NOT_FROM_CUSTOM_SCALE = -200447, "A custom scale is named, but the units are not those of a custom scale.";
    DUPLICATE_SCALE = -200356, "A custom scale of this name exists already.";
    TRIGGER_SOURCE_INVALID = -89120, "The source terminal of the trigger or clock is not a terminal of the device.";
    ROUTE_DESTINATION_INVALID = -89121, "The destination of the route is not a terminal of the device.";
    NO_TRIGGER_LINE = -89125, "The terminals are on different devices, and no trigger line between them is simulated.";
    CANNOT_TRISTATE_BUSY = -89127, "The terminal cannot be let go while a task puts a signal out at it.";
    CANNOT_TRISTATE = -89128, "Only terminals at which signals are put out can be let go, like PFI or RTSI terminals.";
    INVALID_TERMINAL = -89129, "There is no terminal of this name. Write it like /Dev1/PFI0.";
    ROUTE_TO_ITSELF = -89131, "The source and the destination of the route are the same terminal.";
    INVERSION_IN_USE = -89134, "The route is there already, and its signal is inverted differently.";
    ROUTE_NOT_SUPPORTED = -89136, "The device cannot route a signal to this terminal. Choose a PFI or RTSI terminal.";
    ROUTE_IN_USE = -89137, "Another route ends at this terminal. Disconnect it first.";
    ROUTE_IN_USE_IN_TASK = -89138, "The task cannot put its signal out at this terminal: another route or task uses it.";
    INVALID_SIGNAL_MODIFIER = -89150, "The signal modifier has to say whether the signal is inverted, and nothing else.";
    NO_PHYSICAL_CHANNEL = -200626, "A physical channel has to be named for each power-up state.";
    WATCHDOG_TIMEOUT = -200668, "The watchdog's timeout has to be between a microsecond and 4294 seconds, or -1 for never.";
    WATCHDOG_NOT_SUPPORTED = -200662, "The device has no watchdog timer.";
    CANT_RESET_EXPIRED_WATCHDOG = -200644, "The watchdog timer has expired. Clear the expiration first.";
    NOT_A_WATCHDOG = -200635, "The task is not a watchdog task.";
    WRITE_AFTER_WATCHDOG = -200678, "The outputs cannot be written because the device's watchdog timer has expired. Clear the expiration first.";
    READ_CHAN_TYPE_MISMATCH = -200525, "This read function does not read channels of the task's type.";
    INVALID_LINE_GROUPING = -200528, "These lines cannot be grouped like this: whole ports make one channel for all lines, and one channel has 32 lines at most.";
    NO_REF_TRIG = -200282, "The task has no reference trigger, so that a read cannot be relative to it.";
    SIGNAL_EVENT_NOT_SUPPORTED = -200982, "The device does not support this signal event.";
    CAL_FUNCTION_NOT_SUPPORTED = -200445, "The device does not support this calibration.";
    INVALID_NUM_OF_ROSETTE_CHANS = -201447, "A rectangular or delta rosette needs three physical channels for each rosette.";
    INVALID_NUM_OF_TEE_CHANS = -201446, "A tee rosette needs two physical channels for each rosette.";
    ROSETTE_MEASUREMENTS_NOT_SPECIFIED = -201448, "No measurement of the rosette is asked for.";
    READ_NOT_SUPPORTED_FOR_LOGGING = -201301, "Samples cannot be read while the logging mode is Log: the driver takes them all. Choose Log and Read to read them, too.";
    NOT_SUPPORTED_WHEN_LOGGING = -201300, "This property has to be left alone while the task logs.";
    LOGGING_NOT_BUFFERED = -201299, "Logging needs a task with a buffer: give it a sample clock.";
    NOT_SUPPORTED_FOR_LOGGING = -201307, "Measurements of this type cannot be logged.";
    FILE_WRITE_PROTECTED = -201302, "The file or its directory must not be written.";
    FILE_VERSION_MISMATCH = -201303, "The file is there already and is no TDMS file that can be gone on with.";
    FILE_PATH_INVALID = -201304, "The path of the file to log to is not valid.";
    DISK_FULL = -201305, "The disk is full.";
    GENERIC_FILE_IO = -201309, "The file could not be opened or written.";
    FILE_OPEN_FOR_WRITE = -201311, "Another task logs to this file.";
    LOGGING_WRITE_SIZE = -201382, "The write size has to be a multiple of the volume's sector size in bytes.";
    LOGGING_SAMPS_PER_FILE = -201402, "The samples per file have to be a multiple of the write size.";
    TASK_NOT_SAVED = -200485, "No task of this name is saved.";
    CANT_SAVE_TASK = -200484, "A task of this name is saved already, and it is not to be replaced.";
    CANT_SAVE_CHANNEL = -200483, "A global channel of this name is saved already, and it is not to be replaced.";
    INVALID_GLOBAL_CHAN = -200882, "There is no global channel of this name.";
    TASK_NAME_IS_CHANNEL = -200919, "A global channel has this name: choose another one for the task.";
    CHANNEL_NAME_IS_TASK = -200918, "A saved task has this name: choose another one for the global channel.";
    DRIVER_TOO_SLOW = -200714, "The acquisition was stopped because the driver could not transfer the samples from the device to the computer fast enough. Lower the sample rate, or close other programs.";
    BRIDGE_NULLING_NOT_SUPPORTED = -200696, "The offset of this channel cannot be nulled: it measures no strain with a bridge.";
    LEAD_NULLING_NOT_SUPPORTED = -201375, "The offset of this channel's leads cannot be nulled: it is no thermocouple.";
    NETWORK_DEVICE_NOT_RESERVED = -201388, "The network device is not reserved by this computer. Reserve it before a task uses it.";
    NETWORK_TARGET_NOT_FOUND = -201251, "No network device answers at this address or host name.";
    NOT_A_NETWORK_DEVICE = -201247, "The device is not a network device.";
    CTR_MIN_MAX = -200527, "The minimum value of a counter's channel has to be less than its maximum value.";
    COUNTER_MAX_MIN_RANGE_FREQ = -200139, "The minimum and maximum frequencies lie outside of what the counter can measure with any of its timebases.";
    COUNTER_MAX_MIN_RANGE_TIME = -200138, "The minimum and maximum times lie outside of what the counter can measure with any of its timebases.";
    CI_OVERRUN = -201314, "The sample clock came twice within one measurement of the counter. Use a slower sample clock, or let the last measurement be repeated (sample clock overrun behavior).";
    INVALID_TIMING_TYPE = -200300, "This kind of timing does not fit the channels of the task or the device.";
    MULTIPLE_BUFFERED_COUNTERS = -201317, "Only one counter can be in a task with a buffer. Give each counter a task of its own.";
    CHANGE_DETECTION_CHAN_NOT_IN_TASK = -200926, "Changes can be detected on lines of the task only. Add the line to the task, or take it out of the list.";
    NO_CHANGE_DETECTION_ON_LINE = -201020, "The device cannot detect changes on this line.";
    NO_CHANS_FOR_CHANGE_DETECT = -200751, "No line is given whose changes are to be detected.";
    INVALID_CHAR_IN_DIG_PATTERN = -200901, "A digital pattern consists of the characters 0, 1 and X, and of none else.";
    START_TRIG_PATTERN_SIZE = -200894, "The pattern of the start trigger has to have one character for each line of its source.";
    REF_TRIG_PATTERN_SIZE = -200895, "The pattern of the reference trigger has to have one character for each line of its source.";
    PAUSE_TRIG_PATTERN_SIZE = -201134, "The pattern of the pause trigger has to have one character for each line of its source.";
    START_TRIG_PATTERN_CHAN_NOT_IN_TASK = -200887, "A digital pattern can be looked for on lines of the task only.";
    PAUSE_TRIG_TYPE_AND_TIMING = -200906, "The task's kind of timing has no such pause trigger.";
    REF_AND_PAUSE_TRIG = -200628, "A task has a reference trigger or a pause trigger, not both.";
    COUNTER_PAUSE_AND_SAMPLE_CLOCK = -200145, "A counter with a sample clock has no pause trigger.";
    TIMESTAMP_NOT_ENABLED = -209842, "This timestamp is not taken: enable it before the task starts.";
    TIMESTAMP_NOT_YET_RECEIVED = -209844, "What this timestamp is for has not happened yet.";
    TIMESTAMP_NOT_SUPPORTED = -209833, "The task takes no timestamp of this event.";
    EVERY_N_ACQUIRED_NOT_FOR_OUTPUT = -200964, "An output task has no event for samples acquired into the buffer.";
    PHYS_CHAN_OUTPUT_TYPE = -200432, "The physical channel does not support this kind of output.";
    WRITE_NO_OUTPUT_CHANS = -200459, "The task has no channels that could be written to.";
    WRITE_CHAN_TYPE_MISMATCH = -200526, "This write function does not write to channels of the task's type.";
    WRITE_MULTI_CHANS = -200524, "The task has several channels: a function that writes to one channel cannot be used.";
    WRITE_NOT_STARTED = -200846, "The task is not running and automatic start is off, so that nothing can be written. Start the task first, or let the write start it.";
    OUTPUT_BUFFER_EMPTY = -200462, "The generation cannot start because the output buffer is empty. Write samples first.";
    OUTPUT_BUFFER_TOO_SMALL = -200609, "The generation cannot start because the output buffer is too small. It needs two samples per channel at least.";
    OUTPUT_BUFFER_AUTO = -200547, "The write does not fit into the output buffer, whose size was taken from the first write. Write as many samples as then, or set the size of the output buffer.";
    OUTPUT_BUFFER_ZERO = -200859, "A generation with a sample clock needs an output buffer: its size must not be zero.";
    GENERATION_STOPPED = -200290, "The generation was stopped to prevent that old samples are generated again: the program did not write fast enough. Write more samples at a time or more often, enlarge the output buffer, lower the sample rate, or allow regeneration.";
    SAMPLES_CANNOT_YET_BE_WRITTEN = -200292, "Some or all of the samples could not be written to the buffer yet: it is full of samples that were not generated. Use a longer timeout, a larger output buffer or a higher rate.";
    SAMPLES_NEVER_GENERATED = -200288, "The samples will never be generated: the generation has ended or was stopped. Start the task again, or write fewer samples.";
    NO_MORE_SPACE = -200293, "There is not enough space in the output buffer, and the task is not running, so that none will become free. Write fewer samples, enlarge the buffer, or start the task.";
    SAMPLES_NO_LONGER_WRITEABLE = -200289, "The samples lie before the current place of the generation: they were generated already.";
    NEGATIVE_WRITE_SAMPLE_NUMBER = -200287, "The write position and offset select a sample before the first one of the generation.";
    BEYOND_FINAL_SAMPLE = -201132, "The samples lie beyond the last sample of this finite generation.";
    INVALID_SAMPLES_TO_WRITE = -200622, "The number of samples to write has to be greater than zero.";
    INVALID_AO_DATA = -200561, "The value to write lies outside of what the output can make.";
    INVALID_DIGITAL_DATA = -200562, "The value to write has bits of lines that are not in the channel.";
    CHANNEL_TOO_BIG_FOR_WRITE = -200465, "The channel has more lines than this write function takes.";
    NUM_LINES_MISMATCH = -200463, "The number of lines in the data differs from the number of lines in the channel.";
    WRITE_ONE_SAMPLE = -200539, "The task has no sample clock: several samples at a time cannot be written to it.";
    CO_NOT_RUNNING_FREQ = -200875, "A frequency can be written only while the task is running. Start the task first, or let the write start it.";
    CO_NOT_RUNNING_TIME = -200874, "Pulse times can be written only while the task is running. Start the task first, or let the write start it.";
    CO_NOT_RUNNING_TICKS = -200876, "Pulse ticks can be written only while the task is running. Start the task first, or let the write start it.";
    CANNOT_WRITE_FINITE_CO = -201291, "The pulses of a finite task without a buffer cannot be changed.";
    NOT_OUTPUT_BUFFERED = -200454, "The task has no output buffer, so that this property has no value.";
    CHANGED_REGENERATION = -200568, "The generation cannot start: regeneration was allowed or forbidden after samples were written. Write them again.";
    CHANGED_BUFFER_SIZE = -200567, "The generation cannot start: the size of the output buffer was changed after samples were written. Write them again.";
    MEMORY_FULL = -50352, "There is not enough memory for a buffer of this size.";
    UNEXPECTED = -50150, "Something went wrong inside the simulated driver. Please report it with the program that shows it.";
}

/// A failure: the code and what the extended text says beside its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error {
    code: i32,
    details: Vec<(&'static str, String)>,
    task: Option<String>,
}

impl Error {
    pub(crate) fn new(code: i32) -> Self {
        Self {
            code,
            details: Vec::new(),
            task: None,
        }
    }

    pub(crate) fn code(&self) -> i32 {
        self.code
    }

    /// Adds a line like `Property: DAQmx_SampClk_Rate`.
    pub(crate) fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.details.push((key, value.to_string()));
        self
    }

    /// Names the task on which the call failed, unless a name is there already.
    pub(crate) fn in_task(mut self, name: &str) -> Self {
        self.task.get_or_insert_with(|| name.to_owned());
        self
    }

    /// A value that a property does not take.
    pub(crate) fn value(property: &str, requested: impl fmt::Display) -> Self {
        Self::new(code::INVALID_ATTRIBUTE_VALUE)
            .with("Property", property)
            .with("Requested Value", requested)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            sentence(self.code).unwrap_or("No description is known for this status code."),
        )?;
        for (key, value) in &self.details {
            write!(f, "\n{key}: {value}")?;
        }
        if let Some(task) = &self.task {
            write!(f, "\n\nTask Name: {task}")?;
        }
        write!(f, "\n\nStatus Code: {}", self.code)
    }
}

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the text of a failure for `DAQmxGetExtendedErrorInfo` on this thread; gives its code.
pub(crate) fn remember(error: &Error) -> i32 {
    let text = error.to_string();
    LAST.with(|last| *last.borrow_mut() = text);
    error.code
}

/// The text of the last failure on this thread; empty before the first one.
pub(crate) fn last_text() -> String {
    LAST.with(|last| last.borrow().clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_property_value_task_and_code() {
        let error = Error::value("DAQmx_SampClk_Rate", "3.0e6")
            .with("Maximum Value", "2.0e6")
            .in_task("_unnamedTask<0>");
        let text = error.to_string();
        assert!(text.contains("\nProperty: DAQmx_SampClk_Rate\nRequested Value: 3.0e6"));
        assert!(text.ends_with("\n\nTask Name: _unnamedTask<0>\n\nStatus Code: -200077"));
    }

    #[test]
    fn the_last_text_belongs_to_the_thread() {
        remember(&Error::new(code::INVALID_TASK));
        assert!(last_text().contains("-200088"));
        std::thread::spawn(|| assert_eq!(last_text(), ""))
            .join()
            .unwrap();
    }
}
