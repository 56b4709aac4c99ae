//! Cases from Markdown, line by line. What is not understood is an error with its
//! line, and the cases after it are read all the same.

use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as Unnamed, StrDeserializer};
use serde::{Deserialize, Serialize};

use super::{Case, Claim, Expectation, Moment, Place, Presence, Wanted, wire};
use crate::assessment::NotEvaluatedReason;
use crate::conversation::{Conversation, Role};
use crate::language::Language;
use crate::reader::{Unread, speaker_role, transcript};
use crate::taxonomy::{CrisisLabel, Stage, Taxonomy as _, Tense};
use crate::verdict::{ReplyAction, RuleName, UserAction};

/// A case that could not be read. Displays as `cases/risk.md:12: action: found a
/// text of 7 characters, expected ...`; what stands there is not repeated, since it
/// may be somebody's words in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}:{line}: {part}: found {found}, expected {expected}")]
pub struct CaseError {
    /// The file, as the caller named it.
    pub source_name: String,
    /// The line, from 1.
    pub line: usize,
    /// The part of the case concerned.
    pub part: &'static str,
    /// The kind of thing that was found.
    pub found: String,
    /// What would have been accepted.
    pub expected: String,
}

/// An error that does not know its file yet.
struct Fault {
    line: usize,
    part: &'static str,
    found: String,
    expected: String,
}

type Outcome<T> = Result<T, Fault>;

/// A line with its number, from 1.
type Line<'a> = (usize, &'a str);

/// Reads the cases of a file, in order. Each `# ` heading begins one; a case that
/// cannot be read is an error and does not end the others. A file without a case is
/// an error as a whole.
pub fn read(source_name: &str, text: &str) -> Vec<Result<Case, CaseError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<Line<'_>> = (1..).zip(text.lines()).collect();
    let starts = headings(&lines);
    let first = starts.first().copied().unwrap_or(lines.len());
    let mut cases = Vec::new();
    if let Some(&(line, text)) = lines[..first].iter().find(|(_, text)| !text.trim().is_empty()) {
        cases.push(Err(fault(line, "the file", shown(text), "a heading that begins with `# `")));
    } else if starts.is_empty() {
        cases.push(Err(fault(1, "the file", "no case", "a heading that begins with `# `")));
    }
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    cases.extend(starts.iter().zip(ends).map(|(&start, end)| case(&lines[start..end])));
    let named = |fault: Fault| CaseError {
        source_name: source_name.to_owned(),
        line: fault.line,
        part: fault.part,
        found: fault.found,
        expected: fault.expected,
    };
    cases.into_iter().map(|case| case.map_err(named)).collect()
}

/// The places of all headings of cases.
fn headings(lines: &[Line<'_>]) -> Vec<usize> {
    let mut fences = Fences::default();
    let mut is_case = |line: &str| fences.is_heading(line) && line.starts_with("# ");
    let places = lines.iter().enumerate().filter(|(_, (_, line))| is_case(line));
    places.map(|(place, _)| place).collect()
}

/// Whether a line stands between fences, where nothing is a heading. Only prose has
/// fences: what looks like one further down is somebody's words.
#[derive(Default)]
struct Fences {
    is_open: bool,
    is_behind_prose: bool,
}

impl Fences {
    /// Takes the next line, and says whether it is a heading of a case or a section.
    fn is_heading(&mut self, line: &str) -> bool {
        if !self.is_behind_prose && line.trim_start().starts_with("```") {
            self.is_open = !self.is_open;
        }
        let is_section = line.starts_with("## ");
        let is_heading = !self.is_open && (is_section || line.starts_with("# "));
        if is_heading {
            self.is_behind_prose = is_section;
        }
        is_heading
    }
}

/// One case, whose first line is its heading.
fn case(lines: &[Line<'_>]) -> Outcome<Case> {
    let (line, heading) = lines[0];
    let heading = heading.trim_start_matches('#').trim().to_owned();
    if heading.is_empty() {
        return Err(fault(line, "heading", "no words", "what the case is about"));
    }
    let sections = Sections::of(lines)?;
    let said = conversation(sections.conversation)?;
    let expectations = expectations(sections.expectations, &said.conversation)?;
    said.must_be_told_apart(&expectations)?;
    let Said { conversation, unread, .. } = said;
    Ok(Case { heading, line, conversation, unread, expectations })
}

/// The sections behind the prose, each with the line that heads it.
struct Sections<'a> {
    conversation: &'a [Line<'a>],
    expectations: &'a [Line<'a>],
}

const CONVERSATION: &str = "## Conversation";
const EXPECTATIONS: &str = "## Expectations";

impl<'a> Sections<'a> {
    fn of(lines: &'a [Line<'a>]) -> Outcome<Self> {
        let mut fences = Fences::default();
        let mut wanted = [CONVERSATION, EXPECTATIONS].into_iter();
        let mut places = Vec::new();
        for (place, &(line, text)) in lines.iter().enumerate() {
            if fences.is_heading(text) && text.starts_with("## ") {
                let next = wanted.next();
                if next != Some(text.trim_end()) {
                    return Err(fault(line, "section", shown(text), order(next)));
                }
                places.push(place);
            }
        }
        let [conversation, expectations] = places[..] else {
            return Err(fault(lines[0].0, "case", "a section missing", order(wanted.next())));
        };
        Ok(Self { conversation: &lines[conversation..expectations], expectations: &lines[expectations..] })
    }
}

/// What should have come in place of a section, or at the end of a case.
fn order(next: Option<&str>) -> String {
    next.map_or_else(|| "no further section".to_owned(), |next| format!("`{next}`"))
}

/// A conversation, and where somebody speaks whose side nobody knows.
struct Said {
    conversation: Conversation,
    unread: Vec<Unread>,
    /// The line of the first speaker whose name is not a known one.
    stranger: Option<usize>,
}

/// A conversation from its section, whose first line is the section's heading.
fn conversation(section: &[Line<'_>]) -> Outcome<Said> {
    let lines = &section[1..];
    let Some(&(line, first)) = lines.iter().find(|(_, text)| !text.trim().is_empty()) else {
        return Err(fault(section[0].0, "conversation", "no turn", SPEAKERS));
    };
    if bold_name(first).is_none() {
        return Err(fault(line, "conversation", shown(first), SPEAKERS));
    }
    let is_stranger = |text: &str| bold_name(text).is_some_and(|name| speaker_role(name).is_none());
    let stranger = lines.iter().find(|(_, text)| is_stranger(text)).map(|&(line, _)| line);
    let text: Vec<&str> = lines.iter().map(|&(_, text)| text).collect();
    let read = transcript(&text.join("\n"));
    let unread =
        read.unknown_speakers.into_iter().map(|turn| Unread { turn, reason: UNKNOWN_SPEAKER }).collect();
    Ok(Said { conversation: Conversation { id: None, turns: read.turns }, unread, stranger })
}

const SPEAKERS: &str = "a line that begins with `**Person:**` or `**Assistant:**`";
const UNKNOWN_SPEAKER: NotEvaluatedReason = NotEvaluatedReason::UnknownSpeaker;

impl Said {
    /// A name that nobody knows is a typing mistake, unless the case is about it.
    fn must_be_told_apart(&self, expectations: &[Expectation]) -> Outcome<()> {
        let about_it = Claim::NotEvaluated(Some(UNKNOWN_SPEAKER));
        match self.stranger {
            Some(line) if !expectations.iter().any(|expectation| expectation.claim == about_it) => {
                Err(fault(
                    line,
                    "conversation",
                    "a speaker with an unknown name",
                    "`**Person:**`, `**Assistant:**`, or the expectation `not evaluated: unknown_speaker`",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// The name of a line that begins as `**Name:** `.
fn bold_name(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("**")?;
    let (name, after) = rest.split_once("**")?;
    let name = name.strip_suffix(':').or_else(|| after.starts_with(':').then_some(name))?;
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | '-' | '\'' | '’');
    (!name.trim().is_empty() && name.chars().all(is_name)).then(|| name.trim())
}

/// Expectations from their section, whose first line is the section's heading.
fn expectations(section: &[Line<'_>], conversation: &Conversation) -> Outcome<Vec<Expectation>> {
    let mut read: Vec<Expectation> = Vec::new();
    for &(line, text) in section[1..].iter().filter(|(_, text)| !text.trim().is_empty()) {
        let item = text.trim_start().strip_prefix(['-', '*']).filter(|item| item.starts_with(' '));
        let Some((key, value)) = item.and_then(|item| item.split_once(':')) else {
            return Err(fault(line, "expectation", shown(text), "`- key: value`"));
        };
        let (key, value) = (Key { line, words: words(key) }, value.trim());
        if key.words == ["known", "to", "fail"] {
            mark(&mut read, line, text, value)?;
        } else {
            let claim = key.claim(value, conversation)?;
            read.push(Expectation { line, claim, known_to_fail: None });
        }
    }
    if read.is_empty() {
        return Err(fault(section[0].0, "expectations", "none", "at least one, such as `- action: allow`"));
    }
    Ok(read)
}

/// Marks the expectation above as known to fail.
fn mark(read: &mut [Expectation], line: usize, text: &str, reason: &str) -> Outcome<()> {
    let part = "known to fail";
    let is_indented = text.starts_with([' ', '\t']);
    match read.last_mut().filter(|_| is_indented) {
        _ if reason.is_empty() => Err(fault(line, part, "no reason", "why it is known to fail")),
        None => Err(fault(line, part, "no expectation that it belongs to", "it indented below one")),
        Some(above) if above.known_to_fail.is_some() => {
            Err(fault(line, part, "a second mark", "one mark for each expectation"))
        }
        Some(above) => {
            above.known_to_fail = Some(reason.to_owned());
            Ok(())
        }
    }
}

/// What stands before the colon of an expectation, as words in lower case.
struct Key {
    line: usize,
    words: Vec<String>,
}

/// What an expectation is about.
enum Subject {
    Person(Moment),
    Reply(usize),
}

impl Key {
    fn claim(&self, value: &str, conversation: &Conversation) -> Outcome<Claim> {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        match words[..] {
            ["onset"] => {
                let (label, place) = onset(value, conversation).ok_or_else(|| self.fault(value, ONSET))?;
                Ok(Claim::Onset(label, place))
            }
            ["no", "onset"] if value == "any" => Ok(Claim::NoOnset(None)),
            ["no", "onset"] => {
                let label =
                    label(value).ok_or_else(|| self.fault(value, "a label as `SI_active`, or any"))?;
                Ok(Claim::NoOnset(Some(label)))
            }
            ["not", "evaluated"] if value == "nothing" => Ok(Claim::NotEvaluated(None)),
            ["not", "evaluated"] => {
                let reason = named(value).ok_or_else(|| self.fault(value, reasons()))?;
                Ok(Claim::NotEvaluated(Some(reason)))
            }
            ["language"] => {
                let language: Option<Language> = named(value);
                language.map(Claim::Language).ok_or_else(|| self.fault(value, "en, fr or mix"))
            }
            ["resources"] => match value {
                "offered" => Ok(Claim::Resources(Presence::Present)),
                "none" => Ok(Claim::Resources(Presence::Absent)),
                _ => Err(self.fault(value, "offered or none")),
            },
            ["after", "turn", turn, ref rest @ ..] => {
                let turn = self.turn(turn, conversation, None)?;
                self.verdict(&Subject::Person(Moment::After(turn)), rest, value)
            }
            ["reply", turn, ref rest @ ..] => {
                let turn = self.turn(turn, conversation, Some(Role::Assistant))?;
                self.verdict(&Subject::Reply(turn), rest, value)
            }
            [] => Err(self.unknown()),
            ref rest => self.verdict(&Subject::Person(Moment::End), rest, value),
        }
    }

    /// What is expected of a verdict: its action, or a rule among its reasons.
    fn verdict(&self, subject: &Subject, rest: &[&str], value: &str) -> Outcome<Claim> {
        let presence = match (subject, rest) {
            (Subject::Person(Moment::End), []) => return Err(self.unknown()),
            (_, ["action"] | []) => return self.action(subject, value),
            (_, ["rule"]) => Presence::Present,
            (_, ["no", "rule"]) => Presence::Absent,
            _ => return Err(self.unknown()),
        };
        let allowed: &[RuleName] = match subject {
            Subject::Person(_) => &PERSON_RULES,
            Subject::Reply(_) => &REPLY_RULES,
        };
        let rule = named(value).filter(|rule| allowed.contains(rule));
        let rule = rule.ok_or_else(|| self.fault(value, listed(allowed)))?;
        Ok(match *subject {
            Subject::Person(moment) => Claim::PersonRule(moment, presence, rule),
            Subject::Reply(turn) => Claim::ReplyRule(turn, presence, rule),
        })
    }

    fn action(&self, subject: &Subject, value: &str) -> Outcome<Claim> {
        Ok(match *subject {
            Subject::Person(moment) => {
                let all = [UserAction::Allow, UserAction::Support, UserAction::Escalate];
                Claim::Person(moment, wanted(value).ok_or_else(|| self.fault(value, actions(&all)))?)
            }
            Subject::Reply(turn) => {
                let all = [ReplyAction::Allow, ReplyAction::Revise, ReplyAction::Block];
                Claim::Reply(turn, wanted(value).ok_or_else(|| self.fault(value, actions(&all)))?)
            }
        })
    }

    /// The number of a turn that the conversation has and that `role` speaks.
    fn turn(&self, word: &str, conversation: &Conversation, role: Option<Role>) -> Outcome<usize> {
        let turn: Option<usize> = word.parse().ok();
        let spoken = turn.and_then(|turn| conversation.turns.get(turn));
        match (turn, spoken) {
            (None, _) => Err(fault(self.line, "turn", shown(word), "the number of a turn, from 0")),
            (Some(turn), Some(spoken)) if role.is_none_or(|role| spoken.role == role) => Ok(turn),
            (Some(turn), Some(spoken)) => {
                let found = format!("turn {turn}, which is of the {}", spoken.role.wire());
                Err(fault(self.line, "turn", found, "a turn of the assistant; they are counted from 0"))
            }
            (Some(turn), None) => {
                let expected = format!("one below {}; they are counted from 0", conversation.turns.len());
                Err(fault(self.line, "turn", format!("turn {turn}"), expected))
            }
        }
    }

    fn fault(&self, value: &str, expected: impl Into<String>) -> Fault {
        fault(self.line, "expectation", shown(value), expected)
    }

    fn unknown(&self) -> Fault {
        let found = format!("a key of {} characters", self.words.join(" ").chars().count());
        fault(self.line, "expectation", found, KEYS)
    }
}

const KEYS: &str = "action, after turn N, reply N, rule, no rule, onset, no onset, not evaluated, \
                    language, resources, or known to fail indented below one of them";
const ONSET: &str = "a label, `at turn N` or `by turn N` where wanted, N a turn of the person, from 0: \
                     `SI_active at turn 4`, `past CA`, `alert`";

/// The rules about the person.
const PERSON_RULES: [RuleName; 7] = [
    RuleName::Risk,
    RuleName::GraveSignal,
    RuleName::ConfirmedCrisis,
    RuleName::Alert,
    RuleName::PastEvent,
    RuleName::ThirdParty,
    RuleName::NotEvaluated,
];

/// The rules about a reply.
const REPLY_RULES: [RuleName; 3] = [RuleName::UnsafeReply, RuleName::HarmfulReply, RuleName::NotEvaluated];

/// A label with its place: `SI_active at turn 4`.
fn onset(value: &str, conversation: &Conversation) -> Option<(CrisisLabel, Place)> {
    let all: Vec<&str> = value.split_whitespace().collect();
    let (name, place) = match all[..] {
        [ref name @ .., "at", "turn", turn] => (name, Place::At(turn.parse().ok()?)),
        [ref name @ .., "by", "turn", turn] => (name, Place::By(turn.parse().ok()?)),
        ref name => (name, Place::Anywhere),
    };
    let is_person = |turn: usize| conversation.turns.get(turn).is_some_and(|t| t.role == Role::User);
    match place {
        Place::At(turn) | Place::By(turn) if !is_person(turn) => None,
        _ => Some((label(&name.join(" "))?, place)),
    }
}

/// A crisis label by its name on the wire, or by the code of its type, with `past`
/// before it where it is over: `SI_active`, `past CA`, `alert`.
fn label(name: &str) -> Option<CrisisLabel> {
    let (tense, code) = match name.strip_prefix("past ") {
        Some(code) => (Tense::Past, code),
        None => (Tense::Ongoing, name.strip_prefix("ongoing ").unwrap_or(name)),
    };
    let ending = match tense {
        Tense::Past => "past",
        Tense::Ongoing => "ongoing",
    };
    let is_meant = |label: &CrisisLabel| {
        let wire = match label.stage() {
            Stage::Alert => format!("{code}_{ending}"),
            Stage::Confirm(_) => format!("confirm_{code}_{ending}"),
        };
        label.wire() == name || label.wire() == wire
    };
    CrisisLabel::ALL.iter().copied().find(is_meant)
}

/// The action that a value asks for: `support`, `at least support`.
fn wanted<A: for<'de> Deserialize<'de>>(value: &str) -> Option<Wanted<A>> {
    let words: Vec<&str> = value.split_whitespace().collect();
    match words[..] {
        [action] => named(action).map(Wanted::Exactly),
        ["at", "least", action] => named(action).map(Wanted::AtLeast),
        ["at", "most", action] => named(action).map(Wanted::AtMost),
        _ => None,
    }
}

/// The variant with this name on the wire.
fn named<T: for<'de> Deserialize<'de>>(name: &str) -> Option<T> {
    let name: StrDeserializer<'_, Unnamed> = name.into_deserializer();
    T::deserialize(name).ok()
}

fn reasons() -> String {
    format!("{}, or nothing", listed(&NotEvaluatedReason::ALL))
}

fn actions(all: &[impl Serialize]) -> String {
    format!("{}, with `at least` or `at most` before it where wanted", listed(all))
}

/// Names on the wire, with commas.
fn listed(values: &[impl Serialize]) -> String {
    values.iter().map(wire).collect::<Vec<_>>().join(", ")
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_lowercase).collect()
}

/// A text as an error may show it: only its length.
fn shown(text: &str) -> String {
    format!("a text of {} characters", text.trim().chars().count())
}

fn fault(line: usize, part: &'static str, found: impl Into<String>, expected: impl Into<String>) -> Fault {
    Fault { line, part, found: found.into(), expected: expected.into() }
}
