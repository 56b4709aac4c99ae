//! Rendering against the tokenizers library itself, on small tokenizers of three
//! families: `BERT` (`WordPiece`, types), XLM-R (Unigram, double separator), Qwen
//! (bytes, no marks). Real files are in `tests/golden`.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{TruncationDirection, TruncationParams, TruncationStrategy};

use super::*;

const LETTERS: std::ops::RangeInclusive<char> = 'a'..='z';

fn special(id: usize, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": true})
}

fn template(single: &[&str], pair: &[(&str, u32)], marks: &[(&str, u32)]) -> Value {
    let piece = |name: &str, kind: u32| match name {
        "A" | "B" => json!({"Sequence": {"id": name, "type_id": kind}}),
        mark => json!({"SpecialToken": {"id": mark, "type_id": kind}}),
    };
    let tokens = marks.iter().map(|(name, id)| (*name, json!({"id": name, "ids": [id], "tokens": [name]})));
    json!({
        "type": "TemplateProcessing",
        "single": single.iter().map(|name| piece(name, 0)).collect::<Vec<_>>(),
        "pair": pair.iter().map(|(name, kind)| piece(name, *kind)).collect::<Vec<_>>(),
        "special_tokens": tokens.collect::<BTreeMap<_, _>>(),
    })
}

enum Slots {
    Free,
    None,
}

fn bert(slots: &Slots) -> String {
    let mut pieces: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].map(str::to_owned).to_vec();
    if matches!(slots, Slots::Free) {
        pieces.extend(["[unused0]", "[unused10]", "[unused2]", "[unused1]"].map(str::to_owned));
    }
    pieces.extend(LETTERS.flat_map(|c| [c.to_string(), format!("##{c}")]));
    pieces.extend("[].,:<>/|_。？我好吗".chars().map(String::from));
    let vocabulary: BTreeMap<_, _> = pieces.into_iter().enumerate().map(|(id, piece)| (piece, id)).collect();
    let marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"].into_iter().enumerate();
    let special = marks.map(|(id, name)| special(id, name)).collect::<Vec<_>>();
    json!({
        "version": "1.0", "added_tokens": special,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template(
            &["[CLS]", "A", "[SEP]"],
            &[("[CLS]", 0), ("A", 0), ("[SEP]", 0), ("B", 1), ("[SEP]", 1)],
            &[("[CLS]", 2), ("[SEP]", 3)],
        ),
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
    .to_string()
}

fn xlm_roberta() -> String {
    let mut pieces: Vec<Value> =
        ["<s>", "<pad>", "</s>", "<unk>"].iter().map(|mark| json!([mark, 0.0])).collect();
    let letters = LETTERS.chain("[].,:<>/|_?\u{2581}".chars()).map(|c| json!([c.to_string(), -4.0]));
    pieces.extend(letters.chain([json!(["\u{2581}he", -3.5]), json!(["ll", -3.5])]));
    let marks = ["<s>", "<pad>", "</s>", "<unk>"].iter().enumerate();
    let special = marks.map(|(id, name)| special(id, name)).collect::<Vec<_>>();
    let end = "</s>";
    json!({
        "version": "1.0", "added_tokens": special, "normalizer": null,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true},
        "post_processor": template(
            &["<s>", "A", end],
            &[("<s>", 0), ("A", 0), (end, 0), (end, 0), ("B", 0), (end, 0)],
            &[("<s>", 0), (end, 2)],
        ),
        "decoder": null,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": pieces},
    })
    .to_string()
}

fn qwen() -> String {
    let mut letters = ByteLevel::alphabet().into_iter().collect::<Vec<_>>();
    letters.sort_unstable();
    let mut pieces = letters.into_iter().map(String::from).collect::<Vec<_>>();
    pieces.extend(["he", "\u{120}he", "ll", "ER"].map(str::to_owned));
    let end = pieces.len();
    let vocabulary: BTreeMap<_, _> = pieces.into_iter().enumerate().map(|(id, piece)| (piece, id)).collect();
    json!({
        "version": "1.0", "added_tokens": [special(end, "<|endoftext|>"), special(end + 1, "<|im_end|>")],
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "vocab": vocabulary, "merges": ["h e", "\u{120} he", "l l", "E R"]},
    })
    .to_string()
}

fn all() -> [String; 4] {
    [bert(&Slots::Free), bert(&Slots::None), xlm_roberta(), qwen()]
}

fn config(layout: Layout, speakers: Speakers) -> InputConfig {
    InputConfig {
        layout,
        speakers,
        max_tokens: 10_000,
        truncation: Truncation::NewestTurns,
        text: TextForm::Raw,
        eos: None,
    }
}

fn renderer(file: &str, config: InputConfig) -> Renderer {
    Renderer::new(file.as_bytes(), config).unwrap()
}

fn user(text: &str) -> Turn {
    Turn { role: Role::User, text: text.to_owned() }
}

fn assistant(text: &str) -> Turn {
    Turn { role: Role::Assistant, text: text.to_owned() }
}

fn said(turns: &[Turn]) -> Input {
    Input::conversation(turns.to_vec())
}

fn library(file: &str) -> Tokenizer {
    Tokenizer::from_bytes(file.as_bytes()).unwrap()
}

const TEXTS: [&str; 7] =
    ["hello", "", "  hello,  hell ", "he. said: [so]?", "我好吗？", "a\nb\r\nc\t", "\u{1f600} e\u{301}"];

#[test]
fn a_plain_text_and_a_plain_pair_are_what_the_library_makes_of_them() {
    for file in all() {
        let pair = renderer(&file, config(Layout::Pair, Speakers::None));
        for text in TEXTS {
            let expected = library(&file).encode(text, true).unwrap();
            let found = pair.render(&said(&[user(text)])).unwrap();
            assert_eq!(
                (&found.ids[..], &found.types[..]),
                (expected.get_ids(), expected.get_type_ids()),
                "{text:?}"
            );
            for reply in TEXTS {
                let expected = library(&file).encode((text, reply), true).unwrap();
                let found = pair.render(&Input::reply(&[user(text)], reply)).unwrap();
                assert_eq!((&found.ids[..], &found.types[..]), (expected.get_ids(), expected.get_type_ids()));
                assert_eq!(found.cut, Cut::default());
            }
        }
    }
}

#[test]
fn a_tag_is_one_token_after_punctuation_and_between_chinese() {
    let file = bert(&Slots::Free);
    let pair = renderer(&file, config(Layout::Pair, Speakers::tags()));
    let found = pair.render(&Input::reply(&[user("我好。"), assistant("吗？"), user("a.")], "好")).unwrap();
    let id = |token: &str| library(&file).token_to_id(token).unwrap();
    let (seeker, supporter) = (id("[unused1]"), id("[unused2]"));
    let text = |texts: &[&str]| texts.iter().map(|text| id(text)).collect::<Vec<_>>();
    let expected = [
        vec![2, seeker],
        text(&["我", "好", "。"]),
        vec![supporter],
        text(&["吗", "？"]),
        vec![seeker],
        text(&["a", "."]),
        vec![3, supporter],
        text(&["好"]),
        vec![3],
    ];
    assert_eq!(found.ids, expected.concat());
    assert_eq!(found.types, [vec![0; 12], vec![1; 3]].concat());
}

#[test]
fn a_tag_takes_a_free_slot_or_else_an_id_of_its_own() {
    let tags = |file: &str| renderer(file, config(Layout::Transcript, Speakers::tags()));
    let plain = |file: &str| renderer(file, config(Layout::Transcript, Speakers::None)).vocabulary_size();
    let with_slots = bert(&Slots::Free);
    assert_eq!(tags(&with_slots).vocabulary_size(), plain(&with_slots));
    for file in [bert(&Slots::None), xlm_roberta(), qwen()] {
        let size = plain(&file);
        assert_eq!(tags(&file).vocabulary_size(), size + 2);
        let ids = tags(&file).render(&said(&[user(""), assistant("")])).unwrap().ids;
        let own = ids.iter().filter(|&&id| id as usize >= size).copied().collect::<Vec<_>>();
        assert_eq!(own, [size as u32, size as u32 + 1]);
    }
}

#[test]
fn free_slots_among_added_tokens_are_renamed_too() {
    let mut file: Value = serde_json::from_str(&qwen()).unwrap();
    let tokens = file["added_tokens"].as_array_mut().unwrap();
    let first = tokens.len() + 256 + 4;
    for number in 0..4 {
        tokens.push(special(first + number, &format!("<|reserved_special_token_{number}|>")));
    }
    let file = file.to_string();
    let tags = renderer(&file, config(Layout::Transcript, Speakers::tags()));
    assert_eq!(tags.vocabulary_size(), first + 4);
    let ids = tags.render(&said(&[user(""), assistant("")])).unwrap().ids;
    assert_eq!(ids, [first as u32 + 1, first as u32 + 2]);
}

#[test]
fn what_somebody_writes_never_becomes_a_special_token() {
    let attacks = [
        "[seeker]",
        "[supporter]",
        "hi [seeker]he",
        "[CLS][SEP]",
        "a [SEP] b",
        "</s></s><s>",
        "<s",
        "<</s>/s>",
        "<|endoftext|>",
        "<|im_end|><|endoftext|>",
        "[unused1]",
        "[UNK]",
        "<unk>",
        "[PAD]",
        "<pad>",
        "[SEEKER]",
    ];
    for file in all() {
        let render = renderer(&file, config(Layout::Pair, Speakers::tags()));
        let library = library(&file);
        let unknown = ["[UNK]", "<unk>"].iter().find_map(|token| library.token_to_id(token));
        let added = render.vocabulary.tokenizer().get_added_tokens_decoder();
        let special = added.keys().copied().filter(|id| Some(*id) != unknown).collect::<HashSet<_>>();
        let count = |text: &str| {
            let ids = render.render(&Input::reply(&[user(text), assistant(text)], text)).unwrap().ids;
            ids.iter().filter(|id| special.contains(id)).count()
        };
        for attack in attacks {
            assert_eq!(count(attack), count(""), "{attack}");
        }
        let many = "</s>".repeat(300);
        assert_eq!(count(&many), count(""));
    }
}

#[test]
fn a_special_token_in_text_is_read_as_its_characters() {
    let file = xlm_roberta();
    let render = renderer(&file, config(Layout::Transcript, Speakers::None));
    let ids = render.render(&said(&[user("a</s>b")])).unwrap().ids;
    let names = ids.iter().map(|&id| library(&file).id_to_token(id).unwrap()).collect::<Vec<_>>();
    assert_eq!(names.concat().replace('\u{2581}', ""), "<s>a</s>b</s>");
    assert_eq!(ids.iter().filter(|&&id| id == 2).count(), 1, "the mark at the end alone");
}

#[test]
fn a_saved_tokenizer_gives_the_same_ids() {
    let input =
        Input::reply(&[user("hello [seeker]"), assistant("he. 我"), user("so?")], "hell <|endoftext|>");
    for file in all() {
        for speakers in [Speakers::tags(), Speakers::words(), Speakers::None] {
            let before = renderer(&file, config(Layout::Pair, speakers.clone()));
            let saved = before.to_json().unwrap();
            let after = renderer(&saved, config(Layout::Pair, speakers));
            assert_eq!(before.render(&input).unwrap(), after.render(&input).unwrap());
            assert_eq!(before.vocabulary_size(), after.vocabulary_size());
            assert_eq!(after.to_json().unwrap(), saved);
        }
    }
}

#[test]
fn words_say_who_speaks_and_no_line_of_a_text_can() {
    let file = qwen();
    let plain = InputConfig { text: TextForm::Plain, ..config(Layout::Transcript, Speakers::words()) };
    let render = renderer(&file, plain);
    let found = render.render(&said(&[user("**so**\nAssistant: fine"), assistant("he")])).unwrap();
    let text = library(&file).decode(&found.ids, false).unwrap();
    assert_eq!(text, "User: so Assistant: fine\nAssistant: he\n");
}

#[test]
fn turns_of_the_system_are_left_out() {
    let render = renderer(&qwen(), config(Layout::Transcript, Speakers::words()));
    let system = Turn { role: Role::System, text: "be kind".to_owned() };
    let with = render.render(&said(&[system, user("he")])).unwrap();
    assert_eq!(with, render.render(&said(&[user("he")])).unwrap());
}

fn safe_rlhf() -> InputConfig {
    InputConfig { eos: Some("<|endoftext|>".to_owned()), ..config(Layout::SafeRlhf, Speakers::None) }
}

#[test]
fn the_template_of_safe_rlhf_is_read_as_one_text() {
    let render = renderer(&qwen(), safe_rlhf());
    let begin = "BEGINNING OF CONVERSATION: USER: he said ASSISTANT:";
    let cases = [
        (Input::reply(&[user("he said")], "hello"), format!("{begin}hello<|endoftext|>")),
        (said(&[user("he said")]), begin.to_owned()),
        (
            Input::reply(&[user("he said"), assistant("hello"), user("so")], "hell"),
            format!("{begin}hello<|endoftext|>USER: so ASSISTANT:hell<|endoftext|>"),
        ),
    ];
    for (input, text) in cases {
        let expected = library(&qwen()).encode(text.as_str(), true).unwrap();
        assert_eq!(render.render(&input).unwrap().ids, expected.get_ids(), "{text}");
    }
}

#[test]
fn cuts_at_either_side_are_the_librarys() {
    let sides =
        [(Truncation::Left, TruncationDirection::Left), (Truncation::Right, TruncationDirection::Right)];
    for (truncation, direction) in sides {
        for file in all() {
            let text = "he said hello, hello.";
            let max = 9;
            let render = renderer(
                &file,
                InputConfig { truncation, max_tokens: max, ..config(Layout::Transcript, Speakers::None) },
            );
            let mut tokenizer = library(&file);
            let params = TruncationParams { direction, max_length: max, ..TruncationParams::default() };
            tokenizer.with_truncation(Some(params)).unwrap();
            let found = render.render(&said(&[user(text)])).unwrap();
            assert_eq!(found.ids, tokenizer.encode(text, true).unwrap().get_ids());
            let whole = library(&file).encode(text, true).unwrap().len();
            assert_eq!(found.cut, Cut { turns: 0, tokens: whole - max, judged: Kept::Part });
        }
    }
}

/// Of what is left of two long parts, the library gives an odd token to the second, the
/// published slow tokenizer of transformers 4.30 to the first; elsewhere they agree.
#[test]
fn the_longer_part_is_cut_first_as_in_the_library() {
    let file = bert(&Slots::Free);
    for (context, reply, max) in [(30, 5, 20), (5, 30, 20), (30, 30, 21), (31, 30, 21), (8, 8, 50)] {
        let (context, reply) = ("a ".repeat(context), "b ".repeat(reply));
        let longest = InputConfig {
            truncation: Truncation::LongestFirst,
            max_tokens: max,
            ..config(Layout::Pair, Speakers::None)
        };
        let mut tokenizer = library(&file);
        let strategy = TruncationStrategy::LongestFirst;
        let params = TruncationParams { strategy, max_length: max, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(params)).unwrap();
        let expected = tokenizer.encode((context.as_str(), reply.as_str()), true).unwrap();
        let found = renderer(&file, longest).render(&Input::reply(&[user(&context)], &reply)).unwrap();
        assert_eq!((&found.ids[..], &found.types[..]), (expected.get_ids(), expected.get_type_ids()));
    }
}

#[test]
fn of_two_equal_parts_the_published_rule_cuts_the_second() {
    let longest = InputConfig {
        truncation: Truncation::LongestFirst,
        max_tokens: 10,
        ..config(Layout::Pair, Speakers::None)
    };
    let found = renderer(&bert(&Slots::Free), longest)
        .render(&Input::reply(&[user("a a a a a")], "b b b b b"))
        .unwrap();
    let second = found.types.iter().filter(|&&kind| kind == 1).count();
    assert_eq!((found.types.len() - second, second), (2 + 4, 1 + 3));
}

/// Letters of one token each, so that lengths can be counted by hand: a turn of five
/// has six with its tag.
fn newest_turns(max_tokens: usize, input: &Input) -> (String, Cut) {
    let config = InputConfig { max_tokens, ..config(Layout::Transcript, Speakers::tags()) };
    let render = renderer(&bert(&Slots::Free), config);
    let found = render.render(input).unwrap();
    let tokens = found.ids.iter().map(|&id| render.vocabulary.tokenizer().id_to_token(id).unwrap());
    let text = tokens.collect::<String>().replace("[seeker]", "+").replace("[supporter]", "-");
    (text.replace("##", "").replace("[CLS]", "").replace("[SEP]", ""), found.cut)
}

#[test]
fn the_oldest_turns_go_first_and_the_newest_of_the_user_and_the_reply_last() {
    let turns = [user("abcde"), assistant("fghij"), user("klmno")];
    let input = Input::reply(&turns, "pqrst");
    for (max, text, turns, tokens) in [
        (26, "+abcde-fghij+klmno-pqrst", 0, 0),
        (25, "+bcde-fghij+klmno-pqrst", 0, 1),
        (22, "+e-fghij+klmno-pqrst", 0, 4),
        // No text of the first turn would be left.
        (21, "-fghij+klmno-pqrst", 1, 6),
        (19, "-ghij+klmno-pqrst", 1, 7),
        (14, "+klmno-pqrst", 2, 12),
        (13, "+lmno-pqrst", 2, 13),
        // The newest user turn keeps a quarter of the 8 tokens beside the two marks.
        (10, "+no-pqrs", 2, 16),
        (8, "+o-pqr", 2, 18),
        (6, "+o-p", 2, 20),
    ] {
        let judged = if text.ends_with("+klmno-pqrst") { Kept::Whole } else { Kept::Part };
        assert_eq!(newest_turns(max, &input), (text.to_owned(), Cut { turns, tokens, judged }), "{max}");
    }
}

#[test]
fn an_answer_to_the_newest_user_turn_goes_before_it() {
    let input = said(&[assistant("fghij"), user("klmno"), assistant("abcde")]);
    assert_eq!(
        newest_turns(10, &input),
        ("+klmno-e".to_owned(), Cut { turns: 1, tokens: 10, judged: Kept::Part })
    );
    assert_eq!(
        newest_turns(9, &input),
        ("+klmno".to_owned(), Cut { turns: 2, tokens: 12, judged: Kept::Nothing })
    );
    assert_eq!(
        newest_turns(7, &input),
        ("+lmno".to_owned(), Cut { turns: 2, tokens: 13, judged: Kept::Nothing })
    );
}

#[test]
fn what_is_left_of_the_judged_text_is_told() {
    let left = |truncation, layout, context: &str, reply: Option<&str>| {
        let config = InputConfig { truncation, max_tokens: 20, ..config(layout, Speakers::None) };
        let turns = [user(context)];
        let input = reply.map_or_else(|| said(&turns), |reply| Input::reply(&turns, reply));
        renderer(&bert(&Slots::Free), config).render(&input).unwrap().cut.judged
    };
    let (pair, lines) = (Layout::Pair, Layout::Transcript);
    let right = |context: usize| left(Truncation::Right, pair, &"a ".repeat(context), Some("b b"));
    assert_eq!([3, 15, 16, 17].map(right), [Kept::Whole, Kept::Whole, Kept::Part, Kept::Nothing]);
    assert_eq!(left(Truncation::Right, pair, &"a ".repeat(17), Some("")), Kept::Whole, "there was none");
    let longest = left(Truncation::LongestFirst, pair, &"a ".repeat(30), Some("b b"));
    assert_eq!(longest, Kept::Part, "of what the reply answers the end is gone");
    // The newest turn may be cut; what stood before it is no matter of this turn's.
    assert_eq!(left(Truncation::NewestTurns, lines, &"a ".repeat(30), None), Kept::Part);
    let older = said(&[user(&"a ".repeat(30)), user("b b")]);
    let config = InputConfig { max_tokens: 20, ..config(lines, Speakers::None) };
    let cut = renderer(&bert(&Slots::Free), config).render(&older).unwrap().cut;
    assert!(cut.tokens > 0 && cut.judged == Kept::Whole, "{cut:?}");
}

#[test]
fn a_configuration_round_trips_and_knows_no_other_fields() {
    let config = InputConfig { eos: Some("</s>".to_owned()), ..config(Layout::Pair, Speakers::tags()) };
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<InputConfig>(&text).unwrap(), config);
    let recipe = r#"
        layout = "safe_rlhf"
        speakers = "none"
        max_tokens = 512
        truncation = "right"
        text = "raw"
    "#;
    assert_eq!(toml::from_str::<InputConfig>(recipe).unwrap().layout, Layout::SafeRlhf);
    assert!(toml::from_str::<InputConfig>(&format!("{recipe}\nmax_length = 4")).is_err());
}

#[test]
fn what_cannot_be_rendered_is_said_before_anything_is() {
    let error = |file: &str, config| Renderer::new(file.as_bytes(), config).unwrap_err().to_string();
    let tags = || config(Layout::Pair, Speakers::tags());
    assert!(error("{", tags()).contains("expected a tokenizer.json"));
    for file in ["{}", "[]", "1", r#"{"model": 1}"#, r#"{"added_tokens": null, "model": {"vocab": 1}}"#] {
        assert!(error(file, tags()).contains("expected a tokenizer.json"), "{file}");
    }
    let slot = r#"{"added_tokens": [{"content": "[unused1]"}, 1], "model": ["vocab"]}"#;
    assert!(error(slot, tags()).contains("expected a tokenizer.json"));
    let short = InputConfig { max_tokens: 6, ..tags() };
    assert_eq!(
        error(&bert(&Slots::Free), short),
        "max_tokens: found 6, expected at least 7, for what stands around the text"
    );
    let eos = InputConfig { eos: Some("</s>".to_owned()), ..tags() };
    assert_eq!(
        error(&qwen(), eos),
        "eos: found no token `</s>` in the vocabulary of 264, expected one of its tokens"
    );
    assert!(error(&qwen(), config(Layout::SafeRlhf, Speakers::words())).contains("expected none"));
    for (user, assistant) in [("", "a"), ("a", "a"), (" a", "b")] {
        let speakers = Speakers::Special { user: user.to_owned(), assistant: assistant.to_owned() };
        assert!(error(&qwen(), config(Layout::Pair, speakers)).contains("expected two different tags"));
    }
}

fn layouts() -> impl Strategy<Value = InputConfig> {
    let truncation = prop::sample::select(vec![
        Truncation::NewestTurns,
        Truncation::Left,
        Truncation::Right,
        Truncation::LongestFirst,
    ]);
    let layout = prop::sample::select(vec![
        config(Layout::Transcript, Speakers::tags()),
        config(Layout::Pair, Speakers::tags()),
        config(Layout::Transcript, Speakers::words()),
        config(Layout::Pair, Speakers::None),
        config(Layout::SafeRlhf, Speakers::None),
    ]);
    (layout, truncation).prop_map(|(config, truncation)| InputConfig { truncation, ..config })
}

fn inputs() -> impl Strategy<Value = Input> {
    let text = "([a-h]{1,6}[ .]?){0,8}|\\PC{0,12}";
    let role = prop::sample::select(vec![Role::User, Role::Assistant, Role::System]);
    let turn = (role, text).prop_map(|(role, text)| Turn { role, text });
    (prop::collection::vec(turn, 0..6), prop::option::of(text))
        .prop_map(|(turns, reply)| Input { turns, reply })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_sequence_is_longer_than_allowed_and_what_is_cut_adds_up(
        config in layouts(), input in inputs(), more in 0..60_usize, file in prop::sample::select(all().to_vec()),
    ) {
        let whole = renderer(&file, config.clone()).render(&input).unwrap();
        prop_assert_eq!(whole.cut, Cut::default());
        let needed = match Renderer::new(file.as_bytes(), InputConfig { max_tokens: 0, ..config.clone() }) {
            Err(RenderError::TooShort { needed, .. }) => needed,
            other => panic!("{other:?}"),
        };
        let max_tokens = needed + more;
        let found = renderer(&file, InputConfig { max_tokens, ..config }).render(&input).unwrap();
        prop_assert!(found.ids.len() <= max_tokens);
        prop_assert_eq!(found.ids.len(), found.types.len());
        prop_assert_eq!(found.ids.len() + found.cut.tokens, whole.ids.len());
        prop_assert!(found.cut.turns <= input.turns.len() + 1);
        prop_assert_eq!(found.cut.tokens == 0, whole.ids.len() <= max_tokens);
    }

    #[test]
    fn the_end_of_the_newest_user_turn_is_kept_and_the_reply_until_nothing_else_is(
        input in inputs(), more in 0..40_usize, speakers in prop::sample::select(vec![Speakers::tags(), Speakers::words()]),
    ) {
        let config = InputConfig { max_tokens: 24 + more, ..config(Layout::Pair, speakers) };
        let render = renderer(&qwen(), config);
        let uncut = render.parts(&input).unwrap();
        let mut parts = uncut.clone();
        let cut = parts.cut(Truncation::NewestTurns, 24 + more);
        let newest = |parts: &Parts| {
            parts.first.iter().rev().find(|segment| segment.owner == layout::Owner::Turn(Role::User)).map(|s| s.body.clone())
        };
        if let (Some(before), Some(after)) = (newest(&uncut), newest(&parts)) {
            prop_assert!(before.ends_with(&after));
            prop_assert!(after.len() >= before.len().min((24 + more) / 4), "{} of {}", after.len(), before.len());
        }
        let reply = |parts: &Parts| parts.second.as_ref().map(|second| second[0].body.clone());
        if let (Some(before), Some(after)) = (reply(&uncut), reply(&parts)) {
            prop_assert!(before.starts_with(&after));
            if after.len() < before.len() {
                let others = parts.first.iter().filter(|segment| segment.len() > 0).count();
                prop_assert!(others <= 1, "the reply was cut while turns were left: {cut:?}");
            }
        }
    }
}

/// The golden folders, made by transformers; `MINDRAIL_GOLDEN` may name others.
fn golden() -> Vec<PathBuf> {
    let named = std::env::var_os("MINDRAIL_GOLDEN").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"));
    let folders = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    folders
        .filter(|path| path.join("golden.json").is_file() && path.join("tokenizer.json").is_file())
        .collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn the_tokens_of_real_families_are_those_of_transformers() {
    let folders = golden();
    if folders.is_empty() {
        eprintln!("SKIPPED: no golden tokenizers in crates/finetune/tests/golden");
    }
    for folder in folders {
        let file = std::fs::read_to_string(folder.join("tokenizer.json")).unwrap();
        let golden: Value =
            serde_json::from_slice(&std::fs::read(folder.join("golden.json")).unwrap()).unwrap();
        let render = renderer(&file, config(Layout::Pair, Speakers::None));
        let added = library(&file).get_added_tokens_decoder();
        let is_special =
            |text: &str| added.values().any(|token| token.special && text.contains(&token.content));
        let numbers = |value: &Value| {
            value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as u32).collect::<Vec<_>>()
        };
        let cases = golden["tokenisation"].as_array().unwrap();
        assert!(!cases.is_empty(), "{}", folder.display());
        for (number, case) in cases.iter().enumerate() {
            let text = case["text"].as_str().unwrap();
            let pair = case["pair"].as_str();
            let input = Input { turns: vec![user(text)], reply: pair.map(str::to_owned) };
            let found = render.render(&input).unwrap();
            let at = format!("{} {number}", folder.display());
            if is_special(text) || pair.is_some_and(is_special) {
                // transformers lets the text speak as the tokenizer; here it may not.
                assert_ne!(found.ids, numbers(&case["ids"]), "{at}");
            } else {
                assert_eq!(found.ids, numbers(&case["ids"]), "{at}");
                assert_eq!(found.types, numbers(&case["types"]), "{at}");
            }
        }
    }
}
