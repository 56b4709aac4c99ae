//! The PKU family: pairs of replies to one prompt (PKU-SafeRLHF v1, v0 and
//! single-dimension), single replies (QA, `BeaverTails`), prompts alone. Labels that
//! a version does not have are `None`. Source: `shared/reference/harm.md`, section 1.

use mindrail_core::conversation::{Conversation, Role, Turn};
use mindrail_core::taxonomy::{Harm, Severity};
use serde_json::{Map, Value};

use super::fields::{FieldReader, flag};
use super::khp::{term, wire};
use super::vocabulary::{BeaverHarm, PromptSource, Term, Vocabulary};
use crate::table::{Column, ColumnKind, Fault, kind};

/// Which version of the pairs a row has, and so which labels it must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairVersion {
    /// v1: safety, 19 categories, severity, both preferences, hashes.
    V1,
    /// v0, 30K, 10K: safety and both preferences.
    V0,
    /// Single-dimension: one preference, hashes.
    Single,
}

/// One of the two replies of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// `response_0`.
    First,
    /// `response_1`.
    Second,
}

impl Side {
    /// 0 or 1.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// A reply with what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The reply.
    pub text: String,
    /// Which model wrote it.
    pub source: Option<String>,
    /// Whether it is safe.
    pub is_safe: Option<bool>,
    /// The harms that it does.
    pub harms: Option<Vec<Term<Harm>>>,
    /// How grave they are.
    pub severity: Option<Severity>,
    /// SHA-256 of prompt and reply, one after the other, in hexadecimal.
    pub sha256: Option<String>,
}

/// A prompt and two replies.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplyPair {
    /// The version of its file.
    pub version: PairVersion,
    /// What was asked.
    pub prompt: String,
    /// Where the prompt comes from.
    pub prompt_source: Option<Term<PromptSource>>,
    /// The replies.
    pub replies: [Reply; 2],
    /// The more helpful one.
    pub better: Side,
    /// The less harmful one; single-dimension has none.
    pub safer: Option<Side>,
}

/// The names of a reply's columns.
struct Names {
    text: String,
    source: String,
    is_safe: String,
    harms: String,
    severity: String,
    sha256: String,
}

impl Names {
    fn of_pair(side: Side) -> Self {
        let k = side.index();
        Self {
            text: format!("response_{k}"),
            source: format!("response_{k}_source"),
            is_safe: format!("is_response_{k}_safe"),
            harms: format!("response_{k}_harm_category"),
            severity: format!("response_{k}_severity_level"),
            sha256: format!("response_{k}_sha256"),
        }
    }

    fn of_single() -> Self {
        let name = |name: &str| name.to_owned();
        Self {
            text: name("response"),
            source: name("response_source"),
            is_safe: name("is_safe"),
            harms: name("harm_category"),
            severity: name("severity_level"),
            sha256: name("sha256"),
        }
    }
}

impl Reply {
    /// Reads the labels that are there.
    fn read(fields: &FieldReader<'_>, names: &Names) -> Result<Self, Fault> {
        let has = |name: &str| fields.is_given(name);
        Ok(Self {
            text: fields.text(&names.text)?,
            source: fields.optional_text(&names.source)?,
            is_safe: has(&names.is_safe).then(|| fields.flag(&names.is_safe)).transpose()?,
            harms: has(&names.harms).then(|| flagged::<Harm>(fields, &names.harms)).transpose()?,
            severity: has(&names.severity).then(|| severity(fields, &names.severity)).transpose()?,
            sha256: fields.optional_text(&names.sha256)?,
        })
    }

    /// Fails if a label is absent that the version has.
    fn must_have(&self, names: &Names, version: PairVersion) -> Result<(), Fault> {
        let missing = |name: &str| Err(Fault::new(name, "nothing", "a label, as in every row of this set"));
        match version {
            PairVersion::V1 if self.harms.is_none() => missing(&names.harms),
            PairVersion::V1 if self.severity.is_none() => missing(&names.severity),
            PairVersion::V1 | PairVersion::V0 if self.is_safe.is_none() => missing(&names.is_safe),
            PairVersion::V1 | PairVersion::V0 | PairVersion::Single => Ok(()),
        }
    }

    fn write(&self, names: &Names, map: &mut Map<String, Value>) {
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(name.to_owned(), value);
            }
        };
        put(&names.text, Some(Value::from(self.text.as_str())));
        put(&names.source, self.source.as_deref().map(Value::from));
        put(&names.is_safe, self.is_safe.map(Value::from));
        put(&names.harms, self.harms.as_ref().map(|harms| flags_object(harms)));
        put(&names.severity, self.severity.map(|severity| Value::from(severity as usize)));
        put(&names.sha256, self.sha256.as_deref().map(Value::from));
    }

    /// Whether a harm is among its harms.
    pub fn has(&self, harm: Harm) -> bool {
        self.harms.as_ref().is_some_and(|harms| harms.contains(&Term::Known(harm)))
    }
}

impl ReplyPair {
    pub(super) fn from_fields(fields: &FieldReader<'_>, version: PairVersion) -> Result<Self, Fault> {
        let reply = |side| {
            let names = Names::of_pair(side);
            let reply = Reply::read(fields, &names)?;
            reply.must_have(&names, version).map(|()| reply)
        };
        let safer = match version {
            PairVersion::Single => None,
            PairVersion::V1 | PairVersion::V0 => Some(side(fields, "safer_response_id")?),
        };
        Ok(Self {
            version,
            prompt: fields.text("prompt")?,
            prompt_source: term(fields, "prompt_source")?,
            replies: [reply(Side::First)?, reply(Side::Second)?],
            better: side(fields, "better_response_id")?,
            safer,
        })
    }

    pub(super) fn to_fields(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("prompt".to_owned(), Value::from(self.prompt.as_str()));
        map.extend(wire(self.prompt_source.as_ref()).map(|source| ("prompt_source".to_owned(), source)));
        for side in [Side::First, Side::Second] {
            self.replies[side.index()].write(&Names::of_pair(side), &mut map);
        }
        map.insert("better_response_id".to_owned(), Value::from(self.better.index()));
        map.extend(self.safer.map(|safer| ("safer_response_id".to_owned(), Value::from(safer.index()))));
        map
    }

    /// The prompt and one of the replies as a conversation.
    pub fn conversation(&self, side: Side) -> Conversation {
        exchange(&self.prompt, Some(&self.replies[side.index()].text))
    }
}

/// A prompt and one reply, of PKU-SafeRLHF-QA.
#[derive(Debug, Clone, PartialEq)]
pub struct QuestionAnswer {
    /// What was asked.
    pub prompt: String,
    /// Where the prompt comes from.
    pub prompt_source: Option<Term<PromptSource>>,
    /// The reply.
    pub reply: Reply,
}

impl QuestionAnswer {
    pub(super) fn from_fields(fields: &FieldReader<'_>) -> Result<Self, Fault> {
        Ok(Self {
            prompt: fields.text("prompt")?,
            prompt_source: term(fields, "prompt_source")?,
            reply: Reply::read(fields, &Names::of_single())?,
        })
    }

    pub(super) fn to_fields(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("prompt".to_owned(), Value::from(self.prompt.as_str()));
        map.extend(wire(self.prompt_source.as_ref()).map(|source| ("prompt_source".to_owned(), source)));
        self.reply.write(&Names::of_single(), &mut map);
        map
    }

    /// Prompt and reply as a conversation.
    pub fn conversation(&self) -> Conversation {
        exchange(&self.prompt, Some(&self.reply.text))
    }
}

/// A prompt, a reply and the harms of `BeaverTails`.
#[derive(Debug, Clone, PartialEq)]
pub struct BeaverTailsRow {
    /// What was asked.
    pub prompt: String,
    /// The reply.
    pub response: String,
    /// The harms; `None` in copies that hold the flag alone.
    pub harms: Option<Vec<Term<BeaverHarm>>>,
    /// Whether the reply is safe.
    pub is_safe: bool,
}

impl BeaverTailsRow {
    pub(super) fn from_fields(fields: &FieldReader<'_>) -> Result<Self, Fault> {
        let harms = fields.is_given("category").then(|| flagged::<BeaverHarm>(fields, "category"));
        Ok(Self {
            prompt: fields.text("prompt")?,
            response: fields.text("response")?,
            harms: harms.transpose()?,
            is_safe: fields.flag("is_safe")?,
        })
    }

    pub(super) fn to_fields(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("prompt".to_owned(), Value::from(self.prompt.as_str()));
        map.insert("response".to_owned(), Value::from(self.response.as_str()));
        map.extend(self.harms.as_ref().map(|harms| ("category".to_owned(), flags_object(harms))));
        map.insert("is_safe".to_owned(), Value::from(self.is_safe));
        map
    }

    /// Prompt and reply as a conversation.
    pub fn conversation(&self) -> Conversation {
        exchange(&self.prompt, Some(&self.response))
    }
}

/// A prompt alone, with a category where the file has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptRow {
    /// What is asked.
    pub prompt: String,
    /// The file's own name for its kind.
    pub category: Option<String>,
}

impl PromptRow {
    pub(super) fn from_fields(fields: &FieldReader<'_>) -> Result<Self, Fault> {
        Ok(Self { prompt: fields.text("prompt")?, category: fields.optional_text("category")? })
    }

    pub(super) fn to_fields(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("prompt".to_owned(), Value::from(self.prompt.as_str()));
        map.extend(self.category.as_deref().map(|name| ("category".to_owned(), Value::from(name))));
        map
    }

    /// The prompt as a conversation.
    pub fn conversation(&self) -> Conversation {
        exchange(&self.prompt, None)
    }
}

fn exchange(prompt: &str, reply: Option<&str>) -> Conversation {
    let turn = |role, text: &str| Turn { role, text: text.to_owned() };
    let mut turns = vec![turn(Role::User, prompt)];
    turns.extend(reply.map(|text| turn(Role::Assistant, text)));
    Conversation { id: None, turns }
}

fn side(fields: &FieldReader<'_>, name: &str) -> Result<Side, Fault> {
    match fields.integer(name)? {
        0 => Ok(Side::First),
        1 => Ok(Side::Second),
        other => Err(Fault::new(name, other.to_string(), "0 or 1")),
    }
}

fn severity(fields: &FieldReader<'_>, name: &str) -> Result<Severity, Fault> {
    let level = fields.integer(name)?;
    let severity = usize::try_from(level).ok().and_then(|at| <Severity as Vocabulary>::ALL.get(at));
    severity.copied().ok_or_else(|| Fault::new(name, level.to_string(), "0 to 3"))
}

/// The names that are true in an object of flags, in the vocabulary's order, then
/// those that it does not have. Each of its names must be there: an absent one is
/// not known to be false. Also a list of the true names.
fn flagged<T: Vocabulary>(fields: &FieldReader<'_>, name: &str) -> Result<Vec<Term<T>>, Fault> {
    let expected = || format!("an object of {} flags", T::ALL.len());
    let value = fields.any(name)?;
    let object = match value.as_ref() {
        Value::Object(object) => object,
        Value::Array(list) => return names(list, name),
        other => return Err(Fault::new(name, kind(other), expected())),
    };
    let mut found = Vec::new();
    for &item in T::ALL {
        let value = object.get(item.wire());
        let value =
            value.ok_or_else(|| Fault::new(format!("{name}.{}", item.wire()), "nothing", expected()))?;
        if flag(name, value)? {
            found.push(Term::Known(item));
        }
    }
    for (other, value) in object.iter().filter(|(key, _)| T::from_wire(key).is_none()) {
        if flag(name, value)? {
            found.push(Term::Unknown(other.clone()));
        }
    }
    Ok(found)
}

fn names<T: Vocabulary>(list: &[Value], field: &str) -> Result<Vec<Term<T>>, Fault> {
    let name = |value: &Value| match value {
        Value::String(name) => Ok(Term::of(name)),
        other => Err(Fault::new(field, kind(other), "a list of names")),
    };
    list.iter().map(name).collect()
}

fn flags_object<T: Vocabulary>(harms: &[Term<T>]) -> Value {
    let flag = |item: &T| (item.wire().to_owned(), Value::from(harms.contains(&Term::Known(*item))));
    let unknown =
        harms.iter().filter(|h| h.known().is_none()).map(|h| (h.wire().to_owned(), Value::from(true)));
    Value::Object(T::ALL.iter().map(flag).chain(unknown).collect())
}

fn flags_kind<T: Vocabulary>() -> ColumnKind {
    ColumnKind::Struct(T::ALL.iter().map(|item| Column::new(item.wire(), ColumnKind::Flag)).collect())
}

/// The columns of a version in the order of its files.
pub(super) fn pair_columns(version: PairVersion) -> Vec<Column> {
    use ColumnKind::{Flag, Integer, Text};
    let texts = |names: &[&'static str]| -> Vec<Column> {
        names.iter().map(|name| Column::new(name, Text)).collect()
    };
    let sources = ["prompt_source", "response_0_source", "response_1_source"];
    let safe = ["is_response_0_safe", "is_response_1_safe"].map(|name| Column::new(name, Flag));
    let better = Column::new("better_response_id", Integer);
    let safer = Column::new("safer_response_id", Integer);
    let hashes = texts(&["response_0_sha256", "response_1_sha256"]);
    let mut columns = texts(&["prompt", "response_0", "response_1"]);
    match version {
        PairVersion::V0 => columns.extend(safe.into_iter().chain([better, safer])),
        PairVersion::Single => columns.extend(texts(&sources).into_iter().chain([better]).chain(hashes)),
        PairVersion::V1 => {
            let harms = ["response_0_harm_category", "response_1_harm_category"];
            let levels = ["response_0_severity_level", "response_1_severity_level"];
            columns.extend(texts(&sources));
            columns.extend(safe);
            columns.extend(harms.map(|name| Column::new(name, flags_kind::<Harm>())));
            columns.extend(levels.map(|name| Column::new(name, Integer)));
            columns.extend([better, safer]);
            columns.extend(hashes);
        }
    }
    columns
}

/// The columns of PKU-SafeRLHF-QA.
pub(super) fn answer_columns() -> Vec<Column> {
    let text = |name| Column::new(name, ColumnKind::Text);
    vec![
        text("prompt"),
        text("response"),
        text("prompt_source"),
        text("response_source"),
        Column::new("is_safe", ColumnKind::Flag),
        Column::new("harm_category", flags_kind::<Harm>()),
        Column::new("severity_level", ColumnKind::Integer),
        text("sha256"),
    ]
}

/// The columns of `BeaverTails`.
pub(super) fn beaver_columns() -> Vec<Column> {
    vec![
        Column::new("prompt", ColumnKind::Text),
        Column::new("response", ColumnKind::Text),
        Column::new("category", flags_kind::<BeaverHarm>()),
        Column::new("is_safe", ColumnKind::Flag),
    ]
}

/// The columns of prompts.
pub(super) fn prompt_columns() -> Vec<Column> {
    ["prompt", "category"].map(|name| Column::new(name, ColumnKind::Text)).into()
}
