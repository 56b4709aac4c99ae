//! The guard behind HTTP. A service between people and their assistant asks it about
//! each turn and each candidate reply; it remembers how far each conversation has
//! got, and no decision is answered before it is on disk.
//!
//! Reading order: [`audit`], the trail and what holds it together; [`store`], the one
//! database in which trail and conversations stand; [`tenant`], for whom, and
//! [`config`], who says so; [`judge`], the model; [`service`], what a request does;
//! [`http`], how it comes in, and [`adapters`], from other programs' clients; [`desk`], how
//! people see it; [`proxy`], an
//! assistant with the guard before and after it; [`webhook`], who is told.
//!
//! Conversation text is read, scored and forgotten: it is not logged, no error repeats
//! it, and it is stored only where a tenant asks for that, sealed ([`seal`]).

pub mod adapters;
pub mod audit;
pub mod calendar;
pub mod config;
pub mod desk;
pub mod http;
pub mod judge;
pub mod proxy;
mod rate;
pub mod seal;
pub mod service;
pub mod store;
pub mod tenant;
mod tls;
mod traces;
pub mod webhook;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::RustlsConfig;
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;

/// How often what was not touched for long is forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// How often the store's log of changes is brought into its file.
const TIDY_EVERY: Duration = Duration::from_millis(500);

/// How often it is tried to write what could not be written.
const PAY_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked whether the configuration has changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long requests that have begun may take once the process is told to end.
const LONGEST_END: Duration = Duration::from_secs(10);

/// How long a caller may take to send the headers of a request, and to send the next
/// request on a connection.
const SLOWEST_HEADERS: Duration = Duration::from_secs(20);

/// How a server runs.
pub struct Running<'a> {
    /// For whom.
    pub tenants: Arc<tenant::Tenants>,
    /// The configuration that says for whom, to be read anew when it changes.
    pub watched: Option<config::Watched>,
    /// What callers must show; none lets everybody in who reaches the port, as long as
    /// the store has no key either.
    pub key: Option<&'a str>,
    /// How long a conversation that does not go on is kept.
    pub keep: Duration,
    /// How long it is known whose an entry of the trail is.
    pub keep_names: Duration,
    /// Proxies before this server that are believed about where a request comes from.
    pub behind_proxies: u8,
    /// Certificate and key, to be spoken to by TLS.
    pub tls: Option<config::Tls>,
    /// Hears what an operator should know while it runs. Nothing of a conversation is
    /// among it.
    pub tell: fn(&str),
}

/// Serves until the process is told to end, then answers what it has begun.
/// `listening` hears the address.
///
/// # Errors
/// When the certificate cannot be used, or the threads cannot be started.
pub fn run(
    listener: TcpListener,
    service: service::Service,
    running: Running<'_>,
    listening: impl FnOnce(SocketAddr),
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let service = Arc::new(service);
    // TLS, in and out. Another part of the program may have named a provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Running { tenants, watched, key, keep, keep_names, behind_proxies, tls, tell } = running;
    // Before there is a runtime, since the store waits.
    let routes = http::routes(http::Serving {
        service: Arc::clone(&service),
        tenants: Arc::clone(&tenants),
        key,
        cores,
        behind_proxies,
        tell,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let debtor = Arc::clone(&service);
    let served = runtime.block_on(async {
        tokio::spawn(forget(Arc::clone(&service), (keep, keep_names), tell));
        tokio::spawn(tidy(Arc::clone(&service), tell));
        tokio::spawn(pay(Arc::clone(&service), tell));
        tokio::spawn(webhook::tell(Arc::clone(&service), Arc::clone(&tenants)));
        tenants.all().values().filter_map(|tenant| tenant.warning()).for_each(|warning| tell(&warning));
        if let Some(watched) = watched {
            tokio::spawn(watch(watched, Arc::clone(&tenants), tell));
        }
        let traces = traces::Traces::begin()?;
        let routes = match &traces {
            Some(_) => routes.layer(axum::middleware::from_fn(traces::traced)),
            None => routes,
        };
        answer(listener, routes, tls, listening, tell).await
    });
    if debtor.pay().is_err() {
        let service::Debt { waiting, .. } = debtor.debt();
        tell(&format!("{waiting} decisions that the store has not taken are lost with this process"));
    }
    served
}

/// Answers callers until the process is told to end, then what they have begun.
async fn answer(
    listener: TcpListener,
    routes: axum::Router,
    tls: Option<config::Tls>,
    listening: impl FnOnce(SocketAddr),
    tell: fn(&str),
) -> std::io::Result<()> {
    let handle = Handle::new();
    tokio::spawn(end(handle.clone()));
    let address = listener.local_addr()?;
    match tls {
        None => {
            listening(address);
            // Words of a stream do not wait until the caller has acknowledged those before.
            let server = axum_server::from_tcp(listener)?.acceptor(NoDelayAcceptor::new());
            impatient(server.handle(handle))
                .serve(routes.into_make_service_with_connect_info::<SocketAddr>())
                .await
        }
        Some(tls) => {
            let certificate = certificate(&tls).await?;
            tokio::spawn(renew(certificate.clone(), tls, tell));
            listening(address);
            let server = axum_server::from_tcp_rustls(listener, certificate)?;
            let routes = routes.layer(axum::Extension(desk::Tls));
            let server = server.map(|tls| tls.acceptor(NoDelayAcceptor::new()));
            impatient(server.handle(handle))
                .serve(routes.into_make_service_with_connect_info::<SocketAddr>())
                .await
        }
    }
}

/// Time limits for callers that dawdle.
fn impatient<A>(mut server: Server<SocketAddr, A>) -> Server<SocketAddr, A> {
    let mut builder = server.http_builder().http1();
    builder.timer(TokioTimer::new()).header_read_timeout(SLOWEST_HEADERS);
    server.first_request_timeout(SLOWEST_HEADERS)
}

/// Certificate and key as they stand in their files.
async fn certificate(tls: &config::Tls) -> std::io::Result<RustlsConfig> {
    RustlsConfig::from_pem_file(&tls.certificate, &tls.key).await
}

/// Takes a new certificate up when the files change.
async fn renew(certificate: RustlsConfig, tls: config::Tls, tell: fn(&str)) {
    let changed = || [&tls.certificate, &tls.key].map(|file| config::modified(file));
    let mut seen = changed();
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let now = changed();
        if now == seen {
            continue;
        }
        seen = now;
        match certificate.reload_from_pem_file(&tls.certificate, &tls.key).await {
            Ok(()) => tell("the certificate was read anew"),
            Err(error) => {
                tell(&format!("the certificate stays as it was: {}: {error}", tls.certificate.display()));
            }
        }
    }
}

/// Takes a new configuration of tenants up when its files change.
async fn watch(mut watched: config::Watched, tenants: Arc<tenant::Tenants>, tell: fn(&str)) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        match watched.changed() {
            None => {}
            Some(Ok(new)) => {
                let named = |tenant: &tenant::Tenant| {
                    format!("{} (policy {})", tenant.name, &tenant.policy.sha256()[..12])
                };
                let named: Vec<String> = new.iter().map(named).collect();
                new.iter().filter_map(tenant::Tenant::warning).for_each(|warning| tell(&warning));
                tenants.replace(new);
                tell(&format!("the configuration was read anew: {}", named.join(", ")));
            }
            Some(Err(error)) => {
                tenants.refuse();
                tell(&format!("the configuration stays as it was: {error}"));
            }
        }
    }
}

async fn forget(service: Arc<service::Service>, (keep, keep_names): (Duration, Duration), tell: fn(&str)) {
    let mut every = tokio::time::interval(FORGET_EVERY);
    loop {
        every.tick().await;
        let now_ms = http::now_ms();
        let before = |time: Duration| now_ms.saturating_sub(time.as_millis() as u64);
        let (before, names_before) = (before(keep), before(keep_names));
        let service = Arc::clone(&service);
        let forgotten = tokio::task::spawn_blocking(move || {
            service.store().forget_names_before(names_before)?;
            service.store().forget_before(before)
        });
        if let Ok(Err(error)) = forgotten.await {
            tell(&format!("what is old could not be forgotten and is tried again in an hour: {error}"));
        }
    }
}

/// Brings the store's log into its file, and says when the file cannot be reached.
async fn tidy(service: Arc<service::Service>, tell: fn(&str)) {
    let mut every = tokio::time::interval(TIDY_EVERY);
    let mut was_there = true;
    loop {
        every.tick().await;
        let service = Arc::clone(&service);
        // What cannot be done now is done later: the log only grows meanwhile.
        let tidied = tokio::task::spawn_blocking(move || service.store().tidy()).await;
        let is_there = !matches!(tidied, Ok(Err(_)));
        if let (true, Ok(Err(error))) = (was_there, tidied) {
            tell(&format!("{error}"));
        } else if is_there && !was_there {
            tell("the store answers again");
        }
        was_there = is_there;
    }
}

/// Writes what could not be written when it was decided.
async fn pay(service: Arc<service::Service>, tell: fn(&str)) {
    let mut every = tokio::time::interval(PAY_EVERY);
    let mut owes = false;
    loop {
        every.tick().await;
        let debtor = Arc::clone(&service);
        let paid = tokio::task::spawn_blocking(move || debtor.pay()).await;
        let could_not = !matches!(paid, Ok(Ok(())));
        if could_not && !owes {
            let why = paid.ok().and_then(Result::err).map_or_else(String::new, |error| error.to_string());
            tell(&format!(
                "decisions wait until the store answers ({why}); do not end this process before that"
            ));
        } else if owes && !could_not {
            let service::Debt { lost, .. } = service.debt();
            let lost =
                if lost > 0 { format!("; {lost} could not be held and are lost") } else { String::new() };
            tell(&format!("the decisions that waited are written{lost}"));
        }
        owes = could_not;
    }
}

/// Ends the server when the process is told to end.
async fn end(handle: Handle<SocketAddr>) {
    told_to_end().await;
    // Whoever holds a connection open does not hold up the end.
    handle.graceful_shutdown(Some(LONGEST_END));
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
