//! From model scores to calibrated probabilities, and from data to thresholds.
//! No threshold is a constant in code: all of them come from a bundle, with the
//! data and the target that they were chosen on.
//!
//! [`Calibration`] is what the embedded model's bundle holds and what serving applies.
//! [`SignalCalibration`] is the same for a model that gives nine signals, or one risk,
//! and nothing else. The rest is what calibration is made with: maximum-likelihood fits
//! ([`Platt::fit`], [`fit_logistic`] and its monotone neighbour), the other maps from
//! score to probability ([`CalibrationMap`]), thresholds by a stated target
//! ([`ThresholdTarget`]), the band in which nothing is decided ([`AbstainBand`]), and
//! the threshold sweep of the KHP guardrail, kept as an oracle.

mod abstain;
mod aggregation;
mod by_language;
mod fit;
mod isotonic;
mod labels;
mod map;
mod monotone;
mod signal;
mod sweep;
mod temperature;
mod threshold;

#[cfg(test)]
mod golden;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::language::Language;
use crate::probability::Probability;
use crate::taxonomy::{CrisisLabel, Harm, ReplyClass, Scores, Signal};

pub use abstain::{AbstainBand, BandEnd, BandError, BandRate, BandTarget};
pub use aggregation::{Aggregation, AggregationKind};
pub use by_language::{LanguageThreshold, LanguageThresholds, ThresholdRow, ThresholdSource};
pub use fit::{FitError, Logistic, fit_logistic, fit_logistic_to};
pub use isotonic::{Isotonic, Knot, KnotsError};
pub use labels::{LabelColumn, LabelThreshold, LabelThresholds};
pub use map::{CalibrationMap, CalibrationMapKind};
pub use monotone::fit_monotone_logistic;
pub use signal::{
    DataFile, ModelOutputs, RiskCall, SignalCalibration, SignalCalibrationError, SignalCalibrationOptions,
    raised_by_floor,
};
pub use sweep::{SweepRow, best_precision_at_recall, best_youden, sweep_thresholds};
pub use temperature::Temperature;
pub use threshold::{
    BadTarget, ThresholdTarget, threshold_for_fpr, threshold_for_max_f1, threshold_for_recall,
    threshold_for_youden,
};

/// An estimate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// A threshold on conversation risk with its provenance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskThreshold {
    /// A conversation at or above this probability is called.
    pub value: Probability,
    /// What the threshold was chosen for, in words: `max F1`, `recall >= 0.95`.
    pub target: String,
    /// Recall on the rows that the threshold was chosen on.
    pub recall: Estimate,
    /// False-positive rate on the same rows.
    pub false_positive_rate: Estimate,
    /// Number of conversations it was chosen on.
    pub rows: usize,
}

impl RiskThreshold {
    /// A threshold of which nothing is known but its value: recall and
    /// false-positive rate may be anything.
    pub fn without_provenance(value: Probability) -> Self {
        let unknown = Estimate { value: 0.5, low: 0.0, high: 1.0 };
        Self { value, target: "none".to_owned(), recall: unknown, false_positive_rate: unknown, rows: 0 }
    }
}

/// The thresholds of one language.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskThresholds {
    /// At or above: high risk, a human now.
    pub high_risk: RiskThreshold,
    /// At or above: answer with support and resources. Never above `high_risk`.
    pub support: RiskThreshold,
}

/// Everything that turns a model's logits into decisions; part of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Conversation risk: calibrated logit = slope x logit + intercept.
    pub risk: Platt,
    /// One certain grave signal is enough to raise risk.
    pub floor: SignalFloor,
    /// An ongoing Confirm at or above this on any turn is certain enough to call a
    /// human on its own. Recall and false-positive rate are those of calling so, or by
    /// `high_risk`.
    pub certain_confirm: RiskThreshold,
    /// Risk thresholds per language. All three languages are present.
    pub thresholds: BTreeMap<Language, RiskThresholds>,
    /// A signal at or above its threshold is called active.
    pub signals: Scores<Signal>,
    /// A crisis label at or above its threshold begins (see [`crate::tracker`]).
    pub crisis: Scores<CrisisLabel>,
    /// A reply whose unsafe classes together reach this is called unsafe.
    pub unsafe_reply: Probability,
    /// A reply class other than safe at or above its threshold is named.
    pub replies: Scores<ReplyClass>,
    /// A harm category at or above its threshold is called present.
    pub harms: Scores<Harm>,
    /// How often risk was in each tenth after a user turn of conversations that trained
    /// nothing, with which a service compares its own; none where a bundle does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_tenths: Option<[u64; 10]>,
}

impl Calibration {
    /// The probability of high risk of a conversation: the model's pooled
    /// `logit` calibrated by [`Platt`], then raised by [`SignalFloor`]. Monotone
    /// in the logit and in every signal.
    pub fn risk(&self, logit: f32, signals: &Scores<Signal>) -> Probability {
        self.floor.apply(self.risk.apply(logit), signals)
    }
}

/// Platt scaling with a positive slope, so that order is kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platt {
    /// Greater than 0.
    pub slope: f32,
    /// Any finite number.
    pub intercept: f32,
}

impl Platt {
    /// Changes nothing.
    pub const IDENTITY: Self = Self { slope: 1.0, intercept: 0.0 };

    /// The calibrated probability of a model's logit.
    pub fn apply(self, logit: f32) -> Probability {
        Probability::from_logit(self.slope * logit + self.intercept)
    }
}

/// The rule that one certain grave signal raises risk on its own.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalFloor {
    /// A grave signal counts as certain at or above this.
    pub certain: Probability,
}

impl SignalFloor {
    /// `risk`, raised to the probability of the most probable certain grave
    /// signal ([`Signal::GRAVE`]). Monotone in every argument.
    pub fn apply(self, risk: Probability, signals: &Scores<Signal>) -> Probability {
        Signal::GRAVE
            .iter()
            .map(|&signal| signals[signal])
            .filter(|&p| p >= self.certain)
            .fold(risk, Probability::max)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::taxonomy::Taxonomy;

    fn probability(value: f32) -> Probability {
        Probability::new(value).unwrap()
    }

    fn threshold() -> RiskThreshold {
        let estimate = Estimate { value: 0.5, low: 0.0, high: 1.0 };
        RiskThreshold {
            value: probability(0.5),
            target: "max F1".to_owned(),
            recall: estimate,
            false_positive_rate: estimate,
            rows: 10,
        }
    }

    fn calibration() -> Calibration {
        let half = probability(0.5);
        let thresholds = RiskThresholds { high_risk: threshold(), support: threshold() };
        Calibration {
            risk: Platt { slope: 1.5, intercept: -0.5 },
            floor: SignalFloor { certain: probability(0.9) },
            certain_confirm: threshold(),
            thresholds: Language::ALL.map(|l| (l, thresholds.clone())).into(),
            signals: Scores::uniform(half),
            crisis: Scores::uniform(half),
            unsafe_reply: half,
            replies: Scores::uniform(half),
            harms: Scores::uniform(half),
            risk_tenths: None,
        }
    }

    #[test]
    fn one_certain_grave_signal_raises_risk_on_its_own() {
        for grave in Signal::GRAVE {
            let mut signals = Scores::uniform(Probability::ZERO);
            signals.set(grave, probability(0.97));
            assert_eq!(calibration().risk(-8.0, &signals), probability(0.97));
        }
    }

    #[test]
    fn an_uncertain_grave_signal_leaves_risk_as_it_is() {
        let mut signals = Scores::uniform(Probability::ZERO);
        signals.set(Signal::ActiveSelfHarm, probability(0.89));
        let without = calibration().risk.apply(-8.0);
        assert_eq!(calibration().risk(-8.0, &signals), without);
    }

    #[test]
    fn a_certain_signal_that_is_not_grave_leaves_risk_as_it_is() {
        let mut signals = Scores::uniform(Probability::ZERO);
        signals.set(Signal::ThirdPartyConcern, Probability::ONE);
        let without = calibration().risk.apply(-8.0);
        assert_eq!(calibration().risk(-8.0, &signals), without);
    }

    #[test]
    fn the_floor_never_lowers_risk() {
        let mut signals = Scores::uniform(Probability::ZERO);
        signals.set(Signal::FinalityLanguage, probability(0.91));
        assert!(calibration().risk(8.0, &signals) > probability(0.99));
    }

    #[test]
    fn a_damaged_logit_is_never_called_safe() {
        let signals = Scores::uniform(Probability::ZERO);
        assert_eq!(calibration().risk(f32::NAN, &signals), Probability::ONE);
    }

    #[test]
    fn a_calibration_survives_json() {
        let text = serde_json::to_string(&calibration()).unwrap();
        let back: Calibration = serde_json::from_str(&text).unwrap();
        assert_eq!(back, calibration());
    }

    proptest! {
        #[test]
        fn risk_is_monotone_in_the_logit_and_in_every_signal(
            logit in -20.0_f32..20.0,
            more in 0.0_f32..5.0,
            values in proptest::collection::vec(0.0_f32..=1.0, 9),
            raised in 0_usize..9,
            to in 0.0_f32..=1.0,
        ) {
            let signals = Scores::from_fn(|s: Signal| probability(values[s.index()]));
            let mut higher = signals.clone();
            let signal = Signal::ALL[raised];
            higher.set(signal, signals[signal].max(probability(to)));
            let before = calibration().risk(logit, &signals);
            prop_assert!(calibration().risk(logit + more, &signals) >= before);
            prop_assert!(calibration().risk(logit, &higher) >= before);
        }
    }
}
