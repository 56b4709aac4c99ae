//! When to ask again, and how long to wait before. The waits grow exponentially
//! with full jitter (drawn evenly between nothing and the bound, so that clients
//! which failed together do not return together; Brooker, "Exponential Backoff
//! and Jitter", 2015); a server that names a time is waited for.

use std::time::{Duration, SystemTime};

/// How often and how patiently a call is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Repetitions after the first try; 0 is honoured.
    pub max_retries: u32,
    /// The bound of the first wait; it doubles with every try.
    pub base: Duration,
    /// No wait of ours is longer.
    pub cap: Duration,
    /// The longest wait that a server may ask for; beyond it the call ends.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_retries: 5,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            longest_retry_after: Duration::from_mins(5),
        }
    }
}

impl RetryPolicy {
    /// How long to wait after the `failed`-th failure (from 0), or `None` where
    /// the call is to end. A server's own time is added to, so that not all
    /// clients return at the same moment.
    pub fn wait(&self, failed: u32, retry_after: Option<Duration>, jitter: &mut Jitter) -> Option<Duration> {
        if failed >= self.max_retries {
            return None;
        }
        match retry_after {
            Some(asked) if asked > self.longest_retry_after => None,
            Some(asked) => Some(asked + jitter.below(self.base)),
            None => Some(jitter.below(self.bound(failed))),
        }
    }

    /// The longest that the wait after a failure may be.
    pub fn bound(&self, failed: u32) -> Duration {
        self.base.saturating_mul(2u32.saturating_pow(failed)).min(self.cap)
    }
}

/// A seeded source of evenly spread numbers (`SplitMix64`, Steele et al., 2014).
#[derive(Debug, Clone)]
pub struct Jitter {
    state: u64,
}

impl Jitter {
    /// The same seed gives the same waits.
    pub fn seeded(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A time from nothing to `bound`, evenly spread.
    pub fn below(&mut self, bound: Duration) -> Duration {
        // 53 bits fill the mantissa of a double, so the share lies in [0, 1).
        bound.mul_f64((self.next() >> 11) as f64 / (1u64 << 53) as f64)
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// How long a `Retry-After` asks to wait: seconds, also with a fraction, or a
/// date of HTTP, counted from `now`. A date that has passed asks for nothing.
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_generator_is_the_published_one() {
        let mut jitter = Jitter::seeded(1_234_567);
        assert_eq!(jitter.next(), 6_457_827_717_110_365_317);
        assert_eq!(jitter.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        for (header, seconds) in [
            ("0", Some(0.0)),
            (" 120 ", Some(120.0)),
            ("0.5", Some(0.5)),
            ("Wed, 21 Oct 2015 07:29:30 GMT", Some(90.0)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0.0)),
            ("soon", None),
            ("-1", None),
            ("NaN", None),
            ("1e300", None),
            ("", None),
        ] {
            assert_eq!(retry_after(header, now).map(|wait| wait.as_secs_f64()), seconds, "{header}");
        }
    }

    #[test]
    fn no_retries_means_none_even_when_the_server_names_a_time() {
        let policy = RetryPolicy { max_retries: 0, ..RetryPolicy::default() };
        assert_eq!(policy.wait(0, Some(Duration::ZERO), &mut Jitter::seeded(1)), None);
    }

    #[test]
    fn a_server_that_asks_for_too_long_ends_the_call() {
        let policy = RetryPolicy::default();
        let hour = Some(Duration::from_hours(1));
        assert_eq!(policy.wait(0, hour, &mut Jitter::seeded(1)), None);
    }

    proptest! {
        #[test]
        fn waits_stay_within_their_bounds(seed: u64, failed in 0u32..80, asked in prop::option::of(0u64..300)) {
            let policy = RetryPolicy { max_retries: 80, ..RetryPolicy::default() };
            let asked = asked.map(Duration::from_secs);
            let wait = policy.wait(failed, asked, &mut Jitter::seeded(seed)).unwrap();
            match asked {
                Some(asked) => prop_assert!(wait >= asked && wait <= asked + policy.base),
                None => prop_assert!(wait <= policy.bound(failed) && wait <= policy.cap),
            }
        }

        #[test]
        fn the_same_seed_gives_the_same_waits(seed: u64) {
            let waits = |mut jitter: Jitter| [(); 5].map(|()| jitter.below(Duration::from_secs(1)));
            prop_assert_eq!(waits(Jitter::seeded(seed)), waits(Jitter::seeded(seed)));
        }
    }
}
