// Where the other parts of famlens lie, as seen from here. The npm package has npm/where.js in its place. Both say it
// in the form that browsers and bundlers follow: `new URL("...", import.meta.url)`, written out.

/** @import { Source } from "./model.js" */

import { hasRelaxedSimd } from "./relaxed.js";

/** The worker's module. */
export const workerAt = () => new URL("../worker.js", import.meta.url).href;

/** The program: the wasm that the worker runs, which is faster with relaxed SIMD. */
export const programAt = () =>
  hasRelaxedSimd()
    ? new URL("../wasm/famlens_bg.wasm", import.meta.url).href
    : new URL("../wasm/famlens_plain_bg.wasm", import.meta.url).href;

/**
 * The model for who names none: EfficientNet-Lite0.
 * @returns {Promise<Source>}
 */
export const usualModel = async () => ({
  url: new URL("../../models/efficientnet_lite0/model.json", import.meta.url).href,
});
