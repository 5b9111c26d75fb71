// The answer to the opening example, made in advance (tests/opening.rs): what the page shows until its engine is live.

import { EXAMPLES } from "../photo.js";
import { on, set, state } from "./state.js";
import { state as page } from "../state.js";

/**
 * @import { LensMap, Rendered } from "../../famlens.js"
 * @import { Photo } from "../state.js"
 *
 * A map that can be drawn without the engine: `longest` is the longer side in pixels.
 * @typedef {LensMap & {early: (longest: number, range?: [number, number] | null) => Rendered}} EarlyMap
 *
 * A form in words.
 * @typedef {{name: string, label: string, sentence: string}} Described
 *
 * @typedef {{query: string, width: number, height: number, form: Described, score: string, scale:
 *   import("./state.js").Early["found"]["scale"], predicted: number, colors:
 *   [number, number, number][], classes: {name: string, similarity: number, map: {width: number, height: number, min:
 *   number, max: number, cells: number[], outline: number[][], box: [number, number, number, number] | null, peak:
 *   [number, number] | null}}[]}} Opening
 */

/** A cell's place between the least and the highest value is in thousandths. */
const STEPS = 1000;

/** Asked for at once, beside the list of the examples. @type {Promise<Opening | null>} */
const loading = fetch(new URL("opening.json", EXAMPLES))
  .then(answer => (answer.ok ? answer.json() : null))
  .catch(() => null);

/** Shows it, if what is asked about is the opening example with nothing chosen, and takes it away once it is not. */
export async function mountOpening() {
  const [{ classes, query }, asked] = [state, page.choices];
  const found = await loading;
  // Of what there is now it says nothing if something else has been asked meanwhile.
  const still = () => !state.result && state.query === query && state.classes === classes && page.choices === asked;
  if (!found || !query || found.query !== query.example || Object.keys(asked).length > 0 || !still()) return;
  set({ opening: resultOf(found, query) });
  on(["result", "query", "classes", "choices", "failed"], () => {
    if (state.opening && (!still() || page.failed)) set({ opening: null });
  });
}

/** @param {Opening} opening @param {Photo} query @returns {import("./state.js").Early} */
function resultOf(opening, query) {
  const { width, height, form, score, predicted, colors, scale } = opening;
  const maps = opening.classes.map(({ map }) => mapOf(map, colors, { width, height }));
  const classes = state.classes;
  const scores = opening.classes.map(({ name, similarity }) => ({ name, similarity }));
  const found = { form, colors, scale, score, predicted, maps, query: { width, height }, classes: scores };
  return { found, query, of: classes, classes, keys: classes.map(({ key }) => key) };
}

/**
 * @param {Opening["classes"][number]["map"]} map
 * @param {Opening["colors"]} colors
 * @param {{width: number, height: number}} photo
 * @returns {EarlyMap}
 */
function mapOf({ width, height, min, max, cells, outline, box, peak }, colors, photo) {
  const data = Float32Array.from(cells, cell => min + ((max - min) * cell) / STEPS);
  /** @param {number} longest @param {[number, number] | null} [range] @returns {Rendered} */
  const early = (longest, range) => {
    const scale = longest / Math.max(photo.width, photo.height);
    const size = { width: Math.round(photo.width * scale), height: Math.round(photo.height * scale) };
    const [low, high] = range ?? [min, max];
    const parts = Array.from(data, value => Math.min(1, Math.max(0, (value - low) / (high - low || 1))));
    return { image: paint({ width, height, parts }, colors, size), contour: outline, box, peak };
  };
  return { data, width, height, min, max, box, peak, early };
}

/**
 * Cells as colours, linear between the centres of the cells, as the engine draws them.
 * @param {{width: number, height: number, parts: number[]}} map each cell as a part of the scale
 * @param {Opening["colors"]} colors
 * @param {{width: number, height: number}} size
 */
function paint({ width, height, parts }, colors, size) {
  const image = new ImageData(size.width, size.height);
  const [xs, ys] = [between(size.width, width), between(size.height, height)];
  const last = colors.length - 1;
  let at = 0;
  for (const [top, bottom, down] of ys) {
    for (const [left, right, along] of xs) {
      const upper = mix(parts[top * width + left], parts[top * width + right], along);
      const lower = mix(parts[bottom * width + left], parts[bottom * width + right], along);
      const place = mix(upper, lower, down) * last;
      const one = colors[Math.floor(place)];
      const next = colors[Math.min(last, Math.floor(place) + 1)];
      for (let channel = 0; channel < 3; channel += 1)
        image.data[at + channel] = mix(one[channel], next[channel], place % 1);
      image.data[at + 3] = 255;
      at += 4;
    }
  }
  return image;
}

/** @param {number} a @param {number} b @param {number} part */
const mix = (a, b, part) => a + (b - a) * part;

/**
 * For each pixel the two cells that it lies between, and how far it is from the first to the second.
 * @param {number} pixels
 * @param {number} count of cells
 * @returns {[number, number, number][]}
 */
const between = (pixels, count) =>
  Array.from({ length: pixels }, (_, pixel) => {
    const place = Math.min(count - 1, Math.max(0, ((pixel + 0.5) * count) / pixels - 0.5));
    const first = Math.floor(place);
    return [first, Math.min(count - 1, first + 1), place - first];
  });
