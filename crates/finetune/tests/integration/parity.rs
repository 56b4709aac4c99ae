//! The models beside PyTorch, `transformers` and PEFT: hidden rows, pooled vectors, logits,
//! gradients of every tensor, fifty steps of training, and adapters, on tiny checkpoints of
//! every architecture. `scripts/golden_finetune.py` made the files; their layout is told in
//! `golden/README.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use mindrail_finetune::checkpoint::Checkpoint;
use mindrail_finetune::model::{AdapterSource, Backbone, Keep, Pass, Training};
use mindrail_finetune::rendering::{Cut, Encoded};
use mindrail_finetune::rows::{Target, Task};
use mindrail_finetune::{
    AdamW, Head, HeadConfig, HeadSource, Network, OptimizerConfig, Parameter, Pooling, Sample, Schedule, Step,
};
use serde::Deserialize;

const ARCHITECTURES: [&str; 8] =
    ["bert", "roberta", "xlm-roberta", "distilbert", "modernbert", "qwen2", "qwen3", "llama"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

#[derive(Deserialize)]
struct Golden {
    inputs: Vec<Input>,
    hidden: Vec<Vec<f32>>,
    pooled: BTreeMap<String, Vec<Vec<f32>>>,
    pooling: Pooling,
    logits: Vec<Vec<f32>>,
    targets: Vec<Vec<f32>>,
    loss: f32,
    curve: Vec<f32>,
}

#[derive(Deserialize)]
struct Input {
    ids: Vec<u32>,
    types: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct GoldenAdapter {
    logits: Vec<Vec<f32>>,
    loss: f32,
    curve: Vec<f32>,
    merged_logits: Vec<Vec<f32>>,
}

fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> T {
    let text = std::fs::read_to_string(path).expect("a golden file");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn of(architecture: &str) -> Golden {
    read(&golden(architecture).join("golden.json"))
}

fn head_config() -> HeadConfig {
    toml::from_str("task = \"signals\"").expect("a head")
}

fn head(folder: &Path, width: usize) -> Head {
    let mut file = Checkpoint::of_file(&folder.join("head.safetensors")).expect("a head");
    let source = HeadSource::Saved(&mut file, Training::Everything);
    Head::new(&head_config(), width, source, &Device::Cpu).expect("a head")
}

fn network(architecture: &str, training: Training, dtype: DType) -> Network {
    let folder = golden(architecture);
    let backbone = Backbone::load(&folder, training, dtype, &Device::Cpu).expect("a checkpoint");
    let base = if architecture.starts_with("qwen2") { golden("qwen2") } else { golden(architecture) };
    let base = if architecture == "bert-bin" { golden("bert") } else { base };
    let heads = vec![head(&base, backbone.architecture().width)];
    let golden: Golden = read(&base.join("golden.json"));
    Network { backbone, heads, pooling: golden.pooling }
}

fn encoded(golden: &Golden) -> Vec<Encoded> {
    let types = |input: &Input| input.types.clone().unwrap_or_else(|| vec![0; input.ids.len()]);
    golden
        .inputs
        .iter()
        .map(|i| Encoded { ids: i.ids.clone(), types: types(i), cut: Cut::default() })
        .collect()
}

fn samples(golden: &Golden) -> Vec<Sample> {
    encoded(golden)
        .into_iter()
        .zip(&golden.targets)
        .map(|(input, targets)| Sample {
            inputs: vec![input],
            targets: BTreeMap::from([(Task::Signals, Target::Labels(targets.clone()))]),
        })
        .collect()
}

fn step(dtype: DType, keep: Keep) -> Step {
    Step { pass: Pass::plain(dtype), keep, share: 1.0 }
}

#[track_caller]
fn assert_near(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "{what}[{i}]: {a} against PyTorch's {b}");
    }
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).and_then(|t| t.flatten_all()?.to_vec1()).expect("numbers")
}

fn logits(network: &Network, golden: &Golden) -> Vec<Vec<f32>> {
    let inputs = encoded(golden);
    network.logits(&inputs.iter().collect::<Vec<_>>()).expect("logits").remove(0)
}

#[test]
fn rows_vectors_and_logits_of_every_architecture_are_those_of_transformers() {
    for architecture in ARCHITECTURES {
        let golden = of(architecture);
        let mut network = network(architecture, Training::Frozen, DType::F32);
        let inputs = encoded(&golden);
        let batch = inputs.iter().map(|i| (i.ids.as_slice(), i.types.as_slice()));
        let batch = network.backbone.batch(batch).expect("a batch");
        let (rows, _) =
            network.backbone.forward(&batch, &Pass::plain(DType::F32), Keep::Nothing).expect("rows");
        assert_near(&flat(&rows), &golden.hidden.concat(), 1e-4, &format!("{architecture}, rows"));
        assert_near(&logits(&network, &golden).concat(), &golden.logits.concat(), 1e-4, architecture);
        for (name, expected) in &golden.pooled {
            network.pooling = serde_json::from_value(name.as_str().into()).expect("a pooling");
            let found = network.vectors(&inputs.iter().collect::<Vec<_>>()).expect("vectors");
            assert_near(&found.concat(), &expected.concat(), 1e-4, &format!("{architecture}, {name}"));
        }
    }
}

#[test]
fn a_sequence_has_the_same_logits_alone_as_among_others() {
    for architecture in ARCHITECTURES {
        let golden = of(architecture);
        let network = network(architecture, Training::Frozen, DType::F32);
        for (input, expected) in encoded(&golden).iter().zip(&golden.logits) {
            let found = network.logits(&[input]).expect("logits").remove(0);
            assert_near(&found.concat(), expected, 1e-4, architecture);
        }
    }
}

#[test]
fn weights_in_shards_and_in_a_file_of_pytorch_are_read_alike() {
    for (folder, like) in [("qwen2-sharded", "qwen2"), ("bert-bin", "bert")] {
        let golden = of(like);
        let found = logits(&network(folder, Training::Frozen, DType::F32), &golden);
        assert_near(&found.concat(), &golden.logits.concat(), 1e-4, folder);
    }
}

/// Gradients of every tensor relative to the largest number of each.
fn assert_gradients(parameters: &[&Parameter], path: &Path, what: &str) {
    let mut expected = Checkpoint::of_file(path).expect("golden gradients");
    let mut compared = 0;
    for parameter in parameters.iter().filter(|p| p.is_trained()) {
        if !expected.has(parameter.name()) {
            let unused = parameter.gradient().is_none_or(|g| flat(&g).iter().all(|x| *x == 0.0));
            assert!(unused, "{what}: {} has a gradient, and PyTorch's none", parameter.name());
            continue;
        }
        let expected = flat(&expected.take(parameter.name(), parameter.shape().dims()).expect("a shape"));
        let found = flat(&parameter.gradient().unwrap_or_else(|| panic!("{what}: {}", parameter.name())));
        let largest = expected.iter().fold(1e-4f32, |largest, x| largest.max(x.abs()));
        assert_near(&found, &expected, 1e-3 * largest, &format!("{what}, {}", parameter.name()));
        compared += 1;
    }
    assert_eq!(compared, expected.names().count(), "{what}: every golden gradient has its tensor");
}

#[test]
fn gradients_of_every_tensor_are_those_of_pytorch_with_and_without_checkpointing() {
    for architecture in ARCHITECTURES {
        let golden = of(architecture);
        let samples = samples(&golden);
        for keep in [Keep::All, Keep::Inputs] {
            let network = network(architecture, Training::Everything, DType::F32);
            let loss =
                network.learn(&samples.iter().collect::<Vec<_>>(), step(DType::F32, keep)).expect("a loss");
            assert_near(&[loss], &[golden.loss], 1e-5, architecture);
            let path = self::golden(architecture).join("gradients.safetensors");
            assert_gradients(&network.parameters(), &path, architecture);
        }
    }
}

fn optimizer() -> OptimizerConfig {
    OptimizerConfig {
        rate: 1e-3,
        betas: (0.9, 0.999),
        epsilon: 1e-8,
        weight_decay: 0.01,
        schedule: Schedule::Linear,
        warm_up: 0.1,
        warm_up_rounding: mindrail_finetune::Rounding::Up,
        clip: Some(1.0),
    }
}

fn curve(network: &mut Network, golden: &Golden) -> Vec<f32> {
    let samples = samples(golden);
    let batch: Vec<&Sample> = samples.iter().collect();
    let mut adam = AdamW::new(&optimizer(), &network.parameters(), 50).expect("an optimiser");
    (0..50)
        .map(|_| {
            let loss = network.learn(&batch, step(DType::F32, Keep::All)).expect("a loss");
            adam.step(network.parameters_mut()).expect("a step");
            loss
        })
        .collect()
}

#[test]
fn fifty_steps_of_full_fine_tuning_have_the_losses_of_pytorch() {
    for architecture in ARCHITECTURES {
        let golden = of(architecture);
        let mut network = network(architecture, Training::Everything, DType::F32);
        assert_near(&curve(&mut network, &golden), &golden.curve, 1e-3, architecture);
    }
}

fn adapted(architecture: &str, training: Training) -> Network {
    let mut network = network(architecture, Training::Frozen, DType::F32);
    let folder = golden(architecture).join("adapter");
    network.backbone.adapt(AdapterSource::Saved(&folder, training)).expect("an adapter");
    network
}

#[derive(Deserialize)]
struct Logits {
    logits: Vec<Vec<f32>>,
}

#[test]
fn an_adapter_that_peft_saved_gives_pefts_logits_also_merged() {
    for architecture in ["qwen2", "llama", "bert"] {
        let golden = of(architecture);
        let expected: GoldenAdapter = read(&self::golden(architecture).join("golden_lora.json"));
        let mut network = adapted(architecture, Training::Frozen);
        assert_near(&logits(&network, &golden).concat(), &expected.logits.concat(), 1e-4, architecture);
        network.backbone.merge_adapter().expect("merged");
        assert!(network.parameters().iter().all(|p| !p.name().contains("lora")));
        assert_near(
            &logits(&network, &golden).concat(),
            &expected.merged_logits.concat(),
            1e-4,
            architecture,
        );
    }
    let expected: Logits = read(&golden("qwen2").join("golden_rslora.json"));
    let mut network = network("qwen2", Training::Frozen, DType::F32);
    let folder = golden("qwen2").join("adapter-rslora");
    let config = network.backbone.adapt(AdapterSource::Saved(&folder, Training::Frozen)).expect("an adapter");
    assert!(config.rank_stabilised);
    assert_near(&logits(&network, &of("qwen2")).concat(), &expected.logits.concat(), 1e-4, "rslora");
}

#[test]
fn gradients_and_losses_of_an_adapter_are_those_of_peft() {
    for architecture in ["qwen2", "llama", "bert"] {
        let golden = of(architecture);
        let expected: GoldenAdapter = read(&self::golden(architecture).join("golden_lora.json"));
        let network = adapted(architecture, Training::Everything);
        let samples = samples(&golden);
        let loss = network
            .learn(&samples.iter().collect::<Vec<_>>(), step(DType::F32, Keep::Inputs))
            .expect("a loss");
        assert_near(&[loss], &[expected.loss], 1e-5, architecture);
        let path = self::golden(architecture).join("adapter/gradients.safetensors");
        assert_gradients(&network.parameters(), &path, architecture);
        let mut network = adapted(architecture, Training::Everything);
        assert_near(&curve(&mut network, &golden), &expected.curve, 1e-3, architecture);
    }
}

#[test]
fn an_adapter_that_mindrail_saves_has_the_tensors_and_the_settings_of_pefts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut network = network("qwen2", Training::Frozen, DType::F32);
    let source = golden("qwen2").join("adapter");
    let config =
        network.backbone.adapt(AdapterSource::Saved(&source, Training::Everything)).expect("an adapter");
    network.backbone.save_adapter(folder.path(), &config, "base").expect("saved");
    let file = "adapter_model.safetensors";
    let mut ours = Checkpoint::of_file(&folder.path().join(file)).expect("a file");
    let mut pefts = Checkpoint::of_file(&source.join(file)).expect("a file");
    let names: Vec<String> = pefts.names().map(str::to_owned).collect();
    assert_eq!(ours.names().collect::<Vec<_>>(), names);
    for name in names {
        let (a, b) = (ours.take_any(&name).expect("a tensor"), pefts.take_any(&name).expect("a tensor"));
        assert_eq!(flat(&a), flat(&b), "{name}");
    }
    let settings =
        |folder: &Path| -> BTreeMap<String, serde_json::Value> { read(&folder.join("adapter_config.json")) };
    let (ours, pefts) = (settings(folder.path()), settings(&source));
    for (name, value) in ours.iter().filter(|(name, _)| *name != "base_model_name_or_path") {
        let sorted = |value: &serde_json::Value| {
            let mut names: Vec<String> =
                value.as_array().into_iter().flatten().map(ToString::to_string).collect();
            names.sort();
            names
        };
        let same = pefts.get(name).is_some_and(|other| match value {
            serde_json::Value::Array(_) => sorted(value) == sorted(other),
            serde_json::Value::Number(number) => number.as_f64() == other.as_f64(),
            _ => value == other,
        });
        assert!(same, "{name}: {value} against PEFT's {:?}", pefts.get(name));
    }
}

#[test]
fn half_precision_stays_near_single_precision() {
    for architecture in ["bert", "modernbert", "qwen3"] {
        let golden = of(architecture);
        let network = network(architecture, Training::Frozen, DType::BF16);
        assert_near(&logits(&network, &golden).concat(), &golden.logits.concat(), 0.1, architecture);
    }
}

#[test]
fn a_tensor_that_is_missing_too_many_or_of_another_shape_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = golden("bert");
    std::fs::copy(source.join("config.json"), folder.path().join("config.json")).expect("a copy");
    let mut file = Checkpoint::of_file(&source.join("model.safetensors")).expect("a file");
    let names: Vec<String> = file.names().map(str::to_owned).collect();
    let tensors: std::collections::HashMap<String, Tensor> =
        names.into_iter().map(|name| (name.clone(), file.take_any(&name).expect("a tensor"))).collect();
    let target = "bert.encoder.layer.1.output.dense.weight";
    let refused = |tensors: &std::collections::HashMap<String, Tensor>| {
        candle_core::safetensors::save(tensors, folder.path().join("model.safetensors")).expect("saved");
        let found = Backbone::load(folder.path(), Training::Frozen, DType::F32, &Device::Cpu);
        found.expect_err("refused").to_string()
    };
    let mut changed = tensors.clone();
    let tensor = changed.remove(target).expect("a tensor");
    assert!(refused(&changed).contains(target), "{}", refused(&changed));
    changed.insert(target.to_owned(), tensor.t().and_then(|t| t.contiguous()).expect("turned"));
    assert!(refused(&changed).contains("shape"), "{}", refused(&changed));
    let mut changed = tensors;
    changed.insert("bert.encoder.layer.9.extra".to_owned(), tensor);
    assert!(refused(&changed).contains("layer.9.extra"), "{}", refused(&changed));
}

#[test]
fn the_published_guardrail_s_files_give_its_probabilities_and_scores() {
    #[derive(Deserialize)]
    struct Khp {
        probabilities: Vec<Vec<f32>>,
        scores: Vec<f64>,
    }
    let expected: Khp = read(&golden("khp").join("khp.json"));
    let published = mindrail_finetune::khp::Published::open(&golden("khp"), &golden("qwen2"), &Device::Cpu)
        .expect("the files");
    let found = logits(&published.network, &of("qwen2"));
    let head = published.aggregation.expect("a logistic head");
    for ((logits, probabilities), score) in found.iter().zip(&expected.probabilities).zip(&expected.scores) {
        // The recipe computes in bf16, and the golden numbers are of single precision.
        let found = mindrail_finetune::probabilities(Task::Signals, logits);
        assert_near(&found, probabilities, 0.03, "probabilities");
        let features: Vec<f64> = probabilities.iter().map(|p| f64::from(*p)).collect();
        assert!((head.probability(&features) - score).abs() < 1e-6);
    }
}

#[test]
fn minilm_s_vectors_logits_and_gradients_are_those_of_pytorch() {
    #[derive(Deserialize)]
    struct MiniLm {
        ids: Vec<Vec<u32>>,
        vectors: Vec<Vec<f32>>,
        logits: Vec<Vec<f32>>,
        targets: Vec<Vec<f32>>,
        loss: f32,
        gradient_norms: BTreeMap<String, f32>,
    }
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../base/all-MiniLM-L6-v2");
    if !base.join("config.json").is_file() || !base.join("model.safetensors").is_file() {
        eprintln!("SKIPPED: {} is not here; docs/FINETUNING.md says where it comes from", base.display());
        return;
    }
    let expected: MiniLm = read(&golden("minilm.json"));
    let backbone =
        Backbone::load(&base, Training::Everything, DType::F32, &Device::Cpu).expect("a checkpoint");
    let weights: Vec<f32> = (0..9 * 384).map(|i| (0.1 * f64::from(i)).sin() as f32 * 0.05).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("head.safetensors");
    let tensors = std::collections::HashMap::from([
        ("signals.weight", Tensor::from_vec(weights, (9, 384), &Device::Cpu).expect("a matrix")),
        ("signals.bias", Tensor::zeros(9, DType::F32, &Device::Cpu).expect("a row")),
    ]);
    candle_core::safetensors::save(&tensors, &path).expect("saved");
    let heads = vec![head(folder.path(), 384)];
    let network = Network { backbone, heads, pooling: Pooling::Mean };
    let inputs: Vec<Encoded> = expected
        .ids
        .iter()
        .map(|ids| Encoded { ids: ids.clone(), types: vec![0; ids.len()], cut: Cut::default() })
        .collect();
    let all: Vec<&Encoded> = inputs.iter().collect();
    assert_near(
        &network.vectors(&all).expect("vectors").concat(),
        &expected.vectors.concat(),
        1e-4,
        "vectors",
    );
    assert_near(
        &network.logits(&all).expect("logits")[0].concat(),
        &expected.logits.concat(),
        1e-4,
        "logits",
    );
    let samples: Vec<Sample> = inputs
        .into_iter()
        .zip(&expected.targets)
        .map(|(input, targets)| Sample {
            inputs: vec![input],
            targets: BTreeMap::from([(Task::Signals, Target::Labels(targets.clone()))]),
        })
        .collect();
    let batch: Vec<&Sample> = samples.iter().collect();
    let loss = network.learn(&batch, step(DType::F32, Keep::All)).expect("a loss");
    assert_near(&[loss], &[expected.loss], 1e-5, "loss");
    let mut compared = 0;
    for parameter in network.parameters() {
        let named =
            |name: &String| name.ends_with(parameter.name()) || parameter.name().ends_with(name.as_str());
        let Some((_, norm)) = expected.gradient_norms.iter().find(|(name, _)| named(name)) else { continue };
        let found =
            flat(&parameter.gradient().expect("a gradient")).iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((found - norm).abs() < 1e-3 * norm.max(1e-4), "{}: {found} against {norm}", parameter.name());
        compared += 1;
    }
    assert_eq!(compared, expected.gradient_norms.len());
}
