//! What a system says of a dialogue, as it stands in a predictions file.

use mindrail_core::metrics::crisis::CrisisSet;
use mindrail_core::taxonomy::{CrisisLabel, Scores, Taxonomy as _};
use mindrail_data::table::Fault;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::protocol::Outcome;
use crate::protocol::row::{self, FromRow, Row, all_scores, seen};

/// What a row of a predictions file holds beside its `id`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrisisPrediction {
    /// What is said of each user turn, in order: `[["alert_ongoing"], [], "refused",
    /// …]`. A turn beyond the end is unanswered too; a surplus one is counted and does
    /// not score.
    pub turns: Vec<TurnAnswer>,
    /// The probabilities of the sixteen labels at each user turn, in order,
    /// where the system gives them. They decide nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probabilities: Option<Vec<Scores<CrisisLabel>>>,
}

/// What a system says of one user turn, or why it says nothing. A turn without an
/// answer is not a turn without an onset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnAnswer {
    /// What begins there.
    Labels {
        /// The labels.
        set: CrisisSet,
        /// Names that are no label. They are counted and do not score.
        unknown: usize,
    },
    /// Nothing was said, for this reason; never `ok`.
    Unanswered(Outcome),
}

/// Stands in files for a name that a language model made up. The name itself is kept
/// nowhere: it may be the person's words.
pub const UNKNOWN_LABEL: &str = "unknown_label";

impl TurnAnswer {
    /// A turn at which nothing begins.
    pub fn silent() -> Self {
        Self::Labels { set: CrisisSet::default(), unknown: 0 }
    }

    /// The labels of these names, of which some may be none.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut set, mut unknown) = (CrisisSet::default(), 0);
        for name in names {
            match CrisisLabel::from_wire(name) {
                Ok(label) => set.extend([label]),
                Err(_) => unknown += 1,
            }
        }
        Self::Labels { set, unknown }
    }

    /// The labels in taxonomy order, then [`UNKNOWN_LABEL`] for each name that is none.
    pub fn names(self) -> Vec<&'static str> {
        let Self::Labels { set, unknown } = self else { return Vec::new() };
        set.iter().map(CrisisLabel::wire).chain(std::iter::repeat_n(UNKNOWN_LABEL, unknown)).collect()
    }

    /// The labels, where there is an answer.
    pub const fn labels(self) -> Option<CrisisSet> {
        match self {
            Self::Labels { set, .. } => Some(set),
            Self::Unanswered(_) => None,
        }
    }

    /// Why there is no answer, where there is none.
    pub const fn reason(self) -> Option<Outcome> {
        match self {
            Self::Labels { .. } => None,
            Self::Unanswered(outcome) => Some(outcome),
        }
    }
}

impl Serialize for TurnAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Labels { .. } => self.names().serialize(serializer),
            Self::Unanswered(outcome) => outcome.serialize(serializer),
        }
    }
}

impl CrisisPrediction {
    /// The same of a dialogue with so many user turns: those beyond the end of what was
    /// said are unanswered.
    pub(super) fn of_turns(mut self, turns: usize) -> Self {
        let missing = turns.saturating_sub(self.turns.len());
        self.turns.extend(std::iter::repeat_n(TurnAnswer::Unanswered(Outcome::Missing), missing));
        self
    }
}

const TURNS: &str = "a list with a list of label names for each user turn";
const TURN: &str = "a list of label names, or an outcome such as refused";
const LABEL: &str = "one of the sixteen crisis labels";

impl FromRow for CrisisPrediction {
    const HAS_TURN_ROWS: bool = true;

    fn from_row(row: &Row) -> Result<Self, Fault> {
        row.has_only(&["turns", "probabilities"])?;
        let turns = row.get("turns").and_then(Value::as_array).ok_or_else(|| row.fault("turns", TURNS))?;
        let turns = turns.iter().enumerate().map(|(at, turn)| turn_answer(&format!("turns[{at}]"), turn));
        Ok(Self { turns: turns.collect::<Result<_, _>>()?, probabilities: probabilities(row)? })
    }
}

/// The label names of one turn, or the outcome to which its question came.
fn turn_answer(path: &str, turn: &Value) -> Result<TurnAnswer, Fault> {
    match turn {
        Value::Array(names) => labels(path, names),
        other => match Outcome::deserialize(other) {
            Ok(outcome) if outcome != Outcome::Ok => Ok(TurnAnswer::Unanswered(outcome)),
            _ => Err(Fault::new(path, seen(other), TURN)),
        },
    }
}

/// The labels of a list of names at `path`, each of which must be one.
pub(crate) fn labels<'a>(path: &str, names: &'a [Value]) -> Result<TurnAnswer, Fault> {
    let name = |(at, name): (usize, &'a Value)| match name.as_str() {
        Some(name) if name == UNKNOWN_LABEL || CrisisLabel::from_wire(name).is_ok() => Ok(name),
        _ => Err(Fault::new(format!("{path}[{at}]"), seen(name), LABEL)),
    };
    let names: Vec<&str> = names.iter().enumerate().map(name).collect::<Result<_, _>>()?;
    Ok(TurnAnswer::of(names))
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
            turns: vec![
                TurnAnswer::silent(),
                TurnAnswer::of(["alert_ongoing", "made up"]),
                TurnAnswer::Unanswered(Outcome::Refused),
            ],
            probabilities: Some(vec![scores.clone(), scores.clone(), scores]),
        };
        let text = serde_json::to_string(&row).unwrap();
        assert!(text.starts_with(r#"{"turns":[[],["alert_ongoing","unknown_label"],"refused"]"#), "{text}");
        assert_eq!(read(&text).unwrap(), row);
    }

    #[test]
    fn what_is_wrong_with_a_row_is_told_by_its_field_and_never_by_its_words() {
        for (row, said) in [
            ("{}", "turns: found nothing, expected a list with a list of label names"),
            (r#"{"turns": "platypus"}"#, "turns: found a text of 8 characters, expected a list"),
            (r#"{"turns": [[], 3]}"#, "turns[1]: found 3, expected a list of label names, or an outcome"),
            (r#"{"turns": ["ok"]}"#, "turns[0]: found a text of 2 characters, expected a list"),
            (r#"{"turns": [null]}"#, "turns[0]: found null, expected a list"),
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
