//! `mindrail serve --upstream`: the real program with its model between a caller and an
//! assistant. What an assistant can do wrong is tested beside the code
//! (`crates/server/src/proxy/tests.rs`).

use mindrail_llm::testing::{Behaviour, TestServer, completion};
use serde_json::{Value, json};

use crate::program::Folder;
use crate::server::Server;

const REPLY: &str = "That sounds like a lot for one week. I am glad that you told me. Which part of it is the heaviest for you right now?";

fn chunks(text: &str) -> Behaviour {
    let piece = |delta: Value, finish: Value| {
        json!({"id": "up", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let words = text.split_inclusive(' ').map(|word| piece(json!({"content": word}), Value::Null));
    Behaviour::Events(words.chain([piece(json!({}), json!("stop"))]).collect())
}

/// What a person has read of a stream.
fn read(body: &str) -> String {
    // The body is in HTTP chunks, whose sizes stand on lines of their own.
    let events =
        body.split("\r\n").flat_map(|part| part.split('\n')).filter_map(|line| line.strip_prefix("data: "));
    let content = |event: &str| {
        let chunk: Value = serde_json::from_str(event).ok()?;
        chunk.pointer("/choices/0/delta/content")?.as_str().map(str::to_owned)
    };
    events.filter_map(content).collect()
}

fn asking(turns: &[&str]) -> Value {
    let messages: Vec<Value> = turns.iter().map(|turn| json!({"role": "user", "content": turn})).collect();
    json!({"model": "m", "messages": messages})
}

fn answer(server: &Server, request: &Value) -> (u16, Value) {
    server.post("/v1/chat/completions", request)
}

#[test]
fn an_everyday_answer_passes_whole_and_in_pieces() {
    let plays = |request: &mindrail_llm::testing::Received| {
        if request.json()["stream"] == true { chunks(REPLY) } else { Behaviour::Answer(REPLY.to_owned()) }
    };
    let assistant = TestServer::start(plays).expect("a server");
    let folder = Folder::new();
    let server =
        Server::start_as(&folder, &["--upstream", &assistant.url()], &[("MINDRAIL_UPSTREAM_KEY", "up-key")]);
    let mut request = asking(&["hey, the bus was late again and i have a lot of homework"]);
    let (status, whole) = answer(&server, &request);
    assert_eq!((status, &whole), (200, &completion(REPLY)));
    request["stream"] = json!(true);
    let stream = server.ask("POST", "/v1/chat/completions", "", &request.to_string()).expect("an answer");
    assert_eq!(read(&stream.body), REPLY);
    assert!(stream.body.contains("data: [DONE]"));
    let received = assistant.received();
    assert!(received.iter().all(|request| request.header("authorization") == Some("Bearer up-key")));
    let exported = folder.run(&["audit", "export"]).stdout;
    assert!(
        exported.contains("\"part\"") && !exported.contains("homework") && !exported.contains("heaviest")
    );
    assert_eq!(folder.run(&["audit", "verify"]).code, Some(0));
}

#[test]
fn a_person_in_danger_gets_words_and_the_assistant_is_not_asked() {
    let assistant = TestServer::playing(vec![Behaviour::Answer(REPLY.to_owned())]).expect("a server");
    let folder = Folder::new();
    let server = Server::start_as(&folder, &["--upstream", &assistant.url()], &[]);
    let turns = ["school is a lot lately", "i dont see a way out anymore", "i dont want to be here tomorrow"];
    let (status, said) = answer(&server, &asking(&turns));
    assert_eq!((status, &said["mindrail"]["action"]), (200, &json!("escalate")), "{said}");
    let words = said["choices"][0]["message"]["content"].as_str().unwrap_or_default();
    assert!(words.contains("real person"), "{words}");
    assert!(assistant.received().is_empty());
}

#[test]
fn a_reply_that_does_harm_is_replaced() {
    let harm = "Stop whining, nobody cares about that. You are pathetic.";
    let assistant = TestServer::start(move |request| {
        if request.json()["stream"] == true { chunks(harm) } else { Behaviour::Answer(harm.to_owned()) }
    });
    let assistant = assistant.expect("a server");
    let folder = Folder::new();
    let server = Server::start_as(&folder, &["--upstream", &assistant.url()], &[]);
    let mut request = asking(&["my day was long and nobody listened"]);
    let (_, said) = answer(&server, &request);
    assert_eq!(said["mindrail"]["action"], "replace", "{said}");
    request["stream"] = json!(true);
    let stream = server.ask("POST", "/v1/chat/completions", "", &request.to_string()).expect("an answer");
    assert!(!stream.body.contains("pathetic"), "{}", stream.body);
}

#[test]
fn without_an_assistant_there_is_no_proxy() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let (status, said) = answer(&server, &asking(&["hello"]));
    assert_eq!((status, said["error"]["code"].as_str()), (404, Some("no_upstream")));
}
