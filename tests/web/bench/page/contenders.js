// What the contenders on every model share: their workers, and the photo as they take it.

const ORT = "/peers/onnxruntime-web/dist/";

/**
 * onnxruntime-web on a model.
 * @param {"wasm" | "webgpu"} provider
 * @param {string} model address of the ONNX file
 * @param {Float32Array} input `[1, 3, H, W]`
 * @param {number[]} shape
 */
export function ort(provider, model, input, shape) {
  const worker = new Worker(new URL("./onnxruntime.js", import.meta.url), { type: "module" });
  return contender(worker, { provider, model, dist: ORT, shape }, input);
}

/** One that runs in a worker made with worker.js: the first answer, and a function that times one more. */
export async function contender(worker, start, input) {
  const call = message =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
      worker.onerror = event => reject(new Error(event.message));
      worker.postMessage(message);
    });
  const { output } = await call({ start, input });
  return { cold: output, run: async () => ({ forward: (await call({})).ms }) };
}

/** A photo at the model's own size, so that no contender resizes and all see the same pixels. */
export async function photo(width, height) {
  const bitmap = await createImageBitmap(await (await fetch("/dist/www/examples/kingfisher.jpg")).blob());
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** `[1, 3, H, W]` of `(x - mean) / std`, one of each for every channel, in units of 0 to 255. */
export function normalise({ data, width, height }, mean, std) {
  const plane = width * height;
  return Float32Array.from({ length: 3 * plane }, (_, i) => {
    const channel = Math.floor(i / plane);
    return (data[(i % plane) * 4 + channel] - mean[channel]) / std[channel];
  });
}
