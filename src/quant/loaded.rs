//! int8 weights for a model that is in memory already: a quarter of the memory, and no file in between.

use serde::Serialize;

use super::Int8Values;
use crate::error::Result;
use crate::onnx::Model;
use crate::tensor::Int8Tensor;

/// What [`store_as_int8`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredWeights {
    /// Number of weights that were float and are int8 now.
    pub tensors: usize,
    /// Bytes of their float values.
    pub bytes_before: usize,
    /// Bytes of their int8 values and scales.
    pub bytes_after: usize,
}

/// Stores the float weights of Conv, Gemm and MatMul as int8, symmetric per output channel, as [`super::quantize`] does
/// in a file. Weights that the file computes from others (transposed, standardised) are stored so too, and any operator
/// set will do. A model whose weights are int8 already stays as it is.
///
/// # Errors
/// [`crate::Error::Onnx`] naming a weight that is not finite.
pub fn store_as_int8(model: &mut Model) -> Result<StoredWeights> {
    let mut report = StoredWeights::default();
    model.replace_weights(|name, float| {
        let (shape, len) = (float.shape().clone(), float.data().len());
        let channels = shape.dims().first().copied().unwrap_or(1);
        let int8 = Int8Values::new(name, float.data(), channels, len / channels.max(1), &[])?;
        report.tensors += 1;
        report.bytes_before += 4 * len;
        report.bytes_after += len + 4 * channels;
        Int8Tensor::new(shape, int8.values, int8.scales)
    })?;
    Ok(report)
}
