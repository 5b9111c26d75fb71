// Engines that go away or change while the page is used: a lost GPU is rebuilt once, then the CPU takes over and the
// page says so; choices made at awkward moments end in a page that is ready.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { explained, openLens, ready, setUp, until } from "../harness/page.mjs";

const at = setUp("software");
let lens;
afterEach(() => lens?.context.close());

const example = (page, place) => page.getByTestId("example").nth(place).click();
const kind = page => page.getByTestId("backend").getAttribute("data-backend");
const predicted = found => found.classes[found.predicted].name;

test("a GPU that is lost once is used again, and lost twice gives way to the CPU, said in words", async () => {
  lens = await openLens(at.browser, at.server.origin, { backend: "webgpu" });
  const { page } = lens;
  await page.evaluate(() => window.famlens.lens.loseGpu());
  const again = await explained(page, () => example(page, 1));
  assert.equal(again.backend, "webgpu");
  assert.equal(predicted(again), "Bird");

  await page.evaluate(() => window.famlens.lens.loseGpu());
  const without = await explained(page, () => example(page, 2));
  assert.equal(without.backend, "cpu");
  assert.equal(await page.getByTestId("support").count(), 9, "the images stay");
  await until(page, () => document.querySelector("[data-testid=backend]").dataset.backend === "cpu");
  await page.getByTestId("message").filter({ hasText: "the CPU has taken over" }).waitFor();
});

test("the address may call the GPU what the command line calls it", async () => {
  lens = await openLens(at.browser, at.server.origin, { backend: "gpu" });
  assert.equal(await lens.page.evaluate(() => window.famlens.state.backend), "webgpu");
  assert.equal(await kind(lens.page), "webgpu");
});

test("photos asked about while the engines are measured are explained, and the page comes to rest", async () => {
  lens = await openLens(at.browser, at.server.origin, { backend: "auto" });
  const { page, errors } = lens;
  await page.locator("#backend-button[data-state=busy]").waitFor();
  const found = await explained(page, () => example(page, 1));
  assert.equal(predicted(found), "Bird");
  await page.locator("#backend-button[data-state=ready]").waitFor();
  assert.equal(await kind(page), "cpu");
  assert.deepEqual(errors, []);
});

test("an engine chosen before Auto has measured is kept", async () => {
  // From within the page, and as soon as there is a choice: the first explanation is still under way then, so that on a
  // machine as busy as may be the choice reaches the worker before it measures.
  const early = () => {
    const seen = new MutationObserver(() => {
      const choice = document.querySelector("[data-testid=backend-choice] input[value=cpu]");
      if (!choice || choice.disabled) return;
      seen.disconnect();
      choice.click();
    });
    seen.observe(document, { attributes: true, childList: true, subtree: true });
  };
  lens = await openLens(at.browser, at.server.origin, { backend: "auto", early });
  const { page, errors } = lens;
  await ready(page);
  // Longer than the page waits before it measures.
  await page.waitForTimeout(2000);
  await page.locator("#backend-button[data-state=ready]").waitFor();
  assert.equal(await kind(page), "cpu");
  const engines = await page.evaluate(() => window.famlens.lens.info.engines);
  assert.equal(engines.find(one => one.kind === "webgpu").milliseconds, null, "nothing was measured after the choice");
  assert.deepEqual(errors, []);
});
