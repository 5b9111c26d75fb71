// What can be taken away and brought back: projects, links, pictures, code, and the page as a page of one's own.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { promisify } from "node:util";

import { violations } from "../harness/axe.mjs";
import { explained, open, openLens, ready, result, setUp, until } from "../harness/page.mjs";
import { serve } from "../harness/server.mjs";

const photo = name => new URL(`../../photos/${name}.jpg`, import.meta.url).pathname;

const at = setUp("none");
let lens, folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "famlens-"));
});
after(() => rm(folder, { recursive: true, force: true }));
afterEach(() => lens?.context.close());

async function show(hash = "", options = {}) {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu", hash, options });
  return lens.page;
}

const panel = page => page.locator("#share-button").click();

/** Presses a button of the panel and gives the file that comes of it. */
async function saved(page, id) {
  await panel(page);
  const coming = page.waitForEvent("download");
  await page.getByTestId(id).click();
  const path = join(folder, `${Date.now()}-${(await coming).suggestedFilename()}`);
  await (await coming).saveAs(path);
  await page.keyboard.press("Escape");
  return path;
}

/** What is on the page, for comparing. */
const state = page => page.evaluate(() => window.famlens.state);

/** Classes, photos, a form and boxes that are not those of the examples. */
async function work(page) {
  await page.getByTestId("query-input").setInputFiles(photo("cat/chelsea"));
  await page.getByTestId("class").first().locator("input[type=file]").setInputFiles(photo("cat/cat"));
  await page.getByTestId("class-name").first().fill("Pet");
  await page.getByTestId("class-name").first().press("Enter");
  await explained(page, () => page.locator("[data-testid=form] input[value=whitened]").check({ force: true }));
  await page.locator("[data-task=evaluate]").click();
  await page.getByTestId("evaluate-examples").click();
  await page.getByTestId("evaluate-photo").first().waitFor();
  await page.locator("[data-task=few-shot]").click();
  await ready(page);
}

const boxed = page => page.locator("[data-testid=evaluate-photo]:not([data-boxes='0'])").count();

test("a project is saved, dropped back and the same again; and the step can be taken back", async () => {
  const page = await show();
  await work(page);
  const [before, found, boxes] = [await state(page), await result(page), await boxed(page)];
  const file = await saved(page, "save-project");
  const { stdout } = await promisify(execFile)("python3", ["-m", "zipfile", "-l", file]);
  assert.match(stdout, /project\.json[\s\S]*chelsea\.jpg/, "other programs read it");

  await page.reload();
  await ready(page);
  assert.notDeepEqual((await state(page)).classes, before.classes);
  const [chooser] = await Promise.all([
    page.waitForEvent("filechooser"),
    panel(page).then(() => page.getByTestId("open-project").click()),
  ]);
  await chooser.setFiles(file);
  const told = page.getByTestId("message").filter({ hasText: "Project opened: 3 classes" });
  await told.waitFor();
  await ready(page);
  const now = await state(page);
  for (const key of ["classes", "query", "choices", "look"]) assert.deepEqual(now[key], before[key], key);
  const again = await result(page);
  assert.deepEqual(again.maps[0].data, found.maps[0].data);
  assert.equal(await boxed(page), boxes);

  await told.getByRole("button", { name: "Undo" }).click();
  await until(page, () => window.famlens.state.query === "kingfisher.jpg");
});

test("what is no project changes nothing and says what is wrong", async () => {
  const page = await show();
  const before = await state(page);
  const whole = await readFile(await saved(page, "save-project"));
  const damaged = Buffer.from(whole);
  damaged[whole.indexOf("kingfisher")] ^= 1;
  for (const [content, says] of [
    [Buffer.from("not a zip"), /not a ZIP file/],
    [whole.subarray(0, whole.length / 2), /end is missing/],
    [damaged, /damaged/],
  ]) {
    const file = join(folder, "broken.zip");
    await writeFile(file, content);
    const [chooser] = await Promise.all([
      page.waitForEvent("filechooser"),
      panel(page).then(() => page.getByTestId("open-project").click()),
    ]);
    await chooser.setFiles(file);
    const told = page.getByTestId("message").filter({ hasText: "not a famlens project" });
    await told.filter({ hasText: says }).waitFor();
    await page.keyboard.press("Escape");
  }
  assert.deepEqual(await state(page), before);
});

test("work that is kept survives a reload, and is deleted with all else", async () => {
  const page = await show();
  await panel(page);
  await page.getByTestId("keep").check();
  await page.keyboard.press("Escape");
  await work(page);
  const before = await state(page);
  await until(page, async () => {
    // Not before the page has made it.
    if (!(await indexedDB.databases()).some(({ name }) => name === "famlens-project")) return false;
    const request = indexedDB.open("famlens-project", 1);
    await new Promise(resolve => request.addEventListener("success", resolve));
    const row = request.result.transaction("rows").objectStore("rows").get("project.json");
    await new Promise(resolve => row.addEventListener("success", resolve));
    request.result.close();
    return row.result?.choices.form === "whitened" && row.result.rooms.evaluate !== undefined;
  });
  await page.reload();
  await ready(page);
  await until(page, () => window.famlens.state.query === "chelsea.jpg");
  await ready(page);
  const now = await state(page);
  for (const key of ["classes", "query", "choices"]) assert.deepEqual(now[key], before[key], key);

  await page.getByTestId("about").click();
  await page.locator("[data-testid=stored] [data-kind=work]:not([data-count='0'])").waitFor();
  await page.getByTestId("forget-everything").click();
  await page.getByTestId("forget-says").filter({ hasText: "Deleted" }).waitFor();
  await page.reload();
  await ready(page);
  assert.equal((await state(page)).query, "kingfisher.jpg");
});

test("a link restores example, photo, class, form and look", async () => {
  const permissions = ["clipboard-read", "clipboard-write"];
  const page = await show("", { permissions });
  await explained(page, () => page.getByTestId("set").filter({ hasText: "Buildings" }).click());
  await explained(page, () => page.getByTestId("example").nth(2).click());
  await page.getByTestId("class-chip").filter({ hasText: "Pyramid" }).click();
  await page.getByTestId("colormap").selectOption("viridis");
  await panel(page);
  await page.getByTestId("copy-link").click();
  await page.getByTestId("message").filter({ hasText: "Copied" }).waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  const before = await state(page);
  const other = await open(at.browser, link);
  await ready(other.page);
  const now = await state(other.page);
  for (const key of ["classes", "query", "target"]) assert.deepEqual(now[key], before[key], key);
  assert.equal(now.look.colormap, "viridis");
  assert.equal(now.choices.form, "discriminative");
  await other.context.close();
});

test("the code gives the command line and the call for what is on screen", async () => {
  const page = await show("#few-shot?form=whitened&finer.flip=true", {
    permissions: ["clipboard-read", "clipboard-write"],
  });
  await panel(page);
  await page.getByTestId("copy-code").click();
  await page.getByTestId("message").filter({ hasText: "Copied" }).waitFor();
  const code = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(code, /famlens explain --query kingfisher\.jpg \\\n {2}--class Bird=owl\.jpg,/);
  assert.match(code, /--class 'Hoofed animal=horses\.jpg,/);
  assert.match(code, /--form whitened/);
  assert.match(code, /--flip/);
  const request = JSON.parse(code.slice(code.indexOf("lens.explain(") + 13, code.lastIndexOf(")")));
  assert.equal(request.finer.flip, true);
  assert.equal(request.classes[0].name, "Bird");
});

test("pictures say class, score, scale, model and form, as SVG and as PNG, in every room", async () => {
  const page = await show("#few-shot?beside=true");
  const svg = async () => readFile(await saved(page, "save-svg"), "utf8");
  const few = await svg();
  for (const word of ["Bird", "Discriminative", "FAM", "EfficientNet-Lite0", "evidence", "inferno", "to 0."])
    assert.ok(few.includes(word), word);
  const png = await readFile(await saved(page, "save-picture"));
  assert.equal(png.subarray(1, 4).toString(), "PNG");
  await page.locator("[data-mode=methods]").click();
  await until(page, () => document.querySelectorAll(".mode-methods [data-testid=pane]").length >= 4);
  await ready(page);
  assert.equal((await svg()).match(/<image/g).length, 8);
  await page.locator("[data-task=pair]").click();
  await until(page, () => document.querySelector("[data-testid=pair-score]")?.dataset.similarity !== undefined);
  await ready(page);
  const pair = await svg();
  assert.match(pair, /kingfisher\.jpg and scarlet-macaw\.jpg: \w+ 0\.\d+/);
  await panel(page);
  assert.deepEqual(await violations(page), []);
});

test("the page is saved as a page that opens elsewhere with what was on screen", async () => {
  const page = await show();
  await work(page);
  const before = await state(page);
  const file = await saved(page, "save-page");
  await promisify(execFile)("python3", ["-m", "zipfile", "-e", file, join(folder, "site")]);
  const server = await serve({ mounts: { "/elsewhere/": join(folder, "site", "famlens-page") }, policy: true });
  const other = await open(at.browser, `${server.origin}/elsewhere/?backend=cpu`);
  await ready(other.page);
  await until(other.page, () => window.famlens.state.query === "chelsea.jpg");
  await ready(other.page);
  const now = await state(other.page);
  for (const key of ["classes", "query"]) assert.deepEqual(now[key], before[key], key);
  assert.deepEqual(other.errors, []);
  await other.context.close();
  await server.close();
});
