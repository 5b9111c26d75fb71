// Embeddings that the browser keeps between visits, by what made them and by the image's content. The images themselves are not kept.

import { done, openDatabase } from "./idb.js";

/** @import { Row } from "./pool.js" */

const DATABASE = "famlens-embeddings";
const TABLE = "rows";

export class EmbeddingStore {
  #key;
  #database;

  /**
   * @param {string} key of what makes the embeddings
   * @param {boolean} keep whether anything is kept at all
   */
  constructor(key, keep) {
    this.#key = key;
    // Where the browser keeps nothing this is as good as an empty one.
    this.#database = keep
      ? Promise.resolve()
          .then(() => openDatabase(DATABASE, TABLE))
          .catch(() => null)
      : Promise.resolve(null);
  }

  /**
   * @param {string} content
   * @returns {Promise<Row | null>}
   */
  async get(content) {
    const table = await this.#table("readonly");
    if (!table) return null;
    return (await done(table.get([this.#key, content])).catch(() => null)) ?? null;
  }

  /** @param {Row[]} rows */
  async put(rows) {
    const table = await this.#table("readwrite");
    if (!table) return;
    // A full disk costs the memory of this visit and nothing else.
    await Promise.all(rows.map(row => done(table.put(row, [this.#key, row.item.content])).catch(() => {})));
  }

  /** How many embeddings are kept, of all models together. */
  async count() {
    const table = await this.#table("readonly");
    return table ? done(table.count()).catch(() => 0) : 0;
  }

  /** Forgets all embeddings, of every model. */
  async clear() {
    const table = await this.#table("readwrite");
    if (table) await done(table.clear());
  }

  async close() {
    (await this.#database)?.close();
  }

  /** @param {IDBTransactionMode} mode */
  async #table(mode) {
    const database = await this.#database;
    try {
      return database?.transaction(TABLE, mode).objectStore(TABLE) ?? null;
    } catch {
      return null;
    }
  }
}
