// The faults of tests/web/faults in short: `cargo xtask faults` does all of them, and more often.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";

import { gpuLosses, workerDeaths } from "../faults/deaths.mjs";
import { hostileFiles } from "../faults/hostile.mjs";
import { networkFaults } from "../faults/network.mjs";
import { flat, soak } from "../faults/soak.mjs";
import { storageFaults } from "../faults/storage.mjs";
import { written } from "../harness/native.mjs";

test("150 explanations of changing photos take no more memory than 60", async () => {
  flat(await soak({ explanations: 150, engine: "cpu" }));
});

test("a worker that dies at any moment is told, and the next one goes on", async () => {
  assert.equal((await workerDeaths({ count: 4, seed: Date.now() })).count, 4);
});

test("a GPU that is lost at any moment changes no answer", async () => {
  const { backends } = await gpuLosses({ count: 3, seed: Date.now() });
  assert.equal(backends.webgpu + backends.cpu, 3);
});

test("network faults are told in words and in time", async () => {
  // Each kind once, and each file.
  const chosen = [
    ["worker.js", "missing"],
    ["lens/queue.js", "html"],
    ["wasm/famlens.js", "broken"],
    ["famlens_bg.wasm", "stall"],
    ["model.json", "silent"],
    ["famlens_bg.wasm", "mistyped"],
    ["model.onnx", "damaged"],
    ["model.onnx", "slow"],
    ["statistics.bin", "cut"],
    ["owl.jpg", "stall"],
  ];
  const only = (file, kind) => chosen.some(([one, way]) => one === file && way === kind);
  assert.deepEqual(await networkFaults({ only }), { faults: 8, harmless: 2 });
});

test("storage faults cost what is kept and nothing else, and are told", async () => {
  const left = ["a table that never answers", "switched off"];
  assert.equal((await storageFaults({ only: name => !left.includes(name) })).length, 5);
});

test("a hostile model or side file ends in an answer or a message, and the next good one works", async () => {
  const folder = written("FAMLENS_HOSTILE", "hostile", ["--ignored", "written"]);
  // Those that were found by hand come first; then every fortieth of those that are made.
  const { count, answers } = await hostileFiles({ folder, only: (_, at) => at < 12 || at % 40 === 0 });
  assert.ok(count > 40 && answers > 0, `${answers} of ${count} were answered`);
  if (!process.env.FAMLENS_HOSTILE) rmSync(folder, { recursive: true, force: true });
});
