// docs/embedding.md is true: its snippets run, what it names exists, and every call gives what its table says.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, test } from "node:test";

import { launch } from "../harness/browser.mjs";
import { DIST, open } from "../harness/page.mjs";
import { serve } from "../harness/server.mjs";

const text = await readFile(fileURLToPath(new URL("../../../docs/embedding.md", import.meta.url)), "utf8");
const blocks = language =>
  [...text.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms"))].map(([, code]) => code);
const [page] = blocks("html");
const snippets = blocks("js");

/** What the snippets take for granted. */
const PRELUDE = `
  import { createLens } from "./www/famlens.js";
  const photo = (name) => \`www/examples/\${name}.jpg\`;
  const file = new File([await (await fetch(photo("kingfisher"))).blob()], "kingfisher.jpg");
  const [query, files] = [file, [photo("owl"), photo("goldfish"), file]];
  const classes = [{ name: "bird", supports: [photo("owl")] }, { name: "fish", supports: [photo("goldfish")] }];
  const canvas = document.querySelector("canvas");
  const { signal } = new AbortController();
  const lens = await createLens({ backend: "cpu" });
`;

let server, browser, folder, tab;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "famlens-docs-"));
  // As the text says: www and models beside the page.
  server = await serve({ mounts: { "/www/": `${DIST}www/`, "/models/": `${DIST}models/`, "/": folder } });
  browser = await launch("none");
  await writeFile(
    join(folder, "calls.html"),
    `<!doctype html><canvas></canvas><script type="module">${PRELUDE} Object.assign(window, { lens, classes, photo, ` +
      `file });</script>`,
  );
  ({ page: tab } = await open(browser, `${server.origin}/calls.html`));
  await tab.waitForFunction(() => window.lens !== undefined);
});
after(async () => {
  await browser?.close();
  await server?.close();
  if (folder) await rm(folder, { recursive: true });
});

test("the complete page answers", async () => {
  await writeFile(join(folder, "index.html"), page);
  const { page: own, errors, context } = await open(browser, `${server.origin}/`);
  await own.locator("#answer", { hasText: /^bird \(0\.\d+\), strongest at pixel \d+,\d+$/ }).waitFor();
  assert.deepEqual(
    errors.filter(error => !error.includes("favicon")),
    [],
  );
  await context.close();
});

for (const [at, code] of snippets.entries()) {
  test(`snippet ${at + 1} runs`, async () => {
    await writeFile(
      join(folder, "snippet.html"),
      `<!doctype html><canvas></canvas><p id="done"></p><script type="module">${PRELUDE}${code}; ` +
        `document.querySelector("#done").textContent = canvas.width + " done";</script>`,
    );
    const { page: own, errors, context } = await open(browser, `${server.origin}/snippet.html`);
    await own.locator("#done", { hasText: "done" }).waitFor();
    if (code.includes("canvas.width"))
      assert.notEqual(await own.locator("#done").innerText(), "300 done", "something was drawn");
    assert.deepEqual(
      errors.filter(error => !error.includes("favicon")),
      [],
    );
    await context.close();
  });
}

test("everything it names exists", async () => {
  const named = [...new Set([...text.matchAll(/(?<!fam)lens\.(\w+)/g)].map(([, name]) => name))];
  assert.ok(named.length >= 20, named.join());
  const missing = await tab.evaluate(named => named.filter(name => !(name in window.lens)), named);
  assert.deepEqual(missing, []);
  const kinds = await tab.evaluate(async () => Object.keys(await import("./www/famlens.js")));
  for (const name of ["createLens", "createGallery", "evaluate", "readBoxes", "LensError"]) {
    assert.ok(kinds.includes(name) && text.includes(name), `${name} is not in both`);
  }
  const gallery = await tab.evaluate(async () =>
    Object.getOwnPropertyNames((await import("./www/famlens.js")).Gallery.prototype),
  );
  for (const [, name] of text.split("## Galleries")[1].matchAll(/`(\w+)\(/g))
    assert.ok(gallery.includes(name), `a gallery has no ${name}`);
  const forms = await tab.evaluate(async () =>
    (await window.lens.choices()).find(({ kind }) => kind === "form").values.map(({ name }) => name),
  );
  for (const form of ["fam", "contrastive", "whitened", "discriminative"])
    assert.ok(forms.includes(form) && text.includes(`"${form}"`));
});

/** The names at the top of the first `{...}` of a text. */
function keysOf(cell) {
  const from = cell.indexOf("`{");
  if (from < 0) return [];
  let [depth, plain] = [0, ""];
  for (const letter of cell.slice(from + 1)) {
    if ("}])".includes(letter)) depth -= 1;
    if (depth === 0 && "}".includes(letter)) break;
    if (depth === 1 && !"{[(}])".includes(letter)) plain += letter;
    if ("{[(".includes(letter)) depth += 1;
  }
  return plain
    .split(",")
    .map(part => part.split(":")[0].trim())
    .filter(name => /^\w+$/.test(name));
}

test("every call of the table gives what it says", async () => {
  const rows = [...text.matchAll(/^\| `(?:lens\.)?(\w+)\(.*?\| (.*) \|$/gm)]
    .map(([, name, gives]) => ({ name, keys: keysOf(gives) }))
    .filter(({ keys }) => keys.length > 0);
  const found = await tab.evaluate(async () => {
    const { lens, classes, photo, file } = window;
    const { evaluate } = await import("./www/famlens.js");
    const more = classes.map(({ name, supports }, at) => ({
      name,
      supports: [...supports, photo(at ? "clownfish" : "chickens")],
    }));
    const pair = { a: photo("kingfisher"), b: photo("owl") };
    const explained = await lens.explain({ query: file, classes });
    const answers = {
      explain: explained,
      compareMethods: await lens.compareMethods({ query: file, classes, methods: ["fam", "grad-cam"] }),
      explainSupport: await lens.explainSupport({ image: photo("owl"), index: 0, classes }),
      checkSupports: await lens.checkSupports({ classes: more }),
      mosaic: await lens.mosaic({ classes }),
      pair: await lens.pair(pair),
      whereToWhere: await lens.whereToWhere(pair),
      view: await lens.view(file, { seed: 3 }),
      embed: await lens.embed(file),
      render: await lens.render(file, explained.map, { width: 40, height: 30 }),
      evaluate: await evaluate(lens, {
        classes: more.map(({ name, supports }) => ({
          name,
          photos: supports.map(image => ({ image, boxes: [[5, 5, 90, 90]] })),
        })),
      }),
      open: await lens.open(file),
      network: await lens.network(),
    };
    const against = await lens.compareMethods({ query: file, methods: ["grad-cam"], against: { logit: "jay" } });
    const sum =
      explained.contributions[0].reduce((total, value) => total + value, 0) +
      explained.classes[0].constant +
      explained.classes[0].residual;
    return {
      keys: Object.fromEntries(Object.entries(answers).map(([name, answer]) => [name, Object.keys(answer)])),
      against: against.classes.map(({ name }) => name),
      missed: sum - explained.classes[0].similarity,
      map: Object.keys(explained.map),
      value: await lens.valueAt(file, explained.map, ...explained.peak),
      info: Object.keys(lens.info.model),
    };
  });
  assert.ok(rows.length >= 11, rows.map(({ name }) => name).join());
  for (const { name, keys } of rows)
    for (const key of keys) assert.ok(found.keys[name]?.includes(key), `${name} gives ${found.keys[name]}, not ${key}`);
  assert.deepEqual(found.against, ["jay"]);
  assert.ok(Math.abs(found.missed) < 1e-4);
  for (const key of ["data", "width", "height", "min", "max", "box", "peak"]) assert.ok(found.map.includes(key));
  assert.ok(found.value > 0 && found.info.includes("hasStatistics"));
});
