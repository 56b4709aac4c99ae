//! Logging in by way of an identity provider, which is played here: its settings, its keys
//! and its tokens are those of `OpenID` Connect.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mindrail_core::policy::Policy;
use mindrail_server::desk::identity::{Passwords, Provider};
use mindrail_server::store::accounts::DeskRole;
use mindrail_server::tenant::Tenant;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::client::{Client, PASSWORD, Server};

/// A provider that knows one person, and gives tokens for one code.
struct Played {
    issuer: String,
    asked: Arc<Mutex<Vec<String>>>,
    /// What the next token says, beside when it was made and by whom.
    claims: Arc<Mutex<Value>>,
}

impl Played {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let (asked, claims) = (Arc::default(), Arc::new(Mutex::new(json!({}))));
        let played = Self { issuer: issuer.clone(), asked: Arc::clone(&asked), claims: Arc::clone(&claims) };
        std::thread::spawn(move || serve(&listener, &issuer, &asked, &claims));
        played
    }

    fn provider(&self, passwords: Passwords) -> Provider {
        Provider {
            issuer: self.issuer.clone(),
            client_id: "desk".to_owned(),
            client_secret: "hush".to_owned(),
            redirect: "http://127.0.0.1/desk/login/back".to_owned(),
            name_claim: "email".to_owned(),
            passwords,
        }
    }

    fn asked(&self, path: &str) -> Option<String> {
        self.asked.lock().expect("no panic").iter().find(|asked| asked.contains(path)).cloned()
    }
}

fn serve(listener: &TcpListener, issuer: &str, asked: &Mutex<Vec<String>>, claims: &Mutex<Value>) {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a pair");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.as_ref(), &random);
    let pair = pair.expect("a pair");
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
    let token = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        let mut body = json!({"iss": issuer, "aud": "desk", "sub": "1", "iat": now, "exp": now + 300});
        let more = claims.lock().expect("no panic").clone();
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({"alg": "ES256", "kid": "k"})), part(&body));
        let signed = pair.sign(&random, message.as_bytes()).expect("signed");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signed))
    };
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection");
        let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).expect("a line") > 0 {}
        let length = head.to_lowercase();
        let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).expect("a body");
        asked.lock().expect("no panic").push(format!("{head}{}", String::from_utf8_lossy(&body)));
        let answer = match head.split(' ').nth(1).unwrap_or_default() {
            "/.well-known/openid-configuration" => json!({
                "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
            }),
            "/keys" => json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y}]}),
            "/token" => json!({"id_token": token(), "access_token": "unused", "token_type": "Bearer"}),
            other => json!({"error": other}),
        }
        .to_string();
        let length = answer.len();
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
        );
    }
}

fn server(played: &Played, passwords: Passwords) -> Server {
    let provider = Some(Arc::new(played.provider(passwords)));
    let server = Server::start_with([Tenant { provider, ..Tenant::new("default", Policy::default()) }]);
    server.add("default", "ada@example.org", DeskRole::Counsellor);
    server
}

/// Goes to the provider; gives what is asked of it there, by name.
fn go(client: &mut Client) -> impl Fn(&str) -> String + use<> {
    let there = client.get("/desk/login/with");
    assert_eq!(there.status, 303, "{}", there.body);
    let cookie = there.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("SameSite=Lax") && cookie.contains("HttpOnly"), "{cookie}");
    let query = there.header("location").expect("an address").split_once('?').expect("a query").1.to_owned();
    move |name| {
        let pair =
            query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).map(str::to_owned);
        pair.unwrap_or_else(|| panic!("no {name} in {query}"))
    }
}

#[test]
fn whoever_the_provider_names_and_the_desk_knows_is_logged_in() {
    let played = Played::start();
    let server = server(&played, Passwords::On);
    let mut client = server.client();
    let page = client.get("/desk/login");
    assert!(page.body.contains("action=\"/desk/login/with\"") && page.body.contains("type=\"password\""));
    let asked = go(&mut client);
    assert_eq!((asked("response_type"), asked("code_challenge_method")), ("code".into(), "S256".into()));
    *played.claims.lock().expect("no panic") = json!({"nonce": asked("nonce"), "email": "ada@example.org"});
    let back = client.get(&format!("/desk/login/back?code=c0de&state={}", asked("state")));
    assert_eq!((back.status, back.header("refresh")), (200, Some("0;url=/desk/login")), "{}", back.body);
    assert!(back.head.contains("SameSite=Strict"));
    assert_eq!(client.get("/desk/login").header("location"), Some("/desk/queue"), "she is logged in");
    assert_eq!(client.get("/desk/queue").status, 200);
    // The code went to the provider with what shows that it is this desk's, and this log-in's.
    let token = played.asked("POST /token").expect("asked").to_lowercase();
    assert!(token.contains("authorization: basic zgvzazpodxno"), "{token}");
    assert!(token.contains("code=c0de") && token.contains("code_verifier="), "{token}");
    let verifier = token.split("code_verifier=").nth(1).expect("a verifier");
    let digest = ring::digest::digest(&ring::digest::SHA256, verifier.trim().as_bytes());
    assert_eq!(URL_SAFE_NO_PAD.encode(digest), asked("code_challenge"));
}

#[test]
fn another_browser_s_log_in_another_log_in_s_token_and_an_unknown_name_open_nothing() {
    let played = Played::start();
    let server = server(&played, Passwords::Off);
    let mut client = server.client();
    let asked = go(&mut client);
    let (state, nonce) = (asked("state"), asked("nonce"));
    let come_back = |client: &mut Client, claims: Value| {
        *played.claims.lock().expect("no panic") = claims;
        client.get(&format!("/desk/login/back?code=c&state={state}")).status
    };
    let good = json!({"nonce": nonce, "email": "ada@example.org"});
    let mut other = server.client();
    assert_eq!(come_back(&mut other, good.clone()), 400, "it began nothing");
    let _another = go(&mut other);
    assert_eq!(come_back(&mut other, good.clone()), 400, "it began another");
    for (claims, status) in [
        (json!({"nonce": "another", "email": "ada@example.org"}), 401),
        (json!({"nonce": nonce, "email": "ada@example.org", "aud": "another"}), 401),
        (json!({"nonce": nonce, "email": "eve@example.org"}), 403),
        (json!({"nonce": nonce}), 401),
    ] {
        assert_eq!(come_back(&mut client, claims.clone()), status, "{claims}");
    }
    assert_eq!(client.get("/desk/queue").header("location"), Some("/desk/login"));
    let refused = client.get(&format!("/desk/login/back?error=access_denied&state={state}"));
    assert_eq!(refused.status, 502);
    server.store.disable_user("default", "ada@example.org", 5).expect("a store");
    assert_eq!(come_back(&mut client, good), 403, "she may not log in any more");
}

#[test]
fn where_passwords_are_off_none_opens_the_desk() {
    let played = Played::start();
    let server = server(&played, Passwords::Off);
    let mut client = server.client();
    let page = client.get("/desk/login");
    assert!(!page.body.contains("type=\"password\""), "{}", page.body);
    client.get("/desk");
    let fields = [("name", "ada@example.org"), ("password", PASSWORD)];
    assert_eq!(client.post("/desk/login", &fields).status, 403);
}
