//! Bytes in: a file, standard input, or the shipped example; and the options
//! that say how to read them.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use mindrail_core::reader::{Format, ReadOptions};

/// How conversations are written down.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum FormatName {
    /// Found from the bytes.
    Auto,
    /// One JSON object, a list of objects, or a list of messages.
    Json,
    /// One JSON object per line.
    Jsonl,
    /// One conversation as text, with or without speaker names.
    Transcript,
    /// A header, then one conversation per row, or one turn per row where a column
    /// `role` or `speaker` says who speaks (in the order of a column `turn`, if any).
    Csv,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Auto => Self::Auto,
            FormatName::Json => Self::Json,
            FormatName::Jsonl => Self::Jsonl,
            FormatName::Transcript => Self::Transcript,
            FormatName::Csv => Self::Csv,
        }
    }
}

/// The bytes of a file, or of standard input for `-`.
pub(crate) fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().lock().read_to_end(&mut bytes).context("standard input")?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("{}", path.display()))
}

/// How to read a file.
pub(crate) fn options(path: &Path, format: FormatName, text_column: Option<String>) -> ReadOptions {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    ReadOptions { format: format.into(), text_column, source_name: name }
}
