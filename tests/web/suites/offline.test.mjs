// After one visit the page works without a network, and it says when there is a new version.

import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { launch } from "../harness/browser.mjs";
import { DIST, SUB_PATH, explained, open, ready, until } from "../harness/page.mjs";
import { serve } from "../harness/server.mjs";

const PHOTO = new URL("../../photos/cat/chelsea.jpg", import.meta.url);

let browser, folder, server;
before(async () => {
  browser = await launch("none");
  folder = `${await mkdtemp(join(tmpdir(), "famlens-"))}/`;
  await cp(DIST, folder, { recursive: true });
  server = await serve({ mounts: { [SUB_PATH]: folder }, policy: true });
});
after(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** The page after a visit, once all of it is kept. */
async function visited() {
  const opened = await open(browser, `${server.origin}${SUB_PATH}?backend=cpu`, { serviceWorkers: "allow" });
  await ready(opened.page);
  await until(opened.page, () => navigator.serviceWorker.controller !== null);
  return opened;
}

test("after one visit everything works without a network, and nothing of the user's is kept", async () => {
  const { page, context } = await visited();
  // A model that was chosen is part of the visit.
  await page.locator("#model-button").click();
  const other = page.getByTestId("model-row").filter({ hasText: "Lite2" });
  await explained(page, () => other.getByRole("button").first().click());
  await page.keyboard.press("Escape");
  await page.getByTestId("query-input").setInputFiles(PHOTO.pathname);
  await ready(page);

  await context.setOffline(true);
  const asked = server.requests.length;
  await page.reload();
  await ready(page);
  assert.match(await page.getByTestId("model").innerText(), /Lite2/);
  await page.getByTestId("query-input").setInputFiles(PHOTO.pathname);
  await ready(page);
  for (const [task, there] of [
    ["pair", "pair-score"],
    ["gallery", "gallery-examples"],
    ["evaluate", "task"],
  ]) {
    await page.locator(`[data-task=${task}]`).click();
    await page.getByTestId(there).first().waitFor();
    await ready(page);
  }
  await until(page, () => document.querySelector("[data-testid=pair-score]").textContent.includes("0."));
  // The browser itself looks for a new version of the service worker, though the page is cut off.
  const reached = server.requests.slice(asked).filter(path => !path.endsWith("/sw.js"));
  assert.deepEqual(reached, [], "no request reached the server");

  const kept = await page.evaluate(async () => {
    const all = [];
    for (const name of await caches.keys()) for (const { url } of await (await caches.open(name)).keys()) all.push(url);
    return all;
  });
  assert.ok(kept.length > 50);
  assert.equal(kept.filter(url => url.endsWith(".wasm")).length, 1, "the program that this browser loads");
  assert.deepEqual(
    kept.filter(url => !url.startsWith(`${server.origin}${SUB_PATH}`)),
    [],
  );
  for (const url of kept) await readFile(join(folder, new URL(url).pathname.slice(SUB_PATH.length)));
  await context.close();
});

test("a new version is told and comes with a click", async () => {
  const { page, context } = await visited();
  const program = join(folder, "sw.js");
  const before = await readFile(program, "utf8");
  await writeFile(program, before.replace(/version: "\w+"/, 'version: "another"'));
  await page.reload();
  await ready(page);
  const told = page.getByTestId("message").filter({ hasText: "new version" });
  await told.waitFor();
  await Promise.all([page.waitForEvent("load"), told.getByRole("button", { name: "Reload" }).click()]);
  await ready(page);
  await until(page, async () => (await caches.keys()).join() === "offline-famlens-another");
  await context.close();
});

test("what is kept is listed and goes with all else", async () => {
  const { page, context } = await visited();
  await page.getByTestId("about").click();
  const row = page.locator("[data-testid=stored] [data-kind=page]");
  await row.waitFor();
  assert.ok(Number(await row.getAttribute("data-count")) > 50);
  await page.getByTestId("forget-everything").click();
  await page.getByTestId("forget-says").filter({ hasText: "Deleted" }).waitFor();
  assert.deepEqual(
    await page.evaluate(async () => [await caches.keys(), (await navigator.serviceWorker.getRegistrations()).length]),
    [[], 0],
  );
  await context.close();
});

test("the page can be installed", async () => {
  const { page, context } = await visited();
  const session = await context.newCDPSession(page);
  const { installabilityErrors } = await session.send("Page.getInstallabilityErrors");
  // A private window, as the tests have it, is the one thing that stands in the way.
  assert.deepEqual(
    installabilityErrors.map(({ errorId }) => errorId).filter(id => id !== "in-incognito"),
    [],
  );
  await context.close();
});
