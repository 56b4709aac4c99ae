//! ESConv: emotional support between crowd workers, in the published file
//! (`content`, seeker and supporter), the file of failed dialogues (speaker and
//! listener), and the hub's (`text`, usr and sys). The fourth form, prepared by
//! KHP, is one of [`super::khp`]. No dialogue has a crisis label. Source:
//! `shared/reference/tooling.md`, section 2.4.

use mindrail_core::conversation::{Conversation, Role, Turn};
use serde_json::{Map, Value, json};

use super::fields::FieldReader;
use super::khp::{term, wire};
use super::vocabulary::{Emotion, Problem, Speaker, Term};
use crate::table::{Column, ColumnKind, Fault, kind};

/// What a turn calls its text, and where its strategy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EsconvLayout {
    /// `content` and `annotation.strategy`.
    Content,
    /// `text` and `strategy`.
    Text,
}

/// A turn of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EsconvTurn {
    /// Who speaks, in the spelling of the file.
    pub speaker: Speaker,
    /// What is said.
    pub text: String,
    /// How the supporter helps, in the words of the file.
    pub strategy: Option<String>,
    /// How helpful the seeker finds it: 1 to 5, as text.
    pub feedback: Option<String>,
}

/// A dialogue.
#[derive(Debug, Clone, PartialEq)]
pub struct EsconvDialogue {
    /// How its file is laid out.
    pub layout: EsconvLayout,
    /// Whether the trouble is current or was earlier.
    pub experience_type: Option<String>,
    /// What the seeker feels.
    pub emotion_type: Option<Term<Emotion>>,
    /// What the trouble is.
    pub problem_type: Option<Term<Problem>>,
    /// The trouble in the seeker's words.
    pub situation: Option<String>,
    /// What both said of it afterwards, as it stands in the file.
    pub survey_score: Option<Map<String, Value>>,
    /// Answers to the platform's questions, by their column.
    pub answers: Vec<(&'static str, String)>,
    /// The turns.
    pub turns: Vec<EsconvTurn>,
}

/// The platform's questions.
const QUESTIONS: [&str; 4] =
    ["seeker_question1", "seeker_question2", "supporter_question1", "supporter_question2"];

impl Speaker {
    /// Whether it is the person or the one who helps.
    pub const fn role(self) -> Role {
        match self {
            Self::Seeker | Self::FailedSeeker | Self::HubSeeker => Role::User,
            Self::Supporter | Self::FailedSupporter | Self::HubSupporter => Role::Assistant,
        }
    }
}

impl EsconvDialogue {
    /// The conversation; ends of lines around a text are not part of it.
    pub fn conversation(&self) -> Conversation {
        let turn = |turn: &EsconvTurn| Turn { role: turn.speaker.role(), text: turn.text.trim().to_owned() };
        Conversation { id: None, turns: self.turns.iter().map(turn).collect() }
    }

    pub(super) fn from_fields(fields: &FieldReader<'_>) -> Result<Self, Fault> {
        let list = fields.list("dialog")?;
        let layout = match list.first() {
            Some(Value::Object(turn)) if turn.get("text").is_some_and(Value::is_string) => EsconvLayout::Text,
            _ => EsconvLayout::Content,
        };
        let turns = list.iter().enumerate().map(|(at, value)| turn(value, at, layout));
        let mut answers = Vec::new();
        for name in QUESTIONS {
            answers.extend(fields.optional_text(name)?.map(|answer| (name, answer)));
        }
        Ok(Self {
            layout,
            experience_type: fields.optional_text("experience_type")?,
            emotion_type: term(fields, "emotion_type")?,
            problem_type: term(fields, "problem_type")?,
            situation: fields.optional_text("situation")?,
            survey_score: survey(fields)?,
            answers,
            turns: turns.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn to_fields(&self) -> Map<String, Value> {
        let mut map = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(name.to_owned(), value);
            }
        };
        put("experience_type", self.experience_type.as_deref().map(Value::from));
        put("emotion_type", wire(self.emotion_type.as_ref()));
        put("problem_type", wire(self.problem_type.as_ref()));
        put("situation", self.situation.as_deref().map(Value::from));
        put("survey_score", self.survey_score.clone().map(Value::Object));
        put("dialog", Some(self.turns.iter().map(|turn| turn.to_value(self.layout)).collect()));
        for (name, answer) in &self.answers {
            put(name, Some(Value::from(answer.as_str())));
        }
        map
    }
}

impl EsconvTurn {
    fn to_value(&self, layout: EsconvLayout) -> Value {
        use super::vocabulary::Vocabulary as _;
        let mut marks = Map::new();
        marks.extend(self.strategy.as_deref().map(|text| ("strategy".to_owned(), Value::from(text))));
        marks.extend(self.feedback.as_deref().map(|text| ("feedback".to_owned(), Value::from(text))));
        match layout {
            EsconvLayout::Content => {
                json!({"speaker": self.speaker.wire(), "annotation": marks, "content": self.text})
            }
            EsconvLayout::Text => {
                marks.insert("speaker".to_owned(), Value::from(self.speaker.wire()));
                marks.insert("text".to_owned(), Value::from(self.text.as_str()));
                Value::Object(marks)
            }
        }
    }
}

fn survey(fields: &FieldReader<'_>) -> Result<Option<Map<String, Value>>, Fault> {
    if !fields.is_given("survey_score") {
        return Ok(None);
    }
    match fields.any("survey_score")?.into_owned() {
        Value::Object(object) => Ok(Some(without_nulls(object))),
        other => Err(Fault::new("survey_score", kind(&other), "an object")),
    }
}

/// Parquet has every key of a struct in every row; an answer that nobody gave is
/// null there and absent in the published file.
fn without_nulls(object: Map<String, Value>) -> Map<String, Value> {
    let given = object.into_iter().filter(|(_, value)| !value.is_null());
    given
        .map(|(key, value)| match value {
            Value::Object(inner) => (key, Value::Object(without_nulls(inner))),
            other => (key, other),
        })
        .collect()
}

fn turn(value: &Value, at: usize, layout: EsconvLayout) -> Result<EsconvTurn, Fault> {
    use super::vocabulary::Vocabulary as _;
    let path = format!("dialog[{at}]");
    let Value::Object(object) = value else { return Err(Fault::new(path, kind(value), "an object")) };
    let in_turn = |fault: Fault| Fault { field: format!("{path}.{}", fault.field), ..fault };
    let fields = FieldReader::of_object(object);
    let name = fields.text("speaker").map_err(in_turn)?;
    let speaker = Speaker::from_wire(&name).ok_or_else(|| {
        let found = format!("a text of {} characters", name.chars().count());
        in_turn(Fault::new("speaker", found, "seeker, supporter, speaker, listener, usr or sys"))
    })?;
    let marks = match object.get("annotation") {
        Some(Value::Object(marks)) => marks,
        _ => object,
    };
    let marks = FieldReader::of_object(marks);
    let text = match layout {
        EsconvLayout::Content => "content",
        EsconvLayout::Text => "text",
    };
    Ok(EsconvTurn {
        speaker,
        text: fields.text(text).map_err(in_turn)?,
        strategy: marks.optional_text("strategy").map_err(in_turn)?,
        feedback: marks.optional_id("feedback").map_err(in_turn)?,
    })
}

/// The columns, in the order of the published file. The keys of both layouts of a
/// turn stand in one.
pub(super) fn columns() -> Vec<Column> {
    let text = |name| Column::new(name, ColumnKind::Text);
    let texts = |names: &[&'static str]| ColumnKind::Struct(names.iter().map(|n| text(n)).collect());
    let survey = vec![
        Column::new(
            "seeker",
            texts(&["initial_emotion_intensity", "empathy", "relevance", "final_emotion_intensity"]),
        ),
        Column::new("supporter", texts(&["relevance"])),
    ];
    let turn = vec![
        text("speaker"),
        Column::new("annotation", texts(&["strategy", "feedback"])),
        text("content"),
        text("text"),
        text("strategy"),
        text("feedback"),
    ];
    let mut columns = vec![
        text("experience_type"),
        text("emotion_type"),
        text("problem_type"),
        text("situation"),
        Column::new("survey_score", ColumnKind::Struct(survey)),
        Column::new("dialog", ColumnKind::List(Box::new(ColumnKind::Struct(turn)))),
    ];
    columns.extend(QUESTIONS.map(text));
    columns
}
