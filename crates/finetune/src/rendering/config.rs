//! How an input becomes a sequence of tokens, as a recipe states it. It is stored with
//! the model, so that what is trained on and what is served are rendered alike.

use serde::{Deserialize, Serialize};

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputConfig {
    /// How turns and reply are laid out.
    pub layout: Layout,
    /// How it is said who speaks.
    pub speakers: Speakers,
    /// The most tokens of a sequence, the marks of the model's family included.
    pub max_tokens: usize,
    /// What is cut where there are more.
    pub truncation: Truncation,
    /// Which form of the text a model sees.
    pub text: TextForm,
    /// A token of the vocabulary that ends things: every assistant turn and the reply
    /// in [`Layout::SafeRlhf`], the conversation or context in the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eos: Option<String>,
}

/// How turns and reply are laid out. Turns of the system are instructions to the
/// assistant and are left out of every layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// All turns, then the reply if there is one, as one sequence.
    Transcript,
    /// The turns as first part and the reply as second, by the pair template of the
    /// model's family. Without a reply as [`Layout::Transcript`].
    Pair,
    /// The template of safe-rlhf: `BEGINNING OF CONVERSATION: USER: {q}
    /// ASSISTANT:{answer}{eos}`, for several turns `USER:` and `ASSISTANT:` again. It
    /// names the speakers itself.
    SafeRlhf,
}

/// How it is said who speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Speakers {
    /// By a special token of the vocabulary before each turn, which no text can
    /// contain. A free slot of the vocabulary is renamed, or a token added.
    Special {
        /// The tag of the person.
        user: String,
        /// The tag of the assistant.
        assistant: String,
    },
    /// By a word, a colon and a space before each turn, and a line break after it. In
    /// [`TextForm::Plain`] a turn is one line, so that no text can speak for another.
    Words {
        /// The word for the person.
        user: String,
        /// The word for the assistant.
        assistant: String,
    },
    /// Not at all; turns are lines.
    None,
}

impl Speakers {
    /// The tags of the published DialogueSafety recipe.
    pub fn tags() -> Self {
        Self::Special { user: "[seeker]".to_owned(), assistant: "[supporter]".to_owned() }
    }

    /// `User:` and `Assistant:`.
    pub fn words() -> Self {
        Self::Words { user: "User".to_owned(), assistant: "Assistant".to_owned() }
    }
}

/// What is cut where a sequence is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// Whole turns, the oldest first, then the beginning of the oldest kept one. The
    /// newest user turn loses its beginning only when no other turn is left, the reply
    /// its end only after that, and a quarter of the length is left to the end of the
    /// newest user turn.
    NewestTurns,
    /// Tokens at the left, as KHP's recipe.
    Left,
    /// Tokens at the right, as safe-rlhf.
    Right,
    /// The published DialogueSafety rule, kept to reproduce it: tokens at the right of
    /// the longer part, of two equal ones the second. It cuts the newest turn. Where
    /// there is one part, as [`Truncation::Right`].
    LongestFirst,
}

/// Which form of the text a model sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextForm {
    /// Without what betrays the generator of a text: [`mindrail_core::reader::plain_text`].
    Plain,
    /// As it stands, as published recipes show it.
    Raw,
}
