//! Every published recipe from data to a bundle, on tiny checkpoints: what comes out, what
//! an interruption costs, and what is refused.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use candle_core::Device;
use mindrail_finetune::bundle::{FineTuned, Opening, inspect, is_fine_tuned};
use mindrail_finetune::recipe::Recipe;
use mindrail_finetune::rows::Task;
use mindrail_finetune::{EventFiles, Job, Progress, SelectOn, StepReport, Summary, train};
use tempfile::TempDir;

pub(crate) fn base(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Keeps what was told, and may die in a step.
#[derive(Default)]
pub(crate) struct Kept {
    losses: Vec<f32>,
    notes: Vec<String>,
    dies_in: Option<usize>,
}

impl Progress for Kept {
    fn begin(&mut self, _seed: u64, _step: usize, _steps: usize) {}

    fn step(&mut self, report: &StepReport) {
        self.losses.push(report.loss);
        assert!(self.dies_in != Some(report.step), "killed as the test wants it");
    }

    fn note(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }
}

/// Conversations with signals, as KHP's generated files have them.
fn khp(rows: usize) -> String {
    let mut text =
        "text,label,source,primary_signal,escalation_stage,register,language,persona_id,signals\n".to_owned();
    for i in 0..rows {
        let sad = i % 2;
        let said = ["i like the rain today", "nothing will be better, i feel far from all"][sad];
        let signals = format!(
            "{{\"\"burden_language\"\":{sad},\"\"finality_language\"\":0,\"\"escape_framing\"\":0,\"\"hopelessness\"\":{sad},\
             \"\"active_self_harm\"\":0,\"\"immediate_safety\"\":0,\"\"self_image_crisis\"\":0,\"\"third_party_concern\"\":0,\
             \"\"testing\"\":0}}"
        );
        let _ = writeln!(
            text,
            "\"**User:** {said}, this is day {i}\n\n**Support:** tell me more of day {i}\n\n**User:** {said} {i}\",\
             {sad},generate_scratch,none,early,casual_texting,en,p{i:04},\"{signals}\""
        );
    }
    text
}

/// Replies with classes, as DialogueSafety has them.
fn replies(rows: usize) -> String {
    let row = |i: usize| {
        let (reply, label) = [("i hear you, tell me more", 7), ("look at the weather", 2)][i % 2];
        serde_json::json!({
            "context": format!("[seeker]i feel low on day {i}, and you?[supporter]i am here[seeker]it is hard {i}"),
            "response": format!("[supporter]{reply} {i}"),
            "label": label,
        })
    };
    serde_json::to_string(&(0..rows).map(row).collect::<Vec<_>>()).expect("JSON")
}

/// Pairs as PKU-SafeRLHF has them.
fn pairs(rows: usize) -> String {
    let row = |i: usize| {
        serde_json::json!({
            "prompt": format!("day {i}?"),
            "response_0": format!("talk {i}"),
            "response_1": format!("be unkind {i}"),
            "is_response_0_safe": true, "is_response_1_safe": false,
            "better_response_id": 0, "safer_response_id": 0,
        })
        .to_string()
    };
    (0..rows).map(row).collect::<Vec<_>>().join("\n") + "\n"
}

/// Answers with harms, as BeaverTails has them.
fn answers(rows: usize) -> String {
    let row = |i: usize| {
        let bad = i % 2 == 1;
        let names = [
            "animal_abuse",
            "child_abuse",
            "controversial_topics,politics",
            "discrimination,stereotype,injustice",
            "drug_abuse,weapons,banned_substance",
            "financial_crime,property_crime,theft",
            "hate_speech,offensive_language",
            "misinformation_regarding_ethics,laws_and_safety",
            "non_violent_unethical_behavior",
            "privacy_violation",
            "self_harm",
            "sexually_explicit,adult_content",
            "terrorism,organized_crime",
            "violence,aiding_and_abetting,incitement",
        ];
        let category: BTreeMap<&str, bool> =
            names.iter().map(|name| (*name, bad && *name == "non_violent_unethical_behavior")).collect();
        serde_json::json!({
            "prompt": format!("what can i do on day {i}?"),
            "response": if bad { format!("be unkind {i}") } else { format!("talk with a friend {i}") },
            "category": category,
            "is_safe": !bad,
        })
        .to_string()
    };
    (0..rows).map(row).collect::<Vec<_>>().join("\n") + "\n"
}

/// Turns with onsets, as CRADLE-Dialogue has them.
fn dialogues(count: usize) -> String {
    let mut text = "turn_id,text,labels\n".to_owned();
    for i in 0..count {
        let label = if i % 2 == 1 { "alert_ongoing" } else { "" };
        let _ = writeln!(text, "0,Person: hello on day {i},");
        let _ = writeln!(text, "1,Listener: hello to you {i},");
        let _ = writeln!(text, "2,Person: it is {} today {i},{label}", ["fine", "dark"][i % 2]);
    }
    text
}

fn job_data(name: &str, folder: &TempDir) -> PathBuf {
    job(folder, name).data.remove(0)
}

pub(crate) fn job(folder: &TempDir, name: &str) -> Job {
    let (base_name, file, data) = match name {
        "khp" => ("qwen2", "rows.csv", khp(24)),
        "reply-bert" | "reply-roberta" => ("bert", "rows.json", replies(24)),
        "crisis-lora" => ("qwen3", "rows.csv", dialogues(14)),
        "pku-moderation" => ("llama", "rows.jsonl", answers(24)),
        _ => ("llama", "rows.jsonl", pairs(24)),
    };
    let path = folder.path().join(format!("{name}-{file}"));
    std::fs::write(&path, data).expect("written");
    let mut recipe = Recipe::parse(Recipe::published(name).expect("a recipe"), name).expect("a recipe");
    // As long as the tiny bases read.
    recipe.input.max_tokens = 60;
    recipe.training.seeds = vec![42];
    recipe.training.batch = 4;
    recipe.training.accumulate = recipe.training.accumulate.min(2);
    recipe.optimizer.rate = 3e-3;
    recipe.training.checkpoint_steps = 2;
    Job {
        recipe,
        base: base(base_name),
        data: vec![path],
        dev: Vec::new(),
        select_on: SelectOn::Dev,
        output: folder.path().join("run"),
        device: Device::Cpu,
        most_steps: None,
    }
}

fn run(job: &Job, kept: &mut Kept) -> Summary {
    train(job, EventFiles::None, kept).expect("a training")
}

fn open(job: &Job) -> FineTuned {
    let folder = job.output.join("seed-42/bundle");
    assert!(is_fine_tuned(&folder));
    FineTuned::open(&folder, &Opening { device: &Device::Cpu, base: None, precision: None })
        .expect("a bundle")
}

#[test]
fn every_published_recipe_goes_from_data_to_a_bundle_that_answers_as_the_training_did() {
    for name in Recipe::names() {
        let folder = tempfile::tempdir().expect("a folder");
        let job = job(&folder, name);
        let mut kept = Kept::default();
        let summary = run(&job, &mut kept);
        assert!(kept.losses.iter().all(|loss| loss.is_finite()), "{name}");
        let bundle = open(&job);
        assert_eq!(bundle.manifest().dev, summary.seeds[0].figures, "{name}");
        // The bundle gives the dev figures that its manifest states.
        let dev = job.prepare().expect("data").dev;
        let again = mindrail_finetune::figures(bundle.network(), &dev).expect("figures");
        assert_eq!(again, bundle.manifest().dev, "{name}");
        assert!(
            dev.iter()
                .flat_map(|s| &s.inputs)
                .all(|i| FineTuned::is_seen(&bundle.seen().expect("hashes"), i))
        );
    }
}

#[test]
fn a_training_lowers_its_loss_and_learns_what_is_plain() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(&folder, "reply-bert");
    job.recipe.training.epochs = 12;
    let mut kept = Kept::default();
    let summary = run(&job, &mut kept);
    let (first, last) =
        (kept.losses[..5].iter().sum::<f32>(), kept.losses[kept.losses.len() - 5..].iter().sum::<f32>());
    assert!(last < 0.5 * first, "{first} to {last}");
    assert_eq!(summary.seeds[0].figures[&Task::ReplyClass].accuracy, Some(1.0));
}

#[test]
fn a_training_that_is_killed_goes_on_to_the_very_same_bundle() {
    let (whole, killed) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let straight = job(&whole, "khp");
    run(&straight, &mut Kept::default());
    let mut job = job(&killed, "khp");
    job.data = straight.data.clone();
    for step in [1, 4, 5] {
        let mut kept = Kept { dies_in: Some(step), ..Kept::default() };
        let died = catch_unwind(AssertUnwindSafe(|| train(&job, EventFiles::None, &mut kept)));
        assert!(died.is_err(), "step {step} was not reached");
    }
    run(&job, &mut Kept::default());
    let bytes = |job: &Job, file: &str| std::fs::read(job.output.join("seed-42").join(file)).expect("a file");
    for file in
        ["bundle/adapter/adapter_model.safetensors", "bundle/heads.safetensors", "checkpoint.safetensors"]
    {
        assert!(bytes(&straight, file) == bytes(&job, file), "{file} differs");
    }
    let steps = |job: &Job| -> Vec<serde_json::Value> {
        let log = String::from_utf8(bytes(job, "log.jsonl")).expect("text");
        let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        lines.map(|line| serde_json::json!([line["step"], line["loss"], line["dev"]])).collect()
    };
    assert_eq!(steps(&straight), steps(&job));
}

#[test]
fn heads_without_a_target_in_a_step_do_not_move_before_or_after_an_interruption() {
    let (whole, killed) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let two_heads = |folder: &TempDir| {
        let mut job = job(folder, "reply-bert");
        let others = job_data("khp", folder);
        job.data.push(others);
        let head: mindrail_finetune::HeadConfig = toml::from_str("task = \"signals\"").expect("a head");
        job.recipe.heads.push(head);
        // One kind of row in nearly every step.
        job.recipe.training.batch = 1;
        job.recipe.training.epochs = 1;
        job
    };
    let straight = two_heads(&whole);
    run(&straight, &mut Kept::default());
    let mut job = two_heads(&killed);
    job.data = straight.data.clone();
    for step in [3, 7, 12] {
        let mut kept = Kept { dies_in: Some(step), ..Kept::default() };
        let _ = catch_unwind(AssertUnwindSafe(|| train(&job, EventFiles::None, &mut kept)));
    }
    run(&job, &mut Kept::default());
    let bytes = |job: &Job| std::fs::read(job.output.join("seed-42/checkpoint.safetensors")).expect("a file");
    assert!(bytes(&straight) == bytes(&job), "the checkpoints differ");
}

#[test]
fn several_seeds_give_mean_and_deviation() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(&folder, "reply-bert");
    job.recipe.training.seeds = vec![1, 2, 3];
    job.recipe.training.epochs = 1;
    let summary = run(&job, &mut Kept::default());
    let accuracies: Vec<f64> =
        summary.seeds.iter().map(|s| s.figures[&Task::ReplyClass].accuracy.expect("a figure")).collect();
    let mean = accuracies.iter().sum::<f64>() / 3.0;
    let deviation = (accuracies.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    let found = summary.spread.iter().find(|spread| spread.figure == "accuracy").expect("a spread");
    assert!(
        (found.mean - mean).abs() < 1e-12 && (found.deviation.expect("of three") - deviation).abs() < 1e-12
    );
}

#[test]
fn a_checkpoint_that_a_test_set_chose_is_marked_as_such() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(&folder, "reply-bert");
    job.dev = job.data.clone();
    job.select_on = SelectOn::Test;
    job.most_steps = Some(2);
    let mut kept = Kept::default();
    run(&job, &mut kept);
    let marks = open(&job).manifest().marks.join("; ");
    assert!(marks.contains("test set") && marks.contains("stopped after 2"), "{marks}");
    assert!(kept.notes.iter().any(|note| note.contains("in train too")), "{:?}", kept.notes);
}

#[test]
fn a_folder_of_another_run_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(&folder, "reply-bert");
    job.most_steps = Some(1);
    run(&job, &mut Kept::default());
    job.recipe.optimizer.rate = 1e-4;
    let error = train(&job, EventFiles::None, &mut Kept::default()).expect_err("refused").to_string();
    assert!(error.contains("another recipe"), "{error}");
}

#[test]
fn a_bundle_whose_file_was_changed_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(&folder, "khp");
    job.most_steps = Some(1);
    run(&job, &mut Kept::default());
    let bundle = job.output.join("seed-42/bundle");
    let path = bundle.join("heads.safetensors");
    let mut bytes = std::fs::read(&path).expect("a file");
    *bytes.last_mut().expect("not empty") ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let opening = Opening { device: &Device::Cpu, base: None, precision: None };
    let error = FineTuned::open(&bundle, &opening).expect_err("refused").to_string();
    assert!(error.contains("heads.safetensors") && error.contains("SHA-256"), "{error}");
}

#[test]
fn what_would_train_without_ever_learning_is_refused_before_data_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cls = job(&folder, "reply-bert");
    cls.base = base("qwen2");
    let mut tags = job(&folder, "khp");
    tags.recipe.input.speakers = mindrail_finetune::rendering::Speakers::tags();
    for (mut job, named) in [(cls, "model.pooling"), (tags, "input.speakers")] {
        job.data = vec![folder.path().join("nowhere.json")];
        let error = train(&job, EventFiles::None, &mut Kept::default()).expect_err("refused").to_string();
        assert!(error.contains(named), "{error}");
        assert!(!job.output.exists(), "a refused training leaves no folder");
    }
}

#[test]
fn pairs_that_are_one_input_once_they_are_cut_are_left_out_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&folder, "pku-reward");
    let same = serde_json::json!({
        "prompt": "day 99?", "response_0": "talk", "response_1": "talk", "is_response_0_safe": true,
        "is_response_1_safe": false, "better_response_id": 0, "safer_response_id": 0,
    });
    let text = std::fs::read_to_string(&job.data[0]).expect("rows");
    std::fs::write(&job.data[0], format!("{text}{same}\n")).expect("written");
    let with = job.prepare().expect("data");
    assert!(with.notes.iter().any(|note| note.contains("1 pairs are the same twice")), "{:?}", with.notes);
    assert_eq!(with.train.len() + with.dev.len(), 24);
}

#[test]
fn relatives_of_dev_in_train_are_a_mark_of_the_bundle() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(&folder, "pku-reward");
    // The same questions with other replies: other inputs, and one family each.
    let text = std::fs::read_to_string(&job.data[0]).expect("rows").replace("talk", "walk");
    let dev = folder.path().join("dev.jsonl");
    std::fs::write(&dev, text).expect("written");
    job.dev = vec![dev];
    let marks = job.prepare().expect("data").marks.join("; ");
    assert!(marks.contains("24 of 24 rows of dev have relatives in train"), "{marks}");
}

#[test]
fn a_loss_that_is_no_number_stops_the_training_with_its_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(&folder, "reply-bert");
    job.recipe.optimizer.rate = 1e30;
    let error = train(&job, EventFiles::None, &mut Kept::default()).expect_err("stopped").to_string();
    assert!(error.contains("in step"), "{error}");
}

#[test]
fn two_programs_do_not_train_in_one_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let job = job(&folder, "khp");
    let seed = job.output.join("seed-42");
    std::fs::create_dir_all(&seed).expect("a folder");
    let lock = std::fs::File::create(seed.join("lock")).expect("a file");
    lock.lock().expect("locked");
    let error = train(&job, EventFiles::None, &mut Kept::default()).expect_err("refused").to_string();
    assert!(error.contains("another program runs here"), "{error}");
    drop(lock);
    train(&job, EventFiles::None, &mut Kept::default()).expect("a training");
}

#[test]
fn epochs_that_are_all_alike_are_a_mark_of_the_bundle() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(&folder, "khp");
    // Nothing moves, so that all epochs are the first.
    job.recipe.optimizer.rate = 1e-12;
    train(&job, EventFiles::None, &mut Kept::default()).expect("a training");
    let marks = inspect(&job.output.join("seed-42/bundle")).expect("a bundle").marks;
    assert!(marks.iter().any(|mark| mark.starts_with("every epoch has the same figure")), "{marks:?}");
}
