//! `mindrail train embedded` and `mindrail train distill`.

use crate::program::Folder;

#[test]
fn a_configuration_with_an_unknown_key_is_refused_with_its_line() {
    let folder = Folder::new();
    folder.write("train.toml", "name = \"x\"\nlearning_speed = 3\n");
    let ran = folder.run(&["train", "embedded", "--config", "train.toml"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("train.toml") && ran.stderr.contains("learning_speed"), "{}", ran.stderr);
}

#[test]
fn a_missing_configuration_is_named() {
    let ran = Folder::new().run(&["train", "embedded", "--config", "none.toml"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("none.toml"), "{}", ran.stderr);
}

#[test]
fn a_teacher_that_is_not_there_is_named() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/distill.toml");
    let ran = Folder::new().run(&["train", "distill", "--teacher", "nobody", "--config", config]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("nobody/manifest.json"), "{}", ran.stderr);
}

#[test]
fn a_configuration_that_asks_for_a_teacher_is_not_trained_without_one() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/distill.toml");
    let ran = Folder::new().run(&["train", "embedded", "--config", config]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("mindrail train distill"), "{}", ran.stderr);
}
