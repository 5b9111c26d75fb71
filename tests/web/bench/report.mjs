// Medians, ratios and floors from what was measured, and how they are printed.

import { cosine, median } from "../harness/numbers.mjs";

/** Adds medians, the ratio to onnxruntime-web of the same kind, and the cosine to its embedding. */
export function summarise(measured) {
  const referenceOf = group => measured.find(result => result.group === group && result.reference);
  const contenders = measured.map(({ name, group, reference: isReference = false, cold, runs, embedding, error }) => {
    if (error) return { name, group, error };
    const medians = Object.fromEntries(Object.entries(runs).map(([what, ms]) => [what, median(ms)]));
    const reference = referenceOf(group)?.runs?.forward;
    const answer = referenceOf("cpu")?.embedding;
    return {
      name,
      group,
      reference: isReference,
      cold,
      medians,
      ratio: reference && medians.forward !== undefined ? medians.forward / median(reference) : null,
      cosine: answer ? cosine(embedding, answer) : null,
      // FAM on activation maps that are there already, against the pass that made them. On the GPU this counts a
      // submission and a readback of its own, which FAM in the same pass does not need: what it adds is less.
      famShare: medians["FAM alone"] === undefined ? null : medians["FAM alone"] / medians.forward,
      // A discriminative explanation against a plain one: the median of the ratios of runs one after the other, so that
      // a machine that is slow for a while is slow for both.
      discriminative: paired(runs["discriminative, 224"], runs["forward + FAM"]),
      discriminativeLarge: paired(runs["discriminative, 320"], runs["forward + FAM"]),
      runs,
    };
  });
  return { contenders };
}

/** The times of every contender under a line that says of what. */
export function printTimes(report, title) {
  console.log(`\n${report.machine.browser}, ${report.machine.cores} cores, ${report.machine.cpu}`);
  console.log(`${title}\n`);
  console.log(row(["", "warm", "ratio", "cold", "cosine", "runs"]));
  for (const it of report.contenders) {
    if (it.error) {
      console.log(`${it.name.padEnd(34)}  failed: ${it.error.split("\n")[0]}`);
      continue;
    }
    for (const [what, ms] of Object.entries(it.medians)) {
      const first = what === "forward";
      const name = first ? it.name : `  ${what}`;
      const rest = first ? [fixed(it.ratio, 2), fixed(it.cold, 0), fixed(it.cosine, 6)] : ["", "", ""];
      console.log(row([name, fixed(ms, 2), ...rest, String(it.runs[what].length)]));
    }
    for (const [what, value] of [
      ["224", it.discriminative],
      ["320", it.discriminativeLarge],
    ]) {
      if (value !== null) console.log(row([`  discriminative at ${what}, to plain`, `${fixed(value, 2)} x`]));
    }
    if (it.famShare !== null) console.log(row(["  FAM's share of a forward pass", `${fixed(100 * it.famShare, 1)} %`]));
  }
}

export function print(report) {
  printTimes(report, "EfficientNet-Lite0, 1x3x224x224 to the embedding, milliseconds");
  console.log(
    "\nratio: to onnxruntime-web of the same kind, fp32; cosine: of the embedding, to onnxruntime-web WASM fp32",
  );
  console.log(`\n${"downloads (code only)".padEnd(44)}${"kB".padStart(9)}${"gzipped".padStart(9)}`);
  for (const { name, bytes, gzipped } of report.downloads) {
    console.log(`${name.padEnd(44)}${fixed(bytes / 1000, 0).padStart(9)}${fixed(gzipped / 1000, 0).padStart(9)}`);
  }
  console.log("\nfloors");
  for (const { met, what, value } of floors(report)) {
    const word = met === null ? "not measured" : met ? "met" : "NOT MET";
    console.log(`  ${word.padEnd(13)} ${what}: ${value}`);
  }
}

/** The floors this project has set itself, and whether this run met them. */
export function floors(report) {
  const find = name => report.contenders.find(it => it.name === name && !it.error) ?? {};
  const [cpu, gpu] = [find("famlens CPU"), find("famlens GPU")];
  const at = (value, limit, what, text) => ({
    what,
    met: value == null ? null : value <= limit,
    value: value == null ? "" : text,
  });
  const size = report.downloads[0].gzipped / 1000;
  return [
    at(cpu.ratio, 1.2, "CPU at most 1.2 x onnxruntime-web WASM", fixed(cpu.ratio, 2)),
    at(gpu.ratio, 0.25, "GPU at most 1/4 of onnxruntime-web WebGPU", fixed(gpu.ratio, 3)),
    at(cpu.famShare, 0.05, "FAM at most 5 % of a forward pass, CPU", `${fixed(100 * cpu.famShare, 1)} %`),
    at(gpu.famShare, 0.05, "FAM at most 5 % of a forward pass, GPU", `${fixed(100 * gpu.famShare, 1)} %`),
    at(cpu.discriminative, 1.1, "discriminative at 224 at most 1.1 x plain FAM, CPU", fixed(cpu.discriminative, 2)),
    at(gpu.discriminative, 1.1, "discriminative at 224 at most 1.1 x plain FAM, GPU", fixed(gpu.discriminative, 2)),
    at(
      cpu.discriminativeLarge,
      2.2,
      "discriminative at 320 at most 2.2 x plain FAM, CPU",
      fixed(cpu.discriminativeLarge, 2),
    ),
    at(
      gpu.discriminativeLarge,
      2.2,
      "discriminative at 320 at most 2.2 x plain FAM, GPU",
      fixed(gpu.discriminativeLarge, 2),
    ),
    at(size, 1200, "wasm and scripts at most 1200 kB gzipped", `${fixed(size, 0)} kB`),
  ];
}

function paired(ours, plain) {
  return ours?.length && ours.length === plain?.length ? median(ours.map((ms, i) => ms / plain[i])) : null;
}

/** A line of a table: a name and its figures. */
export function row([name, ...cells]) {
  return name.padEnd(34) + cells.map(cell => cell.padStart(10)).join("");
}

/** A figure, or a dash where there is none. */
export function fixed(value, digits) {
  return value == null || Number.isNaN(value) ? "-" : value.toFixed(digits);
}
