//! A whole run: one training per fold, which scores what it has not seen; the
//! final training, whose checkpoint the dev sources choose; then calibration
//! and thresholds from the folds' scores, the report on dev, and the bundle.
//! Every part that is done is kept in the output folder and not done again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mindrail_core::digest::sha256;
use mindrail_core::metrics;
use mindrail_core::policy::Policy;
use mindrail_core::taxonomy::{CrisisLabel, Taxonomy};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::config::TrainConfig;
use super::distill::Distillation;
use super::examples::{self, Example, Source};
use super::fitting::{self, Footing};
use super::held_out::{self, Scored, View};
use super::network::Network;
use super::objective::pool;
use super::predictions::{self, Predicted};
use super::report::{self, Distilled, Measured, MeasuredSet, RunRecord};
use super::stage::{Stage, StageRecord, write};
use super::wide_fit::{self, JOINT_SHARE, WidePart};
use super::{Progress, TrainError};
use crate::architecture::{Architecture, outputs};
use crate::assessor::EmbeddedAssessor;
use crate::bundle::{self, Bundle, BundleCalibration, Manifest, NewBundle};
use crate::evaluate::evaluate;
use crate::figures::{Outcome, measure_by_language};
use crate::parameters::Parameters;
use crate::random::Random;
use crate::tokenizer::{SEGMENT_TOKENS, Tokenizer};

/// The scores of one fold, as they are kept.
#[derive(Serialize, Deserialize)]
struct HeldOut {
    depends_on: String,
    scored: Vec<Scored>,
}

/// The encoder that a run starts from.
pub(super) struct Base {
    pub(super) architecture: Architecture,
    /// `model.safetensors`.
    pub(super) weights: Vec<u8>,
    /// `tokenizer.json`.
    pub(super) tokenizer: Vec<u8>,
}

impl Base {
    /// The base in the folder that the configuration names.
    pub(super) fn read(config: &TrainConfig) -> Result<Self, TrainError> {
        let architecture = Architecture {
            context: config.context,
            pooling_sharpness: config.pooling_sharpness,
            ..Architecture::MINILM_L6
        };
        let tokenizer = read(&config.base.join("tokenizer.json"))?;
        Ok(Self { architecture, weights: read(&config.base.join("model.safetensors"))?, tokenizer })
    }
}

/// What a run works with.
pub(super) struct Run<'a> {
    config: &'a TrainConfig,
    base: Base,
    pub(super) train: Vec<Example>,
    pub(super) dev: Vec<Example>,
    /// Hashes of the base's two files.
    base_hashes: [String; 2],
    /// The teacher, in a distillation.
    pub(super) distillation: Option<Distillation>,
}

/// Trains, calibrates and writes the bundle to `output/bundle`.
///
/// # Errors
/// [`TrainError`] says which file or setting stands in the way.
pub fn run(config: &TrainConfig, progress: &mut dyn Progress) -> Result<(), TrainError> {
    if config.distill.is_some() {
        return Err(TrainError::NoTeacher);
    }
    Run::new(config, Base::read(config)?)?.complete(progress)
}

/// What the trainings of a run give.
struct Trained {
    parameters: Parameters,
    wide: WidePart,
    stages: Vec<StageRecord>,
    held_out: Vec<Scored>,
}

impl<'a> Run<'a> {
    /// A run with its data read.
    pub(super) fn new(config: &'a TrainConfig, base: Base) -> Result<Self, TrainError> {
        let tokenizer = Tokenizer::from_bytes(&base.tokenizer)?;
        Ok(Self {
            config,
            base_hashes: [&base.weights, &base.tokenizer].map(|bytes| sha256(bytes)),
            base,
            train: load_all(&config.train, &tokenizer)?,
            dev: load_all(&config.dev, &tokenizer)?,
            distillation: None,
        })
    }

    /// Trains, calibrates and writes the bundle.
    pub(super) fn complete(&self, progress: &mut dyn Progress) -> Result<(), TrainError> {
        progress.note(&format!("{} conversations train, {} are dev", self.train.len(), self.dev.len()));
        let trained = self.trainings(progress)?;
        progress.note("calibrating, choosing thresholds, measuring");
        let mut calibration = fitting::fit(&trained.held_out, self.config.pooling_sharpness, self.footing())?;
        if let Some(harms) = self.distillation.as_ref().and_then(Distillation::harm_thresholds) {
            calibration.calibration.harms = harms.clone();
        }
        let record = RunRecord::new(self.config, trained.stages.clone(), self.distillation.as_ref())?;
        let training = serde_json::to_value(&record).map_err(|e| TrainError::Calibration(e.to_string()))?;
        // The card holds what the finished bundle does, so it is written twice.
        let folder = self.config.output.join("bundle");
        self.new_bundle(&trained, &calibration, training.clone(), String::new()).write(&folder)?;
        let card = self.card(&trained, &calibration, &Bundle::from_folder(&folder)?)?;
        self.new_bundle(&trained, &calibration, training, card).write(&folder)?;
        progress.note(&format!("the bundle is in {}", folder.display()));
        Ok(())
    }

    fn trainings(&self, progress: &mut dyn Progress) -> Result<Trained, TrainError> {
        let (mut held_out, mut stages) = (Vec::new(), Vec::new());
        for fold in 0..self.config.folds {
            let (scored, stage) = self.fold(fold, progress)?;
            held_out.extend(scored);
            stages.push(stage);
        }
        let (parameters, wide, stage) = self.last(progress)?;
        stages.push(stage);
        Ok(Trained { parameters, wide, stages, held_out })
    }

    fn new_bundle<'b>(
        &'b self,
        trained: &'b Trained,
        calibration: &'b BundleCalibration,
        training: serde_json::Value,
        card: String,
    ) -> NewBundle<'b> {
        NewBundle {
            parameters: &trained.parameters,
            wide: &trained.wide,
            tokenizer: &self.base.tokenizer,
            calibration,
            card,
            manifest: Manifest {
                format: bundle::FORMAT,
                name: self.config.name.clone(),
                version: self.config.version.clone(),
                // No segment is longer, so later positions are never read.
                architecture: Architecture { positions: SEGMENT_TOKENS, ..self.base.architecture.clone() },
                files: BTreeMap::new(),
                training,
            },
        }
    }

    /// Measures the finished bundle.
    fn card(
        &self,
        trained: &Trained,
        calibration: &BundleCalibration,
        served: &Bundle,
    ) -> Result<String, TrainError> {
        let mut exact = served.clone();
        exact.wide.clone_from(&trained.wide);
        let served = EmbeddedAssessor::new(served)?;
        let assessors = [served, EmbeddedAssessor::with_tensors(&exact, &trained.parameters)?];
        self.write_predictions(&trained.held_out, calibration)?;
        let measured = self.measured(&trained.held_out, calibration, &assessors)?;
        let baseline = self.config.baseline.as_deref().map(read_json::<serde_json::Value>).transpose()?;
        let distilled = match &self.distillation {
            Some(distillation) => {
                let agreement = distillation.agreement(&assessors[0], &self.dev, &self.config.dev)?;
                write_json(&self.config.output.join("agreement.json"), &agreement)?;
                Some(Distilled { distillation, agreement })
            }
            None => None,
        };
        let measured =
            Measured { sets: &measured, baseline: baseline.as_ref(), distilled: distilled.as_ref() };
        Ok(report::card(self.config, calibration, &measured))
    }

    fn footing(&self) -> Footing {
        match &self.distillation {
            None => Footing::Labels,
            Some(distillation) if distillation.risk_follows() => Footing::Teacher,
            Some(_) => Footing::Distilled,
        }
    }

    /// The conversations that a fold holds out and that are scored.
    fn held_out(&self, fold: usize) -> Vec<&Example> {
        let is_out = |example: &&Example| self.config.train[example.source].fold == fold;
        self.thinned(&self.train.iter().filter(is_out).collect::<Vec<_>>())
    }

    /// Finds out before a training whether the fit after it has what it needs.
    pub(super) fn must_be_fittable(&self) -> Result<(), TrainError> {
        let scored: Vec<&Example> = (0..self.config.folds).flat_map(|fold| self.held_out(fold)).collect();
        fitting::must_be_fittable(&scored)
    }

    /// Trains without one fold's sources and scores them.
    fn fold(
        &self,
        fold: usize,
        progress: &mut dyn Progress,
    ) -> Result<(Vec<Scored>, StageRecord), TrainError> {
        let folder = self.config.output.join(format!("fold-{fold}"));
        let done = folder.join("held-out.json");
        let seen: Vec<&Example> =
            self.train.iter().filter(|e| self.config.train[e.source].fold != fold).collect();
        let sources: Vec<&Source> = self.config.train.iter().filter(|s| s.fold != fold).collect();
        let depends_on = self.weights_depend_on(&sources)?;
        let stage = Stage {
            name: format!("fold-{fold}"),
            config: self.config,
            architecture: &self.base.architecture,
            examples: seen.clone(),
            folder,
            depends_on: &depends_on,
        };
        let mut parameters = self.initial()?;
        let (network, record) = stage.run(&mut parameters, None, progress)?;
        let depends_on = self.scores_depend_on(&depends_on)?;
        if done.exists() {
            let found: HeldOut = read_json(&done)?;
            if found.depends_on == depends_on {
                return Ok((found.scored, record));
            }
        }
        progress.note(&format!("fold-{fold}: fitting the wide part, scoring what was held out"));
        let wide = self.wide(&seen);
        let scored = held_out::score(&network, parameters.values(), &wide, &self.held_out(fold));
        let held_out = HeldOut { depends_on, scored };
        write_json(&done, &held_out)?;
        Ok((held_out.scored, record))
    }

    /// Trains on everything, with the checkpoint that is best on dev.
    fn last(&self, progress: &mut dyn Progress) -> Result<(Parameters, WidePart, StageRecord), TrainError> {
        let folder = self.config.output.join("final");
        let seen: Vec<&Example> = self.train.iter().collect();
        let dev: Vec<&Example> = self.dev.iter().collect();
        let wide = self.wide(&seen);
        let sources: Vec<&Source> = self.config.train.iter().chain(&self.config.dev).collect();
        let depends_on = self.weights_depend_on(&sources)?;
        let stage = Stage {
            name: "final".to_owned(),
            config: self.config,
            architecture: &self.base.architecture,
            examples: seen,
            folder,
            depends_on: &depends_on,
        };
        let judge = |network: &Network, values: &[f32]| {
            dev_score(&held_out::score(network, values, &wide, &dev), self.config.pooling_sharpness)
        };
        let mut parameters = self.initial()?;
        let (_, record) = stage.run(&mut parameters, Some(&judge), progress)?;
        Ok((parameters, wide, record))
    }

    /// The final model on dev, as served and with 32-bit weights, and the folds on
    /// what they have not seen.
    fn measured(
        &self,
        held_out: &[Scored],
        calibration: &BundleCalibration,
        [served, exact]: &[EmbeddedAssessor; 2],
    ) -> Result<Vec<MeasuredSet>, TrainError> {
        let mut sets = Vec::new();
        let distilled = self.distillation.is_some();
        let (dev_sets, held_out_sets): (&[DevSet], &[HeldOutSet]) = if distilled {
            (&DISTILLED_DEV_SETS, &DISTILLED_HELD_OUT_SETS)
        } else {
            (&DEV_SETS, &HELD_OUT_SETS)
        };
        for &(title, about, file, view, arithmetic) in dev_sets {
            let is_of = |e: &&Example| self.config.dev[e.source].is_named(file) && e.high_risk.is_some();
            let assessor = match arithmetic {
                Arithmetic::AsServed => served,
                Arithmetic::Exact => exact,
            };
            let outcomes = evaluate(assessor, self.dev.iter().filter(is_of), view)?;
            sets.push((title, about, measure_by_language(&outcomes)));
        }
        let scorer = self.scorer(calibration);
        for &(title, about, file, view) in held_out_sets {
            let of = |s: &&Scored| self.config.train[s.source].is_named(file) && s.high_risk.is_some();
            let rows = held_out.iter().filter(of);
            let outcomes: Vec<Outcome> =
                rows.map(|s| scorer.outcome(s, view, &calibration.calibration)).collect();
            sets.push((title, about, measure_by_language(&outcomes)));
        }
        Ok(sets)
    }

    fn scorer(&self, calibration: &BundleCalibration) -> fitting::Scorer {
        fitting::Scorer {
            blend: calibration.blend,
            platt: calibration.calibration.risk,
            sharpness: self.config.pooling_sharpness,
            tracker: Policy::default().tracker,
        }
    }

    /// Writes what the folds say of the sources with turn labels, in both views.
    fn write_predictions(
        &self,
        held_out: &[Scored],
        calibration: &BundleCalibration,
    ) -> Result<(), TrainError> {
        let scorer = self.scorer(calibration);
        for (view, suffix) in ["all", "person"].into_iter().enumerate() {
            let predicted = |scored: &Scored| {
                let file = self.config.train[scored.source].path.file_stem().unwrap_or_default();
                Predicted {
                    id: format!("{}:{}", file.to_string_lossy(), scored.id),
                    user_turns: scored.views[view].len(),
                    outcome: scorer.outcome(scored, view, &calibration.calibration),
                }
            };
            let rows: Vec<Predicted> =
                held_out.iter().filter(|s| s.onsets.is_some()).map(predicted).collect();
            predictions::write_files(&self.config.output.join("predictions"), suffix, &rows)?;
        }
        Ok(())
    }

    /// Hash of what a fold's scores depend on, beside its weights: the rows that are
    /// scored, and what decides the wide part's scores.
    fn scores_depend_on(&self, weights: &str) -> Result<String, TrainError> {
        let wide: Vec<f32> = self.config.train.iter().map(|s| s.wide_weight).collect();
        let data = hashes(self.config.train.iter())?;
        let error = |e: serde_json::Error| TrainError::Calibration(e.to_string());
        let mut settings = serde_json::to_vec(&(
            SCORES_FORMAT,
            weights,
            data,
            &self.config.wide,
            wide,
            JOINT_SHARE,
            self.config.held_out_rows,
        ))
        .map_err(error)?;
        if let Some(distillation) = &self.distillation {
            // Stand-ins for labels are kept with the scores.
            let lessons: Vec<&str> = self.config.train.iter().map(|s| distillation.digest(s)).collect();
            settings.extend(serde_json::to_vec(&(&distillation.train, lessons)).map_err(error)?);
        }
        Ok(sha256(&settings))
    }

    /// Hash of what a stage's weights depend on, the teacher's lessons among it.
    fn weights_depend_on(&self, sources: &[&Source]) -> Result<String, TrainError> {
        let labels = weights_depend_on(self.config, &self.base_hashes, sources)?;
        let Some(distillation) = &self.distillation else { return Ok(labels) };
        let lessons = sources.iter().map(|source| distillation.digest(source));
        Ok(sha256(std::iter::once(labels.as_str()).chain(lessons).collect::<String>().as_bytes()))
    }

    fn wide(&self, examples: &[&Example]) -> WidePart {
        let weights: Vec<f32> = self.config.train.iter().map(|s| s.wide_weight).collect();
        wide_fit::fit(examples, &weights, &self.config.wide)
    }

    /// The base encoder with fresh heads. Biases start near the labels' rates.
    fn initial(&self) -> Result<Parameters, TrainError> {
        let mut parameters = Parameters::zeros(self.base.architecture.tensors());
        parameters.load(&self.base.weights, &self.base.architecture.encoder_tensors())?;
        let mut random = Random::new(self.config.seed);
        for prefix in ["context.", "user.", "reply."] {
            parameters.initialise(prefix, &mut random);
        }
        let bias = parameters.get_mut("user.bias");
        bias[outputs::RISK] = -1.0;
        bias[outputs::SIGNALS..outputs::CRISIS].fill(-2.0);
        bias[outputs::CRISIS..].fill(-4.0);
        Ok(parameters)
    }

    /// At most `held_out_rows` of each source, drawn with the run's seed. Of a distillation
    /// those with a label or a stand-in: the others could fit nothing.
    fn thinned<'e>(&self, examples: &[&'e Example]) -> Vec<&'e Example> {
        let mut random = Random::new(self.config.seed);
        let mut kept = Vec::new();
        for source in 0..self.config.train.len() {
            let rows: Vec<&Example> =
                examples.iter().copied().filter(|e| e.source == source && e.has_labels()).collect();
            kept.extend(random.choose(self.config.held_out_rows, rows.len()).into_iter().map(|i| rows[i]));
        }
        kept
    }
}

/// Hash of what a stage's weights depend on: the settings, without those that
/// only name things or concern what follows; the sources that it reads; the base.
fn weights_depend_on(
    config: &TrainConfig,
    base_hashes: &[String; 2],
    sources: &[&Source],
) -> Result<String, TrainError> {
    let json = |e: serde_json::Error| TrainError::Calibration(e.to_string());
    let without = |value: serde_json::Value, keys: &[&str]| match value {
        serde_json::Value::Object(mut fields) => {
            fields.retain(|key, _| !keys.contains(&key.as_str()));
            serde_json::Value::Object(fields)
        }
        other => other,
    };
    let mut parts =
        vec![without(serde_json::to_value(config).map_err(json)?, &MATTERS_ELSEWHERE).to_string()];
    for source in sources {
        let source = serde_json::to_value(source).map_err(json)?;
        parts.push(without(source, &["wide_weight", "licence", "path", "fold"]).to_string());
    }
    parts.extend(base_hashes.iter().cloned());
    parts.extend(hashes(sources.iter().copied())?);
    Ok(sha256(parts.concat().as_bytes()))
}

/// Hashes of the sources' files.
fn hashes<'s>(sources: impl Iterator<Item = &'s Source>) -> Result<Vec<String>, TrainError> {
    sources.map(|source| Ok(sha256(&read(&source.path)?))).collect()
}

/// In which arithmetic a set is scored.
#[derive(Clone, Copy)]
enum Arithmetic {
    /// 8-bit weights.
    AsServed,
    /// The weights as they were trained, in 32 bits.
    Exact,
}

/// A set of dev conversations; see [`DEV_SETS`].
type DevSet = (&'static str, &'static str, &'static str, View, Arithmetic);

/// A set of held-out conversations; see [`HELD_OUT_SETS`].
type HeldOutSet = (&'static str, &'static str, &'static str, usize);

/// The card's sets of dev conversations: title, what it is, the beginning of the
/// file names, which turns are read, in which arithmetic.
const DEV_SETS: [DevSet; 4] = [
    (
        "dev",
        "Conversations of an author that trained nothing, scored as served: 8-bit weights, turn by turn, each user turn before the reply to it, earlier listener turns as context.",
        "dev_",
        View::All,
        Arithmetic::AsServed,
    ),
    (
        "dev_person_only",
        "The same with all listener turns left out.",
        "dev_",
        View::Person,
        Arithmetic::AsServed,
    ),
    (
        "dev_32_bit",
        "The same as `dev` with the weights in 32 bits: the difference is what 8 bits cost.",
        "dev_",
        View::All,
        Arithmetic::Exact,
    ),
    (
        "dev_short",
        "Short conversations, half of them single messages, of another author that trained nothing; scored as `dev`.",
        "short_dev_",
        View::All,
        Arithmetic::AsServed,
    ),
];

/// The card's sets of held-out conversations: title, what it is, the beginning of
/// the file names, index of the view.
const HELD_OUT_SETS: [HeldOutSet; 8] = [
    (
        "corpus_cross_fitted",
        "The corpus's training authors, each scored by a model that has not seen the author.",
        "train_",
        0,
    ),
    ("corpus_cross_fitted_person_only", "The same with all listener turns left out.", "train_", 1),
    (
        "short_cross_fitted",
        "The short conversations of the training authors, each scored by a model that has not seen the author.",
        "short_",
        0,
    ),
    (
        "khp_scratch_left_out",
        "KHP `generated_scratch`, by a model that has not seen this generator (at most 250 rows).",
        "generated_scratch",
        0,
    ),
    (
        "khp_scratch_left_out_person_only",
        "The same with all listener turns left out.",
        "generated_scratch",
        1,
    ),
    (
        "khp_pair_left_out",
        "KHP `generated_pair` and `generated_pair_hard`, left out likewise.",
        "generated_pair",
        0,
    ),
    ("khp_pair_left_out_person_only", "The same with all listener turns left out.", "generated_pair", 1),
    (
        "khp_camel_left_out",
        "KHP `generated_camel` and `generated_camel_hard`, left out likewise; every row is high risk, so only recall at the threshold is defined.",
        "generated_camel",
        0,
    ),
];

/// The sets of dev conversations of a distilled model.
const DISTILLED_DEV_SETS: [DevSet; 3] = [
    (
        "dev",
        "The dev sources, scored as served: 8-bit weights, turn by turn, each user turn before the reply to it, earlier listener turns as context.",
        "",
        View::All,
        Arithmetic::AsServed,
    ),
    ("dev_person_only", "The same with all listener turns left out.", "", View::Person, Arithmetic::AsServed),
    (
        "dev_32_bit",
        "The same as `dev` with the weights in 32 bits: the difference is what 8 bits cost.",
        "",
        View::All,
        Arithmetic::Exact,
    ),
];

/// The sets of held-out conversations of a distilled model.
const DISTILLED_HELD_OUT_SETS: [HeldOutSet; 2] = [
    ("cross_fitted", "The train sources, each scored by a model that has not seen it.", "", 0),
    ("cross_fitted_person_only", "The same with all listener turns left out.", "", 1),
];

/// Raised when code changes what a held-out score is, so that older ones are made
/// anew.
const SCORES_FORMAT: u32 = 2;

/// Settings that no weight of the deep part depends on, and those that
/// [`weights_depend_on`] takes apart itself.
const MATTERS_ELSEWHERE: [&str; 11] = [
    "name",
    "version",
    "base",
    "output",
    "folds",
    "held_out_rows",
    "checkpoint_steps",
    "wide",
    "baseline",
    "train",
    "dev",
];

/// High-risk AUROC plus the average precision of crisis onsets pooled over
/// labels and user turns, of the deep part.
fn dev_score(scored: &[Scored], sharpness: f32) -> f64 {
    let rated: Vec<&Scored> = scored.iter().filter(|s| s.high_risk.is_some()).collect();
    let risk: Vec<f64> = rated
        .iter()
        .map(|s| {
            f64::from(
                pool(&s.views[0].iter().map(|t| t.deep[outputs::RISK]).collect::<Vec<_>>(), sharpness).0,
            )
        })
        .collect();
    let labels: Vec<bool> = rated.iter().map(|s| s.high_risk == Some(true)).collect();
    let (mut onset_scores, mut onset_labels) = (Vec::new(), Vec::new());
    for conversation in scored {
        for (turn, gold) in conversation.views[0].iter().zip(conversation.onsets.iter().flatten()) {
            for label in CrisisLabel::ALL {
                onset_scores.push(f64::from(turn.deep[outputs::CRISIS + label.index()]));
                onset_labels.push(gold.contains(label));
            }
        }
    }
    metrics::auroc(&risk, &labels).unwrap_or(0.5)
        + metrics::average_precision(&onset_scores, &onset_labels).unwrap_or(0.0)
}

fn load_all(sources: &[Source], tokenizer: &Tokenizer) -> Result<Vec<Example>, TrainError> {
    let mut all = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        all.extend(examples::load(source, index, tokenizer)?);
    }
    Ok(all)
}

fn read(path: &Path) -> Result<Vec<u8>, TrainError> {
    fs::read(path).map_err(|e| TrainError::io(path, e))
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, TrainError> {
    serde_json::from_slice(&read(path)?).map_err(|e| TrainError::damaged(path, e))
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainError> {
    write(path, &serde_json::to_vec(value).map_err(|e| TrainError::damaged(path, e))?)
}

#[cfg(test)]
mod tests {
    use super::super::stage::tests::CONFIG;
    use super::*;

    #[test]
    fn weights_depend_on_settings_the_data_read_and_the_base_and_on_no_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = TrainConfig::parse(CONFIG, Path::new("tiny.toml")).expect("a configuration");
        for source in config.train.iter_mut().chain(&mut config.dev) {
            source.path = folder.path().join(&source.path);
            fs::write(&source.path, "data").expect("writable");
        }
        let hash = |config: &TrainConfig, base: &str| {
            let hashes = [base, "tokenizer"].map(str::to_owned);
            weights_depend_on(config, &hashes, &[&config.train[0]]).expect("readable")
        };
        let before = hash(&config, "weights");
        let renamed = TrainConfig { name: "other".to_owned(), held_out_rows: 7, ..config.clone() };
        assert_eq!(hash(&renamed, "weights"), before);
        assert_ne!(hash(&config, "others"), before);
        let seeded = TrainConfig { seed: 4, ..config.clone() };
        assert_ne!(hash(&seeded, "weights"), before);
        let keys = serde_json::to_string(&config).expect("JSON");
        assert!(!keys.contains("distill"), "weights of before there were teachers keep their hash");
        fs::write(&config.dev[0].path, "other data").expect("writable");
        assert_eq!(hash(&config, "weights"), before, "this source is not among those read");
        fs::write(&config.train[0].path, "other data").expect("writable");
        assert_ne!(hash(&config, "weights"), before);
    }
}
