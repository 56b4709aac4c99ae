//! For auditors: whether the trail holds, the tenant's part of it as a file, and who
//! has looked at what.

use axum::response::Response;
use maud::{Markup, html};
use serde::Serialize;

use super::page::{Page, Tab, time};
use super::reports::file;
use super::visit::{Posted, Visit};
use super::words::Phrase;
use crate::audit::{Entry, Head};
use crate::calendar::instant;
use crate::store::log::{Access, Deed};
use crate::store::{Store, StoreError};

/// Lines of the access log on the page.
const SHOWN: usize = 100;

/// Lines that are read at once for a file.
const PAGE: usize = 5_000;

pub(super) async fn page(visit: Visit) -> Result<Response, Response> {
    draw(&visit, None).await
}

/// Goes over the whole trail.
pub(super) async fn verify(Posted { visit, .. }: Posted) -> Result<Response, Response> {
    visit.may(Tab::Trail)?;
    let _one_at_a_time = visit.shared.desk.walks.acquire().await;
    let found = visit.ask(|store| match store.verify(|_, _| {}) {
        Ok(head) => Ok(Ok(head)),
        Err(StoreError::Chain(error)) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    });
    let found = found.await?;
    draw(&visit, Some(found)).await
}

async fn draw(visit: &Visit, verified: Option<Result<Head, String>>) -> Result<Response, Response> {
    let user = visit.may(Tab::Trail)?;
    let tenant = user.tenant.clone();
    let accesses = visit.ask(move |store| store.accesses(&tenant, u64::MAX, SHOWN)).await?;
    let say = |phrase| visit.say(phrase);
    let main = html! {
        h1 { (say(Phrase::Trail)) }
        section.card {
            h2 { (say(Phrase::Chain)) }
            p { (say(Phrase::ChainWhat)) }
            @match &verified {
                None => {}
                Some(Ok(head)) => {
                    p.notice role="status" { (visit.tongue.fill(Phrase::ChainHolds, &[&head.entries.to_string()])) }
                    p.hash { code { (head.entries) ":" (head.hash) } }
                }
                Some(Err(words)) => { p.error role="alert" { (say(Phrase::ChainBroken)) " " (words) } }
            }
            div.buttons {
                form method="post" action="/desk/trail" { (super::page::token(visit)) button.primary type="submit" { (say(Phrase::VerifyNow)) } }
                a.button href="/desk/trail/entries.jsonl" download { (say(Phrase::DownloadEntries)) }
            }
        }
        section.card {
            h2 { (say(Phrase::AccessLog)) }
            p { (say(Phrase::AccessLogWhat)) }
            p { a.button href="/desk/trail/access.csv" download { (say(Phrase::DownloadAccessLog)) } }
            (table(visit, &accesses))
        }
    };
    Ok(Page { visit, tab: Some(Tab::Trail), title: say(Phrase::Trail), main }.answer())
}

fn table(visit: &Visit, accesses: &[Access]) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label=(visit.say(Phrase::AccessLog)) {
            table {
                thead { tr { th scope="col" { (visit.say(Phrase::When)) } th scope="col" { (visit.say(Phrase::Name)) } th scope="col" { (visit.say(Phrase::Deed)) } th scope="col" { (visit.say(Phrase::Review)) } } }
                tbody {
                    @for access in accesses {
                        tr { td { (time(access.at_ms)) } td { (access.name) } td { code { (access.deed) } } td { @if let Some(review) = access.review { "№ " (review) } } }
                    }
                    @if accesses.is_empty() { tr { td colspan="4" { (visit.say(Phrase::NothingYet)) } } }
                }
            }
        }
    }
}

/// A line of an export, as `mindrail audit export` writes it.
#[derive(Serialize)]
struct Line<'a> {
    hash: &'a str,
    #[serde(flatten)]
    entry: &'a Entry,
}

/// The tenant's entries as JSON lines. The chain runs through all tenants' entries, so
/// that only the whole trail can be checked.
pub(super) async fn entries(visit: Visit) -> Result<Response, Response> {
    let user = visit.may(Tab::Trail)?;
    visit.log(user, Deed::ExportTrail, None).await?;
    let tenant = user.tenant.clone();
    let _one_at_a_time = visit.shared.desk.walks.acquire().await;
    let lines = visit.ask(move |store| {
        let mut lines = String::new();
        let verified = store.verify(|entry, hash| {
            if entry.decision.tenant == tenant {
                lines += &serde_json::to_string(&Line { hash, entry }).expect("an entry is plain data");
                lines.push('\n');
            }
        });
        verified.map(|_| lines)
    });
    Ok(file("application/jsonl", "mindrail-entries.jsonl", lines.await?))
}

/// The tenant's access log as CSV.
pub(super) async fn accesses(visit: Visit) -> Result<Response, Response> {
    let user = visit.may(Tab::Trail)?;
    visit.log(user, Deed::ExportLog, None).await?;
    let tenant = user.tenant.clone();
    let lines = visit.ask(move |store| all_accesses(store, &tenant)).await?;
    Ok(file("text/csv; charset=utf-8", "mindrail-access.csv", lines))
}

fn all_accesses(store: &Store, tenant: &str) -> Result<String, StoreError> {
    use std::fmt::Write as _;
    let mut lines = "id,at,name,deed,review\n".to_owned();
    let mut below = u64::MAX;
    loop {
        let page = store.accesses(tenant, below, PAGE)?;
        for access in &page {
            below = access.id;
            let review = access.review.map_or_else(String::new, |review| review.to_string());
            let (at, name) = (instant(access.at_ms), quoted(&access.name));
            let _ = writeln!(lines, "{},{at},{name},{},{review}", access.id, access.deed);
        }
        if page.len() < PAGE {
            return Ok(lines);
        }
    }
}

/// A name as a cell of CSV (RFC 4180) that no spreadsheet takes for a formula.
fn quoted(name: &str) -> String {
    let steers = name.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("\"{}{}\"", if steers { "'" } else { "" }, name.replace('"', "\"\""))
}
