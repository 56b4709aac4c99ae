//! A conversation as a picture and as a table. The picture is for a first look: risk of
//! each of the person's turns, risk of the conversation after each decision, what
//! began where, and the turns that the decision rests on. The table says the same in
//! words, for everybody, and for screen readers alone.
//!
//! Places are percentages and heights are pixels, so that the picture fits any width
//! without a script and its words keep their size.

use std::collections::BTreeMap;

use maud::{Markup, html};
use mindrail_core::conversation::Role;
use mindrail_core::policy::rules::RiskLevels;
use mindrail_core::taxonomy::{CrisisLabel, Stage, Taxonomy as _};

use super::course::{Course, Seen};
use super::page::action;
use super::words::{Phrase, Tongue};

/// What is drawn.
pub(super) struct Timeline<'a> {
    pub(super) tongue: Tongue,
    pub(super) course: &'a Course,
    /// The thresholds of the conversation's risk, where its language is known.
    pub(super) levels: Option<RiskLevels>,
    /// What was said, by turn, where it may be shown.
    pub(super) said: Option<&'a BTreeMap<usize, String>>,
}

/// Pixels from the picture's top to where risk is 1, and to where it is 0.
const TOP: f32 = 26.0;
const BOTTOM: f32 = 176.0;
const HEIGHT: f32 = 204.0;

/// Percent of the width in which turns stand.
const LEFT: f32 = 7.0;
const RIGHT: f32 = 96.0;

/// Turns beyond which the picture is wider than its place and scrolls.
const FITTING: usize = 60;

/// Turns that have their number written below them.
const NUMBERED: usize = 12;

impl Timeline<'_> {
    /// The picture with its legend.
    pub(super) fn draw(&self) -> Markup {
        html! {
            figure.timeline {
                (self.picture())
                figcaption { (self.legend()) }
            }
        }
    }

    fn last(&self) -> usize {
        let turns = self.course.turns.iter().map(|seen| seen.turn);
        turns.chain(self.course.steps.iter().map(|step| step.turn)).max().unwrap_or(0)
    }

    fn x(&self, turn: usize) -> String {
        let last = self.last();
        let share = if last == 0 { 0.5 } else { turn as f32 / last as f32 };
        format!("{:.2}%", LEFT + (RIGHT - LEFT) * share)
    }

    fn picture(&self) -> Markup {
        let evidence = self.course.evidence();
        let turns = self.last() + 1;
        let width = if turns > FITTING { (turns * 12).to_string() } else { "100%".to_owned() };
        let summary = self.summary();
        html! {
            div.scroll tabindex="0" role="group" aria-label=(self.tongue.say(Phrase::TimelinePicture)) {
                svg width=(width) height=(HEIGHT) role="img" aria-label=(summary) focusable="false" {
                    (self.frame())
                    (self.conversation_risk())
                    (self.turn_risk())
                    @for seen in &self.course.turns { (self.mark(seen, evidence.contains(&seen.turn))) }
                }
            }
        }
    }

    /// The picture in a sentence.
    fn summary(&self) -> String {
        let turns = self.course.turns.len().to_string();
        let highest = self.course.turns.iter().filter(|seen| seen.risk.is_some());
        let highest = highest.max_by(|a, b| a.risk.unwrap_or(0.0).total_cmp(&b.risk.unwrap_or(0.0)));
        match highest {
            Some(seen) => self.tongue.fill(
                Phrase::TimelineSummary,
                &[&turns, &self.tongue.risk(seen.risk), &seen.turn.to_string()],
            ),
            None => self.tongue.fill(Phrase::TimelineWithoutRisk, &[&turns]),
        }
    }

    fn frame(&self) -> Markup {
        let last = self.last();
        let every = last.div_ceil(NUMBERED).max(1);
        html! {
            @for (risk, word) in [(0.0, "0"), (0.5, "½"), (1.0, "1")] {
                line.grid x1=(format!("{LEFT}%")) x2=(format!("{RIGHT}%")) y1=(y(risk)) y2=(y(risk)) {}
                text.axis x=(format!("{}%", LEFT - 2.0)) y=(y(risk) + 4.0) text-anchor="end" { (word) }
            }
            @if let Some(levels) = self.levels {
                @for (class, level, word) in [
                    ("level watch", levels.support, Phrase::LevelSupport),
                    ("level grave", levels.high_risk, Phrase::LevelHigh),
                ] {
                    line class=(class) x1=(format!("{LEFT}%")) x2=(format!("{RIGHT}%"))
                        y1=(y(level.get())) y2=(y(level.get())) {}
                    text class=(class) x=(format!("{RIGHT}%")) y=(y(level.get()) - 4.0) text-anchor="end" {
                        (self.tongue.say(word))
                    }
                }
            }
            @for turn in (0..=last).step_by(every) {
                text.axis x=(self.x(turn)) y=(HEIGHT - 8.0) text-anchor="middle" { (turn) }
            }
        }
    }

    /// A line that stays where the last decision left it.
    fn conversation_risk(&self) -> Markup {
        let steps: Vec<(usize, f32)> =
            self.course.steps.iter().filter_map(|step| Some((step.turn, step.risk?))).collect();
        html! {
            @for pair in steps.windows(2) {
                @let ((from, before), (to, after)) = (pair[0], pair[1]);
                line.conversation x1=(self.x(from)) x2=(self.x(to)) y1=(y(before)) y2=(y(before)) {}
                line.conversation x1=(self.x(to)) x2=(self.x(to)) y1=(y(before)) y2=(y(after)) {}
            }
            @if let Some((turn, risk)) = steps.last() {
                rect.conversation x=(self.x(*turn)) y=(y(*risk) - 4.0) width="8" height="8" transform="translate(-4 0)" {}
            }
        }
    }

    fn turn_risk(&self) -> Markup {
        let scored: Vec<(usize, f32)> =
            self.course.turns.iter().filter_map(|seen| Some((seen.turn, seen.risk?))).collect();
        html! {
            @for pair in scored.windows(2) {
                line.turns x1=(self.x(pair[0].0)) x2=(self.x(pair[1].0)) y1=(y(pair[0].1)) y2=(y(pair[1].1)) {}
            }
        }
    }

    fn mark(&self, seen: &Seen, is_evidence: bool) -> Markup {
        let x = self.x(seen.turn);
        html! {
            @if let Some(risk) = seen.risk {
                @if is_evidence { circle.evidence cx=(x) cy=(y(risk)) r="9" {} }
                circle.turn cx=(x) cy=(y(risk)) r="4" {}
            } @else {
                line.other x1=(x) x2=(x) y1=(BOTTOM) y2=(BOTTOM + 5.0) {}
            }
            @if let Some(stage) = gravest(&seen.onsets) {
                line.onset x1=(x) x2=(x) y1=(TOP - 6.0) y2=(BOTTOM) {}
                text class=(onset_class(stage)) x=(x) y=(TOP - 10.0) text-anchor="middle" { (shape(stage)) }
            }
        }
    }

    fn legend(&self) -> Markup {
        let has = |wanted: fn(&CrisisLabel) -> bool| {
            self.course.turns.iter().flat_map(|seen| &seen.onsets).any(wanted)
        };
        html! {
            span { svg width="18" height="12" aria-hidden="true" { line.turns x1="0" x2="18" y1="6" y2="6" {} circle.turn cx="9" cy="6" r="4" {} } " " (self.tongue.say(Phrase::LegendTurn)) }
            span { svg width="18" height="12" aria-hidden="true" { line.conversation x1="0" x2="18" y1="6" y2="6" {} rect.conversation x="5" y="2" width="8" height="8" {} } " " (self.tongue.say(Phrase::LegendConversation)) }
            @if !self.course.evidence().is_empty() {
                span { svg width="20" height="20" aria-hidden="true" { circle.evidence cx="10" cy="10" r="8" {} circle.turn cx="10" cy="10" r="4" {} } " " (self.tongue.say(Phrase::LegendEvidence)) }
            }
            @if has(|label| label.stage() == Stage::Alert) {
                span { span.onset-mark.watch aria-hidden="true" { "△" } " " (self.tongue.say(Phrase::LegendAlert)) }
            }
            @if has(|label| label.stage() != Stage::Alert) {
                span { span.onset-mark.grave aria-hidden="true" { "▲" } " " (self.tongue.say(Phrase::LegendConfirm)) }
            }
        }
    }

    /// The same, and what was said where it may be shown, turn by turn.
    pub(super) fn table(&self) -> Markup {
        let evidence = self.course.evidence();
        let say = |phrase| self.tongue.say(phrase);
        html! {
            div.scroll tabindex="0" role="group" aria-label=(say(Phrase::TurnByTurn)) {
                table.turns {
                    caption { (say(Phrase::TurnByTurn)) }
                    thead {
                        tr {
                            th scope="col" { (say(Phrase::Turn)) }
                            th scope="col" { (say(Phrase::Who)) }
                            @if self.said.is_some() { th.said scope="col" { (say(Phrase::WhatWasSaid)) } }
                            th.number scope="col" { (say(Phrase::TurnRisk)) }
                            th scope="col" { (say(Phrase::WhatBegins)) }
                            th scope="col" { (say(Phrase::DecisionThen)) }
                        }
                    }
                    tbody {
                        @for seen in &self.course.turns { (self.row(seen, evidence.contains(&seen.turn))) }
                    }
                }
            }
        }
    }

    fn row(&self, seen: &Seen, is_evidence: bool) -> Markup {
        let text = |said: &BTreeMap<usize, String>| said.get(&seen.turn).cloned();
        html! {
            tr.evidence[is_evidence] id=(format!("turn-{}", seen.turn)) {
                th scope="row" {
                    (seen.turn)
                    @if is_evidence { " " span.tag { (self.tongue.say(Phrase::Evidence)) } }
                }
                td { (self.tongue.role(seen.role)) }
                @if let Some(said) = self.said {
                    td.said { (text(said).unwrap_or_else(|| self.tongue.say(Phrase::TextNotKept).to_owned())) }
                }
                td.number { (self.tongue.risk(seen.risk)) }
                td {
                    @for label in &seen.onsets {
                        span.onset { span aria-hidden="true" { (shape(label.stage())) } " " (self.tongue.crisis(*label)) }
                    }
                    @if seen.role == Role::Assistant { @if let Some(class) = seen.class {
                        span.muted title=(class.wire()) { (self.tongue.class(class)) }
                    } }
                }
                td { @if let Some(step) = self.course.decided_at(seen.turn) { (action(self.tongue, &step.action)) } }
            }
        }
    }
}

/// The height of a risk, in pixels from the top.
fn y(risk: f32) -> f32 {
    let exact = BOTTOM - (BOTTOM - TOP) * risk.clamp(0.0, 1.0);
    (exact * 10.0).round() / 10.0
}

fn gravest(onsets: &[CrisisLabel]) -> Option<Stage> {
    let stages = onsets.iter().map(|label| label.stage());
    stages.reduce(|gravest, stage| if gravest == Stage::Alert { stage } else { gravest })
}

/// An Alert is hollow and a Confirm is full, whatever their colours.
fn shape(stage: Stage) -> &'static str {
    if stage == Stage::Alert { "△" } else { "▲" }
}

fn onset_class(stage: Stage) -> &'static str {
    if stage == Stage::Alert { "onset-mark watch" } else { "onset-mark grave" }
}

/// Why the newest decision was made, in words, the gravest reason first.
pub(super) fn reasons(tongue: Tongue, course: &Course) -> Markup {
    html! {
        @if course.reasons.is_empty() {
            p.muted { (tongue.say(Phrase::NoReasons)) }
        } @else {
            ol.reasons {
                @for reason in &course.reasons {
                    li {
                        (action(tongue, &reason.action))
                        p {
                            strong { (tongue.rule(&reason.rule)) }
                            @if let Some(label) = &reason.label { " " span { (tongue.label(label)) } }
                        }
                        p.muted {
                            @if let Some(turn) = reason.turn {
                                a href=(format!("#turn-{turn}")) { (tongue.fill(Phrase::AtTurn, &[&turn.to_string()])) }
                                " "
                            }
                            @if let (Some(found), Some(threshold)) = (reason.probability, reason.threshold) {
                                (tongue.fill(Phrase::Reaches, &[&tongue.risk(Some(found)), &tongue.risk(Some(threshold))]))
                            }
                        }
                    }
                }
            }
        }
    }
}
