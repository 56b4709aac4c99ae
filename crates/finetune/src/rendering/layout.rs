//! Turns and reply as segments of tokens, in the order in which a model reads them.
//! What belongs to a turn besides its text (a tag, a speaker's name, a line break)
//! stays apart from the text, so that a turn that is cut keeps its speaker.

use std::borrow::Cow;

use mindrail_core::conversation::{Role, Turn};
use mindrail_core::reader::plain_text;

use super::config::{InputConfig, Layout, TextForm};
use super::error::RenderError;
use super::vocabulary::Vocabulary;
use crate::rows::Input;

/// What a segment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The layout itself.
    Frame,
    /// A turn of this speaker.
    Turn(Role),
    /// The reply that is judged.
    Reply,
}

/// The tokens of a turn, of the reply, or of what stands around them.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) owner: Owner,
    /// What stands before the text.
    pub(super) lead: Vec<u32>,
    /// The text.
    pub(super) body: Vec<u32>,
    /// What stands after it.
    pub(super) tail: Vec<u32>,
}

impl Segment {
    const fn new(owner: Owner) -> Self {
        Self { owner, lead: Vec::new(), body: Vec::new(), tail: Vec::new() }
    }

    const fn frame(lead: Vec<u32>) -> Self {
        Self { owner: Owner::Frame, lead, body: Vec::new(), tail: Vec::new() }
    }

    pub(super) const fn len(&self) -> usize {
        self.lead.len() + self.body.len() + self.tail.len()
    }
}

/// The segments of one part, or of two.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) first: Vec<Segment>,
    pub(super) second: Option<Vec<Segment>>,
}

/// Speakers as tokens.
pub(super) enum SpeakerMarks {
    Tags { user: u32, assistant: u32 },
    Words { user: String, assistant: String },
    None,
}

/// Lays inputs out by a configuration.
pub(super) struct LayoutWriter<'a> {
    pub(super) config: &'a InputConfig,
    pub(super) vocabulary: &'a Vocabulary,
    pub(super) speakers: &'a SpeakerMarks,
    pub(super) eos: Option<u32>,
}

impl LayoutWriter<'_> {
    /// The parts of an input, uncut.
    pub(super) fn parts(&self, input: &Input) -> Result<Parts, RenderError> {
        let turns = input.turns.iter().filter(|turn| turn.role != Role::System).collect::<Vec<_>>();
        let reply = input.reply.as_deref();
        match self.config.layout {
            Layout::Transcript => self.transcript(&turns, reply),
            Layout::Pair => match reply {
                Some(reply) => self.pair(&turns, reply),
                None => self.transcript(&turns, None),
            },
            Layout::SafeRlhf => Ok(Parts { first: self.safe_rlhf(&turns, reply)?, second: None }),
        }
    }

    fn transcript(&self, turns: &[&Turn], reply: Option<&str>) -> Result<Parts, RenderError> {
        let said = turns.iter().map(|turn| (Owner::Turn(turn.role), turn.text.as_str()));
        let said = said.chain(reply.map(|reply| (Owner::Reply, reply))).collect::<Vec<_>>();
        let mut first = self.lines(&said)?;
        first.extend(self.end());
        Ok(Parts { first, second: None })
    }

    fn pair(&self, turns: &[&Turn], reply: &str) -> Result<Parts, RenderError> {
        let said = turns.iter().map(|turn| (Owner::Turn(turn.role), turn.text.as_str())).collect::<Vec<_>>();
        let mut second = self.lines(&[(Owner::Reply, reply)])?;
        second.extend(self.end());
        Ok(Parts { first: self.lines(&said)?, second: Some(second) })
    }

    fn end(&self) -> Option<Segment> {
        self.eos.map(|eos| Segment::frame(vec![eos]))
    }

    fn lines(&self, said: &[(Owner, &str)]) -> Result<Vec<Segment>, RenderError> {
        let is_last = |place: usize| place + 1 == said.len();
        said.iter().enumerate().map(|(at, (owner, text))| self.line(*owner, text, is_last(at))).collect()
    }

    fn line(&self, owner: Owner, text: &str, is_last: bool) -> Result<Segment, RenderError> {
        let text = self.shown(text);
        let by_user = owner == Owner::Turn(Role::User);
        let [lead, body, tail] = match self.speakers {
            SpeakerMarks::Tags { user, assistant } => {
                let [body] = self.vocabulary.tokens_of([&text])?;
                [vec![if by_user { *user } else { *assistant }], body, Vec::new()]
            }
            SpeakerMarks::Words { user, assistant } => {
                let name = if by_user { user } else { assistant };
                self.vocabulary.tokens_of([&format!("{name}: "), &self.one_line(&text), "\n"])?
            }
            SpeakerMarks::None => self.vocabulary.tokens_of(["", &text, if is_last { "" } else { "\n" }])?,
        };
        Ok(Segment { owner, lead, body, tail })
    }

    /// The text in the form that a model sees.
    fn shown<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.config.text {
            TextForm::Plain => plain_text(text),
            TextForm::Raw => Cow::Borrowed(text),
        }
    }

    /// A plain text as one line. Where names at the beginnings of lines say who speaks,
    /// a line within a text could speak for somebody else.
    fn one_line<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.config.text {
            TextForm::Plain if text.contains('\n') => Cow::Owned(text.replace('\n', " ")),
            TextForm::Plain | TextForm::Raw => Cow::Borrowed(text),
        }
    }

    /// The template of safe-rlhf. What stands between two ends is read as one text, as
    /// there; only then are its tokens dealt to the turns.
    fn safe_rlhf(&self, turns: &[&Turn], reply: Option<&str>) -> Result<Vec<Segment>, RenderError> {
        let mut said =
            turns.iter().map(|turn| (Owner::Turn(turn.role), self.shown(&turn.text))).collect::<Vec<_>>();
        said.extend(reply.map(|reply| (Owner::Reply, self.shown(reply))));
        let is_question = said.last().is_none_or(|(owner, _)| *owner == Owner::Turn(Role::User));
        let mut segments = Vec::new();
        let mut run = Run::default();
        run.push(Owner::Frame, ["BEGINNING OF CONVERSATION: ", "", ""]);
        for (owner, text) in &said {
            if *owner == Owner::Turn(Role::User) {
                run.push(*owner, ["USER: ", text, " "]);
                continue;
            }
            run.push(*owner, ["ASSISTANT:", text, ""]);
            segments.extend(run.take(self.vocabulary)?);
            if let (Some(eos), Some(last)) = (self.eos, segments.last_mut()) {
                last.tail.push(eos);
            }
        }
        if is_question {
            run.push(Owner::Frame, ["ASSISTANT:", "", ""]);
        }
        segments.extend(run.take(self.vocabulary)?);
        Ok(segments)
    }
}

/// Texts that are read as one.
#[derive(Default)]
struct Run<'t> {
    owners: Vec<Owner>,
    texts: Vec<&'t str>,
}

impl<'t> Run<'t> {
    fn push(&mut self, owner: Owner, texts: [&'t str; 3]) {
        self.owners.push(owner);
        self.texts.extend(texts);
    }

    /// The segments of what was pushed, which is then forgotten.
    fn take(&mut self, vocabulary: &Vocabulary) -> Result<Vec<Segment>, RenderError> {
        let mut tokens = vocabulary.tokens_of_each(&self.texts)?.into_iter();
        self.texts.clear();
        let mut next = || tokens.next().unwrap_or_default();
        let segment = |owner| {
            let mut segment = Segment::new(owner);
            (segment.lead, segment.body, segment.tail) = (next(), next(), next());
            segment
        };
        Ok(self.owners.drain(..).map(segment).collect())
    }
}
