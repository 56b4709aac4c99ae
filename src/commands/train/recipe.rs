//! `mindrail train recipe`: a published model, or one's own, from a hub checkpoint.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use mindrail_finetune::recipe::{Precision, Recipe as Parsed};
use mindrail_finetune::{EventFiles, Job, Progress, SelectOn, Spread, StepReport, Summary, train};

use crate::commands::{Exit, complain, print};

/// Fine-tune a checkpoint of the hub by a recipe.
///
/// A recipe says all that a training does, in one commented TOML file. Seven follow
/// published works and are inside the program:
///
///   khp             nine signals of a conversation, by a decoder with `LoRA`
///
///   reply-bert, reply-roberta
///                   the class of a reply, of eight, by an encoder
///
///   crisis-lora     which crisis begins at a turn, by a decoder with `LoRA`
///
///   pku-moderation  fourteen harms of a reply
///
///   pku-reward, pku-cost
///                   a score of a reply, from pairs
///
/// Print one with `--print`, change a copy, and give it with `--recipe FILE`.
///
/// The base is a folder as the hub has it: `config.json`, `tokenizer.json` and
/// `model.safetensors`, its shards, or `pytorch_model.bin`; BERT, `RoBERTa`, XLM-R,
/// `DistilBERT`, MiniLM, `ModernBERT`, Qwen2.5, Qwen3 or Llama.
///
/// A run that was killed goes on when the same command is given again. For every seed
/// `OUTPUT/seed-N/bundle` holds the model, which `--bundle` of `check`, `score`, `policy`
/// and `bench` takes, and `OUTPUT/summary.json` the figures with mean and deviation.
///
/// Examples:
///
///   mindrail train recipe khp --print > mine.toml
///
///   mindrail train recipe khp --base Qwen2.5-7B-Instruct --data generated_*.csv --output
///   runs/khp --device cuda
///
///   mindrail train recipe --recipe mine.toml --base Qwen2.5-0.5B --data generated_*.csv
///   --output runs/mine
///
///   mindrail train recipe reply-bert --base all-MiniLM-L6-v2 --data corpus/train_*.jsonl
///   --dev dev.jsonl --output runs/reply
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Recipe {
    /// The name of a published recipe.
    #[arg(value_name = "NAME", required_unless_present = "recipe")]
    name: Option<String>,

    /// A recipe of one's own, TOML.
    #[arg(long = "recipe", id = "recipe", value_name = "FILE", conflicts_with = "name")]
    file: Option<PathBuf>,

    /// Print the recipe as it stands and do nothing.
    #[arg(long, conflicts_with_all = ["base", "data", "output", "seeds", "epochs", "precision", "most_steps"])]
    print: bool,

    /// The folder of the base checkpoint.
    #[arg(long, value_name = "FOLDER", required_unless_present = "print")]
    base: Option<PathBuf>,

    /// Files to train on, of any data set that `mindrail data` knows.
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "print")]
    data: Vec<PathBuf>,

    /// Files to choose the checkpoint by. Without them the recipe's share of the data is
    /// kept apart for it.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    dev: Vec<PathBuf>,

    /// Choose the checkpoint by this test set, as the published reply recipe does. The
    /// bundle is marked: its figures on that set flatter.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "dev")]
    select_on_test: Vec<PathBuf>,

    /// Where the run is written.
    #[arg(long, value_name = "FOLDER", required_unless_present = "print")]
    output: Option<PathBuf>,

    /// cpu, or cuda and cuda:N in a program that was built with the feature `cuda`.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: String,

    /// Seeds in place of the recipe's.
    #[arg(long, value_name = "SEED", num_args = 1..)]
    seeds: Vec<u64>,

    /// Epochs in place of the recipe's.
    #[arg(long, value_name = "NUMBER")]
    epochs: Option<usize>,

    /// Precision in place of the recipe's: f32 or bf16. On a CPU f32 is the faster one.
    #[arg(long, value_name = "PRECISION", value_parser = precision)]
    precision: Option<Precision>,

    /// Stop every seed after so many steps, to try a recipe out. The bundle is marked.
    #[arg(long, value_name = "NUMBER")]
    most_steps: Option<usize>,

    /// Write event files for `TensorBoard` too.
    #[arg(long)]
    tensorboard: bool,
}

fn precision(text: &str) -> Result<Precision, String> {
    match text {
        "f32" => Ok(Precision::F32),
        "bf16" => Ok(Precision::Bf16),
        _ => Err("expected f32 or bf16".to_owned()),
    }
}

impl Recipe {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let (text, place) = self.text()?;
        if self.print {
            print(&text)?;
            return Ok(Exit::Done);
        }
        let mut recipe = Parsed::parse(&text, &place)?;
        self.change(&mut recipe);
        recipe.check(&place)?;
        if self.most_steps == Some(0) {
            bail!("--most-steps: found 0, expected at least 1");
        }
        let events = if self.tensorboard { EventFiles::Written } else { EventFiles::None };
        let is_test = !self.select_on_test.is_empty();
        let job = Job {
            recipe,
            base: self.base.context("--base is missing")?,
            data: self.data,
            dev: if is_test { self.select_on_test } else { self.dev },
            select_on: if is_test { SelectOn::Test } else { SelectOn::Dev },
            output: self.output.context("--output is missing")?,
            device: mindrail_finetune::device(&self.device)?,
            most_steps: self.most_steps,
        };
        let mut drawn = Drawn { bar: ProgressBar::hidden(), seed: 0 };
        let summary = train(&job, events, &mut drawn);
        drawn.bar.finish_and_clear();
        print(&told(&summary?, &job))?;
        Ok(Exit::Done)
    }

    fn text(&self) -> anyhow::Result<(String, String)> {
        if let Some(path) = &self.file {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            return Ok((text, path.display().to_string()));
        }
        let name = self.name.as_deref().unwrap_or_default();
        let Some(text) = Parsed::published(name) else {
            bail!(
                "recipe: found `{name}`, expected one of {}",
                Parsed::names().collect::<Vec<_>>().join(", ")
            );
        };
        Ok((text.to_owned(), format!("recipe {name}")))
    }

    /// What the command line says in the recipe's place.
    fn change(&self, recipe: &mut Parsed) {
        if !self.seeds.is_empty() {
            recipe.training.seeds.clone_from(&self.seeds);
        }
        recipe.training.epochs = self.epochs.unwrap_or(recipe.training.epochs);
        recipe.model.precision = self.precision.unwrap_or(recipe.model.precision);
    }
}

/// The end of a run, for people.
fn told(summary: &Summary, job: &Job) -> String {
    let mut lines = Vec::new();
    for seed in &summary.seeds {
        let bundle = job.output.join(format!("seed-{}", seed.seed)).join("bundle");
        lines.push(format!("seed {}: epoch {} kept, {}", seed.seed, seed.epoch, bundle.display()));
    }
    let on = if job.select_on == SelectOn::Test { "the test set that chose" } else { "the data that chose" };
    lines.push(format!("on {on} the checkpoint, {} seeds:", summary.seeds.len()));
    let figure = |spread: &Spread| {
        let deviation = spread.deviation.map_or_else(String::new, |d| format!(" (deviation {d:.4})"));
        format!("  {:<14} {:<14} {:.4}{deviation}", spread.task.wire(), spread.figure, spread.mean)
    };
    lines.extend(summary.spread.iter().map(figure));
    lines.join("\n") + "\n"
}

/// Draws a run's progress on standard error.
struct Drawn {
    bar: ProgressBar,
    seed: u64,
}

impl Progress for Drawn {
    fn begin(&mut self, seed: u64, step: usize, steps: usize) {
        self.bar.finish_and_clear();
        let template = "{prefix} {bar:20} {pos}/{len} steps, {msg}, {elapsed}, {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.seed = seed;
        self.bar = ProgressBar::new(steps as u64).with_style(style).with_prefix(format!("seed {seed}"));
        self.bar.set_position(step as u64);
        // The time left is that of what is still to be done.
        self.bar.reset_eta();
    }

    fn step(&mut self, report: &StepReport) {
        let StepReport { step, loss, rate, tokens_per_second, .. } = report;
        self.bar.set_position(*step as u64);
        self.bar.set_message(format!("loss {loss:.4}, rate {rate:.2e}, {tokens_per_second:.0} tokens/s"));
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| complain(text));
    }
}
