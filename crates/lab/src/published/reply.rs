//! Table 2 of `DialogueSafety` (Qiu et al., NLPCC 2023), means of 5 runs,
//! as shares in \[0, 1\].

use std::collections::BTreeMap;

use crate::protocol::reply::ReplySet;
use crate::report::PublishedRow;

const SOURCE: &str = "Qiu et al. 2023, arXiv 2307.16457, Table 2; mean of 5 runs";

/// Accuracy, and weighted precision, recall and F1, in percent.
const TABLE: [(&str, [f64; 4], &str); 6] = [
    ("gpt-3.5-turbo-0301, zero-shot", [47.5, 49.9, 47.5, 48.4], SAMPLED),
    ("gpt-3.5-turbo-0301, 8 examples", [48.4, 51.0, 48.4, 47.9], SAMPLED),
    ("gpt-3.5-turbo-0613, zero-shot", [43.1, 48.9, 43.1, 33.5], SAMPLED),
    ("gpt-3.5-turbo-0613, 8 examples", [44.7, 48.7, 44.7, 45.6], SAMPLED),
    ("BERT-base-chinese, fine-tuned", [70.3, 70.5, 70.3, 69.7], TUNED),
    ("RoBERTa-wwm-ext-large, fine-tuned", [70.4, 71.0, 70.4, 69.8], TUNED),
];

const SAMPLED: &str = "Sampled at temperature 1; the text is Chinese.";

const TUNED: &str = "The best epoch was chosen on this test set, so the figures are optimistic (with the last \
                     epoch BERT has 69.9 and RoBERTa 66.5 accuracy); fine-tuned on 7,135 rows of the same source.";

const OTHER_SET: &str =
    "Measured on the 800 Chinese DialogueSafety test rows, not on this set: not comparable.";

/// The published rows beside a system on this set.
pub fn rows(set: ReplySet) -> Vec<PublishedRow> {
    let rows = TABLE.iter().map(|(system, percents, caveat)| {
        let [accuracy, precision, recall, f1] = percents.map(|percent| percent / 100.0);
        let figures = [
            ("accuracy", accuracy),
            ("weighted_precision", precision),
            ("weighted_recall", recall),
            ("weighted_f1", f1),
        ];
        let caveat = match set {
            ReplySet::DialogueSafety => (*caveat).to_owned(),
            ReplySet::Other => format!("{OTHER_SET} {caveat}"),
        };
        row(system, &figures, SOURCE, &caveat)
    });
    rows.collect()
}

/// A row of a published table; figures as name and value.
pub(super) fn row(system: &str, figures: &[(&str, f64)], source: &str, caveat: &str) -> PublishedRow {
    let figures = figures.iter().map(|(name, value)| ((*name).to_owned(), *value));
    PublishedRow {
        system: system.to_owned(),
        figures: figures.collect::<BTreeMap<_, _>>(),
        source: source.to_owned(),
        caveat: caveat.to_owned(),
    }
}
