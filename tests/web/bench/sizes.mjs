// What a visitor downloads: the code of famlens and of its peers, as it is and gzipped. The model is not counted.

import { join } from "node:path";

import { code, weigh } from "../harness/sizes.mjs";

/** `[{name, files, bytes, gzipped}]` */
export async function downloads(dist, peers) {
  const ort = (...files) => files.map(file => join(peers, "onnxruntime-web/dist", file));
  const tf = (...files) => files.map(file => join(peers, "@tensorflow", file));
  const contenders = {
    "famlens (wasm and all scripts of the page)": code(dist),
    "onnxruntime-web WASM": weigh(ort("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")),
    "onnxruntime-web WebGPU": weigh(
      ort("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm"),
    ),
    "TensorFlow.js WASM": weigh(
      tf(
        "tfjs-core/dist/tf-core.min.js",
        "tfjs-backend-wasm/dist/tf-backend-wasm.min.js",
        "tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm",
      ),
    ),
    "TensorFlow.js WebGPU": weigh(
      tf(
        "tfjs-core/dist/tf-core.min.js",
        "tfjs-backend-cpu/dist/tf-backend-cpu.min.js",
        "tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js",
      ),
    ),
  };
  return Promise.all(Object.entries(contenders).map(async ([name, size]) => ({ name, ...(await size) })));
}
