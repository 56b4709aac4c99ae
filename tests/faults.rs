//! What goes wrong around `mindrail serve`: it is killed, its database goes away,
//! callers dawdle, two replicas take one conversation further.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Place, Server, user};

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

/// Kills a server that clients are asking, at another moment in each round, and holds
/// what the clients were answered against the trail.
fn kill_in_rounds(place: &Place, rounds: u64) {
    const CLIENTS: usize = 3;
    let acknowledged = Mutex::new(Acknowledged::new());
    for round in 0..rounds {
        let mut server = place.serve();
        let (stop, began) = (AtomicBool::new(false), Instant::now());
        let answered = || acknowledged.lock().expect("no panic").len();
        let before = answered();
        let pid = server.child.id().to_string();
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (server, stop, log) = (&server, &stop, &acknowledged);
                scope.spawn(move || ask_until_killed(server, client, stop, log));
            }
            while answered() == before && began.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(37 * round % 110));
            let killed = Command::new("kill").args(["-9", &pid]).status().expect("kill");
            assert!(killed.success());
            stop.store(true, Ordering::Relaxed);
        });
        let _ = server.child.wait();
    }
    let verified = place.run(&["audit", "verify"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stderr);
    let kept: Acknowledged = place.run(&["audit", "export"]).stdout.lines().map(decision).collect();
    let acknowledged = acknowledged.into_inner().expect("no panic");
    assert!(acknowledged.len() as u64 > rounds, "only {} decisions", acknowledged.len());
    for (sequence, action) in &acknowledged {
        assert_eq!(kept.get(sequence), Some(action), "decision {sequence} was answered");
    }
    // At most what each client had asked when the server died was written unanswered.
    let unanswered = kept.len() - acknowledged.len();
    assert!(unanswered <= CLIENTS * rounds as usize, "{unanswered} decisions nobody asked for");
}

/// Number and action of an exported entry.
fn decision(line: &str) -> (u64, String) {
    let entry: Value = serde_json::from_str(line).expect("JSON");
    let action = entry["action"].as_str().expect("an action").to_owned();
    (entry["sequence"].as_u64().expect("a number"), action)
}

#[test]
fn a_server_that_is_killed_a_hundred_times_loses_no_decision_that_it_has_answered() {
    kill_in_rounds(&Place::file(), 100);
}

#[test]
fn on_postgresql_a_server_that_is_killed_again_and_again_loses_none_either() {
    if let Some(place) = Place::postgres() {
        kill_in_rounds(&place, 20);
    }
}

#[test]
fn two_replicas_on_one_database_take_a_conversation_further_in_turn_and_the_trail_holds() {
    let Some(place) = Place::postgres() else { return };
    let replicas = &[place.serve(), place.serve()];
    let mut newest = Value::Null;
    for (turn, text) in
        ["hey", "school is a lot lately", "i dont see a way out anymore", "thanks"].iter().enumerate()
    {
        let request = json!({"conversation_id": "c", "messages": [user(text)]});
        let (status, answer) = replicas[turn % 2].guard(&request);
        assert_eq!((status, &answer["scanned"]["first"]), (200, &json!(turn)), "{answer}");
        newest = answer;
    }
    let whole: Vec<Value> =
        ["hey", "school is a lot lately", "i dont see a way out anymore", "thanks"].map(user).into();
    let (_, at_once) = replicas[0].guard(&json!({"messages": whole}));
    assert_eq!((&newest["risk"], &newest["verdict"]), (&at_once["risk"], &at_once["verdict"]));
    let request = &json!({"conversation_id": "c", "first_turn": 4, "messages": [user("one more thing")]});
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let ask = |at: usize| scope.spawn(move || replicas[at % 2].guard(request));
        let threads: Vec<_> = (0..8).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    // Whoever came later found the turn known, or was told that the conversation went on.
    for (status, answer) in &answers {
        let code = answer["error"]["code"].as_str();
        assert!(*status == 200 || code == Some("conversation_went_on"), "{status} {answer}");
    }
    let scanned: u64 = answers.iter().filter_map(|(_, answer)| answer["scanned"]["turns"].as_u64()).sum();
    assert_eq!(scanned, 1, "the turn was scanned once");
    assert_eq!(place.run(&["audit", "verify"]).code, Some(0));
}

#[test]
fn a_caller_that_sends_its_headers_too_slowly_is_let_go_and_others_are_answered_meanwhile() {
    let place = Place::file();
    let server = place.serve();
    let mut slow = TcpStream::connect(&server.address).expect("a connection");
    slow.write_all(b"POST /v1/guard HTTP/1.1\r\nHost: localhost\r\n").expect("sent");
    slow.set_read_timeout(Some(Duration::from_mins(1))).expect("set");
    let began = Instant::now();
    assert_eq!(server.guard(&json!({"messages": [user("hello there")]})).0, 200);
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(!String::from_utf8_lossy(&rest).contains(" 200 "));
}

#[test]
fn a_server_that_is_told_to_end_answers_what_it_has_begun_and_ends_though_callers_hold_on() {
    let place = Place::file();
    let mut server = place.serve();
    let idle = TcpStream::connect(&server.address).expect("a connection");
    let address = server.address.clone();
    let slow = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(address).expect("a connection");
        let body = json!({"messages": [user("hello there")]}).to_string();
        let head = format!(
            "POST /v1/guard HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        std::thread::sleep(Duration::from_millis(800));
        stream.write_all(body.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    });
    std::thread::sleep(Duration::from_millis(300));
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    let began = Instant::now();
    assert!(slow.join().expect("no panic").starts_with("HTTP/1.1 200"), "what had begun is answered");
    assert!(server.child.wait().expect("it ends").success());
    assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
    drop(idle);
}
