// What the workers of the benchmark share: calls by name, answered with the result and the time it took.

/**
 * @param {(options: object, input: Float32Array) => Promise<() => Promise<Float32Array>>} start
 *   makes everything ready and returns the function that runs the model once
 */
self.serveContender = start => {
  let run;
  self.onmessage = async ({ data }) => {
    try {
      if (data.start) run = await start(data.start, data.input);
      const from = performance.now();
      const output = await run();
      self.postMessage({ output, ms: performance.now() - from });
    } catch (error) {
      self.postMessage({ error: String(error?.stack ?? error) });
    }
  };
};
