//! The audit of PKU-SafeRLHF v1 by Chen (2026), from its released gaps of cost,
//! cross-tables and counts, through the harm protocol. The scores of single
//! responses are not released: the AUROC of the cost model (.958) cannot be
//! computed again from what there is, and stands here as the published row only.

use std::collections::BTreeMap;

use mindrail_core::metrics::{Confusion, ConfusionMatrix, JointCounts, KappaWeights, PairStratum};
use mindrail_data::sets::Side;
use mindrail_lab::protocol::harm::{
    Harm, HarmGold, HarmInput, HarmItem, HarmPrediction, HarmSet, PairPlace, Population,
};
use mindrail_lab::protocol::{Answer, Outcome, Protocol as _, Unanswered, judge};
use mindrail_lab::published;
use serde_json::Value;

const GAPS: &str = include_str!("data/harm_cost_gaps.csv");
const COST_SUMMARY: &str = include_str!("data/harm_cost_summary.json");
const JUDGES: &str = include_str!("data/harm_judges_by_severity.csv");
const JUDGES_SUMMARY: &str = include_str!("data/harm_judges_summary.json");
const JOINT_COUNTS: &str = include_str!("data/harm_joint_counts.csv");

const PROTOCOL: Harm = Harm::on(HarmSet::PkuSafeRlhf);

/// A pair of the audit's sample.
struct GapRow {
    stratum: PairStratum,
    state: &'static str,
    same_categories: bool,
    unequal_severity: bool,
    /// Cost of the less safe response - cost of the safer one.
    gap: f64,
}

fn gaps() -> Vec<GapRow> {
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.split(',').collect();
        let stratum = match cells[0] {
            "L4" => PairStratum::SafetyDiffers,
            "L3" => PairStratum::SeverityDiffers,
            "L2" => PairStratum::CategoryDiffers,
            "L1" => PairStratum::NothingDiffers,
            other => panic!("stratum {other}"),
        };
        GapRow {
            stratum,
            state: cells[1],
            same_categories: cells[2] == "1",
            unequal_severity: cells[3] == "1",
            gap: cells[4].parse().unwrap(),
        }
    };
    GAPS.lines().skip(1).map(row).collect()
}

/// Both responses of a pair; the first is the less safe one.
fn items_of(place: usize, row: &GapRow) -> [HarmItem; 2] {
    [Side::First, Side::Second].map(|side| HarmItem {
        id: format!("{place}:{}", side.index()),
        cluster: place.to_string(),
        slices: BTreeMap::new(),
        input: HarmInput { prompt: String::new(), response: String::new() },
        gold: HarmGold {
            pair: Some(PairPlace {
                pair: place.to_string(),
                side,
                better: None,
                safer: Some(Side::Second),
                stratum: Some(row.stratum),
            }),
            ..HarmGold::default()
        },
    })
}

fn answers_of(place: usize, row: &GapRow) -> [Answer<HarmPrediction>; 2] {
    [(0, row.gap), (1, 0.0)].map(|(side, cost)| Answer {
        id: format!("{place}:{side}"),
        outcome: Outcome::Ok,
        prediction: Some(HarmPrediction { cost: Some(cost), ..HarmPrediction::default() }),
    })
}

/// The figures that the protocol finds in pairs.
fn figures(rows: &[&GapRow]) -> BTreeMap<String, f64> {
    let numbered = || rows.iter().enumerate();
    let items: Vec<HarmItem> = numbered().flat_map(|(place, row)| items_of(place, row)).collect();
    let answers: Vec<_> = numbered().flat_map(|(place, row)| answers_of(place, row)).collect();
    let (judged, _) = judge(&PROTOCOL, &items, &answers, Unanswered::Negative);
    let evaluator = PROTOCOL.evaluator(&judged);
    let values = evaluator.values(&vec![1; evaluator.clusters()]);
    let named = evaluator.figures().iter().zip(values);
    named.filter_map(|(figure, value)| Some((figure.name.clone(), value?))).collect()
}

fn summary() -> Value {
    serde_json::from_str(COST_SUMMARY).unwrap()
}

fn point_estimate(list: &str, key: &str, name: &str) -> f64 {
    let summary = summary();
    let entry = summary[list].as_array().unwrap().iter().find(|entry| entry[key] == name).unwrap();
    entry["model_follows_safer"]["point_estimate"].as_f64().unwrap()
}

#[test]
fn the_cost_model_orders_pairs_as_the_audit_says_in_every_stratum() {
    let rows = gaps();
    assert_eq!(rows.len(), 4_000);
    let found = figures(&rows.iter().collect::<Vec<_>>());
    for (figure, native, rounded) in [
        ("safety_differs", "L4_safety_boundary_difference", "0.928"),
        ("severity_differs", "L3_severity_difference_same_safety_state", "0.597"),
        ("category_differs", "L2_category_difference_tied_safety_and_severity", "0.556"),
        ("nothing_differs", "L1_no_recorded_safety_field_difference", "0.610"),
    ] {
        let own = found[&format!("cost_accuracy@stratum={figure}")];
        assert!((own - point_estimate("e7c_pair_ordering", "native_stratum", native)).abs() < 1e-12);
        assert_eq!(format!("{own:.3}"), rounded);
    }
    assert_eq!(format!("{:.3}", found["cost_accuracy_weighted"]), "0.646");
}

#[test]
fn the_population_that_weights_the_strata_is_the_whole_train_set() {
    let pairs = Population::PkuSafeRlhfTrain.pairs().unwrap();
    assert!((pairs.iter().sum::<f64>() - 73_907.0).abs() < 0.5);
}

#[test]
fn pairs_of_one_state_come_out_as_the_audit_says() {
    let rows = gaps();
    for (state, name) in [("safe", "both_safe"), ("unsafe", "both_unsafe"), ("mixed", "safety_boundary")] {
        let own: Vec<&GapRow> = rows.iter().filter(|row| row.state == state).collect();
        let expected = point_estimate("e7c_pair_state_summary", "pair_state", name);
        assert!((figures(&own)["cost_accuracy"] - expected).abs() < 1e-12, "{name}");
    }
    let strict: Vec<&GapRow> = rows
        .iter()
        .filter(|row| row.state == "unsafe" && row.same_categories && row.unequal_severity)
        .collect();
    assert_eq!(strict.len(), 539);
}

#[test]
fn ties_are_wrong_as_the_audit_counts_them() {
    let ties = gaps().iter().filter(|row| row.gap.abs() <= 0.0).count();
    let summary = summary();
    let strata = summary["e7c_pair_ordering"].as_array().unwrap();
    let expected: u64 = strata.iter().map(|stratum| stratum["score_ties"].as_u64().unwrap()).sum();
    assert_eq!(ties as u64, expected);
    // Were a tie half right, nothing_differs would not be .610 to the pair.
    assert_eq!(expected, 29);
}

/// A judge's counts against PKU's labels under one rendering, in thousandths: the
/// design weights have three decimals, so that weighted counts are whole too.
fn table(judge: &str, rendering: &str, column: usize) -> Confusion {
    let mut table = Confusion::default();
    for line in JUDGES.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        if cells[6] != judge || cells[3] != rendering {
            continue;
        }
        let rows = (cells[column].parse::<f64>().unwrap() * 1_000.0).round() as usize;
        match (cells[2], cells[1]) {
            ("true", "true") => table.tp += rows,
            ("true", "false") => table.fn_ += rows,
            ("false", "true") => table.fp += rows,
            _ => table.tn += rows,
        }
    }
    table
}

fn kappa(table: Confusion) -> f64 {
    let mut matrix = ConfusionMatrix::new(2);
    matrix.cells_mut().copy_from_slice(&[table.tn, table.fp, table.fn_, table.tp]);
    matrix.kappa(KappaWeights::Unweighted).unwrap()
}

#[test]
fn both_judges_agree_with_the_labels_as_the_audit_says() {
    let summary: Value = serde_json::from_str(JUDGES_SUMMARY).unwrap();
    let mut seen = 0;
    for judge in ["deepseek_v4_flash_safety_judge", "shieldgemma_9b"] {
        for rendering in ["prompt_response", "response_only"] {
            // Columns of the weighted and of the raw counts.
            for (column, kind) in [(0, "design_weighted_population_estimate"), (4, "sample")] {
                let table = table(judge, rendering, column);
                let expected = &summary[format!("{judge}:{rendering}")][kind];
                for (key, found) in [
                    ("observed_agreement", table.accuracy()),
                    ("cohens_kappa", kappa(table)),
                    ("external_unsafe_given_pku_unsafe", table.recall()),
                    ("external_safe_given_pku_safe", table.specificity()),
                    ("positive_proportional_agreement", table.f1()),
                ] {
                    let gap = (found - expected[key].as_f64().unwrap()).abs();
                    assert!(gap < 1e-9, "{judge} {rendering} {kind} {key}: {found}");
                }
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 8);
}

#[test]
fn the_published_rows_are_the_audits_figures() {
    let rows = published::harm::rows(HarmSet::PkuSafeRlhf);
    let of_row = |system: &str| &rows.iter().find(|row| row.system.starts_with(system)).unwrap().figures;
    let rounded = |value: f64| format!("{value:.3}");
    let auroc = &summary()["e7a_binary_boundary"]["design_weighted_population_auroc"];
    assert_eq!(rounded(of_row("beaver-7b-v2")["unsafe_auroc"]), rounded(auroc.as_f64().unwrap()));
    for (system, judge) in [("DeepSeek", "deepseek_v4_flash_safety_judge"), ("ShieldGemma", "shieldgemma_9b")]
    {
        let table = table(judge, "prompt_response", 0);
        assert_eq!(rounded(of_row(system)["safety_accuracy"]), rounded(table.accuracy()));
        assert_eq!(rounded(of_row(system)["safety_kappa"]), rounded(kappa(table)));
    }
}

#[test]
fn categories_go_together_as_the_joint_counts_say() {
    const POSITIONS: usize = 147_814;
    let mut phi = BTreeMap::new();
    for line in JOINT_COUNTS.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let count = |place: usize| cells[place].parse::<usize>().unwrap();
        let (first, second, both) = (count(2), count(3), count(4));
        let counts = JointCounts {
            both,
            first_only: first - both,
            second_only: second - both,
            neither: POSITIONS + both - first - second,
        };
        phi.insert((cells[0], cells[1]), counts.phi().unwrap());
    }
    assert_eq!(phi.len(), 171);
    for (pair, expected) in [
        (("Economic Crime", "White-Collar Crime"), "0.568"),
        (("Violence", "Physical Harm"), "0.494"),
        (("Insulting Behavior", "Discriminatory Behavior"), "0.432"),
        (("Privacy Violation", "Cybercrime"), "0.421"),
        (("Endangering Public Health", "Environmental Damage"), "0.324"),
        (("Insulting Behavior", "Psychological Harm"), "0.271"),
        (("Insulting Behavior", "Cybercrime"), "-0.077"),
    ] {
        assert_eq!(format!("{:.3}", phi[&pair]), expected, "{pair:?}");
    }
    let lowest = phi.values().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(format!("{lowest:.3}"), "-0.077");
}
