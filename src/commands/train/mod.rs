//! `mindrail train`: trainings that end in a bundle.

mod recipe;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use mindrail_model::train::{Progress, Teacher, TrainConfig, distill, run};

use super::{Computing, Exit, assessor};

/// Train a model.
#[derive(Debug, Subcommand)]
pub(crate) enum Train {
    /// Train the embedded model and write its bundle.
    ///
    /// The configuration says which data, which base encoder and where to write;
    /// `configs/embedded.toml` made the model that ships. A run that was
    /// interrupted or killed goes on when the same command is given again.
    Embedded {
        /// The configuration, TOML.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    Recipe(recipe::Recipe),
    /// Distil another model's judgement into the embedded model and write its bundle.
    ///
    /// The teacher scores every conversation of the sources once; the embedded model
    /// learns its probabilities, mixed with labels where there are any. `configs/distill.toml`
    /// explains the settings, docs/TRAINING.md what comes out. A run that was interrupted or
    /// killed goes on when the same command is given again.
    Distill {
        /// The teacher's bundle, a folder: an embedded one, or a fine-tuned model's, beside
        /// which the embedded model teaches what that one was not trained for.
        #[arg(long, value_name = "FOLDER")]
        teacher: PathBuf,
        #[command(flatten)]
        computing: Computing,
        /// The configuration, TOML, with a `[distill]` table.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

impl Train {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let progress = &mut Drawn { bar: ProgressBar::hidden() };
        match self {
            Self::Embedded { config } => run(&read(&config)?, progress)?,
            Self::Recipe(recipe) => return recipe.run(),
            Self::Distill { teacher, computing, config } => {
                let config = read(&config)?;
                let assessor = assessor(Some(&teacher), &computing)?;
                // What a fine-tuned model was not trained for, the embedded one beside it teaches.
                distill(&config, &Teacher::of_everything(&assessor), progress)?;
            }
        }
        Ok(Exit::Done)
    }
}

fn read(path: &Path) -> anyhow::Result<TrainConfig> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    Ok(TrainConfig::parse(&text, path)?)
}

/// Draws a run's progress on standard error.
struct Drawn {
    bar: ProgressBar,
}

impl Progress for Drawn {
    fn stage(&mut self, name: &str, steps: usize) {
        self.bar.finish_and_clear();
        let template = "{prefix} {bar:30} {pos}/{len} steps{msg}, {elapsed}, {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar = ProgressBar::new(steps as u64).with_style(style).with_prefix(name.to_owned());
    }

    fn step(&mut self, done: usize, loss: Option<f32>) {
        self.bar.set_position(done as u64);
        self.bar.set_message(loss.map(|loss| format!(", loss {loss:.3}")).unwrap_or_default());
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| super::complain(text));
    }
}
