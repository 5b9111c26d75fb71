// Whether everybody can use the pair and gallery views: screen readers (axe-core's rules), narrow screens, light and
// dark.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { violations } from "../harness/axe.mjs";
import { SUB_PATH, open, ready, setUp, until } from "../harness/page.mjs";

const at = setUp("none");

/** Each task with something in it. */
async function show(task, options) {
  const { page, context } = await open(at.browser, `${at.server.origin}${SUB_PATH}?backend=cpu#${task}`, options);
  await ready(page);
  if (task === "gallery") {
    await page.getByTestId("gallery-examples").click();
    await page.locator('[data-testid=gallery-tile][data-name="owl.jpg"]').waitFor();
    await page.locator('[data-testid=gallery-tile][data-name="owl.jpg"]').click();
    await page.getByTestId("gallery-query-map").waitFor();
    await page.getByTestId("gallery-progress").waitFor({ state: "hidden" });
  }
  return { page, context };
}

for (const task of ["pair", "gallery"]) {
  describe(task, () => {
    for (const colorScheme of ["light", "dark"]) {
      test(`axe-core finds nothing, ${colorScheme}`, async () => {
        const { page, context } = await show(task, { colorScheme });
        assert.deepEqual(await violations(page), []);
        await context.close();
      });
    }

    test("nothing is wider than a telephone, and what is touched is large enough", async () => {
      const { page, context } = await show(task, { viewport: { width: 360, height: 740 }, hasTouch: true });
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
      const small = await page
        .locator(`#view-${task} button:visible`)
        .evaluateAll(all => all.filter(one => one.getBoundingClientRect().height < 24).map(one => one.textContent));
      assert.deepEqual(small, []);
      await context.close();
    });
  });
}

test("a task is found by its address, and its tab says so", async () => {
  const { page, context } = await show("pair", {});
  assert.equal(await page.locator("[data-testid=task][aria-current]").innerText(), "Pair");
  assert.equal(await page.title(), "Pair · famlens");
  await page.getByTestId("task").filter({ hasText: "Gallery" }).click();
  await until(
    page,
    () => !document.querySelector("#view-gallery").hidden && document.querySelector("#view-pair").hidden,
  );
  await page.goBack();
  await until(page, () => !document.querySelector("#view-pair").hidden);
  await context.close();
});
