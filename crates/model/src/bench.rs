//! Speed of the model on this machine: the encoder alone, and a new turn at
//! the end of conversations of several lengths. Medians over [`RUNS`] runs after
//! [`WARM_UP`]; the peers are measured by `scripts/bench_peers.py` in one run
//! with this.

use std::time::Instant;

use mindrail_core::assessor::Assessor as _;
use mindrail_core::conversation::{Role, Turn};
use serde::Serialize;

use crate::architecture::Architecture;
use crate::assessor::EmbeddedAssessor;
use crate::bundle::{Bundle, BundleError, InF32};
use crate::encoder::{Encoder, Precision, TensorSource};

/// Unmeasured runs before the measured ones.
pub const WARM_UP: usize = 5;
/// Measured runs.
pub const RUNS: usize = 30;

/// Tensors with the position embeddings repeated up to 512.
struct MorePositions<'a>(&'a dyn TensorSource);

impl TensorSource for MorePositions<'_> {
    fn precision(&self) -> Precision {
        self.0.precision()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let values = self.0.floats(name);
        if name == "embeddings.position_embeddings.weight" { values.repeat(4) } else { values }
    }

    fn bytes(&self, name: &str) -> (Vec<i8>, Vec<f32>) {
        self.0.bytes(name)
    }
}

/// All figures, in the shape of `scripts/bench_peers.py`.
#[derive(Debug, Clone, Serialize)]
pub struct Timings {
    /// The encoder alone.
    pub encoder: Vec<EncoderTiming>,
    /// A new turn of 30 words.
    pub turn: Vec<TurnTiming>,
}

/// What was measured.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Subject {
    /// `mindrail`.
    pub runtime: &'static str,
    /// `f32` or `int8`.
    pub precision: &'static str,
    /// Threads.
    pub threads: usize,
}

/// Median time of the encoder.
#[derive(Debug, Clone, Serialize)]
pub struct EncoderTiming {
    /// What was measured.
    #[serde(flatten)]
    pub subject: Subject,
    /// Texts at once.
    pub batch: usize,
    /// Tokens per text.
    pub length: usize,
    /// Median in milliseconds.
    pub median_ms: f64,
}

/// Median time of a new turn, on one thread.
#[derive(Debug, Clone, Serialize)]
pub struct TurnTiming {
    /// What was measured.
    #[serde(flatten)]
    pub subject: Subject,
    /// Turns in the conversation, the new one included.
    pub turns: usize,
    /// Median in milliseconds.
    pub median_ms: f64,
}

/// Measures everything, the encoder on the threads of the current rayon pool.
///
/// # Errors
/// [`BundleError`] when the bundle cannot be used.
pub fn run(bundle: &Bundle) -> Result<Timings, BundleError> {
    let threads = rayon::current_num_threads();
    let float = InF32(bundle);
    // The bundle holds the positions of one segment; longer texts are measured
    // with these repeated, which changes no time.
    let long = Architecture { positions: 512, ..bundle.manifest.architecture.clone() };
    let subject = |precision, threads| Subject { runtime: "mindrail", precision, threads };
    let mut timings = Timings { encoder: Vec::new(), turn: Vec::new() };
    let encoders = [
        ("f32", Encoder::new(&long, &MorePositions(&float))),
        ("int8", Encoder::new(&long, &MorePositions(bundle))),
    ];
    for (precision, encoder) in &encoders {
        for (batch, length) in [(1, 32), (1, 128), (1, 256), (16, 32), (16, 128), (16, 256)] {
            let median_ms = encoder_time(encoder, (batch, length));
            let subject = subject(precision, threads);
            timings.encoder.push(EncoderTiming { subject, batch, length, median_ms });
        }
    }
    let assessors =
        [("f32", EmbeddedAssessor::with_tensors(bundle, &float)?), ("int8", EmbeddedAssessor::new(bundle)?)];
    for (precision, assessor) in &assessors {
        for turns in [2, 20, 200] {
            let median_ms = turn_time(assessor, turns - 1);
            timings.turn.push(TurnTiming { subject: subject(precision, 1), turns, median_ms });
        }
    }
    Ok(timings)
}

fn encoder_time(encoder: &Encoder, (batch, length): (usize, usize)) -> f64 {
    let text: Vec<u32> = (0..length as u32).map(|i| 2000 + i * 37 % 20_000).collect();
    let texts = vec![text.as_slice(); batch];
    median(|| {
        let vectors = encoder.encode_parallel(&texts);
        assert_eq!(vectors.len(), batch * encoder.width(), "one vector per text");
    })
}

/// A turn of 30 words after `length` others, tokenizer and all.
fn turn_time(assessor: &EmbeddedAssessor, length: usize) -> f64 {
    const WORDS: &str = "so today was long again and i keep thinking about what my sister said on the phone because \
                         she always knows when something is off and then i never really answer";
    let turn = |role| Turn { role, text: WORDS.to_owned() };
    let mut state = assessor.start();
    for i in 0..length {
        let role = if i % 2 == 0 { Role::User } else { Role::Assistant };
        // A fresh state is never refused.
        let _ = assessor.push(&mut state, &turn(role));
    }
    median(|| {
        let mut state = state.clone();
        let _ = assessor.push(&mut state, &turn(Role::User));
    })
}

fn median(mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..WARM_UP + RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(WARM_UP)
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}
