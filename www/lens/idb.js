// IndexedDB with promises: one table a database is all that is needed here.

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
export const done = request =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/**
 * Opens a database and makes its table where there is none. Rejects where the browser keeps nothing, as in some private windows.
 * @param {string} name
 * @param {string} table
 * @param {IDBObjectStoreParameters} [options] of the table
 * @returns {Promise<IDBDatabase>}
 */
export function openDatabase(name, table, options) {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(table, options);
  return done(request);
}
