// The built page under a sub-path, in a context of its own, with everything that happens to it on record.

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { serve } from "./server.mjs";

/** Where the page is served: deep, so that an absolute URL in the page would be noticed. */
export const SUB_PATH = "/some/where/famlens/";

/** The built page, and the folder of pages that the tests bring. */
export const DIST = fileURLToPath(new URL("../../../dist/", import.meta.url));
export const FIXTURES = fileURLToPath(new URL("../fixtures/", import.meta.url));
/** The photos of the opening example and the others that the page offers, as built. */
export const EXAMPLES = `${DIST}www/examples/`;

/** How long a page may take until its first explanation, on a machine with two busy cores and no GPU. */
const PATIENCE = 120_000;

/** Serves the built page. */
export function serveDist() {
  return serve({ mounts: { [SUB_PATH]: DIST, "/fixtures/": FIXTURES } });
}

/**
 * Opens a URL in a fresh context and records its requests, console errors and uncaught errors.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {import("playwright-core").BrowserContextOptions} [options]
 */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  /** @type {string[]} */
  const requests = [];
  /** @type {string[]} */
  const errors = [];
  context.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => errors.push(`uncaught: ${error.stack ?? error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(`console: ${message.text()} (${message.location().url})`);
  });
  await page.goto(url);
  return { context, page, requests, errors };
}

/**
 * Opens famlens and waits for its first explanation.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {string} origin
 * @param {{backend?: "auto" | "gpu" | "cpu", options?: import("playwright-core").BrowserContextOptions}} [how]
 */
export async function openLens(browser, origin, { backend = "auto", options } = {}) {
  const opened = await open(browser, `${origin}${SUB_PATH}?backend=${backend}`, options);
  await ready(opened.page);
  return opened;
}

/** Waits until an explanation of the present inputs is on screen. */
export async function ready(page) {
  await page.locator('[data-testid=app][data-state="ready"]').waitFor();
}

/** Fails if a page asked anything of another origin, and if it asked for nothing, which would mean we did not see. */
export function assertOnlyOrigin(requests, origin) {
  const local = requests.filter((url) => url.startsWith(`${origin}/`));
  const inside = (url) => url.startsWith("data:") || url.startsWith("blob:");
  assert.ok(local.some((url) => url.endsWith(".wasm")), "the requests of the worker are on record");
  assert.ok(local.some((url) => url.endsWith(".onnx")), "the download of the model is on record");
  assert.deepEqual(requests.filter((url) => !local.includes(url) && !inside(url)), []);
}
