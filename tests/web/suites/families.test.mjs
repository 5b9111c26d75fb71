// Networks of the families that people bring, as small variants of what the recipes export: dropped in with nothing
// said about them, the target layer is found and a pair is explained, on both engines alike.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";

import { cosine, pearson, sum } from "../harness/numbers.mjs";
import { openLens, ready, setUp, until } from "../harness/page.mjs";

const FAMILIES = [
  { name: "resnet50", target: "relu12", maps: [128, 2, 2], after: /global average pooling/ },
  { name: "mobilenet_v3_large", target: "hardswish19", maps: [144, 2, 2], after: /global average pooling/ },
  { name: "vit_new", target: "add12", maps: [24, 4, 4], after: /class token/ },
];

const at = setUp("software");
const given = {};

/** Brings a network to the page, and asks for two photos and what makes them alike. */
async function pairWith(page, { name }) {
  const buffer = await readFile(new URL(`../../families/${name}.onnx`, import.meta.url));
  await page.locator("#model-button").click();
  await page
    .getByTestId("model-input")
    .setInputFiles([{ name: `${name}.onnx`, mimeType: "application/octet-stream", buffer }]);
  const before = await page.getByTestId("pair-score").getAttribute("data-similarity");
  await page.getByTestId("model-apply").click();
  await until(page, before => document.querySelector("[data-testid=pair-score]").dataset.similarity !== before, before);
  await ready(page);
  await page.keyboard.press("Escape");
  const shown = await page.getByTestId("pair-score").evaluate(one => ({ ...one.dataset }));
  const found = await page.evaluate(async () => {
    const { lens } = window.famlens;
    const [a, b] = ["kingfisher", "owl"].map(name => new URL(`www/examples/${name}.jpg`, location.href).href);
    const [pair, cells] = [await lens.pair({ a, b }), await lens.whereToWhere({ a, b })];
    const embeddings = [await lens.embed(a), await lens.embed(b)].map(({ embedding }) => Array.from(embedding));
    const { layers, target, after } = await lens.network();
    const maps = [pair.a, pair.b].map(({ map }) => Array.from(map.data));
    return {
      pair,
      maps,
      terms: Array.from(cells.terms),
      embeddings,
      target: layers[target],
      after: after.says,
      model: lens.info.model,
    };
  });
  return { ...found, shown, notes: await page.getByTestId("pair-notes").locator("li").count() };
}

for (const backend of ["webgpu", "cpu"]) {
  describe(`a network that is brought, on ${backend}`, () => {
    let lens;
    before(async () => {
      lens = await openLens(at.browser, at.server.origin, { backend, hash: "#pair" });
      given[backend] = {};
    });
    after(() => lens?.context.close());

    for (const family of FAMILIES) {
      test(`${family.name}: its target layer is found and a pair explained`, async () => {
        const found = await pairWith(lens.page, family);
        given[backend][family.name] = found;
        assert.equal(found.pair.backend, backend);
        assert.equal(found.model.name, family.name);
        assert.equal(found.target.name, family.target);
        assert.deepEqual(found.target.maps, family.maps);
        assert.match(found.after, family.after);
        const [, height, width] = family.maps;
        assert.equal(found.terms.length, (height * width) ** 2);
        const expected = cosine(...found.embeddings);
        for (const value of [found.pair.similarity, sum(found.terms)]) {
          assert.ok(Math.abs(value - expected) < 1e-4, `${value} is not ${expected}`);
        }
        const { similarity, sum: cells } = found.shown;
        assert.equal(
          found.notes,
          family.name === "resnet50" ? 0 : 1,
          "that values are negative is noted of both photos and said once",
        );
        assert.ok(Math.abs(Number(similarity) - Number(cells)) < 1e-4, `on the page, ${similarity} is not ${cells}`);
      });
    }

    test("clip_resnet: its own embedding, behind attention, is compared where the settings say so", async () => {
      const { page } = lens;
      await page.locator("#model-button").click();
      const buffer = await readFile(new URL("../../families/clip_resnet.onnx", import.meta.url));
      await page
        .getByTestId("model-input")
        .setInputFiles([{ name: "clip_resnet.onnx", mimeType: "application/octet-stream", buffer }]);
      await page.getByTestId("model-pooling").selectOption("model");
      await page.getByTestId("model-apply").click();
      await until(page, () => document.querySelector("[data-testid=pair-score]").dataset.sum === "");
      await ready(page);
      await page.keyboard.press("Escape");
      assert.match(await page.getByTestId("pair-says").innerText(), /Where to where is for means/);
      assert.match(await page.getByTestId("pair-notes").innerText(), /model's own embedding, "y"/);
      assert.ok(await page.getByTestId("pair-a").locator(".pair-map").isVisible());
      const found = await page.evaluate(async () => {
        const { lens } = window.famlens;
        const [a, b] = ["kingfisher", "owl"].map(name => new URL(`www/examples/${name}.jpg`, location.href).href);
        const {
          similarity,
          a: { map },
        } = await lens.pair({ a, b });
        const embeddings = [await lens.embed(a), await lens.embed(b)].map(({ embedding }) => Array.from(embedding));
        const plain = await lens.pair({ a, b, pooling: "gap" });
        return { similarity, map: Array.from(map.data), embeddings, plain: plain.similarity };
      });
      assert.deepEqual([found.embeddings[0].length, found.map.length], [12, 16]);
      assert.ok(Math.abs(found.similarity - cosine(...found.embeddings)) < 1e-4);
      assert.ok(Math.abs(found.similarity - found.plain) > 0.01, "the mean of the cells is something else");
    });

    test("a pair is explained at an early layer too, whose cells are too many to be paired", async () => {
      const { page } = lens;
      await page.locator("#model-button").click();
      const buffer = await readFile(new URL("../../families/resnet18.onnx", import.meta.url));
      await page
        .getByTestId("model-input")
        .setInputFiles([{ name: "resnet18.onnx", mimeType: "application/octet-stream", buffer }]);
      await page.getByTestId("model-size").fill("160");
      await page.getByTestId("model-apply").click();
      await until(page, () => window.famlens.lens?.info.model.name === "resnet18");
      // The layers are known once the model is there.
      await page.getByTestId("model-target").selectOption("relu0");
      await page.getByTestId("model-apply").click();
      await until(page, () => window.famlens.lens?.info.model.target === "relu0");
      await ready(page);
      await page.keyboard.press("Escape");
      assert.match(
        await page.getByTestId("pair-says").innerText(),
        /No where to where: .*6400 x 6400.*choose a later layer/,
      );
      assert.ok(await page.getByTestId("pair-b").locator(".pair-map").isVisible());
      assert.ok(Number(await page.getByTestId("pair-score").getAttribute("data-similarity")) <= 1);
    });

    test("the console stayed clean", () => assert.deepEqual(lens.errors, []));
  });
}

for (const { name } of FAMILIES) {
  test(`${name} means the same on both engines`, () => {
    const [gpu, cpu] = [given.webgpu[name], given.cpu[name]];
    assert.ok(Math.abs(gpu.pair.similarity - cpu.pair.similarity) < 1e-4);
    assert.ok(pearson(gpu.terms, cpu.terms) > 0.999);
    for (const [side, map] of gpu.maps.entries()) {
      const scale = Math.max(...cpu.maps[side].map(Math.abs));
      for (const [i, value] of map.entries())
        assert.ok(Math.abs(value - cpu.maps[side][i]) < 1e-3 * scale, `${value} is not ${cpu.maps[side][i]}`);
    }
  });
}
