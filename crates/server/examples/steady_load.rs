//! Asks `POST /v1/guard` at an even rate over connections that stay open, and prints the
//! times from when each request was due to when its answer was read, in milliseconds, as
//! JSON. A request that the server is late for counts from when it was due, so a server
//! that stalls cannot hide it.
//!
//! ```sh
//! cargo run --release -p mindrail-server --example steady_load -- 127.0.0.1:8399 1000 20 8
//! ```
//!
//! Arguments: address, requests for each second, seconds, connections, and a path where it
//! is another one, which is asked by GET. It asks this machine only, and ends by itself.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const BODY: &str = "{\"messages\": [{\"role\": \"user\", \"content\": \"i have not slept much this week and \
    everything feels heavy, but talking helps a bit\"}]}";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, arguments) = match &arguments[..] {
        [four @ .., path] if path.starts_with('/') => (path.clone(), four.to_vec()),
        four => ("/v1/guard".to_owned(), four.to_vec()),
    };
    let [address, rate, seconds, connections] = <[String; 4]>::try_from(arguments)
        .map_err(|_| "expected address, rate, seconds, connections, and at most a path")?;
    let address: SocketAddr = address.parse()?;
    if !address.ip().is_loopback() {
        return Err("expected an address of this machine".into());
    }
    let (rate, seconds, connections): (u32, u32, u32) =
        (rate.parse()?, seconds.parse()?, connections.parse()?);
    let began = Instant::now() + Duration::from_millis(100);
    let each = Duration::from_secs(1) / rate;
    let threads: Vec<_> = (0..connections)
        .map(|first| {
            let due = move |number: u32| began + each * (first + number * connections);
            let path = path.clone();
            std::thread::spawn(move || ask(address, &path, rate * seconds / connections, due))
        })
        .collect();
    let mut times = Vec::new();
    for thread in threads {
        times.extend(thread.join().map_err(|_| "a thread broke off")??);
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let (p50, p90, p99, p999) = (at(0.5), at(0.9), at(0.99), at(0.999));
    let answered = times.len();
    let line = serde_json::json!({
        "asked_per_s": rate, "seconds": seconds, "connections": connections, "answered": answered,
        "p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "p999_ms": p999, "max_ms": at(1.0),
    });
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// Asks so often over one connection, each at its time.
fn ask(
    address: SocketAddr,
    path: &str,
    requests: u32,
    due: impl Fn(u32) -> Instant,
) -> std::io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (method, body) = if path == "/v1/guard" { ("POST", BODY) } else { ("GET", "") };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut times = Vec::with_capacity(requests as usize);
    for number in 0..requests {
        let due = due(number);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes())?;
        read_answer(&mut reader)?;
        times.push(due.elapsed());
    }
    Ok(times)
}

fn read_answer(reader: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(std::io::Error::other("the connection was closed"));
        }
    }
    if !head.starts_with("HTTP/1.1 200") {
        return Err(std::io::Error::other("found another status than 200"));
    }
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    reader.read_exact(&mut vec![0; length.unwrap_or(0)])
}
