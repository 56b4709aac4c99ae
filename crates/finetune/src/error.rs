//! Why something could not be done. No error holds the text of a conversation.

use std::fmt::Display;
use std::path::Path;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is not as it must be.
    #[error("{place}: found {found}, expected {expected}")]
    Unexpected {
        /// Where.
        place: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        cause: std::io::Error,
    },
    /// The numeric library could not go on: a device ran out of memory, or the like.
    #[error("tensors: {0}")]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// Something is not as it must be.
    pub fn new(place: impl Display, found: impl Display, expected: impl Display) -> Self {
        Self::Unexpected {
            place: place.to_string(),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }
}

/// Says which file an input or output error is of.
pub(crate) trait IoContext<T> {
    fn at(self, path: &Path) -> Result<T, Error>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn at(self, path: &Path) -> Result<T, Error> {
        self.map_err(|cause| Error::Io { path: path.display().to_string(), cause })
    }
}
