// Whether everybody can use it: with a keyboard, with a screen reader (axe-core's rules), on a narrow screen, light and
// dark.

import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";

import { violations } from "../harness/axe.mjs";
import { explained, openLens, setUp, until } from "../harness/page.mjs";

const at = setUp("none");
let lens;
afterEach(() => lens?.context.close());

async function show(options) {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu", options });
  return lens.page;
}

for (const colorScheme of ["light", "dark"]) {
  describe(`axe-core finds nothing, ${colorScheme}`, () => {
    test("on the page", async () => {
      const page = await show({ colorScheme });
      assert.deepEqual(await violations(page), []);
    });

    test("in the About panel and the choice of engines", async () => {
      const page = await show({ colorScheme });
      await page.locator("#backend-button").click();
      await page.getByTestId("backend-choice").waitFor();
      assert.deepEqual(await violations(page), []);
      await page.keyboard.press("Escape");
      await page.getByTestId("about").click();
      await page.getByRole("dialog").waitFor();
      assert.deepEqual(await violations(page), []);
    });

    test("in the choices, one of them opened", async () => {
      const page = await show({ colorScheme });
      await page.getByTestId("choices-open").click();
      await page.locator("[data-kind=similarity] summary").click();
      assert.deepEqual(await violations(page), []);
    });

    test("on a phone", async () => {
      const page = await show({ colorScheme, viewport: { width: 360, height: 740 } });
      assert.deepEqual(await violations(page), []);
    });
  });
}

for (const width of [360, 768, 1280, 1920]) {
  test(`nothing is wider than a window of ${width} px`, async () => {
    const page = await show({ viewport: { width, height: 800 } });
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
    assert.ok(wide <= width, `the page is ${wide} px wide`);
    const sheets = page.getByTestId("sheet").filter({ visible: true });
    const open = async id => {
      for (let sheet = 0; !(await page.getByTestId(id).isVisible()); sheet += 1) await sheets.nth(sheet).click();
      await page.getByTestId(id).scrollIntoViewIfNeeded();
    };
    for (const id of ["query", "ranking", "channels", "class-add", "save-png"]) {
      await open(id);
      const box = await page.getByTestId(id).boundingBox();
      assert.ok(box && box.x >= 0 && box.x + box.width <= width, `${id} is cut off: ${JSON.stringify(box)}`);
    }
  });
}

describe("with the keyboard alone", () => {
  /** Tabs until the focus is on what a selector names. */
  async function tabTo(page, selector) {
    for (let step = 0; step < 120; step += 1) {
      await page.keyboard.press("Tab");
      if (await page.evaluate(selector => document.activeElement.matches(selector), selector)) return;
    }
    assert.fail(`the Tab key does not lead to ${selector}`);
  }

  test("another photo, another class and another form are chosen", async () => {
    const page = await show();
    await tabTo(page, "[data-testid=example], [data-testid=query-photo]");
    const queried = await page.evaluate(() => window.famlens.state.query);
    const found = await explained(page, async () => {
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("Enter");
    });
    assert.notEqual(await page.evaluate(() => window.famlens.state.query), queried);
    assert.equal(found.backend, "cpu");

    await tabTo(page, "[data-testid=rank]");
    const shown = await page.evaluate(() => window.famlens.state.target);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await until(page, shown => window.famlens.state.target !== shown, shown);

    await tabTo(page, "[data-testid=form] input");
    const other = await explained(page, () => page.keyboard.press("ArrowRight"));
    assert.notEqual(other.form, found.form);
  });

  test("the map is read with the arrow keys", async () => {
    const page = await show();
    await tabTo(page, "[data-testid=overlay]");
    await page.keyboard.press("ArrowRight");
    await page.getByTestId("readout").waitFor();
    assert.match(await page.getByTestId("readout").innerText(), /\d/);
  });

  test("the About panel opens, closes and gives the focus back", async () => {
    const page = await show();
    await tabTo(page, "[data-testid=about]");
    await page.keyboard.press("Enter");
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    assert.match(await dialog.innerText(), /CC/, "attributions are named");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    assert.ok(await page.getByTestId("about").evaluate(button => button === document.activeElement));
  });
});

test("the controls of the picture change it without running anything", async () => {
  const page = await show();
  await page.evaluate(() => {
    window.lastSeen = window.famlens.result;
  });
  const picture = () => page.getByTestId("overlay").evaluate(canvas => canvas.toDataURL());
  const inferno = await picture();
  await page.getByTestId("colormap").selectOption("jet");
  await until(page, before => document.querySelector("[data-testid=overlay]").toDataURL() !== before, inferno);
  await page.getByTestId("opacity").fill("30");
  await page.getByTestId("threshold").fill("50");
  assert.ok(await page.evaluate(() => window.famlens.result === window.lastSeen));
  assert.deepEqual(lens.errors, []);
});
