//! Which format some bytes are in. File names are not asked: input also comes
//! from pipes, and names lie.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::{Format, encoding, table, transcript};

/// Lines that detection looks at.
const DETECTION_LINES: usize = 5;

/// The format of some bytes (UTF-8 or any superset of ASCII). What opens as
/// JSON is one document if all of it parses or no early line does by itself,
/// else JSON lines; so is what has only its first line damaged. A header with a
/// text column makes a table, and so does a named text column, whose absence is
/// then told. All else is a transcript.
pub(super) fn detect(bytes: &[u8], text_column: Option<&str>) -> Format {
    let lines: Vec<_> = bytes
        .split(|&b| b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(DETECTION_LINES)
        .map(encoding::text)
        .collect();
    let Some(first) = lines.first() else {
        return Format::Transcript;
    };
    if transcript::opens_with_a_tag(first) {
        return Format::Transcript;
    }
    let is_json = |line: &Cow<'_, str>| looks_like_json(line) && parses(line);
    if looks_like_json(&encoding::text(bytes)) {
        if !parses(&encoding::text(bytes)) && lines.iter().any(is_json) {
            Format::Jsonl
        } else {
            Format::Json
        }
    } else if text_column.is_some() || table::is_table(bytes) {
        Format::Csv
    } else if lines.len() > 1 && lines[1..].iter().all(is_json) {
        Format::Jsonl
    } else if table::is_table_of_other_names(bytes) {
        // Reading it as a table says which column is missing.
        Format::Csv
    } else {
        Format::Transcript
    }
}

/// Whether a text opens as a JSON object or list does, which `[10:02] hi` and
/// `{sighs}` do not.
fn looks_like_json(text: &str) -> bool {
    let mut marks = text.chars().filter(|c| !c.is_whitespace());
    match (marks.next(), marks.next()) {
        (Some('{'), next) => matches!(next, Some('"' | '}') | None),
        (Some('['), next) => matches!(next, Some('{' | '[' | '"' | ']') | None),
        _ => false,
    }
}

fn parses(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_text_column_means_a_table() {
        assert_eq!(detect(b"user: a", Some("note")), Format::Csv);
        assert_eq!(detect(b"{\"text\":\"a\"}", Some("note")), Format::Json);
    }

    #[test]
    fn formats_are_told_from_the_bytes() {
        for (text, format) in [
            ("{\"messages\":[]}", Format::Json),
            ("[{\"role\":\"user\",\"content\":\"a\"}]", Format::Json),
            ("{\n \"text\":\n \"a\"\n}", Format::Json),
            ("{\"text\":\"a\"}\n{\"text\":\"b\"}\n", Format::Jsonl),
            ("{\"text\": broken\n{\"text\":\"b\"}\n", Format::Jsonl),
            ("broken\n{\"text\":\"b\"}\n", Format::Jsonl),
            ("id,text\n1,hi\n", Format::Csv),
            ("id;text\n1;hi\n", Format::Csv),
            ("id,message\n1,hi\n2,\"hello, you\"\n", Format::Csv),
            ("well,ok\nthat was it, i think, so\n", Format::Transcript),
            ("Text, please help\n", Format::Transcript),
            ("[seeker]a[supporter]b", Format::Transcript),
            ("[10:02] hello", Format::Transcript),
            ("{sighs} hello", Format::Transcript),
            ("user: a", Format::Transcript),
        ] {
            assert_eq!(detect(text.as_bytes(), None), format, "{text:?}");
        }
    }
}
