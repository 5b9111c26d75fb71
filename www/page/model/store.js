// Models of the user's that this browser keeps between visits, because they said so: file and settings, in IndexedDB.

/**
 * @import { Manifest } from "./settings.js"
 * @typedef {{file: string, onnx: Blob, statistics: Blob | null, manifest: Manifest}} OwnModel
 */

const DATABASE = "famlens-models";
const TABLE = "models";

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
const done = request =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(table: IDBObjectStore) => Promise<T>} run
 * @returns {Promise<T>}
 */
async function withTable(mode, run) {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { autoIncrement: true });
  const database = await done(request);
  try {
    return await run(database.transaction(TABLE, mode).objectStore(TABLE));
  } finally {
    database.close();
  }
}

/**
 * What is kept, with its keys; nothing where the browser keeps nothing.
 * @returns {Promise<{key: number, model: OwnModel}[]>}
 */
export async function keptModels() {
  try {
    return await withTable("readonly", async table => {
      const [keys, models] = await Promise.all([done(table.getAllKeys()), done(table.getAll())]);
      return keys.map((key, at) => ({ key: Number(key), model: models[at] }));
    });
  } catch {
    return [];
  }
}

/**
 * Keeps a model, in place of the one with this key if there is one.
 * @param {OwnModel} model
 * @param {number | null} key
 * @returns {Promise<number>} its key
 */
export const keepModel = (model, key) =>
  withTable("readwrite", async table => Number(await done(key === null ? table.add(model) : table.put(model, key))));

/** @param {number} key @returns {Promise<void>} */
export const dropModel = key => withTable("readwrite", async table => done(table.delete(key)));
