//! What could not be written when it was decided: while the store does not answer, the
//! policy's fail modes say what people get, and these decisions are owed to the trail, to
//! the counsellors and to the webhooks. They are held in memory, without their texts, and
//! written when the store answers again, at least once: where the store broke off while one
//! was written, it may stand there twice. A process that ends before that takes them with
//! it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Call, Decided, Service};
use crate::audit::Status;
use crate::store::{Commit, Scanned, StoreError};

/// Decisions that are held. Of more than these, escalations stay longest.
const MOST: usize = 4_096;

/// Decisions that are written at once.
const TOGETHER: usize = 64;

/// What is owed.
#[derive(Default)]
pub(super) struct Owed {
    commits: Mutex<VecDeque<Commit>>,
    lost: AtomicU64,
}

impl Owed {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Commit>> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, commit: Commit) {
        let mut commits = self.lock();
        if commits.len() >= MOST {
            self.lost.fetch_add(1, Ordering::Relaxed);
            let Some(least) = commits.iter().position(|owed| owed.alarm.is_none()) else { return };
            commits.remove(least);
        }
        commits.push_back(commit);
    }
}

/// How much is owed, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Debt {
    /// Decisions that wait to be written.
    pub(crate) waiting: usize,
    /// Decisions that were more than could be held.
    pub(crate) lost: u64,
}

impl Service {
    /// Owes what was decided, and gives the answer. How far the conversation has got is
    /// not among it: that may be another by then.
    pub(crate) fn owe<T>(&self, decided: Decided<T>) -> T {
        for mut commit in decided.commits {
            commit.decision.status = Status::Degraded;
            commit.session = None;
            commit.said.clear();
            // No text lies in memory for as long as the store is away.
            let (salt, digest) = commit.scanned.digest();
            commit.scanned = Scanned::Digest(salt, digest);
            self.owed.push(commit);
        }
        decided.answer
    }

    /// Whether a human is owed a call to a conversation.
    pub(super) fn owes_call(&self, conversation: Option<&str>, call: Call<'_>) -> bool {
        let is_it = |commit: &Commit| {
            commit.alarm.is_some()
                && commit.decision.tenant == call.tenant.name
                && commit.conversation.as_deref() == conversation
        };
        conversation.is_some() && self.owed.lock().iter().any(is_it)
    }

    /// Whether a human was called to a conversation while it could not be kept, and has not
    /// closed its review: then how far it has got says nothing of that.
    pub(super) fn is_called(&self, conversation: Option<&str>, call: Call<'_>) -> Result<bool, StoreError> {
        let Some(name) = conversation else { return Ok(false) };
        Ok(self.owes_call(conversation, call) || self.store.is_called_late(&call.tenant.name, name)?)
    }

    /// Writes what is owed, as far as the store answers.
    ///
    /// # Errors
    /// [`StoreError`]: what could not be written is still owed.
    pub fn pay(&self) -> Result<(), StoreError> {
        loop {
            let some: Vec<Commit> = {
                let mut commits = self.owed.lock();
                let together = commits.len().min(TOGETHER);
                commits.drain(..together).collect()
            };
            if some.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.store.commit(some.clone(), None) {
                let mut commits = self.owed.lock();
                some.into_iter().rev().for_each(|commit| commits.push_front(commit));
                return Err(error);
            }
        }
    }

    /// How much is owed.
    pub(crate) fn debt(&self) -> Debt {
        Debt { waiting: self.owed.lock().len(), lost: self.owed.lost.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::decision;
    use crate::store::Alarm;

    #[test]
    fn of_more_than_can_be_held_escalations_stay() {
        let owed = Owed::default();
        let commit = |alarm| Commit { alarm, ..Commit::of(decision(5), Vec::new()) };
        owed.push(commit(Some(Alarm::default())));
        for _ in 0..MOST {
            owed.push(commit(None));
        }
        owed.push(commit(Some(Alarm::default())));
        let commits = owed.lock();
        assert_eq!((commits.len(), owed.lost.load(Ordering::Relaxed)), (MOST, 2));
        assert_eq!(commits.iter().filter(|commit| commit.alarm.is_some()).count(), 2);
    }
}
