// What the few-shot view knows: photos, classes, the explanation, and what of it is looked at.

import { createStore, listener } from "../store.js";
import { listen, state as page } from "../state.js";

/**
 * @import { Explanation, LensMap } from "../../famlens.js"
 * @import { Key as PageKey, Photo } from "../state.js"
 *
 * @typedef {{key: string, name: string, color: number, photos: Photo[]}} ClassItem
 *
 * A result and what it is the result of: `of` is the list of classes then, `classes` those with photos, `keys` their
 * keys, `options` what was asked for.
 * @typedef {{found: Explanation, query: Photo, of: ClassItem[], classes: ClassItem[], keys: string[], options:
 *   Record<string, unknown>}} Result
 *
 * What was found out in advance, for the time until the engine is live: of an explanation only what the picture shows.
 * @typedef {{found: Pick<Explanation, "score" | "scale" | "predicted" | "maps" | "query"> & {form:
 *   import("./opening.js").Described, colors: [number, number, number][], classes: {name: string, similarity:
 *   number}[]}, query: Photo, of: ClassItem[], classes: ClassItem[], keys: string[]}} Early
 *
 * A file that a choice rests on, with what the library says it is.
 * @typedef {{name: string, says: string, bytes: Uint8Array}} GivenFile
 */

/** How many class colours the style sheets have. */
export const COLORS = 8;

const store = createStore({
  /** @type {Photo[]} */
  queries: [],
  /** @type {Photo | null} */
  query: null,
  /** @type {ClassItem[]} */
  classes: [],
  /** What the middle of the view shows: `maps` or one of the wider looks. */
  mode: "maps",
  /** Files that choices rest on. @type {{head?: GivenFile, matrix?: GivenFile}} */
  given: {},
  /** Whether FAM as the paper has it is shown beside what was chosen. */
  beside: false,
  /** @type {Result | null} what was chosen */
  result: null,
  /** @type {Result | null} FAM as the paper has it, where that is another one */
  published: null,
  /** @type {Early | null} what was found out in advance */
  opening: null,
  /** @type {string | null} key of the class whose map is shown; null follows the decision */
  picked: null,
  /** @type {string | null} key of the class that is pointed at, whose map is shown as long as it is */
  hovered: null,
  /** @type {number | null} place among the strongest channels, if one channel's own map is shown */
  channel: null,
  /** @type {LensMap[]} the activation maps of the strongest channels of the shown class */
  channelMaps: [],
});

export const { state, set } = store;

/** @typedef {keyof typeof state} Key */

/**
 * Calls `run` now and whenever one of these changes, of the view or of the page; once for all changes of a turn.
 * @param {(Key | PageKey)[]} keys
 * @param {() => void} run
 */
export function on(keys, run) {
  const one = listener(run);
  store.listen(/** @type {Key[]} */ (keys.filter(key => key in state)), one);
  listen(/** @type {PageKey[]} */ (keys.filter(key => key in page)), one);
  run();
}

/** The result, if it is of the photo that is asked about now; a moment after a change it is still of the one before. */
export function current() {
  return state.result && state.result.query === state.query ? state.result : null;
}

/** What the picture shows: the result, or as long as there is none what was found out in advance. */
export const pictured = () => current() ?? (state.opening?.query === state.query ? state.opening : null);

/** FAM as the paper has it for the photo that is asked about now, if it is shown beside the result. */
export function published() {
  return state.beside && state.published?.query === state.query ? state.published : null;
}

/**
 * The place, in a result, of the class whose map is shown: pointed at, picked, or the decision.
 * @param {Result | Early | null} [result]
 */
export function shownIndex(result = state.result) {
  if (!result) return -1;
  for (const key of [state.hovered, state.picked]) {
    const at = key ? result.keys.indexOf(key) : -1;
    if (at >= 0) return at;
  }
  // Both maps are of one class: that which the result decides for.
  const decided = state.result?.query === result.query ? state.result.keys[state.result.found.predicted] : null;
  const at = decided ? result.keys.indexOf(decided) : -1;
  return at >= 0 ? at : result.found.predicted;
}

/** The class whose map is shown. */
export function shownClass() {
  return state.result?.classes[shownIndex()] ?? null;
}

/** The map on the stage: of the shown class, or of one of its channels. */
export function shownMap() {
  const { result, channel, channelMaps } = state;
  if (!result) return null;
  return (channel !== null && channelMaps[channel]) || result.found.maps[shownIndex()];
}
