#!/usr/bin/env python3
"""Makes the small ONNX models beside this script, NAME.onnx, and what ONNX Runtime computes with them, NAME.npy.

For maintainers; the tests read the files only. Deterministic.

    pip install -r models/requirements.txt onnxscript
    python tests/onnx/make.py

The input is the same formula here and in tests/onnx.rs: x[i] = ((37 i + 11) mod 101) / 50 - 1, row-major, f32.
The input of channels_last is that formula in the order of its own dimensions, [1, H, W, C].
Cases whose name starts with "net_" are whole small networks as torch exports them, with random weights.
"""

import io
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).resolve().parent
RNG = np.random.default_rng(0)


def formula(shape):
    n = int(np.prod(shape))
    i = np.arange(n, dtype=np.int64)
    return (((37 * i + 11) % 101).astype(np.float32) / np.float32(50) - np.float32(1)).reshape(shape)


def weights(*shape):
    return (RNG.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)


def positive(*shape):
    return RNG.uniform(0.5, 2, shape).astype(np.float32)


def i64(*values):
    return np.array(values, np.int64)


def scalar(value, dtype=np.float32):
    return np.array(value, dtype)


def node(op, inputs, output="y", **attributes):
    names = inputs.split() if isinstance(inputs, str) else inputs
    outputs = output.split() if isinstance(output, str) else output
    return helper.make_node(op, ["" if n == "_" else n for n in names], outputs, name=f"node_{outputs[0]}", **attributes)


def write(name, model, shape):
    options = onnxruntime.SessionOptions()
    # Its optimiser turns a dequantised weight and a product into one that rounds the activations to 8 bits too.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expected = session.run(["y"], {"x": formula(shape)})[0]
    assert expected.dtype == np.float32 and np.isfinite(expected).all(), name
    np.save(HERE / f"{name}.npy", np.ascontiguousarray(expected))
    (HERE / f"{name}.onnx").write_bytes(model.SerializeToString())


def case(name, nodes, constants=None, shape=(1, 4, 7, 6), opset=17, declared=None):
    constants = {k: np.asarray(v) for k, v in (constants or {}).items()}
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, declared or list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    write(name, model, shape)


def quantised(weight, axis=0):
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = (np.abs(weight).max(axis=others) / 127).astype(np.float32)
    spread = scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
    return np.clip(np.rint(weight / spread), -127, 127).astype(np.int8), scale


def convolutions():
    w, b = weights(6, 4, 3, 3), weights(6)
    case("conv_plain", [node("Conv", "x w b", pads=[1, 1, 1, 1])], {"w": w, "b": b})
    case("conv_asymmetric", [node("Conv", "x w", pads=[0, 1, 2, 0], strides=[2, 1])], {"w": w})
    case("conv_dilated", [node("Conv", "x w b", dilations=[2, 1], pads=[2, 0, 1, 1])], {"w": w, "b": b})
    case("conv_groups", [node("Conv", "x w b", group=2)], {"w": weights(6, 2, 3, 3), "b": b})
    case("conv_depthwise", [node("Conv", "x w", group=4, pads=[1, 1, 1, 1], strides=[2, 2])], {"w": weights(4, 1, 3, 3)})
    for side in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        nodes = [node("Conv", "x w", auto_pad=side, strides=[2, 2], kernel_shape=[3, 3])]
        case(f"conv_{side.lower()}", nodes, {"w": w}, (1, 4, 8, 7))
    case("conv_same_upper_even", [node("Conv", "x w", auto_pad="SAME_UPPER")], {"w": weights(5, 4, 2, 4)})
    q, s = quantised(w)
    case("conv_int8", [node("DequantizeLinear", "q s", "w", axis=0), node("Conv", "x w b")], {"q": q, "s": s, "b": b})
    nodes = [node("DequantizeLinear", "q s z", "w", axis=0), node("Conv", "x w b")]
    case("conv_int8_zero_points", nodes, {"q": q, "s": s, "z": np.arange(6, dtype=np.int8), "b": b})
    u = (q.astype(np.int16) + 128).astype(np.uint8)
    nodes = [node("DequantizeLinear", "q s z", "w"), node("Conv", "x w b")]
    case("conv_uint8_per_tensor", nodes, {"q": u, "s": scalar(0.01), "z": scalar(128, np.uint8), "b": b})
    nodes = [node("DequantizeLinear", "q s", "w"), node("Conv", "x w b")]
    case("conv_int8_per_tensor", nodes, {"q": q, "s": scalar(0.01), "b": b})
    parameters = {"w": w, "scale": positive(6), "bias": weights(6), "mean": weights(6), "var": positive(6)}
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", "c scale bias mean var", "n", epsilon=1e-3), node("Relu", "n")]
    case("conv_batch_norm_relu", nodes, parameters)
    nodes = [node("DequantizeLinear", "q s", "w", axis=0)] + nodes
    case("conv_int8_batch_norm_relu", nodes, {**{k: v for k, v in parameters.items() if k != "w"}, "q": q, "s": s})
    nodes = [node("BatchNormalization", "x scale bias mean var")]
    case("batch_norm_alone", nodes, {"scale": positive(4), "bias": weights(4), "mean": weights(4), "var": positive(4)})
    nodes = [node("Pad", "x p", "padded"), node("Conv", "padded w")]
    case("pad_conv", nodes, {"p": i64(0, 0, 1, 0, 0, 0, 2, 1), "w": w})


def activations():
    case("relu", [node("Relu", "x")])
    case("leaky_relu", [node("LeakyRelu", "x", alpha=0.2)])
    case("leaky_relu_default", [node("LeakyRelu", "x")])
    case("prelu_one_slope", [node("PRelu", "x slope")], {"slope": np.full((4, 1, 1), 0.3, np.float32)})
    case("clip_inputs", [node("Clip", "x low high")], {"low": scalar(-0.2), "high": scalar(0.5)})
    case("clip_low_only", [node("Clip", "x low")], {"low": scalar(-0.2)})
    case("clip_high_only", [node("Clip", "x _ high")], {"high": scalar(0.3)})
    case("clip_attributes", [node("Clip", "x", min=-0.2, max=0.5)], opset=10)
    case("max_min", [node("Max", "x low", "m"), node("Min", "high m")], {"low": scalar(-0.2), "high": scalar(0.5)})
    case("hard_swish", [node("HardSwish", "x")])
    nodes = [node("HardSigmoid", "x", "h", alpha=1 / 6, beta=0.5), node("Mul", "x h")]
    case("hard_swish_torch", nodes)
    nodes = [node("Add", "x three", "a"), node("Clip", "a zero six", "c"), node("Mul", "x c", "m"), node("Div", "m six")]
    case("hard_swish_written_out", nodes, {"three": scalar(3), "zero": scalar(0), "six": scalar(6)})
    case("hard_sigmoid_default", [node("HardSigmoid", "x")])
    case("sigmoid", [node("Sigmoid", "x")])
    case("silu", [node("Sigmoid", "x", "s"), node("Mul", "x s")])
    case("tanh", [node("Tanh", "x")])
    case("softmax", [node("Softmax", "x", axis=1)])
    case("softmax_default", [node("Softmax", "x")])
    case("softmax_old", [node("Softmax", "x", axis=2)], opset=11)
    case("softmax_old_default", [node("Softmax", "x")], opset=11)
    case("pow_square", [node("Pow", "x two")], {"two": scalar(2)})
    case("neg", [node("Neg", "x")])
    case("dropout", [node("Relu", "x", "r"), node("Dropout", "r ratio", "y")], {"ratio": scalar(0.5)})
    case("dropout_old", [node("Relu", "x", "r"), node("Dropout", "r", "y", ratio=0.5)], opset=10)


def arithmetic():
    for op in ("Add", "Sub", "Mul", "Div"):
        case(f"{op.lower()}_constant", [node(op, "x c")], {"c": positive(4, 1, 1)})
        case(f"{op.lower()}_scalar", [node(op, "x c")], {"c": scalar(1.7)})
        case(f"{op.lower()}_activations", [node("Sigmoid", "x", "s"), node(op, "x s")])
    case("sub_constant_first", [node("Sub", "c x")], {"c": positive(6)})
    nodes = [node("GlobalAveragePool", "x", "g"), node("Sigmoid", "g", "s"), node("Mul", "x s")]
    case("squeeze_excitation", nodes)
    nodes = [node("Relu", "x", "r"), node("Sum", "x r c")]
    case("sum_of_three", nodes, {"c": positive(1, 4, 1, 1)})
    # A batch normalisation written out: the square root of a constant folds.
    nodes = [node("Add", "var eps", "v"), node("Sqrt", "v", "d"), node("Sub", "x mean", "m"), node("Div", "m d")]
    case("constant_folding", nodes, {"var": positive(4, 1, 1), "eps": scalar(1e-5), "mean": weights(4, 1, 1)})
    nodes = [node("Reciprocal", "c", "r"), node("Exp", "r", "e"), node("Pow", "e half", "p"), node("Mul", "x p")]
    case("constant_functions", nodes, {"c": positive(4, 1, 1), "half": scalar(0.5)})


def pools():
    for opset in (11, 17):
        case(f"max_pool_{opset}", [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])], opset=opset)
    case("max_pool_ceil", [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], shape=(1, 3, 8, 7))
    case("max_pool_ceil_pads", [node("MaxPool", "x", kernel_shape=[2, 2], strides=[3, 3], pads=[1, 1, 1, 1], ceil_mode=1)], shape=(1, 3, 8, 9))
    case("max_pool_same", [node("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 2], auto_pad="SAME_UPPER")])
    case("max_pool_dilated", [node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 3])])
    for include in (0, 1):
        pads = dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=include)
        case(f"average_pool_{include}", [node("AveragePool", "x", **pads)])
        case(f"average_pool_asymmetric_{include}", [node("AveragePool", "x", kernel_shape=[3, 2], pads=[0, 1, 2, 0], count_include_pad=include)])
        case(f"average_pool_ceil_{include}", [node("AveragePool", "x", ceil_mode=1, **pads)], shape=(1, 3, 8, 8), opset=19)
    case("average_pool_whole", [node("AveragePool", "x", kernel_shape=[7, 6])])
    case("global_average_pool", [node("GlobalAveragePool", "x")])
    case("global_max_pool", [node("GlobalMaxPool", "x")])
    case("reduce_mean_attribute", [node("ReduceMean", "x", axes=[-1, 2], keepdims=0)])
    case("reduce_mean_input", [node("ReduceMean", "x axes", keepdims=1)], {"axes": i64(2, 3)}, opset=18)
    case("reduce_mean_all", [node("ReduceMean", "x")])
    case("reduce_sum", [node("ReduceSum", "x axes", keepdims=0)], {"axes": i64(1)})
    case("reduce_sum_old", [node("ReduceSum", "x", axes=[1])], opset=12)
    case("reduce_sum_no_axes", [node("ReduceSum", "x", noop_with_empty_axes=1)])
    case("reduce_max", [node("ReduceMax", "x", axes=[3])])


def layers():
    flat = [node("Flatten", "x", "f")]
    shape = (1, 4, 3, 2)
    for trans in (0, 1):
        w = weights(5, 24) if trans else weights(24, 5)
        case(f"gemm_{trans}", flat + [node("Gemm", "f w b", transB=trans)], {"w": w, "b": weights(5)}, shape)
        q, s = quantised(w, 0 if trans else 1)
        nodes = flat + [node("DequantizeLinear", "q s", "w", axis=0 if trans else 1), node("Gemm", "f w b", transB=trans)]
        case(f"gemm_int8_{trans}", nodes, {"q": q, "s": s, "b": weights(5)}, shape)
    nodes = flat + [node("DequantizeLinear", "q s", "w", axis=0), node("Gemm", "f w", transB=1, alpha=0.5)]
    case("gemm_int8_alpha", nodes, {"q": q, "s": s}, shape)
    case("gemm_alpha_beta", flat + [node("Gemm", "f w b", alpha=0.5, beta=2.0)], {"w": weights(24, 5), "b": weights(1, 5)}, shape)
    case("gemm_scalar_bias", flat + [node("Gemm", "f w b")], {"w": weights(24, 5), "b": scalar(0.3)}, shape)
    nodes = [node("Reshape", "x s", "m"), node("Gemm", "m w c", transA=1)]
    case("gemm_trans_a", nodes, {"s": i64(4, 6), "w": weights(4, 5), "c": weights(6, 5)}, shape)
    nodes = [node("Reshape", "x s", "m"), node("MatMul", "m w", "p"), node("Add", "p b")]
    case("matmul_add", nodes, {"s": i64(1, 4, 6), "w": weights(6, 5), "b": weights(5)}, shape)
    q, s = quantised(weights(6, 5), 1)
    nodes = [node("Reshape", "x r", "m"), node("DequantizeLinear", "q s", "w", axis=1), node("MatMul", "m w")]
    case("matmul_int8", nodes, {"r": i64(1, 4, 6), "q": q, "s": s}, shape)
    nodes = [node("Reshape", "x s", "m"), node("MatMul", "w m")]
    case("matmul_constant_first", nodes, {"s": i64(1, 4, 6), "w": weights(3, 4)}, shape)
    nodes = [node("Transpose", "x", "t", perm=[0, 1, 3, 2]), node("MatMul", "x t")]
    case("matmul_activations", nodes, shape=shape)
    nodes = [node("Reshape", "x s", "m"), node("Transpose", "m", "t"), node("MatMul", "x t")]
    case("matmul_widened", nodes, {"s": i64(12, 2)}, (1, 1, 12, 2))


def moves():
    shape = (1, 4, 3, 2)
    case("reshape_zero_and_free", [node("Reshape", "x s")], {"s": i64(0, -1, 2)}, shape)
    case("flatten_2", [node("Flatten", "x", axis=2)], shape=shape)
    case("flatten_negative", [node("Flatten", "x", axis=-1)], shape=shape)
    nodes = [node("GlobalAveragePool", "x", "g"), node("Squeeze", "g axes")]
    case("squeeze", nodes, {"axes": i64(-1, 2)}, shape)
    case("squeeze_all", [node("GlobalAveragePool", "x", "g"), node("Squeeze", "g")], shape=shape)
    case("squeeze_old", [node("GlobalAveragePool", "x", "g"), node("Squeeze", "g", axes=[2, 3])], shape=shape, opset=12)
    case("unsqueeze", [node("Unsqueeze", "x axes")], {"axes": i64(0, -1)}, shape)
    case("unsqueeze_old", [node("Unsqueeze", "x", axes=[1])], shape=shape, opset=11)
    case("transpose", [node("Transpose", "x", perm=[0, 2, 3, 1])], shape=shape)
    case("transpose_default", [node("Transpose", "x")], shape=shape)
    case("concat", [node("Relu", "x", "r"), node("Concat", "x r x", axis=1)], shape=shape)
    nodes = [node("Reshape", "x s", "m"), node("Concat", "token m", axis=1)]
    case("concat_class_token", nodes, {"s": i64(1, 4, 6), "token": weights(1, 1, 6)}, shape)
    case("pad_input", [node("Pad", "x p v")], {"p": i64(0, 1, 0, 2, 0, 0, 3, 1), "v": scalar(-1.5)}, shape)
    case("pad_attribute", [node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 0, 1], value=0.5)], shape=shape, opset=10)
    case("pad_axes", [node("Pad", "x p _ axes")], {"p": i64(1, 2, 0, 1), "axes": i64(2, -1)}, shape, opset=18)
    case("expand", [node("ReduceMean", "x", "m", axes=[1]), node("Expand", "m s")], {"s": i64(1, 4, 3, 2)}, shape)
    case("cast_float", [node("Cast", "x", "c", to=TensorProto.FLOAT16), node("Cast", "c", to=TensorProto.FLOAT)], shape=shape)
    # What torch leaves behind for x.view(x.size(0), -1), and for a channel shuffle.
    nodes = [node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Unsqueeze", "n axes", "n1"),
             node("Constant", [], "minus", value_ints=[-1]), node("Concat", "n1 minus", "shape", axis=0),
             node("Reshape", "x shape")]
    free = [None, 4, "height", "width"]
    case("view_of_size", nodes, {"zero": scalar(0, np.int64), "axes": i64(0)}, shape, declared=free)
    nodes = [node("Shape", "x", "s"), node("Gather", "s one", "c", axis=0), node("Div", "c two", "half"),
             node("Slice", "s a b", "hw"), node("Cast", "half", "h32", to=TensorProto.INT32),
             node("Cast", "h32", "h64", to=TensorProto.INT64), node("Unsqueeze", "h64 axes", "h1"),
             node("Concat", "one1 two1 h1 hw", "five", axis=0), node("Reshape", "x five", "r"),
             node("Transpose", "r", "t", perm=[0, 2, 1, 3, 4]), node("Reshape", "t s")]
    constants = {"one": scalar(1, np.int64), "two": scalar(2, np.int64), "a": i64(2), "b": i64(2**31),
                 "axes": i64(0), "one1": i64(1), "two1": i64(2)}
    case("channel_shuffle", nodes, constants, shape, declared=[1, 4, "h", "w"])
    nodes = [node("Shape", "x", "s"), node("ConstantOfShape", "rank", "ones", value=numpy_helper.from_array(i64(1))),
             node("Mul", "ones minus", "free"), node("Equal", "s4 free", "e"), node("Where", "e ones s4", "target"),
             node("ReduceMean", "x", "m", axes=[2, 3]), node("Expand", "m target")]
    case("expand_as_torch", nodes, {"rank": i64(4), "minus": i64(-1), "s4": i64(-1, -1, 3, 2)}, shape)
    nodes = [node("Range", "zero four one", "r"), node("Cast", "r", "f", to=TensorProto.FLOAT), node("Reshape", "f s", "c"),
             node("Mul", "x c")]
    case("range", nodes, {"zero": scalar(0, np.int64), "four": scalar(4, np.int64), "one": scalar(1, np.int64), "s": i64(4, 1, 1)}, shape)
    nodes = [node("Slice", "c starts ends axes steps", "part"), node("Transpose", "part", "t", perm=[1, 0]),
             node("Reshape", "t s", "r"), node("Add", "x r")]
    case("slice_of_constant", nodes, {"c": weights(6, 8), "starts": i64(1, -2), "ends": i64(5, -1), "axes": i64(0, 1),
                                      "steps": i64(1, 1), "s": i64(-1, 1, 1)}, shape)
    nodes = [node("Gather", "table index", "g", axis=1), node("Mul", "x g")]
    case("gather_of_constant", nodes, {"table": weights(4, 3, 1), "index": i64(-1, 0, 2)}, shape)
    # A TensorFlow export: channels last, transposed at once.
    nodes = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t w", "c"), node("Transpose", "c", perm=[0, 2, 3, 1])]
    case("channels_last", nodes, {"w": weights(5, 3, 3, 3)}, (1, 6, 7, 3))


def networks():
    import torch
    import torchvision.models as zoo

    def export(name, net, shape, opset, free, folded):
        torch.manual_seed(1)
        net = net.eval()
        for module in net.modules():  # statistics that are not the identity
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.3, 0.3)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.data.uniform_(0.7, 1.3)
                module.bias.data.uniform_(-0.3, 0.3)
        file = io.BytesIO()
        torch.onnx.export(
            net, (torch.zeros(*shape),), file, input_names=["x"], output_names=["y"], opset_version=opset, dynamo=False,
            dynamic_axes={"x": {0: "batch", 2: "h", 3: "w"}} if free else None, do_constant_folding=folded,
            training=torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE,
        )
        write(name, onnx.load_from_string(file.getvalue()), shape)

    torch.manual_seed(0)
    export("net_mobilenet_v2", zoo.MobileNetV2(num_classes=5, width_mult=0.1), (1, 3, 64, 64), 17, True, True)
    torch.manual_seed(0)
    export("net_mobilenet_v2_unfolded", zoo.MobileNetV2(num_classes=5, width_mult=0.1), (1, 3, 64, 32), 11, True, False)
    torch.manual_seed(0)
    settings, _ = zoo.mobilenetv3._mobilenet_v3_conf("mobilenet_v3_small", width_mult=0.2)
    export("net_mobilenet_v3", zoo.MobileNetV3(settings, 24, num_classes=5), (1, 3, 64, 64), 13, False, True)

    class ResNet(torch.nn.Module):
        """torchvision's own blocks at a tenth of the width."""

        def __init__(self):
            super().__init__()
            block = zoo.resnet.BasicBlock
            down = torch.nn.Sequential(torch.nn.Conv2d(8, 12, 1, 2, bias=False), torch.nn.BatchNorm2d(12))
            self.stem = torch.nn.Sequential(
                torch.nn.Conv2d(3, 8, 7, 2, 3, bias=False), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.MaxPool2d(3, 2, 1)
            )
            self.blocks = torch.nn.Sequential(block(8, 8), block(8, 12, 2, down))
            self.pool, self.fc = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Linear(12, 5)

        def forward(self, x):
            x = self.pool(self.blocks(self.stem(x)))
            return self.fc(x.view(x.size(0), -1))

    torch.manual_seed(0)
    export("net_resnet", ResNet(), (1, 3, 48, 64), 18, True, False)

    # The exporter that torch uses by default since 2.9. Its metadata names source files of this machine.
    torch.manual_seed(2)
    program = torch.onnx.export(
        ResNet().eval(), (torch.zeros(1, 3, 48, 64),), dynamo=True, input_names=["x"], output_names=["y"], verbose=False
    )
    model = program.model_proto
    for item in [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph, model]:
        del item.metadata_props[:]
        item.doc_string = ""
    write("net_resnet_dynamo", model, (1, 3, 48, 64))


def main():
    for old in [*HERE.glob("*.onnx"), *HERE.glob("*.npy")]:
        old.unlink()
    for group in (convolutions, activations, arithmetic, pools, layers, moves, networks):
        group()
    files = list(HERE.glob("*.onnx"))
    print(f"{len(files)} models, {sum(f.stat().st_size for f in HERE.iterdir()) / 1e3:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    main()
