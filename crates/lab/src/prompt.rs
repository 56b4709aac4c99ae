//! The prompts of the four protocols: files with a version, filled with the
//! taxonomies' own definitions. A prompt's hash is of what a model is told
//! before any item is put in, so a changed definition is a changed prompt.

use std::fmt::Write as _;

use mindrail_core::digest::sha256;
use mindrail_core::taxonomy::Taxonomy;

/// A prompt with its definitions filled in and its items still open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The protocol that it serves.
    pub name: &'static str,
    /// Its version, from its first line.
    pub version: u32,
    /// SHA-256 of the text with definitions.
    pub sha256: String,
    text: String,
}

/// The prompt files, by protocol.
const FILES: [(&str, &str); 4] = [
    ("crisis", include_str!("../prompts/crisis.md")),
    ("distress", include_str!("../prompts/distress.md")),
    ("harm", include_str!("../prompts/harm.md")),
    ("reply", include_str!("../prompts/reply.md")),
];

impl Prompt {
    /// The prompt of a protocol, with `fixed` places filled in.
    ///
    /// # Panics
    /// When there is no prompt of this name or its first line has no version,
    /// which a test excludes.
    pub fn of(protocol: &str, fixed: &[(&str, &str)]) -> Self {
        let (name, file) =
            FILES.iter().find(|(name, _)| *name == protocol).expect("each protocol has a prompt");
        let (first, rest) = file.split_once('\n').expect("a prompt has more than one line");
        let version = first.strip_prefix("version: ").and_then(|number| number.parse().ok());
        let text = fill(rest.trim_start_matches('\n'), fixed);
        let version = version.expect("a prompt's first line is its version");
        Self { name, version, sha256: sha256(text.as_bytes()), text }
    }

    /// The prompt with an item's places filled in. Places are filled in one pass,
    /// so that braces in a conversation stay what they are.
    pub fn render(&self, places: &[(&str, &str)]) -> String {
        fill(&self.text, places).trim_end().to_owned()
    }
}

/// Replaces `{{name}}` for each of `places`, from left to right, once.
fn fill(text: &str, places: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("{{") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let place = from[2..].split_once("}}");
        let value = place.and_then(|(name, _)| places.iter().find(|(key, _)| *key == name));
        if let (Some((_, after)), Some((_, value))) = (place, value) {
            out.push_str(value);
            rest = after;
        } else {
            out.push_str("{{");
            rest = &from[2..];
        }
    }
    out + rest
}

/// One line for each label: its name, definition and boundary.
pub fn definitions<T: Taxonomy>(labels: impl IntoIterator<Item = T>) -> String {
    labels.into_iter().fold(String::new(), |mut lines, label| {
        let entry = label.entry();
        let _ = writeln!(lines, "- {}: {} {}", entry.wire, entry.definition, entry.boundary);
        lines
    })
}

/// The wire names of labels, in quotes, with commas.
pub fn names<T: Taxonomy>(labels: impl IntoIterator<Item = T>) -> String {
    let quoted: Vec<String> = labels.into_iter().map(|label| format!("\"{}\"", label.wire())).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use mindrail_core::taxonomy::Signal;

    use super::*;

    #[test]
    fn every_protocol_has_a_prompt_with_a_version() {
        for (name, _) in FILES {
            assert!(Prompt::of(name, &[]).version >= 1);
        }
    }

    #[test]
    fn a_changed_definition_is_another_prompt() {
        let one = Prompt::of("distress", &[("definitions", "a")]);
        let other = Prompt::of("distress", &[("definitions", "b")]);
        assert_ne!(one.sha256, other.sha256);
        let signals = definitions(Signal::ALL.iter().copied());
        assert_eq!(signals.lines().count(), 9);
    }

    #[test]
    fn what_a_person_writes_in_braces_stays_theirs() {
        let prompt = Prompt::of("reply", &[("definitions", "-"), ("names", "-"), ("examples", "")]);
        let text = prompt.render(&[("context", "{{response}} {{x"), ("response", "yes")]);
        assert!(text.contains("Context: {{response}} {{x\nResponse: yes\nLabel:"), "{text}");
        assert!(text.ends_with("Label:"));
    }
}
