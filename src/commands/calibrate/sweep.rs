//! The threshold sweep of the KHP guardrail, drawn for people.

use mindrail_core::taxonomy::Taxonomy as _;
use mindrail_lab::calibrate::{CalibrateOptions, CalibrationReport, ScoreCalibration, ThresholdRow};

/// The report for people.
pub(super) fn drawn(report: &CalibrationReport, options: &CalibrateOptions) -> String {
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
