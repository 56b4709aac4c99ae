//! Reading the trail for people: newest first, or one conversation's part of it. An
//! entry does not tell its conversation; the tie beside it does, until it is erased.

use super::sql::{Row, values};
use super::{PAGE, Store, StoreError};
use crate::audit::{ChainError, Entry, Status};
use crate::seal::{PlaceOf, SealError, TextKey};
use mindrail_core::conversation::Turn;

/// How far clocks of replicas may stand apart: entries are in the order in which they
/// were written, and their times in that order but for this, and but for those that were
/// decided without the store and written later.
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

/// A turn's place, and what was said where it opens.
pub type Opened = (usize, Result<Turn, SealError>);

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
            let rows = self.look(|connection| Ok(connection.query(sql, values![below, PAGE])?))?;
            for row in &rows {
                let entry = entry(row)?;
                below = entry.sequence;
                if entry.decision.at_ms < oldest && entry.decision.status != Status::Degraded {
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
        self.look(|connection| {
            connection.query(sql, values![tenant, conversation])?.iter().map(entry).collect()
        })
    }

    /// What was said in a conversation, where it is kept, opened turn by turn.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn said(&self, tenant: &str, conversation: &str, key: &TextKey) -> Result<Vec<Opened>, StoreError> {
        let sql = "SELECT place, sealed FROM said WHERE tenant = $1 AND conversation = $2 ORDER BY place";
        let rows = self.look(|connection| Ok(connection.query(sql, values![tenant, conversation])?))?;
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::audit::tests::decision;
    use crate::store::tests::databases;
    use crate::store::{Commit, Of};

    fn commit(tenant: &str, at_ms: u64, conversation: Option<&str>) -> Commit {
        let mut made = decision(1);
        (made.tenant, made.at_ms) = (tenant.to_owned(), at_ms);
        let conversation = conversation.map(str::to_owned);
        Commit { conversation, ..Commit::of(made, b"said".to_vec()) }
    }

    #[test]
    fn a_period_holds_its_tenants_entries_over_several_pages_whatever_the_clocks() {
        for database in databases() {
            let store = database.open();
            let hour = CLOCKS_APART_MS;
            // One server's clock is behind by half an hour.
            let commits = (0..PAGE as u64 + 9).map(|number| {
                let behind = if number % 2 == 0 { hour / 2 } else { 0 };
                commit(if number % 3 == 0 { "u" } else { "t" }, 9 * hour + number - behind, Some("c"))
            });
            store.commit(commits.collect(), None).unwrap();
            store.commit(vec![commit("t", 20 * hour, None)], None).unwrap();
            let count = |tenant: &str, from_ms, until_ms| {
                let mut found = 0;
                store.entries_in(tenant, Period { from_ms, until_ms }, |_, _| found += 1).unwrap();
                found
            };
            let of_t = (0..PAGE as u64 + 9).filter(|number| number % 3 != 0);
            assert_eq!(count("t", 0, 19 * hour), of_t.clone().count());
            assert_eq!(count("t", 9 * hour, 19 * hour), of_t.filter(|number| number % 2 != 0).count());
            assert_eq!((count("t", 20 * hour, 21 * hour), count("v", 0, 21 * hour)), (1, 0));
        }
    }

    #[test]
    fn an_entry_tells_its_conversation_until_that_is_erased() {
        for database in databases() {
            let store = database.open();
            store.commit(vec![commit("t", 5, Some("c")), commit("u", 6, Some("c"))], None).unwrap();
            let all = Period { from_ms: 0, until_ms: 9 };
            let names = || {
                let mut names = Vec::new();
                store.entries_in("t", all, |_, name| names.push(name)).unwrap();
                names
            };
            assert_eq!(names(), [Some("c".to_owned())]);
            assert_eq!(store.entries_of("t", "c").unwrap().len(), 1);
            store.erase("t", Of::Conversation("c")).unwrap();
            assert_eq!((names(), store.entries_of("t", "c").unwrap().len()), (vec![None], 0));
        }
    }
}
