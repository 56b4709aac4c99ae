//! What a decision changes in the database, statement by statement.

use super::sql::{Connection, values};
use super::{Commit, Erased, NewAnswer, NewSession, StoreError, Waiting, hex, random, random_name, salted};
use crate::audit::{BEFORE_THE_FIRST, Entry, hash};

/// Where the trail ends.
struct End {
    sequence: u64,
    hash: String,
}

/// What a transaction has written, if it was committed.
struct Written {
    results: Vec<Result<Vec<u64>, StoreError>>,
    end: End,
}

/// Writes what waits in the transaction that was begun, and tells everyone how it went.
/// `connect` makes a new connection, to ask what has become of it where the old one breaks.
pub(super) fn all(
    connection: &mut Box<dyn Connection>,
    waiting: Vec<Waiting>,
    connect: impl Fn() -> Result<Box<dyn Connection>, StoreError>,
) {
    let (requests, tell): (Vec<_>, Vec<_>) =
        waiting.into_iter().map(|Waiting { commits, key, done }| ((commits, key), done)).unzip();
    let mut written = None;
    let committed = super::in_begun(&mut **connection, |connection| {
        let mut end = end(connection)?;
        let write = |(commits, key): (Vec<Commit>, _)| request(connection, &mut end, &commits, key);
        let results = requests.into_iter().map(write).collect::<Result<Vec<_>, StoreError>>()?;
        written = Some(Written { results, end });
        Ok(())
    });
    let results = match (committed, written) {
        (Ok(()), Some(written)) => Ok(written.results),
        // All was written and the commit was not answered.
        (Err(error), Some(written)) if connection.is_broken() => {
            let asked = connect().and_then(|new| {
                *connection = new;
                is_in_the_trail(&mut **connection, &written.end)
            });
            match asked {
                Ok(true) => Ok(written.results),
                Ok(false) => Err(error),
                Err(_) => Err(StoreError::InDoubt),
            }
        }
        (Err(error), _) => Err(error),
        (Ok(()), None) => unreachable!("what was committed was written"),
    };
    let results = results.unwrap_or_else(|error| tell.iter().map(|_| Err(error.clone())).collect());
    for (done, result) in tell.iter().zip(results) {
        // Whoever has gone away has its decisions in the trail all the same.
        let _ = done.send(result);
    }
}

/// Whether an entry is in the trail, asked as a writer, which waits for those who still
/// write.
fn is_in_the_trail(connection: &mut dyn Connection, end: &End) -> Result<bool, StoreError> {
    super::sql::in_transaction(connection, |connection| {
        let sql = "SELECT 1 FROM audit WHERE sequence = $1 AND hash = $2";
        Ok(connection.first(sql, values![end.sequence, end.hash.as_str()])?.is_some())
    })
}

/// Tells everyone that nothing was written.
pub(super) fn refuse(waiting: Vec<Waiting>, error: &StoreError) {
    for Waiting { done, .. } in waiting {
        let _ = done.send(Err(error.clone()));
    }
}

/// Writes the decisions on one request, or none of them. The outer error is the
/// whole transaction's.
fn request(
    connection: &mut dyn Connection,
    end: &mut End,
    commits: &[Commit],
    key: Option<NewAnswer>,
) -> Result<Result<Vec<u64>, StoreError>, StoreError> {
    let before = End { sequence: end.sequence, hash: end.hash.clone() };
    connection.batch("SAVEPOINT request")?;
    let written = decisions(connection, end, commits, key);
    if written.is_ok() {
        connection.batch("RELEASE SAVEPOINT request")?;
    } else {
        let undone = connection.batch("ROLLBACK TO SAVEPOINT request; RELEASE SAVEPOINT request");
        // A database that is full has ended the transaction itself.
        if undone.is_err() {
            return written.map(Ok);
        }
        *end = before;
    }
    Ok(written)
}

fn decisions(
    connection: &mut dyn Connection,
    end: &mut End,
    commits: &[Commit],
    key: Option<NewAnswer>,
) -> Result<Vec<u64>, StoreError> {
    let mut numbers = Vec::with_capacity(commits.len());
    for commit in commits {
        if let (Some(name), Some(new)) = (&commit.conversation, &commit.session) {
            advance(connection, (&commit.decision.tenant, name), new, commit.decision.at_ms)?;
        }
        append(connection, end, commit)?;
        keep_said(connection, commit)?;
        alarm(connection, commit, end.sequence)?;
        numbers.push(end.sequence);
    }
    if let (Some(key), Some(commit)) = (key, commits.first()) {
        keep_answer(connection, commit, key, &numbers)?;
    }
    Ok(numbers)
}

fn end(connection: &mut dyn Connection) -> Result<End, StoreError> {
    let last = connection.first("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1", &[])?;
    Ok(match last {
        Some(row) => End { sequence: row.get(0)?, hash: row.get(1)? },
        None => End { sequence: 0, hash: BEFORE_THE_FIRST.to_owned() },
    })
}

/// Puts an entry at the trail's end.
fn append(connection: &mut dyn Connection, end: &mut End, commit: &Commit) -> Result<(), StoreError> {
    let (salt, digest) = commit.scanned.digest();
    let mut decision = commit.decision.clone();
    decision.digest = digest;
    decision.conversation = commit.conversation.as_ref().map(|name| salted(&salt, name.as_bytes()));
    decision.person = commit.person.as_ref().map(|name| salted(&salt, name.as_bytes()));
    let entry = Entry { sequence: end.sequence + 1, previous: end.hash.clone(), decision };
    let line = entry.line();
    *end = End { sequence: entry.sequence, hash: hash(&line) };
    let sql = "INSERT INTO audit (sequence, entry, hash) VALUES ($1, $2, $3)";
    connection.execute(sql, values![end.sequence, line, end.hash.as_str()])?;
    let sql = "INSERT INTO tie (sequence, tenant, conversation, salt, person, at_ms)
        VALUES ($1, $2, $3, $4, $5, $6)";
    let (conversation, person) = (commit.conversation.as_deref(), commit.person.as_deref());
    let (tenant, at_ms) = (entry.decision.tenant.as_str(), entry.decision.at_ms);
    connection.execute(sql, values![end.sequence, tenant, conversation, salt.as_slice(), person, at_ms])?;
    Ok(())
}

/// Takes a session further, if it is where the decision found it.
fn advance(
    connection: &mut dyn Connection,
    (tenant, conversation): (&str, &str),
    new: &NewSession,
    at_ms: u64,
) -> Result<(), StoreError> {
    let sql = "SELECT turns FROM session WHERE tenant = $1 AND conversation = $2";
    let known: Option<usize> =
        connection.first(sql, values![tenant, conversation])?.map(|row| row.get(0)).transpose()?;
    if known.unwrap_or(0) != new.known_turns {
        return Err(StoreError::WentOn);
    }
    let session = &new.session;
    connection.execute(
        "INSERT INTO session (tenant, conversation, turns, state, salt, begun_ms, disclosed_ms, changed_ms)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            ON CONFLICT (tenant, conversation) DO UPDATE SET turns = excluded.turns,
                state = excluded.state, salt = excluded.salt, disclosed_ms = excluded.disclosed_ms,
                changed_ms = excluded.changed_ms",
        values![
            tenant,
            conversation,
            session.turns,
            session.state.as_str(),
            session.salt.as_str(),
            session.begun_ms,
            session.disclosed_ms,
            at_ms
        ],
    )?;
    if new.first < new.known_turns {
        let sql = "DELETE FROM turn_digest WHERE tenant = $1 AND conversation = $2 AND place >= $3";
        connection.execute(sql, values![tenant, conversation, new.first])?;
    }
    let sql = "INSERT INTO turn_digest (tenant, conversation, place, digest) VALUES ($1, $2, $3, $4)";
    for (place, digest) in (new.first..).zip(&new.digests) {
        connection.execute(sql, values![tenant, conversation, place, digest.as_str()])?;
    }
    Ok(())
}

fn keep_said(connection: &mut dyn Connection, commit: &Commit) -> Result<(), StoreError> {
    let Some(conversation) = commit.conversation.as_deref() else { return Ok(()) };
    let (tenant, at_ms) = (commit.decision.tenant.as_str(), commit.decision.at_ms);
    for said in &commit.said {
        connection.execute(
            "INSERT INTO said (tenant, conversation, place, sealed, at_ms) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (tenant, conversation, place)
                DO UPDATE SET sealed = excluded.sealed, at_ms = excluded.at_ms",
            values![tenant, conversation, said.place, said.sealed.as_slice(), at_ms],
        )?;
    }
    Ok(())
}

/// Puts a conversation before the counsellors and the webhooks. One that lies before
/// them already is only marked with its newest decision.
fn alarm(connection: &mut dyn Connection, commit: &Commit, sequence: u64) -> Result<(), StoreError> {
    let Some(alarm) = &commit.alarm else { return Ok(()) };
    let (tenant, at_ms) = (commit.decision.tenant.as_str(), commit.decision.at_ms);
    let conversation = commit.conversation.as_deref();
    if conversation.is_some() {
        let sql = "UPDATE review SET latest = $1
            WHERE tenant = $2 AND conversation = $3 AND closed_ms IS NULL";
        if connection.execute(sql, values![sequence, tenant, conversation])? > 0 {
            return Ok(());
        }
    }
    connection.execute(
        "INSERT INTO review (sequence, tenant, conversation, latest, state, opened_ms, due_ms)
            VALUES ($1, $2, $3, $4, 'open', $5, $6)",
        values![sequence, tenant, conversation, sequence, at_ms, alarm.due_ms],
    )?;
    for target in &alarm.targets {
        connection.execute(
            "INSERT INTO outbox (id, tenant, target, sequence, state, created_ms, next_ms, attempts)
                VALUES ($1, $2, $3, $4, 'waiting', $5, $6, 0)",
            values![random_name(), tenant, target.as_str(), sequence, at_ms, at_ms],
        )?;
    }
    Ok(())
}

/// Keeps an answer under its key, which must have none yet.
fn keep_answer(
    connection: &mut dyn Connection,
    commit: &Commit,
    NewAnswer { key, request, answer }: NewAnswer,
    numbers: &[u64],
) -> Result<(), StoreError> {
    let tenant = commit.decision.tenant.as_str();
    let sql = "SELECT 1 FROM answered WHERE tenant = $1 AND key = $2";
    if connection.first(sql, values![tenant, key.as_str()])?.is_some() {
        return Err(StoreError::Answered);
    }
    let salt = random::<16>();
    let digest = salted(&salt, &request);
    connection.execute(
        "INSERT INTO answered (tenant, key, salt, conversation, request, answer, at_ms)
            VALUES ($1, $2, $3, $4, $5, $6, $7)",
        values![
            tenant,
            key,
            salt.as_slice(),
            commit.conversation.as_deref(),
            digest,
            answer(numbers),
            commit.decision.at_ms
        ],
    )?;
    Ok(())
}

/// Forgets a conversation.
pub(super) fn erase_conversation(
    connection: &mut dyn Connection,
    tenant: &str,
    conversation: &str,
) -> Result<Erased, StoreError> {
    let of = values![tenant, conversation];
    let sessions = connection.execute("DELETE FROM session WHERE tenant = $1 AND conversation = $2", of)?;
    let entries = connection.execute("DELETE FROM tie WHERE tenant = $1 AND conversation = $2", of)?;
    for table in ["turn_digest", "said", "answered"] {
        connection.execute(&format!("DELETE FROM {table} WHERE tenant = $1 AND conversation = $2"), of)?;
    }
    let sql = "UPDATE review SET conversation = NULL, reason = NULL WHERE tenant = $1 AND conversation = $2";
    connection.execute(sql, of)?;
    Ok(Erased { sessions, entries })
}

/// Forgets a person: all conversations that a decision about them stands in, and the
/// ties of decisions without a conversation.
pub(super) fn erase_person(
    connection: &mut dyn Connection,
    tenant: &str,
    person: &str,
) -> Result<Erased, StoreError> {
    let of = values![tenant, person];
    let sql = "SELECT DISTINCT conversation FROM tie
        WHERE tenant = $1 AND person = $2 AND conversation IS NOT NULL";
    let mut erased = Erased { sessions: 0, entries: 0 };
    for row in connection.query(sql, of)? {
        let conversation: String = row.get(0)?;
        let one = erase_conversation(connection, tenant, &conversation)?;
        erased.sessions += one.sessions;
        erased.entries += one.entries;
    }
    erased.entries += connection.execute("DELETE FROM tie WHERE tenant = $1 AND person = $2", of)?;
    Ok(erased)
}

/// Rows that are forgotten in one transaction, so that nobody who decides waits long.
const AT_ONCE: usize = 500;

/// Forgets some of what was not touched since a time: how many sessions, and how many
/// rows in all. Where nothing is left it forgets none.
pub(super) fn forget_some(connection: &mut dyn Connection, ms: u64) -> Result<(usize, usize), StoreError> {
    let some = values![ms, AT_ONCE];
    let mut rows = 0;
    for sql in [
        "DELETE FROM answered WHERE (tenant, key) IN
            (SELECT tenant, key FROM answered WHERE at_ms < $1 LIMIT $2)",
        // What a counsellor has open stays.
        "DELETE FROM said WHERE (tenant, conversation, place) IN
            (SELECT tenant, conversation, place FROM said WHERE at_ms < $1 AND NOT EXISTS
                (SELECT 1 FROM review WHERE review.closed_ms IS NULL AND review.tenant = said.tenant
                    AND review.conversation = said.conversation) LIMIT $2)",
        // What was told or given up names its conversation no more than its entry does.
        "DELETE FROM outbox WHERE id IN
            (SELECT id FROM outbox WHERE state <> 'waiting' AND created_ms < $1 LIMIT $2)",
    ] {
        rows += connection.execute(sql, some)?;
    }
    let old = "SELECT tenant, conversation FROM session WHERE changed_ms < $1 LIMIT $2";
    let old = connection.query(old, some)?;
    for row in &old {
        let (tenant, conversation): (String, String) = (row.get(0)?, row.get(1)?);
        for table in ["turn_digest", "session"] {
            let sql = format!("DELETE FROM {table} WHERE tenant = $1 AND conversation = $2");
            connection.execute(&sql, values![tenant.as_str(), conversation.as_str()])?;
        }
    }
    Ok((old.len(), rows + old.len()))
}

/// Forgets whose some of the entries and closed reviews from before a time are, and
/// gives the number of entries. The trail holds.
pub(super) fn forget_some_names(connection: &mut dyn Connection, ms: u64) -> Result<usize, StoreError> {
    connection.execute(
        "UPDATE review SET conversation = NULL, reason = NULL WHERE closed_ms IS NOT NULL AND closed_ms < $1
            AND (conversation IS NOT NULL OR reason IS NOT NULL)",
        values![ms],
    )?;
    let sql = "DELETE FROM tie WHERE sequence IN (SELECT sequence FROM tie WHERE at_ms < $1 AND NOT EXISTS
        (SELECT 1 FROM review WHERE review.closed_ms IS NULL AND review.tenant = tie.tenant
            AND review.conversation = tie.conversation) LIMIT $2)";
    Ok(connection.execute(sql, values![ms, AT_ONCE])?)
}

/// A key's digest, and the key itself, which is shown once.
pub(super) fn new_key() -> (String, String) {
    let key = format!("mr_{}", hex(&random::<24>()));
    (mindrail_core::digest::sha256(key.as_bytes()), key)
}
