//! A text as what its copies have in common. Copies differ in case, punctuation,
//! width of characters, the spelling of accents in Unicode and the marks of
//! speakers; none of these reaches a fingerprint. Hashes are the same on every
//! machine and in every version.

use std::fmt::Write as _;

use unicode_normalization::UnicodeNormalization as _;

/// Tokens in a shingle. Three words, or three characters of a script that does
/// not separate its words.
const SHINGLE: usize = 3;

/// Who a line may begin with, before a colon or inside of brackets.
const SPEAKERS: [&str; 19] = [
    "user",
    "assistant",
    "system",
    "person",
    "listener",
    "seeker",
    "supporter",
    "support",
    "helper",
    "client",
    "counsellor",
    "counselor",
    "therapist",
    "patient",
    "human",
    "bot",
    "ai",
    "speaker",
    "usr",
];

/// FNV-1a over the bytes, then the finalizer of `SplitMix64`, since FNV alone
/// leaves the high bits of short texts alike.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let fold = |state: u64, byte: &u8| (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014): a bijection in
/// which each bit of the input moves half of the output's.
pub(crate) const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Bytes as hexadecimal digits, as digests of files are written.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Hashes of a text's tokens, in order: its words in lower case, and each
/// character of the scripts that do not separate words.
pub(crate) fn tokens(text: &str) -> Vec<u64> {
    let mut hashes = Vec::new();
    each_token(text, &mut |token| hashes.push(hash(token.as_bytes())));
    hashes
}

/// The set of a text's shingles, sorted. A text of fewer than three tokens is one
/// shingle. Two different shingles of a pair of texts share a hash with a
/// chance below the product of their numbers over 2^32.
pub(crate) fn shingles(tokens: &[u64]) -> Vec<u32> {
    let join = |window: &[u64]| window.iter().fold(0, |state, token| mix(state ^ token)) as u32;
    let mut set = match tokens.len() {
        0 => Vec::new(),
        1..SHINGLE => vec![join(tokens)],
        _ => tokens.windows(SHINGLE).map(join).collect(),
    };
    set.sort_unstable();
    set.dedup();
    set
}

/// Size of the intersection over size of the union, of sorted sets without
/// repetitions (Jaccard 1901). Two empty sets share nothing: 0.
pub(crate) fn jaccard(a: &[u32], b: &[u32]) -> f64 {
    let (mut i, mut j, mut shared) = (0, 0, 0_usize);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                (i, j, shared) = (i + 1, j + 1, shared + 1);
            }
        }
    }
    let union = a.len() + b.len() - shared;
    if union == 0 { 0.0 } else { shared as f64 / union as f64 }
}

fn each_token(text: &str, sink: &mut dyn FnMut(&str)) {
    for line in text.lines() {
        if line.is_ascii() {
            tokens_of_line(&line.to_ascii_lowercase(), sink);
        } else {
            tokens_of_line(&fold(line), sink);
        }
    }
}

/// One form for full and half width, composed and decomposed, upper and lower.
fn fold(line: &str) -> String {
    let lower = line.nfkc().flat_map(char::to_lowercase);
    lower.map(|c| if matches!(c, '\u{2019}' | '\u{02bc}') { '\'' } else { c }).collect()
}

fn tokens_of_line(line: &str, sink: &mut dyn FnMut(&str)) {
    let mut start = None;
    let mut first = true;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        let joins = (c.is_alphanumeric() || c == '\'') && !stands_alone(c);
        if joins {
            start.get_or_insert(at);
            continue;
        }
        if let Some(from) = start.take() {
            let word = line[from..at].trim_matches('\'');
            if !word.is_empty() && !is_mark(&line[..from], word, &line[at..], first) {
                sink(word);
            }
            first &= word.is_empty();
        }
        if stands_alone(c) && c.is_alphanumeric() {
            sink(&line[at..at + c.len_utf8()]);
            first = false;
        }
    }
}

/// Whether a word only says who speaks: `user:` and `**user:**` before a line,
/// `[seeker]` anywhere.
fn is_mark(before: &str, word: &str, after: &str, first: bool) -> bool {
    let in_brackets = before.ends_with('[') && after.starts_with(']');
    let opens = first && after.trim_start_matches(['*', '_', ' ']).starts_with(':');
    (in_brackets || opens) && SPEAKERS.contains(&word)
}

/// Whether a character belongs to a script without spaces between words: Han,
/// Kana, Thai, Lao, Khmer, Burmese.
const fn stands_alone(c: char) -> bool {
    matches!(c as u32,
        0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x2E80..=0x9FFF | 0xF900..=0xFAFF | 0x2_0000..=0x3_FFFF)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_token(text, &mut |token| words.push(token.to_owned()));
        words
    }

    #[test]
    fn case_punctuation_width_and_accents_do_not_count() {
        let plain = words("I can't sleep, d\u{e9}j\u{e0} 3 AM");
        assert_eq!(plain, ["i", "can't", "sleep", "d\u{e9}j\u{e0}", "3", "am"]);
        assert_eq!(words("\u{ff29} CAN\u{2019}T  sleep!! de\u{301}ja\u{300} (\u{ff13} am)"), plain);
    }

    #[test]
    fn marks_of_speakers_do_not_count_but_their_words_do() {
        let plain = words("hello\nmy therapist: she left");
        assert_eq!(words("**User:** hello\n[seeker] my therapist: she left"), plain);
        assert_eq!(words("USER\u{ff1a}hello\nPerson : my therapist: she left"), plain);
        assert_eq!(words("the user: hello"), ["the", "user", "hello"]);
    }

    #[test]
    fn scripts_without_spaces_are_read_by_character() {
        assert_eq!(
            words("[seeker]\u{6211}\u{5f88}\u{7d2f}\u{3002}ok"),
            ["\u{6211}", "\u{5f88}", "\u{7d2f}", "ok"]
        );
    }

    /// So that a file compared last year gives the same hashes today.
    #[test]
    fn hashes_do_not_change() {
        assert_eq!(hash(b""), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(hash(b"a"), mix(0xaf63_dc4c_8601_ec8c), "FNV-1a of \"a\" as its authors publish it");
        // The first output of SplitMix64 with seed 0 is the mix of its increment.
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
    }

    proptest! {
        #[test]
        fn jaccard_is_what_sets_say(
            a in prop::collection::btree_set(0..30_u32, 0..20),
            b in prop::collection::btree_set(0..30_u32, 0..20),
        ) {
            let list = |set: &BTreeSet<u32>| set.iter().copied().collect::<Vec<_>>();
            let union = a.union(&b).count();
            let naive = if union == 0 { 0.0 } else { a.intersection(&b).count() as f64 / union as f64 };
            prop_assert!((jaccard(&list(&a), &list(&b)) - naive).abs() < 1e-12);
        }

        #[test]
        fn no_text_breaks_it_and_case_and_punctuation_change_nothing(text in "\\PC{0,60}") {
            let set = shingles(&tokens(&text));
            prop_assert!(set.is_sorted_by(|a, b| a < b));
            prop_assert_eq!(set, shingles(&tokens(&format!("  {text} \u{2026}"))));
        }
    }
}
