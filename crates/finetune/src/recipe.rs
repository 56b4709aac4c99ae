//! A recipe: all that a training does, in one commented TOML file. The published recipes
//! are in `recipes/`, inside the program; a copy can be changed and given back.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::head::{HeadConfig, Pooling};
use crate::model::AdapterConfig;
use crate::optimizer::OptimizerConfig;
use crate::rendering::InputConfig;
use crate::rows::{ReadOptions, SplitBy, Task, TaskKind};

/// A recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Its name, which the bundle's model takes.
    pub name: String,
    /// The publication that it follows, or who wrote it.
    pub source: String,
    /// The model.
    pub model: ModelConfig,
    /// How an example becomes tokens.
    pub input: InputConfig,
    /// What is read and how it is split.
    pub data: DataConfig,
    /// How steps are made.
    pub optimizer: OptimizerConfig,
    /// How many, and what is kept.
    pub training: TrainingConfig,
    /// One for each task.
    pub heads: Vec<HeadConfig>,
}

/// The model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Which rows the heads read.
    pub pooling: Pooling,
    /// In which precision the model computes. What is trained is kept in f32.
    pub precision: Precision,
    /// Whether activations are made anew on the way back instead of kept: about a third
    /// more time, and memory for one layer instead of all.
    pub gradient_checkpointing: bool,
    /// An adapter that is trained beside frozen weights; without it all is trained.
    #[serde(default)]
    pub adapter: Option<AdapterConfig>,
}

/// A precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// Single.
    F32,
    /// Half, with the range of single.
    Bf16,
}

impl Precision {
    pub(crate) const fn dtype(self) -> candle_core::DType {
        match self {
            Self::F32 => candle_core::DType::F32,
            Self::Bf16 => candle_core::DType::BF16,
        }
    }
}

/// What is read and how it is split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// How rows are read.
    #[serde(default)]
    pub read: ReadOptions,
    /// The share that is kept apart to choose the checkpoint, where no file is given.
    pub dev_share: f64,
    /// What stays together in the split.
    pub split: SplitBy,
    /// The split's seed.
    pub split_seed: u64,
}

/// How many steps, and what is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingConfig {
    /// Times that every example is seen.
    pub epochs: usize,
    /// Examples in one pass.
    pub batch: usize,
    /// Passes in one step.
    pub accumulate: usize,
    /// A training for each.
    pub seeds: Vec<u64>,
    /// The figure on dev by which the best epoch is chosen.
    pub select: Figure,
    /// Of which task.
    pub select_task: Task,
    /// Whether a later epoch with the same figure takes the place of an earlier one.
    pub ties: Ties,
    /// Steps between two checkpoints, which are also made at the end of epochs.
    pub checkpoint_steps: usize,
}

/// Which of two epochs with the same figure is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// The first.
    First,
    /// The last.
    Last,
}

/// A figure by which checkpoints are compared; higher is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// Mean over labels of F1 at probability 0.5, where a label without examples and
    /// without calls counts 0; or over classes of the highest one, those without either
    /// left out. Both as in scikit-learn.
    MacroF1,
    /// F1 over all labels together, at 0.5.
    MicroF1,
    /// Share of examples whose highest class, or level, is right.
    Accuracy,
    /// Share of pairs whose preferred input has the higher score; a tie is wrong.
    PairAccuracy,
}

/// The published recipes, by name.
const PUBLISHED: [(&str, &str); 7] = [
    ("khp", include_str!("../recipes/khp.toml")),
    ("reply-bert", include_str!("../recipes/reply-bert.toml")),
    ("reply-roberta", include_str!("../recipes/reply-roberta.toml")),
    ("crisis-lora", include_str!("../recipes/crisis-lora.toml")),
    ("pku-moderation", include_str!("../recipes/pku-moderation.toml")),
    ("pku-reward", include_str!("../recipes/pku-reward.toml")),
    ("pku-cost", include_str!("../recipes/pku-cost.toml")),
];

impl Recipe {
    /// The names of the published recipes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PUBLISHED.iter().map(|(name, _)| *name)
    }

    /// The text of a published recipe.
    pub fn published(name: &str) -> Option<&'static str> {
        PUBLISHED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// Reads a recipe.
    ///
    /// # Errors
    /// If it is no recipe, or parts of it do not fit together.
    pub fn parse(text: &str, place: &str) -> Result<Self, Error> {
        let recipe: Self = toml::from_str(text).map_err(|e| Error::new(place, e, "a recipe"))?;
        recipe.check(place)?;
        Ok(recipe)
    }

    /// Its tasks.
    pub fn tasks(&self) -> std::collections::BTreeSet<Task> {
        self.heads.iter().map(|head| head.task).collect()
    }

    /// Looks at what no field can tell alone.
    ///
    /// # Errors
    /// The first field that is out of range or does not fit the others.
    pub fn check(&self, place: &str) -> Result<(), Error> {
        let fault = self.head_fault().or_else(|| self.training_fault()).or_else(|| self.number_fault());
        fault.map_or(Ok(()), |(field, found, expected)| {
            Err(Error::new(format!("{place}: {field}"), found, expected))
        })
    }

    fn head_fault(&self) -> Option<Fault> {
        let training = &self.training;
        if self.tasks().len() != self.heads.len() || self.heads.is_empty() {
            let found = format!("{} heads", self.heads.len());
            return Some(("heads", found, "one for each task, at least one"));
        }
        let task = training.select_task;
        if !self.tasks().contains(&task) {
            return Some(("training.select_task", format!("`{}`", task.wire()), "the task of a head"));
        }
        if !training.select.is_of(task) {
            let found = format!("`{:?}` of `{}`", training.select, task.wire());
            let expected =
                "macro_f1 or micro_f1 of labels, accuracy or macro_f1 of classes, pair_accuracy of scores";
            return Some(("training.select", found, expected));
        }
        let is_weight = |weight: &f32| *weight > 0.0 && weight.is_finite();
        let wrong = self.heads.iter().find(|head| {
            let is_classes = head.task.kind() == TaskKind::SingleLabel;
            !(head.class_weights.iter().all(is_weight) && (is_classes || head.class_weights.is_empty()))
        });
        wrong.map(|head| {
            let found = format!("{:?} of `{}`", head.class_weights, head.task.wire());
            ("class_weights", found, "numbers above 0, of a head of one class of several")
        })
    }

    fn training_fault(&self) -> Option<Fault> {
        let TrainingConfig { epochs, batch, accumulate, checkpoint_steps, .. } = self.training;
        let counts = [
            ("training.epochs", epochs),
            ("training.batch", batch),
            ("training.accumulate", accumulate),
            ("training.checkpoint_steps", checkpoint_steps),
            ("training.seeds", self.training.seeds.len()),
        ];
        let zero = counts.into_iter().find(|(_, count)| *count == 0);
        zero.map(|(field, count)| (field, count.to_string(), "at least 1"))
    }

    fn number_fault(&self) -> Option<Fault> {
        let OptimizerConfig { rate, warm_up, weight_decay, clip, betas, .. } = self.optimizer;
        let is_share = |share: f32| (0.0..1.0).contains(&share);
        let shares = [warm_up, weight_decay, betas.0, betas.1];
        if !(rate > 0.0 && rate.is_finite() && shares.into_iter().all(is_share)) {
            let found =
                format!("rate {rate}, warm_up {warm_up}, weight_decay {weight_decay}, betas {betas:?}");
            return Some(("optimizer", found, "a rate above 0 and shares from 0 to below 1"));
        }
        if let Some(clip) = clip.filter(|clip| *clip <= 0.0 || clip.is_nan()) {
            return Some(("optimizer.clip", clip.to_string(), "above 0, or no clip"));
        }
        let dropouts =
            self.heads.iter().map(|head| head.dropout).chain(self.model.adapter.iter().map(|a| a.dropout));
        if let Some(share) = dropouts.into_iter().find(|share| !is_share(*share)) {
            return Some(("dropout", share.to_string(), "from 0 to below 1"));
        }
        if !(0.0..1.0).contains(&self.data.dev_share) {
            return Some(("data.dev_share", self.data.dev_share.to_string(), "from 0 to below 1"));
        }
        let adapter = self.model.adapter.as_ref()?;
        let is_empty = adapter.rank == 0 || adapter.targets.is_empty();
        is_empty.then(|| {
            ("model.adapter", "a rank of 0 or no targets".to_owned(), "a rank and the names of layers")
        })
    }
}

/// A field, what was found there, and what was expected.
type Fault = (&'static str, String, &'static str);

impl Figure {
    fn is_of(self, task: Task) -> bool {
        match self {
            Self::MacroF1 => task.kind() != TaskKind::Scalar,
            Self::MicroF1 => task.kind() == TaskKind::MultiLabel,
            Self::Accuracy => matches!(task.kind(), TaskKind::SingleLabel | TaskKind::Ordinal),
            Self::PairAccuracy => task.kind() == TaskKind::Scalar,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_recipe_is_read_and_survives_being_written() {
        for name in Recipe::names() {
            let recipe = Recipe::parse(Recipe::published(name).expect("a recipe"), name).expect("a recipe");
            assert_eq!(recipe.name, name);
            let text = toml::to_string(&recipe).expect("TOML");
            assert_eq!(Recipe::parse(&text, name).expect("a recipe"), recipe);
        }
    }

    #[test]
    fn the_published_hyper_parameters_are_the_defaults() {
        let recipe =
            |name| Recipe::parse(Recipe::published(name).expect("a recipe"), name).expect("a recipe");
        let khp = recipe("khp");
        let adapter = khp.model.adapter.as_ref().expect("an adapter");
        assert_eq!((adapter.rank, adapter.alpha, adapter.dropout), (16, 32.0, 0.05));
        assert_eq!(adapter.targets, ["q_proj", "k_proj", "v_proj", "o_proj"]);
        assert_eq!(
            (khp.optimizer.rate, khp.optimizer.weight_decay, khp.optimizer.clip),
            (2e-4, 0.01, Some(1.0))
        );
        assert_eq!((khp.training.batch, khp.training.accumulate, khp.training.epochs), (4, 4, 3));
        assert_eq!((khp.input.max_tokens, khp.optimizer.warm_up_steps(474)), (4096, 23));
        for name in ["reply-bert", "reply-roberta"] {
            let reply = recipe(name);
            assert_eq!(reply.heads[0].class_weights, [2.0, 2.0, 0.5, 2.0, 2.0, 2.0, 2.0, 0.5]);
            assert_eq!((reply.optimizer.rate, reply.optimizer.clip, reply.training.epochs), (2e-5, None, 5));
            assert_eq!((reply.optimizer.warm_up_steps(2230), reply.training.seeds.len()), (223, 5));
        }
        for name in ["pku-reward", "pku-cost"] {
            let pku = recipe(name);
            assert_eq!((pku.optimizer.betas, pku.optimizer.weight_decay), ((0.9, 0.95), 0.1));
            assert_eq!(
                (pku.heads[0].regularization, pku.input.max_tokens, pku.training.epochs),
                (0.001, 512, 2)
            );
            assert_eq!(pku.heads[0].task.kind(), TaskKind::Scalar);
        }
    }

    #[test]
    fn a_recipe_whose_parts_do_not_fit_together_is_refused_with_the_field() {
        let text = Recipe::published("khp").expect("a recipe");
        let changes = [
            ("select = \"macro_f1\"", "select = \"accuracy\"", "training.select"),
            ("select_task = \"signals\"", "select_task = \"risk\"", "training.select_task"),
            ("batch = 4", "batch = 0", "training.batch"),
            ("seeds = [42]", "seeds = []", "training.seeds"),
            ("rate = 2e-4", "rate = 0.0", "optimizer"),
            ("dropout = 0.05", "dropout = 1.5", "dropout"),
            ("epochs = 3", "epoch = 3", "epoch"),
        ];
        for (from, to, named) in changes {
            assert!(text.contains(from), "{from}");
            let error =
                Recipe::parse(&text.replacen(from, to, 1), "recipe.toml").expect_err("refused").to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
