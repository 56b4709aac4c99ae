//! Marks: what a transcript writes before somebody's words to say whose they
//! are. A mark is recognised by its form; who the name stands for is decided by
//! [`super::cast`].

use super::cast::known_role;
use crate::conversation::Role;

/// The most characters of a name that marks a speaker.
const NAME_CHARACTERS: usize = 32;
/// The most characters of a sender's name in a chat export.
const SENDER_CHARACTERS: usize = 60;
/// The most words of such a name, as in `Marie Ève Roy`.
const NAME_WORDS: usize = 3;
/// Verbs that a copied page puts behind a name: `ChatGPT said:`.
const SAYING: [&str; 6] = [" said", " says", " wrote", " a dit", " avez dit", " a écrit"];

/// A name at the start of a line, and how it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark<'a> {
    /// The name alone.
    pub(super) name: &'a str,
    pub(super) weight: Weight,
    /// Length of the mark in bytes, from the start of its line.
    pub(super) length: usize,
    /// Whether a time stands before it: then a turn begins here, whoever speaks.
    pub(super) stamped: bool,
}

/// How a mark at the start of a line is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// `user:`
    Plain,
    /// `user:**`: bold only in a transcript that is bold elsewhere, since the
    /// asterisks may as well open the turn's first word.
    Unclear,
    /// `**user:**`, `**user**:`
    Bold,
    /// `### User`, with or without a colon.
    Heading,
}

/// The mark at the start of a line, if there is one: a name and a colon, bold or
/// not, perhaps behind a time of day or a bullet, or a heading.
pub(super) fn line_mark(line: &str) -> Option<Mark<'_>> {
    let line_start = line.trim_start_matches(is_blank);
    let start = skip_time(line_start);
    if start.starts_with('#') {
        return heading(line, start);
    }
    if start != line_start {
        let named = named_mark(line, start).map(|mark| Mark { stamped: true, ..mark });
        return named.or_else(|| sender(line, start));
    }
    let bare = start.trim_start_matches(is_bullet);
    named_mark(line, start).or_else(|| named_mark(line, bare).filter(|mark| known_role(mark.name).is_some()))
}

/// What may stand before a name in a list, a quotation, or for decoration.
fn is_bullet(c: char) -> bool {
    c == ' ' || matches!(c, '>' | '<' | '-' | '*' | '.' | ')') || c.is_ascii_digit() || c >= '\u{2022}'
}

/// The mark that opens `start`, which is the end of `line`.
fn named_mark<'a>(line: &'a str, start: &'a str) -> Option<Mark<'a>> {
    let (opened, rest) = strip_asterisks(start);
    let rest = rest.trim_start();
    let name = leading_name(rest)?;
    let behind = &rest[name.len()..];
    // `user>` and `<user>` are how consoles and logs set a name; a known one only.
    let console = behind.strip_prefix('>').filter(|_| known_role(name).is_some());
    let console = console.map(|rest| rest.strip_prefix(':').unwrap_or(rest));
    let (closed, rest) = strip_asterisks(skip_bracket(behind.trim_start()));
    let rest = skip_bracket(rest.trim_start());
    let is_spaced = rest.starts_with(char::is_whitespace);
    let rest = console.or_else(|| rest.trim_start().strip_prefix([':', '：']))?;
    let (weight, rest) = match (opened, closed) {
        (false, false) if rest.starts_with("**") => (Weight::Unclear, rest),
        (false, false) => (Weight::Plain, rest),
        (true, false) => (Weight::Bold, strip_asterisks(rest.trim_start()).1),
        (_, true) => (Weight::Bold, rest),
    };
    let is_digit = |c: char| c.is_ascii_digit();
    let is_time = name.ends_with(is_digit) && rest.starts_with(is_digit);
    let may_be_face = is_spaced || known_role(name) != Some(Role::User);
    let is_no_mark = (may_be_face && is_face(rest)) || is_time || rest.starts_with("//");
    (weight == Weight::Bold || !is_no_mark).then_some(Mark {
        name: without_saying(name),
        weight,
        length: line.len() - rest.len(),
        stamped: false,
    })
}

/// A sender behind a time, whatever the name is made of: `+1 514 555-0123`, `~ Sam`.
fn sender<'a>(line: &'a str, start: &'a str) -> Option<Mark<'a>> {
    let end = start.find(": ").or_else(|| start.trim_end().strip_suffix(':').map(str::len))?;
    let name = start[..end].trim();
    (!name.is_empty() && name.chars().count() <= SENDER_CHARACTERS).then_some(Mark {
        name,
        weight: Weight::Plain,
        length: line.len() - (start.len() - end - 1),
        stamped: true,
    })
}

/// `### User`: the whole line is the mark.
fn heading<'a>(line: &'a str, start: &'a str) -> Option<Mark<'a>> {
    let title = start.trim_start_matches('#').trim();
    let title = strip_asterisks(title).1;
    let name = leading_name(title)?;
    let after = title[name.len()..].trim_matches([' ', '*', ':', '：']);
    after.is_empty().then_some(Mark {
        name: without_saying(name),
        weight: Weight::Heading,
        length: line.len(),
        stamped: false,
    })
}

/// The longest text at the start that could be a name: words of letters, the
/// later ones with digits too, as in `User 2`.
fn leading_name(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '\'' | '’');
    if !text.starts_with(char::is_alphabetic) {
        return None;
    }
    let end = text.find(|c: char| !is_part(c) && c != ' ').unwrap_or(text.len());
    let name = text[..end].trim_end();
    (name.chars().count() <= NAME_CHARACTERS && name.split(' ').count() <= NAME_WORDS).then_some(name)
}

/// White space, and the marks without width that chat programs write.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
}

/// The text behind a bracket, as in `User (Sam)` and `User [10:32]`.
fn skip_bracket(text: &str) -> &str {
    let inner = text.strip_prefix(['(', '[']);
    let close = inner
        .and_then(|inner| inner.char_indices().take(NAME_CHARACTERS).find(|(_, c)| matches!(c, ')' | ']')));
    match (inner, close) {
        (Some(inner), Some((close, _))) => &inner[close + 1..],
        _ => text,
    }
}

/// The text behind a time of day or date at its start, as chat programs write
/// before a name: `[10:32]`, `(10:32)`, `21/11/2026, 10:32 -`.
fn skip_time(text: &str) -> &str {
    let opened = text.strip_prefix(['[', '(']);
    let digits = opened.unwrap_or(text);
    let time = &digits[..time_length(digits)];
    if !is_time(time) {
        return text;
    }
    let rest = &digits[time.len()..];
    let is_half = |half: &&str| ["am", "pm"].iter().any(|known| known.eq_ignore_ascii_case(half));
    let behind = match rest.get(..2).filter(is_half) {
        Some(half) if !rest[half.len()..].starts_with(char::is_alphanumeric) => &rest[half.len()..],
        _ => rest,
    };
    let closed = behind.trim_start().strip_prefix([']', ')']);
    match (opened, closed) {
        (Some(_), None) => text,
        (Some(_), Some(behind)) => behind.trim_start_matches(is_blank),
        (None, _) => behind.trim_start_matches([' ', '-', '–']),
    }
}

/// The length of the digits and signs of a date and time: `21/11/2026, 10:32 - `,
/// `2026-11-21T10:32:00Z `, `21/11/2026 à 10:32 - `.
fn time_length(text: &str) -> usize {
    let sign = |c: char| matches!(c, ':' | '/' | '.' | ',' | '-' | ' ' | '\u{202f}');
    let mut characters = text.char_indices().peekable();
    while let Some((place, c)) = characters.next() {
        let next = characters.peek().map_or(' ', |&(_, next)| next);
        let is_part = c.is_ascii_digit()
            || sign(c)
            || (c == 'T' && next.is_ascii_digit())
            || (c == 'Z' && !next.is_alphanumeric())
            || (c == 'à' && next == ' ');
        if !is_part {
            return place;
        }
    }
    text.len()
}

/// Whether hours and minutes stand somewhere in these digits and signs.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.windows(3).any(|w| w[0].is_ascii_digit() && w[1] == b':' && w[2].is_ascii_digit())
}

fn without_saying(name: &str) -> &str {
    SAYING.iter().find_map(|verb| name.strip_suffix(verb)).unwrap_or(name)
}

fn strip_asterisks(text: &str) -> (bool, &str) {
    text.strip_prefix("**").map_or((false, text), |rest| (true, rest))
}

/// Whether the colon before this text was the eyes of a face, as in "thanks
/// for the support :)".
fn is_face(after_colon: &str) -> bool {
    let mouth = after_colon.trim_start_matches([')', '(', '/', '|']);
    mouth.len() < after_colon.len() && (mouth.is_empty() || mouth.starts_with(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_every_setting() {
        for (line, name, rest) in [
            ("user: hi", "user", " hi"),
            ("Utilisateur : salut", "Utilisateur", " salut"),
            ("[10:32] Sam: hi", "Sam", " hi"),
            ("[21/11/2026, 10:32:05] Sam Roy: hi", "Sam Roy", " hi"),
            ("21/11/2026, 10:32 - Sam: hi", "Sam", " hi"),
            ("10:32 PM - Pam: hi", "Pam", " hi"),
            ("10:32 Pam: hi", "Pam", " hi"),
            ("10:32 Tom: hi", "Tom", " hi"),
            ("2026-11-21T10:32:00Z user: hi", "user", " hi"),
            ("21/11/2026 à 10:32 - Léa : hi", "Léa", " hi"),
            ("**Sam** (22:10): hi", "Sam", " hi"),
            ("[10:33] Sam 🌸: hi", "Sam 🌸", " hi"),
            ("1. User: hi", "User", " hi"),
            ("👤 User: hi", "User", " hi"),
            ("> User: hi", "User", " hi"),
            ("User (10:32): hi", "User", " hi"),
            ("User (Sam): hi", "User", " hi"),
            ("User: 10:32 hi", "User", " 10:32 hi"),
            ("user:( hi", "user", "( hi"),
            ("\u{200e}User: hi", "User", " hi"),
            ("[10:33] +1 514 555-0123: hi", "+1 514 555-0123", " hi"),
            ("[10:33] ~ Sam: hi", "~ Sam", " hi"),
            ("User> hi", "User", " hi"),
            ("<assistant> hi", "assistant", " hi"),
            ("<user>: hi", "user", " hi"),
            ("**User:** hi", "User", " hi"),
            ("ChatGPT said:", "ChatGPT", ""),
            ("Vous avez dit :", "Vous", ""),
            ("### User", "User", ""),
            ("## **Assistant**:", "Assistant", ""),
            ("User 2: hi", "User 2", " hi"),
        ] {
            let mark = line_mark(line).expect(line);
            assert_eq!((mark.name, &line[mark.length..]), (name, rest), "{line}");
        }
    }

    #[test]
    fn what_is_no_name_marks_nobody() {
        for line in [
            "thanks for the support :)",
            "https://example.org",
            "me > you",
            "<br> fine",
            "10:32",
            "[10:32] hello",
            "at 10:32: the bus",
            "i told him it was over: he left",
            "### My week in three acts",
            ": hi",
            "",
        ] {
            assert_eq!(line_mark(line), None, "{line}");
        }
    }
}
