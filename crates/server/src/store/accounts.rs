//! Who works at the desk, and who is logged in there. A name belongs to one tenant;
//! the same name at another tenant is somebody else. Of a password the store holds
//! what argon2 makes of it ([`crate::desk::password`]), of a session the SHA-256 of a
//! random token that only the browser has.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use mindrail_core::digest::sha256;

use super::sql::{Row, values};
use super::{Store, StoreError, hex, random};

/// What somebody at the desk may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeskRole {
    /// Manages people and reads figures.
    Admin,
    /// Looks at conversations and decides about them.
    Counsellor,
    /// Reads figures, the trail and who has looked at what.
    Auditor,
}

impl DeskRole {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Admin, Self::Counsellor, Self::Auditor];

    /// Its name in the store and on the command line.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Counsellor => "counsellor",
            Self::Auditor => "auditor",
        }
    }
}

impl Display for DeskRole {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.wire())
    }
}

impl FromStr for DeskRole {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|role| role.wire() == name);
        found.ok_or_else(|| format!("found {name:?}, expected admin, counsellor or auditor"))
    }
}

/// In which language the desk speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DeskLanguage {
    /// English.
    #[default]
    English,
    /// French.
    French,
}

impl DeskLanguage {
    /// Its tag (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }
}

impl FromStr for DeskLanguage {
    type Err = String;

    fn from_str(tag: &str) -> Result<Self, String> {
        match tag {
            "en" => Ok(Self::English),
            "fr" => Ok(Self::French),
            _ => Err(format!("found {tag:?}, expected en or fr")),
        }
    }
}

/// Somebody who works at the desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskUser {
    /// Whose conversations they see.
    pub tenant: String,
    /// Their name, unique within the tenant.
    pub name: String,
    /// What they may do.
    pub role: DeskRole,
    /// In which language.
    pub language: DeskLanguage,
    /// When they were added, in milliseconds since 1970.
    pub created_ms: u64,
    /// Since when they may not log in any more.
    pub disabled_ms: Option<u64>,
}

/// Characters of a name.
pub const LONGEST_USER_NAME: usize = 100;

/// Whether somebody can have a name: it is short, and nothing in it cannot be seen.
pub fn is_user_name(name: &str) -> bool {
    (1..=LONGEST_USER_NAME).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(char::is_control)
}

/// How long a session lasts without a request.
pub const IDLE_MS: u64 = 60 * 60 * 1000;

/// How long a session lasts at most.
pub const SESSION_MS: u64 = 12 * 60 * 60 * 1000;

/// How exact the time of the last request is: not every request is a write.
const SEEN_EVERY_MS: u64 = 60 * 1000;

const COLUMNS: &str = "tenant, name, role, language, created_ms, disabled_ms";

impl Store {
    /// Adds somebody; false where the tenant has the name already.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn add_user(&self, user: &DeskUser, password: &str) -> Result<bool, StoreError> {
        let sql = "INSERT INTO desk_user (tenant, name, password, role, language, created_ms)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant, name) DO NOTHING";
        let row = values![
            user.tenant.as_str(),
            user.name.as_str(),
            password,
            user.role.wire(),
            user.language.tag(),
            user.created_ms
        ];
        self.write(|connection| Ok(connection.execute(sql, row)? > 0))
    }

    /// Somebody by tenant and name, with what argon2 made of the password.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn user(&self, tenant: &str, name: &str) -> Result<Option<(DeskUser, String)>, StoreError> {
        let sql = format!("SELECT {COLUMNS}, password FROM desk_user WHERE tenant = $1 AND name = $2");
        self.look(|connection| {
            let row = connection.first(&sql, values![tenant, name])?;
            row.map(|row| Ok((user(&row)?, row.get(6)?))).transpose()
        })
    }

    /// All of a tenant, by name; of all tenants where none is named.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn users(&self, tenant: Option<&str>) -> Result<Vec<DeskUser>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM desk_user ORDER BY tenant, name");
        let all = self.look(|connection| {
            connection.query(&sql, &[])?.iter().map(user).collect::<Result<Vec<_>, StoreError>>()
        })?;
        Ok(all.into_iter().filter(|user| tenant.is_none_or(|tenant| user.tenant == tenant)).collect())
    }

    /// Whether anybody works at the desk.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn any_user(&self) -> Result<bool, StoreError> {
        self.look(|connection| Ok(connection.first("SELECT 1 FROM desk_user LIMIT 1", &[])?.is_some()))
    }

    /// Changes somebody's password and ends their sessions; false where there is
    /// nobody of the name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn set_password(&self, tenant: &str, name: &str, password: &str) -> Result<bool, StoreError> {
        self.write(|connection| {
            let sql = "UPDATE desk_user SET password = $1 WHERE tenant = $2 AND name = $3";
            let changed = connection.execute(sql, values![password, tenant, name])? > 0;
            let sql = "DELETE FROM desk_session WHERE tenant = $1 AND name = $2";
            connection.execute(sql, values![tenant, name])?;
            Ok(changed)
        })
    }

    /// Changes the language in which the desk speaks to somebody.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn set_language(&self, tenant: &str, name: &str, language: DeskLanguage) -> Result<(), StoreError> {
        let sql = "UPDATE desk_user SET language = $1 WHERE tenant = $2 AND name = $3";
        self.write(|connection| {
            connection.execute(sql, values![language.tag(), tenant, name])?;
            Ok(())
        })
    }

    /// Shuts somebody out from now on, ends their sessions and frees what they hold;
    /// false where nobody of the name could log in.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn disable_user(&self, tenant: &str, name: &str, now_ms: u64) -> Result<bool, StoreError> {
        self.write(|connection| {
            let sql = "UPDATE desk_user SET disabled_ms = $1
                WHERE tenant = $2 AND name = $3 AND disabled_ms IS NULL";
            let changed = connection.execute(sql, values![now_ms, tenant, name])? > 0;
            for sql in [
                "DELETE FROM desk_session WHERE tenant = $1 AND name = $2",
                "UPDATE review SET claimed_by = NULL, claimed_until_ms = NULL
                    WHERE tenant = $1 AND claimed_by = $2 AND closed_ms IS NULL",
            ] {
                connection.execute(sql, values![tenant, name])?;
            }
            Ok(changed)
        })
    }

    /// Begins a session and gives its token, which nobody can find out again. Whoever
    /// has shown in another way than by password who they are gets one by the same call.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn begin_session(&self, tenant: &str, name: &str, now_ms: u64) -> Result<String, StoreError> {
        let token = hex(&random::<32>());
        self.write(|connection| {
            let sql = "DELETE FROM desk_session WHERE expires_ms <= $1 OR seen_ms <= $2";
            connection.execute(sql, values![now_ms, now_ms.saturating_sub(IDLE_MS)])?;
            let sql = "INSERT INTO desk_session (digest, tenant, name, created_ms, seen_ms, expires_ms)
                VALUES ($1, $2, $3, $4, $5, $6)";
            let digest = sha256(token.as_bytes());
            connection.execute(sql, values![digest, tenant, name, now_ms, now_ms, now_ms + SESSION_MS])?;
            Ok(())
        })?;
        Ok(token)
    }

    /// Who shows a token: somebody who may still log in, in a session that goes on.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn session_user(&self, token: &str, now_ms: u64) -> Result<Option<DeskUser>, StoreError> {
        let digest = sha256(token.as_bytes());
        let sql = "SELECT u.tenant, u.name, u.role, u.language, u.created_ms, u.disabled_ms, s.seen_ms
            FROM desk_session s JOIN desk_user u ON u.tenant = s.tenant AND u.name = s.name
            WHERE s.digest = $1 AND s.expires_ms > $2 AND s.seen_ms > $3 AND u.disabled_ms IS NULL";
        let live = values![digest.as_str(), now_ms, now_ms.saturating_sub(IDLE_MS)];
        let found = self.look(|connection| {
            let row = connection.first(sql, live)?;
            row.map(|row| Ok::<_, StoreError>((user(&row)?, row.get::<u64>(6)?))).transpose()
        })?;
        let Some((user, seen_ms)) = found else { return Ok(None) };
        if now_ms.saturating_sub(seen_ms) >= SEEN_EVERY_MS {
            let sql = "UPDATE desk_session SET seen_ms = $1 WHERE digest = $2";
            self.write(|connection| Ok(connection.execute(sql, values![now_ms, digest.as_str()])?))?;
        }
        Ok(Some(user))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn end_session(&self, token: &str) -> Result<(), StoreError> {
        let digest = sha256(token.as_bytes());
        let sql = "DELETE FROM desk_session WHERE digest = $1";
        self.write(|connection| Ok(connection.execute(sql, values![digest]).map(|_| ())?))
    }
}

fn user(row: &Row) -> Result<DeskUser, StoreError> {
    let (role, language): (String, String) = (row.get(2)?, row.get(3)?);
    Ok(DeskUser {
        tenant: row.get(0)?,
        name: row.get(1)?,
        // A role of a later version may do the least that there is.
        role: role.parse().unwrap_or(DeskRole::Auditor),
        language: language.parse().unwrap_or_default(),
        created_ms: row.get(4)?,
        disabled_ms: row.get(5)?,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::store::tests::databases;

    fn someone(tenant: &str, name: &str) -> DeskUser {
        let (role, language) = (DeskRole::Counsellor, DeskLanguage::French);
        let (tenant, name) = (tenant.to_owned(), name.to_owned());
        DeskUser { tenant, name, role, language, created_ms: 1, disabled_ms: None }
    }

    #[test]
    fn a_name_is_a_tenants_own_and_is_given_once() {
        for database in databases() {
            let store = database.open();
            assert_eq!(store.any_user(), Ok(false));
            assert!(store.add_user(&someone("t", "ada"), "kept").unwrap());
            assert!(!store.add_user(&someone("t", "ada"), "other").unwrap());
            assert!(store.add_user(&someone("u", "ada"), "third").unwrap());
            assert_eq!(store.user("t", "ada"), Ok(Some((someone("t", "ada"), "kept".to_owned()))));
            assert_eq!(store.user("v", "ada"), Ok(None));
            assert_eq!(store.users(Some("u")), Ok(vec![someone("u", "ada")]));
            assert_eq!((store.users(None).unwrap().len(), store.any_user()), (2, Ok(true)));
            store.set_language("t", "ada", DeskLanguage::English).unwrap();
            assert_eq!(store.user("u", "ada").unwrap().unwrap().0.language, DeskLanguage::French);
        }
    }

    #[test]
    fn a_session_ends_by_time_by_idleness_by_hand_by_password_and_with_its_user() {
        for database in databases() {
            let store = database.open();
            store.add_user(&someone("t", "ada"), "kept").unwrap();
            // Times are told from a moment that is further from 1970 than a session is long.
            let start = 2 * SESSION_MS;
            let begin = |ms| store.begin_session("t", "ada", start + ms).unwrap();
            let is_in = |token: &str, ms| store.session_user(token, start + ms).unwrap().is_some();
            let token = begin(0);
            assert!(is_in(&token, IDLE_MS - 1) && !is_in("0", 1));
            assert!(!is_in(&token, 2 * IDLE_MS), "nobody was there for an hour");
            let token = begin(0);
            for half_hours in 1..24 {
                assert!(is_in(&token, half_hours * IDLE_MS / 2), "{half_hours}");
            }
            assert!(!is_in(&token, SESSION_MS));
            let token = begin(0);
            store.end_session(&token).unwrap();
            assert!(!is_in(&token, 1));
            let token = begin(0);
            assert!(store.set_password("t", "ada", "new").unwrap());
            assert!(!is_in(&token, 1));
            let token = begin(0);
            assert!(
                store.disable_user("t", "ada", 5).unwrap() && !store.disable_user("t", "ada", 6).unwrap()
            );
            assert!(!is_in(&token, 6));
            assert!(!is_in(&begin(7), 8), "nor does a new one help");
        }
    }

    #[test]
    fn no_token_stands_in_the_store() {
        for database in databases() {
            let store = database.open();
            store.add_user(&someone("t", "ada"), "kept").unwrap();
            let token = store.begin_session("t", "ada", 0).unwrap();
            let sql = "SELECT digest FROM desk_session";
            let kept: String =
                store.read(|connection| Ok(connection.first(sql, &[])?.unwrap().get(0)?)).unwrap();
            assert!(token.len() == 64 && kept != token && kept == sha256(token.as_bytes()));
        }
    }
}
