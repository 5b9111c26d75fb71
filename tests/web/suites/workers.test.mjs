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

test("worker and program may lie anywhere: a blob imports the one, and the other is fetched from there", async () => {
  const folder = await mkdtemp(join(tmpdir(), "famlens-elsewhere-"));
  const server = await serve({ mounts: { "/app/": folder, "/page/": FIXTURES } });
  const browser = await launch("none");
  try {
    await cp(DIST, folder, { recursive: true });
    await rename(join(folder, "www/wasm/famlens_bg.wasm"), join(folder, "program-1a2b.wasm"));
    const { page, requests } = await open(browser, `${server.origin}/page/blank.html`);
    const info = await page.evaluate(async () => {
      const { createLens } = await import("/app/www/famlens.js");
      window.lens = await createLens({
        backend: "cpu",
        worker: "/app/www/worker.js",
        program: "/app/program-1a2b.wasm",
        model: {
          url: "/app/models/efficientnet_lite0/model.json",
          file: new URL("/app/models/efficientnet_lite0/model.onnx", document.baseURI),
        },
      });
      return window.lens.info.model.name;
    });
    assert.equal(info, "EfficientNet-Lite0");
    assert.match(page.workers()[0].url(), /^blob:/);
    for (const path of ["/app/www/worker.js", "/app/program-1a2b.wasm"])
      assert.ok(requests.includes(`${server.origin}${path}`), path);
  } finally {
    await browser.close();
    await server.close();
    await rm(folder, { recursive: true });
  }
});

test("the program for browsers without relaxed SIMD explains, alike", async () => {
  const found = await at.page.evaluate(async () => {
    const { kit, famlens } = window;
    const similarities = async program => {
      const lens = await famlens.createLens({ backend: "cpu", ...(program && { program }) });
      const all = [];
      for (const form of ["fam", "discriminative"]) {
        const { classes } = await lens.explain({ query: kit.photo(0), classes: kit.classes, form });
        all.push(...classes.map(({ similarity }) => similarity));
      }
      lens.dispose();
      return all;
    };
    return [await similarities(), await similarities("/some/where/famlens/www/wasm/famlens_plain_bg.wasm")];
  });
  assert.ok(found[0].length >= 4);
  for (const [at, one] of found[0].entries())
    assert.ok(Math.abs(one - found[1][at]) < 1e-4, `${one} is not ${found[1][at]}`);
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
