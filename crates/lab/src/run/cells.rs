//! The finished cells of a run: an append-only file and what it holds.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RunError, plain};
use crate::protocol::Outcome;

/// One finished question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The item's id, and the part of the item where there are several.
    pub key: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was said, in the protocol's shape; present when the outcome is `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// What it cost, where something was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What is worth knowing of an answer that is none; never what was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What one question cost, all tries together: by the server's account, and
/// estimated where it gave none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens asked.
    pub input_tokens: u64,
    /// Tokens answered, thinking included.
    pub output_tokens: u64,
    /// How often it was sent.
    pub tries: u32,
    /// Whether the answer came from the cache and cost nothing.
    pub cached: bool,
}

impl Usage {
    /// The sum with what another asking cost; nothing where that came from the cache.
    fn and(self, other: Self) -> Self {
        if other.cached {
            return self;
        }
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            tries: self.tries.saturating_add(other.tries),
            cached: false,
        }
    }
}

impl Cell {
    /// A cell with an answer that cost nothing.
    pub fn answered(key: &str, answer: Value) -> Self {
        Self { key: key.to_owned(), outcome: Outcome::Ok, answer: Some(answer), usage: None, note: None }
    }
}

/// What was mended when the file was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Nothing.
    None,
    /// The last line was unfinished and was cut off.
    CutLastLine,
}

/// The cells of a run, in memory and on disk.
#[derive(Debug)]
pub struct CellLog {
    path: PathBuf,
    file: File,
    cells: HashMap<String, Cell>,
    paid: Usage,
    repair: Repair,
    unsynced: usize,
}

/// Lines after which the file is pushed to the disk; a kill of the program loses
/// none of them, a failure of the machine at most so many.
const SYNC_EVERY: usize = 32;

impl CellLog {
    pub(super) fn open(path: &Path) -> Result<Self, RunError> {
        let options = OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut file = options.map_err(RunError::io(path))?;
        file.try_lock().map_err(|_| RunError::Busy { file: path.to_owned() })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(RunError::io(path))?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let repair = if whole == bytes.len() { Repair::None } else { Repair::CutLastLine };
        file.set_len(whole as u64).map_err(RunError::io(path))?;
        let mut log = Self {
            path: path.to_owned(),
            file,
            cells: HashMap::new(),
            paid: Usage::default(),
            repair,
            unsynced: 0,
        };
        parse(path, &bytes[..whole])?.into_iter().for_each(|cell| log.keep(cell));
        Ok(log)
    }

    /// Writes a cell; it is on disk for every other program when this returns.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn append(&mut self, cell: &Cell) -> Result<(), RunError> {
        let mut line = plain(cell).into_bytes();
        line.push(b'\n');
        self.file.write_all(&line).map_err(RunError::io(&self.path))?;
        self.unsynced += 1;
        if self.unsynced >= SYNC_EVERY {
            self.file.sync_data().map_err(RunError::io(&self.path))?;
            self.unsynced = 0;
        }
        self.keep(cell.clone());
        Ok(())
    }

    /// A cell that is on disk. It takes the place of an older one of its key; what
    /// that one cost stays paid.
    fn keep(&mut self, cell: Cell) {
        self.paid = self.paid.and(cell.usage.unwrap_or_default());
        self.cells.insert(cell.key.clone(), cell);
    }

    /// The newest cell of this key.
    pub fn get(&self, key: &str) -> Option<&Cell> {
        self.cells.get(key)
    }

    /// Whether the question needs not be asked again: it was answered, or it
    /// would end the same way. What failed for outer reasons is asked again.
    pub fn is_settled(&self, key: &str) -> bool {
        self.get(key).is_some_and(|cell| match cell.outcome {
            Outcome::Failed | Outcome::Timeout | Outcome::Missing => false,
            Outcome::Ok
            | Outcome::Refused
            | Outcome::ContentFiltered
            | Outcome::Truncated
            | Outcome::Unparsable
            | Outcome::Rejected
            | Outcome::NotEvaluated => true,
        })
    }

    /// Number of finished cells.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether none is finished.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// What was mended when the file was opened.
    pub fn repair(&self) -> Repair {
        self.repair
    }

    /// Sum of all usage that was paid, in this session and before, also for
    /// questions that were asked again since.
    pub fn usage(&self) -> Usage {
        self.paid
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Cell>, RunError> {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    let read = |(number, line): (usize, &[u8])| {
        serde_json::from_slice(line).map_err(|_| RunError::Damaged {
            file: path.to_owned(),
            line: number + 1,
            found: "a line that is no cell".to_owned(),
            expected: "an object with `key` and `outcome`",
        })
    };
    lines.map(read).collect()
}
