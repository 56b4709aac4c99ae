//! What a run is: protocol, system, data and options. Two runs with equal plans
//! ask the same questions, so one may go on where the other stopped.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::RunError;
use crate::report::SystemIdentity;

/// The layout of `plan.json`.
pub(super) const SCHEMA: &str = "mindrail-plan/1";

/// What a run asks of whom about what. Holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The layout's name.
    pub schema: String,
    /// The protocol's name.
    pub protocol: String,
    /// The system with the hashes of what defines it.
    pub system: SystemIdentity,
    /// File name and SHA-256 of each data file.
    pub data: BTreeMap<String, String>,
    /// What else the questions depend on: seed, shots, temperature, limit.
    pub options: BTreeMap<String, String>,
}

/// How two plans differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {there} there, {here} here")]
pub struct PlanError {
    /// Path of the first field that differs.
    pub field: String,
    /// Its value in the folder.
    pub there: String,
    /// Its value now.
    pub here: String,
}

impl Plan {
    /// A plan of the present layout.
    pub fn new(protocol: &str, system: SystemIdentity, data: BTreeMap<String, String>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            protocol: protocol.to_owned(),
            system,
            data,
            options: BTreeMap::new(),
        }
    }

    /// Compares with the plan in a folder.
    pub(super) fn check(&self, folder: &Path, file: &Path) -> Result<(), RunError> {
        let text = fs::read_to_string(file).map_err(RunError::io(file))?;
        let there: serde_json::Value = serde_json::from_str(&text).map_err(|error| RunError::Damaged {
            file: file.to_owned(),
            line: error.line(),
            found: "something that is not JSON".to_owned(),
            expected: "a run's plan",
        })?;
        let here = serde_json::to_value(self).expect("a plan is plain data");
        match difference("", &there, &here) {
            None => Ok(()),
            Some(difference) => Err(RunError::OtherPlan { folder: folder.to_owned(), difference }),
        }
    }
}

/// The first place where two values differ.
fn difference(field: &str, there: &serde_json::Value, here: &serde_json::Value) -> Option<PlanError> {
    let nothing = serde_json::Value::Null;
    if let (Some(a), Some(b)) = (there.as_object(), here.as_object()) {
        let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        return keys.into_iter().find_map(|key| {
            let path = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
            difference(&path, a.get(key).unwrap_or(&nothing), b.get(key).unwrap_or(&nothing))
        });
    }
    (there != here).then(|| PlanError {
        field: field.to_owned(),
        there: there.to_string(),
        here: here.to_string(),
    })
}
