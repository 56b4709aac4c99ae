//! What one person is offered: general words in their language, and the few helplines
//! that fit them best. A helpline is left out rather than guessed at: where nobody says
//! in which country the person is, only services that the operator offers everywhere
//! remain.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::Serialize;

use super::Policy;
use super::date::Date;
use super::helplines::{Channel, Checked, Helpline, HelplineKind, Topics, contact};
use super::place::Place;
use super::resources::OwnHelpline;
use crate::language::Language;
use crate::taxonomy::{CrisisLabel, CrisisType, Stage, Taxonomy as _};
use crate::tracker::Tracker;

/// What the caller knows beside the conversation: about the person, and which day it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances {
    /// Where the person is; `None` if nobody knows.
    pub place: Option<Place>,
    /// The person's age in years; `None` if nobody knows.
    pub age: Option<u8>,
    /// The day.
    pub today: Date,
}

impl Circumstances {
    /// Nothing is known but the day.
    pub const fn unknown(today: Date) -> Self {
        Self { place: None, age: None, today }
    }
}

/// A person as far as it matters for what they are offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Where they are; `None` if nobody knows.
    pub place: Option<Place>,
    /// The language they write in.
    pub language: Language,
    /// Their age in years; `None` if nobody knows.
    pub age: Option<u8>,
    /// The crises they told of; empty if none has become explicit.
    pub topics: BTreeSet<CrisisType>,
}

impl Person {
    /// A person in these circumstances, in a conversation that has got as far as
    /// `tracker`.
    pub fn of(circumstances: &Circumstances, language: Language, tracker: &Tracker) -> Self {
        Self {
            place: circumstances.place.clone(),
            language,
            age: circumstances.age,
            topics: confirmed(tracker),
        }
    }
}

/// The types of crisis that have become explicit, ongoing or past.
pub fn confirmed(tracker: &Tracker) -> BTreeSet<CrisisType> {
    let seen = CrisisLabel::ALL.iter().filter(|label| tracker.crossing(**label).is_some());
    seen.filter_map(|label| match label.stage() {
        Stage::Confirm(crisis) => Some(crisis),
        Stage::Alert => None,
    })
    .collect()
}

/// What to offer one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// General words, one text per language spoken.
    pub words: Vec<String>,
    /// Helplines, the most fitting first and emergency numbers last.
    pub helplines: Vec<OfferedHelpline>,
}

/// A helpline as one person is offered it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfferedHelpline {
    /// The language it answers in; `mix` for both.
    pub language: Language,
    /// Its name.
    pub name: String,
    /// How to reach it, in words.
    pub contact: String,
    /// Where it serves: the operator's words, or the registry's code.
    pub region: String,
    /// How and when somebody looked at it: on the wire `verified_at` or `documented_at`.
    #[serde(flatten)]
    pub checked: Checked,
    /// What only entries of the registry say.
    #[serde(flatten)]
    pub listed: Option<Listed>,
}

/// What only entries of the registry say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// The entry's name in the registry.
    pub id: String,
    /// Whether it is the emergency number.
    pub kind: HelplineKind,
    /// How to reach it, for programs.
    pub channels: Vec<Channel>,
    /// When it answers, in words; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
    /// From which age on it is there; absent where there is no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_age: Option<u8>,
    /// Up to which age it is there; absent likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u8>,
}

impl OfferedHelpline {
    /// One short line for a person who reads this language: name, how to reach it,
    /// when, and for which ages.
    pub fn short(&self, language: Language) -> String {
        let mut remarks: Vec<String> = Vec::new();
        if let Some(listed) = &self.listed {
            remarks.extend(listed.hours.clone());
            remarks.extend(ages(listed.min_age, listed.max_age, language));
        }
        let remarks = if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join(", ")) };
        format!("{}: {}{remarks}", self.name, self.contact)
    }
}

fn ages(min: Option<u8>, max: Option<u8>, language: Language) -> Option<String> {
    let span = match (min, max) {
        (Some(min), Some(max)) => format!("{min}–{max}"),
        (Some(min), None) => format!("{min}+"),
        (None, Some(max)) => format!("0–{max}"),
        (None, None) => return None,
    };
    Some(match language {
        Language::En => format!("ages {span}"),
        Language::Fr => format!("{span} ans"),
        Language::Mix => format!("ages {span} ans"),
    })
}

/// How well a helpline fits a person; the greater, the better. The fields count in
/// their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    /// The emergency number comes last and has a place of its own.
    kind: HelplineKind,
    origin: Origin,
    /// It is there for a crisis that the person told of.
    topic: bool,
    /// It is there for the person's region.
    region: bool,
    age: AgeFit,
    /// Somebody has asked the service.
    verified: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Registry,
    /// The operator chose it for this installation.
    Policy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AgeFit {
    /// It is there for some ages, and the person's is not known.
    Unknown,
    /// It is there for all ages.
    All,
    /// It is there for the person's age.
    Theirs,
}

/// A helpline that may be offered.
struct Candidate {
    fit: Fit,
    line: OfferedHelpline,
}

impl Candidate {
    fn listens(&self) -> bool {
        self.fit.kind == HelplineKind::Helpline
    }
}

impl Policy {
    /// What to offer a person on a day: general words, and at most as many helplines as
    /// the policy says, best first. Nothing that is expired, unverified or contradicted
    /// is offered, and nothing from another country. The same question has the same
    /// answer.
    pub fn offer(&self, person: &Person, today: Date) -> Offer {
        let own = self.resources.helplines.iter().filter_map(|line| own(line, person, today));
        let listed = self.registry.entries().filter_map(|line| self.listed(line, person, today));
        let mut candidates: Vec<Candidate> = own.chain(listed).collect();
        keep_spoken(&mut candidates, person.language);
        // Equals stay in the order of the file or of their ids.
        candidates.sort_by_key(|candidate| Reverse(candidate.fit));
        let words = self.resources.general(person.language).into_iter().map(str::to_owned).collect();
        Offer { words, helplines: cut(candidates, usize::from(u8::from(self.helplines.at_most))) }
    }

    /// An entry of the registry, if the person may be offered it.
    fn listed(&self, line: &Helpline, person: &Person, today: Date) -> Option<Candidate> {
        let checked = line.standing.shown(self.helplines.show, today)?;
        let place = person.place.as_ref().filter(|place| line.place.covers(place))?;
        let topic = match &line.topics {
            Topics::Any => false,
            Topics::Of(topics) if topics.is_disjoint(&person.topics) => return None,
            Topics::Of(_) => true,
        };
        let fit = Fit {
            kind: line.kind,
            origin: Origin::Registry,
            topic,
            region: line.place.region().is_some() && line.place.region() == place.region(),
            age: age_fit(line, person.age)?,
            verified: matches!(checked, Checked::VerifiedAt(_)),
        };
        Some(Candidate { fit, line: offered(line, checked, person.language) })
    }
}

/// One of the operator's own services, if the person may be offered it.
fn own(line: &OwnHelpline, person: &Person, today: Date) -> Option<Candidate> {
    let serves = |place: &Place| person.place.as_ref().is_some_and(|theirs| place.covers(theirs));
    if !line.place.as_ref().is_none_or(serves) || line.expires_at.is_some_and(|last| last < today) {
        return None;
    }
    let fit = Fit {
        kind: HelplineKind::Helpline,
        origin: Origin::Policy,
        topic: false,
        region: line.place.as_ref().is_some_and(|place| place.region().is_some()),
        age: AgeFit::All,
        verified: true,
    };
    let line = OfferedHelpline {
        language: line.language,
        name: line.name.to_string(),
        contact: line.contact.to_string(),
        region: line.region.to_string(),
        checked: Checked::VerifiedAt(line.verified_at),
        listed: None,
    };
    Some(Candidate { fit, line })
}

/// How an entry's ages fit a person's; `None` if it is not there for them.
fn age_fit(line: &Helpline, age: Option<u8>) -> Option<AgeFit> {
    match age {
        _ if !line.ages.are_limited() => Some(AgeFit::All),
        None => Some(AgeFit::Unknown),
        Some(age) => line.ages.hold(age).then_some(AgeFit::Theirs),
    }
}

fn offered(line: &Helpline, checked: Checked, language: Language) -> OfferedHelpline {
    OfferedHelpline {
        language: line.languages.language(),
        name: line.name.written(language),
        contact: contact(&line.channels, language),
        region: line.place.to_string(),
        checked,
        listed: Some(Listed {
            id: line.id.clone(),
            kind: line.kind,
            channels: line.channels.clone(),
            hours: line.hours.as_ref().map(|hours| hours.written(language)),
            min_age: line.ages.min,
            max_age: line.ages.max,
        }),
    }
}

/// Leaves those that answer in the person's language, and emergency numbers; if nobody
/// answers in it, all: one in another language is better than none.
fn keep_spoken(candidates: &mut Vec<Candidate>, language: Language) {
    let speaks = |candidate: &Candidate| {
        let answers = candidate.line.language;
        language == Language::Mix || answers == Language::Mix || answers == language
    };
    if candidates.iter().any(|candidate| candidate.listens() && speaks(candidate)) {
        candidates.retain(|candidate| !candidate.listens() || speaks(candidate));
    }
}

/// The first `most`, with one place kept for the first emergency number where there is
/// more than one place.
fn cut(candidates: Vec<Candidate>, most: usize) -> Vec<OfferedHelpline> {
    let (listening, emergency): (Vec<_>, Vec<_>) = candidates.into_iter().partition(Candidate::listens);
    let kept = usize::from(most > 1 && !emergency.is_empty());
    let best = listening.into_iter().take(most - kept).chain(emergency).take(most);
    best.map(|candidate| candidate.line).collect()
}

#[cfg(test)]
mod tests;
