//! The nine KHP signals of a conversation as flags, in the four ways in which
//! files write them: an object, a list in order, `s_*` columns, plain columns.

use mindrail_core::taxonomy::{Signal, Taxonomy};
use serde_json::{Map, Value};

use super::fields::{FieldReader, flag};
use crate::table::{Column, ColumnKind, Fault, kind};

/// Which signals hold, by [`Signal::index`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalFlags([bool; 9]);

impl SignalFlags {
    /// Whether a signal holds.
    pub fn has(self, signal: Signal) -> bool {
        self.0[signal.index()]
    }

    /// How many hold.
    pub fn count(self) -> usize {
        self.0.iter().filter(|&&holds| holds).count()
    }

    /// Reads a cell: an object with the nine names, a list of nine, or an empty
    /// list where nobody has labelled them.
    pub(super) fn of_cell(fields: &FieldReader<'_>, name: &str) -> Result<Option<Self>, Fault> {
        if !fields.is_given(name) {
            return Ok(None);
        }
        match fields.any(name)?.as_ref() {
            Value::Object(object) => Self::of_object(object, name).map(Some),
            Value::Array(list) if list.is_empty() => Ok(None),
            Value::Array(list) if list.len() == 9 => {
                let flags: Result<Vec<bool>, Fault> = list.iter().map(|value| flag(name, value)).collect();
                Ok(flags?.try_into().ok().map(Self))
            }
            other => Err(Fault::new(name, kind(other), EXPECTED)),
        }
    }

    /// Reads the nine names of an object; another name would be a signal lost.
    pub(super) fn of_object(object: &Map<String, Value>, name: &str) -> Result<Self, Fault> {
        if object.len() != 9 {
            return Err(Fault::new(name, format!("an object of {} keys", object.len()), EXPECTED));
        }
        let fields = FieldReader::of_object(object);
        Self::read(|signal| fields.flag(signal.wire()))
            .map_err(|fault| Fault { field: format!("{name}.{}", fault.field), ..fault })
    }

    /// Reads nine columns of these names.
    pub(super) fn of_columns(
        fields: &FieldReader<'_>,
        name: impl Fn(Signal) -> String,
    ) -> Result<Self, Fault> {
        Self::read(|signal| fields.flag(&name(signal)))
    }

    fn read(mut one: impl FnMut(Signal) -> Result<bool, Fault>) -> Result<Self, Fault> {
        let mut flags = [false; 9];
        for &signal in Signal::ALL {
            flags[signal.index()] = one(signal)?;
        }
        Ok(Self(flags))
    }

    /// The object of the nine names with 0 and 1.
    pub(super) fn to_object(self) -> Value {
        let entries = Signal::ALL.iter().map(|&s| (s.wire().to_owned(), Value::from(u8::from(self.has(s)))));
        Value::Object(entries.collect())
    }
}

const EXPECTED: &str = "an object of the nine signals, a list of nine, or an empty list";

/// The column of an object of nine.
pub(super) fn column() -> Column {
    let of = |signal: &Signal| Column::new(signal.wire(), ColumnKind::Integer);
    Column::new("signals", ColumnKind::Struct(Signal::ALL.iter().map(of).collect()))
}
