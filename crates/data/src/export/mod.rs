//! A folder that others can load: Parquet or JSON lines in the hub's layout, a
//! card with the front matter that the hub reads, Croissant metadata, and the
//! licence of every source, beside each row and in a file. Nothing is written if
//! a licence forbids the purpose.

mod card;
mod croissant;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::columns::Columns;
use crate::fingerprint::hex;
use crate::licence::{LICENCE_COLUMN, Licence, Purpose, SOURCE_COLUMN, Source};
use crate::table::{self, Column, DataError, Place, Record, TableFormat, TableWriter};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet, compressed with zstd.
    Parquet,
    /// One JSON object per line.
    Jsonl,
}

impl Format {
    const fn table(self) -> TableFormat {
        match self {
            Self::Parquet => TableFormat::Parquet,
            Self::Jsonl => TableFormat::Jsonl,
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Parquet => "application/x-parquet",
            Self::Jsonl => "application/jsonlines",
        }
    }
}

/// A file and the split that its rows go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// As `train`.
    pub split: String,
    /// The file.
    pub path: PathBuf,
}

impl Input {
    /// Reads `SPLIT=FILE`, or a file whose name begins with the name of a split;
    /// `dev` and `val` are what the hub calls `validation`, and what names no split is `train`.
    pub fn new(text: &str) -> Self {
        let named = text.split_once('=').filter(|(split, _)| is_split(split));
        if let Some((split, path)) = named {
            return Self { split: split.to_owned(), path: path.into() };
        }
        let path = PathBuf::from(text);
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        let split = if stem.starts_with("test") {
            "test"
        } else if stem.starts_with("dev") || stem.starts_with("val") {
            "validation"
        } else {
            "train"
        };
        Self { split: split.to_owned(), path }
    }
}

/// The hub takes letters, digits, `_` and `.`.
fn is_split(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

/// What to export, and why.
#[derive(Debug, Clone)]
pub struct Order {
    /// The files.
    pub inputs: Vec<Input>,
    /// What the rows will be used for.
    pub purpose: Purpose,
    /// How rows are written.
    pub format: Format,
    /// What people call the set.
    pub title: String,
    /// The source of all rows, where their columns do not show it.
    pub source: Option<Source>,
    /// Rows per file.
    pub shard: usize,
}

/// Rows per file unless told otherwise.
pub const SHARD: usize = 500_000;

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A licence forbids it.
    #[error(
        "{rows} rows of {} are under {}, which does not allow the purpose {}; the first is {first}",
        origin.wire(), origin.licence(), purpose.wire()
    )]
    Forbidden {
        /// Where they come from.
        origin: Source,
        /// What was wanted.
        purpose: Purpose,
        /// How many there are.
        rows: usize,
        /// The first of them.
        first: Place,
    },
    /// The folder has other data already, which the card would not describe.
    #[error("{} has files already; name a new folder", folder.display())]
    Occupied {
        /// The folder.
        folder: PathBuf,
    },
    /// A file of data.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// A written file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shard {
    /// As `data/train-00000-of-00001.parquet`.
    pub name: String,
    /// Its split.
    pub split: String,
    /// Its rows.
    pub rows: usize,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The files of rows.
    pub shards: Vec<Shard>,
    /// Rows by source.
    pub sources: BTreeMap<Source, usize>,
    /// Rows that could not be read; they were reported and left out.
    pub bad: usize,
}

/// What card and metadata tell.
struct Described<'a> {
    order: &'a Order,
    columns: &'a [Column],
    shards: &'a [Shard],
    sources: &'a BTreeMap<Source, usize>,
    languages: &'a BTreeSet<String>,
}

impl Described<'_> {
    fn rows(&self) -> usize {
        self.shards.iter().map(|shard| shard.rows).sum()
    }

    fn licences(&self) -> BTreeSet<Licence> {
        self.sources.keys().map(|source| source.licence()).collect()
    }

    /// Splits in the order of their names.
    fn splits(&self) -> BTreeMap<&str, Vec<&Shard>> {
        let mut splits: BTreeMap<&str, Vec<&Shard>> = BTreeMap::new();
        self.shards.iter().for_each(|shard| splits.entry(&shard.split).or_default().push(shard));
        splits
    }
}

/// What a first reading finds.
#[derive(Default)]
struct Survey {
    columns: Columns,
    /// Rows by split.
    rows: BTreeMap<String, usize>,
    sources: BTreeMap<Source, (usize, Option<Place>)>,
    languages: BTreeSet<String>,
    /// Rows to leave out, by input and number.
    bad: BTreeSet<(usize, usize)>,
}

/// Exports.
///
/// # Errors
/// [`ExportError`]. Bad rows go to `bad` and are left out.
pub fn export(order: &Order, folder: &Path, bad: &mut dyn FnMut(&DataError)) -> Result<Outcome, ExportError> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(ExportError::Occupied { folder: folder.to_owned() });
    }
    let mut survey = survey(order, bad)?;
    permit(&survey, order.purpose)?;
    survey.columns.add_text(SOURCE_COLUMN);
    survey.columns.add_text(LICENCE_COLUMN);
    let columns = survey.columns.finish();
    let shards = write(order, folder, &survey, &columns)?;
    let sources = survey.sources.iter().map(|(source, (rows, _))| (*source, *rows)).collect();
    let described = Described {
        order,
        columns: &columns,
        shards: &shards,
        sources: &sources,
        languages: &survey.languages,
    };
    put(folder, "README.md", &card::card(&described))?;
    put(folder, "LICENSE.md", &card::licences(&described))?;
    put(folder, "croissant.json", &croissant::metadata(&described))?;
    Ok(Outcome { shards, sources, bad: survey.bad.len() })
}

fn survey(order: &Order, bad: &mut dyn FnMut(&DataError)) -> Result<Survey, DataError> {
    let mut survey = Survey::default();
    for (number, input) in order.inputs.iter().enumerate() {
        let mut at = 0;
        for row in table::read(&input.path)? {
            at += 1;
            match row.and_then(|record| survey.take(&record, input, order.source)) {
                Ok(()) => {}
                Err(error) if error.is_of_one_row() => {
                    survey.bad.insert((number, at));
                    bad(&error);
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(survey)
}

impl Survey {
    fn take(&mut self, record: &Record, input: &Input, source: Option<Source>) -> Result<(), DataError> {
        self.columns.add(record)?;
        let source = source.unwrap_or_else(|| Source::of_fields(&record.fields));
        let (count, first) = self.sources.entry(source).or_default();
        *count += 1;
        first.get_or_insert_with(|| record.place.clone());
        *self.rows.entry(input.split.clone()).or_default() += 1;
        match language(&record.fields) {
            Some(codes) => self.languages.extend(codes.iter().map(|code| (*code).to_owned())),
            None => self.languages.extend(source.languages().iter().map(|code| (*code).to_owned())),
        }
        Ok(())
    }
}

/// The languages that a row says it is in.
fn language(fields: &Map<String, Value>) -> Option<&'static [&'static str]> {
    match fields.get("language")?.as_str()?.to_lowercase().as_str() {
        "en" | "english" => Some(&["en"]),
        "fr" | "french" => Some(&["fr"]),
        "mix" | "mixed" => Some(&["en", "fr"]),
        _ => None,
    }
}

fn permit(survey: &Survey, purpose: Purpose) -> Result<(), ExportError> {
    let forbidden = survey.sources.iter().find(|(source, _)| !source.allows(purpose));
    match forbidden {
        Some((source, (rows, Some(first)))) => {
            Err(ExportError::Forbidden { origin: *source, purpose, rows: *rows, first: first.clone() })
        }
        _ => Ok(()),
    }
}

/// The files of one split while they are written.
struct Writing<'a> {
    folder: &'a Path,
    split: &'a str,
    order: &'a Order,
    columns: &'a [Column],
    count: usize,
    open: Option<TableWriter>,
    shards: Vec<Shard>,
}

fn write(order: &Order, folder: &Path, survey: &Survey, columns: &[Column]) -> Result<Vec<Shard>, DataError> {
    let data = folder.join("data");
    fs::create_dir_all(&data).map_err(|error| DataError::io(data.display(), error))?;
    let mut shards = Vec::new();
    for (split, rows) in &survey.rows {
        let count = rows.div_ceil(order.shard.max(1));
        let mut writing = Writing { folder, split, order, columns, count, open: None, shards: Vec::new() };
        for (number, input) in order.inputs.iter().enumerate().filter(|(_, input)| input.split == *split) {
            for (at, row) in table::read(&input.path)?.enumerate() {
                match row {
                    Ok(record) if !survey.bad.contains(&(number, at + 1)) => writing.write(record)?,
                    _ => {}
                }
            }
        }
        writing.close()?;
        shards.append(&mut writing.shards);
    }
    Ok(shards)
}

impl Writing<'_> {
    fn name(&self) -> String {
        let (at, count) = (self.shards.len(), self.count);
        format!("data/{}-{at:05}-of-{count:05}.{}", self.split, self.order.format.table().wire())
    }

    fn write(&mut self, mut record: Record) -> Result<(), DataError> {
        let source = self.order.source.unwrap_or_else(|| Source::of_fields(&record.fields));
        record.fields.insert(SOURCE_COLUMN.to_owned(), source.wire().into());
        record.fields.insert(LICENCE_COLUMN.to_owned(), source.licence().hub_id().into());
        let mut writer = if let Some(writer) = self.open.take() {
            writer
        } else {
            let path = self.folder.join(self.name());
            TableWriter::create(&path, self.order.format.table(), self.columns.to_vec())?
        };
        let place = record.place;
        writer.write(complete(record.fields, self.columns))?.map_err(|fault| fault.at(&place))?;
        let full = writer.rows() >= self.order.shard.max(1);
        self.open = Some(writer);
        if full { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), DataError> {
        let Some(writer) = self.open.take() else { return Ok(()) };
        let rows = writer.finish()?;
        let name = self.name();
        let path = self.folder.join(&name);
        let (bytes, sha256) = measure(&path).map_err(|error| DataError::io(path.display(), error))?;
        self.shards.push(Shard { name, split: self.split.to_owned(), rows, bytes, sha256 });
        Ok(())
    }
}

/// Null where a column is missing, so that all rows of JSON lines have one shape.
fn complete(mut fields: Map<String, Value>, columns: &[Column]) -> Map<String, Value> {
    for column in columns {
        if !fields.contains_key(column.name) {
            fields.insert(column.name.to_owned(), Value::Null);
        }
    }
    fields
}

fn measure(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = fs::File::open(path)?;
    let (mut digest, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        digest.update(&buffer[..count]);
        bytes += count as u64;
    }
    Ok((bytes, hex(&digest.finalize())))
}

fn put(folder: &Path, name: &str, text: &str) -> Result<(), DataError> {
    let path = folder.join(name);
    fs::write(&path, text).map_err(|error| DataError::io(path.display(), error))
}

#[cfg(test)]
mod tests;
