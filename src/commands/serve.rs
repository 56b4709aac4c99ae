//! `mindrail serve`: the guard behind HTTP.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use mindrail_server::service::Service;
use mindrail_server::store::Store;
use mindrail_server::tenant::{DEFAULT, Tenant, Tenants};
use mindrail_server::{Running, run};

use super::{Exit, Judging, complain};

/// The environment variable that holds the key that callers must show.
const KEY: &str = "MINDRAIL_API_KEY";

/// Serve the guard over HTTP.
///
/// POST /v1/guard gives a verdict on the person's side of a conversation, POST
/// /v1/guard/reply on replies that have not been shown; GET /healthz, /readyz and
/// /metrics are for whoever operates it. No decision is answered before it is in the
/// audit trail, on disk; see `mindrail audit`.
///
/// A browser at the same address shows the desk: a live console, and for those whom
/// `mindrail desk` has added the queue, figures and reports.
///
/// With `MINDRAIL_API_KEY` in the environment, callers must show it as `Authorization:
/// Bearer KEY`. Without it, only this machine is answered.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    judging: Judging,

    /// Where to listen; port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8377")]
    listen: SocketAddr,

    /// The file that holds audit trail and conversations; it is made where it is missing.
    #[arg(long, value_name = "FILE", default_value = "mindrail.db")]
    store: PathBuf,

    /// Days after which a conversation that does not go on is forgotten. The audit
    /// trail, which holds no text, stays.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    keep_days: u32,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let key = std::env::var(KEY).ok();
        if key.as_ref().is_some_and(|key| key.trim().is_empty()) {
            bail!("{KEY} is empty: set a key, or unset it");
        }
        if key.is_none() && !self.listen.ip().is_loopback() {
            bail!("{} can be reached from elsewhere: set {KEY}, or listen on 127.0.0.1", self.listen);
        }
        let store = Store::in_file(&self.store).with_context(|| format!("{}", self.store.display()))?;
        let tenants = Arc::new(Tenants::new([Tenant::new(DEFAULT, self.judging.policy()?)]));
        let service = Service::new(Arc::new(self.judging.assessor()?), store);
        let keep = Duration::from_secs(u64::from(self.keep_days) * 86_400);
        let running = Running { tenants, key: key.as_deref(), keep };
        run(self.listen, service, running, |address| complain(&format!("listening on http://{address}")))
            .with_context(|| format!("{}", self.listen))?;
        Ok(Exit::Done)
    }
}
