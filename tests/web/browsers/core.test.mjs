// What matters most, in Firefox: the same page, the same answers as in Chromium, on the CPU.
//
//   FIREFOX=... GECKODRIVER=... CHROME=... node --test browsers/core.test.mjs
//
// `cargo xtask test browsers` sets these; a browser that is not there is shown as skipped.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";

import { launch } from "../harness/browser.mjs";
import { SUB_PATH, openLens, result, serveDist, until } from "../harness/page.mjs";
import { Browser } from "../harness/webdriver.mjs";

const { FIREFOX, GECKODRIVER } = process.env;
const path = name => fileURLToPath(new URL(`../../${name}`, import.meta.url));

const BROWSERS = {
  Firefox: {
    there: FIREFOX && GECKODRIVER,
    driver: GECKODRIVER,
    capabilities: { "moz:firefoxOptions": { binary: FIREFOX, args: ["-headless"] } },
  },
};

/** How far two browsers' figures may be apart, of the largest. */
const APART = 1e-4;

/** @param {number[]} found @param {number[]} expected @param {string} what */
function same(found, expected, what) {
  assert.equal(found.length, expected.length, what);
  const largest = Math.max(...expected.map(Math.abs));
  for (const [at, one] of expected.entries())
    assert.ok(Math.abs(found[at] - one) <= APART * largest, `${what} ${at}: ${found[at]} is not ${one}`);
}

let server, expected;
before(async () => {
  server = await serveDist();
  const browser = await launch("none");
  const { page } = await openLens(browser, server.origin, { backend: "cpu" });
  await until(page, () => window.famlens.result !== null);
  expected = await result(page);
  await browser.close();
});
after(() => server?.close());

const isReady = () => document.querySelector("[data-testid=app]").dataset.state === "ready";
const isExplained = () => window.famlens.result !== null;
const answer = () => ({
  form: window.famlens.result.form,
  predicted: window.famlens.result.predicted,
  classes: window.famlens.result.classes.map(({ name, similarity }) => ({ name, similarity })),
  maps: window.famlens.result.maps.map(({ data }) => Array.from(data)),
});

/** In the page: another model than the page's own, given as files. */
async function ownModel(url) {
  const { createLens } = await import(`${url}www/famlens.js`);
  const bytes = await (await fetch(`${url}models/efficientnet_lite2/model.onnx`)).blob();
  const manifest = await (await fetch(`${url}models/efficientnet_lite2/model.json`)).json();
  const lens = await createLens({ model: { manifest, bytes }, backend: "cpu" });
  const photo = one => `${url}www/examples/${one}.jpg`;
  const classes = [
    { name: "bird", supports: [photo("owl")] },
    { name: "fish", supports: [photo("goldfish")] },
  ];
  const found = await lens.explain({ query: photo("kingfisher"), classes, form: "fam" });
  lens.dispose();
  return [lens.info.model.name, found.classes[found.predicted].name];
}

/** In the page: a gallery of some photos, and what of it was known. */
async function gallery(url) {
  const { createLens, createGallery } = await import(`${url}www/famlens.js`);
  const lens = await createLens({ backend: "cpu" });
  const made = await createGallery(lens, { workers: 1 });
  const names = ["owl", "chickens", "goldfish", "clownfish", "cow", "bison", "duck", "sheep"];
  let last = {};
  const onProgress = progress => {
    last = progress;
  };
  const { notKept } = await made.add(
    names.map(one => `${url}www/examples/${one}.jpg`),
    { onProgress },
  );
  const { hits } = await made.rank(`${url}www/examples/owl.jpg`, { top: 3 });
  lens.dispose();
  return { known: last.known, embedded: last.embedded, first: hits[0].name, notKept: notKept ?? null };
}

/**
 * Runs a function as a script of the page itself, and not in the world that WebDriver's scripts live in.
 * @param {Browser} browser
 * @param {(url: string) => Promise<unknown>} work
 * @param {string} url
 */
async function asScript(browser, work, url) {
  await browser.run(
    code => {
      const script = document.createElement("script");
      script.type = "module";
      script.textContent = code;
      document.head.append(script);
    },
    `(${work})(${JSON.stringify(url)}).then(
      value => { document.title = JSON.stringify({ value }); },
      error => { document.title = JSON.stringify({ error: error.message }); });`,
  );
  await browser.until(() => document.title.startsWith("{"));
  const { value, error } = JSON.parse(await browser.run(() => document.title));
  if (error) throw new Error(error);
  return value;
}

for (const [name, how] of Object.entries(BROWSERS)) {
  describe(name, { skip: how.there ? false : `${name} or its driver is not there` }, () => {
    let browser;
    const address = (hash = "") => `${server.origin}${SUB_PATH}?backend=cpu${hash}`;
    before(async () => {
      browser = await Browser.start(how);
    });
    after(() => browser?.close());

    test("a download that is cut off is told, and the next try explains as Chromium does", async () => {
      server.cutOff("model.onnx");
      await browser.go(address());
      await browser.until(() => document.querySelector("[data-testid=app]").dataset.state === "error");
      assert.match(await browser.run(() => document.querySelector("#failed-text").textContent), /model/);
      await browser.click("[data-testid=retry]");
      await browser.until(isExplained);
      const found = await browser.run(answer);
      assert.deepEqual([found.form, found.predicted], [expected.form, expected.predicted]);
      same(
        found.classes.map(({ similarity }) => similarity),
        expected.classes.map(({ similarity }) => similarity),
        "similarity",
      );
      for (const [at, map] of found.maps.entries()) same(map, expected.maps[at].data, `map ${at}, value`);
    });

    test("a photo of one's own is explained", async () => {
      await browser.type("[data-testid=query-input]", path("photos/hoofed_animal/pig.jpg"));
      await browser.until(() => window.famlens.state.query === "pig.jpg");
      await browser.until(isReady);
      const { classes, predicted } = await browser.run(answer);
      assert.equal(classes[predicted].name, "Hoofed animal");
    });

    test("a model of one's own explains", async () => {
      // Another page: this one's policy lets the module in once.
      await browser.go(`${server.origin}/fixtures/blank.html`);
      assert.deepEqual(await browser.run(ownModel, `${server.origin}${SUB_PATH}`), ["EfficientNet-Lite2", "bird"]);
    });

    test("two photos are compared, cell by cell", async () => {
      await browser.go("about:blank");
      await browser.go(address("#pair"));
      await browser.until(() => document.querySelector("[data-testid=pair-score]")?.dataset.similarity !== undefined);
      await browser.until(isReady);
      const found = await browser.run(() => ({ ...document.querySelector("[data-testid=pair-score]").dataset }));
      assert.ok(Math.abs(Number(found.similarity) - Number(found.sum)) < APART, JSON.stringify(found));
    });

    test("a gallery's second visit embeds nothing again, and all that is kept can be deleted", async () => {
      const url = `${server.origin}${SUB_PATH}`;
      await browser.go(`${server.origin}/fixtures/blank.html`);
      const first = await asScript(browser, gallery, url);
      assert.deepEqual([first.embedded, first.first, first.notKept], [8, "owl.jpg", null], JSON.stringify(first));
      await browser.reload();
      const second = await asScript(browser, gallery, url);
      assert.deepEqual([second.embedded, second.known], [0, 8]);
      const left = await browser.run(async url => {
        const { stored, forgetEverything } = await import(`${url}www/famlens.js`);
        await forgetEverything();
        return (await stored()).map(({ count }) => count);
      }, url);
      assert.ok(
        left.every(count => !count),
        left.join(),
      );
    });
  });
}
