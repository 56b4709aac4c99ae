//! `mindrail calibrate --bundle`: what goes into a fine-tuned model's bundle, and how it
//! is shown.

use std::path::{Path, PathBuf};

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
    /// The thresholds of labels, with those that were chosen earlier on other files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) labels: Option<LabelCalibration>,
}

/// Where it is written: into the bundle; or only the calibration of risk, to a file.
pub(super) struct Destination {
    risk: PathBuf,
    labels: Option<PathBuf>,
}

impl Destination {
    pub(super) fn new(bundle: &Path, file: Option<&Path>) -> Self {
        Self {
            risk: file.map_or_else(|| bundle.join(CALIBRATION), Path::to_owned),
            labels: file.is_none().then(|| bundle.join(LABEL_THRESHOLDS)),
        }
    }

    pub(super) fn write_labels(&self, labels: &LabelCalibration) -> anyhow::Result<()> {
        self.labels.as_ref().map_or(Ok(()), |path| fitting::write_to(path, labels))
    }

    pub(super) fn write_risk(&self, found: &CalibratedBundle) -> anyhow::Result<()> {
        found.risk.as_ref().map_or(Ok(()), |fitted| fitting::write_to(&self.risk, &fitted.calibration))
    }
}

impl CalibratedBundle {
    pub(super) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// For people, with where it was written.
    pub(super) fn drawn(&self, destination: &Destination) -> String {
        let mut parts = Vec::new();
        if let Some(fitted) = &self.risk {
            parts.push(fitting::drawn(fitted, Some(&destination.risk)));
        }
        if let Some(labels) = &self.labels {
            parts.push(drawn_labels(labels));
            parts.push(match &destination.labels {
                Some(path) => format!("Written to {}\n", path.display()),
                None => "Thresholds of labels were not written: --write is for the calibration of risk.\n"
                    .to_owned(),
            });
        }
        parts.concat()
    }
}

fn drawn_labels(labels: &LabelCalibration) -> String {
    let mut lines = Vec::new();
    for (task, chosen) in &labels.tasks {
        let files = chosen.chosen_on.iter().map(|own| format!("{} examples of {}", own.rows, own.file));
        let files = files.collect::<Vec<_>>().join(", earlier ");
        lines.push(format!("\nThresholds of {}, {}, on {files}", task.wire(), chosen.thresholds.target));
        lines.push(format!(
            "  {:<36} {:>9}  {:<22} {:<22} {:>5} {:>7}",
            "", "threshold", "recall", "false-positive rate", "with", "without"
        ));
        lines.extend(chosen.thresholds.labels.iter().map(|(name, label)| drawn_label(name, label)));
    }
    lines.push(
        "A threshold was chosen on the rows that its figures are of: expect less on new ones. A label with\n\
         fewer rows on either side than --least-per-class has none, nor has one whose rows the model does not\n\
         tell apart; it is called at 0.5, which nobody has chosen."
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
        "  {name:<36} {value:>9}  {recall:<22} {false_positives:<22} {:>5} {:>7}",
        label.positives, label.negatives
    )
}
