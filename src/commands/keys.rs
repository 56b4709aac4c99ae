//! `mindrail keys`: who may ask `mindrail serve`.

use anyhow::bail;
use clap::{Args, Subcommand};
use mindrail_server::http::now_ms;
use mindrail_server::store::keys::{ApiKey, NewKey, Scope};
use mindrail_server::tenant::DEFAULT;

use super::serve::StoreOf;
use super::{Exit, print};

/// Keys that callers of `mindrail serve` show.
///
/// A key belongs to one tenant and opens what its scopes name. The store holds only its
/// digest. To change a key, make another, move the callers over, revoke the first.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key and print it. Nobody can find it out again.
    Make(Make),
    /// List the keys, without the keys themselves.
    List(List),
    /// Revoke a key. It opens nothing any more within five seconds.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct Make {
    #[command(flatten)]
    store: StoreOf,

    /// Whose it is.
    #[arg(long, value_name = "NAME", default_value = DEFAULT)]
    tenant: String,

    /// What it opens: guard, proxy, report.
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', default_value = "guard,proxy")]
    scopes: Vec<Scope>,

    /// Requests for each minute.
    #[arg(long, value_name = "COUNT", default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(1..))]
    per_minute: u32,

    /// Days after which it opens nothing any more; left out, it goes on until it is
    /// revoked.
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    store: StoreOf,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    store: StoreOf,

    /// The key's name, as `mindrail keys list` shows it.
    #[arg(value_name = "NAME")]
    id: String,
}

impl Keys {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Make(make) => make.run(),
            Self::List(list) => list.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}

impl Make {
    fn run(self) -> anyhow::Result<Exit> {
        const DAY_MS: u64 = 86_400_000;
        self.store.check_tenant(&self.tenant)?;
        let now_ms = now_ms();
        let new = NewKey {
            tenant: &self.tenant,
            scopes: &self.scopes,
            per_minute: self.per_minute.into(),
            expires_ms: self.days.map(|days| now_ms + u64::from(days) * DAY_MS),
        };
        let (id, key) = self.store.open_or_make()?.make_key(&new, now_ms)?;
        print(&format!("{id}\t{key}\n"))?;
        Ok(Exit::Done)
    }
}

impl List {
    fn run(self) -> anyhow::Result<Exit> {
        let now_ms = now_ms();
        let rows: Vec<String> = self.store.open()?.keys()?.iter().map(|key| row(key, now_ms)).collect();
        print(&format!("name\ttenant\tscopes\tper minute\tstate\n{}", rows.concat()))?;
        Ok(Exit::Done)
    }
}

fn row(key: &ApiKey, now_ms: u64) -> String {
    let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.wire()).collect();
    let state = match key {
        ApiKey { revoked_ms: Some(_), .. } => "revoked",
        key if key.is_valid_at(now_ms) => "valid",
        _ => "past its time",
    };
    format!("{}\t{}\t{}\t{}\t{state}\n", key.id, key.tenant, scopes.join(","), key.per_minute)
}

impl Revoke {
    fn run(self) -> anyhow::Result<Exit> {
        if !self.store.open()?.revoke_key(&self.id, now_ms())? {
            bail!("no valid key has the name {}", self.id);
        }
        Ok(Exit::Done)
    }
}
