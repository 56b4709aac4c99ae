//! `mindrail calibrate`: thresholds and an aggregation head from labelled signal
//! probabilities, and whether a threshold fits the score that it is used with; or a
//! calibration in a file, fitted out of fold.

mod bundle;
mod fitting;
mod sweep;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use indicatif::ProgressBar;
use mindrail_finetune::bundle::FineTuned;
use mindrail_finetune::labels::LabelCalibration;
use mindrail_lab::calibrate::{
    BundleRows, CalibrateOptions, SeenRows, calibrate, read_rows, rows_of_bundle, selection_of_bundle,
};

use self::bundle::{CalibratedBundle, Destination};
use self::fitting::Fitting;
use super::{Computing, Exit, complain, number, print, share};

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
/// With any option under "Fitting", a calibration is made in place of that: the head is
/// fitted on some folds and scores the others, and map, thresholds and abstain band
/// are chosen on those scores. `--write` keeps it in a file that serving applies. A
/// CSV may then have columns `family` (rows of one stay in one fold) and `language`
/// (en, fr, mix), and one column `risk` in place of the signals. See
/// docs/CALIBRATION.md.
///
/// With `--bundle`, FILE holds labelled conversations or replies of any data set; the
/// fine-tuned model scores them, and what they have labels for goes into its bundle: the
/// calibration of risk, and a threshold for each signal, onset, reply class and harm. Rows
/// that trained the model or chose its checkpoint are refused.
///
/// Examples:
///
///   mindrail calibrate calibration.json --stated 0.7075 --stated 0.6
///
///   mindrail calibrate predictions.csv --recall 0.9 --json > report.json
///
///   mindrail calibrate scores.csv --selected-on dev.jsonl --write calibration.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Calibrate {
    /// Labelled signal probabilities; `-` for standard input.
    file: PathBuf,

    /// The recall that the recommended threshold must reach.
    #[arg(long, conflicts_with = "Fitting", default_value_t = 0.95, value_name = "SHARE", value_parser = share, allow_negative_numbers = true)]
    recall: f64,

    /// Inverse strength of the head's penalty; smaller shrinks the weights more.
    #[arg(long, default_value_t = 0.1, value_name = "C", value_parser = positive, allow_negative_numbers = true)]
    inverse_penalty: f64,

    /// A threshold that is stated elsewhere, to be looked at too; may be repeated.
    #[arg(long, conflicts_with = "Fitting", value_name = "THRESHOLD", value_parser = share, allow_negative_numbers = true)]
    stated: Vec<f64>,

    /// Everything as JSON, both sweeps included.
    #[arg(long)]
    json: bool,

    /// The bundle of a fine-tuned model that scores FILE and takes the calibration.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["stated", "recall"])]
    bundle: Option<PathBuf>,

    /// With --bundle, leave out the rows that trained the model or chose its checkpoint, in
    /// place of refusing the file.
    #[arg(long, requires = "bundle")]
    without_seen: bool,

    #[command(flatten)]
    computing: Computing,

    #[command(flatten)]
    fitting: Option<Fitting>,
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, "a number above 0", |number| number > 0.0)
}

impl Calibrate {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        if let Some(folder) = &self.bundle {
            print(&self.fit_bundle(folder)?)?;
            return Ok(Exit::Done);
        }
        let name = if self.file.as_os_str() == "-" {
            "standard input".to_owned()
        } else {
            self.file.display().to_string()
        };
        let bytes = crate::input::bytes(&self.file)?;
        let text = match &self.fitting {
            Some(fitting) => self.fit(fitting, &name, &bytes)?,
            None => self.sweep(&name, &bytes)?,
        };
        print(&text)?;
        Ok(Exit::Done)
    }

    fn sweep(&self, name: &str, bytes: &[u8]) -> anyhow::Result<String> {
        let rows = read_rows(name, bytes)?;
        let options =
            CalibrateOptions { c: self.inverse_penalty, recall: self.recall, stated: self.stated.clone() };
        let report = calibrate(&rows, &options)?;
        Ok(if self.json {
            serde_json::to_string_pretty(&report)? + "\n"
        } else {
            sweep::drawn(&report, &options)
        })
    }

    /// Scores the file with a fine-tuned model, fits what the rows have labels for, and
    /// writes it into the bundle.
    fn fit_bundle(&self, folder: &Path) -> anyhow::Result<String> {
        if self.file.as_os_str() == "-" {
            bail!("standard input: found rows for --bundle, expected a file");
        }
        let model = self.computing.open(folder)?;
        let fitting = self.fitting.clone().unwrap_or_default();
        let rows = self.scored(&model)?;
        let has_risk = !rows.risk.rows.is_empty();
        self.check_options(&fitting, &rows)?;
        let selected = [selection_of_bundle(&model), fitting.selection()?].concat();
        let labels =
            rows.has_labels().then(|| fitting.label_thresholds(&rows, &model, &selected)).transpose()?;
        let labels = labels.map(|labels| labels.over(LabelCalibration::of_bundle(&model).ok().flatten()));
        let destination = Destination::new(folder, fitting.written());
        // Labels need neither folds nor a head, so that they are kept where risk has no fit.
        if let Some(labels) = &labels {
            destination.write_labels(labels)?;
        }
        let risk = has_risk
            .then(|| fitting.fit_rows(std::slice::from_ref(&rows.risk), &selected, self.inverse_penalty))
            .transpose();
        let (risk, failed) = risk.map_or_else(|failed| (None, Some(failed)), |fitted| (fitted, None));
        let found = CalibratedBundle { risk: risk.map(|fitted| fitted.of_model(model.sha256())), labels };
        destination.write_risk(&found)?;
        let text = if self.json { found.json()? } else { found.drawn(&destination) };
        let Some(failed) = failed else { return Ok(text) };
        if found.labels.is_some() {
            print(&text)?;
        }
        Err(failed.context("risk is not calibrated"))
    }

    fn scored(&self, model: &FineTuned) -> anyhow::Result<BundleRows> {
        let bar = ProgressBar::new(0);
        let seen = if self.without_seen { SeenRows::LeftOut } else { SeenRows::Refused };
        let rows = rows_of_bundle(model, &self.file, seen, &mut |done, of| {
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        let rows = rows?;
        if rows.cut_away > 0 {
            let word = "texts were left out, since truncation leaves nothing of them to read";
            complain(&format!("{} {word}", rows.cut_away));
        }
        if rows.left_out > 0 {
            let word = "rows were left out, since they trained the model or chose its checkpoint";
            complain(&format!("{} {word}", rows.left_out));
        }
        Ok(rows)
    }

    /// An option that has nothing to act on must not look obeyed.
    fn check_options(&self, fitting: &Fitting, rows: &BundleRows) -> anyhow::Result<()> {
        let file = self.file.display();
        if let Some(option) = fitting.of_risk().filter(|_| rows.risk.rows.is_empty()) {
            bail!("{file}: found no label of risk, or a model that gives none, expected both for {option}");
        }
        if fitting.has_label_target() && !rows.has_labels() {
            bail!("{file}: found no label with a threshold, expected some for --label-target");
        }
        Ok(())
    }

    fn fit(&self, fitting: &Fitting, name: &str, bytes: &[u8]) -> anyhow::Result<String> {
        let fitted = fitting.fit(name, bytes, self.inverse_penalty)?;
        fitting.write(&fitted.calibration, &self.file)?;
        Ok(if self.json {
            serde_json::to_string_pretty(&fitted)? + "\n"
        } else {
            fitting::drawn(&fitted, fitting.written())
        })
    }
}
