//! Bytes as they are on disk to bytes that row formats can be cut from: without a
//! byte order mark, UTF-16 turned into UTF-8, a line end at the very end. The
//! text of a single row is decoded when it is known where the row ends, so that a
//! damaged row does not change how others are read. Nothing here holds more than
//! a buffer.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, WINDOWS_1252};

/// Bytes that are read at once.
const BUFFER: usize = 1 << 16;

/// The longest row that is read, in bytes; a longer one is an error of its own,
/// since it would no longer fit the promise of constant memory.
pub(super) const LONGEST_ROW: usize = 64 << 20;

/// A source whose bytes are a superset of ASCII.
pub(super) struct Bytes<R> {
    source: R,
    /// Decodes UTF-16; `None` where the bytes are taken as they are.
    decoder: Option<Decoder>,
    buffer: Vec<u8>,
    at: usize,
    over: bool,
    last: u8,
    /// How lines end, as soon as one has ended.
    line_end: Option<&'static [u8]>,
}

impl<R: Read> Bytes<R> {
    /// Looks for a byte order mark and begins behind it.
    pub(super) fn new(mut source: R) -> io::Result<Self> {
        let mut start = vec![0; 3];
        let length = read_fully(&mut source, &mut start)?;
        start.truncate(length);
        let (decoder, mark) = match Encoding::for_bom(&start) {
            None => (None, 0),
            Some((encoding, mark)) if encoding == UTF_8 => (None, mark),
            Some((encoding, mark)) => (Some(encoding.new_decoder_without_bom_handling()), mark),
        };
        let mut bytes =
            Self { source, decoder, buffer: Vec::new(), at: 0, over: false, last: b'\n', line_end: None };
        bytes.refill(&start[mark..], End::NotYet);
        Ok(bytes)
    }

    /// Takes bytes of the source into the buffer.
    fn refill(&mut self, found: &[u8], end: End) {
        self.buffer.clear();
        self.at = 0;
        match &mut self.decoder {
            None => self.buffer.extend_from_slice(found),
            Some(decoder) => decode(decoder, found, end, &mut self.buffer),
        }
        self.last = self.buffer.last().copied().unwrap_or(self.last);
        self.line_end = self.line_end.or_else(|| line_end(&self.buffer));
        if end == End::Here && self.last != b'\n' {
            self.buffer.extend_from_slice(self.line_end.unwrap_or(b"\n"));
        }
    }
}

/// The end of the first line that ends in some bytes.
fn line_end(bytes: &[u8]) -> Option<&'static [u8]> {
    let end = bytes.iter().position(|&b| b == b'\n')?;
    Some(if bytes[..end].ends_with(b"\r") { b"\r\n" } else { b"\n" })
}

/// Whether the source has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    Here,
}

impl<R: Read> BufRead for Bytes<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at >= self.buffer.len() && !self.over {
            let mut found = vec![0; BUFFER];
            let length = read_fully(&mut self.source, &mut found)?;
            self.over = length < BUFFER;
            let end = if self.over { End::Here } else { End::NotYet };
            self.refill(&found[..length], end);
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl<R: Read> Read for Bytes<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let found = self.fill_buf()?;
        let length = found.len().min(into.len());
        into[..length].copy_from_slice(&found[..length]);
        self.consume(length);
        Ok(length)
    }
}

/// Reads until the buffer is full or the source ends.
fn read_fully(source: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < into.len() {
        match source.read(&mut into[length..]) {
            Ok(0) => break,
            Ok(found) => length += found,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn decode(decoder: &mut Decoder, found: &[u8], end: End, into: &mut Vec<u8>) {
    let mut rest = found;
    let mut text = String::with_capacity(found.len() * 2 + 16);
    loop {
        let (result, read, _) = decoder.decode_to_string(rest, &mut text, end == End::Here);
        rest = &rest[read..];
        match result {
            CoderResult::InputEmpty => break,
            CoderResult::OutputFull => text.reserve(rest.len() * 2 + 16),
        }
    }
    into.extend_from_slice(text.as_bytes());
}

/// A line, or that one was too long to be read.
pub(super) enum Line {
    Whole,
    TooLong,
    End,
}

/// Reads a line with its end into `line`, at most [`LONGEST_ROW`] bytes; what is
/// longer is skipped to its end.
pub(super) fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut length = 0;
    loop {
        let found = source.fill_buf()?;
        if found.is_empty() {
            return Ok(if length == 0 { Line::End } else { line_of(length) });
        }
        let end = found.iter().position(|&b| b == b'\n').map(|end| end + 1);
        let taken = end.unwrap_or(found.len());
        length += taken;
        if length <= LONGEST_ROW {
            line.extend_from_slice(&found[..taken]);
        }
        source.consume(taken);
        if end.is_some() {
            return Ok(line_of(length));
        }
    }
}

const fn line_of(length: usize) -> Line {
    if length > LONGEST_ROW { Line::TooLong } else { Line::Whole }
}

/// The text of a row: UTF-8 if it is that, else windows-1252.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}
