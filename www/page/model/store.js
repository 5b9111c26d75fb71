// Models of the user's that this browser keeps between visits, because they said so: file and settings, in IndexedDB.

import { MODELS, deleteRow, readRows, withTable } from "../../lens/storage.js";

/**
 * @import { Manifest } from "./settings.js"
 * `external` has the files that hold the weights of the ONNX file, where it does not hold them itself.
 * @typedef {{file: string, onnx: Blob, statistics: Blob | null, manifest: Manifest,
 *   external?: Record<string, Blob>}} OwnModel
 */

/**
 * Whether a row is what {@link keepModel} writes.
 * @param {any} row
 * @returns {row is OwnModel}
 */
const isModel = row =>
  typeof row?.file === "string" &&
  row.onnx instanceof Blob &&
  (row.statistics === null || row.statistics instanceof Blob) &&
  typeof row.manifest === "object" &&
  row.manifest !== null;

/**
 * What is kept, with its keys, and the keys of what is kept and cannot be read, which is no reason to lose the rest.
 * @returns {Promise<{kept: {key: number, model: OwnModel}[], unreadable: number[]}>}
 * @throws {import("../../famlens.js").LensError} `storage`
 */
export async function keptModels() {
  const rows = await readRows(MODELS);
  const [good, bad] = [rows.filter(({ value }) => isModel(value)), rows.filter(({ value }) => !isModel(value))];
  return {
    kept: good.map(({ key, value }) => ({ key: Number(key), model: value })),
    unreadable: bad.map(({ key }) => Number(key)),
  };
}

/**
 * Keeps a model, in place of the one with this key if there is one. It is kept when this resolves.
 * @param {OwnModel} model
 * @param {number | null} key
 * @returns {Promise<number>} its key
 */
export async function keepModel(model, key) {
  const put = (/** @type {IDBObjectStore} */ table) => (key === null ? table.add(model) : table.put(model, key));
  return Number((await withTable(MODELS, "readwrite", put)).result);
}

/** @param {number} key */
export const dropModel = key => deleteRow(MODELS, key);
