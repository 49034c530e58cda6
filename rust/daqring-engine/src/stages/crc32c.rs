use crate::{BlockView, Parcel, Stage, StageError, StageOutput};

/// Computes the CRC32C of each block, so that the writer thread need not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checksum;

impl Stage for Checksum {
    fn name(&self) -> &str {
        "crc32c"
    }

    fn run(
        &self,
        block: &BlockView<'_>,
        _: &mut Parcel,
        output: &mut StageOutput,
    ) -> Result<(), StageError> {
        output.crc32c = Some(daqring_log::crc32c(block.data));
        Ok(())
    }
}
