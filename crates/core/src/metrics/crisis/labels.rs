//! Sets of crisis labels, and the views under which they are compared.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::taxonomy::{CrisisLabel, CrisisType, Stage, Taxonomy, Tense};

/// A set of crisis labels; on the wire, the list of their names in taxonomy order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CrisisSet(u16);

impl CrisisSet {
    /// Whether there is no label.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the label is in the set.
    pub fn contains(self, label: CrisisLabel) -> bool {
        self.0 & (1 << label.index()) != 0
    }

    /// The labels in taxonomy order.
    pub fn iter(self) -> impl Iterator<Item = CrisisLabel> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let place = rest.trailing_zeros() as usize;
            rest &= rest.wrapping_sub(1);
            CrisisLabel::ALL.get(place).copied()
        })
    }
}

impl IntoIterator for CrisisSet {
    type Item = CrisisLabel;
    type IntoIter = std::vec::IntoIter<CrisisLabel>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter().collect::<Vec<_>>().into_iter()
    }
}

impl Extend<CrisisLabel> for CrisisSet {
    fn extend<I: IntoIterator<Item = CrisisLabel>>(&mut self, labels: I) {
        labels.into_iter().for_each(|label| self.0 |= 1 << label.index());
    }
}

impl FromIterator<CrisisLabel> for CrisisSet {
    fn from_iter<I: IntoIterator<Item = CrisisLabel>>(labels: I) -> Self {
        let mut set = Self::default();
        set.extend(labels);
        set
    }
}

impl Serialize for CrisisSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for CrisisSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<CrisisLabel>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// Which labels are compared, and what of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelView {
    /// All sixteen labels.
    All,
    /// The fourteen confirms; alerts are dropped from gold and prediction.
    ConfirmOnly,
    /// The two alerts; confirms are dropped.
    AlertOnly,
    /// The alert and the seven types of confirm, their tense dropped.
    TypeOnly,
    /// Ongoing or past of alerts and confirms alike; all else is dropped.
    TimeOnly,
}

/// The types in the order of their labels.
const TYPES: [(CrisisType, &str); 7] = [
    (CrisisType::SuicidalIdeationPassive, "confirm_SI_passive"),
    (CrisisType::SuicidalIdeationActive, "confirm_SI_active"),
    (CrisisType::SelfHarm, "confirm_SH"),
    (CrisisType::DomesticViolence, "confirm_DV"),
    (CrisisType::ChildAbuse, "confirm_CA"),
    (CrisisType::SexualHarassment, "confirm_SHA"),
    (CrisisType::Rape, "confirm_RA"),
];

impl LabelView {
    /// All views.
    pub const ALL: [Self; 5] =
        [Self::All, Self::ConfirmOnly, Self::AlertOnly, Self::TypeOnly, Self::TimeOnly];

    /// The names of what is told apart, in the order of all counts of this view.
    pub fn names(self) -> Vec<&'static str> {
        let wire = |labels: &[CrisisLabel]| labels.iter().map(|label| label.wire()).collect();
        match self {
            Self::All => wire(CrisisLabel::ALL),
            Self::ConfirmOnly => wire(&CrisisLabel::ALL[2..]),
            Self::AlertOnly => wire(&CrisisLabel::ALL[..2]),
            Self::TypeOnly => std::iter::once("alert").chain(TYPES.map(|(_, name)| name)).collect(),
            Self::TimeOnly => vec!["ongoing", "past"],
        }
    }

    /// The label's place in [`Self::names`]; `None` when the view drops it.
    pub fn place(self, label: CrisisLabel) -> Option<usize> {
        match (self, label.stage()) {
            (Self::All, _) | (Self::AlertOnly, Stage::Alert) => Some(label.index()),
            (Self::ConfirmOnly, Stage::Alert) | (Self::AlertOnly, Stage::Confirm(_)) => None,
            (Self::ConfirmOnly, Stage::Confirm(_)) => Some(label.index() - 2),
            (Self::TypeOnly, Stage::Alert) => Some(0),
            (Self::TypeOnly, Stage::Confirm(kind)) => {
                TYPES.iter().position(|(own, _)| *own == kind).map(|place| place + 1)
            }
            (Self::TimeOnly, _) => Some(match label.tense() {
                Tense::Ongoing => 0,
                Tense::Past => 1,
            }),
        }
    }

    /// One flag for each name: whether a label of the set stands for it.
    pub fn flags(self, set: CrisisSet) -> Vec<bool> {
        let mut flags = vec![false; self.names().len()];
        set.iter().filter_map(|label| self.place(label)).for_each(|place| flags[place] = true);
        flags
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_name_of_a_label_under_a_view_is_the_part_that_the_view_keeps() {
        for &label in CrisisLabel::ALL {
            let wire = label.wire();
            let (stem, tense) = wire.rsplit_once('_').unwrap();
            let name = |view: LabelView| view.place(label).map(|place| view.names()[place]);
            assert_eq!(name(LabelView::All), Some(wire));
            assert_eq!(name(LabelView::ConfirmOnly), wire.starts_with("confirm").then_some(wire));
            assert_eq!(name(LabelView::AlertOnly), wire.starts_with("alert").then_some(wire));
            assert_eq!(name(LabelView::TypeOnly), Some(stem));
            assert_eq!(name(LabelView::TimeOnly), Some(tense));
        }
    }

    #[test]
    fn a_set_is_the_list_of_its_names() {
        let set: CrisisSet = [CrisisLabel::ConfirmRaPast, CrisisLabel::AlertPast].into_iter().collect();
        let text = serde_json::to_string(&set).unwrap();
        assert_eq!(text, r#"["alert_past","confirm_RA_past"]"#);
        assert_eq!(serde_json::from_str::<CrisisSet>(&text).unwrap(), set);
        assert!(set.contains(CrisisLabel::AlertPast) && !set.contains(CrisisLabel::AlertOngoing));
        assert!(!set.is_empty() && CrisisSet::default().is_empty());
    }
}
