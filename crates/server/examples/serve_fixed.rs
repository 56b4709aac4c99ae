//! `mindrail serve` with a judge of no cost, to measure everything but the model: HTTP,
//! reading, the conversation's state, the decision on disk.
//!
//! ```sh
//! cargo run --release -p mindrail-server --example serve_fixed -- 127.0.0.1:8399 /tmp/fixed.db
//! ```

mod fixed;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mindrail_core::policy::Policy;
use mindrail_server::service::Service;
use mindrail_server::store::Store;
use mindrail_server::tenant::{DEFAULT, Tenant, Tenants};
use mindrail_server::{Running, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [listen, store] = <[String; 2]>::try_from(std::env::args().skip(1).collect::<Vec<_>>())
        .map_err(|_| "expected an address and a file")?;
    let tenants = Arc::new(Tenants::new([Tenant::new(DEFAULT, Policy::default())]));
    let service = Service::new(Arc::new(fixed::fixed()), Store::in_file(Path::new(&store))?);
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
    run(std::net::TcpListener::bind(listen.as_str())?, service, running, |_| {})?;
    Ok(())
}
