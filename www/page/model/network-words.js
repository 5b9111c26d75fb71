// Figures of a network in few letters.

/** @import { NetworkLayer } from "../../famlens.js" */

/** A count: 9472 is 9.5 k. @param {number} value */
export function count(value) {
  for (const [size, unit] of /** @type {[number, string][]} */ ([
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ])) {
    if (value >= size) return `${(value / size).toFixed(value >= 100 * size ? 0 : 1)} ${unit}`;
  }
  return String(value);
}

/** @param {number} value */
export const bytes = value =>
  value >= 1e6
    ? `${(value / 1e6).toFixed(1)} MB`
    : value >= 1e3
      ? `${(value / 1e3).toFixed(value >= 1e5 ? 0 : 1)} kB`
      : `${value} B`;

/** A part of the network's cost. @param {number} part */
export const percent = part =>
  part >= 0.9995 ? "100 %" : part > 0 && part < 0.0005 ? "< 0.1 %" : `${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`;

/** Channels and cells of a layer, or what else its shape is. @param {NetworkLayer} layer */
export const shape = ({ maps, shape }) =>
  (maps ?? (shape.length > 1 && shape[0] === 1 ? shape.slice(1) : shape)).join(" × ");

/** @param {string} text */
export const typeset = text => text.replaceAll(" x ", " × ").replaceAll("->", "→");

/** The operator with what tells it from others. @param {NetworkLayer} layer */
export const operator = ({ op, detail }) => `${op}${detail ? ` ${typeset(detail)}` : ""}`;

/** Where its maps lie, in words. @param {NetworkLayer} layer */
export function mapsInWords({ maps, layout, tokens }) {
  if (!maps) return "";
  const [channels, height, width] = maps;
  const grid = `${channels} channels of ${width} × ${height} cells`;
  if (layout !== "tokens") return layout === "channels last" ? `${grid}, channels last` : grid;
  const [before, behind] = tokens;
  const beside =
    before === 1 && behind === 0
      ? "after the class token"
      : before + behind > 0
        ? `beside ${before + behind} class and register tokens`
        : "";
  return `${grid}, as tokens ${beside}`.trim();
}

/** What kinds of block are called where that says more than nothing. @type {Record<string, string>} */
export const KINDS = {
  transformer: "transformer",
  attention: "attention",
  mlp: "MLP",
  residual: "residual",
  gate: "gate",
  branches: "branches",
  dense: "dense",
  branch: "",
  layers: "",
};

/** Families of operators, which have a colour each. @type {[RegExp, string][]} */
const FAMILIES = [
  [/^Conv/, "conv"],
  [/^(Gemm|MatMul)$/, "linear"],
  [/^Attention$/, "attention"],
  [/Normalization$|^Softmax$/, "norm"],
  [/Pool|^Reduce/, "pool"],
  [/^(Add|Concat|Mul|Sub|Div|Max|Min|Slice|Gather|Pad)$/, "join"],
];

/** @param {string} op */
export const family = op => FAMILIES.find(([test]) => test.test(op))?.[1] ?? "activation";
