//! CSV: one conversation per row, in a text column; or, where a column says who
//! speaks, one turn per row, the rows of one id, which stand together, being a
//! conversation. Records are parsed one at a time; a conversation that is damaged is
//! an error of its own.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Cursor;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::cast::known_role;
use super::error::{Fault, shown_text};
use super::json::{ID_KEYS, wire_role};
use super::{Reading, encoding, json};
use crate::conversation::Turn;

/// Names under which the text is looked for, best first; capitals are the same.
const TEXT_COLUMNS: [&str; 7] =
    ["text", "content", "message", "utterance", "prompt", "conversation", "transcript"];
/// Names of the column that says who speaks.
const ROLE_COLUMNS: [&str; 2] = ["role", "speaker"];
/// Names of the column that says where in its conversation a turn stands.
const TURN_COLUMNS: [&str; 4] = ["turn", "turn_id", "turn_index", "turn_number"];
/// What separates cells; spreadsheets in French and others write semicolons.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// The rows of a table.
pub(super) struct Table<'a> {
    reader: Reader<Cursor<Cow<'a, [u8]>>>,
    text_column: usize,
    text_name: String,
    id_column: Option<usize>,
    role_column: Option<usize>,
    turn_column: Option<usize>,
    columns: usize,
    delimiter: u8,
    /// The first turn of the next conversation, which ended the one before.
    ahead: Option<Record>,
    /// The ids of the conversations so far, where a row is a turn.
    seen: HashSet<String>,
    over: bool,
}

/// A line of the table.
struct Record {
    /// The line on which it starts.
    line: usize,
    id: Option<String>,
    cells: Result<ByteRecord, Fault>,
}

impl<'a> Table<'a> {
    /// Reads the header. Fails if it has no text column.
    pub(super) fn new(bytes: Cow<'a, [u8]>, text_column: Option<&str>) -> Result<Self, Fault> {
        let (delimiter, header) = header(&bytes, text_column);
        let place = text_place(&header, text_column).ok_or_else(|| {
            let expected = match text_column {
                Some(name) => format!("a column named {name}"),
                None => format!("a column named {}", TEXT_COLUMNS.join(", ")),
            };
            Fault::new("header", format!("{} other column(s)", header.len()), expected)
        })?;
        let other_column = |names: &[&str]| {
            let column = names.iter().find_map(|name| place_of(&header, name));
            column.filter(|&column| column != place)
        };
        let [id_column, role_column, turn_column] =
            [&ID_KEYS[..], &ROLE_COLUMNS, &TURN_COLUMNS].map(other_column);
        let mut reader = reader(Cursor::new(bytes), delimiter);
        // Steps over the header; it was readable a moment ago.
        let _ = reader.read_byte_record(&mut ByteRecord::new());
        Ok(Self {
            reader,
            text_column: place,
            text_name: header[place].clone(),
            id_column,
            role_column,
            turn_column,
            columns: header.len(),
            delimiter,
            ahead: None,
            seen: HashSet::new(),
            over: false,
        })
    }

    /// The next conversation and the line on which it starts.
    pub(super) fn next_row(&mut self) -> Option<(usize, Result<Reading, Fault>)> {
        let record = self.ahead.take().or_else(|| self.next_record())?;
        let line = record.line;
        let reading = match self.role_column {
            None => record.cells.map(|cells| self.reading(&cells)),
            Some(role) => self.turns_from(record, role),
        };
        Some((line, reading))
    }

    /// The next record; it must have as many cells as the header.
    fn next_record(&mut self) -> Option<Record> {
        if self.over {
            return None;
        }
        let (line, start) = (self.line(), self.reader.position().byte() as usize);
        let mut cells = ByteRecord::new();
        match self.reader.read_byte_record(&mut cells) {
            Ok(false) => None,
            Ok(true) if self.is_swallowed_from(start) => {
                let id = self.id(&cells);
                let expected = "its end: every row below is in this cell";
                let fault = Fault::new(self.text_name.clone(), "an opening quote", expected);
                Some(Record { line, cells: Err(fault.of_row(id.clone())), id })
            }
            Ok(true) if cells.len() == self.columns => {
                Some(Record { line, id: self.id(&cells), cells: Ok(cells) })
            }
            Ok(true) => {
                let found = format!("cells: {}", cells.len());
                let expected = format!("{}, one per column of the header", self.columns);
                let id = self.id(&cells);
                let fault = Fault::new(self.text_name.clone(), found, expected).of_row(id.clone());
                Some(Record { line, id, cells: Err(fault) })
            }
            // Reading from memory does not fail; if it ever did, going on
            // might not end.
            Err(_) => {
                self.over = true;
                Some(Record { line, id: None, cells: Err(Fault::new("", "unreadable cells", "CSV")) })
            }
        }
    }

    /// Whether the record that starts there is the last, goes over several lines, and
    /// ends inside quotes. A quote opens at a cell's start only.
    fn is_swallowed_from(&self, start: usize) -> bool {
        let bytes = self.reader.get_ref().get_ref();
        let record = bytes.get(start..).unwrap_or_default().trim_ascii();
        let is_last = self.reader.position().byte() as usize >= bytes.len();
        let (mut is_open, mut before) = (false, self.delimiter);
        for &byte in record {
            let may_open = before == self.delimiter || before == b'"';
            is_open = if byte == b'"' { !is_open && may_open } else { is_open };
            before = byte;
        }
        is_last && is_open && record.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
    }

    /// The turns of a conversation: those of the first record's id, up to the next
    /// id, in the order of the column that numbers them, if each has an id and a number. One bad record spoils the conversation, whose other turns would mean
    /// something else without it, and no other one. An id that comes back later is a
    /// fault, since what was said before would be missing.
    fn turns_from(&mut self, first: Record, role: usize) -> Result<Reading, Fault> {
        let mut reading = Reading::default();
        reading.conversation.id.clone_from(&first.id);
        let mut fault = first.id.as_ref().filter(|id| !self.seen.insert((*id).clone())).map(|id| {
            let expected = "the rows of one conversation to stand together";
            Fault::new("id", "an id whose rows ended earlier", expected).of_row(Some(id.clone()))
        });
        let mut record = first;
        let mut numbers = Vec::new();
        loop {
            let pushed = record.cells.and_then(|cells| {
                numbers.push(self.turn_column.and_then(|column| cell(&cells, column).trim().parse().ok()));
                self.push_turn(&cells, role, &mut reading)
            });
            fault = fault.or(pushed.err());
            record = match self.next_record() {
                Some(next) if next.id == reading.conversation.id => next,
                other => {
                    self.ahead = other;
                    break;
                }
            };
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        // Without ids the rows may be of several conversations, each numbered from 0.
        if self.id_column.is_none() || numbers.iter().all(Option::is_none) {
            return Ok(reading);
        }
        let place = numbers.iter().position(Option::is_none);
        if let Some(place) = place {
            let (field, id) = (format!("number of turn {place}"), reading.conversation.id);
            return Err(Fault::new(field, "no whole number", "one, as other turns have").of_row(id));
        }
        if let Some(numbers) = numbers.into_iter().collect::<Option<Vec<i64>>>() {
            reading.conversation.turns = in_order(&numbers, reading.conversation.turns);
        }
        Ok(reading)
    }

    fn push_turn(&self, record: &ByteRecord, role: usize, reading: &mut Reading) -> Result<(), Fault> {
        let name = cell(record, role);
        let known = wire_role(name.trim()).or_else(|| known_role(name.trim()));
        let role = known.ok_or_else(|| {
            let turn = reading.conversation.turns.len();
            let fault = Fault::new(
                format!("role of turn {turn}"),
                shown_text(&name),
                "user, assistant or system, or another known name of a speaker",
            );
            fault.of_row(self.id(record))
        })?;
        let text = cell(record, self.text_column).into_owned();
        reading.conversation.turns.push(Turn { role, text });
        Ok(())
    }

    fn id(&self, record: &ByteRecord) -> Option<String> {
        self.id_column.map(|column| cell(record, column).into_owned()).filter(|id| !id.is_empty())
    }

    /// The line of the next record. The parser may stand before line ends that
    /// it has yet to step over, which belong to lines above.
    fn line(&self) -> usize {
        let position = self.reader.position();
        let bytes = self.reader.get_ref().get_ref();
        let rest = bytes.get(position.byte() as usize..).unwrap_or_default();
        let skipped = rest.iter().take_while(|b| matches!(b, b'\r' | b'\n'));
        position.line() as usize + skipped.filter(|&&b| b == b'\n').count()
    }

    fn reading(&self, record: &ByteRecord) -> Reading {
        let mut reading = cell_reading(&cell(record, self.text_column));
        reading.conversation.id = self.id(record).or(reading.conversation.id);
        reading
    }
}

/// The turns in the order of their numbers; those of one number stay as they were.
fn in_order(numbers: &[i64], turns: Vec<Turn>) -> Vec<Turn> {
    let mut numbered: Vec<_> = numbers.iter().zip(turns).collect();
    numbered.sort_by_key(|(number, _)| **number);
    numbered.into_iter().map(|(_, turn)| turn).collect()
}

fn cell(record: &ByteRecord, column: usize) -> Cow<'_, str> {
    encoding::text(record.get(column).unwrap_or_default())
}

/// A cell holds a transcript, or a conversation as JSON. What looks like JSON
/// and is no conversation is somebody's text.
fn cell_reading(cell: &str) -> Reading {
    if cell.trim_start().starts_with(['{', '['])
        && let Ok(value) = serde_json::from_str(cell)
        && let Ok(reading) = json::conversation(value)
    {
        return reading;
    }
    Reading::of_transcript(cell)
}

/// Whether the bytes start with a header that has a text column.
pub(super) fn is_table(bytes: &[u8]) -> bool {
    let (_, header) = header(bytes, None);
    let is_name = |name: &String| name.trim() == name && name.chars().count() <= 64;
    // A single capitalised word may be the heading of a transcript.
    let is_heading = |name: &String| name.starts_with(|c: char| c.is_uppercase()) && name != "Text";
    let is_one_heading = header.len() == 1 && header.iter().all(is_heading);
    text_place(&header, None).is_some() && header.iter().all(is_name) && !is_one_heading
}

/// Whether the bytes look like a table whose text column has another name: a header
/// of several names, and as many cells in each of the next rows.
pub(super) fn is_table_of_other_names(bytes: &[u8]) -> bool {
    let is_name = |cell: &[u8]| {
        !cell.is_empty() && cell.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    DELIMITERS.into_iter().any(|delimiter| {
        let mut records = reader(bytes, delimiter).into_byte_records().take(ROWS_LOOKED_AT);
        let Some(Ok(header)) = records.next() else { return false };
        let rows: Vec<_> = records.collect();
        let fits = |row: &Result<ByteRecord, csv::Error>| row.as_ref().is_ok_and(|r| r.len() == header.len());
        header.len() > 1 && header.iter().all(is_name) && !rows.is_empty() && rows.iter().all(fits)
    })
}

/// Rows, the header's included, that say whether bytes are a table.
const ROWS_LOOKED_AT: usize = 5;

/// The delimiter with which a text column is found, and the column names; with
/// commas where none is found.
fn header(bytes: &[u8], text_column: Option<&str>) -> (u8, Vec<String>) {
    let with = |delimiter| (delimiter, column_names(bytes, delimiter));
    DELIMITERS
        .into_iter()
        .map(with)
        .find(|(_, names)| text_place(names, text_column).is_some())
        .unwrap_or_else(|| with(DELIMITERS[0]))
}

fn column_names(bytes: &[u8], delimiter: u8) -> Vec<String> {
    let mut record = ByteRecord::new();
    let _ = reader(bytes, delimiter).read_byte_record(&mut record);
    record.iter().map(|name| encoding::text(name).into_owned()).collect()
}

fn reader<R: std::io::Read>(source: R, delimiter: u8) -> Reader<R> {
    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(source)
}

fn text_place(header: &[String], text_column: Option<&str>) -> Option<usize> {
    match text_column {
        Some(wanted) => header.iter().position(|name| name == wanted),
        None => TEXT_COLUMNS.iter().find_map(|name| place_of(header, name)),
    }
}

fn place_of(header: &[String], name: &str) -> Option<usize> {
    header.iter().position(|own| own.eq_ignore_ascii_case(name))
}
