//! From rows of the data sets to items. The rows of every layout (KHP's files,
//! `ESConv`, the project's corpus) are brought to one shape first, so that this
//! protocol knows none of them.

use std::collections::BTreeMap;

use mindrail_core::conversation::Conversation;

use super::{DistressGold, Item};
use crate::protocol::length::length;

/// A conversation with its labels, of whatever data set.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledConversation {
    /// Its name, unique in the data.
    pub id: String,
    /// The family that it shares a parent, an author or a source with; none
    /// where it stands alone.
    pub family: Option<String>,
    /// The conversation.
    pub conversation: Conversation,
    /// Whether it is high risk.
    pub high_risk: bool,
    /// The nine signals in taxonomy order, where they are known.
    pub signals: Option<[bool; 9]>,
    /// `language`, `register`, `stage`, `source`, `category`, as far as they are
    /// known. `length` is added from the conversation.
    pub slices: BTreeMap<String, String>,
}

/// Items in the order of the rows, sliced by their length beside what the row
/// says. Empty slice values are taken as unknown and left out.
pub fn items(rows: Vec<LabelledConversation>) -> Vec<Item<Conversation, DistressGold>> {
    rows.into_iter().map(item).collect()
}

fn item(row: LabelledConversation) -> Item<Conversation, DistressGold> {
    let mut slices = row.slices;
    slices.retain(|_, value| !value.is_empty());
    slices.insert("length".to_owned(), length(&row.conversation).to_owned());
    Item {
        cluster: row.family.unwrap_or_else(|| row.id.clone()),
        id: row.id,
        slices,
        input: row.conversation,
        gold: DistressGold { high_risk: row.high_risk, signals: row.signals },
    }
}

#[cfg(test)]
mod tests {
    use super::super::labelled;
    use super::*;

    #[test]
    fn a_row_without_a_family_is_its_own_cluster_and_unknown_slices_are_left_out() {
        let mut row = labelled("a", true);
        row.slices = [("language", "fr"), ("register", "")].map(|(k, v)| (k.into(), v.into())).into();
        let item = item(row);
        assert_eq!(item.cluster, "a");
        let slices: Vec<_> = item.slices.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(slices, [("language", "fr"), ("length", "01 user turn")]);
    }
}
