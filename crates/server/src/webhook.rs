//! Telling whoever a tenant names of escalations: `POST` of a JSON object, signed,
//! at least once, until it is taken or three days have gone by.
//!
//! | header | value |
//! |---|---|
//! | `Mindrail-Event` | the event's name, the same at every attempt: what comes twice is known by it |
//! | `Mindrail-Timestamp` | seconds since 1970 at this attempt |
//! | `Mindrail-Signature` | `v1=` and the HMAC-SHA256 in hexadecimal, under the webhook's secret, of timestamp, `.` and body |
//!
//! A receiver checks the signature, refuses timestamps older than five minutes, and
//! answers 2xx. Nothing that was said is sent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ring::hmac;
use serde::Serialize;

use crate::service::Service;
use crate::store::outbox::{Notice, Told};
use crate::store::{Store, StoreError, hex};
use crate::tenant::{Tenants, Webhook};

/// How often it is looked whether something is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a receiver may take.
const LONGEST_CALL: Duration = Duration::from_secs(10);

/// Notices that are told in one go.
const AT_ONCE: usize = 16;

/// Seconds from the first, the second, … failed attempt to the next one; the last is
/// repeated.
const WAITS_S: [u64; 7] = [10, 60, 300, 900, 1_800, 3_600, 7_200];

/// How long it is tried.
const GIVE_UP_AFTER_MS: u64 = 3 * 86_400_000;

/// What a receiver reads.
#[derive(Debug, Serialize)]
struct Event<'a> {
    /// The event's name.
    id: &'a str,
    /// Its kind.
    #[serde(rename = "type")]
    kind: &'static str,
    /// When it came up, in milliseconds since 1970.
    created_ms: u64,
    tenant: &'a str,
    /// The decision's number in the audit trail.
    decision: u64,
    /// The tenant's own name for the conversation.
    conversation_id: Option<&'a str>,
    /// The tenant's own name for the person.
    person_id: Option<&'a str>,
    action: &'a str,
    reasons: &'a [crate::audit::Reason],
}

/// A request to a receiver, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The body.
    pub body: String,
    /// The headers, by name.
    pub headers: BTreeMap<&'static str, String>,
}

/// The request that tells of a notice.
fn signed(notice: &Notice, secret: &str, now_ms: u64) -> Signed {
    let event = Event {
        id: &notice.id,
        kind: "escalation.opened",
        created_ms: notice.created_ms,
        tenant: &notice.tenant,
        decision: notice.sequence,
        conversation_id: notice.conversation.as_deref(),
        person_id: notice.person.as_deref(),
        action: &notice.decision.action,
        reasons: &notice.decision.reasons,
    };
    let body = serde_json::to_string(&event).unwrap_or_default();
    let timestamp = (now_ms / 1_000).to_string();
    let headers = BTreeMap::from([
        ("mindrail-event", notice.id.clone()),
        ("mindrail-signature", format!("v1={}", signature(secret, &timestamp, &body))),
        ("mindrail-timestamp", timestamp),
        ("content-type", "application/json".to_owned()),
    ]);
    Signed { body, headers }
}

fn signature(secret: &str, timestamp: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex(hmac::sign(&key, format!("{timestamp}.{body}").as_bytes()).as_ref())
}

/// When it is tried again after an attempt that failed.
fn after_failure(notice: &Notice, now_ms: u64, error: String) -> Told {
    let wait = WAITS_S[(notice.attempts as usize).min(WAITS_S.len() - 1)] * 1_000;
    if now_ms + wait > notice.created_ms + GIVE_UP_AFTER_MS {
        return Told::GivenUp { error };
    }
    Told::Again { at_ms: now_ms + wait, error }
}

/// Tells, for as long as the process runs.
pub(crate) async fn tell(service: Arc<Service>, tenants: Arc<Tenants>) {
    let client = crate::tls::client()
        .timeout(LONGEST_CALL)
        .build()
        .expect("the settings are fixed, and the root certificates are in the program");
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let now_ms = crate::http::now_ms();
        let store = Arc::clone(&service);
        let due = tokio::task::spawn_blocking(move || store.store().take_notices(now_ms, AT_ONCE)).await;
        // A store that does not answer is asked again; `readyz` tells.
        let Ok(Ok(notices)) = due else { continue };
        // At the same time, so that a receiver that does not answer keeps nobody waiting.
        let each = notices.into_iter().map(|notice| async {
            let told = attempt(&client, &tenants, &notice).await;
            let store = Arc::clone(&service);
            // Where it cannot be noted, the notice is told again: at least once.
            let _ = tokio::task::spawn_blocking(move || store.store().told(&notice.id, &told)).await;
        });
        futures_util::future::join_all(each).await;
    }
}

async fn attempt(client: &reqwest::Client, tenants: &Tenants, notice: &Notice) -> Told {
    let now_ms = crate::http::now_ms();
    let Some(webhook) = webhook(tenants, notice) else {
        return after_failure(notice, now_ms, "the configuration names no such webhook any more".to_owned());
    };
    let signed = signed(notice, &webhook.secret, now_ms);
    let mut request = client.post(&webhook.url).body(signed.body);
    for (name, value) in signed.headers {
        request = request.header(name, value);
    }
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Told::Delivered,
        Ok(answer) => after_failure(notice, now_ms, format!("found status {}", answer.status().as_u16())),
        // The URL may hold a secret.
        Err(error) => after_failure(notice, now_ms, error.without_url().to_string()),
    }
}

fn webhook(tenants: &Tenants, notice: &Notice) -> Option<Webhook> {
    let tenant = tenants.get(&notice.tenant)?;
    tenant.webhooks.iter().find(|webhook| webhook.name == notice.target).cloned()
}

/// One look with a sender and a clock of the caller's, for tests in virtual time.
///
/// # Errors
/// [`StoreError`].
pub fn step(
    store: &Store,
    now_ms: u64,
    secret: &str,
    mut send: impl FnMut(&Signed) -> Result<(), String>,
) -> Result<usize, StoreError> {
    let notices = store.take_notices(now_ms, AT_ONCE)?;
    for notice in &notices {
        let told = match send(&signed(notice, secret, now_ms)) {
            Ok(()) => Told::Delivered,
            Err(error) => after_failure(notice, now_ms, error),
        };
        store.told(&notice.id, &told)?;
    }
    Ok(notices.len())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::audit::tests::decision;
    use crate::store::tests::databases;
    use crate::store::{Alarm, Commit};

    fn alarm(store: &Store, conversation: &str) {
        let mut commit = Commit::of(decision(0), b"said".to_vec());
        commit.conversation = Some(conversation.to_owned());
        commit.alarm = Some(Alarm { due_ms: 0, targets: vec!["hook".to_owned()] });
        store.commit(vec![commit], None).unwrap();
    }

    fn waiting_and_given_up(store: &Store) -> (u64, u64) {
        let backlog = store.backlog(0).unwrap();
        (backlog.waiting, backlog.given_up)
    }

    const SECOND: u64 = 1_000;
    const HOUR: u64 = 3_600 * SECOND;

    #[test]
    fn a_receiver_that_is_down_for_an_hour_is_told_once_it_is_back_and_then_no_more() {
        for database in databases() {
            let store = database.open();
            alarm(&store, "c");
            let (mut attempts, mut taken) = (Vec::new(), Vec::new());
            for now in (0..6 * HOUR).step_by(SECOND as usize) {
                let send = |signed: &Signed| {
                    attempts.push(now / SECOND);
                    if now < HOUR {
                        return Err("refused".to_owned());
                    }
                    taken.push((now, signed.headers["mindrail-event"].clone()));
                    Ok(())
                };
                step(&store, now, "secret", send).unwrap();
            }
            assert_eq!(taken.len(), 1, "{attempts:?}");
            assert!(taken[0].0 < 2 * HOUR, "it was told within an hour of the receiver's return");
            assert_eq!(attempts[..5], [0, 10, 70, 370, 1_270]);
            assert_eq!(waiting_and_given_up(&store), (0, 0));
        }
    }

    #[test]
    fn a_receiver_that_stays_down_is_given_up_after_three_days_and_this_is_seen() {
        for database in databases() {
            let store = database.open();
            alarm(&store, "c");
            let mut last = 0;
            for now in (0..100 * HOUR).step_by(10 * SECOND as usize) {
                let count = step(&store, now, "secret", |_| Err("refused".to_owned())).unwrap();
                last = if count > 0 { now } else { last };
            }
            assert!((70 * HOUR..=72 * HOUR).contains(&last), "{last}");
            assert_eq!(waiting_and_given_up(&store), (0, 1));
        }
    }

    #[test]
    fn a_teller_that_ends_in_the_middle_leaves_its_notices_to_the_next_one() {
        for database in databases() {
            let store = database.open();
            alarm(&store, "c");
            assert_eq!(store.take_notices(0, 9).unwrap().len(), 1);
            assert!(store.take_notices(30 * SECOND, 9).unwrap().is_empty(), "it is another one's");
            assert_eq!(store.take_notices(60 * SECOND, 9).unwrap().len(), 1);
        }
    }

    #[test]
    fn the_signature_is_hmac_sha256_of_timestamp_and_body() {
        // Computed with Python's hmac and hashlib.
        let expected = "c8710bfad0d5744c091661b621aa5a921003ddb478e5004c4b34e1bc1fbcc919";
        assert_eq!(signature("secret", "1700000000", "{\"id\":\"e\"}"), expected);
    }

    #[test]
    fn a_notice_of_an_erased_conversation_names_nobody() {
        for database in databases() {
            let store = database.open();
            alarm(&store, "name-of-it");
            store.erase("default", crate::store::Of::Conversation("name-of-it")).unwrap();
            let mut bodies = Vec::new();
            let send = |signed: &Signed| {
                bodies.push(signed.body.clone());
                Ok(())
            };
            step(&store, 0, "secret", send).unwrap();
            assert!(bodies[0].contains("\"conversation_id\":null"), "{bodies:?}");
        }
    }
}
