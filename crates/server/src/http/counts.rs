//! Counts and times in the exposition format of Prometheus. No label names a tenant,
//! a conversation or a person.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Failure;
use crate::service::Debt;
use crate::store::outbox::Backlog;

/// Upper ends of the buckets of the time to a decision, in seconds.
const BUCKETS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0];

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    decided: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    microseconds: AtomicU64,
    buckets: [AtomicU64; BUCKETS.len()],
}

/// How a process stands, beside what it has counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// Decisions that the store must still take.
    pub(super) debt: Debt,
    /// Whether the newest configuration could not be taken up.
    pub(super) is_outdated: bool,
}

impl Counts {
    /// Counts a request, whatever became of it.
    pub(crate) fn count<T>(&self, done: &Result<T, Failure>, time: Duration) {
        let counter = match done {
            Ok(_) => &self.decided,
            Err(failure) if failure.status.is_server_error() => &self.failed,
            Err(_) => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if done.is_ok() {
            self.microseconds.fetch_add(time.as_micros() as u64, Ordering::Relaxed);
            let within = BUCKETS.iter().zip(&self.buckets).filter(|(end, _)| time.as_secs_f64() <= **end);
            within.for_each(|(_, count)| {
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
    }

    /// The exposition format of Prometheus.
    ///
    /// `backlog` is what waits in the store; none where the store does not answer, which
    /// the first line says.
    pub(super) fn text(&self, standing: &Standing, backlog: Option<Backlog>) -> String {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut text = String::from("# TYPE mindrail_requests_total counter\n");
        for (result, counter) in
            [("decided", &self.decided), ("refused", &self.refused), ("failed", &self.failed)]
        {
            let _ = writeln!(text, "mindrail_requests_total{{result=\"{result}\"}} {}", read(counter));
        }
        text.push_str("# TYPE mindrail_decision_seconds histogram\n");
        for (end, count) in BUCKETS.iter().zip(&self.buckets) {
            let _ = writeln!(text, "mindrail_decision_seconds_bucket{{le=\"{end}\"}} {}", read(count));
        }
        let decided = read(&self.decided);
        let seconds = read(&self.microseconds) as f64 / 1e6;
        let _ = writeln!(text, "mindrail_decision_seconds_bucket{{le=\"+Inf\"}} {decided}");
        let _ = writeln!(text, "mindrail_decision_seconds_sum {seconds}");
        let _ = writeln!(text, "mindrail_decision_seconds_count {decided}");
        let Standing { debt, is_outdated } = standing;
        let _ = writeln!(
            text,
            "# TYPE mindrail_decisions_lost_total counter\nmindrail_decisions_lost_total {}",
            debt.lost
        );
        let mut gauge = |name: &str, value: u64| {
            let _ = writeln!(text, "# TYPE {name} gauge\n{name} {value}");
        };
        gauge("mindrail_decisions_owed", debt.waiting as u64);
        gauge("mindrail_configuration_outdated", u64::from(*is_outdated));
        gauge("mindrail_store_up", u64::from(backlog.is_some()));
        if let Some(backlog) = backlog {
            gauge("mindrail_webhooks_waiting", backlog.waiting);
            gauge("mindrail_webhooks_given_up", backlog.given_up);
            gauge("mindrail_reviews_open", backlog.reviews_open);
            gauge("mindrail_reviews_overdue", backlog.reviews_overdue);
        }
        text
    }
}
