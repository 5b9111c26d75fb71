//! As much of the ONNX wire format as it takes to turn a case into a model of one image. Nodes stay the bytes they are,
//! so that what the importer reads is what ONNX wrote.

use half::{bf16, f16};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct Model {
    #[prost(int64, optional, tag = "1")]
    pub ir_version: Option<i64>,
    #[prost(message, optional, tag = "7")]
    pub graph: Option<Graph>,
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub opset_import: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Graph {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub node: Vec<Vec<u8>>,
    #[prost(string, optional, tag = "2")]
    pub name: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<Value>,
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub sparse_initializer: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Node {
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    #[prost(string, optional, tag = "4")]
    pub op_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<Attribute>,
    #[prost(string, optional, tag = "7")]
    pub domain: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Attribute {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    #[prost(message, optional, tag = "5")]
    pub t: Option<Tensor>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    #[prost(int32, optional, tag = "20")]
    pub r#type: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Value {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<Type>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Type {
    #[prost(message, optional, tag = "1")]
    pub tensor: Option<TensorType>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TensorType {
    #[prost(int32, optional, tag = "1")]
    pub element: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<Dim>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Dim {
    #[prost(int64, optional, tag = "1")]
    pub value: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    #[prost(int32, optional, tag = "2")]
    pub data_type: Option<i32>,
    #[prost(float, repeated, tag = "4")]
    pub float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub int32_data: Vec<i32>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub string_data: Vec<Vec<u8>>,
    #[prost(int64, repeated, tag = "7")]
    pub int64_data: Vec<i64>,
    #[prost(string, optional, tag = "8")]
    pub name: Option<String>,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub raw_data: Option<Vec<u8>>,
    #[prost(double, repeated, tag = "10")]
    pub double_data: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    pub uint64_data: Vec<u64>,
}

pub const FLOAT: i32 = 1;
pub const UINT8: i32 = 2;
pub const INT8: i32 = 3;
pub const FLOAT16: i32 = 10;
pub const BFLOAT16: i32 = 16;

/// Whether a type's values are floats that famlens takes as an image or an activation.
pub fn is_float(element: i32) -> bool {
    matches!(element, FLOAT | FLOAT16 | 11 | BFLOAT16)
}

impl Value {
    /// The element type of a tensor; `None` of a sequence, an optional value or a map.
    pub fn element(&self) -> Option<i32> {
        Some(self.r#type.as_ref()?.tensor.as_ref()?.element())
    }

    /// The dimensions, where all are numbers.
    pub fn dims(&self) -> Option<Vec<usize>> {
        let shape = self.r#type.as_ref()?.tensor.as_ref()?.shape.as_ref()?;
        shape.dim.iter().map(|d| usize::try_from(d.value?).ok()).collect()
    }

    /// A float input of these dimensions.
    pub fn image(name: &str, dims: &[usize]) -> Self {
        let dim = dims.iter().map(|&d| Dim { value: Some(d as i64) }).collect();
        let tensor = TensorType { element: Some(FLOAT), shape: Some(Shape { dim }) };
        Self { name: Some(name.into()), r#type: Some(Type { tensor: Some(tensor) }) }
    }

    /// An output; the importer works its shape out itself.
    pub fn output(name: &str) -> Self {
        Self { name: Some(name.into()), r#type: None }
    }
}

impl Node {
    /// A node of the standard set as bytes.
    pub fn encode_new(op: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute>) -> Vec<u8> {
        let node = Self {
            input: inputs.iter().map(|i| i.to_string()).collect(),
            output: vec![output.into()],
            op_type: Some(op.into()),
            attribute: attributes,
            domain: None,
        };
        node.encode_to_vec()
    }
}

impl Attribute {
    pub fn ints(name: &str, ints: Vec<i64>) -> Self {
        Self { name: Some(name.into()), ints, r#type: Some(7), ..Self::default() }
    }

    pub fn int(name: &str, i: i64) -> Self {
        Self { name: Some(name.into()), i: Some(i), r#type: Some(2), ..Self::default() }
    }
}

impl Tensor {
    pub fn list(name: &str, values: &[i64]) -> Self {
        Self {
            name: Some(name.into()),
            dims: vec![values.len() as i64],
            data_type: Some(7),
            int64_data: values.to_vec(),
            ..Self::default()
        }
    }

    pub fn number(name: &str, value: f32) -> Self {
        Self { name: Some(name.into()), data_type: Some(FLOAT), float_data: vec![value], ..Self::default() }
    }

    pub fn shape(&self) -> Vec<usize> {
        self.dims.iter().map(|&d| d as usize).collect()
    }

    /// The values as doubles; `None` of types that hold no plain numbers (strings, complex).
    pub fn values(&self) -> Option<Vec<f64>> {
        macro_rules! raw {
            ($n:literal, $convert:expr, $field:expr) => {
                match &self.raw_data {
                    Some(raw) => raw.as_chunks::<$n>().0.iter().map(|&b| $convert(b)).collect(),
                    None => $field,
                }
            };
        }
        let half = |convert: fn(u16) -> f64| self.int32_data.iter().map(|&v| convert(v as u16)).collect();
        let small = || self.int32_data.iter().map(|&v| f64::from(v)).collect();
        let long = || self.int64_data.iter().map(|&v| v as f64).collect();
        let unsigned = || self.uint64_data.iter().map(|&v| v as f64).collect();
        let values: Vec<f64> = match self.data_type() {
            FLOAT => raw!(4, |b| f64::from(f32::from_le_bytes(b)), self.float_data.iter().map(|&v| v.into()).collect()),
            UINT8 => raw!(1, |[b]: [u8; 1]| f64::from(b), small()),
            INT8 => raw!(1, |[b]: [u8; 1]| f64::from(b as i8), small()),
            4 => raw!(2, |b| f64::from(u16::from_le_bytes(b)), small()),
            5 => raw!(2, |b| f64::from(i16::from_le_bytes(b)), small()),
            6 => raw!(4, |b| f64::from(i32::from_le_bytes(b)), small()),
            7 => raw!(8, |b| i64::from_le_bytes(b) as f64, long()),
            9 => raw!(1, |[b]: [u8; 1]| f64::from(b), small()),
            FLOAT16 => raw!(2, |b| f16::from_le_bytes(b).to_f64(), half(|v| f16::from_bits(v).to_f64())),
            11 => raw!(8, f64::from_le_bytes, self.double_data.clone()),
            12 => raw!(4, |b| f64::from(u32::from_le_bytes(b)), unsigned()),
            13 => raw!(8, |b| u64::from_le_bytes(b) as f64, unsigned()),
            BFLOAT16 => raw!(2, |b| bf16::from_le_bytes(b).to_f64(), half(|v| bf16::from_bits(v).to_f64())),
            kind @ 17..=26 => self.narrow(kind),
            _ => return None,
        };
        (values.len() == self.shape().iter().product::<usize>()).then_some(values)
    }
}

impl Tensor {
    /// Values of types with few bits, by the tables of their specification.
    fn narrow(&self, kind: i32) -> Vec<f64> {
        let bytes = self.raw_data.clone().unwrap_or_else(|| self.int32_data.iter().map(|&v| v as u8).collect());
        let width = match kind {
            17..=20 | 24 => 8,
            21..=23 => 4,
            _ => 2,
        };
        let bit = |i: usize| i32::from(bytes[i / 8] >> (i % 8) & 1);
        let field = |from: usize, bits: usize| (0..bits).map(|b| bit(from + b) << b).sum::<i32>();
        let count = self.shape().iter().product::<usize>().min(bytes.len() * 8 / width);
        let one = |i: usize| {
            let (from, all) = (i * width, field(i * width, width));
            let (mantissa_bits, bias) = match kind {
                17 => (3, 7),
                18 => (3, 8),
                19 => (2, 15),
                20 => (2, 16),
                23 => (1, 1),
                24 => return if all == 255 { f64::NAN } else { 2f64.powi(all - 127) },
                22 | 26 => return f64::from(if bit(from + width - 1) == 1 { all - (1 << width) } else { all }),
                _ => return f64::from(all),
            };
            let (mantissa, exponent) =
                (field(from, mantissa_bits), field(from + mantissa_bits, width - 1 - mantissa_bits));
            let sign = if bit(from + width - 1) == 1 { -1.0 } else { 1.0 };
            match (kind, all) {
                (17, 0x7f | 0xff) | (18 | 20, 0x80) => f64::NAN,
                (19, _) if exponent == 31 => {
                    if mantissa == 0 {
                        sign * f64::INFINITY
                    } else {
                        f64::NAN
                    }
                }
                _ => {
                    let whole = mantissa + if exponent > 0 { 1 << mantissa_bits } else { 0 };
                    sign * f64::from(whole) * 2f64.powi(exponent.max(1) - bias - mantissa_bits as i32)
                }
            }
        };
        (0..count).map(one).collect()
    }
}

impl Model {
    /// The operators of a model, each once, in the order of its nodes.
    pub fn operators(bytes: &[u8]) -> Option<Vec<String>> {
        let mut found = Vec::new();
        for node in Self::decode(bytes).ok()?.graph?.node {
            let node = Node::decode(node.as_slice()).ok()?;
            let title = match node.domain() {
                "" | "ai.onnx" => node.op_type().to_string(),
                domain => format!("{domain}.{}", node.op_type()),
            };
            if !found.contains(&title) {
                found.push(title);
            }
        }
        Some(found)
    }
}
