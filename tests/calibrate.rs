//! `mindrail calibrate` with the options of fitting: a calibration in a file, from rows
//! that selected no checkpoint.

use std::fmt::Write as _;

use mindrail_core::calibration::{RiskCall, SignalCalibration, ThresholdSource};
use mindrail_core::language::Language;
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{Signal, Taxonomy as _};
use serde_json::Value;

use crate::program::{Folder, Ran, repository};

fn khp() -> String {
    repository("crates/lab/tests/oracles/khp/calibration.json").display().to_string()
}

fn run(folder: &Folder, more: &[&str]) -> Ran {
    folder.run(&[&["calibrate"][..], more].concat())
}

/// A table of `rows` rows, numbered from `first`: the first six signals follow the label,
/// more or less; two rows to a family, every fourth in French.
fn table(first: usize, rows: usize) -> String {
    let names: Vec<String> = Signal::ALL.iter().map(|signal| format!("p_{}", signal.wire())).collect();
    let mut text = format!("id,label,family,language,{}\n", names.join(","));
    for row in first..first + rows {
        let is_high = row % 5 < 2;
        let language = if row.is_multiple_of(4) { "fr" } else { "en" };
        write!(text, "r-{row},{},f-{},{language}", u8::from(is_high), row / 2).expect("a string");
        for place in 0..9 {
            let noise = (row * 37 + place * 101) * 7919 % 1000;
            let pull = if is_high && place < 6 { 450 } else { 0 };
            write!(text, ",{:.3}", (noise / 2 + pull) as f64 / 1000.0).expect("a string");
        }
        text.push('\n');
    }
    text
}

fn calibration(folder: &Folder, name: &str) -> SignalCalibration {
    SignalCalibration::from_json(name, &folder.read(name)).expect("a calibration")
}

#[test]
fn a_calibration_of_the_published_rows_is_drawn_and_written_and_gives_the_calls_that_it_states() {
    let folder = Folder::new();
    let scores = khp();
    let more = ["--abstain", "miss=0.02,false=0.1,delta=0.05", "--write", "c.json"];
    let ran = run(&folder, &[&[scores.as_str()][..], &more].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stderr);
    insta::assert_snapshot!("calibration_of_khp", ran.stdout);
    let found = calibration(&folder, "c.json");
    assert_eq!((found.fitted_on.len(), found.fitted_on[0].rows), (1, 444));
    let certain = |signal: Signal| {
        let mut outputs = [Probability::ZERO; 9];
        outputs[signal.index()] = Probability::ONE;
        found.decide(found.apply(&outputs).expect("nine outputs"), None)
    };
    for grave in Signal::GRAVE {
        assert_eq!(certain(grave), RiskCall::High);
    }
    let nothing = found.apply(&[Probability::ZERO; 9]).expect("nine outputs");
    assert_eq!(found.decide(nothing, Some(Language::En)), RiskCall::Low);
}

#[test]
fn languages_have_thresholds_of_their_own_where_there_are_rows_enough() {
    let folder = Folder::new();
    folder.write("rows.csv", table(0, 400));
    let ran = run(&folder, &["rows.csv", "--write", "c.json", "--json", "--target", "f1"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stderr);
    let json: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(json["report"]["families"], 200);
    assert_eq!(json["calibration"], serde_json::from_str::<Value>(&folder.read("c.json")).expect("JSON"));
    let found = calibration(&folder, "c.json");
    assert_eq!(found.thresholds.languages[&Language::Fr].source, ThresholdSource::Own);
    let ran = run(&folder, &["rows.csv", "--least-per-class", "70"]);
    assert!(ran.stdout.contains("pooled: too few rows"), "{}", ran.stdout);
    assert!(ran.stdout.contains("Rows in fr use the pooled threshold"), "{}", ran.stdout);
}

#[test]
fn rows_that_selected_the_checkpoint_are_refused_by_file_and_by_row_and_nothing_is_written() {
    let folder = Folder::new();
    folder.write("rows.csv", table(0, 400));
    folder.write("same.csv", table(0, 400));
    folder.write("some.csv", table(390, 40));
    folder.write("other.csv", table(1_000, 40));
    folder.write("weights.bin", [0_u8, 1, 2]);
    for (selected, expected) in [
        ("same.csv", "rows.csv has the content of same.csv, which selected the checkpoint"),
        ("some.csv", "10 rows of rows.csv, the first of them row 391, are in some.csv"),
    ] {
        let more = ["rows.csv", "--write", "c.json", "--selected-on", "other.csv", "--selected-on", selected];
        let ran = run(&folder, &more);
        assert_eq!(ran.code, Some(1), "{selected}: {}", ran.stdout);
        assert!(ran.stderr.contains(expected), "{selected}: {}", ran.stderr);
        assert!(!folder.path("c.json").exists());
    }
    let ran = run(&folder, &["rows.csv", "--write", "c.json", "--selected-on", "other.csv"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(calibration(&folder, "c.json").selected_on.len(), 1);
    let ran = run(&folder, &["rows.csv", "--selected-on", "weights.bin"]);
    assert!(ran.stdout.contains("only the content as a whole was compared"), "{}", ran.stdout);
    let ran = run(&folder, &["rows.csv", "--folds", "3"]);
    assert!(ran.stdout.contains("No file that selected the checkpoint was named"), "{}", ran.stdout);
}

#[test]
fn a_model_with_one_risk_output_is_calibrated_too() {
    let folder = Folder::new();
    let mut text = "id,label,risk\n".to_owned();
    for row in 0..300 {
        let risk = f64::from(row * 7919 % 1000) / 2000.0 + if row % 3 == 0 { 0.4 } else { 0.0 };
        writeln!(text, "r-{row},{},{risk}", u8::from(row % 3 == 0)).expect("a string");
    }
    folder.write("rows.csv", text);
    for map in ["none", "temperature", "platt", "isotonic"] {
        let ran = run(&folder, &["rows.csv", "--write", "c.json", "--map", map, "--target", "fpr=0.05"]);
        assert_eq!(ran.code, Some(0), "{map}: {}", ran.stderr);
        let found = calibration(&folder, "c.json");
        let [low, high] = [-4.0, 4.0].map(|logit| found.apply_logits(&[logit]).expect("one output"));
        assert_eq!((found.decide(low, None), found.decide(high, None)), (RiskCall::Low, RiskCall::High));
    }
    let ran = run(&folder, &["rows.csv", "--floor", "0.9"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("a floor needs nine signals"), "{}", ran.stderr);
}

#[test]
fn options_that_cannot_be_meant_are_refused() {
    let folder = Folder::new();
    folder.write("rows.csv", table(0, 100));
    for (more, code, expected) in [
        (["--abstain", "miss=0.02"], 2, "expected miss= and false= among the limits"),
        (["--abstain", "miss=2,false=0.1"], 2, "expected numbers above 0 and below 1"),
        (["--abstain", "miss=0.6,false=0.6"], 2, "found limits that add up to 1.2"),
        (["--target", "recall=95"], 2, "expected recall=SHARE, fpr=SHARE, youden or f1"),
        (["--floor", "90"], 2, "expected a number from 0 to 1, or none"),
        (["--folds", "1"], 1, "found 1 folds for 50 families"),
        (["--write", "rows.csv"], 1, "rows.csv: found the rows themselves"),
        (["--write", "none/c.json"], 1, "none/c.json"),
    ] {
        let ran = run(&folder, &[&["rows.csv"][..], &more].concat());
        assert_eq!(ran.code, Some(code), "{more:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{more:?}: {}", ran.stderr);
    }
    let ran = run(&folder, &["rows.csv", "--target", "f1", "--recall", "0.9"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}
