//! What the rows of each data set mean. A [`DataSet`] is found from the columns of
//! a file's first row, or named; [`read`] gives typed rows, of which a bad one is
//! an error with place, field, kind found and expected, and does not end the
//! others. [`convert`] writes rows of one file format as another.

mod corpus;
mod cradle;
mod esconv;
mod fields;
mod harm;
mod khp;
mod posts;
mod replies;
mod signals;
mod vocabulary;

use std::iter::Peekable;
use std::path::Path;

use mindrail_core::conversation::Conversation;
use serde_json::{Map, Value};

pub use self::corpus::{CorpusReply, CorpusRow, CorpusTurn};
pub use self::cradle::{CradleDialogue, CradleRow, CradleTurn, Dialogues, Irregularity};
pub use self::esconv::{EsconvDialogue, EsconvLayout, EsconvTurn};
pub use self::fields::FieldReader;
pub use self::harm::{BeaverTailsRow, PairVersion, PromptRow, QuestionAnswer, Reply, ReplyPair, Side};
pub use self::khp::{KhpLayout, KhpRow};
pub use self::posts::CradlePost;
pub use self::replies::DialogueSafetyRow;
pub use self::signals::SignalFlags;
pub use self::vocabulary::{
    BeaverHarm, Emotion, EscalationStage, HardnessTrack, Language, Origin, PostLabel, PrimarySignal, Problem,
    PromptSource, Register, RiskName, Speaker, Term, Topic, Vocabulary,
};

use crate::table::{self, Column, DataError, Fault, Place, Record, Records, TableFormat, TableWriter};

/// A data set that Mindrail knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataSet {
    /// KHP Youth Mental Health Guardrail, in all its layouts.
    Khp,
    /// CRADLE-Dialogue: one row per turn, onsets.
    CradleDialogue,
    /// CRADLE-Bench: posts.
    CradleBench,
    /// DialogueSafety: a context, a reply, its class.
    DialogueSafety,
    /// PKU-SafeRLHF, version 1 ("dual").
    SafeRlhf,
    /// PKU-SafeRLHF, version 0, and its 30K and 10K parts.
    SafeRlhfV0,
    /// PKU-SafeRLHF-single-dimension.
    SafeRlhfSingle,
    /// PKU-SafeRLHF-QA.
    SafeRlhfQa,
    /// PKU-SafeRLHF-prompt, and the evaluation prompts of `BeaverTails`.
    SafeRlhfPrompt,
    /// `BeaverTails`.
    BeaverTails,
    /// ESConv.
    Esconv,
    /// The project's corpus.
    Corpus,
}

impl DataSet {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Khp,
        Self::CradleDialogue,
        Self::CradleBench,
        Self::DialogueSafety,
        Self::SafeRlhf,
        Self::SafeRlhfV0,
        Self::SafeRlhfSingle,
        Self::SafeRlhfQa,
        Self::SafeRlhfPrompt,
        Self::BeaverTails,
        Self::Esconv,
        Self::Corpus,
    ];

    /// The name on the command line.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Khp => "khp",
            Self::CradleDialogue => "cradle-dialogue",
            Self::CradleBench => "cradle-bench",
            Self::DialogueSafety => "dialogue-safety",
            Self::SafeRlhf => "saferlhf",
            Self::SafeRlhfV0 => "saferlhf-v0",
            Self::SafeRlhfSingle => "saferlhf-single-dimension",
            Self::SafeRlhfQa => "saferlhf-qa",
            Self::SafeRlhfPrompt => "saferlhf-prompt",
            Self::BeaverTails => "beavertails",
            Self::Esconv => "esconv",
            Self::Corpus => "corpus",
        }
    }

    /// The data set of a name.
    pub fn from_wire(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.wire() == name)
    }

    /// The columns by which a row of the data set is told from others. The sets
    /// are asked in an order in which the richer one comes first.
    const fn marks(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::CradleDialogue => &[&["turn_id", "text", "labels"]],
            Self::CradleBench => &[&["question_id", "question_text", "final_labels"]],
            Self::DialogueSafety => &[&["context", "response", "label"]],
            Self::SafeRlhf => &[&["prompt", "response_0", "response_1", "response_0_severity_level"]],
            Self::SafeRlhfV0 => &[&["prompt", "response_0", "response_1", "is_response_0_safe"]],
            Self::SafeRlhfSingle => &[&["prompt", "response_0", "response_1", "better_response_id"]],
            Self::SafeRlhfQa => &[&["prompt", "response", "severity_level"]],
            Self::BeaverTails => &[&["prompt", "response", "is_safe"]],
            Self::SafeRlhfPrompt => &[&["prompt"]],
            Self::Esconv => &[&["dialog"]],
            Self::Corpus => &[&["id", "turns", "signals", "high_risk"]],
            Self::Khp => {
                &[&["text", "label"], &["text", "high_risk_any"], &["Text", "Risk"], &["Text", "label"]]
            }
        }
    }

    /// The data set of a record, from its columns.
    pub fn detect(fields: &Map<String, Value>) -> Option<Self> {
        const ORDER: [DataSet; 12] = [
            DataSet::CradleDialogue,
            DataSet::CradleBench,
            DataSet::DialogueSafety,
            DataSet::SafeRlhf,
            DataSet::SafeRlhfV0,
            DataSet::SafeRlhfSingle,
            DataSet::SafeRlhfQa,
            DataSet::BeaverTails,
            DataSet::Esconv,
            DataSet::Corpus,
            DataSet::Khp,
            DataSet::SafeRlhfPrompt,
        ];
        let has_all = |names: &&[&str]| names.iter().all(|name| fields.contains_key(*name));
        let is_of = |set: &DataSet| match set {
            // A prompt with replies under other names is something else.
            Self::SafeRlhfPrompt => {
                fields.contains_key("prompt") && !fields.keys().any(|name| name.contains("response"))
            }
            _ => set.marks().iter().any(has_all),
        };
        ORDER.into_iter().find(is_of)
    }

    /// All columns that a file of the data set may have, in the order of its files.
    pub fn columns(self) -> Vec<Column> {
        match self {
            Self::Khp => khp::columns(),
            Self::CradleDialogue => cradle::columns(),
            Self::CradleBench => posts::columns(),
            Self::DialogueSafety => replies::columns(),
            Self::SafeRlhf => harm::pair_columns(PairVersion::V1),
            Self::SafeRlhfV0 => harm::pair_columns(PairVersion::V0),
            Self::SafeRlhfSingle => harm::pair_columns(PairVersion::Single),
            Self::SafeRlhfQa => harm::answer_columns(),
            Self::SafeRlhfPrompt => harm::prompt_columns(),
            Self::BeaverTails => harm::beaver_columns(),
            Self::Esconv => esconv::columns(),
            Self::Corpus => corpus::columns(),
        }
    }
}

/// A row of a data set, as it stands in its file: a conversation, or of
/// CRADLE-Dialogue a turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A conversation of KHP.
    Khp(Box<KhpRow>),
    /// A turn of CRADLE-Dialogue.
    CradleTurn(CradleRow),
    /// A post of CRADLE-Bench.
    CradlePost(CradlePost),
    /// A context and a reply.
    DialogueSafety(DialogueSafetyRow),
    /// A prompt and two replies.
    Pair(Box<ReplyPair>),
    /// A prompt and a reply of PKU-SafeRLHF-QA.
    Answer(Box<QuestionAnswer>),
    /// A prompt.
    Prompt(PromptRow),
    /// A prompt and a reply of `BeaverTails`.
    BeaverTails(BeaverTailsRow),
    /// A dialogue of ESConv.
    Esconv(Box<EsconvDialogue>),
    /// A conversation of the corpus.
    Corpus(Box<CorpusRow>),
}

impl Row {
    /// Reads a record as a row of a data set.
    ///
    /// # Errors
    /// With the field, what was found and what was expected.
    pub fn from_record(set: DataSet, record: &Record) -> Result<Self, DataError> {
        let fields = FieldReader::new(record);
        Self::from_fields(set, &fields).map_err(|fault| fault.at(&record.place))
    }

    fn from_fields(set: DataSet, fields: &FieldReader<'_>) -> Result<Self, Fault> {
        let pair = |version| Ok(Self::Pair(Box::new(ReplyPair::from_fields(fields, version)?)));
        Ok(match set {
            DataSet::Khp => Self::Khp(Box::new(KhpRow::from_fields(fields)?)),
            DataSet::CradleDialogue => Self::CradleTurn(CradleRow::from_fields(fields)?),
            DataSet::CradleBench => Self::CradlePost(CradlePost::from_fields(fields)?),
            DataSet::DialogueSafety => Self::DialogueSafety(DialogueSafetyRow::from_fields(fields)?),
            DataSet::SafeRlhf => return pair(PairVersion::V1),
            DataSet::SafeRlhfV0 => return pair(PairVersion::V0),
            DataSet::SafeRlhfSingle => return pair(PairVersion::Single),
            DataSet::SafeRlhfQa => Self::Answer(Box::new(QuestionAnswer::from_fields(fields)?)),
            DataSet::SafeRlhfPrompt => Self::Prompt(PromptRow::from_fields(fields)?),
            DataSet::BeaverTails => Self::BeaverTails(BeaverTailsRow::from_fields(fields)?),
            DataSet::Esconv => Self::Esconv(Box::new(EsconvDialogue::from_fields(fields)?)),
            DataSet::Corpus => Self::Corpus(Box::new(CorpusRow::from_fields(fields)?)),
        })
    }

    /// The row as it is written: the columns of [`DataSet::columns`] that it has.
    pub fn to_fields(&self) -> Map<String, Value> {
        match self {
            Self::Khp(row) => row.to_fields(),
            Self::CradleTurn(row) => row.to_fields(),
            Self::CradlePost(row) => row.to_fields(),
            Self::DialogueSafety(row) => row.to_fields(),
            Self::Pair(row) => row.to_fields(),
            Self::Answer(row) => row.to_fields(),
            Self::Prompt(row) => row.to_fields(),
            Self::BeaverTails(row) => row.to_fields(),
            Self::Esconv(row) => row.to_fields(),
            Self::Corpus(row) => row.to_fields(),
        }
    }
}

/// What checks, statistics and benchmarks look at: a row, or of CRADLE-Dialogue a
/// whole dialogue.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// A row that stands for itself, and where it stands.
    Row(Place, Row),
    /// A dialogue made of several rows.
    Dialogue(CradleDialogue),
}

impl Sample {
    /// The conversations of the sample: none of a lone CRADLE turn, two of a pair.
    ///
    /// # Errors
    /// If the core's reader finds no conversation in the row.
    pub fn conversations(&self) -> Result<Vec<Conversation>, DataError> {
        let row = match self {
            Self::Dialogue(dialogue) => return Ok(vec![dialogue.conversation()]),
            Self::Row(_, row) => row,
        };
        Ok(match row {
            Row::Khp(row) => vec![row.conversation()],
            Row::CradleTurn(_) => Vec::new(),
            Row::CradlePost(row) => vec![row.conversation()],
            Row::DialogueSafety(row) => vec![row.conversation().map_err(|fault| fault.at(self.place()))?],
            Row::Pair(row) => [Side::First, Side::Second].map(|side| row.conversation(side)).into(),
            Row::Answer(row) => vec![row.conversation()],
            Row::Prompt(row) => vec![row.conversation()],
            Row::BeaverTails(row) => vec![row.conversation()],
            Row::Esconv(row) => vec![row.conversation()],
            Row::Corpus(row) => vec![row.conversation()],
        })
    }

    /// Where the sample begins.
    pub fn place(&self) -> &Place {
        match self {
            Self::Row(place, _) => place,
            // A dialogue is begun by its first turn.
            Self::Dialogue(dialogue) => &dialogue.turns[0].place,
        }
    }
}

/// The rows of a file as they stand in it.
pub struct RowReader {
    records: Peekable<Records>,
    set: DataSet,
    format: TableFormat,
    extra: usize,
    columns: Vec<Column>,
}

impl RowReader {
    /// Opens a file; the data set is found from its first good row if it is not
    /// named.
    ///
    /// # Errors
    /// If the file cannot be read, or is of no known data set.
    pub fn open(path: &Path, set: Option<DataSet>) -> Result<Self, DataError> {
        let set = match set {
            Some(set) => set,
            None => first_of_a_set(path)?,
        };
        let records = table::read(path)?;
        let format = records.format();
        let mut records = records.peekable();
        let mut columns = set.columns();
        let mut extra = 0;
        if let Some(Ok(first)) = records.peek() {
            extra = first.fields.keys().filter(|key| columns.iter().all(|c| c.name != *key)).count();
            // Other sets may lack a column in the first row and have it later.
            if set == DataSet::Khp || matches!(format, TableFormat::Csv | TableFormat::Parquet) {
                columns.retain(|column| first.fields.contains_key(column.name));
            }
        }
        Ok(Self { records, set, format, extra, columns })
    }

    /// The data set.
    pub const fn set(&self) -> DataSet {
        self.set
    }

    /// The format of the file.
    pub const fn format(&self) -> TableFormat {
        self.format
    }

    /// Columns of the first row that are not the data set's, and are not read.
    pub const fn unread_columns(&self) -> usize {
        self.extra
    }

    /// The columns of the data set that the file has, as far as its first row
    /// tells; those with which it is written.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }
}

impl Iterator for RowReader {
    type Item = Result<(Place, Row), DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let set = self.set;
        let record = self.records.next()?;
        Some(record.and_then(|record| Ok((record.place.clone(), Row::from_record(set, &record)?))))
    }
}

/// The data set of the first record that is of one, among the first few.
fn first_of_a_set(path: &Path) -> Result<DataSet, DataError> {
    const LOOKED_AT: usize = 5;
    let name = path.display();
    let mut found = "no readable row".to_owned();
    for record in table::read(path)?.take(LOOKED_AT) {
        match record {
            Ok(record) => match DataSet::detect(&record.fields) {
                Some(set) => return Ok(set),
                None => found = format!("{} columns of no known data set", record.fields.len()),
            },
            Err(error @ (DataError::File { .. } | DataError::Io { .. })) => return Err(error),
            Err(DataError::Row { .. }) => {}
        }
    }
    let names: Vec<&str> = DataSet::ALL.iter().map(|set| set.wire()).collect();
    Err(DataError::file(name, found, format!("a row of one of {}", names.join(", "))))
}

/// The samples of a file.
pub enum Samples {
    /// Rows that stand for themselves.
    Rows(RowReader),
    /// Dialogues made of several rows.
    Dialogues(Box<Dialogues<CradleRows>>),
}

/// The turns of a CRADLE-Dialogue file.
pub struct CradleRows(RowReader);

impl Iterator for CradleRows {
    type Item = Result<(Place, CradleRow), DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            return Some(match self.0.next()? {
                Ok((place, Row::CradleTurn(row))) => Ok((place, row)),
                // The reader gives the rows of its set only.
                Ok(_) => continue,
                Err(error) => Err(error),
            });
        }
    }
}

/// Reads the samples of a file; the data set is found from its first good row if
/// it is not named.
///
/// # Errors
/// If the file cannot be read, or is of no known data set.
pub fn read(path: &Path, set: Option<DataSet>) -> Result<(DataSet, Samples), DataError> {
    let rows = RowReader::open(path, set)?;
    let set = rows.set();
    Ok((
        set,
        match set {
            DataSet::CradleDialogue => Samples::Dialogues(Box::new(Dialogues::new(CradleRows(rows)))),
            _ => Samples::Rows(rows),
        },
    ))
}

impl Iterator for Samples {
    type Item = Result<Sample, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Rows(rows) => Some(rows.next()?.map(|(place, row)| Sample::Row(place, row))),
            Self::Dialogues(dialogues) => Some(dialogues.next()?.map(Sample::Dialogue)),
        }
    }
}

/// What became of the rows of a file.
#[derive(Debug, Default)]
pub struct Converted {
    /// Rows written.
    pub written: usize,
    /// Rows that could not be read or written, the first few of them.
    pub errors: Vec<DataError>,
    /// How many rows could not be read or written.
    pub bad: usize,
    /// Columns that are not the data set's, and are left out.
    pub left_out: usize,
}

/// Errors that are kept; the rest is counted.
const KEPT_ERRORS: usize = 10;

/// Writes the rows of a file in another format, one by one.
///
/// # Errors
/// If a file as a whole cannot be read or written; what was written stays.
pub fn convert(rows: RowReader, to: &Path, format: TableFormat) -> Result<Converted, DataError> {
    let mut done = Converted { left_out: rows.unread_columns(), ..Converted::default() };
    let mut writer = TableWriter::create(to, format, rows.columns().to_vec())?;
    for row in rows {
        let bad = match row {
            Ok((place, row)) => writer.write(row.to_fields())?.err().map(|fault| fault.at(&place)),
            Err(error) => Some(error),
        };
        if let Some(error) = bad {
            done.bad += 1;
            if done.errors.len() < KEPT_ERRORS {
                done.errors.push(error);
            }
        }
    }
    done.written = writer.finish()?;
    Ok(done)
}
