//! What a calibration means, in sentences: whether a threshold that was chosen on
//! one score may be used with the other, and what else a reader must know.

use super::{CalibrateOptions, CalibrationReport, ScoreCalibration, ThresholdRow};

pub(super) fn explanation(report: &CalibrationReport, options: &CalibrateOptions) -> Vec<String> {
    let mut sentences = threshold(report, options);
    sentences.extend(stated(report, options));
    sentences.push(alone(report));
    sentences.extend(calibration(report));
    sentences.push(same_rows(report));
    sentences
}

/// The misses of a row, of how many.
fn misses(row: &ThresholdRow) -> String {
    format!(
        "misses {} of {} (recall {:.3})",
        row.counts.fn_,
        row.counts.tp + row.counts.fn_,
        row.counts.recall()
    )
}

/// The false alarms of a row, of how many.
fn alarms(row: &ThresholdRow) -> String {
    let noun = if row.counts.fp == 1 { "false alarm" } else { "false alarms" };
    format!("{} {noun} in {}", row.counts.fp, row.counts.fp + row.counts.tn)
}

/// Whether the threshold of the largest signal may be used with the head.
fn threshold(report: &CalibrationReport, options: &CalibrateOptions) -> Vec<String> {
    let [largest, head] = &report.scores;
    let (chosen, right) = (&largest.recommended, &head.recommended);
    // `calibrate` puts the chosen threshold first.
    let Some(there) = head.elsewhere.first() else { return Vec::new() };
    let is_wrong = there.counts.recall() < options.recall || there.counts.fp > right.counts.fp;
    let verdict = if is_wrong {
        "This threshold is wrong for the logistic head's score, which lies on another scale"
    } else {
        "On these rows the logistic head's score bears this threshold too"
    };
    vec![
        format!(
            "The rule chooses {:.6} on the largest signal: it {}, with {}.",
            chosen.threshold,
            misses(chosen),
            alarms(chosen)
        ),
        format!("{verdict}: there it {}, with {}.", misses(there), alarms(there)),
        format!(
            "The right threshold for the head, by the same rule on the head's own score, is {:.6}: it {}, with {}.",
            right.threshold,
            misses(right),
            alarms(right)
        ),
    ]
}

/// What thresholds that were stated elsewhere do to the head's score.
fn stated(report: &CalibrationReport, options: &CalibrateOptions) -> Option<String> {
    let [_, head] = &report.scores;
    let rows: Vec<String> = head
        .elsewhere
        .iter()
        .skip(1)
        .map(|row| format!("{} {}, with {}", row.threshold, misses(row), alarms(row)))
        .collect();
    (!options.stated.is_empty())
        .then(|| format!("Thresholds stated elsewhere, on the head's score: {}.", rows.join("; ")))
}

/// What one certain signal can do.
fn alone(report: &CalibrationReport) -> String {
    let [_, head] = &report.scores;
    let threshold = head.recommended.threshold;
    let enough: Vec<_> = report.head.weights.iter().filter(|weight| weight.alone >= threshold).collect();
    let highest = report.head.weights.iter().map(|weight| weight.alone).fold(0.0, f64::max);
    match enough.len() {
        0 => format!(
            "No single signal, however certain, reaches the head's threshold {threshold:.3}: the highest is \
             {highest:.3}. A person with one sign alone is missed."
        ),
        count => format!(
            "{count} of 9 signals reach the head's threshold {threshold:.3} when certain and alone; a person with \
             another sign alone is missed."
        ),
    }
}

fn calibration(report: &CalibrationReport) -> Option<String> {
    let [largest, head] = &report.scores;
    let error = |score: &ScoreCalibration| Some((score.ece?, score.ece_noise_floor?));
    let (largest, head) = (error(largest)?, error(head)?);
    Some(format!(
        "Calibration error of the head {:.3} against {:.3} of the largest signal (noise floors {:.3} and {:.3}): the \
         {} is nearer to a probability.",
        head.0,
        largest.0,
        head.1,
        largest.1,
        if head.0 < largest.0 { "head" } else { "largest signal" }
    ))
}

fn same_rows(report: &CalibrationReport) -> String {
    let found = report.duplicates;
    let copies = match found.high_risk + found.low_risk {
        0 => String::new(),
        _ => format!(
            " {} high-risk and {} low-risk rows are exact copies of others.",
            found.high_risk, found.low_risk
        ),
    };
    format!(
        "Head and thresholds are fitted and measured on the same {} rows, so that all figures are better than on new \
         ones.{copies}",
        report.rows
    )
}
