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
    /// Bytes as they were read; kept so that each reading finds its memory there.
    found: Vec<u8>,
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
        let mut found = Vec::with_capacity(BUFFER);
        source.by_ref().take(3).read_to_end(&mut found)?;
        let (decoder, mark) = match Encoding::for_bom(&found) {
            None => (None, 0),
            Some((encoding, mark)) if encoding == UTF_8 => (None, mark),
            Some((encoding, mark)) => (Some(encoding.new_decoder_without_bom_handling()), mark),
        };
        found.drain(..mark);
        let buffer = Vec::with_capacity(BUFFER);
        let mut bytes =
            Self { source, decoder, found, buffer, at: 0, over: false, last: b'\n', line_end: None };
        bytes.refill(End::NotYet);
        Ok(bytes)
    }

    /// Makes a buffer of the bytes that were found.
    fn refill(&mut self, end: End) {
        self.at = 0;
        match &mut self.decoder {
            None => std::mem::swap(&mut self.buffer, &mut self.found),
            Some(decoder) => {
                self.buffer.clear();
                decode(decoder, &self.found, end, &mut self.buffer);
            }
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
            self.found.clear();
            self.source.by_ref().take(BUFFER as u64).read_to_end(&mut self.found)?;
            self.over = self.found.len() < BUFFER;
            self.refill(if self.over { End::Here } else { End::NotYet });
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
    // One byte more than the longest row tells that a row is longer.
    source.by_ref().take(LONGEST_ROW as u64 + 1).read_until(b'\n', line)?;
    if line.is_empty() {
        return Ok(Line::End);
    }
    if line.len() <= LONGEST_ROW {
        return Ok(Line::Whole);
    }
    if !line.ends_with(b"\n") {
        source.skip_until(b'\n')?;
    }
    Ok(Line::TooLong)
}

/// The text of a row: UTF-8 if it is that, else windows-1252.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    /// The lines of a source as [`read_line`] gives them; `None` for one that is too long.
    fn lines(source: impl Read) -> Vec<Option<Vec<u8>>> {
        let mut bytes = Bytes::new(source).unwrap();
        let (mut found, mut line) = (Vec::new(), Vec::new());
        loop {
            match read_line(&mut bytes, &mut line).unwrap() {
                Line::Whole => found.push(Some(line.clone())),
                Line::TooLong => found.push(None),
                Line::End => return found,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn lines_are_those_of_the_text_wherever_a_buffer_ends(
            lengths in prop::collection::vec(prop_oneof![0..4_usize, 0..2 * BUFFER], 0..6),
            end in prop_oneof![Just("\n"), Just("\r\n")],
        ) {
            let text: String = lengths.iter().map(|length| "x".repeat(*length) + end).collect();
            let expected: Vec<_> = text.split_inclusive('\n').map(|line| Some(line.as_bytes().to_vec())).collect();
            prop_assert_eq!(&lines(text.as_bytes()), &expected);
            let utf_16: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.bytes().flat_map(|b| [b, 0])).collect();
            prop_assert_eq!(lines(utf_16.as_slice()), expected);
        }
    }

    #[test]
    fn a_last_line_without_an_end_gets_that_of_the_others() {
        let whole = |line: &str| Some(line.as_bytes().to_vec());
        assert_eq!(lines(b"a\r\nb".as_slice()), [whole("a\r\n"), whole("b\r\n")]);
        assert_eq!(lines(b"a".as_slice()), [whole("a\n")]);
    }

    #[test]
    fn a_row_that_is_too_long_is_skipped_to_its_end() {
        let long = |length: usize| io::repeat(b'x').take(length as u64);
        let source = long(LONGEST_ROW).chain(b"\nshort\n".as_slice()).chain(long(LONGEST_ROW - 1));
        let found: Vec<Option<usize>> = lines(source).iter().map(|line| Some(line.as_ref()?.len())).collect();
        assert_eq!(found, [None, Some(6), Some(LONGEST_ROW)]);
    }
}
