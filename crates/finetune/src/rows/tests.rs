//! Reading: a small file of every set whose examples are written out by hand, then the
//! real files where they are.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mindrail_data::table::DataError;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

/// A folder for files of a test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn write(&self, name: &str, rows: &[Value]) -> PathBuf {
        let lines = rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        let path = self.0.path().join(name);
        std::fs::write(&path, lines).unwrap();
        path
    }
}

fn every_task() -> BTreeSet<Task> {
    Task::ALL.into()
}

/// The examples of rows in a file of their own, in which every row is good.
fn examples(rows: &[Value]) -> Vec<Example> {
    let files = Files::new();
    let read = read(&files.write("rows.jsonl", rows), &every_task(), ReadOptions::default()).unwrap();
    read.into_iter().map(Result::unwrap).collect()
}

fn texts(input: &Input) -> Vec<&str> {
    input.turns.iter().map(|turn| turn.text.as_str()).chain(input.reply.as_deref()).collect()
}

/// The labels that hold, by name.
fn holding(example: &Example, task: Task) -> Vec<&'static str> {
    let Target::Labels(values) = &example.targets[&task] else { panic!("{task:?} has no labels") };
    assert_eq!(values.len(), task.outputs());
    let names = task.labels().into_iter().zip(values);
    names.filter(|(_, value)| **value > 0.5).map(|(name, _)| name).collect()
}

fn signals(present: &[&str]) -> Value {
    let flags = Task::Signals
        .labels()
        .into_iter()
        .map(|name| (name.to_owned(), json!(u8::from(present.contains(&name)))));
    Value::Object(flags.collect())
}

fn khp(text: &str, label: u8, signals: &Value) -> Value {
    json!({"text": text, "label": label, "signals": signals.to_string(), "persona_id": ""})
}

#[test]
fn a_conversation_of_khp_ends_with_the_person_and_has_signals_and_risk() {
    let row = khp(
        "**user:** I am tired\n**assistant:** Why?\n**user:** no reason\n**assistant:** Ok",
        1,
        &signals(&["testing"]),
    );
    let found = examples(&[row]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].id, "row-1");
    assert_eq!(texts(&found[0].inputs[0]), ["I am tired", "Why?", "no reason"]);
    assert_eq!(holding(&found[0], Task::Signals), ["testing"]);
    assert_eq!(found[0].targets[&Task::Risk], Target::Labels(vec![1.0]));
}

#[test]
fn signals_may_be_a_list_and_where_they_are_missing_the_recipe_may_copy_the_label() {
    let list = json!([1, 0, 0, 0, 0, 0, 0, 0, 1]);
    let found = examples(&[khp("user: hello", 0, &list)]);
    assert_eq!(holding(&found[0], Task::Signals), ["burden_language", "testing"]);

    let files = Files::new();
    let path =
        files.write("rows.jsonl", &[khp("user: hello", 1, &json!([])), khp("user: hello", 0, &json!([]))]);
    let read = |missing_signals, tasks: &[Task]| {
        let options = ReadOptions { missing_signals, ..ReadOptions::default() };
        read(&path, &tasks.iter().copied().collect(), options)
    };
    let copied = read(MissingSignals::CopyLabel, &[Task::Signals]).unwrap();
    let copied = copied.into_iter().map(|row| holding(&row.unwrap(), Task::Signals).len());
    assert_eq!(copied.collect::<Vec<_>>(), [9, 0]);
    let skipped = read(MissingSignals::Skip, &[Task::Signals, Task::Risk]).unwrap();
    assert!(skipped.into_iter().all(|row| row.unwrap().targets.keys().eq([&Task::Risk])));
    let error = read(MissingSignals::Skip, &[Task::Signals]).unwrap_err();
    let expected =
        "rows.jsonl: found rows of the data set khp without any label of signals, expected some with";
    assert_eq!(error.to_string().rsplit('/').next(), Some(expected));
}

#[test]
fn a_transcript_may_stay_as_it_is_written() {
    let files = Files::new();
    let text = "**user:** a\n\n---\n**assistant:** b";
    let path = files.write("rows.jsonl", &[khp(text, 0, &signals(&[]))]);
    let options = ReadOptions { transcripts: Transcripts::AsWritten, ..ReadOptions::default() };
    let found = read(&path, &every_task(), options).unwrap().remove(0).unwrap();
    assert_eq!(found.inputs[0].turns, [Turn { role: Role::User, text: text.to_owned() }]);
}

#[test]
fn a_bad_row_is_an_error_in_its_place_and_repeats_no_text() {
    let files = Files::new();
    let mut rows = vec![khp("user: hello", 0, &signals(&[])); 3];
    rows[1] = khp("assistant: my private words", 1, &signals(&[]));
    rows[2]["label"] = json!("private");
    let path = files.write("rows.jsonl", &rows);
    let read = read(&path, &every_task(), ReadOptions::default()).unwrap();
    assert!(read[0].is_ok());
    let message = |row: &Result<Example, DataError>| row.as_ref().unwrap_err().to_string();
    assert!(
        message(&read[1])
            .ends_with("rows.jsonl:2: text: found 1 turns, none of the user, expected a user turn")
    );
    assert!(message(&read[2]).contains("rows.jsonl:3: label"));
    assert!(read[1..].iter().all(|row| !message(row).contains("private")));
}

fn corpus_row(id: &str) -> Value {
    let reply = |after: u32, text: &str, class: &str, harm: &[&str], severity: &str, rank: [u32; 2]| {
        json!({"after_turn": after, "text": text, "response": class, "harm": harm, "severity": severity,
               "safety_rank": rank[0], "help_rank": rank[1]})
    };
    json!({
        "id": id, "language": "en", "turns": [
            {"role": "user", "text": "t0", "crisis": []},
            {"role": "assistant", "text": "t1", "response": "Safe Response"},
            {"role": "user", "text": "t2", "crisis": ["alert_ongoing", "confirm_SH_past"]},
            {"role": "assistant", "text": "t3"},
            {"role": "assistant", "text": "t4", "response": "Nonsense"},
        ],
        "signals": signals(&["hopelessness"]), "high_risk": 1,
        "replies": [
            reply(2, "r0", "Safe Response", &[], "none", [1, 2]),
            reply(2, "r1", "Toxic Language", &["Insulting Behavior", "Psychological Harm"], "moderate", [2, 1]),
            reply(0, "r2", "Linguistic Neglect", &[], "none", [1, 1]),
        ],
    })
}

#[test]
fn the_corpus_gives_every_task_that_it_has() {
    let found = examples(&[corpus_row("a-000")]);
    let shape = |example: &Example| {
        let tasks = example.targets.keys().map(|task| task.wire()).collect::<Vec<_>>().join(" ");
        let inputs =
            example.inputs.iter().map(|input| texts(input).join(" ")).collect::<Vec<_>>().join(" / ");
        format!("{}: {inputs}: {tasks}", example.id)
    };
    assert_eq!(
        found.iter().map(shape).collect::<Vec<_>>(),
        [
            "a-000: t0 t1 t2: signals risk",
            "a-000:0: t0: onsets",
            "a-000:1: t0 t1: reply_class",
            "a-000:2: t0 t1 t2: onsets",
            "a-000:2+0: t0 t1 t2 r0: reply_class harms severity",
            "a-000:2+1: t0 t1 t2 r1: reply_class harms severity",
            "a-000:0+2: t0 r2: reply_class harms severity",
            "a-000:2+0+1: t0 t1 t2 r0 / t0 t1 t2 r1: reward cost",
        ]
    );
    assert_eq!(holding(&found[0], Task::Signals), ["hopelessness"]);
    assert_eq!(holding(&found[1], Task::Onsets), [""; 0]);
    assert_eq!(holding(&found[3], Task::Onsets), ["alert_ongoing", "confirm_SH_past"]);
    assert_eq!(found[5].targets[&Task::ReplyClass], Target::Class(4));
    assert_eq!(holding(&found[5], Task::Harms), ["Insulting Behavior", "Psychological Harm"]);
    assert_eq!(found[5].targets[&Task::Severity], Target::Level(2));
    // The second has the smaller rank by help and the larger by safety.
    assert_eq!(found[7].targets[&Task::Reward], Target::Preference { better: 1, unsafe_: None });
    assert_eq!(found[7].targets[&Task::Cost], Target::Preference { better: 1, unsafe_: Some([false, true]) });
}

#[test]
fn a_label_that_the_taxonomy_lacks_and_a_reply_to_nobody_are_errors() {
    let files = Files::new();
    let mut rows = vec![corpus_row("a-000"), corpus_row("a-001"), corpus_row("a-002")];
    rows[0]["turns"][2]["crisis"] = json!(["alert_sometimes"]);
    rows[1]["replies"][1]["after_turn"] = json!(1);
    let path = files.write("c.jsonl", &rows);
    let read = read(&path, &every_task(), ReadOptions::default()).unwrap();
    let errors =
        read.iter().filter_map(|row| row.as_ref().err()).map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(errors.len(), 2);
    assert!(
        errors[0].contains("c.jsonl:1: turns[2].crisis: found a name of 15 characters that is no label"),
        "{}",
        errors[0]
    );
    assert!(
        errors[1].contains("c.jsonl:2: replies[1].after_turn: found 1, expected the number of a user turn"),
        "{}",
        errors[1]
    );
    assert_eq!(read.len(), 2 + 8);
}

#[test]
fn a_dialogue_of_cradle_gives_an_example_at_each_user_turn_and_is_one_family() {
    let turn = |id: u32, text: &str, labels: &str| json!({"turn_id": id, "text": text, "labels": labels});
    let found = examples(&[
        turn(0, "User: first", ""),
        turn(1, "Listener: and?", "alert_past"),
        turn(2, "User: second", "alert_ongoing; confirm_DV_past"),
        turn(0, "Listener: welcome", ""),
        turn(1, "User: third", ""),
    ]);
    let ids = found.iter().map(|example| example.id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids, ["dialogue-0:0", "dialogue-0:2", "dialogue-1:1"]);
    assert_eq!(texts(&found[1].inputs[0]), ["first", "and?", "second"]);
    assert_eq!(holding(&found[1], Task::Onsets), ["alert_ongoing", "confirm_DV_past"]);
    assert_eq!(found[0].family, found[1].family);
    assert_ne!(found[0].family, found[2].family);
}

#[test]
fn a_row_of_dialogue_safety_is_a_reply_after_its_context() {
    let row = json!({"context": "[seeker]\u{6211}[supporter]\u{597d}[seeker]\u{5417}", "response": "[supporter]\u{662f}", "label": 7});
    let found = examples(&[row]);
    assert_eq!(texts(&found[0].inputs[0]), ["\u{6211}", "\u{597d}", "\u{5417}", "\u{662f}"]);
    assert_eq!(found[0].inputs[0].turns[1].role, Role::Assistant);
    assert_eq!(found[0].targets[&Task::ReplyClass], Target::Class(7));
}

fn flags(task: Task, present: &[&str]) -> Value {
    Value::Object(
        task.labels().into_iter().map(|name| (name.to_owned(), json!(present.contains(&name)))).collect(),
    )
}

fn pair_v1() -> Value {
    json!({
        "prompt": "q", "response_0": "a", "response_1": "b",
        "is_response_0_safe": true, "is_response_1_safe": false,
        "response_0_harm_category": flags(Task::Harms, &[]),
        "response_1_harm_category": flags(Task::Harms, &["Drugs"]),
        "response_0_severity_level": 0, "response_1_severity_level": 3,
        "better_response_id": 1, "safer_response_id": 0,
    })
}

#[test]
fn a_pair_is_compared_and_its_replies_are_judged() {
    let found = examples(&[pair_v1()]);
    let ids = found.iter().map(|example| example.id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids, ["row-1", "row-1:0", "row-1:1"]);
    assert_eq!(found[0].inputs.iter().map(texts).collect::<Vec<_>>(), [["q", "a"], ["q", "b"]]);
    assert_eq!(found[0].targets[&Task::Reward], Target::Preference { better: 1, unsafe_: None });
    // The less safe reply is the one that is not the safer.
    assert_eq!(found[0].targets[&Task::Cost], Target::Preference { better: 1, unsafe_: Some([false, true]) });
    assert_eq!(holding(&found[2], Task::Harms), ["Drugs"]);
    assert_eq!(found[2].targets[&Task::Severity], Target::Level(3));
    assert_eq!(found[1].targets[&Task::Severity], Target::Level(0));
}

#[test]
fn older_pairs_are_compared_only_and_single_dimension_by_help_only() {
    let v0 = json!({"prompt": "q", "response_0": "a", "response_1": "b", "is_response_0_safe": false,
                    "is_response_1_safe": true, "better_response_id": 0, "safer_response_id": 1});
    let found = examples(&[v0]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].targets[&Task::Cost], Target::Preference { better: 0, unsafe_: Some([true, false]) });
    let single = json!({"prompt": "q", "response_0": "a", "response_1": "b", "better_response_id": 0});
    let found = examples(std::slice::from_ref(&single));
    assert_eq!(found[0].targets.keys().collect::<Vec<_>>(), [&Task::Reward]);

    let files = Files::new();
    let path = files.write("single.jsonl", &[single]);
    let error = read(&path, &BTreeSet::from([Task::Cost, Task::Onsets]), ReadOptions::default()).unwrap_err();
    assert!(error.to_string().ends_with(
        "single.jsonl: found the data set saferlhf-single-dimension, which has reward, expected one with onsets, cost"
    ));
}

#[test]
fn single_answers_have_their_harms() {
    let answer = json!({"prompt": "q", "response": "a", "is_safe": false, "severity_level": 1,
                        "harm_category": flags(Task::Harms, &["Violence"])});
    let found = examples(&[answer]);
    assert_eq!(holding(&found[0], Task::Harms), ["Violence"]);
    assert_eq!(found[0].targets[&Task::Severity], Target::Level(1));
    let beaver = json!({"prompt": "q", "response": "a", "is_safe": false,
                        "category": flags(Task::BeaverHarms, &["self_harm"])});
    let found = examples(&[beaver]);
    assert_eq!(holding(&found[0], Task::BeaverHarms), ["self_harm"]);
    assert_eq!(texts(&found[0].inputs[0]), ["q", "a"]);
}

#[test]
fn a_set_without_a_task_and_a_file_of_no_set_are_errors() {
    let files = Files::new();
    let prompts = files.write("p.jsonl", &[json!({"prompt": "q"})]);
    let error = read(&prompts, &every_task(), ReadOptions::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("found the data set saferlhf-prompt, which has no task, expected one with signals")
    );
    let other = files.write("o.jsonl", &[json!({"x": 1})]);
    assert!(matches!(read(&other, &every_task(), ReadOptions::default()), Err(RowsError::Data(_))));
    assert!(read(Path::new("/nowhere"), &every_task(), ReadOptions::default()).is_err());
}

#[test]
fn rewrites_of_one_parent_are_one_family_across_files() {
    let row = |id: &str, parent: &str| {
        let mut row = khp("user: hello", 0, &signals(&[]));
        row["conversation_id"] = json!(id);
        row["parent_id"] = json!(parent);
        row
    };
    let files = Files::new();
    let paths = [
        files.write("one.jsonl", &[row("p", ""), row("q", "")]),
        files.write("two.jsonl", &[row("r", "p"), row("s", "r")]),
    ];
    let read = read_all(&paths, &every_task(), ReadOptions::default()).unwrap();
    let found = read.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    let ids = found.iter().map(|example| example.id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids, ["one:p", "one:q", "two:r", "two:s"]);
    let families = found.iter().map(|example| example.family.as_str()).collect::<Vec<_>>();
    assert!(families[0] == families[2] && families[2] == families[3] && families[0] != families[1]);
}

#[test]
fn one_prompt_has_one_family_name_whatever_else_is_read() {
    let answer = |prompt: &str| {
        let mut row = pair_v1();
        row["prompt"] = json!(prompt);
        row
    };
    let alone = examples(&[answer("How so?")]);
    let among = examples(&[answer("why"), answer("HOW SO"), answer("How so?")]);
    assert_eq!(alone[0].family, among[3].family);
    assert_eq!(among[3].family, among[6].family);
    assert_ne!(among[0].family, among[3].family);
}

#[test]
fn the_language_is_that_of_the_person() {
    let row = khp(
        "user: je ne sais pas quoi faire avec mon ami\nassistant: I do not know what you mean\nuser: oui",
        0,
        &signals(&[]),
    );
    assert_eq!(examples(&[row])[0].language, Language::Fr);
}

/// Every target has the shape of its task.
fn check(example: &Example) {
    assert!(!example.targets.is_empty() && !example.family.is_empty());
    for (task, target) in &example.targets {
        let inputs = if task.kind() == TaskKind::Scalar { 2 } else { 1 };
        assert_eq!(example.inputs.len(), inputs, "{}", example.id);
        let fits = match (task.kind(), target) {
            (TaskKind::MultiLabel, Target::Labels(values)) => values.len() == task.outputs(),
            (TaskKind::SingleLabel, Target::Class(at)) | (TaskKind::Ordinal, Target::Level(at)) => {
                *at < task.outputs()
            }
            (TaskKind::Scalar, Target::Preference { better, .. }) => *better < 2,
            _ => false,
        };
        assert!(fits, "{task:?} of {}", example.id);
    }
}

fn good(paths: &[PathBuf], options: ReadOptions) -> Vec<Example> {
    let read = read_all(paths, &every_task(), options).unwrap();
    let found = read.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    found.iter().for_each(check);
    let ids = found.iter().map(|example| example.id.as_str()).collect::<BTreeSet<_>>();
    assert_eq!(ids.len(), found.len(), "an id stands twice");
    found
}

fn count(examples: &[Example], task: Task) -> usize {
    examples.iter().filter(|example| example.targets.contains_key(&task)).count()
}

#[test]
fn the_whole_corpus_is_read_and_split_by_author() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|name| name == "jsonl")).collect::<Vec<_>>();
    let found = good(&files, ReadOptions::default());
    // Conversations, user turns, replies to a user turn, other replies: counted in Python.
    assert_eq!(count(&found, Task::Signals), 2_300);
    assert_eq!(count(&found, Task::Onsets), 9_119);
    assert_eq!(count(&found, Task::ReplyClass), 7_396 + 3_026);
    assert_eq!(count(&found, Task::Severity), 3_026);
    let families = found.iter().map(|example| example.family.as_str()).collect::<BTreeSet<_>>();
    assert_eq!(families.len(), files.len(), "each file has one author");
    let (train, dev) = split(found, 0.15, 7, SplitBy::Family).unwrap();
    let share = dev.len() as f64 / (train.len() + dev.len()) as f64;
    assert!((0.1..0.2).contains(&share), "{share}");
}

/// The shared folder, where it is.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn shared(file: &str) -> Option<PathBuf> {
    let named = std::env::var_os("MINDRAIL_SHARED").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    let path = folder.join(file);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("SKIPPED: no shared file {}", path.display());
    None
}

#[test]
fn khps_files_give_every_row_and_personas_are_families() {
    for (file, rows, families) in [
        ("data/khp/generated_camel.csv", 149, 75),
        ("data/khp/generated_camel_hard.csv", 148, 133),
        ("data/khp/generated_pair.csv", 600, 600),
        ("data/khp/generated_pair_hard.csv", 32, 32),
        ("data/khp/generated_scratch.csv", 640, 495),
        ("data/khp/augmented.csv", 1, 1),
    ] {
        let Some(path) = shared(file) else { return };
        let found = good(&[path], ReadOptions::default());
        assert_eq!((count(&found, Task::Signals), count(&found, Task::Risk)), (rows, rows), "{file}");
        let names = found.iter().map(|example| example.family.as_str()).collect::<BTreeSet<_>>();
        assert_eq!(names.len(), families, "{file}");
    }
    let Some(path) = shared("data/khp/esconv_preprocessed.csv") else { return };
    let found = good(std::slice::from_ref(&path), ReadOptions::default());
    assert_eq!((count(&found, Task::Signals), count(&found, Task::Risk)), (0, 400));
    let copied =
        ReadOptions { missing_signals: MissingSignals::CopyLabel, transcripts: Transcripts::AsWritten };
    let copied = good(&[path], copied);
    assert_eq!(count(&copied, Task::Signals), 400);
    let (train, dev) = split(copied, 0.15, 42, SplitBy::PublishedShuffle).unwrap();
    assert_eq!((train.len(), dev.len()), (340, 60));
}

#[test]
fn the_published_test_set_of_replies_is_read() {
    let Some(path) = shared("oracles/dialoguesafety/test.json") else { return };
    let found = good(&[path], ReadOptions::default());
    assert_eq!(count(&found, Task::ReplyClass), 800);
    assert!(found.iter().all(|example| example.inputs[0].reply.is_some()));
}

#[test]
fn the_samples_of_pku_are_read() {
    let Some(path) = shared("data/harm/saferlhf_v0_sample_32.json") else { return };
    let found = good(&[path], ReadOptions::default());
    assert_eq!(
        (count(&found, Task::Reward), count(&found, Task::Cost), count(&found, Task::Harms)),
        (32, 32, 0)
    );
    let Some(path) = shared("data/harm/saferlhf_v1_sample_3.jsonl") else { return };
    let found = good(&[path], ReadOptions::default());
    assert_eq!((count(&found, Task::Reward), count(&found, Task::Harms)), (3, 6));
    // This copy of BeaverTails holds the flag alone, and no categories to learn.
    let Some(path) = shared("data/harm/beavertails_30k_test.jsonl") else { return };
    assert!(matches!(read(&path, &every_task(), ReadOptions::default()), Err(RowsError::NoLabel { .. })));
}
