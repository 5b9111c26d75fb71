// onnxruntime-web in a module worker: WASM on one thread, or WebGPU.

import "./worker.js";

self.serveContender(async ({ provider, model, dist }, input) => {
  const file = provider === "webgpu" ? "ort.webgpu.min.mjs" : "ort.wasm.min.mjs";
  const ort = await import(`${dist}${file}`);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = dist;
  const session = await ort.InferenceSession.create(model, { executionProviders: [provider] });
  const [name] = session.outputNames;
  return async () => {
    // Making the input tensor and reading the embedding back are part of a pass, as they are for every contender.
    const results = await session.run({ image: new ort.Tensor("float32", input, [1, 3, 224, 224]) });
    const data = await results[name].getData();
    results[name].dispose();
    return Float32Array.from(data);
  };
});
