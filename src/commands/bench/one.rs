//! One run: reads the gold items, opens the run's folder, lets the system answer
//! what is open, writes the report in all its forms, and checks the gates.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use mindrail_core::assessor::Assessor as _;
use mindrail_core::guard::Guard;
use mindrail_core::policy::{Policy, PolicyInForce};
use mindrail_finetune::assessor::AnyAssessor;
use mindrail_lab::bench::{GateError, Setting, TextInReport, report, section_over_runs};
use mindrail_lab::report::{Colour, Report, SystemIdentity, html, markdown, summary, terminal};
use mindrail_lab::run::{Existing, Plan, Repair, RunFolder, Usage};
use mindrail_lab::source::{FromSamples, Gold, read_gold, sha256_of};
use mindrail_lab::system::{
    Benched, ItemOf, RunAnswers, answer_by_guard, answers_of_cells, read_predictions,
};
use serde::{Deserialize, Serialize};

use super::system::{System, named};
use super::{Common, remote};
use crate::commands::{Exit, assessor, bundle, complain, print};

/// A line of a run's record: a session's beginning. The command line holds no
/// secret, since keys are named by their variable.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Session {
    /// Seconds since 1970 at which it began.
    pub(super) began: u64,
    /// Version of Mindrail.
    pub(super) mindrail: String,
    /// The arguments, from which `compare` knows data and conventions.
    pub(super) command: Vec<String>,
}

/// Another line of it: a session's end.
#[derive(Debug, Serialize)]
struct Ending {
    ended: u64,
    answers: usize,
    usage: Usage,
}

/// What a system is made of, ready to answer.
enum Ready {
    /// With the manifest of the bundle, which names what trained it.
    Guard(Box<AnyAssessor>, Box<PolicyInForce>, String),
    Predictions,
    Model(Box<remote::Model>),
}

/// The option under which plan and report say what `--limit` drew.
pub(super) const SAMPLE: &str = "sample";

/// Bad rows that are named; the rest is counted.
const NAMED_ERRORS: usize = 10;

/// Runs a protocol.
pub(super) fn run<P: Benched + FromSamples>(protocol: &P, args: &Common) -> anyhow::Result<Exit> {
    let mut gold = read_gold(protocol, &args.data, args.set)?;
    if gold.items.is_empty() {
        gold.errors.iter().take(NAMED_ERRORS).for_each(|error| complain(&error.to_string()));
        bail!("no row of the data ({}) says what is so for the {} protocol", gold.set, P::NAME);
    }
    // Predictions are read before a folder is touched: a bad file must not cost a run.
    let predicted = match &args.system {
        System::Predictions(file) => Some(read_predictions(protocol, &gold.items, file)?),
        System::Bundle(_) | System::Model(_) => None,
    };
    let sample = args.sample(&gold.items)?;
    if let Some(sample) = &sample {
        sample.keep(&mut gold.items);
    }
    let (ready, identity, options) = system(protocol, args, &gold.items)?;
    if let (Ready::Model(model), true) = (&ready, args.remote.is_dry_run()) {
        args.remote.say_estimate(protocol, &gold.items, None, model);
        return Ok(Exit::Done);
    }
    let mut plan = Plan::new(P::NAME, identity.clone(), gold.files.clone());
    plan.options = options;
    plan.options.extend(sample.as_ref().map(|sample| (SAMPLE.to_owned(), sample.to_string())));
    if args.rescore && !args.output.join("plan.json").exists() {
        bail!("{} holds no run whose report could be made again", args.output.display());
    }
    let existing = if args.overwrite { Existing::Replace } else { Existing::Resume };
    let mut folder = RunFolder::open(&args.output, &plan, existing)?;
    if folder.cells.repair() == Repair::CutLastLine {
        complain("an answer that a kill had cut short was taken off and is asked for again");
    }
    folder.note(&session())?;
    if !args.rescore {
        answer(protocol, args, &gold.items, &ready, &mut folder)?;
        let (answers, usage) = (folder.cells.len(), folder.cells.usage());
        folder.note(&Ending { ended: now(), answers, usage })?;
        if usage.input_tokens > 0 {
            complain(&format!("{} tokens asked, {} answered", usage.input_tokens, usage.output_tokens));
        }
    }
    let runs = predicted.unwrap_or_else(|| {
        let answers = answers_of_cells(protocol, &gold.items, &folder.cells);
        vec![RunAnswers { name: String::new(), answers }]
    });
    let first = runs.first().context("a system has one run at least")?;
    let setting = Setting {
        system: identity,
        set: gold.set.clone(),
        files: gold.files.clone(),
        resampling: args.resampling(),
        unanswered: args.unanswered.policy(),
        text: args.show_text.map_or(TextInReport::Hidden, TextInReport::Wrong),
    };
    let mut report = report(protocol, &gold.items, &first.answers, &setting);
    if let Some(sample) = &sample {
        report.notes.push(format!("A sample was judged: {sample} (--limit)."));
        report.method.options.insert(SAMPLE.to_owned(), sample.to_string());
    }
    if let Some(section) = section_over_runs(protocol, &gold.items, &runs, setting.unanswered) {
        report.notes.push(format!(
            "The file holds {} runs. Their means and deviations stand under \"{}\"; every other figure is of the \
             first, {}.",
            runs.len(),
            section.title,
            first.name
        ));
        report.sections.insert(0, section);
    }
    report.notes.extend(notes(&gold));
    report.notes.extend(trained_on(&ready, &gold));
    write(&folder, &report, &runs)?;
    say(args, &report)?;
    Ok(exit(args, &gold, &report))
}

/// Refuses a fine-tuned model that a protocol asks for what the embedded one beside it would
/// say.
fn must_be_trained_for<P: Benched>(assessor: &AnyAssessor) -> anyhow::Result<()> {
    if P::TASKS.iter().any(|task| assessor.was_trained_for(*task)) {
        return Ok(());
    }
    let names = P::TASKS.iter().map(|task| task.wire()).collect::<Vec<_>>().join(", ");
    bail!(
        "--system: found a model that was trained for none of {names}, which the {} protocol asks for",
        P::NAME
    )
}

/// The system with what identifies it.
fn system<P: Benched + FromSamples>(
    protocol: &P,
    args: &Common,
    items: &[ItemOf<P>],
) -> anyhow::Result<(Ready, SystemIdentity, BTreeMap<String, String>)> {
    let mut options = BTreeMap::new();
    let identity = |kind: &str, name: String, hashes| SystemIdentity { kind: kind.to_owned(), name, hashes };
    Ok(match &args.system {
        System::Bundle(folder) => {
            let assessor = assessor(folder.as_deref(), &args.computing)?;
            must_be_trained_for::<P>(&assessor)?;
            let manifest = match &assessor {
                AnyAssessor::FineTuned(one) => {
                    let manifest = one.bundle().manifest();
                    serde_json::to_string(&(&manifest.trained_on, &manifest.selected_on, &manifest.marks))?
                }
                AnyAssessor::Embedded(_) => {
                    serde_json::to_string(&bundle(folder.as_deref())?.manifest.training)?
                }
            };
            let policy = policy(args)?;
            let model = assessor.model();
            let hashes = named([("bundle", model.sha256.clone()), ("policy", policy.sha256().to_owned())]);
            let identity = identity("bundle", format!("{} {}", model.name, model.version), hashes);
            (Ready::Guard(Box::new(assessor), Box::new(policy), manifest), identity, options)
        }
        System::Predictions(file) => {
            let hashes = named([("predictions", sha256_of(file)?)]);
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (Ready::Predictions, identity("predictions", name, hashes), options)
        }
        System::Model(name) => {
            let model = args.remote.model(protocol, name, items, args.seed)?;
            let prompt = protocol.prompt();
            let version = format!("{} version {}, {}", prompt.name, prompt.version, prompt.sha256);
            options.extend(args.remote.options(&model));
            options.insert("seed".to_owned(), args.seed.to_string());
            options.extend(protocol.answer_rule().map(|rule| ("answer_rule".to_owned(), rule.to_owned())));
            (
                Ready::Model(Box::new(model)),
                identity("llm", name.clone(), named([("prompt", version)])),
                options,
            )
        }
    })
}

fn policy(args: &Common) -> anyhow::Result<PolicyInForce> {
    let Some(path) = &args.policy else { return Ok(Policy::default().into()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("policy {}", path.display()))?;
    Ok(Policy::from_toml(&path.display().to_string(), &text)?.into())
}

fn session() -> Session {
    let command = std::env::args().skip(1).collect();
    Session { began: now(), mindrail: env!("CARGO_PKG_VERSION").to_owned(), command }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What must be said where the data trained the bundle.
fn trained_on<I>(ready: &Ready, gold: &Gold<I>) -> Option<String> {
    let Ready::Guard(_, _, manifest) = ready else { return None };
    let known = gold.files.iter().filter(|(_, sha256)| manifest.contains(sha256.as_str()));
    let names: Vec<&str> = known.map(|(name, _)| name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "{} stands in the bundle's manifest: it trained the model or chose its checkpoint, so these figures are no test.",
            names.join(", ")
        )
    })
}

/// Lets the system answer what has no answer yet.
fn answer<P: Benched>(
    protocol: &P,
    args: &Common,
    items: &[ItemOf<P>],
    ready: &Ready,
    folder: &mut RunFolder,
) -> anyhow::Result<()> {
    if !folder.cells.is_empty() {
        complain(&format!("going on behind {} answers", folder.cells.len()));
    }
    match ready {
        Ready::Predictions => Ok(()),
        Ready::Guard(assessor, policy, _) => {
            let guard = Guard { assessor: &**assessor, policy };
            let bar = bar(items.len());
            let progress = |done: usize| bar.set_position(done as u64);
            answer_by_guard(protocol, &guard, items, &mut folder.cells, progress)?;
            bar.finish_and_clear();
            Ok(())
        }
        Ready::Model(model) => {
            args.remote.say_estimate(protocol, items, Some(&folder.cells), model);
            args.remote.ask(protocol, items, model, (&mut folder.cells, &args.output))
        }
    }
}

fn notes<I>(gold: &Gold<I>) -> Vec<String> {
    let mut notes = Vec::new();
    if !gold.errors.is_empty() {
        notes.push(format!("{} rows of the data could not be read and are in no figure.", gold.errors.len()));
    }
    if gold.without_gold > 0 {
        notes.push(format!("{} rows hold no gold for this protocol.", gold.without_gold));
    }
    notes
}

/// Writes the report in its forms and the answers of all runs as a predictions file.
fn write<P: Serialize>(folder: &RunFolder, report: &Report, runs: &[RunAnswers<P>]) -> anyhow::Result<()> {
    let lines: Result<Vec<String>, _> = runs.iter().flat_map(flat).collect();
    folder.write("predictions.jsonl", &(lines?.join("\n") + "\n"))?;
    folder.write("report.json", &(serde_json::to_string_pretty(report)? + "\n"))?;
    folder.write("report.md", &markdown(report))?;
    folder.write("report.html", &html(report))?;
    Ok(())
}

/// The answers of a run as rows of a predictions file.
fn flat<P: Serialize>(run: &RunAnswers<P>) -> impl Iterator<Item = serde_json::Result<String>> + '_ {
    run.answers.iter().map(|answer| {
        let mut row = serde_json::Map::new();
        if !run.name.is_empty() {
            row.insert("run".to_owned(), run.name.as_str().into());
        }
        row.insert("id".to_owned(), answer.id.as_str().into());
        row.insert("outcome".to_owned(), answer.outcome.wire().into());
        if let serde_json::Value::Object(fields) = serde_json::to_value(&answer.prediction)? {
            row.extend(fields);
        }
        serde_json::to_string(&row)
    })
}

/// Shows the report.
fn say(args: &Common, report: &Report) -> anyhow::Result<()> {
    let colours =
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let colour = if colours { Colour::Ansi } else { Colour::Plain };
    let text = match (args.json, args.tables) {
        (true, _) => serde_json::to_string_pretty(report)? + "\n",
        (false, true) => terminal(report, colour),
        (false, false) => summary(report, colour),
    };
    print(&text)?;
    complain(&format!("report in {}", args.output.join("report.html").display()));
    Ok(())
}

/// Gates first, then bad rows.
fn exit<I>(args: &Common, gold: &Gold<I>, report: &Report) -> Exit {
    let missed: Vec<GateError> = args.min.iter().filter_map(|gate| gate.check(report).err()).collect();
    missed.iter().for_each(|error| complain(&error.to_string()));
    gold.errors.iter().take(NAMED_ERRORS).for_each(|error| complain(&error.to_string()));
    if gold.errors.len() > NAMED_ERRORS {
        complain(&format!("and {} more rows", gold.errors.len() - NAMED_ERRORS));
    }
    if missed.iter().any(|error| matches!(error, GateError::Unknown { .. })) {
        Exit::Failed
    } else if !missed.is_empty() {
        Exit::Reached
    } else if gold.errors.is_empty() {
        Exit::Done
    } else {
        Exit::BadRows
    }
}

fn bar(items: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} items, {elapsed}, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(items as u64).with_style(style)
}
