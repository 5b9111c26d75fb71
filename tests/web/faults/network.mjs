// Every fault of a network on every kind of file: told in words, in time, and gone with the next try.
//
//   node faults/network.mjs --rounds 1

import assert from "node:assert/strict";

import { isProgram, numbers, place } from "./place.mjs";

/** Seconds without a sign, short so that the test is. */
const PATIENCE = { start: 2, download: 2 };
/** The longest that an answer may take with them: both limits, and what a busy machine adds. */
const LONGEST = 20_000;

/** Files that a lens needs, and the faults that they cannot have: a script that is damaged may run nevertheless. */
const FILES = {
  "worker.js": ["damaged"],
  "lens/queue.js": ["damaged"],
  "wasm/famlens.js": ["damaged"],
  "famlens_bg.wasm": [],
  "model.json": [],
  "model.onnx": [],
};
/** Files that are fetched when they are first needed. */
const LATER = { "statistics.bin": [], "owl.jpg": ["damaged"] };
const KINDS = ["cut", "stall", "silent", "missing", "broken", "html", "damaged"];

/** In the page: makes a lens and explains, and says how that ended. */
async function attempt({ patience, form, photo }) {
  const begun = performance.now();
  const { famlens, kit } = window;
  let lens;
  try {
    lens = await famlens.createLens({ backend: "cpu", patience });
    const [, fish] = kit.classes;
    const classes = [{ name: "bird", supports: [photo] }, fish];
    const { classes: found, predicted } = await lens.explain({ query: kit.photo(0), classes, form });
    return { ok: found[predicted].name, ms: performance.now() - begun };
  } catch (error) {
    return { name: error.name, code: error.code, message: error.message, ms: performance.now() - begun };
  } finally {
    lens?.dispose();
  }
}

/**
 * @param {{only?: (file: string, kind: string) => boolean}} [how] which of all to do
 * @returns how many faults were made, and how many slow or mistyped files did no harm
 */
export async function networkFaults({ only = () => true } = {}) {
  const { server, page, close } = await place("none");
  const photo = await page.evaluate(() => window.kit.classes[0].supports[0]);
  const address = new URL(photo, server.origin).href;
  const ask = (form, patience = PATIENCE) => page.evaluate(attempt, { patience, form, photo: address });
  let faults = 0;
  let harmless = 0;
  try {
    for (const [file, except] of Object.entries({ ...FILES, ...LATER })) {
      const form = file === "statistics.bin" ? "discriminative" : "fam";
      for (const kind of KINDS) {
        if (except.includes(kind) || !only(file, kind)) continue;
        const what = `${file}, ${kind}`;
        server.spoil(file, kind);
        const found = await ask(form);
        assert.equal(found.name, "LensError", `${what}: ${JSON.stringify(found)}`);
        const codes = kind === "html" || kind === "damaged" ? ["network", "manifest", "onnx", "image"] : ["network"];
        assert.ok(codes.includes(found.code), `${what}: ${found.code}, ${found.message}`);
        assert.match(found.message, /^(\S+ ){5}/, `${what}: in words`);
        assert.ok(found.ms < LONGEST, `${what}: ${found.ms} ms`);
        server.heal();
        faults += 1;
      }
      for (const kind of file.endsWith(".js") ? ["slow"] : ["slow", "mistyped"]) {
        if (!only(file, kind)) continue;
        server.spoil(file, kind);
        // Nobody sees how far a script is, so scripts have their time as a whole.
        const found = await ask(form, { ...PATIENCE, start: 30 });
        assert.equal(found.ok, "bird", `${file}, ${kind}: ${JSON.stringify(found)}`);
        server.heal();
        harmless += 1;
      }
      assert.equal((await ask(form)).ok, "bird", `${file}: the next try`);
    }
    return { faults, harmless };
  } finally {
    await close();
  }
}

if (isProgram(import.meta.url)) {
  const { rounds } = numbers({ rounds: 1 });
  for (let round = 0; round < rounds; round += 1) {
    const { faults, harmless } = await networkFaults();
    console.log(`network: ${faults} faults told in words and in time, ${harmless} slow or mistyped files did no harm`);
  }
}
