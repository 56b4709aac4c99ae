//! `GET /openapi.json`: the `OpenAPI` 3.1 document, made from the table of endpoints and
//! the types that requests and answers are read into and written from. The shape of a
//! report is not derived anew: `schemas/score.schema.json`, which is its contract, is
//! taken in as it stands.

use std::collections::BTreeMap;

use axum::response::Response;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::endpoint::{Access, Content, Endpoint, Parameter, Place, Values, Verb};
use super::failure::{CODES, ErrorShape};
use super::{endpoints, json_response};

/// The contract of `mindrail score`, of which a report is a part.
const SCORE_SCHEMA: &str = include_str!("../../../../schemas/score.schema.json");

/// Codes that a request with a key can always get.
const WITH_KEY: [&str; 8] = [
    "unauthorized",
    "other_origin",
    "scope_missing",
    "tenant_unknown",
    "rate_limited",
    "internal",
    "store_unavailable",
    "outcome_unknown",
];

/// Codes that a request with a body can always get.
const WITH_BODY: [&str; 9] = [
    "invalid_json",
    "unreadable_body",
    "method_not_allowed",
    "body_too_slow",
    "conversation_went_on",
    "too_large",
    "packed_body",
    "invalid_request",
    "overloaded",
];

pub(super) async fn openapi() -> Response {
    json_response(document(&endpoints()).to_string())
}

/// The document on these endpoints.
pub(super) fn document(endpoints: &[Endpoint]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for endpoint in endpoints {
        // A parameter that takes slashes in has a star in the router only.
        let path = paths.entry(endpoint.path.replace("{*", "{")).or_insert_with(|| json!({}));
        path[endpoint.verb.name()] = operation(endpoint, &mut generator);
    }
    let mut schemas = score_schemas();
    schemas.extend(generator.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Mindrail",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "A safety layer for AI assistants that talk with people in distress. Every \
                decision is in the audit trail before it is answered. What was not evaluated is said, and \
                is not safe.",
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {
                "type": "http", "scheme": "bearer",
                "description": "Without any key configured, the server listens on its own machine only and \
                    asks for none. The headers `api-key` and `x-api-key` are read as well.",
            }},
        },
    })
}

fn operation(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Value {
    let mut operation = json!({
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "responses": responses(endpoint, generator),
    });
    if endpoint.access == Access::Open {
        operation["security"] = json!([]);
    }
    if !endpoint.parameters.is_empty() {
        operation["parameters"] = endpoint.parameters.iter().map(parameter).collect();
    }
    if let Some(body) = &endpoint.body {
        let content = json!({"schema": (body.schema)(generator), "example": body.example});
        operation["requestBody"] = json!({"required": true, "content": {"application/json": content}});
    }
    operation
}

fn parameter(parameter: &Parameter) -> Value {
    let (place, is_required) = match parameter.place {
        Place::Header => ("header", false),
        Place::Path => ("path", true),
        Place::Query => ("query", true),
    };
    let schema = match &parameter.values {
        Values::Any => {
            json!({"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]([ -~]*[!-~])?$"})
        }
        Values::These(values) => json!({"type": "string", "enum": values}),
        Values::Like(pattern) => json!({"type": "string", "pattern": pattern}),
    };
    json!({
        "name": parameter.name, "in": place, "required": is_required,
        "description": parameter.description, "schema": schema,
    })
}

fn responses(endpoint: &Endpoint, generator: &mut SchemaGenerator) -> Value {
    let content = match endpoint.answer {
        Content::Json(schema) => json!({"application/json": {"schema": schema(generator)}}),
        Content::Text => json!({"text/plain": {"schema": {"type": "string"}}}),
    };
    let mut responses = json!({"200": {"description": "Done.", "content": content}});
    let mut codes = endpoint.codes.clone();
    if endpoint.access == Access::Key {
        codes.extend(WITH_KEY);
    }
    if endpoint.verb == Verb::Post {
        codes.extend(WITH_BODY);
    }
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for (code, status) in CODES.into_iter().filter(|(code, _)| codes.contains(code)) {
        by_status.entry(endpoint.errors.status(status)).or_default().push(code);
    }
    for (status, codes) in by_status {
        responses[status.to_string()] = error(endpoint.errors, status, &codes);
    }
    responses
}

fn error(shape: ErrorShape, status: u16, codes: &[&str]) -> Value {
    let schema = shape.schema(status, codes);
    let mut response = json!({
        "description": codes.join(", "),
        "content": {"application/json": {"schema": schema}},
    });
    if status == 429 {
        response["headers"] = json!({"Retry-After": {
            "description": "Seconds after which to try again.", "required": true,
            "schema": {"type": "integer", "minimum": 1},
        }});
    }
    response
}

/// The schemas of a report, each under its name in the contract after `score.`.
fn score_schemas() -> Map<String, Value> {
    let mut schema: Value = serde_json::from_str(SCORE_SCHEMA).expect("the shipped file is tested");
    point_to_components(&mut schema);
    let Some(Value::Object(mut definitions)) = schema.as_object_mut().and_then(|all| all.remove("$defs"))
    else {
        return Map::new();
    };
    // A server has an error shape of its own.
    definitions.remove("error");
    definitions.into_iter().map(|(name, schema)| (format!("score.{name}"), schema)).collect()
}

fn point_to_components(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(target) if key == "$ref" => {
                        *target = target.replace("#/$defs/", "#/components/schemas/score.");
                    }
                    other => point_to_components(other),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(point_to_components),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A list of `OpenAI` messages, as the reader takes them.
pub(crate) fn messages(_: &mut SchemaGenerator) -> Schema {
    let mut schema = some_list();
    schema.insert("minItems".to_owned(), json!(1));
    schema
}

/// The same where it may be empty or missing.
pub(crate) fn some_messages(_: &mut SchemaGenerator) -> Schema {
    let mut schema = some_list();
    schema.insert("type".to_owned(), json!(["array", "null"]));
    schema
}

fn some_list() -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 1000,
        "items": {
            "type": "object",
            "properties": {
                "role": {"enum": [
                    "user", "human", "assistant", "ai", "model", "system", "developer", "tool", "function"
                ]},
                "content": {
                    "type": ["string", "null", "array"],
                    "items": {"type": ["string", "object"]},
                },
            },
            "required": ["role"],
            "anyOf": [
                {"required": ["content"]},
                {"required": ["refusal"], "properties": {"refusal": {"type": "string"}}},
                {"required": ["tool_calls"]},
                {"required": ["function_call"]},
            ],
        },
    })
}

/// A caller's name for something.
fn name() -> Value {
    json!({"type": ["string", "null"], "minLength": 1, "maxLength": 200, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"})
}

pub(super) fn guard_request(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "conversation_id": name(),
            "person_id": name(),
            "country": {
                "type": ["string", "null"], "pattern": "^[A-Z]{2}(-[A-Z0-9]{1,3})?$",
                "description": "Where the person is, as CA or CA-QC.",
            },
            "age": {"type": ["integer", "null"], "minimum": 0, "maximum": 255},
            "first_turn": {"type": ["integer", "null"], "minimum": 0, "maximum": 1_000_000},
            "messages": messages(generator),
        },
        "required": ["messages"],
        "additionalProperties": false,
        "anyOf": [
            {"properties": {"first_turn": {"enum": [0, null]}}},
            {"required": ["conversation_id"], "properties": {"conversation_id": {"type": "string"}}},
        ],
    })
}

/// The contract of a report, with the decision that it is about.
pub(super) fn guard_answer(_: &mut SchemaGenerator) -> Schema {
    let mut report = score_schemas().remove("score.ok").unwrap_or_default();
    let phases = ["quiet", "alerted", "confirmed"];
    let added = json!({
        "decision": {"type": "integer", "minimum": 1, "description": "Its number in the audit trail."},
        "conversation": {
            "type": "object",
            "description": "How far the conversation has got.",
            "properties": {
                "turns": {"type": "integer", "minimum": 0},
                "phase": {"enum": phases},
                "onsets": {"type": "array", "items": onset()},
            },
            "required": ["turns", "phase", "onsets"],
            "additionalProperties": false,
        },
        "notices": {
            "type": "array",
            "description": "What the law asks to be shown to the person now, besides.",
            "items": {
                "type": "object",
                "properties": {
                    "kind": {"enum": ["disclosure", "interruption"]},
                    "words": {"type": "string", "minLength": 1},
                },
                "required": ["kind", "words"],
                "additionalProperties": false,
            },
        },
        "scanned": {
            "type": "object",
            "description": "Which turns were scanned now.",
            "properties": {
                "first": {"type": "integer", "minimum": 0},
                "turns": {"type": "integer", "minimum": 0},
            },
            "required": ["first", "turns"],
            "additionalProperties": false,
        },
    });
    for (field, schema) in added.as_object().into_iter().flatten() {
        report["properties"][field] = schema.clone();
        if let Some(required) = report["required"].as_array_mut() {
            required.push(json!(field));
        }
    }
    Schema::try_from(report).unwrap_or_default()
}

fn onset() -> Value {
    json!({
        "type": "object",
        "properties": {
            "label": {"$ref": "#/components/schemas/score.crisis_label"},
            "turn": {"type": "integer", "minimum": 0},
            "probability": {"$ref": "#/components/schemas/score.probability"},
            "threshold": {"$ref": "#/components/schemas/score.probability"},
            "subject": {"enum": ["person", "third_party", "unknown"]},
        },
        "required": ["label", "turn", "probability", "threshold", "subject"],
        "additionalProperties": false,
    })
}

pub(super) fn reply_request(_: &mut SchemaGenerator) -> Schema {
    let mut messages = some_list();
    messages.insert("description".to_owned(), json!("Where the conversation has no name."));
    json_schema!({
        "type": "object",
        "properties": {
            "conversation_id": name(),
            "messages": messages,
            "candidates": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 16},
        },
        "required": ["candidates"],
        "additionalProperties": false,
        "anyOf": [
            {"properties": {"conversation_id": {"type": "null"}}},
            {"properties": {"messages": {"maxItems": 0}}},
        ],
    })
}

pub(super) fn reply_answer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "best": {
                "type": ["integer", "null"], "minimum": 0,
                "description": "The place of the candidate to show; null where none may be shown as it is.",
            },
            "candidates": {
                "type": "array",
                "description": "The best first.",
                "items": {
                    "type": "object",
                    "properties": {
                        "place": {"type": "integer", "minimum": 0},
                        "decision": {"type": "integer", "minimum": 1},
                        "turn": {"$ref": "#/components/schemas/score.turn"},
                        "action": {"enum": ["allow", "revise", "block"]},
                        "not_evaluated": {
                            "type": "array", "items": {"$ref": "#/components/schemas/score.not_evaluated"},
                        },
                    },
                    "required": ["place", "decision", "turn", "action", "not_evaluated"],
                    "additionalProperties": false,
                },
            },
        },
        "required": ["best", "candidates"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_has_every_endpoint_and_nothing_else() {
        let table: BTreeSet<(String, String)> =
            endpoints().iter().map(|e| (e.path.replace("{*", "{"), e.verb.name().to_owned())).collect();
        let document = document(&endpoints());
        let paths = document["paths"].as_object().expect("paths");
        let documented: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, verbs)| {
                let verbs = verbs.as_object().expect("verbs");
                verbs.keys().map(move |verb| (path.clone(), verb.clone()))
            })
            .collect();
        assert_eq!(documented, table);
        assert_eq!(endpoints().len(), table.len(), "a path has a method twice");
    }

    #[test]
    fn every_endpoint_has_a_name_of_its_own_and_says_what_it_does() {
        let mut names = BTreeSet::new();
        for endpoint in endpoints() {
            assert!(names.insert(endpoint.name), "{} stands twice", endpoint.name);
            assert!(!endpoint.summary.is_empty() && !endpoint.tag.is_empty(), "{}", endpoint.path);
            assert_eq!(endpoint.body.is_some(), endpoint.verb == Verb::Post, "{}", endpoint.path);
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema_and_every_code_is_known() {
        let document = document(&endpoints());
        let text = document.to_string();
        for target in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap_or("")) {
            assert!(document.pointer(target).is_some(), "{target}");
        }
        let known: BTreeSet<&str> = CODES.into_iter().map(|(code, _)| code).collect();
        let used =
            endpoints().into_iter().flat_map(|endpoint| endpoint.codes).chain(WITH_KEY).chain(WITH_BODY);
        used.for_each(|code| assert!(known.contains(code), "{code}"));
    }
}
