//! `mindrail train embedded`.

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
