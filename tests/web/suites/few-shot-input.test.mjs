// People's own photos: by file picker, drop, paste; files that cannot be read; classes that change.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { beforeEach, afterEach, describe, test } from "node:test";

import { EXAMPLES, explained, openLens, result, setUp, until } from "../harness/page.mjs";

const PHOTOS = fileURLToPath(new URL("../../photos/", import.meta.url));
const OWN = `${PHOTOS}hoofed_animal/pig.jpg`;
const examples = JSON.parse(await readFile(`${EXAMPLES}examples.json`, "utf8"));
const own = await readFile(OWN);
const SUPPORTS = examples.sets[0].classes.flatMap(one => one.supports).length;

const at = setUp("none");
let lens, page;
beforeEach(async () => {
  // Plain FAM alone, so that every photo goes through the network once.
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu", hash: "#few-shot?form=fam" });
  page = lens.page;
});
afterEach(async () => {
  await lens?.context.close();
});

const predicted = found => found.classes[found.predicted].name;
const query = () => page.evaluate(() => window.famlens.state.query);

/** Drops files and folders of this machine on an element as the system's file manager does. */
async function drop(paths, locator) {
  await locator.scrollIntoViewIfNeeded();
  const { x, y, width, height } = await locator.boundingBox();
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"]) {
    await session.send("Input.dispatchDragEvent", { type, x: x + width / 2, y: y + height / 2, data });
  }
}

describe("a photo of one's own", () => {
  test("by the file picker", async () => {
    const found = await explained(page, () => page.getByTestId("query-input").setInputFiles(OWN));
    assert.equal(await query(), "pig.jpg");
    assert.equal(predicted(found), "Hoofed animal");
    assert.equal(found.embedded, 1);
    // The photo has a size of its own, and the peak is in its pixels.
    assert.ok(found.peak[0] <= found.query.width && found.peak[1] <= found.query.height);
  });

  test("by drag and drop", async () => {
    const found = await explained(page, () => drop([OWN], page.getByTestId("query")));
    assert.equal(await query(), "pig.jpg");
    assert.equal(predicted(found), "Hoofed animal");
  });

  test("pasted", async () => {
    const bytes = [...own];
    const found = await explained(page, () =>
      page.evaluate(bytes => {
        const clipboardData = new DataTransfer();
        clipboardData.items.add(new File([new Uint8Array(bytes)], "image.jpg", { type: "image/jpeg" }));
        document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
      }, bytes),
    );
    assert.equal(predicted(found), "Hoofed animal");
    assert.equal(found.embedded, 1);
  });

  test("in a format that only the browser reads", async () => {
    const text =
      '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"><circle cx="150" cy="100" r="60" ' +
      'fill="red"/></svg>';
    const file = { name: "circle.svg", mimeType: "image/svg+xml", buffer: Buffer.from(text) };
    const found = await explained(page, () => page.getByTestId("query-input").setInputFiles(file));
    assert.deepEqual(found.query, { width: 300, height: 200 });
    assert.equal(await query(), "circle.svg");
  });

  test("is not sent anywhere", async () => {
    const before = lens.requests.length;
    await explained(page, () => page.getByTestId("query-input").setInputFiles(OWN));
    const sent = lens.requests.slice(before).filter(url => !url.startsWith("blob:") && !url.startsWith("data:"));
    assert.deepEqual(sent, []);
  });
});

describe("a file that is no image", () => {
  for (const [what, name, bytes] of [
    ["text under an image's name", "broken.jpg", Buffer.from("this is not an image")],
    ["a photo cut off after its header", "cut.jpg", own.subarray(0, 300)],
  ]) {
    test(`${what} is told in words, and all images stay`, async () => {
      const before = await query();
      await page.getByTestId("query-input").setInputFiles({ name, mimeType: "image/jpeg", buffer: bytes });
      const message = page.getByTestId("message").filter({ hasText: name });
      await message.waitFor();
      assert.match(await message.innerText(), /\w+( \S+){3,}/, "a sentence");
      await until(page, () => document.querySelector("[data-testid=app]").dataset.state === "ready");
      assert.equal(await query(), before);
      assert.equal(await page.getByTestId("support").count(), SUPPORTS);
      assert.equal(predicted(await result(page)), "Bird");
    });
  }
});

describe("classes", () => {
  test("a dropped folder becomes one", async () => {
    const found = await explained(page, () => drop([`${PHOTOS}cat`], page.getByTestId("query")));
    assert.deepEqual(found.classes.map(one => one.name).slice(-1), ["cat"]);
    assert.equal(found.embedded, 2);
  });

  test("one is added, named and filled", async () => {
    await page.getByTestId("class-add").click();
    const added = page.getByTestId("class").last();
    await added.getByTestId("class-name").fill("Castle");
    await added.getByTestId("class-name").press("Enter");
    const castles = ["chateaudeChambord.jpg", "schwerinPalace.jpg"].map(file => `${PHOTOS}castle/${file}`);
    const found = await explained(page, () => added.getByTestId("class-input").setInputFiles(castles));
    assert.equal(found.classes.at(-1).name, "Castle");
    assert.equal(found.embedded, castles.length);
    const castle = await explained(page, () =>
      page.getByTestId("query-input").setInputFiles(`${PHOTOS}castle/neuschwansteinCastle.jpg`),
    );
    assert.equal(predicted(castle), "Castle");
  });

  test("removing a support and a class runs no backbone", async () => {
    const fewer = await explained(page, () => page.getByTestId("support-remove").first().click({ force: true }));
    assert.equal(fewer.embedded, 0);
    assert.equal(await page.getByTestId("support").count(), SUPPORTS - 1);
    const two = await explained(page, () => page.getByTestId("class-remove").last().click());
    assert.equal(two.embedded, 0);
    assert.equal(two.classes.length, 2);
  });
});

describe("saving", () => {
  test("the picture is a PNG with words under it, the data are JSON", async () => {
    const save = async id => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByTestId(id).click()]);
      return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
    };
    const found = await result(page);
    const png = await save("save-png");
    assert.match(png.name, /\.png$/);
    assert.equal(png.bytes.subarray(1, 4).toString(), "PNG");
    const [width, height] = [png.bytes.readUInt32BE(16), png.bytes.readUInt32BE(20)];
    assert.ok(height > (width * found.query.height) / found.query.width, `${width} x ${height}`);
    const json = await save("save-json");
    const data = JSON.parse(json.bytes.toString());
    assert.equal(data.predicted.name, "Bird");
    assert.deepEqual(data.map.data, found.map.data);
    assert.deepEqual(data.options, { form: "fam" });
  });
});
