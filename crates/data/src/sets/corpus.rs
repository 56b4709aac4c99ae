//! The project's own corpus: conversations with labels at every turn. Format:
//! `corpus/README.md`.

use mindrail_core::conversation::{Conversation, Role, Turn};
use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Severity};
use serde_json::{Map, Value, json};

use super::fields::FieldReader;
use super::khp::{term, wire};
use super::signals::{self, SignalFlags};
use super::vocabulary::{Language, Term};
use crate::table::{Column, ColumnKind, Fault, kind};

/// A turn with its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusTurn {
    /// User or assistant.
    pub role: Role,
    /// What is said.
    pub text: String,
    /// The crises that begin to show; of user turns.
    pub crisis: Vec<Term<CrisisLabel>>,
    /// The class of the reply; of assistant turns.
    pub response: Option<Term<ReplyClass>>,
}

/// Another reply to a user turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusReply {
    /// The turn that it answers, from 0.
    pub after_turn: i64,
    /// The reply.
    pub text: String,
    /// Its class.
    pub response: Term<ReplyClass>,
    /// The harms that it does.
    pub harm: Vec<Term<Harm>>,
    /// How grave they are.
    pub severity: Term<Severity>,
    /// Its place by safety among the replies to the turn, 1 the best.
    pub safety_rank: i64,
    /// Its place by help, 1 the best.
    pub help_rank: i64,
}

/// A conversation of the corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct CorpusRow {
    /// Its name.
    pub id: String,
    /// Its language.
    pub language: Option<Term<Language>>,
    /// `register`, `listener`, `age`, `topic`, `split`, `why`, in the author's words.
    pub notes: Vec<(&'static str, String)>,
    /// The turns.
    pub turns: Vec<CorpusTurn>,
    /// The nine signals of the whole conversation.
    pub signals: SignalFlags,
    /// Whether a supervisor would want a human to step in now.
    pub high_risk: bool,
    /// Other replies.
    pub replies: Vec<CorpusReply>,
}

/// Columns in the author's words.
const NOTES: [&str; 6] = ["register", "listener", "age", "topic", "split", "why"];

impl CorpusRow {
    /// The conversation without its other replies.
    pub fn conversation(&self) -> Conversation {
        let turn = |turn: &CorpusTurn| Turn { role: turn.role, text: turn.text.clone() };
        Conversation { id: Some(self.id.clone()), turns: self.turns.iter().map(turn).collect() }
    }

    pub(super) fn from_fields(fields: &FieldReader<'_>) -> Result<Self, Fault> {
        let mut notes = Vec::new();
        for name in NOTES {
            notes.extend(fields.optional_text(name)?.map(|text| (name, text)));
        }
        let turns = fields.list("turns")?;
        let replies = if fields.is_given("replies") { fields.list("replies")?.into_owned() } else { vec![] };
        let id = fields.optional_id("id")?;
        Ok(Self {
            id: id.ok_or_else(|| Fault::new("id", "nothing", "a name"))?,
            language: term(fields, "language")?,
            notes,
            turns: each(&turns, "turns", turn)?,
            signals: SignalFlags::of_object(fields.object("signals")?.as_ref(), "signals")?,
            high_risk: fields.flag("high_risk")?,
            replies: each(&replies, "replies", reply)?,
        })
    }

    pub(super) fn to_fields(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("id".to_owned(), Value::from(self.id.as_str()));
        map.extend(wire(self.language.as_ref()).map(|name| ("language".to_owned(), name)));
        map.extend(self.notes.iter().map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str()))));
        map.insert("turns".to_owned(), self.turns.iter().map(CorpusTurn::to_value).collect());
        map.insert("signals".to_owned(), self.signals.to_object());
        map.insert("high_risk".to_owned(), Value::from(u8::from(self.high_risk)));
        map.insert("replies".to_owned(), self.replies.iter().map(CorpusReply::to_value).collect());
        map
    }
}

impl CorpusTurn {
    fn to_value(&self) -> Value {
        let mut value = json!({"role": self.role.wire(), "text": self.text});
        match (&self.response, self.role) {
            (Some(class), _) => value["response"] = Value::from(class.wire()),
            (None, Role::User) => value["crisis"] = self.crisis.iter().map(Term::wire).collect(),
            (None, _) => {}
        }
        value
    }
}

impl CorpusReply {
    fn to_value(&self) -> Value {
        let harm: Vec<&str> = self.harm.iter().map(Term::wire).collect();
        json!({
            "after_turn": self.after_turn, "text": self.text, "response": self.response.wire(),
            "harm": harm, "severity": self.severity.wire(),
            "safety_rank": self.safety_rank, "help_rank": self.help_rank,
        })
    }
}

/// Reads the objects of a list; the fault of one names its place in it.
fn each<T>(
    list: &[Value],
    name: &str,
    read: impl Fn(&FieldReader<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let one = |(at, value): (usize, &Value)| match value {
        Value::Object(object) => read(&FieldReader::of_object(object))
            .map_err(|fault| Fault { field: format!("{name}[{at}].{}", fault.field), ..fault }),
        other => Err(Fault::new(format!("{name}[{at}]"), kind(other), "an object")),
    };
    list.iter().enumerate().map(one).collect()
}

fn turn(fields: &FieldReader<'_>) -> Result<CorpusTurn, Fault> {
    let name = fields.text("role")?;
    let role = match name.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => {
            let found = format!("a text of {} characters", name.chars().count());
            return Err(Fault::new("role", found, "user or assistant"));
        }
    };
    Ok(CorpusTurn {
        role,
        text: fields.text("text")?,
        crisis: terms(fields, "crisis")?,
        response: term(fields, "response")?,
    })
}

fn reply(fields: &FieldReader<'_>) -> Result<CorpusReply, Fault> {
    Ok(CorpusReply {
        after_turn: fields.integer("after_turn")?,
        text: fields.text("text")?,
        response: Term::of(&fields.text("response")?),
        harm: terms(fields, "harm")?,
        severity: Term::of(&fields.text("severity")?),
        safety_rank: fields.integer("safety_rank")?,
        help_rank: fields.integer("help_rank")?,
    })
}

/// A list of names, which may be absent.
fn terms<T: super::vocabulary::Vocabulary>(
    fields: &FieldReader<'_>,
    name: &str,
) -> Result<Vec<Term<T>>, Fault> {
    if !fields.is_given(name) {
        return Ok(Vec::new());
    }
    let one = |value: &Value| match value {
        Value::String(text) => Ok(Term::of(text)),
        other => Err(Fault::new(name, kind(other), "a list of names")),
    };
    fields.list(name)?.iter().map(one).collect()
}

/// The columns in the order of the files.
pub(super) fn columns() -> Vec<Column> {
    use ColumnKind::{Integer, List, Struct, Text};
    let text = |name| Column::new(name, Text);
    let turn = Struct(vec![
        text("role"),
        text("text"),
        Column::new("crisis", ColumnKind::texts()),
        text("response"),
    ]);
    let reply = Struct(vec![
        Column::new("after_turn", Integer),
        text("text"),
        text("response"),
        Column::new("harm", ColumnKind::texts()),
        text("severity"),
        Column::new("safety_rank", Integer),
        Column::new("help_rank", Integer),
    ]);
    let mut columns = ["id", "language", "register", "listener", "age", "topic", "split"].map(text).to_vec();
    columns.extend([
        Column::new("turns", List(Box::new(turn))),
        signals::column(),
        Column::new("high_risk", Integer),
        Column::new("replies", List(Box::new(reply))),
        text("why"),
    ]);
    columns
}
