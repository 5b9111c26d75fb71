// How the scripts are written: the page's modules import one another without cycles, dynamic imports included, so that
// each can be read on its own; rooms stay apart; lines stay short.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const WWW = fileURLToPath(new URL("../../../www/", import.meta.url));
const TESTS = fileURLToPath(new URL("../", import.meta.url));

/** `import ... from "x"`, `export ... from "x"`, `import "x"` at the start of a line, and `import("x")` anywhere. */
const IMPORTS = /^(?:import|export)\b[^"'`;]*?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/gm;

/** Which files of `www` each of them imports. */
async function graph() {
  const all = (await readdir(WWW, { recursive: true })).filter(name => name.endsWith(".js"));
  const found = new Map();
  for (const name of all) {
    // Types are named in comments, and nothing is loaded for them.
    const code = (await readFile(join(WWW, name), "utf8"))
      .replace(/\/\*[\s\S]*?\*\//g, "")
      .replace(/^\s*\/\/.*$/gm, "");
    const named = [...code.matchAll(IMPORTS)].map(([, first, second]) => first ?? second);
    // The bindings of the wasm are made by the build.
    const own = named.filter(path => path.startsWith(".") && !path.includes("/wasm/"));
    found.set(
      name,
      own.map(path => relative(WWW, join(WWW, dirname(name), path))),
    );
  }
  return found;
}

/** One cycle as the files on it, or null. */
function cycle(imports) {
  const done = new Set();
  const walk = (name, path) => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return null;
    for (const next of imports.get(name) ?? []) {
      const found = walk(next, [...path, name]);
      if (found) return found;
    }
    done.add(name);
    return null;
  };
  for (const name of imports.keys()) {
    const found = walk(name, []);
    if (found) return found;
  }
  return null;
}

test("no module imports itself by way of others", async () => {
  const imports = await graph();
  assert.ok(imports.size > 50 && imports.get("page/main.js").length > 5, "the imports were found");
  // What a cycle looks like, so that the search is known to find one.
  assert.deepEqual(cycle(new Map([...imports, ["a", ["b"]], ["b", ["c"]], ["c", ["b"]]])), ["b", "c", "b"]);
  assert.equal(cycle(imports)?.join(" -> ") ?? "", "");
});

test("what is imported is there, and rooms do not reach into one another", async () => {
  const imports = await graph();
  const missing = [...imports].flatMap(([name, all]) =>
    all.filter(path => path.endsWith(".js") && !imports.has(path)).map(path => `${name}: ${path}`),
  );
  assert.deepEqual(missing, []);
  const room = path => /^page\/([^/]+)\//.exec(path)?.[1] ?? null;
  const across = [...imports].flatMap(([name, all]) =>
    all.filter(path => room(name) && room(path) && room(name) !== room(path)).map(path => `${name} -> ${path}`),
  );
  assert.deepEqual(across, []);
});

test("no line is longer than 120 characters, so that a change is seen where it is", async () => {
  const long = [];
  for (const folder of [WWW, TESTS]) {
    const skipped = /(^|\/)(node_modules|wasm)\//;
    const all = (await readdir(folder, { recursive: true })).filter(name => /\.m?js$/.test(name));
    for (const name of all.filter(path => !skipped.test(path))) {
      const lines = (await readFile(join(folder, name), "utf8")).split("\n");
      for (const [at, line] of lines.entries()) if (line.length > 120) long.push(`${name}:${at + 1}`);
    }
  }
  assert.deepEqual(long, []);
});
