//! Bytes to text. Nothing fails here: UTF-8 where the bytes are that, UTF-16
//! where a byte order mark says so, windows-1252 (which covers latin-1 text)
//! otherwise. Line formats decode row by row, so that one damaged row does not
//! change how the rows around it are read.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// The bytes without a byte order mark, and in a superset of ASCII: UTF-16 is
/// turned into UTF-8, everything else stays as it is.
pub(super) fn ascii_compatible(bytes: &[u8]) -> Cow<'_, [u8]> {
    match Encoding::for_bom(bytes) {
        None => Cow::Borrowed(bytes),
        Some((encoding, mark)) if encoding == UTF_8 => Cow::Borrowed(&bytes[mark..]),
        Some((encoding, mark)) => {
            let (text, _) = encoding.decode_without_bom_handling(&bytes[mark..]);
            Cow::Owned(text.into_owned().into_bytes())
        }
    }
}

/// What [`is_text`] accepts, for errors.
pub(super) const TEXTS: &str = "text in UTF-8, windows-1252, or UTF-16 with a byte order mark";

/// Whether bytes may be somebody's words: no zero byte, and at most one control
/// character in twenty. Pictures, archives and UTF-16 without a mark are not.
pub(super) fn is_text(bytes: &[u8]) -> bool {
    let is_control = |b: &&u8| b.is_ascii_control() && !b.is_ascii_whitespace();
    !bytes.contains(&0) && bytes.iter().filter(is_control).count() * 20 <= bytes.len()
}

/// The text of some bytes: UTF-8 if they are that, else windows-1252.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> String {
        text(&ascii_compatible(bytes)).into_owned()
    }

    #[test]
    fn accents_survive_every_encoding() {
        assert_eq!(decoded("ça va".as_bytes()), "ça va");
        assert_eq!(decoded("\u{feff}ça va".as_bytes()), "ça va");
        assert_eq!(decoded(b"\xe7a va"), "ça va");
        assert_eq!(decoded(b"\x93hi\x94 \x85"), "“hi” …");
        assert_eq!(decoded(b"\xff\xfe\xe7\0a\0"), "ça");
        assert_eq!(decoded(b"\xfe\xff\0\xe7\0a"), "ça");
    }

    #[test]
    fn pictures_and_archives_are_no_text() {
        assert!(is_text("ça va\r\n\tmieux".as_bytes()));
        assert!(is_text(b"\xe7a va"));
        assert!(!is_text(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"));
        assert!(!is_text(b"h\0i\0"));
        assert!(!is_text(b"\x1f\x8b\x08\x02\x05"));
    }

    #[test]
    fn no_byte_is_refused() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&all).chars().count(), 256);
    }
}
