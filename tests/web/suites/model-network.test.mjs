// The picture of the network in the model room: drawn, folded, searched, walked with the keyboard, and moving the
// target.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, test } from "node:test";

import { violations } from "../harness/axe.mjs";
import { explained, openLens, result, setUp, until } from "../harness/page.mjs";

const FAMILIES = new URL("../../families/", import.meta.url);

const at = setUp("none");
let lens;
afterEach(() => lens?.context.close());

/** The page with its model room open and the network in sight. */
async function show(options, hash = "#few-shot?form=fam") {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu", hash, options });
  const { page } = lens;
  await page.locator("#model-button").click();
  await page.getByTestId("net-open").click();
  await page.getByTestId("net-tree").getByRole("treeitem").first().waitFor();
  return page;
}

const network = page => page.evaluate(() => window.famlens.lens.network());
const row = (page, label) =>
  page
    .getByTestId("net-tree")
    .getByRole("treeitem")
    .filter({ has: page.locator(".net-label", { hasText: new RegExp(`^${label.replaceAll(".", "\\.")}$`) }) });
const focused = page => page.evaluate(() => document.activeElement?.querySelector(".net-label")?.textContent);
const marked = page => page.locator(".net-row.target .net-label").allTextContents();
const tool = (page, name) => page.locator(".net-tools").getByRole("button", { name, exact: true }).click();

test("the network of the model is described: layers, blocks, costs, and what follows the target", async () => {
  const page = await show();
  const { layers, blocks, parameters, multiplyAdds, target, after } = await network(page);
  const { target: name, targets } = await page.evaluate(() => window.famlens.lens.info.model);
  assert.equal(layers[target].name, name);
  assert.deepEqual(layers[target].maps, [1280, 7, 7]);
  assert.deepEqual(blocks.map(({ label }) => label).slice(0, 2), ["stem", "blocks"]);
  assert.equal(parameters, 4_631_000);
  assert.equal(
    multiplyAdds,
    layers.reduce((sum, one) => sum + one.multiplyAdds, 0),
  );
  assert.equal(after.says, "global average pooling, then Linear 1280 -> 1000");
  assert.equal(after.module.affine, true);
  // What can be chosen in the picture is what the library takes.
  for (const layer of layers) assert.equal(layer.whyNot === null, targets.includes(layer.name), layer.name);
  const early = layers.find(({ name }) => name === "blocks.2.add");
  assert.match(
    (await page.evaluate(name => window.famlens.lens.network(name), early.name)).after.says,
    /more layers.+global average pooling/,
  );
  await assert.rejects(
    page.evaluate(() => window.famlens.lens.network("nothing")),
    /nothing/,
  );
  assert.match(await page.getByTestId("net-after").innerText(), /global average pooling.+Linear 1280 → 1000.+affine/s);
});

test(
  "the way to the target is unfolded and little else; blocks fold and unfold, and skip connections are " + "drawn",
  async () => {
    const page = await show();
    assert.equal((await marked(page)).length, 1, "the target is marked");
    const before = await page.locator(".net-row").count();
    assert.ok(before >= 10 && before < 30, `${before} rows`);
    assert.equal(await row(page, "blocks").getAttribute("aria-expanded"), "true");
    await row(page, "blocks").click();
    assert.equal(await row(page, "blocks").getAttribute("aria-expanded"), "false");
    assert.equal(await row(page, "blocks.15").count(), 0);
    await row(page, "blocks").click();
    assert.equal(await row(page, "blocks.15").count(), 1);
    await row(page, "blocks.4").click();
    assert.equal(await row(page, "add").count(), 1);
    assert.ok((await page.locator(".net-skip").count()) >= 1, "the residual sum's second input");
    await row(page, "blocks").click();
    assert.equal(await row(page, "blocks.15").count(), 0);
    await tool(page, "Unfold all");
    const { layers } = await network(page);
    assert.equal(await page.getByTestId("net-layer").count(), layers.length);
    assert.ok((await page.locator(".net-skip").count()) >= 9, "one for each residual block");
    await tool(page, "Fold all");
    assert.ok((await page.locator(".net-row").count()) < 10);
  },
);

test("a click on a layer moves the target: the map follows, and is another one", async () => {
  const page = await show();
  const old = await result(page);
  await tool(page, "Unfold all");
  const { layers } = await network(page);
  const at = layers.findIndex(({ name }) => name === "blocks.10.add");
  const found = await explained(page, () => page.locator(`#net-layer-${at}`).click());
  assert.equal(found.target, "blocks.10.add");
  assert.deepEqual([found.map.width, found.map.height], [layers[at].maps[2], layers[at].maps[1]]);
  assert.notDeepEqual(found.map.data, old.map.data);
  assert.equal(await page.locator(".net-row.target").count(), 1);
  assert.equal(await page.locator(`#net-layer-${at}`).getAttribute("aria-selected"), "true");
  assert.match(page.url(), /targets=/);
  await until(page, () => /more layers/.test(document.querySelector("[data-testid=net-after]").textContent));
  await page.getByTestId("net-preview").waitFor();

  // A layer without places cannot be chosen, and says why.
  const pooled = layers.findIndex(({ op }) => op === "GlobalAveragePool");
  await page.locator(`#net-layer-${pooled}`).click();
  assert.match(await page.getByTestId("net-about").innerText(), /cannot be a target layer.+one value a channel/s);
  assert.equal((await result(page)).target, "blocks.10.add");

  // Several layers, fused; and back to the model's own.
  const second = layers.findIndex(({ name }) => name === "blocks.14.add");
  const both = await explained(page, () => page.locator(`#net-layer-${second}`).click({ modifiers: ["Control"] }));
  assert.deepEqual(await page.evaluate(() => window.famlens.state.choices.targets), ["blocks.10.add", "blocks.14.add"]);
  assert.equal(both.layers.length, 2);
  const own = layers.findIndex(({ name }) => name === "features");
  const again = await explained(page, () => page.locator(`#net-layer-${own}`).click());
  assert.deepEqual(again.map.data, old.map.data);
  assert.doesNotMatch(page.url(), /targets=/);
  assert.deepEqual(lens.errors, []);
});

test("forms that look at layers of their own give way to one that follows the target, and that is told", async () => {
  const page = await show(undefined, "#few-shot?form=discriminative");
  await tool(page, "Unfold all");
  const { layers } = await network(page);
  const at = layers.findIndex(({ name }) => name === "blocks.10.add");
  const found = await explained(page, () => page.locator(`#net-layer-${at}`).click());
  assert.deepEqual([found.form, found.target], ["contrastive", "blocks.10.add"]);
  await page.getByTestId("message").filter({ hasText: "layers of its own" }).waitFor();
  const back = await explained(page, () => page.getByTestId("message").getByRole("button", { name: "Undo" }).click());
  assert.equal(back.form, "discriminative");
});

test("the search counts, marks and jumps; Escape leaves it and not the room", async () => {
  const page = await show();
  const find = page.getByTestId("net-find");
  await find.fill("depthwise 5 x 5");
  const { layers } = await network(page);
  const expected = layers.filter(
    ({ op, detail }) => op === "Conv" && detail.startsWith("5 x 5") && detail.includes("depthwise"),
  ).length;
  assert.ok(expected > 3);
  assert.equal(await page.locator(".net-row.hit").count(), expected);
  assert.equal(await page.getByTestId("net-hits").textContent(), `1 of ${expected}`);
  await find.press("Enter");
  assert.equal(await page.getByTestId("net-hits").textContent(), `2 of ${expected}`);
  const first = await page.locator(".net-row[tabindex='0']").getAttribute("id");
  await find.press("Enter");
  assert.notEqual(await page.locator(".net-row[tabindex='0']").getAttribute("id"), first);
  const place = await page.locator(".net-row[tabindex='0']").boundingBox();
  const frame = await page.locator(".net-frame").boundingBox();
  assert.ok(place.y >= frame.y && place.y + place.height <= frame.y + frame.height, "the hit is in sight");
  await find.press("ArrowDown");
  assert.equal(await focused(page), "conv", "the tree has the focus");
  await page.keyboard.press("Escape");
  assert.equal(await find.inputValue(), "");
  assert.ok(await page.locator("#model-panel").isVisible());
  await find.fill("no such layer");
  assert.equal(await page.getByTestId("net-hits").textContent(), "none");
});

test("the keyboard does it all: arrows, ends, letters, folding, and Enter for the target", async () => {
  const page = await show();
  await tool(page, "Fold all");
  await page.locator(".net-row[tabindex='0']").focus();
  await page.keyboard.press("Home");
  assert.equal(await focused(page), "stem");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(page), "blocks");
  assert.equal(await page.locator(".net-row[tabindex='0']").count(), 1, "one stop for the tab key");
  await page.keyboard.press("ArrowRight");
  assert.equal(await row(page, "blocks").getAttribute("aria-expanded"), "true");
  await page.keyboard.press("ArrowRight");
  assert.equal(await focused(page), "blocks.0");
  await page.keyboard.type("blocks.11");
  assert.equal(await focused(page), "blocks.11");
  await page.keyboard.press("Enter");
  assert.equal(await row(page, "blocks.11").getAttribute("aria-expanded"), "true");
  assert.deepEqual(
    await row(page, "blocks.11").evaluate(row => [
      row.getAttribute("aria-level"),
      row.getAttribute("aria-posinset"),
      row.getAttribute("aria-setsize"),
    ]),
    ["2", "12", "16"],
  );
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowLeft");
  assert.equal(await focused(page), "blocks.11");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  assert.equal(await focused(page), "conv");
  const found = await explained(page, () => page.keyboard.press("Enter"));
  assert.equal(found.target, "blocks.11.expand.conv");
  await page.keyboard.press("End");
  assert.notEqual(await focused(page), "conv");
  assert.deepEqual(lens.errors, []);
});

test(
  "networks of one's own are drawn: a transformer's tokens, and a network without names by its " + "structure",
  async () => {
    const page = await show();
    for (const [name, says] of [
      ["vit_new", /Block 2.+Attention.+MLP/s],
      ["densenet", /Block 1/],
    ]) {
      await page.getByTestId("model-input").setInputFiles([
        {
          name: `${name}.onnx`,
          mimeType: "application/octet-stream",
          buffer: await readFile(new URL(`${name}.onnx`, FAMILIES)),
        },
      ]);
      await explained(page, () => page.getByTestId("model-apply").click());
      await until(
        page,
        () => document.querySelector(".net-row.target") !== null && !document.querySelector(".net-body").hidden,
      );
      await tool(page, "Unfold all");
      assert.match(await page.getByTestId("net-tree").innerText(), says);
      await tool(page, "Target");
      const about = await page.getByTestId("net-about").innerText();
      if (name === "vit_new") {
        assert.match(about, /as tokens after the class token/);
        assert.match(await page.getByTestId("net-after").innerText(), /the class token.+Not taken as pooling/s);
      } else assert.match(about, /16 channels of \d+ × \d+ cells/);
    }
    assert.deepEqual(lens.errors, []);
  },
);

test("axe-core finds nothing wrong with it, and it fits a phone", async () => {
  for (const options of [{ colorScheme: "light" }, { colorScheme: "dark", viewport: { width: 390, height: 844 } }]) {
    const page = await show(options);
    await row(page, "blocks.2").click();
    assert.deepEqual(await violations(page), []);
    assert.ok((await page.evaluate(() => document.scrollingElement.scrollWidth)) <= page.viewportSize().width);
    assert.ok(
      await page.locator("#model-panel").evaluate(panel => panel.scrollWidth <= panel.clientWidth),
      "the room scrolls downwards only",
    );
    await lens.context.close();
  }
});
