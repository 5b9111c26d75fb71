// What the page knows. Views read `state` and listen with `on`; only `set` changes it, and listeners run once for all
// changes of one turn.

/**
 * @import { BackendChoice, Choice, Explanation, Lens, LensInfo, LensMap, LensOptions } from "../famlens.js"
 *
 * A photo the user or an example brought. `source` is what the lens gets, `src` what an <img> gets.
 * @typedef {{key: string, name: string, source: File | Blob | string, src: string, example: string | null}} Photo
 * @typedef {{key: string, name: string, color: number, photos: Photo[]}} ClassItem
 * @typedef {{opacity: number, colormap: string, contour: boolean, box: boolean, fade: boolean, threshold: number}} Look
 *
 * A result and what it is the result of: `of` is the list of classes then, `classes` those with photos, `keys` their
 * keys, `options` what was asked for.
 * @typedef {{found: Explanation, query: Photo, of: ClassItem[], classes: ClassItem[], keys: string[], options:
 *   Record<string, unknown>}} Result
 *
 * What the user has chosen about explanations, by name as the catalogue has it (`"finer.flip"`); what is not in it is
 * left to the page.
 * @typedef {Record<string, unknown>} Choices
 *
 * What is being worked on; `inPlace` if a view shows that itself.
 * @typedef {{phase: string, loaded: number, total: number, inPlace?: boolean}} Busy
 *
 * A file that a choice rests on, with what the library says it is.
 * @typedef {{name: string, says: string, bytes: Uint8Array}} GivenFile
 */

/** How many class colours the style sheets have. */
export const COLORS = 8;

export const state = {
  /** The task whose view is shown. */
  view: "few-shot",
  /** @type {Lens | null} */
  lens: null,
  /** @type {LensInfo | null} */
  info: null,
  /** @type {NonNullable<LensOptions["model"]> | null} null is the model that comes with famlens */
  model: null,
  /** Whether the engines are being compared. */
  measuring: false,
  /** @type {BackendChoice} */
  backend: "auto",
  /** @type {string | null} why the lens could not be made */
  failed: null,
  /** @type {Busy | null} */
  busy: null,
  /** @type {Photo[]} */
  queries: [],
  /** @type {Photo | null} */
  query: null,
  /** @type {ClassItem[]} */
  classes: [],
  /** What the middle of the page shows: `maps` or one of the wider looks. */
  mode: "maps",
  /** @type {Choice[]} what can be chosen; empty until the library has been asked */
  catalogue: [],
  /** @type {Choices} */
  choices: {},
  /** Files that choices rest on. @type {{head?: GivenFile, matrix?: GivenFile}} */
  given: {},
  /** Whether FAM as the paper has it is shown beside what was chosen. */
  beside: true,
  /** @type {Result | null} what was chosen */
  result: null,
  /** @type {Result | null} FAM as the paper has it, where that is another one */
  published: null,
  /** @type {string | null} key of the class whose map is shown; null follows the decision */
  picked: null,
  /** @type {string | null} key of the class that is pointed at, whose map is shown as long as it is */
  hovered: null,
  /** @type {number | null} place among the strongest channels, if one channel's own map is shown */
  channel: null,
  /** @type {LensMap[]} the activation maps of the strongest channels of the shown class */
  channelMaps: [],
  /** @type {Look} */
  look: { opacity: 0.6, colormap: "inferno", contour: true, box: true, fade: false, threshold: 0.2 },
};

/** @typedef {keyof typeof state} Key */

/** @type {{keys: Key[], run: () => void}[]} */
const listeners = [];
/** @type {Set<Key>} */
let changed = new Set();

/** @param {Partial<typeof state>} patch */
export function set(patch) {
  if (changed.size === 0) queueMicrotask(tell);
  for (const key of /** @type {Key[]} */ (Object.keys(patch))) changed.add(key);
  Object.assign(state, patch);
}

function tell() {
  const now = changed;
  changed = new Set();
  for (const { keys, run } of listeners) if (keys.some(key => now.has(key))) run();
}

/**
 * Calls `run` now and whenever one of these changes.
 * @param {Key[]} keys
 * @param {() => void} run
 */
export function on(keys, run) {
  listeners.push({ keys, run });
  run();
}

/** The result, if it is of the photo that is asked about now; a moment after a change it is still of the one before. */
export function current() {
  return state.result && state.result.query === state.query ? state.result : null;
}

/** FAM as the paper has it for the photo that is asked about now, if it is shown beside the result. */
export function published() {
  return state.beside && state.published?.query === state.query ? state.published : null;
}

/**
 * The place, in a result, of the class whose map is shown: pointed at, picked, or the decision.
 * @param {Result | null} [result]
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

/**
 * How maps are drawn at present.
 * @returns {{colormap: string, mode: "value" | "constant", threshold: number}}
 */
export function drawing() {
  const { colormap, fade, threshold } = state.look;
  return { colormap, mode: fade ? "value" : "constant", threshold };
}
