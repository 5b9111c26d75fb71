// What goes wrong on the way is told in words and can be tried again; the user's images stay.

import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, describe, test } from "node:test";

import { launch } from "../harness/browser.mjs";
import { SUB_PATH, open, ready, result, serveDist } from "../harness/page.mjs";

let server, browser;
before(async () => {
  browser = await launch("none");
});
after(() => browser?.close());
beforeEach(async () => {
  server = await serveDist();
});
afterEach(() => server.close());

const PAGE = `${SUB_PATH}?backend=cpu`;
const asked = ending => server.requests.filter(path => path.endsWith(ending)).length;

describe("a download", () => {
  for (const [ending, says] of [
    ["model.onnx", /download.+model.+stopped|model.+cut off/i],
    ["model.json", /download|model/i],
    [".wasm", /program|load/i],
  ]) {
    test(`of ${ending} that is cut off is told in words and can be retried`, async () => {
      server.cutOff(ending);
      const { page, context } = await open(browser, server.origin + PAGE);
      const retry = page.getByTestId("retry");
      await retry.waitFor();
      assert.equal(await page.getByTestId("app").getAttribute("data-state"), "error");
      const message = page.getByTestId("message").filter({ visible: true }).first();
      assert.match(await message.innerText(), says);
      assert.equal(await page.getByTestId("support").count(), 9, "the images stay");
      assert.equal(await page.evaluate(() => window.famlens.state.query), "kingfisher.jpg");
      await retry.click();
      await ready(page);
      const found = await result(page);
      assert.equal(found.classes[found.predicted].name, "Bird");
      assert.equal(asked(ending), 2);
      await context.close();
    });
  }
});

test("a network of two gigabytes is refused before it is read", async () => {
  const { page, context } = await open(browser, server.origin + PAGE);
  const found = await page.evaluate(async () => {
    const { loadModel } = await import(new URL("www/lens/model.js", document.baseURI).href);
    const huge = Object.defineProperty(new Blob([]), "size", { value: 2 ** 31 });
    return loadModel({ manifest: {}, bytes: huge }, () => {}).then(
      () => [],
      ({ code, message }) => [code, message],
    );
  });
  assert.equal(found[0], "too_large");
  assert.match(found[1], /2\.1 GB.+1\.1 GB.+quantize/);
  await context.close();
});

test("a photo given before the model is there is explained once it is", async () => {
  server.cutOff("model.onnx");
  const { page, context } = await open(browser, server.origin + PAGE);
  await page.getByTestId("retry").waitFor();
  const own = new URL("../../photos/hoofed_animal/pig.jpg", import.meta.url).pathname;
  await page.getByTestId("query-input").setInputFiles(decodeURIComponent(own));
  await page.getByTestId("retry").click();
  await ready(page);
  const found = await result(page);
  assert.equal(await page.evaluate(() => window.famlens.state.query), "pig.jpg");
  assert.equal(found.classes[found.predicted].name, "Hoofed animal");
  await context.close();
});
