// Every fault of the browser's storage: it costs what is kept and nothing else, and it is told.
//
//   node faults/storage.mjs --rounds 1

import assert from "node:assert/strict";

import { isProgram, numbers, place } from "./place.mjs";

/** In the page: a gallery of new photos with what storage did, in milliseconds as well. */
async function fill(count) {
  const { kit, lens, famlens } = window;
  const gallery = await famlens.createGallery(lens, { workers: 0 });
  const begun = performance.now();
  const photos = Array.from({ length: count }, () => kit.photo());
  const { embedded, known, failed, notKept } = await gallery.add(photos);
  const ms = performance.now() - begun;
  await gallery.dispose();
  window.photos = photos;
  return { embedded, known, failed, notKept, ms };
}

/** In the page: the same photos once more. */
async function again() {
  const gallery = await window.famlens.createGallery(window.lens, { workers: 0 });
  const { embedded, known, failed } = await gallery.add(window.photos);
  const kept = await gallery.kept().catch(error => error.code);
  await gallery.dispose();
  return { embedded, known, failed, kept };
}

/** In the page: how a call ended. */
async function ended(name) {
  const begun = performance.now();
  const end = await window.famlens[name]().then(
    value => ({ value }),
    error => ({ name: error.name, code: error.code, message: error.message }),
  );
  return { ...end, ms: performance.now() - begun };
}

/** In a page: holds the table in a transaction that never ends. */
function hold(database) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(database, 1);
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const table = request.result.transaction("rows", "readwrite").objectStore("rows");
      window.held = request.result;
      const next = () => {
        table.get("nothing").onsuccess = next;
      };
      next();
      resolve();
    };
  });
}

const FAULTS = {
  async "nothing wrong"({ page }) {
    const first = await page.evaluate(fill, 4);
    assert.deepEqual({ ...first, ms: 0 }, { embedded: 4, known: 0, failed: [], notKept: null, ms: 0 });
    assert.deepEqual(await page.evaluate(again), { embedded: 0, known: 4, failed: [], kept: 4 });
  },

  async "a damaged row"({ page }) {
    await page.evaluate(fill, 4);
    const spoilt = await page.evaluate(async () => {
      const done = request => new Promise(resolve => (request.onsuccess = () => resolve(request.result)));
      const database = await done(indexedDB.open("famlens-embeddings", 1));
      const table = database.transaction("rows", "readwrite").objectStore("rows");
      const keys = await done(table.getAllKeys());
      const damaged = [null, { item: {} }, { item: { content: keys[2][1] }, embedding: "text" }];
      for (const [at, row] of damaged.entries()) await done(table.put(row, keys[at]));
      database.close();
      return damaged.length;
    });
    const { embedded, known, failed } = await page.evaluate(again);
    assert.deepEqual({ embedded, known, failed }, { embedded: spoilt, known: 4 - spoilt, failed: [] });
    assert.deepEqual(await page.evaluate(again), { embedded: 0, known: 4, failed: [], kept: 4 }, "made anew");
  },

  async "a full disk"({ page, session, origin }) {
    const { usage } = await page.evaluate(() => navigator.storage.estimate());
    await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: Math.max(1, usage) });
    const found = await page.evaluate(fill, 20);
    assert.deepEqual([found.embedded, found.failed], [20, []], "what was computed stays");
    assert.match(found.notKept, /storage for this page is full/);
    await session.send("Storage.overrideQuotaForOrigin", { origin });
    assert.equal((await page.evaluate(fill, 2)).notKept, null);
  },

  async "a table that never answers"({ page, other }) {
    await page.evaluate(fill, 1);
    await other.evaluate(hold, "famlens-embeddings");
    const found = await page.evaluate(fill, 6);
    assert.deepEqual([found.embedded, found.failed], [6, []]);
    assert.match(found.notKept, /does not answer/);
    assert.ok(found.ms < 30_000, `once, and not for each image: ${found.ms} ms`);
    const listed = await page.evaluate(ended, "stored");
    assert.match(listed.value.find(({ kind }) => kind === "embeddings").error, /does not answer/);
    assert.ok(listed.ms < 15_000, `${listed.ms} ms`);
  },

  async "a tab that does not let go"({ page, other }) {
    await page.evaluate(fill, 1);
    await other.evaluate(
      () =>
        new Promise(resolve => {
          const request = indexedDB.open("famlens-embeddings", 1);
          request.onsuccess = () => {
            window.held = request.result;
            resolve();
          };
        }),
    );
    const refused = await page.evaluate(ended, "forgetEverything");
    assert.deepEqual([refused.name, refused.code], ["LensError", "storage"]);
    assert.match(refused.message, /embeddings.+does not answer.+other tabs/s);
    assert.ok(refused.ms < 20_000, `${refused.ms} ms`);
    // The deletion still waits, so whoever opens the table now waits too.
    const found = await page.evaluate(fill, 3);
    assert.deepEqual([found.embedded, found.failed], [3, []]);
    await other.evaluate(() => window.held.close());
    assert.equal((await page.evaluate(ended, "forgetEverything")).code, undefined);
  },

  async "switched off"({ page }) {
    await page.evaluate(() => Object.defineProperty(window, "indexedDB", { value: undefined, configurable: true }));
    const found = await page.evaluate(fill, 3);
    assert.deepEqual([found.embedded, found.failed], [3, []]);
    assert.match(found.notKept, /storage/);
    await page.evaluate(() => delete window.indexedDB);
  },

  async "all is listed and all is deleted"({ page }) {
    await page.evaluate(async () => {
      localStorage.setItem("famlens.theme", "dark");
      localStorage.setItem("someone.else", "stays");
      await (await caches.open("famlens-statistics")).put("/x", new Response("x"));
      await caches.open("others");
    });
    await page.evaluate(fill, 2);
    const counts = async () =>
      Object.fromEntries((await page.evaluate(ended, "stored")).value.map(({ kind, count }) => [kind, count]));
    assert.deepEqual(await counts(), { models: 0, embeddings: 2, statistics: 1, settings: 1 });
    assert.equal((await page.evaluate(ended, "forgetEverything")).code, undefined);
    assert.deepEqual(await counts(), { models: 0, embeddings: 0, statistics: 0, settings: 0 });
    const others = await page.evaluate(async () => [localStorage.getItem("someone.else"), await caches.has("others")]);
    assert.deepEqual(others, ["stays", true], "of others nothing goes");
  },
};

/** Makes every fault once, each in a browser of its own; gives their names. */
export async function storageFaults({ only = () => true } = {}) {
  const done = [];
  for (const [name, run] of Object.entries(FAULTS)) {
    if (!only(name)) continue;
    const { server, page, close } = await place("none");
    try {
      await page.evaluate(async () => {
        window.lens = await window.famlens.createLens({ backend: "cpu" });
      });
      const other = await page.context().newPage();
      await other.goto(`${server.origin}/fixtures/blank.html`);
      const session = await page.context().newCDPSession(page);
      await run({ page, other, session, origin: server.origin });
      done.push(name);
    } catch (error) {
      throw new Error(`storage, ${name}: ${error.message}`, { cause: error });
    } finally {
      await close();
    }
  }
  return done;
}

if (isProgram(import.meta.url)) {
  const { rounds } = numbers({ rounds: 1 });
  for (let round = 0; round < rounds; round += 1) {
    const done = await storageFaults();
    console.log(`storage: ${done.length} faults: ${done.join(", ")}`);
  }
}
