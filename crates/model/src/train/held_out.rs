//! Scores of conversations that a training has not seen: the raw material of
//! calibration, thresholds and reports.

use mindrail_core::conversation::Role;
use mindrail_core::language::Language;
use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Scores, Severity};
use serde::{Deserialize, Serialize};

use super::examples::{Example, Said};
use super::network::{Network, Sample, SampleLogits};
use super::wide_fit::{WideMemory, WidePart, speaker};

/// Which turns the scores were made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// All turns up to each user turn, the listener's included.
    All,
    /// The person's turns only.
    Person,
}

/// A held-out conversation: labels and logits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Scored {
    /// The example's id.
    pub(super) id: String,
    /// Index of its source.
    pub(super) source: usize,
    /// Language of the user turns.
    pub(super) language: Language,
    /// Gold label; a source without labels has none.
    pub(super) high_risk: Option<bool>,
    /// Gold signals, 0 or 1.
    pub(super) signals: Option<Vec<f32>>,
    /// What a teacher said, where its calls stand for gold.
    #[serde(default, skip_serializing_if = "Said::is_nothing")]
    pub(super) said: Said,
    /// Gold onsets of each user turn; `None` where the source has none.
    pub(super) onsets: Option<Vec<Vec<CrisisLabel>>>,
    /// Logits of the user turns: [`View::All`], then [`View::Person`].
    pub(super) views: [Vec<UserLogits>; 2],
    /// Judged replies.
    pub(super) replies: Vec<ReplyLogits>,
}

/// Logits at one user turn.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct UserLogits {
    /// Risk, signals, crisis of the deep part.
    pub(super) deep: Vec<f32>,
    /// Risk and signals of the wide part, for the conversation so far.
    pub(super) wide_conversation: Vec<f32>,
    /// Crisis of the wide part, for this turn.
    pub(super) wide_turn: Vec<f32>,
}

/// Logits and labels of one reply.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ReplyLogits {
    /// Gold class.
    pub(super) class: ReplyClass,
    /// Gold harms and severity, where known.
    pub(super) harm: Option<(Vec<Harm>, Severity)>,
    /// What a teacher said of harms, where its calls stand for gold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) said: Option<Scores<Harm>>,
    /// Classes, harms, severities of the deep part.
    pub(super) deep: Vec<f32>,
    /// The same of the wide part.
    pub(super) wide: Vec<f32>,
}

/// Scores examples with a trained network and wide part.
pub(super) fn score(
    network: &Network,
    values: &[f32],
    wide: &WidePart,
    examples: &[&Example],
) -> Vec<Scored> {
    examples
        .chunks(8)
        .flat_map(|chunk| {
            let batch: Vec<Sample<'_>> = chunk.iter().map(|e| whole(e)).collect();
            let logits = network.predict_views(values, &batch);
            chunk
                .iter()
                .zip(logits)
                .map(|(example, logits)| scored(example, logits, wide))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Everything of an example that can be scored.
fn whole(example: &Example) -> Sample<'_> {
    let turns: Vec<usize> =
        (0..example.turns.len()).filter(|&t| example.turns[t].role != Role::System).collect();
    Sample { example, weight: 1.0, turns, replies: (0..example.replies.len()).collect() }
}

fn scored(example: &Example, [all, person]: [SampleLogits; 2], wide: &WidePart) -> Scored {
    let replies = example
        .replies
        .iter()
        .zip(&all.replies)
        .filter_map(|(reply, deep)| {
            let (class, harm) = (reply.class?, reply.known_harm());
            let said = reply.said.clone();
            Some(ReplyLogits { class, harm, said, deep: deep.clone(), wide: wide.reply(&reply.text) })
        })
        .collect();
    let user = example.user_turns();
    Scored {
        id: example.id.clone(),
        source: example.source,
        language: example.language,
        high_risk: example.high_risk,
        signals: example.signals.clone(),
        said: example.said.clone(),
        onsets: user.iter().map(|&t| example.turns[t].crisis.clone()).collect(),
        views: [user_logits(example, all, wide, View::All), user_logits(example, person, wide, View::Person)],
        replies,
    }
}

fn user_logits(example: &Example, logits: SampleLogits, wide: &WidePart, view: View) -> Vec<UserLogits> {
    let mut memory = WideMemory::empty();
    let mut deep = logits.user.into_iter();
    let mut rows = Vec::new();
    for turn in &example.turns {
        if turn.role == Role::User || (view == View::All && turn.role == Role::Assistant) {
            wide.remember(&mut memory, &turn.text, speaker(turn.role));
        }
        if turn.role == Role::User {
            let Some((_, deep)) = deep.next() else { break };
            rows.push(UserLogits {
                deep,
                wide_conversation: wide.conversation(&memory),
                wide_turn: wide.turn(&turn.text),
            });
        }
    }
    rows
}
