// Embeddings that the browser keeps between visits, by what made them and by the image's content. The images themselves
// are not kept.

import { EMBEDDINGS, countRows, deleteDatabase, readRow, withTable } from "./storage.js";

/** @import { Row } from "./pool.js" */

export class EmbeddingStore {
  #key;
  #channels;
  #keep;
  /** Why nothing is kept any more on this visit; null while all goes well. @type {string | null} */
  failure = null;

  /**
   * @param {{key: string, channels: number}} origin what makes the embeddings
   * @param {boolean} keep whether anything is kept at all
   */
  constructor({ key, channels }, keep) {
    this.#key = key;
    this.#channels = channels;
    this.#keep = keep;
  }

  /**
   * @param {string} content
   * @returns {Promise<Row | null>} null as well for a row that is damaged, which is made anew, and where the browser
   *   keeps nothing
   */
  async get(content) {
    if (!this.#keep || this.failure !== null) return null;
    try {
      const row = await readRow(EMBEDDINGS, [this.#key, content]);
      return this.#isWhole(row, content) ? row : null;
    } catch (error) {
      // One row that cannot be read says nothing of the others; storage that does not answer does.
      const { message, cause } = /** @type {import("./errors.js").LensError} */ (error);
      if (!(cause instanceof DOMException)) this.failure = message;
      return null;
    }
  }

  /**
   * Keeps rows, all or none of them. Where that fails, `failure` says why, and it costs the memory of this visit only.
   * @param {Row[]} rows
   */
  async put(rows) {
    if (!this.#keep || this.failure !== null) return;
    try {
      await withTable(EMBEDDINGS, "readwrite", table => {
        for (const row of rows) table.put(row, [this.#key, row.item.content]);
      });
    } catch (error) {
      this.failure = /** @type {Error} */ (error).message;
    }
  }

  /** How many embeddings are kept, of all models together. */
  count() {
    return this.#keep ? countRows(EMBEDDINGS) : Promise.resolve(0);
  }

  /** Forgets all embeddings, of every model, readable or not. */
  async clear() {
    await deleteDatabase(EMBEDDINGS.database);
    this.failure = null;
  }

  /** @param {any} row @param {string} content */
  #isWhole(row, content) {
    return (
      row?.item?.content === content &&
      [row.item.name, row.item.picture].every(text => typeof text === "string") &&
      [row.item.width, row.item.height].every(Number.isInteger) &&
      row.embedding instanceof Float32Array &&
      row.embedding.length === this.#channels
    );
  }
}
