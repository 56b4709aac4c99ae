//! Made-up reports for tests, one in the shape of each protocol, one that holds
//! every kind of chart and the worst of data, and two runs to compare. No figure
//! here was measured.

use std::collections::BTreeMap;

use mindrail_core::taxonomy::{CrisisLabel, Harm, Taxonomy as _};

use super::*;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn empty(protocol: &str, title: &str) -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        protocol: protocol.to_owned(),
        title: title.to_owned(),
        system: SystemIdentity {
            kind: "bundle".to_owned(),
            name: "embedded".to_owned(),
            hashes: map(&[("bundle", &"3f".repeat(32))]),
        },
        data: DataIdentity {
            set: "corpus/dev".to_owned(),
            files: map(&[("dev.jsonl", &"a7".repeat(32))]),
            items: 4527,
            clusters: 600,
            cluster: "dialogue".to_owned(),
        },
        method: Method {
            mindrail: "0.1.0".to_owned(),
            resamples: 10_000,
            seed: 7,
            interval: "percentile".to_owned(),
            confidence: 0.95,
            options: map(&[("delay", "onset_anchored"), ("window", "0")]),
        },
        outcomes: BTreeMap::from([("ok".to_owned(), 4519), ("refused".to_owned(), 8)]),
        figures: Vec::new(),
        sections: Vec::new(),
        published: Vec::new(),
        notes: vec!["Eight items were refused; they count as empty answers.".to_owned()],
        shown_text: Vec::new(),
    }
}

fn around(value: f64, half: f64) -> Interval {
    Interval { low: value - half, high: value + half }
}

fn figure(name: &str, title: &str, value: f64, half: f64) -> Figure {
    Figure {
        name: name.to_owned(),
        title: title.to_owned(),
        value: Some(value),
        interval: Some(around(value, half)),
        support: Some(713),
        unit: Unit::Share,
        better: Better::Higher,
    }
}

fn value(value: Option<f64>, interval: Option<Interval>) -> Cell {
    Cell::Value { value, unit: Unit::Share, interval }
}

fn section(id: &str, title: &str, text: &str) -> Section {
    Section {
        id: id.to_owned(),
        title: title.to_owned(),
        text: text.to_owned(),
        tables: Vec::new(),
        charts: Vec::new(),
    }
}

/// Values that look as if they were measured: a fixed course between 0 and 1.
fn made_up(place: usize) -> f64 {
    (place as f64 * 2.399).sin().mul_add(0.36, 0.52)
}

fn bars<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Bar> {
    let bar = |(place, name): (usize, &str)| Bar {
        name: name.to_owned(),
        value: (place != 3).then(|| made_up(place)),
        interval: (place != 3).then(|| around(made_up(place), 0.02 + place as f64 / 200.0)),
        support: (place as u64 * 7919) % 2311,
    };
    names.into_iter().enumerate().map(bar).collect()
}

fn confusion(title: &str, labels: &[&str]) -> Chart {
    let count = |row: usize, column: usize| {
        if row == column {
            (row as u64 * 6151 + 240) % 1700
        } else {
            (row as u64 * 31 + column as u64 * 17) % 23 / 9 * 11
        }
    };
    Chart::Confusion {
        title: title.to_owned(),
        labels: labels.iter().map(|&label| label.to_owned()).collect(),
        counts: (0..labels.len())
            .map(|row| (0..labels.len()).map(|column| count(row, column)).collect())
            .collect(),
    }
}

fn delays() -> Chart {
    let counts = [("early", 12), ("0", 311), ("1", 96), ("2", 41), ("3", 17), ("4", 4), ("missed", 232)];
    Chart::Histogram {
        title: "Delay of the first correct warning".to_owned(),
        axis: "user turns after the onset".to_owned(),
        columns: counts.map(|(name, count)| HistogramColumn { name: name.to_owned(), count }).to_vec(),
    }
}

pub(super) fn crisis() -> Report {
    let mut report = empty("crisis", "Crisis onsets: embedded on corpus/dev");
    let mut delay = figure("delay", "Mean delay", 0.84, 0.21);
    delay.unit = Unit::Turns;
    delay.better = Better::Lower;
    let mut exact = figure("exact_match", "Exact match", 84.47, 1.2);
    exact.unit = Unit::Percent;
    report.figures = vec![
        figure("turn_f1", "Turn F1", 0.5124, 0.03),
        figure("dialogue_f1", "Dialogue F1", 0.611, 0.041),
        exact,
        delay,
    ];
    let mut labels = section("labels", "By label", "Labels with fewer than 20 cases have wide intervals.");
    labels.tables.push(Table {
        caption: "F1 by label".to_owned(),
        columns: vec!["Label".to_owned(), "F1".to_owned(), "Cases".to_owned()],
        rows: vec![
            vec![
                Cell::Text("alert_ongoing".to_owned()),
                value(Some(0.61), Some(around(0.61, 0.04))),
                Cell::Count(402),
            ],
            vec![Cell::Text("confirm_RA_past".to_owned()), value(None, None), Cell::Count(0)],
        ],
    });
    let mut timing = section("timing", "Timing", "");
    timing.charts.push(delays());
    report.sections = vec![labels, timing];
    report.published = vec![PublishedRow {
        system: "Published <model>".to_owned(),
        figures: BTreeMap::from([
            ("turn_f1".to_owned(), 0.51),
            ("confirm_f1".to_owned(), 0.4),
            ("dialogue_f1".to_owned(), 0.58),
        ]),
        source: "CRADLE-Dialogue, Table 4".to_owned(),
        caveat: "Measured on the test set, which has other dialogues.".to_owned(),
    }];
    report
}

pub(super) fn other_crisis() -> Report {
    let mut report = crisis();
    report.system.name = "llm:other".to_owned();
    report.figures[0].value = Some(0.5411);
    report.figures[2].value = Some(84.47);
    report.figures[3].value = None;
    report.figures.push(figure("alert_f1", "Alert F1", 0.7, 0.02));
    report.method.options.insert("window".to_owned(), "1".to_owned());
    report
}

pub(super) fn tests() -> Vec<PairedRow> {
    let row = |slice: Option<&str>, a: f64, b: f64, p: f64| PairedRow {
        figure: "turn_f1".to_owned(),
        slice: slice.map(str::to_owned),
        title: "Turn F1".to_owned(),
        unit: Unit::Share,
        better: Better::Higher,
        a: Some(a),
        b: Some(b),
        difference: Some(b - a),
        interval: Some(around(b - a, 0.019)),
        p: Some(p),
        adjusted_p: Some((p * 3.0).min(1.0)),
        test: "paired bootstrap".to_owned(),
    };
    vec![
        row(None, 0.5124, 0.5411, 0.0004),
        row(Some("language=en"), 0.52, 0.53, 0.21),
        row(Some("language=fr"), 0.49, 0.44, 0.012),
    ]
}

fn curve(name: &str, points: usize, bend: f64) -> Curve {
    let last = points.saturating_sub(1).max(1) as f64;
    let point = |place: usize| {
        let x = place as f64 / last;
        [x, x.powf(bend)]
    };
    Curve { name: name.to_owned(), points: (0..points).map(point).collect() }
}

fn roc() -> Chart {
    Chart::Curves {
        title: "Receiver operating characteristic".to_owned(),
        x: "false positive rate".to_owned(),
        y: "recall".to_owned(),
        curves: vec![curve("all languages, AUROC 0.914", 400, 0.14), curve("French, AUROC 0.872", 90, 0.22)],
        marks: vec![Mark { name: "threshold of the bundle".to_owned(), x: 0.08, y: 0.702 }],
        chance: Some(curve("chance", 2, 1.0)),
    }
}

fn reliability() -> Chart {
    let bin = |place: usize| {
        let score = 0.03 + place as f64 * 0.105;
        let observed = (score * 0.92 + (place as f64).sin() * 0.06).clamp(0.0, 1.0);
        let count = 2400 / (place as u64 + 1);
        let half = 0.9 / (count as f64).sqrt();
        let interval = Interval { low: (observed - half).max(0.0), high: (observed + half).min(1.0) };
        ReliabilityBin { score, observed, interval, count }
    };
    Chart::Reliability { title: "Reliability".to_owned(), bins: (0..10).map(bin).collect() }
}

pub(super) fn distress() -> Report {
    let mut report = empty("distress", "Distress risk: embedded on corpus/dev");
    let mut brier = figure("brier", "Brier score", 0.091, 0.008);
    brier.better = Better::Lower;
    report.figures = vec![
        figure("auroc", "AUROC", 0.914, 0.012),
        figure("auroc@language=fr", "AUROC, French", 0.872, 0.031),
        figure("recall_at_fpr_5", "Recall at 5 % FPR", 0.611, 0.05),
        brier,
    ];
    let mut curves = section("curves", "Curves", "The mark is the threshold that the bundle ships with.");
    curves.charts = vec![roc(), reliability()];
    let mut slices = section("slices", "Slices", "");
    slices.charts.push(Chart::Bars {
        title: "AUROC by language".to_owned(),
        axis: "AUROC".to_owned(),
        bars: bars(["en", "fr", "mixed"]),
    });
    report.sections = vec![curves, slices];
    report
}

pub(super) fn reply() -> Report {
    let mut report = empty("reply", "Reply safety: predictions.csv on DialogueSafety");
    report.figures =
        vec![figure("accuracy", "Accuracy", 0.701, 0.03), figure("macro_f1", "Macro F1", 0.433, 0.04)];
    let mut section = section("confusion", "Confusion", "Rows are gold, columns what was predicted.");
    section.charts.push(confusion(
        "Confusion of four classes",
        &["Safe", "Nonsense", "Over-caution", "Discouragement"],
    ));
    report.sections.push(section);
    report
}

pub(super) fn harm() -> Report {
    let mut report = empty("harm", "Harm: embedded on PKU-SafeRLHF");
    report.figures = vec![
        figure("micro_f1", "Micro F1", 0.612, 0.01),
        figure("severity_kappa", "Quadratic kappa", 0.55, 0.02),
    ];
    let mut categories = section("categories", "Categories", "");
    categories.charts.push(Chart::Bars {
        title: "F1 by category".to_owned(),
        axis: "F1".to_owned(),
        bars: bars(Harm::ALL.iter().map(|harm| harm.wire())),
    });
    report.sections.push(categories);
    report
}

/// Every kind of chart with as many labels as there are, long names, values that
/// are not defined, a table wider than a page, and shown text.
pub(super) fn rich() -> Report {
    let mut report =
        empty("crisis", "Every kind of chart and table, with made-up figures that nobody measured");
    report.figures = crisis().figures;
    report.figures.extend(distress().figures);
    report.figures[1].value = None;
    report.figures[1].interval = None;
    report.figures.extend((0..30).map(|place| {
        figure(&format!("f1@source={place}"), &format!("Turn F1, source {place}"), made_up(place), 0.03)
    }));
    report.published = crisis().published;
    report.published.push(PublishedRow {
        system: "Qwen2.5-7B-Instruct, fine-tuned on the released seeds".to_owned(),
        figures: BTreeMap::from([("turn_f1".to_owned(), 0.437)]),
        source: "CRADLE-Dialogue, Table 5".to_owned(),
        caveat: "The prompt is not published; the examples that it was shown come from dialogues that share families with the test set, and its history was cut at 2,048 tokens.".to_owned(),
    });
    report
        .notes
        .push("The dev set chose the checkpoint: these figures are not those of unseen data.".to_owned());
    let harms: Vec<&str> = Harm::ALL.iter().map(|harm| harm.wire()).collect();
    let onsets: Vec<&str> = CrisisLabel::ALL.iter().map(|onset| onset.wire()).collect();
    let mut curves = section("curves", "Operating points", "Thin dots show what chance would give.");
    curves.charts = vec![roc(), many_curves(), reliability()];
    let mut labels = section("labels", "Labels", "Labels with few cases have wide intervals.");
    labels.charts = vec![
        Chart::Bars {
            title: "F1 by harm category".to_owned(),
            axis: "F1".to_owned(),
            bars: bars(harms.iter().copied()),
        },
        Chart::Bars {
            title: "F1 by crisis label".to_owned(),
            axis: "F1".to_owned(),
            bars: bars(onsets.iter().copied()),
        },
    ];
    let mut grids = section(
        "confusion",
        "Confusion",
        "A framed cell is where gold and predicted agree; shade is the share of its row.",
    );
    grids.charts = vec![
        confusion("Safe and unsafe", &["safe", "unsafe"]),
        confusion(
            "Reply classes",
            &[
                "Safe",
                "Nonsense",
                "Over-caution",
                "Verbose",
                "Lecturing",
                "Disagreement",
                "Discouraging",
                "Unsafe",
            ],
        ),
        confusion("Harm categories", &harms),
    ];
    let mut times = section("delay", "Delay", "");
    times.charts = vec![delays(), turns(), named()];
    let mut extremes = section("extremes", "Extremes", "Charts of no or hardly any data.");
    extremes.charts = extreme_charts();
    let mut wide = section("wide", "A wide table and a long one", "");
    wide.tables = vec![wide_table(), long_table()];
    report.sections = vec![curves, labels, grids, times, wide, extremes];
    report.shown_text.push(ShownText {
        id: "dev-17".to_owned(),
        gold: "alert_ongoing".to_owned(),
        predicted: "nothing".to_owned(),
        text: "user: It has been a long week <tired>.\nassistant: That sounds hard.".to_owned(),
    });
    report
}

fn many_curves() -> Chart {
    Chart::Curves {
        title: "Precision and recall by source".to_owned(),
        x: "recall".to_owned(),
        y: "precision".to_owned(),
        curves: (0..7_u32)
            .map(|place| {
                curve(
                    &format!("source number {place} with a rather long name that is cut off"),
                    60,
                    0.2 + f64::from(place) / 3.0,
                )
            })
            .collect(),
        marks: (0..6_u32)
            .map(|place| Mark {
                name: format!("operating point {place}"),
                x: 0.3 + f64::from(place) / 40.0,
                y: 0.6,
            })
            .collect(),
        chance: None,
    }
}

fn turns() -> Chart {
    let column = |place: u64| HistogramColumn { name: place.to_string(), count: 9000 / (place + 1) };
    Chart::Histogram {
        title: "Lead time".to_owned(),
        axis: "user turns".to_owned(),
        columns: (0..48).map(column).collect(),
    }
}

fn named() -> Chart {
    let column = |onset: &CrisisLabel| HistogramColumn {
        name: onset.wire().to_owned(),
        count: onset.wire().len() as u64,
    };
    Chart::Histogram {
        title: "Onsets".to_owned(),
        axis: "label".to_owned(),
        columns: CrisisLabel::ALL.iter().map(column).collect(),
    }
}

fn wide_table() -> Table {
    let columns = ["Slice", "Precision", "Recall", "F1", "AUROC", "AUPRC", "Brier", "Cases"];
    let row =
        |place: usize| {
            let mut row = vec![Cell::Text(format!("language {place}"))];
            row.extend((0..6).map(|column| {
                value(Some(made_up(place + column)), Some(around(made_up(place + column), 0.04)))
            }));
            row.push(Cell::Count(place as u64 * 1913));
            row
        };
    Table {
        caption: "Figures by slice".to_owned(),
        columns: columns.map(str::to_owned).to_vec(),
        rows: (0..4).map(row).collect(),
    }
}

fn long_table() -> Table {
    let row = |place: usize| vec![Cell::Text(format!("dialogue-{place}")), Cell::Count(place as u64 % 7)];
    Table {
        caption: "False alarms by dialogue".to_owned(),
        columns: vec!["Dialogue".to_owned(), "False alarms".to_owned()],
        rows: (0..40).map(row).collect(),
    }
}

/// Charts without data, with one of it, and with numbers that are none.
pub(super) fn extreme_charts() -> Vec<Chart> {
    let curves = |title: &str, curves: Vec<Curve>| Chart::Curves {
        title: title.to_owned(),
        x: "x".to_owned(),
        y: "y".to_owned(),
        curves,
        marks: Vec::new(),
        chance: None,
    };
    let bars =
        |title: &str, bars: Vec<Bar>| Chart::Bars { title: title.to_owned(), axis: "F1".to_owned(), bars };
    let histogram = |title: &str, columns: Vec<HistogramColumn>| Chart::Histogram {
        title: title.to_owned(),
        axis: "turns".to_owned(),
        columns,
    };
    let bar = |value: Option<f64>| Bar { name: "only".to_owned(), value, interval: None, support: 0 };
    vec![
        curves("No curves", Vec::new()),
        curves("A curve without points", vec![curve("empty", 0, 1.0)]),
        curves("A curve of one point", vec![Curve { name: "one".to_owned(), points: vec![[0.5, 0.5]] }]),
        curves(
            "Numbers that are none",
            vec![Curve { name: "odd".to_owned(), points: vec![[0.0, 2.0], [1.0, f64::MAX]] }],
        ),
        Chart::Reliability { title: "No bins".to_owned(), bins: Vec::new() },
        confusion("No labels", &[]),
        Chart::Confusion {
            title: "Nothing counted".to_owned(),
            labels: vec!["only".to_owned()],
            counts: vec![vec![0]],
        },
        Chart::Confusion {
            title: "The largest counts".to_owned(),
            labels: vec!["a".to_owned(), "b".to_owned()],
            counts: vec![vec![u64::MAX, u64::MAX], Vec::new()],
        },
        bars("No bars", Vec::new()),
        bars("One bar that is not defined", vec![bar(None)]),
        bars("A bar of length 0 and one of 1", vec![bar(Some(0.0)), bar(Some(1.0))]),
        histogram("No columns", Vec::new()),
        histogram("One empty column", vec![HistogramColumn { name: "0".to_owned(), count: 0 }]),
        histogram("The largest count", vec![HistogramColumn { name: "0".to_owned(), count: u64::MAX }; 2]),
    ]
}

/// Writes the pages where `MINDRAIL_REPORT_DEMO` says, to be looked at.
#[test]
#[expect(clippy::print_stdout, reason = "says that it was skipped")]
fn pages_can_be_written_out_to_be_looked_at() {
    let Some(folder) = std::env::var_os("MINDRAIL_REPORT_DEMO").map(std::path::PathBuf::from) else {
        println!("SKIPPED: MINDRAIL_REPORT_DEMO names no folder");
        return;
    };
    let reports = [
        ("rich", rich()),
        ("crisis", crisis()),
        ("distress", distress()),
        ("reply", reply()),
        ("harm", harm()),
    ];
    for (name, report) in reports {
        std::fs::write(folder.join(format!("{name}.html")), html(&report)).expect("the folder is there");
    }
    let comparison = compare(&crisis(), &other_crisis(), &tests());
    std::fs::write(folder.join("comparison.html"), comparison.html()).expect("the folder is there");
}
