// The lines of the picture: the way from layer to layer, and connections that skip layers, in lanes beside it.

import { svgEl } from "../dom.js";
import { family } from "./network-words.js";

/**
 * @import { Network } from "../../famlens.js"
 * @import { Item } from "./network-tree.js"
 *
 * @typedef {{from: number, to: number[]}} Skip places among the rows: where it begins, and where it is read
 */

const LANE = 8;
/** In a narrow window names need the room. */
const mostLanes = () => (innerWidth > 760 ? 7 : 4);

/**
 * Which rows follow each other directly, and what skips rows. An unfolded block's own row is none of the way.
 * @param {Network} network
 * @param {Item[]} rows
 * @param {(item: Item) => boolean} isOpen
 */
export function edges(network, rows, isOpen) {
  const leaves = rows.map((_, row) => row).filter(row => !rows[row].block || !isOpen(rows[row]));
  /** @type {Int32Array} */
  const leafOf = new Int32Array(network.layers.length).fill(-1);
  for (const [leaf, row] of leaves.entries()) leafOf.fill(leaf, rows[row].first, rows[row].last + 1);
  /** @type {Map<number, Set<number>>} */
  const reads = new Map();
  for (const [at, { inputs }] of network.layers.entries()) {
    for (const input of inputs) {
      const [from, to] = [leafOf[input], leafOf[at]];
      if (from >= 0 && to > from) reads.set(from, (reads.get(from) ?? new Set()).add(to));
    }
  }
  const follows = leaves.map((_, leaf) => reads.get(leaf)?.has(leaf + 1) ?? false);
  /** @type {Skip[]} */
  const skips = [];
  for (const [from, all] of reads) {
    const to = [...all].filter(leaf => leaf > from + 1).sort((a, b) => a - b);
    if (to.length > 0) skips.push({ from: leaves[from], to: to.map(leaf => leaves[leaf]) });
  }
  return { leaves, follows, skips: skips.sort((a, b) => a.from - b.from) };
}

/**
 * A lane for each skip, so that those in one lane do not meet; what is too much shares the outermost.
 * @param {Skip[]} skips
 */
export function assignLanes(skips) {
  const most = mostLanes();
  // Short ones nearest.
  const order = skips
    .map((_, at) => at)
    .sort((a, b) => length(skips[a]) - length(skips[b]) || skips[a].from - skips[b].from);
  /** @type {{from: number, to: number}[][]} */
  const taken = [];
  const lanes = new Array(skips.length).fill(0);
  for (const at of order) {
    const [from, to] = [skips[at].from, skips[at].to[skips[at].to.length - 1]];
    let lane = taken.findIndex(spans => spans.every(span => span.to <= from || span.from >= to));
    if (lane < 0) lane = Math.min(taken.length, most - 1);
    (taken[lane] ??= []).push({ from, to });
    lanes[at] = lane;
  }
  return { lanes, count: taken.length };
}

/** @param {Skip} skip */
const length = ({ from, to }) => to[to.length - 1] - from;

/**
 * Draws them for rows of one height.
 * @param {Network} network
 * @param {Item[]} rows
 * @param {(item: Item) => boolean} isOpen
 * @param {number} height of a row, in pixels
 * @param {(item: Item) => boolean} isTarget
 */
export function drawLanes(network, rows, isOpen, height, isTarget) {
  const { leaves, follows, skips } = edges(network, rows, isOpen);
  const { lanes, count } = assignLanes(skips);
  const spine = count * LANE + 12;
  const svg = svgEl("svg", {
    class: "net-lines",
    width: spine + 12,
    height: rows.length * height,
    "aria-hidden": "true",
    focusable: "false",
  });
  const middle = (/** @type {number} */ row) => row * height + height / 2;
  const line = (
    /** @type {string} */ d,
    /** @type {string} */ name,
    /** @type {number} */ from,
    /** @type {number} */ to,
  ) => svg.append(svgEl("path", { d, class: name, "data-from": from, "data-to": to }));
  for (const [leaf, row] of leaves.entries()) {
    if (follows[leaf]) line(`M${spine} ${middle(row)}V${middle(leaves[leaf + 1])}`, "net-way", row, leaves[leaf + 1]);
  }
  for (const [at, { from, to }] of skips.entries()) {
    const x = spine - 10 - lanes[at] * LANE;
    const [top, end] = [middle(from), middle(to[to.length - 1])];
    // Off the way below its dot, and back above the dot that reads it.
    line(
      `M${spine} ${top}Q${x} ${top + 1} ${x} ${top + 9}V${end - 9}Q${x} ${end - 1} ${spine - 4} ${end}`,
      "net-skip",
      from,
      to[to.length - 1],
    );
    for (const row of to.slice(0, -1))
      line(`M${x} ${middle(row) - 9}Q${x} ${middle(row) - 1} ${spine - 4} ${middle(row)}`, "net-skip", from, row);
  }
  for (const row of leaves) {
    const item = rows[row];
    const mark = item.block
      ? svgEl("rect", { x: spine - 5, y: middle(row) - 5, width: 10, height: 10, rx: 3, class: "net-dot block" })
      : svgEl("circle", {
          cx: spine,
          cy: middle(row),
          r: isTarget(item) ? 6 : 4,
          class: `net-dot ${family(item.layer.op)}`,
        });
    if (isTarget(item)) mark.classList.add("target");
    svg.append(mark);
  }
  return { svg, width: spine + 12 };
}
