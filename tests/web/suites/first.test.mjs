// The first minute: what a visitor sees before the model is there, and what the page says at once.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, describe, test } from "node:test";

import { violations } from "../harness/axe.mjs";
import { launch } from "../harness/browser.mjs";
import { EXAMPLES, SUB_PATH, explained, open, openLens, ready, result, serveDist, until } from "../harness/page.mjs";

const { sets } = JSON.parse(await readFile(`${EXAMPLES}examples.json`, "utf8"));
const opening = JSON.parse(await readFile(`${EXAMPLES}opening.json`, "utf8"));

let browser, server, lens;
before(async () => {
  browser = await launch("none");
});
after(() => browser?.close());
afterEach(async () => {
  await lens?.context.close();
  await server?.close();
});

/** The page with a model that has not arrived. */
async function waiting(options) {
  server = await serveDist();
  server.spoil(".onnx", "stall");
  lens = await open(browser, `${server.origin}${SUB_PATH}?backend=cpu`, options);
  return lens.page;
}

describe("before the model is there", () => {
  test("the picture is shown with the answer made in advance, and says so", async () => {
    const page = await waiting();
    await page.getByTestId("early").waitFor();
    assert.equal(await page.getByTestId("app").getAttribute("data-state"), "loading");
    assert.match(await page.getByTestId("early").innerText(), /in advance/);
    assert.match(await page.getByTestId("prediction").innerText(), /^Bird/);
    const drawn = await page.getByTestId("overlay").evaluate(canvas => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return new Set(data).size;
    });
    assert.ok(drawn > 100, "the map has been drawn");
    assert.deepEqual(await violations(page), []);
  });

  test("nothing that needs the model looks as if it could be used", async () => {
    const page = await waiting();
    await page.getByTestId("early").waitFor();
    for (const id of ["modes", "class-row", "tools"])
      assert.ok(await page.locator(`#${id}`).evaluate(one => one.inert));
    for (const id of ["save-png", "choices-open"]) {
      const inert = await page.getByTestId(id).evaluate(one => one.closest("[inert]") !== null);
      assert.ok(inert, id);
    }
  });

  test("the live answer takes its place, and is the same", async () => {
    server = await serveDist();
    lens = await openLens(browser, server.origin, { backend: "cpu" });
    const { page } = lens;
    assert.ok(await page.getByTestId("early").isHidden());
    const found = await result(page);
    assert.equal(found.predicted, opening.predicted);
    for (const [at, { similarity, map }] of opening.classes.entries()) {
      assert.ok(Math.abs(similarity - found.classes[at].similarity) < 1e-3 * (1 + similarity));
      const off = found.maps[at].data.map((value, cell) => {
        const early = map.min + ((map.max - map.min) * map.cells[cell]) / 1000;
        return Math.abs(value - early);
      });
      assert.ok(Math.max(...off) < 0.01 * Math.max(map.max, 1e-6) + 1e-3, `${Math.max(...off)} of ${map.max}`);
    }
    assert.ok(await page.locator("#tools").evaluate(one => !one.inert));
  });

  test("another question takes what was made in advance away", async () => {
    const page = await waiting();
    await page.getByTestId("early").waitFor();
    await page.getByTestId("example").nth(1).click();
    await page.getByTestId("early").waitFor({ state: "hidden" });
  });
});

for (const viewport of [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
])
  test(`what has been shown stays where it is while the page loads at ${viewport.width} px`, async () => {
    server = await serveDist();
    const early = () => {
      window.shifted = 0;
      new PerformanceObserver(list => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
      }).observe({ type: "layout-shift", buffered: true });
    };
    lens = await openLens(browser, server.origin, { backend: "cpu", options: { viewport }, early });
    const shifted = await lens.page.evaluate(() => window.shifted);
    assert.ok(shifted < 0.05, `${shifted}`);
  });

test("one picture fills the stage, and FAM as published is one click away", async () => {
  server = await serveDist();
  lens = await openLens(browser, server.origin, { backend: "cpu" });
  const { page } = lens;
  const panes = page.getByTestId("pane").filter({ visible: true });
  assert.equal(await panes.count(), 1);
  await page.getByRole("switch", { name: "Compare with FAM as published" }).check();
  await ready(page);
  await until(page, () => window.famlens.published !== null);
  assert.equal(await panes.count(), 2);
});

test("each room says in one sentence what it is for", async () => {
  server = await serveDist();
  lens = await openLens(browser, server.origin, { backend: "cpu" });
  const seen = new Set();
  for (const task of ["few-shot", "pair", "gallery", "evaluate"]) {
    await lens.page.locator(`[data-task=${task}]`).click();
    await lens.page.locator(`[data-task=${task}][aria-current]`).waitFor();
    const text = await lens.page.locator("#intro").innerText();
    assert.match(text, /^[A-Z][^.]+\.$/);
    seen.add(text);
  }
  assert.equal(seen.size, 4);
});

test("the shortcut is one: with other pliers the model says Hammer", async () => {
  server = await serveDist();
  lens = await openLens(browser, server.origin, { backend: "cpu" });
  const { page } = lens;
  const set = sets.find(one => one.says);
  const found = await explained(page, () => page.getByTestId("set").filter({ hasText: set.name }).click());
  assert.equal(found.classes[found.predicted].name, "Pliers");
  assert.match(await page.getByTestId("shortcut").innerText(), /shortcut.*red.*it says Hammer/s);
  assert.deepEqual(await violations(page), []);

  const pliers = page.getByTestId("class").nth(1);
  for (const file of ["pliers-flat.jpg", "pliers-pincers.jpg"])
    await pliers.locator("input[type=file]").setInputFiles(`${EXAMPLES}${file}`);
  for (let left = 2; left > 0; left -= 1) {
    await pliers.locator(".support").first().hover();
    await pliers.getByTestId("support-remove").first().click();
  }
  await ready(page);
  const other = await result(page);
  assert.equal(other.classes[other.predicted].name, "Hammer");
  assert.ok(await page.getByTestId("shortcut").isHidden());
});

describe("on a phone", () => {
  const options = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

  /** Whether all of these are in sight at once, without a touch. */
  const inSight = (page, selectors) =>
    page.evaluate(
      all =>
        all.filter(selector => {
          const { top, bottom, height } = document.querySelector(selector).getBoundingClientRect();
          const foot = document.querySelector(".sheet-bar").getBoundingClientRect().top;
          return height === 0 || top < 0 || bottom > foot;
        }),
      selectors,
    );

  test("photo, verdict, class switch and kinds of map are on one screen", async () => {
    server = await serveDist();
    lens = await openLens(browser, server.origin, { backend: "cpu", options });
    const { page } = lens;
    const parts = ["[data-testid=overlay]", "#prediction", "#class-switch", "#form"];
    assert.deepEqual(await inSight(page, parts), []);
    await explained(page, () =>
      page
        .getByTestId("set")
        .nth(1)
        .evaluate(one => one.click()),
    );
    assert.deepEqual(await inSight(page, parts), [], "with a tall photo too");
    const take = page.getByTestId("take-input");
    assert.deepEqual(
      [await take.getAttribute("capture"), await take.getAttribute("accept")],
      ["environment", "image/*"],
    );
    assert.ok(await page.getByText("Take a photo", { exact: true }).isVisible());
  });

  test("what can be touched is large enough, and panels are sheets", async () => {
    server = await serveDist();
    lens = await openLens(browser, server.origin, { backend: "cpu", options });
    const { page } = lens;
    const small = () =>
      page.evaluate(() =>
        [...document.querySelectorAll("button, a, .class-chip span, .pick span, label.button")]
          .filter(one => one.checkVisibility() && !one.closest("[inert]") && !one.matches(".skip, .link, .remove"))
          .map(one => [one.id || one.textContent.trim() || one.className, one.getBoundingClientRect()])
          .filter(([, { height, width }]) => width > 0 && height < 40)
          .map(([name, { height }]) => `${name}: ${height}`),
      );
    assert.deepEqual(await small(), []);
    assert.deepEqual(await violations(page), []);
    for (const [at, inside] of ["#class-list", "#ranking", "#opacity"].entries()) {
      assert.ok(await page.locator(inside).isHidden());
      await page.getByTestId("sheet").nth(at).click();
      assert.ok(await page.locator(inside).isVisible(), inside);
      assert.deepEqual(await violations(page), []);
    }
    await page.keyboard.press("Escape");
    await page.getByTestId("overlay").click();
    assert.ok(await page.locator("#opacity").isHidden());
  });
});
