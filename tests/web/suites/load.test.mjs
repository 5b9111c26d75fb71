// What the first visit loads, and when: few files, no long chains, nothing twice; and what the page runs from where
// nothing was bundled.

import assert from "node:assert/strict";
import { access, cp, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { launch } from "../harness/browser.mjs";
import { DIST, SUB_PATH, open, openLens, ready, setUp, unbundled } from "../harness/page.mjs";
import { serve } from "../harness/server.mjs";

const at = setUp("none");
const isBundled = await access(join(DIST, "www/bundle/page.js")).then(
  () => true,
  () => false,
);
const skip = isBundled ? false : "dist/ was built without Node.js";

/** The page, the request of the photo that it shows first, and all requests that began before that had ended. */
async function firstPhoto(browser, origin) {
  const seen = () => {
    window.firstPhoto = new Promise(resolve => {
      const look = () => {
        const photo = [...document.querySelectorAll("main img")].find(one => one.complete && one.naturalWidth > 100);
        if (photo) resolve(photo.currentSrc);
        else requestAnimationFrame(look);
      };
      look();
    });
  };
  const opened = await open(browser, `${origin}${SUB_PATH}?backend=cpu`, {}, seen);
  const found = await opened.page.evaluate(async () => {
    const src = await window.firstPhoto;
    const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
      .filter(({ responseEnd }) => responseEnd > 0)
      .map(({ name, startTime, responseEnd }) => ({ name, startTime, responseEnd }));
    const photo = all.find(({ name }) => name === src);
    return { photo, before: all.filter(({ startTime }) => startTime < photo.responseEnd) };
  });
  return { ...opened, ...found };
}

/** How many requests one after the other lead to one: each began after the one before it had ended. */
function level(one, all) {
  const earlier = all.filter(other => other.responseEnd <= one.startTime);
  return 1 + Math.max(0, ...earlier.map(other => level(other, earlier)));
}

test("at most 25 requests, on two levels, are between the address and the first photo", { skip }, async () => {
  const { context, photo, before } = await firstPhoto(at.browser, at.server.origin);
  assert.ok(before.length >= 3 && before.length <= 25, before.map(({ name }) => name).join("\n"));
  // The page is the first level, and what it names the second.
  assert.equal(level(photo, before), 2, JSON.stringify({ photo, before }));
  await context.close();
});

test("program, model and statistics are asked for once, before the page's scripts need them", { skip }, async () => {
  const { context, page, requests, errors } = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  const named = requests.map(url => url.replace(at.server.origin + SUB_PATH, ""));
  for (const file of ["famlens_bg.wasm", "model.json", "model.onnx", "statistics.bin", "page.js", "page.css"])
    assert.equal(named.filter(name => name.split("?")[0].endsWith(file)).length, 1, `${file} in\n${named.join("\n")}`);
  assert.ok(!named.includes("www/page/main.js"), "the bundle is what runs");
  assert.equal(page.workers().length, 1, "the worker that was started early is the one that is used");
  assert.deepEqual(errors, []);
  await context.close();
});

test("a page that was not bundled, as trunk leaves it, is the same page from the same files", async () => {
  const folder = await mkdtemp(join(tmpdir(), "famlens-plain-"));
  const server = await serve({ mounts: { "/plain/": folder } });
  const browser = await launch("none");
  try {
    await cp(DIST, folder, { recursive: true });
    await rm(join(folder, "www/bundle"), { recursive: true, force: true });
    // Trunk builds one program, which browsers without relaxed SIMD run too.
    const program = name => join(folder, `www/wasm/${name}.wasm`);
    await rename(program("famlens_plain_bg"), program("famlens_bg"));
    await writeFile(join(folder, "index.html"), unbundled());
    const { page, errors, requests } = await open(browser, `${server.origin}/plain/?backend=cpu`);
    await ready(page);
    assert.ok(requests.some(url => url.endsWith("/www/page/main.js")));
    assert.deepEqual(
      errors.filter(error => !/sw\.js|manifest/.test(error)),
      [],
    );
    const elsewhere = await page.evaluate(async () => {
      const { createLens } = await import(new URL("www/famlens.js", location.href).href);
      const program = new URL("www/wasm/famlens_plain_bg.wasm", location.href).href;
      const lens = await createLens({ backend: "cpu", program });
      const { embedding } = await lens.embed(new URL("www/examples/owl.jpg", location.href).href);
      lens.dispose();
      return embedding.length;
    });
    assert.equal(elsewhere, 1280, "a browser without relaxed SIMD");
  } finally {
    await browser.close();
    await server.close();
    await rm(folder, { recursive: true });
  }
});
