//! From the status and body of a response to an outcome.

use serde::Deserialize as _;
use serde_json::Value;

use crate::outcome::{Answer, FilterStage, Outcome};
use crate::wire::{ChatResponse, Choice, Finish, ServerError, Usage, filtered_categories};

/// A response, read.
pub(crate) struct Reading {
    pub(crate) outcome: Outcome,
    pub(crate) usage: Usage,
    pub(crate) raw: Option<Value>,
}

impl Reading {
    pub(crate) fn failed(outcome: Outcome) -> Self {
        Self { outcome, usage: Usage::default(), raw: None }
    }
}

/// Reads a whole response.
pub(crate) fn read(status: u16, body: &str) -> Reading {
    if !(200..300).contains(&status) {
        return Reading::failed(failure(ServerError::read(status, body)));
    }
    let not_json = || Reading::failed(Outcome::NotJson { status, bytes: body.len() });
    let Ok(raw) = serde_json::from_str::<Value>(body) else { return not_json() };
    if let Some(reading) = completion(&raw) {
        return Reading { raw: Some(raw), ..reading };
    }
    if raw.get("error").is_some_and(|error| !error.is_null()) {
        failed_in_body(status, &raw)
    } else {
        not_json()
    }
}

/// Reads a response that is JSON already, as the cache keeps it; `None` where it
/// has no choices.
pub(crate) fn completion(raw: &Value) -> Option<Reading> {
    let response = ChatResponse::deserialize(raw).ok()?;
    let outcome = spoken(&response, response.choices.first()?);
    Some(Reading { outcome, usage: response.usage(), raw: None })
}

/// Some gateways answer 200 and put the error into the body; one that names no
/// status of its own is a failure of the server.
fn failed_in_body(status: u16, raw: &Value) -> Reading {
    let mut error = ServerError::read_json(status, raw);
    if error.status == status {
        error.status = 500;
    }
    Reading::failed(failure(error))
}

fn spoken(response: &ChatResponse, choice: &Choice) -> Outcome {
    let finish = choice.finish();
    if finish == Finish::ContentFilter {
        let table = choice.extra.get("content_filter_results");
        let categories = table.map(filtered_categories).unwrap_or_default();
        return Outcome::ContentFiltered { stage: FilterStage::Answer, categories };
    }
    if let Some(refusal) = choice.refusal() {
        return Outcome::Refused { refusal: refusal.to_owned() };
    }
    let answer = Answer {
        text: choice.message.content.text(),
        reasoning: choice.reasoning().map(str::to_owned),
        model: response.model().map(str::to_owned),
        logprobs: choice.logprobs(),
        finish,
    };
    match answer.finish {
        Finish::Length => Outcome::Truncated(answer),
        _ if answer.text.trim().is_empty() => Outcome::Empty(answer),
        _ => Outcome::Answered(answer),
    }
}

/// The outcome of a response that is no success.
fn failure(error: ServerError) -> Outcome {
    match error.status {
        _ if error.quota_is_spent() => Outcome::QuotaExhausted { error },
        400..500 if error.filtered => {
            Outcome::ContentFiltered { stage: FilterStage::Request, categories: error.categories }
        }
        401 | 403 => Outcome::Unauthorised { error },
        429 => Outcome::RateLimitedOut { error },
        408 | 409 | 425 | 500.. => Outcome::ServerFailed { error },
        _ => Outcome::BadRequest { error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::OutcomeKind;

    fn kind(status: u16, body: &str) -> OutcomeKind {
        read(status, body).outcome.kind()
    }

    #[test]
    fn every_status_and_body_has_its_outcome() {
        use OutcomeKind as K;
        for (status, body, expected) in [
            (200, r#"{"choices":[{"message":{"content":"x"}}]}"#, K::Answered),
            (200, r#"{"choices":[{"message":{"content":"x"},"finish_reason":"length"}]}"#, K::Truncated),
            (200, r#"{"choices":[{"message":{"content":""},"finish_reason":"length"}]}"#, K::Truncated),
            (200, r#"{"choices":[{"message":{"content":null,"reasoning":"y"}}]}"#, K::Empty),
            (200, r#"{"choices":[{"message":{"content":" ","refusal":"no"}}]}"#, K::Refused),
            (200, r#"{"choices":[{"message":{"content":"x","refusal":""}}]}"#, K::Answered),
            (
                200,
                r#"{"choices":[{"message":{"content":"x"},"finish_reason":"content_filter"}]}"#,
                K::ContentFiltered,
            ),
            (200, r#"{"choices":[]}"#, K::NotJson),
            (200, "[]", K::NotJson),
            (200, "", K::NotJson),
            (200, "<html></html>", K::NotJson),
            (200, r#"{"error":{"message":"m"}}"#, K::ServerFailed),
            (200, r#"{"error":{"code":429}}"#, K::RateLimitedOut),
            (301, "", K::BadRequest),
            (400, "", K::BadRequest),
            (400, r#"{"error":{"code":"content_filter"}}"#, K::ContentFiltered),
            (401, "", K::Unauthorised),
            (402, "", K::QuotaExhausted),
            (403, "<html>", K::Unauthorised),
            (404, "{}", K::BadRequest),
            (429, "slow down", K::RateLimitedOut),
            (429, r#"{"error":{"code":"insufficient_quota"}}"#, K::QuotaExhausted),
            (429, r#"{"error":{"type":"insufficient_quota"}}"#, K::QuotaExhausted),
            (500, r#"{"error":{"code":"content_filter"}}"#, K::ServerFailed),
            (529, "", K::ServerFailed),
        ] {
            assert_eq!(kind(status, body), expected, "{status} {body}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_it_panic(status in 100u16..1000, body in ".*") {
            let outcome = read(status, &body).outcome;
            proptest::prop_assert!(outcome.answer().is_none(), "an answer was invented");
        }
    }
}
