//! A language model as the system: every open question of a run, asked through
//! the client, each answer written as a cell before anything else happens.

use mindrail_llm::structured::NamedSchema;
use mindrail_llm::wire::OutputLimit;
use mindrail_llm::{
    Cancel, ChatRequest, Client, Finished, Job, Message, Outcome as Came, Role, RunSummary, budget, run_all,
};
use mindrail_llm::{Price, outcome::Source};

use super::{Benched, ItemOf, cell_key};
use crate::protocol::Outcome;
use crate::run::{Cell, CellLog, RunError, Usage};

/// What stops a run on a language model.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// A cell could not be written.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// How questions are asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    /// The model's name on its server.
    pub model: String,
    /// The examples before each question; may be empty.
    pub examples: String,
    /// Sampling temperature; none leaves it to the server.
    pub temperature: Option<f64>,
    /// Tokens that an answer may have.
    pub max_tokens: u32,
    /// The seed given to the server; none for none.
    pub seed: Option<i64>,
    /// Which asking of the same questions this is, from 0.
    pub epoch: u32,
}

/// A question of a run that has no answer yet.
struct Open<'a, P: Benched> {
    item: &'a ItemOf<P>,
    part: usize,
    key: String,
}

impl<P: Benched> Open<'_, P> {
    fn job(&self, protocol: &P, prompt: &crate::prompt::Prompt, asking: &Asking) -> Job {
        let text = protocol.question(prompt, self.item, self.part, &asking.examples);
        let mut request = ChatRequest::new(vec![Message::new(Role::User, text)])
            .limited(OutputLimit::MaxTokens(asking.max_tokens));
        request.model.clone_from(&asking.model);
        request.temperature = asking.temperature;
        request.seed = asking.seed;
        if let Some(schema) = protocol.schema() {
            request = request.with_schema(&NamedSchema { name: P::NAME.to_owned(), schema });
        }
        Job { request, epoch: asking.epoch }
    }
}

fn open<'a, P: Benched>(protocol: &P, items: &'a [ItemOf<P>], cells: &CellLog) -> Vec<Open<'a, P>> {
    let questions = items.iter().flat_map(|item| {
        let parts = protocol.parts(item);
        (0..parts).map(move |part| Open { item, part, key: cell_key(&item.id, part) })
    });
    questions.filter(|open| !cells.is_settled(&open.key)).collect()
}

/// What asking the open questions may use and cost at most: an estimate.
pub fn estimate<P: Benched>(
    protocol: &P,
    items: &[ItemOf<P>],
    cells: Option<&CellLog>,
    asking: &Asking,
    price: Price,
) -> budget::Estimate {
    let prompt = protocol.prompt();
    let is_open = |key: &str| cells.is_none_or(|cells| !cells.is_settled(key));
    let mut requests = Vec::new();
    for item in items {
        let parts = protocol.parts(item);
        for part in 0..parts {
            let key = cell_key(&item.id, part);
            if is_open(&key) {
                requests.push(Open { item, part, key }.job(protocol, &prompt, asking).request);
            }
        }
    }
    budget::Estimate::of(&requests, price, asking.max_tokens)
}

/// Asks every question that has no settled cell. `progress` hears how many of
/// how many are done.
///
/// # Errors
/// [`RemoteError`] when a cell cannot be written; the run is stopped then.
pub async fn answer_by_model<P: Benched>(
    protocol: &P,
    client: &Client,
    items: &[ItemOf<P>],
    asking: &Asking,
    log: Log<'_>,
) -> Result<RunSummary, RemoteError> {
    let Log { cells, cancel, progress } = log;
    let prompt = protocol.prompt();
    let questions = open(protocol, items, cells);
    let mut failure = None;
    let mut done = 0;
    let jobs = questions.iter().map(|open| open.job(protocol, &prompt, asking));
    progress(0, questions.len());
    let summary = run_all(client, jobs, cancel, |finished| {
        let key = &questions[finished.index].key;
        let cell = cell(protocol, key, &finished);
        if let Err(error) = cells.append(&cell) {
            failure.get_or_insert(error);
            cancel.cancel();
        }
        done += 1;
        progress(done, questions.len());
    })
    .await;
    match failure {
        Some(error) => Err(error.into()),
        None => Ok(summary),
    }
}

/// Where a run's answers go, and who may stop it.
pub struct Log<'a> {
    /// The finished cells.
    pub cells: &'a mut CellLog,
    /// Stops the run cleanly.
    pub cancel: &'a Cancel,
    /// Hears how many of how many questions are done.
    pub progress: &'a mut dyn FnMut(usize, usize),
}

/// Whether a status is the server's answer to this one question: malformed, too
/// long, or not to be processed. Others, such as 404, are about the endpoint, which
/// a person may mend before the run goes on.
const fn is_about_the_question(status: u16) -> bool {
    matches!(status, 400 | 413 | 422)
}

fn cell<P: Benched>(protocol: &P, key: &str, finished: &Finished) -> Cell {
    let reply = &finished.reply;
    let answer = match &reply.outcome {
        Came::Answered(answer) => protocol.read_answer(&answer.text),
        _ => None,
    };
    let outcome = match (&reply.outcome, &answer) {
        (Came::Answered(_), Some(_)) => Outcome::Ok,
        (Came::Answered(_), None) | (Came::Empty(_), _) => Outcome::Unparsable,
        (Came::Truncated(_), _) => Outcome::Truncated,
        (Came::Refused { .. }, _) => Outcome::Refused,
        (Came::ContentFiltered { .. }, _) => Outcome::ContentFiltered,
        (Came::BadRequest { error }, _) if is_about_the_question(error.status) => Outcome::Rejected,
        (Came::Timeout, _) => Outcome::Timeout,
        _ => Outcome::Failed,
    };
    let usage = Usage {
        input_tokens: reply.booked.input,
        output_tokens: reply.booked.output,
        tries: reply.tries,
        cached: reply.source == Source::Cache,
    };
    let note = (outcome != Outcome::Ok).then(|| reply.outcome.kind().name().to_owned());
    Cell { key: key.to_owned(), outcome, answer, usage: Some(usage), note }
}
