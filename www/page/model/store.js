// Models of the user's that this browser keeps between visits, because they said so: file and settings, in IndexedDB.

import { MODELS, deleteRow, readRows, withTable } from "../../lens/storage.js";

/**
 * @import { Manifest } from "./settings.js"
 * @typedef {{file: string, onnx: Blob, statistics: Blob | null, manifest: Manifest}} OwnModel
 */

/**
 * Whether a row is what {@link keepModel} writes.
 * @param {any} row
 * @returns {row is OwnModel}
 */
const isWhole = row =>
  typeof row?.file === "string" &&
  row.onnx instanceof Blob &&
  (row.statistics === null || row.statistics instanceof Blob) &&
  typeof row.manifest === "object" &&
  row.manifest !== null;

/**
 * What is kept, with its keys; nothing where the browser keeps nothing. Damaged rows are left out.
 * @returns {Promise<{key: number, model: OwnModel}[]>}
 */
export async function keptModels() {
  const rows = await readRows(MODELS).catch(() => []);
  return rows.flatMap(({ key, value }) => (isWhole(value) ? [{ key: Number(key), model: value }] : []));
}

/**
 * Keeps a model, in place of the one with this key if there is one.
 * @param {OwnModel} model
 * @param {number | null} key
 * @returns {Promise<number>} its key, once the browser has written it
 */
export async function keepModel(model, key) {
  const put = (/** @type {IDBObjectStore} */ table) => (key === null ? table.add(model) : table.put(model, key));
  return Number((await withTable(MODELS, "readwrite", put)).result);
}

/** @param {number} key @returns {Promise<void>} */
export const dropModel = key => deleteRow(MODELS, key);
