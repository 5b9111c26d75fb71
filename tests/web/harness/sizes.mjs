// Sizes of files as they are and gzipped.

import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

/**
 * What the built page loads as code: the wasm and all scripts, bundled where they are. Of the two files of the wasm a
 * browser loads one: the larger counts.
 */
export async function code(dist) {
  // The npm packages may have been made beside it.
  const all = (await readdir(dist, { recursive: true })).filter(file => !file.startsWith("npm"));
  const bundled = all.filter(file => /bundle\/.*\.js$/.test(file));
  const scripts = bundled.length > 0 ? bundled : all.filter(file => file.endsWith(".js"));
  const programs = all.filter(file => file.endsWith(".wasm") && !file.endsWith("_plain_bg.wasm"));
  return weigh([...scripts, ...programs].map(file => join(dist, file)));
}

/** @param {string[]} files */
export async function weigh(files) {
  const contents = await Promise.all(files.map(file => readFile(file)));
  const sum = size => contents.reduce((total, content) => total + size(content), 0);
  return { files: files.length, bytes: sum(c => c.length), gzipped: sum(c => gzipSync(c, { level: 9 }).length) };
}
