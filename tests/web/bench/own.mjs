// The benchmark on a file of the user's: time, in one browser and in turn, and memory, each contender in a browser of
// its own.

import { readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { endAt, whole } from "./cut.mjs";
import { measurable, peaks } from "../harness/processes.mjs";
import { printOwn } from "./own-report.mjs";
import { summarise } from "./report.mjs";

/**
 * What a file without a description is fed with, as the page does: ImageNet's mean and deviation, in units of 0 to 255.
 */
const IMAGENET = { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] };

/**
 * @param {import("./stage.mjs").Stage} at
 * @param {string} file an ONNX file; a `model.json` beside it is heeded
 * @param {{rounds: number, gpuRounds: number, only: string}} how
 * @returns the report, which is printed too; there are no floors to miss
 */
export async function benchOwn(at, file, how) {
  const manifest = await describe(file);
  const bytes = await whole(await readFile(file), name => readFile(join(dirname(file), name)));
  const size = bytes.length;
  await writeFile(join(at.folder, manifest.file), bytes);
  await writeFile(join(at.folder, "model.json"), JSON.stringify({ ...manifest, bytes: size }));
  const address = "/models/model.json";
  const { found: network } = await at.play(page => page.evaluate(address => window.describe(address), address));
  await writeFile(join(at.folder, "cut.onnx"), endAt(bytes, network.target));
  const { mean, std } = manifest.input;
  const asked = { ...how, model: { manifest: address, cut: "/models/cut.onnx", shape: network.shape, mean, std } };
  const { machine, found } = await at.play(page => page.evaluate(asked => window.bench(asked), asked));
  const memory = measurable ? await peakOfEach(at, asked, found) : null;
  const report = {
    date: new Date().toISOString(),
    machine,
    model: { ...network, file, bytes: size },
    ...summarise(found),
    memory,
  };
  printOwn(report);
  return { report, met: true };
}

/**
 * The description of a file: the one beside it, or the least that famlens needs. Always with the mean as pooling, which
 * the peers compute.
 */
async function describe(file) {
  const name = basename(file);
  const text = await readFile(join(dirname(file), "model.json"), "utf8").catch(() => null);
  const beside = text === null ? null : JSON.parse(text);
  const own = beside !== null && (beside.file ?? "model.onnx") === name;
  return { format: 1, name, input: IMAGENET, ...(own ? beside : {}), file: name, pooling: "gap" };
}

/**
 * Peak memory over that of a blank page while a contender is loaded and runs three passes, in a browser of its own, so
 * that nothing is shared.
 *
 * @returns {Promise<{name: string, page: number, gpu: number}[]>} bytes
 */
async function peakOfEach(at, asked, measured) {
  const silent = () => {};
  // Two blank pages differ by a megabyte too.
  const over = (peak, blank) => Math.max(0, peak - blank);
  const { found: blank } = await at.play(peaks, silent);
  const memory = [];
  for (const { name, error } of measured) {
    if (error) continue;
    console.log(`${name}: memory`);
    // Cold, the round that is not counted, and one more.
    const three = { ...asked, rounds: 1, gpuRounds: 1, only: `^${name}$` };
    const { found } = await at.play(async page => {
      const [{ error }] = await page.evaluate(three => window.bench(three), three);
      return error ? { error } : peaks();
    }, silent);
    memory.push(
      found.error ? { name, ...found } : { name, page: over(found.page, blank.page), gpu: over(found.gpu, blank.gpu) },
    );
  }
  return memory;
}
