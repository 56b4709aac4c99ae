//! A benchmark from answers to report: judges them, draws the intervals, lets
//! the protocol say what else it found, and puts the whole together. Also the
//! comparison of two runs, and the gate for continuous integration.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::runs::{RunFigures, over_runs};
use crate::protocol::{Answer, Evaluator, FigureName, Intervals, Item, Judged, Unanswered, judge};
use crate::report::{
    Cell, Comparison, DataIdentity, Figure, Method, Report, SCHEMA, Section, ShownText, SystemIdentity,
    Table, compare,
};
use crate::resampling::{CONFIDENCE, Settings, Systems, adjust, estimates, paired_tests, right_and_wrong};
use crate::system::{Benched, ItemOf, RunAnswers};
use crate::unanswered::UnansweredParts;

/// What is reported beside the answers.
#[derive(Debug, Clone)]
pub struct Setting {
    /// What was measured.
    pub system: SystemIdentity,
    /// Name of the data set, and file names with their hashes.
    pub set: String,
    /// File names with their hashes.
    pub files: BTreeMap<String, String>,
    /// How intervals are made.
    pub resampling: Settings,
    /// What counts where there is no answer.
    pub unanswered: Unanswered,
    /// Whether the report may hold conversation text.
    pub text: TextInReport,
}

/// Whether a report may hold conversation text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextInReport {
    /// None. The default.
    Hidden,
    /// What was judged wrongly, at most so many items.
    Wrong(usize),
}

/// The report on a system's answers.
pub fn report<P: Benched>(
    protocol: &P,
    items: &[ItemOf<P>],
    answers: &[Answer<P::Prediction>],
    setting: &Setting,
) -> Report {
    let (judged, outcomes) = judge(protocol, items, answers, setting.unanswered);
    let evaluator = protocol.evaluator(&judged);
    let intervals = estimates(&*evaluator, setting.resampling);
    let mut findings = protocol.findings(&judged, &intervals);
    let unanswered = unanswered(&outcomes);
    if unanswered > 0 {
        let parts = UnansweredParts::of(protocol, items, answers);
        let mut section = under_each_policy(protocol, items, answers);
        section.tables.extend(parts.as_ref().map(UnansweredParts::table));
        findings.sections.push(section);
        findings.notes.push(unanswered_note(unanswered, setting.unanswered));
        findings.notes.extend(parts.as_ref().map(UnansweredParts::note));
    }
    findings.options.insert("unanswered".to_owned(), wire(&setting.unanswered));
    Report {
        schema: SCHEMA.to_owned(),
        protocol: P::NAME.to_owned(),
        title: format!("{} on {}", setting.system.name, setting.set),
        system: setting.system.clone(),
        data: data(setting, &judged, &*evaluator),
        method: method(setting.resampling, findings.options),
        outcomes,
        figures: figures(evaluator.figures(), &intervals),
        sections: findings.sections,
        published: findings.published,
        notes: findings.notes,
        shown_text: shown_text(protocol, &judged, setting.text),
    }
}

fn data<P: Benched>(setting: &Setting, judged: &[Judged<'_, P>], evaluator: &dyn Evaluator) -> DataIdentity {
    DataIdentity {
        set: setting.set.clone(),
        files: setting.files.clone(),
        items: judged.len() as u64,
        clusters: evaluator.clusters() as u64,
        cluster: P::CLUSTER.to_owned(),
    }
}

fn method(settings: Settings, options: BTreeMap<String, String>) -> Method {
    Method {
        mindrail: env!("CARGO_PKG_VERSION").to_owned(),
        resamples: settings.draws,
        seed: settings.seed,
        interval: wire(&settings.method),
        confidence: CONFIDENCE,
        options,
    }
}

/// A closed enum's name on the wire.
fn wire(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => format!("{other:?}"),
    }
}

fn figures(names: &[FigureName], intervals: &Intervals) -> Vec<Figure> {
    let figure = |name: &FigureName| {
        let estimate = intervals.get(&name.name);
        Figure {
            name: name.name.clone(),
            title: name.title.clone(),
            value: estimate.and_then(|estimate| estimate.value),
            interval: estimate.and_then(|estimate| estimate.interval),
            support: name.support,
            unit: name.unit,
            better: name.better,
        }
    };
    names.iter().map(figure).collect()
}

/// Items whose outcome is not that they were answered.
fn unanswered(outcomes: &BTreeMap<String, u64>) -> u64 {
    outcomes.iter().filter(|(name, _)| *name != "ok").map(|(_, count)| count).sum()
}

/// The figures of several runs of one system beside each other; none for one run.
pub fn section_over_runs<P: Benched>(
    protocol: &P,
    items: &[ItemOf<P>],
    runs: &[RunAnswers<P::Prediction>],
    policy: Unanswered,
) -> Option<Section> {
    let figures = |run: &RunAnswers<P::Prediction>| {
        let (judged, outcomes) = judge(protocol, items, &run.answers, policy);
        let evaluator = protocol.evaluator(&judged);
        let values = evaluator.values(&vec![1; evaluator.clusters()]);
        let figures = evaluator.figures().iter().cloned().zip(values).collect();
        RunFigures { name: run.name.clone(), unanswered: unanswered(&outcomes), figures }
    };
    (runs.len() > 1).then(|| over_runs(&runs.iter().map(figures).collect::<Vec<_>>()))
}

/// How many of the first figures are shown under each policy.
const HEADLINE: usize = 8;

/// The first figures under each policy for what was not answered.
fn under_each_policy<P: Benched>(
    protocol: &P,
    items: &[ItemOf<P>],
    answers: &[Answer<P::Prediction>],
) -> Section {
    let policies = [Unanswered::Negative, Unanswered::Positive, Unanswered::LeftOut];
    let mut columns = vec!["Figure".to_owned()];
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for policy in policies {
        let (judged, _) = judge(protocol, items, answers, policy);
        let evaluator = protocol.evaluator(&judged);
        let values = evaluator.values(&vec![1; evaluator.clusters()]);
        columns.push(format!("{} ({} items)", policy_title(policy), judged.len()));
        for (at, figure) in evaluator.figures().iter().take(HEADLINE).enumerate() {
            if rows.len() <= at {
                rows.push(vec![Cell::Text(figure.title.clone())]);
            }
            let value = values[at];
            rows[at].push(Cell::Value { value, unit: figure.unit, interval: None });
        }
    }
    Section {
        id: "unanswered".to_owned(),
        title: "What was not answered".to_owned(),
        text: "The same figures under each way to count an item without an answer.".to_owned(),
        tables: vec![Table { caption: "Headline figures under each policy".to_owned(), columns, rows }],
        charts: Vec::new(),
    }
}

fn policy_title(policy: Unanswered) -> &'static str {
    match policy {
        Unanswered::Positive => "counted as danger",
        Unanswered::Negative => "counted as no danger",
        Unanswered::LeftOut => "left out",
    }
}

fn unanswered_note(count: u64, policy: Unanswered) -> String {
    format!(
        "{count} items have no answer, or none to a part of them; in all other tables what is missing is {}.",
        policy_title(policy)
    )
}

fn shown_text<P: Benched>(protocol: &P, judged: &[Judged<'_, P>], text: TextInReport) -> Vec<ShownText> {
    let TextInReport::Wrong(most) = text else { return Vec::new() };
    let wrong = judged.iter().zip(protocol.is_right(judged)).filter(|(_, right)| !right);
    wrong
        .take(most)
        .map(|(one, _)| {
            let [gold, predicted] = protocol.verdicts(one.item, &one.prediction);
            ShownText { id: one.item.id.clone(), gold, predicted, text: protocol.shown(one.item) }
        })
        .collect()
}

/// Two runs on the same items, with paired tests.
pub struct Pair<'a, P: Benched> {
    /// The items of both.
    pub items: &'a [ItemOf<P>],
    /// The first run's report and answers.
    pub a: (&'a Report, &'a [Answer<P::Prediction>]),
    /// The second run's.
    pub b: (&'a Report, &'a [Answer<P::Prediction>]),
    /// What counts where there is no answer.
    pub unanswered: Unanswered,
}

/// Compares two runs on the items that both of them judge.
pub fn compare_runs<P>(protocol: &P, pair: &Pair<'_, P>, settings: Settings) -> Comparison
where
    P: Benched,
    P::Input: Clone,
    P::Gold: Clone,
{
    // The second system's items are copies in clusters of their own, so that one
    // evaluator holds both systems side by side.
    let copies: Vec<ItemOf<P>> = pair.items.iter().map(second).collect();
    let (mut judged, _) = judge(protocol, pair.items, pair.a.1, pair.unanswered);
    let (mut other, _) = judge(protocol, &copies, pair.b.1, pair.unanswered);
    if pair.unanswered == Unanswered::LeftOut {
        let ids = |all: &[Judged<'_, P>]| -> BTreeSet<String> {
            all.iter().map(|one| one.item.id.clone()).collect()
        };
        let both = &ids(&judged) & &ids(&other);
        judged.retain(|one| both.contains(&one.item.id));
        other.retain(|one| both.contains(&one.item.id));
    }
    let items = judged.len();
    let whole = right_and_wrong(&protocol.is_right(&judged), &protocol.is_right(&other));
    let (evaluator_a, evaluator_b) = (protocol.evaluator(&judged), protocol.evaluator(&other));
    let together: Vec<Judged<'_, P>> = judged.iter().chain(&other).map(Judged::again).collect();
    let joint = protocol.evaluator(&together);
    let systems = Systems { a: &*evaluator_a, b: &*evaluator_b, joint: &*joint };
    let mut tests = paired_tests(&systems, settings);
    tests.extend(whole);
    adjust(&mut tests);
    let mut comparison = compare(pair.a.0, pair.b.0, &tests);
    comparison.notes.push(format!("The tests rest on the {items} items that both runs judge."));
    comparison
}

fn second<I: Clone, G: Clone>(item: &Item<I, G>) -> Item<I, G> {
    Item { cluster: format!("second:{}", item.cluster), ..item.clone() }
}

/// A condition on a figure, such as `turn_f1>=0.51`.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    figure: String,
    at_least: bool,
    bound: f64,
}

/// A gate that is not held, or that cannot be checked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GateError {
    /// Not of the form `figure>=number` or `figure<=number`.
    #[error("found `{found}`, expected a condition such as turn_f1>=0.51 or ece<=0.1")]
    Form {
        /// What was given.
        found: String,
    },
    /// The report has no such figure.
    #[error("the report has no figure `{figure}`; it has {known}")]
    Unknown {
        /// The name.
        figure: String,
        /// Some names that it has.
        known: String,
    },
    /// The figure does not hold the bound, or is not defined.
    #[error("{figure} is {found}, expected {sign} {bound}")]
    Missed {
        /// The name.
        figure: String,
        /// Its value.
        found: String,
        /// `>=` or `<=`.
        sign: &'static str,
        /// The bound.
        bound: f64,
    },
}

impl std::str::FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let form = || GateError::Form { found: text.to_owned() };
        let (sign, at_least) = if text.contains(">=") { (">=", true) } else { ("<=", false) };
        let (figure, bound) = text.split_once(sign).ok_or_else(form)?;
        let bound = bound.trim().parse().ok().filter(|bound: &f64| bound.is_finite());
        let figure = figure.trim().to_owned();
        if figure.is_empty() {
            return Err(form());
        }
        Ok(Self { figure, at_least, bound: bound.ok_or_else(form)? })
    }
}

impl Gate {
    /// Whether the report holds the bound. A figure that is not defined does not.
    ///
    /// # Errors
    /// [`GateError::Unknown`] or [`GateError::Missed`].
    pub fn check(&self, report: &Report) -> Result<(), GateError> {
        let Some(figure) = report.figure(&self.figure) else {
            let known: Vec<&str> = report
                .figures
                .iter()
                .map(|figure| figure.name.as_str())
                .filter(|name| !name.contains('@'))
                .collect();
            return Err(GateError::Unknown { figure: self.figure.clone(), known: known.join(", ") });
        };
        let sign = if self.at_least { ">=" } else { "<=" };
        let holds = |value: f64| if self.at_least { value >= self.bound } else { value <= self.bound };
        match figure.value {
            Some(value) if holds(value) => Ok(()),
            value => Err(GateError::Missed {
                figure: self.figure.clone(),
                found: value.map_or("not defined".to_owned(), |value| format!("{value:.4}")),
                sign,
                bound: self.bound,
            }),
        }
    }
}
