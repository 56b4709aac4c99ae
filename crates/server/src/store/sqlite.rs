//! The store in one SQLite file: write-ahead log, so that reading does not wait for
//! writing; synchronous in full, so that what was committed is on disk; what is
//! erased is overwritten.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ToSql, params_from_iter};

use super::StoreError;
use super::sql::{Connection, DatabaseError, Row, Value, in_transaction};

/// One script for each version of the file; `user_version` counts those that ran.
const MIGRATIONS: [&str; 3] = [
    include_str!("migrations/sqlite_1.sql"),
    include_str!("migrations/sqlite_2.sql"),
    include_str!("migrations/sqlite_3.sql"),
];

/// How long a statement waits for another process's.
const PATIENCE: Duration = Duration::from_secs(5);

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self(error.to_string())
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// A connection to the file.
pub(super) struct Sqlite(rusqlite::Connection);

impl Sqlite {
    /// Opens the file, or makes it.
    pub(super) fn open(file: &Path) -> Result<Self, StoreError> {
        make_private(file);
        let open = || -> Result<rusqlite::Connection, DatabaseError> {
            let connection = rusqlite::Connection::open(file)?;
            connection.busy_timeout(PATIENCE)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(connection)
        };
        let connection = open()?;
        refuse_foreign(&connection)?;
        set_up(&connection)?;
        Ok(Self(connection))
    }

    /// Brings the file to the newest version.
    pub(super) fn migrate(&mut self) -> Result<(), StoreError> {
        in_transaction(self, |connection| {
            let found = connection.first("PRAGMA user_version", &[])?;
            let found: usize = found.map_or(Ok(0), |row| row.get(0))?;
            if found > MIGRATIONS.len() {
                return Err(StoreError::Newer { found, known: MIGRATIONS.len() });
            }
            for script in &MIGRATIONS[found..] {
                connection.batch(script)?;
            }
            connection.batch(&format!("PRAGMA user_version = {}", MIGRATIONS.len()))?;
            Ok(())
        })
    }

    /// Brings the log of changes into the file as far as nobody is in the way.
    pub(super) fn tidy(connection: &mut dyn Connection) -> Result<(), DatabaseError> {
        connection.query("PRAGMA wal_checkpoint(PASSIVE)", &[]).map(|_| ())
    }

    /// Removes what was erased from the log of changes, too.
    pub(super) fn scrub(connection: &mut dyn Connection) -> Result<(), DatabaseError> {
        let done = connection.first("PRAGMA wal_checkpoint(TRUNCATE)", &[])?;
        let is_busy = done.map_or(Ok(0_u64), |row| row.get(0))? != 0;
        if is_busy {
            let problem = "it is erased, but a reader keeps what was there in the log of changes: erase again, which takes it out and finds nothing else";
            return Err(DatabaseError(problem.to_owned()));
        }
        Ok(())
    }
}

/// Makes a missing file, for its owner only; its log of changes inherits that. Where it
/// cannot be made, opening it says why.
fn make_private(file: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let _ = options.open(file);
}

/// That the file is empty or ours.
fn refuse_foreign(connection: &rusqlite::Connection) -> Result<(), StoreError> {
    let count =
        |sql: &str| -> Result<usize, DatabaseError> { Ok(connection.query_row(sql, (), |row| row.get(0))?) };
    let is_new = count("SELECT user_version FROM pragma_user_version")? == 0;
    if is_new && count("SELECT count(*) FROM sqlite_master")? > 0 {
        return Err(StoreError::Foreign);
    }
    Ok(())
}

fn set_up(connection: &rusqlite::Connection) -> Result<(), DatabaseError> {
    for (name, value) in
        [("journal_mode", "WAL"), ("synchronous", "FULL"), ("foreign_keys", "ON"), ("secure_delete", "ON")]
    {
        connection.pragma_update(None, name, value)?;
    }
    // Commits that bring the log into the file take ten times as long as others, so that
    // is done beside them (`Store::tidy`); pages of the log, for where nobody does it.
    connection.pragma_update(None, "wal_autocheckpoint", 20_000)?;
    Ok(())
}

impl Connection for Sqlite {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize, DatabaseError> {
        Ok(self.0.prepare_cached(sql)?.execute(params_from_iter(values))?)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let value = |column| -> Result<Value, DatabaseError> { value(row.get_ref(column)?) };
            found.push(Row((0..columns).map(value).collect::<Result<_, _>>()?));
        }
        Ok(found)
    }

    fn batch(&mut self, sql: &str) -> Result<(), DatabaseError> {
        Ok(self.0.execute_batch(sql)?)
    }

    fn begin(&mut self) -> Result<(), DatabaseError> {
        self.batch("BEGIN IMMEDIATE")
    }

    fn is_broken(&self) -> bool {
        false
    }
}

fn value(found: ValueRef<'_>) -> Result<Value, DatabaseError> {
    Ok(match found {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Real(_) => return Err(DatabaseError("found a real number, expected none".to_owned())),
    })
}

/// Where the file stands, to see whether it is still there.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl File {
    pub(super) fn new(path: PathBuf) -> Self {
        let identity = identity(&path);
        Self { path, identity }
    }

    /// That the file is still where it was: what is written to a removed file, or to one
    /// that another has taken the place of, is lost.
    pub(super) fn is_there(&self) -> Result<(), StoreError> {
        let found = identity(&self.path);
        if found.is_some() && found == self.identity { Ok(()) } else { Err(StoreError::Gone) }
    }
}

/// Device and number of a file; where the system has none, only that it is there.
fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = std::fs::metadata(path).ok()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        Some((found.dev(), found.ino()))
    }
    #[cfg(not(unix))]
    Some((0, u64::from(found.is_file())))
}
