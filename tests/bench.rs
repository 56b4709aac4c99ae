//! `mindrail bench`: the four protocols from data to report, a language model
//! behind a test server, and a run that is killed in the middle.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mindrail_llm::testing::{Behaviour, TestServer, completion, delayed};
use serde_json::{Value, json};

use crate::program::{Folder, Ran, repository};

fn dev() -> String {
    repository("corpus/dev_f.jsonl").display().to_string()
}

fn report(folder: &Folder, run: &str) -> Value {
    serde_json::from_str(&folder.read(&format!("{run}/report.json"))).expect("a report")
}

fn figure(report: &Value, name: &str) -> f64 {
    let figures = report["figures"].as_array().expect("figures");
    let found = figures.iter().find(|figure| figure["name"] == name);
    found.unwrap_or_else(|| panic!("no figure {name}"))["value"].as_f64().expect("a value")
}

fn bench(folder: &Folder, protocol: &str, more: &[&str]) -> Ran {
    let data = dev();
    let mut arguments = vec!["bench", protocol, "--data", &data, "--resamples", "50"];
    arguments.extend(more);
    folder.run(&arguments)
}

#[test]
fn the_guard_goes_through_three_protocols_on_the_corpus_and_a_gate_decides_the_exit_code() {
    let folder = Folder::new();
    for (protocol, headline) in [("distress", "auroc"), ("crisis", "turn_f1"), ("reply", "macro_f1")] {
        let ran = bench(&folder, protocol, &["--system", "bundle", "--output", protocol, "--limit", "12"]);
        assert_eq!(ran.code, Some(0), "{protocol}: {}", ran.stderr);
        let found = figure(&report(&folder, protocol), headline);
        assert!((0.0..=1.0).contains(&found), "{protocol}: {found}");
        let sample = report(&folder, protocol)["method"]["options"]["sample"].to_string();
        assert!(sample.contains(" items, in ") && sample.contains("drawn with seed 17"), "{sample}");
        let page = folder.read(&format!("{protocol}/report.html"));
        assert!(page.contains("<svg") && !page.contains("http-equiv=\"refresh\""));
        let passes = format!("{headline}>=0");
        let fails = format!("{headline}>=1.01");
        for (gate, code) in [(passes, 0), (fails, 3)] {
            let more = ["--system", "bundle", "--output", protocol, "--limit", "12", "--min", &gate];
            let ran = bench(&folder, protocol, &more);
            assert_eq!(ran.code, Some(code), "{gate}: {}", ran.stderr);
        }
    }
}

/// A row of the corpus with these turns.
fn corpus_row(turns: &Value) -> Value {
    json!({
        "id": "x-000", "language": "en", "turns": turns,
        "signals": {"burden_language":0,"finality_language":0,"escape_framing":0,"hopelessness":0,
            "active_self_harm":0,"immediate_safety":0,"self_image_crisis":0,"third_party_concern":0,"testing":0},
        "high_risk": 1, "replies": [], "why": ""
    })
}

#[test]
fn a_turn_that_the_guard_cannot_read_has_no_answer_and_is_not_one_without_an_onset() {
    let folder = Folder::new();
    let turns = json!([
        {"role": "user", "text": "we baked bread today and it was fine", "crisis": []},
        {"role": "assistant", "text": "That sounds lovely."},
        {"role": "user", "text": "今天我很难过不知道怎么办", "crisis": []},
    ]);
    folder.write("data.jsonl", format!("{}\n", corpus_row(&turns)));
    let data = ["--data", "data.jsonl", "--set", "corpus", "--system", "bundle", "--resamples", "0"];
    let ran = folder.run(&[&["bench", "crisis", "--output", "run"][..], &data].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let row: Value = serde_json::from_str(&folder.read("run/predictions.jsonl")).expect("a row");
    assert_eq!(row["turns"], json!([[], "not_evaluated"]));
}

#[test]
fn several_runs_of_a_system_are_reported_beside_each_other() {
    let folder = Folder::new();
    let made = bench(&folder, "distress", &["--system", "bundle", "--output", "a"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let rows = folder.read("a/predictions.jsonl");
    let of_run = |run: u64, flip: bool| {
        let row = move |line: &str| {
            let mut row: Value = serde_json::from_str(line).expect("a row");
            row["run"] = json!(run);
            let is_called = row["high_risk"].as_bool().expect("a decision");
            row["high_risk"] = json!(is_called ^ flip);
            format!("{row}\n")
        };
        rows.lines().map(row).collect::<String>()
    };
    folder.write("runs.jsonl", of_run(42, false) + &of_run(43, true));
    let ran = bench(&folder, "distress", &["--system", "predictions:runs.jsonl", "--output", "b"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("Over 2 runs") && ran.stdout.contains("Runs: 42, 43."), "{}", ran.stdout);
    // The figures are those of the first run, and all answers are kept.
    let (a, b) = (report(&folder, "a"), report(&folder, "b"));
    assert_eq!(a["figures"], b["figures"]);
    assert_eq!(folder.read("b/predictions.jsonl").lines().count(), 2 * rows.lines().count());
    let table = &b["sections"][0]["tables"][0];
    let accuracy = table["rows"].as_array().expect("rows").iter().find(|row| row[0]["text"] == "Accuracy");
    // What one run calls rightly the other calls wrongly.
    let mean = accuracy.expect("a row")[2]["value"]["value"].as_f64().expect("a value");
    assert!((mean - 0.5).abs() < 1e-9, "{table}");
    let compared = folder.run(&["bench", "compare", "a", "b", "--resamples", "50"]);
    assert_eq!(compared.code, Some(0), "{}", compared.stderr);
}

#[test]
fn no_text_of_a_conversation_is_in_a_report_unless_it_is_asked_for() {
    let folder = Folder::new();
    let text = "zebras drank all the tea again";
    let turns = json!([{"role": "user", "text": text, "crisis": ["confirm_SH_past"]}]);
    folder.write("data.jsonl", format!("{}\n", corpus_row(&turns)));
    let run = |output: &str, more: &[&str]| {
        let mut arguments = vec![
            "bench",
            "crisis",
            "--data",
            "data.jsonl",
            "--set",
            "corpus",
            "--system",
            "bundle",
            "--resamples",
            "0",
            "--output",
            output,
        ];
        arguments.extend(more);
        let ran = folder.run(&arguments);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let files =
            ["report.json", "report.md", "report.html", "predictions.jsonl", "cells.jsonl", "plan.json"];
        files.map(|name| folder.read(&format!("{output}/{name}"))).concat() + &ran.stdout + &ran.stderr
    };
    assert!(!run("hidden", &[]).contains(text));
    assert!(run("shown", &["--show-text"]).contains(text));
}

/// Answers a crisis question with one label for every third user turn.
fn labels(number: usize) -> String {
    if number.is_multiple_of(3) {
        "{\"labels\": [\"alert_ongoing\"]}".to_owned()
    } else {
        "{\"labels\": []}".to_owned()
    }
}

fn model_run(server: &TestServer, protocol: &str, limit: &str) -> Vec<String> {
    let arguments = [
        "bench",
        protocol,
        "--data",
        &dev(),
        "--limit",
        limit,
        "--resamples",
        "50",
        "--system",
        "llm:test-model",
        "--endpoint",
        &server.url(),
        "--output",
        "run",
        "--no-cache",
    ];
    arguments.map(str::to_owned).into()
}

fn run(folder: &Folder, arguments: &[String]) -> Ran {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    folder.run(&arguments)
}

#[test]
fn a_run_that_is_killed_in_the_middle_goes_on_without_asking_anything_twice() {
    let server = TestServer::start(|request| {
        delayed(Duration::from_millis(15), Behaviour::Answer(labels(request.number)))
    })
    .expect("a server");
    let folder = Folder::new();
    let arguments = model_run(&server, "crisis", "12");
    let mut child = Command::new(env!("CARGO_BIN_EXE_mindrail"))
        .args(&arguments)
        .current_dir(folder.path("."))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let cells = folder.path("run/cells.jsonl");
    let began = Instant::now();
    let lines = || std::fs::read_to_string(&cells).map_or(0, |text| text.lines().count());
    while lines() < 20 && began.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("a running child");
    child.wait().expect("a dead child");
    let written = lines();
    assert!(written >= 20, "only {written} answers in a minute");
    let before = server.received().len();
    let ran = run(&folder, &arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let mut asked = BTreeMap::new();
    for request in server.received() {
        *asked.entry(request.last_text()).or_insert(0) += 1;
    }
    let all = std::fs::read_to_string(&cells).expect("cells").lines().count();
    assert_eq!(asked.len(), all, "each question has one answer");
    // What was under way at the kill may be asked again; nothing that was written is.
    let again = asked.values().filter(|times| **times > 1).count();
    assert!(
        again <= before - written + 1,
        "{again} asked twice, {before} asked before the kill, {written} written"
    );
    let third = run(&folder, &arguments);
    assert_eq!(third.code, Some(0), "{}", third.stderr);
    assert_eq!(server.received().len(), asked.values().sum::<usize>(), "a finished run asks nothing");
}

#[test]
fn refusals_filters_and_answers_that_are_none_are_counted_and_shown_under_each_policy() {
    let server = TestServer::start(|request| match request.number % 5 {
        0 => Behaviour::Answer("{\"risk\": 0.9, \"signals\": {}}".to_owned()),
        1 => Behaviour::Answer("I would rather not say.".to_owned()),
        2 => Behaviour::FilteredAnswer,
        3 => Behaviour::FilterAzure,
        _ => Behaviour::Answer("{\"risk\": 0.1}".to_owned()),
    })
    .expect("a server");
    let folder = Folder::new();
    let ran = run(&folder, &model_run(&server, "distress", "20"));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report = report(&folder, "run");
    let outcomes = &report["outcomes"];
    assert_eq!(outcomes["ok"], 8, "{outcomes}");
    assert_eq!(
        (&outcomes["unparsable"], &outcomes["content_filtered"]),
        (&json!(4), &json!(8)),
        "{outcomes}"
    );
    let sections = report["sections"].as_array().expect("sections");
    assert!(sections.iter().any(|section| section["id"] == "unanswered"));
}

#[test]
fn a_budget_counts_what_earlier_sessions_of_the_run_paid() {
    let mut body = completion("Safe Response");
    body["usage"] = json!({"prompt_tokens": 3_000, "completion_tokens": 1_000});
    let server =
        TestServer::start(move |_| Behaviour::Json { status: 200, body: body.clone() }).expect("a server");
    let folder = Folder::new();
    let mut arguments = model_run(&server, "reply", "20");
    arguments.extend(["--budget-tokens", "20000", "--at-once", "1"].map(str::to_owned));
    let asked = [(); 2].map(|()| {
        let ran = run(&folder, &arguments);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        server.received().len()
    });
    // What the first session could not pay for, the second cannot either.
    assert!((1..=5).contains(&asked[0]), "{asked:?}");
    assert_eq!(asked[0], asked[1]);
}

#[test]
fn a_question_that_the_server_rejects_is_not_asked_again_and_one_that_failed_is() {
    let failure = |status: u16| {
        let body = json!({"error": {"message": "no", "code": null}});
        Behaviour::Json { status, body }
    };
    let server = TestServer::start(move |request| match request.number {
        0 => failure(400),
        1 => failure(503),
        2 => failure(404),
        _ => Behaviour::Answer("Safe Response".to_owned()),
    })
    .expect("a server");
    let folder = Folder::new();
    let mut arguments = model_run(&server, "reply", "12");
    arguments.extend(["--at-once", "1", "--max-retries", "0"].map(str::to_owned));
    let first = run(&folder, &arguments);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let outcomes = report(&folder, "run")["outcomes"].clone();
    assert_eq!((&outcomes["rejected"], &outcomes["failed"]), (&json!(1), &json!(2)), "{outcomes}");
    let asked = server.received().len();
    let second = run(&folder, &arguments);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert_eq!(server.received().len(), asked + 2);
    assert_eq!(report(&folder, "run")["outcomes"]["rejected"], 1);
}

/// Runs with a standard output that nobody reads, as behind `head` when it is done.
fn run_unread(folder: &Folder, arguments: &[&str]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mindrail"))
        .args(arguments)
        .current_dir(folder.path("."))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    child.wait_with_output().expect("the binary ends").into()
}

#[test]
fn a_reader_who_stops_early_hears_no_complaint_and_the_exit_code_stays() {
    let folder = Folder::new();
    let scores = repository("crates/lab/tests/oracles/khp/calibration.json").display().to_string();
    for more in [&[][..], &["--json"][..]] {
        let arguments = [&["calibrate", scores.as_str()][..], more].concat();
        let ran = run_unread(&folder, &arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
    let data = dev();
    for more in [&[][..], &["--json"][..], &["--tables"][..]] {
        let bench = ["bench", "distress", "--data", &data, "--system", "bundle", "--limit", "4"];
        let rest = ["--resamples", "0", "--output", "run", "--min", "auroc>=2"];
        let arguments = [&bench[..], &rest[..], more].concat();
        let ran = run_unread(&folder, &arguments);
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        assert!(!ran.stderr.to_lowercase().contains("pipe"), "{}", ran.stderr);
    }
}

#[test]
fn what_the_system_says_of_a_file_is_said_once_and_the_file_is_named_once() {
    let folder = Folder::new();
    let data = dev();
    folder.write("plain.txt", "a file where a folder is needed");
    let bundle = ["--system", "bundle", "--output", "run"];
    let on = |more: &[&'static str]| [&["bench", "distress", "--data", &data], more].concat();
    let model = ["--system", "llm:m", "--endpoint", "http://127.0.0.1:9/v1", "--output", "run"];
    let cases = [
        [&["bench", "distress", "--data", "absent.jsonl"], &bundle[..]].concat(),
        on(&["--system", "predictions:absent.jsonl", "--output", "run"]),
        on(&["--system", "bundle:absent.jsonl", "--output", "run"]),
        on(&[&bundle[..], &["--policy", "absent.jsonl"]].concat()),
        on(&["--system", "bundle", "--output", "plain.txt/absent.jsonl"]),
        on(&[&model[..], &["--cache", "none/absent.jsonl"]].concat()),
        on(&[&model[..], &["--shots", "1", "--examples", "absent.jsonl"]].concat()),
        vec!["bench", "compare", "absent.jsonl", "run"],
        vec!["calibrate", "absent.jsonl"],
    ];
    for arguments in cases {
        let ran = folder.run(&arguments);
        assert_eq!(ran.code, Some(1), "{arguments:?}: {}", ran.stderr);
        let said = ran.stderr.lines().find(|line| line.contains("os error")).unwrap_or_default();
        assert_eq!(said.matches("os error").count(), 1, "{arguments:?}: {}", ran.stderr);
        assert_eq!(said.matches("absent.jsonl").count(), 1, "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_user_turn_without_an_answer_is_counted_as_such_and_not_as_a_turn_without_an_onset() {
    let server = TestServer::start(|request| match request.number {
        0 => Behaviour::Refusal("no".to_owned()),
        1 => Behaviour::Answer("I would rather not say.".to_owned()),
        number => Behaviour::Answer(labels(number)),
    })
    .expect("a server");
    let folder = Folder::new();
    let mut arguments = model_run(&server, "crisis", "6");
    arguments.extend(["--at-once", "1"].map(str::to_owned));
    let ran = run(&folder, &arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let rows: Vec<Value> = folder
        .read("run/predictions.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect();
    let turns = rows.iter().flat_map(|row| row["turns"].as_array().into_iter().flatten());
    let unanswered: Vec<&str> = turns.filter_map(Value::as_str).collect();
    assert_eq!(unanswered, ["refused", "unparsable"]);
    let report = report(&folder, "run");
    let sections = report["sections"].as_array().expect("sections");
    let section = sections.iter().find(|section| section["id"] == "unanswered").expect("a section");
    assert!(section.to_string().contains("user turns without an answer"), "{section}");
    let notes = report["notes"].to_string();
    assert!(notes.contains("user turns have no answer (1 refused, 1 unparsable)"), "{notes}");
}

#[test]
fn a_key_goes_into_its_header_and_nowhere_else() {
    let server = TestServer::start(|_| Behaviour::Answer("Safe Response".to_owned())).expect("a server");
    let folder = Folder::new();
    let secret = "sk-secret-of-the-test";
    let mut arguments = model_run(&server, "reply", "12");
    arguments.extend(["--key-env".to_owned(), "MINDRAIL_TEST_KEY".to_owned()]);
    let output = Command::new(env!("CARGO_BIN_EXE_mindrail"))
        .args(&arguments)
        .env("MINDRAIL_TEST_KEY", secret)
        .current_dir(folder.path("."))
        .output()
        .expect("the binary runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains(secret));
    for request in server.received() {
        assert_eq!(request.header("authorization"), Some(format!("Bearer {secret}").as_str()));
        assert!(!request.body.contains(secret));
    }
    for file in std::fs::read_dir(folder.path("run")).expect("the run") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        assert!(!text.contains(secret));
    }
}

#[test]
fn a_dry_run_asks_nothing_and_says_what_it_would_cost() {
    let server = TestServer::start(|_| Behaviour::Answer(String::new())).expect("a server");
    let folder = Folder::new();
    let mut arguments = model_run(&server, "reply", "12");
    arguments.extend(["--dry-run", "--price-in", "1", "--price-out", "2"].map(str::to_owned));
    let ran = run(&folder, &arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let words: Vec<&str> = ran.stderr.split(' ').collect();
    let at = words.iter().position(|word| *word == "questions,").expect("a number of questions");
    assert!((1..=12).contains(&words[at - 1].parse::<usize>().expect("a number")), "{}", ran.stderr);
    assert!(server.received().is_empty() && !folder.path("run").exists());
}

#[test]
fn examples_never_come_from_what_is_tested() {
    let server = TestServer::start(|_| Behaviour::Answer("Safe Response".to_owned())).expect("a server");
    let folder = Folder::new();
    let mut arguments = model_run(&server, "reply", "12");
    arguments.extend(["--shots".to_owned(), "8".to_owned(), "--examples".to_owned(), dev()]);
    let ran = run(&folder, &arguments);
    // The examples are the rest of the file: other conversations than the tested.
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let asked = server.received()[0].last_text();
    assert_eq!(asked.matches("\nLabel:").count(), 9, "eight examples and the question");
    folder.write("one.jsonl", std::fs::read_to_string(dev()).expect("dev").lines().next().expect("a line"));
    let tested_alone = [
        "bench",
        "reply",
        "--data",
        "one.jsonl",
        "--system",
        "llm:m",
        "--endpoint",
        &server.url(),
        "--output",
        "other",
        "--shots",
        "1",
        "--examples",
        "one.jsonl",
    ];
    let ran = folder.run(&tested_alone);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("share an id, a family or their text"), "{}", ran.stderr);
}

#[test]
fn predictions_of_others_give_the_figures_of_the_run_that_made_them_and_two_runs_compare() {
    let folder = Folder::new();
    let made = bench(&folder, "distress", &["--system", "bundle", "--output", "a"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let read = bench(&folder, "distress", &["--system", "predictions:a/predictions.jsonl", "--output", "b"]);
    assert_eq!(read.code, Some(0), "{}", read.stderr);
    let (a, b) = (report(&folder, "a"), report(&folder, "b"));
    assert_eq!(a["figures"], b["figures"]);
    let ran = folder.run(&["bench", "compare", "a", "b", "--resamples", "50", "--json", "--output", "c"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let comparison: Value = serde_json::from_str(&ran.stdout).expect("a comparison");
    let rows = comparison["rows"].as_array().expect("rows");
    let auroc = rows.iter().find(|row| row["figure"] == "auroc").expect("auroc");
    assert_eq!((auroc["difference"].as_f64(), auroc["p"].as_f64()), (Some(0.0), Some(1.0)), "{auroc}");
    assert!(folder.read("c/comparison.html").contains("<table"));
}

#[test]
fn thresholds_and_amounts_that_are_none_are_refused_with_what_was_found() {
    let folder = Folder::new();
    let data = dev();
    let run = |protocol: &'static str| {
        vec!["bench", protocol, "--data", &data, "--system", "llm:m", "--output", "run"]
    };
    let score = || vec!["calibrate", "scores.json"];
    for (mut command, option, value, expected) in [
        (run("distress"), "--threshold", "1.5", "a number from 0 to 1"),
        (run("distress"), "--threshold", "-0.5", "a number from 0 to 1"),
        (run("harm"), "--unsafe-threshold", "NaN", "a number from 0 to 1"),
        (run("reply"), "--price-in", "-1", "a number, 0 or more"),
        (run("reply"), "--temperature", "inf", "a number, 0 or more"),
        (score(), "--stated", "70.75", "a number from 0 to 1"),
        (score(), "--recall", "95", "a number from 0 to 1"),
        (score(), "--inverse-penalty", "0", "a number above 0"),
    ] {
        command.extend([option, value]);
        let ran = folder.run(&command);
        assert_eq!(ran.code, Some(2), "{option} {value}: {}", ran.stderr);
        let said = format!("invalid value '{value}' for '{option}");
        assert!(ran.stderr.contains(&said) && ran.stderr.contains(expected), "{}", ran.stderr);
    }
}

#[test]
fn bad_predictions_are_told_by_file_row_and_field_and_never_by_their_words() {
    let folder = Folder::new();
    let words = "platypus";
    let id = "f-000";
    for (rows, expected) in [
        (String::new(), "p.csv"),
        (format!("id,risk\n{id},{words}\n"), "p.csv:2"),
        (format!("id,risk\nnobody-{words},0.5\n"), "not in the data"),
        (format!("id,risk\n{id},1.5\n"), "risk: found 1.5, expected a probability from 0 to 1"),
        (format!("id,risk,{words}\n{id},0.5,1\n"), "a field with a name of 8 characters"),
        (format!("id,risk\n{id},0.5\n{id},0.5\n"), "p.csv:3: id: found the id of row 1 again"),
        (format!("{words}\n1\n"), "id: found nothing"),
    ] {
        folder.write("p.csv", &rows);
        let more = ["--system", "predictions:p.csv", "--output", "run", "--overwrite"];
        let ran = bench(&folder, "distress", &more);
        assert_eq!(ran.code, Some(1), "{rows}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected) && !ran.stderr.contains(words), "{}", ran.stderr);
    }
}
