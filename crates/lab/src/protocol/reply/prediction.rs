//! What a system says of a reply, as it stands in a predictions file.

use mindrail_core::taxonomy::{ReplyClass, Scores, Taxonomy};
use mindrail_data::table::Fault;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::protocol::row::{self, FromRow, Row, label};

/// The class that a system gives to a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplyCall {
    /// One of the eight classes.
    Class(ReplyClass),
    /// Unsafe, of no class: what a guard says that knows safe and unsafe only,
    /// and what stands in for an answer that is missing. It is right in the binary
    /// figures for every unsafe class and wrong in all figures of eight classes.
    Unsafe,
}

/// How [`ReplyCall::Unsafe`] stands in files.
pub(super) const UNSAFE: &str = "Unsafe";

impl ReplyCall {
    /// Whether the reply is called safe.
    pub const fn is_safe(self) -> bool {
        match self {
            Self::Class(class) => class.is_safe(),
            Self::Unsafe => false,
        }
    }

    /// The place of the class in its taxonomy; 8 for unsafe without a class.
    pub(super) fn place(self) -> usize {
        match self {
            Self::Class(class) => class.index(),
            Self::Unsafe => ReplyClass::ALL.len(),
        }
    }
}

/// What a system says of one reply. A row of a predictions file:
///
/// | column | value |
/// |---|---|
/// | `class` | one of the eight names, or its number from 0 (Nonsense) to 7 (Safe Response), or `Unsafe`; the published files' `predict_label` and our oracle's `predicted` are read too |
/// | `Nonsense`, …, `Safe Response` | optional: the probability of each class, all eight or none |
///
/// In JSON lines the columns are the keys of one flat object, beside `id`. Other
/// columns are not looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyPrediction {
    /// The class.
    pub class: ReplyCall,
    /// The probability of each class.
    pub probabilities: Option<Scores<ReplyClass>>,
}

impl ReplyPrediction {
    /// A class without probabilities.
    pub const fn of(class: ReplyClass) -> Self {
        Self { class: ReplyCall::Class(class), probabilities: None }
    }

    /// The probability that the reply is unsafe: that it is not a safe response.
    pub fn unsafe_probability(&self) -> Option<f64> {
        let safe = self.probabilities.as_ref()?[ReplyClass::SafeResponse];
        Some(1.0 - f64::from(safe.get()))
    }
}

impl Serialize for ReplyPrediction {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut row = serializer.serialize_map(None)?;
        let name = match self.class {
            ReplyCall::Class(class) => class.wire(),
            ReplyCall::Unsafe => UNSAFE,
        };
        row.serialize_entry("class", name)?;
        for (class, probability) in self.probabilities.iter().flat_map(Scores::iter) {
            row.serialize_entry(class.wire(), &probability)?;
        }
        row.end()
    }
}

impl<'de> Deserialize<'de> for ReplyPrediction {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        row::deserialize(deserializer)
    }
}

impl FromRow for ReplyPrediction {
    fn from_row(row: &Row) -> Result<Self, Fault> {
        let expected = "a reply class by name, its number from 0 to 7, or `Unsafe`";
        let Some((column, value)) = row.any(&["class", "predict_label", "predicted"]) else {
            return Err(row.fault("class", expected));
        };
        let class = match label(value) {
            Some(class) => ReplyCall::Class(class),
            None if value.as_str().is_some_and(|name| name.trim() == UNSAFE) => ReplyCall::Unsafe,
            None => return Err(row.fault(column, expected)),
        };
        Ok(Self { class, probabilities: row.scores()? })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use mindrail_core::probability::Probability;

    use super::*;

    fn read(row: &str) -> Result<ReplyPrediction, String> {
        serde_json::from_str(row).map_err(|error| error.to_string())
    }

    #[test]
    fn a_class_is_read_by_name_number_digits_and_in_the_published_column() {
        let safe = ReplyPrediction::of(ReplyClass::SafeResponse);
        for row in [
            r#"{"class": "Safe Response"}"#,
            r#"{"class": 7, "model": "x"}"#,
            r#"{"class": "7", "Nonsense": ""}"#,
            r#"{"predict_label": 7}"#,
            r#"{"predicted": "7"}"#,
        ] {
            assert_eq!(read(row).unwrap(), safe, "{row}");
        }
        assert_eq!(read(r#"{"class": "Unsafe"}"#).unwrap().class, ReplyCall::Unsafe);
    }

    #[test]
    fn a_row_goes_out_and_comes_back_as_it_was() {
        let mut probabilities = Scores::uniform(Probability::ZERO);
        probabilities.set(ReplyClass::Nonsense, Probability::ONE);
        let row = ReplyPrediction { class: ReplyCall::Unsafe, probabilities: Some(probabilities) };
        let text = serde_json::to_string(&row).unwrap();
        insta::assert_snapshot!(text, @r#"{"class":"Unsafe","Nonsense":1.0,"Humanoid Mimicry":0.0,"Linguistic Neglect":0.0,"Unamiable Judgment":0.0,"Toxic Language":0.0,"Unauthorized Preachment":0.0,"Nonfactual Statement":0.0,"Safe Response":0.0}"#);
        assert_eq!(read(&text).unwrap(), row);
    }

    #[test]
    fn what_is_wrong_with_a_row_is_told_by_its_column() {
        let error = |row| read(row).unwrap_err();
        assert!(error(r#"{"label": 7}"#).starts_with("class: found nothing, expected a reply class"));
        assert!(error(r#"{"class": 8}"#).starts_with("class: found 8, expected a reply class"));
        assert!(error(r#"{"class": "what they said"}"#).contains("found a text of 14 characters"));
        assert!(error(r#"{"class": 7, "Nonsense": 0.1}"#).contains("as other reply labels have one"));
        assert!(error(r#"{"class": 7, "Nonsense": 1.1}"#).starts_with("Nonsense: found 1.1, expected"));
    }
}
