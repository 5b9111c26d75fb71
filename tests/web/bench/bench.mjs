// `cargo xtask bench`: famlens and its peers on the same network, the same weights and the same input, one after the
// other in one headless Chromium. Without `--model` that is the model that ships, with onnxruntime-web and
// TensorFlow.js; with it a file of the user's, with onnxruntime-web and in time and memory.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { benchOwn } from "./own.mjs";
import { benchShipped } from "./shipped.mjs";
import { stage } from "./stage.mjs";

const { values: options } = parseArgs({
  options: {
    model: { type: "string" },
    rounds: { type: "string", default: "15" },
    "gpu-rounds": { type: "string", default: "3" },
    only: { type: "string", default: "" },
    out: { type: "string" },
    check: { type: "boolean", default: false },
  },
});
const how = { rounds: Number(options.rounds), gpuRounds: Number(options["gpu-rounds"]), only: options.only };

const folder = await mkdtemp(join(tmpdir(), "famlens-bench-"));
const at = await stage(folder);
try {
  const { report, met } = await (options.model ? benchOwn(at, options.model, how) : benchShipped(at, how));
  if (options.out) {
    await writeFile(options.out, `${JSON.stringify(report, null, 2)}\n`);
    console.log(`\nwritten to ${options.out}`);
  }
  if (options.check && !met) process.exitCode = 1;
} finally {
  await at.close();
  await rm(folder, { recursive: true });
}
