//! A server for tests that plays what it is told, request by request: answers,
//! delays, refusals of every shape, and connections that break at every point.
//! It keeps all that it received, so that a test can assert that nothing was
//! asked twice and that no key went anywhere but into its header.
//!
//! It runs in a thread of its own on a port of 127.0.0.1, so that it serves
//! asynchronous tests, plain ones, and programs that a test starts.

mod behaviour;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::wire::ChatRequest;

pub use behaviour::{Behaviour, completion};

/// A request as the server received it.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its place among all requests, from 0.
    pub number: usize,
    /// The method and the path with its query: `POST /v1/chat/completions`.
    pub target: String,
    /// Names, in lower case, and values, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Received {
    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The body as a request; an empty one where it is none.
    pub fn request(&self) -> ChatRequest {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The text of the last message, empty where there is none.
    pub fn last_text(&self) -> String {
        self.request().messages.last().map(|message| message.content.text()).unwrap_or_default()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

type Script = Arc<dyn Fn(&Received) -> Behaviour + Send + Sync>;

/// A running server; it stops when it is dropped.
pub struct TestServer {
    address: SocketAddr,
    log: Arc<Log>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Log {
    received: Mutex<Vec<Received>>,
    under_way: Mutex<Crowd>,
}

#[derive(Default)]
struct Crowd {
    now: usize,
    most: usize,
}

impl TestServer {
    /// Starts a server that treats each request as `script` says.
    ///
    /// # Errors
    /// Where no port or thread can be had.
    pub fn start(script: impl Fn(&Received) -> Behaviour + Send + Sync + 'static) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let log = Arc::new(Log::default());
        let (stop, stopped) = oneshot::channel();
        let (kept, script): (Arc<Log>, Script) = (Arc::clone(&log), Arc::new(script));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("test server".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = listen(listener, kept, script) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { address, log, stop: Some(stop), thread: Some(thread) })
    }

    /// A server that plays a list, one behaviour per request in the order they
    /// come; the last one is repeated.
    ///
    /// # Errors
    /// As [`TestServer::start`].
    pub fn playing(list: Vec<Behaviour>) -> io::Result<Self> {
        Self::start(move |received| {
            let last = list.len().saturating_sub(1);
            list.get(received.number.min(last)).cloned().unwrap_or(Behaviour::Drop)
        })
    }

    /// The base URL: `http://127.0.0.1:…/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        locked(&self.log.received).clone()
    }

    /// The most requests that were under way at once.
    pub fn most_at_once(&self) -> usize {
        locked(&self.log.under_way).most
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
        self.thread.take().map(JoinHandle::join);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(listener: std::net::TcpListener, log: Arc<Log>, script: Script) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&log), Arc::clone(&script)));
    }
}

/// Serves one connection. An error of the service breaks it without an answer,
/// which is what [`Behaviour::Drop`] is made of.
async fn serve(stream: TcpStream, log: Arc<Log>, script: Script) {
    let service = service_fn(move |request| answer(request, Arc::clone(&log), Arc::clone(&script)));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    log: Arc<Log>,
    script: Script,
) -> Result<Response<behaviour::Body>, io::Error> {
    let received = log.note(request).await?;
    let _present = Present::enter(&log);
    let mut behaviour = script(&received);
    while let Behaviour::Delay(time, next) = behaviour {
        tokio::time::sleep(time).await;
        behaviour = *next;
    }
    behaviour.respond()
}

impl Log {
    async fn note(&self, request: Request<Incoming>) -> io::Result<Received> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let headers = head.headers.iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let mut all = locked(&self.received);
        let received = Received {
            number: all.len(),
            target: format!("{} {}", head.method, head.uri),
            headers: headers.collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        all.push(received.clone());
        Ok(received)
    }
}

/// Counts a request as under way while it lives.
struct Present<'a>(&'a Log);

impl<'a> Present<'a> {
    fn enter(log: &'a Log) -> Self {
        let mut crowd = locked(&log.under_way);
        crowd.now += 1;
        crowd.most = crowd.most.max(crowd.now);
        Self(log)
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        locked(&self.0.under_way).now -= 1;
    }
}

/// Waits, then behaves.
pub fn delayed(time: Duration, next: Behaviour) -> Behaviour {
    Behaviour::Delay(time, Box::new(next))
}

/// An error of a body that breaks off; hyper then closes the connection.
fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the script breaks the connection")
}
