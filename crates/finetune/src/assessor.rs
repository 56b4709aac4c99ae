//! A fine-tuned model behind the [`Assessor`] interface. It says what it was trained for;
//! for all else the embedded model speaks, so that no taxonomy is silently left at "safe".
//!
//! The published models read a whole conversation anew at every turn, and so does this
//! one: the state holds the turns so far, and the cost of a turn grows with them. For what
//! such a model knows at the embedded model's price, see `mindrail train distill`.

use std::collections::BTreeMap;

use mindrail_core::assessment::{
    NotEvaluated, NotEvaluatedReason, ReplyScores, TurnAssessment, TurnScores, UserScores,
};
use mindrail_core::assessor::{Assessor, ModelIdentity, StateError};
use mindrail_core::calibration::{Calibration, RiskThreshold, RiskThresholds, SignalCalibration};
use mindrail_core::conversation::{Role, Turn};
use mindrail_core::digest::sha256;
use mindrail_core::language::Language;
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Scores, Severity, Signal, Taxonomy};
use mindrail_model::assessor::{EmbeddedAssessor, EmbeddedState};
use serde::{Deserialize, Serialize};

use crate::bundle::{CALIBRATION, FineTuned, LABEL_THRESHOLDS};
use crate::error::{Error, IoContext as _};
use crate::figures::probabilities;
use crate::job::sha256_of;
use crate::labels::{LABEL_TASKS, LabelCalibration, threshold_names};
use crate::rendering::{Cut, Kept};
use crate::rows::{Input, Task};

/// Version of the layout of [`FineTunedState`].
const STATE_VERSION: u32 = 1;

/// A call of a label that nobody has chosen a threshold for.
const UNCHOSEN: f32 = 0.5;

/// A fine-tuned model with the embedded one beside it.
#[derive(Debug)]
pub struct FineTunedAssessor {
    model: FineTuned,
    beside: Beside,
    identity: ModelIdentity,
    calibration: Calibration,
    risk: Option<SignalCalibration>,
    labels: Option<LabelCalibration>,
}

/// The embedded assessor, which has nothing to show for itself.
struct Beside(EmbeddedAssessor);

impl std::fmt::Debug for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.model().name)
    }
}

/// What a fine-tuned assessor remembers: the turns, and the highest outputs so far.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FineTunedState {
    version: u32,
    model: String,
    turns: Vec<Turn>,
    /// The highest of each output that makes the risk, at any user turn: what was said
    /// stays said. Empty before the first that was read.
    outputs: Vec<f32>,
    beside: EmbeddedState,
}

impl std::fmt::Debug for FineTunedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the texts.
        write!(f, "FineTunedState({} turns of {})", self.turns.len(), self.model)
    }
}

impl FineTunedAssessor {
    /// The assessor of a bundle, with what `mindrail calibrate` has written into it.
    ///
    /// # Errors
    /// If the calibration cannot be read or is of another model's outputs, or the program
    /// was built with a damaged embedded bundle.
    pub fn new(model: FineTuned) -> Result<Self, Error> {
        let beside = EmbeddedAssessor::embedded()
            .map_err(|e| Error::new("the embedded model", e, "the bundle that was built in"))?;
        let risk = calibration_of(&model)?;
        let labels = LabelCalibration::of_bundle(&model)?;
        let mut calibration = calibration(&model, beside.calibration(), risk.as_ref());
        if let Some(labels) = &labels {
            labels.apply(&mut calibration);
        }
        let identity = ModelIdentity {
            name: model.manifest().name.clone(),
            version: model.manifest().version.clone(),
            sha256: identity_of(&model)?,
        };
        Ok(Self { model, beside: Beside(beside), identity, calibration, risk, labels })
    }

    /// What must be known before its answers are believed.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = self.model.manifest().marks.clone();
        if self.model.risk_task().is_some() && self.risk.is_none() {
            let word =
                "not calibrated: risk is called at 0.5, which nobody has chosen; see `mindrail calibrate`";
            remarks.push(word.to_owned());
        }
        remarks.extend(LABEL_TASKS.iter().filter_map(|task| self.unchosen(*task)));
        let own: Vec<&str> = self.model.tasks().map(Task::wire).collect();
        remarks.push(format!("says {}; all else is the embedded model's", own.join(", ")));
        remarks
    }

    /// That some labels of a task are called at a threshold that nobody has chosen.
    fn unchosen(&self, task: Task) -> Option<String> {
        let names = threshold_names(task);
        let has = |name: &&&str| self.labels.as_ref().is_some_and(|labels| labels.of(task, name).is_some());
        let without = names.len() - names.iter().filter(has).count();
        (without > 0 && self.has(task)).then(|| {
            format!(
                "{}: {without} of {} thresholds are 0.5, which nobody has chosen; see `mindrail calibrate`",
                task.wire(),
                names.len()
            )
        })
    }

    /// The bundle.
    pub const fn bundle(&self) -> &FineTuned {
        &self.model
    }

    fn has(&self, task: Task) -> bool {
        self.model.was_trained_for(task)
    }

    /// Probabilities, or scores, of every task of an input, and what was cut of it. None
    /// where nothing is left of the text that was to be judged.
    fn asked(&self, input: &Input) -> Result<(BTreeMap<Task, Vec<f32>>, Cut), Error> {
        let encoded = self.model.renderer().render(input);
        let encoded = encoded.map_err(|e| Error::new("a turn", e, "text that the tokenizer reads"))?;
        if encoded.ids.is_empty() || encoded.cut.judged == Kept::Nothing {
            return Ok((BTreeMap::new(), encoded.cut));
        }
        let logits = self.model.network().logits(&[&encoded])?;
        let of = |(task, mut rows): (Task, Vec<Vec<f32>>)| (task, probabilities(task, &rows.remove(0)));
        Ok((self.model.tasks().zip(logits).map(of).collect(), encoded.cut))
    }

    fn user(&self, state: &mut FineTunedState, scores: &mut UserScores, said: &BTreeMap<Task, Vec<f32>>) {
        if let Some(found) = said.get(&Task::Signals) {
            scores.signals = labels(found);
        }
        if let Some(found) = said.get(&Task::Onsets) {
            scores.crisis = labels::<CrisisLabel>(found);
        }
        let Some(found) = self.model.risk_task().and_then(|task| said.get(&task)) else { return };
        scores.risk = self.risk_of(found);
        state.outputs.resize(found.len(), 0.0);
        state.outputs.iter_mut().zip(found).for_each(|(highest, one)| *highest = highest.max(*one));
    }

    /// Calibrated risk; without a calibration the highest output, as KHP's guardrail does
    /// where its head is missing.
    fn risk_of(&self, outputs: &[f32]) -> Probability {
        let outputs: Vec<Probability> = outputs.iter().map(|p| probability(*p)).collect();
        match &self.risk {
            // As many as when it was opened; what cannot be computed is never called safe.
            Some(risk) => risk.apply(&outputs).unwrap_or(Probability::ONE),
            None => outputs.into_iter().fold(Probability::ZERO, Probability::max),
        }
    }

    fn stamp(&self) -> String {
        format!("{} {}", self.identity.name, self.identity.sha256)
    }

    /// Fills in what the model says of a turn that the embedded one has scored.
    fn fill(
        &self,
        state: &mut FineTunedState,
        turn: &Turn,
        assessment: &mut TurnAssessment,
    ) -> Result<(), Error> {
        let is_reply = turn.role == Role::Assistant;
        let is_asked = self.model.tasks().any(|task| task.is_of_reply() == is_reply);
        if !is_asked || assessment.scores == TurnScores::None {
            return Ok(());
        }
        let (said, cut) = self.asked(&if is_reply {
            Input::reply(&state.turns, &turn.text)
        } else {
            Input::conversation([state.turns.as_slice(), std::slice::from_ref(turn)].concat())
        })?;
        // What stood before was read in its own time; a cut there is no cut of this turn.
        if cut.judged != Kept::Whole {
            let reason = NotEvaluatedReason::Truncated;
            assessment.not_evaluated.push(NotEvaluated { turn: Some(assessment.index), reason });
        }
        let is_held_to_its_own = !is_reply || self.has(Task::ReplyClass) || self.has(Task::Harms);
        if cut.judged == Kept::Nothing && is_held_to_its_own {
            // The embedded model's scores would be held to this model's thresholds.
            assessment.scores = TurnScores::None;
            return Ok(());
        }
        match &mut assessment.scores {
            TurnScores::User(scores) => self.user(state, scores, &said),
            TurnScores::Assistant(scores) => reply(scores, &said, &mut assessment.values),
            TurnScores::None => {}
        }
        self.forget_notes(assessment);
        Ok(())
    }

    /// Takes off what the embedded model could not read, where none of a turn's scores that
    /// decide are its own.
    fn forget_notes(&self, assessment: &mut TurnAssessment) {
        let is_own = match assessment.scores {
            TurnScores::User(_) => self.model.risk_task().is_some() && self.has(Task::Onsets),
            TurnScores::Assistant(_) => self.has(Task::ReplyClass),
            TurnScores::None => false,
        };
        if is_own {
            assessment.not_evaluated.retain(|note| note.reason != NotEvaluatedReason::UnsupportedLanguage);
        }
    }

    /// The conversation's risk is this model's at every turn, also where it read nothing: the
    /// embedded model's would be held to thresholds that are not its own.
    fn carry(&self, state: &FineTunedState, assessment: &mut TurnAssessment) {
        let Some(task) = self.model.risk_task() else { return };
        if state.outputs.is_empty() {
            assessment.conversation = None;
            return;
        }
        if let Some(conversation) = &mut assessment.conversation {
            conversation.risk = self.risk_of(&state.outputs);
            if task == Task::Signals {
                conversation.signals = labels::<Signal>(&state.outputs);
            }
        }
    }
}

impl Assessor for FineTunedAssessor {
    type State = FineTunedState;

    fn start(&self) -> FineTunedState {
        FineTunedState {
            version: STATE_VERSION,
            model: self.stamp(),
            turns: Vec::new(),
            outputs: Vec::new(),
            beside: self.beside.0.start(),
        }
    }

    fn push(&self, state: &mut FineTunedState, turn: &Turn) -> Result<TurnAssessment, StateError> {
        if state.version != STATE_VERSION || state.model != self.stamp() {
            return Err(StateError {
                found: format!("{}, layout {}", state.model, state.version),
                expected: format!("{}, layout {STATE_VERSION}", self.stamp()),
            });
        }
        let mut assessment = self.beside.0.push(&mut state.beside, turn)?;
        if self.fill(state, turn, &mut assessment).is_err() {
            // The numeric library failed, as when a device has no memory left. The embedded
            // model's scores would be held to this model's thresholds.
            assessment.scores = TurnScores::None;
            let reason = NotEvaluatedReason::ModelUnavailable;
            assessment.not_evaluated.push(NotEvaluated { turn: Some(assessment.index), reason });
        }
        self.carry(state, &mut assessment);
        state.turns.push(turn.clone());
        Ok(assessment)
    }

    fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    fn model(&self) -> &ModelIdentity {
        &self.identity
    }
}

/// A probability that a model gave; what cannot be computed is never called safe.
pub fn probability(value: f32) -> Probability {
    Probability::new(value).unwrap_or(Probability::ONE)
}

pub(crate) fn labels<T: Taxonomy>(found: &[f32]) -> Scores<T> {
    Scores::from_fn(|label: T| probability(found.get(label.index()).copied().unwrap_or(f32::NAN)))
}

fn reply(scores: &mut ReplyScores, said: &BTreeMap<Task, Vec<f32>>, values: &mut BTreeMap<String, f32>) {
    for (task, found) in said {
        match task {
            Task::ReplyClass => scores.classes = labels::<ReplyClass>(found),
            Task::Harms => scores.harms = labels::<Harm>(found),
            Task::Severity => scores.severity = labels::<Severity>(found),
            Task::Reward | Task::Cost => {
                values.insert(task.wire().to_owned(), found[0]);
            }
            Task::BeaverHarms => {
                let named = task.labels().into_iter().zip(found);
                values.extend(named.map(|(label, p)| (format!("{}.{label}", task.wire()), *p)));
            }
            Task::Signals | Task::Risk | Task::Onsets => {}
        }
    }
}

/// The hash of the manifest, and of what was calibrated later: all of them decide.
fn identity_of(model: &FineTuned) -> Result<String, Error> {
    let later = [CALIBRATION, LABEL_THRESHOLDS].map(|name| model.folder().join(name));
    later.iter().filter(|path| path.is_file()).try_fold(model.sha256().to_owned(), |identity, path| {
        Ok(sha256(format!("{identity} {}", sha256_of(path)?).as_bytes()))
    })
}

fn calibration_of(model: &FineTuned) -> Result<Option<SignalCalibration>, Error> {
    let path = model.folder().join(CALIBRATION);
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&path).at(&path)?;
    let found = SignalCalibration::from_json(&path.display().to_string(), &text)
        .map_err(|e| Error::new(path.display(), e, "what `mindrail calibrate --bundle` writes"))?;
    let expected = model.risk_task().map(Task::outputs);
    if expected != Some(found.outputs.count()) {
        let wrong = format!("a calibration of {} outputs", found.outputs.count());
        return Err(Error::new(path.display(), wrong, format!("of {expected:?}")));
    }
    if found.model.as_deref().is_some_and(|fitted| fitted != model.sha256()) {
        return Err(Error::new(path.display(), "a calibration of another model", "one of this bundle"));
    }
    Ok(Some(found))
}

/// The embedded model's calibration with what is this model's own in its place. Thresholds
/// of the embedded model say nothing of another model's probabilities.
fn calibration(model: &FineTuned, beside: &Calibration, risk: Option<&SignalCalibration>) -> Calibration {
    let mut calibration = beside.clone();
    let unchosen = probability(UNCHOSEN);
    let has = |task| model.was_trained_for(task);
    if model.risk_task().is_some() {
        calibration.risk_tenths = None;
        for (language, thresholds) in &mut calibration.thresholds {
            *thresholds = thresholds_of(risk, *language);
        }
    }
    if has(Task::Signals) {
        calibration.signals = Scores::uniform(unchosen);
    }
    if has(Task::Onsets) {
        calibration.crisis = Scores::uniform(unchosen);
        calibration.certain_confirm = RiskThreshold::without_provenance(unchosen);
    }
    if has(Task::ReplyClass) {
        calibration.replies = Scores::uniform(unchosen);
        calibration.unsafe_reply = unchosen;
    }
    if has(Task::Harms) {
        calibration.harms = Scores::uniform(unchosen);
    }
    calibration
}

fn thresholds_of(risk: Option<&SignalCalibration>, language: Language) -> RiskThresholds {
    let Some(risk) = risk else {
        let unknown = RiskThreshold::without_provenance(probability(UNCHOSEN));
        return RiskThresholds { high_risk: unknown.clone(), support: unknown };
    };
    let chosen = risk.thresholds.of(Some(language)).clone();
    let mut thresholds = RiskThresholds { high_risk: chosen.clone(), support: chosen };
    // A band decides in the place of the threshold: above it a human is called, within it
    // there is support.
    if let Some(band) = &risk.abstain {
        let at = |value| RiskThreshold {
            value,
            target: "abstain band".to_owned(),
            ..thresholds.high_risk.clone()
        };
        let high = band.high.map_or(Probability::ONE, |end| end.value);
        let low = band.low.map_or(Probability::ZERO, |end| end.value);
        thresholds = RiskThresholds { high_risk: at(high), support: at(if low < high { low } else { high }) };
    }
    thresholds
}

/// Either kind of assessor, for whatever takes a bundle of any kind.
pub enum AnyAssessor {
    /// The embedded model.
    Embedded(Box<EmbeddedAssessor>),
    /// A fine-tuned one.
    FineTuned(Box<FineTunedAssessor>),
}

/// The state of either.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AnyState {
    /// Of the embedded model.
    Embedded(Box<EmbeddedState>),
    /// Of a fine-tuned one.
    FineTuned(Box<FineTunedState>),
}

impl Assessor for AnyAssessor {
    type State = AnyState;

    fn start(&self) -> AnyState {
        match self {
            Self::Embedded(one) => AnyState::Embedded(Box::new(one.start())),
            Self::FineTuned(one) => AnyState::FineTuned(Box::new(one.start())),
        }
    }

    fn push(&self, state: &mut AnyState, turn: &Turn) -> Result<TurnAssessment, StateError> {
        match (self, state) {
            (Self::Embedded(one), AnyState::Embedded(state)) => one.push(state, turn),
            (Self::FineTuned(one), AnyState::FineTuned(state)) => one.push(state, turn),
            (Self::Embedded(_), _) => Err(self.foreign("a fine-tuned model")),
            (Self::FineTuned(_), _) => Err(self.foreign("the embedded model")),
        }
    }

    fn calibration(&self) -> &Calibration {
        match self {
            Self::Embedded(one) => one.calibration(),
            Self::FineTuned(one) => one.calibration(),
        }
    }

    fn model(&self) -> &ModelIdentity {
        match self {
            Self::Embedded(one) => one.model(),
            Self::FineTuned(one) => one.model(),
        }
    }
}

impl AnyAssessor {
    /// Whether it was trained for a task; the embedded model was for all that it scores.
    pub fn was_trained_for(&self, task: Task) -> bool {
        match self {
            Self::Embedded(_) => !matches!(task, Task::BeaverHarms | Task::Reward | Task::Cost),
            Self::FineTuned(one) => one.has(task),
        }
    }

    fn foreign(&self, found: &str) -> StateError {
        StateError { found: found.to_owned(), expected: self.model().name.clone() }
    }
}
