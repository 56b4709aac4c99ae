//! A circuit breaker: after a number of failures in a row a server is left alone
//! for a while; then one request probes it, and the circuit closes when it
//! succeeds. A pure state machine: the time, counted from any fixed moment, is
//! passed in.

use std::time::Duration;

/// When the circuit opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOptions {
    /// Failures in a row that open it; 0 counts as 1.
    pub failures: u32,
    /// How long it stays open before it is probed.
    pub open_for: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self { failures: 10, open_for: Duration::from_secs(20) }
    }
}

/// Whether the server lives. An answer that is no success is a sign of life too,
/// unless it says that the server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answered.
    Alive,
    /// It failed, or could not be reached.
    Failing,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Open,
    /// It may, as the one that finds out whether the server lives again.
    Probe,
    /// It may not; asking before then is of no use.
    Barred {
        /// In the caller's time.
        until: Duration,
    },
}

/// The breaker of one endpoint.
#[derive(Debug, Clone)]
pub struct Breaker {
    options: BreakerOptions,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Duration,
    },
    /// A probe that never reports, since its caller went away, is given up then.
    Probing {
        until: Duration,
    },
}

impl Breaker {
    /// A closed circuit.
    pub fn new(options: BreakerOptions) -> Self {
        let options = BreakerOptions { failures: options.failures.max(1), ..options };
        Self { options, state: State::Closed { failures: 0 } }
    }

    /// Asks for leave to send a request.
    pub fn pass(&mut self, now: Duration) -> Passage {
        match self.state {
            State::Closed { .. } => Passage::Open,
            State::Open { until } | State::Probing { until } if now < until => Passage::Barred { until },
            State::Open { .. } | State::Probing { .. } => {
                self.state = State::Probing { until: now + self.options.open_for };
                Passage::Probe
            }
        }
    }

    /// Whether a request sent now would be sent; changes nothing.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Learns what became of a request.
    pub fn record(&mut self, health: Health, now: Duration) {
        self.state = match (self.state, health) {
            (_, Health::Alive) => State::Closed { failures: 0 },
            (State::Closed { failures }, Health::Failing) if failures + 1 < self.options.failures => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. } | State::Probing { .. }, Health::Failing) => {
                State::Open { until: now + self.options.open_for }
            }
            // Stragglers of the time before: the circuit knows already.
            (open @ State::Open { .. }, Health::Failing) => open,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(BreakerOptions { failures: 3, open_for: at(10) });
        (0..3).for_each(|_| breaker.record(Health::Failing, at(0)));
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let mut breaker = Breaker::new(BreakerOptions { failures: 3, open_for: at(10) });
        for health in [Health::Failing, Health::Failing, Health::Alive, Health::Failing, Health::Failing] {
            breaker.record(health, at(0));
            assert_eq!(breaker.pass(at(0)), Passage::Open);
        }
        breaker.record(Health::Failing, at(1));
        assert_eq!(breaker.pass(at(1)), Passage::Barred { until: at(11) });
    }

    #[test]
    fn one_probe_at_a_time_decides() {
        let mut breaker = opened();
        assert_eq!(breaker.pass(at(10)), Passage::Probe);
        assert_eq!(breaker.pass(at(11)), Passage::Barred { until: at(20) });
        breaker.record(Health::Failing, at(12));
        assert_eq!(breaker.pass(at(12)), Passage::Barred { until: at(22) });
        assert_eq!(breaker.pass(at(22)), Passage::Probe);
        breaker.record(Health::Alive, at(23));
        assert_eq!(breaker.pass(at(23)), Passage::Open);
    }

    #[test]
    fn a_probe_that_never_reports_does_not_bar_for_ever() {
        let mut breaker = opened();
        assert_eq!(breaker.pass(at(10)), Passage::Probe);
        assert_eq!(breaker.pass(at(20)), Passage::Probe);
    }

    proptest! {
        #[test]
        fn it_is_closed_exactly_when_fewer_failures_than_allowed_follow_the_last_life(
            failures in 1u32..6,
            history in prop::collection::vec(any::<bool>(), 0..60),
        ) {
            let mut breaker = Breaker::new(BreakerOptions { failures, open_for: at(10) });
            for alive in &history {
                breaker.record(if *alive { Health::Alive } else { Health::Failing }, at(0));
            }
            let in_a_row = history.iter().rev().take_while(|alive| !**alive).count() as u32;
            prop_assert_eq!(breaker.is_closed(), in_a_row < failures);
            prop_assert_eq!(breaker.pass(at(0)) == Passage::Open, in_a_row < failures);
        }
    }
}
