// Weights as int8: chosen for a float network, kept with its settings, and what they cost on the photos that are
// loaded.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, test } from "node:test";

import { explained, openLens, ready, setUp, until } from "../harness/page.mjs";

/** Small float networks; rounding shows more in the second, which is deeper. */
const [RESNET, MOBILENET] = ["net_resnet", "net_mobilenet_v3"].map(
  name => new URL(`../../onnx/${name}.onnx`, import.meta.url),
);

const at = setUp("none");
let lens;
afterEach(() => lens?.context.close());

const file = (name, buffer) => ({ name, mimeType: "application/octet-stream", buffer: Buffer.from(buffer) });
const info = page => page.evaluate(() => window.famlens.lens.info.model);

/** The page with a small float network in use. */
async function open(network = RESNET) {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  const { page } = lens;
  await page.locator("#model-button").click();
  await page.getByTestId("model-input").setInputFiles([file("mine.onnx", await readFile(network))]);
  await explained(page, () => page.getByTestId("model-apply").click());
  return page;
}

test("float weights are stored as int8 if the user wants it, and that is kept with the settings", async () => {
  const page = await open();
  const before = await info(page);
  assert.equal(before.storedWeights, null);
  assert.equal(await page.getByTestId("model-int8").isChecked(), false);
  await page.getByTestId("model-int8").check();
  await explained(page, () => page.getByTestId("model-apply").click());
  const now = await info(page);
  assert.equal(now.storedWeights.tensors, 7);
  assert.ok(now.storedWeights.bytesAfter * 3 < now.storedWeights.bytesBefore, JSON.stringify(now.storedWeights));
  assert.notEqual(now.identity, before.identity, "embeddings that a gallery keeps are not mixed");
  assert.match(
    await page.getByTestId("model-int8-size").textContent(),
    /^Its weights take \d+ kB in place of \d+ kB\.$/,
  );

  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByTestId("model-save").click()]);
  assert.equal(JSON.parse(await readFile(await saved.path(), "utf8")).weights, "int8");

  await page.getByRole("button", { name: "Keep mine" }).click();
  await page.getByRole("button", { name: "Rename mine" }).waitFor();
  await until(page, () => /kept in this browser/.test(document.querySelector("[data-testid=models]").textContent));
  await page.reload();
  await ready(page);
  assert.equal((await info(page)).storedWeights.tensors, 7, "the next visit has them so too");
  await page.locator("#model-button").click();
  await page.getByTestId("model-int8").uncheck();
  await explained(page, () => page.getByTestId("model-apply").click());
  assert.equal((await info(page)).storedWeights, null);
  assert.deepEqual(lens.errors, []);
});

test("what int8 costs on the loaded photos is told, the same from either side", async () => {
  const page = await open(MOBILENET);
  const cost = async () => {
    await page.getByTestId("model-int8-measure").click();
    await until(page, () =>
      /Embedding cosine/.test(document.querySelector("[data-testid=model-int8-cost]").textContent),
    );
    return page.getByTestId("model-int8-cost").textContent();
  };
  const asFloat = await cost();
  const photos = await page.evaluate(
    () =>
      new Set([...document.querySelectorAll("[data-testid=support] img, [data-testid=query] img")].map(i => i.src))
        .size,
  );
  const says = [
    "^\\d+ kB as float, \\d+ kB as int8\\.",
    "Embedding cosine (\\S+) on average over (\\d+) photos, (\\S+) at worst \\(.+\\)\\.",
    "The most similar other photo is the same one for \\d+ of \\d+\\.$",
  ];
  const [, mean, count, least] = asFloat.match(new RegExp(says.join(" "))) ?? [];
  assert.ok(Number(mean) > 0.99 && Number(least) > 0.95 && Number(least) <= Number(mean), asFloat);
  assert.ok(Number(count) >= Math.max(10, photos - 1), `${asFloat}: of ${photos} on the page`);

  await page.getByTestId("model-int8").check();
  await explained(page, () => page.getByTestId("model-apply").click());
  assert.equal(await page.getByTestId("model-int8-cost").textContent(), "", "it was said of the lens before");
  assert.equal(await cost(), asFloat);
  // They are not the numbers of a model compared with itself.
  assert.ok(Number(mean) < 1, asFloat);
  assert.deepEqual(lens.errors, []);
});

test("the comparison can be stopped, and a model whose weights are int8 has nothing to compare", async () => {
  const page = await open();
  // Stopped from within the page: a click from here might come after the end.
  await page.evaluate(() => {
    document.querySelector("[data-testid=model-int8-measure]").click();
    document.querySelector("[data-testid=model-int8-stop]").click();
  });
  await until(page, () => document.querySelector("[data-testid=model-int8-cost]").textContent === "Stopped.");
  assert.ok(await page.getByTestId("model-int8-measure").isVisible());
  assert.ok(await page.getByTestId("model-int8-stop").isHidden());

  const int8 = new URL("../../../models/efficientnet_lite0/", import.meta.url);
  await page
    .getByTestId("model-input")
    .setInputFiles([
      file("model.onnx", await readFile(new URL("model.onnx", int8))),
      file("model.json", await readFile(new URL("model.json", int8))),
    ]);
  await page.getByTestId("model-int8").check();
  await explained(page, () => page.getByTestId("model-apply").click());
  assert.equal(await page.getByTestId("model-int8-size").textContent(), "The weights of this file are int8 already.");
  assert.deepEqual(lens.errors, []);
});
