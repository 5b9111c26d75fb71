// Sizes of files as they are and gzipped.

import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

/** The wasm and all scripts of the built page. Of the two files of the wasm a browser loads one: the larger counts. */
export async function code(dist) {
  // The npm packages may have been made beside it.
  const files = (await readdir(dist, { recursive: true })).filter(file => !file.startsWith("npm"));
  return weigh(
    files.filter(file => /\.(js|wasm)$/.test(file) && !/^\.|_plain_bg\.wasm$/.test(file)).map(file => join(dist, file)),
  );
}

/** @param {string[]} files */
export async function weigh(files) {
  const contents = await Promise.all(files.map(file => readFile(file)));
  const sum = size => contents.reduce((total, content) => total + size(content), 0);
  return { files: files.length, bytes: sum(c => c.length), gzipped: sum(c => gzipSync(c, { level: 9 }).length) };
}
