//! One reader for every way in which conversations come: `OpenAI` messages and
//! the other JSON shapes of public collections, JSON lines, transcripts with
//! speaker names, and CSV with a text column. Behind it there is only
//! [`Conversation`]; no other part of Mindrail knows a format.
//!
//! A row that cannot be read is an error with file, line, field, found and
//! expected, and the rows after it still come. Only what concerns the whole
//! input (no text column, an empty file) ends a reading before it starts. No
//! bytes make the reader panic.
//!
//! ```
//! use mindrail_core::reader::{ReadOptions, read};
//! let rows = read(b"user: hi\nassistant: hello", &ReadOptions::default())?;
//! for row in rows {
//!     assert_eq!(row?.conversation.turns.len(), 2);
//! }
//! # Ok::<(), mindrail_core::reader::ReadError>(())
//! ```

mod cast;
mod detect;
mod encoding;
mod error;
mod json;
mod mark;
mod plain;
mod rows;
mod table;
mod transcript;

use std::str::FromStr;

use thiserror::Error;

pub(crate) use self::cast::known_role as speaker_role;
pub use self::error::ReadError;
pub use self::json::{read_messages, to_openai_json};
pub use self::plain::plain_text;
pub use self::rows::{Row, Rows};
pub use self::transcript::{Transcript, transcript};
use crate::assessment::NotEvaluatedReason;
use crate::conversation::Conversation;

/// How conversations are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// Found from the bytes.
    #[default]
    Auto,
    /// One JSON value: an object, a list of objects, or a list of messages.
    Json,
    /// One JSON value per line.
    Jsonl,
    /// One conversation as text, with or without speaker names.
    Transcript,
    /// A header, then one conversation per row.
    Csv,
}

impl Format {
    /// Every format, [`Format::Auto`] first.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Json, Self::Jsonl, Self::Transcript, Self::Csv];

    /// The format's name on the wire and on the command line.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Transcript => "transcript",
            Self::Csv => "csv",
        }
    }
}

/// A name that is not one of a [`Format`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("format: found {0:?}, expected auto, json, jsonl, transcript or csv")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL
            .into_iter()
            .find(|format| format.wire() == name)
            .ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

/// How to read some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// The format, or [`Format::Auto`].
    pub format: Format,
    /// The CSV column that holds the text; looked for by name if `None`.
    pub text_column: Option<String>,
    /// What errors call the input: its file name.
    pub source_name: String,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { format: Format::Auto, text_column: None, source_name: "<input>".to_owned() }
    }
}

/// Reads conversations from bytes, row by row as the iterator is driven.
///
/// # Errors
///
/// If the input as a whole is not of the format: nothing but white space where
/// the format needs a conversation, a table without text column.
pub fn read<'a>(bytes: &'a [u8], options: &ReadOptions) -> Result<Rows<'a>, ReadError> {
    Rows::new(bytes, options)
}

/// Reads the bytes in every format and counts the rows, good ones and bad. For
/// fuzzing: the promise is that this returns.
pub fn read_in_every_format(bytes: &[u8]) -> usize {
    let rows_as = |format| {
        let options = ReadOptions { format, ..ReadOptions::default() };
        read(bytes, &options).map_or(0, Iterator::count)
    };
    Format::ALL.into_iter().map(rows_as).sum()
}

/// What was read of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    conversation: Conversation,
    unread: Vec<Unread>,
}

/// A turn of which something could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// The turn, from 0.
    pub turn: usize,
    /// What, as a verdict says it.
    pub reason: NotEvaluatedReason,
}

impl Reading {
    fn of_transcript(text: &str) -> Self {
        let mut reading = Self::default();
        reading.append(transcript(text));
        reading
    }

    /// Adds turns behind those that are there.
    fn append(&mut self, transcript: Transcript) {
        let before = self.conversation.turns.len();
        let unread = |turn| Unread { turn: before + turn, reason: NotEvaluatedReason::UnknownSpeaker };
        self.unread.extend(transcript.unknown_speakers.into_iter().map(unread));
        self.conversation.turns.extend(transcript.turns);
    }
}

impl Default for Reading {
    fn default() -> Self {
        Self { conversation: Conversation { id: None, turns: Vec::new() }, unread: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conversation::{Role, Turn};

    fn options(format: Format) -> ReadOptions {
        ReadOptions { format, text_column: None, source_name: "chats".to_owned() }
    }

    /// The rows in short: the number of turns, or the error.
    fn rows(text: &str, format: Format) -> Vec<String> {
        match read(text.as_bytes(), &options(format)) {
            Err(error) => vec![format!("whole: {error}")],
            Ok(rows) => rows
                .map(|row| match row {
                    Ok(row) => format!("{}: {} turns", row.line, row.conversation.turns.len()),
                    Err(error) => error.to_string(),
                })
                .collect(),
        }
    }

    #[test]
    fn format_names_round_trip() {
        for format in Format::ALL {
            assert_eq!(format.wire().parse(), Ok(format));
        }
        assert!("xml".parse::<Format>().is_err());
    }

    #[test]
    fn a_bad_row_does_not_stop_the_rows_after_it() {
        let lines = [
            r#"{"messages":[{"role":"user","content":"a"},{"role":"moderator","content":"b"}]}"#,
            r#"{"messages":[{"role":"user","content":7}]}"#,
            "",
            r#"{"messages":"#,
            "not json",
            r#"{"prompt":"a","response_0":"b","response_1":"c"}"#,
            r#"{"id":[1],"messages":[]}"#,
            r#"{"rows":3}"#,
            r#"{"messages":[{"role":"user"}]}"#,
            "[1]",
            r#"{"messages":[{"role":"user","content":"a"}]}"#,
        ];
        insta::assert_snapshot!(rows(&lines.join("\n"), Format::Jsonl).join("\n"), @r#"
        chats:1: messages[1].role: found a text of 9 characters, expected user, assistant or system
        chats:2: messages[0].content: found a number, expected a string, null or a list of parts
        chats:4: found JSON that breaks off, expected one complete JSON value, nested at most 127 deep
        chats:5: found a JSON error at column 2, expected one complete JSON value, nested at most 127 deep
        chats:6: response: found nothing, but 2 replies under other names, expected one `response` to the `prompt`; give each reply a row of its own
        chats:7: id: found a list, expected a string or a number
        chats:8: found an object with other keys (1), expected `messages`, `turns`, `dialog`, `conversations`, `context`, `prompt` or `text`
        chats:9: messages[0].content: found nothing, expected a string, null or a list of parts
        chats:10: messages[0]: found a number, expected an object
        11: 1 turns
        "#);
    }

    #[test]
    fn rows_of_a_list_keep_their_lines_and_a_syntax_error_ends_it() {
        let list =
            "[\n {\"text\":\"a\"},\n {\"nothing\":\n 1},\n {\"text\":\"user: a\\nai: b\"}\n, {\"text\"]";
        insta::assert_snapshot!(rows(list, Format::Json).join("\n"), @r#"
        2: 1 turns
        chats:3: found an object with other keys (1), expected `messages`, `turns`, `dialog`, `conversations`, `context`, `prompt` or `text`
        5: 2 turns
        chats:6: found a JSON error, expected one complete JSON value, nested at most 127 deep
        "#);
    }

    #[test]
    fn rows_of_a_table_keep_their_lines() {
        let table = "id,text\r\n1,\"user: a\nai: b\"\r\n2\r\n3,\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"a\"\"}]\"\r\n4,\r\n5,last";
        insta::assert_snapshot!(rows(table, Format::Csv).join("\n"), @r#"
        2: 2 turns
        chats:4: text: found cells: 1, expected 2, one per column of the header
        5: 1 turns
        6: 0 turns
        7: 1 turns
        "#);
    }

    #[test]
    fn a_table_of_one_turn_per_row_gives_one_conversation_per_id() {
        let table = "id,role,content\na,user,hi\na,assistant,\"hello,\nyou\"\nb,user,x\nb,moderator,y\nb,user\nc,Human,z\n";
        insta::assert_snapshot!(rows(table, Format::Auto).join("\n"), @r#"
        2: 2 turns
        chats:5: role of turn 1: found a text of 9 characters, expected user, assistant or system, or another known name of a speaker
        8: 1 turns
        "#);
        let damaged = "id,role,text\nx,user\nx,user,a\ny,user,b\nz,user\nz,ai,c\nx,user,d\n";
        insta::assert_snapshot!(rows(damaged, Format::Auto).join("\n"), @r#"
        chats:2: text: found cells: 2, expected 3, one per column of the header
        4: 1 turns
        chats:5: text: found cells: 2, expected 3, one per column of the header
        chats:7: id: found an id whose rows ended earlier, expected the rows of one conversation to stand together
        "#);
        assert_eq!(roles("speaker,text\nuser,a\nai,b\n"), roles("user: a\nassistant: b"));
        assert_eq!(roles("Role,Message\nuser,a\nai,b\n"), roles("user: a\nassistant: b"));
    }

    #[test]
    fn turns_of_a_table_stand_in_the_order_of_their_numbers() {
        let in_order = roles("user: a\nassistant: b\nuser: c");
        assert_eq!(roles("id,turn,role,text\nx,10,user,c\nx,2,ai,b\nx,1,user,a\n"), in_order);
        assert_eq!(
            roles("Conversation\nuser: a\nassistant: b\nuser: c"),
            roles("Conversation\n\nuser: a\nassistant: b\nuser: c")
        );
        insta::assert_snapshot!(rows("id,turn,role,text\nx,9,user,a\nx,,ai,b\nx,1,user,c\n", Format::Csv).join("\n"), @"chats:2: number of turn 1: found no whole number, expected one, as other turns have");
        // Without numbers the rows' order is all there is, and so it is
        // where nothing says which rows are of one conversation.
        assert_eq!(roles("id,turn,role,text\nx,,user,a\nx,,ai,b\nx,,user,c\n"), in_order);
        assert_eq!(roles("turn,role,text\n1,user,a\n1,ai,b\n0,user,c\n"), in_order);
    }

    #[test]
    fn a_quote_that_is_never_closed_is_told_and_not_taken_for_a_long_text() {
        let table = "id,text\n1,user: a\n2,\"user: b\n3,user: c\n";
        insta::assert_snapshot!(rows(table, Format::Csv).join("\n"), @r#"
        2: 1 turns
        chats:3: text: found an opening quote, expected its end: every row below is in this cell
        "#);
        // A quote inside a cell is the cell's own, and a pair may span lines.
        for table in [
            "id,text,x\n1,\"user: a\nai: b\",5\" of snow\n",
            "id,text\n1,user: 5\" of snow\n",
            "id,text\n1,\"user: a\nai: \"\"b\"\"\"\n",
        ] {
            assert!(!rows(table, Format::Csv).join("\n").contains("quote"), "{table}");
        }
    }

    #[test]
    fn what_concerns_the_whole_input_is_said_at_once() {
        let whole: Vec<_> =
            [("", Format::Auto), ("a,b c\n1,2", Format::Csv), ("{", Format::Json), ("7", Format::Json)]
                .into_iter()
                .flat_map(|(text, format)| rows(text, format))
                .collect();
        insta::assert_snapshot!(whole.join("\n"), @r#"
        whole: chats:1: found an empty input, expected a conversation
        whole: chats:1: header: found 2 other column(s), expected a column named text, content, message, utterance, prompt, conversation, transcript
        whole: chats:1: found JSON that breaks off, expected one complete JSON value, nested at most 127 deep
        whole: chats:1: found a number, expected an object or a list of messages
        "#);
    }

    fn only(text: &str) -> Row {
        let mut rows = read(text.as_bytes(), &options(Format::Auto)).expect("readable");
        rows.next().expect("a row").expect("a good row")
    }

    fn roles(text: &str) -> Vec<(Role, String)> {
        let turns = only(text).conversation.turns;
        turns.into_iter().map(|t| (t.role, t.text)).collect()
    }

    #[test]
    fn every_json_shape_is_read() {
        let pair = vec![(Role::User, "a".to_owned()), (Role::Assistant, "b".to_owned())];
        for text in [
            r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
            r#"{"messages":[{"role":"human","content":"a"},{"role":"ai","content":"b"}]}"#,
            r#"[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]"#,
            r#"{"turns":[{"role":"user","text":"a","crisis":[]},{"role":"assistant","text":"b"}]}"#,
            r#"{"dialog":[{"speaker":"seeker","content":"a"},{"speaker":"sys","content":"b"}]}"#,
            r#"{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}"#,
            r#"{"context":"[seeker]a","response":"[supporter]b","label":2}"#,
            r#"{"context":"a","response":"b"}"#,
            r#"{"prompt":"a","response":"b"}"#,
            r#"{"text":"user: a\nai: b"}"#,
            r#"{"conversation":"Person: a\nAssistant: b"}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":null,"refusal":"b"}]}"#,
        ] {
            assert_eq!(roles(text), pair, "{text}");
        }
    }

    #[test]
    fn parts_that_are_not_text_are_told() {
        let row = only(
            r#"{"id":7,"messages":[{"role":"developer","content":""},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{}},{"type":"text","text":"b"}]},{"role":"assistant","tool_calls":[]},{"role":"tool","content":"x"}]}"#,
        );
        assert_eq!(row.conversation.id.as_deref(), Some("7"));
        assert_eq!(row.unread, [Unread { turn: 1, reason: NotEvaluatedReason::NonTextPart }]);
        assert_eq!(row.conversation.turns[1].text, "a\nb");
        assert_eq!(row.conversation.turns[3].role, Role::System);
    }

    #[test]
    fn one_damaged_row_does_not_change_how_others_are_decoded() {
        let bytes = b"id,text\n1,\"d\xe9j\xe0\"\n2,\"d\xc3\xa9j\xc3\xa0\"\n";
        let texts: Vec<_> = read(bytes, &options(Format::Auto))
            .expect("a table")
            .map(|row| row.expect("a row").conversation.turns[0].text.clone())
            .collect();
        assert_eq!(texts, ["déjà", "déjà"]);
    }

    #[test]
    fn deep_nesting_is_an_error() {
        for open in ["[", "{\"messages\":["] {
            let deep = open.repeat(100_000);
            assert!(rows(&deep, Format::Auto)[0].contains("JSON"));
            read_in_every_format(deep.as_bytes());
        }
    }

    fn conversations() -> impl Strategy<Value = Conversation> {
        let role = prop::sample::select(vec![Role::User, Role::Assistant, Role::System]);
        let turn = (role, any::<String>()).prop_map(|(role, text)| Turn { role, text });
        (any::<Option<String>>(), prop::collection::vec(turn, 0..8))
            .prop_map(|(id, turns)| Conversation { id, turns })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(conversation in conversations()) {
            let line = to_openai_json(&conversation);
            for format in [Format::Auto, Format::Json, Format::Jsonl] {
                let rows: Vec<_> = read(line.as_bytes(), &options(format)).expect("JSON").collect();
                prop_assert_eq!(rows.len(), 1);
                prop_assert_eq!(&rows[0].as_ref().expect("a row").conversation, &conversation);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read_in_every_format(&bytes);
        }

        #[test]
        fn no_text_makes_it_panic(text in "([\\[\\]{}\",:;\n\r é*]|user:|text|\\[bot\\]|\"role\"|\"messages\":|\\PC){0,60}") {
            read_in_every_format(text.as_bytes());
            prop_assert!(read(text.as_bytes(), &options(Format::Transcript)).is_ok() || text.trim().is_empty());
        }

        #[test]
        fn a_table_gives_back_any_text(text in "[^\\[{]\\PC{0,40}", id in "[a-z0-9]{1,5}") {
            let table = format!("id,text\n{id},\"{}\"\n", text.replace('"', "\"\""));
            let row = only(&table);
            prop_assert_eq!(row.conversation.id, Some(id));
            prop_assert_eq!(row.conversation.turns, transcript(&text).turns);
        }
    }
}
