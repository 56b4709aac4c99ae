//! Replies to be classified, and which of them belong together.

use std::collections::{BTreeMap, HashMap};

use mindrail_core::conversation::{Role, Turn};
use mindrail_core::taxonomy::ReplyClass;
use mindrail_data::sets::{CorpusRow, DialogueSafetyRow, Row, Sample};

use crate::protocol::Item;

/// What a system may see: a reply and what was said before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyInput {
    /// What was said before, oldest first; it ends with the person's turn.
    pub context: Vec<Turn>,
    /// The reply.
    pub response: String,
}

/// A reply with its class.
pub type ReplyItem = Item<ReplyInput, ReplyClass>;

/// Characters from which on a shared utterance shows a shared dialogue; shorter
/// ones ("thank you") recur by chance. The reference counts with the same length.
pub const SHARED_CHARACTERS: usize = 15;

/// Puts rows of one dialogue into one cluster, for sets that do not say which
/// dialogue a row was cut from: rows whose contexts have an utterance of at least
/// [`SHARED_CHARACTERS`] characters in common, directly or over other rows, whoever
/// says it. The cluster is named `dialogue-` and the id of its first row. Replies
/// do not count: the same reply may be given in many dialogues.
pub fn cluster_by_shared_utterances(items: &mut [ReplyItem]) {
    let mut joined = Joined::new(items.len());
    let mut first_with = HashMap::new();
    for (place, item) in items.iter().enumerate() {
        for turn in &item.input.context {
            let said = turn.text.trim();
            if said.chars().count() >= SHARED_CHARACTERS {
                joined.join(*first_with.entry(said).or_insert(place), place);
            }
        }
    }
    let names: Vec<String> =
        (0..items.len()).map(|place| format!("dialogue-{}", items[joined.first(place)].id)).collect();
    items.iter_mut().zip(names).for_each(|(item, name)| item.cluster = name);
}

/// Places in groups, each known by its first place (union-find).
struct Joined(Vec<usize>);

impl Joined {
    fn new(places: usize) -> Self {
        Self((0..places).collect())
    }

    fn first(&mut self, mut place: usize) -> usize {
        while self.0[place] != place {
            self.0[place] = self.0[self.0[place]];
            place = self.0[place];
        }
        place
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// The replies of a sample with their classes: a row of `DialogueSafety`, or of
/// the project's corpus every assistant turn with a class and every other reply,
/// each after what was said before it. `name` is the sample's name. None for other
/// data sets, and for replies whose class the taxonomy does not have.
pub fn rows(sample: &Sample, name: &str) -> Vec<ReplyItem> {
    match sample {
        Sample::Row(_, Row::DialogueSafety(row)) => dialogue_safety(row, name).into_iter().collect(),
        Sample::Row(_, Row::Corpus(row)) => corpus(row, name),
        Sample::Row(..) | Sample::Dialogue(_) => Vec::new(),
    }
}

/// A row of `DialogueSafety`; none where its text holds no reply. Its cluster is
/// its own until [`cluster_by_shared_utterances`] has seen all rows. The slice
/// `context` tells questions of one utterance from windows of dialogues: they come
/// from different sources, and nearly all Nonsense stands in the first.
fn dialogue_safety(row: &DialogueSafetyRow, name: &str) -> Option<ReplyItem> {
    let mut context = row.conversation().ok()?.turns;
    let response = context.pop().filter(|turn| turn.role == Role::Assistant)?.text;
    let source = if context.len() == 1 { "one utterance" } else { "dialogue" };
    Some(ReplyItem {
        id: name.to_owned(),
        cluster: format!("dialogue-{name}"),
        slices: BTreeMap::from([("context".to_owned(), source.to_owned())]),
        input: ReplyInput { context, response },
        gold: row.label,
    })
}

/// All replies of a conversation of the corpus: `NAME:4` is its turn 4, `NAME:4+0`
/// the first of the other replies to turn 4. One conversation is one cluster.
fn corpus(row: &CorpusRow, name: &str) -> Vec<ReplyItem> {
    let turns = row.conversation().turns;
    let item = |id: String, context: &[Turn], response: &str, class, place: &str| {
        let language = row.language.as_ref().map(|language| language.shown().to_owned());
        let slices = [("place", Some(place.to_owned())), ("language", language)];
        let slices = slices.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        ReplyItem {
            id,
            cluster: name.to_owned(),
            slices: slices.collect(),
            input: ReplyInput { context: context.to_vec(), response: response.to_owned() },
            gold: class,
        }
    };
    let said = row.turns.iter().enumerate().filter_map(|(place, turn)| {
        let class = turn.response.as_ref()?.known()?;
        Some(item(format!("{name}:{place}"), &turns[..place], &turn.text, class, "turn"))
    });
    let mut items: Vec<ReplyItem> = said.collect();
    for (number, reply) in row.replies.iter().enumerate() {
        let after = usize::try_from(reply.after_turn).ok().filter(|after| *after < turns.len());
        if let (Some(after), Some(class)) = (after, reply.response.known()) {
            let id = format!("{name}:{after}+{number}");
            items.push(item(id, &turns[..=after], &reply.text, class, "alternative"));
        }
    }
    items
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use mindrail_core::taxonomy::{Signal, Taxonomy as _};
    use mindrail_data::sets::{self, DataSet};
    use serde_json::{Map, Value, json};

    use super::*;

    fn item(place: usize, context: &[&str]) -> ReplyItem {
        let turn = |text: &&str| Turn { role: Role::User, text: (*text).to_owned() };
        let context = context.iter().map(turn).collect();
        ReplyItem {
            id: place.to_string(),
            cluster: String::new(),
            slices: BTreeMap::new(),
            input: ReplyInput { context, response: "the same reply to everybody".to_owned() },
            gold: ReplyClass::SafeResponse,
        }
    }

    #[test]
    fn a_tagged_row_becomes_a_reply_after_its_context() {
        let row = DialogueSafetyRow {
            context: "[seeker]the exam went badly[supporter]which part[seeker]all of it".to_owned(),
            response: "[supporter]that sounds hard".to_owned(),
            label: ReplyClass::SafeResponse,
        };
        let item = dialogue_safety(&row, "row-1").unwrap();
        assert_eq!(item.input.response, "that sounds hard");
        let said: Vec<&str> = item.input.context.iter().map(|turn| turn.text.as_str()).collect();
        assert_eq!(said, ["the exam went badly", "which part", "all of it"]);
        assert_eq!(item.slices["context"], "dialogue");
    }

    /// A conversation of three turns with one other reply, to the turn `after`.
    fn corpus_items(after: i64) -> Vec<ReplyItem> {
        let signals: Map<String, Value> =
            Signal::ALL.iter().map(|signal| (signal.wire().to_owned(), json!(0))).collect();
        let row = json!({
            "id": "c-1", "high_risk": 0, "signals": signals,
            "turns": [
                {"role": "user", "text": "long week", "crisis": []},
                {"role": "assistant", "text": "what made it long", "response": "Safe Response"},
                {"role": "user", "text": "everything", "crisis": []},
            ],
            "replies": [{
                "after_turn": after, "text": "nice weather", "response": "Linguistic Neglect",
                "harm": [], "severity": "none", "safety_rank": 2, "help_rank": 2,
            }],
        });
        let file = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
        std::fs::write(file.path(), row.to_string()).unwrap();
        let (_, samples) = sets::read(file.path(), Some(DataSet::Corpus)).unwrap();
        samples.flat_map(|sample| rows(&sample.unwrap(), "c-1")).collect()
    }

    #[test]
    fn turns_and_other_replies_of_the_corpus_follow_what_was_said_before_them() {
        let items = corpus_items(0);
        let seen: Vec<_> =
            items.iter().map(|item| (item.id.as_str(), item.input.context.len(), item.gold)).collect();
        let expected =
            [("c-1:1", 1, ReplyClass::SafeResponse), ("c-1:0+0", 1, ReplyClass::LinguisticNeglect)];
        assert_eq!(seen, expected);
        assert!(items.iter().all(|item| item.cluster == "c-1"));
    }

    #[test]
    fn a_reply_to_a_turn_that_is_not_there_gives_no_item() {
        assert_eq!((corpus_items(7).len(), corpus_items(-1).len(), corpus_items(2).len()), (1, 1, 2));
    }

    #[test]
    fn rows_are_joined_over_long_utterances_and_over_each_other() {
        let mut items = [
            item(0, &["thank you", "the garden was flooded again"]),
            item(1, &["thank you"]),
            item(2, &["nobody came to the station"]),
            item(3, &["the garden was flooded again ", "nobody came to the station"]),
        ];
        cluster_by_shared_utterances(&mut items);
        let clusters: Vec<&str> = items.iter().map(|item| item.cluster.as_str()).collect();
        assert_eq!(clusters, ["dialogue-0", "dialogue-1", "dialogue-0", "dialogue-0"]);
    }
}
