//! Many requests at once: as many as the limit allows, each reported as soon as
//! it is finished, so that the caller can write it down before anything else
//! happens. A run stops cleanly when it is cancelled, and by itself where going
//! on is of no use.

use std::collections::BTreeMap;

use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::cancel::Cancel;
use crate::client::Client;
use crate::outcome::{OutcomeKind, Reply, Source};
use crate::wire::ChatRequest;

/// A request of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// What is asked.
    pub request: ChatRequest,
    /// Which asking of it this is.
    pub epoch: u32,
}

impl From<ChatRequest> for Job {
    fn from(request: ChatRequest) -> Self {
        Self { request, epoch: 0 }
    }
}

/// A request of a run, finished.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Its place among the jobs, from 0.
    pub index: usize,
    /// What came of it.
    pub reply: Reply,
}

/// How a run went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSummary {
    /// Requests that were reported.
    pub finished: usize,
    /// Of these, how many came from the cache.
    pub cached: usize,
    /// How many came to what.
    pub outcomes: BTreeMap<OutcomeKind, usize>,
    /// Why the run ended before its jobs did; `Cancelled` where the caller said so.
    pub stopped_by: Option<OutcomeKind>,
}

/// Asks everything, `at_once` or fewer at a time as the client's limit has it.
///
/// `on_result` is called for each job as it is finished, in the order of
/// finishing, and never for one that was cancelled. Jobs are taken as they are
/// needed. A refused key, an exhausted quota and a circuit that stays open end
/// the run, since every further request would end in the same way.
pub async fn run_all<J: Into<Job>>(
    client: &Client,
    jobs: impl IntoIterator<Item = J>,
    cancel: &Cancel,
    mut on_result: impl FnMut(Finished),
) -> RunSummary {
    let halt = Cancel::new();
    let mut summary = RunSummary::default();
    let mut jobs = jobs.into_iter().enumerate();
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < client.limit() as usize && !halt.is_cancelled() && !cancel.is_cancelled() {
            let Some((index, job)) = jobs.next() else { break };
            under_way.push(finish(client, index, job.into(), halt.clone()));
        }
        tokio::select! {
            biased;
            () = cancel.cancelled(), if !halt.is_cancelled() => {
                halt.cancel();
                summary.stopped_by = Some(OutcomeKind::Cancelled);
            }
            next = under_way.next() => match next {
                None => return summary,
                Some(finished) if finished.reply.outcome.kind() == OutcomeKind::Cancelled => {}
                Some(finished) => {
                    summary.count(&finished);
                    if let (Some(kind), None) = (ends_a_run(&finished), summary.stopped_by) {
                        summary.stopped_by = Some(kind);
                        halt.cancel();
                    }
                    on_result(finished);
                }
            },
        }
    }
}

async fn finish(client: &Client, index: usize, job: Job, halt: Cancel) -> Finished {
    Finished { index, reply: client.complete_until(&job.request, job.epoch, &halt).await }
}

fn ends_a_run(finished: &Finished) -> Option<OutcomeKind> {
    let kind = finished.reply.outcome.kind();
    let ends =
        matches!(kind, OutcomeKind::Unauthorised | OutcomeKind::QuotaExhausted | OutcomeKind::CircuitOpen);
    ends.then_some(kind)
}

impl RunSummary {
    fn count(&mut self, finished: &Finished) {
        self.finished += 1;
        self.cached += usize::from(finished.reply.source == Source::Cache);
        *self.outcomes.entry(finished.reply.outcome.kind()).or_default() += 1;
    }
}
