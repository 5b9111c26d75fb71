// `cargo xtask bench`: famlens, onnxruntime-web and TensorFlow.js on the same network, the same weights and the same
// input, one after the other in one headless Chromium.

import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { cpus } from "node:os";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { launch } from "../harness/browser.mjs";
import { serve } from "../harness/server.mjs";
import { forms } from "./model.mjs";
import { floors, print, summarise } from "./report.mjs";
import { downloads } from "./sizes.mjs";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    "gpu-rounds": { type: "string", default: "3" },
    only: { type: "string", default: "" },
    out: { type: "string" },
    check: { type: "boolean", default: false },
  },
});

const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));
const dist = path("../../../dist/");
const folder = await mkdtemp(join(tmpdir(), "famlens-bench-"));
const model = forms(await readFile(path("../../../models/efficientnet_lite0/model.onnx")));
await writeFile(join(folder, "int8.onnx"), model.int8);
await writeFile(join(folder, "fp32.onnx"), model.fp32);
await writeFile(join(folder, "network.json"), JSON.stringify(model.network.steps));
await writeFile(join(folder, "weights.bin"), model.network.weights);

const server = await serve({
  mounts: {
    "/dist/": dist,
    "/peers/": path("./node_modules/"),
    "/models/": `${folder}/`,
    "/page/": path("./page/"),
  },
});
const browser = await launch("software");
try {
  const page = await browser.newPage();
  page.on("console", (message) => console.log(message.text()));
  page.on("pageerror", (error) => console.log(`uncaught: ${error.stack ?? error.message}`));
  await page.goto(`${server.origin}/page/index.html`);
  const measured = await page.evaluate((how) => window.bench(how), {
    rounds: Number(options.rounds),
    gpuRounds: Number(options["gpu-rounds"]),
    only: options.only,
  });
  const report = {
    date: new Date().toISOString(),
    machine: { cpu: cpus()[0]?.model, cores: cpus().length, browser: `Chromium ${browser.version()}` },
    ...summarise(measured),
    downloads: await downloads(dist, path("./node_modules/")),
  };
  print(report);
  if (options.out) {
    await writeFile(options.out, `${JSON.stringify(report, null, 2)}\n`);
    console.log(`\nwritten to ${options.out}`);
  }
  if (options.check && floors(report).some(({ met }) => !met)) process.exitCode = 1;
} finally {
  await browser.close();
  await server.close();
  await rm(folder, { recursive: true });
}
