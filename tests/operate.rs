//! What an operator sets: tenants and their keys, policies that change under way, TLS,
//! webhooks.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use ring::hmac;
use serde_json::{Value, json};

use crate::program::{Folder, repository};
use crate::server::{Place, Server, demo, user};

const TWO_TENANTS: &str = "[tenants.north]\n[tenants.south]\n";

/// Makes a key, and gives its name and itself.
fn make_key(place: &Place, arguments: &[&str]) -> (String, String) {
    let ran = place.run(&[&["keys", "make"], arguments].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let (id, key) = ran.stdout.trim().split_once('\t').expect("a name and a key");
    (id.to_owned(), key.to_owned())
}

fn serve_two(place: &Place) -> Server {
    place.folder.write("mindrail.toml", TWO_TENANTS);
    place.serve_with(&["--config", "mindrail.toml"], &[])
}

#[test]
fn tenants_cannot_see_each_other() {
    for place in Place::all() {
        let north = make_key(&place, &["--tenant", "north"]).1;
        let south = make_key(&place, &["--tenant", "south"]).1;
        let server = serve_two(&place);
        let ask = |key: &str, text: &str| {
            server.post_as(key, "/v1/guard", &json!({"conversation_id": "c", "messages": [user(text)]}))
        };
        assert_eq!(ask(&north, "hello there").1["scanned"]["first"], 0);
        assert_eq!(ask(&south, "it was a long day").1["scanned"]["first"], 0, "another conversation");
        assert_eq!(ask(&north, "and the bus was late").1["scanned"]["first"], 1);
        let replies = json!({"conversation_id": "only-north", "candidates": ["hi"]});
        ask(&north, "x");
        let named = json!({"conversation_id": "only-north", "messages": [user("hello there")]});
        assert_eq!(server.post_as(&north, "/v1/guard", &named).0, 200);
        assert_eq!(server.post_as(&north, "/v1/guard/reply", &replies).0, 200);
        let (status, answer) = server.post_as(&south, "/v1/guard/reply", &replies);
        assert_eq!((status, answer["error"]["code"].as_str()), (404, Some("unknown_conversation")));
        let once = |key: &str, text: &str| {
            let headers = format!("Authorization: Bearer {key}\r\nIdempotency-Key: k\r\n");
            let body = json!({"messages": [user(text)]}).to_string();
            server.ask("POST", "/v1/guard", &headers, &body).expect("an answer").status
        };
        assert_eq!((once(&north, "hello there"), once(&south, "good morning")), (200, 200));
        // Erasing under one name leaves the other's conversation of the same name.
        assert_eq!(
            place.run(&["audit", "erase", "--tenant", "south", "c"]).stdout,
            "1 sessions and the ties of 1 entries\n"
        );
        assert_eq!(ask(&north, "one more").1["scanned"]["first"], 3);
    }
}

#[test]
fn a_key_is_made_for_a_tenant_that_can_be_and_is_in_the_configuration_that_is_named() {
    let place = Place::file();
    place.folder.write("mindrail.toml", TWO_TENANTS);
    let make = |arguments: &[&str]| place.run(&[&["keys", "make"], arguments].concat());
    for (arguments, said) in [
        (&["--tenant", "bad name!"][..], "expected 1 to 64 letters"),
        (&["--tenant", "west", "--config", "mindrail.toml"], "names no tenant"),
        (&["--config", "mindrail.toml"], "names no tenant"),
    ] {
        let ran = make(arguments);
        assert!(ran.code == Some(1) && ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
    let ran = make(&["--tenant", "north", "--config", "mindrail.toml"]);
    assert!(ran.code == Some(0) && ran.stderr.contains("there was no such store"), "{}", ran.stderr);
}

#[test]
fn a_key_opens_its_scopes_until_it_is_revoked_and_no_more_often_than_its_rate() {
    for place in Place::all() {
        let (id, key) = make_key(&place, &["--scopes", "guard", "--per-minute", "3"]);
        let (_, report) = make_key(&place, &["--scopes", "report"]);
        let (_, elsewhere) = make_key(&place, &["--tenant", "elsewhere"]);
        let server = place.serve();
        let request = json!({"messages": [user("hello there")]});
        let ask = |key: &str| server.post_as(key, "/v1/guard", &request);
        let code = |answer: &(u16, Value)| (answer.0, answer.1["error"]["code"].as_str().map(str::to_owned));
        assert_eq!(ask("").0, 401);
        assert_eq!(code(&ask("mr_nobody")), (401, Some("unauthorized".to_owned())));
        assert_eq!(code(&ask(&report)), (403, Some("scope_missing".to_owned())));
        assert_eq!(code(&ask(&elsewhere)), (403, Some("tenant_unknown".to_owned())));
        for _ in 0..3 {
            assert_eq!(ask(&key).0, 200);
        }
        let headers = format!("Authorization: Bearer {key}\r\n");
        let limited = server.ask("POST", "/v1/guard", &headers, &request.to_string()).expect("an answer");
        assert_eq!(limited.status, 429);
        let wait =
            limited.headers.lines().find_map(|line| line.strip_prefix("retry-after: ")).expect("a wait");
        assert!((1..=20).contains(&wait.parse::<u64>().expect("seconds")), "{wait}");
        assert_eq!(place.run(&["keys", "revoke", &id]).code, Some(0));
        let listed = place.run(&["keys", "list"]).stdout;
        assert!(listed.contains("revoked") && !listed.contains(&key), "{listed}");
        std::thread::sleep(Duration::from_millis(5_100));
        assert_eq!(ask(&key).0, 401);
        assert_eq!(place.run(&["keys", "revoke", &id]).code, Some(1));
    }
}

/// Asks until something holds; it is looked every second whether files have changed.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_policy_that_changes_is_taken_up_and_a_bad_one_leaves_the_old_and_says_so() {
    let place = Place::file();
    let policy =
        std::fs::read_to_string(repository("crates/core/src/policy/default.toml")).expect("the policy");
    place.folder.write("own.toml", &policy);
    place.folder.write("mindrail.toml", "[tenants.default]\npolicy = \"own.toml\"\n");
    let server = place.serve_with(&["--config", "mindrail.toml"], &[]);
    let hash = || {
        let (status, answer) = server.guard(&json!({"messages": [user("hello there")]}));
        assert_eq!(status, 200, "{answer}");
        answer["policy"]["sha256"].as_str().expect("a hash").to_owned()
    };
    let first = hash();
    let other = policy.replacen("release = 0.5", "release = 0.25", 1);
    place
        .folder
        .write("own.toml", other.replacen("rule = \"on\"\nat_high_risk", "rule = \"off\"\nat_high_risk", 1));
    eventually("the policy changes", || hash() != first);
    let warning = "tenant default: rules about the person are off: risk";
    eventually("a rule that is off is told", || server.said().iter().any(|line| line.contains(warning)));
    let second = hash();
    place.folder.write("own.toml", "version = 1");
    eventually("the fault is told", || server.said().iter().any(|line| line.contains("stays as it was")));
    assert_eq!(hash(), second);
    let is_outdated = |value: u8| {
        let metrics = server.ask("GET", "/metrics", "", "").expect("an answer").body;
        metrics.contains(&format!("\nmindrail_configuration_outdated {value}\n"))
    };
    assert!(is_outdated(1));
    place.folder.write("own.toml", &policy);
    eventually("it is mended", || hash() == first && is_outdated(0));
}

/// Makes a certificate that signs itself, for this machine.
fn certificate(folder: &Folder, name: &str) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", &format!("/CN={name}"), "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path(""))
        .output()
        .expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn over_tls_it_answers_and_takes_a_new_certificate_up_without_a_stop() {
    let place = Place::file();
    certificate(&place.folder, "first");
    place.folder.write("mindrail.toml", "[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n");
    let server = place.serve_with(&["--config", "mindrail.toml"], &[]);
    let ask = || {
        let url = format!("https://{}/healthz", server.address);
        let ran = Command::new("curl")
            .args(["-sS", "-v", "--cacert", "cert.pem", &url])
            .current_dir(place.folder.path(""))
            .output();
        let ran = ran.expect("curl runs");
        (String::from_utf8_lossy(&ran.stdout).into_owned(), String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    let (body, said) = ask();
    assert!(body == "ok\n" && said.contains("CN=first"), "{said}");
    certificate(&place.folder, "second");
    eventually("the certificate changes", || ask().1.contains("CN=second"));
    // Whoever speaks without TLS is not answered.
    assert!(server.ask("GET", "/healthz", "", "").is_err());
}

/// Takes one request, answers it, and gives its headers and body.
fn receive(listener: &TcpListener, status: &str) -> (String, Vec<u8>) {
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
    let mut headers = String::new();
    while !headers.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut headers).expect("a line") > 0);
    }
    let headers = headers.to_lowercase();
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    reader.read_exact(&mut body).expect("a body");
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").expect("answered");
    (headers, body)
}

#[test]
fn with_a_collector_named_a_request_is_a_trace_below_its_caller_s_and_says_of_nobody_anything() {
    let collector = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", collector.local_addr().expect("an address"));
    let place = Place::file();
    let environment =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let server = place.serve_with(&[], &environment);
    let caller = "0af7651916cd43dd8448eb211c80319c";
    let headers = format!("traceparent: 00-{caller}-b7ad6b7169203331-01\r\n");
    let request = json!({"conversation_id": "abc-7", "person_id": "xyz-8", "messages": demo()});
    assert_eq!(
        server.ask("POST", "/v1/guard", &headers, &request.to_string()).expect("an answer").status,
        200
    );
    let (headers, spans) = receive(&collector, "200 OK");
    assert!(
        headers.starts_with("post /v1/traces") && headers.contains("application/x-protobuf"),
        "{headers}"
    );
    let holds = |bytes: &[u8]| spans.windows(bytes.len()).any(|found| found == bytes);
    for word in ["mindrail", "POST /v1/guard", "http.response.status_code", "decide", "write"] {
        assert!(holds(word.as_bytes()), "{word}");
    }
    let trace: Vec<u8> =
        (0..16).map(|at| u8::from_str_radix(&caller[2 * at..2 * at + 2], 16).expect("a byte")).collect();
    assert!(holds(&trace), "the caller's trace goes on");
    for word in ["abc-7", "xyz-8", "escalate", "default", "tomorrow"] {
        assert!(!holds(word.as_bytes()), "{word}");
    }
}

#[test]
fn a_server_without_keys_answers_programs_and_its_own_pages_and_no_page_of_another_origin() {
    let place = Place::file();
    let server = place.serve();
    let body = json!({"messages": [user("hello there")]}).to_string();
    let ask = |headers: &str| {
        let answer = server.ask("POST", "/v1/guard", headers, &body).expect("an answer");
        (answer.status, answer.body.contains("other_origin"))
    };
    assert_eq!(ask(""), (200, false));
    assert_eq!(ask("Sec-Fetch-Site: same-origin\r\n"), (200, false));
    assert_eq!(ask("Sec-Fetch-Site: cross-site\r\n"), (403, true));
    assert_eq!(ask("Origin: https://elsewhere.example\r\n"), (403, true));
}

#[cfg(unix)]
#[test]
fn the_files_of_a_store_are_their_owner_s_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::file();
    let server = place.serve();
    assert_eq!(server.guard(&json!({"messages": [user("hello there")]})).0, 200);
    for file in ["mindrail.db", "mindrail.db-wal", "mindrail.db-shm"] {
        let mode = std::fs::metadata(place.folder.path(file)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn an_escalation_is_told_once_signed_and_without_a_word_of_what_was_said() {
    for place in Place::all() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        place.folder.write(
            "mindrail.toml",
            format!(
                "[[tenants.default.webhooks]]\nname = \"ops\"\nurl = \"http://{address}/hook\"\nsecret_env = \"HOOK_SECRET\"\n"
            ),
        );
        let serve =
            || place.serve_with(&["--config", "mindrail.toml"], &[("HOOK_SECRET", "a-shared-secret")]);
        let server = serve();
        let request = json!({"conversation_id": "c-7", "person_id": "p-3", "messages": demo()});
        let (_, answer) = server.guard(&request);
        assert_eq!(answer["verdict"]["action"], "escalate", "{answer}");
        // The receiver fails once; then the server dies, and another one goes on.
        let (headers, first) = receive(&listener, "503 Busy");
        drop(server);
        let server = serve();
        server.guard(&json!({"conversation_id": "c-7", "messages": [user("still here")]}));
        let (again, body) = receive(&listener, "200 OK");
        let body = String::from_utf8(body).expect("UTF-8");
        let header = |headers: &str, name: &str| {
            let found =
                headers.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
            found.expect("a header")
        };
        assert_eq!(header(&headers, "mindrail-event"), header(&again, "mindrail-event"));
        assert_eq!(first, body.as_bytes());
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a-shared-secret");
        let signed = format!("{}.{body}", header(&again, "mindrail-timestamp"));
        let shown = header(&again, "mindrail-signature");
        let tag: Vec<u8> = (3..shown.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&shown[at..at + 2], 16).expect("hex"))
            .collect();
        hmac::verify(&key, signed.as_bytes(), &tag).expect("the signature holds");
        let event: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(
            (&event["type"], &event["conversation_id"], &event["person_id"]),
            (&json!("escalation.opened"), &json!("c-7"), &json!("p-3"))
        );
        assert_eq!(event["decision"], answer["decision"]);
        assert!(!body.contains("school") && !body.contains("tomorrow"), "{body}");
        listener.set_nonblocking(true).expect("set");
        std::thread::sleep(Duration::from_millis(2_500));
        assert!(listener.accept().is_err(), "the conversation lies before a human already");
    }
}

#[test]
fn what_was_said_is_kept_only_where_a_tenant_asks_for_it_and_then_sealed() {
    let place = Place::file();
    place.folder.write("mindrail.toml", "[tenants.default]\nkeep_text_key_env = \"TEXT_KEY\"\n");
    let refused = place.run(&["serve", "--config", "mindrail.toml"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("TEXT_KEY is unset"), "{}", refused.stderr);
    let server = place.serve_with(&["--config", "mindrail.toml"], &[("TEXT_KEY", &"ab".repeat(32))]);
    let request = json!({"conversation_id": "c", "messages": [user("zebras drank the tea again")]});
    assert_eq!(server.guard(&request).0, 200);
    drop(server);
    let store: Vec<u8> = ["mindrail.db", "mindrail.db-wal"]
        .iter()
        .flat_map(|name| std::fs::read(place.folder.path(name)).unwrap_or_default())
        .collect();
    assert!(!store.windows(6).any(|window| window == b"zebras"));
}

#[test]
fn what_the_law_asks_to_be_shown_comes_with_the_answer_and_people_are_not_scored_where_it_forbids_it() {
    for place in Place::all() {
        let policy =
            std::fs::read_to_string(repository("crates/core/src/policy/default.toml")).expect("the policy");
        let with = |table: &str| format!("{policy}\n[jurisdiction]\n{table}\n");
        place
            .folder
            .write("ny.toml", with("codes = [\"US-NY\", \"US-OR\"]\nminors = \"yes\"\nservice = \"other\""));
        place
            .folder
            .write("il.toml", with("codes = [\"US-IL\"]\nminors = \"unknown\"\nservice = \"therapeutic\""));
        place.folder.write(
            "mindrail.toml",
            "[tenants.ny]\npolicy = \"ny.toml\"\ncountry = \"CA-ON\"\n[tenants.il]\npolicy = \"il.toml\"\n",
        );
        let [ny, il] = ["ny", "il"].map(|tenant| make_key(&place, &["--tenant", tenant]).1);
        let server = place.serve_with(&["--config", "mindrail.toml"], &[]);
        let request = json!({"conversation_id": "c", "messages": demo()});
        let (status, first) = server.post_as(&ny, "/v1/guard", &request);
        assert_eq!((status, &first["notices"][0]["kind"]), (200, &json!("disclosure")), "{first}");
        assert!(first["resources"]["helplines"].as_array().is_some_and(|lines| !lines.is_empty()), "{first}");
        let (_, next) =
            server.post_as(&ny, "/v1/guard", &json!({"conversation_id": "c", "messages": [user("hm")]}));
        assert!(
            next["notices"]
                .as_array()
                .is_some_and(|notices| notices.iter().all(|n| n["kind"] != "disclosure")),
            "{next}"
        );
        let (status, unscored) = server.post_as(&il, "/v1/guard", &request);
        assert_eq!((status, &unscored["risk"]), (200, &Value::Null), "{unscored}");
        assert_eq!(unscored["not_evaluated"], json!([{"turn": null, "reason": "scoring_disabled"}]));
        assert_eq!(unscored["verdict"]["action"], "support");
    }
}
