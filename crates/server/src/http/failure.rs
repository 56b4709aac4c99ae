//! Errors on the wire. They have one shape, `{"error": {"code": …, "message": …}}`,
//! with codes that programs may rely on ([`CODES`]); where another program's client asks,
//! the shape is that program's ([`ErrorShape`]). No message repeats what was sent.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::LARGEST_BODY;
use crate::service::ServiceError;

/// Why there is no answer, on the wire.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Seconds after which it may be tried again.
    retry_after: Option<u64>,
}

/// Every code, with its status. A code means the same wherever it is given.
pub(super) const CODES: [(&str, u16); 28] = [
    ("invalid_json", 400),
    ("unreadable_body", 400),
    ("unauthorized", 401),
    ("other_origin", 403),
    ("scope_missing", 403),
    ("tenant_unknown", 403),
    ("not_found", 404),
    ("unknown_conversation", 404),
    ("unknown_detector", 404),
    ("no_upstream", 404),
    ("method_not_allowed", 405),
    ("body_too_slow", 408),
    ("turns_missing", 409),
    ("turns_differ", 409),
    ("ends_early", 409),
    ("other_model", 409),
    ("conversation_went_on", 409),
    ("too_large", 413),
    ("packed_body", 415),
    ("invalid_request", 422),
    ("idempotency_key_reused", 422),
    ("overloaded", 429),
    ("rate_limited", 429),
    ("internal", 500),
    ("upstream_failed", 502),
    ("upstream_unauthorized", 502),
    ("store_unavailable", 503),
    ("outcome_unknown", 503),
];

/// Whose clients an error is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorShape {
    /// `{"error": {"code", "message"}}`.
    Own,
    /// FMS detectors: `{"code", "message"}` with the status as code, and ours beside it.
    Detector,
    /// TEI: `{"error", "error_type"}` with a message, and ours beside it.
    Inference,
    /// `OpenAI` and vLLM: our own shape with `type` and `param`, and 400 in the place
    /// of 422.
    OpenAi,
}

impl ErrorShape {
    /// The status that this peer gives where ours is `status`.
    pub(super) const fn status(self, status: u16) -> u16 {
        match (self, status) {
            (Self::OpenAi, 422) => 400,
            _ => status,
        }
    }

    fn body(self, failure: &Failure) -> Value {
        let Failure { code, message, .. } = failure;
        let status = self.status(failure.status.as_u16());
        match self {
            Self::Own => json!({"error": {"code": code, "message": message}}),
            Self::Detector => json!({"code": status, "message": message, "error_code": code}),
            Self::Inference => {
                json!({"error": message, "error_type": inference_type(status), "error_code": code})
            }
            Self::OpenAi => json!({"error": {
                "message": message, "type": openai_type(status), "param": null, "code": code,
            }}),
        }
    }

    /// The schema of an error with a status and one of these codes.
    pub(super) fn schema(self, status: u16, codes: &[&str]) -> Value {
        let (code, text) = (json!({"enum": codes}), json!({"type": "string"}));
        let object = |properties: Value| {
            let required: Vec<&String> = properties.as_object().into_iter().flat_map(|o| o.keys()).collect();
            json!({
                "type": "object", "required": required, "properties": properties, "additionalProperties": false,
            })
        };
        match self {
            Self::Own => object(json!({"error": object(json!({"code": code, "message": text}))})),
            Self::Detector => object(json!({"code": {"const": status}, "message": text, "error_code": code})),
            Self::Inference => object(json!({
                "error": text, "error_type": {"const": inference_type(status)}, "error_code": code,
            })),
            Self::OpenAi => object(json!({"error": object(json!({
                "message": text, "type": {"const": openai_type(status)}, "param": {"type": "null"}, "code": code,
            }))})),
        }
    }
}

/// The names of TEI.
const fn inference_type(status: u16) -> &'static str {
    match status {
        429 => "overloaded",
        503 => "unhealthy",
        500..=599 => "backend",
        _ => "validation",
    }
}

/// The names of `OpenAI`.
const fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        500..=599 => "server_error",
        _ => "invalid_request_error",
    }
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    pub(super) fn of_body(status: StatusCode) -> Self {
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::new(status, "too_large", format!("the body is larger than {LARGEST_BODY} bytes"));
        }
        Self::new(StatusCode::BAD_REQUEST, "unreadable_body", "the body broke off")
    }

    /// Where and what kind of thing is wrong; serde's own words would repeat values. `field`
    /// is empty where it is of no field that the shape names.
    pub(crate) fn of_json(error: &serde_json::Error, field: &str, shape: &str) -> Self {
        let colon = if field.is_empty() { "" } else { ": " };
        let place = format!("{field}{colon}line {}, column {}", error.line(), error.column());
        if error.is_data() {
            let found = found(&error.to_string());
            return Self::invalid(format!("{place}: found {found}, expected {shape}"));
        }
        Self::new(StatusCode::BAD_REQUEST, "invalid_json", format!("{place}: found no JSON"))
    }

    /// A request that asks for nothing that can be done.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", message)
    }

    pub(super) fn overloaded() -> Self {
        let message = "more is asked than can be decided soon; try again";
        let failure = Self::new(StatusCode::TOO_MANY_REQUESTS, "overloaded", message);
        Self { retry_after: Some(1), ..failure }
    }

    pub(super) fn rate_limited(seconds: u64) -> Self {
        let message = "the key's requests for this minute are used up";
        let failure = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message);
        Self { retry_after: Some(seconds.max(1)), ..failure }
    }

    pub(super) fn unauthorised(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn broken() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request broke off inside; whether it was decided is not known",
        )
    }
}

/// What serde found, in a word of its own; the rest of what it says may repeat values.
fn found(said: &str) -> &'static str {
    const KINDS: [(&str, &str); 12] = [
        ("unknown field", "a field that is not known"),
        ("missing field", "an object that lacks a field"),
        ("duplicate field", "a field that stands twice"),
        ("invalid value", "a value out of range"),
        ("invalid type: string", "a string"),
        ("invalid type: integer", "a number"),
        ("invalid type: floating point", "a number with a fraction"),
        ("invalid type: boolean", "true or false"),
        ("invalid type: null", "null"),
        ("invalid type: sequence", "a list"),
        ("invalid type: map", "an object"),
        ("found `", "a code of another form"),
    ];
    let kind = KINDS.iter().find(|(begins, _)| said.starts_with(begins));
    kind.map_or("JSON of another shape", |(_, words)| words)
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let status = match error {
            ServiceError::Invalid { .. } | ServiceError::OtherRequest => StatusCode::UNPROCESSABLE_ENTITY,
            ServiceError::TurnsMissing { .. }
            | ServiceError::TurnsDiffer { .. }
            | ServiceError::EndsEarly { .. }
            | ServiceError::OtherModel
            | ServiceError::WentOn => StatusCode::CONFLICT,
            ServiceError::UnknownConversation => StatusCode::NOT_FOUND,
            ServiceError::Store(_) | ServiceError::InDoubt => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl Failure {
    /// The answer for the clients of a peer.
    pub(crate) fn in_shape(self, shape: ErrorShape) -> Response {
        let body = shape.body(&self).to_string();
        let status = StatusCode::from_u16(shape.status(self.status.as_u16())).unwrap_or(self.status);
        let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.in_shape(ErrorShape::Own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_service_and_this_module_say_is_in_the_table_with_its_status() {
        use crate::store::StoreError;
        let invalid = ServiceError::invalid("field", "this", "that");
        let failures = [
            Failure::of_body(StatusCode::PAYLOAD_TOO_LARGE),
            Failure::of_body(StatusCode::BAD_REQUEST),
            Failure::invalid(""),
            Failure::overloaded(),
            Failure::rate_limited(1),
            Failure::unauthorised(""),
            Failure::broken(),
            invalid.into(),
            ServiceError::TurnsMissing { known: 0, first: 1 }.into(),
            ServiceError::TurnsDiffer { turn: 0 }.into(),
            ServiceError::EndsEarly { messages: 1, first: 0, known: 2 }.into(),
            ServiceError::OtherModel.into(),
            ServiceError::UnknownConversation.into(),
            ServiceError::WentOn.into(),
            ServiceError::OtherRequest.into(),
            ServiceError::Store(StoreError::Gone).into(),
            ServiceError::InDoubt.into(),
        ];
        for failure in failures {
            let entry = (failure.code, failure.status.as_u16());
            assert!(CODES.contains(&entry), "{entry:?}");
        }
    }

    #[test]
    fn each_shape_is_as_its_schema_says() {
        let failure = Failure::invalid("found this, expected that");
        let bodies: Vec<String> =
            [ErrorShape::Own, ErrorShape::Detector, ErrorShape::Inference, ErrorShape::OpenAi]
                .map(|shape| shape.body(&failure).to_string())
                .into();
        let message = "found this, expected that";
        assert_eq!(
            bodies,
            [
                format!(r#"{{"error":{{"code":"invalid_request","message":"{message}"}}}}"#),
                format!(r#"{{"code":422,"error_code":"invalid_request","message":"{message}"}}"#),
                format!(
                    r#"{{"error":"{message}","error_code":"invalid_request","error_type":"validation"}}"#
                ),
                format!(
                    r#"{{"error":{{"code":"invalid_request","message":"{message}","param":null,"type":"invalid_request_error"}}}}"#
                ),
            ]
        );
    }
}
