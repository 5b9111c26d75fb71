// The files of a model: weights in a second file, files of other formats, and the layer that is found in every family.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, test } from "node:test";
import { fileURLToPath } from "node:url";

import { DIST, FIXTURES, SUB_PATH, explained, open, openLens, ready, setUp } from "../harness/page.mjs";
import { serve } from "../harness/server.mjs";

const EXTERNAL = new URL("../fixtures/external/", import.meta.url);
const FAMILIES = new URL("../../families/", import.meta.url);

const at = setUp("none");
let lens;
afterEach(() => lens?.context.close());

const file = (name, buffer) => ({ name, mimeType: "application/octet-stream", buffer: Buffer.from(buffer) });
const beside = async name => file(name, await readFile(new URL(name, EXTERNAL)));

test("weights in a second file are read when both are chosen, and asked for when one is missing", async () => {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  const { page } = lens;
  await page.locator("#model-button").click();
  await page.getByTestId("model-input").setInputFiles([await beside("model.onnx")]);
  await page.getByTestId("model-apply").click();
  await page.getByTestId("model-error").filter({ hasText: "model.onnx.data" }).waitFor();
  await ready(page);

  await page.getByTestId("model-input").setInputFiles([await beside("model.onnx"), await beside("model.onnx.data")]);
  const found = await explained(page, () => page.getByTestId("model-apply").click());
  const { target, targets } = await page.evaluate(() => window.famlens.lens.info.model);
  assert.equal(target, targets[0]);
  assert.equal(found.target, target);
  assert.deepEqual(lens.errors, []);
});

test("the module finds in every family the layer that `famlens inspect` finds", async () => {
  const folder = fileURLToPath(FAMILIES);
  const server = await serve({ mounts: { [SUB_PATH]: DIST, "/page/families/": folder, "/page/": FIXTURES } });
  const { page, context } = await open(at.browser, `${server.origin}/page/blank.html`);
  const index = JSON.parse(await readFile(new URL("index.json", FAMILIES), "utf8"));
  const families = index.map(({ name, input, target }) => ({ name, size: input.slice(2), target }));
  const wrong = await page.evaluate(
    async ({ module, families }) => {
      const { createLens } = await import(module);
      const differences = [];
      for (const { name, size, target } of families) {
        const bytes = await (await fetch(`families/${name}.onnx`)).arrayBuffer();
        const [height, width] = size;
        const side = height === width ? { size: height } : { height, width };
        const input = { ...side, stride: 1, mean: [127.5, 127.5, 127.5], std: [127.5, 127.5, 127.5] };
        try {
          const lens = await createLens({ backend: "cpu", model: { manifest: { format: 1, name, input }, bytes } });
          const found = lens.info.model.target;
          if (found !== target) differences.push(`${name}: ${found}, and should be ${target}`);
          lens.dispose();
        } catch (error) {
          differences.push(`${name}: ${error}`);
        }
      }
      return differences;
    },
    { module: `${SUB_PATH}www/famlens.js`, families },
  );
  await context.close();
  await server.close();
  assert.deepEqual(wrong, []);
});
