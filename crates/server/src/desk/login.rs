//! Logging in and out. The session itself is begun by [`Visit::begin_session`], which
//! whoever has shown in another way who they are (single sign-on) goes through as well.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::identity::Passwords;
use super::limit::Attempt;
use super::page::{Page, Tab, token};
use super::password;
use super::visit::{Posted, Visit};
use super::words::Phrase;
use crate::tenant::{DEFAULT, Tenant};

pub(super) async fn page(visit: Visit) -> Result<Response, Response> {
    if let Some(user) = &visit.user {
        return Ok(Redirect::to(Tab::first_of(user.role)).into_response());
    }
    let main =
        if visit.ask(crate::store::Store::any_user).await? { form(&visit, None) } else { first(&visit) };
    Ok(Page { visit: &visit, tab: None, title: visit.say(Phrase::LogIn), main }.answer())
}

/// What to do where nobody works here yet.
fn first(visit: &Visit) -> Markup {
    html! {
        section.card.narrow {
            h1 { (visit.say(Phrase::NobodyYet)) }
            p { (visit.say(Phrase::NobodyYetWhy)) }
            pre { code { "mindrail desk add-user NAME --role counsellor" } }
            p { (visit.say(Phrase::NobodyYetRoles)) }
            p { (visit.say(Phrase::NobodyYetStore)) }
            p { a href="/desk" { (visit.say(Phrase::BackToDesk)) } }
        }
    }
}

fn form(visit: &Visit, wrong: Option<Phrase>) -> Markup {
    let tenants = visit.shared.tenants.all();
    let several = tenants.len() > 1;
    let with_password = tenants.values().any(|tenant| opens_by_password(tenant));
    let with_provider = tenants.values().any(|tenant| tenant.provider.is_some());
    html! {
        section.card.narrow {
            h1 { (visit.say(Phrase::LogIn)) }
            @if let Some(words) = wrong { p.error role="alert" { (visit.say(words)) } }
            @if with_provider {
                form.stacked method="get" action="/desk/login/with" {
                    @if several {
                        label for="organisation" { (visit.say(Phrase::Organisation)) }
                        input #organisation name="tenant" required autocomplete="organization" autocapitalize="none";
                    }
                    button type="submit" { (visit.say(Phrase::SignOnAt)) }
                }
            }
            @if with_password { form.stacked method="post" action="/desk/login" {
                (token(visit))
                @if several {
                    label for="tenant" { (visit.say(Phrase::Organisation)) }
                    input #tenant name="tenant" required autocomplete="organization" autocapitalize="none";
                }
                label for="name" { (visit.say(Phrase::Name)) }
                input #name name="name" required autocomplete="username" autocapitalize="none" autofocus;
                label for="password" { (visit.say(Phrase::Password)) }
                input #password type="password" name="password" required autocomplete="current-password";
                button.primary type="submit" { (visit.say(Phrase::LogIn)) }
            } }
        }
    }
}

fn opens_by_password(tenant: &Tenant) -> bool {
    tenant.provider.as_ref().is_none_or(|provider| provider.passwords == Passwords::On)
}

pub(super) async fn log_in(Posted { visit, fields }: Posted) -> Result<Response, Response> {
    let tenants = visit.shared.tenants.all();
    let only = tenants.keys().next().filter(|_| tenants.len() == 1);
    let tenant = fields.get("tenant").or(only.map(String::as_str)).unwrap_or(DEFAULT).to_owned();
    let name = fields.get("name").unwrap_or_default().to_owned();
    let password = fields.exact("password").unwrap_or_default().to_owned();
    let attempt = Attempt { tenant: &tenant, name: &name, address: visit.address };
    if !visit.shared.desk.limits.take(attempt, visit.now_ms) {
        return Ok(refused(&visit, StatusCode::TOO_MANY_REQUESTS, Phrase::TooManyTries));
    }
    if tenants.get(&tenant).is_some_and(|tenant| !opens_by_password(tenant)) {
        return Ok(refused(&visit, StatusCode::FORBIDDEN, Phrase::SignOnOnly));
    }
    if !is_right(&visit, &tenant, &name, password).await? {
        return Ok(refused(&visit, StatusCode::UNAUTHORIZED, Phrase::WrongLogIn));
    }
    visit.shared.desk.limits.give_back(attempt);
    visit.begin_session(&tenant, &name, "/desk/login").await
}

/// Whether somebody who may log in has the password. It takes as long where there is
/// nobody of the name.
async fn is_right(visit: &Visit, tenant: &str, name: &str, password: String) -> Result<bool, Response> {
    let (tenant, name) = (tenant.to_owned(), name.to_owned());
    let Ok(_permit) = visit.shared.desk.passwords.acquire().await else { return Ok(false) };
    visit
        .ask(move |store| {
            let found = store.user(&tenant, &name)?;
            let matches = password::matches(&password, found.as_ref().map(|(_, kept)| kept.as_str()));
            Ok(matches && found.is_some_and(|(user, _)| user.disabled_ms.is_none()))
        })
        .await
}

fn refused(visit: &Visit, status: StatusCode, words: Phrase) -> Response {
    let main = form(visit, Some(words));
    Page { visit, tab: None, title: visit.say(Phrase::LogIn), main }.answer_as(status)
}

pub(super) async fn log_out(Posted { visit, .. }: Posted) -> Result<Response, Response> {
    visit.end_session().await
}

/// Changes the language of whoever is logged in, and goes back to where they were.
pub(super) async fn language(Posted { visit, fields }: Posted) -> Result<Response, Response> {
    if let (Some(user), Some(Ok(language))) = (&visit.user, fields.get("language").map(str::parse)) {
        let (tenant, name) = (user.tenant.clone(), user.name.clone());
        visit.ask(move |store| store.set_language(&tenant, &name, language)).await?;
    }
    // Only a page of ours: an address of two slashes would be another host's.
    let back = fields.get("back").filter(|back| back.starts_with("/desk") && !back.contains(['\\', ':']));
    Ok(Redirect::to(back.unwrap_or("/desk")).into_response())
}
