//! Every conversation of the shared data reads, with the turn counts that the
//! references give. Where the data is not there, each test says so and passes:
//! `MINDRAIL_SHARED` names the folder, `shared` beside the repository is tried
//! otherwise.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write;
use std::path::PathBuf;

use mindrail_core::conversation::Role;
use mindrail_core::reader::{Format, ReadError, ReadOptions, Row, read};

fn shared() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let folder = std::env::var_os("MINDRAIL_SHARED").map_or_else(|| beside.into(), PathBuf::from);
    if folder.join("data").is_dir() {
        return Some(folder);
    }
    // Written past the macros, whose output the test runner holds back.
    let _ = writeln!(std::io::stderr(), "SKIPPED: no shared data at {}", folder.display());
    None
}

fn bytes(path: &str) -> Option<Vec<u8>> {
    Some(std::fs::read(shared()?.join(path)).unwrap())
}

/// All rows of a file under the shared folder, and the format found.
fn rows(path: &str) -> Option<(Format, Vec<Result<Row, ReadError>>)> {
    let bytes = bytes(path)?;
    let options = ReadOptions { source_name: path.to_owned(), ..ReadOptions::default() };
    let rows = read(&bytes, &options).unwrap();
    Some((rows.format(), rows.collect()))
}

fn good_rows(path: &str, format: Format) -> Option<Vec<Row>> {
    let (found, rows) = rows(path)?;
    assert_eq!(found, format, "{path}");
    Some(rows.into_iter().map(Result::unwrap).collect())
}

/// Rows, user turns, assistant turns.
fn counts(rows: &[Row]) -> (usize, usize, usize) {
    let spoken_by =
        |role| rows.iter().flat_map(|row| &row.conversation.turns).filter(|turn| turn.role == role).count();
    (rows.len(), spoken_by(Role::User), spoken_by(Role::Assistant))
}

/// From `shared/reference/distress.md`, sections 1.1 and 1.4.
#[test]
fn khp_tables_have_the_measured_turns() {
    for (file, expected) in [
        ("generated_scratch", (640, 10_300, 10_129)),
        ("generated_camel", (149, 2_906, 2_906)),
        ("generated_camel_hard", (148, 3_242, 3_242)),
        ("generated_pair", (600, 4_939 + 2_654, 4_888 + 2_616)),
        ("generated_pair_hard", (32, 333 + 114, 331 + 114)),
        ("augmented", (1, 18, 10)),
        ("esconv_preprocessed", (400, 6_495, 6_065)),
    ] {
        let path = format!("data/khp/{file}.csv");
        let Some(rows) = good_rows(&path, Format::Csv) else {
            return;
        };
        assert_eq!(counts(&rows), expected, "{file}");
    }
}

#[test]
fn every_esconv_row_has_as_many_turns_as_its_own_column_says() {
    let path = "data/khp/esconv_preprocessed.csv";
    let (Some(bytes), Some(rows)) = (bytes(path), good_rows(path, Format::Csv)) else {
        return;
    };
    let mut table = csv::Reader::from_reader(bytes.as_slice());
    let column = table.headers().unwrap().iter().position(|c| c == "n_turns");
    for (row, record) in rows.iter().zip(table.records()) {
        let expected: usize = record.unwrap()[column.unwrap()].parse().unwrap();
        assert_eq!(row.conversation.turns.len(), expected, "line {}", row.line);
    }
}

#[test]
fn lines_of_khp_rows_point_at_the_row() {
    let path = "data/khp/generated_pair.csv";
    let (Some(bytes), Some(rows)) = (bytes(path), good_rows(path, Format::Csv)) else {
        return;
    };
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for row in rows {
        let first = &row.conversation.turns[0].text;
        let line = lines[row.line - 1].replace("\"\"", "\"");
        assert!(line.contains(first.lines().next().unwrap().trim()), "line {}", row.line);
    }
}

#[test]
fn corpus_lines_have_the_turns_that_their_json_holds() {
    let Some(folder) = shared() else { return };
    let mut conversations = 0;
    for entry in std::fs::read_dir(folder.join("data/corpus")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "jsonl") {
            continue;
        }
        let name = format!("data/corpus/{}", path.file_name().unwrap().display());
        let rows = good_rows(&name, Format::Jsonl).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(rows.len(), text.lines().count());
        for (row, line) in rows.iter().zip(text.lines()) {
            let json: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(row.conversation.id.as_deref(), json["id"].as_str());
            let turns = json["turns"].as_array().unwrap();
            assert_eq!(row.conversation.turns.len(), turns.len());
            for (turn, json) in row.conversation.turns.iter().zip(turns) {
                assert_eq!(Some(turn.role.wire()), json["role"].as_str());
                assert_eq!(Some(turn.text.as_str()), json["text"].as_str());
            }
        }
        conversations += rows.len();
    }
    assert_eq!(conversations, 536);
}

#[test]
fn failed_esconv_dialogues_have_all_turns() {
    if let Some(rows) = good_rows("data/esconv/FailedESConv.json", Format::Json) {
        assert_eq!(counts(&rows), (196, 2_853, 2_377));
    }
}

/// From `shared/reference/reply.md`, section 2: utterances per context, to
/// which the response adds one turn.
#[test]
fn dialogue_safety_contexts_have_the_measured_utterances() {
    let Some(rows) = good_rows("oracles/dialoguesafety/test.json", Format::Json) else {
        return;
    };
    let mut lengths = [0; 13];
    for row in &rows {
        let (response, context) = row.conversation.turns.split_last().unwrap();
        assert_eq!(response.role, Role::Assistant);
        assert_eq!(context.last().unwrap().role, Role::User);
        assert!(context.is_sorted_by(|a, b| a.role != b.role));
        lengths[context.len()] += 1;
    }
    assert_eq!(lengths, [0, 205, 15, 5, 13, 14, 10, 463, 26, 31, 12, 5, 1]);
    let openers = rows.iter().filter(|row| row.conversation.turns[0].role == Role::Assistant);
    assert_eq!(openers.count(), 77);
}

#[test]
fn harm_pairs_read_as_a_prompt_and_a_response() {
    if let Some(rows) = good_rows("data/harm/beavertails_30k_test.jsonl", Format::Jsonl) {
        let (rows, users, assistants) = counts(&rows);
        assert!(rows > 0);
        assert_eq!((rows, rows), (users, assistants));
    }
    for file in ["beavertails_evaluation_700_prompts", "safe-rlhf_gpt4_problem_83"] {
        if let Some(rows) = good_rows(&format!("data/harm/{file}.json"), Format::Json) {
            assert_eq!(counts(&rows), (rows.len(), rows.len(), 0));
        }
    }
}

#[test]
fn rows_with_two_replies_say_what_was_expected() {
    for file in
        ["saferlhf_v0_sample_32.json", "saferlhf_v0_test_mixed_pairs.jsonl", "saferlhf_v1_sample_3.jsonl"]
    {
        let Some((_, rows)) = rows(&format!("data/harm/{file}")) else {
            return;
        };
        assert!(!rows.is_empty());
        for row in rows {
            assert!(row.unwrap_err().expected.contains("`response`"));
        }
    }
}

#[test]
fn what_holds_no_conversation_is_told_so() {
    if let Some((_, rows)) = rows("data/khp/persona_bank.json") {
        assert_eq!(rows.len(), 2000);
        assert!(rows.iter().all(Result::is_err));
    }
    if let Some(bytes) = bytes("data/khp/slang_bank.json") {
        assert!(read(&bytes, &ReadOptions::default()).is_err());
    }
}
