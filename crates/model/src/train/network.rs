//! The whole deep network over one batch of conversations: encoder, context,
//! heads and losses, forward and backward.

use mindrail_core::conversation::Role;
use mindrail_core::taxonomy::{Harm, ReplyClass, Signal, Taxonomy};
use serde::{Deserialize, Serialize};

use super::context::{Context, StepCache};
use super::encoder::Encoder;
use super::examples::{Example, LabelledReply};
use super::layers::Linear;
use super::objective::{binary, categorical, pool};
use super::targets::{ReplyTargets, TurnTargets};
use crate::architecture::{Architecture, ROLE_INPUTS, outputs};
use crate::kernel::{add_scaled, dot};
use crate::parameters::Parameters;
use crate::random::Random;

/// Length of every turn vector; the encoder's own length carries nothing.
pub(crate) const TURN_VECTOR_NORM: f32 = 5.0;

/// The number of harms, among which the weight of their loss is shared.
const HARM_COUNT: f32 = Harm::ALL.len() as f32;

/// How much more a harm counts than its absence.
const HARM_POSITIVE: f32 = 3.0;

/// Weights of the losses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// Conversation risk, through the pooling.
    pub risk: f32,
    /// Risk at each turn, where crisis labels say when it began.
    pub turn_risk: f32,
    /// The nine signals, through the pooling.
    pub signals: f32,
    /// The sixteen crisis onsets at each user turn.
    pub crisis: f32,
    /// How much more an onset counts than its absence.
    pub crisis_positive: f32,
    /// Reply classes.
    pub reply: f32,
    /// Harms and severity.
    pub harm: f32,
    /// Share of turn-vector and context numbers that are dropped in training.
    pub dropout: f32,
}

/// The part of an example that one step trains on.
pub(super) struct Sample<'a> {
    pub(super) example: &'a Example,
    /// Weight of all its losses.
    pub(super) weight: f32,
    /// Turns that are read, ascending.
    pub(super) turns: Vec<usize>,
    /// Replies that are judged; each answers a turn that is read.
    pub(super) replies: Vec<usize>,
}

/// The network as places in a parameter array.
pub(super) struct Network {
    encoder: Encoder,
    context: Context,
    user: Linear,
    reply: Linear,
    width: usize,
    sharpness: f32,
    loss: LossConfig,
    class_weights: Vec<f32>,
}

/// Logits of one sample.
pub(super) struct SampleLogits {
    /// For each user turn that was read: its index and its logits.
    pub(super) user: Vec<(usize, Vec<f32>)>,
    /// For each reply that was judged, its logits.
    pub(super) replies: Vec<Vec<f32>>,
}

/// Whether numbers are dropped.
pub(super) enum Mode<'a> {
    Train(&'a mut Random),
    Evaluate,
}

/// What the backward pass needs of one sample.
struct SampleTrace {
    places: Places,
    steps: Vec<StepCache>,
    states: Vec<Vec<f32>>,
    user_inputs: Vec<(usize, Vec<f32>)>,
    replies: Vec<ReplyTrace>,
}

/// What the backward pass needs of one judged reply.
struct ReplyTrace {
    /// The step whose turn it answers.
    step: usize,
    /// That turn's vector.
    user: Vec<f32>,
    input: Vec<f32>,
}

/// Where a sample's texts stand among the batch's texts.
#[derive(Clone)]
struct Places {
    /// One per turn that is read.
    turns: Vec<usize>,
    /// One per reply that is judged.
    replies: Vec<usize>,
}

/// Turn vectors of fixed length with what their gradient needs.
struct TurnVectors {
    /// After dropout.
    rows: Vec<f32>,
    /// Before dropout.
    whole: Vec<f32>,
    scales: Vec<f32>,
    mask: Vec<f32>,
}

impl Network {
    pub(super) fn new(
        architecture: &Architecture,
        parameters: &Parameters,
        loss: &LossConfig,
        first_trained: usize,
    ) -> Self {
        Self {
            encoder: Encoder::new(architecture, parameters, first_trained),
            context: Context::new(parameters),
            user: Linear::named(parameters, "user"),
            reply: Linear::named(parameters, "reply"),
            width: architecture.width,
            sharpness: architecture.pooling_sharpness,
            loss: loss.clone(),
            class_weights: vec![1.0; ReplyClass::ALL.len()],
        }
    }

    /// Sets the weight of each reply class in its loss.
    pub(super) fn set_class_weights(&mut self, weights: Vec<f32>) {
        self.class_weights = weights;
    }

    /// Logits of every sample, read with all its turns and with the person's
    /// turns only; every text is encoded once.
    pub(super) fn predict_views(&self, values: &[f32], batch: &[Sample<'_>]) -> Vec<[SampleLogits; 2]> {
        let (texts, places) = batch_texts(batch);
        let vectors =
            TurnVectors::new(self.encoder.forward(values, &texts).0, self.width, &mut Mode::Evaluate, 0.0);
        batch
            .iter()
            .zip(places)
            .map(|(sample, places)| {
                let (person, person_places) = sample.person_only(&places);
                let all = self.sample_forward(values, sample, places, &vectors.rows).0;
                [all, self.sample_forward(values, &person, person_places, &vectors.rows).0]
            })
            .collect()
    }

    /// The batch's mean loss; adds its gradients.
    pub(super) fn learn(
        &self,
        values: &[f32],
        batch: &[Sample<'_>],
        random: &mut Random,
        gradients: &mut [f32],
    ) -> f32 {
        let (logits, traces, vectors, cache) = self.forward(values, batch, &mut Mode::Train(random));
        let mut d_vectors = vec![0.0; vectors.rows.len()];
        let mut total = 0.0;
        for ((sample, logits), trace) in batch.iter().zip(&logits).zip(&traces) {
            let (loss, d_user, d_replies) = self.sample_loss(sample, logits, 1.0 / batch.len() as f32);
            total += loss;
            self.sample_backward(values, trace, (&d_user, &d_replies), gradients, &mut d_vectors);
        }
        let d_pooled = vectors.backward(&d_vectors, self.width);
        self.encoder.backward(values, &cache, &d_pooled, gradients);
        total
    }

    fn forward(
        &self,
        values: &[f32],
        batch: &[Sample<'_>],
        mode: &mut Mode<'_>,
    ) -> (Vec<SampleLogits>, Vec<SampleTrace>, TurnVectors, super::encoder::EncoderCache) {
        let (texts, places) = batch_texts(batch);
        let (pooled, cache) = self.encoder.forward(values, &texts);
        let vectors = TurnVectors::new(pooled, self.width, mode, self.loss.dropout);
        let (mut logits, mut traces) = (Vec::new(), Vec::new());
        for (sample, places) in batch.iter().zip(places) {
            let (l, t) = self.sample_forward(values, sample, places, &vectors.rows);
            logits.push(l);
            traces.push(t);
        }
        (logits, traces, vectors, cache)
    }

    fn sample_forward(
        &self,
        values: &[f32],
        sample: &Sample<'_>,
        places: Places,
        vectors: &[f32],
    ) -> (SampleLogits, SampleTrace) {
        let vector = |text: usize| &vectors[text * self.width..][..self.width];
        let mut trace = SampleTrace {
            places,
            steps: Vec::new(),
            states: Vec::new(),
            user_inputs: Vec::new(),
            replies: Vec::new(),
        };
        let mut logits = SampleLogits { user: Vec::new(), replies: Vec::new() };
        let mut state = vec![0.0; self.context.width()];
        for (step, &turn) in sample.turns.iter().enumerate() {
            let (role, vector) = (sample.example.turns[turn].role, vector(trace.places.turns[step]));
            let cache;
            (state, cache) = self.context.step(values, context_input(vector, role), &state);
            if role == Role::User {
                let input = [vector, &state].concat();
                logits.user.push((turn, self.user.forward(values, &input)));
                trace.user_inputs.push((step, input));
            }
            trace.steps.push(cache);
            trace.states.push(state.clone());
        }
        for (&reply, &place) in sample.replies.iter().zip(&trace.places.replies) {
            let step = step_of(sample, &sample.example.replies[reply]);
            let user = vector(trace.places.turns[step]);
            let input = reply_input(vector(place), &trace.states[step], user);
            logits.replies.push(self.reply.forward(values, &input));
            trace.replies.push(ReplyTrace { step, user: user.to_vec(), input });
        }
        (logits, trace)
    }

    /// Loss of one sample with the gradients of its logits, times `share`.
    fn sample_loss(
        &self,
        sample: &Sample<'_>,
        logits: &SampleLogits,
        share: f32,
    ) -> (f32, Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let weight = share * sample.weight;
        let mut d_user: Vec<Vec<f32>> = logits.user.iter().map(|(_, l)| vec![0.0; l.len()]).collect();
        let mut d_replies: Vec<Vec<f32>> = logits.replies.iter().map(|l| vec![0.0; l.len()]).collect();
        let targets = sample.example.targets();
        let mut loss = 0.0;
        if let Some(target) = targets.risk {
            loss += self.pooled_loss(logits, outputs::RISK, target, weight * self.loss.risk, &mut d_user);
        }
        for (i, &target) in targets.signals.iter().flatten().enumerate() {
            let weight = weight * self.loss.signals / Signal::ALL.len() as f32;
            loss += self.pooled_loss(logits, outputs::SIGNALS + i, target, weight, &mut d_user);
        }
        loss += self.turn_losses(&targets.turns, logits, weight, &mut d_user);
        for ((&index, logits), d) in sample.replies.iter().zip(&logits.replies).zip(&mut d_replies) {
            let weight = weight / sample.replies.len() as f32;
            loss += self.reply_loss(&targets.replies[index], logits, weight, d);
        }
        (loss, d_user, d_replies)
    }

    fn pooled_loss(
        &self,
        logits: &SampleLogits,
        output: usize,
        target: f32,
        weight: f32,
        d_user: &mut [Vec<f32>],
    ) -> f32 {
        let column: Vec<f32> = logits.user.iter().map(|(_, l)| l[output]).collect();
        let (pooled, shares) = pool(&column, self.sharpness);
        let (loss, derivative) = binary(pooled, target, weight, 1.0);
        for (d, share) in d_user.iter_mut().zip(shares) {
            d[output] += derivative * share;
        }
        loss
    }

    /// Turn-level risk and crisis onsets. Later turns about an event count as
    /// turns without an onset; leaving them out was measured and did not help.
    fn turn_losses(
        &self,
        targets: &[TurnTargets],
        logits: &SampleLogits,
        weight: f32,
        d_user: &mut [Vec<f32>],
    ) -> f32 {
        let known = logits.user.iter().filter(|(turn, _)| targets[*turn].risk.is_some()).count();
        let per_risk = weight * self.loss.turn_risk / known.max(1) as f32;
        let per_turn = weight * self.loss.crisis / logits.user.len() as f32;
        let mut total = 0.0;
        for ((turn, logits), d) in logits.user.iter().zip(d_user) {
            let targets = &targets[*turn];
            if let Some(risk) = targets.risk {
                let (loss, g) = binary(logits[outputs::RISK], risk, per_risk, 1.0);
                total += loss;
                d[outputs::RISK] += g;
            }
            for (i, &target) in targets.crisis.iter().flatten().enumerate() {
                let place = outputs::CRISIS + i;
                let (loss, g) = binary(logits[place], target, per_turn, self.loss.crisis_positive);
                total += loss;
                d[place] += g;
            }
        }
        total
    }

    fn reply_loss(&self, targets: &ReplyTargets, logits: &[f32], weight: f32, d: &mut [f32]) -> f32 {
        let mut loss = 0.0;
        if let Some((classes, class_weight)) = targets.classes.as_deref().and_then(|c| self.weighted(c)) {
            let weight = weight * self.loss.reply * class_weight;
            loss += categorical(&logits[..outputs::HARMS], &classes, weight, &mut d[..outputs::HARMS]);
        }
        let weight = weight * self.loss.harm;
        for (i, &target) in targets.harms.iter().flatten().enumerate() {
            let place = outputs::HARMS + i;
            let (l, g) = binary(logits[place], target, weight / HARM_COUNT, HARM_POSITIVE);
            loss += l;
            d[place] += g;
        }
        if let Some(severity) = &targets.severity {
            loss += categorical(&logits[outputs::SEVERITY..], severity, weight, &mut d[outputs::SEVERITY..]);
        }
        loss
    }

    /// The classes as a distribution in which each counts by its weight, and the weight of
    /// that; none where only classes without weight have any probability.
    fn weighted(&self, classes: &[f32]) -> Option<(Vec<f32>, f32)> {
        let weighted: Vec<f32> = classes.iter().zip(&self.class_weights).map(|(c, w)| c * w).collect();
        let total: f32 = weighted.iter().sum();
        (total > 0.0).then(|| (weighted.iter().map(|w| w / total).collect(), total))
    }

    fn sample_backward(
        &self,
        values: &[f32],
        trace: &SampleTrace,
        (d_user, d_replies): (&[Vec<f32>], &[Vec<f32>]),
        gradients: &mut [f32],
        d_vectors: &mut [f32],
    ) {
        let (w, c) = (self.width, self.context.width());
        let mut d_states = vec![vec![0.0; c]; trace.states.len()];
        for (k, (reply, d_out)) in trace.replies.iter().zip(d_replies).enumerate() {
            let d = head_backward(&self.reply, values, &reply.input, d_out, gradients);
            let place = trace.places.replies[k] * w;
            let answered = trace.places.turns[reply.step] * w;
            add_scaled(&mut d_vectors[place..place + w], 1.0, &d[..w]);
            add_scaled(&mut d_states[reply.step], 1.0, &d[w..w + c]);
            for (i, g) in d[w + c..].iter().enumerate() {
                d_vectors[place + i] += g * reply.user[i];
                d_vectors[answered + i] += g * reply.input[i];
            }
        }
        for ((step, input), d_out) in trace.user_inputs.iter().zip(d_user) {
            let d = head_backward(&self.user, values, input, d_out, gradients);
            add_scaled(&mut d_vectors[trace.places.turns[*step] * w..][..w], 1.0, &d[..w]);
            add_scaled(&mut d_states[*step], 1.0, &d[w..]);
        }
        let mut d_next = vec![0.0; c];
        for (step, cache) in trace.steps.iter().enumerate().rev() {
            add_scaled(&mut d_next, 1.0, &d_states[step]);
            let (d_input, d_before) = self.context.step_backward(values, cache, &d_next, gradients);
            add_scaled(&mut d_vectors[trace.places.turns[step] * w..][..w], 1.0, &d_input[..w]);
            d_next = d_before;
        }
    }
}

impl Sample<'_> {
    /// The sample without its listener, and where its texts stand.
    fn person_only(&self, places: &Places) -> (Self, Places) {
        let (turns, turn_places) = self
            .turns
            .iter()
            .zip(&places.turns)
            .filter(|(turn, _)| self.example.turns[**turn].role == Role::User)
            .unzip();
        let sample =
            Self { example: self.example, weight: self.weight, turns, replies: self.replies.clone() };
        (sample, Places { turns: turn_places, replies: places.replies.clone() })
    }
}

/// The batch's texts in order, and where each sample's stand.
fn batch_texts<'a>(batch: &[Sample<'a>]) -> (Vec<&'a [u32]>, Vec<Places>) {
    let mut texts: Vec<&[u32]> = Vec::new();
    let mut places = Vec::new();
    for sample in batch {
        let start = texts.len();
        texts.extend(sample.turns.iter().map(|&t| sample.example.turns[t].tokens.as_slice()));
        let middle = texts.len();
        texts.extend(sample.replies.iter().map(|&r| sample.example.replies[r].tokens.as_slice()));
        places.push(Places { turns: (start..middle).collect(), replies: (middle..texts.len()).collect() });
    }
    (texts, places)
}

impl TurnVectors {
    /// Brings every row to the same length, and in training drops numbers.
    fn new(mut rows: Vec<f32>, width: usize, mode: &mut Mode<'_>, dropout: f32) -> Self {
        let mut scales = Vec::new();
        for row in rows.chunks_exact_mut(width) {
            let scale = TURN_VECTOR_NORM / dot(row, row).sqrt().max(1e-6);
            row.iter_mut().for_each(|x| *x *= scale);
            scales.push(scale);
        }
        let mask: Vec<f32> = match mode {
            Mode::Evaluate => Vec::new(),
            Mode::Train(random) => {
                let keep = 1.0 / (1.0 - dropout);
                (0..rows.len()).map(|_| if random.chance(dropout) { 0.0 } else { keep }).collect()
            }
        };
        let whole = rows.clone();
        rows.iter_mut().zip(&mask).for_each(|(x, m)| *x *= m);
        Self { rows, whole, scales, mask }
    }

    /// The gradient of the rows before their length was fixed. With
    /// `y = s x / |x|`: `dx = s / |x| (dy - y (y . dy) / s^2)`.
    fn backward(&self, d_rows: &[f32], width: usize) -> Vec<f32> {
        let mut d = d_rows.to_vec();
        d.iter_mut().zip(&self.mask).for_each(|(g, m)| *g *= m);
        for (i, gradient) in d.chunks_exact_mut(width).enumerate() {
            let row = &self.whole[i * width..][..width];
            let along = dot(gradient, row) / (TURN_VECTOR_NORM * TURN_VECTOR_NORM);
            for (g, y) in gradient.iter_mut().zip(row) {
                *g = self.scales[i] * (*g - y * along);
            }
        }
        d
    }
}

/// Adds a head's gradients and returns that of its input.
fn head_backward(
    head: &Linear,
    values: &[f32],
    input: &[f32],
    d_out: &[f32],
    gradients: &mut [f32],
) -> Vec<f32> {
    let mut d_input = vec![0.0; input.len()];
    head.backward_weights(gradients, input, d_out);
    head.backward_inputs(values, d_out, &mut d_input);
    d_input
}

/// What the context reads of a turn: its vector and who speaks.
pub(crate) fn context_input(vector: &[f32], role: Role) -> Vec<f32> {
    let mut input = Vec::with_capacity(vector.len() + ROLE_INPUTS);
    input.extend_from_slice(vector);
    input.extend(if role == Role::User { [1.0, 0.0] } else { [0.0, 1.0] });
    input
}

/// What the reply head reads: the reply, the context before it, and where the
/// reply and the turn that it answers point the same way.
pub(crate) fn reply_input(reply: &[f32], state: &[f32], user: &[f32]) -> Vec<f32> {
    let mut input = [reply, state].concat();
    input.extend(reply.iter().zip(user).map(|(a, b)| a * b));
    input
}

fn step_of(sample: &Sample<'_>, reply: &LabelledReply) -> usize {
    sample
        .turns
        .binary_search(&reply.after)
        .unwrap_or_else(|_| panic!("a judged reply answers a turn that was left out"))
}

#[cfg(test)]
pub(super) mod tests {
    use mindrail_core::language::Language;
    use mindrail_core::taxonomy::{CrisisLabel, Severity};

    use super::*;
    use crate::train::examples::{LabelledTurn, ReplyOrigin};
    use crate::train::targets::Targets;

    pub(in crate::train) const TINY: Architecture = Architecture {
        vocabulary: 20,
        positions: 12,
        layers: 2,
        width: 16,
        heads: 2,
        intermediate: 24,
        layer_norm_eps: 1e-5,
        context: 6,
        pooling_sharpness: 1.0,
    };

    pub(in crate::train) fn loss_config() -> LossConfig {
        LossConfig {
            risk: 1.0,
            turn_risk: 0.5,
            signals: 1.0,
            crisis: 1.0,
            crisis_positive: 3.0,
            reply: 0.7,
            harm: 0.5,
            dropout: 0.0,
        }
    }

    pub(in crate::train) fn example() -> Example {
        let turn = |role, tokens: &[u32], crisis: Option<Vec<CrisisLabel>>| LabelledTurn {
            role,
            text: String::new(),
            tokens: tokens.to_vec(),
            crisis,
        };
        Example {
            id: "tiny".to_owned(),
            source: 0,
            language: Language::En,
            turns: vec![
                turn(Role::User, &[1, 4, 5, 2], Some(vec![])),
                turn(Role::Assistant, &[1, 7, 2], None),
                turn(Role::User, &[1, 9, 11, 13, 2], Some(vec![CrisisLabel::AlertOngoing])),
                turn(Role::User, &[1, 3, 2], Some(vec![CrisisLabel::ConfirmShOngoing])),
            ],
            signals: Some(vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
            high_risk: Some(true),
            replies: vec![LabelledReply {
                after: 2,
                text: String::new(),
                tokens: vec![1, 15, 16, 2],
                origin: ReplyOrigin::Variant,
                class: Some(ReplyClass::LinguisticNeglect),
                harm: Some((vec![Harm::PsychologicalHarm], Severity::Minor)),
                said: None,
            }],
            soft: None,
            said: crate::train::examples::Said::default(),
        }
    }

    #[test]
    fn every_gradient_agrees_with_finite_differences() {
        let example = example();
        let sample = || Sample { example: &example, weight: 0.8, turns: vec![0, 1, 2, 3], replies: vec![0] };
        let mut parameters = Parameters::zeros(TINY.tensors());
        let random = &mut Random::new(5);
        for value in parameters.values_mut() {
            *value = 0.6 * (random.uniform() - 0.5);
        }
        let network = Network::new(&TINY, &parameters, &loss_config(), 0);
        let mut gradients = vec![0.0; parameters.values().len()];
        network.learn(parameters.values(), &[sample(), sample()], random, &mut gradients);
        let names: Vec<String> = parameters
            .specs()
            .iter()
            .map(|s| s.name.clone())
            .filter(|n| !n.starts_with("embeddings."))
            .collect();
        for name in names {
            let place = parameters.place(&name);
            for _ in 0..3 {
                let at = place.start + random.below(place.len());
                let moved = |by: f32| {
                    let mut values = parameters.values().to_vec();
                    values[at] += by;
                    f64::from(network.learn(
                        &values,
                        &[sample(), sample()],
                        &mut Random::new(1),
                        &mut vec![0.0; values.len()],
                    ))
                };
                let numeric = (moved(4e-3) - moved(-4e-3)) / 8e-3;
                let found = f64::from(gradients[at]);
                assert!(
                    (numeric - found).abs() < 3e-3 + 0.03 * numeric.abs(),
                    "{name}[{}]: {found} against {numeric}",
                    at - place.start
                );
            }
        }
    }

    #[test]
    fn a_batch_gives_the_same_logits_as_its_samples_alone() {
        let example = example();
        let sample = |turns: Vec<usize>| Sample { example: &example, weight: 1.0, turns, replies: vec![] };
        let mut parameters = Parameters::zeros(TINY.tensors());
        parameters.initialise("", &mut Random::new(3));
        let network = Network::new(&TINY, &parameters, &loss_config(), 0);
        let together =
            network.predict_views(parameters.values(), &[sample(vec![0, 2]), sample(vec![0, 1, 2, 3])]);
        let alone = network.predict_views(parameters.values(), &[sample(vec![0, 1, 2, 3])]);
        for ((_, a), (_, b)) in together[1][0].user.iter().zip(&alone[0][0].user) {
            for (x, y) in a.iter().zip(b) {
                assert!((x - y).abs() < 1e-5);
            }
        }
    }

    /// The losses as they were written for labels of yes and no alone: loss, and gradients
    /// of the logits of user turns and replies.
    fn loss_of_labels(
        network: &Network,
        sample: &Sample<'_>,
        logits: &SampleLogits,
        share: f32,
    ) -> (f32, Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let (example, weights) = (sample.example, &network.loss);
        let weight = share * sample.weight;
        let zeros = |rows: Vec<usize>| rows.into_iter().map(|n| vec![0.0; n]).collect::<Vec<Vec<f32>>>();
        let mut d_user = zeros(logits.user.iter().map(|(_, l)| l.len()).collect());
        let mut d_replies = zeros(logits.replies.iter().map(Vec::len).collect());
        let yes = |is_so: bool| if is_so { 1.0 } else { 0.0 };
        let target = yes(example.high_risk == Some(true));
        let mut loss = network.pooled_loss(logits, outputs::RISK, target, weight * weights.risk, &mut d_user);
        for (i, &target) in example.signals.iter().flatten().enumerate() {
            let weight = weight * weights.signals / Signal::ALL.len() as f32;
            loss += network.pooled_loss(logits, outputs::SIGNALS + i, target, weight, &mut d_user);
        }
        let risks = example.turn_risks();
        let known = logits.user.iter().filter(|(turn, _)| risks[*turn].is_some()).count().max(1) as f32;
        let per_turn = weight * weights.crisis / logits.user.len() as f32;
        let mut total = 0.0;
        for ((turn, logits), d) in logits.user.iter().zip(&mut d_user) {
            if let Some(risk) = risks[*turn] {
                let (l, g) = binary(logits[0], yes(risk), weight * weights.turn_risk / known, 1.0);
                total += l;
                d[0] += g;
            }
            let begins = example.turns[*turn].crisis.as_deref().unwrap_or_default();
            for label in CrisisLabel::ALL {
                let place = outputs::CRISIS + label.index();
                let target = yes(begins.contains(label));
                let (l, g) = binary(logits[place], target, per_turn, weights.crisis_positive);
                total += l;
                d[place] += g;
            }
        }
        loss += total;
        for ((&index, logits), d) in sample.replies.iter().zip(&logits.replies).zip(&mut d_replies) {
            let weight = weight / sample.replies.len() as f32;
            loss += reply_loss_of_labels(network, &example.replies[index], logits, weight, d);
        }
        (loss, d_user, d_replies)
    }

    fn reply_loss_of_labels(
        network: &Network,
        reply: &LabelledReply,
        logits: &[f32],
        weight: f32,
        d: &mut [f32],
    ) -> f32 {
        let one = |logits: &[f32], class: usize, weight: f32, d: &mut [f32]| {
            let mut p = logits.to_vec();
            crate::kernel::softmax(&mut p);
            for (i, (g, &p)) in d.iter_mut().zip(&p).enumerate() {
                *g += weight * (p - if i == class { 1.0 } else { 0.0 });
            }
            -weight * p[class].max(1e-12).ln()
        };
        let class = reply.class.expect("labelled").index();
        let class_weight = weight * network.loss.reply * network.class_weights[class];
        let mut loss = one(&logits[..outputs::HARMS], class, class_weight, &mut d[..outputs::HARMS]);
        let Some((harms, severity)) = &reply.harm else { return loss };
        let weight = weight * network.loss.harm;
        for harm in Harm::ALL {
            let place = outputs::HARMS + harm.index();
            let target = if harms.contains(harm) { 1.0 } else { 0.0 };
            let (l, g) = binary(logits[place], target, weight / Harm::ALL.len() as f32, 3.0);
            loss += l;
            d[place] += g;
        }
        let from = outputs::SEVERITY;
        loss += one(&logits[from..], severity.index(), weight, &mut d[from..]);
        loss
    }

    fn bits(values: &[Vec<f32>]) -> Vec<u32> {
        values.iter().flatten().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn labels_of_yes_and_no_give_the_very_losses_and_gradients_that_they_gave_before_there_were_doubts() {
        let mut example = example();
        let mut other = example.replies[0].clone();
        (other.class, other.harm) = (Some(ReplyClass::SafeResponse), None);
        example.replies.push(other);
        let parameters = {
            let mut parameters = Parameters::zeros(TINY.tensors());
            parameters.initialise("", &mut Random::new(11));
            parameters
        };
        let mut network = Network::new(&TINY, &parameters, &loss_config(), 0);
        network.set_class_weights(vec![0.31, 1.7, 0.9, 2.3, 0.0, 1.1, 0.77, 3.3]);
        for (turns, replies) in [(vec![0, 1, 2, 3], vec![0, 1]), (vec![0, 2, 3], vec![0]), (vec![3], vec![])]
        {
            let sample = Sample { example: &example, weight: 0.73, turns, replies };
            let (logits, ..) =
                network.forward(parameters.values(), std::slice::from_ref(&sample), &mut Mode::Evaluate);
            let found = network.sample_loss(&sample, &logits[0], 1.0 / 3.0);
            let expected = loss_of_labels(&network, &sample, &logits[0], 1.0 / 3.0);
            assert_eq!(found.0.to_bits(), expected.0.to_bits(), "{} against {}", found.0, expected.0);
            assert_eq!(bits(&found.1), bits(&expected.1));
            assert_eq!(bits(&found.2), bits(&expected.2));
        }
    }

    #[test]
    fn the_gradients_of_doubtful_targets_agree_with_finite_differences_of_the_logits() {
        let mut example = example();
        example.soft = Some(doubts(&example));
        let mut parameters = Parameters::zeros(TINY.tensors());
        parameters.initialise("", &mut Random::new(2));
        let mut network = Network::new(&TINY, &parameters, &loss_config(), 0);
        network.set_class_weights(vec![0.3, 1.7, 0.9, 2.3, 0.0, 1.1, 0.8, 3.3]);
        let sample = Sample { example: &example, weight: 1.0, turns: vec![0, 1, 2, 3], replies: vec![0] };
        let (logits, ..) =
            network.forward(parameters.values(), std::slice::from_ref(&sample), &mut Mode::Evaluate);
        let (_, d_user, d_replies) = network.sample_loss(&sample, &logits[0], 1.0);
        let loss = |change: &dyn Fn(&mut SampleLogits)| {
            let mut moved = SampleLogits { user: logits[0].user.clone(), replies: logits[0].replies.clone() };
            change(&mut moved);
            network.sample_loss(&sample, &moved, 1.0).0
        };
        let near = |found: f32, rise: f32| {
            assert!((rise / 2e-2 - found).abs() < 3e-3, "{found} against {}", rise / 2e-2);
        };
        for (i, &found) in d_user[1].iter().enumerate() {
            near(found, loss(&|l| l.user[1].1[i] += 1e-2) - loss(&|l| l.user[1].1[i] -= 1e-2));
        }
        for (i, &found) in d_replies[0].iter().enumerate() {
            near(found, loss(&|l| l.replies[0][i] += 1e-2) - loss(&|l| l.replies[0][i] -= 1e-2));
        }
    }

    /// Targets between 0 and 1, and one turn about which nothing is known.
    fn doubts(example: &Example) -> Targets {
        let mut targets = Targets::of_labels(example);
        let doubt = |values: &mut Vec<f32>| values.iter_mut().for_each(|v| *v = 0.8 * *v + 0.1);
        targets.risk = Some(0.7);
        targets.signals.iter_mut().for_each(doubt);
        targets.turns[0] = TurnTargets::default();
        targets.turns[2].risk = Some(0.4);
        targets.turns.iter_mut().filter_map(|t| t.crisis.as_mut()).for_each(doubt);
        for reply in &mut targets.replies {
            reply.classes = Some(vec![0.4, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.1]);
            reply.harms.iter_mut().for_each(doubt);
            reply.severity = Some(vec![0.1, 0.2, 0.3, 0.4]);
        }
        targets
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        turns: Vec<GoldenTurn>,
        reply: GoldenReply,
        user_logits: Vec<Vec<f32>>,
        reply_logits: Vec<f32>,
        gradients: std::collections::BTreeMap<String, serde_json::Value>,
    }

    #[derive(serde::Deserialize)]
    struct GoldenTurn {
        role: Role,
        tokens: Vec<u32>,
    }

    #[derive(serde::Deserialize)]
    struct GoldenReply {
        after: usize,
        tokens: Vec<u32>,
    }

    fn flat(value: &serde_json::Value, out: &mut Vec<f32>) {
        match value {
            serde_json::Value::Array(values) => values.iter().for_each(|v| flat(v, out)),
            other => out.push(other.as_f64().unwrap_or(f64::NAN) as f32),
        }
    }

    fn golden() -> (Parameters, Golden, Example) {
        let mut parameters = Parameters::zeros(TINY.tensors());
        let weights = include_bytes!("../../tests/golden/tiny.safetensors");
        parameters.load(weights, &TINY.tensors()).expect("the golden weights fit the tiny architecture");
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/golden/tiny.json")).expect("golden file");
        let mut example = example();
        example.turns = golden
            .turns
            .iter()
            .map(|t| LabelledTurn {
                role: t.role,
                text: String::new(),
                tokens: t.tokens.clone(),
                crisis: None,
            })
            .collect();
        example.replies[0].after = golden.reply.after;
        example.replies[0].tokens = golden.reply.tokens.clone();
        (parameters, golden, example)
    }

    fn assert_near(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}: {a} against PyTorch's {b}");
        }
    }

    #[test]
    fn logits_of_trainer_and_serving_path_agree_with_pytorch() {
        let (parameters, golden, example) = golden();
        let sample = Sample { example: &example, weight: 1.0, turns: vec![0, 1, 2, 3], replies: vec![0] };
        let network = Network::new(&TINY, &parameters, &loss_config(), 0);
        let [all, _] = &network.predict_views(parameters.values(), &[sample])[0];
        let encoder = crate::encoder::Encoder::new(&TINY, &parameters);
        let context = crate::context::Context::new(&parameters);
        let mut state = vec![0.0; TINY.context];
        let mut served = Vec::new();
        for turn in &golden.turns {
            let mut vector = encoder.encode(&[&turn.tokens]);
            let scale = TURN_VECTOR_NORM / dot(&vector, &vector).sqrt();
            vector.iter_mut().for_each(|x| *x *= scale);
            state = context.step(&vector, turn.role, &state);
            if turn.role == Role::User {
                let input = [vector.as_slice(), &state].concat();
                served.push(crate::kernel::affine(
                    parameters.get("user.weight"),
                    parameters.get("user.bias"),
                    &input,
                ));
            }
        }
        for (((_, trained), served), expected) in all.user.iter().zip(&served).zip(&golden.user_logits) {
            assert_near(trained, expected, 1e-5, "trainer");
            assert_near(served, expected, 1e-5, "serving path");
        }
        assert_near(&all.replies[0], &golden.reply_logits, 1e-5, "reply");
    }

    #[test]
    fn texts_give_the_same_vectors_alone_together_and_on_several_threads() {
        let (parameters, golden, _) = golden();
        let encoder = crate::encoder::Encoder::new(&TINY, &parameters);
        let texts: Vec<&[u32]> = golden.turns.iter().map(|t| t.tokens.as_slice()).chain([&[][..]]).collect();
        let alone: Vec<f32> = texts.iter().flat_map(|text| encoder.encode(&[text])).collect();
        assert_eq!(encoder.encode(&texts), alone);
        let many: Vec<&[u32]> = texts.iter().copied().cycle().take(40 * texts.len()).collect();
        for threads in 1..9 {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let found = pool.install(|| [encoder.encode_parallel(&texts), encoder.encode_parallel(&many)]);
            assert_eq!(found[0], alone, "{threads} threads");
            assert!(found[1].chunks(alone.len()).all(|part| part == alone), "{threads} threads, many texts");
        }
    }

    #[test]
    fn gradients_agree_with_pytorch() {
        let (parameters, golden, example) = golden();
        let batch = [Sample { example: &example, weight: 1.0, turns: vec![0, 1, 2, 3], replies: vec![0] }];
        let network = Network::new(&TINY, &parameters, &loss_config(), 0);
        let values = parameters.values();
        let (logits, traces, vectors, cache) = network.forward(values, &batch, &mut Mode::Evaluate);
        // The golden loss: squares of all user logits, plus the reply logits.
        let d_user: Vec<Vec<f32>> =
            logits[0].user.iter().map(|(_, l)| l.iter().map(|x| 2.0 * x).collect()).collect();
        let d_replies = vec![vec![1.0; outputs::REPLY]];
        let mut gradients = vec![0.0; values.len()];
        let mut d_vectors = vec![0.0; vectors.rows.len()];
        network.sample_backward(values, &traces[0], (&d_user, &d_replies), &mut gradients, &mut d_vectors);
        network.encoder.backward(values, &cache, &vectors.backward(&d_vectors, TINY.width), &mut gradients);
        for (name, expected) in golden.gradients.iter().filter(|(name, _)| !name.starts_with("embeddings.")) {
            let mut flattened = Vec::new();
            flat(expected, &mut flattened);
            assert_near(&gradients[parameters.place(name)], &flattened, 1e-3, name);
        }
    }
}
