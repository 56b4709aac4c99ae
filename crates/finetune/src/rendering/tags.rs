//! Speaker tags as real special tokens. Tags that are only written into the text are
//! torn by most tokenizers wherever punctuation or Chinese stands beside them, as
//! happened in the published DialogueSafety recipe; so a free slot of the vocabulary
//! is renamed to the tag, as that recipe meant to do, or else a token is added.

use serde_json::{Map, Value, json};

use super::error::RenderError;

/// How vocabularies call the slots that they keep free, before and after the number.
const FREE_SLOTS: [(&str, &str); 3] =
    [("[unused", "]"), ("<unused", ">"), ("<|reserved_special_token_", "|>")];

/// Edits a `tokenizer.json` such that each tag is a special token. A tag that is one
/// already stays as it is, so that a file that was saved is read as it was.
pub(super) fn add_tags(file: &mut Value, tags: [&str; 2]) -> Result<(), RenderError> {
    check(tags)?;
    let slots = free_slots(file);
    let mut slots = slots.iter();
    for tag in tags {
        let known = id_in_model(file, tag).is_some() || added(file).any(|token| content(token) == Some(tag));
        if let Some(slot) = slots.next().filter(|_| !known) {
            rename_in_model(file, slot, tag);
            rename_in_added(file, slot, tag);
        }
        make_special(file, tag);
    }
    Ok(())
}

fn check(tags: [&str; 2]) -> Result<(), RenderError> {
    let bad = |found: &str| Err(RenderError::Tag { found: found.to_owned() });
    if tags.iter().any(|tag| tag.is_empty()) {
        bad("an empty tag")
    } else if tags.iter().any(|tag| tag.trim() != *tag) {
        bad("a tag with spaces at its ends")
    } else if tags[0] == tags[1] {
        bad("the same tag for both")
    } else {
        Ok(())
    }
}

/// The names of free slots, in the order in which they are used: by kind, then by
/// number. Number 0 is left alone, since the published recipe takes 1 and 2.
fn free_slots(file: &Value) -> Vec<String> {
    let model = pieces(file).filter_map(|name| Some((slot_number(name)?, name)));
    let added =
        added(file).filter_map(|token| content(token).and_then(|name| Some((slot_number(name)?, name))));
    let mut slots = model.chain(added).filter(|((_, number), _)| *number > 0).collect::<Vec<_>>();
    slots.sort_unstable();
    slots.dedup();
    slots.into_iter().map(|(_, name)| name.to_owned()).collect()
}

fn slot_number(name: &str) -> Option<(usize, u32)> {
    FREE_SLOTS.iter().enumerate().find_map(|(kind, (before, after))| {
        let number = name.strip_prefix(before)?.strip_suffix(after)?;
        Some((kind, number.parse().ok()?))
    })
}

/// The pieces of the model: the keys of an object, or of Unigram a list of pairs.
fn pieces(file: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match &file["model"]["vocab"] {
        Value::Object(vocabulary) => Box::new(vocabulary.keys().map(String::as_str)),
        Value::Array(vocabulary) => Box::new(vocabulary.iter().filter_map(|pair| pair[0].as_str())),
        _ => Box::new(std::iter::empty()),
    }
}

/// The id of a piece in the model.
pub(super) fn id_in_model(file: &Value, piece: &str) -> Option<u64> {
    match &file["model"]["vocab"] {
        Value::Object(vocabulary) => vocabulary.get(piece)?.as_u64(),
        Value::Array(vocabulary) => {
            vocabulary.iter().position(|pair| pair[0].as_str() == Some(piece)).map(|at| at as u64)
        }
        _ => None,
    }
}

fn rename_in_model(file: &mut Value, from: &str, to: &str) {
    match file.pointer_mut("/model/vocab") {
        Some(Value::Object(vocabulary)) => {
            if let Some(id) = vocabulary.remove(from) {
                vocabulary.insert(to.to_owned(), id);
            }
        }
        Some(Value::Array(vocabulary)) => {
            for pair in vocabulary.iter_mut().filter(|pair| pair[0].as_str() == Some(from)) {
                pair[0] = Value::from(to);
            }
        }
        _ => {}
    }
}

fn added(file: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    file["added_tokens"].as_array().into_iter().flatten().filter_map(Value::as_object)
}

fn content(token: &Map<String, Value>) -> Option<&str> {
    token.get("content")?.as_str()
}

fn rename_in_added(file: &mut Value, from: &str, to: &str) {
    let tokens = file.get_mut("added_tokens").and_then(Value::as_array_mut);
    for token in tokens.into_iter().flatten().filter(|token| token["content"].as_str() == Some(from)) {
        token["content"] = Value::from(to);
    }
}

/// Enters a tag among the added tokens, or makes a special token of it there. The
/// library gives a new one the next id.
fn make_special(file: &mut Value, tag: &str) {
    let id = id_in_model(file, tag).unwrap_or_else(|| next_id(file));
    let entry = |id: &Value| {
        json!({
            "id": id, "content": tag, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    };
    let Some(file) = file.as_object_mut() else { return };
    let tokens = file.entry("added_tokens").or_insert_with(|| json!([]));
    let Some(tokens) = tokens.as_array_mut() else { return };
    match tokens.iter_mut().find(|token| token["content"].as_str() == Some(tag)) {
        Some(token) => *token = entry(&token["id"]),
        None => tokens.push(entry(&Value::from(id))),
    }
}

fn next_id(file: &Value) -> u64 {
    let of_model = match &file["model"]["vocab"] {
        Value::Object(vocabulary) => vocabulary.len(),
        Value::Array(vocabulary) => vocabulary.len(),
        _ => 0,
    };
    let of_added = added(file).filter_map(|token| token.get("id")?.as_u64()).max();
    of_added.map_or(0, |most| most + 1).max(of_model as u64)
}
