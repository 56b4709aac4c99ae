//! What the folds say of conversations that their weights have not seen, as predictions
//! files (`docs/PREDICTIONS.md`): so `mindrail bench` measures the training method
//! as it measures any system, and `mindrail bench compare` sets a baseline beside it,
//! pair by pair. Blend, calibration and thresholds were fitted on these very rows, so
//! figures at a threshold are somewhat optimistic.

use std::path::Path;

use mindrail_core::taxonomy::{CrisisLabel, Signal, Taxonomy};
use serde_json::{Value, json};

use super::TrainError;
use super::stage::write;
use crate::figures::Outcome;

/// A conversation's id, as `mindrail bench` makes it of several files, the number of
/// its user turns, and what was said of it.
pub(super) struct Predicted {
    pub(super) id: String,
    pub(super) user_turns: usize,
    pub(super) outcome: Outcome,
}

/// Writes `distress_SUFFIX.jsonl` and `crisis_SUFFIX.jsonl` to the folder.
pub(super) fn write_files(folder: &Path, suffix: &str, rows: &[Predicted]) -> Result<(), TrainError> {
    std::fs::create_dir_all(folder).map_err(|e| TrainError::io(folder, e))?;
    for (protocol, line) in [("distress", distress as fn(&Predicted) -> Value), ("crisis", crisis)] {
        let lines: Vec<String> = rows.iter().map(|row| line(row).to_string()).collect();
        let text = lines.join("\n") + "\n";
        write(&folder.join(format!("{protocol}_{suffix}.jsonl")), text.as_bytes())?;
    }
    Ok(())
}

fn distress(row: &Predicted) -> Value {
    let signals = Signal::ALL.iter().zip(&row.outcome.signals).map(|(s, p)| (s.wire().to_owned(), json!(p)));
    json!({
        "id": row.id,
        "risk": row.outcome.risk,
        "high_risk": row.outcome.called,
        "signals": signals.collect::<serde_json::Map<_, _>>(),
    })
}

fn crisis(row: &Predicted) -> Value {
    let onsets = row.outcome.onsets.iter().flat_map(|sets| &sets.predicted);
    let mut turns = vec![Vec::new(); row.user_turns];
    for &(turn, label) in onsets {
        turns[turn].push(CrisisLabel::ALL[label].wire());
    }
    json!({ "id": row.id, "turns": turns })
}
