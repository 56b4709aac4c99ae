//! A server in this process, and a browser without a window: cookies, forms, nothing
//! else.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mindrail_core::policy::Policy;
use mindrail_model::assessor::EmbeddedAssessor;
use mindrail_model::bundle::Bundle;
use mindrail_server::desk::password;
use mindrail_server::seal::TextKey;
use mindrail_server::service::Service;
use mindrail_server::store::Store;
use mindrail_server::store::accounts::{DeskLanguage, DeskRole, DeskUser};
use mindrail_server::store::keys::{NewKey, Scope};
use mindrail_server::tenant::{Tenant, Tenants};
use mindrail_server::{Running, run};
use serde_json::{Value, json};

use crate::program::Folder;

pub(super) const PASSWORD: &str = "correct horse battery";

/// argon2 takes its time on purpose; one hash serves all tests.
static KEPT: LazyLock<String> = LazyLock::new(|| password::hash(PASSWORD).expect("a long password"));

static MODEL: LazyLock<Arc<EmbeddedAssessor>> = LazyLock::new(|| {
    let bundle = Bundle::embedded().expect("the bundle is whole");
    Arc::new(EmbeddedAssessor::new(&bundle).expect("the bundle is a model"))
});

/// A running server with its store.
pub(super) struct Server {
    pub(super) address: String,
    pub(super) store: Store,
    _folder: Folder,
}

impl Server {
    /// With a tenant of each name; one whose name begins with "keeps" keeps texts.
    pub(super) fn start(tenants: &[&str]) -> Self {
        Self::start_with(tenants.iter().map(|name| tenant(name)))
    }

    pub(super) fn start_with(tenants: impl IntoIterator<Item = Tenant>) -> Self {
        let folder = Folder::new();
        let file = folder.path("mindrail.db");
        let model: Arc<EmbeddedAssessor> = Arc::clone(&MODEL);
        let service = Service::new(model, Store::in_file(&file).expect("a store"));
        let tenants = Arc::new(Tenants::new(tenants));
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let keep = Duration::from_hours(24);
            let running = Running {
                tenants,
                watched: None,
                key: None,
                keep,
                keep_names: keep,
                behind_proxies: 0,
                tls: None,
                tell: |_| {},
            };
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            run(listener, service, running, |address| {
                tell.send(address).expect("who waits");
            })
        });
        let address = told.recv().expect("it listens").to_string();
        Self { address, store: Store::in_file(&file).expect("a store"), _folder: folder }
    }

    pub(super) fn add(&self, tenant: &str, name: &str, role: DeskRole) {
        let user = DeskUser {
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            role,
            language: DeskLanguage::English,
            created_ms: 1,
            disabled_ms: None,
        };
        assert!(self.store.add_user(&user, &KEPT).expect("a store"));
    }

    pub(super) fn key(&self, tenant: &str, scope: Scope) -> String {
        let new = NewKey { tenant, scopes: &[scope], per_minute: 1_000, expires_ms: None };
        self.store.make_key(&new, 1).expect("a store").1
    }

    pub(super) fn client(&self) -> Client {
        Client {
            address: self.address.clone(),
            cookies: BTreeMap::new(),
            page: String::new(),
            language: "en",
        }
    }

    /// Somebody who has logged in.
    pub(super) fn log_in(&self, tenant: &str, name: &str) -> Client {
        let mut client = self.client();
        client.get("/desk/login");
        let fields = [("tenant", tenant), ("name", name), ("password", PASSWORD)];
        assert_eq!(client.post("/desk/login", &fields).status, 303, "{name} logs in");
        client
    }

    /// A conversation that calls a human, by the API; its decision's number.
    pub(super) fn escalate(&self, conversation: &str, key: Option<&str>) -> u64 {
        let body = json!({"conversation_id": conversation, "messages": demo()}).to_string();
        let key = key.map_or_else(String::new, |key| format!("Authorization: Bearer {key}\r\n"));
        let reply = send(&self.address, "POST", "/v1/guard", &key, &body);
        let answer: Value = serde_json::from_str(&reply.body).expect("JSON");
        assert_eq!(answer["verdict"]["action"], "escalate", "{answer}");
        answer["decision"].as_u64().expect("a number")
    }
}

fn tenant(name: &str) -> Tenant {
    let mut tenant = Tenant::new(name, Policy::default());
    if name.starts_with("keeps") {
        tenant.text_key = Some(Arc::new(TextKey::from_hex(&"0f".repeat(32)).expect("a key")));
    }
    tenant
}

/// The turns of the example.
pub(super) fn demo() -> Value {
    let line: Value = serde_json::from_str(include_str!("../../examples/demo.jsonl")).expect("JSON");
    line["messages"].clone()
}

/// What came back.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let named =
            |line: &&str| line.split(": ").next().is_some_and(|found| found.eq_ignore_ascii_case(name));
        self.head.lines().find(named)?.split_once(": ").map(|(_, value)| value)
    }
}

/// Somebody with a browser.
pub(super) struct Client {
    address: String,
    cookies: BTreeMap<String, String>,
    /// The last page, which holds the token of its forms.
    page: String,
    pub(super) language: &'static str,
}

impl Client {
    pub(super) fn get(&mut self, path: &str) -> Reply {
        let headers = self.headers();
        let reply = send(&self.address, "GET", path, &headers, "");
        self.keep(&reply);
        if reply.body.starts_with("<!DOCTYPE html>") {
            self.page.clone_from(&reply.body);
        }
        reply
    }

    /// Sends a form from the last page.
    pub(super) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let token = self.token();
        let mut fields = fields.to_vec();
        fields.push(("form", &token));
        let origin = format!("Origin: http://{}\r\n", self.address);
        self.post_as(path, &fields, &origin)
    }

    /// Sends fields as they are.
    pub(super) fn post_as(&mut self, path: &str, fields: &[(&str, &str)], headers: &str) -> Reply {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let headers =
            format!("{}{headers}Content-Type: application/x-www-form-urlencoded\r\n", self.headers());
        let reply = send(&self.address, "POST", path, &headers, &body.join("&"));
        self.keep(&reply);
        reply
    }

    /// Sends what the page's script would.
    pub(super) fn script(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let headers = format!(
            "{}Origin: http://{}\r\nX-Mindrail-Form: {}\r\n",
            self.headers(),
            self.address,
            self.token()
        );
        let reply = send(&self.address, "POST", path, &headers, &body.to_string());
        (reply.status, serde_json::from_str(&reply.body).unwrap_or(Value::Null))
    }

    /// The token of the last page's forms.
    pub(super) fn token(&self) -> String {
        let after =
            ["name=\"form\" value=\"", "data-form=\""].iter().find_map(|mark| self.page.split_once(mark));
        let token = after.map_or("", |(_, rest)| rest);
        token.chars().take_while(char::is_ascii_hexdigit).collect()
    }

    fn headers(&self) -> String {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("Cookie: {}\r\nAccept-Language: {}\r\n", pairs.join("; "), self.language)
    }

    fn keep(&mut self, reply: &Reply) {
        for line in reply.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            let pair = line.split(';').next().and_then(|pair| pair.split_once('='));
            let (name, value) = pair.expect("a cookie");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |text, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text + &char::from(byte).to_string(),
        other => text + &format!("%{other:02X}"),
    })
}

pub(super) fn send(address: &str, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a time-out");
    let length = body.len();
    let host = if headers.starts_with("Host: ") { String::new() } else { format!("Host: {address}\r\n") };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}
