// The npm packages as a stranger gets them: packed, installed into an empty folder outside of this clone, built with
// four bundlers, and used in Chromium.
//
//   FAMLENS_FOLDER=/tmp/x CHROME=... node --test npm/check/packed.test.mjs
//
// `cargo xtask package --check` makes the packages first.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { launch } from "../../tests/web/harness/browser.mjs";
import { open } from "../../tests/web/harness/page.mjs";
import { serve } from "../../tests/web/harness/server.mjs";
import { bundlers } from "./bundlers.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PACKAGES = join(ROOT, "dist/npm");
const EXAMPLES = join(ROOT, "www/examples/");
const TSC = join(ROOT, "tests/web/node_modules/typescript/bin/tsc");

/** What a page downloads before its model is at most so large, gzipped. */
const MOST_BYTES = 1_300_000;
const MOST_ELEMENT = 12_000;

/** The page of the apps; nothing but its own server may be asked, so the worker must inherit that. */
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; " +
  "img-src 'self' blob: data:; style-src 'self'";
const html = (script, policy = POLICY) => `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>App</title>
<link rel="icon" href="data:,">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<fam-lens id="element" query="/photos/kingfisher.jpg" backend="cpu" form="fam" alt="A bird">
  <fam-class name="Bird" supports="/photos/owl.jpg"></fam-class>
  <fam-class name="Fish" supports="/photos/goldfish.jpg"></fam-class>
</fam-lens>
<p id="out"></p>
${script}
</html>
`;

const APP = `
import { createGallery, createLens } from "famlens";
import "famlens/element";

const photo = name => "/photos/" + name + ".jpg";
const out = document.querySelector("#out");
try {
  const lens = await createLens({ backend: "cpu" });
  const classes = [
    { name: "bird", supports: [photo("owl"), photo("chickens")] },
    { name: "fish", supports: [photo("goldfish"), photo("clownfish")] },
  ];
  const result = await lens.explain({ query: photo("kingfisher"), classes, form: "discriminative" });
  const gallery = await createGallery(lens, { workers: 1, keep: false });
  const names = ["owl", "chickens", "goldfish", "clownfish", "cow", "bison", "duck", "sheep", "horses"];
  await gallery.add(names.map(photo));
  const { hits } = await gallery.rank(photo("owl"), { top: 2 });
  out.textContent = JSON.stringify({
    name: result.classes[result.predicted].name,
    similarity: result.classes.map(one => one.similarity),
    first: hits[0].name,
  });
} catch (error) {
  out.textContent = JSON.stringify({ error: error.message });
}
`;

let folder, browser, server, elsewhere, packed;

const run = (command, args, cwd) => {
  const done = spawnSync(command, args, { cwd, encoding: "utf8" });
  assert.equal(done.status, 0, `${command} ${args.join(" ")}\n${done.stdout}\n${done.stderr}`);
  return done.stdout;
};

before(async () => {
  folder = await mkdtemp(join(process.env.FAMLENS_FOLDER ?? tmpdir(), "famlens-npm-"));
  const names = (await readdir(PACKAGES)).sort();
  packed = names.map(name => join(folder, run("npm", ["pack", "--silent", join(PACKAGES, name)], folder).trim()));
  await mkdir(join(folder, "app/src"), { recursive: true });
  await writeFile(join(folder, "app/package.json"), `{"name": "app", "private": true, "type": "module"}\n`);
  await writeFile(join(folder, "app/src/main.js"), APP);
  run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--silent", ...packed], join(folder, "app"));
  server = await serve({ mounts: { "/photos/": EXAMPLES, "/apps/": `${join(folder, "app")}/` } });
  elsewhere = await serve({
    mounts: { "/npm/": `${join(folder, "cdn")}/`, "/photos/": EXAMPLES },
    headers: { "access-control-allow-origin": "*" },
  });
  browser = await launch("none");
});
after(async () => {
  await browser?.close();
  await server?.close();
  await elsewhere?.close();
  if (folder) await rm(folder, { recursive: true });
});

/** Opens an app and waits for both of its answers. */
async function answer(url) {
  const { page, context, errors, requests } = await open(browser, url);
  await page.locator("#out", { hasText: "{" }).waitFor();
  const found = JSON.parse(await page.locator("#out").innerText());
  assert.equal(found.error, undefined, `${found.error}\n${errors.join("\n")}\n${requests.join("\n")}`);
  const element = page.locator("#element");
  await element.locator("[part=verdict]", { hasText: "Bird" }).waitFor();
  assert.equal(await element.evaluate(one => one.state), "ready");
  assert.deepEqual(errors, []);
  return { found, page, context, requests };
}

test("the packages hold what they should, and no more than a page can bear", async () => {
  const [lite0, lite2, famlens] = packed;
  assert.match(lite0, /famlens-efficientnet-lite0-.*\.tgz$/);
  assert.match(lite2, /famlens-efficientnet-lite2-.*\.tgz$/);
  const inside = join(folder, "app/node_modules/famlens");
  for (const file of ["famlens.d.ts", "element.d.ts", "LICENSE-MIT", "LICENSE-APACHE", "THIRD-PARTY.txt", "README.md"])
    assert.ok((await stat(join(inside, file))).size > 500, file);
  const about = JSON.parse(await readFile(join(inside, "package.json"), "utf8"));
  assert.equal(about.type, "module");
  assert.ok(about.engines.node && about.exports["./element"] && Array.isArray(about.sideEffects));
  assert.ok(gzipSync(await readFile(join(inside, "element.js"))).length <= MOST_ELEMENT);
  // One of several programs is loaded: the largest counts.
  const programs = (await readdir(inside)).filter(name => name.endsWith(".wasm"));
  const gzipped = async name => gzipSync(await readFile(join(inside, name)), { level: 9 }).length;
  const sizes = await Promise.all(programs.map(gzipped));
  const all = Math.max(...sizes) + (await gzipped("famlens.js")) + (await gzipped("worker.js"));
  console.log(`famlens without a model: ${all} bytes gzipped; ${famlens}: ${(await stat(famlens)).size}`);
  assert.ok(all <= MOST_BYTES, `${all} bytes`);
});

describe("a production build", () => {
  let first = null;
  for (const [name, build] of Object.entries(bundlers)) {
    test(`of ${name} explains, finds the model by itself, and its worker keeps to the page's policy`, async () => {
      const app = join(folder, "app");
      const out = join(app, name);
      await mkdir(out, { recursive: true });
      await build({ app, out, html });
      const { found, page, context, requests } = await answer(`${server.origin}/apps/${name}/index.html`);
      assert.equal(found.name, "bird");
      assert.equal(found.first, "owl.jpg");
      first ??= found;
      assert.deepEqual(found, first, "all builds answer alike");
      assert.ok(requests.some(url => url.endsWith(".wasm")) && requests.some(url => url.endsWith(".onnx")));
      const tried = await page.workers()[0].evaluate(
        url =>
          fetch(url, { mode: "no-cors" }).then(
            () => "sent",
            () => "refused",
          ),
        `${elsewhere.origin}/photos/owl.jpg`,
      );
      assert.equal(tried, "refused");
      await context.close();
    });
  }
});

test("from a CDN, one script of another origin is enough", async () => {
  const version = JSON.parse(await readFile(join(PACKAGES, "famlens/package.json"), "utf8")).version;
  for (const name of ["famlens", "@famlens/efficientnet-lite0"])
    await cp(join(folder, "app/node_modules", name), join(folder, `cdn/${name}@${version}`), { recursive: true });
  const origin = elsewhere.origin;
  const script = APP.replaceAll('"famlens', `"${origin}/npm/famlens@${version}/famlens`)
    .replace("/famlens/element", "/element.js")
    .replace(`@${version}/famlens"`, `@${version}/famlens.js"`);
  await mkdir(join(folder, "app/cdn"), { recursive: true });
  await writeFile(join(folder, "app/cdn/main.js"), script);
  const policy =
    `default-src 'none'; script-src 'self' ${origin} 'wasm-unsafe-eval'; worker-src blob: ${origin}; connect-src 'self' ` +
    `${origin}; img-src 'self' data:; require-trusted-types-for 'script'; trusted-types famlens`;
  await writeFile(join(folder, "app/cdn/index.html"), html('<script type="module" src="main.js"></script>', policy));
  const { found, context, requests } = await answer(`${server.origin}/apps/cdn/index.html`);
  assert.equal(found.name, "bird");
  assert.ok(requests.includes(`${origin}/npm/@famlens/efficientnet-lite0@${version}/model.json`));
  await context.close();
});

test("node_modules on a server work as they are", async () => {
  const script = APP.replace('"famlens"', '"/apps/node_modules/famlens/famlens.js"').replace(
    '"famlens/element"',
    '"/apps/node_modules/famlens/element.js"',
  );
  await mkdir(join(folder, "app/plain"), { recursive: true });
  await writeFile(join(folder, "app/plain/main.js"), script);
  await writeFile(join(folder, "app/plain/index.html"), html('<script type="module" src="main.js"></script>'));
  const { found, context } = await answer(`${server.origin}/apps/plain/index.html`);
  assert.equal(found.name, "bird");
  await context.close();
});

test("in Node.js importing is safe, and createLens says what it needs", async () => {
  const code = `
    const { createLens, LensError } = await import("famlens");
    const { FamLens } = await import("famlens/element");
    const model = (await import("@famlens/efficientnet-lite2")).default;
    const error = await createLens({ model }).catch(error => error);
    console.log(JSON.stringify([typeof FamLens, error instanceof LensError, error.code, error.message]));`;
  const said = JSON.parse(run(process.execPath, ["--input-type=module", "--eval", code], join(folder, "app")));
  assert.deepEqual(said.slice(0, 3), ["function", true, "environment"]);
  assert.match(said[3], /browser/);
});

test("the declarations are whole: right uses compile and wrong ones do not", async () => {
  await writeFile(
    join(folder, "app/src/types.ts"),
    `import { createGallery, createLens, LensError, type Explanation, type LensMap } from "famlens";
import { FamLens, type FamLensState } from "famlens/element";
import model from "@famlens/efficientnet-lite2";
const lens = await createLens({ model, backend: "cpu" });
const result: Explanation = await lens.explain({ query: "a.jpg", classes: [{ name: "a", supports: ["b.jpg"] }] });
const map: LensMap = result.maps[result.predicted];
// @ts-expect-error a number
const wrong: string = result.predicted;
// @ts-expect-error no such engine
await createLens({ backend: "cuda" });
// @ts-expect-error no such call
lens.explian();
const gallery = await createGallery(lens);
// @ts-expect-error a number
const rank: string = (await gallery.rank("a.jpg")).hits[0].similarity;
const element = document.querySelector("fam-lens");
const state: FamLensState | undefined = element?.state;
element?.addEventListener("famlens-result", event => event.detail.predicted.toFixed());
// @ts-expect-error no such state
if (state === "done") throw new LensError("x", "y");
export { FamLens, map, wrong, rank };
`,
  );
  const strict = ["--strict", "--noEmit", "--target", "es2023", "--lib", "es2023,dom,dom.iterable", "--types", ""];
  for (const kind of [
    ["--module", "esnext", "--moduleResolution", "bundler"],
    ["--module", "nodenext", "--moduleResolution", "nodenext"],
  ])
    run(process.execPath, [TSC, ...strict, ...kind, "src/types.ts"], join(folder, "app"));
});
