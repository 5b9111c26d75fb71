// The benchmark's model in the forms that the contenders take, all made from the one int8 ONNX file of the repository,
// so that every contender computes with the same weights and stops at the same place: the pooled embedding.

import { FLOAT, Model } from "./onnx.mjs";

const INT8 = 3;

/**
 * @param {Uint8Array} bytes the int8 ONNX file
 * @returns the int8 and the fp32 file, both ending at the embedding, and the same network for TensorFlow.js
 */
export function forms(bytes) {
  const int8 = endAtEmbedding(Model.decode(bytes));
  const fp32 = dequantize(Model.decode(Model.encode(int8).finish()));
  return { int8: Model.encode(int8).finish(), fp32: Model.encode(fp32).finish(), network: network(fp32.graph) };
}

/** Makes the output of the global average pooling the only output, and drops what comes after it. */
function endAtEmbedding(model) {
  const { graph } = model;
  const end = graph.node.findIndex(node => node.op_type === "ReduceMean");
  const [name] = graph.node[end].output;
  graph.node = graph.node.slice(0, end + 1);
  const used = new Set(graph.node.flatMap(node => node.input));
  graph.initializer = graph.initializer.filter(tensor => used.has(tensor.name));
  const channels = lastConv(graph).dims[0];
  graph.output = [
    {
      name,
      type: { tensor_type: { elem_type: FLOAT, shape: { dim: [1, channels].map(dim_value => ({ dim_value })) } } },
    },
  ];
  return model;
}

function lastConv(graph) {
  const conv = graph.node.findLast(node => node.op_type === "Conv");
  const source = graph.node.find(node => node.output[0] === conv.input[1]);
  return graph.initializer.find(tensor => tensor.name === (source?.input[0] ?? conv.input[1]));
}

/** Replaces each DequantizeLinear of an int8 weight by the float weight it gives. */
function dequantize(model) {
  const { graph } = model;
  const tensors = new Map(graph.initializer.map(tensor => [tensor.name, tensor]));
  const nodes = [];
  for (const node of graph.node) {
    if (node.op_type !== "DequantizeLinear") {
      nodes.push(node);
      continue;
    }
    const [weight, scale] = node.input.map(name => tensors.get(name));
    if (node.input.length !== 2 || weight.data_type !== INT8)
      throw new Error(`${node.output[0]}: not a symmetric int8 weight`);
    const scales = floats(scale);
    const quantized = new Int8Array(copy(weight.raw_data));
    const inner = quantized.length / scales.length;
    const values = Float32Array.from(quantized, (value, i) => value * scales[Math.floor(i / inner)]);
    tensors.set(node.output[0], {
      name: node.output[0],
      dims: weight.dims,
      data_type: FLOAT,
      raw_data: new Uint8Array(values.buffer),
    });
  }
  graph.node = nodes;
  const used = new Set(nodes.flatMap(node => node.input));
  graph.initializer = [...tensors.values()].filter(tensor => used.has(tensor.name));
  return model;
}

/**
 * The network as TensorFlow.js calls, in NHWC, with ReLU6 fused into the convolution before it as its own model
 * converter does: `{steps, weights}`, where `weights` holds all floats one after the other.
 */
function network(graph) {
  const tensors = new Map(graph.initializer.map(tensor => [tensor.name, tensor]));
  const uses = name => graph.node.filter(node => node.input.includes(name)).length;
  const steps = [];
  const chunks = [];
  let offset = 0;
  const store = values => {
    chunks.push(values);
    offset += values.length;
    return offset - values.length;
  };
  for (const node of graph.node) {
    const attributes = Object.fromEntries(
      node.attribute.map(a => [a.name, a.ints.length ? a.ints.map(Number) : Number(a.i)]),
    );
    const [output] = node.output;
    if (node.op_type === "Conv") {
      const [x, weight, bias] = node.input;
      const dims = tensors.get(weight).dims.map(Number);
      const depthwise = dims[1] === 1 && attributes.group === dims[0];
      if (!depthwise && attributes.group !== 1) throw new Error(`${output}: ${attributes.group} groups`);
      const { values, shape } = toHwio(floats(tensors.get(weight)), dims, depthwise);
      steps.push({
        op: depthwise ? "depthwise" : "conv",
        x,
        output,
        shape,
        stride: attributes.strides[0],
        same: attributes.pads.some(pad => pad > 0),
        relu6: false,
        weight: store(values),
        bias: store(floats(tensors.get(bias))),
        channels: dims[0],
      });
    } else if (node.op_type === "Clip") {
      const before = steps.at(-1);
      if (before.output !== node.input[0] || uses(before.output) !== 1) throw new Error(`${output}: cannot fuse`);
      Object.assign(before, { relu6: true, output });
    } else if (node.op_type === "Add") {
      steps.push({ op: "add", x: node.input[0], y: node.input[1], output });
    } else if (node.op_type === "ReduceMean") {
      steps.push({ op: "mean", x: node.input[0], output });
    } else {
      throw new Error(`${output}: ${node.op_type} is not known to the benchmark`);
    }
  }
  const weights = new Float32Array(offset);
  let at = 0;
  for (const chunk of chunks) {
    weights.set(chunk, at);
    at += chunk.length;
  }
  return { steps, weights };
}

/** OIHW to HWIO; `[C, 1, H, W]` of a depthwise convolution to `[H, W, C, 1]`. */
function toHwio(source, [o, i, h, w], depthwise) {
  const values = new Float32Array(source.length);
  for (let n = 0; n < source.length; n += 1) {
    const x = n % w;
    const y = Math.floor(n / w) % h;
    const input = Math.floor(n / (w * h)) % i;
    const output = Math.floor(n / (w * h * i));
    values[((y * w + x) * i + input) * o + output] = source[n];
  }
  return { values, shape: depthwise ? [h, w, o, 1] : [h, w, i, o] };
}

function floats(tensor) {
  if (tensor.data_type !== FLOAT) throw new Error(`${tensor.name}: expected floats`);
  return new Float32Array(copy(tensor.raw_data));
}

/** The bytes in a buffer of their own, as typed arrays want them aligned. */
function copy(bytes) {
  return new Uint8Array(bytes).buffer;
}
