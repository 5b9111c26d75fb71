// How sure a decision is, on the page and in the module: a photo of a class that is not shown is none of these, one
// scale for all maps, and what covering a part does beside what the map said.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";

import { EXAMPLES, explained, openLens, result, setUp, until } from "../harness/page.mjs";

const at = setUp("none");

describe("a photo of a class that is not shown", () => {
  let lens;
  before(async () => {
    lens = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  });

  test("is none of these, in the words of the library", async () => {
    const { page } = lens;
    const known = await result(page);
    assert.equal(known.decision.class, "Bird");
    assert.match(await page.getByTestId("prediction").innerText(), /^Bird\s+Clear: .* is far behind\.$/);
    const found = await explained(page, () =>
      page.getByTestId("query-input").setInputFiles(`${EXAMPLES}windmill-linda.jpg`),
    );
    const { decision } = found;
    assert.deepEqual([decision.class, decision.known], [null, false]);
    assert.ok(decision.evidence < decision.bound);
    const said = (await page.getByTestId("prediction").innerText()).replace(/\s+/g, " ");
    assert.equal(said, `${decision.headline} ${decision.says}`);
    assert.match(said, /^None of these/);
    assert.equal(await page.getByTestId("numbers").innerText(), decision.numbers);
  });

  test("has no full bar, and no map as bright as evidence", async () => {
    const { page } = lens;
    const found = await result(page);
    assert.ok(found.decision.bars.every(bar => bar === null || bar[1] < 0.5));
    const widths = await page
      .locator(".bar-fill")
      .evaluateAll(all => all.map(one => one.getBoundingClientRect().width / one.parentElement.clientWidth));
    assert.ok(Math.max(...widths) < 0.5, `bars of ${widths}`);
    assert.equal(found.scale.highSays, "as in your own photos");
    assert.ok(found.scale.high > Math.max(...found.maps.map(map => map.max)));
    for (const [k, map] of found.maps.entries())
      assert.equal(map.says, map.max > 0 ? null : `Nothing in this photo speaks for ${found.classes[k].name}.`);
  });

  test("the module answers the same, and a photo covered as a whole is what its maps predict", async () => {
    const { page } = lens;
    const shown = (await result(page)).decision;
    const told = await page.evaluate(async () => {
      const { createLens } = await import("/some/where/famlens/www/famlens.js");
      const lens = await createLens({ backend: "cpu" });
      const photo = name => `/some/where/famlens/www/examples/${name}.jpg`;
      const classes = [
        { name: "Bird", supports: ["owl", "scarlet-macaw", "chickens"].map(photo) },
        { name: "Fish", supports: ["angelfish", "clownfish", "goldfish"].map(photo) },
        { name: "Hoofed animal", supports: ["horses", "sheep", "bison"].map(photo) },
      ];
      const query = photo("windmill-linda");
      const { decision } = await lens.explain({ query, classes });
      const mask = { data: [1, 1, 1, 1], width: 2, height: 2 };
      const whole = await lens.whatIf({ query, classes, cover: { mask }, form: "fam" });
      const part = await lens.whatIf({ query, classes, cover: { boxes: [[10, 10, 90, 90]] }, with: "blur" });
      const refused = await lens.whatIf({ query, classes, cover: {} }).catch(({ message }) => message);
      lens.dispose();
      return { decision, whole, part, refused };
    });
    assert.equal(told.decision.headline, shown.headline);
    assert.equal(told.decision.says, shown.says);
    for (const { predicted, measured } of told.whole.classes) assert.ok(Math.abs(predicted - measured) < 1e-9);
    assert.equal(told.part.classes.length, 3);
    assert.ok(told.part.covered > 0 && told.part.covered < 1);
    assert.match(told.refused, /boxes or a mask/);
  });
});

test("covering a part shows how the score moves beside what the map predicted", async () => {
  const { page } = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  await page.locator("#cover-open").click();
  const canvas = page.getByTestId("cover-canvas");
  const { x, y, width, height } = await canvas.boundingBox();
  await page.mouse.move(x + width * 0.4, y + height * 0.3);
  await page.mouse.down();
  await page.mouse.move(x + width * 0.55, y + height * 0.6, { steps: 8 });
  await page.mouse.up();
  await until(page, () => document.querySelectorAll(".moves li").length === 3);
  assert.match(
    await page.locator(".moves li").first().innerText(),
    /^Bird: predicted -0\.\d+, measured -?0(\.\d+)?\.$/,
  );
  assert.match(await page.getByTestId("cover-now").innerText(), /^Covered like this: /);
  await page.getByRole("button", { name: "Uncover" }).click();
  assert.equal(await page.locator(".moves li").count(), 0);
});
