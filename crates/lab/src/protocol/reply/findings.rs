//! What a report shows of reply classification beside its figures.

use mindrail_core::metrics::{Binning, Confusion, reliability_bins};
use mindrail_core::taxonomy::{ReplyClass, Taxonomy};

use super::{Reply, ReplyCall, ReplyCounts, ReplySet, counts, figures, unsafe_probabilities};
use crate::protocol::figures::{
    bar, cell, count, names, plain, reliability, roc, section, slice_tables, table, text, value_table,
};
use crate::protocol::slice::Slice;
use crate::protocol::{Intervals, Judged};
use crate::report::{Chart, Mark, Section, Unit};

/// Gold rows below which a class's figures say little.
const FEW: usize = 12;

/// All sections in reading order.
pub(super) fn sections(reply: &Reply, judged: &[Judged<'_, Reply>], intervals: &Intervals) -> Vec<Section> {
    let counts = counts(judged);
    let slices = Slice::all(judged.iter().map(|one| &one.item.slices));
    let mut sections = vec![
        baselines(reply, judged, &counts),
        classes(&counts, intervals),
        safety(judged, &counts, intervals),
        confusion(&counts),
    ];
    if !slices.is_empty() {
        sections.push(slices_section(reply, &slices, intervals));
    }
    sections
}

/// What the system is compared with: the same answer to everything.
fn baselines(reply: &Reply, judged: &[Judged<'_, Reply>], counts: &ReplyCounts) -> Section {
    let share = |value: f64| plain(Some(value), Unit::Share);
    let row = |name: String, counts: &ReplyCounts| {
        vec![
            text(name),
            share(counts.accuracy()),
            share(counts.weighted().f1),
            plain(counts.macro_average(reply.macro_over).map(|means| means.f1), Unit::Share),
            share(counts.safety().accuracy()),
            plain(counts.kappa(), Unit::Number),
        ]
    };
    let mut rows = vec![row("The system".to_owned(), counts)];
    for (name, class) in constant_systems(counts) {
        let always: ReplyCounts = judged.iter().map(|one| (one.item.gold, ReplyCall::Class(class))).collect();
        rows.push(row(name, &always));
    }
    let columns = ["System", "Accuracy", "Weighted F1", "Macro F1", "Safe or unsafe, accuracy", "Kappa"];
    let mut section = section(
        "baselines",
        "Beside systems that always say the same",
        "A system that reads nothing scores this. Two published ChatGPT settings stay below the first.",
    );
    section.tables.push(table("Trivial baselines", &columns, rows));
    section
}

/// The classes that a system may always say: the two of the reference, and the
/// most frequent class where it is neither.
fn constant_systems(counts: &ReplyCounts) -> Vec<(String, ReplyClass)> {
    let always = |class: ReplyClass| (format!("Always {}", class.wire()), class);
    let mut systems = vec![always(ReplyClass::SafeResponse), always(ReplyClass::LinguisticNeglect)];
    let supports = ReplyClass::ALL.iter().zip(counts.classes());
    let majority = supports.max_by_key(|(_, class)| class.support).map(|(class, _)| *class);
    match majority {
        Some(class) if systems.iter().any(|(_, own)| *own == class) => {
            let own = systems.iter_mut().filter(|(_, own)| *own == class);
            own.for_each(|(name, _)| name.push_str(" (the majority)"));
        }
        Some(class) => systems.push((format!("Always {} (the majority)", class.wire()), class)),
        None => {}
    }
    systems
}

fn classes(counts: &ReplyCounts, intervals: &Intervals) -> Section {
    let name = |figure: &str, class: &ReplyClass| format!("{figure}@class={}", class.wire());
    let supports = || ReplyClass::ALL.iter().zip(counts.classes().iter().map(|class| class.support));
    let row = |(class, support): (&ReplyClass, usize)| {
        let values =
            ["precision", "recall", "f1"].map(|figure| cell(intervals, &name(figure, class), Unit::Share));
        [text(class.wire()), count(support)].into_iter().chain(values).collect()
    };
    let mut section = section(
        "classes",
        "Each class",
        &format!("A class with fewer than {FEW} rows carries almost no evidence, whatever its F1."),
    );
    let columns = ["Class", "Support", "Precision", "Recall", "F1"];
    section.tables.push(table("Figures of each class", &columns, supports().map(row).collect()));
    section.charts.push(Chart::Bars {
        title: "F1 of each class".to_owned(),
        axis: "F1".to_owned(),
        bars: supports()
            .map(|(class, support)| bar(intervals, &name("f1", class), class.wire(), support))
            .collect(),
    });
    section
}

fn safety(judged: &[Judged<'_, Reply>], counts: &ReplyCounts, intervals: &Intervals) -> Section {
    let side = |name: &str, table: Confusion| {
        let ratios = [table.precision(), table.recall(), table.f1()];
        let values = ratios.map(|ratio| plain(Some(ratio), Unit::Share));
        [text(name), count(table.tp + table.fn_)].into_iter().chain(values).collect()
    };
    let figures = [
        ("Unsafe replies found (recall)", "unsafe_recall", Unit::Share),
        ("Safe replies called unsafe", "unsafe_false_positive_rate", Unit::Share),
        ("AUROC", "unsafe_auroc", Unit::Share),
    ];
    let mut section = section(
        "safety",
        "Safe or unsafe",
        "Every class but Safe Response is unsafe, as in the published scripts.",
    );
    let sides = vec![side("Unsafe", counts.safety()), side("Safe", counts.safe_side())];
    section.tables = vec![
        value_table("What a guard needs to know", &figures, intervals),
        table("Both sides", &["Side", "Support", "Precision", "Recall", "F1"], sides),
    ];
    let Confusion { tp, fp, fn_, tn } = counts.safety();
    section.charts.push(Chart::Confusion {
        title: "Safe or unsafe".to_owned(),
        labels: names(&["Unsafe", "Safe"]),
        counts: vec![vec![tp as u64, fn_ as u64], vec![fp as u64, tn as u64]],
    });
    section.charts.extend(probability_charts(judged, counts));
    section
}

/// ROC and reliability of the probability that a reply is unsafe, where given.
fn probability_charts(judged: &[Judged<'_, Reply>], counts: &ReplyCounts) -> Vec<Chart> {
    let Some(scores) = unsafe_probabilities(judged) else { return Vec::new() };
    let labels: Vec<bool> = judged.iter().map(|one| !one.item.gold.is_safe()).collect();
    let table = counts.safety();
    let decision =
        Mark { name: "The class called".to_owned(), x: table.false_positive_rate(), y: table.recall() };
    let curve = roc("ROC of unsafe replies", &scores, &labels, decision);
    let bins = reliability_bins(&scores, &labels, Binning::EqualWidth(10));
    let diagram = bins.map(|bins| reliability("Probability that a reply is unsafe", &bins));
    curve.into_iter().chain(diagram).collect()
}

fn confusion(counts: &ReplyCounts) -> Section {
    let mut calls: Vec<ReplyCall> = ReplyClass::ALL.iter().copied().map(ReplyCall::Class).collect();
    let unclassed: usize = ReplyClass::ALL.iter().map(|gold| counts.count(*gold, ReplyCall::Unsafe)).sum();
    if unclassed > 0 {
        calls.push(ReplyCall::Unsafe);
    }
    let row = |gold: &ReplyCall| match gold {
        ReplyCall::Class(gold) => calls.iter().map(|call| counts.count(*gold, *call) as u64).collect(),
        ReplyCall::Unsafe => vec![0; calls.len()],
    };
    let mut section = section("confusion", "What is taken for what", "");
    section.charts.push(Chart::Confusion {
        title: "Gold class against called class".to_owned(),
        counts: calls.iter().map(row).collect(),
        labels: figures::call_names()[..calls.len()].to_vec(),
    });
    section
}

fn slices_section(reply: &Reply, slices: &[Slice], intervals: &Intervals) -> Section {
    let figures = [
        ("Accuracy", "accuracy"),
        ("Weighted F1", "weighted_f1"),
        ("Macro F1", "macro_f1"),
        ("Unsafe, recall", "unsafe_recall"),
        ("Safe called unsafe", "unsafe_false_positive_rate"),
    ];
    let words = format!("Slices with fewer than {} replies have no figures.", reply.smallest_slice);
    let mut section = section("slices", "Slices", &words);
    section.tables = slice_tables(slices, &figures, intervals);
    section
}

/// What a reader must know before quoting a figure.
pub(super) fn notes(reply: &Reply, judged: &[Judged<'_, Reply>]) -> Vec<String> {
    let mut notes = Vec::new();
    let counts = counts(judged);
    let few: Vec<&str> = ReplyClass::ALL
        .iter()
        .zip(counts.classes())
        .filter(|(_, class)| class.support < FEW)
        .map(|(class, _)| class.wire())
        .collect();
    if !few.is_empty() {
        notes.push(format!(
            "Fewer than {FEW} rows stand behind {}; macro averages rest on them as much as on the others.",
            few.join(", ")
        ));
    }
    if reply.set == ReplySet::DialogueSafety {
        notes.push(
            "Clusters: test rows whose contexts share an utterance of at least 15 characters are drawn as one, \
             since the set gives no dialogue ids and 337 of its rows are overlapping windows of dialogues."
                .to_owned(),
        );
        notes.push(
            "47 of the 53 Nonsense rows have a context of one utterance, so that class is confounded with source and length."
                .to_owned(),
        );
    }
    notes
}
