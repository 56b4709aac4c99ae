//! One conversation before a counsellor: the clock, the timeline with the turns that
//! the decision rests on, why, and what was offered; and, for whoever holds it, what to
//! do. What was said is shown where the tenant keeps it, to the holder, on a page of its
//! own, after the look was written into the access log.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::console::{missing, offer_of, resources};
use super::course::Course;
use super::figures::status;
use super::page::{Page, Tab, action, notice, time, token};
use super::queue::{clock, said, state};
use super::timeline::{Timeline, reasons};
use super::visit::{Fields, Posted, Visit};
use super::words::Phrase;
use crate::audit::Origin;
use crate::store::accounts::DeskUser;
use crate::store::log::Deed;
use crate::store::review::{Closing, Hand, Outcome, Review};
use crate::store::{Store, StoreError};
use crate::tenant::Tenant;

/// Characters of a reason.
const LONGEST_REASON: usize = 2_000;

type Said = BTreeMap<usize, String>;

pub(super) async fn page(visit: Visit, Path(sequence): Path<u64>) -> Result<Response, Response> {
    let (user, review, course) = found(&visit, sequence).await?;
    visit.log(user, Deed::ReadNumbers, Some(sequence)).await?;
    draw(&visit, &review, &course, None)
}

/// The same with what was said.
pub(super) async fn text(visit: Visit, Path(sequence): Path<u64>) -> Result<Response, Response> {
    let (user, review, course) = found(&visit, sequence).await?;
    if review.holder_at(visit.now_ms) != Some(user.name.as_str()) {
        return Err(notice(&visit, StatusCode::FORBIDDEN, Phrase::NotYours, Phrase::ClaimFirst));
    }
    let (_, tenant) = visit.at(Tab::Queue)?;
    let (Some(key), Some(conversation)) = (tenant.text_key.clone(), review.conversation.clone()) else {
        return Err(notice(&visit, StatusCode::NOT_FOUND, Phrase::NotFound, Phrase::NoTextKept));
    };
    visit.log(user, Deed::ReadText, Some(sequence)).await?;
    let name = user.tenant.clone();
    let turns = visit.ask(move |store| store.said(&name, &conversation, &key)).await?;
    let unreadable = || visit.say(Phrase::TextDoesNotOpen).to_owned();
    let said: Said = turns
        .into_iter()
        .map(|(turn, said)| (turn, said.map_or_else(|_| unreadable(), |turn| turn.text)))
        .collect();
    draw(&visit, &review, &course, Some(&said))
}

/// A review of the tenant of whoever asks, with what the trail knows of it.
async fn found(visit: &Visit, sequence: u64) -> Result<(&DeskUser, Review, Course), Response> {
    let user = visit.may(Tab::Queue)?;
    let tenant = user.tenant.clone();
    let found = visit.ask(move |store| with_course(store, &tenant, sequence)).await?;
    let (review, course) = found.ok_or_else(|| missing(visit))?;
    Ok((user, review, course))
}

fn with_course(store: &Store, tenant: &str, sequence: u64) -> Result<Option<(Review, Course)>, StoreError> {
    let Some(review) = store.review(tenant, sequence)? else { return Ok(None) };
    let mut entries = match &review.conversation {
        Some(conversation) => store.entries_of(tenant, conversation)?,
        // Nothing else can be found of it any more.
        None => vec![review.opening.clone(), review.newest.clone()],
    };
    entries.dedup_by_key(|entry| entry.sequence);
    let course = Course::of(&entries);
    Ok(Some((review, course)))
}

fn draw(
    visit: &Visit,
    review: &Review,
    course: &Course,
    said_here: Option<&Said>,
) -> Result<Response, Response> {
    let (user, tenant) = visit.at(Tab::Queue)?;
    let tongue = visit.tongue;
    let holds = review.holder_at(visit.now_ms) == Some(user.name.as_str()) && !review.is_closed();
    let title = tongue.fill(Phrase::ReviewNumber, &[&review.sequence.to_string()]);
    let timeline = Timeline { tongue, course, levels: None, said: said_here };
    let is_exercise = review.opening.decision.origin == Some(Origin::Console);
    let given = if course.resources_offered { Phrase::ResourcesGiven } else { Phrase::ResourcesNotGiven };
    let main = html! {
        p.crumb { a href="/desk/queue" { "← " (visit.say(Phrase::Queue)) } }
        div.head {
            h1 { (title) }
            (clock(tongue, review, visit.now_ms))
        }
        @if let Some(words) = said(visit) { p.notice role="status" { (visit.say(words)) } }
        @if is_exercise { p.notice { (visit.say(Phrase::ExerciseReview)) } }
        div.columns {
            div {
                (seen(visit, review, &timeline))
                section.card aria-labelledby="why" {
                    h2 #why { (visit.say(Phrase::Why)) }
                    (reasons(tongue, course))
                }
            }
            div {
                (actions(visit, review, holds))
                section.card aria-labelledby="resources" {
                    h2 #resources { (visit.say(Phrase::Resources)) }
                    p { (visit.say(given)) }
                    (resources(visit, &offer_of(&tenant)))
                }
            }
        }
        section.card {
            @if said_here.is_none() { (about_text(visit, &tenant, review, holds)) }
            (timeline.table())
        }
    };
    Ok(Page { visit, tab: Some(Tab::Queue), title: &title, main }.answer())
}

/// The newest decision, and the picture of how it came to it.
fn seen(visit: &Visit, review: &Review, timeline: &Timeline<'_>) -> Markup {
    let tongue = visit.tongue;
    let newest = timeline.course.newest();
    html! {
        section.card aria-labelledby="course" {
            div.verdict {
                h2 #course { (visit.say(Phrase::WhatTheGuardSees)) }
                (action(tongue, newest.map_or("escalate", |step| step.action.as_str())))
            }
            dl.facts {
                div { dt { (visit.say(Phrase::ConversationRisk)) } dd { (tongue.risk(newest.and_then(|step| step.risk))) } }
                div { dt { (visit.say(Phrase::Opened)) } dd { (time(review.opened_ms)) } }
                @if let Some(step) = newest {
                    div { dt { (visit.say(Phrase::NewestDecision)) } dd { (time(step.at_ms)) " · № " (step.sequence) } }
                    div { dt { (visit.say(Phrase::HowDecided)) } dd { (tongue.status(status(step.status))) } }
                }
            }
            (timeline.draw())
        }
    }
}

/// Where what was said is to be found, or why it is not.
fn about_text(visit: &Visit, tenant: &Tenant, review: &Review, holds: bool) -> Markup {
    let keeps_text = tenant.text_key.is_some() && review.conversation.is_some();
    html! {
        @if holds && keeps_text {
            p {
                a.button href=(format!("/desk/reviews/{}/text", review.sequence)) { (visit.say(Phrase::ShowText)) }
                " " span.muted { (visit.say(Phrase::ShowTextLogged)) }
            }
        } @else if keeps_text && !review.is_closed() {
            p.muted { (visit.say(Phrase::ClaimToRead)) }
        } @else {
            p.muted { (visit.say(Phrase::NoTextKept)) }
        }
    }
}

/// What can be done with a review now.
fn actions(visit: &Visit, review: &Review, holds: bool) -> Markup {
    let say = |phrase| visit.say(phrase);
    html! {
        section.card.actions aria-labelledby="do" {
            h2 #do { (say(Phrase::WhatToDo)) }
            p { (say(Phrase::StateIs)) " " strong { (state(visit.tongue, review.state)) } }
            @if review.is_closed() {
                (ended(visit, review))
            } @else if holds {
                (working(visit, review))
            } @else {
                @match review.holder_at(visit.now_ms) {
                    Some(name) => { p.held { (visit.tongue.fill(Phrase::HeldBy, &[name])) } }
                    None => {
                        p.muted { (say(Phrase::ClaimWhy)) }
                        (small_form(visit, review, ("claim", "primary claim", Phrase::Claim)))
                    }
                }
            }
        }
    }
}

/// A form of one button.
fn small_form(visit: &Visit, review: &Review, (deed, class, words): (&str, &str, Phrase)) -> Markup {
    html! {
        form method="post" action=(format!("/desk/reviews/{}/{deed}", review.sequence)) {
            (token(visit))
            button class=(class) type="submit" { (visit.say(words)) }
        }
    }
}

/// What whoever holds it can do.
fn working(visit: &Visit, review: &Review) -> Markup {
    let say = |phrase| visit.say(phrase);
    let address = format!("/desk/reviews/{}", review.sequence);
    html! {
        p.lock #lock data-keep=(format!("{address}/keep")) data-form=(visit.form_token()) data-lost=(say(Phrase::SaidLost)) {
            (say(Phrase::YouHoldIt))
            @if let Some(held) = &review.held { " " (time(held.until_ms)) "." }
        }
        p.error #lock-lost role="alert" hidden {}
        div.buttons {
            @if review.acknowledged_ms.is_none() { (small_form(visit, review, ("acknowledge", "primary acknowledge", Phrase::Acknowledge))) }
            (small_form(visit, review, ("release", "quiet", Phrase::GiveBack)))
        }
        form.stacked method="post" action=(format!("{address}/close")) {
            (token(visit))
            fieldset {
                legend { (say(Phrase::HowItEnds)) }
                label.choice { input type="radio" name="outcome" value="resolved" required; span { strong { (say(Phrase::Resolve)) } " " (say(Phrase::ResolveWhat)) } }
                label.choice { input type="radio" name="outcome" value="overridden"; span { strong { (say(Phrase::Override)) } " " (say(Phrase::OverrideWhat)) } }
            }
            label for="reason" { (say(Phrase::Reason)) }
            textarea #reason name="reason" rows="3" required maxlength=(LONGEST_REASON) aria-describedby="reason-hint" {}
            p.muted #reason-hint { (say(Phrase::ReasonHint)) }
            label.choice { input type="checkbox" name="consent" value="yes"; span { (say(Phrase::Consent)) } }
            button.primary type="submit" { (say(Phrase::CloseReview)) }
        }
    }
}

fn ended(visit: &Visit, review: &Review) -> Markup {
    html! {
        dl.facts {
            @if let Some(name) = &review.closed_by { div { dt { (visit.say(Phrase::ClosedBy)) } dd { (name) } } }
            @if let Some(ms) = review.closed_ms { div { dt { (visit.say(Phrase::ClosedAt)) } dd { (time(ms)) } } }
            div { dt { (visit.say(Phrase::ForCalibration)) } dd { (visit.say(if review.calibration_consent { Phrase::Yes } else { Phrase::No })) } }
        }
        @if let Some(reason) = &review.reason { blockquote { (reason) } }
    }
}

/// A change of a review by whoever asks. What was tried is logged before it is done.
async fn change(
    visit: &Visit,
    (sequence, deed): (u64, Deed),
    work: impl FnOnce(&Store, Hand<'_>) -> Result<bool, StoreError> + Send + 'static,
) -> Result<bool, Response> {
    let user = visit.may(Tab::Queue)?;
    let (tenant, who, now_ms) = (user.tenant.clone(), user.name.clone(), visit.now_ms);
    let done = visit.ask(move |store| {
        if store.review(&tenant, sequence)?.is_none() {
            return Ok(None);
        }
        store.log_access((&tenant, &who), deed, Some(sequence), now_ms)?;
        work(store, Hand { tenant: &tenant, sequence, who: &who, now_ms }).map(Some)
    });
    done.await?.ok_or_else(|| missing(visit))
}

fn back(sequence: u64, words: &str) -> Response {
    Redirect::to(&format!("/desk/reviews/{sequence}?said={words}")).into_response()
}

pub(super) async fn claim(
    Path(sequence): Path<u64>,
    Posted { visit, .. }: Posted,
) -> Result<Response, Response> {
    let done = change(&visit, (sequence, Deed::Claim), Store::claim).await?;
    Ok(back(sequence, if done { "claimed" } else { "taken" }))
}

pub(super) async fn release(
    Path(sequence): Path<u64>,
    Posted { visit, .. }: Posted,
) -> Result<Response, Response> {
    let done = change(&visit, (sequence, Deed::Release), Store::release).await?;
    Ok(if done { Redirect::to("/desk/queue?said=released").into_response() } else { back(sequence, "lost") })
}

pub(super) async fn acknowledge(
    Path(sequence): Path<u64>,
    Posted { visit, .. }: Posted,
) -> Result<Response, Response> {
    let done = change(&visit, (sequence, Deed::Acknowledge), Store::acknowledge).await?;
    Ok(back(sequence, if done { "acknowledged" } else { "lost" }))
}

pub(super) async fn close(
    Path(sequence): Path<u64>,
    Posted { visit, fields }: Posted,
) -> Result<Response, Response> {
    let (outcome, deed) = match fields.get("outcome") {
        Some("overridden") => (Outcome::Overridden, Deed::Override),
        Some("resolved") => (Outcome::Resolved, Deed::Resolve),
        _ => return Ok(back(sequence, "reason")),
    };
    let reason = fields.get("reason").filter(|reason| reason.chars().count() <= LONGEST_REASON);
    let Some(reason) = reason.map(str::to_owned) else { return Ok(back(sequence, "reason")) };
    let calibration_consent = consents(&fields);
    let done = change(&visit, (sequence, deed), move |store, hand| {
        store.close(hand, Closing { outcome, reason: &reason, calibration_consent })
    });
    Ok(if done.await? {
        Redirect::to("/desk/queue?said=closed").into_response()
    } else {
        back(sequence, "lost")
    })
}

fn consents(fields: &Fields) -> bool {
    fields.get("consent") == Some("yes")
}

/// Renews the lock while the page is open; the script asks.
pub(super) async fn keep(
    Path(sequence): Path<u64>,
    visit: Visit,
    request: axum::extract::Request,
) -> Response {
    if let Err(failure) = visit.check_script(request.headers()) {
        return failure.into_response();
    }
    let Ok(user) = visit.may(Tab::Queue) else { return StatusCode::UNAUTHORIZED.into_response() };
    let (tenant, who, now_ms) = (user.tenant.clone(), user.name.clone(), visit.now_ms);
    let kept =
        visit.ask(move |store| store.keep_claim(Hand { tenant: &tenant, sequence, who: &who, now_ms }));
    match kept.await {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => StatusCode::CONFLICT.into_response(),
        Err(response) => response,
    }
}
