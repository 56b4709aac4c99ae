//! CRADLE-Dialogue: one row per turn, with the crises that begin to show at it.
//! The files name no dialogue: one begins where `turn_id` returns to 0. Text opens
//! with `User:` or `Listener:`; a row without either goes on with the row before
//! it, and so do its labels. Some dialogues open with a listener, some labels
//! stand on rows that are not the user's. All of it is kept, and what is irregular
//! is reported. Source: `shared/reference/crisis.md`, section 1.

use mindrail_core::conversation::{Conversation, Role, Turn};
use mindrail_core::taxonomy::CrisisLabel;
use serde_json::{Map, Value, json};

use super::fields::FieldReader;
use super::vocabulary::Term;
use crate::table::{Column, ColumnKind, DataError, Fault, Place, kind};

/// A row as it stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct CradleRow {
    /// The turn, from 0.
    pub turn_id: i64,
    /// The text with its prefix.
    pub text: String,
    /// The labels in the order of the file.
    pub labels: Vec<Term<CrisisLabel>>,
}

/// Spellings of "no label".
const NO_LABEL: [&str; 4] = ["none", "nan", "null", "[]"];

impl CradleRow {
    pub(super) fn from_fields(fields: &FieldReader<'_>) -> Result<Self, Fault> {
        Ok(Self { turn_id: fields.integer("turn_id")?, text: fields.text("text")?, labels: labels(fields)? })
    }

    pub(super) fn to_fields(&self) -> Map<String, Value> {
        let labels: Vec<&str> = self.labels.iter().map(Term::wire).collect();
        let row = [
            ("turn_id", json!(self.turn_id)),
            ("text", json!(self.text)),
            ("labels", json!(labels.join("; "))),
        ];
        row.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
    }

    /// The speaker and what they say; `None` for a row without a prefix.
    fn speaker(&self) -> (Option<Role>, &str) {
        let text = self.text.trim();
        let said_by = |name: &str| {
            let head = text.get(..name.len())?;
            let rest = text[head.len()..].trim_start().strip_prefix(':')?;
            head.eq_ignore_ascii_case(name).then(|| rest.trim_start())
        };
        match (said_by("User"), said_by("Listener")) {
            (Some(rest), _) => (Some(Role::User), rest),
            (_, Some(rest)) => (Some(Role::Assistant), rest),
            (None, None) => (None, text),
        }
    }
}

/// Labels: names with semicolons between them, or a list of names.
fn labels(fields: &FieldReader<'_>) -> Result<Vec<Term<CrisisLabel>>, Fault> {
    if !fields.has("labels") {
        return Err(Fault::new("labels", "nothing", LABELS));
    }
    // An empty cell is absent, as null is.
    let Ok(value) = fields.any("labels") else { return absent_or_text(fields) };
    match value.as_ref() {
        Value::String(text) => Ok(of_text(text)),
        Value::Array(list) => list
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(Term::of(text.trim())),
                other => Err(Fault::new("labels", format!("a list that holds {}", kind(other)), LABELS)),
            })
            .collect(),
        other => Err(Fault::new("labels", kind(other), LABELS)),
    }
}

/// Null, or a text that only opens as JSON.
fn absent_or_text(fields: &FieldReader<'_>) -> Result<Vec<Term<CrisisLabel>>, Fault> {
    Ok(fields.optional_text("labels")?.map_or_else(Vec::new, |text| of_text(&text)))
}

const LABELS: &str = "label names with `; ` between them, or a list of them";

fn of_text(text: &str) -> Vec<Term<CrisisLabel>> {
    let is_label = |name: &&str| !name.is_empty() && !NO_LABEL.iter().any(|no| no.eq_ignore_ascii_case(name));
    text.split(';').map(str::trim).filter(is_label).map(Term::of).collect()
}

pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::new("turn_id", ColumnKind::Integer),
        Column::new("text", ColumnKind::Text),
        Column::new("labels", ColumnKind::Text),
    ]
}

/// A turn of a dialogue.
#[derive(Debug, Clone, PartialEq)]
pub struct CradleTurn {
    /// Where its first row stands.
    pub place: Place,
    /// `turn_id` of its first row.
    pub turn_id: i64,
    /// Who speaks.
    pub role: Role,
    /// What is said, without prefix; rows that go on follow as lines of their own.
    pub text: String,
    /// The labels of all its rows, each once.
    pub labels: Vec<Term<CrisisLabel>>,
}

/// What is out of the ordinary in a dialogue. None of it loses anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Irregularity {
    /// A row without a prefix was joined to the turn before it.
    JoinedRow,
    /// A dialogue opens with a listener.
    OpeningListener,
    /// A dialogue opens with a row without a prefix, which is read as the user's.
    OpeningWithoutSpeaker,
    /// `turn_id` does not follow that of the row before.
    TurnIdGap,
    /// `turn_id` falls back to another number than 0, which begins a dialogue too.
    TurnIdFallsBack,
    /// A row before this one could not be read and is missing.
    MissingRow,
}

/// A dialogue.
#[derive(Debug, Clone, PartialEq)]
pub struct CradleDialogue {
    /// Its place among the dialogues of the file, from 0.
    pub index: usize,
    /// Its turns.
    pub turns: Vec<CradleTurn>,
    /// What is out of the ordinary, and the row at which it is.
    pub irregularities: Vec<(Place, Irregularity)>,
    /// `turn_id` of the last row.
    last_id: i64,
}

impl CradleDialogue {
    /// The conversation. Its name is `dialogue-` and the index.
    pub fn conversation(&self) -> Conversation {
        let turn = |turn: &CradleTurn| Turn { role: turn.role, text: turn.text.clone() };
        Conversation {
            id: Some(format!("dialogue-{}", self.index)),
            turns: self.turns.iter().map(turn).collect(),
        }
    }

    fn begin(index: usize, place: &Place, row: &CradleRow) -> Self {
        let mut dialogue =
            Self { index, turns: Vec::new(), irregularities: Vec::new(), last_id: row.turn_id };
        let (role, text) = row.speaker();
        match role {
            Some(Role::User) => {}
            Some(_) => dialogue.note(place, Irregularity::OpeningListener),
            None => dialogue.note(place, Irregularity::OpeningWithoutSpeaker),
        }
        dialogue.push(place, role.unwrap_or(Role::User), text, row);
        dialogue
    }

    fn go_on(&mut self, place: &Place, row: &CradleRow) {
        if row.turn_id > self.last_id + 1 {
            self.note(place, Irregularity::TurnIdGap);
        }
        self.last_id = row.turn_id;
        match (row.speaker(), self.turns.last_mut()) {
            ((None, text), Some(turn)) => {
                join(turn, text, &row.labels);
                self.note(place, Irregularity::JoinedRow);
            }
            ((role, text), _) => self.push(place, role.unwrap_or(Role::User), text, row),
        }
    }

    fn push(&mut self, place: &Place, role: Role, text: &str, row: &CradleRow) {
        let mut turn = CradleTurn {
            place: place.clone(),
            turn_id: row.turn_id,
            role,
            text: text.to_owned(),
            labels: Vec::new(),
        };
        add_labels(&mut turn, &row.labels);
        self.turns.push(turn);
    }

    fn note(&mut self, place: &Place, what: Irregularity) {
        self.irregularities.push((place.clone(), what));
    }
}

fn join(turn: &mut CradleTurn, text: &str, labels: &[Term<CrisisLabel>]) {
    if !text.is_empty() {
        turn.text.push('\n');
        turn.text.push_str(text);
    }
    add_labels(turn, labels);
}

fn add_labels(turn: &mut CradleTurn, labels: &[Term<CrisisLabel>]) {
    for label in labels {
        if !turn.labels.contains(label) {
            turn.labels.push(label.clone());
        }
    }
}

/// Rebuilds dialogues from rows. A bad row is given on at once, and the dialogue
/// in which it is missing says so.
pub struct Dialogues<I> {
    rows: I,
    open: Option<CradleDialogue>,
    begun: usize,
    missing: Missing,
}

/// Whether rows were lost since the last good one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    No,
    Yes,
}

impl<I> Dialogues<I> {
    /// Rebuilds dialogues from rows in the order of the file.
    pub const fn new(rows: I) -> Self {
        Self { rows, open: None, begun: 0, missing: Missing::No }
    }

    /// Takes a row; gives the dialogue that it ends.
    fn take(&mut self, place: &Place, row: &CradleRow) -> Option<CradleDialogue> {
        let last = self.open.as_ref().map(|dialogue| dialogue.last_id);
        let ended = match &mut self.open {
            Some(dialogue) if row.turn_id != 0 && row.turn_id >= dialogue.last_id => {
                dialogue.go_on(place, row);
                None
            }
            _ => {
                let begun = CradleDialogue::begin(self.begun, place, row);
                self.begun += 1;
                self.open.replace(begun)
            }
        };
        let falls_back = row.turn_id != 0 && last.is_none_or(|last| row.turn_id < last);
        if let Some(dialogue) = &mut self.open {
            if falls_back {
                dialogue.note(place, Irregularity::TurnIdFallsBack);
            }
            if self.missing == Missing::Yes {
                dialogue.note(place, Irregularity::MissingRow);
            }
        }
        self.missing = Missing::No;
        ended
    }
}

impl<I: Iterator<Item = Result<(Place, CradleRow), DataError>>> Iterator for Dialogues<I> {
    type Item = Result<CradleDialogue, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.rows.next() {
                Some(Ok((place, row))) => {
                    if let Some(ended) = self.take(&place, &row) {
                        return Some(Ok(ended));
                    }
                }
                Some(Err(error)) => {
                    self.missing = Missing::Yes;
                    return Some(Err(error));
                }
                None => return self.open.take().map(Ok),
            }
        }
    }
}
