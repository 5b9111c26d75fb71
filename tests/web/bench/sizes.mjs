// What a visitor downloads: the code of famlens and of its peers, as it is and gzipped. The model is not counted.

import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

/** `[{name, files, bytes, gzipped}]` */
export async function downloads(dist, peers) {
  const own = await readdir(dist, { recursive: true });
  const code = own.filter((file) => /\.(js|wasm)$/.test(file)).map((file) => join(dist, file));
  const ort = (...files) => files.map((file) => join(peers, "onnxruntime-web/dist", file));
  const tf = (...files) => files.map((file) => join(peers, "@tensorflow", file));
  return Promise.all([
    weigh("famlens (wasm and all scripts of the page)", code),
    weigh("onnxruntime-web WASM", ort("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")),
    weigh("onnxruntime-web WebGPU", ort("ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm")),
    weigh("TensorFlow.js WASM", tf("tfjs-core/dist/tf-core.min.js", "tfjs-backend-wasm/dist/tf-backend-wasm.min.js", "tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm")),
    weigh("TensorFlow.js WebGPU", tf("tfjs-core/dist/tf-core.min.js", "tfjs-backend-cpu/dist/tf-backend-cpu.min.js", "tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js")),
  ]);
}

async function weigh(name, files) {
  const contents = await Promise.all(files.map((file) => readFile(file)));
  const sum = (size) => contents.reduce((total, content) => total + size(content), 0);
  return { name, files: files.length, bytes: sum((c) => c.length), gzipped: sum((c) => gzipSync(c, { level: 9 }).length) };
}
