//! Events are read the same however their bytes are cut, and never with a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mindrail_llm::sse::{SseEvent, SseParser};

fn read(pieces: &[&[u8]]) -> Vec<SseEvent> {
    let mut parser = SseParser::default();
    let mut events: Vec<SseEvent> = pieces.iter().flat_map(|piece| parser.push(piece)).collect();
    events.extend(parser.finish());
    events
}

fuzz_target!(|bytes: &[u8]| {
    // The first byte says where the rest is cut.
    let Some((&at, rest)) = bytes.split_first() else { return };
    let (a, b) = rest.split_at(usize::from(at).min(rest.len()));
    assert_eq!(read(&[a, b]), read(&[rest]));
});
