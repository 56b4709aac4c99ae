//! The four published protocols as one interface: a protocol reads gold items
//! from a data set, takes a system's answers to them, and finds figures. Where
//! the answers come from (a file, a bundle, a language model) it does not know;
//! see [`crate::system`].
//!
//! Intervals and comparisons rest on an [`Evaluator`]: the figures of one
//! system when each cluster of items is drawn so and so many times. One piece of
//! code then serves every protocol (see [`crate::resampling`]), and a figure in
//! a comparison cannot differ from the same figure in a report.

pub mod crisis;
mod definition;
pub mod distress;
mod evaluation;
mod figures;
pub mod harm;
mod length;
pub mod reply;
mod row;
pub mod runs;
mod slice;

use std::collections::{BTreeMap, HashMap};

use mindrail_core::metrics::{Draws, Lanes};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use row::{FromRow, Row};

use crate::report::{Better, PublishedRow, Section, Unit};

/// One thing to be judged, with what is so.
#[derive(Debug, Clone, PartialEq)]
pub struct Item<I, G> {
    /// Its name, unique in the data.
    pub id: String,
    /// What it is drawn together with: its dialogue, family or prompt.
    pub cluster: String,
    /// What it can be sliced by: `language`, `register`, ….
    pub slices: BTreeMap<String, String>,
    /// What a system may see.
    pub input: I,
    /// What is so.
    pub gold: G,
}

/// How a system came to its answer to an item, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It answered.
    Ok,
    /// It declined to answer.
    Refused,
    /// The provider's content filter stopped question or answer.
    ContentFiltered,
    /// The answer was cut off.
    Truncated,
    /// There is an answer that says none of what was asked.
    Unparsable,
    /// It took too long.
    Timeout,
    /// The server does not accept the question (HTTP 400, 413, 422), and would not
    /// the next time.
    Rejected,
    /// It could not be asked: transport, quota, budget.
    Failed,
    /// It says itself that it could not evaluate the item, such as a guard that does
    /// not know the language. Never to be read as safe.
    NotEvaluated,
    /// It holds no answer to this item.
    Missing,
}

impl Outcome {
    /// The name in files.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::ContentFiltered => "content_filtered",
            Self::Truncated => "truncated",
            Self::Unparsable => "unparsable",
            Self::Timeout => "timeout",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::NotEvaluated => "not_evaluated",
            Self::Missing => "missing",
        }
    }
}

/// What counts for an item to which there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unanswered {
    /// As danger: high risk, unsafe. As no label where danger has no single name.
    Positive,
    /// As no danger. The default: what a deployment without a fallback would do.
    Negative,
    /// The item is left out; figures then rest on fewer items.
    LeftOut,
}

/// A system's answer to an item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer<P> {
    /// The item's id.
    pub id: String,
    /// How it came about.
    pub outcome: Outcome,
    /// What was said. Without the outcome `ok` it is what was said of a part of
    /// the item, if anything.
    pub prediction: Option<P>,
}

/// An item beside what counts as said of it.
#[derive(Debug)]
pub struct Judged<'a, P: Protocol> {
    /// The item.
    pub item: &'a Item<P::Input, P::Gold>,
    /// What counts as said.
    pub prediction: P::Prediction,
    /// How the answer came about.
    pub outcome: Outcome,
}

impl<P: Protocol> Judged<'_, P> {
    /// The same once more.
    pub(crate) fn again(&self) -> Self {
        Self { item: self.item, prediction: self.prediction.clone(), outcome: self.outcome }
    }
}

/// A published protocol, with its options as fields.
pub trait Protocol: Sized + Sync {
    /// `distress`, `crisis`, `reply` or `harm`.
    const NAME: &'static str;
    /// What items are drawn together by: `dialogue`, `family`, `prompt`.
    const CLUSTER: &'static str;
    /// What an item's parts are, where they are answered one by one: `user turn`.
    const PART: Option<&'static str> = None;
    /// What a system may see of an item.
    type Input: Sync;
    /// What is so.
    type Gold: Sync;
    /// What a system says.
    type Prediction: Clone + Serialize + DeserializeOwned + FromRow + Send + Sync;

    /// What counts for an item that has no answer; none to leave it out.
    fn stand_in(&self, item: &Item<Self::Input, Self::Gold>, policy: Unanswered) -> Option<Self::Prediction>;

    /// Why parts of an item have no answer, one reason for each such part.
    fn unanswered_parts(
        &self,
        _item: &Item<Self::Input, Self::Gold>,
        _said: &Self::Prediction,
    ) -> Vec<Outcome> {
        Vec::new()
    }

    /// What counts where a system answered an item in part; none to leave the item
    /// out.
    fn in_part(
        &self,
        _item: &Item<Self::Input, Self::Gold>,
        said: Self::Prediction,
        policy: Unanswered,
    ) -> Option<Self::Prediction> {
        (policy != Unanswered::LeftOut).then_some(said)
    }

    /// The figures under any draw of the clusters.
    fn evaluator<'a>(&'a self, judged: &'a [Judged<'a, Self>]) -> Box<dyn Evaluator + 'a>;

    /// Sections, published rows and notes, beside the evaluator's figures.
    fn findings(&self, judged: &[Judged<'_, Self>], intervals: &Intervals) -> Findings;

    /// Whether each item is judged rightly as a whole, in order; for `McNemar`'s
    /// test and for showing what went wrong.
    fn is_right(&self, judged: &[Judged<'_, Self>]) -> Vec<bool>;
}

/// The figures of one system when each cluster is drawn so and so many times.
pub trait Evaluator: Sync {
    /// The figures, in order.
    fn figures(&self) -> &[FigureName];

    /// Number of clusters, numbered as [`clusters`] numbers them.
    fn clusters(&self) -> usize;

    /// The value of each figure in each of the draws; none where it is not defined.
    fn drawn(&self, draws: &Draws) -> Vec<Lanes<Option<f64>>>;

    /// The figures' values when cluster `c` is drawn `multiplicities[c]` times.
    /// Multiplicities of 1 give the figures of the data themselves.
    fn values(&self, multiplicities: &[u8]) -> Vec<Option<f64>> {
        self.drawn(&Draws::one(multiplicities)).into_iter().map(|lanes| lanes[0]).collect()
    }
}

/// A figure, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FigureName {
    /// The name that programs use, such as `auroc` or `auroc@language=fr`.
    pub name: String,
    /// The name that people read.
    pub title: String,
    /// What kind of number it is.
    pub unit: Unit,
    /// Which direction is better.
    pub better: Better,
    /// Cases that it rests on.
    pub support: Option<u64>,
}

/// Values and intervals of an evaluator's figures, by name.
pub type Intervals = HashMap<String, crate::resampling::Estimate>;

/// What a protocol finds beside the evaluator's figures.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Findings {
    /// Tables and charts in reading order.
    pub sections: Vec<Section>,
    /// Published figures of other systems.
    pub published: Vec<PublishedRow>,
    /// What a reader must know before quoting a figure.
    pub notes: Vec<String>,
    /// Every convention that was chosen, by name.
    pub options: BTreeMap<String, String>,
}

/// The number of each item's cluster, in order of first appearance.
pub fn clusters<P: Protocol>(judged: &[Judged<'_, P>]) -> Vec<usize> {
    let mut numbers = HashMap::new();
    judged
        .iter()
        .map(|one| {
            let next = numbers.len();
            *numbers.entry(one.item.cluster.as_str()).or_insert(next)
        })
        .collect()
}

/// Items with their answers under a policy, in item order, and how many came to
/// which outcome. An item without an answer has the outcome [`Outcome::Missing`].
pub fn judge<'a, P: Protocol>(
    protocol: &P,
    items: &'a [Item<P::Input, P::Gold>],
    answers: &[Answer<P::Prediction>],
    policy: Unanswered,
) -> (Vec<Judged<'a, P>>, BTreeMap<String, u64>) {
    let by_id: HashMap<&str, &Answer<P::Prediction>> =
        answers.iter().map(|answer| (answer.id.as_str(), answer)).collect();
    let mut outcomes = BTreeMap::new();
    let mut judged = Vec::new();
    for item in items {
        let answer = by_id.get(item.id.as_str());
        let outcome = answer.map_or(Outcome::Missing, |answer| outcome(protocol, item, answer));
        *outcomes.entry(outcome.wire().to_owned()).or_insert(0) += 1;
        let counted = match answer.and_then(|answer| answer.prediction.clone()) {
            None => protocol.stand_in(item, policy),
            Some(said) if outcome == Outcome::Ok => Some(said),
            Some(said) => protocol.in_part(item, said, policy),
        };
        judged.extend(counted.map(|prediction| Judged { item, prediction, outcome }));
    }
    (judged, outcomes)
}

/// How an answer came about: as it says, and where it says nothing against it, as the
/// first part that has no answer.
fn outcome<P: Protocol>(
    protocol: &P,
    item: &Item<P::Input, P::Gold>,
    answer: &Answer<P::Prediction>,
) -> Outcome {
    let unanswered = || protocol.unanswered_parts(item, answer.prediction.as_ref()?).first().copied();
    match answer.outcome {
        Outcome::Ok => unanswered().unwrap_or(Outcome::Ok),
        outcome => outcome,
    }
}
