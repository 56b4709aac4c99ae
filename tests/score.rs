//! `mindrail score`.

use std::collections::{BTreeMap, BTreeSet};

use mindrail_core::assessment::NotEvaluatedReason;
use serde_json::Value;

use crate::program::{Folder, repository};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

fn schema() -> jsonschema::Validator {
    let text = std::fs::read_to_string(repository("schemas/score.schema.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    jsonschema::validator_for(&schema).expect("a valid schema")
}

#[test]
fn every_line_keeps_the_contract_and_the_order_of_the_input() {
    let folder = Folder::new();
    let batch = std::fs::read_to_string(repository("examples/batch.jsonl")).expect("the example");
    folder.write("in.jsonl", format!("{batch}not json at all\n"));
    let ran = folder.run(&["score", "--input", "in.jsonl", "--output", "out.jsonl"]);
    assert_eq!(ran.code, Some(4), "bad rows have an exit code of their own: {}", ran.stderr);
    let (schema, found) = (schema(), lines(&folder.read("out.jsonl")));
    for line in &found {
        let errors: Vec<String> = schema.iter_errors(line).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
    let ids: Vec<Value> = lines(&batch).iter().map(|row| row["id"].clone()).collect();
    let found_ids: Vec<Value> = found.iter().take(ids.len()).map(|row| row["id"].clone()).collect();
    assert_eq!(found_ids, ids);
    assert_eq!(found[ids.len()]["status"], "error");
}

#[test]
fn lines_with_helplines_keep_the_contract_too() {
    let folder = Folder::new();
    folder.write("in.jsonl", std::fs::read(repository("examples/demo.jsonl")).expect("the example"));
    let shipped =
        std::fs::read_to_string(repository("crates/core/src/policy/helplines.toml")).expect("the registry");
    // Kept from expiring, so that this test does not end with the shipped entries.
    folder.write("own.toml", shipped.replace("2027-05-31", "9999-12-31"));
    let default =
        std::fs::read_to_string(repository("crates/core/src/policy/default.toml")).expect("a policy");
    let own = "[[resources.helplines]]\nlanguage = \"fr\"\nname = \"n\"\ncontact = \"c\"\nregion = \"r\"\nverified_at = \"2026-01-31\"\n";
    folder.write("policy.toml", format!("{default}\n{own}"));
    let about = ["--country", "FR", "--age", "15", "--helplines", "own.toml", "--policy", "policy.toml"];
    let ran = folder.run(&[&["score", "--input", "in.jsonl", "--output", "out.jsonl"], &about[..]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let line = lines(&folder.read("out.jsonl")).remove(0);
    let errors: Vec<String> = schema().iter_errors(&line).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let helplines = line["resources"]["helplines"].as_array().expect("a list");
    let names: Vec<&Value> = helplines.iter().map(|line| &line["name"]).collect();
    assert_eq!(
        names,
        ["n", "Fil Santé Jeunes", "SAMU"],
        "own, then theirs by age, then the emergency number"
    );
    assert_eq!(helplines[0]["verified_at"], "2026-01-31");
    assert_eq!(helplines[1]["documented_at"], "2026-11-30");
    // The schema tells what was verified from what was read of.
    let mut both = line.clone();
    both["resources"]["helplines"][1]["verified_at"] = "2026-01-31".into();
    assert!(!schema().is_valid(&both));
    let mut neither = line;
    neither["resources"]["helplines"][0].as_object_mut().expect("an object").remove("verified_at");
    assert!(!schema().is_valid(&neither));
}

/// The verdicts on `tests/data/single_messages.jsonl`, which its author wrote apart
/// from the corpus: whose ids begin so, and what was done about them.
fn verdicts_on_single_messages(beginning: &str) -> Vec<(String, String)> {
    let verdicts = verdicts_on("tests/data/single_messages.jsonl");
    verdicts.into_iter().filter(|(id, _)| id.starts_with(beginning)).collect()
}

/// What is done about each conversation of a file, by its id.
fn verdicts_on(file: &str) -> Vec<(String, String)> {
    let folder = Folder::new();
    let input = repository(file);
    let input = input.to_str().expect("UTF-8");
    let ran = folder.run(&["score", "--input", input, "--output", "out.jsonl"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    lines(&folder.read("out.jsonl"))
        .iter()
        .map(|line| (text(&line["id"]), text(&line["verdict"]["action"])))
        .collect()
}

/// The verdicts on `tests/data/bare_answers.jsonl`, whose author wrote it apart from the
/// corpus: of those that expect this, how often each action.
fn actions_on_bare_answers(expected: &str) -> BTreeMap<String, usize> {
    let file = "tests/data/bare_answers.jsonl";
    let text = std::fs::read_to_string(repository(file)).expect("the file");
    let expecting = lines(&text)
        .into_iter()
        .filter(|line| line["expected"] == expected)
        .map(|line| line["id"].as_str().expect("an id").to_owned());
    let expecting: BTreeSet<String> = expecting.collect();
    verdicts_on(file).into_iter().filter(|(id, _)| expecting.contains(id)).fold(
        BTreeMap::new(),
        |mut counts, (_, action)| {
            *counts.entry(action).or_default() += 1;
            counts
        },
    )
}

#[test]
fn a_bare_answer_means_what_was_asked_before_it() {
    let (harmless, grave) = (actions_on_bare_answers("harmless"), actions_on_bare_answers("grave"));
    let count = |of: &BTreeMap<String, usize>, action: &str| of.get(action).copied().unwrap_or(0);
    assert_eq!((harmless.values().sum::<usize>(), grave.values().sum::<usize>()), (50, 30));
    assert!(count(&harmless, "escalate") <= 2, "{harmless:?}");
    assert!(count(&grave, "allow") == 0, "{grave:?}");
}

#[test]
fn explicit_messages_that_stand_alone_are_not_allowed() {
    let verdicts = verdicts_on_single_messages("alarm");
    let allowed: Vec<_> = verdicts.iter().filter(|(_, action)| action == "allow").collect();
    assert_eq!(verdicts.len(), 24);
    assert!(allowed.is_empty(), "{allowed:?}");
}

#[test]
fn everyday_messages_that_stand_alone_escalate_nothing_and_are_mostly_left_alone() {
    let verdicts = verdicts_on_single_messages("calm");
    let escalated: Vec<_> = verdicts.iter().filter(|(_, action)| action == "escalate").collect();
    let disturbed = verdicts.iter().filter(|(_, action)| action != "allow").count();
    assert_eq!(verdicts.len(), 24);
    assert!(escalated.is_empty() && disturbed <= 2, "{escalated:?}, {disturbed} disturbed");
}

#[test]
fn the_schema_knows_every_reason_for_not_evaluating() {
    let schema = std::fs::read_to_string(repository("schemas/score.schema.json")).expect("the schema");
    let schema: Value = serde_json::from_str(&schema).expect("JSON");
    let known = schema["$defs"]["not_evaluated"]["properties"]["reason"]["enum"].as_array().expect("a list");
    let reasons = NotEvaluatedReason::ALL.map(|reason| serde_json::to_value(reason).expect("a name"));
    assert_eq!(known.as_slice(), reasons);
}

#[test]
fn the_shape_of_a_line_does_not_change_unnoticed() {
    let folder = Folder::new();
    folder.write(
        "in.jsonl",
        r#"{"id":"a","messages":[{"role":"system","content":"be kind"},{"role":"user","content":"hi, long day"},{"role":"assistant","content":"Tell me about it."}]}"#,
    );
    folder.run(&["score", "--input", "in.jsonl", "--output", "out.jsonl"]);
    let mut line = lines(&folder.read("out.jsonl")).remove(0);
    blur(&mut line);
    insta::assert_json_snapshot!(line);
}

/// Replaces what a new model changes by what it must be.
fn blur(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            assert!((0.0..=1.0).contains(&number.as_f64().unwrap_or(-1.0)), "{number} is a probability");
            *value = "probability".into();
        }
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match name.as_str() {
                    "sha256" | "version" => *field = name.as_str().into(),
                    "class" | "severity" | "action" if field.is_string() => *field = name.as_str().into(),
                    "high_risk" => *field = "boolean".into(),
                    "resources" => *field = "null or words and helplines".into(),
                    "reasons" | "onsets" => *field = "list".into(),
                    _ => blur(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blur),
        _ => {}
    }
}

#[test]
fn csv_and_jsonl_of_the_same_conversation_give_the_same_scores() {
    let folder = Folder::new();
    folder.write("in.jsonl", r#"{"id":"1","messages":[{"role":"user","content":"hello you"},{"role":"assistant","content":"Hi!"},{"role":"user","content":"bye then"}]}"#);
    folder
        .write("in.csv", "id,chat\n1,\"**user:** hello you\n\n**assistant:** Hi!\n\n**user:** bye then\"\n");
    folder.run(&["score", "--input", "in.jsonl", "--output", "a.jsonl"]);
    let ran = folder.run(&["score", "--input", "in.csv", "--text-column", "chat", "--output", "b.jsonl"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(folder.read("a.jsonl"), folder.read("b.jsonl"), "speaker style must not reach the model");
}

#[test]
fn a_batch_that_was_cut_short_goes_on_and_ends_the_same() {
    let folder = Folder::new();
    folder.write("in.jsonl", std::fs::read(repository("examples/batch.jsonl")).expect("the example"));
    folder.run(&["score", "--input", "in.jsonl", "--output", "whole.jsonl"]);
    let whole = folder.read("whole.jsonl");
    let cut = whole.lines().next().map_or(0, str::len) + 40;
    folder.write("part.jsonl", &whole[..cut]);
    let refused = folder.run(&["score", "--input", "in.jsonl", "--output", "part.jsonl"]);
    assert_eq!(refused.code, Some(1), "an existing output is not overwritten unasked");
    let ran = folder.run(&["score", "--input", "in.jsonl", "--output", "part.jsonl", "--resume"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(folder.read("part.jsonl"), whole);
}

#[test]
fn a_batch_goes_on_only_with_lines_of_its_own_rows_model_and_policy() {
    let folder = Folder::new();
    let row =
        |id: &str| format!("{{\"id\":\"{id}\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}\n");
    folder.write("in.jsonl", row("a") + &row("b"));
    folder.write("other.jsonl", row("x") + &row("b"));
    let resume = |input: &str, more: &[&str]| {
        folder.run(&[&["score", "--input", input, "--output", "out.jsonl", "--resume"], more].concat())
    };
    assert_eq!(resume("in.jsonl", &[]).code, Some(0));
    let whole = folder.read("out.jsonl");
    let refused = resume("other.jsonl", &[]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("out.jsonl:1: belongs to another input"), "{}", refused.stderr);
    let default =
        std::fs::read_to_string(repository("crates/core/src/policy/default.toml")).expect("a policy");
    folder.write("p.toml", default.replace("severity_threshold = 0.5", "severity_threshold = 0.4"));
    let refused = resume("in.jsonl", &["--policy", "p.toml"]);
    assert!(refused.stderr.contains("another policy"), "{}", refused.stderr);
    assert_eq!(folder.read("out.jsonl"), whole, "what was refused is left alone");
    for foreign in ["a line of something else\n", "{\"precious\":", "{\"id\":\"a\",\"status\":\"ok\"}\n"] {
        folder.write("out.jsonl", foreign);
        assert!(resume("in.jsonl", &[]).stderr.contains("no line of `mindrail score`"), "{foreign}");
        assert_eq!(folder.read("out.jsonl"), foreign, "a file that is no output is left alone");
    }
}

#[test]
fn bad_rows_of_the_interrupted_part_are_counted_and_keep_their_id() {
    let folder = Folder::new();
    let good = "{\"id\":\"b\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n";
    folder.write("in.jsonl", format!("{{\"id\":\"a\",\"messages\":7}}\n{good}"));
    let run = |flag| folder.run(&["score", "--input", "in.jsonl", "--output", "out.jsonl", flag]);
    assert_eq!(run("--overwrite").code, Some(4));
    let whole = folder.read("out.jsonl");
    assert_eq!(lines(&whole)[0]["id"], "a");
    folder.write("out.jsonl", whole.lines().next().map(|line| format!("{line}\n")).unwrap_or_default());
    let resumed = run("--resume");
    assert_eq!(resumed.code, Some(4), "{}", resumed.stderr);
    assert_eq!(folder.read("out.jsonl"), whole);
}

#[test]
fn output_that_is_no_file_is_written_to_and_its_errors_name_it() {
    let folder = Folder::new();
    folder.write("in.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}\n");
    let to = |output: &str| folder.run(&["score", "--input", "in.jsonl", "--output", output]);
    assert_eq!(to("/dev/null").code, Some(0));
    for place in ["/dev/full", "/tmp"] {
        let ran = to(place);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains(place), "{}", ran.stderr);
    }
}

#[test]
fn no_text_of_a_bad_row_reaches_output_or_messages() {
    let folder = Folder::new();
    folder.write(
        "in.jsonl",
        "{\"messages\":[{\"role\":\"user\",\"content\":[1,\"my secret\"]}]}\n{\"secret words\n",
    );
    let ran = folder.run(&["score", "--input", "in.jsonl", "--output", "out.jsonl"]);
    assert_eq!(ran.code, Some(4));
    assert!(!ran.stderr.contains("secret") && !folder.read("out.jsonl").contains("secret"), "{}", ran.stderr);
}

#[test]
fn the_input_is_never_taken_as_the_output() {
    let folder = Folder::new();
    let text = "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}\n";
    folder.write("rows.jsonl", text);
    std::fs::hard_link(folder.path("rows.jsonl"), folder.path("linked.jsonl")).expect("a link");
    for (output, flag) in
        [("rows.jsonl", "--overwrite"), ("rows.jsonl", "--resume"), ("linked.jsonl", "--overwrite")]
    {
        let ran = folder.run(&["score", "--input", "rows.jsonl", "--output", output, flag]);
        assert_eq!(ran.code, Some(1), "{flag}");
        assert!(ran.stderr.contains("is the input too"), "{}", ran.stderr);
    }
}
