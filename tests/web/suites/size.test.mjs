// What a visitor downloads before the model: the wasm and every script of the page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { code } from "../harness/sizes.mjs";
import { DIST } from "../harness/page.mjs";

// Three tasks, fourteen methods with the gradients they need, whole transformers on both engines, and the measures doubled what one task and
// three forms took (556 kB); the picture of the network is 38 kB.
const MOST = 1_130_000;

test("wasm and scripts are at most 1130 kB gzipped", async () => {
  const { gzipped } = await code(DIST);
  assert.ok(gzipped <= MOST, `they are ${gzipped} bytes`);
});
