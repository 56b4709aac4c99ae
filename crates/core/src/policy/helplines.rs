//! The registry of helplines: services with where, for whom and how they are reached,
//! and how it is known. [`SHIPPED_TOML`] is the data that Mindrail ships; operators bring
//! their own beside it. Which of them one person is offered says [`super::offer`].
//!
//! A wrong number does harm, so an entry is shown only while somebody stands for it:
//! its sources were read and agree, or it was verified with the service itself, and that
//! was not too long ago. The types leave no entry without such a statement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::PolicyError;
use super::date::Date;
use super::place::Place;
use super::provenance::{Grade, Source};
use super::words::{Text, Words};
use crate::language::Language;
use crate::taxonomy::CrisisType;

/// The registry that Mindrail ships, with its comments.
pub const SHIPPED_TOML: &str = include_str!("helplines.toml");

static SHIPPED: LazyLock<Registry> = LazyLock::new(|| {
    Registry::from_toml("helplines.toml", SHIPPED_TOML).expect("the shipped file is tested")
});

/// How the registry is used, as in `[helplines]` of the policy file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelplineRules {
    /// Which entries may be shown.
    pub show: Show,
    /// How many helplines one person is offered at once.
    pub at_most: AtMost,
}

/// Which entries of the registry may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// None of the registry.
    Off,
    /// Those that somebody has verified with the service itself.
    Verified,
    /// Those, and those whose sources were read and agree.
    Documented,
}

/// A number of helplines, from 1 to 5: a long list is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct AtMost(u8);

impl TryFrom<u8> for AtMost {
    type Error = String;

    fn try_from(found: u8) -> Result<Self, String> {
        if (1..=5).contains(&found) {
            Ok(Self(found))
        } else {
            Err(format!("found {found}, expected a number from 1 to 5"))
        }
    }
}

impl From<AtMost> for u8 {
    fn from(at_most: AtMost) -> Self {
        at_most.0
    }
}

/// Helplines by their id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RegistryFile")]
pub struct Registry {
    entries: BTreeMap<String, Helpline>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistryFile {
    #[serde(default)]
    helpline: Vec<Helpline>,
}

impl Default for Registry {
    /// The registry of [`SHIPPED_TOML`].
    fn default() -> Self {
        SHIPPED.clone()
    }
}

impl TryFrom<RegistryFile> for Registry {
    type Error = String;

    fn try_from(file: RegistryFile) -> Result<Self, String> {
        let mut entries = BTreeMap::new();
        for line in file.helpline {
            if let Some(problem) = line.problem() {
                return Err(problem);
            }
            let id = line.id.clone();
            if entries.insert(id.clone(), line).is_some() {
                return Err(format!("found the id `{id}` twice, expected it once"));
            }
        }
        Ok(Self { entries })
    }
}

impl Registry {
    /// Reads a registry file; `source_name` names it in errors.
    ///
    /// # Errors
    /// [`PolicyError`] for broken TOML, a missing or unknown key, a value of the wrong
    /// kind, an entry that contradicts itself, or an id that comes twice.
    pub fn from_toml(source_name: &str, text: &str) -> Result<Self, PolicyError> {
        toml::from_str(text).map_err(|error| PolicyError::new(source_name, text, &error))
    }

    /// This registry with the entries of another: where both have an id, the other's
    /// entry counts. So an operator verifies, corrects or hides what is shipped.
    #[must_use]
    pub fn overridden_by(mut self, own: Self) -> Self {
        self.entries.extend(own.entries);
        self
    }

    /// All entries, by id; those too that are never shown.
    pub fn entries(&self) -> impl Iterator<Item = &Helpline> {
        self.entries.values()
    }
}

/// A service, and how it is known. A [`Registry`] holds none that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Helpline {
    /// Its name in the registry: small letters, digits and hyphens.
    pub id: String,
    /// Its name for people.
    pub name: Text,
    /// Where it serves.
    pub place: Place,
    /// The languages it answers in.
    pub languages: Languages,
    /// For which ages, if for some only.
    #[serde(default)]
    pub ages: Ages,
    /// For which crises.
    pub topics: Topics,
    /// Whether it is the emergency number.
    pub kind: HelplineKind,
    /// How it is reached, at least one way.
    pub channels: Vec<Channel>,
    /// When it answers; `None` where that is not known.
    pub hours: Option<Text>,
    /// How it is known, and until when.
    pub standing: Standing,
    /// What says so, at least one.
    pub sources: Vec<Source>,
    /// What whoever maintains the entry should know. Never shown to a person.
    pub note: Option<Words>,
}

impl Helpline {
    /// Why the entry cannot stand, if so.
    fn problem(&self) -> Option<String> {
        let sign = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if self.id.is_empty() || !self.id.bytes().all(sign) {
            return Some(format!("found the id `{}`, expected small letters, digits and hyphens", self.id));
        }
        let problem = if self.channels.is_empty() {
            "found no channel, expected at least one"
        } else if self.sources.is_empty() {
            "found no source, expected at least one"
        } else if self.ages.max.is_some_and(|max| self.ages.min > Some(max)) {
            "found `min` above `max` in `ages`, expected it at or below"
        } else {
            self.standing.problem(&self.sources)?
        };
        Some(format!("{}: {problem}", self.id))
    }
}

/// The languages that a service answers in: English, French or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Language>")]
pub struct Languages(Language);

impl Languages {
    /// As one language; `mix` for both.
    pub const fn language(self) -> Language {
        self.0
    }
}

impl TryFrom<Vec<Language>> for Languages {
    type Error = &'static str;

    fn try_from(found: Vec<Language>) -> Result<Self, &'static str> {
        match found.as_slice() {
            [Language::En, Language::Fr] | [Language::Fr, Language::En] => Ok(Self(Language::Mix)),
            [Language::En] => Ok(Self(Language::En)),
            [Language::Fr] => Ok(Self(Language::Fr)),
            _ => Err("expected [\"en\"], [\"fr\"] or [\"en\", \"fr\"]"),
        }
    }
}

/// How an entry is known, and until when it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case", deny_unknown_fields)]
pub enum Standing {
    /// Somebody has checked it with the service itself.
    Verified {
        /// The day of it.
        verified_at: Date,
        /// The last day on which the entry is shown.
        expires_at: Date,
    },
    /// Pages that name it were read and do not contradict one another; nobody has asked
    /// the service.
    Documented {
        /// The day by which they had been read.
        documented_at: Date,
        /// The last day on which the entry is shown.
        expires_at: Date,
    },
    /// Nobody has read a source. Never shown.
    Unverified {
        /// What is missing.
        reason: Words,
    },
    /// The sources say different things. Never shown.
    Contradicted {
        /// What they say.
        reason: Words,
    },
}

impl Standing {
    /// Why an entry with these sources cannot have this standing.
    fn problem(&self, sources: &[Source]) -> Option<&'static str> {
        let (Self::Verified { verified_at: since, expires_at }
        | Self::Documented { documented_at: since, expires_at }) = self
        else {
            return None;
        };
        let asked = sources.iter().any(|source| matches!(source.grade, Grade::Operator | Grade::FirstParty));
        if expires_at <= since {
            Some("found `expires_at` at or before the day on which it was looked at, expected it after")
        } else if matches!(self, Self::Verified { .. }) && !asked {
            Some("found a verified entry without a source of the grade `operator` or `first_party`")
        } else if !sources.iter().any(|source| source.grade.is_read()) {
            Some("found a documented entry of which nobody has read a source")
        } else {
            None
        }
    }

    /// Since when it has been known, if the rules and the day let it be shown.
    pub fn shown(&self, show: Show, today: Date) -> Option<Checked> {
        match (self, show) {
            (Self::Verified { verified_at, expires_at }, Show::Verified | Show::Documented) => {
                (*expires_at >= today).then_some(Checked::VerifiedAt(*verified_at))
            }
            (Self::Documented { documented_at, expires_at }, Show::Documented) => {
                (*expires_at >= today).then_some(Checked::DocumentedAt(*documented_at))
            }
            (Self::Verified { .. } | Self::Documented { .. }, Show::Off | Show::Verified)
            | (Self::Unverified { .. } | Self::Contradicted { .. }, _) => None,
        }
    }

    /// The last day on which it is shown; `None` for what is never shown.
    pub const fn expires_at(&self) -> Option<Date> {
        match self {
            Self::Verified { expires_at, .. } | Self::Documented { expires_at, .. } => Some(*expires_at),
            Self::Unverified { .. } | Self::Contradicted { .. } => None,
        }
    }
}

/// How somebody looked at a service, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Checked {
    /// With the service itself, on this day.
    VerifiedAt(Date),
    /// In pages that name it, by this day.
    DocumentedAt(Date),
}

/// For which ages a service is there, in years, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ages {
    /// The youngest.
    pub min: Option<u8>,
    /// The oldest.
    pub max: Option<u8>,
}

impl Ages {
    /// Whether the service is there for somebody of this age.
    pub fn hold(&self, age: u8) -> bool {
        self.min.is_none_or(|min| min <= age) && self.max.is_none_or(|max| age <= max)
    }

    /// Whether the service is there for some ages only.
    pub const fn are_limited(&self) -> bool {
        self.min.is_some() || self.max.is_some()
    }
}

/// For which crises a service is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub enum Topics {
    /// For whatever it is.
    Any,
    /// For these only.
    Of(BTreeSet<CrisisType>),
}

impl TryFrom<Vec<String>> for Topics {
    type Error = String;

    fn try_from(found: Vec<String>) -> Result<Self, String> {
        if found == ["any"] {
            return Ok(Self::Any);
        }
        if found.is_empty() {
            return Err("found no topic, expected [\"any\"] or crisis types".to_owned());
        }
        found.into_iter().map(CrisisType::try_from).collect::<Result<_, _>>().map(Self::Of)
    }
}

/// What kind of a service it is; what is offered first is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HelplineKind {
    /// The emergency number.
    Emergency,
    /// Somebody who listens.
    Helpline,
}

/// A way to reach a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Channel {
    /// By telephone.
    Call {
        /// The number as people write it.
        number: Words,
    },
    /// By text message.
    Text {
        /// The number as people write it.
        number: Words,
        /// What to write first, if something must be.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keyword: Option<Words>,
    },
    /// In writing on a page.
    Chat {
        /// Its address.
        url: Words,
    },
}

impl Channel {
    /// What a person does to use it, in English.
    fn in_english(&self) -> String {
        match self {
            Self::Call { number } => format!("call {number}"),
            Self::Text { number, keyword: None } => format!("text {number}"),
            Self::Text { number, keyword: Some(keyword) } => format!("text {keyword} to {number}"),
            Self::Chat { url } => format!("chat at {url}"),
        }
    }

    /// The same in French.
    fn in_french(&self) -> String {
        match self {
            Self::Call { number } => format!("appelle le {number}"),
            Self::Text { number, keyword: None } => format!("texte le {number}"),
            Self::Text { number, keyword: Some(keyword) } => format!("texte {keyword} au {number}"),
            Self::Chat { url } => format!("écris sur {url}"),
        }
    }
}

/// How to reach a service by any of these, in words for a person.
pub(super) fn contact(channels: &[Channel], language: Language) -> String {
    let join =
        |word: fn(&Channel) -> String, or: &str| channels.iter().map(word).collect::<Vec<_>>().join(or);
    let english = || join(Channel::in_english, " or ");
    let french = || join(Channel::in_french, " ou ");
    match language {
        Language::En => english(),
        Language::Fr => french(),
        Language::Mix => format!("{} / {}", english(), french()),
    }
}

#[cfg(test)]
mod tests;
