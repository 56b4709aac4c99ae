//! Tables as rows of named values, whatever file they stand in: JSON lines, a JSON
//! list, CSV, Parquet. [`read`] gives [`Record`]s one by one and holds no more than
//! a row (of Parquet, a batch of rows) in memory; [`TableWriter`] writes them.
//! What the columns mean is the concern of [`crate::sets`].
//!
//! A row that cannot be read is an error with its place, and the rows after it
//! still come. A syntax error between the elements of a JSON list, or a damaged
//! page of Parquet, ends the reading, since nobody can tell where the next row
//! starts.

mod arrow;
mod bytes;
mod delimited;
mod error;
mod json;
mod parquet;
mod write;

use std::fs::File;
use std::io::{BufRead as _, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use self::error::{DataError, Fault, Place, kind};
pub use self::write::{Column, ColumnKind, TableWriter};

use self::bytes::{Bytes, Line, read_line};

/// A row as it stands in a file: names and values. In CSV every value is a string.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where the row stands.
    pub place: Place,
    /// The values by their column names.
    pub fields: Map<String, Value>,
}

/// How a table is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TableFormat {
    /// One JSON object per line.
    Jsonl,
    /// A list of JSON objects, or a single object.
    Json,
    /// A header, then cells; commas, semicolons or tabs between them.
    Csv,
    /// Apache Parquet.
    Parquet,
}

impl TableFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Jsonl, Self::Json, Self::Csv, Self::Parquet];

    /// The format's name on the command line, and the usual extension of a file.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        }
    }

    /// The format that a file name promises by its extension, if it is a known one.
    pub fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "json" => Some(Self::Json),
            "csv" | "tsv" => Some(Self::Csv),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// The rows of a file, in order. `Send`, so that a thread of its own can read.
pub struct Records {
    file: Arc<str>,
    format: TableFormat,
    row: usize,
    rows: Box<dyn Rows + Send>,
    over: bool,
}

/// One row of a format: its line, and its values or what is wrong with it.
struct Step {
    line: Option<usize>,
    fields: Result<Map<String, Value>, Fault>,
}

/// What a format does: it gives the next row.
trait Rows {
    /// The next row; `None` at the end. An error ends the reading.
    fn next_row(&mut self, file: &str) -> Result<Option<Step>, DataError>;
}

impl Records {
    /// The format that is being read.
    pub const fn format(&self) -> TableFormat {
        self.format
    }
}

impl Iterator for Records {
    type Item = Result<Record, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        match self.rows.next_row(&self.file) {
            Ok(None) => {
                self.over = true;
                None
            }
            Ok(Some(step)) => {
                self.row += 1;
                let place = Place { file: Arc::clone(&self.file), row: self.row, line: step.line };
                Some(match step.fields {
                    Ok(fields) => Ok(Record { place, fields }),
                    Err(fault) => Err(fault.at(&place)),
                })
            }
            Err(error) => {
                self.over = true;
                Some(Err(error))
            }
        }
    }
}

/// Reads a file of any of the formats; which one is found by [`detect`].
///
/// # Errors
/// If the file cannot be opened, or is none of the formats.
pub fn read(path: &Path) -> Result<Records, DataError> {
    read_as(path, detect(path)?)
}

/// Reads a file of a named format.
///
/// # Errors
/// If the file cannot be opened, or as a whole is not of the format.
pub fn read_as(path: &Path, format: TableFormat) -> Result<Records, DataError> {
    let name = path.display().to_string();
    let file = open(path)?;
    let rows: Box<dyn Rows + Send> = match format {
        TableFormat::Parquet => Box::new(parquet::Batches::new(file, &name)?),
        TableFormat::Jsonl => Box::new(json::Lines::new(text_of(file, &name)?)),
        TableFormat::Json => Box::new(json::Document::new(text_of(file, &name)?, &name)?),
        TableFormat::Csv => Box::new(delimited::Cells::new(text_of(file, &name)?, &name)?),
    };
    Ok(Records { file: name.into(), format, row: 0, rows, over: false })
}

/// The format of a file. The first bytes decide where they can: Parquet's magic
/// number, an opening bracket or brace. Where they cannot, the extension does;
/// what is left is CSV.
///
/// # Errors
/// If the file cannot be opened, is empty, compressed, or no text.
pub fn detect(path: &Path) -> Result<TableFormat, DataError> {
    let name = path.display().to_string();
    let mut file = open(path)?;
    let io = |error| DataError::io(&name, error);
    let mut start = [0; 1024];
    let length = file.read(&mut start).map_err(io)?;
    let start = &start[..length];
    if start.starts_with(b"PAR1") {
        return Ok(TableFormat::Parquet);
    }
    must_be_text(start, &name)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let by_name = TableFormat::of_name(path).filter(|format| *format != TableFormat::Parquet);
    let mut text = Bytes::new(file).map_err(io)?;
    match first_mark(&mut text).map_err(io)? {
        None => Err(DataError::file(name, "an empty file", EXPECTED)),
        Some(b'[') => {
            Ok(if by_name == Some(TableFormat::Jsonl) { TableFormat::Jsonl } else { TableFormat::Json })
        }
        Some(b'{') => opens_with_an_object(text).map_err(io),
        Some(_) => Ok(match by_name {
            Some(TableFormat::Jsonl) => TableFormat::Jsonl,
            _ => TableFormat::Csv,
        }),
    }
}

/// What a file may be, for errors.
const EXPECTED: &str = "JSON lines, a JSON list, CSV with a header, or Parquet";

/// The first bytes of what is compressed or packed, and its name.
const PACKED: [(&[u8], &str); 5] = [
    (b"\x1f\x8b", "a gzip file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"PK\x03\x04", "a zip file"),
    (b"BZh", "a bzip2 file"),
];

fn must_be_text(start: &[u8], name: &str) -> Result<(), DataError> {
    if let Some((_, what)) = PACKED.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(DataError::file(name, *what, format!("{EXPECTED}; unpack it first")));
    }
    let is_utf_16 = start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff");
    let is_control = |b: &&u8| b.is_ascii_control() && !b.is_ascii_whitespace();
    if !is_utf_16 && (start.contains(&0) || start.iter().filter(is_control).count() * 20 > start.len()) {
        return Err(DataError::file(name, "bytes that are no text", EXPECTED));
    }
    Ok(())
}

/// The first byte that is no white space, which stays unread.
fn first_mark(text: &mut Bytes<File>) -> std::io::Result<Option<u8>> {
    loop {
        let found = text.fill_buf()?;
        if found.is_empty() {
            return Ok(None);
        }
        let space = found.iter().take_while(|b| b.is_ascii_whitespace()).count();
        let mark = found.get(space).copied();
        text.consume(space);
        if mark.is_some() {
            return Ok(mark);
        }
    }
}

/// JSON lines if the first line, or one of the few after it, is an object by
/// itself; else one JSON value over several lines.
fn opens_with_an_object(mut text: Bytes<File>) -> std::io::Result<TableFormat> {
    let mut line = Vec::new();
    for _ in 0..DETECTION_LINES {
        match read_line(&mut text, &mut line)? {
            Line::End => break,
            Line::Whole if serde_json::from_slice::<Map<String, Value>>(&line).is_ok() => {
                return Ok(TableFormat::Jsonl);
            }
            Line::Whole | Line::TooLong => {}
        }
    }
    Ok(TableFormat::Json)
}

/// Lines that detection looks at.
const DETECTION_LINES: usize = 5;

fn open(path: &Path) -> Result<File, DataError> {
    let name = path.display();
    let file = File::open(path).map_err(|error| DataError::io(name, error))?;
    if file.metadata().is_ok_and(|data| data.is_dir()) {
        return Err(DataError::file(path.display(), "a folder", "a file"));
    }
    Ok(file)
}

fn text_of(file: File, name: &str) -> Result<Bytes<File>, DataError> {
    Bytes::new(file).map_err(|error| DataError::io(name, error))
}
