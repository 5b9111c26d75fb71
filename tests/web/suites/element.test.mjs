// <fam-lens>: what docs/element.md says of it.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";

import { violations } from "../harness/axe.mjs";
import { launch } from "../harness/browser.mjs";
import { DIST, open } from "../harness/page.mjs";
import { serve } from "../harness/server.mjs";

const text = await readFile(fileURLToPath(new URL("../../../docs/element.md", import.meta.url)), "utf8");
const block = language => text.match(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "ms"))[1];

const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; " +
  "connect-src 'self'; worker-src 'self' blob:; require-trusted-types-for 'script'; trusted-types famlens";
const page = body => `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Element</title>
<link rel="icon" href="data:,"><meta http-equiv="Content-Security-Policy" content="${POLICY}">
<script type="module" src="www/element.js"></script></head><body><main><h1>Element</h1>${body}</main></body></html>`;
const CLASSES = `
  <fam-class name="Bird" supports="www/examples/owl.jpg www/examples/chickens.jpg"></fam-class>
  <fam-class name="Fish" supports="www/examples/goldfish.jpg  www/examples/clownfish.jpg"></fam-class>`;
const lens = attributes =>
  `<fam-lens query="www/examples/kingfisher.jpg" backend="cpu" form="fam" alt="A kingfisher" ${attributes}>` +
  `${CLASSES}</fam-lens>`;

let server, browser, folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "famlens-element-"));
  server = await serve({ mounts: { "/www/": `${DIST}www/`, "/models/": `${DIST}models/`, "/": folder } });
  browser = await launch("none");
});
after(async () => {
  await browser?.close();
  await server?.close();
  if (folder) await rm(folder, { recursive: true });
});

async function show(body, whole = false) {
  await writeFile(join(folder, "index.html"), whole ? body : page(body));
  return open(browser, `${server.origin}/`);
}

/** Waits for a state of an element. */
const state = (element, wanted) =>
  element.evaluate(
    (one, wanted) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (one.state === wanted) resolve(undefined);
          else if (one.state === "error") reject(new Error(one.shadowRoot.querySelector("[part=message]").textContent));
        };
        one.addEventListener("famlens-state", look);
        look();
      }),
    wanted,
  );
const part = (element, name) => element.locator(`[part~="${name}"]`);

test("the page of the documentation shows photo, map and verdict", async () => {
  const { page, errors, context } = await show(block("html"), true);
  const element = page.locator("fam-lens");
  await part(element, "verdict").filter({ hasText: "Most like Bird" }).waitFor();
  assert.ok(await part(element, "map").isVisible());
  assert.match(await part(element, "photo").getAttribute("alt"), /^A kingfisher on a branch\. What speaks for Bird/);
  assert.deepEqual(
    errors.filter(error => !error.includes("favicon")),
    [],
  );
  await context.close();
});

test("the script of the documentation runs with files", async () => {
  const prelude = `
    const load = async name => new File([await (await fetch("www/examples/" + name + ".jpg")).blob()], name);
    const file = await load("kingfisher");
    const cats = [await load("owl")];
    const dogs = [await load("goldfish")];`;
  const { page, errors, context } = await show(
    `<!doctype html><link rel="icon" href="data:,"><body><script type="module">${prelude}${block("js")}</script>`,
    true,
  );
  const element = page.locator("fam-lens");
  await part(element, "verdict").filter({ hasText: "Most like cat" }).waitFor();
  assert.equal(await page.title(), "cat");
  assert.match(await part(element, "photo").getAttribute("src"), /^blob:/);
  assert.deepEqual(errors, []);
  await context.close();
});

test("several elements share one worker under a strict policy, and axe finds nothing", async () => {
  const { page, errors, context, requests } = await show(lens("") + lens("") + lens('form="contrastive"'));
  for (const element of await page.locator("fam-lens").all()) await state(element, "ready");
  assert.equal(page.workers().length, 1);
  assert.equal(requests.filter(url => url.endsWith(".onnx")).length, 1);
  assert.deepEqual(await violations(page), []);
  assert.deepEqual(errors, []);
  await context.close();
});

describe("an element", () => {
  let opened, element;
  before(async () => {
    opened = await show(lens(""));
    element = opened.page.locator("fam-lens");
    await state(element, "ready");
  });
  after(() => opened.context.close());
  const pixels = () =>
    part(element, "map").evaluate(map => [
      ...map.getContext("2d").getImageData(0, 0, map.width, map.height).data.slice(0, 4e4),
    ]);

  test("changes the class that is shown by keyboard, and tells it", async () => {
    const seen = element.evaluate(
      one => new Promise(resolve => one.addEventListener("famlens-class", ({ detail }) => resolve(detail))),
    );
    const before = await pixels();
    await part(element, "classes").locator("input").first().focus();
    await opened.page.keyboard.press("ArrowRight");
    assert.equal(await seen, 1);
    assert.equal(await element.evaluate(one => one.shown), 1);
    await element.locator("[role=status]", { hasText: "Fish" }).waitFor();
    assert.notDeepEqual(await pixels(), before);
  });

  test("explains anew when an attribute or a child changes", async () => {
    const result = act =>
      element.evaluate((one, act) => {
        const next = new Promise((resolve, reject) => {
          one.addEventListener("famlens-result", ({ detail }) => resolve(detail), { once: true });
          one.addEventListener("famlens-error", ({ detail }) => reject(detail), { once: true });
        });
        if (act === "query") one.query = "www/examples/discus-fish.jpg";
        if (act === "attribute") one.setAttribute("form", "contrastive");
        if (act === "child") one.querySelector("fam-class").name = "Feathered";
        if (act === "remove") {
          one.querySelector("fam-class").remove();
          // Contrastive compares with other classes.
          one.setAttribute("form", "fam");
        }
        return next.then(({ form, classes, predicted }) => ({
          form,
          names: classes.map(({ name }) => name),
          best: classes[predicted].name,
        }));
      }, act);
    assert.equal((await result("query")).best, "Fish");
    assert.equal((await result("attribute")).form, "contrastive");
    assert.deepEqual((await result("child")).names, ["Feathered", "Fish"]);
    assert.deepEqual((await result("remove")).names, ["Fish"]);
    assert.ok(await part(element, "classes").isHidden(), "one class needs no switch");
  });

  test("moves in the document without losing its answer", async () => {
    await element.evaluate(one => {
      document.querySelector("main").prepend(one);
    });
    await state(element, "ready");
    assert.equal(opened.page.workers().length, 1);
  });
});

test("a lazy element out of sight, and one that waits to be revealed, load nothing", async () => {
  await writeFile(join(folder, "far.css"), ".far { height: 4000px; }");
  const far = '<link rel="stylesheet" href="far.css"><p class="far"></p>';
  const { page, requests, context } = await show(lens('reveal="interaction"') + far + lens('loading="lazy" id="lazy"'));
  const [first, lazy] = await page.locator("fam-lens").all();
  await state(first, "waiting");
  await state(lazy, "waiting");
  assert.equal(requests.filter(url => url.endsWith(".wasm")).length, 0);
  await part(first, "reveal").click();
  await state(first, "ready");
  await lazy.scrollIntoViewIfNeeded();
  await state(lazy, "ready");
  await context.close();
});

test("an error is told in words, with an event and a way to try again", async () => {
  server.spoil("model.onnx", "missing", { times: 1 });
  await writeFile(join(folder, "index.html"), page(lens("")));
  const { page: own, context } = await open(browser, `${server.origin}/`);
  const element = own.locator("fam-lens");
  await part(element, "message").filter({ hasText: "The model is not at" }).waitFor();
  assert.equal(await element.evaluate(one => one.state), "error");
  await part(element, "retry").click();
  await state(element, "ready");
  const told = await element.evaluate(one => {
    const next = new Promise(resolve =>
      one.addEventListener("famlens-error", ({ detail }) => resolve(detail.code), { once: true }),
    );
    one.query = new Blob(["no image"]);
    return next;
  });
  assert.equal(told, "image");
  await context.close();
});

test("every attribute, event, part and property of the documentation exists", async () => {
  const { page, context } = await show(lens(""));
  const element = page.locator("fam-lens");
  await state(element, "ready");
  const found = await element.evaluate(one => ({
    attributes: one.constructor.observedAttributes,
    parts: [...one.shadowRoot.querySelectorAll("[part]")].flatMap(part => [...part.part]),
    style: one.shadowRoot.adoptedStyleSheets.flatMap(sheet => [...sheet.cssRules].map(rule => rule.cssText)).join(""),
    states: one.matches(":state(ready)"),
    properties: Object.getOwnPropertyNames(one.constructor.prototype),
  }));
  const table = (from, to) => text.slice(text.indexOf(from), text.indexOf(to));
  const named = part => [...part.matchAll(/^\| `(\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(named(table("## Attributes", "A `<fam-class>`")).sort(), [...found.attributes].sort());
  for (const name of named(table("| property", "`<fam-class>` has"))) assert.ok(found.properties.includes(name), name);
  const parts = [...table("Parts for", "```css").matchAll(/`(\w+)`/g)].map(([, name]) => name);
  assert.deepEqual([...new Set(found.parts)].sort(), parts.sort());
  for (const [, name] of text.matchAll(/(--famlens-\w+)/g)) assert.ok(found.style.includes(name), name);
  assert.ok(found.states);
  await context.close();
});
