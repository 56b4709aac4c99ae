//! Trail and conversations in one database: a SQLite file, or PostgreSQL where
//! several replicas share it. Each decision is one unit: its entry in the trail, how
//! far the conversation has got, what a counsellor and who has asked for it shall
//! hear, and the answer under its idempotency key are all there or none is, and they
//! are on disk when the call returns.
//!
//! Decisions that come at the same time are written in one transaction, each behind a
//! savepoint of its own: who gets the writer writes for all who wait. So a thousand
//! decisions in a second do not cost a thousand syncs.
//!
//! The trail's table refuses changes. What ties an entry to a conversation and a
//! person stands beside it, with the salt of its digests, and can be erased.

pub mod accounts;
pub mod drift;
pub mod keys;
pub mod log;
pub mod outbox;
mod postgres;
pub mod reading;
pub mod review;
pub mod sql;
mod sqlite;
mod write;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use mindrail_core::digest::sha256;
use serde::Serialize;

use self::sql::{Connection, DatabaseError, in_begun, values};
use self::sqlite::{File, Sqlite};
use crate::audit::{ChainError, Decision, Entry, Head, Verifier};

/// Entries of the trail that are read at once.
const PAGE: usize = 500;

/// How long a database that could not be reached is not asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What went wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database could not do it.
    #[error("the store: {0}")]
    Database(#[from] DatabaseError),
    /// The database's address cannot be read.
    #[error("the store is no URL of PostgreSQL: expected postgresql://USER@HOST/DATABASE")]
    NoUrl,
    /// The database is of a later version of Mindrail.
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
    /// The connection broke while a decision was written.
    #[error("the connection broke off, and whether anything was written is not known")]
    InDoubt,
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The guard's state, as JSON.
    pub state: String,
    /// Salt of the turns' digests.
    pub salt: String,
    /// Turns so far.
    pub turns: usize,
    /// When the first was seen, in milliseconds since 1970.
    pub begun_ms: u64,
    /// When the person was last to be told that this is an AI.
    pub disclosed_ms: Option<u64>,
}

/// A session that a decision leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// How far the conversation had got when the decision was made, in turns.
    pub known_turns: usize,
    /// How far it has got now.
    pub session: Session,
    /// The place of the first of these digests. Those that stood from there on go.
    pub first: usize,
    /// A digest of each new turn, so that a turn that comes again is known.
    pub digests: Vec<String>,
}

/// A turn as it is kept, where a tenant keeps what was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its place in the conversation, from 0.
    pub place: usize,
    /// The turn, sealed.
    pub sealed: Vec<u8>,
}

/// Makes an answer of the numbers of its decisions.
pub type MakeAnswer = Box<dyn FnOnce(&[u64]) -> String + Send>;

/// An answer under an idempotency key.
pub struct NewAnswer {
    /// The key.
    pub key: String,
    /// The request, of which a salted digest is kept.
    pub request: Vec<u8>,
    /// The answer, once the decisions have their numbers.
    pub answer: MakeAnswer,
}

/// What follows from a decision that a human must hear of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alarm {
    /// When a counsellor must have looked at it, in milliseconds since 1970.
    pub due_ms: u64,
    /// The names of the webhooks that are told.
    pub targets: Vec<String>,
}

/// What was scanned, or what is kept of it.
#[derive(Debug, Clone)]
pub enum Scanned {
    /// All of it, of which a salted digest is kept.
    Bytes(Vec<u8>),
    /// Its digest, and the salt.
    Digest([u8; 16], String),
}

impl Scanned {
    /// Salt and digest.
    pub(crate) fn digest(&self) -> ([u8; 16], String) {
        match self {
            Self::Bytes(bytes) => {
                let salt = random::<16>();
                (salt, salted(&salt, bytes))
            }
            Self::Digest(salt, digest) => (*salt, digest.clone()),
        }
    }
}

/// A decision on its way to disk.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The decision; its digests are filled in here.
    pub decision: Decision,
    /// What was scanned.
    pub scanned: Scanned,
    /// The caller's name for the conversation.
    pub conversation: Option<String>,
    /// The caller's name for the person.
    pub person: Option<String>,
    /// How far the conversation has got.
    pub session: Option<NewSession>,
    /// What was said, where it is kept.
    pub said: Vec<Said>,
    /// Whom it alarms. A conversation that is on the queue alarms nobody anew.
    pub alarm: Option<Alarm>,
}

impl Commit {
    /// A decision that leaves nothing but its entry in the trail.
    pub fn of(decision: Decision, scanned: Vec<u8>) -> Self {
        let scanned = Scanned::Bytes(scanned);
        let (conversation, person, session, alarm) = (None, None, None, None);
        Self { decision, scanned, conversation, person, session, said: Vec::new(), alarm }
    }
}

/// An answer that was given before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    /// To the same request.
    Same(String),
    /// To another one.
    Other,
}

/// Whose traces shall be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of<'a> {
    /// A conversation's.
    Conversation(&'a str),
    /// A person's, in all conversations.
    Person(&'a str),
}

/// What `erase` removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Sessions.
    pub sessions: usize,
    /// Entries of the trail that are nobody's now.
    pub entries: usize,
}

/// Decisions that wait for the writer.
struct Waiting {
    commits: Vec<Commit>,
    key: Option<NewAnswer>,
    done: SyncSender<Result<Vec<u64>, StoreError>>,
}

/// The store.
pub struct Store {
    place: Place,
    writer: Mutex<Box<dyn Connection>>,
    /// The connection that decisions are made by.
    reader: Mutex<Option<Box<dyn Connection>>>,
    /// The connection for those who look at what was decided.
    onlooker: Mutex<Option<Box<dyn Connection>>>,
    /// Since when the database could not be reached, and why.
    unreachable: Mutex<Option<(Instant, StoreError)>>,
    /// Held by the one who connects.
    asking: Mutex<()>,
    waiting: Mutex<Vec<Waiting>>,
    /// The connection that brings the log into the file.
    tidier: Mutex<Option<Box<dyn Connection>>>,
}

/// Where the store is.
enum Place {
    File(File),
    Server(Box<postgres::Address>),
}

impl Place {
    /// A connection to what is there: a file that has gone away is not made anew.
    fn connect(&self) -> Result<Box<dyn Connection>, StoreError> {
        self.is_there()?;
        Ok(match self {
            Self::File(file) => Box::new(Sqlite::open(&file.path)?),
            Self::Server(address) => Box::new(address.connect()?),
        })
    }

    fn is_there(&self) -> Result<(), StoreError> {
        if let Self::File(file) = self { file.is_there() } else { Ok(()) }
    }
}

/// Whether a name of a store is that of a server.
pub fn is_url(name: &str) -> bool {
    name.starts_with("postgresql://") || name.starts_with("postgres://")
}

impl Store {
    /// Opens a store: a file, which is made where it is missing, or the URL of a
    /// PostgreSQL database.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be opened, or is of a newer version.
    pub fn open(name: &str) -> Result<Self, StoreError> {
        if is_url(name) { Self::at_server(name) } else { Self::in_file(Path::new(name)) }
    }

    /// Opens a file, or makes it.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn in_file(file: &Path) -> Result<Self, StoreError> {
        Sqlite::open(file)?.migrate()?;
        Self::at(Place::File(File::new(PathBuf::from(file))))
    }

    fn at_server(url: &str) -> Result<Self, StoreError> {
        let address = postgres::Address::parse(url)?;
        address.connect()?.migrate()?;
        Self::at(Place::Server(Box::new(address)))
    }

    fn at(place: Place) -> Result<Self, StoreError> {
        let writer = Mutex::new(place.connect()?);
        let (reader, onlooker, tidier) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (unreachable, asking, waiting) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self { place, writer, reader, onlooker, unreachable, asking, waiting, tidier })
    }

    /// Reads what a decision needs, on a connection that does not wait for those who
    /// write.
    pub(crate) fn read<T>(
        &self,
        work: impl Fn(&mut dyn Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.read_on(&self.reader, work)
    }

    /// Reads what may take long, on a connection that no decision waits for.
    pub(crate) fn look<T>(
        &self,
        work: impl Fn(&mut dyn Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.read_on(&self.onlooker, work)
    }

    /// Reads on a connection that is made where there is none. Where it proves broken, it
    /// is read again on a new one. Nobody waits for the connection while it is made.
    fn read_on<T>(
        &self,
        connection: &Mutex<Option<Box<dyn Connection>>>,
        work: impl Fn(&mut dyn Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut slot = lock(connection);
        if let Some(open) = &mut *slot {
            let result = work(&mut **open);
            if result.is_ok() || !open.is_broken() {
                return result;
            }
            *slot = None;
        }
        drop(slot);
        let asking = self.ask()?;
        // Who asked before may have made it.
        if lock(connection).is_none() {
            let new = self.connect(&asking)?;
            *lock(connection) = Some(new);
        }
        drop(asking);
        let broken = || DatabaseError("the connection broke off".to_owned());
        work(&mut **lock(connection).as_mut().ok_or_else(broken)?)
    }

    /// Waits for its turn to connect. While the database cannot be reached, one caller in a
    /// while finds out whether it can, and the others are told at once that it cannot:
    /// whoever decides what a person gets without it must not wait.
    fn ask(&self) -> Result<MutexGuard<'_, ()>, StoreError> {
        let unreachable = || lock(&self.unreachable).clone();
        let asking = match (unreachable(), self.asking.try_lock()) {
            (_, Ok(asking)) => asking,
            (Some((_, error)), Err(TryLockError::WouldBlock)) => return Err(error),
            (_, Err(_)) => lock(&self.asking),
        };
        match unreachable().filter(|(at, _)| at.elapsed() < ASK_AGAIN) {
            Some((_, error)) => Err(error),
            None => Ok(asking),
        }
    }

    /// A new connection, for whoever has waited for its turn.
    fn connect(&self, _turn: &MutexGuard<'_, ()>) -> Result<Box<dyn Connection>, StoreError> {
        let made = self.place.connect();
        *lock(&self.unreachable) = made.as_ref().err().map(|error| (Instant::now(), error.clone()));
        made
    }

    /// Writes in one transaction: all that `work` does is done, or nothing.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&mut dyn Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut writer = lock(&self.writer);
        self.begin(&mut writer)?;
        in_begun(&mut **writer, work)
    }

    /// Begins a transaction, on a new connection where the old one is broken.
    fn begin(&self, connection: &mut Box<dyn Connection>) -> Result<(), StoreError> {
        self.place.is_there()?;
        match connection.begin() {
            Err(_) if connection.is_broken() => {
                *connection = self.connect(&self.ask()?)?;
                Ok(connection.begin()?)
            }
            begun => Ok(begun?),
        }
    }

    /// How far a conversation has got.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn session(&self, tenant: &str, conversation: &str) -> Result<Option<Session>, StoreError> {
        let sql = "SELECT state, salt, turns, begun_ms, disclosed_ms FROM session
            WHERE tenant = $1 AND conversation = $2";
        self.read(|connection| {
            let Some(row) = connection.first(sql, values![tenant, conversation])? else { return Ok(None) };
            Ok(Some(Session {
                state: row.get(0)?,
                salt: row.get(1)?,
                turns: row.get(2)?,
                begun_ms: row.get(3)?,
                disclosed_ms: row.get(4)?,
            }))
        })
    }

    /// The digests of a conversation's turns from one on.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn digests(&self, tenant: &str, conversation: &str, first: usize) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT digest FROM turn_digest
            WHERE tenant = $1 AND conversation = $2 AND place >= $3 ORDER BY place";
        self.read(|connection| {
            let rows = connection.query(sql, values![tenant, conversation, first])?;
            rows.iter().map(|row| Ok(row.get(0)?)).collect()
        })
    }

    /// The answer that was given under a key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn earlier(&self, tenant: &str, key: &str, request: &[u8]) -> Result<Option<Earlier>, StoreError> {
        let sql = "SELECT salt, request, answer FROM answered WHERE tenant = $1 AND key = $2";
        self.read(|connection| {
            let Some(row) = connection.first(sql, values![tenant, key])? else { return Ok(None) };
            let (salt, digest, answer): (Vec<u8>, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Some(if salted(&salt, request) == digest { Earlier::Same(answer) } else { Earlier::Other }))
        })
    }

    /// Writes the decisions on a request together, and gives their numbers in the
    /// trail. Where the request has a key, the answer is kept under it.
    ///
    /// # Errors
    /// [`StoreError::WentOn`] when the conversation has got further meanwhile,
    /// [`StoreError::Answered`] when the key has, and [`StoreError::Database`]; nothing
    /// is written then. With [`StoreError::InDoubt`] that is not known.
    pub fn commit(&self, commits: Vec<Commit>, key: Option<NewAnswer>) -> Result<Vec<u64>, StoreError> {
        // While somebody finds out whether the database can be reached, nobody queues behind.
        if lock(&self.unreachable).is_some() {
            drop(self.ask()?);
        }
        let (done, told) = sync_channel(1);
        lock(&self.waiting).push(Waiting { commits, key, done });
        // Whoever gets the writer next has written for all who waited, or does it now.
        let mut writer = lock(&self.writer);
        if let Ok(result) = told.try_recv() {
            return result;
        }
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        match self.begin(&mut writer) {
            Ok(()) => write::all(&mut writer, waiting, || self.connect(&self.ask()?)),
            Err(error) => write::refuse(waiting, &error),
        }
        told.recv().unwrap_or_else(|_| Err(DatabaseError("a writer broke off".to_owned()).into()))
    }

    /// Goes over the trail and hands out each entry, in order.
    ///
    /// # Errors
    /// [`StoreError::Chain`] for the first thing that is wrong with it.
    pub fn verify(&self, mut each: impl FnMut(&Entry, &str)) -> Result<Head, StoreError> {
        let sql = "SELECT entry, hash FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2";
        let mut verifier = Verifier::default();
        loop {
            let after = verifier.head().entries;
            let rows = self.look(|connection| Ok(connection.query(sql, values![after, PAGE])?))?;
            for row in &rows {
                let (line, hash): (String, String) = (row.get(0)?, row.get(1)?);
                each(&verifier.next(&line, &hash)?, &hash);
            }
            if rows.len() < PAGE {
                self.none_after(verifier.head().entries)?;
                return Ok(verifier.head().clone());
            }
        }
    }

    /// That no entry stands where none is read: one with a number below 1.
    fn none_after(&self, entries: u64) -> Result<(), StoreError> {
        let row = self
            .look(|connection| Ok(connection.first("SELECT count(*) FROM audit WHERE sequence < 1", &[])?))?;
        let below: u64 = row.map_or(Ok(0), |row| row.get(0))?;
        if below == 0 {
            return Ok(());
        }
        Err(ChainError::Sequence { expected: entries + 1, found: 0 }.into())
    }

    /// Whether a decision can be written now, for readiness: writes when it was asked,
    /// in one row, so that a disk that is full is seen.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn ping(&self, now_ms: u64) -> Result<(), StoreError> {
        let sql = "INSERT INTO pinged (one, at_ms) VALUES ($1, $2)
            ON CONFLICT (one) DO UPDATE SET at_ms = excluded.at_ms";
        self.write(|connection| Ok(connection.execute(sql, values![1_u64, now_ms])?))?;
        Ok(())
    }

    /// Forgets what ties anything to a conversation or a person: sessions, what was
    /// said, the salts of entries, the answers that are kept under keys. The trail
    /// holds as before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn erase(&self, tenant: &str, of: Of<'_>) -> Result<Erased, StoreError> {
        let erased = self.write(|connection| match of {
            Of::Conversation(name) => write::erase_conversation(connection, tenant, name),
            Of::Person(name) => write::erase_person(connection, tenant, name),
        })?;
        if let Place::File(_) = self.place {
            Sqlite::scrub(&mut **lock(&self.writer))?;
        }
        Ok(erased)
    }

    /// Forgets sessions, answers and what was said that were not touched since a time,
    /// and gives the number of sessions.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn forget_before(&self, ms: u64) -> Result<usize, StoreError> {
        let mut sessions = 0;
        loop {
            let (some, rows) = self.write(|connection| write::forget_some(connection, ms))?;
            sessions += some;
            if rows == 0 {
                return Ok(sessions);
            }
        }
    }

    /// Brings the log of changes of a SQLite file into the file, on a connection that
    /// keeps nobody from writing. Whoever serves does it each second.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tidy(&self) -> Result<(), StoreError> {
        let Place::File(_) = self.place else { return Ok(()) };
        self.place.is_there()?;
        let mut tidier = lock(&self.tidier);
        let connection = match &mut *tidier {
            Some(connection) => connection,
            none => none.insert(self.place.connect()?),
        };
        Ok(Sqlite::tidy(&mut **connection)?)
    }

    /// Forgets whose the entries and closed reviews from before a time are, but for
    /// conversations that lie before a counsellor, and gives the number of entries. The
    /// trail holds as before.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn forget_names_before(&self, ms: u64) -> Result<usize, StoreError> {
        let mut entries = 0;
        loop {
            let some = self.write(|connection| write::forget_some_names(connection, ms))?;
            entries += some;
            if some == 0 {
                return Ok(entries);
            }
        }
    }
}

/// A lock that a panic does not spoil: what was in a transaction then was rolled back.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The digest of something that could be guessed, by way of a salt.
pub(crate) fn salted(salt: &[u8], bytes: &[u8]) -> String {
    sha256(&[salt, bytes].concat())
}

/// Random bytes of the operating system.
///
/// # Panics
/// Where the operating system has none: nothing may be promised without them.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    use ring::rand::SecureRandom as _;
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

/// Random bytes in hexadecimal, for salts and names.
pub(crate) fn random_name() -> String {
    hex(&random::<16>())
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
pub(crate) mod tests;
