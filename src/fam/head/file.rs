//! Heads from `.safetensors` files, as torch saves the state of an `nn.Sequential`.

use std::collections::{BTreeMap, HashMap};

use safetensors::{Dtype, SafeTensors};

use super::{Activation, Head, Layer};
use crate::error::{Error, Result};

/// What BatchNormalization adds to the variance unless the file says otherwise: torch's default.
const EPSILON: f64 = 1e-5;

impl Head {
    /// Reads linear layers and BatchNormalizations in the order of their numbers, under torch's names for an
    /// `nn.Sequential`: `0.weight [O, I]`, `0.bias`, `1.weight`, `1.bias`, `1.running_mean`, `1.running_var`,
    /// `3.weight`; any prefix before the numbers may stand before all of them. A number that is left out is an
    /// activation, which has no weights: `activation`, or what the file's metadata `"activation"` names (`relu`,
    /// `gelu`, `silu`, `tanh`), or ReLU.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is no such file, has tensors that are neither, or layers that do not fit each other.
    pub fn from_safetensors(bytes: &[u8], activation: Option<Activation>) -> Result<Self> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| wrong(format!("it is no .safetensors file: {e}")))?;
        let metadata =
            SafeTensors::read_metadata(bytes).ok().and_then(|(_, m)| m.metadata().clone()).unwrap_or_default();
        let activation = match (activation, metadata.get("activation")) {
            (Some(activation), _) => activation,
            (None, Some(name)) => named(name)?,
            (None, None) => Activation::Relu,
        };
        let epsilon = epsilon(&metadata)?;
        let mut layers = Vec::new();
        let mut expected = None;
        for (number, tensors) in numbered(&file)? {
            if expected.is_some_and(|next| number > next) {
                layers.push(Layer::Activation(activation));
            }
            expected = Some(number.saturating_add(1));
            layers.push(layer(&format!("layer {number}"), &tensors, epsilon)?);
        }
        Self::new(layers)
    }
}

/// A tensor's dimensions and values.
struct Values {
    shape: Vec<usize>,
    data: Vec<f32>,
}

/// The tensors of each layer by what follows its number.
type Tensors = HashMap<String, Values>;

fn numbered(file: &SafeTensors) -> Result<BTreeMap<usize, Tensors>> {
    let mut layers: BTreeMap<usize, Tensors> = BTreeMap::new();
    let mut prefix: Option<String> = None;
    for name in file.names() {
        let Some((path, kind)) = name.rsplit_once('.').or(Some(("0", name))) else { continue };
        if kind == "num_batches_tracked" {
            continue;
        }
        let (before, number) = path.rsplit_once('.').unwrap_or(("", path));
        // A lone linear layer has no number: "projection.weight".
        let (before, number) = number.parse().map_or((path, 0), |n| (before, n));
        match &prefix {
            Some(prefix) if prefix != before => {
                let reason = format!("it has tensors under {prefix:?} and under {before:?}; save the head alone");
                return Err(wrong(reason));
            }
            _ => prefix = Some(before.to_owned()),
        }
        let view = file.tensor(name).map_err(|e| wrong(format!("{name}: {e}")))?;
        let values = Values { shape: view.shape().to_vec(), data: floats(name, view.dtype(), view.data())? };
        layers.entry(number).or_default().insert(kind.to_owned(), values);
    }
    match layers.is_empty() {
        true => Err(wrong("it has no tensors".into())),
        false => Ok(layers),
    }
}

fn floats(name: &str, dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>> {
    let halves = || bytes.as_chunks::<2>().0.iter();
    match dtype {
        Dtype::F32 => Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::F64 => Ok(bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()),
        Dtype::F16 => Ok(halves().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect()),
        Dtype::BF16 => Ok(halves().map(|b| half::bf16::from_le_bytes(*b).to_f32()).collect()),
        other => Err(wrong(format!("{name} holds {other:?}; save it as float32"))),
    }
}

fn layer(name: &str, tensors: &Tensors, epsilon: f64) -> Result<Layer> {
    let get = |kind: &str| tensors.get(kind).map(|v| v.data.as_slice());
    if let Some(unknown) =
        tensors.keys().find(|k| !["weight", "bias", "running_mean", "running_var"].contains(&k.as_str()))
    {
        return Err(wrong(format!(
            "{name} has a tensor {unknown:?}, which belongs to neither a linear layer nor BatchNormalization"
        )));
    }
    if let Some(values) = tensors.values().flat_map(|v| &v.data).find(|v| !v.is_finite()) {
        return Err(wrong(format!("{name} holds {values}")));
    }
    if let (Some(mean), Some(variance)) = (get("running_mean"), get("running_var")) {
        let n = mean.len();
        let (ones, zeros) = (vec![1.0; n], vec![0.0; n]);
        let (weight, bias) = (get("weight").unwrap_or(&ones), get("bias").unwrap_or(&zeros));
        if [variance.len(), weight.len(), bias.len()] != [n; 3] || variance.iter().any(|&v| v < 0.0) {
            return Err(wrong(format!("{name}: the tensors of its BatchNormalization do not fit each other")));
        }
        let scale: Vec<f32> = weight
            .iter()
            .zip(variance)
            .map(|(&w, &v)| (f64::from(w) / (f64::from(v) + epsilon).sqrt()) as f32)
            .collect();
        let shift = bias.iter().zip(mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        return Ok(Layer::Scale { scale, shift });
    }
    let Some(weight) = tensors.get("weight") else {
        return Err(wrong(format!("{name} has no weight")));
    };
    let [outputs, inputs] = *weight.shape.as_slice() else {
        let reason = format!(
            "{name} has a weight of {} dimensions without running statistics; only Linear and BatchNorm1d in eval mode are read",
            weight.shape.len()
        );
        return Err(wrong(reason));
    };
    // A dimension of 0 holds no values, whatever the other one says.
    if outputs.checked_mul(inputs) != Some(weight.data.len()) || weight.data.is_empty() {
        return Err(wrong(format!("{name} has a weight [{outputs}, {inputs}] of {} values", weight.data.len())));
    }
    let bias = get("bias").map_or_else(|| vec![0.0; outputs], <[f32]>::to_vec);
    Ok(Layer::Linear { inputs, weight: weight.data.clone(), bias })
}

fn named(name: &str) -> Result<Activation> {
    match name.to_ascii_lowercase().as_str() {
        "relu" => Ok(Activation::Relu),
        "gelu" => Ok(Activation::Gelu),
        "silu" | "swish" => Ok(Activation::Silu),
        "tanh" => Ok(Activation::Tanh),
        _ => Err(wrong(format!("activation {name:?} is not one of relu, gelu, silu, tanh"))),
    }
}

fn epsilon(metadata: &HashMap<String, String>) -> Result<f64> {
    match metadata.get("eps") {
        None => Ok(EPSILON),
        Some(text) => match text.parse::<f64>() {
            Ok(value) if value >= 0.0 && value.is_finite() => Ok(value),
            _ => Err(wrong(format!("eps {text:?} in its metadata is no number"))),
        },
    }
}

fn wrong(reason: String) -> Error {
    Error::argument("head file", reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{TensorView, serialize};

    fn file(tensors: &[(&str, &[usize], &[f32])], metadata: Option<(&str, &str)>) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> =
            tensors.iter().map(|(_, _, v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            let view = TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("the shape fits");
            (name.to_string(), view)
        });
        let metadata = metadata.map(|(k, v)| HashMap::from([(k.to_owned(), v.to_owned())]));
        serialize(views.collect::<Vec<_>>(), metadata).expect("it serialises")
    }

    #[test]
    fn a_projection_head_as_torch_saves_it() -> Result<()> {
        let simclr = file(
            &[
                ("projector.0.weight", &[2, 2], &[1.0, 0.0, 0.0, -1.0]),
                ("projector.1.weight", &[2], &[2.0, 2.0]),
                ("projector.1.bias", &[2], &[0.5, 0.0]),
                ("projector.1.running_mean", &[2], &[1.0, 0.0]),
                ("projector.1.running_var", &[2], &[4.0, 1.0]),
                ("projector.3.weight", &[1, 2], &[1.0, 10.0]),
                ("projector.3.bias", &[1], &[0.25]),
            ],
            Some(("eps", "0")),
        );
        let head = Head::from_safetensors(&simclr, None)?;
        assert_eq!(head.describe(), "Linear 2 -> 2, BatchNormalization, ReLU, Linear 2 -> 1");
        // (3, 4) -> (3, -4) -> ((3 - 1) / 2 * 2 + .5, -8) -> (2.5, 0) -> 2.75
        assert_eq!(head.forward(&[3.0, 4.0])?, [2.75]);
        assert!(!head.is_affine());
        Ok(())
    }

    #[test]
    fn the_activation_is_that_of_the_metadata() -> Result<()> {
        let tensors: [(&str, &[usize], &[f32]); 2] = [("0.weight", &[1, 1], &[1.0]), ("2.weight", &[1, 1], &[1.0])];
        let relu = Head::from_safetensors(&file(&tensors, None), None)?;
        let gelu = Head::from_safetensors(&file(&tensors, Some(("activation", "gelu"))), None)?;
        assert_eq!(relu.forward(&[-1.0])?, [0.0]);
        assert!((gelu.forward(&[-1.0])?[0] + 0.158_655_25).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn one_linear_layer_needs_no_number() -> Result<()> {
        let head = Head::from_safetensors(&file(&[("fc.weight", &[1, 2], &[1.0, 2.0])], None), None)?;
        assert_eq!(head.describe(), "Linear 2 -> 1");
        Ok(())
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let message = |bytes: &[u8]| Head::from_safetensors(bytes, None).map(|_| ()).map_err(|e| e.to_string());
        assert!(message(b"PK").is_err_and(|m| m.contains("no .safetensors file")));
        for shape in [[usize::MAX / 2, 0], [0, 8], [0, 0]] {
            let empty = file(&[("0.weight", &shape, &[])], None);
            assert!(message(&empty).is_err_and(|m| m.contains("layer 0") && m.contains("0 values")));
        }
        let two = file(&[("a.0.weight", &[1, 1], &[1.0]), ("b.0.weight", &[1, 1], &[1.0])], None);
        assert!(message(&two).is_err_and(|m| m.contains("save the head alone")));
        let misfit = file(&[("0.weight", &[2, 2], &[1.0; 4]), ("2.weight", &[1, 3], &[1.0; 3])], None);
        assert!(message(&misfit).is_err_and(|m| m.contains("takes 3 values")));
        let conv = file(&[("0.weight", &[1, 1, 3, 3], &[0.0; 9])], None);
        assert!(message(&conv).is_err_and(|m| m.contains("4 dimensions")));
        let nan = file(&[("0.weight", &[1, 1], &[f32::NAN])], None);
        assert!(message(&nan).is_err_and(|m| m.contains("NaN")));
    }
}
