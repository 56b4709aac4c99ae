//! Which rows descend from one another or from the same source, and so must not
//! be on both sides of a split: rewrites of one parent, conversations of one
//! persona, turns of one dialogue, answers to one prompt, windows of one talk.
//! A row may have several keys; rows that share any key are of one family.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::fingerprint::{hash, tokens};
use crate::table::{DataError, Fault, Record, kind};

/// How a row's family is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FamilyRule {
    /// A column's value. A row where it is empty is a family of its own.
    Column(String),
    /// KHP: `parent_id` or `parent` and the `conversation_id` it names, and `persona_id`.
    Parent,
    /// CRADLE-Dialogue: a dialogue begins where `turn_id` returns to 0. Its key
    /// is its first turn, so that the same dialogue in two files is one family.
    Dialogue,
    /// PKU-SafeRLHF and `BeaverTails`: the prompt.
    Prompt,
    /// `DialogueSafety`: any utterance of the context of 15 letters or more, since
    /// contexts are windows of longer talks; where there is none, the context.
    Utterance,
    /// The project's corpus: what stands before the `-` in `id`, the author.
    Author,
    /// Every row by itself.
    Row,
}

impl fmt::Display for FamilyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(name) => write!(f, "column {name}"),
            Self::Parent => f.write_str("parent and persona"),
            Self::Dialogue => f.write_str("dialogue"),
            Self::Prompt => f.write_str("prompt"),
            Self::Utterance => f.write_str("shared utterance"),
            Self::Author => f.write_str("author"),
            Self::Row => f.write_str("row"),
        }
    }
}

/// Columns whose values name the same thing, and what it is.
const PARENTS: [(&str, &str); 5] = [
    ("parent_id", "conversation"),
    ("parent", "conversation"),
    ("conversation_id", "conversation"),
    ("Conversation_id", "conversation"),
    ("persona_id", "persona"),
];

/// The shortest utterance that tells a talk, in letters and digits.
const TELLING: usize = 15;

impl FamilyRule {
    /// The rule of a known data set, by the columns of its first row.
    pub fn of_fields(fields: &Map<String, Value>) -> Option<Self> {
        let has = |name: &str| fields.contains_key(name);
        if has("turn_id") && has("text") {
            Some(Self::Dialogue)
        } else if has("prompt") {
            Some(Self::Prompt)
        } else if has("context") && has("response") {
            Some(Self::Utterance)
        } else if has("turns") && has("id") {
            Some(Self::Author)
        } else if PARENTS.iter().any(|(name, _)| has(name)) {
            Some(Self::Parent)
        } else {
            None
        }
    }
}

/// Gives the family keys of rows, in their order in the file.
#[derive(Debug)]
pub struct FamilyReader {
    rule: FamilyRule,
    dialogue: Option<u64>,
}

impl FamilyReader {
    /// A reader at the beginning of a file.
    pub const fn new(rule: FamilyRule) -> Self {
        Self { rule, dialogue: None }
    }

    /// A row's keys; none where the row is a family of its own.
    ///
    /// # Errors
    /// If the column that the rule needs is missing or of another kind.
    pub fn keys(&mut self, record: &Record) -> Result<Vec<u64>, DataError> {
        let fields = &record.fields;
        let keys = match &self.rule {
            FamilyRule::Row => Ok(Vec::new()),
            FamilyRule::Column(name) => scalar(fields, name).map(|value| own("column", &value)),
            FamilyRule::Prompt => text(fields, "prompt").map(|prompt| vec![fingerprint(prompt)]),
            FamilyRule::Utterance => text(fields, "context").map(utterances),
            FamilyRule::Author => {
                scalar(fields, "id").map(|id| own("author", id.split('-').next().unwrap_or("")))
            }
            FamilyRule::Parent => PARENTS
                .iter()
                .filter(|(name, _)| fields.contains_key(*name))
                .map(|(name, what)| scalar(fields, name).map(|value| own(what, &value)))
                .collect::<Result<Vec<_>, _>>()
                .map(|keys| keys.concat()),
            FamilyRule::Dialogue => self.dialogue(fields),
        };
        keys.map_err(|fault| fault.at(&record.place))
    }

    fn dialogue(&mut self, fields: &Map<String, Value>) -> Result<Vec<u64>, Fault> {
        let turn = scalar(fields, "turn_id")?;
        if turn == "0" || self.dialogue.is_none() {
            self.dialogue = Some(fingerprint(text(fields, "text")?));
        }
        Ok(self.dialogue.into_iter().collect())
    }
}

/// The key of a value; an empty one names nothing.
fn own(what: &str, value: &str) -> Vec<u64> {
    let value = value.trim();
    if value.is_empty() { Vec::new() } else { vec![hash(format!("{what}\0{value}").as_bytes())] }
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, Fault> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text),
        other => Err(Fault::new(name, other.map_or_else(|| "nothing".to_owned(), kind), "a text")),
    }
}

/// A text, number or switch as text; null as the empty text.
pub(crate) fn scalar(fields: &Map<String, Value>, name: &str) -> Result<String, Fault> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Null) => Ok(String::new()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(other) => Err(Fault::new(name, kind(other), "a text, a number, true or false")),
        None => Err(Fault::new(name, "nothing", "a value in this column")),
    }
}

/// The key of a text's words, in order.
fn fingerprint(text: &str) -> u64 {
    let bytes = tokens(text).into_iter().flat_map(u64::to_le_bytes).collect::<Vec<_>>();
    hash(&bytes)
}

/// The keys of the telling utterances of a context with `[seeker]` tags.
fn utterances(context: &str) -> Vec<u64> {
    let parts = context.split("[seeker]").flat_map(|part| part.split("[supporter]"));
    let telling = |part: &&str| part.chars().filter(|c| c.is_alphanumeric()).count() >= TELLING;
    let keys = parts.filter(telling).map(fingerprint).collect::<Vec<_>>();
    if keys.is_empty() { vec![fingerprint(context)] } else { keys }
}

/// Families of rows that were given one after another.
#[derive(Debug, Default)]
pub struct Families {
    parents: Vec<usize>,
    first: HashMap<u64, usize>,
}

impl Families {
    /// Adds the next row.
    pub fn add(&mut self, keys: &[u64]) {
        let row = self.parents.len();
        self.parents.push(row);
        for key in keys {
            let other = *self.first.entry(*key).or_insert(row);
            let (a, b) = (self.root(row), self.root(other));
            self.parents[a.max(b)] = a.min(b);
        }
    }

    /// The number of each row's family: families count from 0 in the order of their first rows.
    pub fn numbers(mut self) -> Vec<usize> {
        let mut names = HashMap::new();
        let roots = (0..self.parents.len()).map(|row| self.root(row)).collect::<Vec<_>>();
        let number = |root| {
            let next = names.len();
            *names.entry(root).or_insert(next)
        };
        roots.into_iter().map(number).collect()
    }

    fn root(&mut self, mut row: usize) -> usize {
        while self.parents[row] != row {
            // Halving the path keeps later walks short.
            self.parents[row] = self.parents[self.parents[row]];
            row = self.parents[row];
        }
        row
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::table::Place;

    fn record(fields: &Value) -> Record {
        let place = Place { file: "f".into(), row: 1, line: None };
        Record { place, fields: fields.as_object().unwrap().clone() }
    }

    /// Family numbers of rows under the rule that their first row shows.
    fn numbers(rows: &[Value]) -> Vec<usize> {
        let rule = FamilyRule::of_fields(rows[0].as_object().unwrap()).unwrap();
        let mut reader = FamilyReader::new(rule);
        let mut families = Families::default();
        rows.iter().for_each(|row| families.add(&reader.keys(&record(row)).unwrap()));
        families.numbers()
    }

    #[test]
    fn a_parent_and_its_rewrites_and_their_persona_are_one_family() {
        let rows = [
            json!({"conversation_id": "12", "parent_id": "", "persona_id": ""}),
            json!({"conversation_id": "77", "parent_id": "12", "persona_id": "p1"}),
            json!({"conversation_id": "78", "parent_id": "", "persona_id": "p1"}),
            json!({"conversation_id": "79", "parent_id": "", "persona_id": ""}),
        ];
        assert_eq!(numbers(&rows), [0, 0, 0, 1]);
    }

    #[test]
    fn a_dialogue_ends_where_the_turn_returns_to_zero() {
        let turn = |id: u32, text: &str| json!({"turn_id": id, "text": text, "labels": ""});
        let rows = [turn(0, "User: a b"), turn(1, "c"), turn(0, "d"), turn(1, "c"), turn(0, "a, B")];
        assert_eq!(numbers(&rows), [0, 0, 1, 1, 0]);
    }

    #[test]
    fn windows_of_one_talk_are_one_family() {
        let long = "\u{6211}".repeat(15);
        let row = |context: String| json!({"context": context, "response": "r", "label": 7});
        let rows = [
            row(format!("[seeker]{long}[supporter]x[seeker]y")),
            row("[seeker]x".to_owned()),
            row(format!("[supporter]{long}[seeker]z")),
        ];
        assert_eq!(numbers(&rows), [0, 1, 0]);
    }

    #[test]
    fn authors_and_prompts_are_told() {
        assert_eq!(
            numbers(&[json!({"id": "a-000", "turns": []}), json!({"id": "a-001"}), json!({"id": "b-0"})]),
            [0, 0, 1]
        );
        assert_eq!(
            numbers(&[json!({"prompt": "How so?"}), json!({"prompt": "why"}), json!({"prompt": "HOW SO"})]),
            [0, 1, 0]
        );
    }

    #[test]
    fn a_missing_column_is_named_and_no_text_is_repeated() {
        let mut reader = FamilyReader::new(FamilyRule::Column("group".to_owned()));
        let error = reader.keys(&record(&json!({"text": "private"}))).unwrap_err();
        insta::assert_snapshot!(error, @"f row 1: group: found nothing, expected a value in this column");
    }

    proptest! {
        /// Against the closure of the relation "shares a key", by repetition.
        #[test]
        fn families_are_the_closure_of_shared_keys(rows in prop::collection::vec(prop::collection::vec(0..12_u64, 0..3), 0..14)) {
            let mut naive = (0..rows.len()).collect::<Vec<_>>();
            for _ in 0..rows.len() {
                for i in 0..rows.len() {
                    for j in 0..rows.len() {
                        if rows[i].iter().any(|key| rows[j].contains(key)) {
                            let least = naive[i].min(naive[j]);
                            (naive[i], naive[j]) = (least, least);
                        }
                    }
                }
            }
            let mut families = Families::default();
            rows.iter().for_each(|keys| families.add(keys));
            let found = families.numbers();
            for i in 0..rows.len() {
                for j in 0..rows.len() {
                    prop_assert_eq!(found[i] == found[j], naive[i] == naive[j]);
                }
            }
        }
    }
}
