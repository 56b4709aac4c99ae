//! What the law asks where the service runs: packs of duties as data with source and
//! date ([`SHIPPED_TOML`]), and what follows from several of them together, which is
//! always the strictest. Engineering input, not legal advice.

use std::collections::BTreeSet;
use std::num::NonZeroU8;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::PolicyError;
use super::date::Date;
use super::place::Place;
use super::provenance::Source;
use super::words::Words;

/// The packs that Mindrail ships, with their comments.
pub const SHIPPED_TOML: &str = include_str!("jurisdictions.toml");

static SHIPPED: LazyLock<Vec<Pack>> =
    LazyLock::new(|| packs("jurisdictions.toml", SHIPPED_TOML).expect("the shipped file is tested"));

/// The age from which on a person is no minor, in all the packs.
const ADULT: u8 = 18;
const MS_PER_HOUR: u64 = 3_600_000;

/// The packs that Mindrail ships, in the order of their file.
pub fn shipped() -> &'static [Pack] {
    &SHIPPED
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackFile {
    pack: Vec<Pack>,
}

fn packs(source_name: &str, text: &str) -> Result<Vec<Pack>, PolicyError> {
    let file: PackFile = toml::from_str(text).map_err(|error| PolicyError::new(source_name, text, &error))?;
    Ok(file.pack)
}

/// A law, as far as an assistant can heed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// Its name among the packs.
    pub id: String,
    /// Where it holds. Several laws may share a code.
    pub code: Place,
    /// The name of that place.
    pub name: Words,
    /// The law.
    pub law: Words,
    /// Whether it holds.
    pub status: Status,
    /// The first day on which it holds; `None` where it was not read.
    pub from: Option<Date>,
    /// Whether people are told at the beginning that this is an AI.
    pub at_start: Duty,
    /// After how many hours they are told again.
    pub every_hours: Option<NonZeroU8>,
    /// The same for minors, where it differs.
    pub every_hours_minors: Option<NonZeroU8>,
    /// Whether a minor is then also reminded to take a break.
    pub break_for_minors: Duty,
    /// Whether the conversation is interrupted when somebody is in crisis.
    pub interrupt: Duty,
    /// Whether people may be scored.
    pub scoring: ScoringRule,
    /// What is counted for a report.
    pub report: ReportRule,
    /// Rules for minors that no code acts upon.
    pub minors: Vec<Words>,
    /// Further duties, and limits of what is known, for people to read.
    pub duties: Vec<Words>,
    /// The day by which the sources had been read.
    pub read_by: Date,
    /// What says so.
    pub sources: Vec<Source>,
}

/// Whether a law holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It does, or will from a day on.
    InForce,
    /// It is a bill: kept as data, never applied.
    Pending,
    /// Nobody has read whether it does. Applied: to do more than a law asks is no harm.
    Unverified,
}

/// Whether something must be done. From the laxer to the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// No such duty is known, which does not say that there is none.
    NotStated,
    /// It must be done.
    Required,
}

/// What a law says about scoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoringRule {
    /// Nothing against it.
    Full,
    /// Not where licensed professionals offer therapy.
    DisabledInTherapy,
}

/// What a law wants counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportRule {
    /// Nothing that is known.
    None,
    /// Notices that referred somebody to a crisis service, for an office.
    ReferralNotifications,
    /// Crisis referrals, published by the operator.
    ReferralsPublished,
    /// Incidents of referral, for a health authority that publishes them.
    ReferralIncidents,
}

/// Which laws are heeded, as in `[jurisdiction]` of the policy file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jurisdiction {
    /// Codes of the packs.
    pub codes: Codes,
    /// Whether the people are minors.
    pub minors: Minors,
    /// What the service is.
    pub service: Service,
}

/// Codes of which each has a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Place>", into = "Vec<Place>")]
pub struct Codes(BTreeSet<Place>);

impl TryFrom<Vec<Place>> for Codes {
    type Error = String;

    fn try_from(found: Vec<Place>) -> Result<Self, String> {
        let known: BTreeSet<&str> = shipped().iter().map(|pack| pack.code.as_str()).collect();
        if let Some(unknown) = found.iter().find(|code| !known.contains(code.as_str())) {
            let known = known.into_iter().collect::<Vec<_>>().join("`, `");
            return Err(format!("found `{unknown}`, expected codes among `{known}`"));
        }
        Ok(Self(found.into_iter().collect()))
    }
}

impl From<Codes> for Vec<Place> {
    fn from(codes: Codes) -> Self {
        codes.0.into_iter().collect()
    }
}

/// Whether people are minors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Minors {
    /// They are.
    Yes,
    /// They are not.
    No,
    /// Nobody knows; what holds for minors is heeded.
    Unknown,
}

/// What the service is, as some laws ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Licensed professionals offer therapy through it.
    Therapeutic,
    /// Anything else.
    Other,
}

/// For whom obligations are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    /// Whether the person is a minor.
    pub minors: Minors,
    /// What the service is.
    pub service: Service,
}

/// Whether people may be scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// They may.
    Full,
    /// They may not. The guard then finds no danger, and must not say that there is none.
    Disabled,
}

/// What follows from all laws that hold, the strictest of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obligations {
    /// The ids of the packs that were applied.
    pub packs: BTreeSet<String>,
    /// Whether people are told at the beginning that this is an AI.
    pub disclose_at_start: Duty,
    /// After how many hours they are told again; `None` for never.
    pub disclose_every_hours: Option<NonZeroU8>,
    /// Whether they are then also reminded to take a break.
    pub break_reminder: Duty,
    /// Whether the conversation is interrupted when somebody is in crisis.
    pub interrupt_in_crisis: Duty,
    /// Whether they may be scored.
    pub scoring: Scoring,
    /// What is counted.
    pub reports: BTreeSet<ReportRule>,
}

/// Why a disclosure is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DisclosureDue {
    /// The conversation begins.
    AtStart,
    /// The last one, or the beginning, is as many hours ago as a law allows.
    Again,
}

impl Default for Obligations {
    /// None.
    fn default() -> Self {
        Self {
            packs: BTreeSet::new(),
            disclose_at_start: Duty::NotStated,
            disclose_every_hours: None,
            break_reminder: Duty::NotStated,
            interrupt_in_crisis: Duty::NotStated,
            scoring: Scoring::Full,
            reports: BTreeSet::new(),
        }
    }
}

impl Obligations {
    /// What follows from those of the packs that hold on a day, for an audience.
    pub fn from_packs<'a>(
        packs: impl IntoIterator<Item = &'a Pack>,
        audience: Audience,
        today: Date,
    ) -> Self {
        let holding = packs.into_iter().filter(|pack| pack.holds(today));
        holding.fold(Self::default(), |so_far, pack| so_far.and(pack.obligations(audience)))
    }

    /// Both together: of each kind the stricter.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.packs.extend(other.packs);
        self.reports.extend(other.reports);
        Self {
            packs: self.packs,
            disclose_at_start: self.disclose_at_start.max(other.disclose_at_start),
            disclose_every_hours: sooner(self.disclose_every_hours, other.disclose_every_hours),
            break_reminder: self.break_reminder.max(other.break_reminder),
            interrupt_in_crisis: self.interrupt_in_crisis.max(other.interrupt_in_crisis),
            scoring: self.scoring.max(other.scoring),
            reports: self.reports,
        }
    }

    /// Whether the person must be told now that this is an AI. All times are
    /// milliseconds since 1970: when the conversation began, when they were last told,
    /// and now. What they were told before the conversation began does not count; a
    /// clock that was set back makes nothing due.
    pub fn disclosure_due(
        &self,
        started_ms: u64,
        last_disclosed_ms: Option<u64>,
        now_ms: u64,
    ) -> Option<DisclosureDue> {
        let last = last_disclosed_ms.filter(|last| *last >= started_ms);
        if last.is_none() && self.disclose_at_start == Duty::Required {
            return Some(DisclosureDue::AtStart);
        }
        let interval = u64::from(self.disclose_every_hours?.get()) * MS_PER_HOUR;
        let since = now_ms.saturating_sub(last.unwrap_or(started_ms));
        (since >= interval).then_some(DisclosureDue::Again)
    }
}

/// The smaller of two intervals; no interval is the longest.
fn sooner(a: Option<NonZeroU8>, b: Option<NonZeroU8>) -> Option<NonZeroU8> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

impl Pack {
    /// Whether the law is applied on a day.
    pub fn holds(&self, today: Date) -> bool {
        let begun = self.from.is_none_or(|first| first <= today);
        match self.status {
            Status::InForce | Status::Unverified => begun,
            Status::Pending => false,
        }
    }

    /// What follows from this law alone, if it holds.
    pub fn obligations(&self, audience: Audience) -> Obligations {
        let for_minors = matches!(audience.minors, Minors::Yes | Minors::Unknown);
        let minors_hours = self.every_hours_minors.filter(|_| for_minors);
        let reports = [self.report].into_iter().filter(|report| *report != ReportRule::None);
        Obligations {
            packs: BTreeSet::from([self.id.clone()]),
            disclose_at_start: self.at_start,
            disclose_every_hours: sooner(self.every_hours, minors_hours),
            break_reminder: if for_minors { self.break_for_minors } else { Duty::NotStated },
            interrupt_in_crisis: self.interrupt,
            scoring: self.scoring(audience.service),
            reports: reports.collect(),
        }
    }

    const fn scoring(&self, service: Service) -> Scoring {
        match (self.scoring, service) {
            (ScoringRule::DisabledInTherapy, Service::Therapeutic) => Scoring::Disabled,
            (ScoringRule::DisabledInTherapy, Service::Other) | (ScoringRule::Full, _) => Scoring::Full,
        }
    }
}

impl Jurisdiction {
    /// What follows from the shipped packs of these codes on a day, for a person of this
    /// age; where it is not known, for what the policy says of minors.
    pub fn obligations(&self, age: Option<u8>, today: Date) -> Obligations {
        let minors = match age {
            Some(age) if age < ADULT => Minors::Yes,
            Some(_) => Minors::No,
            None => self.minors,
        };
        let named = shipped().iter().filter(|pack| self.codes.0.contains(&pack.code));
        Obligations::from_packs(named, Audience { minors, service: self.service }, today)
    }
}

#[cfg(test)]
mod tests;
