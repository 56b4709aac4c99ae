//! The desk: pages for the people around the guard. Counsellors take over
//! conversations, admins see how the guard does, auditors check the trail, and
//! whoever tries it out types into the console. Pages are made here, complete, and
//! work without script but for the console; the script adds clocks, keys and locks
//! that stay while a page is open. Nothing is loaded from anywhere else.
//!
//! Reading order: `visit`, who asks and what protects them; `page`, what all pages
//! share; `words`, what they say; then one module for each page.
//!
//! What a page may show is decided by who asks: their tenant's rows only, what their
//! role opens only, and the text of a conversation only to the counsellor who holds
//! its review, after the look was written into the access log.

#![expect(clippy::result_large_err, reason = "a refusal is a page, made at most once for a request")]

mod annual;
mod assets;
mod console;
mod course;
mod dashboard;
mod figures;
pub mod identity;
mod labels;
mod limit;
mod login;
mod page;
pub mod password;
mod people;
mod queue;
mod reports;
mod review;
mod single_sign_on;
mod timeline;
mod trail;
mod visit;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use tokio::sync::Semaphore;

use self::limit::Limits;
use crate::http::Shared;
use crate::http::endpoint::{Endpoint, Parameter, Place, Values};

/// Marks a request that came over TLS. Whoever ends TLS puts it into the request's
/// extensions; cookies are `Secure` then.
#[derive(Debug, Clone, Copy)]
pub struct Tls;

/// What all requests to the desk share.
pub(crate) struct Desk {
    limits: Limits,
    /// One permit for each password that is checked at a time: each takes 19 MiB.
    passwords: Semaphore,
    /// One permit for whoever goes over much of the trail, so that deciding goes on.
    walks: Semaphore,
}

impl Default for Desk {
    fn default() -> Self {
        Self { limits: Limits::default(), passwords: Semaphore::new(2), walks: Semaphore::new(1) }
    }
}

/// Bytes of a form.
const LARGEST_FORM: usize = 64 << 10;

/// The desk's routes.
pub(crate) fn routes(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    let pages = Router::new()
        .route("/", get(|| async { Redirect::to("/desk") }))
        .route("/desk", get(console::page))
        .route("/desk/console/read", post(console::read))
        .route("/desk/console/judge", post(console::judge))
        .route("/desk/login", get(login::page).post(login::log_in))
        .route("/desk/login/with", get(single_sign_on::go))
        .route("/desk/login/back", get(single_sign_on::back))
        .route("/desk/logout", post(login::log_out))
        .route("/desk/language", post(login::language))
        .route("/desk/queue", get(queue::page))
        .route("/desk/reviews/{sequence}", get(review::page))
        .route("/desk/reviews/{sequence}/text", get(review::text))
        .route("/desk/reviews/{sequence}/claim", post(review::claim))
        .route("/desk/reviews/{sequence}/keep", post(review::keep))
        .route("/desk/reviews/{sequence}/release", post(review::release))
        .route("/desk/reviews/{sequence}/acknowledge", post(review::acknowledge))
        .route("/desk/reviews/{sequence}/close", post(review::close))
        .route("/desk/dashboard", get(dashboard::page))
        .route("/desk/dashboard/freeze", post(dashboard::freeze))
        .route("/desk/reports", get(reports::page))
        .route("/desk/reports/annual.json", get(reports::json))
        .route("/desk/reports/annual.csv", get(reports::csv))
        .route("/desk/reports/calibration.jsonl", get(reports::calibration))
        .route("/desk/trail", get(trail::page).post(trail::verify))
        .route("/desk/trail/entries.jsonl", get(trail::entries))
        .route("/desk/trail/access.csv", get(trail::accesses))
        .route("/desk/people", get(people::page).post(people::add))
        .route("/desk/people/disable", post(people::disable))
        .layer(map_response(|response| async { guarded(response) }))
        .with_state(Arc::clone(shared));
    Router::new().merge(pages).route(
        "/desk/assets/{name}",
        get(|Path(name): Path<String>| async move { assets::asset(&name) })
            .layer(map_response(|response| async { headed(response) })),
    )
}

/// What no page is answered without.
fn guarded(response: Response) -> Response {
    let mut response = headed(response);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What nothing of the desk is answered without.
fn headed(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
        connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What of the desk programs may ask.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let parameter = |name, description, pattern| {
        let values = Values::Like(pattern);
        Parameter { name, place: Place::Query, description, values }
    };
    vec![
        Endpoint::get("/v1/reports/annual", annual_report)
            .tagged("reports")
            .named("annualReport", "The annual report of referrals, without identifiers; see docs/DESK.md")
            .with(parameter(
                "jurisdiction",
                "Whose law asks for it, as US-CA.",
                "^[A-Z]{2}(-[A-Z0-9]{1,3})?$",
            ))
            .with(parameter("year", "Of which year.", "^(19[7-9][0-9]|[2-9][0-9]{3})$"))
            .answers::<serde_json::Map<String, serde_json::Value>>()
            .fails_as(crate::http::ErrorShape::Own, &["invalid_request", "store_unavailable"]),
    ]
}

/// `GET /v1/reports/annual?jurisdiction=US-CA&year=2026`, for a key with the scope
/// `report`.
async fn annual_report(
    State(shared): State<Arc<Shared>>,
    request: axum::extract::Request,
) -> Result<Response, crate::http::Failure> {
    use crate::store::keys::Scope;
    let caller = shared.authorise(request.headers(), Scope::Report).await?;
    let query = visit::Fields::of_query(request.uri());
    let of = annual::Of::parse(query.get("jurisdiction"), query.get("year"))
        .map_err(crate::http::Failure::invalid)?;
    let report = reports::make(&shared, caller.tenant, of).await?;
    Ok(crate::http::json_response(report.json()).into_response())
}
