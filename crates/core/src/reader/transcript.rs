//! Transcripts: one text in which speaker names mark the turns.
//!
//! Three styles occur, and the first mark of a transcript decides which one it
//! is in: `user: …` at the start of a line, the same in bold (`**user:** …`),
//! and run-on tags (`[seeker]…[supporter]…`) anywhere. From then on a role is
//! marked only in that style and by the first name seen for it, so that a
//! line "Support: see the number below" inside a `**user:**` transcript stays
//! part of the turn. Lines without a mark belong to the turn before them.
//!
//! Text before the first mark becomes a user turn, and so does a text without
//! any mark: what nobody signed is read as the person's, since a user turn is
//! what gets watched for distress.

use crate::conversation::{Role, Turn};

/// The names that mark a speaker, in lower case.
const SPEAKERS: [(&str, Role); 23] = [
    ("user", Role::User),
    ("person", Role::User),
    ("seeker", Role::User),
    ("human", Role::User),
    ("client", Role::User),
    ("youth", Role::User),
    ("texter", Role::User),
    ("caller", Role::User),
    ("usr", Role::User),
    ("patient", Role::User),
    ("speaker", Role::User),
    ("assistant", Role::Assistant),
    ("support", Role::Assistant),
    ("supporter", Role::Assistant),
    ("listener", Role::Assistant),
    ("counselor", Role::Assistant),
    ("counsellor", Role::Assistant),
    ("therapist", Role::Assistant),
    ("ai", Role::Assistant),
    ("bot", Role::Assistant),
    ("sys", Role::Assistant),
    ("volunteer", Role::Assistant),
    ("system", Role::System),
];

/// The speaker that a name stands for, whatever its case.
pub(super) fn speaker(name: &str) -> Option<(&'static str, Role)> {
    SPEAKERS.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// The turns of a transcript, oldest first; their texts are trimmed.
///
/// Never fails: a text without speaker names is one user turn, and a text of
/// nothing but white space has no turns.
pub fn turns(text: &str) -> Vec<Turn> {
    let marked = marked_turns(text);
    if marked.is_empty() { unsigned(text, Role::User).into_iter().collect() } else { marked }
}

/// One answer that may carry a speaker name; without one it is an assistant turn.
pub(super) fn answer(text: &str) -> Vec<Turn> {
    if opens_with_a_mark(text) { marked_turns(text) } else { vec![turn(Role::Assistant, text)] }
}

/// Whether the first line that is not blank starts with a speaker name.
fn opens_with_a_mark(text: &str) -> bool {
    let text = text.trim_start();
    opens_with_a_tag(text) || text.lines().next().is_some_and(|l| line_mark(l).is_some())
}

/// Whether the text, but for leading spaces, starts with a tag as `[seeker]`.
pub(super) fn opens_with_a_tag(text: &str) -> bool {
    tag(text.trim_start()).is_some()
}

fn turn(role: Role, text: &str) -> Turn {
    Turn { role, text: text.trim().to_owned() }
}

fn unsigned(text: &str, role: Role) -> Option<Turn> {
    (!text.trim().is_empty()).then(|| turn(role, text))
}

/// A speaker name found at some place, and how it was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    name: &'static str,
    role: Role,
    weight: Weight,
    /// Length of the mark in bytes, from the start of its line.
    length: usize,
}

/// How a mark at the start of a line is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// `user:`
    Plain,
    /// `user:**`: bold only in a transcript that is bold elsewhere, since the
    /// asterisks may as well open the turn's first word.
    Unclear,
    /// `**user:**`, `**user**:`
    Bold,
}

/// What the first mark of a transcript settled.
struct Style {
    weight: Weight,
    names: [Option<&'static str>; 3],
}

impl Style {
    const fn new(weight: Weight) -> Self {
        Self { weight, names: [None; 3] }
    }

    /// Whether a mark is one of this transcript; the first name of a role is
    /// remembered.
    fn accepts(&mut self, mark: &Mark) -> bool {
        if self.weight == Weight::Unclear {
            self.weight = mark.weight;
        }
        let same_weight = match self.weight {
            Weight::Bold => mark.weight != Weight::Plain,
            Weight::Plain | Weight::Unclear => mark.weight != Weight::Bold,
        };
        same_weight && *self.names[mark.role as usize].get_or_insert(mark.name) == mark.name
    }

    /// Bytes of asterisks after the mark that belong to it.
    fn closing(&self, mark: &Mark) -> usize {
        if self.weight == Weight::Bold && mark.weight == Weight::Unclear { 2 } else { 0 }
    }
}

/// The turns from the first mark on, preceded by what stands before it; none
/// where there is no mark.
fn marked_turns(text: &str) -> Vec<Turn> {
    let mut style: Option<Style> = None;
    // The turn that is open: its role and where its text begins.
    let mut open = (Role::User, 0);
    let mut turns = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive(['\n', '\r']) {
        if style.is_none() && opens_with_a_tag(line) {
            turns.extend(unsigned(&text[..start], Role::User));
            turns.extend(tagged_turns(text[start..].trim_start()));
            return turns;
        }
        if let Some(mark) = line_mark(line) {
            let opening = style.is_none();
            let style = style.get_or_insert_with(|| Style::new(mark.weight));
            if style.accepts(&mark) {
                let said = &text[open.1..start];
                if opening {
                    turns.extend(unsigned(said, open.0));
                } else {
                    turns.push(turn(open.0, said));
                }
                open = (mark.role, start + mark.length + style.closing(&mark));
            }
        }
        start += line.len();
    }
    if style.is_some() {
        turns.push(turn(open.0, &text[open.1..]));
    }
    turns
}

/// The turns of a text that starts with a tag.
fn tagged_turns(text: &str) -> Vec<Turn> {
    let mut style = Style::new(Weight::Plain);
    let mut turns = Vec::new();
    let mut open: Option<(Role, usize)> = None;
    for (place, _) in text.match_indices('[') {
        let Some(mark) = tag(&text[place..]).filter(|mark| style.accepts(mark)) else {
            continue;
        };
        if let Some((role, start)) = open {
            turns.push(turn(role, &text[start..place]));
        }
        open = Some((mark.role, place + mark.length));
    }
    turns.extend(open.map(|(role, start)| turn(role, &text[start..])));
    turns
}

/// A tag at the start of the text: `[seeker]`, `[Supporter]: `.
fn tag(text: &str) -> Option<Mark> {
    let text_of_tag = text.strip_prefix('[')?;
    let after = text_of_tag.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let (name, role) = speaker(text_of_tag[..text_of_tag.len() - after.len()].trim())?;
    let rest = after.strip_prefix(']')?;
    let rest = rest.strip_prefix(':').filter(|after| after.starts_with(char::is_whitespace)).unwrap_or(rest);
    Some(Mark { name, role, weight: Weight::Plain, length: text.len() - rest.len() })
}

/// A speaker name and colon at the start of a line, bold or not.
fn line_mark(line: &str) -> Option<Mark> {
    let (opened, rest) = strip_asterisks(line.trim_start());
    let rest = rest.trim_start();
    let after_name = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let (name, role) = speaker(&rest[..rest.len() - after_name.len()])?;
    let (closed, rest) = strip_asterisks(after_name.trim_start());
    let rest = rest.trim_start().strip_prefix([':', '：'])?;
    let (weight, rest) = match (opened, closed) {
        (false, false) if rest.starts_with("**") => (Weight::Unclear, rest),
        (false, false) => (Weight::Plain, rest),
        (true, false) => (Weight::Bold, strip_asterisks(rest.trim_start()).1),
        (_, true) => (Weight::Bold, rest),
    };
    (weight == Weight::Bold || !is_face(rest)).then_some(Mark {
        name,
        role,
        weight,
        length: line.len() - rest.len(),
    })
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
    use proptest::prelude::*;

    use super::*;

    /// The turns in one line: `U` user, `A` assistant, `S` system.
    fn read(text: &str) -> String {
        let letter = |role| match role {
            Role::User => 'U',
            Role::Assistant => 'A',
            Role::System => 'S',
        };
        let turns: Vec<_> = turns(text)
            .iter()
            .map(|t| format!("{}({})", letter(t.role), t.text.replace('\n', "/")))
            .collect();
        turns.join(" ")
    }

    #[test]
    fn every_speaker_style_is_read() {
        for text in [
            "user: hi\nassistant: hello",
            "Person: hi\r\nAssistant: hello",
            "User: hi\nListener: hello",
            "**user:** hi\n\n**assistant:** hello\n",
            "**User :** hi\nassistant:** hello",
            "**User**: hi\n**Support**: hello",
            "**User: ** hi\n**AI: ** hello",
            "seeker:hi\nsupporter:hello",
            "[seeker]hi[supporter]hello",
            "[User]: hi\n[Bot]: hello",
            "user\u{a0}: hi\nBOT：hello",
            "\n\n  caller: hi\rvolunteer: hello",
        ] {
            assert_eq!(read(text), "U(hi) A(hello)", "{text:?}");
        }
    }

    #[test]
    fn turns_of_one_role_stay_apart_and_lines_without_a_mark_continue() {
        assert_eq!(
            read("Assistant: hello\nUser: one\n\nmore\nUser: two\nUser:"),
            "A(hello) U(one//more) U(two) U()"
        );
        assert_eq!(read("system: be kind\nuser: ok"), "S(be kind) U(ok)");
    }

    #[test]
    fn the_first_mark_settles_the_style() {
        assert_eq!(
            read("**user:** i saw\nSupport: the number\n**assistant:** ok"),
            "U(i saw/Support: the number) A(ok)"
        );
        assert_eq!(
            read("User: a\nSupport: b\nPerson: c\n**Support:** d"),
            "U(a) A(b/Person: c/**Support:** d)"
        );
        assert_eq!(read("[seeker]a [ai] b[supporter]c"), "U(a) A(b[supporter]c)");
        assert_eq!(read("user: he typed [bot] there"), "U(he typed [bot] there)");
    }

    #[test]
    fn asterisks_after_a_plain_mark_belong_to_the_text() {
        assert_eq!(read("User: **really** low"), "U(**really** low)");
        assert_eq!(read("User:**really** low"), "U(**really** low)");
    }

    #[test]
    fn what_nobody_signed_is_the_persons() {
        assert_eq!(read("just this"), "U(just this)");
        assert_eq!(read("just this\nassistant: ok"), "U(just this) A(ok)");
        assert_eq!(read("just this [seeker] thing"), "U(just this [seeker] thing)");
        assert_eq!(read(" \n "), "");
    }

    #[test]
    fn a_face_is_no_mark() {
        assert_eq!(read("thanks for the\nsupport :)"), "U(thanks for the/support :))");
        assert_eq!(read("user: hm\nai :/ ok"), "U(hm/ai :/ ok)");
    }

    #[test]
    fn an_answer_without_a_mark_is_the_assistants() {
        assert_eq!(answer("ok")[0].role, Role::Assistant);
        assert_eq!(answer("[supporter]ok")[0].text, "ok");
        assert_eq!(answer("[seeker]ok")[0].role, Role::User);
        assert_eq!(answer("a\nuser: b").len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_is_lost(text in "((\\*\\*)?(user|AI|support)?(\\*\\*)?[:：\n ]|\\[seeker\\]|\\[|[a-z*é]){0,30}") {
            let said: usize = turns(&text).iter().map(|t| t.text.len()).sum();
            prop_assert!(said <= text.len());
            if !text.trim().is_empty() && !opens_with_a_mark(&text) {
                let first = text.trim().lines().next().unwrap_or_default().trim();
                prop_assert!(turns(&text).iter().any(|t| t.text.contains(first)));
            }
        }

        #[test]
        fn signed_turns_are_read_back(said in proptest::collection::vec((0..2usize, "[a-z]{1,8}(\n[a-z]{1,5})?"), 1..9), bold in 0..2usize) {
            let names = [["user: ", "support: "], ["**User:** ", "**Assistant:** "]][bold];
            let text: Vec<_> = said.iter().map(|(who, words)| format!("{}{words}", names[*who])).collect();
            let read = turns(&text.join("\n"));
            prop_assert_eq!(read.len(), said.len());
            for (turn, (who, words)) in read.iter().zip(&said) {
                prop_assert_eq!(turn.role as usize, *who);
                prop_assert_eq!(&turn.text, words);
            }
        }
    }
}
