"""The Tiny network of zoo.py as files with other weights and activations: half precision, and both kinds of quantisation."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

import zoo

SHAPE = (1, 3, 40, 40)
SEED = 900


class Noise(CalibrationDataReader):
    def __init__(self, noise):
        self.left = iter([{"x": noise(*SHAPE) * scale} for scale in (1.0, 0.8, 1.1)])

    def get_next(self):
        return next(self.left, None)


def retyped(model, kind):
    """Every float32 tensor and the types of the input and the output as `kind`; the graph is the same."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    for tensor in out.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(helper.make_tensor(tensor.name, kind, values.shape, cast(values, kind).tobytes(), raw=True))
    for info in (*out.graph.input, *out.graph.output):
        info.type.tensor_type.elem_type = kind
    return out


def cast(values, kind):
    """The bits of the values in 16-bit floats."""
    if kind == TensorProto.FLOAT16:
        return values.astype(np.float16)
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def rounded(model, kind):
    """The same network in float32, its weights rounded to what `kind` holds."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    for tensor in out.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            half = cast(values, kind)
            wide = half.astype(np.float32) if kind == TensorProto.FLOAT16 else (half.astype(np.uint32) << 16).view(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(wide.reshape(values.shape), tensor.name))
    return out


def float_ends(model):
    """Casts around a float16 network whose input and output are float32, as converters leave them."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    for node in out.graph.node:
        node.input[:] = ["x16" if i == "x" else i for i in node.input]
        node.output[:] = ["y16" if o == "y" else o for o in node.output]
    first = helper.make_node("Cast", ["x"], ["x16"], to=TensorProto.FLOAT16, name="x16")
    last = helper.make_node("Cast", ["y16"], ["y"], to=TensorProto.FLOAT, name="y")
    nodes = [first, *out.graph.node, last]
    del out.graph.node[:]
    out.graph.node.extend(nodes)
    for info in (*out.graph.input, *out.graph.output):
        info.type.tensor_type.elem_type = TensorProto.FLOAT
    return out


def variants(index, chosen, write, tidy, export, initialise, noise):
    net = initialise(zoo.Tiny(), *SHAPE[2:], SEED)
    vit = initialise(zoo.vit(), 32, 32, SEED)
    made = lambda name: not chosen or name in chosen
    plain = lambda net, opset, shape: export(net, False, opset, shape, False)
    halves = {"half_float16": TensorProto.FLOAT16, "half_bfloat16": TensorProto.BFLOAT16}
    for name, kind in halves.items():
        model = tidy(plain(net, 17, SHAPE), shrink=False)
        if made(name):
            write(index, name, retyped(model, kind), "TorchScript", SHAPE, twin=rounded(model, kind))
        if kind == TensorProto.FLOAT16 and made("half_float16_float_ends"):
            write(index, "half_float16_float_ends", float_ends(retyped(model, kind)), "TorchScript", SHAPE, twin=rounded(model, kind))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.onnx", Path(folder) / "out.onnx"
        onnx.save(plain(net, 17, SHAPE), source)
        for name, options in {
            "qdq_per_channel": {"per_channel": True, "activation_type": QuantType.QUInt8},
            "qdq_per_tensor": {"per_channel": False, "activation_type": QuantType.QUInt8},
            "qdq_int8_activations": {"per_channel": True, "activation_type": QuantType.QInt8},
            "qdq_uint8_weights": {"per_channel": False, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8},
        }.items():
            if made(name):
                options = {"weight_type": QuantType.QInt8} | options
                quantize_static(source, target, Noise(noise), quant_format=QuantFormat.QDQ, **options)
                write(index, name, tidy(onnx.load(target), shrink=False), "onnxruntime.quantization", SHAPE, rounded=True)
        for name, network, shape, options in [
            ("dynamic_conv", plain(net, 17, SHAPE), SHAPE, {"op_types_to_quantize": ["Conv", "Gemm", "MatMul"]}),
            ("dynamic_vit", plain(vit, 14, (1, 3, 32, 32)), (1, 3, 32, 32), {}),
            ("dynamic_vit_per_channel", plain(vit, 14, (1, 3, 32, 32)), (1, 3, 32, 32), {"per_channel": True}),
        ]:
            if made(name):
                onnx.save(network, source)
                quantize_dynamic(source, target, weight_type=QuantType.QInt8, **options)
                write(index, name, tidy(onnx.load(target), shrink=False), "onnxruntime.quantization", shape, rounded=True)
