//! SQL on either database. Statements are written once, in what both understand:
//! parameters are `$1`, `$2`, … and first appear in that order, numbers are 64 bits,
//! changes on conflict are `ON CONFLICT`. Only migrations, the beginning of a
//! transaction and the connection itself are written twice, in `super::sqlite` and
//! `super::postgres`.

use std::fmt::{self, Display, Formatter};

/// What goes into a statement and comes out of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(number as i64)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(number as i64)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of a statement, in order.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        &[$($crate::store::sql::Value::from($value)),*]
    };
}
pub(crate) use values;

/// What the database said when it could not do it. It holds no value of a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DatabaseError(pub(super) String);

impl Display for DatabaseError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A row of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row(pub(super) Vec<Value>);

/// What a column can be read as.
pub(crate) trait Column: Sized {
    fn read(value: &Value) -> Option<Self>;
}

impl Column for u64 {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Int(number) = value { Self::try_from(*number).ok() } else { None }
    }
}

impl Column for usize {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Int(number) = value { Self::try_from(*number).ok() } else { None }
    }
}

impl Column for String {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text.clone()) } else { None }
    }
}

impl Column for Vec<u8> {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Bytes(bytes) = value { Some(bytes.clone()) } else { None }
    }
}

impl<T: Column> Column for Option<T> {
    fn read(value: &Value) -> Option<Self> {
        if *value == Value::Null { Some(None) } else { T::read(value).map(Some) }
    }
}

impl Row {
    /// The value of a column, from 0.
    pub(crate) fn get<T: Column>(&self, column: usize) -> Result<T, DatabaseError> {
        let found = self.0.get(column).and_then(T::read);
        found.ok_or_else(|| {
            DatabaseError(format!("column {column}: found another kind of value than was expected"))
        })
    }
}

/// An open connection.
pub(crate) trait Connection: Send {
    /// Runs a statement and gives the number of rows that it changed.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize, DatabaseError>;

    /// Runs a statement and gives its rows.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, DatabaseError>;

    /// Runs a script without parameters.
    fn batch(&mut self, sql: &str) -> Result<(), DatabaseError>;

    /// Begins a transaction that writes, and waits for those that write now.
    fn begin(&mut self) -> Result<(), DatabaseError>;

    /// Whether the connection is of no more use.
    fn is_broken(&self) -> bool;

    /// The first row, where there is one.
    fn first(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>, DatabaseError> {
        Ok(self.query(sql, values)?.into_iter().next())
    }
}

/// Runs `work` in one transaction: all of it is done, or nothing.
pub(crate) fn in_transaction<T, E: From<DatabaseError>>(
    connection: &mut dyn Connection,
    work: impl FnOnce(&mut dyn Connection) -> Result<T, E>,
) -> Result<T, E> {
    connection.begin()?;
    in_begun(connection, work)
}

/// Runs `work` in the transaction that was begun, and ends it.
pub(crate) fn in_begun<T, E: From<DatabaseError>>(
    connection: &mut dyn Connection,
    work: impl FnOnce(&mut dyn Connection) -> Result<T, E>,
) -> Result<T, E> {
    let mut open = Open { connection, done: false };
    let result = work(open.connection)?;
    open.connection.batch("COMMIT")?;
    open.done = true;
    Ok(result)
}

/// A transaction that is rolled back unless it was done, also when its work panics.
struct Open<'a> {
    connection: &'a mut dyn Connection,
    done: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.done {
            // Where this fails there is no transaction any more.
            let _ = self.connection.batch("ROLLBACK");
        }
    }
}
