// Runs every contender in a worker of its own, cold once and then warm in turn, so that what else happens on the
// machine hits all of them alike.

const ORT = "/peers/onnxruntime-web/dist/";
const TF = "/peers/@tensorflow/";
const SIDE = 224;

/** Contenders in the order they run. `group` is what they are compared within. */
const CONTENDERS = [
  { name: "famlens CPU", group: "cpu", make: (image) => lens("cpu", image) },
  { name: "onnxruntime-web WASM fp32", group: "cpu", make: (_, input) => ort("wasm", "fp32", input) },
  { name: "onnxruntime-web WASM int8", group: "cpu", make: (_, input) => ort("wasm", "int8", input) },
  { name: "TensorFlow.js WASM fp32", group: "cpu", make: (_, input) => tensorflow("wasm", input) },
  { name: "famlens GPU", group: "gpu", make: (image) => lens("webgpu", image) },
  { name: "onnxruntime-web WebGPU fp32", group: "gpu", make: (_, input) => ort("webgpu", "fp32", input) },
  { name: "onnxruntime-web WebGPU int8", group: "gpu", make: (_, input) => ort("webgpu", "int8", input) },
  { name: "TensorFlow.js WebGPU fp32", group: "gpu", make: (_, input) => tensorflow("webgpu", input) },
];

/** Measures everything; called by bench.mjs. */
window.bench = async ({ rounds, gpuRounds, only }) => {
  const image = await photo("/dist/www/examples/kingfisher.jpg");
  const input = normalise(image);
  const chosen = CONTENDERS.filter(({ name }) => new RegExp(only).test(name));
  const results = [];
  for (const { name, group, make } of chosen) {
    const result = { name, group, runs: {} };
    results.push(result);
    try {
      const from = performance.now();
      const { cold, run } = await make(image, input);
      Object.assign(result, { cold: performance.now() - from, embedding: [...cold], run });
      console.log(`${name}: ready, first result after ${result.cold.toFixed(0)} ms`);
    } catch (error) {
      result.error = String(error?.message ?? error);
      console.log(`${name}: FAILED: ${result.error}`);
    }
  }
  for (const [group, count] of [["cpu", rounds], ["gpu", gpuRounds]]) {
    const running = results.filter((result) => result.group === group && result.run);
    // One round that is not counted: just-in-time compilers and caches settle.
    for (let round = -1; round < count; round += 1) {
      for (const result of running) {
        for (const [what, ms] of Object.entries(await result.run())) {
          if (round >= 0) (result.runs[what] ??= []).push(...[ms].flat());
        }
      }
      console.log(`${group}: round ${round + 1} of ${count}`);
    }
  }
  return results.map(({ run, ...result }) => result);
};

/** famlens as a page uses it. One run is one forward pass and one with FAM, each timed in the worker. */
async function lens(backend, image) {
  const { createLens } = await import("/dist/www/famlens.js");
  const made = await createLens({ backend });
  const { embedding } = await made.embed(image);
  return {
    cold: embedding,
    run: async () => {
      const { forward, explain, fam, discriminative, discriminative_large } = await made.bench({ image, runs: 1 });
      return {
        forward,
        "forward + FAM": explain,
        "FAM alone": fam,
        "discriminative, 224": discriminative,
        "discriminative, 320": discriminative_large,
      };
    },
  };
}

function ort(provider, precision, input) {
  const worker = new Worker("./onnxruntime.js", { type: "module" });
  return contender(worker, { provider, model: `/models/${precision}.onnx`, dist: ORT }, input);
}

function tensorflow(provider, input) {
  const script = (name) => `${TF}tfjs-${name}/dist/tf-${name}.min.js`;
  const scripts = ["core", ...(provider === "webgpu" ? ["backend-cpu"] : []), `backend-${provider}`].map(script);
  const start = { provider, scripts, network: "/models/network.json", weights: "/models/weights.bin" };
  return contender(new Worker("./tensorflow.js"), { ...start, wasm: `${TF}tfjs-backend-wasm/dist/` }, input);
}

async function contender(worker, start, input) {
  const call = (message) =>
    new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage(message);
    });
  const { output } = await call({ start, input });
  return { cold: output, run: async () => ({ forward: (await call({})).ms }) };
}

/** A photo at the model's own size, so that no contender resizes and all see the same pixels. */
async function photo(url) {
  const bitmap = await createImageBitmap(await (await fetch(url)).blob());
  const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d");
  context.drawImage(bitmap, 0, 0, SIDE, SIDE);
  return context.getImageData(0, 0, SIDE, SIDE);
}

/** `[1, 3, H, W]` of `(x - 127) / 128`, as the model's description says. */
function normalise({ data }) {
  const plane = SIDE * SIDE;
  return Float32Array.from({ length: 3 * plane }, (_, i) => (data[(i % plane) * 4 + Math.floor(i / plane)] - 127) / 128);
}
