//! Draws a report for people: one line per turn, then the verdict and why.

use std::fmt::{self, Display, Formatter};

use mindrail_core::conversation::{Conversation, Role};
use mindrail_core::policy::Policy;
use mindrail_core::report::{Report, TurnReport, TurnReportScores};
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
    pub(crate) policy: &'a Policy,
    pub(crate) style: Style,
}

const EXCERPT: usize = 46;
const BAR: usize = 10;

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
                let tone = Self::risk_tone(risk.get());
                let onsets =
                    if onsets.is_empty() { String::new() } else { format!("  ◀ {}", onsets.join(", ")) };
                writeln!(f, "{}{}", self.paint(tone, &bar(risk.get())), self.paint(Tone::Grave, &onsets))
            }
            Some(TurnReportScores::Assistant { reply, verdict, .. }) => {
                self.reply(f, reply.class, verdict.action)
            }
            None => {
                let why = if turn.role == Role::System { "not scored" } else { "not evaluated" };
                writeln!(f, "{}", self.paint(Tone::Faint, why))
            }
        }
    }

    fn reply(&self, f: &mut Formatter<'_>, class: ReplyClass, action: ReplyAction) -> fmt::Result {
        let tone = match action {
            ReplyAction::Allow => Tone::Faint,
            ReplyAction::Revise => Tone::Watchful,
            ReplyAction::Block => Tone::Grave,
        };
        let action =
            if action == ReplyAction::Allow { String::new() } else { format!("  ▶ {}", wire(&action)) };
        writeln!(f, "{}", self.paint(tone, &format!("{}{action}", class.wire())))
    }

    fn risk_tone(risk: f32) -> Tone {
        if risk >= 0.5 {
            Tone::Grave
        } else if risk >= 0.2 {
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
            let high = if self.report.high_risk == Some(true) {
                "high risk"
            } else {
                "below the high-risk threshold"
            };
            writeln!(f, "\nConversation risk {:.2}, {high}.", risk.get())?;
        }
        let seen = self
            .report
            .not_evaluated
            .iter()
            .filter(|entry| entry.reason != mindrail_core::assessment::NotEvaluatedReason::SystemTurn);
        for entry in seen {
            let place =
                entry.turn.map_or_else(|| "the conversation".to_owned(), |turn| format!("turn {turn}"));
            writeln!(f, "Not evaluated: {place} ({}).", wire(&entry.reason).replace('_', " "))?;
        }
        let model = &self.report.model;
        writeln!(
            f,
            "Model {} {} ({}). Not a diagnosis; a low score does not mean safe.",
            model.name,
            model.version,
            &model.sha256[..12]
        )
    }

    fn resources(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.report.verdict.action == UserAction::Allow {
            return Ok(());
        }
        let language = self.language();
        for words in self.policy.resources.general(language) {
            writeln!(f, "Say: {words}")?;
        }
        for line in self.policy.resources.helplines(language) {
            writeln!(
                f,
                "     {}: {} ({}; checked {})",
                line.name,
                line.contact,
                line.region,
                line.verified_at.as_str()
            )?;
        }
        writeln!(f)
    }

    fn language(&self) -> mindrail_core::language::Language {
        let mut counts = mindrail_core::language::LanguageCounts::default();
        for turn in self.conversation.turns.iter().filter(|t| t.role == Role::User) {
            counts.read(&turn.text);
        }
        counts.language()
    }
}

impl Display for Timeline<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.report.id.as_deref().unwrap_or("conversation");
        writeln!(f, "{name}: {} turns\n", self.report.turns.len())?;
        for turn in &self.report.turns {
            self.turn(f, turn)?;
        }
        writeln!(f)?;
        self.verdict(f)?;
        writeln!(f)?;
        self.resources(f)?;
        self.closing(f)
    }
}

fn explanation(f: &mut Formatter<'_>, reason: &Explanation<UserAction>, depth: usize) -> fmt::Result {
    write!(f, "{}- {} [{}", "  ".repeat(depth), reason.statement, wire(&reason.rule))?;
    if let Some(turn) = reason.turn {
        write!(f, ", turn {turn}")?;
    }
    if let Some(label) = &reason.label {
        write!(f, ", {}", wire(label))?;
    }
    if let (Some(probability), Some(threshold)) = (reason.probability, reason.threshold) {
        write!(f, ", {:.2} reaches {:.2}", probability.get(), threshold.get())?;
    }
    writeln!(f, "]")?;
    reason.details.iter().try_for_each(|detail| explanation(f, detail, depth + 1))
}

/// A value's name on the wire.
fn wire(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The beginning of a text on one line, always of one width.
fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = line.chars().filter(|c| !c.is_control()).take(EXCERPT).collect();
    let shown = if line.chars().count() > EXCERPT {
        format!("{}…", shown.chars().take(EXCERPT - 1).collect::<String>())
    } else {
        shown
    };
    format!("{shown:<EXCERPT$}")
}

/// A probability as a bar with its number.
fn bar(risk: f32) -> String {
    let full = (risk * BAR as f32).round() as usize;
    format!("{}{} {risk:.2}", "█".repeat(full), "░".repeat(BAR - full.min(BAR)))
}
