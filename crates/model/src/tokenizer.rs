//! `WordPiece` tokens of a turn, in segments that the encoder can read whole.

use std::fmt;

use tokenizers::Tokenizer as Inner;

/// The most tokens of one segment, both marks included. Longer turns are read
/// as several segments, each scored on its own with the turns before it.
pub const SEGMENT_TOKENS: usize = 128;

/// The most segments of one turn; what comes after them is not read, and the
/// assessment says so. Sixteen segments hold about 1,500 English words.
pub const MAX_SEGMENTS: usize = 16;

/// The most characters of one word. `WordPiece` answers a longer one with a single
/// unknown token, so it counts as left out.
const WORD_CHARACTERS: usize = 100;

/// A turn as token numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    /// Each at most [`SEGMENT_TOKENS`] long, with opening and closing mark.
    /// Empty when the text holds nothing to read.
    pub segments: Vec<Vec<u32>>,
    /// Whether anything of the turn was left out.
    pub extent: Extent,
}

/// Whether a whole text was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Its end, or a word of endless length, was left out.
    Cut,
}

/// The tokenizer of a bundle.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Inner,
    open: u32,
    close: u32,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokenizer({} tokens)", self.inner.get_vocab_size(true))
    }
}

/// A tokenizer file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    /// The file is not a `tokenizer.json`.
    #[error("not a tokenizer.json: {0}")]
    Format(String),
    /// A mark that the encoder needs is missing.
    #[error("the tokenizer has no token `{0}`")]
    MissingToken(&'static str),
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// [`TokenizerError`] when the file is not one or lacks `[CLS]` or `[SEP]`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenizerError> {
        let mut inner = Inner::from_bytes(bytes).map_err(|e| TokenizerError::Format(e.to_string()))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|e| TokenizerError::Format(e.to_string()))?;
        let token = |name| inner.token_to_id(name).ok_or(TokenizerError::MissingToken(name));
        let (open, close) = (token("[CLS]")?, token("[SEP]")?);
        Ok(Self { inner, open, close })
    }

    /// The two marks with nothing between them.
    pub fn empty(&self) -> Vec<u32> {
        vec![self.open, self.close]
    }

    /// The text's tokens, cut into segments at token boundaries.
    pub fn segments(&self, text: &str) -> Segments {
        // WordPiece answers unreadable text with [UNK]; it does not fail. Were
        // it to, the turn would be reported as holding nothing to read.
        let tokens = self.inner.encode_fast(text, false).map(|e| e.get_ids().to_vec()).unwrap_or_default();
        let mut segments: Vec<Vec<u32>> = tokens
            .chunks(SEGMENT_TOKENS - 2)
            .map(|part| {
                let mut segment = Vec::with_capacity(part.len() + 2);
                segment.push(self.open);
                segment.extend_from_slice(part);
                segment.push(self.close);
                segment
            })
            .collect();
        let is_endless = |word: &str| word.chars().nth(WORD_CHARACTERS).is_some();
        let has_endless_word = text.split(|c: char| !c.is_alphanumeric()).any(is_endless);
        let cut = segments.len() > MAX_SEGMENTS || has_endless_word;
        let extent = if cut { Extent::Cut } else { Extent::Whole };
        segments.truncate(MAX_SEGMENTS);
        Segments { segments, extent }
    }
}
