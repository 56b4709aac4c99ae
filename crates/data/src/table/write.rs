//! Writers of the same formats. Columns are declared once and keep their order in
//! the file; a value that is not of its column's kind is an error of the row, and
//! the row is not written.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_json::ReaderBuilder;
use arrow_json::reader::Decoder;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value};

use super::{DataError, Fault, TableFormat, kind};

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: &'static str,
    /// What its values are. Every value may also be null.
    pub kind: ColumnKind,
}

/// What the values of a column are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnKind {
    /// A string.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A floating point number.
    Number,
    /// True or false.
    Flag,
    /// A list of values of one kind.
    List(Box<ColumnKind>),
    /// An object with these keys.
    Struct(Vec<Column>),
}

impl Column {
    /// A column.
    pub const fn new(name: &'static str, kind: ColumnKind) -> Self {
        Self { name, kind }
    }

    fn field(&self) -> Field {
        Field::new(self.name, self.kind.data_type(), true)
    }
}

impl ColumnKind {
    /// A list of strings.
    pub fn texts() -> Self {
        Self::List(Box::new(Self::Text))
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Flag => DataType::Boolean,
            Self::List(of) => DataType::List(Arc::new(Field::new("item", of.data_type(), true))),
            Self::Struct(columns) => DataType::Struct(columns.iter().map(Column::field).collect::<Fields>()),
        }
    }

    /// Checks a value against the kind; null fits every kind.
    fn fits(&self, value: &Value, path: &str) -> Result<(), Fault> {
        let expected = match (self, value) {
            (_, Value::Null)
            | (Self::Text, Value::String(_))
            | (Self::Number, Value::Number(_))
            | (Self::Flag, Value::Bool(_)) => return Ok(()),
            (Self::Integer, Value::Number(number)) if number.is_i64() => return Ok(()),
            (Self::List(of), Value::Array(list)) => {
                return list.iter().enumerate().try_for_each(|(at, v)| of.fits(v, &format!("{path}[{at}]")));
            }
            (Self::Struct(columns), Value::Object(object)) => return fit(columns, object, path),
            (Self::Text, _) => "a text",
            (Self::Integer, _) => "a whole number of 64 bits",
            (Self::Number, _) => "a number",
            (Self::Flag, _) => "true or false",
            (Self::List(_), _) => "a list",
            (Self::Struct(_), _) => "an object",
        };
        Err(Fault::new(path, kind(value), expected))
    }
}

/// Checks an object against columns; a key that is no column would be lost.
fn fit(columns: &[Column], object: &Map<String, Value>, path: &str) -> Result<(), Fault> {
    let known = columns.iter().filter_map(|column| Some((column, object.get(column.name)?)));
    let mut count = 0;
    for (column, value) in known {
        count += 1;
        let path = if path.is_empty() { column.name.to_owned() } else { format!("{path}.{}", column.name) };
        column.kind.fits(value, &path)?;
    }
    if count == object.len() {
        return Ok(());
    }
    let found = format!("{} keys that are no columns", object.len() - count);
    Err(Fault::new(path, found, "the declared columns only"))
}

/// Writes rows to a file.
pub struct TableWriter {
    file: String,
    columns: Vec<Column>,
    sink: Sink,
    rows: usize,
}

enum Sink {
    Jsonl(Box<dyn Write + Send>),
    Json(Box<dyn Write + Send>),
    Csv(Box<csv::Writer<Box<dyn Write + Send>>>),
    Parquet(Box<ParquetSink>),
}

struct ParquetSink {
    decoder: Decoder,
    writer: ArrowWriter<Box<dyn Write + Send>>,
    waiting: Vec<Map<String, Value>>,
}

/// Rows that go to Parquet at once.
const BATCH: usize = 1024;
/// Bytes in memory after which a row group is ended, so that memory stays bounded.
const ROW_GROUP_BYTES: usize = 64 << 20;

impl TableWriter {
    /// Creates, or replaces, a file.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(path: &Path, format: TableFormat, columns: Vec<Column>) -> Result<Self, DataError> {
        let name = path.display().to_string();
        let file = File::create(path).map_err(|error| DataError::io(&name, error))?;
        Self::new(Box::new(BufWriter::new(file)), format, columns)
            .map(|writer| Self { file: name.clone(), ..writer })
            .map_err(|error| DataError::io(&name, error))
    }

    /// Writes to any sink, which errors call `<output>`.
    ///
    /// # Errors
    /// If the sink refuses what stands at the beginning of a file.
    pub fn new(
        mut sink: Box<dyn Write + Send>,
        format: TableFormat,
        columns: Vec<Column>,
    ) -> std::io::Result<Self> {
        let sink = match format {
            TableFormat::Jsonl => Sink::Jsonl(sink),
            TableFormat::Json => {
                sink.write_all(b"[")?;
                Sink::Json(sink)
            }
            TableFormat::Csv => {
                let mut writer = csv::Writer::from_writer(sink);
                writer.write_record(columns.iter().map(|column| column.name))?;
                Sink::Csv(Box::new(writer))
            }
            TableFormat::Parquet => Sink::Parquet(Box::new(ParquetSink::new(sink, &columns)?)),
        };
        Ok(Self { file: "<output>".to_owned(), columns, sink, rows: 0 })
    }

    /// Rows written so far.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Writes a row. A column that the row lacks is null.
    ///
    /// # Errors
    /// [`Fault`] inside `Ok(Err)` if a value is not of its column's kind: nothing is
    /// written, and other rows can be. [`DataError`] if the file cannot be written.
    pub fn write(&mut self, row: Map<String, Value>) -> Result<Result<(), Fault>, DataError> {
        if let Err(fault) = fit(&self.columns, &row, "") {
            return Ok(Err(fault));
        }
        let first = self.rows == 0;
        self.rows += 1;
        let columns = &self.columns;
        match &mut self.sink {
            Sink::Jsonl(sink) => line(sink, columns, &row).and_then(|()| sink.write_all(b"\n")),
            Sink::Json(sink) => {
                let before: &[u8] = if first { b"\n" } else { b",\n" };
                sink.write_all(before).and_then(|()| line(sink, columns, &row))
            }
            Sink::Csv(writer) => {
                writer.write_record(columns.iter().map(|c| cell(row.get(c.name)))).map_err(Into::into)
            }
            Sink::Parquet(sink) => sink.push(row),
        }
        .map_err(|error| DataError::io(&self.file, error))?;
        Ok(Ok(()))
    }

    /// Writes what is left and closes the file. Without it, a Parquet file is not
    /// whole.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(self) -> Result<usize, DataError> {
        let ended = match self.sink {
            Sink::Jsonl(mut sink) => sink.flush(),
            Sink::Json(mut sink) => sink.write_all(b"\n]\n").and_then(|()| sink.flush()),
            Sink::Csv(mut writer) => writer.flush(),
            Sink::Parquet(sink) => sink.finish(),
        };
        ended.map_err(|error| DataError::io(&self.file, error))?;
        Ok(self.rows)
    }
}

impl ParquetSink {
    fn new(sink: Box<dyn Write + Send>, columns: &[Column]) -> std::io::Result<Self> {
        let schema = Arc::new(Schema::new(columns.iter().map(Column::field).collect::<Fields>()));
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let writer = ArrowWriter::try_new(sink, Arc::clone(&schema), Some(properties)).map_err(of_parquet)?;
        let decoder = ReaderBuilder::new(schema).with_batch_size(BATCH).build_decoder().map_err(of_arrow)?;
        Ok(Self { decoder, writer, waiting: Vec::new() })
    }

    fn push(&mut self, row: Map<String, Value>) -> std::io::Result<()> {
        self.waiting.push(row);
        if self.waiting.len() == BATCH { self.drain() } else { Ok(()) }
    }

    fn drain(&mut self) -> std::io::Result<()> {
        self.decoder.serialize(&self.waiting).map_err(of_arrow)?;
        self.waiting.clear();
        if let Some(batch) = self.decoder.flush().map_err(of_arrow)? {
            self.writer.write(&batch).map_err(of_parquet)?;
        }
        if self.writer.in_progress_size() > ROW_GROUP_BYTES {
            self.writer.flush().map_err(of_parquet)?;
        }
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.drain()?;
        self.writer.close().map(drop).map_err(of_parquet)
    }
}

fn of_arrow(error: ArrowError) -> std::io::Error {
    std::io::Error::other(error)
}

fn of_parquet(error: ParquetError) -> std::io::Error {
    std::io::Error::other(error)
}

/// A JSON object with its keys in the order of the columns; what is absent stays
/// absent.
fn line(sink: &mut impl Write, columns: &[Column], row: &Map<String, Value>) -> std::io::Result<()> {
    let mut before = "{";
    for (column, value) in columns.iter().filter_map(|c| Some((c, row.get(c.name)?))) {
        write!(sink, "{before}{}:", Value::from(column.name))?;
        write_value(sink, &column.kind, value)?;
        before = ",";
    }
    if before == "{" { sink.write_all(b"{}") } else { sink.write_all(b"}") }
}

/// A value with the keys of its objects in the order of their columns.
fn write_value(sink: &mut impl Write, kind: &ColumnKind, value: &Value) -> std::io::Result<()> {
    match (kind, value) {
        (ColumnKind::Struct(columns), Value::Object(object)) => line(sink, columns, object),
        (ColumnKind::List(of), Value::Array(list)) => {
            sink.write_all(b"[")?;
            for (at, value) in list.iter().enumerate() {
                if at > 0 {
                    sink.write_all(b",")?;
                }
                write_value(sink, of, value)?;
            }
            sink.write_all(b"]")
        }
        _ => serde_json::to_writer(sink, value).map_err(Into::into),
    }
}

/// A value as a cell: texts as they are, nothing for null, JSON for the rest.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
