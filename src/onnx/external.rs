//! Weights that a model keeps in files beside it (`external_data`), brought into the model.

use std::collections::HashMap;

use super::proto::{ModelProto, TensorProto};
use crate::error::{Error, Result};

/// No more bytes are brought in from other files, in all.
#[cfg(target_pointer_width = "32")]
const MOST_BYTES: usize = 1 << 30;
#[cfg(not(target_pointer_width = "32"))]
const MOST_BYTES: usize = 1 << 33;

/// The bytes of a model whose weights lie in other files, with those weights in it; a model without such comes back as
/// it is. `load` gives the bytes of a file by its name, which is a path relative to the model's folder.
///
/// # Errors
/// [`Error::Onnx`] if the bytes are no model, a name leads out of the model's folder, or a file is too short; whatever
/// `load` reports.
///
/// ```no_run
/// # fn main() -> famlens::Result<()> {
/// let bytes = std::fs::read("models/model.onnx").unwrap();
/// let whole = famlens::onnx::with_external_data(bytes, |name| {
///     std::fs::read(format!("models/{name}")).map_err(|e| famlens::Error::onnx(format!("{name}: {e}")))
/// })?;
/// let model = famlens::onnx::Model::parse(&whole)?;
/// # Ok(())
/// # }
/// ```
pub fn with_external_data(bytes: Vec<u8>, mut load: impl FnMut(&str) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let mut model = ModelProto::read(&bytes)?;
    let Some(graph) = &mut model.graph else { return Ok(bytes) };
    if !graph.initializer.iter().any(is_external) {
        return Ok(bytes);
    }
    drop(bytes);
    let mut files: HashMap<String, Vec<u8>> = HashMap::new();
    // What the files hold, and what was taken out of them: tensors may share bytes, but not many times over.
    let (mut held, mut taken) = (0usize, 0usize);
    for tensor in graph.initializer.iter_mut().filter(|t| is_external(t)) {
        let wrong = |reason: String| Error::onnx(format!("tensor {:?}: {reason}", tensor.name()));
        let entry = |key: &str| tensor.external_data.iter().find(|e| e.key() == key).map(|e| e.value());
        let name = entry("location").ok_or_else(|| wrong("it does not say which file holds its values".into()))?;
        if name.starts_with(['/', '\\']) || name.contains(':') || name.split(['/', '\\']).any(|part| part == "..") {
            return Err(wrong(format!("its values are said to be in {name:?}, which is outside the model's folder")));
        }
        let name = name.to_string();
        if !files.contains_key(&name) {
            let file = load(&name)?;
            held = held.saturating_add(file.len());
            files.insert(name.clone(), file);
        }
        let file = files.get(&name).map_or(&[][..], Vec::as_slice);
        let number = |key: &str, default: usize| match entry(key) {
            None => Ok(default),
            Some(text) => text.parse::<usize>().map_err(|_| wrong(format!("its {key} {text:?} is no number"))),
        };
        let offset = number("offset", 0)?;
        let length = number("length", file.len().saturating_sub(offset))?;
        let part = offset.checked_add(length).and_then(|end| file.get(offset..end));
        let part = part.ok_or_else(|| {
            let asked = format!("{length} bytes from byte {offset}");
            wrong(format!(
                "{name:?} has {} bytes, and {asked} are asked for; is it the file of this model?",
                file.len()
            ))
        })?;
        taken = taken.saturating_add(length);
        if held.max(taken) > MOST_BYTES || taken > held.saturating_mul(2) {
            return Err(wrong(format!(
                "with it, {} MB of weights are taken out of {} MB in other files, which is more than can be read; export the \
                 model again",
                taken >> 20,
                held >> 20
            )));
        }
        let part = part.to_vec();
        tensor.raw_data = Some(part);
        tensor.external_data.clear();
        tensor.data_location = None;
    }
    Ok(model.write())
}

/// Whether a tensor's values are in another file.
pub(super) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location() == 1 || !tensor.external_data.is_empty()
}
