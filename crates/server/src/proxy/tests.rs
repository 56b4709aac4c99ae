//! The proxy over real connections: an assistant that does what its script says, byte for
//! byte, and a judge whose verdicts are known.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mindrail_core::assessment::{ConversationScores, ReplyScores, TurnAssessment, TurnScores, UserScores};
use mindrail_core::assessor::{Assessor, ModelIdentity, StateError};
use mindrail_core::calibration::{Calibration, Platt, RiskThreshold, RiskThresholds, SignalFloor};
use mindrail_core::conversation::{Role, Turn};
use mindrail_core::language::Language;
use mindrail_core::policy::words::Occasion;
use mindrail_core::policy::{DEFAULT_TOML, Policy};
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{ReplyClass, Scores, Severity};
use serde_json::{Value, json};

use super::*;
use crate::audit::{Entry, Status, Subject};
use crate::http::{Serving, routes};
use crate::service::Service;
use crate::store::Store;
use crate::tenant::{DEFAULT, Tenant, Tenants};

fn p(value: f32) -> Probability {
    Probability::new(value).unwrap()
}

/// A judge that goes by words: a dark cloud calls a human, a grey one asks for support, a
/// thorn is never shown, a burr should be written anew, and thunder breaks the judge.
struct Weather {
    calibration: Calibration,
    identity: ModelIdentity,
}

impl Weather {
    fn new() -> Self {
        let thresholds = |language| {
            let at = |value| RiskThreshold::without_provenance(p(value));
            (language, RiskThresholds { high_risk: at(0.6), support: at(0.3) })
        };
        let calibration = Calibration {
            risk: Platt::IDENTITY,
            floor: SignalFloor { certain: p(0.9) },
            certain_confirm: RiskThreshold::without_provenance(p(0.7)),
            thresholds: Language::ALL.into_iter().map(thresholds).collect(),
            signals: Scores::uniform(p(0.5)),
            crisis: Scores::uniform(p(0.5)),
            unsafe_reply: p(0.5),
            replies: Scores::uniform(p(0.5)),
            harms: Scores::uniform(p(0.5)),
            risk_tenths: None,
        };
        let identity = ModelIdentity { name: "weather".into(), version: "1".into(), sha256: "0".repeat(64) };
        Self { calibration, identity }
    }
}

impl Assessor for Weather {
    /// Turns and the worst risk so far.
    type State = (usize, f32, bool);

    fn start(&self) -> Self::State {
        (0, 0.0, false)
    }

    fn push(&self, (turns, worst, any): &mut Self::State, turn: &Turn) -> Result<TurnAssessment, StateError> {
        assert!(!turn.text.contains("thunder"), "the judge breaks");
        let index = *turns;
        *turns += 1;
        let scores = match turn.role {
            Role::System => TurnScores::None,
            Role::User => {
                let dark = turn.text.contains("dark cloud");
                let risk = if dark {
                    0.9
                } else if turn.text.contains("grey cloud") {
                    0.4
                } else {
                    0.1
                };
                (*worst, *any) = (worst.max(risk), true);
                let low = p(0.1);
                TurnScores::User(UserScores {
                    risk: p(risk),
                    signals: Scores::uniform(low),
                    crisis: Scores::uniform(low),
                })
            }
            Role::Assistant => {
                let class = match &turn.text {
                    text if text.contains("thorn") => ReplyClass::ToxicLanguage,
                    text if text.contains("burr") => ReplyClass::LinguisticNeglect,
                    _ => ReplyClass::SafeResponse,
                };
                let one = |yes| if yes { Probability::ONE } else { Probability::ZERO };
                TurnScores::Assistant(ReplyScores {
                    classes: Scores::from_fn(|other| one(other == class)),
                    harms: Scores::uniform(Probability::ZERO),
                    severity: Scores::from_fn(|severity| one(severity == Severity::None)),
                })
            }
        };
        let conversation = any.then(|| ConversationScores {
            risk: p(*worst),
            signals: Scores::uniform(p(0.1)),
            language: Language::En,
        });
        Ok(TurnAssessment {
            index,
            role: turn.role,
            scores,
            conversation,
            not_evaluated: Vec::new(),
            values: BTreeMap::new(),
        })
    }

    fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    fn model(&self) -> &ModelIdentity {
        &self.identity
    }
}

/// What the assistant received.
#[derive(Debug, Clone)]
struct Received {
    head: String,
    body: Value,
}

/// An assistant on a port of its own that answers each request with the bytes of a script.
struct Assistant {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    /// When a connection was found closed by the other side.
    left: Arc<Mutex<Vec<Instant>>>,
}

/// One step of an answer.
#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    Wait(u64),
    /// Waits until the other side goes away.
    Hang,
}

fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(bytes.as_ref().to_vec())
}

impl Assistant {
    fn start(script: impl Fn(usize) -> Vec<Step> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (received, left) =
            (Arc::<Mutex<Vec<Received>>>::default(), Arc::<Mutex<Vec<Instant>>>::default());
        let (log, gone) = (Arc::clone(&received), Arc::clone(&left));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = receive(&mut stream);
                let number = {
                    let mut log = log.lock().unwrap();
                    log.push(request);
                    log.len() - 1
                };
                let (steps, gone) = (script(number), Arc::clone(&gone));
                std::thread::spawn(move || play(stream, steps, &gone));
            }
        });
        Self { address, received, left }
    }

    fn always(steps: Vec<Step>) -> Self {
        Self::start(move |_| steps.clone())
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

fn receive(stream: &mut TcpStream) -> Received {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(found) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = found.trim().parse().unwrap();
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Received { head, body: serde_json::from_slice(&body).unwrap_or_default() }
}

fn play(mut stream: TcpStream, steps: Vec<Step>, gone: &Mutex<Vec<Instant>>) {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    gone.lock().unwrap().push(Instant::now());
                    return;
                }
                let _ = stream.flush();
            }
            Step::Wait(ms) => std::thread::sleep(Duration::from_millis(ms)),
            Step::Hang => {
                let _ = stream.read(&mut [0]);
                gone.lock().unwrap().push(Instant::now());
            }
        }
    }
}

fn head(kind: &str) -> Step {
    send(format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nx-request-id: r-1\r\nset-cookie: a=b\r\nConnection: close\r\n\r\n"
    ))
}

fn json_of(status: &str, body: &Value) -> Vec<Step> {
    vec![send(format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{body}"
    ))]
}

fn event(value: &Value) -> Vec<u8> {
    format!("data: {value}\n\n").into_bytes()
}

fn delta(text: &str) -> Value {
    json!({"id": "up-1", "object": "chat.completion.chunk", "created": 5, "model": "m-1", "spare": 7,
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
}

fn over() -> Value {
    json!({"id": "up-1", "object": "chat.completion.chunk", "created": 5, "model": "m-1",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
}

/// A stream of these texts, whole.
fn stream_of(texts: &[&str]) -> Vec<Step> {
    let mut steps = vec![head("text/event-stream")];
    steps.extend(texts.iter().map(|text| send(event(&delta(text)))));
    steps.push(send([event(&over()), b"data: [DONE]\n\n".to_vec()].concat()));
    steps
}

fn whole(texts: &[&str]) -> Vec<Step> {
    let choices: Vec<Value> = texts.iter().enumerate().map(|(index, text)| {
        json!({"index": index, "finish_reason": "stop", "message": {"role": "assistant", "content": text}, "spare": true})
    }).collect();
    json_of(
        "200 OK",
        &json!({"id": "up-1", "object": "chat.completion", "model": "m-1", "choices": choices,
        "usage": {"total_tokens": 7}, "spare": {"a": 1}}),
    )
}

/// A server with a proxy to an assistant.
struct Proxy {
    address: SocketAddr,
    folder: tempfile::TempDir,
    policy: Policy,
    service: Arc<Service>,
    _runtime: tokio::runtime::Runtime,
}

/// An answer from the wire.
#[derive(Debug)]
struct Got {
    status: u16,
    head: String,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}", self.body))
    }

    fn content(&self) -> String {
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }

    /// The chunks of a stream, which must end as the protocol says.
    fn chunks(&self) -> Vec<Value> {
        let events: Vec<&str> = self.body.split("\n\n").filter(|event| event.starts_with("data: ")).collect();
        let (last, events) = events.split_last().unwrap_or_else(|| panic!("no events: {self:?}"));
        assert_eq!(*last, "data: [DONE]", "{}", self.body);
        events.iter().map(|event| serde_json::from_str(&event[6..]).unwrap()).collect()
    }

    /// What a person has read of the first choice.
    fn read(&self) -> String {
        let content = |chunk: &Value| {
            chunk.pointer("/choices/0/delta/content").and_then(Value::as_str).map(str::to_owned)
        };
        self.chunks().iter().filter_map(content).collect()
    }

    /// How often a choice was said to be over.
    fn finishes(&self) -> usize {
        let chunks = self.chunks();
        let choices = chunks.iter().filter_map(|chunk| chunk["choices"].as_array()).flatten();
        choices.filter(|choice| !choice["finish_reason"].is_null()).count()
    }
}

impl Proxy {
    fn before(assistant: &Assistant) -> Self {
        Self::with(assistant, |_| {}, Policy::default())
    }

    fn with(assistant: &Assistant, change: impl FnOnce(&mut UpstreamSettings), policy: Policy) -> Self {
        let mut settings = UpstreamSettings::at(format!("http://{}/v1", assistant.address));
        settings.window = WindowSizes { least: 10, most: 60 };
        (settings.first_byte_timeout_s, settings.idle_timeout_s) = (1, 1);
        change(&mut settings);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::in_file(&folder.path().join("store.db")).unwrap();
        let tenant = Tenant {
            upstream: Some(Arc::new(settings.build().unwrap())),
            ..Tenant::new(DEFAULT, policy.clone())
        };
        let service = Arc::new(Service::new(Arc::new(Weather::new()), store));
        let serving = Serving {
            service: Arc::clone(&service),
            tenants: Arc::new(Tenants::new([tenant])),
            key: None,
            cores: 2,
            behind_proxies: 0,
            tell: |_| {},
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let routes = routes(serving);
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Self { address, folder, policy, service, _runtime: runtime }
    }

    fn ask_with(&self, headers: &str, request: &Value) -> Got {
        self.send("POST", "/v1/chat/completions", headers, &request.to_string())
    }

    fn ask(&self, request: &Value) -> Got {
        self.ask_with("", request)
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Got {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}").unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let packed = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let body = if packed { unchunked(body) } else { body.to_owned() };
        Got { status, head: head.to_ascii_lowercase(), body }
    }

    /// The trail so far.
    fn trail(&self) -> Vec<Entry> {
        let store = Store::in_file(&self.folder.path().join("store.db")).unwrap();
        let mut entries = Vec::new();
        store.verify(|entry, _| entries.push(entry.clone())).unwrap();
        entries
    }

    fn says(&self, occasion: Occasion) -> String {
        self.policy.words.on(occasion).en.to_string()
    }
}

fn unchunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        text.push_str(&rest[..size]);
        body = rest.get(size + 2..).unwrap_or_default();
    }
    text
}

fn asking(text: &str) -> Value {
    json!({"model": "m-1", "messages": [{"role": "user", "content": text}]})
}

fn streaming(text: &str) -> Value {
    let mut request = asking(text);
    request["stream"] = json!(true);
    request
}

const CALM: &str = "We can look at it together. One step after the other. What comes first for you?";

#[test]
fn an_answer_passes_with_its_unknown_fields_and_nothing_is_added_to_it() {
    let assistant = Assistant::always(whole(&[CALM]));
    let proxy = Proxy::before(&assistant);
    let mut request = asking("school is a lot");
    request["new_setting"] = json!({"deep": [1, "two"]});
    let headers = "OpenAI-Organization: org-1\r\nX-Mindrail-Person: someone\r\nCookie: c=d\r\nAuthorization: Bearer mine\r\n";
    let got = proxy.ask_with(headers, &request);
    assert_eq!((got.status, got.content().as_str()), (200, CALM), "{got:?}");
    assert_eq!((&got.json()["spare"], &got.json()["choices"][0]["spare"]), (&json!({"a": 1}), &json!(true)));
    assert!(got.json().get("mindrail").is_none());
    assert!(got.head.contains("x-mindrail-decision: 1"), "{}", got.head);
    assert!(!got.head.contains("set-cookie"));
    let sent = assistant.received()[0].clone();
    assert_eq!(sent.body, request);
    let head = sent.head.to_ascii_lowercase();
    assert!(head.contains("openai-organization: org-1") && head.starts_with("post /v1/chat/completions"));
    for kept_back in ["mindrail-person", "cookie", "bearer mine", "accept-encoding"] {
        assert!(!head.contains(kept_back), "{head}");
    }
    let trail = proxy.trail();
    assert_eq!(trail.len(), 2);
    assert_eq!(trail[1].decision.part.map(|part| (part.choice, part.whole)), Some((0, true)));
}

#[test]
fn a_stream_passes_chunk_by_chunk_and_each_window_has_its_entry() {
    let assistant = Assistant::always(stream_of(&[
        "We can look ",
        "at it together. ",
        "One step after",
        " the other. What",
        " comes first?",
    ]));
    let proxy = Proxy::before(&assistant);
    let got = proxy.ask(&streaming("school is a lot"));
    assert!(got.head.contains("content-type: text/event-stream"), "{}", got.head);
    assert_eq!(got.read(), "We can look at it together. One step after the other. What comes first?");
    assert_eq!(got.finishes(), 1);
    assert!(got.chunks().iter().take(5).all(|chunk| chunk["spare"] == 7 && chunk["id"] == "up-1"));
    let trail = proxy.trail();
    let parts: Vec<_> = trail[1..]
        .iter()
        .map(|entry| entry.decision.part.unwrap())
        .map(|part| (part.characters, part.whole))
        .collect();
    assert_eq!(parts, [(28, false), (54, false), (71, true)]);
}

#[test]
fn a_stream_shows_nothing_of_a_window_before_it_is_judged() {
    let steps = vec![
        head("text/event-stream"),
        send(event(&delta("We can look at it together. One"))),
        Step::Wait(300),
        send(event(&delta(" thorn. "))),
        Step::Wait(100),
        send(event(&delta("more of it"))),
        Step::Hang,
    ];
    let assistant = Assistant::always(steps);
    let proxy = Proxy::before(&assistant);
    let got = proxy.ask(&streaming("school is a lot"));
    let read = got.read();
    assert!(read.starts_with("We can look at it together.\n\n"), "{read}");
    assert!(
        !read.contains("thorn")
            && !read.contains("One")
            && read.contains(&proxy.says(Occasion::ReplacedReply))
    );
    assert!(read.contains(proxy.policy.resources.general(Language::En)[0]), "resources come with it");
    assert_eq!(got.finishes(), 1);
    let trail = proxy.trail();
    assert_eq!(
        trail.iter().map(|entry| entry.decision.action.as_str()).collect::<Vec<_>>(),
        ["allow", "allow", "block"]
    );
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(assistant.left.lock().unwrap().len(), 1, "the assistant is not left talking");
}

#[test]
fn on_escalate_the_person_gets_words_and_resources_and_the_assistant_is_not_asked() {
    let assistant = Assistant::always(whole(&[CALM]));
    let proxy = Proxy::before(&assistant);
    for request in [asking("a dark cloud"), streaming("a dark cloud")] {
        let got = proxy.ask_with("X-Mindrail-Conversation: c-1\r\n", &request);
        let said = if request["stream"] == true { got.read() } else { got.content() };
        assert_eq!(got.status, 200);
        assert!(said.contains(&proxy.says(Occasion::Escalate)), "{said}");
        assert!(said.contains(proxy.policy.resources.general(Language::En)[0]), "{said}");
        for unsaid in ["risk", "0.9", "high_risk", "SI_"] {
            assert!(!got.body.contains(unsaid), "{unsaid}: {}", got.body);
        }
    }
    assert!(assistant.received().is_empty());
    let got =
        proxy.ask(&json!({"model": "m", "n": 2, "messages": [{"role": "user", "content": "a dark cloud"}]}));
    assert_eq!(got.json()["choices"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&got.json()["usage"]["total_tokens"], &got.json()["mindrail"]["action"]),
        (&json!(0), &json!("escalate"))
    );
    let store = Store::in_file(&proxy.folder.path().join("store.db")).unwrap();
    let waiting: u64 = store
        .read(|connection| Ok(connection.first("SELECT COUNT(*) FROM review", &[])?.unwrap().get(0)?))
        .unwrap();
    assert_eq!(waiting, 2, "the desk is told: once of the conversation, once of the one without a name");
}

#[test]
fn on_support_the_assistant_gets_a_note_unless_that_is_off() {
    for (note, expected) in [(SupportNote::On, true), (SupportNote::Off, false)] {
        let assistant = Assistant::always(whole(&[CALM]));
        let proxy = Proxy::with(&assistant, |settings| settings.support_note = note, Policy::default());
        assert_eq!(proxy.ask(&asking("a grey cloud")).content(), CALM);
        let messages = assistant.received()[0].body["messages"].clone();
        assert_eq!(messages[0]["role"] == "system", expected, "{messages}");
        if expected {
            let own = proxy.policy.prompt.support_note.as_ref().unwrap().en.as_str();
            assert!(messages[0]["content"].as_str().unwrap().starts_with(own));
        }
    }
}

#[test]
fn every_choice_and_every_field_is_judged_and_one_that_is_withheld_leaves_the_others() {
    let thorn = |message: Value| {
        let choice = |index: u64, message: &Value| json!({"index": index, "finish_reason": "stop", "message": message});
        let fine = json!({"role": "assistant", "content": CALM});
        json_of("200 OK", &json!({"choices": [choice(0, &fine), choice(1, &message)]}))
    };
    for message in [
        json!({"role": "assistant", "content": "a thorn"}),
        json!({"content": [{"type": "text", "text": "a thorn"}]}),
        json!({"content": CALM, "refusal": "a thorn"}),
        json!({"content": CALM, "reasoning_content": "a thorn"}),
        json!({"content": CALM, "reasoning_details": [{"type": "reasoning.summary", "summary": "a thorn"}]}),
        json!({"content": null, "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{\"a\":\"a thorn\"}"}}]}),
        json!({"content": null, "tool_calls": [{"id": "t", "type": "function", "function": {"name": "thorn", "arguments": "{}"}}]}),
        json!({"content": null, "function_call": {"name": "f", "arguments": "a thorn"}}),
        json!({"content": CALM, "annotations": [{"url_citation": {"title": "a thorn here"}}]}),
    ] {
        let assistant = Assistant::always(thorn(message.clone()));
        let proxy = Proxy::before(&assistant);
        let mut request = asking("hello");
        request["n"] = json!(2);
        let got = proxy.ask(&request);
        assert!(!got.body.contains("thorn"), "{message}: {}", got.body);
        let choices = &got.json()["choices"];
        assert_eq!(choices[0]["message"]["content"], CALM);
        let words = choices[1]["message"]["content"].as_str().unwrap_or_default();
        assert!(words.contains(&proxy.says(Occasion::ReplacedReply)), "{message}: {words}");
    }
}

#[test]
fn tool_calls_that_are_fine_pass_whole_and_in_pieces() {
    let call = json!({"id": "t", "type": "function", "function": {"name": "find", "arguments": "{\"place\":\"Paris\"}"}});
    let message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    let answer = json!({"choices": [{"index": 0, "finish_reason": "tool_calls", "message": message}]});
    let proxy = Proxy::before(&Assistant::always(json_of("200 OK", &answer)));
    let mut request = asking("where");
    request["tools"] = json!([{"type": "function", "function": {"name": "find"}}]);
    assert_eq!(proxy.ask(&request).json()["choices"][0]["message"], message);
    let piece = |call: Value| json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
    let steps = vec![
        head("text/event-stream"),
        send(event(&piece(
            json!({"index": 0, "id": "t", "type": "function", "function": {"name": "find", "arguments": ""}}),
        ))),
        send(event(&piece(json!({"index": 0, "function": {"arguments": "{\"place\":"}})))),
        send(event(&piece(json!({"index": 0, "function": {"arguments": "\"Paris\"}"}})))),
        send(event(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}))),
        send(event(&json!({"choices": [], "usage": {"total_tokens": 3}}))),
        send("data: [DONE]\n\n"),
    ];
    let proxy = Proxy::before(&Assistant::always(steps));
    request["stream"] = json!(true);
    let got = proxy.ask(&request);
    let chunks = got.chunks();
    let handed: String = chunks
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/tool_calls/0/function/arguments")?.as_str())
        .collect();
    assert_eq!(handed, "{\"place\":\"Paris\"}");
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 3);
}

#[test]
fn replies_that_should_be_written_anew_are_replaced_or_shown_as_the_operator_says() {
    for (on_revise, shown) in [(OnRevise::Replace, false), (OnRevise::Show, true)] {
        for (script, request) in [
            (whole(&["There is a burr in it."]), asking("hi")),
            (stream_of(&["There is a burr in it."]), streaming("hi")),
        ] {
            let assistant = Assistant::always(script);
            let proxy = Proxy::with(&assistant, |settings| settings.on_revise = on_revise, Policy::default());
            let got = proxy.ask(&request);
            assert_eq!(got.body.contains("burr"), shown, "{}", got.body);
            assert_eq!(proxy.trail().last().unwrap().decision.action, "revise");
        }
    }
}

/// Scripts of assistants that give no answer.
fn faults() -> BTreeMap<&'static str, Vec<Step>> {
    let events = |steps: Vec<Step>| [vec![head("text/event-stream")], steps].concat();
    BTreeMap::from([
        ("hangs before its answer", vec![Step::Hang]),
        ("hangs after its headers", events(vec![Step::Hang])),
        ("breaks off", vec![]),
        ("breaks off in its headers", vec![send("HTTP/1.1 200 O")]),
        ("is no server", vec![send("zebra\r\n\r\n")]),
        ("fails", json_of("503 Service Unavailable", &json!({"error": {"message": "zebra"}}))),
        ("is full", json_of("429 Too Many Requests", &json!({"error": {"message": "zebra"}}))),
        (
            "sends us elsewhere",
            vec![send("HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n")],
        ),
        (
            "lies about a length that is too long",
            vec![send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{\"choices\": []}",
            )],
        ),
        (
            "lies about a length that is too short",
            vec![send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"choices\": [{\"index\": 0, \"message\": {\"content\": \"zebra\"}}]}",
            )],
        ),
        ("sends a page", vec![head("text/html"), send("<p>zebra</p>")]),
        ("sends no choices", json_of("200 OK", &json!({"choices": []}))),
        (
            "sends an error as a success",
            json_of("200 OK", &json!({"error": {"message": "zebra"}, "choices": []})),
        ),
        ("says nothing", whole(&[" \n"])),
        (
            "is filtered",
            json_of(
                "400 Bad Request",
                &json!({"error": {"message": "The response was filtered", "code": "content_filter"}}),
            ),
        ),
        (
            "packs its answer",
            vec![send(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\nzebra",
            )],
        ),
        ("ends its stream without a word", events(vec![])),
        (
            "ends its stream in a word",
            events(vec![send("data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"zeb")]),
        ),
        ("sends an error in its stream", events(vec![send(event(&json!({"error": {"message": "zebra"}})))])),
        ("sends no JSON in its stream", events(vec![send("data: zebra\n\n")])),
        ("says nothing in its stream", stream_of(&[])),
        ("sends bytes that are no text", events(vec![send(b"data: {\"choices\": \xff\xfe\n\n")])),
    ])
}

#[test]
fn an_assistant_that_gives_no_answer_leaves_nobody_without_words() {
    std::thread::scope(|scope| {
        for (fault, script) in faults() {
            scope.spawn(move || {
                for streams in [false, true] {
                    let assistant = Assistant::always(script.clone());
                    let proxy = Proxy::before(&assistant);
                    let request = if streams { streaming("hello there") } else { asking("hello there") };
                    let got = proxy.ask(&request);
                    let said = if streams { got.read() } else { got.content() };
                    assert!(said.contains(&proxy.says(Occasion::Unavailable)), "{fault}, {streams}: {got:?}");
                    assert!(said.contains(proxy.policy.resources.general(Language::En)[0]), "{fault}");
                    assert!(!got.body.contains("zebra"), "{fault}: {}", got.body);
                    let trail = proxy.trail();
                    let last = &trail.last().unwrap().decision;
                    assert_eq!(
                        (last.status, last.subject),
                        (Status::Degraded, Subject::Reply),
                        "{fault}, {streams}"
                    );
                }
            });
        }
    });
}

#[test]
fn an_assistant_that_breaks_off_keeps_what_was_shown_and_words_follow() {
    let begun = || vec![head("text/event-stream"), send(event(&delta("We can look at it together. One st")))];
    for rest in [
        vec![],
        vec![Step::Hang],
        vec![send("data: zebra\n\n")],
        vec![send(event(&json!({"error": {"message": "zebra"}})))],
        vec![send("data: [DO")],
        vec![send(b"data: \xf0\x9f")],
        vec![send(event(&json!({"choices": "zebra"})))],
    ] {
        let assistant = Assistant::always([begun(), rest].concat());
        let proxy = Proxy::before(&assistant);
        let got = proxy.ask(&streaming("hello there"));
        let read = got.read();
        assert!(read.starts_with("We can look at it together.\n\n"), "{read}");
        assert!(read.contains(&proxy.says(Occasion::Unavailable)) && !read.contains("zebra"), "{read}");
        assert_eq!(got.finishes(), 1);
    }
}

#[test]
fn characters_that_are_cut_on_their_way_are_put_together_or_marked() {
    let whole = event(&delta("On est là. Ça va aller. 🙂 Oui."));
    let at = whole.iter().position(|&byte| byte == 0xf0).unwrap() + 2;
    let (a, b) = whole.split_at(at);
    let steps = vec![
        head("text/event-stream"),
        send(a),
        Step::Wait(50),
        send(b),
        send(event(&over())),
        send("data: [DONE]\n\n"),
    ];
    assert_eq!(
        Proxy::before(&Assistant::always(steps)).ask(&streaming("allô")).read(),
        "On est là. Ça va aller. 🙂 Oui."
    );
    // Halves of a character in two chunks, as servers send them that cut by tokens.
    let half = |escape: &str| {
        format!("data: {{\"choices\": [{{\"index\": 0, \"delta\": {{\"content\": \"So {escape}\"}}}}]}}\n\n")
    };
    let steps = vec![
        head("text/event-stream"),
        send(half("\\ud83d")),
        send(half("\\ude42")),
        send(event(&over())),
        send("data: [DONE]\n\n"),
    ];
    assert_eq!(
        Proxy::before(&Assistant::always(steps)).ask(&streaming("hi")).read(),
        "So \u{fffd}So \u{fffd}"
    );
    let steps = vec![
        head("text/event-stream"),
        send(b"data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"So \xff it is.\"}}]}\n\n"),
        send(event(&over())),
        send("data: [DONE]\n\n"),
    ];
    assert_eq!(Proxy::before(&Assistant::always(steps)).ask(&streaming("hi")).read(), "So \u{fffd} it is.");
}

#[test]
fn a_whole_answer_to_a_request_for_a_stream_comes_as_a_stream() {
    let proxy = Proxy::before(&Assistant::always(whole(&[CALM])));
    let got = proxy.ask(&streaming("hi"));
    assert_eq!((got.read().as_str(), got.finishes()), (CALM, 1));
    assert_eq!(got.chunks().last().unwrap()["usage"]["total_tokens"], 7);
}

#[test]
fn signs_of_life_pass_without_their_words() {
    let steps = vec![
        head("text/event-stream"),
        send(": zebra zebra\n\n"),
        Step::Wait(50),
        send(event(&delta(CALM))),
        send(event(&over())),
        send("data: [DONE]\n\n"),
    ];
    let got = Proxy::before(&Assistant::always(steps)).ask(&streaming("hi"));
    assert!(got.body.starts_with(": ") && !got.body.contains("zebra"), "{}", got.body);
    assert_eq!(got.read(), CALM);
}

#[test]
fn a_request_that_the_assistant_refuses_comes_back_unless_somebody_may_be_in_danger() {
    let refusal = json!({"error": {"message": "no such model", "code": "model_not_found"}});
    let assistant = Assistant::always(json_of("404 Not Found", &refusal));
    let proxy = Proxy::before(&assistant);
    let got = proxy.ask(&asking("hello there"));
    assert_eq!((got.status, got.json()), (404, refusal));
    let got = proxy.ask(&asking("a grey cloud"));
    assert!(got.status == 200 && got.content().contains(&proxy.says(Occasion::Unavailable)));
    let assistant =
        Assistant::always(json_of("401 Unauthorized", &json!({"error": {"message": "bad key zebra"}})));
    let got = Proxy::before(&assistant).ask(&asking("hello there"));
    assert_eq!((got.status, got.json()["error"]["code"].as_str()), (502, Some("upstream_unauthorized")));
    assert!(!got.body.contains("zebra"));
}

#[test]
fn a_judge_that_breaks_is_noted_and_the_policy_says_what_people_get() {
    let with =
        |from: &str, to: &str| Policy::from_toml("policy.toml", &DEFAULT_TOML.replace(from, to)).unwrap();
    // On the person's side: as after a verdict of support.
    let assistant = Assistant::always(whole(&[CALM]));
    let proxy = Proxy::before(&assistant);
    assert_eq!(proxy.ask(&asking("thunder")).content(), CALM);
    assert_eq!(assistant.received()[0].body["messages"][0]["role"], "system");
    let noted = proxy.trail()[0].decision.clone();
    assert_eq!(
        (noted.status, noted.action.as_str(), noted.subject),
        (Status::Degraded, "support", Subject::Person)
    );
    let assistant = Assistant::always(whole(&[CALM]));
    let proxy =
        Proxy::with(&assistant, |_| {}, with("person_model = \"support\"", "person_model = \"pass\""));
    assert_eq!(proxy.ask(&asking("thunder")).content(), CALM);
    assert_eq!(assistant.received()[0].body["messages"][0]["role"], "user");
    // On the reply's.
    for (policy, shown) in
        [(Policy::default(), false), (with("reply_model = \"replace\"", "reply_model = \"pass\""), true)]
    {
        let assistant = Assistant::always(whole(&["There was thunder."]));
        let proxy = Proxy::with(&assistant, |_| {}, policy);
        let got = proxy.ask(&asking("hello there"));
        assert_eq!(got.content().contains("thunder"), shown, "{}", got.body);
        assert_eq!(proxy.trail().last().unwrap().decision.status, Status::Degraded);
    }
}

#[test]
fn a_store_that_is_gone_cuts_nobody_off_and_lets_no_verdict_be_forgotten() {
    let assistant = Assistant::always(whole(&["Some words. A thorn."]));
    let proxy = Proxy::before(&assistant);
    std::fs::rename(proxy.folder.path().join("store.db"), proxy.folder.path().join("elsewhere.db")).unwrap();
    let got = proxy.ask(&asking("a dark cloud"));
    assert!(got.content().contains(&proxy.says(Occasion::Escalate)), "{}", got.body);
    assert!(!got.head.contains("x-mindrail-decision"));
    let got = proxy.ask(&asking("hello there"));
    assert!(!got.body.contains("thorn"), "{}", got.body);
    // Who was escalated stays so, while the store is away and after it is back.
    let named = |text: &str| json!({"model": "m", "metadata": {"conversation_id": "c"}, "messages": [{"role": "user", "content": text}]});
    let escalated = |text: &str| proxy.ask(&named(text)).content().contains(&proxy.says(Occasion::Escalate));
    assert!(escalated("a dark cloud") && escalated("some flour"));
    proxy.service.pay().unwrap_err();
    std::fs::rename(proxy.folder.path().join("elsewhere.db"), proxy.folder.path().join("store.db")).unwrap();
    proxy.service.pay().unwrap();
    let owed: Vec<_> = proxy.trail().into_iter().map(|entry| entry.decision).collect();
    assert!(owed.iter().all(|decision| decision.status == Status::Degraded));
    assert_eq!(
        owed.iter().map(|decision| decision.action.as_str()).collect::<Vec<_>>(),
        ["escalate", "support", "block", "escalate", "escalate"]
    );
    assert_eq!(proxy.service.store().backlog(0).unwrap().reviews_open, 2, "a counsellor hears of both");
    proxy.service.pay().unwrap();
    assert_eq!(proxy.trail().len(), 5, "once");
    assert!(escalated("some flour"), "by the review that lies open");
    assert_eq!(
        assistant.received().last().unwrap().body["messages"][0]["role"],
        "system",
        "person_store = support"
    );
    let assistant = Assistant::always(whole(&[CALM]));
    let proxy = Proxy::before(&assistant);
    std::fs::rename(proxy.folder.path().join("store.db"), proxy.folder.path().join("elsewhere.db")).unwrap();
    assert_eq!(proxy.ask(&asking("hello there")).content(), CALM, "reply_store = pass");
}

#[test]
fn a_conversation_with_a_name_goes_on_and_is_not_forgotten_by_editing_it() {
    let assistant = Assistant::always(whole(&[CALM]));
    let proxy = Proxy::before(&assistant);
    let ask = |texts: &[&str]| {
        let messages: Vec<Value> = texts.iter().enumerate().map(|(place, text)| {
            json!({"role": if place % 2 == 0 { "user" } else { "assistant" }, "content": text})
        }).collect();
        proxy.ask(&json!({"model": "m", "metadata": {"conversation_id": "c"}, "messages": messages}))
    };
    let first = ask(&["hello"]);
    assert!(!first.head.contains("x-mindrail-history"));
    assert_eq!(ask(&["hello", CALM, "it goes on"]).content(), CALM);
    let person: Vec<_> = proxy
        .trail()
        .iter()
        .filter(|entry| entry.decision.subject == Subject::Person)
        .map(|entry| entry.decision.scanned)
        .collect();
    assert_eq!(
        person.iter().map(|span| (span.first, span.turns)).collect::<Vec<_>>(),
        [(0, 1), (1, 2)],
        "nothing is scored twice"
    );
    assert!(
        ask(&["hello", CALM, "it goes on", CALM, "a dark cloud"])
            .content()
            .contains(&proxy.says(Occasion::Escalate))
    );
    // Old turns are left out, or the turn is written anew: what was seen stays seen.
    for texts in
        [&["something", CALM, "all is fine now"][..], &["hello", CALM, "it goes on", CALM, "a blue sky"]]
    {
        let got = ask(texts);
        assert!(got.content().contains(&proxy.says(Occasion::Escalate)), "{}", got.body);
        assert!(got.head.contains("x-mindrail-history: joined"), "{}", got.head);
    }
}

#[test]
fn requests_of_one_conversation_at_the_same_time_are_all_answered_and_written_down() {
    let assistant = Assistant::always(whole(&[CALM]));
    let proxy = Proxy::before(&assistant);
    std::thread::scope(|scope| {
        for number in 0..12 {
            let (proxy, text) = (&proxy, format!("it goes on, {number}"));
            scope.spawn(move || {
                let got = proxy.ask_with("X-Mindrail-Conversation: c\r\n", &asking(&text));
                assert_eq!((got.status, got.content().as_str()), (200, CALM), "{got:?}");
                assert!(got.head.contains("x-mindrail-decision"));
            });
        }
    });
    let about = |subject| proxy.trail().iter().filter(|entry| entry.decision.subject == subject).count();
    assert_eq!((about(Subject::Person), about(Subject::Reply)), (12, 12));
}

#[test]
fn models_pass_through_and_a_tenant_without_an_assistant_has_none() {
    let models = json!({"object": "list", "data": [{"id": "m-1", "object": "model"}]});
    let assistant = Assistant::always(json_of("200 OK", &models));
    let proxy = Proxy::before(&assistant);
    let got = proxy.send("GET", "/v1/models", "", "");
    assert_eq!((got.status, got.json()), (200, models));
    proxy.send("GET", "/v1/models/maker/m-1", "", "");
    let asked: Vec<String> =
        assistant.received().iter().map(|request| request.head.lines().next().unwrap().to_owned()).collect();
    assert_eq!(asked, ["GET /v1/models HTTP/1.1", "GET /v1/models/maker%2Fm-1 HTTP/1.1"]);
    let failing = Assistant::always(json_of("500 Internal Server Error", &json!({})));
    assert_eq!(Proxy::before(&failing).send("GET", "/v1/models", "", "").status, 502);
}

#[test]
fn a_caller_that_goes_away_takes_the_assistant_with_it() {
    let steps =
        vec![head("text/event-stream"), send(event(&delta("We can look at it together. And"))), Step::Hang];
    let assistant = Assistant::always(steps);
    let proxy = Proxy::with(&assistant, |settings| settings.idle_timeout_s = 30, Policy::default());
    let body = streaming("hi").to_string();
    let mut stream = TcpStream::connect(proxy.address).unwrap();
    write!(
        stream,
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut some = [0; 64];
    stream.read_exact(&mut some).unwrap();
    drop(stream);
    let went = Instant::now();
    while assistant.left.lock().unwrap().is_empty() {
        assert!(went.elapsed() < Duration::from_secs(10), "the assistant talks on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_cannot_be_guarded_is_refused_before_anybody_is_asked() {
    let assistant = Assistant::always(whole(&[CALM]));
    let proxy = Proxy::before(&assistant);
    for request in [
        json!({"messages": []}),
        json!({"messages": [{"role": "zebra", "content": "x"}]}),
        json!({"messages": "zebra"}),
        json!([]),
    ] {
        let got = proxy.ask(&request);
        assert_eq!(
            (got.status, got.json()["error"]["code"].as_str()),
            (422, Some("invalid_request")),
            "{request}"
        );
        assert!(!got.body.contains("zebra"));
    }
    assert!(assistant.received().is_empty());
}
