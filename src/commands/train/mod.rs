//! `mindrail train`: trainings that end in a bundle.

mod recipe;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use mindrail_model::train::{Progress, TrainConfig, run};

use super::Exit;

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
}

impl Train {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Embedded { config } => embedded(&config),
            Self::Recipe(recipe) => recipe.run(),
        }
    }
}

fn embedded(path: &Path) -> anyhow::Result<Exit> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
    let config = TrainConfig::parse(&text, path)?;
    run(&config, &mut Drawn { bar: ProgressBar::hidden() })?;
    Ok(Exit::Done)
}

/// Draws a run's progress on standard error.
struct Drawn {
    bar: ProgressBar,
}

impl Progress for Drawn {
    fn stage(&mut self, name: &str, steps: usize) {
        self.bar.finish_and_clear();
        let template = "{prefix} {bar:30} {pos}/{len} steps, loss {msg}, {elapsed}, {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar = ProgressBar::new(steps as u64).with_style(style).with_prefix(name.to_owned());
    }

    fn step(&mut self, done: usize, loss: f32) {
        self.bar.set_position(done as u64);
        self.bar.set_message(format!("{loss:.3}"));
    }

    fn note(&mut self, text: &str) {
        self.bar.suspend(|| super::complain(text));
    }
}
