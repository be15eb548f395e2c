//! What can go wrong with voxels on disk.

use crate::geometry::ChunkIndex;

/// Result of this crate.
pub type Result<T, E = VolumeError> = std::result::Result<T, E>;

/// Why a layer could not be read, written or merged. Every variant names the thing it is about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VolumeError {
    /// The operating system refused.
    #[error("{file}: {source}")]
    Io {
        /// Path, or `archive.zip!member` for a file inside an archive.
        file: String,
        /// The refusal.
        source: std::io::Error,
    },
    /// A server refused, or did not answer.
    #[error("{file}: {reason}")]
    Server {
        /// Address of the object.
        file: String,
        /// What it said, and by what the request was signed.
        reason: String,
    },
    /// Bytes that do not follow their format.
    #[error("{file}{}: {reason}", in_chunk(.chunk.as_ref()))]
    Corrupt {
        /// Path, or `archive.zip!member`.
        file: String,
        /// The chunk concerned, in chunk coordinates of its mag.
        chunk: Option<ChunkIndex>,
        /// What was found and what was expected.
        reason: String,
    },
    /// A legal file that wkfast does not handle.
    #[error("{file}: {what}")]
    Unsupported {
        /// Path, or `archive.zip!member`.
        file: String,
        /// The feature, and what to do.
        what: String,
    },
    /// A file, mag or layer that is not there.
    #[error("{what} not found: {hint}")]
    Missing {
        /// The thing.
        what: String,
        /// What there is, or what to do.
        hint: String,
    },
    /// Two inputs that cannot be merged, or a target that cannot take the result.
    #[error("{0}")]
    Mismatch(String),
    /// A variable of the environment that says something impossible.
    #[error("{0}")]
    Setting(String),
    /// A function of the caller's that failed, or a mapping that lacks a label.
    #[error("chunk {chunk}: {reason}")]
    Rule {
        /// Where.
        chunk: ChunkIndex,
        /// What it said, and what to do.
        reason: String,
    },
    /// The target of a merge holds something else, or is in use.
    #[error("target {target} {reason}")]
    TargetTaken {
        /// Its path.
        target: String,
        /// What it holds, and what to do.
        reason: String,
    },
    /// Somebody else is at work in the target: waiting helps.
    #[error("target {target} is being written by another process{owner}; wait for it or choose another target")]
    TargetBusy {
        /// Its path.
        target: String,
        /// Who that is, in brackets, as far as it is known.
        owner: String,
    },
    /// A file is not what it was when its index was read.
    #[error("{file}: was replaced while it was read; read it again")]
    Changed {
        /// Its name.
        file: String,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// The caller asked for no more: tasks under way are finished, others are not begun.
    #[error("stopped")]
    Enough,
}

impl VolumeError {
    /// An I/O error at `file`; what passed through a writer as such comes out again.
    pub fn io(file: impl Into<String>, source: std::io::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(error) => error,
            Err(source) => Self::Io { file: file.into(), source },
        }
    }

    /// Malformed bytes in `file`.
    pub fn corrupt(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Corrupt { file: file.into(), chunk: None, reason: reason.into() }
    }

    /// Names the chunk in which malformed bytes were found.
    #[must_use]
    pub fn at_chunk(self, index: &ChunkIndex) -> Self {
        match self {
            Self::Corrupt { file, chunk: None, reason } => Self::Corrupt { file, chunk: Some(index.clone()), reason },
            other => other,
        }
    }
}

fn in_chunk(chunk: Option<&ChunkIndex>) -> String {
    chunk.map(|index| format!(", chunk {index}")).unwrap_or_default()
}
