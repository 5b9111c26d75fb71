// IndexedDB with promises that always end: what is written is written when its promise resolves, and what fails, or
// never answers, is a LensError.

import { LensError } from "./errors.js";

/**
 * A table and the database that holds nothing else.
 * @typedef {{database: string, table: string, options?: IDBObjectStoreParameters}} Place
 */

/** @type {Place} */
export const EMBEDDINGS = { database: "famlens-embeddings", table: "rows" };
/** @type {Place} */
export const MODELS = { database: "famlens-models", table: "models", options: { autoIncrement: true } };

/**
 * Seconds after which storage that does not answer is given up: to open it and to read or delete, and to write, which
 * takes long for a large model.
 */
export const LIMITS = { answer: 5, write: 60 };

/** Open databases. @type {Map<string, Promise<IDBDatabase>>} */
const open = new Map();

const OFF = "This browser keeps nothing for this page: its storage is switched off.";
const SILENT = "This browser's storage does not answer. What is kept there cannot be used on this visit.";

/** @param {unknown} error @param {string} [instead] what to say of a fault without a name that people know */
function storageError(error, instead = "This browser's storage failed") {
  if (error instanceof LensError) return error;
  const name = error instanceof DOMException ? error.name : "";
  if (name === "QuotaExceededError")
    return new LensError("storage", "This browser's storage for this page is full: nothing more is kept.", error);
  if (["SecurityError", "InvalidStateError", "NotAllowedError"].includes(name) || error instanceof ReferenceError)
    return new LensError("storage", OFF, error);
  return new LensError("storage", `${instead} (${error instanceof Error ? error.message : error}).`, error);
}

/**
 * @template T
 * @param {Promise<T>} work
 * @param {number} seconds
 * @param {() => void} [late] what is done when it is given up
 * @returns {Promise<T>}
 */
export function answered(work, seconds, late) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new LensError("storage", SILENT));
      late?.();
    }, seconds * 1000);
    work.then(resolve, error => reject(storageError(error))).finally(() => clearTimeout(timer));
  });
}

/** @param {Place} place @returns {Promise<IDBDatabase>} */
function connect({ database, table, options }) {
  const opening = new Promise((/** @type {(value: IDBDatabase) => void} */ resolve, reject) => {
    const request = indexedDB.open(database, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(table, options);
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const found = request.result;
      const close = () => {
        found.close();
        if (open.get(database) === connection) open.delete(database);
      };
      // Another page, or this one, deletes all that is kept.
      found.onversionchange = close;
      found.onclose = close;
      // It came too late, and nobody has it.
      if (open.get(database) !== connection) return found.close();
      resolve(found);
    };
  });
  const connection = answered(opening, LIMITS.answer);
  open.set(database, connection);
  connection.catch(error => {
    // What is silent stays given up for a while, so that not every image waits for it anew; what failed may be tried
    // again.
    const again = () => void (open.get(database) === connection && open.delete(database));
    if (error.message === SILENT) setTimeout(again, 30_000);
    else again();
  });
  return connection;
}

/**
 * Does something with a table in one transaction, and resolves when the transaction is complete.
 *
 * @template T
 * @param {Place} place
 * @param {IDBTransactionMode} mode
 * @param {(table: IDBObjectStore) => T} run makes requests, and does not wait for anything else
 * @returns {Promise<T>} what `run` gave; the results of its requests are there by then
 * @throws {LensError} `storage`
 */
export async function withTable(place, mode, run) {
  try {
    const database = await (open.get(place.database) ?? connect(place));
    const transaction = database.transaction(place.table, mode);
    const complete = new Promise((/** @type {(value: void) => void} */ resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new Error("it was not completed"));
    });
    const given = run(transaction.objectStore(place.table));
    await answered(complete, mode === "readonly" ? LIMITS.answer : LIMITS.write, () => {
      try {
        transaction.abort();
      } catch {
        // It has ended by itself meanwhile.
      }
    });
    return given;
  } catch (error) {
    throw storageError(error);
  }
}

/**
 * One row.
 * @param {Place} place
 * @param {IDBValidKey} key
 * @returns {Promise<any>} undefined if there is none
 */
export const readRow = async (place, key) => (await withTable(place, "readonly", table => table.get(key))).result;

/**
 * All rows with their keys. A row that the browser cannot read has an `error` instead of a `value`, and the others come
 * nevertheless.
 * @param {Place} place
 * @returns {Promise<{key: IDBValidKey, value?: any, error?: LensError}[]>}
 */
export async function readRows(place) {
  const keys = (await withTable(place, "readonly", table => table.getAllKeys())).result;
  return Promise.all(
    keys.map(key =>
      readRow(place, key).then(
        value => ({ key, value }),
        error => ({ key, error }),
      ),
    ),
  );
}

/** How many rows there are. @param {Place} place @returns {Promise<number>} */
export const countRows = async place => (await withTable(place, "readonly", table => table.count())).result;

/** Deletes a row. @param {Place} place @param {IDBValidKey} key */
export async function deleteRow(place, key) {
  await withTable(place, "readwrite", table => table.delete(key));
}

/**
 * Deletes a whole database, in whatever state it is: rows that cannot be read, connections that do not answer.
 * @param {string} database
 */
export async function deleteDatabase(database) {
  const before = open.get(database);
  open.delete(database);
  void before?.then(
    found => found.close(),
    () => {},
  );
  const deleted = new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(database);
    request.onsuccess = () => resolve(undefined);
    request.onerror = () => reject(request.error);
  });
  await answered(deleted, LIMITS.answer);
}
