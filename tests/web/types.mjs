// Checks the types of the page's scripts, and that www/famlens.d.ts, the types of the public module in one file, is
// what the comments in www/lens give. `node types.mjs --write` writes that file again.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const WWW = fileURLToPath(new URL("../../www/", import.meta.url));
const TSC = fileURLToPath(new URL("./node_modules/typescript/bin/tsc", import.meta.url));
const DECLARATIONS = join(WWW, "famlens.d.ts");
const AGAIN = "write it again, in tests/web: node types.mjs --write";

const tsc = (...args) => spawnSync(process.execPath, [TSC, ...args], { stdio: "inherit" }).status === 0;

const HEAD = `// The types of famlens.js. Made by tests/web/types.mjs from the comments in www/lens; do not edit.\n\n`;

/**
 * The declarations that a module exports, by name, each with the comment that belongs to it.
 * @param {string} text
 * @returns {Map<string, string>}
 */
function declarations(text) {
  const found = new Map();
  const parts = text
    .replace(/^import .*;\n/gm, "")
    .replace(/import\("[^"]*"\)\./g, "")
    .split(/^(?=\/\*\*|export )/m);
  let comment = "";
  for (const part of parts) {
    const name = part.match(/^export (?:declare )?(?:abstract )?(?:class|function|const|type) (\w+)/)?.[1];
    // A type that is only passed on is declared elsewhere.
    if (name && !new RegExp(`^export type ${name} = ${name};`).test(part)) found.set(name, comment + part);
    comment = part.startsWith("/**") && !/@(typedef|import)\b/.test(part) ? part : "";
  }
  return found;
}

/**
 * One file with all that the public module exports, and the types that this mentions.
 * @param {string} folder what the compiler wrote
 */
function rollUp(folder) {
  const entry = readFileSync(join(folder, "famlens.d.ts"), "utf8");
  const exported = [...entry.matchAll(/^export \{ (.*) \} from "(.*)\.js";$/gm)];
  const known = new Map();
  const seen = new Set();
  const read = path => {
    if (seen.has(path)) return;
    seen.add(path);
    const text = readFileSync(path, "utf8");
    for (const [name, declaration] of declarations(text)) known.set(name, declaration);
    for (const [, from] of text.matchAll(/(?:from |import\()"(\..*?)\.js"/g)) read(join(dirname(path), `${from}.d.ts`));
  };
  for (const [, , from] of exported) read(join(folder, `${from}.d.ts`));
  const values = exported.flatMap(([, names]) => names.split(", "));
  const types = new Set();
  const reach = text => {
    for (const [name] of text.matchAll(/\b[A-Z]\w+\b/g)) {
      if (types.has(name) || values.includes(name) || !/^export type/m.test(known.get(name) ?? "")) continue;
      types.add(name);
      reach(known.get(name));
    }
  };
  for (const name of values) reach(known.get(name) ?? "");
  return HEAD + [...values, ...[...types].sort()].map(name => known.get(name)).join("\n");
}

const folder = mkdtempSync(join(tmpdir(), "famlens-types-"));
try {
  if (!tsc("--project", join(WWW, "tsconfig.types.json"), "--outDir", folder)) process.exit(1);
  const made = rollUp(folder);
  if (process.argv.includes("--write")) writeFileSync(DECLARATIONS, made);
  if (!tsc("--project", join(WWW, "tsconfig.json"))) process.exit(1);
  if (readFileSync(DECLARATIONS, "utf8") !== made) {
    console.error(`www/famlens.d.ts is not what www/famlens.js declares; ${AGAIN}`);
    process.exitCode = 1;
  }
  // As a program of someone else reads it: on its own, and strictly.
  if (!tsc("--strict", "--noEmit", "--target", "es2023", "--lib", "es2023,dom", "--types", "", DECLARATIONS))
    process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
