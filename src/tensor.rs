//! Host tensors: a shape and its values. No maths lives here.

use std::fmt;

use crate::error::{Error, Result};

/// Dimensions of a tensor, outermost first. Images and activation maps are `[1, C, H, W]`.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// A shape from its dimensions.
    pub fn new(dims: impl Into<Vec<usize>>) -> Self {
        Self(dims.into())
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// Number of elements; 1 for a scalar. `None` if the product overflows.
    pub fn checked_len(&self) -> Option<usize> {
        self.0.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
    }

    /// Number of elements, saturating. Graphs are checked against overflow when they are built.
    pub fn len(&self) -> usize {
        self.checked_len().unwrap_or(usize::MAX)
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `(C, H, W)` of a `[1, C, H, W]` shape; a `[1, C]` or `[C]` vector counts as `(C, 1, 1)`.
    pub fn chw(&self) -> Option<(usize, usize, usize)> {
        match *self.0.as_slice() {
            [1, c, h, w] => Some((c, h, w)),
            [1, c] | [c] => Some((c, 1, 1)),
            _ => None,
        }
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self(dims.to_vec())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<_> = self.0.iter().map(usize::to_string).collect();
        write!(f, "[{}]", dims.join(", "))
    }
}

/// A float tensor in host memory, row-major (C order).
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    shape: Shape,
    data: Vec<f32>,
}

impl Tensor {
    /// A tensor from its shape and row-major values.
    ///
    /// # Errors
    /// [`Error::Argument`] if the number of values is not the product of the dimensions.
    pub fn new(shape: impl Into<Shape>, data: Vec<f32>) -> Result<Self> {
        let shape = shape.into();
        if shape.checked_len() != Some(data.len()) {
            return Err(Error::argument("tensor", format!("shape {shape} does not hold {} values", data.len())));
        }
        Ok(Self { shape, data })
    }

    /// A tensor of zeros.
    pub fn zeros(shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        let data = vec![0.0; shape.len()];
        Self { shape, data }
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The values, row-major.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The values, row-major, to write to.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// The values, row-major.
    pub fn into_data(self) -> Vec<f32> {
        self.data
    }
}

/// An int8 weight, symmetric, with one scale per output channel (axis 0): `w[o, ..] = data[o, ..] * scales[o]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Int8Tensor {
    shape: Shape,
    data: Vec<i8>,
    scales: Vec<f32>,
}

impl Int8Tensor {
    /// An int8 weight from its shape, row-major values and one scale per slice of axis 0.
    ///
    /// # Errors
    /// [`Error::Argument`] if the numbers of values or scales do not fit the shape.
    pub fn new(shape: impl Into<Shape>, data: Vec<i8>, scales: Vec<f32>) -> Result<Self> {
        let shape = shape.into();
        if shape.checked_len() != Some(data.len()) || shape.dims().first() != Some(&scales.len()) {
            let found = format!("{} values and {} scales", data.len(), scales.len());
            return Err(Error::argument("int8 tensor", format!("shape {shape} does not fit {found}")));
        }
        Ok(Self { shape, data, scales })
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The quantized values, row-major.
    pub fn data(&self) -> &[i8] {
        &self.data
    }

    /// One scale per output channel (axis 0).
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The weight as floats, `data * scale`.
    pub fn dequantize(&self) -> Tensor {
        let inner = self.data.len() / self.scales.len().max(1);
        let data = self.data.chunks(inner.max(1)).zip(&self.scales);
        let data = data.flat_map(|(row, &s)| row.iter().map(move |&q| f32::from(q) * s)).collect();
        Tensor { shape: self.shape.clone(), data }
    }
}
