//! The marks that a model's family puts around its input (`[CLS]`, `</s></s>`, a BOS,
//! none), found by asking the tokenizer's own post-processor, so that no family is
//! known by name. Two tokens that no vocabulary has stand in for the parts, since of
//! empty parts one could not see where between the marks they belong.

use tokenizers::{Encoding, Token, Tokenizer};

use super::error::RenderError;

/// The marks around one part and around two.
pub(super) struct Template {
    single: Shape,
    pair: Shape,
}

/// Token ids with their types.
#[derive(Default)]
struct Marks {
    ids: Vec<u32>,
    types: Vec<u32>,
}

/// Marks before, between and after parts, and the type of each part. Around one part
/// nothing stands between.
#[derive(Default)]
struct Shape {
    before: Marks,
    between: Marks,
    after: Marks,
    types: [u32; 2],
}

/// Ids above every vocabulary.
const PARTS: [u32; 2] = [u32::MAX - 1, u32::MAX];

impl Template {
    pub(super) fn of(tokenizer: &Tokenizer) -> Result<Self, RenderError> {
        let part = |number: usize| {
            let token = Token::new(PARTS[number], "part".to_owned(), (0, 4));
            Encoding::from_tokens(vec![token], number as u32)
        };
        let process = |second| {
            let done = tokenizer.post_process(part(0), second, true);
            done.map_err(|_| RenderError::Template { found: "an error" })
        };
        Ok(Self {
            single: Shape::of(&process(None)?, &PARTS[..1])?,
            pair: Shape::of(&process(Some(part(1)))?, &PARTS)?,
        })
    }

    /// How many marks stand around one part.
    pub(super) fn single_marks(&self) -> usize {
        self.single.len()
    }

    /// How many marks stand around two parts.
    pub(super) fn pair_marks(&self) -> usize {
        self.pair.len()
    }

    /// The ids and types of one part with its marks.
    pub(super) fn single(&self, part: &[u32]) -> (Vec<u32>, Vec<u32>) {
        self.single.around(part, &[])
    }

    /// The ids and types of two parts with their marks.
    pub(super) fn pair(&self, first: &[u32], second: &[u32]) -> (Vec<u32>, Vec<u32>) {
        self.pair.around(first, second)
    }
}

impl Shape {
    fn of(encoding: &Encoding, parts: &[u32]) -> Result<Self, RenderError> {
        let mut shape = Self::default();
        let mut seen = 0;
        for (&id, &kind) in encoding.get_ids().iter().zip(encoding.get_type_ids()) {
            if parts.get(seen) == Some(&id) {
                shape.types[seen] = kind;
                seen += 1;
                continue;
            }
            if PARTS.contains(&id) {
                return Err(RenderError::Template { found: "a part twice or in another order" });
            }
            let marks = match seen {
                0 => &mut shape.before,
                _ if seen < parts.len() => &mut shape.between,
                _ => &mut shape.after,
            };
            marks.ids.push(id);
            marks.types.push(kind);
        }
        if seen < parts.len() { Err(RenderError::Template { found: "no part" }) } else { Ok(shape) }
    }

    fn len(&self) -> usize {
        self.before.ids.len() + self.between.ids.len() + self.after.ids.len()
    }

    fn around(&self, first: &[u32], second: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let ids = [&self.before.ids, first, &self.between.ids, second, &self.after.ids].concat();
        let kinds = self.types.map(|kind| move |length: usize| vec![kind; length]);
        let (first, second) = (kinds[0](first.len()), kinds[1](second.len()));
        let types = [&self.before.types, &first[..], &self.between.types, &second, &self.after.types];
        (ids, types.concat())
    }
}
