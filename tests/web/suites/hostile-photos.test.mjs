// Photos as they are in the world, and files made to do harm: the page answers as the command line does, and goes on.

import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";

import { launch } from "../harness/browser.mjs";
import { written } from "../harness/native.mjs";
import { DIST, FIXTURES, SUB_PATH, open } from "../harness/page.mjs";
import { serve } from "../harness/server.mjs";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const GOLDENS = join(ROOT, "tests/goldens/photos/");
const MODULE = `${SUB_PATH}www/famlens.js`;

/** Where the hostile files are, with what the native library says of each in answers.json. */
const hostile = written("FAMLENS_HOSTILE_IMAGES", "hostile_images", ["every_file_ends_within_the_limits"]);

let server, browser, page;
before(async () => {
  server = await serve({
    mounts: { [SUB_PATH]: DIST, "/page/goldens/": GOLDENS, "/page/hostile/": hostile, "/page/": FIXTURES },
  });
  browser = await launch("none");
  ({ page } = await open(browser, `${server.origin}/page/blank.html`));
  await page.evaluate(async module => {
    const { createLens } = await import(module);
    const lens = await createLens({ backend: "cpu" });
    const file = async (folder, name) => new File([await (await fetch(`${folder}/${name}`)).blob()], name);
    const nothing = { crop: false, flip: false, jitter: false, grey: false, blur: false };
    /** Opens a file: its size, or the message. */
    window.answer = async (folder, name) => {
      const started = performance.now();
      try {
        const image = await lens.open(await file(folder, name));
        const { width, height } = image;
        await lens.forget(image);
        return { size: [width, height], seconds: (performance.now() - started) / 1000 };
      } catch (error) {
        return { error: error.message, code: error.code, seconds: (performance.now() - started) / 1000 };
      }
    };
    /** The pixels that famlens sees of a file: a view of it in which nothing is changed. */
    window.pixels = async (folder, name) => {
      const { image } = await lens.view(await file(folder, name), { ...nothing, seed: 1 });
      return { width: image.width, height: image.height, rgba: [...image.data] };
    };
  }, MODULE);
});
after(async () => {
  await browser?.close();
  await server?.close();
  if (!process.env.FAMLENS_HOSTILE_IMAGES) rmSync(hostile, { recursive: true, force: true });
});

/** @param {string} file */
const parsed = file => JSON.parse(readFileSync(file, "utf8"));

test("photos have the pixels of Pillow, or the reason that the command line gives", async () => {
  const wrong = [];
  let compared = 0;
  for (const { file, tolerance, refused, page: here } of parsed(join(GOLDENS, "index.json"))) {
    if (here === false) continue;
    if (refused) {
      const { error } = await page.evaluate(name => window.answer("goldens", name), file);
      if (!refused.every(words => error?.includes(words))) wrong.push(`${file}: ${error} does not say ${refused}`);
      continue;
    }
    const [found, expected] = await page.evaluate(
      async name => [await window.pixels("goldens", name), await window.pixels("goldens", `${name}.expected.png`)],
      file,
    );
    assert.equal(found.rgba.length, expected.rgba.length, file);
    const off = Math.max(...found.rgba.map((value, i) => Math.abs(value - expected.rgba[i])));
    // What the browser decodes may round differently.
    const most = /\.(avif|webp)$/.test(file) ? Math.max(tolerance, 2) : tolerance;
    if (off > most) wrong.push(`${file}: ${off} levels off`);
    compared += 1;
  }
  assert.deepEqual(wrong, []);
  assert.ok(compared >= 40, `${compared} compared`);
});

test("every hostile file ends in an error or a picture; JPEG and PNG as on the command line", async () => {
  const answers = parsed(join(hostile, "answers.json"));
  assert.ok(answers.length >= 160);
  const wrong = [];
  for (const { file, size, error, ours } of answers) {
    const found = await page.evaluate(name => window.answer("hostile", name), file);
    if (found.seconds > 10) wrong.push(`${file}: ${found.seconds} s`);
    if (!found.size && !found.error?.trim()) wrong.push(`${file}: no answer`);
    if (!found.size && !["image", "too_large"].includes(found.code)) wrong.push(`${file}: ${JSON.stringify(found)}`);
    if (!ours) continue;
    if (size && String(found.size) !== String(size)) wrong.push(`${file}: ${JSON.stringify(found)}, natively ${size}`);
    // Which limit is met first may depend on the size of an address.
    if (found.code === "too_large" && error?.includes("is too large")) continue;
    if (error && found.error !== error) wrong.push(`${file}: ${JSON.stringify(found)}, natively ${error}`);
  }
  assert.deepEqual(wrong, []);
  // And the lens still answers.
  const { size } = await page.evaluate(() => window.answer("goldens", "p3.png"));
  assert.deepEqual(size, [48, 36]);
});
