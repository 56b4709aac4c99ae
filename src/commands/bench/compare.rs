//! `mindrail bench compare`: two runs on the same data, figure by figure, with
//! paired tests over the clusters that both of them judge.

use std::fs;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use mindrail_data::sets::DataSet;
use mindrail_lab::bench::{Pair, compare_runs};
use mindrail_lab::protocol::crisis::Crisis;
use mindrail_lab::protocol::distress::Distress;
use mindrail_lab::protocol::harm::{Harm, HarmSet};
use mindrail_lab::protocol::reply::{Reply, ReplySet};
use mindrail_lab::report::{Colour, Comparison, Report};
use mindrail_lab::resampling::Settings;
use mindrail_lab::source::{FromSamples, read_gold};
use mindrail_lab::system::{Benched, read_predictions};

use super::one::Session;
use super::{UnansweredName, data_set};
use crate::commands::Exit;

/// Compare two runs on the same data.
///
/// Every figure of both, the difference B - A with its interval, and the
/// probability of such a difference between equal systems: clusters are drawn,
/// and answers exchanged, for both systems together. Holm's correction is over
/// all figures.
#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// The first run's folder.
    a: PathBuf,
    /// The second run's folder.
    b: PathBuf,

    /// The data files, if they are not where the first run found them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    data: Vec<PathBuf>,

    /// Draws of the bootstrap, and of the randomisation.
    #[arg(long, value_name = "DRAWS", default_value_t = 2_000)]
    resamples: u64,

    /// The seed of both.
    #[arg(long, default_value_t = 17)]
    seed: u64,

    /// What counts for an item that a system did not answer.
    #[arg(long, value_enum, default_value_t = UnansweredName::Negative)]
    unanswered: UnansweredName,

    /// Write comparison.json, comparison.md and comparison.html here.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,

    /// Print comparison.json instead of the table.
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let (a, b) = (report_of(&self.a)?, report_of(&self.b)?);
        if a.protocol != b.protocol {
            bail!(
                "{} is a run of {}, {} of {}; compare runs of one protocol",
                self.a.display(),
                a.protocol,
                self.b.display(),
                b.protocol
            );
        }
        if a.data.files != b.data.files {
            bail!("the two runs are on different data; their figures differ for that reason too");
        }
        let comparison = match a.protocol.as_str() {
            "distress" => self.compare(&Distress::default(), &a, &b)?,
            "crisis" => self.compare(&Crisis::default(), &a, &b)?,
            "reply" => self.compare(&Reply::on(ReplySet::Other), &a, &b)?,
            "harm" => self.compare(&Harm::on(HarmSet::Other), &a, &b)?,
            other => {
                bail!("{} is a run of `{other}`, expected distress, crisis, reply or harm", self.a.display())
            }
        };
        self.show(&comparison)?;
        Ok(Exit::Done)
    }

    fn compare<P>(&self, protocol: &P, a: &Report, b: &Report) -> anyhow::Result<Comparison>
    where
        P: Benched + FromSamples,
        P::Input: Clone,
        P::Gold: Clone,
    {
        let session = session_of(&self.a)?;
        let files = if self.data.is_empty() { &session.data } else { &self.data };
        let set: Option<DataSet> =
            session.set.as_deref().map(data_set).transpose().map_err(anyhow::Error::msg)?;
        let mut gold = read_gold(protocol, files, set).context("the data of the runs")?;
        if gold.files != a.data.files {
            bail!("the data files have changed since the runs; expected the same SHA-256");
        }
        gold.items.truncate(session.limit.unwrap_or(usize::MAX));
        let ids = gold.items.iter().map(|item| item.id.as_str()).collect();
        let answers_a = read_predictions(&self.a.join("predictions.jsonl"), &ids)?;
        let answers_b = read_predictions(&self.b.join("predictions.jsonl"), &ids)?;
        let pair = Pair {
            items: &gold.items,
            a: (a, &answers_a),
            b: (b, &answers_b),
            unanswered: self.unanswered.policy(),
        };
        let settings = Settings { draws: self.resamples, seed: self.seed, ..Settings::default() };
        Ok(compare_runs(protocol, &pair, settings))
    }

    fn show(&self, comparison: &Comparison) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(comparison)? + "\n";
        if let Some(folder) = &self.output {
            fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
            for (name, text) in [
                ("comparison.json", json.clone()),
                ("comparison.md", comparison.markdown()),
                ("comparison.html", comparison.html()),
            ] {
                let file = folder.join(name);
                fs::write(&file, text).with_context(|| format!("{}", file.display()))?;
            }
        }
        let out = std::io::stdout();
        let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colour = if colours { Colour::Ansi } else { Colour::Plain };
        let text = if self.json { json } else { comparison.terminal(colour) };
        out.lock().write_all(text.as_bytes())?;
        Ok(())
    }
}

fn report_of(folder: &Path) -> anyhow::Result<Report> {
    let file = folder.join("report.json");
    let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no report of this version", file.display()))
}

/// The newest session of a run.
fn session_of(folder: &Path) -> anyhow::Result<Session> {
    let file = folder.join("record.jsonl");
    let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let last = text.lines().last().with_context(|| format!("{} is empty", file.display()))?;
    serde_json::from_str(last).with_context(|| format!("{}: last line is no session", file.display()))
}
