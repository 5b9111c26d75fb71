// The benchmark on the model that ships: every form of it that the contenders take, and the floors that this project
// has set itself.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { forms } from "./model.mjs";
import { floors, print, summarise } from "./report.mjs";
import { downloads } from "./sizes.mjs";
import { DIST, PEERS } from "./stage.mjs";

/**
 * @param {import("./stage.mjs").Stage} at
 * @param {{rounds: number, gpuRounds: number, only: string}} how
 * @returns the report, which is printed too, and whether no floor was missed
 */
export async function benchShipped(at, how) {
  const model = forms(await readFile(new URL("../../../models/efficientnet_lite0/model.onnx", import.meta.url)));
  const write = (name, content) => writeFile(join(at.folder, name), content);
  await write("int8.onnx", model.int8);
  await write("fp32.onnx", model.fp32);
  await write("network.json", JSON.stringify(model.network.steps));
  await write("weights.bin", model.network.weights);
  const { machine, found } = await at.play(page => page.evaluate(how => window.bench(how), how));
  const report = {
    date: new Date().toISOString(),
    machine,
    ...summarise(found),
    downloads: await downloads(DIST, PEERS),
  };
  print(report);
  // A floor that was not measured counts, as a run of some contenders alone is no check.
  return { report, met: floors(report).every(({ met }) => met) };
}
