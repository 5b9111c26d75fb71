// The built page under a sub-path, in a context of its own, with everything that happens to it on record.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";

import { launch } from "./browser.mjs";
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

/** The page as it is where nothing was bundled: it runs from its modules. */
export const unbundled = () => readFileSync(`${DIST}../index.html`, "utf8").replace(/^.*data-trunk.*\n/gm, "");

/**
 * Serves the built page as hosts should, its policy as a header too; `headers: false` leaves only its meta element, and
 * `bundled: false` has the page run from its modules, into which a test can reach.
 */
export function serveDist({ headers = true, bundled = true } = {}) {
  const instead = bundled ? {} : { [`${DIST}index.html`]: unbundled() };
  return serve({ mounts: { [SUB_PATH]: DIST, "/fixtures/": FIXTURES }, policy: headers, instead });
}

/**
 * Serves the built page and starts a browser before the tests of a suite, and ends both after them. To be called where
 * hooks are; what it gives is there once the tests run.
 *
 * @param {"software" | "none"} webgpu
 * @param {Parameters<typeof serveDist>[0]} [how]
 * @returns {{server: Awaited<ReturnType<typeof serveDist>>, browser: import("playwright-core").Browser}}
 */
export function setUp(webgpu, how) {
  const at = /** @type {any} */ ({});
  before(async () => {
    at.server = await serveDist(how);
    at.browser = await launch(webgpu);
  });
  after(async () => {
    await at.browser?.close();
    await at.server?.close();
  });
  return at;
}

/**
 * Opens a URL in a fresh context and records its requests, console errors and uncaught errors.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {string} url
 * @param {import("playwright-core").BrowserContextOptions} [options]
 * @param {() => void} [early] runs in the page before its own scripts
 */
export async function open(browser, url, options = {}, early) {
  // So that every request is the page's own; offline.test.mjs is about the service worker.
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    serviceWorkers: "block",
    ...options,
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  if (early) await page.addInitScript(early);
  /** @type {string[]} */
  const requests = [];
  /** @type {string[]} */
  const errors = [];
  context.on("request", request => requests.push(request.url()));
  page.on("pageerror", error => errors.push(`uncaught: ${error.stack ?? error.message}`));
  page.on("console", message => {
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
 * @param {{backend?: "auto" | "webgpu" | "gpu" | "cpu", hash?: string, options?:
 *   import("playwright-core").BrowserContextOptions, early?: () => void}} [how]
 */
export async function openLens(browser, origin, { backend = "auto", hash = "", options, early } = {}) {
  const opened = await open(browser, `${origin}${SUB_PATH}?backend=${backend}${hash}`, options, early);
  await ready(opened.page);
  return opened;
}

/** Waits until an explanation of the present inputs is on screen. */
export async function ready(page) {
  await page.locator('[data-testid=app][data-state="ready"]').waitFor();
}

/** Fails if a page asked anything of another origin, and if it asked for nothing, which would mean we did not see. */
export function assertOnlyOrigin(requests, origin) {
  const local = requests.filter(url => url.startsWith(`${origin}/`));
  const inside = url => url.startsWith("data:") || url.startsWith("blob:");
  assert.ok(
    local.some(url => url.endsWith(".wasm")),
    "the requests of the worker are on record",
  );
  assert.ok(
    local.some(url => url.endsWith(".onnx")),
    "the download of the model is on record",
  );
  assert.deepEqual(
    requests.filter(url => !local.includes(url) && !inside(url)),
    [],
  );
}

/**
 * Asks the page until it says yes. (Playwright's own waitForFunction needs `eval`, which the page's policy forbids.)
 *
 * @template T
 * @param {import("playwright-core").Page} page
 * @param {(argument: T) => boolean} test runs in the page
 * @param {T} [argument]
 */
export async function until(page, test, argument) {
  const give = Date.now() + PATIENCE;
  while (!(await page.evaluate(test, argument))) {
    if (Date.now() > give) throw new Error(`not within ${PATIENCE / 1000} s: ${test}\n${await describe(page)}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

/** What the page shows, for messages of failed tests. */
async function describe(page) {
  const texts = await page.locator("[data-testid=app], [data-testid=message], [data-testid=prediction]").all();
  const lines = texts.map(
    async one =>
      `${await one.getAttribute("data-testid")} ${(await one.getAttribute("data-state")) ?? ""} ` +
      `${(await one.innerText()).slice(0, 200)}`,
  );
  return (await Promise.all(lines)).join("\n");
}

/**
 * The last result as plain data: floats as arrays. `which` is `"published"` for FAM as the paper has it, which is shown
 * beside it.
 */
export function result(page, which = "result") {
  return page.evaluate(which => {
    const found = window.famlens[which];
    const plain = map => ({ ...map, data: Array.from(map.data) });
    return {
      ...found,
      map: plain(found.map),
      maps: found.maps.map(plain),
      contributions: found.contributions.map(one => Array.from(one)),
    };
  }, which);
}

/** Does something and waits for the explanation that follows it. */
export async function explained(page, act) {
  await page.evaluate(() => {
    window.lastSeen = window.famlens.result;
  });
  await act();
  await until(page, () => window.famlens.result !== null && window.famlens.result !== window.lastSeen);
  await ready(page);
  return result(page);
}
