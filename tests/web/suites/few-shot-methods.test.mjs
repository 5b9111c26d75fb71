// Methods side by side, through famlens.js in a page of somebody else.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";

import { launch } from "../harness/browser.mjs";
import { DIST, FIXTURES, SUB_PATH, open } from "../harness/page.mjs";
import { serve } from "../harness/server.mjs";

const PHOTOS = fileURLToPath(new URL("../../photos/", import.meta.url));
const MODULE = `${SUB_PATH}www/famlens.js`;

for (const backend of ["cpu", "webgpu"]) {
  describe(`compareMethods on ${backend}`, () => {
    let server, browser, page;
    before(async () => {
      server = await serve({ mounts: { [SUB_PATH]: DIST, "/page/photos/": PHOTOS, "/page/": FIXTURES } });
      browser = await launch(backend === "cpu" ? "none" : "software");
      ({ page } = await open(browser, `${server.origin}/page/embed.html?module=${server.origin}${MODULE}`));
      await page.evaluate(
        async ([module, backend]) => {
          const { createLens } = await import(module);
          window.steps = [];
          window.lens = await createLens({ backend, onProgress: progress => window.steps.push(progress) });
        },
        [MODULE, backend],
      );
    });
    after(async () => {
      await browser?.close();
      await server?.close();
    });

    test("every method gives a map a class, with what it cost", async () => {
      const found = await page.evaluate(async () => {
        const classes = [
          { name: "fish", supports: ["photos/fish/fish1.jpg"] },
          { name: "bird", supports: ["photos/bird/owl.jpg"] },
        ];
        const methods = ["fam", "grad-cam", "eigen-cam", "rise"];
        const result = await window.lens.compareMethods({
          query: "photos/bird/duck.jpg",
          classes,
          methods,
          methodOptions: { masks: 3 },
        });
        return {
          ...result,
          methods: result.methods.map(({ method, maps, cost }) => ({
            method,
            sizes: maps.map(m => m.data.length),
            cost,
          })),
        };
      });
      assert.equal(found.backend, backend);
      assert.equal(found.score, "cosine");
      assert.deepEqual(
        found.methods.map(m => m.method),
        ["fam", "grad-cam", "eigen-cam", "rise"],
      );
      assert.deepEqual(found.methods[1].sizes, [49, 49]);
      assert.deepEqual(found.methods[3].sizes, [224 * 224, 224 * 224]);
      assert.equal(found.methods[1].cost.passes.backward, 2);
      assert.equal(found.methods[3].cost.passes.forward, 3);
      assert.ok(found.methods.every(m => m.cost.milliseconds > 0 && m.cost.bytes > 0));
    });

    test("a logit needs no classes", async () => {
      const found = await page.evaluate(async () => {
        const against = { logit: ["goldfish", "tabby"] };
        const { classes, predicted, methods } = await window.lens.compareMethods({
          query: "photos/fish/fish1.jpg",
          methods: ["cam"],
          against,
        });
        return { classes, predicted, constant: methods[0].maps[0].constant };
      });
      assert.deepEqual(
        found.classes.map(c => c.name),
        ["goldfish", "tabby"],
      );
      assert.equal(found.constant, false);
    });

    test("a long one tells of its passes and can be cancelled", async () => {
      const { name, steps } = await page.evaluate(async () => {
        const abort = new AbortController();
        window.steps.length = 0;
        const against = { logit: 1 };
        const request = window.lens.compareMethods({
          query: "photos/fish/fish1.jpg",
          methods: ["rise"],
          against,
          methodOptions: { masks: 20000 },
          signal: abort.signal,
        });
        const told = () => window.steps.filter(step => step.phase === "method");
        const timer = setInterval(() => told().length > 1 && abort.abort(), 20);
        const name = await request.then(
          () => "done",
          error => error.name,
        );
        clearInterval(timer);
        return { name, steps: told() };
      });
      assert.equal(name, "AbortError");
      assert.equal(steps[0].method, "rise");
      assert.equal(steps[0].total, 20000);
      // The worker is free again.
      const { constant } = await page.evaluate(async () => {
        const { methods } = await window.lens.compareMethods({
          query: "photos/fish/fish1.jpg",
          methods: ["mean"],
          against: { logit: 1 },
        });
        return { constant: methods[0].maps[0].constant };
      });
      assert.equal(constant, false);
    });
  });
}
