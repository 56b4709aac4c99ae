//! The CSV formats of the KHP guardrail's `predict` and `evaluate`: what its
//! tools write can be scored here, and what is scored here can be read by them.
//!
//! - Input of `predict`: a content column (`text`, `Text`, `content`, `prompt`) and
//!   a label column (`label`, `Label`, `is_high_risk`), in UTF-8 or Windows-1252.
//! - Output of `predict`, input of `evaluate`: `content,label,label_high_risk`, one
//!   column of 0/1 for each guardrail, `combined_pred`, `latency_ms`. A second
//!   guardrail of one name gets `_1`, a third `_2`.
//! - Output of `evaluate`: one row of metrics.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;

use mindrail_core::metrics::Confusion;
use thiserror::Error;

/// A row of `predict`'s input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KhpInput {
    /// The conversation. Never part of an error.
    pub content: String,
    /// The label as it stands there; empty where there is no label column.
    pub label: String,
}

impl KhpInput {
    /// Whether the label means high risk.
    pub fn high_risk(&self) -> bool {
        is_high_risk(&self.label)
    }
}

/// A row of `predict`'s output.
#[derive(Debug, Clone, PartialEq)]
pub struct KhpPrediction {
    /// The row that it answers.
    pub input: KhpInput,
    /// What each guardrail said, in the order of the file's guardrails.
    pub guardrails: Vec<bool>,
    /// Milliseconds inside the guardrails.
    pub latency_ms: f64,
}

impl KhpPrediction {
    /// High risk if any guardrail of the stack says so.
    pub fn combined(&self) -> bool {
        self.guardrails.contains(&true)
    }
}

/// A file of `predict`'s output.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KhpPredictions {
    /// The guardrails' names, each once.
    pub guardrails: Vec<String>,
    /// The rows.
    pub rows: Vec<KhpPrediction>,
}

/// Why a file of these formats cannot be read or written.
#[derive(Debug, Error)]
pub enum KhpError {
    /// A column is missing.
    #[error("{file}: found no column {expected}")]
    Column {
        /// The file's name.
        file: String,
        /// The names that would have been accepted.
        expected: String,
    },
    /// One row is bad.
    #[error("{file} row {row}: {field}: expected {expected}")]
    Row {
        /// The file's name.
        file: String,
        /// The row, from 1.
        row: usize,
        /// The field.
        field: String,
        /// What would have been accepted.
        expected: &'static str,
    },
    /// A row holds another number of answers than there are guardrails.
    #[error("row {row}: found {found} answers, expected one for each of {expected} guardrails")]
    Answers {
        /// The row, from 1.
        row: usize,
        /// Number of answers.
        found: usize,
        /// Number of guardrails.
        expected: usize,
    },
    /// The system refused.
    #[error("{0}")]
    Write(#[from] csv::Error),
}

/// Names of the content column, in the order of preference.
const CONTENT: [&str; 4] = ["text", "Text", "content", "prompt"];
/// Names of the label column, in the order of preference.
const LABEL: [&str; 3] = ["label", "Label", "is_high_risk"];

/// Whether a spelling of a label means high risk: yes, true, 1, `high_risk` in
/// any case; everything else does not, as in the guardrail's tools.
pub fn is_high_risk(label: &str) -> bool {
    ["yes", "true", "1", "high_risk"].contains(&label.trim().to_lowercase().as_str())
}

/// A table of text cells.
struct Sheet<'a> {
    file: &'a str,
    header: csv::StringRecord,
    records: Vec<csv::StringRecord>,
}

impl<'a> Sheet<'a> {
    /// Reads the table, as UTF-8 or else as Windows-1252.
    fn read(file: &'a str, bytes: &[u8]) -> Result<Self, KhpError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
        };
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().cloned().unwrap_or_default();
        let bad = |row| KhpError::Row {
            file: file.to_owned(),
            row,
            field: "row".to_owned(),
            expected: "as many cells as the header",
        };
        let records = reader.records().enumerate();
        let records = records.map(|(number, record)| record.map_err(|_| bad(number + 1)));
        Ok(Self { file, header, records: records.collect::<Result<_, _>>()? })
    }

    fn place(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.header.iter().position(|own| own.trim() == *name))
    }

    fn required(&self, names: &[&str]) -> Result<usize, KhpError> {
        self.place(names).ok_or_else(|| KhpError::Column {
            file: self.file.to_owned(),
            expected: names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "),
        })
    }

    fn bad(&self, row: usize, place: usize, expected: &'static str) -> KhpError {
        let field = self.header.get(place).unwrap_or_default().to_owned();
        KhpError::Row { file: self.file.to_owned(), row, field, expected }
    }
}

/// Reads `predict`'s input from the bytes of `file`.
///
/// # Errors
/// [`KhpError`] when there is no content column, or a row has another number of
/// cells than the header.
pub fn read_input(file: &str, bytes: &[u8]) -> Result<Vec<KhpInput>, KhpError> {
    let sheet = Sheet::read(file, bytes)?;
    let content = sheet.required(&CONTENT)?;
    let label = sheet.place(&LABEL);
    let row = |record: &csv::StringRecord| KhpInput {
        content: record.get(content).unwrap_or_default().to_owned(),
        label: label.and_then(|place| record.get(place)).unwrap_or_default().to_owned(),
    };
    Ok(sheet.records.iter().map(row).collect())
}

/// Reads `predict`'s output from the bytes of `file`. All columns between
/// `label_high_risk` and `combined_pred` are guardrails.
///
/// # Errors
/// [`KhpError`] when a column is missing, or a cell is not what it must be.
pub fn read_predictions(file: &str, bytes: &[u8]) -> Result<KhpPredictions, KhpError> {
    let sheet = Sheet::read(file, bytes)?;
    let content = sheet.required(&["content"])?;
    let label = sheet.required(&["label"])?;
    let first = sheet.required(&["label_high_risk"])? + 1;
    let last = sheet.required(&["combined_pred"])?;
    let latency = sheet.required(&["latency_ms"])?;
    let guardrails: Vec<String> =
        (first..last).filter_map(|place| sheet.header.get(place)).map(str::to_owned).collect();
    let mut rows = Vec::new();
    for (number, record) in sheet.records.iter().enumerate() {
        let flag = |place: usize| match record.get(place).map(str::trim) {
            Some("0" | "false" | "False") => Ok(false),
            Some("1" | "true" | "True") => Ok(true),
            _ => Err(sheet.bad(number + 1, place, "0 or 1")),
        };
        let input = KhpInput { content: record[content].to_owned(), label: record[label].to_owned() };
        let latency_ms = record[latency].trim().parse().ok().filter(|ms: &f64| ms.is_finite());
        let row = KhpPrediction {
            input,
            guardrails: (first..last).map(flag).collect::<Result<_, _>>()?,
            latency_ms: latency_ms
                .ok_or_else(|| sheet.bad(number + 1, latency, "a number of milliseconds"))?,
        };
        if row.combined() != flag(last)? {
            return Err(sheet.bad(number + 1, last, "1 exactly where a guardrail says 1"));
        }
        rows.push(row);
    }
    Ok(KhpPredictions { guardrails, rows })
}

/// Writes `predict`'s output.
///
/// # Errors
/// [`KhpError`] when a row has another number of answers than there are
/// guardrails, or the system refuses.
pub fn write_predictions(predictions: &KhpPredictions, out: impl Write) -> Result<(), KhpError> {
    let mut writer = csv::Writer::from_writer(out);
    let mut header = vec!["content".to_owned(), "label".to_owned(), "label_high_risk".to_owned()];
    header.extend(unique_names(&predictions.guardrails));
    header.extend(["combined_pred".to_owned(), "latency_ms".to_owned()]);
    writer.write_record(&header)?;
    let expected = predictions.guardrails.len();
    for (number, row) in predictions.rows.iter().enumerate() {
        let found = row.guardrails.len();
        if found != expected {
            return Err(KhpError::Answers { row: number + 1, found, expected });
        }
        let flag = |flag: bool| if flag { "1".to_owned() } else { "0".to_owned() };
        let mut record =
            vec![row.input.content.clone(), row.input.label.clone(), flag(row.input.high_risk())];
        record.extend(row.guardrails.iter().map(|&said| flag(said)));
        record.extend([flag(row.combined()), format!("{:.4}", row.latency_ms)]);
        writer.write_record(&record)?;
    }
    writer.flush().map_err(csv::Error::from)?;
    Ok(())
}

/// The names, a repeated one with `_1`, `_2`, … after it.
fn unique_names(names: &[String]) -> Vec<String> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let mut unique_names = Vec::new();
    for name in names {
        let before = seen.entry(name).or_insert(0);
        unique_names.push(if *before == 0 { name.clone() } else { format!("{name}_{before}") });
        *before += 1;
    }
    unique_names
}

/// What `evaluate` writes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct KhpMetrics {
    /// Precision of high risk; 0 without calls.
    pub precision: f64,
    /// Recall of high risk; 0 without positives.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
    /// Mean latency; 0 without rows.
    pub latency_ms_mean: f64,
    /// Total latency.
    pub latency_ms_total: f64,
    /// Rows labelled high risk.
    pub support_high_risk: usize,
    /// Rows labelled low risk.
    pub support_low_risk: usize,
    /// All rows.
    pub total_samples: usize,
    /// The guardrails' names with commas between them.
    pub guardrail_names: String,
}

/// What `evaluate` finds in a file of predictions.
pub fn evaluate(predictions: &KhpPredictions) -> KhpMetrics {
    let rows = &predictions.rows;
    let counts: Confusion = rows.iter().map(|row| (row.input.high_risk(), row.combined())).collect();
    let total: f64 = rows.iter().map(|row| row.latency_ms).sum();
    KhpMetrics {
        precision: counts.precision(),
        recall: counts.recall(),
        f1: counts.f1(),
        latency_ms_mean: if rows.is_empty() { 0.0 } else { total / rows.len() as f64 },
        latency_ms_total: total,
        support_high_risk: counts.tp + counts.fn_,
        support_low_risk: counts.fp + counts.tn,
        total_samples: rows.len(),
        guardrail_names: predictions.guardrails.join(","),
    }
}

/// Writes `evaluate`'s CSV: a header and one row.
///
/// # Errors
/// [`KhpError`] when the system refuses.
pub fn write_metrics(metrics: &KhpMetrics, out: impl Write) -> Result<(), KhpError> {
    let mut writer = csv::Writer::from_writer(out);
    writer.serialize(metrics)?;
    writer.flush().map_err(csv::Error::from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn prediction(label: &str, guardrails: &[bool], latency_ms: f64) -> KhpPrediction {
        let input = KhpInput { content: "user: hi,\nassistant: hello".to_owned(), label: label.to_owned() };
        KhpPrediction { input, guardrails: guardrails.to_vec(), latency_ms }
    }

    fn two_guardrails() -> KhpPredictions {
        KhpPredictions {
            guardrails: vec!["judge".to_owned(), "judge".to_owned()],
            rows: vec![
                prediction("yes", &[false, true], 1.5),
                prediction("0", &[false, false], 2.5),
                prediction("High_Risk", &[false, false], 0.0),
            ],
        }
    }

    fn written(predictions: &KhpPredictions) -> String {
        let mut out = Vec::new();
        write_predictions(predictions, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn predictions_are_written_as_the_guardrails_tools_write_them() {
        insta::assert_snapshot!(written(&two_guardrails()), @r#"
        content,label,label_high_risk,judge,judge_1,combined_pred,latency_ms
        "user: hi,
        assistant: hello",yes,1,0,1,1,1.5000
        "user: hi,
        assistant: hello",0,0,0,0,0,2.5000
        "user: hi,
        assistant: hello",High_Risk,1,0,0,0,0.0000
        "#);
    }

    #[test]
    fn what_was_written_is_read_again() {
        let file = written(&two_guardrails());
        let back = read_predictions("p.csv", file.as_bytes()).unwrap();
        assert_eq!(back.guardrails, ["judge", "judge_1"]);
        assert_eq!(back.rows, two_guardrails().rows);
    }

    #[test]
    fn metrics_by_hand() {
        let found = evaluate(&two_guardrails());
        let mut out = Vec::new();
        write_metrics(&found, &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        precision,recall,f1,latency_ms_mean,latency_ms_total,support_high_risk,support_low_risk,total_samples,guardrail_names
        1.0,0.5,0.6666666666666666,1.3333333333333333,4.0,2,1,3,"judge,judge"
        "#);
        assert_eq!(evaluate(&KhpPredictions::default()).latency_ms_mean.to_bits(), 0);
    }

    #[test]
    fn the_published_counts_give_the_published_metrics() {
        let of = |count: usize, label: &str, said: bool| {
            std::iter::repeat_n(prediction(label, &[said], 158.56), count).collect::<Vec<_>>()
        };
        let rows = [of(37, "1", true), of(8, "0", true), of(44, "0", false), of(5, "1", false)].concat();
        let found = evaluate(&KhpPredictions { guardrails: vec!["guardrail".to_owned()], rows });
        let rounded = [found.precision, found.recall, found.f1].map(|value| format!("{value:.4}"));
        assert_eq!(rounded, ["0.8222", "0.8810", "0.8506"]);
        assert_eq!((found.support_high_risk, found.support_low_risk, found.total_samples), (42, 52, 94));
    }

    #[test]
    fn input_columns_have_several_names_and_encodings() {
        let utf8 = read_input("i.csv", "Text,is_high_risk\n\"salut, ça va\",TRUE\n".as_bytes()).unwrap();
        assert_eq!((utf8[0].content.as_str(), utf8[0].high_risk()), ("salut, ça va", true));
        let latin = read_input("i.csv", b"prompt,label\n\xe7a va \x96 oui,low_risk\n").unwrap();
        assert_eq!((latin[0].content.as_str(), latin[0].high_risk()), ("ça va – oui", false));
        let unlabelled = read_input("i.csv", b"content\nhello\n").unwrap();
        assert!(!unlabelled[0].high_risk());
    }

    #[test]
    fn errors_name_the_place_and_never_the_text() {
        let error = read_input("i.csv", b"words\nsecret\n").unwrap_err().to_string();
        assert_eq!(error, "i.csv: found no column `text` or `Text` or `content` or `prompt`");
        let row = "content,label,label_high_risk,g,combined_pred,latency_ms\nsecret,1,1,maybe,0,1\n";
        let error = read_predictions("p.csv", row.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "p.csv row 1: g: expected 0 or 1");
        let row = "content,label,label_high_risk,g,combined_pred,latency_ms\nsecret,1,1,1,0,1\n";
        let error = read_predictions("p.csv", row.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "p.csv row 1: combined_pred: expected 1 exactly where a guardrail says 1");
        let mut bad = two_guardrails();
        bad.rows[1].guardrails.pop();
        let error = write_predictions(&bad, Vec::new()).unwrap_err().to_string();
        assert_eq!(error, "row 2: found 1 answers, expected one for each of 2 guardrails");
    }
}
