//! Traces for OpenTelemetry, where the environment names a collector
//! (`OTEL_EXPORTER_OTLP_ENDPOINT` and its kin); without one nothing is measured and
//! nothing is sent. A request is one span with the decisions, what is written and the
//! assistant's answer below it. Spans hold times, routes and statuses: no text, no
//! verdict, no name of a tenant, a conversation or a person, since a caller's own trace
//! may say whose request it is.

use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::{Bytes, HeaderExtractor, HeaderInjector, HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;

/// Who measures, in each span.
const SCOPE: &str = "mindrail";

/// How long a collector may take.
const LONGEST_CALL: Duration = Duration::from_secs(10);

/// What names a collector.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Sends spans until it is dropped, and then what is left.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins, if the environment names a collector.
    ///
    /// # Errors
    /// When what it says of the collector cannot be used.
    pub(crate) fn begin() -> std::io::Result<Option<Self>> {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !ENDPOINTS.iter().any(|name| is_set(name)) {
            return Ok(None);
        }
        let client = crate::tls::client().timeout(LONGEST_CALL).build().map_err(std::io::Error::other)?;
        let client = OnRuntime { client, runtime: Handle::current() };
        let exporter = SpanExporter::builder().with_http().with_http_client(client).build();
        let exporter = exporter.map_err(|error| std::io::Error::other(format!("traces: {error}")))?;
        let resource = Resource::builder();
        let resource = if is_set("OTEL_SERVICE_NAME") { resource } else { resource.with_service_name(SCOPE) };
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource.build())
            .build();
        global::set_tracer_provider(provider.clone());
        Ok(Some(Self(provider)))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // A collector that does not answer is not waited for, and nothing depends on it.
        let _ = self.0.shutdown_with_timeout(Duration::from_secs(2));
    }
}

/// The exporter works on a thread of its own, and this client needs a runtime.
#[derive(Debug)]
struct OnRuntime {
    client: reqwest::Client,
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for OnRuntime {
    async fn send_bytes(
        &self,
        request: opentelemetry_http::Request<Bytes>,
    ) -> Result<opentelemetry_http::Response<Bytes>, HttpError> {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.send_bytes(request).await }).await?
    }
}

/// A span for a request, below the caller's own where it names one.
pub(crate) async fn traced(request: Request, next: Next) -> Response {
    let caller = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let method = request.method().to_string();
    let tracer = global::tracer(SCOPE);
    let span = tracer
        .span_builder(format!("{method} {route}").trim_end().to_owned())
        .with_kind(SpanKind::Server)
        .with_attributes([KeyValue::new("http.request.method", method), KeyValue::new("http.route", route)]);
    let context = caller.with_span(tracer.build_with_context(span, &caller));
    let response = next.run(request).with_context(context.clone()).await;
    let status = response.status();
    let span = context.span();
    span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
    if status.is_server_error() {
        span.set_status(Status::error(""));
    }
    span.end();
    response
}

/// Does something as a span below the one that is under way.
pub(crate) fn in_span<T>(name: &'static str, work: impl FnOnce() -> T) -> T {
    global::tracer(SCOPE).in_span(name, |_| work())
}

/// The headers by which another server puts its spans below the one that is under way.
pub(crate) fn inject(headers: &mut axum::http::HeaderMap) {
    TraceContextPropagator::new().inject_context(&Context::current(), &mut HeaderInjector(headers));
}
