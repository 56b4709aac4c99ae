//! Asks a server on this machine whether it is ready, for `HEALTHCHECK` in an image that
//! has no shell: exit code 0 where `GET /readyz` answers 200, else 1. The standard
//! library only; the Dockerfile builds it with `rustc`. It speaks no TLS.
//!
//! Use: `ready [ADDRESS:PORT]`, 127.0.0.1:8377 if nothing is said.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(3);

fn is_ready(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    // "HTTP/1.1 200" is all that matters.
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(status.ends_with(b" 200"))
}

fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8377".to_owned());
    let Ok(address) = address.parse() else {
        eprintln!("found another argument, expected ADDRESS:PORT in numbers");
        return ExitCode::FAILURE;
    };
    match is_ready(address) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("the server answers, and is not ready");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("no answer: {error}");
            ExitCode::FAILURE
        }
    }
}
