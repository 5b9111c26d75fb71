// Every choice of the library is on the page with its sentence and source, changes what is computed, and is kept.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, test } from "node:test";

import { launch } from "../harness/browser.mjs";
import { explained, openLens, ready, result, serveDist, until } from "../harness/page.mjs";

let server, browser, lens;
before(async () => {
  server = await serveDist();
  browser = await launch("none");
});
after(async () => {
  await browser?.close();
  await server?.close();
});
afterEach(() => lens?.context.close());

async function show(hash = "") {
  lens = await openLens(browser, server.origin, { backend: "cpu", hash });
  await lens.page.getByTestId("choices-open").click();
  return lens.page;
}

/** The control of a choice, opened. */
async function control(page, kind) {
  const one = page.locator(`[data-testid=choices] [data-kind="${kind}"]`);
  if (await one.evaluate((element) => element instanceof HTMLDetailsElement && !element.open)) await one.locator("summary").click();
  return one;
}

test("each has a control, each value its sentence and its source", async () => {
  const page = await show();
  const catalogue = await page.evaluate(() => window.famlens.lens.choices());
  assert.ok(catalogue.length >= 15);
  for (const { kind, label, sentence, values = [] } of catalogue) {
    const one = await control(page, kind);
    const text = await one.innerText();
    assert.ok(text.includes(label) && text.includes(sentence), `${kind} is not explained: ${text}`);
    for (const value of values) {
      assert.ok(text.includes(value.label) && text.includes(value.sentence), `${kind} ${value.name} is not explained`);
      if (value.source !== "famlens") assert.ok(text.includes(value.source), `${kind} ${value.name} names no source`);
    }
  }
  assert.deepEqual(lens.errors, []);
});

test("one that is chosen changes the decision's figures, goes into address and export, and outlasts a reload", async () => {
  const page = await show("#few-shot?form=fam");
  const before = await result(page);
  const similarity = await control(page, "similarity");
  const dot = await explained(page, () => similarity.locator("input[value=dot]").check());
  assert.notEqual(dot.score, before.score);
  assert.notDeepEqual(dot.classes.map((one) => one.similarity), before.classes.map((one) => one.similarity));
  assert.equal(dot.embedded, 0, "another similarity runs no backbone");
  assert.match(page.url(), /#few-shot\?.*similarity=dot/);
  assert.match(await page.getByTestId("choices-open").textContent(), /1 changed/);

  await page.getByRole("button", { name: "Close the choices" }).click();
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByTestId("save-json").click()]);
  const data = JSON.parse(await readFile(await download.path(), "utf8"));
  assert.deepEqual(data.options, { form: "fam", similarity: "dot" });
  assert.equal(data.score, dot.score);

  await page.reload();
  await ready(page);
  assert.deepEqual((await result(page)).classes, dot.classes);

  await page.getByTestId("choices-open").click();
  await explained(page, () => page.getByTestId("choices-reset").click());
  assert.doesNotMatch(page.url(), /similarity/);
});

test("one that cannot change the map is said to, and the contributions leave nothing out", async () => {
  const page = await show("#few-shot?form=fam");
  const before = await result(page);
  const found = await explained(page, () => page.locator('[data-kind="weightRelu"] input').check());
  const differences = found.maps[0].data.map((value, at) => Math.abs(value - before.maps[0].data[at]));
  assert.ok(Math.max(...differences) < 1e-5, "no weight is negative on non-negative activations");
  assert.match(await page.getByTestId("notes").innerText(), /changes nothing|cannot change/);
  for (const { residual } of found.classes) assert.ok(Math.abs(residual) < 1e-4);
});

test("pooling changes embedding and map, nested choices reach the library", async () => {
  const page = await show("#few-shot?form=fam&pooling=gmp");
  const gmp = await result(page);
  const gap = await result(page, "published");
  assert.notDeepEqual(gmp.maps[0].data, gap.maps[0].data);
  const flipped = await explained(page, () => page.locator('[data-kind="finer.flip"] input').check());
  assert.equal(flipped.passes, 2);
  assert.notDeepEqual(flipped.maps[0].data, gmp.maps[0].data);
  assert.deepEqual(await page.evaluate(() => window.famlens.state.choices), { form: "fam", pooling: "gmp", "finer.flip": true });
  await until(page, () => location.hash.includes("finer.flip=true"));
});
