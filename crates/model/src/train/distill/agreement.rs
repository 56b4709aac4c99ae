//! How far the student says what its teacher says, on the dev sources: as the bundle
//! serves, 8-bit weights and all, with each side's calls at its own thresholds. Intervals
//! are bootstrap intervals over conversations.

use std::fmt::Write as _;
use std::time::Instant;

use mindrail_core::assessor::{Assessor, StateError};
use mindrail_core::calibration::Calibration;
use mindrail_core::metrics::{bootstrap_interval, pearson, spearman};
use mindrail_core::policy::is_high_risk;
use mindrail_core::taxonomy::{CrisisLabel, Signal, Taxonomy};
use serde::Serialize;

use super::judgement::{JudgeError, Judgement, judge};
use super::teaching::{conversation_scores, is_supported, is_unsafe};
use super::{Distillation, Teacher};
use crate::figures::Figure;
use crate::train::examples::{Example, Source};

const RESAMPLES: u32 = 1000;
const SEED: u64 = 1;

/// Figures of agreement on some conversations.
#[derive(Debug, Clone, Serialize)]
pub(in crate::train) struct Agreement {
    conversations: usize,
    /// Of how many both gave a risk of the whole conversation.
    with_risk: usize,
    risk_pearson: Option<Figure>,
    risk_spearman: Option<Figure>,
    risk_mean_absolute_difference: Option<Figure>,
    /// For each of [`CALLS`].
    calls: Vec<Calls>,
    teacher: Time,
    student: Time,
}

/// Milliseconds per conversation, its judged replies included.
#[derive(Debug, Clone, Copy, Serialize)]
struct Time {
    median: f64,
    mean: f64,
}

/// Who made how many calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
struct Calls {
    both: usize,
    teacher_only: usize,
    student_only: usize,
    neither: usize,
}

/// What is called, each at the threshold of whoever calls.
const CALLS: [&str; 5] =
    ["high risk", "support", "signals, 9 each", "onsets, 16 at each user turn", "unsafe reply"];

/// Both judgements of one conversation.
struct Pair<'a> {
    source: usize,
    teacher: &'a Judgement,
    student: Judgement,
    teacher_ms: f64,
    student_ms: f64,
    calls: [Calls; 5],
}

/// All dev conversations together, then each source's.
pub(super) fn by_source<A: Assessor>(
    distillation: &Distillation,
    student: &A,
    dev: &[Example],
    sources: &[Source],
) -> Result<Vec<(String, Agreement)>, StateError> {
    let pairs = pairs(distillation, student, dev)?;
    let mut found = vec![("all".to_owned(), agreement(&pairs.iter().collect::<Vec<_>>()))];
    for (index, source) in sources.iter().enumerate() {
        let own: Vec<&Pair<'_>> = pairs.iter().filter(|pair| pair.source == index).collect();
        let name = source.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.push((name, agreement(&own)));
    }
    Ok(found)
}

fn pairs<'a, A: Assessor>(
    distillation: &'a Distillation,
    student: &A,
    dev: &[Example],
) -> Result<Vec<Pair<'a>>, StateError> {
    let pupil = Teacher::of_everything(student);
    let both = [&distillation.calibration, student.calibration()];
    let mut pairs = Vec::new();
    for (example, lesson) in dev.iter().zip(&distillation.dev_lessons) {
        let start = Instant::now();
        let said = match judge(&pupil, example) {
            Ok(said) => said,
            Err(JudgeError::State(error)) => return Err(error),
            // A student that cannot be run agrees with nobody about this conversation.
            Err(JudgeError::Unavailable) => continue,
        };
        let teacher = &lesson.judgement;
        pairs.push(Pair {
            source: example.source,
            calls: compare(calls(teacher, both[0]), calls(&said, both[1])),
            teacher,
            student: said,
            teacher_ms: lesson.milliseconds,
            student_ms: start.elapsed().as_secs_f64() * 1e3,
        });
    }
    Ok(pairs)
}

/// The calls of one judgement, for each of [`CALLS`]; `None` where it was not evaluated.
fn calls(said: &Judgement, calibration: &Calibration) -> [Vec<Option<bool>>; 5] {
    let conversation = said.conversation.as_ref();
    let scores = conversation.and_then(conversation_scores);
    let signal = |signal: &Signal| {
        let signals = conversation?.signals.as_ref()?;
        Some(signals[*signal] >= calibration.signals[*signal])
    };
    let turns = said.turns.iter().map(|turn| turn.as_ref()?.onsets.as_ref());
    let onsets = turns.flat_map(|onsets| {
        let reached = move |label: &CrisisLabel| Some(onsets?[*label] >= calibration.crisis[*label]);
        CrisisLabel::ALL.iter().map(reached)
    });
    let replies =
        said.replies.iter().map(|reply| Some(is_unsafe(reply.as_ref()?.classes.as_ref()?, calibration)));
    [
        vec![scores.map(|scores| is_high_risk(&scores, calibration))],
        vec![conversation.and_then(|said| is_supported(said, calibration))],
        Signal::ALL.iter().map(signal).collect(),
        onsets.collect(),
        replies.collect(),
    ]
}

fn compare(teacher: [Vec<Option<bool>>; 5], student: [Vec<Option<bool>>; 5]) -> [Calls; 5] {
    let mut found = [Calls::default(); 5];
    for ((calls, teacher), student) in found.iter_mut().zip(teacher).zip(student) {
        for both in teacher.into_iter().zip(student) {
            match both {
                (Some(true), Some(true)) => calls.both += 1,
                (Some(true), Some(false)) => calls.teacher_only += 1,
                (Some(false), Some(true)) => calls.student_only += 1,
                (Some(false), Some(false)) => calls.neither += 1,
                (None, _) | (_, None) => {}
            }
        }
    }
    found
}

impl Calls {
    fn plus(self, other: Self) -> Self {
        Self {
            both: self.both + other.both,
            teacher_only: self.teacher_only + other.teacher_only,
            student_only: self.student_only + other.student_only,
            neither: self.neither + other.neither,
        }
    }

    /// The share on which both say the same.
    fn agreement(self) -> Option<f64> {
        let all = self.both + self.teacher_only + self.student_only + self.neither;
        (all > 0).then(|| (self.both + self.neither) as f64 / all as f64)
    }
}

fn agreement(pairs: &[&Pair<'_>]) -> Agreement {
    let risks: Vec<(f64, f64)> = pairs.iter().filter_map(|pair| risks(pair)).collect();
    let all = |kind: usize| pairs.iter().map(|pair| pair.calls[kind]).fold(Calls::default(), Calls::plus);
    Agreement {
        conversations: pairs.len(),
        with_risk: risks.len(),
        risk_pearson: figure(&risks, pearson),
        risk_spearman: figure(&risks, spearman),
        risk_mean_absolute_difference: figure(&risks, mean_absolute_difference),
        calls: (0..CALLS.len()).map(all).collect(),
        teacher: time(pairs.iter().map(|pair| pair.teacher_ms)),
        student: time(pairs.iter().map(|pair| pair.student_ms)),
    }
}

/// The teacher's risk of a conversation and the student's.
fn risks(pair: &Pair<'_>) -> Option<(f64, f64)> {
    let risk = |said: &Judgement| Some(f64::from(said.conversation.as_ref()?.risk?.get()));
    Some((risk(pair.teacher)?, risk(&pair.student)?))
}

fn mean_absolute_difference(first: &[f64], second: &[f64]) -> Option<f64> {
    let sum: f64 = first.iter().zip(second).map(|(a, b)| (a - b).abs()).sum();
    (!first.is_empty()).then(|| sum / first.len() as f64)
}

fn figure(risks: &[(f64, f64)], statistic: fn(&[f64], &[f64]) -> Option<f64>) -> Option<Figure> {
    let of = |rows: &mut dyn Iterator<Item = (f64, f64)>| {
        let (first, second): (Vec<f64>, Vec<f64>) = rows.unzip();
        statistic(&first, &second)
    };
    let value = of(&mut risks.iter().copied())?;
    let resampled = |chosen: &[usize]| of(&mut chosen.iter().map(|&row| risks[row]));
    let (low, high) = bootstrap_interval(risks.len(), RESAMPLES, SEED, resampled)?;
    Some(Figure { value, low, high })
}

fn time(milliseconds: impl Iterator<Item = f64>) -> Time {
    let mut all: Vec<f64> = milliseconds.collect();
    all.sort_by(f64::total_cmp);
    let median = all.get(all.len() / 2).copied().unwrap_or(0.0);
    Time { median, mean: all.iter().sum::<f64>() / all.len().max(1) as f64 }
}

impl Agreement {
    /// A section of the card.
    pub(in crate::train) fn draw(&self, card: &mut String, title: &str) {
        let _ = write!(
            card,
            "\n### {title}: {} conversations, {} with a risk from both\n\n| risk | value | 95 % interval |\n|---|---|---|\n",
            self.conversations, self.with_risk
        );
        for (name, figure) in [
            ("Pearson's correlation", self.risk_pearson),
            ("Spearman's correlation", self.risk_spearman),
            ("mean absolute difference", self.risk_mean_absolute_difference),
        ] {
            let _ = match figure {
                Some(Figure { value, low, high }) => {
                    writeln!(card, "| {name} | {value:.3} | {low:.3} to {high:.3} |")
                }
                None => writeln!(card, "| {name} | not defined | |"),
            };
        }
        self.draw_calls(card);
        let _ = write!(
            card,
            "\n| milliseconds per conversation | median | mean |\n|---|---|---|\n| teacher | {:.1} | {:.1} |\n| student | {:.1} | {:.1} |\n",
            self.teacher.median, self.teacher.mean, self.student.median, self.student.mean
        );
    }

    fn draw_calls(&self, card: &mut String) {
        card.push_str("\n| called | by both | by the teacher only | by the student only | by neither | agreement |\n|---|---|---|---|---|---|\n");
        for (name, calls) in CALLS.iter().zip(&self.calls) {
            let share = calls.agreement().map_or("not evaluated".to_owned(), |share| format!("{share:.3}"));
            let Calls { both, teacher_only, student_only, neither } = calls;
            let _ =
                writeln!(card, "| {name} | {both} | {teacher_only} | {student_only} | {neither} | {share} |");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_side_did_not_evaluate_is_not_counted() {
        let one = |calls: [Option<bool>; 5]| [calls.to_vec(), vec![], vec![], vec![], vec![]];
        let teacher = one([Some(true), Some(true), Some(false), Some(false), None]);
        let student = one([Some(true), Some(false), Some(true), Some(false), Some(true)]);
        let found = compare(teacher, student);
        assert_eq!(found[0], Calls { both: 1, teacher_only: 1, student_only: 1, neither: 1 });
        assert_eq!(found[0].agreement(), Some(0.5));
        assert_eq!(found[1].agreement(), None);
    }

    #[test]
    fn the_mean_absolute_difference_is_that_computed_by_hand() {
        let found = mean_absolute_difference(&[0.1, 0.9], &[0.3, 0.8]).expect("two rows");
        assert!((found - 0.15).abs() < 1e-12);
        assert_eq!(mean_absolute_difference(&[], &[]), None);
    }
}
