//! Tokens and money. A request reserves what it may cost before it is sent and
//! is settled by what the server says it used; so many requests at once cannot
//! spend together what none of them would spend alone.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::wire::{ChatRequest, Usage};

/// An amount in the caller's currency, kept in whole millionths of millionths,
/// so that sums do not depend on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Money(u128);

const PARTS: f64 = 1e12;

impl Money {
    /// An amount in units, such as dollars. Negative or infinite amounts are nothing.
    pub fn units(units: f64) -> Self {
        Self(if units.is_finite() { (units * PARTS).round().max(0.0) as u128 } else { 0 })
    }

    /// The amount in units.
    pub fn as_units(self) -> f64 {
        self.0 as f64 / PARTS
    }

    fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Money {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.as_units())
    }
}

/// What a million tokens cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Price {
    /// Of the request.
    pub input: Money,
    /// Of the answer.
    pub output: Money,
}

/// Tokens of a request and of its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Of the request.
    pub input: u64,
    /// Of the answer.
    pub output: u64,
}

impl Tokens {
    /// Both together.
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// What a request may use: **an estimate**. Its text counts a token for every
    /// four characters begun and four for every message; its answer counts its
    /// limit, or `assumed_output` where it has none.
    pub fn estimate(request: &ChatRequest, assumed_output: u32) -> Self {
        let characters: usize = request.messages.iter().map(|m| m.content.text().chars().count()).sum();
        let format = request.response_format.as_ref().map_or(0, |format| format.to_string().len());
        let framing = 4 * request.messages.len() as u64;
        Self {
            input: (characters + format).div_ceil(4) as u64 + framing,
            output: u64::from(request.output_limit().unwrap_or(assumed_output)),
        }
    }
}

impl Add for Tokens {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
        }
    }
}

impl Price {
    /// What tokens cost, rounded up to the smallest part.
    pub fn of(&self, tokens: Tokens) -> Money {
        let parts = |price: Money, tokens: u64| price.0.saturating_mul(u128::from(tokens));
        Money(
            parts(self.input, tokens.input)
                .saturating_add(parts(self.output, tokens.output))
                .div_ceil(1_000_000),
        )
    }
}

/// What may be spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Tokens of requests and answers together; `None` is no limit.
    pub tokens: Option<u64>,
    /// Money; `None` is no limit.
    pub money: Option<Money>,
}

/// What was spent so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Tokens, by the server's account where it gives one.
    pub tokens: Tokens,
    /// Their price.
    pub money: Money,
    /// Requests of which the server gave no account: they count as estimated.
    pub estimated: u64,
}

/// What is put aside for a request under way. It goes back with
/// [`Budget::settle`], [`Budget::settle_unknown`] or [`Budget::release`].
#[derive(Debug, PartialEq, Eq)]
pub struct Reservation(Tokens);

/// Why nothing was put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReservation {
    /// Requests under way hold what is missing and may give some of it back.
    Wait,
    /// What is left does not cover the request.
    Exhausted,
}

/// Limits, prices and what was spent.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    limits: Limits,
    price: Price,
    spent: Spent,
    reserved: Tokens,
    reserved_money: Money,
}

impl Budget {
    /// A budget of which nothing is spent.
    pub fn new(limits: Limits, price: Price) -> Self {
        Self { limits, price, ..Self::default() }
    }

    /// The same budget where so many tokens were used before, by earlier sessions
    /// of the same run for instance.
    #[must_use]
    pub fn after(mut self, tokens: Tokens) -> Self {
        self.book(tokens);
        self
    }

    /// What was spent so far, without what is put aside.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Puts aside what a request may cost.
    ///
    /// # Errors
    /// [`NoReservation`] where it is not there.
    pub fn reserve(&mut self, tokens: Tokens) -> Result<Reservation, NoReservation> {
        let money = self.price.of(tokens);
        let alone = (self.spent.tokens.total().saturating_add(tokens.total()), self.spent.money + money);
        if !self.covers(alone) {
            return Err(NoReservation::Exhausted);
        }
        if !self.covers((alone.0.saturating_add(self.reserved.total()), alone.1 + self.reserved_money)) {
            return Err(NoReservation::Wait);
        }
        self.reserved = self.reserved + tokens;
        self.reserved_money = self.reserved_money + money;
        Ok(Reservation(tokens))
    }

    /// Books what the server says a request used; parts that it leaves out count
    /// as estimated. Gives what was booked.
    pub fn settle(&mut self, reservation: Reservation, usage: Usage) -> Tokens {
        let estimate = reservation.0;
        let used = Tokens {
            input: usage.input.unwrap_or(estimate.input),
            output: usage.output.unwrap_or(estimate.output),
        };
        self.release(reservation);
        self.book(used);
        self.spent.estimated += u64::from(usage.input.is_none() || usage.output.is_none());
        used
    }

    /// Books a request of which nothing is known, as estimated: the server may
    /// have answered, and be paid, though the answer never came.
    pub fn settle_unknown(&mut self, reservation: Reservation) -> Tokens {
        self.settle(reservation, Usage::default())
    }

    /// Books nothing: the server refused the request or was never reached.
    #[expect(clippy::needless_pass_by_value, reason = "a reservation is given back once")]
    pub fn release(&mut self, reservation: Reservation) {
        let tokens = reservation.0;
        self.reserved.input = self.reserved.input.saturating_sub(tokens.input);
        self.reserved.output = self.reserved.output.saturating_sub(tokens.output);
        self.reserved_money = self.reserved_money.less(self.price.of(tokens));
    }

    fn book(&mut self, used: Tokens) {
        self.spent.tokens = self.spent.tokens + used;
        self.spent.money = self.spent.money + self.price.of(used);
    }

    fn covers(&self, (tokens, money): (u64, Money)) -> bool {
        self.limits.tokens.is_none_or(|limit| tokens <= limit)
            && self.limits.money.is_none_or(|limit| money <= limit)
    }
}

/// What a list of requests may use and cost: **an estimate**, see [`Tokens::estimate`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// How many requests there are.
    pub requests: u64,
    /// Their tokens.
    pub tokens: Tokens,
    /// Their price, if every answer is as long as it may be.
    pub money: Money,
}

impl Estimate {
    /// Estimates requests without sending any.
    pub fn of<'a>(
        requests: impl IntoIterator<Item = &'a ChatRequest>,
        price: Price,
        assumed_output: u32,
    ) -> Self {
        requests.into_iter().fold(Self::default(), |sum, request| {
            let tokens = Tokens::estimate(request, assumed_output);
            Self {
                requests: sum.requests + 1,
                tokens: sum.tokens + tokens,
                money: sum.money + price.of(tokens),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::wire::{Message, OutputLimit, Role};
    use proptest::prelude::*;

    const PRICE: (f64, f64) = (0.15, 0.60);

    fn price() -> Price {
        Price { input: Money::units(PRICE.0), output: Money::units(PRICE.1) }
    }

    #[test]
    fn an_estimate_counts_characters_messages_and_the_limit() {
        let messages =
            vec![Message::new(Role::System, "a".repeat(9)), Message::new(Role::User, "é".repeat(4))];
        let request = ChatRequest::new(messages);
        assert_eq!(Tokens::estimate(&request, 50), Tokens { input: 4 + 8, output: 50 });
        let request = request.limited(OutputLimit::MaxTokens(7));
        let estimate = Estimate::of([&request, &request], price(), 50);
        assert_eq!(estimate.tokens, Tokens { input: 24, output: 14 });
        assert_eq!(estimate.money, Money::units((24.0 * PRICE.0 + 14.0 * PRICE.1) / 1e6));
    }

    #[test]
    fn a_request_waits_for_others_or_is_refused() {
        let mut budget = Budget::new(Limits { tokens: Some(100), money: None }, Price::default());
        let first = budget.reserve(Tokens { input: 10, output: 60 }).unwrap();
        let next = Tokens { input: 10, output: 30 };
        assert_eq!(budget.reserve(next), Err(NoReservation::Wait));
        budget.settle(first, Usage { input: Some(10), output: Some(5), ..Usage::default() });
        let second = budget.reserve(next).unwrap();
        budget.settle_unknown(second);
        assert_eq!(budget.spent().tokens.total(), 55);
        assert_eq!(budget.spent().estimated, 1);
        assert_eq!(budget.reserve(Tokens { input: 46, output: 0 }), Err(NoReservation::Exhausted));
    }

    #[test]
    fn money_limits_as_tokens_do() {
        let mut budget = Budget::new(Limits { tokens: None, money: Some(Money::units(0.6)) }, price());
        assert!(budget.reserve(Tokens { input: 0, output: 1_000_000 }).is_ok());
        let mut budget = Budget::new(Limits { tokens: None, money: Some(Money::units(0.6)) }, price());
        assert_eq!(budget.reserve(Tokens { input: 1, output: 1_000_000 }), Err(NoReservation::Exhausted));
    }

    #[test]
    fn what_earlier_sessions_used_is_part_of_what_may_be_spent() {
        let limits = Limits { tokens: Some(100), money: Some(Money::units(1.0)) };
        let mut budget = Budget::new(limits, price()).after(Tokens { input: 50, output: 30 });
        assert_eq!(budget.spent().tokens.total(), 80);
        assert_eq!(budget.spent().money, price().of(Tokens { input: 50, output: 30 }));
        assert_eq!(budget.reserve(Tokens { input: 21, output: 0 }), Err(NoReservation::Exhausted));
        assert!(budget.reserve(Tokens { input: 20, output: 0 }).is_ok());
        let mut budget = Budget::new(limits, price()).after(Tokens { input: 0, output: 1_700_000 });
        assert_eq!(budget.reserve(Tokens { input: 1, output: 0 }), Err(NoReservation::Exhausted));
    }

    #[test]
    fn amounts_that_are_none_are_nothing() {
        for units in [-1.0, f64::NAN, f64::INFINITY, 0.0] {
            assert_eq!(Money::units(units), Money::default());
        }
    }

    proptest! {
        #[test]
        fn requests_that_use_no_more_than_they_reserve_never_exceed_the_limits(
            steps in prop::collection::vec((0u8..4, 0u64..500, 0u64..500, 0u64..=100), 1..200),
        ) {
            let limits = Limits { tokens: Some(5_000), money: Some(Money::units(0.001)) };
            let mut budget = Budget::new(limits, price());
            let mut held = Vec::new();
            let mut naive = 0;
            for (step, input, output, share) in steps {
                let tokens = Tokens { input, output };
                match (step, held.pop()) {
                    (0 | 1, last) => {
                        held.extend(last);
                        held.extend(budget.reserve(tokens).ok());
                    }
                    (2, Some(reservation)) => {
                        let Reservation(Tokens { input, output }) = reservation;
                        let used = (input * share / 100, output * share / 100);
                        naive += used.0 + used.1;
                        let usage = Usage { input: Some(used.0), output: Some(used.1), ..Usage::default() };
                        budget.settle(reservation, usage);
                    }
                    (_, Some(reservation)) => budget.release(reservation),
                    (_, None) => {}
                }
                prop_assert!(budget.spent().tokens.total() + budget.reserved.total() <= 5_000);
                prop_assert!(budget.spent().money <= Money::units(0.001));
            }
            held.into_iter().for_each(|reservation| budget.release(reservation));
            prop_assert_eq!(budget.reserved.total(), 0);
            prop_assert_eq!(budget.spent().tokens.total(), naive);
        }
    }
}
