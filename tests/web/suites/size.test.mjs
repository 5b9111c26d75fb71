// What a visitor downloads before the model: the wasm and every script of the page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { code } from "../harness/sizes.mjs";
import { DIST } from "../harness/page.mjs";

// Three tasks, fourteen methods with the gradients they need, whole transformers on both engines, and the measures
// doubled what one task and three forms took (556 kB); since then the picture of the network (38 kB), weights as int8
// on load, galleries with near-duplicates, and the model's own embedding carried back to a layer (23 kB); what tells
// of every fault, lists what is stored and leads on a narrow page (24 kB of scripts, which are not minified); and in
// the wasm (103 kB) the bounds of every size that comes from a file, colour profiles and whole photos, protocols of
// evaluation, and the operators and functions that the importer has learned. The limit is 1 % above what a build
// without wasm-opt reaches.
const MOST = 1_330_000;

test("wasm and scripts are at most 1330 kB gzipped", async () => {
  const { gzipped } = await code(DIST);
  assert.ok(gzipped <= MOST, `they are ${gzipped} bytes`);
});
