//! Tests of the registry: of the shipped data, and of what a file may say.

use super::*;

fn day(text: &str) -> Date {
    text.parse().expect("a day")
}

fn shipped() -> Registry {
    Registry::from_toml("helplines.toml", SHIPPED_TOML).expect("the shipped file")
}

#[test]
fn every_shipped_entry_says_how_it_is_known() {
    for line in shipped().entries() {
        let read = line.sources.iter().any(|source| source.grade.is_read());
        match &line.standing {
            Standing::Verified { .. } => {
                panic!("{}: nobody of this project can verify a helpline", line.id);
            }
            Standing::Documented { documented_at, expires_at } => {
                assert!(read, "{}", line.id);
                assert!(documented_at < expires_at, "{}", line.id);
                assert!(*documented_at <= day("2026-11-30"), "{}: nobody has read in the future", line.id);
                assert!(*expires_at <= day("2027-05-31"), "{}: half a year at most", line.id);
            }
            Standing::Unverified { .. } => assert!(!read, "{}: a source was read after all", line.id),
            Standing::Contradicted { .. } => {
                assert!(line.sources.len() > 1, "{}: one source contradicts nobody", line.id);
            }
        }
    }
}

#[test]
fn what_is_shipped_is_shown_as_its_sources_allow() {
    let status = |line: &Helpline| {
        let shown = line.standing.shown(Show::Documented, day("2026-12-01")).is_some();
        format!("{} {}", line.id, if shown { "shown" } else { "hidden" })
    };
    let table: Vec<String> = shipped().entries().map(status).collect();
    insta::assert_snapshot!(table.join("\n"), @r"
    ca-988 shown
    ca-kids-help-phone shown
    ca-kids-help-phone-text-en hidden
    ca-kids-help-phone-text-fr hidden
    ca-qc-appelle hidden
    fr-119 shown
    fr-3018 hidden
    fr-3114 shown
    fr-fil-sante-jeunes shown
    fr-samu shown
    gb-childline hidden
    gb-samaritans hidden
    gb-shout hidden
    us-911 hidden
    us-988 shown
    us-988-text-chat hidden
    us-crisis-text-line hidden
    ");
}

#[test]
fn nothing_shipped_is_shown_once_it_has_expired_or_where_verification_is_asked_for() {
    for line in shipped().entries() {
        assert_eq!(line.standing.shown(Show::Documented, day("2027-06-01")), None, "{}", line.id);
        assert_eq!(line.standing.shown(Show::Verified, day("2026-12-01")), None, "{}", line.id);
        assert_eq!(line.standing.shown(Show::Off, day("2026-12-01")), None, "{}", line.id);
    }
}

#[test]
fn an_entry_is_shown_on_its_last_day_and_not_after() {
    let standing = Standing::Verified { verified_at: day("2026-01-31"), expires_at: day("2026-07-31") };
    let shown = |today: &str| standing.shown(Show::Verified, day(today));
    assert_eq!(shown("2026-07-31"), Some(Checked::VerifiedAt(day("2026-01-31"))));
    assert_eq!(shown("2026-08-01"), None);
}

const ENTRY: &str = r#"
[[helpline]]
id = "x"
name = "X"
place = "CA"
languages = ["en"]
ages = { min = 5, max = 20 }
topics = ["any"]
kind = "helpline"
channels = [{ kind = "call", number = "1" }]
standing = { status = "verified", verified_at = "2026-01-31", expires_at = "2026-07-31" }
sources = [{ name = "asked", grade = "operator" }]
"#;

fn error_of(from: &str, to: &str) -> String {
    assert!(ENTRY.contains(from));
    let error = Registry::from_toml("own.toml", &ENTRY.replace(from, to)).expect_err("no registry");
    error.to_string()
}

#[test]
fn an_operator_verifies_hides_and_adds_entries() {
    let own = ENTRY.replace("id = \"x\"", "id = \"ca-988\"") + ENTRY;
    let own = Registry::from_toml("own.toml", &own).expect("a registry");
    let before = shipped().entries().count();
    let both = shipped().overridden_by(own);
    assert_eq!(both.entries().count(), before + 1);
    let line = both.entries().find(|line| line.id == "ca-988").expect("still there");
    assert_eq!(line.name.written(Language::En), "X");
    assert!(matches!(line.standing, Standing::Verified { .. }));
}

#[test]
fn an_entry_that_contradicts_itself_is_an_error() {
    insta::assert_snapshot!(error_of("\"2026-07-31\"", "\"2026-01-31\""), @"own.toml:1: the file: x: found `expires_at` at or before the day on which it was looked at, expected it after");
    insta::assert_snapshot!(error_of("\"operator\"", "\"third_party\""), @"own.toml:1: the file: x: found a verified entry without a source of the grade `operator` or `first_party`");
    insta::assert_snapshot!(error_of("{ name = \"asked\", grade = \"operator\" }", ""), @"own.toml:1: the file: x: found no source, expected at least one");
    insta::assert_snapshot!(error_of("{ kind = \"call\", number = \"1\" }", ""), @"own.toml:1: the file: x: found no channel, expected at least one");
    insta::assert_snapshot!(error_of("min = 5", "min = 21"), @"own.toml:1: the file: x: found `min` above `max` in `ages`, expected it at or below");
    insta::assert_snapshot!(error_of("id = \"x\"", "id = \"X x\""), @"own.toml:1: the file: found the id `X x`, expected small letters, digits and hyphens");
    let twice = Registry::from_toml("own.toml", &format!("{ENTRY}{ENTRY}")).expect_err("no registry");
    insta::assert_snapshot!(twice, @"own.toml:1: the file: found the id `x` twice, expected it once");
}

#[test]
fn a_documented_entry_that_nobody_has_read_of_is_an_error() {
    let known = ENTRY
        .replace("verified_at", "documented_at")
        .replace("\"verified\"", "\"documented\"")
        .replace("\"operator\"", "\"general_knowledge\"");
    let error = Registry::from_toml("own.toml", &known).expect_err("no registry");
    insta::assert_snapshot!(error, @"own.toml:1: the file: x: found a documented entry of which nobody has read a source");
}

#[test]
fn a_value_that_is_none_is_an_error_with_its_line() {
    insta::assert_snapshot!(error_of("place = \"CA\"", "place = \"Canada\""), @"own.toml:5: helpline.place: found `Canada`, expected a country such as `CA` or a region such as `CA-QC`");
    insta::assert_snapshot!(error_of("[\"en\"]", "[\"mix\"]"), @r#"own.toml:6: helpline.languages: expected ["en"], ["fr"] or ["en", "fr"]"#);
    insta::assert_snapshot!(error_of("[\"any\"]", "[\"any\", \"SH\"]"), @"own.toml:8: helpline.topics: found `any`, expected one of `SI_passive`, `SI_active`, `SH`, `DV`, `CA`, `SHA`, `RA`");
    insta::assert_snapshot!(error_of("[\"any\"]", "[]"), @r#"own.toml:8: helpline.topics: found no topic, expected ["any"] or crisis types"#);
    insta::assert_snapshot!(error_of("2026-07-31", "2026-07-32"), @"own.toml:11: helpline.standing: found `2026-07-32`, expected a day written as YYYY-MM-DD");
    insta::assert_snapshot!(error_of("status = \"verified\", ", "status = \"verified\", checked = 1, "), @"own.toml:11: helpline.standing: unknown field `checked`, expected `verified_at` or `expires_at`");
    insta::assert_snapshot!(error_of("status = \"verified\", verified_at = \"2026-01-31\", expires_at = \"2026-07-31\"", "status = \"unverified\""), @"own.toml:11: helpline.standing: missing field `reason`");
    insta::assert_snapshot!(error_of("name = \"X\"", "name = { en = \"X\" }"), @"own.toml:4: helpline.name: expected one text, or a text `en` and a text `fr`");
    insta::assert_snapshot!(error_of("kind = \"helpline\"", "kind = \"helpline\"\nphone = \"1\""), @"own.toml:10: helpline.phone: unknown field `phone`, expected one of `id`, `name`, `place`, `languages`, `ages`, `topics`, `kind`, `channels`, `hours`, `standing`, `sources`, `note`");
    insta::assert_snapshot!(error_of("kind = \"helpline\"\n", ""), @"own.toml:2: helpline: missing field `kind`");
}

#[test]
fn contacts_are_said_in_the_person_s_language() {
    let words = |text: &str| Words::try_from(text.to_owned()).expect("words");
    let channels = [
        Channel::Call { number: words("1-2") },
        Channel::Text { number: words("34"), keyword: None },
        Channel::Text { number: words("56"), keyword: Some(words("HI")) },
        Channel::Chat { url: words("https://x.invalid") },
    ];
    assert_eq!(
        contact(&channels, Language::En),
        "call 1-2 or text 34 or text HI to 56 or chat at https://x.invalid"
    );
    assert_eq!(contact(&channels[..1], Language::Fr), "appelle le 1-2");
    assert_eq!(contact(&channels[..1], Language::Mix), "call 1-2 / appelle le 1-2");
}
