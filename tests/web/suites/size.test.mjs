// What a visitor downloads before the model: the wasm and every script of the page.

import assert from "node:assert/strict";
import { test } from "node:test";

import { code } from "../harness/sizes.mjs";
import { DIST } from "../harness/page.mjs";

const MOST = 600_000;

test("wasm and scripts are at most 600 kB gzipped", async () => {
  const { gzipped } = await code(DIST);
  assert.ok(gzipped <= MOST, `they are ${gzipped} bytes`);
});
