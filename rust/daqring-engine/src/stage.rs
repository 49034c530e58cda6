use daqring_ring::BlockHeader;

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

/// Work done on a block by a worker, outside any lock and without the GIL.
///
/// One stage serves all workers at once, so it keeps its state per call or behind its own
/// synchronisation. A stage that fails or panics stops the recording: the file is finished with all
/// blocks before the failing one, and the error comes out of [`crate::Recording::finish`].
pub trait Stage: Send + Sync {
    /// Name used in errors and statistics.
    fn name(&self) -> &str;

    /// Processes one block: `data` holds the runs of all channels one after another.
    ///
    /// # Errors
    /// When the block cannot be processed.
    fn run(
        &self,
        header: &BlockHeader,
        data: &[u8],
        output: &mut StageOutput,
    ) -> Result<(), StageError>;
}

/// Computes the CRC32C of each block, so that the writer thread need not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checksum;

impl Stage for Checksum {
    fn name(&self) -> &str {
        "crc32c"
    }

    fn run(
        &self,
        _: &BlockHeader,
        data: &[u8],
        output: &mut StageOutput,
    ) -> Result<(), StageError> {
        output.crc32c = Some(daqring_log::crc32c(data));
        Ok(())
    }
}
