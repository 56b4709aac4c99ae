//! Streams cut in every way, against the text as a whole.

#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::proxy::window::window_end;

const SIZES: WindowSizes = WindowSizes { least: 6, most: 14 };

/// How a reply is judged: some words are never shown, and some counts of letters should
/// be written anew, so that a beginning may be held though the whole is not, and the
/// other way round.
fn fate(text: &str, whole: bool, harsh: bool) -> Fate {
    let odd = harsh && text.chars().filter(|&sign| sign == 'b').count() % 4 == 3;
    match (text.contains("bad"), odd, whole) {
        (true, _, _) | (false, true, true) => Fate::Withhold,
        (false, true, false) => Fate::Hold,
        (false, false, _) => Fate::Show,
    }
}

fn piece(text: &str) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
}

fn finish(index: u64) -> Value {
    json!({"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]})
}

/// What came of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// What the person has read of the content, without the guard's words.
    read: String,
    reason: Option<Reason>,
    finishes: usize,
}

struct Reader {
    flow: Flow,
    seen: Seen,
    judged: Vec<String>,
    harsh: bool,
}

impl Reader {
    fn new(harsh: bool) -> Self {
        let flow = Flow::new(SIZES, ToolNames::new(), 1);
        Self { flow, seen: Seen::default(), judged: Vec::new(), harsh }
    }

    fn judge(&mut self) {
        loop {
            let due = self.flow.due();
            if due.is_empty() {
                return;
            }
            for due in due {
                self.judged.push(due.part.text.clone());
                let fate = fate(&due.part.text, due.part.part.whole, self.harsh);
                self.flow.settle(&due, fate).unwrap();
                if fate == Fate::Withhold {
                    break;
                }
            }
        }
    }

    fn release(&mut self) {
        for leaving in self.flow.release() {
            match leaving {
                Leaving::Chunk(chunk) => {
                    let content = chunk.pointer("/choices/0/delta/content").and_then(Value::as_str);
                    self.seen.read.push_str(content.unwrap_or_default());
                    let ends =
                        chunk.pointer("/choices/0/finish_reason").is_some_and(|reason| !reason.is_null());
                    self.seen.finishes += usize::from(ends);
                    // Nothing is read that was not judged as a part of a beginning.
                    let judged = self.judged.iter().any(|judged| judged.starts_with(&self.seen.read));
                    assert!(judged || self.seen.read.trim().is_empty(), "{:?}", self.seen.read);
                }
                Leaving::Farewell(farewell) => {
                    self.seen.read.push_str(&farewell.before);
                    self.seen.reason = Some(farewell.reason);
                    self.seen.finishes += 1;
                }
            }
        }
    }

    fn take(&mut self, chunk: Value) {
        self.flow.take(chunk).unwrap();
        self.judge();
        self.release();
    }

    fn end(mut self, ended: Ended) -> Seen {
        self.flow.end(ended);
        self.judge();
        self.release();
        self.seen
    }
}

fn read(pieces: &[&str], harsh: bool) -> Seen {
    let mut reader = Reader::new(harsh);
    pieces.iter().for_each(|text| reader.take(piece(text)));
    reader.take(finish(0));
    reader.end(Ended::Said)
}

/// The same of the whole text, in the words of the rule.
fn naive(text: &str, harsh: bool) -> Seen {
    let (mut from, mut shown) = (0, 0);
    let withheld =
        |shown: usize| Seen { read: text[..shown].to_owned(), reason: Some(Reason::Withheld), finishes: 1 };
    if text.trim().is_empty() {
        return Seen { read: String::new(), reason: Some(Reason::NoAnswer), finishes: 1 };
    }
    while let Some(end) = window_end(text, from, SIZES) {
        from = end;
        if text[..end].trim().is_empty() {
            continue;
        }
        match fate(&text[..end], false, harsh) {
            Fate::Withhold => return withheld(shown),
            Fate::Hold => {}
            Fate::Show => shown = end,
        }
    }
    if fate(text, true, harsh) == Fate::Withhold {
        return withheld(shown);
    }
    Seen { read: text.to_owned(), reason: None, finishes: 1 }
}

fn cut<'a>(text: &'a str, cuts: &[Index]) -> Vec<&'a str> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    places.retain(|&place| text.is_char_boundary(place));
    places.extend([0, text.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect()
}

/// Words, some of which may not be shown.
fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a",
        "bad",
        "b",
        "ab",
        "é",
        ".",
        ". ",
        "! ",
        " ",
        "\n",
        "word",
        "longer one ",
    ]);
    prop::collection::vec(word, 0..25).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_way_of_cutting_a_text_gives_what_the_rule_gives_for_the_whole(
        text in text(), cuts in prop::collection::vec(any::<Index>(), 0..12), harsh in any::<bool>(),
    ) {
        let mut seen = read(&cut(&text, &cuts), harsh);
        // White space alone says nothing, and may have been shown before the rest was judged.
        if seen.read.trim().is_empty() && seen.reason.is_some() {
            seen.read.clear();
        }
        prop_assert_eq!(seen, naive(&text, harsh));
    }

    #[test]
    fn no_way_of_cutting_is_milder_than_the_verdict_on_the_whole(
        text in text(), cuts in prop::collection::vec(any::<Index>(), 0..12), harsh in any::<bool>(),
    ) {
        let seen = read(&cut(&text, &cuts), harsh);
        if fate(&text, true, harsh) == Fate::Withhold && !text.trim().is_empty() {
            prop_assert_eq!(seen.reason, Some(Reason::Withheld));
            prop_assert!(seen.read.len() < text.len());
        }
        prop_assert!(text.starts_with(&seen.read));
    }

    #[test]
    fn fields_and_choices_that_alternate_get_past_no_verdict(
        pieces in prop::collection::vec((0_u64..3, 0_usize..3, text()), 0..12), said in any::<bool>(),
    ) {
        let mut flow = Flow::new(SIZES, ToolNames::new(), 3);
        let mut whole: BTreeMap<(u64, &str), String> = BTreeMap::new();
        let mut read = whole.clone();
        let mut withheld = BTreeSet::new();
        let mut pieces: Vec<Value> = pieces.into_iter().map(|(index, field, text)| {
            let field = ["content", "refusal", "reasoning"][field];
            whole.entry((index, field)).or_default().push_str(&text);
            json!({"choices": [{"index": index, "delta": {field: text}}]})
        }).collect();
        if said {
            pieces.extend((0..3).map(finish));
        }
        let count = pieces.len();
        for (place, chunk) in pieces.into_iter().map(Some).chain([None]).enumerate() {
            match chunk {
                Some(chunk) => flow.take(chunk).unwrap(),
                None => flow.end(if said { Ended::Said } else { Ended::Broken }),
            }
            prop_assert!(place <= count);
            while let Some(due) = flow.due().first() {
                flow.settle(due, fate(&due.part.text, due.part.part.whole, false)).unwrap();
            }
            for leaving in flow.release() {
                match leaving {
                    Leaving::Farewell(farewell) => { withheld.insert(farewell.choice); }
                    Leaving::Chunk(chunk) => for choice in chunk["choices"].as_array().unwrap() {
                        let index = choice["index"].as_u64().unwrap();
                        for field in ["content", "refusal", "reasoning"] {
                            let said = choice["delta"][field].as_str().unwrap_or_default();
                            read.entry((index, field)).or_default().push_str(said);
                        }
                    },
                }
            }
        }
        prop_assert!(flow.queue.is_empty());
        for ((index, field), text) in &whole {
            let read = read.get(&(*index, *field)).map_or("", String::as_str);
            prop_assert!(text.starts_with(read));
            prop_assert!(!read.contains("bad"));
            if text.contains("bad") {
                prop_assert!(withheld.contains(index));
            } else if !withheld.contains(index) {
                prop_assert_eq!(read, text);
            }
        }
    }
}

#[test]
fn text_is_held_until_its_window_is_judged_and_leaves_in_the_chunks_it_came_in() {
    let mut flow = Flow::new(SIZES, ToolNames::new(), 1);
    flow.take(json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})).unwrap();
    assert_eq!(flow.release().len(), 1, "no word is in it");
    flow.take(piece("We are")).unwrap();
    assert!(flow.due().is_empty() && flow.release().is_empty());
    flow.take(piece(" here. ")).unwrap();
    let due = flow.due();
    assert_eq!(due[0].part.text, "We are here. ");
    assert!(flow.release().is_empty(), "not before it is judged");
    flow.settle(&due[0], Fate::Show).unwrap();
    let left: Vec<Leaving> = flow.release();
    assert_eq!(left, [Leaving::Chunk(piece("We are")), Leaving::Chunk(piece(" here. "))]);
}

#[test]
fn a_beginning_that_should_be_written_anew_waits_for_the_rest() {
    let mut reader = Reader::new(true);
    reader.take(piece("b b b here. "));
    assert_eq!(reader.seen.read, "");
    reader.take(piece("and b too. "));
    assert_eq!(reader.seen.read, "b b b here. and b too. ");
    reader.take(finish(0));
    assert_eq!(reader.end(Ended::Said).reason, None);
    assert_eq!(read(&["b b b here. ", "and more"], true).reason, Some(Reason::Withheld));
}

#[test]
fn a_farewell_shows_what_was_judged_and_reads_on_from_there() {
    let mut reader = Reader::new(false);
    reader.take(piece("All is well. Then"));
    reader.take(piece(" it was bad, and more. "));
    // The second window ended where it grew too long.
    assert_eq!(
        (reader.seen.read.as_str(), reader.seen.reason),
        ("All is well. Then it was ", Some(Reason::Withheld))
    );
    assert!(reader.flow.is_ended());
    // What comes after is not even taken.
    reader.take(piece("more"));
    reader.take(finish(0));
    let seen = reader.end(Ended::Said);
    assert_eq!((seen.read.as_str(), seen.finishes), ("All is well. Then it was ", 1));
}

#[test]
fn a_stream_that_is_cut_or_says_nothing_ends_with_a_farewell() {
    let mut reader = Reader::new(false);
    reader.take(piece("All is well. And th"));
    let seen = reader.end(Ended::Broken);
    assert_eq!((seen.read.as_str(), seen.reason), ("All is well. ", Some(Reason::NoAnswer)));
    assert_eq!(read(&[], false).reason, Some(Reason::NoAnswer));
    assert_eq!(Reader::new(false).end(Ended::Broken).reason, Some(Reason::NoAnswer));
    let mut reader = Reader::new(false);
    reader.take(piece("All is well."));
    reader.take(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]}));
    assert_eq!(reader.end(Ended::Said).reason, Some(Reason::Withheld));
}

#[test]
fn tools_are_handed_nothing_before_all_of_it_was_judged() {
    let call = |name: Option<&str>, arguments: &str| {
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": 0, "function": {"name": name, "arguments": arguments}}]}}]})
    };
    let mut flow = Flow::new(SIZES, ToolNames::from(["find".to_owned()]), 1);
    flow.take(call(Some("find"), "{\"words\": \"some long words. ")).unwrap();
    flow.take(call(None, "and bad ones\"}")).unwrap();
    assert!(flow.due().is_empty() && flow.release().is_empty());
    flow.take(finish(0)).unwrap();
    let due = flow.due();
    assert_eq!(due[0].part.text, "words\nsome long words. and bad ones");
    assert!(due[0].part.part.whole);
    flow.settle(&due[0], Fate::Withhold).unwrap();
    let left = flow.release();
    assert!(matches!(left[..], [Leaving::Farewell(_)]), "{left:?}");
}

#[test]
fn a_choice_that_is_withheld_leaves_the_others_alone_and_the_tokens_are_still_told() {
    let both = |a: &str, b: &str| json!({"choices": [{"index": 0, "delta": {"content": a}}, {"index": 1, "delta": {"content": b}}]});
    let mut flow = Flow::new(SIZES, ToolNames::new(), 2);
    let mut left = Vec::new();
    let usage = json!({"choices": [], "usage": {"total_tokens": 7}});
    for chunk in [both("bad", "good"), both(" words. ", " words. "), finish(0), finish(1), usage.clone()] {
        flow.take(chunk).unwrap();
        while let Some(due) = flow.due().first() {
            flow.settle(due, fate(&due.part.text, due.part.part.whole, false)).unwrap();
        }
        left.extend(flow.release());
    }
    let said: String = left
        .iter()
        .filter_map(|leaving| if let Leaving::Chunk(chunk) = leaving { Some(chunk) } else { None })
        .flat_map(|chunk| chunk["choices"].as_array().unwrap())
        .map(|choice| {
            assert_eq!(choice["index"], 1);
            choice["delta"]["content"].as_str().unwrap_or_default()
        })
        .collect();
    assert_eq!(said, "good words. ");
    assert_eq!(left.last(), Some(&Leaving::Chunk(usage)));
    assert_eq!(left.iter().filter(|leaving| matches!(leaving, Leaving::Farewell(_))).count(), 1);
}

/// Events of an answer, near to what assistants send and beside it.
fn events() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        "data: ",
        "\n\n",
        "\n",
        "{\"choices\": [",
        "]}",
        "{\"index\": 0, \"delta\": {",
        "{\"index\": 1, \"delta\": {",
        "}}",
        "\"content\": \"bad\"",
        "\"content\": \"so. it is\"",
        ",",
        "\"refusal\": \"bad\"",
        "\"finish_reason\": \"stop\"",
        "\"tool_calls\": [{\"function\": {\"arguments\": \"{}\"}}]",
        "}",
        ", \"finish_reason\": \"stop\"}",
        "[DONE]",
        "null",
        "7",
        "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"go on. \"}}]}\n\n",
        "data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"bad\"}}]}\n\n",
        "data: {\"choices\": [{\"index\": 0, \"delta\": {\"reasoning\": \"hm\"}}]}\n\n",
        "data: {\"choices\": [{\"index\": 0, \"delta\": {}, \"finish_reason\": \"stop\"}]}\n\n",
    ]);
    prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat().into_bytes())
}

proptest! {
    #[test]
    fn no_events_make_it_panic_wait_for_ever_or_let_a_withheld_word_out(bytes in events()) {
        fuzz_stream(&bytes);
    }

    #[test]
    fn nor_do_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_stream(&bytes);
    }
}

#[test]
fn what_is_no_stream_of_choices_is_refused() {
    for chunk in [
        json!(7),
        json!({"choices": 7}),
        json!({"choices": [7]}),
        json!({"choices": [{"index": 99}]}),
        json!({"choices": [{"index": "x"}]}),
    ] {
        assert_eq!(Flow::new(SIZES, ToolNames::new(), 1).take(chunk.clone()), Err(NoStream), "{chunk}");
    }
}
