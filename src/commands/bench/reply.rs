//! What `mindrail bench reply` takes.

use clap::{Args, ValueEnum};
use mindrail_data::sets::DataSet;
use mindrail_lab::protocol::reply::{AnswerRule, Reply, ReplySet};

use super::Common;

#[derive(Debug, Args)]
pub(crate) struct ReplyArgs {
    #[command(flatten)]
    pub(super) common: Common,

    /// Which answers of a language model are read.
    #[arg(long, value_enum, default_value_t = AnswerRuleName::Tolerant)]
    answer_rule: AnswerRuleName,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum AnswerRuleName {
    /// A class name with what models write around it: quotes, a number, "Label:".
    Tolerant,
    /// What the published scripts read: the name to the letter, before any full stop.
    Published,
}

impl ReplyArgs {
    /// The protocol with its conventions.
    pub(super) fn protocol(&self) -> anyhow::Result<Reply> {
        let set = match self.common.set()? {
            DataSet::DialogueSafety => ReplySet::DialogueSafety,
            _ => ReplySet::Other,
        };
        let answer_rule = match self.answer_rule {
            AnswerRuleName::Tolerant => AnswerRule::Tolerant,
            AnswerRuleName::Published => AnswerRule::Published,
        };
        Ok(Reply { answer_rule, ..Reply::on(set) })
    }
}
