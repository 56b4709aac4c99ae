//! `mindrail audit`: the trail of decisions that `mindrail serve` leaves.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use mindrail_server::calendar::{DAY_MS, date};
use mindrail_server::store::{Erased, Of as Whose, Store, StoreError};
use mindrail_server::tenant::DEFAULT;
use serde::Serialize;

use super::serve::StoreOf;
use super::{Exit, complain, print};

/// The trail of decisions of `mindrail serve`.
///
/// Every decision is an entry with the hash of the one before it. An entry holds
/// scores, action, rules, model and policy; no text, and nothing from which a person
/// could be guessed.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Check that no entry was changed, taken out or put in. The exit code is 3 where
    /// one was.
    ///
    /// Nothing inside a trail can tell that its end was cut off, or written anew with
    /// hashes that fit: note the count and hash that this prints, somewhere else, and
    /// give them to the next check with --at-least.
    Verify(Verify),
    /// Print all entries as JSON lines, each with its hash.
    Export(Of),
    /// Count the decisions by subject and action, day by day.
    Stats(Of),
    /// Forget what ties entries to a conversation, and how far it has got. The trail
    /// holds as before.
    Erase(Erase),
}

/// Which store.
#[derive(Debug, Args)]
pub(crate) struct Of {
    #[command(flatten)]
    store: StoreOf,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    store: StoreOf,

    /// Count and hash of an earlier check, which the trail must still hold.
    #[arg(long, value_name = "COUNT:HASH")]
    at_least: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Erase {
    #[command(flatten)]
    store: StoreOf,

    /// Whose it is.
    #[arg(long, value_name = "NAME", default_value = DEFAULT)]
    tenant: String,

    /// Forget all conversations of the person whom callers name so, in place of one
    /// conversation.
    #[arg(long, value_name = "PERSON_ID", required_unless_present = "conversation")]
    person: Option<String>,

    /// The conversation's name.
    #[arg(value_name = "CONVERSATION_ID", conflicts_with = "person")]
    conversation: Option<String>,
}

/// A line of an export.
#[derive(Serialize)]
struct Line<'a, E> {
    hash: &'a str,
    #[serde(flatten)]
    entry: &'a E,
}

impl Audit {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Verify(verify) => verify.run(),
            Self::Export(of) => export(&of.store.open()?),
            Self::Stats(of) => stats(&of.store.open()?),
            Self::Erase(erase) => erase.run(),
        }
    }
}

impl Verify {
    fn run(self) -> anyhow::Result<Exit> {
        let store = self.store.open()?;
        let noted = self.at_least.as_deref().map(noted).transpose()?;
        let mut found = None;
        let checked = store.verify(|entry, hash| {
            if noted.is_some_and(|(count, _)| count == entry.sequence) {
                found = Some(hash.to_owned());
            }
        });
        let head = match checked {
            Ok(head) => head,
            Err(StoreError::Chain(error)) => {
                complain(&error.to_string());
                return Ok(Exit::Reached);
            }
            Err(error) => return Err(error.into()),
        };
        if let Some((count, hash)) = noted.filter(|(count, _)| *count > 0)
            && !found.is_some_and(|found| found.eq_ignore_ascii_case(hash))
        {
            complain(&format!("entry {count} is missing or another one than was noted"));
            return Ok(Exit::Reached);
        }
        print(&format!("{}:{}\n", head.entries, head.hash))?;
        Ok(Exit::Done)
    }
}

/// Count and hash as `verify` prints them.
fn noted(text: &str) -> anyhow::Result<(u64, &str)> {
    let parts = text.trim().split_once(':').and_then(|(count, hash)| Some((count.parse().ok()?, hash)));
    let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    parts
        .filter(|(_, hash)| is_hash(hash))
        .context("--at-least: expected COUNT:HASH as an earlier check printed them")
}

fn export(store: &Store) -> anyhow::Result<Exit> {
    let mut written = Ok(());
    store.verify(|entry, hash| {
        if written.is_ok() {
            let line = serde_json::to_string(&Line { hash, entry });
            written = line.map_err(anyhow::Error::from).and_then(|line| Ok(print(&(line + "\n"))?));
        }
    })?;
    written.map(|()| Exit::Done)
}

fn stats(store: &Store) -> anyhow::Result<Exit> {
    let mut counts: BTreeMap<(u64, String), u64> = BTreeMap::new();
    store.verify(|entry, _| {
        let decision = &entry.decision;
        let subject = format!("{:?}", decision.subject).to_lowercase();
        *counts.entry((decision.at_ms / DAY_MS, format!("{subject}\t{}", decision.action))).or_default() += 1;
    })?;
    let row =
        |((day, kind), count): (&(u64, String), &u64)| format!("{}\t{kind}\t{count}\n", date(*day * DAY_MS));
    let rows: Vec<String> = counts.iter().map(row).collect();
    print(&format!("day\tsubject\taction\tdecisions\n{}", rows.concat()))?;
    Ok(Exit::Done)
}

impl Erase {
    fn run(self) -> anyhow::Result<Exit> {
        let of = match (&self.person, &self.conversation) {
            (Some(person), _) => Whose::Person(person),
            (None, conversation) => Whose::Conversation(conversation.as_deref().unwrap_or_default()),
        };
        let erased = self.store.open()?.erase(&self.tenant, of)?;
        if erased == (Erased { sessions: 0, entries: 0 }) {
            bail!("{}: nothing is known of that name", self.tenant);
        }
        print(&format!("{} sessions and the ties of {} entries\n", erased.sessions, erased.entries))?;
        Ok(Exit::Done)
    }
}
