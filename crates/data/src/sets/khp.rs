//! KHP: generated conversations of young people with an assistant, with one risk
//! label and nine signals each. Seven layouts of one thing: the files of the
//! pipelines and the master table, the augmented rows, ESConv as the pipeline
//! prepared it, the seed and the submission, and the hub with `s_*` columns.
//! Source: `shared/reference/distress.md`, section 1.1.

use mindrail_core::conversation::Conversation;
use mindrail_core::reader::transcript;
use mindrail_core::taxonomy::Signal;
use serde_json::{Map, Value};

use super::fields::FieldReader;
use super::signals::{self, SignalFlags};
use super::vocabulary::{
    Emotion, EscalationStage, HardnessTrack, Language, Origin, PrimarySignal, Problem, Register, RiskName,
    Term, Topic, Vocabulary,
};
use crate::table::{Column, ColumnKind, Fault};

/// The columns that tell a layout from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KhpLayout {
    /// The files of the pipelines, the master table, prepared ESConv: a `signals`
    /// cell.
    Pipeline,
    /// The augmented rows: the signals as nine columns, `high_risk_any`.
    Augmented,
    /// Seed and submission: `Text`, `Risk`.
    Seed,
    /// The hub: the signals as nine `s_*` columns.
    Hub,
}

/// A conversation of KHP.
#[derive(Debug, Clone, PartialEq)]
pub struct KhpRow {
    /// How its file is laid out.
    pub layout: KhpLayout,
    /// Its name, where the layout has one.
    pub id: Option<String>,
    /// The transcript as it stands in the file.
    pub text: String,
    /// The label: whether the conversation is of high risk.
    pub high_risk: bool,
    /// The signals; `None` where nobody has labelled them.
    pub signals: Option<SignalFlags>,
    /// Where the row comes from.
    pub source: Option<Term<Origin>>,
    /// The signal for which it was written.
    pub primary_signal: Option<Term<PrimarySignal>>,
    /// How far the distress goes.
    pub escalation_stage: Option<Term<EscalationStage>>,
    /// How the person writes.
    pub register: Option<Term<Register>>,
    /// In which language.
    pub language: Option<Term<Language>>,
    /// What makes it hard.
    pub hardness_track: Option<Term<HardnessTrack>>,
    /// The topic.
    pub category: Option<Term<Topic>>,
    /// The problem, of rows made from ESConv.
    pub problem_type: Option<Term<Problem>>,
    /// The emotion, of rows made from ESConv.
    pub emotion_type: Option<Term<Emotion>>,
    /// High or low, of the seed.
    pub risk: Option<Term<RiskName>>,
    /// The persona for which it was written.
    pub persona_id: Option<String>,
    /// The model that wrote it.
    pub model_used: Option<String>,
    /// `n_turns` or `Turns`, which the seed does not define.
    pub stated_turns: Option<i64>,
}

impl KhpRow {
    /// The conversation, read from the transcript.
    pub fn conversation(&self) -> Conversation {
        Conversation { id: self.id.clone(), turns: transcript(&self.text).turns }
    }

    pub(super) fn from_fields(fields: &FieldReader<'_>) -> Result<Self, Fault> {
        let layout = layout(fields);
        let names = Names::of(layout);
        Ok(Self {
            layout,
            id: fields.optional_id(names.id)?,
            text: fields.text(names.text)?,
            high_risk: fields.flag(names.label)?,
            signals: read_signals(fields, layout)?,
            source: term(fields, "source")?,
            primary_signal: term(fields, "primary_signal")?,
            escalation_stage: term(fields, "escalation_stage")?,
            register: term(fields, "register")?,
            language: term(fields, "language")?,
            hardness_track: term(fields, "hardness_track")?,
            category: term(fields, names.category)?,
            problem_type: term(fields, "problem_type")?,
            emotion_type: term(fields, "emotion_type")?,
            risk: term(fields, "Risk")?,
            persona_id: fields.optional_text(names.persona)?,
            model_used: fields.optional_text("model_used")?,
            stated_turns: fields.optional_integer(names.turns)?,
        })
    }

    pub(super) fn to_fields(&self) -> Map<String, Value> {
        let names = Names::of(self.layout);
        let mut map = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(name.to_owned(), value);
            }
        };
        put(names.id, self.id.as_deref().map(Value::from));
        put(names.text, Some(Value::from(self.text.as_str())));
        put(names.label, Some(Value::from(u8::from(self.high_risk))));
        put("source", wire(self.source.as_ref()));
        put("primary_signal", wire(self.primary_signal.as_ref()));
        put("escalation_stage", wire(self.escalation_stage.as_ref()));
        put("register", wire(self.register.as_ref()));
        put("language", wire(self.language.as_ref()));
        put("hardness_track", wire(self.hardness_track.as_ref()));
        put(names.category, wire(self.category.as_ref()));
        put("problem_type", wire(self.problem_type.as_ref()));
        put("emotion_type", wire(self.emotion_type.as_ref()));
        put("Risk", wire(self.risk.as_ref()));
        put(names.persona, self.persona_id.as_deref().map(Value::from));
        put("model_used", self.model_used.as_deref().map(Value::from));
        put(names.turns, self.stated_turns.map(Value::from));
        if let Some(flags) = self.signals {
            write_signals(flags, self.layout, &mut map);
        }
        map
    }
}

/// What the layouts call the same things.
struct Names {
    id: &'static str,
    text: &'static str,
    label: &'static str,
    category: &'static str,
    persona: &'static str,
    turns: &'static str,
}

impl Names {
    const fn of(layout: KhpLayout) -> Self {
        let pipeline = Self {
            id: "conversation_id",
            text: "text",
            label: "label",
            category: "category",
            persona: "persona_id",
            turns: "n_turns",
        };
        match layout {
            KhpLayout::Pipeline | KhpLayout::Hub => pipeline,
            KhpLayout::Augmented => Self { label: "high_risk_any", persona: "persona", ..pipeline },
            KhpLayout::Seed => {
                Self { id: "Conversation_id", text: "Text", category: "Category", turns: "Turns", ..pipeline }
            }
        }
    }
}

fn layout(fields: &FieldReader<'_>) -> KhpLayout {
    if fields.has("Text") {
        KhpLayout::Seed
    } else if fields.has("high_risk_any") {
        KhpLayout::Augmented
    } else if fields.has("s_burden_language") {
        KhpLayout::Hub
    } else {
        KhpLayout::Pipeline
    }
}

fn read_signals(fields: &FieldReader<'_>, layout: KhpLayout) -> Result<Option<SignalFlags>, Fault> {
    match layout {
        KhpLayout::Pipeline => SignalFlags::of_cell(fields, "signals"),
        KhpLayout::Seed => Ok(None),
        KhpLayout::Augmented => SignalFlags::of_columns(fields, |s| s.wire().to_owned()).map(Some),
        KhpLayout::Hub => SignalFlags::of_columns(fields, hub_name).map(Some),
    }
}

fn write_signals(flags: SignalFlags, layout: KhpLayout, map: &mut Map<String, Value>) {
    let as_column = |signal: Signal, name: String| (name, Value::from(u8::from(flags.has(signal))));
    match layout {
        KhpLayout::Pipeline | KhpLayout::Seed => {
            map.insert("signals".to_owned(), flags.to_object());
        }
        KhpLayout::Augmented => {
            map.extend(Signal::ALL.iter().map(|&s| as_column(s, s.wire().to_owned())));
        }
        KhpLayout::Hub => map.extend(Signal::ALL.iter().map(|&s| as_column(s, hub_name(s)))),
    }
}

fn hub_name(signal: Signal) -> String {
    format!("s_{}", signal.wire())
}

/// A name of a vocabulary; an empty one is absent.
pub(super) fn term<T: Vocabulary>(fields: &FieldReader<'_>, name: &str) -> Result<Option<Term<T>>, Fault> {
    Ok(fields.optional_text(name)?.map(|text| Term::of(&text)))
}

pub(super) fn wire<T: Vocabulary>(term: Option<&Term<T>>) -> Option<Value> {
    term.map(|term| Value::from(term.wire()))
}

/// All columns of all layouts, in the order of the files.
pub(super) fn columns() -> Vec<Column> {
    const TEXTS: [&str; 17] = [
        "conversation_id",
        "Conversation_id",
        "Text",
        "text",
        "Category",
        "Risk",
        "source",
        "primary_signal",
        "escalation_stage",
        "register",
        "language",
        "persona_id",
        "persona",
        "category",
        "hardness_track",
        "model_used",
        "problem_type",
    ];
    const HUB: [&str; 9] = [
        "s_burden_language",
        "s_finality_language",
        "s_escape_framing",
        "s_hopelessness",
        "s_active_self_harm",
        "s_immediate_safety",
        "s_self_image_crisis",
        "s_third_party_concern",
        "s_testing",
    ];
    let mut columns: Vec<Column> = TEXTS.map(|name| Column::new(name, ColumnKind::Text)).into();
    columns.push(Column::new("emotion_type", ColumnKind::Text));
    let integers = ["label", "high_risk_any", "n_turns", "Turns"];
    columns.extend(integers.map(|name| Column::new(name, ColumnKind::Integer)));
    columns.push(signals::column());
    columns.extend(HUB.map(|name| Column::new(name, ColumnKind::Integer)));
    columns.extend(Signal::ALL.iter().map(|s| Column::new(s.wire(), ColumnKind::Integer)));
    columns
}
