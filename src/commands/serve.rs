//! `mindrail serve`: the guard behind HTTP.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use mindrail_server::config::{Config, Watched, check_tenant};
use mindrail_server::proxy::{Upstream, UpstreamSettings};
use mindrail_server::service::Service;
use mindrail_server::store::Store;
use mindrail_server::tenant::{DEFAULT, Tenants};
use mindrail_server::{Running, run};

use super::{Exit, Judging, complain};

/// The environment variable that holds the key that callers must show.
const KEY: &str = "MINDRAIL_API_KEY";

/// The environment variable that holds the key of the assistant behind the proxy.
const UPSTREAM_KEY: &str = "MINDRAIL_UPSTREAM_KEY";

/// Where it listens if nothing says so.
const LISTEN: &str = "127.0.0.1:8377";

/// The store if nothing names one.
const STORE: &str = "mindrail.db";

/// Days for which a conversation that does not go on is kept if nothing says so.
const KEEP_DAYS: u32 = 30;

/// Days for which it is known whose an entry of the trail is if nothing says so: a
/// calendar year, whose conversations an annual report counts, and a month to make it.
const KEEP_NAMES_DAYS: u32 = 400;

/// Serve the guard over HTTP.
///
/// POST /v1/guard gives a verdict on the person's side of a conversation, POST
/// /v1/guard/reply on replies that have not been shown; POST /v1/chat/completions is an
/// assistant with the guard before and after it; GET /healthz, /readyz and /metrics are
/// for whoever operates it. No decision is answered before it is in the
/// audit trail, on disk; see `mindrail audit`.
///
/// A browser at the same address shows the desk: a live console, and for those whom
/// `mindrail desk` has added the queue, figures and reports.
///
/// With `MINDRAIL_API_KEY` in the environment, or with keys made by `mindrail keys`,
/// callers must show one as `Authorization: Bearer KEY`. Without any, only this
/// machine is answered.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    judging: Judging,

    /// A configuration file, for several tenants, TLS, webhooks, PostgreSQL. What is
    /// said here as well counts before it. It is read anew when it changes.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where to listen; port 0 takes any free port [default: 127.0.0.1:8377].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    #[command(flatten)]
    store: Storing,

    /// The assistant behind POST /v1/chat/completions, as `http://HOST/v1`; its key is that
    /// of `MINDRAIL_UPSTREAM_KEY`, if that is set. A configuration file names it for each
    /// tenant instead (`[tenants.NAME.upstream]`).
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    upstream: Option<String>,

    /// Days after which a conversation that does not go on is forgotten. The audit
    /// trail, which holds no text, stays [default: 30].
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    keep_days: Option<u32>,
}

/// Which store.
#[derive(Debug, Clone, Args)]
struct Storing {
    /// The file that holds audit trail and conversations [default: mindrail.db].
    #[arg(long, value_name = "FILE", conflicts_with = "store_url_env")]
    store: Option<PathBuf>,

    /// The environment variable that holds the URL of a PostgreSQL database in place of
    /// a file, as `postgresql://USER:PASSWORD@HOST/DATABASE`.
    #[arg(long, value_name = "VARIABLE")]
    store_url_env: Option<String>,
}

/// Which store, for commands that have no configuration beside it.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreOf {
    #[command(flatten)]
    storing: Storing,

    /// The configuration of `mindrail serve` that names the store.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StoreOf {
    /// That a name can be a tenant's, and is one's of the configuration where that is named.
    pub(crate) fn check_tenant(&self, tenant: &str) -> anyhow::Result<()> {
        check_tenant(tenant).map_err(|problem| anyhow::anyhow!("--tenant: {problem}"))?;
        let Some(file) = &self.config else { return Ok(()) };
        let config = Config::read(file)?;
        let is_there =
            config.tenants.contains_key(tenant) || (config.tenants.is_empty() && tenant == DEFAULT);
        if !is_there {
            bail!("{}: names no tenant {tenant:?}", file.display());
        }
        Ok(())
    }

    fn storing(&self) -> anyhow::Result<Storing> {
        let config = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        Ok(self.storing.clone().or(&config))
    }

    /// Opens the store; a file is made where it is missing, which is said.
    pub(crate) fn open_or_make(&self) -> anyhow::Result<Store> {
        let storing = self.storing()?;
        if storing.is_missing()? {
            complain(&format!("{}: made, since there was no such store", storing.name()?.1));
        }
        storing.open_or_make()
    }

    /// Opens a store that is there: reading must not make one.
    pub(crate) fn open(&self) -> anyhow::Result<Store> {
        self.storing()?.open()
    }
}

impl Storing {
    /// The store's name: a file, or a URL that must not be shown.
    fn name(&self) -> anyhow::Result<(String, String)> {
        if let Some(variable) = &self.store_url_env {
            let url = std::env::var(variable).unwrap_or_default();
            if !mindrail_server::store::is_url(url.trim()) {
                bail!("environment variable {variable}: expected a URL postgresql://USER@HOST/DATABASE");
            }
            return Ok((url.trim().to_owned(), format!("the database of {variable}")));
        }
        let file = self.store.as_deref().unwrap_or(Path::new(STORE));
        let name = file.to_str().with_context(|| format!("{}: expected a name in UTF-8", file.display()))?;
        Ok((name.to_owned(), name.to_owned()))
    }

    /// Opens the store; a file is made where it is missing.
    fn open_or_make(&self) -> anyhow::Result<Store> {
        let (name, shown) = self.name()?;
        Store::open(&name).context(shown)
    }

    /// Opens a store that is there: reading must not make one.
    fn open(&self) -> anyhow::Result<Store> {
        let (name, shown) = self.name()?;
        if self.is_missing()? {
            bail!("{shown}: no such store");
        }
        if self.store_url_env.is_none() && std::fs::metadata(&name)?.len() == 0 {
            bail!("{shown}: the file is empty, expected a store");
        }
        Store::open(&name).context(shown)
    }

    /// Whether the store is a file that is not there.
    fn is_missing(&self) -> anyhow::Result<bool> {
        Ok(self.store_url_env.is_none() && !Path::new(&self.name()?.0).is_file())
    }

    /// Whether there is a store that has a key.
    fn has_keys(&self) -> anyhow::Result<bool> {
        Ok(!self.is_missing()? && !self.open()?.keys()?.is_empty())
    }

    /// The same, with what a configuration says where nothing is said here.
    fn or(self, config: &Config) -> Self {
        if self.store.is_some() || self.store_url_env.is_some() {
            return self;
        }
        Self { store: config.store.clone(), store_url_env: config.store_url_env.clone() }
    }
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let key = std::env::var(KEY).ok();
        if key.as_ref().is_some_and(|key| key.trim().is_empty()) {
            bail!("{KEY} is empty: set a key, or unset it");
        }
        let config = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        let listen = self.listen.or(config.listen).map_or_else(|| LISTEN.parse(), Ok)?;
        let policy = self.judging.policy()?;
        let file = self.config.unwrap_or_default();
        let mut tenants = config.tenants(&file, &policy)?;
        let storing = self.store.or(&config);
        if key.is_none() && !listen.ip().is_loopback() && !storing.has_keys()? {
            bail!(
                "{listen} can be reached from elsewhere: set {KEY}, make a key with `mindrail keys make`, or listen on 127.0.0.1"
            );
        }
        if let Some(url) = &self.upstream {
            let upstream = Arc::new(upstream(url)?);
            tenants.iter_mut().for_each(|tenant| tenant.upstream = Some(Arc::clone(&upstream)));
        }
        let tenants = Arc::new(Tenants::new(tenants));
        let watched = (!file.as_os_str().is_empty()).then(|| Watched::new(file, &config, policy));
        let days = self.keep_days.or(config.keep_days).unwrap_or(KEEP_DAYS);
        if days == 0 {
            bail!(
                "keep_days: found 0, expected at least 1: conversations would be forgotten while they go on"
            );
        }
        let long = |days: u32| Duration::from_secs(u64::from(days) * 86_400);
        let (keep, keep_names) = (long(days), long(config.keep_names_days.unwrap_or(KEEP_NAMES_DAYS)));
        if keep_names < keep {
            bail!(
                "keep_names_days: found fewer days than keep_days: what is kept of a person must be found by their name"
            );
        }
        // A start that is refused leaves no store behind.
        let listener = TcpListener::bind(listen).with_context(|| listen.to_string())?;
        let is_new = storing.is_missing()?;
        let service = Service::new(Arc::new(self.judging.embedded()?), storing.open_or_make()?);
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let running = Running {
            tenants,
            watched,
            key: key.as_deref(),
            keep,
            keep_names,
            behind_proxies: config.behind_proxies.unwrap_or(0),
            tls: config.tls,
            tell: complain,
        };
        let listening = |address| {
            complain(&format!("listening on {scheme}://{address}"));
            if is_new {
                complain("the store is new: there is no trail and no key in it yet");
            }
        };
        run(listener, service, running, listening).with_context(|| listen.to_string())?;
        Ok(Exit::Done)
    }
}

/// The assistant behind the proxy, with the key of the environment.
fn upstream(url: &str) -> anyhow::Result<Upstream> {
    let has_key = std::env::var_os(UPSTREAM_KEY).is_some();
    let key_env = has_key.then(|| UPSTREAM_KEY.to_owned());
    UpstreamSettings { key_env, ..UpstreamSettings::at(url) }.build().context("--upstream")
}
