//! The trainer: multi-task fine-tuning of the embedded model in safe Rust with
//! hand-written backward passes, and the wide linear part beside it.
//!
//! Reading order: `layers` (the pieces with their gradients), `encoder`,
//! `context`, `objective` (losses), `targets` (what they aim at), `network` (one
//! batch, forward and backward), `optimizer`, [`examples`] (data), `wide_fit`,
//! `stage` (one training), [`run`] (folds, final model, calibration, bundle),
//! [`distill`] (the same with a teacher).

mod config;
mod context;
mod distill;
mod encoder;
pub mod examples;
mod fitting;
mod held_out;
mod layers;
mod network;
mod objective;
mod optimizer;
mod predictions;
mod report;
mod run;
mod stage;
mod targets;
mod wide_fit;

use std::path::{Path, PathBuf};

pub use config::{ConfigError, TrainConfig};
pub use distill::{DistillConfig, Task, Teacher, distill};
pub use held_out::View;
pub(crate) use network::{TURN_VECTOR_NORM, context_input, reply_input};
pub use run::run;
pub use stage::StageRecord;
pub use wide_fit::{CONVERSATION_OUTPUTS, WideMemory, WidePart};

/// Receives how a run gets on; the binary draws it.
pub trait Progress {
    /// A stage of this many steps begins.
    fn stage(&mut self, name: &str, steps: usize);
    /// So many steps of the stage are done; the mean loss of the epoch so far, where
    /// something is trained.
    fn step(&mut self, done: usize, loss: Option<f32>);
    /// Something worth a line.
    fn note(&mut self, text: &str);
}

/// Why a run stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A source cannot be used.
    #[error(transparent)]
    Data(#[from] examples::DataError),
    /// The base encoder does not fit.
    #[error("the base encoder: {0}")]
    Weights(#[from] crate::parameters::WeightsError),
    /// The tokenizer cannot be used.
    #[error("the base tokenizer: {0}")]
    Tokenizer(#[from] crate::tokenizer::TokenizerError),
    /// A file cannot be read or written.
    #[error("{path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of an earlier run cannot be used.
    #[error("{path} cannot be used ({reason}); delete its folder to start that stage anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The loss is not a number any more; a lower rate helps.
    #[error("{stage}: the loss became infinite or undefined at step {step}; lower the learning rates")]
    Diverged {
        /// The stage.
        stage: String,
        /// The optimiser step.
        step: usize,
    },
    /// The bundle cannot be put together.
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    /// The bundle that was just written refuses its own state.
    #[error(transparent)]
    State(#[from] mindrail_core::assessor::StateError),
    /// The configuration asks for a teacher, and there is none.
    #[error("the configuration has a `[distill]` table, which needs a teacher: use `mindrail train distill`")]
    NoTeacher,
    /// The configuration does not say how to distil.
    #[error("the configuration has no `[distill]` table with `temperature` and `hard_share`")]
    NoDistillation,
    /// The teacher could not be run.
    #[error(
        "{path}: the teacher could not be run on conversation {conversation}; what it said before is kept, so the same command goes on"
    )]
    TeacherUnavailable {
        /// The file of its lessons.
        path: PathBuf,
        /// The conversation's place in its source, from 1.
        conversation: usize,
    },
    /// Lessons of another teacher or source.
    #[error("{path} holds lessons {found}, expected {expected}; delete it, or take another output folder")]
    OtherLessons {
        /// The file of lessons.
        path: PathBuf,
        /// Whose they are, or of what.
        found: String,
        /// Whose they should be, or of what.
        expected: String,
    },
    /// Nobody teaches a task.
    #[error("nothing teaches {}: the teacher does not cover it and no train source has labels of it; add a source that has, such as the corpus", task.name())]
    Untaught {
        /// The task.
        task: Task,
    },
    /// There is too little data to calibrate on.
    #[error("calibration: {0}")]
    Calibration(String),
}

impl TrainError {
    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    #[expect(clippy::needless_pass_by_value, reason = "errors are passed as they come from map_err")]
    fn damaged(path: &Path, reason: impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.to_string() }
    }
}
