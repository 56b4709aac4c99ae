//! API keys: 192 random bits each, of which the store holds only the SHA-256. A key
//! belongs to one tenant and opens what its scopes name. It is changed by making a
//! second one, moving the callers over, and revoking the first.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::Serialize;

use super::sql::{Row, values};
use super::{Store, StoreError, random_name, write};

/// What a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Asking for verdicts, by any adapter.
    Guard,
    /// Talking through the proxy.
    Proxy,
    /// Reading reports and figures.
    Report,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Guard, Self::Proxy, Self::Report];

    /// Its name on the wire and on the command line.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Guard => "guard",
            Self::Proxy => "proxy",
            Self::Report => "report",
        }
    }
}

impl Display for Scope {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.wire())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.wire() == name);
        found.ok_or_else(|| format!("found {name:?}, expected guard, proxy or report"))
    }
}

/// What is known of a key; not the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiKey {
    /// Its name, by which it is revoked.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// What it opens.
    pub scopes: Vec<Scope>,
    /// Requests for each minute.
    pub per_minute: u64,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// From when on it opens nothing; none for never.
    pub expires_ms: Option<u64>,
    /// When it was revoked.
    pub revoked_ms: Option<u64>,
}

impl ApiKey {
    /// Whether it opens anything at a time.
    pub fn is_valid_at(&self, ms: u64) -> bool {
        self.revoked_ms.is_none() && self.expires_ms.is_none_or(|expires| ms < expires)
    }
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewKey<'a> {
    /// Whose it is.
    pub tenant: &'a str,
    /// What it opens.
    pub scopes: &'a [Scope],
    /// Requests for each minute.
    pub per_minute: u64,
    /// From when on it opens nothing.
    pub expires_ms: Option<u64>,
}

const COLUMNS: &str = "id, tenant, scopes, per_minute, created_ms, expires_ms, revoked_ms";

impl Store {
    /// Makes a key, and gives its name and the key itself, which nobody can find out
    /// again.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn make_key(&self, new: &NewKey<'_>, now_ms: u64) -> Result<(String, String), StoreError> {
        let (digest, key) = write::new_key();
        let id = random_name()[..12].to_owned();
        let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.wire()).collect();
        let sql = "INSERT INTO api_key (id, tenant, digest, scopes, per_minute, created_ms, expires_ms)
            VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let row = values![
            id.as_str(),
            new.tenant,
            digest,
            scopes.join(" "),
            new.per_minute,
            now_ms,
            new.expires_ms
        ];
        self.write(|connection| Ok(connection.execute(sql, row)?))?;
        Ok((id, key))
    }

    /// All keys, valid or not, by the SHA-256 of the key itself.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn keys_by_digest(&self) -> Result<HashMap<String, ApiKey>, StoreError> {
        let sql = format!("SELECT {COLUMNS}, digest FROM api_key");
        self.read(|connection| {
            let rows = connection.query(&sql, &[])?;
            rows.iter().map(|row| Ok((row.get(7)?, key(row)?))).collect()
        })
    }

    /// All keys, the oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM api_key ORDER BY created_ms, id");
        self.read(|connection| connection.query(&sql, &[])?.iter().map(key).collect())
    }

    /// Revokes a key by its name; false where no valid key has it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn revoke_key(&self, id: &str, now_ms: u64) -> Result<bool, StoreError> {
        let sql = "UPDATE api_key SET revoked_ms = $1 WHERE id = $2 AND revoked_ms IS NULL";
        self.write(|connection| Ok(connection.execute(sql, values![now_ms, id])? > 0))
    }
}

fn key(row: &Row) -> Result<ApiKey, StoreError> {
    let scopes: String = row.get(2)?;
    Ok(ApiKey {
        id: row.get(0)?,
        tenant: row.get(1)?,
        // A scope of a later version opens nothing here.
        scopes: scopes.split(' ').filter_map(|name| name.parse().ok()).collect(),
        per_minute: row.get(3)?,
        created_ms: row.get(4)?,
        expires_ms: row.get(5)?,
        revoked_ms: row.get(6)?,
    })
}
