//! Trail and conversations in one SQLite file. Each decision is one transaction: its
//! entry in the trail, how far the conversation has got, and the answer under its
//! idempotency key are all there or none is, and they are on disk when the call
//! returns (write-ahead log, synchronous in full).
//!
//! The trail's table refuses changes. What ties an entry to a conversation stands
//! beside it, with the salt of its digests, and can be erased.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mindrail_core::digest::sha256;
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use crate::audit::{BEFORE_THE_FIRST, ChainError, Decision, Entry, Head, Verifier, hash};

/// One script for each version of the file; `user_version` counts those that ran.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE audit (
        sequence INTEGER PRIMARY KEY,
        entry TEXT NOT NULL,
        hash TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER audit_keeps_entries BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
    CREATE TRIGGER audit_changes_nothing BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
    CREATE TRIGGER audit_replaces_nothing BEFORE INSERT ON audit
        WHEN EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.sequence)
        BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END;
    CREATE TABLE tie (
        sequence INTEGER PRIMARY KEY REFERENCES audit,
        tenant TEXT NOT NULL,
        conversation TEXT,
        salt BLOB NOT NULL
    ) STRICT;
    CREATE INDEX tie_by_conversation ON tie (tenant, conversation);
    CREATE TABLE session (
        tenant TEXT NOT NULL,
        conversation TEXT NOT NULL,
        turns INTEGER NOT NULL,
        state TEXT NOT NULL,
        changed_ms INTEGER NOT NULL,
        PRIMARY KEY (tenant, conversation)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX session_by_change ON session (changed_ms);
    CREATE TABLE answered (
        tenant TEXT NOT NULL,
        key TEXT NOT NULL,
        salt BLOB NOT NULL,
        conversation TEXT,
        request TEXT NOT NULL,
        answer TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (tenant, key)
    ) STRICT, WITHOUT ROWID;
"];

/// What went wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not do it.
    #[error("the store: {0}")]
    Database(#[from] rusqlite::Error),
    /// The file is of a later version of Mindrail.
    #[error("the store has version {found}, expected at most {known}: it was written by a newer Mindrail")]
    Newer {
        /// Its version.
        found: usize,
        /// The newest that is known here.
        known: usize,
    },
    /// The file is a database of something else.
    #[error("the file is another program's database; name another file")]
    Foreign,
    /// The file was moved or removed while it was in use.
    #[error("the store's file is gone")]
    Gone,
    /// Another request took the conversation further meanwhile.
    #[error("the conversation went on meanwhile")]
    WentOn,
    /// Another request with the same idempotency key was answered meanwhile.
    #[error("the idempotency key was used meanwhile")]
    Answered,
    /// The trail does not hold.
    #[error("the audit trail: {0}")]
    Chain(#[from] ChainError),
}

/// How far a conversation has got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The guard's state, as JSON.
    pub state: String,
    /// Salt of the digests.
    pub salt: String,
    /// A digest of each turn so far, so that a turn that comes again is known.
    pub turns: Vec<String>,
}

/// A session that a decision leaves behind.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// How far the conversation had got when the decision was made, in turns.
    pub known_turns: usize,
    /// How far it has got now.
    pub session: Session,
}

/// An answer under an idempotency key.
#[derive(Debug, Clone)]
pub struct NewAnswer<'a> {
    /// The key.
    pub key: &'a str,
    /// The request, of which a salted digest is kept.
    pub request: &'a [u8],
}

/// A decision on its way to disk.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The decision; its digests are filled in here.
    pub decision: Decision,
    /// What was scanned.
    pub scanned: &'a [u8],
    /// The caller's name for the conversation.
    pub conversation: Option<&'a str>,
    /// How far the conversation has got.
    pub session: Option<NewSession>,
}

/// An answer that was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    /// To the same request.
    Same(String),
    /// To another one.
    Other,
}

/// What `erase` removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Sessions.
    pub sessions: usize,
    /// Entries of the trail that are nobody's now.
    pub entries: usize,
}

/// The store.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    /// Where it stands; none in memory.
    file: Option<PathBuf>,
}

impl Store {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be opened, or is of a newer version.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        Self::with(Connection::open(file)?, Some(file.to_owned()))
    }

    /// A store that goes with the process.
    #[cfg(test)]
    fn in_memory() -> Result<Self, StoreError> {
        Self::with(Connection::open_in_memory()?, None)
    }

    fn with(mut connection: Connection, file: Option<PathBuf>) -> Result<Self, StoreError> {
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let tables: usize =
            connection.query_row("SELECT count(*) FROM sqlite_master", (), |row| row.get(0))?;
        if version == 0 && tables > 0 {
            return Err(StoreError::Foreign);
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        // What is erased is overwritten.
        connection.pragma_update(None, "secure_delete", "ON")?;
        migrate(&mut connection)?;
        Ok(Self { connection: Mutex::new(connection), file })
    }

    /// That the file is still where it was: what is written to a removed file is lost.
    fn is_there(&self) -> Result<(), StoreError> {
        if self.file.as_ref().is_none_or(|file| file.exists()) { Ok(()) } else { Err(StoreError::Gone) }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction has rolled it back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far a conversation has got.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn session(&self, tenant: &str, conversation: &str) -> Result<Option<Session>, StoreError> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT state FROM session WHERE tenant = ? AND conversation = ?")?;
        let text: Option<String> =
            statement.query_row((tenant, conversation), |row| row.get(0)).optional()?;
        let Some(text) = text else { return Ok(None) };
        let session = serde_json::from_str(&text).ok();
        if session.is_none() {
            // Of a version that nobody can read any more: the caller is told that turns
            // are missing, and sends the conversation whole.
            connection.execute(
                "DELETE FROM session WHERE tenant = ? AND conversation = ?",
                (tenant, conversation),
            )?;
        }
        Ok(session)
    }

    /// The answer that was given under a key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn earlier(&self, tenant: &str, key: &str, request: &[u8]) -> Result<Option<Earlier>, StoreError> {
        let connection = self.connection();
        let mut statement = connection
            .prepare_cached("SELECT salt, request, answer FROM answered WHERE tenant = ? AND key = ?")?;
        let found: Option<(Vec<u8>, String, String)> = statement
            .query_row((tenant, key), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        Ok(found.map(
            |(salt, digest, answer)| {
                if salted(&salt, request) == digest { Earlier::Same(answer) } else { Earlier::Other }
            },
        ))
    }

    /// Writes the decisions on a request together, and gives the answer that `answer`
    /// makes of their numbers. Where the request has a key, the answer is kept under it.
    ///
    /// # Errors
    /// [`StoreError::WentOn`] when the conversation has got further meanwhile,
    /// [`StoreError::Answered`] when the key has, and [`StoreError::Database`]; nothing
    /// is written then.
    pub fn commit(
        &self,
        commits: &[Commit<'_>],
        key: Option<NewAnswer<'_>>,
        answer: impl FnOnce(&[u64]) -> String,
    ) -> Result<String, StoreError> {
        self.is_there()?;
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut numbers = Vec::with_capacity(commits.len());
        for commit in commits {
            if let (Some(name), Some(new)) = (commit.conversation, &commit.session) {
                advance(&transaction, (&commit.decision.tenant, name), new, commit.decision.at_ms)?;
            }
            numbers.push(append(&transaction, commit)?);
        }
        let answer = answer(&numbers);
        if let (Some(key), Some(commit)) = (key, commits.first()) {
            keep(&transaction, commit, &key, &answer)?;
        }
        transaction.commit()?;
        Ok(answer)
    }

    /// Random bytes in hexadecimal, for salts.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn salt(&self) -> Result<String, StoreError> {
        Ok(self.connection().query_row("SELECT hex(randomblob(16))", (), |row| row.get(0))?)
    }

    /// Goes over the trail and hands out each entry, in order.
    ///
    /// # Errors
    /// [`StoreError::Chain`] for the first thing that is wrong with it.
    pub fn verify(&self, mut each: impl FnMut(&Entry, &str)) -> Result<Head, StoreError> {
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT entry, hash FROM audit ORDER BY sequence")?;
        let mut rows = statement.query(())?;
        let mut verifier = Verifier::default();
        while let Some(row) = rows.next()? {
            let (line, hash): (String, String) = (row.get(0)?, row.get(1)?);
            each(&verifier.next(&line, &hash)?, &hash);
        }
        Ok(verifier.head().clone())
    }

    /// Whether a decision could be written now, for readiness.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn ping(&self) -> Result<(), StoreError> {
        self.is_there()?;
        let mut connection = self.connection();
        // The lock that writing takes, and the trail's last page; nothing is changed.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last = "SELECT max(sequence) FROM audit";
        transaction.query_row(last, (), |row| row.get::<_, Option<u64>>(0))?;
        Ok(transaction.rollback()?)
    }

    /// Forgets what ties anything to a conversation: its session, the salts of its
    /// entries, the answers that are kept under keys. The trail holds as before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn erase(&self, tenant: &str, conversation: &str) -> Result<Erased, StoreError> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let of = (tenant, conversation);
        let sessions =
            transaction.execute("DELETE FROM session WHERE tenant = ? AND conversation = ?", of)?;
        let entries = transaction.execute("DELETE FROM tie WHERE tenant = ? AND conversation = ?", of)?;
        transaction.execute("DELETE FROM answered WHERE tenant = ? AND conversation = ?", of)?;
        transaction.commit()?;
        // The log of changes still holds what was there before.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
        Ok(Erased { sessions, entries })
    }

    /// Forgets sessions and answers that were not touched since a time, and gives the
    /// number of sessions.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn forget_before(&self, ms: u64) -> Result<usize, StoreError> {
        let connection = self.connection();
        connection.execute("DELETE FROM answered WHERE at_ms < ?", [ms])?;
        Ok(connection.execute("DELETE FROM session WHERE changed_ms < ?", [ms])?)
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: usize = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > MIGRATIONS.len() {
        return Err(StoreError::Newer { found, known: MIGRATIONS.len() });
    }
    for script in &MIGRATIONS[found..] {
        transaction.execute_batch(script)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    Ok(transaction.commit()?)
}

/// Takes a session further, if it is where the decision found it.
fn advance(
    transaction: &Transaction<'_>,
    (tenant, conversation): (&str, &str),
    new: &NewSession,
    at_ms: u64,
) -> Result<(), StoreError> {
    let known: Option<usize> = transaction
        .prepare_cached("SELECT turns FROM session WHERE tenant = ? AND conversation = ?")?
        .query_row((tenant, conversation), |row| row.get(0))
        .optional()?;
    if known.unwrap_or(0) != new.known_turns {
        return Err(StoreError::WentOn);
    }
    let state = serde_json::to_string(&new.session).unwrap_or_default();
    transaction.prepare_cached("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?)")?.execute(params![
        tenant,
        conversation,
        new.session.turns.len(),
        state,
        at_ms
    ])?;
    Ok(())
}

/// Keeps an answer under its key, which must have none yet.
fn keep(
    transaction: &Transaction<'_>,
    commit: &Commit<'_>,
    NewAnswer { key, request }: &NewAnswer<'_>,
    answer: &str,
) -> Result<(), StoreError> {
    let tenant = &commit.decision.tenant;
    let mut known = transaction.prepare_cached("SELECT 1 FROM answered WHERE tenant = ? AND key = ?")?;
    if known.exists((tenant, key))? {
        return Err(StoreError::Answered);
    }
    let salt = random(transaction)?;
    let digest = salted(&salt, request);
    transaction.prepare_cached("INSERT INTO answered VALUES (?, ?, ?, ?, ?, ?, ?)")?.execute(params![
        tenant,
        key,
        salt,
        commit.conversation,
        digest,
        answer,
        commit.decision.at_ms
    ])?;
    Ok(())
}

/// Puts an entry at the trail's end, and gives its number.
fn append(transaction: &Transaction<'_>, commit: &Commit<'_>) -> Result<u64, StoreError> {
    let last: Option<(u64, String)> = transaction
        .prepare_cached("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1")?
        .query_row((), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (sequence, previous) = last.unwrap_or((0, BEFORE_THE_FIRST.to_owned()));
    let salt = random(transaction)?;
    let mut decision = commit.decision.clone();
    decision.digest = salted(&salt, commit.scanned);
    decision.conversation = commit.conversation.map(|name| salted(&salt, name.as_bytes()));
    let entry = Entry { sequence: sequence + 1, previous, decision };
    let line = entry.line();
    transaction.prepare_cached("INSERT INTO audit VALUES (?, ?, ?)")?.execute(params![
        entry.sequence,
        line,
        hash(&line)
    ])?;
    transaction.prepare_cached("INSERT INTO tie VALUES (?, ?, ?, ?)")?.execute(params![
        entry.sequence,
        entry.decision.tenant,
        commit.conversation,
        salt
    ])?;
    Ok(entry.sequence)
}

fn random(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<u8>> {
    transaction.prepare_cached("SELECT randomblob(16)")?.query_row((), |row| row.get(0))
}

/// The digest of something that could be guessed, by way of a salt.
pub(crate) fn salted(salt: &[u8], bytes: &[u8]) -> String {
    sha256(&[salt, bytes].concat())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::audit::tests::decision;

    fn commit(conversation: Option<&str>) -> Commit<'_> {
        Commit { decision: decision(5), scanned: b"said", conversation, session: None }
    }

    fn write(store: &Store, commit: Commit<'_>) -> Result<String, StoreError> {
        store.commit(&[commit], None, |numbers| numbers[0].to_string())
    }

    fn session(turns: usize) -> Session {
        Session { state: "{}".to_owned(), salt: "s".to_owned(), turns: vec!["t".to_owned(); turns] }
    }

    fn advanced(known_turns: usize, turns: usize) -> Commit<'static> {
        let session = Some(NewSession { known_turns, session: session(turns) });
        Commit { session, ..commit(Some("c")) }
    }

    #[test]
    fn a_trail_goes_on_after_the_file_was_closed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db");
        for sequence in 1..=3 {
            let store = Store::open(&file).unwrap();
            assert_eq!(write(&store, commit(None)).unwrap(), sequence.to_string());
        }
        let mut seen = Vec::new();
        let head = Store::open(&file).unwrap().verify(|entry, _| seen.push(entry.sequence)).unwrap();
        assert_eq!((head.entries, seen), (3, vec![1, 2, 3]));
    }

    #[test]
    fn the_trail_refuses_changes_and_a_change_by_force_is_found() {
        let store = Store::in_memory().unwrap();
        for _ in 0..3 {
            write(&store, commit(None)).unwrap();
        }
        for change in [
            "UPDATE audit SET entry = ''",
            "DELETE FROM audit",
            "INSERT OR REPLACE INTO audit VALUES (2, '', '')",
        ] {
            let error = store.connection().execute(change, ()).unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
        let by_force = "DROP TRIGGER audit_changes_nothing;
            UPDATE audit SET entry = replace(entry, 'allow', 'block') WHERE sequence = 2";
        store.connection().execute_batch(by_force).unwrap();
        let error = store.verify(|_, _| {}).unwrap_err();
        assert!(matches!(error, StoreError::Chain(ChainError::Hash { sequence: 2 })), "{error}");
    }

    #[test]
    fn a_session_is_taken_further_from_where_it_stands_only_and_nothing_is_written_otherwise() {
        let store = Store::in_memory().unwrap();
        write(&store, advanced(0, 2)).unwrap();
        write(&store, advanced(2, 3)).unwrap();
        assert_eq!(store.session("default", "c").unwrap(), Some(session(3)));
        let error = write(&store, advanced(2, 4)).unwrap_err();
        assert!(matches!(error, StoreError::WentOn));
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 2);
        assert_eq!(store.session("another tenant", "c").unwrap(), None);
    }

    #[test]
    fn an_answer_is_given_again_to_the_same_request_only() {
        let store = Store::in_memory().unwrap();
        let key = || Some(NewAnswer { key: "k", request: b"r" });
        let twice = [commit(Some("c")), commit(Some("c"))];
        let answer = |numbers: &[u64]| format!("answer {numbers:?}");
        store.commit(&twice, key(), answer).unwrap();
        assert!(matches!(store.commit(&twice, key(), answer), Err(StoreError::Answered)));
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 2);
        assert_eq!(
            store.earlier("default", "k", b"r").unwrap(),
            Some(Earlier::Same("answer [1, 2]".to_owned()))
        );
        assert_eq!(store.earlier("default", "k", b"s").unwrap(), Some(Earlier::Other));
        assert_eq!(store.earlier("default", "l", b"r").unwrap(), None);
        assert_eq!(store.earlier("another tenant", "k", b"r").unwrap(), None);
        store.erase("default", "c").unwrap();
        assert_eq!(store.earlier("default", "k", b"r").unwrap(), None);
    }

    #[test]
    fn a_session_that_nobody_can_read_any_more_begins_anew() {
        let store = Store::in_memory().unwrap();
        write(&store, advanced(0, 2)).unwrap();
        store.connection().execute("UPDATE session SET state = 'of old'", ()).unwrap();
        assert_eq!(store.session("default", "c").unwrap(), None);
        write(&store, advanced(0, 1)).unwrap();
        assert_eq!(store.session("default", "c").unwrap(), Some(session(1)));
    }

    #[test]
    fn erasing_a_conversation_leaves_the_trail_whole_and_the_entries_nobodys() {
        let store = Store::in_memory().unwrap();
        write(&store, advanced(0, 2)).unwrap();
        write(&store, commit(Some("other"))).unwrap();
        assert_eq!(store.erase("default", "c").unwrap(), Erased { sessions: 1, entries: 1 });
        assert_eq!(store.session("default", "c").unwrap(), None);
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 2);
        let ties = |name: &str| -> usize {
            let count = "SELECT count(*) FROM tie WHERE conversation = ?";
            store.connection().query_row(count, [name], |row| row.get(0)).unwrap()
        };
        assert_eq!((ties("c"), ties("other")), (0, 1));
    }

    #[test]
    fn what_was_not_touched_for_long_is_forgotten() {
        let store = Store::in_memory().unwrap();
        write(&store, advanced(0, 2)).unwrap();
        assert_eq!((store.forget_before(5).unwrap(), store.forget_before(6).unwrap()), (0, 1));
    }

    #[test]
    fn a_file_of_another_program_is_refused_and_one_that_goes_away_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other.db");
        Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(Store::open(&file), Err(StoreError::Foreign)));
        let file = folder.path().join("store.db");
        let store = Store::open(&file).unwrap();
        write(&store, commit(None)).unwrap();
        assert!(store.ping().is_ok());
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(write(&store, commit(None)), Err(StoreError::Gone)) && store.ping().is_err());
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.db");
        Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = Store::open(&file).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    }
}
