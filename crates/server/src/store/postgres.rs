//! The store in PostgreSQL, for several replicas of the server. Writers wait for one
//! another by an advisory lock, since each entry of the trail holds the hash of the
//! one before; the group commit of [`super::Store`] makes that one wait for many
//! decisions.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use postgres::types::private::BytesMut;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::StoreError;
use super::sql::{Connection, DatabaseError, Row, Value, in_transaction};

/// One script for each version of the schema; `schema_version` holds how many ran.
const MIGRATIONS: [&str; 2] =
    [include_str!("migrations/postgres_1.sql"), include_str!("migrations/postgres_2.sql")];

/// Names the advisory lock of those who write: the letters of "mindrail" as a number.
const WRITERS: i64 = i64::from_be_bytes(*b"mindrail");

/// How long a statement may take, and a writer may wait.
const PATIENCE: &str = "10s";

impl From<postgres::Error> for DatabaseError {
    /// The server's words without its detail, which may repeat values of a row.
    fn from(error: postgres::Error) -> Self {
        match error.as_db_error() {
            Some(error) => Self(format!("{} ({})", error.message(), error.code().code())),
            None => Self(error.to_string()),
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) => number.to_sql_checked(kind, out),
            Self::Text(text) => text.to_sql_checked(kind, out),
            Self::Bytes(bytes) => bytes.to_sql_checked(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Where the database is. Its URL may hold a password and is never shown.
#[derive(Clone)]
pub(super) struct Address {
    config: Config,
}

impl Address {
    /// Reads a URL `postgresql://user@host/database?sslmode=require`.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let mut config: Config = url.parse().map_err(|_| StoreError::NoUrl)?;
        config.connect_timeout(Duration::from_secs(5)).application_name("mindrail");
        config.tcp_user_timeout(Duration::from_secs(15));
        Ok(Self { config })
    }

    /// Connects, with TLS where the URL asks for it or the server offers it.
    pub(super) fn connect(&self) -> Result<Postgres, DatabaseError> {
        let mut client = self.config.connect(MakeRustlsConnect::new(crate::tls::to_others()))?;
        client.batch_execute(&format!(
            "SET statement_timeout = '{PATIENCE}'; SET lock_timeout = '{PATIENCE}'; \
             SET idle_in_transaction_session_timeout = '15s'; SET tcp_keepalives_idle = 10; \
             SET synchronous_commit = on; SET client_min_messages = warning"
        ))?;
        Ok(Postgres { client, statements: HashMap::new(), is_stuck: false })
    }
}

/// A connection to the database.
pub(super) struct Postgres {
    client: Client,
    statements: HashMap<String, Statement>,
    /// A transaction that could not be begun could not be ended either.
    is_stuck: bool,
}

impl Postgres {
    /// Brings the schema to the newest version.
    pub(super) fn migrate(&mut self) -> Result<(), StoreError> {
        in_transaction(self, |connection| {
            connection.batch(
                "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL);
                 INSERT INTO schema_version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM schema_version)",
            )?;
            let found = connection.first("SELECT version FROM schema_version", &[])?;
            let found: usize = found.map_or(Ok(0), |row| row.get(0))?;
            if found > MIGRATIONS.len() {
                return Err(StoreError::Newer { found, known: MIGRATIONS.len() });
            }
            for script in &MIGRATIONS[found..] {
                connection.batch(script)?;
            }
            connection.batch(&format!("UPDATE schema_version SET version = {}", MIGRATIONS.len()))?;
            Ok(())
        })
    }

    fn statement(&mut self, sql: &str) -> Result<Statement, DatabaseError> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl Connection for Postgres {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize, DatabaseError> {
        let statement = self.statement(sql)?;
        Ok(self.client.execute(&statement, &parameters(values))? as usize)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError> {
        let statement = self.statement(sql)?;
        let rows = self.client.query(&statement, &parameters(values))?;
        rows.iter()
            .map(|row| (0..row.len()).map(|at| value(row, at)).collect::<Result<_, _>>().map(Row))
            .collect()
    }

    fn batch(&mut self, sql: &str) -> Result<(), DatabaseError> {
        Ok(self.client.batch_execute(sql)?)
    }

    fn begin(&mut self) -> Result<(), DatabaseError> {
        // One round trip. The lock is taken before anything is read, so that each
        // statement sees what the writer before has left.
        let begun = self.batch(&format!("BEGIN; SELECT pg_advisory_xact_lock({WRITERS})"));
        if begun.is_err() && self.batch("ROLLBACK").is_err() {
            self.is_stuck = true;
        }
        begun
    }

    fn is_broken(&self) -> bool {
        self.is_stuck || self.client.is_closed()
    }
}

fn value(row: &postgres::Row, at: usize) -> Result<Value, DatabaseError> {
    let kind = row.columns()[at].type_();
    Ok(match *kind {
        Type::INT8 => row.try_get::<_, Option<i64>>(at)?.into_value(Value::Int),
        Type::INT4 => row.try_get::<_, Option<i32>>(at)?.into_value(|number| Value::Int(number.into())),
        Type::TEXT | Type::VARCHAR | Type::NAME => {
            row.try_get::<_, Option<String>>(at)?.into_value(Value::Text)
        }
        Type::BYTEA => row.try_get::<_, Option<Vec<u8>>>(at)?.into_value(Value::Bytes),
        _ => {
            return Err(DatabaseError(format!(
                "found a column of type {kind}, expected a number, text or bytes"
            )));
        }
    })
}

trait IntoValue<T> {
    fn into_value(self, value: impl FnOnce(T) -> Value) -> Value;
}

impl<T> IntoValue<T> for Option<T> {
    fn into_value(self, value: impl FnOnce(T) -> Value) -> Value {
        self.map_or(Value::Null, value)
    }
}
