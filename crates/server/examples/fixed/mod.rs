//! A judge of no cost, to measure everything but the model.

use mindrail_core::assessment::{ConversationScores, ReplyScores, TurnAssessment, TurnScores, UserScores};
use mindrail_core::assessor::{Assessor, ModelIdentity, StateError};
use mindrail_core::calibration::{Calibration, Platt, RiskThreshold, RiskThresholds, SignalFloor};
use mindrail_core::conversation::{Role, Turn};
use mindrail_core::language::Language;
use mindrail_core::probability::Probability;
use mindrail_core::taxonomy::{ReplyClass, Scores, Severity};

/// Calls everything calm and safe, at no cost.
pub(crate) struct Fixed(Calibration, ModelIdentity);

impl Assessor for Fixed {
    type State = (usize, bool);

    fn start(&self) -> Self::State {
        (0, false)
    }

    fn push(&self, (turns, any): &mut Self::State, turn: &Turn) -> Result<TurnAssessment, StateError> {
        let index = *turns;
        *turns += 1;
        *any |= turn.role == Role::User;
        let one = |yes| if yes { Probability::ONE } else { Probability::ZERO };
        let scores = match turn.role {
            Role::System => TurnScores::None,
            Role::User => TurnScores::User(UserScores {
                risk: Probability::ZERO,
                signals: Scores::uniform(Probability::ZERO),
                crisis: Scores::uniform(Probability::ZERO),
            }),
            Role::Assistant => TurnScores::Assistant(ReplyScores {
                classes: Scores::from_fn(|class: ReplyClass| one(class.is_safe())),
                harms: Scores::uniform(Probability::ZERO),
                severity: Scores::from_fn(|severity| one(severity == Severity::None)),
            }),
        };
        let conversation = any.then(|| ConversationScores {
            risk: Probability::ZERO,
            signals: Scores::uniform(Probability::ZERO),
            language: Language::En,
        });
        Ok(TurnAssessment {
            index,
            role: turn.role,
            scores,
            conversation,
            not_evaluated: Vec::new(),
            values: std::collections::BTreeMap::new(),
        })
    }

    fn calibration(&self) -> &Calibration {
        &self.0
    }

    fn model(&self) -> &ModelIdentity {
        &self.1
    }
}

/// The judge.
pub(crate) fn fixed() -> Fixed {
    let p = |value| Probability::new(value).expect("a probability");
    let at = |value| RiskThreshold::without_provenance(p(value));
    let thresholds = |language| (language, RiskThresholds { high_risk: at(0.6), support: at(0.3) });
    let calibration = Calibration {
        risk: Platt::IDENTITY,
        floor: SignalFloor { certain: p(0.9) },
        certain_confirm: at(0.7),
        thresholds: Language::ALL.into_iter().map(thresholds).collect(),
        signals: Scores::uniform(p(0.5)),
        crisis: Scores::uniform(p(0.5)),
        unsafe_reply: p(0.5),
        replies: Scores::uniform(p(0.5)),
        harms: Scores::uniform(p(0.5)),
        risk_tenths: None,
    };
    let identity = ModelIdentity { name: "fixed".into(), version: "1".into(), sha256: "0".repeat(64) };
    Fixed(calibration, identity)
}
