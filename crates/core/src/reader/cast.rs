//! The cast of a transcript: which of the names before its lines are speakers,
//! and on which side they stand.
//!
//! A person's words must not pass for the assistant's, so the sides are not
//! treated alike. Only a name of [`KNOWN`] makes an assistant, and only where it is
//! set as the transcript's other marks are; a known name of the person is one
//! wherever it stands. Other names are speakers if they keep coming back, or if
//! nobody else is there to be the person. Where their side stays open they are read
//! as the person's, since a user turn is what gets watched, and reported.

use std::collections::{HashMap, HashSet};

use super::mark::{Mark, Weight};
use crate::conversation::Role;

/// The names whose side is known, in lower case. No first name of people is among
/// them, not even an assistant's (Claude).
const KNOWN: [(&str, Role); 53] = [
    ("user", Role::User),
    ("person", Role::User),
    ("seeker", Role::User),
    ("human", Role::User),
    ("client", Role::User),
    ("youth", Role::User),
    ("texter", Role::User),
    ("caller", Role::User),
    ("usr", Role::User),
    ("patient", Role::User),
    ("speaker", Role::User),
    ("me", Role::User),
    ("student", Role::User),
    ("visitor", Role::User),
    ("customer", Role::User),
    ("q", Role::User),
    ("utilisateur", Role::User),
    ("utilisatrice", Role::User),
    ("moi", Role::User),
    ("jeune", Role::User),
    ("élève", Role::User),
    ("assistant", Role::Assistant),
    ("support", Role::Assistant),
    ("supporter", Role::Assistant),
    ("listener", Role::Assistant),
    ("counselor", Role::Assistant),
    ("counsellor", Role::Assistant),
    ("therapist", Role::Assistant),
    ("ai", Role::Assistant),
    ("bot", Role::Assistant),
    ("sys", Role::Assistant),
    ("volunteer", Role::Assistant),
    ("model", Role::Assistant),
    ("agent", Role::Assistant),
    ("helper", Role::Assistant),
    ("responder", Role::Assistant),
    ("chatbot", Role::Assistant),
    ("chatgpt", Role::Assistant),
    ("gpt", Role::Assistant),
    ("gemini", Role::Assistant),
    ("copilot", Role::Assistant),
    ("llama", Role::Assistant),
    ("mistral", Role::Assistant),
    ("grok", Role::Assistant),
    ("replika", Role::Assistant),
    ("ia", Role::Assistant),
    ("assistante", Role::Assistant),
    ("conseiller", Role::Assistant),
    ("conseillère", Role::Assistant),
    ("intervenant", Role::Assistant),
    ("intervenante", Role::Assistant),
    ("system", Role::System),
    ("système", Role::System),
];

/// Words before a colon that tell what others said, and are hardly anybody's mark.
const TOLD: [&str; 9] = ["he", "she", "they", "it", "il", "elle", "ils", "elles", "on"];

/// Names of the other side, which need not come back to be speakers.
const ADDRESSED: [&str; 4] = ["you", "vous", "tu", "toi"];

/// The side that a name stands for, whatever its case and a number behind it.
pub(crate) fn known_role(name: &str) -> Option<Role> {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end().to_lowercase();
    KNOWN.into_iter().find(|(known, _)| *known == name).map(|(_, role)| role)
}

/// Who speaks the turns of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Speaker {
    pub(super) role: Role,
    /// Whether it could be told whose words these are.
    pub(super) certainty: Certainty,
}

impl Speaker {
    /// The same, unknown where there is doubt.
    pub(super) fn doubted(self, doubt: bool) -> Self {
        if doubt { Self { certainty: Certainty::Unknown, ..self } } else { self }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    Told,
    Unknown,
}

/// The speakers of a transcript and the way in which their names are set.
#[derive(Debug)]
pub(super) struct Cast {
    weight: Weight,
    speakers: HashMap<String, Speaker>,
}

impl Cast {
    /// Casts the marks of a transcript, in order. `opens_with_a_mark` says
    /// whether no word stands before the first of them.
    pub(super) fn new(marks: &[Mark<'_>], opens_with_a_mark: bool) -> Self {
        let weight = weight(marks);
        let names = Names::of(marks.iter().filter(|mark| is_accepted(weight, mark)));
        let mut speakers = names.known(opens_with_a_mark);
        let strangers = names.strangers(&speakers, opens_with_a_mark);
        speakers.extend(strangers);
        Self { weight, speakers }
    }

    /// The speaker that a mark names; `None` where it is no mark of this
    /// transcript, and its line goes on with the turn before.
    pub(super) fn speaker(&self, mark: &Mark<'_>) -> Option<Speaker> {
        let found = self.speakers.get(&mark.name.to_lowercase()).copied();
        found.filter(|_| is_accepted(self.weight, mark))
    }

    /// Bytes of asterisks after the mark that belong to it.
    pub(super) fn closing(&self, mark: &Mark<'_>) -> usize {
        if self.weight == Weight::Bold && mark.weight == Weight::Unclear { 2 } else { 0 }
    }
}

/// How the marks of a transcript are set: as most known names of it are, best where
/// both sides have some.
fn weight(marks: &[Mark<'_>]) -> Weight {
    let rank = |weight: Weight| {
        let known = marks.iter().filter(|mark| fits(weight, mark.weight)).filter_map(|m| known_role(m.name));
        let (user, other): (Vec<Role>, Vec<Role>) = known.partition(|role| *role == Role::User);
        (!user.is_empty() && !other.is_empty(), user.len() + other.len())
    };
    let settled = marks.iter().map(|mark| mark.weight).filter(|weight| *weight != Weight::Unclear);
    let mut weights: Vec<Weight> = Vec::new();
    for weight in settled {
        if !weights.contains(&weight) {
            weights.push(weight);
        }
    }
    // The first of equals, which `max_by_key` would not give.
    weights.into_iter().rev().max_by_key(|weight| rank(*weight)).unwrap_or(Weight::Unclear)
}

/// Whether a mark may be one of a transcript: set as its others are, or a known
/// name of the person.
fn is_accepted(transcript: Weight, mark: &Mark<'_>) -> bool {
    fits(transcript, mark.weight) || known_role(mark.name) == Some(Role::User)
}

/// Whether a mark is set as those of the transcript are.
fn fits(transcript: Weight, mark: Weight) -> bool {
    match (transcript, mark) {
        (Weight::Heading, _) | (_, Weight::Heading) => transcript == mark,
        (Weight::Bold, _) => mark != Weight::Plain,
        (Weight::Plain | Weight::Unclear, _) => mark != Weight::Bold,
    }
}

/// The names before the lines of a transcript, in lower case: each once, in order
/// of appearance, and how often it stands there.
struct Names {
    distinct: Vec<String>,
    counts: HashMap<String, usize>,
    /// Those that stand behind a time.
    stamped: HashSet<String>,
}

impl Names {
    fn of<'a>(marks: impl Iterator<Item = &'a Mark<'a>>) -> Self {
        let mut names = Self { distinct: Vec::new(), counts: HashMap::new(), stamped: HashSet::new() };
        for mark in marks {
            let name = mark.name.to_lowercase();
            if mark.stamped {
                names.stamped.insert(name.clone());
            }
            let count = names.counts.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 {
                names.distinct.push(name);
            }
        }
        names
    }

    /// Whether a name is no chance: it comes back, or stands behind a time.
    fn returns(&self, name: &str) -> bool {
        self.stamped.contains(name) || self.counts.get(name).is_some_and(|&count| count > 1)
    }

    /// Names of [`KNOWN`]: all of the person's; of the other roles the first, and
    /// others that are numbered or come back. A single "Support: see below" stays
    /// part of its turn. Where nobody signs as the person and the text does not open
    /// with a mark, an assistant's name may be a word of theirs.
    fn known(&self, opens_with_a_mark: bool) -> HashMap<String, Speaker> {
        let has_person = self.distinct.iter().any(|name| known_role(name) == Some(Role::User));
        let mut speakers: HashMap<String, Speaker> = HashMap::new();
        for name in &self.distinct {
            let Some(role) = known_role(name) else { continue };
            let is_first = speakers.values().all(|speaker| speaker.role != role);
            let numbered = name.ends_with(|c: char| c.is_ascii_digit());
            if role != Role::User && !is_first && !numbered && !self.returns(name) {
                continue;
            }
            let told = role != Role::Assistant || has_person || opens_with_a_mark || self.returns(name);
            let speaker = Speaker { role, certainty: Certainty::Told };
            speakers.insert(name.clone(), if told { speaker } else { UNKNOWN });
        }
        speakers
    }

    /// Other names that are speakers beside the known ones.
    fn strangers(
        &self,
        known: &HashMap<String, Speaker>,
        opens_with_a_mark: bool,
    ) -> HashMap<String, Speaker> {
        let has = |role| known.values().any(|speaker| speaker.role == role);
        let others = || self.distinct.iter().filter(|name| known_role(name).is_none());
        let asked = known.contains_key("q");
        let is_other_side = |name: &str| ADDRESSED.contains(&name) || (asked && name == "a");
        let is_speaker =
            |name: &&String| (self.returns(name) && !TOLD.contains(&name.as_str())) || is_other_side(name);
        let names: Vec<&String> = match (has(Role::User), has(Role::Assistant)) {
            // Somebody must be the person, even with one line only.
            (false, true) if opens_with_a_mark => others().collect(),
            (false, false) if !opens_with_a_mark || !self.is_a_dialogue() => Vec::new(),
            (false, false) => others().collect(),
            _ => others().filter(is_speaker).collect(),
        };
        let alone = !has(Role::User) && has(Role::Assistant) && names.len() == 1;
        let speaker = if alone { Speaker { role: Role::User, certainty: Certainty::Told } } else { UNKNOWN };
        names.into_iter().map(|name| (name.clone(), speaker)).collect()
    }

    /// Whether names that all are unknown read as a dialogue: at least two of
    /// them, and the one who opens comes back. A form ("Age: 17") does not.
    fn is_a_dialogue(&self) -> bool {
        let strangers: Vec<&String> =
            self.distinct.iter().filter(|name| known_role(name).is_none()).collect();
        strangers.len() > 1 && self.returns(strangers[0])
    }
}

/// A speaker whose side stays open: watched as the person.
const UNKNOWN: Speaker = Speaker { role: Role::User, certainty: Certainty::Unknown };
