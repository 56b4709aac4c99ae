//! Text to tokens, such that no text of a person can become a special token. A text
//! may hold `[seeker]`, `<|endoftext|>` or `</s>`, by accident or to speak as somebody
//! else; it is read as the characters that it is made of.
//!
//! The tokenizer is told to split special tokens that stand in text. That is not enough
//! for vocabularies that hold them as pieces (a Unigram lattice finds `</s>` among its
//! pieces), so what comes out is checked too, and a text in which a special token has
//! come out is read again in pieces, with a seam inside each.

use std::collections::HashSet;

use tokenizers::Tokenizer;

use super::error::RenderError;

/// A tokenizer with what is special in it.
pub(super) struct Vocabulary {
    tokenizer: Tokenizer,
    /// Without the unknown token, which text may become.
    special: HashSet<u32>,
    unknown: Option<u32>,
}

/// A token and the bytes of the text that it stands for.
#[derive(Debug, Clone, Copy)]
struct Piece {
    id: u32,
    start: usize,
    end: usize,
}

impl Vocabulary {
    /// Takes a tokenizer; `unknown` is the model's token for what it cannot read.
    pub(super) fn new(mut tokenizer: Tokenizer, unknown: Option<u32>) -> Self {
        tokenizer.set_encode_special_tokens(true);
        let added = tokenizer.get_added_tokens_decoder();
        let special = added.iter().filter(|(id, token)| token.special && Some(**id) != unknown);
        let special = special.map(|(&id, _)| id).collect();
        Self { tokenizer, special, unknown }
    }

    pub(super) const fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Reads texts that stand one after another as one text, and gives the tokens of
    /// each. A token that stands for the end of one and the beginning of the next is
    /// the next one's.
    pub(super) fn tokens_of<const N: usize>(&self, texts: [&str; N]) -> Result<[Vec<u32>; N], RenderError> {
        let mut all = self.tokens_of_each(&texts)?.into_iter();
        Ok([(); N].map(|()| all.next().unwrap_or_default()))
    }

    /// As [`Self::tokens_of`], of any number.
    pub(super) fn tokens_of_each(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, RenderError> {
        let mut ends = Vec::with_capacity(texts.len());
        texts.iter().fold(0, |start, text| {
            ends.push(start + text.len());
            start + text.len()
        });
        let mut tokens = vec![Vec::new(); texts.len()];
        let mut at = 0;
        for piece in self.pieces(&texts.concat())? {
            // The text of the piece's last byte. Tokens stay in their order, whatever
            // the tokenizer says of their places.
            let last = piece.end.max(piece.start + 1);
            while at + 1 < texts.len() && ends[at] < last {
                at += 1;
            }
            tokens[at].push(piece.id);
        }
        Ok(tokens)
    }

    fn pieces(&self, text: &str) -> Result<Vec<Piece>, RenderError> {
        let whole = self.encode(text, 0)?;
        if whole.iter().all(|piece| self.is_text(piece)) {
            return Ok(whole);
        }
        let mut pieces = Vec::with_capacity(whole.len());
        let mut from = 0;
        for to in self.seams(&whole, text).into_iter().chain([text.len()]) {
            pieces.extend(self.encode(&text[from..to], from)?);
            from = to;
        }
        Ok(pieces.into_iter().filter_map(|piece| self.as_text(piece)).collect())
    }

    /// Places after the first character of each special token that came out of text.
    fn seams(&self, pieces: &[Piece], text: &str) -> Vec<usize> {
        let seam = |piece: &Piece| {
            let first = text.get(piece.start..)?.chars().next()?;
            Some(piece.start + first.len_utf8())
        };
        let mut seams: Vec<usize> =
            pieces.iter().filter(|piece| !self.is_text(piece)).filter_map(seam).collect();
        seams.sort_unstable();
        seams
    }

    fn is_text(&self, piece: &Piece) -> bool {
        !self.special.contains(&piece.id)
    }

    /// A special token that came out of text even in pieces, as one of a single
    /// character may, cannot be read.
    fn as_text(&self, piece: Piece) -> Option<Piece> {
        if self.is_text(&piece) { Some(piece) } else { self.unknown.map(|id| Piece { id, ..piece }) }
    }

    fn encode(&self, text: &str, from: usize) -> Result<Vec<Piece>, RenderError> {
        let refused = |_| RenderError::Text { characters: text.chars().count() };
        let encoding = self.tokenizer.encode(text, false).map_err(refused)?;
        let tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(tokens.map(|(&id, (start, end))| Piece { id, start: from + start, end: from + end }).collect())
    }
}
