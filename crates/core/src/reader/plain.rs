//! What a model may see of a turn. How a text is set (emphasis marks, rules,
//! blank lines, runs of spaces) betrays which generator or corpus it comes
//! from, and must not be learnable; what somebody says stays whole. Text in
//! parentheses stays too: in the KHP and `ESConv` conversations it is speech
//! ("(sorry, was away)") far more often than a stage direction.

use std::borrow::Cow;

/// The text without emphasis marks, horizontal rules and blank lines, and with
/// every run of spaces as one space. Lines stay lines.
///
/// A run of `*` or `_` between two letters or digits is kept, since people
/// write `s*cide` or `snake_case`; so is `_` between two marks, as in `-_-`.
/// Applying the function twice changes nothing more. Takes one pass.
///
/// ```
/// use mindrail_core::reader::plain_text;
/// assert_eq!(plain_text("**So**  tired\n\n---\n*really*"), "So tired\nreally");
/// ```
pub fn plain_text(text: &str) -> Cow<'_, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for line in text.split('\n') {
        let start = plain.len();
        if start > 0 {
            plain.push('\n');
        }
        let body = plain.len();
        push_words(line, &mut plain);
        if plain.len() == body || is_rule(&plain[body..]) {
            plain.truncate(start);
        }
    }
    Cow::Owned(plain)
}

/// Whether nothing would change, told without building anything. May say no
/// where yes would be true.
fn is_plain(text: &str) -> bool {
    let mut after_space = true;
    for c in text.chars() {
        let space = c.is_whitespace();
        if is_mark(c) || (space && (c != ' ' || after_space)) {
            return false;
        }
        after_space = space;
    }
    !text.ends_with(' ') && !is_rule(text)
}

/// Appends a line's words, one space between them, without emphasis marks.
fn push_words(line: &str, plain: &mut String) {
    let line_start = plain.len();
    let mut pending_space = false;
    let mut before = None;
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let run = if is_mark(c) { rest.len() - rest.trim_start_matches(is_mark).len() } else { c.len_utf8() };
        let (piece, after) = rest.split_at(run);
        if c.is_whitespace() {
            pending_space = true;
        } else if !is_mark(c) || is_part_of_a_word(piece, before, after.chars().next()) {
            if pending_space && plain.len() > line_start {
                plain.push(' ');
            }
            pending_space = false;
            plain.push_str(piece);
        }
        before = Some(c);
        rest = after;
    }
}

const fn is_mark(c: char) -> bool {
    matches!(c, '*' | '_')
}

/// Whether a run of marks belongs to what it stands in: `s*cide`, `-_-`.
fn is_part_of_a_word(run: &str, before: Option<char>, after: Option<char>) -> bool {
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    let in_word = before.is_alphanumeric() && after.is_alphanumeric();
    let in_face = before.is_ascii_punctuation() && after.is_ascii_punctuation();
    in_word || (in_face && run.chars().all(|c| c == '_'))
}

/// Whether a line, already without outer spaces, is a horizontal rule.
fn is_rule(line: &str) -> bool {
    let mut strokes = 0;
    for c in line.chars() {
        match c {
            '-' | '=' | '—' => strokes += 1,
            ' ' => {}
            _ => return false,
        }
    }
    strokes >= 3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn setting_is_removed_and_words_stay() {
        for (text, plain) in [
            ("**hello** there", "hello there"),
            ("*sighs*  ok", "sighs ok"),
            ("a\r\n\r\n\r\nb", "a\nb"),
            ("---\nfirst\n***\nsecond\n- - -\n", "first\nsecond"),
            ("  leading", "leading"),
            ("* one\n* two", "one\ntwo"),
            ("**---**\nx", "x"),
            ("", ""),
            ("***", ""),
        ] {
            assert_eq!(plain_text(text), plain, "{text:?}");
        }
    }

    #[test]
    fn masked_words_and_faces_stay() {
        for text in ["i said s*cide", "-_-", "snake_case", "f**k this", "(sorry)"] {
            assert_eq!(plain_text(text), text);
        }
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(plain_text("nothing to do, vraiment."), Cow::Borrowed(_)));
    }

    fn without_setting(text: &str) -> String {
        text.chars().filter(|&c| !c.is_whitespace() && !is_mark(c) && !matches!(c, '-' | '=' | '—')).collect()
    }

    proptest! {
        #[test]
        fn a_second_pass_changes_nothing(text in "([ab*_ \n\r\t.\\-=—(é]|\\PC){0,60}") {
            let once = plain_text(&text).into_owned();
            prop_assert_eq!(plain_text(&once), once.as_str());
            prop_assert!(matches!(plain_text(&once), Cow::Borrowed(_)) || once.contains(['*', '_', '\n']));
        }

        #[test]
        fn no_word_is_lost(text in "([ab*_ \n\r\t.\\-=—(é]|\\PC){0,60}") {
            prop_assert_eq!(without_setting(&plain_text(&text)), without_setting(&text));
        }
    }
}
