//! Fits the wide part: one L2-regularised logistic regression per output, by
//! L-BFGS (Nocedal and Wright 2006, algorithm 7.5). The objective is that of
//! scikit-learn: `C * sum(weight * logloss) + |w|^2 / 2`, intercept free.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use mindrail_core::conversation::Role;
use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Severity, Signal, Taxonomy};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::examples::{Example, LabelledReply, LabelledTurn};
use super::objective::binary;
use super::targets::ReplyTargets;
use crate::architecture::outputs;
use crate::wide::{Alphabet, SeenFeatures, Speaker, WideSum, WideTable, features};

/// How the wide part is fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WideConfig {
    /// Inverse regularisation of risk and signals.
    pub conversation_c: f32,
    /// Inverse regularisation of crisis onsets.
    pub turn_c: f32,
    /// How much more an onset counts than its absence.
    pub turn_positive: f32,
    /// Inverse regularisation of the reply outputs.
    pub reply_c: f32,
    /// A feature of conversations must occur in at least this many of them.
    pub conversation_minimum: usize,
    /// A feature of turns and replies must occur in at least this many texts.
    pub text_minimum: usize,
    /// Weight of a conversation's beginnings in the risk columns, shared out
    /// among its user turns of known risk but the last: what is said until then,
    /// with the risk at that turn. Without them a first turn, which has few features, scores
    /// as firmly as a whole conversation.
    pub beginnings: f32,
    /// Value of a feature that only conversations without labelled turns have,
    /// and which is dropped after the fit: it takes up what tells those sources
    /// from the corpus, which words would otherwise be credited with.
    pub source_feature: f32,
}

/// The tables of the wide part.
#[derive(Debug, Clone, PartialEq)]
pub struct WidePart {
    /// Risk and the nine signals of the conversation so far, from the person's
    /// and the listener's turns.
    pub joint: WideTable,
    /// The same from the person's turns alone.
    pub person: WideTable,
    /// The sixteen crisis onsets, of one user turn.
    pub turn: WideTable,
    /// Classes, harms and severities, of one reply.
    pub reply: WideTable,
}

/// What the wide part remembers of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WideMemory {
    joint: WideSum,
    person: WideSum,
    seen: SeenFeatures,
    /// Whether the listener has spoken.
    listener: bool,
}

impl WideMemory {
    /// Nothing said yet.
    pub fn empty() -> Self {
        let empty = WideSum::empty(CONVERSATION_OUTPUTS);
        Self { joint: empty.clone(), person: empty, seen: SeenFeatures::empty(), listener: false }
    }
}

impl WidePart {
    /// Takes a turn into the memory.
    pub fn remember(&self, memory: &mut WideMemory, text: &str, speaker: Speaker) {
        self.remember_features(memory, features(text, speaker, Alphabet::Words), speaker);
    }

    /// Takes the features of a turn into the memory: its words and pairs.
    pub fn remember_features(&self, memory: &mut WideMemory, mut hashes: Vec<u32>, speaker: Speaker) {
        hashes.retain(|&hash| memory.seen.insert(hash));
        memory.joint.add(&self.joint.sum(&hashes));
        match speaker {
            Speaker::Person => memory.person.add(&self.person.sum(&hashes)),
            Speaker::Listener => memory.listener = true,
        }
    }

    /// Logits of risk and signals for the conversation so far: a weighted mean
    /// of both tables where a listener has spoken, so that the listener's own
    /// judgement is not everything; the person's table alone where none has.
    pub fn conversation(&self, memory: &WideMemory) -> Vec<f32> {
        let person = self.person.logits(&memory.person);
        if !memory.listener {
            return person;
        }
        let joint = self.joint.logits(&memory.joint);
        person.iter().zip(joint).map(|(p, j)| (1.0 - JOINT_SHARE) * p + JOINT_SHARE * j).collect()
    }

    /// Logits of the sixteen crisis onsets for one user turn.
    pub fn turn(&self, text: &str) -> Vec<f32> {
        let hashes = features(text, Speaker::Person, Alphabet::WordsAndLetters);
        self.turn.logits(&self.turn.sum(&hashes))
    }

    /// Logits of classes, harms and severities for one reply.
    pub fn reply(&self, text: &str) -> Vec<f32> {
        let hashes = features(text, Speaker::Listener, Alphabet::WordsAndLetters);
        self.reply.logits(&self.reply.sum(&hashes))
    }
}

/// What the table that reads the listener too counts beside the person's own.
/// Of 0.5, 0.7 and 1, the middle one kept most of what the listener's turns add
/// on authors and generators left out.
pub(super) const JOINT_SHARE: f32 = 0.7;

/// Outputs of the conversation tables: risk, then the signals.
pub const CONVERSATION_OUTPUTS: usize = 1 + Signal::ALL.len();

/// What one output should be for one row, as a probability, with its weight; `None` is
/// unknown. A teacher's probabilities are fitted as they are and not as calls at a
/// threshold: cross-entropy is linear in its target, so the same regression takes them,
/// and its doubt is what a teacher tells beyond labels.
type Target = Option<(f32, f32)>;

/// A text in the fit: its features by speaker and the targets of all outputs.
struct Row {
    /// One feature list per turn (one only, for turns and replies).
    texts: Vec<Vec<u32>>,
    /// Value of the feature that is dropped after the fit; 0 but for conversations
    /// without labelled turns.
    source_feature: f32,
    targets: Vec<Target>,
}

/// Fits all four tables. `weights` holds each source's weight.
pub(super) fn fit(examples: &[&Example], weights: &[f32], config: &WideConfig) -> WidePart {
    let conversations = |keep: fn(Role) -> bool| -> Vec<Row> {
        let row = |e: &&Example| conversation_row(e, weights[e.source], config.source_feature, keep);
        examples.iter().map(row).collect()
    };
    let beginnings = |keep: fn(Role) -> bool| -> Vec<Row> {
        let rows = |e: &&Example| beginning_rows(e, config.beginnings * weights[e.source], keep);
        examples.iter().flat_map(rows).collect()
    };
    let conversation_table = |keep| {
        let fit = Fit {
            alphabet: Alphabet::Words,
            outputs: CONVERSATION_OUTPUTS,
            c: config.conversation_c,
            minimum_texts: config.conversation_minimum,
        };
        fit.table(&conversations(keep), &beginnings(keep))
    };
    let text_fit = |outputs, c| Fit {
        alphabet: Alphabet::WordsAndLetters,
        outputs,
        c,
        minimum_texts: config.text_minimum,
    };
    let turns: Vec<Row> = examples.iter().flat_map(|e| turn_rows(e, config.turn_positive)).collect();
    let replies: Vec<Row> = examples.iter().flat_map(|e| reply_rows(e)).collect();
    WidePart {
        joint: conversation_table(|_| true),
        person: conversation_table(|role| role == Role::User),
        turn: text_fit(CrisisLabel::ALL.len(), config.turn_c).table(&turns, &[]),
        reply: text_fit(outputs::REPLY, config.reply_c).table(&replies, &[]),
    }
}

/// A conversation, with the turns of the roles that `keep` names.
fn conversation_row(example: &Example, weight: f32, source_feature: f32, keep: fn(Role) -> bool) -> Row {
    let known = example.targets();
    let mut targets: Vec<Target> = vec![known.risk.map(|risk| (risk, weight))];
    targets.extend(or_unknown(known.signals.as_deref(), Signal::ALL.len(), |s| (s, weight)));
    Row {
        texts: texts(&example.turns, keep),
        source_feature: if example.has_labelled_turns() { 0.0 } else { source_feature },
        targets,
    }
}

fn texts(turns: &[LabelledTurn], keep: fn(Role) -> bool) -> Vec<Vec<u32>> {
    let turns = turns.iter().filter(|t| keep(t.role));
    turns.map(|t| features(&t.text, speaker(t.role), Alphabet::Words)).collect()
}

/// The conversation up to each user turn but the last, where the risk at that
/// turn is known.
fn beginning_rows(example: &Example, weight: f32, keep: fn(Role) -> bool) -> Vec<Row> {
    let risks = example.targets();
    let mut turns = example.user_turns();
    turns.pop();
    // The table that reads the listener is not asked before one has spoken.
    let listener = example.turns.iter().position(|t| t.role == Role::Assistant);
    let asked = |turn: usize| !keep(Role::Assistant) || listener.is_some_and(|first| first < turn);
    let known: Vec<(usize, f32)> =
        turns.into_iter().filter(|&t| asked(t)).filter_map(|t| Some((t, risks.turns[t].risk?))).collect();
    let weight = weight / known.len().max(1) as f32;
    known
        .into_iter()
        .map(|(turn, risk)| {
            let mut targets = vec![None; CONVERSATION_OUTPUTS];
            targets[outputs::RISK] = Some((risk, weight));
            Row { texts: texts(&example.turns[..=turn], keep), source_feature: 0.0, targets }
        })
        .collect()
}

/// Whose features a role's text gives.
pub(crate) fn speaker(role: Role) -> Speaker {
    match role {
        Role::User => Speaker::Person,
        Role::Assistant | Role::System => Speaker::Listener,
    }
}

/// The user turns of which it is known what begins there.
fn turn_rows(example: &Example, positive: f32) -> Vec<Row> {
    let targets = example.targets();
    let turns = example.turns.iter().zip(&targets.turns);
    turns
        .filter_map(|(turn, targets)| {
            let crisis = targets.crisis.as_ref()?;
            Some(Row {
                texts: vec![features(&turn.text, Speaker::Person, Alphabet::WordsAndLetters)],
                source_feature: 0.0,
                targets: crisis.iter().map(|&target| Some(weighted(target, positive))).collect(),
            })
        })
        .collect()
}

/// A target whose positive part counts `positive` times, as one of weight: `positive t
/// softplus(-z) + (1 - t) softplus(z)` is the sum of both times the loss of their ratio.
fn weighted(target: f32, positive: f32) -> (f32, f32) {
    let weight = positive * target + (1.0 - target);
    (positive * target / weight, weight)
}

/// The targets of some outputs, or that they are unknown.
fn or_unknown<'t>(
    known: Option<&'t [f32]>,
    outputs: usize,
    target: impl Fn(f32) -> (f32, f32) + 't,
) -> Vec<Target> {
    known.map_or_else(|| vec![None; outputs], |known| known.iter().map(|&t| Some(target(t))).collect())
}

fn reply_rows(example: &Example) -> Vec<Row> {
    let targets = example.targets();
    example.replies.iter().zip(&targets.replies).map(|(reply, targets)| reply_row(reply, targets)).collect()
}

fn reply_row(reply: &LabelledReply, known: &ReplyTargets) -> Row {
    let known = known.clone().or_known(reply);
    let whole = |t| (t, 1.0);
    let mut targets = or_unknown(known.classes.as_deref(), ReplyClass::ALL.len(), whole);
    targets.extend(or_unknown(known.harms.as_deref(), Harm::ALL.len(), whole));
    targets.extend(or_unknown(known.severity.as_deref(), Severity::ALL.len(), whole));
    Row {
        texts: vec![features(&reply.text, Speaker::Listener, Alphabet::WordsAndLetters)],
        source_feature: 0.0,
        targets,
    }
}

/// A row as sparse numbers.
struct Sparse {
    columns: Vec<u32>,
    values: Vec<f32>,
}

/// What is fitted, and how.
struct Fit {
    alphabet: Alphabet,
    outputs: usize,
    /// Inverse regularisation.
    c: f32,
    /// A feature must occur in at least this many rows.
    minimum_texts: usize,
}

impl Fit {
    /// Fits one regression per output on `rows` and `beginnings`. The beginnings are
    /// parts of rows, so they count for no document frequency.
    fn table(&self, rows: &[Row], beginnings: &[Row]) -> WideTable {
        let (hashes, idf) = vocabulary(rows, self.minimum_texts);
        let rows: Vec<&Row> = rows.iter().chain(beginnings).collect();
        let sparse: Vec<Sparse> = rows.iter().map(|row| sparse_row(row, &hashes, &idf)).collect();
        let columns: Vec<(Vec<f32>, f32)> = (0..self.outputs)
            .into_par_iter()
            .map(|output| {
                let targets: Vec<Target> = rows.iter().map(|row| row.targets[output]).collect();
                // One more for the source feature, which is not kept.
                Regression { rows: &sparse, targets: &targets, c: self.c }.fit(hashes.len() + 1)
            })
            .collect();
        let mut weights = vec![0.0; hashes.len() * self.outputs];
        for (output, (column, _)) in columns.iter().enumerate() {
            for (row, w) in column.iter().take(hashes.len()).enumerate() {
                weights[row * self.outputs + output] = *w;
            }
        }
        let bias = columns.iter().map(|(_, bias)| *bias).collect();
        WideTable { alphabet: self.alphabet, hashes, idf, weights, bias }
    }
}

/// The features that occur in enough rows, with their inverse document
/// frequency `ln((1 + n) / (1 + df)) + 1`.
fn vocabulary(rows: &[Row], minimum_texts: usize) -> (Vec<u32>, Vec<f32>) {
    let mut frequency: BTreeMap<u32, usize> = BTreeMap::new();
    for row in rows {
        let distinct: BTreeSet<u32> = row.texts.iter().flatten().copied().collect();
        for hash in distinct {
            *frequency.entry(hash).or_default() += 1;
        }
    }
    frequency
        .into_iter()
        .filter(|(_, count)| *count >= minimum_texts)
        .map(|(hash, count)| (hash, ((1.0 + rows.len() as f32) / (1.0 + count as f32)).ln() + 1.0))
        .unzip()
}

/// Each known feature of the row once, scaled to norm 1, and the source feature
/// behind them.
fn sparse_row(row: &Row, hashes: &[u32], idf: &[f32]) -> Sparse {
    let distinct: BTreeSet<u32> = row.texts.iter().flatten().copied().collect();
    let mut columns: Vec<u32> =
        distinct.iter().filter_map(|h| hashes.binary_search(h).ok()).map(|c| c as u32).collect();
    let squares: f32 = columns.iter().map(|&c| idf[c as usize] * idf[c as usize]).sum();
    let inverse = if squares > 0.0 { 1.0 / squares.sqrt() } else { 0.0 };
    let mut values: Vec<f32> = columns.iter().map(|&c| idf[c as usize] * inverse).collect();
    if row.source_feature != 0.0 {
        columns.push(hashes.len() as u32);
        values.push(row.source_feature);
    }
    Sparse { columns, values }
}

/// One output's regression.
struct Regression<'a> {
    rows: &'a [Sparse],
    targets: &'a [Target],
    c: f32,
}

impl Regression<'_> {
    /// Weights and intercept at the minimum.
    fn fit(&self, features: usize) -> (Vec<f32>, f32) {
        let mut point = vec![0.0; features + 1];
        minimise(&mut point, |point, gradient| self.objective(point, gradient));
        let bias = point.pop().unwrap_or_default();
        (point, bias)
    }

    /// The objective; its gradient replaces `gradient`. The last number of
    /// `point` is the intercept.
    fn objective(&self, point: &[f32], gradient: &mut [f32]) -> f64 {
        let (weights, bias) = (&point[..point.len() - 1], point[point.len() - 1]);
        gradient[..weights.len()].copy_from_slice(weights);
        gradient[weights.len()] = 0.0;
        let mut total = 0.5 * weights.iter().map(|w| f64::from(w * w)).sum::<f64>();
        for (row, target) in self.rows.iter().zip(self.targets) {
            let Some((target, weight)) = *target else { continue };
            let logit = bias
                + row.columns.iter().zip(&row.values).map(|(&c, v)| v * weights[c as usize]).sum::<f32>();
            let (loss, derivative) = binary(logit, target, self.c * weight, 1.0);
            total += f64::from(loss);
            for (&column, value) in row.columns.iter().zip(&row.values) {
                gradient[column as usize] += derivative * value;
            }
            gradient[weights.len()] += derivative;
        }
        total
    }
}

const HISTORY: usize = 8;
const ITERATIONS: usize = 80;

/// L-BFGS with backtracking; stops when the gradient has shrunk a
/// thousandfold.
fn minimise(point: &mut Vec<f32>, objective: impl Fn(&[f32], &mut [f32]) -> f64) {
    let mut gradient = vec![0.0; point.len()];
    let mut value = objective(point, &mut gradient);
    let goal = inner(&gradient, &gradient).sqrt() * 1e-3;
    let mut history: VecDeque<(Vec<f32>, Vec<f32>, f64)> = VecDeque::new();
    for _ in 0..ITERATIONS {
        if inner(&gradient, &gradient).sqrt() <= goal {
            return;
        }
        let direction = quasi_newton_direction(&gradient, &history);
        let slope = inner(&gradient, &direction);
        let mut length =
            if history.is_empty() { 1.0 / inner(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let mut next_gradient = vec![0.0; point.len()];
        let mut accepted = None;
        for _ in 0..20 {
            let next: Vec<f32> = point.iter().zip(&direction).map(|(p, d)| p + length as f32 * d).collect();
            let next_value = objective(&next, &mut next_gradient);
            if next_value <= value + 1e-4 * length * slope {
                accepted = Some((next, next_value));
                break;
            }
            length *= 0.5;
        }
        let Some((next, next_value)) = accepted else { return };
        let step: Vec<f32> = next.iter().zip(point.iter()).map(|(a, b)| a - b).collect();
        let change: Vec<f32> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        let curvature = inner(&step, &change);
        if curvature > 1e-10 {
            history.push_back((step, change, 1.0 / curvature));
            if history.len() > HISTORY {
                history.pop_front();
            }
        }
        (*point, value, gradient) = (next, next_value, next_gradient);
    }
}

/// The two-loop recursion: minus the approximate inverse Hessian times the
/// gradient.
fn quasi_newton_direction(gradient: &[f32], history: &VecDeque<(Vec<f32>, Vec<f32>, f64)>) -> Vec<f32> {
    let mut q = gradient.to_vec();
    let mut alphas = Vec::new();
    for (step, change, rho) in history.iter().rev() {
        let alpha = rho * inner(step, &q);
        crate::kernel::add_scaled(&mut q, -alpha as f32, change);
        alphas.push(alpha);
    }
    if let Some((_, change, rho)) = history.back() {
        let scale = (1.0 / rho) / inner(change, change);
        q.iter_mut().for_each(|x| *x *= scale as f32);
    }
    for ((step, change, rho), alpha) in history.iter().zip(alphas.iter().rev()) {
        let beta = rho * inner(change, &q);
        crate::kernel::add_scaled(&mut q, (alpha - beta) as f32, step);
    }
    q.iter_mut().for_each(|x| *x = -*x);
    q
}

fn inner(a: &[f32], b: &[f32]) -> f64 {
    a.chunks(4096).zip(b.chunks(4096)).map(|(x, y)| f64::from(crate::kernel::dot(x, y))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tells_a_source_is_not_credited_to_its_words() {
        // The word 7 stands in every conversation of one source, which is mostly
        // high risk; the word 8 tells the classes apart in both sources.
        let row = |foreign: bool, high_risk: bool, feature: f32| Row {
            texts: vec![
                [foreign.then_some(7), high_risk.then_some(8), Some(9)].into_iter().flatten().collect(),
            ],
            source_feature: if foreign { feature } else { 0.0 },
            targets: vec![Some((if high_risk { 1.0 } else { 0.0 }, 1.0))],
        };
        let weight_of_the_source_s_word = |feature: f32| {
            let rows: Vec<Row> = (0..60)
                .map(|i| row(i % 2 == 0, if i % 2 == 0 { i % 6 != 0 } else { i % 5 == 0 }, feature))
                .collect();
            let fit = Fit { alphabet: Alphabet::Words, outputs: 1, c: 1.0, minimum_texts: 1 };
            let table = fit.table(&rows, &[]);
            table.weights[table.hashes.binary_search(&7).expect("a known word")]
        };
        let (without, with) = (weight_of_the_source_s_word(0.0), weight_of_the_source_s_word(3.0));
        assert!(with < 0.5 * without, "{with} against {without}");
    }

    #[test]
    fn a_row_of_doubt_is_fitted_as_two_certain_rows_of_its_shares() {
        let row = |feature: u32| Sparse { columns: vec![feature], values: vec![1.0] };
        let fit = |rows: &[Sparse], targets: &[Target]| Regression { rows, targets, c: 4.0 }.fit(2);
        let (positive, target) = (10.0, 0.2);
        let (soft, both) = (weighted(target, positive), [positive * target, 1.0 - target]);
        let one = fit(&[row(0), row(1)], &[Some(soft), Some((0.0, 1.0))]);
        let two =
            fit(&[row(0), row(0), row(1)], &[Some((1.0, both[0])), Some((0.0, both[1])), Some((0.0, 1.0))]);
        assert!((one.1 - two.1).abs() < 1e-3 && (one.0[0] - two.0[0]).abs() < 1e-3, "{one:?} {two:?}");
        assert_eq!([weighted(1.0, positive), weighted(0.0, positive)], [(1.0, positive), (0.0, 1.0)]);
    }

    #[test]
    fn the_fit_reaches_a_point_where_the_gradient_vanishes() {
        let rows: Vec<Sparse> =
            (0..40).map(|i| Sparse { columns: vec![i % 3, 3 + i % 2], values: vec![1.0, 0.5] }).collect();
        let label = |i: i32| if i % 3 == 0 || i % 7 == 0 { 1.0 } else { 0.0 };
        let targets: Vec<Target> = (0..40).map(|i| Some((label(i), 1.0))).collect();
        let regression = Regression { rows: &rows, targets: &targets, c: 2.0 };
        let (mut point, bias) = regression.fit(5);
        point.push(bias);
        let mut gradient = vec![0.0; 6];
        regression.objective(&point, &mut gradient);
        assert!(gradient.iter().all(|g| g.abs() < 0.05), "{gradient:?}");
        assert!(point[0] > point[1], "the feature of the positive rows has the larger weight");
    }
}
