//! The folder that is shared with Python's `huggingface_hub`:
//!
//! ```text
//! datasets--owner--name/
//!   blobs/ETAG              contents, named by what the hub calls their hash
//!   blobs/ETAG.incomplete   what has arrived so far; never read as a file
//!   refs/REVISION           the commit that a branch or tag pointed to
//!   snapshots/COMMIT/FILE   a link to the content
//! .locks/datasets--owner--name/ETAG.lock
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::error::{AtPath as _, HubError};
use super::name::{DatasetId, Revision, is_commit};

/// One data set's part of the cache.
#[derive(Debug)]
pub(super) struct Cache {
    root: PathBuf,
    locks: PathBuf,
}

impl Cache {
    pub(super) fn new(folder: &Path, id: &DatasetId) -> Self {
        Self { root: folder.join(id.folder()), locks: folder.join(".locks").join(id.folder()) }
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    pub(super) fn incomplete(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(format!("{etag}.incomplete"))
    }

    pub(super) fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    /// The commit a revision named when it was last asked for.
    pub(super) fn commit(&self, revision: &Revision) -> Option<String> {
        if let Some(commit) = revision.commit() {
            return Some(commit.to_owned());
        }
        let text = fs::read_to_string(self.root.join("refs").join(revision.as_str())).ok()?;
        let commit = text.trim();
        is_commit(commit).then(|| commit.to_owned())
    }

    /// Remembers the commit of a branch or tag.
    pub(super) fn remember(&self, revision: &Revision, commit: &str) -> Result<(), HubError> {
        if revision.commit().is_some() {
            return Ok(());
        }
        let path = self.root.join("refs").join(revision.as_str());
        make_parent(&path)?;
        fs::write(&path, commit).at(&path)
    }

    /// Names of the finished files of a snapshot, sorted.
    pub(super) fn files(&self, commit: &str) -> Result<Vec<String>, HubError> {
        let snapshot = self.snapshot(commit);
        let mut names = Vec::new();
        if snapshot.is_dir() {
            collect(&snapshot, "", &mut names)?;
        }
        names.sort();
        Ok(names)
    }

    /// Puts a content into a snapshot under a file's name.
    pub(super) fn link(&self, etag: &str, commit: &str, file: &str) -> Result<(), HubError> {
        let place = self.snapshot(commit).join(file);
        make_parent(&place)?;
        // Made beside and moved over, so that the name is never missing meanwhile.
        let beside = place.with_file_name(format!(".{etag}.{}.link", std::process::id()));
        let depth = file.split('/').filter(|part| !part.is_empty()).count();
        let target = Path::new(&"../".repeat(depth + 1)).join("blobs").join(etag);
        link_or_copy(&target, &self.blob(etag), &beside).at(&beside)?;
        fs::rename(&beside, &place).at(&place)
    }

    /// Holds a content against other processes until the file is dropped.
    pub(super) fn lock(&self, etag: &str) -> Result<File, HubError> {
        const PATIENCE: u32 = 100;
        let path = self.locks.join(format!("{etag}.lock"));
        make_parent(&path)?;
        let file = File::options().create(true).append(true).open(&path).at(&path)?;
        for _ in 0..PATIENCE {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(fs::TryLockError::WouldBlock) => sleep(Duration::from_millis(100)),
                Err(fs::TryLockError::Error(error)) => return Err(error).at(&path),
            }
        }
        Err(HubError::Busy { lock: path })
    }
}

pub(super) fn make_parent(path: &Path) -> Result<(), HubError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).at(parent)
}

#[cfg(unix)]
fn link_or_copy(target: &Path, _blob: &Path, place: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, place)
}

/// Links need a privilege on Windows, so the content is copied, as Python does.
#[cfg(not(unix))]
fn link_or_copy(_target: &Path, blob: &Path, place: &Path) -> io::Result<()> {
    fs::copy(blob, place).map(drop)
}

/// Whether a killed run left this link beside its place.
fn is_half_made(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    hidden && path.extension().is_some_and(|extension| extension == "link")
}

/// Files below a folder whose content is there; a dangling link is not.
fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Result<(), HubError> {
    for entry in fs::read_dir(folder).at(folder)? {
        let entry = entry.at(folder)?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let path = entry.path();
        if entry.file_type().at(&path)?.is_dir() {
            collect(&path, &format!("{name}/"), names)?;
        } else if path.is_file() && !is_half_made(&path) {
            names.push(name);
        }
    }
    Ok(())
}
