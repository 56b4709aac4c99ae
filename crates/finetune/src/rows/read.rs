//! Reads files of data sets as examples. Which set a file holds is found from its
//! columns; what its rows ask is said by the file of the set beside this one; who is
//! related to whom is told by [`mindrail_data::family`], over all files together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mindrail_data::family::{Families, FamilyReader, FamilyRule};
use mindrail_data::sets::{self, CradleDialogue, DataSet, Row, RowReader, Sample};
use mindrail_data::table::{self, DataError, Place, Record};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::{Draft, Example, Task, corpus, crisis, distress, harm, reply};

/// What becomes of the signals of a KHP row where nobody has labelled them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingSignals {
    /// The row has no target for [`Task::Signals`].
    #[default]
    Skip,
    /// The label stands for all nine, as in the published recipe.
    CopyLabel,
}

/// What becomes of the transcript of a KHP row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transcripts {
    /// It is read as turns, up to the last one of the person.
    #[default]
    Turns,
    /// The whole cell as it is written, as one turn of the person: the published
    /// recipe's input.
    AsWritten,
}

/// What can be chosen in reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadOptions {
    /// Signals that nobody has labelled.
    pub missing_signals: MissingSignals,
    /// Transcripts of KHP.
    pub transcripts: Transcripts,
}

/// Why a file gives no examples at all.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The file cannot be read, or is of no known data set.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The file's data set has none of the wanted tasks.
    #[error(
        "{file}: found the data set {set}, which has {}, expected one with {}",
        names(has), names(wanted), file = .file.display()
    )]
    NoTask {
        /// The file.
        file: PathBuf,
        /// The name of its data set.
        set: &'static str,
        /// The tasks for which it has labels.
        has: Vec<Task>,
        /// The tasks that were asked for.
        wanted: Vec<Task>,
    },
    /// The data set has a wanted task, but no row of this file has a label of it.
    #[error(
        "{file}: found rows of the data set {set} without any label of {}, expected some with",
        names(wanted), file = .file.display()
    )]
    NoLabel {
        /// The file.
        file: PathBuf,
        /// The name of its data set.
        set: &'static str,
        /// The tasks that were asked for.
        wanted: Vec<Task>,
    },
}

fn names(tasks: &[Task]) -> String {
    let names = tasks.iter().map(|task| task.wire()).collect::<Vec<_>>();
    if names.is_empty() { "no task".to_owned() } else { names.join(", ") }
}

/// Examples in file order, and in their places the rows that are bad.
pub type Examples = Vec<Result<Example, DataError>>;

/// The tasks for which a data set has labels.
pub const fn tasks_of(set: DataSet) -> &'static [Task] {
    use Task::{BeaverHarms, Cost, Harms, Onsets, ReplyClass, Reward, Risk, Severity, Signals};
    match set {
        DataSet::Khp => &[Signals, Risk],
        DataSet::CradleDialogue => &[Onsets],
        DataSet::DialogueSafety => &[ReplyClass],
        DataSet::SafeRlhf => &[Harms, Severity, Reward, Cost],
        DataSet::SafeRlhfV0 => &[Reward, Cost],
        DataSet::SafeRlhfSingle => &[Reward],
        DataSet::SafeRlhfQa => &[Harms, Severity],
        DataSet::BeaverTails => &[BeaverHarms],
        DataSet::Corpus => &[Signals, Risk, Onsets, ReplyClass, Harms, Severity, Reward, Cost],
        DataSet::CradleBench | DataSet::SafeRlhfPrompt | DataSet::Esconv => &[],
    }
}

/// Reads the examples of one file that have a target for a wanted task; other targets
/// are left out.
///
/// # Errors
/// [`RowsError`]. A bad row is none: it stands in its place as an error, and the rows
/// after it still come.
pub fn read(path: &Path, wanted: &BTreeSet<Task>, options: ReadOptions) -> Result<Examples, RowsError> {
    read_all(&[path], wanted, options)
}

/// Reads the examples of several files, as [`read`] does; relatives in different files
/// are of one family.
///
/// # Errors
/// As [`read`], for any of the files.
pub fn read_all<P: AsRef<Path>>(
    paths: &[P],
    wanted: &BTreeSet<Task>,
    options: ReadOptions,
) -> Result<Examples, RowsError> {
    Ok(read_parts(&[paths], wanted, options)?.into_iter().flatten().collect())
}

/// Reads files in parts, such as those to train on and those to choose by: one list of
/// examples for each part, and relatives in different parts are of one family too.
///
/// # Errors
/// As [`read`], for any of the files.
pub fn read_parts<P: AsRef<Path>>(
    parts: &[&[P]],
    wanted: &BTreeSet<Task>,
    options: ReadOptions,
) -> Result<Vec<Examples>, RowsError> {
    let mut reading = Reading { wanted, options, members: Vec::new(), found: Vec::new() };
    let is_one = parts.iter().map(|part| part.len()).sum::<usize>() == 1;
    let mut ends = Vec::new();
    for part in parts {
        for path in *part {
            let path = path.as_ref();
            let prefix = if is_one { String::new() } else { format!("{}:", stem(path)) };
            reading.file(path, &prefix)?;
        }
        ends.push(reading.found.len());
    }
    let mut found = reading.finish();
    let mut examples: Vec<Examples> = ends.iter().rev().skip(1).map(|end| found.split_off(*end)).collect();
    examples.push(found);
    examples.reverse();
    Ok(examples)
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// A row or dialogue, by which examples are related.
struct Member {
    keys: Vec<u64>,
    place: Place,
}

/// An example and the place of its row among the members.
type Found = (usize, Example);

struct Reading<'a> {
    wanted: &'a BTreeSet<Task>,
    options: ReadOptions,
    members: Vec<Member>,
    found: Vec<Result<Found, DataError>>,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, prefix: &str) -> Result<(), RowsError> {
        let set = RowReader::open(path, None)?.set();
        let (file, name) = (path.to_owned(), set.wire());
        let wanted = self.wanted.iter().copied().collect();
        if !tasks_of(set).iter().any(|task| self.wanted.contains(task)) {
            return Err(RowsError::NoTask { file, set: name, has: tasks_of(set).to_vec(), wanted });
        }
        let before = self.found.len();
        match family_rule(set) {
            FamilyRule::Dialogue => self.dialogues(path, prefix)?,
            rule => self.rows(path, set, FamilyReader::new(rule), prefix)?,
        }
        // The set has the task and its rows do not, as copies of BeaverTails without
        // categories: training on nothing must not look like training.
        if self.found.len() == before {
            return Err(RowsError::NoLabel { file, set: name, wanted });
        }
        Ok(())
    }

    fn rows(
        &mut self,
        path: &Path,
        set: DataSet,
        mut family: FamilyReader,
        prefix: &str,
    ) -> Result<(), DataError> {
        for record in table::read(path)? {
            let read = record.and_then(|record| {
                let keys = family.keys(&record)?;
                let row = Row::from_record(set, &record)?;
                let drafts = self.drafts(&row, &record.place)?;
                let name = format!("{prefix}{}", own_name(&row, &record.place));
                Ok((Member { keys, place: record.place }, name, drafts))
            });
            self.take(read);
        }
        Ok(())
    }

    fn drafts(&self, row: &Row, place: &Place) -> Result<Vec<Draft>, DataError> {
        let drafts = match row {
            Row::Khp(row) => distress::drafts(row, self.options),
            Row::Corpus(row) => corpus::drafts(row),
            Row::DialogueSafety(row) => reply::drafts(row),
            Row::Pair(row) => harm::pair(row),
            Row::Answer(row) => harm::answer(row),
            Row::BeaverTails(row) => harm::beaver_tails(row),
            Row::CradleTurn(_) | Row::CradlePost(_) | Row::Prompt(_) | Row::Esconv(_) => Ok(Vec::new()),
        };
        drafts.map_err(|fault| fault.at(place))
    }

    fn dialogues(&mut self, path: &Path, prefix: &str) -> Result<(), DataError> {
        let mut family = FamilyReader::new(FamilyRule::Dialogue);
        for sample in sets::read(path, Some(DataSet::CradleDialogue))?.1 {
            let read = match sample {
                Ok(Sample::Dialogue(dialogue)) => dialogue_keys(&mut family, &dialogue).and_then(|keys| {
                    let member = Member { keys, place: dialogue.turns[0].place.clone() };
                    let name = format!("{prefix}dialogue-{}", dialogue.index);
                    Ok((member, name, crisis::drafts(&dialogue)?))
                }),
                // The reader of the set gives dialogues only.
                Ok(Sample::Row(..)) => continue,
                Err(error) => Err(error),
            };
            self.take(read);
        }
        Ok(())
    }

    /// Keeps the examples of a row, with the wanted targets.
    fn take(&mut self, read: Result<(Member, String, Vec<Draft>), DataError>) {
        let (member, name, drafts) = match read {
            Ok(read) => read,
            Err(error) => return self.found.push(Err(error)),
        };
        let place = self.members.len();
        self.members.push(member);
        for mut draft in drafts {
            draft.targets.retain(|task, _| self.wanted.contains(task));
            if !draft.targets.is_empty() {
                self.found.push(Ok((place, draft.named(&name))));
            }
        }
    }

    fn finish(self) -> Examples {
        let names = family_names(&self.members);
        let name = |(member, example): Found| Example { family: names[member].clone(), ..example };
        self.found.into_iter().map(|found| found.map(name)).collect()
    }
}

impl Draft {
    fn named(self, name: &str) -> Example {
        Example {
            id: format!("{name}{}", self.part),
            family: String::new(),
            language: self.inputs[0].language(),
            inputs: self.inputs,
            targets: self.targets,
        }
    }
}

/// How the families of a set are told.
const fn family_rule(set: DataSet) -> FamilyRule {
    match set {
        DataSet::Khp => FamilyRule::Parent,
        DataSet::CradleDialogue => FamilyRule::Dialogue,
        DataSet::DialogueSafety => FamilyRule::Utterance,
        DataSet::Corpus => FamilyRule::Author,
        DataSet::SafeRlhf
        | DataSet::SafeRlhfV0
        | DataSet::SafeRlhfSingle
        | DataSet::SafeRlhfQa
        | DataSet::SafeRlhfPrompt
        | DataSet::BeaverTails => FamilyRule::Prompt,
        DataSet::CradleBench | DataSet::Esconv => FamilyRule::Row,
    }
}

/// A dialogue's key is its first turn, as it stands in the first row of one.
fn dialogue_keys(family: &mut FamilyReader, dialogue: &CradleDialogue) -> Result<Vec<u64>, DataError> {
    let first = &dialogue.turns[0];
    let fields = [("turn_id", json!(0)), ("text", json!(first.text))];
    let fields = fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<Map<_, _>>();
    family.keys(&Record { place: first.place.clone(), fields })
}

/// Each member's family by name. The name is the smallest key of its members, so that
/// one prompt has one name whatever else is read; of a row without a key, its place.
fn family_names(members: &[Member]) -> Vec<String> {
    let mut families = Families::default();
    members.iter().for_each(|member| families.add(&member.keys));
    let numbers = families.numbers();
    let mut least: Vec<Option<u64>> = vec![None; members.len()];
    for (member, &number) in members.iter().zip(&numbers) {
        least[number] = least[number].into_iter().chain(member.keys.iter().copied()).min();
    }
    let name = |(member, &number): (&Member, &usize)| match least[number] {
        Some(key) => format!("{key:016x}"),
        None => member.place.to_string(),
    };
    members.iter().zip(&numbers).map(name).collect()
}

fn own_name(row: &Row, place: &Place) -> String {
    let own = match row {
        Row::Khp(row) => row.id.clone(),
        Row::Corpus(row) => Some(row.id.clone()),
        _ => None,
    };
    own.unwrap_or_else(|| format!("row-{}", place.row))
}
