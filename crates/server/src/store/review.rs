//! Conversations that lie before the counsellors. Whoever works on one holds it by a
//! lock that runs out, so that what a counsellor left open does not lie there for
//! ever; nobody else can take it meanwhile. Each change is one statement whose
//! condition holds the rule, so that it does not matter how many servers there are.
//!
//! The time is the caller's: the rules are tested against a naive oracle on a virtual
//! clock.

use super::sql::{Row, values};
use super::{Store, StoreError};
use crate::audit::{ChainError, Entry};

/// How long a lock lasts from its last renewal.
pub const LOCK_MS: u64 = 10 * 60 * 1000;

/// How a review ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was a false alarm.
    Overridden,
    /// It was right, and somebody has seen to it.
    Resolved,
}

impl Outcome {
    /// Its name in the store.
    pub const fn wire(self) -> &'static str {
        match self {
            Self::Overridden => "overridden",
            Self::Resolved => "resolved",
        }
    }
}

/// How far a review has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has said that they have seen it.
    Open,
    /// Somebody has.
    Acknowledged,
    /// It is over.
    Closed(Outcome),
}

impl State {
    fn from_wire(name: &str) -> Self {
        match name {
            "acknowledged" => Self::Acknowledged,
            "overridden" => Self::Closed(Outcome::Overridden),
            "resolved" => Self::Closed(Outcome::Resolved),
            // What is not known lies on the queue, where a human sees it.
            _ => Self::Open,
        }
    }
}

/// Who holds a review, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Who.
    pub by: String,
    /// Until when, in milliseconds since 1970.
    pub until_ms: u64,
}

/// A conversation before the counsellors.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// The decision that opened it, by which it is named.
    pub sequence: u64,
    /// The caller's name for the conversation; none where it had none, or was erased.
    pub conversation: Option<String>,
    /// Its newest decision that asked for a human.
    pub latest: u64,
    /// How far it has got.
    pub state: State,
    /// When it was opened, in milliseconds since 1970.
    pub opened_ms: u64,
    /// When somebody must have looked at it.
    pub due_ms: u64,
    /// Who holds it; the lock may have run out.
    pub held: Option<Held>,
    /// When somebody said that they have seen it.
    pub acknowledged_ms: Option<u64>,
    /// Who closed it.
    pub closed_by: Option<String>,
    /// When.
    pub closed_ms: Option<u64>,
    /// Why.
    pub reason: Option<String>,
    /// Whether it may be used for calibration.
    pub calibration_consent: bool,
    /// The decision that opened it.
    pub opening: Entry,
    /// The newest one that asked for a human.
    pub newest: Entry,
}

impl Review {
    /// Who holds it at a time.
    pub fn holder_at(&self, now_ms: u64) -> Option<&str> {
        self.held.as_ref().filter(|held| now_ms < held.until_ms).map(|held| held.by.as_str())
    }

    /// Whether it is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }
}

/// Whose review, and who wants something of it at what time.
#[derive(Debug, Clone, Copy)]
pub struct Hand<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The review, by the number of the decision that opened it.
    pub sequence: u64,
    /// The counsellor.
    pub who: &'a str,
    /// Milliseconds since 1970.
    pub now_ms: u64,
}

/// How a review shall end.
#[derive(Debug, Clone, Copy)]
pub struct Closing<'a> {
    /// How.
    pub outcome: Outcome,
    /// Why, in the counsellor's words.
    pub reason: &'a str,
    /// Whether outcome and scores may be used for calibration.
    pub calibration_consent: bool,
}

const COLUMNS: &str = "r.sequence, r.conversation, r.latest, r.state, r.opened_ms, r.due_ms, r.claimed_by,
    r.claimed_until_ms, r.acknowledged_ms, r.closed_by, r.closed_ms, r.reason, r.calibration_consent, a.entry, l.entry";

/// Reviews with the entries of their first and of their newest decision.
const FROM: &str = "review r JOIN audit a ON a.sequence = r.sequence JOIN audit l ON l.sequence = r.latest";

impl Store {
    /// Whether a conversation lies before a counsellor by a decision that was made without
    /// the store, and written later.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn is_called_late(&self, tenant: &str, conversation: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM review r JOIN audit a ON a.sequence = r.sequence
            WHERE r.tenant = $1 AND r.conversation = $2 AND r.closed_ms IS NULL
                AND a.entry LIKE '%\"status\":\"degraded\"%'";
        self.read(|connection| Ok(connection.first(sql, values![tenant, conversation])?.is_some()))
    }

    /// What lies before a tenant's counsellors, what is due first first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn open_reviews(&self, tenant: &str, most: usize) -> Result<Vec<Review>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {FROM}
                WHERE r.tenant = $1 AND r.closed_ms IS NULL ORDER BY CASE WHEN r.acknowledged_ms IS NULL THEN 0 ELSE 1 END,
                r.due_ms, r.sequence LIMIT $2"
        );
        self.reviews(&sql, values![tenant, most])
    }

    /// What a tenant's counsellors have closed in a period, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn closed_reviews(
        &self,
        tenant: &str,
        period: super::reading::Period,
        most: usize,
    ) -> Result<Vec<Review>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {FROM}
                WHERE r.tenant = $1 AND r.closed_ms >= $2 AND r.closed_ms < $3
                ORDER BY r.closed_ms DESC, r.sequence DESC LIMIT $4"
        );
        self.reviews(&sql, values![tenant, period.from_ms, period.until_ms, most])
    }

    /// One review of a tenant.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn review(&self, tenant: &str, sequence: u64) -> Result<Option<Review>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM {FROM}
                WHERE r.tenant = $1 AND r.sequence = $2"
        );
        Ok(self.reviews(&sql, values![tenant, sequence])?.pop())
    }

    fn reviews(&self, sql: &str, values: &[super::sql::Value]) -> Result<Vec<Review>, StoreError> {
        self.look(|connection| connection.query(sql, values)?.iter().map(review).collect())
    }

    /// Takes a review, or renews the lock of whoever holds it already; false where
    /// somebody else holds it, or it is closed or not there.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn claim(&self, hand: Hand<'_>) -> Result<bool, StoreError> {
        let sql = "UPDATE review SET claimed_by = $1, claimed_until_ms = $2
            WHERE tenant = $3 AND sequence = $4 AND closed_ms IS NULL
                AND (claimed_by IS NULL OR claimed_by = $1 OR claimed_until_ms <= $5)";
        let Hand { tenant, sequence, who, now_ms } = hand;
        self.change(sql, values![who, now_ms + LOCK_MS, tenant, sequence, now_ms])
    }

    /// Renews the lock of whoever holds it; false where they do not hold it any more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn keep_claim(&self, hand: Hand<'_>) -> Result<bool, StoreError> {
        let sql = "UPDATE review SET claimed_until_ms = $1
            WHERE tenant = $2 AND sequence = $3 AND claimed_by = $4 AND claimed_until_ms > $5
                AND closed_ms IS NULL";
        let Hand { tenant, sequence, who, now_ms } = hand;
        self.change(sql, values![now_ms + LOCK_MS, tenant, sequence, who, now_ms])
    }

    /// Gives a review back; false where they do not hold it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn release(&self, hand: Hand<'_>) -> Result<bool, StoreError> {
        let sql = "UPDATE review SET claimed_by = NULL, claimed_until_ms = NULL
            WHERE tenant = $1 AND sequence = $2 AND claimed_by = $3 AND claimed_until_ms > $4
                AND closed_ms IS NULL";
        let Hand { tenant, sequence, who, now_ms } = hand;
        self.change(sql, values![tenant, sequence, who, now_ms])
    }

    /// Says that whoever holds it has seen it, and stops the clock; false where they do
    /// not hold it, or somebody has said so before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn acknowledge(&self, hand: Hand<'_>) -> Result<bool, StoreError> {
        let sql = "UPDATE review SET state = 'acknowledged', acknowledged_ms = $1, claimed_until_ms = $2
            WHERE tenant = $3 AND sequence = $4 AND claimed_by = $5 AND claimed_until_ms > $1
                AND closed_ms IS NULL AND acknowledged_ms IS NULL";
        let Hand { tenant, sequence, who, now_ms } = hand;
        self.change(sql, values![now_ms, now_ms + LOCK_MS, tenant, sequence, who])
    }

    /// Closes a review; false where they do not hold it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn close(&self, hand: Hand<'_>, closing: Closing<'_>) -> Result<bool, StoreError> {
        let sql = "UPDATE review SET state = $1, closed_by = $2, closed_ms = $3, reason = $4,
                calibration_consent = $5, claimed_by = NULL, claimed_until_ms = NULL
            WHERE tenant = $6 AND sequence = $7 AND claimed_by = $2 AND claimed_until_ms > $3
                AND closed_ms IS NULL";
        let Hand { tenant, sequence, who, now_ms } = hand;
        let consent = u64::from(closing.calibration_consent);
        let values = values![closing.outcome.wire(), who, now_ms, closing.reason, consent, tenant, sequence];
        self.change(sql, values)
    }

    fn change(&self, sql: &str, values: &[super::sql::Value]) -> Result<bool, StoreError> {
        self.write(|connection| Ok(connection.execute(sql, values)? > 0))
    }
}

fn review(row: &Row) -> Result<Review, StoreError> {
    let sequence = row.get(0)?;
    let state: String = row.get(3)?;
    let entry = |column| -> Result<Entry, StoreError> {
        let line: String = row.get(column)?;
        Ok(serde_json::from_str(&line).map_err(|_| ChainError::NoEntry { sequence })?)
    };
    let held = row.get::<Option<String>>(6)?.zip(row.get::<Option<u64>>(7)?);
    Ok(Review {
        sequence,
        conversation: row.get(1)?,
        latest: row.get(2)?,
        state: State::from_wire(&state),
        opened_ms: row.get(4)?,
        due_ms: row.get(5)?,
        held: held.map(|(by, until_ms)| Held { by, until_ms }),
        acknowledged_ms: row.get(8)?,
        closed_by: row.get(9)?,
        closed_ms: row.get(10)?,
        reason: row.get(11)?,
        calibration_consent: row.get::<u64>(12)? != 0,
        opening: entry(13)?,
        newest: entry(14)?,
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;
    use crate::audit::tests::decision;
    use crate::store::tests::databases;
    use crate::store::{Alarm, Commit, Of};

    const WHO: [&str; 3] = ["ada", "bob", "eve"];

    /// Opens a review of a tenant, and gives its number.
    fn opened(store: &Store, tenant: &str, due_ms: u64) -> u64 {
        let mut made = decision(1);
        (made.tenant, made.action) = (tenant.to_owned(), "escalate".to_owned());
        let mut commit = Commit::of(made, b"said".to_vec());
        commit.alarm = Some(Alarm { due_ms, targets: Vec::new() });
        commit.conversation = Some(format!("{tenant}-{due_ms}"));
        store.commit(vec![commit], None).unwrap()[0]
    }

    #[derive(Debug, Clone, Copy)]
    enum Deed {
        Claim,
        Keep,
        Release,
        Acknowledge,
        Close,
    }

    /// The rules, told as plainly as they can be.
    #[derive(Debug, Default)]
    struct Naive {
        held: Option<(usize, u64)>,
        acknowledged: bool,
        closed: bool,
    }

    impl Naive {
        fn does(&mut self, deed: Deed, who: usize, now: u64) -> bool {
            let holder = self.held.filter(|(_, until)| now < *until).map(|(who, _)| who);
            if self.closed {
                return false;
            }
            match deed {
                Deed::Claim if holder.is_none_or(|holder| holder == who) => {
                    self.held = Some((who, now + LOCK_MS));
                }
                Deed::Keep if holder == Some(who) => self.held = Some((who, now + LOCK_MS)),
                Deed::Release if holder == Some(who) => self.held = None,
                Deed::Acknowledge if holder == Some(who) && !self.acknowledged => {
                    (self.held, self.acknowledged) = (Some((who, now + LOCK_MS)), true);
                }
                Deed::Close if holder == Some(who) => (self.held, self.closed) = (None, true),
                _ => return false,
            }
            true
        }
    }

    fn does(store: &Store, deed: Deed, hand: Hand<'_>) -> bool {
        let closing = Closing { outcome: Outcome::Resolved, reason: "r", calibration_consent: false };
        match deed {
            Deed::Claim => store.claim(hand),
            Deed::Keep => store.keep_claim(hand),
            Deed::Release => store.release(hand),
            Deed::Acknowledge => store.acknowledge(hand),
            Deed::Close => store.close(hand, closing),
        }
        .unwrap()
    }

    fn deeds() -> impl Strategy<Value = Vec<(Deed, usize, u64)>> {
        let deed = prop_oneof![
            4 => Just(Deed::Claim),
            2 => Just(Deed::Keep),
            2 => Just(Deed::Release),
            2 => Just(Deed::Acknowledge),
            1 => Just(Deed::Close),
        ];
        // Steps of minutes meet the end of a lock to the millisecond.
        let passed = prop_oneof![3 => Just(0), 2 => Just(60_000), 2 => Just(LOCK_MS - 1), 2 => Just(LOCK_MS)];
        prop::collection::vec((deed, 0..WHO.len(), passed), 1..30)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_lock_is_held_by_one_at_a_time_and_does_what_the_plain_rules_say(deeds in deeds()) {
            for database in databases() {
                let store = database.open();
                let sequence = opened(&store, "t", 9);
                let (mut naive, mut now_ms) = (Naive::default(), 1_000);
                for (deed, who, passed) in &deeds {
                    now_ms += passed;
                    let hand = Hand { tenant: "t", sequence, who: WHO[*who], now_ms };
                    let other = Hand { tenant: "u", ..hand };
                    prop_assert!(!does(&store, *deed, other), "another tenant's hand");
                    prop_assert_eq!(does(&store, *deed, hand), naive.does(*deed, *who, now_ms), "{:?} {}", deed, who);
                    let review = store.review("t", sequence).unwrap().unwrap();
                    let holder = naive.held.filter(|(_, until)| now_ms < *until).map(|(who, _)| WHO[who]);
                    prop_assert_eq!(review.holder_at(now_ms), holder);
                    prop_assert_eq!(review.is_closed(), naive.closed);
                    prop_assert_eq!(review.acknowledged_ms.is_some(), naive.acknowledged);
                }
            }
        }
    }

    #[test]
    fn what_is_due_first_comes_first_and_a_tenant_sees_its_own_only() {
        for database in databases() {
            let store = database.open();
            let (late, soon, other) =
                (opened(&store, "t", 90), opened(&store, "t", 10), opened(&store, "u", 5));
            let queue = |tenant: &str| -> Vec<u64> {
                store.open_reviews(tenant, 9).unwrap().iter().map(|review| review.sequence).collect()
            };
            assert_eq!((queue("t"), queue("u"), queue("v")), (vec![soon, late], vec![other], vec![]));
            assert_eq!(store.review("t", other), Ok(None));
            let hand = Hand { tenant: "t", sequence: soon, who: "ada", now_ms: 50 };
            assert!(store.claim(hand).unwrap());
            let closing =
                Closing { outcome: Outcome::Overridden, reason: "a song", calibration_consent: true };
            assert!(store.close(hand, closing).unwrap());
            assert_eq!(queue("t"), [late]);
            let all = crate::store::reading::Period { from_ms: 50, until_ms: 51 };
            let closed = store.closed_reviews("t", all, 9).unwrap();
            assert_eq!(closed.len(), 1);
            let review = &closed[0];
            assert_eq!(
                (review.closed_by.as_deref(), review.reason.as_deref()),
                (Some("ada"), Some("a song"))
            );
            assert_eq!(
                (review.state, review.calibration_consent),
                (State::Closed(Outcome::Overridden), true)
            );
            let gone = crate::store::reading::Period { from_ms: 51, until_ms: 99 };
            assert_eq!(store.closed_reviews("t", gone, 9), Ok(vec![]));
            store.erase("t", Of::Conversation("t-10")).unwrap();
            let erased = store.review("t", soon).unwrap().unwrap();
            assert_eq!((erased.conversation, erased.reason), (None, None));
        }
    }
}
