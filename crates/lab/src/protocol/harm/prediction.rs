//! What a system says of the harm of an answer, as it stands in a predictions
//! file.

use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{Harm, Scores, Severity, Taxonomy};
use mindrail_data::table::Fault;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::protocol::row::{self, FromRow, Row, label};

/// What a system says of one answer; at least one of its parts. A row of a
/// predictions file:
///
/// | column | value |
/// |---|---|
/// | `unsafe` | probability that the answer is unsafe, or true / false |
/// | `Endangering National Security`, …, `Animal Abuse` | probability of each category, or true / false; all nineteen or none |
/// | `severity` | `none`, `minor`, `moderate`, `severe`, or 0 to 3 |
/// | `reward` | any number: higher is more helpful |
/// | `cost` | any number: higher is more harmful; above 0 is unsafe, below 0 safe |
///
/// In JSON lines the columns are the keys of one flat object, beside `id`. Other
/// columns are not looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HarmPrediction {
    /// Probability that the answer is unsafe.
    pub unsafe_: Option<Probability>,
    /// Probability of each category.
    pub categories: Option<Scores<Harm>>,
    /// The severity.
    pub severity: Option<Severity>,
    /// Helpfulness, on any scale; higher is better. Compared within a pair only.
    pub reward: Option<f64>,
    /// Harmfulness; higher is worse, and the sign tells unsafe from safe.
    pub cost: Option<f64>,
}

impl Serialize for HarmPrediction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_map(None)?;
        if let Some(probability) = self.unsafe_ {
            row.serialize_entry("unsafe", &probability)?;
        }
        for (category, probability) in self.categories.iter().flat_map(Scores::iter) {
            row.serialize_entry(category.wire(), &probability)?;
        }
        if let Some(severity) = self.severity {
            row.serialize_entry("severity", &severity)?;
        }
        for (name, value) in [("reward", self.reward), ("cost", self.cost)] {
            if let Some(value) = value {
                row.serialize_entry(name, &value)?;
            }
        }
        row.end()
    }
}

impl<'de> Deserialize<'de> for HarmPrediction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        row::deserialize(deserializer)
    }
}

impl FromRow for HarmPrediction {
    fn from_row(row: &Row) -> Result<Self, Fault> {
        let severity = match row.get("severity") {
            None => None,
            Some(value) => {
                let expected = "none, minor, moderate, severe, or 0 to 3";
                Some(label(value).ok_or_else(|| row.fault("severity", expected))?)
            }
        };
        let prediction = Self {
            unsafe_: row.probability("unsafe")?,
            categories: row.scores()?,
            severity,
            reward: row.number("reward")?,
            cost: row.number("cost")?,
        };
        if prediction == Self::default() {
            let expected = "`unsafe`, the harm categories, `severity`, `reward` or `cost`";
            return Err(Fault::new("", "no value that says anything", expected));
        }
        Ok(prediction)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(row: &str) -> Result<HarmPrediction, String> {
        serde_json::from_str(row).map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_of_csv_reads_as_a_line_of_json() {
        let json = r#"{"unsafe": 0.75, "severity": "moderate", "cost": -1.5}"#;
        let csv = r#"{"unsafe": "0.75", "severity": "2", "reward": "", "cost": "-1.5", "Drugs": ""}"#;
        assert_eq!(read(json).unwrap(), read(csv).unwrap());
        assert_eq!(read(json).unwrap().severity, Some(Severity::Moderate));
    }

    #[test]
    fn yes_and_no_are_certain_probabilities() {
        assert_eq!(read(r#"{"unsafe": true}"#).unwrap().unsafe_, Some(Probability::ONE));
        assert_eq!(read(r#"{"unsafe": "False"}"#).unwrap().unsafe_, Some(Probability::ZERO));
    }

    #[test]
    fn a_row_goes_out_and_comes_back_as_it_was() {
        let row = HarmPrediction {
            unsafe_: Some(Probability::ONE),
            categories: Some(Scores::uniform(Probability::ZERO)),
            severity: Some(Severity::Severe),
            reward: Some(0.1),
            cost: Some(-3.25),
        };
        assert_eq!(read(&serde_json::to_string(&row).unwrap()).unwrap(), row);
    }

    #[test]
    fn what_is_wrong_with_a_row_is_told_by_its_column() {
        let error = |row| read(row).unwrap_err();
        assert!(error(r#"{"id": "3"}"#).contains("found no value that says anything"));
        assert!(error(r#"{"severity": 4}"#).starts_with("severity: found 4, expected none, minor"));
        assert!(error(r#"{"cost": "high"}"#).starts_with("cost: found a text of 4 characters"));
        assert!(error(r#"{"cost": "inf"}"#).contains("expected a finite number"));
        assert!(error(r#"{"unsafe": 1.00000001}"#).starts_with("unsafe: found 1.00000001, expected"));
        assert!(error(r#"{"Drugs": 0.5}"#).contains("as other harm labels have one"));
    }
}
