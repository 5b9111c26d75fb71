// A network as a tree of blocks and layers: what is unfolded, what is found, what is in focus. The picture is made of
// what this says.

import { operator } from "./network-words.js";

/**
 * @import { Network, NetworkBlock, NetworkLayer } from "../../famlens.js"
 *
 * A block, or a layer. `first` and `last` are places of layers: the same one twice for a layer. `text` is what is
 * searched.
 * @typedef {object} Item
 * @property {string} id
 * @property {string} label
 * @property {number} level
 * @property {Item | null} parent
 * @property {Item[]} children
 * @property {number} first
 * @property {number} last
 * @property {NetworkBlock | null} block
 * @property {NetworkLayer} layer the layer, or the block's last one
 * @property {string} text
 */

/** @param {Network} network @returns {{roots: Item[], items: Item[], ofLayer: Item[]}} */
export function plant(network) {
  /** @type {Item[]} */
  const items = [];
  /** @type {Item[]} */
  const ofLayer = [];
  /**
   * @param {NetworkBlock[]} blocks
   * @param {number} from
   * @param {number} to
   * @param {Item | null} parent
   * @returns {Item[]}
   */
  const grow = (blocks, from, to, parent) => {
    /** @type {Item[]} */
    const found = [];
    const level = (parent?.level ?? 0) + 1;
    const leaf = (/** @type {number} */ at) => {
      const layer = network.layers[at];
      const item = {
        id: `layer-${at}`,
        label: layer.label,
        level,
        parent,
        children: [],
        first: at,
        last: at,
        block: null,
        layer,
        text: flat(`${layer.label} ${operator(layer)} ${layer.name} ${(layer.maps ?? layer.shape).join("x")}`),
      };
      items.push(item);
      ofLayer[at] = item;
      found.push(item);
    };
    let at = from;
    for (const block of blocks) {
      for (; at < block.first; at += 1) leaf(at);
      at = block.first + block.count;
      /** @type {Item} */
      const item = {
        id: `block-${items.length}`,
        label: block.label,
        level,
        parent,
        children: [],
        first: block.first,
        last: at - 1,
        block,
        layer: network.layers[at - 1],
        text: flat(`${block.label} ${block.kind}`),
      };
      items.push(item);
      found.push(item);
      item.children = grow(block.blocks, block.first, at, item);
    }
    for (; at < to; at += 1) leaf(at);
    return found;
  };
  return { roots: grow(network.blocks, 0, network.layers.length, null), items, ofLayer };
}

/** The items in sight. @param {Item[]} roots @param {(item: Item) => boolean} isOpen @returns {Item[]} */
export const inSight = (roots, isOpen) =>
  roots.flatMap(item => (item.block && isOpen(item) ? [item, ...inSight(item.children, isOpen)] : [item]));

/** Those around an item, outermost first. @param {Item} item @returns {Item[]} */
export const around = item => (item.parent ? [...around(item.parent), item.parent] : []);

/** Small letters, and sizes as one word: 3 × 3 is 3x3. @param {string} text */
const flat = text => text.toLowerCase().replace(/(?<=\d)\s*[x×]\s*(?=\d)/g, "x");

/** Items that have every word, layers and blocks. @param {Item[]} items @param {string} query @returns {Item[]} */
export function search(items, query) {
  const words = flat(query).split(/\s+/).filter(Boolean);
  return words.length === 0 ? [] : items.filter(({ text }) => words.every(word => text.includes(word)));
}

/**
 * What a key does in a tree (WAI-ARIA Authoring Practices, tree view): the item to go to, or what to do with the
 * present one.
 * @param {string} key
 * @param {Item[]} rows those in sight
 * @param {Item} item the present one
 * @param {boolean} open whether it is unfolded
 * @returns {{go: Item} | {act: "open" | "close" | "choose" | "add" | "openAll"} | null}
 */
export function keyed(key, rows, item, open) {
  const at = rows.indexOf(item);
  const go = (/** @type {Item | null | undefined} */ to) => (to ? { go: to } : null);
  switch (key) {
    case "ArrowDown":
      return go(rows[at + 1]);
    case "ArrowUp":
      return go(rows[at - 1]);
    case "PageDown":
      return go(rows[Math.min(at + 10, rows.length - 1)]);
    case "PageUp":
      return go(rows[Math.max(at - 10, 0)]);
    case "Home":
      return go(rows[0]);
    case "End":
      return go(rows.at(-1));
    case "ArrowRight":
      if (!item.block) return null;
      return open ? go(rows[at + 1]) : { act: "open" };
    case "ArrowLeft":
      return item.block && open ? { act: "close" } : go(item.parent);
    case "Enter":
      return { act: item.block ? (open ? "close" : "open") : "choose" };
    case " ":
      return { act: item.block ? (open ? "close" : "open") : "add" };
    case "*":
      return { act: "openAll" };
    default:
      return null;
  }
}

/**
 * The next item in sight whose label begins with what was typed.
 * @param {Item[]} rows
 * @param {Item} item
 * @param {string} typed
 */
export function typedAhead(rows, item, typed) {
  const at = rows.indexOf(item);
  // One letter goes on to the next; more letters stay where they fit.
  const from = typed.length > 1 ? at : at + 1;
  return (
    [...rows.slice(from), ...rows.slice(0, from)].find(({ label }) =>
      label.toLowerCase().startsWith(typed.toLowerCase()),
    ) ?? null
  );
}
