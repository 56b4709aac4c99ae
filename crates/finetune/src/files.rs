//! Files that are there whole or not at all.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use candle_core::{DType, Tensor};

use crate::error::{Error, IoContext as _};

/// Writes a file under another name first, brings it to disk, and then gives it its own,
/// so that a kill at any moment leaves the old file or the new one.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    let mut file = File::create(&beside).at(&beside)?;
    file.write_all(bytes).at(&beside)?;
    file.sync_all().at(&beside)?;
    std::fs::rename(&beside, path).at(path)
}

/// What stands in a file that PyTorch's side is to read.
pub(crate) const FOR_PYTORCH: (&str, &str) = ("format", "pt");

/// Writes tensors as safetensors, with one word beside them, atomically. With more than
/// one the library would write them in an order of its own, and no file twice alike.
pub(crate) fn save_tensors(
    path: &Path,
    tensors: &[(String, Tensor)],
    word: (&str, &str),
) -> Result<(), Error> {
    let bytes =
        tensors.iter().map(|(_, tensor)| raw_bytes(tensor)).collect::<candle_core::Result<Vec<Vec<u8>>>>()?;
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, tensor), bytes)| {
            let dtype = match tensor.dtype() {
                DType::BF16 => safetensors::Dtype::BF16,
                _ => safetensors::Dtype::F32,
            };
            let view = safetensors::tensor::TensorView::new(dtype, tensor.dims().to_vec(), bytes);
            view.map(|view| (name.clone(), view))
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Error::new(path.display(), e, "tensors that can be written"))?;
    let metadata = Some(std::collections::HashMap::from([(word.0.to_owned(), word.1.to_owned())]));
    let whole = safetensors::serialize(views, metadata)
        .map_err(|e| Error::new(path.display(), e, "tensors that can be written"))?;
    write_atomically(path, &whole)
}

fn raw_bytes(tensor: &Tensor) -> candle_core::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match tensor.dtype() {
        DType::BF16 => tensor.write_bytes(&mut bytes)?,
        _ => tensor.to_dtype(DType::F32)?.write_bytes(&mut bytes)?,
    }
    Ok(bytes)
}
