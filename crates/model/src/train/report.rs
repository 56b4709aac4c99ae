//! The run record and the model card: every figure with its interval, the
//! baseline's beside it, and the name and licence of every source.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use mindrail_core::assessor::ModelIdentity;
use mindrail_core::calibration::{Estimate, RiskThreshold};
use mindrail_core::digest::sha256;
use serde::Serialize;
use serde_json::Value;

use super::TrainError;
use super::config::TrainConfig;
use super::distill::{Agreement, Distillation, LabelsOf, Task};
use super::examples::Source;
use super::stage::StageRecord;
use crate::bundle::BundleCalibration;
use crate::figures::{FIGURES, Figures};

/// Everything that a run says of itself; part of the bundle's manifest.
#[derive(Debug, Serialize)]
pub(super) struct RunRecord<'a> {
    program: &'static str,
    seed: u64,
    config: &'a TrainConfig,
    sources: Vec<SourceRecord>,
    stages: Vec<StageRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    distillation: Option<DistillationRecord<'a>>,
}

/// Who taught, and whose labels fitted and measured what.
#[derive(Debug, Serialize)]
struct DistillationRecord<'a> {
    teacher: &'a ModelIdentity,
    covers: &'a BTreeSet<Task>,
    /// What blend, calibration and thresholds of each task follow.
    labels: &'a BTreeMap<Task, LabelsOf>,
    /// What the checkpoint was chosen by.
    dev_labels: &'a BTreeMap<Task, LabelsOf>,
    /// The same in words.
    statement: String,
}

#[derive(Debug, Serialize)]
struct SourceRecord {
    file: String,
    sha256: String,
    licence: String,
    use_: &'static str,
}

impl<'a> RunRecord<'a> {
    pub(super) fn new(
        config: &'a TrainConfig,
        stages: Vec<StageRecord>,
        distillation: Option<&'a Distillation>,
    ) -> Result<Self, TrainError> {
        let record = |source: &Source, use_| {
            let bytes = std::fs::read(&source.path).map_err(|e| TrainError::io(&source.path, e))?;
            Ok::<_, TrainError>(SourceRecord {
                file: source.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                sha256: sha256(&bytes),
                licence: source.licence.clone(),
                use_,
            })
        };
        let mut sources = Vec::new();
        for source in &config.train {
            sources.push(record(source, "train")?);
        }
        for source in &config.dev {
            sources.push(record(source, "dev")?);
        }
        Ok(Self {
            program: concat!("mindrail ", env!("CARGO_PKG_VERSION")),
            seed: config.seed,
            config,
            sources,
            stages,
            distillation: distillation.map(|distillation| DistillationRecord {
                teacher: &distillation.teacher,
                covers: &distillation.covers,
                labels: &distillation.train,
                dev_labels: &distillation.dev,
                statement: whom_thresholds_follow(&distillation.train),
            }),
        })
    }
}

/// Figures of one set of conversations, by language; `all` is all of them.
pub(super) type ByLanguage = BTreeMap<&'static str, Figures>;

/// A title, what the set is, and its figures.
pub(super) type MeasuredSet = (&'static str, &'static str, ByLanguage);

/// What was measured of a finished bundle.
pub(super) struct Measured<'a> {
    pub(super) sets: &'a [MeasuredSet],
    /// The output of `scripts/baseline_card.py`: the same set titles, languages and
    /// figure names.
    pub(super) baseline: Option<&'a Value>,
    pub(super) distilled: Option<&'a Distilled<'a>>,
}

/// A teacher, and how far its student agrees with it on each dev source.
pub(super) struct Distilled<'a> {
    pub(super) distillation: &'a Distillation,
    pub(super) agreement: Vec<(String, Agreement)>,
}

/// The card.
pub(super) fn card(config: &TrainConfig, calibration: &BundleCalibration, measured: &Measured<'_>) -> String {
    let mut card = format!("# {} {}\n\n", config.name, config.version);
    match measured.distilled {
        Some(distilled) => introduce_student(&mut card, distilled.distillation),
        None => card.push_str(include_str!("card_introduction.md")),
    }
    sources(&mut card, config);
    if let Some(distilled) = measured.distilled {
        agreement(&mut card, &distilled.agreement);
    }
    for (title, what, figures) in measured.sets {
        let _ = write!(card, "\n## {title}\n\n{what}\n");
        for (language, figures) in figures {
            let baseline = measured.baseline.and_then(|b| b.get(title)?.get(language));
            table(&mut card, language, figures, baseline);
        }
    }
    thresholds(&mut card, calibration);
    card
}

/// What the card of a distilled model begins with.
fn introduce_student(card: &mut String, distillation: &Distillation) {
    card.push_str(include_str!("card_distilled.md"));
    let ModelIdentity { name, version, sha256 } = &distillation.teacher;
    let _ = write!(
        card,
        "\n## Teacher\n\n{name} {version}, SHA-256 `{sha256}`.\n\n{}\n\nBelow, `sources` are labels; `teacher` says that no source has any, and the teacher's calls at its own thresholds stand in; `nobody` that it does not cover the task either, so that nothing was chosen by it.\n\n| task | labels that fit calibration and thresholds | labels that choose the checkpoint and measure `dev` |\n|---|---|---|\n",
        whom_thresholds_follow(&distillation.train)
    );
    for (task, fitted) in &distillation.train {
        let measured = distillation.dev.get(task).map_or("nobody", |labels| labels.name());
        let _ = writeln!(card, "| {} | {} | {measured} |", task.name(), fitted.name());
    }
}

/// One sentence on what the thresholds mean.
fn whom_thresholds_follow(labels: &BTreeMap<Task, LabelsOf>) -> String {
    let followed = labels.iter().filter(|(_, of)| **of == LabelsOf::Teacher);
    let names: Vec<&str> = followed.map(|(task, _)| task.name()).collect();
    if names.is_empty() {
        return "Calibration and thresholds rest on the labels of the sources.".to_owned();
    }
    format!(
        "Thresholds follow the teacher for: {}. Their figures say how well the student repeats the teacher's calls, not how often either is right.",
        names.join(", ")
    )
}

fn agreement(card: &mut String, by_source: &[(String, Agreement)]) {
    card.push_str("\n## Agreement with the teacher\n\nOn the dev sources, the student as served, each side's calls at its own thresholds, with all turns. Where one side did not evaluate something, it is not counted. The times are of one conversation after another on the machine of the run, judged replies included.\n");
    for (source, agreement) in by_source {
        agreement.draw(card, source);
    }
}

fn sources(text: &mut String, config: &TrainConfig) {
    text.push_str("\n| source | licence | use |\n|---|---|---|\n");
    for (sources, use_) in [(&config.train, "train"), (&config.dev, "dev: chooses the checkpoint")] {
        for source in sources {
            let file = source.path.file_name().unwrap_or_default().to_string_lossy();
            let _ = writeln!(text, "| {file} | {} | {use_} |", source.licence);
        }
    }
}

fn table(card: &mut String, language: &str, figures: &Figures, baseline: Option<&Value>) {
    let _ = write!(
        card,
        "\n### {language}: {} conversations, {} high risk\n\n| figure | model | 95 % interval | TF-IDF + LR | its interval |\n|---|---|---|---|---|\n",
        figures.conversations, figures.high_risk
    );
    let named = FIGURES.iter().filter_map(|(name, _)| Some((*name, figures.figures.get(name)?)));
    let signals = figures.signals.iter().map(|(name, figure)| (*name, figure));
    for (name, figure) in named.chain(signals) {
        let theirs = baseline.and_then(|b| b.get(name));
        let number = |key: &str| theirs.and_then(|t| t.get(key)?.as_f64());
        let (value, interval) = match (number("value"), number("low"), number("high")) {
            (Some(value), Some(low), Some(high)) => (format!("{value:.3}"), format!("{low:.3} to {high:.3}")),
            (Some(value), ..) => (format!("{value:.3}"), String::new()),
            _ => (String::new(), String::new()),
        };
        let _ = writeln!(
            card,
            "| {name} | {:.3} | {:.3} to {:.3} | {value} | {interval} |",
            figure.value, figure.low, figure.high
        );
    }
}

fn thresholds(card: &mut String, calibration: &BundleCalibration) {
    card.push_str("\n## Thresholds\n\nChosen on held-out conversations that fitted neither the checkpoint nor the calibration.\n\n");
    card.push_str("| language | threshold | value | target | recall | false-positive rate | rows |\n|---|---|---|---|---|---|---|\n");
    for (language, both) in &calibration.calibration.thresholds {
        for (name, threshold) in [("high risk", &both.high_risk), ("support", &both.support)] {
            threshold_row(card, language.wire(), name, threshold);
        }
    }
    threshold_row(card, "all", "certain Confirm, or high risk", &calibration.calibration.certain_confirm);
}

fn threshold_row(card: &mut String, language: &str, name: &str, threshold: &RiskThreshold) {
    let rate = |e: Estimate| format!("{:.3} ({:.3} to {:.3})", e.value, e.low, e.high);
    let _ = writeln!(
        card,
        "| {language} | {name} | {:.3} | {} | {} | {} | {} |",
        threshold.value.get(),
        threshold.target,
        rate(threshold.recall),
        rate(threshold.false_positive_rate),
        threshold.rows
    );
}
