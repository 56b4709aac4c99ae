//! How well a model does on examples that it has not learnt from, and the probabilities
//! behind its logits.

use std::collections::BTreeMap;

use mindrail_core::metrics::{ConfusionMatrix, MacroOver, MultilabelCounts, PairCounts, sign_accuracy};
use mindrail_model::kernel::softmax;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::loss::sigmoid;
use crate::network::{Network, Sample};
use crate::recipe::Figure;
use crate::rendering::Encoded;
use crate::rows::{Target, Task, TaskKind};

/// Tokens of one batch in inference. Inputs are sorted by length and batches filled up to
/// so many tokens, as text-embeddings-inference does, so that short inputs come many at a
/// time and long ones alone.
const TOKENS_PER_BATCH: usize = 4096;

/// Figures of one task on dev; those that its kind does not have are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFigures {
    /// Examples that have the task's target.
    pub examples: usize,
    /// Mean F1 of the labels at probability 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<f64>,
    /// F1 of all labels together, at 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_f1: Option<f64>,
    /// F1 of the classes, weighted by support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weighted_f1: Option<f64>,
    /// Share of classes or levels that are right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Share of pairs in the right order; a tie is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair_accuracy: Option<f64>,
    /// Share of replies whose cost has the right sign; 0 is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_accuracy: Option<f64>,
}

impl TaskFigures {
    /// One of them.
    pub fn of(&self, figure: Figure) -> Option<f64> {
        match figure {
            Figure::MacroF1 => self.macro_f1,
            Figure::MicroF1 => self.micro_f1,
            Figure::Accuracy => self.accuracy,
            Figure::PairAccuracy => self.pair_accuracy,
        }
    }

    /// Their names and values.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        [
            ("macro_f1", self.macro_f1),
            ("micro_f1", self.micro_f1),
            ("weighted_f1", self.weighted_f1),
            ("accuracy", self.accuracy),
            ("pair_accuracy", self.pair_accuracy),
            ("sign_accuracy", self.sign_accuracy),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

/// The probabilities of a row of logits: of labels each its own, of classes and levels
/// shares of 1. Scores stay as they are.
pub fn probabilities(task: Task, logits: &[f32]) -> Vec<f32> {
    match task.kind() {
        TaskKind::Scalar => logits.to_vec(),
        TaskKind::MultiLabel => logits.iter().map(|z| sigmoid(*z)).collect(),
        TaskKind::SingleLabel => {
            let mut shares = logits.to_vec();
            softmax(&mut shares);
            shares
        }
        TaskKind::Ordinal => {
            // P(level > k) must fall with k; learnt biases need not, so each is held
            // below the one before.
            let mut above = vec![1.0];
            for z in logits {
                above.push(sigmoid(*z).min(above[above.len() - 1]));
            }
            above.push(0.0);
            above.windows(2).map(|pair| pair[0] - pair[1]).collect()
        }
    }
}

fn highest(values: &[f32]) -> usize {
    (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best }).unwrap_or(0)
}

impl Network {
    /// [`Network::logits`] of any number of inputs, in batches of like lengths; `each`
    /// hears how many inputs are done.
    ///
    /// # Errors
    /// If an input cannot be read, or the device cannot go on.
    pub fn logits_of_many(
        &self,
        inputs: &[&Encoded],
        each: &mut dyn FnMut(usize),
    ) -> Result<Vec<Vec<Vec<f32>>>, Error> {
        let mut order: Vec<usize> = (0..inputs.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(inputs[*i].ids.len()));
        let mut all = vec![vec![Vec::new(); inputs.len()]; self.heads.len()];
        let mut rest = order.as_slice();
        let mut done = 0;
        while let Some(longest) = rest.first() {
            let count = (TOKENS_PER_BATCH / inputs[*longest].ids.len().max(1)).clamp(1, rest.len());
            let (batch, after) = rest.split_at(count);
            let found = self.logits(&batch.iter().map(|i| inputs[*i]).collect::<Vec<_>>())?;
            for (all, found) in all.iter_mut().zip(found) {
                batch.iter().zip(found).for_each(|(i, logits)| all[*i] = logits);
            }
            rest = after;
            done += count;
            each(done);
        }
        Ok(all)
    }
}

/// The figures of every task on samples.
///
/// # Errors
/// If an input cannot be read, or the device cannot go on.
pub fn figures(network: &Network, samples: &[Sample]) -> Result<BTreeMap<Task, TaskFigures>, Error> {
    let inputs: Vec<&Encoded> = samples.iter().flat_map(|sample| &sample.inputs).collect();
    let logits = network.logits_of_many(&inputs, &mut |_| {})?;
    let firsts: Vec<usize> = samples
        .iter()
        .scan(0, |next, sample| {
            let first = *next;
            *next += sample.inputs.len();
            Some(first)
        })
        .collect();
    Ok(network
        .heads
        .iter()
        .zip(&logits)
        .map(|(head, logits)| {
            let task = head.config().task;
            let rows = samples.iter().zip(&firsts).filter_map(|(sample, first)| {
                Some((sample.targets.get(&task)?, &logits[*first..first + sample.inputs.len()]))
            });
            (task, task_figures(task, &rows.collect::<Vec<_>>()))
        })
        .collect())
}

fn task_figures(task: Task, rows: &[(&Target, &[Vec<f32>])]) -> TaskFigures {
    let mut figures = TaskFigures { examples: rows.len(), ..TaskFigures::default() };
    if rows.is_empty() {
        return figures;
    }
    match task.kind() {
        TaskKind::MultiLabel => labels(task, rows, &mut figures),
        TaskKind::SingleLabel | TaskKind::Ordinal => classes(task, rows, &mut figures),
        TaskKind::Scalar => pairs(rows, &mut figures),
    }
    figures
}

fn labels(task: Task, rows: &[(&Target, &[Vec<f32>])], figures: &mut TaskFigures) {
    let mut counts = MultilabelCounts::new(task.outputs());
    for (target, logits) in rows {
        let Target::Labels(labels) = target else { continue };
        let gold: Vec<bool> = labels.iter().map(|label| *label >= 0.5).collect();
        let called: Vec<bool> = logits[0].iter().map(|logit| *logit >= 0.0).collect();
        counts.count(&gold, &called);
    }
    figures.macro_f1 = counts.macro_average(MacroOver::AllLabels).map(|averages| averages.f1);
    figures.micro_f1 = Some(counts.micro().f1());
}

fn classes(task: Task, rows: &[(&Target, &[Vec<f32>])], figures: &mut TaskFigures) {
    let (gold, found): (Vec<usize>, Vec<usize>) = rows
        .iter()
        .filter_map(|(target, logits)| match target {
            Target::Class(gold) | Target::Level(gold) => {
                Some((*gold, highest(&probabilities(task, &logits[0]))))
            }
            _ => None,
        })
        .unzip();
    let Some(matrix) = ConfusionMatrix::from_rows(&gold, &found, task.outputs()) else { return };
    figures.accuracy = Some(matrix.accuracy());
    figures.macro_f1 = Some(matrix.macro_f1());
    figures.weighted_f1 = Some(matrix.weighted_f1());
}

fn pairs(rows: &[(&Target, &[Vec<f32>])], figures: &mut TaskFigures) {
    let mut counts = PairCounts::default();
    let (mut costs, mut are_unsafe) = (Vec::new(), Vec::new());
    for (target, logits) in rows {
        let (Target::Preference { better, unsafe_ }, [first, second]) = (target, logits) else { continue };
        let scores = [first[0], second[0]].map(f64::from);
        // A score that is no number puts nothing in the right order; as a tie it is wrong.
        let gap = scores[*better] - scores[1 - better];
        counts.count(if gap.is_nan() { 0.0 } else { gap });
        if let Some(flags) = unsafe_ {
            costs.extend(scores);
            are_unsafe.extend(flags);
        }
    }
    figures.pair_accuracy = counts.accuracy();
    figures.sign_accuracy = sign_accuracy(&costs, &are_unsafe);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_levels_sum_to_one_and_are_never_negative() {
        for logits in [[2.0, 0.0, -1.0], [-1.0, 3.0, 0.0], [9.0, 9.0, 9.0]] {
            let found = probabilities(Task::Severity, &logits);
            assert_eq!(found.len(), 4);
            assert!(found.iter().all(|p| *p >= 0.0) && (found.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn figures_of_labels_are_those_of_scikit_learn() {
        // f1_score(gold, [[1, 0, 0, ...]], average=...) of two rows over nine labels.
        let mut gold = [vec![0.0; 9], vec![0.0; 9]];
        (gold[0][0], gold[1][0], gold[1][2]) = (1.0, 1.0, 1.0);
        let targets = gold.map(Target::Labels);
        let mut logits = [vec![vec![-1.0; 9]], vec![vec![-1.0; 9]]];
        (logits[0][0][0], logits[0][0][1]) = (1.0, 1.0);
        let rows: Vec<(&Target, &[Vec<f32>])> =
            targets.iter().zip(&logits).map(|(t, l)| (t, l.as_slice())).collect();
        let found = task_figures(Task::Signals, &rows);
        assert!((found.macro_f1.expect("a figure") - 2.0 / 3.0 / 9.0).abs() < 1e-12);
        assert!((found.micro_f1.expect("a figure") - 2.0 / (2.0 + 1.0 + 2.0)).abs() < 1e-12);
    }

    #[test]
    fn a_tie_of_a_pair_and_a_cost_of_zero_are_wrong() {
        let target = Target::Preference { better: 0, unsafe_: Some([true, false]) };
        let logits = [vec![0.0], vec![0.0]];
        let found = task_figures(Task::Cost, &[(&target, &logits)]);
        assert_eq!((found.pair_accuracy, found.sign_accuracy), (Some(0.0), Some(0.0)));
    }
}
