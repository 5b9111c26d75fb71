// The contenders on the model that ships, EfficientNet-Lite0.

import { contender, normalise, ort, photo } from "./contenders.js";

const TF = "/peers/@tensorflow/";
const SIDE = 224;
const SHAPE = [1, 3, SIDE, SIDE];

/** Contenders in the order they run. `group` is what they are compared within, `reference` whom with. */
const CONTENDERS = [
  { name: "famlens CPU", group: "cpu", make: image => lens("cpu", image) },
  { name: "onnxruntime-web WASM fp32", group: "cpu", reference: true, make: (_, input) => peer("wasm", "fp32", input) },
  { name: "onnxruntime-web WASM int8", group: "cpu", make: (_, input) => peer("wasm", "int8", input) },
  { name: "TensorFlow.js WASM fp32", group: "cpu", make: (_, input) => tensorflow("wasm", input) },
  { name: "famlens GPU", group: "gpu", make: image => lens("webgpu", image) },
  {
    name: "onnxruntime-web WebGPU fp32",
    group: "gpu",
    reference: true,
    make: (_, input) => peer("webgpu", "fp32", input),
  },
  { name: "onnxruntime-web WebGPU int8", group: "gpu", make: (_, input) => peer("webgpu", "int8", input) },
  { name: "TensorFlow.js WebGPU fp32", group: "gpu", make: (_, input) => tensorflow("webgpu", input) },
];

export async function shipped() {
  const image = await photo(SIDE, SIDE);
  // As the model's description says.
  return { contenders: CONTENDERS, image, input: normalise(image, [127, 127, 127], [128, 128, 128]) };
}

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

const peer = (provider, precision, input) => ort(provider, `/models/${precision}.onnx`, input, SHAPE);

function tensorflow(provider, input) {
  const script = name => `${TF}tfjs-${name}/dist/tf-${name}.min.js`;
  const scripts = ["core", ...(provider === "webgpu" ? ["backend-cpu"] : []), `backend-${provider}`].map(script);
  const start = { provider, scripts, network: "/models/network.json", weights: "/models/weights.bin" };
  return contender(new Worker("./tensorflow.js"), { ...start, wasm: `${TF}tfjs-backend-wasm/dist/` }, input);
}
