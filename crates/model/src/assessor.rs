//! The embedded assessor: the model of a bundle behind the [`Assessor`]
//! interface.

use mindrail_core::assessment::{
    ConversationScores, NotEvaluated, NotEvaluatedReason, ReplyScores, TurnAssessment, TurnScores, UserScores,
};
use mindrail_core::assessor::{Assessor, ModelIdentity, StateError};
use mindrail_core::calibration::Calibration;
use mindrail_core::conversation::{Role, Turn};
use mindrail_core::language::{LanguageCounts, is_supported_script};
use mindrail_core::probability::Probability;
use mindrail_core::reader::plain_text;
use mindrail_core::taxonomy::{CrisisLabel, Harm, ReplyClass, Scores, Severity, Signal, Taxonomy};
use serde::{Deserialize, Serialize};

use crate::architecture::outputs;
use crate::bundle::{Blend, Bundle, BundleError, Mix};
use crate::context::Context;
use crate::ellipsis::{asked, is_bare_answer};
use crate::encoder::{Encoder, TensorSource};
use crate::kernel::{affine, dot, sigmoid, softmax};
use crate::tokenizer::{Extent, Tokenizer};
use crate::train::{CONVERSATION_OUTPUTS, TURN_VECTOR_NORM, WideMemory, WidePart, reply_input};
use crate::wide::{Alphabet, Speaker, features};

/// Version of the layout of [`EmbeddedState`].
const STATE_VERSION: u32 = 4;

/// What the embedded assessor remembers: about 6 KB, and as much again after a question,
/// however long the conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedState {
    version: u32,
    model: String,
    turns: usize,
    context: Vec<f32>,
    /// The newest user turn's vector, which replies are compared with.
    user: Vec<f32>,
    wide: WideMemory,
    /// Deep logits of risk and signals pooled over the user turns.
    pools: Vec<Pool>,
    language: LanguageCounts,
    user_turns: usize,
    /// What the listener has asked just now.
    asked: Option<Asked>,
}

/// A question as the person would say it, in numbers: what a bare answer to it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// One for each segment.
    vectors: Vec<Vec<f32>>,
    /// Hashed words and pairs.
    features: Vec<u32>,
    /// The wide part's logits of the sixteen onsets.
    wide_turn: Vec<f32>,
}

/// A running `log(mean(exp(r z))) / r`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Pool {
    highest: f32,
    /// Sum of `exp(r (z - highest))`.
    sum: f32,
    count: u32,
}

impl Pool {
    const EMPTY: Self = Self { highest: f32::MIN, sum: 0.0, count: 0 };

    fn push(&mut self, logit: f32, sharpness: f32) {
        if logit > self.highest {
            self.sum = self.sum * (sharpness * (self.highest - logit)).exp() + 1.0;
            self.highest = logit;
        } else {
            self.sum += (sharpness * (logit - self.highest)).exp();
        }
        self.count += 1;
    }

    fn value(self, sharpness: f32) -> f32 {
        self.highest + (self.sum / self.count as f32).ln() / sharpness
    }
}

/// The model of a bundle, ready to serve.
pub struct EmbeddedAssessor {
    identity: ModelIdentity,
    tokenizer: Tokenizer,
    encoder: Encoder,
    context: Context,
    user_head: Head,
    reply_head: Head,
    wide: WidePart,
    blend: Blend,
    calibration: Calibration,
    sharpness: f32,
}

struct Head {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Head {
    fn new(source: &dyn TensorSource, name: &str) -> Self {
        Self {
            weight: source.floats(&format!("{name}.weight")),
            bias: source.floats(&format!("{name}.bias")),
        }
    }

    fn logits(&self, input: &[f32]) -> Vec<f32> {
        affine(&self.weight, &self.bias, input)
    }
}

/// A turn's text as the model reads it.
struct Reading {
    plain: String,
    vectors: Vec<Vec<f32>>,
    notes: Vec<NotEvaluatedReason>,
}

impl EmbeddedAssessor {
    /// The assessor of the bundle that is compiled into this program.
    ///
    /// # Errors
    /// [`BundleError`] when the program was built with a damaged bundle.
    pub fn embedded() -> Result<Self, BundleError> {
        Self::new(&Bundle::embedded()?)
    }

    /// The assessor of a bundle.
    ///
    /// # Errors
    /// [`BundleError::Damaged`] when its tokenizer cannot be read.
    pub fn new(bundle: &Bundle) -> Result<Self, BundleError> {
        Self::with_tensors(bundle, bundle)
    }

    /// The assessor of a bundle with its tensors taken from elsewhere, such as
    /// [`crate::bundle::InF32`].
    ///
    /// # Errors
    /// [`BundleError::Damaged`] when its tokenizer cannot be read.
    pub fn with_tensors(bundle: &Bundle, tensors: &dyn TensorSource) -> Result<Self, BundleError> {
        let tokenizer = Tokenizer::from_bytes(&bundle.tokenizer)
            .map_err(|e| BundleError::Damaged { file: "tokenizer.json", reason: e.to_string() })?;
        let architecture = &bundle.manifest.architecture;
        Ok(Self {
            identity: ModelIdentity {
                name: bundle.manifest.name.clone(),
                version: bundle.manifest.version.clone(),
                sha256: bundle.sha256.clone(),
            },
            tokenizer,
            encoder: Encoder::new(architecture, tensors),
            context: Context::new(tensors),
            user_head: Head::new(tensors, "user"),
            reply_head: Head::new(tensors, "reply"),
            wide: bundle.wide.clone(),
            blend: bundle.calibration.blend,
            calibration: bundle.calibration.calibration.clone(),
            sharpness: architecture.pooling_sharpness,
        })
    }

    /// The encoder, for benchmarks.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn read(&self, turn: &Turn) -> Reading {
        let plain = plain_text(&turn.text).into_owned();
        let read = self.tokenizer.segments(&plain);
        let says_something = says_something(&plain);
        let mut notes = Vec::new();
        if turn.role == Role::System {
            notes.push(NotEvaluatedReason::SystemTurn);
        } else if !says_something {
            notes.push(NotEvaluatedReason::EmptyTurn);
        } else {
            if read.extent == Extent::Cut {
                notes.push(NotEvaluatedReason::Truncated);
            }
            if !is_supported_script(&plain) {
                notes.push(NotEvaluatedReason::UnsupportedLanguage);
            }
        }
        let is_read = turn.role != Role::System && says_something;
        let vectors = if is_read { self.vectors(&read.segments) } else { Vec::new() };
        Reading { plain, vectors, notes }
    }

    fn vectors(&self, segments: &[Vec<u32>]) -> Vec<Vec<f32>> {
        segments
            .iter()
            .map(|segment| {
                let mut vector = self.encoder.encode(&[segment]);
                let scale = TURN_VECTOR_NORM / dot(&vector, &vector).sqrt().max(1e-6);
                vector.iter_mut().for_each(|x| *x *= scale);
                vector
            })
            .collect()
    }

    /// What a listener's turn asks, as the person would say it.
    fn asked(&self, plain: &str) -> Option<Asked> {
        let text = asked(plain)?;
        Some(Asked {
            vectors: self.vectors(&self.tokenizer.segments(&text).segments),
            features: features(&text, Speaker::Person, Alphabet::Words),
            wide_turn: self.wide.turn(&text),
        })
    }

    /// Scores a user turn: each segment is a step of the context, and the turn
    /// has the highest score of its segments. A bare answer says what was asked, too.
    fn push_user(&self, state: &mut EmbeddedState, reading: &Reading) -> UserScores {
        let asked = state.asked.take().filter(|_| is_bare_answer(&reading.plain));
        let mut wide_turn = self.wide.turn(&reading.plain);
        if let Some(asked) = &asked {
            self.wide.remember_features(&mut state.wide, asked.features.clone(), Speaker::Person);
            wide_turn.iter_mut().zip(&asked.wide_turn).for_each(|(own, asked)| *own = own.max(*asked));
        }
        self.wide.remember(&mut state.wide, &reading.plain, Speaker::Person);
        state.language.read(&reading.plain);
        let mut deep = vec![f32::NEG_INFINITY; outputs::USER];
        let said = asked.iter().flat_map(|asked| &asked.vectors).chain(&reading.vectors);
        for vector in said {
            state.context = self.context.step(vector, Role::User, &state.context);
            let logits = self.user_head.logits(&[vector.as_slice(), &state.context].concat());
            deep.iter_mut().zip(logits).for_each(|(d, l)| *d = d.max(l));
            state.user.clone_from(vector);
        }
        for (pool, &logit) in state.pools.iter_mut().zip(&deep) {
            pool.push(logit, self.sharpness);
        }
        state.user_turns += 1;
        let (risk, signals) = self.conversation_scores(state, |output| deep[output]);
        UserScores {
            risk,
            crisis: Scores::from_fn(|label: CrisisLabel| {
                let i = label.index();
                Probability::from_logit(
                    self.blend.crisis(label).apply(deep[outputs::CRISIS + i], wide_turn[i]),
                )
            }),
            signals,
        }
    }

    /// Calibrated risk and signals from deep logits and the wide memory.
    fn conversation_scores(
        &self,
        state: &EmbeddedState,
        deep: impl Fn(usize) -> f32,
    ) -> (Probability, Scores<Signal>) {
        let wide = self.wide.conversation(&state.wide);
        let logit = |mix: Mix, output: usize| mix.apply(deep(output), wide[output]);
        let signals = Scores::from_fn(|signal: Signal| {
            Probability::from_logit(logit(self.blend.signals, outputs::SIGNALS + signal.index()))
        });
        (self.calibration.risk(logit(self.blend.risk, outputs::RISK), &signals), signals)
    }

    /// Scores an assistant turn in the context before it, then takes it into
    /// the context.
    fn push_assistant(&self, state: &mut EmbeddedState, reading: &Reading) -> ReplyScores {
        let wide = self.wide.reply(&reading.plain);
        let deep: Vec<Vec<f32>> = reading
            .vectors
            .iter()
            .map(|vector| self.reply_head.logits(&reply_input(vector, &state.context, &state.user)))
            .collect();
        self.wide.remember(&mut state.wide, &reading.plain, Speaker::Listener);
        for vector in &reading.vectors {
            state.context = self.context.step(vector, Role::Assistant, &state.context);
        }
        state.asked = self.asked(&reading.plain);
        worst_reply(deep.iter().map(|deep| reply_scores(&self.blend, deep, &wide)))
    }

    fn conversation(&self, state: &EmbeddedState) -> Option<ConversationScores> {
        if state.user_turns == 0 {
            return None;
        }
        let (risk, signals) =
            self.conversation_scores(state, |output| state.pools[output].value(self.sharpness));
        Some(ConversationScores { risk, signals, language: state.language.language() })
    }

    /// What a state is stamped with.
    fn stamp(&self) -> String {
        let ModelIdentity { name, version, sha256 } = &self.identity;
        format!("{name} {version} ({})", &sha256[..12.min(sha256.len())])
    }
}

impl Assessor for EmbeddedAssessor {
    type State = EmbeddedState;

    fn start(&self) -> EmbeddedState {
        EmbeddedState {
            version: STATE_VERSION,
            model: self.stamp(),
            turns: 0,
            context: vec![0.0; self.context.width()],
            user: vec![0.0; self.encoder.width()],
            wide: WideMemory::empty(),
            pools: vec![Pool::EMPTY; CONVERSATION_OUTPUTS],
            language: LanguageCounts::default(),
            user_turns: 0,
            asked: None,
        }
    }

    fn push(&self, state: &mut EmbeddedState, turn: &Turn) -> Result<TurnAssessment, StateError> {
        if state.version != STATE_VERSION || state.model != self.stamp() {
            return Err(StateError {
                found: format!("{}, layout {}", state.model, state.version),
                expected: format!("{}, layout {STATE_VERSION}", self.stamp()),
            });
        }
        let index = state.turns;
        state.turns += 1;
        let mut reading = self.read(turn);
        let scores = match turn.role {
            _ if reading.vectors.is_empty() => TurnScores::None,
            Role::User => TurnScores::User(self.push_user(state, &reading)),
            Role::Assistant => TurnScores::Assistant(self.push_assistant(state, &reading)),
            Role::System => TurnScores::None,
        };
        let unsupported = NotEvaluatedReason::UnsupportedLanguage;
        if turn.role == Role::User && state.language.is_foreign() && !reading.notes.contains(&unsupported) {
            reading.notes.push(unsupported);
        }
        let not_evaluated =
            reading.notes.iter().map(|&reason| NotEvaluated { turn: Some(index), reason }).collect();
        Ok(TurnAssessment {
            index,
            role: turn.role,
            scores,
            conversation: self.conversation(state),
            not_evaluated,
            values: std::collections::BTreeMap::new(),
        })
    }

    fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    fn model(&self) -> &ModelIdentity {
        &self.identity
    }
}

/// Whether a text holds a letter, a digit, or a symbol such as an emoji: "..." says
/// nothing that could be scored.
fn says_something(text: &str) -> bool {
    text.chars().any(|c| c.is_alphanumeric() || c >= '\u{2190}')
}

/// Reply scores from deep and wide logits.
pub(crate) fn reply_scores(blend: &Blend, deep: &[f32], wide: &[f32]) -> ReplyScores {
    let classes = blended_softmax(blend.classes, &deep[..outputs::HARMS], &wide[..outputs::HARMS]);
    let severity = blended_softmax(blend.severity, &deep[outputs::SEVERITY..], &wide[outputs::SEVERITY..]);
    let at = |values: &[f32], index: usize| {
        Probability::new(values[index].clamp(0.0, 1.0)).unwrap_or(Probability::ONE)
    };
    ReplyScores {
        classes: Scores::from_fn(|class: ReplyClass| at(&classes, class.index())),
        harms: Scores::from_fn(|harm: Harm| {
            let i = outputs::HARMS + harm.index();
            at(&[sigmoid(blend.harms.apply(deep[i], wide[i]))], 0)
        }),
        severity: Scores::from_fn(|level: Severity| at(&severity, level.index())),
    }
}

fn blended_softmax(mix: Mix, deep: &[f32], wide: &[f32]) -> Vec<f32> {
    let mut row: Vec<f32> = deep.iter().zip(wide).map(|(&d, &w)| mix.apply(d, w)).collect();
    softmax(&mut row);
    row
}

/// Of a reply's segments, the classes and severity of the least safe one, and
/// the highest of each harm.
fn worst_reply(segments: impl Iterator<Item = ReplyScores>) -> ReplyScores {
    let uniform = ReplyScores {
        classes: Scores::uniform(Probability::ZERO),
        harms: Scores::uniform(Probability::ZERO),
        severity: Scores::uniform(Probability::ZERO),
    };
    segments
        .reduce(|a, b| {
            let harms = a.harms.max(&b.harms);
            let safer = |s: &ReplyScores| s.classes[ReplyClass::SafeResponse];
            let worst = if safer(&b) < safer(&a) { b } else { a };
            ReplyScores { harms, ..worst }
        })
        .unwrap_or(uniform)
}
