//! A teacher that knows a few words, and a tiny base that learns from it.

use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use mindrail_core::assessment::{
    ConversationScores, NotEvaluated, NotEvaluatedReason, ReplyScores, TurnAssessment, TurnScores, UserScores,
};
use mindrail_core::conversation::{Role, Turn};
use mindrail_core::language::Language;
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{CrisisLabel, ReplyClass, Severity, Signal, Taxonomy};

use super::judgement::judge;
use super::*;
use crate::architecture::Architecture;
use crate::assessor::EmbeddedAssessor;
use crate::bundle::Bundle;
use crate::parameters::Parameters;
use crate::random::Random;
use crate::tokenizer::{SEGMENT_TOKENS, Tokenizer};
use crate::train::examples;
use crate::train::network::tests::example;
use crate::train::stage::tests::CONFIG;
use crate::train::targets::{Targets, TurnTargets};

/// Knows "heavy" and "unbearable" of a person and "nobody" of a listener. It does not read
/// a turn with "endless" to its end.
struct WordTeacher {
    identity: ModelIdentity,
    calibration: Calibration,
    /// Conversations begun, and the one at which it stops as if killed.
    begun: Cell<usize>,
    killed_at: usize,
    is_available: bool,
}

#[derive(Clone, Serialize, Deserialize)]
struct WordState {
    turns: usize,
    risk: f32,
}

fn p(value: f32) -> Probability {
    Probability::new(value).expect("a probability")
}

impl WordTeacher {
    fn new() -> Self {
        let mut calibration = Bundle::embedded().expect("the shipped bundle").calibration.calibration;
        for both in calibration.thresholds.values_mut() {
            (both.high_risk.value, both.support.value) = (p(0.7), p(0.4));
        }
        calibration.signals = Scores::uniform(p(0.5));
        calibration.crisis = Scores::uniform(p(0.5));
        calibration.harms = Scores::uniform(p(0.5));
        calibration.unsafe_reply = p(0.5);
        let identity = ModelIdentity {
            name: "words".to_owned(),
            version: "7".to_owned(),
            sha256: "5ca1ab1e".to_owned(),
        };
        Self { identity, calibration, begun: Cell::new(0), killed_at: usize::MAX, is_available: true }
    }

    fn user(text: &str) -> UserScores {
        let (heavy, unbearable) = (text.contains("heavy"), text.contains("unbearable"));
        let onset = |label: CrisisLabel| match label {
            CrisisLabel::AlertOngoing if heavy => 0.8,
            CrisisLabel::ConfirmShOngoing if unbearable => 0.85,
            _ => 0.05,
        };
        UserScores {
            risk: p(if unbearable {
                0.9
            } else if heavy {
                0.55
            } else {
                0.1
            }),
            signals: Scores::from_fn(|signal: Signal| {
                // Grave ones among them, but none so sure that it raises risk alone.
                p(if (heavy || unbearable) && signal.index().is_multiple_of(2) { 0.8 } else { 0.1 })
            }),
            crisis: Scores::from_fn(|label| p(onset(label))),
        }
    }

    fn reply(text: &str) -> ReplyScores {
        let cold = text.contains("nobody");
        let one = |is_it: bool, others: usize| p(if is_it { 0.9 } else { 0.1 / others as f32 });
        let class = if cold { ReplyClass::LinguisticNeglect } else { ReplyClass::SafeResponse };
        let severity = if cold { Severity::Minor } else { Severity::None };
        ReplyScores {
            classes: Scores::from_fn(|c| one(c == class, 7)),
            harms: Scores::from_fn(|h| p(if cold && h == Harm::PsychologicalHarm { 0.8 } else { 0.05 })),
            severity: Scores::from_fn(|s| one(s == severity, 3)),
        }
    }
}

impl Assessor for WordTeacher {
    type State = WordState;

    fn start(&self) -> WordState {
        self.begun.set(self.begun.get() + 1);
        if self.begun.get() == self.killed_at {
            resume_unwind(Box::new(()));
        }
        WordState { turns: 0, risk: 0.0 }
    }

    fn push(&self, state: &mut WordState, turn: &Turn) -> Result<TurnAssessment, StateError> {
        let index = state.turns;
        state.turns += 1;
        let note = |reason| NotEvaluated { turn: Some(index), reason };
        let mut not_evaluated = Vec::new();
        if !self.is_available {
            not_evaluated.push(note(NotEvaluatedReason::ModelUnavailable));
        }
        if turn.text.contains("endless") {
            not_evaluated.push(note(NotEvaluatedReason::Truncated));
        }
        let scores = match turn.role {
            Role::User => TurnScores::User(Self::user(&turn.text)),
            Role::Assistant => TurnScores::Assistant(Self::reply(&turn.text)),
            Role::System => TurnScores::None,
        };
        if let TurnScores::User(scores) = &scores {
            state.risk = state.risk.max(scores.risk.get());
        }
        let signals = Self::user(&turn.text).signals;
        let conversation = Some(ConversationScores { risk: p(state.risk), signals, language: Language::En });
        let values = BTreeMap::new();
        Ok(TurnAssessment { index, role: turn.role, scores, conversation, not_evaluated, values })
    }

    fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    fn model(&self) -> &ModelIdentity {
        &self.identity
    }
}

struct Quiet;

impl Progress for Quiet {
    fn stage(&mut self, _: &str, _: usize) {}
    fn step(&mut self, _: usize, _: Option<f32>) {}
    fn note(&mut self, _: &str) {}
}

/// The tokenizer of the shipped bundle and an encoder of one small layer.
fn tiny_base() -> Base {
    let architecture = Architecture {
        positions: SEGMENT_TOKENS,
        layers: 1,
        width: 16,
        heads: 2,
        intermediate: 24,
        context: 6,
        ..Architecture::MINILM_L6
    };
    let mut parameters = Parameters::zeros(architecture.tensors());
    parameters.initialise("", &mut Random::new(4));
    let tokenizer = Bundle::embedded().expect("the shipped bundle").tokenizer;
    Base { architecture, weights: parameters.save().expect("safetensors"), tokenizer }
}

/// The turns of a calm, a heavy or an unbearable conversation.
fn turns(number: usize) -> [(&'static str, String); 4] {
    let days = ["monday", "tuesday", "thursday", "friday", "sunday"];
    let day = days[number % days.len()];
    let told = ["we cooked rice and it was fine", "it is heavy, all of it", "it is heavy and unbearable now"];
    let answer = if number % 4 == 1 { "well, nobody wants to hear it" } else { "thank you for telling me" };
    [
        ("user", format!("hi, i write on {day} about week {number}")),
        ("assistant", "hello, i am here and i read you".to_owned()),
        ("user", format!("on {day} {}", told[number % told.len()])),
        ("assistant", answer.to_owned()),
    ]
}

/// A source in `OpenAI`'s shape, and one as a table of transcripts.
fn write_sources(folder: &Path) {
    let message = |(role, text): &(&str, String)| serde_json::json!({"role": role, "content": text});
    let line = |number: usize| {
        let messages: Vec<_> = turns(number).iter().map(message).collect();
        serde_json::json!({"id": format!("c{number}"), "messages": messages}).to_string() + "\n"
    };
    let cell = |number: usize| {
        let said: Vec<String> = turns(number).iter().map(|(role, text)| format!("{role}: {text}")).collect();
        format!("\"{}\"\n", said.join("\n"))
    };
    let write = |name: &str, text: String| fs::write(folder.join(name), text).expect("writable");
    write("first.jsonl", (0..48).map(line).collect());
    write("second.csv", "text\n".to_owned() + &(100..148).map(cell).collect::<String>());
    write("dev.jsonl", (200..224).map(line).collect());
}

fn config(folder: &Path) -> TrainConfig {
    write_sources(folder);
    let source = |name: &str, fold: usize| {
        format!(
            "{{ path = {:?}, kind = \"conversations\", licence = \"none\", fold = {fold}, weight = 1.0, wide_weight = 1.0 }}",
            folder.join(name)
        )
    };
    let text = CONFIG
        .lines()
        .map(|line| match line.split(" = ").next() {
            Some("train") => format!("train = [{}, {}]", source("first.jsonl", 0), source("second.csv", 1)),
            Some("dev") => format!("dev = [{}]", source("dev.jsonl", 0)),
            Some("output") => format!("output = {:?}", folder.join("run")),
            Some("folds") => "folds = 2".to_owned(),
            Some("held_out_rows") => "held_out_rows = 100".to_owned(),
            Some("conversations_per_step") => "conversations_per_step = 4".to_owned(),
            Some("first_trained_layer") => "first_trained_layer = 0".to_owned(),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n");
    let table = "\n[distill]\ntemperature = 1.0\nhard_share = 0.5\n";
    TrainConfig::parse(&(text + table), Path::new("distill.toml")).expect("a configuration")
}

fn run(config: &TrainConfig, teacher: &WordTeacher) -> Result<(), TrainError> {
    distill_from(config, tiny_base(), &Teacher::of_everything(teacher), &mut Quiet)
}

/// The lessons of a source as values, without the times.
fn lesson_lines(config: &TrainConfig, stem: &str) -> Vec<serde_json::Value> {
    let folder = fs::read_dir(config.output.join("teacher")).expect("a folder");
    let paths: Vec<_> = folder.map(|entry| entry.expect("readable").path()).collect();
    let is_of = |path: &&PathBuf| path.to_string_lossy().contains(&format!("/{stem}-"));
    let text = fs::read_to_string(paths.iter().find(is_of).expect("its lessons")).expect("readable");
    let parsed = text.lines().map(|line| {
        let mut value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        value.as_object_mut().expect("an object").remove("milliseconds");
        value
    });
    parsed.collect()
}

#[test]
fn a_teacher_is_distilled_into_a_bundle_that_names_it_and_repeats_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let teacher = WordTeacher::new();
    run(&config, &teacher).expect("distils");
    let bundle = Bundle::from_folder(&config.output.join("bundle")).expect("a bundle");
    let record = &bundle.manifest.training["distillation"];
    assert_eq!(record["teacher"]["sha256"], "5ca1ab1e");
    assert_eq!(record["labels"]["risk"], "teacher");
    assert!(record["statement"].as_str().is_some_and(|s| s.starts_with("Thresholds follow the teacher")));
    for words in ["words 7, SHA-256 `5ca1ab1e`", "Thresholds follow the teacher", "| high risk | "] {
        assert!(bundle.card.contains(words), "{words} is missing from\n{}", bundle.card);
    }
    let thresholds = &bundle.calibration.calibration.thresholds[&Language::Fr];
    assert!(thresholds.high_risk.target.contains("follow the teacher"), "{}", thresholds.high_risk.target);
    assert!(thresholds.high_risk.target.contains("too few rows"), "{}", thresholds.high_risk.target);
    let agreement = fs::read_to_string(config.output.join("agreement.json")).expect("readable");
    let agreement: serde_json::Value = serde_json::from_str(&agreement).expect("JSON");
    assert_eq!(agreement[0][1]["conversations"], 24);
    let spearman = agreement[0][1]["risk_spearman"]["value"].as_f64().expect("defined");
    assert!(spearman > 0.7, "the student of three words ranks as its teacher: {spearman}");
    let difference = agreement[0][1]["risk_mean_absolute_difference"]["value"].as_f64().expect("defined");
    let support = &agreement[0][1]["calls"][1];
    assert_eq!(support["teacher_only"], 0, "whom the teacher supports, the student does: {support}");
    assert!(difference < 0.15, "and its risk is near its teacher's: {difference}");
    assert_eq!(teacher.begun.get(), 48 + 48 + 24, "every conversation was scored once");
    run(&config, &teacher).expect("goes on");
    assert_eq!(teacher.begun.get(), 48 + 48 + 24, "and none a second time");
}

#[test]
fn a_killed_scoring_goes_on_behind_the_last_whole_line_and_asks_nothing_twice() {
    let [killed, undisturbed] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let expected = config(undisturbed.path());
    let score = |config: &TrainConfig, teacher: &WordTeacher| {
        let examples = unlabelled(&config.train[..1]);
        let teacher = Teacher::of_everything(teacher);
        lessons::all(config, &teacher, (&config.train[..1], &examples), &mut Quiet).map(|l| l.digests)
    };
    score(&expected, &WordTeacher::new()).expect("scores");
    let config = config(killed.path());
    let teacher = WordTeacher { killed_at: 20, ..WordTeacher::new() };
    assert!(catch_unwind(AssertUnwindSafe(|| score(&config, &teacher))).is_err());
    let path = fs::read_dir(config.output.join("teacher")).expect("a folder").next();
    let path = path.expect("a file").expect("readable").path();
    let bytes = fs::read(&path).expect("readable");
    // As if the kill had come in the middle of a line.
    fs::write(&path, &bytes[..bytes.len() - 30]).expect("writable");
    let teacher = WordTeacher::new();
    score(&config, &teacher).expect("goes on");
    assert_eq!(teacher.begun.get(), 48 - 18, "nineteen were scored, and of the last the end was lost");
    let [found, expected] = [&config, &expected].map(|config| lesson_lines(config, "first"));
    assert!(found[1..] == expected[1..], "the lessons differ");
    assert!(!fs::read_to_string(&path).expect("readable").contains("heavy"), "no line holds text");
}

/// The examples of sources without labels.
fn unlabelled(sources: &[Source]) -> Vec<Example> {
    let bundle = Bundle::embedded().expect("the shipped bundle");
    let tokenizer = Tokenizer::from_bytes(&bundle.tokenizer).expect("its tokenizer");
    let load = |(index, source)| examples::load(source, index, &tokenizer).expect("readable");
    sources.iter().enumerate().flat_map(load).collect()
}

#[test]
fn lessons_of_another_teacher_or_source_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let score = |teacher: &WordTeacher| {
        let examples = unlabelled(&config.train);
        lessons::all(&config, &Teacher::of_everything(teacher), (&config.train, &examples), &mut Quiet)
            .map(|_| ())
    };
    let mut teacher = WordTeacher::new();
    score(&teacher).expect("scores");
    teacher.identity.sha256 = "another".to_owned();
    let error = score(&teacher).expect_err("refused").to_string();
    assert!(error.contains("5ca1ab1e") && error.contains("another"), "{error}");
    fs::write(&config.train[0].path, "{\"text\": \"user: other words\"}\n").expect("writable");
    let error = score(&WordTeacher::new()).expect_err("refused").to_string();
    assert!(error.contains("first.jsonl") && !error.contains("other words"), "{error}");
}

#[test]
fn a_teacher_that_cannot_be_run_stops_the_scoring() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let teacher = WordTeacher { is_available: false, ..WordTeacher::new() };
    let error = run(&config, &teacher).expect_err("stopped");
    assert!(matches!(error, TrainError::TeacherUnavailable { conversation: 1, .. }), "{error}");
}

#[test]
fn what_nobody_teaches_is_told_before_anything_is_trained() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let teacher = WordTeacher::new();
    let covers = [Task::Risk, Task::Signals].into();
    let error = distill_from(&config, tiny_base(), &Teacher { assessor: &teacher, covers }, &mut Quiet)
        .expect_err("refused");
    assert!(matches!(error, TrainError::Untaught { task: Task::Crisis }), "{error}");
    assert!(!config.output.join("fold-0").exists());
}

#[test]
fn a_teacher_that_calls_no_reply_unsafe_is_told_so_before_anything_is_trained() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    let mut teacher = WordTeacher::new();
    teacher.calibration.unsafe_reply = Probability::ONE;
    let error = run(&config, &teacher).expect_err("refused").to_string();
    assert!(error.contains("unsafe replies") && error.contains("0 labels"), "{error}");
    assert!(!config.output.join("fold-0").exists());
}

#[test]
fn the_configuration_in_the_repository_is_one() {
    let text = include_str!("../../../../../configs/distill.toml");
    let config = TrainConfig::parse(text, Path::new("configs/distill.toml")).expect("a configuration");
    assert!(config.distill.is_some());
    assert!(matches!(crate::train::run(&config, &mut Quiet), Err(TrainError::NoTeacher)));
}

/// The words of [`example`], and what a teacher says of it.
fn judged(words: &[&str], covers: BTreeSet<Task>) -> (Example, Lesson) {
    let mut example = example();
    for (turn, words) in example.turns.iter_mut().zip(words) {
        (*words).clone_into(&mut turn.text);
    }
    let teacher = WordTeacher::new();
    let judgement = judge(&Teacher { assessor: &teacher, covers }, &example).expect("judged");
    let lesson = Lesson::of(judgement);
    (example, lesson)
}

fn teach(example: &mut Example, lesson: Lesson, hard_share: f32) -> Targets {
    let settings = DistillConfig { temperature: 1.0, hard_share };
    let calibration = WordTeacher::new().calibration;
    let covers = Task::ALL.into();
    let teaching = Teaching { settings: &settings, calibration: &calibration, covers: &covers };
    teaching.teach(std::slice::from_mut(example), &[lesson]);
    example.targets().into_owned()
}

const CALM: [&str; 4] = ["hello", "hello", "it is heavy", "it is unbearable"];

#[test]
fn what_the_teacher_did_not_evaluate_or_does_not_cover_is_no_target() {
    let unlabelled = |mut example: Example| {
        (example.high_risk, example.signals) = (None, None);
        example.turns.iter_mut().for_each(|turn| turn.crisis = None);
        example
    };
    let (cut, lesson) = judged(&["hello", "hello", "heavy and endless", "unbearable"], Task::ALL.into());
    let targets = teach(&mut unlabelled(cut), lesson, 0.5);
    assert_eq!(targets.turns[2], TurnTargets::default(), "its turn was not read to its end");
    assert_eq!((targets.risk, targets.signals), (None, None), "nor, therefore, the conversation");
    assert_eq!(targets.turns[3].risk, Some(0.9), "another turn was");
    let (part, lesson) = judged(&CALM, [Task::Risk].into());
    let targets = teach(&mut unlabelled(part), lesson, 0.5);
    assert_eq!((targets.risk, targets.signals), (Some(0.9), None));
    assert_eq!(targets.turns[2], TurnTargets { risk: Some(0.55), crisis: None });
}

#[test]
fn labels_with_the_whole_share_are_the_targets_and_the_teacher_fills_the_gaps() {
    let (mut example, lesson) = judged(&CALM, Task::ALL.into());
    let labels = Targets::of_labels(&example);
    let targets = teach(&mut example, lesson, 1.0);
    assert_eq!((targets.risk, &targets.signals), (labels.risk, &labels.signals));
    assert_eq!(targets.replies, labels.replies);
    assert_eq!(targets.turns[3], labels.turns[3]);
    assert_eq!((labels.turns[2].risk, targets.turns[2].risk), (None, Some(0.55)));
    assert_eq!(example.high_risk, Some(true), "a label stays a label");
}

#[test]
fn where_nobody_labelled_anything_the_teacher_s_calls_stand_in() {
    let (mut example, _) = judged(&CALM, Task::ALL.into());
    (example.high_risk, example.signals) = (None, None);
    example.turns.iter_mut().for_each(|turn| turn.crisis = None);
    (example.replies[0].class, example.replies[0].harm) = (None, None);
    "nobody asked".clone_into(&mut example.replies[0].text);
    let lesson = Lesson::of(judge(&Teacher::of_everything(&WordTeacher::new()), &example).expect("judged"));
    let targets = teach(&mut example, lesson, 1.0);
    assert_eq!(example.high_risk, Some(true));
    let begins: Vec<_> = example.turns.iter().map(|turn| turn.crisis.clone()).collect();
    let (alert, confirm) = (vec![CrisisLabel::AlertOngoing], vec![CrisisLabel::ConfirmShOngoing]);
    assert_eq!(begins, [Some(vec![]), None, Some(alert), Some(confirm)]);
    assert_eq!(example.replies[0].class, Some(ReplyClass::LinguisticNeglect));
    assert_eq!(example.replies[0].harm, Some((vec![Harm::PsychologicalHarm], Severity::Minor)));
    assert_eq!(targets.risk, Some(0.9), "a stand-in takes no share of the target");
}

#[test]
fn a_distilled_bundle_is_served_as_any_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path());
    run(&config, &WordTeacher::new()).expect("distils");
    let bundle = Bundle::from_folder(&config.output.join("bundle")).expect("a bundle");
    let assessor = EmbeddedAssessor::new(&bundle).expect("an assessor");
    let turn = Turn { role: Role::User, text: "it is heavy and unbearable now".to_owned() };
    let assessed = assessor.push(&mut assessor.start(), &turn).expect("a fresh state");
    assert!(matches!(assessed.scores, TurnScores::User(_)));
}

#[test]
fn a_configuration_that_would_leave_a_source_unseen_or_untaught_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = config(folder.path());
    let refused = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = good.clone();
        change(&mut config);
        let text = toml::to_string(&config).expect("TOML");
        TrainConfig::parse(&text, Path::new("x.toml")).expect_err("refused").to_string()
    };
    assert!(refused(&|c| c.distill = None).contains("`kind` is conversations"));
    assert!(refused(&|c| c.train[1].fold = 0).contains("`folds` is 2"));
    assert!(refused(&|c| c.train[1].fold = 2).contains("`folds` is 2"));
    assert!(refused(&|c| c.folds = 0).contains("`folds` is 0"));
    let with = |temperature, hard_share| DistillConfig { temperature, hard_share };
    assert!(refused(&|c| c.distill = Some(with(0.0, 0.5))).contains("temperature"));
    assert!(refused(&|c| c.distill = Some(with(1.0, 1.5))).contains("hard_share"));
}
