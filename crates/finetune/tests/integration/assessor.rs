//! A fine-tuned model behind the assessor's interface, with the embedded one beside it.

use candle_core::Device;
use mindrail_core::assessment::{NotEvaluatedReason, TurnScores};
use mindrail_core::assessor::Assessor as _;
use mindrail_core::calibration::{DataFile, LabelThresholds, ThresholdTarget};
use mindrail_core::conversation::{Role, Turn};
use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Signal, Taxonomy as _};
use mindrail_finetune::assessor::{AnyAssessor, FineTunedAssessor};
use mindrail_finetune::bundle::{CALIBRATION, FineTuned, LABEL_THRESHOLDS, Opening};
use mindrail_finetune::labels::{ChosenThresholds, LabelCalibration, LabelRow, ONGOING_CONFIRM, columns};
use mindrail_finetune::rendering::Truncation;
use mindrail_finetune::rows::{Target, Task};
use mindrail_finetune::{EventFiles, train};
use mindrail_model::assessor::EmbeddedAssessor;
use tempfile::TempDir;

use crate::training::{Kept, job};

/// An assessor of a tiny trained model.
fn assessor(folder: &TempDir, recipe: &str) -> FineTunedAssessor {
    let mut job = job(folder, recipe);
    job.most_steps = Some(1);
    train(&job, EventFiles::None, &mut Kept::default()).expect("a training");
    open(folder).expect("an assessor")
}

fn open(folder: &TempDir) -> Result<FineTunedAssessor, mindrail_finetune::Error> {
    let bundle = folder.path().join("run/seed-42/bundle");
    let opening = Opening { device: &Device::Cpu, base: None, precision: None };
    FineTunedAssessor::new(FineTuned::open(&bundle, &opening)?)
}

fn said(text: &str) -> Turn {
    Turn { role: Role::User, text: text.to_owned() }
}

#[test]
fn a_turn_without_words_takes_nothing_back_and_gives_no_other_models_risk() {
    let folder = tempfile::tempdir().expect("a folder");
    let assessor = assessor(&folder, "khp");
    let mut state = assessor.start();
    let before = assessor.push(&mut state, &said("...")).expect("its own state");
    assert!(before.conversation.is_none(), "the embedded model's risk stands for nothing here");
    let first = assessor.push(&mut state, &said("nothing will get better")).expect("its own state");
    let then = assessor.push(&mut state, &said("...")).expect("its own state");
    assert_eq!(then.scores, TurnScores::None);
    let risk = |assessment: &mindrail_core::assessment::TurnAssessment| {
        assessment.conversation.as_ref().map(|conversation| (conversation.risk, conversation.signals.clone()))
    };
    assert_eq!(risk(&then), risk(&first));
}

#[test]
fn the_conversations_risk_never_falls_and_is_the_models_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let assessor = assessor(&folder, "khp");
    let mut state = assessor.start();
    let mut highest = 0.0f32;
    for text in ["i like the rain", "nothing will get better", "look, the sun", "all is dark today"] {
        let found = assessor.push(&mut state, &said(text)).expect("its own state");
        let TurnScores::User(scores) = found.scores else { panic!("a turn that was scored") };
        highest = highest.max(scores.risk.get());
        assert!((found.conversation.expect("a risk").risk.get() - highest).abs() < 1e-6);
    }
    assert!(assessor.remarks().iter().any(|remark| remark.contains("not calibrated")));
    assert!(assessor.remarks().iter().any(|remark| remark.contains("stopped after 1")));
}

#[test]
fn scores_without_a_taxonomy_stand_in_values_and_only_of_replies() {
    let folder = tempfile::tempdir().expect("a folder");
    let assessor = assessor(&folder, "pku-cost");
    let mut state = assessor.start();
    let asked = assessor.push(&mut state, &said("day 3?")).expect("its own state");
    assert!(asked.values.is_empty());
    let reply = Turn { role: Role::Assistant, text: "talk".to_owned() };
    let judged = assessor.push(&mut state, &reply).expect("its own state");
    assert!(judged.values["cost"].is_finite() && judged.values.len() == 1);
}

#[test]
fn a_reply_in_another_script_is_read_by_a_model_that_was_trained_for_replies() {
    let folder = tempfile::tempdir().expect("a folder");
    let assessor = assessor(&folder, "reply-bert");
    let mut state = assessor.start();
    assessor.push(&mut state, &said("\u{6211}\u{5f88}\u{7d2f}")).expect("its own state");
    let text = "\u{6211}\u{5728}\u{542c}".to_owned();
    let judged = assessor.push(&mut state, &Turn { role: Role::Assistant, text }).expect("its own state");
    let is_foreign = |reason| reason == NotEvaluatedReason::UnsupportedLanguage;
    assert!(!judged.not_evaluated.iter().any(|note| is_foreign(note.reason)), "{:?}", judged.not_evaluated);
}

/// Thresholds of one task, from four copies of each row in conversations of their own: fewer
/// tell nothing.
fn chosen(task: Task, rows: &[(&[f32], &Target)]) -> ChosenThresholds {
    let rows = rows.repeat(4);
    let names: Vec<String> = (0..rows.len()).map(|row| row.to_string()).collect();
    let rows: Vec<LabelRow<'_>> = rows
        .iter()
        .zip(&names)
        .map(|((outputs, target), conversation)| LabelRow { conversation, outputs, target })
        .collect();
    let thresholds = LabelThresholds::choose(ThresholdTarget::MaxF1, &columns(task, &rows), 1);
    let chosen_on = vec![DataFile { file: "new.json".to_owned(), sha256: "00".to_owned(), rows: rows.len() }];
    ChosenThresholds { chosen_on, thresholds: thresholds.expect("thresholds") }
}

/// Two rows, of which the label at `place` holds on the first, with these probabilities.
fn two_rows(task: Task, place: usize, probabilities: [f32; 2]) -> ChosenThresholds {
    let outputs = probabilities.map(|p| {
        let mut outputs = vec![0.0; task.outputs()];
        outputs[place] = p;
        outputs
    });
    let mut gold = vec![0.0; task.outputs()];
    gold[place] = 1.0;
    let targets = [Target::Labels(gold), Target::Labels(vec![0.0; task.outputs()])];
    chosen(task, &[(&outputs[0], &targets[0]), (&outputs[1], &targets[1])])
}

#[test]
fn thresholds_of_labels_are_called_at_and_are_part_of_the_models_identity() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = assessor(&folder, "reply-bert");
    let unchosen = |assessor: &FineTunedAssessor| {
        let remarks = assessor.remarks();
        remarks.into_iter().find(|remark| remark.starts_with("reply_class: "))
    };
    assert!(unchosen(&before).expect("a remark").contains("8 of 8"));
    assert!((before.calibration().unsafe_reply.get() - 0.5).abs() < 1e-6);
    let (safe, nonsense) = (Target::Class(7), Target::Class(0));
    let rows: [(&[f32], &Target); 2] = [
        (&[0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9], &safe),
        (&[0.4, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.6], &nonsense),
    ];
    let labels = LabelCalibration {
        model: before.bundle().sha256().to_owned(),
        tasks: [(Task::ReplyClass, chosen(Task::ReplyClass, &rows))].into(),
    };
    let path = before.bundle().folder().join(LABEL_THRESHOLDS);
    std::fs::write(&path, serde_json::to_string(&labels).expect("JSON")).expect("written");
    let after = open(&folder).expect("an assessor");
    let unsafe_reply = after.calibration().unsafe_reply.get();
    assert!(unsafe_reply > 0.1 && unsafe_reply <= 0.4, "{unsafe_reply}");
    assert!(after.calibration().replies[ReplyClass::Nonsense].get() <= 0.4);
    assert!((after.calibration().replies[ReplyClass::ToxicLanguage].get() - 0.5).abs() < 1e-6);
    assert!(unchosen(&after).expect("a remark").contains("6 of 8"), "{:?}", unchosen(&after));
    assert_ne!(after.model().sha256, before.model().sha256);
    let foreign = LabelCalibration { model: "another".to_owned(), ..labels };
    std::fs::write(&path, serde_json::to_string(&foreign).expect("JSON")).expect("written");
    assert!(open(&folder).expect_err("refused").to_string().contains("another model"));
}

#[test]
fn every_task_gives_its_own_thresholds_and_keeps_those_of_another_file() {
    let confirm =
        CrisisLabel::ALL.iter().find(|label| label.wire() == "confirm_SH_ongoing").expect("a label");
    let calibrated = |task, place, p| LabelCalibration {
        model: "one".to_owned(),
        tasks: [(task, two_rows(task, place, p))].into(),
    };
    let earlier = calibrated(Task::Signals, 2, [0.9, 0.8])
        .over(Some(calibrated(Task::Onsets, confirm.index(), [0.7, 0.2])))
        .over(Some(calibrated(Task::Harms, 3, [0.3, 0.1])));
    // What is chosen anew goes before, label by label; what was chosen for another model is
    // left out.
    let labels = calibrated(Task::Signals, 2, [0.6, 0.55]).over(Some(earlier));
    let with_another = calibrated(Task::Signals, 4, [0.4, 0.3]).over(Some(labels.clone()));
    let signal = |label: Signal| with_another.of(Task::Signals, label.wire()).map(|own| own.value);
    assert!(signal(Signal::ALL[2]).is_some() && signal(Signal::ALL[4]).is_some());
    assert_eq!(with_another.tasks[&Task::Signals].chosen_on.len(), 2);
    let foreign = LabelCalibration { model: "other".to_owned(), ..calibrated(Task::Harms, 5, [0.3, 0.1]) };
    assert_eq!(labels.clone().over(Some(foreign)), labels);
    let before = EmbeddedAssessor::embedded().expect("the shipped bundle").calibration().clone();
    let mut after = before.clone();
    labels.apply(&mut after);
    let is_within = |found: f32, low: f32, high: f32| assert!(found > low && found <= high, "{found}");
    is_within(after.signals[Signal::ALL[2]].get(), 0.55, 0.6);
    is_within(after.crisis[*confirm].get(), 0.2, 0.7);
    is_within(after.certain_confirm.value.get(), 0.2, 0.7);
    is_within(after.harms[Harm::ALL[3]].get(), 0.1, 0.3);
    after.signals.set(Signal::ALL[2], before.signals[Signal::ALL[2]]);
    after.crisis.set(*confirm, before.crisis[*confirm]);
    after.harms.set(Harm::ALL[3], before.harms[Harm::ALL[3]]);
    after.certain_confirm = before.certain_confirm.clone();
    assert_eq!(after, before, "nothing else is touched");
}

#[test]
fn an_onset_is_one_row_until_it_begins_and_an_ongoing_confirm_one_for_its_dialogue() {
    let confirm = CrisisLabel::ALL.iter().position(|label| label.wire() == "confirm_SH_ongoing");
    let (confirm, none) = (confirm.expect("a label"), Target::Labels(vec![0.0; 16]));
    let mut gold = vec![0.0f32; 16];
    gold[confirm] = 1.0;
    let begins = Target::Labels(gold);
    let said = |p: f32| {
        let mut outputs = [0.1f32; 16];
        outputs[confirm] = p;
        outputs
    };
    let outputs = [said(0.2), said(0.7), said(0.9), said(0.3)];
    let told = [("a", &none), ("a", &begins), ("a", &none), ("b", &none)];
    let rows: Vec<LabelRow<'_>> = told
        .iter()
        .zip(&outputs)
        .map(|((conversation, target), outputs)| LabelRow { conversation, outputs, target })
        .collect();
    let found = columns(Task::Onsets, &rows);
    assert_eq!(found.len(), 17);
    let of = |name: &str| {
        let column = &found[name];
        let probabilities: Vec<f32> = column.probabilities.iter().map(|p| p.get()).collect();
        (probabilities, column.labels.clone())
    };
    // What is said of it after it began decides nothing; another label goes on.
    assert_eq!(of("confirm_SH_ongoing"), (vec![0.2, 0.7, 0.3], vec![false, true, false]));
    assert_eq!(of("alert_past").1, [false; 4]);
    assert_eq!(of(ONGOING_CONFIRM), (vec![0.9, 0.3], vec![true, false]));
}

#[test]
fn a_reply_that_was_cut_away_is_not_judged() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut job = job(&folder, "reply-bert");
    job.most_steps = Some(1);
    job.recipe.input.truncation = Truncation::Right;
    job.recipe.input.max_tokens = 24;
    train(&job, EventFiles::None, &mut Kept::default()).expect("a training");
    let assessor = open(&folder).expect("an assessor");
    let judged = |context: &str| {
        let mut state = assessor.start();
        assessor.push(&mut state, &said(context)).expect("its own state");
        let reply = Turn { role: Role::Assistant, text: "tell me more".to_owned() };
        assessor.push(&mut state, &reply).expect("its own state")
    };
    assert!(matches!(judged("hello").scores, TurnScores::Assistant(_)));
    let cut = judged(&"day after day ".repeat(20));
    assert_eq!(cut.scores, TurnScores::None);
    assert!(cut.not_evaluated.iter().any(|note| note.reason == NotEvaluatedReason::Truncated));
}

#[test]
fn a_context_that_is_cut_is_no_cut_of_the_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let assessor = assessor(&folder, "reply-bert");
    let mut state = assessor.start();
    let turns = [said(&"day after day ".repeat(300)), said("hello")];
    turns.iter().for_each(|turn| drop(assessor.push(&mut state, turn).expect("its own state")));
    let reply = Turn { role: Role::Assistant, text: "tell me more".to_owned() };
    let judged = assessor.push(&mut state, &reply).expect("its own state");
    assert!(matches!(judged.scores, TurnScores::Assistant(_)));
    assert!(judged.not_evaluated.is_empty(), "{:?}", judged.not_evaluated);
}

#[test]
fn a_calibration_that_is_none_is_refused_and_states_of_other_models_too() {
    let (folder, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let assessor = assessor(&folder, "khp");
    let another = self::assessor(&other, "pku-cost");
    assert!(assessor.push(&mut another.start(), &said("hello")).is_err());
    let any = AnyAssessor::FineTuned(Box::new(another));
    assert!(any.was_trained_for(Task::Cost) && !any.was_trained_for(Task::Signals));
    std::fs::write(folder.path().join("run/seed-42/bundle").join(CALIBRATION), "{}").expect("written");
    assert!(open(&folder).expect_err("refused").to_string().contains(CALIBRATION));
}
