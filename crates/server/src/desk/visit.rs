//! Who asks, and what protects them. A visit is a request with what is known of its
//! sender: the session that a cookie names, or none.
//!
//! A form is taken only from a page of ours: its token is derived from a cookie that no
//! script and no other site can read, and the browser must say that the request comes
//! from this origin (`Sec-Fetch-Site`, or `Origin` where it does not send that).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use mindrail_core::digest::sha256;

use super::page::{Tab, notice};
use super::words::{Phrase, Tongue};
use super::{LARGEST_FORM, Tls};
use crate::http::origin::{is_same_origin, is_this_machine};
use crate::http::{Failure, Shared, now_ms};
use crate::store::accounts::{DeskLanguage, DeskUser, SESSION_MS};
use crate::store::log::Deed;
use crate::store::random;
use crate::tenant::{DEFAULT, Tenant};

/// A request to the desk with what is known of its sender.
pub(super) struct Visit {
    pub(super) shared: Arc<Shared>,
    pub(super) user: Option<DeskUser>,
    pub(super) tongue: Tongue,
    /// What the answer must say in, for its address.
    pub(super) uri: Uri,
    /// From where.
    pub(super) address: IpAddr,
    /// Whether whoever reaches this machine may use the console.
    pub(super) open: bool,
    pub(super) now_ms: u64,
    secure: bool,
    /// What the tokens of forms are derived from.
    cookie: String,
    /// Whether the browser does not have it yet.
    is_new: bool,
}

/// A cookie's names without and with TLS: browsers take one that begins with `__Host-`
/// from this host only, and over TLS only.
#[derive(Clone, Copy)]
enum Cookie {
    /// Names the session.
    Session,
    /// Protects the forms of those who are not logged in.
    Form,
    /// Knows a log-in by way of an identity provider, from which the browser comes back.
    SignOn,
}

impl Cookie {
    const fn name(self, secure: bool) -> &'static str {
        match (self, secure) {
            (Self::Session, false) => "mindrail_desk",
            (Self::Session, true) => "__Host-mindrail_desk",
            (Self::Form, false) => "mindrail_form",
            (Self::Form, true) => "__Host-mindrail_form",
            (Self::SignOn, false) => "mindrail_sign_on",
            (Self::SignOn, true) => "__Host-mindrail_sign_on",
        }
    }

    fn read(self, headers: &HeaderMap, secure: bool) -> Option<String> {
        let pairs = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs = pairs.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let found = pairs.find(|(name, _)| *name == self.name(secure))?.1;
        let is_token = found.len() == 64 && found.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_token.then(|| found.to_owned())
    }

    /// The header that sets it for so many seconds; 0 takes it away.
    fn set(self, value: &str, secure: bool, seconds: u64) -> HeaderValue {
        let (name, over_tls) = (self.name(secure), if secure { "; Secure" } else { "" });
        let site = if matches!(self, Self::SignOn) { "Lax" } else { "Strict" };
        let line = format!("{name}={value}; Path=/; HttpOnly; SameSite={site}; Max-Age={seconds}{over_tls}");
        HeaderValue::from_str(&line).expect("hexadecimal digits make a header")
    }
}

impl FromRequestParts<Arc<Shared>> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        Self::of(parts, shared).await.map_err(|failure| unavailable(&parts.headers, &failure))
    }
}

impl Visit {
    async fn of(parts: &Parts, shared: &Arc<Shared>) -> Result<Self, Failure> {
        let headers = &parts.headers;
        let secure = parts.extensions.get::<Tls>().is_some()
            || headers.get("x-forwarded-proto").is_some_and(|scheme| scheme == "https");
        let now_ms = now_ms();
        let mut user = None;
        let session = Cookie::Session.read(headers, secure);
        if let Some(token) = session.clone() {
            user = shared.ask_store(move |store| store.session_user(&token, now_ms)).await?;
        }
        let known = session.filter(|_| user.is_some()).or_else(|| Cookie::Form.read(headers, secure));
        let is_new = known.is_none();
        let cookie = known.unwrap_or_else(|| crate::store::hex(&random::<32>()));
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let language = user.as_ref().map_or_else(|| preferred(headers), |user| user.language);
        Ok(Self {
            user,
            tongue: Tongue(language),
            uri: parts.uri.clone(),
            address: forwarded_for(headers, shared.behind_proxies)
                .or(address.map(|address| address.0.ip()))
                .unwrap_or(IpAddr::from([0, 0, 0, 0])),
            open: is_this_machine(headers) && shared.is_open().await?,
            shared: Arc::clone(shared),
            now_ms,
            secure,
            cookie,
            is_new,
        })
    }

    /// The token that every form holds.
    pub(super) fn form_token(&self) -> String {
        sha256(format!("form:{}", self.cookie).as_bytes())
    }

    pub(super) fn say(&self, phrase: Phrase) -> &'static str {
        self.tongue.say(phrase)
    }

    /// The answer as HTML, with the cookie that the next form needs.
    pub(super) fn html(&self, status: StatusCode, page: maud::Markup) -> Response {
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        let mut response = (status, [(header::CONTENT_TYPE, kind)], page.into_string()).into_response();
        if self.is_new && self.user.is_none() {
            let cookie = Cookie::Form.set(&self.cookie, self.secure, SESSION_MS / 1000);
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }

    /// Whoever is logged in and may see a page.
    pub(super) fn may(&self, tab: Tab) -> Result<&DeskUser, Response> {
        match &self.user {
            Some(user) if tab.opens_to(user.role) => Ok(user),
            Some(_) => Err(notice(self, StatusCode::FORBIDDEN, Phrase::NotYours, Phrase::RoleDoesNotOpen)),
            None => Err(Redirect::to("/desk/login").into_response()),
        }
    }

    /// As [`Visit::may`], with the tenant as it is configured now.
    pub(super) fn at(&self, tab: Tab) -> Result<(&DeskUser, Arc<Tenant>), Response> {
        let user = self.may(tab)?;
        let tenant = self.shared.tenants.get(&user.tenant);
        let tenant = tenant.ok_or_else(|| {
            notice(self, StatusCode::FORBIDDEN, Phrase::NotYours, Phrase::TenantNotConfigured)
        })?;
        Ok((user, tenant))
    }

    /// For whom the console asks: the tenant of whoever is logged in, or the default
    /// one where the server answers everybody on this machine.
    pub(super) fn console_tenant(&self) -> Result<Arc<Tenant>, Response> {
        if self.user.is_some() || !self.open {
            return self.at(Tab::Console).map(|(_, tenant)| tenant);
        }
        self.shared.caller(DEFAULT).map(|caller| caller.tenant).map_err(|failure| self.failed(&failure))
    }

    /// Asks the store, and says on a page where it does not answer.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&crate::store::Store) -> Result<T, crate::store::StoreError> + Send + 'static,
    ) -> Result<T, Response> {
        self.shared.ask_store(work).await.map_err(|failure| self.failed(&failure))
    }

    /// Writes down what somebody is about to do; where that fails they must not.
    pub(super) async fn log(&self, user: &DeskUser, deed: Deed, review: Option<u64>) -> Result<(), Response> {
        let (tenant, name, now_ms) = (user.tenant.clone(), user.name.clone(), self.now_ms);
        self.ask(move |store| store.log_access((&tenant, &name), deed, review, now_ms)).await
    }

    fn failed(&self, failure: &Failure) -> Response {
        notice(self, failure.status, Phrase::Unavailable, Phrase::StoreDoesNotAnswer)
    }

    /// Logs somebody in who has shown who they are, and goes to a page.
    pub(super) async fn begin_session(
        &self,
        tenant: &str,
        name: &str,
        to: &str,
    ) -> Result<Response, Response> {
        let cookies = self.session_cookies(tenant, name).await?;
        let mut response = Redirect::to(to).into_response();
        cookies.into_iter().for_each(|cookie| {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        });
        Ok(response)
    }

    /// Begins a session of somebody who has shown who they are, and gives the cookies that
    /// name it and take away what it does not need.
    pub(super) async fn session_cookies(
        &self,
        tenant: &str,
        name: &str,
    ) -> Result<[HeaderValue; 3], Response> {
        let (tenant, name, now_ms) = (tenant.to_owned(), name.to_owned(), self.now_ms);
        let token = self
            .ask(move |store| {
                let token = store.begin_session(&tenant, &name, now_ms)?;
                store.log_access((&tenant, &name), Deed::LogIn, None, now_ms)?;
                Ok(token)
            })
            .await?;
        Ok([
            Cookie::Session.set(&token, self.secure, SESSION_MS / 1000),
            Cookie::Form.set("", self.secure, 0),
            Cookie::SignOn.set("", self.secure, 0),
        ])
    }

    /// The cookie by which a log-in is known again when the browser comes back.
    pub(super) fn sign_on_cookie(&self, secret: &str) -> HeaderValue {
        const LONGEST_S: u64 = 10 * 60;
        Cookie::SignOn.set(secret, self.secure, LONGEST_S)
    }

    /// What the cookie of [`Visit::sign_on_cookie`] holds.
    pub(super) fn sign_on_secret(&self, headers: &HeaderMap) -> Option<String> {
        Cookie::SignOn.read(headers, self.secure)
    }

    /// Ends the session, here and in the store.
    pub(super) async fn end_session(&self) -> Result<Response, Response> {
        if let Some(user) = &self.user {
            self.log(user, Deed::LogOut, None).await?;
            let token = self.cookie.clone();
            self.ask(move |store| store.end_session(&token)).await?;
        }
        let mut response = Redirect::to("/desk/login").into_response();
        response.headers_mut().append(header::SET_COOKIE, Cookie::Session.set("", self.secure, 0));
        Ok(response)
    }

    /// That a request that changes something comes from a page of ours.
    fn is_ours(&self, headers: &HeaderMap, token: Option<&str>) -> bool {
        // Both are digests of what a stranger does not know: the time tells nothing.
        let shown = token.map(|token| sha256(token.as_bytes()));
        !self.is_new && shown == Some(sha256(self.form_token().as_bytes())) && is_same_origin(headers)
    }

    /// As [`Posted`], for what the page's script sends: the token is a header.
    pub(super) fn check_script(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let token = headers.get("x-mindrail-form").and_then(|value| value.to_str().ok());
        if self.is_ours(headers, token) {
            return Ok(());
        }
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            "not_from_here",
            "the request does not come from the desk's page",
        ))
    }
}

/// A form that was sent from a page of ours.
pub(super) struct Posted {
    pub(super) visit: Visit,
    pub(super) fields: Fields,
}

impl FromRequest<Arc<Shared>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, shared).await?;
        let body = to_bytes(body, LARGEST_FORM).await.map_err(|_| {
            notice(&visit, StatusCode::PAYLOAD_TOO_LARGE, Phrase::NotTaken, Phrase::FormTooLarge)
        })?;
        let fields = Fields::of(&body);
        if visit.is_ours(&parts.headers, fields.get("form")) {
            return Ok(Self { visit, fields });
        }
        Err(notice(&visit, StatusCode::FORBIDDEN, Phrase::NotTaken, Phrase::FormNotOurs))
    }
}

/// The fields of a form or of an address.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    fn of(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    pub(super) fn of_query(uri: &Uri) -> Self {
        Self::of(uri.query().unwrap_or_default().as_bytes())
    }

    /// The first field of a name, without space around it; none where it is blank.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(field, _)| field == name)?;
        Some(found.1.trim()).filter(|value| !value.is_empty())
    }

    /// The same as it was sent: a password may begin with a space.
    pub(super) fn exact(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

/// From where the outermost of so many proxies was asked: each puts that at the end, and
/// what stands before those of ours anybody could have written.
fn forwarded_for(headers: &HeaderMap, proxies: usize) -> Option<IpAddr> {
    let lines = headers.get_all("x-forwarded-for").into_iter();
    let lines: Vec<_> = lines.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let addresses: Vec<&str> = lines.iter().flat_map(|line| line.split(',')).map(str::trim).collect();
    let place = addresses.len().checked_sub(proxies).filter(|_| proxies > 0)?;
    let address = addresses.get(place)?;
    address.parse().ok().or_else(|| Some(address.parse::<SocketAddr>().ok()?.ip()))
}

/// The language that a browser asks for first, of those that the desk speaks.
fn preferred(headers: &HeaderMap) -> DeskLanguage {
    let asked =
        headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut ranked: Vec<(f32, DeskLanguage)> = asked
        .split(',')
        .filter_map(|range| {
            let (tag, weight) = range.split_once(";q=").unwrap_or((range, "1"));
            let language =
                tag.trim().split('-').next().unwrap_or_default().to_ascii_lowercase().parse().ok()?;
            Some((weight.trim().parse().ok()?, language))
        })
        .collect();
    // The sort is stable: of equals the first counts.
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.first().map(|(_, language)| *language).unwrap_or_default()
}

/// What is said where nothing is known of the sender, since the store does not answer.
fn unavailable(headers: &HeaderMap, failure: &Failure) -> Response {
    let words = Tongue(preferred(headers)).say(Phrase::StoreDoesNotAnswer);
    (failure.status, words).into_response()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn the_browser_s_first_language_that_is_spoken_counts() {
        for (asked, expected) in [
            ("", DeskLanguage::English),
            ("fr-CA,fr;q=0.9,en;q=0.8", DeskLanguage::French),
            ("en;q=0.3, fr;q=0.7", DeskLanguage::French),
            ("de, en;q=0.5, fr;q=0.4", DeskLanguage::English),
            ("*;q=x", DeskLanguage::English),
        ] {
            assert_eq!(preferred(&headers(&[("accept-language", asked)])), expected, "{asked}");
        }
    }

    #[test]
    fn where_a_request_comes_from_is_what_the_outermost_of_our_proxies_says() {
        let several = headers(&[("x-forwarded-for", "1.1.1.1, 10.0.0.7, 10.0.0.8")]);
        let of = |headers: &HeaderMap, proxies| forwarded_for(headers, proxies).map(|ip| ip.to_string());
        assert_eq!(of(&several, 0), None);
        assert_eq!(of(&several, 1).as_deref(), Some("10.0.0.8"));
        assert_eq!(of(&several, 2).as_deref(), Some("10.0.0.7"));
        assert_eq!(of(&several, 4), None);
        assert_eq!(of(&headers(&[]), 1), None);
        assert_eq!(of(&headers(&[("x-forwarded-for", "unknown")]), 1), None);
        assert_eq!(of(&headers(&[("x-forwarded-for", "10.0.0.9:71")]), 1).as_deref(), Some("10.0.0.9"));
        let mut torn = headers(&[("x-forwarded-for", "1.1.1.1")]);
        torn.append("x-forwarded-for", HeaderValue::from_bytes(b"\xff, 10.0.0.8").unwrap());
        assert_eq!(of(&torn, 1).as_deref(), Some("10.0.0.8"));
    }
}
