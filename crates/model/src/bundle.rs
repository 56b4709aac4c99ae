//! A bundle: the folder that carries a model to wherever it serves. Five files:
//!
//! - `manifest.json`: format, name, version, architecture, what it was trained
//!   on, and the SHA-256 of the other four;
//! - `weights.safetensors`: matrices in 8 bits with one scale per row, the
//!   rest in f32, and the tables of the wide part;
//! - `tokenizer.json`, `calibration.json`, `MODEL_CARD.md`.
//!
//! The manifest's own SHA-256 names the bundle as a whole. Nothing is served
//! from a bundle whose hashes do not match.

use std::collections::BTreeMap;
use std::path::Path;

use mindrail_core::calibration::Calibration;
use mindrail_core::digest::sha256;
use mindrail_core::taxonomy::{CrisisLabel, Stage};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::architecture::{Architecture, TensorSpec};
use crate::encoder::{Precision, TensorSource};
use crate::kernel::quantize_weights;
use crate::parameters::Parameters;
use crate::train::WidePart;
use crate::wide::{Alphabet, WideTable};

/// The version of the bundle format that this code writes and reads.
pub const FORMAT: u32 = 2;

/// File names of a bundle beside its manifest.
pub const FILES: [&str; 4] = ["weights.safetensors", "tokenizer.json", "calibration.json", "MODEL_CARD.md"];

/// The bundle's table of contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The model's name.
    pub name: String,
    /// The model's version.
    pub version: String,
    /// Its shape.
    pub architecture: Architecture,
    /// SHA-256 of each file, in hexadecimal.
    pub files: BTreeMap<String, String>,
    /// The run record: sources with hashes and licences, configuration, stages.
    pub training: serde_json::Value,
}

/// `calibration.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleCalibration {
    /// How the deep and the wide part are added up.
    pub blend: Blend,
    /// From logits to probabilities and thresholds.
    pub calibration: Calibration,
}

/// Weights of the deep and the wide part, per group of outputs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blend {
    /// Risk.
    pub risk: Mix,
    /// The nine signals.
    pub signals: Mix,
    /// The two alerts.
    pub alert: Mix,
    /// The fourteen confirms.
    pub confirm: Mix,
    /// Reply classes.
    pub classes: Mix,
    /// Harms.
    pub harms: Mix,
    /// Severities.
    pub severity: Mix,
}

/// `deep x + wide y + bias`; neither weight is negative, so that the blend
/// rises with both.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Weight of the deep part's logit.
    pub deep: f32,
    /// Weight of the wide part's logit.
    pub wide: f32,
    /// Added to the sum.
    pub bias: f32,
}

impl Blend {
    /// The weights of a crisis label.
    pub fn crisis(&self, label: CrisisLabel) -> Mix {
        match label.stage() {
            Stage::Alert => self.alert,
            Stage::Confirm(_) => self.confirm,
        }
    }
}

impl Mix {
    /// The blended logit.
    pub fn apply(self, deep: f32, wide: f32) -> f32 {
        self.deep * deep + self.wide * wide + self.bias
    }
}

/// A bundle whose hashes and shapes have been checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its table of contents.
    pub manifest: Manifest,
    /// SHA-256 of the manifest: the bundle's identity.
    pub sha256: String,
    /// Blend, calibration, thresholds.
    pub calibration: BundleCalibration,
    /// The tokenizer file.
    pub tokenizer: Vec<u8>,
    /// The model card.
    pub card: String,
    /// The wide part.
    pub wide: WidePart,
    tensors: BTreeMap<String, Tensor>,
}

#[derive(Debug, Clone)]
enum Tensor {
    F32(Vec<f32>),
    Int8 { bytes: Vec<i8>, scales: Vec<f32> },
}

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read.
    #[error("bundle file {file}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("bundle file {file}: {reason}")]
    Damaged {
        /// The file.
        file: &'static str,
        /// What was found and what was expected.
        reason: String,
    },
    /// A file's hash is not the manifest's.
    #[error(
        "bundle file {file} is damaged or from another bundle: its SHA-256 is {found}, the manifest says {expected}"
    )]
    Hash {
        /// The file.
        file: String,
        /// Its hash.
        found: String,
        /// The manifest's.
        expected: String,
    },
    /// The bundle is from another version of the format.
    #[error("bundle format {found} is unknown; this program reads format {FORMAT}")]
    Format {
        /// The manifest's format.
        found: u64,
    },
}

/// The raw files of a bundle.
pub struct BundleFiles<'a> {
    /// `manifest.json`.
    pub manifest: &'a [u8],
    /// The others, in the order of [`FILES`].
    pub others: [&'a [u8]; 4],
}

impl Bundle {
    /// The bundle that is compiled into this program.
    ///
    /// # Errors
    /// [`BundleError`] when the program was built with a damaged bundle.
    pub fn embedded() -> Result<Self, BundleError> {
        Self::parse(&BundleFiles {
            manifest: include_bytes!("../bundle/manifest.json"),
            others: [
                include_bytes!("../bundle/weights.safetensors"),
                include_bytes!("../bundle/tokenizer.json"),
                include_bytes!("../bundle/calibration.json"),
                include_bytes!("../bundle/MODEL_CARD.md"),
            ],
        })
    }

    /// The bundle in a folder.
    ///
    /// # Errors
    /// [`BundleError`] names the file that is missing, damaged or foreign.
    pub fn from_folder(folder: &Path) -> Result<Self, BundleError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path)
                .map_err(|source| BundleError::Io { file: path.display().to_string(), source })
        };
        let manifest = read("manifest.json")?;
        let others = [read(FILES[0])?, read(FILES[1])?, read(FILES[2])?, read(FILES[3])?];
        Self::parse(&BundleFiles { manifest: &manifest, others: others.each_ref().map(Vec::as_slice) })
    }

    /// Checks and reads a bundle's files.
    ///
    /// # Errors
    /// [`BundleError`] names the file and what is wrong with it.
    pub fn parse(files: &BundleFiles<'_>) -> Result<Self, BundleError> {
        let manifest = read_manifest(files.manifest)?;
        for (name, bytes) in FILES.iter().zip(files.others) {
            let expected = manifest.files.get(*name).cloned().unwrap_or_default();
            let found = sha256(bytes);
            if found != expected {
                return Err(BundleError::Hash { file: (*name).to_owned(), found, expected });
            }
        }
        let [weights, tokenizer, calibration, card] = files.others;
        let calibration: BundleCalibration =
            serde_json::from_slice(calibration).map_err(|e| damaged("calibration.json", e))?;
        check_calibration(&calibration)?;
        let file = SafeTensors::deserialize(weights).map_err(|e| damaged("weights.safetensors", e))?;
        let mut tensors = BTreeMap::new();
        for spec in manifest.architecture.tensors() {
            tensors.insert(spec.name.clone(), read_tensor(&file, &spec)?);
        }
        Ok(Self {
            tensors,
            wide: WidePart {
                joint: read_table(&file, "joint", Alphabet::Words)?,
                person: read_table(&file, "person", Alphabet::Words)?,
                turn: read_table(&file, "turn", Alphabet::WordsAndLetters)?,
                reply: read_table(&file, "reply", Alphabet::WordsAndLetters)?,
            },
            sha256: sha256(files.manifest),
            manifest,
            calibration,
            tokenizer: tokenizer.to_vec(),
            card: String::from_utf8_lossy(card).into_owned(),
        })
    }
}

impl TensorSource for Bundle {
    fn precision(&self) -> Precision {
        Precision::Int8
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        match self.tensors.get(name) {
            Some(Tensor::F32(values)) => values.clone(),
            Some(Tensor::Int8 { bytes, scales }) => {
                let width = bytes.len() / scales.len();
                let rows = bytes.chunks_exact(width).zip(scales);
                rows.flat_map(|(row, scale)| row.iter().map(move |&b| f32::from(b) * scale)).collect()
            }
            // `parse` has seen every tensor of the architecture.
            None => Vec::new(),
        }
    }

    fn bytes(&self, name: &str) -> (Vec<i8>, Vec<f32>) {
        match self.tensors.get(name) {
            Some(Tensor::Int8 { bytes, scales }) => (bytes.clone(), scales.clone()),
            _ => (Vec::new(), Vec::new()),
        }
    }
}

/// The same tensors in f32: for comparison with the trainer and for benchmarks.
pub struct InF32<'a>(pub &'a dyn TensorSource);

impl TensorSource for InF32<'_> {
    fn precision(&self) -> Precision {
        Precision::F32
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.0.floats(name)
    }

    fn bytes(&self, _: &str) -> (Vec<i8>, Vec<f32>) {
        (Vec::new(), Vec::new())
    }
}

impl TensorSource for Parameters {
    fn precision(&self) -> Precision {
        Precision::F32
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.get(name).to_vec()
    }

    fn bytes(&self, _: &str) -> (Vec<i8>, Vec<f32>) {
        (Vec::new(), Vec::new())
    }
}

/// The contents of a bundle about to be written.
pub struct NewBundle<'a> {
    /// The trained tensors.
    pub parameters: &'a Parameters,
    /// The trained wide part.
    pub wide: &'a WidePart,
    /// The tokenizer file.
    pub tokenizer: &'a [u8],
    /// Blend, calibration, thresholds.
    pub calibration: &'a BundleCalibration,
    /// The model card.
    pub card: String,
    /// Everything else; its hashes are filled in.
    pub manifest: Manifest,
}

impl NewBundle<'_> {
    /// Writes the bundle's files into a folder.
    ///
    /// # Errors
    /// [`BundleError`] when a file cannot be written.
    pub fn write(mut self, folder: &Path) -> Result<(), BundleError> {
        let calibration = to_json(self.calibration, "calibration.json")?;
        let weights = self.weights()?;
        let contents = [&weights, self.tokenizer, &calibration, self.card.as_bytes()];
        let io =
            |file: &str, source| BundleError::Io { file: folder.join(file).display().to_string(), source };
        std::fs::create_dir_all(folder).map_err(|e| io("", e))?;
        for (name, bytes) in FILES.iter().zip(contents) {
            self.manifest.files.insert((*name).to_owned(), sha256(bytes));
            std::fs::write(folder.join(name), bytes).map_err(|e| io(name, e))?;
        }
        let manifest = to_json(&self.manifest, "manifest.json")?;
        std::fs::write(folder.join("manifest.json"), manifest).map_err(|e| io("manifest.json", e))
    }

    fn weights(&self) -> Result<Vec<u8>, BundleError> {
        let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
        for spec in self.manifest.architecture.tensors() {
            let values = &self.parameters.get(&spec.name)[..spec.shape.iter().product()];
            if is_quantized(&spec) {
                let (bytes, scales) = quantize_weights(values, spec.shape[0]);
                tensors.push((
                    spec.name.clone(),
                    Dtype::I8,
                    spec.shape.clone(),
                    bytes.iter().map(|b| b.cast_unsigned()).collect(),
                ));
                tensors.push((scales_of(&spec.name), Dtype::F32, vec![scales.len()], raw(&scales)));
            } else {
                tensors.push((spec.name.clone(), Dtype::F32, spec.shape.clone(), raw(values)));
            }
        }
        let wide = self.wide;
        for (name, table) in
            [("joint", &wide.joint), ("person", &wide.person), ("turn", &wide.turn), ("reply", &wide.reply)]
        {
            tensors.extend(table_tensors(name, table));
        }
        let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes)
                .map_err(|e| damaged("weights.safetensors", e))?;
            Ok((name.clone(), view))
        });
        let views = views.collect::<Result<Vec<_>, BundleError>>()?;
        safetensors::serialize(views, None).map_err(|e| damaged("weights.safetensors", e))
    }
}

/// Every matrix is stored in 8 bits; biases and norms stay in f32.
fn is_quantized(spec: &TensorSpec) -> bool {
    spec.shape.len() == 2
}

fn scales_of(name: &str) -> String {
    format!("{name}.scales")
}

fn read_manifest(bytes: &[u8]) -> Result<Manifest, BundleError> {
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| damaged("manifest.json", e))?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    let format = format.ok_or_else(|| damaged("manifest.json", "`format` is missing, expected a number"))?;
    if format != u64::from(FORMAT) {
        return Err(BundleError::Format { found: format });
    }
    serde_json::from_value(value).map_err(|e| damaged("manifest.json", e))
}

/// Checks what the types alone do not: positive slopes and ordered thresholds.
fn check_calibration(found: &BundleCalibration) -> Result<(), BundleError> {
    let calibration = &found.calibration;
    if calibration.risk.slope <= 0.0
        || !calibration.risk.slope.is_finite()
        || !calibration.risk.intercept.is_finite()
    {
        return Err(damaged(
            "calibration.json",
            format!("risk.slope is {}, expected above 0", calibration.risk.slope),
        ));
    }
    for language in mindrail_core::language::Language::ALL {
        let Some(thresholds) = calibration.thresholds.get(&language) else {
            return Err(damaged(
                "calibration.json",
                format!("thresholds for `{}` are missing", language.wire()),
            ));
        };
        if thresholds.support.value > thresholds.high_risk.value {
            return Err(damaged(
                "calibration.json",
                format!("`{}`: the support threshold is above high_risk", language.wire()),
            ));
        }
    }
    let b = &found.blend;
    for mix in [b.risk, b.signals, b.alert, b.confirm, b.classes, b.harms, b.severity] {
        if !(mix.deep >= 0.0 && mix.wide >= 0.0 && mix.bias.is_finite()) {
            return Err(damaged("calibration.json", "a blend weight is negative or not a number"));
        }
    }
    Ok(())
}

fn read_tensor(file: &SafeTensors<'_>, spec: &TensorSpec) -> Result<Tensor, BundleError> {
    if is_quantized(spec) {
        let bytes = view(file, &spec.name, Dtype::I8, &spec.shape)?.iter().map(|b| b.cast_signed()).collect();
        let scales = floats(view(file, &scales_of(&spec.name), Dtype::F32, &spec.shape[..1])?);
        return Ok(Tensor::Int8 { bytes, scales });
    }
    Ok(Tensor::F32(floats(view(file, &spec.name, Dtype::F32, &spec.shape)?)))
}

fn view<'a>(
    file: &SafeTensors<'a>,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
) -> Result<&'a [u8], BundleError> {
    let tensor = file
        .tensor(name)
        .map_err(|_| damaged("weights.safetensors", format!("tensor `{name}` is missing")))?;
    if tensor.dtype() != dtype || tensor.shape() != shape {
        let reason = format!(
            "tensor `{name}`: found {:?} {:?}, expected {dtype:?} {shape:?}",
            tensor.dtype(),
            tensor.shape()
        );
        return Err(damaged("weights.safetensors", reason));
    }
    Ok(tensor.data())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn raw(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A table's weights go to 8 bits with one scale per output, kept as the
/// transpose so that each output is a row; inverse document frequencies to one
/// byte with one scale.
fn table_tensors(name: &str, table: &WideTable) -> Vec<(String, Dtype, Vec<usize>, Vec<u8>)> {
    let (rows, outputs) = (table.hashes.len(), table.outputs());
    let mut transposed = vec![0.0; table.weights.len()];
    for (i, row) in table.weights.chunks_exact(outputs).enumerate() {
        for (j, w) in row.iter().enumerate() {
            transposed[j * rows + i] = *w;
        }
    }
    let (weights, scales) = quantize_weights(&transposed, outputs);
    let (idf, idf_scale) = quantize_weights(&table.idf, 1);
    let hashes = table.hashes.iter().flat_map(|h| h.to_le_bytes()).collect();
    let unsigned = |bytes: &[i8]| bytes.iter().map(|b| b.cast_unsigned()).collect();
    let full = |part: &str| format!("wide.{name}.{part}");
    vec![
        (full("hashes"), Dtype::U32, vec![rows], hashes),
        (full("idf"), Dtype::I8, vec![rows], unsigned(&idf)),
        (full("idf.scales"), Dtype::F32, vec![1], raw(&idf_scale)),
        (full("weights"), Dtype::I8, vec![outputs, rows], unsigned(&weights)),
        (full("weights.scales"), Dtype::F32, vec![outputs], raw(&scales)),
        (full("bias"), Dtype::F32, vec![outputs], raw(&table.bias)),
    ]
}

fn read_table(file: &SafeTensors<'_>, name: &str, alphabet: Alphabet) -> Result<WideTable, BundleError> {
    let full = |part: &str| format!("wide.{name}.{part}");
    let shape = |part: &str| {
        let tensor = file
            .tensor(&full(part))
            .map_err(|_| damaged("weights.safetensors", format!("tensor `{}` is missing", full(part))))?;
        Ok::<_, BundleError>(tensor.shape().iter().product::<usize>())
    };
    let (rows, outputs) = (shape("hashes")?, shape("bias")?);
    let hashes = view(file, &full("hashes"), Dtype::U32, &[rows])?;
    let idf_scale = floats(view(file, &full("idf.scales"), Dtype::F32, &[1])?)[0];
    let idf = view(file, &full("idf"), Dtype::I8, &[rows])?;
    let packed = view(file, &full("weights"), Dtype::I8, &[outputs, rows])?;
    let scales = floats(view(file, &full("weights.scales"), Dtype::F32, &[outputs])?);
    let mut weights = vec![0.0; rows * outputs];
    for (j, (row, scale)) in packed.chunks_exact(rows.max(1)).zip(&scales).enumerate() {
        for (i, b) in row.iter().enumerate() {
            weights[i * outputs + j] = f32::from(b.cast_signed()) * scale;
        }
    }
    Ok(WideTable {
        alphabet,
        hashes: hashes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        idf: idf.iter().map(|b| f32::from(b.cast_signed()) * idf_scale).collect(),
        weights,
        bias: floats(view(file, &full("bias"), Dtype::F32, &[outputs])?),
    })
}

fn to_json(value: &impl Serialize, file: &'static str) -> Result<Vec<u8>, BundleError> {
    serde_json::to_vec_pretty(value).map_err(|e| damaged(file, e))
}

#[expect(clippy::needless_pass_by_value, reason = "errors are passed as they come from map_err")]
fn damaged(file: &'static str, reason: impl ToString) -> BundleError {
    BundleError::Damaged { file, reason: reason.to_string() }
}
