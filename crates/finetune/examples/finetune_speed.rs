//! Times of training steps and of inference, and the memory they take, as one line of
//! JSON. `scripts/bench_finetune.py` runs it beside PyTorch and ONNX Runtime.
//!
//!   `finetune_speed` train BASE BATCH TOKENS STEPS
//!   `finetune_speed` infer BASE BATCH TOKENS STEPS
//!   `finetune_speed` mixed BASE LENGTHS STEPS      LENGTHS: a file of token counts, one a line
//!
//! `RAYON_NUM_THREADS` sets the threads.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use candle_core::{DType, Device};
use mindrail_finetune::model::{Backbone, Keep, Pass, Training};
use mindrail_finetune::rendering::{Cut, Encoded};
use mindrail_finetune::rows::{Target, Task};
use mindrail_finetune::{
    AdamW, Error, Head, HeadConfig, HeadSource, Network, OptimizerConfig, Pooling, Rounding, Sample,
    Schedule, Step,
};
use mindrail_model::random::Random;

/// Rounds before the clock runs.
const WARM_UP: usize = 3;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [task, base, lengths @ .., steps] = arguments.as_slice() else {
        return Err(Error::new("arguments", arguments.len(), "train|infer|mixed BASE ... STEPS"));
    };
    let steps = number(steps)?;
    let lengths = match lengths {
        [file] => lengths_in(Path::new(file))?,
        [batch, tokens] => vec![number(tokens)?; number(batch)?],
        _ => return Err(Error::new("arguments", arguments.len(), "BATCH TOKENS, or LENGTHS")),
    };
    let training = if task == "train" { Training::Everything } else { Training::Frozen };
    let mut network = network(Path::new(base), training)?;
    let samples = samples(&lengths, network.backbone.architecture().vocabulary);
    let times = match training {
        Training::Everything => train(&mut network, &samples, steps)?,
        Training::Frozen => infer(&network, &samples, steps)?,
    };
    println!(
        "{}",
        serde_json::json!({"ms": times, "peak_mib": peak_mib(), "threads": rayon::current_num_threads()})
    );
    Ok(())
}

fn network(base: &Path, training: Training) -> Result<Network, Error> {
    let mut backbone = Backbone::load(base, training, DType::F32, &Device::Cpu)?;
    if training == Training::Frozen {
        backbone.pack()?;
    }
    let config: HeadConfig =
        toml::from_str("task = \"signals\"").map_err(|e| Error::new("head", e, "a head"))?;
    let source = HeadSource::Fresh(&mut Random::new(1));
    let head = Head::new(&config, backbone.architecture().width, source, &Device::Cpu)?;
    Ok(Network { backbone, heads: vec![head], pooling: Pooling::Mean })
}

fn number(text: &str) -> Result<usize, Error> {
    text.parse().map_err(|e| Error::new("arguments", e, "a number"))
}

fn lengths_in(file: &Path) -> Result<Vec<usize>, Error> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::new(file.display(), e, "a file"))?;
    text.lines().map(number).collect()
}

fn samples(lengths: &[usize], vocabulary: usize) -> Vec<Sample> {
    let mut random = Random::new(7);
    lengths
        .iter()
        .map(|&tokens| {
            let ids = (0..tokens).map(|_| (200 + random.below(vocabulary - 200)) as u32).collect();
            let labels = (0..9).map(|_| if random.chance(0.3) { 1.0 } else { 0.0 }).collect();
            Sample {
                inputs: vec![Encoded { ids, types: vec![0; tokens], cut: Cut::default() }],
                targets: BTreeMap::from([(Task::Signals, Target::Labels(labels))]),
            }
        })
        .collect()
}

fn train(network: &mut Network, samples: &[Sample], steps: usize) -> Result<Vec<f64>, Error> {
    let config = OptimizerConfig {
        rate: 2e-5,
        betas: (0.9, 0.999),
        epsilon: 1e-8,
        weight_decay: 0.01,
        schedule: Schedule::Linear,
        warm_up: 0.1,
        warm_up_rounding: Rounding::Up,
        clip: Some(1.0),
    };
    let mut adam = AdamW::new(&config, &network.parameters(), steps + WARM_UP)?;
    let batch: Vec<&Sample> = samples.iter().collect();
    let mut times = Vec::new();
    for step in 0..steps + WARM_UP {
        let begin = Instant::now();
        let pass = Pass { dtype: DType::F32, seed: Some(step as u32) };
        network.learn(&batch, Step { pass, keep: Keep::All, share: 1.0 })?;
        adam.step(network.parameters_mut())?;
        if step >= WARM_UP {
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}

fn infer(network: &Network, samples: &[Sample], steps: usize) -> Result<Vec<f64>, Error> {
    let inputs: Vec<&Encoded> = samples.iter().flat_map(|sample| &sample.inputs).collect();
    let mut times = Vec::new();
    for step in 0..steps + WARM_UP {
        let begin = Instant::now();
        network.logits_of_many(&inputs, &mut |_| {})?;
        if step >= WARM_UP {
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    Ok(times)
}

/// The most memory that the process has held, as Linux tells it.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
