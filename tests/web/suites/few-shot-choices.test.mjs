// Every choice of the library is on the page with its sentence and source, changes what is computed, and is kept.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, test } from "node:test";

import { violations } from "../harness/axe.mjs";
import { explained, openLens, ready, result, setUp, until } from "../harness/page.mjs";

const at = setUp("none");
let lens;
afterEach(() => lens?.context.close());

async function show(hash = "") {
  lens = await openLens(at.browser, at.server.origin, { backend: "cpu", hash });
  await lens.page.getByTestId("choices-open").click();
  return lens.page;
}

/** The control of a choice, opened. */
async function control(page, kind) {
  const one = page.locator(`[data-testid=choices] [data-kind="${kind}"]`);
  if (await one.evaluate(element => element instanceof HTMLDetailsElement && !element.open))
    await one.locator("summary").click();
  return one;
}

test("each has a control, each value its sentence and its source", async () => {
  const page = await show();
  const catalogue = await page.evaluate(() => window.famlens.lens.choices());
  assert.ok(catalogue.length >= 15);
  for (const { kind, label, sentence, values = [] } of catalogue) {
    const one = await control(page, kind);
    const text = await one.innerText();
    assert.ok(text.includes(label) && text.includes(sentence), `${kind} is not explained: ${text}`);
    for (const value of values) {
      assert.ok(text.includes(value.label) && text.includes(value.sentence), `${kind} ${value.name} is not explained`);
      if (value.source !== "famlens") assert.ok(text.includes(value.source), `${kind} ${value.name} names no source`);
    }
  }
  assert.deepEqual(lens.errors, []);
});

test(
  "one that is chosen changes the decision's figures, goes into address and export, and outlasts a " + "reload",
  async () => {
    const page = await show("#few-shot?form=fam");
    const before = await result(page);
    const similarity = await control(page, "similarity");
    const dot = await explained(page, () => similarity.locator("input[value=dot]").check());
    assert.notEqual(dot.score, before.score);
    assert.notDeepEqual(
      dot.classes.map(one => one.similarity),
      before.classes.map(one => one.similarity),
    );
    assert.equal(dot.embedded, 0, "another similarity runs no backbone");
    assert.match(page.url(), /#few-shot\?.*similarity=dot/);
    assert.match(await page.getByTestId("choices-open").textContent(), /1 changed/);

    await page.getByRole("button", { name: "Close the choices" }).click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByTestId("save-json").click()]);
    const data = JSON.parse(await readFile(await download.path(), "utf8"));
    assert.deepEqual(data.options, { form: "fam", similarity: "dot" });
    assert.equal(data.score, dot.score);

    await page.reload();
    await ready(page);
    assert.deepEqual((await result(page)).classes, dot.classes);

    await page.getByTestId("choices-open").click();
    await explained(page, () => page.getByTestId("choices-reset").click());
    assert.doesNotMatch(page.url(), /similarity/);
  },
);

test("one that cannot change the map is said to, and the contributions leave nothing out", async () => {
  const page = await show("#few-shot?form=fam");
  const before = await result(page);
  const found = await explained(page, () => page.locator('[data-kind="weightRelu"] input').check());
  const differences = found.maps[0].data.map((value, at) => Math.abs(value - before.maps[0].data[at]));
  assert.ok(Math.max(...differences) < 1e-5, "no weight is negative on non-negative activations");
  assert.match(await page.getByTestId("notes").innerText(), /changes nothing|cannot change/);
  for (const { residual } of found.classes) assert.ok(Math.abs(residual) < 1e-4);
});

test("pooling changes embedding and map, nested choices reach the library", async () => {
  const page = await show("#few-shot?form=fam&pooling=gmp&beside=true");
  const gmp = await result(page);
  const gap = await result(page, "published");
  assert.notDeepEqual(gmp.maps[0].data, gap.maps[0].data);
  const flipped = await explained(page, () => page.locator('[data-kind="finer.flip"] input').check());
  assert.equal(flipped.passes, 2);
  assert.notDeepEqual(flipped.maps[0].data, gmp.maps[0].data);
  assert.deepEqual(await page.evaluate(() => window.famlens.state.choices), {
    form: "fam",
    pooling: "gmp",
    "finer.flip": true,
  });
  await until(page, () => location.hash.includes("finer.flip=true"));
});

/** What a choice needs beside it to count, and what keeps methods that run the model often short. */
const WITH = {
  rival: { form: "contrastive" },
  gemExponent: { pooling: "gem" },
  borderTerm: { form: "whitened" },
  offset: { form: "whitened" },
  cellShrinkage: { form: "whitened" },
  sharpness: { form: "discriminative" },
  shrinkage: { head: "whitening" },
  fusion: { targets: "all" },
  layer: { method: "grad-cam" },
  method: {
    "methodOptions.masks": 12,
    "methodOptions.channels": 3,
    "methodOptions.window": 112,
    "methodOptions.stride": 112,
  },
  "methodOptions.seed": { "methodOptions.masks": 12, method: "rise" },
  "methodOptions.masks": { "methodOptions.masks": 12, method: "rise" },
  "methodOptions.grid": { "methodOptions.masks": 12, method: "rise" },
  "methodOptions.keep": { "methodOptions.masks": 12, method: "rise" },
  "methodOptions.channels": { "methodOptions.channels": 3, method: "score-cam" },
  "methodOptions.window": { "methodOptions.window": 112, "methodOptions.stride": 112, method: "occlusion" },
  "methodOptions.stride": { "methodOptions.window": 112, "methodOptions.stride": 112, method: "occlusion" },
};

/** Numbers to try, where not the smallest and the largest: those are too slow or too close to what is already there. */
const NUMBERS = {
  gemExponent: [1, 10],
  offset: [0, 0.3],
  sharpness: [0, 100],
  cellShrinkage: [0.1, 1],
  shrinkage: [0.01, 0.9],
  "finer.shifts": [2],
  "methodOptions.seed": [7],
  "methodOptions.channels": [5],
  "methodOptions.masks": [15],
  "methodOptions.grid": [3],
  "methodOptions.keep": [0.8],
  "methodOptions.window": [64],
  "methodOptions.stride": [96],
};

/** What can be tried of a choice, as the control takes it. */
function trials({ kind, input, values, default: usual }, targets, classes) {
  if (input === "one")
    // The mean of the cells is the model's own pooling, and FAM as published takes no second look by itself.
    return values
      .map(({ name }) => name)
      .filter(name => name !== usual && !["pooling gap", "finer.look never"].includes(`${kind} ${name}`));
  if (input === "switch") return [!usual];
  if (input === "number") return NUMBERS[kind];
  if (input === "numbers") return ["0.75", "1.25"];
  if (input === "class") return [classes[1]];
  if (input === "layers") return [targets[1], targets[2], targets.at(-1)];
  if (input === "layer") return targets.filter(name => name !== targets[0]).slice(0, 1);
  if (input === "logits") return ["jay, 984"];
  throw new Error(`no test knows the control ${input} of ${kind}`);
}

/** Sets a choice by its control. */
async function choose(page, kind, value) {
  const one = await control(page, kind);
  const box = one.locator("input");
  if (value === "all") for (const each of await box.all()) await each.check();
  else if (typeof value === "boolean") await box.setChecked(value);
  else if (typeof value === "number" || kind === "against") {
    await box.fill(String(value));
    await box.blur();
  } else await one.locator(`input[value="${value}"]`).check();
}

/** Chooses, waits for the answer, and gives it; or the message if there is none. */
async function answer(page, kind, value) {
  await page.evaluate(() => {
    window.lastSeen = window.famlens.result;
    for (const one of document.querySelectorAll(".notice button[aria-label^=Close]")) one.click();
  });
  await choose(page, kind, value);
  await until(
    page,
    () =>
      (window.famlens.result !== null && window.famlens.result !== window.lastSeen) ||
      document.querySelector(".notice.error") !== null,
  );
  if (await page.locator(".notice.error").count()) {
    const message = await page.locator(".notice.error").first().innerText();
    await page.getByRole("button", { name: "Take it back" }).click();
    await ready(page);
    return { message };
  }
  await ready(page);
  const { maps, notes, classes } = await result(page);
  return { values: maps.flatMap(map => map.data), notes, classes };
}

/** Whether two sets of maps differ by more than rounding. */
const largest = values => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
const differ = (a, b) =>
  a.length !== b.length || largest(a.map((value, at) => value - b[at])) > 1e-5 * Math.max(largest(a), largest(b));

for (const part of [0, 1, 2]) {
  test(`every value of every choice gives another map, or says why not (${part + 1} of 3)`, async () => {
    const page = await show("#few-shot?form=fam&beside=false");
    const catalogue = await page.evaluate(() => window.famlens.lens.choices());
    const { targets } = await page.evaluate(() => window.famlens.lens.info.model);
    const { classes } = await result(page);
    const wrong = [];
    for (const entry of catalogue.filter((_, at) => at % 3 === part)) {
      const { kind } = entry;
      const tried = trials(
        entry,
        targets,
        classes.map(({ name }) => name),
      );
      for (const value of tried) {
        await page.getByTestId("choices-reset").click();
        // Reset leaves the form to the page.
        await choose(page, "form", "cam");
        await explained(page, () => choose(page, "form", "fam"));
        for (const [beside, of] of Object.entries(WITH[kind] ?? {})) await choose(page, beside, of);
        await ready(page);
        const { maps, notes } = await result(page);
        const base = maps.flatMap(map => map.data);
        if (kind === "head" && value === "file") {
          await choose(page, kind, value);
          assert.match(await page.getByTestId("choices").getByTestId("given-head").innerText(), /No file yet/);
          continue;
        }
        const found = await answer(page, kind, value);
        const name = `${kind} ${value}`;
        if (found.message) wrong.push(`${name}: ${found.message}`);
        else if (!found.values.every(Number.isFinite)) wrong.push(`${name}: a value is not finite`);
        else if (found.values.every(one => one === 0) && !found.notes.some(note => /zero/.test(note)))
          wrong.push(`${name}: all zero, and nothing says why`);
        else if (!differ(found.values, base) && !found.notes.some(note => !notes.includes(note)))
          wrong.push(`${name}: the same map, and nothing says why`);
      }
    }
    assert.deepEqual(wrong, []);
  });
}

/** The bytes of a file of one linear layer, as safetensors saves it, and of a NumPy array. */
const safetensors = (rows, columns, value) => {
  const header = JSON.stringify({
    "0.weight": { dtype: "F32", shape: [rows, columns], data_offsets: [0, 4 * rows * columns] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), numbers(rows, columns, value)]);
};
const npy = (rows, columns, value) => {
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${columns}), }\n`;
  return Buffer.concat([
    Buffer.from("\x93NUMPY\x01\x00", "latin1"),
    Buffer.from([header.length & 255, header.length >> 8]),
    Buffer.from(header),
    numbers(rows, columns, value),
  ]);
};
const numbers = (rows, columns, value) =>
  Buffer.from(
    Float32Array.from({ length: rows * columns }, (_, at) => value(Math.floor(at / columns), at % columns)).buffer,
  );

/** Chooses a file by a control's button. */
async function pick(page, kind, name, buffer) {
  const [chooser] = await Promise.all([
    page.waitForEvent("filechooser"),
    page.getByTestId("choices").getByTestId(`given-pick-${kind}`).click(),
  ]);
  await chooser.setFiles({ name, mimeType: "application/octet-stream", buffer });
}

const CASES = [
  {
    kind: "head",
    option: "head",
    value: "file",
    name: "projection.safetensors",
    says: /Linear 1280 -> 4/,
    good: n => safetensors(4, n, (i, j) => Math.sin(1 + i * 7 + j) / 30),
    wide: n => safetensors(4, n + 1, () => 0.1),
    bad: /safetensors/,
  },
  {
    kind: "matrix",
    option: "similarity",
    value: "bilinear",
    name: "metric.npy",
    says: /1280 x 1280/,
    good: n => npy(n, n, (i, j) => (i === j ? 1 + (i % 9) : 0)),
    wide: () => npy(3, 3, (i, j) => (i === j ? 1 : 0)),
    bad: /NumPy/,
  },
];
for (const { kind, option, value, name, says, good, wide, bad } of CASES) {
  test(`the file of ${option} ${value} is chosen or dropped, told, refused with a reason, and removed`, async () => {
    const page = await show("#few-shot?form=fam&beside=false");
    const place = page.getByTestId("choices").getByTestId(`given-${kind}`);
    const without = (await result(page)).maps[0].data;
    const channels = (await result(page)).channels;
    assert.ok(await place.isHidden());
    if (option === "similarity") await explained(page, () => choose(page, option, value));
    else await choose(page, option, value);
    const learned = (await result(page)).classes;
    await place.waitFor();

    await pick(page, kind, `bad-${name}`, Buffer.from("no such file"));
    const error = page.getByTestId("choices").getByTestId(`given-error-${kind}`);
    await error.waitFor();
    assert.match(await error.innerText(), bad);
    assert.ok((await error.innerText()).includes(`bad-${name}`));
    await pick(page, kind, `wide-${name}`, wide(channels));
    await error.filter({ hasText: `wide-${name}` }).waitFor();
    assert.match(await error.innerText(), /1281|has 3 values/);
    await ready(page);
    assert.deepEqual((await result(page)).classes, learned, "what is refused changes nothing");

    const given = await explained(page, () => pick(page, kind, name, good(channels)));
    assert.ok(
      differ(given.maps[0].data, without) ||
        differ(
          given.classes.map(one => one.similarity),
          learned.map(one => one.similarity),
        ),
    );
    assert.ok(await error.isHidden());
    assert.match(await place.innerText(), says);
    assert.ok((await place.innerText()).includes(name));

    const removed = await explained(page, () => place.getByTestId(`given-remove-${kind}`).click());
    assert.deepEqual(
      removed.classes.map(({ similarity }) => similarity.toFixed(6)),
      learned.map(({ similarity }) => similarity.toFixed(6)),
    );

    // Dropped anywhere, it is what is chosen.
    await page.getByTestId("choices-reset").click();
    await page.evaluate(
      ([name, text]) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name));
        for (const type of ["dragenter", "dragover", "drop"])
          document
            .querySelector("#stage")
            .dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
      },
      [name, good(channels).toString("base64")],
    );
    await until(page, ([option, value]) => window.famlens.state.choices[option] === value, [option, value]);
    await place.filter({ hasText: name }).waitFor();
    assert.deepEqual(await violations(page), []);
    assert.deepEqual(lens.errors, []);
  });
}
