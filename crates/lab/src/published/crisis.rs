//! Published figures on the test split of CRADLE-Dialogue: the six models of its
//! dataset card, and the floors that a third party measured.

use crate::report::PublishedRow;

const CARD: &str = "CRADLE-Dialogue dataset card (arXiv 2606.10380), test split";
const CARD_CAVEAT: &str = "600 clinician-labelled dialogues that are not public here; the equations behind the \
     published micro F1 are not published either, so that the reading is the best supported one, not the verified one";
const FLOORS: &str = "steelshot07/slp-project, results/*.json, CRADLE-Dialogue test split";
const FLOOR_CAVEAT: &str = "a third party's models, trained on the synthetic train split and measured on the \
     clinician-labelled test split, which is not public here; no outcome of this project";

/// The rows, best published turn F1 first, then the floors.
pub fn rows() -> Vec<PublishedRow> {
    let mut rows: Vec<_> =
        MODELS.iter().map(|&(system, turn, dialogue)| model(system, turn, dialogue)).collect();
    rows.extend(FLOOR_ROWS.iter().map(floor));
    rows
}

/// Turn and dialogue micro F1 in percent, as published.
const MODELS: [(&str, f64, f64); 6] = [
    ("Claude-4.5-Sonnet", 56.85, 70.11),
    ("Gemini-3-Flash", 53.05, 68.57),
    ("Qwen3-32B-FT (the authors')", 51.31, 68.88),
    ("GPT-5.1", 48.91, 67.00),
    ("gpt-oss-120b", 47.20, 63.22),
    ("Qwen3-32B base", 43.75, 63.43),
];

fn model(system: &str, turn: f64, dialogue: f64) -> PublishedRow {
    row(system, &[("turn_f1", turn), ("dialogue_f1", dialogue)], [CARD, CARD_CAVEAT])
}

/// A floor: its name and its figures in percent.
struct Floor {
    system: &'static str,
    figures: &'static [(&'static str, f64)],
}

const FLOOR_ROWS: [Floor; 7] = [
    Floor {
        system: "Always empty",
        figures: &[
            ("turn_precision", 0.0),
            ("turn_recall", 0.0),
            ("turn_f1", 0.0),
            ("turn_macro_f1", 0.0),
            ("exact_match", 84.47),
        ],
    },
    Floor {
        system: "TF-IDF + logistic regression, current turn only",
        figures: &[
            ("turn_precision", 17.64),
            ("turn_recall", 32.63),
            ("turn_f1", 22.90),
            ("turn_macro_f1", 23.19),
            ("exact_match", 73.27),
        ],
    },
    Floor {
        system: "TF-IDF + logistic regression, four turns before",
        figures: &[
            ("turn_precision", 16.85),
            ("turn_recall", 32.07),
            ("turn_f1", 22.09),
            ("turn_macro_f1", 18.28),
            ("exact_match", 70.44),
            ("alert_f1", 15.71),
        ],
    },
    Floor { system: "DistilRoBERTa, no history (mean of 5 seeds, SD 1.28)", figures: &[("turn_f1", 31.37)] },
    Floor {
        system: "DistilRoBERTa, mean of the history (mean of 5 seeds, SD 3.21)",
        figures: &[("turn_f1", 33.02)],
    },
    Floor {
        system: "DistilRoBERTa, GRU over the history (mean of 5 seeds, SD 2.04)",
        figures: &[("turn_f1", 32.08)],
    },
    Floor {
        system: "DistilRoBERTa, GRU over the history, seed 13",
        figures: &[
            ("turn_precision", 42.89),
            ("turn_recall", 26.72),
            ("turn_f1", 32.93),
            ("turn_macro_f1", 30.33),
            ("alert_f1", 6.71),
        ],
    },
];

fn floor(floor: &Floor) -> PublishedRow {
    row(floor.system, floor.figures, [FLOORS, FLOOR_CAVEAT])
}

fn row(system: &str, percents: &[(&str, f64)], [source, caveat]: [&str; 2]) -> PublishedRow {
    PublishedRow {
        system: system.to_owned(),
        // Two decimals of a percentage are four of a share.
        figures: percents.iter().map(|&(name, percent)| (name.to_owned(), share(percent))).collect(),
        source: source.to_owned(),
        caveat: caveat.to_owned(),
    }
}

fn share(percent: f64) -> f64 {
    (percent * 100.0).round() / 1e4
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "published shares have four exact decimals")]

    use super::*;

    #[test]
    fn the_shares_are_the_published_percentages() {
        let rows = rows();
        assert_eq!(rows.len(), 13);
        assert_eq!(rows[0].figures["turn_f1"], 0.5685);
        assert_eq!(rows[3].figures["dialogue_f1"], 0.67);
        assert_eq!(rows[6].figures["exact_match"], 0.8447);
        // A micro F1 is the harmonic mean of its precision and recall.
        for row in rows.iter().filter(|row| row.figures.contains_key("turn_precision")) {
            let [p, r, f1] = ["turn_precision", "turn_recall", "turn_f1"].map(|name| row.figures[name]);
            let harmonic = if p + r > 0.0 { 2.0 * p * r / (p + r) } else { 0.0 };
            assert!((harmonic - f1).abs() < 1e-4, "{}: {harmonic} against {f1}", row.system);
        }
    }
}
