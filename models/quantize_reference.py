#!/usr/bin/env python3
"""The int8 form of a model in thirty lines of numpy: an independent check of `famlens quantize`.

    python models/quantize_reference.py IN.onnx OUT.onnx        # write it
    python models/quantize_reference.py IN.onnx --check OUT.onnx  # compare a file made by `famlens quantize`

Every weight of Conv and Gemm becomes int8, symmetric per output channel:
    scale[c] = max |w[c]| / 127                          (f32; 1 where the channel is all zero)
    q[c]     = round half to even (w[c] / scale[c])      (in -127 .. 127)
stored as initializers NAME_quantized (int8) and NAME_scale (f32), with a DequantizeLinear of axis 0 (1 for a Gemm
that is not transposed) whose output keeps the weight's old NAME, just before the node that uses it. Without a zero
point, which ONNX defines as 0. Biases stay f32; nothing else changes.
"""

import argparse
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper


def quantize_weight(weight, axis):
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.abs(weight).max(axis=others).astype(np.float32) / np.float32(127)
    scale[scale == 0] = 1
    spread = scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
    return np.clip(np.rint(weight / spread), -127, 127).astype(np.int8), scale


def quantize(model):
    graph = model.graph
    weights = {init.name: numpy_helper.to_array(init) for init in graph.initializer}
    axes = {}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm") and node.input[1] in weights:
            transposed = any(a.name == "transB" and a.i == 1 for a in node.attribute)
            axis = 0 if node.op_type == "Conv" or transposed else 1
            if axes.setdefault(node.input[1], axis) != axis:
                raise SystemExit(f"{node.input[1]} has two uses with different output channel axes")

    initializers, nodes, done = [], [], set()
    for init in graph.initializer:
        if init.name in axes:
            q, scale = quantize_weight(weights[init.name], axes[init.name])
            initializers.append(numpy_helper.from_array(q, f"{init.name}_quantized"))
            initializers.append(numpy_helper.from_array(scale, f"{init.name}_scale"))
        else:
            initializers.append(init)
    for node in graph.node:
        for name in node.input:
            if name in axes and name not in done:
                done.add(name)
                inputs = [f"{name}_quantized", f"{name}_scale"]
                nodes.append(helper.make_node("DequantizeLinear", inputs, [name], f"{name}_dequantize", axis=axes[name]))
        nodes.append(node)

    out = onnx.ModelProto()
    out.CopyFrom(model)
    out.producer_name = "famlens"
    for field, items in ((out.graph.node, nodes), (out.graph.initializer, initializers)):
        del field[:]
        field.extend(items)
    onnx.checker.check_model(out, full_check=True)
    return out


def differences(ours, theirs):
    """What differs between two quantised files in anything but the order of nodes and initializers."""

    def parts(model):
        found = {("initializer", i.name): (numpy_helper.to_array(i).dtype, numpy_helper.to_array(i)) for i in model.graph.initializer}
        for node in model.graph.node:
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            found["node", node.output[0]] = (node.op_type, list(node.input), attributes)
        return found

    a, b = parts(ours), parts(theirs)
    for key in sorted(a.keys() | b.keys()):
        if key not in a or key not in b:
            yield f"{key}: only in {'the reference' if key in a else 'the file'}"
        elif key[0] == "node" and a[key] != b[key]:
            yield f"{key}: {a[key]} against {b[key]}"
        elif key[0] == "initializer" and (a[key][0] != b[key][0] or not np.array_equal(a[key][1], b[key][1])):
            yield f"{key}: other values"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input")
    parser.add_argument("output", nargs="?", help="file to write")
    parser.add_argument("--check", metavar="FILE", help="file to compare with, by names and exact values")
    args = parser.parse_args()
    if not args.output and not args.check:
        parser.error("nothing to do: give a file to write, or --check FILE")
    model = quantize(onnx.load(args.input))
    if args.output:
        onnx.save(model, args.output)
    if args.check:
        found = list(differences(model, onnx.load(args.check)))
        print("\n".join(found) or "equal")
        sys.exit(bool(found))


if __name__ == "__main__":
    main()
