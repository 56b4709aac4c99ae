//! The guard behind HTTP. A service between people and their assistant asks it about
//! each turn and each candidate reply; it remembers how far each conversation has
//! got, and no decision is answered before it is on disk.
//!
//! Reading order: [`audit`], the trail and what holds it together; [`store`], the one
//! database in which trail and conversations stand; [`tenant`], for whom; [`judge`], the
//! model; [`service`], what a request does; [`http`], how it comes in; [`desk`], how people see it.
//!
//! Conversation text is read, scored and forgotten: it is not logged, no error repeats
//! it, and it is stored only where a tenant asks for that, sealed ([`seal`]).

pub mod audit;
pub mod calendar;
pub mod desk;
pub mod http;
pub mod judge;
pub mod seal;
pub mod service;
pub mod store;
pub mod tenant;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// How often what was not touched for long is forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// How long requests that have begun may take once the process is told to end.
const LONGEST_END: Duration = Duration::from_secs(10);

/// How a server runs.
pub struct Running<'a> {
    /// For whom.
    pub tenants: Arc<tenant::Tenants>,
    /// What callers must show; none lets everybody in who reaches the port.
    pub key: Option<&'a str>,
    /// How long a conversation that does not go on is kept.
    pub keep: Duration,
}

/// Serves until the process is told to end, then answers what it has begun.
/// `listening` hears the address.
///
/// # Errors
/// When the address cannot be listened on, or the threads cannot be started.
pub fn run(
    listen: SocketAddr,
    service: service::Service,
    running: Running<'_>,
    listening: impl FnOnce(SocketAddr),
) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let service = Arc::new(service);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        listening(listener.local_addr()?);
        tokio::spawn(forget(Arc::clone(&service), running.keep));
        let serving = http::Serving { service, tenants: running.tenants, key: running.key, cores };
        let routes = http::routes(serving);
        let (end, ended) = tokio::sync::oneshot::channel();
        let until = async move {
            told_to_end().await;
            let _ = end.send(());
        };
        let served = axum::serve(listener, routes.into_make_service_with_connect_info::<SocketAddr>())
            .with_graceful_shutdown(until)
            .into_future();
        tokio::select! {
            served = served => served,
            // Whoever holds a connection open does not hold up the end.
            () = async { let _ = ended.await; tokio::time::sleep(LONGEST_END).await; } => Ok(()),
        }
    })
}

async fn forget(service: Arc<service::Service>, keep: Duration) {
    let mut every = tokio::time::interval(FORGET_EVERY);
    loop {
        every.tick().await;
        let before = http::now_ms().saturating_sub(keep.as_millis() as u64);
        let service = Arc::clone(&service);
        // A store that cannot do it now is tried again in an hour, and `readyz` tells.
        let _ = tokio::task::spawn_blocking(move || service.store().forget_before(before)).await;
    }
}

/// Ctrl-C, or the signal by which service managers end a process.
async fn told_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
