//! What can be wrong with a tokenizer, its configuration, or a text for it. No error
//! holds what somebody wrote.

/// Why a renderer cannot be made, or an input not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The file is not a `tokenizer.json`.
    #[error("found {found}, expected a tokenizer.json")]
    Format {
        /// What is wrong with it.
        found: String,
    },
    /// A tag cannot be a token.
    #[error("speaker tag: found {found}, expected two different tags without spaces at their ends")]
    Tag {
        /// What was given.
        found: String,
    },
    /// The vocabulary lacks a token that the configuration names.
    #[error("eos: found no token `{token}` in the vocabulary of {size}, expected one of its tokens")]
    MissingToken {
        /// The token.
        token: String,
        /// The size of the vocabulary.
        size: usize,
    },
    /// The layout names the speakers itself.
    #[error("speakers: found tags or words, expected none: the layout safe_rlhf names the speakers itself")]
    SpeakersNamedTwice,
    /// Not even an empty input fits.
    #[error("max_tokens: found {found}, expected at least {needed}, for what stands around the text")]
    TooShort {
        /// The configured length.
        found: usize,
        /// The shortest possible one.
        needed: usize,
    },
    /// The post-processor changes or drops what stands between its marks.
    #[error("the post-processor gave {found}, expected each part once and in order")]
    Template {
        /// What came out of it.
        found: &'static str,
    },
    /// The tokenizer refused a text.
    #[error("the tokenizer refused a text of {characters} characters")]
    Text {
        /// Its length.
        characters: usize,
    },
}
