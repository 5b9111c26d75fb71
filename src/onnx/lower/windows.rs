//! Sliding windows: their attributes, and pooling over them.

use super::super::data::Data;
use super::{Context, Lowered, Operator, unsupported, wrong};
use crate::graph::{Op, Pool2d, PoolKind};
use crate::tensor::Shape;

pub(super) fn operator(op_type: &str) -> Option<Operator> {
    Some(match op_type {
        "MaxPool" => |c| pool(c, PoolKind::Max),
        "AveragePool" => |c| {
            let count_include_pad = c.int("count_include_pad", 0) != 0;
            pool(c, PoolKind::Average { count_include_pad })
        },
        _ => return None,
    })
}

/// No kernel, stride, dilation or pad may be larger.
const MAX_SIDE: usize = 1 << 20;

/// Strides, dilations and pads of a window of a given size over the last two dimensions of `x`.
pub(super) struct Window {
    pub kernel: [usize; 2],
    pub strides: [usize; 2],
    pub dilations: [usize; 2],
    /// Top, left, bottom, right.
    pub pads: [usize; 4],
}

/// Height and width of `[N, C, H, W]`, or of `[N, C, L]` seen as one row.
pub(super) fn spatial(shape: &Shape) -> Option<[usize; 2]> {
    match *shape.dims() {
        [_, _, length] => Some([1, length]),
        [_, _, height, width] => Some([height, width]),
        _ => None,
    }
}

/// A number for height and one for width; of one number the height's is 1.
fn pair(c: &Context<'_, '_>, name: &str, default: [usize; 2]) -> Lowered<[usize; 2]> {
    let Some(attribute) = c.attribute(name) else { return Ok(default) };
    let fits = |v: i64| (1..MAX_SIDE as i64).contains(&v);
    match *attribute.ints.as_slice() {
        [a, b] if fits(a) && fits(b) => Ok([a as usize, b as usize]),
        [b] if fits(b) => Ok([1, b as usize]),
        [_, _] | [_] => wrong(format!("{name} {:?} are out of range", attribute.ints)),
        _ => unsupported(format!("{name} {:?}; only one or two dimensions are supported", attribute.ints)),
    }
}

impl Window {
    /// From the attributes of a node. A kernel that is given must be what `kernel_shape` says, if that is there.
    pub fn new(c: &Context<'_, '_>, x: &Shape, kernel: Option<[usize; 2]>) -> Lowered<Self> {
        let kernel = match kernel {
            Some(kernel) if pair(c, "kernel_shape", kernel)? == kernel => kernel,
            Some(kernel) => return wrong(format!("kernel_shape does not fit the weights' {kernel:?}")),
            None if c.attribute("kernel_shape").is_none() => return wrong("kernel_shape is missing"),
            None => pair(c, "kernel_shape", [1, 1])?,
        };
        let (strides, dilations) = (pair(c, "strides", [1, 1])?, pair(c, "dilations", [1, 1])?);
        let Some([height, width]) = spatial(x) else {
            return unsupported(format!("over {x}; only one or two spatial dimensions are supported"));
        };
        let mut pads = [0; 4];
        match c.string("auto_pad").as_str() {
            "" | "NOTSET" => {
                let given = c.attribute("pads").map_or(&[][..], |a| &a.ints);
                let given = match *given {
                    [] => [0; 4],
                    [left, right] if x.rank() == 3 => [0, left, 0, right],
                    [top, left, bottom, right] if x.rank() == 4 => [top, left, bottom, right],
                    _ => return wrong(format!("pads {given:?} do not fit {x}")),
                };
                for (pad, given) in pads.iter_mut().zip(given) {
                    if given < 0 {
                        return unsupported(format!("a pad of {given}, which cuts"));
                    }
                    *pad = usize::try_from(given).unwrap_or(usize::MAX);
                }
            }
            "VALID" => {}
            side @ ("SAME_UPPER" | "SAME_LOWER") => {
                // As many windows as strides fit; an odd cell of padding goes after (upper) or before (lower).
                for (axis, size) in [height, width].into_iter().enumerate() {
                    let windows = size.div_ceil(strides[axis]);
                    let extent = (kernel[axis].saturating_sub(1)).saturating_mul(dilations[axis]).saturating_add(1);
                    let total = ((windows.max(1) - 1) * strides[axis]).saturating_add(extent).saturating_sub(size);
                    let before = if side == "SAME_UPPER" { total / 2 } else { total - total / 2 };
                    (pads[axis], pads[axis + 2]) = (before, total - before);
                }
            }
            other => return wrong(format!("auto_pad {other:?} is not known")),
        }
        // Those that auto_pad asks for too.
        if let Some(pad) = pads.iter().find(|&&p| p >= MAX_SIDE) {
            return wrong(format!("a pad of {pad} cells, and the limit is {MAX_SIDE}"));
        }
        Ok(Self { kernel, strides, dilations, pads })
    }

    /// The cells from the first to the last that one window reads along an axis.
    fn extent(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1).saturating_mul(self.dilations[axis]).saturating_add(1)
    }
}

fn pool(c: &mut Context<'_, '_>, kind: PoolKind) -> Lowered<Vec<Data>> {
    let x = c.input(0)?;
    Ok(vec![pool_of(c, x, kind)?])
}

/// The pool that the node's attributes describe.
pub(super) fn pool_of(c: &mut Context<'_, '_>, x: Data, kind: PoolKind) -> Lowered<Data> {
    let mut x = x;
    let shape = c.shape(&x)?;
    let mut window = Window::new(c, &shape, None)?;
    if let &[n, channels, length] = shape.dims() {
        x = c.emit_step("row", Op::Reshape(Shape::from([n, channels, 1, length])), &[&x])?;
    }
    let [height, width] = spatial(&shape).unwrap_or_default();
    let mut kind = kind;
    if c.int("ceil_mode", 0) != 0 {
        let mut extra = [0; 2];
        for (axis, size) in [height, width].into_iter().enumerate() {
            let padded = size + window.pads[axis] + window.pads[axis + 2];
            let Some(room) = padded.checked_sub(window.extent(axis)) else { continue };
            let stride = window.strides[axis];
            // A last, partial window counts if it starts within the input or the padding before it.
            let windows = room.div_ceil(stride) + 1;
            let windows = if (windows - 1) * stride >= size + window.pads[axis] { windows - 1 } else { windows };
            extra[axis] = ((windows - 1) * stride + window.extent(axis)).saturating_sub(padded);
        }
        if extra != [0, 0] && kind == (PoolKind::Average { count_include_pad: true }) {
            // Padding counts in the divisor, but what lies beyond the padding does not: pad first, then pool.
            let p = window.pads;
            let op = Op::Pad { before: vec![0, 0, p[0], p[1]], after: vec![0, 0, p[2], p[3]], value: 0.0 };
            if p != [0; 4] {
                x = c.emit_step("padded", op, &[&x])?;
            }
            window.pads = [0; 4];
            kind = PoolKind::Average { count_include_pad: false };
        }
        window.pads[2] += extra[0];
        window.pads[3] += extra[1];
    }
    for axis in 0..2 {
        if window.pads[axis].max(window.pads[axis + 2]) >= window.extent(axis) {
            return wrong(format!("pads {:?} are as large as its window {:?}", window.pads, window.kernel));
        }
    }
    let Window { kernel, strides, dilations, pads } = window;
    let op = Op::Pool2d(Pool2d { kind, kernel, strides, dilations, pads });
    if shape.rank() == 4 {
        return c.emit(op, &[&x]);
    }
    let y = c.emit_step("pooled", op, &[&x])?;
    let dims = c.shape(&y)?.dims().to_vec();
    c.emit(Op::Reshape(Shape::from([dims[0], dims[1], dims[3]])), &[&y])
}
