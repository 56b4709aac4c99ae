//! The reader returns, whatever the bytes: no panic, no endless loop.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mindrail_core::reader::read_in_every_format;

fuzz_target!(|bytes: &[u8]| {
    read_in_every_format(bytes);
});
