//! The same tests on both databases. PostgreSQL's run where the environment names one
//! (`MINDRAIL_TEST_POSTGRES`, a URL of a database in which schemas may be made); each
//! test has a schema of its own there.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests, which say what they skip")]

use std::sync::Arc;

use super::keys::{NewKey, Scope};
use super::sql::Value;
use super::*;
use crate::audit::tests::decision;

/// A database of a test's own.
pub(crate) struct Database {
    name: String,
    _folder: tempfile::TempDir,
}

impl Database {
    pub(crate) fn open(&self) -> Store {
        Store::open(&self.name).unwrap()
    }
}

/// One database of each kind that there is.
pub(crate) fn databases() -> Vec<Database> {
    let mut found = vec![in_file()];
    match std::env::var("MINDRAIL_TEST_POSTGRES") {
        Ok(url) => found.push(in_schema(&url)),
        Err(_) => eprintln!("skipped on PostgreSQL: MINDRAIL_TEST_POSTGRES names no database"),
    }
    found
}

pub(crate) fn in_file() -> Database {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("store.db").to_str().unwrap().to_owned();
    Database { name, _folder: folder }
}

fn in_schema(url: &str) -> Database {
    let schema = format!("test_{}", random_name());
    let mut client = ::postgres::Client::connect(url, ::postgres::NoTls).unwrap();
    client.batch_execute(&format!("CREATE SCHEMA {schema}")).unwrap();
    let separator = if url.contains('?') { '&' } else { '?' };
    let name = format!("{url}{separator}options=-csearch_path%3D{schema}");
    Database { name, _folder: tempfile::tempdir().unwrap() }
}

fn commit(conversation: Option<&str>) -> Commit {
    let conversation = conversation.map(str::to_owned);
    Commit { conversation, ..Commit::of(decision(5), b"said".to_vec()) }
}

fn write(store: &Store, commit: Commit) -> Result<u64, StoreError> {
    store.commit(vec![commit], None).map(|numbers| numbers[0])
}

fn session(turns: usize) -> Session {
    Session { state: "{}".to_owned(), salt: "s".to_owned(), turns, begun_ms: 5, disclosed_ms: Some(6) }
}

fn advanced(known_turns: usize, turns: usize) -> Commit {
    let digests = (known_turns..turns).map(|turn| format!("t{turn}")).collect();
    let session = Some(NewSession { known_turns, session: session(turns), first: known_turns, digests });
    Commit { session, ..commit(Some("c")) }
}

fn alarming(conversation: Option<&str>) -> Commit {
    let alarm = Some(Alarm { due_ms: 9, targets: vec!["hook".to_owned()] });
    Commit { alarm, ..commit(conversation) }
}

fn count(store: &Store, sql: &str) -> u64 {
    store.read(|connection| Ok(connection.first(sql, &[])?.unwrap().get(0)?)).unwrap()
}

#[test]
fn a_trail_goes_on_after_the_store_was_closed() {
    for database in databases() {
        for sequence in 1..=3 {
            assert_eq!(write(&database.open(), commit(None)), Ok(sequence));
        }
        let mut seen = Vec::new();
        let head = database.open().verify(|entry, _| seen.push(entry.sequence)).unwrap();
        assert_eq!((head.entries, seen), (3, vec![1, 2, 3]));
    }
}

#[test]
fn a_trail_of_several_pages_is_verified_to_its_end() {
    for database in databases() {
        let store = database.open();
        let entries = PAGE + 3;
        store.commit(vec![commit(None); entries], None).unwrap();
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, entries as u64);
    }
}

#[test]
fn the_trail_refuses_changes_and_a_change_by_force_is_found() {
    for database in databases() {
        let store = database.open();
        for _ in 0..3 {
            write(&store, commit(None)).unwrap();
        }
        for change in ["UPDATE audit SET entry = ''", "DELETE FROM audit"] {
            let error = store.write(|connection| Ok(connection.batch(change)?)).unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
        let by_force = match store.place {
            Place::File(_) => "DROP TRIGGER audit_changes_nothing",
            Place::Server(_) => "ALTER TABLE audit DISABLE TRIGGER audit_keeps_entries",
        };
        let change = "UPDATE audit SET entry = replace(entry, 'allow', 'block') WHERE sequence = 2";
        store
            .write(|connection| {
                connection.batch(by_force)?;
                Ok(connection.batch(change)?)
            })
            .unwrap();
        let error = store.verify(|_, _| {}).unwrap_err();
        assert!(matches!(error, StoreError::Chain(ChainError::Hash { sequence: 2 })), "{error}");
    }
}

#[test]
fn a_session_is_taken_further_from_where_it_stands_only_and_nothing_is_written_otherwise() {
    for database in databases() {
        let store = database.open();
        write(&store, advanced(0, 2)).unwrap();
        write(&store, advanced(2, 3)).unwrap();
        assert_eq!(store.session("default", "c").unwrap(), Some(session(3)));
        assert_eq!(store.digests("default", "c", 1).unwrap(), ["t1", "t2"]);
        assert_eq!(write(&store, advanced(2, 4)), Err(StoreError::WentOn));
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 2);
        assert_eq!(store.session("another tenant", "c").unwrap(), None);
        assert!(store.digests("another tenant", "c", 0).unwrap().is_empty());
    }
}

#[test]
fn a_session_that_is_scored_anew_has_the_digests_of_the_new_turns_only() {
    for database in databases() {
        let store = database.open();
        write(&store, advanced(0, 3)).unwrap();
        let mut anew = advanced(0, 4);
        anew.session.as_mut().unwrap().known_turns = 3;
        write(&store, anew).unwrap();
        assert_eq!(store.digests("default", "c", 0).unwrap(), ["t0", "t1", "t2", "t3"]);
    }
}

fn new_key(key: &str, request: &str) -> NewAnswer {
    let answer = Box::new(|numbers: &[u64]| format!("answer {numbers:?}"));
    NewAnswer { key: key.to_owned(), request: request.as_bytes().to_vec(), answer }
}

#[test]
fn an_answer_is_given_again_to_the_same_request_only() {
    for database in databases() {
        let store = database.open();
        let twice = || vec![commit(Some("c")), commit(Some("c"))];
        store.commit(twice(), Some(new_key("k", "r"))).unwrap();
        assert_eq!(store.commit(twice(), Some(new_key("k", "r"))), Err(StoreError::Answered));
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 2);
        let earlier = |tenant, key, request: &str| store.earlier(tenant, key, request.as_bytes()).unwrap();
        assert_eq!(earlier("default", "k", "r"), Some(Earlier::Same("answer [1, 2]".to_owned())));
        assert_eq!(earlier("default", "k", "s"), Some(Earlier::Other));
        assert_eq!(earlier("default", "l", "r"), None);
        assert_eq!(earlier("another tenant", "k", "r"), None);
        store.erase("default", Of::Conversation("c")).unwrap();
        assert_eq!(earlier("default", "k", "r"), None);
    }
}

#[test]
fn erasing_a_conversation_leaves_the_trail_whole_and_the_entries_nobodys() {
    for database in databases() {
        let store = database.open();
        write(&store, advanced(0, 2)).unwrap();
        write(&store, commit(Some("other"))).unwrap();
        let said = vec![Said { place: 0, sealed: vec![1, 2] }];
        write(&store, Commit { said, ..alarming(Some("c")) }).unwrap();
        let erased = store.erase("default", Of::Conversation("c")).unwrap();
        assert_eq!(erased, Erased { sessions: 1, entries: 2 });
        assert_eq!(store.session("default", "c").unwrap(), None);
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 3);
        for (table, left) in [("tie", 1), ("said", 0), ("turn_digest", 0), ("review", 1)] {
            assert_eq!(count(&store, &format!("SELECT count(*) FROM {table}")), left, "{table}");
        }
        assert_eq!(count(&store, "SELECT count(*) FROM review WHERE conversation = 'c'"), 0);
    }
}

#[test]
fn erasing_a_person_erases_all_their_conversations_and_nobody_elses() {
    for database in databases() {
        let store = database.open();
        let of = |person: &str, commit: Commit| Commit { person: Some(person.to_owned()), ..commit };
        write(&store, of("p", advanced(0, 2))).unwrap();
        write(&store, of("p", commit(Some("d")))).unwrap();
        write(&store, of("p", commit(None))).unwrap();
        write(&store, of("q", commit(Some("e")))).unwrap();
        let erased = store.erase("default", Of::Person("p")).unwrap();
        assert_eq!(erased, Erased { sessions: 1, entries: 3 });
        assert_eq!(store.erase("another tenant", Of::Person("q")).unwrap().entries, 0);
        assert_eq!(count(&store, "SELECT count(*) FROM tie WHERE person = 'q'"), 1);
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 4);
    }
}

#[test]
fn what_was_not_touched_for_long_is_forgotten() {
    for database in databases() {
        let store = database.open();
        write(&store, advanced(0, 2)).unwrap();
        assert_eq!((store.forget_before(5).unwrap(), store.forget_before(6).unwrap()), (0, 1));
        assert_eq!(count(&store, "SELECT count(*) FROM turn_digest"), 0);
    }
}

#[test]
fn a_conversation_that_lies_before_a_counsellor_alarms_nobody_anew() {
    for database in databases() {
        let store = database.open();
        for _ in 0..3 {
            write(&store, alarming(Some("c"))).unwrap();
        }
        write(&store, alarming(None)).unwrap();
        assert_eq!(count(&store, "SELECT count(*) FROM review"), 2);
        assert_eq!(count(&store, "SELECT count(*) FROM outbox"), 2);
        assert_eq!(count(&store, "SELECT latest FROM review WHERE conversation = 'c'"), 3);
    }
}

#[test]
fn decisions_that_come_at_the_same_time_are_all_written_once_and_the_trail_holds() {
    for database in databases() {
        let store = Arc::new(database.open());
        let replica = Arc::new(database.open());
        let write_many = |store: Arc<Store>, thread: usize| {
            move || {
                let one = |request: usize| {
                    let name = format!("{thread}-{request}");
                    let (known, next) = (0, 1);
                    let mut commit = advanced(known, next);
                    commit.conversation = Some(name);
                    write(&store, commit).unwrap()
                };
                (0..20).map(one).collect::<Vec<u64>>()
            }
        };
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let store = if thread % 2 == 0 { &store } else { &replica };
                std::thread::spawn(write_many(Arc::clone(store), thread))
            })
            .collect();
        let mut numbers: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=160).collect::<Vec<u64>>());
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 160);
        assert_eq!(count(&store, "SELECT count(*) FROM session"), 160);
    }
}

#[test]
fn of_two_replicas_that_take_one_conversation_further_one_is_told_that_it_went_on() {
    for database in databases() {
        let (one, other) = (database.open(), database.open());
        write(&one, advanced(0, 1)).unwrap();
        let results = std::thread::scope(|scope| {
            let threads = [&one, &other].map(|store| scope.spawn(|| write(store, advanced(1, 2))));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(results.contains(&Err(StoreError::WentOn)), "{results:?}");
        assert_eq!(one.verify(|_, _| {}).unwrap().entries, 2);
    }
}

#[test]
fn a_request_that_is_refused_leaves_those_beside_it_in_the_transaction_as_they_are() {
    for database in databases() {
        let store = database.open();
        write(&store, advanced(0, 1)).unwrap();
        let (waiting, told): (Vec<_>, Vec<_>) = [commit(None), advanced(0, 2), advanced(1, 2), commit(None)]
            .map(|commit| {
                let (done, told) = sync_channel(1);
                (Waiting { commits: vec![commit], key: None, done }, told)
            })
            .into_iter()
            .unzip();
        let mut writer = lock(&store.writer);
        store.begin(&mut writer).unwrap();
        write::all(&mut writer, waiting, || store.place.connect());
        drop(writer);
        let results: Vec<_> = told.iter().map(|told| told.recv().unwrap()).collect();
        assert_eq!(results, [Ok(vec![2]), Err(StoreError::WentOn), Ok(vec![3]), Ok(vec![4])]);
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 4);
    }
}

#[test]
fn a_key_is_known_by_itself_only_and_opens_nothing_once_it_is_revoked_or_past_its_time() {
    for database in databases() {
        let store = database.open();
        let new = NewKey { tenant: "t", scopes: &[Scope::Guard], per_minute: 60, expires_ms: Some(10) };
        let (id, shown) = store.make_key(&new, 1).unwrap();
        let known = || store.keys_by_digest().unwrap().remove(&sha256(shown.as_bytes())).unwrap();
        let key = known();
        assert_eq!((key.id.as_str(), key.tenant.as_str(), &key.scopes[..]), (&*id, "t", &[Scope::Guard][..]));
        assert!(key.is_valid_at(9) && !key.is_valid_at(10));
        assert_eq!(store.keys_by_digest().unwrap().get(&sha256(b"mr_000")), None);
        assert!(store.revoke_key(&id, 5).unwrap() && !store.revoke_key(&id, 6).unwrap());
        assert!(!known().is_valid_at(6));
        let dump = store.read(|connection| Ok(connection.query("SELECT * FROM api_key", &[])?)).unwrap();
        let holds = |value: &Value| matches!(value, Value::Text(text) if text.contains(&shown[3..]));
        assert!(!dump[0].0.iter().any(holds), "the key itself is not kept");
    }
}

#[test]
fn a_file_of_another_program_is_refused_and_one_that_goes_away_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.db");
    rusqlite::Connection::open(&file).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(Store::in_file(&file), Err(StoreError::Foreign)));
    let file = folder.path().join("store.db");
    let store = Store::in_file(&file).unwrap();
    write(&store, commit(None)).unwrap();
    assert!(store.ping(1).is_ok());
    let other = folder.path().join("another.db");
    drop(Store::in_file(&other).unwrap());
    std::fs::rename(&other, &file).unwrap();
    assert_eq!(write(&store, commit(None)), Err(StoreError::Gone), "another file took its place");
    std::fs::remove_file(&file).unwrap();
    assert_eq!(write(&store, commit(None)), Err(StoreError::Gone));
    assert!(store.ping(2).is_err());
}

#[test]
fn a_store_of_the_first_version_is_brought_to_this_one_with_its_trail() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let old = rusqlite::Connection::open(&file).unwrap();
    old.execute_batch(include_str!("migrations/sqlite_1.sql")).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    let line = r#"{"sequence":1,"previous":"0000000000000000000000000000000000000000000000000000000000000000","at_ms":1,"tenant":"default","subject":"person","conversation":null,"scanned":{"first":0,"turns":1},"digest":"d","model":"m","policy":"p","risk":0.25,"action":"allow","rules":["risk"],"status":"ok","latency_us":7}"#;
    old.execute("INSERT INTO audit VALUES (1, ?, ?)", (line, crate::audit::hash(line))).unwrap();
    drop(old);
    let store = Store::in_file(&file).unwrap();
    assert_eq!(write(&store, commit(None)), Ok(2));
    assert_eq!(store.verify(|_, _| {}).unwrap().entries, 2);
}

#[test]
fn a_store_of_a_newer_version_is_refused() {
    for database in databases() {
        let change = match database.open().place {
            Place::File(_) => "PRAGMA user_version = 99",
            Place::Server(_) => "UPDATE schema_version SET version = 99",
        };
        database.open().write(|connection| Ok(connection.batch(change)?)).unwrap();
        let error = Store::open(&database.name).err().unwrap();
        assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
    }
}

#[test]
fn a_store_that_is_full_writes_nothing_says_so_and_goes_on_when_there_is_room() {
    let database = in_file();
    let store = database.open();
    write(&store, commit(Some("before"))).unwrap();
    let pages = count(&store, "SELECT page_count FROM pragma_page_count");
    let most =
        |pages: u64| lock(&store.writer).query(&format!("PRAGMA max_page_count = {pages}"), &[]).unwrap();
    most(pages);
    let large = || Commit { scanned: Scanned::Bytes(vec![0; 10]), ..advanced(0, 3_000) };
    let error = write(&store, large()).unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert!(store.session("default", "c").unwrap().is_none());
    assert_eq!(store.verify(|_, _| {}).unwrap().entries, 1);
    most(1_000_000);
    assert_eq!(write(&store, large()), Ok(2));
    assert_eq!(store.verify(|_, _| {}).unwrap().entries, 2);
}

#[test]
fn connections_that_the_database_drops_are_made_anew_and_nothing_is_lost() {
    for database in databases() {
        let store = database.open();
        if !matches!(store.place, Place::Server(_)) {
            continue;
        }
        write(&store, advanced(0, 1)).unwrap();
        store.session("default", "c").unwrap();
        let drop_me = "SELECT pg_terminate_backend(pg_backend_pid())";
        lock(&store.writer).query(drop_me, &[]).unwrap_err();
        lock(&store.reader).as_mut().unwrap().query(drop_me, &[]).unwrap_err();
        assert_eq!(store.session("default", "c").unwrap(), Some(session(1)));
        assert_eq!(write(&store, advanced(1, 2)), Ok(2));
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 2);
    }
}

#[test]
fn a_clock_that_steps_back_does_not_break_the_trail() {
    for database in databases() {
        let store = database.open();
        for at_ms in [9_000, 3_000, 12_000, 1] {
            let mut commit = commit(Some("c"));
            commit.decision.at_ms = at_ms;
            write(&store, commit).unwrap();
        }
        let mut times = Vec::new();
        assert_eq!(store.verify(|entry, _| times.push(entry.decision.at_ms)).unwrap().entries, 4);
        assert_eq!(times, [9_000, 3_000, 12_000, 1]);
    }
}

#[test]
fn whose_old_entries_are_is_forgotten_unless_a_counsellor_has_them_open() {
    for database in databases() {
        let store = database.open();
        write(&store, commit(Some("closed"))).unwrap();
        write(&store, alarming(Some("open"))).unwrap();
        assert_eq!(store.forget_names_before(5).unwrap(), 0);
        assert_eq!(store.forget_names_before(6).unwrap(), 1);
        assert_eq!(count(&store, "SELECT count(*) FROM tie WHERE conversation = 'open'"), 1);
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 2);
    }
}

#[test]
fn a_writer_that_waited_too_long_for_another_ones_lock_writes_again_once_that_is_free() {
    for database in databases() {
        let (one, other) = (database.open(), database.open());
        if !matches!(one.place, Place::Server(_)) {
            continue;
        }
        lock(&other.writer).batch("SET lock_timeout = '200ms'").unwrap();
        let mut held = lock(&one.writer);
        one.begin(&mut held).unwrap();
        let error = write(&other, commit(None)).unwrap_err();
        assert!(error.to_string().contains("lock timeout"), "{error}");
        held.batch("ROLLBACK").unwrap();
        drop(held);
        assert_eq!(write(&other, commit(None)), Ok(1));
    }
}

#[test]
fn more_than_is_forgotten_at_once_is_forgotten_all_the_same() {
    for database in databases() {
        let store = database.open();
        let many = 1_203;
        let one = |number: usize| {
            let mut commit = advanced(0, 1);
            commit.conversation = Some(format!("c{number}"));
            commit
        };
        store.commit((0..many).map(one).collect(), None).unwrap();
        assert_eq!(store.forget_before(6).unwrap(), many);
        assert_eq!(store.forget_names_before(6).unwrap(), many);
        assert_eq!(count(&store, "SELECT count(*) FROM turn_digest"), 0);
    }
}

/// A connection that breaks when it shall commit, before that is done or after.
struct Breaking {
    inner: Box<dyn Connection>,
    commits: bool,
    is_broken: bool,
}

impl Connection for Breaking {
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<usize, DatabaseError> {
        self.inner.execute(sql, values)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<sql::Row>, DatabaseError> {
        self.inner.query(sql, values)
    }

    fn batch(&mut self, sql: &str) -> Result<(), DatabaseError> {
        if sql != "COMMIT" {
            return self.inner.batch(sql);
        }
        self.is_broken = true;
        self.inner.batch(if self.commits { "COMMIT" } else { "ROLLBACK" })?;
        Err(DatabaseError("broken pipe".to_owned()))
    }

    fn begin(&mut self) -> Result<(), DatabaseError> {
        self.inner.begin()
    }

    fn is_broken(&self) -> bool {
        self.is_broken
    }
}

#[test]
fn what_became_of_a_commit_that_was_not_answered_is_found_out_or_said_to_be_unknown() {
    for database in databases() {
        let store = database.open();
        let commit_breaking = |commits, connect: &dyn Fn() -> Result<Box<dyn Connection>, StoreError>| {
            let (done, told) = sync_channel(1);
            let inner = store.place.connect().unwrap();
            let mut broken: Box<dyn Connection> = Box::new(Breaking { inner, commits, is_broken: false });
            broken.begin().unwrap();
            let waiting = Waiting { commits: vec![commit(None)], key: None, done };
            write::all(&mut broken, vec![waiting], connect);
            told.recv().unwrap()
        };
        let again = || store.place.connect();
        assert_eq!(commit_breaking(true, &again), Ok(vec![1]));
        assert!(matches!(commit_breaking(false, &again), Err(StoreError::Database(_))));
        assert_eq!(commit_breaking(true, &|| Err(StoreError::Gone)), Err(StoreError::InDoubt));
        assert_eq!(store.verify(|_, _| {}).unwrap().entries, 2);
    }
}

#[test]
fn a_database_that_cannot_be_reached_is_asked_by_one_in_a_while_and_the_others_do_not_wait() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for _dropped in listener.incoming() {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let mut store = in_file().open();
    let url = format!("postgresql://nobody@{address}/nothing");
    store.place = Place::Server(Box::new(postgres::Address::parse(&url).unwrap()));
    let asked = || asked.load(std::sync::atomic::Ordering::Relaxed);
    for _ in 0..20 {
        assert!(matches!(store.session("t", "c"), Err(StoreError::Database(_))));
    }
    let once = asked();
    std::thread::sleep(ASK_AGAIN);
    store.session("t", "c").unwrap_err();
    assert_eq!(asked(), 2 * once, "once, and once more");
}

#[test]
fn what_was_written_late_does_not_hide_what_was_decided_after_it() {
    use super::reading::Period;
    use crate::audit::Status;
    const HOUR_MS: u64 = 60 * 60 * 1000;
    for database in databases() {
        let store = database.open();
        let at = |at_ms, status| {
            let mut commit = commit(None);
            (commit.decision.at_ms, commit.decision.status) = (at_ms, status);
            write(&store, commit).unwrap();
        };
        at(9 * HOUR_MS, Status::Ok);
        at(HOUR_MS, Status::Degraded);
        let mut found = Vec::new();
        let period = Period { from_ms: 8 * HOUR_MS, until_ms: 10 * HOUR_MS };
        store.entries_in("default", period, |entry, _| found.push(entry.sequence)).unwrap();
        assert_eq!(found, [1]);
    }
}
