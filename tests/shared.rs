//! The commands on every file under `shared/data`, where it is.

use std::path::PathBuf;

use crate::program::{Folder, repository};

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("MINDRAIL_SHARED").map(PathBuf::from);
    let path = named.unwrap_or_else(|| repository("../shared"));
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: no shared data at {}", path.display());
    None
}

#[test]
fn check_answers_on_the_first_conversation_of_every_shared_file() {
    let Some(shared) = shared() else { return };
    let files = [
        "data/khp/augmented.csv",
        "data/khp/esconv_preprocessed.csv",
        "data/khp/generated_camel.csv",
        "data/khp/generated_camel_hard.csv",
        "data/khp/generated_pair.csv",
        "data/khp/generated_pair_hard.csv",
        "data/khp/generated_scratch.csv",
        "data/corpus/dev_f.jsonl",
        "data/corpus/train_a.jsonl",
        "data/esconv/FailedESConv.json",
        "data/harm/beavertails_30k_test.jsonl",
        "oracles/dialoguesafety/test.json",
    ];
    for file in files {
        let ran = Folder::new().run(&["check", shared.join(file).to_str().expect("UTF-8")]);
        assert_eq!(ran.code, Some(0), "{file}: {}", ran.stderr);
        assert!(ran.stdout.contains("Verdict: "), "{file}");
    }
}

#[test]
fn files_of_another_shape_are_refused_with_what_was_expected() {
    let Some(shared) = shared() else { return };
    for file in
        ["data/harm/saferlhf_v1_sample_3.jsonl", "data/khp/slang_bank.json", "data/khp/persona_bank.json"]
    {
        let ran = Folder::new().run(&["check", shared.join(file).to_str().expect("UTF-8")]);
        assert_eq!(ran.code, Some(1), "{file}");
        assert!(ran.stderr.contains("expected"), "{file}: {}", ran.stderr);
    }
}
