//! From the files of the data sets to what a model is trained on: [`read`] turns rows
//! into [`Example`]s, each an input with what is so by task, and [`split`] keeps some
//! of them apart without tearing a family in two. Every published set has its own
//! file here that says what its rows ask. Text stays as it stands in the file; what a
//! model may see of it is the concern of [`crate::rendering`].

mod corpus;
mod crisis;
mod distress;
mod harm;
mod mersenne;
mod read;
mod reply;
mod split;
mod task;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use mindrail_core::conversation::{Role, Turn};
use mindrail_core::language::{Language, LanguageCounts};
use mindrail_core::reader::plain_text;

pub use self::read::{
    Examples, MissingSignals, ReadOptions, RowsError, Transcripts, read, read_all, read_parts, tasks_of,
};
pub use self::split::{SplitBy, SplitError, split};
pub use self::task::{Target, Task, TaskKind};

/// What a model is asked about, with what is so.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Its name, as `mindrail bench` names the same thing: the row's own or `row-N`
    /// or `dialogue-N`, then `:4` for turn 4, `:4+0` for another reply to it, and
    /// `:0` or `:1` for one reply of a pair. With several files, each name begins with
    /// the file's and a colon.
    pub id: String,
    /// Its family: rewrites of one parent, turns of one dialogue, answers to one
    /// prompt. Examples of one family must not be on both sides of a split.
    pub family: String,
    /// Language of the user turns, told as the running guard tells it.
    pub language: Language,
    /// One; two where replies are compared.
    pub inputs: Vec<Input>,
    /// What is so, by task; never empty.
    pub targets: BTreeMap<Task, Target>,
}

/// What a model sees of an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The conversation so far, oldest turn first.
    pub turns: Vec<Turn>,
    /// The reply that is judged, said after the turns.
    pub reply: Option<String>,
}

impl Input {
    /// A conversation that is judged itself.
    pub const fn conversation(turns: Vec<Turn>) -> Self {
        Self { turns, reply: None }
    }

    /// A reply that is judged after some turns.
    pub fn reply(turns: &[Turn], reply: &str) -> Self {
        Self { turns: turns.to_vec(), reply: Some(reply.to_owned()) }
    }

    /// The language of the user turns, read as serving reads it, since thresholds are
    /// chosen by it. A label of the file could not be had there.
    pub fn language(&self) -> Language {
        let mut counts = LanguageCounts::default();
        for turn in self.turns.iter().filter(|turn| turn.role == Role::User) {
            counts.read(&plain_text(&turn.text));
        }
        counts.language()
    }
}

/// An example before it has a name and a family.
struct Draft {
    /// What follows the row's name in the example's; empty where it is the row.
    part: String,
    inputs: Vec<Input>,
    targets: BTreeMap<Task, Target>,
}

impl Draft {
    fn new(part: impl Into<String>, inputs: impl Into<Vec<Input>>) -> Self {
        Self { part: part.into(), inputs: inputs.into(), targets: BTreeMap::new() }
    }

    fn with(mut self, task: Task, target: Target) -> Self {
        self.targets.insert(task, target);
        self
    }

    fn with_any(self, task: Task, target: Option<Target>) -> Self {
        match target {
            Some(target) => self.with(task, target),
            None => self,
        }
    }
}
