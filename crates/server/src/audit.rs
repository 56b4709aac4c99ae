//! The audit trail: one entry for each decision, each with the hash of the one
//! before it, so that an entry that is changed, taken out or put in is found. Whoever
//! can write the store can cut off its end or write it anew with hashes that fit:
//! against that, note count and hash of the last entry elsewhere ([`Head`]).
//!
//! An entry holds no text, and nothing from which text or person could be guessed:
//! what was scanned and whose it was stand in it as digests that were salted, and the
//! salts are kept apart (see [`crate::store`]). Erasing a person's salts makes their
//! entries nobody's, and leaves the chain as it was.

use mindrail_core::conversation::Role;
use mindrail_core::digest::sha256;
use mindrail_core::taxonomy::{CrisisLabel, ReplyClass, Scores, Signal};
use serde::{Deserialize, Serialize};

/// The hash that stands before the first entry.
pub const BEFORE_THE_FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What was decided about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The person's side of a conversation.
    Person,
    /// A reply that has not been shown.
    Reply,
}

/// How the decision came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything was looked at.
    Ok,
    /// Something was not: the verdict says what, and does not call it safe.
    NotEvaluated,
    /// The model, or the store, did not work: the policy's fail mode said what the person
    /// got. What was decided without the store was written when it answered again.
    Degraded,
    /// The decision was made and could not be carried out.
    Error,
}

/// Where a decision was asked for, where that is no caller's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The desk's live console: an exercise, which reports do not count.
    Console,
}

/// One reason of a decision, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The rule.
    pub rule: String,
    /// What it asks for.
    pub action: String,
    /// The turn that shows it, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<usize>,
    /// The label concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The probability that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f32>,
    /// The threshold that it reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
}

/// What was found in one of the turns that were scanned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scanned {
    /// Its place, from 0.
    pub turn: usize,
    /// Who spoke.
    pub role: Role,
    /// Risk at this turn, of the person's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<f32>,
    /// What begins here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub onsets: Vec<CrisisLabel>,
    /// The class of a reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ReplyClass>,
}

/// Which turns of a conversation a decision looked at for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first turn, from 0.
    pub first: u64,
    /// How many.
    pub turns: u64,
}

/// Which part of an assistant's answer a decision looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyPart {
    /// The choice, where several answers were asked for, from 0.
    pub choice: u64,
    /// What it is.
    pub field: ReplyField,
    /// How many characters of it there were; all of them were looked at.
    pub characters: u64,
    /// Whether it was all of it; else it was judged while it came, and a later decision
    /// looks at all of it again.
    pub whole: bool,
}

/// A text in an assistant's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyField {
    /// What it says.
    Content,
    /// What it says in declining.
    Refusal,
    /// What it says while it thinks.
    Reasoning,
    /// What it hands to a tool.
    ToolCall,
    /// Titles and quotations of sources.
    Annotation,
}

/// What a decision was, without its place in the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Milliseconds since 1970 by the server's clock.
    pub at_ms: u64,
    /// Whose conversations these are.
    pub tenant: String,
    /// What was decided about.
    pub subject: Subject,
    /// Salted digest of the caller's name for the conversation; none where it gave none.
    pub conversation: Option<String>,
    /// Salted digest of the caller's name for the person; none where it gave none.
    #[serde(default)]
    pub person: Option<String>,
    /// Which turns were scanned.
    pub scanned: Span,
    /// Which part of a reply was scanned; none where it was one text, judged at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<ReplyPart>,
    /// Salted digest of what was scanned.
    pub digest: String,
    /// SHA-256 of the bundle, which holds model and calibration.
    pub model: String,
    /// SHA-256 of the policy.
    pub policy: String,
    /// Conversation risk; none where nothing was scored.
    pub risk: Option<f32>,
    /// The action: `allow`, `support`, `escalate`, `revise` or `block`.
    pub action: String,
    /// Why, the gravest reason first.
    #[serde(default)]
    pub reasons: Vec<Reason>,
    /// The nine signals over the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signals: Option<Scores<Signal>>,
    /// The scores of what was scanned, turn by turn.
    #[serde(default)]
    pub turns: Vec<Scanned>,
    /// Whether resources were given with the answer.
    #[serde(default)]
    pub resources_offered: bool,
    /// How it came about.
    pub status: Status,
    /// Microseconds from request to decision.
    pub latency_us: u64,
    /// Where it was asked for, where that is no caller's request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// An entry of the trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1, without gaps.
    pub sequence: u64,
    /// The hash of the entry before it.
    pub previous: String,
    /// The decision.
    #[serde(flatten)]
    pub decision: Decision,
}

impl Entry {
    /// The entry as it is stored and hashed: JSON on one line.
    ///
    /// # Panics
    /// Never: an entry is plain data.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("an entry is plain data")
    }
}

/// The hash of a stored entry.
pub fn hash(line: &str) -> String {
    sha256(line.as_bytes())
}

/// Where a trail ends: compare it with what was noted elsewhere, since nothing inside a
/// trail can tell that its end was cut off or written anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Head {
    /// Number of entries.
    pub entries: u64,
    /// Hash of the last one.
    pub hash: String,
}

/// The first thing that is wrong with a trail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// A line is no entry.
    #[error("entry {sequence}: found a line that is no entry of this version")]
    NoEntry {
        /// The place at which it stands.
        sequence: u64,
    },
    /// Entries are missing or stand in another order.
    #[error("entry {expected}: found number {found}, so entries were taken out, put in or moved")]
    Sequence {
        /// The place at which it stands.
        expected: u64,
        /// Its own number.
        found: u64,
    },
    /// An entry was changed.
    #[error("entry {sequence}: its hash is not the one that was written with it, so it was changed")]
    Hash {
        /// Its number.
        sequence: u64,
    },
    /// The chain is broken before an entry.
    #[error("entry {sequence}: it does not follow the entry before it, which was changed or replaced")]
    Previous {
        /// Its number.
        sequence: u64,
    },
}

/// Goes over a trail, entry by entry.
#[derive(Debug, Clone)]
pub struct Verifier {
    head: Head,
}

impl Default for Verifier {
    fn default() -> Self {
        Self { head: Head { entries: 0, hash: BEFORE_THE_FIRST.to_owned() } }
    }
}

impl Verifier {
    /// Takes the next stored entry with the hash that was written with it.
    ///
    /// # Errors
    /// [`ChainError`] for the first thing that is wrong.
    pub fn next(&mut self, line: &str, written_hash: &str) -> Result<Entry, ChainError> {
        let sequence = self.head.entries + 1;
        let entry: Entry = serde_json::from_str(line).map_err(|_| ChainError::NoEntry { sequence })?;
        if entry.sequence != sequence {
            return Err(ChainError::Sequence { expected: sequence, found: entry.sequence });
        }
        if hash(line) != written_hash {
            return Err(ChainError::Hash { sequence });
        }
        if entry.previous != self.head.hash {
            return Err(ChainError::Previous { sequence });
        }
        self.head = Head { entries: sequence, hash: written_hash.to_owned() };
        Ok(entry)
    }

    /// Where the trail ends as far as it has been read.
    pub fn head(&self) -> &Head {
        &self.head
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    pub(crate) fn decision(number: u64) -> Decision {
        Decision {
            at_ms: number,
            tenant: "default".to_owned(),
            subject: Subject::Person,
            conversation: None,
            person: None,
            scanned: Span { first: 0, turns: number },
            part: None,
            digest: "d".to_owned(),
            model: "m".to_owned(),
            policy: "p".to_owned(),
            risk: Some(0.25),
            action: "allow".to_owned(),
            reasons: Vec::new(),
            signals: None,
            turns: Vec::new(),
            resources_offered: false,
            status: Status::Ok,
            latency_us: 7,
            origin: None,
        }
    }

    /// A trail of so many entries, as lines with their hashes.
    fn trail(entries: u64) -> Vec<(String, String)> {
        let mut previous = BEFORE_THE_FIRST.to_owned();
        let entry = |sequence| {
            let line = Entry { sequence, previous: previous.clone(), decision: decision(sequence) }.line();
            previous = hash(&line);
            (line, previous.clone())
        };
        (1..=entries).map(entry).collect()
    }

    fn verified(trail: &[(String, String)]) -> Result<Head, ChainError> {
        let mut verifier = Verifier::default();
        trail.iter().try_for_each(|(line, hash)| verifier.next(line, hash).map(|_| ()))?;
        Ok(verifier.head().clone())
    }

    #[test]
    fn a_trail_as_it_was_written_holds_and_an_empty_one_too() {
        assert_eq!(verified(&[]).unwrap(), Head { entries: 0, hash: BEFORE_THE_FIRST.to_owned() });
        let trail = trail(3);
        assert_eq!(verified(&trail).unwrap(), Head { entries: 3, hash: trail[2].1.clone() });
    }

    proptest! {
        #[test]
        fn an_entry_that_is_changed_moved_or_taken_out_before_the_last_is_found(
            entries in 2_u64..6, at in any::<prop::sample::Index>(), deed in 0..5, byte in any::<prop::sample::Index>(),
        ) {
            let good = trail(entries);
            let mut bad = good.clone();
            let last = bad.len() - 1;
            let at = at.index(last);
            match deed {
                0 => { bad.remove(at); }
                1 => bad.swap(at, at + 1),
                2 => { let copy = bad[at].clone(); bad.insert(at, copy); }
                // Changed, with its own hash left as it was.
                3 => {
                    let byte = byte.index(bad[at].0.len());
                    let flipped = if bad[at].0.as_bytes()[byte] == b'7' { "8" } else { "7" };
                    bad[at].0.replace_range(byte..=byte, flipped);
                }
                // Changed, and hashed anew.
                _ => {
                    bad[at].0 = bad[at].0.replacen("allow", "block", 1);
                    bad[at].1 = hash(&bad[at].0);
                }
            }
            prop_assert!(verified(&bad).is_err());
            prop_assert!(verified(&good).is_ok());
        }
    }
}
