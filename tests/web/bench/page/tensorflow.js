// TensorFlow.js in a classic worker: WASM (XNNPACK) on one thread, or WebGPU.

importScripts("./worker.js");

self.serveContender(async ({ provider, network, weights, scripts, wasm }, input) => {
  importScripts(...scripts);
  const { tf } = self;
  if (provider === "wasm") {
    tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
    tf.wasm.setWasmPaths(wasm);
  }
  if (!(await tf.setBackend(provider))) throw new Error(`TensorFlow.js has no backend ${provider} here`);
  await tf.ready();
  const steps = await (await fetch(network)).json();
  const all = new Float32Array(await (await fetch(weights)).arrayBuffer());
  const tensor = (offset, shape) => tf.tensor(all.slice(offset, offset + shape.reduce((a, b) => a * b)), shape);
  for (const step of steps.filter(step => step.weight !== undefined)) {
    step.filter = tensor(step.weight, step.shape);
    step.bias = tensor(step.bias, [step.channels]);
  }
  // NCHW to NHWC once: the layout that TensorFlow.js takes images in.
  const plane = input.length / 3;
  const nhwc = Float32Array.from({ length: input.length }, (_, i) => input[(i % 3) * plane + Math.floor(i / 3)]);
  const side = Math.sqrt(plane);
  return async () => {
    const output = tf.tidy(() => forward(tf, steps, tf.tensor(nhwc, [1, side, side, 3])));
    const data = await output.data();
    output.dispose();
    return Float32Array.from(data);
  };
});

function forward(tf, steps, image) {
  const values = new Map([["image", image]]);
  let last = image;
  for (const step of steps) {
    const x = values.get(step.x);
    if (step.op === "add") {
      last = tf.add(x, values.get(step.y));
    } else if (step.op === "mean") {
      last = tf.mean(x, [1, 2]);
    } else {
      const convolve = step.op === "conv" ? tf.fused.conv2d : tf.fused.depthwiseConv2d;
      const activation = step.relu6 ? "relu6" : "linear";
      last = convolve({
        x,
        filter: step.filter,
        strides: step.stride,
        pad: step.same ? "same" : "valid",
        bias: step.bias,
        activation,
      });
    }
    values.set(step.output, last);
  }
  return last;
}
