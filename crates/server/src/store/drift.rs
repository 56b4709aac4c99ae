//! The distribution of risk that an operator has frozen, with which later periods are
//! compared. The bundle's own (`Calibration::risk_tenths`) is of conversations that were
//! written for its tests: what a service's people write is another thing.

use super::sql::values;
use super::{Store, StoreError};

/// Tenths of the range of risk.
pub const BINS: usize = 10;

/// A frozen distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// SHA-256 of the bundle that scored.
    pub model: String,
    /// Beginning of its period, in milliseconds since 1970.
    pub from_ms: u64,
    /// End of its period.
    pub until_ms: u64,
    /// When it was frozen.
    pub frozen_ms: u64,
    /// Who froze it.
    pub frozen_by: String,
    /// Decisions by tenth of risk.
    pub counts: [u64; BINS],
}

impl Store {
    /// A tenant's frozen distribution.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn reference(&self, tenant: &str) -> Result<Option<Reference>, StoreError> {
        let sql = "SELECT model, from_ms, until_ms, frozen_ms, frozen_by, counts
            FROM drift_reference WHERE tenant = $1";
        let row = self.look(|connection| Ok(connection.first(sql, values![tenant])?))?;
        let Some(row) = row else { return Ok(None) };
        let counts: String = row.get(5)?;
        // Counts of another version compare with nothing.
        let Ok(counts) = serde_json::from_str(&counts) else { return Ok(None) };
        Ok(Some(Reference {
            model: row.get(0)?,
            from_ms: row.get(1)?,
            until_ms: row.get(2)?,
            frozen_ms: row.get(3)?,
            frozen_by: row.get(4)?,
            counts,
        }))
    }

    /// Freezes a distribution in place of the one before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    ///
    /// # Panics
    /// Never: counts are plain data.
    pub fn freeze(&self, tenant: &str, reference: &Reference) -> Result<(), StoreError> {
        let sql = "INSERT INTO drift_reference
                (tenant, model, from_ms, until_ms, frozen_ms, frozen_by, counts)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (tenant) DO UPDATE SET model = excluded.model, from_ms = excluded.from_ms,
                until_ms = excluded.until_ms, frozen_ms = excluded.frozen_ms,
                frozen_by = excluded.frozen_by, counts = excluded.counts";
        let row = values![
            tenant,
            reference.model.as_str(),
            reference.from_ms,
            reference.until_ms,
            reference.frozen_ms,
            reference.frozen_by.as_str(),
            serde_json::to_string(&reference.counts).expect("numbers are plain data")
        ];
        self.write(|connection| Ok(connection.execute(sql, row).map(|_| ())?))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::store::tests::databases;

    #[test]
    fn a_reference_is_a_tenants_own_and_the_last_one_counts() {
        for database in databases() {
            let store = database.open();
            let of = |count| Reference {
                model: "m".to_owned(),
                from_ms: 1,
                until_ms: 2,
                frozen_ms: 3,
                frozen_by: "grace".to_owned(),
                counts: [count; BINS],
            };
            for count in [4, 5] {
                store.freeze("t", &of(count)).unwrap();
            }
            assert_eq!((store.reference("t"), store.reference("u")), (Ok(Some(of(5))), Ok(None)));
        }
    }
}
