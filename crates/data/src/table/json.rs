//! JSON lines and JSON lists. Lines are cut at their ends and parsed one by one.
//! The elements of a list are cut by counting brackets outside strings, so that an
//! element that is balanced but not JSON is an error of its own.

use std::io::BufRead;

use serde_json::{Map, Value};

use super::bytes::{LONGEST_ROW, Line, read_line, text};
use super::error::syntax_fault;
use super::{DataError, Fault, Rows, Step, kind};

/// Rows of one line each; blank lines are none.
pub(super) struct Lines<R> {
    source: R,
    line: usize,
    bytes: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(source: R) -> Self {
        Self { source, line: 0, bytes: Vec::new() }
    }
}

impl<R: BufRead> Rows for Lines<R> {
    fn next_row(&mut self, file: &str) -> Result<Option<Step>, DataError> {
        loop {
            let read = read_line(&mut self.source, &mut self.bytes).map_err(|e| DataError::io(file, e))?;
            self.line += 1;
            let fields = match read {
                Line::End => return Ok(None),
                Line::TooLong => Err(too_long()),
                Line::Whole if self.bytes.trim_ascii().is_empty() => continue,
                Line::Whole => object(self.bytes.trim_ascii()),
            };
            return Ok(Some(Step { line: Some(self.line), fields }));
        }
    }
}

fn too_long() -> Fault {
    let megabytes = LONGEST_ROW >> 20;
    Fault::new("", format!("a row of more than {megabytes} MiB"), "shorter rows")
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Fault> {
    match serde_json::from_str(&text(bytes)) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(Fault::new("", kind(&other), "an object")),
        Err(error) => Err(syntax_fault(&error)),
    }
}

/// The elements of a JSON list, or a single JSON object.
pub(super) struct Document<R> {
    source: R,
    line: usize,
    shape: Shape,
}

/// What a document holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    List,
    Object,
    /// All of it has been read.
    Over,
}

/// What a byte of JSON is when brackets are counted.
#[derive(Clone, Copy)]
enum Inside {
    Nothing,
    String,
    Escape,
}

impl<R: BufRead> Document<R> {
    /// Reads the opening bracket. Fails if there is none.
    pub(super) fn new(source: R, name: &str) -> Result<Self, DataError> {
        let mut document = Self { source, line: 1, shape: Shape::Object };
        let io = |error| DataError::io(name, error);
        match document.peek().map_err(io)? {
            Some(b'[') => {
                document.source.consume(1);
                document.shape = Shape::List;
            }
            Some(b'{') => {}
            Some(_) => return Err(DataError::file(name, "no opening bracket", "a JSON list of objects")),
            None => return Err(DataError::file(name, "an empty file", "a JSON list of objects")),
        }
        Ok(document)
    }

    /// The next byte that is no white space; it stays unread.
    fn peek(&mut self) -> std::io::Result<Option<u8>> {
        loop {
            let found = self.source.fill_buf()?;
            let Some(&first) = found.first() else { return Ok(None) };
            if !first.is_ascii_whitespace() {
                return Ok(Some(first));
            }
            self.line += usize::from(first == b'\n');
            self.source.consume(1);
        }
    }

    /// The bytes of the value that starts here, up to the comma or bracket behind
    /// it. What is too long is read to its end but not kept.
    fn value(&mut self) -> std::io::Result<Cut> {
        let (mut depth, mut inside, mut bytes, mut length) = (0_usize, Inside::Nothing, Vec::new(), 0_usize);
        loop {
            let found = self.source.fill_buf()?;
            if found.is_empty() {
                return Ok(Cut { bytes, length, end: CutEnd::Missing });
            }
            let mut taken = 0;
            let mut ended = false;
            for &byte in found {
                if depth == 0 && matches!(inside, Inside::Nothing) && matches!(byte, b',' | b']' | b'}') {
                    ended = true;
                    break;
                }
                (inside, depth) = step(inside, depth, byte);
                self.line += usize::from(byte == b'\n');
                taken += 1;
            }
            length += taken;
            if length <= LONGEST_ROW {
                bytes.extend_from_slice(&found[..taken]);
            }
            self.source.consume(taken);
            if ended {
                return Ok(Cut { bytes, length, end: CutEnd::Seen });
            }
        }
    }

    fn next_element(&mut self, file: &str) -> Result<Option<Step>, DataError> {
        let io = |error| DataError::io(file, error);
        match self.peek().map_err(io)? {
            Some(b']') => {
                self.source.consume(1);
                self.shape = Shape::Over;
                return self.must_end(file);
            }
            Some(b'}' | b',') => return Err(self.broken(file, "a bracket or comma too many")),
            None => return Err(self.broken(file, "a list that breaks off")),
            Some(_) => {}
        }
        let line = self.line;
        let cut = self.value().map_err(io)?;
        if cut.end == CutEnd::Missing {
            return Err(self.broken(file, "a list that breaks off"));
        }
        if self.peek().map_err(io)? == Some(b',') {
            self.source.consume(1);
        }
        Ok(Some(Step { line: Some(line), fields: cut.object() }))
    }

    /// The single object of a document.
    fn only_object(&mut self, file: &str) -> Result<Option<Step>, DataError> {
        let io = |error| DataError::io(file, error);
        let line = self.line;
        self.shape = Shape::Over;
        let cut = self.value().map_err(io)?;
        Ok(Some(Step { line: Some(line), fields: cut.object() }))
    }

    /// What follows the closing bracket would otherwise go unread in silence.
    fn must_end(&mut self, file: &str) -> Result<Option<Step>, DataError> {
        match self.peek().map_err(|error| DataError::io(file, error))? {
            None => Ok(None),
            Some(_) => Err(self.broken(file, "more after the end of the list")),
        }
    }

    fn broken(&self, file: &str, what: &str) -> DataError {
        DataError::file(format!("{file}:{}", self.line), what, "a JSON list of objects")
    }
}

impl<R: BufRead> Rows for Document<R> {
    fn next_row(&mut self, file: &str) -> Result<Option<Step>, DataError> {
        match self.shape {
            Shape::List => self.next_element(file),
            Shape::Object => self.only_object(file),
            Shape::Over => Ok(None),
        }
    }
}

/// The bytes of a value.
struct Cut {
    bytes: Vec<u8>,
    /// Bytes of the value in the file, those that were not kept too.
    length: usize,
    end: CutEnd,
}

/// Whether a comma or bracket ends a value.
#[derive(PartialEq, Eq)]
enum CutEnd {
    Seen,
    Missing,
}

impl Cut {
    fn object(&self) -> Result<Map<String, Value>, Fault> {
        if self.length > LONGEST_ROW { Err(too_long()) } else { object(self.bytes.trim_ascii()) }
    }
}

/// Where the next byte is, and how deep.
const fn step(inside: Inside, depth: usize, byte: u8) -> (Inside, usize) {
    match (inside, byte) {
        (Inside::String, b'\\') => (Inside::Escape, depth),
        (Inside::String, b'"') => (Inside::Nothing, depth),
        (Inside::Escape | Inside::String, _) | (Inside::Nothing, b'"') => (Inside::String, depth),
        (Inside::Nothing, b'{' | b'[') => (Inside::Nothing, depth + 1),
        (Inside::Nothing, b'}' | b']') => (Inside::Nothing, depth.saturating_sub(1)),
        (Inside::Nothing, _) => (Inside::Nothing, depth),
    }
}
