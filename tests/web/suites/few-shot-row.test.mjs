// The row of photos: what leaves it, what comes back, and that a hundred questions leave nothing behind.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { beforeEach, test } from "node:test";

import { explained, openLens, setUp, until } from "../harness/page.mjs";

const photo = readFileSync(new URL("../../photos/hoofed_animal/pig.jpg", import.meta.url));
const at = setUp("none");
let lens, page;
// One page for all of them, in order. (A hook of this file's own would not wait for those of setUp.)
beforeEach(async () => {
  lens ??= await openLens(at.browser, at.server.origin, { backend: "cpu", hash: "#few-shot?form=fam&beside=false" });
  page = lens.page;
});

const row = () => page.locator(".strip-photo").count();

/** The photo under many names, each with other bytes behind its end, so that each is a photo of its own. */
const many = (count, start = 0) =>
  Array.from({ length: count }, (_, at) => ({
    name: `photo-${start + at}.jpg`,
    mimeType: "image/jpeg",
    buffer: Buffer.concat([photo, Buffer.from(` ${start + at}`)]),
  }));

test("the row is cleared but for the photo that is shown, and an undo brings all back", async () => {
  const before = await row();
  assert.ok(before > 3);
  await page.getByTestId("strip-clear").click();
  await until(page, () => document.querySelectorAll(".strip-photo").length === 1);
  assert.equal(await page.evaluate(() => window.famlens.state.query), "kingfisher.jpg", "what is shown stays");
  assert.ok(await page.getByTestId("strip-clear").isHidden(), "nothing is left to clear");
  const told = page.getByTestId("message").filter({ hasText: `${before - 1} photos removed` });
  await told.getByRole("button", { name: "Undo" }).click();
  await until(page, count => document.querySelectorAll(".strip-photo").length === count, before);
});

test("the row has an end: the photos asked about longest ago leave it, and that is told", async () => {
  const before = await row();
  await explained(page, () => page.getByTestId("query-input").setInputFiles(many(60)));
  await until(page, () => document.querySelectorAll(".strip-photo").length === 60);
  await page
    .getByTestId("message")
    .filter({ hasText: new RegExp(`The ${before} asked about longest ago`) })
    .waitFor();
  // The one that was asked about stays, wherever it stands.
  const last = page.locator('.strip-photo[data-file="photo-59.jpg"]');
  await explained(page, () => last.click());
  await explained(page, () => page.getByTestId("query-input").setInputFiles(many(3, 60)));
  await until(page, () => document.querySelectorAll(".strip-photo").length === 60);
  assert.equal(await last.count(), 1);
});

test("a hundred questions about changing photos leave memory and row as they were", { timeout: 600_000 }, async () => {
  const session = await page.context().newCDPSession(page);
  const figures = async () => {
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    const { nodes } = await session.send("Memory.getDOMCounters");
    const bytes = await page.evaluate(() => window.famlens.lens.ask("memory", {}));
    return { heap: usedSize / 1e6, nodes, wasm: bytes / 1e6 };
  };
  const ask = async (count, start) => {
    for (let at = 0; at < count; at += 1)
      await explained(page, () => page.getByTestId("query-input").setInputFiles(many(1, 1000 + start + at)));
  };
  // By then the lens has as many photos as it keeps, and the row as many as it holds.
  await ask(70, 0);
  const early = await figures();
  await ask(100, 70);
  const late = await figures();
  assert.equal(await row(), 60);
  assert.ok(
    late.wasm <= early.wasm * 1.05,
    `${early.wasm.toFixed(0)} MB of the engine's, then ${late.wasm.toFixed(0)}`,
  );
  assert.ok(late.heap < early.heap * 1.05 + 2, `${early.heap.toFixed(1)} MB of heap, then ${late.heap.toFixed(1)}`);
  console.log(JSON.stringify({ early, late }));
  assert.ok(late.nodes < early.nodes * 1.05 + 50, `${early.nodes} nodes, then ${late.nodes}`);
});
