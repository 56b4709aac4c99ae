//! Hub access against a server that behaves like the hub. The hub itself is an
//! axum server; the store of large files, to which it redirects, is another
//! server on another port that speaks HTTP by hand, so that it can break off.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use mindrail_data::hub::{
    Credentials, Hub, HubError, Network, Pattern, Progress, Settings, Snapshot, Token, Wanted,
};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const CARD: &[u8] = b"# A card\n";
const TOKEN: &str = "hf_good_token";

/// A large file: 300,000 bytes that repeat after 251.
fn large() -> Vec<u8> {
    (0..300_000_u32).map(|i| (i % 251) as u8).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// How the store behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    /// Closes each connection after that many bytes.
    CutsAfter(usize),
    /// Sends the whole file whatever is asked.
    IgnoresRange,
    /// One byte is another.
    Garbles,
    /// Says 503 that many times, with `Retry-After: 0`.
    Busy(u32),
}

/// One request to the store.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    authorization: bool,
    from: usize,
    sent: usize,
}

#[derive(Debug)]
struct Store {
    mood: Mutex<Mood>,
    seen: Mutex<Vec<Seen>>,
}

impl Store {
    fn start() -> (Arc<Self>, u16) {
        let store = Arc::new(Self { mood: Mutex::new(Mood::Well), seen: Mutex::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::clone(&store);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                // A client that went away is no failure of the store.
                let _ = stream.and_then(|stream| shared.serve(stream));
            }
        });
        (store, port)
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut seen = Seen { authorization: false, from: 0, sent: 0 };
        for line in BufReader::new(stream.try_clone()?).lines() {
            let line = line?.to_lowercase();
            if line.is_empty() {
                break;
            }
            seen.authorization |= line.starts_with("authorization:");
            if let Some(range) = line.strip_prefix("range: bytes=") {
                seen.from = range.trim_end_matches('-').parse().unwrap();
            }
        }
        let (head, body) = self.answer(&seen);
        seen.sent = body.len();
        self.seen.lock().unwrap().push(seen);
        stream.write_all(head.as_bytes())?;
        stream.write_all(&body)
    }

    /// The head announces all of the body, also when less of it follows.
    fn answer(&self, seen: &Seen) -> (String, Vec<u8>) {
        let mut mood = self.mood.lock().unwrap();
        let mut all = large();
        if let Mood::Busy(left @ 1..) = *mood {
            *mood = Mood::Busy(left - 1);
            let head =
                "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return (head.to_owned(), Vec::new());
        }
        if *mood == Mood::Garbles {
            all[1000] ^= 1;
        }
        let from = if *mood == Mood::IgnoresRange { 0 } else { seen.from };
        let status = if from > 0 {
            format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", all.len() - 1, all.len())
        } else {
            "200 OK".to_owned()
        };
        let mut body = all.split_off(from);
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        if let Mood::CutsAfter(bytes) = *mood {
            body.truncate(bytes);
        }
        (head, body)
    }
}

/// What the hub knows of one request.
#[derive(Debug, Clone)]
struct Asked {
    path: String,
    authorization: Option<String>,
}

#[derive(Debug)]
struct HubState {
    store_port: u16,
    asked: Mutex<Vec<Asked>>,
    /// Answers with 429 that many times first.
    throttled: Mutex<u32>,
}

async fn hub_answers(State(state): State<Arc<HubState>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let authorization = authorization(request.headers());
    state.asked.lock().unwrap().push(Asked { path: path.clone(), authorization: authorization.clone() });
    {
        let mut left = state.throttled.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            return answer(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "0")], "slow down");
        }
    }
    if authorization.as_deref() == Some("Bearer hf_stale") {
        let header = [("x-error-message", "Invalid credentials in Authorization header")];
        return answer(StatusCode::UNAUTHORIZED, &header, "");
    }
    match path.strip_prefix("/api/datasets/") {
        Some(rest) => listing(rest, authorization.as_deref()),
        None => file(&state, &path),
    }
}

fn authorization(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("authorization")?.to_str().ok()?.to_owned())
}

fn answer(status: StatusCode, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = (status, body.into()).into_response();
    for (name, value) in headers {
        let name = name.parse::<axum::http::HeaderName>().unwrap();
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn listing(rest: &str, authorization: Option<&str>) -> Response {
    let (id, revision) = rest.split_once("/revision/").unwrap();
    let names: &[&str] = match id {
        "org/open" | "org/gated" => &["README.md", "data/train.parquet"],
        "org/evil" => &["../../../escaped"],
        "org/private" if authorization == Some("Bearer hf_good_token") => &["README.md"],
        "org/old" => {
            return answer(
                StatusCode::TEMPORARY_REDIRECT,
                &[("location", "/api/datasets/org/open/revision/main")],
                "",
            );
        }
        _ => return answer(StatusCode::UNAUTHORIZED, &[("x-error-code", "RepoNotFound")], ""),
    };
    if !["main", "refs%2Fpr%2F1", COMMIT].contains(&revision) {
        return answer(StatusCode::NOT_FOUND, &[("x-error-code", "RevisionNotFound")], "");
    }
    let siblings = names.iter().map(|name| serde_json::json!({ "rfilename": name })).collect::<Vec<_>>();
    let body = serde_json::json!({ "id": id, "sha": COMMIT, "siblings": siblings, "tags": [] });
    answer(StatusCode::OK, &[("content-type", "application/json")], body.to_string())
}

fn file(state: &HubState, path: &str) -> Response {
    if path.starts_with("/datasets/org/gated/") {
        return answer(StatusCode::FORBIDDEN, &[("x-error-code", "GatedRepo")], "");
    }
    if path.ends_with("README.md") {
        let blob = Sha1::new_with_prefix(format!("blob {}\0", CARD.len())).chain_update(CARD).finalize();
        let etag = format!("\"{}\"", hex(&blob));
        return answer(StatusCode::OK, &[("etag", &etag), ("x-repo-commit", COMMIT)], CARD);
    }
    let etag = format!("\"{}\"", hex(&Sha256::digest(large())));
    let store = format!("http://localhost:{}/signed?signature=secret", state.store_port);
    let headers = [
        ("location", store.as_str()),
        ("x-linked-etag", &etag),
        ("x-linked-size", "300000"),
        ("x-repo-commit", COMMIT),
        ("etag", "\"of-the-redirect\""),
    ];
    answer(StatusCode::FOUND, &headers, "")
}

/// Both servers and a cache.
struct World {
    store: Arc<Store>,
    hub: Arc<HubState>,
    endpoint: String,
    cache: TempDir,
    /// Ends the hub when dropped.
    _runtime: tokio::runtime::Runtime,
}

impl World {
    fn start() -> Self {
        let (store, store_port) = Store::start();
        let hub = Arc::new(HubState { store_port, asked: Mutex::default(), throttled: Mutex::default() });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let app = axum::Router::new().fallback(hub_answers).with_state(Arc::clone(&hub));
        runtime.spawn(async { axum::serve(listener, app).await });
        Self { store, hub, endpoint, cache: tempfile::tempdir().unwrap(), _runtime: runtime }
    }

    fn settings(&self) -> Settings {
        Settings {
            endpoint: self.endpoint.clone(),
            cache: self.cache.path().to_owned(),
            token: Token::new(TOKEN),
            network: Network::Online,
            first_pause: Duration::from_millis(1),
        }
    }

    fn pull(&self, id: &str) -> Result<Snapshot, HubError> {
        pull(self.settings(), id, "main", "*")
    }

    fn seen(&self) -> Vec<Seen> {
        self.store.seen.lock().unwrap().clone()
    }

    fn asked(&self) -> Vec<Asked> {
        self.hub.asked.lock().unwrap().clone()
    }

    fn set(&self, mood: Mood) {
        *self.store.mood.lock().unwrap() = mood;
    }

    fn root(&self) -> std::path::PathBuf {
        self.cache.path().join("datasets--org--open")
    }
}

fn pull(settings: Settings, id: &str, revision: &str, files: &str) -> Result<Snapshot, HubError> {
    let wanted =
        Wanted { id: id.parse().unwrap(), revision: revision.parse().unwrap(), files: Pattern::new(files) };
    Hub::new(settings).pull(&wanted, &mut |_| {})
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
    names.sort();
    names
}

#[test]
fn a_pull_fills_the_cache_as_python_lays_it_out() {
    let world = World::start();
    let snapshot = world.pull("org/open").unwrap();
    assert_eq!((snapshot.commit.as_str(), snapshot.files.len()), (COMMIT, 2));
    assert_eq!(std::fs::read(snapshot.folder.join("README.md")).unwrap(), CARD);
    assert_eq!(std::fs::read(snapshot.folder.join("data/train.parquet")).unwrap(), large());
    let root = world.root();
    assert_eq!(std::fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    let blobs = names(&root.join("blobs"));
    assert_eq!(blobs.iter().map(String::len).collect::<Vec<_>>().iter().sum::<usize>(), 40 + 64, "{blobs:?}");
    let link = std::fs::read_link(root.join("snapshots").join(COMMIT).join("data/train.parquet")).unwrap();
    assert_eq!(link, Path::new("../../../blobs").join(hex(&Sha256::digest(large()))));
}

#[test]
fn the_token_goes_to_the_hub_and_to_no_other_host() {
    let world = World::start();
    world.pull("org/open").unwrap();
    assert_eq!(world.seen(), [Seen { authorization: false, from: 0, sent: 300_000 }]);
    let asked = world.asked();
    assert!(asked.len() >= 4, "{asked:?}");
    assert!(asked.iter().all(|a| a.authorization.as_deref() == Some("Bearer hf_good_token")), "{asked:?}");
}

#[test]
fn a_second_pull_asks_for_the_revision_and_fetches_nothing() {
    let world = World::start();
    let first = world.pull("org/open").unwrap();
    let before = world.asked().len();
    assert_eq!(world.pull("org/open").unwrap(), first);
    assert_eq!(world.asked().len(), before + 1);
    assert_eq!(world.seen().len(), 1);
}

#[test]
fn a_cut_connection_goes_on_where_it_stopped() {
    let world = World::start();
    world.set(Mood::CutsAfter(70_000));
    let snapshot = pull(world.settings(), "org/open", "main", "data/*").unwrap();
    assert_eq!(std::fs::read(snapshot.folder.join("data/train.parquet")).unwrap(), large());
    let seen = world.seen();
    let from = seen.iter().map(|s| s.from).collect::<Vec<_>>();
    assert_eq!(from, [0, 70_000, 140_000, 210_000, 280_000]);
    assert_eq!(seen.iter().map(|s| s.sent).sum::<usize>(), 300_000, "nothing was fetched twice");
}

#[test]
fn a_server_that_only_cuts_is_given_up_after_five_retries() {
    let world = World::start();
    world.set(Mood::CutsAfter(0));
    let error = world.pull("org/open").unwrap_err();
    assert!(matches!(error, HubError::GaveUp { tries: 6, .. }), "{error}");
    assert!(!error.to_string().contains("signature"), "{error}");
    assert_eq!(world.seen().len(), 6);
}

#[test]
fn what_a_killed_run_left_is_not_taken_for_the_file_but_resumed() {
    let world = World::start();
    let blobs = world.root().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let etag = hex(&Sha256::digest(large()));
    std::fs::write(blobs.join(format!("{etag}.incomplete")), &large()[..120_000]).unwrap();
    let offline = Settings { network: Network::Offline, ..world.settings() };
    assert!(matches!(pull(offline, "org/open", "main", "*"), Err(HubError::NotCached { .. })));
    let mut begun = Vec::new();
    let wanted = Wanted {
        id: "org/open".parse().unwrap(),
        revision: "main".parse().unwrap(),
        files: Pattern::new("data/*"),
    };
    let snapshot = Hub::new(world.settings()).pull(&wanted, &mut |progress| {
        if let Progress::Begins { size, present, .. } = progress {
            begun.push((size, present));
        }
    });
    let folder = snapshot.unwrap().folder;
    assert_eq!(std::fs::read(folder.join("data/train.parquet")).unwrap(), large());
    assert_eq!(begun, [(300_000, 120_000)]);
    assert_eq!(world.seen(), [Seen { authorization: false, from: 120_000, sent: 180_000 }]);
    assert_eq!(names(&blobs), [etag]);
}

#[test]
fn a_store_without_ranges_sends_all_again_and_the_file_is_right() {
    let world = World::start();
    let blobs = world.root().join("blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    let etag = hex(&Sha256::digest(large()));
    std::fs::write(blobs.join(format!("{etag}.incomplete")), b"other bytes").unwrap();
    world.set(Mood::IgnoresRange);
    let folder = world.pull("org/open").unwrap().folder;
    assert_eq!(std::fs::read(folder.join("data/train.parquet")).unwrap(), large());
}

#[test]
fn a_wrong_hash_is_told_and_leaves_nothing_behind() {
    let world = World::start();
    world.set(Mood::Garbles);
    let error = pull(world.settings(), "org/open", "main", "data/*").unwrap_err();
    assert!(matches!(error, HubError::WrongHash { .. }), "{error}");
    assert_eq!(names(&world.root().join("blobs")), Vec::<String>::new());
    assert!(!world.root().join("refs/main").exists());
    world.set(Mood::Well);
    world.pull("org/open").unwrap();
}

#[test]
fn throttling_and_short_failures_pass() {
    let world = World::start();
    *world.hub.throttled.lock().unwrap() = 3;
    world.set(Mood::Busy(2));
    world.pull("org/open").unwrap();
    assert_eq!(world.seen().len(), 3);
}

#[test]
fn offline_answers_from_the_cache_alone() {
    let world = World::start();
    let offline = || Settings { network: Network::Offline, ..world.settings() };
    let error = pull(offline(), "org/open", "main", "*").unwrap_err();
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
    assert!(world.asked().is_empty());
    let online = world.pull("org/open").unwrap();
    let before = world.asked().len();
    assert_eq!(pull(offline(), "org/open", "main", "*").unwrap(), online);
    assert_eq!(pull(offline(), "org/open", COMMIT, "*").unwrap(), online);
    assert!(matches!(pull(offline(), "org/open", "main", "*.csv"), Err(HubError::NotCached { .. })));
    assert_eq!(world.asked().len(), before);
}

#[test]
fn refusals_say_what_to_do_and_are_not_repeated() {
    let world = World::start();
    let message = |id: &str, token: Option<&str>, revision: &str| {
        let settings = Settings { token: token.and_then(Token::new), ..world.settings() };
        let before = world.asked().len();
        let error = pull(settings, id, revision, "*").unwrap_err();
        assert!(world.asked().len() - before <= 2, "{error}");
        error.to_string().replace(&world.endpoint, "HUB")
    };
    insta::assert_snapshot!(message("org/gated", None, "main"), @"data set org/gated is gated; log in and accept its terms at HUB/datasets/org/gated; no token was sent: set HF_TOKEN to a token with read access");
    insta::assert_snapshot!(message("org/private", None, "main"), @"data set org/private is not on HUB, or is private; check its name; if it is private, no token was sent: set HF_TOKEN to a token with read access");
    insta::assert_snapshot!(message("org/open", Some("hf_stale"), "main"), @"HUB refused the token; make a new one at HUB/settings/tokens and set HF_TOKEN");
    insta::assert_snapshot!(message("org/open", None, "v9"), @r#"data set org/open has no revision "v9""#);
}

#[test]
fn a_token_opens_a_private_set_and_a_renamed_set_is_found() {
    let world = World::start();
    assert_eq!(world.pull("org/private").unwrap().files, ["README.md"]);
    assert_eq!(world.pull("org/old").unwrap().files.len(), 2);
    assert_eq!(pull(world.settings(), "org/open", "refs/pr/1", "*.md").unwrap().files, ["README.md"]);
    assert_eq!(std::fs::read_to_string(world.root().join("refs/refs/pr/1")).unwrap(), COMMIT);
    assert!(world.asked().iter().any(|asked| asked.path.ends_with("refs%2Fpr%2F1")));
}

#[test]
fn a_name_outside_of_the_cache_and_a_pattern_without_files_are_refused() {
    let world = World::start();
    assert!(matches!(world.pull("org/evil"), Err(HubError::UnsafeFile { .. })));
    let error = pull(world.settings(), "org/open", "main", "*.csv").unwrap_err();
    assert!(error.to_string().contains("README.md, data/train.parquet"), "{error}");
    let error = pull(world.settings(), "org/none", "main", "*").unwrap_err();
    assert!(matches!(error, HubError::RepositoryNotFound { credentials: Credentials::Token, .. }), "{error}");
}
