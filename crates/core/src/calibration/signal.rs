//! What a model with nine signal outputs, or one risk output, needs after training to
//! come to a decision: how its outputs become one score, the score a probability, and
//! the probability a call, in one file with its provenance. Fitting and serving call
//! the same functions.

use serde::{Deserialize, Serialize};

use super::{
    AbstainBand, Aggregation, AggregationKind, BandTarget, CalibrationMap, CalibrationMapKind,
    LanguageThresholds, SignalFloor, ThresholdTarget,
};
use crate::language::Language;
use crate::probability::Probability;
use crate::taxonomy::{Scores, Signal, Taxonomy as _};

/// What a model gives for a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelOutputs {
    /// One probability for each of the nine signals, in taxonomy order.
    Signals,
    /// One probability of high risk.
    Risk,
}

impl ModelOutputs {
    /// How many numbers that is.
    pub const fn count(self) -> usize {
        match self {
            Self::Signals => Signal::ALL.len(),
            Self::Risk => 1,
        }
    }

    /// The outputs that are so many.
    pub fn of_count(count: usize) -> Option<Self> {
        [Self::Signals, Self::Risk].into_iter().find(|own| own.count() == count)
    }
}

/// How a calibration was made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalCalibrationOptions {
    /// How outputs become one score.
    pub aggregation: AggregationKind,
    /// Inverse strength of the penalty of a logistic head, greater than 0.
    pub c: f64,
    /// How a score becomes a probability.
    pub map: CalibrationMapKind,
    /// One certain grave signal is enough to raise risk. Only with nine signals.
    pub floor: Option<SignalFloor>,
    /// What thresholds are chosen for.
    pub target: ThresholdTarget,
    /// Rows of each class from which on a language has a threshold of its own.
    pub least_per_class: usize,
    /// What an abstain band must keep; none is made without it.
    pub abstain: Option<BandTarget>,
    /// Folds of the cross-fitting, at least 2.
    pub folds: usize,
    /// Deals families to folds.
    pub seed: u64,
}

/// A file, by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// Its name, for people.
    pub file: String,
    /// SHA-256 of its bytes in hexadecimal.
    pub sha256: String,
    /// Rows that were used.
    pub rows: usize,
}

/// The calibration of a model with signal outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalCalibration {
    /// What the model gives.
    pub outputs: ModelOutputs,
    /// From outputs to one score.
    pub aggregation: Aggregation,
    /// From the score to a probability of high risk.
    pub map: CalibrationMap,
    /// One certain grave signal is enough to raise it.
    pub floor: Option<SignalFloor>,
    /// From which probability on a conversation is called.
    pub thresholds: LanguageThresholds,
    /// Between which probabilities nothing is said.
    pub abstain: Option<AbstainBand>,
    /// SHA-256 of the manifest of the model whose outputs it was fitted on, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The rows that it was fitted on.
    pub fitted_on: Vec<DataFile>,
    /// SHA-256 of the files that selected the model's checkpoint; none of them is in
    /// `fitted_on`.
    pub selected_on: Vec<String>,
    /// How it was made.
    pub options: SignalCalibrationOptions,
}

/// What follows for a conversation, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskCall {
    /// Low risk.
    Low,
    /// The score does not decide: answer with support, and let a human look.
    Abstain,
    /// High risk.
    High,
}

/// Why a calibration cannot be read or applied.
#[derive(Debug, thiserror::Error)]
pub enum SignalCalibrationError {
    /// The text is no calibration.
    #[error("{file}: {source}; expected a calibration as `mindrail calibrate --write` makes it")]
    Json {
        /// The file's name.
        file: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// Its parts do not belong together.
    #[error("{file}: {field}: found {found}, expected {expected}")]
    Field {
        /// The file's name.
        file: String,
        /// The field.
        field: &'static str,
        /// What was found.
        found: String,
        /// What would have been accepted.
        expected: String,
    },
    /// A model gave another number of outputs.
    #[error("found {found} outputs, expected {expected}")]
    OutputCount {
        /// Outputs that were given.
        found: usize,
        /// Outputs that it was fitted on.
        expected: usize,
    },
}

impl SignalCalibration {
    /// Reads a calibration from the text of a file that is called `file`.
    ///
    /// # Errors
    /// [`SignalCalibrationError::Json`] when it is none, [`SignalCalibrationError::Field`]
    /// when its parts do not belong together or would turn the model's order round.
    pub fn from_json(file: &str, text: &str) -> Result<Self, SignalCalibrationError> {
        let found: Self = serde_json::from_str(text)
            .map_err(|source| SignalCalibrationError::Json { file: file.to_owned(), source })?;
        match found.fault() {
            None => Ok(found),
            Some(Fault { field, found, expected }) => {
                Err(SignalCalibrationError::Field { file: file.to_owned(), field, found, expected })
            }
        }
    }

    /// The probability of high risk of a conversation with these outputs: aggregated,
    /// mapped, then raised by the floor. With a monotone or no head it rises in every
    /// output.
    ///
    /// # Errors
    /// [`SignalCalibrationError::OutputCount`].
    pub fn apply(&self, outputs: &[Probability]) -> Result<Probability, SignalCalibrationError> {
        let expected = self.outputs.count();
        if outputs.len() != expected {
            return Err(SignalCalibrationError::OutputCount { found: outputs.len(), expected });
        }
        let mapped = self.map.apply(self.aggregation.score(outputs));
        Ok(raised_by_floor(self.floor, mapped, outputs))
    }

    /// The same of a model's logits. A NaN, which only a damaged model gives, counts as
    /// certain: what cannot be computed is never called safe.
    ///
    /// # Errors
    /// [`SignalCalibrationError::OutputCount`].
    pub fn apply_logits(&self, logits: &[f32]) -> Result<Probability, SignalCalibrationError> {
        let outputs: Vec<Probability> = logits.iter().map(|&logit| Probability::from_logit(logit)).collect();
        self.apply(&outputs)
    }

    /// What follows from a probability in a language, where it is known. With a band,
    /// its ends decide, and an end that is absent decides nothing; without one, the
    /// language's threshold does. A higher probability never gives a milder call.
    pub fn decide(&self, probability: Probability, language: Option<Language>) -> RiskCall {
        let Some(band) = &self.abstain else {
            let is_called = probability >= self.thresholds.of(language).value;
            return if is_called { RiskCall::High } else { RiskCall::Low };
        };
        if band.high.is_some_and(|high| probability >= high.value) {
            RiskCall::High
        } else if band.low.is_some_and(|low| probability < low.value) {
            RiskCall::Low
        } else {
            RiskCall::Abstain
        }
    }

    /// The first part that does not belong to the others.
    fn fault(&self) -> Option<Fault> {
        self.head_fault().or_else(|| self.map_fault()).or_else(|| self.floor_fault()).or_else(|| {
            let ends = self.abstain.as_ref().map(|band| (band.low, band.high));
            let Some((Some(low), Some(high))) = ends else { return None };
            let found = || format!("{} above {}", low.value.get(), high.value.get());
            (low.value > high.value).then(|| Fault::new("abstain", found(), "low not above high"))
        })
    }

    fn head_fault(&self) -> Option<Fault> {
        let head = self.aggregation.head()?;
        let expected = self.outputs.count();
        if head.weights.len() != expected {
            return Some(Fault::new(
                "aggregation",
                format!("{} weights", head.weights.len()),
                &format!("{expected}"),
            ));
        }
        let is_monotone = matches!(self.aggregation, Aggregation::Monotone(_));
        let negative = head.weights.iter().find(|&&weight| is_monotone && weight < 0.0)?;
        Some(Fault::new("aggregation", format!("a weight of {negative}"), "no weight below 0"))
    }

    fn map_fault(&self) -> Option<Fault> {
        (!self.map.is_rising())
            .then(|| Fault::new("map", format!("{:?}", self.map), "a temperature or slope above 0"))
    }

    fn floor_fault(&self) -> Option<Fault> {
        (self.floor.is_some() && self.outputs == ModelOutputs::Risk)
            .then(|| Fault::new("floor", "one".to_owned(), "none where a model gives no signals"))
    }
}

/// What is wrong with a part.
struct Fault {
    field: &'static str,
    found: String,
    expected: String,
}

impl Fault {
    fn new(field: &'static str, found: String, expected: &str) -> Self {
        Self { field, found, expected: expected.to_owned() }
    }
}

/// `risk` raised by the floor where there is one and the outputs are the nine signals.
pub fn raised_by_floor(
    floor: Option<SignalFloor>,
    risk: Probability,
    outputs: &[Probability],
) -> Probability {
    match floor {
        Some(floor) if outputs.len() == Signal::ALL.len() => {
            floor.apply(risk, &Scores::from_fn(|signal: Signal| outputs[signal.index()]))
        }
        _ => risk,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::calibration::{BandEnd, BandRate, Estimate, Logistic, Platt, RiskThreshold};

    fn probability(value: f32) -> Probability {
        Probability::new(value).unwrap()
    }

    fn calibration() -> SignalCalibration {
        let pooled = RiskThreshold::without_provenance(probability(0.4));
        SignalCalibration {
            outputs: ModelOutputs::Signals,
            aggregation: Aggregation::Monotone(Logistic { weights: vec![1.5; 9], intercept: -3.0 }),
            map: CalibrationMap::Platt(Platt { slope: 1.2, intercept: 0.1 }),
            floor: Some(SignalFloor { certain: probability(0.9) }),
            thresholds: LanguageThresholds { pooled, least_per_class: 30, languages: [].into() },
            abstain: None,
            model: None,
            fitted_on: vec![DataFile { file: "rows.csv".into(), sha256: "0".repeat(64), rows: 10 }],
            selected_on: vec!["1".repeat(64)],
            options: SignalCalibrationOptions {
                aggregation: AggregationKind::Monotone,
                c: 0.1,
                map: CalibrationMapKind::Platt,
                floor: Some(SignalFloor { certain: probability(0.9) }),
                target: ThresholdTarget::Recall(0.95),
                least_per_class: 30,
                abstain: None,
                folds: 5,
                seed: 17,
            },
        }
    }

    fn band(low: Option<f32>, high: Option<f32>) -> AbstainBand {
        let rate = Estimate { value: 0.0, low: 0.0, high: 1.0 };
        let end = |value| BandEnd { value: probability(value), called: 1, errors: 0, class: 1, rate };
        let target = BandTarget { miss: 0.02, false_alarm: 0.1, delta: 0.05, rate: BandRate::OfClass };
        AbstainBand { target, low: low.map(end), high: high.map(end), abstained: 0, rows: 2 }
    }

    #[test]
    fn a_calibration_survives_json_and_unknown_keys_are_refused() {
        let with_band = SignalCalibration { abstain: Some(band(Some(0.1), None)), ..calibration() };
        for own in [calibration(), with_band] {
            let text = serde_json::to_string(&own).unwrap();
            assert_eq!(SignalCalibration::from_json("c.json", &text).unwrap(), own);
            let error =
                SignalCalibration::from_json("c.json", &text.replacen('{', r#"{"x":1,"#, 1)).unwrap_err();
            assert!(error.to_string().starts_with("c.json: unknown field `x`"), "{error}");
        }
    }

    #[test]
    fn parts_that_do_not_belong_together_are_named() {
        let error = |own: &SignalCalibration| {
            SignalCalibration::from_json("c.json", &serde_json::to_string(own).unwrap())
                .unwrap_err()
                .to_string()
        };
        let mut own = calibration();
        own.aggregation = Aggregation::Logistic(Logistic { weights: vec![1.0], intercept: 0.0 });
        assert_eq!(error(&own), "c.json: aggregation: found 1 weights, expected 9");
        own.aggregation = Aggregation::Monotone(Logistic { weights: vec![-1.0; 9], intercept: 0.0 });
        assert!(error(&own).contains("a weight of -1"));
        own = calibration();
        own.map = CalibrationMap::Platt(Platt { slope: -1.0, intercept: 0.0 });
        assert!(error(&own).contains("slope above 0"));
        own = calibration();
        (own.outputs, own.aggregation) = (ModelOutputs::Risk, Aggregation::Largest);
        assert!(error(&own).contains("floor: found one"));
        own = calibration();
        own.abstain = Some(band(Some(0.5), Some(0.4)));
        assert!(error(&own).contains("low not above high"));
    }

    #[test]
    fn one_certain_grave_signal_is_enough_and_another_number_of_outputs_is_refused() {
        let mut outputs = [0.0_f32; 9];
        outputs[Signal::ActiveSelfHarm.index()] = 0.95;
        let found = calibration().apply(&outputs.map(probability)).unwrap();
        assert_eq!(found, probability(0.95));
        let error = calibration().apply(&[Probability::ONE]).unwrap_err();
        assert_eq!(error.to_string(), "found 1 outputs, expected 9");
    }

    #[test]
    fn a_damaged_logit_is_never_called_safe() {
        let mut logits = [-9.0_f32; 9];
        logits[Signal::FinalityLanguage.index()] = f32::NAN;
        let found = calibration().apply_logits(&logits).unwrap();
        assert_eq!(calibration().decide(found, None), RiskCall::High);
    }

    #[test]
    fn without_an_end_nobody_is_called_there() {
        let mut own = calibration();
        own.abstain = Some(band(None, Some(0.8)));
        assert_eq!(own.decide(Probability::ZERO, None), RiskCall::Abstain);
        assert_eq!(own.decide(probability(0.8), None), RiskCall::High);
        own.abstain = Some(band(Some(0.1), None));
        assert_eq!(own.decide(Probability::ONE, None), RiskCall::Abstain);
        assert_eq!(own.decide(probability(0.05), None), RiskCall::Low);
    }

    proptest! {
        #[test]
        fn a_raised_output_never_makes_a_call_milder(
            values in proptest::collection::vec(0.0_f32..=1.0, 9),
            raised in 0_usize..9,
            to in 0.0_f32..=1.0,
            ends in (proptest::option::of(0.0_f32..0.5), proptest::option::of(0.5_f32..=1.0)),
        ) {
            let mut own = calibration();
            let mut higher = values.clone();
            higher[raised] = higher[raised].max(to);
            for abstain in [None, Some(band(ends.0, ends.1))] {
                own.abstain = abstain;
                let call = |values: &[f32]| {
                    let outputs: Vec<Probability> = values.iter().map(|&v| probability(v)).collect();
                    own.decide(own.apply(&outputs).unwrap(), Some(Language::Fr))
                };
                prop_assert!(call(&higher) >= call(&values));
            }
        }
    }
}
