//! Draws a report for people: one line per turn, then the verdict and why.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write as _};

use mindrail_core::assessment::{NotEvaluated, NotEvaluatedReason};
use mindrail_core::conversation::{Conversation, Role};
use mindrail_core::language::Language;
use mindrail_core::policy::helplines::Checked;
use mindrail_core::policy::rules::RiskLevels;
use mindrail_core::probability::Probability;
use mindrail_core::report::{Decision, Report, TurnReport, TurnReportScores};
use mindrail_core::taxonomy::{ReplyClass, Taxonomy as _};
use mindrail_core::verdict::{Explanation, ReplyAction, UserAction};
use serde::Serialize;

/// Whether escape sequences may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Colour,
    Plain,
}

/// A report with the texts that it is about.
pub(crate) struct Timeline<'a> {
    pub(crate) conversation: &'a Conversation,
    pub(crate) report: &'a Report,
    /// The thresholds that conversation risk is judged by.
    pub(crate) levels: RiskLevels,
    pub(crate) style: Style,
}

const EXCERPT: usize = 46;
const BAR: usize = 10;
/// Values of a turn that are shown.
const VALUES: usize = 3;

#[derive(Clone, Copy)]
enum Tone {
    Calm,
    Watchful,
    Grave,
    Faint,
}

impl Timeline<'_> {
    fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Calm => "32",
            Tone::Watchful => "33",
            Tone::Grave => "1;31",
            Tone::Faint => "2",
        };
        match self.style {
            Style::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
            Style::Plain => text.to_owned(),
        }
    }

    fn turn(&self, f: &mut Formatter<'_>, turn: &TurnReport) -> fmt::Result {
        let text = self.conversation.turns.get(turn.index).map_or("", |t| t.text.as_str());
        write!(f, "{:>4}  {:<9}  {}  ", turn.index, turn.role.wire(), excerpt(text))?;
        match &turn.scores {
            Some(TurnReportScores::User { risk, onsets, .. }) => {
                let onsets: Vec<&str> = onsets.iter().map(|o| o.wire()).collect();
                let tone = self.risk_tone(*risk);
                let onsets =
                    if onsets.is_empty() { String::new() } else { format!("  ◀ {}", onsets.join(", ")) };
                writeln!(f, "{}{}", self.paint(tone, &bar(risk.get())), self.paint(Tone::Grave, &onsets))
            }
            Some(TurnReportScores::Assistant { reply, verdict, .. }) => self.reply(f, reply.class, verdict),
            None => {
                let why = if turn.role == Role::System { "not scored" } else { "not evaluated" };
                writeln!(f, "{}", self.paint(Tone::Faint, why))
            }
        }
    }

    fn reply(
        &self,
        f: &mut Formatter<'_>,
        class: ReplyClass,
        verdict: &Decision<ReplyAction>,
    ) -> fmt::Result {
        let tone = match verdict.action {
            ReplyAction::Allow => Tone::Faint,
            ReplyAction::Revise => Tone::Watchful,
            ReplyAction::Block => Tone::Grave,
        };
        let mut line = class.wire().to_owned();
        if let Some(reason) = verdict.reasons.first() {
            let why = reason.label.as_ref().map_or_else(|| wire(&reason.rule).replace('_', " "), wire);
            let _ = write!(line, "  ▶ {}: {why}{}", wire(&verdict.action), numbers(reason));
        }
        writeln!(f, "{}", self.paint(tone, &line))
    }

    fn risk_tone(&self, risk: Probability) -> Tone {
        if risk >= self.levels.high_risk {
            Tone::Grave
        } else if risk >= self.levels.support {
            Tone::Watchful
        } else {
            Tone::Calm
        }
    }

    fn verdict(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verdict = &self.report.verdict;
        let (tone, meaning) = match verdict.action {
            UserAction::Allow => (Tone::Calm, "the assistant may answer as it would"),
            UserAction::Support => (Tone::Watchful, "answer with support and resources"),
            UserAction::Escalate => (Tone::Grave, "a human should step in now"),
        };
        let name = wire(&verdict.action).to_uppercase();
        writeln!(f, "Verdict: {} ({meaning})", self.paint(tone, &name))?;
        for reason in &verdict.reasons {
            explanation(f, reason, 1)?;
        }
        Ok(())
    }

    fn closing(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(risk) = self.report.risk {
            let (high, threshold) = (self.report.high_risk == Some(true), self.levels.high_risk.get());
            let side = if high { "at or above" } else { "below" };
            write!(
                f,
                "\nConversation risk {:.2}, {side} the high-risk threshold {threshold:.2}.",
                risk.get()
            )?;
            if !high && self.report.verdict.action == UserAction::Escalate {
                write!(f, " The verdict rests on the reasons above, not on this figure.")?;
            }
            writeln!(f)?;
        }
        self.not_evaluated(f)?;
        let model = &self.report.model;
        writeln!(
            f,
            "Model {} {} ({}). Not a diagnosis; a low score does not mean safe.",
            model.name,
            model.version,
            &model.sha256[..12]
        )
    }

    /// One line per reason, with all turns that it concerns.
    fn not_evaluated(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let is_speech = |entry: &&NotEvaluated| entry.reason != NotEvaluatedReason::SystemTurn;
        for entry in self.report.not_evaluated.iter().filter(is_speech) {
            let place =
                entry.turn.map_or_else(|| "the conversation".to_owned(), |turn| format!("turn {turn}"));
            places.entry(wire(&entry.reason).replace('_', " ")).or_default().push(place);
        }
        places
            .iter()
            .try_for_each(|(reason, places)| writeln!(f, "Not evaluated: {reason} ({}).", places.join(", ")))
    }

    fn resources(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(offer) = &self.report.resources else { return Ok(()) };
        let language = self.report.language.unwrap_or(Language::Mix);
        for words in &offer.words {
            writeln!(f, "Say: {words}")?;
        }
        for line in &offer.helplines {
            let checked = match line.checked {
                Checked::VerifiedAt(day) => format!("verified {day}"),
                Checked::DocumentedAt(day) => format!("documented by {day}, not verified"),
            };
            writeln!(f, "     {} [{}; {checked}]", line.short(language), line.region)?;
        }
        writeln!(f)
    }
}

impl Display for Timeline<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = printable(self.report.id.as_deref().unwrap_or("conversation"));
        writeln!(f, "{name}: {} turns\n", self.report.turns.len())?;
        for turn in &self.report.turns {
            self.turn(f, turn)?;
            values(f, &turn.values)?;
        }
        writeln!(f)?;
        self.verdict(f)?;
        writeln!(f)?;
        self.resources(f)?;
        self.closing(f)
    }
}

/// Scores that no taxonomy has a place for, the highest first, on a line of their own.
fn values(f: &mut Formatter<'_>, values: &BTreeMap<String, f32>) -> fmt::Result {
    if values.is_empty() {
        return Ok(());
    }
    let mut found: Vec<_> = values.iter().collect();
    found.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let shown: Vec<String> =
        found.iter().take(VALUES).map(|(name, value)| format!("{name} {value:.2}")).collect();
    let more = if found.len() > VALUES { ", …" } else { "" };
    writeln!(f, "{:>19}{}{more}", "", shown.join(", "))
}

fn explanation(f: &mut Formatter<'_>, reason: &Explanation<UserAction>, depth: usize) -> fmt::Result {
    write!(f, "{}- {} [{}", "  ".repeat(depth), reason.statement, wire(&reason.rule))?;
    if let Some(turn) = reason.turn {
        write!(f, ", turn {turn}")?;
    }
    if let Some(label) = &reason.label {
        write!(f, ", {}", wire(label))?;
    }
    writeln!(f, "{}]", numbers(reason))?;
    reason.details.iter().try_for_each(|detail| explanation(f, detail, depth + 1))
}

/// The probability of a reason and the threshold that it reached, if it has them.
fn numbers<A>(reason: &Explanation<A>) -> String {
    match (reason.probability, reason.threshold) {
        (Some(found), Some(threshold)) => format!(", {:.2} reaches {:.2}", found.get(), threshold.get()),
        _ => String::new(),
    }
}

/// A value's name on the wire.
fn wire(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The text without what could steer a terminal: control characters, and marks that
/// turn the direction of writing.
fn printable(text: &str) -> String {
    let steers = |c: &char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|c| !steers(c)).collect()
}

/// The beginning of a text on one line, always of one width.
fn excerpt(text: &str) -> String {
    let line = printable(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    let shown = if line.chars().count() > EXCERPT {
        format!("{}…", line.chars().take(EXCERPT - 1).collect::<String>())
    } else {
        line
    };
    format!("{shown:<EXCERPT$}")
}

/// A probability as a bar with its number.
fn bar(risk: f32) -> String {
    let full = (risk * BAR as f32).round() as usize;
    format!("{}{} {risk:.2}", "█".repeat(full), "░".repeat(BAR - full.min(BAR)))
}
