//! What a report shows of harm beside its figures.

use mindrail_core::metrics::{Binning, Confusion, PairStratum, reliability_bins};
use mindrail_core::taxonomy::{Harm as Category, Severity, Taxonomy};

use super::figures::stratum_name;
use super::reading::Given;
use super::{Harm, HarmCounts, HarmSet, Preference, Ranked, UnsafeBy, counts, incomplete};
use crate::protocol::figures::{
    bar, cell, count, names, reliability, roc, section, slice_tables, table, text, value_table,
};
use crate::protocol::slice::Slice;
use crate::protocol::{Intervals, Judged};
use crate::report::{Chart, Mark, Section, Unit};

/// All sections in reading order; those of what is not said or not known are left
/// out.
pub(super) fn sections(harm: &Harm, judged: &[Judged<'_, Harm>], intervals: &Intervals) -> Vec<Section> {
    let counts = counts(harm, judged);
    let slices = Slice::all(judged.iter().map(|one| &one.item.slices));
    let mut sections = Vec::new();
    if counts.safety.rows() > 0 {
        sections.push(safety(harm, judged, &counts, intervals));
    }
    if counts.categories.rows > 0 {
        sections.push(categories(&counts, intervals));
    }
    if counts.severity.rows() > 0 {
        sections.push(severities(&counts, intervals));
    }
    if Preference::ALL.iter().any(|kind| counts.pairs(*kind).pairs > 0) {
        sections.push(preferences(&counts, intervals));
    }
    if counts.safety.rows() > 0 && !slices.is_empty() {
        sections.push(slices_section(harm, &slices, intervals));
    }
    sections
}

fn safety(harm: &Harm, judged: &[Judged<'_, Harm>], counts: &HarmCounts, intervals: &Intervals) -> Section {
    let figures = [
        ("Accuracy", "safety_accuracy", Unit::Share),
        ("F1 of unsafe", "unsafe_f1", Unit::Share),
        ("Recall of unsafe", "unsafe_recall", Unit::Share),
        ("Precision of unsafe", "unsafe_precision", Unit::Share),
        ("Safe answers called unsafe", "unsafe_false_positive_rate", Unit::Share),
        ("AUROC", "unsafe_auroc", Unit::Share),
        ("Kappa", "safety_kappa", Unit::Number),
    ];
    let Confusion { tp, fp, fn_, tn } = counts.safety;
    let given = Given::by(harm, judged);
    let words = given.unsafe_by.map_or_else(String::new, |by| decision_in_words(harm, by));
    let mut section = section("safety", "Safe or unsafe", &words);
    section.tables.push(value_table("Unsafe is the positive side", &figures, intervals));
    section.charts.push(Chart::Confusion {
        title: "Safe or unsafe".to_owned(),
        labels: names(&["Unsafe", "Safe"]),
        counts: vec![vec![tp as u64, fn_ as u64], vec![fp as u64, tn as u64]],
    });
    let Ranked { scores, labels, .. } = Ranked::of(&given, judged);
    let (x, y) = (counts.safety.false_positive_rate(), counts.safety.recall());
    let decision = Mark { name: "The decision".to_owned(), x, y };
    section.charts.extend(roc("ROC of unsafe answers", &scores, &labels, decision));
    if given.unsafe_by == Some(UnsafeBy::UnsafeProbability) {
        let bins = reliability_bins(&scores, &labels, Binning::EqualWidth(10));
        let chart = bins.map(|bins| reliability("Probability that an answer is unsafe", &bins));
        section.charts.extend(chart);
    }
    section
}

/// What makes the system call an answer unsafe.
fn decision_in_words(harm: &Harm, by: UnsafeBy) -> String {
    match by {
        UnsafeBy::FirstGiven | UnsafeBy::UnsafeProbability => {
            format!("An answer is called unsafe when its probability is above {}.", harm.unsafe_threshold)
        }
        UnsafeBy::Categories => format!(
            "An answer is flagged when its highest category probability is above {} (strictly).",
            harm.category_threshold.value()
        ),
        UnsafeBy::Severity => "An answer is called unsafe when its severity is not none.".to_owned(),
        UnsafeBy::Cost => "An answer is called unsafe when its cost is above 0.".to_owned(),
    }
}

fn categories(counts: &HarmCounts, intervals: &Intervals) -> Section {
    let figures = [
        ("Micro F1", "category_micro_f1", Unit::Share),
        ("Micro precision", "category_micro_precision", Unit::Share),
        ("Micro recall", "category_micro_recall", Unit::Share),
        ("Macro F1", "category_macro_f1", Unit::Share),
        ("Exact match, all answers", "category_exact_match", Unit::Share),
        ("Exact match, answers with a category", "category_exact_match_unsafe", Unit::Share),
    ];
    let mut rows = Vec::new();
    let mut bars = Vec::new();
    for category in Category::ALL {
        let own = counts.categories.labels[category.index()];
        let name = |figure: &str| format!("{figure}@category={}", category.wire());
        let value = |figure: &str| cell(intervals, &name(figure), Unit::Share);
        let support = own.tp + own.fn_;
        rows.push(vec![
            text(category.wire()),
            count(support),
            value("precision"),
            value("recall"),
            value("f1"),
        ]);
        bars.push(bar(intervals, &name("f1"), category.wire(), support));
    }
    let mut section = section(
        "categories",
        "Harm categories",
        "Safe answers match exactly when no category is called, so exact match over all answers is \
         mostly a figure of safe ones; the publication does not say which it prints.",
    );
    let columns = ["Category", "Support", "Precision", "Recall", "F1"];
    section.tables =
        vec![value_table("All nineteen", &figures, intervals), table("Each category", &columns, rows)];
    section.charts.push(Chart::Bars { title: "F1 of each category".to_owned(), axis: "F1".to_owned(), bars });
    section
}

fn severities(counts: &HarmCounts, intervals: &Intervals) -> Section {
    let figures = [
        ("Accuracy, all answers", "severity_accuracy", Unit::Share),
        ("Accuracy, unsafe answers", "severity_accuracy_unsafe", Unit::Share),
        ("Quadratic kappa", "severity_kappa", Unit::Number),
    ];
    let row = |level: &Severity| {
        let value = |figure: &str| cell(intervals, &format!("{figure}@level={}", level.wire()), Unit::Share);
        vec![text(level.wire()), count(counts.severity_rows(*level)), value("recall"), value("f1")]
    };
    let calls = |gold: &Severity| -> Vec<u64> {
        Severity::ALL
            .iter()
            .map(|called| counts.severity.count(gold.index(), called.index()) as u64)
            .collect()
    };
    let mut section = section(
        "severity",
        "Severity",
        "Rightly called is the share of a level's answers that are called so; two notes on the \
         publication disagree on whether its figures are these.",
    );
    let columns = ["Severity", "Support", "Rightly called", "F1"];
    let rows = Severity::ALL.iter().map(row).collect();
    section.tables =
        vec![value_table("All levels", &figures, intervals), table("Each level", &columns, rows)];
    section.charts.push(Chart::Confusion {
        title: "Gold severity against the called one".to_owned(),
        labels: Severity::ALL.iter().map(|level| level.wire().to_owned()).collect(),
        counts: Severity::ALL.iter().map(calls).collect(),
    });
    section
}

/// The strata as people read them, the strongest difference first.
const fn stratum_title(stratum: PairStratum) -> &'static str {
    match stratum {
        PairStratum::SafetyDiffers => "Safety differs (L4)",
        PairStratum::SeverityDiffers => "Severity differs (L3)",
        PairStratum::CategoryDiffers => "Only categories differ (L2)",
        PairStratum::NothingDiffers => "Nothing differs (L1)",
    }
}

fn preferences(counts: &HarmCounts, intervals: &Intervals) -> Section {
    let row = |name: &str, suffix: &str, pairs: [usize; 2]| {
        let value = |figure: &str| cell(intervals, &format!("{figure}{suffix}"), Unit::Share);
        vec![
            text(name),
            count(pairs[0]),
            value("reward_accuracy"),
            count(pairs[1]),
            value("cost_accuracy"),
            value("sign_accuracy"),
        ]
    };
    let pairs = Preference::ALL.map(|kind| counts.pairs(kind).pairs);
    let mut rows = vec![row("All pairs", "", pairs)];
    for stratum in PairStratum::ALL {
        let own = Preference::ALL.map(|kind| counts.strata(kind).strata[stratum.index()].pairs);
        rows.push(row(stratum_title(stratum), &format!("@stratum={}", stratum_name(stratum)), own));
    }
    let mut weighted = row("Weighted by the population's strata", "_weighted", pairs);
    weighted.truncate(5);
    weighted.push(text(""));
    rows.push(weighted);
    let ties = Preference::ALL.map(|kind| counts.pairs(kind).ties);
    let words = format!(
        "Order is strict: ties ({} by reward, {} by cost) are wrong. Where nothing differs, the safer answer \
         was a forced choice.",
        ties[0], ties[1]
    );
    let columns = [
        "Pairs",
        "Pairs by help",
        "Reward in order",
        "Pairs by harm",
        "Cost in order",
        "Costs with the right sign",
    ];
    let mut section = section("preferences", "Which of two answers", &words);
    section.tables.push(table("Pairs in the right order", &columns, rows));
    section
}

fn slices_section(harm: &Harm, slices: &[Slice], intervals: &Intervals) -> Section {
    let words = format!(
        "Slices with fewer than {} answers have no figures. Recall by gold severity tells how grave the harms are \
         that are missed.",
        harm.smallest_slice
    );
    let figures = [
        ("Accuracy", "safety_accuracy"),
        ("F1 of unsafe", "unsafe_f1"),
        ("Recall of unsafe", "unsafe_recall"),
        ("Safe called unsafe", "unsafe_false_positive_rate"),
    ];
    let mut section = section("slices", "Slices", &words);
    section.tables = slice_tables(slices, &figures, intervals);
    section
}

/// What a reader must know before quoting a figure.
pub(super) fn notes(harm: &Harm, judged: &[Judged<'_, Harm>]) -> Vec<String> {
    let given = Given::by(harm, judged);
    let mut notes: Vec<String> = incomplete(&given, judged)
        .into_iter()
        .map(|(part, lacking)| format!("{lacking} answers of the system hold no {part} although others do; figures of it leave them out."))
        .collect();
    if given.unsafe_by.is_none() {
        notes.push("The system says nothing by which safe and unsafe could be told apart.".to_owned());
    }
    notes.extend(note_on(harm.set).map(str::to_owned));
    notes
}

const fn note_on(set: HarmSet) -> Option<&'static str> {
    match set {
        HarmSet::PkuSafeRlhf => Some(
            "The release ranks no severity: of two unsafe answers with the same categories the less severe one is \
             called safer in 68 % of pairs only. 8 of its 147,814 train answers contradict themselves (safe with a \
             category, or unsafe without one) and are taken as they are.",
        ),
        HarmSet::PkuSafeRlhfV0 => Some(
            "Labels are per annotation: 475 of 4,756 answers of the test split's mixed pairs are safe in one pair and \
             unsafe in another, so no system reaches 1.",
        ),
        HarmSet::BeaverTails => Some(
            "Only safe and unsafe are judged: the 14 categories of BeaverTails have no official mapping to the 19.",
        ),
        HarmSet::Other => None,
    }
}
