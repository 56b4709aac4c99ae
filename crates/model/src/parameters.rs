//! All parameters of a model in one flat array with named places. Gradients
//! and optimiser moments use the same places, so each is an array as well.

use std::collections::BTreeMap;
use std::ops::Range;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::architecture::TensorSpec;
use crate::random::Random;

/// Named tensors in one array.
#[derive(Debug, Clone)]
pub struct Parameters {
    specs: Vec<TensorSpec>,
    places: BTreeMap<String, Range<usize>>,
    values: Vec<f32>,
}

/// Weights that do not fit the architecture or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file is not a safetensors file.
    #[error("the weights are not a safetensors file: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    /// A tensor is missing.
    #[error("tensor `{name}` is missing from the weights")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A tensor has another shape or number type.
    #[error("tensor `{name}`: found {found}, expected {expected}")]
    Shape {
        /// Its name.
        name: String,
        /// What the file holds.
        found: String,
        /// What the architecture needs.
        expected: String,
    },
    /// A tensor that the architecture does not have.
    #[error("tensor `{name}` is in the weights but not in the architecture")]
    Unknown {
        /// Its name.
        name: String,
    },
}

impl Parameters {
    /// Tensors of the given shapes, all zero.
    pub fn zeros(specs: Vec<TensorSpec>) -> Self {
        let mut places = BTreeMap::new();
        let mut end = 0;
        for spec in &specs {
            let start = end;
            end += spec.shape.iter().product::<usize>();
            places.insert(spec.name.clone(), start..end);
        }
        Self { specs, places, values: vec![0.0; end] }
    }

    /// The tensors' names and shapes, in the order of the array.
    pub fn specs(&self) -> &[TensorSpec] {
        &self.specs
    }

    /// Where a tensor lies.
    ///
    /// # Panics
    /// When the architecture has no tensor of this name; names come from code.
    pub fn place(&self, name: &str) -> Range<usize> {
        self.places.get(name).cloned().unwrap_or_else(|| panic!("no tensor is named `{name}`"))
    }

    /// A tensor's numbers.
    pub fn get(&self, name: &str) -> &[f32] {
        &self.values[self.place(name)]
    }

    /// A tensor's numbers, to be changed.
    pub fn get_mut(&mut self, name: &str) -> &mut [f32] {
        let place = self.place(name);
        &mut self.values[place]
    }

    /// All numbers.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All numbers, to be changed.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Fills every tensor whose name starts with `prefix` as `PyTorch` does for
    /// linear and recurrent layers: uniform within one over the square root of
    /// the tensor's last size.
    pub fn initialise(&mut self, prefix: &str, random: &mut Random) {
        let chosen: Vec<_> = self.specs.iter().filter(|s| s.name.starts_with(prefix)).cloned().collect();
        for spec in chosen {
            let bound = if spec.shape.len() > 1 {
                1.0 / (spec.shape[spec.shape.len() - 1] as f32).sqrt()
            } else {
                0.0
            };
            for value in self.get_mut(&spec.name) {
                *value = (2.0 * random.uniform() - 1.0) * bound;
            }
        }
    }

    /// Copies the tensors of a safetensors file (f32) whose names are known
    /// here; `names` must all be in the file.
    ///
    /// # Errors
    /// [`WeightsError`] names the first tensor that is missing or does not fit.
    pub fn load(&mut self, bytes: &[u8], names: &[TensorSpec]) -> Result<(), WeightsError> {
        let file = SafeTensors::deserialize(bytes)?;
        for spec in names {
            let tensor =
                file.tensor(&spec.name).map_err(|_| WeightsError::Missing { name: spec.name.clone() })?;
            if tensor.shape() != spec.shape || tensor.dtype() != Dtype::F32 {
                return Err(WeightsError::Shape {
                    name: spec.name.clone(),
                    found: format!("{:?} {:?}", tensor.dtype(), tensor.shape()),
                    expected: format!("F32 {:?}", spec.shape),
                });
            }
            for (value, raw) in self.get_mut(&spec.name).iter_mut().zip(tensor.data().chunks_exact(4)) {
                *value = f32::from_le_bytes([raw[0], raw[1], raw[2], raw[3]]);
            }
        }
        Ok(())
    }

    /// The tensors as a safetensors file (f32).
    ///
    /// # Errors
    /// [`WeightsError::Format`] when the format cannot hold them.
    pub fn save(&self) -> Result<Vec<u8>, WeightsError> {
        let raw: Vec<(String, Vec<u8>, Vec<usize>)> = self
            .specs
            .iter()
            .map(|spec| {
                let bytes = self.get(&spec.name).iter().flat_map(|v| v.to_le_bytes()).collect();
                (spec.name.clone(), bytes, spec.shape.clone())
            })
            .collect();
        let views = raw
            .iter()
            .map(|(name, bytes, shape)| {
                Ok((name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes)?))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        Ok(safetensors::serialize(views, None)?)
    }
}
