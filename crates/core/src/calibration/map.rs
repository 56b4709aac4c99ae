//! From a score that ranks to a probability that can be believed: the calibration
//! maps of the literature behind one type, so that fitting and serving apply the same
//! function. All of them rise, so none changes who is ahead of whom.

use serde::{Deserialize, Serialize};

use super::{FitError, Isotonic, Platt, Temperature};
use crate::probability::Probability;

/// Which map is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalibrationMapKind {
    /// The score is taken as it is.
    None,
    /// [`Temperature`]: one parameter.
    Temperature,
    /// [`Platt`]: two parameters.
    Platt,
    /// [`Isotonic`]: any rising curve.
    Isotonic,
}

/// A rising function from score to probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CalibrationMap {
    /// The score is the probability.
    None,
    /// The score's logit is divided by a temperature.
    Temperature(Temperature),
    /// The score's logit is scaled and shifted.
    Platt(Platt),
    /// A piecewise linear curve on the score itself.
    Isotonic(Isotonic),
}

impl CalibrationMap {
    /// Fits a map on one score and label for each row. Logits are those of
    /// [`Probability::logit`].
    ///
    /// # Errors
    /// [`FitError`] when lengths differ, a class is absent, or the map of this kind has
    /// no fit; of [`CalibrationMapKind::None`] only the first two.
    pub fn fit(kind: CalibrationMapKind, scores: &[Probability], labels: &[bool]) -> Result<Self, FitError> {
        let logits = || scores.iter().map(|score| score.logit()).collect::<Vec<f32>>();
        Ok(match kind {
            CalibrationMapKind::None => {
                super::fit::class_counts(scores.len(), labels)?;
                Self::None
            }
            CalibrationMapKind::Temperature => Self::Temperature(Temperature::fit(&logits(), labels)?),
            CalibrationMapKind::Platt => Self::Platt(Platt::fit(&logits(), labels)?),
            CalibrationMapKind::Isotonic => Self::Isotonic(Isotonic::fit(scores, labels)?),
        })
    }

    /// The calibrated probability of a score.
    pub fn apply(&self, score: Probability) -> Probability {
        match self {
            Self::None => score,
            Self::Temperature(temperature) => temperature.apply(score.logit()),
            Self::Platt(platt) => platt.apply(score.logit()),
            Self::Isotonic(isotonic) => isotonic.apply(score),
        }
    }

    /// Whether its numbers are those of a rising map; a curve that is
    /// [`Isotonic`] cannot be otherwise.
    pub(super) fn is_rising(&self) -> bool {
        match self {
            Self::None | Self::Isotonic(_) => true,
            Self::Temperature(own) => own.temperature.is_finite() && own.temperature > 0.0,
            Self::Platt(own) => own.slope.is_finite() && own.slope > 0.0 && own.intercept.is_finite(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    const KINDS: [CalibrationMapKind; 4] = [
        CalibrationMapKind::None,
        CalibrationMapKind::Temperature,
        CalibrationMapKind::Platt,
        CalibrationMapKind::Isotonic,
    ];

    #[test]
    fn a_map_is_written_by_its_name() {
        let none = serde_json::to_string(&CalibrationMap::None).unwrap();
        assert_eq!(none, r#""none""#);
        let scaled = CalibrationMap::Temperature(Temperature { temperature: 1.5 });
        let text = serde_json::to_string(&scaled).unwrap();
        assert_eq!(text, r#"{"temperature":{"temperature":1.5}}"#);
        assert_eq!(serde_json::from_str::<CalibrationMap>(&text).unwrap(), scaled);
        assert!(
            serde_json::from_str::<CalibrationMap>(r#"{"temperature":{"temperature":1,"x":1}}"#).is_err()
        );
    }

    proptest! {
        #[test]
        fn every_map_rises_and_survives_json(
            rows in proptest::collection::vec((0.0..=1.0_f32, any::<bool>()), 4..40),
            a in 0.0..=1.0_f32, b in 0.0..=1.0_f32,
        ) {
            let (scores, labels): (Vec<f32>, Vec<bool>) = rows.into_iter().unzip();
            let scores: Vec<Probability> = scores.into_iter().map(|p| Probability::new(p).unwrap()).collect();
            let [low, high] = [a.min(b), a.max(b)].map(|p| Probability::new(p).unwrap());
            for kind in KINDS {
                let Ok(map) = CalibrationMap::fit(kind, &scores, &labels) else { continue };
                prop_assert!(map.is_rising());
                prop_assert!(map.apply(low) <= map.apply(high), "{map:?}");
                let text = serde_json::to_string(&map).unwrap();
                prop_assert_eq!(serde_json::from_str::<CalibrationMap>(&text).unwrap(), map);
            }
        }
    }
}
