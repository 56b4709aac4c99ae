//! The values of a record by kind. JSON and Parquet hold numbers, flags, lists and
//! objects; CSV holds the same as strings, and so they are read from strings too.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::table::{Fault, Record, kind};

/// The fields of a record, read by kind. Every method names the field in its
/// fault.
pub struct FieldReader<'a> {
    fields: &'a Map<String, Value>,
}

impl<'a> FieldReader<'a> {
    /// Reads the fields of a record.
    pub const fn new(record: &'a Record) -> Self {
        Self { fields: &record.fields }
    }

    /// Reads the keys of an object.
    pub const fn of_object(fields: &'a Map<String, Value>) -> Self {
        Self { fields }
    }

    /// Whether the record has a column, even if its value is null.
    pub fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Whether a column has a value: neither null nor an empty text.
    pub fn is_given(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| value.as_str() != Some(""))
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    fn required(&self, name: &str, expected: &str) -> Result<&'a Value, Fault> {
        let found = if self.has(name) { "null" } else { "nothing" };
        self.value(name).ok_or_else(|| Fault::new(name, found, expected))
    }

    /// A text, which may be empty.
    ///
    /// # Errors
    /// If it is absent or no text.
    pub fn text(&self, name: &str) -> Result<String, Fault> {
        match self.required(name, "a text")? {
            Value::String(text) => Ok(text.clone()),
            other => Err(Fault::new(name, kind(other), "a text")),
        }
    }

    /// A text that may be absent; an empty one is absent.
    ///
    /// # Errors
    /// If it is there and no text.
    pub fn optional_text(&self, name: &str) -> Result<Option<String>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => Err(Fault::new(name, kind(other), "a text")),
        }
    }

    /// A name or a number that stands for one, as text; absent if empty.
    ///
    /// # Errors
    /// If it is there and neither.
    pub fn optional_id(&self, name: &str) -> Result<Option<String>, Fault> {
        match self.value(name) {
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            _ => self.optional_text(name),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    /// If it is absent or no whole number.
    pub fn integer(&self, name: &str) -> Result<i64, Fault> {
        whole(name, self.required(name, "a whole number")?)
    }

    /// A whole number that may be absent.
    ///
    /// # Errors
    /// If it is there and no whole number.
    pub fn optional_integer(&self, name: &str) -> Result<Option<i64>, Fault> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(value) => whole(name, value).map(Some),
        }
    }

    /// True or false; also 1 or 0, and in CSV `True` or `False`.
    ///
    /// # Errors
    /// If it is absent or anything else.
    pub fn flag(&self, name: &str) -> Result<bool, Fault> {
        flag(name, self.required(name, FLAG)?)
    }

    /// An object; in CSV as JSON.
    ///
    /// # Errors
    /// If it is absent or no object.
    pub fn object(&self, name: &str) -> Result<Cow<'a, Map<String, Value>>, Fault> {
        match unpacked(name, self.required(name, "an object")?)? {
            Cow::Borrowed(Value::Object(object)) => Ok(Cow::Borrowed(object)),
            Cow::Owned(Value::Object(object)) => Ok(Cow::Owned(object)),
            other => Err(Fault::new(name, kind(&other), "an object")),
        }
    }

    /// A list; in CSV as JSON.
    ///
    /// # Errors
    /// If it is absent or no list.
    pub fn list(&self, name: &str) -> Result<Cow<'a, [Value]>, Fault> {
        match unpacked(name, self.required(name, "a list")?)? {
            Cow::Borrowed(Value::Array(list)) => Ok(Cow::Borrowed(list)),
            Cow::Owned(Value::Array(list)) => Ok(Cow::Owned(list)),
            other => Err(Fault::new(name, kind(&other), "a list")),
        }
    }

    /// A value of any kind, as it stands; JSON that stands in a string is unpacked.
    ///
    /// # Errors
    /// If it is absent, or a string that opens as JSON and is none.
    pub fn any(&self, name: &str) -> Result<Cow<'a, Value>, Fault> {
        unpacked(name, self.required(name, "a value")?)
    }
}

const FLAG: &str = "true or false, 1 or 0";

/// A value as true or false.
pub(super) fn flag(name: &str, value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Number(number) if number.as_f64() == Some(1.0) => Ok(true),
        Value::Number(number) if number.as_f64() == Some(0.0) => Ok(false),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "1.0" => Ok(true),
            "false" | "0" | "0.0" => Ok(false),
            _ => Err(Fault::new(name, kind(value), FLAG)),
        },
        other => Err(Fault::new(name, kind(other), FLAG)),
    }
}

/// A value as a whole number. Data frames write whole numbers with a `.0` where a
/// column has gaps.
fn whole(name: &str, value: &Value) -> Result<i64, Fault> {
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(exact)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse().ok().and_then(exact))
        }
        _ => None,
    };
    number.ok_or_else(|| Fault::new(name, kind(value), "a whole number"))
}

/// A floating point number as the whole number that it is, if it is one that
/// doubles hold exactly.
fn exact(number: f64) -> Option<i64> {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= LARGEST).then_some(number as i64)
}

/// JSON that stands in a string, as in CSV.
fn unpacked<'a>(name: &str, value: &'a Value) -> Result<Cow<'a, Value>, Fault> {
    match value {
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => serde_json::from_str(text)
            .map(Cow::Owned)
            .map_err(|_| Fault::new(name, kind(value), "JSON, where a cell opens as JSON")),
        other => Ok(Cow::Borrowed(other)),
    }
}
