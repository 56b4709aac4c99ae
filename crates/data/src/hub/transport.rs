//! Requests to the hub: redirects, retries, and the one rule about the token,
//! which is sent to the endpoint's own scheme, host and port and nowhere else.
//! Large files are redirected to stores of other companies, whose signed
//! addresses need no token; it would be theirs if it were sent.

use std::thread::sleep;
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::{Agent, Body};

use super::error::{Credentials, HubError};
use super::name::DatasetId;
use super::settings::{Settings, Token};

/// Retries after a first try, counted anew whenever bytes arrive.
const RETRIES: u32 = 5;

/// A server that asks for more than this is not waited for.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

const MOST_REDIRECTS: usize = 10;

/// What a request is about, which decides what a refusal means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Revision(&'a str),
    File(&'a str),
}

#[derive(Debug, Clone, Copy)]
enum Method {
    Head,
    Get,
}

/// Why one try failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// No retry mends it.
    Final(HubError),
    /// It may pass.
    Passing {
        reason: String,
        /// What the server asks us to wait.
        wait: Option<Duration>,
        /// Bytes that this try brought.
        arrived: u64,
    },
}

impl From<HubError> for Fault {
    fn from(error: HubError) -> Self {
        Self::Final(error)
    }
}

#[derive(Debug)]
pub(super) struct Transport {
    agent: Agent,
    endpoint: String,
    token: Option<Token>,
    first_pause: Duration,
}

impl Transport {
    pub(super) fn new(settings: &Settings) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed here, by the rule about the token.
            .max_redirects(0)
            .user_agent(concat!("mindrail/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_mins(1)))
            .timeout_per_read(Some(Duration::from_mins(1)))
            .build()
            .new_agent();
        Self {
            agent,
            endpoint: settings.endpoint.clone(),
            token: settings.token.clone(),
            first_pause: settings.first_pause,
        }
    }

    /// Headers of the hub's own answer, which may point to another host.
    pub(super) fn head(
        &self,
        id: &DatasetId,
        subject: Subject<'_>,
        url: &str,
    ) -> Result<HeaderMap, HubError> {
        self.retrying(url, || {
            let response = self.follow(Method::Head, url, 0)?;
            if !response.status().is_redirection() {
                self.accept(id, subject, url, &response)?;
            }
            Ok(response.into_parts().0.headers)
        })
    }

    /// A whole small answer, at most `most` bytes.
    pub(super) fn text(
        &self,
        id: &DatasetId,
        url: &str,
        subject: Subject<'_>,
        most: u64,
    ) -> Result<Vec<u8>, HubError> {
        self.retrying(url, || {
            let mut response = self.get(id, subject, url, 0)?;
            let body = response.body_mut().with_config().limit(most);
            body.read_to_vec().map_err(|error| passing(&error, 0))
        })
    }

    /// One try at a body from a byte on; the answer's status is a success.
    pub(super) fn get(
        &self,
        id: &DatasetId,
        subject: Subject<'_>,
        url: &str,
        from: u64,
    ) -> Result<Response<Body>, Fault> {
        let response = self.follow(Method::Get, url, from)?;
        self.accept(id, subject, url, &response)?;
        Ok(response)
    }

    /// Repeats what may pass, with pauses that double.
    pub(super) fn retrying<T>(
        &self,
        url: &str,
        mut attempt: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, HubError> {
        let mut tries = 0;
        loop {
            let (reason, wait, arrived) = match attempt() {
                Ok(value) => return Ok(value),
                Err(Fault::Final(error)) => return Err(error),
                Err(Fault::Passing { reason, wait, arrived }) => (reason, wait, arrived),
            };
            tries = if arrived > 0 { 1 } else { tries + 1 };
            let pause = wait.unwrap_or(self.first_pause * (1 << (tries - 1)));
            if tries > RETRIES || pause > LONGEST_WAIT {
                return Err(HubError::GaveUp { address: without_query(url), tries, reason });
            }
            sleep(pause);
        }
    }

    /// One request and its redirects. `HEAD` stays on the hub, since the headers
    /// that name the content are the hub's.
    fn follow(&self, method: Method, url: &str, from: u64) -> Result<Response<Body>, Fault> {
        let mut url = url.to_owned();
        for _ in 0..MOST_REDIRECTS {
            let response = self.once(method, &url, from)?;
            let Some(next) = redirection(&url, &response) else { return Ok(response) };
            if matches!(method, Method::Head) && !self.is_own(&next) {
                return Ok(response);
            }
            url = next;
        }
        Err(HubError::BadAnswer { address: without_query(&url), expected: "fewer than ten redirects" }.into())
    }

    fn once(&self, method: Method, url: &str, from: u64) -> Result<Response<Body>, Fault> {
        let mut request = match method {
            Method::Head => self.agent.head(url),
            Method::Get => self.agent.get(url),
        };
        // A compressed answer would have another length than the file.
        request = request.header(header::ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        if let Some(token) = self.token.as_ref().filter(|_| self.is_own(url)) {
            request = request.header(header::AUTHORIZATION, token.bearer());
        }
        request.call().map_err(|error| fault(url, &error))
    }

    /// Whether an address is the endpoint's own scheme, host and port.
    fn is_own(&self, url: &str) -> bool {
        matches!((origin(url), origin(&self.endpoint)), (Some(a), Some(b)) if a == b)
    }

    fn credentials(&self) -> Credentials {
        if self.token.is_some() { Credentials::Token } else { Credentials::Nothing }
    }

    fn accept(
        &self,
        id: &DatasetId,
        subject: Subject<'_>,
        url: &str,
        response: &Response<Body>,
    ) -> Result<(), Fault> {
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        if matches!(status.as_u16(), 408 | 429) || status.is_server_error() {
            let wait = retry_after(response.headers());
            return Err(Fault::Passing { reason: format!("status {status}"), wait, arrived: 0 });
        }
        Err(self.refusal(id, subject, url, response).into())
    }

    /// The hub says in a header what it means; a mirror may say it by status alone.
    fn refusal(
        &self,
        id: &DatasetId,
        subject: Subject<'_>,
        url: &str,
        response: &Response<Body>,
    ) -> HubError {
        let text =
            |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let status = response.status().as_u16();
        let (id, endpoint) = (id.to_string(), self.endpoint.clone());
        let credentials = self.credentials();
        match (text("x-error-code"), status, subject) {
            ("GatedRepo", ..) => {
                HubError::Gated { page: format!("{endpoint}/datasets/{id}"), id, credentials }
            }
            ("RevisionNotFound", _, Subject::Revision(revision)) => {
                HubError::RevisionNotFound { id, revision: revision.to_owned() }
            }
            ("EntryNotFound", _, Subject::File(file)) | ("", 404, Subject::File(file)) => {
                HubError::EntryNotFound { id, file: file.to_owned() }
            }
            ("", 401, _) if text("x-error-message").starts_with("Invalid credentials") => {
                HubError::TokenRefused { endpoint }
            }
            ("RepoNotFound", ..) | ("", 401 | 403, _) | ("", 404, Subject::Revision(_)) => {
                HubError::RepositoryNotFound { id, endpoint, credentials }
            }
            _ => HubError::Status { address: without_query(url), status },
        }
    }
}

/// The failure of a body that broke off after some bytes.
pub(super) fn passing(error: &dyn std::error::Error, arrived: u64) -> Fault {
    Fault::Passing { reason: error.to_string(), wait: None, arrived }
}

/// A wrong address or a wrong certificate stays wrong; a connection may recover.
fn fault(url: &str, error: &ureq::Error) -> Fault {
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            HubError::BadAnswer { address: without_query(url), expected: "an address of http or https" }
                .into()
        }
        _ => passing(error, 0),
    }
}

/// Where a redirect leads, in full.
fn redirection(from: &str, response: &Response<Body>) -> Option<String> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let to = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let uri = from.parse::<Uri>().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    Some(if to.starts_with("//") {
        format!("{scheme}:{to}")
    } else if to.starts_with('/') {
        format!("{scheme}://{authority}{to}")
    } else {
        to.to_owned()
    })
}

/// Scheme, host and port.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri = url.parse::<Uri>().ok()?;
    let scheme = uri.scheme_str()?.to_lowercase();
    let port = uri.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
    Some((scheme, uri.host()?.to_lowercase(), port))
}

/// An address as it may be shown: signatures stand in the query.
pub(super) fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// `Retry-After` in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("https://Hub.co/a"), origin("https://hub.co:443"));
        for other in
            ["http://hub.co/a", "https://hub.co:8443/a", "https://cdn.hub.co/a", "https://hub.co.evil/a"]
        {
            assert_ne!(origin("https://hub.co"), origin(other), "{other}");
        }
    }

    #[test]
    fn a_redirect_may_be_told_in_three_ways() {
        let to = |location: &str| {
            let answer = Response::builder().status(302).header("location", location);
            let answer = answer.body(Body::builder().data("")).unwrap();
            redirection("https://hub.co:1/a/b?x", &answer).unwrap()
        };
        assert_eq!(to("/c?d"), "https://hub.co:1/c?d");
        assert_eq!(to("//cdn.co/c"), "https://cdn.co/c");
        assert_eq!(to("http://cdn.co/c"), "http://cdn.co/c");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |value: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
            retry_after(&headers)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let soon = wait(&httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90))).unwrap();
        assert!((80..=90).contains(&soon.as_secs()), "{soon:?}");
        assert_eq!(wait("later"), None);
    }
}
