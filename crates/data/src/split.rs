//! Splits a file into parts such that no family is in two of them and each label
//! has about the same share in all. Families are dealt from the largest to the
//! smallest, each to the part that lacks its labels most; among families of one
//! size the seed decides. The same file, plan and seed give the same parts.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::columns::Columns;
use crate::family::{Families, FamilyReader, FamilyRule};
use crate::fingerprint::mix;
use crate::table::{self, DataError, Fault, Record, TableFormat, TableWriter, kind};

/// Shares of the parts, each above 0, of sum 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Fractions(Vec<f64>);

/// Why a text names no fractions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found {found:?}, expected two or more numbers above 0 whose sum is 1, as 0.8,0.1,0.1")]
pub struct BadFractions {
    /// What was given.
    pub found: String,
}

impl FromStr for Fractions {
    type Err = BadFractions;

    fn from_str(text: &str) -> Result<Self, BadFractions> {
        let bad = || BadFractions { found: text.to_owned() };
        let numbers = text.split(',').map(|part| part.trim().parse::<f64>());
        let numbers = numbers.collect::<Result<Vec<_>, _>>().map_err(|_| bad())?;
        let sum = numbers.iter().sum::<f64>();
        let good = numbers.len() > 1 && numbers.iter().all(|n| *n > 0.0) && (sum - 1.0).abs() < 1e-6;
        if good { Ok(Self(numbers)) } else { Err(bad()) }
    }
}

impl Fractions {
    /// What the parts are called: train, dev, test; train, test; or by number.
    fn names(&self) -> Vec<String> {
        match self.0.len() {
            2 => ["train", "test"].map(str::to_owned).to_vec(),
            3 => ["train", "dev", "test"].map(str::to_owned).to_vec(),
            count => (0..count).map(|part| format!("part-{part}")).collect(),
        }
    }
}

/// How to split.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How families are told; by the columns of the first row if absent.
    pub family: Option<FamilyRule>,
    /// The column whose values are spread evenly; the first known label column if absent.
    pub stratify: Option<String>,
    /// The parts' shares of the rows.
    pub fractions: Fractions,
    /// Decides between families of one size.
    pub seed: u64,
}

/// One part, as it came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// The file.
    pub file: PathBuf,
    /// Its rows.
    pub rows: usize,
    /// Its families.
    pub families: usize,
    /// The share that was wanted.
    pub wanted: f64,
    /// The share that it got.
    pub share: f64,
    /// Rows by label.
    pub labels: BTreeMap<String, usize>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// How families were told.
    pub family_rule: String,
    /// The column that was spread evenly.
    pub stratified_by: Option<String>,
    /// As given.
    pub seed: u64,
    /// The parts.
    pub parts: Vec<Part>,
    /// Rows that could not be read; they are in no part and were reported.
    pub bad: usize,
}

/// Columns that hold the label in the known data sets.
const LABELS: [&str; 8] = [
    "label",
    "high_risk",
    "high_risk_any",
    "is_safe",
    "is_response_0_safe",
    "severity_level",
    "labels",
    "final_labels",
];

/// What a first reading finds.
#[derive(Default)]
struct Survey {
    columns: Columns,
    families: Families,
    labels: Vec<usize>,
    label_names: Vec<String>,
    label_numbers: HashMap<String, usize>,
    /// Numbers of the rows in the file, ascending.
    rows: Vec<usize>,
    bad: usize,
}

/// Splits a file into one file per part in a folder, in the format of the input.
/// Rows keep their order; columns stand in the order of their names.
///
/// # Errors
/// If the file cannot be read at all, if its families cannot be told, if nothing
/// falls to the first part, train (then no file is written), or if the parts cannot be
/// written. Bad rows go to `bad` and into no part.
pub fn split(
    path: &Path,
    plan: &Plan,
    folder: &Path,
    bad: &mut dyn FnMut(&DataError),
) -> Result<Outcome, DataError> {
    let first = first_row(path)?;
    let rule = plan.family.clone().or_else(|| FamilyRule::of_fields(&first.fields));
    let rule = rule.ok_or_else(|| {
        DataError::file(
            path.display(),
            "columns of no known data set",
            "a column named that tells the family",
        )
    })?;
    let known = || LABELS.into_iter().find(|name| first.fields.contains_key(*name)).map(str::to_owned);
    let stratify = plan.stratify.clone().or_else(known);
    let survey = survey(path, &rule, stratify.as_deref(), bad)?;
    let families = survey.families.numbers();
    let parts = assign(&families, &survey.labels, &plan.fractions, plan.seed);
    if !parts.contains(&0) {
        return Err(first_is_empty(path, &rule, &families, &plan.fractions.names()[0]));
    }
    let files = write(path, folder, &survey.columns, &Dealt { rows: &survey.rows, parts: &parts, plan })?;
    let mut outcome = Outcome {
        family_rule: rule.to_string(),
        stratified_by: stratify,
        seed: plan.seed,
        parts: Vec::new(),
        bad: survey.bad,
    };
    for (number, file) in files.into_iter().enumerate() {
        let rows = (0..parts.len()).filter(|row| parts[*row] == number).collect::<Vec<_>>();
        let mut of_part = rows.iter().map(|row| families[*row]).collect::<Vec<_>>();
        of_part.sort_unstable();
        of_part.dedup();
        let mut labels = BTreeMap::new();
        for row in &rows {
            *labels.entry(survey.label_names[survey.labels[*row]].clone()).or_default() += 1;
        }
        let wanted = plan.fractions.0[number];
        let share = rows.len() as f64 / parts.len().max(1) as f64;
        outcome.parts.push(Part { file, rows: rows.len(), families: of_part.len(), wanted, share, labels });
    }
    Ok(outcome)
}

/// The error of a split whose first part, from which one would train, has no row.
fn first_is_empty(path: &Path, rule: &FamilyRule, families: &[usize], first: &str) -> DataError {
    let (rows, families) = (families.len(), families.iter().max().map_or(0, |most| most + 1));
    let found = format!("{rows} rows in {families} families by {rule}, none of which falls to {first}");
    let expected = format!("more families, others that are smaller, or a larger share for {first}");
    DataError::file(path.display(), found, expected)
}

fn first_row(path: &Path) -> Result<Record, DataError> {
    let mut rows = table::read(path)?;
    let first = rows.find(|row| row.as_ref().map_or_else(|error| !error.is_of_one_row(), |_| true));
    first.unwrap_or_else(|| Err(DataError::file(path.display(), "no row that can be read", "rows")))
}

fn survey(
    path: &Path,
    rule: &FamilyRule,
    stratify: Option<&str>,
    bad: &mut dyn FnMut(&DataError),
) -> Result<Survey, DataError> {
    let mut survey = Survey::default();
    let mut reader = FamilyReader::new(rule.clone());
    for row in table::read(path)? {
        let taken = row.and_then(|record| survey.take(&record, &mut reader, stratify));
        match taken {
            Ok(()) => {}
            Err(error) if error.is_of_one_row() => {
                survey.bad += 1;
                bad(&error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(survey)
}

impl Survey {
    fn take(
        &mut self,
        record: &Record,
        reader: &mut FamilyReader,
        stratify: Option<&str>,
    ) -> Result<(), DataError> {
        let keys = reader.keys(record)?;
        let label = stratify.map_or_else(|| Ok(String::new()), |name| label(&record.fields, name));
        let label = label.map_err(|fault| fault.at(&record.place))?;
        self.columns.add(record)?;
        let next = self.label_names.len();
        let number = *self.label_numbers.entry(label.clone()).or_insert(next);
        if number == next {
            self.label_names.push(label);
        }
        self.labels.push(number);
        self.families.add(&keys);
        self.rows.push(record.place.row);
        Ok(())
    }
}

/// A row's stratum: the value as text; of a list, all of its values.
fn label(fields: &Map<String, Value>, name: &str) -> Result<String, Fault> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
            Ok(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(";"))
        }
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(other) => Err(Fault::new(name, kind(other), "a label")),
    }
}

/// A family's rows by label.
struct Hand {
    rows: usize,
    labels: Vec<(usize, usize)>,
    /// Orders families of one size.
    chance: u64,
    number: usize,
}

/// The fold of each row, below `folds`, for cross-fitting: no family is in two folds, and
/// each label has about the same share in all. `families` and `labels` count from 0
/// without gaps and are equally long; of `folds`, 0 counts as 1.
pub fn folds(families: &[usize], labels: &[usize], folds: usize, seed: u64) -> Vec<usize> {
    let folds = folds.max(1);
    assign(families, labels, &Fractions(vec![1.0 / folds as f64; folds]), seed)
}

/// The part of each row. `families` and `labels` count from 0 without gaps.
fn assign(families: &[usize], labels: &[usize], fractions: &Fractions, seed: u64) -> Vec<usize> {
    let mut hands = hands(families, labels, seed);
    hands.sort_unstable_by_key(|hand| (usize::MAX - hand.rows, hand.chance));
    let mut totals = vec![0_usize; labels.iter().max().map_or(0, |most| most + 1)];
    labels.iter().for_each(|label| totals[*label] += 1);
    let mut filled = vec![vec![0_usize; totals.len()]; fractions.0.len()];
    let mut part_of = vec![0; hands.len()];
    for hand in &hands {
        let cost = |part: &usize| cost(hand, &filled[*part], &totals, fractions.0[*part]);
        let best = (0..filled.len()).min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(0);
        hand.labels.iter().for_each(|(label, count)| filled[best][*label] += count);
        part_of[hand.number] = best;
    }
    families.iter().map(|family| part_of[*family]).collect()
}

/// How much the squared distance from the wanted numbers of each label grows if a
/// part takes a family, in units of the label's total so that rare labels count.
fn cost(hand: &Hand, filled: &[usize], totals: &[usize], fraction: f64) -> f64 {
    let of_label = |(label, count): &(usize, usize)| {
        let (count, total) = (*count as f64, totals[*label] as f64);
        count * (2.0 * (filled[*label] as f64 - fraction * total) + count) / total
    };
    hand.labels.iter().map(of_label).sum()
}

fn hands(families: &[usize], labels: &[usize], seed: u64) -> Vec<Hand> {
    let count = families.iter().max().map_or(0, |most| most + 1);
    let chance = |number: usize| mix(mix(seed) ^ number as u64);
    let hand = |number| Hand { rows: 0, labels: Vec::new(), chance: chance(number), number };
    let mut hands = (0..count).map(hand).collect::<Vec<_>>();
    for (family, label) in families.iter().zip(labels) {
        let hand = &mut hands[*family];
        hand.rows += 1;
        match hand.labels.iter_mut().find(|(known, _)| known == label) {
            Some((_, count)) => *count += 1,
            None => hand.labels.push((*label, 1)),
        }
    }
    hands
}

/// Which rows go where.
struct Dealt<'a> {
    rows: &'a [usize],
    parts: &'a [usize],
    plan: &'a Plan,
}

fn write(
    path: &Path,
    folder: &Path,
    columns: &Columns,
    dealt: &Dealt<'_>,
) -> Result<Vec<PathBuf>, DataError> {
    let io = |error| DataError::io(folder.display(), error);
    std::fs::create_dir_all(folder).map_err(io)?;
    let format = table::detect(path)?;
    let extension = match TableFormat::of_name(path) {
        Some(named) if named == format => path.extension().unwrap_or_default().to_string_lossy().into_owned(),
        _ => format.wire().to_owned(),
    };
    let files =
        dealt.plan.fractions.names().into_iter().map(|name| folder.join(format!("{name}.{extension}")));
    let files = files.collect::<Vec<_>>();
    for file in &files {
        must_not_be(path, file)?;
    }
    let create = |file: &PathBuf| TableWriter::create(file, format, columns.finish());
    let mut writers = files.iter().map(create).collect::<Result<Vec<_>, _>>()?;
    let mut next = 0;
    for record in table::read(path)?.flatten() {
        // Rows that the first reading refused are in no part.
        if dealt.rows.get(next) != Some(&record.place.row) {
            continue;
        }
        let place = record.place;
        writers[dealt.parts[next]].write(record.fields)?.map_err(|fault| fault.at(&place))?;
        next += 1;
    }
    writers.into_iter().try_for_each(|writer| writer.finish().map(drop))?;
    Ok(files)
}

/// A part must not replace the file that is being read.
fn must_not_be(input: &Path, output: &Path) -> Result<(), DataError> {
    let same = matches!((input.canonicalize(), output.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if same {
        return Err(DataError::file(output.display(), "the input itself", "another folder for the parts"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn plan(fractions: &str, seed: u64) -> Plan {
        Plan { family: None, stratify: None, fractions: fractions.parse().unwrap(), seed }
    }

    #[test]
    fn fractions_must_be_a_partition() {
        for bad in ["", "1", "0.5,0.4", "0.5,0.5,0", "a,b", "1.5,-0.5", "nan,1"] {
            assert!(bad.parse::<Fractions>().is_err(), "{bad}");
        }
        assert_eq!("0.8, 0.1,0.1".parse::<Fractions>().unwrap().names(), ["train", "dev", "test"]);
    }

    #[test]
    fn many_small_families_come_out_in_the_wanted_shares_for_each_label() {
        // 300 families of two rows, every fifth of them of the rare label.
        let families = (0..600).map(|row| row / 2).collect::<Vec<_>>();
        let labels = families.iter().map(|family| usize::from(family % 5 == 0)).collect::<Vec<_>>();
        let parts = assign(&families, &labels, &"0.8,0.1,0.1".parse().unwrap(), 3);
        let count = |part, label| (0..600).filter(|r| parts[*r] == part && labels[*r] == label).count();
        let counts = (0..3).map(|part| [count(part, 0), count(part, 1)]).collect::<Vec<_>>();
        assert_eq!(counts, [[384, 96], [48, 12], [48, 12]]);
    }

    proptest! {
        #[test]
        fn folds_keep_families_together_and_are_about_equal(seed in any::<u64>(), wanted in 2_usize..8) {
            let families = (0..400).map(|row| row / 2).collect::<Vec<_>>();
            let labels = families.iter().map(|family| usize::from(family % 4 == 0)).collect::<Vec<_>>();
            let found = folds(&families, &labels, wanted, seed);
            prop_assert!(found.chunks(2).all(|pair| pair[0] == pair[1] && pair[0] < wanted));
            for label in [0, 1] {
                let total = labels.iter().filter(|own| **own == label).count() as f64;
                for fold in 0..wanted {
                    let count = (0..400).filter(|row| found[*row] == fold && labels[*row] == label).count();
                    prop_assert!((count as f64 - total / wanted as f64).abs() <= 4.0);
                }
            }
        }

        #[test]
        fn no_family_is_in_two_parts_and_the_seed_alone_decides(
            rows in prop::collection::vec((0..20_usize, 0..4_usize), 1..80),
            seed in any::<u64>(),
        ) {
            let mut names = HashMap::new();
            let number = |family: &usize, names: &mut HashMap<usize, usize>| {
                let next = names.len();
                *names.entry(*family).or_insert(next)
            };
            let families = rows.iter().map(|(family, _)| number(family, &mut names)).collect::<Vec<_>>();
            let labels = rows.iter().map(|(_, label)| *label).collect::<Vec<_>>();
            let fractions = "0.6,0.2,0.2".parse::<Fractions>().unwrap();
            let parts = assign(&families, &labels, &fractions, seed);
            prop_assert_eq!(parts.len(), rows.len());
            for (i, a) in families.iter().enumerate() {
                for (j, b) in families.iter().enumerate() {
                    prop_assert!(a != b || parts[i] == parts[j]);
                }
            }
            prop_assert_eq!(parts, assign(&families, &labels, &fractions, seed));
        }
    }

    #[test]
    fn a_file_is_split_with_all_its_rows_and_bad_ones_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.jsonl");
        let row =
            |i: usize| json!({"text": format!("t{i}"), "label": i % 2, "persona_id": format!("p{}", i / 4)});
        let mut lines = (0..80).map(|i| format!("{}\n", row(i))).collect::<Vec<_>>();
        lines.insert(3, "not json\n".to_owned());
        std::fs::write(&path, lines.concat()).unwrap();
        let mut bad = Vec::new();
        let output = folder.path().join("parts");
        let outcome =
            split(&path, &plan("0.5,0.25,0.25", 1), &output, &mut |e| bad.push(e.to_string())).unwrap();
        assert_eq!((outcome.bad, bad.len()), (1, 1));
        assert_eq!(outcome.parts.iter().map(|part| part.rows).collect::<Vec<_>>(), [40, 20, 20]);
        assert_eq!(outcome.parts[1].labels, BTreeMap::from([("0".to_owned(), 10), ("1".to_owned(), 10)]));
        let mut texts = Vec::new();
        for part in &outcome.parts {
            let rows = table::read(&part.file).unwrap().map(Result::unwrap);
            texts.extend(rows.map(|r| r.fields["text"].as_str().unwrap()[1..].parse::<usize>().unwrap()));
        }
        texts.sort_unstable();
        assert_eq!(texts, (0..80).collect::<Vec<_>>());
    }

    #[test]
    fn a_split_that_leaves_nothing_to_train_from_is_refused_before_a_file_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.jsonl");
        let row = |i: usize| format!("{}\n", json!({"id": format!("a-{i}"), "turns": [], "high_risk": 0}));
        std::fs::write(&path, (0..9).map(row).collect::<String>()).unwrap();
        let parts = folder.path().join("parts");
        let error = split(&path, &plan("0.1,0.9", 1), &parts, &mut |_| {}).unwrap_err();
        let message = error.to_string().replace(&path.display().to_string(), "one.jsonl");
        insta::assert_snapshot!(message, @"one.jsonl: found 9 rows in 1 families by author, none of which falls to train, expected more families, others that are smaller, or a larger share for train");
        assert!(!parts.exists());
        let outcome = split(&path, &plan("0.9,0.1", 1), &parts, &mut |_| {}).unwrap();
        assert_eq!(outcome.parts.iter().map(|part| part.rows).collect::<Vec<_>>(), [9, 0]);
    }

    #[test]
    fn the_input_is_never_replaced_and_unknown_columns_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.jsonl");
        std::fs::write(&path, "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n").unwrap();
        let error = split(&path, &plan("0.5,0.5", 1), folder.path(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("the input itself"), "{error}");
        std::fs::write(&path, "{\"x\":\"a\"}\n").unwrap();
        let error = split(&path, &plan("0.5,0.5", 1), folder.path(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("columns of no known data set"), "{error}");
    }
}
