//! The kinds of ONNX values while a model is lowered, and how a `TensorProto` becomes one.

use std::sync::Arc;

use half::{bf16, f16};

use super::narrow;
use super::proto::{TensorProto, data_type};
use crate::error::{Error, Result};
use crate::graph::{MAX_ELEMENTS, MAX_RANK, ValueId};
use crate::tensor::{Int8Tensor, Shape, Tensor};

/// A value of the ONNX graph.
#[derive(Clone, Debug)]
pub(super) enum Data {
    /// Depends on the image: a value of the graph being built.
    Active(ValueId),
    /// Float values known beforehand.
    Float(Arc<Tensor>),
    /// Whole numbers (shapes, axes, indices; booleans as 0 and 1).
    Ints(Arc<Array<i64>>),
    /// Quantized values that no DequantizeLinear has scaled yet.
    Bytes(Arc<Array<i8>>),
    /// The same, unsigned.
    UnsignedBytes(Arc<Array<u8>>),
    /// A dequantized weight whose int8 form is worth keeping.
    Int8(Arc<Int8Weight>),
    /// Depends on the output of a node that is not supported.
    Broken(Broken),
    /// Known values of a type that famlens does not read, such as strings: only what reads them is at a loss.
    Unread(&'static str),
    /// Several values, each of which is known where it lies.
    Sequence(Arc<Vec<Data>>),
}

/// What a value would be if the nodes before it were supported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Broken {
    /// An activation.
    Activation,
    /// A shape, or what is computed from one.
    Shape,
}

/// An int8 weight with one scale per output channel.
#[derive(Clone, Debug)]
pub(super) struct Int8Weight {
    /// Output channels first.
    pub tensor: Arc<Int8Tensor>,
    /// Whether the ONNX value is a matrix `[K, O]`, the transpose of `tensor`.
    pub transposed: bool,
}

impl Int8Weight {
    /// The ONNX value as floats.
    pub fn dequantize(&self) -> Tensor {
        let tensor = self.tensor.dequantize();
        if self.transposed { transpose(&tensor) } else { tensor }
    }
}

/// An array of whole numbers.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Array<T> {
    /// Dimensions; none for a scalar.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub data: Vec<T>,
}

impl<T> Array<T> {
    /// A one-dimensional array.
    pub fn list(data: Vec<T>) -> Self {
        Self { shape: vec![data.len()], data }
    }
}

impl Data {
    /// A list of whole numbers.
    pub fn ints(values: Vec<i64>) -> Self {
        Self::Ints(Arc::new(Array::list(values)))
    }

    /// Float values.
    pub fn float(tensor: Tensor) -> Self {
        Self::Float(Arc::new(tensor))
    }

    /// The shape of a value that is known beforehand; `None` for all others.
    pub fn known_shape(&self) -> Option<Shape> {
        match self {
            Self::Float(t) => Some(t.shape().clone()),
            Self::Ints(a) => Some(Shape::new(a.shape.clone())),
            Self::Bytes(a) => Some(Shape::new(a.shape.clone())),
            Self::UnsignedBytes(a) => Some(Shape::new(a.shape.clone())),
            Self::Int8(w) if w.transposed => {
                Some(Shape::new(w.tensor.shape().dims().iter().rev().copied().collect::<Vec<_>>()))
            }
            Self::Int8(w) => Some(w.tensor.shape().clone()),
            Self::Active(_) | Self::Broken(_) | Self::Unread(_) | Self::Sequence(_) => None,
        }
    }

    /// Float values known beforehand, dequantized if need be.
    pub fn as_float(&self) -> Option<Arc<Tensor>> {
        match self {
            Self::Float(t) => Some(t.clone()),
            Self::Int8(w) => Some(Arc::new(w.dequantize())),
            _ => None,
        }
    }

    /// What tells the values from those of another constant: where they are; 0 for what has none.
    pub fn address(&self) -> usize {
        match self {
            Self::Float(t) => Arc::as_ptr(t) as usize,
            Self::Ints(a) => Arc::as_ptr(a) as usize,
            Self::Bytes(a) => Arc::as_ptr(a) as usize,
            Self::UnsignedBytes(a) => Arc::as_ptr(a) as usize,
            Self::Int8(w) => Arc::as_ptr(&w.tensor) as usize,
            Self::Active(_) | Self::Broken(_) | Self::Unread(_) | Self::Sequence(_) => 0,
        }
    }

    /// The bytes that the values take in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Float(t) => size_of_val(t.data()),
            Self::Ints(a) => size_of_val(a.data.as_slice()),
            Self::Bytes(a) => a.data.len(),
            Self::UnsignedBytes(a) => a.data.len(),
            Self::Int8(w) => w.tensor.data().len() + size_of_val(w.tensor.scales()),
            Self::Active(_) | Self::Broken(_) | Self::Unread(_) | Self::Sequence(_) => 0,
        }
    }

    /// Whether two constants have the same values; none that depends on the image has.
    pub fn same_values(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => Arc::ptr_eq(a, b) || a == b,
            (Self::Ints(a), Self::Ints(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::UnsignedBytes(a), Self::UnsignedBytes(b)) => a == b,
            (Self::Int8(a), Self::Int8(b)) => a.transposed == b.transposed && a.tensor == b.tensor,
            _ => false,
        }
    }

    /// Whether nothing else holds the values.
    pub fn is_alone(&self) -> bool {
        match self {
            Self::Float(t) => Arc::strong_count(t) == 1,
            Self::Ints(a) => Arc::strong_count(a) == 1,
            Self::Bytes(a) => Arc::strong_count(a) == 1,
            Self::UnsignedBytes(a) => Arc::strong_count(a) == 1,
            Self::Int8(w) => Arc::strong_count(w) == 1 && Arc::strong_count(&w.tensor) == 1,
            Self::Active(_) | Self::Broken(_) | Self::Unread(_) | Self::Sequence(_) => false,
        }
    }

    /// Whether the value is known before the image is.
    pub fn is_constant(&self) -> bool {
        !matches!(self, Self::Active(_) | Self::Broken(_) | Self::Unread(_) | Self::Sequence(_))
    }
}

/// The transpose of a matrix.
pub(super) fn transpose(matrix: &Tensor) -> Tensor {
    let &[rows, columns] = matrix.shape().dims() else { return matrix.clone() };
    let mut out = Tensor::zeros([columns, rows]);
    transpose_into(matrix.data(), rows, columns, out.data_mut());
    out
}

/// Writes the transpose of a `rows x columns` matrix.
pub(super) fn transpose_into<T: Copy>(from: &[T], rows: usize, columns: usize, to: &mut [T]) {
    for r in 0..rows {
        for c in 0..columns {
            to[c * rows + r] = from[r * columns + c];
        }
    }
}

/// Reads a tensor of the file. Its data must be as long as its dimensions say, so nothing larger than the file is made.
///
/// # Errors
/// [`Error::Onnx`] naming the tensor.
pub(super) fn read(tensor: &TensorProto) -> Result<Data> {
    let wrong = |reason: String| Error::onnx(format!("tensor {:?}: {reason}", tensor.name()));
    if super::external::is_external(tensor) {
        let location =
            tensor.external_data.iter().find(|e| e.key() == "location").map_or("another file", |e| e.value());
        return Err(wrong(format!(
            "its values are kept outside the model, in {location:?}; give both files together (on the page choose or drop \
             both; the command line wants them side by side), or save the model as one file: python -c \"import onnx; \
             onnx.save(onnx.load('model.onnx'), 'one.onnx')\""
        )));
    }
    if tensor.segment.is_some() {
        return Err(wrong("it is one segment of a larger tensor, which is not supported".into()));
    }
    let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let shape = dims.map(Shape::new).ok_or_else(|| wrong(format!("it has negative dimensions {:?}", tensor.dims)))?;
    let len = shape.checked_len().ok_or_else(|| wrong(format!("its shape {shape} is too large")))?;
    // A dimension of 0 hides the others from the number of values, but not from what is computed of them.
    let extent = shape.dims().iter().filter(|d| **d > 0).try_fold(1usize, |n, &d| n.checked_mul(d));
    if shape.rank() > MAX_RANK || extent.is_none_or(|n| n > MAX_ELEMENTS) {
        return Err(wrong(format!(
            "its shape {shape} is too large (the limits are {MAX_ELEMENTS} values and {MAX_RANK} dimensions)"
        )));
    }
    let dims = shape.dims().to_vec();

    let kind = tensor.data_type();
    let missing = |found: usize, unit: &str| {
        let found = format!("its shape {shape} needs {len} values, and it holds {found}{unit}");
        wrong(format!("{found}; the file is damaged: download or export it again"))
    };
    let raw = tensor.raw_data.as_deref();
    // The values, from `raw_data` (little endian) if it is there and from the typed field otherwise.
    macro_rules! values {
        ($width:literal, $convert:expr, $field:expr, $from_field:expr) => {
            match raw {
                Some(raw) if raw.len() == len.saturating_mul($width) => {
                    raw.as_chunks::<$width>().0.iter().map(|&b| $convert(b)).collect()
                }
                Some(raw) => return Err(missing(raw.len(), " bytes")),
                None if $field.len() == len => $field.iter().map($from_field).collect(),
                None => return Err(missing($field.len(), "")),
            }
        };
    }
    let floats = |data: Vec<f32>| Tensor::new(shape.clone(), data).map(Data::float);
    let ints = |data: Vec<i64>| Ok(Data::Ints(Arc::new(Array { shape: dims.clone(), data })));
    match kind {
        data_type::FLOAT => floats(values!(4, f32::from_le_bytes, tensor.float_data, |&v| v)),
        data_type::DOUBLE => floats(values!(8, |b| f64::from_le_bytes(b) as f32, tensor.double_data, |&v| v as f32)),
        data_type::FLOAT16 => {
            floats(values!(2, |b| f16::from_le_bytes(b).to_f32(), tensor.int32_data, |&v| f16::from_bits(v as u16)
                .to_f32()))
        }
        data_type::BFLOAT16 => {
            floats(values!(2, |b| bf16::from_le_bytes(b).to_f32(), tensor.int32_data, |&v| bf16::from_bits(v as u16)
                .to_f32()))
        }
        data_type::INT64 => ints(values!(8, i64::from_le_bytes, tensor.int64_data, |&v| v)),
        data_type::INT32 => ints(values!(4, |b| i32::from_le_bytes(b).into(), tensor.int32_data, |&v| v.into())),
        data_type::INT16 => ints(values!(2, |b| i16::from_le_bytes(b).into(), tensor.int32_data, |&v| v.into())),
        data_type::UINT16 => ints(values!(2, |b| u16::from_le_bytes(b).into(), tensor.int32_data, |&v| v.into())),
        data_type::UINT32 => ints(values!(4, |b| u32::from_le_bytes(b).into(), tensor.uint64_data, |&v| v as i64)),
        data_type::UINT64 => ints(values!(8, |b| u64::from_le_bytes(b) as i64, tensor.uint64_data, |&v| v as i64)),
        data_type::BOOL => ints(values!(1, |[b]: [u8; 1]| (b != 0).into(), tensor.int32_data, |&v| (v != 0).into())),
        data_type::INT8 => {
            let data = values!(1, i8::from_le_bytes, tensor.int32_data, |&v| v as i8);
            Ok(Data::Bytes(Arc::new(Array { shape: dims, data })))
        }
        data_type::UINT8 => {
            let data = values!(1, u8::from_le_bytes, tensor.int32_data, |&v| v as u8);
            Ok(Data::UnsignedBytes(Arc::new(Array { shape: dims, data })))
        }
        other => match narrow::per_byte(other) {
            Some(per_byte) => read_narrow(tensor, &shape, per_byte).ok_or_else(|| {
                let found = raw.map_or(tensor.int32_data.len(), <[u8]>::len);
                missing(found.saturating_mul(per_byte), "")
            }),
            None => Ok(Data::Unread(data_type::name(other))),
        },
    }
}

/// A tensor of a type of 8 bits or less that is neither int8 nor uint8; `None` if it holds too few bytes.
fn read_narrow(tensor: &TensorProto, shape: &Shape, per_byte: usize) -> Option<Data> {
    let bytes: Vec<u8> = match &tensor.raw_data {
        Some(raw) => raw.clone(),
        None => tensor.int32_data.iter().map(|&v| v as u8).collect(),
    };
    if bytes.len() != shape.len().div_ceil(per_byte) {
        return None;
    }
    let (kind, bits) = (tensor.data_type(), narrow::unpacked(&bytes, per_byte, shape.len()));
    let dims = shape.dims().to_vec();
    Some(match kind {
        _ if narrow::is_float(kind) => {
            let data = bits.into_iter().map(|b| narrow::float(kind, b)).collect();
            Data::float(Tensor::new(shape.clone(), data).ok()?)
        }
        data_type::UINT4 | data_type::UINT2 => Data::UnsignedBytes(Arc::new(Array { shape: dims, data: bits })),
        _ => {
            let data = bits.into_iter().map(|b| narrow::whole(kind, b)).collect();
            Data::Bytes(Arc::new(Array { shape: dims, data }))
        }
    })
}

/// How many values of a float constant are not numbers.
pub(super) fn not_numbers(data: &Data) -> usize {
    let count = |values: &[f32]| values.iter().filter(|v| v.is_nan()).count();
    match data {
        Data::Float(t) => count(t.data()),
        Data::Int8(w) => count(w.tensor.scales()),
        _ => 0,
    }
}

/// Reads a float tensor of the file.
///
/// # Errors
/// [`Error::Onnx`] naming the tensor.
pub(crate) fn read_float(tensor: &TensorProto) -> Result<Tensor> {
    match read(tensor)? {
        Data::Float(tensor) => Ok(Arc::unwrap_or_clone(tensor)),
        _ => Err(Error::onnx(format!("tensor {:?} does not hold floats", tensor.name()))),
    }
}

/// The number of bytes that a tensor's values take in the file.
pub(crate) fn stored_bytes(tensor: &TensorProto) -> usize {
    let typed = 4 * (tensor.float_data.len() + tensor.int32_data.len())
        + 8 * (tensor.double_data.len() + tensor.int64_data.len() + tensor.uint64_data.len());
    tensor.raw_data.as_ref().map_or(typed, Vec::len)
}
