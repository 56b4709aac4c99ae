//! Names on the hub: data sets, revisions, files and patterns of files. All of
//! them become paths and addresses, so each is checked before it is used.

use std::fmt::{self, Write as _};
use std::path::{Component, Path};
use std::str::FromStr;

use super::error::HubError;

/// `owner/name`, or the `name` of one of the hub's oldest sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetId(String);

impl DatasetId {
    /// The folder in the cache: `datasets--owner--name`.
    pub fn folder(&self) -> String {
        format!("datasets--{}", self.0.replace('/', "--"))
    }

    /// `owner/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatasetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DatasetId {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let id = text.strip_prefix("datasets/").unwrap_or(text);
        let good = id.split('/').count() <= 2 && id.len() <= 96 && id.split('/').all(is_plain);
        if good { Ok(Self(id.to_owned())) } else { Err(HubError::BadName { found: text.to_owned() }) }
    }
}

/// The hub's own rule: letters, digits, `-`, `_`, `.`; no `--` and no `..`.
fn is_plain(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: char| matches!(c, '-' | '.');
    !part.is_empty()
        && part.chars().all(allowed)
        && !part.starts_with(edge)
        && !part.ends_with(edge)
        && !part.contains("--")
        && !part.contains("..")
}

/// A branch, a tag or a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision(String);

impl Revision {
    /// As given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The commit, where this names one in full.
    pub(super) fn commit(&self) -> Option<&str> {
        is_commit(&self.0).then_some(self.0.as_str())
    }
}

impl Default for Revision {
    fn default() -> Self {
        Self("main".to_owned())
    }
}

impl FromStr for Revision {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let good = is_inside(text) && text.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if good { Ok(Self(text.to_owned())) } else { Err(HubError::BadRevision { found: text.to_owned() }) }
    }
}

/// Whether this is a commit's full name: 40 hexadecimal digits.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path stays below the folder that it is joined to.
pub(super) fn is_inside(path: &str) -> bool {
    let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
    !path.is_empty() && !path.contains(['\\', '\0']) && Path::new(path).components().all(normal)
}

/// A pattern of file names as in Python's `fnmatch`: `*` stands for any
/// characters, slashes too, and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Any text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// As given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a whole name matches. Takes at most pattern times name steps.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        // Where to go on after the last star: behind it, and one byte further.
        let mut star = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p + 1, n));
                    p += 1;
                }
                Some(b'?') => {
                    p += 1;
                    n += character_length(name, n);
                }
                Some(byte) if *byte == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((after, from)) = star else { return false };
                    star = Some((after, from + 1));
                    (p, n) = (after, from + 1);
                }
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

/// Bytes of the character at a position, so that `?` takes a whole one.
fn character_length(text: &[u8], at: usize) -> usize {
    let rest = text[at + 1..].iter();
    1 + rest.take_while(|byte| (0x80..0xc0).contains(*byte)).count()
}

/// Percent-encoding for a part of an address; `kept` names the reserved
/// characters that stay.
pub(super) fn encode(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-_.~".contains(c) || kept.contains(c) {
            encoded.push(c);
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_would_leave_the_cache_are_refused() {
        for bad in ["", "a/b/c", "../b", "a/..", "a/b c", "a--b/c", "/a", "a/", ".a/b", "a\\b"] {
            assert!(bad.parse::<DatasetId>().is_err(), "{bad}");
        }
        for bad in ["", "/etc", "../main", "a/../b", "a b", "a\\b"] {
            assert!(bad.parse::<Revision>().is_err(), "{bad}");
        }
        let id = "datasets/SungJoo/Cradle-Dialogue".parse::<DatasetId>().unwrap();
        assert_eq!(id.folder(), "datasets--SungJoo--Cradle-Dialogue");
        assert_eq!("refs/pr/1".parse::<Revision>().unwrap().as_str(), "refs/pr/1");
    }

    #[test]
    fn a_pattern_reads_as_fnmatch_does() {
        let cases = [
            ("*.parquet", "data/train.parquet", true),
            ("*.parquet", "data/train.parquet.md", false),
            ("data/*", "README.md", false),
            ("d?ta", "d\u{e9}ta", true),
            ("a*b*c", "aXbXbc", true),
            ("", "a", false),
            ("*", "", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} on {name}");
        }
    }

    /// The definition, by recursion.
    fn naive(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=name.len()).any(|skip| naive(rest, &name[skip..])),
            (Some((p, rest)), Some((n, others))) => (*p == '?' || p == n) && naive(rest, others),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_its_definition_matches(pattern in "[ab*?é]{0,7}", name in "[abé]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(Pattern::new(&pattern).matches(&name), naive(&chars(&pattern), &chars(&name)));
        }
    }

    #[test]
    fn addresses_keep_what_they_may() {
        assert_eq!(encode("data/a b[1]é.csv", "/"), "data/a%20b%5B1%5D%C3%A9.csv");
        assert_eq!(encode("refs/pr/1", ""), "refs%2Fpr%2F1");
    }
}
