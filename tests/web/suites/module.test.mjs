// famlens.js in somebody else's page.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";

import { launch } from "../harness/browser.mjs";
import { inBox } from "../harness/numbers.mjs";
import { DIST, FIXTURES, SUB_PATH, open } from "../harness/page.mjs";
import { serve } from "../harness/server.mjs";

const PHOTOS = fileURLToPath(new URL("../../photos/", import.meta.url));
const MODULE = `${SUB_PATH}www/famlens.js`;

let famlens, other, browser;
before(async () => {
  // A host that lets pages of other origins use its files, as public file hosts do.
  famlens = await serve({
    mounts: { [SUB_PATH]: DIST, "/page/photos/": PHOTOS, "/page/": FIXTURES },
    headers: { "access-control-allow-origin": "*" },
  });
  other = await serve({ mounts: { "/page/photos/": PHOTOS, "/page/": FIXTURES } });
  browser = await launch("none");
});
after(async () => {
  await browser?.close();
  await famlens?.close();
  await other?.close();
});

async function embedded(pageOrigin) {
  const { page, context, errors } = await open(
    browser,
    `${pageOrigin}/page/embed.html?module=${famlens.origin}${MODULE}`,
  );
  await page.locator("#out", { hasText: "name" }).waitFor();
  const found = JSON.parse(await page.locator("#out").innerText());
  assert.equal(found.name, "castle");
  assert.ok(inBox(found.peak, [0, 0, found.query.width, found.query.height]));
  assert.deepEqual(
    errors.filter(error => !error.includes("favicon")),
    [],
  );
  await context.close();
}

test("a page of the same host uses it from a sub-path", () => embedded(famlens.origin));
test("a page of another origin uses it too", () => embedded(other.origin));

describe("its calls", () => {
  let page;
  before(async () => {
    ({ page } = await open(browser, `${famlens.origin}/page/embed.html?module=${famlens.origin}${MODULE}`));
    await page.evaluate(async module => {
      const { createLens } = await import(module);
      window.steps = [];
      window.lens = await createLens({ backend: "cpu", onProgress: progress => window.steps.push(progress) });
    }, MODULE);
  });

  test("the download of program and model is told in bytes, up to all of them", async () => {
    const steps = await page.evaluate(() => window.steps.filter(step => step.phase === "load"));
    const last = steps.at(-1);
    assert.ok(last.total > 6e6 && last.loaded === last.total, JSON.stringify(last));
  });

  test("every kind of image gives the same embedding", async () => {
    const cosines = await page.evaluate(async () => {
      const blob = await (await fetch("photos/fish/fish1.jpg")).blob();
      const bitmap = await createImageBitmap(blob);
      const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const url = new URL("photos/fish/fish1.jpg", location.href);
      const kinds = { url, text: url.href, file: new File([blob], "fish.jpg"), bitmap, canvas, pixels };
      const { embedding: expected } = await window.lens.embed(blob);
      const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
      const cosines = {};
      for (const [kind, image] of Object.entries(kinds)) {
        const { embedding } = await window.lens.embed(image);
        cosines[kind] = dot(embedding, expected) / Math.sqrt(dot(embedding, embedding) * dot(expected, expected));
      }
      return cosines;
    });
    // The browser's JPEG decoder rounds a little differently from ours.
    for (const [kind, cosine] of Object.entries(cosines)) assert.ok(cosine > 0.9995, `${kind}: ${cosine}`);
  });

  test("a request without a form is answered by the usual one, where a form counts", async () => {
    const found = await page.evaluate(async () => {
      const { lens } = window;
      const query = "photos/fish/fish1.jpg";
      const one = [{ name: "a", supports: ["photos/fish/fish6.jpg"] }];
      const two = [...one, { name: "b", supports: ["photos/fish/fish3.jpg"] }];
      const formOf = async request => (await lens.explain({ query, ...request })).form;
      const mapOf = async options => [...(await lens.explainSupport({ image: query, index: 0, ...options })).map.data];
      return {
        usual: lens.info.model.usualForms,
        one: await formOf({ classes: one }),
        two: await formOf({ classes: two }),
        named: await formOf({ classes: two, form: "fam" }),
        method: await formOf({ classes: two, method: "grad-cam" }),
        support: await mapOf({ classes: two }),
        supportNamed: await mapOf({ classes: two, form: "discriminative" }),
        score: (await lens.checkSupports({ classes: two })).score,
        scoreNamed: (await lens.checkSupports({ classes: two, form: "discriminative" })).score,
      };
    });
    assert.deepEqual(found.usual, ["whitened", "discriminative"]);
    assert.deepEqual([found.one, found.two], found.usual);
    assert.deepEqual([found.named, found.method], ["fam", "fam"]);
    assert.deepEqual(found.support, found.supportNamed);
    assert.equal(found.score, found.scoreNamed);
  });

  test("what is wrong is a LensError with a code", async () => {
    const codes = await page.evaluate(async () => {
      const code = promise =>
        promise.then(
          () => "no error",
          error => `${error.name} ${error.code}`,
        );
      const classes = [{ name: "a", supports: ["photos/fish/fish1.jpg"] }];
      return {
        missing: await code(window.lens.embed("photos/none.jpg")),
        noImage: await code(window.lens.embed(new Blob(["text"], { type: "image/png" }))),
        noSupports: await code(
          window.lens.explain({ query: "photos/fish/fish1.jpg", classes: [{ name: "a", supports: [] }] }),
        ),
        noTarget: await code(window.lens.explain({ query: "photos/fish/fish1.jpg", classes, target: "no such layer" })),
        aborted: await code(window.lens.embed("photos/fish/fish3.jpg", { signal: AbortSignal.abort() })).then(
          text => text.split(" ")[0],
        ),
      };
    });
    assert.deepEqual(codes, {
      missing: "LensError network",
      noImage: "LensError image",
      noSupports: "LensError argument",
      noTarget: "LensError target",
      aborted: "AbortError",
    });
  });

  test("after dispose it answers nothing", async () => {
    const code = await page.evaluate(() => {
      window.lens.dispose();
      return window.lens.embed("photos/fish/fish1.jpg").catch(error => error.code);
    });
    assert.equal(code, "disposed");
  });
});
