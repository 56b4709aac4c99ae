//! The queue: what lies before the counsellors, what is due first first.

use axum::response::Response;
use maud::{Markup, html};

use super::page::{Page, Tab, action, length, time, token};
use super::visit::{Fields, Visit};
use super::words::{Phrase, Tongue};
use crate::audit::Origin;
use crate::store::review::{Review, State};

/// Reviews that are shown at once.
const MOST: usize = 200;

pub(super) async fn page(visit: Visit) -> Result<Response, Response> {
    let user = visit.may(Tab::Queue)?;
    let tenant = user.tenant.clone();
    let reviews = visit.ask(move |store| store.open_reviews(&tenant, MOST)).await?;
    let overdue = reviews.iter().filter(|review| is_overdue(review, visit.now_ms)).count();
    let main = html! {
        h1 { (visit.say(Phrase::Queue)) }
        @if let Some(words) = said(&visit) { p.notice role="status" { (visit.say(words)) } }
        p.lead role="status" {
            (visit.tongue.fill(Phrase::QueueCount, &[&reviews.len().to_string(), &overdue.to_string()]))
        }
        @if reviews.is_empty() {
            section.card.empty { p { (visit.say(Phrase::QueueEmpty)) } }
        } @else {
            ul.queue data-reload="30" {
                @for review in &reviews { (item(&visit, &user.name, review)) }
            }
        }
    };
    Ok(Page { visit: &visit, tab: Some(Tab::Queue), title: visit.say(Phrase::Queue), main }.answer())
}

/// What a redirect has to say; nothing but these.
pub(super) fn said(visit: &Visit) -> Option<Phrase> {
    match Fields::of_query(&visit.uri).get("said")? {
        "taken" => Some(Phrase::SaidTaken),
        "released" => Some(Phrase::SaidReleased),
        "closed" => Some(Phrase::SaidClosed),
        "acknowledged" => Some(Phrase::SaidAcknowledged),
        "claimed" => Some(Phrase::SaidClaimed),
        "lost" => Some(Phrase::SaidLost),
        "reason" => Some(Phrase::SaidReason),
        _ => None,
    }
}

fn is_overdue(review: &Review, now_ms: u64) -> bool {
    review.acknowledged_ms.is_none() && review.due_ms <= now_ms
}

fn item(visit: &Visit, me: &str, review: &Review) -> Markup {
    let tongue = visit.tongue;
    let decision = &review.newest.decision;
    let address = format!("/desk/reviews/{}", review.sequence);
    let holder = review.holder_at(visit.now_ms);
    let first = decision.reasons.first();
    html! {
        li.card.overdue[is_overdue(review, visit.now_ms)] {
            div.head {
                h2 { a.review href=(address) { (visit.tongue.fill(Phrase::ReviewNumber, &[&review.sequence.to_string()])) } }
                (clock(tongue, review, visit.now_ms))
            }
            p {
                (action(tongue, &decision.action)) " "
                @if let Some(reason) = first { (tongue.rule(&reason.rule)) " " @if let Some(label) = &reason.label { span.muted { (tongue.label(label)) } } }
                @if decision.origin == Some(Origin::Console) { " " span.tag { (visit.say(Phrase::Exercise)) } }
            }
            p.muted {
                (visit.say(Phrase::Opened)) " " (time(review.opened_ms)) " · "
                (visit.say(Phrase::Risk)) " " (tongue.risk(decision.risk)) " · "
                (state(tongue, review.state))
            }
            div.buttons {
                @match holder {
                    Some(name) if name == me => { a.button.primary href=(address) { (visit.say(Phrase::GoOn)) } }
                    Some(name) => { span.held { (tongue.fill(Phrase::HeldBy, &[name])) } }
                    None => {
                        form method="post" action=(format!("{address}/claim")) {
                            (token(visit))
                            button.primary.claim type="submit" { (visit.say(Phrase::Claim)) }
                        }
                    }
                }
            }
        }
    }
}

/// How far a review has got, in words.
pub(super) fn state(tongue: Tongue, state: State) -> &'static str {
    use crate::store::review::Outcome;
    tongue.say(match state {
        State::Open => Phrase::StateOpen,
        State::Acknowledged => Phrase::StateAcknowledged,
        State::Closed(Outcome::Overridden) => Phrase::StateOverridden,
        State::Closed(Outcome::Resolved) => Phrase::StateResolved,
    })
}

/// The clock of a review: how long until somebody must have looked, or since when they
/// should have. It stops when somebody has; the script lets it run.
pub(super) fn clock(tongue: Tongue, review: &Review, now_ms: u64) -> Markup {
    let looked = review.acknowledged_ms.or(review.closed_ms);
    if let Some(looked) = looked {
        let waited = length(tongue, looked.saturating_sub(review.opened_ms));
        return html! { span.clock.done { (tongue.fill(Phrase::LookedAfter, &[&waited])) } };
    }
    let (class, phrase, span) = if review.due_ms > now_ms {
        ("clock", Phrase::DueIn, review.due_ms - now_ms)
    } else {
        ("clock late", Phrase::OverdueBy, now_ms - review.due_ms)
    };
    html! {
        span class=(class) role="timer" data-due=(review.due_ms) data-now=(now_ms)
            data-in=(tongue.say(Phrase::DueIn)) data-over=(tongue.say(Phrase::OverdueBy)) data-day=(tongue.say(Phrase::DayShort)) {
            (tongue.fill(phrase, &[&length(tongue, span)]))
        }
    }
}
