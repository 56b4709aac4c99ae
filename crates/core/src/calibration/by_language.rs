//! A threshold for each language, and the pooled one where a language has too few rows
//! to choose from. A pooled threshold alone hides that one language is missed more
//! often than another; a threshold chosen on five positives is noise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::threshold::measured_on;
use super::{FitError, RiskThreshold, ThresholdTarget};
use crate::language::Language;
use crate::probability::Probability;

/// Where a language's threshold comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdSource {
    /// It was chosen on the language's own rows.
    Own,
    /// It is the pooled one: the language has fewer than `least_per_class` rows of a
    /// class.
    PooledTooFewRows,
    /// It is the pooled one: no threshold reaches the target on the language's rows.
    PooledTargetNotReached,
}

/// The threshold of one language, with its figures on the rows of that language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageThreshold {
    /// The threshold. Recall and false-positive rate are those in this language,
    /// wherever the value comes from.
    pub threshold: RiskThreshold,
    /// Where its value comes from.
    pub source: ThresholdSource,
    /// Positive rows of this language.
    pub positives: usize,
    /// Negative rows of this language.
    pub negatives: usize,
}

/// The thresholds of all languages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageThresholds {
    /// Chosen on all rows. It holds where the language is not known, and in languages
    /// that the rows do not have.
    pub pooled: RiskThreshold,
    /// Rows of each class, positive and negative, from which on a language has a
    /// threshold of its own.
    pub least_per_class: usize,
    /// The languages that the rows have.
    pub languages: BTreeMap<Language, LanguageThreshold>,
}

/// One row of what thresholds are chosen on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThresholdRow {
    /// The calibrated probability.
    pub probability: Probability,
    /// Whether the row is positive.
    pub label: bool,
    /// The row's language, where it is known.
    pub language: Option<Language>,
}

impl LanguageThresholds {
    /// Chooses them all for one target. `least_per_class` is the number of rows of each
    /// class from which on a language has a threshold of its own.
    ///
    /// # Errors
    /// [`FitError`] when a class is absent or no pooled threshold reaches the target. A
    /// language in which none does has the pooled one.
    pub fn choose(
        target: ThresholdTarget,
        rows: &[ThresholdRow],
        least_per_class: usize,
    ) -> Result<Self, FitError> {
        let (probabilities, labels) = columns(rows.iter());
        let pooled = target.choose(&probabilities, &labels)?;
        let mut languages = BTreeMap::new();
        for language in Language::ALL {
            let (probabilities, labels) = columns(rows.iter().filter(|row| row.language == Some(language)));
            if labels.is_empty() {
                continue;
            }
            let positives = labels.iter().filter(|&&label| label).count();
            let negatives = labels.len() - positives;
            let (threshold, source) = if positives.min(negatives) < least_per_class.max(1) {
                (measured_on(&pooled, &probabilities, &labels), ThresholdSource::PooledTooFewRows)
            } else {
                own_or_pooled(target, &pooled, &probabilities, &labels)?
            };
            languages.insert(language, LanguageThreshold { threshold, source, positives, negatives });
        }
        Ok(Self { pooled, least_per_class, languages })
    }

    /// The threshold that holds in a language: its own, or the pooled one.
    pub fn of(&self, language: Option<Language>) -> &RiskThreshold {
        language.and_then(|language| self.languages.get(&language)).map_or(&self.pooled, |own| &own.threshold)
    }

    /// The lowest of all thresholds.
    pub fn lowest(&self) -> Probability {
        let values = self.languages.values().map(|own| own.threshold.value);
        values.fold(self.pooled.value, |lowest, value| if value < lowest { value } else { lowest })
    }
}

fn own_or_pooled(
    target: ThresholdTarget,
    pooled: &RiskThreshold,
    probabilities: &[Probability],
    labels: &[bool],
) -> Result<(RiskThreshold, ThresholdSource), FitError> {
    match target.choose(probabilities, labels) {
        Ok(own) => Ok((own, ThresholdSource::Own)),
        Err(FitError::TargetNotReached { .. }) => {
            Ok((measured_on(pooled, probabilities, labels), ThresholdSource::PooledTargetNotReached))
        }
        Err(other) => Err(other),
    }
}

fn columns<'a>(rows: impl Iterator<Item = &'a ThresholdRow>) -> (Vec<Probability>, Vec<bool>) {
    rows.map(|row| (row.probability, row.label)).unzip()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn row(probability: f32, label: bool, language: Option<Language>) -> ThresholdRow {
        ThresholdRow { probability: Probability::new(probability).unwrap(), label, language }
    }

    fn rows() -> Vec<ThresholdRow> {
        let mut rows = Vec::new();
        for place in 0..8_u8 {
            let p = f32::from(place) / 10.0;
            rows.push(row(p, place >= 4, Some(Language::En)));
            rows.push(row(p / 2.0, place >= 4, Some(Language::Fr)));
        }
        rows.push(row(0.1, true, Some(Language::Mix)));
        rows.push(row(0.9, true, None));
        rows
    }

    #[test]
    fn a_language_with_enough_rows_has_its_own_threshold_and_others_the_pooled_one() {
        let target = ThresholdTarget::Recall(0.9);
        let found = LanguageThresholds::choose(target, &rows(), 4).unwrap();
        assert_eq!(found.languages[&Language::En].source, ThresholdSource::Own);
        assert!((found.of(Some(Language::En)).value.get() - 0.4).abs() < 1e-6);
        assert!((found.of(Some(Language::Fr)).value.get() - 0.2).abs() < 1e-6);
        let mix = &found.languages[&Language::Mix];
        assert_eq!((mix.source, mix.positives, mix.negatives), (ThresholdSource::PooledTooFewRows, 1, 0));
        assert_eq!(found.of(Some(Language::Mix)).value, found.pooled.value);
        // The one mixed row lies below it: the figures are those of the language.
        assert!(mix.threshold.recall.value.abs() <= 0.0);
        assert_eq!(found.of(None), &found.pooled);
    }

    #[test]
    fn a_language_in_which_the_target_is_not_reached_has_the_pooled_threshold() {
        let mut rows = rows();
        rows.extend([row(0.95, false, Some(Language::Fr)), row(0.99, true, Some(Language::En))]);
        let target = ThresholdTarget::FalsePositiveRate(0.05);
        let found = LanguageThresholds::choose(target, &rows, 4).unwrap();
        let french = &found.languages[&Language::Fr];
        assert_eq!(french.source, ThresholdSource::PooledTargetNotReached);
        assert_eq!(french.threshold.value, found.pooled.value);
    }

    proptest! {
        #[test]
        fn no_threshold_lies_below_the_lowest(least in 0_usize..6) {
            let found = LanguageThresholds::choose(ThresholdTarget::MaxF1, &rows(), least).unwrap();
            for language in [None, Some(Language::En), Some(Language::Fr), Some(Language::Mix)] {
                prop_assert!(found.of(language).value >= found.lowest());
            }
        }
    }
}
