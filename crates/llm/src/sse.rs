//! Server-sent events (WHATWG HTML, section 9.2), from bytes that may be cut
//! anywhere, within a character or a line end too.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseEvent {
    /// Its type; `None` for the ordinary `message`.
    pub event: Option<String>,
    /// Its lines of data, joined by line feeds.
    pub data: String,
    /// The identifier that holds since it was last given.
    pub id: Option<String>,
}

/// A parser that is fed pieces.
#[derive(Debug, Clone, Default)]
pub struct SseParser {
    line: Vec<u8>,
    after_return: bool,
    begun: bool,
    data: Option<String>,
    event: Option<String>,
    id: Option<String>,
}

impl SseParser {
    /// The events that a piece completes.
    pub fn push(&mut self, piece: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        for &byte in piece {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
        }
        events
    }

    /// The event that the stream ended in, where it has data. The standard drops
    /// it; servers that forget the last empty line mean it.
    pub fn finish(mut self) -> Option<SseEvent> {
        let last = self.end_line();
        last.or_else(|| self.dispatch())
    }

    /// Bytes and characters held back until their line or event ends.
    pub fn pending(&self) -> usize {
        self.line.len() + self.data.as_ref().map_or(0, String::len)
    }

    fn end_line(&mut self) -> Option<SseEvent> {
        let bytes = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&bytes);
        let line = if self.begun { &*line } else { line.strip_prefix('\u{feff}').unwrap_or(&line) };
        self.begun = true;
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        self.take_field(field, value.strip_prefix(' ').unwrap_or(value));
        None
    }

    fn take_field(&mut self, field: &str, value: &str) {
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" => self.event = (!value.is_empty()).then(|| value.to_owned()),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // Comments have no field's name; `retry` is about reconnecting, which
            // an answer under way cannot; others are to be ignored.
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<SseEvent> {
        let event = self.event.take();
        self.data.take().map(|data| SseEvent { event, data, id: self.id.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(pieces: &[&[u8]]) -> Vec<SseEvent> {
        let mut parser = SseParser::default();
        let mut events: Vec<SseEvent> = pieces.iter().flat_map(|piece| parser.push(piece)).collect();
        events.extend(parser.finish());
        events
    }

    fn data(text: &str) -> Vec<String> {
        parse(&[text.as_bytes()]).into_iter().map(|event| event.data).collect()
    }

    #[test]
    fn the_examples_of_the_standard_are_read() {
        assert_eq!(data("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
        let events = parse(&[
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        ]);
        let ids: Vec<Option<&str>> = events.iter().map(|event| event.id.as_deref()).collect();
        assert_eq!(ids, [Some("1"), Some(""), Some("")]);
        assert_eq!(events[2].data, " third event");
        assert_eq!(data("data\n\ndata\ndata\n\ndata:"), ["", "\n", ""]);
        assert_eq!(data("data:test\n\ndata: test\n\n"), ["test", "test"]);
    }

    #[test]
    fn line_ends_comments_and_types_of_every_kind_are_read() {
        for text in
            ["data: a\r\ndata: b\r\n\r\n", "data: a\rdata: b\r\r", ": ping\ndata: a\r\n: ping\rdata: b\n\r\n"]
        {
            assert_eq!(data(text), ["a\nb"], "{text:?}");
        }
        let typed = parse(&[b"event: error\ndata: x\n\ndata: y\n\n"]);
        assert_eq!(typed[0].event.as_deref(), Some("error"));
        assert_eq!(typed[1].event, None);
        assert_eq!(data("\u{feff}data: x\n\n"), ["x"]);
        assert_eq!(data(": nothing\n\n\n\nevent: x\n\n"), Vec::<String>::new());
    }

    #[test]
    fn a_stream_without_its_last_empty_line_loses_nothing() {
        assert_eq!(data("data: a\n\ndata: [DONE]"), ["a", "[DONE]"]);
        assert_eq!(data("data: a\n\ndata: [DONE]\n"), ["a", "[DONE]"]);
    }

    /// Reads a whole text by lines, in the words of the standard.
    fn naive(bytes: &[u8]) -> Vec<(Option<String>, String)> {
        let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned() + "\n\n";
        let (mut events, mut event, mut lines) = (Vec::new(), String::new(), Vec::new());
        for line in text.split('\n') {
            if line.is_empty() {
                if !lines.is_empty() {
                    events.push(((!event.is_empty()).then(|| event.clone()), lines.join("\n")));
                }
                lines.clear();
                event.clear();
            } else if let Some(value) = line.strip_prefix("data:") {
                lines.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
            } else if line == "data" {
                lines.push(String::new());
            } else if let Some(value) = line.strip_prefix("event:") {
                value.strip_prefix(' ').unwrap_or(value).clone_into(&mut event);
            } else if line == "event" {
                event.clear();
            }
        }
        events
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let token = prop::sample::select(vec![
            "data: ",
            "data:",
            "data",
            "event: ",
            "event",
            ": c",
            "id: 1",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "é",
            "{\"a\":1}",
            "[DONE]",
            " ",
            ":",
            "\u{feff}",
        ]);
        prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn chunks_cut_anywhere_give_the_same_events(bytes in stream(), cuts in prop::collection::vec(0usize..200, 0..10)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(parse(&pieces), parse(&[&bytes]));
        }

        #[test]
        fn events_are_those_of_a_reader_that_has_all_lines(bytes in stream()) {
            let read: Vec<_> = parse(&[&bytes]).into_iter().map(|event| (event.event, event.data)).collect();
            prop_assert_eq!(read, naive(&bytes));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&[&bytes]);
        }
    }
}
