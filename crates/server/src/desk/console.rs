//! The live console: a conversation is typed or pasted, and the timeline moves with
//! each turn. What is decided here goes into the trail and before the counsellors like
//! any other decision, marked as an exercise; no webhook is told, and no report counts
//! it.
//!
//! The page keeps the conversation's name, so that only new turns are sent. What was
//! typed is kept nowhere but in the page, and where the tenant keeps texts, sealed.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use mindrail_core::assessment::NotEvaluatedReason;
use mindrail_core::conversation::{Role, Turn};
use mindrail_core::language::Language;
use mindrail_core::policy::offer::{Offer, Person};
use mindrail_core::reader::{ReadOptions, read as read_conversation};
use opentelemetry::Context;
use serde::{Deserialize, Serialize};

use super::course::Course;
use super::page::{Page, Tab, action, notice};
use super::timeline::{Timeline, reasons};
use super::visit::Visit;
use super::words::Phrase;
use crate::http::{Asking, Caller, Failure, Shared, json_response, read as read_body, read_json};
use crate::service::{Answer, GuardAnswer, GuardRequest, MOST_TURNS, Messages};
use crate::store::random_name;
use crate::tenant::Tenant;

/// What the names of the console's conversations begin with.
const NAMED: &str = "console-";

/// The conversation that a visitor may try.
const DEMO: &str = include_str!("../../../../examples/demo.jsonl");

pub(super) async fn page(visit: Visit) -> Result<Response, Response> {
    visit.console_tenant()?;
    let say = |phrase| visit.say(phrase);
    let main = html! {
        h1 { (say(Phrase::Console)) }
        p.lead { (say(Phrase::ConsoleLead)) }
        noscript { p.error { (say(Phrase::ConsoleNeedsScript)) } }
        div.console #console data-form=(visit.form_token()) data-failed=(say(Phrase::ConsoleFailed))
            data-person=(say(Phrase::Person)) data-assistant=(say(Phrase::Assistant))
            data-unknown=(say(Phrase::UnknownSpeaker)) data-more=(say(Phrase::OnlyTheFirst)) {
            section.card.talk aria-labelledby="talk-title" {
                h2 #talk-title { (say(Phrase::Conversation)) }
                ol.bubbles #bubbles aria-label=(say(Phrase::Conversation)) tabindex="0" {}
                p.muted #empty { (say(Phrase::ConsoleEmpty)) }
                form.stacked #say {
                    fieldset.speaker {
                        legend { (say(Phrase::Who)) }
                        label { input type="radio" name="role" value="user" checked; " " (say(Phrase::Person)) }
                        label { input type="radio" name="role" value="assistant"; " " (say(Phrase::Assistant)) }
                    }
                    label for="text" { (say(Phrase::ConsoleText)) }
                    textarea #text name="text" rows="3" required aria-describedby="text-hint" {}
                    p.muted #text-hint { (say(Phrase::ConsoleTextHint)) }
                    div.buttons {
                        button.primary type="submit" { (say(Phrase::Send)) }
                        button type="button" #paste { (say(Phrase::ReadAsConversation)) }
                        button type="button" #demo { (say(Phrase::TryTheExample)) }
                        button.quiet type="button" #anew { (say(Phrase::StartAnew)) }
                    }
                }
                template #demo-text { (DEMO) }
            }
            section.card.panel aria-labelledby="panel-title" {
                h2 #panel-title { (say(Phrase::WhatTheGuardSees)) }
                div #panel { p.muted { (say(Phrase::PanelEmpty)) } }
            }
            p.sr-only #announce role="status" aria-live="polite" {}
            p.error #failure role="alert" hidden {}
        }
    };
    Ok(Page { visit: &visit, tab: Some(Tab::Console), title: say(Phrase::Console), main }.answer())
}

/// A turn as the page knows it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageTurn {
    role: Role,
    text: String,
    /// Why it is more than its text, or nobody could tell whose it is.
    #[serde(default)]
    unread: Option<NotEvaluatedReason>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pasted {
    text: String,
}

#[derive(Serialize)]
struct ReadTurns {
    turns: Vec<PageTurn>,
    /// Whether there were further conversations, which were left out.
    more: bool,
}

/// Reads what was pasted, in any format that the reader knows.
pub(super) async fn read(visit: Visit, request: Request) -> Result<Response, Failure> {
    let (_, body) = asked(&visit, request).await?;
    let pasted: Pasted = read_json(&body, "{\"text\": a text}")?;
    let options = ReadOptions { source_name: "text".to_owned(), ..ReadOptions::default() };
    let mut rows = read_conversation(pasted.text.as_bytes(), &options)
        .map_err(|error| Failure::invalid(error.to_string()))?;
    let first = rows.next().ok_or_else(|| Failure::invalid("text: found no conversation, expected one"))?;
    let row = first.map_err(|error| Failure::invalid(error.to_string()))?;
    let unread = |place| row.unread.iter().find(|unread| unread.turn == place).map(|unread| unread.reason);
    let turn = |(place, turn): (usize, &Turn)| PageTurn {
        role: turn.role,
        text: turn.text.clone(),
        unread: unread(place),
    };
    let turns = row.conversation.turns.iter().take(MOST_TURNS).enumerate().map(turn).collect();
    let answer = ReadTurns { turns, more: rows.next().is_some() };
    Ok(json_response(serde_json::to_string(&answer).expect("turns are plain data")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTurns {
    /// The conversation's name, as an answer gave it; none for a new one.
    conversation: Option<String>,
    turns: Vec<PageTurn>,
}

#[derive(Serialize)]
struct Judged {
    conversation: String,
    /// The places of the turns that the verdict rests on.
    evidence: Vec<usize>,
    /// The panel as HTML.
    panel: String,
    /// The same in a sentence, for screen readers.
    announce: String,
}

/// Decides about new turns.
pub(super) async fn judge(visit: Visit, request: Request) -> Result<Response, Failure> {
    let began = Instant::now();
    let done = async {
        let (tenant, body) = asked(&visit, request).await?;
        let new: NewTurns = read_json(&body, "{\"turns\": [{\"role\", \"text\"}, ...]}")?;
        let name = conversation_name(new.conversation)?;
        let answer = decide(&visit.shared, &tenant, &name, (new.turns, began)).await?;
        judged(&visit, &tenant, name, &answer).await
    };
    let done = done.await;
    visit.shared.counts.count(&done, began.elapsed());
    done.map(|judged| json_response(serde_json::to_string(&judged).expect("words and numbers")))
}

/// The tenant for whom the page's script asks, and what it asks.
async fn asked(visit: &Visit, request: Request) -> Result<(Arc<Tenant>, Vec<u8>), Failure> {
    let (parts, body) = request.into_parts();
    visit.check_script(&parts.headers)?;
    let tenant = visit.console_tenant().map_err(|_| {
        Failure::new(StatusCode::UNAUTHORIZED, "not_logged_in", "the desk must be logged in to")
    })?;
    Ok((tenant, read_body(&parts.headers, body).await?))
}

/// A name of the console's own: it takes no caller's conversation further.
fn conversation_name(shown: Option<String>) -> Result<String, Failure> {
    let Some(name) = shown else { return Ok(format!("{NAMED}{}", random_name())) };
    let digits = name.strip_prefix(NAMED).unwrap_or_default();
    if digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(name);
    }
    Err(Failure::invalid("conversation: found another name, expected one of the console's"))
}

async fn decide(
    shared: &Arc<Shared>,
    tenant: &Arc<Tenant>,
    name: &str,
    (turns, began): (Vec<PageTurn>, Instant),
) -> Result<GuardAnswer, Failure> {
    let request = GuardRequest {
        conversation_id: Some(name.to_owned()),
        person_id: None,
        country: None,
        age: None,
        first_turn: None,
        messages: Vec::new(),
    };
    let unread = turns.iter().map(|turn| turn.unread).collect();
    let turns = turns.into_iter().map(|turn| Turn { role: turn.role, text: turn.text }).collect();
    let messages = Messages { turns, unread };
    let caller = Caller { tenant: Arc::clone(tenant) };
    let asking = Asking { caller, key: None, request: Vec::new(), began, context: Context::current() };
    let answer = shared.decide(asking, move |service, call| {
        Ok(service.judge_read(&request, &messages, call)?.into_exercise())
    });
    match answer.await? {
        Answer::New(answer) => Ok(answer),
        // There is no key under which an earlier answer could stand.
        Answer::Earlier(_) => Err(Failure::invalid("the request was answered before")),
    }
}

async fn judged(
    visit: &Visit,
    tenant: &Arc<Tenant>,
    name: String,
    answer: &GuardAnswer,
) -> Result<Judged, Failure> {
    let (of, conversation) = (tenant.name.clone(), name.clone());
    let entries = visit.shared.ask_store(move |store| store.entries_of(&of, &conversation)).await?;
    let course = Course::of(&entries);
    let newest = course.newest().map_or("allow", |step| step.action.as_str());
    let risk = visit.tongue.risk(answer.report.risk.map(mindrail_core::probability::Probability::get));
    let turn = answer.conversation.turns.saturating_sub(1).to_string();
    let announce = visit.tongue.fill(Phrase::Announce, &[&turn, &risk, &visit.tongue.action(newest)]);
    let panel = panel(visit, tenant, &course, answer).into_string();
    Ok(Judged { conversation: name, evidence: course.evidence().into_iter().collect(), panel, announce })
}

fn panel(visit: &Visit, tenant: &Tenant, course: &Course, answer: &GuardAnswer) -> Markup {
    let tongue = visit.tongue;
    let calibration = visit.shared.service.judge_of().calibration();
    let levels =
        answer.report.language.map(|language| tenant.policy.person.risk.levels(language, calibration));
    let timeline = Timeline { tongue, course, levels, said: None };
    let newest = course.newest();
    html! {
        div.verdict {
            (action(tongue, newest.map_or("allow", |step| step.action.as_str())))
            dl.facts {
                div { dt { (tongue.say(Phrase::ConversationRisk)) } dd { (tongue.risk(newest.and_then(|step| step.risk))) } }
                div { dt { (tongue.say(Phrase::Decision)) } dd { "№ " (answer.decision) } }
            }
        }
        (timeline.draw())
        h3 { (tongue.say(Phrase::Why)) }
        (reasons(tongue, course))
        @if let Some(offer) = &answer.report.resources {
            h3 { (tongue.say(Phrase::Resources)) }
            (resources(visit, offer))
        }
        (timeline.table())
        p.muted { (tongue.say(Phrase::ExerciseNote)) }
    }
}

/// What the assistant may offer.
pub(super) fn resources(visit: &Visit, offer: &Offer) -> Markup {
    html! {
        @for words in &offer.words { blockquote { (words) } }
        @if offer.helplines.is_empty() {
            p.muted { (visit.say(Phrase::NoHelplines)) }
        } @else {
            ul.helplines {
                @for line in &offer.helplines {
                    li { (line.short(visit.tongue.spoken())) }
                }
            }
        }
    }
}

/// What a tenant's policy offers its people now, where a conversation's language is not
/// known.
pub(super) fn offer_of(tenant: &Tenant) -> Offer {
    let circumstances = tenant.circumstances(crate::http::now_ms());
    let person = Person {
        place: circumstances.place,
        language: Language::Mix,
        age: None,
        topics: std::collections::BTreeSet::new(),
    };
    tenant.policy.offer(&person, circumstances.today)
}

/// Says that something is not there.
pub(super) fn missing(visit: &Visit) -> Response {
    notice(visit, StatusCode::NOT_FOUND, Phrase::NotFound, Phrase::NoSuchReview)
}
