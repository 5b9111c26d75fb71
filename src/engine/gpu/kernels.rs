//! The register of kernels: for each its file, what it shares with others, its parameters, and the override constants
//! with every code they can have. What is not registered here cannot be dispatched, and a test compiles all that is.

use super::codes::{self, Act, GateCode, OpCode, PoolingCode, Reduction, SecondCode};
use super::params::{self, Block, Field, Member};
use super::template::expand;

/// Invocations in a workgroup of every kernel.
pub(super) const WORKGROUP: usize = 64;
/// Cells that one invocation of the first pooling step folds.
pub(super) const POOL_CELLS: usize = 64;
/// Channel groups that one invocation of the map kernel sums.
pub(super) const MAP_SLICE: usize = 16;

/// Tile sizes that lowering may choose, by what they count.
pub(super) const PIXELS: &[usize] = &[1, 2, 4, 8];
const OUTPUTS: &[usize] = &[1, 2];
const WIDTHS: &[usize] = &[1, 3, 5];
const STRIDES: &[usize] = &[1, 2];
const LINES: &[usize] = &[1, 2];

/// The kernels with their tiles: the enum, and the list of all of them.
macro_rules! kernels {
    ($($(#[$doc:meta])* $name:ident $({ $($size:ident in $values:expr),* })?),* $(,)?) => {
        /// A shader file with its tile.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub(super) enum Kernel { $($(#[$doc])* $name $({ $($size: usize),* })?),* }

        impl Kernel {
            /// Whether the tile is one of those listed.
            fn has_listed_tile(self) -> bool {
                match self { $(Self::$name $({ $($size),* })? => true $($(&& $values.contains(&$size))*)?),* }
            }

            /// Every kernel with every tile.
            #[cfg(test)]
            pub fn all() -> Vec<Self> {
                let mut all = Vec::new();
                $(kernels!(@push all $name $([$($size in $values),*])?);)*
                all
            }
        }
    };
    (@push $all:ident $name:ident) => { $all.push(Kernel::$name) };
    (@push $all:ident $name:ident [$a:ident in $a_values:expr, $b:ident in $b_values:expr]) => {
        for &$a in $a_values { for &$b in $b_values { $all.push(Kernel::$name { $a, $b }); } }
    };
    (@push $all:ident $name:ident
        [$a:ident in $a_values:expr, $b:ident in $b_values:expr, $c:ident in $c_values:expr, $d:ident in $d_values:expr]
    ) => {
        for &$a in $a_values { for &$b in $b_values { for &$c in $c_values { for &$d in $d_values {
            $all.push(Kernel::$name { $a, $b, $c, $d });
        } } } }
    };
}

kernels! {
    /// Pixels and channel groups of one invocation.
    Pointwise { pixels in PIXELS, outputs in OUTPUTS },
    /// Pixels and channel groups of one invocation.
    Conv { pixels in PIXELS, outputs in OUTPUTS },
    /// Width of the kernel, horizontal stride, pixels and lines of one invocation.
    Depthwise { width in WIDTHS, stride in STRIDES, pixels in PIXELS, lines in LINES },
    ConvScalar,
    Pool,
    Elementwise,
    Strided,
    Copy,
    Reduce,
    ReduceTree,
    Softmax,
    SoftmaxTree,
    MatMul,
    Batched,
    Attention,
    /// Where rows are whole groups of four values that lie in a row.
    AttentionByFours,
    Norm,
    MixShares,
    MixPool,
    MixEmbed,
    MixNorm,
    MixWeights,
    MixMaps,
    MixSum,
    CellsPool,
    CellsPooled,
    CellsEnergy,
    CellsRadius,
    CellsShare,
    CellsScore,
}

/// An override constant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Knob {
    /// Its name in the shaders.
    pub name: &'static str,
    /// The codes that it can have.
    pub codes: &'static [u32],
}

/// The codes of one kind, from zero on.
const fn first<const N: usize>() -> [u32; N] {
    let mut codes = [0; N];
    let mut i = 0;
    while i < N {
        codes[i] = i as u32;
        i += 1;
    }
    codes
}

macro_rules! knobs {
    ($($(#[$doc:meta])* $knob:ident = $name:literal: $codes:expr;)*) => {$(
        $(#[$doc])*
        pub(super) const $knob: Knob = Knob { name: $name, codes: $codes };
    )*};
}

const SWITCH: &[u32] = &[0, 1];

knobs! {
    ACT = "ACT": &first::<{ Act::NAMES.len() }>();
    /// Every function but picking.
    FOURS_OP = "OP": &first::<{ OpCode::Pick as usize }>();
    /// Every function but rounding.
    STRIDED_OP = "OP": &[
        OpCode::None as u32, OpCode::Add as u32, OpCode::Sub as u32, OpCode::Mul as u32, OpCode::Div as u32,
        OpCode::Min as u32, OpCode::Max as u32, OpCode::Pow as u32, OpCode::Greater as u32, OpCode::Equal as u32,
        OpCode::Keep as u32, OpCode::Pick as u32,
    ];
    SECOND = "SECOND": &first::<{ SecondCode::NAMES.len() }>();
    KIND = "KIND": &first::<{ Reduction::NAMES.len() }>();
    POOLING = "POOLING": &first::<{ PoolingCode::NAMES.len() }>();
    GATE = "GATE": &first::<{ GateCode::NAMES.len() }>();
    RESIDUAL = "RESIDUAL": SWITCH;
    INT8 = "INT8": SWITCH;
    CONVERT = "CONVERT": SWITCH;
    MAX = "MAX": SWITCH;
    COUNT_PAD = "COUNT_PAD": SWITCH;
    PAD = "PAD": SWITCH;
    BIAS = "BIAS": SWITCH;
    ACCUMULATE = "ACCUMULATE": SWITCH;
    MASK = "MASK": SWITCH;
    LINE = "LINE": SWITCH;
    NORMALISE = "NORMALISE": SWITCH;
    FACTOR = "FACTOR": SWITCH;
    SHARE = "SHARE": SWITCH;
}

/// How a kernel sees its buffers: by fours or value by value.
const FOURS: &str = include_str!("shaders/vec4_views.wgsl");
const VALUES: &str = include_str!("shaders/scalar_views.wgsl");
/// What kernels share.
const ACTIVATION: &str = include_str!("shaders/activation.wgsl");
const COMBINE: &str = include_str!("shaders/combine.wgsl");
const END: &str = include_str!("shaders/epilogue.wgsl");
const LEAD: &str = include_str!("shaders/lead.wgsl");
const FOLD: &str = include_str!("shaders/fold.wgsl");
const PACKED: &str = include_str!("shaders/packed_weights.wgsl");
const TREE: &str = include_str!("shaders/tree.wgsl");
const WALK: &str = include_str!("shaders/walk.wgsl");

/// All that the register says of a kernel.
pub(super) struct Entry {
    /// The shared parts, then the kernel's own.
    parts: &'static [&'static str],
    /// The parameters, by their name and as both languages have them.
    pub params: &'static str,
    pub fields: &'static [Field],
    declaration: String,
    /// All its override constants.
    pub knobs: &'static [Knob],
}

fn entry<P: Block>(parts: &'static [&'static str], knobs: &'static [Knob]) -> Entry {
    Entry { parts, params: P::WGSL, fields: P::FIELDS, declaration: P::text("Params"), knobs }
}

macro_rules! shader {
    ($name:literal) => {
        include_str!(concat!("shaders/", $name, ".wgsl"))
    };
}

impl Kernel {
    /// What is registered of it.
    pub fn entry(self) -> Entry {
        use params::*;
        const WEIGHTED: &[Knob] = &[ACT, RESIDUAL, INT8, CONVERT];
        match self {
            Self::Pointwise { .. } => {
                entry::<Pointwise>(&[FOURS, PACKED, ACTIVATION, END, shader!("pointwise")], WEIGHTED)
            }
            Self::Conv { .. } => entry::<Conv>(&[FOURS, PACKED, ACTIVATION, END, shader!("conv")], WEIGHTED),
            Self::Depthwise { .. } => {
                entry::<Depthwise>(&[FOURS, PACKED, ACTIVATION, END, shader!("depthwise")], WEIGHTED)
            }
            Self::ConvScalar => entry::<ConvScalar>(&[VALUES, ACTIVATION, shader!("conv_scalar")], &[ACT, RESIDUAL]),
            Self::Pool => entry::<Pool>(&[FOURS, shader!("pool")], &[MAX, COUNT_PAD]),
            Self::Elementwise => {
                entry::<Elementwise>(&[FOURS, ACTIVATION, COMBINE, shader!("elementwise")], &[ACT, FOURS_OP, SECOND])
            }
            Self::Strided => entry::<Strided>(&[VALUES, WALK, COMBINE, shader!("strided")], &[STRIDED_OP, PAD]),
            Self::Copy => entry::<CopyFours>(&[FOURS, WALK, shader!("copy")], &[]),
            Self::Reduce => entry::<Reduce>(&[VALUES, WALK, FOLD, shader!("reduce")], &[KIND]),
            Self::ReduceTree => entry::<Reduce>(&[VALUES, WALK, FOLD, shader!("reduce_tree")], &[KIND]),
            Self::Softmax => entry::<Softmax>(&[VALUES, WALK, shader!("softmax")], &[]),
            Self::SoftmaxTree => entry::<Softmax>(&[VALUES, WALK, TREE, shader!("softmax_tree")], &[]),
            Self::MatMul => entry::<MatMul>(&[VALUES, WALK, ACTIVATION, shader!("matmul")], &[ACT, BIAS, ACCUMULATE]),
            Self::Batched => entry::<Batched>(&[FOURS, LEAD, shader!("batched")], &[]),
            Self::Attention => entry::<Attention>(&[VALUES, shader!("attention")], &[MASK]),
            Self::AttentionByFours => entry::<Attention>(&[FOURS, shader!("attention")], &[MASK]),
            Self::Norm => entry::<Norm>(&[VALUES, WALK, TREE, shader!("norm")], &[LINE]),
            Self::MixShares => entry::<MixShares>(&[FOURS, TREE, shader!("mix_shares")], &[]),
            Self::MixPool => entry::<MixPool>(&[FOURS, shader!("mix_pool")], &[POOLING]),
            Self::MixEmbed => entry::<MixEmbed>(&[FOURS, shader!("mix_embed")], &[POOLING]),
            Self::MixNorm => entry::<MixNorm>(&[FOURS, TREE, shader!("mix_norm")], &[]),
            Self::MixWeights => entry::<MixWeights>(&[FOURS, shader!("mix_weights")], &[GATE, NORMALISE]),
            Self::MixMaps => entry::<MixMaps>(&[FOURS, shader!("mix_maps")], &[]),
            Self::MixSum => entry::<MixSum>(&[FOURS, shader!("mix_sum")], &[]),
            Self::CellsPool => entry::<CellsPool>(&[FOURS, shader!("cells_pool")], &[]),
            Self::CellsPooled => entry::<CellsPooled>(&[FOURS, shader!("cells_pooled")], &[]),
            Self::CellsEnergy => entry::<CellsEnergy>(&[FOURS, shader!("cells_energy")], &[FACTOR]),
            Self::CellsRadius => entry::<CellsRadius>(&[FOURS, TREE, shader!("cells_radius")], &[]),
            Self::CellsShare => entry::<CellsShare>(&[FOURS, shader!("cells_share")], &[SHARE]),
            Self::CellsScore => entry::<CellsScore>(&[FOURS, TREE, shader!("cells_score")], &[]),
        }
    }

    /// The complete shader text.
    ///
    /// # Errors
    /// Says what is malformed in the file.
    pub fn source(self) -> Result<String, String> {
        let entry = self.entry();
        let mut text = codes::text();
        text.push_str(&format!("const POOL_CELLS: u32 = {POOL_CELLS}u;\nconst MAP_SLICE: u32 = {MAP_SLICE}u;\n"));
        // Blocks within blocks, where there are any.
        for (name, declaration) in [
            (params::Axes::WGSL, params::Axes::text(params::Axes::WGSL)),
            (params::Window::WGSL, params::Window::text(params::Window::WGSL)),
            (params::End::WGSL, params::End::text(params::End::WGSL)),
        ] {
            if entry.fields.iter().any(|f| f.wgsl == name) {
                text.push_str(&declaration);
            }
        }
        text.push_str(&entry.declaration);
        for part in entry.parts {
            text.push_str(&expand(part, &self.sizes())?);
        }
        Ok(text)
    }

    /// The tile by the names that its file has for it.
    fn sizes(self) -> Vec<(&'static str, usize)> {
        match self {
            Self::Pointwise { pixels, outputs } | Self::Conv { pixels, outputs } => {
                vec![("PX", pixels), ("CO", outputs)]
            }
            Self::Depthwise { width, stride, pixels, lines } => {
                let cells = (pixels - 1) * stride + width;
                let tile = [("TX", pixels), ("TY", lines), ("LATER", lines - 1)];
                [&tile[..], &[("KW", width), ("SX", stride), ("COLS", cells)]].concat()
            }
            _ => Vec::new(),
        }
    }
}

/// A kernel with the values of its override constants; those not named keep their defaults.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Specialisation {
    pub kernel: Kernel,
    pub constants: Vec<(Knob, u32)>,
}

impl Specialisation {
    pub fn new(kernel: Kernel) -> Self {
        Self { kernel, constants: Vec::new() }
    }

    pub fn with(mut self, knob: Knob, code: impl Into<u32>) -> Self {
        self.constants.push((knob, code.into()));
        self
    }

    /// # Errors
    /// Says which tile, override constant or code is not in the register.
    pub fn check(&self) -> Result<(), String> {
        if !self.kernel.has_listed_tile() {
            return Err(format!("{:?} has a tile that is not registered", self.kernel));
        }
        let knobs = self.kernel.entry().knobs;
        let known = |(knob, code): &&(Knob, u32)| !(knobs.contains(knob) && knob.codes.contains(code));
        match self.constants.iter().find(known) {
            Some((knob, code)) => Err(format!("{:?} is not registered with {} = {code}", self.kernel, knob.name)),
            None => Ok(()),
        }
    }
}
