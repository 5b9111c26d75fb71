// A file of the user's, ended where famlens ends: at the mean over the cells of the target layer. So ONNX Runtime
// computes no more than famlens does, and its answer can be compared with famlens' embedding.

import { ATTRIBUTE_INT, FLOAT, INT64, Node, Sealed, Tensor, Value } from "./onnx.mjs";

const EMBEDDING = "famlens/embedding";
const EXTERNAL = 1;

/**
 * @param {Uint8Array} bytes an ONNX file
 * @param {{name: string, maps: [number, number, number], layout: string, tokens: [number, number]}} target the layer,
 *   as `lens.network()` describes it
 * @returns {Uint8Array} the file with the embedding as its only output, without what only the rest of the network needs
 */
export function endAt(bytes, target) {
  const model = Sealed.decode(bytes);
  const { graph } = model;
  const needed = before(graph.node, target.name);
  const used = new Set(needed.flatMap(({ names }) => names.input));
  const weights = graph.initializer.filter(one => used.has(nameOfWeight(one)));
  const mean = meanOverCells(target);
  graph.node = [...needed.map(({ node }) => node), ...mean.nodes.map(node => Node.encode(node).finish())];
  graph.initializer = [...weights, ...mean.constants.map(tensor => Tensor.encode(tensor).finish())];
  graph.output = [Value.encode({ name: EMBEDDING, type: { tensor_type: { elem_type: FLOAT } } }).finish()];
  return Sealed.encode(model).finish();
}

/** The nodes that a value is computed by, in the file's order. */
function before(nodes, value) {
  const named = nodes.map(node => ({ node, names: Node.decode(node) }));
  const makers = new Map(named.flatMap(one => one.names.output.map(name => [name, one])));
  if (!makers.has(value))
    throw new Error(`famlens' target layer ${value} is no value of the file: onnxruntime-web cannot be asked for it`);
  const found = new Set();
  const open = [value];
  while (open.length) {
    const maker = makers.get(open.pop());
    if (!maker || found.has(maker)) continue;
    found.add(maker);
    open.push(...maker.names.input);
  }
  return named.filter(one => found.has(one));
}

const nameOfWeight = bytes => Tensor.decode(bytes).name;

/**
 * The file with the weights that lie in others in it; a file without such comes back as it is.
 * @param {Uint8Array} bytes an ONNX file
 * @param {(name: string) => Promise<Uint8Array>} read gives the bytes of a file beside it
 */
export async function whole(bytes, read) {
  const model = Sealed.decode(bytes);
  const [files, tensors] = [new Map(), model.graph.initializer.map(one => Tensor.decode(one))];
  if (!tensors.some(({ data_location }) => data_location === EXTERNAL)) return bytes;
  for (const [i, { external_data, data_location, ...tensor }] of tensors.entries()) {
    if (data_location !== EXTERNAL) continue;
    const { location, offset = 0, length } = Object.fromEntries(external_data.map(({ key, value }) => [key, value]));
    if (!files.has(location)) files.set(location, await read(location));
    const [file, from] = [files.get(location), Number(offset)];
    const raw_data = file.subarray(from, length === undefined ? file.length : from + Number(length));
    model.graph.initializer[i] = Tensor.encode({ ...tensor, raw_data }).finish();
  }
  return Sealed.encode(model).finish();
}

/** The mean over the cells, in operators that every operator set has alike. */
function meanOverCells({ name, maps: [channels, height, width], layout, tokens: [first, last] }) {
  const float = "famlens/float";
  const cast = {
    op_type: "Cast",
    input: [name],
    output: [float],
    attribute: [{ name: "to", i: FLOAT, type: ATTRIBUTE_INT }],
  };
  if (layout === "channels first")
    return { nodes: [cast, { op_type: "GlobalAveragePool", input: [float], output: [EMBEDDING] }], constants: [] };
  const cells = height * width;
  // Class and register tokens are no cells: their share of the mean is nothing.
  const shares = Float32Array.from({ length: first + cells + last }, (_, i) =>
    i >= first && i < first + cells ? 1 / cells : 0,
  );
  const constants = [
    {
      name: "famlens/rows",
      dims: [3],
      data_type: INT64,
      raw_data: bytesOf(BigInt64Array.of(1n, BigInt(shares.length), BigInt(channels))),
    },
    { name: "famlens/shares", dims: [1, 1, shares.length], data_type: FLOAT, raw_data: bytesOf(shares) },
  ];
  const rows = { op_type: "Reshape", input: [float, "famlens/rows"], output: ["famlens/cells"] };
  return {
    nodes: [cast, rows, { op_type: "MatMul", input: ["famlens/shares", "famlens/cells"], output: [EMBEDDING] }],
    constants,
  };
}

const bytesOf = ({ buffer }) => new Uint8Array(buffer);
