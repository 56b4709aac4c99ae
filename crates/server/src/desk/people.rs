//! Who works at the desk of a tenant. A new password is made here and shown once.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::page::{Page, Tab, notice, time, token};
use super::password;
use super::visit::{Fields, Posted, Visit};
use super::words::{Phrase, Tongue};
use crate::store::accounts::{DeskLanguage, DeskRole, DeskUser, LONGEST_USER_NAME, is_user_name};
use crate::store::log::Deed;

pub(super) async fn page(visit: Visit) -> Result<Response, Response> {
    draw(&visit, &html! {}).await
}

async fn draw(visit: &Visit, news: &Markup) -> Result<Response, Response> {
    let user = visit.may(Tab::People)?;
    let tenant = user.tenant.clone();
    let people = visit.ask(move |store| store.users(Some(&tenant))).await?;
    let say = |phrase| visit.say(phrase);
    let main = html! {
        h1 { (say(Phrase::People)) }
        (news)
        section.card {
            div.scroll tabindex="0" role="group" aria-label=(say(Phrase::People)) {
                table {
                    thead { tr { th scope="col" { (say(Phrase::Name)) } th scope="col" { (say(Phrase::Role)) } th scope="col" { (say(Phrase::Since)) } th scope="col" { (say(Phrase::Action)) } } }
                    tbody { @for person in &people { (row(visit, user, person)) } }
                }
            }
        }
        section.card {
            h2 { (say(Phrase::AddSomebody)) }
            form.line method="post" action="/desk/people" {
                (token(visit))
                div { label for="name" { (say(Phrase::Name)) } input #name name="name" required maxlength=(LONGEST_USER_NAME) autocomplete="off" autocapitalize="none"; }
                div { label for="role" { (say(Phrase::Role)) } select #role name="role" { @for one in [DeskRole::Counsellor, DeskRole::Auditor, DeskRole::Admin] { option value=(one.wire()) { (role(visit.tongue, one)) } } } }
                div { label for="language" { (say(Phrase::Language)) } select #language name="language" { option value="en" lang="en" { "English" } option value="fr" lang="fr" { "Français" } } }
                button.primary type="submit" { (say(Phrase::Add)) }
            }
            p.muted { (say(Phrase::RolesWhat)) }
        }
    };
    Ok(Page { visit, tab: Some(Tab::People), title: say(Phrase::People), main }.answer())
}

fn row(visit: &Visit, me: &DeskUser, person: &DeskUser) -> Markup {
    html! {
        tr {
            th scope="row" { (person.name) }
            td { (role(visit.tongue, person.role)) }
            td { (time(person.created_ms)) }
            td {
                @if let Some(ms) = person.disabled_ms { span.muted { (visit.say(Phrase::DisabledSince)) " " (time(ms)) } }
                @else if person.name == me.name { span.muted { (visit.say(Phrase::ThisIsYou)) } }
                @else {
                    form method="post" action="/desk/people/disable" {
                        (token(visit))
                        input type="hidden" name="name" value=(person.name);
                        button type="submit" aria-label=(visit.tongue.fill(Phrase::DisableName, &[&person.name])) { (visit.say(Phrase::Disable)) }
                    }
                }
            }
        }
    }
}

fn role(tongue: Tongue, role: DeskRole) -> &'static str {
    tongue.say(match role {
        DeskRole::Admin => Phrase::RoleAdmin,
        DeskRole::Counsellor => Phrase::RoleCounsellor,
        DeskRole::Auditor => Phrase::RoleAuditor,
    })
}

fn new_user(visit: &Visit, fields: &Fields) -> Option<DeskUser> {
    let language: DeskLanguage = fields.get("language")?.parse().ok()?;
    Some(DeskUser {
        tenant: visit.user.as_ref()?.tenant.clone(),
        name: fields.get("name").filter(|name| is_user_name(name))?.to_owned(),
        role: fields.get("role")?.parse().ok()?,
        language,
        created_ms: visit.now_ms,
        disabled_ms: None,
    })
}

pub(super) async fn add(Posted { visit, fields }: Posted) -> Result<Response, Response> {
    let user = visit.may(Tab::People)?;
    let Some(new) = new_user(&visit, &fields) else {
        return Err(notice(&visit, StatusCode::UNPROCESSABLE_ENTITY, Phrase::NotTaken, Phrase::BadName));
    };
    visit.log(user, Deed::AddUser, None).await?;
    let (name, made) = (new.name.clone(), password::generate());
    let kept = password::hash(&made).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())?;
    let added = visit.ask(move |store| store.add_user(&new, &kept)).await?;
    let news = if added {
        html! {
            section.card.notice role="status" {
                p { (visit.tongue.fill(Phrase::PasswordOnce, &[&name])) }
                pre { code { (made) } }
            }
        }
    } else {
        html! { p.error role="alert" { (visit.tongue.fill(Phrase::NameTaken, &[&name])) } }
    };
    draw(&visit, &news).await
}

pub(super) async fn disable(Posted { visit, fields }: Posted) -> Result<Response, Response> {
    let user = visit.may(Tab::People)?;
    let name = fields.get("name").unwrap_or_default().to_owned();
    if name == user.name {
        return Err(notice(&visit, StatusCode::UNPROCESSABLE_ENTITY, Phrase::NotTaken, Phrase::NotYourself));
    }
    visit.log(user, Deed::DisableUser, None).await?;
    let (tenant, now_ms) = (user.tenant.clone(), visit.now_ms);
    visit.ask(move |store| store.disable_user(&tenant, &name, now_ms)).await?;
    Ok(Redirect::to("/desk/people").into_response())
}
