//! Whether a calibration's rows are others than those that selected the checkpoint.
//! A model looks better on rows that chose it than it is, and a threshold chosen there
//! is too high. Nothing overrides this check.

use std::collections::HashSet;
use std::path::Path;

use mindrail_core::conversation::Conversation;
use mindrail_core::digest::sha256;
use mindrail_data::sets::{self, Row, Sample};
use thiserror::Error;

use super::rows::{FitRow, read_fit_rows};

/// A file of rows to fit on.
#[derive(Debug, Clone, PartialEq)]
pub struct FitFile {
    /// Its name, for people.
    pub file: String,
    /// SHA-256 of its bytes in hexadecimal.
    pub sha256: String,
    /// Its rows.
    pub rows: Vec<FitRow>,
}

impl FitFile {
    /// The file of this content; rows are read with [`read_fit_rows`].
    ///
    /// # Errors
    /// [`super::RowsError`].
    pub fn read(file: &str, bytes: &[u8]) -> Result<Self, super::RowsError> {
        Ok(Self { file: file.to_owned(), sha256: sha256(bytes), rows: read_fit_rows(file, bytes)? })
    }
}

/// A file that selected the checkpoint: its content, and how its rows are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectionFile {
    /// Its name, for people.
    pub file: String,
    /// SHA-256 of its bytes in hexadecimal.
    pub sha256: String,
    /// The names of its rows; empty where rows have none or cannot be read.
    pub ids: HashSet<String>,
    /// [`text_digest`] of its conversations; empty where it holds none.
    pub texts: HashSet<String>,
    /// How rows to calibrate on were compared with its rows.
    pub compared: Compared,
}

/// How rows are compared with those of a file that selected the checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// By their ids or texts, as far as the file has any.
    ByRow,
    /// By what the model reads of them, when it scored them; see
    /// [`super::rows_of_bundle`].
    ByModel,
}

impl SelectionFile {
    /// The file of these bytes, which stand at `path`: a data set with conversations,
    /// or rows to calibrate on. Of anything else only the bytes are compared, and
    /// [`Self::has_rows`] says so.
    pub fn read(path: &Path, bytes: &[u8]) -> Self {
        let file = path.display().to_string();
        let mut found = Self {
            file,
            sha256: sha256(bytes),
            ids: HashSet::new(),
            texts: HashSet::new(),
            compared: Compared::ByRow,
        };
        if let Ok((_, samples)) = sets::read(path, None) {
            samples.flatten().for_each(|sample| found.add(&sample));
        } else if let Ok(rows) = read_fit_rows(&found.file, bytes) {
            found.ids.extend(rows.into_iter().filter_map(|row| row.id));
        }
        found
    }

    fn add(&mut self, sample: &Sample) {
        let id = match sample {
            Sample::Row(_, Row::Corpus(row)) => Some(row.id.clone()),
            Sample::Row(_, Row::Khp(row)) => row.id.clone(),
            Sample::Row(..) | Sample::Dialogue(_) => None,
        };
        self.ids.extend(id);
        self.texts.extend(sample.conversations().unwrap_or_default().iter().map(text_digest));
    }

    /// Whether there is anything to tell its rows by.
    pub fn has_rows(&self) -> bool {
        !self.ids.is_empty() || !self.texts.is_empty()
    }
}

/// What tells a conversation from others: SHA-256 over who says what, white space
/// and case left out. It can be guessed from a short text, so that it must not be
/// stored or shown.
pub fn text_digest(conversation: &Conversation) -> String {
    let said = conversation.turns.iter().map(|turn| {
        let words: String = turn.text.split_whitespace().flat_map(str::chars).collect();
        format!("{}\u{1f}{}\u{1e}", turn.role.wire(), words.to_lowercase())
    });
    sha256(said.collect::<String>().as_bytes())
}

/// Why rows are not fitted on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Overlap {
    /// A file selected the checkpoint.
    #[error("{file} has the content of {selected}, which selected the checkpoint: expected other data")]
    SameFile {
        /// The file to fit on.
        file: String,
        /// The file that selected the checkpoint.
        selected: String,
    },
    /// Some of its rows did.
    #[error(
        "{count} rows of {file}, the first of them row {row}, are in {selected}, which selected the checkpoint \
         (compared by {by}): expected other rows"
    )]
    SharedRows {
        /// The file to fit on.
        file: String,
        /// How many of its rows.
        count: usize,
        /// The first of them, from 1.
        row: usize,
        /// The file that selected the checkpoint.
        selected: String,
        /// What was compared: `text` or `id`.
        by: &'static str,
    },
}

/// Checks that no file, and no row, is among those that selected the checkpoint. Rows
/// are compared by text where both sides have it, by id otherwise.
///
/// # Errors
/// [`Overlap`], the first that is found.
pub fn check_disjoint(files: &[FitFile], selected: &[SelectionFile]) -> Result<(), Overlap> {
    let pairs = files.iter().flat_map(|file| selected.iter().map(move |selected| (file, selected)));
    pairs.into_iter().try_for_each(|(file, selected)| {
        if file.sha256 == selected.sha256 {
            return Err(Overlap::SameFile { file: file.file.clone(), selected: selected.file.clone() });
        }
        shared_rows(file, selected)
    })
}

fn shared_rows(file: &FitFile, selected: &SelectionFile) -> Result<(), Overlap> {
    let shared = |row: &FitRow| match (&row.text, &row.id) {
        (Some(text), _) if !selected.texts.is_empty() => selected.texts.contains(text).then_some("text"),
        (_, Some(id)) => selected.ids.contains(id).then_some("id"),
        (_, None) => None,
    };
    let found: Vec<(usize, &'static str)> =
        file.rows.iter().enumerate().filter_map(|(at, row)| Some((at + 1, shared(row)?))).collect();
    let Some(&(row, by)) = found.first() else { return Ok(()) };
    Err(Overlap::SharedRows {
        file: file.file.clone(),
        count: found.len(),
        row,
        selected: selected.file.clone(),
        by,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use mindrail_core::conversation::{Role, Turn};

    use super::*;

    fn file(rows: &str) -> FitFile {
        FitFile::read("fit.csv", format!("id,label,risk\n{rows}").as_bytes()).unwrap()
    }

    fn selected(rows: &str) -> SelectionFile {
        SelectionFile::read(Path::new("no/dev.csv"), format!("id,label,risk\n{rows}").as_bytes())
    }

    fn conversation(text: &str) -> Conversation {
        Conversation { id: None, turns: vec![Turn { role: Role::User, text: text.to_owned() }] }
    }

    #[test]
    fn the_file_that_selected_the_checkpoint_is_refused_whatever_its_name() {
        let error = check_disjoint(&[file("a,1,0.5\n")], &[selected("b,1,0.5\n"), selected("a,1,0.5\n")]);
        let expected =
            "fit.csv has the content of no/dev.csv, which selected the checkpoint: expected other data";
        assert_eq!(error.unwrap_err().to_string(), expected);
    }

    #[test]
    fn rows_with_an_id_of_the_selection_are_refused_and_counted() {
        let error = check_disjoint(&[file("a,1,0.5\nb,0,0.1\nc,1,0.7\n")], &[selected("c,1,0.9\nb,0,0\n")]);
        let error = error.unwrap_err();
        assert!(matches!(error, Overlap::SharedRows { count: 2, row: 2, by: "id", .. }), "{error}");
        assert_eq!(check_disjoint(&[file("a,1,0.5\n")], &[selected("c,1,0.9\n")]), Ok(()));
    }

    #[test]
    fn rows_are_compared_by_text_where_both_sides_have_it() {
        let mut fitted = file("a,1,0.5\n");
        fitted.rows[0].text = Some(text_digest(&conversation("it is  late\nagain")));
        let mut own = selected("a,1,0.9\n");
        own.texts.insert(text_digest(&conversation("something else")));
        assert_eq!(check_disjoint(std::slice::from_ref(&fitted), std::slice::from_ref(&own)), Ok(()));
        own.texts.insert(text_digest(&conversation("It is late again")));
        let error = check_disjoint(&[fitted], &[own]).unwrap_err();
        assert!(matches!(error, Overlap::SharedRows { count: 1, row: 1, by: "text", .. }), "{error}");
    }

    #[test]
    fn of_a_file_of_another_kind_only_the_bytes_are_known() {
        let found = SelectionFile::read(Path::new("no/such.bin"), b"\x00\x01");
        assert!(!found.has_rows() && found.sha256.len() == 64);
    }
}
