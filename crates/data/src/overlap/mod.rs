//! What two files, or the rows of one, have in common: the same texts, nearly the
//! same texts, and rows of one family. Each row is read once; of its text only
//! hashes stay in memory. Reports name rows by file and number and hold no text.

mod candidates;
mod words;

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;
use serde::Serialize;

use crate::family::{FamilyReader, FamilyRule};
use crate::fingerprint::{hash, shingles, tokens};
use crate::table::{self, DataError, Record};

use candidates::{Banding, Sets, similar};

pub use words::{Wording, text};

/// A Jaccard similarity from which texts count as near duplicates, in (0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Threshold(f64);

impl Threshold {
    /// A threshold; `None` outside of (0, 1].
    pub fn new(value: f64) -> Option<Self> {
        (value > 0.0 && value <= 1.0).then_some(Self(value))
    }

    /// The value.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Default for Threshold {
    /// Four of five shingles: a changed word in each second sentence.
    fn default() -> Self {
        Self(0.8)
    }
}

/// What is compared with what.
#[derive(Debug, Clone, Copy)]
pub enum Sources<'a> {
    /// The rows of a file with one another.
    Within(&'a Path),
    /// The rows of one file with those of another.
    Between(&'a Path, &'a Path),
}

/// How to compare.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// From which similarity on.
    pub threshold: Threshold,
    /// Texts of fewer tokens are counted, not compared: greetings are alike.
    pub shortest: usize,
    /// The columns that hold the text; those of the known data sets if empty.
    pub columns: Vec<String>,
    /// How families are told; by the columns of the first row if absent.
    pub family: Option<FamilyRule>,
}

/// A row by its file, 0 or 1 in the order given, and its number from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RowName {
    /// 0 for the first file, 1 for the second.
    pub file: u8,
    /// From 1, bad rows counted.
    pub row: usize,
}

/// Rows whose texts have the same words in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copies {
    /// Whether they are the same in all else too.
    pub wording: Wording,
    /// The rows.
    pub rows: Vec<RowName>,
}

/// Two groups of rows, each of one text, whose texts are similar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Similar {
    /// True Jaccard similarity of their shingles.
    pub jaccard: f64,
    /// Rows of one text.
    pub left: Vec<RowName>,
    /// Rows of the other.
    pub right: Vec<RowName>,
}

/// What was read of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// The file.
    pub file: String,
    /// All rows.
    pub rows: usize,
    /// Rows too short to be compared.
    pub short: usize,
    /// Rows that could not be read; they were reported.
    pub bad: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The files.
    pub files: Vec<Counted>,
    /// From which similarity on.
    pub threshold: Threshold,
    /// Probability to find a pair that lies exactly at the threshold.
    pub recall_at_threshold: f64,
    /// Texts that occur more than once, of two files in both.
    pub copies: Vec<Copies>,
    /// Texts that are similar, of two files across.
    pub similar: Vec<Similar>,
    /// How families were told; absent where the columns show no rule.
    pub family_rule: Option<String>,
    /// Families with rows in both files.
    pub families: Vec<Vec<RowName>>,
    /// Groups of alike texts too large to compare all pairs.
    pub crowded: usize,
}

/// Compares.
///
/// # Errors
/// If a file cannot be read at all. Bad rows go to `bad` and are left out.
pub fn compare(
    sources: Sources<'_>,
    options: &Options,
    bad: &mut dyn FnMut(&DataError),
) -> Result<Report, DataError> {
    let mut index = Index::default();
    match sources {
        Sources::Within(path) => index.add(0, path, options, bad)?,
        Sources::Between(a, b) => {
            index.add(0, a, options, bad)?;
            index.add(1, b, options, bad)?;
        }
    }
    Ok(index.report(options))
}

/// Rows that are reduced at once, in parallel.
const BATCH: usize = 4096;

/// A row as it is remembered.
struct Reduced {
    name: RowName,
    /// Of the text as it stands.
    raw: u64,
    /// Of its tokens.
    words: u64,
    shingles: Vec<u32>,
    tokens: usize,
}

/// All texts that were seen, each once.
#[derive(Default)]
struct Index {
    files: Vec<Counted>,
    by_words: HashMap<u64, u32>,
    texts: Vec<Text>,
    sets: Sets,
    family_rule: Option<FamilyRule>,
    families: HashMap<u64, Vec<RowName>>,
}

/// One sequence of words and the rows that have it.
struct Text {
    raw: u64,
    wording: Wording,
    rows: Vec<RowName>,
}

impl Index {
    fn add(
        &mut self,
        file: u8,
        path: &Path,
        options: &Options,
        bad: &mut dyn FnMut(&DataError),
    ) -> Result<(), DataError> {
        let mut counted = Counted { file: path.display().to_string(), rows: 0, short: 0, bad: 0 };
        let mut families = None;
        let mut batch = Vec::new();
        let mut rows = table::read(path)?.peekable();
        while rows.peek().is_some() {
            for row in rows.by_ref().take(BATCH) {
                counted.rows += 1;
                match row {
                    Ok(record) => batch.push(record),
                    Err(error) if error.is_of_one_row() => refuse(&error, &mut counted, bad),
                    Err(error) => return Err(error),
                }
            }
            self.take_families(file, &batch, options, &mut families);
            for reduced in reduce(file, &batch, &options.columns) {
                match reduced {
                    Ok(reduced) if reduced.tokens < options.shortest.max(1) => counted.short += 1,
                    Ok(reduced) => self.insert(&reduced),
                    Err(error) => refuse(&error, &mut counted, bad),
                }
            }
            batch.clear();
        }
        self.files.push(counted);
        Ok(())
    }

    fn insert(&mut self, row: &Reduced) {
        if let Some(at) = self.by_words.get(&row.words) {
            let text = &mut self.texts[*at as usize];
            if text.raw != row.raw {
                text.wording = Wording::Normalised;
            }
            text.rows.push(row.name);
        } else {
            self.by_words.insert(row.words, self.texts.len() as u32);
            self.texts.push(Text { raw: row.raw, wording: Wording::Identical, rows: vec![row.name] });
            self.sets.push(&row.shingles);
        }
    }

    /// Remembers the families of rows. A row without a key is left out: it has
    /// no family to share.
    fn take_families(
        &mut self,
        file: u8,
        batch: &[Record],
        options: &Options,
        reader: &mut Option<FamilyReader>,
    ) {
        let Some(first) = batch.first() else { return };
        if reader.is_none() {
            let rule = options.family.clone().or_else(|| FamilyRule::of_fields(&first.fields));
            *reader = rule.clone().map(FamilyReader::new);
            // Files of two kinds share no families that one rule could tell.
            self.family_rule = if file == 0 || self.family_rule == rule { rule } else { None };
        }
        let Some(reader) = reader else { return };
        for record in batch {
            let name = RowName { file, row: record.place.row };
            let mut keys = reader.keys(record).unwrap_or_default();
            keys.sort_unstable();
            keys.dedup();
            keys.into_iter().for_each(|key| self.families.entry(key).or_default().push(name));
        }
    }

    fn report(self, options: &Options) -> Report {
        let across = self.files.len() == 2;
        let found = similar(&self.sets, options.threshold, |a, b| {
            !across || meets(&self.texts[a as usize].rows, &self.texts[b as usize].rows)
        });
        let rows = |at: u32| self.texts[at as usize].rows.clone();
        let pair = |pair: &candidates::Pair| Similar {
            jaccard: pair.jaccard,
            left: rows(pair.first),
            right: rows(pair.second),
        };
        let repeated = |rows: &[RowName]| if across { spans(rows) } else { rows.len() > 1 };
        let copies = self.texts.iter().filter(|text| repeated(&text.rows));
        let mut families = Vec::new();
        if across && self.family_rule.is_some() {
            families.extend(self.families.into_values().filter(|rows| spans(rows)));
            families.sort();
            families.dedup();
        }
        Report {
            threshold: options.threshold,
            recall_at_threshold: Banding::new(options.threshold).recall(options.threshold.get()),
            copies: copies.map(|text| Copies { wording: text.wording, rows: text.rows.clone() }).collect(),
            similar: found.pairs.iter().map(pair).collect(),
            family_rule: self.family_rule.map(|rule| rule.to_string()),
            families,
            crowded: found.crowded,
            files: self.files,
        }
    }
}

fn refuse(error: &DataError, counted: &mut Counted, bad: &mut dyn FnMut(&DataError)) {
    counted.bad += 1;
    bad(error);
}

fn reduce(file: u8, batch: &[Record], columns: &[String]) -> Vec<Result<Reduced, DataError>> {
    let one = |record: &Record| {
        let text = text(record, columns)?;
        let tokens = tokens(&text);
        let bytes = tokens.iter().flat_map(|token| token.to_le_bytes()).collect::<Vec<_>>();
        Ok(Reduced {
            name: RowName { file, row: record.place.row },
            raw: hash(text.as_bytes()),
            words: hash(&bytes),
            shingles: shingles(&tokens),
            tokens: tokens.len(),
        })
    };
    batch.par_iter().map(one).collect()
}

/// Whether rows of both files are among these.
fn spans(rows: &[RowName]) -> bool {
    rows.iter().any(|row| row.file == 0) && rows.iter().any(|row| row.file == 1)
}

/// Whether one side has a row of the one file and the other side of the other.
fn meets(left: &[RowName], right: &[RowName]) -> bool {
    let has = |rows: &[RowName], file| rows.iter().any(|row| row.file == file);
    (has(left, 0) && has(right, 1)) || (has(left, 1) && has(right, 0))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::path::PathBuf;

    use serde_json::{Value, json};
    use tempfile::TempDir;

    use super::*;

    fn file(folder: &TempDir, name: &str, rows: &[Value]) -> PathBuf {
        let path = folder.path().join(name);
        let lines = rows.iter().map(|row| format!("{row}\n")).collect::<Vec<_>>().concat();
        std::fs::write(&path, lines).unwrap();
        path
    }

    fn rows(names: &[(u8, usize)]) -> Vec<RowName> {
        names.iter().map(|(file, row)| RowName { file: *file, row: *row }).collect()
    }

    const LONG: &str =
        "I walked home through the rain today and nobody at the house had noticed that I was gone at all";

    #[test]
    fn copies_near_copies_and_families_across_two_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let row = |text: &str, persona: &str| json!({"text": text, "persona_id": persona});
        let near = LONG.replace("today", "tonight");
        let a = file(
            &folder,
            "a.jsonl",
            &[row(LONG, "p1"), row("another text of its own kind", ""), row(LONG, "")],
        );
        let b = file(
            &folder,
            "b.jsonl",
            &[row(&format!("User: {}!", LONG.to_uppercase()), "p2"), row(&near, "p1"), row("ok", "")],
        );
        let options = Options { threshold: Threshold::new(0.6).unwrap(), shortest: 3, ..Options::default() };
        let report = compare(Sources::Between(&a, &b), &options, &mut |_| unreachable!()).unwrap();
        let copies = [Copies { wording: Wording::Normalised, rows: rows(&[(0, 1), (0, 3), (1, 1)]) }];
        assert_eq!(report.copies, copies);
        assert_eq!(report.similar.len(), 1);
        assert_eq!(report.similar[0].right, rows(&[(1, 2)]));
        // 20 words give 18 shingles; one changed word in the middle changes three: 15 of 21.
        assert!((report.similar[0].jaccard - 15.0 / 21.0).abs() < 1e-12, "{}", report.similar[0].jaccard);
        assert_eq!(report.families, [rows(&[(0, 1), (1, 2)])]);
        assert_eq!(report.files[1], Counted { file: b.display().to_string(), rows: 3, short: 1, bad: 0 });
        assert!(!serde_json::to_string(&report).unwrap().contains("rain"));
    }

    #[test]
    fn within_one_file_all_pairs_count_and_families_are_no_leak() {
        let folder = tempfile::tempdir().unwrap();
        let row = |prompt: &str| json!({"prompt": prompt, "response": "r"});
        let a = file(&folder, "a.jsonl", &[row(LONG), row("a b c d"), row(LONG)]);
        let report = compare(Sources::Within(&a), &Options::default(), &mut |_| unreachable!()).unwrap();
        assert_eq!(report.copies, [Copies { wording: Wording::Identical, rows: rows(&[(0, 1), (0, 3)]) }]);
        assert!(report.similar.is_empty() && report.families.is_empty());
    }

    #[test]
    fn a_bad_row_is_reported_and_the_others_are_compared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(
            &path,
            format!("{{\"text\":\"{LONG}\"}}\nnot json\n{{\"text\":7}}\n{{\"text\":\"{LONG}\"}}\n"),
        )
        .unwrap();
        let mut messages = Vec::new();
        let report =
            compare(Sources::Within(&path), &Options::default(), &mut |e| messages.push(e.to_string()))
                .unwrap();
        assert_eq!((report.copies.len(), report.files[0].bad), (1, 2));
        assert_eq!(report.copies[0].rows, rows(&[(0, 1), (0, 4)]));
        assert!(messages.iter().all(|message| !message.contains("walked")), "{messages:?}");
    }
}
