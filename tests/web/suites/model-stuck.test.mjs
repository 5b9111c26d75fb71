// A model that crashes, hangs or takes the page down with it: the one before goes on, and no visit is locked by it.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, test } from "node:test";

import { SUB_PATH, explained, open, openLens, ready, setUp, until } from "../harness/page.mjs";

const NETWORK = new URL("../../onnx/net_resnet.onnx", import.meta.url);

const at = setUp("none", { bundled: false });
let lens;
afterEach(() => lens?.context.close());

/**
 * Makes the engine fail for models of this name, in every worker from now on: `"trap"` runs an unreachable instruction,
 * as a fault of the program does, and `"hang"` never answers.
 */
async function spoil(page, name, how) {
  const glue = `${at.server.origin}${SUB_PATH}www/wasm/famlens.js`;
  const install = async ({ glue, name, how }) => {
    const { Lens } = await import(glue);
    const create = Lens.create;
    // (module (func (export "f") unreachable))
    const bytes = Uint8Array.of(
      0,
      97,
      115,
      109,
      1,
      0,
      0,
      0,
      1,
      4,
      1,
      96,
      0,
      0,
      3,
      2,
      1,
      0,
      7,
      5,
      1,
      1,
      102,
      0,
      0,
      10,
      5,
      1,
      3,
      0,
      0,
      11,
    );
    const fail =
      how === "hang" ? () => new Promise(() => {}) : new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.f;
    Lens.create = async (manifest, ...rest) => {
      const made = await create.call(Lens, manifest, ...rest);
      if (JSON.stringify(manifest).includes(name)) made.explain = made.prepare = async () => fail();
      return made;
    };
  };
  const every = worker => worker.evaluate(install, { glue, name, how }).catch(() => {});
  page.on("worker", every);
  return () => page.off("worker", every);
}

const file = (name, buffer) => ({ name, mimeType: "application/octet-stream", buffer: Buffer.from(buffer) });
const running = page => page.getByTestId("model-row").and(page.locator("[aria-current]"));

/** Brings the small network under a name and asks for it. */
async function bring(page, name) {
  if (!(await page.locator("#model-panel").isVisible())) await page.locator("#model-button").click();
  await page.getByTestId("model-input").setInputFiles([file(`${name}.onnx`, await readFile(NETWORK))]);
  await page.getByTestId("model-apply").click();
}

/** Keeps the small network in the browser as the model of the next visit. */
async function keep(page, name) {
  await explained(page, () => bring(page, name));
  await page.getByRole("button", { name: `Keep ${name}` }).click();
  await page.getByTestId("message").filter({ hasText: "stays in this browser" }).waitFor();
}

test("a model that crashes at its first explanation is told as that, and the one before goes on", async () => {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  const { page } = lens;
  await page.evaluate(() => {
    window.before = [window.famlens.lens, window.famlens.result];
  });
  await spoil(page, "crasher", "trap");
  await bring(page, "crasher");
  const error = page.getByTestId("model-error");
  await error.waitFor();
  assert.match(await error.innerText(), /crashed.+unreachable.+EfficientNet-Lite0 goes on/s);
  assert.doesNotMatch(await error.innerText(), /download|connection|internet/i);
  await ready(page);
  assert.ok(
    await page.evaluate(() => window.famlens.lens === window.before[0] && window.famlens.result === window.before[1]),
    "nothing has changed",
  );
  assert.match(await running(page).innerText(), /EfficientNet-Lite0/);
  assert.equal(page.workers().length, 1, "the worker of the model that crashed has ended");
  await page.keyboard.press("Escape");
  const found = await explained(page, () => page.getByTestId("example").nth(1).click());
  assert.equal(found.classes[found.predicted].name, "Bird");
});

test("a kept model that crashes locks no visit: the page goes on with its own model", async () => {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  const { page } = lens;
  await keep(page, "crasher");
  await spoil(page, "crasher", "trap");
  await page.reload();
  await ready(page);
  assert.equal(await page.getByTestId("model").textContent(), "EfficientNet-Lite0");
  await page
    .getByTestId("message")
    .filter({ hasText: /crasher could not be used.+crashed/s })
    .waitFor();
  await page.reload();
  await ready(page);
  assert.equal(await page.getByTestId("model").textContent(), "EfficientNet-Lite0");
  assert.equal(await page.getByTestId("message").filter({ visible: true }).count(), 0, "it was not tried again");
  await page.locator("#model-button").click();
  assert.ok(await page.getByRole("button", { name: "Use crasher" }).isVisible(), "and is still there to be chosen");
});

test("a kept model that never got to an explanation is not started by itself, and can be started by hand", async () => {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  const { page } = lens;
  await keep(page, "hanger");
  const cure = await spoil(page, "hanger", "hang");
  await page.reload();
  await until(page, () => localStorage.getItem("famlens.starting") !== null);
  assert.ok(await page.locator("#model-button").isVisible(), "the button is there before there is a model");
  assert.equal(await page.getByTestId("model").textContent(), "hanger");
  await page.reload();
  await ready(page);
  assert.equal(await page.getByTestId("model").textContent(), "EfficientNet-Lite0");
  const told = page.getByTestId("message").filter({ hasText: "was not started again" });
  await told.waitFor();
  cure();
  await explained(page, () => told.getByRole("button", { name: "Start it" }).click());
  assert.equal(await page.getByTestId("model").textContent(), "hanger");
  assert.equal(await page.evaluate(() => localStorage.getItem("famlens.starting")), null);
});

test("loading is cancelled, in the room and at the start, and its worker ends", async () => {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  const { page } = lens;
  await spoil(page, "hanger", "hang");
  await bring(page, "hanger");
  await page.getByTestId("model-cancel").click();
  const error = page.getByTestId("model-error");
  await error.waitFor();
  assert.match(await error.innerText(), /stopped.+EfficientNet-Lite0 goes on/i);
  await until(page, () => document.querySelector("[data-testid=app]").dataset.state === "ready");
  assert.equal(page.workers().length, 1);
  await lens.context.close();

  // Half of the model comes, and then nothing more.
  at.server.spoil(".onnx", "stall");
  lens = await open(at.browser, `${at.server.origin}${SUB_PATH}?backend=cpu`);
  const first = lens.page;
  await first
    .locator("#busy-text")
    .filter({ hasText: / of [\d.]+ MB/ })
    .waitFor();
  await first.getByTestId("busy-cancel").click();
  const retry = first.getByTestId("retry");
  await retry.waitFor();
  assert.match(await first.locator("#failed-text").innerText(), /stopped/i);
  assert.equal(first.workers().length, 0);

  // Whoever chooses another model while the first one loads, and that one fails, is not left with nothing.
  await spoil(first, "crasher", "trap");
  await bring(first, "crasher");
  await first.getByTestId("model-error").waitFor();
  await first.keyboard.press("Escape");
  assert.ok(await retry.isVisible());
  await retry.click();
  await ready(first);
});

test("an engine that crashes later is told as a crash; another model is one click away", async () => {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  const { page } = lens;
  await explained(page, () => bring(page, "later"));
  await page.keyboard.press("Escape");
  const [worker] = page.workers();
  await worker.evaluate(async glue => {
    const { Lens } = await import(glue);
    Lens.prototype.explain = Lens.prototype.prepare = async () => {
      throw new WebAssembly.RuntimeError("unreachable");
    };
  }, `${at.server.origin}${SUB_PATH}www/wasm/famlens.js`);
  await page.getByTestId("example").nth(1).click();
  await page.getByTestId("use-default").waitFor();
  const says = await page.locator("#failed-text").innerText();
  assert.match(says, /unreachable/);
  assert.doesNotMatch(says, /download|connection/i);
  assert.ok(await page.locator("#model-button").isVisible());
  await page.getByTestId("use-default").click();
  await ready(page);
  assert.equal(await page.getByTestId("model").textContent(), "EfficientNet-Lite0");
  assert.equal(await page.getByTestId("support").count(), 9, "the images stay");
});
