//! The cast of a transcript: which of the names before its lines are speakers,
//! and on which side they stand.
//!
//! Known names ([`KNOWN`]) say it themselves. Another name is a speaker if it
//! keeps coming back, and its side follows from the others: beside a known
//! assistant it is the person, beside a known person it is the one who answers.
//! Where that leaves the side open, the words are read as the person's, since a
//! user turn is what gets watched, and the turn is reported as of an unknown
//! speaker.

use super::mark::{Mark, Weight};
use crate::conversation::Role;

/// The names whose side is known, in lower case.
const KNOWN: [(&str, Role); 54] = [
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
    ("claude", Role::Assistant),
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

/// Words before a colon that tell what others said, and are nobody's mark.
const TOLD: [&str; 10] = ["he", "she", "they", "it", "i", "il", "elle", "ils", "elles", "on"];

/// Names of the other side, which need not come back to be speakers.
const ADDRESSED: [&str; 4] = ["you", "vous", "tu", "toi"];

/// The side that a name stands for, whatever its case and a number behind it.
pub(super) fn known_role(name: &str) -> Option<Role> {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end().to_lowercase();
    KNOWN.into_iter().find(|(known, _)| *known == name).map(|(_, role)| role)
}

/// Who speaks the turns of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Speaker {
    pub(super) role: Role,
    /// Whether the side could be told; if not, the role is the person's.
    pub(super) certainty: Certainty,
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
    speakers: Vec<(String, Speaker)>,
}

impl Cast {
    /// Casts the marks of a transcript, in order. `opens_with_a_mark` says
    /// whether any words stand before the first of them.
    pub(super) fn new(marks: &[Mark<'_>], opens_with_a_mark: bool) -> Self {
        let is_known = |mark: &&Mark<'_>| known_role(mark.name).is_some();
        let lead = marks.iter().find(is_known).or(marks.first()).map_or(Weight::Plain, |mark| mark.weight);
        let settled = marks.iter().filter(is_known).map(|mark| mark.weight).find(|&w| w != Weight::Unclear);
        let weight = if lead == Weight::Unclear { settled.unwrap_or(lead) } else { lead };
        let names = Names::of(marks.iter().filter(|mark| fits(weight, mark.weight)));
        let mut speakers = names.known();
        speakers.extend(names.strangers(&speakers, opens_with_a_mark));
        Self { weight, speakers }
    }

    /// The speaker that a mark names; `None` where it is no mark of this
    /// transcript, and its line goes on with the turn before.
    pub(super) fn speaker(&self, mark: &Mark<'_>) -> Option<Speaker> {
        let named = |(name, _): &&(String, Speaker)| *name == mark.name.to_lowercase();
        let found = self.speakers.iter().find(named).filter(|_| fits(self.weight, mark.weight));
        found.map(|&(_, speaker)| speaker)
    }

    /// Bytes of asterisks after the mark that belong to it.
    pub(super) fn closing(&self, mark: &Mark<'_>) -> usize {
        if self.weight == Weight::Bold && mark.weight == Weight::Unclear { 2 } else { 0 }
    }
}

/// Whether a mark is set as those of the transcript are.
fn fits(transcript: Weight, mark: Weight) -> bool {
    match (transcript, mark) {
        (Weight::Heading, _) | (_, Weight::Heading) => transcript == mark,
        (Weight::Bold, _) => mark != Weight::Plain,
        (Weight::Plain | Weight::Unclear, _) => mark != Weight::Bold,
    }
}

/// The names before the lines of a transcript, in lower case, in order.
struct Names(Vec<String>);

impl Names {
    fn of<'a>(marks: impl Iterator<Item = &'a Mark<'a>>) -> Self {
        Self(marks.map(|mark| mark.name.to_lowercase()).collect())
    }

    fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|other| *other == name).count()
    }

    fn distinct(&self) -> Vec<&String> {
        let mut seen = Vec::new();
        for name in &self.0 {
            if !seen.contains(&name) {
                seen.push(name);
            }
        }
        seen
    }

    /// Names of [`KNOWN`]: the first of each role, and others that are numbered or
    /// come back. A single "Support: see below" stays part of its turn.
    fn known(&self) -> Vec<(String, Speaker)> {
        let mut speakers: Vec<(String, Speaker)> = Vec::new();
        for name in self.distinct() {
            let Some(role) = known_role(name) else { continue };
            let is_first = speakers.iter().all(|(_, speaker)| speaker.role != role);
            if is_first || name.ends_with(|c: char| c.is_ascii_digit()) || self.count(name) > 1 {
                speakers.push((name.clone(), Speaker { role, certainty: Certainty::Told }));
            }
        }
        speakers
    }

    /// Other names that are speakers beside the known ones.
    fn strangers(&self, known: &[(String, Speaker)], opens_with_a_mark: bool) -> Vec<(String, Speaker)> {
        let has = |role| known.iter().any(|(_, speaker)| speaker.role == role);
        let is_other = |name: &&String| known_role(name).is_none() && !TOLD.contains(&name.as_str());
        let others = || self.distinct().into_iter().filter(is_other);
        let asked = known.iter().any(|(name, _)| name == "q");
        let is_other_side = |name: &str| ADDRESSED.contains(&name) || (asked && name == "a");
        let returns = |name: &&String| self.count(name) > 1 || is_other_side(name);
        let opens = |name: &&String| self.0.first() == Some(*name);
        let names: Vec<&String> = match (has(Role::User), has(Role::Assistant)) {
            // Somebody must be the person, even with one line only.
            (false, true) if opens_with_a_mark => {
                let likely: Vec<_> = others().filter(|name| returns(name) || opens(name)).collect();
                if likely.is_empty() { others().collect() } else { likely }
            }
            (false, false) if !opens_with_a_mark || !self.is_a_dialogue() => Vec::new(),
            (false, false) => others().collect(),
            _ => others().filter(returns).collect(),
        };
        let speaker = match (has(Role::User), has(Role::Assistant), names.as_slice()) {
            (false, true, [_]) => Speaker { role: Role::User, certainty: Certainty::Told },
            (true, false, [name]) if self.answers(name, known) => {
                Speaker { role: Role::Assistant, certainty: Certainty::Told }
            }
            _ => Speaker { role: Role::User, certainty: Certainty::Unknown },
        };
        names.into_iter().map(|name| (name.clone(), speaker)).collect()
    }

    /// Whether names that all are unknown read as a dialogue: at least two of
    /// them, and the one who opens comes back. A form ("Age: 17") does not.
    fn is_a_dialogue(&self) -> bool {
        self.distinct().len() > 1 && self.0.first().is_some_and(|first| self.count(first) > 1)
    }

    /// Whether the person speaks between any two turns of a name.
    fn answers(&self, name: &str, known: &[(String, Speaker)]) -> bool {
        let is_known = |other: &String| known.iter().any(|(known, _)| known == other);
        let spoken: Vec<&String> = self.0.iter().filter(|other| *other == name || is_known(other)).collect();
        spoken.windows(2).all(|pair| pair[0] != pair[1] || pair[0] != name)
    }
}
