//! The Hugging Face hub: lists a data set's files at a revision, brings them into
//! the cache that Python's `huggingface_hub` uses too, and proves their hashes.
//! What is in the cache is not fetched again, what broke off goes on where it
//! stopped, and a revision is pinned to its commit before the first file.

mod cache;
mod content;
mod error;
mod name;
mod settings;
mod transport;

use std::path::PathBuf;

use serde::Deserialize;

pub use error::{Credentials, HubError};
pub use name::{DatasetId, Pattern, Revision};
pub use settings::{Network, Settings, Token};

use cache::Cache;
use content::{Fetch, Remote};
use name::{encode, is_commit, is_inside};
use transport::{Subject, Transport, without_query};

/// A listing holds names only; this is some million of them.
const LARGEST_LISTING: u64 = 256 << 20;

/// What to bring.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The data set.
    pub id: DatasetId,
    /// Branch, tag or commit.
    pub revision: Revision,
    /// Which files.
    pub files: Pattern,
}

/// Files of a data set at one commit, all of them complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit, in full.
    pub commit: String,
    /// The folder that the names are relative to.
    pub folder: PathBuf,
    /// Names with slashes, sorted.
    pub files: Vec<String>,
}

/// What happens during [`Hub::pull`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A file is being fetched; `present` of its `size` bytes had arrived before.
    Begins {
        /// The file.
        file: &'a str,
        /// Its bytes.
        size: u64,
        /// Bytes that were there already.
        present: u64,
    },
    /// More bytes of the file that began last.
    Arrived {
        /// How many.
        bytes: u64,
    },
    /// A file is complete and proven, now or in an earlier run.
    Ready {
        /// The file.
        file: &'a str,
    },
}

/// Access to one hub. Calls block.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
    transport: Transport,
}

/// The hub's answer about a revision, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Hub {
    /// A hub with these settings; nothing is asked yet.
    pub fn new(settings: Settings) -> Self {
        Self { transport: Transport::new(&settings), settings }
    }

    /// Makes all wanted files present. Offline, it gives those in the cache;
    /// it cannot know whether the hub has more.
    ///
    /// # Errors
    /// Every [`HubError`]. Files that were complete before stay.
    pub fn pull(
        &self,
        wanted: &Wanted,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Snapshot, HubError> {
        let cache = Cache::new(&self.settings.cache, &wanted.id);
        match self.settings.network {
            Network::Offline => self.cached(wanted, &cache),
            Network::Online => self.fetched(wanted, &cache, progress),
        }
    }

    fn cached(&self, wanted: &Wanted, cache: &Cache) -> Result<Snapshot, HubError> {
        let not_cached = |what: String| HubError::NotCached { what, cache: self.settings.cache.clone() };
        let revision = || format!("{} at revision {:?}", wanted.id, wanted.revision.as_str());
        let commit = cache.commit(&wanted.revision).ok_or_else(|| not_cached(revision()))?;
        let mut files = cache.files(&commit)?;
        files.retain(|file| wanted.files.matches(file));
        if files.is_empty() {
            return Err(not_cached(format!("a file {:?} of {}", wanted.files.as_str(), revision())));
        }
        Ok(Snapshot { folder: cache.snapshot(&commit), commit, files })
    }

    fn fetched(
        &self,
        wanted: &Wanted,
        cache: &Cache,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Snapshot, HubError> {
        let listing = self.listing(wanted)?;
        let all = listing.siblings.into_iter().map(|sibling| sibling.rfilename).collect::<Vec<_>>();
        let mut files = all.iter().filter(|file| wanted.files.matches(file)).cloned().collect::<Vec<_>>();
        files.sort();
        if files.is_empty() {
            let pattern = wanted.files.as_str().to_owned();
            return Err(HubError::NothingMatches { id: wanted.id.to_string(), pattern, files: all });
        }
        let folder = cache.snapshot(&listing.sha);
        for file in &files {
            if !is_inside(file) {
                return Err(HubError::UnsafeFile { file: file.clone() });
            }
            if !folder.join(file).is_file() {
                self.bring(&wanted.id, &listing.sha, file, &mut Bringing { cache, progress })?;
            }
            progress(Progress::Ready { file });
        }
        cache.remember(&wanted.revision, &listing.sha)?;
        Ok(Snapshot { folder, commit: listing.sha, files })
    }

    fn listing(&self, wanted: &Wanted) -> Result<Listing, HubError> {
        let revision = wanted.revision.as_str();
        let url = format!(
            "{}/api/datasets/{}/revision/{}",
            self.settings.endpoint,
            wanted.id,
            encode(revision, "")
        );
        let body = self.transport.text(&wanted.id, &url, Subject::Revision(revision), LARGEST_LISTING)?;
        let listing = serde_json::from_slice::<Listing>(&body).ok().filter(|listing| is_commit(&listing.sha));
        listing.ok_or(HubError::BadAnswer { address: url, expected: "a listing with sha and siblings" })
    }

    fn bring(
        &self,
        id: &DatasetId,
        commit: &str,
        file: &str,
        into: &mut Bringing<'_>,
    ) -> Result<(), HubError> {
        let url = format!("{}/datasets/{id}/resolve/{commit}/{}", self.settings.endpoint, encode(file, "/"));
        let headers = self.transport.head(id, Subject::File(file), &url)?;
        let remote = Remote::from_headers(&url, &headers)?;
        if remote.commit != commit {
            let address = without_query(&url);
            return Err(HubError::BadAnswer { address, expected: "the commit that was asked for" });
        }
        let fetch = Fetch { transport: &self.transport, cache: into.cache, id, file, url: &url };
        fetch.fetch(&remote, into.progress)?;
        into.cache.link(remote.etag(), commit, file)
    }
}

/// Where files go and who is told.
struct Bringing<'a> {
    cache: &'a Cache,
    progress: &'a mut dyn FnMut(Progress<'_>),
}
