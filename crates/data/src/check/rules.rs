//! The promises of each data set, as functions of one sample. Sources:
//! `shared/reference/harm.md` section 1.2, `crisis.md` section 1, `distress.md`
//! section 1.

use std::collections::BTreeMap;

use mindrail_core::conversation::{Conversation, Role};
use mindrail_core::digest::sha256;
use mindrail_core::taxonomy::{CrisisLabel, Severity, Signal, Stage, Tense};

use super::{Rule, is_unknown};
use crate::sets::{
    BeaverTailsRow, CorpusRow, CradleDialogue, CradlePost, EsconvDialogue, Irregularity, KhpRow, PostLabel,
    PrimarySignal, Reply, ReplyPair, RiskName, Row, Sample, Side, SignalFlags, Term, Vocabulary as _,
};
use crate::table::{DataError, Place};

/// The rows of a sample that break a rule.
pub(super) fn broken_by(sample: &Sample) -> Result<Vec<(Place, Rule)>, DataError> {
    let (place, row) = match sample {
        Sample::Dialogue(dialogue) => return Ok(dialogue_rules(dialogue)),
        Sample::Row(place, row) => (place, row),
    };
    let rules = match row {
        Row::Khp(row) => khp(row),
        Row::CradleTurn(_) => Vec::new(),
        Row::CradlePost(row) => post(row),
        Row::DialogueSafety(row) => reply_in_place(&row.conversation().map_err(|fault| fault.at(place))?),
        Row::Pair(row) => pair(row),
        Row::Answer(row) => reply(&row.prompt, &row.reply),
        Row::Prompt(row) => when(&[(row.prompt.trim().is_empty(), Rule::EmptyText)]),
        Row::BeaverTails(row) => beaver_tails(row),
        Row::Esconv(row) => esconv(row),
        Row::Corpus(row) => corpus(row),
    };
    Ok(rules.into_iter().map(|rule| (place.clone(), rule)).collect())
}

/// What must stand once in a file.
pub(super) fn identity(sample: &Sample) -> Option<String> {
    let Sample::Row(_, row) = sample else { return None };
    match row {
        Row::Khp(row) => row.id.clone(),
        Row::CradlePost(row) => Some(row.question_id.clone()),
        Row::Corpus(row) => Some(row.id.clone()),
        Row::Pair(row) => {
            // Which reply stands first does not matter.
            let mut hashes = row.replies.iter().map(|r| r.sha256.as_deref()).collect::<Option<Vec<_>>>()?;
            hashes.sort_unstable();
            Some(hashes.join(" "))
        }
        Row::Answer(row) => row.reply.sha256.clone(),
        Row::CradleTurn(_)
        | Row::DialogueSafety(_)
        | Row::Prompt(_)
        | Row::BeaverTails(_)
        | Row::Esconv(_) => None,
    }
}

fn when(broken: &[(bool, Rule)]) -> Vec<Rule> {
    broken.iter().filter(|(holds, _)| *holds).map(|(_, rule)| *rule).collect()
}

fn has_no_user_turn(conversation: &Conversation) -> bool {
    !conversation.turns.iter().any(|turn| turn.role == Role::User)
}

fn khp(row: &KhpRow) -> Vec<Rule> {
    let conversation = row.conversation();
    let signals = row.signals;
    let count = signals.map(SignalFlags::count);
    let primary = row.primary_signal.as_ref().and_then(Term::known);
    let is_absent = |primary: PrimarySignal| {
        Signal::from_wire(primary.wire()).is_some_and(|s| signals.is_some_and(|flags| !flags.has(s)))
    };
    let risk = row.risk.as_ref().and_then(Term::known);
    // The seed's `Turns` counts nothing that could be found; `n_turns` counts turns.
    let counts_turns = row.problem_type.is_some();
    let turns = conversation.turns.len() as i64;
    when(&[
        (row.text.trim().is_empty(), Rule::EmptyText),
        (has_no_user_turn(&conversation), Rule::NoUserTurn),
        (row.high_risk && count == Some(0), Rule::HighRiskWithoutSignal),
        (!row.high_risk && count.is_some_and(|count| count > 0), Rule::LowRiskWithSignal),
        (row.high_risk && primary.is_some_and(is_absent), Rule::PrimarySignalAbsent),
        (risk.is_some_and(|risk| (risk == RiskName::High) != row.high_risk), Rule::RiskAgainstLabel),
        (counts_turns && row.stated_turns.is_some_and(|stated| stated != turns), Rule::TurnCount),
        (has_unknown_value(row), Rule::UnknownValue),
    ])
}

fn has_unknown_value(row: &KhpRow) -> bool {
    is_unknown(row.source.as_ref())
        || is_unknown(row.primary_signal.as_ref())
        || is_unknown(row.escalation_stage.as_ref())
        || is_unknown(row.register.as_ref())
        || is_unknown(row.language.as_ref())
        || is_unknown(row.hardness_track.as_ref())
        || is_unknown(row.category.as_ref())
        || is_unknown(row.problem_type.as_ref())
        || is_unknown(row.emotion_type.as_ref())
        || is_unknown(row.risk.as_ref())
}

fn post(row: &CradlePost) -> Vec<Rule> {
    let none = row.labels.contains(&Term::Known(PostLabel::NoCrisis));
    when(&[
        (row.question_text.trim().is_empty(), Rule::EmptyText),
        (row.labels.iter().any(|label| label.known().is_none()), Rule::UnknownLabel),
        (none && row.labels.len() > 1, Rule::NoCrisisBesideCrisis),
        (row.labels.is_empty(), Rule::NoLabel),
    ])
}

/// The context ends with the person, and the reply is one turn behind it.
fn reply_in_place(conversation: &Conversation) -> Vec<Rule> {
    let roles: Vec<Role> = conversation.turns.iter().map(|turn| turn.role).collect();
    let in_place = roles.ends_with(&[Role::User, Role::Assistant]);
    when(&[(!in_place, Rule::ReplyOutOfPlace)])
}

fn reply(prompt: &str, reply: &Reply) -> Vec<Rule> {
    let safe = reply.is_safe;
    let severe = reply.severity.map(|severity| severity != Severity::None);
    let harmful = reply.harms.as_ref().map(|harms| !harms.is_empty());
    let both = |a: Option<bool>, b: Option<bool>| a.zip(b).is_some_and(|(a, b)| a == b);
    let hash = reply.sha256.as_ref().is_some_and(|stated| {
        !stated.eq_ignore_ascii_case(&sha256(format!("{prompt}{}", reply.text).as_bytes()))
    });
    let unknown = reply.harms.iter().flatten().any(|harm| harm.known().is_none());
    when(&[
        (both(safe, severe), Rule::SafetyAgainstSeverity),
        (both(safe, harmful), Rule::SafetyAgainstHarms),
        (severe.zip(harmful).is_some_and(|(a, b)| a != b), Rule::SeverityAgainstHarms),
        (hash, Rule::Hash),
        (unknown, Rule::UnknownLabel),
        (prompt.trim().is_empty() || reply.text.trim().is_empty(), Rule::EmptyText),
    ])
}

fn pair(row: &ReplyPair) -> Vec<Rule> {
    let mut rules: Vec<Rule> = row.replies.iter().flat_map(|r| reply(&row.prompt, r)).collect();
    let safe = |side: Side| row.replies[side.index()].is_safe;
    let less_safe = row.safer.is_some_and(|safer| {
        let other = if safer == Side::First { Side::Second } else { Side::First };
        safe(safer) == Some(false) && safe(other) == Some(true)
    });
    rules.extend(when(&[
        (less_safe, Rule::SaferIsUnsafe),
        (row.replies[0].text == row.replies[1].text, Rule::SameReplies),
        (is_unknown(row.prompt_source.as_ref()), Rule::UnknownValue),
    ]));
    rules
}

fn beaver_tails(row: &BeaverTailsRow) -> Vec<Rule> {
    let harmful = row.harms.as_ref().map(|harms| !harms.is_empty());
    when(&[
        (harmful == Some(row.is_safe), Rule::SafetyAgainstHarms),
        (row.harms.iter().flatten().any(|harm| harm.known().is_none()), Rule::UnknownLabel),
        (row.prompt.trim().is_empty() || row.response.trim().is_empty(), Rule::EmptyText),
    ])
}

fn esconv(row: &EsconvDialogue) -> Vec<Rule> {
    when(&[
        (has_no_user_turn(&row.conversation()), Rule::NoUserTurn),
        (is_unknown(row.problem_type.as_ref()) || is_unknown(row.emotion_type.as_ref()), Rule::UnknownValue),
    ])
}

fn corpus(row: &CorpusRow) -> Vec<Rule> {
    let labels = row.turns.iter().flat_map(|turn| &turn.crisis);
    let replies = &row.replies;
    let unknown = labels.clone().any(|label| label.known().is_none())
        || row.turns.iter().any(|turn| is_unknown(turn.response.as_ref()))
        || replies.iter().any(|r| is_unknown(Some(&r.response)) || is_unknown(Some(&r.severity)))
        || replies.iter().flat_map(|r| &r.harm).any(|harm| harm.known().is_none());
    let off = row.turns.iter().any(|turn| turn.role != Role::User && !turn.crisis.is_empty());
    let is_user = |at: i64| {
        usize::try_from(at).ok().and_then(|at| row.turns.get(at)).is_some_and(|turn| turn.role == Role::User)
    };
    let mut rules = when(&[
        (has_no_user_turn(&row.conversation()), Rule::NoUserTurn),
        (row.turns.iter().any(|turn| turn.text.trim().is_empty()), Rule::EmptyText),
        (unknown, Rule::UnknownLabel),
        (off, Rule::LabelOffUserTurn),
        (replies.iter().any(|r| !is_user(r.after_turn)), Rule::AfterTurn),
        (is_unknown(row.language.as_ref()), Rule::UnknownValue),
        // Of the corpus, low risk with signals is what the guidelines ask for.
        (row.high_risk && row.signals.count() == 0, Rule::HighRiskWithoutSignal),
    ]);
    rules.extend(repetitions(labels.filter_map(Term::known)));
    rules
}

fn dialogue_rules(dialogue: &CradleDialogue) -> Vec<(Place, Rule)> {
    let rule_of = |what: Irregularity| match what {
        Irregularity::JoinedRow => Rule::JoinedRow,
        Irregularity::OpeningListener => Rule::OpeningListener,
        Irregularity::OpeningWithoutSpeaker => Rule::OpeningWithoutSpeaker,
        Irregularity::TurnIdGap | Irregularity::TurnIdFallsBack => Rule::TurnOrder,
        Irregularity::MissingRow => Rule::MissingRow,
    };
    let noted = dialogue.irregularities.iter().map(|(place, what)| (place.clone(), rule_of(*what)));
    let mut broken: Vec<(Place, Rule)> = noted.collect();
    for turn in &dialogue.turns {
        let rules = when(&[
            (turn.labels.iter().any(|label| label.known().is_none()), Rule::UnknownLabel),
            (turn.role != Role::User && !turn.labels.is_empty(), Rule::LabelOffUserTurn),
            (turn.text.trim().is_empty(), Rule::EmptyText),
        ]);
        broken.extend(rules.into_iter().map(|rule| (turn.place.clone(), rule)));
    }
    let labels = dialogue.turns.iter().flat_map(|turn| &turn.labels).filter_map(Term::known);
    let place = &dialogue.turns[0].place;
    broken.extend(repetitions(labels).into_iter().map(|rule| (place.clone(), rule)));
    if has_no_user_turn(&dialogue.conversation()) {
        broken.push((place.clone(), Rule::NoUserTurn));
    }
    broken
}

/// An event has at most one Alert and one Confirm. Labels do not name their event,
/// so only this much can be told: the same Confirm at two turns is too many (or two
/// events of one type), and so are more Alerts of a tense than its Confirms where
/// there are several Alerts.
fn repetitions(labels: impl Iterator<Item = CrisisLabel>) -> Vec<Rule> {
    let mut confirms: BTreeMap<CrisisLabel, usize> = BTreeMap::new();
    let mut alerts: BTreeMap<Tense, usize> = BTreeMap::new();
    for label in labels {
        match label.stage() {
            Stage::Alert => *alerts.entry(label.tense()).or_default() += 1,
            Stage::Confirm(_) => *confirms.entry(label).or_default() += 1,
        }
    }
    let confirmed = |tense: Tense| confirms.iter().filter(|(l, _)| l.tense() == tense).map(|(_, n)| n).sum();
    let too_many = alerts.iter().any(|(&tense, &count)| count > 1_usize.max(confirmed(tense)));
    when(&[
        (confirms.values().any(|&count| count > 1), Rule::RepeatedConfirm),
        (too_many, Rule::RepeatedAlert),
    ])
}
