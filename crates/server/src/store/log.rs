//! Who at the desk looked at what, and did what. The table refuses changes. A text is
//! shown only after the look at it was written here.

use super::sql::values;
use super::{Store, StoreError};

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Deed {
    LogIn,
    LogOut,
    ReadNumbers,
    ReadText,
    Claim,
    Release,
    Acknowledge,
    Override,
    Resolve,
    ExportReport,
    ExportTrail,
    ExportLog,
    ExportCalibration,
    AddUser,
    DisableUser,
    FreezeReference,
}

impl Deed {
    /// Its name in the store.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::LogIn => "log_in",
            Self::LogOut => "log_out",
            Self::ReadNumbers => "read_numbers",
            Self::ReadText => "read_text",
            Self::Claim => "claim",
            Self::Release => "release",
            Self::Acknowledge => "acknowledge",
            Self::Override => "override",
            Self::Resolve => "resolve",
            Self::ExportReport => "export_report",
            Self::ExportTrail => "export_trail",
            Self::ExportLog => "export_log",
            Self::ExportCalibration => "export_calibration",
            Self::AddUser => "add_user",
            Self::DisableUser => "disable_user",
            Self::FreezeReference => "freeze_reference",
        }
    }
}

/// A line of the access log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Access {
    /// Its number.
    pub id: u64,
    /// Who.
    pub name: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What, by its name in the store.
    pub deed: String,
    /// Of which review: the number of the decision that opened it.
    pub review: Option<u64>,
}

impl Store {
    /// Writes down what somebody does, before it is done.
    ///
    /// # Errors
    /// [`StoreError::Database`]; it must not be done then.
    pub fn log_access(
        &self,
        (tenant, name): (&str, &str),
        deed: Deed,
        review: Option<u64>,
        now_ms: u64,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO access_log (tenant, name, at_ms, deed, review) VALUES ($1, $2, $3, $4, $5)";
        let row = values![tenant, name, now_ms, deed.wire(), review];
        self.write(|connection| Ok(connection.execute(sql, row).map(|_| ())?))
    }

    /// A tenant's lines below a number, the newest first, at most so many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn accesses(&self, tenant: &str, below: u64, most: usize) -> Result<Vec<Access>, StoreError> {
        let sql = "SELECT id, name, at_ms, deed, review FROM access_log
            WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
        self.look(|connection| {
            let rows = connection.query(sql, values![tenant, below.min(i64::MAX as u64), most])?;
            rows.iter()
                .map(|row| {
                    Ok(Access {
                        id: row.get(0)?,
                        name: row.get(1)?,
                        at_ms: row.get(2)?,
                        deed: row.get(3)?,
                        review: row.get(4)?,
                    })
                })
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::store::tests::databases;

    #[test]
    fn the_access_log_is_a_tenants_own_and_refuses_changes() {
        for database in databases() {
            let store = database.open();
            for (tenant, deed) in [("t", Deed::LogIn), ("u", Deed::ReadText), ("t", Deed::Claim)] {
                store.log_access((tenant, "ada"), deed, Some(7), 5).unwrap();
            }
            let deeds = |below, most| -> Vec<String> {
                store.accesses("t", below, most).unwrap().into_iter().map(|access| access.deed).collect()
            };
            assert_eq!(deeds(u64::MAX, 9), ["claim", "log_in"]);
            assert_eq!(deeds(u64::MAX, 1), ["claim"]);
            assert_eq!(deeds(store.accesses("t", u64::MAX, 1).unwrap()[0].id, 9), ["log_in"]);
            for change in ["UPDATE access_log SET name = 'bob'", "DELETE FROM access_log"] {
                let error = store.write(|connection| Ok(connection.batch(change)?)).unwrap_err();
                assert!(error.to_string().contains("append-only"), "{error}");
            }
        }
    }
}
