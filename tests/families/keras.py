"""Graphs as tf2onnx and hand-written exporters leave them, made node by node: channels last, bytes in, functions."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TAIL = {"opset_imports": [helper.make_opsetid("", 15)], "ir_version": 8}


class Graph:
    """Nodes and weights in the making; weights are random with activations that keep their size."""

    def __init__(self, seed):
        self.random, self.nodes, self.weights, self.count = np.random.default_rng(seed), [], [], 0

    def weight(self, values):
        self.weights.append(numpy_helper.from_array(np.asarray(values), f"const{len(self.weights)}"))
        return self.weights[-1].name

    def node(self, op, inputs, **attributes):
        self.count += 1
        self.nodes.append(helper.make_node(op, inputs, [f"v{self.count}"], **attributes))
        return f"v{self.count}"

    def kernel(self, o, i, k):
        return self.weight((self.random.normal(size=(o, i, k, k)) * (2 / (i * k * k)) ** 0.5).astype(np.float32))

    def row(self, n, low=-0.3, high=0.3):
        return self.weight(self.random.uniform(low, high, n).astype(np.float32))

    def model(self, element, dims, output, outputs=(), **options):
        info = lambda name, kind, shape: helper.make_tensor_value_info(name, kind, shape)
        graph = helper.make_graph(self.nodes, "net", [info("image", element, dims)], [info(output, TensorProto.FLOAT, [None, None])], self.weights)
        return helper.make_model(graph, **TAIL | options)


def same(size, stride, k=3):
    """TensorFlow's SAME padding: the larger half after."""
    total = max((-(-size // stride) - 1) * stride + k - size, 0)
    return total // 2, total - total // 2


def clipped(g, x):
    return g.node("Clip", [x, g.weight(np.float32(0)), g.weight(np.float32(6))])


def mobilenet(seed):
    """MobileNet as tf2onnx optimises it: one Transpose at the start, SAME padding, ReLU6, mean, Squeeze, MatMul, Softmax."""
    g = Graph(seed)
    x, i, (h, w) = g.node("Transpose", ["image"], perm=[0, 3, 1, 2]), 3, (64, 48)
    for o, stride in [(8, 2), (12, 2), (16, 2), (24, 1)]:
        if i > 3:
            (top, bottom), (left, right) = same(h, stride), same(w, stride)
            x = g.node("Conv", [x, g.kernel(i, 1, 3), g.row(i)], group=i, strides=[stride] * 2, pads=[top, left, bottom, right])
            x, stride, h, w = clipped(g, x), 1, -(-h // stride), -(-w // stride)
            x = clipped(g, g.node("Conv", [x, g.kernel(o, i, 1), g.row(o)]))
        else:
            (top, bottom), (left, right) = same(h, stride), same(w, stride)
            x = clipped(g, g.node("Conv", [x, g.kernel(o, i, 3), g.row(o)], strides=[stride] * 2, pads=[top, left, bottom, right]))
            h, w = -(-h // stride), -(-w // stride)
        i = o
    target = x
    x = g.node("ReduceMean", [x], axes=[2, 3], keepdims=0)
    x = g.node("MatMul", [x, g.weight(g.random.normal(size=(24, 5)).astype(np.float32) * 0.3)])
    y = g.node("Softmax", [g.node("Add", [x, g.row(5)])], axis=-1)
    return g.model(TensorProto.FLOAT, ["batch", 64, 48, 3], y), target


def channels_last(seed):
    """A residual Keras network as tf2onnx writes it unoptimised: every Conv between two Transposes, biases added channels last."""
    g = Graph(seed)

    def layer(x, i, o, size, stride, relu=True):
        pads = same(size, stride)
        y = g.node("Transpose", [x], perm=[0, 3, 1, 2])
        y = g.node("Conv", [y, g.kernel(o, i, 3)], strides=[stride] * 2, pads=[pads[0], pads[0], pads[1], pads[1]])
        y = g.node("Transpose", [y], perm=[0, 2, 3, 1])
        y = g.node("Add", [y, g.row(o)])
        return g.node("Relu", [y]) if relu else y

    x = layer("image", 3, 8, 48, 2)
    x = g.node("Relu", [g.node("Add", [x, layer(layer(x, 8, 8, 24, 1), 8, 8, 24, 1, False)])])
    x = layer(x, 8, 16, 24, 2)
    x = layer(x, 16, 16, 12, 2)
    target = x
    x = g.node("ReduceMean", [x], axes=[1, 2], keepdims=0)
    y = g.node("Add", [g.node("MatMul", [x, g.weight(g.random.normal(size=(16, 12)).astype(np.float32) * 0.3)]), g.row(12)])
    return g.model(TensorProto.FLOAT, ["batch", 48, 48, 3], y), target


def bytes_in(seed):
    """Pixels as bytes, rescaled inside; Flatten and Dense behind a max pool, as in many first Keras models."""
    g = Graph(seed)
    x = g.node("Cast", ["image"], to=TensorProto.FLOAT)
    x = g.node("Sub", [g.node("Mul", [x, g.weight(np.float32(1 / 127.5))]), g.weight(np.float32(1))])
    x, i = g.node("Transpose", [x], perm=[0, 3, 1, 2]), 3
    for o in (8, 12, 16):
        x = g.node("Relu", [g.node("Conv", [x, g.kernel(o, i, 3), g.row(o)])])
        target, i = x, o
        x = g.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Transpose", [x], perm=[0, 2, 3, 1])
    x = g.node("Reshape", [x, g.weight(np.int64([-1, 16 * 16]))])
    x = g.node("Relu", [g.node("Gemm", [x, g.weight(g.random.normal(size=(256, 16)).astype(np.float32) * 0.1), g.row(16)])])
    y = g.node("Sigmoid", [g.node("Gemm", [x, g.weight(g.random.normal(size=(16, 1)).astype(np.float32) * 0.3), g.row(1)])])
    return g.model(TensorProto.UINT8, ["batch", 48, 48, 3], y), target


def functions(seed):
    """Blocks as functions of the file, one within the other, as exporters keep modules."""
    g = Graph(seed)
    norm = helper.make_function("blocks", "Biased", ["X", "B"], ["Y"], [helper.make_node("Reshape", ["B", "S"], ["R"]), helper.make_node("Add", ["X", "R"], ["A"]), helper.make_node("Relu", ["A"], ["Y"])], [helper.make_opsetid("", 15)])
    norm.node.insert(0, helper.make_node("Constant", [], ["S"], value_ints=[1, -1, 1, 1]))
    block_nodes = [helper.make_node("Conv", ["X", "W"], ["C"], pads=[1, 1, 1, 1], strides=[2, 2]), helper.make_node("Biased", ["C", "B"], ["Y"], domain="blocks")]
    block = helper.make_function("blocks", "Block", ["X", "W", "B"], ["Y"], block_nodes, [helper.make_opsetid("", 15), helper.make_opsetid("blocks", 1)])
    x, i = "image", 3
    for o in (8, 12, 20):
        x, i = g.node("Block", [x, g.kernel(o, i, 3), g.row(o)], domain="blocks"), o
    target = x
    x = g.node("Flatten", [g.node("GlobalAveragePool", [x])])
    y = g.node("Gemm", [x, g.weight(g.random.normal(size=(20, 6)).astype(np.float32) * 0.3), g.row(6)])
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("blocks", 1)]
    return g.model(TensorProto.FLOAT, ["batch", 3, 48, 32], y, opset_imports=opsets, functions=[norm, block]), target


def with_suppression(model):
    """A detector's own end: NonMaxSuppression over boxes and scores, and the rows it selects."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    scores, boxes = (o.name for o in out.graph.output[:2])
    constants = {"most": np.int64([10]), "overlap": np.float32([0.5]), "least": np.float32([0.1]), "boxes_place": np.int64([2])}
    out.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    nodes = [
        helper.make_node("Transpose", [scores], ["by_class"], perm=[0, 2, 1]),
        helper.make_node("NonMaxSuppression", [boxes, "by_class", "most", "overlap", "least"], ["selected"]),
        helper.make_node("Gather", ["selected", "boxes_place"], ["rows"], axis=1),
        helper.make_node("Flatten", ["rows"], ["places"], axis=0),
        helper.make_node("Gather", [boxes, "places"], ["kept"], axis=1),
    ]
    out.graph.node.extend(nodes)
    out.graph.output.extend([helper.make_tensor_value_info("selected", TensorProto.INT64, [None, 3]), helper.make_tensor_value_info("kept", TensorProto.FLOAT, [1, None, 4])])
    return out


def constants(model):
    """Weights as Constant nodes, and every bias of a Conv added behind it, as paddle2onnx writes them."""
    out = onnx.ModelProto()
    out.CopyFrom(model)
    made = [helper.make_node("Constant", [], [t.name], value=t) for t in out.graph.initializer]
    nodes = []
    for node in out.graph.node:
        if node.op_type == "Conv" and len(node.input) == 3:
            bias, result = node.input.pop(), node.output[0]
            node.output[0] = f"{result}_conv"
            nodes += [node, helper.make_node("Constant", [], [f"{result}_shape"], value=numpy_helper.from_array(np.int64([1, -1, 1, 1]))),
                      helper.make_node("Reshape", [bias, f"{result}_shape"], [f"{result}_bias"]), helper.make_node("Add", [node.output[0], f"{result}_bias"], [result])]
        else:
            nodes.append(node)
    del out.graph.initializer[:], out.graph.node[:]
    out.graph.node.extend(made + nodes)
    return out
