//! How much later the first words of a stream arrive through the proxy than without it,
//! and what of that is the judge's and the disk's. The judge's scores are fixed, so that
//! what is measured is the proxy. Run on one machine, over loopback:
//!
//! ```sh
//! cargo run --release -p mindrail-server --example proxy_latency -- 500
//! ```
//!
//! With `TMPDIR=/dev/shm` the store is in memory, and what is left is the proxy's own. The
//! assistant sends the whole first window in one piece, so nothing is waited for.

mod fixed;

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::serve::ListenerExt as _;
use mindrail_core::policy::Policy;
use mindrail_server::http::{Serving, routes};
use mindrail_server::proxy::UpstreamSettings;
use mindrail_server::service::Service;
use mindrail_server::store::Store;
use mindrail_server::tenant::{DEFAULT, Tenant, Tenants};

/// An assistant that answers each request on a connection with one stream.
fn assistant() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(&stream));
        }
    });
    Ok(address)
}

fn serve(stream: &TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let text = "We can look at it together, one step after the other, for as long as you like. ".repeat(2);
    let piece = serde_json::json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    let last = serde_json::json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let mut reader = BufReader::new(stream);
    loop {
        read_request(&mut reader)?;
        let mut out = stream;
        let body = format!("data: {piece}\n\n");
        let end = format!("data: {last}\n\ndata: [DONE]\n\n");
        write!(out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len()).ok()?;
        std::thread::sleep(Duration::from_millis(5));
        write!(out, "{:x}\r\n{end}\r\n0\r\n\r\n", end.len()).ok()?;
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some(found) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = found.trim().parse().ok()?;
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()
}

/// Asks for a stream, and gives the time to its first words.
fn first_words(stream: &mut TcpStream) -> std::io::Result<Duration> {
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hello there"}]}"#;
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let began = Instant::now();
    stream.write_all(request.as_bytes())?;
    let (mut first, mut seen, mut buffer) = (None, Vec::new(), [0; 4096]);
    while !seen.ends_with(b"0\r\n\r\n") {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        seen.extend_from_slice(&buffer[..count]);
        if first.is_none() && seen.windows(6).any(|window| window == b"We can") {
            first = Some(began.elapsed());
        }
    }
    first.ok_or_else(|| std::io::Error::other("no words came"))
}

fn measure(address: SocketAddr, times: usize) -> std::io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    (0..times).map(|_| first_words(&mut stream)).collect()
}

fn quantile(sorted: &[Duration], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3
}

#[expect(clippy::print_stdout, reason = "it prints a measurement")]
fn show(name: &str, times: &[Duration]) {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let [half, most, nearly] = [0.5, 0.9, 0.99].map(|share| quantile(&sorted, share));
    println!("{name:<58} p50 {half:7.3} ms   p90 {most:7.3} ms   p99 {nearly:7.3} ms");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let times: usize = std::env::args().nth(1).map_or(Ok(500), |text| text.parse())?;
    let folder = std::env::temp_dir().join(format!("mindrail-latency-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("store.db");
    let upstream = assistant()?;
    let settings = UpstreamSettings::at(format!("http://{upstream}/v1"));
    let tenant =
        Tenant { upstream: Some(Arc::new(settings.build()?)), ..Tenant::new(DEFAULT, Policy::default()) };
    let service = Arc::new(Service::new(Arc::new(fixed::fixed()), Store::in_file(&file)?));
    let tenants = Arc::new(Tenants::new([tenant]));
    let cores = std::thread::available_parallelism()?.get();
    let serving = Serving {
        service: Arc::clone(&service),
        tenants: Arc::clone(&tenants),
        key: None,
        cores,
        behind_proxies: 0,
        tell: |_| {},
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let proxy = listener.local_addr()?;
    let listener = listener.tap_io(|io| {
        let _ = io.set_nodelay(true);
    });
    runtime.spawn(async move { axum::serve(listener, routes(serving)).await });

    measure(proxy, 20)?;
    show("the assistant alone", &measure(upstream, times)?);
    show("through the proxy, two decisions on disk", &measure(proxy, times)?);
    let decisions = decide(&service, &tenants, times)?;
    show("of that, one decision: judge of no cost, entry on disk", &decisions);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// The time of decisions alone, written as the proxy writes them.
fn decide(
    service: &Service,
    tenants: &Tenants,
    times: usize,
) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    use mindrail_server::service::{Call, GuardRequest};
    let tenant = tenants.get(DEFAULT).ok_or("a tenant")?;
    let request: GuardRequest =
        serde_json::from_str(r#"{"messages":[{"role":"user","content":"hello there"}]}"#)?;
    let mut all = Vec::with_capacity(times);
    for _ in 0..times {
        let began = Instant::now();
        let call = Call { tenant: &tenant, idempotency_key: None, at_ms: 1, began, request: &[] };
        service.write(service.judge(&request, call)?, call)?;
        all.push(began.elapsed());
    }
    Ok(all)
}
