// onnxruntime-web in a module worker: WASM on one thread, or WebGPU.

import "./worker.js";

self.serveContender(async ({ provider, model, dist, shape }, input) => {
  const file = provider === "webgpu" ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs";
  const ort = await import(`${dist}${file}`);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = dist;
  const session = await ort.InferenceSession.create(model, { executionProviders: [provider] });
  const [name] = session.outputNames;
  const [{ name: image, type, shape: declared }] = session.inputMetadata;
  const { data, dims } =
    declared.at(-1) === 3 && declared[1] !== 3 ? channelsLast(input, shape) : { data: input, dims: shape };
  const typed = type === "float16" ? new Float16Array(data) : data;
  return async () => {
    // Making the input tensor and reading the embedding back are part of a pass, as they are for every contender.
    const results = await session.run({ [image]: new ort.Tensor(type, typed, dims) });
    const data = await results[name].getData();
    results[name].dispose();
    return Float32Array.from(data);
  };
});

/** The input of a network that takes `[1, H, W, 3]`. */
function channelsLast(input, [batch, channels, height, width]) {
  const plane = height * width;
  const data = Float32Array.from(input, (_, i) => input[(i % channels) * plane + Math.floor(i / channels)]);
  return { data, dims: [batch, height, width, channels] };
}
