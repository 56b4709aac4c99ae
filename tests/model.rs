//! `mindrail model`, completions, manual page, version; and the bundle itself.

use std::fs;

use crate::program::{Folder, Ran, repository};

#[test]
fn inspect_prints_the_card_and_verifies_the_hashes() {
    let ran = Folder::new().run(&["model", "inspect"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("All verified") && ran.stdout.contains("high_risk_auc"));
}

fn inspect_changed(change: impl Fn(&mut Vec<u8>), file: &str) -> Ran {
    let folder = Folder::new();
    for entry in fs::read_dir(repository("crates/model/bundle")).expect("the bundle").flatten() {
        let name = entry.file_name().into_string().expect("UTF-8");
        folder.write(&name, fs::read(entry.path()).expect("a file of the bundle"));
    }
    let mut bytes = fs::read(folder.path(file)).expect("a file of the bundle");
    change(&mut bytes);
    folder.write(file, bytes);
    folder.run(&["model", "inspect", "--bundle", "."])
}

#[test]
fn one_changed_byte_in_the_weights_is_a_clear_error() {
    let ran = inspect_changed(|bytes| bytes[1_000_000] ^= 1, "weights.safetensors");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("weights.safetensors is damaged"), "{}", ran.stderr);
}

#[test]
fn a_bundle_of_another_format_is_a_clear_error() {
    let ran = inspect_changed(
        |bytes| {
            *bytes =
                String::from_utf8_lossy(bytes).replacen("\"format\": 2", "\"format\": 9", 1).into_bytes();
        },
        "manifest.json",
    );
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("format 9"), "{}", ran.stderr);
}

#[test]
fn a_missing_file_of_a_bundle_is_named() {
    let folder = Folder::new();
    let ran = folder.run(&["model", "inspect", "--bundle", "."]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("manifest.json"), "{}", ran.stderr);
}

#[test]
fn the_bundle_is_at_most_thirty_megabytes() {
    let files = fs::read_dir(repository("crates/model/bundle")).expect("the bundle").flatten();
    let size: u64 = files.map(|f| f.metadata().expect("metadata").len()).sum();
    assert!(size > 1_000_000 && size <= 30_000_000, "{size} bytes");
}

#[test]
fn completions_manual_and_version_are_printed() {
    let folder = Folder::new();
    assert!(folder.run(&["completions", "bash"]).stdout.contains("_mindrail"));
    assert!(folder.run(&["man"]).stdout.contains(".TH mindrail"));
    assert_eq!(folder.run(&["man", "--output", "."]).code, Some(0));
    assert!(folder.read("mindrail-check.1").contains("fail"));
    assert!(folder.run(&["--version"]).stdout.starts_with("mindrail "));
}

#[test]
fn dev_figures_of_the_shipped_model_are_those_of_its_card() {
    let dev = repository("corpus/dev_f.jsonl");
    let ran = Folder::new().run(&["model", "evaluate", "--input", dev.to_str().expect("UTF-8")]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let card = fs::read_to_string(repository("crates/model/bundle/MODEL_CARD.md")).expect("the card");
    let dev_table =
        card.split("\n## dev\n").nth(1).and_then(|rest| rest.split("### all").nth(1)).expect("the dev table");
    for name in ["high_risk_auc", "crisis_micro_f1", "reply_macro_f1"] {
        let value = report["languages"]["all"]["figures"][name]["value"].as_f64().expect("a figure");
        let row = dev_table
            .lines()
            .find(|line| line.starts_with(&format!("| {name} |")))
            .expect("a row of the card");
        let stated: f64 = row.split('|').nth(2).expect("a cell").trim().parse().expect("a number");
        // Processors round differently in the last places, which may turn one
        // decision.
        assert!((value - stated).abs() < 0.02, "{name}: measured {value}, the card says {stated}");
    }
}

#[test]
fn a_row_that_cannot_be_evaluated_is_named_without_its_text() {
    let folder = Folder::new();
    folder.write("rows.jsonl", "{\"id\":\"a\",\"turns\":\"User: a private sentence\"}\n");
    let ran = folder.run(&["model", "evaluate", "--input", "rows.jsonl"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("rows.jsonl:1") && !ran.stderr.contains("private"), "{}", ran.stderr);
}
