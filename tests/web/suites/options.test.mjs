// The types of the options (www/lens/options.js) are made from the catalogue, which the program itself gives, and so
// cannot differ from it. `FAMLENS_WRITE=1 node --test suites/options.test.mjs` writes the file again; then `node
// types.mjs --write`.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { test } from "node:test";

import { place } from "../faults/place.mjs";

const FILE = fileURLToPath(new URL("../../../www/lens/options.js", import.meta.url));

/** The type of a choice's value. */
function typeOf({ input, values = [], default: unset }) {
  const types = {
    one: () => values.map(({ name }) => JSON.stringify(name)).join(" | "),
    switch: () => "boolean",
    number: () => "number",
    numbers: () => "number[]",
    class: () => "number",
    layer: () => "string",
    layers: () => "string[]",
    logits: () => "{logit: string | number | (string | number)[]}",
  };
  const type = types[input]?.();
  assert.ok(type, `no type for the input ${input}`);
  return unset === null ? `${type} | null` : type;
}

/** Lines of a comment, at most 120 wide. */
function wrapped(text) {
  const lines = [];
  let line = " *";
  for (const word of text.split(" ")) {
    if (line.length + 1 + word.length > 120) {
      lines.push(line);
      line = " *  ";
    }
    line += ` ${word}`;
  }
  return [...lines, line].join("\n");
}

/** The file that the catalogue gives. */
function optionsFile(choices) {
  const inside = choices.filter(({ kind }) => kind.includes("."));
  const groups = [...new Set(inside.map(({ kind }) => kind.split(".")[0]))];
  const said = text => text.replace(/\*\//g, "* /").replace(/\s+/g, " ").trim();
  const property = (name, type, text) => wrapped(`@property {${type}} [${name}] ${said(text)}`);
  const lines = choices
    .filter(({ kind }) => !kind.includes("."))
    .map(choice => property(choice.kind, typeOf(choice), choice.sentence));
  for (const group of groups) {
    const members = inside.filter(({ kind }) => kind.startsWith(`${group}.`));
    const fields = members.map(choice => `${choice.kind.split(".")[1]}?: ${typeOf(choice)}`).join(", ");
    const text = members.map(({ kind, sentence }) => `${kind.split(".")[1]}: ${said(sentence)}`).join(" ");
    lines.push(property(group, `{${fields}}`, text));
  }
  lines.push(property("target", "string | null", "a single target layer, in place of `targets`"));
  return `// What can be chosen about an explanation. tests/web/suites/options.test.mjs makes it from the catalogue.

/**
 * What can be chosen about an explanation: {@link Lens.choices} describes every field and value.
 * @typedef {object} ExplainOptions
${lines.join("\n")}
 */

/**
 * How channel weights are made.
 * @typedef {NonNullable<ExplainOptions["form"]>} Form
 */

export {};
`;
}

test("the types of the options are those of the catalogue", async () => {
  const { page, close } = await place("none");
  try {
    const choices = await page.evaluate(async () => {
      const lens = await window.famlens.createLens({ backend: "cpu" });
      return lens.choices();
    });
    const made = optionsFile(choices);
    if (process.env.FAMLENS_WRITE) await writeFile(FILE, made);
    assert.equal(await readFile(FILE, "utf8"), made, "FAMLENS_WRITE=1 writes it again");
  } finally {
    await close();
  }
});
