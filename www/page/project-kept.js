// "Keep in this browser": what the user has put together, kept after each change, so that a reload loses nothing.

import { deleteDatabase, readRows, withTable } from "../lens/storage.js";
import { report } from "./notices.js";
import { collect, restore } from "./project.js";
import { recall, remember } from "./settings.js";
import { on } from "./state.js";
import { mounted } from "./views.js";

/** A row for each file, by its path, and one for project.json. */
const PLACE = { database: "famlens-project", table: "rows" };
const CONTENT = "project.json";

/** How long nothing may change until it is kept, in milliseconds. */
const REST = 800;

export const isKept = () => recall("keep") === "yes";

/** What was kept, if it was. @returns {Promise<import("./project.js").Project | null>} */
export async function readKept() {
  if (!isKept()) return null;
  const rows = await readRows(PLACE);
  const content = rows.find(({ key }) => key === CONTENT)?.value;
  if (!content) return null;
  const files = rows.filter(({ key, value }) => key !== CONTENT && value instanceof Blob);
  for (const { key } of files) written.add(String(key));
  return { content, files: new Map(files.map(({ key, value }) => [String(key), value])) };
}

/** The files that are kept, by path. @type {Set<string>} */
const written = new Set();

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** One after the other, so that an older state never follows a newer one. */
let writing = Promise.resolve();

/** Keeps what there is now. */
function keep() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    writing = writing.then(write).catch(error => {
      forgetKept();
      report(error, "keep");
    });
  }, REST);
}

async function write() {
  if (!isKept()) return;
  const { content, files } = await collect();
  const gone = [...written].filter(path => !files.has(path));
  await withTable(PLACE, "readwrite", table => {
    table.put(content, CONTENT);
    for (const [path, blob] of files) if (!written.has(path)) table.put(blob, path);
    for (const path of gone) table.delete(path);
  });
  for (const path of gone) written.delete(path);
  for (const path of files.keys()) written.add(path);
}

/** The rooms that are listened to. */
const heard = new Set();

function changed() {
  for (const [id, view] of mounted) {
    if (heard.has(id)) continue;
    heard.add(id);
    view.onChange?.(changed);
  }
  if (isKept()) keep();
}

/** Follows what the user does. */
export const mountKept = () => on(["view", "choices", "look", "model"], changed);

/** @param {boolean} kept */
export function setKept(kept) {
  remember("keep", kept ? "yes" : null);
  if (kept) return changed();
  forgetKept();
}

/** Deletes it, and keeps nothing from here on. */
export async function forgetKept() {
  remember("keep", null);
  clearTimeout(timer);
  written.clear();
  await deleteDatabase(PLACE.database).catch(report);
}

/** How many files are kept. */
export const keptCount = async () => (isKept() ? (await readRows(PLACE)).length : 0);

/** Puts back what was kept, if it was. */
export async function restoreKept() {
  const kept = await readKept().catch(error => {
    report(error);
    return null;
  });
  if (kept) await restore(kept);
  return kept !== null;
}
