//! `mindrail check`.

use crate::program::{Folder, repository};

const CALM: &str = "user: my bus was late again\nassistant: Annoying. Did you get there?\nuser: yes, all good, we laughed about it\n";

#[test]
fn the_demo_shows_a_timeline_and_escalates() {
    let ran = Folder::new().run(&["check", "--demo"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("Verdict: ESCALATE"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\x1b'), "no escape sequences in a pipe");
}

#[test]
fn fail_on_escalate_exits_with_three() {
    let ran = Folder::new().run(&["check", "--demo", "--fail-on", "escalate"]);
    assert_eq!(ran.code, Some(3));
}

#[test]
fn an_everyday_conversation_does_not_reach_fail_on_escalate() {
    let ran = Folder::new().run_with_input(&["check", "-", "--fail-on", "escalate"], CALM);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
}

#[test]
fn json_carries_no_text_of_the_conversation() {
    let ran = Folder::new().run_with_input(&["check", "-", "--json"], CALM);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["status"], "ok");
    assert_eq!(report["turns"].as_array().map(Vec::len), Some(3));
    assert!(!ran.stdout.contains("laughed"));
}

#[test]
fn a_conversation_without_a_user_turn_is_never_allowed() {
    let ran = Folder::new().run_with_input(&["check", "-", "--json"], "assistant: Hello, how can I help?\n");
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["verdict"]["action"], "support");
    assert!(report["risk"].is_null());
    assert!(ran.stdout.contains("no_user_turn"));
}

#[test]
fn a_long_turn_is_read_whole_and_a_very_long_one_is_said_to_be_cut() {
    let words =
        |count: usize| format!("user: {}\n", "we went to the lake and it was fine ".repeat(count / 9));
    let long = Folder::new().run_with_input(&["check", "-", "--json"], &words(900));
    assert!(long.stdout.contains("\"not_evaluated\":[]"), "{}", long.stdout);
    let longer = Folder::new().run_with_input(&["check", "-", "--json"], &words(4000));
    assert!(longer.stdout.contains("truncated"), "{}", longer.stdout);
}

#[test]
fn a_script_that_the_model_cannot_read_is_said_and_supported() {
    let ran = Folder::new().run_with_input(&["check", "-", "--json"], "user: 今天我很难过不知道怎么办\n");
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["not_evaluated"][0]["reason"], "unsupported_language");
    assert_ne!(report["verdict"]["action"], "allow");
}

#[test]
fn a_stranger_inside_a_reply_is_not_passed_over() {
    let text = "User: hello\nBot: hi\nSam: i feel awful\nBot: hm\n";
    let ran = Folder::new().run_with_input(&["check", "-", "--json"], text);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["not_evaluated"][0]["reason"], "unknown_speaker");
    assert_eq!(report["verdict"]["action"], "support");
}

#[test]
fn a_turn_of_nothing_but_signs_is_not_scored() {
    let ran = Folder::new().run_with_input(&["check", "-", "--json"], "user: ...\n");
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(report["not_evaluated"][0]["reason"], "empty_turn");
    assert_eq!(report["verdict"]["action"], "support");
}

#[test]
fn what_could_steer_a_terminal_is_not_printed() {
    let text = "{\"id\":\"a\\u001b[31m\\u202e\",\"messages\":[{\"role\":\"user\",\"content\":\"b\\u001b[2J\\u2066c\"}]}";
    let ran = Folder::new().run_with_input(&["check", "-"], text);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stdout.contains(['\u{1b}', '\u{202e}', '\u{2066}']), "{}", ran.stdout);
}

#[test]
fn a_bad_file_is_an_error_that_says_what_was_expected() {
    let folder = Folder::new();
    folder.write("chat.json", r#"{"messages":[{"role":"moderator","content":"hello there"}]}"#);
    let ran = folder.run(&["check", "chat.json"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("chat.json:1: messages[0].role: found a text of"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("moderator") && !ran.stderr.contains("hello there"));
}

#[test]
fn a_policy_with_an_unknown_key_is_refused_with_its_line() {
    let folder = Folder::new();
    folder.write("policy.toml", "version = 1\nsurprise = true\n");
    let ran = folder.run(&["check", "--demo", "--policy", "policy.toml"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("policy.toml"), "{}", ran.stderr);
}

const OWN: &str = r#"[[helpline]]
id = "ca-988"
name = "Own line"
place = "CA"
languages = ["en"]
topics = ["any"]
kind = "helpline"
channels = [{ kind = "call", number = "1-2-3" }]
standing = { status = "verified", verified_at = "2026-01-31", expires_at = "9999-12-31" }
sources = [{ name = "called on that day", grade = "operator" }]
"#;

#[test]
fn helplines_need_a_country_and_an_operator_s_registry_goes_before_the_shipped_one() {
    let folder = Folder::new();
    folder.write("own.toml", OWN);
    let check = |more: &[&str]| {
        let ran = folder.run(&[&["check", "--demo", "--helplines", "own.toml"], more].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout
    };
    assert!(!check(&[]).contains("1-2-3"), "nobody said in which country the person is");
    assert!(!check(&["--country", "FR"]).contains("1-2-3"));
    let shown = check(&["--country", "CA-QC"]);
    assert!(shown.contains("Own line: call 1-2-3 [CA; verified 2026-01-31]"), "{shown}");
    assert!(!shown.contains("9-8-8"), "the shipped entry with the same id is replaced");
}

#[test]
fn an_unknown_kind_of_country_is_wrong_usage() {
    let ran = Folder::new().run(&["check", "--demo", "--country", "Canada"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("a country such as `CA`"), "{}", ran.stderr);
}

#[test]
fn a_policy_from_before_the_fail_modes_is_refused_by_their_name() {
    let folder = Folder::new();
    let default =
        std::fs::read_to_string(repository("crates/core/src/policy/default.toml")).expect("a policy");
    let (before, after) = default.split_once("[fail]").expect("the fail modes");
    let after = after.split_once("[tracker]").expect("the rules").1;
    folder.write("old.toml", format!("{before}[tracker]{after}"));
    let ran = folder.run(&["check", "--demo", "--policy", "old.toml"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("old.toml:1: the file: missing field `fail`"), "{}", ran.stderr);
}
