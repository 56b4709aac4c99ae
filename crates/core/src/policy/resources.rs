//! What an assistant may offer a person: general words, and the services that the
//! operator has verified. No number is shipped, since a wrong one does harm.

use std::fmt::{self, Display, Formatter};

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
            helplines: self.helplines(language).into_iter().cloned().collect(),
        }
    }

    /// The operator's services that answer in a language; all for a mixed
    /// conversation, and where none answers in it: one in another language is better
    /// than none.
    pub fn helplines(&self, language: Language) -> Vec<&Helpline> {
        let answers = |line: &&Helpline| {
            language == Language::Mix || line.language == Language::Mix || line.language == language
        };
        let own: Vec<&Helpline> = self.helplines.iter().filter(answers).collect();
        if own.is_empty() { self.helplines.iter().collect() } else { own }
    }
}

/// Words for a person to read; never blank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Words(String);

impl TryFrom<String> for Words {
    type Error = &'static str;

    fn try_from(found: String) -> Result<Self, &'static str> {
        if found.trim().is_empty() { Err("found a blank text, expected words") } else { Ok(Self(found)) }
    }
}

impl Display for Words {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    pub name: Words,
    /// A number or an address.
    pub contact: Words,
    /// Where it serves.
    pub region: Words,
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

/// Whether the text is a day of the calendar.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else {
        return false;
    };
    let number = |part: &str, digits: usize| {
        let all_digits = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        all_digits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u16::from(is_leap),
        _ => 0,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for day in ["2026-02-28", "2024-02-29", "2000-02-29", "2026-12-31"] {
            assert!(is_day(day), "{day}");
        }
        for day in ["2026-02-29", "1900-02-29", "2026-04-31", "2026-13-01", "2026-1-1", "today", ""] {
            assert!(!is_day(day), "{day}");
        }
    }

    #[test]
    fn words_are_never_blank() {
        assert!(Words::try_from(" \n".to_owned()).is_err());
        assert!(Words::try_from("call".to_owned()).is_ok());
    }
}
