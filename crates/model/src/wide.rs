//! The wide part of the model: linear logistic scores over words, word pairs
//! and letter groups. A small corpus teaches such a part things that a deep
//! encoder misses, and it costs microseconds.
//!
//! A feature's weight is found by its 32-bit hash. Each feature counts once per
//! text or conversation, weighted by its inverse document frequency, and the
//! whole is divided by its norm. For a conversation that grows, the state is one
//! number per output, one for the norm, and a bit map of [`SEEN_BITS`] bits that
//! says which features have counted; none of them grows with it. Two features
//! that share a bit count as one, which for 1,000 features costs 3 % of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Which features a table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alphabet {
    /// Words and pairs of neighbouring words.
    Words,
    /// These, and groups of three to five letters within a word.
    WordsAndLetters,
}

/// Who speaks the text that features are taken from. The same word said by the
/// person and by the listener are two features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The person.
    Person,
    /// The one who answers.
    Listener,
}

/// The hashes of a text's distinct features, ascending.
pub fn features(text: &str, speaker: Speaker, alphabet: Alphabet) -> Vec<u32> {
    let words = words(text);
    let mut found = BTreeSet::new();
    for word in &words {
        found.insert(hash(speaker, b'w', &[word]));
    }
    for pair in words.windows(2) {
        found.insert(hash(speaker, b'p', &[&pair[0], " ", &pair[1]]));
    }
    if alphabet == Alphabet::WordsAndLetters {
        for word in &words {
            letter_groups(word, |group| {
                found.insert(hash(speaker, b'c', &[group]));
            });
        }
    }
    found.into_iter().collect()
}

/// Lower-case words and single other signs; typographic apostrophes become plain.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut inside = false;
    for c in text.chars() {
        let c = if c == '\u{2019}' { '\'' } else { c };
        let continues = c.is_alphanumeric() || c == '_';
        if c.is_whitespace() {
            inside = false;
        } else if continues && inside {
            if let Some(word) = words.last_mut() {
                word.extend(c.to_lowercase());
            }
        } else {
            words.push(c.to_lowercase().collect());
            inside = continues;
        }
    }
    words
}

/// All groups of three to five characters of a word with its two borders.
fn letter_groups(word: &str, mut visit: impl FnMut(&str)) {
    let framed = format!(" {word} ");
    let mut bounds: Vec<usize> = framed.char_indices().map(|(i, _)| i).collect();
    bounds.push(framed.len());
    for size in 3..=5 {
        for window in bounds.windows(size + 1) {
            visit(&framed[window[0]..window[size]]);
        }
    }
}

/// FNV-1a over the parts, folded to 32 bits.
fn hash(speaker: Speaker, kind: u8, parts: &[&str]) -> u32 {
    let start = match speaker {
        Speaker::Person => b'U',
        Speaker::Listener => b'L',
    };
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |byte: u8| state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    mix(start);
    mix(kind);
    for part in parts {
        part.bytes().for_each(&mut mix);
    }
    ((state >> 32) ^ state) as u32
}

/// Weights of known features for several outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct WideTable {
    /// Which features are looked up.
    pub alphabet: Alphabet,
    /// Hashes of the known features, ascending.
    pub hashes: Vec<u32>,
    /// Inverse document frequency of each.
    pub idf: Vec<f32>,
    /// features x outputs.
    pub weights: Vec<f32>,
    /// One per output.
    pub bias: Vec<f32>,
}

/// Size of the map of features that have counted: 4 KB.
pub const SEEN_BITS: usize = 1 << 15;

/// Which features of a conversation have counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeenFeatures {
    words: Vec<u64>,
}

impl SeenFeatures {
    /// None yet.
    pub fn empty() -> Self {
        Self { words: vec![0; SEEN_BITS / 64] }
    }

    /// Notes a feature; whether it is new.
    pub fn insert(&mut self, hash: u32) -> bool {
        let bit = hash as usize % SEEN_BITS;
        // A state from outside may hold fewer words; what is not there was seen.
        let Some(word) = self.words.get_mut(bit / 64) else { return false };
        let mask = 1 << (bit % 64);
        let is_new = *word & mask == 0;
        *word |= mask;
        is_new
    }
}

/// A weighted sum of features and the square of their norm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WideSum {
    /// One per output.
    pub sums: Vec<f32>,
    /// Sum of squared inverse document frequencies.
    pub squares: f32,
}

impl WideSum {
    /// Nothing seen yet.
    pub fn empty(outputs: usize) -> Self {
        Self { sums: vec![0.0; outputs], squares: 0.0 }
    }

    /// Adds another sum.
    pub fn add(&mut self, other: &Self) {
        for (sum, x) in self.sums.iter_mut().zip(&other.sums) {
            *sum += x;
        }
        self.squares += other.squares;
    }
}

impl WideTable {
    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// The known features among `hashes`, as row numbers of the table.
    pub fn rows<'a>(&'a self, hashes: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
        hashes.iter().filter_map(|hash| self.hashes.binary_search(hash).ok())
    }

    /// The contribution of one text.
    pub fn sum(&self, hashes: &[u32]) -> WideSum {
        let mut result = WideSum::empty(self.outputs());
        for row in self.rows(hashes) {
            let idf = self.idf[row];
            result.squares += idf * idf;
            for (sum, w) in result.sums.iter_mut().zip(&self.weights[row * self.outputs()..]) {
                *sum += idf * w;
            }
        }
        result
    }

    /// The logits of a sum: normalised, with the bias added.
    pub fn logits(&self, sum: &WideSum) -> Vec<f32> {
        let inverse = if sum.squares > 0.0 { 1.0 / sum.squares.sqrt() } else { 0.0 };
        sum.sums.iter().zip(&self.bias).map(|(s, b)| s * inverse + b).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lower_case_and_signs_stand_alone() {
        assert_eq!(words("J\u{2019}ai DIT: non!!"), ["j", "'", "ai", "dit", ":", "non", "!", "!"]);
    }

    #[test]
    fn the_same_word_of_person_and_listener_are_two_features() {
        let person = features("alone", Speaker::Person, Alphabet::Words);
        let listener = features("alone", Speaker::Listener, Alphabet::Words);
        assert_ne!(person, listener);
    }

    #[test]
    fn letter_groups_respect_character_borders() {
        let mut groups = Vec::new();
        letter_groups("\u{e9}t\u{e9}", |g| groups.push(g.to_owned()));
        assert_eq!(
            groups,
            [" \u{e9}t", "\u{e9}t\u{e9}", "t\u{e9} ", " \u{e9}t\u{e9}", "\u{e9}t\u{e9} ", " \u{e9}t\u{e9} "]
        );
    }
}
