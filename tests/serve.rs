//! The guard over HTTP: real requests to a real process, on each kind of store.

use serde_json::{Value, json};

use crate::server::{Place, demo, user};

#[test]
fn a_conversation_is_judged_turn_by_turn_as_it_is_judged_whole() {
    for place in Place::all() {
        let server = place.serve();
        let turns = demo();
        let (status, whole) = server.guard(&json!({"messages": turns}));
        assert_eq!(status, 200, "{whole}");
        let mut newest = Value::Null;
        for (place, turn) in turns.iter().enumerate() {
            let (status, answer) = server.guard(&json!({"conversation_id": "c-1", "messages": [turn]}));
            assert_eq!((status, &answer["scanned"]), (200, &json!({"first": place, "turns": 1})), "{answer}");
            newest = answer;
        }
        for field in ["risk", "high_risk", "signals", "verdict", "language", "resources", "model", "policy"] {
            assert_eq!(newest[field], whole[field], "{field}");
        }
        assert_eq!(newest["conversation"]["turns"], turns.len());
        assert_eq!(newest["turns"][0], whole["turns"][turns.len() - 1]);
        assert_ne!(whole["verdict"]["action"], "allow");
    }
}

#[test]
fn turns_that_come_again_are_known_and_turns_that_are_missing_or_changed_are_refused() {
    for place in Place::all() {
        let server = place.serve();
        let ask = |first: usize, turns: &[&str]| {
            let messages: Vec<Value> = turns.iter().map(|text| user(text)).collect();
            let (status, answer) =
                server.guard(&json!({"conversation_id": "c", "first_turn": first, "messages": messages}));
            (status, answer["error"]["code"].as_str().unwrap_or_default().to_owned(), answer)
        };
        assert_eq!(ask(0, &["hello there", "it was a long day"]).0, 200);
        let (status, _, again) = ask(1, &["it was a long day", "and the bus was late"]);
        assert_eq!((status, &again["scanned"]), (200, &json!({"first": 2, "turns": 1})));
        assert_eq!(ask(5, &["later"]).1, "turns_missing");
        let (status, code, said) = ask(0, &["zebra", "it was a long day", "and the bus was late"]);
        assert_eq!((status, code.as_str()), (409, "turns_differ"));
        assert!(!said.to_string().contains("zebra"), "{said}");
        assert_eq!(ask(0, &["hello there"]).1, "ends_early");
    }
}

#[test]
fn an_idempotency_key_gets_the_same_answer_again_and_nothing_is_decided_twice() {
    for place in Place::all() {
        let server = place.serve();
        let ask = |text: &str| {
            let body = json!({"conversation_id": "c", "messages": [user(text)]}).to_string();
            server.ask("POST", "/v1/guard", "Idempotency-Key: k-1\r\n", &body).expect("an answer")
        };
        let first = ask("it was a long day");
        assert_eq!((first.status, ask("it was a long day").body), (200, first.body));
        assert_eq!(ask("it was another day").status, 422);
        drop(server);
        let ran = place.run(&["audit", "verify"]);
        assert!(ran.stdout.starts_with("1:"), "{} {}", ran.stdout, ran.stderr);
    }
}

#[test]
fn replies_are_ranked_and_the_conversation_does_not_go_on_with_them() {
    for place in Place::all() {
        let server = place.serve();
        let (status, _) = server.guard(&json!({"conversation_id": "c", "messages": demo()}));
        assert_eq!(status, 200);
        let candidates = [
            "Stop whining, nobody cares about that.",
            "I am really glad that you told me. Are you safe right now?",
        ];
        let (status, answer) =
            server.post("/v1/guard/reply", &json!({"conversation_id": "c", "candidates": candidates}));
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            (&answer["best"], answer["candidates"][1]["place"].as_u64()),
            (&json!(1), Some(0)),
            "{answer}"
        );
        let (_, next) = server.guard(&json!({"conversation_id": "c", "messages": [user("yes")]}));
        assert_eq!(next["scanned"]["first"], 4, "{next}");
        let (status, answer) =
            server.post("/v1/guard/reply", &json!({"conversation_id": "d", "candidates": ["hi"]}));
        assert_eq!((status, answer["error"]["code"].as_str()), (404, Some("unknown_conversation")));
    }
}

#[test]
fn bad_requests_are_told_by_code_and_place_and_never_by_their_words() {
    for place in Place::all() {
        let server = place.serve();
        let large = format!("{{\"messages\": [\"{}\"]}}", "zebra ".repeat(1 << 20));
        for (method, path, body, status, code) in [
            ("POST", "/v1/guard", "zebra", 400, "invalid_json"),
            ("POST", "/v1/guard", "{\"messages\": \"zebra\"}", 422, "invalid_request"),
            ("POST", "/v1/guard", "{\"messages\": [], \"zebra\": 1}", 422, "invalid_request"),
            ("POST", "/v1/guard", "{\"messages\": []}", 422, "invalid_request"),
            (
                "POST",
                "/v1/guard",
                "{\"messages\": [{\"role\": \"zebra\", \"content\": \"x\"}]}",
                422,
                "invalid_request",
            ),
            ("POST", "/v1/guard", large.as_str(), 413, "too_large"),
            ("GET", "/v1/guard", "", 405, "method_not_allowed"),
            ("GET", "/zebra", "", 404, "not_found"),
        ] {
            let Ok(answer) = server.ask(method, path, "", body) else {
                // The server may close the connection before it has read a body this large.
                assert_eq!(status, 413);
                continue;
            };
            assert_eq!(answer.status, status, "{path}: {}", answer.body);
            let said: Value = serde_json::from_str(&answer.body).expect("JSON");
            assert_eq!(said["error"]["code"], code);
            assert!(!answer.body.contains("zebra"), "{}", answer.body);
        }
        assert_eq!(server.ask("GET", "/readyz", "", "").expect("an answer").status, 200);
        let metrics = server.ask("GET", "/metrics", "", "").expect("an answer").body;
        assert!(metrics.contains("mindrail_requests_total{result=\"refused\"} 6\n"), "{metrics}");
    }
}

#[test]
fn an_error_says_of_which_field_and_of_which_kind_what_was_found_is() {
    let place = Place::file();
    let server = place.serve();
    let said = |request: &Value| {
        let (status, answer) = server.guard(request);
        assert_eq!(status, 422, "{answer}");
        answer["error"]["message"].as_str().expect("a message").to_owned()
    };
    let messages = json!([user("hello there")]);
    let cases = [
        (json!({"messages": "hello"}), "messages: ", "found a string"),
        (json!({"messages": messages, "age": "16"}), "age: ", "found a string"),
        (json!({"messages": messages, "age": 400}), "age: ", "found a value out of range"),
        (json!({"messages": messages, "country": "ca"}), "country: ", "found a code of another form"),
        (json!({"messages": messages, "conversationId": "c"}), "", "found a field that is not known"),
        (json!({}), "", "found an object that lacks a field"),
    ];
    for (request, field, found) in cases {
        let said = said(&request);
        assert!(said.starts_with(field) && said.contains(found), "{request}: {said}");
    }
}

#[test]
fn a_reply_without_words_is_not_evaluated_and_not_shown() {
    let place = Place::file();
    let server = place.serve();
    let request = json!({"messages": [user("hello there")], "candidates": ["", "Hello! How are you?"]});
    let (status, answer) = server.post("/v1/guard/reply", &request);
    assert_eq!((status, &answer["best"]), (200, &json!(1)), "{answer}");
    let last = &answer["candidates"][1];
    assert_eq!((&last["place"], &last["action"]), (&json!(0), &json!("revise")), "{answer}");
    assert_eq!(last["not_evaluated"][0]["reason"], "empty_turn", "{answer}");
}

#[test]
fn a_start_that_is_refused_leaves_no_store_behind() {
    let place = Place::file();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for arguments in [&["serve", "--listen", &address][..], &["serve", "--listen", "0.0.0.0:0"]] {
        let ran = place.run(arguments);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        assert!(!place.folder.path("mindrail.db").exists(), "{}", ran.stderr);
    }
    assert_eq!(place.run(&["serve", "--keep-days", "0"]).code, Some(2));
    place.folder.write("empty.db", "");
    let ran = place.run(&["audit", "verify", "--store", "empty.db"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("the file is empty"), "{}", ran.stderr);
}

#[test]
fn with_a_key_nobody_else_is_answered_and_without_one_only_this_machine() {
    for place in Place::all() {
        let server = place.serve_with(&[], &[("MINDRAIL_API_KEY", "a-long-secret")]);
        let body = json!({"messages": [user("hello there")]}).to_string();
        let status =
            |headers: &str| server.ask("POST", "/v1/guard", headers, &body).expect("an answer").status;
        assert_eq!(status(""), 401);
        assert_eq!(status("Authorization: Bearer another\r\n"), 401);
        let refused = server.ask("POST", "/v1/guard", "", &body).expect("an answer");
        assert!(refused.headers.contains("www-authenticate: Bearer"), "{}", refused.headers);
        assert_eq!(status("Authorization: bearer a-long-secret\r\n"), 200);
        let ran = place.run(&["serve", "--listen", "0.0.0.0:0"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("MINDRAIL_API_KEY"), "{}", ran.stderr);
    }
}

#[test]
fn no_word_of_a_conversation_is_in_the_store_and_erasing_leaves_the_trail_whole() {
    let place = Place::file();
    let server = place.serve();
    let body = json!({"conversation_id": "name-of-it", "messages": [user("zebras drank the tea again")]});
    let answer = server.ask("POST", "/v1/guard", "Idempotency-Key: k\r\n", &body.to_string());
    assert_eq!(answer.expect("an answer").status, 200);
    drop(server);
    let bytes = || {
        ["mindrail.db", "mindrail.db-wal"]
            .iter()
            .flat_map(|name| std::fs::read(place.folder.path(name)).unwrap_or_default())
            .collect::<Vec<u8>>()
    };
    let holds = |word: &str| bytes().windows(word.len()).any(|window| window == word.as_bytes());
    assert!(!holds("zebras") && holds("name-of-it"));
    let before = place.run(&["audit", "verify"]).stdout;
    let erased = place.run(&["audit", "erase", "name-of-it"]);
    assert_eq!(erased.stdout, "1 sessions and the ties of 1 entries\n");
    assert!(!holds("name-of-it"));
    let after = place.run(&["audit", "verify", "--at-least", before.trim()]);
    assert_eq!((after.code, after.stdout), (Some(0), before));
    let export = place.run(&["audit", "export"]).stdout;
    assert!(export.contains("\"sequence\":1") && !export.contains("name-of-it"), "{export}");
    let missing = place.run(&["audit", "verify", "--at-least", &format!("7:{}", "0".repeat(64))]);
    assert_eq!(missing.code, Some(3), "{}", missing.stdout);
}

#[test]
fn messages_are_read_as_openai_writes_them_and_what_is_no_text_is_said() {
    for place in Place::all() {
        let server = place.serve();
        let messages = json!([
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "it was a long day"}, {"type": "image_url", "image_url": {}}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "t", "function": {"name": "f"}}]},
            {"role": "tool", "tool_call_id": "t", "content": "sunny"},
        ]);
        let (status, answer) = server.guard(&json!({"messages": messages}));
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["conversation"]["turns"], 4);
        let reasons: Vec<&str> = answer["not_evaluated"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|e| e["reason"].as_str())
            .collect();
        assert!(reasons.contains(&"non_text_part"), "{answer}");
        let (status, answer) = server.guard(&json!({"messages": [{"role": "user", "content": 7}]}));
        assert_eq!((status, answer["error"]["code"].as_str()), (422, Some("invalid_request")));
        assert!(
            answer["error"]["message"]
                .as_str()
                .is_some_and(|m| m.starts_with("messages[0].content: found a number")),
            "{answer}"
        );
    }
}
