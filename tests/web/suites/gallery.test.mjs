// The gallery on both engines: embedded once and kept, ranked, marked, exported and imported, cancelled.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, describe, test } from "node:test";

import { EXAMPLES, SUB_PATH, open, ready, setUp, until } from "../harness/page.mjs";

const examples = JSON.parse(await readFile(`${EXAMPLES}examples.json`, "utf8"));
const files = [
  ...new Set(examples.sets.flatMap(set => [set.query, ...set.queries, ...set.classes.flatMap(one => one.supports)])),
];

/** Fills the gallery with the page's own photos and waits until it is done. */
async function fill(page) {
  await page.getByTestId("gallery-examples").click();
  await until(page, count => Number(document.querySelector("#view-gallery").dataset.count) === count, files.length);
  await page.getByTestId("gallery-progress").waitFor({ state: "hidden" });
}

const data = page => page.locator("#view-gallery").evaluate(one => ({ ...one.dataset }));
const tiles = page => page.getByTestId("gallery-tile").evaluateAll(all => all.map(one => ({ ...one.dataset })));

for (const backend of ["webgpu", "cpu"]) {
  describe(`a gallery on ${backend}`, () => {
    const at = setUp("software");
    let page, context, errors;
    const address = () => `${at.server.origin}${SUB_PATH}?backend=${backend}#gallery`;
    before(async () => {
      ({ page, context, errors } = await open(at.browser, address()));
      await ready(page);
    });

    test("embeds the photos once", async () => {
      await fill(page);
      assert.deepEqual(await data(page).then(({ embedded, known }) => [embedded, known]), [String(files.length), "0"]);
      assert.match(await page.getByTestId("gallery-count").innerText(), new RegExp(`^${files.length} photos`));
    });

    test("ranks by the photo that is chosen, with maps on query and hits", async () => {
      await page.locator('[data-testid=gallery-tile][data-name="kingfisher.jpg"]').click();
      await page.getByTestId("gallery-query-map").waitFor({ state: "visible" });
      const ranked = await tiles(page);
      assert.equal(ranked[0].name, "kingfisher.jpg");
      assert.equal(ranked[0].duplicate, "same file");
      assert.ok(Number(ranked[0].similarity) > 0.999, "the same photo, on whichever engine it was embedded");
      for (const [at, { similarity }] of ranked.entries())
        if (at > 0) assert.ok(Number(similarity) <= Number(ranked[at - 1].similarity));
      const birds = examples.sets[0].classes.find(({ name }) => name === "Bird").supports;
      assert.ok(
        ranked.slice(1, 4).some(({ name }) => birds.includes(name)),
        `the hits are ${ranked.slice(1, 4).map(({ name }) => name)}`,
      );
      await until(page, () => document.querySelectorAll("[data-testid=gallery-grid] canvas:not([hidden])").length >= 3);
    });

    test("the scores are the cosines of the embeddings", async () => {
      const ranked = await tiles(page);
      const cosines = await page.evaluate(
        async names => {
          const { lens } = window.famlens;
          const of = async name => (await lens.embed(new URL(`www/examples/${name}`, location.href).href)).embedding;
          const f = await of("kingfisher.jpg");
          const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
          const all = [];
          for (const name of names) {
            const g = await of(name);
            all.push(dot(f, g) / Math.sqrt(dot(f, f) * dot(g, g)));
          }
          return all;
        },
        ranked.slice(0, 4).map(({ name }) => name),
      );
      for (const [at, cosine] of cosines.entries())
        assert.ok(
          Math.abs(cosine - Number(ranked[at].similarity)) < 2e-3,
          `${ranked[at].name}: ${cosine} is not ${ranked[at].similarity}`,
        );
    });

    test("near-duplicates are found, others are not", async () => {
      const found = await page.evaluate(async () => {
        const { createGallery } = await import(new URL("www/famlens.js", location.href).href);
        const url = name => new URL(`www/examples/${name}`, location.href).href;
        const bitmap = await createImageBitmap(await (await fetch(url("owl.jpg"))).blob());
        const canvas = new OffscreenCanvas(bitmap.width / 2, bitmap.height / 2);
        canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
        const copy = new File([await canvas.convertToBlob({ type: "image/jpeg", quality: 0.6 })], "copy.jpg");
        const gallery = await createGallery(window.famlens.lens, { keep: false, workers: 0 });
        await gallery.add([url("owl.jpg"), url("sheep.jpg"), copy, url("duck.jpg")]);
        const groups = (await gallery.duplicates()).map(group => group.map(index => gallery.items[index].name).sort());
        const { hits } = await gallery.rank(url("owl.jpg"));
        await gallery.dispose();
        return { groups, marks: hits.map(({ name, duplicate }) => [name, duplicate?.of ?? null]) };
      });
      assert.deepEqual(found.groups, [["copy.jpg", "owl.jpg"]]);
      assert.deepEqual(found.marks.slice(0, 2), [
        ["owl.jpg", "sameFile"],
        ["copy.jpg", "query"],
      ]);
      assert.ok(found.marks.slice(2).every(([, mark]) => mark === null));
    });

    test("a second visit embeds nothing again", async () => {
      const { page: again } = await (async () => {
        const page = await context.newPage();
        page.setDefaultTimeout(120_000);
        await page.goto(address());
        return { page };
      })();
      await ready(again);
      await fill(again);
      assert.deepEqual(await data(again).then(({ embedded, known }) => [embedded, known]), ["0", String(files.length)]);
      await again.close();
    });

    test("what was exported is imported, and another model's is refused by name", async () => {
      const found = await page.evaluate(async () => {
        const { createGallery } = await import(new URL("www/famlens.js", location.href).href);
        const { lens } = window.famlens;
        const url = name => new URL(`www/examples/${name}`, location.href).href;
        const names = ["owl.jpg", "duck.jpg", "cow.jpg"];
        const gallery = await createGallery(lens, { keep: false, workers: 0 });
        await gallery.add(names.map(url));
        const { npy, csv } = await gallery.export();
        const other = await createGallery(lens, { keep: false, workers: 0 });
        const added = await other.import({ npy, csv });
        const twice = await other.import({ npy, csv });
        const before = (await gallery.rank(url("owl.jpg"))).hits.map(({ name, similarity }) => [name, similarity]);
        const after = (await other.rank(url("owl.jpg"))).hits.map(({ name, similarity }) => [name, similarity]);
        const noPhoto = await other.explain(url("owl.jpg"), 1).catch(({ message }) => message);
        const adopted = await other.add(names.map(url));
        const pair = await other.explain(url("owl.jpg"), 1);
        const table = await csv.text();
        const refusal = (from, to) =>
          other.import({ npy, csv: new Blob([table.replace(from, to)]) }).then(
            () => "taken",
            ({ message }) => message,
          );
        const refused = [
          await refusal(/"weights":"\w+"/, '"weights":"00"'),
          await refusal('"pooling":"gap"', '"pooling":"gmp"'),
          await refusal("# famlens gallery", "#"),
        ];
        const targets = await createGallery(lens, { target: lens.info.model.targets[1], keep: false, workers: 0 });
        refused.push(
          await targets.import({ npy, csv }).then(
            () => "taken",
            ({ message }) => message,
          ),
        );
        return {
          added,
          twice,
          before,
          after,
          noPhoto,
          adopted,
          side: pair.b.map.width,
          refused,
          magic: (await npy.text()).slice(1, 6),
        };
      });
      assert.deepEqual([found.added, found.twice, found.magic, found.side], [3, 0, "NUMPY", 7]);
      assert.deepEqual(found.after, found.before);
      assert.match(found.noPhoto, /only its embedding/);
      assert.deepEqual([found.adopted.embedded, found.adopted.known], [0, 3]);
      assert.match(found.refused[0], /weights 00 \(now [0-9a-f]{16}\)/);
      assert.match(found.refused[1], /pooling gmp \(now gap\)/);
      assert.match(found.refused[2], /index the images again/);
      assert.match(found.refused[3], /target layer features \(now/);
    });

    test("it can be cancelled, and what is done stays", async () => {
      const found = await page.evaluate(async files => {
        const { createGallery } = await import(new URL("www/famlens.js", location.href).href);
        const gallery = await createGallery(window.famlens.lens, { keep: false, workers: 1 });
        const stop = new AbortController();
        const onProgress = ({ done }) => done >= 3 && stop.abort();
        const urls = files.map(name => new URL(`www/examples/${name}`, location.href).href);
        const name = await gallery.add(urls, { signal: stop.signal, onProgress }).then(
          () => "finished",
          error => error.name,
        );
        const result = { name, count: gallery.items.length };
        const more = await gallery.add(urls.slice(0, 10));
        return { ...result, more, items: gallery.items.every(item => item && item.width > 0) };
      }, files);
      assert.equal(found.name, "AbortError");
      assert.ok(found.count >= 3 && found.count < files.length, `${found.count}`);
      assert.ok(found.items && found.more.embedded + found.more.known === 10);
    });

    test(
      "the search for near-duplicates tells how far it is, lets a ranking in between, and can be " + "stopped",
      async () => {
        const found = await page.evaluate(async () => {
          const { createGallery } = await import(new URL("www/famlens.js", location.href).href);
          const url = name => new URL(`www/examples/${name}`, location.href).href;
          const gallery = await createGallery(window.famlens.lens, { keep: false, workers: 0 });
          // Rows of numbers that repeat each other in threes, as files that the gallery reads.
          const [rows, channels] = [1500, gallery.origin.channels];
          const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${channels}), }\n`;
          let state = 1;
          const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
          const values = new Float32Array(rows * channels);
          for (let at = 0; at < values.length; at += 1) values[at] = Math.max(0, random() - 0.6);
          for (let row = 0; row < rows; row += 3)
            values.copyWithin((row + 1) * channels, row * channels, (row + 1) * channels);
          const npy = new Blob(
            ["\x93NUMPY"]
              .map(text => Uint8Array.from(text, c => c.charCodeAt(0)))
              .concat([Uint8Array.of(1, 0, header.length & 255, header.length >> 8)], [header, values]),
          );
          // Written by hand, so the table says nothing of the bytes of its array.
          const written = (await (await gallery.export()).csv.text()).trim();
          const first = written.replace(/,"array":[^,}]*/, "");
          const line = row => `${row}.jpg,content ${row},${row.toString(16).padStart(16, "0")},8,8`;
          const csv = new Blob([[first, ...Array.from({ length: rows }, (_, row) => line(row)), ""].join("\n")]);
          await gallery.import({ npy, csv });
          await gallery.rank(url("owl.jpg"), { top: 1 });
          const told = [];
          let ranked = null;
          const onProgress = ({ done, total }) => {
            told.push([done, total]);
            ranked ??= gallery.rank(url("owl.jpg"), { top: 1 }).then(() => told.length);
          };
          const groups = await gallery.duplicates({ onProgress });
          const whileSearching = await ranked;
          const stop = new AbortController();
          let steps = 0;
          const stopped = await gallery
            .duplicates({ signal: stop.signal, onProgress: () => (steps += 1) === 2 && stop.abort() })
            .then(
              () => "finished",
              error => error.name,
            );
          await gallery.remove([0]);
          const after = await gallery.duplicates();
          await gallery.dispose();
          return { groups: groups.length, first: groups[0], told, whileSearching, stopped, steps, after: after.length };
        });
        assert.deepEqual([found.groups, found.first, found.after], [500, [0, 1], 499]);
        assert.ok(
          found.told.length > 2 &&
            found.told.every(([done, total], at) => total === 1500 && (at === 0 || done > found.told[at - 1][0])),
          JSON.stringify(found.told),
        );
        assert.equal(found.told.at(-1)[0], 1500);
        assert.ok(found.whileSearching < found.told.length, "the ranking was answered before the search was over");
        assert.deepEqual([found.stopped, found.steps], ["AbortError", 2]);
      },
    );

    test("the page looks for near-duplicates and shows their groups", async () => {
      await page.getByTestId("gallery-all").click();
      await page.getByTestId("gallery-duplicates").click();
      await until(page, () => document.querySelector("#view-gallery").dataset.groups !== undefined);
      await page.getByTestId("gallery-stop").waitFor({ state: "hidden" });
      assert.ok(await page.getByTestId("gallery-duplicates").isEnabled());
    });

    test("the console stayed clean", () => assert.deepEqual(errors, []));
  });
}
