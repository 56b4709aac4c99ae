//! Where the model is and with which key it is asked. A key comes from an
//! environment variable that the caller names and never leaves this crate but in
//! the header of a request.

use std::env;
use std::fmt;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use thiserror::Error;

/// A model behind a server.
#[derive(Debug, Clone)]
pub struct Endpoint {
    url: Url,
    model: String,
    key: Option<ApiKey>,
    /// How long a call may take.
    pub timeouts: Timeouts,
}

/// How long the client waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the whole answer, from the connection to the last byte.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), total: Duration::from_mins(5) }
    }
}

/// A key. Neither `Debug` nor `Display` shows it.
#[derive(Clone)]
pub struct ApiKey {
    secret: String,
    header: KeyHeader,
}

/// The header in which a server expects the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyHeader {
    /// `Authorization: Bearer …`: nearly all servers.
    #[default]
    Bearer,
    /// `api-key: …`: Azure.
    ApiKey,
}

/// An endpoint that cannot be used. URLs are not repeated: they may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// The URL cannot be parsed, or is neither http nor https.
    #[error("the endpoint is no URL: expected http://… or https://…, as in http://127.0.0.1:8000/v1")]
    NoUrl,
    /// The URL holds what should be in an environment variable.
    #[error("the endpoint's URL holds a user, a password or a key: name an environment variable instead")]
    SecretInUrl,
    /// The variable is unset or empty.
    #[error("environment variable {variable} holds no key")]
    KeyMissing {
        /// The variable's name.
        variable: String,
    },
    /// The variable's value cannot stand in a header.
    #[error("environment variable {variable} holds characters that no key has")]
    KeyUnusable {
        /// The variable's name.
        variable: String,
    },
}

impl Endpoint {
    /// A model behind the server at `base`, as `https://host/v1`. The path
    /// `/chat/completions` is added where it is missing; a query such as
    /// `?api-version=…` is kept.
    ///
    /// # Errors
    /// [`EndpointError::NoUrl`], [`EndpointError::SecretInUrl`].
    pub fn new(base: &str, model: impl Into<String>) -> Result<Self, EndpointError> {
        let mut url = Url::parse(base).map_err(|_| EndpointError::NoUrl)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(EndpointError::NoUrl);
        }
        if holds_a_secret(&url) {
            return Err(EndpointError::SecretInUrl);
        }
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').to_owned();
        if !path.ends_with("/chat/completions") {
            url.set_path(&format!("{path}/chat/completions"));
        }
        Ok(Self { url, model: model.into(), key: None, timeouts: Timeouts::default() })
    }

    /// The same endpoint, asked with a key.
    #[must_use]
    pub fn with_key(self, key: ApiKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// The same endpoint with other timeouts.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// The URL that is posted to. It holds no secret.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The model's name.
    pub fn model(&self) -> &str {
        &self.model
    }

    pub(crate) fn key(&self) -> Option<&ApiKey> {
        self.key.as_ref()
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }
}

fn holds_a_secret(url: &Url) -> bool {
    const SECRETS: [&str; 8] =
        ["key", "api_key", "apikey", "api-key", "token", "access_token", "subscription-key", "sig"];
    let named = |name: &str| SECRETS.contains(&name.to_ascii_lowercase().as_str());
    !url.username().is_empty() || url.password().is_some() || url.query_pairs().any(|(name, _)| named(&name))
}

impl ApiKey {
    /// The key in an environment variable, without white space around it.
    ///
    /// # Errors
    /// [`EndpointError::KeyMissing`], [`EndpointError::KeyUnusable`].
    pub fn from_env(variable: &str, header: KeyHeader) -> Result<Self, EndpointError> {
        let secret = env::var(variable).unwrap_or_default().trim().to_owned();
        if secret.is_empty() {
            return Err(EndpointError::KeyMissing { variable: variable.to_owned() });
        }
        let key = Self { secret, header };
        match key.header() {
            Some(_) => Ok(key),
            None => Err(EndpointError::KeyUnusable { variable: variable.to_owned() }),
        }
    }

    /// The header that carries the key, marked so that it is not logged.
    pub(crate) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = match self.header {
            KeyHeader::Bearer => (AUTHORIZATION, format!("Bearer {}", self.secret)),
            KeyHeader::ApiKey => (HeaderName::from_static("api-key"), self.secret.clone()),
        };
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    }

    /// A text without the key: some servers repeat it when they refuse it.
    pub(crate) fn redact(&self, text: String) -> String {
        if text.contains(&self.secret) { text.replace(&self.secret, "[key]") } else { text }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_path_is_added_once_and_the_query_kept() {
        for (base, url) in [
            ("http://h:1/v1", "http://h:1/v1/chat/completions"),
            ("http://h/v1/", "http://h/v1/chat/completions"),
            ("https://h", "https://h/chat/completions"),
            ("https://h/v1/chat/completions", "https://h/v1/chat/completions"),
            ("https://h/x?api-version=2#y", "https://h/x/chat/completions?api-version=2"),
        ] {
            assert_eq!(Endpoint::new(base, "m").unwrap().url(), url);
        }
    }

    #[test]
    fn urls_that_are_none_or_hold_secrets_are_refused_without_being_repeated() {
        for base in ["", "h/v1", "file:///x", "ftp://h"] {
            assert_eq!(Endpoint::new(base, "m").unwrap_err(), EndpointError::NoUrl, "{base}");
        }
        for base in ["http://u:hush@h", "http://u@h", "http://h?api_key=hush", "http://h?KEY=hush"] {
            let error = Endpoint::new(base, "m").unwrap_err();
            assert_eq!(error, EndpointError::SecretInUrl, "{base}");
            assert!(!error.to_string().contains("hush"));
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        // Cargo sets this variable for tests.
        let key = ApiKey::from_env("CARGO_PKG_NAME", KeyHeader::Bearer).unwrap();
        let endpoint = Endpoint::new("http://h", "m").unwrap().with_key(key.clone());
        for printed in
            [format!("{key}"), format!("{key:?}"), format!("{endpoint:?}"), format!("{:?}", key.header())]
        {
            assert!(!printed.contains("mindrail-llm"), "{printed}");
        }
        assert_eq!(key.redact("bad key mindrail-llm!".into()), "bad key [key]!");
    }

    #[test]
    fn a_missing_key_names_its_variable() {
        let error = ApiKey::from_env("MINDRAIL_NO_SUCH_VARIABLE", KeyHeader::Bearer).unwrap_err();
        assert_eq!(error.to_string(), "environment variable MINDRAIL_NO_SUCH_VARIABLE holds no key");
    }
}
