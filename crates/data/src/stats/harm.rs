//! Counts of the sets of single replies and of pairs: DialogueSafety,
//! PKU-SafeRLHF, `BeaverTails`.

use mindrail_core::taxonomy::{Harm, ReplyClass, Severity};

use super::table::{Figure, Sizes, Table, Tally};
use super::{Accumulator, Cooccurrence, row};
use crate::sets::{BeaverHarm, PromptSource, Reply, ReplyPair, Row, Sample, Term, Vocabulary};
use crate::table::DataError;

pub(super) fn names<T: Vocabulary>() -> Vec<&'static str> {
    T::ALL.iter().map(|item| item.wire()).collect()
}

/// DialogueSafety: classes, and how long contexts are.
#[derive(Default)]
pub(super) struct Replies {
    classes: Tally,
    utterances: Sizes,
}

impl Accumulator for Replies {
    fn add(&mut self, sample: &Sample) -> Result<(), DataError> {
        if let Some(Row::DialogueSafety(row)) = row(sample) {
            let turns = row.conversation().map_err(|fault| fault.at(sample.place()))?.turns.len();
            self.classes.add(row.label.wire());
            self.utterances.add(turns.saturating_sub(1));
        }
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        let count = |class: &ReplyClass| (class.wire(), self.classes.get(class.wire()));
        vec![
            Table::of_counts("classes", ReplyClass::ALL.iter().map(count)),
            self.utterances.table("utterances per context"),
        ]
    }
}

/// Severities, safety and harms of replies.
struct ReplyCounts {
    safety: Tally,
    /// By harm, then severity.
    levels: Vec<[u64; 4]>,
    severities: [u64; 4],
    joint: Cooccurrence,
    unknown: u64,
}

impl Default for ReplyCounts {
    fn default() -> Self {
        Self {
            safety: Tally::default(),
            levels: vec![[0; 4]; Harm::ALL.len()],
            severities: [0; 4],
            joint: Cooccurrence::new(Harm::ALL.len()),
            unknown: 0,
        }
    }
}

impl ReplyCounts {
    fn add(&mut self, reply: &Reply) {
        match reply.is_safe {
            Some(true) => self.safety.add("safe"),
            Some(false) => self.safety.add("unsafe"),
            None => {}
        }
        if let Some(severity) = reply.severity {
            self.severities[severity as usize] += 1;
        }
        let Some(harms) = &reply.harms else { return };
        let held: Vec<usize> = harms.iter().filter_map(Term::known).map(|harm| harm as usize).collect();
        self.unknown += (harms.len() - held.len()) as u64;
        for &harm in &held {
            if let Some(severity) = reply.severity {
                self.levels[harm][severity as usize] += 1;
            }
        }
        self.joint.add(&held);
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables = Vec::new();
        if !self.safety.is_empty() {
            tables.push(self.safety.table("safety of replies", &["safe", "unsafe"]));
        }
        if self.severities.iter().sum::<u64>() > 0 {
            let count = |level: &Severity| (level.wire(), self.severities[*level as usize]);
            tables.push(Table::of_counts("severity of replies", Severity::ALL.iter().map(count)));
        }
        let positions = |harm: usize| self.joint.both(harm, harm);
        if (0..Harm::ALL.len()).any(|harm| positions(harm) > 0) {
            tables.push(self.harms());
            tables.push(self.joint.table("phi of harms over all replies", &names::<Harm>()));
        }
        if self.unknown > 0 {
            tables.push(Table::of_counts("harms of other names", [("count", self.unknown)]));
        }
        tables
    }

    fn harms(&self) -> Table {
        let row = |harm: &Harm| {
            let at = *harm as usize;
            let mut figures = vec![Figure::Count(self.joint.both(at, at))];
            figures.extend(self.levels[at].map(Figure::Count));
            (harm.wire().to_owned(), figures)
        };
        let levels = Severity::ALL.iter().map(|level| level.wire().to_owned());
        Table {
            title: "harms by severity",
            columns: ["replies".to_owned()].into_iter().chain(levels).collect(),
            rows: Harm::ALL.iter().map(row).collect(),
        }
    }
}

/// Pairs: what differs between their replies, and how the preferences agree.
#[derive(Default)]
pub(super) struct Pairs {
    replies: ReplyCounts,
    sources: Tally,
    strata: Tally,
    safety: Tally,
    preferences: Tally,
}

/// The strata of pairs, by the first thing in which the replies differ.
const STRATA: [&str; 4] =
    ["L1 nothing differs", "L2 harms differ only", "L3 severity differs, same safety", "L4 safety differs"];

/// The stratum of a pair; `None` of versions without harms.
fn stratum(pair: &ReplyPair) -> Option<&'static str> {
    let [a, b] = &pair.replies;
    let (ours, theirs) = (a.harms.as_ref()?, b.harms.as_ref()?);
    Some(if a.is_safe != b.is_safe {
        STRATA[3]
    } else if a.severity != b.severity {
        STRATA[2]
    } else if ours != theirs {
        STRATA[1]
    } else {
        STRATA[0]
    })
}

impl Accumulator for Pairs {
    fn add(&mut self, sample: &Sample) -> Result<(), DataError> {
        let Some(Row::Pair(pair)) = row(sample) else { return Ok(()) };
        pair.replies.iter().for_each(|reply| self.replies.add(reply));
        if let Some(source) = &pair.prompt_source {
            self.sources.add(source.shown());
        }
        if let Some(stratum) = stratum(pair) {
            self.strata.add(stratum);
        }
        match (pair.replies[0].is_safe, pair.replies[1].is_safe) {
            (Some(true), Some(true)) => self.safety.add("both safe"),
            (Some(false), Some(false)) => self.safety.add("both unsafe"),
            (Some(true), Some(false)) => self.safety.add("first safe, second unsafe"),
            (Some(false), Some(true)) => self.safety.add("first unsafe, second safe"),
            (None, _) | (_, None) => {}
        }
        match pair.safer {
            Some(safer) if safer == pair.better => self.preferences.add("better is safer"),
            Some(_) => self.preferences.add("better is not safer"),
            None => {}
        }
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables = Vec::new();
        let own = [
            (&self.sources, "source of prompts", names::<PromptSource>()),
            (&self.safety, "safety of pairs", Vec::new()),
            (&self.strata, "strata of pairs", STRATA.to_vec()),
            (&self.preferences, "preferences", Vec::new()),
        ];
        for (tally, title, order) in own {
            if !tally.is_empty() {
                tables.push(tally.table(title, &order));
            }
        }
        tables.extend(self.replies.tables());
        tables
    }
}

/// Single replies of PKU-SafeRLHF-QA.
#[derive(Default)]
pub(super) struct Answers(ReplyCounts);

impl Accumulator for Answers {
    fn add(&mut self, sample: &Sample) -> Result<(), DataError> {
        if let Some(Row::Answer(row)) = row(sample) {
            self.0.add(&row.reply);
        }
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        self.0.tables()
    }
}

/// `BeaverTails`: safety and fourteen harms.
#[derive(Default)]
pub(super) struct Beaver {
    safety: Tally,
    harms: Tally,
}

impl Accumulator for Beaver {
    fn add(&mut self, sample: &Sample) -> Result<(), DataError> {
        if let Some(Row::BeaverTails(row)) = row(sample) {
            self.safety.add(if row.is_safe { "safe" } else { "unsafe" });
            row.harms.iter().flatten().for_each(|harm| self.harms.add(harm.shown()));
        }
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables = vec![self.safety.table("safety of replies", &["safe", "unsafe"])];
        if !self.harms.is_empty() {
            tables.push(self.harms.table("harms", &names::<BeaverHarm>()));
        }
        tables
    }
}

/// Prompts: those of one kind of `BeaverTails`' names, and others.
#[derive(Default)]
pub(super) struct Prompts(Tally);

impl Accumulator for Prompts {
    fn add(&mut self, sample: &Sample) -> Result<(), DataError> {
        if let Some(Row::Prompt(row)) = row(sample) {
            self.0.add(match &row.category {
                Some(name) => Term::<BeaverHarm>::of(name).shown(),
                None => "(none)",
            });
        }
        Ok(())
    }

    fn tables(&self) -> Vec<Table> {
        vec![self.0.table("categories", &names::<BeaverHarm>())]
    }
}
