use daqring_log::LogError;
use daqring_ring::ArenaError;

/// Why a recording could not start or go on.
#[derive(Debug)]
pub enum EngineError {
    /// The description of the recording makes no sense.
    Options(String),
    /// The arena of a stream could not be had.
    Arena(ArenaError),
    /// The log could not be made or written.
    Log(LogError),
    /// A stage failed on a block.
    Stage {
        /// The stage's name.
        stage: String,
        /// Number of the block in its stream.
        seq: u64,
        /// What the stage said.
        message: String,
    },
    /// One of our own threads panicked.
    Panicked(String),
    /// A thread could not be started.
    Spawn(std::io::Error),
}

impl std::fmt::Display for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Options(message) => f.write_str(message),
            Self::Arena(error) => write!(f, "the ring's memory could not be had: {error}"),
            Self::Log(error) => error.fmt(f),
            Self::Stage {
                stage,
                seq,
                message,
            } => {
                write!(f, "stage '{stage}' failed on block {seq}: {message}")
            }
            Self::Panicked(message) => {
                write!(f, "a worker thread stopped by an internal error: {message}")
            }
            Self::Spawn(error) => write!(f, "a thread could not be started: {error}"),
        }
    }
}

impl std::error::Error for EngineError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Arena(error) => Some(error),
            Self::Log(error) => Some(error),
            Self::Spawn(error) => Some(error),
            Self::Options(_) | Self::Stage { .. } | Self::Panicked(_) => None,
        }
    }
}

impl From<ArenaError> for EngineError {
    fn from(error: ArenaError) -> Self {
        Self::Arena(error)
    }
}

impl From<LogError> for EngineError {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// The text of a caught panic.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}
