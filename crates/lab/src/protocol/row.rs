//! Predictions as flat rows of named values, so that a line of JSON and a row of
//! CSV read alike: numbers may be strings, and an empty cell is no value.
//! Columns that a protocol does not know are left to whoever wrote them.

use std::collections::BTreeMap;

use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{Scores, Taxonomy};
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

/// The values of a row by column; empty ones left out.
pub(super) struct Row(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut values = BTreeMap::<String, Value>::deserialize(deserializer)?;
        values
            .retain(|_, value| !value.is_null() && value.as_str().is_none_or(|text| !text.trim().is_empty()));
        Ok(Self(values))
    }
}

impl Row {
    /// The value of the first of these columns that is there.
    pub(super) fn any(&self, columns: &[&'static str]) -> Option<(&'static str, &Value)> {
        columns.iter().find_map(|column| Some((*column, self.0.get(*column)?)))
    }

    /// A finite number; none if the column is empty or absent.
    pub(super) fn number<E: Error>(&self, column: &'static str) -> Result<Option<f64>, E> {
        let Some(value) = self.0.get(column) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Bool(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        match number.filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(E::custom(format!("column `{column}` holds no finite number"))),
        }
    }

    /// A probability; true and false are 1 and 0.
    pub(super) fn probability<E: Error>(&self, column: &'static str) -> Result<Option<Probability>, E> {
        if let Some(certain) = self.0.get(column).and_then(truth) {
            return Ok(Some(if certain { Probability::ONE } else { Probability::ZERO }));
        }
        let Some(number) = self.number(column)? else { return Ok(None) };
        match Probability::new(number as f32) {
            Some(probability) => Ok(Some(probability)),
            None => {
                Err(E::custom(format!("column `{column}` holds {number}, not a probability from 0 to 1")))
            }
        }
    }

    /// A probability for every label of a taxonomy, in columns by their names;
    /// none if there is none of them.
    pub(super) fn scores<T: Taxonomy, E: Error>(&self) -> Result<Option<Scores<T>>, E> {
        let mut scores = Scores::uniform(Probability::ZERO);
        let (mut found, mut missing) = (false, None);
        for &label in T::ALL {
            match self.probability(label.wire())? {
                Some(value) => {
                    found = true;
                    scores.set(label, value);
                }
                None => missing = Some(label.wire()),
            }
        }
        match missing {
            Some(column) if found => Err(E::custom(format!(
                "column `{column}` is empty, although other {} labels have a probability",
                T::NAME
            ))),
            _ => Ok(found.then_some(scores)),
        }
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        Value::String(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A label by its name or by its place in the taxonomy, as number or digits.
pub(super) fn label<T: Taxonomy>(value: &Value) -> Option<T> {
    let place = |place: u64| T::ALL.get(usize::try_from(place).ok()?).copied();
    match value {
        Value::Number(number) => place(number.as_u64()?),
        Value::String(text) => {
            let text = text.trim();
            T::from_wire(text).ok().or_else(|| place(text.parse().ok()?))
        }
        _ => None,
    }
}
