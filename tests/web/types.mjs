// Checks the types of the page's scripts, and that www/famlens.d.ts and www/element.d.ts, the types of the two public
// modules in one file each, are what the comments give. `node types.mjs --write` writes them again.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const WWW = fileURLToPath(new URL("../../www/", import.meta.url));
const TSC = fileURLToPath(new URL("./node_modules/typescript/bin/tsc", import.meta.url));
/** The public modules; what the second takes from the first it imports. */
const MODULES = ["famlens", "element"];
const declarationsOf = name => join(WWW, `${name}.d.ts`);
const AGAIN = "write it again, in tests/web: node types.mjs --write";

const tsc = (...args) => spawnSync(process.execPath, [TSC, ...args], { stdio: "inherit" }).status === 0;

const head = name =>
  `// The types of ${name}.js. Made by tests/web/types.mjs from the comments in www; do not edit.\n\n`;

/** What no comment can say: which elements the tags are, and what their events carry. */
const TAGS = `
declare global {
  interface HTMLElementTagNameMap {
    "fam-lens": FamLens;
    "fam-class": FamClass;
  }
  interface HTMLElementEventMap {
    "famlens-result": CustomEvent<Explanation>;
    "famlens-error": CustomEvent<LensError>;
    "famlens-state": CustomEvent<FamLensState>;
    "famlens-class": CustomEvent<number>;
  }
}
`;

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
 * One file with all that a public module exports, and the types that this mentions.
 * @param {string} folder what the compiler wrote
 * @param {string} module its name
 * @param {string[]} beside what another public module declares, which is imported
 */
function rollUp(folder, module, beside) {
  const entry = readFileSync(join(folder, `${module}.d.ts`), "utf8");
  const exported = [...entry.matchAll(/^export \{ (.*) \} from "(.*)\.js";$/gm)];
  const known = new Map();
  const seen = new Set();
  const read = path => {
    if (seen.has(path)) return;
    seen.add(path);
    const text = readFileSync(path, "utf8");
    for (const [name, declaration] of declarations(text)) known.set(name, declaration);
    for (const [, from] of text.matchAll(/(?:from |import\()"(\..*?)\.js"/g)) {
      if (beside.length === 0 || basename(from) !== "famlens") read(join(dirname(path), `${from}.d.ts`));
    }
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
  const body = [...values, ...[...types].sort()]
    .map(name => known.get(name))
    .join("\n")
    .replace(/extends Base\b/g, "extends HTMLElement");
  if (beside.length === 0) return head(module) + body;
  const code = (body + TAGS).replace(/\/\*[\s\S]*?\*\//g, "");
  const taken = beside.filter(name => new RegExp(`\\b${name}\\b`).test(code));
  return `${head(module)}import type { ${taken.join(", ")} } from "./famlens.js";\n\n${body}${TAGS}`;
}

const folder = mkdtempSync(join(tmpdir(), "famlens-types-"));
try {
  if (!tsc("--project", join(WWW, "tsconfig.types.json"), "--outDir", folder)) process.exit(1);
  const made = new Map([["famlens", rollUp(folder, "famlens", [])]]);
  made.set("element", rollUp(folder, "element", [...declarations(made.get("famlens")).keys()]));
  if (process.argv.includes("--write")) for (const [name, text] of made) writeFileSync(declarationsOf(name), text);
  if (!tsc("--project", join(WWW, "tsconfig.json"))) process.exit(1);
  for (const [name, text] of made) {
    if (readFileSync(declarationsOf(name), "utf8") === text) continue;
    console.error(`www/${name}.d.ts is not what www/${name}.js declares; ${AGAIN}`);
    process.exitCode = 1;
  }
  // As a program of someone else reads them: on their own, and strictly.
  const strict = ["--strict", "--noEmit", "--target", "es2023", "--module", "esnext", "--moduleResolution", "bundler"];
  if (!tsc(...strict, "--lib", "es2023,dom,dom.iterable", "--types", "", ...MODULES.map(declarationsOf)))
    process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}
