//! Transcripts: one text in which speaker names mark the turns.
//!
//! Names stand at the start of lines (`user: …`, `**user:** …`, `### User`,
//! `[10:32] Sam: …`), as run-on tags (`[seeker]…[supporter]…`), or as the tokens
//! of a chat template (`<|im_start|>user …`). Which of these a transcript is in,
//! and which names are speakers, is said by [`super::cast`]. So a line "Support:
//! see the number below" inside a `**user:**` transcript stays part of the turn.
//! Lines without a mark belong to the turn before them.
//!
//! Text before the first mark becomes a user turn, and so does a text without
//! any mark: what nobody signed is read as the person's, since a user turn is
//! what gets watched for distress.

use super::cast::{Cast, Certainty, Speaker, known_role};
use super::mark::{Mark, Weight, line_mark};
use crate::conversation::{Role, Turn};

/// Openings of a turn in chat templates, and what closes the role's name.
const TEMPLATES: [(&str, &str); 4] = [
    ("<|im_start|>", ""),
    ("<|start_header_id|>", "<|end_header_id|>"),
    ("<start_of_turn>", ""),
    ("<|", "|>"),
];
/// What chat templates write around turns.
const TEMPLATE_TOKENS: [&str; 8] = [
    "<|im_end|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|begin_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "<s>",
    "</s>",
];

/// The turns of a transcript, oldest first, their texts trimmed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transcript {
    /// The turns.
    pub turns: Vec<Turn>,
    /// Those, from 0, of which it could not be told whose words they hold: user
    /// turns of speakers whose side is open, and others inside which a line begins
    /// as a speaker's does.
    pub unknown_speakers: Vec<usize>,
}

impl Transcript {
    fn push(&mut self, speaker: Speaker, text: &str) {
        if speaker.certainty == Certainty::Unknown {
            self.unknown_speakers.push(self.turns.len());
        }
        self.turns.push(turn(speaker.role, text));
    }
}

/// Reads a transcript.
///
/// Never fails: a text without speaker names is one user turn, and a text of
/// nothing but white space has no turns.
pub fn transcript(text: &str) -> Transcript {
    let marked = marked_turns(text);
    if marked.turns.is_empty() {
        Transcript { turns: unsigned(text, Role::User).into_iter().collect(), ..marked }
    } else {
        marked
    }
}

/// One answer that may carry a speaker name; without one it is an assistant turn.
pub(super) fn answer(text: &str) -> Transcript {
    if opens_with_a_mark(text) {
        return marked_turns(text);
    }
    Transcript { turns: vec![turn(Role::Assistant, text)], ..Transcript::default() }
}

/// Whether the first line that is not blank starts with a known speaker name.
fn opens_with_a_mark(text: &str) -> bool {
    let text = text.trim_start();
    opens_with_a_tag(text)
        || text.lines().next().and_then(line_mark).is_some_and(|mark| known_role(mark.name).is_some())
}

/// Whether the text, but for leading spaces, starts with a tag as `[seeker]` or
/// `<|im_start|>user`.
pub(super) fn opens_with_a_tag(text: &str) -> bool {
    let mut text = text.trim_start();
    while let Some(rest) = TEMPLATE_TOKENS.iter().find_map(|token| text.strip_prefix(token)) {
        text = rest.trim_start();
    }
    tag(text).is_some()
}

fn turn(role: Role, text: &str) -> Turn {
    Turn { role, text: text.trim().to_owned() }
}

fn unsigned(text: &str, role: Role) -> Option<Turn> {
    (!text.trim().is_empty()).then(|| turn(role, text))
}

/// The turns from the first mark on, preceded by what stands before it; none
/// where there is no mark.
fn marked_turns(text: &str) -> Transcript {
    let mut marks: Vec<(usize, Mark<'_>)> = Vec::new();
    let (mut start, mut has_known) = (0, false);
    for line in text.split_inclusive(LINE_ENDS) {
        if !has_known && opens_with_a_tag(line) {
            return with_the_person_apart(tagged_turns(text, start));
        }
        if let Some(mark) = line_mark(line) {
            has_known |= known_role(mark.name).is_some();
            marks.push((start, mark));
        }
        start += line.len();
    }
    cast_turns(text, &marks)
}

/// What ends a line: the usual, and the separators of Unicode.
const LINE_ENDS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];

/// Tags do not see names at the start of lines. Where the person's stands inside
/// another's turn, what follows it is theirs.
fn with_the_person_apart(transcript: Transcript) -> Transcript {
    let mut apart = Transcript::default();
    for turn in transcript.turns {
        match person_inside(&turn) {
            Some((end, from)) => {
                apart.turns.push(self::turn(turn.role, &turn.text[..end]));
                apart.turns.push(self::turn(Role::User, &turn.text[from..]));
            }
            None => apart.turns.push(turn),
        }
    }
    apart
}

/// Where, in a turn that is not the person's, a line begins with the person's name,
/// and where the words behind the name begin.
fn person_inside(turn: &Turn) -> Option<(usize, usize)> {
    let mut start = 0;
    for line in turn.text.split_inclusive(LINE_ENDS).filter(|_| turn.role != Role::User) {
        let mark = line_mark(line).filter(|mark| known_role(mark.name) == Some(Role::User));
        if let Some(mark) = mark {
            return Some((start, start + mark.length));
        }
        start += line.len();
    }
    None
}

/// The turns between those marks that name a speaker.
fn cast_turns(text: &str, marks: &[(usize, Mark<'_>)]) -> Transcript {
    let opens = marks.first().is_some_and(|&(start, _)| text[..start].trim().is_empty());
    let cast = Cast::new(&marks.iter().map(|&(_, mark)| mark).collect::<Vec<_>>(), opens);
    let mut transcript = Transcript::default();
    let mut open: Option<(Speaker, usize)> = None;
    let mut in_doubt = false;
    for (start, mark) in marks {
        let Some(speaker) = cast.speaker(mark) else {
            // Somebody whom nobody knows may speak inside the assistant's turn.
            in_doubt |= open.is_some_and(|(open, _)| open.role != Role::User) && mark.weight == Weight::Plain;
            continue;
        };
        match open {
            Some((before, from)) => transcript.push(before.doubted(in_doubt), &text[from..*start]),
            None => transcript.turns.extend(unsigned(&text[..*start], Role::User)),
        }
        open = Some((speaker, start + mark.length + cast.closing(mark)));
        in_doubt = false;
    }
    if let Some((speaker, from)) = open {
        transcript.push(speaker.doubted(in_doubt), &text[from..]);
    }
    transcript
}

/// The turns of a text with tags from `start` on. Of brackets, only the person's
/// names and the first of each other role are tags, as `[bot]` may be what somebody
/// typed; if the first is set as `[name]:`, only those at the start of a line.
fn tagged_turns(text: &str, start: usize) -> Transcript {
    let mut turns: Vec<Turn> = unsigned(&text[..start], Role::User).into_iter().collect();
    let mut names: [Option<String>; 3] = [const { None }; 3];
    let mut open: Option<(Role, usize)> = None;
    let mut at_line_starts = false;
    for (place, opening) in text[start..].match_indices(['[', '<']) {
        let place = start + place;
        let Some(tag) = tag(&text[place..]) else { continue };
        if opening == "[" {
            let starts_a_line = text[..place].trim_end_matches([' ', '\t']).ends_with(LINE_ENDS);
            if at_line_starts && !starts_a_line {
                continue;
            }
            let name = tag.name.to_lowercase();
            let first = names[tag.role as usize].get_or_insert_with(|| name.clone());
            if tag.role != Role::User && *first != name {
                continue;
            }
            at_line_starts |= open.is_none() && text[..place + tag.length].trim_end().ends_with(':');
        }
        if let Some((role, from)) = open {
            turns.push(turn(role, without_tokens(&text[from..place])));
        }
        open = Some((tag.role, place + tag.length));
    }
    turns.extend(open.map(|(role, from)| turn(role, without_tokens(&text[from..]))));
    Transcript { turns, ..Transcript::default() }
}

/// A tag and its length in bytes.
struct Tag<'a> {
    name: &'a str,
    role: Role,
    length: usize,
}

/// A tag at the start of the text: `[seeker]`, `[Supporter]: `, `<|im_start|>user`.
fn tag(text: &str) -> Option<Tag<'_>> {
    text.strip_prefix('[').map_or_else(|| template_tag(text), |inner| bracket_tag(text, inner))
}

fn bracket_tag<'a>(text: &'a str, inner: &'a str) -> Option<Tag<'a>> {
    let after = inner.trim_start_matches(|c: char| c.is_alphabetic() || c == ' ');
    let name = inner[..inner.len() - after.len()].trim();
    let rest = after.strip_prefix(']')?;
    let colon = rest.strip_prefix(':').filter(|after| after.starts_with(char::is_whitespace));
    Some(Tag { name, role: known_role(name)?, length: text.len() - colon.unwrap_or(rest).len() })
}

fn template_tag(text: &str) -> Option<Tag<'_>> {
    TEMPLATES.iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(open)?.trim_start_matches(' ');
        let after = inner.trim_start_matches(char::is_alphabetic);
        let name = &inner[..inner.len() - after.len()];
        let rest = after.strip_prefix(close)?;
        Some(Tag { name, role: known_role(name)?, length: text.len() - rest.len() })
    })
}

/// The text without the tokens that a chat template writes at its end.
fn without_tokens(text: &str) -> &str {
    let mut text = text.trim_end();
    while let Some(rest) = TEMPLATE_TOKENS.iter().find_map(|token| text.strip_suffix(token)) {
        text = rest.trim_end();
    }
    text
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
        let turns: Vec<_> = transcript(text)
            .turns
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
            "Me: hi\nChatGPT: hello",
            "You: hi\nGemini: hello",
            "1. User: hi\n2. Assistant: hello",
            "[10:32] +1 514 555-0123: hi\n[10:33] Bot: hello",
            "You said:\nhi\n\nChatGPT said:\nhello",
            "Utilisateur : hi\nAssistant : hello",
            "<|im_start|>user hi<|im_end|>\n<|im_start|>assistant hello<|im_end|>",
            "\u{200e}User: hi\u{2028}\u{200e}Bot: hello",
            "Moi : hi\nIA : hello",
            "[10:32] Sam: hi\n[10:33] Counselor: hello",
            "21/11/2026, 10:32 - Sam: hi\n21/11/2026, 10:33 - Bot: hello",
            "### User\nhi\n\n### Assistant\nhello",
            "## User: \nhi\n## **Assistant**\nhello",
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nhello<|im_end|>",
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nhello<|eot_id|>",
            "<start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\nhello",
            "<|user|>\nhi\n<|assistant|>\nhello",
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
        assert_eq!(read("User: a\nSupport: b\nPerson: c\n**Support:** d"), "U(a) A(b) U(c/**Support:** d)");
        assert_eq!(read("[seeker]a [ai] b[supporter]c"), "U(a) A(b[supporter]c)");
        assert_eq!(read("user: he typed [bot] there"), "U(he typed [bot] there)");
    }

    #[test]
    fn a_name_that_comes_back_is_a_speaker() {
        assert_eq!(read("User 1: a\nUser 2: b"), "U(a) U(b)");
        assert_eq!(read("User: a\nCounselor: b\nnote: c\nUser: d"), "U(a) A(b/note: c) U(d)");
        assert_eq!(read("User: i am low\nBot: try\nBreathing: in"), "U(i am low) A(try/Breathing: in)");
        assert_eq!(read("user: my week\nMonday: bad\nTuesday: bad"), "U(my week/Monday: bad/Tuesday: bad)");
        assert_eq!(read("System: s\nSam: a\nLuna: b\nSam: c"), "S(s) U(a) U(b) U(c)");
        assert_eq!(read("user: a\nhe said: b\nso\nhe said: c"), "U(a/he said: b/so/he said: c)");
        assert_eq!(read("Age: 17\nTown: far\ni am low"), "U(Age: 17/Town: far/i am low)");
    }

    #[test]
    fn a_speaker_whose_side_is_open_is_watched_and_told() {
        let of = |text| {
            let read = transcript(text);
            let users = read.turns.iter().filter(|turn| turn.role == Role::User).count();
            (read.turns.len(), users, read.unknown_speakers)
        };
        assert_eq!(of("Sam: a\nAlex: b\nSam: c"), (3, 3, vec![0, 1, 2]));
        assert_eq!(of("User: a\nBot: b\nMum: c\nBot: d\nMum: e"), (5, 3, vec![2, 4]));
        // Whoever exported this chat is the helper, or is not.
        assert_eq!(of("Me: a\nSam: b\nMe: c\nSam: d"), (4, 4, vec![1, 3]));
        assert_eq!(of("User: a\nLuna: b\nUser: c\nLuna: d"), (4, 4, vec![1, 3]));
        assert_eq!(of("User: a\nBot: b\nSam: c\nBot: d"), (3, 1, vec![1]));
        assert_eq!(of("Me: a\nYou: b"), (2, 2, vec![1]));
        assert_eq!(of("Q: a\nA: b"), (2, 2, vec![1]));
        // A word of the person's, or an answer to them?
        assert_eq!(of("i am alone\nTherapist: gone\nas ever"), (2, 2, vec![1]));
        assert_eq!(of("Sam: a\nCounselor: b"), (2, 1, vec![]));
        assert_eq!(of("Counselor: a\nSam: b"), (2, 1, vec![]));
    }

    #[test]
    fn the_person_is_never_part_of_an_assistant_turn() {
        for text in [
            "User: hi\nAssistant: hello\nMe: x",
            "[seeker]hi[supporter]hello[user]x",
            "[bot]hello\nUser: x",
            "Title: chat\nBot: hello\nSam: x",
            "Bot: hello\nI: x",
            "Model: m\n\n**User:** x\n\n**Assistant:** hello",
            "**Bot:** hello\nUser: x",
            "## Assistant\nhello\n**User:** x",
            "Assistant: when?\nUser: 3:15 x",
            "[User]: asked the [AI] and x\n[Assistant]: hello",
            "[10:32] Bot: hello\n[10:33] +1 514 555-0123: x",
            "Bot: hello\u{2028}User: x",
        ] {
            let read = transcript(text);
            let said = read.turns.iter().find(|turn| turn.text.ends_with('x')).expect(text);
            assert_eq!(said.role, Role::User, "{text}: {read:?}");
        }
    }

    #[test]
    fn many_names_take_time_in_proportion() {
        // Were each name compared with all others, this would take minutes.
        let lines: Vec<String> = (0..200_000).map(|i| format!("name{i}x: word")).collect();
        let text = lines.join("\n");
        assert_eq!(transcript(&text).turns.len(), 1);
        assert_eq!(transcript(&format!("Bot: hi\n{text}")).turns.len(), 200_001);
    }

    #[test]
    fn asterisks_after_a_plain_mark_belong_to_the_text() {
        assert_eq!(read("User: **really** low"), "U(**really** low)");
        assert_eq!(read("User:**really** low"), "U(**really** low)");
    }

    #[test]
    fn what_nobody_signed_is_the_persons() {
        assert_eq!(read("just this"), "U(just this)");
        assert_eq!(read("just this\nassistant: ok\nassistant: so"), "U(just this) A(ok) A(so)");
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
        assert_eq!(answer("ok").turns[0].role, Role::Assistant);
        assert_eq!(answer("[supporter]ok").turns[0].text, "ok");
        assert_eq!(answer("[seeker]ok").turns[0].role, Role::User);
        assert_eq!(answer("a\nuser: b").turns.len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_is_lost(text in "((\\*\\*)?(user|AI|support)?(\\*\\*)?[:：\n ]|\\[seeker\\]|\\[|[a-z*é]){0,30}") {
            let said: usize = transcript(&text).turns.iter().map(|t| t.text.len()).sum();
            prop_assert!(said <= text.len());
            let first = text.trim().lines().next().unwrap_or_default().trim();
            if !first.is_empty() && !opens_with_a_tag(first) && line_mark(first).is_none() {
                prop_assert!(transcript(&text).turns.iter().any(|t| t.text.contains(first)));
            }
        }

        #[test]
        fn signed_turns_are_read_back(said in proptest::collection::vec((0..2usize, "[a-z]{1,8}(\n[a-z]{1,5})?"), 1..9), bold in 0..2usize) {
            let names = [["user: ", "support: "], ["**User:** ", "**Assistant:** "]][bold];
            let text: Vec<_> = said.iter().map(|(who, words)| format!("{}{words}", names[*who])).collect();
            let read = transcript(&text.join("\n")).turns;
            prop_assert_eq!(read.len(), said.len());
            for (turn, (who, words)) in read.iter().zip(&said) {
                prop_assert_eq!(turn.role as usize, *who);
                prop_assert_eq!(&turn.text, words);
            }
        }
    }
}
