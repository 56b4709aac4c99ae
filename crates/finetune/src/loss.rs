//! Losses over plain numbers, each with the gradient of what goes in. Logits are few, so
//! they are computed on the CPU in single precision whatever the model computes in.

/// A loss with the gradient of its logits, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Loss {
    /// The loss.
    pub(crate) value: f32,
    /// Its gradient.
    pub(crate) gradient: Vec<f32>,
}

pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// `log(1 + exp(x))` without overflow.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Binary cross-entropy with logits, mean over all numbers. Targets are in \[0, 1\].
pub(crate) fn binary_cross_entropy(logits: &[f32], targets: &[f32]) -> Loss {
    let count = logits.len().max(1) as f32;
    let pairs = || logits.iter().zip(targets);
    Loss {
        value: pairs().map(|(z, t)| softplus(*z) - z * t).sum::<f32>() / count,
        gradient: pairs().map(|(z, t)| (sigmoid(*z) - t) / count).collect(),
    }
}

/// Cross-entropy of rows of as many logits as there are weights, one class a row.
/// The mean is over the rows' weights, as PyTorch normalises: a batch of light classes
/// counts as much as one of heavy ones.
pub(crate) fn cross_entropy(logits: &[f32], classes: &[usize], weights: &[f32]) -> Loss {
    let total: f32 = classes.iter().map(|class| weights[*class]).sum();
    let mut value = 0.0;
    let mut gradient = Vec::with_capacity(logits.len());
    for (row, class) in logits.chunks_exact(weights.len()).zip(classes) {
        let share = weights[*class] / total;
        let highest = row.iter().copied().fold(f32::MIN, f32::max);
        let sum: f32 = row.iter().map(|z| (z - highest).exp()).sum();
        value += share * (sum.ln() + highest - row[*class]);
        gradient.extend(
            row.iter()
                .enumerate()
                .map(|(i, z)| share * ((z - highest).exp() / sum - if i == *class { 1.0 } else { 0.0 })),
        );
    }
    Loss { value, gradient }
}

/// The loss of levels with an order (CORAL, Cao et al. 2020): logit `k` of a row says
/// whether its level is above `k`. Summed over the `per_row` logits, mean over rows.
pub(crate) fn ordinal(logits: &[f32], levels: &[usize], per_row: usize) -> Loss {
    let targets: Vec<f32> = levels
        .iter()
        .flat_map(|level| (0..per_row).map(move |k| if *level > k { 1.0 } else { 0.0 }))
        .collect();
    let mean = binary_cross_entropy(logits, &targets);
    let factor = per_row as f32;
    Loss { value: mean.value * factor, gradient: mean.gradient.iter().map(|g| g * factor).collect() }
}

/// Which scores of a pair are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// Those of the last tokens.
    Sequence,
    /// Those of all tokens from the first that differs to the end of the longer one. One
    /// that has ended keeps its last score: there are no padding tokens to take one from.
    Tokens,
}

/// The scores of two inputs, one for each token, and the tokens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    /// The scores of the input that should be higher.
    pub(crate) higher: &'a [f32],
    /// The scores of the other.
    pub(crate) lower: &'a [f32],
    /// The tokens of both.
    pub(crate) tokens: (&'a [u32], &'a [u32]),
    /// For the cost, +1 where an input is unsafe and -1 where it is safe: of the higher
    /// one, and of the lower one.
    pub(crate) signs: Option<(f32, f32)>,
}

impl Pair<'_> {
    /// The places whose scores are compared: of the higher one, and of the lower one.
    fn places(&self, compared: Compared) -> Vec<(usize, usize)> {
        let (higher, lower) = (self.higher.len(), self.lower.len());
        let longest = higher.max(lower);
        let from = match compared {
            Compared::Sequence => longest - 1,
            Compared::Tokens => {
                let same = self.tokens.0.iter().zip(self.tokens.1).take_while(|(a, b)| a == b).count();
                same.min(longest - 1)
            }
        };
        (from..longest).map(|at| (at.min(higher - 1), at.min(lower - 1))).collect()
    }
}

/// The value of a loss over pairs, and each pair's gradients: of the higher input's
/// scores, and of the lower one's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PairLoss {
    /// The loss.
    pub(crate) value: f32,
    /// The gradients.
    pub(crate) gradients: Vec<(Vec<f32>, Vec<f32>)>,
}

/// The loss of preferences: `-log sigmoid(higher - lower)` (Bradley and Terry 1952), for
/// pairs with signs also `-log sigmoid(sign x score)` of both (Safe-RLHF, Dai et al. 2023,
/// equation 6), and `regularization` times the mean of the squares. Mean over the places
/// of a pair, then over pairs.
pub(crate) fn preference(pairs: &[Pair<'_>], compared: Compared, regularization: f32) -> PairLoss {
    let mut loss = PairLoss { value: 0.0, gradients: Vec::new() };
    for pair in pairs {
        let places = pair.places(compared);
        let share = 1.0 / (pairs.len() * places.len()) as f32;
        let (mut d_higher, mut d_lower) = (vec![0.0; pair.higher.len()], vec![0.0; pair.lower.len()]);
        for (i, j) in places {
            let (value, (d_i, d_j)) = terms((pair.higher[i], pair.lower[j]), pair.signs, regularization);
            loss.value += share * value;
            d_higher[i] += share * d_i;
            d_lower[j] += share * d_j;
        }
        loss.gradients.push((d_higher, d_lower));
    }
    loss
}

fn terms((higher, lower): (f32, f32), signs: Option<(f32, f32)>, mu: f32) -> (f32, (f32, f32)) {
    let wrong = sigmoid(lower - higher);
    // The mean of two squares is half their sum.
    let mut value = softplus(lower - higher) + 0.5 * mu * (higher * higher + lower * lower);
    let (mut d_higher, mut d_lower) = (mu * higher - wrong, mu * lower + wrong);
    if let Some((of_higher, of_lower)) = signs {
        value += softplus(-of_higher * higher) + softplus(-of_lower * lower);
        d_higher -= of_higher * sigmoid(-of_higher * higher);
        d_lower -= of_lower * sigmoid(-of_lower * lower);
    }
    (value, (d_higher, d_lower))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn golden(name: &str) -> Value {
        let text = include_str!("../tests/golden/losses.json");
        serde_json::from_str::<Value>(text).expect("golden losses")[name].clone()
    }

    fn floats(value: &Value) -> Vec<f32> {
        match value {
            Value::Array(items) => items.iter().flat_map(floats).collect(),
            number => vec![number.as_f64().expect("a number") as f32],
        }
    }

    fn places(value: &Value) -> Vec<usize> {
        floats(value).into_iter().map(|x| x as usize).collect()
    }

    fn assert_near(found: &[f32], expected: &[f32], what: &str) {
        assert_eq!(found.len(), expected.len(), "{what}");
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-5 * b.abs().max(1.0), "{what}: {a} against PyTorch's {b}");
        }
    }

    fn assert_loss(found: &Loss, golden: &Value, what: &str) {
        assert_near(&[found.value], &floats(&golden["loss"]), what);
        assert_near(&found.gradient, &floats(&golden["gradient_logits"]), what);
    }

    #[test]
    fn losses_of_labels_and_classes_are_those_of_pytorch() {
        let g = golden("binary_cross_entropy");
        let found = binary_cross_entropy(&floats(&g["logits"]), &floats(&g["targets"]));
        assert_loss(&found, &g, "binary");
        let g = golden("cross_entropy");
        let found = cross_entropy(&floats(&g["logits"]), &places(&g["classes"]), &[1.0; 8]);
        assert_loss(&found, &g, "unweighted");
        let g = golden("weighted_cross_entropy");
        let found = cross_entropy(&floats(&g["logits"]), &places(&g["classes"]), &floats(&g["weights"]));
        assert_loss(&found, &g, "weighted");
    }

    #[test]
    fn the_loss_of_levels_is_that_of_pytorch() {
        let g = golden("ordinal");
        let (scores, biases) = (floats(&g["scores"]), floats(&g["biases"]));
        let logits: Vec<f32> = scores.iter().flat_map(|s| biases.iter().map(move |b| s + b)).collect();
        let found = ordinal(&logits, &places(&g["levels"]), 3);
        assert_near(&[found.value], &floats(&g["loss"]), "ordinal");
        let rows: Vec<f32> = found.gradient.chunks_exact(3).map(|row| row.iter().sum()).collect();
        assert_near(&rows, &floats(&g["gradient_scores"]), "scores");
        let columns: Vec<f32> = (0..3).map(|k| found.gradient.iter().skip(k).step_by(3).sum()).collect();
        assert_near(&columns, &floats(&g["gradient_biases"]), "biases");
    }

    fn mu(golden: &Value) -> f32 {
        golden["mu"].as_f64().expect("a number") as f32
    }

    #[test]
    fn losses_of_whole_sequences_are_those_of_safe_rlhf() {
        let g = golden("preference_by_sequence");
        let (better, worse) = (floats(&g["better"]), floats(&g["worse"]));
        let pair =
            |i: usize| Pair { higher: &better[i..=i], lower: &worse[i..=i], tokens: (&[], &[]), signs: None };
        let pairs: Vec<Pair<'_>> = (0..better.len()).map(pair).collect();
        let found = preference(&pairs, Compared::Sequence, mu(&g));
        let flat = |of: fn(&(Vec<f32>, Vec<f32>)) -> f32| found.gradients.iter().map(of).collect::<Vec<_>>();
        assert_near(&[found.value], &floats(&g["loss"]), "preference");
        assert_near(&flat(|g| g.0[0]), &floats(&g["gradient_better"]), "better");
        assert_near(&flat(|g| g.1[0]), &floats(&g["gradient_worse"]), "worse");
        let g = golden("cost_by_sequence");
        let (higher, lower) = (floats(&g["less_safe"]), floats(&g["safer"]));
        let signs = (floats(&g["less_safe_sign"]), floats(&g["safer_sign"]));
        let pair = |i: usize| Pair {
            higher: &higher[i..=i],
            lower: &lower[i..=i],
            tokens: (&[], &[]),
            signs: Some((signs.0[i], signs.1[i])),
        };
        let pairs: Vec<Pair<'_>> = (0..higher.len()).map(pair).collect();
        let found = preference(&pairs, Compared::Sequence, mu(&g));
        let flat = |of: fn(&(Vec<f32>, Vec<f32>)) -> f32| found.gradients.iter().map(of).collect::<Vec<_>>();
        assert_near(&[found.value], &floats(&g["loss"]), "cost");
        assert_near(&flat(|g| g.0[0]), &floats(&g["gradient_less_safe"]), "less safe");
        assert_near(&flat(|g| g.1[0]), &floats(&g["gradient_safer"]), "safer");
    }

    #[test]
    fn losses_by_token_compare_from_where_the_replies_differ() {
        for (name, high, low) in
            [("preference_by_token", "better", "worse"), ("cost_by_token", "less_safe", "safer")]
        {
            let g = golden(name);
            let rows = g["pairs"].as_array().expect("pairs");
            let numbers = |row: &Value, field: String| floats(&row[field]);
            let ids = |row: &Value, of: &str| -> Vec<u32> {
                floats(&row[format!("{of}_ids")]).into_iter().map(|x| x as u32).collect()
            };
            let parts: Vec<_> = rows
                .iter()
                .map(|row| {
                    let sign = |of: &str| row[format!("{of}_sign")].as_f64().map(|s| s as f32);
                    let signs = sign(high).zip(sign(low));
                    (
                        (numbers(row, high.into()), numbers(row, low.into())),
                        (ids(row, high), ids(row, low)),
                        signs,
                    )
                })
                .collect();
            let pairs: Vec<Pair<'_>> = parts
                .iter()
                .map(|((higher, lower), tokens, signs)| Pair {
                    higher,
                    lower,
                    tokens: (&tokens.0, &tokens.1),
                    signs: *signs,
                })
                .collect();
            assert_eq!(name == "cost_by_token", pairs[0].signs.is_some());
            let found = preference(&pairs, Compared::Tokens, mu(&g));
            assert_near(&[found.value], &floats(&g["loss"]), name);
            for (row, (d_high, d_low)) in rows.iter().zip(&found.gradients) {
                assert_near(d_high, &numbers(row, format!("gradient_{high}")), high);
                assert_near(d_low, &numbers(row, format!("gradient_{low}")), low);
            }
        }
    }

    #[test]
    fn certain_logits_give_finite_losses() {
        let found = binary_cross_entropy(&[1e4, -1e4], &[0.0, 1.0]);
        assert!((found.value - 1e4).abs() < 1.0 && found.gradient.iter().all(|g| g.is_finite()));
        assert!(cross_entropy(&[1e4, -1e4], &[1], &[1.0, 1.0]).value.is_finite());
    }
}
