//! The body of a response that is no answer: OpenAI's `{"error": {…}}`,
//! `{"error": "…"}`, `{"detail": …}`, `{"message": …}`, plain text or HTML.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a server said instead of an answer.
///
/// Its message may repeat what was asked, so it is kept as data and is not part
/// of what is displayed; codes are displayed where they look like codes.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerError {
    /// The HTTP status, or the status that the body names.
    pub status: u16,
    /// `error.code`, as a string also where it is a number.
    pub code: Option<String>,
    /// `error.type`.
    pub kind: Option<String>,
    /// `error.param`: the field of the request that is meant.
    pub param: Option<String>,
    /// What the server says, at most 1,000 characters. It may hold text of the
    /// request: it belongs into no log.
    pub message: Option<String>,
    /// What a content filter objected to, as the server names it.
    pub categories: Vec<String>,
    /// Whether the body says that a content filter spoke.
    pub filtered: bool,
}

/// Characters kept of a message.
const MESSAGE_CHARACTERS: usize = 1_000;

impl ServerError {
    /// Reads a body of any kind.
    pub fn read(status: u16, body: &str) -> Self {
        match serde_json::from_str::<Value>(body) {
            Ok(json) => Self::read_json(status, &json),
            Err(_) => Self { status, message: shortened(body), ..Self::default() },
        }
    }

    /// Reads a body that is JSON.
    pub fn read_json(status: u16, body: &Value) -> Self {
        let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
        let field = |name: &str| error.get(name).and_then(as_text);
        let code = field("code");
        let kind = field("type");
        let categories = categories(error);
        let named = [&code, &kind, &inner_code(error)].into_iter().flatten().any(|name| names_a_filter(name));
        Self {
            status: code.as_deref().and_then(error_status).unwrap_or(status),
            filtered: named || !categories.is_empty(),
            param: field("param"),
            message: message(body, error),
            code,
            kind,
            categories,
        }
    }

    /// Whether the money is used up, which no waiting mends.
    pub fn quota_is_spent(&self) -> bool {
        const SPENT: [&str; 3] = ["insufficient_quota", "billing_hard_limit_reached", "credits_exhausted"];
        let spent = |name: &Option<String>| name.as_deref().is_some_and(|name| SPENT.contains(&name));
        self.status == 402 || spent(&self.code) || spent(&self.kind)
    }

    /// Whether the server objects to `response_format` or to its schema.
    pub fn names_response_format(&self) -> bool {
        const NAMES: [&str; 5] =
            ["response_format", "json_schema", "json_object", "structured_output", "structured output"];
        let texts = [&self.param, &self.message, &self.code];
        texts.into_iter().flatten().any(|text| NAMES.iter().any(|name| text.contains(name)))
    }
}

/// Some servers answer 200, or 400, and name the true status in the body.
fn error_status(code: &str) -> Option<u16> {
    code.parse().ok().filter(|status| (400..600).contains(status))
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn inner_code(error: &Value) -> Option<String> {
    ["/innererror/code", "/inner_error/code"].iter().find_map(|path| error.pointer(path).and_then(as_text))
}

fn names_a_filter(name: &str) -> bool {
    const FILTERS: [&str; 5] = [
        "content_filter",
        "content_policy_violation",
        "ResponsibleAIPolicyViolation",
        "moderation_blocked",
        "content_filtered",
    ];
    FILTERS.contains(&name)
}

/// What a filter objected to: Azure's table of categories, or a list of reasons
/// as `OpenRouter` passes it on.
fn categories(error: &Value) -> Vec<String> {
    let table = ["/innererror/content_filter_result", "/content_filter_result", "/content_filter_results"]
        .iter()
        .find_map(|path| error.pointer(path));
    let reasons = error.pointer("/metadata/reasons").and_then(Value::as_array);
    match (table, reasons) {
        (Some(table), _) => filtered_categories(table),
        (None, Some(reasons)) => reasons.iter().filter_map(as_text).collect(),
        (None, None) => Vec::new(),
    }
}

/// The categories of one of Azure's tables that were filtered, in the order of
/// their names.
pub(crate) fn filtered_categories(table: &Value) -> Vec<String> {
    let mut names: Vec<String> = table
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, verdict)| verdict.get("filtered").and_then(Value::as_bool) == Some(true))
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names
}

fn message(body: &Value, error: &Value) -> Option<String> {
    let places = [error.get("message"), body.get("detail"), body.get("message"), Some(error)];
    let found = places.into_iter().flatten().find(|place| !place.is_null())?;
    match found {
        Value::String(text) => shortened(text),
        other => shortened(&other.to_string()),
    }
}

fn shortened(text: &str) -> Option<String> {
    let text: String = text.trim().chars().take(MESSAGE_CHARACTERS).collect();
    (!text.is_empty()).then_some(text)
}

/// A name that may be displayed: it looks like one, not like somebody's words.
fn plain(name: &str) -> bool {
    name.len() <= 48
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']'))
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        for (label, name) in [("code", &self.code), ("type", &self.kind), ("param", &self.param)] {
            if let Some(name) = name.as_deref().filter(|name| plain(name)) {
                write!(f, ", {label} {name}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerError({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_every_kind_are_read() {
        for (body, message) in [
            (r#"{"error":{"message":"m","code":null}}"#, Some("m")),
            (r#"{"error":"m"}"#, Some("m")),
            (r#"{"detail":"m"}"#, Some("m")),
            (r#"{"detail":[{"loc":["body"]}]}"#, Some(r#"[{"loc":["body"]}]"#)),
            (r#"{"message":"m"}"#, Some("m")),
            ("<html>Bad Gateway</html>", Some("<html>Bad Gateway</html>")),
            ("  ", None),
            ("null", None),
        ] {
            assert_eq!(ServerError::read(502, body).message.as_deref(), message, "{body}");
        }
    }

    #[test]
    fn filters_are_recognised_in_the_shapes_of_openai_azure_and_openrouter() {
        let openai = ServerError::read(400, r#"{"error":{"code":"content_filter","message":"x"}}"#);
        let azure = ServerError::read(
            400,
            r#"{"error":{"code":"BadRequest","innererror":{"code":"ResponsibleAIPolicyViolation",
               "content_filter_result":{"violence":{"filtered":true},"hate":{"filtered":false},
               "self_harm":{"filtered":true,"severity":"medium"}}}}}"#,
        );
        let router = ServerError::read(
            403,
            r#"{"error":{"code":403,"metadata":{"reasons":["self-harm"],"flagged_input":"x"}}}"#,
        );
        let other = ServerError::read(400, r#"{"error":{"code":"bad","innererror":{"code":"Other"}}}"#);
        assert!(openai.filtered && azure.filtered && router.filtered && !other.filtered);
        assert_eq!(azure.categories, ["self_harm", "violence"]);
        assert_eq!(router.categories, ["self-harm"]);
    }

    #[test]
    fn what_is_displayed_never_holds_the_message() {
        let error = ServerError::read(
            400,
            r#"{"error":{"message":"you said: private words","code":"private words","param":"messages[0]"}}"#,
        );
        assert_eq!(error.to_string(), "status 400, param messages[0]");
        assert!(!format!("{error:?}").contains("private"));
    }

    #[test]
    fn a_status_in_the_body_counts() {
        assert_eq!(ServerError::read(200, r#"{"error":{"code":429}}"#).status, 429);
        assert_eq!(ServerError::read(400, r#"{"error":{"code":"7"}}"#).status, 400);
    }
}
