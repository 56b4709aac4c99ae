//! Parquet, batch by batch: the rows of a batch are made one at a time from its
//! columns, so that only the columns of one batch are in memory.

use std::fs::File;

use arrow_array::{RecordBatch, StructArray};
use arrow_schema::ArrowError;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaData;

use super::arrow::Fields;
use super::{DataError, Rows, Step};

/// Rows that are decoded at once, if they are short.
const BATCH: usize = 1024;

/// Bytes, as encoded in the file but not compressed, that a batch should have at most.
const BATCH_BYTES: usize = 8 << 20;

/// The rows of a Parquet file.
pub(super) struct Batches {
    reader: ParquetRecordBatchReader,
    batch: Batch,
}

impl Batches {
    pub(super) fn new(file: File, name: &str) -> Result<Self, DataError> {
        let damaged = |_| DataError::file(name, "a damaged file", "Parquet");
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged)?;
        let rows = rows_at_once(builder.metadata());
        let reader = builder.with_batch_size(rows).build().map_err(damaged)?;
        Ok(Self { reader, batch: Batch::default() })
    }
}

/// Fewer rows where they are long, so that a batch stays small.
fn rows_at_once(metadata: &ParquetMetaData) -> usize {
    let groups = metadata.row_groups().iter().filter(|group| group.num_rows() > 0);
    let longest = groups.map(|group| group.total_byte_size() / group.num_rows()).max().unwrap_or(0);
    (BATCH_BYTES / longest.max(1) as usize).clamp(1, BATCH)
}

impl Rows for Batches {
    fn next_row(&mut self, file: &str) -> Result<Option<Step>, DataError> {
        while self.batch.is_over() {
            let Some(batch) = self.reader.next() else { return Ok(None) };
            let batch = batch.map_err(|_| damaged_page(file))?;
            self.batch = Batch::new(batch).map_err(|_| unknown_type(file))?;
        }
        Ok(Some(self.batch.next_row()))
    }
}

fn damaged_page(file: &str) -> DataError {
    let found = "a damaged page, or a codec other than none, snappy and zstd";
    DataError::file(file, found, "Parquet")
}

fn unknown_type(file: &str) -> DataError {
    let found = "a column of a type without a JSON form";
    DataError::file(file, found, "texts, numbers, flags, lists and structs")
}

/// A batch of rows, of which some have been given.
#[derive(Default)]
struct Batch {
    fields: Fields,
    given: usize,
    rows: usize,
}

impl Batch {
    fn new(batch: RecordBatch) -> Result<Self, ArrowError> {
        let rows = batch.num_rows();
        Ok(Self { fields: Fields::of(&StructArray::from(batch))?, given: 0, rows })
    }

    const fn is_over(&self) -> bool {
        self.given == self.rows
    }

    fn next_row(&mut self) -> Step {
        let fields = self.fields.object(self.given);
        self.given += 1;
        Step { line: None, fields: Ok(fields) }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};
    use parquet::arrow::ArrowWriter;

    use super::*;

    /// A file of so many rows, the text of each of so many bytes.
    fn file(rows: usize, length: usize) -> File {
        let numbers = Arc::new(Int64Array::from_iter_values(0..rows as i64));
        // Texts that differ, so that the file does not keep one of them for all.
        let texts = (0..rows).map(|row| format!("{row:0length$}"));
        let texts = Arc::new(StringArray::from_iter_values(texts));
        let columns: [(&str, ArrayRef); 2] = [("n", numbers), ("text", texts)];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let file = tempfile::tempfile().unwrap();
        let mut writer = ArrowWriter::try_new(file.try_clone().unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        file
    }

    #[test]
    fn rows_come_in_order_across_batches() {
        let mut batches = Batches::new(file(2 * BATCH + 3, 5), "a.parquet").unwrap();
        let mut numbers = Vec::new();
        while let Some(step) = batches.next_row("a.parquet").unwrap() {
            numbers.push(step.fields.unwrap()["n"].as_u64().unwrap());
        }
        assert_eq!(numbers, (0..2 * BATCH as u64 + 3).collect::<Vec<_>>());
    }

    #[test]
    fn a_batch_has_fewer_rows_where_they_are_long() {
        let rows = |file| rows_at_once(ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata());
        assert_eq!(rows(file(10, 5)), BATCH);
        let long = rows(file(10, 50_000));
        assert!((150..=167).contains(&long), "{long} rows of 50 kB are no 8 MiB");
    }
}
