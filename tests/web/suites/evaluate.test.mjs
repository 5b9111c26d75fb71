// Evaluation on the page: photos with boxes from files, drawn by hand or with the keyboard; figures, files, stopping.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, test } from "node:test";

import { violations } from "../harness/axe.mjs";
import { EXAMPLES, openLens, setUp, until } from "../harness/page.mjs";

const at = setUp("none");
let lens, page;
afterEach(async () => {
  assert.deepEqual(lens?.errors, []);
  await lens?.context.close();
});

async function show() {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu", hash: "#evaluate" });
  page = lens.page;
  await page.getByTestId("evaluate-examples").click();
  await page.getByTestId("evaluate-photo").first().waitFor();
}

const boxes = () => page.getByTestId("evaluate-photo").evaluateAll(all => all.map(one => Number(one.dataset.boxes)));
const save = async id => {
  const [download] = await Promise.all([page.waitForEvent("download"), page.getByTestId(id).click()]);
  return (await readFile(await download.path())).toString();
};

test("the example photos are measured, with intervals, floors and files of every row", async () => {
  await show();
  assert.deepEqual(await violations(page), []);
  await page.getByTestId("evaluate-run").click();
  const table = page.locator('[data-testid=evaluate-table][data-table="localisation"]');
  await table.waitFor();
  const row = await table.locator("tbody tr").first().innerText();
  assert.match(row, /FAM/);
  assert.match(row, /\d+\.\d\s+\d+\.\d–\d+\.\d/, "a mean and its interval");
  assert.ok((await table.locator("tbody tr").count()) >= 5, "forms and floors");
  assert.deepEqual(await violations(page), []);

  const data = JSON.parse(await save("evaluate-json"));
  const lines = (await save("evaluate-csv")).trim().split("\n");
  assert.equal(lines.length, data.rows.length + 1);
  assert.match(lines[0], /^table,setting,variant,image,class,size,/);
  const energies = data.rows
    .filter(({ table, variant }) => table === "localisation" && variant === "FAM")
    .map(({ values }) => values.energy);
  assert.ok(energies.length >= 5, "every photo with boxes");
  const mean = energies.reduce((a, b) => a + b, 0) / energies.length;
  const told = data.aggregates.find(
    ({ table, variant, size }) => table === "localisation" && variant === "FAM" && !size,
  ).values.energy;
  assert.ok(Math.abs(told.mean - mean) < 1e-6 && told.low < mean && mean < told.high);
});

test("the figures are those of the command line on the same photos", async () => {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu" });
  const golden = JSON.parse(await readFile(new URL("../../goldens/evaluate/rows.json", import.meta.url), "utf8"));
  const { rows } = await lens.page.evaluate(async ({ photos, shots }) => {
    const { evaluate } = await import(new URL("www/famlens.js", location.href).href);
    const names = [...new Set(photos.map(photo => photo.class))];
    // The order in which photos and classes come changes nothing.
    const classes = names.reverse().map(name => ({
      name,
      photos: photos
        .filter(photo => photo.class === name)
        .reverse()
        .map(({ file, path, box }) => ({
          image: new URL(`www/examples/${file}`, location.href).href,
          path,
          boxes: box ? [box] : [],
        })),
    }));
    return evaluate(window.famlens.lens, { classes, shots, workers: 0 });
  }, golden);
  for (const { table, image, values } of golden.rows) {
    const row = rows.find(row => row.table === table && row.image === image && row.variant === "fam");
    for (const [name, value] of Object.entries(values))
      assert.ok(Math.abs(row.values[name] - value) < 2e-3, `${image} ${name}: ${row.values[name]} is not ${value}`);
  }
});

test("a run that is stopped says so and can be started again", async () => {
  await show();
  const run = page.getByTestId("evaluate-run");
  // Stopped from within the page at the first photo: a click from here may come after the last.
  await page.evaluate(() => {
    const [button, progress] = ["evaluate-run", "evaluate-progress"].map(id =>
      document.querySelector(`[data-testid=${id}]`),
    );
    const seen = new MutationObserver(() => {
      if (!/ of 9/.test(progress.textContent)) return;
      seen.disconnect();
      button.click();
    });
    seen.observe(progress, { childList: true, characterData: true, subtree: true });
    button.click();
  });
  await page.getByTestId("evaluate-progress").filter({ hasText: "Stopped" }).waitFor();
  assert.equal(await run.innerText(), "Evaluate");
  assert.ok(await run.isEnabled());
});

test("what is cleared, replaced or taken out comes back with its boxes", async () => {
  await show();
  const before = await boxes();
  const undo = async text => {
    const told = page.getByTestId("message").filter({ hasText: text });
    await told.getByRole("button", { name: "Undo" }).click();
    assert.deepEqual(await boxes(), before);
  };
  await page.locator("#view-evaluate").getByRole("button", { name: "Clear" }).click();
  assert.deepEqual(await boxes(), []);
  await undo("cleared");
  await page.getByTestId("evaluate-examples").click();
  await undo("in place of yours");
  await page.locator("#view-evaluate .remove").first().click({ force: true });
  assert.equal((await boxes()).length, before.length - 1);
  await undo("removed");
});

test("boxes are drawn with the mouse, changed with the keyboard, saved, and read back from a file", async () => {
  await show();
  const before = (await boxes())[0];
  // Its place is known once its size is.
  await until(page, () => document.querySelector("[data-testid=draw] img").naturalWidth > 0);
  const { x, y, width, height } = await page.getByTestId("draw").boundingBox();
  await page.mouse.move(x + 0.05 * width, y + 0.1 * height);
  await page.mouse.down();
  await page.mouse.move(x + 0.25 * width, y + 0.4 * height, { steps: 3 });
  await page.mouse.up();
  assert.equal((await boxes())[0], before + 1);
  const drawn = page.getByTestId("drawn-box").last();
  const at = await drawn.getAttribute("aria-label");
  await page.keyboard.press("ArrowRight");
  assert.notEqual(await drawn.getAttribute("aria-label"), at, "the new box has the focus and moves");
  const text = await save("evaluate-save-boxes");
  assert.match(text, /^file\tx0\ty0\tx1\ty1\tlabel\n/);
  assert.equal(text.trim().split("\n").length, 1 + (await boxes()).reduce((a, b) => a + b, 0));
  await page.keyboard.press("Tab");
  await drawn.focus();
  await page.keyboard.press("Delete");
  assert.equal((await boxes())[0], before);

  await page.evaluate(text => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([text], "boxes.tsv", { type: "text/tab-separated-values" }));
    const target = document.querySelector("#view-evaluate");
    for (const type of ["dragenter", "dragover", "drop"])
      target.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
  }, text);
  await until(
    page,
    count => Number(document.querySelector("[data-testid=evaluate-photo]").dataset.boxes) === count,
    before + 1,
  );
});

test(
  "several workers give the figures of one, in the order of the photos, and stop when they are told " + "to",
  async () => {
    lens = await openLens(at.browser, at.server.origin, { backend: "cpu" });
    page = lens.page;
    const { sets, boxes } = JSON.parse(await readFile(`${EXAMPLES}examples.json`, "utf8"));
    const found = await page.evaluate(
      async ({ classes, boxes }) => {
        const { evaluate } = await import(new URL("www/famlens.js", location.href).href);
        const { lens } = window.famlens;
        const url = file => new URL(`www/examples/${file}`, location.href).href;
        const request = {
          classes: classes.map(({ name, supports }) => ({
            name,
            photos: supports.map(file => ({ image: url(file), path: file, boxes: boxes[file] ? [boxes[file]] : [] })),
          })),
          variants: [
            { name: "fam" },
            { name: "discriminative", options: { form: "discriminative" } },
            { name: "whitening", options: { head: "whitening" } },
          ],
          shots: 3,
        };
        // A photo that cannot be opened is told once, whoever evaluates.
        request.classes[0].photos.splice(1, 0, {
          image: new Blob(["no photo"], { type: "image/png" }),
          path: "broken.png",
        });
        const bytes = (
          await lens.adaptStatistics(
            request.classes
              .flatMap(({ photos }) => photos)
              .flatMap(({ image }) => (typeof image === "string" ? [image] : [])),
          )
        ).bytes;
        const runs = [];
        for (const workers of [0, 2, 3]) runs.push(await evaluate(lens, { ...request, workers }));
        await lens.setStatistics(null);
        const shipped = await evaluate(lens, { ...request, workers: 2 });
        const stop = new AbortController();
        const told = [];
        const onProgress = ({ done }) => {
          told.push(done);
          if (done === 2) stop.abort();
        };
        const stopped = await evaluate(lens, { ...request, workers: 2, onProgress, signal: stop.signal }).then(
          () => "finished",
          error => error.name,
        );
        // What is left of the lens still answers.
        const again = await evaluate(lens, { ...request, classes: request.classes.slice(0, 2), workers: 2 });
        return { runs, shipped, stopped, told, again: again.rows.length, adapted: bytes.length };
      },
      { classes: sets[0].classes, boxes },
    );
    const [one, two, three] = found.runs;
    assert.ok(one.rows.length > 20);
    assert.deepEqual(two, one);
    assert.deepEqual(three, one);
    assert.deepEqual(
      one.skipped.map(({ photo }) => photo),
      ["broken.png"],
    );
    const photos = [...new Set(one.rows.map(({ image }) => image))];
    assert.deepEqual(
      photos,
      sets[0].classes.flatMap(({ supports }) => supports),
    );
    const of = (run, variant) => run.rows.filter(row => row.variant === variant);
    assert.deepEqual(of(found.shipped, "fam"), of(one, "fam"));
    assert.notDeepEqual(
      of(found.shipped, "discriminative"),
      of(one, "discriminative"),
      "workers use the lens's own statistics",
    );
    assert.equal(found.stopped, "AbortError");
    assert.ok(found.told.length < photos.length && found.told.every((done, at) => done === at + 1), `${found.told}`);
    assert.ok(found.again > 5);
  },
);
