// The GPU is lost, or the worker dies, at a random moment of a call: the answer is right nevertheless, or the end is
// told and a new lens goes on.
//
//   node faults/deaths.mjs --workers 100 --gpus 100 --seed 1

import assert from "node:assert/strict";

import { isProgram, numbers, place } from "./place.mjs";

/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** In the page: an explanation of a new photo, how long it took, and how it ended. */
async function explain() {
  const { lens, kit } = window;
  const begun = performance.now();
  try {
    // Engines differ in the last digits, which move the part that a second look sees by a pixel.
    const finer = { look: "never" };
    const request = { query: kit.photo(0), classes: kit.classes, finer };
    const { classes, predicted, backend, map } = await lens.explain(request);
    const [first] = classes;
    return {
      name: classes[predicted].name,
      similarity: first.similarity,
      backend,
      map: Array.from(map.data),
      ms: performance.now() - begun,
    };
  } catch (error) {
    return { error: error.name, code: error.code, message: error.message, ms: performance.now() - begun };
  }
}

/** Fails unless an explanation is the one that was got in peace. */
function same(found, expected, what) {
  assert.equal(found.name, expected.name, `${what}: ${JSON.stringify(found).slice(0, 300)}`);
  assert.ok(Math.abs(found.similarity - expected.similarity) < 2e-3, `${what}: ${found.similarity}`);
  const most = Math.max(...expected.map.map(Math.abs));
  for (const [at, value] of found.map.entries())
    assert.ok(
      Math.abs(value - expected.map[at]) < 0.02 * most,
      `${what}: cell ${at} is ${value} and not ${expected.map[at]}`,
    );
}

/**
 * Ends the worker at random moments while it loads or explains: without a word, as the system does that needs memory,
 * or by an error.
 * @param {{count: number, seed?: number}} how
 */
export async function workerDeaths({ count, seed = 1 }) {
  const random = randomOf(seed);
  const { page, close } = await place("none");
  try {
    await page.evaluate(() => {
      const { Worker } = window;
      window.made = [];
      window.Worker = class extends Worker {
        constructor(...given) {
          super(...given);
          window.made.push(this);
        }
      };
    });
    const make = () =>
      page.evaluate(async () => {
        const patience = { start: 20, silence: 2 };
        window.lens = await window.famlens.createLens({ backend: "cpu", patience });
      });
    const begun = Date.now();
    await make();
    const loading = Date.now() - begun;
    const expected = await page.evaluate(explain);
    // The supports are known from now on.
    const { ms } = await page.evaluate(explain);
    let told = 0;
    let finished = 0;
    for (let at = 0; at < count; at += 1) {
      const what = `death ${at} of seed ${seed}`;
      const silently = random() < 0.3;
      const whileLoading = random() < 0.3;
      const moment = random() * (whileLoading ? loading : ms) * 1.1;
      const dies = page.evaluate(
        async ({ moment, silently }) => {
          await new Promise(resolve => setTimeout(resolve, moment));
          const worker = window.made.at(-1);
          if (silently) worker.terminate();
          else worker.dispatchEvent(new ErrorEvent("error", { message: "Uncaught RuntimeError: unreachable" }));
        },
        { moment, silently },
      );
      if (whileLoading) {
        await page.evaluate(() => window.lens.dispose());
        const end = await make().then(
          () => null,
          error => error.message,
        );
        await dies;
        if (end !== null) assert.match(end, /LensError: (The engine|The program)/, what);
      } else {
        const found = await page.evaluate(explain);
        await dies;
        if (found.error) {
          assert.deepEqual([found.error, found.code], ["LensError", "crashed"], `${what}: ${JSON.stringify(found)}`);
          told += 1;
        } else {
          same(found, expected, what);
          finished += 1;
        }
      }
      await page.evaluate(() => window.lens.dispose());
      await make();
      same(await page.evaluate(explain), expected, `after ${what}`);
    }
    return { count, told, finished };
  } finally {
    await close();
  }
}

/**
 * Loses the GPU at random moments of explanations. The device is destroyed from outside of famlens, as a driver does
 * it.
 * @param {{count: number, seed?: number}} how
 */
export async function gpuLosses({ count, seed = 1 }) {
  const random = randomOf(seed);
  const { page, close } = await place("software");
  try {
    await page.evaluate(async () => {
      window.lens = await window.famlens.createLens({ backend: "cpu" });
    });
    const expected = await page.evaluate(explain);
    const [worker] = page.workers();
    await worker.evaluate(() => {
      const request = GPUAdapter.prototype.requestDevice;
      GPUAdapter.prototype.requestDevice = async function (...given) {
        self.device = await request.apply(this, given);
        return self.device;
      };
    });
    const onGpu = () =>
      page.evaluate(() =>
        window.lens.setBackend("webgpu").then(
          info => info.backend.kind,
          error => `${error.code}: ${error.message}`,
        ),
      );
    assert.equal(await onGpu(), "webgpu");
    const { ms } = await page.evaluate(explain);
    const backends = { webgpu: 0, cpu: 0 };
    for (let at = 0; at < count; at += 1) {
      const what = `loss ${at} of seed ${seed}`;
      const lost = worker.evaluate(
        async moment => {
          await new Promise(resolve => setTimeout(resolve, moment));
          self.device.destroy();
        },
        random() * ms * 1.1,
      );
      const found = await page.evaluate(explain);
      await lost;
      same(found, expected, what);
      backends[found.backend] += 1;
      assert.equal(await onGpu(), "webgpu", `after ${what}`);
    }
    return { count, backends };
  } finally {
    await close();
  }
}

if (isProgram(import.meta.url)) {
  const { workers, gpus, seed } = numbers({ workers: 100, gpus: 100, seed: 1 });
  if (workers > 0) {
    const { told, finished } = await workerDeaths({ count: workers, seed });
    const rest = workers - told - finished;
    console.log(`${workers} worker deaths: ${told} told, ${finished} after the answer, ${rest} while it loaded`);
  }
  if (gpus > 0) {
    const { backends } = await gpuLosses({ count: gpus, seed });
    console.log(
      `${gpus} GPU losses: right each time, ${backends.webgpu} answered by the GPU, ${backends.cpu} by the CPU`,
    );
  }
}
