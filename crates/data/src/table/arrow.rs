//! Columns of Arrow to JSON values, one value at a time. What data sets are made of
//! (texts, flags, numbers, lists, objects, dictionaries of them) is read as it lies
//! in memory. Every other type, a date for one, goes through the JSON text that
//! `arrow-json` gives it. Not a number and infinity, for which JSON has no form,
//! are null.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{AnyDictionaryArray, Array, GenericListArray, OffsetSizeTrait, StructArray};
use arrow_json::writer::{EncoderOptions, make_encoder};
use arrow_schema::{ArrowError, DataType, Field};
use serde_json::{Map, Value};

/// Gives the value in a row of a column. It holds the column's buffers.
pub(super) type ValueAt = Box<dyn Fn(usize) -> Value + Send>;

/// The values of a column.
///
/// A flat match on Arrow's types.
///
/// # Errors
/// If the column is of a type without a JSON form.
pub(super) fn values(array: &dyn Array) -> Result<ValueAt, ArrowError> {
    Ok(match array.data_type() {
        DataType::Null => Box::new(|_| Value::Null),
        DataType::Boolean => each(array.as_boolean(), |flags, at| Value::from(flags.value(at))),
        DataType::Int8 => numbers::<Int8Type>(array),
        DataType::Int16 => numbers::<Int16Type>(array),
        DataType::Int32 => numbers::<Int32Type>(array),
        DataType::Int64 => numbers::<Int64Type>(array),
        DataType::UInt8 => numbers::<UInt8Type>(array),
        DataType::UInt16 => numbers::<UInt16Type>(array),
        DataType::UInt32 => numbers::<UInt32Type>(array),
        DataType::UInt64 => numbers::<UInt64Type>(array),
        DataType::Float64 => numbers::<Float64Type>(array),
        DataType::Utf8 => each(array.as_string::<i32>(), |texts, at| Value::from(texts.value(at))),
        DataType::LargeUtf8 => each(array.as_string::<i64>(), |texts, at| Value::from(texts.value(at))),
        DataType::Utf8View => each(array.as_string_view(), |texts, at| Value::from(texts.value(at))),
        DataType::List(_) => lists(array.as_list::<i32>())?,
        DataType::LargeList(_) => lists(array.as_list::<i64>())?,
        DataType::Struct(_) => objects(array.as_struct())?,
        DataType::Dictionary(..) => entries(array.as_any_dictionary())?,
        _ => through_text(array)?,
    })
}

/// The values of an array by a function that need not know of null.
fn each<A: Array + Clone + 'static>(
    array: &A,
    value: impl Fn(&A, usize) -> Value + Send + 'static,
) -> ValueAt {
    let array = array.clone();
    Box::new(move |at| if array.is_null(at) { Value::Null } else { value(&array, at) })
}

fn numbers<T: ArrowPrimitiveType>(array: &dyn Array) -> ValueAt
where
    Value: From<T::Native>,
{
    each(array.as_primitive::<T>(), |numbers, at| Value::from(numbers.value(at)))
}

fn lists<O: OffsetSizeTrait>(array: &GenericListArray<O>) -> Result<ValueAt, ArrowError> {
    let inner = values(array.values())?;
    Ok(each(array, move |lists, at| {
        let (start, end) = (lists.value_offsets()[at].as_usize(), lists.value_offsets()[at + 1].as_usize());
        (start..end).map(&inner).collect()
    }))
}

fn objects(array: &StructArray) -> Result<ValueAt, ArrowError> {
    let fields = Fields::of(array)?;
    Ok(each(array, move |_, at| Value::Object(fields.object(at))))
}

/// A dictionary's values are looked up by their keys.
fn entries(array: &dyn AnyDictionaryArray) -> Result<ValueAt, ArrowError> {
    if array.values().is_empty() {
        // No key can name a value, so all are null.
        return Ok(Box::new(|_| Value::Null));
    }
    let (entry, keys, nulls) = (values(array.values())?, array.normalized_keys(), array.nulls().cloned());
    let is_null = move |at| nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
    Ok(Box::new(move |at| if is_null(at) { Value::Null } else { entry(keys[at]) }))
}

/// The values of an array of a rarer type, read from their JSON text all at once.
fn through_text(array: &dyn Array) -> Result<ValueAt, ArrowError> {
    let field = Arc::new(Field::new("", array.data_type().clone(), true));
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(&field, array, &options)?;
    let mut text = Vec::new();
    let mut value = |at| {
        if encoder.is_null(at) {
            return Ok(Value::Null);
        }
        text.clear();
        encoder.encode(at, &mut text);
        serde_json::from_slice(&text).map_err(|_| ArrowError::JsonError("no JSON value".to_owned()))
    };
    let found = (0..array.len()).map(&mut value).collect::<Result<Vec<Value>, _>>()?;
    Ok(Box::new(move |at| found[at].clone()))
}

/// The columns of a batch or the fields of an object, with their names.
#[derive(Default)]
pub(super) struct Fields(Vec<(String, ValueAt)>);

impl Fields {
    /// The fields of all rows.
    ///
    /// # Errors
    /// If one is of a type without a JSON form.
    pub(super) fn of(array: &StructArray) -> Result<Self, ArrowError> {
        let named = array.column_names().into_iter().zip(array.columns());
        let field = |(name, column): (&str, &Arc<dyn Array>)| Ok((name.to_owned(), values(column)?));
        named.map(field).collect::<Result<_, _>>().map(Self)
    }

    /// The fields of a row.
    pub(super) fn object(&self, at: usize) -> Map<String, Value> {
        self.0.iter().map(|(name, value)| (name.clone(), value(at))).collect()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use arrow_array::builder::{Int64Builder, ListBuilder, MapBuilder, StringBuilder};
    use arrow_array::types::Int32Type;
    use arrow_array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
        Float64Array, Int8Array, Int32Array, Int64Array, LargeStringArray, ListArray, NullArray, RecordBatch,
        StringArray, StringViewArray, TimestampMillisecondArray, UInt64Array,
    };
    use arrow_json::LineDelimitedWriter;
    use arrow_json::writer::{LineDelimited, WriterBuilder};
    use serde_json::json;

    use super::*;

    /// The rows of a batch by way of the JSON text that `arrow-json` writes.
    fn oracle(batch: &RecordBatch) -> Vec<Map<String, Value>> {
        let builder = WriterBuilder::new().with_explicit_nulls(true);
        let mut writer: LineDelimitedWriter<Vec<u8>> = builder.build::<_, LineDelimited>(Vec::new());
        writer.write(batch).unwrap();
        writer.finish().unwrap();
        let text = String::from_utf8(writer.into_inner()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn rows(batch: RecordBatch) -> Vec<Map<String, Value>> {
        let rows = batch.num_rows();
        let fields = Fields::of(&StructArray::from(batch)).unwrap();
        (0..rows).map(|at| fields.object(at)).collect()
    }

    fn turns() -> ArrayRef {
        let role: ArrayRef = Arc::new(StringArray::from(vec![Some("user"), None, Some("assistant"), None]));
        let number: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), Some(2), None, None]));
        Arc::new(StructArray::from(RecordBatch::try_from_iter([("role", role), ("n", number)]).unwrap()))
    }

    fn words<O: OffsetSizeTrait>() -> ArrayRef {
        let mut lists = arrow_array::builder::GenericListBuilder::<O, _>::new(StringBuilder::new());
        lists.append_value([Some("a"), None]);
        lists.append_null();
        lists.append_value([None::<&str>; 0]);
        lists.append_value([Some("b"), Some("\u{1f331} \"c\"\n")]);
        Arc::new(lists.finish())
    }

    fn map() -> ArrayRef {
        let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        map.keys().append_value("k");
        map.values().append_value(7);
        for valid in [true, false, true, true] {
            map.append(valid).unwrap();
        }
        Arc::new(map.finish())
    }

    /// A list of lists of numbers.
    fn nested() -> ArrayRef {
        let mut lists = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
        lists.values().append_value([Some(1), None]);
        lists.values().append_null();
        for valid in [true, false, true, true] {
            lists.append(valid);
        }
        Arc::new(lists.finish())
    }

    fn dictionary() -> DictionaryArray<Int32Type> {
        let values = StringArray::from(vec!["en", "de"]);
        let keys = Int32Array::from(vec![Some(1), None, Some(1), Some(0)]);
        DictionaryArray::new(keys, Arc::new(values))
    }

    /// Two turns, null, no turn, two turns.
    fn conversation() -> ArrayRef {
        let (words, turns) = (words::<i32>(), turns());
        let item = Arc::new(Field::new_list_field(turns.data_type().clone(), true));
        let words = words.as_list::<i32>();
        Arc::new(ListArray::new(item, words.offsets().clone(), turns, words.nulls().cloned()))
    }

    /// Every kind of column, four rows with null in each.
    fn every_kind() -> RecordBatch {
        let columns: [(&str, ArrayRef); 21] = [
            ("nothing", Arc::new(NullArray::new(4))),
            ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), None]))),
            ("tiny", Arc::new(Int8Array::from(vec![Some(-128), None, Some(127), Some(0)]))),
            ("whole", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX), Some(0)]))),
            ("large", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0), Some(1)]))),
            ("single", Arc::new(Float32Array::from(vec![Some(0.1), None, Some(f32::NAN), Some(-3.0)]))),
            ("real", Arc::new(Float64Array::from(vec![Some(0.1), None, Some(f64::INFINITY), Some(-0.0)]))),
            ("text", Arc::new(StringArray::from(vec![Some(""), None, Some("\u{e9}\t\\"), Some("x")]))),
            ("large_text", Arc::new(LargeStringArray::from(vec![Some("a"), None, Some("b"), Some("c")]))),
            (
                "view",
                Arc::new(StringViewArray::from(vec![Some("a view of some length"), None, None, Some("")])),
            ),
            ("dictionary", Arc::new(dictionary())),
            ("words", words::<i32>()),
            ("large_list", words::<i64>()),
            ("nested", nested()),
            ("object", turns()),
            ("turns", conversation()),
            ("map", map()),
            ("day", Arc::new(Date32Array::from(vec![Some(0), None, Some(20_000), Some(-1)]))),
            ("time", Arc::new(TimestampMillisecondArray::from(vec![Some(0), None, Some(1_500), Some(-1)]))),
            ("decimal", Arc::new(Decimal128Array::from(vec![Some(12_345), None, Some(-1), Some(0)]))),
            ("bytes", Arc::new(BinaryArray::from(vec![Some(b"\x00\xff".as_slice()), None, None, Some(b"")]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn every_kind_of_column_has_the_values_of_its_json_text() {
        let batch = every_kind();
        assert_eq!(rows(batch.clone()), oracle(&batch));
    }

    #[test]
    fn a_slice_of_a_batch_begins_at_its_own_first_row() {
        let batch = every_kind().slice(1, 2);
        assert_eq!(rows(batch.clone()), oracle(&batch));
    }

    /// For which `arrow-json` writes an empty text.
    #[test]
    fn an_entry_of_a_dictionary_may_be_null() {
        let entries = Arc::new(StringArray::from(vec![None, Some("de")]));
        let value = values(&DictionaryArray::new(Int32Array::from(vec![1, 0]), entries)).unwrap();
        assert_eq!([value(0), value(1)], [Value::from("de"), Value::Null]);
    }

    #[test]
    fn a_dictionary_without_entries_is_null_throughout() {
        let keys = Int32Array::from(vec![None, None]);
        let empty = DictionaryArray::new(keys, Arc::new(StringArray::from(Vec::<&str>::new())));
        let value = values(&empty).unwrap();
        assert_eq!([value(0), value(1)], [Value::Null, Value::Null]);
    }

    #[test]
    fn a_turn_keeps_its_place_and_its_absent_fields() {
        let turns = rows(every_kind()).into_iter().map(|mut row| row["turns"].take()).collect::<Vec<_>>();
        let first = json!([{"role": "user", "n": 1}, {"role": null, "n": 2}]);
        let last = json!([{"role": "assistant", "n": null}, {"role": null, "n": null}]);
        assert_eq!(turns, [first, Value::Null, json!([]), last]);
    }
}
