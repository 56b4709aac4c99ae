//! `mindrail data`: what it says where something is amiss.

use std::process::{Command, Stdio};

use crate::program::{Folder, repository};

/// A file with the rows of one author.
const ONE_AUTHOR: &str = "corpus/dev_f.jsonl";

#[test]
fn a_part_that_stays_empty_is_told_with_the_reason() {
    let folder = Folder::new();
    let file = repository(ONE_AUTHOR).display().to_string();
    let ran = folder.run(&["data", "split", &file, "--output", "parts"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for part in ["dev.jsonl stayed empty", "test.jsonl stayed empty"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    assert!(ran.stderr.contains("1 families by author, and no family is divided"), "{}", ran.stderr);
}

#[test]
fn a_split_without_training_rows_fails_and_writes_nothing() {
    let folder = Folder::new();
    let file = repository(ONE_AUTHOR).display().to_string();
    let ran = folder.run(&["data", "split", &file, "--fractions", "0.1,0.9", "--output", "parts"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("none of which falls to train"), "{}", ran.stderr);
    assert!(!folder.path("parts").exists());
}

#[test]
fn every_data_command_tells_a_missing_file_once() {
    let folder = Folder::new();
    let commands: [&[&str]; 7] = [
        &["check", "absent"],
        &["stats", "absent"],
        &["convert", "absent", "out.jsonl"],
        &["split", "absent", "--output", "parts"],
        &["overlap", "absent"],
        &["export", "absent", "--to", "set", "--purpose", "research"],
        &["pull", "a/b", "--token-file", "absent"],
    ];
    for command in commands {
        let ran = folder.run(&[&["data"], command].concat());
        assert_eq!(ran.code, Some(1), "{command:?}");
        assert_eq!(ran.stderr.matches("os error").count(), 1, "{command:?}: {}", ran.stderr);
        assert_eq!(ran.stderr.matches("absent").count(), 1, "{command:?}: {}", ran.stderr);
    }
}

#[test]
fn nothing_is_said_where_the_reader_of_the_output_goes_away() {
    let file = repository(ONE_AUTHOR).display().to_string();
    let commands: [&[&str]; 5] = [
        &["stats", &file],
        &["stats", &file, "--json"],
        &["check", &file],
        &["check", &file, "--json"],
        &["overlap", &file, "--json"],
    ];
    for command in commands {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mindrail"))
            .arg("data")
            .args(command)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        drop(child.stdout.take());
        let ended = child.wait_with_output().expect("the binary ends");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{command:?}");
        assert_eq!(ended.status.code(), Some(0), "{command:?}");
    }
}
