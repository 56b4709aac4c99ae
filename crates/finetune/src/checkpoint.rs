//! The files of a checkpoint as the hub has them: `model.safetensors`, its shards with an
//! index, or `pytorch_model.bin`. Reading is strict: a tensor that is missing, has another
//! shape, or is not known to the architecture is an error that names it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::pickle::PthTensors;
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::Metadata;
use serde::Deserialize;

use crate::error::{Error, IoContext as _};

/// Where each tensor of a checkpoint stands.
#[derive(Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    places: BTreeMap<String, Place>,
    taken: BTreeSet<String>,
    pickles: Vec<Pickle>,
    words: BTreeMap<String, String>,
}

/// A file of PyTorch.
struct Pickle(PthTensors);

impl std::fmt::Debug for Pickle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pickle").field(&self.0.tensor_infos().len()).finish()
    }
}

#[derive(Debug, Clone)]
enum Place {
    Safetensors { file: PathBuf, from: u64, to: u64, dtype: safetensors::Dtype, shape: Vec<usize> },
    Pickle { file: usize, shape: Vec<usize> },
}

impl Place {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Safetensors { shape, .. } | Self::Pickle { shape, .. } => shape,
        }
    }
}

/// `model.safetensors.index.json` and `pytorch_model.bin.index.json`.
#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Looks into a folder; reads no tensor yet.
    ///
    /// # Errors
    /// If there are no weights, or a file cannot be read.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::of_files(folder, &weight_files(folder)?)
    }

    /// The tensors of one file, safetensors or a pickle of PyTorch.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn of_file(file: &Path) -> Result<Self, Error> {
        Self::of_files(file.parent().unwrap_or(Path::new("")), &[file.to_owned()])
    }

    fn of_files(folder: &Path, files: &[PathBuf]) -> Result<Self, Error> {
        let mut checkpoint = Self {
            folder: folder.to_owned(),
            places: BTreeMap::new(),
            taken: BTreeSet::new(),
            pickles: Vec::new(),
            words: BTreeMap::new(),
        };
        for file in files {
            if file.extension().is_some_and(|end| end == "safetensors") {
                checkpoint.add_safetensors(file)?;
            } else {
                checkpoint.add_pickle(file)?;
            }
        }
        Ok(checkpoint)
    }

    fn add_safetensors(&mut self, path: &Path) -> Result<(), Error> {
        let (start, metadata) = header(path)?;
        self.words
            .extend(metadata.metadata().iter().flatten().map(|(name, word)| (name.clone(), word.clone())));
        for (name, info) in metadata.tensors() {
            let place = Place::Safetensors {
                file: path.to_owned(),
                from: start + info.data_offsets.0 as u64,
                to: start + info.data_offsets.1 as u64,
                dtype: info.dtype,
                shape: info.shape.clone(),
            };
            self.places.insert(name, place);
        }
        Ok(())
    }

    fn add_pickle(&mut self, path: &Path) -> Result<(), Error> {
        let pickle = PthTensors::new(path, None)
            .map_err(|e| Error::new(path.display(), e, "a state dict that PyTorch has saved"))?;
        for (name, info) in pickle.tensor_infos() {
            let place =
                Place::Pickle { file: self.pickles.len(), shape: info.layout.shape().dims().to_vec() };
            self.places.insert(name.clone(), place);
        }
        self.pickles.push(Pickle(pickle));
        Ok(())
    }

    /// What a file says beside its tensors under a name.
    pub fn metadata(&self, name: &str) -> Option<String> {
        self.words.get(name).cloned()
    }

    /// The names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// Whether there is a tensor of a name.
    pub fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.places.get(name).map(Place::shape)
    }

    /// Reads a tensor, which must have a shape.
    ///
    /// # Errors
    /// If it is missing, has another shape, or cannot be read.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, Error> {
        let at = || format!("{}: tensor `{name}`", self.folder.display());
        let place =
            self.places.get(name).ok_or_else(|| Error::new(at(), "nothing", format!("shape {shape:?}")))?;
        if place.shape() != shape {
            return Err(Error::new(at(), format!("shape {:?}", place.shape()), format!("shape {shape:?}")));
        }
        let tensor = self.read(name, place)?;
        self.taken.insert(name.to_owned());
        Ok(tensor)
    }

    /// Reads a tensor of whatever shape.
    ///
    /// # Errors
    /// If it is missing or cannot be read.
    pub fn take_any(&mut self, name: &str) -> Result<Tensor, Error> {
        let shape = self.shape(name).map(<[usize]>::to_vec).unwrap_or_default();
        self.take(name, &shape)
    }

    fn read(&self, name: &str, place: &Place) -> Result<Tensor, Error> {
        match place {
            Place::Pickle { file, .. } => {
                let tensor = self.pickles[*file].0.get(name).ok().flatten();
                tensor.ok_or_else(|| {
                    let at = format!("{}: tensor `{name}`", self.folder.display());
                    Error::new(at, "data that cannot be read", "a tensor as PyTorch saves it")
                })
            }
            Place::Safetensors { file, from, to, dtype, shape } => {
                let mut opened = File::open(file).at(file)?;
                opened.seek(SeekFrom::Start(*from)).at(file)?;
                let mut bytes = vec![0; (to - from) as usize];
                opened.read_exact(&mut bytes).at(file)?;
                let dtype = candle_dtype(*dtype).ok_or_else(|| {
                    Error::new(format!("tensor `{name}`"), format!("{dtype:?}"), "F32, BF16 or F16")
                })?;
                Ok(Tensor::from_raw_buffer(&bytes, dtype, shape, &Device::Cpu)?)
            }
        }
    }

    /// Checks that every tensor was taken, but for those that may be left.
    ///
    /// # Errors
    /// If one is left that the architecture does not know; all of them are named.
    pub fn finish(self, may_stay: impl Fn(&str) -> bool) -> Result<(), Error> {
        let left: Vec<&str> =
            self.names().filter(|name| !self.taken.contains(*name) && !may_stay(name)).collect();
        if left.is_empty() {
            return Ok(());
        }
        let some = left.iter().take(5).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let found = format!("{} unknown tensors: {some}", left.len());
        Err(Error::new(self.folder.display(), found, "the tensors of the architecture and no others"))
    }
}

fn candle_dtype(dtype: safetensors::Dtype) -> Option<DType> {
    Some(match dtype {
        safetensors::Dtype::F32 => DType::F32,
        safetensors::Dtype::BF16 => DType::BF16,
        safetensors::Dtype::F16 => DType::F16,
        safetensors::Dtype::I64 => DType::I64,
        safetensors::Dtype::F64 => DType::F64,
        _ => return None,
    })
}

/// Where the data begins, and what it holds.
fn header(path: &Path) -> Result<(u64, Metadata), Error> {
    let mut file = File::open(path).at(path)?;
    let length = file.metadata().at(path)?.len();
    if length < 8 {
        return Err(Error::new(path.display(), format!("{length} bytes"), "a safetensors file"));
    }
    let mut start = [0; 8];
    file.read_exact(&mut start).at(path)?;
    let header_length = u64::from_le_bytes(start);
    let bad = |found: String| Error::new(path.display(), found, "a safetensors file");
    if header_length.saturating_add(8) > length {
        return Err(bad(format!("a header of {header_length} bytes in a file of {length}")));
    }
    let mut bytes = Vec::new();
    file.take(header_length).read_to_end(&mut bytes).at(path)?;
    // The library's own reading wants the whole file in memory.
    let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    let data = header_length + 8;
    let end = metadata.tensors().values().map(|info| info.data_offsets.1 as u64).max().unwrap_or(0);
    if data + end != length {
        return Err(bad(format!("{length} bytes where its header tells {}", data + end)));
    }
    Ok((data, metadata))
}

/// The files with the weights of a checkpoint: safetensors where there are any.
pub(crate) fn weight_files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    for name in ["model.safetensors", "pytorch_model.bin"] {
        if let Some(files) = files(folder, name)? {
            return Ok(files);
        }
    }
    let expected = "`model.safetensors`, its index with shards, or `pytorch_model.bin`";
    Err(Error::new(folder.display(), "no weights", expected))
}

/// The one file of a name, or the shards that its index names.
fn files(folder: &Path, name: &str) -> Result<Option<Vec<PathBuf>>, Error> {
    let whole = folder.join(name);
    if whole.is_file() {
        return Ok(Some(vec![whole]));
    }
    let index = folder.join(format!("{name}.index.json"));
    if !index.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&index).at(&index)?;
    let parsed: Index = serde_json::from_str(&text)
        .map_err(|e| Error::new(index.display(), e, "an object with `weight_map`"))?;
    let shards: BTreeSet<&String> = parsed.weight_map.values().collect();
    shards
        .into_iter()
        .map(|shard| {
            let is_plain = Path::new(shard).components().count() == 1 && !shard.starts_with('.');
            is_plain.then(|| folder.join(shard)).ok_or_else(|| {
                Error::new(index.display(), "a shard outside the folder", "names of files beside the index")
            })
        })
        .collect::<Result<_, _>>()
        .map(Some)
}
