// Hostile models and side files on the page: each ends in an answer or in one message, in bounded memory and time, and
// the next good file works.
//
//   FAMLENS_HOSTILE=folder cargo test --test hostile -- --ignored written
//   node faults/hostile.mjs --folder folder
//
// Memory is that of the page's process (worker included), above what it was with a good model at rest.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { launch } from "../harness/browser.mjs";
import { DIST, FIXTURES, SUB_PATH, open } from "../harness/page.mjs";
import { measurable, resident } from "../harness/processes.mjs";
import { serve } from "../harness/server.mjs";
import { MODULE, PHOTOS, isProgram, numbers } from "./place.mjs";

/** What a file may take on the page that is refused. */
const MOST_REFUSED = 500e6;
/** What one may take that runs: a file may ask for 1 GiB of values at once (docs/models.md), and gets it. */
const MOST_ANSWERED = 1500e6;

/** Codes that say that famlens broke, and not that it judged the file. */
const BROKEN = ["crashed", "policy", "storage", "network"];

/** In the page: the doors of each kind of file. `window.attempt` answers with what became of it. */
async function prepare({ module, photos, folder }) {
  const { createGallery, createLens } = await import(module);
  const bytesOf = async name => new Uint8Array(await (await fetch(`${folder}/${name}`)).arrayBuffer());
  const json = async name => (await fetch(`${folder}/${name}`)).json();
  const manifest = await json("manifest.json");
  const good = await bytesOf("good.onnx");
  const start = async (manifest, bytes) => await createLens({ backend: "cpu", model: { manifest, bytes } });
  const classes = [
    { name: "bird", supports: [photos[1]] },
    { name: "fish", supports: [photos[2]] },
  ];
  const explain = async lens => {
    await lens.explain({ query: photos[0], classes, form: "fam" });
  };
  /** A lens with the good model, for files that are opened beside one. */
  let beside = await start(manifest, good);
  const inNewLens = async (manifest, bytes) => {
    const lens = await start(manifest, bytes);
    try {
      await explain(lens);
    } finally {
      lens.dispose();
    }
  };
  const gallery = async (npy, csv) => {
    const gallery = await createGallery(beside, { workers: 0, keep: false });
    try {
      await gallery.import({ npy: new Blob([npy]), csv: new Blob([csv]) });
    } finally {
      await gallery.dispose?.();
    }
  };
  const doors = {
    model: bytes => inNewLens(manifest, bytes),
    manifest: bytes => inNewLens(JSON.parse(new TextDecoder().decode(bytes)), good),
    head: bytes => beside.loadHead(new File([bytes], "head.safetensors")),
    matrix: bytes => beside.loadMatrix(new File([bytes], "matrix.npy")),
    statistics: bytes => beside.setStatistics(bytes),
    galleryarray: async bytes => gallery(bytes, await bytesOf("gallery.csv")),
    gallerytable: async bytes => gallery(await bytesOf("gallery.npy"), bytes),
  };
  window.attempt = async ({ file, kind }) => {
    const bytes = await bytesOf(encodeURIComponent(file));
    const begun = performance.now();
    const found = { ok: true, name: "", code: "", message: "", ms: 0 };
    try {
      await doors[kind](bytes);
    } catch (error) {
      Object.assign(found, { ok: false, name: error.name, code: error.code ?? "", message: error.message });
    }
    found.ms = performance.now() - begun;
    if (found.code === "crashed") beside = await start(manifest, good);
    return found;
  };
  window.goesOn = async () => {
    await beside.loadHead(null);
    await beside.setMatrix(null);
    await beside.setStatistics(null);
    await explain(beside);
  };
}

/** Asks again and again how much memory the page has. */
function watch() {
  let most = 0;
  let on = true;
  const look = async () => {
    while (on) {
      most = Math.max(most, (await resident()).page);
      await new Promise(done => setTimeout(done, 40));
    }
  };
  const ended = look();
  return {
    async stop() {
      on = false;
      await ended;
      return most;
    },
  };
}

/**
 * Brings every file of the folder to the page.
 * @param {{folder: string, only?: (file: {file: string, kind: string}, at: number) => boolean}} how
 * @returns how many files there were, how many were answered, and the slowest and the largest
 */
export async function hostileFiles({ folder, only = () => true }) {
  /** @type {{file: string, kind: string}[]} */
  const files = JSON.parse(readFileSync(join(folder, "index.json"), "utf8")).filter(only);
  const server = await serve({ mounts: { [SUB_PATH]: DIST, "/page/hostile/": folder, "/page/": FIXTURES } });
  const browser = await launch("none");
  const { page, errors } = await open(browser, `${server.origin}/page/blank.html`);
  try {
    await page.evaluate(prepare, { module: MODULE, photos: PHOTOS, folder: "/page/hostile" });
    await page.evaluate(() => window.goesOn());
    const rest = measurable ? (await resident()).page : 0;
    let answers = 0;
    const most = () => ({ slowest: { file: "", ms: 0 }, largest: { file: "", bytes: 0 } });
    const [answered, refused] = [most(), most()];
    for (const one of files) {
      const watching = measurable ? watch() : null;
      const found = await page.evaluate(one => window.attempt(one), one);
      const bytes = Math.max(0, ((await watching?.stop()) ?? 0) - rest);
      const what = `${one.kind} ${one.file}: ${JSON.stringify(found)}`;
      if (!found.ok && found.name !== "SyntaxError") {
        assert.equal(found.name, "LensError", what);
        assert.ok(!BROKEN.includes(found.code), what);
        assert.ok(found.message.length > 10 && found.message.length < 20_000, what);
      }
      assert.ok(bytes < (found.ok ? MOST_ANSWERED : MOST_REFUSED), `${what} takes ${(bytes / 1e6).toFixed(0)} MB`);
      answers += Number(found.ok);
      const of = found.ok ? answered : refused;
      if (found.ms > of.slowest.ms) of.slowest = { file: one.file, ms: found.ms };
      if (bytes > of.largest.bytes) of.largest = { file: one.file, bytes };
    }
    await page.evaluate(() => window.goesOn());
    assert.deepEqual(errors, []);
    return { count: files.length, answers, answered, refused };
  } finally {
    await browser.close();
    await server.close();
  }
}

if (isProgram(import.meta.url)) {
  const { folder } = numbers({ folder: "" });
  const { count, answers, answered, refused } = await hostileFiles({ folder });
  console.log(`${count} hostile files on the page: ${answers} answers, ${count - answers} messages`);
  for (const [what, { slowest, largest }] of Object.entries({ answered, refused }))
    console.log(
      `${what}: at most ${slowest.ms.toFixed(0)} ms (${slowest.file}) and ${(largest.bytes / 1e6).toFixed(0)} MB ` +
        `(${largest.file})`,
    );
}
