//! Answers kept on disk, so that no answer is paid for twice: one JSON object per
//! line, appended and never rewritten. Only complete answers are kept, each as it
//! came; failures never are. Keys of servers never are, either; the answers
//! themselves are text, so the file is as confidential as what was asked.
//!
//! A program that is killed while it writes leaves a torn last line. It is cut
//! off when the file is opened next, and said so in [`Opened`].

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::structured::StructuredMode;

/// How a call uses the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheMode {
    /// Takes answers from it and adds new ones.
    #[default]
    Use,
    /// Asks anew and adds the answers; the newest counts from then on.
    Refresh,
    /// Neither reads nor writes.
    Off,
}

/// A cache that cannot be used.
#[derive(Debug, Error)]
pub enum CacheError {
    /// The file cannot be opened, read or written.
    #[error("cache {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("cache {path}: another process is using it")]
    Locked {
        /// The file.
        path: PathBuf,
    },
}

/// What was found when a cache was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opened {
    /// Answers that can be used.
    pub entries: usize,
    /// Bytes of a torn last line that were cut off.
    pub cut_bytes: u64,
    /// Lines, from 1, that are no entries. They are left alone and not used.
    pub unreadable: Vec<usize>,
}

/// An open cache. The file is locked until it is dropped.
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    file: File,
    end: u64,
    index: HashMap<String, Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u64,
    length: usize,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The version of this layout: 1.
    pub version: u32,
    /// See [`crate::canonical::request_key`].
    pub key: String,
    /// The structure of answers that was asked for.
    pub structured: StructuredMode,
    /// The response as it came.
    pub response: Value,
}

/// What the index needs of a line.
#[derive(Deserialize)]
struct Head {
    version: u32,
    key: String,
    #[serde(rename = "response")]
    _response: serde::de::IgnoredAny,
}

const VERSION: u32 = 1;

impl Cache {
    /// Opens a cache, or begins one, and repairs its end.
    ///
    /// # Errors
    /// [`CacheError`].
    pub fn open(path: &Path) -> Result<(Self, Opened), CacheError> {
        let io = |source| CacheError::Io { path: path.to_owned(), source };
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CacheError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let mut cache = Self { path: path.to_owned(), file, end: 0, index: HashMap::new() };
        let opened = cache.load().map_err(io)?;
        Ok((cache, opened))
    }

    /// The number of answers.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The newest entry of a key.
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub fn get(&mut self, key: &str) -> Result<Option<Entry>, CacheError> {
        let Some(span) = self.index.get(key).copied() else { return Ok(None) };
        self.read(span).map(Some).map_err(|source| CacheError::Io { path: self.path.clone(), source })
    }

    /// Adds an answer. It has reached the system when this returns, so that it
    /// survives the end of this process; not a power failure.
    ///
    /// # Errors
    /// [`CacheError::Io`]; the entry is then absent.
    pub fn put(&mut self, key: &str, structured: StructuredMode, response: &Value) -> Result<(), CacheError> {
        let entry = Entry { version: VERSION, key: key.to_owned(), structured, response: response.clone() };
        self.append(&entry).map_err(|source| CacheError::Io { path: self.path.clone(), source })
    }

    fn load(&mut self) -> io::Result<Opened> {
        let mut opened = Opened::default();
        let mut reader = BufReader::new(self.file.try_clone()?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            if length == 0 {
                break;
            }
            let torn = line.last() != Some(&b'\n');
            match (entry_key(&line), torn) {
                (Some(key), _) => drop(self.index.insert(key, Span { start: self.end, length })),
                (None, true) => {
                    opened.cut_bytes = length as u64;
                    self.file.set_len(self.end)?;
                    break;
                }
                (None, false) => opened.unreadable.push(number),
            }
            self.end += length as u64;
            if torn {
                self.write_at_end(b"\n")?;
            }
        }
        opened.entries = self.index.len();
        Ok(opened)
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let span = Span { start: self.end, length: line.len() };
        self.write_at_end(&line)?;
        self.index.insert(entry.key.clone(), span);
        Ok(())
    }

    /// Writes whole or not at all, as far as this process can see to it.
    fn write_at_end(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        let written = self.file.write_all(bytes);
        match written {
            Ok(()) => self.end += bytes.len() as u64,
            Err(_) => self.file.set_len(self.end)?,
        }
        written
    }

    fn read(&mut self, span: Span) -> io::Result<Entry> {
        self.file.seek(SeekFrom::Start(span.start))?;
        let mut line = vec![0; span.length];
        self.file.read_exact(&mut line)?;
        Ok(serde_json::from_slice(&line)?)
    }
}

fn entry_key(line: &[u8]) -> Option<String> {
    let head: Head = serde_json::from_slice(line).ok()?;
    (head.version == VERSION).then_some(head.key)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;
    use std::fs;

    fn put(cache: &mut Cache, key: &str, text: &str) {
        cache.put(key, StructuredMode::Unstructured, &json!({ "text": text })).unwrap();
    }

    fn text(cache: &mut Cache, key: &str) -> Option<String> {
        cache.get(key).unwrap().map(|entry| entry.response["text"].as_str().unwrap().to_owned())
    }

    #[test]
    fn answers_are_found_again_and_the_newest_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.jsonl");
        let (mut cache, opened) = Cache::open(&path).unwrap();
        assert_eq!(opened, Opened::default());
        put(&mut cache, "a", "one");
        put(&mut cache, "b", "line\nbreak");
        put(&mut cache, "a", "two");
        drop(cache);
        let (mut cache, opened) = Cache::open(&path).unwrap();
        assert_eq!(opened.entries, 2);
        assert_eq!(text(&mut cache, "a").as_deref(), Some("two"));
        assert_eq!(text(&mut cache, "b").as_deref(), Some("line\nbreak"));
        assert_eq!(text(&mut cache, "c"), None);
    }

    #[test]
    fn a_cache_in_use_is_not_opened_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.jsonl");
        let (_held, _) = Cache::open(&path).unwrap();
        assert!(matches!(Cache::open(&path), Err(CacheError::Locked { .. })));
    }

    #[test]
    fn a_file_cut_anywhere_loses_its_torn_line_only_and_can_be_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.jsonl");
        let (mut cache, _) = Cache::open(&path).unwrap();
        put(&mut cache, "a", "one");
        put(&mut cache, "b", "two");
        drop(cache);
        let whole = fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (mut cache, opened) = Cache::open(&path).unwrap();
            // A line that lacks nothing but its end is whole.
            let complete = [first, whole.len()].iter().filter(|end| cut + 1 >= **end).count();
            assert_eq!(opened.entries, complete, "cut at {cut}");
            assert!(opened.unreadable.is_empty());
            put(&mut cache, "c", "three");
            drop(cache);
            let (mut cache, opened) = Cache::open(&path).unwrap();
            assert_eq!((opened.entries, opened.cut_bytes), (complete + 1, 0), "cut at {cut}");
            assert_eq!(text(&mut cache, "c").as_deref(), Some("three"));
            if complete > 0 {
                assert_eq!(text(&mut cache, "a").as_deref(), Some("one"));
            }
        }
    }

    #[test]
    fn lines_that_are_no_entries_are_said_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.jsonl");
        let (mut cache, _) = Cache::open(&path).unwrap();
        put(&mut cache, "a", "one");
        drop(cache);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"\xff garbage\n{\"version\":9,\"key\":\"z\",\"response\":1}\n");
        fs::write(&path, &bytes).unwrap();
        let (cache, opened) = Cache::open(&path).unwrap();
        assert_eq!((opened.entries, opened.unreadable, opened.cut_bytes), (1, vec![2, 3], 0));
        drop(cache);
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}
