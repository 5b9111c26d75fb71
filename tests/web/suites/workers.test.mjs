// Workers: how they start, how many there are, and when one that says nothing is given up.

import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { place } from "../faults/place.mjs";
import { launch } from "../harness/browser.mjs";
import { DIST, FIXTURES, open } from "../harness/page.mjs";
import { serve } from "../harness/server.mjs";

let at;
before(async () => {
  at = await place("software");
});
after(() => at.close());

test("gallery workers take no more than a quarter of the memory, whatever the model's size", async () => {
  const sizes = await at.page.evaluate(async () => {
    const { poolSize } = await import("/some/where/famlens/www/lens/pool.js");
    const found = {};
    const set = (name, value) => Object.defineProperty(navigator, name, { value, configurable: true });
    set("hardwareConcurrency", 12);
    for (const memory of [1, 4, 8, undefined]) {
      set("deviceMemory", memory);
      for (const megabytes of [5, 102, 600]) found[`${memory} GB, ${megabytes} MB`] = poolSize(megabytes * 1e6);
    }
    set("hardwareConcurrency", 2);
    found["two cores"] = poolSize(5e6);
    return found;
  });
  assert.deepEqual(sizes, {
    "1 GB, 5 MB": 0,
    "1 GB, 102 MB": 0,
    "1 GB, 600 MB": 0,
    "4 GB, 5 MB": 6,
    "4 GB, 102 MB": 1,
    "4 GB, 600 MB": 0,
    "8 GB, 5 MB": 8,
    "8 GB, 102 MB": 3,
    "8 GB, 600 MB": 0,
    "undefined GB, 5 MB": 6,
    "undefined GB, 102 MB": 1,
    "undefined GB, 600 MB": 0,
    "two cores": 1,
  });
});

test("the size of a model's file is told", async () => {
  const bytes = await at.page.evaluate(async () => {
    window.lens = await window.famlens.createLens({ backend: "cpu", patience: { call: 3, silence: 4 } });
    return window.lens.info.model.bytes;
  });
  assert.equal(bytes, (await readFile(`${DIST}models/efficientnet_lite0/model.onnx`)).length);
});

test("a model is tried out before anything rests on it", async () => {
  await at.page.evaluate(() => window.lens.probe());
});

test("a GPU that never answers is given up with a message", async () => {
  const [worker] = at.page.workers();
  await worker.evaluate(() => {
    GPUBuffer.prototype.mapAsync = () => new Promise(() => {});
  });
  const found = await at.page.evaluate(async () => {
    const { lens, kit } = window;
    const begun = performance.now();
    const end = await lens.setBackend("webgpu").then(
      () => lens.explain({ query: kit.photo(), classes: kit.classes }).catch(error => error),
      error => error,
    );
    return { code: end.code, message: end.message, ms: performance.now() - begun };
  });
  assert.equal(found.code, "crashed", JSON.stringify(found));
  assert.match(found.message, /waited for an answer for \d+ seconds/);
});

test("a worker that computes without end is given up with a message", async () => {
  await at.page.evaluate(async () => {
    window.lens = await window.famlens.createLens({ backend: "cpu", patience: { silence: 2 } });
  });
  const worker = at.page.workers().at(-1);
  void worker
    .evaluate(() =>
      setTimeout(() => {
        for (;;);
      }, 50),
    )
    .catch(() => {});
  const found = await at.page.evaluate(async () => {
    await new Promise(resolve => setTimeout(resolve, 200));
    return window.lens.embed(window.kit.photo()).catch(({ code, message }) => ({ code, message }));
  });
  assert.equal(found.code, "crashed", JSON.stringify(found));
  assert.match(found.message, /has not answered for 2 seconds/);
});

test("in a bundle, where its module lies elsewhere, the worker is the one that the bundler names", async () => {
  const folder = await mkdtemp(join(tmpdir(), "famlens-bundle-"));
  const server = await serve({ mounts: { "/page/": FIXTURES, "/app/": folder } });
  const browser = await launch("none");
  try {
    await cp(DIST, folder, { recursive: true });
    // As a bundle has it: other names, and import.meta.url in the place of the module's own.
    await rename(join(folder, "www/lens/start.js"), join(folder, "www/lens/chunk-1.js"));
    const channel = join(folder, "www/lens/channel.js");
    await writeFile(channel, (await readFile(channel, "utf8")).replace("./start.js", "./chunk-1.js"));
    const { page } = await open(browser, `${server.origin}/page/blank.html`);
    const start = options =>
      page.evaluate(async options => {
        const { createLens } = await import("/app/www/famlens.js");
        window.lens?.dispose();
        window.lens = await createLens({ backend: "cpu", ...options });
      }, options);
    await start({});
    assert.equal(page.workers()[0].url(), `${server.origin}/app/www/worker.js`);
    await start({ worker: "/app/www/worker.js" });
    assert.match(page.workers().at(-1).url(), /^blob:/, "an address that is given is imported by a blob");
    const text = await readFile(join(folder, "www/lens/chunk-1.js"), "utf8");
    assert.match(text, /new Worker\(new URL\("\.\.\/worker\.js", import\.meta\.url\), \{ type: "module"/);
  } finally {
    await browser.close();
    await server.close();
    await rm(folder, { recursive: true });
  }
});

test("a page whose policy forbids workers from blobs is told so", async () => {
  const folder = await mkdtemp(join(tmpdir(), "famlens-policy-"));
  await writeFile(join(folder, "index.html"), "<!doctype html><title>A strict page</title>");
  const policy = "script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'";
  const server = await serve({
    mounts: { "/strict/": folder, "/app/": DIST },
    headers: { "content-security-policy": policy },
  });
  const browser = await launch("none");
  try {
    const { page } = await open(browser, `${server.origin}/strict/`);
    const found = await page.evaluate(async () => {
      const { createLens } = await import("/app/www/famlens.js");
      return createLens().catch(({ name, code, message }) => ({ name, code, message }));
    });
    assert.deepEqual([found.name, found.code], ["LensError", "policy"]);
    assert.match(found.message, /worker-src blob:/);
  } finally {
    await browser.close();
    await server.close();
    await rm(folder, { recursive: true });
  }
});
