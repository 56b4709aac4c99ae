//! The run record and the model card: every figure with its interval, the
//! baseline's beside it, and the name and licence of every source.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mindrail_core::calibration::{Estimate, RiskThreshold};
use mindrail_core::digest::sha256;
use serde::Serialize;
use serde_json::Value;

use super::TrainError;
use super::config::TrainConfig;
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
}

#[derive(Debug, Serialize)]
struct SourceRecord {
    file: String,
    sha256: String,
    licence: String,
    use_: &'static str,
}

impl<'a> RunRecord<'a> {
    pub(super) fn new(config: &'a TrainConfig, stages: Vec<StageRecord>) -> Result<Self, TrainError> {
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
        })
    }
}

/// Figures of one set of conversations, by language; `all` is all of them.
pub(super) type ByLanguage = BTreeMap<&'static str, Figures>;

/// A title, what the set is, and its figures.
pub(super) type MeasuredSet = (&'static str, &'static str, ByLanguage);

/// The card. `baseline` is the output of `scripts/baseline_card.py`: the same
/// set titles, languages and figure names.
pub(super) fn card(
    config: &TrainConfig,
    calibration: &BundleCalibration,
    measured: &[MeasuredSet],
    baseline: Option<&Value>,
) -> String {
    let mut card = introduction(config);
    for (title, what, figures) in measured {
        let _ = write!(card, "\n## {title}\n\n{what}\n");
        for (language, figures) in figures {
            table(&mut card, language, figures, baseline.and_then(|b| b.get(title)?.get(language)));
        }
    }
    thresholds(&mut card, calibration);
    card
}

fn introduction(config: &TrainConfig) -> String {
    let mut text = format!("# {} {}\n\n", config.name, config.version);
    text.push_str(include_str!("card_introduction.md"));
    text.push_str("\n| source | licence | use |\n|---|---|---|\n");
    for (sources, use_) in [(&config.train, "train"), (&config.dev, "dev: chooses the checkpoint")] {
        for source in sources {
            let file = source.path.file_name().unwrap_or_default().to_string_lossy();
            let _ = writeln!(text, "| {file} | {} | {use_} |", source.licence);
        }
    }
    text
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
