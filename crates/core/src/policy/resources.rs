//! What an operator writes into the policy for people to be offered: general words, and
//! the services that they have verified themselves. The registry of services that
//! Mindrail ships is [`super::helplines`]; what of both one person gets, [`super::offer`].

use serde::{Deserialize, Serialize};

use super::date::Date;
use super::place::Place;
use super::words::Words;
use crate::language::Language;

/// What an assistant may offer with `support`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// General words in English.
    pub en: Words,
    /// General words in French.
    pub fr: Words,
    /// Services that the operator has verified. None are shipped here.
    #[serde(default)]
    pub helplines: Vec<OwnHelpline>,
}

impl Resources {
    /// The general words for a language; both for a mixed conversation.
    pub fn general(&self, language: Language) -> Vec<&str> {
        match language {
            Language::En => vec![self.en.as_str()],
            Language::Fr => vec![self.fr.as_str()],
            Language::Mix => vec![self.en.as_str(), self.fr.as_str()],
        }
    }
}

/// A service that the operator of this installation has verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnHelpline {
    /// The language it answers in; `mix` for both.
    pub language: Language,
    /// Its name.
    pub name: Words,
    /// A number or an address.
    pub contact: Words,
    /// Where it serves, in words.
    pub region: Words,
    /// Where it serves, as a code; without it the service is offered everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The day on which somebody last checked it.
    pub verified_at: Date,
    /// The last day on which it is offered; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Date>,
}
