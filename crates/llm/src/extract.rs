//! The JSON in an answer that may hold more than JSON: code fences, words around
//! it, reasoning before it. Nothing is repaired: JSON that is broken, cut or
//! ambiguous is a failure with a type, since a guess would be an invented answer.

use serde_json::{Deserializer, Value};
use thiserror::Error;

/// The kind of value that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
}

/// Why no JSON was found. None of these holds a word of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ExtractError {
    /// The answer is empty, or has nothing but reasoning.
    #[error("the answer is empty")]
    Empty,
    /// `<think>` without its end: the answer ended in the middle of reasoning.
    #[error("the answer ends within its reasoning")]
    UnfinishedReasoning,
    /// There is text but no JSON of the shape.
    #[error("the answer holds no JSON of the shape that was asked for")]
    Absent,
    /// It begins and never ends.
    #[error("the JSON of the answer is cut off")]
    CutOff,
    /// It looks like JSON and is none.
    #[error("the JSON of the answer is malformed")]
    Malformed,
    /// There are several, and they differ.
    #[error("the answer holds {count} different JSON values")]
    Ambiguous {
        /// How many.
        count: usize,
    },
}

/// Finds the one JSON value of a shape. The same value repeated counts once; an
/// array within an object is no value of its own.
///
/// # Errors
/// [`ExtractError`].
pub fn extract(answer: &str, shape: Shape) -> Result<Value, ExtractError> {
    let text = without_reasoning(answer)?.trim();
    if text.is_empty() {
        return Err(ExtractError::Empty);
    }
    let found = scan(text, shape)?;
    match (found.values.as_slice(), found.malformed) {
        ([value], _) => Ok(value.clone()),
        ([], true) => Err(ExtractError::Malformed),
        ([], false) => Err(ExtractError::Absent),
        (values, _) => Err(ExtractError::Ambiguous { count: values.len() }),
    }
}

/// The text after the last `</think>`.
fn without_reasoning(answer: &str) -> Result<&str, ExtractError> {
    let text = answer.rsplit_once("</think>").map_or(answer, |(_, after)| after);
    if text.trim_start().starts_with("<think>") {
        return Err(ExtractError::UnfinishedReasoning);
    }
    Ok(text)
}

#[derive(Default)]
struct Found {
    /// Different values, in order.
    values: Vec<Value>,
    malformed: bool,
}

fn scan(text: &str, shape: Shape) -> Result<Found, ExtractError> {
    let opening = match shape {
        Shape::Object => '{',
        Shape::Array => '[',
    };
    let mut found = Found::default();
    let mut rest = text;
    while let Some(start) = rest.find(['{', '[']) {
        rest = &rest[start..];
        let wanted = rest.starts_with(opening);
        let mut values = Deserializer::from_str(rest).into_iter::<Value>();
        let length = match values.next() {
            Some(Ok(value)) => {
                if wanted && !found.values.contains(&value) {
                    found.values.push(value);
                }
                values.byte_offset()
            }
            // All that follows would stand within it.
            Some(Err(error)) if error.is_eof() && looks_like_json(rest) => {
                if wanted || found.values.is_empty() {
                    return Err(ExtractError::CutOff);
                }
                return Ok(found);
            }
            Some(Err(_)) if looks_like_json(rest) => {
                found.malformed |= wanted;
                balanced(rest)
            }
            Some(Err(_)) | None => 1,
        };
        rest = &rest[length..];
    }
    Ok(found)
}

/// Whether a bracket begins JSON rather than an aside in prose such as `{sic}`.
fn looks_like_json(text: &str) -> bool {
    let mut characters = text.chars();
    let opening = characters.next();
    let next = characters.find(|c| !c.is_whitespace());
    match opening {
        Some('{') => matches!(next, None | Some('"' | '\'' | '}')),
        _ => matches!(next, None | Some('"' | '{' | '[')),
    }
}

/// The length of a bracketed text up to its matching end, brackets in strings
/// apart; all of it where there is none. What stands within malformed JSON is
/// part of it and no answer of its own.
fn balanced(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn json_is_found_wherever_models_put_it() {
        for answer in [
            r#"{"a": 1}"#,
            "```json\n{\"a\": 1}\n```",
            "```\n{\"a\": 1}```",
            "Sure! Here it is:\n{\"a\": 1}\nAnything else?",
            "<think>maybe {\"a\": 2}?</think>\n{\"a\": 1}",
            "maybe {\"a\": 2}</think>{\"a\": 1}",
            "As {noted} in [1], {\"a\": 1}",
            "{\"a\": 1} that is: {\"a\": 1}",
            "\u{feff}{\"a\": 1}",
            "[\"aside\"] {\"a\": 1}",
        ] {
            assert_eq!(extract(answer, Shape::Object), Ok(json!({"a": 1})), "{answer}");
        }
        assert_eq!(extract("labels: [\"x\"]", Shape::Array), Ok(json!(["x"])));
        assert_eq!(extract("{\"labels\": [\"x\"]}", Shape::Array), Err(ExtractError::Absent));
    }

    #[test]
    fn what_is_no_answer_is_a_typed_failure() {
        use ExtractError as E;
        for (answer, error) in [
            ("", E::Empty),
            ("<think>so</think> \n", E::Empty),
            ("<think>so {\"a\": 1}", E::UnfinishedReasoning),
            ("I cannot help with that.", E::Absent),
            ("```json\n```", E::Absent),
            ("{\"a\": 1", E::CutOff),
            ("{", E::CutOff),
            ("{\"a\": {\"b\": 1}", E::CutOff),
            ("{\"a\": [1, 2, {\"b\": 3}], \"c", E::CutOff),
            ("{'a': 1}", E::Malformed),
            ("{\"a\": {\"b\": 1}, oops}", E::Malformed),
            ("{\"a\": NaN}", E::Malformed),
            ("{\"a\": 1} or {\"a\": 2}", E::Ambiguous { count: 2 }),
            ("[{\"a\": 1}]", E::Absent),
        ] {
            assert_eq!(extract(answer, Shape::Object), Err(error), "{answer}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(answer in r#"[\{\}\[\]":,a1 \\é<>/think]*"#) {
            let _ = extract(&answer, Shape::Object);
            let _ = extract(&answer, Shape::Array);
        }

        #[test]
        fn an_object_among_words_is_found_whole(
            before in "[^\\{\\[<]*", after in "[^\\{\\[<]*", text in ".*", number: i64,
        ) {
            let value = json!({"text": text, "inner": {"number": number}});
            prop_assume!(!text.contains("</think>"));
            let answer = format!("{before}{value}{after}");
            prop_assert_eq!(extract(&answer, Shape::Object).unwrap(), value);
        }

        #[test]
        fn an_object_cut_short_is_never_an_answer(text in "[a-z{}\"]*", cut in 1usize..30) {
            let whole = json!({"outer": {"inner": text}, "list": [{"x": 1}]}).to_string();
            let cut = cut.min(whole.len() - 1);
            prop_assert_eq!(extract(&whole[..whole.len() - cut], Shape::Object), Err(ExtractError::CutOff));
        }
    }
}
