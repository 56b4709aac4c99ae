//! From rows of the data sets to dialogues with the labels of their user turns.
//! Labels that cannot be scored (an unknown name, a label on a listener's turn)
//! are kept beside them, so that a report can say what was left out.

use std::collections::BTreeMap;

use mindrail_core::conversation::{Conversation, Role};
use mindrail_core::metrics::crisis::{CrisisSet, Reveal, reveal};
use mindrail_core::taxonomy::{CrisisLabel, Taxonomy as _};

use super::Item;
use crate::protocol::length::length;

/// A dialogue with its labels, of whatever data set.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledDialogue {
    /// Its name, unique in the data.
    pub id: String,
    /// The family that it shares a parent or an author with; none where it
    /// stands alone.
    pub family: Option<String>,
    /// The dialogue.
    pub conversation: Conversation,
    /// The label names of each turn, of user and other turns alike. Turns
    /// beyond its end have none.
    pub labels: Vec<Vec<String>>,
    /// `language` and what else is known; `length` and `reveal` are added.
    pub slices: BTreeMap<String, String>,
}

/// What is so of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CrisisGold {
    /// The labels that begin at each user turn, in order.
    pub turns: Vec<CrisisSet>,
    /// Labels that cannot be scored.
    pub stray: Vec<StrayLabel>,
}

/// A gold label that cannot be scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StrayLabel {
    /// A name that is none of the sixteen.
    Unknown(String),
    /// A label on a turn that is not the user's.
    OffUserTurn(String),
}

/// Items in the order of the rows; a dialogue without a family is its own cluster.
pub fn items(rows: Vec<LabelledDialogue>) -> Vec<Item<Conversation, CrisisGold>> {
    rows.into_iter().map(item).collect()
}

fn item(row: LabelledDialogue) -> Item<Conversation, CrisisGold> {
    let gold = gold(&row.conversation, &row.labels);
    let mut slices = row.slices;
    slices.retain(|_, value| !value.is_empty());
    slices.insert("length".to_owned(), length(&row.conversation).to_owned());
    slices.insert("reveal".to_owned(), reveal_name(&gold.turns).to_owned());
    Item {
        cluster: row.family.unwrap_or_else(|| row.id.clone()),
        id: row.id,
        slices,
        input: row.conversation,
        gold,
    }
}

fn gold(conversation: &Conversation, labels: &[Vec<String>]) -> CrisisGold {
    let mut gold = CrisisGold::default();
    let none = Vec::new();
    for (number, turn) in conversation.turns.iter().enumerate() {
        let names = labels.get(number).unwrap_or(&none);
        if turn.role != Role::User {
            gold.stray.extend(names.iter().cloned().map(StrayLabel::OffUserTurn));
            continue;
        }
        let mut set = CrisisSet::default();
        for name in names {
            match CrisisLabel::from_wire(name) {
                Ok(label) => set.extend([label]),
                Err(_) => gold.stray.push(StrayLabel::Unknown(name.clone())),
            }
        }
        gold.turns.push(set);
    }
    gold
}

/// When the first Confirm comes. The names sort in order.
fn reveal_name(turns: &[CrisisSet]) -> &'static str {
    let gold = turns.iter().map(|&gold| (gold, CrisisSet::default())).collect();
    match reveal(&gold) {
        Reveal::Early => "1 early (user turn 1-3)",
        Reveal::Mid => "2 mid (user turn 4-6)",
        Reveal::Late => "3 late (user turn 7+)",
        Reveal::Never => "4 no Confirm",
    }
}
