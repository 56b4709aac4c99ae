//! The tables of the data sets' cards, counted anew: whoever has the real files
//! sees the published counts. One accumulator per kind of sample, which holds
//! counts only.

mod harm;
mod joint;
mod support;
mod table;

use std::path::Path;

use serde::Serialize;

pub use self::joint::Cooccurrence;
pub use self::table::{Figure, Table};

use crate::sets::{self, DataSet, Row, Sample};
use crate::table::DataError;

/// The figures of a file, or of several of one data set.
#[derive(Debug, Serialize)]
pub struct Statistics {
    /// The data set, by its name.
    pub set: &'static str,
    /// Samples that were counted: rows, or dialogues.
    pub samples: u64,
    /// Rows that could not be read, and are not counted.
    pub bad: u64,
    /// The first of their errors.
    pub errors: Vec<String>,
    /// The tables of the set.
    pub tables: Vec<Table>,
}

/// Counts samples of one data set.
trait Accumulator {
    /// Counts a sample; of another set it counts none.
    fn add(&mut self, sample: &Sample) -> Result<(), DataError>;

    /// The tables of what was counted.
    fn tables(&self) -> Vec<Table>;
}

/// Errors that are kept; the rest is counted.
const KEPT_ERRORS: usize = 10;

/// Counts the samples of files, which must all be of one data set: the one named,
/// or that of the first file.
///
/// # Errors
/// If a file cannot be opened, or is not of the data set.
pub fn statistics(paths: &[&Path], set: Option<DataSet>) -> Result<Statistics, DataError> {
    let mut set = set;
    let mut counter: Option<Box<dyn Accumulator>> = None;
    let mut done = Statistics { set: "", samples: 0, bad: 0, errors: Vec::new(), tables: Vec::new() };
    for path in paths {
        let (found, samples) = sets::read(path, None.or(set))?;
        let counter = counter.get_or_insert_with(|| accumulator(found));
        done.set = found.wire();
        set = Some(found);
        for sample in samples {
            match sample.and_then(|sample| counter.add(&sample)) {
                Ok(()) => done.samples += 1,
                Err(error) => {
                    done.bad += 1;
                    if done.errors.len() < KEPT_ERRORS {
                        done.errors.push(error.to_string());
                    }
                }
            }
        }
    }
    done.tables = counter.map_or_else(Vec::new, |counter| counter.tables());
    Ok(done)
}

fn accumulator(set: DataSet) -> Box<dyn Accumulator> {
    match set {
        DataSet::Khp => Box::new(support::Khp::default()),
        DataSet::CradleDialogue => Box::new(support::Cradle::default()),
        DataSet::CradleBench => Box::new(support::Posts::default()),
        DataSet::Esconv => Box::new(support::Esconv::default()),
        DataSet::Corpus => Box::new(support::Corpus::default()),
        DataSet::DialogueSafety => Box::new(harm::Replies::default()),
        DataSet::SafeRlhf | DataSet::SafeRlhfV0 | DataSet::SafeRlhfSingle => Box::new(harm::Pairs::default()),
        DataSet::SafeRlhfQa => Box::new(harm::Answers::default()),
        DataSet::BeaverTails => Box::new(harm::Beaver::default()),
        DataSet::SafeRlhfPrompt => Box::new(harm::Prompts::default()),
    }
}

/// The row of a sample that is one.
const fn row(sample: &Sample) -> Option<&Row> {
    match sample {
        Sample::Row(_, row) => Some(row),
        Sample::Dialogue(_) => None,
    }
}

impl Statistics {
    /// The table of a title, if the set has it.
    pub fn table(&self, title: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.title == title)
    }
}
