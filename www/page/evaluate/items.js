// The photos of an evaluation: each with its class and its boxes.

import { notify } from "../notices.js";
import { letGo } from "../photo.js";

/**
 * @import { Photo } from "../state.js"
 *
 * A box in pixels of the photo: left, top, right, bottom.
 * @typedef {[number, number, number, number]} Box
 * @typedef {{photo: Photo, path: string, group: string, boxes: Box[]}} Item
 */

/** @type {Item[]} */
let items = [];
/** @type {Item | null} */
let chosen = null;
/** @type {Set<() => void>} */
const listeners = new Set();

export const all = () => items;
export const current = () => chosen;

/** Calls `run` now and whenever photos, boxes or the chosen photo change. @param {() => void} run */
export function onItems(run) {
  listeners.add(run);
  run();
}

function tell() {
  for (const run of listeners) run();
}

/** @param {Item[]} added */
export function add(added) {
  items = [...items, ...added];
  chosen ??= items[0] ?? null;
  tell();
}

/**
 * Other photos in place of those there are.
 * @param {Item[]} next
 * @param {string} text what was done; where something was lost by it, it can be taken back
 */
export function replace(next, text) {
  const [before, current] = [items, chosen];
  items = next;
  chosen = items[0] ?? null;
  tell();
  if (before.length > 0) offerUndo(text, before, () => put(before, current));
}

/** @param {Item[]} all @param {Item | null} current */
function put(all, current) {
  items = all;
  chosen = current;
  tell();
}

/**
 * Photos that have been taken out are let go of once nothing can bring them back.
 * @param {string} text
 * @param {Item[]} gone
 * @param {() => void} run
 */
function offerUndo(text, gone, run) {
  const onGone = () => {
    for (const item of gone) if (!items.includes(item)) letGo(item.photo);
  };
  notify({ text, action: { label: "Undo", run }, onGone });
}

/** Other photos in place of those there are, which somebody else can bring back. @param {Item[]} next */
export function putAll(next) {
  put(next, next[0] ?? null);
}

/** @param {Item | null} item */
export function choose(item) {
  chosen = item;
  tell();
}

/** @param {Item} item */
export function remove(item) {
  const at = items.indexOf(item);
  const was = chosen === item;
  items = items.filter(other => other !== item);
  if (was) chosen = items[Math.min(at, items.length - 1)] ?? null;
  tell();
  const back = () => put([...items.slice(0, at), item, ...items.slice(at)], was ? item : chosen);
  offerUndo(`${item.photo.name} removed.`, [item], back);
}

/** @param {Item} item @param {Box[]} boxes */
export function setBoxes(item, boxes) {
  item.boxes = boxes;
  tell();
}

/** Classes in the order in which they came, each with its photos. @returns {Map<string, Item[]>} */
export function groups() {
  /** @type {Map<string, Item[]>} */
  const found = new Map();
  for (const item of items) found.set(item.group, [...(found.get(item.group) ?? []), item]);
  return found;
}

/** The boxes as a table that the command line reads too. */
export function boxesAsText() {
  const lines = items.flatMap(({ path, group, boxes }) =>
    boxes.map(box => [path, ...box.map(value => Math.round(value)), group].join("\t")),
  );
  return `${["file\tx0\ty0\tx1\ty1\tlabel", ...lines].join("\n")}\n`;
}
