//! Event files of `TensorBoard`: records of a length, a payload and checksums, whose payload
//! is the protocol buffer `Event` of TensorFlow with one scalar.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, IoContext as _};

/// A file that scalars are added to.
pub(crate) struct Events {
    path: PathBuf,
    file: File,
}

impl Events {
    /// A new file in a folder, beside those of earlier runs.
    pub(crate) fn create(folder: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(folder).at(folder)?;
        let now = seconds();
        let path = folder.join(format!("events.out.tfevents.{}.mindrail", now as u64));
        let file = File::options().create(true).append(true).open(&path).at(&path)?;
        let mut events = Self { path, file };
        let mut event = double(1, now);
        event.extend(bytes(3, b"brain.Event:2"));
        events.record(&event)?;
        Ok(events)
    }

    /// Adds a number of a name at a step.
    pub(crate) fn scalar(&mut self, name: &str, step: usize, value: f32) -> Result<(), Error> {
        let mut number = bytes(1, name.as_bytes());
        number.push(2 << 3 | 5);
        number.extend(value.to_le_bytes());
        let mut event = double(1, seconds());
        event.push(2 << 3);
        event.extend(varint(step as u64));
        event.extend(bytes(5, &bytes(1, &number)));
        self.record(&event)
    }

    fn record(&mut self, payload: &[u8]) -> Result<(), Error> {
        let length = (payload.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked(&length).to_le_bytes());
        record.extend(payload);
        record.extend(masked(payload).to_le_bytes());
        self.file.write_all(&record).at(&self.path)
    }
}

fn seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn double(field: u8, value: f64) -> Vec<u8> {
    let mut out = vec![field << 3 | 1];
    out.extend(value.to_le_bytes());
    out
}

fn bytes(field: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![field << 3 | 2];
    out.extend(varint(value.len() as u64));
    out.extend(value);
    out
}

/// CRC-32C, turned and moved as the format wants it.
fn masked(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    let crc = !crc;
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_castagnoli_polynomial() {
        // The check value of CRC-32C is 0xe3069283 for these nine digits.
        let crc = 0xe306_9283u32;
        assert_eq!(masked(b"123456789"), crc.rotate_right(15).wrapping_add(0xa282_ead8));
    }

    #[test]
    fn a_record_is_a_length_a_payload_and_their_checksums() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut events = Events::create(folder.path()).expect("a file");
        events.scalar("loss", 300, 0.5).expect("written");
        let whole = std::fs::read(&events.path).expect("a file");
        let mut rest = whole.as_slice();
        let mut payloads = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<8>() {
            let size = u64::from_le_bytes(*length) as usize;
            assert_eq!(masked(length).to_le_bytes(), after[..4]);
            let payload = &after[4..4 + size];
            assert_eq!(masked(payload).to_le_bytes(), after[4 + size..8 + size]);
            payloads.push(payload.to_vec());
            rest = &after[8 + size..];
        }
        assert_eq!(payloads.len(), 2);
        let ends = [&[0x10, 0xac, 0x02, 0x2a, 0x0d, 0x0a, 0x0b, 0x0a, 0x04], b"loss".as_slice()].concat();
        assert_eq!(payloads[1][9..9 + ends.len()], ends);
        assert_eq!(payloads[1][9 + ends.len()..], [&[0x15], 0.5f32.to_le_bytes().as_slice()].concat());
    }
}
