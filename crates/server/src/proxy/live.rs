//! A stream between the assistant and the person: bytes in, [`Flow`] in between, bytes
//! out. It is driven by the one who reads it: a caller that goes away drops it, and the
//! assistant's connection with it.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;

use super::flow::{Due, Ended, Fate, Flow, Leaving, NoStream, Reason};
use super::respond;
use super::talk::Talk;
use super::upstream::{Came, Events, sent_back};

struct Live {
    talk: Talk,
    /// None where nothing more is read.
    events: Option<Events>,
    flow: Flow,
    out: VecDeque<String>,
}

/// The answer whose body is the stream.
pub(super) fn answer(talk: Talk, events: Events) -> Response {
    let headers = sent_back(events.headers());
    let flow = Flow::new(talk.upstream.window, talk.asked.tools.clone(), talk.asked.choices);
    let person = talk.person.clone();
    let preface = talk.preface().map(|words| {
        let envelope = respond::own_envelope(talk.asked.model());
        respond::preface(&envelope, talk.asked.choices, &words)
    });
    let live = Live { talk, events: Some(events), flow, out: preface.into_iter().collect() };
    let pieces = stream::unfold(live, |mut live| async {
        loop {
            if !live.out.is_empty() {
                let bytes: String = live.out.drain(..).collect();
                return Some((Ok::<_, std::convert::Infallible>(Bytes::from(bytes)), live));
            }
            live.step().await?;
        }
    });
    respond::event_answer(headers, Body::from_stream(pieces), &person)
}

impl Live {
    /// Reads one piece and says what follows from it; `None` at the end.
    async fn step(&mut self) -> Option<()> {
        let came = self.events.as_mut()?.next().await;
        let (chunks, ended) = match came {
            Came::Sign => {
                self.out.push_back(respond::SIGN.to_owned());
                return Some(());
            }
            Came::Chunks(chunks) => (chunks, None),
            Came::Done(chunks) => (chunks, Some(Ended::Said)),
            Came::End(chunks) | Came::Broken(chunks) => (chunks, Some(Ended::Broken)),
        };
        let mut ended = ended;
        for chunk in chunks {
            if self.advance(chunk).await.is_err() {
                ended = Some(Ended::Broken);
                break;
            }
            if self.flow.is_ended() {
                ended = Some(Ended::Said);
                break;
            }
        }
        if let Some(ended) = ended {
            self.end(ended).await;
        }
        Some(())
    }

    async fn advance(&mut self, chunk: serde_json::Value) -> Result<(), NoStream> {
        self.flow.take(chunk)?;
        self.judge().await?;
        self.release().await;
        Ok(())
    }

    /// Nothing more is read: what is left is judged, and the stream is closed.
    async fn end(&mut self, ended: Ended) {
        self.events = None;
        self.flow.end(ended);
        if self.judge().await.is_err() {
            self.flow.give_up();
        }
        self.release().await;
        self.out.push_back(respond::DONE.to_owned());
    }

    async fn judge(&mut self) -> Result<(), NoStream> {
        loop {
            let due = self.flow.due();
            if due.is_empty() {
                return Ok(());
            }
            let (blank, due): (Vec<Due>, Vec<Due>) =
                due.into_iter().partition(|due| due.part.text.trim().is_empty());
            for due in &blank {
                self.flow.settle(due, Fate::Show)?;
            }
            if due.is_empty() {
                continue;
            }
            let fates = self.talk.judge(due.iter().map(|due| due.part.clone()).collect()).await;
            if fates.is_empty() {
                return Err(NoStream);
            }
            for (due, fate) in due.iter().zip(fates) {
                self.flow.settle(due, fate)?;
            }
        }
    }

    async fn release(&mut self) {
        let leaving = self.flow.release();
        if leaving.iter().any(
            |leaving| matches!(leaving, Leaving::Farewell(farewell) if farewell.reason == Reason::NoAnswer),
        ) {
            self.talk.note_no_answer().await;
        }
        for leaving in leaving {
            match leaving {
                Leaving::Chunk(chunk) => self.out.push_back(respond::event(&chunk)),
                Leaving::Farewell(farewell) => {
                    let (words, beside) = self.talk.words(farewell.reason);
                    let own = respond::own_envelope(self.talk.asked.model());
                    let envelope = if self.flow.envelope().is_empty() { &own } else { self.flow.envelope() };
                    let chunks = respond::farewell(envelope, &farewell, &words, beside);
                    self.out.extend(chunks.iter().map(respond::event));
                }
            }
        }
    }
}
