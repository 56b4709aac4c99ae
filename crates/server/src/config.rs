//! The configuration file of `mindrail serve`, in TOML. Without one, there is one
//! tenant with the default policy and a SQLite file. A name that is not known is an
//! error, so that a typing mistake does not silently leave something out. Secrets do
//! not stand in it: it names the environment variables that hold them.
//!
//! Tenants may be changed while the server runs ([`Watched`]): a file that cannot be
//! used leaves everything as it is, and says so.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mindrail_core::policy::Policy;
use mindrail_core::policy::helplines::Registry;
use mindrail_core::policy::place::Place;
use serde::Deserialize;

use crate::desk::identity::{Passwords, Provider};
use crate::proxy::UpstreamSettings;
use crate::seal::TextKey;
use crate::tenant::{REVIEW_WITHIN, Tenant, Webhook};

/// The file, as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// The store: a SQLite file.
    pub store: Option<PathBuf>,
    /// The environment variable that holds the URL of a PostgreSQL database.
    pub store_url_env: Option<String>,
    /// Days after which a conversation that does not go on is forgotten.
    pub keep_days: Option<u32>,
    /// Days after which nobody knows any more whose an entry of the trail is.
    pub keep_names_days: Option<u32>,
    /// Certificate and key, to be spoken to by TLS.
    pub tls: Option<Tls>,
    /// Proxies before this server, each of which puts the address that it was asked from at
    /// the end of `X-Forwarded-For`.
    pub behind_proxies: Option<u8>,
    /// The tenants by name; one named `default` where there are none.
    #[serde(default)]
    pub tenants: BTreeMap<String, TenantConfig>,
}

/// How to be spoken to by TLS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, a PEM file. It is read anew when it changes.
    pub certificate: PathBuf,
    /// The private key, a PEM file.
    pub key: PathBuf,
}

/// One tenant, as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// Its policy file; the default policy where it has none.
    pub policy: Option<PathBuf>,
    /// A registry of helplines of its own, whose entries take the place of those of the
    /// shipped one with the same id.
    pub helplines: Option<PathBuf>,
    /// Where its people are, as `CA` or `CA-QC`, where a request does not say it.
    pub country: Option<Place>,
    /// Minutes in which a counsellor shall have looked at an escalation.
    pub review_within_minutes: Option<u32>,
    /// The environment variable that holds the key under which what was said is kept.
    /// Left out, it is not kept.
    pub keep_text_key_env: Option<String>,
    /// Who is told of escalations.
    #[serde(default)]
    pub webhooks: Vec<WebhookConfig>,
    /// Who says who somebody at the desk is.
    pub single_sign_on: Option<SingleSignOn>,
    /// The assistant behind its proxy; no proxy where it has none.
    pub upstream: Option<UpstreamSettings>,
}

/// A webhook, as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookConfig {
    /// Its name.
    pub name: String,
    /// Where it is told: `https://…`, or `http://…` on this machine.
    pub url: String,
    /// The environment variable that holds the secret that signs what it is told.
    pub secret_env: String,
}

/// An identity provider of `OpenID` Connect, as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SingleSignOn {
    /// Who it is: `https://…`, or `http://…` on this machine.
    pub issuer: String,
    /// As whom Mindrail is known there.
    pub client_id: String,
    /// The environment variable that holds the secret that shows it.
    pub client_secret_env: String,
    /// The address of `/desk/login/back` as browsers reach it.
    pub redirect: String,
    /// The claim that holds the name under which somebody was added; `email` otherwise.
    pub name_claim: Option<String>,
    /// Whether passwords open the desk as well.
    #[serde(default)]
    pub passwords: Passwords,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; none where it is about something that the file names.
    pub line: Option<usize>,
    /// What was found and what was expected.
    pub problem: String,
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.problem)
    }
}

impl Config {
    /// Reads a file. Paths in it are taken from its folder.
    ///
    /// # Errors
    /// [`ConfigError`] for anything that is no configuration.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = read(file)?;
        let mut config: Self = toml::from_str(&text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..start].split(|&byte| byte == b'\n').count();
            let problem = error.message().trim_end().replace('\n', ", ");
            ConfigError { file: file.to_owned(), line: Some(line), problem }
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        config.paths_mut().for_each(|path| *path = folder.join(&*path));
        Ok(config)
    }

    fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let tls = self.tls.iter_mut().flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
        let tenants = self.tenants.values_mut();
        let own = tenants.flat_map(|tenant| tenant.policy.iter_mut().chain(&mut tenant.helplines));
        self.store.iter_mut().chain(tls).chain(own)
    }

    /// The tenants, with their policies read. `default` is the policy of those that
    /// name none.
    ///
    /// # Errors
    /// [`ConfigError`] for a policy, a key or a webhook that cannot be used.
    pub fn tenants(&self, file: &Path, default: &Policy) -> Result<Vec<Tenant>, ConfigError> {
        if self.tenants.is_empty() {
            return Ok(vec![Tenant::new(crate::tenant::DEFAULT, default.clone())]);
        }
        let tenants = self.tenants.iter();
        tenants
            .map(|(name, tenant)| tenant.tenant(name, default).map_err(|error| error.within(file, name)))
            .collect()
    }

    /// The files whose change is a change of the tenants, beside the file itself.
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.tenants.values().flat_map(|tenant| tenant.policy.iter().chain(&tenant.helplines))
    }
}

/// What is wrong with a tenant, before it is known where it stands.
struct Fault {
    file: Option<PathBuf>,
    problem: String,
}

impl Fault {
    fn new(problem: impl Into<String>) -> Self {
        Self { file: None, problem: problem.into() }
    }

    fn within(self, file: &Path, tenant: &str) -> ConfigError {
        let problem = format!("tenants.{tenant}: {}", self.problem);
        ConfigError { file: self.file.unwrap_or_else(|| file.to_owned()), line: None, problem }
    }
}

impl TenantConfig {
    fn tenant(&self, name: &str, default: &Policy) -> Result<Tenant, Fault> {
        check_tenant(name).map_err(Fault::new)?;
        let minutes = self.review_within_minutes.map(|minutes| Duration::from_mins(minutes.into()));
        let text_key = self.keep_text_key_env.as_deref().map(text_key).transpose()?;
        let webhooks = self.webhooks.iter().map(WebhookConfig::webhook).collect::<Result<_, _>>()?;
        let mut own = self.policy.as_deref().map_or_else(|| Ok(default.clone()), policy)?;
        if let Some(file) = &self.helplines {
            own = own.with_registry(registry(file)?);
        }
        let provider = self.single_sign_on.as_ref().map(SingleSignOn::provider).transpose()?;
        let upstream = self.upstream.as_ref().map(UpstreamSettings::build).transpose();
        let upstream = upstream.map_err(|error| Fault::new(format!("upstream: {error}")))?;
        Ok(Tenant {
            country: self.country.clone(),
            review_within: minutes.unwrap_or(REVIEW_WITHIN),
            webhooks,
            text_key: text_key.map(Arc::new),
            provider: provider.map(Arc::new),
            upstream: upstream.map(Arc::new),
            ..Tenant::new(name, own)
        })
    }
}

/// Whether a name can be a tenant's.
///
/// # Errors
/// What was expected.
pub fn check_tenant(name: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=64).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    Err("found another name, expected 1 to 64 letters, digits, `-` and `_`")
}

fn policy(file: &Path) -> Result<Policy, Fault> {
    let text = read(file).map_err(|error| Fault { file: Some(error.file), problem: error.problem })?;
    Policy::from_toml(&file.display().to_string(), &text).map_err(|error| Fault::new(error.to_string()))
}

fn registry(file: &Path) -> Result<Registry, Fault> {
    let text = read(file).map_err(|error| Fault { file: Some(error.file), problem: error.problem })?;
    Registry::from_toml(&file.display().to_string(), &text).map_err(|error| Fault::new(error.to_string()))
}

fn text_key(variable: &str) -> Result<TextKey, Fault> {
    let key = secret(variable)?;
    TextKey::from_hex(&key).map_err(|error| Fault::new(format!("environment variable {variable}: {error}")))
}

/// A secret of the environment.
fn secret(variable: &str) -> Result<String, Fault> {
    let value = std::env::var(variable).unwrap_or_default();
    if value.trim().is_empty() {
        return Err(Fault::new(format!("environment variable {variable} is unset or empty")));
    }
    Ok(value.trim().to_owned())
}

/// That nobody can listen in on what is sent to an address.
fn check_address(address: &str) -> Result<(), &'static str> {
    let is_here = ["http://127.0.0.1", "http://localhost", "http://[::1]"].iter().any(|here| {
        address.strip_prefix(here).is_some_and(|rest| rest.starts_with([':', '/']) || rest.is_empty())
    });
    if address.starts_with("https://") || is_here {
        return Ok(());
    }
    Err("expected https://…, or http://… on this machine")
}

impl SingleSignOn {
    fn provider(&self) -> Result<Provider, Fault> {
        for (field, address) in [("issuer", &self.issuer), ("redirect", &self.redirect)] {
            check_address(address)
                .map_err(|problem| Fault::new(format!("single_sign_on: {field}: {problem}")))?;
        }
        if !self.redirect.ends_with("/desk/login/back") {
            return Err(Fault::new(
                "single_sign_on: redirect: expected an address that ends in /desk/login/back",
            ));
        }
        Ok(Provider {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret: secret(&self.client_secret_env)?,
            redirect: self.redirect.clone(),
            name_claim: self.name_claim.clone().unwrap_or_else(|| "email".to_owned()),
            passwords: self.passwords,
        })
    }
}

impl WebhookConfig {
    fn webhook(&self) -> Result<Webhook, Fault> {
        check_address(&self.url)
            .map_err(|problem| Fault::new(format!("webhook {}: {problem}", self.name)))?;
        let secret = secret(&self.secret_env)?;
        Ok(Webhook { name: self.name.clone(), url: self.url.clone(), secret })
    }
}

fn read(file: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(file).map_err(|error| ConfigError {
        file: file.to_owned(),
        line: None,
        problem: error.to_string(),
    })
}

/// A configuration file that is read anew when it, or a policy that it names, changes.
#[derive(Debug)]
pub struct Watched {
    file: PathBuf,
    default: Policy,
    seen: Vec<(PathBuf, Option<SystemTime>)>,
}

impl Watched {
    /// Watches a file that was read.
    pub fn new(file: PathBuf, config: &Config, default: Policy) -> Self {
        let seen = seen(&file, config);
        Self { file, default, seen }
    }

    /// The tenants, if a file has changed since they were read; an error once for each
    /// change that cannot be used.
    pub fn changed(&mut self) -> Option<Result<Vec<Tenant>, ConfigError>> {
        let is_as_seen = |(file, at): &(PathBuf, _)| modified(file) == *at;
        if self.seen.iter().all(is_as_seen) {
            return None;
        }
        self.seen.iter_mut().for_each(|(file, at)| *at = modified(file));
        Some(Config::read(&self.file).and_then(|config| {
            self.seen = seen(&self.file, &config);
            config.tenants(&self.file, &self.default)
        }))
    }
}

fn seen(file: &Path, config: &Config) -> Vec<(PathBuf, Option<SystemTime>)> {
    let files = std::iter::once(file.to_owned()).chain(config.files().cloned());
    files.map(|file| (file.clone(), modified(&file))).collect()
}

/// When a file was changed; none where it is not there.
pub(crate) fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|found| found.modified()).ok()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let file = self.0.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        }
    }

    fn problem(text: &str) -> String {
        let folder = Folder::new();
        let file = folder.write("mindrail.toml", text);
        let error = Config::read(&file).and_then(|config| config.tenants(&file, &Policy::default()));
        let shown = error.unwrap_err().to_string();
        shown.replace(&*folder.0.path().to_string_lossy(), "")
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_place() {
        for (text, expected) in [
            ("listn = 1", "/mindrail.toml:1: unknown field `listn`"),
            ("\n\nkeep_days = \"x\"", "/mindrail.toml:3: invalid type"),
            ("[tenants.a]\npolicy = \"none.toml\"", "/none.toml: tenants.a: No such file"),
            ("[tenants.\"a b\"]", "/mindrail.toml: tenants.a b: found another name"),
            (
                "[tenants.a]\nkeep_text_key_env = \"MINDRAIL_NO_SUCH\"",
                "/mindrail.toml: tenants.a: environment variable MINDRAIL_NO_SUCH is unset or empty",
            ),
            (
                "[tenants.a.upstream]\nurl = \"file:///x\"",
                "/mindrail.toml: tenants.a: upstream: the endpoint is no URL",
            ),
            (
                "[tenants.a.upstream]\nurl = \"http://h\"\nwindw = 1",
                "/mindrail.toml:3: unknown field `windw`",
            ),
            (
                "[[tenants.a.webhooks]]\nname = \"w\"\nurl = \"http://localhost.example\"\nsecret_env = \"PATH\"",
                "/mindrail.toml: tenants.a: webhook w: expected https",
            ),
        ] {
            let found = problem(text);
            assert!(found.starts_with(expected), "{text}: {found}");
        }
    }

    #[test]
    fn a_change_is_read_once_and_one_that_cannot_be_used_is_told_once() {
        let folder = Folder::new();
        let file = folder.write("mindrail.toml", "[tenants.a]\n");
        let config = Config::read(&file).unwrap();
        let mut watched = Watched::new(file.clone(), &config, Policy::default());
        assert!(watched.changed().is_none());
        let later = |file: &Path, seconds| {
            let at = SystemTime::now() + Duration::from_secs(seconds);
            std::fs::File::options().append(true).open(file).unwrap().set_modified(at).unwrap();
        };
        let own = folder.write("own.toml", "version = 1");
        folder.write("mindrail.toml", "[tenants.a]\npolicy = \"own.toml\"\n");
        later(&file, 10);
        assert!(watched.changed().unwrap().unwrap_err().to_string().contains("own.toml"));
        assert!(watched.changed().is_none());
        folder.write("own.toml", mindrail_core::policy::DEFAULT_TOML);
        later(&own, 20);
        let names: Vec<String> = watched.changed().unwrap().unwrap().into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["a"]);
        assert!(watched.changed().is_none());
    }
}
