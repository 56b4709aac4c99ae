//! From an input to the token ids that a model reads. A [`Renderer`] is a hub model's
//! tokenizer with an [`InputConfig`]; it says exactly what it had to cut, and no text
//! of a person can become a special token. Turns are read into tokens one by one and
//! put together here, so that the marks of the model's family, speakers and cuts are
//! the same in training and serving.

mod config;
mod error;
mod layout;
mod tags;
mod template;
#[cfg(test)]
mod tests;
mod truncation;
mod vocabulary;

use mindrail_core::conversation::{Role, Turn};
use serde_json::Value;
use tokenizers::Tokenizer;

pub use self::config::{InputConfig, Layout, Speakers, TextForm, Truncation};
pub use self::error::RenderError;
pub use self::truncation::{Cut, Kept};

use self::layout::{LayoutWriter, Parts, Segment, SpeakerMarks};
use self::template::Template;
use self::vocabulary::Vocabulary;
use crate::rows::Input;

/// A sequence as a model reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The tokens.
    pub ids: Vec<u32>,
    /// The type of each token: which part of a pair it is of, where the model's family
    /// has types, else 0.
    pub types: Vec<u32>,
    /// What was left out.
    pub cut: Cut,
}

/// A tokenizer with a configuration.
pub struct Renderer {
    config: InputConfig,
    vocabulary: Vocabulary,
    template: Template,
    speakers: SpeakerMarks,
    eos: Option<u32>,
}

impl std::fmt::Debug for Renderer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Renderer({} tokens, {:?})", self.vocabulary_size(), self.config)
    }
}

impl Renderer {
    /// Takes the bytes of a `tokenizer.json`, that of the hub or one that was saved by
    /// [`Renderer::to_json`].
    ///
    /// # Errors
    /// [`RenderError`], where the file is none, or the configuration asks for what it
    /// does not have or for too short a sequence.
    pub fn new(tokenizer: &[u8], config: InputConfig) -> Result<Self, RenderError> {
        if config.layout == Layout::SafeRlhf && config.speakers != Speakers::None {
            return Err(RenderError::SpeakersNamedTwice);
        }
        let mut file: Value = serde_json::from_slice(tokenizer).map_err(format_error)?;
        if let Speakers::Special { user, assistant } = &config.speakers {
            tags::add_tags(&mut file, [user, assistant])?;
        }
        let tokenizer = load(&file)?;
        let unknown = unknown_token(&file);
        let renderer = Self {
            template: Template::of(&tokenizer)?,
            speakers: speaker_marks(&tokenizer, &config.speakers)?,
            eos: config.eos.as_deref().map(|eos| eos_of(&tokenizer, eos)).transpose()?,
            vocabulary: Vocabulary::new(tokenizer, unknown),
            config,
        };
        renderer.check_length()?;
        Ok(renderer)
    }

    /// The configuration.
    pub const fn config(&self) -> &InputConfig {
        &self.config
    }

    /// How many rows an embedding must have at least: the highest id and one more. A
    /// tag that found no free slot has an id above those of the hub's file.
    pub fn vocabulary_size(&self) -> usize {
        size_of(self.vocabulary.tokenizer())
    }

    /// The tokenizer file to be saved beside the model, with the speaker tags in it.
    /// Read again with the same configuration, it gives the same ids.
    ///
    /// # Errors
    /// [`RenderError::Format`] if the tokenizer cannot be written down.
    pub fn to_json(&self) -> Result<String, RenderError> {
        let json = self.vocabulary.tokenizer().to_string(false);
        json.map_err(|error| RenderError::Format { found: error.to_string() })
    }

    /// Renders an input.
    ///
    /// # Errors
    /// [`RenderError::Text`] if the tokenizer refuses a text; those that can read any
    /// text do not.
    pub fn render(&self, input: &Input) -> Result<Encoded, RenderError> {
        let mut parts = self.parts(input)?;
        let cut =
            parts.cut(self.config.truncation, self.config.max_tokens.saturating_sub(self.marks(&parts)));
        let (ids, types) = self.assembled(&parts);
        Ok(Encoded { ids, types, cut })
    }

    fn parts(&self, input: &Input) -> Result<Parts, RenderError> {
        let Self { config, vocabulary, speakers, eos, .. } = self;
        LayoutWriter { config, vocabulary, speakers, eos: *eos }.parts(input)
    }

    fn marks(&self, parts: &Parts) -> usize {
        if parts.second.is_some() { self.template.pair_marks() } else { self.template.single_marks() }
    }

    fn assembled(&self, parts: &Parts) -> (Vec<u32>, Vec<u32>) {
        match &parts.second {
            Some(second) => self.template.pair(&ids_of(&parts.first), &ids_of(second)),
            None => self.template.single(&ids_of(&parts.first)),
        }
    }

    /// An exchange of empty texts must fit, with a token of text on either side.
    fn check_length(&self) -> Result<(), RenderError> {
        const TEXT: usize = 2;
        let question = Turn { role: Role::User, text: String::new() };
        let (ids, _) = self.assembled(&self.parts(&Input::reply(&[question], ""))?);
        let (found, needed) = (self.config.max_tokens, ids.len() + TEXT);
        if found < needed { Err(RenderError::TooShort { found, needed }) } else { Ok(()) }
    }
}

fn ids_of(segments: &[Segment]) -> Vec<u32> {
    segments
        .iter()
        .flat_map(|segment| [&segment.lead, &segment.body, &segment.tail])
        .flatten()
        .copied()
        .collect()
}

#[expect(clippy::needless_pass_by_value, reason = "errors are passed as they come from map_err")]
fn format_error(error: impl ToString) -> RenderError {
    RenderError::Format { found: error.to_string() }
}

fn load(file: &Value) -> Result<Tokenizer, RenderError> {
    let bytes = serde_json::to_vec(file).map_err(format_error)?;
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(format_error)?;
    // A file may ask for both; here the configuration alone says what is cut, and
    // batches are filled up where they are made.
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(format_error)?;
    Ok(tokenizer)
}

/// The model's token for what it cannot read, by name, or of Unigram by number.
fn unknown_token(file: &Value) -> Option<u32> {
    let model = &file["model"];
    let by_name = model["unk_token"].as_str().and_then(|name| tags::id_in_model(file, name));
    by_name.or_else(|| model["unk_id"].as_u64()).and_then(|id| u32::try_from(id).ok())
}

fn size_of(tokenizer: &Tokenizer) -> usize {
    tokenizer.get_vocab(true).values().max().map_or(0, |&id| id as usize + 1)
}

fn eos_of(tokenizer: &Tokenizer, eos: &str) -> Result<u32, RenderError> {
    let missing = || RenderError::MissingToken { token: eos.to_owned(), size: size_of(tokenizer) };
    tokenizer.token_to_id(eos).ok_or_else(missing)
}

fn speaker_marks(tokenizer: &Tokenizer, speakers: &Speakers) -> Result<SpeakerMarks, RenderError> {
    let tag = |tag: &str| {
        let found = || RenderError::Tag { found: "a tag that the tokenizer did not take".to_owned() };
        tokenizer.token_to_id(tag).ok_or_else(found)
    };
    Ok(match speakers {
        Speakers::Special { user, assistant } => {
            SpeakerMarks::Tags { user: tag(user)?, assistant: tag(assistant)? }
        }
        Speakers::Words { user, assistant } => {
            SpeakerMarks::Words { user: user.clone(), assistant: assistant.clone() }
        }
        Speakers::None => SpeakerMarks::None,
    })
}
