//! `mindrail serve` as tests meet it: a real process on a free port, with its store in
//! a file or in PostgreSQL, and everything that it says on standard error watched.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use crate::program::{Folder, Ran};

/// A server on a free port.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: String,
    said: Arc<Mutex<Vec<String>>>,
    reading: Option<JoinHandle<()>>,
}

/// An answer from the wire.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

/// A folder with a store: a file in it, or a schema of its own in the PostgreSQL that
/// the environment names (`MINDRAIL_TEST_POSTGRES`).
pub(crate) struct Place {
    pub(crate) folder: Folder,
    url: Option<String>,
}

/// The variable in which servers find the URL of their database.
const STORE_URL: &str = "MINDRAIL_TEST_STORE_URL";

impl Place {
    pub(crate) fn file() -> Self {
        Self { folder: Folder::new(), url: None }
    }

    /// A place in PostgreSQL, where there is one.
    #[expect(clippy::print_stderr, reason = "a test says what it skips")]
    pub(crate) fn postgres() -> Option<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let Ok(url) = std::env::var("MINDRAIL_TEST_POSTGRES") else {
            eprintln!("skipped on PostgreSQL: MINDRAIL_TEST_POSTGRES names no database");
            return None;
        };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let schema = format!("served_{}_{number}", std::process::id());
        let made = Command::new("psql").args([&url, "-qc", &format!("CREATE SCHEMA {schema}")]).status();
        assert!(made.expect("psql").success());
        let separator = if url.contains('?') { '&' } else { '?' };
        let url = Some(format!("{url}{separator}options=-csearch_path%3D{schema}"));
        Some(Self { folder: Folder::new(), url })
    }

    /// One of each kind that there is.
    pub(crate) fn all() -> Vec<Self> {
        [Some(Self::file()), Self::postgres()].into_iter().flatten().collect()
    }

    fn storing(&self) -> &'static [&'static str] {
        if self.url.is_some() { &["--store-url-env", STORE_URL] } else { &[] }
    }

    fn environment(&self) -> Option<(&'static str, &str)> {
        self.url.as_deref().map(|url| (STORE_URL, url))
    }

    /// Runs `mindrail` with a command that opens the store.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_mindrail"))
            .args(arguments)
            .args(self.storing())
            .envs(self.environment())
            .current_dir(self.folder.path(""))
            .output();
        output.expect("the binary runs").into()
    }

    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[], &[])
    }

    pub(crate) fn serve_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        let arguments = [self.storing(), arguments].concat();
        let environment: Vec<(&str, &str)> =
            self.environment().into_iter().chain(environment.iter().copied()).collect();
        Server::start_as(&self.folder, &arguments, &environment)
    }
}

impl Server {
    /// One with its store in a folder.
    pub(crate) fn start(folder: &Folder) -> Self {
        Self::start_with(folder, &[])
    }

    pub(crate) fn start_with(folder: &Folder, environment: &[(&str, &str)]) -> Self {
        Self::start_as(folder, &[], environment)
    }

    /// Starts a server in a folder, and waits until it says where it listens.
    pub(crate) fn start_as(folder: &Folder, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mindrail"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .current_dir(folder.path(""))
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        let address = line.trim().rsplit("://").next().expect("an address").to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{line}");
        Self::watched(child, address, said)
    }

    fn watched(child: Child, address: String, said: impl std::io::BufRead + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&lines);
        let reading = std::thread::spawn(move || {
            said.lines().map_while(Result::ok).for_each(|line| heard.lock().expect("no panic").push(line));
        });
        Self { child, address, said: lines, reading: Some(reading) }
    }

    /// What it has said on standard error since it listens.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().expect("no panic").clone()
    }

    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
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
        Ok(Answer { status, headers: head.to_owned(), body: body.to_owned() })
    }

    pub(crate) fn post_as(&self, key: &str, path: &str, request: &Value) -> (u16, Value) {
        let headers = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
        let answer = self.ask("POST", path, &headers, &request.to_string()).expect("an answer");
        (answer.status, serde_json::from_str(&answer.body).expect("JSON"))
    }

    pub(crate) fn post(&self, path: &str, request: &Value) -> (u16, Value) {
        self.post_as("", path, request)
    }

    pub(crate) fn guard(&self, request: &Value) -> (u16, Value) {
        self.post("/v1/guard", request)
    }
}

/// What a server may say on standard error: nothing of a conversation.
const SAYINGS: [&str; 5] = [
    "mindrail: the configuration ",
    "mindrail: the certificate ",
    "mindrail: what is old could not be forgotten ",
    "mindrail: the store",
    "mindrail: tenant default: rules about the person are off: ",
];

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reading.take().map(JoinHandle::join);
        if std::thread::panicking() {
            return;
        }
        // The logs of the whole suite: every line of every server is one of these.
        for line in self.said() {
            assert!(SAYINGS.iter().any(|saying| line.starts_with(saying)), "a server said: {line}");
        }
    }
}

pub(crate) fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

/// A conversation that grows grave.
pub(crate) fn demo() -> Vec<Value> {
    let turns =
        ["hey", "school is a lot lately", "i dont see a way out anymore", "i dont want to be here tomorrow"];
    turns.map(user).into()
}
