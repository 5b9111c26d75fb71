#!/usr/bin/env python3
"""More of the small ONNX models beside make.py: transposed convolutions, and the operators that ONNX Runtime adds.

For maintainers; the tests read the files only. Deterministic. Writes only its own files.

    python tests/onnx/make_contrib.py
"""

import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parent))
import make
from make import i64, node, positive, scalar, weights, write

RNG = np.random.default_rng(9)


def case(name, nodes, constants=None, shape=(1, 4, 7, 6), opset=17):
    constants = {k: np.asarray(v) for k, v in (constants or {}).items()}
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    write(name, helper.make_model(graph, opset_imports=opsets, ir_version=8), shape)


def ms(op, inputs, output="y", **attributes):
    return node(op, inputs, output, domain="com.microsoft", **attributes)


def transposed():
    b = {"b": weights(5)}
    kinds = {
        "2x2": (2, 2, 1, dict(strides=[2, 2])),
        "padded": (3, 3, 1, dict(strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])),
        "uneven": (4, 3, 1, dict(strides=[3, 2], pads=[0, 1, 2, 0], output_padding=[2, 0])),
        "dilated": (3, 2, 1, dict(strides=[2, 1], dilations=[2, 3], pads=[1, 0, 0, 2])),
        "wide_steps": (2, 1, 1, dict(strides=[3, 4], output_padding=[1, 2])),
        "single_steps": (3, 5, 1, dict(pads=[1, 2, 1, 2])),
        "same_upper": (3, 3, 1, dict(strides=[2, 3], auto_pad="SAME_UPPER")),
        "same_lower": (4, 3, 1, dict(strides=[2, 2], auto_pad="SAME_LOWER")),
        "output_shape": (3, 3, 1, dict(strides=[2, 2], output_shape=[14, 12])),
        "grouped": (3, 3, 2, dict(strides=[2, 2], pads=[1, 1, 1, 1], group=2)),
    }
    for name, (h, w, groups, attributes) in kinds.items():
        outputs = 6 // groups if groups > 1 else 5
        case(f"conv_transpose_{name}", [node("ConvTranspose", "x w b", **attributes)],
             {"w": weights(4, outputs, h, w), "b": weights(outputs * groups)})
    case("conv_transpose_no_bias", [node("ConvTranspose", "x w", strides=[2, 2])], {"w": weights(4, 3, 2, 2)})
    row = [node("Reshape", "x s", "r"), node("ConvTranspose", "r w", "t", strides=[2], pads=[1, 0], output_padding=[1])]
    case("conv_transpose_row", row + [node("Identity", "t")], {"s": i64(1, 4, 42), "w": weights(4, 3, 3)})
    case("atan", [node("Mul", "x k", "kx"), node("Atan", "kx")], {"k": scalar(9)}, (1, 4, 3, 2))


def quantised():
    q = {"xs": scalar(0.008), "xz": scalar(3, np.int8), "ys": scalar(0.011), "yz": scalar(-5, np.int8)}
    enter = [node("QuantizeLinear", "x xs xz", "xq")]
    leave = [node("DequantizeLinear", "yq ys yz")]
    other = {"c": RNG.integers(-90, 90, (1, 4, 1, 6)).astype(np.int8), "cs": scalar(0.009), "cz": scalar(7, np.int8)}
    for op in ("Add", "Mul"):
        nodes = [ms(f"QLinear{op}", "xq xs xz c cs cz ys yz", "yq")]
        case(f"qlinear_{op.lower()}", enter + nodes + leave, {**q, **other})
    case("qlinear_sigmoid", enter + [ms("QLinearSigmoid", "xq xs xz ys yz", "yq")] + leave, q)
    case("qlinear_leaky_relu", enter + [ms("QLinearLeakyRelu", "xq xs xz ys yz", "yq", alpha=0.3)] + leave, q)
    case("qlinear_global_average_pool", enter + [ms("QLinearGlobalAveragePool", "xq xs xz ys yz", "yq", channels_last=0)] + leave, q)
    pool = dict(kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])
    case("qlinear_average_pool", enter + [ms("QLinearAveragePool", "xq xs xz ys yz", "yq", **pool)] + leave, q)
    case("qlinear_concat", enter + [ms("QLinearConcat", "ys yz xq xs xz xq ys yz", "yq", axis=1)] + leave, q)
    m = {"m": RNG.integers(-90, 90, (6, 5)).astype(np.int8), "s": scalar(0.01), "z": scalar(2, np.int8), "i": RNG.integers(-900, 900, 5).astype(np.int32)}
    flat = [node("Reshape", "xq to", "xr")]
    nodes = flat + [ms("QGemm", "xr xs xz m s z i ys yz", "yq", alpha=1.0)]
    case("qgemm", enter + nodes + leave, {**q, **m, "to": i64(28, 6)})
    case("qgemm_float", enter + flat + [ms("QGemm", "xr xs xz m s z i", alpha=1.0)], {**q, **m, "to": i64(28, 6)})


def fused():
    w, b = weights(5, 4, 3, 3), weights(5)
    case("fused_conv", [ms("FusedConv", "x w b", activation="Relu", pads=[1, 1, 1, 1])], {"w": w, "b": b})
    case("fused_conv_leaky", [ms("FusedConv", "x w b", activation="LeakyRelu", activation_params=[0.2])], {"w": w, "b": b})
    nodes = [node("Conv", "x w", "r", pads=[1, 1, 1, 1]), ms("FusedConv", "x w b r", activation="Relu", pads=[1, 1, 1, 1])]
    case("fused_conv_sum", nodes, {"w": w, "b": b})
    rows = [node("Reshape", "x to", "r")]
    case("fused_gemm", rows + [ms("FusedGemm", "r m b", activation="Relu", transB=1, alpha=0.5, beta=2.0)],
         {"to": i64(28, 6), "m": weights(5, 6), "b": b})
    case("fused_matmul", [ms("FusedMatMul", "x x", transB=1, alpha=0.3)])
    case("bias_gelu", [ms("BiasGelu", "x b")], {"b": weights(6)})
    case("fast_gelu", [ms("FastGelu", "x b")], {"b": weights(6)})
    case("quick_gelu_fused", [ms("QuickGelu", "x", alpha=1.702)])
    case("gelu_fused", [ms("Gelu", "x")])
    tokens = [node("Reshape", "x to", "t"), node("Abs", "t", "a")]
    norm = {"to": i64(1, 28, 6), "s": positive(6), "b": weights(6), "i": weights(6)}
    case("skip_layer_norm", tokens + [ms("SkipLayerNormalization", "t a s b i", epsilon=1e-5)], norm)
    case("skip_layer_norm_sum", tokens + [ms("SkipLayerNormalization", "t a s b", ["n", "", "", "u"]), node("Add", "n u")], norm)
    case("simplified_layer_norm", tokens + [node("SimplifiedLayerNormalization", "a s", axis=-1, epsilon=1e-5)], norm)
    k, n, block = 40, 5, 16
    blocks = -(-k // block)
    wide = [node("Reshape", "x to", "r")]
    packed = RNG.integers(0, 256, (n, blocks, block // 2)).astype(np.uint8)
    scales = positive(n * blocks) / np.float32(20)
    attributes = dict(K=k, N=n, bits=4, block_size=block)
    case("matmul_4_bits", wide + [ms("MatMulNBits", "r q s", **attributes)], {"to": i64(1, 4, k), "q": packed, "s": scales}, (1, 4, 5, 8))
    zeros = RNG.integers(0, 256, n * ((blocks + 1) // 2)).astype(np.uint8)
    case("matmul_4_bits_zeros", wide + [ms("MatMulNBits", "r q s z", **attributes)],
         {"to": i64(1, 4, k), "q": packed, "s": scales, "z": zeros}, (1, 4, 5, 8))


if __name__ == "__main__":
    make.RNG = np.random.default_rng(3)
    for group in (transposed, quantised, fused):
        group()
