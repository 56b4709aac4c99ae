//! Figures of a period: what was decided, how soon, how often wrongly, how fast, and
//! whether people's scores have moved. Small numbers are said to be small.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::figures::{Drift, FEWEST_CLOSED, FEWEST_FOR_DRIFT, Figures, Share};
use super::page::{Page, Tab, action, length, notice, percent, time, token};
use super::visit::{Fields, Posted, Visit};
use super::words::{Phrase, Tongue};
use crate::calendar::DAY_MS;
use crate::store::accounts::DeskRole;
use crate::store::drift::{BINS, Reference};
use crate::store::log::Deed;
use crate::store::reading::Period;
use crate::store::review::{Outcome, Review, State};
use crate::store::{Store, StoreError};

/// Periods that can be asked for, in days.
const PERIODS: [u64; 5] = [1, 7, 30, 90, 365];

/// Closed reviews that are looked at.
const MOST_REVIEWS: usize = 100_000;

struct Known {
    figures: Figures,
    closed: Vec<Review>,
    open: usize,
    reference: Option<Reference>,
}

pub(super) async fn page(visit: Visit) -> Result<Response, Response> {
    let user = visit.may(Tab::Dashboard)?;
    let (tenant, period) = (user.tenant.clone(), period(&visit));
    let one_at_a_time = visit.shared.desk.walks.acquire().await;
    let known = visit.ask(move |store| known(store, &tenant, period)).await?;
    drop(one_at_a_time);
    let (figures, tongue) = (&known.figures, visit.tongue);
    let main = html! {
        h1 { (visit.say(Phrase::Dashboard)) }
        nav.periods aria-label=(visit.say(Phrase::Period)) {
            ul {
                @for days in PERIODS {
                    li { a href=(format!("/desk/dashboard?days={days}")) aria-current=[(days == days_of(&visit)).then_some("true")] { (tongue.fill(Phrase::Days, &[&days.to_string()])) } }
                }
            }
        }
        p.muted { (time(period.from_ms)) " – " (time(period.until_ms)) }
        div.tiles {
            (tile(visit.say(Phrase::Decisions), &figures.decisions.to_string(), &tongue.fill(Phrase::ExercisesApart, &[&figures.exercises.to_string()])))
            (tile(visit.say(Phrase::Escalations), &figures.persons("escalate").to_string(), &tongue.fill(Phrase::StillOpen, &[&known.open.to_string()])))
            (lead_tile(tongue, figures))
            (false_alarms(tongue, &known.closed))
            (latency(tongue, figures))
            (looked(tongue, &known.closed))
        }
        div.columns {
            section.card {
                h2 { (visit.say(Phrase::ByAction)) }
                div.scroll tabindex="0" role="group" aria-label=(visit.say(Phrase::ByAction)) { (by_action(tongue, figures)) }
            }
            section.card {
                h2 { (visit.say(Phrase::ByStatus)) }
                div.scroll tabindex="0" role="group" aria-label=(visit.say(Phrase::ByStatus)) { (by_status(tongue, figures)) }
                (by_model(tongue, figures))
            }
        }
        (drift(&visit, &known, user.role))
    };
    Ok(Page { visit: &visit, tab: Some(Tab::Dashboard), title: visit.say(Phrase::Dashboard), main }.answer())
}

fn days_of(visit: &Visit) -> u64 {
    let asked = Fields::of_query(&visit.uri).get("days").and_then(|days| days.parse().ok());
    asked.filter(|days| PERIODS.contains(days)).unwrap_or(30)
}

fn period(visit: &Visit) -> Period {
    Period { from_ms: visit.now_ms.saturating_sub(days_of(visit) * DAY_MS), until_ms: visit.now_ms + 1 }
}

fn known(store: &Store, tenant: &str, period: Period) -> Result<Known, StoreError> {
    let mut figures = Figures::default();
    store.entries_in(tenant, period, |entry, conversation| figures.take(&entry, conversation))?;
    let closed = store.closed_reviews(tenant, period, MOST_REVIEWS)?;
    let is_real = |review: &Review| review.opening.decision.origin.is_none();
    let open = store.open_reviews(tenant, MOST_REVIEWS)?.iter().filter(|review| is_real(review)).count();
    let closed = closed.into_iter().filter(is_real).collect();
    Ok(Known { figures, closed, open, reference: store.reference(tenant)? })
}

fn tile(title: &str, figure: &str, note: &str) -> Markup {
    html! {
        section.card.tile {
            h2 { (title) }
            p.figure { (figure) }
            p.muted { (note) }
        }
    }
}

fn lead_tile(tongue: Tongue, figures: &Figures) -> Markup {
    let leads = figures.leads();
    let note = tongue.fill(Phrase::LeadNote, &[&leads.warned.to_string(), &leads.called.to_string()]);
    let figure = leads.median.map_or_else(
        || "–".to_owned(),
        |lead| tongue.fill(Phrase::LeadFigure, &[&lead.turns.to_string(), &length(tongue, lead.ms)]),
    );
    tile(tongue.say(Phrase::LeadTime), &figure, &note)
}

fn false_alarms(tongue: Tongue, closed: &[Review]) -> Markup {
    let overridden =
        closed.iter().filter(|review| review.state == State::Closed(Outcome::Overridden)).count();
    let Some(share) = Share::of(overridden, closed.len()) else {
        return tile(tongue.say(Phrase::FalseAlarms), "–", tongue.say(Phrase::NothingClosed));
    };
    let interval = tongue.fill(
        Phrase::FalseAlarmNote,
        &[
            &share.hits.to_string(),
            &share.of.to_string(),
            &percent(tongue, share.low),
            &percent(tongue, share.high),
        ],
    );
    let few = if share.of < FEWEST_CLOSED { tongue.say(Phrase::Few) } else { "" };
    tile(tongue.say(Phrase::FalseAlarms), &percent(tongue, share.value), &format!("{interval} {few}"))
}

fn latency(tongue: Tongue, figures: &Figures) -> Markup {
    let words = |share| {
        figures.latency(share).map_or_else(
            || "–".to_owned(),
            |micros| tongue.number(&format!("{:.1}", micros as f64 / 1000.0)) + " ms",
        )
    };
    let note = tongue.fill(Phrase::LatencyNote, &[&words(0.99)]);
    tile(tongue.say(Phrase::Latency), &words(0.5), &note)
}

/// How soon a counsellor had looked.
fn looked(tongue: Tongue, closed: &[Review]) -> Markup {
    let waited =
        |review: &Review| Some(review.acknowledged_ms.or(review.closed_ms)?.saturating_sub(review.opened_ms));
    let mut times: Vec<u64> = closed.iter().filter_map(waited).collect();
    times.sort_unstable();
    let late = closed
        .iter()
        .filter(|review| {
            review.acknowledged_ms.or(review.closed_ms).is_some_and(|looked| looked > review.due_ms)
        })
        .count();
    let median = times.get(times.len().saturating_sub(1) / 2);
    let figure = median.map_or_else(|| "–".to_owned(), |ms| length(tongue, *ms));
    let note = tongue.fill(Phrase::LookedNote, &[&late.to_string(), &closed.len().to_string()]);
    tile(tongue.say(Phrase::TimeToLook), &figure, &note)
}

fn by_action(tongue: Tongue, figures: &Figures) -> Markup {
    html! {
        table {
            caption.sr-only { (tongue.say(Phrase::ByAction)) }
            thead { tr { th scope="col" { (tongue.say(Phrase::Subject)) } th scope="col" { (tongue.say(Phrase::Action)) } th.number scope="col" { (tongue.say(Phrase::Decisions)) } th.number scope="col" { (tongue.say(Phrase::ShareOf)) } } }
            tbody {
                @for ((subject, wire), count) in &figures.by_action {
                    tr {
                        th scope="row" { (tongue.say(if *subject == "person" { Phrase::Person } else { Phrase::Reply })) }
                        td { (action(tongue, wire)) }
                        td.number { (count) }
                        td.number { (percent(tongue, *count as f64 / figures.decisions.max(1) as f64)) }
                    }
                }
                @if figures.by_action.is_empty() { tr { td colspan="4" { (tongue.say(Phrase::NothingYet)) } } }
            }
        }
    }
}

fn by_status(tongue: Tongue, figures: &Figures) -> Markup {
    html! {
        table {
            caption.sr-only { (tongue.say(Phrase::ByStatus)) }
            thead { tr { th scope="col" { (tongue.say(Phrase::HowDecided)) } th.number scope="col" { (tongue.say(Phrase::Decisions)) } th.number scope="col" { (tongue.say(Phrase::ShareOf)) } } }
            tbody {
                @for (wire, count) in &figures.by_status {
                    tr { th scope="row" { (tongue.status(wire)) } td.number { (count) } td.number { (percent(tongue, *count as f64 / figures.decisions.max(1) as f64)) } }
                }
                @if figures.by_status.is_empty() { tr { td colspan="3" { (tongue.say(Phrase::NothingYet)) } } }
            }
        }
    }
}

fn by_model(tongue: Tongue, figures: &Figures) -> Markup {
    html! {
        @if figures.by_model.len() > 1 {
            p { (tongue.say(Phrase::SeveralModels)) }
            ul { @for (model, count) in &figures.by_model { li { code { (model) } ": " (count) } } }
        }
    }
}

fn drift(visit: &Visit, known: &Known, role: DeskRole) -> Markup {
    let tongue = visit.tongue;
    let model = &visit.shared.service.judge_of().model().sha256;
    let now = known.figures.risks_of(model);
    let total: u64 = now.iter().sum();
    let reference = known.reference.as_ref();
    let is_same = reference.is_some_and(|reference| reference.model == *model);
    let same = reference.filter(|_| is_same);
    let found = same.and_then(|reference| Drift::between(&now, &reference.counts));
    html! {
        section.card {
            h2 { (visit.say(Phrase::DriftTitle)) }
            p { (visit.say(Phrase::DriftWhat)) }
            @match (reference, found) {
                (None, _) => { p.notice { (visit.say(Phrase::NoReference)) } }
                (Some(_), _) if !is_same => { p.notice { (visit.say(Phrase::ReferenceOfOtherModel)) } }
                (Some(reference), Some(drift)) => {
                    p.figure { "PSI " (tongue.number(&format!("{:.3}", drift.index))) }
                    p { (visit.say(reading(drift))) " " (tongue.fill(Phrase::DriftByChance, &[&tongue.number(&format!("{:.3}", drift.by_chance))])) }
                    p.muted { (visit.say(Phrase::ReferenceIsOf)) " " (time(reference.from_ms)) " – " (time(reference.until_ms)) }
                }
                (Some(_), None) => { p.notice { (tongue.fill(Phrase::DriftFew, &[&FEWEST_FOR_DRIFT.to_string()])) } }
            }
            @if let Some(own) = &visit.shared.service.judge_of().calibration().risk_tenths { (against_bundle(tongue, &now, own)) }
            @if total > 0 { (distribution(tongue, &now, same)) }
            @if role == DeskRole::Admin && total >= FEWEST_FOR_DRIFT {
                form.line method="post" action="/desk/dashboard/freeze" {
                    (token(visit))
                    input type="hidden" name="days" value=(days_of(visit));
                    button type="submit" { (visit.say(Phrase::Freeze)) }
                }
            }
        }
    }
}

/// How far the period is from the conversations that the bundle was tested on.
fn against_bundle(tongue: Tongue, now: &[u64; BINS], own: &[u64; BINS]) -> Markup {
    html! {
        @if let Some(drift) = Drift::between(now, own) {
            p.muted { (tongue.fill(Phrase::DriftFromBundle, &[&tongue.number(&format!("{:.3}", drift.index))])) }
        }
    }
}

/// The customary reading of the index (Siddiqi, "Credit Risk Scorecards", 2006), where
/// it is more than chance.
fn reading(drift: Drift) -> Phrase {
    match drift.index {
        index if index <= drift.by_chance => Phrase::DriftNone,
        index if index < 0.1 => Phrase::DriftSmall,
        index if index < 0.25 => Phrase::DriftSome,
        _ => Phrase::DriftLarge,
    }
}

fn distribution(tongue: Tongue, now: &[u64; BINS], reference: Option<&Reference>) -> Markup {
    let share =
        |counts: &[u64; BINS], bin: usize| counts[bin] as f64 / counts.iter().sum::<u64>().max(1) as f64;
    let height = |share: f64| format!("{:.1}", share * 120.0);
    let top = |share: f64| format!("{:.1}", 130.0 - share * 120.0);
    html! {
        figure.bars {
            svg width="100%" height="156" role="img" aria-label=(tongue.say(Phrase::DistributionPicture)) focusable="false" {
                line.grid x1="2%" x2="98%" y1="130" y2="130" {}
                @for bin in 0..BINS {
                    @let left = 3.0 + 9.5 * bin as f64;
                    rect.now x=(format!("{left:.1}%")) width="4%" y=(top(share(now, bin))) height=(height(share(now, bin))) {}
                    @if let Some(reference) = reference {
                        rect.before x=(format!("{:.1}%", left + 4.0)) width="4%" y=(top(share(&reference.counts, bin))) height=(height(share(&reference.counts, bin))) {}
                    }
                    text.axis x=(format!("{:.1}%", left + 4.0)) y="148" text-anchor="middle" { "." (bin) }
                }
            }
            figcaption {
                span { svg width="14" height="12" aria-hidden="true" { rect.now x="1" y="1" width="12" height="10" {} } " " (tongue.say(Phrase::ThisPeriod)) }
                @if reference.is_some() { span { svg width="14" height="12" aria-hidden="true" { rect.before x="1" y="1" width="12" height="10" {} } " " (tongue.say(Phrase::ReferencePeriod)) } }
            }
        }
        details {
            summary { (tongue.say(Phrase::AsTable)) }
            table {
                thead { tr { th scope="col" { (tongue.say(Phrase::Risk)) } th.number scope="col" { (tongue.say(Phrase::ThisPeriod)) } @if reference.is_some() { th.number scope="col" { (tongue.say(Phrase::ReferencePeriod)) } } } }
                tbody {
                    @for bin in 0..BINS {
                        tr {
                            th scope="row" { (tongue.number(&format!("{:.1}", bin as f64 / 10.0))) "–" (tongue.number(&format!("{:.1}", (bin + 1) as f64 / 10.0))) }
                            td.number { (now[bin]) }
                            @if let Some(reference) = reference { td.number { (reference.counts[bin]) } }
                        }
                    }
                }
            }
        }
    }
}

/// Freezes the period's distribution as the reference.
pub(super) async fn freeze(Posted { visit, fields }: Posted) -> Result<Response, Response> {
    let user = visit.may(Tab::People)?;
    let days = fields.get("days").and_then(|days| days.parse().ok()).filter(|days| PERIODS.contains(days));
    let Some(days) = days else {
        return Err(notice(&visit, StatusCode::UNPROCESSABLE_ENTITY, Phrase::NotTaken, Phrase::FormNotOurs));
    };
    visit.log(user, Deed::FreezeReference, None).await?;
    let (tenant, frozen_by, frozen_ms) = (user.tenant.clone(), user.name.clone(), visit.now_ms);
    let model = visit.shared.service.judge_of().model().sha256.clone();
    let period = Period { from_ms: frozen_ms.saturating_sub(days * DAY_MS), until_ms: frozen_ms + 1 };
    let _one_at_a_time = visit.shared.desk.walks.acquire().await;
    visit
        .ask(move |store| {
            let mut figures = Figures::default();
            store.entries_in(&tenant, period, |entry, _| figures.take(&entry, None))?;
            let counts = figures.risks_of(&model);
            let Period { from_ms, until_ms } = period;
            store.freeze(&tenant, &Reference { model, from_ms, until_ms, frozen_ms, frozen_by, counts })
        })
        .await?;
    Ok(Redirect::to(&format!("/desk/dashboard?days={days}")).into_response())
}
