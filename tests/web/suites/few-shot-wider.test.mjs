// The wider looks of the few-shot task: methods side by side, a mosaic of the classes, the check of the supports.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { violations } from "../harness/axe.mjs";
import { explained, openLens, setUp, until } from "../harness/page.mjs";

const at = setUp("none");
let lens, page;
afterEach(async () => {
  assert.deepEqual(lens?.errors, []);
  await lens?.context.close();
});

async function show(mode) {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  page = lens.page;
  await page.locator(`[data-mode=${mode}]`).click();
}

const pane = key => page.locator(`[data-pane="${key}"]`);
const picture = key => page.getByTestId(`overlay-${key}`).evaluate(canvas => canvas.toDataURL());

test(
  "methods side by side: each with its own map, time, passes and memory; one more is added without the others " +
    "running again",
  async () => {
    await show("methods");
    for (const key of ["fam", "cam", "grad-cam", "layer-cam"]) {
      await page.getByTestId(`overlay-${key}`).waitFor();
      assert.match(await pane(key).locator("figcaption").innerText(), /\d ?m?s, .*pass.*, [\d.]+ [kM]B/);
    }
    assert.match(await pane("grad-cam").innerText(), /1 backward pass|3 backward passes/);
    assert.notEqual(await picture("fam"), await picture("grad-cam"));
    await page.locator('.mode-methods input[value="eigen-cam"]').check({ force: true });
    await page.getByTestId("overlay-eigen-cam").waitFor();
    assert.equal(await page.locator(".mode-methods [data-testid=pane]").count(), 5);

    const before = await picture("fam");
    await page.getByTestId("class-chip").nth(1).hover();
    await until(page, before => document.querySelector("[data-testid=overlay-fam]").toDataURL() !== before, before);
    assert.deepEqual(await violations(page), []);
  },
);

test("a mosaic shows that the discriminative form lights the own tile, and plain FAM does not", async () => {
  await show("mosaic");
  const table = page.getByTestId("mosaic-figures");
  await table.waitFor();
  const mean = async form =>
    Number((await table.locator(`tr[data-form=${form}] td`).nth(3).innerText()).match(/\d+/)[0]);
  const [plain, discriminative] = [await mean("fam"), await mean("discriminative")];
  assert.ok(discriminative > 1.5 * plain, `${discriminative} % against ${plain} %`);
  assert.match(await pane("fam").locator("figcaption").innerText(), /of Bird's map is on its own tile/);
  await page.getByTestId("class-chip").nth(1).hover();
  await until(page, () => document.querySelector('[data-pane="fam"] figcaption').textContent.includes("Fish"));

  const source = () => pane("fam").locator("img").getAttribute("src");
  const before = await source();
  await page.getByTestId("tile-pick").first().click();
  await until(page, before => document.querySelector('[data-pane="fam"] img').src !== before, before);
  assert.deepEqual(await violations(page), []);
});

test("the check of the supports has a row for each class, and leads to what it gets wrong", async () => {
  await show("check");
  const table = page.getByTestId("confusion");
  await table.waitFor();
  const counts = (await table.locator("tbody td").allInnerTexts()).map(Number);
  assert.equal(counts.length, 9);
  assert.equal(
    counts.reduce((a, b) => a + b, 0),
    9,
    "every support is judged once",
  );
  const right = counts[0] + counts[4] + counts[8];
  assert.match(await page.getByTestId("check-accuracy").innerText(), new RegExp(`^${right} of 9`));
  assert.equal(await page.getByTestId("check-wrong").count(), 9 - right);
  assert.deepEqual(await violations(page), []);

  // A photo in the wrong class does not pass unnoticed.
  const own = new URL("../../photos/hoofed_animal/pig.jpg", import.meta.url).pathname;
  await explained(page, () => page.getByTestId("class-input").first().setInputFiles(decodeURIComponent(own)));
  const wrong = page.getByTestId("check-wrong").filter({ hasText: "pig.jpg" });
  await wrong.waitFor();
  await explained(page, () => wrong.click());
  assert.equal(await page.evaluate(() => window.famlens.state.query), "pig.jpg");
});
