//! What a system says of a conversation, as it stands in a predictions file.

use mindrail_core::taxonomy::{Scores, Signal};
use mindrail_data::table::Fault;
use serde::{Deserialize, Deserializer, Serialize};

use crate::protocol::row::{self, FromRow, PROBABILITY, Row};

/// What a row of a predictions file holds beside its `id`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DistressPrediction {
    /// The probability of high risk, in \[0, 1\].
    pub risk: f64,
    /// The system's own decision, where it makes one: true or false, or 1 or 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_risk: Option<bool>,
    /// The probabilities of the nine signals, where it gives them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signals: Option<Scores<Signal>>,
}

impl FromRow for DistressPrediction {
    fn from_row(row: &Row) -> Result<Self, Fault> {
        row.has_only(&["risk", "high_risk", "signals"])?;
        Ok(Self {
            risk: row.share("risk")?.ok_or_else(|| row.fault("risk", PROBABILITY))?,
            high_risk: row.flag("high_risk")?,
            signals: row.scores_in("signals")?,
        })
    }
}

impl<'de> Deserialize<'de> for DistressPrediction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        row::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(row: &str) -> Result<DistressPrediction, String> {
        serde_json::from_str(row).map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_goes_out_and_comes_back_as_it_was() {
        let signals = Some(Scores::uniform(mindrail_core::probability::Probability::ONE));
        let row = DistressPrediction { risk: 0.7075, high_risk: Some(true), signals };
        assert_eq!(read(&serde_json::to_string(&row).unwrap()).unwrap(), row);
    }

    #[test]
    fn a_decision_is_read_as_other_tools_write_it() {
        for (written, decision) in [("1", true), ("0", false), ("true", true), ("\"False\"", false)] {
            let row = read(&format!(r#"{{"risk": 0.5, "high_risk": {written}}}"#)).unwrap();
            assert_eq!(row.high_risk, Some(decision), "{written}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_row_is_told_by_its_field_and_never_by_its_words() {
        for (row, said) in [
            (r#"{"high_risk": 1}"#, "risk: found nothing, expected a probability from 0 to 1"),
            (r#"{"risk": "platypus"}"#, "risk: found a text of 8 characters, expected a probability"),
            (r#"{"risk": 1.5}"#, "risk: found 1.5, expected a probability from 0 to 1"),
            (r#"{"risk": -0.1}"#, "risk: found -0.1, expected"),
            (r#"{"risk": "NaN"}"#, "risk: found a text of 3 characters, expected"),
            (r#"{"risk": 1, "high_risk": 2}"#, "high_risk: found 2, expected true, false, 1 or 0"),
            (r#"{"risk": 1, "signals": [1]}"#, "signals: found a list of 1, expected an object"),
            (r#"{"risk": 1, "signals": {"testing": 7}}"#, "signals.testing: found 7, expected a probability"),
            (r#"{"risk": 1, "signals": {"testing": 0}}"#, "signals.burden_language: found nothing, expected"),
            (
                r#"{"risk": 1, "signals": {"platypus": 0}}"#,
                "signals: found a field with a name of 8 characters",
            ),
            (
                r#"{"risk": 1, "platypus": 0}"#,
                "found a field with a name of 8 characters, expected risk, high_risk",
            ),
        ] {
            let error = read(row).unwrap_err();
            assert!(error.contains(said) && !error.contains("platypus"), "{row}: {error}");
        }
    }
}
