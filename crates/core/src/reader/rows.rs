//! The iterator over the rows of an input. It holds the bytes and a place in
//! them; each step parses one row.

use std::borrow::Cow;

use serde_json::Value;

use super::detect::detect;
use super::error::{Fault, ReadError};
use super::table::Table;
use super::{Format, ReadOptions, Reading, Unread, encoding, json};
use crate::conversation::Conversation;

/// One conversation of an input, and where it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line, from 1, at which the row starts.
    pub line: usize,
    /// The row's place among all rows, bad ones too, from 0.
    pub index: usize,
    /// What was read.
    pub conversation: Conversation,
    /// Turns of which something could not be read: parts other than text, or who
    /// speaks. A verdict must say so.
    pub unread: Vec<Unread>,
}

/// The rows of an input, in order. A row that cannot be read is an `Err`, and
/// the rows after it still come, except after a syntax error inside a JSON
/// list: there nobody can tell where the next row starts.
pub struct Rows<'a> {
    file: String,
    format: Format,
    index: usize,
    source: Source<'a>,
}

/// Where rows come from.
enum Source<'a> {
    /// A single row, or none any more.
    One(Option<(usize, Reading)>),
    /// Lines still to be parsed.
    Lines(Cursor<'a>),
    /// The elements of a JSON list still to be parsed.
    Elements(Elements<'a>),
    Table(Box<Table<'a>>),
}

/// A place in some bytes.
struct Cursor<'a> {
    bytes: Cow<'a, [u8]>,
    at: usize,
    line: usize,
}

type Step = Option<(usize, Result<Reading, Fault>)>;

impl<'a> Rows<'a> {
    pub(super) fn new(bytes: &'a [u8], options: &ReadOptions) -> Result<Self, ReadError> {
        let bytes = encoding::ascii_compatible(bytes);
        let format = match options.format {
            Format::Auto => detect(&bytes, options.text_column.as_deref()),
            named => named,
        };
        let source =
            source(bytes, format, options).map_err(|(line, fault)| fault.at(&options.source_name, line))?;
        Ok(Self { file: options.source_name.clone(), format, index: 0, source })
    }

    /// The format that is being read; never [`Format::Auto`].
    pub const fn format(&self) -> Format {
        self.format
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, reading) = match &mut self.source {
            Source::One(reading) => reading.take().map(|(line, reading)| (line, Ok(reading))),
            Source::Lines(cursor) => next_line(cursor),
            Source::Elements(elements) => elements.next_row(),
            Source::Table(table) => table.next_row(),
        }?;
        let index = self.index;
        self.index += 1;
        Some(match reading {
            Err(fault) => Err(fault.at(&self.file, line)),
            Ok(reading) => {
                Ok(Row { line, index, conversation: reading.conversation, unread: reading.unread })
            }
        })
    }
}

fn source<'a>(
    bytes: Cow<'a, [u8]>,
    format: Format,
    options: &ReadOptions,
) -> Result<Source<'a>, (usize, Fault)> {
    if format != Format::Jsonl && bytes.trim_ascii().is_empty() {
        return Err((1, Fault::new("", "an empty input", "a conversation")));
    }
    match format {
        Format::Json => document(bytes),
        Format::Jsonl => Ok(Source::Lines(Cursor::new(bytes))),
        Format::Csv => Table::new(bytes, options.text_column.as_deref())
            .map(|table| Source::Table(Box::new(table)))
            .map_err(|fault| (1, fault)),
        Format::Auto | Format::Transcript => {
            if !encoding::is_text(&bytes) {
                return Err((1, Fault::new("", "bytes that are no text", encoding::TEXTS)));
            }
            Ok(Source::One(Some((1, Reading::of_transcript(&encoding::text(&bytes))))))
        }
    }
}

/// A JSON document: one conversation, or a list of them.
fn document(bytes: Cow<'_, [u8]>) -> Result<Source<'_>, (usize, Fault)> {
    let text = match encoding::text(&bytes) {
        Cow::Borrowed(_) => bytes,
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    let mut cursor = Cursor::new(text);
    cursor.skip_space();
    let start = cursor.line;
    if cursor.peek() == Some(b'[') {
        cursor.advance(1);
        cursor.skip_space();
        let mut first = Cursor { bytes: Cow::Borrowed(&cursor.bytes), ..cursor };
        if !first.value().is_ok_and(|value| json::is_message(&value)) {
            return Ok(Source::Elements(Elements { cursor, over: false }));
        }
    }
    let value =
        serde_json::from_slice(&cursor.bytes).map_err(|error| (error.line(), json::syntax_fault(&error)))?;
    let reading = json::conversation(value).map_err(|fault| (start, fault))?;
    Ok(Source::One(Some((start, reading))))
}

/// The next line that is not blank.
fn next_line(cursor: &mut Cursor<'_>) -> Step {
    while cursor.at < cursor.bytes.len() {
        let line = cursor.line;
        let rest = &cursor.bytes[cursor.at..];
        let length = rest.iter().position(|&b| b == b'\n').map_or(rest.len(), |end| end + 1);
        let text = rest[..length].trim_ascii();
        let reading = (!text.is_empty()).then(|| {
            let value =
                serde_json::from_str(&encoding::text(text)).map_err(|error| json::syntax_fault(&error))?;
            json::conversation(value)
        });
        cursor.advance(length);
        if let Some(reading) = reading {
            return Some((line, reading));
        }
    }
    None
}

/// The elements of a JSON list whose opening bracket is behind the cursor.
/// Commas are not insisted on.
struct Elements<'a> {
    cursor: Cursor<'a>,
    over: bool,
}

impl Elements<'_> {
    fn next_row(&mut self) -> Step {
        if self.over {
            return None;
        }
        self.cursor.skip_space();
        let line = self.cursor.line;
        if self.cursor.peek() == Some(b']') {
            self.over = true;
            return self.after_the_list();
        }
        let value = match self.cursor.value() {
            Ok(value) => value,
            Err(fault) => {
                self.over = true;
                return Some((line, Err(fault)));
            }
        };
        self.cursor.skip_space();
        if self.cursor.peek() == Some(b',') {
            self.cursor.advance(1);
        }
        Some((line, json::conversation(value)))
    }

    /// What follows the closing bracket would otherwise go unread in silence.
    fn after_the_list(&mut self) -> Step {
        self.cursor.advance(1);
        self.cursor.skip_space();
        self.cursor.peek()?;
        let fault = Fault::new("", "more after the end of the list", "nothing");
        Some((self.cursor.line, Err(fault)))
    }
}

impl<'a> Cursor<'a> {
    const fn new(bytes: Cow<'a, [u8]>) -> Self {
        Self { bytes, at: 0, line: 1 }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Goes on by some bytes, which must be there.
    fn advance(&mut self, length: usize) {
        let passed = &self.bytes[self.at..self.at + length];
        self.line += passed.split(|&b| b == b'\n').count() - 1;
        self.at += length;
    }

    fn skip_space(&mut self) {
        let rest = &self.bytes[self.at..];
        let space = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
        self.advance(space);
    }

    /// The JSON value here; the cursor goes behind it.
    fn value(&mut self) -> Result<Value, Fault> {
        let mut values = serde_json::Deserializer::from_slice(&self.bytes[self.at..]).into_iter::<Value>();
        let value = values.next();
        let length = values.byte_offset();
        let broken_off = || Fault::new("", "a list that breaks off", "a closing bracket");
        let value = value.ok_or_else(broken_off)?.map_err(|error| {
            // The parser's columns count from this value, not from the line.
            Fault { found: "a JSON error".to_owned(), ..json::syntax_fault(&error) }
        })?;
        self.advance(length);
        Ok(value)
    }
}
