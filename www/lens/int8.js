// What int8 weights cost on images of one's own: the model once with its weights as the file has them and once as int8.

import { LensError, bounded } from "./errors.js";
import { createLens } from "./lens.js";

/**
 * @import { Lens } from "./lens.js"
 * @import { CallOptions, ImageLike, Int8Cost, LensImage } from "./types.js"
 */

/**
 * Compares the embeddings of images under the weights as the file has them and under int8 weights. The lens itself is
 * one side; a second one, on the CPU, is the other and is gone afterwards. Stops at a `signal`.
 * @param {Lens} lens
 * @param {Exclude<ImageLike, LensImage>[]} images
 * @param {{onProgress?: (done: number, total: number) => void} & CallOptions} [options]
 * @returns {Promise<Int8Cost>}
 */
export function measureInt8(lens, images, options = {}) {
  return bounded([options], () => compare(lens, images, options));
}

/**
 * @param {Lens} lens
 * @param {Exclude<ImageLike, LensImage>[]} images
 * @param {{onProgress?: (done: number, total: number) => void} & CallOptions} options
 * @returns {Promise<Int8Cost>}
 */
async function compare(lens, images, { onProgress, signal }) {
  if (!lens.model) throw new LensError("argument", "This lens has no model.");
  signal?.throwIfAborted();
  onProgress?.(0, images.length);
  const isInt8 = lens.info.model.storedWeights !== null;
  const other = await createLens({
    model: /** @type {any} */ (lens.model),
    backend: "cpu",
    weights: isInt8 ? "stored" : "int8",
    worker: lens.options.worker,
    program: lens.options.program,
    patience: lens.options.patience,
    signal,
  });
  /** @type {Float32Array[][]} */
  const found = [[], []];
  try {
    for (const [at, image] of images.entries()) {
      signal?.throwIfAborted();
      const [ours, theirs] = await Promise.all([lens.embed(image, { signal }), other.embed(image, { signal })]);
      found[0].push(ours.embedding);
      found[1].push(theirs.embedding);
      // Nothing of it is shown again.
      void other.forget(image);
      onProgress?.(at + 1, images.length);
    }
  } finally {
    other.dispose();
  }
  const stored = (isInt8 ? lens : other).info.model.storedWeights;
  const cosines = images.map((_, at) => cosine(found[0][at], found[1][at]));
  const least = Math.min(...cosines);
  const nearest = found.map(side => side.map((_, at) => nearestOther(side, at)));
  return {
    stored: stored ?? { tensors: 0, bytesBefore: 0, bytesAfter: 0 },
    images: images.length,
    mean: cosines.reduce((sum, value) => sum + value, 0) / cosines.length,
    least,
    worst: cosines.indexOf(least),
    agreement: images.length < 3 ? null : nearest[0].filter((one, at) => one === nearest[1][at]).length / images.length,
  };
}

/** @param {Float32Array[]} all @param {number} at */
function nearestOther(all, at) {
  const alike = all.map((one, index) => (index === at ? -Infinity : cosine(one, all[at])));
  return alike.indexOf(Math.max(...alike));
}

/** @param {Float32Array} a @param {Float32Array} b */
function cosine(a, b) {
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : aa === bb ? 1 : 0;
}
