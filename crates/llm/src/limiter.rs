//! How many requests may be under way at once: additive increase, multiplicative
//! decrease (Chiu and Jain, 1989). The limit rises slowly with every clean round,
//! falls by a fifth when the server says "too many" or grows slow, and falls once
//! per round only, since all requests of a round report the same trouble. A pure
//! state machine: the time, counted from any fixed moment, is passed in.

use std::collections::VecDeque;
use std::time::Duration;

/// The bounds of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimiterOptions {
    /// Requests at once in the beginning.
    pub start: u32,
    /// Never fewer; 0 counts as 1.
    pub min: u32,
    /// Never more.
    pub max: u32,
}

impl Default for LimiterOptions {
    fn default() -> Self {
        Self { start: 8, min: 1, max: 64 }
    }
}

/// Leave to send one request; it goes back with [`Limiter::finish`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    started: Duration,
}

/// What became of a request, as far as the limit is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The server dealt with it.
    Clean,
    /// The server said "too many".
    Throttled,
    /// The server or the connection failed: the limit does not rise.
    Trouble,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Granted(Permit),
    /// As many as allowed are under way.
    Full,
    /// The server asked everybody to wait until then.
    Paused {
        /// In the caller's time.
        until: Duration,
    },
}

/// The limit and what it was learnt from.
#[derive(Debug, Clone)]
pub struct Limiter {
    options: LimiterOptions,
    limit: f64,
    in_flight: u32,
    clean_in_round: u32,
    last_cut: Option<Duration>,
    paused_until: Duration,
    latencies: VecDeque<Duration>,
}

/// The limit is multiplied by this when it falls.
const CUT: f64 = 0.8;
/// The limit rises by this share in a clean round, and by one at least.
const RISE: f64 = 0.05;
/// Latencies remembered.
const WINDOW: usize = 128;
/// The newest of them, whose median is compared with that of all: one long
/// answer is no sign of a slow server.
const RECENT: usize = 8;
/// The recent median may be this many times the whole one.
const SLOWER: u32 = 2;

impl Limiter {
    /// A limiter that has seen nothing yet.
    pub fn new(options: LimiterOptions) -> Self {
        let min = options.min.max(1);
        let max = options.max.max(min);
        let options = LimiterOptions { start: options.start.clamp(min, max), min, max };
        Self {
            limit: f64::from(options.start),
            options,
            in_flight: 0,
            clean_in_round: 0,
            last_cut: None,
            paused_until: Duration::ZERO,
            latencies: VecDeque::new(),
        }
    }

    /// How many requests may be under way, from `min` to `max`.
    pub fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// How many are.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Asks for leave to send a request.
    pub fn admit(&mut self, now: Duration) -> Admission {
        if now < self.paused_until {
            return Admission::Paused { until: self.paused_until };
        }
        if self.in_flight >= self.limit() {
            return Admission::Full;
        }
        self.in_flight += 1;
        Admission::Granted(Permit { started: now })
    }

    /// Sends nothing before then.
    pub fn pause(&mut self, until: Duration) {
        self.paused_until = self.paused_until.max(until);
    }

    /// Gives a permit back with what was learnt.
    pub fn finish(&mut self, permit: Permit, signal: Signal, now: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match signal {
            Signal::Throttled => self.cut(permit, now),
            Signal::Trouble => self.clean_in_round = 0,
            Signal::Clean => {
                self.remember(now.saturating_sub(permit.started));
                if self.has_grown_slow() { self.cut(permit, now) } else { self.count_clean() }
            }
        }
    }

    /// Gives a permit back of which nothing was learnt.
    pub fn abandon(&mut self, _permit: Permit) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    fn cut(&mut self, permit: Permit, now: Duration) {
        self.clean_in_round = 0;
        if self.last_cut.is_some_and(|cut| permit.started < cut) {
            return;
        }
        self.limit = (self.limit * CUT).max(f64::from(self.options.min));
        self.last_cut = Some(now);
        // What was slow under the old limit says nothing of the new one.
        let keep = self.latencies.len().saturating_sub(RECENT);
        self.latencies.truncate(keep);
    }

    fn count_clean(&mut self) {
        self.clean_in_round += 1;
        if self.clean_in_round >= self.limit() {
            self.clean_in_round = 0;
            let risen = self.limit + (self.limit * RISE).max(1.0);
            self.limit = risen.min(f64::from(self.options.max));
        }
    }

    fn remember(&mut self, latency: Duration) {
        self.latencies.push_back(latency);
        if self.latencies.len() > WINDOW {
            self.latencies.pop_front();
        }
    }

    fn has_grown_slow(&self) -> bool {
        if self.latencies.len() < 2 * RECENT {
            return false;
        }
        let recent = self.latencies.iter().rev().take(RECENT);
        median(recent) > median(self.latencies.iter()) * SLOWER
    }
}

/// The upper median.
fn median<'a>(latencies: impl Iterator<Item = &'a Duration>) -> Duration {
    let mut sorted: Vec<Duration> = latencies.copied().collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn granted(limiter: &mut Limiter, now: u64) -> Permit {
        match limiter.admit(at(now)) {
            Admission::Granted(permit) => permit,
            other => panic!("{other:?}"),
        }
    }

    fn limiter(start: u32) -> Limiter {
        Limiter::new(LimiterOptions { start, min: 2, max: 40 })
    }

    #[test]
    fn a_clean_round_raises_the_limit_by_one_or_a_twentieth() {
        for (start, risen) in [(3, 4), (20, 21), (38, 39), (40, 40)] {
            let mut limiter = limiter(start);
            for round in 0..u64::from(start) {
                let permit = granted(&mut limiter, round * 10);
                limiter.finish(permit, Signal::Clean, at(round * 10 + 5));
            }
            assert_eq!(limiter.limit(), risen);
        }
    }

    #[test]
    fn one_round_of_complaints_cuts_once() {
        let mut limiter = limiter(20);
        let permits: Vec<Permit> = (0..20).map(|_| granted(&mut limiter, 0)).collect();
        assert_eq!(limiter.admit(at(1)), Admission::Full);
        for permit in permits {
            limiter.finish(permit, Signal::Throttled, at(5));
        }
        assert_eq!(limiter.limit(), 16);
        let later = granted(&mut limiter, 6);
        limiter.finish(later, Signal::Throttled, at(7));
        assert_eq!(limiter.limit(), 12);
    }

    #[test]
    fn failures_stop_the_rise_and_cut_nothing() {
        let mut limiter = limiter(2);
        for now in 0..50 {
            let permit = granted(&mut limiter, now);
            let signal = if now % 2 == 0 { Signal::Clean } else { Signal::Trouble };
            limiter.finish(permit, signal, at(now));
        }
        assert_eq!(limiter.limit(), 2);
    }

    #[test]
    fn a_server_that_grows_slow_is_spared_and_one_long_answer_is_not_taken_for_it() {
        let mut limiter = limiter(40);
        let mut now = 0;
        let mut call = |limiter: &mut Limiter, latency: u64| {
            let permit = granted(limiter, now);
            now += latency;
            limiter.finish(permit, Signal::Clean, at(now));
        };
        (0..30).for_each(|_| call(&mut limiter, 100));
        call(&mut limiter, 5_000);
        assert_eq!(limiter.limit(), 40);
        (0..5).for_each(|_| call(&mut limiter, 500));
        assert_eq!(limiter.limit(), 32);
    }

    #[test]
    fn a_pause_holds_everybody_until_its_end() {
        let mut limiter = limiter(4);
        limiter.pause(at(100));
        limiter.pause(at(50));
        assert_eq!(limiter.admit(at(99)), Admission::Paused { until: at(100) });
        granted(&mut limiter, 100);
    }

    proptest! {
        #[test]
        fn the_limit_keeps_its_bounds_and_the_count_is_right(
            options in (0u32..50, 0u32..20, 0u32..60),
            steps in prop::collection::vec((0u8..5, 0u64..1_000), 0..400),
        ) {
            let (start, min, max) = options;
            let mut limiter = Limiter::new(LimiterOptions { start, min, max });
            let (mut now, mut held) = (0, Vec::new());
            for (step, elapsed) in steps {
                now += elapsed;
                let signal = match step {
                    0 | 1 => {
                        let room = (held.len() as u32) < limiter.limit();
                        match limiter.admit(at(now)) {
                            Admission::Granted(permit) => { prop_assert!(room); held.push(permit); }
                            other => { prop_assert!(!room); prop_assert_eq!(other, Admission::Full); }
                        }
                        continue;
                    }
                    2 => Signal::Clean,
                    3 => Signal::Throttled,
                    _ => Signal::Trouble,
                };
                let before = limiter.limit();
                if let Some(permit) = held.pop() {
                    limiter.finish(permit, signal, at(now));
                    match signal {
                        Signal::Throttled => prop_assert!(limiter.limit() <= before),
                        Signal::Trouble => prop_assert_eq!(limiter.limit(), before),
                        Signal::Clean => prop_assert!(limiter.limit() <= before + 1 + before / 20),
                    }
                }
                prop_assert_eq!(limiter.in_flight() as usize, held.len());
                prop_assert!(limiter.limit() >= min.max(1) && limiter.limit() <= max.max(min).max(1));
            }
        }

        #[test]
        fn the_median_is_that_of_a_sorted_list(values in prop::collection::vec(0u64..100, 1..30)) {
            let durations: Vec<Duration> = values.iter().map(|v| at(*v)).collect();
            let middle = median(durations.iter());
            let below = durations.iter().filter(|d| **d < middle).count();
            let above = durations.iter().filter(|d| **d > middle).count();
            prop_assert!(below <= durations.len() / 2 && above < durations.len().div_ceil(2));
            prop_assert!(durations.contains(&middle));
        }
    }

    #[test]
    fn the_median_of_nothing_is_nothing() {
        assert_eq!(median([].iter()), Duration::ZERO);
    }
}
