//! What can go wrong with the hub. Each message says what to do about it. None
//! holds a token, nor the query of an address, which may be a signature.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Whether a request carried a token, which decides the advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// A token was sent to the hub.
    Token,
    /// No token was found in flags, environment and cache folder.
    Nothing,
}

impl Credentials {
    fn advice(self) -> &'static str {
        match self {
            Self::Token => "the token that was sent may not read it: make one with read access",
            Self::Nothing => "no token was sent: set HF_TOKEN to a token with read access",
        }
    }
}

/// A failure between us, the hub and its cache.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Not the name of a data set on the hub.
    #[error("{found:?} is not a data set's name; expected OWNER/NAME in letters, digits, '-', '_' and '.'")]
    BadName {
        /// What was given.
        found: String,
    },
    /// A revision that cannot be one.
    #[error("{found:?} is not a revision; expected a branch, a tag or a commit")]
    BadRevision {
        /// What was given.
        found: String,
    },
    /// No such data set, or one that this token may not know of.
    #[error("data set {id} is not on {endpoint}, or is private; check its name; if it is private, {}", credentials.advice())]
    RepositoryNotFound {
        /// The data set.
        id: String,
        /// The hub.
        endpoint: String,
        /// Whether a token was sent.
        credentials: Credentials,
    },
    /// The terms have not been accepted, or the owner has not granted access.
    #[error("data set {id} is gated; log in and accept its terms at {page}; {}", credentials.advice())]
    Gated {
        /// The data set.
        id: String,
        /// Where its terms are.
        page: String,
        /// Whether a token was sent.
        credentials: Credentials,
    },
    /// The hub does not know the token.
    #[error("{endpoint} refused the token; make a new one at {endpoint}/settings/tokens and set HF_TOKEN")]
    TokenRefused {
        /// The hub.
        endpoint: String,
    },
    /// No such branch, tag or commit.
    #[error("data set {id} has no revision {revision:?}")]
    RevisionNotFound {
        /// The data set.
        id: String,
        /// The branch, tag or commit.
        revision: String,
    },
    /// A file that the listing names, but that cannot be had.
    #[error("data set {id} has no file {file:?} at this revision")]
    EntryNotFound {
        /// The data set.
        id: String,
        /// The file.
        file: String,
    },
    /// The pattern matches none of the files.
    #[error("no file of {id} matches {pattern:?}; it has {}", sample(files))]
    NothingMatches {
        /// The data set.
        id: String,
        /// The pattern.
        pattern: String,
        /// All files.
        files: Vec<String>,
    },
    /// An answer that no retry mends.
    #[error("{address} answered with status {status}")]
    Status {
        /// Address without its query.
        address: String,
        /// HTTP status.
        status: u16,
    },
    /// All tries failed.
    #[error(
        "{address} could not be read in {tries} tries; the last: {reason}; what has arrived is kept, so try again later"
    )]
    GaveUp {
        /// Address without its query.
        address: String,
        /// How often it was tried.
        tries: u32,
        /// Why the last try failed.
        reason: String,
    },
    /// An answer that a hub does not give.
    #[error("{address} is not a hub, or a proxy changed its answer: {expected} was expected")]
    BadAnswer {
        /// Address without its query.
        address: String,
        /// What was missing.
        expected: &'static str,
    },
    /// Bytes that are not those the hub named. They were thrown away.
    #[error("{file:?} has the hash {found} where the hub says {expected}; it was thrown away, so try again")]
    WrongHash {
        /// The file.
        file: String,
        /// By the hub.
        expected: String,
        /// Of what arrived.
        found: String,
    },
    /// Not in the cache, and the network may not be used.
    #[error("{what} is not in the cache {}, and HF_HUB_OFFLINE forbids to fetch it", cache.display())]
    NotCached {
        /// Data set, revision or pattern.
        what: String,
        /// The cache folder.
        cache: PathBuf,
    },
    /// A name that would leave the cache folder.
    #[error("the hub names a file {file:?}, which would lie outside of the cache")]
    UnsafeFile {
        /// As the hub gave it.
        file: String,
    },
    /// Another process fetches the same file.
    #[error("another process holds {}; wait until it is done", lock.display())]
    Busy {
        /// The lock file.
        lock: PathBuf,
    },
    /// No folder for the cache can be told from the environment.
    #[error("there is no home folder to keep the cache in; set HF_HOME")]
    NoHome,
    /// The file system refused.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why. It stands in the message and so is no `source`.
        cause: io::Error,
    },
}

/// Names the path in an error of the file system.
pub(super) trait AtPath<T> {
    fn at(self, path: &Path) -> Result<T, HubError>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, HubError> {
        self.map_err(|cause| HubError::Io { path: path.to_owned(), cause })
    }
}

/// The first names, for a message.
fn sample(files: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut shown = files.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if files.len() > SHOWN {
        let _ = write!(shown, " and {} more", files.len() - SHOWN);
    }
    if shown.is_empty() { "no files".to_owned() } else { shown }
}
