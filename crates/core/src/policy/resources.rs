//! What an assistant may offer a person: general words, and the services that the
//! operator has verified. No number is shipped, since a wrong one does harm.

use serde::{Deserialize, Serialize};

use crate::language::Language;

/// What an assistant may offer with `support`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// General words in English.
    pub en: Words,
    /// General words in French.
    pub fr: Words,
    /// Services that the operator has verified. None are shipped.
    #[serde(default)]
    pub helplines: Vec<Helpline>,
}

impl Resources {
    /// The general words for a language; both for a mixed conversation.
    pub fn general(&self, language: Language) -> Vec<&str> {
        match language {
            Language::En => vec![&self.en.0],
            Language::Fr => vec![&self.fr.0],
            Language::Mix => vec![&self.en.0, &self.fr.0],
        }
    }

    /// Everything there is for a language.
    pub fn offer(&self, language: Language) -> Offer {
        Offer {
            words: self.general(language).into_iter().map(str::to_owned).collect(),
            helplines: self.helplines(language).cloned().collect(),
        }
    }

    /// The operator's services that answer in a language; all for a mixed
    /// conversation.
    pub fn helplines(&self, language: Language) -> impl Iterator<Item = &Helpline> {
        self.helplines.iter().filter(move |line| {
            language == Language::Mix || line.language == Language::Mix || line.language == language
        })
    }
}

/// Words for a person; never blank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Words(String);

impl TryFrom<String> for Words {
    type Error = &'static str;

    fn try_from(found: String) -> Result<Self, &'static str> {
        if found.trim().is_empty() { Err("found a blank text, expected words") } else { Ok(Self(found)) }
    }
}

impl From<Words> for String {
    fn from(words: Words) -> Self {
        words.0
    }
}

/// What to offer one person: [`Resources`] in the language of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// General words, one text per language spoken.
    pub words: Vec<String>,
    /// The operator's services.
    pub helplines: Vec<Helpline>,
}

/// A service that the operator of this installation has verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Helpline {
    /// The language it answers in; `mix` for both.
    pub language: Language,
    /// Its name.
    pub name: String,
    /// A number or an address.
    pub contact: String,
    /// Where it serves.
    pub region: String,
    /// The day on which somebody last checked it.
    pub verified_at: VerifiedDay,
}

/// A day written `YYYY-MM-DD`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VerifiedDay(String);

impl VerifiedDay {
    /// The day as `YYYY-MM-DD`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VerifiedDay {
    type Error = String;

    fn try_from(found: String) -> Result<Self, String> {
        if is_day(&found) {
            Ok(Self(found))
        } else {
            Err(format!("found `{found}`, expected a day written as YYYY-MM-DD"))
        }
    }
}

impl From<VerifiedDay> for String {
    fn from(day: VerifiedDay) -> Self {
        day.0
    }
}

/// Whether the text has the form of a day. The month's length is not checked.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let number = |part: &str, digits: usize| {
        let all_digits = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        all_digits.then(|| part.parse::<u16>().ok()).flatten()
    };
    number(year, 4).is_some()
        && number(month, 2).is_some_and(|m| (1..=12).contains(&m))
        && number(day, 2).is_some_and(|d| (1..=31).contains(&d))
}
