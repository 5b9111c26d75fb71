// The photos of an evaluation: each with its class and its boxes.

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

/** @param {Item[]} next */
export function replace(next) {
  for (const { photo } of items) letGo(photo);
  items = next;
  chosen = items[0] ?? null;
  tell();
}

/** @param {Item | null} item */
export function choose(item) {
  chosen = item;
  tell();
}

/** @param {Item} item */
export function remove(item) {
  const at = items.indexOf(item);
  items = items.filter(other => other !== item);
  letGo(item.photo);
  if (chosen === item) chosen = items[Math.min(at, items.length - 1)] ?? null;
  tell();
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
