// The shell around the tasks: what the browser keeps and how it is deleted, the bar at every width, forced colours.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, describe, test } from "node:test";

import { violations } from "../harness/axe.mjs";
import { explained, openLens, ready, setUp, until } from "../harness/page.mjs";

const NETWORK = new URL("../../onnx/net_resnet.onnx", import.meta.url);
const PHOTO = new URL("../../photos/hoofed_animal/pig.jpg", import.meta.url);

const at = setUp("none");
let lens;
afterEach(() => lens?.context.close());

async function show(hash = "", options = {}) {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu", hash, options });
  return lens.page;
}

/** What the About panel says is kept, by kind. */
async function kept(page) {
  await page.getByTestId("about").click();
  await page.locator("[data-testid=stored] li").nth(3).waitFor();
  const rows = await page
    .locator("[data-testid=stored] li")
    .evaluateAll(all => all.map(one => [one.dataset.kind, Number(one.dataset.count), one.textContent]));
  return Object.fromEntries(rows.map(([kind, count, says]) => [kind, { count, says }]));
}

/** Keeps the small network in the browser. */
async function keepModel(page) {
  await page.locator("#model-button").click();
  const file = { name: "mine.onnx", mimeType: "application/octet-stream", buffer: await readFile(NETWORK) };
  await page.getByTestId("model-input").setInputFiles(file);
  await explained(page, () => page.getByTestId("model-apply").click());
  await page.getByRole("button", { name: "Keep mine" }).click();
}

test("what the browser keeps is listed, and one button deletes all of it", async () => {
  const page = await show();
  await keepModel(page);
  await page.getByTestId("message").filter({ hasText: "mine stays in this browser" }).waitFor();
  await page.keyboard.press("Escape");
  await page.getByTestId("task").filter({ hasText: "Gallery" }).click();
  await page.getByTestId("gallery-examples").click();
  await until(page, () => Number(document.querySelector("#view-gallery").dataset.count) > 20);
  await ready(page);
  await page.getByTestId("task").filter({ hasText: "Few-shot" }).click();
  await page.locator("#contour").uncheck();

  const before = await kept(page);
  assert.equal(before.models.count, 1);
  assert.ok(before.embeddings.count > 20, before.embeddings.says);
  assert.ok(before.settings.count > 0);
  assert.match(before.embeddings.says, /difference hash.+name/s);
  assert.match(before.statistics.says, /folder/);
  assert.deepEqual(await violations(page), []);

  await page.getByTestId("forget-everything").click();
  await page.getByTestId("forget-says").filter({ hasText: "Deleted" }).waitFor();
  await until(page, () =>
    [...document.querySelectorAll("[data-testid=stored] li")].every(one => one.dataset.count === "0"),
  );
  assert.ok(await page.getByTestId("forget-everything").isDisabled());
  const left = await page.evaluate(async () => [await caches.keys(), Object.keys(localStorage)]);
  assert.deepEqual(left, [[], []]);
  await page.keyboard.press("Escape");

  // What was kept is there for this visit, says so, and does not come back by itself.
  await page.locator("#contour").check();
  await page.locator("#model-button").click();
  assert.match(await page.getByTestId("model-row").filter({ hasText: "mine" }).innerText(), /for this visit/);
  assert.deepEqual(await page.evaluate(() => Object.keys(localStorage)), []);
  await page.reload();
  await ready(page);
  assert.equal(await page.getByTestId("model").textContent(), "EfficientNet-Lite0");
  const after = await kept(page);
  assert.deepEqual([after.models.count, after.embeddings.count, after.statistics.count], [0, 0, 0]);
  assert.deepEqual(lens.errors, []);
});

test("a model that the browser does not keep is not said to be kept", async () => {
  const page = await show();
  // The browser's own answer when a page has used up its share.
  await page.evaluate(() => {
    IDBObjectStore.prototype.add = function () {
      this.transaction.abort();
      throw new DOMException("the quota has been exceeded", "QuotaExceededError");
    };
  });
  await keepModel(page);
  const told = page.getByTestId("message").filter({ hasText: /full/ });
  await told.waitFor();
  assert.match(await told.innerText(), /mine is there for this visit only/);
  assert.match(await page.getByTestId("model-row").filter({ hasText: "mine" }).innerText(), /for this visit/);
  assert.ok(await page.getByRole("button", { name: "Keep mine" }).isVisible(), "and can be tried again");
});

test("a kept row that is no model is told and forgotten; the others are there", async () => {
  const page = await show();
  await keepModel(page);
  await page.getByTestId("message").filter({ hasText: "mine stays in this browser" }).waitFor();
  await page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const request = indexedDB.open("famlens-models", 1);
        request.onsuccess = () => {
          const row = request.result.transaction("models", "readwrite").objectStore("models").add({ file: "half" });
          row.onsuccess = () => resolve(request.result.close());
          row.onerror = () => reject(row.error);
        };
      }),
  );
  await page.reload();
  await ready(page);
  assert.equal(await page.getByTestId("model").textContent(), "mine");
  const told = page.getByTestId("message").filter({ hasText: "cannot be read" });
  await told.getByRole("button", { name: "Forget it" }).click();
  assert.equal((await kept(page)).models.count, 1);
  assert.deepEqual(lens.errors, []);
});

test("storage that never answers keeps nobody waiting, and what is missing is told", async () => {
  // A model of the last visit is wanted, and the browser's database says nothing at all.
  const early = () => {
    localStorage.setItem("famlens.model", "kept-1");
    IDBFactory.prototype.open = () => new EventTarget();
    IDBFactory.prototype.deleteDatabase = () => new EventTarget();
  };
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu", early });
  const { page } = lens;
  assert.equal(await page.getByTestId("model").textContent(), "EfficientNet-Lite0");
  await page.getByTestId("message").filter({ hasText: "The models that you kept are not to be had" }).waitFor();
  await keepModel(page);
  await page.getByTestId("message").filter({ hasText: "mine is there for this visit only" }).waitFor();
  await page.keyboard.press("Escape");
  const { models } = await kept(page);
  assert.match(models.says, /does not answer/);
  await page.getByTestId("forget-everything").click();
  await page.getByTestId("forget-says").filter({ hasText: "did not delete" }).waitFor();
});

describe("at every width", () => {
  for (const task of ["few-shot", "pair", "gallery", "evaluate"])
    test(`nothing of ${task} is cut off from 320 to 1440 px`, async () => {
      const page = await show(`#${task}`, { viewport: { width: 1440, height: 900 } });
      const wrong = [];
      for (let width = 320; width <= 1440; width += width < 1000 ? 80 : 20) {
        await page.setViewportSize({ width, height: 900 });
        const [scroll, ends] = await page.evaluate(() => [
          document.documentElement.scrollWidth,
          [...document.querySelectorAll(".bar button, .bar .brand, .tasks a, .privacy")].map(
            one => one.getBoundingClientRect().right,
          ),
        ]);
        if (scroll > width) wrong.push(`${width}: ${scroll} wide`);
        if (Math.max(...ends) > width) wrong.push(`${width}: the bar ends at ${Math.max(...ends)}`);
      }
      assert.deepEqual(wrong, []);
    });
});

test("forced colours show what is chosen", async () => {
  const page = await show("", { forcedColors: "active" });
  const looks = selector =>
    page.locator(selector).evaluateAll(all =>
      all.map(one => {
        const { backgroundColor, outlineStyle } = getComputedStyle(one);
        return `${backgroundColor} ${outlineStyle}`;
      }),
    );
  for (const [chosen, other] of [
    [".tasks a[aria-current]", ".tasks a:not([aria-current])"],
    ["#modes [aria-pressed=true]", "#modes [aria-pressed=false]"],
    [".class-chip:has(:checked) span", ".class-chip:not(:has(:checked)) > span"],
    [".pick:has(:checked) span", ".pick:not(:has(:checked)):not([hidden]) span"],
    [".rank[aria-pressed=true]", ".rank[aria-pressed=false]"],
    [".strip-photo[aria-pressed=true] .thumb", ".strip-photo[aria-pressed=false] .thumb"],
    [".pane-class[aria-pressed=true] .thumb", ".pane-class[aria-pressed=false] .thumb"],
  ]) {
    const [[on], [off]] = [await looks(chosen), await looks(other)];
    assert.ok(on && off && on !== off, `${chosen}: ${on} and ${off}`);
  }
});

test("a check with one photo a class says what is missing", async () => {
  const page = await show();
  await page.locator("#clear").click();
  for (const [at, name] of ["pig", "pig"].entries()) {
    const buffer = Buffer.concat([await readFile(PHOTO), Buffer.from(String(at))]);
    const file = { name: `${name}-${at}.jpg`, mimeType: "image/jpeg", buffer };
    await page.getByTestId("class-input").nth(at).setInputFiles(file);
  }
  await page.locator("[data-mode=check]").click();
  await until(page, () =>
    /second photo/.test(document.querySelector("[data-testid=check-accuracy]")?.textContent ?? ""),
  );
});

test("a message goes once its cause has gone", async () => {
  const page = await show();
  await page.evaluate(() => {
    const { lens } = window.famlens;
    const { explain } = lens;
    lens.explain = async request => {
      const { constructor: LensError } = await lens.explain.error;
      if (request.similarity === "dot") throw new LensError("argument", "this cannot be");
      return explain.call(lens, request);
    };
    // An error of the module's own kind.
    lens.explain.error = lens.loadMatrix(new Blob([])).catch(error => error);
  });
  await page.getByTestId("choices-open").click();
  await page.locator('[data-kind="similarity"] summary').click();
  await page.locator('[data-kind="similarity"] input[value="dot"]').check();
  const told = page.getByTestId("message").filter({ hasText: "This cannot be" });
  await told.waitFor();
  await page.getByTestId("choices-reset").click();
  await told.waitFor({ state: "detached" });
});
