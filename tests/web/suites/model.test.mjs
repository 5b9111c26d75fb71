// The model room: another model that ships, one's own with settings, kept and removed, and files that are no model.

import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";

import { violations } from "../harness/axe.mjs";
import { explained, openLens, ready, setUp, until } from "../harness/page.mjs";

const NETWORK = new URL("../../onnx/net_resnet.onnx", import.meta.url);

const at = setUp("none");
let lens;
afterEach(() => lens?.context.close());

async function open(options, hash = "") {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu", options, hash });
  await lens.page.locator("#model-button").click();
  return lens.page;
}

const file = (name, buffer) => ({ name, mimeType: "application/octet-stream", buffer: Buffer.from(buffer) });
const running = page => page.getByTestId("model-row").and(page.locator("[aria-current]"));
const bring = (page, ...files) => page.getByTestId("model-input").setInputFiles(files);
const info = page => page.evaluate(() => window.famlens.lens.info.model);

/** Uses the small network with nothing said about it. */
async function useOwn(page) {
  await bring(page, file("mine.onnx", await readFile(NETWORK)));
  return explained(page, () => page.getByTestId("model-apply").click());
}

test("Lite2 is loaded when it is chosen, and not before", async () => {
  const page = await open();
  assert.equal(at.server.requests.filter(path => path.includes("lite2")).length, 0);
  const found = await explained(page, () => page.getByRole("button", { name: "Use EfficientNet-Lite2" }).click());
  assert.equal((await info(page)).inputWidth, 288);
  assert.equal(await page.getByTestId("model").textContent(), "EfficientNet-Lite2");
  assert.equal(found.classes[found.predicted].name, "Bird");
  assert.equal(found.form, "contrastive", "it has no statistics for the forms that the model before is shown with");
  assert.equal(await page.getByTestId("support").count(), 9, "the images stay");

  await page.reload();
  await ready(page);
  assert.equal(await page.getByTestId("model").textContent(), "EfficientNet-Lite2", "the choice is remembered");
  assert.deepEqual(lens.errors, []);
});

test("a network of one's own explains with nothing but its file; settings change it and are saved", async () => {
  const page = await open();
  const found = await useOwn(page);
  const { name, target, targets, inputWidth } = await info(page);
  assert.equal(name, "mine");
  assert.equal(target, targets[0], "the best layer was found");
  assert.equal(found.target, target);

  await page.getByTestId("model-preset").selectOption("unit");
  await until(page, () =>
    / 0\.\d+ to 1\.00| 0\.00 to /.test(document.querySelector("[data-testid=model-sees]").textContent),
  );
  await page.getByTestId("model-target").selectOption(targets[1]);
  const other = await explained(page, () => page.getByTestId("model-apply").click());
  assert.equal(other.target, targets[1]);
  assert.notDeepEqual(other.map.data, found.map.data);

  const [saved] = await Promise.all([page.waitForEvent("download"), page.getByTestId("model-save").click()]);
  const manifest = JSON.parse(await readFile(await saved.path(), "utf8"));
  assert.deepEqual(
    [manifest.format, manifest.name, manifest.file, manifest.target],
    [1, "mine", "mine.onnx", targets[1]],
  );
  assert.deepEqual([manifest.input.size, manifest.input.std], [inputWidth, [255, 255, 255]]);
  assert.match(manifest.sha256, /^[0-9a-f]{64}$/);

  // What was saved means the same when it comes back with the file.
  await bring(page, file("mine.onnx", await readFile(NETWORK)), file("model.json", JSON.stringify(manifest)));
  const again = await explained(page, () => page.getByTestId("model-apply").click());
  assert.deepEqual(again.map.data, other.map.data);
  assert.deepEqual(lens.errors, []);
});

test("a model is kept if the user says so, renamed and removed", async () => {
  const page = await open();
  await useOwn(page);
  await page.getByRole("button", { name: "Keep mine" }).click();
  await page.getByRole("button", { name: "Rename mine" }).click();
  await page.keyboard.type("My network");
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelector("[data-testid=model]").textContent === "My network");

  await page.reload();
  await ready(page);
  assert.equal(await page.getByTestId("model").textContent(), "My network", "it is there at the next visit");
  await page.locator("#model-button").click();
  await explained(page, () => page.getByRole("button", { name: "Remove My network" }).click());
  assert.equal(
    await page.getByTestId("model").textContent(),
    "EfficientNet-Lite0",
    "the page goes on with the one it came with",
  );
  await page.reload();
  await ready(page);
  assert.equal(await page.getByTestId("model-row").count(), 2);
  assert.deepEqual(lens.errors, []);
});

test("in a narrow window the buttons of a model leave its name the width", async () => {
  const page = await open({ viewport: { width: 390, height: 844 } });
  await useOwn(page);
  const [row, name, acts] = await Promise.all(
    [running(page), running(page).locator(".model-title"), running(page).locator(".model-acts")].map(one =>
      one.boundingBox(),
    ),
  );
  assert.ok(name.width > 0.8 * row.width, `${name.width} of ${row.width}`);
  assert.ok(name.height < 30 && acts.y >= name.y + name.height, "on one line, the buttons below");
  assert.deepEqual(await violations(page), []);
});

test("the settings show a photo of the task that is open", async () => {
  const page = await open({}, "#pair");
  await bring(page, file("mine.onnx", await readFile(NETWORK)));
  await until(page, () => /^224 x 224 pixels/.test(document.querySelector("[data-testid=model-sees]").textContent));
  const middle = () =>
    page
      .locator("canvas.model-sees")
      .evaluate(one => Array.from(one.getContext("2d").getImageData(100, 100, 1, 1).data));
  const before = await middle();
  await page.keyboard.press("Escape");
  // The photo changed longer ago gives way: the second, then the first.
  for (const name of ["owl", "duck"]) await page.locator(`[data-testid=pair-example][data-file="${name}.jpg"]`).click();
  await ready(page);
  await page.locator("#model-button").click();
  await until(
    page,
    before => {
      const now = document.querySelector("canvas.model-sees").getContext("2d").getImageData(100, 100, 1, 1).data;
      return before.some((value, at) => value !== now[at]);
    },
    before,
  );
  assert.deepEqual(lens.errors, []);
});

test("a file that is no network gives one message, and the page goes on as it was", async () => {
  const page = await open();
  await page.evaluate(() => {
    window.before = [window.famlens.lens, window.famlens.result];
  });
  const whole = await readFile(NETWORK);
  for (const [bad, says] of [
    [file("cut.onnx", whole.subarray(0, whole.length / 2)), /ONNX|protobuf/i],
    [file("weights.pt", "PK\u0003\u0004 archive/data.pkl"), /PyTorch checkpoint.*torch\.onnx\.export/s],
    [file("model.onnx", "version https://git-lfs.github.com/spec/v1\n"), /git lfs pull/],
  ]) {
    await bring(page, bad);
    if (bad.name.endsWith(".onnx")) await page.getByTestId("model-apply").click();
    await page.getByTestId("model-error").filter({ hasText: says }).waitFor();
    assert.equal(await page.getByRole("alert").filter({ visible: true }).count(), 1, "one message");
  }
  await ready(page);
  assert.ok(
    await page.evaluate(() => window.famlens.lens === window.before[0] && window.famlens.result === window.before[1]),
  );
  assert.match(await running(page).innerText(), /EfficientNet-Lite0/);
  await page.keyboard.press("Escape");
  const found = await explained(page, () => page.getByTestId("example").nth(1).click());
  assert.equal(found.classes[found.predicted].name, "Bird");
  assert.deepEqual(lens.errors, []);
});

test(
  "a network that is called model.onnx is named after the folder it is dropped in, or by its " + "model.json",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "famlens-"));
    try {
      const inner = join(folder, "resnet-mini");
      await mkdir(inner);
      await copyFile(NETWORK, join(inner, "model.onnx"));
      const page = await open();
      await page.keyboard.press("Escape");
      const session = await page.context().newCDPSession(page);
      const drop = async () => {
        for (const type of ["dragEnter", "dragOver", "drop"])
          await session.send("Input.dispatchDragEvent", {
            type,
            x: 640,
            y: 450,
            data: { items: [], files: [inner], dragOperationsMask: 1 },
          });
      };
      const named = name =>
        until(page, name => document.querySelector("[data-testid=model-set-name]").value === name, name);
      await drop();
      await named("resnet-mini");
      await page.keyboard.press("Escape");
      await writeFile(join(inner, "model.json"), JSON.stringify({ format: 1, name: "Said in the settings" }));
      await drop();
      await named("Said in the settings");
      await bring(page, file("model.onnx", await readFile(NETWORK)));
      await named("model");
      assert.deepEqual(lens.errors, []);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test("a network dropped on the page opens its settings, which axe-core finds nothing wrong with", async () => {
  for (const options of [{ colorScheme: "light" }, { colorScheme: "dark", viewport: { width: 390, height: 844 } }]) {
    const page = await open(options);
    await page.keyboard.press("Escape");
    const content = [...(await readFile(NETWORK))];
    await page.evaluate(content => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([new Uint8Array(content)], "dropped.onnx"));
      document
        .querySelector("#stage")
        .dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    }, content);
    await page.getByTestId("model-form").waitFor();
    assert.equal(await page.getByTestId("model-set-name").inputValue(), "dropped");
    assert.deepEqual(await violations(page), []);
    assert.ok((await page.evaluate(() => document.scrollingElement.scrollWidth)) <= page.viewportSize().width);
    await lens.context.close();
  }
});
