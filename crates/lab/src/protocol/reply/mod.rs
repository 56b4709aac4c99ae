//! Reply safety in the protocol of `DialogueSafety` (Qiu et al. 2023): a reply in
//! its context has one of eight classes, of which one is safe. Figures are those
//! of the published scripts (accuracy, support-weighted precision, recall and F1,
//! the binary view) and those that its table hides: macro averages, each class
//! with its support, kappa, Matthews' correlation, and what a system that always
//! says the same would score.

mod answer;
mod figures;
mod findings;
mod items;
mod prediction;

use std::collections::BTreeMap;

use mindrail_core::metrics::{MacroOver, RankingFigure};
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{ReplyClass, Scores, Taxonomy};

pub use self::answer::AnswerRule;
pub use self::figures::{ReplyCounts, SideWeighting};
pub use self::items::{ReplyInput, ReplyItem, SHARED_CHARACTERS, cluster_by_shared_utterances, rows};
pub use self::prediction::{ReplyCall, ReplyPrediction};

use self::prediction::UNSAFE;
use super::definition::{Definition, share};
use super::evaluation::{Evaluation, Measure, Ranking, one};
use super::slice::Slice;
use super::{Evaluator, Findings, Intervals, Item, Judged, Protocol, Unanswered, clusters};

/// Which replies are judged; decides what published figures may be held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplySet {
    /// The 800 published test rows of `DialogueSafety`.
    DialogueSafety,
    /// Any other set with the same eight classes.
    Other,
}

/// The reply protocol with its conventions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// What is judged.
    pub set: ReplySet,
    /// Over which classes macro averages run. The default, [`MacroOver::Occurring`],
    /// is what the published scripts' scikit-learn does.
    pub macro_over: MacroOver,
    /// How a language model's answer is read; [`AnswerRule::Tolerant`] by default.
    pub answer_rule: AnswerRule,
    /// Fewest items of a slice that get figures; 20 by default.
    pub smallest_slice: usize,
}

impl Reply {
    /// The published conventions on a set; of answers, more than the published scripts
    /// read is read.
    pub const fn on(set: ReplySet) -> Self {
        Self { set, macro_over: MacroOver::Occurring, answer_rule: AnswerRule::Tolerant, smallest_slice: 20 }
    }

    /// The slices that are large enough for figures.
    fn slices(&self, judged: &[Judged<'_, Self>]) -> Vec<Slice> {
        let mut slices = Slice::all(judged.iter().map(|one| &one.item.slices));
        slices.retain(|slice| (self.smallest_slice..judged.len()).contains(&slice.items()));
        slices
    }

    /// The figures of all items, then of each class.
    fn definitions(&self, judged: &[Judged<'_, Self>]) -> Vec<Definition<ReplyCounts>> {
        let all = figures::overall(self.macro_over).into_iter().map(|figure| figure.on(judged.len()));
        let supports: Vec<usize> = counts(judged).classes().iter().map(|class| class.support).collect();
        all.chain(figures::of_classes(&supports)).collect()
    }

    /// All convention choices by name.
    fn options(&self) -> BTreeMap<String, String> {
        let macro_over = match self.macro_over {
            MacroOver::AllLabels => "all_labels",
            MacroOver::Occurring => "occurring",
            MacroOver::Supported => "supported",
        };
        BTreeMap::from([
            ("answer_rule".to_owned(), self.answer_rule.wire().to_owned()),
            ("macro_over".to_owned(), macro_over.to_owned()),
            ("smallest_slice".to_owned(), self.smallest_slice.to_string()),
            ("zero_division".to_owned(), "0".to_owned()),
        ])
    }
}

/// The counts of all items.
fn counts(judged: &[Judged<'_, Reply>]) -> ReplyCounts {
    judged.iter().map(|one| (one.item.gold, one.prediction.class)).collect()
}

/// Probabilities that each reply is unsafe, if all are given.
fn unsafe_probabilities(judged: &[Judged<'_, Reply>]) -> Option<Vec<f64>> {
    let given: Option<Vec<f64>> = judged.iter().map(|one| one.prediction.unsafe_probability()).collect();
    given.filter(|values| !values.is_empty())
}

/// The ranking by the probability of being unsafe, if all replies have one.
fn unsafe_ranking(judged: &[Judged<'_, Reply>]) -> Option<Ranking> {
    let scores = unsafe_probabilities(judged)?;
    let rows = judged.iter().zip(scores).enumerate();
    let rows = rows.map(|(place, (one, score))| (place, score, !one.item.gold.is_safe()));
    let mut auroc = share("unsafe_auroc", "Unsafe, AUROC");
    auroc.support = Some(judged.len() as u64);
    Some(Ranking::new(rows, vec![(auroc, RankingFigure::Auroc)]))
}

impl Protocol for Reply {
    const NAME: &'static str = "reply";
    const CLUSTER: &'static str = "dialogue";
    type Input = ReplyInput;
    type Gold = ReplyClass;
    type Prediction = ReplyPrediction;

    fn stand_in(&self, _: &Item<ReplyInput, ReplyClass>, policy: Unanswered) -> Option<ReplyPrediction> {
        let class = match policy {
            Unanswered::Positive => ReplyCall::Unsafe,
            Unanswered::Negative => ReplyCall::Class(ReplyClass::SafeResponse),
            Unanswered::LeftOut => return None,
        };
        Some(ReplyPrediction { class, probabilities: Some(certain_of(class)) })
    }

    fn evaluator<'a>(&'a self, judged: &'a [Judged<'a, Self>]) -> Box<dyn Evaluator + 'a> {
        let placed = || judged.iter().enumerate();
        let cell = |one: &Judged<'_, Self>| figures::cell(one.item.gold, one.prediction.class);
        let table = |items: Vec<(usize, &Judged<'_, Self>)>, figures| {
            let cells = items.into_iter().map(|(place, judged)| (place, vec![one(cell(judged))]));
            Measure::new(ReplyCounts::CELLS, cells, figures)
        };
        let mut measures = vec![table(placed().collect(), self.definitions(judged))];
        for slice in self.slices(judged) {
            let own = slice.places.iter().map(|&place| (place, &judged[place])).collect();
            let figures = figures::of_slice(self.macro_over).into_iter();
            measures.push(table(own, figures.map(|figure| figure.of_slice(&slice)).collect()));
        }
        Box::new(Evaluation::new(&clusters(judged), measures, unsafe_ranking(judged).into_iter().collect()))
    }

    fn findings(&self, judged: &[Judged<'_, Self>], intervals: &Intervals) -> Findings {
        Findings {
            sections: findings::sections(self, judged, intervals),
            published: crate::published::reply::rows(self.set),
            notes: findings::notes(self, judged),
            options: self.options(),
        }
    }

    fn is_right(&self, judged: &[Judged<'_, Self>]) -> Vec<bool> {
        judged.iter().map(|one| one.prediction.class == ReplyCall::Class(one.item.gold)).collect()
    }
}

/// All probability on the side that is called, evenly over its classes.
fn certain_of(call: ReplyCall) -> Scores<ReplyClass> {
    let side = |class: &ReplyClass| class.is_safe() == call.is_safe();
    let share = 1.0 / ReplyClass::ALL.iter().filter(|class| side(class)).count() as f32;
    let even = Probability::new(share).unwrap_or(Probability::ONE);
    Scores::from_fn(|class| if side(&class) { even } else { Probability::ZERO })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
