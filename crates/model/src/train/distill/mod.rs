//! Distillation: the embedded architecture learns what another assessor says. The teacher
//! scores every conversation once ([`lessons`] keeps that); what it says becomes soft
//! targets and, where nobody has labelled anything, stand-ins for labels ([`teaching`]);
//! then the run goes on as any other. In the end student and teacher are compared on the
//! dev sources ([`agreement`]).

mod agreement;
mod judgement;
mod lessons;
mod teaching;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mindrail_core::assessor::{Assessor, ModelIdentity, StateError};
use mindrail_core::calibration::Calibration;
use mindrail_core::taxonomy::{Harm, Scores};
use serde::{Deserialize, Serialize};

pub(super) use self::agreement::Agreement;
use self::lessons::Lesson;
use self::teaching::Teaching;
use super::config::TrainConfig;
use super::examples::{Example, Source};
use super::run::{Base, Run};
use super::{Progress, TrainError};

/// The `[distill]` table of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DistillConfig {
    /// Above 0. The teacher's probabilities to the power of one over this, brought to sum
    /// 1 again: above 1 they become less sure, below 1 surer. The student's logits are not
    /// divided by it, as they are where distillation stops at logits: blend and calibration
    /// are fitted afterwards and find the scale.
    pub temperature: f32,
    /// How much of a target is the label, where there is one; the rest is the teacher's.
    pub hard_share: f32,
}

/// Something that a teacher may know of and a source may have labels of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Risk of the conversation and at its turns.
    Risk,
    /// The nine signals.
    Signals,
    /// The sixteen crisis onsets.
    Crisis,
    /// The eight reply classes.
    Replies,
    /// The nineteen harms of a reply and its severity.
    Harms,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 5] = [Self::Risk, Self::Signals, Self::Crisis, Self::Replies, Self::Harms];

    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Risk => "risk",
            Self::Signals => "signals",
            Self::Crisis => "crisis onsets",
            Self::Replies => "reply classes",
            Self::Harms => "harms and severity",
        }
    }
}

/// Whoever teaches: any assessor.
#[derive(Debug)]
pub struct Teacher<'a, A> {
    /// It scores the conversations.
    pub assessor: &'a A,
    /// What of its scores counts. An assessor has a number for every task; for one that it
    /// was not trained on that number is no target.
    pub covers: BTreeSet<Task>,
}

impl<'a, A: Assessor> Teacher<'a, A> {
    /// A teacher whose every score counts.
    pub fn of_everything(assessor: &'a A) -> Self {
        Self { assessor, covers: Task::ALL.into() }
    }
}

/// Distils a teacher into a bundle in `output/bundle`. What it says of each conversation
/// is kept in `output/teacher`; a run that was killed goes on where it stood.
///
/// # Errors
/// [`TrainError`] says which file or setting stands in the way.
pub fn distill<A: Assessor>(
    config: &TrainConfig,
    teacher: &Teacher<'_, A>,
    progress: &mut dyn Progress,
) -> Result<(), TrainError> {
    distill_from(config, Base::read(config)?, teacher, progress)
}

/// [`distill`] into the architecture of a base.
fn distill_from<A: Assessor>(
    config: &TrainConfig,
    base: Base,
    teacher: &Teacher<'_, A>,
    progress: &mut dyn Progress,
) -> Result<(), TrainError> {
    let settings = config.distill.as_ref().ok_or(TrainError::NoDistillation)?;
    let mut run = Run::new(config, base)?;
    let train = lessons::all(config, teacher, (&config.train, &run.train), progress)?;
    let dev = lessons::all(config, teacher, (&config.dev, &run.dev), progress)?;
    let teaching =
        Teaching { settings, calibration: teacher.assessor.calibration(), covers: &teacher.covers };
    let train_stand_ins = teaching.teach(&mut run.train, &train.lessons);
    let dev_stand_ins = teaching.teach(&mut run.dev, &dev.lessons);
    if let Some(&task) = Task::ALL.iter().find(|task| train_stand_ins.is_untaught(**task)) {
        return Err(TrainError::Untaught { task });
    }
    run.distillation = Some(Distillation {
        teacher: teacher.assessor.model().clone(),
        covers: teacher.covers.clone(),
        calibration: teacher.assessor.calibration().clone(),
        train: train_stand_ins.labels,
        dev: dev_stand_ins.labels,
        digests: train.digests.into_iter().chain(dev.digests).collect(),
        dev_lessons: dev.lessons,
    });
    run.must_be_fittable()?;
    run.complete(progress)
}

/// Whose labels fit and measure a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LabelsOf {
    /// The sources have labels.
    Sources,
    /// No source has, so the teacher's calls at its own thresholds stand in.
    Teacher,
    /// No source has, and the teacher does not cover the task.
    Nobody,
}

impl LabelsOf {
    /// How the card calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Sources => "sources",
            Self::Teacher => "teacher",
            Self::Nobody => "nobody",
        }
    }
}

/// What a run must know of its teacher after it has taught.
pub(super) struct Distillation {
    pub(super) teacher: ModelIdentity,
    pub(super) covers: BTreeSet<Task>,
    calibration: Calibration,
    /// Whose labels fit calibration and thresholds.
    pub(super) train: BTreeMap<Task, LabelsOf>,
    /// Whose labels choose the checkpoint.
    pub(super) dev: BTreeMap<Task, LabelsOf>,
    /// Hash of the lessons of each source.
    digests: BTreeMap<PathBuf, String>,
    dev_lessons: Vec<Lesson>,
}

impl Distillation {
    /// Hash of what was said of a source's conversations.
    pub(super) fn digest(&self, source: &Source) -> &str {
        self.digests.get(&source.path).map_or("", String::as_str)
    }

    /// Whether the thresholds on risk follow the teacher.
    pub(super) fn risk_follows(&self) -> bool {
        self.train.get(&Task::Risk) == Some(&LabelsOf::Teacher)
    }

    /// The teacher's thresholds of harms, where the student's probabilities follow its own.
    pub(super) fn harm_thresholds(&self) -> Option<&Scores<Harm>> {
        (self.train.get(&Task::Harms) == Some(&LabelsOf::Teacher)).then_some(&self.calibration.harms)
    }

    /// Compares the student with its teacher on the dev sources.
    pub(super) fn agreement<A: Assessor>(
        &self,
        student: &A,
        dev: &[Example],
        sources: &[Source],
    ) -> Result<Vec<(String, Agreement)>, StateError> {
        agreement::by_source(self, student, dev, sources)
    }
}
