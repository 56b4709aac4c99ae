//! CSV: a header, then rows of as many cells. Commas, semicolons or tabs; quoted
//! cells may hold line ends. Every value is a string.

use std::io::{BufRead, Read};

use csv::{ByteRecord, Reader, ReaderBuilder};
use serde_json::{Map, Value};

use super::bytes::{Line, read_line, text};
use super::{DataError, Fault, Rows, Step};

/// What separates cells; spreadsheets in French and others write semicolons.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// The rows of a table with a header.
pub(super) struct Cells<R> {
    reader: Reader<std::io::Chain<std::io::Cursor<Vec<u8>>, R>>,
    columns: Vec<String>,
    record: ByteRecord,
    /// Lines that the parser has passed when it has read a row: one where it steps
    /// over the whole line end, none where it stops inside `\r\n`.
    passed: u64,
}

impl<R: BufRead> Cells<R> {
    /// Reads the header.
    pub(super) fn new(mut source: R, name: &str) -> Result<Self, DataError> {
        let io = |error| DataError::io(name, error);
        let mut first = Vec::new();
        // Blank lines above the header are the parser's to count.
        loop {
            let mut line = Vec::new();
            match read_line(&mut source, &mut line).map_err(io)? {
                Line::End => break,
                Line::TooLong => return Err(DataError::file(name, "a header of many MiB", "column names")),
                Line::Whole => first.extend_from_slice(&line),
            }
            if !line.trim_ascii().is_empty() {
                break;
            }
        }
        let passed = u64::from(!first.ends_with(b"\r\n"));
        let delimiter = delimiter(&first);
        let mut reader = build(std::io::Cursor::new(first).chain(source), delimiter);
        let mut record = ByteRecord::new();
        reader.read_byte_record(&mut record).map_err(|error| failure(error, name))?;
        let columns: Vec<String> = record.iter().map(|cell| text(cell).trim().to_owned()).collect();
        header_is_sound(&columns, name)?;
        Ok(Self { reader, columns, record, passed })
    }

    fn fields(&self) -> Result<Map<String, Value>, Fault> {
        if self.record.len() != self.columns.len() {
            let expected = format!("{}, one per column of the header", self.columns.len());
            return Err(Fault::new("", format!("cells: {}", self.record.len()), expected));
        }
        let cells = self.record.iter().map(|cell| Value::String(text(cell).into_owned()));
        Ok(self.columns.iter().cloned().zip(cells).collect())
    }

    /// The line on which the row began that was read last.
    fn line(&self) -> usize {
        let inner = self.record.iter().flatten().filter(|&&byte| byte == b'\n').count() as u64;
        self.reader.position().line().saturating_sub(inner + self.passed) as usize
    }
}

impl<R: BufRead> Rows for Cells<R> {
    fn next_row(&mut self, file: &str) -> Result<Option<Step>, DataError> {
        let more = self.reader.read_byte_record(&mut self.record).map_err(|e| failure(e, file))?;
        Ok(more.then(|| Step { line: Some(self.line()), fields: self.fields() }))
    }
}

fn build<R: Read>(source: R, delimiter: u8) -> Reader<R> {
    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(source)
}

/// The delimiter that cuts a header into the most cells.
fn delimiter(header: &[u8]) -> u8 {
    let cells = |delimiter: u8| {
        let mut record = ByteRecord::new();
        let _ = build(header, delimiter).read_byte_record(&mut record);
        record.len()
    };
    // The first of equals is taken, so the order is reversed for `max_by_key`.
    DELIMITERS.into_iter().rev().max_by_key(|&d| cells(d)).unwrap_or(b',')
}

/// A column that stands twice would lose one of its cells in silence.
fn header_is_sound(columns: &[String], name: &str) -> Result<(), DataError> {
    let twice = columns.iter().enumerate().find(|(at, column)| columns[..*at].contains(column));
    if let Some((at, _)) = twice {
        let found = format!("a header whose column {} has the name of an earlier one", at + 1);
        return Err(DataError::file(name, found, "columns of different names"));
    }
    Ok(())
}

fn failure(error: csv::Error, name: &str) -> DataError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => DataError::io(name, error),
        _ => DataError::file(name, "unreadable cells", "CSV"),
    }
}
