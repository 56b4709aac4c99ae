//! A request to the proxy is read and written on, whatever the bytes: no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    mindrail_server::proxy::fuzzing::fuzz_request(bytes);
});
