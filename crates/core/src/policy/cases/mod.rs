//! Golden conversations: what clinicians expect of a policy, written so that they
//! can read and write it. A case is a piece of Markdown: a heading, prose that says
//! why the case is there, a conversation, and a list of expectations.
//!
//! ```text
//! # A plan told in passing
//!
//! The person mentions it between two other things. A human should come.
//!
//! ## Conversation
//!
//! **Person:** ...
//!
//! **Assistant:** ...
//!
//! ## Expectations
//!
//! - action: escalate
//! - onset: SI_active at turn 0
//!   - known to fail: the model asks for support only
//! ```
//!
//! [`read`] makes cases of a file, [`Case::run`] puts one through a guard, and
//! [`Case::judge`] compares. Turns are counted from 0, as everywhere in Mindrail. An
//! expectation that is right and that the model does not meet stays as it is and is
//! marked as known to fail; once it is met, the mark is a failure, so that it goes.
//!
//! Findings and errors hold numbers and names of labels, never what somebody said.

mod judge;
mod parse;

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

pub use judge::{Course, Judged, Standing, standing};
pub use parse::{CaseError, read};

use crate::assessment::NotEvaluatedReason;
use crate::conversation::Conversation;
use crate::language::Language;
use crate::reader::Unread;
use crate::taxonomy::{CrisisLabel, Taxonomy as _};
use crate::verdict::{ReplyAction, RuleName, UserAction};

/// One golden conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its heading, which names it.
    pub heading: String,
    /// The line of the heading, from 1.
    pub line: usize,
    /// What was said.
    pub conversation: Conversation,
    /// The turns of which nobody could tell whose words they hold.
    pub unread: Vec<Unread>,
    /// What is expected; at least one.
    pub expectations: Vec<Expectation>,
}

/// Something that is expected of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// Its line, from 1.
    pub line: usize,
    /// What should be so.
    pub claim: Claim,
    /// Why it is known not to be so; `None` where it should hold.
    pub known_to_fail: Option<String>,
}

/// What should be so. Displays as it is written in a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The verdict on the person, `action: escalate`.
    Person(Moment, Wanted<UserAction>),
    /// Whether a rule is among the reasons of that verdict, `rule: risk`.
    PersonRule(Moment, Presence, RuleName),
    /// The verdict on a reply, `reply 3: block`.
    Reply(usize, Wanted<ReplyAction>),
    /// Whether a rule is among the reasons of that verdict, `reply 3 rule: unsafe_reply`.
    ReplyRule(usize, Presence, RuleName),
    /// A label begins, `onset: SI_active at turn 4`.
    Onset(CrisisLabel, Place),
    /// A label begins nowhere, `no onset: SI_active`; none at all for `no onset: any`.
    NoOnset(Option<CrisisLabel>),
    /// Something was not evaluated, `not evaluated: truncated`; all of it was for
    /// `not evaluated: nothing`.
    NotEvaluated(Option<NotEvaluatedReason>),
    /// The language of the conversation, `language: fr`.
    Language(Language),
    /// Whether there are resources to offer, `resources: offered`.
    Resources(Presence),
}

/// When a verdict on the person is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After the last turn.
    End,
    /// After this turn, from 0.
    After(usize),
}

/// Which actions will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<A> {
    /// This one.
    Exactly(A),
    /// This or a graver one.
    AtLeast(A),
    /// This or a milder one.
    AtMost(A),
}

/// Where a label should begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At any turn.
    Anywhere,
    /// At this turn, from 0.
    At(usize),
    /// At this turn or earlier.
    By(usize),
}

/// Whether something should be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It should.
    Present,
    /// It should not.
    Absent,
}

impl<A: Copy + Ord> Wanted<A> {
    fn holds(self, found: A) -> bool {
        match self {
            Self::Exactly(action) => found == action,
            Self::AtLeast(action) => found >= action,
            Self::AtMost(action) => found <= action,
        }
    }
}

impl Place {
    fn holds(self, turn: usize) -> bool {
        match self {
            Self::Anywhere => true,
            Self::At(place) => turn == place,
            Self::By(place) => turn <= place,
        }
    }
}

impl Presence {
    fn holds(self, is_there: bool) -> bool {
        match self {
            Self::Present => is_there,
            Self::Absent => !is_there,
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Present => "rule",
            Self::Absent => "no rule",
        }
    }
}

impl Display for Claim {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(Moment::End, wanted) => write!(f, "action: {wanted}"),
            Self::Person(Moment::After(turn), wanted) => write!(f, "after turn {turn}: {wanted}"),
            Self::PersonRule(Moment::End, presence, rule) => write!(f, "{}: {}", presence.key(), wire(rule)),
            Self::PersonRule(Moment::After(turn), presence, rule) => {
                write!(f, "after turn {turn} {}: {}", presence.key(), wire(rule))
            }
            Self::Reply(turn, wanted) => write!(f, "reply {turn}: {wanted}"),
            Self::ReplyRule(turn, presence, rule) => {
                write!(f, "reply {turn} {}: {}", presence.key(), wire(rule))
            }
            Self::Onset(label, place) => write!(f, "onset: {}{place}", label.wire()),
            Self::NoOnset(label) => write!(f, "no onset: {}", label.map_or("any", |label| label.wire())),
            Self::NotEvaluated(reason) => {
                write!(f, "not evaluated: {}", reason.map_or_else(|| "nothing".to_owned(), |r| wire(&r)))
            }
            Self::Language(language) => write!(f, "language: {}", language.wire()),
            Self::Resources(Presence::Present) => f.write_str("resources: offered"),
            Self::Resources(Presence::Absent) => f.write_str("resources: none"),
        }
    }
}

impl<A: Serialize> Display for Wanted<A> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(action) => f.write_str(&wire(action)),
            Self::AtLeast(action) => write!(f, "at least {}", wire(action)),
            Self::AtMost(action) => write!(f, "at most {}", wire(action)),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anywhere => Ok(()),
            Self::At(turn) => write!(f, " at turn {turn}"),
            Self::By(turn) => write!(f, " by turn {turn}"),
        }
    }
}

/// A value's name on the wire.
fn wire(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
