// "Adapt to my images": what the class-specific forms know of images in general, from the user's own, kept with the
// model until it is taken back.

import assert from "node:assert/strict";
import { copyFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { EXAMPLES, explained, openLens, ready, result, setUp, until } from "../harness/page.mjs";

const { sets } = JSON.parse(await readFile(`${EXAMPLES}examples.json`, "utf8"));
const photos = [...new Set(sets.flatMap(set => [set.query, ...set.classes.flatMap(one => one.supports)]))].slice(0, 14);

const at = setUp("none");
let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "famlens-holiday-"));
  for (const name of photos) await copyFile(join(EXAMPLES, name), join(folder, name));
  await copyFile(join(EXAMPLES, "examples.json"), join(folder, "notes.json"));
});
after(async () => {
  if (folder) await rm(folder, { recursive: true });
});

const says = page => page.getByTestId("statistics").innerText();

test(
  "the page adapts to a folder, says to how many images, keeps that with the model over a reload, and forgets it " +
    "when told to",
  async () => {
    const { page, context, errors } = await openLens(at.browser, at.server.origin, {
      backend: "cpu",
      hash: "#few-shot?form=discriminative",
    });
    const shipped = await result(page);
    const before = await says(page);
    assert.match(before, /\d{2,} everyday photos/);
    assert.ok(await page.getByTestId("adapt-back").isHidden());

    const adapted = await explained(page, async () => {
      const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.getByTestId("adapt").click()]);
      await chooser.setFiles(folder);
    });
    await page
      .getByTestId("message")
      .filter({ hasText: `Adapted to ${photos.length} images` })
      .waitFor();
    assert.match(await says(page), new RegExp(`${photos.length} photos of famlens-holiday-`));
    assert.notDeepEqual(adapted.maps[0].data, shipped.maps[0].data);
    const info = await page.evaluate(() => window.famlens.lens.statistics());
    assert.deepEqual([info.images, info.adapted], [photos.length, true]);

    await page.reload();
    await ready(page);
    await until(
      page,
      count => document.querySelector("[data-testid=statistics]").textContent.includes(`${count} photos of`),
      photos.length,
    );
    await until(page, () => window.famlens.result !== null);
    await ready(page);
    assert.deepEqual((await result(page)).maps[0].data, adapted.maps[0].data);

    const back = await explained(page, () => page.getByTestId("adapt-back").click());
    assert.deepEqual(back.maps[0].data, shipped.maps[0].data);
    assert.equal(await says(page), before);
    await page.reload();
    await ready(page);
    assert.equal(await says(page), before);
    assert.deepEqual((await result(page)).maps[0].data, shipped.maps[0].data);
    assert.deepEqual(errors, []);
    await context.close();
  },
);

test("another model has statistics of its own, and those of the first one come back with it", async () => {
  const { page, context } = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  const found = await page.evaluate(
    async names => {
      const { createLens } = await import(new URL("www/famlens.js", location.href).href);
      const { lens } = window.famlens;
      const images = names.map(name => new URL(`www/examples/${name}`, location.href).href);
      const { bytes, ...told } = await lens.adaptStatistics(images, { source: "holiday" });
      const again = await lens.setStatistics(null);
      const kept = await lens.setStatistics(bytes);
      const other = await createLens({
        model: new URL("models/efficientnet_lite2/", location.href).href,
        backend: "cpu",
      });
      const refused = await other.setStatistics(bytes).then(
        () => "taken",
        ({ code, message }) => `${code}: ${message}`,
      );
      const none = await lens.adaptStatistics([]).then(
        () => "taken",
        ({ code, message }) => `${code}: ${message}`,
      );
      const stop = AbortSignal.abort();
      const stopped = await lens.adaptStatistics(images, { signal: stop }).then(
        () => "finished",
        ({ name }) => name,
      );
      const still = await lens.statistics();
      other.dispose();
      return { told, again, kept, refused, none, stopped, still };
    },
    photos.slice(0, 3),
  );
  assert.deepEqual([found.told.images, found.told.source, found.told.adapted], [3, "holiday", true]);
  assert.ok(!found.again?.adapted);
  assert.deepEqual([found.kept.images, found.kept.adapted], [3, true]);
  assert.match(found.refused, /^argument: .*(layer|channels|size|cells|model)/i);
  assert.match(found.none, /^argument: .*none were given/);
  assert.equal(found.stopped, "AbortError");
  assert.deepEqual(found.still, found.kept, "what was stopped changed nothing");
  await context.close();
});
