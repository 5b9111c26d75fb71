// Runs every contender in a worker of its own, cold once and then warm in turn, so that what else happens on the
// machine hits all of them alike.

import { describe, own } from "./own.js";
import { shipped } from "./shipped.js";

/** What is to be known of a model before it is measured; called by bench.mjs. */
window.describe = describe;

/**
 * Measures everything, on the model that ships or on one of the user's; called by bench.mjs. `only` is what the names
 * of the contenders must match.
 */
window.bench = async ({ model, rounds, gpuRounds, only }) => {
  const { contenders, image, input } = await (model ? own(model) : shipped());
  const chosen = contenders.filter(({ name }) => new RegExp(only).test(name));
  const results = [];
  for (const { make, ...contender } of chosen) {
    const result = { ...contender, runs: {} };
    results.push(result);
    const { name } = contender;
    try {
      const from = performance.now();
      const { cold, run } = await make(image, input);
      Object.assign(result, { cold: performance.now() - from, embedding: [...cold], run });
      console.log(`${name}: ready, first result after ${result.cold.toFixed(0)} ms`);
    } catch (error) {
      result.error = String(error?.message ?? error);
      console.log(`${name}: FAILED: ${result.error}`);
    }
  }
  for (const [group, count] of [
    ["cpu", rounds],
    ["gpu", gpuRounds],
  ]) {
    const running = results.filter(result => result.group === group && result.run);
    // One round that is not counted: just-in-time compilers and caches settle.
    for (let round = -1; round < count; round += 1) {
      for (const result of running) {
        for (const [what, ms] of Object.entries(await result.run())) {
          if (round >= 0) (result.runs[what] ??= []).push(...[ms].flat());
        }
      }
      console.log(`${group}: round ${round + 1} of ${count}`);
    }
  }
  return results.map(({ run, ...result }) => result);
};
