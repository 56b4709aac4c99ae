//! A stream through the proxy comes to its end, whatever the bytes, and no word leaves it
//! that was withheld.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    mindrail_server::proxy::fuzzing::fuzz_stream(bytes);
});
