//! Leave to send one request: a place within the limit, money put aside and a
//! circuit that is not open. It is given back with what was learnt; dropped, for
//! instance because the caller went away, it is given back too.

use std::time::Duration;

use crate::breaker::{Health, Passage};
use crate::budget::{NoReservation, Reservation, Tokens};
use crate::cancel::Cancel;
use crate::limiter::{Admission, Permit, Signal};
use crate::outcome::{FilterStage, Outcome, OutcomeKind, TransportStage};
use crate::reading::Reading;
use crate::transport::Exchange;

use super::{Client, State};

pub(crate) struct Leave<'a> {
    client: &'a Client,
    granted: Option<Granted>,
}

struct Granted {
    permit: Permit,
    reservation: Reservation,
}

/// Why a request has to wait, or will never be sent.
enum Hold {
    UntilChange,
    Until(Duration),
    Exhausted,
    Barred { until: Duration },
}

impl Client {
    /// Waits for leave to send a request of this size.
    ///
    /// # Errors
    /// What stands in for an answer where leave is denied.
    pub(crate) async fn leave(&self, tokens: Tokens, cancel: &Cancel) -> Result<Leave<'_>, Exchange> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if cancel.is_cancelled() {
                return Err(Outcome::Cancelled.into());
            }
            let now = self.now();
            let held = self.state().admit(tokens, now);
            let wait = match held {
                Ok(granted) => return Ok(Leave { client: self, granted: Some(granted) }),
                Err(Hold::Exhausted) => return Err(Outcome::OverBudget.into()),
                Err(Hold::Barred { until }) => {
                    let reading = Reading::failed(Outcome::CircuitOpen);
                    return Err(Exchange { reading, retry_after: Some(until.saturating_sub(now)) });
                }
                Err(Hold::Until(until)) => until.saturating_sub(now),
                Err(Hold::UntilChange) => Duration::MAX,
            };
            tokio::select! {
                () = changed => {}
                () = cancel.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

impl State {
    fn admit(&mut self, tokens: Tokens, now: Duration) -> Result<Granted, Hold> {
        let reservation = match self.budget.reserve(tokens) {
            Ok(reservation) => reservation,
            Err(NoReservation::Wait) => return Err(Hold::UntilChange),
            Err(NoReservation::Exhausted) => return Err(Hold::Exhausted),
        };
        let permit = match self.limiter.admit(now) {
            Admission::Granted(permit) => permit,
            Admission::Full => {
                self.budget.release(reservation);
                return Err(Hold::UntilChange);
            }
            Admission::Paused { until } => {
                self.budget.release(reservation);
                return Err(Hold::Until(until));
            }
        };
        if let Passage::Barred { until } = self.breaker.pass(now) {
            self.budget.release(reservation);
            self.limiter.abandon(permit);
            return Err(Hold::Barred { until });
        }
        Ok(Granted { permit, reservation })
    }

    fn learn(&mut self, granted: Granted, exchange: &Exchange, now: Duration, longest: Duration) -> Tokens {
        let kind = exchange.reading.outcome.kind();
        match signal(kind) {
            Some(signal) => self.limiter.finish(granted.permit, signal, now),
            None => self.limiter.abandon(granted.permit),
        }
        if let (OutcomeKind::RateLimitedOut, Some(wait)) = (kind, exchange.retry_after)
            && wait <= longest
        {
            self.limiter.pause(now + wait);
        }
        self.breaker.record(health(kind), now);
        self.book(granted.reservation, &exchange.reading)
    }

    fn book(&mut self, reservation: Reservation, reading: &Reading) -> Tokens {
        match &reading.outcome {
            Outcome::Answered(_)
            | Outcome::Truncated(_)
            | Outcome::Empty(_)
            | Outcome::Refused { .. }
            | Outcome::ContentFiltered { stage: FilterStage::Answer, .. } => {
                self.budget.settle(reservation, reading.usage)
            }
            Outcome::Unreachable {
                stage: TransportStage::Asking | TransportStage::Answering | TransportStage::Oversized,
            }
            | Outcome::Timeout
            | Outcome::NotJson { .. } => self.budget.settle_unknown(reservation),
            Outcome::Unreachable { stage: TransportStage::Connecting }
            | Outcome::ContentFiltered { stage: FilterStage::Request, .. }
            | Outcome::Unauthorised { .. }
            | Outcome::BadRequest { .. }
            | Outcome::QuotaExhausted { .. }
            | Outcome::RateLimitedOut { .. }
            | Outcome::ServerFailed { .. }
            | Outcome::CircuitOpen
            | Outcome::OverBudget
            | Outcome::Cancelled => {
                self.budget.release(reservation);
                Tokens::default()
            }
        }
    }
}

/// What an outcome says of the limit; `None` for refusals, which come too fast
/// to be compared with answers.
fn signal(kind: OutcomeKind) -> Option<Signal> {
    match kind {
        OutcomeKind::Answered | OutcomeKind::Truncated | OutcomeKind::Empty | OutcomeKind::Refused => {
            Some(Signal::Clean)
        }
        OutcomeKind::RateLimitedOut => Some(Signal::Throttled),
        OutcomeKind::ServerFailed
        | OutcomeKind::NotJson
        | OutcomeKind::Timeout
        | OutcomeKind::Unreachable => Some(Signal::Trouble),
        OutcomeKind::ContentFiltered
        | OutcomeKind::Unauthorised
        | OutcomeKind::BadRequest
        | OutcomeKind::QuotaExhausted
        | OutcomeKind::CircuitOpen
        | OutcomeKind::OverBudget
        | OutcomeKind::Cancelled => None,
    }
}

fn health(kind: OutcomeKind) -> Health {
    match kind {
        OutcomeKind::ServerFailed | OutcomeKind::Timeout | OutcomeKind::Unreachable => Health::Failing,
        _ => Health::Alive,
    }
}

impl Leave<'_> {
    /// Gives leave back with what came of the request; gives the tokens that the
    /// budget booked for it.
    pub(crate) fn learn(mut self, exchange: &Exchange) -> Tokens {
        let Some(granted) = self.granted.take() else { return Tokens::default() };
        let now = self.client.now();
        let longest = self.client.retry.longest_retry_after;
        self.client.state().learn(granted, exchange, now, longest)
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if let Some(granted) = self.granted.take() {
            let mut state = self.client.state();
            state.limiter.abandon(granted.permit);
            state.budget.settle_unknown(granted.reservation);
        }
        self.client.changed.notify_waiters();
    }
}
