//! `mindrail calibrate`: thresholds and an aggregation head from labelled signal
//! probabilities, and whether a threshold fits the score that it is used with.

use std::path::PathBuf;

use clap::Args;
use mindrail_core::taxonomy::Taxonomy as _;
use mindrail_lab::calibrate::{
    CalibrateOptions, CalibrationReport, ScoreCalibration, ThresholdRow, calibrate, read_rows,
};

use super::{Exit, number, print, share};

/// Check thresholds and an aggregation head on labelled signal probabilities.
///
/// A guardrail with nine signal probabilities needs one score and one threshold.
/// Two scores are common: the largest signal, and a logistic regression over all
/// nine (the head). This command fits the head, sweeps thresholds on both scores,
/// and says whether the threshold of one may be used with the other. It follows
/// the KHP Youth Mental Health Guardrail step by step and reproduces its published
/// calibration: 402 thresholds, weights, counts and calibration errors.
///
/// FILE is one of
///
///   JSON  the guardrail's calibration report (`per_sample`), or its compact form
///         with `signal_order` and `rows`;
///
///   CSV   `id`, `label` (0 or 1), and nine columns `p_<signal>` or `s_<signal>`:
///         `burden_language`, `finality_language`, `escape_framing`, `hopelessness`,
///         `active_self_harm`, `immediate_safety`, `self_image_crisis`,
///         `third_party_concern`, `testing`.
///
/// How to read the result: "recommended" is the most precise threshold that
/// reaches the recall you ask for. Each score has its own. All figures are on the
/// rows that the head and the thresholds were fitted on, so expect less on new
/// ones, and never report them as a test.
///
/// Examples:
///
///   mindrail calibrate calibration.json --stated 0.7075 --stated 0.6
///
///   mindrail calibrate predictions.csv --recall 0.9 --json > report.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Calibrate {
    /// Labelled signal probabilities; `-` for standard input.
    file: PathBuf,

    /// The recall that the recommended threshold must reach.
    #[arg(long, default_value_t = 0.95, value_name = "SHARE", value_parser = share, allow_negative_numbers = true)]
    recall: f64,

    /// Inverse strength of the head's penalty; smaller shrinks the weights more.
    #[arg(long, default_value_t = 0.1, value_name = "C", value_parser = positive, allow_negative_numbers = true)]
    inverse_penalty: f64,

    /// A threshold that is stated elsewhere, to be looked at too; may be repeated.
    #[arg(long, value_name = "THRESHOLD", value_parser = share, allow_negative_numbers = true)]
    stated: Vec<f64>,

    /// Everything as JSON, both sweeps included.
    #[arg(long)]
    json: bool,
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, "a number above 0", |number| number > 0.0)
}

impl Calibrate {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let name = if self.file.as_os_str() == "-" {
            "standard input".to_owned()
        } else {
            self.file.display().to_string()
        };
        let rows = read_rows(&name, &crate::input::bytes(&self.file)?)?;
        let options = CalibrateOptions { c: self.inverse_penalty, recall: self.recall, stated: self.stated };
        let report = calibrate(&rows, &options)?;
        let text =
            if self.json { serde_json::to_string_pretty(&report)? + "\n" } else { drawn(&report, &options) };
        print(&text)?;
        Ok(Exit::Done)
    }
}

/// The report for people.
fn drawn(report: &CalibrationReport, options: &CalibrateOptions) -> String {
    let mut lines = vec![format!(
        "{} rows, {} high risk, {} low risk; exact copies among them: {} high, {} low",
        report.rows,
        report.high_risk,
        report.rows - report.high_risk,
        report.duplicates.high_risk,
        report.duplicates.low_risk
    )];
    lines.extend(head(report));
    report.scores.iter().for_each(|score| lines.extend(table(score, options)));
    lines.push("\nWhat this means".to_owned());
    lines.extend(report.explanation.iter().map(|sentence| format!("- {sentence}")));
    lines.join("\n") + "\n"
}

fn head(report: &CalibrationReport) -> Vec<String> {
    let head = &report.head;
    let mut lines = vec![
        format!("\nLogistic head, C = {}, bias {:.6}", head.c, head.bias),
        format!("  {:<20} {:>8} {:>18}", "signal", "weight", "score if alone at 1"),
    ];
    lines.extend(
        head.weights
            .iter()
            .map(|one| format!("  {:<20} {:>8.4} {:>18.3}", one.signal.wire(), one.weight, one.alone)),
    );
    lines.extend(
        head.farthest_from_stated
            .map(|distance| format!("  stated scores differ from the fitted ones by at most {distance:.6}")),
    );
    lines
}

fn table(score: &ScoreCalibration, options: &CalibrateOptions) -> Vec<String> {
    let figure = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"));
    let mut lines = vec![
        format!("\nScore: {} ({} thresholds swept)", score.score.words(), score.sweep.len()),
        format!(
            "  AUROC {}   Brier {}   calibration error {} (noise floor {})",
            figure(score.auroc),
            figure(score.brier),
            figure(score.ece),
            figure(score.ece_noise_floor)
        ),
        format!(
            "  {:<24} {:>9} {:>7} {:>7} {:>7} {:>7} {:>5} {:>5} {:>5} {:>5}",
            "", "threshold", "P", "R", "F1", "J", "TP", "FP", "FN", "TN"
        ),
        row("baseline", &score.at_half),
        row("Youden", &score.youden),
    ];
    let recalls = ["recall >= 0.95", "recall >= 0.90", "recall >= 0.80"];
    lines
        .extend(recalls.iter().zip(&score.at_recall).filter_map(|(name, found)| Some(row(name, &(*found)?))));
    lines.push(row(&format!("recommended (R >= {})", options.recall), &score.recommended));
    lines.extend(score.elsewhere.iter().map(|found| row("chosen elsewhere", found)));
    lines
}

fn row(name: &str, row: &ThresholdRow) -> String {
    let counts = row.counts;
    format!(
        "  {:<24} {:>9.6} {:>7.4} {:>7.4} {:>7.4} {:>7.4} {:>5} {:>5} {:>5} {:>5}",
        name,
        row.threshold,
        row.precision,
        row.recall,
        row.f1,
        row.youden_j,
        counts.tp,
        counts.fp,
        counts.fn_,
        counts.tn
    )
}
