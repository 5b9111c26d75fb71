// What the page as a whole knows. Everybody reads `state` and listens with `on`; only `set` changes it. What belongs
// to one view is that view's own.

import { createStore, listener } from "./store.js";

/**
 * @import { BackendChoice, Choice, Lens, LensInfo, LensMap, LensOptions } from "../famlens.js"
 *
 * A photo the user or an example brought. `source` is what the lens gets, `src` what an <img> gets, `small` what a
 * small one gets. `size` in pixels, where it is known before the photo is loaded.
 * @typedef {{key: string, name: string, source: File | Blob | string, src: string, small: string, example: string |
 *   null, size: {width: number, height: number} | null}} Photo
 * @typedef {{opacity: number, colormap: string, contour: boolean, box: boolean, fade: boolean, own: boolean, threshold:
 *   number}} Look
 *
 * What the user has chosen about explanations, by name as the catalogue has it (`"finer.flip"`); what is not in it is
 * left to the page.
 * @typedef {Record<string, unknown>} Choices
 *
 * What is being worked on; `inPlace` if a view shows that itself, `cancel` if it can be given up.
 * @typedef {{phase: string, loaded: number, total: number, inPlace?: boolean, cancel?: () => void}} Busy
 *
 * What the few-shot view explains: the form, whether there are several classes to set against each other, whether
 * nothing is asked at present, and
 * the target layer of the explanation on screen, and the map that is shown of it: of the class `name`, over a photo of
 * this size.
 * @typedef {{form: string, several: boolean, idle: boolean, target: string | null,
 *   shown: {photo: Photo, map: LensMap, name: string, width: number, height: number} | null}} Explained
 *
 * What the last explanation took, in milliseconds, and on which engine.
 * @typedef {{backend: "webgpu" | "cpu", forward: number, mix: number, total: number}} Took
 */

const store = createStore({
  /** The task whose view is shown. */
  view: "few-shot",
  /** @type {Lens | null} */
  lens: null,
  /** @type {LensInfo | null} */
  info: null,
  /** @type {NonNullable<LensOptions["model"]> | null} null is the model that comes with famlens */
  model: null,
  /** Ends with whether a project has been put back, before which no example is shown. */
  restored: Promise.resolve(false),
  /** Whether the engines are being compared. */
  measuring: false,
  /** @type {BackendChoice} */
  backend: "auto",
  /** @type {string | null} why there is no lens */
  failed: null,
  /** @type {Busy | null} */
  busy: null,
  /** @type {Choice[]} what can be chosen; empty until the library has been asked */
  catalogue: [],
  /** @type {Choices} */
  choices: {},
  /** @type {Explained} */
  explained: { form: "fam", several: false, idle: true, target: null, shown: null },
  /** @type {Took | null} */
  took: null,
  /** @type {Look} */
  look: { opacity: 0.6, colormap: "inferno", contour: true, box: true, fade: false, own: false, threshold: 0.2 },
});

export const { state, set, listen } = store;

/** @typedef {keyof typeof state} Key */

/**
 * Calls `run` now and whenever one of these changes.
 * @param {Key[]} keys
 * @param {() => void} run
 */
export function on(keys, run) {
  listen(keys, listener(run));
  run();
}

/**
 * How maps are drawn at present.
 * @returns {{colormap: string, mode: "value" | "constant", threshold: number}}
 */
export function drawing() {
  const { colormap, fade, threshold } = state.look;
  return { colormap, mode: fade ? "value" : "constant", threshold };
}
