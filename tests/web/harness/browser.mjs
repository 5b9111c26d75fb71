// Chromium as the tests need it: with a WebGPU adapter that runs on the CPU (SwiftShader), or without any WebGPU.

import { chromium } from "playwright-core";

const QUIET = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const WEBGPU = {
  software: ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
  none: ["--disable-gpu", "--disable-features=WebGPUService,WebGPU"],
};

/**
 * Launches the Chromium named by `CHROME`.
 *
 * @param {"software" | "none"} webgpu
 */
export function launch(webgpu) {
  const executablePath = process.env.CHROME;
  if (!executablePath) throw new Error("set CHROME to the path of a Chromium; `cargo xtask test web` does");
  return chromium.launch({ executablePath, args: [...QUIET, ...WEBGPU[webgpu]] });
}
