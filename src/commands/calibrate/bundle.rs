//! `mindrail calibrate --bundle`: what goes into a fine-tuned model's bundle, and how it
//! is shown.

use std::path::Path;

use mindrail_core::calibration::LabelThreshold;
use mindrail_finetune::bundle::{CALIBRATION, LABEL_THRESHOLDS};
use mindrail_finetune::labels::LabelCalibration;
use mindrail_lab::calibrate::Fitted;
use serde::Serialize;

use super::fitting;

/// What the rows had labels for.
#[derive(Serialize)]
pub(super) struct CalibratedBundle {
    /// From outputs to a risk and its threshold.
    #[serde(flatten)]
    pub(super) risk: Option<Fitted>,
    /// The thresholds of labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) labels: Option<LabelCalibration>,
}

impl CalibratedBundle {
    /// Writes what there is into a bundle, or only the calibration of risk to a file.
    pub(super) fn write(&self, bundle: Option<&Path>, file: Option<&Path>) -> anyhow::Result<()> {
        let risk = file.map(Path::to_owned).or_else(|| bundle.map(|folder| folder.join(CALIBRATION)));
        if let (Some(fitted), Some(path)) = (&self.risk, risk) {
            fitting::write_to(&path, &fitted.calibration)?;
        }
        if let (Some(labels), Some(folder)) = (&self.labels, bundle) {
            fitting::write_to(&folder.join(LABEL_THRESHOLDS), labels)?;
        }
        Ok(())
    }

    pub(super) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// For people, with where it was written.
    pub(super) fn drawn(&self, bundle: Option<&Path>, file: Option<&Path>) -> String {
        let mut parts = Vec::new();
        if let Some(fitted) = &self.risk {
            let path = file.map(Path::to_owned).or_else(|| bundle.map(|folder| folder.join(CALIBRATION)));
            parts.push(fitting::drawn(fitted, path.as_deref()));
        }
        if let Some(labels) = &self.labels {
            parts.push(drawn_labels(labels));
            parts.push(match bundle {
                Some(folder) => format!("Written to {}\n", folder.join(LABEL_THRESHOLDS).display()),
                None => "Not written: --write is for the calibration of risk alone.\n".to_owned(),
            });
        }
        parts.concat()
    }
}

fn drawn_labels(labels: &LabelCalibration) -> String {
    let mut lines = Vec::new();
    for (task, found) in &labels.tasks {
        lines.push(format!(
            "\nThresholds of {}, {}, on {} rows of {}",
            task.wire(),
            found.target,
            labels.chosen_on.rows,
            labels.chosen_on.file
        ));
        lines.push(format!(
            "  {:<36} {:>9}  {:<22} {:<22} {:>5} {:>6}",
            "", "threshold", "recall", "false-positive rate", "with", "without"
        ));
        lines.extend(found.labels.iter().map(|(name, label)| drawn_label(name, label)));
    }
    lines.push(
        "A threshold was chosen on the rows that its figures are of: expect less on new ones. A label with\n\
         fewer rows on either side than --least-per-class has none, and is called at 0.5, which nobody has chosen."
            .to_owned(),
    );
    lines.join("\n") + "\n"
}

fn drawn_label(name: &str, label: &LabelThreshold) -> String {
    let [value, recall, false_positives] = match &label.threshold {
        Some(own) => [
            format!("{:.6}", own.value.get()),
            fitting::interval(&own.recall),
            fitting::interval(&own.false_positive_rate),
        ],
        None => ["none", "", ""].map(str::to_owned),
    };
    format!(
        "  {name:<36} {value:>9}  {recall:<22} {false_positives:<22} {:>5} {:>6}",
        label.positives, label.negatives
    )
}
