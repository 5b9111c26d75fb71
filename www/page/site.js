// "Save as a page": the built page with the user's project, as a ZIP file with a folder to put on any web server, where
// it opens with what is on screen now.

import { LensError } from "../famlens.js";
import { collect, toFile } from "./project.js";
import { SHARE } from "./words.js";
import { zip } from "./zip.js";

const FOLDER = "famlens-page";
const PROJECT_FILE = "project.zip";

/** @param {string} path @returns {Promise<Response>} */
async function get(path) {
  const answer = await fetch(new URL(path, document.baseURI)).catch(() => null);
  if (!answer?.ok) throw new LensError("network", SHARE.cannotSavePage);
  return answer;
}

/** @returns {Promise<Blob>} */
export async function saveSite() {
  const program = await (await get("sw.js")).text();
  const [line, list] = /^const PAGE = .*?files: (\[.*?\]) \};$/m.exec(program) ?? [];
  if (!line) throw new LensError("network", SHARE.cannotSavePage);
  /** @type {Map<string, Blob>} */
  const files = new Map();
  const paths = /** @type {string[]} */ (JSON.parse(list));
  const contents = await Promise.all(paths.map(async path => (await get(path)).blob()));
  for (const [at, path] of paths.entries()) files.set(`${FOLDER}/${path}`, contents[at]);
  const page = await /** @type {Blob} */ (files.get(`${FOLDER}/index.html`)).text();
  const marked = page
    .replace(/\n\s*<meta name="famlens-project"[^>]*>/, "")
    .replace("<head>", `<head>\n  <meta name="famlens-project" content="${PROJECT_FILE}">`);
  files.set(`${FOLDER}/index.html`, new Blob([marked]));
  files.set(`${FOLDER}/${PROJECT_FILE}`, await toFile(await collect()));
  const all = JSON.stringify([...new Set([...paths, PROJECT_FILE])]);
  const own = `const PAGE = { version: "own-${Date.now().toString(36)}", files: ${all} };`;
  files.set(`${FOLDER}/sw.js`, new Blob([program.replace(line, () => own)]));
  return zip(files);
}

/** The project that this page was saved with, if it was. @returns {Promise<Blob | null>} */
export async function ownProject() {
  const path = document.querySelector('meta[name="famlens-project"]')?.getAttribute("content");
  return path ? (await get(path)).blob() : null;
}
