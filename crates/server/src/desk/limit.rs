//! How often somebody may fail to log in: so many failures at once, and then one in a
//! while, for each name and for each address. Whoever has used them up is refused
//! before the password is looked at, so that guessing neither succeeds nor keeps the
//! machine busy. It is counted in memory, by each server for itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::rate::Rate;

/// Failures of one name that may come at once, and the milliseconds after which one more
/// may.
const OF_NAME: Rate = Rate { burst: 10, each: 30_000 };

/// The same of one address, behind which several people may work.
const OF_ADDRESS: Rate = Rate { burst: 30, each: 10_000 };

/// Names and addresses that are remembered.
const MOST: usize = 10_000;

/// Failures so far.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// When the failures of each are forgotten, in milliseconds since 1970.
    clear_at: Mutex<HashMap<String, u64>>,
}

/// Who tries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub(super) tenant: &'a str,
    pub(super) name: &'a str,
    pub(super) address: IpAddr,
}

impl Attempt<'_> {
    fn keys(self) -> [(String, Rate); 2] {
        let name = format!("name {} {}", self.tenant.len(), [self.tenant, self.name].concat());
        [(name, OF_NAME), (format!("address {}", self.address), OF_ADDRESS)]
    }
}

impl Limits {
    /// Takes one try off the rates of name and address, or refuses it.
    pub(super) fn take(&self, attempt: Attempt<'_>, now_ms: u64) -> bool {
        let mut clear_at = self.clear_at.lock().unwrap_or_else(PoisonError::into_inner);
        if clear_at.len() >= MOST {
            clear_at.retain(|_, clear| *clear > now_ms);
        }
        let keys = attempt.keys();
        let [name, address] = keys.each_ref().map(|(key, rate)| {
            let clear = clear_at.get(key).copied().unwrap_or_default();
            rate.take(clear, now_ms)
        });
        let (Ok(name), Ok(address)) = (name, address) else { return false };
        for ((key, _), clear) in keys.into_iter().zip([name, address]) {
            clear_at.insert(key, clear);
        }
        true
    }

    /// Takes one try off the rate of an address, where no name is tried.
    pub(super) fn take_of(&self, address: IpAddr, now_ms: u64) -> bool {
        let mut clear_at = self.clear_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = clear_at.entry(format!("address {address}")).or_default();
        OF_ADDRESS.take(*due, now_ms).map(|clear| *due = clear).is_ok()
    }

    /// Gives the try back that a right password took.
    pub(super) fn give_back(&self, attempt: Attempt<'_>) {
        let mut clear_at = self.clear_at.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, rate) in attempt.keys() {
            clear_at.entry(key).and_modify(|clear| *clear = clear.saturating_sub(rate.each));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(name: &str, address: u8) -> Attempt<'_> {
        Attempt { tenant: "t", name, address: [10, 0, 0, address].into() }
    }

    #[test]
    fn a_name_may_fail_ten_times_at_once_and_then_twice_a_minute() {
        let limits = Limits::default();
        let taken = |now_ms| (0..100).filter(|&from| limits.take(attempt("a", from), now_ms)).count();
        assert_eq!(taken(0), 10);
        assert_eq!(taken(60_000), 2);
        assert!(limits.take(attempt("b", 200), 60_000), "others are not kept out");
    }

    #[test]
    fn an_address_may_fail_thirty_times_whatever_the_names() {
        let limits = Limits::default();
        let names: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
        assert_eq!(names.iter().filter(|name| limits.take(attempt(name, 1), 0)).count(), 30);
        assert!(limits.take(attempt("n0", 2), 0));
    }

    #[test]
    fn right_passwords_use_nothing_up() {
        let limits = Limits::default();
        for _ in 0..100 {
            assert!(limits.take(attempt("a", 1), 0));
            limits.give_back(attempt("a", 1));
        }
    }
}
