//! From files of any data set to the items of a protocol. An item's id is the
//! row's own where it has one, `dialogue-N` for CRADLE (N from 0), and `row-N`
//! elsewhere (N from 1, as `mindrail data` counts); with several files, each id
//! has the file's name without its extension and a colon before it.
//!
//! Rows that cannot be read are kept as errors; rows that have no gold for the
//! protocol are counted. Neither is ever silently left out of a report.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mindrail_core::taxonomy::{Signal, Taxonomy};
use mindrail_data::sets::{self, DataSet, KhpRow, Row, Sample, SignalFlags, Vocabulary};
use mindrail_data::table::DataError;

use crate::protocol::Protocol;
use crate::protocol::crisis::{self, Crisis, LabelledDialogue};
use crate::protocol::distress::{self, Distress, LabelledConversation};
use crate::protocol::harm::{self, Harm, HarmItem};
use crate::protocol::reply::{self, Reply, ReplyItem};
use crate::system::ItemOf;

/// A protocol whose items come from data sets.
pub trait FromSamples: Protocol {
    /// What a sample becomes before items are made of all of them.
    type Row;

    /// The rows of a sample; none where it has no gold for this protocol.
    fn rows(&self, sample: &Sample, name: &str) -> Vec<Self::Row>;

    /// Items of all rows.
    fn items(&self, rows: Vec<Self::Row>) -> Vec<ItemOf<Self>>;
}

/// The items of some files.
#[derive(Debug)]
pub struct Gold<I> {
    /// The data sets, with commas.
    pub set: String,
    /// File names with their SHA-256.
    pub files: BTreeMap<String, String>,
    /// The items, in file order.
    pub items: Vec<I>,
    /// Rows that cannot be read.
    pub errors: Vec<DataError>,
    /// Samples that have no gold for the protocol.
    pub without_gold: usize,
}

/// What stops the reading of gold items.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be read at all.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file cannot be hashed.
    #[error("{file}: {source}", file = .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Two items have one id, so that predictions could not be told apart.
    #[error(
        "{count} ids stand for several items, the first in the order of the files is item {item}; expected an id of its own for each"
    )]
    SameId {
        /// Such ids.
        count: usize,
        /// Place of the first repeated item, from 1.
        item: usize,
    },
}

/// Reads the items of files, of which `set` names the data set where it cannot
/// be told from their columns.
///
/// # Errors
/// [`SourceError`]. A bad row is none: it is kept in [`Gold::errors`].
pub fn read_gold<P: FromSamples>(
    protocol: &P,
    files: &[PathBuf],
    set: Option<DataSet>,
) -> Result<Gold<ItemOf<P>>, SourceError> {
    let mut gold = Gold {
        set: String::new(),
        files: BTreeMap::new(),
        items: Vec::new(),
        errors: Vec::new(),
        without_gold: 0,
    };
    let (mut rows, mut found) = (Vec::new(), BTreeSet::new());
    for file in files {
        let name = name_of(file);
        // Two files of one name in two folders are two files.
        let name = if gold.files.contains_key(&name) { file.display().to_string() } else { name };
        gold.files.insert(name, sha256_of(file)?);
        let (set, samples) = sets::read(file, set)?;
        found.insert(set.wire());
        let prefix = if files.len() > 1 { format!("{}:", stem(file)) } else { String::new() };
        for sample in samples {
            let sample = match sample {
                Ok(sample) => sample,
                Err(error) => {
                    gold.errors.push(error);
                    continue;
                }
            };
            let more = protocol.rows(&sample, &format!("{prefix}{}", own_name(&sample)));
            gold.without_gold += usize::from(more.is_empty());
            rows.extend(more);
        }
    }
    gold.items = protocol.items(rows);
    gold.set = found.into_iter().collect::<Vec<_>>().join(", ");
    check_ids::<P>(&gold.items)?;
    Ok(gold)
}

fn check_ids<P: Protocol>(items: &[ItemOf<P>]) -> Result<(), SourceError> {
    let mut seen = BTreeSet::new();
    let repeated: Vec<usize> = items
        .iter()
        .enumerate()
        .filter(|(_, item)| !seen.insert(item.id.as_str()))
        .map(|(at, _)| at + 1)
        .collect();
    match repeated.first() {
        None => Ok(()),
        Some(&item) => Err(SourceError::SameId { count: repeated.len(), item }),
    }
}

fn own_name(sample: &Sample) -> String {
    let by_place = || format!("row-{}", sample.place().row);
    match sample {
        Sample::Dialogue(dialogue) => format!("dialogue-{}", dialogue.index),
        Sample::Row(_, Row::Corpus(row)) => row.id.clone(),
        Sample::Row(_, Row::Khp(row)) => row.id.clone().unwrap_or_else(by_place),
        Sample::Row(..) => by_place(),
    }
}

fn name_of(file: &Path) -> String {
    file.file_name().map_or_else(|| file.display().to_string(), |name| name.to_string_lossy().into_owned())
}

fn stem(file: &Path) -> String {
    file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// The SHA-256 of a file, read piece by piece.
///
/// # Errors
/// [`SourceError::Io`].
pub fn sha256_of(file: &Path) -> Result<String, SourceError> {
    mindrail_data::digest::sha256_of(file).map_err(|source| SourceError::Io { file: file.to_owned(), source })
}

/// The slices of a row, without those that it does not know.
fn slices<const N: usize>(known: [(&str, Option<&str>); N]) -> BTreeMap<String, String> {
    let named = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
    named.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn signals(flags: SignalFlags) -> [bool; 9] {
    let mut signals = [false; 9];
    for &signal in <Signal as Taxonomy>::ALL {
        signals[signal.index()] = flags.has(signal);
    }
    signals
}

impl FromSamples for Distress {
    type Row = LabelledConversation;

    fn rows(&self, sample: &Sample, name: &str) -> Vec<LabelledConversation> {
        let row = match sample {
            Sample::Row(_, Row::Khp(row)) => khp_conversation(row, name),
            Sample::Row(_, Row::Corpus(row)) => LabelledConversation {
                id: name.to_owned(),
                family: None,
                conversation: row.conversation(),
                high_risk: row.high_risk,
                signals: Some(signals(row.signals)),
                slices: slices([("language", row.language.as_ref().map(shown))]),
            },
            _ => return Vec::new(),
        };
        vec![row]
    }

    fn items(&self, rows: Vec<LabelledConversation>) -> Vec<ItemOf<Self>> {
        distress::items(rows)
    }
}

fn khp_conversation(row: &KhpRow, name: &str) -> LabelledConversation {
    LabelledConversation {
        id: name.to_owned(),
        family: row.persona_id.clone().filter(|persona| !persona.is_empty()),
        conversation: row.conversation(),
        high_risk: row.high_risk,
        signals: row.signals.map(signals),
        slices: slices([
            ("language", row.language.as_ref().map(shown)),
            ("register", row.register.as_ref().map(shown)),
            ("stage", row.escalation_stage.as_ref().map(shown)),
            ("source", row.source.as_ref().map(shown)),
            ("category", row.category.as_ref().map(shown)),
        ]),
    }
}

/// The name that a report may show: names outside the list are one.
fn shown<T: Vocabulary>(term: &sets::Term<T>) -> &str {
    term.shown()
}

impl FromSamples for Crisis {
    type Row = LabelledDialogue;

    fn rows(&self, sample: &Sample, name: &str) -> Vec<LabelledDialogue> {
        let row = match sample {
            Sample::Dialogue(dialogue) => LabelledDialogue {
                id: name.to_owned(),
                family: None,
                conversation: dialogue.conversation(),
                labels: dialogue.turns.iter().map(|turn| label_names(&turn.labels)).collect(),
                slices: BTreeMap::new(),
            },
            Sample::Row(_, Row::Corpus(row)) => LabelledDialogue {
                id: name.to_owned(),
                family: None,
                conversation: row.conversation(),
                labels: row.turns.iter().map(|turn| label_names(&turn.crisis)).collect(),
                slices: slices([("language", row.language.as_ref().map(shown))]),
            },
            Sample::Row(..) => return Vec::new(),
        };
        vec![row]
    }

    fn items(&self, rows: Vec<LabelledDialogue>) -> Vec<ItemOf<Self>> {
        crisis::items(rows)
    }
}

fn label_names<T: Vocabulary>(labels: &[sets::Term<T>]) -> Vec<String> {
    labels.iter().map(|label| label.wire().to_owned()).collect()
}

impl FromSamples for Reply {
    type Row = ReplyItem;

    fn rows(&self, sample: &Sample, name: &str) -> Vec<ReplyItem> {
        reply::rows(sample, name)
    }

    /// Rows of the published test set are clusters of their own until what they
    /// share with others is known; the corpus's conversations are clusters.
    fn items(&self, rows: Vec<ReplyItem>) -> Vec<ItemOf<Self>> {
        let is_alone = |item: &ReplyItem| item.cluster == format!("dialogue-{}", item.id);
        let (mut windows, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(is_alone);
        reply::cluster_by_shared_utterances(&mut windows);
        others.into_iter().chain(windows).collect()
    }
}

impl FromSamples for Harm {
    type Row = HarmItem;

    fn rows(&self, sample: &Sample, name: &str) -> Vec<HarmItem> {
        harm::rows(sample, name)
    }

    fn items(&self, rows: Vec<HarmItem>) -> Vec<ItemOf<Self>> {
        rows
    }
}
