// The pair task on both engines: what makes two photos alike, where to where, random views; and that the engines agree.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, test } from "node:test";

import { cosine, inBox, pearson, sum } from "../harness/numbers.mjs";
import { EXAMPLES, SUB_PATH, open, ready, setUp, until } from "../harness/page.mjs";

const { boxes } = JSON.parse(await readFile(`${EXAMPLES}examples.json`, "utf8"));
const given = {};

/** Asks the lens of the page about two of its photos. */
const ask = (page, options = {}) =>
  page.evaluate(async (options) => {
    const { lens } = window.famlens;
    const photo = (name) => new URL(`www/examples/${name}.jpg`, location.href).href;
    const request = { a: photo("kingfisher"), b: photo("owl"), ...options };
    const [pair, cells] = [await lens.pair(request), await lens.whereToWhere(request)];
    const embeddings = [await lens.embed(request.a), await lens.embed(request.b)].map(({ embedding }) => Array.from(embedding));
    const side = ({ map, contributions }) => ({ map: { ...map, data: Array.from(map.data) }, contributions: Array.from(contributions) });
    return { ...pair, a: side(pair.a), b: side(pair.b), cells: { ...cells, terms: Array.from(cells.terms) }, embeddings };
  }, options);

for (const backend of ["webgpu", "cpu"]) {
  describe(`a pair on ${backend}`, () => {
    const at = setUp("software");
    let page, errors;
    before(async () => {
      ({ page, errors } = await open(at.browser, `${at.server.origin}${SUB_PATH}?backend=${backend}#pair`));
      await ready(page);
    });

    test("opens with two photos compared, and the figure is the sum of the cells", async () => {
      const { similarity, sum } = await page.getByTestId("pair-score").evaluate((one) => ({ ...one.dataset }));
      assert.ok(Number(similarity) > 0.2 && Number(similarity) < 1, similarity);
      assert.ok(Math.abs(Number(similarity) - Number(sum)) < 1e-4, `${similarity} is not ${sum}`);
      for (const side of ["a", "b"]) assert.ok(await page.getByTestId(`pair-${side}`).locator(".pair-map").isVisible());
    });

    test("contributions, cells and embeddings give one cosine; both maps point at the birds", async () => {
      const found = await ask(page);
      given[backend] = found;
      const expected = cosine(...found.embeddings);
      assert.equal(found.backend, backend);
      assert.deepEqual([found.cells.a, found.cells.b, found.cells.terms.length], [[7, 7], [7, 7], 49 * 49]);
      for (const value of [found.similarity, sum(found.a.contributions), sum(found.b.contributions), sum(found.cells.terms), found.cells.sum]) {
        assert.ok(Math.abs(value - expected) < 1e-4, `${value} is not ${expected}`);
      }
      assert.ok(inBox(found.a.map.peak, boxes["kingfisher.jpg"]), `${found.a.map.peak}`);
      // The form of CAM weighs by the other embedding alone: its map is what each cell adds, times the number of cells.
      const cam = await ask(page, { form: "cam" });
      const rows = Array.from({ length: 49 }, (_, i) => 49 * sum(cam.cells.terms.slice(49 * i, 49 * i + 49)));
      for (const [i, value] of cam.a.map.data.entries()) assert.ok(Math.abs(value - rows[i]) < 1e-3 * Math.max(1, Math.abs(cam.a.map.max)), `cell ${i}: ${value} is not ${rows[i]}`);
    });

    test("the centred form splits another similarity", async () => {
      const centred = await ask(page, { form: "centred" });
      assert.ok(Math.abs(sum(centred.cells.terms) - centred.similarity) < 1e-4);
      assert.ok(Math.abs(centred.similarity - given[backend].similarity) > 0.05);
      assert.ok(centred.cells.terms.some((value) => value < 0));
    });

    test("pointing at a cell lights the other photo, and the keys do the same", async () => {
      const a = page.getByTestId("pair-a");
      const { x, y, width, height } = await a.boundingBox();
      await page.mouse.move(x + width * 0.3, y + height * 0.3);
      await page.mouse.move(x + width * 0.5, y + height * 0.5);
      await page.getByTestId("pair-glow-b").waitFor({ state: "visible" });
      assert.match(await page.getByTestId("pair-says").innerText(), /Column 4, row 4 of the first carries [\d.-]+ %/);
      await page.mouse.move(2, 2);
      await page.getByTestId("pair-glow-b").waitFor({ state: "hidden" });
      const b = page.getByTestId("pair-b");
      await b.focus();
      await page.keyboard.press("ArrowRight");
      await page.getByTestId("pair-glow-a").waitFor({ state: "visible" });
      const before = await page.getByTestId("pair-says").innerText();
      await page.keyboard.press("ArrowLeft");
      assert.notEqual(await page.getByTestId("pair-says").innerText(), before);
      await page.keyboard.press("Escape");
      await page.getByTestId("pair-glow-a").waitFor({ state: "hidden" });
    });

    test("two views of one photo: seeded, told, and compared", async () => {
      const drawn = await page.evaluate(async () => {
        const { lens } = window.famlens;
        const photo = new URL("www/examples/owl.jpg", location.href).href;
        const [one, again, other] = [await lens.view(photo, { seed: 3 }), await lens.view(photo, { seed: 3 }), await lens.view(photo, { seed: 4, blur: false, crop: false })];
        const same = one.image.data.every((value, i) => value === again.image.data[i]);
        const { similarity } = await lens.pair({ a: one.image, b: other.image });
        return { same, one: one.view, other: other.view, similarity };
      });
      assert.ok(drawn.same);
      assert.ok(drawn.one.crop && drawn.other.crop === null && drawn.other.blur === null);
      assert.ok(drawn.similarity > 0.1 && drawn.similarity < 1);
      const score = () => page.getByTestId("pair-score").getAttribute("data-similarity");
      const first = await score();
      await page.locator("[data-testid=pair-mode] input[value=views]").check({ force: true });
      await until(page, (first) => document.querySelector("[data-testid=pair-score]").dataset.similarity !== first, first);
      await ready(page);
      assert.match(await page.getByTestId("pair-text-a").innerText(), /crop \d+ × \d+/);
      const second = await score();
      await page.getByTestId("pair-again").click();
      await until(page, (second) => document.querySelector("[data-testid=pair-score]").dataset.similarity !== second, second);
    });

    test("the console stayed clean", () => assert.deepEqual(errors, []));
  });
}

test("both engines agree", () => {
  const [gpu, cpu] = [given.webgpu, given.cpu];
  assert.ok(gpu && cpu, "both engines gave a result");
  assert.ok(pearson(gpu.cells.terms, cpu.cells.terms) > 0.999);
  for (const side of ["a", "b"]) assert.ok(pearson(gpu[side].map.data, cpu[side].map.data) > 0.999);
});
