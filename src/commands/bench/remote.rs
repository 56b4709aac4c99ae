//! What a language model's endpoint needs: address, key, sampling, examples,
//! limits. The key comes from the environment and is never printed or written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::ProgressBar;
use mindrail_lab::run::{CellLog, Usage};
use mindrail_lab::source::{FromSamples, read_gold};
use mindrail_lab::system::{Asking, Benched, ItemOf, Log, answer_by_model, choose_shots, estimate};
use mindrail_llm::budget::{Limits, Tokens};
use mindrail_llm::endpoint::{KeyHeader, Timeouts};
use mindrail_llm::{ApiKey, Budget, Cache, CacheMode, Cancel, Client, ClientOptions, Endpoint, Money, Price};

use super::super::{amount, complain};

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of llm:MODEL")]
pub(super) struct RemoteArgs {
    /// Address of the server, such as <http://localhost:8000/v1>.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,

    /// The environment variable that holds the key; none is sent without it.
    #[arg(long, value_name = "NAME")]
    key_env: Option<String>,

    /// Sampling temperature; left to the server if absent.
    #[arg(long, value_name = "T", value_parser = amount, allow_negative_numbers = true)]
    temperature: Option<f64>,

    /// Tokens that an answer may have.
    #[arg(long, value_name = "TOKENS", default_value_t = 400)]
    max_tokens: u32,

    /// Examples before each question, drawn from --examples.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "examples")]
    shots: usize,

    /// Files that examples are drawn from; nothing that is tested is shown.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    examples: Vec<PathBuf>,

    /// Requests at once, at most; fewer where the server asks for it.
    #[arg(long, value_name = "N", default_value_t = 16)]
    at_once: u32,

    /// Seconds that one request may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,

    /// How often a request is repeated at most.
    #[arg(long, value_name = "N", default_value_t = 5)]
    max_retries: u32,

    /// Which asking of the same questions this is; another one is asked anew.
    #[arg(long, value_name = "N", default_value_t = 0)]
    epoch: u32,

    /// Stop before more tokens than this are used, those of earlier sessions of the
    /// run included.
    #[arg(long, value_name = "TOKENS")]
    budget_tokens: Option<u64>,

    /// Stop before more money than this is spent, in the prices' currency; what
    /// earlier sessions of the run paid counts, at today's prices.
    #[arg(long, value_name = "AMOUNT", requires_all = ["price_in", "price_out"], value_parser = amount, allow_negative_numbers = true)]
    budget: Option<f64>,

    /// Price of a million tokens asked.
    #[arg(long, value_name = "AMOUNT", value_parser = amount, allow_negative_numbers = true)]
    price_in: Option<f64>,

    /// Price of a million tokens answered.
    #[arg(long, value_name = "AMOUNT", value_parser = amount, allow_negative_numbers = true)]
    price_out: Option<f64>,

    /// Say what would be asked and what it may cost; ask nothing.
    #[arg(long)]
    dry_run: bool,

    /// Neither read nor write the cache of answers.
    #[arg(long)]
    no_cache: bool,

    /// The cache of answers; the run's folder holds it if absent.
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
}

/// A model that is ready to be asked.
pub(super) struct Model {
    pub(super) asking: Asking,
    url: String,
}

impl RemoteArgs {
    pub(super) const fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The model with its examples.
    pub(super) fn model<P: Benched + FromSamples>(
        &self,
        protocol: &P,
        model: &str,
        tested: &[ItemOf<P>],
        seed: u64,
    ) -> anyhow::Result<Model> {
        let Some(url) = self.endpoint.clone() else {
            bail!("llm:{model} needs --endpoint URL, such as http://localhost:8000/v1");
        };
        // Refused here where it holds a secret, before anything is written or said.
        let url = Endpoint::new(&url, model)?.url().to_owned();
        let asking = Asking {
            model: model.to_owned(),
            examples: self.shots(protocol, tested, seed)?,
            temperature: self.temperature,
            max_tokens: self.max_tokens,
            seed: i64::try_from(seed).ok(),
            epoch: self.epoch,
        };
        Ok(Model { asking, url })
    }

    fn shots<P: Benched + FromSamples>(
        &self,
        protocol: &P,
        tested: &[ItemOf<P>],
        seed: u64,
    ) -> anyhow::Result<String> {
        if self.shots == 0 {
            return Ok(String::new());
        }
        let pool = read_gold(protocol, &self.examples, None)?;
        Ok(choose_shots(protocol, &pool.items, tested, self.shots, seed)?)
    }

    /// What the plan says of the questions.
    pub(super) fn options(&self, model: &Model) -> Vec<(String, String)> {
        let text = |value: Option<f64>| value.map_or("server's".to_owned(), |value| value.to_string());
        let named = [
            ("endpoint", model.url.clone()),
            ("temperature", text(self.temperature)),
            ("max_tokens", self.max_tokens.to_string()),
            ("shots", self.shots.to_string()),
            ("epoch", self.epoch.to_string()),
            ("examples", mindrail_core::digest::sha256(model.asking.examples.as_bytes())),
        ];
        named.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn price(&self) -> Price {
        let money = |amount: Option<f64>| Money::units(amount.unwrap_or(0.0));
        Price { input: money(self.price_in), output: money(self.price_out) }
    }

    /// Says what the open questions may cost.
    pub(super) fn say_estimate<P: Benched>(
        &self,
        protocol: &P,
        items: &[ItemOf<P>],
        cells: Option<&CellLog>,
        model: &Model,
    ) {
        let estimate = estimate(protocol, items, cells, &model.asking, self.price());
        complain(&format!(
            "{} questions, about {} tokens to ask and at most {} to answer: at most about {:.2} (an estimate, from four letters to a token)",
            estimate.requests,
            estimate.tokens.input,
            estimate.tokens.output,
            estimate.money.as_units(),
        ));
    }

    /// A client whose budget has paid for the run's earlier sessions.
    fn client(&self, model: &Model, paid: Usage, folder: &Path) -> anyhow::Result<Client> {
        let mut endpoint = Endpoint::new(&model.url, &model.asking.model)?
            .with_timeouts(Timeouts { total: Duration::from_secs(self.timeout), ..Timeouts::default() });
        if let Some(name) = &self.key_env {
            endpoint = endpoint.with_key(ApiKey::from_env(name, KeyHeader::default())?);
        }
        let mut options = ClientOptions::default();
        options.limiter.max = self.at_once.max(1);
        options.limiter.start = options.limiter.start.min(options.limiter.max);
        options.retry.max_retries = self.max_retries;
        let limits = Limits { tokens: self.budget_tokens, money: self.budget.map(Money::units) };
        let before = Tokens { input: paid.input_tokens, output: paid.output_tokens };
        options.budget = Budget::new(limits, self.price()).after(before);
        let client = Client::new(endpoint, options)?;
        if self.no_cache {
            return Ok(client);
        }
        let file = self.cache.clone().unwrap_or_else(|| folder.join("cache.jsonl"));
        let (cache, opened) = Cache::open(&file)?;
        if opened.cut_bytes > 0 {
            complain(&format!("{}: an unfinished last line was cut off", file.display()));
        }
        Ok(client.with_cache(cache, CacheMode::Use))
    }

    /// Asks every open question; an interruption ends the run cleanly.
    pub(super) fn ask<P: Benched>(
        &self,
        protocol: &P,
        items: &[ItemOf<P>],
        model: &Model,
        (cells, folder): (&mut CellLog, &Path),
    ) -> anyhow::Result<()> {
        let client = self.client(model, cells.usage(), folder)?;
        let runtime = tokio::runtime::Runtime::new().context("threads to ask with")?;
        let cancel = Cancel::new();
        let bar = ProgressBar::new(0);
        let summary = runtime.block_on(async {
            let signal = cancel.clone();
            let listening = tokio::spawn(async move {
                if tokio::signal::ctrl_c().await.is_ok() {
                    signal.cancel();
                }
            });
            let mut progress = |done: usize, all: usize| {
                bar.set_length(all as u64);
                bar.set_position(done as u64);
            };
            let log = Log { cells, cancel: &cancel, progress: &mut progress };
            let summary = answer_by_model(protocol, &client, items, &model.asking, log).await;
            listening.abort();
            summary
        })?;
        bar.finish_and_clear();
        if let Some(kind) = summary.stopped_by {
            bail!(
                "stopped after {} questions ({}); the same command goes on from here",
                summary.finished,
                kind.name()
            );
        }
        Ok(())
    }
}
