//! An answer that comes in pieces, as a state machine without a clock and without a
//! connection. Chunks go in as they come ([`Flow::take`]); it says which texts must be
//! judged now ([`Flow::due`]), is told what came of that ([`Flow::settle`]), and gives
//! out what may be shown ([`Flow::release`]).
//!
//! A chunk leaves as it came, and only when every word in it was judged. Judged is always
//! the whole text so far, at places that depend on the text alone ([`super::window`]) and
//! where another text of the same choice begins; and the last word of a text leaves
//! only after all of the text was judged. So no way of cutting an answer into pieces gets
//! past a verdict on the whole of it.
//!
//! A beginning that should be written anew is held and not refused: half a thought often
//! reads worse than all of it. One that must not be shown ends the choice at once.
//!
//! A choice that may not go on says farewell: what was judged of its content is shown,
//! then the guard's words follow, and nothing of it comes after.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value, json};

use super::scan::{Place, ToolNames, handed_words, screen_choice, screen_envelope};
use super::window::{Growing, WindowSizes};
use crate::audit::{ReplyField, ReplyPart};
use crate::service::Part;

/// Choices that an answer may have.
pub(super) const MOST_CHOICES: usize = 16;
/// Texts of one stream that are judged; an answer that changes between its texts more
/// often is no answer.
const MOST_JUDGEMENTS: usize = 10_000;

/// What happens to a text that was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may be shown.
    Show,
    /// Not as far as it has come: what comes may put it right, and is waited for.
    Hold,
    /// It may not.
    Withhold,
}

/// Why a choice says farewell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// What it says may not be shown, or the assistant's own filter cut it.
    Withheld,
    /// It broke off, or came to an end without saying anything.
    NoAnswer,
}

/// A choice that the guard ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Farewell {
    pub(super) choice: u64,
    pub(super) reason: Reason,
    /// What was judged of its content, may be shown and was not.
    pub(super) before: String,
    /// Whether anything of its content is shown before the guard's words.
    pub(super) follows: Follows,
}

/// What the guard's words follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Nothing.
    Nothing,
    /// Whole sentences.
    Sentence,
    /// A sentence that was cut.
    Cut,
}

/// What leaves.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Leaving {
    /// A chunk as it came.
    Chunk(Value),
    /// The end of a choice.
    Farewell(Farewell),
}

/// A text that must be judged.
#[derive(Debug, Clone)]
pub(super) struct Due {
    choice: u64,
    place: Place,
    end: usize,
    pub(super) part: Part,
}

/// How the bytes of a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// As the protocol says.
    Said,
    /// Without a word, or by a fault.
    Broken,
}

/// A stream that is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoStream;

struct Held {
    chunk: Value,
    /// Up to where each text must be judged before it leaves.
    needs: Vec<((u64, Place), usize)>,
}

#[derive(Default)]
struct Choice {
    texts: BTreeMap<Place, Growing>,
    newest: Option<Place>,
    /// The assistant has said that it is over.
    finished: bool,
    /// The guard has ended it.
    ended: Option<Reason>,
    farewell_sent: bool,
}

/// An answer on its way.
pub(super) struct Flow {
    sizes: WindowSizes,
    tools: ToolNames,
    choices: BTreeMap<u64, Choice>,
    queue: VecDeque<Held>,
    judgements: usize,
    expected: u64,
    envelope: Map<String, Value>,
}

impl Flow {
    /// An answer with so many choices.
    pub(super) fn new(sizes: WindowSizes, tools: ToolNames, expected: u64) -> Self {
        Self {
            sizes,
            tools,
            choices: BTreeMap::new(),
            queue: VecDeque::new(),
            judgements: 0,
            expected,
            envelope: Map::new(),
        }
    }

    /// What the chunks of this answer have in common: `id`, `created`, `model`.
    pub(super) fn envelope(&self) -> &Map<String, Value> {
        &self.envelope
    }

    /// Takes a chunk.
    ///
    /// # Errors
    /// [`NoStream`] where it has no choices, or too many.
    pub(super) fn take(&mut self, mut chunk: Value) -> Result<(), NoStream> {
        let object = chunk.as_object_mut().ok_or(NoStream)?;
        screen_envelope(object);
        for key in ["id", "created", "model"] {
            if let Some(value) = object.get(key).filter(|value| !value.is_null()) {
                self.envelope.insert(key.to_owned(), value.clone());
            }
        }
        let mut needs = Vec::new();
        let mut is_empty = false;
        match object.get_mut("choices") {
            None | Some(Value::Null) => {}
            Some(Value::Array(choices)) => {
                let had = !choices.is_empty();
                let mut kept = Vec::new();
                for mut choice in std::mem::take(choices) {
                    if self.take_choice(&mut choice, &mut needs)? {
                        kept.push(choice);
                    }
                }
                is_empty = had && kept.is_empty();
                *choices = kept;
            }
            Some(_) => return Err(NoStream),
        }
        if !is_empty {
            self.queue.push_back(Held { chunk, needs });
        }
        Ok(())
    }

    /// Takes a choice's piece; whether it goes on its way.
    fn take_choice(
        &mut self,
        choice: &mut Value,
        needs: &mut Vec<((u64, Place), usize)>,
    ) -> Result<bool, NoStream> {
        let object = choice.as_object_mut().ok_or(NoStream)?;
        let index = object.get("index").map_or(Some(0), Value::as_u64).ok_or(NoStream)?;
        if index >= MOST_CHOICES as u64 {
            return Err(NoStream);
        }
        let state = self.choices.entry(index).or_default();
        if state.ended.is_some() || state.finished {
            return Ok(false);
        }
        for (place, text) in screen_choice(object, "delta", &self.tools) {
            if state.newest.is_some_and(|newest| newest != place) {
                state.pause();
            }
            state.newest = Some(place);
            let growing = state.texts.entry(place).or_default();
            growing.push(&text);
            needs.push(((index, place), growing.text().len()));
        }
        let Some(finish) = object.get("finish_reason").filter(|finish| !finish.is_null() && *finish != "")
        else {
            return Ok(true);
        };
        let filtered = finish == "content_filter";
        state.finish();
        needs.extend(state.texts.iter().map(|(place, text)| ((index, *place), text.text().len())));
        if filtered {
            state.ended = Some(Reason::Withheld);
        } else if state.is_silent() {
            state.ended = Some(Reason::NoAnswer);
        }
        Ok(state.ended.is_none())
    }

    /// No more comes: choices that are not over are over now, or have no end.
    pub(super) fn end(&mut self, ended: Ended) {
        for index in 0..self.expected {
            self.choices.entry(index).or_default();
        }
        for choice in self.choices.values_mut().filter(|choice| choice.ended.is_none() && !choice.finished) {
            choice.finish();
            if ended == Ended::Broken || choice.is_silent() {
                choice.ended = Some(Reason::NoAnswer);
            }
        }
    }

    /// No more can be judged: choices of which anything waits have no end.
    pub(super) fn give_up(&mut self) {
        for choice in self.choices.values_mut().filter(|choice| choice.ended.is_none()) {
            if choice.texts.values().any(|text| text.showable() < text.text().len()) {
                choice.ended = Some(Reason::NoAnswer);
            }
        }
    }

    /// What must be judged now, of each text from its beginning on.
    pub(super) fn due(&self) -> Vec<Due> {
        let mut due = Vec::new();
        for (&index, choice) in self.choices.iter().filter(|(_, choice)| choice.ended.is_none()) {
            for (&place, growing) in &choice.texts {
                let sizes = match place.field {
                    ReplyField::Content | ReplyField::Refusal | ReplyField::Reasoning => Some(self.sizes),
                    // Nobody reads these while they come, and half of them says nothing.
                    ReplyField::ToolCall | ReplyField::Annotation => None,
                };
                for end in growing.due(sizes) {
                    let so_far = &growing.text()[..end];
                    let whole = choice.finished && end == growing.text().len();
                    let text = spoken(place, so_far);
                    let characters = so_far.chars().count() as u64;
                    let part = ReplyPart { choice: index, field: place.field, characters, whole };
                    due.push(Due { choice: index, place, end, part: Part { part, text } });
                }
            }
        }
        due
    }

    /// Notes what came of a text that was due.
    ///
    /// # Errors
    /// [`NoStream`] after too many.
    pub(super) fn settle(&mut self, due: &Due, fate: Fate) -> Result<(), NoStream> {
        self.judgements += 1;
        let Some(choice) = self.choices.get_mut(&due.choice) else { return Ok(()) };
        match fate {
            Fate::Withhold => choice.ended = choice.ended.or(Some(Reason::Withheld)),
            Fate::Show => {
                if let Some(growing) = choice.texts.get_mut(&due.place) {
                    growing.may_show(due.end);
                }
            }
            Fate::Hold => {
                if let Some(growing) = choice.texts.get_mut(&due.place) {
                    growing.hold(due.end);
                }
            }
        }
        if self.judgements > MOST_JUDGEMENTS { Err(NoStream) } else { Ok(()) }
    }

    /// What may leave now.
    pub(super) fn release(&mut self) -> Vec<Leaving> {
        let mut leaving = Vec::new();
        self.drop_ended();
        while self.queue.front().is_some_and(|held| self.may_leave(held)) {
            let Some(held) = self.queue.pop_front() else { break };
            for ((index, place), end) in held.needs {
                if let Some(text) =
                    self.choices.get_mut(&index).and_then(|choice| choice.texts.get_mut(&place))
                {
                    text.was_shown(end);
                }
            }
            leaving.push(Leaving::Chunk(held.chunk));
        }
        for (&index, choice) in &mut self.choices {
            if let Some(reason) = choice.ended.filter(|_| !choice.farewell_sent) {
                choice.farewell_sent = true;
                leaving.push(Leaving::Farewell(choice.farewell(index, reason)));
            }
        }
        leaving
    }

    /// Whether the guard has ended every choice, so that the assistant need not go on.
    pub(super) fn is_ended(&self) -> bool {
        self.choices.len() as u64 >= self.expected
            && self.choices.values().all(|choice| choice.ended.is_some())
    }

    fn may_leave(&self, held: &Held) -> bool {
        held.needs.iter().all(|((index, place), end)| {
            let Some(text) = self.choices.get(index).and_then(|choice| choice.texts.get(place)) else {
                return false;
            };
            match place.field {
                // Half a call is no call, and a client may not see that it is half a one.
                ReplyField::ToolCall => text.is_complete(),
                // White space alone says nothing.
                ReplyField::Content
                | ReplyField::Refusal
                | ReplyField::Reasoning
                | ReplyField::Annotation => text.showable() >= *end || text.text()[..*end].trim().is_empty(),
            }
        })
    }

    /// Takes choices that the guard has ended out of what waits.
    fn drop_ended(&mut self) {
        let ended: BTreeSet<u64> = self
            .choices
            .iter()
            .filter(|(_, choice)| choice.ended.is_some())
            .map(|(&index, _)| index)
            .collect();
        if ended.is_empty() {
            return;
        }
        self.queue.retain_mut(|held| {
            held.needs.retain(|((index, _), _)| !ended.contains(index));
            let Some(choices) = held.chunk.get_mut("choices").and_then(Value::as_array_mut) else {
                return true;
            };
            let had = !choices.is_empty();
            choices
                .retain(|choice| !ended.contains(&choice.get("index").and_then(Value::as_u64).unwrap_or(0)));
            !had || !choices.is_empty()
        });
    }
}

/// The words of a text that is judged.
pub(super) fn spoken(place: Place, text: &str) -> String {
    if place.field == ReplyField::ToolCall { handed_words(text) } else { text.to_owned() }
}

impl Choice {
    fn pause(&mut self) {
        self.texts.values_mut().for_each(Growing::pause);
    }

    fn finish(&mut self) {
        self.texts.values_mut().for_each(Growing::end);
        self.finished = true;
    }

    /// Whether it has said nothing that a person or a program could go by.
    fn is_silent(&self) -> bool {
        !self.texts.iter().any(|(place, text)| place.speaks(text.text()))
    }

    fn farewell(&mut self, index: u64, reason: Reason) -> Farewell {
        let content = self.texts.entry(Place::once(ReplyField::Content)).or_default();
        let before = content.unshown().to_owned();
        content.was_shown(content.showable());
        let shown = &content.text()[..content.showable()];
        let follows = match shown.trim_end().chars().last() {
            _ if !content.is_shown() || shown.trim().is_empty() => Follows::Nothing,
            Some(sign) if sign.is_alphanumeric() || ",;:-–—('\"«".contains(sign) => Follows::Cut,
            _ => Follows::Sentence,
        };
        Farewell { choice: index, reason, before, follows }
    }
}

/// A chunk with one choice's piece in the envelope of an answer.
pub(super) fn chunk(
    envelope: &Map<String, Value>,
    choice: u64,
    delta: &Value,
    finish: Option<&str>,
) -> Value {
    let mut chunk = envelope.clone();
    chunk.insert("object".to_owned(), json!("chat.completion.chunk"));
    let choice = json!({"index": choice, "delta": delta, "logprobs": null, "finish_reason": finish});
    chunk.insert("choices".to_owned(), json!([choice]));
    Value::Object(chunk)
}

/// Takes any bytes as the events of a stream, and reads it to its end; texts that hold
/// `bad` are withheld. `fuzz/` calls this.
///
/// # Panics
/// Where a word leaves that was not judged.
#[doc(hidden)]
pub fn fuzz_stream(bytes: &[u8]) {
    let sizes = WindowSizes { least: 4, most: 16 };
    let mut flow = Flow::new(sizes, ToolNames::new(), 1);
    let mut parser = mindrail_llm::sse::SseParser::default();
    let mut events = parser.push(bytes);
    events.extend(parser.finish());
    let chunks = events.into_iter().filter_map(|event| serde_json::from_str(&event.data).ok());
    for chunk in chunks {
        if flow.take(chunk).is_err() {
            break;
        }
        fuzz_settle(&mut flow);
    }
    flow.end(Ended::Broken);
    fuzz_settle(&mut flow);
    assert!(flow.queue.is_empty(), "something waits for ever");
}

fn fuzz_settle(flow: &mut Flow) {
    while let Some(due) = flow.due().first() {
        let fate = if due.part.text.contains("bad") { Fate::Withhold } else { Fate::Show };
        if flow.settle(due, fate).is_err() {
            flow.end(Ended::Broken);
            flow.give_up();
            break;
        }
    }
    for leaving in flow.release() {
        let left = match leaving {
            Leaving::Chunk(chunk) => chunk.pointer("/choices/0/delta/content").cloned().unwrap_or_default(),
            Leaving::Farewell(farewell) => Value::from(farewell.before),
        };
        assert!(!left.as_str().unwrap_or_default().contains("bad"), "a word left that was withheld");
    }
}

#[cfg(test)]
mod tests;
