//! Published figures on the 94 seed conversations of the KHP Youth Mental Health
//! Guardrail, which are not public here, with what is wrong with them.

use crate::report::PublishedRow;

/// The rows: the published guardrail first.
pub fn rows() -> Vec<PublishedRow> {
    ROWS.iter().map(row).collect()
}

struct Published {
    system: &'static str,
    precision: f64,
    recall: f64,
    f1: f64,
    source: &'static str,
    caveat: &'static str,
}

const ROWS: [Published; 3] = [
    Published {
        system: "KHP guardrail (Qwen2.5-7B, nine signals)",
        precision: 0.8222,
        recall: 0.8810,
        f1: 0.8506,
        source: "Aser97/Guardrail-For-Agents, guardrail_evaluation.ipynb: 94 seed conversations, TP 37 FP 8 TN 44 FN 5",
        caveat: "Made without the logistic head that it is attributed to: its file was missing, so that the score was \
                 the largest signal against 0.7075. Wilson 95 % intervals: precision 0.687 to 0.907, recall 0.750 to \
                 0.948. The 94 conversations are parents of training rows, so that they were not held out",
    },
    Published {
        system: "KHP guardrail, an earlier run",
        precision: 0.591,
        recall: 0.929,
        f1: 0.722,
        source: "Aser97/Guardrail-For-Agents, notebook checkpoint: 94 seed conversations, TP 39 FP 27 TN 25 FN 3",
        caveat: "Another model and threshold than the row above; the two do not show what the head does",
    },
    Published {
        system: "Cohere command-a as judge",
        precision: 0.6667,
        recall: 0.7143,
        f1: 0.6897,
        source: "Aser97/Guardrail-For-Agents, notebook checkpoint: 94 seed conversations",
        caveat: "One prompt, not tuned",
    },
];

fn row(published: &Published) -> PublishedRow {
    let figures = [("precision", published.precision), ("recall", published.recall), ("f1", published.f1)];
    PublishedRow {
        system: published.system.to_owned(),
        figures: figures.map(|(name, value)| (name.to_owned(), value)).into(),
        source: published.source.to_owned(),
        caveat: published.caveat.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use mindrail_core::metrics::{Confusion, wilson_interval};

    use super::*;

    fn assert_row(published: &Published, counts: Confusion) {
        let found = [counts.precision(), counts.recall(), counts.f1()];
        let decimals = [published.precision, published.recall, published.f1];
        assert!(found.iter().zip(decimals).all(|(a, b)| (a - b).abs() < 5e-4), "{found:?}");
    }

    #[test]
    fn the_published_ratios_follow_from_the_published_counts() {
        assert_row(&ROWS[0], Confusion { tp: 37, fp: 8, fn_: 5, tn: 44 });
        assert_row(&ROWS[1], Confusion { tp: 39, fp: 27, fn_: 3, tn: 25 });
        assert_row(&ROWS[2], Confusion { tp: 30, fp: 15, fn_: 12, tn: 37 });
    }

    #[test]
    fn the_intervals_in_the_caveat_are_wilsons() {
        for (right, of) in [(37, 45), (37, 42)] {
            let ends = wilson_interval(right, of).map(|(low, high)| format!("{low:.3} to {high:.3}"));
            assert!(
                ends.is_some_and(|ends| ROWS[0].caveat.contains(&ends)),
                "no interval of {right} in {of}"
            );
        }
    }
}
