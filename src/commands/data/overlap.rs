//! `mindrail data overlap`: copies, near copies and shared families.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use mindrail_data::family::FamilyRule;
use mindrail_data::overlap::{Options, Report, RowName, Sources, Threshold, Wording, compare, text};
use mindrail_data::table;

use crate::commands::{Exit, complain};

/// Find texts that two files, or the rows of one, have in common.
///
/// Copies have the same words in the same order; case, punctuation, width of
/// characters and marks of speakers do not count. Similar texts share that part
/// of their three-word shingles which `--threshold` says. Families are told as
/// by `mindrail data split`. No text is printed without `--show-text`.
#[derive(Debug, Args)]
pub(crate) struct Overlap {
    /// A file of rows.
    #[arg(value_name = "A")]
    first: PathBuf,

    /// Another one; without it the rows of A are compared with one another.
    #[arg(value_name = "B")]
    second: Option<PathBuf>,

    /// Jaccard similarity from which texts are similar, above 0 and up to 1.
    #[arg(long, value_name = "NUMBER", default_value = "0.8", value_parser = threshold)]
    threshold: Threshold,

    /// Texts of fewer words than this are not compared. Characters are words
    /// in scripts that do not separate them.
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    shortest: usize,

    /// A column that holds text; may be given several times.
    #[arg(long, value_name = "COLUMN")]
    text_column: Vec<String>,

    /// The column that names the family.
    #[arg(long, value_name = "COLUMN")]
    family_column: Option<String>,

    /// Tell everything as JSON.
    #[arg(long)]
    json: bool,

    /// Print the texts too. They are what people said.
    #[arg(long)]
    show_text: bool,

    /// Findings of each kind to list; JSON has all.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    most: usize,
}

fn threshold(text: &str) -> Result<Threshold, String> {
    let number = text.parse::<f64>().ok().and_then(Threshold::new);
    number.ok_or_else(|| "expected a number above 0 and up to 1".to_owned())
}

type Texts = BTreeMap<RowName, String>;

impl Overlap {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let sources = match &self.second {
            Some(second) => Sources::Between(&self.first, second),
            None => Sources::Within(&self.first),
        };
        let options = Options {
            threshold: self.threshold,
            shortest: self.shortest,
            columns: self.text_column.clone(),
            family: self.family_column.clone().map(FamilyRule::Column),
        };
        let report = compare(sources, &options, &mut |error| complain(&error.to_string()))?;
        let texts = if self.show_text { self.texts(&report)? } else { Texts::new() };
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{:#}", json(&report, &texts, self.show_text)?)?;
        } else {
            out.write_all(drawn(&report, &texts, self.most).as_bytes())?;
        }
        let bad = report.files.iter().map(|file| file.bad).sum::<usize>();
        Ok(if bad == 0 { Exit::Done } else { Exit::BadRows })
    }

    /// The texts of all rows that were found, read again.
    fn texts(&self, report: &Report) -> anyhow::Result<Texts> {
        let copies = report.copies.iter().flat_map(|copies| &copies.rows);
        let similar = report.similar.iter().flat_map(|pair| pair.left.iter().chain(&pair.right));
        let wanted = copies.chain(similar).copied().collect::<BTreeSet<_>>();
        let mut texts = Texts::new();
        let paths = [Some(&self.first), self.second.as_ref()];
        for (file, path) in paths.into_iter().flatten().enumerate() {
            self.texts_of(file as u8, path, &wanted, &mut texts)?;
        }
        Ok(texts)
    }

    fn texts_of(
        &self,
        file: u8,
        path: &Path,
        wanted: &BTreeSet<RowName>,
        texts: &mut Texts,
    ) -> anyhow::Result<()> {
        for record in table::read(path)?.flatten() {
            let name = RowName { file, row: record.place.row };
            if wanted.contains(&name) {
                texts.insert(name, text(&record, &self.text_column)?);
            }
        }
        Ok(())
    }
}

fn json(report: &Report, texts: &Texts, show_text: bool) -> anyhow::Result<serde_json::Value> {
    let mut value = serde_json::to_value(report)?;
    if show_text {
        let row = |(name, text): (&RowName, &String)| serde_json::json!({ "file": name.file, "row": name.row, "text": text });
        value
            .as_object_mut()
            .context("a report is an object")?
            .insert("texts".to_owned(), texts.iter().map(row).collect());
    }
    Ok(value)
}

fn drawn(report: &Report, texts: &Texts, most: usize) -> String {
    let mut text = String::new();
    for file in &report.files {
        let _ =
            writeln!(text, "{}: {} rows, {} too short, {} bad", file.file, file.rows, file.short, file.bad);
    }
    let within = if report.files.len() == 2 { "in both files" } else { "more than once" };
    let _ = writeln!(text, "{} texts {within}", report.copies.len());
    let _ = writeln!(
        text,
        "{} pairs of similar texts, Jaccard >= {} (a pair at the threshold is found with probability {:.4})",
        report.similar.len(),
        report.threshold.get(),
        report.recall_at_threshold
    );
    match &report.family_rule {
        Some(rule) if report.files.len() == 2 => {
            let _ = writeln!(text, "{} families in both files, by {rule}", report.families.len());
        }
        Some(_) => {}
        None => text.push_str("families not compared: the columns do not show them; see --family-column\n"),
    }
    if report.crowded > 0 {
        let _ = writeln!(
            text,
            "{} groups of alike texts were too large to compare all their pairs; some pairs are not listed",
            report.crowded
        );
    }
    findings(report, texts, most, &mut text);
    text
}

fn findings(report: &Report, texts: &Texts, most: usize, text: &mut String) {
    let names = |rows: &[RowName]| names(report, rows);
    let shown = |rows: &[RowName]| rows.first().and_then(|row| texts.get(row));
    for copies in report.copies.iter().take(most) {
        let how = match copies.wording {
            Wording::Identical => "identical",
            Wording::Normalised => "same words",
        };
        let _ = writeln!(text, "{how}: {}", names(&copies.rows));
        quote(shown(&copies.rows), text);
    }
    for pair in report.similar.iter().take(most) {
        let _ = writeln!(text, "{:.3}: {} ~ {}", pair.jaccard, names(&pair.left), names(&pair.right));
        quote(shown(&pair.left), text);
        quote(shown(&pair.right), text);
    }
    for rows in report.families.iter().take(most) {
        let _ = writeln!(text, "family: {}", names(rows));
    }
}

/// As `a.csv rows 1, 7; b.csv row 3`; of many rows the first.
fn names(report: &Report, rows: &[RowName]) -> String {
    const SHOWN: usize = 6;
    let of_file = |(number, file): (usize, &mindrail_data::overlap::Counted)| {
        let rows = rows.iter().filter(|row| usize::from(row.file) == number).collect::<Vec<_>>();
        let mut list = rows.iter().take(SHOWN).map(|row| row.row.to_string()).collect::<Vec<_>>().join(", ");
        if rows.len() > SHOWN {
            let _ = write!(list, " and {} more", rows.len() - SHOWN);
        }
        (!rows.is_empty()).then(|| format!("{} row {list}", file.file))
    };
    report.files.iter().enumerate().filter_map(of_file).collect::<Vec<_>>().join("; ")
}

fn quote(spoken: Option<&String>, text: &mut String) {
    if let Some(spoken) = spoken {
        let _ = writeln!(text, "    {}", spoken.replace('\n', " / "));
    }
}
