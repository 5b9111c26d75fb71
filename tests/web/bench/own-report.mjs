// How the benchmark on a file of the user's is printed.

import { fixed, printTimes, row } from "./report.mjs";

export function printOwn(report) {
  const { name, bytes, shape, target } = report.model;
  const [channels, height, width] = target.maps;
  printTimes(
    report,
    `${name} (${megabytes(bytes)} MB), ${shape.join("x")} to the mean of ${target.name} ` +
      `(${channels}x${height}x${width}), milliseconds`,
  );
  console.log("\nratio: to onnxruntime-web of the same kind; cosine: of the embedding, to onnxruntime-web WASM");
  console.log(
    `Both end at the target layer, after ${fixed(100 * target.cost, 1)} % of the network's products: ` +
      `onnxruntime-web gets the file cut off there.`,
  );
  console.log("The GPU is SwiftShader, Chromium's software adapter: compare its rows as ratios.");
  printMemory(report);
}

function printMemory({ memory, contenders }) {
  if (memory === null) return console.log("\npeak memory: not measured (Linux only)");
  console.log("\npeak memory over a blank page, MB, each contender in a browser of its own: load and three passes\n");
  console.log(row(["", "page", "GPU proc.", "both", "ratio"]));
  const both = one => one && one.page + one.gpu;
  for (const one of memory) {
    if (one.error) {
      console.log(`${one.name.padEnd(34)}  failed: ${one.error.split("\n")[0]}`);
      continue;
    }
    const { group } = contenders.find(({ name }) => name === one.name);
    const reference = memory.find(({ name }) =>
      contenders.some(it => it.name === name && it.group === group && it.reference),
    );
    const ratio = reference && !reference.error ? both(one) / both(reference) : null;
    console.log(row([one.name, ...[one.page, one.gpu, both(one)].map(megabytes), fixed(ratio, 2)]));
  }
  console.log(
    "\nResident memory of the page's process with its workers, and of the GPU process; a graphics card's own memory " +
      "is not in it.",
  );
}

const megabytes = bytes => fixed(bytes / 1e6, bytes < 1e7 ? 1 : 0);
