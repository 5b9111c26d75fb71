//! The numbers by which a kernel's override constants choose what it computes. Each has its name here, once, and the
//! shaders get the same names as constants ([`text`]).

use crate::graph::{Activation, BinaryOp};

/// One kind of code: its variants count from zero, in Rust and, under the name beside each, in WGSL.
macro_rules! codes {
    ($(#[$doc:meta])* $kind:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u32)]
        pub(super) enum $kind { $($(#[$variant_doc])* $variant),* }

        impl $kind {
            /// Every name in the shaders, in the order of the codes.
            pub const NAMES: &'static [&'static str] = &[$($name),*];
        }

        impl From<$kind> for u32 {
            fn from(code: $kind) -> u32 {
                code as u32
            }
        }
    };
}

codes! {
    /// `ACT`: the function at the end of a kernel.
    Act {
        None = "ACT_NONE",
        Relu = "ACT_RELU",
        Clip = "ACT_CLIP",
        HardSwish = "ACT_HARD_SWISH",
        HardSigmoid = "ACT_HARD_SIGMOID",
        Sigmoid = "ACT_SIGMOID",
        Silu = "ACT_SILU",
        LeakyRelu = "ACT_LEAKY_RELU",
        Tanh = "ACT_TANH",
        Swish = "ACT_SWISH",
        Gelu = "ACT_GELU",
        GeluTanh = "ACT_GELU_TANH",
        Elu = "ACT_ELU",
        Softplus = "ACT_SOFTPLUS",
        Mish = "ACT_MISH",
        Threshold = "ACT_THRESHOLD",
        Erf = "ACT_ERF",
        Exp = "ACT_EXP",
        Log = "ACT_LOG",
        Sqrt = "ACT_SQRT",
        Abs = "ACT_ABS",
        Floor = "ACT_FLOOR",
        Round = "ACT_ROUND",
    }
}

codes! {
    /// `OP`: what becomes of one or two values.
    OpCode {
        /// The first value as it is.
        None = "OP_NONE",
        Add = "OP_ADD",
        Sub = "OP_SUB",
        /// The second minus the first.
        SubFrom = "OP_SUB_FROM",
        Mul = "OP_MUL",
        Div = "OP_DIV",
        /// The second by the first.
        DivInto = "OP_DIV_INTO",
        Min = "OP_MIN",
        Max = "OP_MAX",
        Pow = "OP_POW",
        /// The second to the power of the first.
        PowOf = "OP_POW_OF",
        Greater = "OP_GREATER",
        /// Whether the second is greater.
        Less = "OP_LESS",
        Equal = "OP_EQUAL",
        /// The first where the second is not 0.
        Keep = "OP_KEEP",
        /// The second where the first is not 0.
        KeepOther = "OP_KEEP_OTHER",
        /// To a whole number of a range.
        Round = "OP_ROUND",
        /// The same and back again.
        RoundBack = "OP_ROUND_BACK",
        /// The first at the index that the second lists.
        Pick = "OP_PICK",
    }
}

codes! {
    /// `SECOND`: how the kernel over groups of four finds its second operand.
    SecondCode { Same = "SECOND_SAME", Channel = "SECOND_CHANNEL", Single = "SECOND_SINGLE" }
}

codes! {
    /// `KIND`: what a reduction computes; a mean is a sum that is divided at the end.
    Reduction { Sum = "REDUCE_SUM", Max = "REDUCE_MAX", Min = "REDUCE_MIN", Product = "REDUCE_PRODUCT" }
}

codes! {
    /// `POOLING`: what becomes of the cells of a channel.
    PoolingCode { Mean = "POOLING_MEAN", Max = "POOLING_MAX", Power = "POOLING_POWER", Shares = "POOLING_SHARES" }
}

codes! {
    /// `GATE`: what a direction is multiplied with.
    GateCode { Feature = "GATE_FEATURE", Abs = "GATE_ABS", One = "GATE_ONE" }
}

/// The constants of all codes as WGSL.
pub(super) fn text() -> String {
    let kinds = [Act::NAMES, OpCode::NAMES, SecondCode::NAMES, Reduction::NAMES, PoolingCode::NAMES, GateCode::NAMES];
    let all = kinds.iter().flat_map(|names| names.iter().enumerate());
    all.map(|(code, name)| format!("const {name}: u32 = {code}u;\n")).collect()
}

/// An activation as the shaders know it: its code and its two numbers.
pub(super) fn activation(a: Activation) -> (Act, f32, f32) {
    match a {
        Activation::None => (Act::None, 0.0, 0.0),
        Activation::Relu => (Act::Relu, 0.0, 0.0),
        Activation::Clip(lo, hi) => (Act::Clip, lo, hi),
        Activation::HardSwish => (Act::HardSwish, 0.0, 0.0),
        Activation::HardSigmoid(alpha, beta) => (Act::HardSigmoid, alpha, beta),
        Activation::Sigmoid => (Act::Sigmoid, 0.0, 0.0),
        Activation::Silu => (Act::Silu, 0.0, 0.0),
        Activation::LeakyRelu(slope) => (Act::LeakyRelu, slope, 0.0),
        Activation::Tanh => (Act::Tanh, 0.0, 0.0),
        Activation::Swish(beta) => (Act::Swish, beta, 0.0),
        Activation::Gelu => (Act::Gelu, 0.0, 0.0),
        Activation::GeluTanh => (Act::GeluTanh, 0.0, 0.0),
        Activation::Elu(alpha) => (Act::Elu, alpha, 0.0),
        Activation::Softplus => (Act::Softplus, 0.0, 0.0),
        Activation::Mish => (Act::Mish, 0.0, 0.0),
        Activation::Threshold(threshold) => (Act::Threshold, threshold, 0.0),
        Activation::Erf => (Act::Erf, 0.0, 0.0),
        Activation::Exp => (Act::Exp, 0.0, 0.0),
        Activation::Log => (Act::Log, 0.0, 0.0),
        Activation::Sqrt => (Act::Sqrt, 0.0, 0.0),
        Activation::Abs => (Act::Abs, 0.0, 0.0),
        Activation::Floor => (Act::Floor, 0.0, 0.0),
        Activation::Round => (Act::Round, 0.0, 0.0),
    }
}

/// A function of two values, and the same with its operands exchanged.
pub(super) fn binary(op: BinaryOp) -> (OpCode, OpCode) {
    match op {
        BinaryOp::Add => (OpCode::Add, OpCode::Add),
        BinaryOp::Sub => (OpCode::Sub, OpCode::SubFrom),
        BinaryOp::Mul => (OpCode::Mul, OpCode::Mul),
        BinaryOp::Div => (OpCode::Div, OpCode::DivInto),
        BinaryOp::Min => (OpCode::Min, OpCode::Min),
        BinaryOp::Max => (OpCode::Max, OpCode::Max),
        BinaryOp::Pow => (OpCode::Pow, OpCode::PowOf),
        BinaryOp::Greater => (OpCode::Greater, OpCode::Less),
        BinaryOp::Equal => (OpCode::Equal, OpCode::Equal),
        BinaryOp::Keep => (OpCode::Keep, OpCode::KeepOther),
    }
}
