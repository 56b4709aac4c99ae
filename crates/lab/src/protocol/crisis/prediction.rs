//! What a system says of a dialogue, as it stands in a predictions file.

use mindrail_core::taxonomy::{CrisisLabel, Scores, Taxonomy as _};
use mindrail_data::table::Fault;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::protocol::row::{self, FromRow, Row, all_scores, seen};

/// What a row of a predictions file holds beside its `id`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrisisPrediction {
    /// The labels that begin at each user turn, in order: `[["alert_ongoing"],
    /// [], …]`. [`UNKNOWN_LABEL`] is counted and does not score; a missing turn has
    /// no labels, a surplus one is counted and does not score.
    pub turns: Vec<Vec<String>>,
    /// The probabilities of the sixteen labels at each user turn, in order,
    /// where the system gives them. They decide nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<Vec<Scores<CrisisLabel>>>,
}

/// Stands for a name that a language model made up. The name itself is kept nowhere:
/// it may be the person's words.
pub const UNKNOWN_LABEL: &str = "unknown_label";

/// The name of a label, or [`UNKNOWN_LABEL`] for one that is none.
pub(crate) fn known_or_unknown(name: &str) -> &'static str {
    CrisisLabel::from_wire(name).map_or(UNKNOWN_LABEL, |label| label.wire())
}

const TURNS: &str = "a list with a list of label names for each user turn";
const LABEL: &str = "one of the sixteen crisis labels";

impl FromRow for CrisisPrediction {
    fn from_row(row: &Row) -> Result<Self, Fault> {
        row.has_only(&["turns", "probabilities"])?;
        let turns = row.get("turns").and_then(Value::as_array).ok_or_else(|| row.fault("turns", TURNS))?;
        let turns = turns.iter().enumerate().map(|(at, turn)| names(&format!("turns[{at}]"), turn));
        Ok(Self { turns: turns.collect::<Result<_, _>>()?, probabilities: probabilities(row)? })
    }
}

/// The label names of one turn.
fn names(path: &str, turn: &Value) -> Result<Vec<String>, Fault> {
    let Value::Array(names) = turn else { return Err(Fault::new(path, seen(turn), TURNS)) };
    let name = |(at, name): (usize, &Value)| match name.as_str() {
        Some(name) if name == UNKNOWN_LABEL || CrisisLabel::from_wire(name).is_ok() => Ok(name.to_owned()),
        _ => Err(Fault::new(format!("{path}[{at}]"), seen(name), LABEL)),
    };
    names.iter().enumerate().map(name).collect()
}

fn probabilities(row: &Row) -> Result<Option<Vec<Scores<CrisisLabel>>>, Fault> {
    let Some(value) = row.get("probabilities") else { return Ok(None) };
    let expected = "a list with the probabilities of the labels at each user turn";
    let turns = value.as_array().ok_or_else(|| row.fault("probabilities", expected))?;
    let scores = |(at, turn): (usize, &Value)| all_scores(&format!("probabilities[{at}]"), turn);
    turns.iter().enumerate().map(scores).collect::<Result<_, _>>().map(Some)
}

impl<'de> Deserialize<'de> for CrisisPrediction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        row::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(row: &str) -> Result<CrisisPrediction, String> {
        serde_json::from_str(row).map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_goes_out_and_comes_back_as_it_was() {
        let scores = Scores::uniform(mindrail_core::probability::Probability::ONE);
        let row = CrisisPrediction {
            turns: vec![Vec::new(), vec!["alert_ongoing".to_owned(), UNKNOWN_LABEL.to_owned()]],
            probabilities: Some(vec![scores.clone(), scores]),
        };
        assert_eq!(read(&serde_json::to_string(&row).unwrap()).unwrap(), row);
    }

    #[test]
    fn what_is_wrong_with_a_row_is_told_by_its_field_and_never_by_its_words() {
        for (row, said) in [
            ("{}", "turns: found nothing, expected a list with a list of label names"),
            (r#"{"turns": "platypus"}"#, "turns: found a text of 8 characters, expected a list"),
            (r#"{"turns": [[], 3]}"#, "turns[1]: found 3, expected a list"),
            (
                r#"{"turns": [[], ["alert_ongoing", "platypus"]]}"#,
                "turns[1][1]: found a text of 8 characters, expected one of the sixteen crisis labels",
            ),
            (r#"{"turns": [], "probabilities": [1]}"#, "probabilities[0]: found 1, expected an object"),
            (
                r#"{"turns": [], "probabilities": [{"alert_ongoing": 2}]}"#,
                "probabilities[0].alert_ongoing: found 2, expected a probability from 0 to 1",
            ),
            (r#"{"turns": [], "platypus": 1}"#, "found a field with a name of 8 characters"),
        ] {
            let error = read(row).unwrap_err();
            assert!(error.contains(said) && !error.contains("platypus"), "{row}: {error}");
        }
    }
}
