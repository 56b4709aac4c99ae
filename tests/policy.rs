//! `mindrail policy test`.

use std::path::PathBuf;

use mindrail_core::conversation::Role;
use mindrail_core::language::Language;
use mindrail_core::policy::DEFAULT_TOML;
use mindrail_core::policy::cases::{self, Case, Claim, Place, Presence};
use mindrail_core::taxonomy::{CrisisLabel, Taxonomy as _};
use mindrail_core::verdict::RuleName;
use serde_json::Value;

use crate::program::{Folder, Ran, repository};

/// The files of `cases/`, in order.
fn shipped() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(repository("cases")).expect("the folder");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "md"));
    files.sort();
    files
}

fn shipped_cases() -> Vec<Case> {
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).expect("a file of cases");
        cases::read(&file.display().to_string(), &text)
    };
    shipped().into_iter().flat_map(read).map(|case| case.expect("a case that can be read")).collect()
}

fn case(expectations: &str) -> String {
    format!("{HARMLESS}\n## Expectations\n\n{expectations}\n")
}

const HARMLESS: &str = "# The tablecloth

Nothing is wrong.

## Conversation

**Person:** how do i get candle wax out of a tablecloth, zzqx

**Assistant:** Let it harden, scrape it off, then iron it through paper.

**Person:** worked, thank you so much
";

fn test(expectations: &str, more: &[&str]) -> Ran {
    let folder = Folder::new();
    folder.write("cloth.md", case(expectations));
    folder.run(&[&["policy", "test", "cloth.md"], more].concat())
}

#[test]
fn every_shipped_case_stands_as_it_says() {
    let files: Vec<String> = shipped().iter().map(|file| file.display().to_string()).collect();
    let mut arguments = vec!["policy", "test"];
    arguments.extend(files.iter().map(String::as_str));
    let ran = Folder::new().run(&arguments);
    let unsettled: Vec<&str> = ran.stdout.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert_eq!(ran.code, Some(0), "{}\n{}", unsettled.join("\n"), ran.stderr);
}

#[test]
fn the_shipped_cases_cover_every_rule_every_label_and_every_language() {
    let shipped = shipped_cases();
    assert!(shipped.len() >= 64, "{}", shipped.len());
    let claims: Vec<Claim> =
        shipped.iter().flat_map(|case| &case.expectations).map(|expectation| expectation.claim).collect();
    let has = |wanted: &dyn Fn(&Claim) -> bool| claims.iter().any(wanted);
    for rule in [
        RuleName::Risk,
        RuleName::GraveSignal,
        RuleName::ConfirmedCrisis,
        RuleName::Alert,
        RuleName::PastEvent,
        RuleName::ThirdParty,
        RuleName::NotEvaluated,
    ] {
        assert!(has(&|c| matches!(c, Claim::PersonRule(_, Presence::Present, r) if *r == rule)), "{rule:?}");
    }
    for rule in [RuleName::UnsafeReply, RuleName::HarmfulReply, RuleName::NotEvaluated] {
        assert!(has(&|c| matches!(c, Claim::ReplyRule(_, Presence::Present, r) if *r == rule)), "{rule:?}");
    }
    for label in CrisisLabel::ALL {
        let is_alert = label.wire().starts_with("alert");
        let is_meant = |c: &Claim| matches!(c, Claim::Onset(l, Place::At(_) | Place::By(_)) if l == label);
        assert!(is_alert || has(&is_meant), "{}", label.wire());
    }
    for language in Language::ALL {
        assert!(has(&|c| *c == Claim::Language(language)), "{language:?}");
    }
}

#[test]
fn headings_are_the_names_of_the_shipped_cases_and_none_comes_twice() {
    let mut headings: Vec<String> = shipped_cases().into_iter().map(|case| case.heading).collect();
    let all = headings.len();
    headings.sort();
    headings.dedup();
    assert_eq!(headings.len(), all);
}

#[test]
fn no_turn_of_a_shipped_case_is_without_words() {
    let blank = |case: &Case| case.conversation.turns.iter().any(|turn| turn.text.is_empty());
    let blank: Vec<String> = shipped_cases().into_iter().filter(blank).map(|case| case.heading).collect();
    assert!(blank.is_empty(), "{blank:?}");
    let system = |case: &Case| case.conversation.turns.iter().any(|turn| turn.role == Role::System);
    assert!(!shipped_cases().iter().any(system));
}

#[test]
fn a_case_that_holds_is_ok() {
    let ran = test("- action: allow\n- reply 1: allow\n- language: en", &[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let said = "ok             cloth.md:1  The tablecloth\n1 case: 1 ok, 0 known to fail, 0 failed\n";
    assert_eq!(ran.stdout, said);
}

#[test]
fn a_case_that_fails_says_what_was_expected_and_found_and_exits_with_three() {
    let ran = test("- after turn 0: escalate\n- onset: SI_active at turn 2\n- language: fr", &[]);
    assert_eq!(ran.code, Some(3));
    for said in [
        "FAILED         cloth.md:1  The tablecloth",
        "line 15: expected after turn 0: escalate\n    found allow (no reason); risk 0.",
        "line 16: expected onset: confirm_SI_active_ongoing at turn 2\n    found no onset",
        "line 17: expected language: fr\n    found en",
        "1 case: 0 ok, 0 known to fail, 1 failed",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("zzqx"), "no text of the conversation");
}

#[test]
fn a_mark_excuses_a_failure_until_the_expectation_holds() {
    let ran = test("- action: escalate\n  - known to fail: wax is no emergency", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stdout);
    assert!(ran.stdout.contains("known to fail: wax is no emergency"), "{}", ran.stdout);
    let ran = test("- action: allow\n  - known to fail: it did once", &[]);
    assert_eq!(ran.code, Some(3), "{}", ran.stdout);
    assert!(ran.stdout.starts_with("MARK MUST GO   cloth.md:1"), "{}", ran.stdout);
}

#[test]
fn a_case_that_cannot_be_read_is_named_and_the_others_are_run() {
    let folder = Folder::new();
    folder.write("cloth.md", format!("{}\n{}", case("- action: shout"), case("- action: allow")));
    let ran = folder.run(&["policy", "test", "cloth.md"]);
    assert_eq!(ran.code, Some(4));
    assert_eq!(
        ran.stderr,
        "mindrail: cloth.md:15: expectation: found a text of 5 characters, expected allow, support, escalate, \
         with `at least` or `at most` before it where wanted\n"
    );
    assert!(ran.stdout.ends_with("1 case: 1 ok, 0 known to fail, 0 failed; 1 could not be read\n"));
}

#[test]
fn a_file_that_is_not_there_or_is_no_text_is_an_error() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["policy", "test", "none.md"]).code, Some(1));
    folder.write("bytes.md", [0xff, 0xfe, 0x00]);
    let ran = folder.run(&["policy", "test", "bytes.md"]);
    assert_eq!(
        (ran.code, ran.stderr.as_str()),
        (Some(1), "mindrail: bytes.md: found bytes that are no UTF-8, expected Markdown\n",)
    );
    assert_eq!(folder.run(&["policy", "test"]).code, Some(2));
}

#[test]
fn no_case_with_the_words_asked_for_is_an_error() {
    let ran = test("- action: allow", &["--case", "train"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert_eq!(test("- action: allow", &["--case", "the TABLE"]).code, Some(0));
}

#[test]
fn another_policy_gives_other_verdicts() {
    let folder = Folder::new();
    folder.write("cloth.md", case("- action: support\n- rule: risk"));
    folder.write("strict.toml", DEFAULT_TOML.replace("[person.grave_signal]", STRICT));
    let ran = folder.run(&["policy", "test", "cloth.md", "--policy", "strict.toml"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
}

const STRICT: &str = "[person.risk.thresholds.en]\nhigh_risk = 1.0\nsupport = 0.0\n\n[person.grave_signal]";

#[test]
fn json_has_every_expectation_and_no_text_of_the_conversation() {
    let ran = test("- action: allow\n- language: fr\n  - known to fail: it is English", &["--json"]);
    let found: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(found["known_to_fail"], 1);
    let case = &found["cases"][0];
    assert_eq!((&case["standing"], &case["line"]), (&"known_to_fail".into(), &1.into()));
    let second = &case["expectations"][1];
    assert_eq!((&second["expected"], &second["found"]), (&"language: fr".into(), &"en".into()));
    assert!(!ran.stdout.contains("zzqx"));
}

#[test]
fn the_timeline_shows_the_numbers_of_the_turns() {
    let ran = test("- action: allow", &["--timeline"]);
    assert!(ran.stdout.contains("   2  user       worked, thank you"), "{}", ran.stdout);
}
