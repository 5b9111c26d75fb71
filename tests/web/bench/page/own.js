// The contenders on a model of the user's: what famlens finds in it, and famlens and onnxruntime-web up to there.

import { normalise, ort, photo } from "./contenders.js";

/**
 * Addresses of the model's description and of the file for onnxruntime-web, and how a photo is fed.
 * @typedef {{manifest: string, cut: string, shape: number[], mean: number[], std: number[]}} Own
 */

/** @param {Own} model */
export async function own({ manifest, cut, shape, mean, std }) {
  const [, , height, width] = shape;
  const image = await photo(width, height);
  const peer = provider => (_, input) => ort(provider, cut, input, shape);
  const contenders = [
    { name: "famlens CPU", group: "cpu", make: image => lens(manifest, "cpu", image) },
    { name: "onnxruntime-web WASM", group: "cpu", reference: true, make: peer("wasm") },
    { name: "famlens GPU", group: "gpu", make: image => lens(manifest, "webgpu", image) },
    { name: "onnxruntime-web WebGPU", group: "gpu", reference: true, make: peer("webgpu") },
  ];
  return { contenders, image, input: normalise(image, mean, std) };
}

/** The input and the target layer that famlens finds in a model. @param {string} manifest */
export async function describe(manifest) {
  const { createLens } = await import("/dist/www/famlens.js");
  const made = await createLens({ model: manifest, backend: "cpu" });
  const { input, layers, target } = await made.network();
  made.dispose();
  const { name, maps, layout, tokens, cost } = layers[target];
  return { name: made.info.model.name, shape: input, target: { name, maps, layout, tokens, cost } };
}

/**
 * famlens as a page uses it. One run embeds the photo as if it were new; its time is the worker's, without making the
 * input of the pixels.
 */
async function lens(model, backend, image) {
  const { createLens } = await import("/dist/www/famlens.js");
  const made = await createLens({ model, backend });
  const embed = async () => {
    const opened = await made.open(image);
    const { embedding, ms } = await made.embed(opened);
    await made.forget(opened);
    return { embedding, ms };
  };
  const { embedding } = await embed();
  return { cold: embedding, run: async () => ({ forward: (await embed()).ms }) };
}
