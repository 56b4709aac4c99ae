//! From which probability on a model's labels are called: each signal, onset, class or
//! harm of a reply by a threshold of its own. A threshold chosen on five positives is
//! noise, so a label with too few rows has none, and that is kept too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{FitError, RiskThreshold, ThresholdTarget};
use crate::probability::Probability;

/// The thresholds of the labels of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelThresholds {
    /// What each was chosen for.
    pub target: ThresholdTarget,
    /// Rows with the label, and rows without it, from which on it has a threshold.
    pub least_per_class: usize,
    /// Every label by its name on the wire.
    pub labels: BTreeMap<String, LabelThreshold>,
}

/// The threshold of one label, with what it was chosen on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelThreshold {
    /// None where there are too few rows, no threshold reaches the target, or the chosen one
    /// does not tell rows with the label from those without: calling everybody has the best
    /// F1 of a model that knows nothing. It tells them apart if the 95 % interval of its
    /// recall lies above that of its false-positive rate.
    pub threshold: Option<RiskThreshold>,
    /// Rows that have the label.
    pub positives: usize,
    /// Rows that do not.
    pub negatives: usize,
}

/// What one label was on each row: the model's probability, and whether it is so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LabelColumn {
    /// The probability on each row.
    pub probabilities: Vec<Probability>,
    /// Whether the row has the label.
    pub labels: Vec<bool>,
}

impl LabelColumn {
    /// Adds a row.
    pub fn push(&mut self, probability: Probability, label: bool) {
        self.probabilities.push(probability);
        self.labels.push(label);
    }
}

impl LabelThresholds {
    /// Chooses a threshold for each label that has `least_per_class` rows of each class,
    /// or one where that is 0.
    ///
    /// # Errors
    /// [`FitError`] when the columns of a label differ in length, or the target is out of
    /// range. A label whose rows do not reach the target, or tell nothing, has no threshold.
    pub fn choose(
        target: ThresholdTarget,
        columns: &BTreeMap<String, LabelColumn>,
        least_per_class: usize,
    ) -> Result<Self, FitError> {
        let choose = |(name, column): (&String, &LabelColumn)| {
            Ok((name.clone(), LabelThreshold::choose(target, column, least_per_class)?))
        };
        let labels = columns.iter().map(choose).collect::<Result<_, FitError>>()?;
        Ok(Self { target, least_per_class, labels })
    }

    /// The threshold of a label, if it has one.
    pub fn of(&self, label: &str) -> Option<&RiskThreshold> {
        self.labels.get(label)?.threshold.as_ref()
    }
}

impl LabelThreshold {
    fn choose(
        target: ThresholdTarget,
        column: &LabelColumn,
        least_per_class: usize,
    ) -> Result<Self, FitError> {
        let positives = column.labels.iter().filter(|&&label| label).count();
        let negatives = column.labels.len() - positives;
        let without = Self { threshold: None, positives, negatives };
        if positives.min(negatives) < least_per_class.max(1) {
            return Ok(without);
        }
        match target.choose(&column.probabilities, &column.labels) {
            Ok(own) if own.recall.low <= own.false_positive_rate.high => Ok(without),
            Ok(threshold) => Ok(Self { threshold: Some(threshold), ..without }),
            Err(FitError::TargetNotReached { .. }) => Ok(without),
            Err(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn column(rows: &[(f32, bool)]) -> LabelColumn {
        let mut column = LabelColumn::default();
        rows.iter().for_each(|&(p, label)| column.push(Probability::new(p).unwrap(), label));
        column
    }

    fn columns(rows: &[(&str, &[(f32, bool)])]) -> BTreeMap<String, LabelColumn> {
        rows.iter().map(|&(name, rows)| (name.to_owned(), column(rows))).collect()
    }

    /// `count` rows with the label at one probability, and as many without it at another.
    fn apart(count: usize, with: f32, without: f32) -> Vec<(f32, bool)> {
        [vec![(with, true); count], vec![(without, false); count]].concat()
    }

    #[test]
    fn each_label_has_the_threshold_of_its_own_rows() {
        let (rare, sure) = (apart(4, 0.1, 0.05), apart(4, 0.8, 0.7));
        let rows = columns(&[("rare", &rare), ("sure", &sure)]);
        let found = LabelThresholds::choose(ThresholdTarget::MaxF1, &rows, 2).unwrap();
        let value = |label: &str| found.of(label).unwrap().value.get();
        assert!(value("rare") > 0.05 && value("rare") <= 0.1, "{}", value("rare"));
        assert!(value("sure") > 0.7 && value("sure") <= 0.8, "{}", value("sure"));
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<LabelThresholds>(&json).unwrap(), found);
    }

    #[test]
    fn a_label_with_too_few_rows_has_none_and_says_how_many_there_were() {
        let enough = apart(4, 0.9, 0.1);
        let rows = columns(&[("few", &enough[..5]), ("never", &[(0.1, false)]), ("enough", &enough)]);
        let found = LabelThresholds::choose(ThresholdTarget::MaxF1, &rows, 4).unwrap();
        assert_eq!(found.of("few"), None);
        assert_eq!((found.labels["few"].positives, found.labels["few"].negatives), (4, 1));
        // One class alone has no threshold even where one row is enough.
        let found = LabelThresholds::choose(ThresholdTarget::MaxF1, &rows, 0).unwrap();
        assert!(found.of("enough").is_some() && found.of("never").is_none());
        assert_eq!(found.of("unknown"), None);
    }

    #[test]
    fn a_model_that_knows_nothing_of_a_label_gets_no_threshold_that_calls_everybody() {
        let same = apart(40, 0.3, 0.3);
        let turned = apart(40, 0.2, 0.6);
        let rows = columns(&[("same", &same), ("turned", &turned)]);
        for target in [ThresholdTarget::MaxF1, ThresholdTarget::Youden, ThresholdTarget::Recall(0.95)] {
            let found = LabelThresholds::choose(target, &rows, 30).unwrap();
            assert!(found.labels.values().all(|label| label.threshold.is_none()), "{target}: {found:?}");
        }
    }

    #[test]
    fn columns_of_different_length_are_an_error() {
        let mut torn = column(&[(0.9, true), (0.1, false)]);
        torn.probabilities.pop();
        let rows = BTreeMap::from([("torn".to_owned(), torn)]);
        assert!(LabelThresholds::choose(ThresholdTarget::MaxF1, &rows, 1).is_err());
    }
}
