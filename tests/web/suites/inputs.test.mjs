// Inputs of every kind through the page's own module: the mean of the layer's cells against ONNX Runtime's on what
// Pillow made of the picture (tests/inputs/make.py), on both engines; and a rectangle brought to the model room.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";

import { openLens, ready, setUp, until } from "../harness/page.mjs";

const TESTS = new URL("../../", import.meta.url);
const CASES = JSON.parse(await readFile(new URL("inputs/index.json", TESTS), "utf8"));
const bytes = async path => Array.from(await readFile(new URL(path, TESTS)));

const at = setUp("software");

/** Loads a case as a page of someone's would, and embeds its pictures. */
const measured = (page, { manifest, onnx, pictures, backend }) =>
  page.evaluate(
    async ({ manifest, onnx, pictures, backend }) => {
      const { createLens } = await import(new URL("www/famlens.js", location.href).href);
      const lens = await createLens({ backend, model: { manifest, bytes: new Uint8Array(onnx) } });
      try {
        const embeddings = [];
        for (const picture of pictures) {
          const blob = new Blob([new Uint8Array(picture)], { type: "image/png" });
          embeddings.push(Array.from((await lens.embed(blob)).embedding));
        }
        return { embeddings, model: lens.info.model };
      } finally {
        lens.dispose();
      }
    },
    { manifest, onnx, pictures, backend },
  );

for (const backend of ["cpu", "webgpu"]) {
  describe(`inputs of every kind, on ${backend}`, () => {
    let lens;
    before(async () => {
      lens = await openLens(at.browser, at.server.origin, { backend });
    });
    after(() => lens?.context.close());

    for (const one of CASES) {
      test(one.name, async () => {
        const names = Object.keys(one.pictures);
        const pictures = await Promise.all(names.map(name => bytes(`goldens/engine/${name}`)));
        const manifest = { format: 1, name: one.name, target: one.target, pooling: "gap", input: one.spec };
        const found = await measured(lens.page, { manifest, onnx: await bytes(one.file), pictures, backend });
        assert.deepEqual(
          [found.model.inputHeight, found.model.inputWidth, found.model.channels],
          [one.height, one.width, one.channels],
        );
        names.forEach((name, place) => {
          const expected = one.pictures[name].mean;
          const largest = Math.max(...expected.map(Math.abs));
          const off = Math.max(...expected.map((value, i) => Math.abs(value - found.embeddings[place][i])));
          assert.equal(found.embeddings[place].length, expected.length);
          assert.ok(off <= 5e-3 * largest, `${name}: off by ${off} of ${largest}`);
        });
      });
    }

    test("a rectangle is brought with nothing said about it", async () => {
      const { page } = lens;
      await page.locator("#model-button").click();
      const buffer = Buffer.from(await readFile(new URL("cases/rectangular_256x128.onnx", TESTS)));
      const file = { name: "reid.onnx", mimeType: "application/octet-stream", buffer };
      await page.getByTestId("model-input").setInputFiles([file]);
      await page.getByTestId("model-apply").click();
      await until(page, () => window.famlens.lens?.info.model.name === "reid");
      await ready(page);
      const said = page.getByTestId("model-assumptions");
      assert.match(await said.innerText(), /ImageNet's mean and standard deviation/);
      assert.equal(await page.getByTestId("model-size").inputValue(), "256x128");
      const map = await page.evaluate(async () => {
        const query = new URL("www/examples/kingfisher.jpg", location.href).href;
        const support = new URL("www/examples/owl.jpg", location.href).href;
        const found = await window.famlens.lens.explain({ query, classes: [{ name: "owl", supports: [support] }] });
        return found.map;
      });
      assert.deepEqual([map.width, map.height], [32, 64]);
    });

    test("bytes are recognised", async () => {
      const { page } = lens;
      const buffer = Buffer.from(await readFile(new URL("cases/uint8_input.onnx", TESTS)));
      const file = { name: "bytes.onnx", mimeType: "application/octet-stream", buffer };
      await page.getByTestId("model-input").setInputFiles([file]);
      await page.getByTestId("model-apply").click();
      await until(page, () => window.famlens.lens?.info.model.name === "bytes");
      await ready(page);
      assert.match(await page.getByTestId("model-assumptions").innerText(), /pixels as bytes/);
    });

    test("the console stayed clean", () => assert.deepEqual(lens.errors, []));
  });
}
