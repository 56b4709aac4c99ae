//! The annual report on a page, as JSON and as CSV, and what counsellors have released
//! for calibration.

use std::sync::Arc;

use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use maud::{Markup, html};
use mindrail_core::calibration::RiskThreshold;
use mindrail_core::taxonomy::{Scores, Signal};
use serde::Serialize;
use serde_json::Value;

use super::annual::{AnnualReport, Breakdown, Count, Of, Protocol, STATEMENT, Threshold};
use super::page::{Page, Tab};
use super::visit::{Fields, Visit};
use super::words::Phrase;
use crate::calendar::{DAY_MS, civil};
use crate::http::{Failure, Shared, now_ms};
use crate::store::log::Deed;
use crate::store::reading::Period;
use crate::store::review::{Review, State};
use crate::tenant::Tenant;

/// Jurisdictions that ask for counts of referrals or for a public protocol, as far as is
/// known here; any other code is taken as well.
const JURISDICTIONS: [(&str, &str); 7] = [
    ("US-CA", "California: Bus. & Prof. Code § 22603 (SB 243)"),
    ("US-WA", "Washington: HB 2225"),
    ("US-OR", "Oregon: SB 1546"),
    ("US-NY", "New York: Gen. Bus. Law art. 47"),
    ("CA-ON", "Ontario"),
    ("CA-QC", "Québec"),
    ("FR", "France"),
];

/// Reviews in one file.
const MOST_REVIEWS: usize = 100_000;

/// Makes the report of a tenant.
pub(super) async fn make(shared: &Arc<Shared>, tenant: Arc<Tenant>, of: Of) -> Result<AnnualReport, Failure> {
    let protocol = protocol(shared, &tenant);
    let _one_at_a_time = shared.desk.walks.acquire().await;
    shared
        .ask_store(move |store| {
            let mut count = Count::default();
            store.entries_in(&tenant.name, of.period(), |entry, conversation| {
                count.take(&entry, conversation);
            })?;
            Ok(count.report(of, protocol, now_ms()))
        })
        .await
}

fn protocol(shared: &Arc<Shared>, tenant: &Tenant) -> Protocol {
    let judge = shared.service.judge_of();
    let mut settings = serde_json::to_value(&**tenant.policy).unwrap_or_default();
    // Words and services stand in the policy; the report says how many there are.
    settings.as_object_mut().map(|settings| settings.remove("resources"));
    let mut policy = Vec::new();
    flatten("", &settings, &mut policy);
    let calibration = judge.calibration();
    let mut thresholds = vec![threshold("certain_confirm".to_owned(), &calibration.certain_confirm)];
    for (language, levels) in &calibration.thresholds {
        let name = |level: &str| {
            format!(
                "{level}.{}",
                serde_json::to_value(language).unwrap_or_default().as_str().unwrap_or_default()
            )
        };
        thresholds.push(threshold(name("high_risk"), &levels.high_risk));
        thresholds.push(threshold(name("support"), &levels.support));
    }
    Protocol {
        statement: STATEMENT.to_vec(),
        model: judge.model().clone(),
        policy_sha256: tenant.policy.sha256().to_owned(),
        policy,
        thresholds,
        helplines: tenant.policy.resources.helplines.len(),
    }
}

fn threshold(name: String, of: &RiskThreshold) -> Threshold {
    Threshold {
        name,
        value: of.value.get(),
        chosen_for: of.target.clone(),
        recall: of.recall.value,
        recall_interval: (of.recall.low, of.recall.high),
        false_positive_rate: of.false_positive_rate.value,
        conversations: of.rows,
    }
}

/// A tree of settings as lines `a.b.c = value`.
fn flatten(name: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                flatten(&name, value, lines);
            }
        }
        Value::Null => {}
        Value::String(text) => lines.push((name.to_owned(), text.clone())),
        other => lines.push((name.to_owned(), other.to_string())),
    }
}

/// Which report the address asks for; last year's where it asks for none.
fn asked(visit: &Visit) -> Result<Of, &'static str> {
    let fields = Fields::of_query(&visit.uri);
    let last_year = (civil(visit.now_ms / DAY_MS).0 - 1).to_string();
    let jurisdiction = fields.get("jurisdiction").unwrap_or("US-CA");
    Of::parse(Some(jurisdiction), Some(fields.get("year").unwrap_or(&last_year)))
}

async fn asked_report(visit: &Visit, of: Of) -> Result<AnnualReport, Response> {
    let (_, tenant) = visit.at(Tab::Reports)?;
    make(&visit.shared, tenant, of).await.map_err(axum::response::IntoResponse::into_response)
}

pub(super) async fn page(visit: Visit) -> Result<Response, Response> {
    visit.may(Tab::Reports)?;
    let shown = match asked(&visit) {
        Ok(of) => Ok(asked_report(&visit, of).await?),
        Err(words) => Err(words),
    };
    let fields = Fields::of_query(&visit.uri);
    let year = shown
        .as_ref()
        .map_or_else(|_| fields.get("year").unwrap_or_default().to_owned(), |report| report.year.to_string());
    let jurisdiction = shown.as_ref().map_or_else(
        |_| fields.get("jurisdiction").unwrap_or_default().to_owned(),
        |report| report.jurisdiction.clone(),
    );
    let main = html! {
        h1 { (visit.say(Phrase::Reports)) }
        p.lead { (visit.say(Phrase::ReportsLead)) }
        section.card {
            form.line method="get" action="/desk/reports" {
                div { label for="jurisdiction" { (visit.say(Phrase::Jurisdiction)) }
                    input #jurisdiction name="jurisdiction" value=(jurisdiction) list="jurisdictions" required size="8";
                    datalist #jurisdictions { @for (code, name) in JURISDICTIONS { option value=(code) { (name) } } } }
                div { label for="year" { (visit.say(Phrase::Year)) }
                    input #year name="year" value=(year) inputmode="numeric" pattern="[0-9]{4}" required size="5"; }
                button.primary type="submit" { (visit.say(Phrase::MakeReport)) }
            }
        }
        @match &shown {
            Err(_) => { p.error role="alert" { (visit.say(Phrase::BadReportAsked)) } }
            Ok(report) => { (drawn(&visit, report)) }
        }
        section.card {
            h2 { (visit.say(Phrase::ForCalibration)) }
            p { (visit.say(Phrase::CalibrationWhat)) }
            p { a.button href="/desk/reports/calibration.jsonl" download { (visit.say(Phrase::DownloadJsonLines)) } }
        }
    };
    Ok(Page { visit: &visit, tab: Some(Tab::Reports), title: visit.say(Phrase::Reports), main }.answer())
}

fn drawn(visit: &Visit, report: &AnnualReport) -> Markup {
    let tongue = visit.tongue;
    let query = format!("jurisdiction={}&year={}", report.jurisdiction, report.year);
    let law = JURISDICTIONS.iter().find(|(code, _)| *code == report.jurisdiction).map(|(_, law)| *law);
    html! {
        article.card.report {
            h2 { (tongue.fill(Phrase::AnnualTitle, &[&report.jurisdiction, &report.year.to_string()])) }
            @if let Some(law) = law { p.muted { (law) } }
            p { (report.from) " – " (report.until) @if !report.complete { " · " strong { (visit.say(Phrase::YearNotOver)) } } }
            p.figure { (report.referral_notifications) }
            p { (visit.say(Phrase::ReferralNotifications)) }
            div.columns {
                (breakdown(visit, Phrase::ByAction, &report.by_action))
                (breakdown(visit, Phrase::ByQuarter, &report.by_quarter))
            }
            p.buttons {
                a.button href=(format!("/desk/reports/annual.json?{query}")) download { "JSON" }
                a.button href=(format!("/desk/reports/annual.csv?{query}")) download { "CSV" }
            }
            h3 { (visit.say(Phrase::Protocol)) }
            @if tongue.0 != crate::store::accounts::DeskLanguage::English { p.muted { (visit.say(Phrase::ProtocolInEnglish)) } }
            div lang="en" {
                @for paragraph in &report.protocol.statement { p { (paragraph) } }
                h4 { (visit.say(Phrase::Thresholds)) }
                div.scroll tabindex="0" role="group" aria-label=(visit.say(Phrase::Thresholds)) {
                    table {
                        thead { tr { th scope="col" { (visit.say(Phrase::Name)) } th.number scope="col" { (visit.say(Phrase::ThresholdValue)) } th scope="col" { (visit.say(Phrase::ChosenFor)) } th.number scope="col" { (visit.say(Phrase::Recall)) } th.number scope="col" { (visit.say(Phrase::FalsePositives)) } th.number scope="col" { (visit.say(Phrase::Conversations)) } } }
                        tbody {
                            @for line in &report.protocol.thresholds {
                                tr { th scope="row" { code { (line.name) } } td.number { (format!("{:.3}", line.value)) } td { (line.chosen_for) } td.number { (format!("{:.2} ({:.2}–{:.2})", line.recall, line.recall_interval.0, line.recall_interval.1)) } td.number { (format!("{:.2}", line.false_positive_rate)) } td.number { (line.conversations) } }
                            }
                        }
                    }
                }
                details {
                    summary { (visit.say(Phrase::PolicySettings)) }
                    table.settings { tbody { @for (name, value) in &report.protocol.policy { tr { th scope="row" { code { (name) } } td { (value) } } } } }
                }
                p.hash { (visit.say(Phrase::Model)) " " (report.protocol.model.name) " " (report.protocol.model.version) " " code { (report.protocol.model.sha256) } }
                p.hash { (visit.say(Phrase::Policy)) " " code { (report.protocol.policy_sha256) } }
                h4 { (visit.say(Phrase::Notes)) }
                ul { @for note in &report.notes { li { (note) } } }
            }
        }
    }
}

fn breakdown(visit: &Visit, title: Phrase, breakdown: &Breakdown) -> Markup {
    html! {
        div {
            h3 { (visit.say(title)) }
            @match breakdown {
                Breakdown::Withheld => { p.muted { (visit.say(Phrase::Withheld)) } }
                Breakdown::Whole(parts) => {
                    table { tbody { @for (part, count) in parts { tr { th scope="row" { (visit.tongue.action(part)) } td.number { (count) } } } } }
                }
            }
        }
    }
}

async fn exported(visit: &Visit) -> Result<AnnualReport, Response> {
    let user = visit.may(Tab::Reports)?;
    let of = asked(visit).map_err(|words| Failure::invalid(words).into_response())?;
    visit.log(user, Deed::ExportReport, None).await?;
    asked_report(visit, of).await
}

pub(super) async fn json(visit: Visit) -> Result<Response, Response> {
    let report = exported(&visit).await?;
    Ok(file(
        "application/json",
        &format!("mindrail-{}-{}.json", report.jurisdiction, report.year),
        report.json(),
    ))
}

pub(super) async fn csv(visit: Visit) -> Result<Response, Response> {
    let report = exported(&visit).await?;
    Ok(file(
        "text/csv; charset=utf-8",
        &format!("mindrail-{}-{}.csv", report.jurisdiction, report.year),
        report.csv(),
    ))
}

/// A file to keep.
pub(super) fn file(kind: &'static str, name: &str, content: String) -> Response {
    let name = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)], content).into_response()
}

/// What a review says for calibration: scores and how it ended.
#[derive(Serialize)]
struct Example<'a> {
    model: &'a str,
    risk: Option<f32>,
    signals: Option<&'a Scores<Signal>>,
    escalation_was_right: bool,
}

impl<'a> Example<'a> {
    fn of(review: &'a Review) -> Option<Self> {
        use crate::store::review::Outcome;
        let State::Closed(outcome) = review.state else { return None };
        let decision = &review.opening.decision;
        let may = review.calibration_consent && decision.origin.is_none();
        may.then(|| Self {
            model: &decision.model,
            risk: decision.risk,
            signals: decision.signals.as_ref(),
            escalation_was_right: outcome == Outcome::Resolved,
        })
    }
}

/// The reviews that may be used for calibration, as JSON lines without identifiers.
pub(super) async fn calibration(visit: Visit) -> Result<Response, Response> {
    let user = visit.may(Tab::Reports)?;
    visit.log(user, Deed::ExportCalibration, None).await?;
    let (tenant, until_ms) = (user.tenant.clone(), visit.now_ms + 1);
    let all = Period { from_ms: 0, until_ms };
    let reviews = visit.ask(move |store| store.closed_reviews(&tenant, all, MOST_REVIEWS)).await?;
    let lines = reviews
        .iter()
        .filter_map(Example::of)
        .map(|example| serde_json::to_string(&example).expect("numbers are plain data") + "\n");
    Ok(file("application/jsonl", "mindrail-calibration.jsonl", lines.collect()))
}
