//! `mindrail serve` and `mindrail audit`: real requests to a real process, which is
//! killed in the middle.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::program::Folder;

/// A server on a free port, with its store in a folder.
pub(crate) struct Server {
    child: Child,
    address: String,
}

/// An answer from the wire.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Server {
    pub(crate) fn start(folder: &Folder) -> Self {
        Self::start_with(folder, &[])
    }

    pub(crate) fn start_with(folder: &Folder, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mindrail"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .current_dir(folder.path(""))
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        let address = line.trim().rsplit("http://").next().expect("an address").to_owned();
        // What it says later must not fill the pipe.
        std::thread::spawn(move || said.read_to_string(&mut String::new()));
        Self { child, address }
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let cut = || std::io::Error::other("the answer is cut");
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(cut)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(cut)?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if length.is_some_and(|length: usize| length != body.len()) {
            return Err(cut());
        }
        Ok(Answer { status, body: body.to_owned() })
    }

    fn post(&self, path: &str, request: &Value) -> (u16, Value) {
        let answer = self.ask("POST", path, "", &request.to_string()).expect("an answer");
        (answer.status, serde_json::from_str(&answer.body).expect("JSON"))
    }

    fn guard(&self, request: &Value) -> (u16, Value) {
        self.post("/v1/guard", request)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn demo() -> Vec<Value> {
    let turns =
        ["hey", "school is a lot lately", "i dont see a way out anymore", "i dont want to be here tomorrow"];
    turns.map(user).into()
}

#[test]
fn a_conversation_is_judged_turn_by_turn_as_it_is_judged_whole() {
    let folder = Folder::new();
    let server = Server::start(&folder);
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

#[test]
fn turns_that_come_again_are_known_and_turns_that_are_missing_or_changed_are_refused() {
    let folder = Folder::new();
    let server = Server::start(&folder);
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

#[test]
fn an_idempotency_key_gets_the_same_answer_again_and_nothing_is_decided_twice() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let ask = |text: &str| {
        let body = json!({"conversation_id": "c", "messages": [user(text)]}).to_string();
        server.ask("POST", "/v1/guard", "Idempotency-Key: k-1\r\n", &body).expect("an answer")
    };
    let first = ask("it was a long day");
    assert_eq!((first.status, ask("it was a long day").body), (200, first.body));
    assert_eq!(ask("it was another day").status, 422);
    drop(server);
    let ran = folder.run(&["audit", "verify"]);
    assert!(ran.stdout.starts_with("1:"), "{} {}", ran.stdout, ran.stderr);
}

#[test]
fn replies_are_ranked_and_the_conversation_does_not_go_on_with_them() {
    let folder = Folder::new();
    let server = Server::start(&folder);
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

#[test]
fn bad_requests_are_told_by_code_and_place_and_never_by_their_words() {
    let folder = Folder::new();
    let server = Server::start(&folder);
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

#[test]
fn with_a_key_nobody_else_is_answered_and_without_one_only_this_machine() {
    let folder = Folder::new();
    let server = Server::start_with(&folder, &[("MINDRAIL_API_KEY", "a-long-secret")]);
    let body = json!({"messages": [user("hello there")]}).to_string();
    let status = |headers: &str| server.ask("POST", "/v1/guard", headers, &body).expect("an answer").status;
    assert_eq!(status(""), 401);
    assert_eq!(status("Authorization: Bearer another\r\n"), 401);
    assert_eq!(status("Authorization: bearer a-long-secret\r\n"), 200);
    let ran = folder.run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("MINDRAIL_API_KEY"), "{}", ran.stderr);
}

#[test]
fn no_word_of_a_conversation_is_in_the_store_and_erasing_leaves_the_trail_whole() {
    let folder = Folder::new();
    let server = Server::start(&folder);
    let body = json!({"conversation_id": "name-of-it", "messages": [user("zebras drank the tea again")]});
    let answer = server.ask("POST", "/v1/guard", "Idempotency-Key: k\r\n", &body.to_string());
    assert_eq!(answer.expect("an answer").status, 200);
    drop(server);
    let bytes = || {
        ["mindrail.db", "mindrail.db-wal"]
            .iter()
            .flat_map(|name| std::fs::read(folder.path(name)).unwrap_or_default())
            .collect::<Vec<u8>>()
    };
    let holds = |word: &str| bytes().windows(word.len()).any(|window| window == word.as_bytes());
    assert!(!holds("zebras") && holds("name-of-it"));
    let before = folder.run(&["audit", "verify"]).stdout;
    let erased = folder.run(&["audit", "erase", "name-of-it"]);
    assert_eq!(erased.stdout, "1 sessions and the ties of 1 entries\n");
    assert!(!holds("name-of-it"));
    let after = folder.run(&["audit", "verify", "--at-least", before.trim()]);
    assert_eq!((after.code, after.stdout), (Some(0), before));
    let export = folder.run(&["audit", "export"]).stdout;
    assert!(export.contains("\"sequence\":1") && !export.contains("name-of-it"), "{export}");
    let missing = folder.run(&["audit", "verify", "--at-least", &format!("7:{}", "0".repeat(64))]);
    assert_eq!(missing.code, Some(3), "{}", missing.stdout);
}

/// What a client wrote down of each answer it got.
type Acknowledged = BTreeMap<u64, String>;

/// Asks as fast as it can until the server is gone, and writes down what was answered.
fn ask_until_killed(server: &Server, client: usize, stop: &AtomicBool, log: &Mutex<Acknowledged>) {
    for number in 0.. {
        let id = format!("conversation-{client}-{}", number / 5);
        let body = json!({"conversation_id": id, "messages": [user("it was a long day")]}).to_string();
        let Ok(answer) = server.ask("POST", "/v1/guard", "", &body) else { break };
        let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
        let sequence = answer["decision"].as_u64().expect("a decision");
        let action = answer["verdict"]["action"].as_str().expect("an action").to_owned();
        assert_eq!(log.lock().expect("no panic").insert(sequence, action), None, "a number was given twice");
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
}

#[test]
fn a_server_that_is_killed_again_and_again_loses_no_decision_that_it_has_answered() {
    let folder = Folder::new();
    let acknowledged = Mutex::new(Acknowledged::new());
    for round in 0..8_u64 {
        let mut server = Server::start(&folder);
        let stop = AtomicBool::new(false);
        let pid = server.child.id().to_string();
        std::thread::scope(|scope| {
            for client in 0..3 {
                let (server, stop, log) = (&server, &stop, &acknowledged);
                scope.spawn(move || ask_until_killed(server, client, stop, log));
            }
            // At another moment each time.
            std::thread::sleep(Duration::from_millis(40 + 37 * round % 150));
            let killed = Command::new("kill").args(["-9", &pid]).status().expect("kill");
            assert!(killed.success());
            stop.store(true, Ordering::Relaxed);
        });
        let _ = server.child.wait();
    }
    let verified = folder.run(&["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    let kept: Acknowledged = folder
        .run(&["audit", "export"])
        .stdout
        .lines()
        .map(|line| {
            let entry: Value = serde_json::from_str(line).expect("JSON");
            (
                entry["sequence"].as_u64().expect("a number"),
                entry["action"].as_str().expect("an action").to_owned(),
            )
        })
        .collect();
    let acknowledged = acknowledged.into_inner().expect("no panic");
    assert!(acknowledged.len() > 8, "only {} decisions", acknowledged.len());
    for (sequence, action) in &acknowledged {
        assert_eq!(kept.get(sequence), Some(action), "decision {sequence} was answered");
    }
    // At most what each client had asked when the server died was written unanswered.
    assert!(kept.len() <= acknowledged.len() + 3 * 8, "{} against {}", kept.len(), acknowledged.len());
}
