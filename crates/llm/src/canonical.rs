//! What makes two requests the same: one spelling for every JSON value, and a
//! digest of it.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::endpoint::Endpoint;
use crate::wire::ChatRequest;

/// The digest of a request to an endpoint. `epoch` tells repeated askings of the
/// same request apart, so that they stay independent. Neither keys nor headers
/// enter it.
pub fn request_key(endpoint: &Endpoint, request: &ChatRequest, epoch: u32) -> String {
    let asked = ChatRequest { model: endpoint.model().to_owned(), stream: None, ..request.clone() };
    let asked = serde_json::to_value(asked).unwrap_or(Value::Null);
    let whole = serde_json::json!({ "endpoint": endpoint.url(), "epoch": epoch, "request": asked });
    sha256(canonical(&whole).as_bytes())
}

/// A value without white space, the keys of every object sorted by their bytes.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            items.iter().enumerate().for_each(|(index, item)| {
                separate(index, text);
                write(item, text);
            });
            text.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            fields.into_iter().enumerate().for_each(|(index, (name, item))| {
                separate(index, text);
                let _ = write!(text, "{}:", Value::String(name.clone()));
                write(item, text);
            });
            text.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = write!(text, "{value}");
        }
    }
}

fn separate(index: usize, text: &mut String) {
    if index > 0 {
        text.push(',');
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::wire::{Message, Role};
    use serde_json::json;

    fn key(base: &str, model: &str, request: &ChatRequest, epoch: u32) -> String {
        request_key(&Endpoint::new(base, model).unwrap(), request, epoch)
    }

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value: Value = serde_json::from_str(r#"{"b":[{"z":1,"a":"\"é"}],"a":null,"B":0.1}"#).unwrap();
        assert_eq!(canonical(&value), r#"{"B":0.1,"a":null,"b":[{"a":"\"é","z":1}]}"#);
    }

    #[test]
    fn the_key_of_a_request_never_changes() {
        let request: ChatRequest = serde_json::from_value(json!({
            "messages": [{"role": "user", "content": "hello"}], "temperature": 0.0, "odd": {"b": 1, "a": 2},
        }))
        .unwrap();
        // By hand: sha256sum of the canonical text. A change here empties every cache.
        assert_eq!(
            key("http://h/v1", "m", &request, 0),
            "787821aa50dd551375e26bc81d89f5f2df7eb166cbb52f4840e6ecf42ca2e67a"
        );
    }

    #[test]
    fn endpoint_model_epoch_and_content_each_make_another_key() {
        let request = |text: &str| ChatRequest::new(vec![Message::new(Role::User, text)]);
        let keys = [
            key("http://h", "m", &request("a"), 0),
            key("http://h2", "m", &request("a"), 0),
            key("http://h", "m2", &request("a"), 0),
            key("http://h", "m", &request("a"), 1),
            key("http://h", "m", &request("b"), 0),
            key("http://h", "m", &ChatRequest { temperature: Some(0.0), ..request("a") }, 0),
        ];
        let distinct: std::collections::HashSet<&String> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    fn any_value() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest::proptest! {
        #[test]
        fn the_canonical_text_reads_as_the_same_value(value in any_value()) {
            proptest::prop_assert_eq!(serde_json::from_str::<Value>(&canonical(&value)).unwrap(), value);
        }
    }
}
