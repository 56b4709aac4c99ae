//! Where a fact of the shipped data comes from.

use serde::{Deserialize, Serialize};

use super::words::Words;

/// A source of an entry of the registry or of a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What says so.
    pub name: Words,
    /// How it is known.
    pub grade: Grade,
}

/// How a source is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// A page of the service itself, or the text of a law, was read.
    FirstParty,
    /// Somebody else's page was read.
    ThirdParty,
    /// The operator of an installation asked the service.
    Operator,
    /// Known by heart: nobody has read a source.
    GeneralKnowledge,
}

impl Grade {
    /// Whether somebody has read the source, or asked.
    pub const fn is_read(self) -> bool {
        match self {
            Self::FirstParty | Self::ThirdParty | Self::Operator => true,
            Self::GeneralKnowledge => false,
        }
    }
}
