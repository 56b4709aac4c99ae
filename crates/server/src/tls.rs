//! How this program speaks TLS to others: to PostgreSQL and to webhooks. It believes
//! the root certificates of the Mozilla programme, which are inside the program, and
//! those of the file that `SSL_CERT_FILE` names, for certificates of one's own.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// A client of others: of webhooks, of a collector of traces, of an identity provider. It
/// goes where it is told to and nowhere else.
pub(crate) fn client() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_backend_preconfigured(to_others())
}

/// The settings of a connection to others.
///
/// A file of `SSL_CERT_FILE` that cannot be read adds nothing: the connections that need
/// it then fail, and say so.
pub(crate) fn to_others() -> ClientConfig {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Ok(file) = std::env::var("SSL_CERT_FILE")
        && let Ok(own) = CertificateDer::pem_file_iter(file)
    {
        roots.add_parsable_certificates(own.flatten());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
