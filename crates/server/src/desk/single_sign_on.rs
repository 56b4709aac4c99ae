//! Logging in by way of an identity provider: to it, and back from it.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::html;

use super::identity::{IdentityError, Provider, UnderWay, tenant_of};
use super::page::{Page, notice};
use super::visit::{Fields, Visit};
use super::words::Phrase;
use crate::store::{hex, random};
use crate::tenant::Tenant;

/// Sends somebody to the provider of a tenant.
pub(super) async fn go(visit: Visit) -> Result<Response, Response> {
    check_rate(&visit)?;
    let fields = Fields::of_query(&visit.uri);
    let tenants = visit.shared.tenants.all();
    let only = tenants.values().next().filter(|_| tenants.len() == 1);
    let tenant = fields.get("tenant").and_then(|name| tenants.get(name)).or(only);
    let (tenant, provider) =
        tenant.and_then(|tenant| with_provider(tenant)).ok_or_else(|| unknown(&visit))?;
    let secret = hex(&random::<32>());
    let to = provider.begin(&UnderWay::new(&secret, &tenant.name)).await;
    let to = to.map_err(|error| failed(&visit, &tenant.name, &error))?;
    let mut response = Redirect::to(&to).into_response();
    response.headers_mut().append(header::SET_COOKIE, visit.sign_on_cookie(&secret));
    Ok(response)
}

/// Takes somebody back from the provider.
pub(super) async fn back(visit: Visit, headers: HeaderMap) -> Result<Response, Response> {
    check_rate(&visit)?;
    let fields = Fields::of_query(&visit.uri);
    let (Some(state), Some(secret)) = (fields.get("state"), visit.sign_on_secret(&headers)) else {
        return Err(unknown(&visit));
    };
    let tenant = tenant_of(state).and_then(|name| visit.shared.tenants.get(name));
    let tenant = tenant.ok_or_else(|| unknown(&visit))?;
    let (_, provider) = with_provider(&tenant).ok_or_else(|| unknown(&visit))?;
    let under_way = UnderWay::new(&secret, &tenant.name);
    if under_way.state() != state {
        return Err(unknown(&visit));
    }
    let code = fields
        .get("code")
        .ok_or_else(|| failed(&visit, &tenant.name, &IdentityError::sent_back(fields.get("error"))))?;
    let name = provider.end(code, &under_way).await.map_err(|error| failed(&visit, &tenant.name, &error))?;
    let (of, known) = (tenant.name.clone(), name.clone());
    let found = visit.ask(move |store| store.user(&of, &known)).await?;
    if found.is_none_or(|(user, _)| user.disabled_ms.is_some()) {
        return Err(not_here(&visit, &name));
    }
    let cookies = visit.session_cookies(&tenant.name, &name).await?;
    // The browser comes from elsewhere and would keep the session's cookie back from where
    // it is redirected to, but not from where a page of ours sends it.
    let main = html! {
        section.card.narrow { p { a href="/desk/login" { (visit.say(Phrase::BackToDesk)) } } }
    };
    let mut response = Page { visit: &visit, tab: None, title: visit.say(Phrase::LogIn), main }.answer();
    let headers = response.headers_mut();
    headers.insert(header::REFRESH, HeaderValue::from_static("0;url=/desk/login"));
    headers.remove(header::SET_COOKIE);
    cookies.into_iter().for_each(|cookie| {
        headers.append(header::SET_COOKIE, cookie);
    });
    Ok(response)
}

fn with_provider(tenant: &Tenant) -> Option<(&Tenant, &Provider)> {
    tenant.provider.as_deref().map(|provider| (tenant, provider))
}

/// That an address does not keep the provider busy.
fn check_rate(visit: &Visit) -> Result<(), Response> {
    if visit.shared.desk.limits.take_of(visit.address, visit.now_ms) {
        return Ok(());
    }
    Err(notice(visit, StatusCode::TOO_MANY_REQUESTS, Phrase::NotTaken, Phrase::TooManyTries))
}

/// A log-in that this browser has not begun, or not here.
fn unknown(visit: &Visit) -> Response {
    notice(visit, StatusCode::BAD_REQUEST, Phrase::NotTaken, Phrase::SignOnNotBegun)
}

fn failed(visit: &Visit, tenant: &str, error: &IdentityError) -> Response {
    (visit.shared.tell)(&format!("single sign-on of tenant {tenant}: {error}"));
    let status = match error {
        IdentityError::Provider(_) => StatusCode::BAD_GATEWAY,
        IdentityError::Token(_) => StatusCode::UNAUTHORIZED,
    };
    notice(visit, status, Phrase::NotTaken, Phrase::SignOnFailed)
}

/// Whoever the provider knows and this desk does not.
fn not_here(visit: &Visit, name: &str) -> Response {
    let main = html! {
        section.card.narrow {
            h1 { (visit.say(Phrase::NotTaken)) }
            p { (visit.tongue.fill(Phrase::SignOnNotHere, &[name])) }
            p { a href="/desk/login" { (visit.say(Phrase::BackToDesk)) } }
        }
    };
    Page { visit, tab: None, title: visit.say(Phrase::NotTaken), main }.answer_as(StatusCode::FORBIDDEN)
}
