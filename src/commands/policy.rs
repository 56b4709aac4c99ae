//! `mindrail policy`: what a policy is held to.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use mindrail_core::assessor::Assessor as _;
use mindrail_core::guard::Guard;
use mindrail_core::language::Language;
use mindrail_core::policy::PolicyInForce as Rules;
use mindrail_core::policy::cases::{self, Case, CaseError, Course, Judged, Standing};
use mindrail_finetune::assessor::AnyAssessor;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::timeline::{Style, Timeline};
use super::{Exit, Judging, complain, print};
use crate::input;

/// Work with policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Run golden conversations and compare the verdicts with what clinicians expect.
    ///
    /// A case is Markdown: a heading, prose, a conversation and a list of
    /// expectations; `cases/README.md` says how to write one. An expectation that is
    /// marked as known to fail may fail, and must lose its mark once it holds.
    ///
    /// Exit codes: 0 all is as expected, 1 a file cannot be read, 2 wrong usage, 3 a
    /// case failed or a mark has to go, 4 a case cannot be read (the others are run).
    Test(Test),
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Files of cases, `-` for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Run only the cases with these words in their heading.
    #[arg(long, value_name = "WORDS")]
    case: Option<String>,

    /// Draw each conversation with its turns, as `mindrail check` does.
    #[arg(long, conflicts_with = "json")]
    timeline: bool,

    /// Print the results as JSON, without any text of the conversations.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    judging: Judging,
}

impl Policy {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        match self {
            Self::Test(test) => test.run(),
        }
    }
}

/// A case and the file that it is in.
struct Filed {
    file: String,
    case: Case,
}

/// A case that was run.
struct Ran {
    filed: Filed,
    course: Course,
}

impl Test {
    fn run(self) -> anyhow::Result<Exit> {
        let (cases, errors) = self.cases()?;
        errors.iter().for_each(|error| complain(&error.to_string()));
        let (assessor, policy) = (self.judging.assessor()?, self.judging.policy()?.into());
        let run = |filed: Filed| {
            let course = filed.case.run(&Guard { assessor: &assessor, policy: &policy })?;
            Ok(Ran { filed, course })
        };
        let ran = cases.into_par_iter().map(run).collect::<anyhow::Result<Vec<Ran>>>()?;
        let tally = Tally::of(&ran, errors.len());
        if self.json {
            print(&format!("{}\n", tally.json(&ran, &assessor, &policy)))?;
        } else {
            let drawn: String = ran.iter().map(|ran| self.drawn(ran, &assessor, &policy)).collect();
            print(&format!("{drawn}{tally}\n"))?;
        }
        Ok(tally.exit())
    }

    /// The cases of all files that are asked for, and those that cannot be read.
    fn cases(&self) -> anyhow::Result<(Vec<Filed>, Vec<CaseError>)> {
        let (mut cases, mut errors) = (Vec::new(), Vec::new());
        for path in &self.files {
            let file = name(path);
            let text = String::from_utf8(input::bytes(path)?)
                .ok()
                .with_context(|| format!("{file}: found bytes that are no UTF-8, expected Markdown"))?;
            for case in cases::read(&file, &text) {
                match case {
                    Ok(case) if self.is_wanted(&case) => cases.push(Filed { file: file.clone(), case }),
                    Ok(_) => {}
                    Err(error) => errors.push(error),
                }
            }
        }
        if cases.is_empty() && errors.is_empty() {
            bail!("--case: no heading has these words");
        }
        Ok((cases, errors))
    }

    fn is_wanted(&self, case: &Case) -> bool {
        let heading = case.heading.to_lowercase();
        self.case.as_ref().is_none_or(|words| heading.contains(&words.to_lowercase()))
    }

    /// How a case stands, and its turns where they are asked for.
    fn drawn(&self, ran: &Ran, assessor: &AnyAssessor, policy: &Rules) -> String {
        if !self.timeline {
            return ran.to_string();
        }
        let (conversation, report) = (&ran.filed.case.conversation, &ran.course.report);
        let language = report.language.unwrap_or(Language::Mix);
        let levels = policy.person.risk.levels(language, assessor.calibration());
        format!("{ran}\n{}\n", Timeline { conversation, report, levels, style: Style::Plain })
    }
}

fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

impl Ran {
    fn judged(&self) -> Vec<Judged<'_>> {
        self.filed.case.judge(&self.course)
    }

    fn standing(&self) -> Standing {
        cases::standing(&self.judged())
    }

    fn json(&self) -> Value {
        let expectation = |judged: &Judged<'_>| {
            json!({
                "line": judged.expectation.line,
                "expected": judged.expectation.claim.to_string(),
                "found": judged.found,
                "standing": judged.standing,
                "known_to_fail": judged.expectation.known_to_fail,
            })
        };
        json!({
            "file": self.filed.file,
            "line": self.filed.case.line,
            "heading": self.filed.case.heading,
            "standing": self.standing(),
            "expectations": self.judged().iter().map(expectation).collect::<Vec<_>>(),
        })
    }
}

/// One line, and two more for each expectation that is not met or not settled.
impl Display for Ran {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Filed { file, case } = &self.filed;
        writeln!(f, "{:<13}  {file}:{}  {}", words(self.standing()), case.line, case.heading)?;
        for judged in self.judged().iter().filter(|judged| judged.standing != Standing::Ok) {
            let expectation = judged.expectation;
            writeln!(f, "    line {}: expected {}", expectation.line, expectation.claim)?;
            writeln!(f, "    found {}", judged.found)?;
            if let Some(reason) = &expectation.known_to_fail {
                writeln!(f, "    {}: {reason}", words(judged.standing))?;
            }
        }
        Ok(())
    }
}

const fn words(standing: Standing) -> &'static str {
    match standing {
        Standing::Ok => "ok",
        Standing::KnownToFail => "known to fail",
        Standing::HoldsDespiteMark => "MARK MUST GO",
        Standing::Failed => "FAILED",
    }
}

/// How many cases stand how.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    ok: usize,
    known_to_fail: usize,
    hold_despite_mark: usize,
    failed: usize,
    unreadable: usize,
}

impl Tally {
    fn of(ran: &[Ran], unreadable: usize) -> Self {
        let mut tally = Self { unreadable, ..Self::default() };
        for ran in ran {
            match ran.standing() {
                Standing::Ok => tally.ok += 1,
                Standing::KnownToFail => tally.known_to_fail += 1,
                Standing::HoldsDespiteMark => tally.hold_despite_mark += 1,
                Standing::Failed => tally.failed += 1,
            }
        }
        tally
    }

    fn exit(self) -> Exit {
        if self.unreadable > 0 {
            Exit::BadRows
        } else if self.failed + self.hold_despite_mark > 0 {
            Exit::Reached
        } else {
            Exit::Done
        }
    }

    fn json(self, ran: &[Ran], assessor: &AnyAssessor, policy: &Rules) -> Value {
        json!({
            "cases": ran.iter().map(Ran::json).collect::<Vec<_>>(),
            "ok": self.ok,
            "known_to_fail": self.known_to_fail,
            "hold_despite_mark": self.hold_despite_mark,
            "failed": self.failed,
            "unreadable": self.unreadable,
            "model": assessor.model(),
            "policy": { "sha256": policy.sha256() },
        })
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { ok, known_to_fail, hold_despite_mark, failed, unreadable } = self;
        let cases = if self.run() == 1 { "case" } else { "cases" };
        write!(f, "{} {cases}: {ok} ok, {known_to_fail} known to fail, {failed} failed", self.run())?;
        if *hold_despite_mark > 0 {
            write!(f, ", {hold_despite_mark} hold and are marked as known to fail")?;
        }
        if *unreadable > 0 {
            write!(f, "; {unreadable} could not be read")?;
        }
        Ok(())
    }
}

impl Tally {
    const fn run(self) -> usize {
        self.ok + self.known_to_fail + self.hold_despite_mark + self.failed
    }
}
