//! The columns of rows that come from any file, found by looking at all of them:
//! writers of Parquet, data cards and Croissant metadata must name each column
//! and its kind before the first row. Columns stand in the order of their names.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::table::{Column, ColumnKind, DataError, Fault, Record, kind};

/// What is known of the columns so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    kinds: BTreeMap<String, Kind>,
}

/// What is known of a column's values.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// Only null was seen, or an empty list's element.
    Open,
    Text,
    Integer,
    Number,
    Flag,
    List(Box<Kind>),
    Struct(BTreeMap<String, Kind>),
}

impl Columns {
    /// Looks at one more row.
    ///
    /// # Errors
    /// If a value does not fit those of the rows before. Then nothing is learnt from the row.
    pub(crate) fn add(&mut self, record: &Record) -> Result<(), DataError> {
        let mut kinds = self.kinds.clone();
        merge_object(&mut kinds, &record.fields, "").map_err(|fault| fault.at(&record.place))?;
        self.kinds = kinds;
        Ok(())
    }

    /// Adds a column of texts.
    pub(crate) fn add_text(&mut self, name: &str) {
        self.kinds.insert(name.to_owned(), Kind::Text);
    }

    /// The columns as writers want them. A column without a value is one of texts.
    pub(crate) fn finish(&self) -> Vec<Column> {
        columns(&self.kinds)
    }
}

fn columns(kinds: &BTreeMap<String, Kind>) -> Vec<Column> {
    // A data set has some dozens of columns, and they are wanted until the
    // program ends: their names may stay.
    kinds.iter().map(|(name, kind)| Column::new(name.clone().leak(), kind.finish())).collect()
}

impl Kind {
    fn finish(&self) -> ColumnKind {
        match self {
            Self::Open | Self::Text => ColumnKind::Text,
            Self::Integer => ColumnKind::Integer,
            Self::Number => ColumnKind::Number,
            Self::Flag => ColumnKind::Flag,
            Self::List(of) => ColumnKind::List(Box::new(of.finish())),
            Self::Struct(kinds) => ColumnKind::Struct(columns(kinds)),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Open => "anything",
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Flag => "true or false",
            Self::List(_) => "a list",
            Self::Struct(_) => "an object",
        }
    }

    /// Widens the kind so that a value fits too.
    fn merge(&mut self, value: &Value, path: &str) -> Result<(), Fault> {
        match (&mut *self, value) {
            (_, Value::Null)
            | (Self::Text, Value::String(_))
            | (Self::Flag, Value::Bool(_))
            | (Self::Number, Value::Number(_)) => Ok(()),
            (Self::Integer, Value::Number(number)) => {
                if !number.is_i64() {
                    *self = Self::Number;
                }
                Ok(())
            }
            (Self::List(of), Value::Array(list)) => list.iter().try_for_each(|value| of.merge(value, path)),
            (Self::Struct(kinds), Value::Object(object)) => merge_object(kinds, object, path),
            (Self::Open, value) => {
                *self = Self::of(value);
                if matches!(self, Self::List(_) | Self::Struct(_)) { self.merge(value, path) } else { Ok(()) }
            }
            (known, value) => {
                Err(Fault::new(path, kind(value), format!("{}, as in the rows before", known.name())))
            }
        }
    }

    /// The kind of a value, of lists and objects without what is in them.
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Open,
            Value::Bool(_) => Self::Flag,
            Value::Number(number) if number.is_i64() => Self::Integer,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::List(Box::new(Self::Open)),
            Value::Object(_) => Self::Struct(BTreeMap::new()),
        }
    }
}

fn merge_object(
    kinds: &mut BTreeMap<String, Kind>,
    object: &Map<String, Value>,
    path: &str,
) -> Result<(), Fault> {
    for (name, value) in object {
        let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if !kinds.contains_key(name) {
            kinds.insert(name.clone(), Kind::Open);
        }
        if let Some(known) = kinds.get_mut(name) {
            known.merge(value, &inner)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;
    use crate::table::Place;

    fn record(row: usize, fields: &Value) -> Record {
        let place = Place { file: "f.jsonl".into(), row, line: Some(row) };
        Record { place, fields: fields.as_object().unwrap().clone() }
    }

    #[test]
    fn columns_widen_until_every_row_fits() {
        let mut columns = Columns::default();
        columns.add(&record(1, &json!({"a": 1, "b": null, "t": [{"role": "user", "n": []}]}))).unwrap();
        columns.add(&record(2, &json!({"a": 1.5, "c": true, "t": [{"n": ["x"]}]}))).unwrap();
        let turn = ColumnKind::Struct(vec![
            Column::new("n", ColumnKind::texts()),
            Column::new("role", ColumnKind::Text),
        ]);
        let expected = [
            Column::new("a", ColumnKind::Number),
            Column::new("b", ColumnKind::Text),
            Column::new("c", ColumnKind::Flag),
            Column::new("t", ColumnKind::List(Box::new(turn))),
        ];
        assert_eq!(columns.finish(), expected);
    }

    #[test]
    fn a_value_of_another_kind_is_named_by_its_path_and_teaches_nothing() {
        let mut columns = Columns::default();
        columns.add(&record(1, &json!({"t": [{"text": "private"}]}))).unwrap();
        let error = columns.add(&record(2, &json!({"new": 1, "t": [{"text": 7}]}))).unwrap_err();
        insta::assert_snapshot!(error, @"f.jsonl:2: t.text: found a number, expected a text, as in the rows before");
        assert_eq!(columns.finish().len(), 1);
    }
}
