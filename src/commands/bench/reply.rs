//! What `mindrail bench reply` takes.

use clap::Args;
use mindrail_data::sets::DataSet;
use mindrail_lab::protocol::reply::{Reply, ReplySet};

use super::Common;

#[derive(Debug, Args)]
pub(crate) struct ReplyArgs {
    #[command(flatten)]
    pub(super) common: Common,
}

impl ReplyArgs {
    /// The protocol with its conventions.
    pub(super) fn protocol(&self) -> anyhow::Result<Reply> {
        Ok(Reply::on(match self.common.set()? {
            DataSet::DialogueSafety => ReplySet::DialogueSafety,
            _ => ReplySet::Other,
        }))
    }
}
