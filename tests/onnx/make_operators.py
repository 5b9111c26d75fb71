#!/usr/bin/env python3
"""More of the small ONNX models beside make.py: the operators of transformers, of resizing and of quantised models.

For maintainers; the tests read the files only. Deterministic. Writes only its own files.

    python tests/onnx/make_operators.py
"""

import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent))
import make
from make import case, i64, node, positive, quantised, scalar, weights

SHAPE = (1, 4, 3, 2)


def u8(*values):
    return np.array(values, np.uint8)


def functions():
    for op in ("Erf", "Exp", "Abs", "Floor", "Ceil", "Round", "Softplus", "Softsign", "Elu", "Celu", "Selu", "Mish"):
        case(f"function_{op.lower()}", [node(op, "x")], opset=18, shape=SHAPE)
    case("function_elu_alpha", [node("Elu", "x", alpha=0.4)], shape=SHAPE)
    case("function_celu_alpha", [node("Celu", "x", alpha=0.4)], shape=SHAPE)
    case("function_thresholded_relu", [node("ThresholdedRelu", "x", alpha=0.3)], shape=SHAPE)
    for approximate in ("none", "tanh"):
        case(f"function_gelu_{approximate}", [node("Gelu", "x", approximate=approximate)], opset=20, shape=SHAPE)
    case("function_sqrt_log", [node("Abs", "x", "a"), node("Sqrt", "a", "s"), node("Add", "s c", "t"), node("Log", "t")],
         {"c": scalar(0.2)}, SHAPE)
    case("prelu_per_channel", [node("PRelu", "x s")], {"s": weights(4, 1, 1)}, SHAPE)
    for e in (0.5, 1.0, -1.0, 2.5, 3.0):
        nodes = [node("Abs", "x", "a"), node("Add", "a c", "b"), node("Pow", "b e")]
        case(f"pow_{str(e).replace('.', '_').replace('-', 'minus_')}", nodes, {"c": scalar(0.1), "e": scalar(e)}, SHAPE)
    case("max_of_three", [node("Neg", "x", "n"), node("Max", "x n c")], {"c": weights(4, 1, 1)}, SHAPE)
    case("min_of_two", [node("Neg", "x", "n"), node("Min", "x n")], shape=SHAPE)
    case("mean_of_two", [node("Relu", "x", "n"), node("Mean", "x n")], shape=SHAPE)
    # GELU as torch writes it before operator set 20, and the approximation.
    nodes = [node("Div", "x r", "d"), node("Erf", "d", "e"), node("Add", "e one", "a"), node("Mul", "x a", "m"), node("Mul", "m h")]
    case("gelu_written_out", nodes, {"r": scalar(np.sqrt(2, dtype=np.float32)), "one": scalar(1), "h": scalar(0.5)}, SHAPE)
    nodes = [node("Mul", "x h", "half"), node("Pow", "x three", "cube"), node("Mul", "cube k", "ck"), node("Add", "x ck", "in"),
             node("Mul", "in s", "si"), node("Tanh", "si", "t"), node("Add", "t one", "a"), node("Mul", "half a")]
    case("gelu_tanh_written_out", nodes, {"h": scalar(0.5), "three": scalar(3), "k": scalar(0.044715),
                                          "s": scalar(np.sqrt(2 / np.pi)), "one": scalar(1)}, SHAPE)
    nodes = [node("Mul", "x b", "bx"), node("Sigmoid", "bx", "g"), node("Mul", "x g")]
    case("quick_gelu", nodes, {"b": scalar(1.702)}, SHAPE)
    case("mish_written_out", [node("Softplus", "x", "s"), node("Tanh", "s", "t"), node("Mul", "x t")], shape=SHAPE)


def norms():
    case("layer_norm", [node("LayerNormalization", "x s b", axis=-1)], {"s": positive(6), "b": weights(6)})
    case("layer_norm_two_axes", [node("LayerNormalization", "x s", axis=2, epsilon=1e-3)], {"s": positive(7, 6)})
    case("instance_norm", [node("InstanceNormalization", "x s b")], {"s": positive(4), "b": weights(4)})
    constants = {"s": positive(4), "b": weights(4)}
    case("group_norm", [node("GroupNormalization", "x s b", num_groups=2)], constants, opset=21)
    # Group normalisation as torch writes it: instance normalisation of groups.
    nodes = [node("Reshape", "x to", "g"), node("InstanceNormalization", "g one zero", "n"), node("Shape", "x", "s"),
             node("Reshape", "n s", "r"), node("Mul", "r scale", "m"), node("Add", "m bias")]
    case("group_norm_written_out", nodes, {"to": i64(0, 2, -1), "one": np.ones(2, np.float32), "zero": np.zeros(2, np.float32),
                                           "scale": positive(4, 1, 1), "bias": weights(4, 1, 1)})
    # Layer normalisation as torch writes it before operator set 17.
    nodes = [node("ReduceMean", "x", "mean", axes=[-1]), node("Sub", "x mean", "d"), node("Pow", "d two", "q"),
             node("ReduceMean", "q", "var", axes=[-1]), node("Add", "var eps", "ve"), node("Sqrt", "ve", "std"),
             node("Div", "d std", "n"), node("Mul", "n scale", "m"), node("Add", "m bias")]
    case("layer_norm_written_out", nodes, {"two": scalar(2), "eps": scalar(1e-5), "scale": positive(6), "bias": weights(6)}, opset=16)
    for size in (3, 5):
        case(f"lrn_{size}", [node("LRN", "x", size=size, alpha=0.3, beta=0.6, bias=1.2)])
    for p in (1, 2):
        case(f"lp_norm_{p}", [node("LpNormalization", "x", axis=1, p=p)])
    case("log_softmax", [node("LogSoftmax", "x", axis=1)])
    # Weights that are standardised in the graph (ScaledStdConv).
    nodes = [node("BatchNormalization", "w one zero mean var", "n r v", training_mode=1), node("Reshape", "n s", "k"), node("Conv", "x k")]
    case("standardised_weights", nodes, {"w": weights(1, 5, 36), "one": np.ones(5, np.float32), "zero": np.zeros(5, np.float32),
                                         "mean": np.zeros(5, np.float32), "var": np.ones(5, np.float32), "s": i64(5, 4, 3, 3)})


def reductions():
    for op in ("Min", "Prod", "L1", "L2", "SumSquare", "LogSumExp"):
        case(f"reduce_{op.lower()}", [node(f"Reduce{op}", "x", axes=[1], keepdims=0)])
    case("reduce_log_sum", [node("Abs", "x", "a"), node("ReduceLogSum", "a", axes=[2, 3])])


def parts():
    def slice_case(name, starts, ends, axes, steps):
        case(f"slice_{name}", [node("Slice", "x a b c d")], {"a": i64(*starts), "b": i64(*ends), "c": i64(*axes), "d": i64(*steps)})

    slice_case("window", (1, -4), (3, -1), (1, 3), (1, 1))
    slice_case("strided", (0, 1), (2**31, 2**31), (2, 3), (2, 2))
    slice_case("backwards", (-1, -1), (-(2**31), 0), (1, 2), (-1, -2))
    case("slice_old", [node("Slice", "x", starts=[1], ends=[3], axes=[2])], opset=9)
    case("gather_one", [node("Gather", "x i", axis=1)], {"i": scalar(-2, np.int64)})
    case("gather_irregular", [node("Gather", "x i", axis=2)], {"i": i64(5, 0, 0, 3)})
    case("gather_regular", [node("Gather", "x i", axis=3)], {"i": i64(4, 2, 0)})
    case("gather_table", [node("Gather", "x i", axis=1)], {"i": np.array([[0, 1], [3, 1]], np.int64)})
    case("gather_nd", [node("GatherND", "x i")], {"i": np.array([[[0, 3], [0, 0]]], np.int64)})
    case("split_sizes", [node("Split", "x s", "a b", axis=1), node("Sub", "a b", "d"), node("Concat", "d a", axis=1)],
         {"s": i64(2, 2)})
    case("split_uneven", [node("Split", "x s", "a b c", axis=2), node("Concat", "c a b", axis=2)], {"s": i64(1, 4, 2)})
    case("split_old", [node("Split", "x", "a b", axis=3, split=[2, 4]), node("Concat", "b a", axis=3)], opset=11)
    case("split_num_outputs", [node("Split", "x", "a b c", axis=2, num_outputs=3), node("Concat", "c b a", axis=2)], opset=18)
    # The roll of Swin.
    nodes = [node("Slice", "x two end axis", "back"), node("Slice", "x zero two axis", "front"), node("Concat", "back front", axis=2)]
    case("roll", nodes, {"two": i64(2), "end": i64(2**60), "zero": i64(0), "axis": i64(2)})
    for mode in ("reflect", "edge"):
        case(f"pad_{mode}", [node("Pad", "x p", mode=mode)], {"p": i64(0, 0, 2, 1, 0, 0, 3, 0)})
    case("pad_wrap", [node("Pad", "x p", mode="wrap")], {"p": i64(0, 0, 2, 1, 0, 0, 3, 0)}, opset=19)
    case("expand_activation", [node("ReduceMean", "x", "m", axes=[2, 3]), node("Expand", "m s")], {"s": i64(2, 1, 4, 3, 5)})
    case("tile", [node("Tile", "x r")], {"r": i64(1, 2, 1, 3)}, SHAPE)
    case("depth_to_space_dcr", [node("DepthToSpace", "x", blocksize=2)], shape=(1, 12, 3, 2))
    case("depth_to_space_crd", [node("DepthToSpace", "x", blocksize=2, mode="CRD")], shape=(1, 12, 3, 2))
    case("space_to_depth", [node("SpaceToDepth", "x", blocksize=2)], shape=(1, 3, 6, 4))
    choice = np.array([1, 0, 1, 1], bool).reshape(4, 1, 1)
    case("where_activations", [node("Neg", "x", "n"), node("Where", "c x n")], {"c": choice}, SHAPE)
    case("where_constant", [node("Where", "c x v")], {"c": choice, "v": scalar(-7)}, SHAPE)
    nodes = [node("Where", "c zero low", "m"), node("Add", "x m", "a"), node("Softmax", "a", axis=1)]
    case("where_mask", nodes, {"c": choice, "zero": scalar(0), "low": scalar(-np.inf)}, SHAPE)
    nodes = [node("Softmax", "x", "p", axis=1), node("IsNaN", "p", "nan"), node("Where", "nan zero p")]
    case("softmax_guarded", nodes, {"zero": scalar(0)}, SHAPE)
    nodes = [node("ScatterND", "z i u", "m"), node("Add", "x m")]
    case("scatter_constant", nodes, {"z": np.zeros((3, 2), np.float32), "i": np.array([[0, 1], [2, 0]], np.int64), "u": weights(2)}, SHAPE)


def resizing():
    scales = {"s": np.array([1, 1, 2, 1.5], np.float32)}
    smaller = {"s": np.array([1, 1, 0.6, 0.4], np.float32)}
    for coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"):
        for mode in ("nearest", "linear", "cubic"):
            for name, constants in (("up", scales), ("down", smaller)):
                nodes = [node("Resize", "x _ s", mode=mode, coordinate_transformation_mode=coordinates)]
                case(f"resize_{mode}_{coordinates}_{name}", nodes, constants)
    for rounding in ("round_prefer_ceil", "floor", "ceil"):
        nodes = [node("Resize", "x _ s", mode="nearest", nearest_mode=rounding)]
        case(f"resize_nearest_{rounding}", nodes, scales)
    case("resize_sizes", [node("Resize", "x _ _ n", mode="linear")], {"n": i64(1, 4, 3, 11)})
    case("resize_axes", [node("Resize", "x _ _ n", mode="linear", axes=[3, 2])], {"n": i64(4, 5)}, opset=18)
    for mode in ("linear", "cubic"):
        case(f"resize_{mode}_antialias", [node("Resize", "x _ _ n", mode=mode, antialias=1, cubic_coeff_a=-0.5)],
             {"n": i64(1, 3, 7, 5)}, (1, 3, 17, 16), opset=18)
    case("resize_10", [node("Resize", "x s", mode="nearest")], scales, opset=10)
    case("upsample_9", [node("Upsample", "x s", mode="linear")], {"s": np.array([1, 1, 2, 3], np.float32)}, opset=9)


def products():
    case("matmul_broadcast", [node("Reshape", "x s", "r"), node("MatMul", "r w")], {"s": i64(4, 1, 7, 6), "w": weights(3, 6, 5)})
    case("matmul_constant_left", [node("MatMul", "w x")], {"w": weights(2, 1, 5, 7)})
    case("matmul_vector_right", [node("MatMul", "x w")], {"w": weights(6)})
    case("matmul_vector_left", [node("MatMul", "w x")], {"w": weights(7)})
    nodes = [node("Flatten", "x", "f", axis=2), node("Transpose", "f", "t", perm=[1, 0]), node("Gemm", "f f", transB=1, alpha=0.5)]
    case("gemm_of_activations", [nodes[0], nodes[2]])
    for equation in ("nchw,oc->nohw", "bchw->bhc", "nchw,nkhw->nck", "nchw,wd->nchd", "...hw,wd->...hd", "abij,abkj->abik", "nchw,c,w->nh"):
        names = {"nchw,oc->nohw": [weights(5, 4)], "nchw,wd->nchd": [weights(6, 3)], "...hw,wd->...hd": [weights(6, 3)],
                 "nchw,c,w->nh": [weights(4), weights(6)]}.get(equation)
        operands = " ".join(f"w{i}" for i in range(len(names or [])))
        inputs = f"x {operands}" if names else ("x" if "," not in equation else "x n")
        nodes = [node("Neg", "x", "n"), node("Einsum", inputs, equation=equation)]
        title = equation.replace(",", "_").replace("->", "_to_").replace("...", "dots_")
        case(f"einsum_{title}", nodes, {f"w{i}": w for i, w in enumerate(names or [])})
    case("conv_1d", [node("Reshape", "x s", "r"), node("Conv", "r w b", pads=[1, 1], strides=[2])],
         {"s": i64(1, 4, 42), "w": weights(5, 4, 3), "b": weights(5)})
    case("pool_1d", [node("Reshape", "x s", "r"), node("AveragePool", "r", kernel_shape=[3], strides=[2], pads=[1, 1])], {"s": i64(1, 4, 42)})


def attention():
    """One block of attention over six cells, as exporters write it."""
    d, heads, t = 4, 2, 6
    make_qkv = [node("Reshape", "x flat", "f"), node("Transpose", "f", "tokens", perm=[0, 2, 1]),
                node("MatMul", "tokens w", "qkv0"), node("Add", "qkv0 b", "qkv1"), node("Reshape", "qkv1 split", "qkv2")]
    constants = {"flat": i64(1, d, t), "w": weights(d, 3 * d) * 2, "b": weights(3 * d), "split": i64(1, t, 3, heads, d // heads)}
    timm = [node("Transpose", "qkv2", "qkv", perm=[2, 0, 3, 1, 4]), node("Gather", "qkv i0", "q", axis=0),
            node("Gather", "qkv i1", "k", axis=0), node("Gather", "qkv i2", "v", axis=0)]
    constants |= {"i0": scalar(0, np.int64), "i1": scalar(1, np.int64), "i2": scalar(2, np.int64)}
    after = [node("Transpose", "a", "at", perm=[0, 2, 1, 3]), node("Reshape", "at tokens3", "ar"), node("Transpose", "ar", perm=[0, 2, 1])]
    constants |= {"tokens3": i64(1, t, d), "scale": scalar(0.7), "half": scalar(0.7**0.5), "mask": weights(t, t) * 3,
                  "bias": weights(1, heads, t, t)}
    plain = [node("Transpose", "k", "kt", perm=[0, 1, 3, 2]), node("MatMul", "q kt", "qk"), node("Mul", "qk scale", "s"),
             node("Softmax", "s", "p", axis=-1), node("MatMul", "p v", "a")]
    case("attention_plain", make_qkv + timm + plain + after, constants, (1, d, 3, 2))
    # scaled_dot_product_attention: both factors carry a root of the scale.
    fused = [node("Mul", "q half", "qs"), node("Transpose", "k", "kt", perm=[0, 1, 3, 2]), node("Mul", "kt half", "ks"),
             node("MatMul", "qs ks", "qk"), node("Add", "qk mask", "s"), node("Softmax", "s", "p", axis=-1), node("MatMul", "p v", "a")]
    case("attention_masked", make_qkv + timm + fused + after, constants, (1, d, 3, 2))
    # Swin: a bias a head, then a mask a window, under another shape.
    swin = [node("Mul", "q scale", "qs"), node("Transpose", "k", "kt", perm=[0, 1, 3, 2]), node("MatMul", "qs kt", "qk"),
            node("Add", "qk bias", "s0"), node("Reshape", "s0 five", "s1"), node("Add", "s1 mask", "s2"),
            node("Reshape", "s2 four", "s"), node("Softmax", "s", "p", axis=-1), node("MatMul", "p v", "a")]
    constants |= {"five": i64(1, 1, heads, t, t), "four": i64(1, heads, t, t)}
    case("attention_windows", make_qkv + timm + swin + after, constants, (1, d, 3, 2))


def quantised_models():
    w = weights(6, 4, 3, 3)
    q, s = quantised(w)
    activations = {"xs": scalar(0.0078), "xz": scalar(128, np.uint8), "ys": scalar(0.02), "yz": scalar(120, np.uint8)}
    weight = [node("DequantizeLinear", "q s", "w", axis=0)]
    entry = [node("QuantizeLinear", "x xs xz", "xq"), node("DequantizeLinear", "xq xs xz", "xd")]
    exit_ = [node("QuantizeLinear", "c ys yz", "cq"), node("DequantizeLinear", "cq ys yz")]
    conv = [node("Conv", "xd w b", "c", pads=[1, 1, 1, 1])]
    case("qdq_conv", entry + weight + conv + exit_, {**activations, "q": q, "s": s, "b": weights(6)})
    signed = {**activations, "xz": scalar(3, np.int8), "yz": scalar(-10, np.int8)}
    case("qdq_conv_signed", entry + weight + conv + exit_, {**signed, "q": q, "s": s, "b": weights(6)})
    case("qdq_per_channel_activation", [node("QuantizeLinear", "x s z", "q", axis=1), node("DequantizeLinear", "q s z", axis=1)],
         {"s": np.array([0.01, 0.02, 0.05, 0.1], np.float32), "z": u8(128, 100, 120, 9)})
    # Whole numbers that are moved before they are scaled again.
    nodes = [entry[0], node("MaxPool", "xq", "m", kernel_shape=[2, 2]), node("Transpose", "m", "t", perm=[0, 2, 3, 1]),
             node("DequantizeLinear", "t xs xz")]
    case("qdq_moved", nodes, activations)
    case("qdq_constant", [node("QuantizeLinear", "w s z", "q", axis=0), node("DequantizeLinear", "q s z", "d", axis=0), node("Conv", "x d")],
         {"w": w, "s": s, "z": np.zeros(6, np.int8)})
    case("qdq_float_bias", [node("DequantizeLinear", "i s2", "b", axis=0), *weight, node("Conv", "x w b")],
         {"q": q, "s": s, "i": (RNG.integers(-900, 900, 6)).astype(np.int32), "s2": (s * np.float32(0.01))})
    dynamic = [node("DynamicQuantizeLinear", "x", "xq xs xz")]
    ints = [node("ConvInteger", "xq q xz", "ci", pads=[1, 1, 1, 1]), node("Cast", "ci", "cf", to=TensorProto.FLOAT),
            node("Mul", "xs s", "scale"), node("Mul", "cf scale")]
    case("dynamic_conv", dynamic + ints, {"q": q, "s": scalar(0.01)})
    m, ms = quantised(weights(6, 5), axis=1)
    ints = [node("MatMulInteger", "xq q xz z", "ci"), node("Cast", "ci", "cf", to=TensorProto.FLOAT), node("Mul", "xs s", "scale"), node("Mul", "cf scale")]
    case("dynamic_matmul", dynamic + ints, {"q": m, "s": ms, "z": scalar(0, np.int8)})
    case("dynamic_matmul_unsigned", dynamic + ints, {"q": (m.astype(np.int16) + 128).astype(np.uint8), "s": ms, "z": scalar(128, np.uint8)})
    nodes = [entry[0], node("QLinearConv", "xq xs xz q s z ys yz i", "yq", pads=[1, 1, 1, 1]), node("DequantizeLinear", "yq ys yz")]
    case("qlinear_conv", nodes, {**activations, "q": q, "s": s, "z": np.zeros(6, np.int8), "i": RNG.integers(-900, 900, 6).astype(np.int32)})
    nodes = [entry[0], node("QLinearMatMul", "xq xs xz q s z ys yz", "yq"), node("DequantizeLinear", "yq ys yz")]
    case("qlinear_matmul", nodes, {**activations, "q": m, "s": scalar(0.01), "z": scalar(0, np.int8)})


def halves():
    """Weights of 16 bits."""
    import ml_dtypes

    w = weights(5, 4, 3, 3)
    nodes = [node("Cast", "h", "w", to=TensorProto.FLOAT), node("Conv", "x w")]
    case("weights_float16", nodes, {"h": w.astype(np.float16)})
    case("weights_bfloat16", nodes, {"h": w.astype(ml_dtypes.bfloat16)})
    case("weights_double", [node("Cast", "h", "w", to=TensorProto.FLOAT), node("Conv", "x w")], {"h": w.astype(np.float64)})


RNG = np.random.default_rng(7)

if __name__ == "__main__":
    make.RNG = np.random.default_rng(1)
    for group in (functions, norms, reductions, parts, resizing, products, attention, quantised_models, halves):
        group()
