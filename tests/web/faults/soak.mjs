// Many explanations of photos that change: memory must not grow.
//
//   node faults/soak.mjs --explanations 1000 --queries 100 --engine cpu
//
// Measures the memory of the page's process (worker included), of the GPU process, and of the wasm itself, after the
// first tenth (100 of 1000) and at the end. `--engine webgpu` runs on SwiftShader.

import assert from "node:assert/strict";

import { SUB_PATH, open, ready, until } from "../harness/page.mjs";
import { measurable, resident } from "../harness/processes.mjs";
import { isProgram, numbers, place } from "./place.mjs";

/** What is allowed: 5 %, and what the measurement itself scatters by. */
const GROWTH = 1.05;
const SCATTER = 8e6;

const megabytes = bytes => `${(bytes / 1e6).toFixed(0)} MB`;

/**
 * The memory of a page at rest: garbage collected, and without decoded pictures that the browser keeps as it pleases.
 */
async function measure(page, wasm) {
  const session = await page.context().newCDPSession(page);
  for (let turn = 0; turn < 3; turn += 1) {
    await session.send("HeapProfiler.collectGarbage");
    await session.send("Memory.simulatePressureNotification", { level: "critical" });
    await page.waitForTimeout(200);
  }
  await session.detach();
  const samples = [];
  for (let turn = 0; turn < 3; turn += 1) {
    samples.push(await resident());
    await page.waitForTimeout(100);
  }
  const least = kind => Math.min(...samples.map(one => one[kind]));
  return { page: least("page"), gpu: least("gpu"), wasm: await wasm() };
}

/**
 * @param {{explanations: number, engine: "cpu" | "webgpu"}} how
 * @returns the memory after the first tenth and at the end, in bytes
 */
export async function soak({ explanations, engine }) {
  const { page, errors, close } = await place(engine === "webgpu" ? "software" : "none");
  try {
    await page.evaluate(async backend => {
      window.lens = await window.famlens.createLens({ backend });
    }, engine);
    const wasm = () => page.evaluate(() => window.lens.ask("memory", {}));
    const run = count =>
      page.evaluate(async count => {
        const { lens, kit } = window;
        for (let at = 0; at < count; at += 1) {
          const query = kit.photo();
          const form = at % 4 === 3 ? "discriminative" : "fam";
          const { map } = await lens.explain({ query, classes: kit.classes, form });
          await lens.render(query, map, { width: 200, height: 150 });
        }
      }, count);
    const early = Math.max(Math.floor(explanations / 10), 60);
    await run(early);
    const before = await measure(page, wasm);
    for (let done = early; done < explanations; done += 50) await run(Math.min(50, explanations - done));
    const after = await measure(page, wasm);
    assert.deepEqual(errors, []);
    return { early, before, after };
  } finally {
    await close();
  }
}

/**
 * Changes the query of the page so many times, as one who drops a new photo each time.
 * @param {{queries: number}} how
 */
export async function soakPage({ queries }) {
  const { server, browser, close } = await place("none");
  try {
    const { page, errors } = await open(browser, `${server.origin}${SUB_PATH}?backend=cpu`);
    await ready(page);
    const bytes = await (await fetch(`${server.origin}${SUB_PATH}www/examples/owl.jpg`)).arrayBuffer();
    const jpeg = Buffer.from(bytes);
    const run = async (from, to) => {
      for (let at = from; at < to; at += 1) {
        const text = Buffer.from(`query ${at}`);
        const comment = Buffer.from([0xff, 0xfe, 0, text.length + 2]);
        const buffer = Buffer.concat([jpeg.subarray(0, 2), comment, text, jpeg.subarray(2)]);
        const name = `query-${at}.jpg`;
        await page.getByTestId("query-input").setInputFiles({ name, mimeType: "image/jpeg", buffer });
        await until(page, name => window.famlens.state.query === name, name);
        await ready(page);
      }
    };
    const wasm = () => page.evaluate(() => window.famlens.lens.ask("memory", {}));
    const early = Math.max(Math.floor(queries / 10), 60);
    await run(0, early);
    const before = await measure(page, wasm);
    await run(early, queries);
    const after = await measure(page, wasm);
    assert.deepEqual(errors, []);
    return { early, before, after };
  } finally {
    await close();
  }
}

/** Fails if memory has grown. @param {Awaited<ReturnType<typeof soak>>} found */
export function flat({ before, after }) {
  for (const kind of measurable ? ["page", "gpu", "wasm"] : ["wasm"])
    assert.ok(
      after[kind] <= before[kind] * GROWTH + (kind === "wasm" ? 0 : SCATTER),
      `${kind}: ${megabytes(before[kind])}, then ${megabytes(after[kind])}`,
    );
}

/** @param {string} what @param {Awaited<ReturnType<typeof soak>>} found @param {number} count */
function tell(what, { early, before, after }, count) {
  const pairs = ["page", "gpu", "wasm"].map(kind => `${kind} ${megabytes(before[kind])} -> ${megabytes(after[kind])}`);
  console.log(`${what}: after ${early} and after ${count}: ${pairs.join(", ")}`);
}

if (isProgram(import.meta.url)) {
  const { explanations, queries, engine } = numbers({ explanations: 1000, queries: 100, engine: "cpu" });
  if (explanations > 0) {
    const found = await soak({ explanations, engine });
    tell(`${explanations} explanations on ${engine}`, found, explanations);
    flat(found);
  }
  if (queries > 0) {
    const found = await soakPage({ queries });
    tell(`${queries} query changes on the page`, found, queries);
    flat(found);
  }
  console.log("memory stays flat");
}
