//! A run on disk: a folder that a killed benchmark goes on in.
//!
//! | file | holds |
//! |---|---|
//! | `plan.json` | what is asked of whom about what; never changes |
//! | `cells.jsonl` | one line for each finished question, appended as it finishes |
//! | `record.jsonl` | one line for each start and end of a session: versions, usage |
//! | `report.{json,md,html}` | made from the cells; may be made again at any time |
//!
//! A cell is the smallest thing that is paid for: one item, or one user turn of
//! a dialogue where each is asked for by itself. A line that a kill cut short is
//! cut off when the folder is opened again, so that nothing is lost but the
//! answer that was being written, and nothing is asked twice.

mod cells;
mod plan;

pub use cells::{Cell, CellLog, Repair, Usage};
pub use plan::{Plan, PlanError};

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// What is wrong with a run's folder.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The folder holds the run of another plan.
    #[error("{folder} holds another run: {difference}; name another folder, or say --overwrite", folder = .folder.display())]
    OtherPlan {
        /// The folder.
        folder: PathBuf,
        /// The first thing that differs.
        difference: PlanError,
    },
    /// The folder holds something that is not a run.
    #[error("{folder} holds files but no plan.json, so it is no run's folder; name another", folder = .folder.display())]
    NotARun {
        /// The folder.
        folder: PathBuf,
    },
    /// Another program is at work in the folder.
    #[error("{file} is in use by another program; wait for it, or name another folder", file = .file.display())]
    Busy {
        /// The file.
        file: PathBuf,
    },
    /// A file of the run is damaged.
    #[error("{file}, line {line}: found {found}, expected {expected}", file = .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What was found.
        found: String,
        /// What was expected.
        expected: &'static str,
    },
    /// A file could not be read or written.
    #[error("{file}: {source}", file = .file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl RunError {
    pub(crate) fn io(file: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        |source| Self::Io { file: file.to_owned(), source }
    }
}

/// What to do with what the folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Go on with it; it must be of the same plan.
    Resume,
    /// Remove it and begin anew.
    Replace,
}

/// A run's folder, opened for writing.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// The finished cells and the file that takes more.
    pub cells: CellLog,
}

impl RunFolder {
    /// Opens the folder of a plan, or makes it.
    ///
    /// # Errors
    /// [`RunError`] when it holds another run or something else, or cannot be
    /// read or written.
    pub fn open(path: &Path, plan: &Plan, existing: Existing) -> Result<Self, RunError> {
        let plan_file = path.join("plan.json");
        if plan_file.exists() {
            match existing {
                Existing::Resume => plan.check(path, &plan_file)?,
                Existing::Replace => remove_run(path)?,
            }
        } else if path.exists() && holds_something(path)? {
            return Err(RunError::NotARun { folder: path.to_owned() });
        }
        fs::create_dir_all(path).map_err(RunError::io(path))?;
        if !plan_file.exists() {
            write_whole(&plan_file, &pretty(plan))?;
        }
        let cells = CellLog::open(&path.join("cells.jsonl"))?;
        Ok(Self { path: path.to_owned(), cells })
    }

    /// Appends a line to the run's record.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn note(&self, entry: &impl Serialize) -> Result<(), RunError> {
        use std::io::Write as _;
        let file = self.path.join("record.jsonl");
        let open = fs::OpenOptions::new().create(true).append(true).open(&file);
        let line = plain(entry);
        writeln!(open.map_err(RunError::io(&file))?, "{line}").map_err(RunError::io(&file))
    }

    /// Writes a file of the run whole: a kill leaves the old one or the new one.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn write(&self, name: &str, text: &str) -> Result<(), RunError> {
        write_whole(&self.path.join(name), text)
    }
}

/// Whether a folder holds anything but what a kill left of a plan.
fn holds_something(folder: &Path) -> Result<bool, RunError> {
    let entries = fs::read_dir(folder).map_err(RunError::io(folder))?;
    Ok(entries.flatten().any(|entry| entry.file_name() != "plan.part"))
}

/// Removes the files of a run and nothing else; the cache of answers stays, since
/// what it holds is still what was answered.
fn remove_run(folder: &Path) -> Result<(), RunError> {
    const FILES: [&str; 7] = [
        "cells.jsonl",
        "record.jsonl",
        "predictions.jsonl",
        "report.json",
        "report.md",
        "report.html",
        "plan.json",
    ];
    let present = FILES.iter().map(|name| folder.join(name)).filter(|file| file.exists());
    present.into_iter().try_for_each(|file| fs::remove_file(&file).map_err(RunError::io(&file)))
}

/// Plain data on one line.
fn plain(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("cells and records are plain data")
}

pub(crate) fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("plans and reports are plain data") + "\n"
}

fn write_whole(file: &Path, text: &str) -> Result<(), RunError> {
    let part = file.with_extension("part");
    fs::write(&part, text).and_then(|()| fs::rename(&part, file)).map_err(RunError::io(file))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeMap;

    use crate::protocol::Outcome;
    use crate::report::SystemIdentity;

    use super::*;

    fn plan(seed: &str) -> Plan {
        Plan {
            schema: plan::SCHEMA.to_owned(),
            protocol: "reply".to_owned(),
            system: SystemIdentity {
                kind: "llm".to_owned(),
                name: "a-model".to_owned(),
                hashes: BTreeMap::new(),
            },
            data: BTreeMap::from([("dev.jsonl".to_owned(), "00".to_owned())]),
            options: BTreeMap::from([("seed".to_owned(), seed.to_owned())]),
        }
    }

    fn cell(key: &str) -> Cell {
        Cell::answered(key, serde_json::json!({"class": "Safe Response"}))
    }

    #[test]
    fn a_run_goes_on_where_it_stopped_and_a_line_cut_by_a_kill_is_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let mut run = RunFolder::open(&path, &plan("1"), Existing::Resume).unwrap();
        run.cells.append(&cell("a")).unwrap();
        run.cells.append(&cell("b")).unwrap();
        drop(run);
        let file = path.join("cells.jsonl");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, &text[..text.len() - 7]).unwrap();
        let mut run = RunFolder::open(&path, &plan("1"), Existing::Resume).unwrap();
        assert_eq!(run.cells.repair(), Repair::CutLastLine);
        assert!(run.cells.get("a").is_some() && run.cells.get("b").is_none());
        run.cells.append(&cell("b")).unwrap();
        drop(run);
        let run = RunFolder::open(&path, &plan("1"), Existing::Resume).unwrap();
        assert_eq!((run.cells.len(), run.cells.repair()), (2, Repair::None));
        assert_eq!(run.cells.get("b").unwrap().outcome, Outcome::Ok);
    }

    #[test]
    fn what_was_paid_is_known_after_a_resume_also_of_questions_that_were_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let paid = |outcome, cached| Cell {
            outcome,
            usage: Some(Usage { input_tokens: 10, output_tokens: 5, tries: 1, cached }),
            ..cell("a")
        };
        let mut run = RunFolder::open(folder.path(), &plan("1"), Existing::Resume).unwrap();
        run.cells.append(&paid(Outcome::Timeout, false)).unwrap();
        run.cells.append(&paid(Outcome::Ok, false)).unwrap();
        run.cells.append(&paid(Outcome::Ok, true)).unwrap();
        let before = run.cells.usage();
        assert_eq!((before.input_tokens, before.output_tokens, before.tries), (20, 10, 2));
        drop(run);
        let run = RunFolder::open(folder.path(), &plan("1"), Existing::Resume).unwrap();
        assert_eq!((run.cells.usage(), run.cells.len()), (before, 1));
    }

    #[test]
    fn the_folder_of_another_plan_is_refused_with_what_differs_and_replaced_when_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = RunFolder::open(folder.path(), &plan("1"), Existing::Resume).unwrap();
        run.cells.append(&cell("a")).unwrap();
        let error = RunFolder::open(folder.path(), &plan("2"), Existing::Resume).unwrap_err();
        assert!(error.to_string().contains("options.seed is \"1\" there, \"2\" here"), "{error}");
        let run = RunFolder::open(folder.path(), &plan("2"), Existing::Replace).unwrap();
        assert!(run.cells.is_empty());
    }

    #[test]
    fn a_folder_with_other_things_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "mine").unwrap();
        for existing in [Existing::Resume, Existing::Replace] {
            let error = RunFolder::open(folder.path(), &plan("1"), existing).unwrap_err();
            assert!(matches!(error, RunError::NotARun { .. }));
        }
        assert!(folder.path().join("thesis.txt").exists());
    }

    #[test]
    fn damage_in_the_middle_is_an_error_that_names_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = RunFolder::open(folder.path(), &plan("1"), Existing::Resume).unwrap();
        run.cells.append(&cell("a")).unwrap();
        run.cells.append(&cell("b")).unwrap();
        drop(run);
        let file = folder.path().join("cells.jsonl");
        let text = fs::read_to_string(&file).unwrap().replacen("{\"key\":\"a\"", "{\"kex", 1);
        fs::write(&file, text).unwrap();
        let error = RunFolder::open(folder.path(), &plan("1"), Existing::Resume).unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
    }
}
