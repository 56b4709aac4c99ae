//! The four taxonomies, one file each, as data that other code loops over.
//! Nobody matches on label strings: a wire name becomes a variant at the edge,
//! and a name that is in no taxonomy becomes an [`UnknownLabel`], never nothing.

mod crisis;
mod harm;
mod reply;
mod signal;

use std::marker::PhantomData;
use std::ops::Index;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

pub use crisis::{CrisisLabel, CrisisType, Stage, Tense};
pub use harm::{Harm, Severity};
pub use reply::ReplyClass;
pub use signal::Signal;

use crate::probability::Probability;

/// What a taxonomy says of one of its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The name in files and on the wire.
    pub wire: &'static str,
    /// What the label means.
    pub definition: &'static str,
    /// Where it ends: the nearest thing that does not carry the label.
    pub boundary: &'static str,
    /// The published work that it comes from.
    pub source: &'static str,
}

/// A closed, ordered list of labels. The order is the order of model outputs.
pub trait Taxonomy: Copy + Eq + std::fmt::Debug + 'static {
    /// The name of the taxonomy, as it stands in messages and files.
    const NAME: &'static str;
    /// All labels in order.
    const ALL: &'static [Self];

    /// The label's place in [`Self::ALL`].
    fn index(self) -> usize;

    /// What the taxonomy says of the label.
    fn entry(self) -> &'static Entry;

    /// The label's name on the wire.
    fn wire(self) -> &'static str {
        self.entry().wire
    }

    /// The label with this wire name.
    ///
    /// # Errors
    /// [`UnknownLabel`] when no label has exactly this name.
    fn from_wire(name: &str) -> Result<Self, UnknownLabel> {
        Self::ALL
            .iter()
            .copied()
            .find(|label| label.wire() == name)
            .ok_or_else(|| UnknownLabel { taxonomy: Self::NAME, found: name.to_owned() })
    }
}

/// A label name that its taxonomy does not have. Label names are not
/// conversation text, so the name may be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a label of the {taxonomy} taxonomy")]
pub struct UnknownLabel {
    /// The taxonomy that was asked.
    pub taxonomy: &'static str,
    /// The name that was found.
    pub found: String,
}

/// One probability for each label of a taxonomy.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores<T> {
    values: Vec<Probability>,
    taxonomy: PhantomData<T>,
}

impl<T: Taxonomy> Scores<T> {
    /// Scores from a function of the label.
    pub fn from_fn(score: impl FnMut(T) -> Probability) -> Self {
        Self { values: T::ALL.iter().copied().map(score).collect(), taxonomy: PhantomData }
    }

    /// The same probability for every label.
    pub fn uniform(value: Probability) -> Self {
        Self::from_fn(|_| value)
    }

    /// All labels with their probabilities, in taxonomy order.
    pub fn iter(&self) -> impl Iterator<Item = (T, Probability)> + '_ {
        T::ALL.iter().copied().zip(self.values.iter().copied())
    }

    /// Replaces the probability of one label.
    pub fn set(&mut self, label: T, value: Probability) {
        self.values[label.index()] = value;
    }

    /// The label with the highest probability; the first of equals.
    pub fn top(&self) -> (T, Probability) {
        let mut best = (T::ALL[0], self.values[0]);
        for (label, value) in self.iter().skip(1) {
            if value > best.1 {
                best = (label, value);
            }
        }
        best
    }

    /// The larger probability of each label.
    #[must_use]
    pub fn max(&self, other: &Self) -> Self {
        Self::from_fn(|label| self[label].max(other[label]))
    }
}

impl<T: Taxonomy> Index<T> for Scores<T> {
    type Output = Probability;

    fn index(&self, label: T) -> &Probability {
        &self.values[label.index()]
    }
}

impl<T: Taxonomy> Serialize for Scores<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(T::ALL.len()))?;
        for (label, value) in self.iter() {
            map.serialize_entry(label.wire(), &value)?;
        }
        map.end()
    }
}

impl<'de, T: Taxonomy> Deserialize<'de> for Scores<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByName<T>(PhantomData<T>);
        impl<'de, T: Taxonomy> Visitor<'de> for ByName<T> {
            type Value = Scores<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a probability for each label of the {} taxonomy", T::NAME)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scores<T>, A::Error> {
                let mut found = vec![None; T::ALL.len()];
                while let Some((name, value)) = map.next_entry::<String, Probability>()? {
                    let label = T::from_wire(&name).map_err(serde::de::Error::custom)?;
                    found[label.index()] = Some(value);
                }
                let missing = T::ALL.iter().find(|label| found[label.index()].is_none());
                if let Some(label) = missing {
                    return Err(serde::de::Error::missing_field(label.wire()));
                }
                Ok(Scores { values: found.into_iter().flatten().collect(), taxonomy: PhantomData })
            }
        }
        deserializer.deserialize_map(ByName(PhantomData))
    }
}

/// Implements [`Taxonomy`] and serde by wire name for a fieldless enum from a
/// table of entries in the enum's order.
macro_rules! taxonomy {
    ($type:ident, $name:literal, [$($variant:ident => {
        wire: $wire:literal, definition: $definition:literal,
        boundary: $boundary:literal, source: $source:literal $(,)?
    }),+ $(,)?]) => {
        impl $crate::taxonomy::Taxonomy for $type {
            const NAME: &'static str = $name;
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn index(self) -> usize {
                self as usize
            }

            fn entry(self) -> &'static $crate::taxonomy::Entry {
                const ENTRIES: &[$crate::taxonomy::Entry] = &[$($crate::taxonomy::Entry {
                    wire: $wire, definition: $definition, boundary: $boundary, source: $source,
                }),+];
                &ENTRIES[self as usize]
            }
        }
        $crate::taxonomy::serde_by_wire_name!($type);
    };
}
pub(crate) use taxonomy;

/// Serialises a taxonomy label as its wire name and refuses unknown names.
macro_rules! serde_by_wire_name {
    ($type:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($crate::taxonomy::Taxonomy::wire(*self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let name = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(d)?;
                $crate::taxonomy::Taxonomy::from_wire(&name).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_by_wire_name;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use serde::de::DeserializeOwned;

    use super::*;

    fn round_trips<T: Taxonomy + Serialize + DeserializeOwned>(size: usize) {
        assert_eq!(T::ALL.len(), size, "{}", T::NAME);
        let names: BTreeSet<&str> = T::ALL.iter().map(|label| label.wire()).collect();
        assert_eq!(names.len(), size, "{} has a name twice", T::NAME);
        for (place, &label) in T::ALL.iter().enumerate() {
            assert_eq!(label.index(), place);
            assert_eq!(T::from_wire(label.wire()), Ok(label));
            let text = serde_json::to_string(&label).unwrap();
            assert_eq!(serde_json::from_str::<T>(&text).unwrap(), label);
            let entry = label.entry();
            let texts = [entry.definition, entry.boundary, entry.source];
            assert!(texts.iter().all(|text| !text.is_empty()));
        }
    }

    #[test]
    fn every_wire_name_round_trips_and_the_sizes_are_the_published_ones() {
        round_trips::<Signal>(9);
        round_trips::<CrisisLabel>(16);
        round_trips::<ReplyClass>(8);
        round_trips::<Harm>(19);
        round_trips::<Severity>(4);
    }

    #[test]
    fn an_unknown_label_is_reported_by_name() {
        let error = Signal::from_wire("Burden_Language").unwrap_err();
        assert_eq!(error.to_string(), "`Burden_Language` is not a label of the signal taxonomy");
        let error = serde_json::from_str::<CrisisLabel>("\"confirm_XX_past\"").unwrap_err();
        assert!(error.to_string().contains("`confirm_XX_past`"));
    }

    #[test]
    fn the_stage_and_tense_of_a_crisis_label_stand_in_its_name() {
        for &label in CrisisLabel::ALL {
            let stage = match label.stage() {
                Stage::Alert => "alert",
                Stage::Confirm(CrisisType::SuicidalIdeationPassive) => "confirm_SI_passive",
                Stage::Confirm(CrisisType::SuicidalIdeationActive) => "confirm_SI_active",
                Stage::Confirm(CrisisType::SelfHarm) => "confirm_SH",
                Stage::Confirm(CrisisType::DomesticViolence) => "confirm_DV",
                Stage::Confirm(CrisisType::ChildAbuse) => "confirm_CA",
                Stage::Confirm(CrisisType::SexualHarassment) => "confirm_SHA",
                Stage::Confirm(CrisisType::Rape) => "confirm_RA",
            };
            let tense = match label.tense() {
                Tense::Ongoing => "ongoing",
                Tense::Past => "past",
            };
            assert_eq!(label.wire(), format!("{stage}_{tense}"));
        }
    }

    #[test]
    fn reply_classes_stand_in_the_order_of_their_nodes() {
        let nodes: Vec<u8> = ReplyClass::ALL.iter().map(|class| class.node()).collect();
        assert_eq!(nodes, [1, 2, 3, 4, 4, 4, 4, 4]);
        let safe: Vec<&str> =
            ReplyClass::ALL.iter().filter(|class| class.is_safe()).map(|class| class.wire()).collect();
        assert_eq!(safe, ["Safe Response"]);
    }

    #[test]
    fn scores_refuse_unknown_missing_and_impossible_values() {
        let refused = |text: &str| {
            let error = serde_json::from_str::<Scores<Severity>>(text).unwrap_err();
            error.to_string()
        };
        let unknown = refused(r#"{"none":1,"minor":0,"moderate":0,"severe":0,"grave":0}"#);
        assert!(unknown.contains("`grave` is not a label of the severity taxonomy"));
        let missing = refused(r#"{"none":1,"minor":0,"severe":0}"#);
        assert!(missing.contains("`moderate`"));
        let impossible = refused(r#"{"none":1.5,"minor":0,"moderate":0,"severe":0}"#);
        assert!(impossible.contains("not a probability"));
    }

    #[test]
    fn scores_stand_on_the_wire_in_taxonomy_order() {
        let mut scores = Scores::uniform(Probability::ZERO);
        scores.set(Severity::Moderate, Probability::ONE);
        let text = serde_json::to_string(&scores).unwrap();
        assert_eq!(text, r#"{"none":0.0,"minor":0.0,"moderate":1.0,"severe":0.0}"#);
        assert_eq!(scores.top(), (Severity::Moderate, Probability::ONE));
        let level = Scores::<Severity>::uniform(Probability::ONE);
        assert_eq!(level.top().0, Severity::None);
    }

    proptest! {
        #[test]
        fn scores_round_trip_exactly(values in proptest::collection::vec(0.0_f32..=1.0, 19)) {
            let score = |harm: Harm| Probability::new(values[harm.index()]).unwrap();
            let scores = Scores::from_fn(score);
            let text = serde_json::to_string(&scores).unwrap();
            prop_assert_eq!(serde_json::from_str::<Scores<Harm>>(&text).unwrap(), scores);
        }
    }
}
