//! Stages as Python describes them, and the stage that calls a user's compiled function.

use std::ffi::c_void;
use std::sync::Arc;

use daqring_engine::stages::{
    Checksum, Condition, Decimate, DigitalLines, Envelope, Manual, Scaled, Statistics, Trigger,
    TriggerOptions,
};
use daqring_engine::{
    Arrival, BlockView, DerivedBlock, EngineError, Layout, Outlet, Parcel, SettleError, Settlement,
    Stage, StageError, StageOptions, StageOutput, of_records, own,
};
use daqring_log::{ChannelSpec, DataType, GroupSpec, LogError, Run, Runs};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::log::data_type;

/// One stage as Python describes it; which fields count is a matter of its kind.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct StageArgument {
    kind: String,
    name: String,
    log: bool,
    #[pyo3(default)]
    every: u64,
    #[pyo3(default)]
    dtype: String,
    #[pyo3(default)]
    factor: u64,
    #[pyo3(default)]
    attenuation: f64,
    #[pyo3(default)]
    channel: Option<usize>,
    #[pyo3(default)]
    condition: String,
    #[pyo3(default)]
    level: f64,
    #[pyo3(default)]
    hysteresis: f64,
    #[pyo3(default)]
    pre: u64,
    #[pyo3(default)]
    post: u64,
    #[pyo3(default)]
    lines: Vec<(usize, u32, String)>,
    #[pyo3(default)]
    address: usize,
    #[pyo3(default)]
    user_data: usize,
    #[pyo3(default)]
    outputs: Vec<(String, String)>,
    #[pyo3(default)]
    ordered: bool,
    #[pyo3(default)]
    check: bool,
    /// Stages that work on what it puts out.
    #[pyo3(default)]
    then: Vec<StageArgument>,
    /// What has to live as long as the stage.
    #[pyo3(default)]
    keep: Option<Py<PyAny>>,
}

/// The stages of one stream, ready to run.
pub(crate) struct Stages {
    pub(crate) options: Vec<StageOptions>,
    /// What they put out, in the order of the streams' numbers.
    pub(crate) outputs: Vec<OutputGroup>,
    /// By the stages' names: those that can be asked for a capture.
    pub(crate) manuals: Vec<(String, Arc<Manual>)>,
    pub(crate) keep: Vec<Py<PyAny>>,
    /// Whether what goes to the log has checksums.
    sums: bool,
}

/// A stream that a stage puts out.
pub(crate) struct OutputGroup {
    /// The runs of its blocks.
    pub(crate) runs: GroupSpec,
    /// Whether a run of times is in front of them.
    pub(crate) timed: bool,
    /// Whether it goes to the log.
    pub(crate) logged: bool,
}

impl OutputGroup {
    /// The group as the file has it, and how the runs become its channels.
    pub(crate) fn in_file(&self) -> Result<(GroupSpec, Option<Runs>), LogError> {
        let mut group = self.runs.clone();
        if !self.timed {
            return Ok((group, None));
        }
        let sizes = group.channels.iter();
        let sizes = sizes.map(|channel| channel.data_type.size().unwrap_or(0));
        let runs = std::iter::once(Run::UnixTimes).chain(sizes.map(Run::Values));
        let runs = Runs::new(runs.collect(), None)?;
        let time = ChannelSpec::new("time", DataType::Timestamp);
        group.channels.insert(0, time);
        Ok((group, runs))
    }
}

/// Makes the stages of a stream. `checksum`: of its blocks; `sums`: whether the log has any. `layout` is called where
/// there is any stage, and says why there cannot be.
pub(crate) fn build(
    arguments: Vec<StageArgument>,
    checksum: bool,
    sums: bool,
    layout: impl FnOnce() -> Result<Layout, EngineError>,
) -> Result<Stages, EngineError> {
    let mut stages = Stages {
        sums,
        options: Vec::new(),
        outputs: Vec::new(),
        manuals: Vec::new(),
        keep: Vec::new(),
    };
    let mut options = Vec::new();
    if checksum {
        options.push(StageOptions {
            stage: Arc::new(Checksum),
            logged: false,
            then: Vec::new(),
        });
    }
    if !arguments.is_empty() {
        options.extend(stages.of(arguments, &layout()?)?);
    }
    stages.options = options;
    Ok(stages)
}

impl Stages {
    /// Makes stages that work on one stream, and those behind them.
    fn of(
        &mut self,
        arguments: Vec<StageArgument>,
        layout: &Layout,
    ) -> Result<Vec<StageOptions>, EngineError> {
        let mut options = Vec::new();
        for argument in arguments {
            let then = argument.then;
            let (name, logged) = (argument.name.clone(), argument.log);
            let stage = self.one(
                StageArgument {
                    then: Vec::new(),
                    ..argument
                },
                layout.clone(),
            )?;
            let timed = stage.puts_out_times();
            if let Some(runs) = stage.output().cloned() {
                self.outputs.push(OutputGroup {
                    runs,
                    timed,
                    logged,
                });
            }
            let then = match (then.is_empty(), stage.output()) {
                (true, _) => Vec::new(),
                (false, None) => {
                    return Err(EngineError::Options(format!(
                        "stage '{name}' puts out nothing that another stage could work on"
                    )));
                }
                (false, Some(group)) => self.of(then, &Layout::new(group.clone(), timed)?)?,
            };
            options.push(StageOptions {
                stage,
                logged,
                then,
            });
        }
        Ok(options)
    }

    fn one(
        &mut self,
        argument: StageArgument,
        layout: Layout,
    ) -> Result<Arc<dyn Stage>, EngineError> {
        let name = argument.name.as_str();
        let float = || {
            data_type(&argument.dtype).ok_or_else(|| {
                EngineError::Options(format!("samples of type {} are unknown", argument.dtype))
            })
        };
        let sums = self.sums && argument.log;
        Ok(match argument.kind.as_str() {
            "statistics" => Arc::new(Statistics::new(layout, name, argument.every)?),
            "envelope" => Arc::new(Envelope::new(layout, name, argument.every)?),
            "scale" => Arc::new(Scaled::new(layout, name, float()?)?.with_checksum(sums)),
            "decimate" => {
                let (factor, attenuation) = (argument.factor, argument.attenuation);
                let stage = Decimate::new(layout, name, factor, attenuation, float()?)?;
                Arc::new(stage.with_checksum(sums))
            }
            "lines" => Arc::new(DigitalLines::new(layout, name, &argument.lines)?),
            "trigger" => {
                let manual = Arc::new(Manual::default());
                self.manuals.push((name.to_owned(), Arc::clone(&manual)));
                let options = TriggerOptions {
                    channel: argument.channel,
                    condition: match argument.condition.as_str() {
                        "rising" => Condition::Rising,
                        "falling" => Condition::Falling,
                        "either" => Condition::Either,
                        "above" => Condition::Above,
                        "below" => Condition::Below,
                        other => {
                            return Err(EngineError::Options(format!(
                                "a trigger's condition is unknown: {other}"
                            )));
                        }
                    },
                    level: argument.level,
                    hysteresis: argument.hysteresis,
                    pre: argument.pre,
                    post: argument.post,
                };
                Arc::new(Trigger::new(layout, name, options, manual)?)
            }
            "native" => {
                self.keep.extend(argument.keep);
                Arc::new(UserStage::new(
                    layout,
                    name,
                    Callee {
                        function: argument.address,
                        user_data: argument.user_data,
                    },
                    &argument.outputs,
                    argument.ordered,
                    argument.check,
                )?)
            }
            other => {
                return Err(EngineError::Options(format!(
                    "a stage of the kind {other} is unknown"
                )));
            }
        })
    }
}

/// What a user's function is told about a block, as C sees it. It grows at its end: `size` says how
/// much of it there is. `daqring.stages.BLOCK` is the same as a numpy dtype.
#[repr(C)]
struct UserBlock {
    /// Bytes of this structure.
    size: u32,
    /// 1.
    version: u32,
    channels: u64,
    /// Samples per channel.
    samples: u64,
    /// Bytes from the first sample of a channel to that of the next.
    stride: u64,
    /// Index of the first sample in the stream.
    first_sample: u64,
    /// Samples per second; 0 where that is not constant.
    rate: f64,
    /// When the block was complete, nanoseconds since 1970 (UTC).
    host_time_ns: i64,
    /// Samples per channel missing in front of it; all ones: nobody knows how many.
    lost_before: u64,
    /// Number of the block in its stream.
    seq: u64,
    /// The type of the samples, by TDMS' number: 1 to 4 int8 to int64, 5 to 8 uint8 to uint64, 9
    /// float32, 10 float64.
    data_type: u32,
    /// Values that may be written to the output.
    outputs: u32,
    /// Times of the samples, i64 nanoseconds since 1970 (UTC), where each has one of its own; else null.
    times: *const i64,
    /// Number of the record that it is, or a piece of; all ones: none.
    record: u64,
    /// Samples of the record that are before its trigger.
    pretrigger: u64,
}

const VERSION: u32 = 1;

type Function = unsafe extern "C" fn(*const UserBlock, *const c_void, *mut f64, *mut c_void) -> i32;

/// Where a user's function is, and what it wants to be given.
#[derive(Clone, Copy)]
struct Callee {
    function: usize,
    user_data: usize,
}

/// Values behind a function's output, to see whether it wrote too far.
const GUARD: [f64; 2] = [-6.626_070_15e-34, 1.380_649e-23];

/// Calls a compiled function of the user's for every block.
///
/// What it writes to its output becomes a row, with the time of the block's first sample, in a group
/// of its own.
struct UserStage {
    layout: Layout,
    name: String,
    callee: Callee,
    output: Option<GroupSpec>,
    outputs: usize,
    ordered: bool,
    check: bool,
}

#[derive(Default)]
struct Row(Vec<f64>);

impl UserStage {
    fn new(
        layout: Layout,
        name: &str,
        callee: Callee,
        outputs: &[(String, String)],
        ordered: bool,
        check: bool,
    ) -> Result<Self, EngineError> {
        if callee.function == 0 {
            return Err(EngineError::Options(format!(
                "the function of stage '{name}' is at address 0"
            )));
        }
        let output = (!outputs.is_empty()).then(|| {
            let channels = outputs.iter().map(|(name, unit)| {
                let mut channel = ChannelSpec::new(name.as_str(), DataType::F64);
                channel.unit.clone_from(unit);
                channel
            });
            let mut group = layout.derive(name, channels.collect(), 1);
            // One row per block, and blocks are not all of one length. Each has its time.
            group.dt = None;
            group
                .properties
                .retain(|property| *property != of_records());
            group
        });
        Ok(Self {
            layout,
            name: name.to_owned(),
            callee,
            output,
            outputs: outputs.len(),
            ordered,
            check,
        })
    }
}

impl UserStage {
    fn call(&self, block: &BlockView<'_>, row: &mut Row) -> Result<(), StageError> {
        let header = block.header;
        let times = self.layout.times(block.data, block.samples());
        let data = &block.data[times.len()..];
        let about = UserBlock {
            size: size_of::<UserBlock>() as u32,
            version: VERSION,
            channels: self.layout.channels().len() as u64,
            samples: header.samples,
            stride: header.samples * self.layout.sample_bytes() as u64,
            first_sample: header.first_sample,
            rate: self.layout.dt().map_or(0.0, f64::recip),
            host_time_ns: header.host_time_ns,
            lost_before: header.lost_before,
            seq: header.seq,
            data_type: self.layout.data_type().tdms_id(),
            outputs: self.outputs as u32,
            times: match times {
                [] => std::ptr::null(),
                // Slots and vectors of blocks begin where an i64 may.
                times => times.as_ptr().cast(),
            },
            record: header.record.map_or(u64::MAX, |record| record.number),
            pretrigger: header.record.map_or(0, |record| record.pretrigger),
        };
        row.0.clear();
        row.0.resize(self.outputs, f64::NAN);
        row.0.extend_from_slice(&GUARD);
        let before = self.check.then(|| daqring_log::crc32c(block.data));
        // SAFETY: the user vouches that a function of this signature is at the address, stays there
        // while the recording runs (its Python object is kept), and keeps to what it is given: the
        // block is only read, and `outputs` values may be written.
        let status = unsafe {
            let function =
                std::mem::transmute::<*const (), Function>(self.callee.function as *const ());
            function(
                &raw const about,
                data.as_ptr().cast(),
                row.0.as_mut_ptr(),
                self.callee.user_data as *mut c_void,
            )
        };
        let refuse = |what: &str| Err(StageError(what.to_owned()));
        if row.0[self.outputs..] != GUARD {
            return refuse("the function wrote behind its output; the process may be damaged");
        }
        if before.is_some_and(|before| before != daqring_log::crc32c(block.data)) {
            return refuse("the function changed the samples, which it may only read");
        }
        if status != 0 {
            return refuse(&format!("the function returned {status}"));
        }
        Ok(())
    }
}

impl Stage for UserStage {
    fn name(&self) -> &str {
        &self.name
    }

    fn output(&self) -> Option<&GroupSpec> {
        self.output.as_ref()
    }

    fn puts_out_times(&self) -> bool {
        true
    }

    fn parcel(&self) -> Parcel {
        Box::new(Row::default())
    }

    fn arrival(&self) -> Option<Box<dyn Arrival>> {
        self.ordered.then(|| -> Box<dyn Arrival> {
            Box::new(InOrder(Self {
                layout: self.layout.clone(),
                name: self.name.clone(),
                output: None,
                ..*self
            }))
        })
    }

    fn run(
        &self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        _: &mut StageOutput,
    ) -> Result<(), StageError> {
        match self.ordered {
            true => Ok(()),
            false => self.call(block, own::<Row>(parcel)),
        }
    }

    fn settlement(&self) -> Option<Box<dyn Settlement>> {
        self.output.is_some().then(|| -> Box<dyn Settlement> {
            Box::new(Rows {
                layout: self.layout.clone(),
                record: None,
                outputs: self.outputs,
                next: 0,
                data: Vec::new(),
            })
        })
    }
}

/// Calls the function for one block after the other.
struct InOrder(UserStage);

impl Arrival for InOrder {
    fn arrive(&mut self, block: &BlockView<'_>, parcel: &mut Parcel) -> Result<(), StageError> {
        self.0.call(block, own::<Row>(parcel))
    }
}

/// Gives out the rows with their times.
struct Rows {
    layout: Layout,
    /// The record of the last block, and the sample that it begins with.
    record: Option<(u64, u64)>,
    outputs: usize,
    next: u64,
    data: Vec<u8>,
}

impl Settlement for Rows {
    fn settle(
        &mut self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), SettleError> {
        let header = block.header;
        let times = self.layout.times(block.data, block.samples());
        let begin = match (header.record, self.record) {
            (Some(mark), Some((number, first))) if mark.number == number => first,
            _ => header.first_sample,
        };
        self.record = header.record.map(|mark| (mark.number, begin));
        let time = match (self.layout.dt(), times.first_chunk()) {
            (_, Some(first)) => i64::from_le_bytes(*first),
            (Some(dt), None) => {
                let (origin, sample) = match header.record {
                    Some(mark) => (mark.start_time_ns, header.first_sample - begin),
                    None => (outlet.start_time(), header.first_sample),
                };
                origin.saturating_add((sample as f64 * dt * 1e9).round() as i64)
            }
            // Nobody knows that of its first sample.
            (None, None) => header.host_time_ns,
        };
        self.data.clear();
        self.data.extend_from_slice(&time.to_le_bytes());
        for value in &own::<Row>(parcel).0[..self.outputs] {
            self.data.extend_from_slice(&value.to_le_bytes());
        }
        outlet.block(&DerivedBlock {
            first_sample: self.next,
            samples: 1,
            host_time_ns: header.host_time_ns,
            data: &self.data,
            ..DerivedBlock::default()
        })?;
        self.next += 1;
        Ok(())
    }
}

/// The name of a capsule that holds a stage's function.
const CAPSULE: &std::ffi::CStr = c"daqring.stage";

/// The address in a capsule named `daqring.stage`.
#[pyfunction]
fn stage_capsule_address(capsule: &Bound<'_, pyo3::types::PyCapsule>) -> PyResult<usize> {
    use pyo3::types::PyCapsuleMethods;
    capsule
        .pointer_checked(Some(CAPSULE))
        .map(|pointer| pointer.as_ptr() as usize)
        .map_err(|_| PyValueError::new_err("the capsule's name is not 'daqring.stage'"))
}

/// Adds this part to the native module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("STAGE_BLOCK_BYTES", size_of::<UserBlock>())?;
    module.add_function(wrap_pyfunction!(stage_capsule_address, module)?)
}
