//! Table 2 of `DialogueSafety` and all that it hides, from 24,000 published
//! predictions (6 settings, 5 runs, 800 rows; labels only), through the reply
//! protocol. Expected figures were computed with scikit-learn.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;

use mindrail_core::metrics::MacroOver;
use mindrail_core::taxonomy::{ReplyClass, Taxonomy as _};
use mindrail_data::sets::{self, DataSet};
use mindrail_lab::bench::section_over_runs;
use mindrail_lab::protocol::reply::{
    AnswerRule, Reply, ReplyCall, ReplyCounts, ReplyInput, ReplyItem, ReplyPrediction, ReplySet,
    SideWeighting, cluster_by_shared_utterances, rows,
};
use mindrail_lab::protocol::runs::across_runs;
use mindrail_lab::protocol::{Answer, Outcome, Protocol as _, Unanswered, judge};
use mindrail_lab::published;
use mindrail_lab::report::Cell;
use mindrail_lab::system::read_predictions;
use serde_json::Value;

const PREDICTIONS: &str = include_str!("data/dialoguesafety_predictions.csv");
const EXPECTED: &str = include_str!("data/dialoguesafety_expected.json");

const PROTOCOL: Reply = Reply::on(ReplySet::DialogueSafety);

/// The gold class of each row and, by setting and run, the predicted one.
struct Published {
    gold: Vec<ReplyClass>,
    runs: BTreeMap<String, Vec<ReplyClass>>,
}

fn published_runs() -> Published {
    let mut lines = PREDICTIONS.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').skip(2).collect();
    let mut published = Published { gold: Vec::new(), runs: BTreeMap::new() };
    for line in lines {
        let mut classes = line.split(',').skip(1).map(|id| ReplyClass::ALL[id.parse::<usize>().unwrap()]);
        published.gold.push(classes.next().unwrap());
        for (name, class) in names.iter().zip(classes) {
            published.runs.entry((*name).to_owned()).or_default().push(class);
        }
    }
    published
}

fn expected() -> Value {
    serde_json::from_str(EXPECTED).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn close(found: f64, expected: &Value, what: &str) {
    assert!((found - number(expected)).abs() < 1e-12, "{what}: {found} against {expected}");
}

/// Expected means are written with 4 decimals, of percents.
fn close_in_print(found: f64, expected: &Value, what: &str) {
    assert!((found - number(expected)).abs() < 5.1e-5, "{what}: {found} against {expected}");
}

/// The settings with their name and, in order, the counts of each run.
fn settings(published: &Published) -> Vec<(String, Value, Vec<ReplyCounts>)> {
    let mut settings = Vec::new();
    for setting in list(&expected()["settings"]) {
        let text = |key: &str| setting[key].as_str().unwrap().to_owned();
        let name = format!("{} {}", text("model"), text("setting"));
        let counts = |run: &Value| {
            let run = run["run"].as_str().map_or_else(|| run["run"].to_string(), str::to_owned);
            let predicted = &published.runs[&format!("{name} {run}")];
            published.gold.iter().zip(predicted).map(|(g, p)| (*g, ReplyCall::Class(*p))).collect()
        };
        let runs = list(&setting["runs"]).iter().map(counts).collect();
        settings.push((name, setting.clone(), runs));
    }
    settings
}

type Pick = fn(&ReplyCounts) -> f64;

#[test]
fn table_2_comes_out_with_all_means_and_deviations() {
    let columns: [(&str, Pick); 4] = [
        ("accuracy", ReplyCounts::accuracy),
        ("precision", |counts| counts.weighted().precision),
        ("recall", |counts| counts.weighted().recall),
        ("f1", |counts| counts.weighted().f1),
    ];
    let (mut means, mut deviations) = (0, 0);
    for (name, setting, runs) in settings(&published_runs()) {
        assert_eq!(runs.len(), 5, "{name}");
        for (column, pick) in columns {
            let values: Vec<f64> = runs.iter().map(pick).collect();
            let found = across_runs(&values).unwrap();
            let cell = &setting["table2"][column];
            assert!((found.mean - number(&cell["mean"])).abs() < 1e-6, "{name} {column}");
            assert!((found.deviation - number(&cell["std_ddof1"])).abs() < 1e-6, "{name} {column}");
            means += usize::from(found.printed_mean.to_string() == number(&cell["paper"][0]).to_string());
            deviations +=
                usize::from(found.printed_deviation.to_string() == number(&cell["paper"][1]).to_string());
        }
    }
    assert_eq!((means, deviations), (24, 24));
}

#[test]
fn the_published_rows_are_the_papers_means() {
    let rows = published::reply::rows(ReplySet::DialogueSafety);
    let of_row = |row: &mindrail_lab::report::PublishedRow| {
        let names = ["accuracy", "weighted_precision", "weighted_recall", "weighted_f1"];
        names.map(|name| format!("{:.1}", 100.0 * row.figures[name])).join(" ")
    };
    let found: BTreeSet<String> = rows.iter().map(of_row).collect();
    let of_setting = |setting: &Value| {
        let mean = |name: &str| format!("{:.1}", number(&setting["table2"][name]["paper"][0]));
        ["accuracy", "precision", "recall", "f1"].map(mean).join(" ")
    };
    let expected: BTreeSet<String> = list(&expected()["settings"]).iter().map(of_setting).collect();
    assert_eq!((found.len(), found), (6, expected));
}

fn assert_averages(found: mindrail_core::metrics::Averages, expected: &Value, what: &str) {
    close(found.precision, &expected["precision"], what);
    close(found.recall, &expected["recall"], what);
    close(found.f1, &expected["f1"], what);
}

fn assert_side(found: mindrail_core::metrics::Confusion, expected: &Value, what: &str) {
    close(found.precision(), &expected["precision"], what);
    close(found.recall(), &expected["recall"], what);
    close(found.f1(), &expected["f1"], what);
}

fn assert_run(counts: &ReplyCounts, run: &Value, what: &str) {
    close(counts.accuracy(), &run["accuracy"], what);
    assert_averages(counts.weighted(), &run["weighted"], what);
    assert_averages(counts.macro_average(MacroOver::Occurring).unwrap(), &run["macro"], what);
    for (place, class) in counts.classes().iter().enumerate() {
        close(class.precision, &run["per_class"]["precision"][place], what);
        close(class.recall, &run["per_class"]["recall"][place], what);
        close(class.f1, &run["per_class"]["f1"][place], what);
    }
    let binary = &run["binary_safe_is_1"];
    close(counts.safety().accuracy(), &binary["accuracy"], what);
    assert_side(counts.safety(), &binary["unsafe"], what);
    assert_side(counts.safe_side(), &binary["safe"], what);
    assert_averages(counts.safety_averages(SideWeighting::Support), &binary["weighted"], what);
    assert_averages(counts.safety_averages(SideWeighting::Equal), &binary["macro"], what);
    let table = counts.safety();
    assert_eq!(serde_json::json!([[table.tp, table.fn_], [table.fp, table.tn]]), binary["confusion"]);
    let row = |gold: &ReplyClass| -> Vec<usize> {
        ReplyClass::ALL.iter().map(|call| counts.count(*gold, ReplyCall::Class(*call))).collect()
    };
    let matrix: Vec<Vec<usize>> = ReplyClass::ALL.iter().map(row).collect();
    assert_eq!(serde_json::json!(matrix), run["confusion_8x8_rows_gold"], "{what}");
    close(counts.kappa().unwrap(), &run["cohen_kappa"], what);
    close(counts.mcc().unwrap(), &run["mcc"], what);
}

#[test]
fn every_figure_of_every_run_is_scikit_learns() {
    let mut runs_seen = 0;
    for (name, setting, runs) in settings(&published_runs()) {
        for (counts, run) in runs.iter().zip(list(&setting["runs"])) {
            assert_run(counts, run, &format!("{name} {}", run["run"]));
            runs_seen += 1;
        }
    }
    assert_eq!(runs_seen, 30);
}

#[test]
fn what_the_table_hides_comes_out_too() {
    let figures: [(&str, Pick); 10] = [
        ("macro_f1", |counts| counts.macro_average(MacroOver::Occurring).unwrap().f1),
        ("macro_precision", |counts| counts.macro_average(MacroOver::Occurring).unwrap().precision),
        ("macro_recall", |counts| counts.macro_average(MacroOver::Occurring).unwrap().recall),
        ("binary_accuracy", |counts| counts.safety().accuracy()),
        ("binary_weighted_f1", |counts| counts.safety_averages(SideWeighting::Support).f1),
        ("binary_macro_f1", |counts| counts.safety_averages(SideWeighting::Equal).f1),
        ("unsafe_recall", |counts| counts.safety().recall()),
        ("unsafe_precision", |counts| counts.safety().precision()),
        ("cohen_kappa", |counts| counts.kappa().unwrap()),
        ("accuracy", ReplyCounts::accuracy),
    ];
    for (name, setting, runs) in settings(&published_runs()) {
        let extra = &setting["extra"];
        for (figure, pick) in figures {
            if extra[figure].is_null() {
                assert_eq!(figure, "accuracy", "{name} has no {figure}");
                continue;
            }
            let found = across_runs(&runs.iter().map(pick).collect::<Vec<_>>()).unwrap();
            close_in_print(found.mean, &extra[figure]["mean"], &format!("{name} {figure}"));
            close_in_print(found.deviation, &extra[figure]["std_ddof1"], &format!("{name} {figure}"));
        }
        for place in 0..ReplyClass::ALL.len() {
            let mean = |pick: fn(&mindrail_core::metrics::ClassFigures) -> f64| {
                100.0 * runs.iter().map(|run| pick(&run.classes()[place])).sum::<f64>() / 5.0
            };
            for (key, found) in [
                ("per_class_f1_mean", mean(|class| class.f1)),
                ("per_class_recall_mean", mean(|class| class.recall)),
            ] {
                let gap = (found - number(&extra[key][place])).abs();
                assert!(gap < 0.005_1, "{name} {key} {place}: {found}");
            }
        }
    }
}

#[test]
fn nonsense_rows_that_any_run_finds_are_as_many_as_counted() {
    let published = published_runs();
    for setting in list(&expected()["settings"]) {
        let name =
            format!("{} {} ", setting["model"].as_str().unwrap(), setting["setting"].as_str().unwrap());
        let runs: Vec<_> = published.runs.iter().filter(|(run, _)| run.starts_with(&name)).collect();
        let found = (0..800).filter(|&row| {
            published.gold[row] == ReplyClass::Nonsense
                && runs.iter().any(|(_, run)| run[row] == ReplyClass::Nonsense)
        });
        let expected = setting["extra"]["nonsense_rows_hit_in_at_least_one_run"].as_u64().unwrap();
        assert_eq!(found.count() as u64, expected, "{name}");
    }
}

#[test]
fn systems_that_always_say_the_same_have_the_expected_figures() {
    let published = published_runs();
    let expected = expected();
    for (name, class) in [
        ("always_safe", ReplyClass::SafeResponse),
        ("always_linguistic_neglect", ReplyClass::LinguisticNeglect),
    ] {
        let counts: ReplyCounts =
            published.gold.iter().map(|gold| (*gold, ReplyCall::Class(class))).collect();
        let baseline = &expected["baselines"][name];
        close(counts.accuracy(), &baseline["accuracy"], name);
        for (key, found) in [
            ("weighted_precision", counts.weighted().precision),
            ("weighted_recall", counts.weighted().recall),
            ("weighted_f1", counts.weighted().f1),
        ] {
            if !baseline[key].is_null() {
                close(found, &baseline[key], name);
            }
        }
    }
}

fn item(place: usize, gold: ReplyClass) -> ReplyItem {
    ReplyItem {
        id: place.to_string(),
        cluster: place.to_string(),
        slices: BTreeMap::new(),
        input: ReplyInput { context: Vec::new(), response: String::new() },
        gold,
    }
}

#[test]
fn a_file_of_predictions_with_five_runs_prints_its_row_of_table_2() {
    let published = published_runs();
    let items: Vec<ReplyItem> =
        published.gold.iter().enumerate().map(|(place, gold)| item(place, *gold)).collect();
    for (name, setting, _) in settings(&published) {
        let mut file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        writeln!(file, "run,id,class").unwrap();
        for (run, classes) in published.runs.iter().filter(|(run, _)| run.starts_with(&format!("{name} "))) {
            let rows = classes.iter().enumerate();
            rows.for_each(|(id, class)| writeln!(file, "{run},{id},{}", class.wire()).unwrap());
        }
        let runs = read_predictions(&PROTOCOL, &items, file.path()).unwrap();
        let section = section_over_runs(&PROTOCOL, &items, &runs, Unanswered::Negative).unwrap();
        let rows = &section.tables[0].rows;
        for (column, title) in [
            ("accuracy", "Accuracy"),
            ("precision", "Weighted precision"),
            ("recall", "Weighted recall"),
            ("f1", "Weighted F1"),
        ] {
            let [mean, deviation] = [0, 1].map(|place| number(&setting["table2"][column]["paper"][place]));
            let expected = Cell::Text(format!("{mean:.1} ({deviation:.1})"));
            let row = rows.iter().find(|row| row[0] == Cell::Text(title.to_owned())).unwrap();
            assert_eq!(row[1], expected, "{name} {column}");
        }
    }
}

#[test]
fn the_protocol_gives_these_figures_from_items_and_answers() {
    let published = published_runs();
    let items: Vec<ReplyItem> =
        published.gold.iter().enumerate().map(|(place, gold)| item(place, *gold)).collect();
    let (name, setting, _) = settings(&published).remove(0);
    let run = &setting["runs"][0];
    let predicted = &published.runs[&format!("{name} {}", run["run"].as_str().unwrap())];
    let answer = |(place, class): (usize, &ReplyClass)| Answer {
        id: place.to_string(),
        outcome: Outcome::Ok,
        prediction: Some(ReplyPrediction::of(*class)),
    };
    let answers: Vec<_> = predicted.iter().enumerate().map(answer).collect();
    let (judged, _) = judge(&PROTOCOL, &items, &answers, Unanswered::Negative);
    let evaluator = PROTOCOL.evaluator(&judged);
    let values = evaluator.values(&vec![1; evaluator.clusters()]);
    let figure = |name: &str| {
        let place = evaluator.figures().iter().position(|figure| figure.name == name).unwrap();
        values[place].unwrap()
    };
    close(figure("accuracy"), &run["accuracy"], "accuracy");
    close(figure("weighted_f1"), &run["weighted"]["f1"], "weighted F1");
    close(figure("macro_f1"), &run["macro"]["f1"], "macro F1");
    close(figure("unsafe_recall"), &run["binary_safe_is_1"]["unsafe"]["recall"], "unsafe recall");
    close(figure("f1@class=Nonsense"), &run["per_class"]["f1"][0], "F1 of Nonsense");
    close(figure("kappa"), &run["cohen_kappa"], "kappa");
    close(figure("mcc"), &run["mcc"], "mcc");
}

/// The answers of the published runs that are names only, with or without a full
/// stop, and how often each was given.
#[test]
fn the_published_rule_reads_the_answers_that_were_given() {
    for &class in ReplyClass::ALL {
        for answer in [class.wire().to_owned(), format!("{}.", class.wire())] {
            assert_eq!(AnswerRule::Published.read(&answer), Some(class));
        }
    }
}

fn shared(file: &str) -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let folder = std::env::var_os("MINDRAIL_SHARED").map_or_else(|| beside.into(), PathBuf::from);
    let path = folder.join("oracles/dialoguesafety").join(file);
    if path.is_file() {
        return Some(path);
    }
    // Written past the macros, whose output the test runner holds back.
    let _ = writeln!(std::io::stderr(), "SKIPPED: no {}", path.display());
    None
}

#[test]
fn both_rules_read_all_16_000_raw_answers_as_published() {
    let Some(path) = shared("predictions.csv") else { return };
    let mut answers = 0;
    for record in mindrail_data::table::read(&path).unwrap() {
        let fields = record.unwrap().fields;
        let answer = fields["raw_answer"].as_str().unwrap();
        if answer.is_empty() {
            continue;
        }
        answers += 1;
        let id: usize = fields["predicted"].as_str().unwrap().parse().unwrap();
        let expected = Some(ReplyClass::ALL[id]);
        assert_eq!(AnswerRule::Published.read(answer), expected);
        assert_eq!(AnswerRule::Tolerant.read(answer), expected);
    }
    assert_eq!(answers, 16_000);
}

#[test]
fn the_test_rows_become_576_clusters_of_which_337_rows_share_an_utterance() {
    let Some(path) = shared("test.json") else { return };
    let (_, samples) = sets::read(&path, Some(DataSet::DialogueSafety)).unwrap();
    let mut items: Vec<ReplyItem> = samples
        .enumerate()
        .flat_map(|(place, sample)| rows(&sample.unwrap(), &format!("row-{}", place + 1)))
        .collect();
    assert_eq!(items.len(), 800);
    let gold: Vec<ReplyClass> = items.iter().map(|item| item.gold).collect();
    assert_eq!(gold, published_runs().gold);
    assert_eq!(items.iter().filter(|item| item.slices["context"] == "one utterance").count(), 205);
    cluster_by_shared_utterances(&mut items);
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    items.iter().for_each(|item| *sizes.entry(item.cluster.as_str()).or_default() += 1);
    let joined: usize = sizes.values().filter(|size| **size > 1).sum();
    assert_eq!((sizes.len(), joined, sizes.values().max()), (576, 337, Some(&14)));
}
