// The pair task on both engines: what makes two photos alike, where to where, random views; and that the engines agree.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, test } from "node:test";

import { saidOnce } from "../../../www/page/pair/notes.js";
import { cosine, inBox, pearson, sum } from "../harness/numbers.mjs";
import { EXAMPLES, SUB_PATH, open, ready, setUp, until } from "../harness/page.mjs";

const { boxes } = JSON.parse(await readFile(`${EXAMPLES}examples.json`, "utf8"));
const given = {};

/** Asks the lens of the page about two of its photos. */
const ask = (page, options = {}) =>
  page.evaluate(async options => {
    const { lens } = window.famlens;
    const photo = name => new URL(`www/examples/${name}.jpg`, location.href).href;
    const request = { a: photo("kingfisher"), b: photo("owl"), ...options };
    const [pair, cells] = [await lens.pair(request), await lens.whereToWhere(request)];
    const embeddings = [await lens.embed(request.a), await lens.embed(request.b)].map(({ embedding }) =>
      Array.from(embedding),
    );
    const side = ({ map, contributions }) => ({
      map: { ...map, data: Array.from(map.data) },
      contributions: Array.from(contributions),
    });
    return {
      ...pair,
      a: side(pair.a),
      b: side(pair.b),
      cells: { ...cells, terms: Array.from(cells.terms) },
      embeddings,
    };
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
      const { similarity, sum } = await page.getByTestId("pair-score").evaluate(one => ({ ...one.dataset }));
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
      for (const value of [
        found.similarity,
        sum(found.a.contributions),
        sum(found.b.contributions),
        sum(found.cells.terms),
        found.cells.sum,
      ]) {
        assert.ok(Math.abs(value - expected) < 1e-4, `${value} is not ${expected}`);
      }
      assert.ok(inBox(found.a.map.peak, boxes["kingfisher.jpg"]), `${found.a.map.peak}`);
      // The form of CAM weighs by the other embedding alone: its map is what each cell adds, times the number of cells.
      const cam = await ask(page, { form: "cam" });
      const rows = Array.from({ length: 49 }, (_, i) => 49 * sum(cam.cells.terms.slice(49 * i, 49 * i + 49)));
      for (const [i, value] of cam.a.map.data.entries())
        assert.ok(
          Math.abs(value - rows[i]) < 1e-3 * Math.max(1, Math.abs(cam.a.map.max)),
          `cell ${i}: ${value} is not ${rows[i]}`,
        );
    });

    test("the centred form splits another similarity", async () => {
      const centred = await ask(page, { form: "centred" });
      assert.ok(Math.abs(sum(centred.cells.terms) - centred.similarity) < 1e-4);
      assert.ok(Math.abs(centred.similarity - given[backend].similarity) > 0.05);
      assert.ok(centred.cells.terms.some(value => value < 0));
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
        const [one, again, other] = [
          await lens.view(photo, { seed: 3 }),
          await lens.view(photo, { seed: 3 }),
          await lens.view(photo, { seed: 4, blur: false, crop: false }),
        ];
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
      await until(
        page,
        first => document.querySelector("[data-testid=pair-score]").dataset.similarity !== first,
        first,
      );
      await ready(page);
      assert.match(await page.getByTestId("pair-text-a").innerText(), /crop \d+ × \d+/);
      const second = await score();
      await page.getByTestId("pair-again").click();
      await until(
        page,
        second => document.querySelector("[data-testid=pair-score]").dataset.similarity !== second,
        second,
      );
    });

    test("while a comparison takes its time, the card says so and shows nothing of the one before", async () => {
      await ready(page);
      const card = page.locator(".pair-result");
      await page.evaluate(() => {
        const { lens } = window.famlens;
        lens.pair = async request => {
          await new Promise(resolve => (window.goOn = resolve));
          delete lens.pair;
          return lens.pair(request);
        };
      });
      await page.getByTestId("pair-again").click();
      await card.locator("progress").waitFor();
      assert.equal((await card.innerText()).trim(), "Comparing with EfficientNet-Lite0");
      assert.deepEqual(await page.getByTestId("pair-score").evaluate(one => Object.keys(one.dataset)), ["testid"]);
      assert.equal(
        await card.locator("progress").evaluate(one => getComputedStyle(one).animationName),
        "sweep",
        "a bar without an end moves",
      );
      assert.equal(await page.getByTestId("app").getAttribute("data-state"), "running");
      assert.ok(
        await page.locator("#busy").isHidden(),
        "it is told once, and nothing lies over the photos to choose from",
      );
      await page.evaluate(() => window.goOn());
      await ready(page);
      assert.ok(Number(await page.getByTestId("pair-score").getAttribute("data-similarity")) > 0.1);
      assert.match(await page.getByTestId("pair-says").innerText(), /^It is the sum of/);
    });

    test("an answer that comes at once is not preceded by a wait", async () => {
      const waits = await page.evaluate(async () => {
        const { lens } = window.famlens;
        const photo = new URL("www/examples/owl.jpg", location.href).href;
        const request = { a: photo, b: photo };
        const [pair, cells] = [await lens.pair(request), await lens.whereToWhere(request)];
        const [opened, view] = [await lens.open(photo), await lens.view(photo, { seed: 1 })];
        const atOnce = { pair, whereToWhere: cells, open: opened, view };
        for (const [name, answer] of Object.entries(atOnce)) lens[name] = async () => answer;
        const score = document.querySelector("[data-testid=pair-score]");
        let waits = 0;
        const watch = new MutationObserver(
          () => (waits += score.querySelector("progress") || !score.textContent ? 1 : 0),
        );
        watch.observe(score, { childList: true });
        // What is drawn of it may take longer than a wait that would be told.
        const { render } = lens;
        lens.render = async (...given) => {
          await new Promise(resolve => setTimeout(resolve, 500));
          return render.apply(lens, given);
        };
        document.querySelector("[data-testid=pair-again]").click();
        await new Promise(resolve => setTimeout(resolve, 1500));
        for (const name of [...Object.keys(atOnce), "render"]) delete lens[name];
        return waits;
      });
      assert.equal(waits, 0);
    });

    test("on a phone nothing covers the photos, and the strip follows the result", async () => {
      await page.setViewportSize({ width: 390, height: 844 });
      await ready(page);
      for (const down of [0, 200, 1e4]) {
        const places = await page.evaluate(async down => {
          scrollTo(0, down);
          await new Promise(requestAnimationFrame);
          return [".pair-side[data-side=b]", ".pair-result", ".pair-strip"]
            .map(name => document.querySelector(name).getBoundingClientRect())
            .map(({ top, bottom }) => ({ top, bottom }));
        }, down);
        for (const [at, gap] of [places[1].top - places[0].bottom, places[2].top - places[1].bottom].entries())
          assert.ok(gap >= 0 && gap < 24, `${at}: ${gap} at ${down}`);
      }
    });

    test("the console stayed clean", () => assert.deepEqual(errors, []));
  });
}

test("what is noted for both photos is said once, with the figures of both", () => {
  assert.deepEqual(saidOnce(["It is 60 % of 2.", "Nothing else.", "It is 46 % of 2.", "Nothing else."]), [
    "It is 60 and 46 % of 2.",
    "Nothing else.",
  ]);
  assert.deepEqual(saidOnce(["0.5 of it."]), ["0.5 of it."]);
});

test("both engines agree", () => {
  const [gpu, cpu] = [given.webgpu, given.cpu];
  assert.ok(gpu && cpu, "both engines gave a result");
  assert.ok(pearson(gpu.cells.terms, cpu.cells.terms) > 0.999);
  for (const side of ["a", "b"]) assert.ok(pearson(gpu[side].map.data, cpu[side].map.data) > 0.999);
});
