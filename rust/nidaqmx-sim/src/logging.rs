//! Logging by the driver: the samples of a task into TDMS files of the form that NI describes.
//!
//! With `LOG_AND_READ` what a read hands over is written, by the thread that reads. With `LOG` a
//! thread of the driver's own takes the samples, and no read can. Codes are written as NI-DAQmx raw
//! data where a polynomial leads from them to the channel's units in all channels, else channel by
//! channel, as codes or as values in these units.

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use daqring_log::{
    ChannelSpec, DataType, GroupSpec, LogFile, Properties, PropertyValue, Scale, daqmx_segment,
    plain_segment,
};

use crate::attribute::{Attribute, Value};
use crate::error::{Error, Result, code};
use crate::plan::{Kind, Plan, Source};
use crate::read::Sample;
use crate::task::Claim;

/// Logging modes.
pub(crate) mod mode {
    pub(crate) const OFF: i32 = 10231;
    pub(crate) const LOG: i32 = 15844;
    pub(crate) const LOG_AND_READ: i32 = 15842;
}

/// How a file is opened.
mod operation {
    pub(super) const OPEN: i32 = 10437;
    pub(super) const OPEN_OR_CREATE: i32 = 15846;
    pub(super) const CREATE_OR_REPLACE: i32 = 15847;
    pub(super) const CREATE: i32 = 15848;
}

/// The sector size of every simulated volume.
const SECTOR: u64 = 512;

/// Logging as set.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    pub(crate) mode: i32,
    path: String,
    group: String,
    operation: i32,
    pause: bool,
    samples_per_file: u64,
    write_size: u32,
    preallocation: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            mode: mode::OFF,
            path: String::new(),
            group: String::new(),
            operation: operation::OPEN_OR_CREATE,
            pause: false,
            samples_per_file: 0,
            write_size: 0,
            preallocation: 0,
        }
    }
}

/// Whether an attribute of reads is one of logging.
pub(crate) fn is_logging(id: u32) -> bool {
    matches!(id, 0x2EC4..=0x2EC7 | 0x2FC3 | 0x2FC6 | 0x2FE3 | 0x2FE4)
}

impl LogSettings {
    /// `DAQmxConfigureLogging`.
    pub(crate) fn configure(
        &mut self,
        path: &str,
        mode: i32,
        group: &str,
        operation: i32,
    ) -> Result<()> {
        let mut changed = self.clone();
        changed.set_mode(mode)?;
        changed.set_operation(operation)?;
        path.clone_into(&mut changed.path);
        group.clone_into(&mut changed.group);
        *self = changed;
        Ok(())
    }

    fn set_mode(&mut self, mode: i32) -> Result<()> {
        if !matches!(mode, mode::OFF | mode::LOG | mode::LOG_AND_READ) {
            return Err(Error::value("DAQmx_Logging_Mode", mode).with(
                "You Can Select",
                "DAQmx_Val_Off, DAQmx_Val_Log, DAQmx_Val_LogAndRead",
            ));
        }
        self.mode = mode;
        Ok(())
    }

    fn set_operation(&mut self, operation: i32) -> Result<()> {
        let known = operation == operation::OPEN
            || (operation::OPEN_OR_CREATE..=operation::CREATE).contains(&operation);
        if !known {
            return Err(
                Error::value("DAQmx_Logging_TDMS_Operation", operation).with(
                    "You Can Select",
                    "DAQmx_Val_Open, DAQmx_Val_OpenOrCreate, DAQmx_Val_CreateOrReplace, \
                 DAQmx_Val_Create",
                ),
            );
        }
        self.operation = operation;
        Ok(())
    }

    pub(crate) fn get(&self, row: &Attribute) -> Result<Value> {
        Ok(match row.id {
            0x2EC4 => Value::text(self.path.clone()),
            0x2EC5 => Value::I32(self.mode),
            0x2EC6 => Value::text(self.group.clone()),
            0x2EC7 => Value::I32(self.operation),
            0x2FC3 => Value::U32(self.write_size),
            0x2FC6 => Value::U64(self.preallocation),
            0x2FE3 => Value::Bool(self.pause),
            0x2FE4 => Value::U64(self.samples_per_file),
            _ => return Err(Error::new(code::INVALID_ATTRIBUTE)),
        })
    }

    /// Sets an attribute. While the task runs only the path and the pause can be set.
    pub(crate) fn set(&mut self, row: &Attribute, value: &Value, running: bool) -> Result<()> {
        if running && !matches!(row.id, 0x2EC4 | 0x2FE3) {
            return Err(Error::new(code::CANNOT_SET_WHILE_RUNNING).with("Property", row.display()));
        }
        match row.id {
            0x2EC4 => value.as_str().clone_into(&mut self.path),
            0x2EC5 => self.set_mode(value.as_i32())?,
            0x2EC6 => value.as_str().clone_into(&mut self.group),
            0x2EC7 => self.set_operation(value.as_i32())?,
            0x2FC3 => self.write_size = value.as_u64() as u32,
            0x2FC6 => self.preallocation = value.as_u64(),
            0x2FE3 => self.pause = value.as_bool(),
            0x2FE4 => self.samples_per_file = value.as_u64(),
            _ => return Err(Error::new(code::INVALID_ATTRIBUTE)),
        }
        Ok(())
    }

    pub(crate) fn reset(&mut self, row: &Attribute, running: bool) -> Result<()> {
        let default = Self::default().get(row)?;
        self.set(row, &default, running)
    }

    pub(crate) fn is_on(&self) -> bool {
        self.mode != mode::OFF
    }

    /// Whether the settings fit each other and the task; `moved` where reads do not simply go on.
    pub(crate) fn check(&self, buffered: bool, moved: bool, bytes: u64) -> Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        if !buffered {
            return Err(Error::new(code::LOGGING_NOT_BUFFERED)
                .with("Property", "DAQmx_Logging_Mode")
                .with("Corresponding Value", self.mode));
        }
        if self.path.trim().is_empty() {
            return Err(Error::new(code::FILE_PATH_INVALID)
                .with("Property", "DAQmx_Logging_FilePath")
                .with("Corresponding Value", "\"\""));
        }
        if moved {
            return Err(Error::new(code::NOT_SUPPORTED_WHEN_LOGGING)
                .with("Property", "DAQmx_Read_RelativeTo, DAQmx_Read_Offset"));
        }
        let size = u64::from(self.write_size);
        if size > 0 && !(size * bytes).is_multiple_of(SECTOR) {
            return Err(Error::new(code::LOGGING_WRITE_SIZE)
                .with("Property", "DAQmx_Logging_FileWriteSize")
                .with("Requested Value", size));
        }
        if size > 0 && !self.samples_per_file.is_multiple_of(size) {
            return Err(Error::new(code::LOGGING_SAMPS_PER_FILE)
                .with("Property", "DAQmx_Logging_SampsPerFile")
                .with("Requested Value", self.samples_per_file)
                .with("Property", "DAQmx_Logging_FileWriteSize")
                .with("Corresponding Value", size));
        }
        Ok(())
    }

    /// Samples per channel that the thread of `LOG` takes at a time.
    pub(crate) fn chunk(&self, rate: f64, buffer: u64) -> u64 {
        if self.write_size > 0 {
            return u64::from(self.write_size);
        }
        // Ten times a second, and before the buffer is half full.
        ((rate / 10.0) as u64).clamp(1, (buffer / 2).max(1))
    }
}

thread_local! {
    static LOGGER: Cell<bool> = const { Cell::new(false) };
}

/// Marks the calling thread as the driver's own logger, which may read in any mode.
pub(crate) fn become_logger() {
    LOGGER.with(|flag| flag.set(true));
}

pub(crate) fn is_logger() -> bool {
    LOGGER.with(Cell::get)
}

/// Files that some task logs to now.
static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// A path in the list of open files, for as long as it lives.
#[derive(Debug)]
struct Claimed(PathBuf);

impl Claimed {
    fn new(path: &Path) -> Result<Self> {
        let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if open.contains(&full) {
            return Err(Error::new(code::FILE_OPEN_FOR_WRITE).with("File Path", path.display()));
        }
        open.push(full.clone());
        Ok(Self(full))
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|known| *known != self.0);
    }
}

/// One file that is being written.
#[derive(Debug)]
struct Output {
    file: File,
    path: PathBuf,
    /// Groups that the file had before, or has by now.
    groups: Vec<String>,
    /// Samples per channel written by this task.
    samples: u64,
    /// The current group stands in the file.
    described: bool,
    _claimed: Claimed,
}

/// The log of one run.
#[derive(Debug)]
pub(crate) struct TaskLog {
    settings: LogSettings,
    task: String,
    group: GroupSpec,
    output: Output,
    /// The path that numbered files are derived from, and the number of the latest.
    template: PathBuf,
    number: u32,
    /// A path that the next file has, where the program gave one.
    next_path: Option<PathBuf>,
    /// The next sample to write.
    next: u64,
    /// Unix nanoseconds of sample 0, and nanoseconds from one sample to the next.
    start_ns: i64,
    interval_ns: f64,
    paused: bool,
    /// After a failure nothing is written any more.
    failed: bool,
}

fn io(error: &std::io::Error, path: &Path) -> Error {
    let number = match error.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidInput | ErrorKind::NotADirectory => {
            code::FILE_PATH_INVALID
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem | ErrorKind::IsADirectory => {
            code::FILE_WRITE_PROTECTED
        }
        ErrorKind::StorageFull => code::DISK_FULL,
        _ => code::GENERIC_FILE_IO,
    };
    Error::new(number)
        .with("File Path", path.display())
        .with("Reason", error)
}

/// `data.tdms`, `data_0001.tdms`, `data_0002.tdms` ...
fn numbered(template: &Path, number: u32) -> PathBuf {
    let stem = template.file_stem().unwrap_or_default().to_string_lossy();
    let name = match template.extension() {
        Some(extension) => format!("{stem}_{number:04}.{}", extension.to_string_lossy()),
        None => format!("{stem}_{number:04}"),
    };
    template.with_file_name(name)
}

impl Output {
    fn open(path: &Path, operation: i32) -> Result<Self> {
        let claimed = Claimed::new(path)?;
        let exists = path.exists();
        let mut groups = Vec::new();
        if exists && operation == operation::CREATE {
            return Err(Error::new(code::GENERIC_FILE_IO)
                .with("File Path", path.display())
                .with(
                    "Reason",
                    "The file exists already, and the operation is DAQmx_Val_Create.",
                ));
        }
        if !exists && operation == operation::OPEN {
            return Err(Error::new(code::FILE_PATH_INVALID)
                .with("File Path", path.display())
                .with(
                    "Reason",
                    "There is no such file, and the operation is DAQmx_Val_Open.",
                ));
        }
        let append = exists && operation != operation::CREATE_OR_REPLACE;
        if append && path.metadata().is_ok_and(|found| found.len() > 0) {
            let known = LogFile::open(path).map_err(|error| {
                Error::new(code::FILE_VERSION_MISMATCH)
                    .with("File Path", path.display())
                    .with("Reason", error)
            })?;
            groups = known.groups().iter().map(|one| one.name.clone()).collect();
        }
        let mut options = OpenOptions::new();
        if append {
            options.append(true);
        } else {
            options.write(true).create(true).truncate(true);
        }
        Ok(Self {
            file: options.open(path).map_err(|error| io(&error, path))?,
            path: path.to_path_buf(),
            groups,
            samples: 0,
            described: false,
            _claimed: claimed,
        })
    }
}

/// Whether a channel's codes can be written, with a polynomial that leads to its units.
fn as_codes(source: &Source) -> bool {
    matches!(source.kind, Kind::Analog) && source.way.is_none() && source.combined.is_none()
}

fn data_type(source: &Source) -> DataType {
    match source.kind {
        Kind::Analog if as_codes(source) => {
            if source.raw_bits <= 16 {
                DataType::I16
            } else {
                DataType::I32
            }
        }
        Kind::Digital(_) => match source.raw_bits {
            ..=8 => DataType::U8,
            9..=16 => DataType::U16,
            _ => DataType::U32,
        },
        _ => DataType::F64,
    }
}

impl TaskLog {
    /// Opens the file of a run. `channels` are the names and units of the plan's sources.
    pub(crate) fn begin(
        settings: &LogSettings,
        task: &str,
        plan: &Plan,
        channels: &[(String, Option<&'static str>)],
        started: i64,
    ) -> Result<Self> {
        // Ticks of 100 ns since the beginning of year 1.
        let start_ns = (started - crate::waveform::YEAR_1970).saturating_mul(100);
        let interval_ns = plan.pace.rate().map_or(0.0, |rate| 1e9 / rate.hertz());
        let specs = plan
            .sources
            .iter()
            .zip(channels)
            .map(|(source, (name, unit))| {
                let mut spec = ChannelSpec::new(name.clone(), data_type(source));
                spec.unit = unit.unwrap_or("").to_owned();
                if as_codes(source) {
                    spec.scale = Scale::Polynomial(source.polynomial.to_vec());
                }
                spec
            })
            .collect();
        let template = PathBuf::from(settings.path.trim());
        let output = Output::open(&template, settings.operation)?;
        let mut log = Self {
            settings: settings.clone(),
            task: task.to_owned(),
            group: GroupSpec {
                name: String::new(),
                channels: specs,
                dt: None,
                properties: Vec::new(),
            },
            output,
            template,
            number: 0,
            next_path: None,
            next: 0,
            start_ns,
            interval_ns,
            paused: false,
            failed: false,
        };
        log.name_group();
        Ok(log)
    }

    /// A group's name that the file does not have yet: `Task`, `Task #1`, `Task #2` ...
    fn name_group(&mut self) {
        let base = if self.settings.group.is_empty() {
            &self.task
        } else {
            &self.settings.group
        };
        let mut name = base.clone();
        let mut number = 0;
        while self.output.groups.contains(&name) {
            number += 1;
            name = format!("{base} #{number}");
        }
        self.output.groups.push(name.clone());
        self.group.name = name;
        self.output.described = false;
    }

    /// `DAQmxStartNewFile`: the next samples go to this file.
    pub(crate) fn start_new_file(&mut self, path: &str) -> Result<()> {
        if path.trim().is_empty() {
            return Err(Error::new(code::FILE_PATH_INVALID).with("File Path", "\"\""));
        }
        self.next_path = Some(PathBuf::from(path.trim()));
        Ok(())
    }

    /// A path that was set while the task runs: it counts from the next numbered file on.
    pub(crate) fn set_path(&mut self, path: &str) {
        let path = path.trim();
        if path.ends_with(['/', '\\']) {
            let name = self.template.file_name().unwrap_or_default().to_owned();
            self.template = PathBuf::from(path).join(name);
        } else if !path.is_empty() {
            self.template = PathBuf::from(path);
            self.number = 0;
        }
    }

    pub(crate) fn set_pause(&mut self, pause: bool) {
        self.settings.pause = pause;
    }

    fn open(&mut self, path: &Path, operation: i32) -> Result<()> {
        self.output = Output::open(path, operation)?;
        self.name_group();
        Ok(())
    }

    /// Writes the samples from the last one written up to `end`; those before the claim are gone.
    pub(crate) fn append(&mut self, claim: &Claim, end: u64) -> Result<()> {
        let first = self.next.max(claim.first);
        if self.failed || end <= first {
            return Ok(());
        }
        self.next = end;
        if self.settings.pause {
            self.paused = self.output.described || self.paused;
            return Ok(());
        }
        let result = self.write(claim, first, end);
        self.failed = result.is_err();
        result
    }

    fn write(&mut self, claim: &Claim, mut first: u64, end: u64) -> Result<()> {
        if std::mem::take(&mut self.paused) {
            self.name_group();
        }
        if let Some(path) = self.next_path.take() {
            self.open(&path, self.settings.operation)?;
            self.template = path;
            self.number = 0;
        }
        let most = match self.settings.samples_per_file {
            0 => u64::MAX,
            samples => samples,
        };
        while first < end {
            if self.output.samples >= most {
                self.number += 1;
                let path = numbered(&self.template, self.number);
                self.open(&path, operation::CREATE_OR_REPLACE)?;
            }
            // A segment of a megabyte or so: no more than that is held in memory.
            let part = (end - first)
                .min(most - self.output.samples)
                .min(131_072 / claim.plan.sources.len().max(1) as u64 + 1);
            self.segment(claim, first, part as usize)?;
            self.output.samples += part;
            first += part;
        }
        Ok(())
    }

    fn segment(&mut self, claim: &Claim, first: u64, count: usize) -> Result<()> {
        let root = (!self.output.described).then(|| {
            let name = self.output.path.file_stem().unwrap_or_default();
            vec![(
                "name".to_owned(),
                PropertyValue::String(name.to_string_lossy().into_owned()),
            )]
        });
        if root.is_some() {
            let start = self.start_ns + (first as f64 * self.interval_ns) as i64;
            for channel in &mut self.group.channels {
                channel.properties = properties(channel, start, self.interval_ns / 1e9);
            }
            self.output.described = true;
        }
        let rows = claim.plan.sources.iter().all(as_codes);
        let header = if rows { daqmx_segment } else { plain_segment };
        let mut bytes = header(&self.group, root.as_ref(), count as u64);
        let begin = bytes.len();
        for source in &claim.plan.sources {
            match data_type(source) {
                DataType::U8 => fill(claim, source, first, count, &mut bytes, u8::to_le_bytes),
                DataType::U16 => fill(claim, source, first, count, &mut bytes, u16::to_le_bytes),
                DataType::U32 => fill(claim, source, first, count, &mut bytes, u32::to_le_bytes),
                DataType::I16 => fill(claim, source, first, count, &mut bytes, i16::to_le_bytes),
                DataType::I32 => fill(claim, source, first, count, &mut bytes, i32::to_le_bytes),
                _ => fill(claim, source, first, count, &mut bytes, f64::to_le_bytes),
            }
        }
        if rows {
            let widths = self.group.channels.iter();
            let widths: Vec<_> = widths.filter_map(|one| one.data_type.size()).collect();
            let turned = in_rows(&bytes[begin..], &widths, count);
            bytes.truncate(begin);
            bytes.extend(turned);
        }
        let path = &self.output.path;
        self.output
            .file
            .write_all(&bytes)
            .map_err(|error| io(&error, path))
    }
}

fn fill<T: Sample, const N: usize>(
    claim: &Claim,
    source: &Source,
    first: u64,
    count: usize,
    bytes: &mut Vec<u8>,
    convert: impl Fn(T) -> [u8; N],
) {
    let mut values = vec![T::default(); count];
    T::fill(claim, source, first, &mut values);
    bytes.extend(values.into_iter().flat_map(convert));
}

/// Codes that lie channel by channel, as rows with a code of each channel.
fn in_rows(columns: &[u8], widths: &[usize], count: usize) -> Vec<u8> {
    let row = widths.iter().sum::<usize>();
    let mut rows = vec![0; row * count];
    let (mut offset, mut begin) = (0, 0);
    for &width in widths {
        let codes = columns[begin..begin + width * count].chunks_exact(width);
        for (place, code) in rows.chunks_exact_mut(row).zip(codes) {
            place[offset..offset + width].copy_from_slice(code);
        }
        offset += width;
        begin += width * count;
    }
    rows
}

/// What NI's driver says of a channel, beside its unit and its scale.
fn properties(channel: &ChannelSpec, start_ns: i64, interval: f64) -> Properties {
    let text = |text: &str| PropertyValue::String(text.to_owned());
    [
        ("NI_ChannelName", text(&channel.name)),
        ("NI_UnitDescription", text(&channel.unit)),
        ("wf_start_time", PropertyValue::timestamp_ns(start_ns)),
        ("wf_start_offset", PropertyValue::F64(0.0)),
        ("wf_increment", PropertyValue::F64(interval)),
        ("wf_samples", PropertyValue::I32(1)),
        ("wf_xname", text("Time")),
        ("wf_xunit_string", text("s")),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}
