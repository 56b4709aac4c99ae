//! `mindrail bench compare`: two runs on the same data, figure by figure, with
//! paired tests over the clusters that both of them judge.

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Parser as _};
use mindrail_lab::bench::{Pair, compare_runs};
use mindrail_lab::protocol::Item;
use mindrail_lab::report::{Colour, Comparison, Report};
use mindrail_lab::resampling::Settings;
use mindrail_lab::sample::Draw;
use mindrail_lab::source::{FromSamples, read_gold};
use mindrail_lab::system::{Benched, read_predictions};

use super::one::{SAMPLE, Session};
use super::{Bench, Common};
use crate::commands::{Cli, Command, Exit, print};

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
        let comparison = match (command_of(&self.a)?, command_of(&self.b)?) {
            (Bench::Distress(one), Bench::Distress(other)) => {
                let protocol = self.same(one.protocol(), &other.protocol())?;
                self.compare(&protocol, [&one.common, &other.common], [&a, &b])?
            }
            (Bench::Crisis(one), Bench::Crisis(other)) => {
                let protocol = self.same(one.protocol(), &other.protocol())?;
                self.compare(&protocol, [&one.common, &other.common], [&a, &b])?
            }
            (Bench::Reply(one), Bench::Reply(other)) => {
                let protocol = self.same(one.protocol()?, &other.protocol()?)?;
                self.compare(&protocol, [&one.common, &other.common], [&a, &b])?
            }
            (Bench::Harm(one), Bench::Harm(other)) => {
                let protocol = self.same(one.protocol()?, &other.protocol()?)?;
                self.compare(&protocol, [&one.common, &other.common], [&a, &b])?
            }
            _ => bail!("the records of the two runs name other protocols than their reports"),
        };
        self.show(&comparison)?;
        Ok(Exit::Done)
    }

    /// The protocol of both runs.
    fn same<P: PartialEq>(&self, a: P, b: &P) -> anyhow::Result<P> {
        if a != *b {
            bail!(
                "{} and {} were made with other conventions; see `options` in report.json",
                self.a.display(),
                self.b.display()
            );
        }
        Ok(a)
    }

    fn compare<P>(
        &self,
        protocol: &P,
        args: [&Common; 2],
        reports: [&Report; 2],
    ) -> anyhow::Result<Comparison>
    where
        P: Benched + FromSamples,
        P::Input: Clone,
        P::Gold: Clone,
    {
        let [a, b] = reports;
        if args[0].unanswered.policy() != args[1].unanswered.policy() {
            bail!("the two runs count unanswered items in other ways (--unanswered)");
        }
        let files = if self.data.is_empty() { &args[0].data } else { &self.data };
        let mut gold = read_gold(protocol, files, args[0].set).context("the data of the runs")?;
        if gold.files != a.data.files {
            bail!("the data files have changed since the runs; expected the same SHA-256");
        }
        let samples = self.samples(&gold.items, args, reports)?;
        let answers = |run: &Path| {
            let runs = read_predictions(protocol, &gold.items, &run.join("predictions.jsonl"))?;
            // The figures of a report are those of its first run.
            anyhow::Ok(runs.into_iter().next().map_or_else(Vec::new, |run| run.answers))
        };
        let (answers_a, answers_b) = (answers(&self.a)?, answers(&self.b)?);
        samples.iter().for_each(|sample| sample.keep(&mut gold.items));
        let pair = Pair {
            items: &gold.items,
            a: (a, &answers_a),
            b: (b, &answers_b),
            unanswered: args[0].unanswered.policy(),
        };
        let settings = Settings { draws: self.resamples, seed: self.seed, ..Settings::default() };
        Ok(compare_runs(protocol, &pair, settings))
    }

    /// What the runs with `--limit` drew; what only one of them drew is left out.
    fn samples<I, G>(
        &self,
        items: &[Item<I, G>],
        args: [&Common; 2],
        reports: [&Report; 2],
    ) -> anyhow::Result<Vec<Draw>> {
        let samples = [args[0].sample(items)?, args[1].sample(items)?];
        for ((folder, report), sample) in [&self.a, &self.b].into_iter().zip(reports).zip(&samples) {
            let Some(sample) = sample else { continue };
            if report.method.options.get(SAMPLE) != Some(&sample.to_string()) {
                bail!("{} judged another sample than its command draws now; run it again", folder.display());
            }
        }
        let samples: Vec<Draw> = samples.into_iter().flatten().collect();
        if !items.iter().any(|item| samples.iter().all(|sample| sample.holds(item))) {
            bail!("the samples of the two runs share no item; give both the same --limit and --seed");
        }
        Ok(samples)
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
        let colours = std::io::stdout().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colour = if colours { Colour::Ansi } else { Colour::Plain };
        let text = if self.json { json } else { comparison.terminal(colour) };
        Ok(print(&text)?)
    }
}

fn report_of(folder: &Path) -> anyhow::Result<Report> {
    let file = folder.join("report.json");
    let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no report of this version", file.display()))
}

/// The command of a run's newest session.
fn command_of(folder: &Path) -> anyhow::Result<Bench> {
    let file = folder.join("record.jsonl");
    let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
    let sessions = text.lines().rev().filter_map(|line| serde_json::from_str::<Session>(line).ok());
    let newest =
        sessions.into_iter().next().with_context(|| format!("{} holds no session", file.display()))?;
    let arguments = std::iter::once("mindrail".to_owned()).chain(newest.command);
    match Cli::try_parse_from(arguments) {
        Ok(Cli { command: Command::Bench(bench) }) => Ok(bench),
        _ => bail!("{}: the newest session is no benchmark of this version", file.display()),
    }
}
