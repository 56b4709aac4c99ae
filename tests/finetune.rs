//! `mindrail train recipe` from a published recipe to scores and a benchmark, on a tiny
//! random checkpoint of Qwen2.5's form.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Folder, repository};

fn base(name: &str) -> String {
    repository(&format!("crates/finetune/tests/golden/{name}")).display().to_string()
}

/// KHP's generated conversations in small. Rows of a low and a high risk are plain to tell.
pub(crate) fn conversations(from: usize, rows: usize) -> String {
    let mut text =
        "text,label,source,primary_signal,escalation_stage,register,language,persona_id,signals\n".to_owned();
    for i in from..from + rows {
        let is_sad = i % 2;
        let said = ["i like the rain today", "nothing will get better"][is_sad];
        let signals: Vec<String> = [
            "burden_language",
            "finality_language",
            "escape_framing",
            "hopelessness",
            "active_self_harm",
            "immediate_safety",
            "self_image_crisis",
            "third_party_concern",
            "testing",
        ]
        .iter()
        .map(|name| format!("\"\"{name}\"\":{}", usize::from(*name == "hopelessness") * is_sad))
        .collect();
        let _ = writeln!(
            text,
            "\"**User:** {said}, day {i}\n\n**Support:** tell me more of day {i}\n\n**User:** {said} {i}\",\
             {is_sad},generate_scratch,none,early,casual_texting,en,p{i:04},\"{{{}}}\"",
            signals.join(",")
        );
    }
    text
}

fn arguments(folder: &Folder, more: &[&str]) -> Vec<String> {
    let data = folder.write("train.csv", conversations(0, 40)).display().to_string();
    let mut arguments: Vec<String> =
        ["train", "recipe", "khp", "--base", &base("qwen2"), "--data", &data, "--output"]
            .map(str::to_owned)
            .into();
    arguments.push(folder.path("run").display().to_string());
    arguments.extend(more.iter().map(|one| (*one).to_owned()));
    arguments
}

fn trained(folder: &Folder, more: &[&str]) -> PathBuf {
    let arguments = arguments(folder, more);
    let ran = folder.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    folder.path("run/seed-42/bundle")
}

/// The bundle of a recipe's training, by what stands between the command and its output.
fn bundle_of(folder: &Folder, arguments: &[&str]) -> String {
    let run = folder.path("run").display().to_string();
    let ran = folder.run(&[&["train", "recipe"], arguments, &["--output", &run]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    folder.path("run/seed-42/bundle").display().to_string()
}

#[test]
fn the_khp_recipe_goes_from_data_through_score_and_bench() {
    let folder = Folder::new();
    let bundle = trained(&folder, &["--epochs", "2", "--tensorboard"]).display().to_string();
    assert!(folder.path("run/seed-42/tensorboard").is_dir());
    let summary: Value = serde_json::from_str(&folder.read("run/summary.json")).expect("JSON");
    assert_eq!(summary["seeds"][0]["seed"], 42);

    let input = folder.write("new.csv", conversations(100, 6)).display().to_string();
    let output = folder.path("scores.jsonl").display().to_string();
    let ran = folder.run(&[
        "score",
        "--input",
        &input,
        "--text-column",
        "text",
        "--output",
        &output,
        "--bundle",
        &bundle,
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines: Vec<Value> =
        folder.read("scores.jsonl").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 6);
    assert!(lines.iter().all(|line| line["model"]["name"] == "khp" && line["status"] == "ok"));

    let ran = folder.run(&[
        "bench",
        "distress",
        "--data",
        &input,
        "--system",
        &format!("bundle:{bundle}"),
        "--output",
        &folder.path("bench").display().to_string(),
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // What a model was not trained for, the embedded one beside it would say in its name.
    let row = r#"[{"context": "[seeker]it rains", "response": "[supporter]tell me more", "label": 7}]"#;
    let replies = folder.write("replies.json", row).display().to_string();
    let ran = folder.run(&[
        "bench",
        "reply",
        "--data",
        &replies,
        "--system",
        &format!("bundle:{bundle}"),
        "--output",
        "other",
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("trained for none of reply_class"), "{}", ran.stderr);
}

#[test]
fn a_recipe_can_be_printed_changed_and_given_back() {
    let folder = Folder::new();
    let printed = folder.run(&["train", "recipe", "reply-bert", "--print"]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    assert!(printed.stdout.contains("DEVIATION"));
    let changed = printed.stdout.replace("epochs = 5", "epochs = 0");
    let file = folder.write("mine.toml", changed).display().to_string();
    let ran = folder.run(&[
        "train",
        "recipe",
        "--recipe",
        &file,
        "--base",
        &base("bert"),
        "--data",
        "none.json",
        "--output",
        "run",
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("training.epochs: found 0"), "{}", ran.stderr);
    let ran = folder.run(&["train", "recipe", "nothing", "--print"]);
    assert!(ran.stderr.contains("reply-roberta"), "{}", ran.stderr);
}

#[test]
fn a_training_that_is_killed_is_taken_up_by_the_same_command() {
    let folder = Folder::new();
    let arguments = arguments(&folder, &["--epochs", "80"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_mindrail"))
        .args(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let checkpoint = folder.path("run/seed-42/checkpoint.safetensors");
    let begun = Instant::now();
    while !checkpoint.is_file() && begun.elapsed() < Duration::from_mins(1) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert!(checkpoint.is_file(), "no checkpoint in a minute");
    assert!(!folder.path("run/summary.json").exists(), "it ended before it was killed");
    // Other settings are another run.
    let other = arguments.iter().map(|one| if one == "80" { "2" } else { one }).collect::<Vec<_>>();
    let ran = folder.run(&other);
    assert!(ran.code == Some(1) && ran.stderr.contains("another recipe, base or data"), "{}", ran.stderr);
    let before = folder.read("run/seed-42/log.jsonl").lines().count();
    let ran = folder.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(folder.read("run/seed-42/log.jsonl").lines().count() > before);
}

#[test]
fn a_server_does_not_take_a_model_that_would_keep_texts() {
    let folder = Folder::new();
    let bundle = trained(&folder, &["--most-steps", "1"]).display().to_string();
    let ran = folder.run(&[
        "serve",
        "--bundle",
        &bundle,
        "--store",
        &folder.path("store.db").display().to_string(),
    ]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("train distill"), "{}", ran.stderr);
}

#[test]
fn a_base_that_is_no_checkpoint_is_named() {
    let folder = Folder::new();
    let data = folder.write("train.csv", conversations(0, 10)).display().to_string();
    let ran =
        folder.run(&["train", "recipe", "khp", "--base", "nowhere", "--data", &data, "--output", "run"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("nowhere"), "{}", ran.stderr);
}

#[test]
fn a_calibration_goes_into_the_bundle_and_refuses_rows_that_trained_it() {
    let folder = Folder::new();
    let bundle = trained(&folder, &["--epochs", "2"]).display().to_string();
    let train = folder.path("train.csv").display().to_string();
    let ran = folder.run(&["calibrate", &train, "--bundle", &bundle]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("trained the model"), "{}", ran.stderr);
    // Rows that trained it under another file's name are known by what the model reads.
    let text = folder.read("train.csv");
    let copy = folder.write("copy.csv", text + "\"**User:** one row more\",0,x,none,early,x,en,p9,\"[]\"\n");
    let ran = folder.run(&["calibrate", &copy.display().to_string(), "--bundle", &bundle]);
    assert!(ran.code == Some(1) && ran.stderr.contains("40 of 41 rows"), "{}", ran.stderr);
    let ran = folder.run(&["calibrate", &copy.display().to_string(), "--bundle", &bundle, "--without-seen"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("40 rows were left out"), "{}", ran.stderr);
    // A random checkpoint of two layers ranks as it likes; the map of no map fits anything.
    let new = folder.write("new.csv", conversations(100, 60)).display().to_string();
    let ran = folder.run(&[
        "calibrate",
        &new,
        "--bundle",
        &bundle,
        "--aggregation",
        "logistic",
        "--map",
        "none",
        "--target",
        "f1",
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let input = folder.write("one.csv", conversations(500, 2)).display().to_string();
    let output = folder.path("scores.jsonl").display().to_string();
    let score =
        ["score", "--input", &input, "--text-column", "text", "--output", &output, "--bundle", &bundle];
    let ran = folder.run(&score);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let written: Value =
        serde_json::from_str(&folder.read("run/seed-42/bundle/calibration.json")).expect("a calibration");
    assert_eq!(written["fitted_on"][0]["rows"], 60);
    // Copies of the label, which the recipe lets stand for signals that nobody gave, choose none.
    let unlabelled = conversations(300, 60).lines().fold(String::new(), |text, line| {
        let row = line.split_once(",\"{").map_or(line.to_owned(), |(row, _)| format!("{row},\"[]\""));
        text + &row + "\n"
    });
    let unlabelled = folder.write("unlabelled.csv", unlabelled).display().to_string();
    let more = ["--aggregation", "logistic", "--map", "none", "--target", "f1", "--label-target", "f1"];
    let ran = folder.run(&[&["calibrate", &unlabelled, "--bundle", &bundle], more.as_slice()].concat());
    assert!(ran.code == Some(1) && ran.stderr.contains("no label with a threshold"), "{}", ran.stderr);
    // `hopelessness` is on 30 of the 60 rows, the other signals on none.
    let written = folder.read("run/seed-42/bundle/label_thresholds.json");
    let written: Value = serde_json::from_str(&written).expect("thresholds");
    let of = |label: &str| &written["tasks"]["signals"]["thresholds"]["labels"][label];
    assert_eq!(of("hopelessness")["positives"], 30, "{written}");
    assert_eq!((of("testing")["positives"].as_u64(), of("testing")["threshold"].is_null()), (Some(0), true));
}

#[test]
fn a_model_of_replies_alone_is_given_thresholds_of_its_classes() {
    let folder = Folder::new();
    let replies = |from: usize, rows: usize| {
        let row = |i: usize| {
            let class = if i.is_multiple_of(2) { 7 } else { 4 };
            // By their lengths, since the tiny vocabulary knows few words.
            let said = ["tell me more", "nobody cares"][i % 2];
            let (context, more) = ("it rains ".repeat(1 + i % 20), " ok".repeat(i / 20));
            serde_json::json!({
                "context": format!("[seeker]{context}"), "response": format!("[supporter]{said}{more}"), "label": class
            })
        };
        serde_json::to_string(&(from..from + rows).map(row).collect::<Vec<_>>()).expect("JSON")
    };
    let data = folder.write("train.json", replies(0, 40)).display().to_string();
    // The recipe for a laptop, which chooses its epoch by the macro F1 of classes.
    let recipe = repository("configs/reply-minilm.toml").display().to_string();
    let base = base("bert");
    let chosen = ["--recipe", &recipe, "--base", &base, "--data", &data, "--seeds", "42", "--epochs", "1"];
    let bundle = bundle_of(&folder, &chosen);
    let new = folder.write("new.json", replies(100, 80)).display().to_string();
    let ran = folder.run(&["calibrate", &data, "--bundle", &bundle]);
    assert!(ran.code == Some(1) && ran.stderr.contains("40 of 40 rows"), "{}", ran.stderr);
    let ran = folder.run(&["calibrate", &new, "--bundle", &bundle, "--label-target", "youden"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("Thresholds of reply_class, youden, on 80 examples"), "{}", ran.stdout);
    let line = ran.stdout.lines().find(|line| line.starts_with("  unsafe ")).expect("a line");
    assert!(line.contains(" 40 "), "{line}");
    assert!(!folder.path("run/seed-42/bundle/calibration.json").exists(), "there was no risk to calibrate");
    let ran = folder.run(&["calibrate", &new, "--label-target", "f1"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("--bundle"), "{}", ran.stderr);
}

/// A configuration of distillation in small, with the corpus's labels beside the teacher.
fn distillation(base: &str) -> String {
    let text = std::fs::read_to_string(repository("configs/distill.toml")).expect("readable");
    let settings = text.split("# Sources with labels.").next().expect("settings");
    let mut config = [
        ("base = \"base/all-MiniLM-L6-v2\"", format!("base = {base:?}")),
        ("output = \"runs/distilled\"", "output = \"distilled\"".to_owned()),
        ("epochs = 5", "epochs = 1".to_owned()),
        ("first_trained_layer = 3", "first_trained_layer = 5".to_owned()),
        ("folds = 3", "folds = 2".to_owned()),
    ]
    .into_iter()
    .fold(settings.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, &to)
    });
    for (kind, name, fold) in [("train", "short_s", 0), ("train", "train_t", 1), ("dev", "train_v", 0)] {
        let path = repository(&format!("corpus/{name}.jsonl")).display().to_string();
        let _ = writeln!(
            config,
            "[[{kind}]]\npath = {path:?}\nkind = \"corpus\"\nlicence = \"Apache-2.0\"\nfold = {fold}\n\
             weight = 1.0\nwide_weight = 1.0\n"
        );
    }
    config
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn a_fine_tuned_model_teaches_the_embedded_architecture_which_is_then_served_as_any_bundle() {
    let minilm = repository("base/all-MiniLM-L6-v2");
    if !minilm.is_dir() {
        eprintln!("SKIPPED: {} is not here; docs/FINETUNING.md says where it comes from", minilm.display());
        return;
    }
    let folder = Folder::new();
    let teacher = trained(&folder, &["--epochs", "2"]).display().to_string();
    folder.write("distill.toml", distillation(&minilm.display().to_string()));
    let ran = folder.run(&["train", "distill", "--teacher", &teacher, "--config", "distill.toml"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let card = folder.read("distilled/bundle/MODEL_CARD.md");
    assert!(card.contains("khp 42-"), "the card names its teacher: {card}");
    let input = folder.write("new.csv", conversations(500, 4)).display().to_string();
    let ran = folder.run(&[
        "score",
        "--input",
        &input,
        "--text-column",
        "text",
        "--output",
        "scores.jsonl",
        "--bundle",
        "distilled/bundle",
    ]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let scores = folder.read("scores.jsonl");
    let lines = scores.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert_eq!(lines.filter(|line| line["model"]["name"] == "mindrail-distilled").count(), 4);
}

#[test]
fn a_score_without_a_taxonomy_is_shown_below_its_reply() {
    let folder = Folder::new();
    let pair = |i: usize| {
        serde_json::json!({
            "prompt": format!("day {i}?"), "response_0": format!("talk {i}"),
            "response_1": format!("be unkind {i}"), "is_response_0_safe": true,
            "is_response_1_safe": false, "better_response_id": 0, "safer_response_id": 0,
        })
        .to_string()
    };
    let pairs = (0..24).map(pair).collect::<Vec<_>>().join("\n");
    let data = folder.write("pairs.jsonl", pairs).display().to_string();
    let base = base("llama");
    let bundle = bundle_of(&folder, &["pku-reward", "--base", &base, "--data", &data, "--most-steps", "1"]);
    let chat = folder.write("chat.txt", "user: day 3?\nassistant: talk\n").display().to_string();
    let ran = folder.run(&["check", &chat, "--bundle", &bundle]);
    let shown = ran.stdout.lines().find(|line| line.trim_start().starts_with("reward "));
    let value = shown.and_then(|line| line.trim().strip_prefix("reward ")?.parse::<f32>().ok());
    assert!(value.is_some_and(f32::is_finite), "{}{}", ran.stdout, ran.stderr);
}
