//! Parquet, batch by batch: columns to rows of JSON values. Lists, structs,
//! dictionaries and times are turned by `arrow-json`; what JSON has no number for
//! (not a number, infinity) becomes null.

use std::collections::VecDeque;
use std::fs::File;

use arrow_json::LineDelimitedWriter;
use arrow_json::writer::{LineDelimited, WriterBuilder};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::{Map, Value};

use super::error::syntax_fault;
use super::{DataError, Rows, Step};

/// Rows that are decoded at once; long texts make some 10 KB a row.
const BATCH: usize = 1024;

/// The rows of a Parquet file.
pub(super) struct Batches {
    reader: ParquetRecordBatchReader,
    rows: VecDeque<Step>,
}

impl Batches {
    pub(super) fn new(file: File, name: &str) -> Result<Self, DataError> {
        let damaged = |_| DataError::file(name, "a damaged file", "Parquet");
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged)?;
        let reader = builder.with_batch_size(BATCH).build().map_err(damaged)?;
        Ok(Self { reader, rows: VecDeque::new() })
    }
}

impl Rows for Batches {
    fn next_row(&mut self, file: &str) -> Result<Option<Step>, DataError> {
        while self.rows.is_empty() {
            let Some(batch) = self.reader.next() else { return Ok(None) };
            let damaged = |_| {
                DataError::file(
                    file,
                    "a damaged page, or a codec other than none, snappy and zstd",
                    "Parquet",
                )
            };
            let batch = batch.map_err(damaged)?;
            let unknown = |_| {
                DataError::file(
                    file,
                    "a column of a type without a JSON form",
                    "texts, numbers, flags, lists and structs",
                )
            };
            let builder = WriterBuilder::new().with_explicit_nulls(true);
            let mut writer: LineDelimitedWriter<Vec<u8>> = builder.build::<_, LineDelimited>(Vec::new());
            writer.write(&batch).and_then(|()| writer.finish()).map_err(unknown)?;
            let lines = writer.into_inner();
            self.rows = lines.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(row).collect();
        }
        Ok(self.rows.pop_front())
    }
}

fn row(line: &[u8]) -> Step {
    let fields = serde_json::from_slice::<Map<String, Value>>(line).map_err(|error| syntax_fault(&error));
    Step { line: None, fields }
}
