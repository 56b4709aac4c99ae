//! Fine-tuning and inference of checkpoints from the hub: encoders (BERT, `RoBERTa`,
//! XLM-R, `DistilBERT`, MiniLM, `ModernBERT`) and decoders (Qwen, Llama) with `LoRA`, the
//! recipes of the published works, and what makes a trained model an assessor.
//!
//! Promises: files in, files out; no HTTP, no database, no async runtime, no unsafe code.
#![forbid(unsafe_code)]

pub mod assessor;
pub mod bundle;
pub mod checkpoint;
mod error;
mod figures;
mod files;
mod head;
mod job;
pub mod khp;
pub mod labels;
mod loss;
pub mod model;
mod network;
pub mod ops;
mod optimizer;
mod parameter;
pub mod recipe;
pub mod rendering;
pub mod rows;
mod tensorboard;
mod training;

pub use error::Error;
pub use figures::{TaskFigures, figures, probabilities};
pub use head::{Head, HeadConfig, HeadShape, HeadSource, Pooling};
pub use job::{DataFile, Job, Prepared, SelectOn};
pub use loss::Compared;
pub use network::{Network, Sample, Step, device};
pub use optimizer::{AdamW, OptimizerConfig, Rounding, Schedule};
pub use parameter::Parameter;
pub use training::{EventFiles, Progress, SeedResult, Spread, StepReport, Summary, train};
