//! How often something may be done: so many times at once, and then one in a while. The
//! virtual scheduling of the generic cell rate algorithm (ITU-T I.371), in any unit of time.

/// A rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// Times that may come at once.
    pub(crate) burst: u64,
    /// The time after which one more may.
    pub(crate) each: u64,
}

impl Rate {
    /// Takes one time. `due` is when all that was taken before is forgotten; gives when
    /// that is now, or how long it takes until one more may be taken.
    pub(crate) fn take(self, due: u64, now: u64) -> Result<u64, u64> {
        let next = due.max(now) + self.each;
        match next.saturating_sub(now + self.burst * self.each) {
            0 => Ok(next),
            wait => Err(wait),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same by the book: a bucket that is filled by one each time, and leaks.
    fn by_a_bucket(rate: Rate, at: &[u64]) -> Vec<bool> {
        let (mut held, mut last) = (0_u64, 0);
        let one = |&now: &u64| {
            held = held.saturating_sub(now - last);
            last = now;
            let may = held + rate.each <= rate.burst * rate.each;
            held += if may { rate.each } else { 0 };
            may
        };
        at.iter().map(one).collect()
    }

    proptest! {
        #[test]
        fn it_is_as_a_bucket_that_leaks(
            burst in 1..20_u64,
            each in 1..1_000_u64,
            steps in prop::collection::vec(0..500_u64, 0..200),
        ) {
            let rate = Rate { burst, each };
            let at: Vec<u64> = steps.iter().scan(0, |now, step| { *now += step; Some(*now) }).collect();
            let mut due = 0;
            let taken: Vec<bool> = at.iter().map(|&now| match rate.take(due, now) {
                Ok(next) => { due = next; true }
                Err(wait) => { prop_assert_wait(rate, due, now, wait); false }
            }).collect();
            prop_assert_eq!(taken, by_a_bucket(rate, &at));
        }
    }

    /// After the wait that is told it may be taken, and not a moment before.
    fn prop_assert_wait(rate: Rate, due: u64, now: u64, wait: u64) {
        assert!(rate.take(due, now + wait).is_ok() && rate.take(due, now + wait - 1).is_err());
    }
}
