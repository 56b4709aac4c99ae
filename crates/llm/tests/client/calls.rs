//! Single calls: what comes of each behaviour, retries, breaker, budget, cache.

use super::*;

#[tokio::test]
async fn an_answer_comes_with_all_that_the_server_says_of_it() {
    let server = TestServer::playing(vec![answer("hello")]).unwrap();
    let client = client(&server, hasty());
    let request = ask("hi").limited(OutputLimit::MaxTokens(9));
    let reply = client.complete(&request, 0).await;
    let given = reply.outcome.answer().unwrap();
    assert_eq!((given.text.as_str(), &given.finish), ("hello", &Finish::Stop));
    assert_eq!(given.model.as_deref(), Some("test-model-2026"));
    assert_eq!((reply.usage.input, reply.usage.output), (Some(10), Some(5)));
    assert_eq!((reply.tries, reply.source), (1, Source::Server));
    assert_eq!(reply.raw, Some(completion("hello")));
    let received = &server.received()[0];
    assert_eq!(received.target, "POST /v1/chat/completions");
    assert_eq!(
        received.json(),
        json!({"model": "test-model", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9})
    );
}

#[tokio::test]
async fn the_key_goes_into_its_header_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.jsonl");
    let body = json!({ "error": { "message": format!("no such key: {KEY}"), "code": KEY } });
    let server = TestServer::playing(vec![answer("a"), Behaviour::Json { status: 401, body }]).unwrap();
    let client = cached(&server, &path, CacheMode::Use);
    client.complete(&ask("one"), 0).await;
    let refused = client.complete(&ask("two"), 0).await;
    assert_eq!(refused.outcome.server_error().unwrap().message.as_deref(), Some("no such key: [key]"));
    let told =
        format!("{refused:?} {} {}", refused.outcome, serde_json::to_string(&refused.outcome).unwrap());
    assert!(!told.contains(KEY), "{told}");
    for received in server.received() {
        assert_eq!(received.header("authorization"), Some("Bearer mindrail-llm"));
        let with_key = received.headers.iter().filter(|(_, value)| value.contains(KEY)).count();
        assert_eq!(with_key, 1);
        assert!(!received.body.contains(KEY) && !received.target.contains(KEY));
    }
    assert!(!std::fs::read_to_string(path).unwrap().contains(KEY));
}

#[tokio::test]
async fn azure_has_the_key_in_a_header_of_its_own() {
    let server = TestServer::playing(vec![answer("a")]).unwrap();
    let key = ApiKey::from_env(KEY_VARIABLE, KeyHeader::ApiKey).unwrap();
    let base = format!("{}?api-version=2024-10-21", server.url());
    let endpoint = Endpoint::new(&base, "m").unwrap().with_key(key);
    Client::new(endpoint, hasty()).unwrap().complete(&ask("x"), 0).await;
    let received = &server.received()[0];
    assert_eq!(received.target, "POST /v1/chat/completions?api-version=2024-10-21");
    assert_eq!((received.header("api-key"), received.header("authorization")), (Some(KEY), None));
}

#[tokio::test]
async fn every_behaviour_has_its_outcome_and_no_retries_means_one_request() {
    use OutcomeKind as K;
    let html = |status| Behaviour::Html { status, body: "<html>".to_owned() };
    let detail = Behaviour::Json { status: 422, body: json!({ "detail": [{ "loc": ["body"] }] }) };
    let empty = Behaviour::Json { status: 200, body: json!({ "choices": [] }) };
    let redirect = Behaviour::Html { status: 302, body: String::new() };
    for (behaviour, kind) in [
        (answer("a"), K::Answered),
        (Behaviour::Sparse("a".into()), K::Answered),
        (answer(""), K::Empty),
        (Behaviour::Truncated("a".into()), K::Truncated),
        (Behaviour::Refusal("no".into()), K::Refused),
        (Behaviour::FilteredAnswer, K::ContentFiltered),
        (Behaviour::FilterOpenAi, K::ContentFiltered),
        (Behaviour::FilterAzure, K::ContentFiltered),
        (Behaviour::TooMany { retry_after: None }, K::RateLimitedOut),
        (error(500, "x"), K::ServerFailed),
        (html(502), K::ServerFailed),
        (html(200), K::NotJson),
        (empty, K::NotJson),
        (error(400, "x"), K::BadRequest),
        (detail, K::BadRequest),
        (html(404), K::BadRequest),
        (redirect, K::BadRequest),
        (html(401), K::Unauthorised),
        (html(403), K::Unauthorised),
        (error(429, "insufficient_quota"), K::QuotaExhausted),
        (Behaviour::Drop, K::Unreachable),
        (Behaviour::BrokenAnswer, K::Unreachable),
    ] {
        let server = TestServer::playing(vec![behaviour.clone()]).unwrap();
        let reply = client(&server, without_retries()).complete(&ask("x"), 0).await;
        assert_eq!(reply.outcome.kind(), kind, "{behaviour:?}");
        assert_eq!(server.received().len(), 1, "{behaviour:?}");
    }
}

#[tokio::test]
async fn a_filter_says_what_it_withheld_and_why() {
    let list = vec![Behaviour::FilterAzure, Behaviour::FilteredAnswer, Behaviour::FilterOpenAi];
    let server = TestServer::playing(list).unwrap();
    let client = client(&server, hasty());
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        outcomes.push(client.complete(&ask("x"), 0).await.outcome);
    }
    let filtered = |stage, categories| Outcome::ContentFiltered { stage, categories };
    let harm = vec!["self_harm".to_owned()];
    assert_eq!(
        outcomes,
        [
            filtered(FilterStage::Request, harm.clone()),
            filtered(FilterStage::Answer, harm),
            filtered(FilterStage::Request, vec![]),
        ]
    );
}

#[tokio::test]
async fn what_cannot_pass_is_not_tried_again() {
    for behaviour in [
        error(400, "x"),
        error(401, "x"),
        error(403, "x"),
        error(404, "x"),
        error(429, "insufficient_quota"),
        Behaviour::FilterAzure,
        Behaviour::Refusal("no".into()),
        Behaviour::Truncated("a".into()),
    ] {
        let server = TestServer::playing(vec![behaviour]).unwrap();
        let reply = client(&server, hasty()).complete(&ask("x"), 0).await;
        assert_eq!((reply.tries, server.received().len()), (1, 1), "{}", reply.outcome);
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_each_failure_is_remembered() {
    use OutcomeKind as K;
    let html = |status| Behaviour::Html { status, body: "<html>".to_owned() };
    let list = vec![
        Behaviour::TooMany { retry_after: None },
        html(200),
        html(503),
        Behaviour::Drop,
        Behaviour::BrokenAnswer,
        answer("at last"),
    ];
    let server = TestServer::playing(list).unwrap();
    let reply = client(&server, hasty()).complete(&ask("x"), 0).await;
    assert_eq!(text(&reply.outcome), Some("at last"));
    let failed = [K::RateLimitedOut, K::NotJson, K::ServerFailed, K::Unreachable, K::Unreachable];
    assert_eq!(reply.failed_tries, failed);
    assert_eq!((reply.tries, server.received().len()), (6, 6));
}

#[tokio::test]
async fn tries_end_with_the_last_failure() {
    let server = TestServer::playing(vec![error(500, "x")]).unwrap();
    let mut options = hasty();
    options.retry.max_retries = 2;
    let reply = client(&server, options).complete(&ask("x"), 0).await;
    assert_eq!((reply.outcome.kind(), reply.tries), (OutcomeKind::ServerFailed, 3));
}

#[tokio::test]
async fn retry_after_is_waited_for_as_seconds_and_as_a_date() {
    // A date has whole seconds, so two from now are more than one away.
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
    for header in ["1".to_owned(), date] {
        let list = vec![Behaviour::TooMany { retry_after: Some(header.clone()) }, answer("a")];
        let server = TestServer::playing(list).unwrap();
        let reply = client(&server, hasty()).complete(&ask("x"), 0).await;
        assert_eq!(reply.tries, 2);
        assert!(reply.elapsed >= millis(990), "{header}: {:?}", reply.elapsed);
    }
}

#[tokio::test]
async fn a_server_that_asks_for_hours_ends_the_call_at_once() {
    let wait = Behaviour::TooMany { retry_after: Some("7200".into()) };
    let server = TestServer::playing(vec![wait]).unwrap();
    let reply = client(&server, hasty()).complete(&ask("x"), 0).await;
    assert_eq!((reply.outcome.kind(), reply.tries), (OutcomeKind::RateLimitedOut, 1));
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_a_timeout() {
    let server = TestServer::playing(vec![delayed(millis(2_000), answer("late"))]).unwrap();
    let timeouts = Timeouts { connect: millis(500), total: millis(100) };
    let client = Client::new(endpoint(&server).with_timeouts(timeouts), without_retries()).unwrap();
    assert_eq!(client.complete(&ask("x"), 0).await.outcome, Outcome::Timeout);
}

#[tokio::test]
async fn nobody_at_the_port_is_unreachable_and_costs_nothing() {
    let server = TestServer::playing(vec![]).unwrap();
    let endpoint = endpoint(&server);
    drop(server);
    let client = Client::new(endpoint, without_retries()).unwrap();
    let reply = client.complete(&ask("x"), 0).await;
    assert_eq!(reply.outcome, Outcome::Unreachable { stage: TransportStage::Connecting });
    assert_eq!(client.spent().tokens.total(), 0);
}

#[tokio::test]
async fn a_failing_server_is_left_alone_and_probed_later() {
    let list = vec![error(500, "x"), error(500, "x"), error(500, "x"), answer("back")];
    let server = TestServer::playing(list).unwrap();
    let breaker = BreakerOptions { failures: 3, open_for: millis(200) };
    let client = client(&server, ClientOptions { breaker, ..without_retries() });
    for _ in 0..3 {
        assert_eq!(client.complete(&ask("x"), 0).await.outcome.kind(), OutcomeKind::ServerFailed);
    }
    let reply = client.complete(&ask("x"), 0).await;
    assert_eq!((reply.outcome, reply.tries), (Outcome::CircuitOpen, 0));
    assert_eq!(server.received().len(), 3);
    tokio::time::sleep(millis(220)).await;
    assert_eq!(text(&client.complete(&ask("x"), 0).await.outcome), Some("back"));
}

#[tokio::test]
async fn with_retries_left_a_call_waits_for_the_circuit() {
    let server = TestServer::playing(vec![error(500, "x"), error(500, "x"), answer("back")]).unwrap();
    let breaker = BreakerOptions { failures: 2, open_for: millis(150) };
    let reply = client(&server, ClientOptions { breaker, ..hasty() }).complete(&ask("x"), 0).await;
    assert_eq!(text(&reply.outcome), Some("back"));
    assert!(reply.failed_tries.contains(&OutcomeKind::CircuitOpen) && reply.elapsed >= millis(140));
}

#[tokio::test]
async fn the_budget_is_spent_by_usage_and_never_exceeded() {
    let server = TestServer::playing(vec![answer("a")]).unwrap();
    // Every request is estimated at 5 + 10 tokens and uses 10 + 5.
    let limits = Limits { tokens: Some(40), money: None };
    let price = Price { input: Money::units(1.0), output: Money::units(2.0) };
    let client = client(&server, ClientOptions { budget: Budget::new(limits, price), ..hasty() });
    let request = ask("four").limited(OutputLimit::MaxTokens(10));
    assert_eq!(Estimate::of([&request], price, 0).tokens.total(), 15);
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(client.complete(&request, 0).await.outcome.kind());
    }
    let (asked, denied) = (OutcomeKind::Answered, OutcomeKind::OverBudget);
    assert_eq!(kinds, [asked, asked, denied, denied]);
    assert_eq!(server.received().len(), 2);
    let spent = client.spent();
    assert_eq!((spent.tokens.input, spent.tokens.output, spent.estimated), (20, 10, 0));
    assert_eq!(spent.money, Money::units(40.0 / 1e6));
}

#[tokio::test]
async fn an_answer_without_usage_is_booked_as_estimated_and_a_refused_request_not_at_all() {
    let server = TestServer::playing(vec![Behaviour::Sparse("a".into()), error(400, "x")]).unwrap();
    let client = client(&server, hasty());
    let request = ask("four").limited(OutputLimit::MaxTokens(10));
    client.complete(&request, 0).await;
    client.complete(&request, 0).await;
    assert_eq!((client.spent().tokens.total(), client.spent().estimated), (15, 1));
}

#[tokio::test]
async fn a_reply_says_what_the_budget_booked_for_all_of_its_tries() {
    let play = vec![Behaviour::BrokenAnswer, answer("a"), error(400, "x")];
    let server = TestServer::playing(play).unwrap();
    let client = client(&server, hasty());
    let request = ask("four").limited(OutputLimit::MaxTokens(10));
    // The broken try counts as estimated, 5 and 10; the answer as the server says, 10 and 5.
    let reply = client.complete(&request, 0).await;
    assert_eq!((reply.tries, reply.booked), (2, Tokens { input: 15, output: 15 }));
    let refused = client.complete(&request, 0).await;
    assert_eq!(refused.booked, Tokens::default());
    assert_eq!(client.spent().tokens, reply.booked);
}

#[tokio::test]
async fn an_answer_in_the_cache_is_not_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.jsonl");
    let server = TestServer::start(|received| answer(&format!("answer {}", received.number))).unwrap();
    let client = cached(&server, &path, CacheMode::Use);
    let first = client.complete(&ask("x"), 0).await;
    let second = client.complete(&ask("x"), 0).await;
    let other_epoch = client.complete(&ask("x"), 1).await;
    assert_eq!((second.source, second.tries), (Source::Cache, 0));
    assert_eq!((&second.outcome, second.usage, &second.raw), (&first.outcome, first.usage, &first.raw));
    assert_eq!(text(&other_epoch.outcome), Some("answer 1"));
    drop(client);
    let refresh = cached(&server, &path, CacheMode::Refresh);
    assert_eq!(text(&refresh.complete(&ask("x"), 0).await.outcome), Some("answer 2"));
    drop(refresh);
    let off = cached(&server, &path, CacheMode::Off);
    assert_eq!(text(&off.complete(&ask("x"), 0).await.outcome), Some("answer 3"));
    drop(off);
    let again = cached(&server, &path, CacheMode::Use).complete(&ask("x"), 0).await;
    assert_eq!((again.source, text(&again.outcome)), (Source::Cache, Some("answer 2")));
}

#[tokio::test]
async fn only_complete_answers_are_cached() {
    for behaviour in [
        error(400, "x"),
        Behaviour::Truncated("a".into()),
        Behaviour::Refusal("no".into()),
        Behaviour::FilterAzure,
        Behaviour::FilteredAnswer,
        answer(""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.jsonl");
        let server = TestServer::playing(vec![behaviour.clone(), answer("now")]).unwrap();
        let client = cached(&server, &path, CacheMode::Use);
        client.complete(&ask("x"), 0).await;
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0, "{behaviour:?}");
        assert_eq!(text(&client.complete(&ask("x"), 0).await.outcome), Some("now"));
    }
}

#[tokio::test]
async fn the_same_request_asked_twice_at_once_is_sent_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = TestServer::playing(vec![delayed(millis(50), answer("a"))]).unwrap();
    let client = cached(&server, &folder.path().join("cache.jsonl"), CacheMode::Use);
    let request = ask("x");
    let (one, two) = tokio::join!(client.complete(&request, 0), client.complete(&request, 0));
    assert_eq!(one.outcome, two.outcome);
    assert_eq!((one.source, two.source), (Source::Server, Source::Cache));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_caller_who_goes_away_gives_the_place_back() {
    let server = TestServer::playing(vec![delayed(millis(5_000), answer("late")), answer("a")]).unwrap();
    let limiter = LimiterOptions { start: 1, min: 1, max: 1 };
    let client = client(&server, ClientOptions { limiter, ..hasty() });
    let gone = tokio::time::timeout(millis(100), client.complete(&ask("x"), 0)).await;
    assert!(gone.is_err());
    let next = tokio::time::timeout(millis(2_000), client.complete(&ask("x"), 0)).await;
    assert_eq!(text(&next.unwrap().outcome), Some("a"));
    assert_eq!(client.spent().estimated, 1);
}

fn schema() -> NamedSchema {
    NamedSchema { name: "label".to_owned(), schema: json!({ "type": "object" }) }
}

/// A server that takes no more structure than it says.
fn taking(most: StructuredMode) -> TestServer {
    TestServer::start(move |received| match received.request().structured_mode() {
        asked if asked >= most => answer("{}"),
        _ => Behaviour::Json {
            status: 400,
            body: json!({ "error": { "message": "response_format is not supported" } }),
        },
    })
    .unwrap()
}

#[tokio::test]
async fn structure_is_lowered_until_the_endpoint_takes_it_and_stays_so() {
    use StructuredMode as M;
    for (most, requests) in [(M::JsonSchema, 1), (M::JsonObject, 2), (M::Unstructured, 3)] {
        let server = taking(most);
        let client = client(&server, without_retries());
        let reply = client.complete(&ask("x").with_schema(&schema()), 0).await;
        assert_eq!((text(&reply.outcome), reply.structured), (Some("{}"), most));
        assert_eq!((reply.tries, server.received().len()), (requests, requests as usize));
        client.complete(&ask("y").with_schema(&schema()), 0).await;
        assert_eq!(server.received().len(), requests as usize + 1);
        assert_eq!(client.structured(), most);
    }
}

#[tokio::test]
async fn a_probe_finds_out_before_anything_is_asked() {
    let server = taking(StructuredMode::JsonObject);
    let client = client(&server, hasty());
    assert_eq!(client.probe_structured().await.structured, StructuredMode::JsonObject);
    let reply = client.complete(&ask("x").with_schema(&schema()), 0).await;
    assert_eq!((reply.tries, reply.structured), (1, StructuredMode::JsonObject));
}

#[tokio::test]
async fn another_bad_request_lowers_nothing() {
    let server = TestServer::playing(vec![error(400, "context_length_exceeded")]).unwrap();
    let client = client(&server, hasty());
    let reply = client.complete(&ask("x").with_schema(&schema()), 0).await;
    assert_eq!((reply.outcome.kind(), reply.tries), (OutcomeKind::BadRequest, 1));
    assert_eq!(client.structured(), StructuredMode::JsonSchema);
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn a_client_for_an_encrypted_endpoint_is_made_or_refused_without_panic() {
    let made = Client::new(Endpoint::new("https://example.invalid/v1", "m").unwrap(), hasty());
    if let Err(error) = made {
        eprintln!("SKIPPED: no certificates on this machine: {error}");
    }
}
