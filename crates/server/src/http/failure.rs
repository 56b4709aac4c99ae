//! Errors on the wire. All have one shape, `{"error": {"code": …, "message": …}}`,
//! with codes that programs may rely on. No message repeats what was sent.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

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

#[derive(Serialize)]
struct Shape<'a> {
    error: Words<'a>,
}

#[derive(Serialize)]
struct Words<'a> {
    code: &'a str,
    message: &'a str,
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

    /// Where and what kind of thing is wrong; serde's own words would repeat values.
    pub(crate) fn of_json(error: &serde_json::Error, shape: &str) -> Self {
        let place = format!("line {}, column {}", error.line(), error.column());
        if error.is_data() {
            return Self::invalid(format!("{place}: found JSON of another shape, expected {shape}"));
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

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let status = match error {
            ServiceError::Invalid { .. } | ServiceError::OtherRequest => StatusCode::UNPROCESSABLE_ENTITY,
            ServiceError::TurnsMissing { .. }
            | ServiceError::TurnsDiffer { .. }
            | ServiceError::OtherModel
            | ServiceError::WentOn => StatusCode::CONFLICT,
            ServiceError::UnknownConversation => StatusCode::NOT_FOUND,
            ServiceError::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.code(), error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let shape = Shape { error: Words { code: self.code, message: &self.message } };
        let body = serde_json::to_string(&shape).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
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
