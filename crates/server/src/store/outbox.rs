//! What shall be told to whom, until it was told. A notice is written with the
//! decision that it is about, so that none is lost, and taken by one teller at a time.

use super::sql::{Row, Value, values};
use super::{Store, StoreError};
use crate::audit::{Decision, Entry};

/// How long a notice that is being told is nobody else's.
const LEASE_MS: u64 = 60_000;

/// A notice that is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Its name, the same at every attempt.
    pub id: String,
    /// Whose.
    pub tenant: String,
    /// The name of the webhook.
    pub target: String,
    /// Attempts before this one.
    pub attempts: u32,
    /// When it came up, in milliseconds since 1970.
    pub created_ms: u64,
    /// The decision's number in the trail.
    pub sequence: u64,
    /// The decision.
    pub decision: Decision,
    /// The caller's name for the conversation; none where it gave none, or where it was
    /// erased.
    pub conversation: Option<String>,
    /// The caller's name for the person, likewise.
    pub person: Option<String>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It was taken.
    Delivered,
    /// It was not, and is tried again at a time.
    Again {
        /// Milliseconds since 1970.
        at_ms: u64,
        /// What went wrong, without what was sent.
        error: String,
    },
    /// It was not, and is not tried again.
    GivenUp {
        /// What went wrong.
        error: String,
    },
}

/// What waits for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Notices that were not told yet.
    pub waiting: u64,
    /// Notices that were never told.
    pub given_up: u64,
    /// Reviews that are not closed.
    pub reviews_open: u64,
    /// Of these, those that nobody has acknowledged in time.
    pub reviews_overdue: u64,
}

impl Store {
    /// Takes notices that are due, at most `most` of them. They are the caller's for a
    /// minute: if it ends without saying how it went, another one takes them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn take_notices(&self, now_ms: u64, most: usize) -> Result<Vec<Notice>, StoreError> {
        let sql = "SELECT o.id, o.tenant, o.target, o.attempts, o.created_ms, o.sequence, a.entry,
                t.conversation, t.person
            FROM outbox o JOIN audit a ON a.sequence = o.sequence
            LEFT JOIN tie t ON t.sequence = o.sequence
            WHERE o.state = 'waiting' AND o.next_ms <= $1 ORDER BY o.next_ms LIMIT $2";
        // Most of the time there is none, and nobody who writes need wait for that.
        let due = "SELECT 1 FROM outbox WHERE state = 'waiting' AND next_ms <= $1 LIMIT 1";
        if self.read(|connection| Ok(connection.first(due, values![now_ms])?))?.is_none() {
            return Ok(Vec::new());
        }
        self.write(|connection| {
            let rows = connection.query(sql, values![now_ms, most])?;
            let notices = rows.iter().map(notice).collect::<Result<Vec<_>, StoreError>>()?;
            for notice in &notices {
                let sql = "UPDATE outbox SET next_ms = $1, attempts = attempts + 1 WHERE id = $2";
                connection.execute(sql, values![now_ms + LEASE_MS, notice.id.as_str()])?;
            }
            Ok(notices)
        })
    }

    /// Notes what became of an attempt.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn told(&self, id: &str, told: &Told) -> Result<(), StoreError> {
        let (state, at_ms, error) = match told {
            Told::Delivered => ("delivered", 0, None),
            Told::Again { at_ms, error } => ("waiting", *at_ms, Some(error.as_str())),
            Told::GivenUp { error } => ("given_up", 0, Some(error.as_str())),
        };
        let sql = "UPDATE outbox SET state = $1, next_ms = $2, last_error = $3
            WHERE id = $4 AND state = 'waiting'";
        self.write(|connection| Ok(connection.execute(sql, values![state, at_ms, error, id])?))?;
        Ok(())
    }

    /// What waits for somebody.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn backlog(&self, now_ms: u64) -> Result<Backlog, StoreError> {
        let notices = "SELECT count(*) FROM outbox WHERE state = $1";
        let open = "SELECT count(*) FROM review WHERE closed_ms IS NULL";
        let overdue = "SELECT count(*) FROM review
            WHERE closed_ms IS NULL AND acknowledged_ms IS NULL AND due_ms < $1
                AND NOT EXISTS (SELECT 1 FROM audit
                    WHERE audit.sequence = review.sequence AND audit.entry LIKE '%\"origin\":\"console\"%')";
        self.look(|connection| {
            let mut count = |sql: &str, values: &[Value]| -> Result<u64, StoreError> {
                Ok(connection.first(sql, values)?.map_or(Ok(0), |row| row.get(0))?)
            };
            Ok(Backlog {
                waiting: count(notices, values!["waiting"])?,
                given_up: count(notices, values!["given_up"])?,
                reviews_open: count(open, &[])?,
                reviews_overdue: count(overdue, values![now_ms])?,
            })
        })
    }
}

fn notice(row: &Row) -> Result<Notice, StoreError> {
    let line: String = row.get(6)?;
    let sequence: u64 = row.get(5)?;
    let entry: Entry =
        serde_json::from_str(&line).map_err(|_| crate::audit::ChainError::NoEntry { sequence })?;
    Ok(Notice {
        id: row.get(0)?,
        tenant: row.get(1)?,
        target: row.get(2)?,
        attempts: row.get::<usize>(3)? as u32,
        created_ms: row.get(4)?,
        sequence,
        decision: entry.decision,
        conversation: row.get(7)?,
        person: row.get(8)?,
    })
}
