use std::any::Any;

use daqring_log::{GroupSpec, LogError};
use daqring_ring::BlockHeader;

use crate::{EngineError, Outlet};

/// What the stages of a worker found out about a block; travels with the block to the sink.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageOutput {
    /// CRC32C of the block's data, where a stage computed it.
    pub crc32c: Option<u32>,
}

/// A stage's own account of why it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageError(
    /// One sentence.
    pub String,
);

/// Why a block could not be settled.
#[derive(Debug)]
pub enum SettleError {
    /// The stage failed.
    Stage(StageError),
    /// What it gave out could not be stored.
    Log(LogError),
}

impl From<StageError> for SettleError {
    fn from(error: StageError) -> Self {
        Self::Stage(error)
    }
}

impl From<LogError> for SettleError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

impl SettleError {
    pub(crate) fn on(self, stage: &dyn Stage, block: &BlockView<'_>) -> EngineError {
        match self {
            Self::Stage(error) => error.on(stage, block),
            Self::Log(error) => error.into(),
        }
    }
}

/// A block as a stage sees it.
#[derive(Debug, Clone, Copy)]
pub struct BlockView<'a> {
    /// What is said about it.
    pub header: &'a BlockHeader,
    /// The runs of all channels, one after another.
    pub data: &'a [u8],
}

impl BlockView<'_> {
    /// Samples per channel, as a length.
    pub fn samples(&self) -> usize {
        usize::try_from(self.header.samples).unwrap_or(usize::MAX)
    }
}

/// What a stage keeps about one block between its steps. Made by [`Stage::parcel`], used again for
/// later blocks.
pub type Parcel = Box<dyn Any + Send>;

/// A parcel as the type that the stage made it with.
///
/// # Panics
/// When it is another stage's: a defect of ours.
pub fn own<T: 'static>(parcel: &mut Parcel) -> &mut T {
    parcel
        .downcast_mut()
        .expect("a stage gets the parcels that it made")
}

/// Work on the blocks of one stream, outside of any interpreter lock.
///
/// A block meets a stage in up to three steps:
///
/// | step | where | in order |
/// |---|---|---|
/// | [`Arrival::arrive`] | on the worker that has just acquired it, others of the stream wait | yes |
/// | [`Stage::run`] | on that worker, beside other blocks of the same stream | no |
/// | [`Settlement::settle`] | on the writer thread, after the block itself was stored | yes |
///
/// So a stage puts what depends on earlier blocks into the outer steps, which should be short, and
/// the bulk of its work into the middle one. What the steps of one block tell each other is in its
/// parcel. What a stage puts out, which may differ in size and rate, is a stream of its own: see
/// [`Stage::output`].
///
/// A stage that fails or panics stops the recording: the file is finished with all blocks before
/// the failing one, and the error comes out of [`crate::Recording::finish`]. No stage changes the
/// samples of the block: what is logged is what the device gave.
pub trait Stage: Send + Sync {
    /// Name used in errors and statistics.
    fn name(&self) -> &str;

    /// Processes one block.
    ///
    /// # Errors
    /// When the block cannot be processed.
    fn run(
        &self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        output: &mut StageOutput,
    ) -> Result<(), StageError>;

    /// A parcel for one block; at most as many as slots are in use.
    fn parcel(&self) -> Parcel {
        Box::new(())
    }

    /// About how many bytes a parcel takes for a full block: bounds how far workers run ahead of
    /// the writer.
    fn parcel_bytes(&self) -> usize {
        0
    }

    /// The step that sees the blocks in order before [`run`](Self::run), if there is one.
    fn arrival(&self) -> Option<Box<dyn Arrival>> {
        None
    }

    /// The step that sees the blocks in order after [`run`](Self::run), if there is one.
    fn settlement(&self) -> Option<Box<dyn Settlement>> {
        None
    }

    /// The stream that the stage puts out: its channels are the runs of the blocks.
    fn output(&self) -> Option<&GroupSpec> {
        None
    }

    /// Whether a run of times (i64 nanoseconds since 1970) is in front of those of the output's
    /// channels.
    fn puts_out_times(&self) -> bool {
        false
    }
}

/// State of a stage that advances with every block, in order, before the block is processed.
pub trait Arrival: Send {
    /// Sees a block; keep it short, the stream's other workers wait.
    ///
    /// # Errors
    /// When the block cannot be processed.
    fn arrive(&mut self, block: &BlockView<'_>, parcel: &mut Parcel) -> Result<(), StageError>;
}

/// State of a stage that advances with every block, in order, after the block was processed.
pub trait Settlement: Send {
    /// Sees a block and gives out what became of it.
    ///
    /// # Errors
    /// When the stage fails, or what it gave out could not be stored.
    fn settle(
        &mut self,
        block: &BlockView<'_>,
        parcel: &mut Parcel,
        outlet: &mut Outlet<'_>,
    ) -> Result<(), SettleError>;

    /// Gives out what is left after the last block.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    fn finish(&mut self, _outlet: &mut Outlet<'_>) -> Result<(), SettleError> {
        Ok(())
    }
}
