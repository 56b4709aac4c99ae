//! The desk over HTTP: who may see what, and that nobody else can. The browser's part
//! is in [`browser`].

mod browser;
mod client;
mod single_sign_on;

use std::collections::BTreeSet;

use mindrail_server::store::accounts::DeskRole;
use mindrail_server::store::keys::Scope;
use serde_json::{Value, json};

use self::client::{PASSWORD, Server, send};
use crate::program::Folder;

const PAGES: [&str; 6] =
    ["/desk", "/desk/queue", "/desk/dashboard", "/desk/reports", "/desk/trail", "/desk/people"];

fn user(text: &str) -> Value {
    json!({"role": "user", "text": text})
}

#[test]
fn on_an_open_server_the_console_works_at_once_and_the_rest_says_how_to_begin() {
    let server = Server::start(&["default"]);
    let mut client = server.client();
    assert_eq!(client.get("/").header("location"), Some("/desk"));
    let page = client.get("/desk");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("lang=\"en\"") && page.body.contains("id=\"console\""));
    let (status, read) =
        client.script("/desk/console/read", &json!({"text": "Person: hello\nListener: hi there"}));
    assert_eq!((status, read["turns"].as_array().map(Vec::len)), (200, Some(2)), "{read}");
    let turns: Vec<Value> = read["turns"].as_array().expect("turns").clone();
    let (status, first) =
        client.script("/desk/console/judge", &json!({"conversation": null, "turns": turns}));
    assert_eq!(status, 200, "{first}");
    let next =
        json!({"conversation": first["conversation"], "turns": [user("i dont want to be here tomorrow")]});
    let (status, second) = client.script("/desk/console/judge", &next);
    assert_eq!(status, 200, "{second}");
    let panel = second["panel"].as_str().expect("HTML");
    assert!(panel.contains("<svg") && panel.contains("id=\"turn-2\""), "the timeline goes on: {panel}");
    for path in &PAGES[1..] {
        assert_eq!(client.get(path).header("location"), Some("/desk/login"), "{path}");
    }
    assert!(client.get("/desk/login").body.contains("mindrail desk add-user"));
}

#[test]
fn whoever_comes_by_a_foreign_name_or_to_a_server_with_keys_must_log_in_to_the_console() {
    let server = Server::start(&["default"]);
    let foreign = send(&server.address, "GET", "/desk", "Host: evil.example\r\n", "");
    assert_eq!(foreign.status, 303, "a name that resolves to this machine");
    let keyed = Server::start(&["default"]);
    keyed.key("default", Scope::Guard);
    assert_eq!(keyed.client().get("/desk").header("location"), Some("/desk/login"));
}

#[test]
fn a_login_opens_the_desk_and_a_wrong_one_or_an_ended_one_does_not() {
    let server = Server::start(&["default"]);
    server.add("default", "ada", DeskRole::Counsellor);
    let mut client = server.client();
    client.get("/desk/login");
    for (name, password) in [("ada", "wrong password here"), ("nobody", PASSWORD), ("", "")] {
        let reply = client.post("/desk/login", &[("name", name), ("password", password)]);
        assert_eq!(reply.status, 401);
        assert!(!reply.body.contains("wrong password"), "no password comes back");
    }
    let reply = client.post("/desk/login", &[("name", "ada"), ("password", PASSWORD)]);
    let cookie = reply.header("set-cookie").expect("a cookie").to_owned();
    assert!(
        cookie.starts_with("mindrail_desk=")
            && cookie.contains("HttpOnly")
            && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    assert_eq!(client.get("/desk/queue").status, 200);
    assert_eq!(client.post("/desk/logout", &[]).status, 303);
    assert_eq!(client.get("/desk/queue").status, 303);
    let mut old = server.log_in("default", "ada");
    assert!(server.store.disable_user("default", "ada", 2).expect("a store"));
    assert_eq!(old.get("/desk/queue").status, 303, "a session ends with its user");
    old.get("/desk/login");
    assert_eq!(old.post("/desk/login", &[("name", "ada"), ("password", PASSWORD)]).status, 401);
}

#[test]
fn over_tls_cookies_are_secure_and_of_this_host_only() {
    let server = Server::start(&["default"]);
    let reply = send(&server.address, "GET", "/desk", "X-Forwarded-Proto: https\r\n", "");
    let cookie = reply.header("set-cookie").expect("a cookie");
    assert!(
        cookie.starts_with("__Host-") && cookie.contains("; Secure") && cookie.contains("Path=/;"),
        "{cookie}"
    );
}

#[test]
fn guesses_are_refused_before_the_password_is_looked_at() {
    let server = Server::start(&["default"]);
    server.add("default", "ada", DeskRole::Counsellor);
    let mut client = server.client();
    client.get("/desk/login");
    let statuses: Vec<u16> = (0..12)
        .map(|_| client.post("/desk/login", &[("name", "ada"), ("password", "a wrong password")]).status)
        .collect();
    assert_eq!((statuses[9], statuses[10]), (401, 429), "{statuses:?}");
    assert_eq!(client.post("/desk/login", &[("name", "ada"), ("password", PASSWORD)]).status, 429);
}

#[test]
fn a_form_that_is_not_from_this_desk_changes_nothing() {
    let server = Server::start(&["default"]);
    server.add("default", "ada", DeskRole::Counsellor);
    let review = server.escalate("c", None);
    let mut ada = server.log_in("default", "ada");
    ada.get("/desk/queue");
    let (path, token) = (format!("/desk/reviews/{review}/claim"), ada.token());
    let own = format!("Origin: http://{}\r\n", server.address);
    let good = [("form", token.as_str())];
    let mut stranger = server.client();
    stranger.get("/desk/login");
    let foreign = stranger.token();
    for (fields, headers) in [
        (&[][..], own.as_str()),
        (&[("form", "0".repeat(64).as_str())][..], own.as_str()),
        (&[("form", foreign.as_str())][..], own.as_str()),
        (&good[..], ""),
        (&good[..], "Origin: http://evil.example\r\n"),
        (&good[..], "Origin: null\r\n"),
        (&good[..], format!("{own}Sec-Fetch-Site: cross-site\r\n").as_str()),
    ] {
        assert_eq!(ada.post_as(&path, fields, headers).status, 403, "{fields:?} {headers}");
    }
    let held = || server.store.review("default", review).expect("a store").expect("a review").held;
    assert_eq!(held(), None);
    let no_token = send(&server.address, "POST", "/desk/console/judge", &own, "{\"turns\": []}");
    assert_eq!(no_token.status, 403);
    assert_eq!(ada.post_as(&path, &good, "Origin: null\r\nSec-Fetch-Site: same-origin\r\n").status, 303);
    assert_eq!(held().map(|held| held.by), Some("ada".to_owned()));
}

#[test]
fn a_role_opens_its_own_pages_only() {
    let server = Server::start(&["default"]);
    let review = server.escalate("c", None);
    for (role, name, open) in [
        (DeskRole::Admin, "root", ["/desk", "/desk/dashboard", "/desk/reports", "/desk/people"].as_slice()),
        (DeskRole::Counsellor, "ada", ["/desk", "/desk/queue", "/desk/dashboard"].as_slice()),
        (DeskRole::Auditor, "eve", ["/desk/dashboard", "/desk/reports", "/desk/trail"].as_slice()),
    ] {
        server.add("default", name, role);
        let mut client = server.log_in("default", name);
        for path in PAGES {
            let expected = if open.contains(&path) { 200 } else { 403 };
            assert_eq!(client.get(path).status, expected, "{name} {path}");
        }
        let own = |path: &str, page: &str| (path.to_owned(), open.contains(&page));
        for (path, may) in [
            own(&format!("/desk/reviews/{review}"), "/desk/queue"),
            own("/desk/reports/annual.json?jurisdiction=US-CA&year=2026", "/desk/reports"),
            own("/desk/reports/annual.csv?jurisdiction=US-CA&year=2026", "/desk/reports"),
            own("/desk/reports/calibration.jsonl", "/desk/reports"),
            own("/desk/trail/entries.jsonl", "/desk/trail"),
            own("/desk/trail/access.csv", "/desk/trail"),
        ] {
            assert_eq!(client.get(&path).status, if may { 200 } else { 403 }, "{name} {path}");
        }
        client.get("/desk/dashboard");
        for (path, page) in [
            (format!("/desk/reviews/{review}/claim"), "/desk/queue"),
            ("/desk/people".to_owned(), "/desk/people"),
            ("/desk/people/disable".to_owned(), "/desk/people"),
            ("/desk/dashboard/freeze".to_owned(), "/desk/people"),
            ("/desk/trail".to_owned(), "/desk/trail"),
        ] {
            let status = client.post(&path, &[("name", "")]).status;
            assert_eq!(status == 403, !open.contains(&page), "{name} {path}: {status}");
        }
    }
}

#[test]
fn tenants_cannot_see_each_other() {
    let server = Server::start(&["keeps-a", "keeps-b"]);
    for tenant in ["keeps-a", "keeps-b"] {
        server.add(tenant, "ada", DeskRole::Counsellor);
        server.add(tenant, "eve", DeskRole::Auditor);
        server.add(tenant, "root", DeskRole::Admin);
    }
    server.add("keeps-a", "zoe", DeskRole::Counsellor);
    let key = server.key("keeps-a", Scope::Guard);
    let review = server.escalate("of-a", Some(&key));
    let mut stranger = server.log_in("keeps-b", "ada");
    assert!(!stranger.get("/desk/queue").body.contains(&format!("/desk/reviews/{review}")));
    for path in ["", "/text"] {
        assert_eq!(stranger.get(&format!("/desk/reviews/{review}{path}")).status, 404, "{path}");
    }
    stranger.get("/desk/queue");
    for path in ["claim", "release", "acknowledge", "close"] {
        let fields = [("outcome", "resolved"), ("reason", "mine")];
        assert_eq!(stranger.post(&format!("/desk/reviews/{review}/{path}"), &fields).status, 404, "{path}");
    }
    let review_of = |tenant| server.store.review(tenant, review).expect("a store");
    assert!(review_of("keeps-b").is_none());
    assert_eq!(review_of("keeps-a").map(|review| review.held.is_some()), Some(false));
    // The same name is somebody else, and holds nothing of the other's.
    let mut ada = server.log_in("keeps-a", "ada");
    ada.get("/desk/queue");
    ada.post(&format!("/desk/reviews/{review}/claim"), &[]);
    assert!(ada.get(&format!("/desk/reviews/{review}/text")).body.contains("named a potato"));
    assert_eq!(stranger.get(&format!("/desk/reviews/{review}/text")).status, 404);
    let mut auditor = server.log_in("keeps-b", "eve");
    assert_eq!(auditor.get("/desk/trail/entries.jsonl").body, "");
    assert!(!auditor.get("/desk/trail/access.csv").body.contains("read_text"));
    assert!(server.log_in("keeps-a", "eve").get("/desk/trail/access.csv").body.contains("read_text"));
    let mut admin = server.log_in("keeps-b", "root");
    assert!(!admin.get("/desk/people").body.contains("zoe"));
    assert_eq!(admin.post("/desk/people/disable", &[("name", "zoe")]).status, 303);
    assert_eq!(ada.get("/desk/queue").status, 200);
    server.log_in("keeps-a", "zoe");
    let count = |client: &mut client::Client| {
        client
            .get(&format!("/desk/reports/annual.csv?jurisdiction=US-CA&year={}", this_year()))
            .body
            .lines()
            .nth(1)
            .map(str::to_owned)
    };
    assert!(count(&mut admin).is_some_and(|line| line.ends_with(",0")));
    assert!(count(&mut server.log_in("keeps-a", "root")).is_some_and(|line| line.ends_with(",<5")));
    // A conversation of the console that is another tenant's begins anew.
    ada.get("/desk");
    let (_, judged) = ada
        .script("/desk/console/judge", &json!({"conversation": null, "turns": [user("one"), user("two")]}));
    stranger.get("/desk");
    let (_, other) = stranger.script(
        "/desk/console/judge",
        &json!({"conversation": judged["conversation"], "turns": [user("three")]}),
    );
    let panel = other["panel"].as_str().expect("HTML");
    assert!(panel.contains("id=\"turn-0\"") && !panel.contains("id=\"turn-1\""), "{panel}");
    let (status, _) =
        stranger.script("/desk/console/judge", &json!({"conversation": "of-a", "turns": [user("x")]}));
    assert_eq!(status, 422, "the console takes no caller's conversation further");
}

#[test]
fn what_was_said_is_for_the_holder_and_each_look_is_recorded() {
    let server = Server::start(&["keeps"]);
    for name in ["ada", "bob"] {
        server.add("keeps", name, DeskRole::Counsellor);
    }
    let review = server.escalate("c", Some(&server.key("keeps", Scope::Guard)));
    let (page, text) = (format!("/desk/reviews/{review}"), format!("/desk/reviews/{review}/text"));
    let looks = || {
        let log = server.store.accesses("keeps", u64::MAX, 100).expect("a store");
        log.into_iter()
            .filter(|access| access.deed == "read_text")
            .map(|access| (access.name, access.review))
            .collect::<Vec<_>>()
    };
    let mut ada = server.log_in("keeps", "ada");
    assert!(!ada.get(&page).body.contains("potato"), "numbers only before the claim");
    assert_eq!(ada.get(&text).status, 403);
    ada.get(&page);
    ada.post(&format!("{page}/claim"), &[]);
    assert!(!ada.get(&page).body.contains("potato"), "and after it, until it is asked for");
    assert!(looks().is_empty());
    assert!(ada.get(&text).body.contains("potato"));
    assert_eq!(looks(), [("ada".to_owned(), Some(review))]);
    let mut bob = server.log_in("keeps", "bob");
    assert_eq!(bob.get(&text).status, 403);
    assert!(!bob.get(&page).body.contains("potato"));
    assert_eq!(looks().len(), 1);
    let log = server.store.accesses("keeps", u64::MAX, 100).expect("a store");
    let numbers: BTreeSet<String> =
        log.into_iter().filter(|access| access.deed == "read_numbers").map(|access| access.name).collect();
    assert_eq!(numbers.len(), 2, "whoever opened the page is known");
}

#[test]
fn a_review_goes_from_the_queue_to_its_end_and_only_the_holder_takes_it_there() {
    let server = Server::start(&["default"]);
    for name in ["ada", "bob"] {
        server.add("default", name, DeskRole::Counsellor);
    }
    server.add("default", "root", DeskRole::Admin);
    let review = server.escalate("c", None);
    let page = format!("/desk/reviews/{review}");
    let (mut ada, mut bob) = (server.log_in("default", "ada"), server.log_in("default", "bob"));
    ada.get("/desk/queue");
    bob.get("/desk/queue");
    let said = |reply: &client::Reply| {
        reply.header("location").unwrap_or_default().rsplit('=').next().unwrap_or_default().to_owned()
    };
    assert_eq!(said(&ada.post(&format!("{page}/claim"), &[])), "claimed");
    assert_eq!(said(&bob.post(&format!("{page}/claim"), &[])), "taken");
    let closing = [("outcome", "resolved"), ("reason", "spoke with them"), ("consent", "yes")];
    for path in ["acknowledge", "release", "close"] {
        assert_eq!(said(&bob.post(&format!("{page}/{path}"), &closing)), "lost", "{path}");
    }
    assert!(bob.get(&page).body.contains("Held by ada"));
    assert_eq!(ada.script(&format!("{page}/keep"), &json!({})).0, 204);
    assert_eq!(bob.script(&format!("{page}/keep"), &json!({})).0, 409);
    assert_eq!(said(&ada.post(&format!("{page}/acknowledge"), &[])), "acknowledged");
    assert_eq!(
        said(&ada.post(&format!("{page}/close"), &[("outcome", "resolved"), ("reason", "  ")])),
        "reason"
    );
    assert_eq!(said(&ada.post(&format!("{page}/close"), &closing)), "closed");
    assert!(ada.get(&page).body.contains("spoke with them"));
    assert!(!ada.get("/desk/queue").body.contains(&page));
    let mut root = server.log_in("default", "root");
    let lines = root.get("/desk/reports/calibration.jsonl").body;
    let example: Value = serde_json::from_str(lines.trim()).expect("one example");
    assert_eq!(example["escalation_was_right"], true);
    assert!(!lines.contains("spoke") && !lines.contains("\"ada\""), "{lines}");
    // Without consent it is in no file.
    let second = server.escalate("d", None);
    ada.post(&format!("/desk/reviews/{second}/claim"), &[]);
    ada.post(&format!("/desk/reviews/{second}/close"), &[("outcome", "overridden"), ("reason", "a song")]);
    assert_eq!(root.get("/desk/reports/calibration.jsonl").body, lines);
    let dashboard = root.get("/desk/dashboard").body;
    assert!(
        dashboard.contains("1 of 2 closed reviews were overridden") && dashboard.contains("Few cases"),
        "{dashboard}"
    );
}

#[test]
fn every_answer_of_the_desk_is_guarded_by_its_headers() {
    let server = Server::start(&["default"]);
    server.add("default", "ada", DeskRole::Counsellor);
    let mut client = server.log_in("default", "ada");
    for path in PAGES.into_iter().chain(["/", "/desk/login", "/desk/reviews/7", "/desk/reviews/x"]) {
        let reply = client.get(path);
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{path} {name}");
        }
        let inline = ["<style", " style=\"", "<script>", " onclick", "javascript:", "http://", "https://"];
        for bad in inline {
            assert!(!reply.body.contains(bad), "{path} holds {bad}");
        }
    }
    assert_eq!(client.get("/desk/assets/desk.css").status, 200);
    assert_eq!(client.get("/desk/assets/..%2fmod.rs").status, 404);
}

#[test]
fn the_annual_report_needs_its_scope_and_names_nobody() {
    let server = Server::start(&["default"]);
    let (guard, report) = (server.key("default", Scope::Guard), server.key("default", Scope::Report));
    for number in 0..6 {
        server.escalate(&format!("jane-doe-{number}"), Some(&guard));
    }
    let ask = |key: &str, query: &str| {
        let headers = format!("Authorization: Bearer {key}\r\n");
        send(&server.address, "GET", &format!("/v1/reports/annual?{query}"), &headers, "")
    };
    assert_eq!(ask(&guard, "jurisdiction=US-CA&year=2026").status, 403);
    assert_eq!(ask("wrong", "jurisdiction=US-CA&year=2026").status, 401);
    assert_eq!(ask(&report, "jurisdiction=nowhere&year=2026").status, 422);
    let told = ask(&report, &format!("jurisdiction=US-CA&year={}", this_year()));
    let report: Value = serde_json::from_str(&told.body).expect("JSON");
    assert_eq!((told.status, &report["referral_notifications"]), (200, &json!(6)), "{report}");
    assert_eq!(report["complete"], false);
    assert_eq!(report["protocol"]["model"]["sha256"].as_str().map(str::len), Some(64));
    assert!(report["protocol"]["policy"].to_string().contains("at_high_risk"), "{report}");
    assert!(!told.body.contains("jane") && !told.body.contains("\"default\""), "{report}");
}

fn this_year() -> u64 {
    use mindrail_server::calendar::{DAY_MS, civil};
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    civil(since.map_or(0, |since| since.as_millis() as u64) / DAY_MS).0
}

#[test]
fn the_desk_speaks_french_to_whoever_asks_for_it() {
    let server = Server::start(&["default"]);
    server.add("default", "ada", DeskRole::Counsellor);
    let mut client = server.client();
    client.language = "fr-CA, fr;q=0.9";
    let page = client.get("/desk/login").body;
    assert!(page.contains("<html lang=\"fr\">") && page.contains("Se connecter"), "{page}");
    let mut ada = server.log_in("default", "ada");
    ada.language = "fr";
    assert!(
        ada.get("/desk/queue").body.contains("<html lang=\"en\">"),
        "the setting counts before the browser"
    );
    assert_eq!(
        ada.post("/desk/language", &[("language", "fr"), ("back", "/desk/queue")]).header("location"),
        Some("/desk/queue")
    );
    assert!(ada.get("/desk/queue").body.contains("<html lang=\"fr\">"));
    for elsewhere in ["//evil.example", "https://evil.example", "/desk/\\evil.example:1"] {
        let reply = ada.post("/desk/language", &[("language", "en"), ("back", elsewhere)]);
        assert_eq!(reply.header("location"), Some("/desk"), "{elsewhere}");
    }
}

#[test]
fn people_are_added_by_command_and_a_password_is_shown_once() {
    let folder = Folder::new();
    let added = folder.run(&["desk", "add-user", "ada", "--role", "counsellor"]);
    assert_eq!(added.code, Some(0), "{}", added.stderr);
    let password = added.stdout.trim().strip_prefix("password: ").expect("a password").to_owned();
    let again = folder.run(&["desk", "add-user", "ada", "--role", "admin"]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("already"), "{}", again.stderr);
    let short = folder.run_with_input(&["desk", "set-password", "ada", "--password-stdin"], "short\n");
    assert_eq!(short.code, Some(1));
    assert!(short.stderr.contains("5 characters, expected 12 to 256"), "{}", short.stderr);
    let listed = folder.run(&["desk", "list"]).stdout;
    assert!(
        listed.contains("default\tada\tcounsellor\ten\t") && listed.trim_end().ends_with("active"),
        "{listed}"
    );
    assert!(!listed.contains(&password) && !listed.contains("argon2"));
    assert_eq!(folder.run(&["desk", "disable", "ada"]).code, Some(0));
    assert_eq!(folder.run(&["desk", "disable", "ada"]).code, Some(1));
    assert_eq!(folder.run(&["desk", "disable", "nobody"]).code, Some(1));
    let file = std::fs::read(folder.path("mindrail.db")).expect("a file");
    assert!(!file.windows(password.len()).any(|window| window == password.as_bytes()));
}

#[test]
fn nothing_that_was_typed_into_the_console_is_logged_or_stored() {
    use std::io::{BufRead as _, BufReader, Read as _};
    let folder = Folder::new();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_mindrail"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .current_dir(folder.path(""))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    let address = line.trim().rsplit("http://").next().expect("an address").to_owned();
    let page = send(&address, "GET", "/desk", "", "");
    let cookie =
        page.header("set-cookie").and_then(|line| line.split(';').next()).expect("a cookie").to_owned();
    let token = page.body.split_once("data-form=\"").map(|(_, rest)| rest[..64].to_owned()).expect("a token");
    let headers = format!("Cookie: {cookie}\r\nOrigin: http://{address}\r\nX-Mindrail-Form: {token}\r\n");
    for (path, body) in [
        (
            "/desk/console/read",
            json!({"text": "{\"messages\": [{\"role\": \"zebras\", \"content\": \"x\"}]}"}),
        ),
        ("/desk/console/judge", json!({"conversation": null, "turns": [user("zebras drank the tea")]})),
        ("/desk/console/judge", json!({"conversation": "zebras", "turns": [user("zebras")]})),
        ("/desk/console/judge", json!({"zebras": 1})),
    ] {
        let reply = send(&address, "POST", path, &headers, &body.to_string());
        assert!(!reply.body.contains("zebras"), "{path}: {}", reply.body);
    }
    child.kill().expect("it ends");
    child.wait().expect("it has ended");
    let mut log = String::new();
    said.read_to_string(&mut log).expect("text");
    child.stdout.take().expect("a pipe").read_to_string(&mut log).expect("text");
    assert!(!log.contains("zebras"), "{log}");
    for name in ["mindrail.db", "mindrail.db-wal"] {
        let bytes = std::fs::read(folder.path(name)).unwrap_or_default();
        assert!(!bytes.windows(6).any(|window| window == b"zebras"), "{name}");
    }
}
