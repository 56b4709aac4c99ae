//! Reading the trail for people: newest first, or one conversation's part of it. An
//! entry does not tell its conversation; the tie beside it does, until it is erased.

use super::sql::{Row, values};
use super::{PAGE, Store, StoreError};
use crate::audit::{ChainError, Entry};
use crate::seal::{PlaceOf, SealError, TextKey};
use mindrail_core::conversation::Turn;

/// How far clocks of replicas may stand apart: entries are in the order in which they
/// were written, and their times in that order but for this.
const CLOCKS_APART_MS: u64 = 60 * 60 * 1000;

/// A stretch of time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its beginning.
    pub from_ms: u64,
    /// Its end, which is not in it.
    pub until_ms: u64,
}

impl Period {
    /// Whether a time lies in it.
    pub fn holds(self, ms: u64) -> bool {
        (self.from_ms..self.until_ms).contains(&ms)
    }
}

impl Store {
    /// Hands out a tenant's entries of a period, the newest first, each with the
    /// conversation that it is still tied to.
    ///
    /// # Errors
    /// [`StoreError::Database`], and [`StoreError::Chain`] for a line that is no entry.
    pub fn entries_in(
        &self,
        tenant: &str,
        period: Period,
        mut each: impl FnMut(Entry, Option<String>),
    ) -> Result<(), StoreError> {
        let sql = "SELECT a.entry, t.conversation, a.sequence FROM audit a
            LEFT JOIN tie t ON t.sequence = a.sequence
            WHERE a.sequence < $1 ORDER BY a.sequence DESC LIMIT $2";
        let oldest = period.from_ms.saturating_sub(CLOCKS_APART_MS);
        let mut below = i64::MAX as u64;
        loop {
            let rows = self.read(|connection| Ok(connection.query(sql, values![below, PAGE])?))?;
            for row in &rows {
                let entry = entry(row)?;
                below = entry.sequence;
                if entry.decision.at_ms < oldest {
                    return Ok(());
                }
                if entry.decision.tenant == tenant && period.holds(entry.decision.at_ms) {
                    each(entry, row.get(1)?);
                }
            }
            if rows.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// A conversation's entries, the oldest first.
    ///
    /// # Errors
    /// As [`Store::entries_in`].
    pub fn entries_of(&self, tenant: &str, conversation: &str) -> Result<Vec<Entry>, StoreError> {
        let sql = "SELECT a.entry, t.conversation, a.sequence FROM tie t
            JOIN audit a ON a.sequence = t.sequence
            WHERE t.tenant = $1 AND t.conversation = $2 ORDER BY a.sequence";
        self.read(|connection| {
            connection.query(sql, values![tenant, conversation])?.iter().map(entry).collect()
        })
    }

    /// One entry of a tenant.
    ///
    /// # Errors
    /// As [`Store::entries_in`].
    pub fn entry(&self, tenant: &str, sequence: u64) -> Result<Option<Entry>, StoreError> {
        let sql = "SELECT entry, hash, sequence FROM audit WHERE sequence = $1";
        let found = self.read(|connection| {
            connection.first(sql, values![sequence])?.map(|row| entry(&row)).transpose()
        })?;
        Ok(found.filter(|entry| entry.decision.tenant == tenant))
    }

    /// What was said in a conversation, where it is kept, opened turn by turn.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn said(
        &self,
        tenant: &str,
        conversation: &str,
        key: &TextKey,
    ) -> Result<Vec<(usize, Result<Turn, SealError>)>, StoreError> {
        let sql = "SELECT place, sealed FROM said WHERE tenant = $1 AND conversation = $2 ORDER BY place";
        let rows = self.read(|connection| Ok(connection.query(sql, values![tenant, conversation])?))?;
        let open = |row: &Row| -> Result<_, StoreError> {
            let (turn, sealed): (usize, Vec<u8>) = (row.get(0)?, row.get(1)?);
            Ok((turn, key.open(&sealed, PlaceOf { tenant, conversation, turn })))
        };
        rows.iter().map(open).collect()
    }
}

fn entry(row: &Row) -> Result<Entry, StoreError> {
    let (line, sequence): (String, u64) = (row.get(0)?, row.get(2)?);
    Ok(serde_json::from_str(&line).map_err(|_| ChainError::NoEntry { sequence })?)
}
