//! What is cut of an input that is too long, and how much that was.

use mindrail_core::conversation::Role;
use serde::{Deserialize, Serialize};

use super::config::Truncation;
use super::layout::{Owner, Parts, Segment};

/// What was left out of a sequence for its length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Turns of which nothing is left; a reply of which nothing is left counts as one.
    pub turns: usize,
    /// Tokens, those of whole turns with their tags included.
    pub tokens: usize,
    /// What is left of the text that is judged: of the newest turn, or of the reply and the
    /// turn of the person that it answers.
    pub judged: Kept,
}

/// What is left of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// All of it.
    #[default]
    Whole,
    /// Some of it.
    Part,
    /// Nothing: what a model says then is of other words.
    Nothing,
}

impl Kept {
    const fn of(before: usize, after: usize) -> Self {
        match after {
            _ if after == before => Self::Whole,
            0 => Self::Nothing,
            _ => Self::Part,
        }
    }
}

/// Tokens of the text that is judged, and of the turn that it answers, if it is a reply.
#[derive(Clone, Copy)]
struct Judged {
    text: usize,
    answered: usize,
}

impl Judged {
    /// What is left of it. A reply can only be judged by what it answers, so that a cut
    /// there is a cut of the reply.
    const fn kept(self, before: Self) -> Kept {
        match Kept::of(before.text, self.text) {
            Kept::Whole if self.answered < before.answered => Kept::Part,
            kept => kept,
        }
    }
}

/// The newest user turn keeps this part of the length, a quarter, before the reply's
/// end is cut: a reply can only be judged by what it answers.
const SHARE_OF_THE_NEWEST: usize = 4;

impl Parts {
    /// Cuts the parts to a length.
    pub(super) fn cut(&mut self, rule: Truncation, length: usize) -> Cut {
        let sizes = self.segments().map(|segment| segment.len()).collect::<Vec<_>>();
        let judged = self.judged();
        let total = sizes.iter().sum::<usize>();
        let excess = total.saturating_sub(length);
        if excess == 0 {
            return Cut::default();
        }
        match rule {
            Truncation::NewestTurns => self.cut_oldest_turns(excess, length),
            Truncation::Left => cut_left(self.segments(), excess),
            Truncation::Right => cut_right(self.segments(), excess),
            Truncation::LongestFirst => self.cut_longest(excess),
        }
        let judged = self.judged().kept(judged);
        let mut cut = Cut { turns: 0, tokens: total, judged };
        for (segment, before) in self.segments().zip(sizes) {
            cut.tokens -= segment.len();
            let is_gone = segment.len() == 0 && before > 0 && segment.owner != Owner::Frame;
            cut.turns += usize::from(is_gone);
        }
        cut
    }

    fn segments(&mut self) -> impl DoubleEndedIterator<Item = &mut Segment> {
        self.first.iter_mut().chain(self.second.iter_mut().flatten())
    }

    fn judged(&mut self) -> Judged {
        let of = |segment: Option<&mut Segment>| segment.map_or(0, |segment| segment.body.len());
        let text = of(self.segments().rfind(|segment| segment.owner != Owner::Frame));
        let is_reply = self.segments().any(|segment| segment.owner == Owner::Reply);
        let answered = self.segments().rfind(|segment| segment.owner == Owner::Turn(Role::User));
        Judged { text, answered: if is_reply { of(answered) } else { 0 } }
    }

    fn cut_oldest_turns(&mut self, mut excess: usize, length: usize) {
        let mut segments = self.segments().collect::<Vec<_>>();
        let newest = newest_turn(&segments);
        // Turns before the newest of the user, then those after it.
        for (place, segment) in segments.iter_mut().enumerate() {
            if matches!(segment.owner, Owner::Turn(_)) && Some(place) != newest {
                excess = cut_turn(segment, excess);
            }
        }
        if let Some(newest) = newest {
            let has_reply = segments.iter().any(|segment| segment.owner == Owner::Reply);
            let kept = if has_reply { (length / SHARE_OF_THE_NEWEST).max(1) } else { 1 };
            excess = cut_front(&mut segments[newest].body, kept, excess);
        }
        if let Some(reply) = segments.iter_mut().find(|segment| segment.owner == Owner::Reply) {
            excess = cut_end(&mut reply.body, excess);
        }
        // A renderer's length leaves room for what stands around texts, save where a
        // text's own tokens make that longer; the length holds all the same.
        cut_left(segments.into_iter(), excess);
    }

    /// The loop of `truncate_sequences` in transformers 4.30 under `longest_first`.
    fn cut_longest(&mut self, excess: usize) {
        let Some(second) = &mut self.second else { return cut_right(self.segments(), excess) };
        let size = |part: &[Segment]| part.iter().map(Segment::len).sum::<usize>();
        let before = (size(&self.first), size(second));
        let (mut one, mut other) = before;
        for _ in 0..excess {
            if one > other { one -= 1 } else { other -= 1 }
        }
        cut_right(self.first.iter_mut(), before.0 - one);
        cut_right(second.iter_mut(), before.1 - other);
    }
}

/// The place of the newest turn of the user; where there is none, of the newest turn.
fn newest_turn(segments: &[&mut Segment]) -> Option<usize> {
    let by_user = segments.iter().rposition(|segment| segment.owner == Owner::Turn(Role::User));
    by_user.or_else(|| segments.iter().rposition(|segment| matches!(segment.owner, Owner::Turn(_))))
}

/// Cuts the beginning of a turn, or all of it where none of its text would be left.
/// Gives what is still to be cut.
fn cut_turn(turn: &mut Segment, excess: usize) -> usize {
    if excess < turn.body.len() {
        return cut_front(&mut turn.body, 1, excess);
    }
    if excess == 0 {
        return 0;
    }
    let left = excess.saturating_sub(turn.len());
    for tokens in [&mut turn.lead, &mut turn.body, &mut turn.tail] {
        tokens.clear();
    }
    left
}

/// Cuts the beginning and keeps at least some; gives what is still to be cut.
fn cut_front(tokens: &mut Vec<u32>, kept: usize, excess: usize) -> usize {
    let cut = excess.min(tokens.len().saturating_sub(kept));
    tokens.drain(..cut);
    excess - cut
}

/// Cuts the end; gives what is still to be cut.
fn cut_end(tokens: &mut Vec<u32>, excess: usize) -> usize {
    let cut = excess.min(tokens.len());
    tokens.truncate(tokens.len() - cut);
    excess - cut
}

fn cut_left<'a>(segments: impl Iterator<Item = &'a mut Segment>, mut excess: usize) {
    for segment in segments {
        for tokens in [&mut segment.lead, &mut segment.body, &mut segment.tail] {
            excess = cut_front(tokens, 0, excess);
        }
    }
}

fn cut_right<'a>(segments: impl DoubleEndedIterator<Item = &'a mut Segment>, mut excess: usize) {
    for segment in segments.rev() {
        for tokens in [&mut segment.tail, &mut segment.body, &mut segment.lead] {
            excess = cut_end(tokens, excess);
        }
    }
}
