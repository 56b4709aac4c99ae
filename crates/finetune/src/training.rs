//! A training from its first step to a bundle, for every seed of a recipe. It is
//! interrupted and taken up again without losing more than the steps since the last
//! checkpoint, and on a CPU the numbers are those of a run that was never interrupted: the
//! order of examples and what is dropped depend on seed and step alone.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use candle_core::{DType, Tensor};
use mindrail_model::random::Random;
use serde::{Deserialize, Serialize};

use crate::bundle::{self, Made};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, IoContext as _};
use crate::figures::{TaskFigures, figures};
use crate::files::{FOR_PYTORCH, save_tensors, write_atomically};
use crate::job::{Job, Prepared, SelectOn};
use crate::model::{Keep, Pass};
use crate::network::{Network, Sample, Step};
use crate::optimizer::AdamW;
use crate::recipe::Ties;
use crate::rows::Task;
use crate::tensorboard::Events;

/// What is told while a training runs.
pub trait Progress {
    /// A seed's training begins, or goes on, at a step of so many.
    fn begin(&mut self, seed: u64, step: usize, steps: usize);
    /// A step is done.
    fn step(&mut self, report: &StepReport);
    /// Something that a person should read.
    fn note(&mut self, text: &str);
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepReport {
    /// Steps done.
    pub step: usize,
    /// The step's loss.
    pub loss: f32,
    /// Its learning rate.
    pub rate: f32,
    /// The gradient's norm before it was cut.
    pub norm: f32,
    /// Tokens per second of this step.
    pub tokens_per_second: f32,
}

/// How a seed's training ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
    /// The epoch that was kept, from 1.
    pub epoch: usize,
    /// Its figures on dev.
    pub figures: BTreeMap<Task, TaskFigures>,
}

/// A figure over the seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The task.
    pub task: Task,
    /// The figure's name.
    pub figure: String,
    /// Mean over the seeds.
    pub mean: f64,
    /// Standard deviation with n - 1; absent for one seed.
    pub deviation: Option<f64>,
}

/// How a whole run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Seed by seed.
    pub seeds: Vec<SeedResult>,
    /// Mean and standard deviation of every figure.
    pub spread: Vec<Spread>,
}

/// Where a training stands; the rest follows from the seed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Standing {
    plan: String,
    steps: usize,
    /// The best epoch so far, from 1, and its figure.
    best: Option<(usize, f64)>,
    /// Figures of every epoch that is done.
    epochs: Vec<BTreeMap<Task, TaskFigures>>,
}

const STANDING: &str = "standing";

/// Trains every seed of the recipe.
///
/// # Errors
/// If data or base cannot be read, the folder holds another run, the loss is no number,
/// or a file cannot be written.
pub fn train(job: &Job, events: EventFiles, progress: &mut dyn Progress) -> Result<Summary, Error> {
    let prepared = job.prepare()?;
    prepared.notes.iter().for_each(|note| progress.note(note));
    let mut seeds = Vec::new();
    for seed in &job.recipe.training.seeds {
        let mut run = Run::new(job, &prepared, *seed, events)?;
        seeds.push(run.finish(progress)?);
    }
    let seeds = with_earlier(&job.output, seeds);
    let summary = Summary { spread: spread(&seeds), seeds };
    let text = serde_json::to_string_pretty(&summary).unwrap_or_default() + "\n";
    write_atomically(&job.output.join("summary.json"), text.as_bytes())?;
    Ok(summary)
}

/// Whether event files for `TensorBoard` are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFiles {
    /// Beside the log.
    Written,
    /// Not at all.
    None,
}

/// The recipe as it was used and what was read, beside the results.
fn record(job: &Job, prepared: &Prepared) -> Result<(), Error> {
    let path = job.output.join("run.json");
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let record = serde_json::json!({
        "program": env!("CARGO_PKG_VERSION"),
        "plan": prepared.plan,
        "base": job.base.display().to_string(),
        "base_files": prepared.base_files,
        "trained_on": prepared.trained_on,
        "selected_on": prepared.selected_on,
        "select_on": job.select_on,
        "rows": {"train": prepared.train.len(), "dev": prepared.dev.len()},
        "device": format!("{:?}", job.device.location()),
        "threads": rayon::current_num_threads(),
        "begun_unix_seconds": begun,
        "notes": prepared.notes,
    });
    if let Ok(text) = std::fs::read_to_string(&path) {
        let other: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        if other["plan"] != record["plan"] {
            let found =
                "a run of another recipe, base or data, or with other epochs, precision or --most-steps";
            return Err(Error::new(job.output.display(), found, "the same run, or another --output"));
        }
        return Ok(());
    }
    let recipe = toml::to_string(&job.recipe).map_err(|e| Error::new("recipe", e, "TOML"))?;
    write_atomically(&job.output.join("recipe.toml"), recipe.as_bytes())?;
    let text = serde_json::to_string_pretty(&record).unwrap_or_default() + "\n";
    write_atomically(&path, text.as_bytes())
}

/// One seed's training.
struct Run<'a> {
    job: &'a Job,
    prepared: &'a Prepared,
    seed: u64,
    folder: PathBuf,
    network: Network,
    adam: AdamW,
    standing: Standing,
    total: usize,
    log: Log,
    /// Held as long as the training runs: two in one folder would write each other's steps.
    _lock: File,
}

impl<'a> Run<'a> {
    fn new(job: &'a Job, prepared: &'a Prepared, seed: u64, events: EventFiles) -> Result<Self, Error> {
        // The base comes first: what cannot be trained leaves no folder behind.
        let network = job.network(&prepared.renderer, seed)?;
        let folder = job.output.join(format!("seed-{seed}"));
        std::fs::create_dir_all(&folder).at(&folder)?;
        let lock = locked(&folder)?;
        record(job, prepared)?;
        let total = steps_per_epoch(job, prepared) * job.recipe.training.epochs;
        let adam = AdamW::new(&job.recipe.optimizer, &network.parameters(), total)?;
        let standing = Standing { plan: prepared.plan.clone(), ..Standing::default() };
        let log = Log::open(&folder, events)?;
        let mut run = Self { job, prepared, seed, folder, network, adam, standing, total, log, _lock: lock };
        run.take_up()?;
        Ok(run)
    }

    fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    /// The weights of an epoch. Each has a file of its own until the checkpoint names it:
    /// a kill in between must not leave one epoch's weights under another's figures.
    fn weights_of(&self, epoch: usize) -> PathBuf {
        self.folder.join(format!("epoch-{epoch}.safetensors"))
    }

    /// Takes away the weights of epochs that are not the best.
    fn sweep(&self) {
        let best = self.standing.best.map(|(epoch, _)| epoch);
        for epoch in (1..=self.standing.epochs.len()).filter(|epoch| Some(*epoch) != best) {
            let _ = std::fs::remove_file(self.weights_of(epoch));
        }
    }

    /// Takes up a checkpoint, if there is one.
    fn take_up(&mut self) -> Result<(), Error> {
        let path = self.checkpoint();
        if !path.is_file() {
            return self.log.cut(0);
        }
        let mut file = Checkpoint::of_file(&path)?;
        let standing = file.metadata(STANDING).and_then(|text| serde_json::from_str::<Standing>(&text).ok());
        let standing =
            standing.ok_or_else(|| Error::new(path.display(), "no standing", "a checkpoint of this run"))?;
        if standing.plan != self.prepared.plan {
            let found = "a checkpoint of another recipe, base or data";
            return Err(Error::new(path.display(), found, "the same run, or another --output"));
        }
        restore(&mut self.network, &mut file, "value.")?;
        let mut moments = Vec::new();
        for parameter in self.network.parameters().into_iter().filter(|p| p.is_trained()) {
            let mut take = |which: &str| -> Result<Tensor, Error> {
                let tensor = file.take(&format!("{which}.{}", parameter.name()), parameter.shape().dims())?;
                Ok(tensor.to_device(&self.job.device)?)
            };
            moments.push((take("first")?, take("second")?));
        }
        self.adam.restore(standing.steps, moments);
        self.standing = standing;
        self.log.cut(self.standing.steps)
    }

    fn save(&self) -> Result<(), Error> {
        let trained = self.network.parameters().into_iter().filter(|p| p.is_trained());
        let mut tensors = Vec::new();
        for (parameter, (first, second)) in trained.zip(self.adam.moments()) {
            let name = parameter.name();
            tensors.push((format!("value.{name}"), parameter.value().clone()));
            tensors.push((format!("first.{name}"), first.clone()));
            tensors.push((format!("second.{name}"), second.clone()));
        }
        let standing = serde_json::to_string(&self.standing).unwrap_or_default();
        save_tensors(&self.checkpoint(), &tensors, (STANDING, &standing))
    }

    /// Steps to the end, then the bundle of the best epoch.
    fn finish(&mut self, progress: &mut dyn Progress) -> Result<SeedResult, Error> {
        let per_epoch = steps_per_epoch(self.job, self.prepared);
        let last = self.job.most_steps.map_or(self.total, |most| most.min(self.total));
        progress.begin(self.seed, self.standing.steps, last);
        let mut order = Vec::new();
        while self.standing.steps < last {
            if order.is_empty() || self.standing.steps.is_multiple_of(per_epoch) {
                order = order_of(self.prepared.train.len(), self.seed, self.standing.steps / per_epoch);
            }
            let report = self.step(&order, per_epoch)?;
            self.log.step(&report)?;
            progress.step(&report);
            if self.standing.steps.is_multiple_of(per_epoch) || self.standing.steps == last {
                self.end_epoch(self.standing.steps.div_ceil(per_epoch), progress)?;
                self.save()?;
                self.sweep();
            } else if self.standing.steps.is_multiple_of(self.job.recipe.training.checkpoint_steps) {
                self.save()?;
            }
        }
        self.bundle()
    }

    /// One step over the next examples of an epoch's order.
    fn step(&mut self, order: &[usize], per_epoch: usize) -> Result<StepReport, Error> {
        let begun = Instant::now();
        let training = &self.job.recipe.training;
        let step = self.standing.steps;
        let group = training.batch * training.accumulate;
        let from = (step % per_epoch) * group;
        let chosen = &order[from..order.len().min(from + group)];
        let keep = if self.job.recipe.model.gradient_checkpointing { Keep::Inputs } else { Keep::All };
        let (mut loss, mut tokens, mut parts) = (0.0, 0, 0.0);
        for (part, places) in chosen.chunks(training.batch).enumerate() {
            let batch: Vec<&Sample> = places.iter().map(|place| &self.prepared.train[*place]).collect();
            let pass = Pass {
                dtype: self.job.recipe.model.precision.dtype(),
                seed: Some(dropout_seed(self.seed, step, part)),
            };
            // A last group that is not full still counts each part as one of so many, as
            // the published training does.
            loss +=
                self.network.learn(&batch, Step { pass, keep, share: 1.0 / training.accumulate as f32 })?;
            tokens += batch.iter().map(|sample| sample.tokens()).sum::<usize>();
            parts += 1.0;
        }
        let loss = loss / parts;
        let rate = self.adam.rate();
        let norm = self.adam.step(self.network.parameters_mut())?;
        if !(loss.is_finite() && norm.is_finite()) {
            let found = format!("loss {loss} and a gradient of norm {norm} in step {}", step + 1);
            return Err(Error::new(
                self.folder.display(),
                found,
                "numbers; try a lower rate, or precision f32",
            ));
        }
        self.standing.steps += 1;
        let seconds = begun.elapsed().as_secs_f32().max(1e-9);
        Ok(StepReport { step: step + 1, loss, rate, norm, tokens_per_second: tokens as f32 / seconds })
    }

    fn end_epoch(&mut self, epoch: usize, progress: &mut dyn Progress) -> Result<(), Error> {
        let found = figures(&self.network, &self.prepared.dev)?;
        let training = &self.job.recipe.training;
        let figure = found.get(&training.select_task).and_then(|figures| figures.of(training.select));
        let figure = figure.ok_or_else(|| {
            let found = format!("no example of `{}`", training.select_task.wire());
            Error::new("dev", found, "examples of the task that the checkpoint is chosen by")
        })?;
        self.log.epoch(self.standing.steps, epoch, &found)?;
        progress.note(&format!("seed {}, epoch {epoch}: {}", self.seed, told(&found)));
        let is_better = self.standing.best.is_none_or(|(_, best)| match training.ties {
            Ties::First => figure > best,
            Ties::Last => figure >= best,
        });
        if is_better {
            self.standing.best = Some((epoch, figure));
            let tensors = trained_values(&self.network);
            save_tensors(&self.weights_of(epoch), &tensors, FOR_PYTORCH)?;
        }
        self.standing.epochs.truncate(epoch - 1);
        self.standing.epochs.push(found);
        Ok(())
    }

    /// That the figure which chose the epoch was the same in all of them.
    fn undecided(&self) -> Option<String> {
        let training = &self.job.recipe.training;
        let of = |figures: &BTreeMap<Task, TaskFigures>| {
            figures.get(&training.select_task).and_then(|figures| figures.of(training.select))
        };
        let figures: Vec<Option<f64>> = self.standing.epochs.iter().map(of).collect();
        let (first, rest) = figures.split_first()?;
        (!rest.is_empty() && rest.iter().all(|figure| figure == first)).then(|| {
            let value = first.unwrap_or_default();
            format!("every epoch has the same figure on dev, {value:.4}: which one was kept says nothing")
        })
    }

    fn bundle(&mut self) -> Result<SeedResult, Error> {
        let (epoch, _) = self.standing.best.unwrap_or_default();
        let mut best = Checkpoint::of_file(&self.weights_of(epoch))?;
        restore(&mut self.network, &mut best, "")?;
        let figures = self.standing.epochs.get(epoch.wrapping_sub(1)).cloned().unwrap_or_default();
        let mut marks = self.prepared.marks.clone();
        if self.job.select_on == SelectOn::Test {
            marks.push("the checkpoint was chosen on a test set: its figures there flatter".to_owned());
        }
        if let Some(most) = self.job.most_steps.filter(|most| *most < self.total) {
            marks.push(format!("stopped after {most} of {} steps", self.total));
        }
        marks.extend(self.undecided());
        let made =
            Made { job: self.job, prepared: self.prepared, seed: self.seed, epoch, figures: &figures, marks };
        bundle::write(&self.folder.join("bundle"), &self.network, &made)?;
        Ok(SeedResult { seed: self.seed, epoch, figures })
    }
}

/// The lock of a seed's folder. The system lets go of it when the program ends, however it
/// ends.
fn locked(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let file = File::create(&path).at(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let found = "a training that another program runs here";
            Err(Error::new(folder.display(), found, "one at a time, or another --output"))
        }
        Err(TryLockError::Error(cause)) => Err(cause).at(&path),
    }
}

fn steps_per_epoch(job: &Job, prepared: &Prepared) -> usize {
    let training = &job.recipe.training;
    prepared.train.len().div_ceil(training.batch * training.accumulate)
}

/// The order of the examples in an epoch.
fn order_of(count: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(epoch as u64)).shuffle(&mut order);
    order
}

fn dropout_seed(seed: u64, step: usize, part: usize) -> u32 {
    let mut bits = seed;
    // One after another, so that no seed has another's masks in a neighbouring step.
    for number in [step as u64, part as u64] {
        bits = Random::new(bits ^ number.wrapping_mul(0xff51_afd7_ed55_8ccd)).bits();
    }
    bits as u32
}

fn trained_values(network: &Network) -> Vec<(String, Tensor)> {
    let trained = network.parameters().into_iter().filter(|p| p.is_trained());
    trained.map(|p| (p.name().to_owned(), p.value().clone())).collect()
}

/// Puts a file's numbers in the place of what is trained.
fn restore(network: &mut Network, file: &mut Checkpoint, prefix: &str) -> Result<(), Error> {
    for parameter in network.parameters_mut().into_iter().filter(|p| p.is_trained()) {
        let value = file.take(&format!("{prefix}{}", parameter.name()), parameter.shape().dims())?;
        parameter.set(&value.to_dtype(DType::F32)?)?;
    }
    Ok(())
}

fn told(figures: &BTreeMap<Task, TaskFigures>) -> String {
    let parts = figures.iter().flat_map(|(task, figures)| {
        figures.named().map(|(name, value)| format!("{} {name} {value:.4}", task.wire()))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// The results of earlier calls with other seeds beside these, by seed.
fn with_earlier(output: &Path, seeds: Vec<SeedResult>) -> Vec<SeedResult> {
    let text = std::fs::read_to_string(output.join("summary.json")).unwrap_or_default();
    let earlier: Vec<SeedResult> =
        serde_json::from_str::<Summary>(&text).map(|s| s.seeds).unwrap_or_default();
    let all = earlier.into_iter().chain(seeds).map(|result| (result.seed, result));
    all.collect::<BTreeMap<_, _>>().into_values().collect()
}

fn spread(seeds: &[SeedResult]) -> Vec<Spread> {
    let mut values: BTreeMap<(Task, &str), Vec<f64>> = BTreeMap::new();
    for result in seeds {
        for (task, figures) in &result.figures {
            for (name, value) in figures.named() {
                values.entry((*task, name)).or_default().push(value);
            }
        }
    }
    values
        .into_iter()
        .map(|((task, figure), values)| {
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let squares = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
            let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
            Spread { task, figure: figure.to_owned(), mean, deviation }
        })
        .collect()
}

/// The log of a run: a line for each step and each epoch, and event files if asked for.
struct Log {
    path: PathBuf,
    events: Option<Events>,
}

impl Log {
    fn open(folder: &Path, events: EventFiles) -> Result<Self, Error> {
        let events = match events {
            EventFiles::Written => Some(Events::create(&folder.join("tensorboard"))?),
            EventFiles::None => None,
        };
        Ok(Self { path: folder.join("log.jsonl"), events })
    }

    fn line(&self, value: &impl Serialize) -> Result<(), Error> {
        let mut open = std::fs::OpenOptions::new();
        let mut file = open.create(true).append(true).open(&self.path).at(&self.path)?;
        let line = serde_json::to_string(value).unwrap_or_default() + "\n";
        std::io::Write::write_all(&mut file, line.as_bytes()).at(&self.path)
    }

    fn step(&mut self, report: &StepReport) -> Result<(), Error> {
        self.line(report)?;
        let Some(events) = &mut self.events else { return Ok(()) };
        events.scalar("train/loss", report.step, report.loss)?;
        events.scalar("train/rate", report.step, report.rate)?;
        events.scalar("train/gradient_norm", report.step, report.norm)
    }

    fn epoch(
        &mut self,
        step: usize,
        epoch: usize,
        figures: &BTreeMap<Task, TaskFigures>,
    ) -> Result<(), Error> {
        self.line(&serde_json::json!({"epoch": epoch, "step": step, "dev": figures}))?;
        let Some(events) = &mut self.events else { return Ok(()) };
        for (task, figures) in figures {
            for (name, value) in figures.named() {
                events.scalar(&format!("dev/{}/{name}", task.wire()), step, value as f32)?;
            }
        }
        Ok(())
    }

    /// Takes away what a run that was killed wrote behind its checkpoint.
    fn cut(&self, steps: usize) -> Result<(), Error> {
        let Ok(text) = std::fs::read_to_string(&self.path) else { return Ok(()) };
        let is_kept = |line: &&str| {
            let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            value["step"].as_u64().is_some_and(|step| step as usize <= steps)
        };
        let kept: Vec<&str> = text.lines().filter(is_kept).collect();
        let whole = kept.iter().flat_map(|line| [line, "\n"]).collect::<String>();
        write_atomically(&self.path, whole.as_bytes())
    }
}
