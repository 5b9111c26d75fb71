//! The uniform block of every kernel, declared once: the shader's `struct Params` is written from the Rust struct
//! ([`Block::text`]), and a test holds the offsets of both against naga's.

use bytemuck::{Pod, Zeroable};

/// Bytes of the uniform block of one dispatch; also a multiple of every device's offset alignment.
pub(super) const PARAMS_BYTES: usize = 256;

/// A member of a block as both languages have it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub name: &'static str,
    /// Its type in WGSL.
    pub wgsl: &'static str,
    /// Bytes from the start of the block, and how many they are; the test that holds them against naga's reads them.
    #[cfg_attr(not(test), allow(dead_code))]
    pub offset: usize,
    #[cfg_attr(not(test), allow(dead_code))]
    pub size: usize,
}

/// A type that a block may hold.
pub(super) trait Member: Pod {
    /// Its name in WGSL.
    const WGSL: &'static str;
    /// What its offset in a uniform block must be a multiple of.
    const ALIGN: usize;
}

impl Member for u32 {
    const WGSL: &'static str = "u32";
    const ALIGN: usize = 4;
}

impl Member for i32 {
    const WGSL: &'static str = "i32";
    const ALIGN: usize = 4;
}

impl Member for f32 {
    const WGSL: &'static str = "f32";
    const ALIGN: usize = 4;
}

/// `vec4<u32>`.
pub(super) type Four = [u32; 4];

impl Member for Four {
    const WGSL: &'static str = "vec4<u32>";
    const ALIGN: usize = 16;
}

/// A block of parameters.
pub(super) trait Block: Member {
    /// The members, in order.
    const FIELDS: &'static [Field];

    /// The declaration in WGSL, under that name.
    fn text(name: &str) -> String {
        let members = Self::FIELDS.iter().map(|f| format!("  {}: {},\n", f.name, f.wgsl));
        format!("struct {name} {{\n{}}}\n", members.collect::<String>())
    }
}

/// Declares blocks. Four words and nested blocks start at multiples of 16 bytes, as WGSL demands; anything else does
/// not compile.
macro_rules! blocks {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, PartialEq, Debug, Pod, Zeroable)]
        pub(super) struct $name { $(pub $field: $ty),* }

        impl Member for $name {
            const WGSL: &'static str = stringify!($name);
            const ALIGN: usize = 16;
        }

        impl Block for $name {
            const FIELDS: &'static [Field] = &[$(Field {
                name: stringify!($field),
                wgsl: <$ty as Member>::WGSL,
                offset: std::mem::offset_of!($name, $field),
                size: size_of::<$ty>(),
            }),*];
        }

        const _: () = {
            assert!(size_of::<$name>() <= PARAMS_BYTES);
            $(assert!(std::mem::offset_of!($name, $field).is_multiple_of(<$ty as Member>::ALIGN));)*
        };
    )*};
}

blocks! {
    /// Numbers for each of up to six dimensions, the last ones used; the last two words are not.
    Axes { lo: Four, hi: Four }

    /// How a window moves over an image: sizes in cells, the origin `output * stride - pad`.
    Window {
        in_h: i32, in_w: i32, out_h: u32, out_w: u32,
        kernel_h: i32, kernel_w: i32, stride_h: i32, stride_w: i32,
        dilation_h: i32, dilation_w: i32, pad_top: i32, pad_left: i32,
    }

    /// How a convolution or linear layer ends; `channels` are those of the output that are not padding, `a` and `b` the
    /// activation's numbers.
    End { y: u32, residual: u32, scale: u32, bias: u32, channels: u32, a: f32, b: f32, unused: u32 }

    Pointwise {
        end: End,
        x: u32, weights: u32, pixels: u32, in_groups: u32, out_groups: u32, out_tiles: u32, row: u32,
    }

    Conv {
        window: Window, end: End,
        x: u32, weights: u32, pixels: u32, in_groups: u32, out_groups: u32, out_tiles: u32, row: u32,
        tiles_per_group: u32, in_per_group: u32,
    }

    Depthwise { window: Window, end: End, x: u32, weights: u32, groups: u32, tiles: u32, row: u32 }

    ConvScalar {
        window: Window, end: End,
        x: u32, weights: u32, total: u32, row: u32,
        padded: u32, in_padded: u32, in_per_group: u32, out_per_group: u32,
    }

    Pool { window: Window, x: u32, y: u32, groups: u32, total: u32, row: u32, channels: u32 }

    /// `scale`, `zero`, `low` and `high` are those of a rounding.
    Elementwise {
        x: u32, second: u32, y: u32, groups: u32, total: u32, row: u32, channels: u32,
        a: f32, b: f32, scale: f32, zero: f32, low: f32, high: f32,
    }

    /// `before` and `size` are for padding only: how far `a` starts within the output, and its own dimensions.
    Strided {
        dims: Axes, a_strides: Axes, b_strides: Axes, y_strides: Axes, before: Axes, size: Axes,
        a: u32, b: u32, y: u32, total: u32, row: u32, limit: u32, outside: f32, pick_stride: u32,
    }

    CopyFours { dims: Axes, a_strides: Axes, y_strides: Axes, a: u32, y: u32, total: u32, row: u32 }

    /// `inner` are the reduced dimensions, `count` their product; `slices` of `slice` values each.
    Reduce {
        dims: Axes, x_strides: Axes, y_strides: Axes, inner: Axes, inner_strides: Axes,
        x: u32, y: u32, total: u32, row: u32, limit: u32, count: u32, slices: u32, slice: u32, divisor: f32,
    }

    /// `padded` is `count` with the padding that becomes zero.
    Softmax {
        dims: Axes, x_strides: Axes, y_strides: Axes,
        x: u32, y: u32, total: u32, row: u32, limit: u32, count: u32, padded: u32, x_step: u32, y_step: u32,
    }

    MatMul {
        dims: Axes, a_strides: Axes, b_strides: Axes, c_strides: Axes, y_strides: Axes,
        a: u32, b: u32, c: u32, y: u32, total: u32, row: u32, limit: u32, count: u32,
        a_step: u32, b_step: u32, act_a: f32, act_b: f32,
    }

    Batched {
        dims: Four, a_lead: Four, b_lead: Four,
        a: u32, b: u32, y: u32, rows: u32, depth: u32, columns: u32, tiles: u32, total: u32, row: u32,
    }

    Attention {
        dims: Four, q_lead: Four, k_lead: Four, v_lead: Four, y_lead: Four, mask_lead: Four,
        q: u32, k: u32, v: u32, y: u32, mask: u32, queries: u32, keys: u32, depth: u32, width: u32,
        q_row: u32, k_row: u32, v_row: u32, y_row: u32, q_step: u32, k_step: u32, v_step: u32, y_step: u32,
        mask_row: u32, mask_column: u32, blocks: u32, total: u32, row: u32, scale: f32,
    }

    /// `s` are the strides of scale and bias, `size` how many values are normalised together.
    Norm {
        outer: Axes, x_strides: Axes, s_strides: Axes, inner: Axes, inner_x: Axes, inner_s: Axes,
        x: u32, y: u32, scale: u32, bias: u32, lines: u32, row: u32, count: u32,
        outer_limit: u32, inner_limit: u32, size: f32, epsilon: f32,
    }

    MixShares { shares: u32, quads: u32, cells: u32 }

    MixPool {
        embedding: u32, partial: u32, groups: u32, cells: u32, chunks: u32, row: u32, exponent: f32, shares: u32,
    }

    MixEmbed {
        embedding: u32, partial: u32, mean: u32, centred: u32, groups: u32, chunks: u32, channels: u32, row: u32,
        cells: f32, exponent: f32,
    }

    MixNorm { centred: u32, norm: u32, groups: u32 }

    MixWeights { centred: u32, norm: u32, directions: u32, weights: u32, groups: u32, total: u32, row: u32 }

    MixMaps {
        channel_weights: u32, partial: u32, groups: u32, cells: u32, quads: u32, per_slice: u32, total: u32, row: u32,
    }

    MixSum { partial: u32, maps: u32, slices: u32, per_slice: u32, row: u32 }

    CellsPool { partial: u32, groups: u32, cells: u32, height: u32, width: u32, total: u32, row: u32 }

    CellsPooled {
        partial: u32, mean: u32, ring: u32, groups: u32, chunks: u32, row: u32, cells: f32, ring_cells: f32,
    }

    CellsEnergy {
        mean: u32, factor: u32, partial: u32, groups: u32, cells: u32, quads: u32, total: u32, row: u32,
    }

    CellsRadius { partial: u32, radius: u32, total: u32, cells: f32 }

    CellsShare {
        raw: u32, constants: u32, radii: u32, evidence: u32, maps: u32, layers: u32, classes: u32, quads: u32,
        offset: f32, sharpness: f32, row: u32,
    }

    CellsScore { maps: u32, scores: u32, classes: u32, cells: u32, quads: u32, row: u32 }
}
