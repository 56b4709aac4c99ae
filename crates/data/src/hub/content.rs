//! One file's content: what the hub says of it, fetching it in as many pieces as
//! the connection needs, and the proof that it is the content that was named.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use sha1::Sha1;
use sha2::{Digest, Sha256};
use ureq::Body;
use ureq::http::{HeaderMap, Response, header};

use super::Progress;
use crate::fingerprint::hex;

use super::cache::{Cache, make_parent};
use super::error::{AtPath as _, HubError};
use super::name::{DatasetId, is_commit};
use super::transport::{Fault, Subject, Transport, passing, without_query};

/// How the hub names a content.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Etag {
    /// SHA-256 of the bytes, for files in the large file store.
    Sha256(String),
    /// SHA-1 of git's blob header and the bytes, for small files.
    GitBlob(String),
}

impl Etag {
    /// Reads an entity tag, weak ones too.
    fn parse(text: &str) -> Option<Self> {
        let hex = text.trim().trim_start_matches("W/").trim_matches('"');
        let is_hex = hex.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase());
        match hex.len() {
            64 if is_hex => Some(Self::Sha256(hex.to_owned())),
            40 if is_hex => Some(Self::GitBlob(hex.to_owned())),
            _ => None,
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Sha256(hex) | Self::GitBlob(hex) => hex,
        }
    }

    /// The same hash of what lies in a file.
    fn of(&self, path: &Path) -> io::Result<String> {
        let mut file = File::open(path)?;
        match self {
            Self::Sha256(_) => hash(&mut file, Sha256::new()),
            Self::GitBlob(_) => {
                let size = file.metadata()?.len();
                hash(&mut file, Sha1::new_with_prefix(format!("blob {size}\0")))
            }
        }
    }
}

fn hash<D: Digest>(file: &mut File, mut digest: D) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => digest.update(&buffer[..count]),
        }
    }
    Ok(hex(&digest.finalize()))
}

/// What the hub says of a file at a revision.
#[derive(Debug)]
pub(super) struct Remote {
    etag: Etag,
    size: u64,
    /// The commit that holds it.
    pub(super) commit: String,
}

impl Remote {
    pub(super) fn etag(&self) -> &str {
        self.etag.as_str()
    }

    /// Reads the hub's headers; those of the store come first.
    pub(super) fn from_headers(url: &str, headers: &HeaderMap) -> Result<Self, HubError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let missing = |expected| HubError::BadAnswer { address: without_query(url), expected };
        let etag = text("x-linked-etag").or_else(|| text("etag")).and_then(Etag::parse);
        let size =
            text("x-linked-size").or_else(|| text("content-length")).and_then(|size| size.parse().ok());
        let commit = text("x-repo-commit").filter(|commit| is_commit(commit));
        Ok(Self {
            etag: etag.ok_or_else(|| missing("an ETag that is a SHA-256 or a git hash"))?,
            size: size.ok_or_else(|| missing("the file's size"))?,
            commit: commit.ok_or_else(|| missing("a commit in x-repo-commit"))?.to_owned(),
        })
    }
}

/// Where a content comes from and where it goes.
pub(super) struct Fetch<'a> {
    pub(super) transport: &'a Transport,
    pub(super) cache: &'a Cache,
    pub(super) id: &'a DatasetId,
    pub(super) file: &'a str,
    pub(super) url: &'a str,
}

impl Fetch<'_> {
    /// Brings a content into the cache, unless it is there, and proves it.
    pub(super) fn fetch(
        &self,
        remote: &Remote,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), HubError> {
        let blob = self.cache.blob(remote.etag());
        let _held = self.cache.lock(remote.etag())?;
        if blob.is_file() {
            return Ok(());
        }
        let incomplete = self.cache.incomplete(remote.etag());
        make_parent(&incomplete)?;
        self.complete(&incomplete, remote, progress)?;
        self.prove(&incomplete, remote)?;
        fs::rename(&incomplete, &blob).at(&blob)
    }

    /// Appends to what has arrived before until all of it is there.
    fn complete(
        &self,
        path: &Path,
        remote: &Remote,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), HubError> {
        let mut out = File::options().create(true).append(true).open(path).at(path)?;
        let before = out.metadata().at(path)?.len();
        if before > remote.size {
            out.set_len(0).at(path)?;
        }
        progress(Progress::Begins { file: self.file, size: remote.size, present: before.min(remote.size) });
        self.transport.retrying(self.url, || self.piece(&mut out, path, remote, progress))?;
        out.sync_all().at(path)
    }

    /// One try at the rest.
    fn piece(
        &self,
        out: &mut File,
        path: &Path,
        remote: &Remote,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), Fault> {
        let present = out.metadata().at(path)?.len();
        if present == remote.size {
            return Ok(());
        }
        let mut response = self.transport.get(self.id, Subject::File(self.file), self.url, present)?;
        if present > 0 && !continues(&response, present) {
            out.set_len(0).at(path)?;
            progress(Progress::Begins { file: self.file, size: remote.size, present: 0 });
        }
        let mut body = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0; 1 << 16];
        let mut arrived = 0;
        loop {
            let count = body.read(&mut buffer).map_err(|error| passing(&error, arrived))?;
            if count == 0 {
                break;
            }
            out.write_all(&buffer[..count]).at(path)?;
            arrived += count as u64;
            progress(Progress::Arrived { bytes: count as u64 });
        }
        match out.metadata().at(path)?.len() {
            size if size == remote.size => Ok(()),
            size if size > remote.size => {
                self.discard(path, remote, format!("{size} bytes")).map_err(Fault::Final)
            }
            _ => Err(Fault::Passing { reason: "the connection was cut".to_owned(), wait: None, arrived }),
        }
    }

    /// A content whose hash is wrong must not be resumed either.
    fn prove(&self, path: &Path, remote: &Remote) -> Result<(), HubError> {
        let found = remote.etag.of(path).at(path)?;
        if found == remote.etag() { Ok(()) } else { self.discard(path, remote, found) }
    }

    fn discard(&self, path: &Path, remote: &Remote, found: String) -> Result<(), HubError> {
        fs::remove_file(path).at(path)?;
        let (file, expected) = (self.file.to_owned(), remote.etag().to_owned());
        Err(HubError::WrongHash { file, expected, found })
    }
}

/// Whether an answer goes on where we asked it to; a server may send all again.
fn continues(response: &Response<Body>, from: u64) -> bool {
    let range = response.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    response.status().as_u16() == 206
        && range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// As `git hash-object` and `sha256sum` say.
    #[test]
    fn hashes_are_those_of_git_and_of_the_large_file_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "hello\n").unwrap();
        let of = |text: &str| Etag::parse(text).unwrap().of(&path).unwrap();
        assert_eq!(of(&format!("\"{}\"", "0".repeat(40))), "ce013625030ba8dba906f756967f9e9ca394464a");
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(of(&format!("W/\"{}\"", "0".repeat(64))), sha256);
    }

    #[test]
    fn an_etag_that_is_no_hash_is_none() {
        for bad in ["", "\"abc\"", "../../x", &"g".repeat(40), &"A".repeat(64)] {
            assert_eq!(Etag::parse(bad), None, "{bad}");
        }
    }
}
