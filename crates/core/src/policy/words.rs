//! The words that a person reads from the guard itself, and the note that the assistant
//! gets. They are data of the policy file; this module puts them together with what is
//! offered. What comes out names no verdict, label, score or risk.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use super::offer::Offer;
use crate::language::Language;

/// Words for a person to read; never blank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Words(String);

impl Words {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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

/// The same words in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bilingual {
    /// In English.
    pub en: Words,
    /// In French.
    pub fr: Words,
}

impl Bilingual {
    /// The text in a language; both, English first, for a mixed conversation.
    pub fn texts(&self, language: Language) -> Vec<&str> {
        match language {
            Language::En => vec![self.en.as_str()],
            Language::Fr => vec![self.fr.as_str()],
            Language::Mix => vec![self.en.as_str(), self.fr.as_str()],
        }
    }
}

/// A name or a remark that is the same in both languages, or has two forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected one text, or a text `en` and a text `fr`")]
pub enum Text {
    /// One for both.
    Same(Words),
    /// One for each.
    Each(Bilingual),
}

impl Text {
    /// The text in a language; both, with a stroke between, for a mixed conversation.
    pub fn written(&self, language: Language) -> String {
        match self {
            Self::Same(words) => words.to_string(),
            Self::Each(each) => each.texts(language).join(" / "),
        }
    }
}

/// An occasion on which the guard itself speaks to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// A human should step in: these words stand in place of the assistant's answer.
    Escalate,
    /// The assistant's reply was withheld: these stand in its place.
    ReplacedReply,
    /// The guard or the assistant does not work.
    Unavailable,
    /// The person is told that this is an AI.
    Disclosure,
    /// The conversation is interrupted for a while.
    Interruption,
}

impl Occasion {
    /// Every occasion, in the order of the policy file.
    pub const ALL: [Self; 5] =
        [Self::Escalate, Self::ReplacedReply, Self::Unavailable, Self::Disclosure, Self::Interruption];
}

/// The words for each occasion, as in `[words]` of the policy file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each is documented at its variant of `Occasion`")]
pub struct PersonWords {
    pub escalate: Bilingual,
    pub replaced_reply: Bilingual,
    pub unavailable: Bilingual,
    pub disclosure: Bilingual,
    pub interruption: Bilingual,
}

impl PersonWords {
    /// The words for an occasion, without resources.
    pub const fn on(&self, occasion: Occasion) -> &Bilingual {
        match occasion {
            Occasion::Escalate => &self.escalate,
            Occasion::ReplacedReply => &self.replaced_reply,
            Occasion::Unavailable => &self.unavailable,
            Occasion::Disclosure => &self.disclosure,
            Occasion::Interruption => &self.interruption,
        }
    }

    /// The whole text that a person reads: the words in their language, then the general
    /// words of the offer, then one short line for each helpline. Never blank; of a
    /// mixed conversation it has both languages, one after the other.
    pub fn render(&self, occasion: Occasion, language: Language, offer: Option<&Offer>) -> String {
        let words = self.on(occasion).texts(language);
        let general = offer.map_or(&[][..], |offer| &offer.words);
        let mut paragraphs: Vec<String> = Vec::new();
        for (place, text) in words.iter().enumerate() {
            paragraphs.push((*text).to_owned());
            paragraphs.extend(general.get(place).cloned());
        }
        paragraphs.extend(general.iter().skip(words.len()).cloned());
        let lines: Vec<String> = offer
            .iter()
            .flat_map(|offer| &offer.helplines)
            .map(|line| format!("- {}", line.short(language)))
            .collect();
        if !lines.is_empty() {
            paragraphs.push(lines.join("\n"));
        }
        paragraphs.join("\n\n")
    }
}

/// What the assistant behind the guard is told, as in `[prompt]` of the policy file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// A system message for a verdict of `support`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_note: Option<Bilingual>,
}

impl Prompt {
    /// The whole system message for a verdict of `support`: the note in the person's
    /// language, and what may be offered. `None` where the policy has no note.
    pub fn support(&self, language: Language, offer: &Offer) -> Option<String> {
        let mut parts: Vec<String> =
            self.support_note.as_ref()?.texts(language).into_iter().map(str::to_owned).collect();
        parts.extend(offer.words.iter().cloned());
        parts.extend(offer.helplines.iter().map(|line| format!("- {}", line.short(language))));
        Some(parts.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{DEFAULT_TOML, Policy};

    fn offer(words: &[&str]) -> Offer {
        Offer { words: words.iter().map(|text| (*text).to_owned()).collect(), helplines: Vec::new() }
    }

    #[test]
    fn words_are_never_blank() {
        assert!(Words::try_from(" \n".to_owned()).is_err());
        assert!(Words::try_from("call".to_owned()).is_ok());
    }

    #[test]
    fn on_every_occasion_a_person_reads_words_in_each_of_their_languages() {
        let words = Policy::default().words;
        for occasion in Occasion::ALL {
            let Bilingual { en, fr } = words.on(occasion);
            assert_eq!(words.render(occasion, Language::En, None), en.as_str());
            assert_eq!(words.render(occasion, Language::Fr, None), fr.as_str());
            assert_eq!(words.render(occasion, Language::Mix, None), format!("{en}\n\n{fr}"));
        }
    }

    #[test]
    fn general_words_follow_in_their_language_and_none_is_lost() {
        let words = Policy::default().words;
        let Bilingual { en, fr } = &words.disclosure;
        let read = |offer: &Offer, language| words.render(Occasion::Disclosure, language, Some(offer));
        assert_eq!(read(&offer(&["a", "b"]), Language::Mix), format!("{en}\n\na\n\n{fr}\n\nb"));
        assert_eq!(read(&offer(&["a", "b"]), Language::En), format!("{en}\n\na\n\nb"));
        assert_eq!(read(&offer(&["a"]), Language::Mix), format!("{en}\n\na\n\n{fr}"));
    }

    #[test]
    fn the_assistant_is_told_what_it_may_offer_and_nothing_where_the_policy_has_no_note() {
        let policy = Policy::default();
        let note = policy.prompt.support(Language::Mix, &offer(&["a", "b"])).expect("a note");
        let Bilingual { en, fr } = policy.prompt.support_note.expect("shipped");
        assert_eq!(note, format!("{en}\n{fr}\na\nb"));
        let (before, after) = DEFAULT_TOML.split_once("[prompt.support_note]").expect("a note");
        let after = after.split_once("# ----").expect("the next part").1;
        let without = Policy::from_toml("policy.toml", &format!("{before}# ----{after}")).expect("a policy");
        assert_eq!(without.prompt.support(Language::En, &offer(&[])), None);
    }
}
