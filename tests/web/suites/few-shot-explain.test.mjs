// The opening example on both engines: the decision, where the map points, and that the engines agree.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, test } from "node:test";

import { inBox, pearson } from "../harness/numbers.mjs";
import { EXAMPLES, assertOnlyOrigin, explained, openLens, result, setUp, until } from "../harness/page.mjs";

const FORMS = ["fam", "contrastive", "whitened", "discriminative"];
const examples = JSON.parse(await readFile(`${EXAMPLES}examples.json`, "utf8"));
const [opening] = examples.sets;
/** The class of the opening query, a kingfisher. */
const RIGHT = "Bird";

/** What each engine gave for each form, to be compared at the end. */
const given = { webgpu: {}, cpu: {} };

for (const backend of ["webgpu", "cpu"]) {
  describe(`the opening example on ${backend}`, () => {
    const at = setUp("software");
    let lens;
    before(async () => {
      lens = await openLens(at.browser, at.server.origin, { backend, hash: "#few-shot?beside=true" });
    });

    test("is explained without a click, by the engine that was asked for", async () => {
      const found = await result(lens.page);
      assert.equal(found.backend, backend);
      assert.equal(await lens.page.getByTestId("backend").getAttribute("data-backend"), backend);
      const published = await result(lens.page, "published");
      assert.equal(published.form, "fam");
      assert.equal(published.embedded, 1 + opening.classes.flatMap(one => one.supports).length);
      assert.match(await lens.page.getByTestId("privacy").innerText(), /images stay on this machine/i);
    });

    test("shows FAM as published beside a map that tells classes apart, each with a sentence", async () => {
      const panes = await lens.page.getByTestId("pane").filter({ visible: true }).all();
      assert.equal(panes.length, 2);
      for (const pane of panes) assert.match(await pane.locator("figcaption").innerText(), /\w+.*( \S+){5,}\./);
      const [published, chosen] = [await result(lens.page, "published"), await result(lens.page)];
      assert.notEqual(chosen.form, "fam");
      const likeness = found => pearson(found.maps[0].data, found.maps[1].data);
      assert.ok(likeness(published) > 0.9, "plain FAM hardly depends on the class");
      assert.ok(likeness(chosen) < 0.5, "the chosen form does");
    });

    test("is decided right, and the list on screen says the same", async () => {
      const found = await result(lens.page);
      assert.equal(found.classes[found.predicted].name, RIGHT);
      assert.match(await lens.page.getByTestId("prediction").innerText(), new RegExp(RIGHT));
      const shown = await lens.page
        .getByTestId("rank")
        .evaluateAll(all => all.map(one => [one.dataset.name, Number(one.dataset.similarity)]));
      const ranked = found.classes.map(({ name, similarity }) => [name, similarity]).sort((a, b) => b[1] - a[1]);
      assert.deepEqual(shown, ranked);
    });

    test("the contributions of FAM as published add up to the similarity", async () => {
      const found = await result(lens.page, "published");
      for (const [at, { similarity }] of found.classes.entries()) {
        const sum = found.contributions[at].reduce((a, b) => a + b, 0);
        assert.ok(Math.abs(sum - similarity) < 1e-4, `${sum} is not ${similarity}`);
      }
    });

    for (const form of FORMS) {
      test(`form ${form}: the peak is on the object, and changing to it runs no backbone`, async () => {
        const radio = lens.page.locator(`[data-testid=form] input[value=${form}]`);
        const found = (await radio.isChecked())
          ? await result(lens.page)
          : await explained(lens.page, () => radio.check({ force: true }));
        assert.equal(found.form, form);
        assert.equal(found.embedded, 0);
        assert.equal(found.classes[found.predicted].name, RIGHT);
        assert.ok(
          inBox(found.peak, examples.boxes[opening.query]),
          `the peak ${found.peak} is not in the box ${examples.boxes[opening.query]}`,
        );
        const { map } = found;
        assert.equal(map.data.length, map.width * map.height);
        assert.ok(map.max > map.min && map.data.every(Number.isFinite));
        given[backend][form] = found;
      });
    }

    test("another class is shown without running anything", async () => {
      const before = await lens.page.evaluate(
        () => window.famlens.result === (window.lastSeen = window.famlens.result),
      );
      assert.ok(before);
      const pointed = lens.page.getByTestId("class-chip").nth(2);
      const picture = () => lens.page.getByTestId("overlay").evaluate(canvas => canvas.toDataURL());
      const shown = await picture();
      await pointed.hover();
      await until(lens.page, name => window.famlens.state.target === name, await pointed.getAttribute("data-name"));
      await until(lens.page, shown => document.querySelector("[data-testid=overlay]").toDataURL() !== shown, shown);
      await lens.page.mouse.move(0, 0);
      await until(lens.page, name => window.famlens.state.target === name, RIGHT);
      const second = lens.page.getByTestId("rank").nth(1);
      const name = await second.getAttribute("data-name");
      await second.click();
      await until(lens.page, name => window.famlens.state.target === name, name);
      assert.equal(await lens.page.getByTestId("rank").nth(1).getAttribute("aria-pressed"), "true");
      assert.ok(await lens.page.evaluate(() => window.famlens.result === window.lastSeen));
    });

    test("another example runs one forward pass", async () => {
      const file = opening.queries[0];
      await explained(lens.page, () => lens.page.locator(`[data-testid=example][data-file="${file}"]`).click());
      const found = await result(lens.page, "published");
      assert.equal(found.embedded, 1);
      assert.ok(found.timings.forward > 0);
    });

    test("asked nothing of any other origin, and the console stayed clean", () => {
      assertOnlyOrigin(lens.requests, at.server.origin);
      assert.deepEqual(lens.errors, []);
    });
  });
}

describe("both engines", () => {
  for (const form of FORMS) {
    test(`form ${form}: their maps and similarities agree`, () => {
      const [gpu, cpu] = [given.webgpu[form], given.cpu[form]];
      assert.ok(gpu && cpu, "both engines gave a result");
      for (const at of cpu.maps.keys()) {
        // A map that is zero everywhere is that on both.
        assert.equal(gpu.maps[at].constant, cpu.maps[at].constant);
        if (cpu.maps[at].constant) continue;
        const r = pearson(gpu.maps[at].data, cpu.maps[at].data);
        assert.ok(r >= 0.999, `maps of ${cpu.classes[at].name}: Pearson ${r}`);
        const difference = Math.abs(gpu.classes[at].similarity - cpu.classes[at].similarity);
        assert.ok(difference < 1e-3, `similarities of ${cpu.classes[at].name} differ by ${difference}`);
      }
    });
  }
});

describe("auto", () => {
  const at = setUp("software");

  test(
    "measures both engines and takes the faster one: a software adapter does not win by being called " + "GPU",
    async () => {
      const { page, errors } = await openLens(at.browser, at.server.origin, { backend: "auto" });
      await until(page, () => window.famlens.lens.info.engines.every(one => one.milliseconds > 0));
      await page.locator("#backend-button[data-state=ready]").waitFor();
      const { engines, backend } = await page.evaluate(() => window.famlens.lens.info);
      assert.deepEqual(engines.map(one => one.kind).sort(), ["cpu", "webgpu"]);
      const [fastest] = [...engines].sort((a, b) => a.milliseconds - b.milliseconds);
      assert.equal(backend.kind, fastest.kind);
      assert.equal(backend.kind, "cpu", "a GPU emulated by this machine's CPU is slower than the CPU itself");
      assert.match(await page.getByTestId("backend").innerText(), /CPU.*\d/);
      assert.deepEqual(errors, []);
    },
  );
});

describe("a browser without WebGPU", () => {
  const at = setUp("none");

  test("gets the same answer from the CPU", async () => {
    const { page, errors } = await openLens(at.browser, at.server.origin);
    assert.equal(
      await page.evaluate(async () => (await navigator.gpu?.requestAdapter()) ?? null),
      null,
      "this browser has WebGPU after all",
    );
    const found = await result(page);
    assert.equal(found.backend, "cpu");
    assert.equal(found.classes[found.predicted].name, RIGHT);
    assert.deepEqual(errors, []);
  });

  test("says in words that WebGPU cannot be had, and keeps the images", async () => {
    const { page } = await openLens(at.browser, at.server.origin, { backend: "webgpu" });
    const webgpu = await page.evaluate(() => window.famlens.lens.info.engines.find(one => one.kind === "webgpu"));
    assert.equal(webgpu.available, false);
    assert.match(webgpu.reason, /\w+ \w+/);
    const message = await page.getByTestId("message").filter({ hasText: "GPU" }).first().innerText();
    // What the graphics library says of itself is no help to a person.
    assert.doesNotMatch(message, /compiled in|not requested/);
    const found = await result(page);
    assert.equal(found.backend, "cpu");
    assert.equal(await page.getByTestId("support").count(), opening.classes.flatMap(one => one.supports).length);
  });
});
