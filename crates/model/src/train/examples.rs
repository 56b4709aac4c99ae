//! Training data: conversations with whatever labels their source has, as
//! tokens and features.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use mindrail_core::conversation::{Conversation, Role, Turn};
use mindrail_core::language::{Language, LanguageCounts};
use mindrail_core::probability::Probability;
use mindrail_core::reader::{self, Format, ReadError, ReadOptions};
use mindrail_core::taxonomy::{
    CrisisLabel, Harm, ReplyClass, Scores, Severity, Signal, Stage, Taxonomy, Tense,
};
use serde::{Deserialize, Serialize};

use super::targets::Targets;
use crate::tokenizer::Tokenizer;

/// The kinds of files that can be trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// JSONL in the corpus format: turn-level labels of all taxonomies.
    Corpus,
    /// CSV with `text`, `label` and a `signals` object: labels of the whole
    /// conversation only.
    ConversationCsv,
    /// Conversations without labels, in any format that the reader reads. They need a
    /// teacher.
    Conversations,
}

/// One training source. Each source is one author's or one generator's voice,
/// so a split by source is a split by author.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The file.
    pub path: PathBuf,
    /// Its format.
    pub kind: SourceKind,
    /// Its licence, for the model card.
    pub licence: String,
    /// The cross-fitting fold that holds this source out.
    pub fold: usize,
    /// Weight of the source's losses in the deep part; 1 for the corpus.
    pub weight: f32,
    /// Weight of its rows in the wide part; 1 for the corpus.
    pub wide_weight: f32,
    /// At most this many rows in each epoch, drawn anew; all if absent.
    #[serde(default)]
    pub rows_per_epoch: Option<usize>,
    /// At most this many user turns of a row in each epoch, drawn anew; all if
    /// absent.
    #[serde(default)]
    pub turns_per_row: Option<usize>,
}

impl Source {
    /// Whether the file's name begins so.
    pub(super) fn is_named(&self, beginning: &str) -> bool {
        self.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning))
    }
}

/// A conversation with its labels.
#[derive(Debug, Clone)]
pub struct Example {
    /// Source file and row.
    pub id: String,
    /// Index of its source.
    pub source: usize,
    /// Language of the user turns.
    pub language: Language,
    /// The turns up to and including the last user turn.
    pub turns: Vec<LabelledTurn>,
    /// The nine signals of the conversation, 0 or 1.
    pub signals: Option<Vec<f32>>,
    /// Whether a human should step in now.
    pub high_risk: Option<bool>,
    /// Replies to be judged, each after a user turn.
    pub replies: Vec<LabelledReply>,
    /// What to aim at in place of the labels, where a teacher has judged.
    pub(super) soft: Option<Targets>,
    /// What the teacher said, where its calls stand in for labels.
    pub(super) said: Said,
}

/// The probabilities behind a teacher's calls of a conversation. Blend and calibration
/// follow these, thresholds the calls: fitted to calls, a grave signal that the teacher
/// gives 0.8 would become a certain one, and raise risk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    /// Risk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) risk: Option<Probability>,
    /// Whether that reaches its threshold for support.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) support: Option<bool>,
    /// The nine signals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signals: Option<Scores<Signal>>,
}

impl Said {
    /// Whether nothing was said.
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A turn with its labels.
#[derive(Debug, Clone)]
pub struct LabelledTurn {
    /// Who speaks.
    pub role: Role,
    /// What a model may see of the text.
    pub text: String,
    /// The first segment's tokens.
    pub tokens: Vec<u32>,
    /// Crisis labels that begin here; `None` where the source has none.
    pub crisis: Option<Vec<CrisisLabel>>,
}

/// A reply with its labels.
#[derive(Debug, Clone)]
pub struct LabelledReply {
    /// Index of the user turn that it answers.
    pub after: usize,
    /// What a model may see of the text.
    pub text: String,
    /// The first segment's tokens.
    pub tokens: Vec<u32>,
    /// Whether it is a turn of the conversation.
    pub origin: ReplyOrigin,
    /// Its class, where labelled.
    pub class: Option<ReplyClass>,
    /// Harms and severity, where labelled.
    pub harm: Option<(Vec<Harm>, Severity)>,
    /// What the teacher said of harms, where its calls stand in for labels; see [`Said`].
    pub(super) said: Option<Scores<Harm>>,
}

/// Where a reply comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyOrigin {
    /// It is the conversation's own next turn.
    Said,
    /// It was written beside the conversation, to be judged in its place.
    Variant,
}

impl LabelledReply {
    /// Harms and severity, where they are known. The corpus labels them on the
    /// written variants; of a listener's turn that is a Safe Response its guidelines
    /// say that it does no harm. The deep part learns from the variants alone, since
    /// those turns would be most of what it sees.
    pub fn known_harm(&self) -> Option<(Vec<Harm>, Severity)> {
        let is_safe = self.class.is_some_and(ReplyClass::is_safe);
        self.harm.clone().or_else(|| is_safe.then_some((Vec::new(), Severity::None)))
    }
}

/// A file that cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be read.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A row is not in the source's format.
    #[error("{path}:{line}: {reason}")]
    Row {
        /// The file.
        path: PathBuf,
        /// The line on which the row starts, from 1.
        line: usize,
        /// What is wrong with it; never its text.
        reason: String,
    },
    /// The reader cannot read the file or a row of it.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Example {
    /// Indices of the user turns.
    pub fn user_turns(&self) -> Vec<usize> {
        (0..self.turns.len()).filter(|&i| self.turns[i].role == Role::User).collect()
    }

    /// What a training aims at: what the teacher made of it, else the labels.
    pub(super) fn targets(&self) -> Cow<'_, Targets> {
        self.soft.as_ref().map_or_else(|| Cow::Owned(Targets::of_labels(self)), Cow::Borrowed)
    }

    /// Whether anything is labelled.
    pub fn has_labels(&self) -> bool {
        let has_labelled_replies = self.replies.iter().any(|r| r.class.is_some() || r.harm.is_some());
        self.high_risk.is_some()
            || self.signals.is_some()
            || self.has_labelled_turns()
            || has_labelled_replies
    }

    /// Whether the source says at which turns crises begin.
    pub fn has_labelled_turns(&self) -> bool {
        self.turns.iter().any(|t| t.crisis.is_some())
    }

    /// Whether a human should step in at each turn, for sources with crisis
    /// labels: from the first ongoing Confirm on in a high-risk conversation;
    /// not before its first label, and never in a low-risk one. `None` between.
    pub fn turn_risks(&self) -> Vec<Option<bool>> {
        let begins = |wanted: &dyn Fn(CrisisLabel) -> bool| {
            self.turns.iter().position(|t| t.crisis.iter().flatten().any(|&label| wanted(label)))
        };
        let first_sign = begins(&|_| true);
        let confirmed = begins(&|l| l.tense() == Tense::Ongoing && l.stage() != Stage::Alert);
        (0..self.turns.len())
            .map(|turn| match self.high_risk {
                Some(false) => Some(false),
                Some(true) if confirmed.is_some_and(|from| turn >= from) => Some(true),
                Some(true) if first_sign.is_some_and(|from| turn < from) => Some(false),
                _ => None,
            })
            .collect()
    }
}

/// Reads one source.
///
/// # Errors
/// [`DataError`] names the file and, for a bad row, its line.
pub fn load(source: &Source, index: usize, tokenizer: &Tokenizer) -> Result<Vec<Example>, DataError> {
    let bytes =
        std::fs::read(&source.path).map_err(|e| DataError::Io { path: source.path.clone(), source: e })?;
    let builder = Builder { path: &source.path, index, tokenizer };
    match source.kind {
        SourceKind::Corpus => builder.corpus(&bytes),
        SourceKind::ConversationCsv => builder.conversation_csv(&bytes),
        SourceKind::Conversations => builder.conversations(&bytes),
    }
}

struct Builder<'a> {
    path: &'a Path,
    index: usize,
    tokenizer: &'a Tokenizer,
}

#[derive(Deserialize)]
struct CorpusRow {
    id: String,
    turns: Vec<CorpusTurn>,
    signals: std::collections::BTreeMap<Signal, u8>,
    high_risk: u8,
    replies: Vec<CorpusReply>,
}

#[derive(Deserialize)]
struct CorpusTurn {
    role: Role,
    text: String,
    #[serde(default)]
    crisis: Vec<CrisisLabel>,
    response: Option<ReplyClass>,
}

#[derive(Deserialize)]
struct CorpusReply {
    after_turn: usize,
    text: String,
    response: ReplyClass,
    harm: Vec<Harm>,
    severity: Severity,
}

#[derive(Deserialize)]
struct CsvLabels {
    text: String,
    label: u8,
    signals: String,
}

impl Builder<'_> {
    #[expect(clippy::needless_pass_by_value, reason = "errors are passed as they come from map_err")]
    fn row_error(&self, line: usize, reason: impl ToString) -> DataError {
        DataError::Row { path: self.path.to_owned(), line, reason: reason.to_string() }
    }

    fn corpus(&self, bytes: &[u8]) -> Result<Vec<Example>, DataError> {
        bytes
            .split(|&b| b == b'\n')
            .enumerate()
            .filter(|(_, line)| !line.trim_ascii().is_empty())
            .map(|(number, line)| {
                let row: CorpusRow =
                    serde_json::from_slice(line).map_err(|e| self.row_error(number + 1, without_text(&e)))?;
                self.corpus_example(row)
                    .ok_or_else(|| self.row_error(number + 1, "the conversation has no user turn"))
            })
            .collect()
    }

    fn corpus_example(&self, row: CorpusRow) -> Option<Example> {
        let last_user = row.turns.iter().rposition(|t| t.role == Role::User)?;
        let mut replies = Vec::new();
        for (i, turn) in row.turns.iter().enumerate() {
            let answered = i.checked_sub(1).filter(|&before| row.turns[before].role == Role::User);
            if let (Some(class), Some(before)) = (turn.response, answered) {
                replies.push(LabelledReply { class: Some(class), ..self.said(before, &turn.text) });
            }
        }
        for reply in row.replies {
            replies.push(LabelledReply {
                origin: ReplyOrigin::Variant,
                class: Some(reply.response),
                harm: Some((reply.harm, reply.severity)),
                ..self.said(reply.after_turn, &reply.text)
            });
        }
        replies.retain(|reply| reply.after <= last_user);
        let turns = row.turns.into_iter().take(last_user + 1).map(|t| {
            let crisis = (t.role == Role::User).then_some(t.crisis);
            self.turn(t.role, &t.text, crisis)
        });
        let signals =
            Signal::ALL.iter().map(|s| f32::from(row.signals.get(s).copied().unwrap_or(0))).collect();
        let labels = (Some(signals), Some(row.high_risk == 1));
        Some(self.example(row.id, turns.collect(), labels, replies))
    }

    fn conversation_csv(&self, bytes: &[u8]) -> Result<Vec<Example>, DataError> {
        let mut examples = Vec::new();
        let mut reader = csv::Reader::from_reader(bytes);
        let headers = reader.headers().map_err(|e| self.row_error(1, e))?.clone();
        for record in reader.into_records() {
            let record = record.map_err(|e| self.row_error(1, e))?;
            let line = record.position().map_or(0, |p| p.line() as usize);
            let row: CsvLabels = record.deserialize(Some(&headers)).map_err(|e| self.row_error(line, e))?;
            examples.push(self.csv_example(&row, line)?);
        }
        Ok(examples)
    }

    fn csv_example(&self, row: &CsvLabels, line: usize) -> Result<Example, DataError> {
        let options = ReadOptions { format: Format::Transcript, ..ReadOptions::default() };
        let conversation = reader::read(row.text.as_bytes(), &options)
            .map_err(|e| self.row_error(line, e))?
            .next()
            .ok_or_else(|| self.row_error(line, "the text column is empty"))?
            .map_err(|e| self.row_error(line, e))?
            .conversation;
        let last_user = conversation.turns.iter().rposition(|t| t.role == Role::User);
        let last_user = last_user.ok_or_else(|| self.row_error(line, "the conversation has no user turn"))?;
        let turns =
            conversation.turns.iter().take(last_user + 1).map(|t| self.turn(t.role, &t.text, None)).collect();
        let signals = parse_signals(&row.signals).map_err(|e| self.row_error(line, e))?;
        Ok(self.example(self.id(line), turns, (signals, Some(row.label == 1)), Vec::new()))
    }

    /// The name of a row that has none of its own.
    fn id(&self, line: usize) -> String {
        format!("{}:{line}", self.path.file_stem().unwrap_or_default().to_string_lossy())
    }

    fn conversations(&self, bytes: &[u8]) -> Result<Vec<Example>, DataError> {
        let source_name = self.path.display().to_string();
        let rows = reader::read(bytes, &ReadOptions { source_name, ..ReadOptions::default() })?;
        rows.map(|row| {
            let row = row?;
            self.unlabelled(row.conversation, row.line)
                .ok_or_else(|| self.row_error(row.line, "the conversation has no user turn"))
        })
        .collect()
    }

    /// A conversation without labels. Each listener's turn right after one of the person's
    /// is a reply that a teacher may judge.
    fn unlabelled(&self, conversation: Conversation, line: usize) -> Option<Example> {
        let turns = conversation.turns;
        let last_user = turns.iter().rposition(|t| t.role == Role::User)?;
        let answers = |pair: &[Turn]| pair[0].role == Role::User && pair[1].role == Role::Assistant;
        let replies = turns.windows(2).enumerate().filter(|(_, pair)| answers(pair));
        let replies = replies.map(|(before, pair)| self.said(before, &pair[1].text)).collect();
        let id = conversation.id.unwrap_or_else(|| self.id(line));
        let turns = turns.iter().take(last_user + 1).map(|t| self.turn(t.role, &t.text, None)).collect();
        Some(self.example(id, turns, (None, None), replies))
    }

    fn turn(&self, role: Role, text: &str, crisis: Option<Vec<CrisisLabel>>) -> LabelledTurn {
        let text = reader::plain_text(text).into_owned();
        LabelledTurn { role, tokens: self.tokens(&text), text, crisis }
    }

    /// A turn of the conversation as a reply, without labels.
    fn said(&self, after: usize, text: &str) -> LabelledReply {
        let text = reader::plain_text(text).into_owned();
        let tokens = self.tokens(&text);
        LabelledReply { after, tokens, text, origin: ReplyOrigin::Said, class: None, harm: None, said: None }
    }

    /// The first segment; a text without any token becomes the two marks.
    fn tokens(&self, text: &str) -> Vec<u32> {
        let first = self.tokenizer.segments(text).segments.into_iter().next();
        first.unwrap_or_else(|| self.tokenizer.empty())
    }

    fn example(
        &self,
        id: String,
        turns: Vec<LabelledTurn>,
        (signals, high_risk): (Option<Vec<f32>>, Option<bool>),
        replies: Vec<LabelledReply>,
    ) -> Example {
        let mut counts = LanguageCounts::default();
        for turn in turns.iter().filter(|t| t.role == Role::User) {
            counts.read(&turn.text);
        }
        Example {
            id,
            source: self.index,
            language: counts.language(),
            turns,
            signals,
            high_risk,
            replies,
            soft: None,
            said: Said::default(),
        }
    }
}

/// What serde says of a row without what it found there, which may be what
/// somebody wrote.
fn without_text(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Data => "a field is missing or of another kind",
        serde_json::error::Category::Eof => "the JSON ends too early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "not valid JSON",
    };
    format!("{kind} at column {}; expected a row as corpus/README.md describes it", error.column())
}

/// The nine signals of a `signals` cell: an object with all nine names, or an
/// empty list where the source has no signals.
fn parse_signals(cell: &str) -> Result<Option<Vec<f32>>, String> {
    if cell.trim() == "[]" || cell.trim().is_empty() {
        return Ok(None);
    }
    let found: std::collections::BTreeMap<Signal, u8> =
        serde_json::from_str(cell).map_err(|e| format!("signals: {}", without_text(&e)))?;
    Signal::ALL
        .iter()
        .map(|signal| {
            found
                .get(signal)
                .map(|&v| f32::from(v))
                .ok_or_else(|| format!("signals: `{}` is missing", signal.wire()))
        })
        .collect::<Result<_, _>>()
        .map(Some)
}
