//! Answers in pieces.

use super::*;

fn piece(text: &str) -> serde_json::Value {
    json!({ "choices": [{ "index": 0, "delta": { "content": text } }] })
}

fn last(reason: &str) -> serde_json::Value {
    json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] })
}

fn usage() -> serde_json::Value {
    json!({ "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 2 } })
}

async fn stream(behaviour: Behaviour) -> (Vec<serde_json::Value>, mindrail_llm::stream::Streamed) {
    let server = TestServer::playing(vec![behaviour]).unwrap();
    let client = client(&server, hasty());
    let mut stream = client.stream(&ask("x")).await.unwrap();
    assert_eq!(server.received()[0].json()["stream"], json!(true));
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        chunks.push(chunk);
    }
    (chunks, stream.finish().await)
}

#[tokio::test]
async fn pieces_are_handed_on_and_put_together() {
    let thought = json!({ "choices": [{ "delta": { "reasoning_content": "hm" } }] });
    let sent = vec![thought, piece("hel"), piece("lo"), last("stop"), usage()];
    let (chunks, streamed) = stream(Behaviour::Events(sent.clone())).await;
    assert_eq!(chunks, sent);
    let given = streamed.outcome.answer().unwrap();
    assert_eq!((given.text.as_str(), given.reasoning.as_deref()), ("hello", Some("hm")));
    assert_eq!((streamed.usage.input, streamed.usage.output), (Some(3), Some(2)));
}

#[tokio::test]
async fn a_stream_is_whole_with_its_reason_and_cut_without() {
    let line = |value: serde_json::Value| format!("data: {value}\r\n\r\n: ping\r\n").into_bytes();
    let whole = [line(piece("é")), line(last("stop"))];
    let split: Vec<Vec<u8>> = whole.concat().chunks(7).map(<[u8]>::to_vec).collect();
    let (_, streamed) = stream(Behaviour::RawEvents(split)).await;
    assert_eq!(text(&streamed.outcome), Some("é"), "[DONE] is missing, the reason is not");
    let cut = Outcome::Unreachable { stage: TransportStage::Answering };
    for behaviour in [
        Behaviour::RawEvents(vec![line(piece("never"))]),
        Behaviour::BrokenEvents(vec![line(piece("never"))]),
        Behaviour::BrokenEvents(vec![line(piece("never")), b"data: {\"choi".to_vec()]),
    ] {
        let (chunks, streamed) = stream(behaviour).await;
        assert_eq!((chunks.len(), streamed.outcome), (1, cut.clone()));
    }
}

#[tokio::test]
async fn a_stream_may_end_in_a_filter_a_limit_or_an_error() {
    use OutcomeKind as K;
    let failure = json!({ "error": { "message": "m", "code": 502 } });
    for (sent, kind) in [
        (vec![piece("a"), last("length")], K::Truncated),
        (vec![piece("a"), last("content_filter")], K::ContentFiltered),
        (vec![piece("a"), failure], K::ServerFailed),
        (vec![piece("a"), json!("odd")], K::NotJson),
    ] {
        assert_eq!(stream(Behaviour::Events(sent)).await.1.outcome.kind(), kind);
    }
}

#[tokio::test]
async fn where_no_stream_begins_the_outcome_says_why() {
    for (behaviour, kind) in [
        (Behaviour::TooMany { retry_after: None }, OutcomeKind::RateLimitedOut),
        (Behaviour::FilterAzure, OutcomeKind::ContentFiltered),
        (Behaviour::Html { status: 200, body: "<html>".into() }, OutcomeKind::NotJson),
        (Behaviour::Drop, OutcomeKind::Unreachable),
    ] {
        let server = TestServer::playing(vec![behaviour]).unwrap();
        let client = client(&server, hasty());
        let outcome = client.stream(&ask("x")).await.err().unwrap();
        assert_eq!(outcome.kind(), kind);
    }
}
